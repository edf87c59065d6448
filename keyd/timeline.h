/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_TIMELINE_H
#define KEYD_TIMELINE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The wall clock, and whether to believe it. What is due is stored by wall
 * clock; but a clock that leaps forward, by mistake or not, must not destroy
 * keys at once. The clock that counts since boot cannot be set, so the
 * difference of the two tells a leap from time that went by.
 *
 * After a leap forward by J seconds, what cannot be undone goes by a clock
 * that lags by J. The lag goes when somebody confirms the new time, or when
 * the service has been up for J or `hold` seconds since, whichever is less:
 * long enough for somebody to notice. A clock set back takes of the lag first.
 *
 * No clock is read but in moment_now(): tests say what time it is.
 */
struct moment {
	uint64_t wall; /* milliseconds since 1970 */
	uint64_t boot; /* milliseconds since boot, sleep included */
};

enum {
	TIMELINE_LEAP = 60 * 1000, /* less is the clock being set right */
	/* After a reboot nobody knows how long the machine was off; it may
	 * have been this long without a word. */
	TIMELINE_OFF = 3600 * 1000,
};

struct timeline {
	uint64_t hold;  /* milliseconds at most */
	uint64_t lag;   /* milliseconds */
	uint64_t until; /* boot: the lag goes */
	int64_t offset; /* wall - boot when it was looked at last */
};

/* What is kept over restarts. */
struct timeline_kept {
	struct moment then;
	uint64_t lag, left; /* milliseconds; the lag goes after `left` */
	bool same_boot;     /* the machine has not been booted since */
};

/* Both clocks, one right after the other. */
struct moment moment_now(void);

/* `kept` NULL: nothing was. Returns the milliseconds of a leap; 0: none. */
int64_t timeline_start(struct timeline *t, const struct moment *now,
    uint64_t hold, const struct timeline_kept *kept);

/* To be called whenever the wall clock may have been set, and before what it
 * says is used. Returns the milliseconds of a leap, negative for one back. */
int64_t timeline_look(struct timeline *t, const struct moment *now);

/* What to keep; `same_boot` is left alone. */
void timeline_keep(const struct timeline *t, const struct moment *now,
    struct timeline_kept *out);

/* The seconds since 1970 that count for what cannot be undone. */
uint64_t timeline_settled(const struct timeline *t, const struct moment *now);

/* Somebody says that the wall clock is right. */
void timeline_confirm(struct timeline *t);

#endif
