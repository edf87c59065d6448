/* SPDX-License-Identifier: Apache-2.0 */
/* What peers may do to it, and what it takes of them. */
#include "transport_fixture.h"

#include <dirent.h>
#include <malloc.h>
#include <sys/resource.h>

enum { MIB = 1 << 20 };

/* -- Limits -- */

static void
answers_too_large_and_goes_on(void **state)
{
	struct fixture *f = *state;
	uint8_t *body = calloc(1, 300000);
	int fd;

	assert_non_null(body);
	f->settings.limits.message = 100000;
	start(f);
	fd = connected(f);
	ask_bytes(fd, 1, body, 100001);
	hear_error(fd, 1, HF_ERR_TOO_LARGE);
	ask_bytes(fd, 2, body, 300000);
	hear_error(fd, 2, HF_ERR_TOO_LARGE);
	ask(fd, 3, "next");
	hear_text(fd, 3, "next");
	assert_int_equal(atomic_load(&seen.runs), 1);
	(void)close(fd);
	free(body);
}

static size_t
address_space(void)
{
	unsigned long pages = 0;
	FILE *statm = fopen("/proc/self/statm", "r");

	assert_non_null(statm);
	assert_int_equal(fscanf(statm, "%lu", &pages), 1);
	(void)fclose(statm);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void
hangs_up_on_a_claim_of_8_gib(void **state)
{
	struct fixture *f = *state;
	uint8_t head[FRAME_HEADER_MAX];
	size_t before;
	int fd;

	start(f);
	fd = connected(f);
	before = address_space();
	frame_header(FRAME_IPC, UINT64_C(8) << 30, head);
	send_all(fd, head, sizeof(head));
	assert_true(is_hung_up(fd));
	assert_true(address_space() < before + 4 * MIB);
	assert_int_equal(stats(f).bad_frames, 1);
	(void)close(fd);
}

static void
takes_memory_only_for_bytes_that_arrived(void **state)
{
	struct fixture *f = *state;
	uint8_t head[FRAME_HEADER_MAX + FRAME_ID] = { 0 };
	size_t before;
	int fds[16];

	start(f);
	for (size_t i = 0; i < 16; i++)
		fds[i] = connected(f);
	before = address_space();
	frame_header(FRAME_IPC, 16 * MIB, head);
	head[9] = 0x80;
	for (size_t i = 0; i < 16; i++)
		send_all(fds[i], head, sizeof(head));
	wait_until(stats(f).bytes_in == 16 * (8 + sizeof(head)));
	assert_true(address_space() < before + 8 * MIB);
	for (size_t i = 0; i < 16; i++)
		(void)close(fds[i]);
}

static void
hangs_up_on_an_id_without_its_top_bit(void **state)
{
	struct fixture *f = *state;
	uint8_t frame[20];
	size_t len = put_frame(frame, 1, "x", 1);
	int fd;

	start(f);
	fd = connected(f);
	frame[9] = 0;
	send_all(fd, frame, len);
	assert_true(is_hung_up(fd));
	assert_int_equal(stats(f).bad_frames, 1);
	assert_int_equal(atomic_load(&seen.runs), 0);
	(void)close(fd);
}

static void
hangs_up_on_what_is_not_sp(void **state)
{
	static const char *const greetings[] = { "GET / HTTP/1.1\r\n",
		"\0SP\0\0\x10\0\0", "\0SP\0\0\x31\0\0" };
	struct fixture *f = *state;

	start(f);
	for (size_t i = 0; i < 3; i++) {
		int fd = dial(f);

		send_all(fd, greetings[i], 8);
		assert_true(is_hung_up(fd));
		(void)close(fd);
	}
	assert_int_equal(stats(f).bad_frames, 3);
}

static uint32_t
next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* Frames that begin well and go wrong anywhere, from a fixed seed. */
static void
survives_garbage(void **state)
{
	static const uint8_t body[150] = "defer and so on";
	struct fixture *f = *state;
	uint32_t seed = 12345;
	uint8_t bytes[3000];
	int fd;

	f->settings.limits.message = 2000;
	start(f);
	for (uint32_t round = 0; round < 300; round++) {
		size_t len = 0;

		while (len < sizeof(bytes) - 200)
			len += put_frame(bytes + len, round, body,
			    next_random(&seed) % sizeof(body));
		for (uint32_t i = 0; i < round % 5; i++)
			bytes[next_random(&seed) % len] ^= (uint8_t)seed;
		fd = connected(f);
		(void)send(fd, bytes, len, MSG_NOSIGNAL);
		if (round % 2 == 0)
			(void)shutdown(fd, SHUT_WR);
		(void)close(fd);
	}
	fd = connected(f);
	ask(fd, 1, "still there");
	hear_text(fd, 1, "still there");
	(void)close(fd);
	wait_until(stats(f).connections == 0);
}

static void
hangs_up_when_not_even_an_error_fits(void **state)
{
	struct fixture *f = *state;
	int fd;

	start(f);
	fd = connected(f);
	ask(fd, 1, "nomem");
	assert_true(is_hung_up(fd));
	(void)close(fd);
}

static void
hangs_up_on_a_peer_without_a_hello(void **state)
{
	struct fixture *f = *state;
	int silent, half;

	f->settings.limits.handshake_ms = 200;
	start(f);
	silent = dial(f);
	half = dial(f);
	send_all(half, "\0SP", 3);
	assert_true(is_hung_up(silent));
	assert_true(is_hung_up(half));
	assert_int_equal(stats(f).timeouts, 2);
	(void)close(silent);
	(void)close(half);
}

static void
hangs_up_on_half_a_frame_but_not_on_a_quiet_peer(void **state)
{
	struct fixture *f = *state;
	uint8_t frame[40];
	size_t len = put_frame(frame, 1, "never whole", 11);
	int half, skipped, quiet;

	f->settings.limits.frame_ms = 200;
	f->settings.limits.message = 1000;
	start(f);
	quiet = connected(f);
	half = connected(f);
	send_all(half, frame, len - 1);
	skipped = connected(f);
	frame_header(FRAME_IPC, 5000, frame);
	send_all(skipped, frame, len); /* of a frame that is too large */
	assert_true(is_hung_up(half));
	assert_true(is_hung_up(skipped));
	assert_int_equal(stats(f).timeouts, 2);
	ask(quiet, 1, "here I am");
	hear_text(quiet, 1, "here I am");
	(void)close(half);
	(void)close(skipped);
	(void)close(quiet);
}

static void
hangs_up_on_an_idle_peer_where_that_is_set(void **state)
{
	struct fixture *f = *state;
	int fd;

	f->settings.limits.idle_s = 1;
	start(f);
	fd = connected(f);
	ask(fd, 1, "sleep:1300"); /* busy is not idle */
	hear_text(fd, 1, "sleep:1300");
	assert_true(is_hung_up(fd));
	(void)close(fd);
}

static void
refuses_one_connection_too_many_of_a_uid(void **state)
{
	struct fixture *f = *state;
	int fds[3], more;

	f->settings.limits.connections_uid = 3;
	start(f);
	for (size_t i = 0; i < 3; i++)
		fds[i] = connected(f);
	more = dial(f);
	assert_true(is_hung_up(more));
	wait_until(stats(f).refused == 1);
	ask(fds[2], 1, "served");
	hear_text(fds[2], 1, "served");
	(void)close(fds[0]);
	wait_until(stats(f).connections == 2);
	(void)close(more);
	more = connected(f);
	(void)close(more);
	(void)close(fds[1]);
	(void)close(fds[2]);
}

static void
refuses_in_an_orderly_way_without_descriptors(void **state)
{
	struct fixture *f = *state;
	struct rlimit before, tight;
	int fds[2];

	start(f);
	fds[0] = connected(f);
	fds[1] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	tight = before; /* all below are taken, so that accept() gets none */
	tight.rlim_cur = (rlim_t)fds[1] + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	dial_with(f, fds[1]);
	assert_true(is_hung_up(fds[1]));
	ask(fds[0], 1, "still served");
	hear_text(fds[0], 1, "still served");
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	(void)close(fds[0]);
	(void)close(fds[1]);
	wait_until(stats(f).refused == 1);
	fds[0] = connected(f);
	(void)close(fds[0]);
}

static void
a_peer_that_never_reads_delays_nobody(void **state)
{
	struct fixture *f = *state;
	struct timespec begin, end;
	uint8_t frame[40];
	size_t len = put_frame(frame, 1, "large:60000", 11);
	int deaf, fds[4];

	f->settings.limits.send_ms = 1500;
	start(f);
	deaf = connected(f);
	for (ssize_t n = (ssize_t)len; n > 0;)
		n = send(deaf, frame, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	for (size_t i = 0; i < 4; i++)
		fds[i] = connected(f);
	(void)clock_gettime(CLOCK_MONOTONIC, &begin);
	for (int round = 0; round < 50; round++)
		for (size_t i = 0; i < 4; i++) {
			ask(fds[i], 1, "quick");
			hear_text(fds[i], 1, "quick");
		}
	(void)clock_gettime(CLOCK_MONOTONIC, &end);
	assert_true(end.tv_sec - begin.tv_sec <= 1);
	/* It was read from no further than its unread output allows ... */
	assert_true(atomic_load(&seen.runs) < 200 + 100);
	/* ... and does not stay for ever. */
	wait_until(stats(f).connections == 4);
	assert_int_equal(stats(f).timeouts, 1);
	(void)close(deaf);
	for (size_t i = 0; i < 4; i++)
		(void)close(fds[i]);
}

/* Asks for one after the other, each in a turn of its own. */
static void
ask_in_turns(const struct fixture *f, int fd, uint32_t count, const char *text)
{
	uint64_t before = stats(f).requests;

	for (uint32_t i = 0; i < count; i++) {
		ask(fd, i, text);
		for (int n = 0; n < 50000 && stats(f).requests <= before + i;
		     n++)
			(void)usleep(100);
	}
	assert_int_equal(stats(f).requests, before + count);
}

/* Whatever memory that takes is locked: others need it for their keys. */
static void
short_replies_that_nobody_reads_share_their_room(void **state)
{
	enum { REPLIES = 3000 };
	struct fixture *f = *state;
	size_t before;
	int fd;

	start(f);
	fd = connected(f);
	ask(fd, 1, "warm");
	hear_text(fd, 1, "warm");
	before = address_space();
	ask_in_turns(f, fd, REPLIES, "short");
	assert_true(address_space() < before + 2 * MIB);
	for (uint32_t i = 0; i < REPLIES; i++)
		hear_text(fd, i, "short");
	(void)close(fd);
}

/* On however many connections: the rest is that of others. */
static void
what_a_uid_does_not_read_is_no_more_than_its_share(void **state)
{
	enum { PEERS = 32, REPLIES = 200 };
	struct fixture *f = *state;
	uint8_t frames[REPLIES * 30];
	size_t before, len = 0;
	int fds[PEERS];

	f->settings.limits.memory = 4 * MIB;
	start(f);
	for (uint32_t i = 0; i < REPLIES; i++)
		len += put_frame(frames + len, i, "large:20000", 11);
	for (size_t i = 0; i < PEERS; i++)
		fds[i] = connected(f);
	before = address_space();
	for (size_t i = 0; i < PEERS; i++)
		send_all(fds[i], frames, len);
	sleep_ms(500);
	/* Half of it is the share; each connection may go on to what its
	 * socket does not take. */
	assert_true(address_space() < before + 8 * MIB);
	for (size_t i = 0; i < PEERS; i++)
		for (uint32_t k = 0; k < REPLIES; k++) {
			struct reply r = hear(fds[i]);

			assert_int_equal(r.id, k);
			assert_int_equal(r.len, 20000);
			free(r.body);
		}
	for (size_t i = 0; i < PEERS; i++)
		(void)close(fds[i]);
}

static void
a_slow_reader_gets_everything(void **state)
{
	struct fixture *f = *state;
	uint8_t frames[200 * 30];
	size_t len = 0;
	int fd;

	start(f);
	fd = connected(f);
	for (uint32_t i = 0; i < 200; i++)
		len += put_frame(frames + len, i,
		    i % 3 == 0 ? "large:50000" : "large:20000", 11);
	send_all(fd, frames, len);
	sleep_ms(200);
	for (uint32_t i = 0; i < 200; i++) {
		struct reply r = hear(fd);

		assert_int_equal(r.len, r.id % 3 == 0 ? 50000 : 20000);
		free(r.body);
	}
	(void)close(fd);
}

static void
a_flood_of_deferred_requests_is_told_busy(void **state)
{
	struct fixture *f = *state;
	unsigned busy = 0, done = 0;
	int fd;

	f->settings.workers = 1;
	f->settings.limits.queue = 4;
	start(f);
	fd = connected(f);
	for (uint32_t i = 0; i < 20; i++)
		ask(fd, i, "sleep:200");
	for (uint32_t i = 0; i < 20; i++) {
		struct reply r = hear(fd);

		if (memmem(r.body, r.len, "busy", 4) != NULL)
			busy++;
		else
			done++;
		free(r.body);
	}
	assert_true(done >= 4 && busy > 0); /* that many wait */
	assert_int_equal(busy, 20 - done);
	assert_int_equal(stats(f).busy, busy);
	assert_int_equal(stats(f).deferred, done);
	/* What the first run of a refused one held was let go of. */
	assert_int_equal(atomic_load(&seen.drops), busy);
	(void)close(fd);
}

static void
reads_no_further_than_the_requests_in_flight_allow(void **state)
{
	struct fixture *f = *state;
	int fd;

	f->settings.limits.in_flight = 3;
	f->settings.workers = 4;
	start(f);
	fd = connected(f);
	for (uint32_t i = 0; i < 10; i++)
		ask(fd, i, "sleep:300");
	sleep_ms(150);
	assert_int_equal(stats(f).deferred, 3);
	for (uint32_t i = 0; i < 10; i++) {
		struct reply r = hear(fd);

		free(r.body);
	}
	assert_int_equal(stats(f).busy, 0);
	(void)close(fd);
}

static void
large_messages_beyond_the_memory_are_told_busy(void **state)
{
	struct fixture *f = *state;
	uint8_t *body = calloc(1, MIB);
	int fd;

	assert_non_null(body);
	f->settings.limits.memory = MIB;
	start(f);
	fd = connected(f);
	ask_bytes(fd, 1, body, 600000); /* half is for one uid */
	hear_error(fd, 1, HF_ERR_BUSY);
	ask_bytes(fd, 2, body, 400000);
	free(hear(fd).body);
	ask_bytes(fd, 3, body, 400000); /* the memory came back */
	free(hear(fd).body);
	(void)close(fd);
	free(body);
}

/* -- Cost -- */

/* Voluntary switches of all threads named io-...: each wake-up is one. */
static unsigned long
io_wake_ups(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;
	unsigned long sum = 0;

	assert_non_null(tasks);
	while ((entry = readdir(tasks)) != NULL) {
		char path[300], line[200];
		unsigned long n;
		bool is_io = false;
		FILE *status;

		(void)snprintf(path, sizeof(path), "/proc/self/task/%s/status",
		    entry->d_name);
		status = fopen(path, "r");
		while (status != NULL &&
		    fgets(line, sizeof(line), status) != NULL) {
			if (strncmp(line, "Name:\tio-", 9) == 0)
				is_io = true;
			if (is_io &&
			    sscanf(line, "voluntary_ctxt_switches: %lu", &n) ==
				1)
				sum += n;
		}
		if (status != NULL)
			(void)fclose(status);
	}
	(void)closedir(tasks);
	return sum;
}

static void
sleeps_while_nothing_happens(void **state)
{
	struct fixture *f = *state;
	unsigned long before;
	int fds[10];

	start(f);
	for (size_t i = 0; i < 10; i++) {
		fds[i] = connected(f);
		ask(fds[i], 1, "defer");
		hear_text(fds[i], 1, "defer");
	}
	sleep_ms(100);
	before = io_wake_ups();
	assert_true(before > 0);
	sleep_ms(400);
	assert_int_equal(io_wake_ups(), before);
	for (size_t i = 0; i < 10; i++)
		(void)close(fds[i]);
}

static void
an_idle_connection_holds_little_memory(void **state)
{
	struct fixture *f = *state;
	size_t before = 0;
	int fds[400];

	start(f);
	for (size_t i = 0; i < 400; i++) {
		fds[i] = connected(f);
		if (i == 199)
			before = address_space();
	}
	for (size_t i = 0; i < 400; i++) {
		ask(fds[i], 1, "defer");
		hear_text(fds[i], 1, "defer");
	}
	assert_true(address_space() < before + 400 * 8192);
	for (size_t i = 0; i < 400; i++)
		(void)close(fds[i]);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(answers_too_large_and_goes_on),
		TEST(hangs_up_on_a_claim_of_8_gib),
		TEST(takes_memory_only_for_bytes_that_arrived),
		TEST(hangs_up_on_an_id_without_its_top_bit),
		TEST(hangs_up_on_what_is_not_sp),
		TEST(survives_garbage),
		TEST(hangs_up_when_not_even_an_error_fits),
		TEST(hangs_up_on_a_peer_without_a_hello),
		TEST(hangs_up_on_half_a_frame_but_not_on_a_quiet_peer),
		TEST(hangs_up_on_an_idle_peer_where_that_is_set),
		TEST(refuses_one_connection_too_many_of_a_uid),
		TEST(refuses_in_an_orderly_way_without_descriptors),
		TEST(a_peer_that_never_reads_delays_nobody),
		TEST(short_replies_that_nobody_reads_share_their_room),
		TEST(what_a_uid_does_not_read_is_no_more_than_its_share),
		TEST(a_slow_reader_gets_everything),
		TEST(a_flood_of_deferred_requests_is_told_busy),
		TEST(reads_no_further_than_the_requests_in_flight_allow),
		TEST(large_messages_beyond_the_memory_are_told_busy),
		TEST(sleeps_while_nothing_happens),
		TEST(an_idle_connection_holds_little_memory),
	};

	/* A thread's first malloc else maps 64 MiB of addresses for an arena,
	 * in the middle of a test that measures them. */
	(void)mallopt(M_ARENA_MAX, 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
