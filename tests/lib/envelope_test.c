/* SPDX-License-Identifier: Apache-2.0 */
#include "../../lib/envelope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../../lib/bytes.h"
#include "arena_fixture.h"

struct point {
	uint64_t x;
};

SCHEMA(schema_point, point, F(point, "x", x, 1, 9, REQUIRED, NULL, "x"));

static void
opens_a_request_with_its_parts_in_any_order(void **state)
{
	struct envelope e;

	(void)state;
	assert_int_equal(envelope_open(CBOR("\xa2\x62"
					    "op\x61x\x62"
					    "in\xa0"),
			     &e, NULL),
	    HF_OK);
	assert_true(text_is(e.op, "x"));
	assert_int_equal(e.in.len, 1);
	assert_memory_equal(e.in.ptr, "\xa0", 1);
	assert_int_equal(envelope_open(CBOR("\xa2\x62"
					    "in\xa1\x61y\x01\x62"
					    "op\x61x"),
			     &e, NULL),
	    HF_OK);
	assert_true(text_is(e.op, "x"));
	assert_int_equal(e.in.len, 4);
	assert_int_equal(envelope_open(CBOR("\xa1\x62"
					    "op\x61x"),
			     &e, NULL),
	    HF_OK);
	assert_int_equal(e.in.len, 1);
	assert_memory_equal(e.in.ptr, "\xa0", 1);
}

static void
a_request_carries_its_options(void **state)
{
	struct point in = { 0 };
	const struct envelope_options options = { true, TEXT("k-1") };
	struct envelope e;
	uint8_t buf[256];
	size_t len;

	(void)state;
	assert_int_equal(envelope_request_with(TEXT("x"), &options,
			     &schema_point, &in, buf, sizeof(buf), &len),
	    HF_OK);
	assert_int_equal(envelope_open(bytes_of(buf, len), &e, NULL), HF_OK);
	assert_true(e.options.dry_run);
	assert_true(text_is(e.options.idempotency_key, "k-1"));
	assert_int_equal(envelope_open(CBOR("\xa2\x67"
					    "dry_run\xf4\x62"
					    "op\x61x"),
			     &e, NULL),
	    HF_OK);
	assert_false(e.options.dry_run);
	assert_null(e.options.idempotency_key.ptr);
}

static void
refuses_what_is_no_request(void **state)
{
	static const struct {
		const char *data;
		size_t len;
	} bad[] = {
		{ "", 0 },
		{ "\xa0", 1 },
		{ "\x80", 1 },
		{ "\xa1\x62"
		  "in\xa0",
		    5 },
		{ "\xa1\x62"
		  "op\x01",
		    5 },
		{ "\xa1\x62"
		  "op\x61x\x00",
		    7 },
		{ "\xa2\x62"
		  "op\x61x\x62"
		  "op\x61x",
		    11 },
		{ "\xa2\x62"
		  "in\xa0\x62"
		  "in\xa0",
		    9 },
		{ "\xa2\x62"
		  "op\x61x\x62"
		  "ix\xa0",
		    10 },
		{ "\xa3\x62"
		  "op\x61x\x62"
		  "in\xa0\x61z\x00",
		    13 },
		{ "\xa2\x62"
		  "in\x9b\xff\xff\xff\xff\xff\xff\xff\xff\x62"
		  "op\x61x",
		    18 },
		{ "\xa2\x62"
		  "in\x81\x81\x81\x81\x81\x81\x81\x00\x62"
		  "op\x61x",
		    17 },
		{ "\x9a\x06\x00\x00\x00", 5 },
	};
	struct envelope e;
	struct hf_why why;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
		    envelope_open(bytes_of(bad[i].data, bad[i].len), &e, &why),
		    HF_ERR_BAD_MESSAGE);
}

static void
a_reply_carries_its_struct(void **state)
{
	struct point in = { 7 }, out;
	uint8_t buf[64];
	size_t len;

	(void)state;
	assert_int_equal(
	    envelope_reply(&schema_point, &in, buf, sizeof(buf), &len), HF_OK);
	assert_int_equal(len, 9);
	assert_memory_equal(buf,
	    "\xa1\x63"
	    "out\xa1\x61x\x07",
	    9);
	assert_int_equal(envelope_open_reply(bytes_of(buf, len), &schema_point,
			     arena, &out, NULL),
	    HF_OK);
	assert_int_equal(out.x, 7);
}

static void
an_error_carries_its_name_and_message(void **state)
{
	struct point out;
	struct hf_why why;
	uint8_t buf[ENVELOPE_ERROR_MAX];
	char message[256];
	size_t len;

	(void)state;
	memset(message, 'm', sizeof(message));
	message[sizeof(message) - 1] = '\0';
	assert_int_equal(
	    envelope_error(HF_ERR_KEY_EXISTS, message, buf, sizeof(buf), &len),
	    HF_OK);
	assert_int_equal(envelope_open_reply(bytes_of(buf, len), &schema_point,
			     arena, &out, &why),
	    HF_ERR_KEY_EXISTS);
	assert_string_equal(why.text, message);
	assert_int_equal(
	    envelope_error(HF_ERR_KEY_EXISTS, NULL, buf, sizeof(buf), &len),
	    HF_OK);
	assert_int_equal(envelope_open_reply(bytes_of(buf, len), &schema_point,
			     arena, &out, &why),
	    HF_ERR_KEY_EXISTS);
	assert_string_equal(why.text, hf_err_sentence(HF_ERR_KEY_EXISTS));
}

static void
every_error_comes_back_under_its_name(void **state)
{
	static const enum hf_err all[] = {
#define HF_ERR(symbol, number, status, ckr, name, sentence) HF_ERR_##symbol,
#include <holdfast/err.def>
#undef HF_ERR
	};
	struct point out;
	uint8_t buf[ENVELOPE_ERROR_MAX];
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		enum hf_err err;

		assert_int_equal(
		    envelope_error(all[i], NULL, buf, sizeof(buf), &len),
		    HF_OK);
		err = envelope_open_reply(
		    bytes_of(buf, len), &schema_point, arena, &out, NULL);
		assert_string_equal(hf_err_name(err), hf_err_name(all[i]));
	}
}

/* So that an old client understands a newer service. */
static void
a_reply_may_say_more_than_we_know(void **state)
{
	struct point out;
	struct hf_why why;

	(void)state;
	assert_int_equal(envelope_open_reply(CBOR("\xa1\x63"
						  "out\xa2\x61x\x07"
						  "\x63"
						  "new\x82\x01\xa1\x61"
						  "a\xf6"),
			     &schema_point, arena, &out, NULL),
	    HF_OK);
	assert_int_equal(out.x, 7);
	assert_int_equal(envelope_open_reply(CBOR("\xa1\x63"
						  "err\xa3\x64"
						  "code\x19\x01\xf4\x64"
						  "name\x63"
						  "new\x67"
						  "message\x62"
						  "hi"),
			     &schema_point, arena, &out, &why),
	    HF_ERR_REMOTE);
	assert_string_equal(why.text, "hi");
}

static void
refuses_what_is_no_reply(void **state)
{
	static const struct {
		const char *data;
		size_t len;
	} bad[] = {
		{ "", 0 },
		{ "\xa0", 1 },
		{ "\xa1\x63"
		  "out\x01",
		    6 },
		{ "\xa1\x63"
		  "out\xa1\x61x\x0a",
		    9 },
		{ "\xa1\x63"
		  "out\xa0\x00",
		    7 },
		{ "\xa1\x63"
		  "err\xa0",
		    6 },
		{ "\xa1\x63"
		  "xxx\xa0",
		    6 },
		{ "\xa2\x63"
		  "out\xa0\x63"
		  "err\xa0",
		    11 },
		{ "\x9a\x06\x00\x00\x00", 5 },
	};
	struct point out;
	struct hf_why why;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
		    envelope_open_reply(bytes_of(bad[i].data, bad[i].len),
			&schema_point, arena, &out, &why),
		    HF_ERR_BAD_REPLY);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opens_a_request_with_its_parts_in_any_order),
		cmocka_unit_test(a_request_carries_its_options),
		cmocka_unit_test(refuses_what_is_no_request),
		cmocka_unit_test(a_reply_carries_its_struct),
		cmocka_unit_test(an_error_carries_its_name_and_message),
		cmocka_unit_test(every_error_comes_back_under_its_name),
		cmocka_unit_test(a_reply_may_say_more_than_we_know),
		cmocka_unit_test(refuses_what_is_no_reply),
	};

	return cmocka_run_group_tests(tests, make_arena, drop_arena);
}
