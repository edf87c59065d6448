/* SPDX-License-Identifier: Apache-2.0 */
#include "figure.h"

#include <stdlib.h>
#include <string.h>

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct figure
figure_of(const double *values, unsigned count)
{
	double sorted[REPEATS_MAX];
	unsigned middle = count / 2;

	if (count == 0 || count > REPEATS_MAX)
		return (struct figure){ 0 };
	memcpy(sorted, values, count * sizeof(*values));
	qsort(sorted, count, sizeof(*sorted), by_size);
	return (struct figure){
		.median = count % 2 == 1
		    ? sorted[middle]
		    : (sorted[middle - 1] + sorted[middle]) / 2,
		.low = sorted[0],
		.high = sorted[count - 1],
	};
}

static double
metric_of(const struct sample *s, enum metric metric)
{
	switch (metric) {
	case METRIC_P50:
		return s->p50;
	case METRIC_PER_CPU:
		return s->cpu > 0 ? 1e9 / s->cpu : 0;
	case METRIC_VALUE:
		break;
	}
	return s->value;
}

struct figure
figure_of_cell(const struct measured *cell, enum metric metric)
{
	double values[REPEATS_MAX];

	for (unsigned i = 0; i < cell->count; i++)
		values[i] = metric_of(&cell->samples[i], metric);
	return figure_of(values, cell->count);
}

/* The measured cell of that name, or the best whose name begins so. */
static const struct measured *
best_of(
    const struct result *result, const char *who, enum metric metric, bool most)
{
	const struct measured *best = NULL;
	double reached = 0;

	for (size_t i = 0; i < row_cells(result->row); i++) {
		const struct measured *cell = &result->cells[i];
		const char *name = result->row->cells[i].who;
		double value;

		if (cell->state != CELL_MEASURED || cell->count == 0 ||
		    strncmp(name, who, strlen(who)) != 0)
			continue;
		if (strcmp(name, who) == 0)
			return cell;
		value = figure_of_cell(cell, metric).median;
		if (best == NULL ||
		    (most ? value > reached : value < reached)) {
			best = cell;
			reached = value;
		}
	}
	return best;
}

static struct figure
ratio_of(const struct measured *who, const struct measured *against,
    enum metric metric)
{
	double values[REPEATS_MAX];
	unsigned n = 0;

	for (unsigned i = 0; i < who->count && i < against->count; i++) {
		double base = metric_of(&against->samples[i], metric);

		if (base > 0)
			values[n++] =
			    metric_of(&who->samples[i], metric) / base;
	}
	return figure_of(values, n);
}

enum verdict
figure_of_goal(
    const struct result *result, const struct goal *goal, struct figure *out)
{
	bool most = goal->metric != METRIC_P50;
	const struct measured *who =
	    best_of(result, goal->who, goal->metric, most);
	const struct measured *against = NULL;

	*out = (struct figure){ 0 };
	if (goal->against != NULL)
		against = best_of(result, goal->against, goal->metric, most);
	if (who == NULL || (goal->against != NULL && against == NULL))
		return VERDICT_NOT_MEASURED;
	*out = against == NULL ? figure_of_cell(who, goal->metric)
			       : ratio_of(who, against, goal->metric);
	if (goal->at_most ? out->median <= goal->factor
			  : out->median >= goal->factor)
		return VERDICT_REACHED;
	return VERDICT_MISSED;
}
