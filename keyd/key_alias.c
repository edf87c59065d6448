/* SPDX-License-Identifier: Apache-2.0 */
/* Other names of keys. */
#include "keys.h"

#include <stdio.h>
#include <string.h>

#include "../lib/bytes.h"
#include "change.h"
#include "sealed_record.h"

enum { TRIES = 10 /* after conflicts with other changes */ };

void
alias_store_name(struct hf_text name, char out[KEY_STORE_NAME])
{
	(void)snprintf(
	    out, KEY_STORE_NAME, "alias/%.*s", (int)name.len, name.ptr);
}

enum hf_err
keys_alias_target(
    struct keys *keys, struct hf_text name, char target[NAME_SIZE])
{
	AUTO_SECRET plain = { 0 };
	struct alias_record rec;
	char stored[KEY_STORE_NAME];
	uint64_t revision;
	enum hf_err err;

	alias_store_name(name, stored);
	err = sealed_record_load(keys->store, keys->hierarchy, text_of(stored),
	    &alias_schema, &plain, &rec, &revision);
	if (err == HF_OK)
		(void)snprintf(target, NAME_SIZE, "%.*s", (int)rec.target.len,
		    rec.target.ptr);
	return err;
}

/* Not sealed, empty: that this alias is one of that key. */
static void
mark_name(const char *key, struct hf_text alias, char out[KEY_STORE_NAME])
{
	(void)snprintf(out, KEY_STORE_NAME, "aliasof/%s/%.*s", key,
	    (int)alias.len, alias.ptr);
}

enum hf_err
change_unmark_alias(struct change *c, const char *key, struct hf_text alias)
{
	char name[KEY_STORE_NAME];

	mark_name(key, alias, name);
	return change_delete(c, name);
}

/* What stands under the name of an alias; revision 0: nothing. */
struct alias_now {
	uint64_t revision;
	char target[NAME_SIZE]; /* "" when it cannot be opened any more */
};

static enum hf_err
alias_read(struct keys *keys, struct hf_text name, struct alias_now *now)
{
	struct store_value v = { 0 };
	char stored[KEY_STORE_NAME];
	enum hf_err err;

	*now = (struct alias_now){ 0 };
	alias_store_name(name, stored);
	err = store_get(keys->store, text_of(stored), &v);
	now->revision = v.revision;
	store_value_free(&v);
	if (err == HF_ERR_NOT_FOUND)
		return HF_OK;
	if (err == HF_OK)
		err = keys_alias_target(keys, name, now->target);
	/* One that is damaged, or whose keyring is gone, may be replaced. */
	if (err == HF_ERR_KEYRING_NOT_FOUND || err == HF_ERR_STORE_DAMAGED)
		return HF_OK;
	return err;
}

/*
 * The record and its mark, so that a key knows its aliases. The records of the
 * keys that gain and lose it are written anew: nobody can delete one at the
 * same time and leave an alias of nothing, or of a later key of that name.
 */
static enum hf_err
alias_commit(struct keys *keys, struct hf_text name, const struct key *target,
    const struct key *loser, const struct alias_now *now)
{
	struct change c = { .keys = keys };
	struct alias_record rec = { text_of(target->name) };
	struct key_record trec = key_record_of(target);
	char stored[KEY_STORE_NAME], other[KEY_STORE_NAME];
	enum hf_err err = HF_OK;

	alias_store_name(name, stored);
	change_require(&c, stored, now->revision);
	key_store_name(name, other);
	change_require(&c, other, 0);
	if (loser != NULL) {
		struct key_record lrec = key_record_of(loser);

		if ((err = change_key_record(&c, loser, &lrec)) == HF_OK)
			err = change_unmark_alias(&c, loser->name, name);
	}
	mark_name(target->name, name, other);
	if (err == HF_OK &&
	    (err = change_key_record(&c, target, &trec)) == HF_OK &&
	    (err = change_mark(&c, other)) == HF_OK &&
	    (err = change_seal(
		 &c, target->keyring, stored, &alias_schema, &rec)) == HF_OK)
		err = change_commit(&c);
	change_free(&c);
	return err;
}

static bool
count_each(void *ctx, struct hf_text name)
{
	(void)name;
	return ++*(size_t *)ctx < KEY_ALIASES;
}

static enum hf_err
alias_point(struct keys *keys, struct hf_text name, const struct key *target,
    struct hf_why *why)
{
	struct alias_now now;
	struct key *loser = NULL;
	size_t count = 0;
	enum hf_err err;

	if ((err = alias_read(keys, name, &now)) != HF_OK)
		return err;
	if (text_is(text_of(now.target), target->name))
		return HF_OK;
	if ((err = keys_aliases_of(
		 keys, text_of(target->name), count_each, &count)) != HF_OK)
		return err;
	if (count == KEY_ALIASES)
		return hf_fail(why, HF_ERR_BAD_CONFIG,
		    "key %s has %d aliases already", target->name, KEY_ALIASES);
	if (now.target[0] != '\0') {
		err = keys_load(keys, text_of(now.target), &loser);
		if (err != HF_OK && err != HF_ERR_KEY_NOT_FOUND)
			return err;
	}
	err = alias_commit(keys, name, target, loser, &now);
	key_unref(loser);
	return err;
}

static enum hf_err
alias_name_is_free(struct keys *keys, struct hf_text name, struct hf_why *why)
{
	struct store_value v = { 0 };
	char stored[KEY_STORE_NAME];
	enum hf_err err;

	if (!name_valid(name))
		return HF_ERR_BAD_NAME;
	key_store_name(name, stored);
	err = store_get(keys->store, text_of(stored), &v);
	store_value_free(&v);
	if (err == HF_ERR_NOT_FOUND)
		return HF_OK;
	if (err != HF_OK)
		return err;
	return hf_fail(why, HF_ERR_NAME_TAKEN, "%.*s is the name of a key",
	    (int)name.len, name.ptr);
}

enum hf_err
keys_alias_set(struct keys *keys, struct hf_text name, struct hf_text target,
    struct hf_why *why)
{
	enum hf_err err = HF_ERR_STORE_CONFLICT;

	for (unsigned i = 0; i < TRIES && err == HF_ERR_STORE_CONFLICT; i++) {
		struct key *key;

		if ((err = keys_load(keys, target, &key)) ==
		    HF_ERR_KEY_NOT_FOUND)
			return hf_fail(why, err,
			    "there is no key %.*s; an alias points to a key, "
			    "not to an alias",
			    (int)target.len, target.ptr);
		if (err != HF_OK)
			return err;
		if ((err = alias_name_is_free(keys, name, why)) == HF_OK)
			err = alias_point(keys, name, key, why);
		key_unref(key);
	}
	return err;
}

static enum hf_err
alias_delete_once(struct keys *keys, struct hf_text name)
{
	struct change c = { .keys = keys };
	struct alias_now now;
	char stored[KEY_STORE_NAME];
	enum hf_err err = alias_read(keys, name, &now);

	if (err != HF_OK)
		return err;
	if (now.revision == 0)
		return HF_ERR_NOT_FOUND;
	alias_store_name(name, stored);
	change_require(&c, stored, now.revision);
	err = change_delete(&c, stored);
	if (err == HF_OK && now.target[0] != '\0')
		err = change_unmark_alias(&c, now.target, name);
	if (err == HF_OK)
		err = change_commit(&c);
	change_free(&c);
	return err;
}

enum hf_err
keys_alias_delete(struct keys *keys, struct hf_text name)
{
	enum hf_err err = HF_ERR_STORE_CONFLICT;

	for (unsigned i = 0; i < TRIES && err == HF_ERR_STORE_CONFLICT; i++)
		err = alias_delete_once(keys, name);
	return err;
}
