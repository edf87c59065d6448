/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../lib/bytes.h"
#include "crypto.h"
#include "crypto_wrap.h"
#include "hsm_internal.h"
#include "hsm_remote.h"

/*
 * Master and wrapping keys that were made outside, for HSMs whose master key
 * has a backup in shares. What stands in the token is compared with what was
 * brought: by AES-GCM for a master key, by a key unwrapped for a wrapping key.
 */

enum { VALUE = 32, BLOB = VALUE + CRYPTO_KWP_EXTRA };

struct bring {
	enum hsm_role role;
	const uint8_t *id;
	const char *label;
	struct hf_bytes value;
	struct hf_bytes kek; /* of the passing AES key ... */
	uint8_t blob[BLOB];  /* ... and the value under it */
	size_t blob_len;
	struct hf_bytes sample; /* a key that the wrapping key unwraps ... */
	uint8_t wrapped[BLOB];  /* ... and that key under it */
	size_t wrapped_len;
};

static enum hf_err
aes_create(struct hsm_call *call, struct key_template *t, struct hf_bytes value,
    CK_OBJECT_HANDLE *out)
{
	template_number(t, CKA_CLASS, CKO_SECRET_KEY);
	template_number(t, CKA_KEY_TYPE, CKK_AES);
	template_bytes(t, CKA_VALUE, value);
	return call_check(
	    call, call->fn->C_CreateObject(call->session, t->a, t->count, out));
}

static void
role_template(struct key_template *t, const struct bring *b)
{
	template_key(
	    t, CKO_SECRET_KEY, hsm_role_alg(b->role)->use, KEY_ON_TOKEN);
	template_bool(t, CKA_MODIFIABLE, false);
	template_bytes(t, CKA_ID, bytes_of(b->id, HSM_ID));
	template_bytes(t, CKA_LABEL, bytes_of_text(text_of(b->label)));
}

static enum hf_err
bring_unwrap(struct hsm_call *call, const struct bring *b)
{
	CK_MECHANISM m = mechanism(call->hsm->traits.wrap);
	struct key_template kek_template = { 0 }, t = { 0 };
	CK_OBJECT_HANDLE kek, made;
	enum hf_err err;

	if (m.mechanism == 0)
		return HF_ERR_HSM_MECHANISM;
	template_key(&kek_template, CKO_SECRET_KEY, USE_UNWRAP, 0);
	if ((err = aes_create(call, &kek_template, b->kek, &kek)) != HF_OK)
		return err;
	role_template(&t, b);
	template_number(&t, CKA_CLASS, CKO_SECRET_KEY);
	template_number(&t, CKA_KEY_TYPE, CKK_AES);
	err = call_check(call,
	    call->fn->C_UnwrapKey(call->session, &m, kek, unconst(b->blob),
		b->blob_len, t.a, t.count, &made));
	object_drop(call, kek);
	return err;
}

static enum hf_err
bring_create(struct hsm_call *call, const struct bring *b)
{
	struct key_template t = { 0 };
	CK_OBJECT_HANDLE made;

	role_template(&t, b);
	return aes_create(call, &t, b->value, &made);
}

static enum hf_err
bring_enter(struct hsm_call *call, void *arg)
{
	const struct bring *b = arg;
	enum hf_err err = bring_unwrap(call, b);

	/* The HSM has no such way for such a key. */
	if (err == HF_OK ||
	    (call->class != CLASS_DATA && err != HF_ERR_HSM_MECHANISM))
		return err;
	call_forgive(call);
	return bring_create(call, b);
}

/* -- Is what stands there what was brought? -- */

/* HF_ERR_AUTH_FAILED when the key in the HSM is another one. */
static enum hf_err
gcm_compare(struct hsm_call *call, CK_OBJECT_HANDLE key, struct hf_bytes value)
{
	static const uint8_t text[16] = "holdfast sample";
	struct hf_bytes in = bytes_of(text, sizeof(text));
	struct hf_bytes none = { NULL, 0 };
	uint8_t nonce[GCM_NONCE], sealed[sizeof(text) + GCM_TAG];
	uint8_t back[sizeof(text)];
	enum hf_err err = call_check(call,
	    call->fn->C_GenerateRandom(call->session, nonce, sizeof(nonce)));

	if (err == HF_OK)
		err = gcm_encrypt(call, call->hsm->traits.nonce, key, nonce,
		    none, in, sealed);
	if (err != HF_OK)
		return err;
	return crypto_open(key_type_by_id(KEY_AES256_GCM96), value,
	    bytes_of(nonce, sizeof(nonce)), none,
	    bytes_of(sealed, sizeof(sealed)), back);
}

/* The HSM unwraps with it what was wrapped with the value here. */
static enum hf_err
wrap_compare(struct hsm_call *call, CK_OBJECT_HANDLE key, const struct bring *b)
{
	const struct key_type *aes = key_type_by_id(KEY_AES256_GCM96);
	CK_OBJECT_HANDLE sample;
	enum hf_err err;

	if (call->hsm->traits.wrap == 0)
		return HF_OK; /* nothing will ever be wrapped with it */
	err = call_check_genuine(call,
	    key_unwrap(call, call->session, aes, key,
		bytes_of(b->wrapped, b->wrapped_len), &sample));
	if (err != HF_OK)
		return call->class == CLASS_DATA ? HF_ERR_AUTH_FAILED : err;
	err = gcm_compare(call, sample, b->sample);
	object_drop(call, sample);
	return err;
}

static enum hf_err
bring_compare(struct hsm_call *call, void *arg)
{
	const struct bring *b = arg;
	CK_OBJECT_HANDLE key;
	enum hf_err err = handle_of_role(call, b->role, b->id, &key);

	if (err != HF_OK)
		return err;
	return b->role == ROLE_WRAP ? wrap_compare(call, key, b)
				    : gcm_compare(call, key, b->value);
}

static enum hf_err
compare(struct hsm *hsm, struct bring *b)
{
	enum hf_err err = hsm_run(hsm, RUN_SAFE, bring_compare, b);

	return err == HF_ERR_AUTH_FAILED ? HF_ERR_NAME_TAKEN : err;
}

/* Looks first, and also when it is not known how it went. */
static enum hf_err
bring_make(struct hsm *hsm, struct bring *b)
{
	enum hf_err err = compare(hsm, b);

	if (err != HF_ERR_HSM_UNINITIALIZED)
		return err;
	err = hsm_run(hsm, RUN_ONCE, bring_enter, b);
	if (err != HF_OK && err != HF_ERR_HSM_UNAVAILABLE &&
	    err != HF_ERR_TIMEOUT)
		return err;
	return compare(hsm, b);
}

enum hf_err
hsm_object_import(struct hsm *hsm, enum hsm_role role, const uint8_t id[HSM_ID],
    const char *label, struct hf_bytes value)
{
	AUTO_SECRET kek = { 0 };
	AUTO_SECRET sample = { 0 };
	struct bring b = {
		.role = role, .id = id, .label = label, .value = value
	};
	enum hf_err err;

	if (value.len != VALUE || role == ROLE_AUDIT)
		return HF_ERR_BAD_INPUT;
	if (hsm_is_remote(hsm))
		return remote_object_make(hsm, role, id, label, value);
	if ((err = secret_alloc(&kek, CRYPTO_KWP_KEY)) != HF_OK ||
	    (err = secret_alloc(&sample, VALUE)) != HF_OK ||
	    (err = crypto_random(kek.ptr, kek.len)) != HF_OK ||
	    (err = crypto_random(sample.ptr, sample.len)) != HF_OK ||
	    (err = crypto_kwp_wrap(
		 secret_view(&kek), value, b.blob, &b.blob_len)) != HF_OK ||
	    (err = crypto_kwp_wrap(value, secret_view(&sample), b.wrapped,
		 &b.wrapped_len)) != HF_OK)
		return err;
	b.kek = secret_view(&kek);
	b.sample = secret_view(&sample);
	(void)pthread_mutex_lock(&hsm->make_lock);
	err = bring_make(hsm, &b);
	(void)pthread_mutex_unlock(&hsm->make_lock);
	return err;
}
