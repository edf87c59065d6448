/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors.h"

#include "../../keyd/crypto_derive.h"
#include "../../keyd/crypto_mode.h"
#include "../../keyd/crypto_wrap.h"

/*
 * Wycheproof: what implementations got wrong before, for each mechanism of
 * transit (tests/vectors/wycheproof). A case that is "acceptable" there may go
 * either way. What no key of ours can be, or no operation asks for, is passed
 * over; each test says how many it must have tried.
 */
#define FOLDER TEST_SOURCE_DIR "/tests/vectors/wycheproof/"

static size_t
walk(const char *file, case_fn *fn)
{
	return walk_in(FOLDER, file, "result", "result", fn);
}

static void
judge(const struct group *g, enum hf_err err)
{
	const char *result = get(g, "result");

	if (strcmp(result, "acceptable") == 0)
		return;
	if ((err == HF_OK) != (strcmp(result, "valid") == 0))
		fail_msg("%s: %s", result, hf_err_name(err));
}

static bool
is_valid(const struct group *g)
{
	return strcmp(get(g, "result"), "valid") == 0;
}

static void
values(const struct group *g, const char *const *names, size_t count,
    struct value *out)
{
	for (size_t i = 0; i < count; i++)
		out[i] = bytes_named(g, names[i]);
}

static void
free_values(struct value *v, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(v[i].ptr);
}

/* -- AEAD -- */

static bool
aead_case(const struct group *g, const struct key_type *t)
{
	static const char *const names[] = { "key", "iv", "aad", "msg", "ct",
		"tag" };
	struct value v[6];
	uint8_t *sealed, *out;
	enum hf_err err;
	bool tried;

	values(g, names, 6, v);
	tried =
	    v[0].len == t->size && v[1].len == t->nonce && v[5].len == t->tag;
	sealed = malloc(v[4].len + v[5].len + 1);
	out = malloc(v[4].len + v[5].len + 64);
	assert_non_null(sealed);
	assert_non_null(out);
	if (tried) {
		memcpy(sealed, v[4].ptr, v[4].len);
		memcpy(sealed + v[4].len, v[5].ptr, v[5].len);
		err = crypto_open(t, of(&v[0]), of(&v[1]), of(&v[2]),
		    bytes_of(sealed, v[4].len + v[5].len), out);
		judge(g, err);
		if (is_valid(g)) {
			assert_memory_equal(out, v[3].ptr, v[3].len);
			assert_ok(crypto_seal(t, of(&v[0]), of(&v[1]),
			    of(&v[2]), of(&v[3]), out));
			assert_memory_equal(out, sealed, v[4].len + v[5].len);
		}
	}
	free(sealed);
	free(out);
	free_values(v, 6);
	return tried;
}

static bool
gcm_case(const struct group *g)
{
	const char *key = get(g, "key");

	return aead_case(g,
	    key_type_by_name(strlen(key) == 32 ? TEXT("aes128-gcm96")
		    : strlen(key) == 48        ? TEXT("aes192-gcm96")
					       : TEXT("aes256-gcm96")));
}

static bool
chacha_case(const struct group *g)
{
	return aead_case(g, key_type_by_name(TEXT("chacha20-poly1305")));
}

static bool
xchacha_case(const struct group *g)
{
	return aead_case(g, key_type_by_name(TEXT("xchacha20-poly1305")));
}

static void
KT1_KT2_aes_gcm(void **state)
{
	(void)state;
	assert_true(walk("aes_gcm.txt", gcm_case) >= 150);
}

static void
KT3_chacha20_poly1305(void **state)
{
	(void)state;
	assert_true(walk("chacha20_poly1305.txt", chacha_case) >= 300);
}

static void
KT4_xchacha20_poly1305(void **state)
{
	(void)state;
	assert_true(walk("xchacha20_poly1305.txt", xchacha_case) >= 280);
}

/* -- MACs, derivation, wrapping -- */

static bool
cmac_case(const struct group *g)
{
	static const char *const names[] = { "key", "msg", "tag" };
	struct value v[3];
	uint8_t mac[16];
	enum hf_err err;

	values(g, names, 3, v);
	err = crypto_cmac(of(&v[0]), of(&v[1]), mac);
	if (err == HF_OK &&
	    (v[2].len > 16 || memcmp(mac, v[2].ptr, v[2].len) != 0))
		err = HF_ERR_AUTH_FAILED;
	judge(g, err);
	free_values(v, 3);
	return true;
}

static void
T31_cmac(void **state)
{
	(void)state;
	assert_true(walk("aes_cmac.txt", cmac_case) >= 300);
}

static bool
hmac_case(const struct group *g)
{
	static const char *const names[] = { "key", "msg", "tag" };
	struct value v[3];
	uint8_t mac[32];
	enum hf_err err;

	values(g, names, 3, v);
	err = crypto_hmac(
	    hash_type_by_name(TEXT("sha2-256")), of(&v[0]), of(&v[1]), mac);
	if (err == HF_OK && memcmp(mac, v[2].ptr, v[2].len) != 0)
		err = HF_ERR_AUTH_FAILED;
	judge(g, err);
	free_values(v, 3);
	return true;
}

static void
T19_hmac(void **state)
{
	(void)state;
	assert_true(walk("hmac_sha256.txt", hmac_case) >= 170);
}

static bool
hkdf_case(const struct group *g)
{
	static const char *const names[] = { "ikm", "salt", "info", "okm" };
	size_t size = (size_t)strtoul(get(g, "size"), NULL, 10);
	struct secret out = { 0 };
	struct value v[4];
	enum hf_err err;

	values(g, names, 4, v);
	err = secret_alloc(&out, size);
	if (err == HF_OK)
		err = crypto_hkdf(
		    &(struct hkdf){ .hash = hash_type_by_name(TEXT("sha2-256")),
			.salt = of(&v[1]),
			.info = of(&v[2]),
			.extract = true,
			.expand = true },
		    of(&v[0]), &out);
	judge(g, err);
	if (is_valid(g))
		assert_memory_equal(out.ptr, v[3].ptr, size);
	secret_free(&out);
	free_values(v, 4);
	return true;
}

static void
FM11_hkdf(void **state)
{
	(void)state;
	assert_true(walk("hkdf_sha256.txt", hkdf_case) >= 80);
}

static bool
kwp_case(const struct group *g)
{
	static const char *const names[] = { "key", "msg", "ct" };
	struct secret out = { 0 };
	struct value v[3];
	bool tried;

	values(g, names, 3, v);
	tried = v[0].len == CRYPTO_KWP_KEY;
	if (tried) {
		enum hf_err err = crypto_kwp_unwrap(of(&v[0]), of(&v[2]), &out);

		judge(g, err);
		if (is_valid(g)) {
			assert_int_equal(out.len, v[1].len);
			assert_memory_equal(out.ptr, v[1].ptr, out.len);
		}
	}
	secret_free(&out);
	free_values(v, 3);
	return tried;
}

static void
FM9_kwp(void **state)
{
	(void)state;
	assert_true(walk("aes_kwp.txt", kwp_case) >= 80);
}

/* -- Signatures -- */

static bool
signature_case(const struct group *g, const char *type, const char *hash,
    enum sign_scheme scheme, enum sign_encoding encoding)
{
	static const char *const names[] = { "publicKeyDer", "msg", "sig" };
	struct sign_how how = { .scheme = scheme,
		.encoding = encoding,
		.hash = hash == NULL ? NULL : hash_type_by_name(text_of(hash)),
		.salt = scheme == SIGN_PSS ? 32 : 0 };
	struct crypto_key *key;
	struct value v[3];
	bool tried;

	values(g, names, 3, v);
	tried = crypto_key_public(
		    key_type_by_name(text_of(type)), of(&v[0]), &key) == HF_OK;
	if (tried) {
		judge(g, crypto_verify(key, &how, of(&v[1]), of(&v[2])));
		crypto_key_free(key);
	}
	free_values(v, 3);
	return tried;
}

#define SIGNATURE(fn, type, hash, scheme, encoding)                     \
	static bool fn(const struct group *g)                           \
	{                                                               \
		return signature_case(g, type, hash, scheme, encoding); \
	}
SIGNATURE(p256, "ecdsa-p256", "sha2-256", SIGN_ECDSA, SIGN_ASN1)
SIGNATURE(p256_raw, "ecdsa-p256", "sha2-256", SIGN_ECDSA, SIGN_JWS)
SIGNATURE(p384, "ecdsa-p384", "sha2-384", SIGN_ECDSA, SIGN_ASN1)
SIGNATURE(p521, "ecdsa-p521", "sha2-512", SIGN_ECDSA, SIGN_ASN1)
SIGNATURE(ed25519, "ed25519", NULL, SIGN_EDDSA, SIGN_ASN1)
SIGNATURE(pkcs1, "rsa-2048", "sha2-256", SIGN_PKCS1V15, SIGN_ASN1)
SIGNATURE(pss, "rsa-2048", "sha2-256", SIGN_PSS, SIGN_ASN1)

static void
T21_KT5_ecdsa(void **state)
{
	(void)state;
	assert_true(walk("ecdsa_secp256r1_sha256.txt", p256) >= 480);
	assert_true(walk("ecdsa_secp256r1_sha256_p1363.txt", p256_raw) >= 260);
	assert_true(walk("ecdsa_secp384r1_sha384.txt", p384) >= 500);
	assert_true(walk("ecdsa_secp521r1_sha512.txt", p521) >= 540);
}

static void
T21_KT6_ed25519(void **state)
{
	(void)state;
	assert_true(walk("ed25519.txt", ed25519) >= 150);
}

static void
T21_KT7_rsa(void **state)
{
	(void)state;
	assert_true(walk("rsa_signature_2048_sha256.txt", pkcs1) >= 240);
	assert_true(walk("rsa_pss_2048_sha256_mgf1_32.txt", pss) >= 100);
}

/* -- Agreement -- */

static const struct curve {
	const char *type;
	size_t size;
	const char *pkcs8; /* what stands before the private number */
} curves[] = {
	{ "ecdsa-p256", 32,
	    "3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420" },
	{ "ecdsa-p384", 48,
	    "304e020100301006072a8648ce3d020106052b81040022043730350201010430" },
	{ "ecdsa-p521", 66,
	    "3060020100301006072a8648ce3d020106052b81040023044930470201010442" },
};

/* The number in as many bytes as the field has. */
static void
put_private(const struct value *v, uint8_t *out, size_t size)
{
	size_t skip = v->len > size ? v->len - size : 0;

	memset(out, 0, size);
	memcpy(out + size - (v->len - skip), v->ptr + skip, v->len - skip);
}

static bool
ecdh_case(const struct group *g, const struct curve *c)
{
	static const char *const names[] = { "private", "public", "shared" };
	struct crypto_key *key;
	struct secret z = { 0 };
	uint8_t pkcs8[256];
	struct value v[3];
	size_t head = strlen(c->pkcs8) / 2;
	bool tried;
	enum hf_err err;

	values(g, names, 3, v);
	assert_true(hex_decode(text_of(c->pkcs8), pkcs8, head));
	put_private(&v[0], pkcs8 + head, c->size);
	tried = crypto_key_private(key_type_by_name(text_of(c->type)),
		    bytes_of(pkcs8, head + c->size), &key) == HF_OK;
	if (tried) {
		err = crypto_ecdh(key, of(&v[1]), &z);
		judge(g, err);
		if (is_valid(g)) {
			assert_int_equal(z.len, v[2].len);
			assert_memory_equal(z.ptr, v[2].ptr, z.len);
		}
		crypto_key_free(key);
	}
	secret_free(&z);
	free_values(v, 3);
	return tried;
}

static bool
ecdh256(const struct group *g)
{
	return ecdh_case(g, &curves[0]);
}

static bool
ecdh384(const struct group *g)
{
	return ecdh_case(g, &curves[1]);
}

static bool
ecdh521(const struct group *g)
{
	return ecdh_case(g, &curves[2]);
}

static void
T18_ecdh(void **state)
{
	(void)state;
	assert_true(walk("ecdh_secp256r1_ecpoint.txt", ecdh256) >= 350);
	assert_true(walk("ecdh_secp384r1_ecpoint.txt", ecdh384) >= 700);
	assert_true(walk("ecdh_secp521r1_ecpoint.txt", ecdh521) >= 600);
}

/* -- OAEP -- */

static bool
oaep_case(const struct group *g)
{
	static const char *const names[] = { "privateKeyPkcs8", "label", "ct",
		"msg" };
	struct crypto_key *key;
	uint8_t out[512];
	struct value v[4];
	size_t len = 0;
	bool tried;

	values(g, names, 4, v);
	/* Vault's OAEP has no label. */
	tried = v[1].len == 0 &&
	    crypto_key_private(
		key_type_by_name(TEXT("rsa-2048")), of(&v[0]), &key) == HF_OK;
	if (tried) {
		judge(g, crypto_oaep_decrypt(key, of(&v[2]), out, &len));
		if (is_valid(g)) {
			assert_int_equal(len, v[3].len);
			assert_memory_equal(out, v[3].ptr, len);
		}
		crypto_key_free(key);
	}
	free_values(v, 4);
	return tried;
}

static void
T13_rsa_oaep(void **state)
{
	(void)state;
	assert_true(
	    walk("rsa_oaep_2048_sha256_mgf1sha256.txt", oaep_case) >= 25);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(KT1_KT2_aes_gcm),
		cmocka_unit_test(KT3_chacha20_poly1305),
		cmocka_unit_test(KT4_xchacha20_poly1305),
		cmocka_unit_test(T31_cmac),
		cmocka_unit_test(T19_hmac),
		cmocka_unit_test(FM11_hkdf),
		cmocka_unit_test(FM9_kwp),
		cmocka_unit_test(T21_KT5_ecdsa),
		cmocka_unit_test(T21_KT6_ed25519),
		cmocka_unit_test(T21_KT7_rsa),
		cmocka_unit_test(T18_ecdh),
		cmocka_unit_test(T13_rsa_oaep),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
