/* SPDX-License-Identifier: Apache-2.0 */
/* What goes for good: versions below a minimum, keys, and whole keyrings. */
#include "keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/bytes.h"
#include "change.h"
#include "key_use.h"
#include "effects.h"

/* -- Trim and delete -- */

static enum hf_err
trim_check(const struct key *key, uint64_t min, struct hf_why *why)
{
	if (min > key->latest)
		return hf_fail(why, HF_ERR_BAD_CONFIG,
		    "minimum available version cannot be greater than the "
		    "latest version");
	if (key->min_encryption == 0)
		return hf_fail(why, HF_ERR_BAD_CONFIG,
		    "minimum available version cannot be set when minimum "
		    "encryption version is not set");
	if (key->min_decryption == 0)
		return hf_fail(why, HF_ERR_BAD_CONFIG,
		    "minimum available version cannot be set when minimum "
		    "decryption version is not set");
	if (min > key->min_encryption)
		return hf_fail(why, HF_ERR_BAD_CONFIG,
		    "minimum available version cannot be greater than minimum "
		    "encryption version");
	if (min > key->min_decryption)
		return hf_fail(why, HF_ERR_BAD_CONFIG,
		    "minimum available version cannot be greater than minimum "
		    "decryption version");
	if (min < key->min_available)
		return hf_fail(why, HF_ERR_BAD_CONFIG,
		    "minimum available version cannot be decremented");
	return HF_OK;
}

/*
 * A key that comes back from a backup must not begin to count from nothing: its
 * limit holds for all that was ever done with it.
 */
static bool
may_come_back(const struct key *key, const struct key_version *v)
{
	return key->allow_plaintext_backup || v->hsm_blob != NULL;
}

void
key_version_forget_uses(const struct key *key, const struct key_version *v)
{
	if (!may_come_back(key, v))
		usage_forget(key->usage, v->number);
}

enum hf_err
change_delete_version(
    struct change *c, const struct key *key, const struct key_version *v)
{
	char name[KEY_STORE_NAME];
	enum hf_err err;

	if (v->state == VERSION_DESTROY_SCHEDULED) {
		keys_due_name(v->destroy_time, key->name, v->number, name);
		if ((err = change_delete(c, name)) != HF_OK)
			return err;
	}
	usage_store_name(key->id, v->number, name);
	if (!may_come_back(key, v) && (err = change_delete(c, name)) != HF_OK)
		return err;
	version_store_name(key->id, v->number, name);
	return change_delete(c, name);
}

/*
 * How many versions go in one commit: with their marks, and all that a key has
 * besides, below STORE_COMMIT_MAX.
 */
enum { VERSIONS_AT_ONCE = 150 };

/* Deletes the records of versions below a number, as many as go at once. */
struct shedding {
	uint64_t below;
	uint64_t since; /* trim: not when used since; 0: whenever */
	bool more;      /* not all went */
};

static uint64_t
shed_below(const struct key *key, struct shedding *s)
{
	s->more = key->count > VERSIONS_AT_ONCE &&
	    key->versions[VERSIONS_AT_ONCE].number < s->below;
	return s->more ? key->versions[VERSIONS_AT_ONCE].number : s->below;
}

static enum hf_err
change_shed(struct change *c, const struct key *key, uint64_t below)
{
	enum hf_err err = HF_OK;

	for (size_t i = 0; i < key->count && err == HF_OK; i++)
		if (key->versions[i].number < below)
			err = change_delete_version(c, key, &key->versions[i]);
	return err;
}

static void
drop_below(struct keys *keys, const struct key *key, uint64_t below)
{
	for (size_t i = 0; i < key->count; i++)
		if (key->versions[i].number < below) {
			key_version_forget_uses(key, &key->versions[i]);
			keys_version_drop_hsm(keys, &key->versions[i]);
		}
}

/* Of a dry run: what the commits after the first would do. */
static void
note_rest(const struct key *key, uint64_t from, uint64_t below)
{
	char number[24];

	for (size_t i = 0; i < key->count; i++) {
		if (key->versions[i].number < from ||
		    key->versions[i].number >= below)
			continue;
		(void)snprintf(number, sizeof(number), "%lu",
		    (unsigned long)key->versions[i].number);
		effects_note("delete", "version", text_of(number));
	}
	if (below == UINT64_MAX)
		effects_note("delete", "key", text_of(key->name));
}

/* One commit of it; the key is whole, and usable, after each. */
static enum hf_err
shed(struct keys *keys, const struct key *key, struct shedding *s)
{
	uint64_t below = shed_below(key, s);
	struct change c = { .keys = keys };
	struct key_record rec = key_record_of(key);
	enum hf_err err;

	rec.min_available_version = below;
	keys_destroying(keys);
	if ((err = change_key_record(&c, key, &rec)) == HF_OK &&
	    (err = change_shed(&c, key, below)) == HF_OK)
		err = change_commit(&c);
	if (err == HF_OK)
		drop_below(keys, key, below);
	if (err == HF_ERR_DRY_RUN && s->more)
		note_rest(key, below, s->below);
	change_free(&c);
	return err;
}

static enum hf_err
once_trim(
    struct keys *keys, const struct key *key, void *ctx, struct hf_why *why)
{
	struct shedding *s = ctx;
	enum hf_err err;

	if ((err = trim_check(key, s->below, why)) != HF_OK ||
	    (err = key_use_check(key, 0, s->below, s->since, why)) != HF_OK)
		return err;
	return shed(keys, key, s);
}

enum hf_err
keys_trim(struct keys *keys, struct hf_text name, uint64_t min, uint64_t since,
    struct key **out, struct hf_why *why)
{
	struct shedding s = { .below = min, .since = since, .more = true };
	enum hf_err err = HF_OK;

	while (s.more && err == HF_OK)
		err = keys_until_done(keys, name, once_trim, &s, NULL, why);
	return err == HF_OK ? keys_get_own(keys, name, out) : err;
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
	if ((an->err = change_delete(an->change, stored)) == HF_OK)
		an->err = change_unmark_alias(an->change, an->key, name);
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
	if ((err = change_delete(c, name)) != HF_OK ||
	    (err = change_plan(c, text_of(key->name), key->next_due, 0)) !=
		HF_OK ||
	    (err = change_shed(c, key, UINT64_MAX)) != HF_OK ||
	    (err = keys_aliases_of(
		 c->keys, text_of(key->name), delete_alias_each, &an)) != HF_OK)
		return err;
	return an.err;
}

/* The oldest versions first, and the rest with the key. */
static enum hf_err
once_delete(
    struct keys *keys, const struct key *key, void *ctx, struct hf_why *why)
{
	struct shedding *s = ctx;
	struct change c = { .keys = keys };
	enum hf_err err;

	if (!key->deletion_allowed)
		return hf_fail(why, HF_ERR_DELETE_REFUSED,
		    "error deleting policy %s: deletion is not allowed for "
		    "this key",
		    key->name);
	s->below = UINT64_MAX;
	(void)shed_below(key, s);
	if (s->more)
		return shed(keys, key, s);
	keys_destroying(keys);
	if ((err = change_delete_key(&c, key)) == HF_OK)
		err = change_commit(&c);
	if (err == HF_OK)
		drop_below(keys, key, UINT64_MAX);
	change_free(&c);
	return err;
}

enum hf_err
keys_delete(struct keys *keys, struct hf_text name, struct hf_why *why)
{
	struct shedding s = { .more = true };
	enum hf_err err = HF_OK;

	while (s.more && err == HF_OK)
		err = keys_until_done(keys, name, once_delete, &s, NULL, why);
	if (err == HF_ERR_KEY_NOT_FOUND)
		return hf_fail(why, err, "could not delete key; not found");
	return err;
}

/* -- Keyrings that are gone -- */

/* What one keyring sealed below a prefix, or what marks it, as deletions. */
struct orphans {
	struct keys *keys;
	struct hf_text keyring; /* absent: whatever stands there */
	struct change change;
	uint64_t count;
	bool only_count;
	enum hf_err err;
};

enum { ORPHANS_AT_ONCE = 500 };

static bool
orphan_each(
    void *ctx, struct hf_text key, struct hf_bytes value, uint64_t revision)
{
	struct orphans *o = ctx;
	char name[KEY_STORE_NAME];

	(void)revision;
	if (o->keyring.ptr != NULL &&
	    !keyring_sealed(o->keys->hierarchy, o->keyring, value))
		return true;
	o->count++;
	if (o->only_count)
		return true;
	(void)snprintf(name, sizeof(name), "%.*s", (int)key.len, key.ptr);
	o->err = change_delete(&o->change, name);
	return o->err == HF_OK && o->change.count < ORPHANS_AT_ONCE;
}

/* One commit at most; *count 0: nothing was there any more. */
static enum hf_err
orphans_drop(struct keys *keys, const char *prefix, struct hf_text keyring,
    bool only_count, uint64_t *count)
{
	struct orphans o = { .keys = keys,
		.keyring = keyring,
		.change = { .keys = keys },
		.only_count = only_count };
	enum hf_err err = store_list(keys->store, text_of(prefix),
	    (struct hf_text){ 0 }, 0, orphan_each, &o);

	if (err == HF_OK)
		err = o.err;
	if (err == HF_OK && o.change.count > 0)
		err = change_commit(&o.change);
	change_free(&o.change);
	*count = o.count;
	return err;
}

static enum hf_err
orphans_drop_all(struct keys *keys, const char *prefix, struct hf_text keyring)
{
	uint64_t count = 1;
	enum hf_err err = HF_OK;

	while (count > 0 && err == HF_OK)
		err = orphans_drop(keys, prefix, keyring, false, &count);
	return err;
}

struct first_key {
	struct keys *keys;
	struct hf_text keyring;
	char name[KEY_STORE_NAME]; /* "": there is none */
	char mark[KEY_STORE_NAME]; /* prefix of the marks of its aliases */
};

static bool
first_key_each(
    void *ctx, struct hf_text key, struct hf_bytes value, uint64_t revision)
{
	struct first_key *f = ctx;

	(void)revision;
	if (!keyring_sealed(f->keys->hierarchy, f->keyring, value))
		return true;
	(void)snprintf(f->name, sizeof(f->name), "%.*s", (int)key.len, key.ptr);
	(void)snprintf(f->mark, sizeof(f->mark), "aliasof/%s/", f->name + 4);
	return false;
}

/* A key goes last: as long as it is there, somebody knows what is left. */
static enum hf_err
drop_keys(struct keys *keys, struct hf_text keyring, uint64_t *count)
{
	char last[KEY_STORE_NAME] = "key/";

	for (;;) {
		struct first_key f = { .keys = keys, .keyring = keyring };
		struct store_write gone;
		enum hf_err err;

		err = store_list(keys->store, TEXT("key/"), text_of(last), 0,
		    first_key_each, &f);
		if (err != HF_OK || f.name[0] == '\0')
			return err;
		gone = (struct store_write){ text_of(f.name), { NULL, 0 } };
		if ((err = orphans_drop_all(
			 keys, f.mark, (struct hf_text){ 0 })) != HF_OK ||
		    (err = store_commit(
			 keys->store, NULL, 0, &gone, 1, NULL)) != HF_OK)
			return err;
		memcpy(last, f.name, sizeof(last));
		(*count)++;
	}
}

enum hf_err
keys_drop_keyring(
    struct keys *keys, struct hf_text keyring, bool only_count, uint64_t *count)
{
	enum hf_err err;

	*count = 0;
	if (only_count)
		return orphans_drop(keys, "key/", keyring, true, count);
	keys_destroying(keys);
	if ((err = orphans_drop_all(keys, "ver/", keyring)) != HF_OK ||
	    (err = orphans_drop_all(keys, "use/", keyring)) != HF_OK ||
	    (err = orphans_drop_all(keys, "alias/", keyring)) != HF_OK)
		return err;
	return drop_keys(keys, keyring, count);
}

/* -- What was destroyed must not be found in the files of the store -- */

void
keys_destroying(struct keys *keys)
{
	atomic_store(&keys->unscrubbed, true);
	if (keys->on_destroy != NULL)
		keys->on_destroy(keys->on_destroy_ctx);
}

void
keys_on_destroy(struct keys *keys, void (*wake)(void *ctx), void *ctx)
{
	keys->on_destroy_ctx = ctx;
	keys->on_destroy = wake;
}

enum hf_err
keys_scrub(struct keys *keys)
{
	enum hf_err err;

	if (!atomic_exchange(&keys->unscrubbed, false))
		return HF_OK;
	if ((err = store_scrub(keys->store)) != HF_OK)
		atomic_store(&keys->unscrubbed, true);
	return err;
}
