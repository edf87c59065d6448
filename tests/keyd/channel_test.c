/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/channel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* A plain channel, and the other end of its socket. */
struct pair {
	struct channel channel;
	int peer;
};

static void
pair_open(struct pair *p)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	p->channel = (struct channel){ .fd = fds[0] };
	p->peer = fds[1];
}

static void
pair_send(const struct pair *p, const char *text)
{
	assert_int_equal(
	    send(p->peer, text, strlen(text), 0), (ssize_t)strlen(text));
}

/* The channel shows that, and leaves it. */
static void
pair_peek(struct pair *p, const char *text)
{
	uint8_t buf[64];
	size_t len = strlen(text);

	assert_int_equal(
	    channel_peek(&p->channel, buf, sizeof(buf)), (ssize_t)len);
	assert_memory_equal(buf, text, len);
}

static void
pair_close(struct pair *p)
{
	channel_close(&p->channel);
	(void)close(p->peer);
}

static void
hands_out_what_it_left_in_the_socket_once(void **state)
{
	struct pair p;
	uint8_t buf[64];

	(void)state;
	pair_open(&p);
	pair_send(&p, "one");
	pair_peek(&p, "one");
	pair_send(&p, "two");
	pair_peek(&p, "two");
	pair_send(&p, "three");
	assert_int_equal(channel_read(&p.channel, buf, sizeof(buf)), 5);
	assert_memory_equal(buf, "three", 5);
	assert_int_equal(
	    channel_read(&p.channel, buf, sizeof(buf)), CHANNEL_AGAIN);
	pair_close(&p);
}

static void
discards_what_it_left_and_no_more(void **state)
{
	struct pair p;
	uint8_t scratch[2] = "xx";

	(void)state;
	pair_open(&p);
	pair_send(&p, "secret");
	pair_peek(&p, "secret");
	pair_send(&p, "next");
	assert_true(channel_discard(&p.channel, scratch, sizeof(scratch)));
	assert_memory_equal(scratch, "\0\0", 2); /* wiped */
	assert_true(channel_discard(&p.channel, scratch, sizeof(scratch)));
	pair_peek(&p, "next");
	pair_close(&p);
}

/* Rather no more requests than one of them twice. */
static void
reads_nothing_when_what_it_left_is_gone(void **state)
{
	struct pair p;
	uint8_t buf[64];

	(void)state;
	pair_open(&p);
	pair_send(&p, "one");
	pair_peek(&p, "one");
	assert_int_equal(recv(p.channel.fd, buf, sizeof(buf), 0), 3);
	assert_int_equal(
	    channel_read(&p.channel, buf, sizeof(buf)), CHANNEL_FAILED);
	pair_send(&p, "two");
	(void)close(p.channel.fd);
	p.channel.fd = -1;
	assert_int_equal(
	    channel_peek(&p.channel, buf, sizeof(buf)), CHANNEL_FAILED);
	pair_close(&p);
}

/* Bytes that nobody read would reach the peer as ECONNRESET. */
static void
ends_in_an_orderly_way_with_bytes_left(void **state)
{
	struct pair p;
	uint8_t buf[64];

	(void)state;
	pair_open(&p);
	pair_send(&p, "one");
	pair_peek(&p, "one");
	channel_close(&p.channel);
	assert_int_equal(recv(p.peer, buf, sizeof(buf), 0), 0);
	pair_close(&p);
}

static void
tells_the_end_again_and_again(void **state)
{
	struct pair p;
	uint8_t buf[64];

	(void)state;
	pair_open(&p);
	pair_send(&p, "one");
	assert_int_equal(shutdown(p.peer, SHUT_WR), 0);
	pair_peek(&p, "one");
	assert_int_equal(channel_peek(&p.channel, buf, sizeof(buf)), 0);
	assert_int_equal(channel_read(&p.channel, buf, sizeof(buf)), 0);
	pair_close(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hands_out_what_it_left_in_the_socket_once),
		cmocka_unit_test(discards_what_it_left_and_no_more),
		cmocka_unit_test(reads_nothing_when_what_it_left_is_gone),
		cmocka_unit_test(ends_in_an_orderly_way_with_bytes_left),
		cmocka_unit_test(tells_the_end_again_and_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
