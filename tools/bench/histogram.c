/* SPDX-License-Identifier: Apache-2.0 */
#include "histogram.h"

#include <stddef.h>

/* Below 64 exactly; above by the six highest bits. */
static size_t
bucket_of(uint64_t ns)
{
	unsigned shift;
	size_t i;

	if (ns < 2 * HISTOGRAM_FINE)
		return (size_t)ns;
	shift = 58U - (unsigned)__builtin_clzll(ns);
	i = (size_t)shift * HISTOGRAM_FINE + (size_t)(ns >> shift);
	return i < HISTOGRAM_BUCKETS ? i : HISTOGRAM_BUCKETS - 1;
}

static double
middle_of(size_t bucket)
{
	size_t shift;

	if (bucket < 2 * HISTOGRAM_FINE)
		return (double)bucket;
	shift = bucket / HISTOGRAM_FINE - 1;
	return ((double)(bucket - shift * HISTOGRAM_FINE) + 0.5) *
	    (double)((uint64_t)1 << shift);
}

void
histogram_add(struct histogram *h, uint64_t ns)
{
	h->buckets[bucket_of(ns)]++;
	h->count++;
}

void
histogram_merge(struct histogram *into, const struct histogram *from)
{
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		into->buckets[i] += from->buckets[i];
	into->count += from->count;
}

double
histogram_at(const struct histogram *h, double part)
{
	uint64_t seen = 0;

	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->buckets[i];
		if (h->buckets[i] > 0 &&
		    (double)seen >= part * (double)h->count)
			return middle_of(i);
	}
	return 0;
}
