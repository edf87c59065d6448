/* SPDX-License-Identifier: Apache-2.0 */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/bytes.h"
#include "../lib/fd.h"
#include "tool.h"

enum { READ_SIZE = 65536 };

static bool
is_dash(const char *path)
{
	return strcmp(path, "-") == 0;
}

/* The whole of a file at once, if it says how large it is. */
static size_t
size_hint(int fd, size_t max)
{
	struct stat st;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size < 0)
		return READ_SIZE;
	return (size_t)st.st_size < max ? (size_t)st.st_size + 1 : max + 1;
}

static int
read_all(int fd, const char *name, size_t max, struct buffer *out)
{
	size_t room = size_hint(fd, max);

	for (;;) {
		ssize_t n;

		if (out->len == out->cap) {
			size_t cap = out->cap == 0 ? room : 2 * out->cap;

			if (buffer_reserve(out, cap) != HF_OK)
				return fail_usage("%s: out of memory", name);
		}
		n = read(fd, out->ptr + out->len, out->cap - out->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_usage("%s: %s", name, strerror(errno));
		if (n == 0)
			return STATUS_OK;
		out->len += (size_t)n;
		if (out->len > max)
			return fail_usage(
			    "%s: larger than the %zu bytes that one request "
			    "can take; 'holdfast seal' takes files of any size",
			    name, max);
	}
}

int
file_read(const char *path, size_t max, struct buffer *out)
{
	int fd = STDIN_FILENO;
	int status;

	if (is_dash(path)) {
		if (isatty(fd))
			(void)fputs("holdfast: reading from the terminal; "
				    "Ctrl-D ends it\n",
			    stderr);
		return read_all(fd, "standard input", max, out);
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail_usage("%s: %s", path, strerror(errno));
	status = read_all(fd, path, max, out);
	(void)close(fd);
	return status;
}

/* A device or a pipe is written to where it is. */
static int
write_in_place(const char *path, struct hf_bytes data)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && fd_write(fd, data, NULL) == HF_OK;
	int reason = errno;

	if (fd >= 0 && close(fd) != 0 && ok) {
		ok = false;
		reason = errno;
	}
	return ok ? STATUS_OK : fail_usage("%s: %s", path, strerror(reason));
}

static mode_t
usual_mode(void)
{
	mode_t mask = umask(0);

	(void)umask(mask);
	return 0666 & ~mask;
}

static int
write_beside(const char *path, struct hf_bytes data, bool secret)
{
	char temp[4096];
	int fd;
	bool ok;
	int reason;

	if (snprintf(temp, sizeof(temp), "%s.XXXXXX", path) >=
	    (int)sizeof(temp))
		return fail_usage("%s: the path is too long", path);
	fd = mkostemp(temp, O_CLOEXEC);
	if (fd < 0)
		return fail_usage("%s: %s", path, strerror(errno));
	ok = (secret || fchmod(fd, usual_mode()) == 0) &&
	    fd_write(fd, data, NULL) == HF_OK && fsync(fd) == 0;
	reason = errno;
	if (close(fd) != 0 && ok) {
		ok = false;
		reason = errno;
	}
	if (ok && rename(temp, path) != 0) {
		ok = false;
		reason = errno;
	}
	if (ok)
		return STATUS_OK;
	(void)unlink(temp);
	return fail_usage("%s: %s", path, strerror(reason));
}

int
file_write(const char *path, struct hf_bytes data, bool secret)
{
	struct stat st;

	if (path == NULL || is_dash(path)) {
		if (fd_write(STDOUT_FILENO, data, NULL) == HF_OK)
			return STATUS_OK;
		return fail_usage("standard output: %s", strerror(errno));
	}
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return write_in_place(path, data);
	return write_beside(path, data, secret);
}
