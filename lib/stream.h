/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_STREAM_H
#define LIB_STREAM_H

#include <sys/types.h>

#include <holdfast/stream.h>

#include "context.h"
#include "secret.h"
#include "stream_crypto.h"

/*
 * What the files of libholdfast-stream share: the header as bytes, and the
 * keys of one file. docs/file-format.md says it byte by byte.
 *
 *	stream_header.c   the header
 *	stream_keys.c     the keys of a file, and chunks under them
 *	stream_seal.c     sealing, chunk by chunk
 *	stream_open.c     opening, chunk by chunk
 *	stream_lane.c     the same from several threads at one file
 *	stream_rewrap.c   another wrapped key in a header
 *	stream_fd.c       both, from one descriptor to another; random access
 *	stream_crypto.c   the door to OpenSSL
 */
enum {
	/* Version 2 has a context, which is its data key's encryption_context;
	 * of a file of version 1, when it has one, it is associated data. */
	STREAM_VERSION = 1,
	STREAM_VERSION_CONTEXT = 2,
	STREAM_SUITE = 1, /* HKDF-SHA-256, AES-256-GCM */
	STREAM_SALT = 32,
	STREAM_COMMITMENT = 32,
	STREAM_PREFIX = 7, /* of a nonce: the rest is a counter and a flag */
	STREAM_START = 16, /* bytes that tell how long a header is */
	STREAM_WRAPPED_MAX = 1024,
};

_Static_assert((int)HF_STREAM_CONTEXT_MAX == (int)CONTEXT_PAIRS,
    "a file has the context that its data key has");

/* How many chunks a file can have: what the counter in the nonce counts. */
#define STREAM_CHUNKS (UINT64_C(1) << 32)

/* -- The header -- */

/*
 * A header in two parts: what the keys of the file are derived with (`bound`:
 * it cannot change), and what leads to the data key, which a rewrap replaces.
 */
struct stream_header {
	struct hf_stream_info info;
	struct hf_bytes bound;
	struct hf_bytes salt;    /* within `bound` */
	struct hf_bytes context; /* within `bound`: canonical CBOR */
	bool binds_context;      /* the data key has it as encryption_context */
	struct hf_bytes commitment; /* STREAM_COMMITMENT bytes */
};

/* Errors as hf_stream_read. Views point into `in`. */
enum hf_err stream_header_read(
    struct hf_bytes in, struct stream_header *out, struct hf_why *why);

/*
 * Writes the header for a file; its commitment is all zero, because it depends
 * on the rest: *commitment is its place. HF_ERR_OUT_OF_BOUNDS when a data key
 * is wrapped into more than the format has room for.
 */
enum hf_err stream_header_write(uint32_t chunk_size, struct hf_bytes context,
    const uint8_t salt[STREAM_SALT], struct hf_text key,
    struct hf_bytes wrapped, uint8_t out[HF_STREAM_HEADER_MAX], size_t *len,
    uint8_t **commitment);

/* Reads it from the front of a file, and not a byte more. Fewer than it takes
 * come out of a file that ends in it: stream_header_read tells. */
enum hf_err stream_header_load(int fd, uint8_t header[HF_STREAM_HEADER_MAX],
    size_t *len, struct hf_why *why);

/* Writes the header anew, with another wrapped key and all else as it was.
 * HF_ERR_OUT_OF_BOUNDS when it has no room for that. */
enum hf_err stream_header_replace(const struct stream_header *old,
    struct hf_bytes wrapped, uint8_t out[HF_STREAM_HEADER_MAX]);

/* A power of two within the bounds. */
bool stream_chunk_size_ok(uint64_t size);

/* -- The keys of one file -- */

struct stream_keys {
	struct stream_cipher *cipher; /* NULL: no file */
	struct secret derived;        /* what it was made of, for copies */
	uint8_t prefix[STREAM_PREFIX];
	pid_t pid; /* who may go on with the file */
};

/*
 * Derives them from the data key and the `bound` part of the header, with what
 * the header must have as its commitment. `keys` must be empty.
 */
enum hf_err stream_keys_derive(struct hf_bytes data_key, struct hf_bytes bound,
    struct hf_bytes salt, bool seal, struct stream_keys *keys,
    uint8_t commitment[STREAM_COMMITMENT]);

/* The same keys with a cipher of their own, for another thread. `to` must be
 * empty. HF_ERR_BAD_INPUT in a child of the process that derived them. */
enum hf_err stream_keys_copy(
    const struct stream_keys *from, bool seal, struct stream_keys *to);

/* Wipes, frees and empties; fine when it is empty. */
void stream_keys_free(struct stream_keys *keys);

enum hf_err stream_keys_seal(const struct stream_keys *keys, uint32_t index,
    bool last, struct hf_bytes in, uint8_t *out);
enum hf_err stream_keys_open(const struct stream_keys *keys, uint32_t index,
    bool last, struct hf_bytes in, uint8_t *out);

/* -- Several threads at one file: for the command line, not exported -- */

/* Whoever has a file, and a thread: chunks in any order. Free it as any. */
enum hf_err stream_opener_copy(
    const struct hf_opener *from, struct hf_opener **out, struct hf_why *why);

/*
 * Takes the next `count` chunks of the present file, none of which is the last
 * one, away from hf_seal_chunk and from everybody else; *first is the index of
 * their first. HF_ERR_BAD_INPUT as there. Thread-safe.
 */
enum hf_err stream_seal_take(struct hf_sealer *sealer, uint64_t count,
    uint64_t *first, struct hf_why *why);

/*
 * Seals chunks of the present file of a sealer that it takes there: so no two
 * lanes, and no lane twice, can use a nonce. One thread at a time; the sealer
 * must neither begin a file nor be freed meanwhile.
 */
struct stream_lane;
enum hf_err stream_lane_new(
    struct hf_sealer *sealer, struct stream_lane **out, struct hf_why *why);
void stream_lane_free(struct stream_lane *lane); /* wipes; NULL is fine */
size_t stream_lane_chunk_size(const struct stream_lane *lane);

/* Takes so many chunks; what is left of those before is lost. */
enum hf_err stream_lane_take(struct stream_lane *lane, uint64_t count,
    uint64_t *first, struct hf_why *why);

/* Seals the next of them, as hf_seal_chunk does. */
enum hf_err stream_lane_seal(struct stream_lane *lane, struct hf_bytes in,
    uint8_t *out, struct hf_why *why);

/* What lanes are made of; stream_seal.c. */
const struct stream_keys *stream_seal_keys(const struct hf_sealer *sealer);

/* -- For tests: what the service and chance would give -- */

/* hf_seal_begin with a given data key, its wrapped form, and salt. */
enum hf_err stream_seal_begin_with(struct hf_sealer *sealer,
    struct hf_bytes data_key, struct hf_bytes wrapped,
    const uint8_t salt[STREAM_SALT], struct hf_bytes *header,
    struct hf_why *why);

/* hf_opener_new with a given data key. */
enum hf_err stream_opener_with(struct hf_bytes data_key, struct hf_bytes header,
    const struct hf_open_how *how, struct hf_opener **out, struct hf_why *why);

#endif
