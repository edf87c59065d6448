/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_STREAM_FIXTURE_H
#define TESTS_LIB_STREAM_FIXTURE_H

/*
 * For the tests of sealed files, which are in memory here. The service that
 * gives data keys is a fake that gives one key for one ciphertext.
 */
#include "../../lib/stream.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <cmocka.h>

#include <openssl/evp.h>

#include "../../lib/buffer.h"
#include "../fake/server.h"

enum { CHUNK = HF_STREAM_CHUNK_MIN, UNIT = CHUNK + HF_STREAM_TAG };

static const uint8_t data_key[32] = "a data key of 32 bytes, for all";
static const uint8_t other_key[32] = "another data key, as many bytes";
static const uint8_t wrapped[64] = { 0, 0, 0, 3, 'w', 'r' };
static const uint8_t salt[STREAM_SALT] = "a salt";
static const uint8_t other_salt[STREAM_SALT] = "another salt";
static const uint8_t rewrapped[100] = { 0, 0, 0, 4, 'n', 'e', 'w' };
static const struct hf_pair tenant = { { "tenant", 6 }, { "acme", 4 } };

static const struct hf_seal_how usual = { .key = { "payments", 8 },
	.context = &tenant,
	.context_count = 1,
	.chunk_size = CHUNK };

#define WRAPPED bytes_of(wrapped, sizeof(wrapped))
#define DATA_KEY bytes_of(data_key, sizeof(data_key))

static inline void
fill(struct buffer *b, size_t len)
{
	*b = (struct buffer){ 0 };
	assert_int_equal(buffer_reserve(b, len + 1), HF_OK);
	b->len = len;
	for (size_t i = 0; i < len; i++)
		b->ptr[i] = (uint8_t)(i * i % 251);
}

static inline struct buffer
seal_with(const struct hf_seal_how *how, const uint8_t *key,
    const uint8_t *with_salt, struct hf_bytes with_wrapped, size_t len)
{
	struct buffer plain, out = { 0 };
	struct hf_sealer *sealer;
	struct hf_bytes header;
	size_t at = 0, n;

	fill(&plain, len);
	assert_int_equal(hf_sealer_new(NULL, how, &sealer, NULL), HF_OK);
	assert_int_equal(stream_seal_begin_with(sealer, bytes_of(key, 32),
			     with_wrapped, with_salt, &header, NULL),
	    HF_OK);
	assert_int_equal(buffer_add(&out, header), HF_OK);
	do {
		size_t chunk = hf_sealer_chunk_size(sealer);

		n = len - at < chunk ? len - at : chunk;
		assert_int_equal(
		    buffer_reserve(&out, out.len + n + HF_STREAM_TAG), HF_OK);
		assert_int_equal(
		    hf_seal_chunk(sealer, bytes_of(plain.ptr + at, n),
			at + n == len, out.ptr + out.len, NULL),
		    HF_OK);
		out.len += n + HF_STREAM_TAG;
		at += n;
	} while (at < len);
	hf_sealer_free(sealer);
	buffer_free(&plain);
	return out;
}

static inline struct buffer
seal(size_t len)
{
	return seal_with(&usual, data_key, salt, WRAPPED, len);
}

/* Opens a file from its front to its end; HF_OK only when all of it did. */
static inline enum hf_err
open_with(const uint8_t *key, struct hf_bytes sealed, struct buffer *plain)
{
	struct hf_opener *opener;
	const struct hf_stream_info *info;
	uint64_t chunks, size;
	enum hf_err err =
	    stream_opener_with(bytes_of(key, 32), sealed, NULL, &opener, NULL);

	*plain = (struct buffer){ 0 };
	if (err != HF_OK)
		return err;
	info = hf_opener_info(opener);
	err = hf_stream_locate(info, sealed.len, &chunks, &size, NULL);
	if (err == HF_OK)
		assert_int_equal(buffer_reserve(plain, size + 1), HF_OK);
	for (uint64_t i = 0; err == HF_OK && i < chunks; i++) {
		size_t at =
		    info->header_size + i * (info->chunk_size + HF_STREAM_TAG);
		size_t n = sealed.len - at;

		if (n > info->chunk_size + HF_STREAM_TAG)
			n = info->chunk_size + HF_STREAM_TAG;
		err = hf_open_chunk(opener, i, i == chunks - 1,
		    bytes_of(sealed.ptr + at, n), plain->ptr + plain->len,
		    NULL);
		if (err == HF_OK)
			plain->len += n - HF_STREAM_TAG;
	}
	hf_opener_free(opener);
	return err;
}

static inline enum hf_err
open_only(struct hf_bytes sealed)
{
	struct buffer plain;
	enum hf_err err = open_with(data_key, sealed, &plain);

	buffer_free(&plain);
	return err;
}

static inline void
assert_plain(const struct buffer *plain, size_t len)
{
	struct buffer expected;

	fill(&expected, len);
	assert_int_equal(plain->len, len);
	assert_memory_equal(plain->ptr, expected.ptr, len);
	buffer_free(&expected);
}

static inline size_t
header_size(struct hf_bytes sealed)
{
	size_t size;

	assert_int_equal(hf_stream_measure(sealed, &size, NULL), HF_OK);
	return size;
}

/* A file of three chunks, the last of them short. */
static inline struct buffer
three_chunks(size_t *header)
{
	struct buffer b = seal(2 * CHUNK + 100);

	*header = header_size(buffer_view(&b));
	assert_int_equal(b.len, *header + 2 * UNIT + 100 + HF_STREAM_TAG);
	assert_int_equal(open_only(buffer_view(&b)), HF_OK);
	return b;
}

#endif
