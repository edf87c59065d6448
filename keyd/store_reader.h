/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_STORE_READER_H
#define KEYD_STORE_READER_H

#include <pthread.h>

#include <sqlite3.h>

#include "store.h"

/*
 * Reading the SQLite file, for store_sqlite.c: some connections that see the
 * last transaction that is complete, each for one thread at a time. Whoever
 * finds none idle waits for one. `init` comes first, and `close` last, also
 * when `open` failed or was not called.
 */
enum { STORE_READERS = 4 };

struct store_readers {
	pthread_mutex_t lock; /* of the idle ones */
	pthread_cond_t free;
	struct reader {
		sqlite3 *db;
		sqlite3_stmt *get, *list;
		struct reader *next;
	} readers[STORE_READERS], *idle;
};

void store_readers_init(struct store_readers *rs);
enum hf_err store_readers_open(
    struct store_readers *rs, const char *path, struct hf_why *why);
void store_readers_close(struct store_readers *rs);

/* As store_get() and store_list(). */
enum hf_err store_readers_get(
    struct store_readers *rs, struct hf_text key, struct store_value *out);
enum hf_err store_readers_list(struct store_readers *rs, struct hf_text prefix,
    struct hf_text after, size_t limit, store_each_fn *each, void *ctx);

#endif
