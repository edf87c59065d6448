/* SPDX-License-Identifier: Apache-2.0 */
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

/* A store in a folder of its own, over one engine or the other. */
struct fixture {
	char dir[64], path[128], copy[128], kept[160];
	struct store_memory *memory; /* NULL: SQLite */
	struct store *store;
	struct hf_why why;
};

static enum hf_err
fixture_open(struct fixture *f)
{
	if (f->memory != NULL)
		return store_memory_open(f->memory, &f->store);
	return store_open(f->path, &f->store, &f->why);
}

static void
fixture_close(struct fixture *f)
{
	store_close(f->store);
	f->store = NULL;
}

static struct fixture *
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

static int
setup_sqlite(void **state)
{
	struct fixture *f = fixture_new();

	*state = f;
	assert_int_equal(fixture_open(f), HF_OK);
	return 0;
}

static int
setup_memory(void **state)
{
	struct fixture *f = fixture_new();

	*state = f;
	f->memory = store_memory_new();
	assert_int_equal(fixture_open(f), HF_OK);
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	fixture_close(f);
	store_memory_free(f->memory);
	disk_remove(f->dir);
	free(f);
	return 0;
}

static struct store_write
write_text(const char *key, const char *value)
{
	return (struct store_write){ text_of(key),
		value == NULL ? (struct hf_bytes){ NULL, 0 }
			      : bytes_of(value, strlen(value)) };
}

static uint64_t
put(struct store *store, const char *key, const char *value)
{
	struct store_write w = write_text(key, value);
	uint64_t revision = 0;

	assert_int_equal(store_commit(store, NULL, 0, &w, 1, &revision), HF_OK);
	return revision;
}

static bool
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

/* -- What every engine promises -- */

static void
reads_back_what_was_committed(void **state)
{
	struct fixture *f = *state;
	struct store_value got = { 0 };
	uint64_t revision = put(f->store, "key/a", "one");

	assert_int_equal(store_get(f->store, TEXT("key/a"), &got), HF_OK);
	assert_int_equal(got.len, 3);
	assert_memory_equal(got.ptr, "one", 3);
	assert_true(got.revision == revision);
	store_value_free(&got);

	assert_true(put(f->store, "key/a", "two") > revision);
	assert_true(holds(f->store, "key/a", "two"));
}

static void
keeps_an_empty_value_apart_from_none(void **state)
{
	struct fixture *f = *state;
	struct store_value got = { 0 };

	(void)put(f->store, "empty", "");
	assert_int_equal(store_get(f->store, TEXT("empty"), &got), HF_OK);
	assert_int_equal(got.len, 0);
	assert_non_null(got.ptr);
	store_value_free(&got);
	assert_int_equal(
	    store_get(f->store, TEXT("none"), &got), HF_ERR_NOT_FOUND);
}

/* What has to go with a change goes with the first one, or both do not. */
static void
takes_a_rider_along_once(void **state)
{
	struct fixture *f = *state;
	const struct store_write change = { TEXT("key/a"),
		bytes_of("changed", 7) };
	const struct store_write rider = { TEXT("once/x"), bytes_of("it", 2) };
	const struct store_cond absent = { TEXT("once/x"), 0 };
	const struct store_cond wrong = { TEXT("key/a"), 77 };
	struct effects e = { .rider = &rider, .rider_cond = &absent };

	effects_enter(&e);
	assert_int_equal(
	    store_commit_change(f->store, &wrong, 1, &change, 1, NULL),
	    HF_ERR_STORE_CONFLICT);
	assert_false(e.rode);
	assert_int_equal(
	    store_commit_change(f->store, NULL, 0, &change, 1, NULL), HF_OK);
	assert_true(e.rode);
	assert_true(holds(f->store, "key/a", "changed"));
	assert_true(holds(f->store, "once/x", "it"));
	assert_int_equal(
	    store_commit_change(f->store, NULL, 0, &change, 1, NULL), HF_OK);
	effects_leave();
	/* Another request with the same rider comes too late. */
	e = (struct effects){ .rider = &rider, .rider_cond = &absent };
	effects_enter(&e);
	assert_int_equal(
	    store_commit_change(f->store, NULL, 0, &change, 1, NULL),
	    HF_ERR_IN_PROGRESS);
	assert_false(e.rode);
	effects_leave();
}

/* Everything but the writing, and a word about it. */
static void
writes_nothing_in_a_dry_run(void **state)
{
	struct fixture *f = *state;
	const struct store_write writes[] = {
		{ TEXT("key/new"), bytes_of("x", 1) },
		{ TEXT("key/old"), { NULL, 0 } },
		{ TEXT("ver/00112233445566778899aabbccddeeff/00000c"),
		    bytes_of("x", 1) },
		{ TEXT("due/0/0/new"), bytes_of("x", 1) },
	};
	const struct store_cond wrong = { TEXT("key/old"), 77 };
	struct arena *arena;
	struct effects e = { .dry = true };

	assert_int_equal(arena_new(4096, 65536, &arena), HF_OK);
	(void)put(f->store, "key/old", "here");
	e.arena = arena;
	effects_enter(&e);
	assert_int_equal(store_commit(f->store, &wrong, 1, writes, 4, NULL),
	    HF_ERR_STORE_CONFLICT);
	assert_int_equal(e.count, 0);
	assert_int_equal(
	    store_commit(f->store, NULL, 0, writes, 4, NULL), HF_ERR_DRY_RUN);
	effects_leave();
	assert_true(holds(f->store, "key/old", "here"));
	assert_false(holds(f->store, "key/new", "x"));
	assert_int_equal(e.count, 3); /* the mark is nobody's business */
	assert_true(text_is(e.changes[0].action, "create"));
	assert_true(text_is(e.changes[0].name, "new"));
	assert_true(text_is(e.changes[1].action, "delete"));
	assert_true(text_is(e.changes[2].kind, "version"));
	assert_true(text_is(e.changes[2].name, "12"));
	arena_free(arena);
	assert_int_equal(
	    store_commit(f->store, NULL, 0, writes, 4, NULL), HF_OK);
}

/* CVE-2026-39946. */
static void
takes_sql_for_what_it_is(void **state)
{
	static const char *const odd[] = { "x'; DROP TABLE kv; --",
		"x\" OR \"1\"=\"1", "%", "_", "a\\' OR 1=1", "key/a%" };
	struct fixture *f = *state;

	(void)put(f->store, "key/a", "kept");
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		(void)put(f->store, odd[i], odd[i]);
		assert_true(holds(f->store, odd[i], odd[i]));
		assert_true(holds(f->store, "key/a", "kept"));
	}
}

static void
keeps_everything_when_it_is_opened_again(void **state)
{
	struct fixture *f = *state;
	uint64_t revision;

	(void)put(f->store, "a", "1");
	(void)put(f->store, "b", "2");
	(void)put(f->store, "a", NULL);
	revision = put(f->store, "c", "3");
	(void)put(f->store, "c", NULL);
	fixture_close(f);
	assert_int_equal(fixture_open(f), HF_OK);
	assert_true(holds(f->store, "a", NULL));
	assert_true(holds(f->store, "b", "2"));
	assert_true(put(f->store, "d", "4") > revision + 1);
}

struct listing {
	char keys[512];
	size_t stop_after;
	size_t count;
};

static bool
list_one(
    void *ctx, struct hf_text key, struct hf_bytes value, uint64_t revision)
{
	struct listing *l = ctx;

	assert_non_null(value.ptr);
	assert_true(revision > 0);
	(void)strncat(l->keys, key.ptr, key.len);
	(void)strcat(l->keys, " ");
	return ++l->count != l->stop_after;
}

static const char *
list(struct store *store, const char *prefix, const char *after, size_t limit)
{
	static struct listing l;

	l = (struct listing){ 0 };
	assert_int_equal(store_list(store, text_of(prefix), text_of(after),
			     limit, list_one, &l),
	    HF_OK);
	return l.keys;
}

static void
lists_by_prefix_in_byte_order(void **state)
{
	struct fixture *f = *state;

	(void)put(f->store, "k/b", "");
	(void)put(f->store, "k/a", "x");
	(void)put(f->store, "k/\xc3\xbc", "x");
	(void)put(f->store, "k/a/1", "x");
	(void)put(f->store, "l/a", "x");
	(void)put(f->store, "k", "x");
	(void)put(f->store, "k0", "x");

	assert_string_equal(
	    list(f->store, "k/", NULL, 0), "k/a k/a/1 k/b k/\xc3\xbc ");
	assert_string_equal(list(f->store, "k/", NULL, 2), "k/a k/a/1 ");
	assert_string_equal(
	    list(f->store, "k/", "k/a", 0), "k/a/1 k/b k/\xc3\xbc ");
	assert_string_equal(list(f->store, "k/", "k/a/2", 1), "k/b ");
	assert_string_equal(list(f->store, "k/", "a", 1), "k/a ");
	assert_string_equal(list(f->store, "k/", "k", 1), "k/a ");
	assert_string_equal(list(f->store, "k/", "k/\xc3\xbc", 0), "");
	assert_string_equal(list(f->store, "k/", "z", 0), "");
	assert_string_equal(list(f->store, "k/a", "k/a", 0), "k/a/1 ");
	assert_string_equal(list(f->store, "m", NULL, 0), "");
	assert_string_equal(
	    list(f->store, "", NULL, 0), "k k/a k/a/1 k/b k/\xc3\xbc k0 l/a ");
}

static void
stops_a_list_when_asked_to(void **state)
{
	struct fixture *f = *state;
	struct listing l = { .stop_after = 1 };

	(void)put(f->store, "a", "x");
	(void)put(f->store, "b", "x");
	assert_int_equal(store_list(f->store, TEXT(""), (struct hf_text){ 0 },
			     0, list_one, &l),
	    HF_OK);
	assert_string_equal(l.keys, "a ");
	assert_string_equal(list(f->store, "", NULL, 0), "a b ");
}

static void
commits_only_when_all_conditions_hold(void **state)
{
	struct fixture *f = *state;
	uint64_t revision = put(f->store, "a", "1");
	const struct store_write writes[] = { write_text("a", "2"),
		write_text("b", "2") };
	struct store_cond conds[] = { { TEXT("a"), revision },
		{ TEXT("b"), revision } };

	assert_int_equal(store_commit(f->store, conds, 2, writes, 2, NULL),
	    HF_ERR_STORE_CONFLICT);
	assert_true(holds(f->store, "a", "1"));
	assert_true(holds(f->store, "b", NULL));

	conds[1].revision = 0;
	assert_int_equal(
	    store_commit(f->store, conds, 2, writes, 2, NULL), HF_OK);
	assert_true(holds(f->store, "a", "2"));
	assert_true(holds(f->store, "b", "2"));

	/* Now b exists, and a has a newer revision. */
	assert_int_equal(store_commit(f->store, conds, 2, writes, 2, NULL),
	    HF_ERR_STORE_CONFLICT);
}

static void
gives_a_deleted_key_a_newer_revision_when_it_comes_back(void **state)
{
	struct fixture *f = *state;
	uint64_t before = put(f->store, "a", "1");
	uint64_t deleted = put(f->store, "a", NULL);
	uint64_t after = put(f->store, "a", "1");

	assert_true(before < deleted && deleted < after);
	assert_int_equal(put(f->store, "none", NULL), after + 1);
}

static void
refuses_what_is_out_of_bounds(void **state)
{
	struct fixture *f = *state;
	static char long_key[STORE_KEY_MAX + 2];
	static uint8_t large[STORE_VALUE_MAX + 1];
	struct store_value got = { 0 };
	struct store_write w;

	memset(long_key, 'k', sizeof(long_key) - 1);
	w = write_text(long_key, "x");
	assert_int_equal(
	    store_commit(f->store, NULL, 0, &w, 1, NULL), HF_ERR_OUT_OF_BOUNDS);
	w = write_text("", "x");
	assert_int_equal(
	    store_commit(f->store, NULL, 0, &w, 1, NULL), HF_ERR_OUT_OF_BOUNDS);
	w = write_text("bad\xff", "x");
	assert_int_equal(
	    store_commit(f->store, NULL, 0, &w, 1, NULL), HF_ERR_BAD_VALUE);
	w = (struct store_write){ TEXT("k"), { large, sizeof(large) } };
	assert_int_equal(
	    store_commit(f->store, NULL, 0, &w, 1, NULL), HF_ERR_OUT_OF_BOUNDS);

	const struct store_write twice[] = { write_text("k", "1"),
		write_text("k", "2") };

	assert_int_equal(
	    store_commit(f->store, NULL, 0, twice, 2, NULL), HF_ERR_BAD_VALUE);
	assert_int_equal(store_get(f->store, (struct hf_text){ 0 }, &got),
	    HF_ERR_OUT_OF_BOUNDS);
	assert_string_equal(list(f->store, "", NULL, 0), "");

	/* The bounds themselves are allowed. */
	long_key[STORE_KEY_MAX] = '\0';
	w = (struct store_write){ text_of(long_key),
		{ large, STORE_VALUE_MAX } };
	assert_int_equal(store_commit(f->store, NULL, 0, &w, 1, NULL), HF_OK);
	assert_int_equal(store_get(f->store, w.key, &got), HF_OK);
	assert_int_equal(got.len, STORE_VALUE_MAX);
	store_value_free(&got);
}

enum { THREADS = 8, ROUNDS = 25 };

static void *
count_up(void *arg)
{
	struct store *store = arg;

	for (unsigned done = 0; done < ROUNDS;) {
		struct store_value got = { 0 };
		uint64_t number = 0;
		enum hf_err err = store_get(store, TEXT("counter"), &got);

		if (err == HF_OK)
			number = get_u64(got.ptr);
		else if (err != HF_ERR_NOT_FOUND)
			return NULL;

		uint8_t next[8];
		struct store_cond cond = { TEXT("counter"), got.revision };
		struct store_write w = { TEXT("counter"), { next, 8 } };

		store_value_free(&got);
		put_u64(next, number + 1);
		err = store_commit(store, &cond, 1, &w, 1, NULL);
		if (err == HF_OK)
			done++;
		else if (err != HF_ERR_STORE_CONFLICT)
			return NULL;
	}
	return arg;
}

/* A watcher that checks that revisions only grow. */
struct watch {
	uint64_t last;
	unsigned calls, backwards;
};

static void
watch_one(void *ctx, struct hf_text key, uint64_t revision)
{
	struct watch *w = ctx;

	(void)key;
	if (revision < w->last)
		w->backwards++;
	w->last = revision;
	w->calls++;
}

static void
lets_one_of_many_racing_commits_win(void **state)
{
	struct fixture *f = *state;
	struct watch watch = { 0 };
	struct store_value got = { 0 };
	pthread_t threads[THREADS];

	store_watch(f->store, watch_one, &watch);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, count_up, f->store), 0);
	for (size_t i = 0; i < THREADS; i++) {
		void *result = NULL;

		assert_int_equal(pthread_join(threads[i], &result), 0);
		assert_non_null(result);
	}
	assert_int_equal(store_get(f->store, TEXT("counter"), &got), HF_OK);
	assert_int_equal(get_u64(got.ptr), THREADS * ROUNDS);
	store_value_free(&got);
	assert_int_equal(watch.calls, THREADS * ROUNDS);
	assert_int_equal(watch.backwards, 0);
}

static void
tells_watchers_every_key_before_the_commit_returns(void **state)
{
	struct fixture *f = *state;
	struct watch first = { 0 }, second = { 0 };
	const struct store_write writes[] = { write_text("a", "1"),
		write_text("b", NULL), write_text("c", "3") };
	const struct store_cond never = { TEXT("a"), 12345 };
	uint64_t revision = 0;

	store_watch(f->store, watch_one, &first);
	store_watch(f->store, watch_one, &second);
	assert_int_equal(
	    store_commit(f->store, NULL, 0, writes, 3, &revision), HF_OK);
	assert_int_equal(first.calls, 3);
	assert_int_equal(second.calls, 3);
	assert_true(first.last == revision);

	assert_int_equal(store_commit(f->store, &never, 1, writes, 3, NULL),
	    HF_ERR_STORE_CONFLICT);
	assert_int_equal(first.calls, 3);
}

/* -- Groups -- */

enum { TOGETHER = 30 };

/* Holds the committing side up, while a commit is told about. */
struct gate {
	sem_t reached, open;
	_Atomic bool passed;
};

static void
stand_in_gate(void *ctx, struct hf_text key, uint64_t revision)
{
	struct gate *gate = ctx;

	(void)key;
	(void)revision;
	if (atomic_exchange(&gate->passed, true))
		return;
	(void)sem_post(&gate->reached);
	(void)sem_wait(&gate->open);
}

struct member {
	struct store *store;
	unsigned number;
};

static void *
commit_one(void *arg)
{
	const struct member *m = arg;
	char name[16];
	struct store_write write;

	(void)snprintf(name, sizeof(name), "member%u", m->number);
	write = write_text(name, "x");
	return store_commit(m->store, NULL, 0, &write, 1, NULL) == HF_OK ? arg
									 : NULL;
}

static void
expect_member(pthread_t thread)
{
	void *result = NULL;

	assert_int_equal(pthread_join(thread, &result), 0);
	assert_non_null(result);
}

static void
puts_commits_that_wait_on_the_disk_together(void **state)
{
	struct fixture *f = *state;
	struct gate gate = { 0 };
	struct member members[TOGETHER];
	pthread_t threads[TOGETHER];
	struct store_info before, info;

	(void)sem_init(&gate.reached, 0, 0);
	(void)sem_init(&gate.open, 0, 0);
	store_watch(f->store, stand_in_gate, &gate);
	store_info(f->store, &before);
	for (unsigned i = 0; i < TOGETHER; i++) {
		members[i] = (struct member){ f->store, i };
		assert_int_equal(
		    pthread_create(&threads[i], NULL, commit_one, &members[i]),
		    0);
		if (i == 0)
			(void)sem_wait(&gate.reached);
	}
	/* The first is on the disk, the others stand behind it. */
	do {
		(void)sched_yield();
		store_info(f->store, &info);
	} while (info.waiting < TOGETHER);
	(void)sem_post(&gate.open);
	for (unsigned i = 0; i < TOGETHER; i++)
		expect_member(threads[i]);
	store_info(f->store, &info);
	assert_int_equal(info.commits - before.commits, TOGETHER);
	assert_int_equal(info.groups - before.groups, 2);
	assert_int_equal(info.waiting, 0);
	(void)sem_destroy(&gate.reached);
	(void)sem_destroy(&gate.open);
}

/* -- The fake's own promise -- */

static enum hf_err
fail_when(void *ctx, enum store_memory_when when,
    const struct store_write *writes, size_t count)
{
	const enum store_memory_when *at = ctx;

	assert_non_null(writes);
	assert_int_equal(count, 1);
	return when == *at ? HF_ERR_STORE : HF_OK;
}

static void
fake_fails_before_or_after_a_commit(void **state)
{
	struct fixture *f = *state;
	enum store_memory_when at = STORE_MEMORY_BEFORE;
	struct store_write w = write_text("a", "1");

	store_memory_hook(f->memory, fail_when, &at);
	assert_int_equal(
	    store_commit(f->store, NULL, 0, &w, 1, NULL), HF_ERR_STORE);
	assert_true(holds(f->store, "a", NULL));
	at = STORE_MEMORY_AFTER;
	assert_int_equal(
	    store_commit(f->store, NULL, 0, &w, 1, NULL), HF_ERR_STORE);
	assert_true(holds(f->store, "a", "1"));
}

/* -- What SQLite adds -- */

static unsigned
mode_of(const char *path, const char *ending)
{
	char name[256];
	struct stat st;

	(void)snprintf(name, sizeof(name), "%s%s", path, ending);
	if (stat(name, &st) != 0)
		return 0;
	return st.st_mode & 07777;
}

static void
makes_private_files_whatever_the_umask(void **state)
{
	struct fixture *f = *state;
	mode_t before;

	fixture_close(f);
	assert_int_equal(unlink(f->path), 0);
	before = umask(0);
	assert_int_equal(fixture_open(f), HF_OK);
	(void)put(f->store, "a", "1");
	assert_int_equal(store_backup(f->path, f->copy, &f->why), HF_OK);
	(void)umask(before);
	assert_int_equal(mode_of(f->path, ""), 0600);
	assert_int_equal(mode_of(f->path, "-wal"), 0600);
	assert_int_equal(mode_of(f->path, "-shm"), 0600);
	assert_int_equal(mode_of(f->path, ".lock"), 0600);
	assert_int_equal(mode_of(f->copy, ""), 0600);

	/* What somebody opened up is closed again. */
	fixture_close(f);
	assert_int_equal(chmod(f->path, 0644), 0);
	assert_int_equal(fixture_open(f), HF_OK);
	assert_int_equal(mode_of(f->path, ""), 0600);
}

static void
refuses_a_second_opening(void **state)
{
	struct fixture *f = *state;
	struct store *second = NULL;

	assert_int_equal(store_open(f->path, &second, &f->why), HF_ERR_STORE);
	assert_non_null(strstr(f->why.text, "another process"));
	assert_null(second);
	assert_int_equal(
	    store_restore(f->path, f->path, &f->why), HF_ERR_STORE);

	/* The refusal must not have cost the first one its locks. */
	(void)put(f->store, "a", "1");
	fixture_close(f);
	assert_int_equal(fixture_open(f), HF_OK);
}

static void
refuses_places_where_no_store_can_be(void **state)
{
	struct fixture *f = *state;
	struct store *store = NULL;
	static char endless[PATH_MAX + 10];
	char lock[140], aim[140];

	memset(endless, 'x', sizeof(endless) - 1);
	endless[0] = '/';
	assert_int_equal(store_open(endless, &store, &f->why), HF_ERR_STORE);
	assert_non_null(strstr(f->why.text, "the path is too long"));
	assert_int_equal(
	    store_open("/nonexistent/store.db", &store, &f->why), HF_ERR_STORE);
	assert_non_null(strstr(f->why.text, "/nonexistent/store.db"));

	/* A lock that leads elsewhere would be made there. */
	(void)snprintf(lock, sizeof(lock), "%s.lock", f->copy);
	(void)snprintf(aim, sizeof(aim), "%s.aim", f->copy);
	assert_int_equal(symlink(aim, lock), 0);
	assert_int_equal(store_open(f->copy, &store, &f->why), HF_ERR_STORE);
	assert_int_equal(access(aim, F_OK), -1);
	assert_null(store);
}

static void
refuses_what_is_no_file(void **state)
{
	struct fixture *f = *state;
	struct store *store = NULL;

	assert_int_equal(mkdir(f->copy, 0700), 0);
	assert_int_not_equal(store_open(f->copy, &store, &f->why), HF_OK);
	assert_non_null(strstr(f->why.text, f->copy));
	assert_null(store);
}

/* Changes the file behind the store's back. */
static void
tamper(const char *path, const char *sql)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void
refuses_a_store_of_a_newer_version(void **state)
{
	struct fixture *f = *state;

	fixture_close(f);
	tamper(f->path, "PRAGMA user_version = 99");
	assert_int_equal(fixture_open(f), HF_ERR_STORE);
	assert_non_null(strstr(f->why.text, "newer Holdfast"));
	assert_int_equal(store_backup(f->path, f->copy, &f->why), HF_ERR_STORE);
	assert_int_equal(mode_of(f->copy, ""), 0);
}

static void
refuses_an_sqlite_file_of_somebody_else(void **state)
{
	struct fixture *f = *state;

	fixture_close(f);
	assert_int_equal(unlink(f->path), 0);
	tamper(f->path, "CREATE TABLE theirs (x)");
	assert_int_equal(fixture_open(f), HF_ERR_STORE_DAMAGED);
	assert_non_null(strstr(f->why.text, "not a store of Holdfast"));
}

static void
write_at(const char *path, off_t at, const char *text, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, text, len, at), (ssize_t)len);
	assert_int_equal(close(fd), 0);
}

static void
refuses_a_damaged_file(void **state)
{
	struct fixture *f = *state;
	static char noise[4096];

	for (int i = 0; i < 200; i++) {
		char key[32];

		(void)snprintf(key, sizeof(key), "key/%d", i);
		(void)put(f->store, key, "some value that takes room");
	}
	assert_int_equal(store_check(f->store, &f->why), HF_OK);
	fixture_close(f);
	memset(noise, 0x5a, sizeof(noise));
	write_at(f->path, 4096, noise, 3000);
	assert_int_equal(fixture_open(f), HF_ERR_STORE_DAMAGED);
	assert_non_null(strstr(f->why.text, "damaged"));

	write_at(f->path, 0, noise, sizeof(noise));
	assert_int_equal(fixture_open(f), HF_ERR_STORE_DAMAGED);
}

static void
refuses_writes_on_a_full_disk_and_recovers(void **state)
{
	struct fixture *f = *state;
	static uint8_t value[64 << 10];
	struct store_write w = { TEXT("large"), { value, sizeof(value) } };
	struct stat st;
	char log[160];

	(void)put(f->store, "before", "1");
	(void)snprintf(log, sizeof(log), "%s-wal", f->path);
	assert_int_equal(stat(log, &st), 0);
	assert_true(disk_limit((rlim_t)st.st_size + 8192));
	assert_int_equal(
	    store_commit(f->store, NULL, 0, &w, 1, NULL), HF_ERR_STORE_FULL);
	assert_int_equal(
	    store_commit(f->store, NULL, 0, &w, 1, NULL), HF_ERR_STORE_FULL);
	assert_true(holds(f->store, "before", "1"));
	assert_true(holds(f->store, "large", NULL));
	assert_true(disk_limit(RLIM_INFINITY));

	(void)put(f->store, "after", "1");
	fixture_close(f);
	assert_int_equal(fixture_open(f), HF_OK);
	assert_true(holds(f->store, "before", "1"));
	assert_true(holds(f->store, "large", NULL));
	assert_true(holds(f->store, "after", "1"));
	assert_int_equal(store_check(f->store, &f->why), HF_OK);
}

static bool
file_holds(const char *path, const char *ending, const char *what)
{
	static char buf[1 << 20];
	char name[256];
	ssize_t n;
	int fd;

	(void)snprintf(name, sizeof(name), "%s%s", path, ending);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, buf, sizeof(buf));
	(void)close(fd);
	return n > 0 && memmem(buf, (size_t)n, what, strlen(what)) != NULL;
}

static void
leaves_nothing_of_a_deleted_value_after_a_scrub(void **state)
{
	struct fixture *f = *state;
	const char *marked = "this-was-sealed-key-material-0123456789";

	(void)put(f->store, "deleted", marked);
	(void)put(f->store, "other", "x");
	(void)put(
	    f->store, "changed", "this-was-sealed-key-material-0123456789");
	assert_true(file_holds(f->path, "-wal", marked));
	(void)put(f->store, "deleted", NULL);
	(void)put(f->store, "changed", "y");
	assert_int_equal(store_scrub(f->store), HF_OK);
	assert_false(file_holds(f->path, "", marked));
	assert_false(file_holds(f->path, "-wal", marked));
	assert_true(holds(f->store, "changed", "y"));
}

/* -- Backup and restore -- */

struct busy {
	struct store *store;
	atomic_bool stop;
	unsigned commits;
};

/* Two keys that a consistent copy shows with the same number. */
static void *
keep_writing(void *arg)
{
	struct busy *b = arg;

	while (!atomic_load(&b->stop)) {
		uint8_t number[8];
		const struct store_write writes[] = { { TEXT("pair/a"),
							  { number, 8 } },
			{ TEXT("pair/b"), { number, 8 } } };

		put_u64(number, b->commits);
		if (store_commit(b->store, NULL, 0, writes, 2, NULL) != HF_OK)
			return NULL;
		b->commits++;
	}
	return arg;
}

static uint64_t
number_at(struct store *store, struct hf_text key)
{
	struct store_value got = { 0 };
	uint64_t number;

	assert_int_equal(store_get(store, key, &got), HF_OK);
	assert_int_equal(got.len, 8);
	number = get_u64(got.ptr);
	store_value_free(&got);
	return number;
}

static void
backs_up_a_store_in_use(void **state)
{
	struct fixture *f = *state;
	struct busy busy = { .store = f->store };
	struct store *copy = NULL;
	void *result = NULL;
	pthread_t thread;

	(void)put(f->store, "first", "1");
	assert_int_equal(pthread_create(&thread, NULL, keep_writing, &busy), 0);
	while (holds(f->store, "pair/a", NULL))
		(void)usleep(1000);
	assert_int_equal(store_backup(f->path, f->copy, &f->why), HF_OK);
	atomic_store(&busy.stop, true);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_non_null(result);

	/* One file: nothing beside it is needed. */
	assert_int_equal(mode_of(f->copy, "-wal"), 0);
	assert_int_equal(mode_of(f->copy, "-journal"), 0);
	assert_int_equal(store_open(f->copy, &copy, &f->why), HF_OK);
	assert_true(holds(copy, "first", "1"));
	assert_true(
	    number_at(copy, TEXT("pair/a")) == number_at(copy, TEXT("pair/b")));
	store_close(copy);

	assert_int_equal(store_backup(f->path, f->copy, &f->why), HF_ERR_STORE);
	assert_int_equal(store_check(f->store, &f->why), HF_OK);
}

static void
backs_up_a_store_that_nobody_uses(void **state)
{
	struct fixture *f = *state;

	(void)put(f->store, "a", "1");
	fixture_close(f);
	assert_int_equal(store_backup(f->path, f->copy, &f->why), HF_OK);
	(void)strcpy(f->path, f->copy);
	assert_int_equal(fixture_open(f), HF_OK);
	assert_true(holds(f->store, "a", "1"));
}

static void
makes_no_backup_of_nothing(void **state)
{
	struct fixture *f = *state;

	fixture_close(f);
	assert_int_equal(unlink(f->path), 0);
	assert_int_not_equal(store_backup(f->path, f->copy, &f->why), HF_OK);
	assert_int_equal(mode_of(f->path, ""), 0);
	assert_int_equal(mode_of(f->copy, ""), 0);
}

static void
makes_no_backup_over_a_file_or_nowhere(void **state)
{
	struct fixture *f = *state;

	(void)put(f->store, "a", "1");
	write_at(f->copy, 0, "mine", 4);
	assert_int_equal(store_backup(f->path, f->copy, &f->why), HF_ERR_STORE);
	assert_non_null(strstr(f->why.text, f->copy));
	assert_int_equal(mode_of(f->copy, ""), 0600);
	assert_int_equal(unlink(f->copy), 0);
	assert_int_equal(store_backup(f->path, "/nonexistent/copy.db", &f->why),
	    HF_ERR_STORE);
	assert_int_equal(unlink(f->path), 0);
	write_at(f->path, 0, "", 0);
	assert_int_equal(
	    store_backup(f->path, f->copy, &f->why), HF_ERR_STORE_DAMAGED);
	assert_non_null(strstr(f->why.text, "is empty, not a store"));
	assert_int_equal(mode_of(f->copy, ""), 0);
}

static void
restores_and_keeps_what_was_there(void **state)
{
	struct fixture *f = *state;

	(void)put(f->store, "a", "old");
	assert_int_equal(store_backup(f->path, f->copy, &f->why), HF_OK);
	(void)put(f->store, "a", "new");
	assert_int_equal(store_restore(f->copy, f->path, &f->why),
	    HF_ERR_STORE); /* in use */
	fixture_close(f);

	assert_int_equal(store_restore(f->copy, f->path, &f->why), HF_OK);
	assert_int_equal(mode_of(f->path, ""), 0600);
	assert_int_equal(fixture_open(f), HF_OK);
	assert_true(holds(f->store, "a", "old"));
	fixture_close(f);

	/* An earlier store is not thrown away by a second restore. */
	assert_int_equal(
	    store_restore(f->copy, f->path, &f->why), HF_ERR_STORE);
	assert_non_null(strstr(f->why.text, "before-restore"));
	assert_int_equal(mode_of(f->path, ".restoring"), 0);
	assert_int_equal(rename(f->kept, f->path), 0);
	assert_int_equal(fixture_open(f), HF_OK);
	assert_true(holds(f->store, "a", "new"));
}

static void
restores_where_there_is_no_store(void **state)
{
	struct fixture *f = *state;

	(void)put(f->store, "a", "1");
	assert_int_equal(store_backup(f->path, f->copy, &f->why), HF_OK);
	fixture_close(f);
	assert_int_equal(unlink(f->path), 0);
	assert_int_equal(store_restore(f->copy, f->path, &f->why), HF_OK);
	assert_int_equal(fixture_open(f), HF_OK);
	assert_true(holds(f->store, "a", "1"));
}

static void
restores_nothing_from_a_damaged_backup(void **state)
{
	struct fixture *f = *state;
	static char noise[2000];

	for (int i = 0; i < 200; i++) {
		char key[32];

		(void)snprintf(key, sizeof(key), "key/%d", i);
		(void)put(f->store, key, "some value that takes room");
	}
	assert_int_equal(store_backup(f->path, f->copy, &f->why), HF_OK);
	fixture_close(f);
	write_at(f->copy, 4096, noise, sizeof(noise));
	assert_int_equal(
	    store_restore(f->copy, f->path, &f->why), HF_ERR_STORE_DAMAGED);
	assert_int_equal(mode_of(f->kept, ""), 0);
	assert_int_equal(mode_of(f->path, ".restoring"), 0);
	assert_int_equal(fixture_open(f), HF_OK);
	assert_true(holds(f->store, "key/7", "some value that takes room"));
}

/* A crash leaves a log; it must not be applied to the restored file. */
static void
restores_over_a_store_that_was_killed(void **state)
{
	struct fixture *f = *state;
	int status = 0;
	pid_t child;

	(void)put(f->store, "a", "old");
	assert_int_equal(store_backup(f->path, f->copy, &f->why), HF_OK);
	fixture_close(f);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct store_write w = write_text("a", "new");

		if (fixture_open(f) != HF_OK ||
		    store_commit(f->store, NULL, 0, &w, 1, NULL) != HF_OK)
			_exit(1);
		(void)raise(SIGKILL);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(mode_of(f->path, "-wal"), 0600);

	assert_int_equal(store_restore(f->copy, f->path, &f->why), HF_OK);
	assert_int_equal(fixture_open(f), HF_OK);
	assert_true(holds(f->store, "a", "old"));
	fixture_close(f);
	assert_int_equal(rename(f->kept, f->path), 0);
	assert_int_equal(fixture_open(f), HF_OK);
	assert_true(holds(f->store, "a", "new"));
}

/* -- Killed at any moment -- */

enum { KILLS = 20, CHILD_THREADS = 4 };

struct child {
	struct store *store;
	unsigned round;
	atomic_uint next;
	int report;
};

static void
numbered_keys(unsigned round, unsigned number, char a[48], char b[48])
{
	(void)snprintf(a, 48, "a/%02u/%08u", round, number);
	(void)snprintf(b, 48, "b/%02u/%08u", round, number);
}

static void *
commit_numbers(void *arg)
{
	struct child *c = arg;

	for (;;) {
		unsigned number = atomic_fetch_add(&c->next, 1);
		char a[48], b[48];

		numbered_keys(c->round, number, a, b);

		const struct store_write writes[] = { write_text(a, "x"),
			write_text(b, "x") };

		if (store_commit(c->store, NULL, 0, writes, 2, NULL) != HF_OK ||
		    write(c->report, &number, sizeof(number)) != sizeof(number))
			_exit(1);
	}
}

static void
child_main(struct fixture *f, unsigned round, int report)
{
	struct child c = { .round = round, .report = report };
	pthread_t thread;

	if (fixture_open(f) != HF_OK)
		_exit(1);
	c.store = f->store;
	for (int i = 1; i < CHILD_THREADS; i++)
		if (pthread_create(&thread, NULL, commit_numbers, &c) != 0)
			_exit(1);
	(void)commit_numbers(&c);
}

/* Kills a child while it writes, and checks what it said was durable. */
static void
kill_one(struct fixture *f, unsigned round)
{
	int fds[2], status = 0;
	unsigned number, acknowledged = 0;
	static unsigned numbers[1 << 16];
	pid_t child;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		(void)close(fds[0]);
		child_main(f, round, fds[1]);
		_exit(1);
	}
	(void)close(fds[1]);
	assert_int_equal(read(fds[0], &number, sizeof(number)), sizeof(number));
	numbers[acknowledged++] = number;
	(void)usleep(1000 + (unsigned)rand() % 20000);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	while (read(fds[0], &number, sizeof(number)) == sizeof(number) &&
	    acknowledged < sizeof(numbers) / sizeof(numbers[0]))
		numbers[acknowledged++] = number;
	(void)close(fds[0]);

	assert_int_equal(fixture_open(f), HF_OK);
	for (unsigned i = 0; i < acknowledged; i++) {
		char a[48], b[48];

		numbered_keys(round, numbers[i], a, b);
		assert_true(holds(f->store, a, "x"));
		assert_true(holds(f->store, b, "x"));
	}
}

static bool
count_one(
    void *ctx, struct hf_text key, struct hf_bytes value, uint64_t revision)
{
	(void)key;
	(void)value;
	(void)revision;
	++*(size_t *)ctx;
	return true;
}

static void
loses_nothing_acknowledged_when_killed(void **state)
{
	struct fixture *f = *state;

	srand((unsigned)getpid());
	for (unsigned round = 0; round < KILLS; round++) {
		size_t a = 0, b = 0;
		struct hf_text none = { NULL, 0 };

		fixture_close(f);
		kill_one(f, round);
		assert_int_equal(
		    store_list(f->store, TEXT("a/"), none, 0, count_one, &a),
		    HF_OK);
		assert_int_equal(
		    store_list(f->store, TEXT("b/"), none, 0, count_one, &b),
		    HF_OK);
		assert_true(a > 0);
		assert_int_equal(a, b);
	}
	assert_int_equal(store_check(f->store, &f->why), HF_OK);
}

#define SQLITE_ONLY(test) \
	cmocka_unit_test_setup_teardown(test, setup_sqlite, teardown)
#define MEMORY_ONLY(test) \
	cmocka_unit_test_setup_teardown(test, setup_memory, teardown)
#define BOTH(test) SQLITE_ONLY(test), MEMORY_ONLY(test)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(reads_back_what_was_committed),
		BOTH(keeps_an_empty_value_apart_from_none),
		BOTH(takes_sql_for_what_it_is),
		BOTH(takes_a_rider_along_once),
		BOTH(writes_nothing_in_a_dry_run),
		BOTH(keeps_everything_when_it_is_opened_again),
		BOTH(lists_by_prefix_in_byte_order),
		BOTH(stops_a_list_when_asked_to),
		BOTH(commits_only_when_all_conditions_hold),
		BOTH(gives_a_deleted_key_a_newer_revision_when_it_comes_back),
		BOTH(refuses_what_is_out_of_bounds),
		BOTH(lets_one_of_many_racing_commits_win),
		SQLITE_ONLY(puts_commits_that_wait_on_the_disk_together),
		BOTH(tells_watchers_every_key_before_the_commit_returns),
		MEMORY_ONLY(fake_fails_before_or_after_a_commit),
		SQLITE_ONLY(makes_private_files_whatever_the_umask),
		SQLITE_ONLY(refuses_a_second_opening),
		SQLITE_ONLY(refuses_places_where_no_store_can_be),
		SQLITE_ONLY(refuses_what_is_no_file),
		SQLITE_ONLY(refuses_a_store_of_a_newer_version),
		SQLITE_ONLY(refuses_an_sqlite_file_of_somebody_else),
		SQLITE_ONLY(refuses_a_damaged_file),
		SQLITE_ONLY(refuses_writes_on_a_full_disk_and_recovers),
		SQLITE_ONLY(leaves_nothing_of_a_deleted_value_after_a_scrub),
		SQLITE_ONLY(backs_up_a_store_in_use),
		SQLITE_ONLY(backs_up_a_store_that_nobody_uses),
		SQLITE_ONLY(makes_no_backup_of_nothing),
		SQLITE_ONLY(makes_no_backup_over_a_file_or_nowhere),
		SQLITE_ONLY(restores_and_keeps_what_was_there),
		SQLITE_ONLY(restores_where_there_is_no_store),
		SQLITE_ONLY(restores_nothing_from_a_damaged_backup),
		SQLITE_ONLY(restores_over_a_store_that_was_killed),
		SQLITE_ONLY(loses_nothing_acknowledged_when_killed),
	};

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
