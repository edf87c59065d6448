/* SPDX-License-Identifier: Apache-2.0 */
#include "turn.h"

#include <assert.h>
#include <string.h>

#include "../lib/bytes.h"

bool
turn_fits(const struct turn *turn, size_t size)
{
	return size <= TURN_BYTES - turn->used && turn->count < TURN_PARTS;
}

/* The part that a frame for this connection goes to. */
static struct turn_part *
part_for(struct turn *turn, struct connection *conn, bool audited)
{
	struct turn_part *part = &turn->parts[turn->count];

	if (turn->count > 0 && part[-1].conn == conn &&
	    part[-1].audited == audited)
		return &part[-1];
	turn->count++;
	*part = (struct turn_part){ conn, turn->used, 0, audited };
	return part;
}

void
turn_add(struct turn *turn, struct connection *conn, enum frame_kind kind,
    const uint8_t id[FRAME_ID], struct hf_bytes body, bool audited)
{
	size_t head = frame_header_size(kind);
	size_t size = head + FRAME_ID + body.len;
	uint8_t *p = turn->buf + turn->used;

	assert(turn_fits(turn, size));
	part_for(turn, conn, audited)->len += size;
	frame_header(kind, FRAME_ID + body.len, p);
	memcpy(p + head, id, FRAME_ID);
	if (body.len > 0)
		memcpy(p + head + FRAME_ID, body.ptr, body.len);
	turn->used += size;
}

void
turn_add_large(struct turn *turn, struct exchange *ex)
{
	ex->next = turn->large;
	turn->large = ex;
}

void
turn_want_flush(struct turn *turn, uint64_t ticket, bool sync)
{
	if (ticket == 0)
		return;
	if (ticket > turn->ticket)
		turn->ticket = ticket;
	turn->sync = turn->sync || sync;
}

enum hf_err
turn_flush(struct turn *turn, struct server *server)
{
	struct audit_batch *lines = &turn->lines;
	enum hf_err err = HF_OK;

	if (lines->len > 0 || lines->ticket > 0 || lines->failed)
		err = pipeline_commit(server, lines, &turn->ticket);
	if (err == HF_OK && turn->ticket > 0)
		err = pipeline_flush(server, turn->ticket, turn->sync);
	lines->ticket = 0;
	lines->failed = false;
	turn->ticket = 0;
	turn->sync = false;
	return err;
}

void
turn_clear(struct turn *turn)
{
	bytes_wipe(turn->buf, turn->used);
	turn->used = 0;
	turn->count = 0;
	turn->large = NULL;
}
