/* SPDX-License-Identifier: Apache-2.0 */
#include "keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/bytes.h"
#include "keys_internal.h"
#include "lock.h"
#include "newborn.h"
#include "siphash.h"

/* Whoever may make keys chooses names: without a secret in the hash they could
 * put all of them into one bucket. */
static uint64_t
name_hash(const struct keys *keys, struct hf_text name)
{
	return siphash(keys->seed, bytes_of_text(name));
}

static struct keys_shard *
shard_of(struct keys *keys, uint64_t hash)
{
	return &keys->shards[hash % KEYS_SHARDS];
}

static struct keys_entry **
slot_of(struct keys_shard *s, uint64_t hash, struct hf_text name)
{
	struct keys_entry **link = &s->table[hash / KEYS_SHARDS % s->buckets];

	while (*link != NULL && !text_is(name, (*link)->name))
		link = &(*link)->next;
	return link;
}

static void
entry_remove(struct keys_shard *s, struct keys_entry **link)
{
	struct keys_entry *e = *link;

	*link = e->next;
	s->count--;
	key_unref(e->key);
	free(e);
}

/* Whatever wrote the record of a name, what is cached of it is old. */
static void
on_commit(void *ctx, struct hf_text key, uint64_t revision)
{
	struct keys *keys = ctx;
	static const struct hf_text prefixes[] = {
		{ "key/", 4 },
		{ "alias/", 6 },
	};

	(void)revision;
	if (text_starts(key, TEXT("use/")))
		return; /* what was counted changes nothing */
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (text_starts(key, prefixes[i]))
			keys_drop(ctx,
			    (struct hf_text){ key.ptr + prefixes[i].len,
				key.len - prefixes[i].len });
	(void)atomic_fetch_add(&keys->generation, 1);
}

enum hf_err
keys_open(struct store *store, struct hierarchy *h, size_t capacity,
    struct keys **out)
{
	struct keys *keys = calloc(1, sizeof(*keys));
	enum hf_err err;
	uint8_t first[8];

	if (keys == NULL)
		return HF_ERR_NO_MEMORY;
	if (crypto_random(first, sizeof(first)) != HF_OK) {
		free(keys);
		return HF_ERR_CRYPTO;
	}
	atomic_init(&keys->generation, get_u64(first));
	keys->store = store;
	keys->hierarchy = h;
	keys->unscrubbed = true; /* who knows how the last process ended */
	keys->capacity = capacity / KEYS_SHARDS + 1;
	for (size_t i = 0; i < KEYS_SHARDS; i++) {
		(void)pthread_mutex_init(&keys->changing[i], NULL);
		lock_init(&keys->shards[i].lock);
	}
	if ((err = usages_new(store, h, &keys->usages)) != HF_OK ||
	    (err = newborns_list(keys, &keys->newborns)) != HF_OK ||
	    (err = crypto_random(keys->seed, sizeof(keys->seed))) != HF_OK) {
		keys_close(keys);
		return err;
	}
	for (size_t i = 0; i < KEYS_SHARDS; i++) {
		struct keys_shard *s = &keys->shards[i];

		s->buckets = keys->capacity < 16 ? 16 : keys->capacity;
		s->table = calloc(s->buckets, sizeof(struct keys_entry *));
		if (s->table == NULL) {
			keys_close(keys);
			return HF_ERR_NO_MEMORY;
		}
	}
	store_watch(store, on_commit, keys);
	*out = keys;
	return HF_OK;
}

pthread_mutex_t *
keys_change_lock(struct keys *keys, struct hf_text name)
{
	return &keys->changing[name_hash(keys, name) % KEYS_SHARDS];
}

void
keys_forget(struct keys *keys)
{
	(void)atomic_fetch_add(&keys->generation, 1);
	for (size_t i = 0; i < KEYS_SHARDS; i++) {
		struct keys_shard *s = &keys->shards[i];

		(void)pthread_mutex_lock(&s->lock);
		s->drops++;
		for (size_t b = 0; s->table != NULL && b < s->buckets; b++)
			while (s->table[b] != NULL)
				entry_remove(s, &s->table[b]);
		(void)pthread_mutex_unlock(&s->lock);
	}
}

void
keys_close(struct keys *keys)
{
	if (keys == NULL)
		return;
	keys_forget(keys);
	for (size_t i = 0; i < KEYS_SHARDS; i++) {
		free(keys->shards[i].table);
		(void)pthread_mutex_destroy(&keys->shards[i].lock);
		(void)pthread_mutex_destroy(&keys->changing[i]);
	}
	usages_free(keys->usages);
	newborns_free(keys->newborns);
	free(keys);
}

void
keys_discard_newborns(struct keys *keys)
{
	newborns_destroy(keys, keys->newborns);
}

uint64_t
keys_generation(struct keys *keys)
{
	return atomic_load(&keys->generation);
}

struct usages *
keys_usages(struct keys *keys)
{
	return keys->usages;
}

size_t
keys_cached(struct keys *keys)
{
	size_t n = 0;

	for (size_t i = 0; i < KEYS_SHARDS; i++) {
		(void)pthread_mutex_lock(&keys->shards[i].lock);
		n += keys->shards[i].count;
		(void)pthread_mutex_unlock(&keys->shards[i].lock);
	}
	return n;
}

void
keys_drop(struct keys *keys, struct hf_text name)
{
	uint64_t hash = name_hash(keys, name);
	struct keys_shard *s = shard_of(keys, hash);
	struct keys_entry **link;

	(void)pthread_mutex_lock(&s->lock);
	s->drops++;
	link = slot_of(s, hash, name);
	if (*link != NULL)
		entry_remove(s, link);
	(void)pthread_mutex_unlock(&s->lock);
}

/* Makes room: the first entry that was not used since the hand passed. */
static void
shard_evict(struct keys_shard *s)
{
	for (size_t step = 0; step < 2 * s->buckets + 2; step++) {
		struct keys_entry **link = &s->table[s->hand];

		s->hand = (s->hand + 1) % s->buckets;
		for (; *link != NULL; link = &(*link)->next) {
			if (!(*link)->used) {
				entry_remove(s, link);
				return;
			}
			(*link)->used = false;
		}
	}
}

/* A key (one reference is taken over) or an alias, unless something was
 * dropped since `drops` was read. */
static void
cache_put(struct keys *keys, struct hf_text name, struct key *key,
    const char *target, uint64_t drops)
{
	uint64_t hash = name_hash(keys, name);
	struct keys_shard *s = shard_of(keys, hash);
	struct keys_entry *e = calloc(1, sizeof(*e));
	struct keys_entry **link;

	(void)pthread_mutex_lock(&s->lock);
	link = slot_of(s, hash, name);
	if (e == NULL || s->drops != drops || *link != NULL) {
		(void)pthread_mutex_unlock(&s->lock);
		key_unref(key);
		free(e);
		return;
	}
	memcpy(e->name, name.ptr, name.len);
	e->key = key;
	if (target != NULL)
		(void)snprintf(e->target, sizeof(e->target), "%s", target);
	e->used = true;
	*link = e;
	if (++s->count > keys->capacity)
		shard_evict(s);
	(void)pthread_mutex_unlock(&s->lock);
}

/* -- Loading -- */

/* Drops one entry of each shard; false when there was none. */
static bool
make_room(struct keys *keys)
{
	bool dropped = false;

	for (size_t i = 0; i < KEYS_SHARDS; i++) {
		struct keys_shard *s = &keys->shards[i];

		(void)pthread_mutex_lock(&s->lock);
		if (s->count > 0) {
			shard_evict(s);
			dropped = true;
		}
		(void)pthread_mutex_unlock(&s->lock);
	}
	return dropped;
}

/* Takes over `key`, unless it fails. */
static enum hf_err
counted(struct keys *keys, struct key *key, bool fresh, struct key **out)
{
	enum hf_err err = key_count_uses(key, keys->usages, fresh);

	if (err != HF_OK)
		key_unref(key);
	else
		*out = key;
	return err;
}

static enum hf_err
load_once(struct keys *keys, struct hf_text name, struct key **out)
{
	struct key *key;
	enum hf_err err = key_load(keys->store, keys->hierarchy, name, &key);

	return err != HF_OK ? err : counted(keys, key, false, out);
}

static bool
lacks_room(enum hf_err err)
{
	return err == HF_ERR_NO_MEMORY || err == HF_ERR_MEMORY_LOCK;
}

enum hf_err
keys_load(struct keys *keys, struct hf_text name, struct key **out)
{
	enum hf_err err;

	do
		err = load_once(keys, name, out);
	while (lacks_room(err) && make_room(keys));
	return err;
}

enum hf_err
keys_made(struct keys *keys, struct hf_text name, const struct key_record *rec,
    const struct version_record *version, struct key **out)
{
	struct key *key;
	enum hf_err err;

	do
		err = key_made(name, rec, version, &key);
	while (lacks_room(err) && make_room(keys));
	return err != HF_OK ? err : counted(keys, key, true, out);
}

enum found { FOUND_NOTHING, FOUND_KEY, FOUND_ALIAS };

static enum found
cache_get(struct keys *keys, struct hf_text name, struct key **key,
    char target[NAME_SIZE], uint64_t *drops)
{
	uint64_t hash = name_hash(keys, name);
	struct keys_shard *s = shard_of(keys, hash);
	enum found found = FOUND_NOTHING;
	struct keys_entry *e;

	(void)pthread_mutex_lock(&s->lock);
	*drops = s->drops;
	e = *slot_of(s, hash, name);
	if (e != NULL) {
		if (!e->used) /* a write costs the other cores its line */
			e->used = true;
		if (e->key != NULL) {
			*key = key_ref(e->key);
			found = FOUND_KEY;
		} else {
			memcpy(target, e->target, sizeof(e->target));
			found = FOUND_ALIAS;
		}
	}
	(void)pthread_mutex_unlock(&s->lock);
	return found;
}

/* Fills the cache for a name from the store: a key, or else an alias. */
static enum found
cache_fill(struct keys *keys, struct hf_text name, uint64_t drops,
    struct key **key, char target[NAME_SIZE], enum hf_err *err)
{
	*err = keys_load(keys, name, key);
	if (*err == HF_OK) {
		cache_put(keys, name, key_ref(*key), NULL, drops);
		return FOUND_KEY;
	}
	if (*err != HF_ERR_KEY_NOT_FOUND)
		return FOUND_NOTHING;
	*err = keys_alias_target(keys, name, target);
	if (*err == HF_ERR_NOT_FOUND)
		*err = HF_ERR_KEY_NOT_FOUND;
	if (*err != HF_OK)
		return FOUND_NOTHING;
	cache_put(keys, name, NULL, target, drops);
	return FOUND_ALIAS;
}

/* *alias: the name is that of an alias, wherever it leads. */
static enum hf_err
look_up(struct keys *keys, struct hf_text name, bool may_block,
    struct key **out, bool *alias)
{
	struct hf_text ask = name;
	char target[NAME_SIZE], via[NAME_SIZE];

	*alias = false;
	if (!name_valid(name))
		return HF_ERR_BAD_NAME;
	/* An alias points to a key, never to another alias. */
	for (unsigned hop = 0; hop < 2; hop++) {
		enum hf_err err = HF_OK;
		uint64_t drops;
		enum found found = cache_get(keys, ask, out, target, &drops);

		if (found == FOUND_NOTHING && !may_block)
			return HF_ERR_DEFER;
		if (found == FOUND_NOTHING)
			found = cache_fill(keys, ask, drops, out, target, &err);
		if (err != HF_OK || found == FOUND_KEY)
			return err;
		*alias = true;
		memcpy(via, target, sizeof(via));
		ask = text_of(via);
	}
	return HF_ERR_KEY_NOT_FOUND;
}

enum hf_err
keys_get(
    struct keys *keys, struct hf_text name, bool may_block, struct key **out)
{
	bool alias;

	return look_up(keys, name, may_block, out, &alias);
}

enum hf_err
keys_get_named(
    struct keys *keys, struct hf_text name, struct key **out, bool *alias)
{
	return look_up(keys, name, true, out, alias);
}

enum hf_err
keys_get_own(struct keys *keys, struct hf_text name, struct key **out)
{
	struct key *key;
	enum hf_err err = keys_get(keys, name, true, &key);

	if (err != HF_OK)
		return err;
	if (!text_is(name, key->name)) {
		key_unref(key);
		return HF_ERR_KEY_NOT_FOUND;
	}
	*out = key;
	return HF_OK;
}

/* -- Lists -- */

struct names_ctx {
	keys_name_fn *each;
	void *ctx;
	size_t skip; /* bytes of prefix */
};

static bool
names_each(
    void *ctx, struct hf_text key, struct hf_bytes value, uint64_t revision)
{
	struct names_ctx *nc = ctx;

	(void)value;
	(void)revision;
	return nc->each(nc->ctx,
	    (struct hf_text){ key.ptr + nc->skip, key.len - nc->skip });
}

static enum hf_err
names_list(struct keys *keys, const char *prefix, struct hf_text after,
    size_t limit, keys_name_fn *each, void *ctx)
{
	struct names_ctx nc = { each, ctx, strlen(prefix) };
	char from[2 * KEY_STORE_NAME];
	struct hf_text start = { 0 };

	if (after.ptr != NULL) {
		(void)snprintf(from, sizeof(from), "%s%.*s", prefix,
		    (int)after.len, after.ptr);
		start = text_of(from);
	}
	return store_list(
	    keys->store, text_of(prefix), start, limit, names_each, &nc);
}

enum hf_err
keys_list(struct keys *keys, struct hf_text after, size_t limit,
    keys_name_fn *each, void *ctx)
{
	return names_list(keys, "key/", after, limit, each, ctx);
}

enum hf_err
keys_alias_list(struct keys *keys, struct hf_text after, size_t limit,
    keys_name_fn *each, void *ctx)
{
	return names_list(keys, "alias/", after, limit, each, ctx);
}

enum hf_err
keys_aliases_of(
    struct keys *keys, struct hf_text name, keys_name_fn *each, void *ctx)
{
	char prefix[KEY_STORE_NAME];

	(void)snprintf(
	    prefix, sizeof(prefix), "aliasof/%.*s/", (int)name.len, name.ptr);
	return names_list(keys, prefix, (struct hf_text){ 0 }, 0, each, ctx);
}
