/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as any message: the first byte picks the operation, the second the
 * side. What is accepted must encode to something that decodes to the same.
 */
#include "../../lib/envelope.h"
#include "../fake/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t encoded[1 << 20];

static void
request(const struct op *op, struct hf_bytes in, struct arena *arena)
{
	void *first = message_room(arena, op->in->size);
	void *again = message_room(arena, op->in->size);
	struct envelope_options options;
	struct envelope e;
	struct hf_why why;
	size_t len;

	if (envelope_open(in, &e, &why) != HF_OK ||
	    schema_decode(op->in, e.in, arena, first, &why) != HF_OK)
		return;
	options = e.options;
	if (envelope_request_with(e.op, &e.options, op->in, first, encoded,
		sizeof(encoded), &len) != HF_OK ||
	    envelope_open(bytes_of(encoded, len), &e, NULL) != HF_OK ||
	    e.options.dry_run != options.dry_run ||
	    !text_equal(e.options.idempotency_key, options.idempotency_key) ||
	    schema_decode(op->in, e.in, arena, again, NULL) != HF_OK ||
	    !message_equal(op->in, first, again))
		abort();
}

static void
reply(const struct op *op, struct hf_bytes in, struct arena *arena)
{
	void *first = message_room(arena, op->out->size);
	void *again = message_room(arena, op->out->size);
	struct hf_why why;
	size_t len;

	if (envelope_open_reply(in, op->out, arena, first, &why) != HF_OK)
		return;
	if (envelope_reply(op->out, first, encoded, sizeof(encoded), &len) !=
		HF_OK ||
	    envelope_open_reply(
		bytes_of(encoded, len), op->out, arena, again, NULL) != HF_OK ||
	    !message_equal(op->out, first, again))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arena *arena;

	if (size < 2 || size > 65536)
		return 0;
	if (arena == NULL && arena_new(1 << 16, 16 << 20, &arena) != HF_OK)
		abort();
	if ((data[1] & 1) == 0)
		request(&ops[data[0] % ops_count], bytes_of(data + 2, size - 2),
		    arena);
	else
		reply(&ops[data[0] % ops_count], bytes_of(data + 2, size - 2),
		    arena);
	arena_reset(arena);
	return 0;
}
