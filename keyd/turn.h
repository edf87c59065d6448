/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_TURN_H
#define KEYD_TURN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast/bytes.h>
#include <holdfast/err.h>

#include "../lib/frame.h"
#include "audit.h"
#include "exchange.h"

/*
 * The replies of one turn of an I/O thread. They are collected, the audit log
 * is flushed once for all of them, and only then they leave: one flush and,
 * for each connection, one system call, however many requests there were.
 */
enum {
	TURN_BYTES = 128 * 1024,
	TURN_PARTS = 512,
	TURN_LARGEST = 32 * 1024, /* a larger reply keeps its arena instead */
};

/* Frames of one connection that lie side by side in the buffer. */
struct turn_part {
	struct connection *conn;
	size_t start, len;
	bool audited; /* its audit lines were flushed by a worker */
};

struct turn {
	uint8_t *buf; /* TURN_BYTES, of the I/O thread */
	size_t used;
	struct turn_part parts[TURN_PARTS];
	size_t count;
	struct exchange *large;   /* replies with an arena of their own */
	struct audit_batch lines; /* of its requests; not in the log yet */
	uint64_t ticket;          /* the largest; 0: nothing to flush */
	bool sync;
};

/* Whether a frame of that many bytes can be added. */
bool turn_fits(const struct turn *turn, size_t size);

/* Copies a frame, which fits. Replies of one connection in a row are one part.
 */
void turn_add(struct turn *turn, struct connection *conn, enum frame_kind kind,
    const uint8_t id[FRAME_ID], struct hf_bytes body, bool audited);

/* Takes the exchange, whose reply is set. */
void turn_add_large(struct turn *turn, struct exchange *ex);

/* The flush that a request of this turn asked for. */
void turn_want_flush(struct turn *turn, uint64_t ticket, bool sync);

/* Flushes the audit log as far as this turn needs it. */
enum hf_err turn_flush(struct turn *turn, struct server *server);

/* Wipes. The large replies are somebody else's by now. */
void turn_clear(struct turn *turn);

#endif
