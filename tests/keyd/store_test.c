/* SPDX-License-Identifier: Apache-2.0 */
#include "store_fixture.h"

/* What holds for every engine. */

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
	};

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
