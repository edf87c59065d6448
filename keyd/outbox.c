/* SPDX-License-Identifier: Apache-2.0 */
#include "outbox.h"

#include <stdint.h>
#include <string.h>

#include "../lib/bytes.h"

enum { AT_ONCE = 8 }; /* replies in one system call */

void
outbox_push(struct outbox *box, struct exchange *ex)
{
	ex->next = NULL;
	if (box->first == NULL)
		box->first = ex;
	else
		box->last->next = ex;
	box->last = ex;
}

bool
outbox_append(struct outbox *box, struct hf_bytes more)
{
	struct exchange *ex = box->last;

	if (outbox_is_empty(box) || ex->body.ptr != ex->buf ||
	    more.len > ex->cap - ex->end)
		return false;
	memcpy(ex->buf + ex->end, more.ptr, more.len);
	ex->end += more.len;
	ex->body = bytes_of(ex->buf, ex->end);
	return true;
}

/* What is left of some bytes when the first *skip are sent. */
static struct iovec
part(const uint8_t *ptr, size_t len, size_t *skip)
{
	size_t n = *skip < len ? *skip : len;
	/* sendmsg() does not write through it; POSIX forgot the const. */
	union {
		const uint8_t *from;
		void *to;
	} base = { .from = ptr == NULL ? NULL : ptr + n };

	*skip -= n;
	return (struct iovec){ base.to, len - n };
}

/* Fills `iov` with what is unsent of the first replies. */
static size_t
gather(const struct outbox *box, struct iovec iov[2 * AT_ONCE])
{
	const struct exchange *ex = box->first;
	size_t n = 0;

	for (int i = 0; i < AT_ONCE && ex != NULL; i++, ex = ex->next) {
		size_t skip = ex->sent;
		struct iovec head = part(ex->head, ex->head_len, &skip);
		struct iovec body = part(ex->body.ptr, ex->body.len, &skip);

		if (head.iov_len > 0)
			iov[n++] = head;
		if (body.iov_len > 0)
			iov[n++] = body;
	}
	return n;
}

static void
advance(struct outbox *box, size_t sent)
{
	while (sent > 0) {
		struct exchange *ex = box->first;
		size_t left = ex->head_len + ex->body.len - ex->sent;

		if (sent < left) {
			ex->sent += sent;
			return;
		}
		sent -= left;
		box->first = ex->next;
		exchange_give(ex);
	}
}

ssize_t
outbox_write(struct outbox *box, struct channel *ch)
{
	struct iovec iov[2 * AT_ONCE];
	size_t total = 0;

	while (box->first != NULL) {
		ssize_t n = channel_write(ch, iov, gather(box, iov));

		if (n == CHANNEL_AGAIN)
			break;
		if (n < 0)
			return n;
		advance(box, (size_t)n);
		total += (size_t)n;
	}
	return (ssize_t)total;
}

void
outbox_clear(struct outbox *box)
{
	while (box->first != NULL) {
		struct exchange *next = box->first->next;

		exchange_give(box->first);
		box->first = next;
	}
}
