/* SPDX-License-Identifier: Apache-2.0 */
#include "keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/bytes.h"
#include "keys_internal.h"

enum {
	HMAC_KEY = 32, /* of keys that are not hmac keys */
	WRAPPED_MAX = 4096,
	SPKI_MAX = 1024,
	TRIES = 10, /* after conflicts with other changes of the same key */
	DAYS_30 = 30 * 86400,
};

/* -- A batch of writes that is committed at once -- */

struct change {
	struct keys *keys;
	struct store_cond conds[4];
	char cond_names[4][KEY_STORE_NAME];
	size_t cond_count;
	struct change_write {
		char name[KEY_STORE_NAME];
		uint8_t *value; /* NULL: delete */
		size_t len;
	} * writes;
	size_t count, room;
};

static void
change_free(struct change *c)
{
	for (size_t i = 0; i < c->count; i++)
		free(c->writes[i].value);
	free(c->writes);
}

static void
change_require(struct change *c, const char *name, uint64_t revision)
{
	char *copy = c->cond_names[c->cond_count];

	(void)snprintf(copy, KEY_STORE_NAME, "%s", name);
	c->conds[c->cond_count++] =
	    (struct store_cond){ text_of(copy), revision };
}

static enum hf_err
change_put(struct change *c, const char *name, uint8_t *value, size_t len)
{
	struct change_write *w;

	if (c->count == c->room) {
		size_t room = c->room == 0 ? 8 : 2 * c->room;
		void *p = realloc(c->writes, room * sizeof(*c->writes));

		if (p == NULL) {
			free(value);
			return HF_ERR_NO_MEMORY;
		}
		c->writes = p;
		c->room = room;
	}
	w = &c->writes[c->count++];
	(void)snprintf(w->name, sizeof(w->name), "%s", name);
	w->value = value;
	w->len = len;
	return HF_OK;
}

static enum hf_err
change_delete(struct change *c, const char *name)
{
	return change_put(c, name, NULL, 0);
}

/* Seals a record under its name with a keyring, and adds it. */
static enum hf_err
change_seal(struct change *c, const char *keyring, const char *name,
    const struct schema *schema, const void *record)
{
	AUTO_SECRET plain = { 0 };
	uint8_t *sealed;
	size_t len;
	enum hf_err err;

	if ((err = secret_alloc(&plain, RECORD_MAX)) != HF_OK ||
	    (err = record_encode(schema, record, plain.ptr, plain.len, &len)) !=
		HF_OK)
		return err;
	sealed = malloc(len + SEAL_EXTRA);
	if (sealed == NULL)
		return HF_ERR_NO_MEMORY;
	err = hierarchy_seal(c->keys->hierarchy, text_of(keyring),
	    text_of(name), bytes_of(plain.ptr, len), sealed);
	if (err != HF_OK) {
		free(sealed);
		return err;
	}
	return change_put(c, name, sealed, len + SEAL_EXTRA);
}

static enum hf_err
change_commit(struct change *c)
{
	struct store_write *writes = calloc(c->count, sizeof(*writes));
	enum hf_err err;

	if (writes == NULL)
		return HF_ERR_NO_MEMORY;
	for (size_t i = 0; i < c->count; i++)
		writes[i] = (struct store_write){ text_of(c->writes[i].name),
			bytes_of(c->writes[i].value, c->writes[i].len) };
	err = store_commit(
	    c->keys->store, c->conds, c->cond_count, writes, c->count, NULL);
	free(writes);
	return err;
}

/* -- Records -- */

static struct key_record
record_of(const struct key *key)
{
	return (struct key_record){
		.id = bytes_of(key->id, HSM_ID),
		.type = key->type->id,
		.level = key->level,
		.keyring = text_of(key->keyring),
		.prefix = text_of(key->prefix),
		.latest_version = key->latest,
		.primary_version = key->primary,
		.min_available_version = key->min_available,
		.min_decryption_version = key->min_decryption,
		.min_encryption_version = key->min_encryption,
		.deletion_allowed = key->deletion_allowed,
		.exportable = key->exportable,
		.allow_plaintext_backup = key->allow_plaintext_backup,
		.soft_deleted = key->soft_deleted,
		.imported = key->imported,
		.key_size = key->key_size,
		.creation_time = key->creation_time,
	};
}

static enum hf_err
change_key_record(
    struct change *c, const struct key *key, const struct key_record *rec)
{
	char name[KEY_STORE_NAME];

	key_store_name(text_of(key->name), name);
	change_require(c, name, key->revision);
	return change_seal(c, key->keyring, name, &key_schema, rec);
}

/* -- New versions -- */

/* The material of a new version, owned until its record is sealed. */
struct fresh {
	struct secret material, hmac;
	uint8_t wrapped[WRAPPED_MAX], hmac_wrapped[WRAPPED_MAX];
	uint8_t spki[SPKI_MAX];
	uint8_t id[HSM_ID], hmac_id[HSM_ID], wrap_id[HSM_ID];
	struct version_record rec;
};

static void
fresh_free(struct fresh *f)
{
	if (f == NULL)
		return;
	secret_free(&f->material);
	secret_free(&f->hmac);
	free(f);
}

static enum hf_err
fresh_spki(struct fresh *f, const struct key_type *type)
{
	struct crypto_key *pair;
	size_t len;
	enum hf_err err;

	if (type->family == FAMILY_AEAD || type->family == FAMILY_HMAC)
		return HF_OK;
	if ((err = crypto_key_private(
		 type, secret_view(&f->material), &pair)) != HF_OK)
		return err;
	err = crypto_key_spki(pair, f->spki, sizeof(f->spki), &len);
	crypto_key_free(pair);
	if (err == HF_OK)
		f->rec.spki = bytes_of(f->spki, len);
	return err;
}

static enum hf_err
fresh_wrapped(struct fresh *f, const struct key_type *type, size_t key_size)
{
	enum hf_err err;

	if ((err = crypto_generate(type, key_size, &f->material)) != HF_OK ||
	    (err = fresh_spki(f, type)) != HF_OK)
		return err;
	f->rec.material = secret_view(&f->material);
	if (type->family == FAMILY_HMAC)
		return HF_OK;
	if ((err = secret_alloc(&f->hmac, HMAC_KEY)) != HF_OK ||
	    (err = crypto_random(f->hmac.ptr, HMAC_KEY)) != HF_OK)
		return err;
	f->rec.hmac = secret_view(&f->hmac);
	return HF_OK;
}

static enum hf_err
fresh_hsm(struct fresh *f, struct keys *keys, const struct key_type *type,
    size_t key_size)
{
	size_t len = 0, spki_len = 0, no_spki = 0;
	uint8_t unused[SPKI_MAX]; /* a MAC key has no public half */
	enum hf_err err;

	hierarchy_wrap_id(keys->hierarchy, f->wrap_id);
	if ((err = crypto_random(f->id, HSM_ID)) != HF_OK ||
	    (err = crypto_random(f->hmac_id, HSM_ID)) != HF_OK ||
	    (err = hsm_key_make(keys->hsm, type, key_size, f->wrap_id, f->id,
		 f->wrapped, &len, f->spki, &spki_len)) != HF_OK)
		return err;
	f->rec.hsm_id = bytes_of(f->id, HSM_ID);
	f->rec.wrap_id = bytes_of(f->wrap_id, HSM_ID);
	f->rec.hsm_wrapped = bytes_of(f->wrapped, len);
	if (spki_len > 0)
		f->rec.spki = bytes_of(f->spki, spki_len);
	if (type->family == FAMILY_HMAC)
		return HF_OK;
	/* Every version can also make MACs; at level hsm inside the HSM. */
	if ((err = hsm_key_make(keys->hsm, key_type_by_id(KEY_HMAC), HMAC_KEY,
		 f->wrap_id, f->hmac_id, f->hmac_wrapped, &len, unused,
		 &no_spki)) != HF_OK)
		return err;
	f->rec.hsm_hmac_id = bytes_of(f->hmac_id, HSM_ID);
	f->rec.hsm_hmac_wrapped = bytes_of(f->hmac_wrapped, len);
	return HF_OK;
}

/*
 * What may have been made in the HSM for a version that did not come to be:
 * looked for under the ids that it would have, wrapped or resident.
 */
static void
fresh_discard(
    struct keys *keys, const struct key_type *type, const struct fresh *f)
{
	struct hsm_key k = { .type = type, .wrapped = f->rec.hsm_wrapped };
	struct hsm_key mac = { .type = key_type_by_id(KEY_HMAC),
		.wrapped = f->rec.hsm_hmac_wrapped };

	if (f->rec.level != LEVEL_HSM)
		return;
	memcpy(k.id, f->id, HSM_ID);
	memcpy(mac.id, f->hmac_id, HSM_ID);
	if (hsm_key_drop(keys->hsm, &k) != HF_OK ||
	    hsm_key_drop(keys->hsm, &mac) != HF_OK)
		return; /* orphans in the HSM; nothing refers to them */
}

static enum hf_err
fresh_make(struct keys *keys, const struct key_type *type, enum key_level level,
    size_t key_size, uint64_t number, struct fresh **out)
{
	struct fresh *f = calloc(1, sizeof(*f));
	enum hf_err err;

	if (f == NULL)
		return HF_ERR_NO_MEMORY;
	f->rec.version = number;
	f->rec.state = VERSION_ENABLED;
	f->rec.level = level;
	f->rec.creation_time = (uint64_t)time(NULL);
	err = level == LEVEL_HSM ? fresh_hsm(f, keys, type, key_size)
				 : fresh_wrapped(f, type, key_size);
	if (err != HF_OK) {
		fresh_discard(keys, type, f);
		fresh_free(f);
		return err;
	}
	*out = f;
	return HF_OK;
}

/* -- Create, rotate, change -- */

static enum hf_err
create_check(const struct key_create *how, struct hf_why *why)
{
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
	return HF_OK;
}

static enum hf_err
create_commit(
    struct keys *keys, const struct key_create *how, const struct fresh *f)
{
	struct change c = { .keys = keys };
	char keyring[129] = "", name[KEY_STORE_NAME], ver[KEY_STORE_NAME];
	char alias[KEY_STORE_NAME];
	uint8_t id[HSM_ID] = { 0 };
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
		.key_size = how->key_size,
		.creation_time = f->rec.creation_time,
	};
	enum hf_err err;

	if ((err = crypto_random(id, HSM_ID)) != HF_OK)
		return err;
	memcpy(keyring, how->keyring.ptr, how->keyring.len);
	key_store_name(how->name, name);
	alias_store_name(how->name, alias);
	version_store_name(id, 1, ver);
	change_require(&c, name, 0);
	change_require(&c, alias, 0);
	if ((err = change_seal(&c, keyring, name, &key_schema, &rec)) ==
		HF_OK &&
	    (err = change_seal(&c, keyring, ver, &version_schema, &f->rec)) ==
		HF_OK)
		err = change_commit(&c);
	change_free(&c);
	return err;
}

/* The name is taken: by what? */
static enum hf_err
create_taken(struct keys *keys, struct hf_text name, struct key **out)
{
	enum hf_err err = keys_get(keys, name, true, out);

	if (err != HF_OK)
		return err == HF_ERR_KEY_NOT_FOUND ? HF_ERR_NAME_TAKEN : err;
	if (text_is(name, (*out)->name))
		return HF_ERR_KEY_EXISTS;
	key_unref(*out);
	*out = NULL;
	return HF_ERR_NAME_TAKEN;
}

enum hf_err
keys_create(struct keys *keys, const struct key_create *how, struct key **out,
    struct hf_why *why)
{
	struct keyring_info ring;
	struct fresh *f;
	enum hf_err err;

	*out = NULL;
	if ((err = create_check(how, why)) != HF_OK)
		return err;
	err = create_taken(keys, how->name, out);
	if (err != HF_ERR_NAME_TAKEN || *out != NULL)
		return err;
	if (keys_alias_target(keys, how->name, ring.name) == HF_OK)
		return hf_fail(
		    why, HF_ERR_NAME_TAKEN, "the name is that of an alias");
	if ((err = keyring_info(keys->hierarchy, how->keyring, &ring)) !=
		HF_OK ||
	    ring.destroyed)
		return hf_fail(why, HF_ERR_KEYRING_NOT_FOUND,
		    "there is no keyring %.*s", (int)how->keyring.len,
		    how->keyring.ptr);
	if ((err = fresh_make(
		 keys, how->type, how->level, how->key_size, 1, &f)) != HF_OK)
		return err;
	err = create_commit(keys, how, f);
	if (err != HF_OK)
		fresh_discard(keys, how->type, f);
	fresh_free(f);
	if (err == HF_ERR_STORE_CONFLICT)
		return create_taken(keys, how->name, out);
	if (err != HF_OK)
		return err;
	return keys_get(keys, how->name, true, out);
}

/* The key itself, not what an alias of that name points to: changes name keys
 * through aliases too, as reads do. Current as of the store. */
static enum hf_err
key_fresh(struct keys *keys, struct hf_text name, struct key **out)
{
	struct key *cached;
	enum hf_err err = keys_get(keys, name, true, &cached);

	if (err != HF_OK)
		return err;
	err =
	    key_load(keys->store, keys->hierarchy, text_of(cached->name), out);
	key_unref(cached);
	return err;
}

static enum hf_err
rotate_once(struct keys *keys, const struct key *key, struct hf_why *why)
{
	struct change c = { .keys = keys };
	struct key_record rec = record_of(key);
	char ver[KEY_STORE_NAME];
	struct fresh *f;
	enum hf_err err;

	if (key->soft_deleted)
		return HF_ERR_KEY_DELETED;
	if (key->latest >= 0xffffff)
		return hf_fail(why, HF_ERR_BAD_CONFIG,
		    "the key has as many versions as it can have");
	if ((err = fresh_make(keys, key->type, key->level, key->key_size,
		 key->latest + 1, &f)) != HF_OK)
		return err;
	rec.latest_version = key->latest + 1;
	version_store_name(key->id, key->latest + 1, ver);
	if ((err = change_key_record(&c, key, &rec)) == HF_OK &&
	    (err = change_seal(
		 &c, key->keyring, ver, &version_schema, &f->rec)) == HF_OK)
		err = change_commit(&c);
	if (err != HF_OK)
		fresh_discard(keys, key->type, f);
	fresh_free(f);
	change_free(&c);
	return err;
}

/*
 * Runs `once` on the current key until no other change comes between, and
 * hands out the key as it then is.
 */
typedef enum hf_err once_fn(
    struct keys *keys, const struct key *key, void *ctx, struct hf_why *why);

static enum hf_err
until_done(struct keys *keys, struct hf_text name, once_fn *once, void *ctx,
    struct key **out, struct hf_why *why)
{
	enum hf_err err = HF_ERR_STORE_CONFLICT;

	for (unsigned i = 0; i < TRIES && err == HF_ERR_STORE_CONFLICT; i++) {
		struct key *key;

		if ((err = key_fresh(keys, name, &key)) != HF_OK)
			return err;
		err = once(keys, key, ctx, why);
		key_unref(key);
	}
	if (err != HF_OK || out == NULL)
		return err;
	return keys_get(keys, name, true, out);
}

static enum hf_err
once_rotate(
    struct keys *keys, const struct key *key, void *ctx, struct hf_why *why)
{
	(void)ctx;
	return rotate_once(keys, key, why);
}

enum hf_err
keys_rotate(struct keys *keys, struct hf_text name, struct key **out,
    struct hf_why *why)
{
	return until_done(keys, name, once_rotate, NULL, out, why);
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
	struct key_record rec = record_of(key);
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

	return until_done(keys, name, once_change, &cc, out, why);
}

/* -- States of versions -- */

/* The record of a version as the store has it; the caller frees `plain`. */
static enum hf_err
version_read(struct keys *keys, const struct key *key, uint32_t number,
    struct secret *plain, struct version_record *rec)
{
	struct store_value v = { 0 };
	char name[KEY_STORE_NAME];
	enum hf_err err;

	version_store_name(key->id, number, name);
	err = store_get(keys->store, text_of(name), &v);
	if (err != HF_OK)
		return err == HF_ERR_NOT_FOUND ? HF_ERR_VERSION_NOT_FOUND : err;
	err = hierarchy_unseal(
	    keys->hierarchy, text_of(name), bytes_of(v.ptr, v.len), plain);
	store_value_free(&v);
	if (err != HF_OK)
		return err;
	return record_decode(&version_schema, secret_view(plain), rec);
}

static void
due_name(
    uint64_t when, const char *key, uint64_t version, char out[KEY_STORE_NAME])
{
	(void)snprintf(out, KEY_STORE_NAME, "due/%016llx/%06llx/%s",
	    (unsigned long long)when, (unsigned long long)version, key);
}

static enum hf_err
due_add(struct change *c, const char *name)
{
	uint8_t *mark = malloc(1);

	if (mark == NULL)
		return HF_ERR_NO_MEMORY;
	mark[0] = 1;
	return change_put(c, name, mark, 1);
}

/* One move between states: from which, to which. */
struct move {
	const char *name;
	unsigned from; /* bits of 1 << enum version_state */
	enum version_state to;
};

enum {
	FROM_ENABLED = 1 << VERSION_ENABLED,
	FROM_DISABLED = 1 << VERSION_DISABLED,
	FROM_SCHEDULED = 1 << VERSION_DESTROY_SCHEDULED,
};

static const struct move move_enable = { "enabled",
	FROM_ENABLED | FROM_DISABLED, VERSION_ENABLED };
static const struct move move_disable = { "disabled",
	FROM_ENABLED | FROM_DISABLED, VERSION_DISABLED };
static const struct move move_schedule = { "scheduled for destruction",
	FROM_ENABLED | FROM_DISABLED | FROM_SCHEDULED,
	VERSION_DESTROY_SCHEDULED };
static const struct move move_restore = { "restored", FROM_SCHEDULED,
	VERSION_DISABLED };
static const struct move move_destroy = { "destroyed", FROM_SCHEDULED,
	VERSION_DESTROYED };

static const char *const state_names[] = {
	[VERSION_ENABLED] = "enabled",
	[VERSION_DISABLED] = "disabled",
	[VERSION_DESTROY_SCHEDULED] = "scheduled for destruction",
	[VERSION_DESTROYED] = "destroyed",
};

struct move_ctx {
	const struct move *move;
	uint64_t version;
	uint64_t when; /* schedule: the time; destroy: not before */
};

/* What the HSM holds of a version goes when its record has gone. */
static void
version_drop_hsm(struct keys *keys, const struct key_version *v)
{
	if (v == NULL || v->level != LEVEL_HSM || v->hsm_blob == NULL)
		return;
	if (hsm_key_drop(keys->hsm, &v->hsm) != HF_OK ||
	    (v->hsm_hmac.type != NULL &&
		hsm_key_drop(keys->hsm, &v->hsm_hmac) != HF_OK))
		return; /* an orphan in the HSM; its blob is gone */
}

static enum hf_err
move_commit(struct keys *keys, const struct key *key,
    struct version_record *rec, const struct move_ctx *mc)
{
	struct change c = { .keys = keys };
	struct key_record krec = record_of(key);
	char ver[KEY_STORE_NAME], due[KEY_STORE_NAME];
	uint64_t old_due =
	    rec->state == VERSION_DESTROY_SCHEDULED ? rec->destroy_time : 0;
	enum hf_err err = HF_OK;

	rec->state = mc->move->to;
	if (mc->move->to == VERSION_DESTROYED) {
		rec->material = rec->hmac = rec->hsm_wrapped =
		    rec->hsm_hmac_wrapped = (struct hf_bytes){ 0 };
		rec->destroy_time = mc->when;
	} else {
		rec->destroy_time =
		    mc->move->to == VERSION_DESTROY_SCHEDULED ? mc->when : 0;
	}
	if (old_due != 0) {
		due_name(old_due, key->name, mc->version, due);
		err = change_delete(&c, due);
	}
	if (err == HF_OK && mc->move->to == VERSION_DESTROY_SCHEDULED) {
		due_name(mc->when, key->name, mc->version, due);
		err = due_add(&c, due);
	}
	version_store_name(key->id, (uint32_t)mc->version, ver);
	if (err == HF_OK &&
	    (err = change_seal(&c, key->keyring, ver, &version_schema, rec)) ==
		HF_OK &&
	    (err = change_key_record(&c, key, &krec)) == HF_OK)
		err = change_commit(&c);
	change_free(&c);
	return err;
}

static enum hf_err
once_move(
    struct keys *keys, const struct key *key, void *ctx, struct hf_why *why)
{
	const struct move_ctx *mc = ctx;
	AUTO_SECRET plain = { 0 };
	struct version_record rec;
	enum hf_err err;

	if (key_version_find(key, mc->version) == NULL)
		return hf_fail(why, HF_ERR_VERSION_NOT_FOUND,
		    "key %s has no version %llu", key->name,
		    (unsigned long long)mc->version);
	if ((err = version_read(
		 keys, key, (uint32_t)mc->version, &plain, &rec)) != HF_OK)
		return err;
	if ((mc->move->from & 1U << rec.state) == 0)
		return hf_fail(why, HF_ERR_VERSION_STATE,
		    "version %llu of key %s is %s and cannot be %s",
		    (unsigned long long)mc->version, key->name,
		    state_names[rec.state], mc->move->name);
	if (mc->move->to == VERSION_DESTROYED && rec.destroy_time > mc->when)
		return HF_ERR_VERSION_STATE; /* restored and scheduled anew */
	err = move_commit(keys, key, &rec, mc);
	if (err == HF_OK && mc->move->to == VERSION_DESTROYED)
		version_drop_hsm(keys, key_version_find(key, mc->version));
	return err;
}

static enum hf_err
version_move(struct keys *keys, struct hf_text name, const struct move *move,
    uint64_t version, uint64_t when, struct key **out, struct hf_why *why)
{
	struct move_ctx mc = { move, version, when };

	return until_done(keys, name, once_move, &mc, out, why);
}

enum hf_err
keys_version_enable(struct keys *keys, struct hf_text name, uint64_t version,
    struct key **out, struct hf_why *why)
{
	return version_move(keys, name, &move_enable, version, 0, out, why);
}

enum hf_err
keys_version_disable(struct keys *keys, struct hf_text name, uint64_t version,
    struct key **out, struct hf_why *why)
{
	return version_move(keys, name, &move_disable, version, 0, out, why);
}

enum hf_err
keys_version_destroy(struct keys *keys, struct hf_text name, uint64_t version,
    uint64_t delay, struct key **out, struct hf_why *why)
{
	return version_move(keys, name, &move_schedule, version,
	    (uint64_t)time(NULL) + delay, out, why);
}

enum hf_err
keys_version_restore(struct keys *keys, struct hf_text name, uint64_t version,
    struct key **out, struct hf_why *why)
{
	return version_move(keys, name, &move_restore, version, 0, out, why);
}

/* -- Destruction that is due -- */

struct due {
	char names[64][KEY_STORE_NAME];
	size_t count;
	uint64_t now;
	uint64_t next; /* the first that is not due yet */
};

static bool
due_each(
    void *ctx, struct hf_text key, struct hf_bytes value, uint64_t revision)
{
	struct due *d = ctx;
	char copy[KEY_STORE_NAME];
	uint64_t when;

	(void)value;
	(void)revision;
	(void)snprintf(copy, sizeof(copy), "%.*s", (int)key.len, key.ptr);
	when = strtoull(copy + 4, NULL, 16);
	if (when > d->now) {
		d->next = when;
		return false;
	}
	if (d->count == 64) {
		d->next = d->now; /* come again at once */
		return false;
	}
	memcpy(d->names[d->count++], copy, sizeof(copy));
	return true;
}

/* Destroys what one mark names; the mark goes even when there is nothing. */
static enum hf_err
due_destroy(struct keys *keys, const char *mark, uint64_t now,
    void (*each)(void *, const char *, uint64_t), void *ctx)
{
	uint64_t version = strtoull(mark + 4 + 17, NULL, 16);
	const char *name = mark + 4 + 17 + 7;
	enum hf_err err = version_move(
	    keys, text_of(name), &move_destroy, version, now, NULL, NULL);

	if (err == HF_OK) {
		each(ctx, name, version);
		return HF_OK;
	}
	if (err != HF_ERR_VERSION_STATE && err != HF_ERR_VERSION_NOT_FOUND &&
	    err != HF_ERR_KEY_NOT_FOUND)
		return err;
	return store_commit(keys->store, NULL, 0,
	    &(struct store_write){ text_of(mark), { NULL, 0 } }, 1, NULL);
}

enum hf_err
keys_destroy_due(struct keys *keys, uint64_t now,
    void (*each)(void *ctx, const char *name, uint64_t version), void *ctx,
    uint64_t *next)
{
	struct due *d = calloc(1, sizeof(*d));
	enum hf_err err;

	if (d == NULL)
		return HF_ERR_NO_MEMORY;
	d->now = now;
	err = store_list(
	    keys->store, TEXT("due/"), (struct hf_text){ 0 }, 0, due_each, d);
	for (size_t i = 0; i < d->count && err == HF_OK; i++)
		err = due_destroy(keys, d->names[i], now, each, ctx);
	*next = d->next;
	free(d);
	return err;
}

/* -- Trim and delete -- */

static enum hf_err
trim_check(const struct key *key, uint64_t min, struct hf_why *why)
{
	if (min > key->latest)
		return hf_fail(why, HF_ERR_BAD_CONFIG,
		    "minimum available "
		    "version cannot be greater than the latest version");
	if (key->min_encryption == 0)
		return hf_fail(why, HF_ERR_BAD_CONFIG,
		    "minimum available "
		    "version cannot be set when minimum encryption version is "
		    "not set");
	if (key->min_decryption == 0)
		return hf_fail(why, HF_ERR_BAD_CONFIG,
		    "minimum available "
		    "version cannot be set when minimum decryption version is "
		    "not set");
	if (min > key->min_encryption)
		return hf_fail(why, HF_ERR_BAD_CONFIG,
		    "minimum available "
		    "version cannot be greater than minimum encryption version");
	if (min > key->min_decryption)
		return hf_fail(why, HF_ERR_BAD_CONFIG,
		    "minimum available "
		    "version cannot be greater than minimum decryption version");
	if (min < key->min_available)
		return hf_fail(why, HF_ERR_BAD_CONFIG,
		    "minimum available version cannot be decremented");
	return HF_OK;
}

/* Deletes the records of a version; its HSM objects go after the commit. */
static enum hf_err
change_delete_version(
    struct change *c, const struct key *key, const struct key_version *v)
{
	char name[KEY_STORE_NAME];
	enum hf_err err;

	if (v->state == VERSION_DESTROY_SCHEDULED) {
		due_name(v->destroy_time, key->name, v->number, name);
		if ((err = change_delete(c, name)) != HF_OK)
			return err;
	}
	version_store_name(key->id, v->number, name);
	return change_delete(c, name);
}

static enum hf_err
once_trim(
    struct keys *keys, const struct key *key, void *ctx, struct hf_why *why)
{
	uint64_t min = *(const uint64_t *)ctx;
	struct change c = { .keys = keys };
	struct key_record rec = record_of(key);
	enum hf_err err;

	if ((err = trim_check(key, min, why)) != HF_OK)
		return err;
	rec.min_available_version = min;
	err = change_key_record(&c, key, &rec);
	for (size_t i = 0; i < key->count && err == HF_OK; i++)
		if (key->versions[i].number < min)
			err = change_delete_version(&c, key, &key->versions[i]);
	if (err == HF_OK)
		err = change_commit(&c);
	for (size_t i = 0; i < key->count && err == HF_OK; i++)
		if (key->versions[i].number < min)
			version_drop_hsm(keys, &key->versions[i]);
	change_free(&c);
	return err;
}

enum hf_err
keys_trim(struct keys *keys, struct hf_text name, uint64_t min,
    struct key **out, struct hf_why *why)
{
	return until_done(keys, name, once_trim, &min, out, why);
}

struct alias_names {
	struct change *change;
	const char *key;
	enum hf_err err;
};

static bool
delete_alias_each(void *ctx, struct hf_text name)
{
	struct alias_names *an = ctx;
	char stored[KEY_STORE_NAME];

	alias_store_name(name, stored);
	an->err = change_delete(an->change, stored);
	if (an->err != HF_OK)
		return false;
	(void)snprintf(stored, sizeof(stored), "aliasof/%s/%.*s", an->key,
	    (int)name.len, name.ptr);
	an->err = change_delete(an->change, stored);
	return an->err == HF_OK;
}

static enum hf_err
change_delete_key(struct change *c, const struct key *key)
{
	struct alias_names an = { c, key->name, HF_OK };
	char name[KEY_STORE_NAME];
	enum hf_err err;

	key_store_name(text_of(key->name), name);
	change_require(c, name, key->revision);
	if ((err = change_delete(c, name)) != HF_OK)
		return err;
	for (size_t i = 0; i < key->count; i++)
		if ((err = change_delete_version(c, key, &key->versions[i])) !=
		    HF_OK)
			return err;
	err = keys_aliases_of(
	    c->keys, text_of(key->name), delete_alias_each, &an);
	return err == HF_OK ? an.err : err;
}

static enum hf_err
once_delete(
    struct keys *keys, const struct key *key, void *ctx, struct hf_why *why)
{
	struct change c = { .keys = keys };
	enum hf_err err;

	(void)ctx;
	if (!key->deletion_allowed)
		return hf_fail(why, HF_ERR_DELETE_REFUSED,
		    "error deleting "
		    "policy %s: deletion is not allowed for this key",
		    key->name);
	if ((err = change_delete_key(&c, key)) == HF_OK)
		err = change_commit(&c);
	for (size_t i = 0; i < key->count && err == HF_OK; i++)
		version_drop_hsm(keys, &key->versions[i]);
	change_free(&c);
	return err;
}

enum hf_err
keys_delete(struct keys *keys, struct hf_text name, struct hf_why *why)
{
	enum hf_err err = until_done(keys, name, once_delete, NULL, NULL, why);

	if (err == HF_ERR_KEY_NOT_FOUND)
		return hf_fail(why, err, "could not delete key; not found");
	return err;
}

/* -- Keyrings that are gone -- */

struct orphan {
	struct keys *keys;
	struct hf_text keyring;
	struct change change;
	uint64_t count;
	enum hf_err err;
};

static bool
orphan_each(
    void *ctx, struct hf_text key, struct hf_bytes value, uint64_t revision)
{
	struct orphan *o = ctx;
	char name[KEY_STORE_NAME];

	(void)revision;
	if (!keyring_sealed(o->keys->hierarchy, o->keyring, value))
		return true;
	if (text_starts(key, TEXT("key/")))
		o->count++;
	(void)snprintf(name, sizeof(name), "%.*s", (int)key.len, key.ptr);
	o->err = change_delete(&o->change, name);
	return o->err == HF_OK;
}

enum hf_err
keys_drop_keyring(
    struct keys *keys, struct hf_text keyring, bool only_count, uint64_t *count)
{
	static const char *const prefixes[] = { "key/", "ver/", "alias/" };
	struct orphan o = {
		.keys = keys, .keyring = keyring, .change = { .keys = keys }
	};
	enum hf_err err = HF_OK;

	for (size_t i = 0; i < 3 && err == HF_OK; i++) {
		err = store_list(keys->store, text_of(prefixes[i]),
		    (struct hf_text){ 0 }, 0, orphan_each, &o);
		if (err == HF_OK)
			err = o.err;
	}
	if (err == HF_OK && !only_count && o.change.count > 0)
		err = change_commit(&o.change);
	change_free(&o.change);
	*count = o.count;
	return err;
}

/* -- Aliases -- */

/* The record and its reverse, so that a key knows its aliases. */
static enum hf_err
alias_commit(struct keys *keys, struct hf_text name, const struct key *target,
    const char *old_target, uint64_t revision)
{
	struct change c = { .keys = keys };
	struct alias_record rec = { text_of(target->name) };
	char stored[KEY_STORE_NAME], key[KEY_STORE_NAME];
	enum hf_err err = HF_OK;

	alias_store_name(name, stored);
	change_require(&c, stored, revision);
	key_store_name(name, key);
	change_require(&c, key, 0);
	key_store_name(text_of(target->name), key);
	change_require(&c, key, target->revision);
	if (old_target != NULL) {
		(void)snprintf(key, sizeof(key), "aliasof/%s/%.*s", old_target,
		    (int)name.len, name.ptr);
		err = change_delete(&c, key);
	}
	(void)snprintf(key, sizeof(key), "aliasof/%s/%.*s", target->name,
	    (int)name.len, name.ptr);
	if (err == HF_OK && (err = due_add(&c, key)) == HF_OK &&
	    (err = change_seal(
		 &c, target->keyring, stored, &alias_schema, &rec)) == HF_OK)
		err = change_commit(&c);
	change_free(&c);
	return err;
}

static enum hf_err
alias_revision(
    struct keys *keys, struct hf_text name, char old[129], uint64_t *revision)
{
	struct store_value v = { 0 };
	char stored[KEY_STORE_NAME];
	enum hf_err err;

	alias_store_name(name, stored);
	err = store_get(keys->store, text_of(stored), &v);
	*revision = v.revision;
	store_value_free(&v);
	if (err == HF_ERR_NOT_FOUND) {
		*revision = 0;
		return HF_OK;
	}
	if (err != HF_OK)
		return err;
	return keys_alias_target(keys, name, old);
}

enum hf_err
keys_alias_set(struct keys *keys, struct hf_text name, struct hf_text target,
    struct hf_why *why)
{
	enum hf_err err = HF_ERR_STORE_CONFLICT;

	for (unsigned i = 0; i < TRIES && err == HF_ERR_STORE_CONFLICT; i++) {
		char old[129] = "";
		uint64_t revision;
		struct key *key, *same;

		if ((err = key_load(keys->store, keys->hierarchy, target,
			 &key)) == HF_ERR_KEY_NOT_FOUND)
			return hf_fail(why, err,
			    "there is no key %.*s; an "
			    "alias points to a key, not to an alias",
			    (int)target.len, target.ptr);
		if (err != HF_OK)
			return err;
		if (key_load(keys->store, keys->hierarchy, name, &same) ==
		    HF_OK) {
			key_unref(same);
			key_unref(key);
			return hf_fail(why, HF_ERR_NAME_TAKEN,
			    "%.*s is the name of a key", (int)name.len,
			    name.ptr);
		}
		err = alias_revision(keys, name, old, &revision);
		if (err == HF_OK)
			err = alias_commit(keys, name, key,
			    revision == 0 ? NULL : old, revision);
		key_unref(key);
	}
	return err;
}

enum hf_err
keys_alias_delete(struct keys *keys, struct hf_text name)
{
	struct change c = { .keys = keys };
	char old[129] = "", stored[KEY_STORE_NAME];
	uint64_t revision;
	enum hf_err err = alias_revision(keys, name, old, &revision);

	if (err != HF_OK)
		return err;
	if (revision == 0)
		return HF_ERR_NOT_FOUND;
	alias_store_name(name, stored);
	change_require(&c, stored, revision);
	err = change_delete(&c, stored);
	(void)snprintf(stored, sizeof(stored), "aliasof/%s/%.*s", old,
	    (int)name.len, name.ptr);
	if (err == HF_OK && (err = change_delete(&c, stored)) == HF_OK)
		err = change_commit(&c);
	change_free(&c);
	return err;
}
