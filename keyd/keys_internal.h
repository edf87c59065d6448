/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_KEYS_INTERNAL_H
#define KEYD_KEYS_INTERNAL_H

#include <pthread.h>

#include "keys.h"

/* What keys.c and the files of changes (key_*.c) share. */

enum { KEYS_SHARDS = 64 };

/* A name in the cache: an opened key, or an alias. */
struct keys_entry {
	struct keys_entry *next;
	char name[129];
	struct key *key;  /* NULL: an alias ... */
	char target[129]; /* ... to this */
	bool used;        /* since the eviction looked last */
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
	struct hsm *hsm;
	size_t capacity; /* of one shard */
	struct keys_shard shards[KEYS_SHARDS];
};

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

/* What the HSM holds of a version goes when its record has gone. */
void keys_version_drop_hsm(struct keys *keys, const struct key_version *v);

/* Names in the store: what stands there is due at that time. */
void keys_due_name(
    uint64_t when, const char *key, uint64_t version, char out[KEY_STORE_NAME]);
void alias_store_name(struct hf_text name, char out[KEY_STORE_NAME]);

#endif
