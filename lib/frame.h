/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_FRAME_H
#define LIB_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast/err.h>

/*
 * The SP wire of nanomsg and nng, as far as REQ and REP, PUB and SUB need it: a
 * hello of eight bytes each way, then frames. Over ipc:// a frame has a type
 * byte 0x01 before its length (nng's IPC mapping); over TCP and TLS it has none
 * (sp-tcp-mapping-01). A REQ body starts with a request id, four bytes,
 * big-endian, top bit set; the reply carries the same one.
 */
enum {
	FRAME_HELLO = 8,
	FRAME_ID = 4,
	FRAME_HEADER_MAX = 9,    /* the longest frame_header_size() */
	FRAME_LONGEST = 1 << 30, /* a body that claims more is no frame */
};

enum frame_kind { FRAME_IPC, FRAME_STREAM };

enum frame_role {
	FRAME_PUB = 0x20,
	FRAME_SUB = 0x21,
	FRAME_REQ = 0x30,
	FRAME_REP = 0x31
};

/* The eight bytes that `role` says first. */
void frame_hello(enum frame_role role, uint8_t out[FRAME_HELLO]);

/* Whether `in` is what the peer in that role says. */
bool frame_hello_ok(enum frame_role role, const uint8_t in[FRAME_HELLO]);

/* Bytes before the request id: 9 over ipc, 8 over a stream. */
size_t frame_header_size(enum frame_kind kind);

/* Writes the header of a frame whose body (id included) has `body` bytes. */
void frame_header(enum frame_kind kind, uint64_t body, uint8_t *out);

/*
 * Looks at the first `len` bytes of a frame. HF_OK and *need = 0: not enough
 * bytes for the header yet. HF_OK and *need > 0: the size of the whole frame,
 * header and id included. HF_ERR_BAD_MESSAGE: not a frame, shorter than an id,
 * or longer than FRAME_LONGEST. HF_ERR_TOO_LARGE: the body is longer than
 * `max` plus the id; *need is the size of the whole frame here too, for those
 * who skip it and answer.
 */
enum hf_err frame_measure(enum frame_kind kind, const uint8_t *in, size_t len,
    size_t max, size_t *need);

/* Whether the first four bytes of a body are the id of a request. */
bool frame_id_ok(const uint8_t id[FRAME_ID]);

#endif
