/* SPDX-License-Identifier: Apache-2.0 */
/* Other names of keys. */
#include "keys.h"

#include <stdio.h>
#include <string.h>

#include "../lib/bytes.h"
#include "change.h"

enum { TRIES = 10 /* after conflicts with other changes */ };

void
alias_store_name(struct hf_text name, char out[KEY_STORE_NAME])
{
	(void)snprintf(
	    out, KEY_STORE_NAME, "alias/%.*s", (int)name.len, name.ptr);
}

enum hf_err
keys_alias_target(struct keys *keys, struct hf_text name, char target[129])
{
	AUTO_SECRET plain = { 0 };
	struct store_value v = { 0 };
	struct alias_record rec;
	char stored[KEY_STORE_NAME];
	enum hf_err err;

	alias_store_name(name, stored);
	if ((err = store_get(keys->store, text_of(stored), &v)) != HF_OK)
		return err;
	err = hierarchy_unseal(
	    keys->hierarchy, text_of(stored), bytes_of(v.ptr, v.len), &plain);
	if (err == HF_OK)
		err = record_decode(&alias_schema, secret_view(&plain), &rec);
	if (err == HF_OK)
		(void)snprintf(
		    target, 129, "%.*s", (int)rec.target.len, rec.target.ptr);
	store_value_free(&v);
	return err;
}

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
	if (err == HF_OK && (err = change_mark(&c, key)) == HF_OK &&
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
