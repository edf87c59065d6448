/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "../lib/bytes.h"
#include "crypto.h"
#include "hsm_probe.h"

/* Ways to try a mechanism, for the rows of the probe. */

enum { TEXT_LEN = 32, VALUE_MAX = 1024 };

static const uint8_t sample[TEXT_LEN] = "holdfast tries this mechanism..";

static enum hf_err
wrong(struct probe *p, const char *note)
{
	(void)snprintf(p->note, sizeof(p->note), "%s", note);
	call_forgive(&p->call);
	return HF_ERR_HSM_REFUSED;
}

static struct hf_bytes
sample_bytes(void)
{
	return bytes_of(sample, sizeof(sample));
}

/* -- Keys -- */

/* All uses at once, and readable: this key never protects anything. */
static void
template_free(struct key_template *t, bool private)
{
	template_bool(t, CKA_TOKEN, false);
	template_bool(t, CKA_SENSITIVE, false);
	template_bool(t, CKA_EXTRACTABLE, true);
	template_bool(t, CKA_DECRYPT, true);
	template_bool(t, CKA_SIGN, true);
	template_bool(t, CKA_UNWRAP, true);
	if (private)
		return;
	template_bool(t, CKA_ENCRYPT, true);
	template_bool(t, CKA_VERIFY, true);
	template_bool(t, CKA_WRAP, true);
}

enum hf_err
secret_make(struct hsm_call *call, CK_MECHANISM_TYPE type, size_t len,
    CK_OBJECT_HANDLE *out)
{
	CK_MECHANISM m = mechanism(type);
	struct key_template t = { 0 };

	template_free(&t, false);
	template_number(&t, CKA_VALUE_LEN, len);
	return call_check(call,
	    call->fn->C_GenerateKey(call->session, &m, t.a, t.count, out));
}

/* `use` is CKA_SIGN, CKA_DERIVE, ... of the private half; 0: all of RSA. */
enum hf_err
pair_make(struct hsm_call *call, const struct key_type *type,
    CK_ATTRIBUTE_TYPE use, struct pair *pair)
{
	const struct hsm_alg *alg = hsm_alg_of(type);
	CK_MECHANISM m = mechanism(alg->generate);
	struct key_template public = { 0 }, private = { 0 };
	enum hf_err err;

	template_public(&public, alg, type->bits, false);
	if (use == 0) {
		template_bool(&public, CKA_ENCRYPT, true);
		template_bool(&public, CKA_WRAP, true);
		template_free(&private, true);
	} else {
		template_bool(&private, CKA_TOKEN, false);
		template_bool(&private, use, true);
	}
	err = call_check(call,
	    call->fn->C_GenerateKeyPair(call->session, &m, public.a,
		public.count, private.a, private.count, &pair->public,
		&pair->private));
	if (err != HF_OK)
		return err;
	return object_spki(
	    call, pair->public, type, pair->spki, &pair->spki_len);
}

static const struct key_type *
type_named(const char *name)
{
	return key_type_by_name(text_of(name));
}

static const struct hash_type *
hash_named(const char *name)
{
	return hash_type_by_name(text_of(name));
}

enum hf_err
try_generate_secret(struct probe *p, const struct check *check)
{
	CK_OBJECT_HANDLE key;

	return secret_make(&p->call, check->type, 32, &key);
}

enum hf_err
try_generate_pair(struct probe *p, const struct check *check)
{
	const struct key_type *type = type_named(check->arg);
	struct pair pair;

	return pair_make(&p->call, type, CKA_SIGN, &pair);
}

/* -- AES -- */

static enum hf_err
round_trip(struct probe *p, CK_MECHANISM *m, CK_OBJECT_HANDLE encrypt,
    CK_OBJECT_HANDLE decrypt)
{
	uint8_t sealed[VALUE_MAX], plain[VALUE_MAX];
	size_t sealed_len = sizeof(sealed), len = sizeof(plain);
	enum hf_err err = call_crypt(&p->call, CRYPT_ENCRYPT, m, encrypt,
	    sample_bytes(), sealed, &sealed_len);

	if (err != HF_OK)
		return err;
	if (sealed_len < sizeof(sample) ||
	    memcmp(sealed, sample, sizeof(sample)) == 0)
		return wrong(p, "the ciphertext is the plaintext");
	err = call_crypt(&p->call, CRYPT_DECRYPT, m, decrypt,
	    bytes_of(sealed, sealed_len), plain, &len);
	if (err != HF_OK)
		return err;
	if (!bytes_equal(bytes_of(plain, len), sample_bytes()))
		return wrong(p, "decryption does not give back the text");
	return HF_OK;
}

enum hf_err
try_aes(struct probe *p, const struct check *check)
{
	CK_MECHANISM m = mechanism(check->type);

	return round_trip(p, &m, p->aes, p->aes);
}

enum hf_err
try_aes_iv(struct probe *p, const struct check *check)
{
	uint8_t iv[16] = { 1, 2, 3 };
	CK_MECHANISM m = { check->type, iv, sizeof(iv) };

	return round_trip(p, &m, p->aes, p->aes);
}

enum hf_err
try_aes_ctr(struct probe *p, const struct check *check)
{
	CK_AES_CTR_PARAMS params = { .ulCounterBits = 32, .cb = { 1, 2 } };
	CK_MECHANISM m = { check->type, &params, sizeof(params) };

	return round_trip(p, &m, p->aes, p->aes);
}

/* The known answers at connection asked more than this. */
enum hf_err
try_gcm(struct probe *p, const struct check *check)
{
	uint8_t nonce[GCM_NONCE] = { 1 }, sealed[TEXT_LEN + GCM_TAG];
	uint8_t plain[TEXT_LEN];
	enum hf_err err = gcm_encrypt(&p->call, p->hsm->traits.nonce, p->aes,
	    nonce, sample_bytes(), sample_bytes(), sealed);

	(void)check;
	if (err == HF_OK)
		err = gcm_decrypt(&p->call, p->aes, nonce, sample_bytes(),
		    bytes_of(sealed, sizeof(sealed)), plain);
	if (err == HF_OK && memcmp(plain, sample, sizeof(plain)) != 0)
		return wrong(p, "decryption does not give back the text");
	return err;
}

static enum hf_err
mac_twice(struct probe *p, CK_MECHANISM *m, CK_OBJECT_HANDLE key, size_t want)
{
	uint8_t a[64], b[64];
	size_t a_len = sizeof(a), b_len = sizeof(b);
	enum hf_err err =
	    call_crypt(&p->call, CRYPT_SIGN, m, key, sample_bytes(), a, &a_len);

	if (err == HF_OK)
		err = call_crypt(
		    &p->call, CRYPT_SIGN, m, key, sample_bytes(), b, &b_len);
	if (err != HF_OK)
		return err;
	if (a_len != want ||
	    !bytes_equal(bytes_of(a, a_len), bytes_of(b, b_len)))
		return wrong(p, "the code is not the same each time");
	return HF_OK;
}

enum hf_err
try_cmac(struct probe *p, const struct check *check)
{
	CK_MECHANISM m = mechanism(check->type);

	return mac_twice(p, &m, p->aes, 16);
}

/* Unwraps to a key that must undo what the wrapped one did. */
static enum hf_err
wrap_round_trip(struct probe *p, CK_MECHANISM *m, CK_OBJECT_HANDLE wrap,
    CK_OBJECT_HANDLE unwrap)
{
	struct hsm_call *call = &p->call;
	CK_MECHANISM ecb = mechanism(CKM_AES_ECB);
	struct key_template t = { 0 };
	uint8_t wrapped[VALUE_MAX];
	CK_ULONG len = sizeof(wrapped);
	CK_OBJECT_HANDLE back;
	enum hf_err err = call_check(call,
	    call->fn->C_WrapKey(call->session, m, wrap, p->aes, wrapped, &len));

	template_number(&t, CKA_CLASS, CKO_SECRET_KEY);
	template_number(&t, CKA_KEY_TYPE, CKK_AES);
	template_bool(&t, CKA_TOKEN, false);
	template_bool(&t, CKA_DECRYPT, true);
	if (err == HF_OK && len > sizeof(wrapped))
		return wrong(p, "the wrapped key is longer than asked for");
	if (err == HF_OK)
		err = call_check(call,
		    call->fn->C_UnwrapKey(call->session, m, unwrap, wrapped,
			len, t.a, t.count, &back));
	return err == HF_OK ? round_trip(p, &ecb, p->aes, back) : err;
}

enum hf_err
try_wrap(struct probe *p, const struct check *check)
{
	CK_MECHANISM m = mechanism(check->type);

	return wrap_round_trip(p, &m, p->aes, p->aes);
}

/* Whether keys of a type can be kept outside. */
enum hf_err
try_wrap_type(struct probe *p, const struct check *check)
{
	bool wrappable;
	enum hf_err err =
	    key_wrap_test(&p->call, type_named(check->arg), p->aes, &wrappable);

	if (err == HF_OK && !wrappable)
		return wrong(p, "cannot be wrapped; such keys stay resident");
	return err;
}

/* -- RSA -- */

static enum hf_err
verify(struct probe *p, const struct key_type *type, const struct pair *pair,
    const struct sign_how *how, struct hf_bytes signature)
{
	struct crypto_key *key = NULL;
	enum hf_err err =
	    crypto_key_public(type, bytes_of(pair->spki, pair->spki_len), &key);

	if (err == HF_OK)
		err = crypto_verify(key, how, sample_bytes(), signature);
	crypto_key_free(key);
	return err == HF_OK ? HF_OK : wrong(p, "the signature does not verify");
}

/* The HSM hashes: `arg` says with what. */
static enum hf_err
sign_hashed(struct probe *p, CK_MECHANISM *m, const struct key_type *type,
    const struct pair *pair, const struct sign_how *how)
{
	uint8_t signature[CRYPTO_SIGNATURE_MAX];
	size_t len = sizeof(signature);
	enum hf_err err = call_crypt(&p->call, CRYPT_SIGN, m, pair->private,
	    sample_bytes(), signature, &len);

	return err != HF_OK
	    ? err
	    : verify(p, type, pair, how, bytes_of(signature, len));
}

/* We hash, as the daemon does for keys at level hsm. */
static enum hf_err
sign_prepared(struct probe *p, const struct key_type *type,
    const struct pair *pair, const struct sign_how *how)
{
	uint8_t signature[CRYPTO_SIGNATURE_MAX];
	struct signing s;
	size_t len;
	enum hf_err err = signing_prepare(&s, type, how, sample_bytes());

	if (err == HF_OK)
		err = signing_do(
		    &s, &p->call, type, how, pair->private, signature, &len);
	return err != HF_OK
	    ? err
	    : verify(p, type, pair, how, bytes_of(signature, len));
}

enum hf_err
try_rsa_sign(struct probe *p, const struct check *check)
{
	struct sign_how how = { .hash = hash_named("sha2-256"),
		.scheme =
		    check->type == CKM_RSA_PKCS_PSS ? SIGN_PSS : SIGN_PKCS1V15,
		.salt = SALT_AUTO };

	return sign_prepared(p, type_named("rsa-2048"), &p->rsa, &how);
}

enum hf_err
try_rsa_hashed(struct probe *p, const struct check *check)
{
	struct sign_how how = { .scheme = SIGN_PKCS1V15,
		.hash = hash_named(check->arg) };
	CK_MECHANISM m = mechanism(check->type);

	return sign_hashed(p, &m, type_named("rsa-2048"), &p->rsa, &how);
}

enum hf_err
try_pss_hashed(struct probe *p, const struct check *check)
{
	const struct hash_type *hash = hash_named(check->arg);
	struct sign_how how = {
		.scheme = SIGN_PSS, .hash = hash, .salt = SALT_HASH
	};
	CK_RSA_PKCS_PSS_PARAMS params = { hash->ckm, hash->mgf, hash->size };
	CK_MECHANISM m = { check->type, &params, sizeof(params) };

	return sign_hashed(p, &m, type_named("rsa-2048"), &p->rsa, &how);
}

enum hf_err
try_rsa_decrypt(struct probe *p, const struct check *check)
{
	CK_MECHANISM m = mechanism(check->type);

	return round_trip(p, &m, p->rsa.public, p->rsa.private);
}

/* Raw, as OAEP is done where the HSM lacks it: a block of modulus size. */
enum hf_err
try_rsa_raw(struct probe *p, const struct check *check)
{
	CK_MECHANISM m = mechanism(check->type);
	struct crypto_key *key = NULL;
	uint8_t sealed[512], block[256], plain[512];
	size_t sealed_len, n = sizeof(block), len;
	enum hf_err err = crypto_key_public(type_named("rsa-2048"),
	    bytes_of(p->rsa.spki, p->rsa.spki_len), &key);

	if (err == HF_OK)
		err = crypto_oaep_encrypt(
		    key, sample_bytes(), sealed, &sealed_len);
	crypto_key_free(key);
	if (err == HF_OK)
		err = call_crypt(&p->call, CRYPT_DECRYPT, &m, p->rsa.private,
		    bytes_of(sealed, sealed_len), block, &n);
	if (err != HF_OK)
		return err;
	memmove(block + sizeof(block) - n, block, n);
	memset(block, 0, sizeof(block) - n);
	if (crypto_oaep_unpad(bytes_of(block, sizeof(block)), plain, &len) !=
		HF_OK ||
	    !bytes_equal(bytes_of(plain, len), sample_bytes()))
		return wrong(p, "decryption does not give back the text");
	return HF_OK;
}

enum hf_err
try_oaep(struct probe *p, const struct check *check)
{
	const struct hash_type *hash = hash_named(check->arg);
	CK_RSA_PKCS_OAEP_PARAMS params = { hash->ckm, hash->mgf,
		CKZ_DATA_SPECIFIED, NULL, 0 };
	CK_MECHANISM m = { check->type, &params, sizeof(params) };

	return round_trip(p, &m, p->rsa.public, p->rsa.private);
}

enum hf_err
try_rsa_aes_wrap(struct probe *p, const struct check *check)
{
	CK_RSA_PKCS_OAEP_PARAMS oaep = { CKM_SHA256, CKG_MGF1_SHA256,
		CKZ_DATA_SPECIFIED, NULL, 0 };
	/* CK_RSA_AES_KEY_WRAP_PARAMS, PKCS#11 2.40, section 2.1.21 */
	struct {
		CK_ULONG aes_bits;
		CK_RSA_PKCS_OAEP_PARAMS *oaep;
	} params = { 256, &oaep };
	CK_MECHANISM m = { check->type, &params, sizeof(params) };

	return wrap_round_trip(p, &m, p->rsa.public, p->rsa.private);
}

/* -- Curves -- */

enum hf_err
try_ecdsa(struct probe *p, const struct check *check)
{
	const struct key_type *type = type_named(check->arg);
	struct sign_how how = { .hash = hash_named("sha2-256"),
		.scheme =
		    type->family == FAMILY_EDDSA ? SIGN_EDDSA : SIGN_ECDSA };
	struct pair pair;
	enum hf_err err = pair_make(&p->call, type, CKA_SIGN, &pair);

	return err == HF_OK ? sign_prepared(p, type, &pair, &how) : err;
}

enum hf_err
try_ecdsa_hashed(struct probe *p, const struct check *check)
{
	const struct key_type *type = type_named("ecdsa-p256");
	struct sign_how how = { .scheme = SIGN_ECDSA,
		.encoding = SIGN_JWS,
		.hash = hash_named(check->arg) };
	CK_MECHANISM m = mechanism(check->type);
	struct pair pair;
	enum hf_err err = pair_make(&p->call, type, CKA_SIGN, &pair);

	return err == HF_OK ? sign_hashed(p, &m, type, &pair, &how) : err;
}

/* The point as CKA_EC_POINT has it, and without its DER head. */
static enum hf_err
ecdh(struct probe *p, CK_ULONG kdf, const struct pair *own,
    const struct pair *peer, uint8_t *value, size_t *len)
{
	struct hsm_call *call = &p->call;
	uint8_t point[256];
	size_t point_len = sizeof(point);
	CK_ECDH1_DERIVE_PARAMS params = { .kdf = kdf };
	CK_MECHANISM m = { CKM_ECDH1_DERIVE, &params, sizeof(params) };
	struct key_template t = { 0 };
	CK_OBJECT_HANDLE key;
	enum hf_err err = object_attribute(
	    call, peer->public, CKA_EC_POINT, point, &point_len);

	if (err != HF_OK)
		return err;
	params.pPublicData = point;
	params.ulPublicDataLen = point_len;
	template_number(&t, CKA_CLASS, CKO_SECRET_KEY);
	template_number(&t, CKA_KEY_TYPE, CKK_GENERIC_SECRET);
	template_bool(&t, CKA_TOKEN, false);
	template_bool(&t, CKA_SENSITIVE, false);
	template_bool(&t, CKA_EXTRACTABLE, true);
	template_number(&t, CKA_VALUE_LEN, 32);
	err = call_check(call,
	    call->fn->C_DeriveKey(
		call->session, &m, own->private, t.a, t.count, &key));
	if (err == HF_OK)
		err = object_attribute(call, key, CKA_VALUE, value, len);
	return err;
}

enum hf_err
try_ecdh(struct probe *p, const struct check *check)
{
	const struct key_type *type = type_named("ecdsa-p256");
	CK_ULONG kdf = check->arg == NULL ? CKD_NULL : CKD_SHA256_KDF;
	uint8_t one[64], two[64];
	size_t one_len = sizeof(one), two_len = sizeof(two);
	struct pair a, b;
	enum hf_err err = pair_make(&p->call, type, CKA_DERIVE, &a);

	if (err == HF_OK)
		err = pair_make(&p->call, type, CKA_DERIVE, &b);
	if (err == HF_OK)
		err = ecdh(p, kdf, &a, &b, one, &one_len);
	if (err == HF_OK)
		err = ecdh(p, kdf, &b, &a, two, &two_len);
	if (err != HF_OK)
		return err;
	if (!bytes_equal(bytes_of(one, one_len), bytes_of(two, two_len)))
		return wrong(p, "the two sides do not agree");
	return HF_OK;
}

/* -- Hashes -- */

static enum hf_err
secret_bring(struct hsm_call *call, struct hf_bytes value,
    CK_ATTRIBUTE_TYPE use, CK_OBJECT_HANDLE *out)
{
	struct key_template t = { 0 };

	template_number(&t, CKA_CLASS, CKO_SECRET_KEY);
	template_number(&t, CKA_KEY_TYPE, CKK_GENERIC_SECRET);
	template_bool(&t, CKA_TOKEN, false);
	template_bool(&t, use, true);
	template_bytes(&t, CKA_VALUE, value);
	return call_check(
	    call, call->fn->C_CreateObject(call->session, t.a, t.count, out));
}

enum hf_err
try_hmac(struct probe *p, const struct check *check)
{
	static const uint8_t value[64] = "a key of sixty-four bytes";
	const struct hash_type *hash = hash_named(check->arg);
	CK_MECHANISM m = mechanism(check->type);
	uint8_t have[64], want[64];
	size_t len = sizeof(have);
	CK_OBJECT_HANDLE key;
	enum hf_err err = secret_bring(
	    &p->call, bytes_of(value, sizeof(value)), CKA_SIGN, &key);

	if (err != HF_OK) { /* it takes no keys: then with one of its own */
		err = secret_make(
		    &p->call, CKM_GENERIC_SECRET_KEY_GEN, sizeof(value), &key);
		return err == HF_OK ? mac_twice(p, &m, key, hash->size) : err;
	}
	err = call_crypt(
	    &p->call, CRYPT_SIGN, &m, key, sample_bytes(), have, &len);
	if (err == HF_OK)
		err = crypto_hmac(
		    hash, bytes_of(value, sizeof(value)), sample_bytes(), want);
	if (err == HF_OK &&
	    !bytes_equal(bytes_of(have, len), bytes_of(want, hash->size)))
		return wrong(p, "not what software gives");
	return err;
}

enum hf_err
try_digest(struct probe *p, const struct check *check)
{
	const struct hash_type *hash = hash_named(check->arg);
	struct hsm_call *call = &p->call;
	CK_MECHANISM m = mechanism(check->type);
	uint8_t have[64], want[64];
	CK_ULONG len = sizeof(have);
	enum hf_err err =
	    call_check(call, call->fn->C_DigestInit(call->session, &m));

	if (err == HF_OK)
		err = call_check(call,
		    call->fn->C_Digest(call->session, unconst(sample),
			sizeof(sample), have, &len));
	if (err == HF_OK)
		err = crypto_hash(hash, sample_bytes(), want);
	if (err == HF_OK &&
	    !bytes_equal(bytes_of(have, len), bytes_of(want, hash->size)))
		return wrong(p, "not what software gives");
	return err;
}

/* RFC 5869 with no salt: what the HSM derives, from two HMACs. */
enum hf_err
try_hkdf(struct probe *p, const struct check *check)
{
	static const uint8_t ikm[32] = "input keying material", one[] = { 1 };
	static const uint8_t zeros[32];
	/* CK_HKDF_PARAMS, PKCS#11 3.0, section 2.59.3; 1: no salt */
	struct {
		CK_BBOOL extract, expand;
		CK_MECHANISM_TYPE prf;
		CK_ULONG salt_type;
		CK_BYTE *salt;
		CK_ULONG salt_len;
		CK_OBJECT_HANDLE salt_key;
		CK_BYTE *info;
		CK_ULONG info_len;
	} params = { CK_TRUE, CK_TRUE, CKM_SHA256, 1, NULL, 0, 0, NULL, 0 };
	const struct hash_type *hash = hash_named("sha2-256");
	struct hsm_call *call = &p->call;
	CK_MECHANISM m = { check->type, &params, sizeof(params) };
	struct key_template t = { 0 };
	uint8_t have[64], prk[32], want[32];
	size_t len = sizeof(have);
	CK_OBJECT_HANDLE base, key;
	enum hf_err err =
	    secret_bring(call, bytes_of(ikm, sizeof(ikm)), CKA_DERIVE, &base);

	template_number(&t, CKA_CLASS, CKO_SECRET_KEY);
	template_number(&t, CKA_KEY_TYPE, CKK_GENERIC_SECRET);
	template_bool(&t, CKA_TOKEN, false);
	template_bool(&t, CKA_SENSITIVE, false);
	template_bool(&t, CKA_EXTRACTABLE, true);
	template_number(&t, CKA_VALUE_LEN, sizeof(want));
	if (err == HF_OK)
		err = call_check(call,
		    call->fn->C_DeriveKey(
			call->session, &m, base, t.a, t.count, &key));
	if (err == HF_OK)
		err = object_attribute(call, key, CKA_VALUE, have, &len);
	if (err == HF_OK)
		err = crypto_hmac(hash, bytes_of(zeros, sizeof(zeros)),
		    bytes_of(ikm, sizeof(ikm)), prk);
	if (err == HF_OK)
		err = crypto_hmac(hash, bytes_of(prk, sizeof(prk)),
		    bytes_of(one, sizeof(one)), want);
	if (err == HF_OK &&
	    !bytes_equal(bytes_of(have, len), bytes_of(want, sizeof(want))))
		return wrong(p, "not what software gives");
	return err;
}
