/* SPDX-License-Identifier: Apache-2.0 */
/* Keys as one piece, out of the store and into it again. */
#include "keys.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/bytes.h"
#include "change.h"
#include "crypto.h"

enum { TRIES = 10, PAYLOAD_MAX = 32 << 20, LIST_ROOM = 1 << 16 };

/* The payload: the records as they stand in the store, but not sealed. */
struct backup_version {
	struct hf_bytes record; /* struct version_record */
};

struct backup {
	struct hf_bytes key;             /* struct key_record */
	struct backup_version *versions; /* oldest first */
	size_t versions_count;
};

/* clang-format off */
SCHEMA(backup_version_schema, backup_version,
	F(backup_version, "record", record, 1, RECORD_MAX, REQUIRED | SECRET, NULL, ""));
SCHEMA(backup_schema, backup,
	F(backup, "key", key, 1, RECORD_MAX, REQUIRED, NULL, ""),
	LIST(backup, "versions", versions, KEY_VERSIONS, &backup_version_schema, REQUIRED, ""));
/* clang-format on */

/* -- Backup -- */

struct backup_parts {
	struct secret plain[KEY_VERSIONS];
	struct backup_version versions[KEY_VERSIONS];
	size_t count;
};

static void
parts_free(struct backup_parts *p)
{
	for (size_t i = 0; p != NULL && i < p->count; i++)
		secret_free(&p->plain[i]);
	free(p);
}

static enum hf_err
part_check(const struct key *key, const struct version_record *rec,
    bool foreign, struct hf_why *why)
{
	if (rec->level != LEVEL_HSM || rec->state == VERSION_DESTROYED)
		return HF_OK;
	if (foreign)
		return hf_fail(why, HF_ERR_NOT_EXPORTABLE,
		    "version %llu of key %s is of level hsm and never leaves "
		    "this HSM",
		    (unsigned long long)rec->version, key->name);
	if (rec->hsm_wrapped.len == 0)
		return hf_fail(why, HF_ERR_NOT_EXPORTABLE,
		    "version %llu of key %s is resident in the HSM; back up "
		    "the HSM itself",
		    (unsigned long long)rec->version, key->name);
	return HF_OK;
}

/* The plain text of each version's record is kept as it was sealed. */
static enum hf_err
parts_read(struct keys *keys, const struct key *key, bool foreign,
    struct backup_parts *p, struct hf_why *why)
{
	if (key->count > KEY_VERSIONS)
		return HF_ERR_STORE_DAMAGED;
	for (size_t i = 0; i < key->count; i++) {
		struct version_record rec;
		enum hf_err err;

		p->count = i + 1;
		if ((err = keys_version_read(keys, key, key->versions[i].number,
			 &p->plain[i], &rec, why)) != HF_OK ||
		    (err = part_check(key, &rec, foreign, why)) != HF_OK)
			return err;
		p->versions[i].record = secret_view(&p->plain[i]);
	}
	return HF_OK;
}

static enum hf_err
payload_encode(
    const struct key *key, struct backup_parts *p, struct secret *payload)
{
	struct key_record krec = key_record_of(key);
	uint8_t record[RECORD_MAX];
	struct backup b = { .versions = p->versions,
		.versions_count = p->count };
	AUTO_SECRET out = { 0 };
	size_t len;
	enum hf_err err;

	if ((err = record_encode(
		 &key_schema, &krec, record, sizeof(record), &len)) != HF_OK)
		return err;
	b.key = bytes_of(record, len);
	/* The first pass only counts, and says so by its error. */
	if (schema_encode(&backup_schema, &b, NULL, 0, &len) !=
	    HF_ERR_BUFFER_TOO_SMALL)
		return HF_ERR_SYSTEM;
	if (len > PAYLOAD_MAX)
		return HF_ERR_TOO_LARGE;
	if ((err = secret_alloc(&out, len)) != HF_OK ||
	    (err = schema_encode(&backup_schema, &b, out.ptr, len, &len)) !=
		HF_OK)
		return err;
	secret_move(payload, &out);
	return HF_OK;
}

enum hf_err
keys_backup(struct keys *keys, struct hf_text name, bool foreign,
    struct secret *payload, struct hf_why *why)
{
	struct backup_parts *p = calloc(1, sizeof(*p));
	struct key *key = NULL;
	enum hf_err err;

	if (p == NULL)
		return HF_ERR_NO_MEMORY;
	err = key_load(keys->store, keys->hierarchy, name, &key);
	if (err == HF_OK)
		err = parts_read(keys, key, foreign, p, why);
	if (err == HF_OK)
		err = payload_encode(key, p, payload);
	key_unref(key);
	parts_free(p);
	return err;
}

/* -- Restore -- */

struct restore {
	struct keys *keys;
	struct hf_text name;
	struct backup backup;
	struct key_record key;
	const struct key_type *type;
	bool foreign, force, demand_hsm;
};

static enum hf_err
bad_backup(struct hf_why *why)
{
	return hf_fail(why, HF_ERR_BAD_VALUE,
	    "backup: what is in it is not a key of this service");
}

/* Whether the version can be opened, as it will be from the store. */
static enum hf_err
version_try(const struct restore *r, const struct version_record *rec,
    struct hf_why *why)
{
	struct hsm_key k = { .wrapped = rec->hsm_wrapped };
	struct key_version v = { 0 };
	bool known = false;
	enum hf_err err;

	if (rec->level == LEVEL_HSM && rec->state != VERSION_DESTROYED) {
		if (r->foreign || rec->wrap_id.len != HSM_ID ||
		    rec->hsm_wrapped.len == 0)
			return bad_backup(why);
		memcpy(k.wrap_id, rec->wrap_id.ptr, HSM_ID);
		err = hsm_object_find(
		    hierarchy_hsm_of_key(r->keys->hierarchy, &k, k.id),
		    ROLE_WRAP, k.wrap_id, &known);
		if (err != HF_OK)
			return err;
		if (!known)
			return hf_fail(why, HF_ERR_BAD_VALUE,
			    "backup: it is from another HSM");
	}
	err = version_open(&v, r->type, rec);
	version_free(&v);
	if (err == HF_ERR_NO_MEMORY || err == HF_ERR_MEMORY_LOCK)
		return err;
	return err == HF_OK ? HF_OK : bad_backup(why);
}

/* Views into the payload. */
static enum hf_err
version_decode(const struct restore *r, size_t i, struct version_record *rec)
{
	return record_decode(
	    &version_schema, r->backup.versions[i].record, rec);
}

static enum hf_err
versions_check(const struct restore *r, struct hf_why *why)
{
	uint64_t last = 0;

	for (size_t i = 0; i < r->backup.versions_count; i++) {
		struct version_record rec;
		enum hf_err err;

		if (version_decode(r, i, &rec) != HF_OK || rec.version <= last)
			return bad_backup(why);
		last = rec.version;
		if (r->demand_hsm && rec.level != LEVEL_HSM)
			return hf_fail(why, HF_ERR_KEY_LEVEL,
			    "policy demands protection level hsm");
		if ((err = version_try(r, &rec, why)) != HF_OK)
			return err;
	}
	return last == r->key.latest_version ? HF_OK : bad_backup(why);
}

static enum hf_err
restore_read(struct restore *r, struct hf_bytes payload, struct arena *arena,
    struct hf_why *why)
{
	if (schema_decode(&backup_schema, payload, arena, &r->backup, NULL) !=
		HF_OK ||
	    record_decode(&key_schema, r->backup.key, &r->key) != HF_OK)
		return bad_backup(why);
	r->type = key_type_by_id((unsigned)r->key.type);
	if (r->type == NULL)
		return bad_backup(why);
	if (r->demand_hsm && r->key.level != LEVEL_HSM)
		return hf_fail(why, HF_ERR_KEY_LEVEL,
		    "policy demands protection level hsm");
	return versions_check(r, why);
}

/* Destruction that was scheduled is not carried on: somebody wants the key. */
static enum hf_err
change_versions(struct change *c, const struct restore *r,
    const uint8_t id[HSM_ID], const char *keyring)
{
	for (size_t i = 0; i < r->backup.versions_count; i++) {
		struct version_record rec;
		char ver[KEY_STORE_NAME];
		enum hf_err err = version_decode(r, i, &rec);

		if (err != HF_OK)
			return err;
		if (rec.state == VERSION_DESTROY_SCHEDULED) {
			rec.state = VERSION_DISABLED;
			rec.destroy_time = 0;
		}
		version_store_name(id, (uint32_t)rec.version, ver);
		if ((err = change_seal(
			 c, keyring, ver, &version_schema, &rec)) != HF_OK)
			return err;
	}
	return HF_OK;
}

static bool
comes_back(const struct restore *r, uint32_t number)
{
	struct version_record rec;

	for (size_t i = 0; i < r->backup.versions_count; i++)
		if (version_decode(r, i, &rec) == HF_OK &&
		    rec.version == number)
			return true;
	return false;
}

/* The key that is replaced goes in the same commit, but for the versions that
 * are overwritten: of them only the mark that they are due to be destroyed. */
static enum hf_err
change_replace(struct change *c, const struct restore *r, const struct key *old)
{
	enum hf_err err = HF_OK;

	for (size_t i = 0; old != NULL && i < old->count && err == HF_OK; i++) {
		const struct key_version *v = &old->versions[i];
		char due[KEY_STORE_NAME];

		if (!comes_back(r, v->number)) {
			err = change_delete_version(c, old, v);
		} else if (v->state == VERSION_DESTROY_SCHEDULED) {
			keys_due_name(
			    v->destroy_time, old->name, v->number, due);
			err = change_delete(c, due);
		}
	}
	return err;
}

static bool
found_any(
    void *ctx, struct hf_text key, struct hf_bytes value, uint64_t revision)
{
	(void)key;
	(void)value;
	(void)revision;
	*(bool *)ctx = true;
	return false;
}

/*
 * The id that the key had, so that PKCS#11 hosts know it again; another one
 * where a key with that id lives under another name.
 */
static enum hf_err
restore_id(const struct restore *r, const struct key *old, uint8_t id[HSM_ID])
{
	char first[KEY_STORE_NAME];
	bool taken = false;
	enum hf_err err;

	if (old != NULL) {
		memcpy(id, old->id, HSM_ID);
		return HF_OK;
	}
	memcpy(id, r->key.id.ptr, HSM_ID);
	version_store_name(id, 0, first);
	err = store_list(r->keys->store,
	    (struct hf_text){ first, strlen(first) - 6 }, (struct hf_text){ 0 },
	    0, found_any, &taken);
	if (err != HF_OK || !taken)
		return err;
	return crypto_random(id, HSM_ID);
}

/* The keyring that it was in, or the default one. */
static enum hf_err
restore_keyring(const struct restore *r, struct keyring_info *out)
{
	enum hf_err err = keyring_info(r->keys->hierarchy, r->key.keyring, out);

	if (err == HF_OK && !out->destroyed)
		return HF_OK;
	return keyring_info(r->keys->hierarchy, TEXT("default"), out);
}

static enum hf_err
restore_commit(const struct restore *r, const struct key *old)
{
	struct change c = { .keys = r->keys };
	char name[KEY_STORE_NAME], other[KEY_STORE_NAME];
	struct key_record krec = r->key;
	struct keyring_info ring;
	uint8_t id[HSM_ID];
	enum hf_err err;

	if ((err = restore_id(r, old, id)) != HF_OK ||
	    (err = restore_keyring(r, &ring)) != HF_OK)
		return err;
	krec.id = bytes_of(id, HSM_ID);
	krec.keyring = text_of(ring.name);
	/* When what is due is not known yet: upkeep looks at it at once. */
	krec.next_due = krec.next_due != 0 ? (uint64_t)time(NULL) : 0;
	key_store_name(r->name, name);
	change_require(&c, name, old == NULL ? 0 : old->revision);
	alias_store_name(r->name, other);
	change_require(&c, other, 0);
	keyring_store_name(krec.keyring, other);
	change_require(&c, other, ring.revision);
	if ((err = change_replace(&c, r, old)) == HF_OK &&
	    (err = change_seal(&c, ring.name, name, &key_schema, &krec)) ==
		HF_OK &&
	    (err = change_versions(&c, r, id, ring.name)) == HF_OK &&
	    (err = change_plan(&c, r->name, old == NULL ? 0 : old->next_due,
		 krec.next_due)) == HF_OK)
		err = change_commit(&c);
	change_free(&c);
	for (size_t i = 0; old != NULL && i < old->count && err == HF_OK; i++) {
		if (!comes_back(r, old->versions[i].number))
			key_version_forget_uses(old, &old->versions[i]);
		keys_version_drop_hsm(r->keys, &old->versions[i]);
	}
	return err;
}

static enum hf_err
restore_once(const struct restore *r, struct hf_why *why)
{
	char target[NAME_SIZE];
	struct key *old = NULL;
	enum hf_err err = keys_load(r->keys, r->name, &old);

	if (err != HF_OK && err != HF_ERR_KEY_NOT_FOUND)
		return err;
	if (keys_alias_target(r->keys, r->name, target) == HF_OK)
		err = hf_fail(
		    why, HF_ERR_NAME_TAKEN, "the name is that of an alias");
	else if (old != NULL && !r->force)
		err = hf_fail(why, HF_ERR_KEY_EXISTS,
		    "key %s already exists; force replaces it", old->name);
	else
		err = restore_commit(r, old);
	key_unref(old);
	return err;
}

enum hf_err
keys_restore(struct keys *keys, struct hf_text name, struct hf_bytes payload,
    bool foreign, bool force, bool demand_hsm, struct key **out,
    struct hf_why *why)
{
	struct restore r = { .keys = keys,
		.name = name,
		.foreign = foreign,
		.force = force,
		.demand_hsm = demand_hsm };
	struct arena *arena;
	enum hf_err err;

	if ((err = arena_new(4096, LIST_ROOM, &arena)) != HF_OK)
		return err;
	hierarchy_hold(keys->hierarchy);
	err = restore_read(&r, payload, arena, why);
	if (err == HF_OK)
		err = HF_ERR_STORE_CONFLICT;
	for (unsigned i = 0; i < TRIES && err == HF_ERR_STORE_CONFLICT; i++)
		err = restore_once(&r, why);
	hierarchy_release(keys->hierarchy);
	arena_free(arena);
	return err == HF_OK ? keys_get(keys, name, true, out) : err;
}
