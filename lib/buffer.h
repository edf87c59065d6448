/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_BUFFER_H
#define LIB_BUFFER_H

#include <stddef.h>
#include <stdint.h>

#include <holdfast/bytes.h>
#include <holdfast/err.h>

/*
 * Bytes that grow at the end and are wiped before they go back: messages,
 * whose plaintexts nobody should find later. An all-zero one is empty.
 */
struct buffer {
	uint8_t *ptr;
	size_t cap, len;
};

#define AUTO_BUFFER __attribute__((__cleanup__(buffer_free))) struct buffer

/* Room for `cap` bytes in all; what was there is wiped when it moves. */
enum hf_err buffer_reserve(struct buffer *b, size_t cap);

/* Appends; the room at least doubles when it has to grow. */
enum hf_err buffer_add(struct buffer *b, struct hf_bytes more);

/* Wipes the first `n` bytes and closes the gap. */
void buffer_drop(struct buffer *b, size_t n);

/* Wipes, frees and empties. */
void buffer_free(struct buffer *b);

static inline struct hf_bytes
buffer_view(const struct buffer *b)
{
	return (struct hf_bytes){ b->ptr, b->len };
}

#endif
