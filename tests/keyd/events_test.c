/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/events.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <nng/nng.h>
#include <nng/protocol/pubsub0/sub.h>

#include "../../lib/bytes.h"
#include "../../lib/frame.h"

struct fixture {
	char dir[40], file[64], url[80];
	struct policy_store *policy;
	struct events *events;
};

static struct hf_why why;

/* `may`: whether who runs the test may listen. */
static void
set_policy(struct fixture *f, bool may)
{
	FILE *out = fopen(f->file, "w");

	assert_non_null(out);
	assert_int_equal(fchmod(fileno(out), 0600), 0);
	assert_true(fprintf(out,
			"path \"sys/%s\" { capabilities = [\"read\"] }\n"
			"bind { subjects = [\"uid:%u\"] }\n",
			may ? "events" : "status", getuid()) > 0);
	assert_int_equal(fclose(out), 0);
	if (f->policy != NULL)
		assert_int_equal(policy_reload(f->policy, &why), HF_OK);
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/events_test.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->file, sizeof(f->file), "%s/p.hcl", f->dir);
	(void)snprintf(f->url, sizeof(f->url), "ipc://%s/sock", f->dir);
	set_policy(f, true);
	assert_int_equal(policy_open(f->dir, &f->policy, &why), HF_OK);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	events_close(f->events);
	policy_close(f->policy);
	assert_int_equal(unlink(f->file), 0);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

static nng_socket
subscribed(const struct fixture *f, const char *to)
{
	nng_socket s;

	assert_int_equal(nng_sub0_open(&s), 0);
	assert_int_equal(
	    nng_socket_set(s, NNG_OPT_SUB_SUBSCRIBE, to, strlen(to)), 0);
	assert_int_equal(nng_socket_set_ms(s, NNG_OPT_RECVTIMEO, 200), 0);
	assert_int_equal(nng_dial(s, f->url, NULL, 0), 0);
	return s;
}

/* Publishes until the subscriber has one, or for a while; what it got. */
static const char *
heard(struct fixture *f, nng_socket s, const char *event, const char *subject,
    int times)
{
	static char line[600];

	for (int i = 0; i < times; i++) {
		size_t len = sizeof(line) - 1;

		events_publish(f->events, event, subject);
		if (nng_recv(s, line, &len, 0) != 0)
			continue;
		line[len] = '\0';
		return line;
	}
	return NULL;
}

static void
open_feed(struct fixture *f)
{
	assert_int_equal(
	    events_open(f->url, f->policy, &f->events, &why), HF_OK);
}

static void
tells_who_may_read_the_events(void **state)
{
	static const char start[] =
	    "key.rotated {\"event\":\"key.rotated\",\"subject\":\"web\","
	    "\"time\":\"2";
	struct fixture *f = *state;
	const char *line;
	nng_socket s;

	open_feed(f);
	s = subscribed(f, "key.");
	line = heard(f, s, "key.rotated", "web", 50);
	assert_non_null(line);
	assert_memory_equal(line, start, sizeof(start) - 1);
	assert_string_equal(line + strlen(line) - 2, "\"}");
	(void)nng_close(s);
}

static void
tells_nobody_else(void **state)
{
	struct fixture *f = *state;
	nng_socket s;

	set_policy(f, false);
	open_feed(f);
	assert_int_equal(nng_sub0_open(&s), 0);
	assert_int_equal(nng_socket_set_ms(s, NNG_OPT_RECVTIMEO, 200), 0);
	assert_int_equal(nng_socket_set(s, NNG_OPT_SUB_SUBSCRIBE, "", 0), 0);
	assert_int_not_equal(nng_dial(s, f->url, NULL, 0), 0);
	/* nor when it tries again by itself */
	assert_int_equal(nng_dial(s, f->url, NULL, NNG_FLAG_NONBLOCK), 0);
	assert_null(heard(f, s, "key.rotated", "web", 3));
	(void)nng_close(s);
}

/* Asked again for each that connects. */
static void
a_reload_lets_in_who_connects_then(void **state)
{
	struct fixture *f = *state;
	nng_socket s;

	set_policy(f, false);
	open_feed(f);
	set_policy(f, true);
	s = subscribed(f, "");
	assert_non_null(heard(f, s, "key.rotated", "web", 50));
	(void)nng_close(s);
}

static void
a_line_is_whole_or_not_sent(void **state)
{
	struct fixture *f = *state;
	char longest[600];
	nng_socket s;

	open_feed(f);
	s = subscribed(f, "");
	assert_non_null(heard(f, s, "key.created", "", 50));
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_null(heard(f, s, "key.created", longest, 2));
	assert_null(heard(f, s, "key.created", NULL, 2));
	events_publish(NULL, "key.created", "x"); /* there is no feed */
	(void)nng_close(s);
}

static void
refuses_an_address_where_nobody_knows_who_listens(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(
	    events_open("tcp://127.0.0.1:0", f->policy, &f->events, &why),
	    HF_ERR_BAD_SETTINGS);
	assert_non_null(strstr(why.text, "is not an ipc:// address"));
	assert_int_equal(
	    events_open("", f->policy, &f->events, &why), HF_ERR_BAD_SETTINGS);
	assert_null(f->events);
}

static void
says_where_it_cannot_listen(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(
	    events_open("ipc:///nonexistent/sock", f->policy, &f->events, &why),
	    HF_ERR_SYSTEM);
	assert_non_null(strstr(why.text, "ipc:///nonexistent/sock"));
	assert_null(f->events);
}

/* -- What cannot be had of nng's own subscriber -- */

static int
dialled(const struct fixture *f)
{
	const struct timeval patience = { .tv_sec = 5 };
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s/sock", f->dir);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
			     sizeof(patience)),
	    0);
	return fd;
}

/* Whether the feed says its hello, or hangs up. */
static bool
is_greeted(int fd)
{
	uint8_t hello[FRAME_HELLO];
	ssize_t n = recv(fd, hello, sizeof(hello), MSG_WAITALL);

	if (n <= 0)
		return false;
	assert_int_equal(n, FRAME_HELLO);
	assert_true(frame_hello_ok(FRAME_PUB, hello));
	return true;
}

/* The end of the connection: not that nothing came for a while. */
static void
assert_gone(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, 0);

	assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
	(void)close(fd);
}

static void
greet(int fd)
{
	uint8_t hello[FRAME_HELLO];

	assert_true(is_greeted(fd));
	frame_hello(FRAME_SUB, hello);
	assert_int_equal(
	    send(fd, hello, FRAME_HELLO, MSG_NOSIGNAL), FRAME_HELLO);
}

/* It is told as long as it may be, and not of what comes after. */
static void
a_reload_sends_away_who_may_no_longer(void **state)
{
	struct fixture *f = *state;
	struct pollfd told = { .events = POLLIN };
	char all[16384];
	size_t len = 0;
	ssize_t n;

	open_feed(f);
	told.fd = dialled(f);
	greet(told.fd);
	for (int i = 0; i < 100 && told.revents == 0; i++) {
		events_publish(f->events, "key.rotated", "before");
		assert_return_code(poll(&told, 1, 50), errno);
	}
	set_policy(f, true);
	events_publish(f->events, "key.rotated", "between");
	set_policy(f, false);
	events_publish(f->events, "key.rotated", "after");
	while ((n = recv(told.fd, all + len, sizeof(all) - len, 0)) > 0)
		len += (size_t)n;
	assert_int_equal(n, 0);
	assert_non_null(memmem(all, len, "before", 6));
	assert_non_null(memmem(all, len, "between", 7));
	assert_null(memmem(all, len, "after", 5));
	(void)close(told.fd);
}

/* However many they are and however still they keep, they cost nothing. */
static void
strangers_are_sent_away_at_once(void **state)
{
	struct fixture *f = *state;

	set_policy(f, false);
	open_feed(f);
	for (int i = 0; i < 300; i++)
		assert_gone(dialled(f));
}

static void
one_user_has_so_many_and_no_more(void **state)
{
	enum { EACH = 16 };
	struct fixture *f = *state;
	int fd[EACH], more;

	open_feed(f);
	for (size_t i = 0; i < EACH; i++) {
		fd[i] = dialled(f);
		assert_true(is_greeted(fd[i]));
	}
	assert_gone(dialled(f));
	(void)close(fd[0]);
	for (int i = 0; i < 100; i++) {
		more = dialled(f);
		if (is_greeted(more))
			break;
		(void)close(more);
		more = -1;
		(void)usleep(10000);
	}
	assert_true(more >= 0);
	(void)close(more);
	for (size_t i = 1; i < EACH; i++)
		(void)close(fd[i]);
}

static void
who_says_something_else_is_sent_away(void **state)
{
	struct fixture *f = *state;
	uint8_t hello[FRAME_HELLO];
	int fd;

	open_feed(f);
	fd = dialled(f);
	assert_true(is_greeted(fd));
	frame_hello(FRAME_REQ, hello);
	assert_int_equal(
	    send(fd, hello, FRAME_HELLO, MSG_NOSIGNAL), FRAME_HELLO);
	assert_gone(fd);

	fd = dialled(f);
	greet(fd);
	assert_int_equal(send(fd, "?", 1, MSG_NOSIGNAL), 1);
	assert_gone(fd);
}

/* A hello bit by bit is one all the same. Then it reads nothing for long: whole
 * messages are lost, never a part of one, and nobody waited. */
static void
who_does_not_read_loses_whole_messages(void **state)
{
	enum { EVENTS = 20000 };
	struct fixture *f = *state;
	uint8_t hello[FRAME_HELLO], head[9], body[512];
	size_t len;
	int fd, got = 0;

	open_feed(f);
	fd = dialled(f);
	assert_true(is_greeted(fd));
	frame_hello(FRAME_SUB, hello);
	for (size_t i = 0; i < FRAME_HELLO; i++) {
		assert_int_equal(send(fd, hello + i, 1, MSG_NOSIGNAL), 1);
		(void)usleep(1000);
	}
	(void)usleep(50000);
	for (int i = 0; i < EVENTS; i++)
		events_publish(f->events, "key.rotated", "web");
	(void)shutdown(fd, SHUT_WR); /* the feed hangs up */
	while (recv(fd, head, sizeof(head), MSG_WAITALL) == sizeof(head)) {
		assert_int_equal(head[0], 1);
		len = (size_t)get_u64(head + 1);
		assert_in_range(len, 20, sizeof(body) - 1);
		assert_int_equal(recv(fd, body, len, MSG_WAITALL), len);
		body[len] = '\0';
		assert_memory_equal(body, "key.rotated {", 13);
		assert_int_equal(body[len - 1], '}');
		got++;
	}
	assert_in_range(got, 10, EVENTS - 1);
	(void)close(fd);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tells_who_may_read_the_events),
		TEST(tells_nobody_else),
		TEST(a_reload_lets_in_who_connects_then),
		TEST(a_line_is_whole_or_not_sent),
		TEST(refuses_an_address_where_nobody_knows_who_listens),
		TEST(says_where_it_cannot_listen),
		TEST(a_reload_sends_away_who_may_no_longer),
		TEST(strangers_are_sent_away_at_once),
		TEST(one_user_has_so_many_and_no_more),
		TEST(who_says_something_else_is_sent_away),
		TEST(who_does_not_read_loses_whole_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
