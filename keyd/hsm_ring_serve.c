/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "hsm_internal.h"
#include "hsm_job.h"
#include "hsm_ring.h"
#include "hsm_ring_memory.h"

/*
 * The side of the library. How many threads work at once is found
 * out: an HSM that is far away makes its callers wait, and as many may wait as
 * there are sessions; one that is software keeps a core busy each, and where a
 * call is short two of them mostly fight for its locks (SoftHSM does fewer
 * AES-GCM with two threads than with one). The others are in reserve, also for
 * the case that one of them does not come back.
 */
enum {
	SAMPLE = 16, /* every so many jobs are measured */
	SHORT_NS = 20000,
	WEIGHT = 8,    /* of what was before, in an average */
	OFTEN = 128,   /* of 256 */
	STUCK_MS = 20, /* a thread that is away for longer does not count */
};

struct worker_thread {
	struct ring_server *server;
	pthread_t id;
	uint64_t since; /* clock_ms() when it took its job; 0: it has none */
	unsigned jobs;
};

struct ring_server {
	struct ring_memory *shared;
	struct hsm *hsm;
	int fds[RING_FDS];
	unsigned threads, cores;
	unsigned started; /* by whoever ends them */

	pthread_mutex_t lock;
	bool ending;
	uint32_t head;   /* jobs that were taken */
	unsigned active; /* threads that work, or sleep until there is work */
	unsigned asleep; /* of those */
	unsigned reserve;
	unsigned width; /* how many may be active */
	int64_t cpu_ns; /* of a job */
	int64_t waits;  /* of 256 jobs */
	struct worker_thread thread[SESSIONS_MAX];
};

/* -- How many -- */

struct measure {
	int64_t cpu_ns;
	long switches;
};

static struct measure
measure_now(void)
{
	struct timespec cpu = { 0 };
	struct rusage use = { 0 };

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
	(void)getrusage(RUSAGE_THREAD, &use);
	return (struct measure){ cpu.tv_sec * 1000000000LL + cpu.tv_nsec,
		use.ru_nvcsw };
}

static unsigned
width_of(const struct ring_server *s)
{
	unsigned width = s->cores;

	if (s->waits > OFTEN)
		width = s->threads;
	else if (s->cpu_ns < SHORT_NS)
		width = 1;
	return width < s->threads ? width : s->threads;
}

static void
measured(struct ring_server *s, const struct measure *before)
{
	struct measure after = measure_now();
	int64_t cpu = after.cpu_ns - before->cpu_ns;
	int64_t waits = after.switches > before->switches ? 256 : 0;

	(void)pthread_mutex_lock(&s->lock);
	s->cpu_ns += (cpu - s->cpu_ns) / WEIGHT;
	s->waits += (waits - s->waits) / WEIGHT;
	s->width = width_of(s);
	(void)pthread_mutex_unlock(&s->lock);
}

/* Whether so many may be active. Those that are away for long leave their
 * place. Lock is held. */
static bool
fits(const struct ring_server *s, unsigned active)
{
	unsigned away = 0;
	uint64_t now;

	if (active <= s->width)
		return true;
	now = clock_ms();
	for (unsigned i = 0; i < s->threads; i++)
		away += s->thread[i].since != 0 &&
		    now - s->thread[i].since > STUCK_MS;
	return active <= s->width + away;
}

/* -- Waiting. Lock is held, and given up meanwhile. -- */

static void
wait_at(struct ring_server *s, _Atomic uint32_t *word, uint32_t seen)
{
	(void)pthread_mutex_unlock(&s->lock);
	(void)syscall(SYS_futex, word, FUTEX_WAIT, seen, NULL, NULL, 0);
	(void)pthread_mutex_lock(&s->lock);
}

/* Until there is a place. */
static void
wait_in_reserve(struct ring_server *s)
{
	s->reserve++;
	for (;;) {
		uint32_t seen = atomic_load(&s->shared->nudge);

		if (fits(s, s->active + 1) || s->ending)
			break;
		wait_at(s, &s->shared->nudge, seen);
	}
	s->reserve--;
}

static bool
is_empty(const struct ring_server *s)
{
	return atomic_load(&s->shared->tail) == s->head;
}

static void
wait_for_work(struct ring_server *s)
{
	atomic_store(&s->shared->asleep, ++s->asleep);
	if (is_empty(s))
		wait_at(s, &s->shared->tail, s->head);
	atomic_store(&s->shared->asleep, --s->asleep);
}

/* -- Who else is to do what there is -- */

enum other { NOBODY, A_SLEEPER, THE_RESERVE };

/* Lock is held. */
static enum other
other_wanted(const struct ring_server *s)
{
	if (is_empty(s))
		return NOBODY;
	if (s->asleep > 0)
		return A_SLEEPER;
	return s->reserve > 0 && s->active < s->width ? THE_RESERVE : NOBODY;
}

static void
call_up(struct ring_server *s, enum other other)
{
	if (other == A_SLEEPER) {
		ring_wake_one(s->shared);
	} else if (other == THE_RESERVE) {
		(void)atomic_fetch_add(&s->shared->nudge, 1);
		ring_wake(&s->shared->nudge, 1);
	}
}

/*
 * The next job; the calling thread is active from then on. False when there
 * will be none. Lock is held.
 */
static bool
take(struct ring_server *s, unsigned *cell)
{
	while (!s->ending) {
		wait_in_reserve(s);
		s->active++;
		while (is_empty(s) && fits(s, s->active) && !s->ending)
			wait_for_work(s);
		if (fits(s, s->active) && !s->ending) {
			*cell = s->shared->queue[s->head++ % RING_CELLS] %
			    RING_CELLS;
			return true;
		}
		/* One too many by now: what it was woken for is another's. */
		s->active--;
		call_up(s, other_wanted(s));
	}
	return false;
}

/* -- Working -- */

static void
tell(struct ring_server *s, unsigned cell)
{
	struct ring_memory *m = s->shared;
	unsigned port = m->port[cell] % RING_PORTS;
	const uint64_t one = 1;

	atomic_store(&m->done[cell], 1);
	if (atomic_load(&m->waiting[port]) == 0 ||
	    atomic_exchange(&m->waiting[port], 0) == 0)
		return;
	if (write(s->fds[1 + port], &one, sizeof(one)) < 0)
		return; /* only when it is readable anyway */
}

static void
work(struct worker_thread *t, unsigned cell)
{
	struct ring_server *s = t->server;
	bool sample = ++t->jobs % SAMPLE == 0;
	struct measure before;

	if (sample)
		before = measure_now();
	job_run(s->shared->cell[cell], RING_ROOM, s->hsm);
	tell(s, cell);
	if (sample)
		measured(s, &before);
}

static void *
thread_main(void *arg)
{
	struct worker_thread *t = arg;
	struct ring_server *s = t->server;
	unsigned cell;

	(void)pthread_mutex_lock(&s->lock);
	while (take(s, &cell)) {
		enum other other = other_wanted(s);

		t->since = clock_ms();
		(void)pthread_mutex_unlock(&s->lock);
		call_up(s, other);
		work(t, cell);
		(void)pthread_mutex_lock(&s->lock);
		t->since = 0;
		s->active--;
	}
	(void)pthread_mutex_unlock(&s->lock);
	return NULL;
}

static bool
threads_start(struct ring_server *s)
{
	for (; s->started < s->threads; s->started++) {
		struct worker_thread *t = &s->thread[s->started];

		t->server = s;
		if (pthread_create(&t->id, NULL, thread_main, t) != 0)
			return false;
		(void)pthread_setname_np(t->id, "hsm");
	}
	return true;
}

struct ring_server *
hsm_ring_serve(const int fds[RING_FDS], struct hsm *hsm, unsigned threads)
{
	struct ring_server *s = calloc(1, sizeof(*s));
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (s == NULL)
		return NULL;
	memcpy(s->fds, fds, sizeof(s->fds));
	s->shared = ring_map(fds[0]);
	s->hsm = hsm;
	s->threads = s->width = threads < SESSIONS_MAX ? threads : SESSIONS_MAX;
	s->cores = cores < 1 ? 1 : (unsigned)cores;
	(void)pthread_mutex_init(&s->lock, NULL);
	if (s->shared != NULL && threads_start(s))
		return s;
	hsm_ring_serve_end(s);
	return NULL;
}

/* What they sleep at is changed, for one who is about to. */
static void
wake_all(struct ring_memory *m)
{
	(void)atomic_fetch_add(&m->nudge, 1);
	ring_wake(&m->nudge, INT_MAX);
	(void)atomic_fetch_add(&m->tail, 1);
	ring_wake(&m->tail, INT_MAX);
}

void
hsm_ring_serve_end(struct ring_server *s)
{
	if (s == NULL)
		return;
	(void)pthread_mutex_lock(&s->lock);
	s->ending = true;
	(void)pthread_mutex_unlock(&s->lock);
	if (s->started > 0)
		wake_all(s->shared);
	while (s->started > 0)
		(void)pthread_join(s->thread[--s->started].id, NULL);
	if (s->shared != NULL)
		(void)munmap(s->shared, sizeof(*s->shared));
	for (size_t i = 0; i < RING_FDS; i++)
		(void)close(s->fds[i]);
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}
