/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys that leave and enter wrapped. What makes this safe stands in
 * key_purpose.h: a key that wraps does nothing else. Besides: only mechanisms
 * that notice a change; what was unwrapped never wraps, and its value is told
 * to nobody; every failure to unwrap is the same one.
 */
#include "op_p11.h"

#include "../lib/bytes.h"
#include "crypto_pkcs8.h"
#include "handlers.h"
#include "key_purpose.h"
#include "request_policy.h"
#include "session_key.h"

enum { WRAPPED_MAX = 16384, AES_KEY_MAX = 32 };

/* -- What is wrapped -- */

static enum hf_err
target_open(struct request *rq, const struct hf_p11_wrap_in *in,
    struct key **key, const struct key_version **v)
{
	uint64_t number = in->target_version;
	enum hf_err err;

	if ((in->target.ptr == NULL) == (in->session_key.ptr == NULL))
		return hf_fail(&rq->why, HF_ERR_MISSING_FIELD,
		    "give one of target and session_key");
	if (in->session_key.ptr != NULL) {
		err = session_key_open(rq, in->session_key, key);
		number = 0;
	} else {
		err =
		    keys_get(rq->server->keys, in->target, rq->may_block, key);
		number = number != 0 ? number
		    : err == HF_OK   ? (*key)->latest
				     : 0;
	}
	if (err != HF_OK)
		return err;
	*v = in->session_key.ptr != NULL ? &(*key)->versions[0]
					 : key_version_find(*key, number);
	return *v == NULL ? HF_ERR_VERSION_NOT_FOUND : HF_OK;
}

static enum hf_err
target_material(const struct key_version *v, struct secret *out)
{
	if (v->pair != NULL)
		return crypto_key_pkcs8(v->pair, out);
	return secret_copy(out, secret_view(&v->material));
}

/* A key that may leave, by what it was made for and by policy. */
static enum hf_err
target_read(struct request *rq, const struct hf_p11_wrap_in *in,
    struct secret *out, bool *secret)
{
	const struct key_version *v;
	struct key *key = NULL;
	enum hf_err err = target_open(rq, in, &key, &v);

	if (err == HF_OK && v->level != LEVEL_WRAPPED)
		err = HF_ERR_KEY_UNEXTRACTABLE;
	if (err == HF_OK && !p11_allows(rq, HF_P11_EXTRACT, key, v))
		err = HF_ERR_KEY_UNEXTRACTABLE;
	if (err == HF_OK) {
		*secret = v->pair == NULL;
		err = target_material(v, out);
	}
	key_unref(key);
	return err;
}

/* -- Mechanisms -- */

static enum hf_err
aes_wrap(struct request *rq, const struct hf_p11_how *how,
    const struct key_version *v, struct hf_bytes material,
    struct hf_p11_use_out *out)
{
	struct keyuse use = p11_keyuse(rq);
	struct aes_how aes = { .encrypt = true };
	uint8_t *buf = request_alloc(rq, material.len + AES_EXTRA);
	enum hf_err err;

	if (buf == NULL)
		return HF_ERR_NO_MEMORY;
	if (!aes_mode_by_name(how->mechanism, &aes.mode) ||
	    !aes_mode_authentic(aes.mode))
		return p11_refuse(rq, "not a mechanism to wrap keys");
	err = keyuse_aes(&use, rq->key, v, &aes, material, buf, &out->data.len);
	out->data.ptr = buf;
	return err;
}

static enum hf_err
aes_unwrap(struct request *rq, const struct hf_p11_how *how,
    const struct key_version *v, struct hf_bytes in, struct secret *out)
{
	struct keyuse use = p11_keyuse(rq);
	struct aes_how aes = { .encrypt = false };
	AUTO_SECRET room = { 0 };
	size_t len;
	enum hf_err err;

	if (!aes_mode_by_name(how->mechanism, &aes.mode) ||
	    !aes_mode_authentic(aes.mode))
		return p11_refuse(rq, "not a mechanism to wrap keys");
	if ((err = secret_alloc(&room, in.len + AES_EXTRA)) != HF_OK ||
	    (err = keyuse_aes(&use, rq->key, v, &aes, in, room.ptr, &len)) !=
		HF_OK)
		return err;
	return secret_copy(out, bytes_of(room.ptr, len));
}

static enum hf_err
oaep_wrap(struct request *rq, const struct hf_p11_how *how,
    const struct key_version *v, struct hf_bytes material,
    struct hf_p11_use_out *out)
{
	const struct hf_p11_use_in use = { .how = *how, .data = material };

	return p11_oaep_encrypt(rq, &use, v, out);
}

static enum hf_err
oaep_unwrap(struct request *rq, const struct hf_p11_how *how,
    const struct key_version *v, struct hf_bytes in, struct secret *out)
{
	const struct hf_p11_use_in use = { .how = *how, .data = in };
	struct hf_p11_use_out plain = { 0 };
	enum hf_err err = p11_oaep_decrypt(rq, &use, v, &plain);

	return err != HF_OK ? err : secret_copy(out, plain.data);
}

/* CKM_RSA_AES_KEY_WRAP: a fresh AES key by OAEP, and the key by that. */
static enum hf_err
rsa_aes_wrap(struct request *rq, const struct hf_p11_how *how,
    const struct key_version *v, struct hf_bytes material,
    struct hf_p11_use_out *out)
{
	const struct aes_how kwp = { .mode = AES_KWP, .encrypt = true };
	size_t aes_len =
	    how->output_bytes == 0 ? AES_KEY_MAX : (size_t)how->output_bytes;
	size_t head = rq->key->type->size, len = 0;
	uint8_t *buf = request_alloc(rq, head + material.len + AES_EXTRA);
	struct hf_p11_use_out sealed = { 0 };
	AUTO_SECRET aes = { 0 };
	enum hf_err err;

	if (buf == NULL)
		return HF_ERR_NO_MEMORY;
	if (aes_len > AES_KEY_MAX)
		return HF_ERR_BAD_INPUT;
	if ((err = secret_alloc(&aes, aes_len)) != HF_OK ||
	    (err = crypto_random(aes.ptr, aes_len)) != HF_OK ||
	    (err = oaep_wrap(rq, how, v, secret_view(&aes), &sealed)) !=
		HF_OK ||
	    (err = crypto_aes(
		 &kwp, secret_view(&aes), material, buf + head, &len)) != HF_OK)
		return err;
	memcpy(buf, sealed.data.ptr, head);
	out->data = bytes_of(buf, head + len);
	return HF_OK;
}

static enum hf_err
rsa_aes_unwrap(struct request *rq, const struct hf_p11_how *how,
    const struct key_version *v, struct hf_bytes in, struct secret *out)
{
	const struct aes_how kwp = { .mode = AES_KWP };
	size_t head = rq->key->type->size, len;
	AUTO_SECRET aes = { 0 };
	AUTO_SECRET room = { 0 };
	enum hf_err err;

	if (in.len <= head)
		return HF_ERR_WRAPPED_KEY;
	if ((err = oaep_unwrap(rq, how, v, bytes_of(in.ptr, head), &aes)) !=
		HF_OK ||
	    (err = secret_alloc(&room, in.len - head + AES_EXTRA)) != HF_OK ||
	    (err = crypto_aes(&kwp, secret_view(&aes),
		 bytes_of(in.ptr + head, in.len - head), room.ptr, &len)) !=
		HF_OK)
		return err;
	return secret_copy(out, bytes_of(room.ptr, len));
}

/*
 * Functions, because each mechanism is another piece of cryptography.
 */
static const struct wrap_mech {
	const char *name;
	enum key_family family; /* of the wrapping key */
	bool secrets_only;      /* what is wrapped */
	enum hf_err (*wrap)(struct request *, const struct hf_p11_how *,
	    const struct key_version *, struct hf_bytes,
	    struct hf_p11_use_out *);
	enum hf_err (*unwrap)(struct request *, const struct hf_p11_how *,
	    const struct key_version *, struct hf_bytes, struct secret *);
} wrap_mechs[] = {
	{ "aes-kw", FAMILY_AEAD, false, aes_wrap, aes_unwrap },
	{ "aes-kwp", FAMILY_AEAD, false, aes_wrap, aes_unwrap },
	{ "rsa-oaep", FAMILY_RSA, true, oaep_wrap, oaep_unwrap },
	{ "rsa-aes-kwp", FAMILY_RSA, false, rsa_aes_wrap, rsa_aes_unwrap },
};

static enum hf_err
mech_find(struct request *rq, struct hf_text name, const struct wrap_mech **out)
{
	for (size_t i = 0; i < sizeof(wrap_mechs) / sizeof(wrap_mechs[0]); i++)
		if (text_is(name, wrap_mechs[i].name)) {
			*out = &wrap_mechs[i];
			return rq->key->type->family == (*out)->family
			    ? HF_OK
			    : HF_ERR_KEY_TYPE;
		}
	return p11_refuse(rq, "not a mechanism to wrap keys");
}

enum hf_err
op_p11_wrap(struct request *rq, const struct hf_p11_wrap_in *in,
    struct hf_p11_use_out *out)
{
	const struct wrap_mech *mech;
	const struct key_version *v;
	AUTO_SECRET material = { 0 };
	bool secret;
	enum hf_err err;

	if ((err = p11_version_new(rq, in->key_version, "wrapping", &v)) !=
		HF_OK ||
	    (err = mech_find(rq, in->how.mechanism, &mech)) != HF_OK ||
	    (err = target_read(rq, in, &material, &secret)) != HF_OK)
		return err;
	if (mech->secrets_only && !secret)
		return HF_ERR_KEY_TYPE;
	return mech->wrap(rq, &in->how, v, secret_view(&material), out);
}

/* -- Unwrapping -- */

/* What is wrong with the blob, the padding or the key in it is not told. */
static enum hf_err
one_error(enum hf_err err)
{
	static const enum hf_err same[] = { HF_ERR_AUTH_FAILED,
		HF_ERR_BAD_CIPHERTEXT, HF_ERR_BAD_INPUT, HF_ERR_KEY_TYPE,
		HF_ERR_OUT_OF_BOUNDS };

	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
		if (err == same[i])
			return HF_ERR_WRAPPED_KEY;
	return err;
}

/* The new key needs what it takes to bring one under its name. */
static enum hf_err
may_import(struct request *rq, struct hf_text name)
{
	char *path = arena_printf(
	    rq->arena, "transit/keys/%.*s/import", (int)name.len, name.ptr);

	if (path == NULL)
		return HF_ERR_NO_MEMORY;
	if (!request_may(rq, text_of(path), HF_CAP_UPDATE, rq->op->in, rq->in))
		return hf_fail(&rq->why, HF_ERR_PERMISSION_DENIED,
		    "unwrapping to a key that stays needs %s, too", path);
	rq->demand_hsm =
	    rq->demand_hsm || policy_demands_hsm(rq->grant, text_of(path));
	return HF_OK;
}

static enum hf_err
unwrapped_make(struct request *rq, const struct hf_p11_unwrap_in *in,
    struct hf_bytes material, struct hf_p11_made *out)
{
	if (in->target.ptr == NULL)
		return p11_make_session(rq, &in->make, false, material, out);
	return p11_make_stay(rq, in->target, &in->make, &in->stay, material,
	    (struct hf_bytes){ 0 }, out);
}

enum hf_err
op_p11_unwrap(struct request *rq, const struct hf_p11_unwrap_in *in,
    struct hf_p11_made *out)
{
	const struct wrap_mech *mech;
	const struct key_version *v;
	AUTO_SECRET material = { 0 };
	enum hf_err err;

	if ((err = p11_version_old(rq, in->key_version, "wrapped key", &v)) !=
		HF_OK ||
	    (err = mech_find(rq, in->how.mechanism, &mech)) != HF_OK)
		return err;
	if (in->target.ptr != NULL &&
	    (err = may_import(rq, in->target)) != HF_OK)
		return err;
	err = mech->unwrap(rq, &in->how, v, in->data, &material);
	if (err == HF_OK)
		err = unwrapped_make(rq, in, secret_view(&material), out);
	err = one_error(err);
	if (err == HF_ERR_WRAPPED_KEY)
		rq->why.text[0] = '\0';
	return err;
}
