/* SPDX-License-Identifier: Apache-2.0 */
/* Keys that PKCS#11 programs make, bring or derive. */
#include "op_p11.h"

#include "../lib/bytes.h"
#include "fresh.h"
#include "handlers.h"
#include "key_purpose.h"
#include "op_key.h"
#include "session_key.h"

enum { SECRET_MAX = 512 };

static enum hf_err
make_type(struct request *rq, const struct hf_p11_make *make,
    const struct key_type **out)
{
	*out = key_type_by_name(make->type);
	if (*out == NULL)
		return hf_fail(&rq->why, HF_ERR_BAD_VALUE, "unknown key type");
	if ((*out)->family != FAMILY_HMAC && make->key_size != 0)
		return hf_fail(&rq->why, HF_ERR_BAD_VALUE,
		    "key_size is for keys of type hmac");
	return HF_OK;
}

/* The public half of material of a type; checks it on the way. */
static enum hf_err
material_check(struct request *rq, const struct key_type *type,
    struct hf_bytes material, uint8_t *spki, size_t *spki_len)
{
	struct crypto_key *pair;
	enum hf_err err;

	*spki_len = 0;
	if (type->family == FAMILY_HMAC)
		return material.len >= 1 && material.len <= SECRET_MAX
		    ? HF_OK
		    : HF_ERR_BAD_INPUT;
	if (key_type_symmetric(type))
		return material.len == type->size ? HF_OK : HF_ERR_BAD_INPUT;
	if ((err = crypto_key_private(type, material, &pair)) != HF_OK)
		return hf_fail(&rq->why, err,
		    "the material is not the PKCS#8 DER of a key of type %s",
		    type->name);
	err = crypto_key_spki(pair, spki, SPKI_MAX, spki_len);
	crypto_key_free(pair);
	return err;
}

/*
 * A key that is brought here is in clear on its way. Over the network, where
 * others end the connection, key.import takes it wrapped.
 */
static enum hf_err
may_bring(struct request *rq, struct hf_bytes material)
{
	if (material.ptr == NULL || rq->who->local)
		return HF_OK;
	return hf_fail(&rq->why, HF_ERR_PERMISSION_DENIED,
	    "material: it comes in clear, which the local socket alone takes; "
	    "key.import takes wrapped keys");
}

/* -- Session keys -- */

enum hf_err
p11_make_session(struct request *rq, const struct hf_p11_make *make,
    bool inside, struct hf_bytes material, struct hf_p11_made *out)
{
	const struct key_type *type;
	uint8_t *spki = request_alloc(rq, SPKI_MAX);
	uint64_t uses;
	size_t len;
	enum hf_err err;

	if (spki == NULL)
		return HF_ERR_NO_MEMORY;
	if ((err = make_type(rq, make, &type)) != HF_OK ||
	    (err = key_purpose_new(
		 type, make->uses, inside, &uses, &rq->why)) != HF_OK ||
	    (err = material_check(rq, type, material, spki, &len)) != HF_OK)
		return err;
	out->key_size = key_type_symmetric(type) ? material.len : 0;
	if (len > 0)
		out->public_key = bytes_of(spki, len);
	return session_key_seal(
	    rq, type, uses, material, out->public_key, &out->session_key);
}

/*
 * A session key never wraps others, although it is born inside: it would be
 * gone with the session, and what it wrapped with it.
 */
enum hf_err
op_p11_session(struct request *rq, const struct hf_p11_session_in *in,
    struct hf_p11_made *out)
{
	const struct key_type *type;
	AUTO_SECRET material = { 0 };
	size_t size = (size_t)in->make.key_size;
	enum hf_err err = may_bring(rq, in->material);

	if (err != HF_OK)
		return err;
	if (rq->demand_hsm)
		return hf_fail(&rq->why, HF_ERR_KEY_LEVEL,
		    "policy demands protection level hsm; session keys are of "
		    "level wrapped");
	if (in->material.ptr != NULL)
		return p11_make_session(
		    rq, &in->make, false, in->material, out);
	if ((err = make_type(rq, &in->make, &type)) != HF_OK)
		return err;
	if (type->family != FAMILY_HMAC)
		err = crypto_generate(type, 0, &material);
	else if (size < 1 || size > SECRET_MAX)
		err = HF_ERR_BAD_INPUT;
	else if ((err = secret_alloc(&material, size)) == HF_OK)
		err = crypto_random(material.ptr, size);
	if (err != HF_OK)
		return err;
	return p11_make_session(
	    rq, &in->make, false, secret_view(&material), out);
}

/* -- Keys that stay -- */

static enum hf_err
stay_how(struct request *rq, struct hf_text name,
    const struct hf_p11_make *make, const struct hf_p11_stay *stay, bool inside,
    struct key_create *how)
{
	const struct hf_key_create_in create = {
		.name = name,
		.type = make->type,
		.level = stay->level,
		.key_size = make->key_size,
		.deletion_allowed = stay->deletion_allowed,
	};
	enum hf_err err = key_create_how(rq, &create, how);

	if (err != HF_OK)
		return err;
	/* The caller's id and label stay with the version in use. */
	if (!text_equal(stay->label, name))
		how->label = stay->label;
	how->cka_id = stay->id;
	if (how->level == LEVEL_HSM && (make->uses & HF_P11_EXTRACT) != 0)
		return hf_fail(&rq->why, HF_ERR_BAD_CONFIG,
		    "a key of level hsm never leaves the HSM");
	return key_purpose_new(
	    how->type, make->uses, inside, &how->uses, &rq->why);
}

static enum hf_err
stay_made(struct request *rq, const struct key *key, struct hf_p11_made *out)
{
	const struct key_version *v = key_version_find(key, key->latest);
	uint8_t *ids, *spki;
	enum hf_err err;

	if (v == NULL)
		return HF_ERR_VERSION_NOT_FOUND;
	if ((err = p11_object_ids(rq, key, v, &ids)) != HF_OK)
		return err;
	out->uid = bytes_of(ids, 16);
	out->key_version = v->number;
	out->name = text_of(arena_text(rq->arena, text_of(key->name)));
	out->key_size = key_type_symmetric(key->type) && key->type->size == 0
	    ? key->key_size
	    : key->type->size;
	spki = request_alloc(rq, v->spki_len);
	if (out->name.ptr == NULL || spki == NULL)
		return HF_ERR_NO_MEMORY;
	if (v->spki_len > 0) {
		memcpy(spki, v->spki, v->spki_len);
		out->public_key = bytes_of(spki, v->spki_len);
	}
	rq->key_version = v->number;
	return HF_OK;
}

static enum hf_err
stay_create(
    struct request *rq, const struct key_create *how, struct hf_p11_made *out)
{
	struct key *key = NULL;
	enum hf_err err = keys_create(rq->server->keys, how, &key, &rq->why);

	/* Unlike key.create: a program that makes a key means a new one. */
	if (err == HF_OK) {
		server_event(rq->server, "key.created", key->name);
		err = stay_made(rq, key, out);
	}
	key_unref(key);
	return err;
}

static enum hf_err
bring(struct request *rq, const struct key_type *type, struct hf_bytes material,
    struct hf_bytes public_key, struct key_material *out)
{
	struct crypto_key *key;
	enum hf_err err;

	if (material.ptr != NULL) {
		err = material_check(
		    rq, type, material, out->spki, &out->spki_len);
		return err != HF_OK ? err : secret_copy(&out->key, material);
	}
	if (key_type_symmetric(type) || public_key.len > sizeof(out->spki))
		return HF_ERR_BAD_INPUT;
	if ((err = crypto_key_public(type, public_key, &key)) != HF_OK)
		return err;
	crypto_key_free(key);
	memcpy(out->spki, public_key.ptr, public_key.len);
	out->spki_len = public_key.len;
	return HF_OK;
}

enum hf_err
p11_make_stay(struct request *rq, struct hf_text name,
    const struct hf_p11_make *make, const struct hf_p11_stay *stay,
    struct hf_bytes material, struct hf_bytes public_key,
    struct hf_p11_made *out)
{
	bool inside = material.ptr == NULL && public_key.ptr == NULL;
	struct key_material brought = { 0 };
	struct key_create how;
	enum hf_err err = stay_how(rq, name, make, stay, inside, &how);

	if (err == HF_OK && !inside) {
		how.material = &brought;
		how.key_size =
		    how.type->family == FAMILY_HMAC ? material.len : 0;
		err = bring(rq, how.type, material, public_key, &brought);
	}
	if (err == HF_OK)
		err = stay_create(rq, &how, out);
	key_material_free(&brought);
	return err;
}

enum hf_err
op_p11_generate(struct request *rq, const struct hf_p11_generate_in *in,
    struct hf_p11_made *out)
{
	const struct hf_bytes none = { NULL, 0 };

	return p11_make_stay(
	    rq, in->name, &in->make, &in->stay, none, none, out);
}

enum hf_err
op_p11_import(struct request *rq, const struct hf_p11_import_in *in,
    struct hf_p11_made *out)
{
	enum hf_err err = may_bring(rq, in->material);

	if (err != HF_OK)
		return err;
	if ((in->material.ptr == NULL) == (in->public_key.ptr == NULL))
		return hf_fail(&rq->why, HF_ERR_MISSING_FIELD,
		    "give one of material and public_key");
	return p11_make_stay(rq, in->name, &in->make, &in->stay, in->material,
	    in->public_key, out);
}

/* -- Derivation -- */

/*
 * How many bytes are wanted. PKCS#11 3.0, 2.3.6: a shared secret that is
 * longer loses bytes at its beginning.
 */
static enum hf_err
derived_size(struct request *rq, const struct hf_p11_make *make, size_t natural,
    size_t *out)
{
	const struct key_type *type;
	enum hf_err err = make_type(rq, make, &type);

	if (err != HF_OK)
		return err;
	if (!key_type_symmetric(type))
		return hf_fail(&rq->why, HF_ERR_BAD_CONFIG,
		    "what is derived is a secret key");
	*out = type->family != FAMILY_HMAC ? type->size
	    : make->key_size != 0          ? (size_t)make->key_size
					   : natural;
	return *out >= 1 && *out <= SECRET_MAX ? HF_OK : HF_ERR_BAD_INPUT;
}

static enum hf_err
derive_ecdh(struct request *rq, const struct key_version *v,
    const struct hf_p11_how *how, const struct hf_p11_make *make,
    struct secret *out)
{
	struct keyuse use = p11_keyuse(rq);
	const struct hash_type *hash = hash_type_by_name(how->hash);
	AUTO_SECRET shared = { 0 };
	size_t size;
	enum hf_err err;

	if (how->hash.ptr != NULL && hash == NULL)
		return p11_refuse(rq, "ecdh: unknown hash of the KDF");
	if (hash == NULL && how->associated_data.ptr != NULL)
		return p11_refuse(rq, "ecdh: shared data without a KDF");
	if ((err = keyuse_ecdh(&use, rq->key, v, how->peer, &shared)) !=
		HF_OK ||
	    (err = derived_size(rq, make, shared.len, &size)) != HF_OK)
		return err;
	if (hash == NULL)
		return size > shared.len
		    ? HF_ERR_BAD_INPUT
		    : secret_copy(
			  out, bytes_of(shared.ptr + shared.len - size, size));
	if ((err = secret_alloc(out, size)) != HF_OK)
		return err;
	return crypto_x963(
	    hash, secret_view(&shared), how->associated_data, out);
}

static enum hf_err
derive_hkdf(struct request *rq, const struct key_version *v,
    const struct hf_p11_how *how, const struct hf_p11_make *make,
    struct secret *out)
{
	struct keyuse use = p11_keyuse(rq);
	struct hkdf hkdf = {
		.hash = hash_type_by_name(how->hash),
		.extract = !text_is(how->steps, "expand"),
		.expand = !text_is(how->steps, "extract"),
		.salt = how->salt,
		.info = how->associated_data,
	};
	size_t size;
	enum hf_err err;

	if (hkdf.hash == NULL)
		return p11_refuse(rq, "hkdf needs a hash");
	if ((err = derived_size(rq, make, hkdf.hash->size, &size)) != HF_OK ||
	    (err = secret_alloc(out, size)) != HF_OK)
		return err;
	err = keyuse_hkdf(&use, rq->key, v, &hkdf, out);
	if (err == HF_ERR_HSM_MECHANISM && hkdf.extract)
		return hf_fail(&rq->why, err,
		    "hkdf: with a key of level hsm only expansion is done: "
		    "extraction would take the key itself");
	return err;
}

/* With a version of rq->key, which may be a session key. */
static enum hf_err
derive(struct request *rq, const struct key_version *v,
    const struct hf_p11_how *how, const struct hf_p11_make *make,
    bool give_value, struct hf_p11_made *out)
{
	AUTO_SECRET value = { 0 };
	uint8_t *copy;
	enum hf_err err;

	if (text_is(how->mechanism, "ecdh"))
		err = derive_ecdh(rq, v, how, make, &value);
	else if (text_is(how->mechanism, "hkdf"))
		err = derive_hkdf(rq, v, how, make, &value);
	else
		err = p11_refuse(rq, "not a mechanism for derivation");
	if (err == HF_OK)
		err =
		    p11_make_session(rq, make, false, secret_view(&value), out);
	if (err != HF_OK || !give_value)
		return err;
	copy = request_alloc(rq, value.len);
	if (copy == NULL)
		return HF_ERR_NO_MEMORY;
	memcpy(copy, value.ptr, value.len);
	out->value = bytes_of(copy, value.len);
	return HF_OK;
}

enum hf_err
op_p11_derive(struct request *rq, const struct hf_p11_derive_in *in,
    struct hf_p11_made *out)
{
	const struct key_version *v;
	enum hf_err err =
	    p11_version_new(rq, in->key_version, "derivation", &v);

	return err != HF_OK
	    ? err
	    : derive(rq, v, &in->how, &in->make, in->give_value, out);
}

enum hf_err
op_p11_session_derive(struct request *rq,
    const struct hf_p11_session_derive_in *in, struct hf_p11_made *out)
{
	enum hf_err err = session_key_open(rq, in->session_key, &rq->key);

	if (err != HF_OK)
		return err;
	if ((key_purpose(rq->key) & HF_P11_DERIVE) == 0)
		return HF_ERR_KEY_PURPOSE;
	return derive(rq, &rq->key->versions[0], &in->how, &in->make,
	    in->give_value, out);
}
