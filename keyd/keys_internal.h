/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_KEYS_INTERNAL_H
#define KEYD_KEYS_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "keys.h"

/* What keys.c and the files of changes (key_*.c) share. */

enum {
	KEYS_SHARDS = 64,
	/*
	 * Versions of a key that are kept at once. All are opened together, and
	 * of the largest private keys 12,000 fill what OpenSSL gets of 256 MiB
	 * that may be locked, 700 what it gets of 16.
	 */
	KEY_VERSIONS = 1000,
	KEY_ALIASES = 256, /* of a key: they go with it, in one commit */
};

struct newborns;

/* A name in the cache: an opened key, or an alias. */
struct keys_entry {
	struct keys_entry *next;
	char name[NAME_SIZE];
	struct key *key;        /* NULL: an alias ... */
	char target[NAME_SIZE]; /* ... to this */
	bool used;              /* since the eviction looked last */
};

struct keys_shard {
	pthread_mutex_t lock;
	uint64_t drops; /* grows with each drop: a load that began before is
			   not to be kept */
	size_t count;
	size_t buckets;
	struct keys_entry **table;
	size_t hand; /* of the eviction's clock */
};

struct keys {
	struct store *store;
	struct hierarchy *hierarchy;
	struct usages *usages;
	struct newborns *newborns; /* of processes before this one */
	size_t capacity;           /* of one shard */
	_Atomic bool unscrubbed;   /* destroyed values may stand in old pages */
	void (*on_destroy)(void *ctx);
	void *on_destroy_ctx;
	uint8_t seed[16]; /* of the hash of names */
	_Atomic uint64_t generation;
	struct keys_shard shards[KEYS_SHARDS];
	pthread_mutex_t changing[KEYS_SHARDS]; /* by the hash of the name */
};

/*
 * Opens a key by its own name, as it stands in the store now. Where the locked
 * memory is full, keys that nobody used lately make room.
 */
enum hf_err keys_load(struct keys *keys, struct hf_text name, struct key **out);

/* The same for a key that is about to be written (key_made). It is not kept:
 * whoever makes many keys does not use them all at once. */
enum hf_err keys_made(struct keys *keys, struct hf_text name,
    const struct key_record *rec, const struct version_record *version,
    struct key **out);

/* As keys_get, but no alias. */
enum hf_err keys_get_own(
    struct keys *keys, struct hf_text name, struct key **out);

/* As keys_get. *alias: the name is that of an alias, even of one that leads
 * nowhere. */
enum hf_err keys_get_named(
    struct keys *keys, struct hf_text name, struct key **out, bool *alias);

/* Before a commit that destroys: keys_scrub has something to do. */
void keys_destroying(struct keys *keys);

/* Changes of one key take turns. */
pthread_mutex_t *keys_change_lock(struct keys *keys, struct hf_text name);

/* Forgets one name: its record changed. */
void keys_drop(struct keys *keys, struct hf_text name);

/*
 * Runs `once` on the current key until no other change comes between, and
 * hands out the key as it then is (`out` may be NULL).
 */
typedef enum hf_err once_fn(
    struct keys *keys, const struct key *key, void *ctx, struct hf_why *why);
enum hf_err keys_until_done(struct keys *keys, struct hf_text name,
    once_fn *once, void *ctx, struct key **out, struct hf_why *why);

/* The record of a version as the store has it; the caller frees `plain`, into
 * which the record points. HF_ERR_VERSION_NOT_FOUND when there is none. */
enum hf_err keys_version_read(struct keys *keys, const struct key *key,
    uint64_t number, struct secret *plain, struct version_record *rec,
    struct hf_why *why);

/* What the HSM holds of a version goes when its record has gone. */
void keys_version_drop_hsm(struct keys *keys, const struct key_version *v);

/* Names in the store: what stands there is due at that time. */
void keys_due_name(
    uint64_t when, const char *key, uint64_t version, char out[KEY_STORE_NAME]);
void alias_store_name(struct hf_text name, char out[KEY_STORE_NAME]);

#endif
