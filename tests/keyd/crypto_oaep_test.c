/* SPDX-License-Identifier: Apache-2.0 */
/* PKCS1_MGF1: deprecated, but not ours, and that is what it is for here. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "crypto_support.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

enum { MODULUS = 256, ROOM = MODULUS - 66 };

static struct crypto_key *
file_key(void)
{
	struct blob pkcs8 = vector("rsa2048.pkcs8.der");

	return private_key("rsa-2048", view(&pkcs8));
}

/*
 * The private key in OpenSSL's own hands, without padding: what an HSM does
 * with CKM_RSA_X_509, and how a bad block is smuggled in.
 */
static EVP_PKEY_CTX *
raw_key(void)
{
	struct blob pkcs8 = vector("rsa2048.pkcs8.der");
	const uint8_t *p = pkcs8.bytes;
	EVP_PKEY *pkey = d2i_AutoPrivateKey(NULL, &p, (long)pkcs8.len);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);

	assert_non_null(ctx);
	EVP_PKEY_free(pkey);
	return ctx;
}

static void
raw_decrypt(const uint8_t *in, uint8_t *block)
{
	EVP_PKEY_CTX *ctx = raw_key();
	size_t len = MODULUS;

	assert_int_equal(EVP_PKEY_decrypt_init(ctx), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING), 1);
	assert_int_equal(EVP_PKEY_decrypt(ctx, block, &len, in, MODULUS), 1);
	assert_int_equal(len, MODULUS);
	EVP_PKEY_CTX_free(ctx);
}

static void
raw_encrypt(const uint8_t *block, uint8_t *out)
{
	EVP_PKEY_CTX *ctx = raw_key();
	size_t len = MODULUS;

	assert_int_equal(EVP_PKEY_encrypt_init(ctx), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING), 1);
	assert_int_equal(EVP_PKEY_encrypt(ctx, out, &len, block, MODULUS), 1);
	EVP_PKEY_CTX_free(ctx);
}

/* MGF1 (RFC 8017, appendix B.2.1) of OpenSSL, XORed into `out`. */
static void
mask(const uint8_t *seed, size_t seed_len, uint8_t *out, size_t len)
{
	uint8_t bytes[MODULUS];

	assert_int_equal(
	    PKCS1_MGF1(bytes, (long)len, seed, (long)seed_len, EVP_sha256()),
	    0);
	for (size_t i = 0; i < len; i++)
		out[i] ^= bytes[i];
}

/* Y || seed || DB, as they are before masking. */
struct block {
	uint8_t first;
	uint8_t seed[32];
	uint8_t db[MODULUS - 33];
};

/* A good one of a message; the tests spoil it. */
static struct block
block_of(const char *message)
{
	struct block b = { .first = 0 };
	size_t len = strlen(message);

	assert_ok(crypto_random(b.seed, sizeof(b.seed)));
	assert_ok(crypto_sha256(bytes_of("", 0), b.db));
	b.db[sizeof(b.db) - len - 1] = 1;
	memcpy(b.db + sizeof(b.db) - len, message, len);
	return b;
}

static void
block_mask(struct block *b)
{
	mask(b->seed, sizeof(b->seed), b->db, sizeof(b->db));
	mask(b->db, sizeof(b->db), b->seed, sizeof(b->seed));
}

/* Both ways of decrypting answer the same. */
static void
assert_refused(struct block b)
{
	struct crypto_key *key = file_key();
	uint8_t in[MODULUS], out[MODULUS];
	size_t len = 7;

	block_mask(&b);
	memset(out, 0x55, sizeof(out));
	assert_err(crypto_oaep_unpad(bytes_of(&b, MODULUS), out, &len),
	    HF_ERR_AUTH_FAILED);
	assert_int_equal(out[0], 0x55);
	if (b.first < 0x80) { /* a block is less than the modulus */
		raw_encrypt((const uint8_t *)&b, in);
		assert_err(
		    crypto_oaep_decrypt(key, bytes_of(in, MODULUS), out, &len),
		    HF_ERR_AUTH_FAILED);
		assert_int_equal(ERR_peek_error(), 0);
	}
	assert_int_equal(len, 7);
	crypto_key_free(key);
}

/* -- Round trips -- */

static void
decrypts_what_the_openssl_program_encrypted(void **state)
{
	struct crypto_key *key = file_key();
	struct blob in = vector("oaep_sha256.bin");
	uint8_t block[MODULUS], out[MODULUS];
	size_t len;

	(void)state;
	assert_ok(crypto_oaep_decrypt(key, view(&in), out, &len));
	assert_int_equal(len, 4);
	assert_memory_equal(out, "oaep", 4);
	raw_decrypt(in.bytes, block);
	assert_ok(crypto_oaep_unpad(bytes_of(block, MODULUS), out, &len));
	assert_int_equal(len, 4);
	assert_memory_equal(out, "oaep", 4);
	crypto_key_free(key);
}

static void
decrypts_every_length_that_fits(void **state)
{
	struct crypto_key *key = file_key();
	uint8_t plain[ROOM], in[MODULUS], block[MODULUS], out[MODULUS];
	size_t in_len, len;

	(void)state;
	assert_ok(crypto_random(plain, sizeof(plain)));
	for (size_t n = 0; n <= ROOM; n += n < 4 || n > ROOM - 4 ? 1 : 31) {
		assert_ok(
		    crypto_oaep_encrypt(key, bytes_of(plain, n), in, &in_len));
		assert_int_equal(in_len, MODULUS);
		assert_ok(
		    crypto_oaep_decrypt(key, bytes_of(in, MODULUS), out, &len));
		assert_int_equal(len, n);
		assert_memory_equal(out, plain, n);
		raw_decrypt(in, block);
		assert_ok(
		    crypto_oaep_unpad(bytes_of(block, MODULUS), out, &len));
		assert_int_equal(len, n);
		assert_memory_equal(out, plain, n);
	}
	crypto_key_free(key);
}

static void
encrypts_with_the_public_half(void **state)
{
	struct crypto_key *key = file_key();
	struct crypto_key *public = public_half("rsa-2048", key);
	uint8_t one[MODULUS], two[MODULUS], out[MODULUS];
	size_t len;

	(void)state;
	assert_ok(crypto_oaep_encrypt(public, ascii("m"), one, &len));
	assert_ok(crypto_oaep_encrypt(public, ascii("m"), two, &len));
	assert_memory_not_equal(one, two, MODULUS);
	assert_ok(crypto_oaep_decrypt(key, bytes_of(one, MODULUS), out, &len));
	assert_err(
	    crypto_oaep_decrypt(public, bytes_of(one, MODULUS), out, &len),
	    HF_ERR_NO_PRIVATE_PART);
	crypto_key_free(public);
	crypto_key_free(key);
}

static void
refuses_a_message_that_has_no_room(void **state)
{
	struct crypto_key *key = file_key();
	uint8_t plain[ROOM + 1] = { 0 }, out[MODULUS];
	size_t len;

	(void)state;
	assert_err(
	    crypto_oaep_encrypt(key, bytes_of(plain, ROOM + 1), out, &len),
	    HF_ERR_BAD_INPUT);
	crypto_key_free(key);
}

static void
refuses_keys_that_are_not_rsa(void **state)
{
	struct crypto_key *key = fresh_key("ecdsa-p256");
	uint8_t out[MODULUS] = { 0 };
	size_t len;

	(void)state;
	assert_err(
	    crypto_oaep_encrypt(key, ascii("m"), out, &len), HF_ERR_KEY_TYPE);
	assert_err(crypto_oaep_decrypt(key, bytes_of(out, 32), out, &len),
	    HF_ERR_KEY_TYPE);
	crypto_key_free(key);
}

/* -- One error for all failures -- */

static void
takes_a_good_block(void **state)
{
	struct block b = block_of("message");
	uint8_t out[MODULUS];
	size_t len;

	(void)state;
	block_mask(&b);
	assert_ok(crypto_oaep_unpad(bytes_of(&b, MODULUS), out, &len));
	assert_int_equal(len, 7);
	assert_memory_equal(out, "message", 7);
}

static void
refuses_a_first_byte_that_is_not_zero(void **state)
{
	(void)state;
	for (unsigned first = 1; first < 256; first = 2 * first + 1) {
		struct block b = block_of("message");

		b.first = (uint8_t)first;
		assert_refused(b);
	}
}

static void
refuses_another_label(void **state)
{
	(void)state;
	for (size_t i = 0; i < 32; i++) {
		struct block b = block_of("message");

		b.db[i] ^= (uint8_t)(1U << i % 8);
		assert_refused(b);
	}
}

static void
refuses_padding_without_an_end(void **state)
{
	struct block b = block_of("");

	(void)state;
	b.db[sizeof(b.db) - 1] = 0;
	assert_refused(b);
}

static void
refuses_padding_that_is_not_zero(void **state)
{
	static const uint8_t values[] = { 2, 0x80, 0xff };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct block b = block_of("message");

		b.db[32] = values[i];
		assert_refused(b);
		b = block_of("message");
		b.db[sizeof(b.db) - 9] = values[i];
		assert_refused(b);
		b = block_of("message");
		b.db[sizeof(b.db) - 8] = values[i]; /* the 1 itself */
		assert_refused(b);
	}
}

static void
refuses_several_faults_at_once(void **state)
{
	struct block b = block_of("message");

	(void)state;
	b.first = 1;
	b.db[0] ^= 1;
	b.db[40] = 2;
	assert_refused(b);
	memset(&b, 0, sizeof(b));
	assert_refused(b);
}

static void
refuses_a_change_of_any_bit(void **state)
{
	struct crypto_key *key = file_key();
	struct block b = block_of("message");
	uint8_t *bytes = (uint8_t *)&b, out[MODULUS];
	size_t len;

	(void)state;
	block_mask(&b);
	for (size_t bit = 0; bit < 8 * MODULUS; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
		assert_err(
		    crypto_oaep_unpad(bytes_of(bytes, MODULUS), out, &len),
		    HF_ERR_AUTH_FAILED);
		bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	crypto_key_free(key);
}

static void
refuses_ciphertexts_of_another_length_or_too_large(void **state)
{
	struct crypto_key *key = file_key();
	uint8_t in[MODULUS + 1], out[MODULUS];
	size_t len;

	(void)state;
	memset(in, 0xff, sizeof(in)); /* larger than any modulus */
	for (size_t n = 0; n <= MODULUS + 1; n++)
		assert_err(crypto_oaep_decrypt(key, bytes_of(in, n), out, &len),
		    HF_ERR_AUTH_FAILED);
	crypto_key_free(key);
}

static void
refuses_blocks_too_short_or_too_long(void **state)
{
	static const uint8_t block[1024];
	uint8_t out[1024];
	size_t len;

	(void)state;
	for (size_t n = 0; n < 66; n++)
		assert_err(crypto_oaep_unpad(bytes_of(block, n), out, &len),
		    HF_ERR_AUTH_FAILED);
	assert_err(crypto_oaep_unpad(bytes_of(block, 513), out, &len),
	    HF_ERR_AUTH_FAILED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decrypts_what_the_openssl_program_encrypted),
		cmocka_unit_test(decrypts_every_length_that_fits),
		cmocka_unit_test(encrypts_with_the_public_half),
		cmocka_unit_test(refuses_a_message_that_has_no_room),
		cmocka_unit_test(refuses_keys_that_are_not_rsa),
		cmocka_unit_test(takes_a_good_block),
		cmocka_unit_test(refuses_a_first_byte_that_is_not_zero),
		cmocka_unit_test(refuses_another_label),
		cmocka_unit_test(refuses_padding_without_an_end),
		cmocka_unit_test(refuses_padding_that_is_not_zero),
		cmocka_unit_test(refuses_several_faults_at_once),
		cmocka_unit_test(refuses_a_change_of_any_bit),
		cmocka_unit_test(
		    refuses_ciphertexts_of_another_length_or_too_large),
		cmocka_unit_test(refuses_blocks_too_short_or_too_long),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
