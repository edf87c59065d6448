/* SPDX-License-Identifier: Apache-2.0 */
/* holdfast events, against a publisher of nng's own. */
#include <fcntl.h>
#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const char tool[] = TEST_BINARY_DIR "/bin/holdfast";
static const char key_event[] = "key.rotated {\"event\":\"key.rotated\","
				"\"subject\":\"payments\",\"time\":\"T\"}";
static const char hsm_event[] =
    "hsm.lost {\"event\":\"hsm.lost\","
    "\"subject\":\"\x1b[31m\xc2\x9b\",\"time\":\"T\"}";
/* What no service sends: no object; a text that does not end. */
static const char odd_event[] = "odd\x7f";
static const char cut_event[] = "cut {\"subject\":\"pay";

static char folder[] = "/tmp/hf-events-XXXXXX";
static char url[100];

static int
make_folder(void **state)
{
	(void)state;
	if (mkdtemp(folder) == NULL)
		return -1;
	(void)snprintf(url, sizeof(url), "ipc://%s/events.sock", folder);
	return 0;
}

static int
drop_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

/* What it says on stderr goes to `err`, when that is not negative. */
static pid_t
start_tool_with(const char *const *args, int *out, int err)
{
	int fds[2];
	pid_t pid;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		/* A reader that goes is an error then, not an end. */
		(void)signal(SIGPIPE, SIG_IGN);
		(void)dup2(fds[1], 1);
		if (err >= 0)
			(void)dup2(err, 2);
		(void)execv(tool, (char *const *)(uintptr_t)args);
		_exit(127);
	}
	(void)close(fds[1]);
	*out = fds[0];
	return pid;
}

static pid_t
start_tool(const char *const *args, int *out)
{
	return start_tool_with(args, out, -1);
}

/* It ends by itself when nobody reads what it has to say. */
static void
stop_tool(pid_t pid, int out)
{
	int status;

	(void)close(out);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* In a child of its own: after its first use nng allows no fork. */
static pid_t
start_publisher(void)
{
	pid_t pid = fork();
	nng_socket pub;

	if (pid != 0)
		return pid;
	/* It must not keep a reader of ours alive. */
	(void)close_range(3, ~0U, 0);
	if (nng_pub0_open(&pub) != 0 || nng_listen(pub, url, NULL, 0) != 0)
		_exit(1);
	for (;;) {
		(void)nng_send(pub, (void *)(uintptr_t)hsm_event,
		    sizeof(hsm_event) - 1, 0);
		(void)nng_send(pub, (void *)(uintptr_t)key_event,
		    sizeof(key_event) - 1, 0);
		(void)nng_send(pub, (void *)(uintptr_t)odd_event,
		    sizeof(odd_event) - 1, 0);
		(void)nng_send(pub, (void *)(uintptr_t)cut_event,
		    sizeof(cut_event) - 1, 0);
		(void)usleep(20000);
	}
}

static void
wait_for_socket(void)
{
	const char *path = url + strlen("ipc://");

	for (int i = 0; i < 500 && access(path, F_OK) != 0; i++)
		(void)usleep(10000);
	assert_int_equal(access(path, F_OK), 0);
}

static void
assert_first_line(const char *const *args, const char *expected)
{
	pid_t publisher = start_publisher();
	struct pollfd p = { .events = POLLIN };
	char line[600];
	int out, status;
	ssize_t n;
	pid_t pid;

	wait_for_socket();
	pid = start_tool(args, &out);
	p.fd = out;
	assert_int_equal(poll(&p, 1, 20000), 1);
	n = read(out, line, sizeof(line) - 1);
	assert_true(n > 0);
	line[n] = '\0';
	*strchrnul(line, '\n') = '\0';
	stop_tool(pid, out);
	assert_int_equal(kill(publisher, SIGKILL), 0);
	assert_int_equal(waitpid(publisher, &status, 0), publisher);
	(void)unlink(url + strlen("ipc://"));
	assert_string_equal(line, expected);
}

static void
prints_a_line_an_event_of_the_type_asked_for(void **state)
{
	(void)state;
	assert_first_line(
	    (const char *const[]){ tool, "events", "--url", url, "key.", NULL },
	    "T  key.rotated  payments");
}

static void
prints_the_object_with_json(void **state)
{
	(void)state;
	assert_first_line((const char *const[]){ tool, "-o", "json", "events",
			      "--url", url, "key", NULL },
	    key_event + strlen("key.rotated "));
}

static void
an_event_cannot_speak_to_the_terminal(void **state)
{
	(void)state;
	assert_first_line(
	    (const char *const[]){ tool, "events", "--url", url, "hsm", NULL },
	    "T  hsm.lost  ?[31m?");
}

static void
a_message_that_is_no_event_is_a_line_all_the_same(void **state)
{
	(void)state;
	assert_first_line(
	    (const char *const[]){ tool, "events", "--url", url, "odd", NULL },
	    "  odd?  ");
	assert_first_line(
	    (const char *const[]){ tool, "events", "--url", url, "cut", NULL },
	    "  cut  ");
	assert_first_line((const char *const[]){ tool, "-o", "json", "events",
			      "--url", url, "odd", NULL },
	    "");
}

static void
finds_the_feed_by_the_environment(void **state)
{
	(void)state;
	(void)setenv("HOLDFAST_EVENTS", url, 1);
	assert_first_line((const char *const[]){ tool, "events", "key", NULL },
	    "T  key.rotated  payments");
	(void)unsetenv("HOLDFAST_EVENTS");
}

/* Who waits must learn why nothing comes, once. */
static void
says_that_the_feed_was_closed(void **state)
{
	pid_t publisher = start_publisher(), pid;
	char line[600];
	int out, err[2], status;
	struct pollfd p = { .events = POLLIN };
	ssize_t n;

	(void)state;
	assert_int_equal(pipe2(err, O_CLOEXEC), 0);
	wait_for_socket();
	pid = start_tool_with(
	    (const char *const[]){ tool, "events", "--url", url, NULL }, &out,
	    err[1]);
	(void)close(err[1]);
	p.fd = out;
	assert_int_equal(poll(&p, 1, 20000), 1);
	assert_int_equal(kill(publisher, SIGKILL), 0);
	assert_int_equal(waitpid(publisher, &status, 0), publisher);
	p.fd = err[0];
	assert_int_equal(poll(&p, 1, 20000), 1);
	n = read(err[0], line, sizeof(line) - 1);
	assert_true(n > 0);
	line[n] = '\0';
	assert_string_equal(line,
	    "holdfast: the service closed the feed: it stopped, or you may "
	    "not read sys/events; trying again\n");
	(void)unlink(url + strlen("ipc://"));
	/* It goes on as soon as there is a service again. */
	publisher = start_publisher();
	stop_tool(pid, out);
	(void)close(err[0]);
	assert_int_equal(kill(publisher, SIGKILL), 0);
	assert_int_equal(waitpid(publisher, &status, 0), publisher);
	(void)unlink(url + strlen("ipc://"));
}

static void
takes_one_type_and_a_url(void **state)
{
	static const char *const wrong[][6] = {
		{ tool, "events", "key", "hsm", NULL },
		{ tool, "events", "--follow", NULL },
		{ tool, "events", "--url", "nowhere", NULL },
	};
	static const int statuses[] = { 1, 1, 3 };
	int out, status;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		pid_t pid = start_tool(wrong[i], &out);

		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(WEXITSTATUS(status), statuses[i]);
		(void)close(out);
	}
}

static void
says_when_nobody_publishes(void **state)
{
	int out, status;
	pid_t pid = start_tool(
	    (const char *const[]){ tool, "events", "--url", url, NULL }, &out);

	(void)state;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 3);
	(void)close(out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prints_a_line_an_event_of_the_type_asked_for),
		cmocka_unit_test(prints_the_object_with_json),
		cmocka_unit_test(an_event_cannot_speak_to_the_terminal),
		cmocka_unit_test(
		    a_message_that_is_no_event_is_a_line_all_the_same),
		cmocka_unit_test(finds_the_feed_by_the_environment),
		cmocka_unit_test(says_that_the_feed_was_closed),
		cmocka_unit_test(takes_one_type_and_a_url),
		cmocka_unit_test(says_when_nobody_publishes),
	};

	return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
