/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealed files: what the vectors of an independent program say, and every way
 * to tamper with one. The service that gives data keys is a fake that gives
 * one key for one ciphertext.
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

/* -- Sealing and opening without a service -- */

static void
fill(struct buffer *b, size_t len)
{
	*b = (struct buffer){ 0 };
	assert_int_equal(buffer_reserve(b, len + 1), HF_OK);
	b->len = len;
	for (size_t i = 0; i < len; i++)
		b->ptr[i] = (uint8_t)(i * i % 251);
}

static struct buffer
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

static struct buffer
seal(size_t len)
{
	return seal_with(&usual, data_key, salt, WRAPPED, len);
}

/* Opens a file from its front to its end; HF_OK only when all of it did. */
static enum hf_err
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

static enum hf_err
open_only(struct hf_bytes sealed)
{
	struct buffer plain;
	enum hf_err err = open_with(data_key, sealed, &plain);

	buffer_free(&plain);
	return err;
}

static void
assert_plain(const struct buffer *plain, size_t len)
{
	struct buffer expected;

	fill(&expected, len);
	assert_int_equal(plain->len, len);
	assert_memory_equal(plain->ptr, expected.ptr, len);
	buffer_free(&expected);
}

static size_t
header_size(struct hf_bytes sealed)
{
	size_t size;

	assert_int_equal(hf_stream_measure(sealed, &size, NULL), HF_OK);
	return size;
}

/* A file of three chunks, the last of them short. */
static struct buffer
three_chunks(size_t *header)
{
	struct buffer b = seal(2 * CHUNK + 100);

	*header = header_size(buffer_view(&b));
	assert_int_equal(b.len, *header + 2 * UNIT + 100 + HF_STREAM_TAG);
	assert_int_equal(open_only(buffer_view(&b)), HF_OK);
	return b;
}

/* -- Vectors (tests/e2e/stream_peer.py makes them) -- */

static const struct hf_pair many[] = { { { "tenant", 6 }, { "acme", 4 } },
	{ { "a", 1 }, { "", 0 } }, { { "purpose", 7 }, { NULL, 300 } },
	{ { "gr\xc3\xb6\xc3\x9f"
	    "e",
	      7 },
	    { "\xc2\xb5", 2 } } };

static const struct vector {
	const char *name;
	size_t len;
	uint32_t chunk;
	size_t context_count;
	bool old; /* of version 1, with a context: nobody writes these now */
} vectors[] = {
	{ "empty", 0, 65536, 0, false },
	{ "short", 20, 65536, 1, false },
	{ "one-chunk", 4096, 4096, 0, false },
	{ "three-chunks", 2 * 4096 + 1, 4096, 4, false },
	{ "short-1", 20, 65536, 1, true },
};

static struct buffer
read_vector(const char *name)
{
	char path[512];
	struct buffer b = { 0 };
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/tests/vectors/stream/%s.sealed",
	    TEST_SOURCE_DIR, name);
	f = fopen(path, "rb");
	assert_non_null(f);
	assert_int_equal(buffer_reserve(&b, 65536), HF_OK);
	b.len = fread(b.ptr, 1, b.cap, f);
	(void)fclose(f);
	return b;
}

static void
hash_of(const char *word, size_t i, uint8_t out[32])
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%s %zu", word, i);

	assert_int_equal(
	    EVP_Digest(text, (size_t)n, out, NULL, EVP_sha256(), NULL), 1);
}

static void
seals_and_opens_as_another_program_does(void **state)
{
	char purpose[300];
	struct hf_pair context[4];

	(void)state;
	memset(purpose, 'x', sizeof(purpose));
	memcpy(context, many, sizeof(context));
	context[2].value.ptr = purpose;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		const struct vector *v = &vectors[i];
		struct hf_seal_how how = { .key = TEXT("payments"),
			.context = context,
			.context_count = v->context_count,
			.chunk_size = v->chunk };
		struct buffer expected = read_vector(v->name), got, plain;
		uint8_t key[32], its_salt[32], wrap[36] = { 0, 0, 0, 3 };

		hash_of("key", i, key);
		hash_of("salt", i, its_salt);
		hash_of("wrapped", i, wrap + 4);
		got = seal_with(
		    &how, key, its_salt, bytes_of(wrap, sizeof(wrap)), v->len);
		assert_int_equal(got.len, expected.len);
		if (!v->old)
			assert_memory_equal(got.ptr, expected.ptr, got.len);
		assert_int_equal(
		    open_with(key, buffer_view(&expected), &plain), HF_OK);
		assert_plain(&plain, v->len);
		buffer_free(&expected);
		buffer_free(&got);
		buffer_free(&plain);
	}
}

/* -- The header -- */

static void
the_header_tells_what_the_file_is_without_a_key(void **state)
{
	struct buffer b = seal(5000);
	struct hf_stream_info info;
	uint64_t chunks, size;

	(void)state;
	assert_int_equal(hf_stream_read(buffer_view(&b), &info, NULL), HF_OK);
	assert_true(text_is(info.key, "payments"));
	assert_int_equal(info.key_version, 3);
	assert_int_equal(info.chunk_size, CHUNK);
	assert_int_equal(info.header_size, 512);
	assert_int_equal(info.context_count, 1);
	assert_true(text_is(info.context[0].name, "tenant"));
	assert_true(text_is(info.context[0].value, "acme"));
	assert_true(bytes_equal(info.wrapped, WRAPPED));
	assert_int_equal(
	    hf_stream_locate(&info, b.len, &chunks, &size, NULL), HF_OK);
	assert_int_equal(chunks, 2);
	assert_int_equal(size, 5000);
	buffer_free(&b);
}

static void
a_header_that_is_cut_is_truncated(void **state)
{
	struct buffer b = seal(1);
	struct hf_stream_info info;

	(void)state;
	for (size_t n = 1; n < 512; n++)
		assert_int_equal(
		    hf_stream_read(bytes_of(b.ptr, n), &info, NULL),
		    HF_ERR_TRUNCATED);
	assert_int_equal(hf_stream_read(bytes_of(b.ptr, 0), &info, NULL),
	    HF_ERR_BAD_CIPHERTEXT);
	buffer_free(&b);
}

static void
what_is_no_sealed_file_is_told_so(void **state)
{
	static const char text[600] = "%PDF-1.7";
	struct hf_stream_info info;
	struct hf_why why;

	(void)state;
	assert_int_equal(
	    hf_stream_read(bytes_of(text, sizeof(text)), &info, &why),
	    HF_ERR_BAD_CIPHERTEXT);
	assert_string_equal(why.text, "this is not a sealed file");
}

static void
a_later_format_is_told_so(void **state)
{
	struct buffer b = seal(1);
	struct hf_stream_info info;
	struct hf_why why;

	(void)state;
	b.ptr[9] = 3;
	assert_int_equal(hf_stream_read(buffer_view(&b), &info, &why),
	    HF_ERR_BAD_CIPHERTEXT);
	assert_non_null(strstr(why.text, "format 3"));
	buffer_free(&b);
}

/* Version 2 is that of files with a context. */
static void
a_context_makes_the_version(void **state)
{
	struct hf_seal_how how = { .key = TEXT("payments") };
	struct buffer with = seal(1),
		      without = seal_with(&how, data_key, salt, WRAPPED, 1);
	struct hf_stream_info info;
	struct hf_why why;

	(void)state;
	assert_int_equal(with.ptr[9], 2);
	assert_int_equal(without.ptr[9], 1);
	without.ptr[9] = 2;
	assert_int_equal(hf_stream_read(buffer_view(&without), &info, &why),
	    HF_ERR_BAD_CIPHERTEXT);
	assert_non_null(strstr(why.text, "lacks its context"));
	/* An older file is read, but these keys are of the newer one. */
	with.ptr[9] = 1;
	assert_int_equal(
	    hf_stream_read(buffer_view(&with), &info, &why), HF_OK);
	assert_int_not_equal(open_only(buffer_view(&with)), HF_OK);
	buffer_free(&with);
	buffer_free(&without);
}

static void
a_header_has_one_form(void **state)
{
	/* Offset and value of a byte that no writer writes. */
	static const struct {
		size_t at;
		uint8_t value;
	} rows[] = {
		{ 12, 1 },     /* its length: beyond the most */
		{ 15, 1 },     /* not whole sectors */
		{ 14, 0 },     /* none */
		{ 18, 0x11 },  /* a chunk that is no power of two */
		{ 18, 0x08 },  /* too small */
		{ 17, 0x20 },  /* too large, and no power of two */
		{ 23, 0 },     /* a context of no bytes before one of some */
		{ 56, 0xa0 },  /* a context that is an empty map */
		{ 56, 0xa2 },  /* ... that has fewer names than it says */
		{ 103, '/' },  /* "payments" with something else in it */
		{ 511, 1 },    /* what is after the end is zero */
		{ 102, 0xff }, /* the name goes beyond the header */
		{ 111, 0xff }, /* the wrapped key does */
	};
	struct buffer b = seal(1);
	struct hf_stream_info info;

	(void)state;
	/* 56 fixed, 13 of context, 32 of commitment, then 2 of length. */
	assert_int_equal(b.ptr[102], 8);
	assert_int_equal(b.ptr[103], 'p');
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t kept = b.ptr[rows[i].at];

		b.ptr[rows[i].at] = rows[i].value;
		if (hf_stream_read(buffer_view(&b), &info, NULL) !=
		    HF_ERR_BAD_CIPHERTEXT)
			fail_msg("took row %zu", i);
		b.ptr[rows[i].at] = kept;
	}
	assert_int_equal(hf_stream_read(buffer_view(&b), &info, NULL), HF_OK);
	buffer_free(&b);
}

static void
a_long_context_makes_a_longer_header(void **state)
{
	char value[1000];
	struct hf_pair pairs[4];
	struct hf_seal_how how = usual;
	struct buffer b;

	(void)state;
	memset(value, 'v', sizeof(value));
	for (size_t i = 0; i < 4; i++)
		pairs[i] = (struct hf_pair){ { &"abcd"[i], 1 },
			{ value, sizeof(value) } };
	how.context = pairs;
	how.context_count = 4;
	b = seal_with(&how, data_key, salt, WRAPPED, 10);
	assert_int_equal(header_size(buffer_view(&b)), 9 * 512);
	assert_int_equal(open_only(buffer_view(&b)), HF_OK);
	buffer_free(&b);
}

/* -- Tampering -- */

static void
a_file_opens_under_one_key_only(void **state)
{
	struct buffer b = seal(100), plain;

	(void)state;
	assert_int_equal(
	    open_with(other_key, buffer_view(&b), &plain), HF_ERR_AUTH_FAILED);
	assert_int_equal(plain.len, 0);
	buffer_free(&b);
}

static void
no_bit_of_the_bound_header_can_change(void **state)
{
	size_t header;
	struct buffer b = three_chunks(&header);

	(void)state;
	/* Up to the end of the commitment; the rest: by the service, below. */
	for (size_t i = 0; i < 8 * (56 + 13 + 32); i++) {
		b.ptr[i / 8] ^= (uint8_t)(1 << i % 8);
		if (open_only(buffer_view(&b)) == HF_OK)
			fail_msg("bit %zu", i);
		b.ptr[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	buffer_free(&b);
}

static void
no_bit_of_the_chunks_can_change(void **state)
{
	size_t header;
	struct buffer b = three_chunks(&header);

	(void)state;
	for (size_t i = header; i < b.len; i++) {
		b.ptr[i] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(
		    open_only(buffer_view(&b)), HF_ERR_AUTH_FAILED);
		b.ptr[i] ^= (uint8_t)(1 << i % 8);
	}
	buffer_free(&b);
}

static void
a_file_that_was_cut_anywhere_does_not_open(void **state)
{
	size_t header;
	struct buffer b = three_chunks(&header);

	(void)state;
	for (size_t n = 0; n < b.len; n++) {
		enum hf_err err = open_only(bytes_of(b.ptr, n));

		if (err != HF_ERR_TRUNCATED && err != HF_ERR_AUTH_FAILED &&
		    n > 0)
			fail_msg("cut to %zu: %s", n, hf_err_name(err));
		assert_int_not_equal(err, HF_OK);
	}
	buffer_free(&b);
}

static void
a_file_that_was_cut_between_chunks_is_truncated(void **state)
{
	size_t header;
	struct buffer b = three_chunks(&header);

	(void)state;
	for (size_t whole = 0; whole <= 2; whole++)
		assert_int_equal(
		    open_only(bytes_of(b.ptr, header + whole * UNIT)),
		    HF_ERR_TRUNCATED);
	buffer_free(&b);
}

static void
nothing_can_be_appended(void **state)
{
	static const size_t more[] = { 1, 15, 16, 17, UNIT - 116, UNIT,
		2 * UNIT };
	const size_t lengths[] = { 0, 100, CHUNK, 2 * CHUNK };

	(void)state;
	for (size_t i = 0; i < 4; i++)
		for (size_t k = 0; k < sizeof(more) / sizeof(more[0]); k++) {
			struct buffer b = seal(lengths[i]);
			size_t len = b.len;

			assert_int_equal(
			    buffer_reserve(&b, len + more[k]), HF_OK);
			memset(b.ptr + len, 0, more[k]);
			b.len += more[k];
			assert_int_not_equal(open_only(buffer_view(&b)), HF_OK);
			buffer_free(&b);
		}
}

static void
a_second_file_cannot_follow(void **state)
{
	struct buffer b = seal(CHUNK), c = seal(CHUNK);
	struct hf_bytes second = { c.ptr + 512, c.len - 512 };

	(void)state;
	assert_int_equal(buffer_add(&b, second), HF_OK);
	assert_int_equal(open_only(buffer_view(&b)), HF_ERR_AUTH_FAILED);
	buffer_free(&b);
	buffer_free(&c);
}

static void
chunks_cannot_change_places(void **state)
{
	size_t header;
	struct buffer b = three_chunks(&header);
	uint8_t *first = b.ptr + header, kept[UNIT];

	(void)state;
	memcpy(kept, first, UNIT);
	memcpy(first, first + UNIT, UNIT);
	memcpy(first + UNIT, kept, UNIT);
	assert_int_equal(open_only(buffer_view(&b)), HF_ERR_AUTH_FAILED);
	buffer_free(&b);
}

static void
a_chunk_cannot_stand_twice_or_be_left_out(void **state)
{
	size_t header;
	struct buffer b = three_chunks(&header), c = three_chunks(&header);
	uint8_t *first = b.ptr + header;

	(void)state;
	memcpy(first + UNIT, first, UNIT); /* 0 0 2 */
	assert_int_equal(open_only(buffer_view(&b)), HF_ERR_AUTH_FAILED);
	memmove(c.ptr + header, c.ptr + header + UNIT,
	    c.len - header - UNIT); /* 1 2 */
	c.len -= UNIT;
	assert_int_equal(open_only(buffer_view(&c)), HF_ERR_AUTH_FAILED);
	buffer_free(&b);
	buffer_free(&c);
}

static void
a_chunk_cannot_come_from_another_file_of_the_data_key(void **state)
{
	size_t header;
	struct buffer b = three_chunks(&header);
	struct buffer c =
	    seal_with(&usual, data_key, other_salt, WRAPPED, 2 * CHUNK + 100);

	(void)state;
	memcpy(b.ptr + header, c.ptr + header, UNIT);
	assert_int_equal(open_only(buffer_view(&b)), HF_ERR_AUTH_FAILED);
	buffer_free(&b);
	buffer_free(&c);
}

static void
headers_cannot_be_swapped(void **state)
{
	size_t header;
	struct buffer b = three_chunks(&header);
	struct hf_seal_how how = usual;
	struct buffer c;

	(void)state;
	how.context_count = 0;
	c = seal_with(&how, data_key, salt, WRAPPED, 2 * CHUNK + 100);
	memcpy(b.ptr, c.ptr, header);
	assert_int_equal(open_only(buffer_view(&b)), HF_ERR_AUTH_FAILED);
	buffer_free(&b);
	buffer_free(&c);
}

static void
an_empty_chunk_ends_nothing_but_an_empty_file(void **state)
{
	struct buffer b = seal(CHUNK);
	struct stream_header h;
	struct stream_keys keys = { 0 };
	struct hf_opener *opener;
	uint8_t commitment[STREAM_COMMITMENT], out[CHUNK];

	(void)state;
	/* What a careless writer would make: authentic, but not our form. */
	assert_int_equal(stream_header_read(buffer_view(&b), &h, NULL), HF_OK);
	assert_int_equal(stream_keys_derive(DATA_KEY, h.bound, h.salt, true,
			     &keys, commitment),
	    HF_OK);
	assert_int_equal(buffer_reserve(&b, 512 + UNIT + HF_STREAM_TAG), HF_OK);
	assert_int_equal(stream_keys_seal(&keys, 0, false,
			     bytes_of(data_key, 0), b.ptr + 512 + UNIT),
	    HF_OK);
	assert_int_equal(stream_keys_seal(&keys, 1, true, bytes_of(data_key, 0),
			     b.ptr + 512 + UNIT),
	    HF_OK);
	b.len = 512 + UNIT + HF_STREAM_TAG;
	assert_int_equal(open_only(buffer_view(&b)), HF_ERR_TRUNCATED);
	assert_int_equal(
	    stream_opener_with(DATA_KEY, buffer_view(&b), NULL, &opener, NULL),
	    HF_OK);
	assert_int_equal(
	    hf_open_chunk(opener, 1, true,
		bytes_of(b.ptr + 512 + UNIT, HF_STREAM_TAG), out, NULL),
	    HF_ERR_TRUNCATED);
	hf_opener_free(opener);
	stream_keys_free(&keys);
	buffer_free(&b);
}

static void
nothing_is_left_of_a_chunk_that_is_not_authentic(void **state)
{
	static const uint8_t zero[CHUNK];
	size_t header;
	struct buffer b = three_chunks(&header);
	struct hf_opener *opener;
	uint8_t out[CHUNK];

	(void)state;
	assert_int_equal(
	    stream_opener_with(DATA_KEY, buffer_view(&b), NULL, &opener, NULL),
	    HF_OK);
	/* Changed; taken for the last one; and the last for another. */
	b.ptr[header + UNIT - 1] ^= 1;
	memset(out, 0xaa, sizeof(out));
	assert_int_equal(hf_open_chunk(opener, 0, false,
			     bytes_of(b.ptr + header, UNIT), out, NULL),
	    HF_ERR_AUTH_FAILED);
	assert_memory_equal(out, zero, CHUNK);
	memset(out, 0xaa, sizeof(out));
	assert_int_equal(hf_open_chunk(opener, 1, true,
			     bytes_of(b.ptr + header + UNIT, UNIT), out, NULL),
	    HF_ERR_TRUNCATED);
	assert_memory_equal(out, zero, CHUNK);
	assert_int_equal(hf_open_chunk(opener, 1, false,
			     bytes_of(b.ptr + header + UNIT, UNIT), out, NULL),
	    HF_OK);
	assert_int_not_equal(out[100], 0);
	hf_opener_free(opener);
	buffer_free(&b);
}

static void
chunks_open_in_any_order(void **state)
{
	size_t header;
	struct buffer b = three_chunks(&header), expected;
	struct hf_opener *opener;
	uint8_t out[CHUNK];

	(void)state;
	fill(&expected, 2 * CHUNK + 100);
	assert_int_equal(
	    stream_opener_with(DATA_KEY, buffer_view(&b), NULL, &opener, NULL),
	    HF_OK);
	assert_int_equal(
	    hf_open_chunk(opener, 2, true,
		bytes_of(b.ptr + header + 2 * UNIT, 100 + HF_STREAM_TAG), out,
		NULL),
	    HF_OK);
	assert_memory_equal(out, expected.ptr + 2 * CHUNK, 100);
	assert_int_equal(hf_open_chunk(opener, 0, false,
			     bytes_of(b.ptr + header, UNIT), out, NULL),
	    HF_OK);
	assert_memory_equal(out, expected.ptr, CHUNK);
	assert_int_equal(hf_open_chunk(opener, UINT64_C(1) << 32, false,
			     bytes_of(b.ptr + header, UNIT), out, NULL),
	    HF_ERR_BAD_INPUT);
	hf_opener_free(opener);
	buffer_free(&b);
	buffer_free(&expected);
}

/* -- Sealing, chunk by chunk -- */

static void
the_sealer_takes_whole_chunks_and_one_end(void **state)
{
	struct hf_sealer *sealer;
	struct hf_bytes header;
	uint8_t in[CHUNK + 1] = { 0 }, out[UNIT + 1];

	(void)state;
	assert_int_equal(hf_sealer_new(NULL, &usual, &sealer, NULL), HF_OK);
	assert_int_equal(
	    hf_seal_chunk(sealer, bytes_of(in, CHUNK), false, out, NULL),
	    HF_ERR_BAD_INPUT); /* not begun */
	assert_int_equal(stream_seal_begin_with(
			     sealer, DATA_KEY, WRAPPED, salt, &header, NULL),
	    HF_OK);
	assert_int_equal(
	    hf_seal_chunk(sealer, bytes_of(in, CHUNK - 1), false, out, NULL),
	    HF_ERR_BAD_INPUT);
	assert_int_equal(
	    hf_seal_chunk(sealer, bytes_of(in, CHUNK + 1), true, out, NULL),
	    HF_ERR_BAD_INPUT);
	assert_int_equal(
	    hf_seal_chunk(sealer, bytes_of(in, CHUNK), false, out, NULL),
	    HF_OK);
	assert_int_equal(
	    hf_seal_chunk(sealer, bytes_of(in, 0), true, out, NULL),
	    HF_ERR_BAD_INPUT); /* would be another form of the same */
	assert_int_equal(
	    hf_seal_chunk(sealer, bytes_of(in, 1), true, out, NULL), HF_OK);
	assert_int_equal(
	    hf_seal_chunk(sealer, bytes_of(in, 1), true, out, NULL),
	    HF_ERR_BAD_INPUT); /* it ended */
	hf_sealer_free(sealer);
}

static void
sealing_in_place_gives_the_same(void **state)
{
	struct buffer expected = seal(100), plain;
	struct hf_sealer *sealer;
	struct hf_bytes header;
	uint8_t buf[100 + HF_STREAM_TAG];

	(void)state;
	fill(&plain, 100);
	memcpy(buf, plain.ptr, 100);
	assert_int_equal(hf_sealer_new(NULL, &usual, &sealer, NULL), HF_OK);
	assert_int_equal(stream_seal_begin_with(
			     sealer, DATA_KEY, WRAPPED, salt, &header, NULL),
	    HF_OK);
	assert_int_equal(
	    hf_seal_chunk(sealer, bytes_of(buf, 100), true, buf, NULL), HF_OK);
	assert_memory_equal(buf, expected.ptr + 512, sizeof(buf));
	hf_sealer_free(sealer);
	buffer_free(&expected);
	buffer_free(&plain);
}

static void
what_cannot_be_sealed_is_refused_at_once(void **state)
{
	struct hf_seal_how how = usual;
	struct hf_sealer *sealer;
	static const uint32_t sizes[] = { 1, 4095, 4097, 65535, 2048, 2 << 20 };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		how.chunk_size = sizes[i];
		assert_int_equal(
		    hf_sealer_new(NULL, &how, &sealer, NULL), HF_ERR_BAD_VALUE);
	}
	how = usual;
	how.key = TEXT("../x");
	assert_int_equal(
	    hf_sealer_new(NULL, &how, &sealer, NULL), HF_ERR_BAD_NAME);
	how.key = (struct hf_text){ 0 };
	assert_int_equal(
	    hf_sealer_new(NULL, &how, &sealer, NULL), HF_ERR_BAD_NAME);
	how = usual;
	how.context_count = HF_STREAM_CONTEXT_MAX + 1;
	assert_int_equal(
	    hf_sealer_new(NULL, &how, &sealer, NULL), HF_ERR_OUT_OF_BOUNDS);
}

/* -- With a service -- */

/* What the service was asked, and how it is to behave. */
struct service {
	struct server *server;
	struct hf_client *client;
	_Atomic unsigned data_keys, decrypts; /* requests */
	uint64_t key_version;
	size_t rewrapped_length;
	size_t key_length; /* bytes of the data keys that it gives */
	bool had_context;
};

/* Of an item of any operation: they have the same names. */
#define CONTEXT_FITS(item)                      \
	context_fits((item).encryption_context, \
	    (item).encryption_context_count, (item).associated_data)

static bool
context_fits(const struct hf_pair *pairs, size_t count, struct hf_bytes aad)
{
	return count == 1 && text_is(pairs[0].name, "tenant") &&
	    text_is(pairs[0].value, "acme") && aad.ptr == NULL;
}

static void
serve_data_key(struct service *service, struct server_request *r)
{
	const struct hf_datakey_in *in = r->in;
	struct hf_datakey_out out = {
		.result.plaintext = bytes_of(data_key, service->key_length),
		.result.ciphertext = WRAPPED,
		.result.key_version = 3,
	};

	service->data_keys++;
	service->key_version = in->item.key_version.value;
	service->had_context = CONTEXT_FITS(in->item);
	assert_int_equal(in->item.bits, 256);
	server_answer(r, &out);
}

static void
serve_decrypt(struct service *service, struct server_request *r)
{
	const struct hf_decrypt_in *in = r->in;
	struct hf_decrypt_out out = { .result.plaintext = DATA_KEY };
	struct hf_bytes wrapped_anew =
	    bytes_of(rewrapped, service->rewrapped_length);

	service->decrypts++;
	if (!text_is(in->name, "payments"))
		server_refuse(r, HF_ERR_KEY_NOT_FOUND, NULL);
	else if (CONTEXT_FITS(in->item) &&
	    (bytes_equal(in->item.ciphertext, WRAPPED) ||
		bytes_equal(in->item.ciphertext, wrapped_anew)))
		server_answer(r, &out);
	else
		server_refuse(r, HF_ERR_AUTH_FAILED, NULL);
}

static void
serve_rewrap(struct service *service, struct server_request *r)
{
	const struct hf_rewrap_in *in = r->in;
	struct hf_rewrap_out out = { .result.ciphertext = bytes_of(rewrapped,
					 service->rewrapped_length) };

	if (bytes_equal(in->item.ciphertext, WRAPPED) &&
	    text_is(in->name, "payments") && CONTEXT_FITS(in->item))
		server_answer(r, &out);
	else
		server_refuse(r, HF_ERR_AUTH_FAILED, NULL);
}

static enum server_act
serve(struct server *s, struct server_request *r)
{
	struct service *service = s->ctx;

	assert_non_null(r->in);
	if (r->op->id == OP_transit_datakey_plaintext)
		serve_data_key(service, r);
	else if (r->op->id == OP_transit_decrypt)
		serve_decrypt(service, r);
	else
		serve_rewrap(service, r);
	return ACT_REPLY;
}

static struct service *
service_start(void)
{
	static struct service service;

	service = (struct service){ .key_length = 32,
		.rewrapped_length = sizeof(rewrapped) };
	service.server = server_start(serve, &service);
	assert_int_equal(
	    hf_connect(service.server->path, 5000, &service.client, NULL),
	    HF_OK);
	return &service;
}

static void
service_stop(struct service *s)
{
	hf_close(s->client);
	server_free(s->server);
}

/* A file in memory, read from its beginning. */
static int
file_of(struct hf_bytes content)
{
	int fd = memfd_create("stream_test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, content.ptr, content.len), content.len);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static struct buffer
content_of(int fd)
{
	struct buffer b = { 0 };
	off_t len = lseek(fd, 0, SEEK_END);

	assert_true(len >= 0);
	assert_int_equal(buffer_reserve(&b, (size_t)len + 1), HF_OK);
	assert_int_equal(pread(fd, b.ptr, (size_t)len, 0), len);
	b.len = (size_t)len;
	return b;
}

static struct buffer
seal_file(struct service *s, const struct hf_seal_how *how, size_t len)
{
	struct hf_sealer *sealer;
	struct buffer plain, sealed;
	int in, out = file_of(bytes_of(NULL, 0));

	fill(&plain, len);
	in = file_of(buffer_view(&plain));
	assert_int_equal(hf_sealer_new(s->client, how, &sealer, NULL), HF_OK);
	assert_int_equal(hf_seal_fd(sealer, in, out, NULL), HF_OK);
	hf_sealer_free(sealer);
	sealed = content_of(out);
	(void)close(in);
	(void)close(out);
	buffer_free(&plain);
	return sealed;
}

static enum hf_err
open_file(struct service *s, const struct hf_open_how *how,
    struct hf_bytes sealed, struct buffer *plain)
{
	int in = file_of(sealed), out = file_of(bytes_of(NULL, 0));
	enum hf_err err = hf_open_fd(s->client, how, in, out, NULL);

	*plain = content_of(out);
	(void)close(in);
	(void)close(out);
	return err;
}

static void
files_of_all_sizes_come_back(void **state)
{
	static const size_t sizes[] = { 0, 1, 15, 16, 17, CHUNK - 1, CHUNK,
		CHUNK + 1, 2 * CHUNK - 1, 2 * CHUNK, 2 * CHUNK + 1, 300000 };
	struct service *s = service_start();

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct buffer b = seal_file(s, &usual, sizes[i]), plain;
		struct hf_stream_info info;
		uint64_t chunks, size;

		assert_int_equal(
		    hf_stream_read(buffer_view(&b), &info, NULL), HF_OK);
		assert_int_equal(
		    hf_stream_locate(&info, b.len, &chunks, &size, NULL),
		    HF_OK);
		assert_int_equal(size, sizes[i]);
		assert_int_equal(
		    open_file(s, NULL, buffer_view(&b), &plain), HF_OK);
		assert_plain(&plain, sizes[i]);
		buffer_free(&b);
		buffer_free(&plain);
	}
	assert_true(s->had_context);
	assert_int_equal(s->data_keys, sizeof(sizes) / sizeof(sizes[0]));
	assert_int_equal(s->decrypts, s->data_keys);
	service_stop(s);
}

static void
no_bit_of_the_rest_of_the_header_can_change(void **state)
{
	struct service *s = service_start();
	struct buffer b = seal(10);

	(void)state;
	for (size_t i = 8 * (56 + 13 + 32); i < 8 * 512; i++) {
		struct hf_opener *opener;

		b.ptr[i / 8] ^= (uint8_t)(1 << i % 8);
		if (hf_opener_new(s->client, buffer_view(&b), NULL, &opener,
			NULL) == HF_OK)
			fail_msg("bit %zu", i);
		b.ptr[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	buffer_free(&b);
	service_stop(s);
}

static void
two_files_of_one_plaintext_have_nothing_in_common(void **state)
{
	struct service *s = service_start();
	struct buffer a = seal_file(s, &usual, CHUNK);
	struct buffer b = seal_file(s, &usual, CHUNK);

	(void)state;
	for (size_t at = 512; at < a.len; at += 16)
		assert_memory_not_equal(a.ptr + at, b.ptr + at, 16);
	assert_memory_not_equal(a.ptr + 24, b.ptr + 24, 32);
	buffer_free(&a);
	buffer_free(&b);
	service_stop(s);
}

static void
what_is_written_before_an_error_is_the_true_beginning(void **state)
{
	struct service *s = service_start();
	size_t header;
	struct buffer b = three_chunks(&header), plain;

	(void)state;
	assert_int_equal(
	    open_file(s, NULL, bytes_of(b.ptr, header + 2 * UNIT), &plain),
	    HF_ERR_TRUNCATED);
	assert_plain(&plain, CHUNK);
	buffer_free(&plain);
	b.ptr[b.len - 1] ^= 1;
	assert_int_equal(
	    open_file(s, NULL, buffer_view(&b), &plain), HF_ERR_AUTH_FAILED);
	assert_plain(&plain, 2 * CHUNK);
	buffer_free(&plain);
	buffer_free(&b);
	service_stop(s);
}

static void
an_unwritable_output_is_an_error(void **state)
{
	struct service *s = service_start();
	struct hf_sealer *sealer;
	struct buffer b = seal(10);
	int in = file_of(buffer_view(&b)), full;

	(void)state;
	full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_true(full >= 0);
	assert_int_equal(
	    hf_open_fd(s->client, NULL, in, full, NULL), HF_ERR_SYSTEM);
	assert_int_equal(
	    hf_sealer_new(s->client, &usual, &sealer, NULL), HF_OK);
	assert_int_equal(hf_seal_fd(sealer, in, full, NULL), HF_ERR_SYSTEM);
	assert_int_equal(hf_seal_fd(sealer, -1, full, NULL), HF_ERR_SYSTEM);
	hf_sealer_free(sealer);
	(void)close(in);
	(void)close(full);
	buffer_free(&b);
	service_stop(s);
}

static void
a_file_of_another_context_is_refused_unasked(void **state)
{
	static const struct hf_pair wrong[] = {
		{ { "tenant", 6 }, { "evil", 4 } },
		{ { "tenan", 5 }, { "acme", 4 } },
	};
	struct service *s = service_start();
	struct buffer b = seal(10), plain;
	struct hf_open_how how = { .context = &tenant, .context_count = 1 };

	(void)state;
	assert_int_equal(open_file(s, &how, buffer_view(&b), &plain), HF_OK);
	buffer_free(&plain);
	for (size_t i = 0; i < 2; i++) {
		how.context = &wrong[i];
		assert_int_equal(open_file(s, &how, buffer_view(&b), &plain),
		    HF_ERR_AUTH_FAILED);
		buffer_free(&plain);
	}
	assert_int_equal(s->decrypts, 1);
	buffer_free(&b);
	service_stop(s);
}

static void
the_key_can_be_named_anew(void **state)
{
	struct service *s = service_start();
	struct hf_seal_how old = usual;
	struct hf_open_how how = { .key = TEXT("payments") };
	struct buffer b, plain;

	(void)state;
	old.key = TEXT("old-name");
	b = seal_file(s, &old, 10);
	assert_int_equal(
	    open_file(s, NULL, buffer_view(&b), &plain), HF_ERR_KEY_NOT_FOUND);
	buffer_free(&plain);
	assert_int_equal(open_file(s, &how, buffer_view(&b), &plain), HF_OK);
	buffer_free(&plain);
	buffer_free(&b);
	service_stop(s);
}

static void
a_data_key_can_be_wrapped_anew(void **state)
{
	struct service *s = service_start();
	struct buffer b = seal_file(s, &usual, CHUNK + 1), plain;
	struct hf_stream_info info;
	uint8_t header[HF_STREAM_HEADER_MAX];

	(void)state;
	assert_int_equal(hf_stream_rewrap(s->client, buffer_view(&b),
			     (struct hf_uint){ 0 }, header, NULL),
	    HF_OK);
	memcpy(b.ptr, header, 512);
	assert_int_equal(hf_stream_read(buffer_view(&b), &info, NULL), HF_OK);
	assert_int_equal(info.key_version, 4);
	assert_int_equal(info.wrapped.len, sizeof(rewrapped));
	assert_int_equal(open_file(s, NULL, buffer_view(&b), &plain), HF_OK);
	assert_plain(&plain, CHUNK + 1);
	buffer_free(&plain);
	buffer_free(&b);
	service_stop(s);
}

static void
a_header_without_room_is_not_rewrapped(void **state)
{
	struct hf_seal_how how = usual;
	struct stream_header h;
	struct buffer b;
	uint8_t header[HF_STREAM_HEADER_MAX];
	char value[320];
	struct hf_pair pair = { { "tenant", 6 }, { value, sizeof(value) } };

	(void)state;
	memset(value, 'v', sizeof(value));
	how.context = &pair;
	b = seal_with(&how, data_key, salt, WRAPPED, 1);
	assert_int_equal(header_size(buffer_view(&b)), 512);
	assert_int_equal(stream_header_read(buffer_view(&b), &h, NULL), HF_OK);
	assert_int_equal(stream_header_replace(&h, WRAPPED, header), HF_OK);
	assert_memory_equal(header, b.ptr, 512);
	assert_int_equal(stream_header_replace(&h,
			     bytes_of(rewrapped, sizeof(rewrapped)), header),
	    HF_ERR_OUT_OF_BOUNDS);
	buffer_free(&b);
}

static void
a_data_key_of_another_length_is_refused(void **state)
{
	struct service *s = service_start();
	struct hf_sealer *sealer;
	struct hf_bytes header;

	(void)state;
	s->key_length = 16;
	assert_int_equal(
	    hf_sealer_new(s->client, &usual, &sealer, NULL), HF_OK);
	assert_int_equal(
	    hf_seal_begin(sealer, &header, NULL), HF_ERR_BAD_REPLY);
	hf_sealer_free(sealer);
	service_stop(s);
}

/* -- Reuse of data keys -- */

static unsigned
asked_for(struct service *s, uint32_t files, uint32_t seconds, unsigned begun)
{
	struct hf_seal_how how = usual;
	struct hf_sealer *sealer;
	struct hf_bytes header;
	unsigned before = s->data_keys;

	how.reuse_files = files;
	how.reuse_seconds = seconds;
	how.key_version = (struct hf_uint){ 3, true };
	assert_int_equal(hf_sealer_new(s->client, &how, &sealer, NULL), HF_OK);
	for (unsigned i = 0; i < begun; i++)
		assert_int_equal(hf_seal_begin(sealer, &header, NULL), HF_OK);
	hf_sealer_free(sealer);
	assert_int_equal(s->key_version, 3);
	return s->data_keys - before;
}

static void
a_data_key_serves_as_many_files_as_it_may(void **state)
{
	struct service *s = service_start();

	(void)state;
	assert_int_equal(asked_for(s, 0, 0, 3), 3);
	assert_int_equal(asked_for(s, 1, 100, 3), 3);
	assert_int_equal(asked_for(s, 10, 100, 10), 1);
	assert_int_equal(asked_for(s, 10, 100, 11), 2);
	assert_int_equal(asked_for(s, 10, 0, 25), 3);
	service_stop(s);
}

static void
a_data_key_serves_as_long_as_it_may(void **state)
{
	struct service *s = service_start();
	struct hf_seal_how how = usual;
	struct hf_sealer *sealer;
	struct hf_bytes header;

	(void)state;
	how.reuse_files = 1000;
	how.reuse_seconds = 1;
	assert_int_equal(hf_sealer_new(s->client, &how, &sealer, NULL), HF_OK);
	assert_int_equal(hf_seal_begin(sealer, &header, NULL), HF_OK);
	(void)usleep(1100000);
	assert_int_equal(hf_seal_begin(sealer, &header, NULL), HF_OK);
	assert_int_equal(s->data_keys, 2);
	hf_sealer_free(sealer);
	service_stop(s);
}

static void
files_of_one_data_key_have_keys_of_their_own(void **state)
{
	struct service *s = service_start();
	struct hf_seal_how how = usual;
	struct hf_sealer *sealer;
	struct buffer a, b;
	int in = file_of(bytes_of(salt, 32)), out[2];

	(void)state;
	how.reuse_files = 2;
	assert_int_equal(hf_sealer_new(s->client, &how, &sealer, NULL), HF_OK);
	for (size_t i = 0; i < 2; i++) {
		out[i] = file_of(bytes_of(NULL, 0));
		assert_int_equal(lseek(in, 0, SEEK_SET), 0);
		assert_int_equal(hf_seal_fd(sealer, in, out[i], NULL), HF_OK);
	}
	a = content_of(out[0]);
	b = content_of(out[1]);
	assert_int_equal(s->data_keys, 1);
	assert_memory_not_equal(a.ptr + 512, b.ptr + 512, 16);
	assert_int_equal(open_only(buffer_view(&a)), HF_OK);
	assert_int_equal(open_only(buffer_view(&b)), HF_OK);
	hf_sealer_free(sealer);
	buffer_free(&a);
	buffer_free(&b);
	(void)close(in);
	(void)close(out[0]);
	(void)close(out[1]);
	service_stop(s);
}

/* In the child: 0 when all is as it should be. */
static int
child_of_a_fork(struct hf_sealer *sealer)
{
	uint8_t in[CHUNK] = { 1 }, out[UNIT];
	struct hf_bytes header;

	if (hf_seal_chunk(sealer, bytes_of(in, CHUNK), false, out, NULL) !=
	    HF_ERR_BAD_INPUT)
		return 1; /* would use the nonces of the parent */
	if (hf_seal_begin(sealer, &header, NULL) != HF_OK)
		return 2;
	if (hf_seal_chunk(sealer, bytes_of(in, 1), true, out, NULL) != HF_OK)
		return 3;
	return 0;
}

static void
a_child_does_not_go_on_with_a_file_but_begins_one(void **state)
{
	struct service *s = service_start();
	struct hf_seal_how how = usual;
	struct hf_sealer *sealer;
	struct hf_bytes header;
	uint8_t in[CHUNK] = { 0 }, out[UNIT];
	int status;
	pid_t child;

	(void)state;
	how.reuse_files = 100;
	assert_int_equal(hf_sealer_new(s->client, &how, &sealer, NULL), HF_OK);
	assert_int_equal(hf_seal_begin(sealer, &header, NULL), HF_OK);
	child = fork();
	if (child == 0)
		_exit(child_of_a_fork(sealer));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	/* The child has no data key: locked memory does not pass a fork. */
	assert_int_equal(s->data_keys, 2);
	assert_int_equal(
	    hf_seal_chunk(sealer, bytes_of(in, CHUNK), true, out, NULL), HF_OK);
	hf_sealer_free(sealer);
	service_stop(s);
}

/* -- Random access -- */

static void
any_part_can_be_read(void **state)
{
	static const size_t points[] = { 0, 1, CHUNK - 1, CHUNK, CHUNK + 1,
		2 * CHUNK, 2 * CHUNK + 99, 2 * CHUNK + 100, 3 * CHUNK,
		1 << 20 };
	const size_t len = 2 * CHUNK + 100;
	struct service *s = service_start();
	size_t header, n = sizeof(points) / sizeof(points[0]);
	struct buffer b = three_chunks(&header), expected;
	int fd = file_of(buffer_view(&b));
	struct hf_sealed *file;
	static uint8_t out[1 << 20];

	(void)state;
	fill(&expected, len);
	assert_int_equal(
	    hf_sealed_open(s->client, NULL, fd, &file, NULL), HF_OK);
	assert_int_equal(hf_sealed_size(file), len);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n; k++) {
			size_t at = points[i] < len ? points[i] : len;
			size_t most =
			    len - at < points[k] ? len - at : points[k];
			size_t done;

			assert_int_equal(hf_sealed_read(file, points[i], out,
					     points[k], &done, NULL),
			    HF_OK);
			assert_int_equal(done, most);
			assert_memory_equal(out, expected.ptr + at, most);
		}
	assert_int_equal(s->decrypts, 1);
	hf_sealed_close(file);
	(void)close(fd);
	buffer_free(&b);
	buffer_free(&expected);
	service_stop(s);
}

static void
the_empty_file_has_no_part(void **state)
{
	struct service *s = service_start();
	struct buffer b = seal(0);
	int fd = file_of(buffer_view(&b));
	struct hf_sealed *file;
	uint8_t out[1];
	size_t done;

	(void)state;
	assert_int_equal(
	    hf_sealed_open(s->client, NULL, fd, &file, NULL), HF_OK);
	assert_int_equal(hf_sealed_size(file), 0);
	assert_int_equal(hf_sealed_read(file, 0, out, 1, &done, NULL), HF_OK);
	assert_int_equal(done, 0);
	hf_sealed_close(file);
	(void)close(fd);
	buffer_free(&b);
	service_stop(s);
}

static void
random_access_proves_the_end_first(void **state)
{
	struct service *s = service_start();
	size_t header;
	struct buffer b = three_chunks(&header);
	struct hf_sealed *file;
	int fd, fds[2];

	(void)state;
	for (size_t cut = 1; cut < 2 * UNIT; cut += 50) {
		enum hf_err err;

		fd = file_of(bytes_of(b.ptr, b.len - cut));
		err = hf_sealed_open(s->client, NULL, fd, &file, NULL);
		assert_true(
		    err == HF_ERR_TRUNCATED || err == HF_ERR_AUTH_FAILED);
		(void)close(fd);
	}
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(hf_sealed_open(s->client, NULL, fds[0], &file, NULL),
	    HF_ERR_BAD_INPUT);
	(void)close(fds[0]);
	(void)close(fds[1]);
	buffer_free(&b);
	service_stop(s);
}

static void
a_file_that_changes_under_us_is_noticed(void **state)
{
	struct service *s = service_start();
	size_t header;
	struct buffer b = three_chunks(&header);
	int fd = file_of(buffer_view(&b));
	struct hf_sealed *file;
	uint8_t out[CHUNK], bad = b.ptr[header + 9] ^ 1;
	size_t done;

	(void)state;
	assert_int_equal(
	    hf_sealed_open(s->client, NULL, fd, &file, NULL), HF_OK);
	assert_int_equal(pwrite(fd, &bad, 1, (off_t)header + 9), 1);
	assert_int_equal(
	    hf_sealed_read(file, 0, out, 1, &done, NULL), HF_ERR_AUTH_FAILED);
	assert_int_equal(
	    hf_sealed_read(file, CHUNK, out, CHUNK, &done, NULL), HF_OK);
	assert_int_equal(ftruncate(fd, (off_t)header + 10), 0);
	assert_int_equal(
	    hf_sealed_read(file, 0, out, 1, &done, NULL), HF_ERR_TRUNCATED);
	hf_sealed_close(file);
	(void)close(fd);
	buffer_free(&b);
	service_stop(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(seals_and_opens_as_another_program_does),
		cmocka_unit_test(
		    the_header_tells_what_the_file_is_without_a_key),
		cmocka_unit_test(a_header_that_is_cut_is_truncated),
		cmocka_unit_test(what_is_no_sealed_file_is_told_so),
		cmocka_unit_test(a_later_format_is_told_so),
		cmocka_unit_test(a_context_makes_the_version),
		cmocka_unit_test(a_header_has_one_form),
		cmocka_unit_test(a_long_context_makes_a_longer_header),
		cmocka_unit_test(a_file_opens_under_one_key_only),
		cmocka_unit_test(no_bit_of_the_bound_header_can_change),
		cmocka_unit_test(no_bit_of_the_chunks_can_change),
		cmocka_unit_test(a_file_that_was_cut_anywhere_does_not_open),
		cmocka_unit_test(
		    a_file_that_was_cut_between_chunks_is_truncated),
		cmocka_unit_test(nothing_can_be_appended),
		cmocka_unit_test(a_second_file_cannot_follow),
		cmocka_unit_test(chunks_cannot_change_places),
		cmocka_unit_test(a_chunk_cannot_stand_twice_or_be_left_out),
		cmocka_unit_test(
		    a_chunk_cannot_come_from_another_file_of_the_data_key),
		cmocka_unit_test(headers_cannot_be_swapped),
		cmocka_unit_test(an_empty_chunk_ends_nothing_but_an_empty_file),
		cmocka_unit_test(
		    nothing_is_left_of_a_chunk_that_is_not_authentic),
		cmocka_unit_test(chunks_open_in_any_order),
		cmocka_unit_test(the_sealer_takes_whole_chunks_and_one_end),
		cmocka_unit_test(sealing_in_place_gives_the_same),
		cmocka_unit_test(what_cannot_be_sealed_is_refused_at_once),
		cmocka_unit_test(files_of_all_sizes_come_back),
		cmocka_unit_test(no_bit_of_the_rest_of_the_header_can_change),
		cmocka_unit_test(
		    two_files_of_one_plaintext_have_nothing_in_common),
		cmocka_unit_test(
		    what_is_written_before_an_error_is_the_true_beginning),
		cmocka_unit_test(an_unwritable_output_is_an_error),
		cmocka_unit_test(a_file_of_another_context_is_refused_unasked),
		cmocka_unit_test(the_key_can_be_named_anew),
		cmocka_unit_test(a_data_key_can_be_wrapped_anew),
		cmocka_unit_test(a_header_without_room_is_not_rewrapped),
		cmocka_unit_test(a_data_key_of_another_length_is_refused),
		cmocka_unit_test(a_data_key_serves_as_many_files_as_it_may),
		cmocka_unit_test(a_data_key_serves_as_long_as_it_may),
		cmocka_unit_test(files_of_one_data_key_have_keys_of_their_own),
		cmocka_unit_test(
		    a_child_does_not_go_on_with_a_file_but_begins_one),
		cmocka_unit_test(any_part_can_be_read),
		cmocka_unit_test(the_empty_file_has_no_part),
		cmocka_unit_test(random_access_proves_the_end_first),
		cmocka_unit_test(a_file_that_changes_under_us_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
