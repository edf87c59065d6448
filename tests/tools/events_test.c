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
static const char hsm_event[] = "hsm.lost {\"event\":\"hsm.lost\","
				"\"subject\":\"\x1b[31m\",\"time\":\"T\"}";

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

static pid_t
start_tool(const char *const *args, int *out)
{
	int fds[2];
	pid_t pid;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		(void)dup2(fds[1], 1);
		(void)execv(tool, (char *const *)(uintptr_t)args);
		_exit(127);
	}
	(void)close(fds[1]);
	*out = fds[0];
	return pid;
}

static void
stop_tool(pid_t pid, int out)
{
	int status;

	assert_int_equal(kill(pid, SIGTERM), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	(void)close(out);
}

/* In a child of its own: after its first use nng allows no fork. */
static pid_t
start_publisher(void)
{
	pid_t pid = fork();
	nng_socket pub;

	if (pid != 0)
		return pid;
	if (nng_pub0_open(&pub) != 0 || nng_listen(pub, url, NULL, 0) != 0)
		_exit(1);
	for (;;) {
		(void)nng_send(pub, (void *)(uintptr_t)hsm_event,
		    sizeof(hsm_event) - 1, 0);
		(void)nng_send(pub, (void *)(uintptr_t)key_event,
		    sizeof(key_event) - 1, 0);
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
	    "T  hsm.lost  ?[31m");
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
		cmocka_unit_test(says_when_nobody_publishes),
	};

	return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
