/* SPDX-License-Identifier: Apache-2.0 */
#include "store_memory.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/bytes.h"

struct record {
	char *key;
	size_t key_len;
	uint8_t *value;
	size_t len;
	uint64_t revision;
};

struct store_memory {
	pthread_mutex_t lock;
	struct record *records; /* in the order of their keys */
	size_t count, room;
	uint64_t head;
	store_memory_hook_fn *hook;
	void *hook_ctx;
	struct store *store;
};

static struct hf_text
key_of(const struct record *r)
{
	return (struct hf_text){ r->key, r->key_len };
}

static int
text_order(struct hf_text a, struct hf_text b)
{
	size_t common = a.len < b.len ? a.len : b.len;
	int order = common == 0 ? 0 : memcmp(a.ptr, b.ptr, common);

	if (order != 0)
		return order;
	return a.len < b.len ? -1 : a.len > b.len;
}

/* Where the key is, or would be. */
static size_t
place_of(const struct store_memory *m, struct hf_text key)
{
	size_t low = 0, high = m->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (text_order(key_of(&m->records[middle]), key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct record *
find(const struct store_memory *m, struct hf_text key)
{
	size_t at = place_of(m, key);

	if (at < m->count && text_equal(key_of(&m->records[at]), key))
		return &m->records[at];
	return NULL;
}

/* By reallocarray, which a test does not let fail as it does malloc. */
static void *
copy_of(const void *ptr, size_t len)
{
	void *copy = reallocarray(NULL, len + 1, 1);

	if (copy == NULL)
		abort(); /* a test without memory proves nothing */
	if (len > 0)
		memcpy(copy, ptr, len);
	return copy;
}

static enum hf_err
memory_get(void *state, struct hf_text key, struct store_value *out)
{
	struct store_memory *m = state;
	enum hf_err err = HF_ERR_NOT_FOUND;

	(void)pthread_mutex_lock(&m->lock);

	const struct record *r = find(m, key);

	if (r != NULL) {
		*out = (struct store_value){ copy_of(r->value, r->len), r->len,
			r->revision };
		err = HF_OK;
	}
	(void)pthread_mutex_unlock(&m->lock);
	return err;
}

static enum hf_err
memory_list(void *state, struct hf_text prefix, struct hf_text after,
    size_t limit, store_each_fn *each, void *ctx)
{
	struct store_memory *m = state;
	size_t seen = 0;

	(void)pthread_mutex_lock(&m->lock);
	for (size_t i = place_of(m, prefix); i < m->count; i++) {
		const struct record *r = &m->records[i];

		if (!text_starts(key_of(r), prefix))
			break;
		if (after.ptr != NULL && text_order(key_of(r), after) <= 0)
			continue;
		if (!each(ctx, key_of(r), bytes_of(r->value, r->len),
			r->revision) ||
		    ++seen == limit)
			break;
	}
	(void)pthread_mutex_unlock(&m->lock);
	return HF_OK;
}

static void
drop(struct store_memory *m, struct hf_text key)
{
	struct record *r = find(m, key);

	if (r == NULL)
		return;

	size_t at = (size_t)(r - m->records);

	free(r->key);
	free(r->value);
	memmove(r, r + 1, (m->count - at - 1) * sizeof(*r));
	m->count--;
}

static void
put(struct store_memory *m, const struct store_write *write)
{
	drop(m, write->key);
	if (m->count == m->room) {
		m->room = m->room * 2 + 16;
		m->records =
		    reallocarray(m->records, m->room, sizeof(*m->records));
		if (m->records == NULL)
			abort();
	}

	size_t at = place_of(m, write->key);

	memmove(&m->records[at + 1], &m->records[at],
	    (m->count - at) * sizeof(*m->records));
	m->records[at] = (struct record){
		.key = copy_of(write->key.ptr, write->key.len),
		.key_len = write->key.len,
		.value = copy_of(write->value.ptr, write->value.len),
		.len = write->value.len,
		.revision = m->head,
	};
	m->count++;
}

static enum hf_err
ask_hook(struct store_memory *m, enum store_memory_when when,
    const struct store_write *writes, size_t count)
{
	if (m->hook == NULL)
		return HF_OK;
	return m->hook(m->hook_ctx, when, writes, count);
}

static enum hf_err
commit_locked(struct store_memory *m, const struct store_cond *conds,
    size_t cond_count, const struct store_write *writes, size_t write_count)
{
	enum hf_err err;

	for (size_t i = 0; i < cond_count; i++) {
		const struct record *r = find(m, conds[i].key);

		if ((r == NULL ? 0 : r->revision) != conds[i].revision)
			return HF_ERR_STORE_CONFLICT;
	}
	err = ask_hook(m, STORE_MEMORY_BEFORE, writes, write_count);
	if (err != HF_OK)
		return err;
	m->head++;
	for (size_t i = 0; i < write_count; i++)
		if (writes[i].value.ptr == NULL)
			drop(m, writes[i].key);
		else
			put(m, &writes[i]);
	store_notify(m->store, writes, write_count, m->head);
	return ask_hook(m, STORE_MEMORY_AFTER, writes, write_count);
}

static enum hf_err
memory_commit(void *state, const struct store_cond *conds, size_t cond_count,
    const struct store_write *writes, size_t write_count, uint64_t *revision)
{
	struct store_memory *m = state;
	enum hf_err err;

	(void)pthread_mutex_lock(&m->lock);
	err = commit_locked(m, conds, cond_count, writes, write_count);
	if (err == HF_OK && revision != NULL)
		*revision = m->head;
	(void)pthread_mutex_unlock(&m->lock);
	return err;
}

static void
memory_attach(void *state, struct store *store)
{
	struct store_memory *m = state;

	m->store = store;
}

static void
memory_close(void *state)
{
	struct store_memory *m = state;

	m->store = NULL;
}

static const struct store_engine engine_memory = {
	.attach = memory_attach,
	.get = memory_get,
	.list = memory_list,
	.commit = memory_commit,
	.close = memory_close,
};

struct store_memory *
store_memory_new(void)
{
	struct store_memory *m = calloc(1, sizeof(*m));

	if (m == NULL || pthread_mutex_init(&m->lock, NULL) != 0)
		abort();
	return m;
}

void
store_memory_free(struct store_memory *memory)
{
	if (memory == NULL)
		return;
	for (size_t i = 0; i < memory->count; i++) {
		free(memory->records[i].key);
		free(memory->records[i].value);
	}
	free(memory->records);
	(void)pthread_mutex_destroy(&memory->lock);
	free(memory);
}

void
store_memory_hook(
    struct store_memory *memory, store_memory_hook_fn *hook, void *ctx)
{
	(void)pthread_mutex_lock(&memory->lock);
	memory->hook = hook;
	memory->hook_ctx = ctx;
	(void)pthread_mutex_unlock(&memory->lock);
}

enum hf_err
store_memory_open(struct store_memory *memory, struct store **out)
{
	return store_new(&engine_memory, memory, out);
}

enum hf_err
store_death(void *death, enum store_memory_when when,
    const struct store_write *writes, size_t count)
{
	struct store_death *d = death;

	(void)writes;
	(void)count;
	if (when == STORE_MEMORY_BEFORE)
		d->seen++;
	if (d->seen < d->at || (d->seen == d->at && when != d->when))
		return HF_OK;
	d->happened = true; /* and nothing later happens either */
	return HF_ERR_STORE;
}
