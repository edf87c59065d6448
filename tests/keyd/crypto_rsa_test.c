/* SPDX-License-Identifier: Apache-2.0 */
/* RSA without padding, and the paddings that are taken off by hand. */
#include "../../keyd/crypto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../../lib/bytes.h"

enum { SIZE = 256 };

static struct crypto_key *key;

static int
make_key(void **state)
{
	const struct key_type *type = key_type_by_id(KEY_RSA_2048);
	struct secret material = { 0 };
	enum hf_err err = crypto_init(NULL);

	(void)state;
	if (err == HF_OK)
		err = crypto_generate(type, 0, &material);
	if (err == HF_OK)
		err = crypto_key_private(type, secret_view(&material), &key);
	secret_free(&material);
	return err == HF_OK ? 0 : -1;
}

static int
drop_key(void **state)
{
	(void)state;
	crypto_key_free(key);
	return 0;
}

static struct hf_bytes
text(const char *s)
{
	return bytes_of(s, strlen(s));
}

static void
undoes_with_one_half_what_the_other_did(void **state)
{
	uint8_t in[SIZE] = { 0, 1, 2, 3 }, mid[SIZE], out[SIZE];

	(void)state;
	assert_int_equal(
	    crypto_rsa_public(key, bytes_of(in, SIZE), mid), HF_OK);
	assert_memory_not_equal(in, mid, SIZE);
	assert_int_equal(
	    crypto_rsa_private(key, bytes_of(mid, SIZE), out), HF_OK);
	assert_memory_equal(in, out, SIZE);
}

static void
refuses_numbers_beyond_the_modulus(void **state)
{
	uint8_t in[SIZE], out[SIZE];

	(void)state;
	memset(in, 0xff, sizeof(in));
	assert_int_equal(
	    crypto_rsa_private(key, bytes_of(in, SIZE), out), HF_ERR_BAD_INPUT);
	assert_int_equal(
	    crypto_rsa_public(key, bytes_of(in, SIZE), out), HF_ERR_BAD_INPUT);
	assert_int_equal(crypto_rsa_private(key, bytes_of(in, SIZE - 1), out),
	    HF_ERR_BAD_INPUT);
}

static void
takes_off_oaep_of_every_hash_with_and_without_a_label(void **state)
{
	static const char *const labels[] = { "", "label" };
	uint8_t sealed[SIZE], block[SIZE], out[SIZE];
	size_t len;

	(void)state;
	for (size_t i = 0; i < hash_types_count; i++)
		for (size_t k = 0; k < 2; k++) {
			const struct hash_type *hash = &hash_types[i];
			struct hf_bytes label = text(labels[k]);

			assert_int_equal(crypto_rsa_encrypt(key, hash, label,
					     text("message"), sealed),
			    HF_OK);
			assert_int_equal(crypto_rsa_private(key,
					     bytes_of(sealed, SIZE), block),
			    HF_OK);
			assert_int_equal(crypto_oaep_unpad_as(hash, label,
					     bytes_of(block, SIZE), out, &len),
			    HF_OK);
			assert_int_equal(len, 7);
			assert_memory_equal(out, "message", 7);
			assert_int_equal(
			    crypto_oaep_unpad_as(hash, text("other"),
				bytes_of(block, SIZE), out, &len),
			    HF_ERR_AUTH_FAILED);
		}
}

static void
takes_off_pkcs1_of_every_length(void **state)
{
	uint8_t in[SIZE] = { 0 }, sealed[SIZE], block[SIZE], out[SIZE];

	(void)state;
	for (size_t n = 0; n <= SIZE - 11; n += 5) {
		size_t len = SIZE;

		assert_int_equal(
		    crypto_rsa_encrypt(key, NULL, (struct hf_bytes){ 0 },
			bytes_of(in, n), sealed),
		    HF_OK);
		assert_int_equal(
		    crypto_rsa_private(key, bytes_of(sealed, SIZE), block),
		    HF_OK);
		assert_int_equal(
		    crypto_pkcs1_unpad(bytes_of(block, SIZE), out, &len),
		    HF_OK);
		assert_int_equal(len, n);
	}
	assert_int_equal(crypto_rsa_encrypt(key, NULL, (struct hf_bytes){ 0 },
			     bytes_of(in, SIZE - 10), sealed),
	    HF_ERR_BAD_INPUT);
}

static void
refuses_blocks_that_are_not_pkcs1(void **state)
{
	uint8_t good[SIZE], bad[SIZE], out[SIZE];
	size_t len;

	(void)state;
	memset(good, 0xaa, sizeof(good));
	good[0] = 0;
	good[1] = 2;
	good[10] = 0; /* after the shortest padding */
	assert_int_equal(
	    crypto_pkcs1_unpad(bytes_of(good, SIZE), out, &len), HF_OK);
	assert_int_equal(len, SIZE - 11);
	for (size_t i = 0; i < 10; i++) {
		memcpy(bad, good, SIZE);
		bad[i] = i == 0 ? 1 : i == 1 ? 1 : 0;
		assert_int_equal(
		    crypto_pkcs1_unpad(bytes_of(bad, SIZE), out, &len),
		    HF_ERR_AUTH_FAILED);
	}
	memcpy(bad, good, SIZE);
	bad[10] = 1; /* no end of the padding anywhere */
	assert_int_equal(crypto_pkcs1_unpad(bytes_of(bad, SIZE), out, &len),
	    HF_ERR_AUTH_FAILED);
	assert_int_equal(crypto_pkcs1_unpad(bytes_of(good, 10), out, &len),
	    HF_ERR_AUTH_FAILED);
	assert_int_equal(
	    crypto_pkcs1_unpad(bytes_of(good, 11), out, &len), HF_OK);
	assert_int_equal(len, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(undoes_with_one_half_what_the_other_did),
		cmocka_unit_test(refuses_numbers_beyond_the_modulus),
		cmocka_unit_test(
		    takes_off_oaep_of_every_hash_with_and_without_a_label),
		cmocka_unit_test(takes_off_pkcs1_of_every_length),
		cmocka_unit_test(refuses_blocks_that_are_not_pkcs1),
	};

	return cmocka_run_group_tests(tests, make_key, drop_key);
}
