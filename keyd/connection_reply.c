/* SPDX-License-Identifier: Apache-2.0 */
#include "connection.h"

#include <string.h>

#include "../lib/bytes.h"
#include "../lib/envelope.h"
#include "pipeline.h"

enum { KEPT_ROOM = 16 * 1024 /* fits the first block of an arena */ };

static bool settle(struct io *io);

/* -- To the socket -- */

/* `size` is what it takes of memory. */
static void
push(struct connection *c, struct exchange *ex, size_t size)
{
	(void)exchange_charge(ex, c->peer, size, true);
	outbox_push(&c->out, ex);
}

/*
 * Keeps what the socket did not take: frames with their heads. They share room,
 * turn after turn: an exchange for each short reply that a peer does not read
 * would be a hundred times of what is counted, and locked.
 */
static void
keep_unsent(struct connection *c, struct hf_bytes rest)
{
	size_t cap = rest.len > KEPT_ROOM ? rest.len : KEPT_ROOM;
	struct exchange *ex;

	if (outbox_append(&c->out, rest))
		return;
	ex = exchange_take(&c->io->pool, c);
	if (ex != NULL)
		ex->buf = arena_alloc(ex->arena, cap);
	if (ex == NULL || ex->buf == NULL) {
		if (ex != NULL)
			exchange_give(ex);
		connection_close(c);
		return;
	}
	memcpy(ex->buf, rest.ptr, rest.len);
	ex->cap = cap;
	ex->end = rest.len;
	ex->body = bytes_of(ex->buf, ex->end);
	push(c, ex, cap);
}

/* Sends bytes that are counted as unsent already. */
static void
send_bytes(struct connection *c, uint8_t *ptr, size_t len)
{
	struct iovec iov = { ptr, len };
	ssize_t n = CHANNEL_AGAIN;

	if (outbox_is_empty(&c->out))
		n = channel_write(&c->channel, &iov, 1);
	if (n == CHANNEL_FAILED) {
		connection_close(c);
		return;
	}
	if (n < 0)
		n = 0;
	c->unsent -= (size_t)n;
	io_count(&c->io->counters.bytes_out, (uint64_t)n);
	if ((size_t)n < len)
		keep_unsent(c, bytes_of(ptr + n, len - (size_t)n));
}

void
connection_say_hello(struct connection *c)
{
	uint8_t hello[FRAME_HELLO];

	frame_hello(FRAME_REP, hello);
	c->unsent += FRAME_HELLO;
	send_bytes(c, hello, FRAME_HELLO);
}

void
connection_write(struct connection *c)
{
	ssize_t n = outbox_write(&c->out, &c->channel);

	if (n < 0) {
		connection_close(c);
		return;
	}
	if (n > 0) /* progress: the deadline starts anew */
		deadline_disarm(&c->deadlines[DEADLINE_SEND]);
	c->unsent -= (size_t)n;
	io_count(&c->io->counters.bytes_out, (uint64_t)n);
}

/* -- Into the turn -- */

static size_t
frame_size(const struct connection *c, struct hf_bytes body)
{
	return frame_header_size(c->kind) + FRAME_ID + body.len;
}

void
connection_reply(struct connection *c, const uint8_t id[FRAME_ID],
    struct hf_bytes body, bool audited)
{
	struct turn *turn = &c->io->turn;
	uint8_t failed[ENVELOPE_ERROR_MAX];

	/* The line of this reply was among those to be flushed for the others:
	 * nobody asks for it again. */
	if (!turn_fits(turn, frame_size(c, body)) && !settle(c->io) && !audited)
		body = bytes_of(
		    failed, pipeline_audit_failed(failed, sizeof(failed)));
	if (c->phase == PHASE_CLOSED)
		return; /* it did not survive that */
	turn_add(turn, c, c->kind, id, body, audited);
	c->unsent += frame_size(c, body);
}

void
connection_reply_large(struct connection *c, struct exchange *ex)
{
	if (ex->audited) {
		connection_reply_exchange(c, ex);
		return;
	}
	turn_add_large(&c->io->turn, ex);
	c->unsent += ex->head_len + ex->body.len;
}

/* A large one takes the arena along; the next request gets another. */
void
connection_reply_current(
    struct connection *c, const uint8_t id[FRAME_ID], struct hf_bytes body)
{
	struct io *io = c->io;
	struct exchange *ex = io->current;
	struct exchange *next;

	if (FRAME_HEADER_MAX + FRAME_ID + body.len <= TURN_LARGEST) {
		connection_reply(c, id, body, false);
		return;
	}
	next = exchange_take(&io->currents, NULL);
	if (next == NULL) {
		connection_close(c);
		return;
	}
	io->current = next;
	ex->conn = c;
	exchange_set_reply(ex, c->kind, id, body);
	connection_reply_large(c, ex);
}

void
connection_reply_error(
    struct connection *c, const uint8_t id[FRAME_ID], enum hf_err err)
{
	uint8_t buf[ENVELOPE_ERROR_MAX];
	size_t len = 0;

	if (envelope_error(err, NULL, buf, sizeof(buf), &len) != HF_OK) {
		connection_close(c);
		return;
	}
	connection_reply(c, id, bytes_of(buf, len), true);
}

void
connection_reply_exchange(struct connection *c, struct exchange *ex)
{
	c->unsent += ex->head_len + ex->body.len;
	push(c, ex, ex->body.len);
	connection_write(c);
}

/* -- Out of the turn -- */

/* The frames of a part, each replaced: its audit line was not written. */
static void
send_audit_failed(struct connection *c, const uint8_t *ptr, size_t len)
{
	size_t head = frame_header_size(c->kind);
	uint8_t frame[FRAME_HEADER_MAX + FRAME_ID + ENVELOPE_ERROR_MAX];
	size_t body =
	    pipeline_audit_failed(frame + head + FRAME_ID, ENVELOPE_ERROR_MAX);
	size_t size = head + FRAME_ID + body;

	frame_header(c->kind, FRAME_ID + body, frame);
	c->unsent -= len;
	while (len > 0 && c->phase != PHASE_CLOSED) {
		size_t replaced = head + (size_t)get_u64(ptr + head - 8);

		memcpy(frame + head, ptr + head, FRAME_ID);
		c->unsent += size;
		send_bytes(c, frame, size);
		ptr += replaced;
		len -= replaced;
	}
}

static void
settle_part(const struct turn_part *part, uint8_t *buf, bool flushed)
{
	struct connection *c = part->conn;

	if (c->phase == PHASE_CLOSED)
		return;
	if (flushed || part->audited)
		send_bytes(c, buf + part->start, part->len);
	else
		send_audit_failed(c, buf + part->start, part->len);
	connection_review(c);
}

static void
settle_large(struct exchange *ex, bool flushed)
{
	struct connection *c = ex->conn;

	if (c->phase == PHASE_CLOSED) {
		exchange_give(ex);
		return;
	}
	c->unsent -= ex->head_len + ex->body.len;
	if (!flushed)
		exchange_set_audit_failed(ex, c->kind);
	connection_reply_exchange(c, ex);
	connection_review(c);
}

/* False: no line of the turn is in the log for sure. */
static bool
settle(struct io *io)
{
	struct turn *turn = &io->turn;
	bool flushed = turn_flush(turn, io->server) == HF_OK;
	struct exchange *large = turn->large;

	for (size_t i = 0; i < turn->count; i++)
		settle_part(&turn->parts[i], turn->buf, flushed);
	while (large != NULL) {
		struct exchange *next = large->next;

		settle_large(large, flushed);
		large = next;
	}
	turn_clear(turn);
	return flushed;
}

void
connection_settle_turn(struct io *io)
{
	(void)settle(io);
}
