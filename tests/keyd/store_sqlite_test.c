/* SPDX-License-Identifier: Apache-2.0 */
#include "store_fixture.h"

/* What SQLite adds: a file that is checked, copied, and survives. */

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
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
