/* SPDX-License-Identifier: Apache-2.0 */
#include "transport_fixture.h"

#include <sys/wait.h>

#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>

enum { MIB = 1 << 20 };

/* -- What it is for -- */

static void
answers_a_request(void **state)
{
	struct fixture *f = *state;
	int fd;

	start(f);
	fd = connected(f);
	ask(fd, 1, "hello");
	hear_text(fd, 1, "hello");
	ask(fd, 2, "");
	hear_text(fd, 2, "");
	(void)close(fd);
	wait_until(stats(f).connections == 0);
	assert_int_equal(stats(f).requests, 2);
	assert_int_equal(stats(f).accepted, 1);
	assert_int_equal(stats(f).bytes_in, 8 + 13 + 5 + 13);
	assert_int_equal(stats(f).bytes_out, 8 + 13 + 5 + 13);
}

static void
answers_a_request_that_comes_byte_by_byte(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[FRAME_HELLO + 2 * 20];
	size_t len = FRAME_HELLO;
	int fd;

	start(f);
	fd = dial(f);
	frame_hello(FRAME_REQ, bytes);
	len += put_frame(bytes + len, 1, "one", 3);
	len += put_frame(bytes + len, 2, "defer", 5);
	for (size_t i = 0; i < len; i++) {
		send_all(fd, bytes + i, 1);
		sleep_ms(2);
	}
	recv_all(fd, bytes, FRAME_HELLO);
	hear_text(fd, 1, "one");
	hear_text(fd, 2, "defer");
	(void)close(fd);
}

static void
serves_a_plain_libnng_client(void **state)
{
	struct fixture *f = *state;
	char url[100], buf[16];
	size_t len;
	nng_socket req;

	start(f);
	(void)snprintf(url, sizeof(url), "ipc://%s", f->socket);
	assert_int_equal(nng_req0_open(&req), 0);
	assert_int_equal(nng_socket_set_ms(req, NNG_OPT_RECVTIMEO, 5000), 0);
	assert_int_equal(nng_dial(req, url, NULL, 0), 0);
	for (char c = 'a'; c < 'k'; c++) {
		(void)snprintf(buf, sizeof(buf), "defer %c", c);
		assert_int_equal(nng_send(req, buf, 7, 0), 0);
		memset(buf, 0, sizeof(buf));
		len = sizeof(buf);
		assert_int_equal(nng_recv(req, buf, &len, 0), 0);
		assert_int_equal(len, 7);
		assert_int_equal(buf[6], c);
	}
	assert_int_equal(nng_close(req), 0);
}

static void
serves_nngcat(void **state)
{
	struct fixture *f = *state;
	char command[200], line[100] = "";
	FILE *out;

	start(f);
	(void)snprintf(command, sizeof(command),
	    "nngcat --req0 --dial ipc://%s --data knock --quoted", f->socket);
	out = popen(command, "r");
	assert_non_null(out);
	assert_non_null(fgets(line, sizeof(line), out));
	assert_int_equal(pclose(out), 0);
	assert_string_equal(line, "\"knock\"\n");
}

static void
fast_requests_overtake_slow_ones(void **state)
{
	struct fixture *f = *state;
	int fd;

	start(f);
	fd = connected(f);
	ask(fd, 1, "sleep:400");
	ask(fd, 2, "sleep:100");
	ask(fd, 3, "fast");
	hear_text(fd, 3, "fast");
	hear_text(fd, 2, "sleep:100");
	hear_text(fd, 1, "sleep:400");
	(void)close(fd);
}

static void
answers_everybody_who_pipelines(void **state)
{
	struct fixture *f = *state;
	uint8_t frames[500 * 20];
	size_t len = 0;
	bool heard[500] = { false };
	char text[16];
	int fd;

	start(f);
	fd = connected(f);
	for (uint32_t i = 0; i < 500; i++) {
		(void)snprintf(text, sizeof(text), "no %u", i);
		len += put_frame(frames + len, i, text, strlen(text));
	}
	send_all(fd, frames, len);
	for (uint32_t i = 0; i < 500; i++) {
		struct reply r = hear(fd);

		assert_true(r.id < 500 && !heard[r.id]);
		heard[r.id] = true;
		(void)snprintf(text, sizeof(text), "no %u", r.id);
		assert_string_equal((char *)r.body, text);
		free(r.body);
	}
	(void)close(fd);
}

static void
echo_large(int fd, const char *word, size_t len)
{
	uint8_t *body = malloc(len);
	struct reply r;

	assert_non_null(body);
	for (size_t i = 0; i < len; i++)
		body[i] = (uint8_t)(i * 7 >> 3);
	memcpy(body, word, strlen(word));
	ask_bytes(fd, 5, body, len);
	r = hear(fd);
	assert_int_equal(r.id, 5);
	assert_int_equal(r.len, len);
	assert_memory_equal(r.body, body, len);
	free(r.body);
	free(body);
}

static void
carries_messages_up_to_the_limit(void **state)
{
	struct fixture *f = *state;
	int fd;

	start(f);
	fd = connected(f);
	echo_large(fd, "inline", 16 * MIB);
	echo_large(fd, "defer", 16 * MIB);
	echo_large(fd, "inline", 40000);
	echo_large(fd, "defer", 100000);
	echo_large(fd, "inline", 16 * MIB);
	(void)close(fd);
	wait_until(stats(f).connections == 0);
}

static void
answers_after_the_peer_is_done_sending(void **state)
{
	struct fixture *f = *state;
	int fd;

	start(f);
	fd = connected(f);
	ask(fd, 1, "sleep:100");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	hear_text(fd, 1, "sleep:100");
	assert_true(is_hung_up(fd));
	(void)close(fd);
}

static void
survives_a_peer_that_is_gone_before_its_reply(void **state)
{
	struct fixture *f = *state;
	int fd;

	start(f);
	for (int i = 0; i < 10; i++) {
		fd = connected(f);
		ask(fd, 1, "sleep:50");
		ask(fd, 2, "dlarge:2000000");
		ask(fd, 3, "large:2000000");
		(void)close(fd);
	}
	wait_until(stats(f).connections == 0);
	fd = connected(f);
	ask(fd, 1, "still there");
	hear_text(fd, 1, "still there");
	(void)close(fd);
}

static void
passes_the_identity_on(void **state)
{
	struct fixture *f = *state;
	char label[32];
	int fd;

	start(f);
	fd = connected(f);
	(void)snprintf(label, sizeof(label), "uid=%u", geteuid());
	ask(fd, 1, "who");
	hear_text(fd, 1, label);
	(void)close(fd);
}

static void
drops_what_the_pipeline_hung_on_a_connection(void **state)
{
	struct fixture *f = *state;
	int with = -1, without = -1;

	start(f);
	with = connected(f);
	without = connected(f);
	ask(with, 1, "a");
	hear_text(with, 1, "a");
	ask(with, 2, "b");
	hear_text(with, 2, "b");
	(void)close(with);
	(void)close(without);
	wait_until(stats(f).connections == 0);
	assert_int_equal(atomic_load(&seen.drops), 1);
}

static void
spreads_connections_evenly(void **state)
{
	struct fixture *f = *state;
	int fds[8];
	char threads[8][16];
	unsigned like_first = 0;

	start(f);
	for (size_t i = 0; i < 8; i++) {
		struct reply r;

		fds[i] = connected(f);
		ask(fds[i], 1, "thread");
		r = hear(fds[i]);
		(void)snprintf(threads[i], 16, "%s", (char *)r.body);
		free(r.body);
		like_first += strcmp(threads[i], threads[0]) == 0;
	}
	assert_int_equal(like_first, 4);
	for (size_t i = 0; i < 8; i++)
		(void)close(fds[i]);
}

/* -- Audit -- */

static void
flushes_the_audit_log_once_for_a_batch(void **state)
{
	struct fixture *f = *state;
	uint8_t frames[40 * 20];
	size_t len = 0;
	int fd;

	start(f);
	fd = connected(f);
	for (uint32_t i = 0; i < 40; i++)
		len += put_frame(frames + len, i, "audit", 5);
	send_all(fd, frames, len);
	for (uint32_t i = 0; i < 40; i++)
		hear_text(fd, i, "audit");
	assert_int_equal(atomic_load(&seen.commits), 1);
	assert_int_equal(atomic_load(&seen.flushes), 1);
	assert_int_equal(atomic_load(&seen.syncs), 0);
	ask(fd, 1, "audit-sync");
	hear_text(fd, 1, "audit-sync");
	assert_int_equal(atomic_load(&seen.syncs), 1);
	ask(fd, 2, "no audit");
	hear_text(fd, 2, "no audit");
	assert_int_equal(atomic_load(&seen.flushes), 2);
	assert_int_equal(atomic_load(&seen.commits), 1);
	(void)close(fd);
}

static void
no_reply_leaves_when_the_lines_of_its_turn_are_lost(void **state)
{
	struct fixture *f = *state;
	uint8_t frames[10 * 20];
	size_t len = 0;
	int fd;

	start(f);
	fd = connected(f);
	atomic_store(&seen.commit_fails, true);
	for (uint32_t i = 0; i < 10; i++)
		len += put_frame(frames + len, i, "audit", 5);
	send_all(fd, frames, len);
	for (uint32_t i = 0; i < 10; i++)
		hear_text(fd, i, audit_failed);
	assert_int_equal(atomic_load(&seen.flushes), 0);
	atomic_store(&seen.commit_fails, false);
	ask(fd, 22, "audit");
	hear_text(fd, 22, "audit");
	assert_int_equal(atomic_load(&seen.flushes), 1);
	(void)close(fd);
}

static void
no_reply_leaves_without_its_audit_line(void **state)
{
	struct fixture *f = *state;
	uint8_t frames[10 * 60];
	size_t len = 0;
	char *large = malloc(50000);
	int fd;

	assert_non_null(large);
	memset(large, 'x', 50000);
	memcpy(large, "audit", 5);
	start(f);
	fd = connected(f);
	atomic_store(&seen.flush_fails, true);
	for (uint32_t i = 0; i < 10; i++)
		len += put_frame(frames + len, i, "audit and some secret", 21);
	send_all(fd, frames, len);
	for (uint32_t i = 0; i < 10; i++)
		hear_text(fd, i, audit_failed);
	ask(fd, 20, "daudit");
	hear_text(fd, 20, audit_failed);
	ask_bytes(fd, 21, large, 50000);
	hear_text(fd, 21, audit_failed);
	atomic_store(&seen.flush_fails, false);
	ask(fd, 22, "audit");
	hear_text(fd, 22, "audit");
	(void)close(fd);
	free(large);
}

static void
a_failed_flush_spares_what_a_worker_flushed(void **state)
{
	struct fixture *f = *state;
	int fd;

	f->settings.io_threads = 1;
	start(f);
	fd = connected(f);
	ask(fd, 1, "defer");
	hear_text(fd, 1, "defer");
	atomic_store(&seen.flush_fails, true);
	ask(fd, 2, "defer");
	hear_text(fd, 2, "defer");
	(void)close(fd);
}

/* The replies of a turn may be too many for its buffer: the one that did not
 * fit has its line among those that were to be written for the others. */
static void
the_first_reply_of_a_second_half_needs_its_line_too(void **state)
{
	enum { LINE = 12000 };
	struct fixture *f = *state;
	uint8_t *frames = malloc(LINE + 1000);
	char line[LINE] = "audit";
	size_t len = 0;
	struct reply r;
	int fd;

	assert_non_null(frames);
	memset(line + 5, '.', sizeof(line) - 5);
	f->settings.io_threads = 1;
	start(f);
	fd = connected(f);
	atomic_store(&seen.flush_fails, true);
	for (uint32_t id = 1; id <= 4; id++)
		len += put_frame(frames + len, id, "large:30000", 11);
	len += put_frame(frames + len, 5, line, sizeof(line));
	send_all(fd, frames, len);
	do {
		r = hear(fd);
		if (r.id == 5)
			assert_string_equal((char *)r.body, audit_failed);
		free(r.body);
	} while (r.id != 5);
	free(frames);
	(void)close(fd);
}

/* -- The end -- */

static void
a_graceful_stop_finishes_what_is_in_flight(void **state)
{
	struct fixture *f = *state;
	int busy, idle, fd;

	start(f);
	idle = connected(f);
	busy = connected(f);
	ask(busy, 1, "sleep:300");
	ask(busy, 2, "sleep:200");
	wait_until(stats(f).deferred == 2);
	transport_stop(f->transport, 5000);
	hear_text(busy, 2, "sleep:200");
	hear_text(busy, 1, "sleep:300");
	assert_true(is_hung_up(busy));
	assert_true(is_hung_up(idle));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)close(fd);
	(void)close(busy);
	(void)close(idle);
}

static void
a_stop_does_not_wait_beyond_its_time(void **state)
{
	struct fixture *f = *state;
	int fd;

	f->settings.workers = 1;
	start(f);
	fd = connected(f);
	for (uint32_t i = 0; i < 20; i++)
		ask(fd, i, "sleep:300");
	wait_until(stats(f).deferred == 20);
	transport_stop(f->transport, 50);
	/* The one that ran, and perhaps one more that had begun. */
	assert_true(atomic_load(&seen.runs) <= 20 + 3);
	assert_true(is_hung_up(fd));
	(void)close(fd);
}

static int
talk_until_hung_up(int fd)
{
	static uint8_t buf[200000];
	size_t len;

	do
		len = put_frame(buf, 1, "dlarge:100000", 13);
	while (send(fd, buf, len, MSG_NOSIGNAL) > 0 &&
	    recv(fd, buf, sizeof(buf), 0) > 0);
	return 0;
}

static void
stops_in_the_middle_of_traffic(void **state)
{
	struct fixture *f = *state;
	pid_t child;
	int status;

	start(f);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(talk_until_hung_up(connected(f)));
	wait_until(stats(f).deferred > 100);
	transport_stop(f->transport, 200);
	transport_close(f->transport);
	f->transport = NULL;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
}

/* -- What takes a while -- */

static unsigned long
thread_that_answers(int fd, uint32_t id)
{
	struct reply r = hear(fd);
	unsigned long thread = strtoul((char *)r.body, NULL, 10);

	assert_int_equal(r.id, id);
	free(r.body);
	return thread;
}

static void
lingers_where_nothing_else_is_asked(void **state)
{
	struct fixture *f = *state;
	unsigned long io;
	int fd;

	f->settings.io_threads = 1;
	start(f);
	fd = connected(f);
	ask(fd, 1, "thread");
	io = thread_that_answers(fd, 1);
	sleep_ms(500);
	for (uint32_t id = 2; id < 10; id++) {
		ask(fd, id, "linger");
		assert_true(thread_that_answers(fd, id) == io);
	}
	assert_int_equal(stats(f).deferred, 0);
	(void)close(fd);
}

/* In one turn, whichever of them comes first. */
static void
does_not_linger_while_others_ask(void **state)
{
	struct fixture *f = *state;
	uint8_t frames[64];
	size_t len = put_frame(frames, 1, "linger", 6);
	unsigned long io, other;
	int fd;

	f->settings.io_threads = 1;
	start(f);
	fd = connected(f);
	len += put_frame(frames + len, 2, "thread", 6);
	send_all(fd, frames, len);
	io = thread_that_answers(fd, 2);
	other = thread_that_answers(fd, 1);
	assert_true(other != io);
	assert_int_equal(stats(f).deferred, 1);
	/* The others gone, it does, however soon one follows the other. */
	for (uint32_t id = 3; other != io && id < 20000; id++) {
		ask(fd, id, "linger");
		other = thread_that_answers(fd, id);
	}
	assert_true(other == io);
	(void)close(fd);
}

/* Not when something else happens to wake the thread up. */
static void
says_at_once_that_nobody_has_time_for_those_that_linger(void **state)
{
	struct fixture *f = *state;
	uint8_t frames[64];
	size_t len = put_frame(frames, 1, "linger", 6);
	struct pollfd wakes_it_up = { .events = POLLIN };
	int fd, other;

	f->settings.io_threads = f->settings.workers = 1;
	f->settings.limits.queue = 1;
	start(f);
	other = wakes_it_up.fd = connected(f);
	fd = connected(f);
	ask(other, 1, "sleep:3000");
	wait_until(stats(f).deferred == 1);
	sleep_ms(500); /* it is calm, and a worker has taken that one */
	len += put_frame(frames + len, 2, "thread", 6);
	len += put_frame(frames + len, 3, "defer", 5);
	send_all(fd, frames, len);
	(void)thread_that_answers(fd, 2);
	hear_error(fd, 1, HF_ERR_BUSY);
	assert_int_equal(poll(&wakes_it_up, 1, 200), 0);
	(void)close(fd);
	(void)close(other);
}

static void
answers_many_that_linger_at_once(void **state)
{
	struct fixture *f = *state;
	uint8_t frames[8 * 32];
	bool heard[9] = { false };
	int fds[4];

	start(f);
	for (size_t i = 0; i < 4; i++) {
		size_t len = 0;

		fds[i] = connected(f);
		for (uint32_t id = 1; id <= 8; id++)
			len += put_frame(frames + len, id, "linger", 6);
		send_all(fds[i], frames, len);
	}
	for (size_t i = 0; i < 4; i++) {
		memset(heard, 0, sizeof(heard));
		for (int n = 0; n < 8; n++) {
			struct reply r = hear(fds[i]);

			assert_in_range(r.id, 1, 8);
			assert_false(heard[r.id]);
			heard[r.id] = true;
			free(r.body);
		}
		(void)close(fds[i]);
	}
}

/*
 * More than may wait for a worker do not wait for an I/O thread either: they
 * hear so before it lingers. With two cores it is the second thread to linger
 * that keeps the rest.
 */
static void
no_more_wait_to_linger_than_there_is_room_for(void **state)
{
	enum { EACH = 40, QUEUE = 4 };
	struct fixture *f = *state;
	uint8_t frames[EACH * 32];
	int fds[2];

	f->settings.limits.queue = QUEUE;
	f->settings.workers = 1;
	start(f);
	for (size_t i = 0; i < 2; i++) {
		size_t len = put_frame(frames, 0, "linger:400", 10);

		for (uint32_t id = 1; id < EACH; id++)
			len += put_frame(frames + len, id, "linger:20", 9);
		fds[i] = connected(f);
		send_all(fds[i], frames, len);
	}
	for (size_t i = 0; i < 2; i++) {
		unsigned busy = 0;
		bool first = false;

		for (int n = 0; n < EACH; n++) {
			struct reply r = hear(fds[i]);

			first = first || r.id == 0;
			if (!first)
				busy +=
				    memmem(r.body, r.len, "busy", 4) != NULL;
			free(r.body);
		}
		assert_true(busy >= EACH - 4 * QUEUE);
		(void)close(fds[i]);
	}
}

static void
no_reply_of_one_that_lingered_leaves_without_its_audit_line(void **state)
{
	struct fixture *f = *state;
	int fd;

	start(f);
	fd = connected(f);
	ask(fd, 1, "linger-audit");
	(void)thread_that_answers(fd, 1);
	assert_int_equal(atomic_load(&seen.flushes), 1);
	atomic_store(&seen.flush_fails, true);
	ask(fd, 2, "linger-audit");
	hear_text(fd, 2, audit_failed);
	(void)close(fd);
}

static void
survives_a_peer_that_is_gone_while_it_lingers(void **state)
{
	struct fixture *f = *state;
	int fd;

	start(f);
	for (int i = 0; i < 20; i++) {
		fd = connected(f);
		ask(fd, 1, "linger");
		ask(fd, 2, "linger");
		(void)close(fd);
	}
	wait_until(stats(f).accepted == 20);
	fd = connected(f);
	ask(fd, 1, "still there");
	hear_text(fd, 1, "still there");
	(void)close(fd);
}

static void
a_stop_answers_those_that_wait_to_linger(void **state)
{
	struct fixture *f = *state;
	uint8_t frames[6 * 32];
	bool heard[7] = { false };
	size_t len = 0;
	int fd;

	f->settings.io_threads = 1;
	start(f);
	fd = connected(f);
	for (uint32_t id = 1; id <= 6; id++)
		len += put_frame(frames + len, id, "linger:50", 9);
	send_all(fd, frames, len);
	wait_until(stats(f).requests == 6);
	transport_stop(f->transport, 5000);
	for (int n = 0; n < 6; n++) {
		struct reply r = hear(fd);

		assert_in_range(r.id, 1, 6);
		assert_false(heard[r.id]);
		heard[r.id] = true;
		free(r.body);
	}
	assert_true(is_hung_up(fd));
	(void)close(fd);
}

static void
can_be_closed_without_a_start(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(try_open(f, &f->transport), HF_OK);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	/* The one that forks stands before those that wake libnng. */
	const struct CMUnitTest tests[] = {
		TEST(stops_in_the_middle_of_traffic),
		TEST(answers_a_request),
		TEST(answers_a_request_that_comes_byte_by_byte),
		TEST(fast_requests_overtake_slow_ones),
		TEST(answers_everybody_who_pipelines),
		TEST(carries_messages_up_to_the_limit),
		TEST(answers_after_the_peer_is_done_sending),
		TEST(survives_a_peer_that_is_gone_before_its_reply),
		TEST(passes_the_identity_on),
		TEST(drops_what_the_pipeline_hung_on_a_connection),
		TEST(spreads_connections_evenly),
		TEST(flushes_the_audit_log_once_for_a_batch),
		TEST(no_reply_leaves_when_the_lines_of_its_turn_are_lost),
		TEST(no_reply_leaves_without_its_audit_line),
		TEST(a_failed_flush_spares_what_a_worker_flushed),
		TEST(the_first_reply_of_a_second_half_needs_its_line_too),
		TEST(a_graceful_stop_finishes_what_is_in_flight),
		TEST(a_stop_does_not_wait_beyond_its_time),
		TEST(lingers_where_nothing_else_is_asked),
		TEST(does_not_linger_while_others_ask),
		TEST(says_at_once_that_nobody_has_time_for_those_that_linger),
		TEST(answers_many_that_linger_at_once),
		TEST(no_more_wait_to_linger_than_there_is_room_for),
		TEST(
		    no_reply_of_one_that_lingered_leaves_without_its_audit_line),
		TEST(survives_a_peer_that_is_gone_while_it_lingers),
		TEST(a_stop_answers_those_that_wait_to_linger),
		TEST(can_be_closed_without_a_start),
		TEST(serves_nngcat),
		TEST(serves_a_plain_libnng_client),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
