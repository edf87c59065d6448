/* SPDX-License-Identifier: Apache-2.0 */
#include "connection.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "log.h"
#include "pipeline.h"
#include "tls_channel.h"

enum {
	TURN_REQUESTS = 64,   /* then it is somebody else's turn */
	UNSENT_MAX = 1 << 20, /* beyond it no request is read or run */
	ADDRESS_LONGEST = 80,
};

/* -- Beginning -- */

static enum hf_err
admit_local(struct connection *c, struct peers *peers, struct identities *known)
{
	struct peer_key key = { .kind = PEER_UID };
	struct ucred cred;
	socklen_t len = sizeof(cred);
	int fd = c->channel.fd;
	enum hf_err err;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0)
		return HF_ERR_NOT_IDENTIFIED;
	key.uid = cred.uid;
	/* First the cheap question: a flood must not cost a look at /proc. */
	err = peers_join(peers, &key, &c->peer);
	if (err != HF_OK)
		return err;
	return identity_of_socket(known, fd, &c->who);
}

/* Whoever has one IPv6 address has the other 2^64 of its network. IPv4 is where
 * no such network is. */
static void
stranger_key(int fd, struct peer_key *key)
{
	union {
		struct sockaddr any;
		struct sockaddr_in four;
		struct sockaddr_in6 six;
	} from = { 0 };
	socklen_t len = sizeof(from);

	*key = (struct peer_key){ .kind = PEER_ADDRESS };
	if (getpeername(fd, &from.any, &len) != 0)
		return;
	if (from.any.sa_family == AF_INET6 &&
	    !IN6_IS_ADDR_V4MAPPED(&from.six.sin6_addr)) {
		memcpy(key->address, &from.six.sin6_addr, 8);
		return;
	}
	memset(key->address, 0xff, 4);
	memcpy(&key->address[4],
	    from.any.sa_family == AF_INET ? (const uint8_t *)&from.four.sin_addr
					  : &from.six.sin6_addr.s6_addr[12],
	    4);
}

static enum hf_err
admit_tls(struct connection *c, struct tls_context *ctx, struct peers *peers)
{
	struct peer_key key;
	enum hf_err err;

	stranger_key(c->channel.fd, &key);
	err = peers_join(peers, &key, &c->peer);
	if (err != HF_OK)
		return err;
	return tls_channel_new(ctx, c->channel.fd, &c->channel.tls);
}

enum hf_err
connection_new(const struct listener *listener, int fd, struct peers *peers,
    struct identities *known, struct connection **out)
{
	struct connection *c = calloc(1, sizeof(*c));
	struct channel channel = { .fd = fd };
	enum hf_err err;

	if (c == NULL) {
		channel_close(&channel);
		return HF_ERR_NO_MEMORY;
	}
	c->source.kind = SOURCE_CONNECTION;
	c->channel = channel;
	if (listener->tls != NULL) {
		c->kind = FRAME_STREAM;
		c->phase = PHASE_TLS;
		err = admit_tls(c, listener->tls, peers);
	} else {
		c->kind = FRAME_IPC;
		c->phase = PHASE_HELLO;
		err = admit_local(c, peers, known);
	}
	if (err != HF_OK) {
		connection_free(c, peers);
		return err;
	}
	*out = c;
	return HF_OK;
}

void
connection_free(struct connection *c, struct peers *peers)
{
	channel_close(&c->channel);
	identity_free(c->who);
	if (c->peer != NULL)
		peers_leave(peers, c->peer);
	free(c);
}

void
connection_attach(struct connection *c, struct io *io)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = &c->source };

	c->io = io;
	for (size_t i = 0; i < DEADLINES; i++)
		c->deadlines[i].owner = c;
	TAILQ_INSERT_TAIL(&io->open, c, link);
	io_count(&io->counters.accepted, 1);
	if (epoll_ctl(io->epoll, EPOLL_CTL_ADD, c->channel.fd, &ev) != 0) {
		connection_close(c);
		return;
	}
	c->watched = ev.events;
	deadline_arm(&io->deadlines[DEADLINE_HANDSHAKE],
	    &c->deadlines[DEADLINE_HANDSHAKE], io->now);
	if (c->phase == PHASE_HELLO)
		connection_say_hello(c);
	connection_review(c);
}

/* -- What it waits for -- */

/* A peer that has more than its share, on however many connections, reads what
 * there is for it on this one first; else it would have that of others. */
static size_t
unsent_most(const struct connection *c)
{
	return peers_is_over(c->io->peers, c->peer) ? 0 : UNSENT_MAX;
}

bool
connection_has_room(const struct connection *c)
{
	return !c->io->stopping && c->in_flight < c->io->limits->in_flight &&
	    c->unsent <= unsent_most(c);
}

/* All it asked for is answered, and it will not ask again. */
static bool
is_finished(const struct connection *c)
{
	return c->in_flight == 0 && c->unsent == 0 &&
	    (c->io->stopping || (c->ended && !c->more));
}

static void
watch(struct connection *c, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = &c->source };

	if (events == c->watched)
		return;
	if (epoll_ctl(c->io->epoll, EPOLL_CTL_MOD, c->channel.fd, &ev) != 0) {
		connection_close(c);
		return;
	}
	c->watched = events;
}

static void
want_deadline(struct connection *c, enum io_deadline which, bool wanted)
{
	struct deadline *d = &c->deadlines[which];

	if (!wanted)
		deadline_disarm(d);
	else if (!deadline_is_armed(d))
		deadline_arm(&c->io->deadlines[which], d, c->io->now);
}

static void
make_ready(struct connection *c)
{
	if (c->is_ready)
		return;
	TAILQ_INSERT_TAIL(&c->io->ready, c, ready_link);
	c->io->ready_count++;
	c->is_ready = true;
}

void
connection_unready(struct connection *c)
{
	if (!c->is_ready)
		return;
	TAILQ_REMOVE(&c->io->ready, c, ready_link);
	c->io->ready_count--;
	c->is_ready = false;
}

void
connection_review(struct connection *c)
{
	bool room = connection_has_room(c);
	bool reads = room && !c->ended && !c->more;
	bool writes = !outbox_is_empty(&c->out);
	bool half = c->held != NULL || c->skip > 0;

	if (c->phase == PHASE_CLOSED)
		return;
	if (is_finished(c)) {
		connection_close(c);
		return;
	}
	if (room && (c->more || (reads && channel_pending(&c->channel))))
		make_ready(c);
	/* Not while we do not read: then the delay is ours. */
	want_deadline(c, DEADLINE_FRAME, half && reads);
	want_deadline(c, DEADLINE_SEND, writes);
	if (reads && channel_wants_out(&c->channel))
		writes = true;
	watch(c,
	    (reads ? (uint32_t)EPOLLIN : 0) |
		(writes ? (uint32_t)EPOLLOUT : 0));
}

/* -- TLS -- */

static void
peer_address(int fd, char out[ADDRESS_LONGEST])
{
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);
	char host[NI_MAXHOST], port[NI_MAXSERV];

	if (getpeername(fd, (struct sockaddr *)&address, &len) != 0 ||
	    getnameinfo((struct sockaddr *)&address, len, host, sizeof(host),
		port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		(void)snprintf(out, ADDRESS_LONGEST, "?");
	else
		(void)snprintf(out, ADDRESS_LONGEST,
		    strchr(host, ':') == NULL ? "%.64s:%.8s" : "[%.64s]:%.8s",
		    host, port);
}

/* The certificate is verified: who is it, and may one more of them come in? */
static enum hf_err
admit_certificate(struct connection *c, const char *address)
{
	struct peer_key key = { .kind = PEER_CERT };
	enum hf_err err =
	    tls_channel_identity(c->channel.tls, address, &c->who);

	if (err != HF_OK)
		return err;
	memcpy(key.cert, c->who->cert_sha256, sizeof(key.cert));
	return peers_move(c->io->peers, &c->peer, &key);
}

static void
shake_hands(struct connection *c)
{
	char address[ADDRESS_LONGEST];
	struct hf_why why = { "" };
	enum hf_err err = tls_channel_handshake(c->channel.tls, &why);

	if (err == HF_ERR_DEFER)
		return;
	peer_address(c->channel.fd, address);
	if (err == HF_OK)
		err = admit_certificate(c, address);
	if (err != HF_OK) {
		log_info("refused the TLS connection of %s: %s", address,
		    why.text[0] != '\0' ? why.text : hf_err_sentence(err));
		io_count(&c->io->counters.refused, 1);
		connection_close(c);
		return;
	}
	c->phase = PHASE_HELLO;
	connection_say_hello(c);
}

/* -- What happens to it -- */

static bool
should_read(const struct connection *c, uint32_t events)
{
	return connection_has_room(c) && !c->ended &&
	    ((events & EPOLLIN) != 0 || channel_pending(&c->channel) ||
		channel_wants_out(&c->channel));
}

void
connection_event(struct connection *c, uint32_t events)
{
	if (c->phase == PHASE_CLOSED)
		return; /* earlier in this turn */
	if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
		connection_close(c); /* nobody is left to read a reply */
		return;
	}
	c->budget = TURN_REQUESTS;
	deadline_arm(&c->io->deadlines[DEADLINE_IDLE],
	    &c->deadlines[DEADLINE_IDLE], c->io->now);
	if ((events & EPOLLOUT) != 0 && !outbox_is_empty(&c->out))
		connection_write(c);
	if (c->phase == PHASE_TLS)
		shake_hands(c);
	else if (c->more)
		connection_run_held(c);
	else if (c->phase != PHASE_CLOSED && should_read(c, events))
		connection_read(c);
	connection_review(c);
}

void
connection_expired(struct connection *c, enum io_deadline which)
{
	if (which == DEADLINE_IDLE && (c->in_flight > 0 || c->unsent > 0)) {
		want_deadline(c, which, true);
		return;
	}
	io_count(&c->io->counters.timeouts, 1);
	connection_close(c);
}

void
connection_complete(struct connection *c, struct exchange *ex)
{
	size_t size = FRAME_HEADER_MAX + FRAME_ID + ex->rq.reply.len;

	c->in_flight--;
	c->io->in_flight--;
	if (c->phase == PHASE_CLOSED) {
		exchange_give(ex);
		return;
	}
	if (ex->err != HF_OK) {
		exchange_give(ex);
		connection_close(c);
		return;
	}
	if (size > TURN_LARGEST) {
		exchange_set_reply(ex, c->kind, ex->id, ex->rq.reply);
		connection_reply_large(c, ex);
	} else {
		connection_reply(c, ex->id, ex->rq.reply, ex->audited);
		exchange_give(ex);
	}
	connection_review(c);
}

void
connection_stop(struct connection *c)
{
	connection_review(c);
}

void
connection_close(struct connection *c)
{
	struct io *io = c->io;

	if (c->phase == PHASE_CLOSED)
		return;
	c->phase = PHASE_CLOSED;
	/* Not left to close(): a forked child may hold the socket, too. */
	(void)epoll_ctl(io->epoll, EPOLL_CTL_DEL, c->channel.fd, NULL);
	channel_close(&c->channel);
	for (size_t i = 0; i < DEADLINES; i++)
		deadline_disarm(&c->deadlines[i]);
	outbox_clear(&c->out);
	if (c->held != NULL)
		exchange_give(c->held);
	c->held = NULL;
	connection_unready(c);
	if (c->slot.grant != NULL)
		pipeline_connection_closed(&c->slot);
	TAILQ_REMOVE(&io->open, c, link);
	TAILQ_INSERT_TAIL(&io->dead, c, link);
}
