/* SPDX-License-Identifier: Apache-2.0 */
#include "keys.h"

#include <string.h>

#include "../lib/bytes.h"
#include "change.h"
#include "effects.h"
#include "fresh.h"
#include "newborn.h"
#include "key_plan.h"

enum { TRIES = 10 /* after conflicts with other changes of the same key */ };

/* -- Create, rotate, change -- */

static enum hf_err
derive_check(const struct key_create *how, struct hf_why *why)
{
	if (how->convergent && !how->derived)
		return hf_fail(why, HF_ERR_BAD_CONFIG,
		    "convergent encryption requires derivation to be enabled");
	if (!how->derived)
		return HF_OK;
	if (!how->type->derives)
		return hf_fail(why, HF_ERR_KEY_TYPE,
		    "key derivation and convergent encryption not supported "
		    "for keys of type %s",
		    how->type->name);
	if (how->convergent && how->type->family != FAMILY_AEAD)
		return hf_fail(why, HF_ERR_KEY_TYPE,
		    "convergent encryption not supported for keys of type %s",
		    how->type->name);
	if (how->level == LEVEL_HSM)
		return hf_fail(why, HF_ERR_KEY_LEVEL,
		    "derived keys exist at level wrapped only: what they "
		    "derive would have to leave the HSM");
	return HF_OK;
}

enum hf_err
key_context_check(
    const struct key_type *type, bool convergent, struct hf_why *why)
{
	if (type->family == FAMILY_AEAD && !convergent)
		return HF_OK;
	return hf_fail(why, HF_ERR_BAD_CONFIG,
	    "required_context is for keys that can bind a context: those of "
	    "AEAD types without convergent encryption");
}

static enum hf_err
create_check(const struct key_create *how, struct hf_why *why)
{
	const struct key_record plan = { .imported = how->material != NULL,
		.allow_rotation = how->allow_rotation,
		.auto_rotate_period = how->auto_rotate_period };
	enum hf_err err;

	if (!name_valid(how->name))
		return HF_ERR_BAD_NAME;
	if (how->level == LEVEL_HSM && !how->type->hsm)
		return hf_fail(why, HF_ERR_KEY_LEVEL,
		    "keys of type %s exist at level wrapped only: HSMs rarely "
		    "have the algorithm",
		    how->type->name);
	if (how->type->family != FAMILY_HMAC && how->key_size != 0)
		return hf_fail(
		    why, HF_ERR_BAD_VALUE, "key_size is for keys of type hmac");
	if (how->type->family == FAMILY_HMAC &&
	    (how->key_size < 32 || how->key_size > 512))
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "invalid key_size: must be 32 to 512 bytes");
	if (how->committing &&
	    (how->type->family != FAMILY_AEAD || how->convergent))
		return hf_fail(why, HF_ERR_BAD_CONFIG,
		    "committing is for keys of AEAD types without convergent "
		    "encryption");
	if (how->required_context.len > 0 &&
	    (err = key_context_check(how->type, how->convergent, why)) != HF_OK)
		return err;
	if ((err = plan_check(how->type, &plan, why)) != HF_OK)
		return err;
	return derive_check(how, why);
}

/* The record of a new key. Views into `how` and `id`. */
static struct key_record
create_record(
    const struct key_create *how, const uint8_t id[HSM_ID], uint64_t now)
{
	struct key_record rec = {
		.id = bytes_of(id, HSM_ID),
		.type = how->type->id,
		.level = how->level,
		.keyring = how->keyring,
		.prefix = how->prefix,
		.latest_version = 1,
		.min_decryption_version = 1,
		.deletion_allowed = how->deletion_allowed,
		.exportable = how->exportable,
		.allow_plaintext_backup = how->allow_plaintext_backup,
		.imported = how->material != NULL,
		.allow_rotation = how->allow_rotation,
		.derived = how->derived,
		.convergent = how->convergent ? CONVERGENT_VERSION : 0,
		.committing = how->committing,
		.label = how->label,
		.cka_id = how->cka_id,
		.uses = how->uses,
		.required_context = how->required_context,
		.audit_context = how->audit_context,
		.key_size = how->key_size,
		.creation_time = now,
		.auto_rotate_period = how->auto_rotate_period,
	};

	rec.next_due = plan_due(&rec, NULL, now);
	return rec;
}

/*
 * The commit holds only while the name is free and the keyring is as it was
 * found: nothing is sealed by a keyring that is being destroyed. The key that
 * is handed out is opened before: after the commit nothing may fail any more.
 */
static enum hf_err
create_commit(struct keys *keys, const struct key_create *how,
    const struct keyring_info *ring, const struct fresh *f, struct key **out)
{
	struct change c = { .keys = keys };
	char name[KEY_STORE_NAME], ver[KEY_STORE_NAME], other[KEY_STORE_NAME];
	uint8_t id[HSM_ID];
	struct key_record rec;
	struct key *key = NULL;
	enum hf_err err;

	if ((err = crypto_random(id, HSM_ID)) != HF_OK)
		return err;
	rec = create_record(how, id, f->rec.creation_time);
	key_store_name(how->name, name);
	change_require(&c, name, 0);
	alias_store_name(how->name, other);
	change_require(&c, other, 0);
	keyring_store_name(how->keyring, other);
	change_require(&c, other, ring->revision);
	version_store_name(id, 1, ver);
	if ((err = change_seal(&c, ring->name, name, &key_schema, &rec)) ==
		HF_OK &&
	    (err = change_seal(
		 &c, ring->name, ver, &version_schema, &f->rec)) == HF_OK &&
	    (err = newborn_named(&c, f)) == HF_OK &&
	    (err = change_plan(&c, how->name, 0, rec.next_due)) == HF_OK &&
	    (effects_dry() ||
		(err = keys_made(keys, how->name, &rec, &f->rec, &key)) ==
		    HF_OK))
		err = change_commit(&c);
	change_free(&c);
	if (err == HF_OK && key == NULL)
		err = HF_ERR_DRY_RUN; /* as change_commit() says already */
	if (err != HF_OK) {
		key_unref(key);
		return err;
	}
	key->revision = c.revision;
	*out = key;
	return HF_OK;
}

/* HF_OK: nothing bears that name. */
static enum hf_err
name_is_free(struct keys *keys, struct hf_text name, struct key **out,
    struct hf_why *why)
{
	struct key *key;
	bool alias;
	enum hf_err err = keys_get_named(keys, name, &key, &alias);

	if (err == HF_OK && !alias) {
		*out = key;
		return HF_ERR_KEY_EXISTS;
	}
	if (err == HF_OK)
		key_unref(key);
	else if (err != HF_ERR_KEY_NOT_FOUND)
		return err;
	else if (!alias)
		return HF_OK;
	return hf_fail(why, HF_ERR_NAME_TAKEN, "the name is that of an alias");
}

static enum hf_err
create_keyring(struct keys *keys, struct hf_text name, struct keyring_info *out,
    struct hf_why *why)
{
	enum hf_err err = keyring_info(keys->hierarchy, name, out);

	if (err == HF_OK && !out->destroyed)
		return HF_OK;
	return hf_fail(why, HF_ERR_KEYRING_NOT_FOUND,
	    "there is no keyring %.*s", (int)name.len, name.ptr);
}

/* The name is free and the keyring is there, as far as can be seen now. */
static enum hf_err
create_look(struct keys *keys, const struct key_create *how, bool look_at_name,
    struct keyring_info *ring, struct key **out, struct hf_why *why)
{
	enum hf_err err =
	    look_at_name ? name_is_free(keys, how->name, out, why) : HF_OK;

	return err != HF_OK ? err
			    : create_keyring(keys, how->keyring, ring, why);
}

/*
 * Others may make keys, aliases and keyrings while the HSM makes ours. The
 * commit's conditions find out, so only then we look once more.
 */
static enum hf_err
create_until_done(struct keys *keys, const struct key_create *how,
    const struct fresh *f, struct keyring_info *ring, struct key **out,
    struct hf_why *why)
{
	enum hf_err err = create_commit(keys, how, ring, f, out);

	for (unsigned i = 1; i < TRIES && err == HF_ERR_STORE_CONFLICT; i++)
		if ((err = create_look(keys, how, true, ring, out, why)) ==
		    HF_OK)
			err = create_commit(keys, how, ring, f, out);
	return err;
}

enum hf_err
keys_create(struct keys *keys, const struct key_create *how, struct key **out,
    struct hf_why *why)
{
	struct keyring_info ring;
	struct fresh *f;
	enum hf_err err;

	*out = NULL;
	if ((err = create_check(how, why)) != HF_OK ||
	    (err = create_look(keys, how, !how->name_free, &ring, out, why)) !=
		HF_OK ||
	    (err = fresh_make(keys, how->type, how->level, how->key_size,
		 how->material, 1, &f)) != HF_OK)
		return err;
	err = create_until_done(keys, how, f, &ring, out, why);
	if (err != HF_OK)
		fresh_discard(keys, how->type, f);
	fresh_free(f);
	return err;
}

static enum hf_err
rotate_once(struct keys *keys, const struct key *key, struct hf_why *why)
{
	struct change c = { .keys = keys };
	struct key_record rec = key_record_of(key);
	char ver[KEY_STORE_NAME];
	struct fresh *f;
	enum hf_err err;

	if (key->soft_deleted)
		return HF_ERR_KEY_DELETED;
	if (key->imported && !key->allow_rotation)
		return hf_fail(why, HF_ERR_BAD_CONFIG,
		    "imported key %s does not allow rotation within the "
		    "service; add a version with import_version",
		    key->name);
	if (key->latest >= 0xffffff || key->count >= KEY_VERSIONS)
		return hf_fail(why, HF_ERR_BAD_CONFIG,
		    "the key has as many versions as it can have; trim the "
		    "oldest");
	if ((err = fresh_make(keys, key->type, key->level, key->key_size, NULL,
		 key->latest + 1, &f)) != HF_OK)
		return err;
	rec.latest_version = key->latest + 1;
	rec.imported = false; /* from now on it is not all from outside */
	version_store_name(key->id, key->latest + 1, ver);
	if ((err = change_key_record(&c, key, &rec)) == HF_OK &&
	    (err = change_seal(
		 &c, key->keyring, ver, &version_schema, &f->rec)) == HF_OK &&
	    (err = newborn_named(&c, f)) == HF_OK)
		err = change_commit(&c);
	if (err != HF_OK)
		fresh_discard(keys, key->type, f);
	fresh_free(f);
	change_free(&c);
	return err;
}

enum hf_err
keys_until_done(struct keys *keys, struct hf_text name, once_fn *once,
    void *ctx, struct key **out, struct hf_why *why)
{
	pthread_mutex_t *lock = keys_change_lock(keys, name);
	enum hf_err err = HF_ERR_STORE_CONFLICT;

	/* Among ourselves we take turns; a conflict is another daemon's. */
	(void)pthread_mutex_lock(lock);
	for (unsigned i = 0; i < TRIES && err == HF_ERR_STORE_CONFLICT; i++) {
		struct key *key;

		if ((err = keys_load(keys, name, &key)) != HF_OK)
			break;
		err = once(keys, key, ctx, why);
		key_unref(key);
	}
	(void)pthread_mutex_unlock(lock);
	if (err != HF_OK || out == NULL)
		return err;
	return keys_get_own(keys, name, out);
}

static enum hf_err
once_rotate(
    struct keys *keys, const struct key *key, void *ctx, struct hf_why *why)
{
	const uint64_t *from = ctx;

	if (from != NULL && *from != key->latest)
		return HF_OK;
	return rotate_once(keys, key, why);
}

enum hf_err
keys_rotate(struct keys *keys, struct hf_text name, struct key **out,
    struct hf_why *why)
{
	return keys_until_done(keys, name, once_rotate, NULL, out, why);
}

enum hf_err
keys_rotate_from(struct keys *keys, struct hf_text name, uint64_t latest,
    struct key **out, struct hf_why *why)
{
	return keys_until_done(keys, name, once_rotate, &latest, out, why);
}

struct change_ctx {
	key_change_fn *change;
	void *ctx;
};

static enum hf_err
once_change(
    struct keys *keys, const struct key *key, void *ctx, struct hf_why *why)
{
	const struct change_ctx *cc = ctx;
	struct change c = { .keys = keys };
	struct key_record rec = key_record_of(key);
	enum hf_err err;

	if ((err = cc->change(cc->ctx, key, &rec, why)) != HF_OK)
		return err;
	if ((err = change_key_record(&c, key, &rec)) == HF_OK)
		err = change_commit(&c);
	change_free(&c);
	return err;
}

enum hf_err
keys_change(struct keys *keys, struct hf_text name, key_change_fn *change,
    void *ctx, struct key **out, struct hf_why *why)
{
	struct change_ctx cc = { change, ctx };

	return keys_until_done(keys, name, once_change, &cc, out, why);
}
