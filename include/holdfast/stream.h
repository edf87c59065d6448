/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOLDFAST_STREAM_H
#define HOLDFAST_STREAM_H

#include <holdfast/holdfast.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Files of any size, sealed under a key of the service. The bulk never travels:
 * the service gives a data key, wrapped under the named key, and the data is
 * encrypted here with AES-256-GCM in chunks (docs/file-format.md). A sealed
 * file that was cut, extended, reordered or changed in any bit does not open.
 *
 * Link libholdfast-stream for this (pkg-config holdfast-stream). libholdfast
 * itself stays without a cryptographic library, for the sake of the processes
 * that the PKCS#11 module is loaded into.
 *
 * What holdfast.h says about threads holds for these handles and the client
 * they were made with: one thread at a time. Sealing and opening chunks does
 * not touch the client. After a fork a file that the parent began is the
 * parent's to go on with: the child gets HF_ERR_BAD_INPUT, because two
 * processes that go on with one file would encrypt different data under the
 * same nonces. hf_seal_begin starts a new one in either.
 */

enum {
	HF_STREAM_TAG = 16,            /* a sealed chunk is that much longer */
	HF_STREAM_CHUNK = 65536,       /* bytes of a chunk unless asked for */
	HF_STREAM_CHUNK_MIN = 4096,    /* powers of two from this ... */
	HF_STREAM_CHUNK_MAX = 1 << 20, /* ... to this */
	HF_STREAM_HEADER_MAX = 8192,
	HF_STREAM_CONTEXT_MAX = 32, /* pairs */
};

/* -- Sealing -- */

struct hf_seal_how {
	struct hf_text key;         /* its name */
	struct hf_uint key_version; /* absent: the one that is in use */
	const struct hf_pair *context;
	size_t context_count;
	uint32_t chunk_size; /* 0: HF_STREAM_CHUNK */
	/*
	 * One data key for so many files (0 and 1: one each), but no longer
	 * than so many seconds (0: 60). Each file still has keys of its own,
	 * derived with a salt. It saves a request a file, and puts as many
	 * files behind one line of the audit log.
	 */
	uint32_t reuse_files, reuse_seconds;
};

/*
 * Seals one file after the other. The client must stay until the sealer is
 * freed; `how` is not needed any more when this returns. HF_ERR_BAD_VALUE or
 * HF_ERR_OUT_OF_BOUNDS for what `how` must not say.
 */
struct hf_sealer;
enum hf_err hf_sealer_new(struct hf_client *client,
    const struct hf_seal_how *how, struct hf_sealer **out, struct hf_why *why);
void hf_sealer_free(struct hf_sealer *sealer); /* wipes; NULL is fine */

/* Bytes of plaintext in each chunk but the last. */
size_t hf_sealer_chunk_size(const struct hf_sealer *sealer);

/*
 * Starts a file, whether or not the one before was finished. Asks the service
 * for a data key unless one may be reused. `header` goes before the chunks and
 * stays as it is until the next call of this.
 */
enum hf_err hf_seal_begin(
    struct hf_sealer *sealer, struct hf_bytes *header, struct hf_why *why);

/*
 * Seals the next chunk of the file: exactly the chunk size, or with `last` up
 * to that much; none only in a file that holds nothing. `out` takes
 * in.len + HF_STREAM_TAG bytes and may be where `in` is. After the last chunk,
 * or an error, the file takes no more (HF_ERR_BAD_INPUT).
 */
enum hf_err hf_seal_chunk(struct hf_sealer *sealer, struct hf_bytes in,
    bool last, uint8_t *out, struct hf_why *why);

/* All of that: seals what `in` gives until its end, and writes it to `out`. */
enum hf_err hf_seal_fd(
    struct hf_sealer *sealer, int in, int out, struct hf_why *why);

/* -- What a sealed file says about itself, before any key is asked for -- */

struct hf_stream_info {
	struct hf_text key;
	uint64_t key_version;
	struct hf_bytes wrapped; /* the data key; transit.decrypt opens it */
	size_t header_size, chunk_size;
	struct hf_pair context[HF_STREAM_CONTEXT_MAX];
	size_t context_count;
};

/*
 * How long the header is that starts with these bytes; 16 are enough to tell.
 * HF_ERR_BAD_CIPHERTEXT when it is none, or of a version that is not known
 * here; HF_ERR_TRUNCATED when there are fewer.
 */
enum hf_err hf_stream_measure(
    struct hf_bytes start, size_t *header_size, struct hf_why *why);

/*
 * Reads a header (what comes after it is not looked at). Views point into it.
 * Nothing is proved yet: that takes the key.
 */
enum hf_err hf_stream_read(
    struct hf_bytes header, struct hf_stream_info *out, struct hf_why *why);

/*
 * How many chunks and bytes of plaintext a sealed file of that size holds.
 * HF_ERR_TRUNCATED when no sealed file is that long. Not proved before the last
 * chunk was opened as such.
 */
enum hf_err hf_stream_locate(const struct hf_stream_info *info,
    uint64_t sealed_size, uint64_t *chunks, uint64_t *plain_size,
    struct hf_why *why);

/*
 * Has the service wrap the data key of a header anew, under the version of the
 * key that is in use or the one given: transit.rewrap, which shows it to
 * nobody. `out` gets a header as long as the old one, and the file opens with
 * it as it did before. Nothing is proved of the old one but that the service
 * opened its data key. HF_ERR_OUT_OF_BOUNDS when it has no room for the new.
 */
enum hf_err hf_stream_rewrap(struct hf_client *client, struct hf_bytes header,
    struct hf_uint key_version, uint8_t out[HF_STREAM_HEADER_MAX],
    struct hf_why *why);

/* -- Opening -- */

struct hf_open_how {
	struct hf_text key; /* absent: the one that the header names */
	/* Pairs that the file's context must have; HF_ERR_AUTH_FAILED, and
	 * nothing is asked of the service, when it has not. */
	const struct hf_pair *context;
	size_t context_count;
};

/*
 * Takes a whole header, asks the service to open its data key, and proves that
 * the header belongs to that key and no other: HF_ERR_AUTH_FAILED if not. `how`
 * may be NULL. The client is not needed any more when this returns.
 */
struct hf_opener;
enum hf_err hf_opener_new(struct hf_client *client, struct hf_bytes header,
    const struct hf_open_how *how, struct hf_opener **out, struct hf_why *why);
void hf_opener_free(struct hf_opener *opener); /* wipes; NULL is fine */

/* Views stay until the opener is freed. */
const struct hf_stream_info *hf_opener_info(const struct hf_opener *opener);

/*
 * Opens the chunk of that index; any order. `in` is a whole sealed chunk,
 * `last` tells that the file ends after it. `out` takes in.len - HF_STREAM_TAG
 * bytes elsewhere; they are wiped when the chunk is not authentic:
 *   HF_ERR_TRUNCATED    the chunk is whole, but others followed it once; or it
 *                       is shorter than any
 *   HF_ERR_AUTH_FAILED  anything else
 * Reading from the front, what was opened so far is authentic, but not known
 * to be all until the last chunk was opened as such.
 */
enum hf_err hf_open_chunk(struct hf_opener *opener, uint64_t index, bool last,
    struct hf_bytes in, uint8_t *out, struct hf_why *why);

/*
 * All of that: opens what `in` gives until its end, and writes to `out` chunk
 * by chunk, each after it was found authentic. When this fails, what was
 * written is the true beginning of the file, and no more than that.
 */
enum hf_err hf_open_fd(struct hf_client *client, const struct hf_open_how *how,
    int in, int out, struct hf_why *why);

/*
 * Random access to a file that can be sought in. The end is opened first, so
 * that the size is proved. The descriptor stays the caller's, and its position
 * is left alone. One chunk is kept.
 */
struct hf_sealed;
enum hf_err hf_sealed_open(struct hf_client *client,
    const struct hf_open_how *how, int fd, struct hf_sealed **out,
    struct hf_why *why);
void hf_sealed_close(struct hf_sealed *file); /* wipes; NULL is fine */

uint64_t hf_sealed_size(const struct hf_sealed *file);

/* Reads from that offset on; *done is less than `len` only at the end. */
enum hf_err hf_sealed_read(struct hf_sealed *file, uint64_t offset,
    uint8_t *out, size_t len, size_t *done, struct hf_why *why);

#ifdef __cplusplus
}
#endif

#endif
