/* SPDX-License-Identifier: Apache-2.0 */
#include "audit_fixture.h"

/* The promises of audit.h: the chain, and who waits for what. */

/* -- The chain -- */

static void
starts_a_private_file_with_a_chain(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	const char *line;

	log_some(f, 3);
	assert_int_equal(stat(f->file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	line = contents(f->file);
	assert_int_equal(strncmp(line, "{\"seq\":1,\"time\":\"20", 19), 0);
	assert_non_null(strstr(line,
	    "Z\",\"type\":\"start\",\"version\":\"" HOLDFAST_VERSION
	    "\",\"file\":\"new\",\"prev\":\"0000000000000000"));
	assert_non_null(strstr(line, "\n{\"seq\":4,\"time\":\""));

	assert_int_equal(verify(f), HF_OK);
	assert_int_equal(f->report.lines, 4);
	assert_int_equal(f->report.first, 1);
	assert_int_equal(f->report.last, 4);
	assert_int_equal(f->report.unsigned_lines, 4);
	assert_int_equal(f->report.notes, 0);
	assert_int_equal(
	    strlen(f->report.last_time), strlen("2026-01-02T03:04:05.123456Z"));

	struct audit_info info;

	audit_info(f->audit, &info);
	assert_int_equal(info.sequence, 4);
	assert_memory_equal(info.head, f->report.head, 32);
	assert_false(info.broken);
}

static void
chains_by_the_hash_of_the_whole_line(void **state)
{
	struct fixture *f = *state;
	const char *text, *second;
	uint8_t hash[32];
	char hex[65];

	log_some(f, 1);
	text = contents(f->file);
	second = strchr(text, '\n') + 1;
	assert_int_equal(
	    crypto_sha256(bytes_of(text, (size_t)(second - text)), hash),
	    HF_OK);
	hex_encode(hash, 32, hex);
	assert_non_null(strstr(second, hex));
}

static void
goes_on_with_the_chain_after_a_restart(void **state)
{
	struct fixture *f = *state;

	log_some(f, 3);
	close_log(f);
	open_log(f);
	log_some(f, 2);
	assert_int_equal(verify_both(f, f->file, NULL, &f->saved), HF_OK);
	assert_true(log_has(f, "\"type\":\"stop\""));
	assert_true(log_has(f, "\"file\":\"continued\""));
	assert_int_equal(f->report.notes, 0);
	assert_int_equal(f->report.checkpoints, 1);
	/* start, 3, stop, checkpoint, start, 2 */
	assert_int_equal(f->report.lines, 9);
	assert_int_equal(f->report.unsigned_lines, 3);
}

static void
goes_on_after_a_crash_behind_the_last_checkpoint(void **state)
{
	struct fixture *f = *state;

	f->settings.checkpoint_lines = 2;
	close_log(f);
	open_log(f);
	log_some(f, 3);
	audit_tick(f->audit);
	log_some(f, 30);
	crash_log(f);
	open_log(f);
	log_some(f, 1);
	assert_int_equal(verify_both(f, f->file, NULL, &f->saved), HF_OK);
	assert_int_equal(f->report.notes, 0);
}

/* The line that the store remembers is far from both ends. */
static void
finds_the_remembered_line_in_a_large_file(void **state)
{
	struct fixture *f = *state;
	uint64_t ticket = 0;

	f->settings.checkpoint_lines = 1;
	close_log(f);
	open_log(f);
	for (unsigned i = 0; i < 9000; i++) {
		assert_int_equal(append(f, "something", &ticket), HF_OK);
		if (i % 1000 == 0)
			assert_int_equal(
			    audit_flush(f->audit, ticket, false), HF_OK);
		if (i == 4500)
			audit_tick(f->audit);
	}
	assert_int_equal(audit_flush(f->audit, ticket, false), HF_OK);
	assert_true(f->saved.sequence > 4000 && f->saved.sequence < 5000);
	crash_log(f);
	open_log(f);
	assert_int_equal(verify_both(f, f->file, NULL, &f->saved), HF_OK);
	assert_int_equal(f->report.notes, 0);
	assert_true(f->report.last > 9000);
}

static void
numbers_checkpoints_on_though_the_store_forgot_one(void **state)
{
	struct fixture *f = *state;
	struct audit_head before;

	f->settings.checkpoint_lines = 1;
	close_log(f);
	before = f->saved;
	open_log(f);
	log_some(f, 1);
	audit_tick(f->audit);
	crash_log(f);
	f->saved = before;
	open_log(f);
	log_some(f, 1);
	audit_tick(f->audit);
	assert_int_equal(verify(f), HF_OK);
	assert_int_equal(f->report.notes, 0);
	assert_int_equal(f->report.last_checkpoint, 3);
}

enum { THREADS = 8, LINES = 300 };

struct worker {
	struct fixture *f;
	bool sync;
};

static void *
log_many(void *arg)
{
	struct worker *w = arg;

	for (int i = 0; i < LINES; i++)
		if (log_one(w->f, "from a thread", w->sync) != HF_OK)
			return NULL;
	return arg;
}

static void
run_threads(struct worker *w)
{
	pthread_t threads[THREADS];

	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, log_many, w), 0);
	for (int i = 0; i < 5; i++)
		audit_tick(w->f->audit);
	for (size_t i = 0; i < THREADS; i++) {
		void *result = NULL;

		assert_int_equal(pthread_join(threads[i], &result), 0);
		assert_non_null(result);
	}
}

static void
takes_lines_from_many_threads(void **state)
{
	struct fixture *f = *state;
	struct worker w = { f, false };

	run_threads(&w);
	assert_int_equal(verify(f), HF_OK);
	assert_true(f->report.lines > THREADS * LINES);
}

static void
syncs_for_many_at_once(void **state)
{
	struct fixture *f = *state;
	struct worker w = { f, true };

	run_threads(&w);
	assert_int_equal(verify(f), HF_OK);
	assert_true(f->report.lines > THREADS * LINES);
	assert_true(atomic_load(&syncs) < THREADS * LINES);
}

enum { CROWD = 40 };

struct one {
	struct fixture *f;
	enum hf_err result;
};

static void *
log_synced(void *arg)
{
	struct one *one = arg;

	one->result = log_one(one->f, "of a crowd", true);
	return NULL;
}

/* One thread's sync is on its way, and CROWD more have appended lines that are
 * to be on the disk. */
static void
crowd_up(struct fixture *f, struct one *all, pthread_t *threads)
{
	struct audit_info before, info;

	(void)sem_init(&sync_reached, 0, 0);
	(void)sem_init(&sync_open, 0, 0);
	audit_info(f->audit, &before);
	atomic_store(&syncs, 0);
	atomic_store(&sync_held, true);
	for (size_t i = 0; i <= CROWD; i++) {
		all[i] = (struct one){ f, HF_OK };
		assert_int_equal(
		    pthread_create(&threads[i], NULL, log_synced, &all[i]), 0);
		if (i == 0)
			(void)sem_wait(&sync_reached);
	}
	do {
		(void)sched_yield();
		audit_info(f->audit, &info);
	} while (info.sequence < before.sequence + CROWD + 1);
}

static void
crowd_goes(pthread_t *threads)
{
	(void)sem_post(&sync_open);
	for (size_t i = 0; i <= CROWD; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	(void)sem_destroy(&sync_reached);
	(void)sem_destroy(&sync_open);
}

static void
one_sync_is_for_all_who_wait(void **state)
{
	struct fixture *f = *state;
	struct one all[CROWD + 1];
	pthread_t threads[CROWD + 1];

	crowd_up(f, all, threads);
	crowd_goes(threads);
	for (size_t i = 0; i <= CROWD; i++)
		assert_int_equal(all[i].result, HF_OK);
	/* The one on its way, and one for all the others. */
	assert_int_equal(atomic_load(&syncs), 2);
	assert_int_equal(verify(f), HF_OK);
}

static void
all_who_wait_hear_of_a_failed_sync(void **state)
{
	struct fixture *f = *state;
	struct one all[CROWD + 1];
	pthread_t threads[CROWD + 1];

	crowd_up(f, all, threads);
	atomic_store(&sync_fails, true);
	crowd_goes(threads);
	atomic_store(&sync_fails, false);
	for (size_t i = 0; i <= CROWD; i++)
		assert_int_equal(all[i].result, HF_ERR_AUDIT);
}

static void
syncs_only_when_asked(void **state)
{
	struct fixture *f = *state;

	atomic_store(&syncs, 0);
	log_some(f, 10);
	assert_int_equal(atomic_load(&syncs), 0);
	assert_int_equal(log_one(f, "x", true), HF_OK);
	assert_int_equal(atomic_load(&syncs), 1);

	f->settings.sync_every = true;
	close_log(f);
	open_log(f);
	atomic_store(&syncs, 0);
	log_some(f, 10);
	assert_int_equal(atomic_load(&syncs), 10);
}

static void
refuses_lines_when_the_buffer_is_full(void **state)
{
	struct fixture *f = *state;
	uint64_t ticket = 0, last = 0;
	enum hf_err err;

	while ((err = append(f, "waiting", &ticket)) == HF_OK)
		last = ticket;
	assert_int_equal(err, HF_ERR_AUDIT);
	assert_int_equal(audit_flush(f->audit, last, false), HF_OK);
	assert_int_equal(append(f, "again", &ticket), HF_OK);
	assert_int_equal(ticket, last + 1);
	assert_int_equal(audit_flush(f->audit, ticket, false), HF_OK);
	assert_int_equal(verify(f), HF_OK);
}

/* -- Lines of a turn -- */

static void
lines_of_a_turn_join_the_chain_together(void **state)
{
	struct fixture *f = *state;
	static char room[4096];
	struct audit_batch b = { .buf = room, .cap = sizeof(room) };
	uint64_t ticket = 0;
	const char *text;

	assert_int_equal(audit_commit(f->audit, &b, &ticket), HF_OK);
	assert_int_equal(ticket, 0);
	assert_int_equal(collect(f, &b, "one"), HF_OK);
	assert_int_equal(collect(f, &b, "two"), HF_OK);
	log_some(f, 1); /* by another thread */
	assert_false(log_has(f, "\"what\":\"one\""));
	assert_int_equal(audit_commit(f->audit, &b, &ticket), HF_OK);
	assert_int_equal(b.len, 0);
	assert_int_equal(ticket, 4);
	assert_int_equal(audit_flush(f->audit, ticket, false), HF_OK);
	assert_int_equal(verify(f), HF_OK);
	assert_int_equal(f->report.lines, 4);
	text = contents(f->file);
	assert_non_null(strstr(text, "{\"seq\":3,\"time\":\"20"));
	assert_true(strstr(text, "\"something\"") < strstr(text, "\"one\""));
	assert_true(strstr(text, "\"one\"") < strstr(text, "\"two\""));
}

static void
a_turn_with_more_lines_than_room_loses_none(void **state)
{
	struct fixture *f = *state;
	static char room[400], what[450];
	struct audit_batch b = { .buf = room, .cap = sizeof(room) };
	uint64_t ticket = 0;

	for (int i = 0; i < 10; i++) {
		(void)snprintf(what, sizeof(what), "line %d", i);
		assert_int_equal(collect(f, &b, what), HF_OK);
	}
	memset(what, 'x', sizeof(what) - 1); /* longer than all the room */
	assert_int_equal(collect(f, &b, what), HF_OK);
	assert_int_equal(collect(f, &b, "last"), HF_OK);
	assert_int_equal(audit_commit(f->audit, &b, &ticket), HF_OK);
	assert_int_equal(ticket, 13);
	assert_int_equal(audit_flush(f->audit, ticket, false), HF_OK);
	assert_int_equal(verify(f), HF_OK);
	assert_int_equal(f->report.lines, 13);
	assert_true(strstr(contents(f->file), "line 9") <
	    strstr(contents(f->file), "xxx"));
	assert_true(strstr(contents(f->file), "xxx") <
	    strstr(contents(f->file), "\"last\""));
}

static void
a_turn_whose_lines_do_not_fit_stays_refused(void **state)
{
	struct fixture *f = *state;
	static char room[4096];
	struct audit_batch b = { .buf = room, .cap = sizeof(room) };
	uint64_t ticket = 0, last = 0;

	assert_int_equal(collect(f, &b, "too late"), HF_OK);
	while (append(f, "waiting", &ticket) == HF_OK)
		last = ticket;
	assert_int_equal(audit_commit(f->audit, &b, &ticket), HF_ERR_AUDIT);
	assert_int_equal(audit_flush(f->audit, last, false), HF_OK);
	assert_int_equal(collect(f, &b, "after"), HF_OK);
	assert_int_equal(audit_commit(f->audit, &b, &ticket), HF_ERR_AUDIT);
	b.failed = false; /* all were told */
	assert_int_equal(audit_commit(f->audit, &b, &ticket), HF_OK);
	assert_int_equal(audit_flush(f->audit, ticket, false), HF_OK);
	assert_int_equal(verify(f), HF_OK);
	assert_true(log_has(f, "\"what\":\"after\""));
	assert_false(log_has(f, "\"what\":\"too late\""));
}

static void
refuses_a_log_that_another_writes(void **state)
{
	struct fixture *f = *state;
	struct audit *second = NULL;

	assert_int_equal(
	    audit_open(&f->settings, &f->backing, &second, &f->why),
	    HF_ERR_AUDIT);
	assert_non_null(strstr(f->why.text, "another process"));
}

/* -- Checkpoints -- */

static void
signs_a_checkpoint_every_so_many_lines(void **state)
{
	struct fixture *f = *state;
	unsigned saves;

	f->settings.checkpoint_lines = 5;
	close_log(f);
	open_log(f);
	saves = f->saves;
	log_some(f, 2);
	audit_tick(f->audit);
	assert_int_equal(f->saves, saves);
	log_some(f, 3);
	audit_tick(f->audit);
	audit_tick(f->audit);
	assert_int_equal(f->saves, saves + 1);
	assert_int_equal(verify_both(f, f->file, NULL, &f->saved), HF_OK);
	assert_int_equal(f->report.unsigned_lines, 0);
	assert_int_equal(f->report.last, f->saved.sequence);
	assert_int_equal(f->report.last_checkpoint, f->saved.checkpoint);

	struct audit_info info;

	audit_info(f->audit, &info);
	assert_int_equal(info.checkpoint, f->saved.checkpoint);
	assert_int_equal(info.checkpoint_sequence, f->saved.sequence);
}

static void
signs_a_checkpoint_after_some_time(void **state)
{
	struct fixture *f = *state;
	unsigned saves;

	f->settings.checkpoint_seconds = 1;
	close_log(f);
	open_log(f);
	saves = f->saves;
	log_some(f, 1);
	(void)usleep(2100000);
	audit_tick(f->audit);
	assert_int_equal(f->saves, saves + 1);
	(void)usleep(1100000);
	audit_tick(f->audit); /* nothing new, nothing to sign */
	assert_int_equal(f->saves, saves + 1);
}

static void
makes_the_checkpoint_later_when_the_hsm_is_away(void **state)
{
	struct fixture *f = *state;

	f->settings.checkpoint_lines = 1;
	close_log(f);
	assert_int_equal(unlink(f->pem), 0);
	f->hsm_away = true;
	open_log(f);
	log_some(f, 1);
	audit_tick(f->audit);
	assert_int_equal(access(f->pem, F_OK), -1);
	assert_int_equal(verify(f), HF_OK);
	assert_int_equal(f->report.checkpoints, 1);
	f->hsm_away = false;
	audit_tick(f->audit);
	assert_int_equal(verify(f), HF_OK);
	assert_int_equal(f->report.checkpoints, 2);
	assert_non_null(strstr(contents(f->pem), "BEGIN PUBLIC KEY"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(starts_a_private_file_with_a_chain),
		TEST(chains_by_the_hash_of_the_whole_line),
		TEST(goes_on_with_the_chain_after_a_restart),
		TEST(goes_on_after_a_crash_behind_the_last_checkpoint),
		TEST(finds_the_remembered_line_in_a_large_file),
		TEST(numbers_checkpoints_on_though_the_store_forgot_one),
		TEST(takes_lines_from_many_threads),
		TEST(syncs_for_many_at_once),
		TEST(one_sync_is_for_all_who_wait),
		TEST(all_who_wait_hear_of_a_failed_sync),
		TEST(syncs_only_when_asked),
		TEST(refuses_lines_when_the_buffer_is_full),
		TEST(lines_of_a_turn_join_the_chain_together),
		TEST(a_turn_with_more_lines_than_room_loses_none),
		TEST(a_turn_whose_lines_do_not_fit_stays_refused),
		TEST(refuses_a_log_that_another_writes),
		TEST(signs_a_checkpoint_every_so_many_lines),
		TEST(signs_a_checkpoint_after_some_time),
		TEST(makes_the_checkpoint_later_when_the_hsm_is_away),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
