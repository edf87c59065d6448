/* SPDX-License-Identifier: Apache-2.0 */
#include "timeline.h"

#include <time.h>

static uint64_t
read_ms(clockid_t clock)
{
	struct timespec t;

	(void)clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

struct moment
moment_now(void)
{
	return (
	    struct moment){ read_ms(CLOCK_REALTIME), read_ms(CLOCK_BOOTTIME) };
}

static int64_t
offset_of(const struct moment *m)
{
	return (int64_t)(m->wall - m->boot);
}

static void
leap(struct timeline *t, const struct moment *now, uint64_t by)
{
	uint64_t until = now->boot + (by < t->hold ? by : t->hold);

	t->lag += by;
	if (until > t->until)
		t->until = until;
}

static void
leap_back(struct timeline *t, uint64_t by)
{
	t->lag -= by < t->lag ? by : t->lag;
}

static int64_t
apply(struct timeline *t, const struct moment *now, int64_t by)
{
	if (by > 0)
		leap(t, now, (uint64_t)by);
	else if (by < 0)
		leap_back(t, (uint64_t)-by);
	return by;
}

int64_t
timeline_start(struct timeline *t, const struct moment *now, uint64_t hold,
    const struct timeline_kept *kept)
{
	int64_t by;

	*t = (struct timeline){ .hold = hold, .offset = offset_of(now) };
	if (kept == NULL)
		return 0;
	t->lag = kept->lag;
	t->until = now->boot + (kept->left < hold ? kept->left : hold);
	by = t->offset - offset_of(&kept->then);
	if (!kept->same_boot) {
		/* Since boot, time went by; before it, who knows. */
		by = (int64_t)(now->wall - now->boot - kept->then.wall);
		if (by < TIMELINE_OFF)
			return 0;
	} else if (by < TIMELINE_LEAP && by > -TIMELINE_LEAP) {
		return 0;
	}
	return apply(t, now, by);
}

int64_t
timeline_look(struct timeline *t, const struct moment *now)
{
	int64_t by = offset_of(now) - t->offset;

	t->offset = offset_of(now);
	if (now->boot >= t->until)
		t->lag = 0;
	if (by < TIMELINE_LEAP && by > -TIMELINE_LEAP)
		return 0;
	return apply(t, now, by);
}

void
timeline_keep(const struct timeline *t, const struct moment *now,
    struct timeline_kept *out)
{
	out->then = *now;
	out->lag = t->lag;
	out->left = t->until > now->boot ? t->until - now->boot : 0;
}

uint64_t
timeline_settled(const struct timeline *t, const struct moment *now)
{
	return (now->wall - (t->lag < now->wall ? t->lag : now->wall)) / 1000;
}

void
timeline_confirm(struct timeline *t)
{
	t->lag = 0;
	t->until = 0;
}
