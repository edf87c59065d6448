/* SPDX-License-Identifier: Apache-2.0 */
/* What goes for good: versions below a minimum, keys, and whole keyrings. */
#include "keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/bytes.h"
#include "change.h"

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
		keys_due_name(v->destroy_time, key->name, v->number, name);
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
	struct key_record rec = key_record_of(key);
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
			keys_version_drop_hsm(keys, &key->versions[i]);
	change_free(&c);
	return err;
}

enum hf_err
keys_trim(struct keys *keys, struct hf_text name, uint64_t min,
    struct key **out, struct hf_why *why)
{
	return keys_until_done(keys, name, once_trim, &min, out, why);
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
		keys_version_drop_hsm(keys, &key->versions[i]);
	change_free(&c);
	return err;
}

enum hf_err
keys_delete(struct keys *keys, struct hf_text name, struct hf_why *why)
{
	enum hf_err err =
	    keys_until_done(keys, name, once_delete, NULL, NULL, why);

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
