/* SPDX-License-Identifier: Apache-2.0 */
#include "../../lib/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t req_hello[] = { 0, 'S', 'P', 0, 0, 0x30, 0, 0 };
static const uint8_t rep_hello[] = { 0, 'S', 'P', 0, 0, 0x31, 0, 0 };

static void
says_the_hello_of_its_role(void **state)
{
	uint8_t out[FRAME_HELLO];

	(void)state;
	frame_hello(FRAME_REQ, out);
	assert_memory_equal(out, req_hello, FRAME_HELLO);
	frame_hello(FRAME_REP, out);
	assert_memory_equal(out, rep_hello, FRAME_HELLO);
}

static void
takes_the_hello_of_that_role_only(void **state)
{
	(void)state;
	assert_true(frame_hello_ok(FRAME_REQ, req_hello));
	assert_true(frame_hello_ok(FRAME_REP, rep_hello));
	assert_false(frame_hello_ok(FRAME_REQ, rep_hello));
	assert_false(frame_hello_ok(FRAME_REP, req_hello));
}

static void
refuses_a_hello_with_any_other_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < FRAME_HELLO; i++) {
		uint8_t hello[FRAME_HELLO];

		memcpy(hello, req_hello, FRAME_HELLO);
		hello[i] ^= 0x40;
		assert_false(frame_hello_ok(FRAME_REQ, hello));
	}
}

static void
writes_a_type_byte_over_ipc_only(void **state)
{
	static const uint8_t ipc[] = { 1, 0, 0, 0, 0, 0, 1, 2, 3 };
	uint8_t out[FRAME_HEADER_MAX];

	(void)state;
	assert_int_equal(frame_header_size(FRAME_IPC), 9);
	frame_header(FRAME_IPC, 0x010203, out);
	assert_memory_equal(out, ipc, 9);
	assert_int_equal(frame_header_size(FRAME_STREAM), 8);
	frame_header(FRAME_STREAM, 0x010203, out);
	assert_memory_equal(out, ipc + 1, 8);
}

static void
measures_nothing_before_the_header_is_there(void **state)
{
	static const uint8_t ipc[] = { 1, 0, 0, 0, 0, 0, 0, 0, 10 };
	size_t need;

	(void)state;
	for (size_t len = 0; len < sizeof(ipc); len++) {
		need = 99;
		assert_int_equal(
		    frame_measure(FRAME_IPC, ipc, len, 100, &need), HF_OK);
		assert_int_equal(need, 0);
	}
	for (size_t len = 0; len < 8; len++) {
		need = 99;
		assert_int_equal(
		    frame_measure(FRAME_STREAM, ipc + 1, len, 100, &need),
		    HF_OK);
		assert_int_equal(need, 0);
	}
}

static void
measures_the_whole_frame(void **state)
{
	static const uint8_t ipc[] = { 1, 0, 0, 0, 0, 0, 0, 0, 10 };
	size_t need = 0;

	(void)state;
	assert_int_equal(frame_measure(FRAME_IPC, ipc, 9, 6, &need), HF_OK);
	assert_int_equal(need, 19);
	assert_int_equal(
	    frame_measure(FRAME_STREAM, ipc + 1, 8, 6, &need), HF_OK);
	assert_int_equal(need, 18);
}

static void
refuses_another_type_at_its_first_byte(void **state)
{
	size_t need;

	(void)state;
	for (unsigned type = 0; type < 256; type++) {
		uint8_t byte = (uint8_t)type;

		assert_int_equal(frame_measure(FRAME_IPC, &byte, 1, 9, &need),
		    type == 1 ? HF_OK : HF_ERR_BAD_MESSAGE);
	}
}

static enum hf_err
measure_claim(enum frame_kind kind, uint64_t body, size_t max, size_t *need)
{
	uint8_t head[FRAME_HEADER_MAX];

	frame_header(kind, body, head);
	return frame_measure(kind, head, frame_header_size(kind), max, need);
}

static void
refuses_a_body_without_room_for_an_id(void **state)
{
	size_t need;

	(void)state;
	for (uint64_t body = 0; body < FRAME_ID; body++)
		assert_int_equal(measure_claim(FRAME_IPC, body, 9, &need),
		    HF_ERR_BAD_MESSAGE);
	assert_int_equal(measure_claim(FRAME_IPC, FRAME_ID, 9, &need), HF_OK);
}

static void
tells_the_size_of_a_frame_beyond_the_limit(void **state)
{
	size_t need = 0;

	(void)state;
	assert_int_equal(measure_claim(FRAME_STREAM, 104, 100, &need), HF_OK);
	assert_int_equal(
	    measure_claim(FRAME_STREAM, 105, 100, &need), HF_ERR_TOO_LARGE);
	assert_int_equal(need, 113);
	assert_int_equal(measure_claim(FRAME_IPC, FRAME_LONGEST, 100, &need),
	    HF_ERR_TOO_LARGE);
	assert_int_equal(need, (size_t)FRAME_LONGEST + 9);
}

static void
refuses_absurd_claims(void **state)
{
	static const uint64_t claims[] = { (uint64_t)FRAME_LONGEST + 1,
		UINT64_C(8) << 30, UINT64_C(1) << 63, UINT64_MAX };
	size_t need;

	(void)state;
	for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++)
		assert_int_equal(
		    measure_claim(FRAME_IPC, claims[i], SIZE_MAX, &need),
		    HF_ERR_BAD_MESSAGE);
}

static void
wants_the_top_bit_of_a_request_id(void **state)
{
	static const uint8_t with[] = { 0x80, 0, 0, 1 };
	static const uint8_t without[] = { 0x7f, 0xff, 0xff, 0xff };

	(void)state;
	assert_true(frame_id_ok(with));
	assert_false(frame_id_ok(without));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_the_hello_of_its_role),
		cmocka_unit_test(takes_the_hello_of_that_role_only),
		cmocka_unit_test(refuses_a_hello_with_any_other_byte),
		cmocka_unit_test(writes_a_type_byte_over_ipc_only),
		cmocka_unit_test(measures_nothing_before_the_header_is_there),
		cmocka_unit_test(measures_the_whole_frame),
		cmocka_unit_test(refuses_another_type_at_its_first_byte),
		cmocka_unit_test(refuses_a_body_without_room_for_an_id),
		cmocka_unit_test(tells_the_size_of_a_frame_beyond_the_limit),
		cmocka_unit_test(refuses_absurd_claims),
		cmocka_unit_test(wants_the_top_bit_of_a_request_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
