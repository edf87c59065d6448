/* SPDX-License-Identifier: Apache-2.0 */
/* What the command line shows to somebody who waits, and to nobody else. */
#include "../../tools/bar.h"
#include "../../tools/progress.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static int terminal, kept;
static char seen[8192];

/* Standard error becomes a terminal, or a pipe. */
static void
open_stderr(bool is_terminal)
{
	int fds[2];

	if (is_terminal)
		assert_int_equal(
		    openpty(&fds[0], &fds[1], NULL, NULL, NULL), 0);
	else
		assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	terminal = fds[0];
	kept = dup(STDERR_FILENO);
	assert_true(dup2(fds[1], STDERR_FILENO) >= 0);
	(void)close(fds[1]);
}

/* All that was shown so far. */
static const char *
close_stderr(void)
{
	struct pollfd p = { .events = POLLIN };
	size_t len = 0;

	(void)fflush(stderr);
	p.fd = terminal;
	while (len + 1 < sizeof(seen) && poll(&p, 1, 0) == 1 &&
	    (p.revents & POLLIN) != 0) {
		ssize_t n = read(terminal, seen + len, sizeof(seen) - 1 - len);

		if (n <= 0)
			break;
		len += (size_t)n;
	}
	seen[len] = '\0';
	assert_true(dup2(kept, STDERR_FILENO) >= 0);
	(void)close(kept);
	(void)close(terminal);
	return seen;
}

/* Signals do not shorten it. */
static void
wait_ms(long ms)
{
	struct timespec left = { ms / 1000, ms % 1000 * 1000000 };

	while (nanosleep(&left, &left) != 0)
		;
}

static void
assert_shows(const char *what)
{
	if (strstr(seen, what) == NULL)
		fail_msg("'%s' is not in '%s'", what, seen);
}

static void
a_long_work_has_a_bar(void **state)
{
	struct bar b;

	(void)state;
	open_stderr(true);
	bar_start(&b, "sealing", UINT64_C(4) << 30, false);
	bar_move(&b, 1 << 20); /* too early to say anything */
	assert_false(b.visible);
	wait_ms(600);
	bar_move(&b, UINT64_C(1) << 30);
	assert_true(b.visible);
	bar_move(&b, UINT64_C(2) << 30); /* too soon after the last */
	wait_ms(150);
	bar_move(&b, UINT64_C(3) << 30);
	bar_stop(&b);
	(void)close_stderr();
	assert_shows("\rholdfast: sealing  25 % [######                  ] "
		     "1.0 GiB, ");
	assert_shows("iB/s, ");
	assert_shows(" s left\033[K");
	assert_shows("  75 % [##################      ] 3.0 GiB, ");
	assert_null(strstr(seen, " 50 %"));
	/* And at its end there is nothing of it. */
	assert_string_equal(seen + strlen(seen) - 4, "\r\033[K");
}

/* A pipe does not say how much will come, and files grow. */
static void
a_work_of_unknown_size_shows_what_was_done(void **state)
{
	struct bar b;

	(void)state;
	open_stderr(true);
	bar_start(&b, "opening", 0, false);
	wait_ms(600);
	bar_move(&b, 1000);
	wait_ms(150);
	b.total = 1500;
	bar_move(&b, 2000);
	bar_stop(&b);
	(void)close_stderr();
	assert_shows("\rholdfast: opening 1000 B, ");
	assert_shows("\rholdfast: opening 2.0 KiB, ");
	assert_null(strchr(seen, '%'));
	assert_null(strstr(seen, "left"));
}

static void
a_bar_is_for_terminals_and_for_those_who_want_it(void **state)
{
	struct bar b;

	(void)state;
	for (int i = 0; i < 2; i++) {
		open_stderr(i == 0);
		bar_start(&b, "sealing", 100, i == 0);
		wait_ms(600);
		bar_move(&b, 50);
		bar_stop(&b);
		assert_string_equal(close_stderr(), "");
	}
}

static void
a_long_wait_shows_a_sign_of_life(void **state)
{
	(void)state;
	open_stderr(true);
	progress_start("waiting for the service");
	wait_ms(2500);
	progress_stop();
	wait_ms(1200); /* nothing more after that */
	progress_stop();
	assert_string_equal(
	    close_stderr(), "holdfast: waiting for the service..\r\n");
}

static void
a_short_wait_and_a_pipe_show_nothing(void **state)
{
	(void)state;
	open_stderr(true);
	progress_start("waiting for the service");
	progress_stop();
	assert_string_equal(close_stderr(), "");
	open_stderr(false);
	progress_start("waiting for the service");
	wait_ms(1300);
	progress_stop();
	assert_string_equal(close_stderr(), "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_long_work_has_a_bar),
		cmocka_unit_test(a_work_of_unknown_size_shows_what_was_done),
		cmocka_unit_test(
		    a_bar_is_for_terminals_and_for_those_who_want_it),
		cmocka_unit_test(a_long_wait_shows_a_sign_of_life),
		cmocka_unit_test(a_short_wait_and_a_pipe_show_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
