/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "run.h"

static volatile sig_atomic_t stopped;

static void
on_signal(int number)
{
	(void)number;
	stopped = 1;
}

void
run_catch_signals(void)
{
	const struct sigaction action = { .sa_handler = on_signal };

	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
	(void)sigaction(SIGHUP, &action, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
}

/* One measurement. A cell that failed once is not tried again: what it has is
 * not of this run. */
static void
measure(struct bench *b, const struct cell *cell, struct measured *m)
{
	struct work work = cell->work;
	struct sample sample = { 0 };

	if (m->state != CELL_MEASURED || m->count == b->repeats ||
	    (cell->once && m->count > 0))
		return;
	if (work.threads == 0)
		work.threads = b->cores;
	b->note[0] = '\0';
	m->state = cell->run(b, &work, &sample);
	memcpy(m->note, b->note, sizeof(m->note));
	if (m->state == CELL_MEASURED)
		m->samples[m->count++] = sample;
}

bool
row_run(struct bench *b, const struct row *row, struct result *out)
{
	size_t cells = row_cells(row);

	*out = (struct result){ .row = row };
	for (unsigned i = 0; i < b->repeats; i++)
		for (size_t k = 0; k < cells && stopped == 0; k++)
			measure(b, &row->cells[k], &out->cells[k]);
	return stopped == 0;
}
