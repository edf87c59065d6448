/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_CONNECTION_H
#define KEYD_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <holdfast/err.h>

#include "channel.h"
#include "deadline.h"
#include "identity.h"
#include "io.h"
#include "io_source.h"
#include "listener.h"
#include "outbox.h"
#include "request_slot.h"

/*
 * One connection: TLS if it has it, the SP hello, then frames until somebody
 * hangs up. What it waits for follows from its fields alone and is worked out
 * anew after each thing that happened to it (review in connection.c); no
 * other state is kept about what to do next.
 *
 * An idle connection has no buffer. It outlives its socket while workers have
 * requests of it, because they hold on to its identity.
 */
struct connection {
	struct io_source source; /* first: epoll reports it */
	struct io *io;
	TAILQ_ENTRY(connection) link;       /* of open or dead */
	TAILQ_ENTRY(connection) ready_link; /* of ready */
	TAILQ_ENTRY(connection) unread_link;

	struct channel channel;
	enum frame_kind kind;
	enum connection_phase {
		PHASE_TLS,
		PHASE_HELLO,
		PHASE_OPEN,
		PHASE_CLOSED,
	} phase;
	uint32_t watched; /* what epoll looks for */
	bool is_ready;    /* in the list of that name */
	bool is_unread;   /* likewise */
	bool ended;       /* the peer sends no more, but may read */
	bool more;        /* `held` was not looked at to its end */
	bool several;     /* requests came at once, when last read from */

	struct identity *who;
	struct request_slot slot;
	struct peer *peer;

	uint8_t hello[FRAME_HELLO];
	size_t hello_len;
	struct exchange *held; /* bytes read and not run; NULL: none */
	size_t need;           /* of the frame in `held`; 0: unknown yet */
	size_t skip;           /* bytes to come of a frame that was refused */
	enum hf_err refused;   /* ... why, and which request it was */
	uint8_t refused_id[FRAME_ID];
	bool awaits;     /* its requests use an HSM, of late */
	unsigned budget; /* requests that it may run in this turn */

	unsigned in_flight; /* requests that workers have */
	struct outbox out;
	size_t unsent; /* bytes of replies, in the turn or the outbox */
	struct deadline deadlines[DEADLINES];
};

/*
 * Counts the peer in, finds out who it is where the kernel knows, and makes a
 * connection that no thread owns yet. Takes `fd` in every case. HF_ERR_BUSY:
 * one too many. HF_ERR_NOT_IDENTIFIED: nobody can say who that is.
 */
enum hf_err connection_new(const struct listener *listener, int fd,
    struct peers *peers, struct identities *known, struct connection **out);

/* For one that was never attached, or is closed and has nothing in flight. */
void connection_free(struct connection *c, struct peers *peers);

/* From now on this thread owns it: says hello, and waits for one. */
void connection_attach(struct connection *c, struct io *io);

/* Takes it off the list of those that have something to do without epoll. */
void connection_unready(struct connection *c);

/* What epoll reported; 0 for one that was in the list of ready ones. */
void connection_event(struct connection *c, uint32_t events);

/* Its oldest deadline of that kind has expired. */
void connection_expired(struct connection *c, enum io_deadline which);

/* A worker is done with a request of its. */
void connection_complete(struct connection *c, struct exchange *ex);

/* The daemon stops: no more requests, and goodbye once all is answered. */
void connection_stop(struct connection *c);

/* At once, replies or not. */
void connection_close(struct connection *c);

/* -- connection_reply.c: what leaves -- */

/* The replies of this turn leave, once their audit lines are written. */
void connection_settle_turn(struct io *io);

/*
 * Adds a reply to the turn. With `audited` it does not depend on the flush of
 * the turn. The connection may be closed afterwards.
 */
void connection_reply(struct connection *c, const uint8_t id[FRAME_ID],
    struct hf_bytes body, bool audited);

/* The same for one that lies in the arena of io->current, or is an error. */
void connection_reply_current(
    struct connection *c, const uint8_t id[FRAME_ID], struct hf_bytes body);
void connection_reply_error(
    struct connection *c, const uint8_t id[FRAME_ID], enum hf_err err);

/* The same for a large one, from where it lies: with the turn, or at once if
 * it is audited; takes the exchange. */
void connection_reply_large(struct connection *c, struct exchange *ex);

/* Sends a reply from where it lies; takes the exchange. */
void connection_reply_exchange(struct connection *c, struct exchange *ex);

void connection_say_hello(struct connection *c);

/* Writes what waits, as far as the socket takes it. */
void connection_write(struct connection *c);

/* -- connection_read.c: what arrives -- */

/* Reads once and runs what is whole. */
void connection_read(struct connection *c);

/* Takes out of the sockets what was read and left there. */
void connection_discard_all(struct io *io);

/* Runs what was read before. */
void connection_run_held(struct connection *c);

/* -- connection_await.c: what waits for an HSM, without a thread -- */

/*
 * Runs a request in an exchange of its own, whose message is in its arena:
 * replies, or lets it wait for the HSM, or for a worker. `first` as for
 * exchange_set_request(). Takes the exchange.
 */
void connection_await(struct connection *c, struct exchange *ex,
    const struct request *first, struct hf_bytes message);

/* Goes on with those that have their answer. */
void connection_resume_all(struct io *io);

/* Whether there is one with an answer. */
bool connection_has_answer(const struct io *io);

/* There will be no answers any more. */
void connection_abandon_all(struct io *io);

/* To the workers. When they have enough to do, says so; takes the exchange. */
void connection_to_workers(struct connection *c, struct exchange *ex);

/* A request that was run in an exchange: to a worker after HF_ERR_DEFER, else
 * its reply. Takes the exchange. */
void connection_conclude(
    struct connection *c, struct exchange *ex, enum hf_err err);

/* It cannot be run at all, for now: says so to the log and to who asked. */
void connection_refuse(struct connection *c, const uint8_t id[FRAME_ID],
    struct request *rq, enum hf_err err);

/* -- connection_linger.c: what takes a while -- */

/* Whether one more such request may wait to be done by this thread. */
bool connection_may_linger(const struct io *io);

/* Another request has come. */
void connection_note_light(struct io *io);

/* Has a request wait for that; as connection_await(). */
void connection_linger(struct connection *c, struct exchange *ex,
    const struct request *first, struct hf_bytes message);

/* Does one of them, at the end of a turn. */
void connection_linger_once(struct io *io);

/* -- connection.c -- */

/* Whether a request more may begin, apart from whose turn it is. */
bool connection_has_room(const struct connection *c);

/* Works out what the connection waits for now; closes one that is done. */
void connection_review(struct connection *c);

#endif
