/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/deadline.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void
expires_in_the_order_of_arming(void **state)
{
	struct deadline_queue q;
	struct deadline a = { 0 }, b = { 0 };

	(void)state;
	deadline_queue_init(&q, 100);
	assert_true(deadline_first(&q) == UINT64_MAX);
	deadline_arm(&q, &a, 1000);
	deadline_arm(&q, &b, 1010);
	assert_true(deadline_first(&q) == 1100);
	assert_null(deadline_expire(&q, 1099));
	assert_ptr_equal(deadline_expire(&q, 1110), &a);
	assert_ptr_equal(deadline_expire(&q, 1110), &b);
	assert_null(deadline_expire(&q, 1110));
	assert_false(deadline_is_armed(&a));
}

static void
arming_anew_starts_anew(void **state)
{
	struct deadline_queue q;
	struct deadline a = { 0 }, b = { 0 };

	(void)state;
	deadline_queue_init(&q, 100);
	deadline_arm(&q, &a, 1000);
	deadline_arm(&q, &b, 1010);
	deadline_arm(&q, &a, 1020);
	assert_ptr_equal(deadline_expire(&q, 2000), &b);
	assert_ptr_equal(deadline_expire(&q, 2000), &a);
}

static void
disarmed_ones_never_expire(void **state)
{
	struct deadline_queue q;
	struct deadline a = { 0 }, b = { 0 };

	(void)state;
	deadline_queue_init(&q, 100);
	deadline_disarm(&a); /* never armed: fine */
	deadline_arm(&q, &a, 1000);
	deadline_arm(&q, &b, 1000);
	deadline_disarm(&a);
	deadline_disarm(&a);
	assert_ptr_equal(deadline_expire(&q, 2000), &b);
	assert_null(deadline_expire(&q, 2000));
}

static void
no_time_means_no_deadline(void **state)
{
	struct deadline_queue q;
	struct deadline a = { 0 };

	(void)state;
	deadline_queue_init(&q, 0);
	deadline_arm(&q, &a, 1000);
	assert_false(deadline_is_armed(&a));
	assert_null(deadline_expire(&q, UINT64_MAX));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(expires_in_the_order_of_arming),
		cmocka_unit_test(arming_anew_starts_anew),
		cmocka_unit_test(disarmed_ones_never_expire),
		cmocka_unit_test(no_time_means_no_deadline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
