/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/crypto_xchacha.h"

#include "crypto_support.h"

/* KT4: the examples of draft-irtf-cfrg-xchacha-03. */

/* Section 2.2.1. */
static void
hchacha20_gives_the_key_of_the_draft(void **state)
{
	uint8_t key[32], nonce[16], want[32], out[32];

	(void)state;
	(void)unhex("000102030405060708090a0b0c0d0e0f"
		    "101112131415161718191a1b1c1d1e1f",
	    key);
	(void)unhex("000000090000004a0000000031415927", nonce);
	(void)unhex("82413b4227b27bfed30e42508a877d73"
		    "a0f9e4d58a74a853c12ec41326d3ecdc",
	    want);
	assert_int_equal(crypto_hchacha20(key, nonce, out), HF_OK);
	assert_memory_equal(out, want, 32);
}

/* Appendix A.3.1. */
static const char text[] =
    "Ladies and Gentlemen of the class of '99: If I could offer you only one "
    "tip for the future, sunscreen would be it.";
static const char sealed_hex[] =
    "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
    "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
    "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
    "21f9664c97637da9768812f615c68b13b52e"
    "c0875924c1c7987947deafd8780acf49";

static void
seals_and_opens_the_example_of_the_draft(void **state)
{
	const struct key_type *type =
	    key_type_by_name(TEXT("xchacha20-poly1305"));
	uint8_t k[32], n[24], a[12], s[256], out[256];
	struct hf_bytes key = unhex("808182838485868788898a8b8c8d8e8f"
				    "909192939495969798999a9b9c9d9e9f",
	    k);
	struct hf_bytes nonce =
	    unhex("404142434445464748494a4b4c4d4e4f5051525354555657", n);
	struct hf_bytes aad = unhex("50515253c0c1c2c3c4c5c6c7", a);
	struct hf_bytes sealed = unhex(sealed_hex, s);
	struct hf_bytes plain = bytes_of(text, strlen(text));

	(void)state;
	assert_int_equal(plain.len + 16, sealed.len);
	assert_int_equal(crypto_seal(type, key, nonce, aad, plain, out), HF_OK);
	assert_memory_equal(out, sealed.ptr, sealed.len);
	assert_int_equal(
	    crypto_open(type, key, nonce, aad, sealed, out), HF_OK);
	assert_memory_equal(out, plain.ptr, plain.len);
	for (size_t i = 0; i < sizeof(n); i++) {
		n[i] ^= 1;
		assert_int_equal(
		    crypto_open(type, key, nonce, aad, sealed, out),
		    HF_ERR_AUTH_FAILED);
		n[i] ^= 1;
	}
}

static void
refuses_keys_and_nonces_of_other_lengths(void **state)
{
	const struct key_type *type = key_type_by_id(KEY_XCHACHA20_POLY1305);
	static const uint8_t b[64];
	uint8_t out[64];
	struct hf_bytes none = { NULL, 0 };

	(void)state;
	assert_int_equal(crypto_seal(type, bytes_of(b, 31), bytes_of(b, 24),
			     none, none, out),
	    HF_ERR_BAD_INPUT);
	assert_int_equal(crypto_seal(type, bytes_of(b, 32), bytes_of(b, 12),
			     none, none, out),
	    HF_ERR_BAD_INPUT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hchacha20_gives_the_key_of_the_draft),
		cmocka_unit_test(seals_and_opens_the_example_of_the_draft),
		cmocka_unit_test(refuses_keys_and_nonces_of_other_lengths),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
