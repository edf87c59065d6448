/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_BYTES_H
#define LIB_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <holdfast/bytes.h>

/*
 * Helpers for views, big-endian numbers and a bounded writer. Nothing here
 * allocates; nothing here is for comparing secrets but bytes_equal_ct().
 */

/*
 * Before a large array on the hot path of which only what was written is ever
 * read: builds that clear every variable (-ftrivial-auto-var-init) leave it
 * alone. Clearing 16 KiB takes as long as
 * hashing an audit line.
 */
#define UNSET __attribute__((uninitialized))

/* A view of a NUL-terminated constant. */
#define TEXT(literal) ((struct hf_text){ (literal), sizeof(literal) - 1 })

static inline struct hf_text
text_of(const char *s)
{
	return (struct hf_text){ s, s == NULL ? 0 : strlen(s) };
}

static inline struct hf_bytes
bytes_of(const void *ptr, size_t len)
{
	return (struct hf_bytes){ ptr, len };
}

static inline struct hf_bytes
bytes_of_text(struct hf_text t)
{
	return (struct hf_bytes){ (const uint8_t *)t.ptr, t.len };
}

/* For public values only: the time taken tells where they differ. */
static inline bool
bytes_equal(struct hf_bytes a, struct hf_bytes b)
{
	return a.len == b.len &&
	    (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool
text_equal(struct hf_text a, struct hf_text b)
{
	return a.len == b.len &&
	    (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool
text_is(struct hf_text t, const char *s)
{
	return text_equal(t, text_of(s));
}

static inline bool
text_starts(struct hf_text t, struct hf_text prefix)
{
	return t.len >= prefix.len &&
	    (prefix.len == 0 || memcmp(t.ptr, prefix.ptr, prefix.len) == 0);
}

/* The same time for all contents of one length; the length is no secret. */
bool bytes_equal_ct(struct hf_bytes a, struct hf_bytes b);

/* Overwrites memory in a way that the compiler must not leave out. */
void bytes_wipe(void *ptr, size_t len);

static inline void
put_u32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static inline void
put_u64(uint8_t *p, uint64_t v)
{
	put_u32(p, (uint32_t)(v >> 32));
	put_u32(p + 4, (uint32_t)v);
}

static inline uint32_t
get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	    (uint32_t)p[2] << 8 | p[3];
}

static inline uint64_t
get_u64(const uint8_t *p)
{
	return (uint64_t)get_u32(p) << 32 | get_u32(p + 4);
}

/* Lower-case hexadecimal; `out` takes 2 * len characters and a NUL. */
void hex_encode(const uint8_t *in, size_t len, char *out);

/* False when `in` is not exactly 2 * len hexadecimal digits. */
bool hex_decode(struct hf_text in, uint8_t *out, size_t len);

/* Base64 of RFC 4648: section 4 with padding, or section 5 without. */
enum base64_kind { BASE64_STD, BASE64_URL };

/* Characters needed for `len` bytes, without a NUL. */
size_t base64_length(enum base64_kind kind, size_t len);

/* Writes base64_length() characters, no NUL. */
void base64_encode(enum base64_kind kind, struct hf_bytes in, char *out);

/*
 * Strict: the exact alphabet, canonical padding, zero trailing bits, no white
 * space. `out` takes at least in.len / 4 * 3 + 3 bytes. The time taken depends
 * on the length only as far as valid input goes, so that secrets may pass.
 */
bool base64_decode(
    enum base64_kind kind, struct hf_text in, uint8_t *out, size_t *len);

/* UTF-8 without surrogates, overlong forms or NUL (RFC 3629). */
bool utf8_valid(struct hf_text t);

#endif
