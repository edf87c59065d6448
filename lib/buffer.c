/* SPDX-License-Identifier: Apache-2.0 */
#include "buffer.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"

/* Not realloc(): it would leave a copy behind. */
enum hf_err
buffer_reserve(struct buffer *b, size_t cap)
{
	uint8_t *p;

	if (cap <= b->cap)
		return HF_OK;
	p = malloc(cap);
	if (p == NULL)
		return HF_ERR_NO_MEMORY;
	if (b->len > 0)
		memcpy(p, b->ptr, b->len);
	bytes_wipe(b->ptr, b->len);
	free(b->ptr);
	b->ptr = p;
	b->cap = cap;
	return HF_OK;
}

enum hf_err
buffer_add(struct buffer *b, struct hf_bytes more)
{
	enum hf_err err;
	size_t need;

	if (__builtin_add_overflow(b->len, more.len, &need))
		return HF_ERR_NO_MEMORY;
	if (need > b->cap) {
		size_t cap = need < 2 * b->cap ? 2 * b->cap : need;

		if ((err = buffer_reserve(b, cap)) != HF_OK)
			return err;
	}
	if (more.len > 0)
		memcpy(b->ptr + b->len, more.ptr, more.len);
	b->len = need;
	return HF_OK;
}

void
buffer_drop(struct buffer *b, size_t n)
{
	if (n == 0)
		return;
	memmove(b->ptr, b->ptr + n, b->len - n);
	bytes_wipe(b->ptr + b->len - n, n);
	b->len -= n;
}

void
buffer_free(struct buffer *b)
{
	bytes_wipe(b->ptr, b->len);
	free(b->ptr);
	*b = (struct buffer){ 0 };
}
