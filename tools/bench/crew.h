/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_CREW_H
#define TOOLS_BENCH_CREW_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench.h"
#include "histogram.h"

/*
 * Threads that do the same thing over and over, for a while, together.
 */
struct crew_member {
	void *job; /* what crew_run was given */
	unsigned number;
	uint64_t deadline; /* of clock_ns(); set when all are ready */
	uint64_t done;     /* operations */
	uint64_t ended;    /* when the last of them was done; 0: now */
	bool failed;
	struct histogram *latency; /* of this one */
};

/*
 * What a member runs: makes itself ready, calls crew_begin, works until
 * m->deadline, counts in m->done what was done by then.
 */
typedef void crew_fn(struct crew_member *m);

/* Waits for the others; from then on time counts. */
void crew_begin(struct crew_member *m);

struct crew_result {
	uint64_t done;
	double seconds;
	double cpu; /* ns of CPU for one operation: that of this process, or
		       of the one that was named */
	struct histogram latency;
};

/*
 * Runs `threads` of them for `seconds`. `server` is whose CPU time counts; 0:
 * our own. False when one of them failed.
 */
bool crew_run(crew_fn *run, void *job, unsigned threads, double seconds,
    pid_t server, struct crew_result *out);

/* What was done, as a sample of operations per second. */
struct sample crew_sample(const struct crew_result *r, double per_operation);

/* CLOCK_MONOTONIC */
uint64_t clock_ns(void);
void clock_wait(double seconds);

/* CPU time of a process and its children, in ns; 0: ours alone. 0 when it is
 * gone. */
uint64_t clock_cpu_ns(pid_t pid);

#endif
