/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/key_commit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../keyd/crypto.h"
#include "../../lib/bytes.h"

/*
 * Printed by 'tests/e2e/context_peer.py vectors', which knows docs/transit.md
 * and not this code. Key and salt of row i are SHA-256 of "key i" and "salt i".
 */
static const struct {
	const char *type, *sealed;
} vectors[] = {
	{ "aes256-gcm96",
	    "3973b720f5cdaa2b848cc26f3afd57cb192f9e5f05d8ae680d998e8b"
	    "eeec014ba871b9e671605051808bf8bcea4d6b8c63d5f9c16b2c3bcc"
	    "76a6b248b72172203ff8891ca4d62fa82528f63a2ffdb48e40d197fe"
	    "234dcdaab2e04e2f48d7" },
	{ "aes128-gcm96",
	    "3261b4a8fbe54b47c0109b1cc71a9cb5baa4c7bc53e6f8436a7bd757"
	    "a73a8d598282eb77c6ff5b8ebb9b907f22049c62829e03830e98a8b6"
	    "a59a0f07dee105796ca06182d64c80bf92f3e49d5322aefcb4b7dd30"
	    "aecdebf08ec2f0b5ea19" },
	{ "chacha20-poly1305",
	    "c3a6a8530dbb478fb70a6ca8c7263a94ba0b08ca8d6ae9679c9cacd0"
	    "3663ec74fa2817ecdcfea33672ace845d3f6b11912539bf7619a169b"
	    "23f1fe3442cfd2857bdfa6bcba1b5113484ccfa4bf0fc6a2bb6c87e1"
	    "d2e33fd75cc0dddc80fb" },
};

static const char plain[] = "attack at dawn";
enum { LEN = sizeof(plain) - 1, ROOM = 256 };

/* The associated data of tenant = acme and "xyz". */
static struct hf_bytes
aad(void)
{
	static const uint8_t bytes[] = "holdfast-context-v1\0"
				       "\x00\x00\x00\x0d"
				       "\xa1\x66tenant\x64"
				       "acmexyz";

	return bytes_of(bytes, sizeof(bytes) - 1);
}

static void
hash_of(const char *what, size_t i, uint8_t out[32])
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%s %zu", what, i);

	assert_int_equal(crypto_hash(hash_type_by_name(TEXT("sha2-256")),
			     bytes_of(text, (size_t)n), out),
	    HF_OK);
}

struct sealed {
	const struct key_type *type;
	uint8_t key[32], salt[32], body[ROOM];
	size_t len;
};

static struct hf_bytes
key_of(const struct sealed *s)
{
	return bytes_of(s->key, s->type->size);
}

static void
seal_row(size_t i, struct sealed *s)
{
	s->type = key_type_by_name(text_of(vectors[i].type));
	hash_of("key", i, s->key);
	hash_of("salt", i, s->salt);
	s->len = commit_sealed_size(s->type, LEN);
	assert_int_equal(commit_seal_with(s->type, key_of(s), s->salt, aad(),
			     bytes_of(plain, LEN), s->body),
	    HF_OK);
}

static enum hf_err
open_it(const struct sealed *s, struct hf_bytes key, struct hf_bytes with)
{
	uint8_t out[ROOM];
	size_t len = 0;
	enum hf_err err = commit_open(
	    s->type, key, with, bytes_of(s->body, s->len), out, &len);

	if (err == HF_OK)
		assert_true(
		    bytes_equal(bytes_of(out, len), bytes_of(plain, LEN)));
	return err;
}

static void
seals_as_documented(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		struct sealed s;
		char hex[2 * ROOM + 1];

		seal_row(i, &s);
		hex_encode(s.body, s.len, hex);
		assert_string_equal(hex, vectors[i].sealed);
		assert_int_equal(open_it(&s, key_of(&s), aad()), HF_OK);
	}
}

static void
opens_with_all_that_it_was_sealed_with(void **state)
{
	struct sealed s;
	uint8_t other[32] = { 0 };
	struct hf_bytes less = aad();

	(void)state;
	seal_row(0, &s);
	less.len--;
	assert_int_equal(
	    open_it(&s, bytes_of(other, 32), aad()), HF_ERR_AUTH_FAILED);
	assert_int_equal(open_it(&s, key_of(&s), less), HF_ERR_AUTH_FAILED);
	for (size_t i = 0; i < s.len; i++) {
		s.body[i] ^= 1;
		assert_int_equal(
		    open_it(&s, key_of(&s), aad()), HF_ERR_AUTH_FAILED);
		s.body[i] ^= 1;
	}
	while (s.len > 0) {
		s.len--;
		assert_int_not_equal(open_it(&s, key_of(&s), aad()), HF_OK);
	}
}

/* One key, as two types: another key for the commitment. */
static void
the_type_is_committed_to(void **state)
{
	struct sealed s;

	(void)state;
	seal_row(0, &s);
	s.type = key_type_by_id(KEY_CHACHA20_POLY1305);
	assert_int_equal(open_it(&s, key_of(&s), aad()), HF_ERR_AUTH_FAILED);
}

static void
every_salt_is_another(void **state)
{
	struct sealed s, t;

	(void)state;
	seal_row(0, &s);
	t = s;
	assert_int_equal(commit_seal(s.type, key_of(&s), aad(),
			     bytes_of(plain, LEN), s.body),
	    HF_OK);
	assert_int_equal(commit_seal(t.type, key_of(&t), aad(),
			     bytes_of(plain, LEN), t.body),
	    HF_OK);
	assert_memory_not_equal(s.body, t.body, COMMIT_SALT);
	assert_int_equal(open_it(&s, key_of(&s), aad()), HF_OK);
}

static void
nothing_is_something_to_seal(void **state)
{
	struct sealed s;
	uint8_t out[ROOM];
	size_t len = 1;

	(void)state;
	seal_row(0, &s);
	s.len = commit_sealed_size(s.type, 0);
	assert_int_equal(commit_seal(s.type, key_of(&s), bytes_of(NULL, 0),
			     bytes_of(NULL, 0), s.body),
	    HF_OK);
	assert_int_equal(commit_open(s.type, key_of(&s), bytes_of(NULL, 0),
			     bytes_of(s.body, s.len), out, &len),
	    HF_OK);
	assert_int_equal(len, 0);
}

static void
zeros_are_taken_away_or_all_is_wiped(void **state)
{
	uint8_t buf[40] = { [32] = 'a', [39] = 'z' };
	static const uint8_t zeros[40];
	size_t len = sizeof(buf);

	(void)state;
	assert_int_equal(commit_unpad(buf, &len), HF_OK);
	assert_int_equal(len, 8);
	assert_int_equal(buf[0], 'a');
	assert_int_equal(buf[7], 'z');
	for (size_t i = 0; i < 32; i++) {
		memset(buf, 0, sizeof(buf));
		buf[i] = 1;
		buf[39] = 'z';
		len = sizeof(buf);
		assert_int_equal(commit_unpad(buf, &len), HF_ERR_AUTH_FAILED);
		assert_memory_equal(buf, zeros, sizeof(buf));
	}
	len = 31;
	assert_int_equal(commit_unpad(buf, &len), HF_ERR_AUTH_FAILED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(seals_as_documented),
		cmocka_unit_test(opens_with_all_that_it_was_sealed_with),
		cmocka_unit_test(the_type_is_committed_to),
		cmocka_unit_test(every_salt_is_another),
		cmocka_unit_test(nothing_is_something_to_seal),
		cmocka_unit_test(zeros_are_taken_away_or_all_is_wiped),
	};

	if (crypto_init(NULL) != HF_OK)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
