/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For LD_PRELOAD: disks that fail, as the file IO_FAULTS says at each call;
 * while it is not there all is well. Its lines are CALL PATH ERRNO: calls on
 * files whose path starts with PATH fail. CALL is open (for writing), write or
 * sync; ERRNO is a name below. The first write to a full disk puts down half of
 * its bytes. A sync with HOLD in the place of an ERRNO does not come back while
 * the file says so.
 */
#include <errno.h>
#include <stdatomic.h>
#include <time.h>

#include "shim.h"

enum { FAULTS = 4096, HELD = -1 };

static atomic_bool half_done;

static int
errno_by_name(const char *name)
{
	static const struct {
		const char *name;
		int value;
	} known[] = { { "ENOSPC", ENOSPC }, { "EIO", EIO }, { "EROFS", EROFS },
		{ "EDQUOT", EDQUOT }, { "HOLD", HELD } };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(known[i].name, name) == 0)
			return known[i].value;
	abort(); /* a test that asks for what there is not */
}

/* The text of the control file; false when there is none. */
static bool
read_faults(char out[FAULTS])
{
	const char *path = getenv("IO_FAULTS");
	int (*real_open)(const char *, int, ...);
	ssize_t n;
	int fd;

	ORIGINAL(real_open, "open");
	if (path == NULL || (fd = real_open(path, O_RDONLY | O_CLOEXEC)) < 0)
		return false;
	n = read(fd, out, FAULTS - 1);
	(void)close(fd);
	out[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* 0, or the errno with which this call on this path is to fail. */
static int
fault(const char *call, const char *path)
{
	char text[FAULTS], name[16], prefix[PATH_MAX], error[16];
	int saved = errno, found = 0;

	if (read_faults(text)) {
		char *line = text, *next;

		for (; line != NULL && found == 0; line = next) {
			next = strchr(line, '\n');
			if (next != NULL)
				*next++ = '\0';
			if (sscanf(line, "%15s %4095s %15s", name, prefix,
				error) == 3 &&
			    strcmp(name, call) == 0 &&
			    strncmp(path, prefix, strlen(prefix)) == 0)
				found = errno_by_name(error);
		}
	} else {
		atomic_store(&half_done, false);
	}
	errno = saved;
	return found;
}

static int
fault_fd(const char *call, int fd)
{
	char path[PATH_MAX];
	int saved = errno;
	bool named = shim_path_of(fd, path);

	errno = saved;
	return named ? fault(call, path) : 0;
}

/* -- What the process calls -- */

EXPORT ssize_t
write(int fd, const void *buf, size_t len)
{
	ssize_t (*f)(int, const void *, size_t);
	int error = fault_fd("write", fd);

	ORIGINAL(f, "write");
	if (error == 0)
		return f(fd, buf, len);
	if (error == ENOSPC && !atomic_exchange(&half_done, true) && len > 1)
		return f(fd, buf, len / 2);
	errno = error;
	return -1;
}

EXPORT ssize_t
pwrite64(int fd, const void *buf, size_t len, off64_t offset)
{
	ssize_t (*f)(int, const void *, size_t, off64_t);
	int error = fault_fd("write", fd);

	ORIGINAL(f, "pwrite64");
	if (error == 0)
		return f(fd, buf, len, offset);
	errno = error;
	return -1;
}

SHIM_PWRITE()

static int
sync_file(int fd, const char *name)
{
	int error;
	int (*f)(int);

	ORIGINAL(f, name);
	while ((error = fault_fd("sync", fd)) == HELD)
		(void)nanosleep(&(struct timespec){ 0, 5000000 }, NULL);
	if (error == 0)
		return f(fd);
	errno = error;
	return -1;
}

SHIM_SYNC(sync_file)

static int
open_file(const char *name, const char *path, int flags, mode_t mode)
{
	int (*f)(const char *, int, ...);
	int error = 0;

	ORIGINAL(f, name);
	if ((flags & O_ACCMODE) != O_RDONLY)
		error = fault("open", path);
	if (error == 0)
		return f(path, flags, mode);
	errno = error;
	return -1;
}

SHIM_OPEN(open_file)
