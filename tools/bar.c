/* SPDX-License-Identifier: Apache-2.0 */
#include "bar.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { FIRST = 500, PAUSE = 100, WIDTH = 24 }; /* milliseconds, columns */

static int64_t
now(void)
{
	struct timespec t = { 0 };

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void
bar_start(struct bar *b, const char *what, uint64_t total, bool quiet)
{
	*b = (struct bar){ .what = what,
		.total = total,
		.started = now(),
		.on = !quiet && isatty(STDERR_FILENO) };
}

/* "1.4 GiB" */
static void
print_bytes(double v)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB",
		"PiB" };
	size_t i = 0;

	while (v >= 1024 && i + 1 < sizeof(units) / sizeof(units[0])) {
		v /= 1024;
		i++;
	}
	(void)fprintf(stderr, i == 0 ? "%.0f %s" : "%.1f %s", v, units[i]);
}

static void
print_share(const struct bar *b, uint64_t done)
{
	double share = (double)done / (double)b->total;

	(void)fprintf(stderr, " %3.0f %% [", 100 * share);
	for (int i = 0; i < WIDTH; i++)
		(void)fputc(i < share * WIDTH ? '#' : ' ', stderr);
	(void)fputs("] ", stderr);
}

static void
draw(struct bar *b, uint64_t done)
{
	double seconds = (double)(b->drawn - b->started) / 1000;
	double rate = (double)done / seconds;

	(void)fprintf(stderr, "\rholdfast: %s", b->what);
	if (b->total >= done && b->total > 0)
		print_share(b, done);
	else
		(void)fputc(' ', stderr);
	print_bytes((double)done);
	(void)fputs(", ", stderr);
	print_bytes(rate);
	(void)fputs("/s", stderr);
	if (b->total >= done && rate > 0)
		(void)fprintf(
		    stderr, ", %.0f s left", (double)(b->total - done) / rate);
	(void)fputs("\033[K", stderr); /* what was longer before */
	(void)fflush(stderr);
	b->visible = true;
}

void
bar_move(struct bar *b, uint64_t done)
{
	int64_t t;

	if (!b->on)
		return;
	t = now();
	if (t - b->started < FIRST || t - b->drawn < PAUSE)
		return;
	b->drawn = t;
	draw(b, done);
}

void
bar_stop(struct bar *b)
{
	if (b->visible)
		(void)fputs("\r\033[K", stderr);
	b->visible = b->on = false;
}
