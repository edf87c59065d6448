/* SPDX-License-Identifier: Apache-2.0 */
#include "audit_log.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

void
audit_reader_start(struct audit_reader *r, int fd, off_t offset)
{
	r->fd = fd;
	r->offset = offset;
	r->start = r->end = 0;
}

/* Moves the rest to the front and reads behind it; *more: bytes came. */
static enum hf_err
fill(struct audit_reader *r, bool *more)
{
	size_t rest = r->end - r->start;
	ssize_t n;

	memmove(r->buf, r->buf + r->start, rest);
	r->start = 0;
	r->end = rest;
	do {
		n = pread(r->fd, r->buf + r->end, sizeof(r->buf) - r->end,
		    r->offset + (off_t)r->end);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return HF_ERR_SYSTEM;
	r->end += (size_t)n;
	*more = n > 0;
	return HF_OK;
}

enum hf_err
audit_reader_next(struct audit_reader *r, struct hf_text *line)
{
	const char *newline;
	size_t rest;
	bool more;
	enum hf_err err;

	for (;;) {
		rest = r->end - r->start;
		newline = memchr(r->buf + r->start, '\n', rest);
		if (newline != NULL)
			break;
		if (rest > AUDIT_LONGEST)
			return HF_ERR_TOO_LARGE;
		err = fill(r, &more);
		if (err != HF_OK)
			return err;
		if (!more)
			break;
	}

	size_t len = newline == NULL
	    ? r->end - r->start
	    : (size_t)(newline - (r->buf + r->start)) + 1;

	if (len > AUDIT_LONGEST)
		return HF_ERR_TOO_LARGE;
	*line = (struct hf_text){ len == 0 ? NULL : r->buf + r->start, len };
	r->start += len;
	r->offset += (off_t)len;
	return HF_OK;
}
