/* SPDX-License-Identifier: Apache-2.0 */
/* Versions whose material comes from outside. */
#include "keys.h"

#include "../lib/bytes.h"
#include "change.h"
#include "fresh.h"
#include "newborn.h"

struct import_ctx {
	struct key_material *material;
	uint64_t version; /* 0: a new one */
	bool demand_hsm;
};

static enum hf_err
import_check(
    const struct key *key, const struct import_ctx *ic, struct hf_why *why)
{
	bool private = ic->material->key.ptr != NULL;

	if (key->soft_deleted)
		return HF_ERR_KEY_DELETED;
	if (!key->imported)
		return hf_fail(why, HF_ERR_BAD_CONFIG,
		    "the import_version path can only be used with an "
		    "imported key");
	if (ic->demand_hsm && (key->level != LEVEL_HSM || !private))
		return hf_fail(why, HF_ERR_KEY_LEVEL,
		    "policy demands protection level hsm");
	if (key->type->family == FAMILY_HMAC &&
	    ic->material->key.len != key->key_size)
		return hf_fail(why, HF_ERR_BAD_INPUT,
		    "ciphertext: the versions of this key have %zu bytes, "
		    "this one has %zu",
		    key->key_size, ic->material->key.len);
	if (key->latest >= 0xffffff)
		return hf_fail(why, HF_ERR_BAD_CONFIG,
		    "the key has as many versions as it can have");
	return HF_OK;
}

/* Writes the version, and the key's record with it; frees `f`. */
static enum hf_err
import_commit(struct keys *keys, const struct key *key,
    const struct key_record *krec, struct fresh *f)
{
	struct change c = { .keys = keys };
	char ver[KEY_STORE_NAME];
	enum hf_err err;

	version_store_name(key->id, (uint32_t)f->rec.version, ver);
	if ((err = change_key_record(&c, key, krec)) == HF_OK &&
	    (err = change_seal(
		 &c, key->keyring, ver, &version_schema, &f->rec)) == HF_OK &&
	    (err = newborn_named(&c, f)) == HF_OK)
		err = change_commit(&c);
	change_free(&c);
	if (err != HF_OK)
		fresh_discard(keys, key->type, f);
	fresh_free(f);
	return err;
}

static enum hf_err
import_new(
    struct keys *keys, const struct key *key, const struct key_material *m)
{
	struct key_record krec = key_record_of(key);
	struct fresh *f;
	enum hf_err err;

	krec.latest_version = key->latest + 1;
	if ((err = fresh_make(keys, key->type, key->level, key->key_size, m,
		 krec.latest_version, &f)) != HF_OK)
		return err;
	return import_commit(keys, key, &krec, f);
}

/* -- The private half of a version that lacks it -- */

static enum hf_err
complete_check(const struct key *key, const struct version_record *rec,
    const struct key_material *m, struct hf_why *why)
{
	if (rec->state == VERSION_DESTROYED)
		return hf_fail(why, HF_ERR_VERSION_STATE,
		    "version %llu of key %s is destroyed",
		    (unsigned long long)rec->version, key->name);
	if (rec->material.len > 0 || rec->hsm_id.len > 0)
		return hf_fail(why, HF_ERR_BAD_CONFIG,
		    "version %llu of key %s has its private half already",
		    (unsigned long long)rec->version, key->name);
	if (!bytes_equal(rec->spki, bytes_of(m->spki, m->spki_len)))
		return hf_fail(why, HF_ERR_BAD_INPUT,
		    "the private key does not belong to the public key of "
		    "version %llu",
		    (unsigned long long)rec->version);
	return HF_OK;
}

/* What the version was stays; the key for hmac too, wherever it now lives. */
static enum hf_err
complete_make(struct keys *keys, const struct key *key,
    const struct version_record *rec, struct key_material *m)
{
	struct key_record krec = key_record_of(key);
	struct fresh *f;
	enum hf_err err;

	secret_free(&m->hmac);
	if (rec->hmac.len > 0 &&
	    (err = secret_copy(&m->hmac, rec->hmac)) != HF_OK)
		return err;
	if ((err = fresh_make(keys, key->type, key->level, key->key_size, m,
		 rec->version, &f)) != HF_OK)
		return err;
	f->rec.state = rec->state;
	f->rec.creation_time = rec->creation_time;
	f->rec.destroy_time = rec->destroy_time;
	f->rec.certificates = rec->certificates;
	return import_commit(keys, key, &krec, f);
}

static enum hf_err
complete(struct keys *keys, const struct key *key, const struct import_ctx *ic,
    struct hf_why *why)
{
	AUTO_SECRET plain = { 0 };
	struct version_record rec;
	enum hf_err err;

	if ((err = keys_version_read(
		 keys, key, ic->version, &plain, &rec, why)) != HF_OK ||
	    (err = complete_check(key, &rec, ic->material, why)) != HF_OK)
		return err;
	return complete_make(keys, key, &rec, ic->material);
}

static enum hf_err
once_import(
    struct keys *keys, const struct key *key, void *ctx, struct hf_why *why)
{
	const struct import_ctx *ic = ctx;
	enum hf_err err = import_check(key, ic, why);

	if (err != HF_OK)
		return err;
	return ic->version != 0 ? complete(keys, key, ic, why)
				: import_new(keys, key, ic->material);
}

enum hf_err
keys_import_version(struct keys *keys, struct hf_text name,
    struct key_material *material, uint64_t version, bool demand_hsm,
    struct key **out, struct hf_why *why)
{
	struct import_ctx ic = { material, version, demand_hsm };

	return keys_until_done(keys, name, once_import, &ic, out, why);
}
