/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../lib/client_spin.h"

enum { US = 1000 };

/* Calls that take `slept` or `spun` us; returns how many of them spun. */
static unsigned
calls(struct client_spin *s, unsigned count, unsigned slept, unsigned spun)
{
	unsigned n = 0;

	for (unsigned i = 0; i < count; i++) {
		bool spins = client_spin_wanted(s);

		client_spin_note(
		    s, spins, (uint64_t)(spins ? spun : slept) * US);
		n += spins;
	}
	return n;
}

static void
sleeps_until_it_knows_what_that_takes(void **state)
{
	struct client_spin s = { 0 };

	(void)state;
	assert_false(client_spin_wanted(&s));
	assert_int_equal(calls(&s, 1, 80, 60), 0);
	assert_true(client_spin_wanted(&s));
}

static void
goes_on_where_it_pays(void **state)
{
	struct client_spin s = { 0 };

	(void)state;
	assert_in_range(calls(&s, 10000, 80, 60), 9800, 9850);
}

/* Where the reply is made on the same core, or all are busy. */
static void
is_rare_where_it_does_not_pay(void **state)
{
	struct client_spin s = { 0 };

	(void)state;
	assert_in_range(calls(&s, 100000, 30, 40), 8, 200);
}

static void
an_eighth_is_not_enough(void **state)
{
	struct client_spin s = { 0 };

	(void)state;
	assert_in_range(calls(&s, 100000, 80, 72), 8, 200);
}

static void
does_not_try_for_what_takes_long(void **state)
{
	struct client_spin s = { 0 };

	(void)state;
	assert_int_equal(calls(&s, 10000, 300, 100), 0);
}

static void
notices_that_the_machine_became_busy(void **state)
{
	struct client_spin s = { 0 };

	(void)state;
	(void)calls(&s, 5000, 80, 60);
	/* Sleeping became faster, which one call in 64 finds out. */
	assert_in_range(calls(&s, 100000, 40, 60), 1, 3000);
	/* And idle again. */
	(void)calls(&s, 20000, 80, 60);
	assert_in_range(calls(&s, 10000, 80, 60), 9800, 9850);
}

static void
one_call_that_was_held_up_changes_nothing(void **state)
{
	struct client_spin s = { 0 };

	(void)state;
	(void)calls(&s, 1000, 80, 60);
	assert_true(client_spin_wanted(&s));
	client_spin_note(&s, true, UINT64_C(50000000));
	assert_in_range(calls(&s, 1000, 80, 60), 980, 990);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sleeps_until_it_knows_what_that_takes),
		cmocka_unit_test(goes_on_where_it_pays),
		cmocka_unit_test(is_rare_where_it_does_not_pay),
		cmocka_unit_test(an_eighth_is_not_enough),
		cmocka_unit_test(does_not_try_for_what_takes_long),
		cmocka_unit_test(notices_that_the_machine_became_busy),
		cmocka_unit_test(one_call_that_was_held_up_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
