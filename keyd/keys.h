/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_KEYS_H
#define KEYD_KEYS_H

#include "../lib/name.h"
#include "key.h"

/*
 * All keys: a bounded cache of opened keys over the store (keys.c), and every
 * change that can be made to them (key_change.c and its neighbours). A change
 * is one commit whose condition is the revision that was read; afterwards the
 * store's watch drops the cached key, so that a change by another daemon would
 * do the same.
 */
struct keys;
struct key_material;
struct usages;

/* `capacity`: how many opened keys are kept at most. */
enum hf_err keys_open(struct store *store, struct hierarchy *h, size_t capacity,
    struct keys **out);
void keys_close(struct keys *keys);

/* Destroys in the HSMs what a process before this one was making when it ended
 * (newborn.h). When they answer; one call at a time. */
void keys_discard_newborns(struct keys *keys);

/*
 * The key of that name, or the one that the alias of that name points to (its
 * own name is in key->name). A reference for the caller. With may_block false
 * HF_ERR_DEFER when it is not in the cache.
 */
enum hf_err keys_get(
    struct keys *keys, struct hf_text name, bool may_block, struct key **out);

/*
 * Another number after each change of what is stored of keys and what belongs
 * to them, and after each start. Who reads it first and the keys then has what
 * goes with it, or something newer.
 */
uint64_t keys_generation(struct keys *keys);

/* The counters of what keys are used for (usage.h). */
struct usages *keys_usages(struct keys *keys);

/* Opened keys in the cache. */
size_t keys_cached(struct keys *keys);

/* Forgets all opened keys: a keyring was destroyed. */
void keys_forget(struct keys *keys);

/*
 * -- Changes: on workers only. All return the changed key in *out. --
 *
 * `name` is the key's own name, not an alias: what policy was asked about is
 * what is changed, whoever moves an alias meanwhile.
 */

struct key_create {
	struct hf_text name;
	bool name_free; /* the caller has just looked: nothing bears it */
	const struct key_type *type;
	enum key_level level;
	struct hf_text keyring;
	struct hf_text prefix;
	size_t key_size;
	bool exportable, allow_plaintext_backup, deletion_allowed;
	/* Of a key from outside; the material stays with the caller. */
	const struct key_material *material;
	bool allow_rotation;
	bool derived, convergent, committing;
	uint64_t auto_rotate_period; /* seconds; 0: never */
	/* As in struct key_record. */
	struct hf_text label;
	struct hf_bytes cka_id;
	uint64_t uses;
	struct hf_bytes required_context, audit_context;
};

/* Whether a key can bind a context, and so require one; HF_ERR_BAD_CONFIG. */
enum hf_err key_context_check(
    const struct key_type *type, bool convergent, struct hf_why *why);

/* HF_ERR_KEY_EXISTS with the existing key in *out; HF_ERR_NAME_TAKEN when the
 * name is an alias. */
enum hf_err keys_create(struct keys *keys, const struct key_create *how,
    struct key **out, struct hf_why *why);

/* HF_ERR_BAD_CONFIG for an imported key that does not allow it. */
enum hf_err keys_rotate(struct keys *keys, struct hf_text name,
    struct key **out, struct hf_why *why);

/* The same, if `latest` is still the latest version; else nothing is done. */
enum hf_err keys_rotate_from(struct keys *keys, struct hf_text name,
    uint64_t latest, struct key **out, struct hf_why *why);

/*
 * Adds a version of material from outside (fresh.h) to an imported key; with
 * `version` the private half to one that has the public half only. `demand_hsm`
 * refuses what would not be of level hsm.
 */
enum hf_err keys_import_version(struct keys *keys, struct hf_text name,
    struct key_material *material, uint64_t version, bool demand_hsm,
    struct key **out, struct hf_why *why);

/*
 * Gives a version its certificates (DER, leaf first), after a look whether they
 * are a chain of its public half; or, as PKCS#11 programs do, whatever the
 * caller has looked at, and none again: empty. HF_ERR_VERSION_NOT_FOUND.
 */
enum hf_err keys_set_certificate(struct keys *keys, struct hf_text name,
    uint64_t version, struct hf_bytes chain, struct key **out,
    struct hf_why *why);
enum hf_err keys_put_certificate(struct keys *keys, struct hf_text name,
    uint64_t version, struct hf_bytes chain, struct hf_why *why);

/*
 * All of a key, with its material in clear, for those who seal it at once; and
 * a key of such a payload under a name that is free, or with `force` in place
 * of the one that has it. `foreign`: it is for, or from, another HSM, so level
 * hsm is refused: HF_ERR_NOT_EXPORTABLE, as for what is resident in this one.
 */
enum hf_err keys_backup(struct keys *keys, struct hf_text name, bool foreign,
    struct secret *payload, struct hf_why *why);
enum hf_err keys_restore(struct keys *keys, struct hf_text name,
    struct hf_bytes payload, bool foreign, bool force, bool demand_hsm,
    struct key **out, struct hf_why *why);

/* `change` edits the record or refuses; called again after a conflict. */
typedef enum hf_err key_change_fn(void *ctx, const struct key *key,
    struct key_record *rec, struct hf_why *why);
enum hf_err keys_change(struct keys *keys, struct hf_text name,
    key_change_fn *change, void *ctx, struct key **out, struct hf_why *why);

/* Moves a version from one state to another. */
enum hf_err keys_version_enable(struct keys *keys, struct hf_text name,
    uint64_t version, struct key **out, struct hf_why *why);
enum hf_err keys_version_disable(struct keys *keys, struct hf_text name,
    uint64_t version, struct key **out, struct hf_why *why);
/* `since` as in key_use_check. */
enum hf_err keys_version_destroy(struct keys *keys, struct hf_text name,
    uint64_t version, uint64_t delay, uint64_t since, struct key **out,
    struct hf_why *why);
enum hf_err keys_version_restore(struct keys *keys, struct hf_text name,
    uint64_t version, struct key **out, struct hf_why *why);

/* Destroys versions below `min`; see Vault's trim for the conditions, and
 * key_use_check for `since`. */
enum hf_err keys_trim(struct keys *keys, struct hf_text name, uint64_t min,
    uint64_t since, struct key **out, struct hf_why *why);

/* HF_ERR_DELETE_REFUSED unless deletion_allowed. Its aliases go with it. */
enum hf_err keys_delete(
    struct keys *keys, struct hf_text name, struct hf_why *why);

/*
 * Destroys the versions whose time has come, each between the two calls; one
 * that `before` refuses stays for the next time. One that fails leaves the
 * others alone; the first error is returned. *next is the time of the next
 * one, 0 for none.
 */
struct due_watch {
	void *ctx;
	enum hf_err (*before)(void *ctx, const char *name, uint64_t version);
	void (*after)(
	    void *ctx, const char *name, uint64_t version, enum hf_err err);
};
enum hf_err keys_destroy_due(struct keys *keys, uint64_t now,
    const struct due_watch *watch, uint64_t *next);

/*
 * Drops every key sealed by a destroyed keyring; counts them. Cut short, it is
 * finished by the next call.
 */
enum hf_err keys_drop_keyring(struct keys *keys, struct hf_text keyring,
    bool only_count, uint64_t *count);

/*
 * After something was destroyed: clears what the store's files still hold of
 * it (store_scrub). Does nothing when nothing was. HF_ERR_BUSY: try again.
 */
enum hf_err keys_scrub(struct keys *keys);
/* `wake` is called, from any thread, when keys_scrub has something to do. */
void keys_on_destroy(struct keys *keys, void (*wake)(void *ctx), void *ctx);

/* -- Aliases: of a key, 256 at most -- */

enum hf_err keys_alias_set(struct keys *keys, struct hf_text name,
    struct hf_text target, struct hf_why *why);
enum hf_err keys_alias_delete(struct keys *keys, struct hf_text name);

/* Names in order; `each` returns false to stop. */
typedef bool keys_name_fn(void *ctx, struct hf_text name);
enum hf_err keys_list(struct keys *keys, struct hf_text after, size_t limit,
    keys_name_fn *each, void *ctx);
enum hf_err keys_alias_list(struct keys *keys, struct hf_text after,
    size_t limit, keys_name_fn *each, void *ctx);
enum hf_err keys_alias_target(
    struct keys *keys, struct hf_text name, char target[NAME_SIZE]);
/* The aliases of one key. */
enum hf_err keys_aliases_of(
    struct keys *keys, struct hf_text name, keys_name_fn *each, void *ctx);

#endif
