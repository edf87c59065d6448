/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "figure.h"
#include "report.h"

enum { ROOM = 48, PATH_LONGEST = 4096 };

static const char begin_mark[] = "<!-- bench -->\n";
static const char end_mark[] = "<!-- /bench -->\n";

static void
cell(const struct result *r, size_t i, FILE *f)
{
	const struct measured *m = &r->cells[i];
	struct figure v = figure_of_cell(m, METRIC_VALUE);
	struct figure cpu = figure_of_cell(m, METRIC_PER_CPU);
	struct figure p50 = figure_of_cell(m, METRIC_P50);
	char n[5][ROOM];

	if (report_state(m) != NULL) {
		(void)fprintf(f, "| %s | %s | | |\n", r->row->cells[i].who,
		    report_state(m));
		return;
	}
	(void)fprintf(f, "| %s | %s%s (%s to %s) | %s | %s |\n",
	    r->row->cells[i].who, report_number(v.median, n[0], ROOM),
	    r->row->unit, report_number(v.low, n[1], ROOM),
	    report_number(v.high, n[2], ROOM),
	    p50.median > 0 ? report_time(p50.median, n[3], ROOM) : "",
	    cpu.median > 0 ? report_time(1e9 / cpu.median, n[4], ROOM) : "");
}

static void
goal(const struct result *r, const struct goal *g, FILE *f)
{
	static const char *const of[] = { [METRIC_VALUE] = "",
		[METRIC_P50] = ", p50",
		[METRIC_PER_CPU] = ", per second of CPU" };
	static const char *const words[] = { [VERDICT_REACHED] = "",
		[VERDICT_MISSED] = ": missed",
		[VERDICT_NOT_MEASURED] = "" };
	struct figure v;
	enum verdict verdict = figure_of_goal(r, g, &v);
	char n[4][ROOM];

	(void)fprintf(f, "- %s%s%s%s: goal %s %s, ", g->who,
	    g->against == NULL ? "" : " / ",
	    g->against == NULL ? "" : g->against, of[g->metric],
	    g->at_most ? "at most" : "at least",
	    report_number(g->factor, n[0], ROOM));
	if (verdict == VERDICT_NOT_MEASURED)
		(void)fputs("not measured\n", f);
	else
		(void)fprintf(f, "measured %s (%s to %s)%s\n",
		    report_number(v.median, n[1], ROOM),
		    report_number(v.low, n[2], ROOM),
		    report_number(v.high, n[3], ROOM), words[verdict]);
}

void
report_markdown(const struct report *r, FILE *f)
{
	(void)fprintf(f,
	    "%u cores; medians of %u interleaved repetitions of %.3g s, with "
	    "the least and the most.\n",
	    r->bench->cores, r->bench->repeats, r->bench->seconds);
	for (size_t i = 0; i < r->count; i++) {
		const struct result *result = &r->results[i];
		const struct row *row = result->row;

		(void)fprintf(f, "\n### %s: %s\n\n", row->name, row->title);
		(void)fputs("| who | median (spread) | p50 | CPU of one |\n"
			    "|---|---|---|---|\n",
		    f);
		for (size_t k = 0; k < row_cells(row); k++)
			cell(result, k, f);
		(void)fputc('\n', f);
		for (size_t k = 0; k < row_goals(row); k++)
			goal(result, &row->goals[k], f);
	}
}

/* -- Into a document -- */

static char *
read_all(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = NULL;
	size_t room = 0;

	if (f == NULL)
		return NULL;
	if (getdelim(&text, &room, '\0', f) < 0) {
		free(text);
		text = NULL;
	}
	(void)fclose(f);
	return text;
}

static bool
close_all(FILE *f, const char *from, const char *to)
{
	bool ok = ferror(f) == 0;

	return fclose(f) == 0 && ok && rename(from, to) == 0;
}

static bool
write_document(const struct report *r, const char *text, const char *path)
{
	const char *begin = strstr(text, begin_mark);
	const char *end = begin == NULL ? NULL : strstr(begin, end_mark);
	char temporary[PATH_LONGEST];
	FILE *f;

	if (end == NULL) {
		(void)fprintf(stderr,
		    "holdfast-bench: %s has no lines <!-- bench --> and "
		    "<!-- /bench -->\n",
		    path);
		return false;
	}
	(void)snprintf(temporary, sizeof(temporary), "%s.new", path);
	f = fopen(temporary, "w");
	if (f == NULL)
		return false;
	begin += strlen(begin_mark);
	(void)fwrite(text, 1, (size_t)(begin - text), f);
	report_markdown(r, f);
	(void)fputs(end, f);
	return close_all(f, temporary, path);
}

static bool
write_picture(const struct report *r, const char *document)
{
	const char *slash = strrchr(document, '/');
	const char *dot = strrchr(slash == NULL ? document : slash, '.');
	size_t stem = dot == NULL ? strlen(document) : (size_t)(dot - document);
	char path[PATH_LONGEST], temporary[PATH_LONGEST + 8];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%.*s.svg", (int)stem, document);
	(void)snprintf(temporary, sizeof(temporary), "%s.new", path);
	f = fopen(temporary, "w");
	if (f == NULL)
		return false;
	report_svg(r, f);
	return close_all(f, temporary, path);
}

bool
report_update(const struct report *r, const char *path)
{
	char *text = read_all(path);
	bool ok = text != NULL && write_document(r, text, path) &&
	    write_picture(r, path);

	free(text);
	return ok;
}
