/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_FIGURE_H
#define TOOLS_BENCH_FIGURE_H

#include "bench.h"

/* A median and what lies around it. */
struct figure {
	double median, low, high; /* low and high: the least and the most */
};

struct figure figure_of(const double *values, unsigned count);

/* Of one metric of a cell; all zero when it was not measured. */
struct figure figure_of_cell(const struct measured *cell, enum metric metric);

enum verdict { VERDICT_REACHED, VERDICT_MISSED, VERDICT_NOT_MEASURED };

/*
 * Of a goal: the ratio, or the number, with its spread. Ratios are taken
 * within each repetition, so that what slowed both down cancels out.
 */
enum verdict figure_of_goal(
    const struct result *result, const struct goal *goal, struct figure *out);

#endif
