/* SPDX-License-Identifier: Apache-2.0 */
#include "stream_fixture.h"

/* The header, and files that others made. */

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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
