/* SPDX-License-Identifier: Apache-2.0 */
#include "folder.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/fd.h"

bool
folder_sync(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 && fsync(fd) == 0;
	int cause = errno;

	fd_close(fd);
	errno = cause;
	return ok;
}

bool
folder_sync_name(const char *path)
{
	char *copy = strdup(path); /* dirname(3) writes into it */
	bool ok = copy != NULL && folder_sync(dirname(copy));
	int cause = errno;

	free(copy);
	errno = cause;
	return ok;
}
