/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOLDFAST_BYTES_H
#define HOLDFAST_BYTES_H

#include <stddef.h>
#include <stdint.h>

/*
 * Views: a pointer and a length into memory that somebody else owns. A view
 * is absent when `ptr` is NULL, and present but empty when `ptr` is not NULL
 * and `len` is 0. Nothing here is NUL-terminated.
 */
struct hf_bytes {
	const uint8_t *ptr;
	size_t len; /* bytes */
};

/* UTF-8 (RFC 3629). The codec checks it before anybody sees it. */
struct hf_text {
	const char *ptr;
	size_t len; /* bytes, not characters */
};

/*
 * One pair of a context: what data is about, in clear and bound to it, such as
 * tenant = acme. Names are unique, 1 to 128 bytes; values take up to 1,024; a
 * context has up to 32 pairs and 4,096 bytes with its framing.
 */
struct hf_pair {
	struct hf_text name, value;
};

/* A yes or no that may be left out of a request. */
enum hf_tri { HF_UNSET = 0, HF_FALSE = 1, HF_TRUE = 2 };

/* A number that may be left out of a request. */
struct hf_uint {
	uint64_t value;
	_Bool present;
};

#endif
