/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/timeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../../keyd/timeline_kept.h"
#include "../fake/store_memory.h"

/* The promises of timeline.h; the clock is what a test says. */

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE };
static const uint64_t day = 24 * (uint64_t)HOUR;
static const uint64_t year = 365 * 24 * (uint64_t)HOUR;

static struct moment now;
static struct timeline t;

static int
setup(void **state)
{
	(void)state;
	now = (struct moment){ 50 * year, 10 * day };
	assert_int_equal(timeline_start(&t, &now, day, NULL), 0);
	return 0;
}

static void
time_goes_by(uint64_t ms)
{
	now.wall += ms;
	now.boot += ms;
}

/* How far what cannot be undone is behind, in seconds. */
static uint64_t
behind(void)
{
	return now.wall / 1000 - timeline_settled(&t, &now);
}

static void
believes_a_clock_that_goes(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		time_goes_by(day);
		assert_int_equal(timeline_look(&t, &now), 0);
		assert_int_equal(behind(), 0);
	}
}

/* NTP: a little each time is no leap, however much it becomes. */
static void
lets_the_clock_be_set_right(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		time_goes_by(HOUR);
		now.wall += 30 * SECOND;
		assert_int_equal(timeline_look(&t, &now), 0);
	}
	assert_int_equal(behind(), 0);
}

static void
a_leap_waits_for_a_day(void **state)
{
	(void)state;
	now.wall += 10 * year;
	assert_int_equal(timeline_look(&t, &now), (int64_t)(10 * year));
	assert_int_equal(behind(), 10 * year / 1000);
	time_goes_by(day - SECOND);
	assert_int_equal(timeline_look(&t, &now), 0);
	assert_int_equal(behind(), 10 * year / 1000);
	time_goes_by(SECOND);
	assert_int_equal(timeline_look(&t, &now), 0);
	assert_int_equal(behind(), 0);
}

static void
a_short_leap_waits_as_long_as_it_was(void **state)
{
	(void)state;
	now.wall += 2 * HOUR;
	assert_int_equal(timeline_look(&t, &now), 2 * HOUR);
	time_goes_by(2 * HOUR - SECOND);
	(void)timeline_look(&t, &now);
	assert_int_equal(behind(), 2 * HOUR / 1000);
	time_goes_by(SECOND);
	(void)timeline_look(&t, &now);
	assert_int_equal(behind(), 0);
}

static void
somebody_may_confirm(void **state)
{
	(void)state;
	now.wall += year;
	(void)timeline_look(&t, &now);
	timeline_confirm(&t);
	assert_int_equal(behind(), 0);
}

static void
there_and_back_is_nothing(void **state)
{
	(void)state;
	now.wall += year;
	(void)timeline_look(&t, &now);
	now.wall -= year;
	assert_int_equal(timeline_look(&t, &now), -(int64_t)year);
	assert_int_equal(behind(), 0);
}

static void
many_leaps_add_up(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		time_goes_by(MINUTE);
		now.wall += HOUR;
		assert_int_equal(timeline_look(&t, &now), HOUR);
	}
	assert_int_equal(behind(), 10 * HOUR / 1000);
}

static struct timeline_kept
kept(bool same_boot)
{
	struct timeline_kept k = { .same_boot = same_boot };

	timeline_keep(&t, &now, &k);
	return k;
}

static void
a_restart_does_not_hide_a_leap(void **state)
{
	struct timeline_kept k = kept(true);

	(void)state;
	time_goes_by(10 * day); /* it was stopped all the time */
	assert_int_equal(timeline_start(&t, &now, day, &k), 0);
	assert_int_equal(behind(), 0);
	k = kept(true);
	time_goes_by(MINUTE);
	now.wall += year;
	assert_int_equal(timeline_start(&t, &now, day, &k), (int64_t)year);
	assert_int_equal(behind(), year / 1000);
}

static void
a_restart_does_not_end_the_wait(void **state)
{
	struct timeline_kept k;

	(void)state;
	now.wall += year;
	(void)timeline_look(&t, &now);
	time_goes_by(HOUR);
	k = kept(true);
	assert_int_equal(timeline_start(&t, &now, day, &k), 0);
	assert_int_equal(behind(), year / 1000);
	time_goes_by(22 * (uint64_t)HOUR);
	(void)timeline_look(&t, &now);
	assert_int_equal(behind(), year / 1000);
	time_goes_by(HOUR);
	(void)timeline_look(&t, &now);
	assert_int_equal(behind(), 0);
}

static void
a_reboot_into_another_time_waits(void **state)
{
	struct timeline_kept k = kept(false);

	(void)state;
	/* Off for ten minutes, booted five minutes ago. */
	now = (struct moment){ now.wall + 15 * MINUTE, 5 * MINUTE };
	assert_int_equal(timeline_start(&t, &now, day, &k), 0);
	assert_int_equal(behind(), 0);
	/* The battery of the clock was empty, or so it seems. */
	k = kept(false);
	now = (struct moment){ now.wall + 3 * year, 5 * MINUTE };
	assert_int_equal(timeline_start(&t, &now, day, &k),
	    (int64_t)(3 * year - 5 * MINUTE));
	assert_true(behind() > 2 * year / 1000);
	time_goes_by(day);
	(void)timeline_look(&t, &now);
	assert_int_equal(behind(), 0);
}

static void
is_kept_in_the_store(void **state)
{
	struct store_memory *memory = store_memory_new();
	struct timeline_kept k, back;
	struct store *store;

	(void)state;
	assert_int_equal(store_memory_open(memory, &store), HF_OK);
	assert_int_equal(timeline_load(store, &back), HF_ERR_NOT_FOUND);
	now.wall += year;
	(void)timeline_look(&t, &now);
	time_goes_by(MINUTE);
	timeline_keep(&t, &now, &k);
	assert_int_equal(timeline_save(store, &k), HF_OK);
	assert_int_equal(timeline_load(store, &back), HF_OK);
	assert_true(back.same_boot);
	assert_int_equal(back.then.wall, now.wall);
	assert_int_equal(back.then.boot, now.boot);
	assert_int_equal(back.lag, year);
	assert_int_equal(back.left, day - MINUTE);
	store_close(store);
	store_memory_free(memory);
}

int
main(void)
{
#define TEST(test) cmocka_unit_test_setup(test, setup)
	const struct CMUnitTest tests[] = {
		TEST(believes_a_clock_that_goes),
		TEST(lets_the_clock_be_set_right),
		TEST(a_leap_waits_for_a_day),
		TEST(a_short_leap_waits_as_long_as_it_was),
		TEST(somebody_may_confirm),
		TEST(there_and_back_is_nothing),
		TEST(many_leaps_add_up),
		TEST(a_restart_does_not_hide_a_leap),
		TEST(a_restart_does_not_end_the_wait),
		TEST(a_reboot_into_another_time_waits),
		TEST(is_kept_in_the_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
