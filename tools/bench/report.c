/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "figure.h"

enum { ROOM = 48 };

const char *
report_number(double v, char *out, size_t cap)
{
	long long whole = llround(v);

	if (fabs(v) >= 1e6)
		(void)snprintf(out, cap, "%lld,%03lld,%03lld", whole / 1000000,
		    llabs(whole / 1000 % 1000), llabs(whole % 1000));
	else if (fabs(v) >= 1e3)
		(void)snprintf(
		    out, cap, "%lld,%03lld", whole / 1000, llabs(whole % 1000));
	else if (fabs(v) >= 100 || v == (double)whole)
		(void)snprintf(out, cap, "%lld", whole);
	else if (fabs(v) >= 10)
		(void)snprintf(out, cap, "%.1f", v);
	else
		(void)snprintf(out, cap, "%.2f", v);
	return out;
}

const char *
report_time(double ns, char *out, size_t cap)
{
	if (ns >= 1e6)
		(void)snprintf(out, cap, "%.1f ms", ns / 1e6);
	else if (ns >= 1e4)
		(void)snprintf(out, cap, "%.0f us", ns / 1e3);
	else if (ns >= 1e3)
		(void)snprintf(out, cap, "%.1f us", ns / 1e3);
	else
		(void)snprintf(out, cap, "%.0f ns", ns);
	return out;
}

const char *
report_state(const struct measured *cell)
{
	switch (cell->state) {
	case CELL_NOT_INSTALLED:
		return "not installed";
	case CELL_REFUSED:
		return "does not offer it";
	case CELL_FAILED:
		return "failed";
	case CELL_MEASURED:
		break;
	}
	return cell->count > 0 ? NULL : "not measured";
}

/* -- For people -- */

static void
text_spread(struct figure value, const char *unit, FILE *f)
{
	char median[ROOM], low[ROOM], high[ROOM];

	(void)fprintf(f, "%12s%s (%s to %s)",
	    report_number(value.median, median, sizeof(median)), unit,
	    report_number(value.low, low, sizeof(low)),
	    report_number(value.high, high, sizeof(high)));
}

static void
text_cell(const struct result *r, size_t i, FILE *f)
{
	const struct measured *m = &r->cells[i];
	char p50[ROOM], p99[ROOM], cpu[ROOM];
	struct figure cpus = figure_of_cell(m, METRIC_PER_CPU);

	(void)fprintf(f, "  %-22s", r->row->cells[i].who);
	if (report_state(m) != NULL) {
		(void)fprintf(f, " %s%s%s\n", report_state(m),
		    m->note[0] == '\0' ? "" : ": ", m->note);
		return;
	}
	text_spread(figure_of_cell(m, METRIC_VALUE), r->row->unit, f);
	if (m->samples[0].p50 > 0)
		(void)fprintf(f, ", p50 %s, p99 %s",
		    report_time(
			figure_of_cell(m, METRIC_P50).median, p50, sizeof(p50)),
		    report_time(m->samples[0].p99, p99, sizeof(p99)));
	if (cpus.median > 0)
		(void)fprintf(f, ", CPU %s each",
		    report_time(1e9 / cpus.median, cpu, sizeof(cpu)));
	(void)fprintf(f, "%s%s\n", m->note[0] == '\0' ? "" : ", ", m->note);
}

static void
text_goal(const struct result *r, const struct goal *goal, FILE *f)
{
	static const char *const of[] = { [METRIC_VALUE] = "",
		[METRIC_P50] = "p50, ",
		[METRIC_PER_CPU] = "per second of CPU, " };
	struct figure v;
	enum verdict verdict = figure_of_goal(r, goal, &v);
	char number[3][ROOM];

	(void)fprintf(f, "  -> %s%s%s%s: goal %s %s, ", of[goal->metric],
	    goal->who, goal->against == NULL ? "" : " / ",
	    goal->against == NULL ? "" : goal->against,
	    goal->at_most ? "at most" : "at least",
	    report_number(goal->factor, number[0], ROOM));
	if (verdict == VERDICT_NOT_MEASURED)
		(void)fprintf(f, "not measured\n");
	else
		(void)fprintf(f, "measured %s (%s to %s)%s\n",
		    report_number(v.median, number[0], ROOM),
		    report_number(v.low, number[1], ROOM),
		    report_number(v.high, number[2], ROOM),
		    verdict == VERDICT_REACHED ? "" : "  MISSED");
}

void
report_text(const struct result *r, FILE *f)
{
	(void)fprintf(f, "%s: %s\n", r->row->name, r->row->title);
	for (size_t i = 0; i < row_cells(r->row); i++)
		text_cell(r, i, f);
	for (size_t i = 0; i < row_goals(r->row); i++)
		text_goal(r, &r->row->goals[i], f);
	(void)fputc('\n', f);
	(void)fflush(f);
}
