/* SPDX-License-Identifier: Apache-2.0 */
#include "../../lib/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../../lib/bytes.h"

static void
keeps_what_was_added_in_order(void **state)
{
	AUTO_BUFFER b = { 0 };
	uint8_t want[1000];

	(void)state;
	for (size_t i = 0; i < sizeof(want); i++) {
		want[i] = (uint8_t)i;
		assert_int_equal(buffer_add(&b, bytes_of(&want[i], 1)), HF_OK);
	}
	assert_int_equal(buffer_add(&b, (struct hf_bytes){ 0 }), HF_OK);
	assert_int_equal(buffer_view(&b).len, sizeof(want));
	assert_memory_equal(buffer_view(&b).ptr, want, sizeof(want));
}

/* A byte at a time must not copy all of them for each. */
static void
doubles_its_room_when_it_grows(void **state)
{
	AUTO_BUFFER b = { 0 };
	unsigned moves = 0;

	(void)state;
	for (size_t i = 0; i < 100000; i++) {
		size_t cap = b.cap;

		assert_int_equal(buffer_add(&b, bytes_of("x", 1)), HF_OK);
		moves += b.cap != cap;
	}
	assert_in_range(moves, 1, 20);
}

static void
reserves_room_and_never_less_than_there_is(void **state)
{
	AUTO_BUFFER b = { 0 };
	const uint8_t *at;

	(void)state;
	assert_int_equal(buffer_add(&b, bytes_of("abc", 3)), HF_OK);
	assert_int_equal(buffer_reserve(&b, 100), HF_OK);
	at = b.ptr;
	assert_int_equal(b.cap, 100);
	assert_int_equal(buffer_reserve(&b, 10), HF_OK);
	assert_int_equal(b.cap, 100);
	for (int i = 0; i < 97; i++)
		assert_int_equal(buffer_add(&b, bytes_of("x", 1)), HF_OK);
	assert_ptr_equal(b.ptr, at);
	assert_memory_equal(b.ptr, "abcxx", 5);
}

/* Lengths may come from outside. */
static void
refuses_a_length_that_no_number_can_hold(void **state)
{
	AUTO_BUFFER b = { 0 };

	(void)state;
	assert_int_equal(buffer_add(&b, bytes_of("abc", 3)), HF_OK);
	assert_int_equal(
	    buffer_add(&b, bytes_of("x", SIZE_MAX)), HF_ERR_NO_MEMORY);
	assert_int_equal(b.len, 3);
	assert_memory_equal(b.ptr, "abc", 3);
}

static void
closes_the_gap_and_leaves_nothing_behind(void **state)
{
	static const uint8_t zeros[3] = { 0 };
	AUTO_BUFFER b = { 0 };

	(void)state;
	buffer_drop(&b, 0);
	assert_int_equal(buffer_add(&b, bytes_of("secrets", 7)), HF_OK);
	buffer_drop(&b, 0);
	assert_int_equal(b.len, 7);
	buffer_drop(&b, 3);
	assert_int_equal(b.len, 4);
	assert_memory_equal(b.ptr, "rets", 4);
	assert_memory_equal(b.ptr + 4, zeros, 3);
	buffer_drop(&b, 4);
	assert_int_equal(b.len, 0);
	assert_memory_equal(b.ptr, zeros, 3);
}

static void
is_empty_when_it_was_freed(void **state)
{
	struct buffer b = { 0 };

	(void)state;
	buffer_free(&b);
	assert_int_equal(buffer_add(&b, bytes_of("abc", 3)), HF_OK);
	buffer_free(&b);
	assert_null(b.ptr);
	assert_int_equal(b.len, 0);
	assert_int_equal(b.cap, 0);
	assert_int_equal(buffer_add(&b, bytes_of("d", 1)), HF_OK);
	assert_memory_equal(b.ptr, "d", 1);
	buffer_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_what_was_added_in_order),
		cmocka_unit_test(doubles_its_room_when_it_grows),
		cmocka_unit_test(reserves_room_and_never_less_than_there_is),
		cmocka_unit_test(refuses_a_length_that_no_number_can_hold),
		cmocka_unit_test(closes_the_gap_and_leaves_nothing_behind),
		cmocka_unit_test(is_empty_when_it_was_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
