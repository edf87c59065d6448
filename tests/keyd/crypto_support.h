/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_KEYD_CRYPTO_SUPPORT_H
#define TESTS_KEYD_CRYPTO_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../keyd/crypto.h"
#include "../../lib/bytes.h"

/* What the tests of keyd/crypto*.c share. */

struct blob {
	uint8_t bytes[2048];
	size_t len;
};

#define assert_err(call, err) \
	assert_string_equal(hf_err_name(call), hf_err_name(err))
#define assert_ok(call) assert_err(call, HF_OK)

static inline struct hf_bytes
view(const struct blob *b)
{
	return bytes_of(b->bytes, b->len);
}

static inline struct hf_bytes
ascii(const char *s)
{
	return bytes_of(s, strlen(s));
}

static inline struct blob
hex(const char *digits)
{
	struct blob b = { .len = strlen(digits) / 2 };

	assert_true(b.len <= sizeof(b.bytes));
	assert_true(hex_decode(text_of(digits), b.bytes, b.len));
	return b;
}

/* The same into a buffer. */
static inline struct hf_bytes
unhex(const char *digits, uint8_t *buf)
{
	size_t len = strlen(digits) / 2;

	assert_true(hex_decode(text_of(digits), buf, len));
	return bytes_of(buf, len);
}

static inline void
assert_bytes(struct hf_bytes got, struct hf_bytes want)
{
	assert_int_equal(got.len, want.len);
	assert_memory_equal(got.ptr, want.ptr, want.len);
}

/* A file of tests/vectors/crypto. */
static inline struct blob
vector(const char *name)
{
	struct blob b;
	char path[512];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/tests/vectors/crypto/%s",
	    TEST_SOURCE_DIR, name);
	f = fopen(path, "rb");
	assert_non_null(f);
	b.len = fread(b.bytes, 1, sizeof(b.bytes), f);
	(void)fclose(f);
	assert_in_range(b.len, 1, sizeof(b.bytes) - 1);
	return b;
}

static inline const struct key_type *
type_of(const char *name)
{
	const struct key_type *type = key_type_by_name(text_of(name));

	assert_non_null(type);
	return type;
}

static inline const struct hash_type *
hash_of(const char *name)
{
	const struct hash_type *hash = hash_type_by_name(text_of(name));

	assert_non_null(hash);
	return hash;
}

static inline struct crypto_key *
private_key(const char *type, struct hf_bytes pkcs8)
{
	struct crypto_key *key = NULL;

	assert_ok(crypto_key_private(type_of(type), pkcs8, &key));
	return key;
}

static inline struct crypto_key *
public_key(const char *type, struct hf_bytes spki)
{
	struct crypto_key *key = NULL;

	assert_ok(crypto_key_public(type_of(type), spki, &key));
	return key;
}

static inline struct crypto_key *
fresh_key(const char *type)
{
	AUTO_SECRET material = { 0 };

	assert_ok(crypto_generate(type_of(type), 0, &material));
	return private_key(type, secret_view(&material));
}

/* The public half of a key, as somebody else would have it. */
static inline struct crypto_key *
public_half(const char *type, const struct crypto_key *key)
{
	struct blob spki;

	assert_ok(
	    crypto_key_spki(key, spki.bytes, sizeof(spki.bytes), &spki.len));
	return public_key(type, view(&spki));
}

static inline int
set_up(void **state)
{
	struct hf_why why = { "" };

	(void)state;
	if (crypto_init(&why) == HF_OK)
		return 0;
	(void)fprintf(stderr, "%s\n", why.text);
	return 1;
}

#endif
