/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../keyd/leave.h"
#include "../../keyd/log.h"

static char said[4096];

/* What `body` writes to standard error, in a process that has it as a pipe. */
static void
listen_to(void (*body)(void))
{
	size_t len = 0;
	int ends[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	(void)fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (dup2(ends[1], STDERR_FILENO) < 0)
			leave(1);
		body();
		leave(0);
	}
	(void)close(ends[1]);
	while ((n = read(ends[0], said + len, sizeof(said) - 1 - len)) > 0)
		len += (size_t)n;
	said[len] = '\0';
	(void)close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
one_of_each(void)
{
	(void)unsetenv("JOURNAL_STREAM");
	log_error("%d", 1);
	log_warning("%d", 2);
	log_info("%d", 3);
	log_debug("%d", 4);
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("%d", 5);
	log_set_level(LOG_LEVEL_ERROR);
	log_warning("%d", 6);
	log_error("%d", log_threshold() == LOG_LEVEL_ERROR ? 7 : 8);
}

static void
writes_what_is_above_the_threshold(void **state)
{
	(void)state;
	listen_to(one_of_each);
	assert_string_equal(said,
	    "holdfast-keyd: error: 1\nholdfast-keyd: warning: 2\n"
	    "holdfast-keyd: 3\nholdfast-keyd: 5\nholdfast-keyd: error: 7\n");
}

static void
for_the_journal(void)
{
	(void)setenv("JOURNAL_STREAM", "8:12345", 1);
	log_set_level(LOG_LEVEL_DEBUG);
	log_error("a");
	log_warning("b");
	log_info("c");
	log_debug("d");
}

static void
gives_the_journal_its_priorities(void **state)
{
	(void)state;
	listen_to(for_the_journal);
	assert_string_equal(said, "<3>error: a\n<4>warning: b\n<6>c\n<7>d\n");
}

/* A name or a path may come from whoever wants a line of their own. */
static void
forged(void)
{
	(void)unsetenv("JOURNAL_STREAM");
	log_info("no file %s", "x\nholdfast-keyd: ready\r\x1b[2J\ty\x01");
}

static void
nobody_adds_a_line_to_a_message(void **state)
{
	(void)state;
	listen_to(forged);
	assert_string_equal(
	    said, "holdfast-keyd: no file x holdfast-keyd: ready  [2J y \n");
}

static void
endless(void)
{
	static char text[3000];

	memset(text, 'x', sizeof(text) - 1);
	(void)unsetenv("JOURNAL_STREAM");
	log_error("%s", text);
	log_error("after");
}

static void
cuts_a_long_message_and_ends_its_line(void **state)
{
	const char *end;

	(void)state;
	listen_to(endless);
	end = strchr(said, '\n');
	assert_non_null(end);
	assert_in_range(end - said, 1000, 1023);
	assert_string_equal(end, "\nholdfast-keyd: error: after\n");
}

static void
to_nobody(void)
{
	(void)close(STDERR_FILENO);
	log_error("nobody reads this");
	log_error("nor this");
}

static void
goes_on_when_nobody_reads(void **state)
{
	(void)state;
	listen_to(to_nobody);
	assert_string_equal(said, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_what_is_above_the_threshold),
		cmocka_unit_test(gives_the_journal_its_priorities),
		cmocka_unit_test(nobody_adds_a_line_to_a_message),
		cmocka_unit_test(cuts_a_long_message_and_ends_its_line),
		cmocka_unit_test(goes_on_when_nobody_reads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
