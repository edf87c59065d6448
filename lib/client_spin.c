/* SPDX-License-Identifier: Apache-2.0 */
#include "client_spin.h"

enum {
	ENOUGH = 8,       /* calls that tell whether it pays */
	REFRESH = 64,     /* one in so many sleeps, to compare with */
	PAUSE_FIRST = 64, /* calls; doubled each time that it did not pay */
	PAUSE_LAST = 8192,
	SETTLED = 1000, /* calls that paid, after which the past is past */
};

bool
client_spin_wanted(struct client_spin *s)
{
	if (s->pause > 0) {
		s->pause--;
		return false;
	}
	/* A reply that takes longer would not come while we look. */
	if (s->slept == 0 || s->slept > SPIN_LONGEST)
		return false;
	return (s->tried + 1) % REFRESH != 0;
}

/* A mean that one call which was held up does not spoil. */
static uint64_t
mean_with(uint64_t mean, uint64_t ns)
{
	if (mean == 0)
		return ns;
	if (ns > 2 * mean)
		ns = 2 * mean;
	return mean - mean / 8 + ns / 8;
}

static void
give_up(struct client_spin *s)
{
	unsigned pause = s->last_pause == 0 ? PAUSE_FIRST : 2 * s->last_pause;

	s->pause = s->last_pause = pause < PAUSE_LAST ? pause : PAUSE_LAST;
	s->tried = 0;
	s->spun = 0;
}

void
client_spin_note(struct client_spin *s, bool spun, uint64_t ns)
{
	if (ns == 0)
		ns = 1;
	if (!spun) {
		s->slept = mean_with(s->slept, ns);
		/* The one that was to compare with. */
		s->tried += s->pause == 0 && s->tried > 0;
		return;
	}
	s->spun = mean_with(s->spun, ns);
	s->tried++;
	/* It must be worth the time of the core that it takes. */
	if (s->tried >= ENOUGH && s->spun > s->slept - s->slept / 8)
		give_up(s);
	else if (s->tried == SETTLED)
		s->last_pause = 0;
}
