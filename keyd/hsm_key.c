/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../lib/bytes.h"
#include "crypto.h"
#include "crypto_mode.h"
#include "crypto_wrap.h"
#include "effects.h"
#include "hsm_internal.h"
#include "hsm_remote.h"

/*
 * Keys at level hsm. One is made as a session object that may be wrapped,
 * wrapped at once, tried after being unwrapped as it will be for each use
 * (never extractable), and destroyed. What this HSM cannot wrap (SoftHSM:
 * Ed25519) becomes a token object instead, never extractable from its birth.
 */

enum { HMAC_MIN = 32, HMAC_MAX = 512 };

struct key_work {
	const struct key_type *type;
	const struct hsm_alg *alg;
	size_t size; /* of a symmetric key, bytes */
	const uint8_t *wrap_id;
	const uint8_t *id;
	uint8_t *wrapped;
	size_t wrapped_len;
	uint8_t *spki;
	size_t spki_len;
	bool wrappable; /* out: it could be wrapped, and used after */
};

struct key_pair {
	CK_OBJECT_HANDLE key, public;
};

CK_RV
key_unwrap(struct hsm_call *call, CK_SESSION_HANDLE session,
    const struct key_type *type, CK_OBJECT_HANDLE wrap, struct hf_bytes wrapped,
    CK_OBJECT_HANDLE *out)
{
	const struct hsm_alg *alg = hsm_alg_of(type);
	CK_MECHANISM m = mechanism(call->hsm->traits.wrap);
	struct key_template t = { 0 };

	if (m.mechanism == 0)
		return CKR_MECHANISM_INVALID;
	template_number(&t, CKA_CLASS, alg->class);
	template_number(&t, CKA_KEY_TYPE, alg->ckk);
	template_key(&t, alg->class, key_uses(call->hsm, alg), 0);
	return call->fn->C_UnwrapKey(session, &m, wrap, unconst(wrapped.ptr),
	    wrapped.len, t.a, t.count, out);
}

static enum hf_err
key_generate(struct hsm_call *call, struct key_work *w, unsigned flags,
    struct key_pair *pair)
{
	CK_MECHANISM m = mechanism(w->alg->generate);
	struct key_template key = { 0 }, public = { 0 };

	template_key(&key, w->alg->class, key_uses(call->hsm, w->alg), flags);
	template_bytes(&key, CKA_ID, bytes_of(w->id, HSM_ID));
	pair->public = CK_INVALID_HANDLE;
	if (w->alg->class == CKO_SECRET_KEY) {
		template_number(&key, CKA_VALUE_LEN, w->size);
		return call_check(call,
		    call->fn->C_GenerateKey(
			call->session, &m, key.a, key.count, &pair->key));
	}
	template_public(&public, w->alg, w->type->bits, false);
	return call_check(call,
	    call->fn->C_GenerateKeyPair(call->session, &m, public.a,
		public.count, key.a, key.count, &pair->public, &pair->key));
}

/* -- Is what was unwrapped the key that was made? -- */

static CK_MECHANISM_TYPE
mac_of(const struct key_type *type)
{
	return type->family == FAMILY_CMAC ? CKM_AES_CMAC : CKM_SHA256_HMAC;
}

/* The same sample under both must give the same. */
static enum hf_err
symmetric_same(struct hsm_call *call, const struct key_work *w,
    CK_OBJECT_HANDLE a, CK_OBJECT_HANDLE b)
{
	static const uint8_t text[16] = "holdfast sample";
	uint8_t nonce[GCM_NONCE], first[64], second[64];
	size_t first_len = sizeof(first), second_len = sizeof(second);
	CK_MECHANISM m = mechanism(mac_of(w->type));
	struct hf_bytes in = bytes_of(text, sizeof(text));
	struct hf_bytes none = { NULL, 0 };
	enum hf_err err;

	if (w->type->family == FAMILY_AEAD) {
		err = call_check(call,
		    call->fn->C_GenerateRandom(
			call->session, nonce, sizeof(nonce)));
		if (err == HF_OK)
			err = gcm_encrypt(call, call->hsm->traits.nonce, a,
			    nonce, none, in, first);
		if (err == HF_OK)
			err = gcm_decrypt(call, b, nonce, none,
			    bytes_of(first, sizeof(text) + GCM_TAG), second);
		if (err == HF_OK && memcmp(second, text, sizeof(text)) != 0)
			return HF_ERR_HSM_REFUSED;
		return err;
	}
	err = call_crypt(call, CRYPT_SIGN, &m, a, in, first, &first_len);
	if (err == HF_OK)
		err = call_crypt(
		    call, CRYPT_SIGN, &m, b, in, second, &second_len);
	if (err == HF_OK &&
	    !bytes_equal(
		bytes_of(first, first_len), bytes_of(second, second_len)))
		return HF_ERR_HSM_REFUSED;
	return err;
}

/* A signature by the private half verifies under the public one. */
static enum hf_err
pair_consistent(
    struct hsm_call *call, const struct key_work *w, CK_OBJECT_HANDLE key)
{
	static const uint8_t text[] = "holdfast sample";
	static const enum sign_scheme schemes[] = {
		[FAMILY_RSA] = SIGN_PKCS1V15,
		[FAMILY_EC] = SIGN_ECDSA,
		[FAMILY_EDDSA] = SIGN_EDDSA,
	};
	struct sign_how how = { .scheme = schemes[w->type->family],
		.hash = hash_sha256() };
	struct hf_bytes in = bytes_of(text, sizeof(text));
	uint8_t signature[CRYPTO_SIGNATURE_MAX];
	struct crypto_key *public = NULL;
	struct signing s;
	size_t len;
	enum hf_err err = signing_prepare(&s, w->type, &how, in);

	if (err == HF_OK)
		err = signing_do(&s, call, w->type, &how, key, signature, &len);
	if (err == HF_OK)
		err = crypto_key_public(
		    w->type, bytes_of(w->spki, w->spki_len), &public);
	if (err == HF_OK)
		err = crypto_verify(public, &how, in, bytes_of(signature, len));
	crypto_key_free(public);
	return err;
}

static enum hf_err
key_try(struct hsm_call *call, const struct key_work *w, CK_OBJECT_HANDLE made,
    CK_OBJECT_HANDLE unwrapped)
{
	if (w->alg->class == CKO_SECRET_KEY)
		return symmetric_same(call, w, made, unwrapped);
	return pair_consistent(call, w, unwrapped);
}

/* -- Making -- */

static enum hf_err
key_public(
    struct hsm_call *call, struct key_work *w, const struct key_pair *pair)
{
	w->spki_len = 0;
	if (pair->public == CK_INVALID_HANDLE)
		return HF_OK;
	return object_spki(call, pair->public, w->type, w->spki, &w->spki_len);
}

/* The HSM has no way to do it with such a key; nothing is wrong. */
static enum hf_err
not_wrappable(struct hsm_call *call, struct key_work *w)
{
	call_forgive(call);
	w->wrappable = false;
	return HF_OK;
}

static enum hf_err
key_wrap(struct hsm_call *call, struct key_work *w, CK_OBJECT_HANDLE wrap,
    CK_OBJECT_HANDLE key)
{
	CK_MECHANISM m = mechanism(call->hsm->traits.wrap);
	CK_OBJECT_HANDLE back;
	CK_ULONG len = HSM_WRAPPED_MAX;
	enum hf_err err = call_check(call,
	    call->fn->C_WrapKey(
		call->session, &m, wrap, key, w->wrapped, &len));

	if (err == HF_ERR_HSM_MECHANISM)
		return not_wrappable(call, w);
	if (err != HF_OK)
		return err;
	if (len > HSM_WRAPPED_MAX)
		return HF_ERR_HSM_REFUSED; /* it claims to have overrun */
	err = call_check(call,
	    key_unwrap(call, call->session, w->type, wrap,
		bytes_of(w->wrapped, len), &back));
	if (err != HF_OK && call->class == CLASS_DATA)
		return not_wrappable(call, w);
	if (err != HF_OK)
		return err;
	err = key_try(call, w, key, back);
	object_drop(call, back);
	/* SoftHSM gives 100 bytes back as 104, with zeros at the end. */
	if (err == HF_ERR_HSM_REFUSED && call->class == CLASS_OK)
		return not_wrappable(call, w);
	if (err == HF_OK)
		w->wrapped_len = len;
	return err;
}

/* Whatever happens, nothing that may be wrapped stays behind. */
static enum hf_err
make_under(struct hsm_call *call, struct key_work *w, CK_OBJECT_HANDLE wrap)
{
	struct key_pair pair;
	enum hf_err err;

	w->wrappable = call->hsm->traits.wrap != 0;
	if (!w->wrappable)
		return HF_OK;
	err = key_generate(call, w, KEY_EXTRACTABLE, &pair);
	if (err == HF_ERR_HSM_REFUSED && call->class == CLASS_DATA)
		return not_wrappable(call, w); /* some make no such key */
	if (err != HF_OK)
		return err;
	err = key_public(call, w, &pair);
	if (err == HF_OK)
		err = key_wrap(call, w, wrap, pair.key);
	object_drop(call, pair.key);
	object_drop(call, pair.public);
	return err;
}

static enum hf_err
make_wrapped(struct hsm_call *call, void *arg)
{
	struct key_work *w = arg;
	CK_OBJECT_HANDLE wrap;
	enum hf_err err = handle_of_role(call, ROLE_WRAP, w->wrap_id, &wrap);

	return err == HF_OK ? make_under(call, w, wrap) : err;
}

enum hf_err
key_wrap_test(struct hsm_call *call, const struct key_type *type,
    CK_OBJECT_HANDLE wrap, bool *wrappable)
{
	static const uint8_t id[HSM_ID];
	uint8_t wrapped[HSM_WRAPPED_MAX], spki[SPKI_MAX];
	struct key_work w = { .type = type,
		.alg = hsm_alg_of(type),
		.size = type->family == FAMILY_HMAC ? HMAC_MIN : type->size,
		.id = id,
		.wrapped = wrapped,
		.spki = spki };
	enum hf_err err = make_under(call, &w, wrap);

	if (err == HF_OK)
		*wrappable = w.wrappable;
	return err;
}

static enum hf_err
make_resident(struct hsm_call *call, void *arg)
{
	struct key_work *w = arg;
	struct key_pair pair;
	enum hf_err err = key_generate(call, w, KEY_ON_TOKEN, &pair);

	if (err != HF_OK)
		return err;
	w->wrapped_len = 0;
	err = key_public(call, w, &pair);
	if (err == HF_OK && w->alg->class == CKO_PRIVATE_KEY)
		err = pair_consistent(call, w, pair.key);
	if (err != HF_OK)
		object_drop(call, pair.key);
	object_drop(call, pair.public);
	return err;
}

enum hf_err
hsm_key_make(struct hsm *hsm, const struct key_type *type, size_t hmac_size,
    const uint8_t wrap_id[HSM_ID], const uint8_t id[HSM_ID], uint8_t *wrapped,
    size_t *wrapped_len, uint8_t *spki, size_t *spki_len)
{
	struct key_work w = { .type = type,
		.alg = hsm_alg_of(type),
		.size = type->family == FAMILY_HMAC ? hmac_size : type->size,
		.wrap_id = wrap_id,
		.id = id,
		.wrapped = wrapped,
		.spki = spki };
	enum hf_err err;

	if (w.alg == NULL)
		return HF_ERR_HSM_MECHANISM;
	if (effects_dry())
		return HF_ERR_DRY_RUN;
	if (type->family == FAMILY_HMAC &&
	    (hmac_size < HMAC_MIN || hmac_size > HMAC_MAX))
		return HF_ERR_OUT_OF_BOUNDS;
	if (hsm_is_remote(hsm))
		return remote_key_make(hsm, type, hmac_size, wrap_id, id,
		    wrapped, wrapped_len, spki, spki_len);
	err = hsm_run(hsm, RUN_ONCE, make_wrapped, &w);
	if (err == HF_OK && !w.wrappable)
		err = hsm_run(hsm, RUN_ONCE, make_resident, &w);
	if (err != HF_OK)
		return err;
	*wrapped_len = w.wrapped_len;
	*spki_len = w.spki_len;
	return HF_OK;
}

/* -- Material from outside -- */

struct import_work {
	struct key_work key;
	struct hf_bytes material;
	struct hf_bytes kek;  /* of the passing AES key ... */
	struct hf_bytes blob; /* ... and the material under it */
	bool resident;
};

/* The template of a key that is not born inside. */
static void
import_template(
    struct key_template *t, const struct key_work *w, unsigned flags)
{
	template_number(t, CKA_CLASS, w->alg->class);
	template_number(t, CKA_KEY_TYPE, w->alg->ckk);
	template_key(t, w->alg->class, w->alg->use, flags);
	template_bytes(t, CKA_ID, bytes_of(w->id, HSM_ID));
}

static enum hf_err
kek_make(struct hsm_call *call, struct hf_bytes kek, CK_OBJECT_HANDLE *out)
{
	struct key_template t = { 0 };

	template_number(&t, CKA_CLASS, CKO_SECRET_KEY);
	template_number(&t, CKA_KEY_TYPE, CKK_AES);
	template_key(&t, CKO_SECRET_KEY, USE_UNWRAP, 0);
	template_bytes(&t, CKA_VALUE, kek);
	return call_check(
	    call, call->fn->C_CreateObject(call->session, t.a, t.count, out));
}

static enum hf_err
import_unwrap(struct hsm_call *call, const struct import_work *w,
    unsigned flags, CK_OBJECT_HANDLE *out)
{
	CK_MECHANISM m = mechanism(call->hsm->traits.wrap);
	struct key_template t = { 0 };
	CK_OBJECT_HANDLE kek;
	enum hf_err err;

	if (m.mechanism == 0)
		return HF_ERR_HSM_MECHANISM;
	if ((err = kek_make(call, w->kek, &kek)) != HF_OK)
		return err;
	import_template(&t, &w->key, flags);
	err = call_check(call,
	    call->fn->C_UnwrapKey(call->session, &m, kek, unconst(w->blob.ptr),
		w->blob.len, t.a, t.count, out));
	object_drop(call, kek);
	return err;
}

/* Ed25519, which few HSMs can unwrap: the seed ends its PKCS#8 (RFC 8410). */
static enum hf_err
import_create(struct hsm_call *call, const struct import_work *w,
    unsigned flags, CK_OBJECT_HANDLE *out)
{
	const struct key_work *k = &w->key;
	struct key_template t = { 0 };
	struct hf_bytes value = w->material;

	import_template(&t, k, flags);
	if (k->alg->class == CKO_PRIVATE_KEY) {
		if (k->type->family != FAMILY_EDDSA)
			return HF_ERR_HSM_MECHANISM;
		template_bytes(&t, CKA_EC_PARAMS, k->alg->params);
		value = bytes_of(
		    value.ptr + value.len - k->type->size, k->type->size);
	}
	template_bytes(&t, CKA_VALUE, value);
	return call_check(
	    call, call->fn->C_CreateObject(call->session, t.a, t.count, out));
}

/* What is in the HSM does what the material itself would. */
static enum hf_err
symmetric_is(struct hsm_call *call, const struct key_work *w,
    CK_OBJECT_HANDLE key, struct hf_bytes material)
{
	static const uint8_t text[16] = "holdfast sample";
	const struct hash_type *sha256 = hash_sha256();
	struct hf_bytes in = bytes_of(text, sizeof(text));
	struct hf_bytes none = { NULL, 0 };
	uint8_t nonce[GCM_NONCE], theirs[64], ours[64];
	size_t len = sizeof(theirs);
	CK_MECHANISM m = mechanism(mac_of(w->type));
	enum hf_err err;

	if (w->type->family == FAMILY_AEAD) {
		if ((err = crypto_random(nonce, sizeof(nonce))) == HF_OK)
			err = gcm_encrypt(call, call->hsm->traits.nonce, key,
			    nonce, none, in, theirs);
		if (err == HF_OK)
			err = crypto_open(w->type, material,
			    bytes_of(nonce, sizeof(nonce)), none,
			    bytes_of(theirs, sizeof(text) + GCM_TAG), ours);
		return err == HF_ERR_AUTH_FAILED ? HF_ERR_HSM_REFUSED : err;
	}
	if ((err = call_crypt(call, CRYPT_SIGN, &m, key, in, theirs, &len)) !=
		HF_OK ||
	    (err = w->type->family == FAMILY_CMAC
		    ? crypto_cmac(material, in, ours)
		    : crypto_hmac(sha256, material, in, ours)) != HF_OK)
		return err;
	return bytes_equal(bytes_of(theirs, len), bytes_of(ours, len))
	    ? HF_OK
	    : HF_ERR_HSM_REFUSED;
}

static enum hf_err
import_try(
    struct hsm_call *call, const struct import_work *w, CK_OBJECT_HANDLE key)
{
	if (w->key.alg->class == CKO_PRIVATE_KEY)
		return pair_consistent(call, &w->key, key);
	return symmetric_is(call, &w->key, key, w->material);
}

typedef enum hf_err enter_fn(struct hsm_call *call, const struct import_work *w,
    unsigned flags, CK_OBJECT_HANDLE *out);

/* Nothing stays behind that is not the key. */
static enum hf_err
import_by(struct hsm_call *call, const struct import_work *w, unsigned flags,
    enter_fn *enter, CK_OBJECT_HANDLE *out)
{
	enum hf_err err = enter(call, w, flags, out);

	if (err != HF_OK)
		return err;
	err = import_try(call, w, *out);
	if (err != HF_OK)
		object_drop(call, *out);
	return err;
}

/* The HSM has no such way for such a key, or makes another key of it. */
static bool
import_impossible(const struct hsm_call *call, enum hf_err err)
{
	return call->class == CLASS_DATA ||
	    (call->class == CLASS_OK &&
		(err == HF_ERR_HSM_MECHANISM || err == HF_ERR_HSM_REFUSED));
}

/* SoftHSM says of an Ed25519 key that it should unwrap what a sick token would
 * say, so there the other way is tried first. */
static enum hf_err
import_enter(struct hsm_call *call, const struct import_work *w, unsigned flags,
    CK_OBJECT_HANDLE *out)
{
	bool edwards = w->key.type->family == FAMILY_EDDSA;
	enter_fn *first = edwards ? import_create : import_unwrap;
	enter_fn *second = edwards ? import_unwrap : import_create;
	enum hf_err err = import_by(call, w, flags, first, out);

	if (err == HF_OK || !import_impossible(call, err))
		return err;
	call_forgive(call);
	return import_by(call, w, flags, second, out);
}

static enum hf_err
import_key(struct hsm_call *call, void *arg)
{
	struct import_work *w = arg;
	struct key_work *k = &w->key;
	unsigned flags = w->resident ? KEY_ON_TOKEN : KEY_EXTRACTABLE;
	CK_OBJECT_HANDLE wrap, key;
	enum hf_err err;

	k->wrappable = call->hsm->traits.wrap != 0;
	k->wrapped_len = 0;
	if (!w->resident && !k->wrappable)
		return HF_OK;
	if ((err = handle_of_role(call, ROLE_WRAP, k->wrap_id, &wrap)) !=
		HF_OK ||
	    (err = import_enter(call, w, flags, &key)) != HF_OK)
		return err;
	if (!w->resident)
		err = key_wrap(call, k, wrap, key);
	if (err != HF_OK || !w->resident)
		object_drop(call, key);
	return err;
}

enum hf_err
hsm_key_import(struct hsm *hsm, const struct key_type *type,
    struct hf_bytes material, struct hf_bytes public_half,
    const uint8_t wrap_id[HSM_ID], const uint8_t id[HSM_ID], uint8_t *wrapped,
    size_t *wrapped_len)
{
	uint8_t blob[HSM_WRAPPED_MAX], spki[SPKI_MAX];
	AUTO_SECRET kek = { 0 };
	struct import_work w = { .material = material,
		.key = { .type = type,
		    .alg = hsm_alg_of(type),
		    .wrap_id = wrap_id,
		    .id = id,
		    .wrapped = wrapped,
		    .spki = spki } };
	size_t len;
	enum hf_err err;

	if (w.key.alg == NULL)
		return HF_ERR_HSM_MECHANISM;
	if (effects_dry())
		return HF_ERR_DRY_RUN;
	if (material.len < type->size || public_half.len > sizeof(spki) ||
	    material.len + CRYPTO_KWP_EXTRA > sizeof(blob))
		return HF_ERR_BAD_INPUT;
	if (public_half.len > 0)
		memcpy(spki, public_half.ptr, public_half.len);
	w.key.spki_len = public_half.len;
	if (hsm_is_remote(hsm))
		return remote_key_import(hsm, type, material, public_half,
		    wrap_id, id, wrapped, wrapped_len);
	if ((err = secret_alloc(&kek, CRYPTO_KWP_KEY)) != HF_OK ||
	    (err = crypto_random(kek.ptr, kek.len)) != HF_OK ||
	    (err = crypto_kwp_wrap(secret_view(&kek), material, blob, &len)) !=
		HF_OK)
		return err;
	w.kek = secret_view(&kek);
	w.blob = bytes_of(blob, len);
	err = hsm_run(hsm, RUN_ONCE, import_key, &w);
	if (err == HF_OK && !w.key.wrappable) {
		w.resident = true;
		err = hsm_run(hsm, RUN_ONCE, import_key, &w);
	}
	if (err == HF_OK)
		*wrapped_len = w.key.wrapped_len;
	return err;
}

static enum hf_err
key_forget(struct hsm_call *call, void *arg)
{
	const struct hsm_key *key = arg;
	const struct hsm_alg *alg = hsm_alg_of(key->type);

	handle_forget(call, HANDLE_KEY, key->id);
	if (key->wrapped.len > 0)
		return HF_OK;
	return object_destroy_all(call, alg->class, key->id);
}

enum hf_err
hsm_key_drop(struct hsm *hsm, const struct hsm_key *key)
{
	struct hsm_key copy = *key;

	if (hsm_alg_of(key->type) == NULL)
		return HF_ERR_HSM_MECHANISM;
	if (effects_dry())
		return HF_ERR_DRY_RUN;
	if (hsm_is_remote(hsm))
		return remote_key_drop(hsm, key);
	return hsm_run(hsm, RUN_SAFE, key_forget, &copy);
}
