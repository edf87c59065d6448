/* SPDX-License-Identifier: Apache-2.0 */
#include "folder.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool
folder_sync_name(const char *path)
{
	char *copy = strdup(path); /* dirname(3) writes into it */
	int fd, cause;
	bool ok;

	if (copy == NULL)
		return false;
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ok = fd >= 0 && fsync(fd) == 0;
	cause = errno;
	free(copy);
	if (fd >= 0)
		(void)close(fd);
	errno = cause;
	return ok;
}
