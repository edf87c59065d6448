/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_HISTOGRAM_H
#define TOOLS_BENCH_HISTOGRAM_H

#include <stdint.h>

/*
 * Durations in ns, counted in buckets of at most a thirty-second part of their
 * size: what a percentile says is right to 3 %.
 */
enum {
	HISTOGRAM_FINE = 32,
	HISTOGRAM_BUCKETS = 60 * HISTOGRAM_FINE,
};

struct histogram {
	uint64_t count;
	uint32_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t ns);
void histogram_merge(struct histogram *into, const struct histogram *from);

/* `part` of all are at most that long; 0 when there are none. */
double histogram_at(const struct histogram *h, double part);

#endif
