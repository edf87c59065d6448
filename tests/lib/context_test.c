/* SPDX-License-Identifier: Apache-2.0 */
#include "../../lib/context.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "../../lib/bytes.h"

static struct hf_pair
pair(const char *name, const char *value)
{
	return (struct hf_pair){ text_of(name), text_of(value) };
}

static enum hf_err
decode(const char *hex)
{
	uint8_t in[CONTEXT_BYTES];
	struct hf_pair out[CONTEXT_PAIRS];
	size_t len = strlen(hex) / 2, count;

	assert_true(hex_decode(text_of(hex), in, len));
	return context_decode(bytes_of(in, len), out, &count, NULL);
}

static void
assert_encodes_to(
    const struct hf_pair *pairs, size_t count, const char *expected)
{
	uint8_t out[CONTEXT_BYTES];
	char hex[2 * CONTEXT_BYTES + 1];
	size_t len;

	assert_int_equal(context_encode(pairs, count, out, &len, NULL), HF_OK);
	hex_encode(out, len, hex);
	assert_string_equal(hex, expected);
}

static void
no_pairs_are_no_bytes(void **state)
{
	struct hf_pair out[CONTEXT_PAIRS];
	size_t count = 9;

	(void)state;
	assert_encodes_to(NULL, 0, "");
	assert_int_equal(
	    context_decode(bytes_of(NULL, 0), out, &count, NULL), HF_OK);
	assert_int_equal(count, 0);
	assert_int_equal(decode("a0"), HF_ERR_BAD_MESSAGE);
}

static void
the_order_is_that_of_the_encodings(void **state)
{
	const struct hf_pair pairs[] = { pair("bb", "2"), pair("a", "1"),
		pair("ab", ""), pair("\xc3\xb6", "3") };

	(void)state;
	/* {"a": "1", "ab": "", "bb": "2", "ö": "3"} */
	assert_encodes_to(pairs, 4,
	    "a461616131626162606262626132"
	    "62c3b66133");
}

static void
what_was_encoded_is_decoded(void **state)
{
	char name[CONTEXT_NAME_MAX + 1], value[CONTEXT_VALUE_MAX + 1];
	struct hf_pair in[3], out[CONTEXT_PAIRS];
	uint8_t buf[CONTEXT_BYTES];
	size_t len, count;

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	memset(value, 'v', sizeof(value) - 1);
	name[sizeof(name) - 1] = value[sizeof(value) - 1] = '\0';
	in[0] = pair(name, value);
	in[1] = pair("tenant", "acme");
	in[2] = pair("twenty-four characters..", "");
	assert_int_equal(context_encode(in, 3, buf, &len, NULL), HF_OK);
	assert_int_equal(
	    context_decode(bytes_of(buf, len), out, &count, NULL), HF_OK);
	assert_int_equal(count, 3);
	for (size_t i = 0; i < 3; i++) {
		const struct hf_text *found =
		    context_value(out, count, in[i].name);

		assert_non_null(found);
		assert_true(text_equal(*found, in[i].value));
	}
	assert_null(context_value(out, count, TEXT("tenan")));
}

static void
every_prefix_and_every_longer_one_is_refused(void **state)
{
	const struct hf_pair pairs[] = { pair("a", "1"), pair("tenant", "x") };
	struct hf_pair out[CONTEXT_PAIRS];
	uint8_t buf[CONTEXT_BYTES] = { 0 };
	size_t len, count;

	(void)state;
	assert_int_equal(context_encode(pairs, 2, buf, &len, NULL), HF_OK);
	for (size_t n = 1; n < len + 3; n++)
		assert_int_equal(
		    context_decode(bytes_of(buf, n), out, &count, NULL),
		    n == len ? HF_OK : HF_ERR_BAD_MESSAGE);
}

static void
other_bytes_of_the_same_map_are_refused(void **state)
{
	static const char *const others[] = {
		"a262626261326161"
		"6131", /* another order */
		"b8016161"
		"6131",         /* a longer head of the map */
		"a17801616131", /* ... of the name */
		"a1616178"
		"0131",           /* ... of the value */
		"a1790001616131", /* ... with two bytes */
		"a16161790001"
		"31",
		"bf61616131ff", /* indefinite */
		"a17f6161ff6131",
		"a2616161316161"
		"6132", /* a name twice */
		"a161616131"
		"00",         /* something behind it */
		"a1616101",   /* a number */
		"a141616131", /* bytes */
		"a1606131",   /* a name without a letter */
		"a16161"
		"62c328",     /* not UTF-8 */
		"8161616131", /* an array */
		"a1616162"
		"6100",         /* a NUL */
		"a57a00000001", /* four bytes of length */
	};

	(void)state;
	assert_int_equal(decode("a161616131"), HF_OK);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (decode(others[i]) != HF_ERR_BAD_MESSAGE)
			fail_msg("took %s", others[i]);
}

static void
limits_hold(void **state)
{
	char names[CONTEXT_PAIRS + 1][8], big[CONTEXT_VALUE_MAX + 2];
	struct hf_pair pairs[CONTEXT_PAIRS + 1];
	uint8_t out[CONTEXT_BYTES];
	size_t len;

	(void)state;
	memset(big, 'v', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	for (size_t i = 0; i <= CONTEXT_PAIRS; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "n%zu", i);
		pairs[i] = pair(names[i], "v");
	}
	assert_int_equal(
	    context_encode(pairs, CONTEXT_PAIRS, out, &len, NULL), HF_OK);
	assert_int_equal(
	    context_encode(pairs, CONTEXT_PAIRS + 1, out, &len, NULL),
	    HF_ERR_OUT_OF_BOUNDS);
	pairs[0] = pair("", "v");
	assert_int_equal(
	    context_encode(pairs, 1, out, &len, NULL), HF_ERR_OUT_OF_BOUNDS);
	pairs[0] = pair("name", big);
	assert_int_equal(
	    context_encode(pairs, 1, out, &len, NULL), HF_ERR_OUT_OF_BOUNDS);
	pairs[0] = pair("name", "\xff");
	assert_int_equal(
	    context_encode(pairs, 1, out, &len, NULL), HF_ERR_BAD_VALUE);
	pairs[0] = pairs[1];
	assert_int_equal(
	    context_encode(pairs, 2, out, &len, NULL), HF_ERR_DUPLICATE_FIELD);
}

static void
a_context_is_as_long_as_it_may_be_and_no_longer(void **state)
{
	/* A head, and four times a head, a letter, a head and a value. */
	const size_t fits = (CONTEXT_BYTES - 1 - 4 * 5) / 4;
	char value[CONTEXT_VALUE_MAX];
	struct hf_pair pairs[4];
	struct hf_pair again[CONTEXT_PAIRS];
	uint8_t out[CONTEXT_BYTES];
	size_t len, count, spare = CONTEXT_BYTES - 1 - 4 * (fits + 5);

	(void)state;
	memset(value, 'v', sizeof(value));
	for (size_t i = 0; i < 4; i++)
		pairs[i] = (struct hf_pair){ { &"abcd"[i], 1 },
			{ value, fits + (i == 0 ? spare : 0) } };
	assert_int_equal(context_encode(pairs, 4, out, &len, NULL), HF_OK);
	assert_int_equal(len, CONTEXT_BYTES);
	assert_int_equal(
	    context_decode(bytes_of(out, len), again, &count, NULL), HF_OK);
	pairs[3].value.len++;
	assert_int_equal(
	    context_encode(pairs, 4, out, &len, NULL), HF_ERR_OUT_OF_BOUNDS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_pairs_are_no_bytes),
		cmocka_unit_test(the_order_is_that_of_the_encodings),
		cmocka_unit_test(what_was_encoded_is_decoded),
		cmocka_unit_test(every_prefix_and_every_longer_one_is_refused),
		cmocka_unit_test(other_bytes_of_the_same_map_are_refused),
		cmocka_unit_test(limits_hold),
		cmocka_unit_test(
		    a_context_is_as_long_as_it_may_be_and_no_longer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
