/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_STORE_H
#define KEYD_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast/bytes.h>
#include <holdfast/err.h>

/*
 * An ordered key-value store: get, list by prefix, commit, watch. It is what
 * etcd and PostgreSQL can offer too, so that another engine can take SQLite's
 * place (store_sqlite.c) without a change above. Keys are text of 1 to 512
 * bytes, values 0 to 1 MiB; values are sealed before they get here. Every key
 * has a revision, the number of the commit that wrote it last, which never
 * goes back. Thread-safe: readers do not wait for writers; commits of many
 * threads are put on the disk together (one fsync a group).
 */
struct store;

/* One read value. `value` is malloc'ed; store_value_free wipes nothing. */
struct store_value {
	uint8_t *ptr;
	size_t len;
	uint64_t revision;
};

void store_value_free(struct store_value *value);

/* HF_ERR_NOT_FOUND when there is no such key. */
enum hf_err store_get(struct store *store, struct hf_text key,
    struct store_value *out);

/*
 * Calls `each` for the keys that start with `prefix` and come after `after`
 * (absent: all) in byte order, at most `limit` (0: all), until it returns
 * false. `each` must not call the store.
 */
typedef bool store_each_fn(void *ctx, struct hf_text key,
    struct hf_bytes value, uint64_t revision);
enum hf_err store_list(struct store *store, struct hf_text prefix,
    struct hf_text after, size_t limit, store_each_fn *each, void *ctx);

/* A condition on a key, all of which must hold for a commit to happen. */
struct store_cond {
	struct hf_text key;
	uint64_t revision; /* as read; 0: the key must not exist */
};

struct store_write {
	struct hf_text key;
	struct hf_bytes value; /* ptr NULL: delete */
};

/*
 * All or nothing, and durable when it returns HF_OK. HF_ERR_STORE_CONFLICT:
 * a condition did not hold and nothing was written. HF_ERR_STORE_FULL,
 * HF_ERR_STORE: nothing was written. *revision (may be NULL) is the commit's.
 */
enum hf_err store_commit(struct store *store, const struct store_cond *conds,
    size_t cond_count, const struct store_write *writes, size_t write_count,
    uint64_t *revision);

/*
 * `fn` is called after each commit, in order, from the committing side, with
 * every key written; it must be short and must not call the store.
 */
typedef void store_watch_fn(void *ctx, struct hf_text key, uint64_t revision);
void store_watch(struct store *store, store_watch_fn *fn, void *ctx);

/*
 * Opens or makes the SQLite file (mode 0600), migrates its schema, checks its
 * integrity. HF_ERR_STORE_DAMAGED with the reason in `why`; HF_ERR_STORE when
 * another process holds it.
 */
enum hf_err store_open(const char *path, struct store **out,
    struct hf_why *why);

/* Finishes commits in flight. NULL is fine. */
void store_close(struct store *store);

/*
 * A consistent copy of the store in `path` (made, mode 0600, must not exist),
 * taken while a daemon may be using it; and back, over a store that nobody
 * uses: the copy is checked first and the old file kept as PATH.before-restore.
 */
enum hf_err store_backup(const char *from, const char *path,
    struct hf_why *why);
enum hf_err store_restore(const char *backup, const char *path,
    struct hf_why *why);

/* For tests and fakes: the functions behind the interface. */
struct store_engine {
	enum hf_err (*get)(void *, struct hf_text, struct store_value *);
	enum hf_err (*list)(void *, struct hf_text, struct hf_text, size_t,
	    store_each_fn *, void *);
	enum hf_err (*commit)(void *, const struct store_cond *, size_t,
	    const struct store_write *, size_t, uint64_t *);
	void (*close)(void *);
};

/* A store over an engine; `state` is the engine's, closed by store_close. */
enum hf_err store_new(const struct store_engine *engine, void *state,
    struct store **out);

#endif
