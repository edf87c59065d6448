/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/crypto_pkcs8.h"

#include "crypto_support.h"

/* The promises of crypto_pkcs8.h. */

/* A P-256 key of RFC 6979, appendix A.2.5, as SEC1 DER (RFC 5915). */
static const char sec1[] =
    "30310201010420"
    "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721"
    "a00a06082a8648ce3d030107";
static const char sec1_pem[] =
    "-----BEGIN EC PRIVATE KEY-----\n"
    "MDECAQEEIMmvqdhFunUWa1whV2ex1pNOUMPbNuibEnuKYisSD2choAoGCCqGSM49\n"
    "AwEH\n"
    "-----END EC PRIVATE KEY-----\n";

static void
reads_an_ec_key_as_der_and_as_pem(void **state)
{
	const struct key_type *type = key_type_by_id(KEY_ECDSA_P256);
	AUTO_SECRET one = { 0 };
	AUTO_SECRET two = { 0 };
	struct crypto_key *key;
	uint8_t der[128];

	(void)state;
	assert_int_equal(crypto_private_read(unhex(sec1, der), &one), HF_OK);
	assert_int_equal(
	    crypto_private_read(bytes_of(sec1_pem, strlen(sec1_pem)), &two),
	    HF_OK);
	assert_bytes(secret_view(&one), secret_view(&two));
	assert_int_equal(
	    crypto_key_private(type, secret_view(&one), &key), HF_OK);
	crypto_key_free(key);
}

static void
reads_what_it_writes(void **state)
{
	static const enum key_type_id ids[] = { KEY_ECDSA_P256, KEY_ECDSA_P384,
		KEY_ECDSA_P521, KEY_ED25519, KEY_RSA_2048 };

	(void)state;
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		AUTO_SECRET pkcs8 = { 0 };
		AUTO_SECRET pem = { 0 };
		AUTO_SECRET back = { 0 };
		const char *text;

		assert_int_equal(
		    crypto_generate(key_type_by_id(ids[i]), 0, &pkcs8), HF_OK);
		assert_int_equal(
		    crypto_private_pem(secret_view(&pkcs8), &pem), HF_OK);
		text = (const char *)pem.ptr;
		assert_int_equal(strlen(text), pem.len - 1);
		assert_true(text_starts(
		    text_of(text), TEXT("-----BEGIN PRIVATE KEY-----\n")));
		assert_int_equal(
		    crypto_private_read(bytes_of(pem.ptr, pem.len - 1), &back),
		    HF_OK);
		assert_bytes(secret_view(&back), secret_view(&pkcs8));
	}
}

static void
refuses_what_is_no_private_key(void **state)
{
	static const char public_pem[] =
	    "-----BEGIN PUBLIC KEY-----\n"
	    "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
	    "-----END PUBLIC KEY-----\n";
	uint8_t noise[64];
	AUTO_SECRET out = { 0 };

	(void)state;
	assert_int_equal(
	    crypto_private_read(bytes_of(public_pem, strlen(public_pem)), &out),
	    HF_ERR_BAD_INPUT);
	for (unsigned i = 0; i < 200; i++) {
		assert_int_equal(crypto_random(noise, sizeof(noise)), HF_OK);
		assert_int_equal(
		    crypto_private_read(
			bytes_of(noise, 1 + i % sizeof(noise)), &out),
		    HF_ERR_BAD_INPUT);
	}
	assert_int_equal(
	    crypto_private_read(bytes_of(noise, 0), &out), HF_ERR_BAD_INPUT);
	assert_null(out.ptr);
}

/* RFC 8032, section 7.1, test 1: the seed as PKCS#8 has it (RFC 8410). */
static const char ed25519_pkcs8[] =
    "302e020100300506032b657004220420"
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
static const char ed25519_public[] =
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

static void
tells_both_halves_of_an_ed25519_key(void **state)
{
	struct blob pkcs8 = hex(ed25519_pkcs8), public = hex(ed25519_public);
	struct crypto_key *key;
	AUTO_SECRET seed = { 0 };
	uint8_t out[32];

	(void)state;
	assert_ok(crypto_key_private(type_of("ed25519"), view(&pkcs8), &key));
	assert_ok(crypto_ed25519_seed(key, &seed));
	assert_bytes(secret_view(&seed), bytes_of(pkcs8.bytes + 16, 32));
	assert_ok(crypto_ed25519_public(key, out));
	assert_bytes(bytes_of(out, sizeof(out)), view(&public));
	crypto_key_free(key);
}

static void
tells_the_halves_of_no_other_key(void **state)
{
	struct crypto_key *key;
	AUTO_SECRET pkcs8 = { 0 };
	AUTO_SECRET seed = { 0 };
	uint8_t out[32];

	(void)state;
	assert_ok(crypto_generate(type_of("ecdsa-p256"), 0, &pkcs8));
	assert_ok(crypto_key_private(
	    type_of("ecdsa-p256"), secret_view(&pkcs8), &key));
	assert_err(crypto_ed25519_seed(key, &seed), HF_ERR_KEY_TYPE);
	assert_err(crypto_ed25519_public(key, out), HF_ERR_KEY_TYPE);
	assert_null(seed.ptr);
	crypto_key_free(key);
}

static void
a_public_half_gives_nothing_private(void **state)
{
	static const char *const types[] = { "ecdsa-p256", "ed25519" };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct crypto_key *key, *public;
		AUTO_SECRET pkcs8 = { 0 };
		AUTO_SECRET back = { 0 };
		AUTO_SECRET none = { 0 };
		uint8_t spki[SPKI_MAX];
		size_t len;

		assert_ok(crypto_generate(type_of(types[i]), 0, &pkcs8));
		assert_ok(crypto_key_private(
		    type_of(types[i]), secret_view(&pkcs8), &key));
		assert_ok(crypto_key_pkcs8(key, &back));
		assert_bytes(secret_view(&back), secret_view(&pkcs8));
		assert_ok(crypto_key_spki(key, spki, sizeof(spki), &len));
		assert_ok(crypto_key_public(
		    type_of(types[i]), bytes_of(spki, len), &public));
		assert_err(
		    crypto_key_pkcs8(public, &none), HF_ERR_NO_PRIVATE_PART);
		assert_err(crypto_ed25519_seed(public, &none),
		    i == 0 ? HF_ERR_KEY_TYPE : HF_ERR_NO_PRIVATE_PART);
		assert_null(none.ptr);
		crypto_key_free(public);
		crypto_key_free(key);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_an_ec_key_as_der_and_as_pem),
		cmocka_unit_test(reads_what_it_writes),
		cmocka_unit_test(refuses_what_is_no_private_key),
		cmocka_unit_test(tells_both_halves_of_an_ed25519_key),
		cmocka_unit_test(tells_the_halves_of_no_other_key),
		cmocka_unit_test(a_public_half_gives_nothing_private),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
