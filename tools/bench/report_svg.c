/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bar for each goal: how much of it was reached, on a logarithmic scale
 * around the goal itself, with the spread as a line. Right of the middle is
 * better than the goal.
 */
#include <math.h>

#include "figure.h"
#include "report.h"

enum {
	LEFT = 430,
	HALF = 200, /* pixels for a factor of SPAN */
	BAR = 14,
	STEP = 22,
	TOP = 40,
};
static const double SPAN = 8; /* the longest bar: so many times the goal */

static void
text(double x, double y, const char *anchor, const char *s, FILE *f)
{
	(void)fprintf(
	    f, "<text x=\"%.0f\" y=\"%.0f\" text-anchor=\"%s\">", x, y, anchor);
	for (; *s != '\0'; s++)
		if (*s == '<')
			(void)fputs("&lt;", f);
		else if (*s == '&')
			(void)fputs("&amp;", f);
		else
			(void)fputc(*s, f);
	(void)fputs("</text>\n", f);
}

/* Of a measured number: where it stands, the goal being in the middle. */
static double
place(const struct goal *g, double v)
{
	double times = 1 / SPAN;

	if (v > 0)
		times = g->at_most ? g->factor / v : v / g->factor;
	else if (g->at_most)
		times = SPAN;
	times = fmin(fmax(times, 1 / SPAN), SPAN);
	return LEFT + HALF + HALF * log(times) / log(SPAN);
}

static void
bar(const struct goal *g, struct figure v, bool reached, double y, FILE *f)
{
	double middle = LEFT + HALF, x = place(g, v.median);
	double low = place(g, v.low), high = place(g, v.high);

	(void)fprintf(f,
	    "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" "
	    "fill=\"%s\"/>\n",
	    fmin(x, middle), y, fmax(fabs(x - middle), 1), BAR,
	    reached ? "#4a8" : "#d73");
	(void)fprintf(f,
	    "<path d=\"M%.1f %.1fH%.1f\" stroke=\"#000\" "
	    "stroke-width=\"1.5\"/>\n",
	    fmin(low, high), y + BAR / 2.0, fmax(low, high));
}

static void
goal(const struct result *r, const struct goal *g, double y, FILE *f)
{
	struct figure v;
	enum verdict verdict = figure_of_goal(r, g, &v);
	char label[200], number[2][32], measured[96];

	(void)snprintf(label, sizeof(label), "%s: %s%s%s", r->row->name, g->who,
	    g->against == NULL ? "" : " / ",
	    g->against == NULL ? "" : g->against);
	text(LEFT - 8, y + BAR - 2, "end", label, f);
	if (verdict == VERDICT_NOT_MEASURED) {
		text(LEFT + 2 * HALF + 8, y + BAR - 2, "start", "not measured",
		    f);
		return;
	}
	bar(g, v, verdict == VERDICT_REACHED, y, f);
	(void)snprintf(measured, sizeof(measured), "%s (goal %s %s)",
	    report_number(v.median, number[0], sizeof(number[0])),
	    g->at_most ? "at most" : "at least",
	    report_number(g->factor, number[1], sizeof(number[1])));
	text(LEFT + 2 * HALF + 8, y + BAR - 2, "start", measured, f);
}

void
report_svg(const struct report *r, FILE *f)
{
	size_t goals = 0;
	double y = TOP, height;

	for (size_t i = 0; i < r->count; i++)
		goals += row_goals(r->results[i].row);
	height = TOP + (double)goals * STEP + 10;
	(void)fprintf(f,
	    "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1040\" "
	    "height=\"%.0f\" font-family=\"sans-serif\" font-size=\"12\">\n"
	    "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
	    height);
	text(LEFT + HALF, 16, "middle", "the goal", f);
	text(LEFT, 30, "start", "an eighth", f);
	text(LEFT + 2 * HALF, 30, "end", "eight times as good", f);
	for (size_t i = 0; i < r->count; i++)
		for (size_t k = 0; k < row_goals(r->results[i].row); k++) {
			goal(
			    &r->results[i], &r->results[i].row->goals[k], y, f);
			y += STEP;
		}
	(void)fprintf(f,
	    "<path d=\"M%d %dV%.0f\" stroke=\"#000\" "
	    "stroke-dasharray=\"4 3\"/>\n</svg>\n",
	    LEFT + HALF, TOP - 18, height - 6);
}
