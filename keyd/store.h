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
 *
 * What breaks a bound here was let through by a caller: HF_ERR_OUT_OF_BOUNDS,
 * and HF_ERR_BAD_VALUE for a key that is not UTF-8 or is written twice in one
 * commit, before anything happens.
 */
struct store;

enum {
	STORE_KEY_MAX = 512,
	STORE_VALUE_MAX = 1 << 20,
	STORE_COMMIT_MAX = 1024, /* conditions, and writes, of one commit */
};

/* One read value. `value` is malloc'ed; store_value_free wipes nothing. */
struct store_value {
	uint8_t *ptr;
	size_t len;
	uint64_t revision;
};

void store_value_free(struct store_value *value);

/* HF_ERR_NOT_FOUND when there is no such key. */
enum hf_err store_get(
    struct store *store, struct hf_text key, struct store_value *out);

/*
 * Calls `each` for the keys that start with `prefix` and come after `after`
 * (absent: all) in byte order, at most `limit` (0: all), until it returns
 * false. `each` must not call the store.
 */
typedef bool store_each_fn(
    void *ctx, struct hf_text key, struct hf_bytes value, uint64_t revision);
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
 * HF_ERR_STORE: nothing was written, as far as the engine can tell. One that is
 * reached over a network cannot always; whoever has what is stored in memory
 * too reads it again. *revision (may be NULL) is the commit's.
 * HF_ERR_DRY_RUN: it would have been, but nothing is in a dry run (effects.h).
 */
enum hf_err store_commit(struct store *store, const struct store_cond *conds,
    size_t cond_count, const struct store_write *writes, size_t write_count,
    uint64_t *revision);

/*
 * As store_commit, for the change that a request is about: the first of them
 * takes along what has to go with it (effects.h). HF_ERR_IN_PROGRESS when that
 * is there already.
 */
enum hf_err store_commit_change(struct store *store,
    const struct store_cond *conds, size_t cond_count,
    const struct store_write *writes, size_t write_count, uint64_t *revision);

/*
 * `fn` is called after each commit, in order, from the committing side and
 * before store_commit returns, with every key written or deleted; it must be
 * short and must not call the store. At most 16; only store_close ends them.
 */
typedef void store_watch_fn(void *ctx, struct hf_text key, uint64_t revision);
void store_watch(struct store *store, store_watch_fn *fn, void *ctx);

/* How commits were put on the disk together; all zero where no disk is. */
struct store_info {
	uint64_t commits; /* that were made, */
	uint64_t groups;  /* in so many transactions, of one sync each */
	size_t waiting;   /* of others that are not on the disk yet */
};
void store_info(struct store *store, struct store_info *out);

/*
 * Deleted and overwritten values are zeroed in the file, but their old pages
 * stay in its write-ahead log until that is reused. This folds the log into
 * the file and empties it: for after a key was destroyed. What the file system
 * and the disk below keep is theirs. Waits for a quiet moment, up to seconds;
 * HF_ERR_BUSY when there was none.
 */
enum hf_err store_scrub(struct store *store);

/* Reads everything and compares; HF_ERR_STORE_DAMAGED says where. Slow. */
enum hf_err store_check(struct store *store, struct hf_why *why);

/*
 * Opens or makes the SQLite file (mode 0600), migrates its schema, checks its
 * integrity. HF_ERR_STORE_DAMAGED with the reason in `why`; HF_ERR_STORE when
 * another process holds it.
 */
enum hf_err store_open(
    const char *path, struct store **out, struct hf_why *why);

/* Finishes commits in flight. NULL is fine. */
void store_close(struct store *store);

/*
 * A consistent copy of the store in `path` (made, mode 0600, must not exist),
 * taken while a daemon may be using it; and back, over a store that nobody
 * uses: the copy is checked first and the old file kept as PATH.before-restore,
 * which must not exist yet. A crash leaves the old store or the new one.
 */
enum hf_err store_backup(
    const char *from, const char *path, struct hf_why *why);
enum hf_err store_restore(
    const char *backup, const char *path, struct hf_why *why);

/*
 * What stands behind the interface. An engine gets input within the bounds
 * above, calls store_notify() for each commit, and may be called from any
 * thread. `info`, `scrub` and `check` may be NULL where there is nothing to do.
 */
struct store_engine {
	/* First of all: whom to notify. */
	void (*attach)(void *, struct store *);
	enum hf_err (*get)(void *, struct hf_text, struct store_value *);
	enum hf_err (*list)(void *, struct hf_text, struct hf_text, size_t,
	    store_each_fn *, void *);
	enum hf_err (*commit)(void *, const struct store_cond *, size_t,
	    const struct store_write *, size_t, uint64_t *);
	void (*info)(void *, struct store_info *);
	enum hf_err (*scrub)(void *);
	enum hf_err (*check)(void *, struct hf_why *);
	void (*close)(void *);
};

/* For an engine, after a commit and before the next one: tells the watchers. */
void store_notify(struct store *store, const struct store_write *writes,
    size_t count, uint64_t revision);

/*
 * A store over an engine; `state` is the engine's, closed by store_close, and
 * still the caller's when this fails.
 */
enum hf_err store_new(
    const struct store_engine *engine, void *state, struct store **out);

#endif
