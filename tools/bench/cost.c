/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cells about the cost of one request inside the daemon (cost_role.c), and its
 * instructions, which valgrind counts.
 */
#include "cost.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../program.h"
#include "bench.h"
#include "place.h"

/* Its service is made once and never runs; each question is a process. */
static struct service *
cost_service(struct bench *b)
{
	struct place *p = b->place;

	if (!p->cost_tried) {
		p->cost_tried = true;
		p->cost_ready = service_prepare(p,
		    &(struct service_settings){ .name = "cost",
			.inside = true,
			.rules = b->quick ? 50 : 1000 },
		    &p->cost);
	}
	return p->cost_ready ? &p->cost : NULL;
}

static enum cell_state
ask(struct bench *b, const char *const *argv, bool role, const char *line,
    char *answer, size_t cap)
{
	struct service *s = cost_service(b);
	char log[PATH_ROOM + 16];
	struct child child;
	bool ok;

	if (s == NULL)
		return CELL_FAILED;
	(void)snprintf(log, sizeof(log), "%s/cost.log", b->place->dir);
	const char *const environment[] = { "SOFTHSM2_CONF", s->token.conf,
		NULL };
	const struct child_options options = {
		.log = log, .talks = true, .environment = environment
	};

	ok = role ? child_start_role(&child, argv, &options)
		  : child_start(&child, argv, &options);
	if (!ok)
		return CELL_FAILED;
	ok = child_ask(&child, line, answer, cap);
	(void)child_wait(&child);
	if (ok && strncmp(answer, "ok", 2) == 0)
		return CELL_MEASURED;
	(void)snprintf(b->note, sizeof(b->note), "%s", answer);
	return ok && strncmp(answer, "refused", 7) == 0 ? CELL_REFUSED
							: CELL_FAILED;
}

static enum cell_state
ask_role(struct bench *b, const char *line, char *answer, size_t cap)
{
	const char *argv[] = { "cost", NULL, NULL };
	struct service *s = cost_service(b);

	if (s == NULL)
		return CELL_FAILED;
	argv[1] = s->config;
	return ask(b, argv, true, line, answer, cap);
}

/* -- Stages -- */

static double
sum(const double ns[STAGES], unsigned from, unsigned to)
{
	double all = 0;

	for (unsigned i = from; i < to; i++)
		all += ns[i];
	return all;
}

/* The first cell of the row asks; the others tell of the same run. */
enum cell_state
cost_stage(struct bench *b, const struct work *work, struct sample *out)
{
	static const char *const names[STAGES] = { "decode", "key", "policy",
		"intent", "work", "encode", "outcome", "write", "release" };
	double *ns = b->place->stages;
	char line[64], answer[256], *p = answer + 2;
	enum cell_state state;

	if (strcmp(work->what, names[0]) == 0) {
		(void)snprintf(line, sizeof(line), "stages encrypt %u",
		    b->quick ? 200U : 20000U);
		state = ask_role(b, line, answer, sizeof(answer));
		for (size_t i = 0; state == CELL_MEASURED && i < STAGES; i++)
			ns[i] = strtod(p, &p);
		b->place->staged = state == CELL_MEASURED;
	}
	if (!b->place->staged)
		return CELL_FAILED;
	out->value = -1;
	for (size_t i = 0; i < STAGES; i++)
		if (strcmp(names[i], work->what) == 0)
			out->value = ns[i];
	if (strcmp(work->what, "policy and audit") == 0)
		out->value =
		    ns[STAGE_POLICY] + ns[STAGE_INTENT] + ns[STAGE_OUTCOME];
	if (strcmp(work->what, "all") == 0)
		out->value = sum(ns, 0, STAGES) - ns[STAGE_WRITE];
	return CELL_MEASURED;
}

/* -- Allocations -- */

enum cell_state
cost_allocations(struct bench *b, const struct work *work, struct sample *out)
{
	char line[64], answer[128];
	enum cell_state state;

	(void)snprintf(line, sizeof(line), "allocations %s 1000", work->what);
	state = ask_role(b, line, answer, sizeof(answer));
	if (state == CELL_MEASURED)
		out->value = strtod(answer + 2, NULL);
	return state;
}

/* -- Instructions -- */

/*
 * A line "ob=(7) /path" of callgrind says whose the numbers are that follow,
 * "cob=(7) /path" whose function is called; the path stands there the first
 * time only. Learns which number is ours.
 */
static void
learn_own(const char *line, char *own, size_t cap)
{
	const char *id = strchr(line, '(');
	size_t len = id == NULL ? 0 : strcspn(id, ")") + 1;

	if (id == NULL || strstr(line, "/holdfast-bench\n") == NULL ||
	    len >= cap)
		return;
	memcpy(own, id, len);
	own[len] = '\0';
}

/* Adds up what callgrind wrote; with `ours` only what is not a library's. The
 * number behind a line "calls=" is the callee's, and counted there. */
static bool
read_total(const char *path, bool ours, double *out)
{
	FILE *f = fopen(path, "r");
	char line[512], own[16] = "none", *at;
	bool counts = true, callee = false;

	*out = 0;
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		bool object = strncmp(line, "ob=", 3) == 0;

		if (object || strncmp(line, "cob=", 4) == 0)
			learn_own(line, own, sizeof(own));
		if (object)
			counts =
			    !ours || strncmp(line + 3, own, strlen(own)) == 0;
		else if (strncmp(line, "calls=", 6) == 0)
			callee = true;
		else if (strchr("0123456789+-*", line[0]) != NULL) {
			at = strchr(line, ' ');
			if (counts && !callee && at != NULL)
				*out += strtod(at, NULL);
			callee = false;
		}
	}
	if (f != NULL)
		(void)fclose(f);
	return *out > 0;
}

enum cell_state
cost_instructions(struct bench *b, const struct work *work, struct sample *out)
{
	char valgrind[PATH_ROOM], file[PATH_ROOM + 32], self[PATH_ROOM];
	char line[64], answer[64], option[PATH_ROOM + 64];
	const unsigned count = b->quick ? 20 : 1000;
	struct service *s = cost_service(b);
	enum cell_state state;

	if (!program_find_other("valgrind", valgrind, sizeof(valgrind)))
		return CELL_NOT_INSTALLED;
	if (s == NULL || !program_self(self, sizeof(self)))
		return CELL_FAILED;
	(void)snprintf(
	    file, sizeof(file), "%s/%s.callgrind", b->place->dir, work->what);
	(void)snprintf(option, sizeof(option), "--callgrind-out-file=%s", file);

	const char *const argv[] = { valgrind, "-q", "--vgdb=no",
		"--tool=callgrind", "--toggle-collect=cost_measured", option,
		self, "--role", "cost", s->config, NULL };

	(void)snprintf(line, sizeof(line), "run %s %u", work->what, count);
	/* What is counted without libraries is part of the same run. */
	state = work->items != 0 && access(file, R_OK) == 0
	    ? CELL_MEASURED
	    : ask(b, argv, false, line, answer, sizeof(answer));
	if (state != CELL_MEASURED)
		return state;
	if (!read_total(file, work->items != 0, &out->value))
		return CELL_FAILED;
	out->value /= count;
	return CELL_MEASURED;
}
