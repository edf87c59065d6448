/* SPDX-License-Identifier: Apache-2.0 */
#include "connection.h"

#include <string.h>

#include "../lib/bytes.h"
#include "pipeline.h"

enum {
	HELD_FIRST = 4 * 1024,    /* the first buffer of a half frame */
	HELD_FREE = 64 * 1024,    /* a larger one is charged to the peer */
	AWAIT_MESSAGE = 6 * 1024, /* a larger one has no room in hsm_ring.h */
};

/* -- A request -- */

/*
 * An exchange with the id, and the message in its arena. A message that was
 * read into an exchange, and is the last thing in there, stays where it is.
 */
static struct exchange *
exchange_for(
    struct connection *c, const uint8_t id[FRAME_ID], struct hf_bytes *message)
{
	struct exchange *ex = c->held;
	uint8_t *copy;

	if (ex != NULL && message->ptr + message->len == ex->buf + ex->end) {
		memcpy(ex->id, id, FRAME_ID);
		c->held = NULL;
		return ex;
	}
	ex = exchange_take(&c->io->pool, c);
	if (ex == NULL)
		return NULL;
	copy = arena_alloc(ex->arena, message->len);
	if (copy == NULL) {
		exchange_give(ex);
		return NULL;
	}
	if (message->len > 0)
		memcpy(copy, message->ptr, message->len);
	memcpy(ex->id, id, FRAME_ID);
	*message = bytes_of(copy, message->len);
	return ex;
}

/* To where it may wait. */
static void
defer(struct connection *c, const uint8_t id[FRAME_ID], struct request *rq)
{
	bool awaits = rq->await != NULL && rq->await->state == AWAIT_WANTED;
	struct hf_bytes message = rq->message;
	struct exchange *ex = exchange_for(c, id, &message);

	if (ex == NULL) {
		connection_refuse(c, id, rq, HF_ERR_NO_MEMORY);
		return;
	}
	if (awaits) {
		connection_await(c, ex, rq, message);
		return;
	}
	if (*rq->linger == LINGER_WANTED && connection_may_linger(c->io)) {
		connection_linger(c, ex, rq, message);
		return;
	}
	exchange_set_request(ex, rq, message);
	connection_to_workers(c, ex);
}

/* Where the request before used an HSM, this one will: not first in vain. */
static bool
run_awaiting(
    struct connection *c, const uint8_t id[FRAME_ID], struct hf_bytes message)
{
	const struct request first = { .server = c->io->server, .who = c->who };
	struct exchange *ex;

	if (!c->awaits || message.len > AWAIT_MESSAGE)
		return false;
	ex = exchange_for(c, id, &message);
	if (ex == NULL)
		return false;
	connection_await(c, ex, &first, message);
	return true;
}

static void
run_request(
    struct connection *c, const uint8_t id[FRAME_ID], struct hf_bytes message)
{
	struct io *io = c->io;
	struct exchange *current = io->current;
	struct hsm_await offer = { .state = AWAIT_OFFERED };
	enum lingering linger = LINGER_OFFERED;
	struct request rq = { .server = io->server,
		.who = c->who,
		.slot = &c->slot,
		.lane = io->lane,
		.lines = &io->turn.lines,
		.arena = current->arena,
		.message = message,
		.linger = &linger };
	enum hf_err err;

	c->budget--;
	io_count(&io->counters.requests, 1);
	if (run_awaiting(c, id, message)) {
		connection_note_light(io);
		return;
	}
	if (io->awaits && message.len <= AWAIT_MESSAGE)
		rq.await = &offer;
	err = pipeline_run(&rq);
	if (linger != LINGER_WANTED)
		connection_note_light(io);
	if (err == HF_ERR_DEFER) {
		defer(c, id, &rq);
	} else {
		turn_want_flush(&io->turn, rq.audit_ticket, rq.audit_sync);
		if (err == HF_OK)
			connection_reply_current(c, id, rq.reply);
		else
			connection_close(c);
	}
	if (io->current == current) /* no reply left with it */
		arena_reset(current->arena);
}

/* -- Frames -- */

static void
bad_frame(struct connection *c)
{
	io_count(&c->io->counters.bad_frames, 1);
	connection_close(c);
}

/* The functions below return how many bytes they used up, 0 for too few. */

static size_t
take_hello(struct connection *c, const uint8_t *in, size_t len)
{
	size_t n = FRAME_HELLO - c->hello_len;

	if (n > len)
		n = len;
	memcpy(c->hello + c->hello_len, in, n);
	c->hello_len += n;
	if (c->hello_len < FRAME_HELLO)
		return n;
	if (!frame_hello_ok(FRAME_REQ, c->hello)) {
		bad_frame(c);
		return n;
	}
	c->phase = PHASE_OPEN;
	deadline_disarm(&c->deadlines[DEADLINE_HANDSHAKE]);
	return n;
}

/*
 * Bytes of a frame that was refused. The answer follows the last of them: a
 * client that is still sending may not expect one before (libnng drops it, and
 * asks again a minute later).
 */
static size_t
skip_bytes(struct connection *c, size_t len)
{
	size_t n = c->skip < len ? c->skip : len;

	c->skip -= n;
	if (c->skip == 0)
		connection_reply_error(c, c->refused_id, c->refused);
	return n;
}

/*
 * A frame that we will not take in: skips it, and says so. Hanging up would
 * leave its sender to guess.
 */
static size_t
refuse_frame(struct connection *c, const uint8_t *id, size_t need, size_t len,
    enum hf_err err)
{
	c->skip = need;
	c->refused = err;
	memcpy(c->refused_id, id, FRAME_ID);
	c->budget -= c->budget > 0;
	return skip_bytes(c, len);
}

static size_t
take_frame(struct connection *c, const uint8_t *in, size_t len)
{
	size_t head = frame_header_size(c->kind);
	enum hf_err err =
	    frame_measure(c->kind, in, len, c->io->limits->message, &c->need);

	if (err == HF_ERR_BAD_MESSAGE) {
		bad_frame(c);
		return 0;
	}
	if (len < head + FRAME_ID)
		return 0;
	if (!frame_id_ok(in + head)) {
		bad_frame(c);
		return 0;
	}
	if (err == HF_ERR_TOO_LARGE)
		return refuse_frame(c, in + head, c->need, len, err);
	if (len < c->need)
		return 0;
	deadline_disarm(&c->deadlines[DEADLINE_FRAME]);
	run_request(c, in + head,
	    bytes_of(in + head + FRAME_ID, c->need - head - FRAME_ID));
	return c->need;
}

static bool
may_run(const struct connection *c)
{
	return c->phase != PHASE_CLOSED && c->budget > 0 &&
	    connection_has_room(c);
}

/* Takes what is whole. c->more: stopped because it may not run, for now. */
static size_t
consume(struct connection *c, const uint8_t *in, size_t len)
{
	size_t used = 0;
	size_t n = 1;

	while (used < len && n > 0 && may_run(c)) {
		if (c->phase == PHASE_HELLO)
			n = take_hello(c, in + used, len - used);
		else if (c->skip > 0)
			n = skip_bytes(c, len - used);
		else
			n = take_frame(c, in + used, len - used);
		used += n;
	}
	c->more = used < len && n > 0;
	return used;
}

/* -- What is held -- */

static void
drop_held(struct connection *c)
{
	exchange_give(c->held);
	c->held = NULL;
}

/* A buffer of `cap` bytes that begins with those of `in`. */
static struct exchange *
held_new(struct connection *c, const uint8_t *in, size_t len, size_t cap)
{
	struct exchange *ex = exchange_take(&c->io->pool, c);

	if (ex == NULL)
		return NULL;
	if (cap <= HELD_FREE || exchange_charge(ex, c->peer, cap, false))
		ex->buf = arena_alloc(ex->arena, cap);
	if (ex->buf == NULL) {
		exchange_give(ex);
		return NULL;
	}
	memcpy(ex->buf, in, len);
	ex->cap = cap;
	ex->end = len;
	return ex;
}

static void
hold(struct connection *c, const uint8_t *in, size_t len)
{
	c->held = held_new(c, in, len, len > HELD_FIRST ? len : HELD_FIRST);
	if (c->held == NULL)
		connection_close(c);
}

void
connection_run_held(struct connection *c)
{
	struct exchange *ex = c->held;
	size_t used = consume(c, ex->buf + ex->start, ex->end - ex->start);

	if (c->held != ex)
		return; /* closed, or on its way to a worker */
	ex->start += used;
	if (ex->start == ex->end) {
		drop_held(c);
		return;
	}
	if (c->more || ex->start == 0)
		return;
	memmove(ex->buf, ex->buf + ex->start, ex->end - ex->start);
	ex->end -= ex->start;
	ex->start = 0;
}

/*
 * Room to read the rest of the frame into: doubled as its bytes arrive, never
 * taken on the word of its header.
 */
static bool
held_grow(struct connection *c, size_t want)
{
	struct exchange *old = c->held;
	size_t cap = 2 * old->cap;
	struct exchange *ex;

	if (old->end < old->cap)
		return true;
	ex = held_new(c, old->buf, old->end, cap < want ? cap : want);
	if (ex == NULL)
		return false;
	exchange_give(old);
	c->held = ex;
	return true;
}

/* No room for a frame whose header and id are there. */
static void
refuse_held(struct connection *c)
{
	struct exchange *ex = c->held;
	const uint8_t *id = ex->buf + frame_header_size(c->kind);

	io_count(&c->io->counters.busy, 1);
	(void)refuse_frame(c, id, c->need, ex->end, HF_ERR_BUSY);
	if (c->held == ex)
		drop_held(c);
}

/* -- Reading -- */

static bool
read_failed(struct connection *c, ssize_t n)
{
	if (n > 0) {
		io_count(&c->io->counters.bytes_in, (uint64_t)n);
		return false;
	}
	if (n == 0)
		c->ended = true;
	if (n == CHANNEL_FAILED)
		connection_close(c);
	return true;
}

/* The rest of a frame, up to its end, into its own buffer. */
static void
read_held(struct connection *c)
{
	size_t want = c->need > 0 ? c->need : FRAME_HEADER_MAX + FRAME_ID;
	struct exchange *ex;
	size_t room;
	ssize_t n;

	if (!held_grow(c, want)) {
		refuse_held(c);
		return;
	}
	ex = c->held;
	room = (want < ex->cap ? want : ex->cap) - ex->end;
	n = channel_read(&c->channel, ex->buf + ex->end, room);
	if (read_failed(c, n))
		return;
	ex->end += (size_t)n;
	connection_run_held(c);
}

static void
note_unread(struct connection *c)
{
	if (c->is_unread)
		return;
	TAILQ_INSERT_TAIL(&c->io->unread, c, unread_link);
	c->is_unread = true;
}

void
connection_discard_all(struct io *io)
{
	struct connection *c;

	while ((c = TAILQ_FIRST(&io->unread)) != NULL) {
		TAILQ_REMOVE(&io->unread, c, unread_link);
		c->is_unread = false;
		/* What fails shows when it is read from. */
		(void)channel_discard(&c->channel, io->read, IO_READ);
	}
}

/* See channel_peek(): by the time that a lone request is answered, its sender
 * just is awake from it; for several at once that takes too long. */
static bool
should_peek(const struct connection *c)
{
	struct io *io = c->io;
	bool others = io->busy || (io->last != c && io->last_at == io->now);

	io->last = c;
	io->last_at = io->now;
	return others || c->several;
}

void
connection_read(struct connection *c)
{
	uint8_t *buf = c->io->read;
	unsigned budget = c->budget;
	size_t used;
	ssize_t n;

	if (c->held != NULL) {
		read_held(c);
		return;
	}
	if (should_peek(c)) {
		n = channel_peek(&c->channel, buf, IO_READ);
		if (n > 0)
			note_unread(c);
	} else {
		n = channel_read(&c->channel, buf, IO_READ);
	}
	if (read_failed(c, n))
		return;
	used = consume(c, buf, (size_t)n);
	c->several = budget - c->budget > 1;
	if (used < (size_t)n && c->phase != PHASE_CLOSED)
		hold(c, buf + used, (size_t)n - used);
	bytes_wipe(buf, (size_t)n);
}
