/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SHIM_H
#define TESTS_SHIM_H

/* What libraries for LD_PRELOAD share. */
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static inline void *
shim_original(const char *name)
{
	void *f = dlsym(RTLD_NEXT, name);

	if (f == NULL)
		abort();
	return f;
}

/* Sets `var` to the function that is shadowed. ISO C has no cast from a data
 * to a function pointer. */
#define ORIGINAL(var, name)                      \
	do {                                     \
		void *f_ = shim_original(name);  \
		memcpy(&(var), &f_, sizeof(f_)); \
	} while (0)

/* Whether the path starts with one of a list with colons; NULL is empty. */
static inline bool
shim_path_under(const char *path, const char *list)
{
	while (list != NULL && *list != '\0') {
		size_t len = strcspn(list, ":");

		if (len > 0 && strncmp(path, list, len) == 0)
			return true;
		list += len + (list[len] == ':');
	}
	return false;
}

/* The path of an open file; false for what has none. */
static inline bool
shim_path_of(int fd, char out[PATH_MAX])
{
	char link[40];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, out, PATH_MAX - 1);
	if (n <= 0 || out[0] != '/')
		return false;
	out[n] = '\0';
	return true;
}

/* The third argument of open(2), where there is one. */
static inline mode_t
shim_mode(int flags, va_list args)
{
	return (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
}

/* Calls that come in pairs, by one function of the shim, which gets the name of
 * the one that was called. */
#define SHIM_SYNC(sync_file)                       \
	EXPORT int fsync(int fd)                   \
	{                                          \
		return sync_file(fd, "fsync");     \
	}                                          \
	EXPORT int fdatasync(int fd)               \
	{                                          \
		return sync_file(fd, "fdatasync"); \
	}

#define SHIM_OPEN_AS(name, open_file)                       \
	EXPORT int name(const char *path, int flags, ...)   \
	{                                                   \
		va_list args;                               \
		mode_t mode;                                \
		va_start(args, flags);                      \
		mode = shim_mode(flags, args);              \
		va_end(args);                               \
		return open_file(#name, path, flags, mode); \
	}
#define SHIM_OPEN(open_file) \
	SHIM_OPEN_AS(open, open_file) SHIM_OPEN_AS(open64, open_file)

/* The name of a call for files that are not large. */
#define SHIM_PWRITE()                                                        \
	EXPORT ssize_t pwrite(int fd, const void *buf, size_t len, off_t at) \
	{                                                                    \
		return pwrite64(fd, buf, len, at);                           \
	}
#define SHIM_FTRUNCATE()                         \
	EXPORT int ftruncate(int fd, off_t size) \
	{                                        \
		return ftruncate64(fd, size);    \
	}

#endif
