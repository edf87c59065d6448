/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/bytes.h"
#include "effects.h"

enum { WATCHERS = 16 };

struct watcher {
	store_watch_fn *fn;
	void *ctx;
};

struct store {
	const struct store_engine *engine;
	void *state;
	pthread_mutex_t lock; /* of the watchers */
	struct watcher watchers[WATCHERS];
	size_t watcher_count;
};

static enum hf_err
check_key(struct hf_text key)
{
	if (key.ptr == NULL || key.len < 1 || key.len > STORE_KEY_MAX)
		return HF_ERR_OUT_OF_BOUNDS;
	return utf8_valid(key) ? HF_OK : HF_ERR_BAD_VALUE;
}

static bool
written_before(const struct store_write *writes, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (text_equal(writes[j].key, writes[i].key))
			return true;
	return false;
}

static enum hf_err
check_commit(const struct store_cond *conds, size_t cond_count,
    const struct store_write *writes, size_t write_count)
{
	enum hf_err err;

	if (cond_count > STORE_COMMIT_MAX || write_count > STORE_COMMIT_MAX)
		return HF_ERR_OUT_OF_BOUNDS;
	for (size_t i = 0; i < cond_count; i++) {
		err = check_key(conds[i].key);
		if (err != HF_OK)
			return err;
		if (conds[i].revision > INT64_MAX)
			return HF_ERR_OUT_OF_BOUNDS;
	}
	for (size_t i = 0; i < write_count; i++) {
		err = check_key(writes[i].key);
		if (err != HF_OK)
			return err;
		if (writes[i].value.len > STORE_VALUE_MAX)
			return HF_ERR_OUT_OF_BOUNDS;
		if (written_before(writes, i))
			return HF_ERR_BAD_VALUE;
	}
	return HF_OK;
}

enum hf_err
store_new(const struct store_engine *engine, void *state, struct store **out)
{
	struct store *store = calloc(1, sizeof(*store));

	if (store == NULL)
		return HF_ERR_NO_MEMORY;
	if (pthread_mutex_init(&store->lock, NULL) != 0) {
		free(store);
		return HF_ERR_SYSTEM;
	}
	store->engine = engine;
	store->state = state;
	engine->attach(state, store);
	*out = store;
	return HF_OK;
}

void
store_close(struct store *store)
{
	if (store == NULL)
		return;
	store->engine->close(store->state);
	(void)pthread_mutex_destroy(&store->lock);
	free(store);
}

void
store_value_free(struct store_value *value)
{
	free(value->ptr);
	*value = (struct store_value){ 0 };
}

enum hf_err
store_get(struct store *store, struct hf_text key, struct store_value *out)
{
	enum hf_err err = check_key(key);

	if (err != HF_OK)
		return err;
	return store->engine->get(store->state, key, out);
}

enum hf_err
store_list(struct store *store, struct hf_text prefix, struct hf_text after,
    size_t limit, store_each_fn *each, void *ctx)
{
	if (prefix.len > STORE_KEY_MAX || after.len > STORE_KEY_MAX)
		return HF_ERR_OUT_OF_BOUNDS;
	return store->engine->list(
	    store->state, prefix, after, limit, each, ctx);
}

/* The revision of a key; 0: there is none. */
static enum hf_err
revision_of(struct store *store, struct hf_text key, uint64_t *revision)
{
	struct store_value v = { 0 };
	enum hf_err err = store_get(store, key, &v);

	*revision = err == HF_OK ? v.revision : 0;
	store_value_free(&v);
	return err == HF_ERR_NOT_FOUND ? HF_OK : err;
}

/* What the commit would do, without doing it. */
static enum hf_err
commit_dry(struct store *store, const struct store_cond *conds,
    size_t cond_count, const struct store_write *writes, size_t write_count)
{
	uint64_t revision;
	enum hf_err err;

	for (size_t i = 0; i < cond_count; i++) {
		err = revision_of(store, conds[i].key, &revision);
		if (err != HF_OK)
			return err;
		if (revision != conds[i].revision)
			return HF_ERR_STORE_CONFLICT;
	}
	for (size_t i = 0; i < write_count; i++) {
		err = revision_of(store, writes[i].key, &revision);
		if (err != HF_OK)
			return err;
		if (writes[i].value.ptr != NULL)
			effects_note_store(
			    revision == 0 ? "create" : "update", writes[i].key);
		else if (revision != 0)
			effects_note_store("delete", writes[i].key);
	}
	return HF_ERR_DRY_RUN;
}

enum hf_err
store_commit(struct store *store, const struct store_cond *conds,
    size_t cond_count, const struct store_write *writes, size_t write_count,
    uint64_t *revision)
{
	enum hf_err err = check_commit(conds, cond_count, writes, write_count);

	if (err != HF_OK)
		return err;
	if (effects_dry())
		return commit_dry(
		    store, conds, cond_count, writes, write_count);
	return store->engine->commit(
	    store->state, conds, cond_count, writes, write_count, revision);
}

/* A conflict that is the rider's will not go away by trying again. */
static enum hf_err
whose_conflict(struct store *store, const struct effects *e, enum hf_err err)
{
	uint64_t revision;

	if (err != HF_ERR_STORE_CONFLICT)
		return err;
	err = revision_of(store, e->rider_cond->key, &revision);
	if (err != HF_OK)
		return err;
	return revision == e->rider_cond->revision ? HF_ERR_STORE_CONFLICT
						   : HF_ERR_IN_PROGRESS;
}

enum hf_err
store_commit_change(struct store *store, const struct store_cond *conds,
    size_t cond_count, const struct store_write *writes, size_t write_count,
    uint64_t *revision)
{
	struct effects *e = effects_with_rider();
	struct store_cond *all_conds;
	struct store_write *all;
	enum hf_err err = HF_ERR_NO_MEMORY;

	if (e == NULL || e->rode)
		return store_commit(
		    store, conds, cond_count, writes, write_count, revision);
	all_conds = calloc(cond_count + 1, sizeof(*all_conds));
	all = calloc(write_count + 1, sizeof(*all));
	if (all_conds != NULL && all != NULL) {
		if (cond_count > 0)
			memcpy(all_conds, conds, cond_count * sizeof(*conds));
		if (write_count > 0)
			memcpy(all, writes, write_count * sizeof(*writes));
		all_conds[cond_count] = *e->rider_cond;
		all[write_count] = *e->rider;
		err = store_commit(store, all_conds, cond_count + 1, all,
		    write_count + 1, revision);
		e->rode = err == HF_OK;
		err = whose_conflict(store, e, err);
	}
	free(all_conds);
	free(all);
	return err;
}

void
store_watch(struct store *store, store_watch_fn *fn, void *ctx)
{
	(void)pthread_mutex_lock(&store->lock);
	assert(store->watcher_count < WATCHERS);
	store->watchers[store->watcher_count++] = (struct watcher){ fn, ctx };
	(void)pthread_mutex_unlock(&store->lock);
}

void
store_notify(struct store *store, const struct store_write *writes,
    size_t count, uint64_t revision)
{
	(void)pthread_mutex_lock(&store->lock);
	for (size_t w = 0; w < store->watcher_count; w++)
		for (size_t i = 0; i < count; i++)
			store->watchers[w].fn(
			    store->watchers[w].ctx, writes[i].key, revision);
	(void)pthread_mutex_unlock(&store->lock);
}

void
store_info(struct store *store, struct store_info *out)
{
	*out = (struct store_info){ 0 };
	if (store->engine->info != NULL)
		store->engine->info(store->state, out);
}

enum hf_err
store_scrub(struct store *store)
{
	if (store->engine->scrub == NULL)
		return HF_OK;
	return store->engine->scrub(store->state);
}

enum hf_err
store_check(struct store *store, struct hf_why *why)
{
	if (store->engine->check == NULL)
		return HF_OK;
	return store->engine->check(store->state, why);
}
