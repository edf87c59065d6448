/* SPDX-License-Identifier: Apache-2.0 */
#include "audit_fixture.h"

/* The file on the disk: that it goes, changes, tears, fills up and fails. */

/* -- The file -- */

static void
goes_on_in_a_new_file_after_a_rename(void **state)
{
	struct fixture *f = *state;

	log_some(f, 3);
	assert_int_equal(rename(f->file, f->older), 0);
	assert_int_equal(log_one(f, "still in the old one", false), HF_OK);
	assert_int_equal(audit_reopen(f->audit), HF_OK);
	log_some(f, 2);

	const char *text = contents(f->file);

	assert_int_equal(strncmp(text, "{\"seq\":6,", 9), 0);
	assert_non_null(
	    strstr(text, "\"type\":\"reopen\",\"reason\":\"asked\""));
	assert_int_equal(verify_both(f, f->older, f->file, &f->saved), HF_OK);
	assert_int_equal(f->report.lines, 8);
	assert_int_equal(f->report.notes, 0);
	assert_int_equal(
	    verify_both(f, f->file, f->older, NULL), HF_ERR_AUDIT_BROKEN);

	/* The newer one alone, too. */
	assert_int_equal(verify(f), HF_OK);
	assert_int_equal(f->report.first, 6);
	crash_log(f);
	open_log(f);
	assert_int_equal(verify_both(f, f->older, f->file, NULL), HF_OK);
	assert_int_equal(f->report.notes, 0);
}

/* The line that the store remembers is in the older file. */
static void
goes_on_in_a_new_file_that_a_crash_follows(void **state)
{
	struct fixture *f = *state;

	log_some(f, 3);
	close_log(f);
	open_log(f);
	assert_int_equal(rename(f->file, f->older), 0);
	assert_int_equal(audit_reopen(f->audit), HF_OK);
	log_some(f, 2);
	crash_log(f);
	open_log(f);
	assert_true(log_has(f, "\"file\":\"continued\""));
	assert_int_equal(verify_both(f, f->older, f->file, &f->saved), HF_OK);
	assert_int_equal(f->report.notes, 0);
}

static void
stays_with_a_file_that_was_not_renamed(void **state)
{
	struct fixture *f = *state;

	log_some(f, 1);
	assert_int_equal(audit_reopen(f->audit), HF_OK);
	assert_false(log_has(f, "reopen"));
}

static void
notices_that_its_file_was_removed(void **state)
{
	struct fixture *f = *state;

	log_some(f, 3);
	assert_int_equal(unlink(f->file), 0);
	audit_tick(f->audit);
	log_some(f, 1);
	assert_true(log_has(f, "\"type\":\"damage\",\"found\":\"removed\""));
	assert_int_equal(verify(f), HF_OK);
	assert_int_equal(f->report.first, 5);
	assert_int_equal(f->report.notes, 1);
}

static void
notices_that_its_file_was_renamed(void **state)
{
	struct fixture *f = *state;

	log_some(f, 3);
	assert_int_equal(rename(f->file, f->older), 0);
	audit_tick(f->audit);
	assert_int_equal(audit_reopen(f->audit), HF_OK);
	log_some(f, 1);
	assert_true(log_has(f, "\"type\":\"reopen\",\"reason\":\"renamed\""));
	assert_int_equal(verify_both(f, f->older, f->file, NULL), HF_OK);
	assert_int_equal(f->report.notes, 0);
}

static void
notices_that_its_file_was_cut(void **state)
{
	struct fixture *f = *state;

	log_some(f, 3);
	assert_int_equal(truncate(f->file, 0), 0);
	audit_tick(f->audit);
	assert_true(log_has(f, "\"type\":\"damage\",\"found\":\"resized\""));
	audit_tick(f->audit);
	assert_int_equal(verify(f), HF_OK);
	assert_int_equal(f->report.lines, 1);
}

static void
refuses_while_no_file_can_be_made(void **state)
{
	struct fixture *f = *state;
	uint64_t ticket = 0;
	struct audit_info info;

	log_some(f, 1);
	assert_int_equal(unlink(f->file), 0);
	assert_int_equal(mkdir(f->file, 0700), 0);
	audit_tick(f->audit);
	assert_int_equal(append(f, "x", &ticket), HF_ERR_AUDIT);
	audit_info(f->audit, &info);
	assert_true(info.broken);
	assert_int_not_equal(strlen(info.reason), 0);
	assert_int_equal(rmdir(f->file), 0);
	audit_tick(f->audit);
	log_some(f, 1);
	assert_int_equal(verify(f), HF_OK);
}

static void
cuts_off_a_torn_line_and_notes_it(void **state)
{
	struct fixture *f = *state;
	FILE *file;

	log_some(f, 2);
	close_log(f);
	file = fopen(f->file, "ae");
	assert_non_null(file);
	(void)fputs("{\"seq\":7,\"time\":\"20", file);
	(void)fclose(file);
	assert_int_equal(verify(f), HF_ERR_AUDIT_BROKEN);
	open_log(f);
	assert_true(log_has(f, "\"found\":\"torn\",\"bytes\":19"));
	assert_int_equal(verify_both(f, f->file, NULL, &f->saved), HF_OK);
	assert_int_equal(f->report.notes, 1);
}

/* What was not synced when the power went may be there in part. */
static void
keeps_a_torn_end_beside_the_log(void **state)
{
	struct fixture *f = *state;
	char aside[sizeof(f->file) + 32];
	char *text, *torn;
	size_t len, rest;

	log_some(f, 2);
	close_log(f);
	open_log(f);
	log_some(f, 3);
	crash_log(f);
	text = contents(f->file);
	len = strlen(text);
	torn = nth_line(text, 8) + 20; /* in the second of the three */
	rest = len - (size_t)(nth_line(text, 8) - text);
	memset(torn, 0, 100);
	replace_contents(f->file, text, len);
	open_log(f);
	assert_true(log_has(f, "\"found\":\"torn\",\"bytes\""));
	assert_int_equal(verify_both(f, f->file, NULL, &f->saved), HF_OK);
	assert_int_equal(f->report.notes, 1);
	(void)snprintf(aside, sizeof(aside), "%s.torn-7", f->file);

	struct stat st;

	assert_int_equal(stat(aside, &st), 0);
	assert_int_equal(st.st_size, rest);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void
refuses_to_start_when_a_torn_end_cannot_be_kept(void **state)
{
	struct fixture *f = *state;
	char aside[sizeof(f->file) + 32];
	char *text;

	log_some(f, 2);
	crash_log(f);
	text = contents(f->file);
	(void)snprintf(aside, sizeof(aside), "%s.torn-2", f->file);
	assert_int_equal(symlink("/dev/null", aside), 0);
	nth_line(text, 3)[10] ^= 1;
	replace_contents(f->file, text, strlen(text));
	assert_int_equal(
	    audit_open(&f->settings, &f->backing, &f->audit, &f->why),
	    HF_ERR_AUDIT);
	assert_non_null(strstr(f->why.text, "audit.log.torn-2"));
	assert_int_equal(unlink(aside), 0);
	open_log(f);
	assert_true(log_has(f, "\"found\":\"torn\""));
}

static void
notes_that_the_file_is_missing(void **state)
{
	struct fixture *f = *state;

	log_some(f, 2);
	close_log(f);
	assert_int_equal(rename(f->file, f->older), 0);
	open_log(f);
	assert_true(log_has(f, "\"found\":\"missing\",\"expected\":5"));
	assert_int_equal(verify(f), HF_OK);
	assert_int_equal(f->report.first, 6);
	assert_int_equal(f->report.notes, 1);
	/* Where it was moved away only, the chain over both is whole. */
	assert_int_equal(verify_both(f, f->older, f->file, NULL), HF_OK);
}

static void
notes_that_the_file_is_shorter(void **state)
{
	struct fixture *f = *state;
	char *text;

	log_some(f, 2);
	close_log(f);
	text = contents(f->file);
	replace_contents(f->file, text, (size_t)(nth_line(text, 3) - text));
	open_log(f);
	assert_true(log_has(f, "\"found\":\"shorter\",\"expected\":5"));
	assert_int_equal(verify(f), HF_ERR_AUDIT_BROKEN);
	assert_non_null(strstr(f->why.text, "audit.log:3: "));
	assert_non_null(strstr(f->why.text, "lines are missing"));
}

static void
notes_that_the_file_is_different(void **state)
{
	struct fixture *f = *state;
	char *text, *digit;

	log_some(f, 2);
	close_log(f);
	text = contents(f->file);
	digit = strstr(nth_line(text, 5), "\"time\":\"20") + 10;
	*digit = *digit == '9' ? '8' : '9';
	replace_contents(f->file, text, strlen(text));
	open_log(f);
	assert_true(log_has(f, "\"found\":\"different\",\"expected\":5"));
	assert_int_equal(verify(f), HF_ERR_AUDIT_BROKEN);
}

/* It would hide what stood before. */
static void
notes_that_a_new_file_lacks_its_beginning(void **state)
{
	struct fixture *f = *state;
	char *text;

	log_some(f, 3);
	close_log(f);
	open_log(f);
	assert_int_equal(rename(f->file, f->older), 0);
	assert_int_equal(audit_reopen(f->audit), HF_OK);
	log_some(f, 3);
	crash_log(f);
	text = contents(f->file);
	text = nth_line(text, 2);
	replace_contents(f->file, text, strlen(text));
	open_log(f);
	assert_true(log_has(f, "\"found\":\"different\""));
	assert_int_equal(
	    verify_both(f, f->older, f->file, NULL), HF_ERR_AUDIT_BROKEN);
}

/* -- Failure -- */

static void
refuses_on_a_full_disk_and_recovers(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	uint64_t ticket = 0;
	struct audit_info info;
	const char *text;

	log_some(f, 3);
	assert_int_equal(stat(f->file, &st), 0);
	assert_true(disk_limit((rlim_t)st.st_size + 100)); /* half a line */
	assert_int_equal(log_one(f, "late", false), HF_ERR_AUDIT);
	assert_int_equal(append(f, "refused", &ticket), HF_ERR_AUDIT);
	audit_info(f->audit, &info);
	assert_true(info.broken);
	assert_non_null(strstr(info.reason, "write: "));
	text = contents(f->file);
	assert_int_equal(text[strlen(text) - 1], '\n');
	assert_int_equal(verify(f), HF_OK);
	audit_tick(f->audit); /* still full */
	assert_int_equal(append(f, "refused", &ticket), HF_ERR_AUDIT);

	assert_true(disk_limit(RLIM_INFINITY));
	audit_tick(f->audit);
	audit_info(f->audit, &info);
	assert_false(info.broken);
	log_some(f, 1);
	assert_int_equal(verify(f), HF_OK);
	assert_true(log_has(f, "\"what\":\"late\""));
	assert_false(log_has(f, "\"what\":\"refused\""));
	assert_true(log_has(f, "\"type\":\"recovered\",\"reason\":\"write: "));
	assert_true(log_has(f, "\"from\":5,\"to\":5,"));
}

/* What was done before the log broke is in there later; nothing more is. */
static void
keeps_the_lines_of_a_turn_in_which_it_broke(void **state)
{
	struct fixture *f = *state;
	static char room[4096];
	struct audit_batch b = { .buf = room, .cap = sizeof(room) };
	uint64_t ticket = 0;
	struct stat st;

	log_some(f, 3);
	assert_int_equal(stat(f->file, &st), 0);
	assert_int_equal(collect(f, &b, "done"), HF_OK);
	assert_true(disk_limit((rlim_t)st.st_size));
	assert_int_equal(log_one(f, "late", false), HF_ERR_AUDIT);
	assert_int_equal(collect(f, &b, "refused"), HF_ERR_AUDIT);
	assert_int_equal(audit_commit(f->audit, &b, &ticket), HF_OK);
	assert_int_equal(audit_flush(f->audit, ticket, false), HF_ERR_AUDIT);
	assert_true(disk_limit(RLIM_INFINITY));
	audit_tick(f->audit);
	log_some(f, 1);
	assert_int_equal(verify(f), HF_OK);
	assert_true(log_has(f, "\"what\":\"done\""));
	assert_false(log_has(f, "\"what\":\"refused\""));
	assert_true(log_has(f, "\"from\":5,\"to\":6,"));
}

static void
recovers_by_a_flush_after_a_second(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	uint64_t ticket = 0;

	log_some(f, 1);
	assert_int_equal(stat(f->file, &st), 0);
	assert_true(disk_limit((rlim_t)st.st_size));
	assert_int_equal(append(f, "late", &ticket), HF_OK);
	assert_int_equal(audit_flush(f->audit, ticket, false), HF_ERR_AUDIT);
	assert_true(disk_limit(RLIM_INFINITY));
	(void)usleep(1100000);
	assert_int_equal(audit_flush(f->audit, ticket, false), HF_OK);
	log_some(f, 1);
	assert_int_equal(verify(f), HF_OK);
}

static void
refuses_when_the_disk_does_not_sync_and_recovers(void **state)
{
	struct fixture *f = *state;
	uint64_t ticket = 0;

	log_some(f, 3);
	atomic_store(&sync_fails, true);
	assert_int_equal(log_one(f, "unsafe", true), HF_ERR_AUDIT);
	assert_int_equal(append(f, "refused", &ticket), HF_ERR_AUDIT);
	audit_tick(f->audit);
	assert_int_equal(append(f, "refused", &ticket), HF_ERR_AUDIT);
	atomic_store(&sync_fails, false);
	audit_tick(f->audit);
	assert_int_equal(log_one(f, "safe", true), HF_OK);
	assert_int_equal(verify(f), HF_OK);
	assert_true(log_has(f, "\"reason\":\"fdatasync: "));
	assert_int_equal(f->report.lines, 7);
}

static void
loses_no_acknowledged_line_when_killed(void **state)
{
	struct fixture *f = *state;

	close_log(f);
	for (unsigned round = 0; round < 8; round++) {
		int fds[2], status = 0;
		uint64_t ticket = 0, last = 0;
		pid_t child;

		assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
		child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			open_log(f);
			while (append(f, "numbered", &ticket) == HF_OK &&
			    audit_flush(f->audit, ticket, false) == HF_OK &&
			    write(fds[1], &ticket, sizeof(ticket)) > 0)
				;
			_exit(1);
		}
		(void)close(fds[1]);
		assert_int_equal(
		    read(fds[0], &last, sizeof(last)), sizeof(last));
		(void)usleep(500 + (unsigned)rand() % 5000);
		assert_int_equal(kill(child, SIGKILL), 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		while (read(fds[0], &ticket, sizeof(ticket)) == sizeof(ticket))
			last = ticket;
		(void)close(fds[0]);
		open_log(f);
		assert_int_equal(verify(f), HF_OK);
		assert_true(f->report.last > last);
		close_log(f);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(goes_on_in_a_new_file_after_a_rename),
		TEST(goes_on_in_a_new_file_that_a_crash_follows),
		TEST(notes_that_a_new_file_lacks_its_beginning),
		TEST(stays_with_a_file_that_was_not_renamed),
		TEST(notices_that_its_file_was_removed),
		TEST(notices_that_its_file_was_renamed),
		TEST(notices_that_its_file_was_cut),
		TEST(refuses_while_no_file_can_be_made),
		TEST(cuts_off_a_torn_line_and_notes_it),
		TEST(keeps_a_torn_end_beside_the_log),
		TEST(refuses_to_start_when_a_torn_end_cannot_be_kept),
		TEST(notes_that_the_file_is_missing),
		TEST(notes_that_the_file_is_shorter),
		TEST(notes_that_the_file_is_different),
		TEST(refuses_on_a_full_disk_and_recovers),
		TEST(keeps_the_lines_of_a_turn_in_which_it_broke),
		TEST(recovers_by_a_flush_after_a_second),
		TEST(refuses_when_the_disk_does_not_sync_and_recovers),
		TEST(loses_no_acknowledged_line_when_killed),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
