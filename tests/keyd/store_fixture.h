/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_KEYD_STORE_FIXTURE_H
#define TESTS_KEYD_STORE_FIXTURE_H

/* A store in a folder of its own, over one engine or the other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "../../keyd/effects.h"
#include "../../keyd/store.h"
#include "../../lib/bytes.h"
#include "../fake/disk.h"
#include "../fake/store_memory.h"

struct fixture {
	char dir[64], path[128], copy[128], kept[160];
	struct store_memory *memory; /* NULL: SQLite */
	struct store *store;
	struct hf_why why;
};

static inline enum hf_err
fixture_open(struct fixture *f)
{
	if (f->memory != NULL)
		return store_memory_open(f->memory, &f->store);
	return store_open(f->path, &f->store, &f->why);
}

static inline void
fixture_close(struct fixture *f)
{
	store_close(f->store);
	f->store = NULL;
}

static inline struct fixture *
fixture_new(void)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/holdfast-store-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->path, sizeof(f->path), "%s/store.db", f->dir);
	(void)snprintf(f->copy, sizeof(f->copy), "%s/copy.db", f->dir);
	(void)snprintf(f->kept, sizeof(f->kept), "%s.before-restore", f->path);
	return f;
}

static inline int
setup_sqlite(void **state)
{
	struct fixture *f = fixture_new();

	*state = f;
	assert_int_equal(fixture_open(f), HF_OK);
	return 0;
}

static inline int
setup_memory(void **state)
{
	struct fixture *f = fixture_new();

	*state = f;
	f->memory = store_memory_new();
	assert_int_equal(fixture_open(f), HF_OK);
	return 0;
}

static inline int
teardown(void **state)
{
	struct fixture *f = *state;

	fixture_close(f);
	store_memory_free(f->memory);
	disk_remove(f->dir);
	free(f);
	return 0;
}

static inline struct store_write
write_text(const char *key, const char *value)
{
	return (struct store_write){ text_of(key),
		value == NULL ? (struct hf_bytes){ NULL, 0 }
			      : bytes_of(value, strlen(value)) };
}

static inline uint64_t
put(struct store *store, const char *key, const char *value)
{
	struct store_write w = write_text(key, value);
	uint64_t revision = 0;

	assert_int_equal(store_commit(store, NULL, 0, &w, 1, &revision), HF_OK);
	return revision;
}

static inline bool
holds(struct store *store, const char *key, const char *value)
{
	struct store_value got = { 0 };
	enum hf_err err = store_get(store, text_of(key), &got);
	bool same = value == NULL ? err == HF_ERR_NOT_FOUND
				  : err == HF_OK && got.len == strlen(value) &&
		memcmp(got.ptr, value, got.len) == 0;

	store_value_free(&got);
	return same;
}

#define SQLITE_ONLY(test) \
	cmocka_unit_test_setup_teardown(test, setup_sqlite, teardown)
#define MEMORY_ONLY(test) \
	cmocka_unit_test_setup_teardown(test, setup_memory, teardown)
#define BOTH(test) SQLITE_ONLY(test), MEMORY_ONLY(test)

#endif
