/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_CHANGE_H
#define KEYD_CHANGE_H

#include "keys_internal.h"

/*
 * One change of keys: conditions and writes that are collected and then
 * committed at once. Zero but for `keys`; change_free at the end.
 */
enum { CHANGE_CONDS = 8 };

struct change {
	struct keys *keys;
	struct store_cond conds[CHANGE_CONDS];
	char cond_names[CHANGE_CONDS][KEY_STORE_NAME];
	size_t cond_count;
	struct change_write *writes;
	size_t count, room;
	uint64_t revision; /* of the commit, once it was made */
};

/* Also after a commit. An all-zero one is fine. */
void change_free(struct change *c);

/* The key of the store must still have that revision; 0: must not exist. */
void change_require(struct change *c, const char *name, uint64_t revision);

/* `value` (malloc'ed) is taken over, also when this fails. */
enum hf_err change_put(
    struct change *c, const char *name, uint8_t *value, size_t len);
enum hf_err change_delete(struct change *c, const char *name);

/* A value that says no more than that it is there. */
enum hf_err change_mark(struct change *c, const char *name);

/* That a key no longer has an alias (key_alias.c). */
enum hf_err change_unmark_alias(
    struct change *c, const char *key, struct hf_text alias);

/* Seals a record under its name with a keyring, and adds it. */
enum hf_err change_seal(struct change *c, const char *keyring, const char *name,
    const struct schema *schema, const void *record);

/*
 * The record of a key, and writing it anew: the key must be as it was read.
 * Whatever concerns a key writes its record, so that changes of one key
 * exclude each other.
 */
struct key_record key_record_of(const struct key *key);
enum hf_err change_key_record(
    struct change *c, const struct key *key, const struct key_record *rec);

/* The mark of what is due for a key moves (key_plan.h); 0: there is none. */
enum hf_err change_plan(
    struct change *c, struct hf_text name, uint64_t old, uint64_t new);

/* Deletes the records of a version; its HSM objects go after the commit
 * (key_destroy.c). */
enum hf_err change_delete_version(
    struct change *c, const struct key *key, const struct key_version *v);
/* To be called when that is committed. */
void key_version_forget_uses(
    const struct key *key, const struct key_version *v);

/*
 * store_commit_change() of all this, with its errors: HF_ERR_STORE_CONFLICT
 * when something is not as it was read.
 */
enum hf_err change_commit(struct change *c);

#endif
