/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast-bench: how fast Holdfast is beside the limit and beside others, on
 * this machine, in one run. `holdfast bench` becomes this program.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "child.h"
#include "place.h"
#include "report.h"
#include "role.h"
#include "run.h"

enum { ONLY_MAX = 32 };

enum form { FORM_TEXT, FORM_JSON, FORM_MARKDOWN };

struct arguments {
	const char *only[ONLY_MAX];
	size_t only_count;
	const char *dir, *plot, *update;
	enum form form;
	double seconds;
	unsigned repeats;
	bool quick, full, list, help;
};

static const char usage[] =
    "usage: holdfast bench [OPTION...]\n"
    "\n"
    "Starts a service of its own, with SoftHSM as its HSM, in a private folder, and\n"
    "measures it beside OpenSSL alone, bare sockets, and what else is installed.\n"
    "  --list              show what is measured, and stop\n"
    "  --only NAME         measure only that row; repeatable\n"
    "  --repeat N          measurements of each cell, interleaved (5)\n"
    "  --seconds S         of each measurement (1)\n"
    "  --quick             just enough to see that all of it works\n"
    "  --full              the large sizes: 4 GiB, 1,000,000 keys\n"
    "  --dir DIR           where the folder is made ($TMPDIR, or /tmp)\n"
    "  -o FORM             table or json\n"
    "  --markdown          print tables in Markdown\n"
    "  --plot FILE         draw the goals, as SVG\n"
    "  --update FILE       put the tables into a Markdown file, between the lines\n"
    "                      <!-- bench --> and <!-- /bench -->, and the picture\n"
    "                      beside it\n";

/* -- Arguments -- */

static bool
set_form(const char *s, enum form *out)
{
	static const char *const names[] = {
		[FORM_TEXT] = "table", [FORM_JSON] = "json"
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(s, names[i]) == 0) {
			*out = (enum form)i;
			return true;
		}
	return false;
}

static bool
set_number(const char *s, double least, double most, double *out)
{
	char *end;

	errno = 0;
	*out = strtod(s, &end);
	return errno == 0 && end != s && *end == '\0' && *out >= least &&
	    *out <= most;
}

static bool
set_repeats(const char *s, unsigned *out)
{
	double n;

	if (!set_number(s, 1, REPEATS_MAX, &n) || n != (double)(unsigned)n)
		return false;
	*out = (unsigned)n;
	return true;
}

static bool
set_only(const char *s, struct arguments *a)
{
	for (size_t i = 0; i < rows_count; i++)
		if (strcmp(rows[i].name, s) == 0 && a->only_count < ONLY_MAX) {
			a->only[a->only_count++] = s;
			return true;
		}
	(void)fprintf(stderr,
	    "holdfast-bench: there is no row %s; --list shows all\n", s);
	return false;
}

enum option_id {
	OPTION_ONLY = 1000,
	OPTION_REPEAT,
	OPTION_SECONDS,
	OPTION_QUICK,
	OPTION_FULL,
	OPTION_DIR,
	OPTION_PLOT,
	OPTION_UPDATE,
	OPTION_MARKDOWN,
	OPTION_LIST,
	OPTION_HELP,
};

static bool
take(struct arguments *a, int option, const char *value)
{
	switch (option) {
	case OPTION_ONLY:
		return set_only(value, a);
	case OPTION_REPEAT:
		return set_repeats(value, &a->repeats);
	case OPTION_SECONDS:
		return set_number(value, 0.01, 3600, &a->seconds);
	case OPTION_QUICK:
		a->quick = true;
		return true;
	case OPTION_FULL:
		a->full = true;
		return true;
	case OPTION_DIR:
		a->dir = value;
		return true;
	case OPTION_PLOT:
		a->plot = value;
		return true;
	case OPTION_UPDATE:
		a->update = value;
		return true;
	case OPTION_MARKDOWN:
		a->form = FORM_MARKDOWN;
		return true;
	case OPTION_LIST:
		a->list = true;
		return true;
	case OPTION_HELP:
		a->help = true;
		return true;
	case 'o':
		return set_form(value, &a->form);
	default:
		return false;
	}
}

static bool
parse(int argc, char **argv, struct arguments *a)
{
	static const struct option options[] = {
		{ "only", required_argument, NULL, OPTION_ONLY },
		{ "repeat", required_argument, NULL, OPTION_REPEAT },
		{ "seconds", required_argument, NULL, OPTION_SECONDS },
		{ "quick", no_argument, NULL, OPTION_QUICK },
		{ "full", no_argument, NULL, OPTION_FULL },
		{ "dir", required_argument, NULL, OPTION_DIR },
		{ "plot", required_argument, NULL, OPTION_PLOT },
		{ "update", required_argument, NULL, OPTION_UPDATE },
		{ "markdown", no_argument, NULL, OPTION_MARKDOWN },
		{ "list", no_argument, NULL, OPTION_LIST },
		{ "output", required_argument, NULL, 'o' },
		{ "help", no_argument, NULL, OPTION_HELP },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	*a = (struct arguments){ 0 };
	while ((option = getopt_long(argc, argv, "o:", options, NULL)) != -1)
		if (!take(a, option, optarg))
			return false;
	if (a->repeats == 0)
		a->repeats = a->quick ? 1 : 5;
	if (a->seconds == 0)
		a->seconds = a->quick ? 0.05 : 1;
	return optind == argc;
}

/* -- The run -- */

static bool
is_wanted(const struct arguments *a, const struct row *row)
{
	for (size_t i = 0; i < a->only_count; i++)
		if (strcmp(a->only[i], row->name) == 0)
			return true;
	return a->only_count == 0;
}

/* Tables go out as they come; the other forms at the end. */
static size_t
run_rows(const struct arguments *a, struct bench *b, struct result *results)
{
	size_t done = 0;

	for (size_t i = 0; i < rows_count; i++) {
		if (!is_wanted(a, &rows[i]))
			continue;
		if (a->form != FORM_TEXT)
			(void)fprintf(stderr, "%s\n", rows[i].name);
		if (!row_run(b, &rows[i], &results[done]))
			break;
		if (a->form == FORM_TEXT)
			report_text(&results[done], stdout);
		done++;
	}
	return done;
}

static bool
plot(const struct report *r, const char *path)
{
	FILE *f = fopen(path, "w");
	bool ok;

	if (f == NULL) {
		(void)fprintf(
		    stderr, "holdfast-bench: %s: %s\n", path, strerror(errno));
		return false;
	}
	report_svg(r, f);
	ok = ferror(f) == 0;
	return fclose(f) == 0 && ok;
}

static bool
report(const struct arguments *a, const struct report *r)
{
	if (a->form == FORM_JSON)
		report_json(r, stdout);
	if (a->form == FORM_MARKDOWN)
		report_markdown(r, stdout);
	return (a->plot == NULL || plot(r, a->plot)) &&
	    (a->update == NULL || report_update(r, a->update)) &&
	    fflush(stdout) == 0;
}

static bool
is_all_there(const struct report *r)
{
	for (size_t i = 0; i < r->count; i++)
		for (size_t k = 0; k < row_cells(r->results[i].row); k++)
			if (r->results[i].cells[k].state == CELL_FAILED)
				return false;
	return true;
}

static int
run(const struct arguments *a)
{
	struct result *results = calloc(rows_count, sizeof(*results));
	struct place place;
	struct bench b = { .place = &place,
		.seconds = a->seconds,
		.repeats = a->repeats,
		.quick = a->quick,
		.full = a->full,
		.cores = child_cores() };
	struct report r = { .bench = &b, .results = results };
	bool ok = results != NULL;

	run_catch_signals();
	if (ok && (ok = place_open(&place, a->dir))) {
		r.count = run_rows(a, &b, results);
		ok = report(a, &r) && is_all_there(&r);
	}
	place_close(&place);
	free(results);
	return ok ? 0 : 1;
}

static void
list(void)
{
	for (size_t i = 0; i < rows_count; i++)
		(void)printf("%-18s %s\n", rows[i].name, rows[i].title);
}

int
role_run(const char *name, int argc, char **argv)
{
	static const struct {
		const char *name;
		role_fn *run;
	} roles[] = {
		{ "echo", role_echo },
		{ "raw", role_raw },
		{ "nng", role_nng },
		{ "token", role_token },
		{ "module", role_module },
		{ "cost", role_cost },
	};

	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		if (strcmp(roles[i].name, name) == 0)
			return roles[i].run(argc, argv);
	return 2;
}

int
main(int argc, char **argv)
{
	struct arguments a;

	if (argc >= 3 && strcmp(argv[1], "--role") == 0)
		return role_run(argv[2], argc - 3, argv + 3);
	if (!parse(argc, argv, &a)) {
		(void)fputs(usage, stderr);
		return 1;
	}
	if (a.help)
		(void)fputs(usage, stdout);
	else if (a.list)
		list();
	else
		return run(&a);
	return 0;
}
