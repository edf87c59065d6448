/* SPDX-License-Identifier: Apache-2.0 */
#include "fd.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

static enum hf_err
failed(struct hf_why *why, const char *what)
{
	int cause = errno;

	(void)hf_fail(
	    why, HF_ERR_SYSTEM, "%s: %s", what, strerrordesc_np(cause));
	errno = cause;
	return HF_ERR_SYSTEM;
}

/* Moves `at` on by what a call returned; false when it failed for good. */
static bool
advance(size_t *at, ssize_t n)
{
	if (n > 0)
		*at += (size_t)n;
	return n >= 0 || errno == EINTR;
}

enum hf_err
fd_read(int fd, void *out, size_t len, size_t *done, struct hf_why *why)
{
	ssize_t n = 1;

	for (*done = 0; *done < len && n != 0;) {
		n = read(fd, (uint8_t *)out + *done, len - *done);
		if (!advance(done, n))
			return failed(why, "reading");
	}
	return HF_OK;
}

enum hf_err
fd_pread(int fd, void *out, size_t len, uint64_t offset, size_t *done,
    struct hf_why *why)
{
	ssize_t n = 1;

	for (*done = 0; *done < len && n != 0;) {
		n = pread(fd, (uint8_t *)out + *done, len - *done,
		    (off_t)(offset + *done));
		if (!advance(done, n))
			return failed(why, "reading");
	}
	return HF_OK;
}

enum hf_err
fd_write(int fd, struct hf_bytes data, struct hf_why *why)
{
	for (size_t at = 0; at < data.len;)
		if (!advance(&at, write(fd, data.ptr + at, data.len - at)))
			return failed(why, "writing");
	return HF_OK;
}

enum hf_err
fd_pwrite(int fd, struct hf_bytes data, uint64_t offset, struct hf_why *why)
{
	for (size_t at = 0; at < data.len;)
		if (!advance(&at,
			pwrite(fd, data.ptr + at, data.len - at,
			    (off_t)(offset + at))))
			return failed(why, "writing");
	return HF_OK;
}

void
fd_close(int fd)
{
	if (fd >= 0)
		(void)close(fd);
}
