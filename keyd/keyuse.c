/* SPDX-License-Identifier: Apache-2.0 */
#include "keyuse.h"

#include <string.h>

#include "../lib/bytes.h"
#include "crypto_pkcs8.h"
#include "hsm_await.h"
#include "key_commit.h"
#include "key_derive.h"
#include "keyuse_level.h"

/* -- Where it is done, and when -- */

/* Whether the HSM's answer can come later. */
static bool
may_await(const struct keyuse *use, const struct key_version *v)
{
	struct hsm_await *a = use->await;

	if (a == NULL || !hsm_await_offered(keyuse_hsm(use, v, &v->hsm)))
		return false;
	if (a->state == AWAIT_OFFERED)
		a->state = AWAIT_WANTED;
	return a->state == AWAIT_READY || a->state == AWAIT_ANSWERED ||
	    a->state == AWAIT_LATE;
}

/* Whether it takes a while and nothing else, and this is the place for that. */
static bool
may_linger(const struct keyuse *use, const struct key_type *type)
{
	if (use->linger == NULL || !type->brief)
		return false;
	if (*use->linger == LINGER_OFFERED)
		*use->linger = LINGER_WANTED;
	return *use->linger == LINGER_NOW;
}

/* Whether the level, or the private operation itself, takes a worker. */
static bool
must_defer(const struct keyuse *use, const struct key *key,
    const struct key_version *v, bool private_op)
{
	if (use->may_block)
		return false;
	if (keyuse_level(v->level)->blocks)
		return !may_await(use, v);
	return private_op && key->type->slow && !may_linger(use, key->type);
}

size_t
keyuse_sealed_size(
    const struct key *key, const struct key_version *v, size_t len)
{
	const struct key_type *type = key->type;

	if (type->family == FAMILY_RSA)
		return type->size;
	if (!key->committing)
		return type->nonce + len + type->tag;
	return v->level == LEVEL_HSM
	    ? type->nonce + COMMIT_PAD + len + type->tag
	    : commit_sealed_size(type, len);
}

struct keyuse
keyuse_of(const struct request *rq, struct hf_bytes context)
{
	return (struct keyuse){ .server = rq->server,
		.may_block = rq->may_block,
		.await = rq->awaits && !rq->options.dry_run && rq->once == NULL
		    ? rq->await
		    : NULL,
		.context = context,
		.caller = rq->who->caller,
		.moving = rq->moving,
		.arena = rq->arena };
}

/* -- Counting -- */

void
keyuse_note(const struct keyuse *use, const struct key_version *v,
    enum usage_class class)
{
	usage_count(v->usage, class, use->caller);
}

/* Passes on what came of it; what was not done is not counted. */
static enum hf_err
counted(const struct keyuse *use, const struct key_version *v,
    enum usage_class class, enum hf_err err)
{
	if (err == HF_OK)
		keyuse_note(use, v, class);
	return err;
}

static enum hf_err
take(const struct keyuse *use, const struct key *key,
    const struct key_version *v)
{
	struct hsm_await *a = use->await;
	enum hf_err err;

	if (a != NULL && a->counted == usage_serial(v->usage))
		return HF_OK; /* the request is run again */
	err = usage_take(v->usage, key->use_limit, use->may_block);
	if (err == HF_OK && a != NULL)
		a->counted = usage_serial(v->usage);
	return err;
}

/* -- Nonces: one for a request, however often it is run -- */

static enum hf_err
nonce_draw(const struct keyuse *use, const struct key_version *v, uint8_t *out,
    size_t len)
{
	struct hsm_await *a = use->await;
	enum hf_err err;

	if (a == NULL || use->may_block || v->level != LEVEL_HSM ||
	    len != sizeof(a->nonce))
		return crypto_random(out, len);
	if (!a->has_nonce) {
		if ((err = crypto_random(a->nonce, len)) != HF_OK)
			return err;
		a->has_nonce = true;
	}
	memcpy(out, a->nonce, len);
	return HF_OK;
}

/* -- Derived keys: always here -- */

static enum hf_err
derived_seal(const struct keyuse *use, const struct key *key,
    const struct key_version *v, struct hf_bytes aad, struct hf_bytes in,
    uint8_t *out)
{
	const struct key_type *type = key->type;
	AUTO_DERIVED d = { 0 };
	enum hf_err err;

	if ((err = derived_aead(key, v, use->context, &d)) != HF_OK)
		return err;
	err = key->convergent ? derived_nonce(&d, in, out, type->nonce)
			      : crypto_random(out, type->nonce);
	if (err != HF_OK)
		return err;
	return crypto_seal(type, d.key, bytes_of(out, type->nonce), aad, in,
	    out + type->nonce);
}

static enum hf_err
derived_open(const struct keyuse *use, const struct key *key,
    const struct key_version *v, struct hf_bytes aad, struct hf_bytes in,
    uint8_t *out)
{
	size_t nonce = key->type->nonce;
	AUTO_DERIVED d = { 0 };
	enum hf_err err = derived_aead(key, v, use->context, &d);

	if (err != HF_OK)
		return err;
	return crypto_open(key->type, d.key, bytes_of(in.ptr, nonce), aad,
	    bytes_of(in.ptr + nonce, in.len - nonce), out);
}

/* -- Keys that commit -- */

/* The key that a commitment is made with, where it is here. */
static enum hf_err
committing_key(const struct keyuse *use, const struct key *key,
    const struct key_version *v, struct derived *d, struct hf_bytes *out)
{
	enum hf_err err;

	*out = secret_view(&v->material);
	if (!key->derived)
		return HF_OK;
	if ((err = derived_aead(key, v, use->context, d)) == HF_OK)
		*out = d->key;
	return err;
}

static enum hf_err
committing_seal(const struct keyuse *use, const struct key *key,
    const struct key_version *v, struct hf_bytes aad, struct hf_bytes in,
    uint8_t *out)
{
	size_t nonce = key->type->nonce;
	AUTO_DERIVED d = { 0 };
	struct hf_bytes k;
	uint8_t *padded;
	enum hf_err err;

	if (v->level == LEVEL_WRAPPED) {
		err = committing_key(use, key, v, &d, &k);
		return err != HF_OK ? err
				    : commit_seal(key->type, k, aad, in, out);
	}
	padded = use->arena == NULL
	    ? NULL
	    : arena_alloc(use->arena, COMMIT_PAD + in.len); /* zeroed */
	if (padded == NULL)
		return HF_ERR_NO_MEMORY;
	if (in.len > 0)
		memcpy(padded + COMMIT_PAD, in.ptr, in.len);
	if ((err = nonce_draw(use, v, out, nonce)) != HF_OK)
		return err;
	return keyuse_level(v->level)->seal(use, key, v, bytes_of(out, nonce),
	    aad, bytes_of(padded, COMMIT_PAD + in.len), out + nonce);
}

static enum hf_err
committing_open(const struct keyuse *use, const struct key *key,
    const struct key_version *v, struct hf_bytes aad, struct hf_bytes in,
    uint8_t *out, size_t *len)
{
	size_t nonce = key->type->nonce, extra = nonce + key->type->tag;
	AUTO_DERIVED d = { 0 };
	struct hf_bytes k;
	enum hf_err err;

	if (v->level == LEVEL_WRAPPED) {
		err = committing_key(use, key, v, &d, &k);
		return err != HF_OK
		    ? err
		    : commit_open(key->type, k, aad, in, out, len);
	}
	if (in.len < extra + COMMIT_PAD)
		return HF_ERR_BAD_CIPHERTEXT;
	if ((err = keyuse_level(v->level)->open(use, key, v,
		 bytes_of(in.ptr, nonce), aad,
		 bytes_of(in.ptr + nonce, in.len - nonce), out)) != HF_OK)
		return err;
	*len = in.len - extra;
	return commit_unpad(out, len);
}

enum hf_err
keyuse_encrypt(const struct keyuse *use, const struct key *key,
    const struct key_version *v, struct hf_bytes aad, struct hf_bytes in,
    uint8_t *out, size_t *len)
{
	const struct key_type *type = key->type;
	enum hf_err err;

	if (!type->encrypts)
		return HF_ERR_KEY_TYPE;
	if (type->family != FAMILY_RSA && must_defer(use, key, v, false))
		return HF_ERR_DEFER;
	if ((err = take(use, key, v)) != HF_OK)
		return err;
	*len = keyuse_sealed_size(key, v, in.len);
	if (type->family == FAMILY_RSA)
		err = crypto_oaep_encrypt(v->pair, in, out, len);
	else if (key->committing)
		err = committing_seal(use, key, v, aad, in, out);
	else if (key->derived)
		err = derived_seal(use, key, v, aad, in, out);
	else if ((err = nonce_draw(use, v, out, type->nonce)) == HF_OK)
		err = keyuse_level(v->level)->seal(use, key, v,
		    bytes_of(out, type->nonce), aad, in, out + type->nonce);
	return counted(use, v, USAGE_ENCRYPT, err);
}

enum hf_err
keyuse_seal(const struct keyuse *use, const struct key *key,
    const struct key_version *v, struct hf_bytes nonce, struct hf_bytes aad,
    struct hf_bytes in, uint8_t *out)
{
	enum hf_err err;

	if (key->type->family != FAMILY_AEAD || nonce.len != key->type->nonce)
		return HF_ERR_BAD_ALGORITHM;
	if (key->derived)
		return HF_ERR_MISSING_CONTEXT;
	if (key->committing)
		return HF_ERR_KEY_PURPOSE;
	if (must_defer(use, key, v, false))
		return HF_ERR_DEFER;
	if ((err = take(use, key, v)) != HF_OK)
		return err;
	return counted(use, v, USAGE_ENCRYPT,
	    keyuse_level(v->level)->seal(use, key, v, nonce, aad, in, out));
}

enum hf_err
keyuse_decrypt(const struct keyuse *use, const struct key *key,
    const struct key_version *v, struct hf_bytes aad, struct hf_bytes in,
    uint8_t *out, size_t *len)
{
	const struct key_type *type = key->type;
	size_t extra = type->nonce + type->tag;
	enum usage_class class = use->moving ? USAGE_REWRAP : USAGE_DECRYPT;
	enum hf_err err;

	if (!type->encrypts)
		return HF_ERR_KEY_TYPE;
	if (must_defer(use, key, v, type->family == FAMILY_RSA))
		return HF_ERR_DEFER;
	if (type->family == FAMILY_RSA) {
		if (in.len != type->size)
			return HF_ERR_AUTH_FAILED;
		return counted(use, v, class,
		    keyuse_level(v->level)->decrypt_rsa(use, v, in, out, len));
	}
	if (key->committing)
		return counted(use, v, class,
		    committing_open(use, key, v, aad, in, out, len));
	if (in.len < extra)
		return HF_ERR_BAD_CIPHERTEXT;
	*len = in.len - extra;
	if (key->derived)
		err = derived_open(use, key, v, aad, in, out);
	else
		err = keyuse_level(v->level)->open(use, key, v,
		    bytes_of(in.ptr, type->nonce), aad,
		    bytes_of(in.ptr + type->nonce, in.len - type->nonce), out);
	return counted(use, v, class, err);
}

enum hf_err
keyuse_rsa_raw(const struct keyuse *use, const struct key *key,
    const struct key_version *v, enum usage_class class, struct hf_bytes in,
    uint8_t *out)
{
	enum hf_err err = HF_OK;

	if (key->type->family != FAMILY_RSA)
		return HF_ERR_KEY_TYPE;
	if (must_defer(use, key, v, true))
		return HF_ERR_DEFER;
	if (class == USAGE_SIGN && (err = take(use, key, v)) != HF_OK)
		return err;
	return counted(
	    use, v, class, keyuse_level(v->level)->rsa_raw(use, v, in, out));
}

enum hf_err
keyuse_sign(const struct keyuse *use, const struct key *key,
    const struct key_version *v, const struct sign_how *how, struct hf_bytes in,
    uint8_t *out, size_t *len)
{
	struct crypto_key *pair;
	enum hf_err err;

	if (!key->type->signs)
		return HF_ERR_KEY_TYPE;
	if (must_defer(use, key, v, true))
		return HF_ERR_DEFER;
	if ((err = take(use, key, v)) != HF_OK)
		return err;
	if (!key->derived)
		return counted(use, v, USAGE_SIGN,
		    keyuse_level(v->level)->sign(use, v, how, in, out, len));
	if ((err = derived_pair(v, use->context, &pair)) != HF_OK)
		return err;
	err = crypto_sign(pair, how, in, out, len);
	crypto_key_free(pair);
	return counted(use, v, USAGE_SIGN, err);
}

enum hf_err
keyuse_derived_public(
    const struct keyuse *use, const struct key_version *v, uint8_t out[32])
{
	struct crypto_key *pair;
	enum hf_err err = derived_pair(v, use->context, &pair);

	if (err != HF_OK)
		return err;
	err = crypto_ed25519_public(pair, out);
	crypto_key_free(pair);
	return err;
}

enum hf_err
keyuse_verify(const struct keyuse *use, const struct key *key,
    const struct key_version *v, const struct sign_how *how, struct hf_bytes in,
    struct hf_bytes signature)
{
	struct crypto_key *pair;
	enum hf_err err;

	if (!key->type->signs)
		return HF_ERR_KEY_TYPE;
	/* RSA verifies fast; the slow curves are slow both ways. */
	if (!use->may_block && key->type->slow &&
	    key->type->family == FAMILY_EC)
		return HF_ERR_DEFER;
	if (!key->derived)
		return counted(use, v, USAGE_VERIFY,
		    crypto_verify(v->pair, how, in, signature));
	if ((err = derived_pair(v, use->context, &pair)) != HF_OK)
		return err;
	err = crypto_verify(pair, how, in, signature);
	crypto_key_free(pair);
	return counted(use, v, USAGE_VERIFY, err);
}

/* To make one counts before, to check one where it was right (the caller
 * knows). */
static enum hf_err
mac_begin(const struct keyuse *use, const struct key *key,
    const struct key_version *v)
{
	return use->checking ? HF_OK : take(use, key, v);
}

static enum hf_err
mac_end(const struct keyuse *use, const struct key_version *v, enum hf_err err)
{
	return use->checking ? err : counted(use, v, USAGE_MAC, err);
}

enum hf_err
keyuse_hmac(const struct keyuse *use, const struct key *key,
    const struct key_version *v, const struct hash_type *hash,
    struct hf_bytes in, uint8_t *out)
{
	enum hf_err err;

	if (must_defer(use, key, v, false))
		return HF_ERR_DEFER;
	if ((err = mac_begin(use, key, v)) != HF_OK)
		return err;
	return mac_end(
	    use, v, keyuse_level(v->level)->hmac(use, key, v, hash, in, out));
}

static enum hf_err
cmac(const struct keyuse *use, const struct key *key,
    const struct key_version *v, struct hf_bytes in, uint8_t *out)
{
	enum hf_err err;

	if (must_defer(use, key, v, false))
		return HF_ERR_DEFER;
	if ((err = mac_begin(use, key, v)) != HF_OK)
		return err;
	return mac_end(use, v, keyuse_level(v->level)->cmac(use, v, in, out));
}

enum hf_err
keyuse_cmac(const struct keyuse *use, const struct key *key,
    const struct key_version *v, struct hf_bytes in, uint8_t *out)
{
	return key->type->family == FAMILY_CMAC ? cmac(use, key, v, in, out)
						: HF_ERR_KEY_TYPE;
}

/* -- For PKCS#11 -- */

/* Types that are an AES key, and not another cipher's. */
static bool
is_aes(const struct key_type *type)
{
	return type->id == KEY_AES256_GCM96 || type->id == KEY_AES192_GCM96 ||
	    type->id == KEY_AES128_GCM96;
}

enum hf_err
keyuse_aes(const struct keyuse *use, const struct key *key,
    const struct key_version *v, const struct aes_how *how, struct hf_bytes in,
    uint8_t *out, size_t *len)
{
	enum hf_err err = HF_OK;

	if (!is_aes(key->type))
		return HF_ERR_KEY_TYPE;
	if (must_defer(use, key, v, false))
		return HF_ERR_DEFER;
	if (how->encrypt && (err = take(use, key, v)) != HF_OK)
		return err;
	return counted(use, v, how->encrypt ? USAGE_ENCRYPT : USAGE_DECRYPT,
	    keyuse_level(v->level)->aes(use, v, how, in, out, len));
}

enum hf_err
keyuse_aes_cmac(const struct keyuse *use, const struct key *key,
    const struct key_version *v, struct hf_bytes in, uint8_t out[16])
{
	return is_aes(key->type) ? cmac(use, key, v, in, out)
				 : keyuse_cmac(use, key, v, in, out);
}

enum hf_err
keyuse_ecdh(const struct keyuse *use, const struct key *key,
    const struct key_version *v, struct hf_bytes point, struct secret *out)
{
	if (key->type->family != FAMILY_EC)
		return HF_ERR_KEY_TYPE;
	if (must_defer(use, key, v, true))
		return HF_ERR_DEFER;
	return counted(use, v, USAGE_DERIVE,
	    keyuse_level(v->level)->ecdh(use, v, point, out));
}

enum hf_err
keyuse_hkdf(const struct keyuse *use, const struct key *key,
    const struct key_version *v, const struct hkdf *how, struct secret *out)
{
	if (key->type->family != FAMILY_HMAC)
		return HF_ERR_KEY_TYPE;
	/* Without extraction the key must be a pseudorandom one already. */
	if (!how->extract && key->key_size < how->hash->size)
		return HF_ERR_BAD_INPUT;
	/* Several HMACs, one after the other, are waited for. */
	if (!use->may_block && v->level == LEVEL_HSM)
		return HF_ERR_DEFER;
	if (must_defer(use, key, v, false))
		return HF_ERR_DEFER;
	return counted(use, v, USAGE_DERIVE,
	    keyuse_level(v->level)->hkdf(use, v, how, out));
}
