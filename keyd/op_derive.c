/* SPDX-License-Identifier: Apache-2.0 */
/* Keys that lead to other keys. */
#include "op_transit.h"

#include <stdio.h>

#include "../lib/bytes.h"
#include "crypto_derive.h"
#include "fresh.h"
#include "handlers.h"
#include "key_select.h"
#include "keyuse.h"
#include "op_key.h"
#include "request_policy.h"
#include "server.h"

enum hf_err
check_context(
    const struct request *rq, struct hf_bytes context, struct hf_why *why)
{
	const struct key *key = rq->key;

	if (key->derived && context.len == 0)
		return HF_ERR_MISSING_CONTEXT;
	if (!key->derived && context.len > 0)
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "context: key %s is not a derived key", key->name);
	return HF_OK;
}

enum hf_err
other_key(struct request *rq, const struct other *other, struct key **out,
    bool *demand_hsm)
{
	char path[192];
	struct key *key = NULL;
	enum hf_err err =
	    keys_get(rq->server->keys, other->name, rq->may_block, &key);
	/* Policy speaks of keys, not of aliases. */
	struct hf_text real = err == HF_OK ? text_of(key->name) : other->name;
	struct hf_text asked;
	const void *in;
	int n;

	if (err == HF_ERR_DEFER)
		return err;
	n = snprintf(path, sizeof(path), "%s%.*s", other->prefix, (int)real.len,
	    real.ptr);
	asked = (struct hf_text){ path, (size_t)n };
	in = other->in(rq, key, other->ctx);
	/* Whoever may not use it does not learn whether it is there. */
	if (in == NULL ||
	    !request_may(rq, asked, HF_CAP_UPDATE, other->schema, in)) {
		key_unref(key);
		return in == NULL ? HF_ERR_NO_MEMORY : HF_ERR_PERMISSION_DENIED;
	}
	if (err == HF_ERR_KEY_NOT_FOUND)
		return hf_fail(&rq->why, err, "there is no key %.*s",
		    (int)other->name.len, other->name.ptr);
	if (err != HF_OK)
		return err;
	*demand_hsm = policy_demands_hsm(rq->grant, asked);
	*out = key;
	return HF_OK;
}

/* -- A key by agreement -- */

/* The point at the end of a public key of that type, on its curve. */
static enum hf_err
peer_point(struct request *rq, const struct key_type *type, struct hf_bytes pem,
    uint8_t spki[SPKI_MAX], struct hf_bytes *point)
{
	size_t size = 1 + 2 * type->size;
	struct crypto_key *peer;
	size_t len;
	enum hf_err err =
	    crypto_pem_spki((struct hf_text){ (const char *)pem.ptr, pem.len },
		spki, SPKI_MAX, &len);

	if (err == HF_OK)
		err = crypto_key_public(type, bytes_of(spki, len), &peer);
	if (err == HF_ERR_NO_MEMORY)
		return err;
	/* SubjectPublicKeyInfo ends with the point; a compressed one is short.
	 */
	if (err == HF_OK) {
		err = crypto_key_spki(peer, spki, SPKI_MAX, &len);
		crypto_key_free(peer);
	}
	if (err != HF_OK || len <= size || spki[len - size] != 0x04)
		return hf_fail(&rq->why, HF_ERR_BAD_INPUT,
		    "peer_public_key: it is not the PEM of a public key of "
		    "type %s",
		    type->name);
	*point = bytes_of(spki + len - size, size);
	return HF_OK;
}

static enum hf_err
agree(struct request *rq, const struct key_version *v,
    const struct key_type *type, struct hf_bytes peer, struct secret *out)
{
	const struct keyuse use = keyuse_of(rq, (struct hf_bytes){ 0 });
	uint8_t spki[SPKI_MAX];
	struct hf_bytes point;
	enum hf_err err;

	if (type->family != FAMILY_EC)
		return hf_fail(&rq->why, HF_ERR_KEY_TYPE,
		    "key agreement not supported for key type %s", type->name);
	if ((err = peer_point(rq, type, peer, spki, &point)) != HF_OK)
		return err;
	err = keyuse_ecdh(&use, rq->key, v, point, out);
	if (err == HF_ERR_HSM_MECHANISM)
		return hf_fail(&rq->why, err,
		    "the HSM does no key agreement (ECDH) with this key");
	return err;
}

/* For the base key the request speaks as it is. */
static const void *
as_it_is(struct request *rq, const struct key *key, const void *ctx)
{
	(void)key;
	(void)ctx;
	return rq->in;
}

/* The base key stands in for the key of the request while it is chosen. */
static enum hf_err
agree_with_base(
    struct request *rq, const struct hf_derive_key_in *in, struct secret *out)
{
	bool demand = false, own_demand = rq->demand_hsm;
	struct key *base = NULL, *own = rq->key;
	const struct other other = { .prefix = "transit/derive-key/",
		.name = in->base_key_name,
		.schema = rq->op->in,
		.in = as_it_is };
	const struct key_version *v;
	enum hf_err err = other_key(rq, &other, &base, &demand);

	if (err != HF_OK)
		return err;
	rq->key = base;
	rq->demand_hsm = demand;
	err = select_new(rq, in->base_key_version, "derivation", &v, &rq->why);
	if (err == HF_OK)
		err = agree(rq, v, base->type, in->peer_public_key, out);
	rq->key = own;
	rq->demand_hsm = own_demand;
	key_unref(base);
	return err;
}

static enum hf_err
material_of(const struct key_type *type, struct hf_bytes shared,
    struct key_material *out)
{
	const struct hkdf how = {
		.hash = hash_sha256(), .extract = true, .expand = true
	};
	enum hf_err err = secret_alloc(
	    &out->key, type->family == FAMILY_HMAC ? 32 : type->size);

	return err == HF_OK ? crypto_hkdf(&how, shared, &out->key) : err;
}

static enum hf_err
derive_new(struct request *rq, const struct hf_derive_key_in *in,
    struct key_material *m, struct key **key)
{
	const struct hf_key_create_in create = {
		.name = in->name,
		.type = in->derived_key_type,
		.level = in->level,
		.keyring = in->keyring,
		.prefix = in->prefix,
		.exportable = in->exportable,
		.allow_plaintext_backup = in->allow_plaintext_backup,
		.deletion_allowed = in->deletion_allowed,
	};
	AUTO_SECRET shared = { 0 };
	struct key_create how;
	enum hf_err err;

	if ((err = key_create_how(rq, &create, &how)) != HF_OK)
		return err;
	if (!key_type_symmetric(how.type))
		return hf_fail(&rq->why, HF_ERR_KEY_TYPE,
		    "derived_key_type: keys of type %s cannot be derived",
		    how.type->name);
	if ((err = agree_with_base(rq, in, &shared)) != HF_OK ||
	    (err = material_of(how.type, secret_view(&shared), m)) != HF_OK)
		return err;
	how.material = m;
	err = keys_create(rq->server->keys, &how, key, &rq->why);
	if (err != HF_ERR_KEY_EXISTS || *key == NULL)
		return err;
	key_unref(*key);
	*key = NULL;
	return err;
}

enum hf_err
op_transit_derive_key(struct request *rq, const struct hf_derive_key_in *in,
    struct hf_key_info *out)
{
	struct key_material m = { 0 };
	struct key *key = NULL;
	enum hf_err err = derive_new(rq, in, &m, &key);

	key_material_free(&m);
	return key_changed(rq, err, "key.derived", key, out);
}

/* -- Keys for parts of a whole -- */

enum { DERIVED_KEYS = 256, INFO_INDEX = 4 };

static const char derived_label[] = "holdfast-derived-keys-v1";

enum hf_err
key_bytes(uint64_t bits, size_t *out, struct hf_why *why)
{
	if (bits == 0)
		bits = 256;
	if (bits != 128 && bits != 256 && bits != 512)
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "bits: invalid bit length, must be 128, 256 or 512");
	*out = (size_t)bits / 8;
	return HF_OK;
}

static enum hf_err
derived_range(struct request *rq, const struct hf_derived_keys_in *in,
    size_t *count, size_t *size)
{
	uint64_t from = in->key_index_from;
	uint64_t to = in->key_index_to.present ? in->key_index_to.value : from;
	enum hf_err err;

	if (to < from || to - from >= DERIVED_KEYS)
		return hf_fail(&rq->why, HF_ERR_BAD_VALUE,
		    "key_index_to: %d keys at most, from key_index_from on",
		    DERIVED_KEYS);
	if ((err = key_bytes(in->bits, size, &rq->why)) != HF_OK)
		return err;
	*count = (size_t)(to - from) + 1;
	return HF_OK;
}

static enum hf_err
derived_one(struct request *rq, const struct key_version *v,
    const struct hkdf *how, size_t size, struct hf_derived_key *out)
{
	struct keyuse use = keyuse_of(rq, (struct hf_bytes){ 0 });
	uint8_t *copy = request_alloc(rq, size);
	AUTO_SECRET key = { 0 };
	enum hf_err err;

	if (copy == NULL)
		return HF_ERR_NO_MEMORY;
	if ((err = secret_alloc(&key, size)) != HF_OK ||
	    (err = keyuse_hkdf(&use, rq->key, v, how, &key)) != HF_OK)
		return err;
	memcpy(copy, key.ptr, size); /* the arena of a request is wiped */
	out->key = bytes_of(copy, size);
	return HF_OK;
}

/* The index stands in `info`, which is the same for all but for it. */
static enum hf_err
derived_all(struct request *rq, const struct hf_derived_keys_in *in,
    const struct key_version *v, size_t size, struct hf_derived_keys_out *out)
{
	size_t at = sizeof(derived_label); /* with its zero byte */
	size_t len = at + INFO_INDEX + in->info.len;
	uint8_t *info = request_alloc(rq, len);
	const struct hkdf how = { .hash = hash_sha256(),
		.salt = in->salt,
		.info = bytes_of(info, len),
		.extract = true,
		.expand = true };
	enum hf_err err;

	if (info == NULL)
		return HF_ERR_NO_MEMORY;
	memcpy(info, derived_label, at);
	if (in->info.len > 0)
		memcpy(info + at + INFO_INDEX, in->info.ptr, in->info.len);
	for (size_t i = 0; i < out->derived_keys_count; i++) {
		struct hf_derived_key *one = &out->derived_keys[i];

		one->index = in->key_index_from + i;
		put_u32(info + at, (uint32_t)one->index);
		if ((err = derived_one(rq, v, &how, size, one)) != HF_OK)
			return err;
	}
	return HF_OK;
}

enum hf_err
op_transit_derived_keys(struct request *rq, const struct hf_derived_keys_in *in,
    struct hf_derived_keys_out *out)
{
	const struct key_version *v;
	size_t count, size;
	enum hf_err err;

	if (rq->key == NULL)
		return HF_ERR_KEY_NOT_FOUND;
	if (rq->key->type->family != FAMILY_HMAC)
		return hf_fail(&rq->why, HF_ERR_KEY_TYPE,
		    "keys are derived from keys of type hmac, not %s",
		    rq->key->type->name);
	if ((err = derived_range(rq, in, &count, &size)) != HF_OK ||
	    (err = select_new(
		 rq, in->key_version, "derivation", &v, &rq->why)) != HF_OK)
		return err;
	out->derived_keys =
	    arena_array(rq->arena, count, sizeof(*out->derived_keys));
	if (out->derived_keys == NULL)
		return HF_ERR_NO_MEMORY;
	out->derived_keys_count = count;
	out->key_version = v->number;
	return derived_all(rq, in, v, size, out);
}
