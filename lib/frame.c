/* SPDX-License-Identifier: Apache-2.0 */
#include "frame.h"

#include <string.h>

#include "bytes.h"

enum {
	IPC_MESSAGE = 0x01, /* the only type of nng's IPC mapping */
	LENGTH = 8,         /* bytes of a frame's length */
};

void
frame_hello(enum frame_role role, uint8_t out[FRAME_HELLO])
{
	const uint8_t hello[FRAME_HELLO] = { 0, 'S', 'P', 0, 0, (uint8_t)role,
		0, 0 };

	memcpy(out, hello, FRAME_HELLO);
}

bool
frame_hello_ok(enum frame_role role, const uint8_t in[FRAME_HELLO])
{
	uint8_t hello[FRAME_HELLO];

	frame_hello(role, hello);
	return memcmp(in, hello, FRAME_HELLO) == 0;
}

size_t
frame_header_size(enum frame_kind kind)
{
	return kind == FRAME_IPC ? 1 + LENGTH : LENGTH;
}

void
frame_header(enum frame_kind kind, uint64_t body, uint8_t *out)
{
	if (kind == FRAME_IPC)
		*out++ = IPC_MESSAGE;
	put_u64(out, body);
}

enum hf_err
frame_measure(enum frame_kind kind, const uint8_t *in, size_t len, size_t max,
    size_t *need)
{
	size_t head = frame_header_size(kind);
	uint64_t body;

	if (kind == FRAME_IPC && len > 0 && in[0] != IPC_MESSAGE)
		return HF_ERR_BAD_MESSAGE;
	if (len < head) {
		*need = 0;
		return HF_OK;
	}
	body = get_u64(in + head - LENGTH);
	if (body < FRAME_ID || body > FRAME_LONGEST)
		return HF_ERR_BAD_MESSAGE;
	*need = head + (size_t)body;
	return body - FRAME_ID > max ? HF_ERR_TOO_LARGE : HF_OK;
}

bool
frame_id_ok(const uint8_t id[FRAME_ID])
{
	return (id[0] & 0x80) != 0;
}
