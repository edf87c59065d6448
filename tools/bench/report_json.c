/* SPDX-License-Identifier: Apache-2.0 */
#include "figure.h"
#include "report.h"

static void
string(const char *s, FILE *f)
{
	(void)fputc('"', f);
	for (; *s != '\0'; s++)
		if (*s == '"' || *s == '\\')
			(void)fprintf(f, "\\%c", *s);
		else if ((unsigned char)*s < 0x20)
			(void)fprintf(f, "\\u%04x", (unsigned)*s);
		else
			(void)fputc(*s, f);
	(void)fputc('"', f);
}

static void
member(const char *name, const char *value, FILE *f)
{
	(void)fprintf(f, "\"%s\":", name);
	string(value, f);
}

static void
figure(const char *name, struct figure v, FILE *f)
{
	(void)fprintf(f, ",\"%s\":{\"median\":%.6g,\"low\":%.6g,\"high\":%.6g}",
	    name, v.median, v.low, v.high);
}

static void
cell(const struct result *r, size_t i, FILE *f)
{
	const struct measured *m = &r->cells[i];
	const char *state = report_state(m);
	struct figure per_cpu = figure_of_cell(m, METRIC_PER_CPU);

	(void)fputs(i == 0 ? "{" : ",{", f);
	member("who", r->row->cells[i].who, f);
	(void)fputc(',', f);
	member("state", state == NULL ? "measured" : state, f);
	if (m->note[0] != '\0') {
		(void)fputc(',', f);
		member("note", m->note, f);
	}
	if (state == NULL) {
		figure("value", figure_of_cell(m, METRIC_VALUE), f);
		if (m->samples[0].p50 > 0)
			figure("p50_ns", figure_of_cell(m, METRIC_P50), f);
		if (per_cpu.median > 0)
			figure("per_cpu_second", per_cpu, f);
	}
	(void)fputc('}', f);
}

static void
goal(const struct result *r, size_t i, FILE *f)
{
	static const char *const verdicts[] = { [VERDICT_REACHED] = "reached",
		[VERDICT_MISSED] = "missed",
		[VERDICT_NOT_MEASURED] = "not measured" };
	static const char *const metrics[] = { [METRIC_VALUE] = "value",
		[METRIC_P50] = "p50_ns",
		[METRIC_PER_CPU] = "per_cpu_second" };
	const struct goal *g = &r->row->goals[i];
	struct figure v;
	enum verdict verdict = figure_of_goal(r, g, &v);

	(void)fputs(i == 0 ? "{" : ",{", f);
	member("who", g->who, f);
	(void)fputc(',', f);
	member("against", g->against == NULL ? "" : g->against, f);
	(void)fputc(',', f);
	member("metric", metrics[g->metric], f);
	(void)fprintf(
	    f, ",\"%s\":%.6g,", g->at_most ? "at_most" : "at_least", g->factor);
	member("verdict", verdicts[verdict], f);
	if (verdict != VERDICT_NOT_MEASURED)
		figure("measured", v, f);
	(void)fputc('}', f);
}

static void
row(const struct result *r, FILE *f)
{
	(void)fputc('{', f);
	member("name", r->row->name, f);
	(void)fputc(',', f);
	member("title", r->row->title, f);
	(void)fputc(',', f);
	member("unit", r->row->unit, f);
	(void)fputs(",\"cells\":[", f);
	for (size_t i = 0; i < row_cells(r->row); i++)
		cell(r, i, f);
	(void)fputs("],\"goals\":[", f);
	for (size_t i = 0; i < row_goals(r->row); i++)
		goal(r, i, f);
	(void)fputs("]}", f);
}

void
report_json(const struct report *r, FILE *f)
{
	(void)fputc('{', f);
	member("version", HOLDFAST_VERSION, f);
	(void)fprintf(f,
	    ",\"cores\":%u,\"seconds\":%.3g,\"repeats\":%u,\"rows\":[",
	    r->bench->cores, r->bench->seconds, r->bench->repeats);
	for (size_t i = 0; i < r->count; i++) {
		if (i > 0)
			(void)fputc(',', f);
		row(&r->results[i], f);
	}
	(void)fputs("]}\n", f);
}
