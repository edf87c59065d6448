/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_REPORT_H
#define TOOLS_BENCH_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "bench.h"

/* What all of it is printed of. */
struct report {
	const struct bench *bench;
	const struct result *results;
	size_t count;
};

/* For people; one row, so that it shows as soon as it is measured. */
void report_text(const struct result *result, FILE *f);

/* One object. */
void report_json(const struct report *r, FILE *f);

/* Tables for docs/performance.md. */
void report_markdown(const struct report *r, FILE *f);

/* How far each goal was reached, as a picture. */
void report_svg(const struct report *r, FILE *f);

/*
 * Puts the Markdown between the lines "<!-- bench -->" and "<!-- /bench -->"
 * of a file, and the picture into the file beside it that ends in .svg.
 */
bool report_update(const struct report *r, const char *path);

/* "12,345", "0.93", "1.2 M": as many digits as a noisy figure deserves. */
const char *report_number(double v, char *out, size_t cap);

/* ns as "2.7 us". */
const char *report_time(double ns, char *out, size_t cap);

/* "not installed"; NULL for one that was measured. */
const char *report_state(const struct measured *cell);

#endif
