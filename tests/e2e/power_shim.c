/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For LD_PRELOAD: writes a journal of everything that a process does to the
 * files under some paths, from which power_loss.py makes what a disk may hold
 * after the power went at any moment: SIGKILL leaves the page cache, so that
 * only this shows a sync that was forgotten. Syncs are noted and not done.
 *
 *	POWER_UNDER   a list of paths with colons; what starts with one counts
 *	POWER_JOURNAL the file to write; absent: nothing is noted
 *
 * A record: u8 kind, u64 inode, u64 a, u64 b, u32 length, then so many bytes;
 * numbers in the order of the machine.
 *
 *	'w' a = offset, the bytes    't' a = size
 *	's' a = how much of the journal there was when the sync began
 *	'c' the path that now names the inode
 *	'm' the path that is gone, a zero, the path that names the inode now
 *	'u' the path that is gone
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "shim.h"

enum { PATHS = 2 * PATH_MAX + 1 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int journal = -1;
static uint64_t written;

static bool
counts(int fd, struct stat *st)
{
	char path[PATH_MAX];

	return shim_path_of(fd, path) &&
	    shim_path_under(path, getenv("POWER_UNDER")) && fstat(fd, st) == 0;
}

/* A name in the working directory is made whole, without asking the disk. */
static bool
whole(const char *path, char out[PATH_MAX])
{
	char dir[PATH_MAX];
	int n;

	if (path[0] == '/')
		n = snprintf(out, PATH_MAX, "%s", path);
	else if (getcwd(dir, sizeof(dir)) == NULL)
		return false;
	else
		n = snprintf(out, PATH_MAX, "%s/%s", dir, path);
	return n > 0 && n < PATH_MAX &&
	    shim_path_under(out, getenv("POWER_UNDER"));
}

static void
put(const void *p, size_t len)
{
	ssize_t (*f)(int, const void *, size_t);

	ORIGINAL(f, "write");
	if (len > 0 && f(journal, p, len) != (ssize_t)len)
		abort(); /* a journal with a gap shows nothing */
	written += len;
}

/* The caller holds the lock. */
static void
note(char kind, uint64_t inode, uint64_t a, const void *bytes, size_t len)
{
	uint8_t head[1 + 8 + 8 + 8 + 4] = { (uint8_t)kind };
	const char *path = getenv("POWER_JOURNAL");
	uint64_t zero = 0;
	uint32_t n = (uint32_t)len;

	if (path == NULL)
		return;
	if (journal < 0) {
		journal =
		    open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		if (journal < 0)
			abort();
		written = (uint64_t)lseek(journal, 0, SEEK_END);
	}
	memcpy(head + 1, &inode, 8);
	memcpy(head + 9, &a, 8);
	memcpy(head + 17, &zero, 8);
	memcpy(head + 25, &n, 4);
	put(head, sizeof(head));
	put(bytes, len);
}

/* -- What the process calls -- */

static int
sync_file(int fd, const char *name)
{
	int (*f)(int);
	struct stat st;
	uint64_t before;

	ORIGINAL(f, name);
	if (!counts(fd, &st))
		return f(fd);
	(void)pthread_mutex_lock(&lock);
	before = written;
	(void)pthread_mutex_unlock(&lock);
	/* Here a disk would work; others go on writing meanwhile. */
	(void)usleep(200);
	(void)pthread_mutex_lock(&lock);
	note('s', st.st_ino, before, NULL, 0);
	(void)pthread_mutex_unlock(&lock);
	return 0;
}

SHIM_SYNC(sync_file)

EXPORT ssize_t
pwrite64(int fd, const void *buf, size_t len, off64_t offset)
{
	ssize_t (*f)(int, const void *, size_t, off64_t);
	struct stat st;
	ssize_t rc;

	ORIGINAL(f, "pwrite64");
	if (!counts(fd, &st))
		return f(fd, buf, len, offset);
	(void)pthread_mutex_lock(&lock);
	rc = f(fd, buf, len, offset);
	if (rc > 0)
		note('w', st.st_ino, (uint64_t)offset, buf, (size_t)rc);
	(void)pthread_mutex_unlock(&lock);
	return rc;
}

SHIM_PWRITE()

EXPORT ssize_t
write(int fd, const void *buf, size_t len)
{
	ssize_t (*f)(int, const void *, size_t);
	struct stat st;
	off_t end;
	ssize_t rc;

	ORIGINAL(f, "write");
	if (!counts(fd, &st))
		return f(fd, buf, len);
	(void)pthread_mutex_lock(&lock);
	rc = f(fd, buf, len);
	end = lseek(fd, 0, SEEK_CUR); /* O_APPEND moves it too */
	if (rc > 0)
		note('w', st.st_ino, (uint64_t)(end - rc), buf, (size_t)rc);
	(void)pthread_mutex_unlock(&lock);
	return rc;
}

EXPORT int
ftruncate64(int fd, off64_t size)
{
	int (*f)(int, off64_t);
	struct stat st;
	int rc;

	ORIGINAL(f, "ftruncate64");
	if (!counts(fd, &st))
		return f(fd, size);
	(void)pthread_mutex_lock(&lock);
	rc = f(fd, size);
	if (rc == 0)
		note('t', st.st_ino, (uint64_t)size, NULL, 0);
	(void)pthread_mutex_unlock(&lock);
	return rc;
}

SHIM_FTRUNCATE()

static int
open_file(const char *name, const char *path, int flags, mode_t mode)
{
	int (*f)(const char *, int, ...);
	char full[PATH_MAX];
	struct stat st;
	bool fresh;
	int fd;

	ORIGINAL(f, name);
	if ((flags & (O_CREAT | O_TRUNC)) == 0 || !whole(path, full))
		return f(path, flags, mode);
	(void)pthread_mutex_lock(&lock);
	fresh = lstat(full, &st) != 0;
	fd = f(path, flags, mode);
	if (fd >= 0 && fstat(fd, &st) == 0) {
		if (fresh)
			note('c', st.st_ino, 0, full, strlen(full));
		else if ((flags & O_TRUNC) != 0)
			note('t', st.st_ino, 0, NULL, 0);
	}
	(void)pthread_mutex_unlock(&lock);
	return fd;
}

SHIM_OPEN(open_file)

EXPORT int
unlink(const char *path)
{
	int (*f)(const char *);
	char full[PATH_MAX];
	int rc;

	ORIGINAL(f, "unlink");
	if (!whole(path, full))
		return f(path);
	(void)pthread_mutex_lock(&lock);
	rc = f(path);
	if (rc == 0)
		note('u', 0, 0, full, strlen(full));
	(void)pthread_mutex_unlock(&lock);
	return rc;
}

EXPORT int
rename(const char *from, const char *to)
{
	int (*f)(const char *, const char *);
	char old[PATH_MAX], new[PATH_MAX], both[PATHS];
	struct stat st;
	int rc, n;

	ORIGINAL(f, "rename");
	if (!whole(from, old) || !whole(to, new))
		return f(from, to);
	(void)pthread_mutex_lock(&lock);
	rc = f(from, to);
	if (rc == 0 && lstat(new, &st) == 0) {
		n = snprintf(both, sizeof(both), "%s%c%s", old, 0, new);
		note('m', st.st_ino, 0, both, (size_t)n);
	}
	(void)pthread_mutex_unlock(&lock);
	return rc;
}
