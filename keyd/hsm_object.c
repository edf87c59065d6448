/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../lib/bytes.h"
#include "crypto.h"
#include "effects.h"
#include "hsm_internal.h"
#include "hsm_remote.h"
#include "log.h"

enum { SEARCH_MAX = 16, ATTRIBUTE_MAX = 1024, AUDIT_SIGNATURE = 64 };

/* -- Searching and reading -- */

static enum hf_err
search_results(
    struct hsm_call *call, CK_OBJECT_HANDLE *found, size_t max, size_t *count)
{
	*count = 0;
	while (*count < max) {
		CK_ULONG n = 0;
		enum hf_err err = call_check(call,
		    call->fn->C_FindObjects(
			call->session, found + *count, max - *count, &n));

		if (err != HF_OK)
			return err;
		if (n == 0 || n > max - *count)
			break;
		*count += n;
	}
	return HF_OK;
}

/*
 * Without a login, private objects are just not seen. Nobody shall take that
 * for a token without keys.
 */
static enum hf_err
login_check(struct hsm_call *call)
{
	CK_SESSION_INFO info;
	enum hf_err err =
	    call_check(call, call->fn->C_GetSessionInfo(call->session, &info));

	if (err == HF_OK && info.state != CKS_RW_USER_FUNCTIONS)
		return call_check(call, CKR_USER_NOT_LOGGED_IN);
	return err;
}

enum hf_err
object_search(struct hsm_call *call, CK_OBJECT_CLASS class,
    const uint8_t id[HSM_ID], CK_OBJECT_HANDLE *found, size_t max,
    size_t *count)
{
	struct key_template t = { 0 };
	enum hf_err err;

	template_number(&t, CKA_CLASS, class);
	template_bool(&t, CKA_TOKEN, true);
	template_bytes(&t, CKA_ID, bytes_of(id, HSM_ID));
	err = call_check(
	    call, call->fn->C_FindObjectsInit(call->session, t.a, t.count));
	if (err != HF_OK)
		return err;
	call->active = true;
	err = search_results(call, found, max, count);
	if (err == HF_OK)
		err = call_check(
		    call, call->fn->C_FindObjectsFinal(call->session));
	if (err != HF_OK)
		return err;
	call->active = false;
	return *count > 0 ? HF_OK : login_check(call);
}

/* Somebody else's object under our id is not a key of ours. */
static enum hf_err
key_inspect(struct hsm_call *call, CK_OBJECT_HANDLE object, CK_KEY_TYPE type)
{
	CK_KEY_TYPE is = CK_UNAVAILABLE_INFORMATION;
	CK_BBOOL sensitive = CK_FALSE, extractable = CK_TRUE;
	CK_ATTRIBUTE a[] = {
		{ CKA_KEY_TYPE, &is, sizeof(is) },
		{ CKA_SENSITIVE, &sensitive, sizeof(sensitive) },
		{ CKA_EXTRACTABLE, &extractable, sizeof(extractable) },
	};
	enum hf_err err = call_check(
	    call, call->fn->C_GetAttributeValue(call->session, object, a, 3));

	if (err != HF_OK)
		return err;
	if (is == type && sensitive == CK_TRUE && extractable == CK_FALSE)
		return HF_OK;
	log_error("HSM: an object with the id of one of our keys is not as we "
		  "make them; it is not used");
	return HF_ERR_HSM_REFUSED;
}

enum hf_err
object_find_key(struct hsm_call *call, CK_OBJECT_CLASS class, CK_KEY_TYPE type,
    const uint8_t id[HSM_ID], CK_OBJECT_HANDLE *out)
{
	CK_OBJECT_HANDLE found[2];
	size_t count;
	enum hf_err err = object_search(call, class, id, found, 2, &count);

	if (err != HF_OK)
		return err;
	if (count == 0)
		return HF_ERR_NOT_FOUND;
	if (count > 1) {
		log_error("HSM: two objects have the id of one key; neither "
			  "is used");
		return HF_ERR_HSM_REFUSED;
	}
	err = key_inspect(call, found[0], type);
	if (err == HF_OK)
		*out = found[0];
	return err;
}

enum hf_err
object_destroy_all(
    struct hsm_call *call, CK_OBJECT_CLASS class, const uint8_t id[HSM_ID])
{
	CK_OBJECT_HANDLE found[SEARCH_MAX];
	size_t count;
	enum hf_err err =
	    object_search(call, class, id, found, SEARCH_MAX, &count);

	for (size_t i = 0; err == HF_OK && i < count; i++)
		err = call_check(
		    call, call->fn->C_DestroyObject(call->session, found[i]));
	return err;
}

void
object_drop(struct hsm_call *call, CK_OBJECT_HANDLE object)
{
	if (object != CK_INVALID_HANDLE)
		(void)call->fn->C_DestroyObject(call->session, object);
}

enum hf_err
object_attribute(struct hsm_call *call, CK_OBJECT_HANDLE object,
    CK_ATTRIBUTE_TYPE type, uint8_t *out, size_t *len)
{
	CK_ATTRIBUTE a = { type, out, *len };
	enum hf_err err = call_check(
	    call, call->fn->C_GetAttributeValue(call->session, object, &a, 1));

	if (err != HF_OK)
		return err;
	if (a.ulValueLen > *len)
		return HF_ERR_HSM_REFUSED;
	*len = a.ulValueLen;
	return HF_OK;
}

enum hf_err
object_spki(struct hsm_call *call, CK_OBJECT_HANDLE object,
    const struct key_type *type, uint8_t *out, size_t *len)
{
	uint8_t first[ATTRIBUTE_MAX], exponent[16];
	size_t first_len = sizeof(first), exponent_len = sizeof(exponent);
	bool rsa = type->family == FAMILY_RSA;
	enum hf_err err = object_attribute(
	    call, object, rsa ? CKA_MODULUS : CKA_EC_POINT, first, &first_len);

	if (err != HF_OK)
		return err;
	if (!rsa)
		return crypto_spki_ec(
		    type, bytes_of(first, first_len), out, len);
	err = object_attribute(
	    call, object, CKA_PUBLIC_EXPONENT, exponent, &exponent_len);
	if (err != HF_OK)
		return err;
	return crypto_spki_rsa(bytes_of(first, first_len),
	    bytes_of(exponent, exponent_len), out, len);
}

/* -- The three roles -- */

struct role_work {
	enum hsm_role role;
	const uint8_t *id;
	const char *label;
	bool found;
};

static enum hf_err
role_find(struct hsm_call *call, void *arg)
{
	struct role_work *w = arg;
	const struct hsm_role_alg *r = hsm_role_alg(w->role);
	const struct hsm_alg *alg = hsm_alg_of(key_type_by_id(r->type));
	CK_OBJECT_HANDLE object;
	enum hf_err err =
	    object_find_key(call, alg->class, alg->ckk, w->id, &object);

	if (err != HF_OK && err != HF_ERR_NOT_FOUND)
		return err;
	w->found = err == HF_OK;
	return HF_OK;
}

/* What both halves, or the one key, have in common. */
static void
role_template(struct key_template *t, const struct role_work *w)
{
	template_bool(t, CKA_MODIFIABLE, false);
	template_bytes(t, CKA_ID, bytes_of(w->id, HSM_ID));
	template_bytes(t, CKA_LABEL, bytes_of_text(text_of(w->label)));
}

static enum hf_err
role_generate(struct hsm_call *call, void *arg)
{
	struct role_work *w = arg;
	const struct hsm_role_alg *r = hsm_role_alg(w->role);
	const struct key_type *type = key_type_by_id(r->type);
	const struct hsm_alg *alg = hsm_alg_of(type);
	CK_MECHANISM m = mechanism(alg->generate);
	struct key_template key = { 0 }, public = { 0 };
	CK_OBJECT_HANDLE object, other;
	enum hf_err err;

	template_key(&key, alg->class, r->use, KEY_ON_TOKEN);
	role_template(&key, w);
	if (alg->class == CKO_SECRET_KEY) {
		template_number(&key, CKA_VALUE_LEN, type->size);
		return call_check(call,
		    call->fn->C_GenerateKey(
			call->session, &m, key.a, key.count, &object));
	}
	/* A crash between the halves of a pair leaves the public one. */
	err = object_destroy_all(call, CKO_PUBLIC_KEY, w->id);
	if (err != HF_OK)
		return err;
	template_public(&public, alg, type->bits, true);
	role_template(&public, w);
	return call_check(call,
	    call->fn->C_GenerateKeyPair(call->session, &m, public.a,
		public.count, key.a, key.count, &other, &object));
}

/* Finds, makes, and when it is not known whether that went well, finds. */
static enum hf_err
role_make(struct hsm *hsm, struct role_work *w)
{
	enum hf_err err = hsm_run(hsm, RUN_SAFE, role_find, w);
	enum hf_err again;

	if (err != HF_OK || w->found)
		return err;
	err = hsm_run(hsm, RUN_ONCE, role_generate, w);
	if (err == HF_OK)
		return HF_OK;
	again = hsm_run(hsm, RUN_SAFE, role_find, w);
	return again == HF_OK && w->found ? HF_OK : err;
}

enum hf_err
hsm_object_make(struct hsm *hsm, enum hsm_role role, const uint8_t id[HSM_ID],
    const char *label)
{
	struct role_work w = { .role = role, .id = id, .label = label };
	enum hf_err err;

	if (effects_dry())
		return HF_ERR_DRY_RUN;
	if (hsm_is_remote(hsm))
		return remote_object_make(
		    hsm, role, id, label, (struct hf_bytes){ NULL, 0 });
	(void)pthread_mutex_lock(&hsm->make_lock);
	err = role_make(hsm, &w);
	(void)pthread_mutex_unlock(&hsm->make_lock);
	return err;
}

enum hf_err
role_look(
    struct hsm *hsm, enum hsm_role role, const uint8_t id[HSM_ID], bool *found)
{
	struct role_work w = { .role = role, .id = id };
	enum hf_err err = hsm_run(hsm, RUN_NOW, role_find, &w);

	if (err == HF_OK)
		*found = w.found;
	return err;
}

enum hf_err
hsm_object_find(
    struct hsm *hsm, enum hsm_role role, const uint8_t id[HSM_ID], bool *found)
{
	struct role_work w = { .role = role, .id = id };
	enum hf_err err;

	if (hsm_is_remote(hsm))
		return remote_object_find(hsm, role, id, found);
	err = hsm_run(hsm, RUN_SAFE, role_find, &w);
	if (err == HF_OK)
		*found = w.found;
	return err;
}

static enum hf_err
role_destroy(struct hsm_call *call, void *arg)
{
	struct role_work *w = arg;
	const struct hsm_role_alg *r = hsm_role_alg(w->role);
	const struct hsm_alg *alg = hsm_alg_of(key_type_by_id(r->type));
	enum hf_err err;

	handle_forget(call, w->role, w->id);
	role_gone(call->hsm, w->role, w->id);
	err = object_destroy_all(call, alg->class, w->id);
	if (err == HF_OK && alg->class == CKO_PRIVATE_KEY)
		err = object_destroy_all(call, CKO_PUBLIC_KEY, w->id);
	return err;
}

enum hf_err
hsm_object_destroy(
    struct hsm *hsm, enum hsm_role role, const uint8_t id[HSM_ID])
{
	struct role_work w = { .role = role, .id = id };

	if (effects_dry())
		return HF_ERR_DRY_RUN;
	if (hsm_is_remote(hsm))
		return remote_object_destroy(hsm, role, id);
	return hsm_run(hsm, RUN_SAFE, role_destroy, &w);
}

/* -- The audit key -- */

struct audit_work {
	const uint8_t *id;
	const uint8_t *digest;
	uint8_t *out;
	size_t len;
};

static enum hf_err
audit_public(struct hsm_call *call, void *arg)
{
	struct audit_work *w = arg;
	CK_OBJECT_HANDLE found[2];
	size_t count;
	enum hf_err err =
	    object_search(call, CKO_PUBLIC_KEY, w->id, found, 2, &count);

	if (err != HF_OK)
		return err;
	if (count == 0)
		return HF_ERR_NOT_FOUND;
	if (count > 1)
		return HF_ERR_HSM_REFUSED;
	return object_spki(
	    call, found[0], key_type_by_id(KEY_ECDSA_P256), w->out, &w->len);
}

enum hf_err
hsm_audit_public(
    struct hsm *hsm, const uint8_t id[HSM_ID], uint8_t *out, size_t *len)
{
	struct audit_work w = { .id = id, .out = out };
	enum hf_err err;

	if (hsm_is_remote(hsm))
		return remote_audit_public(hsm, id, out, len);
	err = hsm_run(hsm, RUN_SAFE, audit_public, &w);
	if (err == HF_OK)
		*len = w.len;
	return err;
}

static enum hf_err
audit_sign(struct hsm_call *call, void *arg)
{
	struct audit_work *w = arg;
	CK_MECHANISM m = mechanism(CKM_ECDSA);
	CK_OBJECT_HANDLE key;
	enum hf_err err = handle_of_role(call, ROLE_AUDIT, w->id, &key);

	if (err != HF_OK)
		return err;
	w->len = AUDIT_SIGNATURE;
	err = call_crypt(call, CRYPT_SIGN, &m, key, bytes_of(w->digest, 32),
	    w->out, &w->len);
	if (err == HF_OK && w->len != AUDIT_SIGNATURE)
		return HF_ERR_HSM_REFUSED;
	return err;
}

enum hf_err
hsm_audit_sign(struct hsm *hsm, const uint8_t id[HSM_ID],
    const uint8_t digest[32], uint8_t out[64])
{
	struct audit_work w = { .id = id, .digest = digest, .out = out };

	if (hsm_is_remote(hsm))
		return remote_audit_sign(hsm, id, digest, out);
	return hsm_run(hsm, RUN_SAFE, audit_sign, &w);
}

/* -- Sealing with a master key -- */

struct seal_work {
	const uint8_t *id;
	struct hf_bytes aad, in;
	uint8_t *out;
};

static enum hf_err
seal(struct hsm_call *call, void *arg)
{
	struct seal_work *w = arg;
	uint8_t nonce[GCM_NONCE];
	CK_OBJECT_HANDLE key;
	enum hf_err err = handle_of_role(call, ROLE_MASTER, w->id, &key);

	if (err == HF_OK)
		err = call_check(call,
		    call->fn->C_GenerateRandom(
			call->session, nonce, sizeof(nonce)));
	if (err == HF_OK)
		err = gcm_encrypt(call, call->hsm->traits.nonce, key, nonce,
		    w->aad, w->in, w->out + GCM_NONCE);
	if (err == HF_OK)
		memcpy(w->out, nonce, sizeof(nonce));
	return err;
}

enum hf_err
hsm_seal(struct hsm *hsm, const uint8_t id[HSM_ID], struct hf_bytes aad,
    struct hf_bytes in, uint8_t *out)
{
	struct seal_work w = { .id = id, .aad = aad, .in = in, .out = out };

	if (in.len == 0)
		return HF_ERR_BAD_INPUT;
	if (hsm_is_remote(hsm))
		return remote_seal(hsm, id, aad, in, out);
	return hsm_run(hsm, RUN_SAFE, seal, &w);
}

static enum hf_err
open_sealed(struct hsm_call *call, void *arg)
{
	struct seal_work *w = arg;
	CK_OBJECT_HANDLE key;
	enum hf_err err = handle_of_role(call, ROLE_MASTER, w->id, &key);

	if (err == HF_ERR_HSM_UNINITIALIZED)
		role_missed(call->hsm, ROLE_MASTER, w->id, true);
	if (err != HF_OK)
		return err;
	return gcm_decrypt(call, key, w->in.ptr, w->aad,
	    bytes_of(w->in.ptr + GCM_NONCE, w->in.len - GCM_NONCE), w->out);
}

enum hf_err
hsm_open_sealed(struct hsm *hsm, const uint8_t id[HSM_ID], struct hf_bytes aad,
    struct hf_bytes in, struct secret *out)
{
	struct seal_work w = { .id = id, .aad = aad, .in = in };
	AUTO_SECRET plain = { 0 };
	enum hf_err err;

	if (hsm_is_remote(hsm))
		return remote_open_sealed(hsm, id, aad, in, out);
	if (in.len <= HSM_SEAL_EXTRA)
		return HF_ERR_BAD_CIPHERTEXT;
	err = secret_alloc(&plain, in.len - HSM_SEAL_EXTRA);
	if (err != HF_OK)
		return err;
	w.out = plain.ptr;
	err = hsm_run(hsm, RUN_SAFE, open_sealed, &w);
	if (err == HF_OK)
		secret_move(out, &plain);
	return err;
}
