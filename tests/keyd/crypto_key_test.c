/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto_support.h"
#include "hoard.h"
#include "memory_search.h"

#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

static const char *const pair_names[] = { "ecdsa-p256", "ecdsa-p384",
	"ecdsa-p521", "ed25519", "rsa-2048" };
enum { PAIRS = sizeof(pair_names) / sizeof(pair_names[0]) };

/* -- Making keys -- */

static void
generates_symmetric_keys_of_their_size(void **state)
{
	static const char *const names[] = { "aes256-gcm96", "aes192-gcm96",
		"aes128-gcm96", "chacha20-poly1305" };

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		AUTO_SECRET one = { 0 };
		AUTO_SECRET two = { 0 };

		assert_ok(crypto_generate(type_of(names[i]), 0, &one));
		assert_ok(crypto_generate(type_of(names[i]), 0, &two));
		assert_int_equal(one.len, type_of(names[i])->size);
		assert_memory_not_equal(one.ptr, two.ptr, one.len);
	}
}

static void
generates_hmac_keys_of_the_size_asked_for(void **state)
{
	static const size_t sizes[] = { 32, 33, 512 };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		AUTO_SECRET key = { 0 };

		assert_ok(crypto_generate(type_of("hmac"), sizes[i], &key));
		assert_int_equal(key.len, sizes[i]);
	}
}

static void
refuses_hmac_keys_too_short_or_too_long(void **state)
{
	static const size_t sizes[] = { 0, 16, 31, 513, SIZE_MAX };

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		AUTO_SECRET key = { 0 };

		assert_err(crypto_generate(type_of("hmac"), sizes[i], &key),
		    HF_ERR_OUT_OF_BOUNDS);
		assert_null(key.ptr);
	}
}

static void
generates_pairs_that_load_as_their_type_only(void **state)
{
	(void)state;
	for (size_t i = 0; i < PAIRS; i++) {
		AUTO_SECRET material = { 0 };

		assert_ok(
		    crypto_generate(type_of(pair_names[i]), 0, &material));
		for (size_t t = 0; t < key_types_count; t++) {
			const struct key_type *type = &key_types[t];
			bool same = type == type_of(pair_names[i]);
			struct crypto_key *key = NULL;

			assert_err(crypto_key_private(
				       type, secret_view(&material), &key),
			    same ? HF_OK : HF_ERR_KEY_TYPE);
			crypto_key_free(key);
		}
	}
}

/* Full memory is told as that, and a key never goes elsewhere. */
static void
says_so_when_locked_memory_is_full(void **state)
{
	static struct hoard hoard;
	struct blob pkcs8 = vector("rsa2048.pkcs8.der");
	struct crypto_key *key = private_key("rsa-2048", view(&pkcs8)), *more;
	struct sign_how how = { .scheme = SIGN_PKCS1V15,
		.hash = hash_of("sha2-256") };
	uint8_t out[CRYPTO_SIGNATURE_MAX];
	AUTO_SECRET material = { 0 };
	size_t len;

	(void)state;
	more = NULL;
	if (!hoard_fill(&hoard)) {
		crypto_key_free(key);
		skip(); /* there is no end of it */
	}
	assert_err(crypto_key_private(type_of("rsa-2048"), view(&pkcs8), &more),
	    HF_ERR_NO_MEMORY);
	assert_err(crypto_generate(type_of("ecdsa-p256"), 0, &material),
	    HF_ERR_NO_MEMORY);
	assert_null(more);
	assert_null(material.ptr);
	/* Those that are there go on working. */
	assert_ok(crypto_sign(key, &how, ascii("m"), out, &len));
	hoard_free(&hoard);
	crypto_key_free(private_key("rsa-2048", view(&pkcs8)));
	crypto_key_free(key);
}

/* -- Nothing left behind -- */

/* `from` is where in the PKCS#8 the private number stands. */
static void
assert_nothing_left(const char *type, size_t from)
{
	struct sign_how how = { .scheme = SIGN_PKCS1V15,
		.hash = hash_of("sha2-256") };
	uint8_t inverted[NEEDLE], out[CRYPTO_SIGNATURE_MAX];
	size_t len;
	AUTO_SECRET material = { 0 };

	assert_ok(crypto_generate(type_of(type), 0, &material));
	needle_make(material.ptr + from, inverted);
	assert_true(process_holds(inverted, ANYWHERE));

	struct crypto_key *key = private_key(type, secret_view(&material));

	if (type_of(type)->family != FAMILY_RSA)
		how.scheme = type_of(type)->family == FAMILY_EC ? SIGN_ECDSA
								: SIGN_EDDSA;
	assert_ok(crypto_sign(key, &how, ascii("m"), out, &len));
	if (heap_use().limit > 0) /* not under AddressSanitizer */
		assert_false(process_holds(inverted, NOT_LOCKED));
	crypto_key_free(key);
	secret_free(&material);
	assert_false(process_holds(inverted, ANYWHERE));
}

static void
keeps_private_keys_in_locked_memory_and_leaves_none(void **state)
{
	(void)state;
	assert_nothing_left("ecdsa-p256", 40); /* in d */
	assert_nothing_left("ed25519", 18);    /* in the seed */
	assert_nothing_left("rsa-2048", 340);  /* in d */
	assert_nothing_left("rsa-2048", 600);  /* in p */
}

/* -- Keys that are not what they should be -- */

static void
assert_file_refused(const char *name, const char *type, enum hf_err err)
{
	struct blob pkcs8 = vector(name);
	struct crypto_key *key = NULL;

	assert_err(crypto_key_private(type_of(type), view(&pkcs8), &key), err);
	assert_null(key);
	assert_int_equal(ERR_peek_error(), 0);
}

static void
refuses_odd_keys(void **state)
{
	(void)state;
	assert_file_refused(
	    "rsa2048_e3.pkcs8.der", "rsa-2048", HF_ERR_BAD_INPUT);
	assert_file_refused(
	    "rsapss2048.pkcs8.der", "rsa-2048", HF_ERR_KEY_TYPE);
	assert_file_refused(
	    "secp256k1.pkcs8.der", "ecdsa-p256", HF_ERR_KEY_TYPE);
	assert_file_refused("rsa2048.pkcs8.der", "rsa-3072", HF_ERR_KEY_TYPE);
	assert_file_refused("rsa2048.pkcs8.der", "hmac", HF_ERR_KEY_TYPE);
	assert_file_refused(
	    "rsa2048.pkcs8.der", "aes256-gcm96", HF_ERR_KEY_TYPE);
	assert_file_refused("rsa2048.spki.der", "rsa-2048", HF_ERR_BAD_INPUT);
}

static void
refuses_a_curve_that_is_spelt_out(void **state)
{
	struct blob pkcs8 = vector("p256_explicit.pkcs8.der");
	struct crypto_key *key = NULL;

	(void)state;
	assert_err(
	    crypto_key_private(type_of("ecdsa-p256"), view(&pkcs8), &key),
	    HF_ERR_BAD_INPUT);
}

static void
refuses_halves_that_do_not_belong_together(void **state)
{
	AUTO_SECRET one = { 0 };
	AUTO_SECRET two = { 0 };
	struct crypto_key *key = NULL;
	const struct key_type *type = type_of("ecdsa-p256");

	(void)state;
	assert_ok(crypto_generate(type, 0, &one));
	assert_ok(crypto_generate(type, 0, &two));
	assert_int_equal(one.len, two.len);
	/* The public point is the end of it. */
	memcpy(one.ptr + one.len - 64, two.ptr + two.len - 64, 64);
	assert_err(crypto_key_private(type, secret_view(&one), &key),
	    HF_ERR_BAD_INPUT);
}

static void
refuses_an_rsa_key_with_a_wrong_modulus(void **state)
{
	struct blob pkcs8 = vector("rsa2048.pkcs8.der");
	struct crypto_key *key = NULL;

	(void)state;
	pkcs8.bytes[100] ^= 1; /* within n */
	assert_err(crypto_key_private(type_of("rsa-2048"), view(&pkcs8), &key),
	    HF_ERR_BAD_INPUT);
}

static void
refuses_pkcs8_cut_or_with_something_after_it(void **state)
{
	struct crypto_key *key = NULL;
	AUTO_SECRET material = { 0 };
	AUTO_SECRET longer = { 0 };
	const struct key_type *type = type_of("ecdsa-p256");

	(void)state;
	assert_ok(crypto_generate(type, 0, &material));
	for (size_t len = 0; len < material.len; len++)
		assert_err(
		    crypto_key_private(type, bytes_of(material.ptr, len), &key),
		    HF_ERR_BAD_INPUT);
	assert_ok(secret_alloc(&longer, material.len + 1));
	memcpy(longer.ptr, material.ptr, material.len);
	assert_err(crypto_key_private(type, secret_view(&longer), &key),
	    HF_ERR_BAD_INPUT);
	assert_null(key);
}

static void
refuses_public_keys_that_are_none(void **state)
{
	struct blob spki = vector("rsa2048.spki.der");
	struct crypto_key *key = NULL;

	(void)state;
	assert_err(crypto_key_public(type_of("rsa-4096"), view(&spki), &key),
	    HF_ERR_KEY_TYPE);
	assert_err(crypto_key_public(type_of("ecdsa-p256"), view(&spki), &key),
	    HF_ERR_KEY_TYPE);
	assert_err(crypto_key_public(type_of("hmac"), view(&spki), &key),
	    HF_ERR_KEY_TYPE);
	for (size_t len = 0; len < spki.len; len++)
		assert_err(crypto_key_public(type_of("rsa-2048"),
			       bytes_of(spki.bytes, len), &key),
		    HF_ERR_BAD_INPUT);
	spki.bytes[spki.len++] = 0;
	assert_err(crypto_key_public(type_of("rsa-2048"), view(&spki), &key),
	    HF_ERR_BAD_INPUT);
	assert_null(key);
	assert_int_equal(ERR_peek_error(), 0);
}

static void
refuses_public_exponents_out_of_range(void **state)
{
	static const char *const exponents[] = { "03", "ff", "ffff",
		"010000000000000001" };
	struct crypto_key *key = NULL;
	uint8_t modulus[256];

	(void)state;
	memset(modulus, 0xff, sizeof(modulus));
	for (size_t i = 0; i < 4; i++) {
		struct blob e = hex(exponents[i]), spki;

		assert_ok(crypto_spki_rsa(
		    bytes_of(modulus, 256), view(&e), spki.bytes, &spki.len));
		assert_err(
		    crypto_key_public(type_of("rsa-2048"), view(&spki), &key),
		    HF_ERR_BAD_INPUT);
	}
	assert_null(key);
}

static void
refuses_a_point_off_the_curve(void **state)
{
	struct crypto_key *key = fresh_key("ecdsa-p256");
	struct crypto_key *public = NULL;
	struct blob spki, out;

	(void)state;
	assert_ok(
	    crypto_key_spki(key, spki.bytes, sizeof(spki.bytes), &spki.len));
	spki.bytes[spki.len - 1] ^= 1;
	assert_err(
	    crypto_key_public(type_of("ecdsa-p256"), view(&spki), &public),
	    HF_ERR_BAD_INPUT);
	assert_err(
	    crypto_spki_ec(type_of("ecdsa-p256"),
		bytes_of(spki.bytes + spki.len - 65, 65), out.bytes, &out.len),
	    HF_ERR_BAD_INPUT);
	crypto_key_free(key);
}

/* A SubjectPublicKeyInfo whose BIT STRING holds the one byte 0. */
static void
refuses_the_point_at_infinity(void **state)
{
	struct blob spki = hex("3019301306072a8648ce3d020106082a8648ce3d030107"
			       "03020000");
	struct crypto_key *key = NULL;

	(void)state;
	assert_err(crypto_key_public(type_of("ecdsa-p256"), view(&spki), &key),
	    HF_ERR_BAD_INPUT);
}

static void
frees_no_key(void **state)
{
	(void)state;
	crypto_key_free(NULL);
}

/* -- Public keys as DER and PEM -- */

static void
public_keys_go_through_der_and_pem(void **state)
{
	(void)state;
	for (size_t i = 0; i < PAIRS; i++) {
		struct crypto_key *key = fresh_key(pair_names[i]);
		struct crypto_key *public;
		struct blob der, again;
		char pem[2048];

		assert_ok(crypto_key_spki(key, der.bytes, 1024, &der.len));
		assert_ok(crypto_spki_pem(view(&der), pem, sizeof(pem)));
		assert_ok(crypto_pem_spki(
		    text_of(pem), again.bytes, 1024, &again.len));
		assert_int_equal(again.len, der.len);
		assert_memory_equal(again.bytes, der.bytes, der.len);
		public = public_key(pair_names[i], view(&again));
		assert_ok(
		    crypto_key_spki(public, again.bytes, 1024, &again.len));
		assert_memory_equal(again.bytes, der.bytes, der.len);
		crypto_key_free(public);
		crypto_key_free(key);
	}
}

static void
pem_is_that_of_openssl(void **state)
{
	struct blob spki = vector("rsa2048.spki.der");
	const uint8_t *p = spki.bytes;
	EVP_PKEY *pkey = d2i_PUBKEY(NULL, &p, (long)spki.len);
	BIO *bio = BIO_new(BIO_s_mem());
	char *expected, pem[2048];
	long len;

	(void)state;
	assert_int_equal(PEM_write_bio_PUBKEY(bio, pkey), 1);
	len = BIO_get_mem_data(bio, &expected);
	assert_ok(crypto_spki_pem(view(&spki), pem, sizeof(pem)));
	assert_int_equal(strlen(pem), len);
	assert_memory_equal(pem, expected, (size_t)len);
	BIO_free(bio);
	EVP_PKEY_free(pkey);
}

static void
small_buffers_are_refused_unwritten(void **state)
{
	struct blob spki = vector("rsa2048.spki.der");
	struct crypto_key *key = public_key("rsa-2048", view(&spki));
	char pem[2048], small[2048];
	uint8_t out[1024] = { 0 };
	size_t len = 7;

	(void)state;
	assert_ok(crypto_spki_pem(view(&spki), pem, sizeof(pem)));
	assert_err(crypto_key_spki(key, out, spki.len - 1, &len),
	    HF_ERR_BUFFER_TOO_SMALL);
	assert_err(crypto_spki_pem(view(&spki), small, strlen(pem)),
	    HF_ERR_BUFFER_TOO_SMALL);
	assert_ok(crypto_spki_pem(view(&spki), small, strlen(pem) + 1));
	assert_err(crypto_pem_spki(text_of(pem), out, spki.len - 1, &len),
	    HF_ERR_BUFFER_TOO_SMALL);
	assert_int_equal(len, 7);
	assert_int_equal(out[0], 0);
	crypto_key_free(key);
}

static void
assert_pem_refused(const char *pem)
{
	uint8_t out[1024];
	size_t len;

	assert_err(crypto_pem_spki(text_of(pem), out, sizeof(out), &len),
	    HF_ERR_BAD_INPUT);
	assert_int_equal(ERR_peek_error(), 0);
}

static void
pem_of_something_else_is_refused(void **state)
{
	(void)state;
	assert_pem_refused("");
	assert_pem_refused("MCowBQYDK2VwAyEA");
	assert_pem_refused("-----BEGIN PUBLIC KEY-----\n");
	assert_pem_refused("-----BEGIN PUBLIC KEY-----\nAAAA\n");
	assert_pem_refused("-----BEGIN PUBLIC KEY-----\n"
			   "-----END PUBLIC KEY-----\n");
	assert_pem_refused("-----BEGIN PUBLIC KEY-----\nA*AA\n"
			   "-----END PUBLIC KEY-----\n");
	assert_pem_refused("-----BEGIN CERTIFICATE-----\nAAAA\n"
			   "-----END CERTIFICATE-----\n");
	assert_pem_refused("-----BEGIN PUBLIC KEY-----\nAAAA\n"
			   "-----END PUBLIC KEY-----\nmore\n");
	assert_pem_refused("-----BEGIN PUBLIC KEY-----\nProc-Type: 4\n\nAAAA\n"
			   "-----END PUBLIC KEY-----\n");
}

static void
pem_lines_may_end_with_carriage_returns(void **state)
{
	uint8_t out[16];
	size_t len = 0;

	(void)state;
	assert_ok(crypto_pem_spki(TEXT("-----BEGIN PUBLIC KEY-----\r\nAAAA\r\n"
				       "-----END PUBLIC KEY-----\r\n \t\r\n"),
	    out, sizeof(out), &len));
	assert_int_equal(len, 3);
}

static void
pem_of_no_der_is_refused(void **state)
{
	static uint8_t der[1025];
	char pem[2048];

	(void)state;
	assert_err(crypto_spki_pem(bytes_of(der, 0), pem, sizeof(pem)),
	    HF_ERR_BAD_INPUT);
	assert_err(crypto_spki_pem(bytes_of(der, 1025), pem, sizeof(pem)),
	    HF_ERR_BAD_INPUT);
	assert_ok(crypto_spki_pem(bytes_of(der, 1024), pem, sizeof(pem)));
}

/* -- Public keys as an HSM tells them -- */

/* The file's key: SubjectPublicKeyInfo ends with n (256 bytes) and e. */
static void
builds_rsa_public_keys_from_modulus_and_exponent(void **state)
{
	struct blob spki = vector("rsa2048.spki.der"), out;
	struct hf_bytes n = bytes_of(spki.bytes + spki.len - 261, 256);
	struct hf_bytes e = bytes_of(spki.bytes + spki.len - 3, 3);
	/* The sign byte of the INTEGER stands before n. */
	struct hf_bytes longer = bytes_of(n.ptr - 1, 257);

	(void)state;
	assert_ok(crypto_spki_rsa(n, e, out.bytes, &out.len));
	assert_int_equal(out.len, spki.len);
	assert_memory_equal(out.bytes, spki.bytes, spki.len);
	assert_ok(crypto_spki_rsa(longer, e, out.bytes, &out.len));
	assert_memory_equal(out.bytes, spki.bytes, spki.len);
}

static void
refuses_rsa_numbers_that_are_none(void **state)
{
	static const uint8_t zero[600];
	uint8_t ones[514], out[1024];
	size_t len;

	(void)state;
	memset(ones, 0xff, sizeof(ones));
	assert_err(
	    crypto_spki_rsa(bytes_of(ones, 0), bytes_of(ones, 3), out, &len),
	    HF_ERR_BAD_INPUT);
	assert_err(
	    crypto_spki_rsa(bytes_of(ones, 256), bytes_of(ones, 0), out, &len),
	    HF_ERR_BAD_INPUT);
	assert_err(
	    crypto_spki_rsa(bytes_of(ones, 514), bytes_of(ones, 3), out, &len),
	    HF_ERR_BAD_INPUT);
	assert_err(
	    crypto_spki_rsa(bytes_of(zero, 256), bytes_of(ones, 3), out, &len),
	    HF_ERR_BAD_INPUT);
	assert_err(
	    crypto_spki_rsa(bytes_of(ones, 256), bytes_of(zero, 3), out, &len),
	    HF_ERR_BAD_INPUT);
}

/* The point stands at the end of a SubjectPublicKeyInfo. */
static void
builds_ec_public_keys_from_a_point_bare_or_in_der(void **state)
{
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		const struct key_type *type = type_of(pair_names[i]);
		size_t size =
		    type->family == FAMILY_EC ? 1 + 2 * type->size : 32;
		struct crypto_key *key = fresh_key(pair_names[i]);
		struct blob spki, out, wrapped = { .len = 0 };
		const uint8_t *point;

		assert_ok(crypto_key_spki(key, spki.bytes, 1024, &spki.len));
		point = spki.bytes + spki.len - size;
		assert_ok(crypto_spki_ec(
		    type, bytes_of(point, size), out.bytes, &out.len));
		assert_int_equal(out.len, spki.len);
		assert_memory_equal(out.bytes, spki.bytes, spki.len);

		wrapped.bytes[wrapped.len++] = 0x04;
		if (size >= 128)
			wrapped.bytes[wrapped.len++] = 0x81;
		wrapped.bytes[wrapped.len++] = (uint8_t)size;
		memcpy(wrapped.bytes + wrapped.len, point, size);
		wrapped.len += size;
		assert_ok(
		    crypto_spki_ec(type, view(&wrapped), out.bytes, &out.len));
		assert_memory_equal(out.bytes, spki.bytes, spki.len);
		wrapped.bytes[0] = 0x03;
		assert_err(
		    crypto_spki_ec(type, view(&wrapped), out.bytes, &out.len),
		    HF_ERR_BAD_INPUT);
		crypto_key_free(key);
	}
}

static void
refuses_points_of_another_length(void **state)
{
	static const uint8_t point[140] = { 0x04 };
	uint8_t out[1024];
	size_t len;

	(void)state;
	for (size_t n = 0; n < sizeof(point); n++)
		assert_err(crypto_spki_ec(type_of("ecdsa-p256"),
			       bytes_of(point, n), out, &len),
		    HF_ERR_BAD_INPUT);
	assert_err(
	    crypto_spki_ec(type_of("rsa-2048"), bytes_of(point, 65), out, &len),
	    HF_ERR_KEY_TYPE);
	assert_err(
	    crypto_spki_ec(type_of("hmac"), bytes_of(point, 65), out, &len),
	    HF_ERR_KEY_TYPE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(generates_symmetric_keys_of_their_size),
		cmocka_unit_test(generates_hmac_keys_of_the_size_asked_for),
		cmocka_unit_test(refuses_hmac_keys_too_short_or_too_long),
		cmocka_unit_test(generates_pairs_that_load_as_their_type_only),
		cmocka_unit_test(says_so_when_locked_memory_is_full),
		cmocka_unit_test(
		    keeps_private_keys_in_locked_memory_and_leaves_none),
		cmocka_unit_test(refuses_odd_keys),
		cmocka_unit_test(refuses_a_curve_that_is_spelt_out),
		cmocka_unit_test(refuses_halves_that_do_not_belong_together),
		cmocka_unit_test(refuses_an_rsa_key_with_a_wrong_modulus),
		cmocka_unit_test(refuses_pkcs8_cut_or_with_something_after_it),
		cmocka_unit_test(refuses_public_keys_that_are_none),
		cmocka_unit_test(refuses_public_exponents_out_of_range),
		cmocka_unit_test(refuses_a_point_off_the_curve),
		cmocka_unit_test(refuses_the_point_at_infinity),
		cmocka_unit_test(frees_no_key),
		cmocka_unit_test(public_keys_go_through_der_and_pem),
		cmocka_unit_test(pem_is_that_of_openssl),
		cmocka_unit_test(small_buffers_are_refused_unwritten),
		cmocka_unit_test(pem_of_something_else_is_refused),
		cmocka_unit_test(pem_lines_may_end_with_carriage_returns),
		cmocka_unit_test(pem_of_no_der_is_refused),
		cmocka_unit_test(
		    builds_rsa_public_keys_from_modulus_and_exponent),
		cmocka_unit_test(refuses_rsa_numbers_that_are_none),
		cmocka_unit_test(
		    builds_ec_public_keys_from_a_point_bare_or_in_der),
		cmocka_unit_test(refuses_points_of_another_length),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
