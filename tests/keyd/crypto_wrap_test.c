/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/crypto_wrap.h"

#include "crypto_support.h"

/* The promises of crypto_wrap.h. */

/* -- AES-KWP -- */

/* RFC 5649, section 6. */
static const char rfc_kek[] =
    "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8";
static const struct {
	const char *plain, *wrapped;
} rfc[] = {
	{ "c37b7e6492584340bed12207808941155068f738",
	    "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a" },
	{ "466f7250617369", "afbeb0f07dfbf5419200f2ccb50bb24f" },
};

static void
wraps_the_examples_of_rfc_5649(void **state)
{
	uint8_t kek[32], plain[64], wrapped[64], out[64];
	size_t len;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct hf_bytes k = unhex(rfc_kek, kek);
		struct hf_bytes p = unhex(rfc[i].plain, plain);
		struct hf_bytes w = unhex(rfc[i].wrapped, wrapped);
		AUTO_SECRET back = { 0 };

		assert_int_equal(crypto_kwp_wrap(k, p, out, &len), HF_OK);
		assert_bytes(bytes_of(out, len), w);
		assert_int_equal(crypto_kwp_unwrap(k, w, &back), HF_OK);
		assert_bytes(secret_view(&back), p);
	}
}

static void
opens_what_it_wrapped_at_every_length(void **state)
{
	static uint8_t plain[8192], out[8192 + CRYPTO_KWP_EXTRA];
	static const size_t lengths[] = { 1, 7, 8, 9, 16, 31, 32, 33, 100, 2400,
		8191, 8192 };
	uint8_t kek[32] = { 1, 2, 3 };
	size_t len;

	(void)state;
	assert_int_equal(crypto_random(plain, sizeof(plain)), HF_OK);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct hf_bytes in = bytes_of(plain, lengths[i]);
		AUTO_SECRET back = { 0 };

		assert_int_equal(
		    crypto_kwp_wrap(bytes_of(kek, 32), in, out, &len), HF_OK);
		assert_true(len <= in.len + CRYPTO_KWP_EXTRA);
		assert_int_equal(crypto_kwp_unwrap(bytes_of(kek, 32),
				     bytes_of(out, len), &back),
		    HF_OK);
		assert_bytes(secret_view(&back), in);
	}
}

static void
refuses_what_another_key_wrapped_or_was_changed(void **state)
{
	uint8_t kek[32] = { 1 }, other[32] = { 2 }, plain[40] = "a key";
	uint8_t out[64];
	AUTO_SECRET back = { 0 };
	size_t len;

	(void)state;
	assert_int_equal(
	    crypto_kwp_wrap(bytes_of(kek, 32), bytes_of(plain, 40), out, &len),
	    HF_OK);
	assert_int_equal(
	    crypto_kwp_unwrap(bytes_of(other, 32), bytes_of(out, len), &back),
	    HF_ERR_AUTH_FAILED);
	for (size_t i = 0; i < 8 * len; i++) {
		out[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(crypto_kwp_unwrap(bytes_of(kek, 32),
				     bytes_of(out, len), &back),
		    HF_ERR_AUTH_FAILED);
		out[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(crypto_kwp_unwrap(bytes_of(kek, 32),
				     bytes_of(out, cut), &back),
		    HF_ERR_AUTH_FAILED);
	assert_null(back.ptr);
}

static void
refuses_keys_and_inputs_of_odd_sizes(void **state)
{
	static uint8_t plain[8193], out[8300];
	AUTO_SECRET back = { 0 };
	size_t len;

	(void)state;
	assert_int_equal(
	    crypto_kwp_wrap(bytes_of(plain, 16), bytes_of(plain, 8), out, &len),
	    HF_ERR_BAD_INPUT);
	assert_int_equal(
	    crypto_kwp_wrap(bytes_of(plain, 32), bytes_of(plain, 0), out, &len),
	    HF_ERR_BAD_INPUT);
	assert_int_equal(crypto_kwp_wrap(bytes_of(plain, 32),
			     bytes_of(plain, 8193), out, &len),
	    HF_ERR_BAD_INPUT);
	assert_int_equal(
	    crypto_kwp_unwrap(bytes_of(plain, 33), bytes_of(plain, 16), &back),
	    HF_ERR_BAD_INPUT);
}

/* -- RSA and AES together -- */

static void
rsa_wrap_is_oaep_of_a_key_and_kwp_under_it(void **state)
{
	const struct key_type *type = key_type_by_id(KEY_RSA_2048);
	struct hf_bytes target = bytes_of("the target", 10);
	AUTO_SECRET pkcs8 = { 0 };
	AUTO_SECRET back = { 0 };
	struct crypto_key *key;
	uint8_t blob[512], kek[256];
	size_t len, kek_len;

	(void)state;
	assert_int_equal(crypto_generate(type, 0, &pkcs8), HF_OK);
	assert_int_equal(
	    crypto_key_private(type, secret_view(&pkcs8), &key), HF_OK);
	assert_int_equal(crypto_rsa_wrap(key, target, blob, &len), HF_OK);
	assert_int_equal(len, 256 + 24);
	assert_int_equal(
	    crypto_oaep_decrypt(key, bytes_of(blob, 256), kek, &kek_len),
	    HF_OK);
	assert_int_equal(kek_len, CRYPTO_KWP_KEY);
	assert_int_equal(crypto_kwp_unwrap(bytes_of(kek, kek_len),
			     bytes_of(blob + 256, len - 256), &back),
	    HF_OK);
	assert_bytes(secret_view(&back), target);
	crypto_key_free(key);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wraps_the_examples_of_rfc_5649),
		cmocka_unit_test(opens_what_it_wrapped_at_every_length),
		cmocka_unit_test(
		    refuses_what_another_key_wrapped_or_was_changed),
		cmocka_unit_test(refuses_keys_and_inputs_of_odd_sizes),
		cmocka_unit_test(rsa_wrap_is_oaep_of_a_key_and_kwp_under_it),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
