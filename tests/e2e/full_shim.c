/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For LD_PRELOAD: a disk that is full for as long as the file FULL_WHILE is
 * there. Writes to files whose path starts with FULL_UNDER put down half of
 * their bytes the first time, as a disk does that fills up, and then fail with
 * ENOSPC.
 */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_bool half_done;

static bool
is_full(int fd)
{
	const char *under = getenv("FULL_UNDER"), *when = getenv("FULL_WHILE");
	char link[40], path[PATH_MAX];
	ssize_t n;

	if (under == NULL || when == NULL || access(when, F_OK) != 0)
		return false;
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n <= 0)
		return false;
	path[n] = '\0';
	return strncmp(path, under, strlen(under)) == 0;
}

__attribute__((visibility("default"))) ssize_t
write(int fd, const void *buf, size_t len)
{
	int error = errno;
	void *symbol = dlsym(RTLD_NEXT, "write");
	ssize_t (*f)(int, const void *, size_t);

	if (symbol == NULL)
		abort();
	memcpy(&f, &symbol, sizeof(symbol));
	if (!is_full(fd)) {
		errno = error;
		return f(fd, buf, len);
	}
	if (!atomic_exchange(&half_done, true) && len > 1)
		return f(fd, buf, len / 2);
	errno = ENOSPC;
	return -1;
}
