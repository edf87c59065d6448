/* SPDX-License-Identifier: Apache-2.0 */
#include "../../lib/schema.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../../lib/bytes.h"
#include "arena_fixture.h"

/* A struct with a field of each kind. */
struct point {
	uint64_t x;
};

struct all_kinds {
	struct hf_bytes bytes;
	struct hf_text text;
	struct hf_text word;
	struct hf_text name;
	uint64_t number;
	struct hf_uint maybe;
	bool flag;
	enum hf_tri tri;
	struct point *points;
	size_t points_count;
	struct hf_text *texts;
	size_t texts_count;
	struct hf_pair *pairs;
	size_t pairs_count;
};

SCHEMA(schema_point, point, F(point, "x", x, 1, 9, REQUIRED, NULL, "x"));
SCHEMA(schema_all, all_kinds, F(all_kinds, "bytes", bytes, 0, 8, 0, NULL, "b"),
    F(all_kinds, "text", text, 0, 8, 0, NULL, "t"),
    F(all_kinds, "word", word, 1, 8, 0, "one|two", "w"),
    F(all_kinds, "name", name, 1, 128, NAME, NULL, "n"),
    F(all_kinds, "number", number, 0, UINT64_MAX, 0, NULL, "n"),
    F(all_kinds, "maybe", maybe, 0, 10, 0, NULL, "m"),
    F(all_kinds, "flag", flag, 0, 1, 0, NULL, "f"),
    F(all_kinds, "tri", tri, 0, 1, 0, NULL, "t"),
    LIST(all_kinds, "points", points, 3, &schema_point, 0, "p"),
    TEXTS(all_kinds, "texts", texts, 3, 0, "t"),
    PAIRS(all_kinds, "pairs", pairs, 0, "p", NULL));

static void
decodes(struct hf_bytes in, struct all_kinds *out)
{
	struct hf_why why = { "" };

	if (schema_decode(&schema_all, in, arena, out, &why) != HF_OK)
		fail_msg("%s", why.text);
}

static void
refuses(struct hf_bytes in, enum hf_err expected, const char *message)
{
	struct all_kinds out;
	struct hf_why why = { "" };
	enum hf_err err = schema_decode(&schema_all, in, arena, &out, &why);

	if (err != expected || strstr(why.text, message) == NULL)
		fail_msg("%s: \"%s\"", hf_err_name(err), why.text);
}

static void
decodes_each_kind(void **state)
{
	struct all_kinds out;

	(void)state;
	decodes(CBOR("\xa8"
		     "\x65"
		     "bytes\x42\x01\x02"
		     "\x64"
		     "word\x63"
		     "two"
		     "\x66"
		     "number\x1b\xff\xff\xff\xff\xff\xff\xff\xff"
		     "\x65"
		     "maybe\x00"
		     "\x64"
		     "flag\xf5"
		     "\x63"
		     "tri\xf4"
		     "\x66"
		     "points\x82\xa1\x61x\x01\xa1\x61x\x09"
		     "\x65"
		     "texts\x81\x61y"),
	    &out);
	assert_int_equal(out.bytes.len, 2);
	assert_true(text_is(out.word, "two"));
	assert_true(out.number == UINT64_MAX);
	assert_true(out.maybe.present);
	assert_true(out.flag);
	assert_int_equal(out.tri, HF_FALSE);
	assert_int_equal(out.points_count, 2);
	assert_int_equal(out.points[1].x, 9);
	assert_true(text_is(out.texts[0], "y"));
	assert_null(out.text.ptr);
}

static void
tells_absent_from_empty(void **state)
{
	struct all_kinds out;

	(void)state;
	decodes(CBOR("\xa0"), &out);
	assert_null(out.bytes.ptr);
	assert_null(out.text.ptr);
	assert_null(out.points);
	assert_false(out.maybe.present);
	assert_int_equal(out.tri, HF_UNSET);
	decodes(CBOR("\xa3\x65"
		     "bytes\x40\x64"
		     "text\x60\x66"
		     "points\x80"),
	    &out);
	assert_non_null(out.bytes.ptr);
	assert_non_null(out.text.ptr);
	assert_non_null(out.points);
	assert_int_equal(out.points_count, 0);
}

static void
refuses_a_wrong_type_by_name(void **state)
{
	(void)state;
	refuses(CBOR("\xa1\x65"
		     "bytes\x61x"),
	    HF_ERR_BAD_TYPE, "bytes: must be a byte string");
	refuses(CBOR("\xa1\x64"
		     "text\x41x"),
	    HF_ERR_BAD_TYPE, "text: must be a text string");
	refuses(CBOR("\xa1\x66"
		     "number\x20"),
	    HF_ERR_BAD_TYPE, "number: must be an unsigned integer");
	refuses(CBOR("\xa1\x66"
		     "number\xf9\x3c\x00"),
	    HF_ERR_BAD_TYPE, "number");
	refuses(CBOR("\xa1\x65"
		     "maybe\xf6"),
	    HF_ERR_BAD_TYPE, "maybe");
	refuses(CBOR("\xa1\x64"
		     "flag\x01"),
	    HF_ERR_BAD_TYPE, "flag: must be true or false");
	refuses(CBOR("\xa1\x66"
		     "points\xa0"),
	    HF_ERR_BAD_TYPE, "points: must be an array");
	refuses(CBOR("\xa1\x66"
		     "points\x81\x01"),
	    HF_ERR_BAD_TYPE, "points[0] must be a map");
	refuses(CBOR("\xa1\x65"
		     "texts\x81\x01"),
	    HF_ERR_BAD_TYPE, "texts");
	refuses(CBOR("\x80"), HF_ERR_BAD_TYPE, "must be a map");
}

static void
names_the_place_inside_a_list(void **state)
{
	(void)state;
	refuses(CBOR("\xa1\x66"
		     "points\x82\xa1\x61x\x01\xa1\x61x\x0a"),
	    HF_ERR_OUT_OF_BOUNDS, "points[1].x: 10, must be 1 to 9");
	refuses(CBOR("\xa1\x66"
		     "points\x81\xa0"),
	    HF_ERR_MISSING_FIELD, "points[0].x");
	refuses(CBOR("\xa1\x66"
		     "points\x81\xa2\x61x\x01\x61y\x01"),
	    HF_ERR_UNKNOWN_FIELD, "points[0].y");
	/* And is outside again after it. */
	refuses(CBOR("\xa2\x66"
		     "points\x81\xa1\x61x\x01\x61y\x01"),
	    HF_ERR_UNKNOWN_FIELD, "y: ");
}

static void
refuses_too_many_items(void **state)
{
	(void)state;
	refuses(CBOR("\xa1\x65"
		     "texts\x84\x61"
		     "a\x61"
		     "a\x61"
		     "a\x61"
		     "a"),
	    HF_ERR_OUT_OF_BOUNDS, "texts: 4 items, must be 0 to 3");
}

static void
refuses_values_outside_the_list_and_bad_names(void **state)
{
	(void)state;
	refuses(CBOR("\xa1\x64"
		     "word\x65"
		     "three"),
	    HF_ERR_BAD_VALUE, "word: must be one of one|two");
	refuses(CBOR("\xa1\x64"
		     "word\x62"
		     "on"),
	    HF_ERR_BAD_VALUE, "word");
	refuses(CBOR("\xa1\x64"
		     "word\x67"
		     "one|two"),
	    HF_ERR_BAD_VALUE, "word");
	refuses(CBOR("\xa1\x64"
		     "name\x63"
		     "a/b"),
	    HF_ERR_BAD_NAME, "name");
	refuses(CBOR("\xa1\x64"
		     "name\x63"
		     "..x"),
	    HF_ERR_BAD_NAME, "name");
	refuses(CBOR("\xa1\x64"
		     "text\x62\xc0\x80"),
	    HF_ERR_BAD_TYPE, "text: not valid UTF-8");
	refuses(CBOR("\xa1\x62\xff\xfe\x00"), HF_ERR_BAD_MESSAGE,
	    "field name is not valid UTF-8");
}

struct long_bytes {
	struct hf_bytes bytes;
};

SCHEMA(schema_long, long_bytes,
    F(long_bytes, "bytes", bytes, 0, 65536, 0, NULL, "b"));

/* The head of a byte string of that length. */
static size_t
put_length(uint8_t *p, size_t len)
{
	if (len < 24) {
		p[0] = (uint8_t)(0x40 + len);
		return 1;
	}
	if (len < 256) {
		p[0] = 0x58;
		p[1] = (uint8_t)len;
		return 2;
	}
	if (len < 65536) {
		p[0] = 0x59;
		p[1] = (uint8_t)(len >> 8);
		p[2] = (uint8_t)len;
		return 3;
	}
	p[0] = 0x5a;
	put_u32(p + 1, (uint32_t)len);
	return 5;
}

/* Where a length begins to take more bytes, and one byte too few. */
static void
reads_lengths_of_every_size_and_nothing_behind_the_end(void **state)
{
	static const size_t lengths[] = { 0, 1, 22, 23, 24, 25, 254, 255, 256,
		257, 65534, 65535, 65536, 65537 };
	static uint8_t message[65537 + 16] = "\xa1\x65"
					     "bytes";
	struct arena *a = NULL;
	struct hf_why why;
	struct long_bytes out;

	(void)state;
	assert_int_equal(arena_new(4096, 1 << 20, &a), HF_OK);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		size_t len = lengths[i],
		       head = 7 + put_length(message + 7, len);
		bool fits = len <= 65536;
		enum hf_err err = schema_decode(
		    &schema_long, bytes_of(message, head + len), a, &out, &why);

		assert_int_equal(err, fits ? HF_OK : HF_ERR_OUT_OF_BOUNDS);
		assert_ptr_equal(out.bytes.ptr, message + head);
		assert_int_equal(out.bytes.len, len);
		if (len == 0)
			continue;
		err = schema_decode(&schema_long,
		    bytes_of(message, head + len - 1), a, &out, &why);
		assert_int_equal(err, HF_ERR_BAD_MESSAGE);
		assert_non_null(strstr(why.text, "ends in the middle"));
	}
	arena_free(a);
}

static void
refuses_what_is_not_in_its_one_form(void **state)
{
	const char *form = "shortest form";

	(void)state;
	refuses(CBOR("\xa1\x65"
		     "maybe\x18\x07"),
	    HF_ERR_BAD_MESSAGE, form);
	refuses(CBOR("\xa1\x65"
		     "maybe\x19\x00\x07"),
	    HF_ERR_BAD_MESSAGE, form);
	refuses(CBOR("\xa1\x78\x05"
		     "maybe\x07"),
	    HF_ERR_BAD_MESSAGE, form);
	refuses(CBOR("\xb8\x01\x65"
		     "maybe\x07"),
	    HF_ERR_BAD_MESSAGE, form);
	refuses(CBOR("\xa1\x65"
		     "bytes\x58\x01"
		     "a"),
	    HF_ERR_BAD_MESSAGE, form);
	refuses(CBOR("\xa1\x66"
		     "points\x98\x00"),
	    HF_ERR_BAD_MESSAGE, form);
	refuses(CBOR("\xbf\xff"), HF_ERR_BAD_MESSAGE, "definite length");
	refuses(CBOR("\xa1\x65"
		     "bytes\x5f\x41"
		     "a\xff"),
	    HF_ERR_BAD_MESSAGE, "definite length");
	refuses(CBOR("\xa1\x66"
		     "points\x9f\xff"),
	    HF_ERR_BAD_MESSAGE, "definite length");
	refuses(CBOR("\xa1\x65"
		     "maybe\xc1\x07"),
	    HF_ERR_BAD_MESSAGE, "tags");
	refuses(CBOR("\xd9\xd9\xf7\xa0"), HF_ERR_BAD_MESSAGE, "tags");
	refuses(CBOR("\xa0\x00"), HF_ERR_BAD_MESSAGE, "1 bytes too many");
	refuses(CBOR("\xa1\x01\x01"), HF_ERR_BAD_MESSAGE, "field name");
	refuses(CBOR(""), HF_ERR_BAD_MESSAGE, "ends in the middle");
	refuses(CBOR("\xff"), HF_ERR_BAD_MESSAGE, "definite length");
	refuses(CBOR("\x1c"), HF_ERR_BAD_MESSAGE, "");
}

/* What made cbor_load() of libcbor 0.8 allocate gigabytes or recurse.
 * CVE-2025-6203, CVE-2025-59043. */
static void
refuses_lies_about_sizes_without_allocating(void **state)
{
	static const struct {
		const char *data;
		size_t len;
	} killers[] = {
		{ "\x9a\x06\x00\x00\x00", 5 },
		{ "\xa2\x62"
		  "op\x61x\x67"
		  "dry_run\x01",
		    14 },
		{ "\xa3\x62"
		  "op\x61x\x67"
		  "dry_run\xf5\x67"
		  "dry_run\xf5",
		    23 },
		{ "\xa2\x62"
		  "op\x61x\x6fidempotency_key\xa0",
		    22 },
		{ "\xba\x06\x00\x00\x00", 5 },
		{ "\x9b\xff\xff\xff\xff\xff\xff\xff\xff", 9 },
		{ "\xbb\xff\xff\xff\xff\xff\xff\xff\xff", 9 },
		{ "\x5b\xff\xff\xff\xff\xff\xff\xff\xff", 9 },
		{ "\x7b\x7f\xff\xff\xff\xff\xff\xff\xff", 9 },
		{ "\xa1\x66"
		  "points\x9a\x06\x00\x00\x00",
		    13 },
		{ "\xa1\x66"
		  "points\x03",
		    9 },
		{ "\xa1\x66"
		  "points\x83",
		    9 },
		{ "\xa1\x65"
		  "bytes\x5a\x06\x00\x00\x00",
		    12 },
		{ "\xa1\x65"
		  "bytes\x5b\xff\xff\xff\xff\xff\xff\xff\xff",
		    16 },
		{ "\xa1\x65"
		  "texts\x9b\x20\x00\x00\x00\x00\x00\x00\x01",
		    16 },
		{ "\x5f\x5f\x5f\x5f\x5f\x5f", 6 },
		{ "\x81\x81\x81\x81\x81\x81", 6 },
	};
	struct all_kinds out;
	struct hf_why why;
	size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;

	(void)state;
	for (size_t i = 0; i < sizeof(killers) / sizeof(killers[0]); i++)
		assert_int_not_equal(
		    schema_decode(&schema_all,
			bytes_of(killers[i].data, killers[i].len), arena, &out,
			&why),
		    HF_OK);
	assert_int_equal(mallinfo2().uordblks + mallinfo2().hblkhd, before);
}

static void
encoding_tells_the_size_that_is_needed(void **state)
{
	struct all_kinds in = { .text = TEXT("abc"), .number = 1000 };
	uint8_t buf[64];
	size_t need, len;

	(void)state;
	assert_int_equal(schema_encode(&schema_all, &in, NULL, 0, &need),
	    HF_ERR_BUFFER_TOO_SMALL);
	for (size_t cap = 0; cap < need; cap++) {
		memset(buf, 0x77, sizeof(buf));
		assert_int_equal(
		    schema_encode(&schema_all, &in, buf, cap, &len),
		    HF_ERR_BUFFER_TOO_SMALL);
		assert_int_equal(len, need);
		for (size_t i = cap; i < sizeof(buf); i++)
			assert_int_equal(buf[i], 0x77);
	}
	assert_int_equal(
	    schema_encode(&schema_all, &in, buf, need, &len), HF_OK);
	assert_memory_equal(buf,
	    "\xa2\x64"
	    "text\x63"
	    "abc\x66"
	    "number\x19"
	    "\x03\xe8",
	    need);
}

/* -- Pairs -- */

static void
pairs_come_in_any_order_and_once(void **state)
{
	struct all_kinds out;

	(void)state;
	decodes(CBOR("\xa1\x65"
		     "pairs\xa2\x62"
		     "bb\x61"
		     "1\x61"
		     "a\x60"),
	    &out);
	assert_int_equal(out.pairs_count, 2);
	assert_true(text_is(out.pairs[0].name, "bb"));
	assert_true(text_is(out.pairs[0].value, "1"));
	assert_true(text_is(out.pairs[1].name, "a"));
	assert_int_equal(out.pairs[1].value.len, 0);
	decodes(CBOR("\xa1\x65"
		     "pairs\xa0"),
	    &out);
	assert_non_null(out.pairs);
	assert_int_equal(out.pairs_count, 0);
	decodes(CBOR("\xa0"), &out);
	assert_null(out.pairs);
}

static void
pairs_are_bounded(void **state)
{
	(void)state;
	refuses(CBOR("\xa1\x65"
		     "pairs\xa2\x61"
		     "a\x61"
		     "1\x61"
		     "a\x61"
		     "2"),
	    HF_ERR_DUPLICATE_FIELD, "pairs: the context names 'a' twice");
	refuses(CBOR("\xa1\x65"
		     "pairs\xa1\x60\x61"
		     "1"),
	    HF_ERR_OUT_OF_BOUNDS,
	    "pairs: a name in a context takes 1 to 128 bytes");
	refuses(CBOR("\xa1\x65"
		     "pairs\xa1\x61"
		     "a\x01"),
	    HF_ERR_BAD_TYPE, "pairs: must be a map of text");
	refuses(CBOR("\xa1\x65"
		     "pairs\xa1\x41"
		     "a\x61"
		     "1"),
	    HF_ERR_BAD_TYPE, "pairs: must be a map of text");
	refuses(CBOR("\xa1\x65"
		     "pairs\x80"),
	    HF_ERR_BAD_TYPE, "pairs: must be a map");
	refuses(CBOR("\xa1\x65"
		     "pairs\xa1\x61\xff\x61"
		     "1"),
	    HF_ERR_BAD_VALUE, "UTF-8");
	refuses(CBOR("\xa1\x65"
		     "pairs\xa1\x61\x00\x61"
		     "1"),
	    HF_ERR_BAD_VALUE, "UTF-8");
	refuses(CBOR("\xa1\x65"
		     "pairs\xb8\x21"),
	    HF_ERR_OUT_OF_BOUNDS, "pairs: 33 pairs");
	refuses(CBOR("\xa1\x65"
		     "pairs\xbb\xff\xff\xff\xff\xff\xff\xff\xff"),
	    HF_ERR_OUT_OF_BOUNDS, "pairs");
	refuses(CBOR("\xa1\x65"
		     "pairs\xa2\x61"
		     "a\x61"
		     "1"),
	    HF_ERR_BAD_MESSAGE, "ends in the middle");
	refuses(CBOR("\xa1\x65"
		     "pairs\xbf\xff"),
	    HF_ERR_BAD_MESSAGE, "definite");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decodes_each_kind),
		cmocka_unit_test(tells_absent_from_empty),
		cmocka_unit_test(refuses_a_wrong_type_by_name),
		cmocka_unit_test(names_the_place_inside_a_list),
		cmocka_unit_test(refuses_too_many_items),
		cmocka_unit_test(refuses_values_outside_the_list_and_bad_names),
		cmocka_unit_test(
		    reads_lengths_of_every_size_and_nothing_behind_the_end),
		cmocka_unit_test(refuses_what_is_not_in_its_one_form),
		cmocka_unit_test(refuses_lies_about_sizes_without_allocating),
		cmocka_unit_test(encoding_tells_the_size_that_is_needed),
		cmocka_unit_test(pairs_come_in_any_order_and_once),
		cmocka_unit_test(pairs_are_bounded),
	};

	return cmocka_run_group_tests(tests, make_arena, drop_arena);
}
