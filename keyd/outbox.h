/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_OUTBOX_H
#define KEYD_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "channel.h"
#include "exchange.h"

/* The replies of one connection that its socket did not take yet, in order. */
struct outbox {
	struct exchange *first, *last;
};

static inline bool
outbox_is_empty(const struct outbox *box)
{
	return box->first == NULL;
}

/* Takes the exchange, whose reply is set. */
void outbox_push(struct outbox *box, struct exchange *ex);

/*
 * Puts bytes behind those of the last exchange, if its body is what `buf` has
 * up to `end` and there is room for all of them up to `cap`.
 */
bool outbox_append(struct outbox *box, struct hf_bytes more);

/*
 * Writes until the socket is full or the outbox empty, and gives back what
 * is sent. Returns the bytes written, or CHANNEL_FAILED.
 */
ssize_t outbox_write(struct outbox *box, struct channel *ch);

/* Drops everything. */
void outbox_clear(struct outbox *box);

#endif
