/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../lib/bytes.h"
#include "hsm_internal.h"
#include "hsm_remote.h"

/* Keys from keys at level hsm: what comes out belongs to the daemon. */

/* -- ECDH -- */

enum hf_err
ecdh_derive(struct hsm_call *call, CK_OBJECT_HANDLE key, struct hf_bytes point,
    const struct secret *out)
{
	CK_ECDH1_DERIVE_PARAMS params = { .kdf = CKD_NULL,
		.ulPublicDataLen = point.len,
		.pPublicData = unconst(point.ptr) };
	CK_MECHANISM m = { CKM_ECDH1_DERIVE, &params, sizeof(params) };
	struct key_template t = { 0 };
	CK_OBJECT_HANDLE shared;
	size_t len = out->len;
	enum hf_err err;

	template_number(&t, CKA_CLASS, CKO_SECRET_KEY);
	template_number(&t, CKA_KEY_TYPE, CKK_GENERIC_SECRET);
	template_bool(&t, CKA_TOKEN, false);
	template_bool(&t, CKA_PRIVATE, true);
	template_bool(&t, CKA_SENSITIVE, false);
	template_bool(&t, CKA_EXTRACTABLE, true);
	template_number(&t, CKA_VALUE_LEN, out->len);
	err = call_check(call,
	    call->fn->C_DeriveKey(
		call->session, &m, key, t.a, t.count, &shared));
	if (err != HF_OK)
		return err;
	err = object_attribute(call, shared, CKA_VALUE, out->ptr, &len);
	object_drop(call, shared);
	return err == HF_OK && len != out->len ? HF_ERR_HSM_REFUSED : err;
}

struct ecdh_work {
	const struct hsm_key *key;
	struct hf_bytes point;
	const struct secret *out;
};

static enum hf_err
ecdh_work(struct hsm_call *call, void *arg)
{
	struct ecdh_work *w = arg;
	CK_OBJECT_HANDLE key;
	enum hf_err err;

	if ((hsm_can(call->hsm) & HSM_CAN_ECDH) == 0)
		return HF_ERR_HSM_MECHANISM;
	err = handle_of_key(call, w->key, &key);
	return err == HF_OK ? ecdh_derive(call, key, w->point, w->out) : err;
}

/* A point that is not on the curve could make the HSM tell its key, bit by
 * bit; not all of them look. */
enum hf_err
hsm_key_ecdh(struct hsm *hsm, const struct hsm_key *key, struct hf_bytes point,
    struct secret *out)
{
	uint8_t checked[CRYPTO_POINT_MAX];
	size_t len;
	AUTO_SECRET shared = { 0 };
	struct ecdh_work w = { .key = key, .out = &shared };
	enum hf_err err;

	if (key->type->family != FAMILY_EC)
		return HF_ERR_KEY_TYPE;
	if ((err = crypto_ec_point(key->type, point, checked, &len)) != HF_OK ||
	    (err = secret_alloc(&shared, key->type->size)) != HF_OK)
		return err;
	w.point = bytes_of(checked, len);
	err = hsm_is_remote(hsm) ? remote_key_use(hsm, JOB_ECDH, key, NULL,
				       w.point, shared.ptr, shared.len, NULL)
				 : hsm_run(hsm, RUN_SAFE, ecdh_work, &w);
	if (err == HF_OK)
		secret_move(out, &shared);
	return err;
}

/* -- HKDF -- */

/* T(i) = HMAC(key, T(i - 1) || info || i), RFC 5869, section 2.3. */
static enum hf_err
expand(struct hsm *hsm, const struct hsm_key *key, const struct hkdf *how,
    struct secret *text, struct secret *out)
{
	size_t size = how->hash->size, before = 0;

	for (size_t at = 0, i = 1; at < out->len; at += size, i++) {
		uint8_t mac[CRYPTO_HASH_MAX];
		size_t left = out->len - at;
		enum hf_err err;

		if (how->info.len > 0)
			memcpy(
			    text->ptr + before, how->info.ptr, how->info.len);
		text->ptr[before + how->info.len] = (uint8_t)i;
		err = hsm_key_hmac(hsm, key, how->hash,
		    bytes_of(text->ptr, before + how->info.len + 1), mac);
		if (err == HF_OK) {
			memcpy(out->ptr + at, mac, left < size ? left : size);
			memcpy(text->ptr, mac, size);
		}
		bytes_wipe(mac, sizeof(mac));
		if (err != HF_OK)
			return err;
		before = size;
	}
	return HF_OK;
}

enum hf_err
hsm_key_hkdf(struct hsm *hsm, const struct hsm_key *key, const struct hkdf *how,
    struct secret *out)
{
	enum { MOST = 255 };
	AUTO_SECRET text = { 0 };
	enum hf_err err;

	if (key->type->family != FAMILY_HMAC)
		return HF_ERR_KEY_TYPE;
	if (how->extract)
		return HF_ERR_HSM_MECHANISM;
	if (out->len > MOST * how->hash->size)
		return HF_ERR_BAD_INPUT;
	err = secret_alloc(&text, how->hash->size + how->info.len + 1);
	return err == HF_OK ? expand(hsm, key, how, &text, out) : err;
}
