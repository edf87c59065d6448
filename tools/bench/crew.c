/* SPDX-License-Identifier: Apache-2.0 */
#include "crew.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "proc.h"

enum { THREADS_MAX = 128 };

struct crew {
	pthread_barrier_t ready;
	double seconds;
	pid_t server;
	crew_fn *run;
	_Atomic uint64_t began, cpu_began;
};

struct member {
	struct crew_member m;
	struct crew *crew;
	pthread_t thread;
};

static uint64_t
read_clock(clockid_t clock)
{
	struct timespec t = { 0 };

	(void)clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

uint64_t
clock_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

void
clock_wait(double seconds)
{
	struct timespec t = { .tv_sec = (time_t)seconds };

	t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
	(void)nanosleep(&t, NULL);
}

static double
cpu_of(pid_t pid)
{
	clockid_t clock;

	return clock_getcpuclockid(pid, &clock) == 0 ? (double)read_clock(clock)
						     : 0;
}

uint64_t
clock_cpu_ns(pid_t pid)
{
	return pid == 0 ? read_clock(CLOCK_PROCESS_CPUTIME_ID)
			: (uint64_t)proc_family(pid, cpu_of);
}

/* The crew of a member: a struct member begins with its public part. */
static struct crew *
crew_of(struct crew_member *m)
{
	return ((struct member *)(void *)m)->crew;
}

/* Twice: whoever is first behind the first barrier sets the clock. */
void
crew_begin(struct crew_member *m)
{
	struct crew *c = crew_of(m);

	if (pthread_barrier_wait(&c->ready) != 0) { /* in one of them */
		c->cpu_began = clock_cpu_ns(c->server);
		c->began = clock_ns();
	}
	(void)pthread_barrier_wait(&c->ready);
	m->deadline = c->began + (uint64_t)(c->seconds * 1e9);
}

static void *
run_member(void *arg)
{
	struct member *m = arg;

	m->crew->run(&m->m);
	if (m->m.ended == 0)
		m->m.ended = clock_ns();
	return NULL;
}

static void
collect(struct member *members, unsigned count, struct crew_result *out)
{
	struct crew *c = members[0].crew;
	uint64_t cpu = clock_cpu_ns(c->server) - c->cpu_began;
	uint64_t ended = 0;

	*out = (struct crew_result){ 0 };
	for (unsigned i = 0; i < count; i++) {
		out->done += members[i].m.done;
		if (members[i].m.ended > ended)
			ended = members[i].m.ended;
		histogram_merge(&out->latency, members[i].m.latency);
	}
	out->seconds = (double)(ended - c->began) / 1e9;
	if (out->done > 0)
		out->cpu = (double)cpu / (double)out->done;
}

/* A member that was not started would leave the others at the barrier. */
static void
start(struct member *members, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (pthread_create(
			&members[i].thread, NULL, run_member, &members[i]) != 0)
			abort();
}

bool
crew_run(crew_fn *run, void *job, unsigned threads, double seconds,
    pid_t server, struct crew_result *out)
{
	struct crew crew = { .seconds = seconds, .server = server, .run = run };
	struct member *members = calloc(threads, sizeof(*members));
	struct histogram *latency = calloc(threads, sizeof(*latency));
	bool ok = members != NULL && latency != NULL && threads > 0 &&
	    threads <= THREADS_MAX &&
	    pthread_barrier_init(&crew.ready, NULL, threads) == 0;

	if (!ok) {
		free(members);
		free(latency);
		return false;
	}
	for (unsigned i = 0; i < threads; i++)
		members[i] = (struct member){ .m = { .job = job,
						  .number = i,
						  .latency = &latency[i] },
			.crew = &crew };
	start(members, threads);
	for (unsigned i = 0; i < threads; i++) {
		(void)pthread_join(members[i].thread, NULL);
		ok = ok && !members[i].m.failed;
	}
	collect(members, threads, out);
	(void)pthread_barrier_destroy(&crew.ready);
	free(members);
	free(latency);
	return ok && out->done > 0;
}

struct sample
crew_sample(const struct crew_result *r, double per_operation)
{
	return (struct sample){
		.value = (double)r->done * per_operation / r->seconds,
		.p50 = histogram_at(&r->latency, 0.5),
		.p99 = histogram_at(&r->latency, 0.99),
		.cpu = r->cpu / per_operation,
	};
}
