/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/hsm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../keyd/crypto.h"
#include "../../lib/bytes.h"
#include "../fake/softhsm.h"

/* The promises of hsm.h, on a real SoftHSM that behaves: with its library in
 * this process, and in a worker. */

static const uint8_t master_id[HSM_ID] = { 'm', 'a', 's', 't', 'e', 'r' };
static const uint8_t wrap_id[HSM_ID] = { 'w', 'r', 'a', 'p' };
static const uint8_t audit_id[HSM_ID] = { 'a', 'u', 'd', 'i', 't' };
static const struct hf_bytes none = { NULL, 0 };

struct fixture {
	struct softhsm soft;
	struct hsm *hsm;
	const char *process;
};

struct made {
	struct hsm_key key;
	uint8_t wrapped[4096], spki[1024];
	size_t spki_len;
};

static struct made shared_rsa;

static struct hsm *
hsm_ready(const struct softhsm *soft, const char *process)
{
	const struct hsm_settings settings = { .uri = soft->uri,
		.pin_source = soft->pin_source,
		.deadline_ms = 5000,
		.process = process,
		.program = TEST_BINARY_DIR "/bin/holdfast-keyd" };
	struct hsm *hsm = softhsm_open_with(&settings);

	assert_non_null(hsm);
	return hsm;
}

static int
setup_with(void **state, const char *process)
{
	static struct fixture f;
	struct hf_why why;

	if (crypto_init(&why) != HF_OK || !softhsm_start(&f.soft))
		return -1;
	memset(&shared_rsa, 0, sizeof(shared_rsa));
	f.process = process;
	f.hsm = hsm_ready(&f.soft, process);
	assert_int_equal(
	    hsm_object_make(f.hsm, ROLE_MASTER, master_id, "master"), HF_OK);
	assert_int_equal(
	    hsm_object_make(f.hsm, ROLE_WRAP, wrap_id, "wrap"), HF_OK);
	assert_int_equal(
	    hsm_object_make(f.hsm, ROLE_AUDIT, audit_id, "audit"), HF_OK);
	*state = &f;
	return 0;
}

static int
setup_inside(void **state)
{
	return setup_with(state, "inside");
}

static int
setup_worker(void **state)
{
	return setup_with(state, "worker");
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	hsm_close(f->hsm);
	softhsm_stop(&f->soft);
	return 0;
}

/* What no error of data may do: lose the HSM. */
static void
assert_undisturbed(struct hsm *hsm)
{
	struct hsm_info info;

	hsm_info(hsm, &info);
	assert_int_equal(info.state, HSM_READY);
	assert_int_equal(info.generation, 1);
}

/* -- Opening -- */

static void
tells_what_it_opened(void **state)
{
	struct fixture *f = *state;
	struct hsm_info info;

	hsm_info(f->hsm, &info);
	assert_int_equal(info.state, HSM_READY);
	assert_string_equal(info.reason, "");
	assert_string_equal(info.token, SOFTHSM_LABEL);
	assert_int_equal(strlen(info.serial), 16);
	assert_string_equal(info.manufacturer, "SoftHSM project");
	assert_int_equal(info.sessions, sysconf(_SC_NPROCESSORS_ONLN) + 1);
	assert_string_equal(hsm_state_name(info.state), "ready");
}

static void
refuses_settings_that_make_no_sense(void **state)
{
	static const char *const uris[] = {
		"http://example.org",
		"pkcs11:token=x",
		"pkcs11:token=x?module-path=lib.so",
		"pkcs11:?module-path=/usr/lib/softhsm/libsofthsm2.so",
		"pkcs11:token=x?module-path=/nonexistent.so",
		"pkcs11:token=x?module-path=/usr/lib/softhsm/libsofthsm2.so"
		"&pin-value=1234",
		"pkcs11:token=x?module-path=/usr/lib/softhsm/libsofthsm2.so"
		"&pin-source=file:/etc/pin",
		"pkcs11:token=x;odd=1?module-path="
		"/usr/lib/softhsm/libsofthsm2.so",
	};
	struct fixture *f = *state;
	struct hsm *hsm = NULL;

	for (size_t i = 0; i < sizeof(uris) / sizeof(uris[0]); i++) {
		const struct hsm_settings s = { .uri = uris[i],
			.pin_source = f->soft.pin_source };
		struct hf_why why = { "" };

		assert_int_equal(
		    hsm_open(&s, NULL, NULL, &hsm, &why), HF_ERR_BAD_SETTINGS);
		assert_string_not_equal(why.text, "");
		assert_null(hsm);
	}
}

static void
refuses_sources_that_hold_no_pin(void **state)
{
	static const char *const sources[] = { "1234", "file:/nonexistent",
		"env:HOLDFAST_NO_SUCH", "fd:x", "fd:", "fd:-1", "fd:999999",
		"cred:pin", "cred:../pin", "file:/dev/null" };
	struct fixture *f = *state;
	struct hsm *hsm = NULL;

	(void)unsetenv("CREDENTIALS_DIRECTORY");
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		const struct hsm_settings s = { .uri = f->soft.uri,
			.pin_source = sources[i] };
		struct hf_why why = { "" };

		assert_int_equal(
		    hsm_open(&s, NULL, NULL, &hsm, &why), HF_ERR_BAD_SETTINGS);
		assert_null(strstr(why.text, "1234"));
	}
}

/* -- Random -- */

static void
draws_random_bytes_of_any_length(void **state)
{
	struct fixture *f = *state;
	uint8_t *a = calloc(2, 10000), *b = a + 10000;

	assert_int_equal(hsm_random(f->hsm, a, 10000), HF_OK);
	assert_int_equal(hsm_random(f->hsm, b, 10000), HF_OK);
	assert_memory_not_equal(a, b, 10000);
	assert_memory_not_equal(a + 9984, b + 9984, 16);
	assert_int_equal(hsm_random(f->hsm, a, 0), HF_OK);
	free(a);
}

/* -- Objects -- */

static void
makes_an_object_once(void **state)
{
	static const uint8_t id[HSM_ID] = { 'o', 'n', 'c', 'e' };
	struct fixture *f = *state;
	bool found = true;

	for (unsigned role = ROLE_MASTER; role <= ROLE_AUDIT; role++) {
		assert_int_equal(
		    hsm_object_find(f->hsm, role, id, &found), HF_OK);
		assert_false(found);
		assert_int_equal(
		    hsm_object_make(f->hsm, role, id, "once"), HF_OK);
		assert_int_equal(
		    hsm_object_make(f->hsm, role, id, "once"), HF_OK);
		assert_int_equal(
		    hsm_object_find(f->hsm, role, id, &found), HF_OK);
		assert_true(found);
		assert_int_equal(hsm_object_destroy(f->hsm, role, id), HF_OK);
		assert_int_equal(
		    hsm_object_find(f->hsm, role, id, &found), HF_OK);
		assert_false(found);
		assert_int_equal(hsm_object_destroy(f->hsm, role, id), HF_OK);
	}
}

static void
signs_for_the_audit(void **state)
{
	static const uint8_t text[] = "checkpoint";
	struct fixture *f = *state;
	uint8_t spki[1024], digest[32], rs[64];
	struct hf_bytes in = bytes_of(text, sizeof(text));
	size_t len = 0;

	assert_int_equal(hsm_audit_public(f->hsm, audit_id, spki, &len), HF_OK);
	assert_int_equal(crypto_sha256(in, digest), HF_OK);
	assert_int_equal(hsm_audit_sign(f->hsm, audit_id, digest, rs), HF_OK);
	assert_int_equal(crypto_verify_p256(
			     bytes_of(spki, len), in, bytes_of(rs, sizeof(rs))),
	    HF_OK);
	rs[5] ^= 1;
	assert_int_equal(crypto_verify_p256(
			     bytes_of(spki, len), in, bytes_of(rs, sizeof(rs))),
	    HF_ERR_SIGNATURE_WRONG);
}

static void
tells_that_an_object_is_missing(void **state)
{
	static const uint8_t id[HSM_ID] = { 'n', 'o', 'n', 'e' };
	struct fixture *f = *state;
	uint8_t out[1024] = { 0 };
	size_t len;

	assert_int_equal(hsm_seal(f->hsm, id, none, bytes_of(out, 4), out),
	    HF_ERR_HSM_UNINITIALIZED);
	assert_int_equal(
	    hsm_audit_sign(f->hsm, id, out, out), HF_ERR_NOT_FOUND);
	assert_int_equal(
	    hsm_audit_public(f->hsm, id, out, &len), HF_ERR_NOT_FOUND);
	assert_undisturbed(f->hsm);
}

/* A destroyed master key is not used from the cache of handles. */
static void
forgets_what_was_destroyed(void **state)
{
	static const uint8_t id[HSM_ID] = { 'g', 'o', 'n', 'e' };
	struct fixture *f = *state;
	uint8_t out[64];

	assert_int_equal(hsm_object_make(f->hsm, ROLE_MASTER, id, "x"), HF_OK);
	assert_int_equal(
	    hsm_seal(f->hsm, id, none, bytes_of(id, 4), out), HF_OK);
	assert_int_equal(hsm_object_destroy(f->hsm, ROLE_MASTER, id), HF_OK);
	assert_int_equal(hsm_seal(f->hsm, id, none, bytes_of(id, 4), out),
	    HF_ERR_HSM_UNINITIALIZED);
}

/* -- Sealing -- */

static void
opens_what_it_sealed(void **state)
{
	static const uint8_t text[] = "a keyring key", aad[] = "its record";
	struct fixture *f = *state;
	uint8_t one[sizeof(text) + HSM_SEAL_EXTRA], two[sizeof(one)];
	AUTO_SECRET plain = { 0 };

	assert_int_equal(hsm_seal(f->hsm, master_id, bytes_of(aad, sizeof(aad)),
			     bytes_of(text, sizeof(text)), one),
	    HF_OK);
	assert_int_equal(hsm_seal(f->hsm, master_id, bytes_of(aad, sizeof(aad)),
			     bytes_of(text, sizeof(text)), two),
	    HF_OK);
	assert_memory_not_equal(one, two, 12);
	assert_memory_not_equal(one + 12, two + 12, sizeof(text));
	assert_int_equal(
	    hsm_open_sealed(f->hsm, master_id, bytes_of(aad, sizeof(aad)),
		bytes_of(one, sizeof(one)), &plain),
	    HF_OK);
	assert_int_equal(plain.len, sizeof(text));
	assert_memory_equal(plain.ptr, text, sizeof(text));
}

static void
refuses_a_changed_seal_and_stays_ready(void **state)
{
	static const uint8_t text[] = "a keyring key";
	struct fixture *f = *state;
	uint8_t sealed[sizeof(text) + HSM_SEAL_EXTRA];
	AUTO_SECRET plain = { 0 };

	assert_int_equal(hsm_seal(f->hsm, master_id, none,
			     bytes_of(text, sizeof(text)), sealed),
	    HF_OK);
	for (size_t i = 0; i < sizeof(sealed); i += 3) {
		sealed[i] ^= 0x10;
		assert_int_equal(hsm_open_sealed(f->hsm, master_id, none,
				     bytes_of(sealed, sizeof(sealed)), &plain),
		    HF_ERR_AUTH_FAILED);
		assert_null(plain.ptr);
		sealed[i] ^= 0x10;
	}
	assert_int_equal(hsm_open_sealed(f->hsm, master_id, bytes_of(text, 3),
			     bytes_of(sealed, sizeof(sealed)), &plain),
	    HF_ERR_AUTH_FAILED);
	assert_int_equal(hsm_open_sealed(f->hsm, master_id, none,
			     bytes_of(sealed, 28), &plain),
	    HF_ERR_BAD_CIPHERTEXT);
	assert_int_equal(
	    hsm_seal(f->hsm, master_id, none, none, sealed), HF_ERR_BAD_INPUT);
	assert_undisturbed(f->hsm);
}

/* -- Keys at level hsm -- */

static void
key_make(struct hsm *hsm, const char *type, struct made *m)
{
	size_t wrapped_len = 0;

	memset(m, 0, sizeof(*m));
	m->key.type = key_type_by_name(text_of(type));
	assert_non_null(m->key.type);
	assert_int_equal(crypto_random(m->key.id, HSM_ID), HF_OK);
	memcpy(m->key.wrap_id, wrap_id, HSM_ID);
	assert_int_equal(hsm_key_make(hsm, m->key.type, 32, wrap_id, m->key.id,
			     m->wrapped, &wrapped_len, m->spki, &m->spki_len),
	    HF_OK);
	m->key.wrapped = bytes_of(m->wrapped, wrapped_len);
}

static const struct hash_type *
hash(const char *name)
{
	return name == NULL ? NULL : hash_type_by_name(text_of(name));
}

static void
assert_signs(struct hsm *hsm, const struct made *m, const struct sign_how *how,
    struct hf_bytes in)
{
	uint8_t signature[CRYPTO_SIGNATURE_MAX];
	struct crypto_key *public = NULL;
	size_t len = 0;

	assert_int_equal(crypto_key_public(m->key.type,
			     bytes_of(m->spki, m->spki_len), &public),
	    HF_OK);
	assert_int_equal(
	    hsm_key_sign(hsm, &m->key, how, in, signature, &len), HF_OK);
	assert_int_equal(
	    crypto_verify(public, how, in, bytes_of(signature, len)), HF_OK);
	signature[len / 2] ^= 1;
	assert_int_not_equal(
	    crypto_verify(public, how, in, bytes_of(signature, len)), HF_OK);
	crypto_key_free(public);
}

static const uint8_t message[200] = "sign me";

/* In both encodings, with every hash of the table, prehashed and not. */
static void
signs_with_ecdsa(void **state)
{
	static const char *const types[] = { "ecdsa-p256", "ecdsa-p384",
		"ecdsa-p521" };
	struct fixture *f = *state;
	static struct made m;

	for (size_t t = 0; t < 3; t++) {
		key_make(f->hsm, types[t], &m);
		assert_true(m.key.wrapped.len > 0);
		for (size_t h = 0; h < 2 * hash_types_count; h++) {
			const struct hash_type *type = &hash_types[h / 2];
			struct sign_how how = { .scheme = SIGN_ECDSA,
				.encoding = h % 2 ? SIGN_JWS : SIGN_ASN1,
				.hash = type };

			assert_signs(f->hsm, &m, &how,
			    bytes_of(message, sizeof(message)));
			how.prehashed = true;
			assert_signs(
			    f->hsm, &m, &how, bytes_of(message, type->size));
		}
		assert_int_equal(hsm_key_drop(f->hsm, &m.key), HF_OK);
	}
	assert_undisturbed(f->hsm);
}

/* SoftHSM cannot wrap it, so it is resident. */
static void
signs_with_a_resident_ed25519_key(void **state)
{
	struct fixture *f = *state;
	struct sign_how how = { .scheme = SIGN_EDDSA };
	static struct made m;
	uint8_t out[512];
	size_t len;

	key_make(f->hsm, "ed25519", &m);
	assert_int_equal(m.key.wrapped.len, 0);
	assert_signs(f->hsm, &m, &how, bytes_of(message, sizeof(message)));
	assert_signs(f->hsm, &m, &how, bytes_of(message, 0));
	how.prehashed = true;
	assert_int_equal(hsm_key_sign(f->hsm, &m.key, &how,
			     bytes_of(message, 64), out, &len),
	    HF_ERR_BAD_ALGORITHM);
	how.prehashed = false;
	assert_int_equal(hsm_key_drop(f->hsm, &m.key), HF_OK);
	assert_int_equal(hsm_key_drop(f->hsm, &m.key), HF_OK);
	assert_int_equal(hsm_key_sign(f->hsm, &m.key, &how,
			     bytes_of(message, 64), out, &len),
	    HF_ERR_NOT_FOUND);
}

/* One for all tests of an HSM: it takes long to make. */
static struct made *
rsa_key(struct hsm *hsm)
{
	if (shared_rsa.key.type == NULL)
		key_make(hsm, "rsa-2048", &shared_rsa);
	return &shared_rsa;
}

static void
signs_with_rsa_pkcs1(void **state)
{
	struct fixture *f = *state;
	struct made *m = rsa_key(f->hsm);
	struct sign_how how = { .scheme = SIGN_PKCS1V15 };
	uint8_t out[512];
	size_t len;

	assert_true(m->key.wrapped.len > 0);
	for (size_t h = 0; h < hash_types_count; h++) {
		how.hash = &hash_types[h];
		how.prehashed = false;
		assert_signs(
		    f->hsm, m, &how, bytes_of(message, sizeof(message)));
		how.prehashed = true;
		assert_signs(
		    f->hsm, m, &how, bytes_of(message, how.hash->size));
		assert_int_equal(
		    hsm_key_sign(f->hsm, &m->key, &how,
			bytes_of(message, how.hash->size - 1), out, &len),
		    HF_ERR_BAD_INPUT);
	}
	how.hash = NULL;
	assert_signs(f->hsm, m, &how, bytes_of(message, 51));
	assert_int_equal(hsm_key_sign(f->hsm, &m->key, &how,
			     bytes_of(message, 0), out, &len),
	    HF_ERR_BAD_INPUT);
	how.prehashed = false;
	assert_int_equal(hsm_key_sign(f->hsm, &m->key, &how,
			     bytes_of(message, 51), out, &len),
	    HF_ERR_BAD_ALGORITHM);
}

static void
signs_with_rsa_pss(void **state)
{
	static const int salts[] = { SALT_AUTO, SALT_HASH, 0, 20, 190 };
	struct fixture *f = *state;
	struct made *m = rsa_key(f->hsm);
	struct sign_how how = { .scheme = SIGN_PSS };
	uint8_t out[512];
	size_t len;

	/* SHA-3 by RSA alone: SoftHSM knows no PSS with it. */
	for (size_t h = 0; h < hash_types_count; h++)
		for (size_t s = 0; s < 5; s++) {
			how.hash = &hash_types[h];
			how.salt = salts[s];
			assert_signs(f->hsm, m, &how,
			    bytes_of(message, sizeof(message)));
		}
	how.salt = 191; /* one too many beside SHA-512 */
	assert_int_equal(hsm_key_sign(f->hsm, &m->key, &how,
			     bytes_of(message, 9), out, &len),
	    HF_ERR_BAD_ALGORITHM);
	how.hash = hash("sha2-512");
	assert_int_equal(hsm_key_sign(f->hsm, &m->key, &how,
			     bytes_of(message, 9), out, &len),
	    HF_ERR_BAD_ALGORITHM);
	how.salt = SALT_AUTO;
	how.hash = NULL;
	how.prehashed = true;
	assert_int_equal(hsm_key_sign(f->hsm, &m->key, &how,
			     bytes_of(message, 9), out, &len),
	    HF_ERR_BAD_ALGORITHM);
	how.scheme = SIGN_ECDSA;
	assert_int_equal(hsm_key_sign(f->hsm, &m->key, &how,
			     bytes_of(message, 9), out, &len),
	    HF_ERR_BAD_ALGORITHM);
	assert_undisturbed(f->hsm);
}

static void
decrypts_what_was_encrypted_to_the_rsa_key(void **state)
{
	struct fixture *f = *state;
	struct made *m = rsa_key(f->hsm);
	struct crypto_key *public = NULL;
	uint8_t sealed[512], plain[512];
	size_t sealed_len = 0, len = 0;

	assert_int_equal(crypto_key_public(m->key.type,
			     bytes_of(m->spki, m->spki_len), &public),
	    HF_OK);
	for (size_t n = 0; n <= 190; n += 38) {
		assert_int_equal(crypto_oaep_encrypt(public,
				     bytes_of(message, n), sealed, &sealed_len),
		    HF_OK);
		assert_int_equal(hsm_key_decrypt_rsa(f->hsm, &m->key,
				     bytes_of(sealed, sealed_len), plain, &len),
		    HF_OK);
		assert_int_equal(len, n);
		assert_memory_equal(plain, message, n);
	}
	crypto_key_free(public);
	sealed[100] ^= 1;
	assert_int_equal(hsm_key_decrypt_rsa(f->hsm, &m->key,
			     bytes_of(sealed, 256), plain, &len),
	    HF_ERR_AUTH_FAILED);
	assert_int_equal(hsm_key_decrypt_rsa(f->hsm, &m->key,
			     bytes_of(sealed, 255), plain, &len),
	    HF_ERR_AUTH_FAILED);
	memset(sealed, 0xff, sizeof(sealed)); /* larger than the modulus */
	assert_int_equal(hsm_key_decrypt_rsa(f->hsm, &m->key,
			     bytes_of(sealed, 256), plain, &len),
	    HF_ERR_AUTH_FAILED);
	assert_undisturbed(f->hsm);
}

static void
encrypts_with_aes(void **state)
{
	static const char *const types[] = { "aes256-gcm96", "aes192-gcm96",
		"aes128-gcm96" };
	static const uint8_t nonce[12] = { 1, 2, 3 }, aad[] = "context";
	struct fixture *f = *state;
	struct hf_bytes n = bytes_of(nonce, 12), a = bytes_of(aad, 7);
	uint8_t sealed[sizeof(message) + 16], plain[sizeof(message)];
	static struct made m;

	for (size_t t = 0; t < 3; t++) {
		key_make(f->hsm, types[t], &m);
		assert_int_equal(
		    m.key.wrapped.len, m.key.type->size + 8); /* KWP */
		assert_int_equal(m.spki_len, 0);
		for (size_t len = 0; len <= 200; len += 50) {
			assert_int_equal(hsm_key_encrypt(f->hsm, &m.key, n, a,
					     bytes_of(message, len), sealed),
			    HF_OK);
			assert_int_equal(hsm_key_decrypt(f->hsm, &m.key, n, a,
					     bytes_of(sealed, len + 16), plain),
			    HF_OK);
			assert_memory_equal(plain, message, len);
			sealed[len / 2] ^= 1;
			assert_int_equal(hsm_key_decrypt(f->hsm, &m.key, n, a,
					     bytes_of(sealed, len + 16), plain),
			    HF_ERR_AUTH_FAILED);
		}
		assert_int_equal(hsm_key_decrypt(f->hsm, &m.key, n, a,
				     bytes_of(sealed, 15), plain),
		    HF_ERR_BAD_CIPHERTEXT);
		assert_int_equal(
		    hsm_key_encrypt(f->hsm, &m.key, bytes_of(nonce, 11), a,
			bytes_of(message, 1), sealed),
		    HF_ERR_BAD_INPUT);
	}
	assert_undisturbed(f->hsm);
}

static void
makes_a_mac_with_hmac_keys(void **state)
{
	struct fixture *f = *state;
	struct hf_bytes in = bytes_of(message, sizeof(message));
	uint8_t one[64], two[64];
	static struct made m;

	key_make(f->hsm, "hmac", &m);
	assert_int_equal(m.key.wrapped.len, 40);
	assert_int_equal(
	    hsm_key_hmac(f->hsm, &m.key, hash("sha2-256"), in, one), HF_OK);
	assert_int_equal(
	    hsm_key_hmac(f->hsm, &m.key, hash("sha2-256"), in, two), HF_OK);
	assert_memory_equal(one, two, 32);
	assert_int_equal(hsm_key_hmac(f->hsm, &m.key, hash("sha2-256"),
			     bytes_of(message, 1), two),
	    HF_OK);
	assert_memory_not_equal(one, two, 32);
	/* SoftHSM wants a key as long as the hash. */
	assert_int_equal(
	    hsm_key_hmac(f->hsm, &m.key, hash("sha2-512"), in, one),
	    HF_ERR_HSM_MECHANISM);
	assert_int_equal(
	    hsm_key_hmac(f->hsm, &m.key, hash("sha3-256"), in, one),
	    HF_ERR_HSM_MECHANISM);
	assert_undisturbed(f->hsm);
}

static void
keeps_keys_to_their_use(void **state)
{
	struct fixture *f = *state;
	struct made *rsa = rsa_key(f->hsm);
	struct sign_how how = { .scheme = SIGN_PKCS1V15,
		.hash = hash("sha2-256") };
	struct hf_bytes in = bytes_of(message, 60);
	static struct made aes;
	uint8_t out[512];
	size_t len;

	key_make(f->hsm, "aes256-gcm96", &aes);
	assert_int_equal(hsm_key_sign(f->hsm, &aes.key, &how, in, out, &len),
	    HF_ERR_BAD_ALGORITHM);
	assert_int_equal(
	    hsm_key_hmac(f->hsm, &aes.key, hash("sha2-256"), in, out),
	    HF_ERR_KEY_TYPE);
	assert_int_equal(hsm_key_decrypt_rsa(f->hsm, &aes.key, in, out, &len),
	    HF_ERR_KEY_TYPE);
	assert_int_equal(hsm_key_encrypt(f->hsm, &rsa->key,
			     bytes_of(message, 12), none, in, out),
	    HF_ERR_KEY_TYPE);
	/* A type that no HSM of ours holds. */
	assert_int_equal(
	    hsm_key_make(f->hsm, key_type_by_name(TEXT("chacha20-poly1305")), 0,
		wrap_id, aes.key.id, out, &len, out, &len),
	    HF_ERR_HSM_MECHANISM);
	assert_int_equal(hsm_key_make(f->hsm, key_type_by_name(TEXT("hmac")),
			     31, wrap_id, aes.key.id, out, &len, out, &len),
	    HF_ERR_OUT_OF_BOUNDS);
	assert_int_equal(hsm_key_make(f->hsm, aes.key.type, 0, audit_id,
			     aes.key.id, out, &len, out, &len),
	    HF_ERR_HSM_UNINITIALIZED);
	assert_int_equal(hsm_key_make(f->hsm, aes.key.type, 0, master_id,
			     aes.key.id, out, &len, out, &len),
	    HF_ERR_HSM_REFUSED);
}

static void
refuses_a_changed_wrapped_key_and_stays_ready(void **state)
{
	static const char *const types[] = { "aes256-gcm96", "ecdsa-p256" };
	struct sign_how how = { .scheme = SIGN_ECDSA,
		.hash = hash("sha2-256") };
	struct fixture *f = *state;
	struct hf_bytes in = bytes_of(message, 40);
	uint8_t out[512];
	static struct made m;
	size_t len;

	for (size_t t = 0; t < 2; t++) {
		enum hf_err err;

		key_make(f->hsm, types[t], &m);
		m.wrapped[9] ^= 1;
		err = t == 0
		    ? hsm_key_encrypt(
			  f->hsm, &m.key, bytes_of(message, 12), none, in, out)
		    : hsm_key_sign(f->hsm, &m.key, &how, in, out, &len);
		assert_int_equal(err, HF_ERR_AUTH_FAILED);
		m.key.wrapped.len -= 3;
		assert_int_equal(hsm_key_encrypt(f->hsm, &m.key,
				     bytes_of(message, 12), none, in, out),
		    t == 0 ? HF_ERR_AUTH_FAILED : HF_ERR_KEY_TYPE);
	}
	assert_undisturbed(f->hsm);
}

/* -- The cache of handles -- */

/* They can be counted in one's own process only; elsewhere there are none. */
static size_t
session_objects(const struct fixture *f)
{
	size_t n;

	if (strcmp(f->process, "worker") == 0)
		return 0;
	assert_true(softhsm_count(false, &n));
	return n;
}

/* Making leaves nothing behind, using keeps one object, dropping none. */
static void
leaves_no_session_objects_behind(void **state)
{
	struct fixture *f = *state;
	struct sign_how how = { .scheme = SIGN_ECDSA,
		.hash = hash("sha2-256") };
	size_t before = session_objects(f);
	static struct made m;

	key_make(f->hsm, "ecdsa-p256", &m);
	assert_int_equal(session_objects(f), before);
	assert_signs(f->hsm, &m, &how, bytes_of(message, 9));
	assert_signs(f->hsm, &m, &how, bytes_of(message, 9));
	assert_int_equal(session_objects(f), before + 1);
	assert_int_equal(hsm_key_drop(f->hsm, &m.key), HF_OK);
	assert_int_equal(session_objects(f), before);
}

static void
bounds_the_number_of_unwrapped_keys(void **state)
{
	struct fixture *f = *state;
	struct hf_bytes nonce = bytes_of(message, 12);
	uint8_t first[32], other[32];
	static struct made m;

	key_make(f->hsm, "aes256-gcm96", &m);
	assert_int_equal(hsm_key_encrypt(f->hsm, &m.key, nonce, none,
			     bytes_of(message, 16), first),
	    HF_OK);
	/* The same key under other names: each needs an object of its own. */
	for (unsigned i = 0; i < 300; i++) {
		struct hsm_key alias = m.key;

		memset(alias.id, 0, HSM_ID);
		put_u32(alias.id, i + 1);
		assert_int_equal(hsm_key_encrypt(f->hsm, &alias, nonce, none,
				     bytes_of(message, 16), other),
		    HF_OK);
		assert_memory_equal(other, first, sizeof(first));
	}
	assert_in_range(session_objects(f), 200, 256);
	assert_int_equal(hsm_key_encrypt(f->hsm, &m.key, nonce, none,
			     bytes_of(message, 16), other),
	    HF_OK);
	assert_memory_equal(other, first, sizeof(first));
}

/* -- The probe -- */

static const struct hsm_probe_row *
probe_row(const struct hsm_probe *probe, const char *name, const char *use)
{
	for (size_t i = 0; i < probe->count; i++)
		if (strcmp(probe->rows[i].name, name) == 0 &&
		    strstr(probe->rows[i].use, use) != NULL)
			return &probe->rows[i];
	fail_msg("the probe has no row %s for %s", name, use);
	return NULL;
}

static void
probes_what_softhsm_can_do(void **state)
{
	static const char *const expect[][3] = {
		{ "CKM_AES_GCM", "", "works" },
		{ "CKM_AES_KEY_WRAP_KWP", "", "absent" },
		{ "CKM_AES_KEY_WRAP_PAD", "", "works" },
		{ "CKM_AES_CBC", "", "works" },
		{ "CKM_AES_CMAC", "", "works" },
		{ "CKM_RSA_PKCS", "", "works" },
		{ "CKM_RSA_X_509", "", "works" },
		{ "CKM_RSA_PKCS_PSS", "", "works" },
		{ "CKM_RSA_PKCS_OAEP", "SHA-256", "fails" },
		{ "CKM_RSA_PKCS_OAEP", "SHA-1", "works" },
		{ "CKM_RSA_AES_KEY_WRAP", "", "absent" },
		{ "CKM_ECDSA", "P-521", "works" },
		{ "CKM_ECDSA_SHA256", "", "absent" },
		{ "CKM_EDDSA", "", "works" },
		{ "CKM_ECDH1_DERIVE", "", "works" },
		{ "CKM_SHA256_HMAC", "", "works" },
		{ "CKM_SHA512", "", "works" },
	};
	struct fixture *f = *state;
	struct hsm_probe probe = { 0 };
	size_t before = session_objects(f);
	bool null_nonce = false;

	assert_int_equal(hsm_probe_run(f->hsm, &probe), HF_OK);
	assert_string_equal(probe.token, SOFTHSM_LABEL);
	for (size_t i = 0; i < sizeof(expect) / sizeof(expect[0]); i++) {
		const struct hsm_probe_row *row =
		    probe_row(&probe, expect[i][0], expect[i][1]);

		if (strcmp(row->result, expect[i][2]) != 0)
			fail_msg("%s (%s): %s, %s", row->name, row->use,
			    row->result, row->note);
	}
	for (size_t i = 0; i < probe.quirk_count; i++)
		null_nonce = null_nonce ||
		    strstr(probe.quirks[i], "without a nonce") != NULL;
	assert_true(null_nonce);
	hsm_probe_free(&probe);
	assert_int_equal(session_objects(f), before);
	assert_undisturbed(f->hsm);
}

/* -- Material from outside -- */

static void
imported_keys_do_what_the_material_would(void **state)
{
	static const struct {
		enum key_type_id id;
		size_t hmac_size;
	} cases[] = {
		{ KEY_AES256_GCM96, 0 },
		{ KEY_AES192_GCM96, 0 },
		{ KEY_AES128_GCM96, 0 },
		{ KEY_HMAC, 32 },
		{ KEY_AES128_CMAC, 0 },
		{ KEY_AES192_CMAC, 0 },
		{ KEY_AES256_CMAC, 0 },
		{ KEY_HMAC, 100 }, /* SoftHSM would make 104 of them */
		{ KEY_ECDSA_P256, 0 },
		{ KEY_ECDSA_P521, 0 },
		{ KEY_ED25519, 0 },
		{ KEY_RSA_2048, 0 },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct key_type *type = key_type_by_id(cases[i].id);
		uint8_t wrapped[4096], spki[1024],
		    id[HSM_ID] = { 'i', (uint8_t)i };
		size_t wrapped_len = 99, spki_len = 0;
		AUTO_SECRET material = { 0 };
		struct crypto_key *pair = NULL;
		struct hsm_key key = { .type = type };

		assert_int_equal(
		    crypto_generate(type, cases[i].hmac_size, &material),
		    HF_OK);
		if (type->signs) {
			assert_int_equal(crypto_key_private(type,
					     secret_view(&material), &pair),
			    HF_OK);
			assert_int_equal(crypto_key_spki(pair, spki,
					     sizeof(spki), &spki_len),
			    HF_OK);
			crypto_key_free(pair);
		}
		/* That it is the same key is what hsm_key_import tries. */
		assert_int_equal(
		    hsm_key_import(f->hsm, type, secret_view(&material),
			bytes_of(spki, spki_len), wrap_id, id, wrapped,
			&wrapped_len),
		    HF_OK);
		memcpy(key.id, id, HSM_ID);
		memcpy(key.wrap_id, wrap_id, HSM_ID);
		key.wrapped = bytes_of(wrapped, wrapped_len);
		if (type->family == FAMILY_HMAC) {
			const struct hash_type *sha256 =
			    hash_type_by_name(TEXT("sha2-256"));
			uint8_t theirs[64], ours[64];

			assert_int_equal(hsm_key_hmac(f->hsm, &key, sha256,
					     bytes_of(id, HSM_ID), theirs),
			    HF_OK);
			assert_int_equal(
			    crypto_hmac(sha256, secret_view(&material),
				bytes_of(id, HSM_ID), ours),
			    HF_OK);
			assert_memory_equal(theirs, ours, 32);
		}
		assert_int_equal(hsm_key_drop(f->hsm, &key), HF_OK);
	}
	assert_undisturbed(f->hsm);
}

static void
refuses_material_that_does_not_fit_its_public_half(void **state)
{
	const struct key_type *type = key_type_by_id(KEY_ECDSA_P256);
	struct fixture *f = *state;
	uint8_t wrapped[4096], spki[1024], id[HSM_ID] = { 'w' };
	size_t wrapped_len, spki_len;
	AUTO_SECRET one = { 0 };
	AUTO_SECRET two = { 0 };
	struct crypto_key *pair = NULL;

	assert_int_equal(crypto_generate(type, 0, &one), HF_OK);
	assert_int_equal(crypto_generate(type, 0, &two), HF_OK);
	assert_int_equal(
	    crypto_key_private(type, secret_view(&two), &pair), HF_OK);
	assert_int_equal(
	    crypto_key_spki(pair, spki, sizeof(spki), &spki_len), HF_OK);
	crypto_key_free(pair);
	assert_int_not_equal(
	    hsm_key_import(f->hsm, type, secret_view(&one),
		bytes_of(spki, spki_len), wrap_id, id, wrapped, &wrapped_len),
	    HF_OK);
	assert_undisturbed(f->hsm);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_what_it_opened),
		cmocka_unit_test(refuses_settings_that_make_no_sense),
		cmocka_unit_test(refuses_sources_that_hold_no_pin),
		cmocka_unit_test(draws_random_bytes_of_any_length),
		cmocka_unit_test(makes_an_object_once),
		cmocka_unit_test(signs_for_the_audit),
		cmocka_unit_test(tells_that_an_object_is_missing),
		cmocka_unit_test(forgets_what_was_destroyed),
		cmocka_unit_test(opens_what_it_sealed),
		cmocka_unit_test(refuses_a_changed_seal_and_stays_ready),
		cmocka_unit_test(signs_with_ecdsa),
		cmocka_unit_test(signs_with_a_resident_ed25519_key),
		cmocka_unit_test(signs_with_rsa_pkcs1),
		cmocka_unit_test(signs_with_rsa_pss),
		cmocka_unit_test(decrypts_what_was_encrypted_to_the_rsa_key),
		cmocka_unit_test(encrypts_with_aes),
		cmocka_unit_test(makes_a_mac_with_hmac_keys),
		cmocka_unit_test(keeps_keys_to_their_use),
		cmocka_unit_test(refuses_a_changed_wrapped_key_and_stays_ready),
		cmocka_unit_test(probes_what_softhsm_can_do),
		cmocka_unit_test(imported_keys_do_what_the_material_would),
		cmocka_unit_test(
		    refuses_material_that_does_not_fit_its_public_half),
	};

	const struct CMUnitTest inside_tests[] = {
		cmocka_unit_test(leaves_no_session_objects_behind),
		cmocka_unit_test(bounds_the_number_of_unwrapped_keys),
	};

	return cmocka_run_group_tests_name(
		   "inside", tests, setup_inside, teardown) +
	    cmocka_run_group_tests_name("objects of the session", inside_tests,
		setup_inside, teardown) +
	    cmocka_run_group_tests_name(
		"worker", tests, setup_worker, teardown);
}
