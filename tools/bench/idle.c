/* SPDX-License-Identifier: Apache-2.0 */
/* Cells about a daemon that nobody asks anything. */
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "crew.h"
#include "place.h"
#include "proc.h"

/* One as an installation has it, which did its first work. */
static struct service *
idle_service(struct bench *b)
{
	struct place *p = b->place;

	if (!p->idle_tried) {
		p->idle_tried = true;
		if (service_start(p,
			&(struct service_settings){ .name = "idle" },
			&p->idle) &&
		    service_key(
			&p->idle, "bench-aes", "aes256-gcm96", "wrapped"))
			clock_wait(b->quick ? 0.2 : 2);
		else
			service_stop(&p->idle);
	}
	return p->idle.child.pid > 0 ? &p->idle : NULL;
}

enum cell_state
idle_wakeups(struct bench *b, const struct work *work, struct sample *out)
{
	const struct service *s = idle_service(b);
	double seconds = b->quick ? 0.3 : 5, before;
	uint64_t began;

	(void)work;
	if (s == NULL)
		return CELL_FAILED;
	began = clock_ns();
	before = proc_family(s->child.pid, proc_sleeps);
	clock_wait(seconds);
	out->value = (proc_family(s->child.pid, proc_sleeps) - before) /
	    ((double)(clock_ns() - began) / 1e9);
	return CELL_MEASURED;
}

enum cell_state
idle_memory(struct bench *b, const struct work *work, struct sample *out)
{
	const struct service *s = idle_service(b);

	if (s == NULL)
		return CELL_FAILED;
	/* Of what processes share, a sum would say nothing. */
	out->value = strcmp(work->what, "private") == 0
	    ? proc_family(s->child.pid, proc_private)
	    : proc_resident(s->child.pid);
	out->value /= 1024;
	if (out->value > 0)
		return CELL_MEASURED;
	(void)snprintf(b->note, sizeof(b->note), "only root may know");
	return CELL_REFUSED;
}
