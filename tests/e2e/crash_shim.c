/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For LD_PRELOAD: kills the process, as a crash would, at a chosen moment of
 * its writing. Steps are counted: each sync, and unless CRASH_STEPS=sync each
 * write and truncation, of a file whose path starts with one of CRASH_UNDER (a
 * list with colons). Other files do not count: dying within a write of the
 * HSM's library would test that.
 *
 *	CRASH_AT   the number of the step; 0 or absent: none
 *	CRASH_WHEN a file; steps count only while it is there
 *	CRASH_HOW  before, after, or half (of the bytes of a write; else before)
 *	CRASH_LOG  a file that gets a byte for each step, to learn how many
 *	           there are
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/uio.h>

#include "shim.h"

enum how { BEFORE, HALF, AFTER };

static atomic_long steps;

static bool
counts(int fd)
{
	char path[PATH_MAX];

	return shim_path_of(fd, path) &&
	    shim_path_under(path, getenv("CRASH_UNDER"));
}

static void
crash(void)
{
	(void)kill(getpid(), SIGKILL);
	for (;;)
		(void)pause(); /* not a step further */
}

static void
note_step(void)
{
	const char *log = getenv("CRASH_LOG");
	ssize_t (*real_write)(int, const void *, size_t);
	int fd;

	if (log == NULL ||
	    (fd = open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600)) <
		0)
		return;
	ORIGINAL(real_write, "write");
	(void)!real_write(fd, ".", 1);
	(void)close(fd);
}

/* True when this is the step to die at. */
static bool
is_last(int fd, bool sync)
{
	const char *at = getenv("CRASH_AT"), *which = getenv("CRASH_STEPS");
	const char *when = getenv("CRASH_WHEN");
	int error = errno;
	bool last = false;

	if ((sync || which == NULL || strcmp(which, "sync") != 0) &&
	    counts(fd) && (when == NULL || access(when, F_OK) == 0)) {
		note_step();
		last = atomic_fetch_add(&steps, 1) + 1 ==
		    (at == NULL ? 0 : atol(at));
	}
	errno = error;
	return last;
}

static enum how
crash_how(void)
{
	const char *how = getenv("CRASH_HOW");

	if (how != NULL && strcmp(how, "half") == 0)
		return HALF;
	return how != NULL && strcmp(how, "after") == 0 ? AFTER : BEFORE;
}

/* -- What the process calls -- */

static int
sync_file(int fd, const char *name)
{
	bool last = is_last(fd, true);
	int (*f)(int);
	int rc;

	ORIGINAL(f, name);
	if (last && crash_how() != AFTER)
		crash();
	rc = f(fd);
	if (last)
		crash();
	return rc;
}

SHIM_SYNC(sync_file)

EXPORT ssize_t
write(int fd, const void *buf, size_t len)
{
	bool last = is_last(fd, false);
	ssize_t (*f)(int, const void *, size_t);
	ssize_t rc;

	ORIGINAL(f, "write");
	if (!last)
		return f(fd, buf, len);
	if (crash_how() == BEFORE)
		crash();
	rc = f(fd, buf, crash_how() == HALF ? len / 2 : len);
	crash();
	return rc;
}

EXPORT ssize_t
pwrite64(int fd, const void *buf, size_t len, off64_t offset)
{
	bool last = is_last(fd, false);
	ssize_t (*f)(int, const void *, size_t, off64_t);
	ssize_t rc;

	ORIGINAL(f, "pwrite64");
	if (!last)
		return f(fd, buf, len, offset);
	if (crash_how() == BEFORE)
		crash();
	rc = f(fd, buf, crash_how() == HALF ? len / 2 : len, offset);
	crash();
	return rc;
}

SHIM_PWRITE()

EXPORT int
ftruncate64(int fd, off64_t size)
{
	bool last = is_last(fd, false);
	int (*f)(int, off64_t);
	int rc;

	ORIGINAL(f, "ftruncate64");
	if (last && crash_how() != AFTER)
		crash();
	rc = f(fd, size);
	if (last)
		crash();
	return rc;
}

SHIM_FTRUNCATE()
