/* SPDX-License-Identifier: Apache-2.0 */
#include "../../lib/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void
equality_looks_at_length_and_content(void **state)
{
	struct hf_bytes abc = bytes_of("abc", 3);

	(void)state;
	assert_true(bytes_equal(abc, bytes_of("abcd", 3)));
	assert_false(bytes_equal(abc, bytes_of("abcd", 4)));
	assert_false(bytes_equal(abc, bytes_of("abd", 3)));
	assert_true(bytes_equal((struct hf_bytes){ 0 }, bytes_of("", 0)));
	assert_true(bytes_equal_ct(abc, bytes_of("abc", 3)));
	assert_false(bytes_equal_ct(abc, bytes_of("abC", 3)));
	assert_false(bytes_equal_ct(abc, bytes_of("ab", 2)));
	assert_true(bytes_equal_ct((struct hf_bytes){ 0 }, bytes_of("", 0)));
}

static void
texts_compare_as_their_bytes(void **state)
{
	(void)state;
	assert_true(text_is(TEXT("name"), "name"));
	assert_false(text_is(TEXT("name"), "names"));
	assert_true(text_starts(TEXT("uid:7"), TEXT("uid:")));
	assert_false(text_starts(TEXT("uid"), TEXT("uid:")));
	assert_true(text_starts(TEXT("x"), TEXT("")));
	assert_int_equal(text_of(NULL).len, 0);
}

static void
numbers_are_big_endian(void **state)
{
	uint8_t p[8];

	(void)state;
	put_u64(p, UINT64_C(0x0102030405060708));
	assert_memory_equal(p, "\1\2\3\4\5\6\7\10", 8);
	assert_true(get_u64(p) == UINT64_C(0x0102030405060708));
	put_u32(p, 0xfffefdfc);
	assert_true(get_u32(p) == 0xfffefdfc);
}

static void
wiping_leaves_zeros(void **state)
{
	uint8_t p[5] = { 1, 2, 3, 4, 5 };

	(void)state;
	bytes_wipe(p + 1, 3);
	assert_memory_equal(p, "\1\0\0\0\5", 5);
	bytes_wipe(NULL, 0);
}

static void
hex_goes_both_ways_and_refuses_the_rest(void **state)
{
	const uint8_t in[] = { 0x00, 0x9a, 0xff };
	char text[7];
	uint8_t out[3];

	(void)state;
	hex_encode(in, 3, text);
	assert_string_equal(text, "009aff");
	assert_true(hex_decode(TEXT("009AfF"), out, 3));
	assert_memory_equal(in, out, 3);
	assert_false(hex_decode(TEXT("009af"), out, 3));
	assert_false(hex_decode(TEXT("009afg"), out, 3));
	assert_false(hex_decode(TEXT("009aff00"), out, 3));
	assert_true(hex_decode(TEXT(""), out, 0));
}

/* Whatever stands in a byte, and wherever it stands. */
static void
hex_is_that_of_printf(void **state)
{
	uint8_t in[256 + 9];
	char text[2 * sizeof(in) + 1], expected[2 * sizeof(in) + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)(i * 7);
	for (size_t len = 0; len <= sizeof(in); len++) {
		expected[0] = '\0';
		for (size_t i = 0; i < len; i++)
			(void)snprintf(expected + 2 * i, 3, "%02x", in[i]);
		hex_encode(in, len, text);
		assert_string_equal(text, expected);
	}
}

/* RFC 4648, section 10. */
static const struct {
	const char *plain, *std, *url;
} vectors[] = {
	{ "", "", "" },
	{ "f", "Zg==", "Zg" },
	{ "fo", "Zm8=", "Zm8" },
	{ "foo", "Zm9v", "Zm9v" },
	{ "foob", "Zm9vYg==", "Zm9vYg" },
	{ "fooba", "Zm9vYmE=", "Zm9vYmE" },
	{ "foobar", "Zm9vYmFy", "Zm9vYmFy" },
	{ "\xff\xef\xbe\xfb", "/++++w==", "_----w" },
};

static void
base64_gives_the_vectors_of_the_rfc(void **state)
{
	char text[16];
	uint8_t out[16];
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		struct hf_bytes in =
		    bytes_of(vectors[i].plain, strlen(vectors[i].plain));
		const char *both[] = { vectors[i].std, vectors[i].url };

		for (int kind = BASE64_STD; kind <= BASE64_URL; kind++) {
			enum base64_kind k = (enum base64_kind)kind;
			struct hf_text t = text_of(both[kind]);

			assert_int_equal(base64_length(k, in.len), t.len);
			base64_encode(k, in, text);
			assert_memory_equal(text, t.ptr, t.len);
			assert_true(base64_decode(k, t, out, &len));
			assert_int_equal(len, in.len);
			assert_memory_equal(out, in.ptr, len);
		}
	}
}

static void
base64_takes_every_byte_value_at_every_offset(void **state)
{
	uint8_t in[300], out[320];
	char text[404];
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)(i * 7);
	for (size_t n = 0; n <= sizeof(in); n++)
		for (int kind = BASE64_STD; kind <= BASE64_URL; kind++) {
			enum base64_kind k = (enum base64_kind)kind;
			size_t chars = base64_length(k, n);

			base64_encode(k, bytes_of(in, n), text);
			assert_true(base64_decode(
			    k, (struct hf_text){ text, chars }, out, &len));
			assert_int_equal(len, n);
			assert_memory_equal(in, out, n);
		}
}

static void
base64_is_strict(void **state)
{
	static const char *const bad_std[] = { "Zg",
		"Zg=", "Zg===", "Z===", "Zh==", "Zm9=", "Zm9v\n", " Zm9",
		"Zm9-", "Zm9_", "=Zm9", "Zg==Zg==", "====", "Z", "Zm9vY" };
	static const char *const bad_url[] = { "Zg==", "Zh", "Zm9", "Z", "Zm+v",
		"Zm/v", "Zm9vY" };
	uint8_t out[16];
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(bad_std) / sizeof(bad_std[0]); i++)
		assert_false(
		    base64_decode(BASE64_STD, text_of(bad_std[i]), out, &len));
	for (size_t i = 0; i < sizeof(bad_url) / sizeof(bad_url[0]); i++)
		assert_false(
		    base64_decode(BASE64_URL, text_of(bad_url[i]), out, &len));
}

static void
base64_refuses_every_byte_outside_the_alphabet(void **state)
{
	static const char marks[] = { '+', '/', '-', '_' };
	uint8_t out[8];
	size_t len;

	(void)state;
	for (int c = 0; c < 256; c++) {
		char text[4] = { 'A', (char)c, 'A', 'A' };
		struct hf_text t = { text, 4 };
		bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9');

		assert_int_equal(base64_decode(BASE64_STD, t, out, &len),
		    alnum || c == marks[0] || c == marks[1]);
		assert_int_equal(base64_decode(BASE64_URL, t, out, &len),
		    alnum || c == marks[2] || c == marks[3]);
	}
}

static void
utf8_is_what_rfc_3629_says(void **state)
{
	static const char *const good[] = { "", "abc", "\xc2\x80", "\xdf\xbf",
		"\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf",
		"\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "\x7f" };
	static const char *const bad[] = { "\x80", "\xbf", "\xc0\x80",
		"\xc1\xbf", "\xc2", "\xc2(", "\xe0\x9f\xbf", "\xe0\xa0",
		"\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf",
		"\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "a\xf8",
		"\xf0\x90\x80" };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(utf8_valid(text_of(good[i])));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(utf8_valid(text_of(bad[i])));
	/* U+0000 is a NUL, which no text of ours may hold. */
	assert_false(utf8_valid((struct hf_text){ "a\0b", 3 }));
	/* Also where eight characters are looked at together. */
	for (size_t at = 0; at < 20; at++) {
		char text[20];

		memset(text, 'a', sizeof(text));
		assert_true(utf8_valid((struct hf_text){ text, 20 }));
		text[at] = '\0';
		assert_false(utf8_valid((struct hf_text){ text, 20 }));
		text[at] = '\xff';
		assert_false(utf8_valid((struct hf_text){ text, 20 }));
		text[at] = '\xc3';
		assert_false(utf8_valid((struct hf_text){ text, 20 }));
		if (at == 19)
			break;
		text[at + 1] = '\xbc';
		assert_true(utf8_valid((struct hf_text){ text, 20 }));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equality_looks_at_length_and_content),
		cmocka_unit_test(texts_compare_as_their_bytes),
		cmocka_unit_test(numbers_are_big_endian),
		cmocka_unit_test(wiping_leaves_zeros),
		cmocka_unit_test(hex_goes_both_ways_and_refuses_the_rest),
		cmocka_unit_test(hex_is_that_of_printf),
		cmocka_unit_test(base64_gives_the_vectors_of_the_rfc),
		cmocka_unit_test(base64_takes_every_byte_value_at_every_offset),
		cmocka_unit_test(base64_is_strict),
		cmocka_unit_test(
		    base64_refuses_every_byte_outside_the_alphabet),
		cmocka_unit_test(utf8_is_what_rfc_3629_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
