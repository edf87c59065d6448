/* SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "buffer.h"
#include "bytes.h"
#include "client_socket.h"
#include "client_spin.h"
#include "envelope.h"
#include "frame.h"

enum {
	DEFAULT_PATIENCE = 3000, /* milliseconds */
	RETRY_PAUSE = 20,        /* likewise, between attempts to connect */
	READ_SIZE = 16384,       /* bytes, as below */
	REQUEST_FIRST = 1000, /* most are shorter; malloc() has such at hand */
	REPLY_MAX = 80 << 20, /* what the service may make us hold */
	ARENA_FIRST = 4096,
	LARGE = 32768, /* may be beyond the service's limit */
	MOST_LOSSES = 2,
	TAKEN_NS = 10000, /* who gives its core away for longer, shares it */
};

static const char default_socket[] = "/run/holdfast/keyd.sock";

/* A request that was not received yet. */
struct pending {
	struct pending *next;
	const struct op *op;
	uint32_t id;
	int64_t deadline;
	struct buffer frame; /* freed when the reply is there */
	size_t sent;         /* bytes of it, on the present connection */
	unsigned losses;     /* of the connection it was for */
	bool dry_run;
	bool repeatable;     /* carrying it out twice is as good as once */
	struct buffer reply; /* its frame */
	bool answered;
	enum hf_err err; /* why there will be no reply */
};

struct hf_reply {
	struct buffer message;
	struct arena *arena; /* lists */
};

/* What the requests to come have besides what they are. */
struct asking {
	bool dry_run;
	bool each_once; /* every one gets an idempotency key */
	char key[IDEMPOTENCY_KEY_MAX + 1]; /* of the next one; "": none */
};

struct hf_client {
	struct client_socket socket;
	struct asking asking;
	struct hf_dry_run dry_run; /* in `reply`; of the last dry run */
	struct pending *pending;   /* in the order of sending */
	uint32_t last_id;
	int timeout_ms, patience_ms;
	bool reached; /* ever */
	bool stale;   /* the connection is older than the request at hand */
	struct buffer input; /* the beginning of a frame, or several */
	struct buffer spare; /* empty; for the next one */
	struct hf_reply *reply;
	struct client_spin spin;
	bool may_spin; /* the next call */
	bool spins;    /* the present one */
};

/* -- Requests that wait for their reply -- */

static void
pending_free(struct pending *p)
{
	buffer_free(&p->frame);
	buffer_free(&p->reply);
	free(p);
}

/* The request of that id; *link is where it hangs in the list. */
static struct pending *
pending_find(struct hf_client *c, uint32_t id, struct pending ***link)
{
	struct pending **at = &c->pending;

	while (*at != NULL && (*at)->id != id)
		at = &(*at)->next;
	*link = at;
	return *at;
}

static void
pending_remove(struct hf_client *c, struct pending *p)
{
	struct pending **link;

	(void)pending_find(c, p->id, &link);
	*link = p->next;
	pending_free(p);
}

static bool
fully_sent(const struct pending *p)
{
	return p->answered || p->sent == p->frame.len;
}

static bool
is_answered(const struct pending *p)
{
	return p->answered;
}

/* The first request that is not on its way; NULL when all are. */
static struct pending *
next_to_write(const struct hf_client *c)
{
	struct pending *p = c->pending;

	while (p != NULL && (p->err != HF_OK || fully_sent(p)))
		p = p->next;
	return p;
}

/* Most fit at first; what is longer has to be written again. */
static enum hf_err
encode_request(enum frame_kind wire, const struct op *op,
    const struct envelope_options *options, const void *in, uint32_t id,
    struct buffer *frame)
{
	size_t head = frame_header_size(wire) + FRAME_ID;
	size_t body = 0;
	enum hf_err err = buffer_reserve(frame, REQUEST_FIRST);

	if (err != HF_OK)
		return err;
	for (;;) {
		err = envelope_request_with(text_of(op->name), options, op->in,
		    in, frame->ptr + head, frame->cap - head, &body);
		if (err == HF_OK)
			break;
		bytes_wipe(frame->ptr, frame->cap); /* what it wrote so far */
		if (err != HF_ERR_BUFFER_TOO_SMALL ||
		    (err = buffer_reserve(frame, head + body)) != HF_OK)
			return err;
	}
	frame_header(wire, FRAME_ID + body, frame->ptr);
	put_u32(frame->ptr + head - FRAME_ID, id);
	frame->len = head + body;
	return HF_OK;
}

/* 128 bits that nobody has used before, in hexadecimal. */
static enum hf_err
draw_key(char out[IDEMPOTENCY_KEY_MAX + 1])
{
	uint8_t drawn[16];

	if (getrandom(drawn, sizeof(drawn), 0) != (ssize_t)sizeof(drawn))
		return HF_ERR_SYSTEM;
	hex_encode(drawn, sizeof(drawn), out);
	return HF_OK;
}

/* What this request has besides; a key is for one request only. */
static enum hf_err
take_options(struct hf_client *c, const struct op *op,
    char key[IDEMPOTENCY_KEY_MAX + 1], struct envelope_options *out)
{
	enum hf_err err = HF_OK;

	memcpy(key, c->asking.key, sizeof(c->asking.key));
	c->asking.key[0] = '\0';
	if (key[0] == '\0' && c->asking.each_once && !c->asking.dry_run &&
	    (op->flags & OP_ONCE) != 0)
		err = draw_key(key);
	*out = (struct envelope_options){ .dry_run = c->asking.dry_run };
	if (key[0] != '\0')
		out->idempotency_key = text_of(key);
	return err;
}

static enum hf_err
pending_new(struct hf_client *c, const struct op *op, const void *in,
    struct pending **out)
{
	struct pending *p = calloc(1, sizeof(*p));
	char key[IDEMPOTENCY_KEY_MAX + 1];
	struct envelope_options options;
	struct pending **link;
	enum hf_err err;

	if (p == NULL)
		return HF_ERR_NO_MEMORY;
	if ((err = take_options(c, op, key, &options)) != HF_OK) {
		pending_free(p);
		return err;
	}
	c->last_id++;
	p->id = c->last_id | 0x80000000; /* the wire wants the top bit */
	p->op = op;
	p->deadline = deadline_in(c->timeout_ms);
	p->dry_run = options.dry_run;
	p->repeatable = (op->flags & OP_CHANGES) == 0 || options.dry_run ||
	    options.idempotency_key.ptr != NULL;
	err = encode_request(
	    client_socket_wire(&c->socket), op, &options, in, p->id, &p->frame);
	if (err != HF_OK) {
		pending_free(p);
		return err;
	}
	(void)pending_find(c, p->id, &link);
	*link = p;
	*out = p;
	return HF_OK;
}

/* -- The connection and its loss -- */

/* After this nothing of the old connection is left. */
static void
disconnect(struct hf_client *c)
{
	client_socket_drop(&c->socket);
	buffer_free(&c->input);
	c->stale = false;
}

/*
 * What becomes of a request whose connection is gone. What was not sent to its
 * end cannot have been carried out; what was may have been. There is no third
 * attempt: it may be this request that the service does not survive. With a
 * connection that the service hung up on while we were idle nothing was tried.
 */
static void
survive_loss(struct pending *p, bool stale)
{
	bool whole = p->sent == p->frame.len;
	bool part = p->sent > 0 && !whole;

	if (p->answered || p->err != HF_OK || (stale && p->sent == 0))
		return;
	p->losses++;
	if (p->losses == MOST_LOSSES)
		p->err = part ? HF_ERR_TOO_LARGE : HF_ERR_DISCONNECTED;
	else if (whole && !p->repeatable)
		p->err = HF_ERR_DISCONNECTED;
	p->sent = 0;
}

static void
connection_lost(struct hf_client *c)
{
	bool stale = c->stale;

	disconnect(c);
	for (struct pending *p = c->pending; p != NULL; p = p->next)
		survive_loss(p, stale);
}

static void
fail_all(struct hf_client *c, enum hf_err err)
{
	disconnect(c);
	for (struct pending *p = c->pending; p != NULL; p = p->next)
		if (!p->answered && p->err == HF_OK)
			p->err = err;
}

static enum hf_err
reconnect(struct hf_client *c, int64_t deadline, struct hf_why *why)
{
	int64_t patience = deadline_now() + (c->reached ? c->patience_ms : 0);
	enum hf_err err;

	for (;;) {
		err = client_socket_connect(&c->socket, deadline, why);
		if (err != HF_ERR_UNREACHABLE)
			break;
		if (deadline_now() >= patience || deadline_now() >= deadline)
			break;
		nap_until(deadline, RETRY_PAUSE);
	}
	if (err == HF_OK)
		c->reached = true;
	return err;
}

/* -- Moving bytes -- */

/* Hands the first frame of the input to the request that waits for it. */
static enum hf_err
take_frame(struct hf_client *c, size_t need)
{
	enum frame_kind wire = client_socket_wire(&c->socket);
	uint32_t id = get_u32(c->input.ptr + frame_header_size(wire));
	struct pending **link;
	struct pending *p = pending_find(c, id, &link);
	enum hf_err err;

	/* The late reply to a request that nobody waits for any more. */
	if (p == NULL || p->answered || p->err != HF_OK) {
		buffer_drop(&c->input, need);
		return HF_OK;
	}
	if (c->input.len == need) {
		p->reply = c->input;
		c->input = (struct buffer){ 0 };
	} else {
		err = buffer_add(&p->reply, bytes_of(c->input.ptr, need));
		if (err != HF_OK)
			return err;
		buffer_drop(&c->input, need);
	}
	p->answered = true;
	buffer_free(&p->frame);
	return HF_OK;
}

/* Takes all whole frames, and makes room for the rest of the next one. */
static enum hf_err
take_frames(struct hf_client *c)
{
	enum hf_err err;
	size_t need;

	while (c->input.len > 0) {
		err = frame_measure(client_socket_wire(&c->socket),
		    c->input.ptr, c->input.len, REPLY_MAX, &need);
		if (err != HF_OK)
			return HF_ERR_BAD_REPLY;
		if (need == 0)
			return HF_OK;
		if (need > c->input.len)
			return buffer_reserve(&c->input, need);
		if ((err = take_frame(c, need)) != HF_OK)
			return err;
	}
	return HF_OK;
}

static enum hf_err
read_some(struct hf_client *c)
{
	struct buffer *in = &c->input;
	enum hf_err err;
	size_t n;

	if (in->ptr == NULL) {
		*in = c->spare;
		c->spare = (struct buffer){ 0 };
	}
	if (in->cap == in->len &&
	    (err = buffer_reserve(in, in->len + READ_SIZE)) != HF_OK)
		return err;
	err = client_socket_read(
	    &c->socket, in->ptr + in->len, in->cap - in->len, &n);
	if (err != HF_OK)
		return err;
	in->len += n;
	return take_frames(c);
}

static enum hf_err
write_some(struct hf_client *c, struct pending *p)
{
	size_t n;
	enum hf_err err = client_socket_write(
	    &c->socket, p->frame.ptr + p->sent, p->frame.len - p->sent, &n);

	if (err == HF_OK)
		p->sent += n;
	return err;
}

/*
 * One turn: writes what goes, and only when nothing did waits until something
 * can be read or written. For both, or two sides that wait for each other to
 * read would wait for ever.
 */
static enum hf_err
turn(struct hf_client *c, int64_t deadline)
{
	struct pending *p = next_to_write(c);
	size_t sent = p == NULL ? 0 : p->sent;
	bool readable, writable;
	enum hf_err err = p == NULL ? HF_OK : write_some(c, p);

	if (err != HF_OK || (p != NULL && p->sent > sent))
		return err;
	err = client_socket_wait(
	    &c->socket, p != NULL, deadline, &readable, &writable);
	return err == HF_OK && readable ? read_some(c) : err;
}

/* What follows from a connection that is gone or speaks rubbish. HF_OK then
 * too: the requests themselves say how they fared. */
static enum hf_err
or_lose(struct hf_client *c, enum hf_err err)
{
	if (err == HF_OK || err == HF_ERR_TIMEOUT)
		return err;
	if (err == HF_ERR_DISCONNECTED)
		connection_lost(c);
	else
		fail_all(c, err);
	return HF_OK;
}

static enum hf_err
turn_or_lose(struct hf_client *c, int64_t deadline)
{
	return or_lose(c, turn(c, deadline));
}

static uint64_t
clock_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/*
 * Looks for the reply, for a while; the core is anybody's who wants it. When
 * somebody did, or nothing came, the rest of the time is slept.
 */
static enum hf_err
spin(struct hf_client *c, const struct pending *p)
{
	uint64_t began = clock_ns(), now = began, before;
	enum hf_err err;

	c->spins = false;
	do {
		if ((err = read_some(c)) != HF_OK)
			return or_lose(c, err);
		if (p->answered)
			break;
		(void)sched_yield();
		before = now;
		now = clock_ns();
	} while (now - before < TAKEN_NS && now - began < SPIN_LONGEST);
	return HF_OK;
}

/*
 * Before anything else in a call: notices that we are the child of a fork, or
 * that the host closed our descriptor.
 */
static void
check_process(struct hf_client *c)
{
	struct client_socket *s = &c->socket;

	if (s->fd < 0 || client_socket_ours(s))
		return;
	/* In a child, what the parent sent is the parent's. */
	if (s->pid != getpid())
		fail_all(c, HF_ERR_DISCONNECTED);
	else
		connection_lost(c);
}

/*
 * Notices that the service hung up while we were idle: then nothing is lost,
 * whereas a request written to a dead connection might be. A Unix socket takes
 * nothing once the other end is closed, so that there the write will tell.
 */
static void
check_connection(struct hf_client *c)
{
	if (c->socket.fd >= 0 && c->socket.tls != NULL)
		(void)turn_or_lose(c, 0);
	c->stale = c->socket.fd >= 0;
}

/* Keeps going until `done`; HF_OK with p->err set also ends it. */
static enum hf_err
drive(struct hf_client *c, const struct pending *p,
    bool (*done)(const struct pending *), struct hf_why *why)
{
	enum hf_err err;

	while (p->err == HF_OK && !done(p)) {
		if (c->socket.fd < 0 &&
		    (err = reconnect(c, p->deadline, why)) != HF_OK)
			return err;
		err = c->spins && fully_sent(p) ? spin(c, p)
						: turn_or_lose(c, p->deadline);
		if (err == HF_OK)
			continue;
		/* Half a frame cannot be taken back. */
		if ((p->sent > 0 && !fully_sent(p)) ||
		    client_socket_holds(&c->socket))
			connection_lost(c);
		return hf_fail(why, err, "no reply to %s in time", p->op->name);
	}
	return HF_OK;
}

static enum hf_err
tell_loss(const struct pending *p, struct hf_why *why)
{
	bool large = p->frame.len > LARGE;

	if (p->err == HF_ERR_TOO_LARGE ||
	    (p->err == HF_ERR_DISCONNECTED && large))
		return hf_fail(why, p->err,
		    "the service hung up on a message of %zu bytes: larger "
		    "than it accepts (16 MiB unless configured otherwise)?",
		    p->frame.len);
	if (p->err == HF_ERR_DISCONNECTED)
		return hf_fail(why, p->err,
		    "the connection to the service was lost; %s may have been "
		    "carried out or not",
		    p->op->name);
	return hf_fail(why, p->err, "%s", hf_err_sentence(p->err));
}

/* -- Replies -- */

void
hf_reply_free(struct hf_reply *reply)
{
	if (reply == NULL)
		return;
	buffer_free(&reply->message);
	arena_free(reply->arena);
	free(reply);
}

struct hf_reply *
hf_keep(struct hf_client *c)
{
	struct hf_reply *reply = c->reply;

	c->reply = NULL;
	c->dry_run = (struct hf_dry_run){ 0 };
	return reply;
}

/* Wiped, the memory of a reply is there for the next one. */
static void
recycle(struct hf_client *c, struct buffer *message)
{
	if (c->spare.ptr != NULL || message->cap > READ_SIZE) {
		buffer_free(message);
		return;
	}
	bytes_wipe(message->ptr, message->len);
	c->spare = (struct buffer){ message->ptr, message->cap, 0 };
	*message = (struct buffer){ 0 };
}

void
hf_forget(struct hf_client *c)
{
	if (c->reply == NULL)
		return;
	recycle(c, &c->reply->message);
	arena_reset(c->reply->arena);
	c->dry_run = (struct hf_dry_run){ 0 };
}

/* An empty reply to decode into: the last one wiped, or a new one. */
static enum hf_err
reply_ready(struct hf_client *c)
{
	struct hf_reply *reply;
	enum hf_err err;

	if (c->reply != NULL) {
		hf_forget(c);
		return HF_OK;
	}
	if ((reply = calloc(1, sizeof(*reply))) == NULL)
		return HF_ERR_NO_MEMORY;
	err = arena_new(ARENA_FIRST, REPLY_MAX, &reply->arena);
	if (err != HF_OK) {
		free(reply);
		return err;
	}
	c->reply = reply;
	return HF_OK;
}

static enum hf_err
open_reply(
    struct hf_client *c, struct pending *p, void *out, struct hf_why *why)
{
	enum frame_kind wire = client_socket_wire(&c->socket);
	size_t head = frame_header_size(wire) + FRAME_ID;
	enum hf_err err = reply_ready(c);
	struct buffer *message;

	if (err != HF_OK)
		return hf_fail(why, err, "%s", hf_err_sentence(err));
	message = &c->reply->message;
	*message = p->reply;
	p->reply = (struct buffer){ 0 };
	err = envelope_open_reply(
	    bytes_of(message->ptr + head, message->len - head), p->op->out,
	    c->reply->arena, out, why);
	if (err == HF_OK && p->dry_run)
		err = hf_fail(why, HF_ERR_BAD_REPLY,
		    "the service did not take %s for a dry run", p->op->name);
	if (err == HF_OK)
		return HF_OK;
	memset(out, 0, p->op->out->size);
	if (err == HF_ERR_DRY_RUN &&
	    envelope_open_part(
		bytes_of(message->ptr + head, message->len - head),
		TEXT("dry_run"), &schema_dry_run, c->reply->arena,
		&c->dry_run) != HF_OK)
		err = hf_fail(why, HF_ERR_BAD_REPLY, "%s",
		    hf_err_sentence(HF_ERR_BAD_REPLY));
	if (why != NULL && why->text[0] == '\0')
		return hf_fail(why, err, "%s", hf_err_sentence(err));
	return err;
}

/* -- Calls -- */

enum hf_err
client_send(struct hf_client *c, const struct op *op, const void *in,
    uint32_t *ticket, struct hf_why *why)
{
	struct pending *p;
	enum hf_err err;

	check_process(c);
	check_connection(c);
	if ((err = pending_new(c, op, in, &p)) != HF_OK)
		return hf_fail(why, err, "%s", hf_err_sentence(err));
	err = drive(c, p, fully_sent, why);
	if (err == HF_OK && p->err != HF_OK)
		err = tell_loss(p, why);
	if (err != HF_OK) {
		pending_remove(c, p);
		return err;
	}
	*ticket = p->id;
	return HF_OK;
}

/* Once it is known that the connection is ours. */
static enum hf_err
receive(struct hf_client *c, const struct op *op, uint32_t ticket, void *out,
    struct hf_why *why)
{
	struct pending **link;
	struct pending *p = pending_find(c, ticket, &link);
	enum hf_err err;

	memset(out, 0, op->out->size);
	if (p == NULL || p->op != op)
		return hf_fail(why, HF_ERR_NOT_FOUND,
		    "no %s with this ticket waits for its reply", op->name);
	err = drive(c, p, is_answered, why);
	if (err == HF_OK && p->err != HF_OK)
		err = tell_loss(p, why);
	if (err == HF_OK)
		err = open_reply(c, p, out, why);
	pending_remove(c, p);
	return err;
}

enum hf_err
client_receive(struct hf_client *c, const struct op *op, uint32_t ticket,
    void *out, struct hf_why *why)
{
	check_process(c);
	return receive(c, op, ticket, out, why);
}

void
client_may_spin(struct hf_client *c, bool may)
{
	c->may_spin = may && c->socket.tls == NULL;
}

/* For the reply of a request that was sent. */
static enum hf_err
receive_soon(struct hf_client *c, const struct op *op, uint32_t ticket,
    void *out, struct hf_why *why)
{
	bool spins = client_spin_wanted(&c->spin);
	uint64_t began = clock_ns();
	enum hf_err err;

	c->spins = spins;
	err = receive(c, op, ticket, out, why);
	c->spins = false;
	client_spin_note(&c->spin, spins, clock_ns() - began);
	return err;
}

enum hf_err
client_call(struct hf_client *c, const struct op *op, const void *in, void *out,
    struct hf_why *why)
{
	uint32_t ticket;
	enum hf_err err = client_send(c, op, in, &ticket, why);

	if (err == HF_OK)
		return c->may_spin ? receive_soon(c, op, ticket, out, why)
				   : receive(c, op, ticket, out, why);
	memset(out, 0, op->out->size);
	return err;
}

/* -- Handles -- */

/* Nothing is set when the environment lacks something, or is not to be
 * believed. */
static enum hf_err
tls_from_environment(struct client_socket *s, struct hf_why *why)
{
	const char *version = secure_getenv("HOLDFAST_TLS_VERSION");
	struct hf_tls tls = { .ca = secure_getenv("HOLDFAST_TLS_CA"),
		.certificate = secure_getenv("HOLDFAST_TLS_CERTIFICATE"),
		.key = secure_getenv("HOLDFAST_TLS_KEY"),
		.server_name = secure_getenv("HOLDFAST_TLS_SERVER_NAME"),
		.allow_tls12 = version != NULL && strcmp(version, "1.2") == 0 };

	if (version != NULL && !tls.allow_tls12 && *version != '\0' &&
	    strcmp(version, "1.3") != 0)
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "HOLDFAST_TLS_VERSION is 1.3 or 1.2");
	if (tls.ca == NULL || tls.certificate == NULL || tls.key == NULL)
		return HF_OK;
	return client_socket_set_tls(s, &tls, why);
}

enum hf_err
hf_prepare(const char *address, int timeout_ms, struct hf_client **out,
    struct hf_why *why)
{
	struct hf_client *c = calloc(1, sizeof(*c));
	enum hf_err err;

	if (c == NULL)
		return hf_fail(why, HF_ERR_NO_MEMORY, "%s",
		    hf_err_sentence(HF_ERR_NO_MEMORY));
	if (address == NULL)
		address = secure_getenv("HOLDFAST_SOCKET");
	if (address == NULL || *address == '\0')
		address = default_socket;
	err = client_socket_init(&c->socket, address, why);
	if (err == HF_OK && c->socket.address.kind == ADDRESS_TLS)
		err = tls_from_environment(&c->socket, why);
	if (err != HF_OK) {
		free(c);
		return err;
	}
	c->timeout_ms = timeout_ms;
	c->patience_ms = DEFAULT_PATIENCE;
	*out = c;
	return HF_OK;
}

enum hf_err
hf_connect(const char *address, int timeout_ms, struct hf_client **out,
    struct hf_why *why)
{
	struct hf_client *c;
	enum hf_err err = hf_prepare(address, timeout_ms, &c, why);

	if (err != HF_OK)
		return err;
	err = reconnect(c, deadline_in(timeout_ms), why);
	if (err != HF_OK) {
		hf_close(c);
		return err;
	}
	*out = c;
	return HF_OK;
}

void
hf_close(struct hf_client *c)
{
	struct pending *next;

	if (c == NULL)
		return;
	for (struct pending *p = c->pending; p != NULL; p = next) {
		next = p->next;
		pending_free(p);
	}
	disconnect(c);
	client_socket_free(&c->socket);
	hf_reply_free(c->reply);
	buffer_free(&c->spare);
	free(c);
}

enum hf_err
hf_set_tls(struct hf_client *c, const struct hf_tls *tls, struct hf_why *why)
{
	if (c->socket.fd >= 0)
		connection_lost(c);
	return client_socket_set_tls(&c->socket, tls, why);
}

void
hf_set_timeout(struct hf_client *c, int timeout_ms)
{
	c->timeout_ms = timeout_ms;
}

void
hf_set_patience(struct hf_client *c, int patience_ms)
{
	c->patience_ms = patience_ms;
}

void
hf_set_dry_run(struct hf_client *c, bool dry_run)
{
	c->asking.dry_run = dry_run;
}

const struct hf_dry_run *
hf_would_change(const struct hf_client *c)
{
	return &c->dry_run;
}

enum hf_err
hf_set_idempotency_key(struct hf_client *c, struct hf_text key)
{
	if (key.len > IDEMPOTENCY_KEY_MAX)
		return HF_ERR_OUT_OF_BOUNDS;
	memset(c->asking.key, 0, sizeof(c->asking.key));
	if (key.len > 0)
		memcpy(c->asking.key, key.ptr, key.len);
	return HF_OK;
}

void
hf_set_each_once(struct hf_client *c, bool each_once)
{
	c->asking.each_once = each_once;
}

/* -- One function per operation -- */

enum op_index {
#define OP(id, symbol, in_, out_, wire, path, cap, flags, verb, sentence) \
	INDEX_##symbol,
#include <holdfast/ops.def>
#undef OP
};

/* clang-format off */
#define OP(id, symbol, in_, out_, wire, path, cap, flags, verb, sentence)      \
	enum hf_err                                                            \
	hf_##symbol(struct hf_client *client, const struct hf_##in_ *in,       \
	    struct hf_##out_ *out, struct hf_why *why)                         \
	{                                                                      \
		return client_call(client, &ops[INDEX_##symbol], in, out,      \
		    why);                                                      \
	}                                                                      \
	enum hf_err                                                            \
	hf_##symbol##_send(struct hf_client *client,                           \
	    const struct hf_##in_ *in, uint32_t *ticket, struct hf_why *why)   \
	{                                                                      \
		return client_send(client, &ops[INDEX_##symbol], in, ticket,   \
		    why);                                                      \
	}                                                                      \
	enum hf_err                                                            \
	hf_##symbol##_receive(struct hf_client *client, uint32_t ticket,       \
	    struct hf_##out_ *out, struct hf_why *why)                         \
	{                                                                      \
		return client_receive(client, &ops[INDEX_##symbol], ticket,    \
		    out, why);                                                 \
	}
#include <holdfast/ops.def>
#undef OP
/* clang-format on */
