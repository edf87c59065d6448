/* SPDX-License-Identifier: Apache-2.0 */
/* Keys from outside. */
#include "fresh.h"
#include "handlers.h"
#include "op_key.h"
#include "wrapping_key.h"

#include "../lib/bytes.h"

enum { HMAC_KEY = 32 };

enum hf_err
op_transit_wrapping_key(struct request *rq, const struct hf_empty *in,
    struct hf_wrapping_key_out *out)
{
	uint8_t spki[SPKI_MAX];
	char *pem = request_alloc(rq, SPKI_PEM_MAX);
	bool made;
	size_t len;
	enum hf_err err;

	(void)in;
	if (pem == NULL)
		return HF_ERR_NO_MEMORY;
	if ((err = wrapping_key_public(rq->server, spki, &len, &made)) !=
		HF_OK ||
	    (err = crypto_spki_pem(bytes_of(spki, len), pem, SPKI_PEM_MAX)) !=
		HF_OK)
		return err;
	rq->audit_sync = rq->audit_sync || made;
	out->public_key = text_of(pem);
	return HF_OK;
}

/* -- What was brought -- */

struct brought {
	struct hf_bytes ciphertext, hmac_ciphertext;
	struct hf_text public_key;
	struct hf_text hash_function;
};

/* The names of Vault's import for the hashes of OAEP. */
static const struct hash_type *
oaep_hash(struct hf_text name)
{
	static const struct {
		const char *vault, *ours;
	} names[] = {
		{ "SHA256", "sha2-256" },
		{ "SHA1", "sha1" },
		{ "SHA224", "sha2-224" },
		{ "SHA384", "sha2-384" },
		{ "SHA512", "sha2-512" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (name.ptr == NULL || text_is(name, names[i].vault))
			return hash_type_by_name(text_of(names[i].ours));
	return NULL;
}

static enum hf_err
unwrap(struct request *rq, const struct brought *b, const char *field,
    struct hf_bytes blob, struct secret *out)
{
	const struct hash_type *hash = oaep_hash(b->hash_function);
	enum hf_err err;

	if (hash == NULL)
		return hf_fail(&rq->why, HF_ERR_BAD_VALUE,
		    "hash_function: unsupported hash function name");
	err = wrapping_key_unwrap(rq->server, hash, blob, out);
	if (err == HF_ERR_AUTH_FAILED)
		return hf_fail(&rq->why, err,
		    "%s: it was not wrapped for this service's wrapping key "
		    "(RSA-OAEP with this hash_function, then AES-KWP)",
		    field);
	return err;
}

static enum hf_err
bring_public(struct request *rq, const struct brought *b,
    const struct key_type *type, struct key_material *out)
{
	struct crypto_key *key;
	enum hf_err err;

	if (key_type_symmetric(type))
		return hf_fail(&rq->why, HF_ERR_KEY_TYPE,
		    "public_key: keys of type %s have no public half",
		    type->name);
	err = crypto_pem_spki(
	    b->public_key, out->spki, sizeof(out->spki), &out->spki_len);
	if (err == HF_OK)
		err = crypto_key_public(
		    type, bytes_of(out->spki, out->spki_len), &key);
	if (err == HF_ERR_BAD_INPUT || err == HF_ERR_BUFFER_TOO_SMALL ||
	    err == HF_ERR_KEY_TYPE)
		return hf_fail(&rq->why, HF_ERR_BAD_INPUT,
		    "public_key: it is not the PEM of a key of type %s",
		    type->name);
	if (err == HF_OK)
		crypto_key_free(key);
	return err;
}

/* Whether the material is a key of that type; fills in the public half. */
static enum hf_err
check_private(
    struct request *rq, const struct key_type *type, struct key_material *m)
{
	struct crypto_key *pair;
	enum hf_err err = crypto_key_private(type, secret_view(&m->key), &pair);

	if (err == HF_ERR_BAD_INPUT || err == HF_ERR_KEY_TYPE)
		return hf_fail(&rq->why, err,
		    "ciphertext: what was wrapped is not the PKCS#8 DER of a "
		    "key of type %s",
		    type->name);
	if (err != HF_OK)
		return err;
	err = crypto_key_spki(pair, m->spki, sizeof(m->spki), &m->spki_len);
	crypto_key_free(pair);
	return err;
}

static enum hf_err
check_symmetric(struct request *rq, const struct key_type *type,
    const struct key_material *m)
{
	if (type->family == FAMILY_HMAC &&
	    (m->key.len < HMAC_KEY || m->key.len > 512))
		return hf_fail(&rq->why, HF_ERR_BAD_INPUT,
		    "ciphertext: an hmac key has 32 to 512 bytes, this one has "
		    "%zu",
		    m->key.len);
	if (type->family != FAMILY_HMAC && m->key.len != type->size)
		return hf_fail(&rq->why, HF_ERR_BAD_INPUT,
		    "ciphertext: a key of type %s has %zu bytes, this one has "
		    "%zu",
		    type->name, type->size, m->key.len);
	return HF_OK;
}

static enum hf_err
bring_hmac(struct request *rq, const struct brought *b,
    const struct key_type *type, struct key_material *out)
{
	enum hf_err err;

	if (b->hmac_ciphertext.ptr == NULL)
		return HF_OK;
	if (type->family == FAMILY_HMAC)
		return hf_fail(&rq->why, HF_ERR_BAD_VALUE,
		    "hmac_ciphertext: a key of type hmac has no other");
	if ((err = unwrap(rq, b, "hmac_ciphertext", b->hmac_ciphertext,
		 &out->hmac)) != HF_OK)
		return err;
	if (out->hmac.len != HMAC_KEY)
		return hf_fail(&rq->why, HF_ERR_BAD_INPUT,
		    "hmac_ciphertext: the key for hmac has %d bytes, this one "
		    "has %zu",
		    HMAC_KEY, out->hmac.len);
	return HF_OK;
}

/* key_material_free(out) is due, whatever this returns. */
static enum hf_err
bring(struct request *rq, const struct brought *b, const struct key_type *type,
    struct key_material *out)
{
	bool symmetric = key_type_symmetric(type);
	enum hf_err err;

	if ((b->ciphertext.ptr == NULL) == (b->public_key.ptr == NULL))
		return hf_fail(&rq->why, HF_ERR_MISSING_FIELD,
		    "provide one of 'ciphertext' or 'public_key'");
	if ((err = bring_hmac(rq, b, type, out)) != HF_OK)
		return err;
	if (b->public_key.ptr != NULL)
		return bring_public(rq, b, type, out);
	if ((err = unwrap(rq, b, "ciphertext", b->ciphertext, &out->key)) !=
	    HF_OK)
		return err;
	return symmetric ? check_symmetric(rq, type, out)
			 : check_private(rq, type, out);
}

/* -- Import -- */

static enum hf_err
import_how(struct request *rq, const struct hf_key_import_in *in,
    struct key_create *how)
{
	const struct hf_key_create_in create = {
		.name = in->name,
		.type = in->type,
		.level = in->level,
		.keyring = in->keyring,
		.prefix = in->prefix,
		.exportable = in->exportable,
		.allow_plaintext_backup = in->allow_plaintext_backup,
		.deletion_allowed = in->deletion_allowed,
		.derived = in->derived,
		.committing = in->committing,
		.auto_rotate_period = in->auto_rotate_period,
	};
	enum hf_err err = key_create_how(rq, &create, how);

	how->allow_rotation = in->allow_rotation;
	return err;
}

static enum hf_err
import_new(struct request *rq, const struct hf_key_import_in *in,
    struct key_material *m, struct key **key)
{
	struct brought b = { in->ciphertext, in->hmac_ciphertext,
		in->public_key, in->hash_function };
	struct key_create how;
	enum hf_err err;

	if ((err = import_how(rq, in, &how)) != HF_OK ||
	    (err = bring(rq, &b, how.type, m)) != HF_OK)
		return err;
	if (rq->demand_hsm && m->key.ptr == NULL)
		return hf_fail(&rq->why, HF_ERR_KEY_LEVEL,
		    "policy demands protection level hsm, and a public half "
		    "alone is not in the HSM");
	how.material = m;
	how.key_size = how.type->family == FAMILY_HMAC ? m->key.len : 0;
	err = keys_create(rq->server->keys, &how, key, &rq->why);
	if (err != HF_ERR_KEY_EXISTS || *key == NULL)
		return err;
	key_unref(*key);
	*key = NULL;
	return hf_fail(&rq->why, err,
	    "the import path cannot be used with an existing key; use "
	    "import_version to add a version to an imported key");
}

enum hf_err
op_key_import(struct request *rq, const struct hf_key_import_in *in,
    struct hf_key_info *out)
{
	struct key_material m = { 0 };
	struct key *key = NULL;
	enum hf_err err = import_new(rq, in, &m, &key);

	key_material_free(&m);
	return key_changed(rq, err, "key.imported", key, out);
}

enum hf_err
op_key_import_version(struct request *rq,
    const struct hf_key_import_version_in *in, struct hf_key_info *out)
{
	struct brought b = { in->ciphertext, in->hmac_ciphertext,
		in->public_key, in->hash_function };
	struct key_material m = { 0 };
	struct key *key = NULL;
	enum hf_err err;

	if (rq->key == NULL)
		return HF_ERR_KEY_NOT_FOUND;
	if (in->version != 0 && in->ciphertext.ptr == NULL)
		return hf_fail(&rq->why, HF_ERR_MISSING_FIELD,
		    "ciphertext: a version that is there lacks its private "
		    "half only");
	err = bring(rq, &b, rq->key->type, &m);
	if (err == HF_OK)
		err = keys_import_version(rq->server->keys,
		    text_of(rq->key->name), &m, in->version, rq->demand_hsm,
		    &key, &rq->why);
	key_material_free(&m);
	if (err == HF_OK)
		rq->key_version = in->version != 0 ? in->version : key->latest;
	return key_changed(rq, err, "key.version_imported", key, out);
}
