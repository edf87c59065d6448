/* SPDX-License-Identifier: Apache-2.0 */
#include "hsm_process.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../lib/bytes.h"
#include "../lib/fd.h"
#include "hsm_await.h"
#include "hsm_host.h"
#include "hsm_internal.h"
#include "log.h"

enum {
	TICK_MS = 1000,
	PATIENCE_LEAST_MS = 1000, /* nothing is killed before, or ... */
	CONNECT_LEAST_MS = 5000,  /* ... while it connects */
	PAUSE_TICK_MS = 50,
	LANE_TICK_MS = 100,
	SLOW_FACTOR = 12,   /* making keys: a minute, by default */
	CONNECT_FACTOR = 4, /* deadlines that one attempt to connect may take */
	TRIES = 2, /* a job that kills two workers is not tried again */
	BRIEF_LIFE_MS = 5000,
	STOP_GRACE_MS = 5000,
	WAITERS_PER_LANE = 64,
	LAST_NEWS = 64,
};

_Static_assert(1 + RING_FDS + HSM_LANES_MAX <= HOST_FDS_MAX,
    "a worker gets its control, a ring, and its lanes");

struct lane {
	int fd;
	bool taken;
	uint64_t overdue; /* clock_ms() from when on its job is suspicious */
};

struct hsm_process {
	/* Fixed. */
	char *uri;
	struct secret pin;
	const char *program;
	unsigned sessions, deadline_ms, keepalive_ms;
	hsm_watch_fn *watch;
	void *watch_ctx;
	pthread_t thread;
	int wake;              /* eventfd: closing */
	struct hsm_ring *ring; /* NULL: none */

	pthread_mutex_t lock;
	pthread_cond_t changed; /* state, first news, the last job came back */
	pthread_cond_t freed;   /* a lane, or the state */
	struct hsm_info info;
	_Atomic unsigned can; /* as hsm_can() says */
	bool closing;
	bool heard; /* the first worker's hsm_open() came out well or not */
	enum hf_err open_err;
	struct hf_why why;
	unsigned waiters, in_flight;
	struct lane lanes[HSM_LANES_MAX];
	unsigned lane_count;
	bool serving; /* there is a worker behind the lanes */
	bool killing; /* ... and it has been told to end, because: */
	char killed[160];
	uint64_t epoch; /* of this worker */
	uint64_t lost_at;
	unsigned deaths; /* of workers that did not live for long */

	/* The thread's alone, host (for sending) apart. */
	struct hsm_host host;
	int control;
	uint64_t born_at;
	uint64_t asked_at; /* clock_ms() since when it owes an answer; 0: no */
	uint64_t generations; /* of the workers before */
	uint32_t busy_ms;     /* as it said last */
	bool served;          /* the worker before got through its login */
};

static void
descriptor_close(int *fd)
{
	fd_close(*fd);
	*fd = -1;
}

/* -- Starting a worker -- */

/* The worker's settings and the PIN, wiped here when they are sent. */
static bool
order_settings(struct hsm_process *p)
{
	struct worker_order order = { .what = WORKER_BEGIN,
		.sessions = p->sessions,
		.deadline_ms = p->deadline_ms,
		.keepalive_ms = p->keepalive_ms,
		.log_level = (uint32_t)log_threshold(),
		.cautious = p->epoch > 0 && !p->served,
		.ring = p->ring != NULL,
		.uri = (uint32_t)strlen(p->uri),
		.pin = (uint32_t)p->pin.len };
	AUTO_SECRET message = { 0 };

	memcpy(order.serial, p->info.serial, sizeof(order.serial));
	if (secret_alloc(&message, sizeof(order) + order.uri + order.pin) !=
	    HF_OK)
		return false;
	memcpy(message.ptr, &order, sizeof(order));
	memcpy(message.ptr + sizeof(order), p->uri, order.uri);
	memcpy(message.ptr + sizeof(order) + order.uri, p->pin.ptr, order.pin);
	return send(p->control, message.ptr, message.len, MSG_NOSIGNAL) ==
	    (ssize_t)message.len;
}

/* A lane's socket wakes its reader now and then, to look at the clock. */
static bool
lane_make(int ends[2])
{
	struct timeval tick = { .tv_usec = LANE_TICK_MS * 1000 };

	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0 &&
	    setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof(tick)) ==
	    0;
}

/* All of `theirs` are to be closed here. */
static bool
sockets_make(struct hsm_process *p, int *theirs, size_t *count)
{
	int ends[2];

	*count = 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		return false;
	p->control = ends[0];
	theirs[(*count)++] = ends[1];
	if (p->ring != NULL) {
		if (!hsm_ring_fds(p->ring, theirs + *count))
			return false;
		*count += RING_FDS;
	}
	for (unsigned i = 0; i < p->lane_count; i++) {
		if (!lane_make(ends))
			return false;
		p->lanes[i] = (struct lane){ .fd = ends[0] };
		theirs[(*count)++] = ends[1];
	}
	return true;
}

static bool
worker_launch(struct hsm_process *p)
{
	int theirs[HOST_FDS_MAX];
	size_t count;
	bool good;

	if (p->host.fd < 0 && hsm_host_start(p->program, &p->host) != HF_OK)
		return false;
	good = sockets_make(p, theirs, &count) &&
	    hsm_host_launch(&p->host, theirs, count);
	for (size_t i = 0; i < count; i++)
		(void)close(theirs[i]);
	good = good && order_settings(p);
	p->born_at = p->asked_at = clock_ms();
	p->busy_ms = 0;
	p->served = false;
	(void)pthread_mutex_lock(&p->lock);
	p->epoch++;
	p->killing = false;
	p->serving = good;
	if (p->ring != NULL)
		hsm_ring_begin(p->ring, p->epoch);
	(void)pthread_mutex_unlock(&p->lock);
	return good;
}

/* -- The state -- */

/* Lock is held; tells the watcher without it. */
static void
info_set(struct hsm_process *p, const struct hsm_info *info)
{
	struct hsm_info copy = *info;
	bool changed = p->info.state != info->state;

	p->info = *info;
	(void)pthread_cond_broadcast(&p->changed);
	(void)pthread_cond_broadcast(&p->freed);
	if (!changed || p->watch == NULL)
		return;
	(void)pthread_mutex_unlock(&p->lock);
	p->watch(p->watch_ctx, &copy);
	(void)pthread_mutex_lock(&p->lock);
}

/* Lock is held. */
static void
state_set(struct hsm_process *p, enum hsm_state state, const char *reason)
{
	struct hsm_info info = p->info;

	if (info.state != state)
		info.since = (uint64_t)time(NULL);
	info.state = state;
	(void)snprintf(info.reason, sizeof(info.reason), "%s", reason);
	info_set(p, &info);
}

void
worker_news_tame(struct worker_news *news)
{
	struct hsm_info *info = &news->info;

	news->err = job_error(news->err);
	job_text(news->why.text, sizeof(news->why.text));
	job_text(info->reason, sizeof(info->reason));
	job_text(info->module, sizeof(info->module));
	job_text(info->token, sizeof(info->token));
	job_text(info->serial, sizeof(info->serial));
	job_text(info->manufacturer, sizeof(info->manufacturer));
	job_text(info->model, sizeof(info->model));
	if ((size_t)info->state > HSM_STATE_LAST)
		info->state = HSM_ABSENT;
}

/* A new worker has nothing to say yet that is better than why it is there. */
static void
news_apply(struct hsm_process *p, struct worker_news *news)
{
	(void)pthread_mutex_lock(&p->lock);
	p->heard = true;
	p->open_err = (enum hf_err)news->err;
	if (news->err != HF_OK) {
		p->why = news->why;
		state_set(p, HSM_ABSENT, p->why.text);
	} else if (news->info.state != HSM_RECOVERING ||
	    news->info.reason[0] != '\0') {
		news->info.generation += p->generations;
		if (news->info.state == HSM_READY)
			atomic_store(&p->can, news->info.can);
		info_set(p, &news->info);
	} else {
		(void)pthread_cond_broadcast(&p->changed);
	}
	(void)pthread_mutex_unlock(&p->lock);
}

/* A loss becomes an absence when nobody would wait for its end any more. */
static void
loss_age(struct hsm_process *p)
{
	(void)pthread_mutex_lock(&p->lock);
	if (p->info.state == HSM_RECOVERING && p->lost_at != 0 &&
	    clock_ms() >= p->lost_at + p->deadline_ms)
		state_set(p, HSM_ABSENT, p->info.reason);
	(void)pthread_mutex_unlock(&p->lock);
}

/* -- The end of a worker -- */

static void __attribute__((format(printf, 3, 4)))
worker_kill(struct hsm_process *p, uint64_t epoch, const char *fmt, ...)
{
	va_list ap;

	(void)pthread_mutex_lock(&p->lock);
	if (p->epoch == epoch && p->serving && !p->killing) {
		p->killing = true;
		va_start(ap, fmt);
		(void)vsnprintf(p->killed, sizeof(p->killed), fmt, ap);
		va_end(ap);
		hsm_host_kill(&p->host);
	}
	(void)pthread_mutex_unlock(&p->lock);
}

static void
ring_late(void *ctx, uint64_t epoch, const char *name, unsigned ms)
{
	worker_kill(ctx, epoch,
	    "the HSM's library did not come back from %s within %u ms", name,
	    ms);
}

static void
death_reason(const struct hsm_process *p, int status, char *out, size_t cap)
{
	bool crashed = WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL;

	if (p->killing && !crashed)
		(void)snprintf(out, cap,
		    "%s; its process was killed and is replaced", p->killed);
	else if (WIFSIGNALED(status))
		(void)snprintf(out, cap,
		    "the process of the HSM's library was ended by signal "
		    "%d (%s) and is replaced",
		    WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		(void)snprintf(out, cap,
		    "the process of the HSM's library ended and is replaced");
}

/* Callers in the lanes see their ends and come out. */
static void
worker_bury(struct hsm_process *p, int status)
{
	char reason[200];

	descriptor_close(&p->control);
	(void)pthread_mutex_lock(&p->lock);
	p->serving = false;
	death_reason(p, status, reason, sizeof(reason));
	p->generations = p->info.generation;
	p->deaths = clock_ms() - p->born_at < BRIEF_LIFE_MS ? p->deaths + 1 : 1;
	if (!p->closing && p->open_err == HF_OK &&
	    !state_final(p->info.state)) {
		log_error("HSM: %s", reason);
		p->lost_at = clock_ms();
		state_set(p,
		    p->info.state == HSM_ABSENT ? HSM_ABSENT : HSM_RECOVERING,
		    reason);
	}
	if (p->ring != NULL)
		hsm_ring_end(p->ring);
	for (unsigned i = 0; i < p->lane_count; i++)
		(void)shutdown(p->lanes[i].fd, SHUT_RDWR);
	while (p->in_flight > 0)
		(void)pthread_cond_wait(&p->changed, &p->lock);
	for (unsigned i = 0; i < p->lane_count; i++)
		descriptor_close(&p->lanes[i].fd);
	(void)pthread_mutex_unlock(&p->lock);
}

/* -- The thread -- */

static bool
is_closing(struct hsm_process *p)
{
	bool closing;

	(void)pthread_mutex_lock(&p->lock);
	closing = p->closing;
	(void)pthread_mutex_unlock(&p->lock);
	return closing;
}

/* False when the worker has no more to say. */
static bool
news_receive(struct hsm_process *p)
{
	struct worker_news news;
	ssize_t n = recv(p->control, &news, sizeof(news), MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n != (ssize_t)sizeof(news))
		return false;
	worker_news_tame(&news);
	p->asked_at = 0;
	p->busy_ms = news.busy_ms;
	if (news.no_info != 0)
		return true;
	p->served = p->served || news.info.generation > 0;
	news_apply(p, &news);
	return true;
}

static void
health_check(struct hsm_process *p)
{
	uint64_t limit = (uint64_t)CONNECT_FACTOR * p->deadline_ms;

	if (limit < CONNECT_LEAST_MS)
		limit = CONNECT_LEAST_MS;
	loss_age(p);
	if (p->asked_at != 0 && clock_ms() - p->asked_at > limit)
		worker_kill(p, p->epoch,
		    "the HSM's library keeps its process from running");
	else if (p->busy_ms > limit)
		worker_kill(p, p->epoch,
		    "the HSM's library did not come back from connecting "
		    "within %llu ms",
		    (unsigned long long)limit);
}

/* Not waiting: a worker that takes nothing is one that gives no answer. */
static void
worker_tell(struct hsm_process *p, enum worker_what what)
{
	const struct worker_order order = { .what = what };

	(void)send(
	    p->control, &order, sizeof(order), MSG_NOSIGNAL | MSG_DONTWAIT);
}

/*
 * Whether it may be stuck with nobody waiting for it: then it is asked now and
 * then. One that is ready and stops running is noticed by the next job.
 */
static bool
in_doubt(struct hsm_process *p)
{
	bool settled;

	(void)pthread_mutex_lock(&p->lock);
	settled = p->info.state == HSM_READY || state_final(p->info.state);
	(void)pthread_mutex_unlock(&p->lock);
	return !settled || p->busy_ms > 0 || p->asked_at != 0;
}

static void
worker_ask(struct hsm_process *p)
{
	if (p->asked_at != 0)
		return; /* it was */
	worker_tell(p, WORKER_BEAT);
	p->asked_at = clock_ms();
}

/* Asks it to end; kills it when it takes too long. */
static void
worker_stop(struct hsm_process *p, uint64_t *until)
{
	if (*until == 0) {
		*until = clock_ms() + p->deadline_ms + STOP_GRACE_MS;
		worker_tell(p, WORKER_STOP);
	}
	if (clock_ms() >= *until)
		worker_kill(p, p->epoch, "the HSM's library does not stop");
}

/* Until the worker has ended; returns its status. */
static int
worker_watch(struct hsm_process *p)
{
	struct pollfd fds[] = { { .fd = p->control, .events = POLLIN },
		{ .fd = p->host.fd, .events = POLLIN },
		{ .fd = p->wake, .events = POLLIN } };
	uint64_t stop_until = 0;
	int status = 0;

	for (;;) {
		bool ticks = stop_until != 0 || in_doubt(p);

		if (poll(fds, 3, ticks ? TICK_MS : -1) == 0 && stop_until == 0)
			worker_ask(p);
		if (fds[0].revents != 0 && !news_receive(p))
			fds[0].fd = -1;
		if (fds[1].revents != 0) {
			if (hsm_host_worker_end(&p->host, &status))
				break;
			(void)pthread_mutex_lock(&p->lock);
			hsm_host_end(&p->host);
			(void)pthread_mutex_unlock(&p->lock);
			break;
		}
		if (is_closing(p)) {
			fds[2].fd = -1;
			worker_stop(p, &stop_until);
		} else {
			health_check(p);
		}
	}
	/* What it said last counts; a child of its may go on to talk. */
	for (int i = 0; i < LAST_NEWS && fds[0].fd >= 0 && news_receive(p) &&
	     recv(p->control, &(char){ 0 }, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
	     i++)
		;
	return status;
}

/* With jitter; a worker that lived for long is replaced at once. */
static void
pause_before_next(struct hsm_process *p)
{
	struct pollfd wake = { .fd = p->wake, .events = POLLIN };
	uint64_t until = clock_ms() + (p->deaths < 2 ? 0 : backoff(p->deaths));

	while (clock_ms() < until && !is_closing(p)) {
		(void)poll(&wake, 1, PAUSE_TICK_MS);
		loss_age(p);
	}
}

static bool
is_over(struct hsm_process *p)
{
	bool over;

	(void)pthread_mutex_lock(&p->lock);
	over = p->closing || state_final(p->info.state) ||
	    (p->heard && p->open_err != HF_OK && p->epoch == 1);
	(void)pthread_mutex_unlock(&p->lock);
	return over;
}

static void *
process_main(void *arg)
{
	struct hsm_process *p = arg;

	while (!is_over(p)) {
		int status = 0;

		if (worker_launch(p))
			status = worker_watch(p);
		worker_bury(p, status);
		if (!is_over(p))
			pause_before_next(p);
	}
	return NULL;
}

/* -- Lanes -- */

static enum hf_err
state_gate(const struct hsm_process *p, bool *wait)
{
	enum hsm_state state = p->info.state;

	*wait = (state == HSM_RECOVERING || state_serves(state)) && !p->closing;
	return p->closing ? HF_ERR_SHUTTING_DOWN : state_error(state);
}

/* A free lane, or NULL and whether all of them have been busy for too long to
 * hope for one. Lock is held. */
static struct lane *
lane_free(struct hsm_process *p, bool *stuck)
{
	uint64_t now = 0;

	*stuck = p->serving;
	for (unsigned i = 0; i < p->lane_count; i++) {
		struct lane *l = &p->lanes[i];

		if (p->serving && !p->killing && !l->taken)
			return l;
		if (now == 0)
			now = clock_ms();
		*stuck = *stuck && l->taken && now >= l->overdue;
	}
	return NULL;
}

/* Lock is held, and given up while waiting. */
static enum hf_err
lane_wait(struct hsm_process *p, uint64_t deadline, struct lane **out)
{
	bool late = false;

	for (;;) {
		bool wait, stuck = false;
		enum hf_err err = state_gate(p, &wait);
		struct timespec until;

		*out = err == HF_OK ? lane_free(p, &stuck) : NULL;
		if (*out != NULL)
			return HF_OK;
		if (stuck)
			return HF_ERR_HSM_STUCK;
		if (err != HF_OK && !wait)
			return err;
		if (late)
			return err == HF_OK ? HF_ERR_TIMEOUT : err;
		until = clock_at(clock_ms() + LANE_TICK_MS);
		(void)pthread_cond_timedwait(&p->freed, &p->lock, &until);
		late = clock_ms() >= deadline;
	}
}

static enum hf_err
lane_take(struct hsm_process *p, uint64_t deadline, const struct job_row *row,
    struct lane **out, uint64_t *epoch)
{
	enum hf_err err;

	(void)pthread_mutex_lock(&p->lock);
	if (p->waiters >= WAITERS_PER_LANE * p->lane_count) {
		(void)pthread_mutex_unlock(&p->lock);
		return HF_ERR_BUSY;
	}
	p->waiters++;
	err = lane_wait(p, deadline, out);
	p->waiters--;
	if (err == HF_OK) {
		(*out)->taken = true;
		(*out)->overdue = clock_ms() +
		    (uint64_t)p->deadline_ms / 4 *
			(row->slow ? SLOW_FACTOR : 1);
		p->in_flight++;
		*epoch = p->epoch;
	}
	(void)pthread_mutex_unlock(&p->lock);
	return err;
}

static void
lane_give(struct hsm_process *p, struct lane *lane)
{
	(void)pthread_mutex_lock(&p->lock);
	lane->taken = false;
	p->in_flight--;
	if (p->in_flight == 0)
		(void)pthread_cond_broadcast(&p->changed);
	if (p->waiters > 0)
		(void)pthread_cond_signal(&p->freed);
	(void)pthread_mutex_unlock(&p->lock);
}

/*
 * How long a job may take: until the caller's deadline, but at least half of
 * one where most of it went by in waiting. The worker, if it has to wait in
 * its turn, gives up before that, so that a late answer is one of the library.
 */
static unsigned
job_patience(
    const struct hsm_process *p, const struct job_row *row, uint64_t deadline)
{
	uint64_t now = clock_ms();
	uint64_t ms = deadline > now ? deadline - now : 0;

	if (row->slow)
		ms = (uint64_t)SLOW_FACTOR * p->deadline_ms;
	else if (ms < p->deadline_ms / 2)
		ms = p->deadline_ms / 2;
	return ms > PATIENCE_LEAST_MS ? (unsigned)ms : PATIENCE_LEAST_MS;
}

static enum job_outcome
lane_talk(struct hsm_process *p, const struct lane *lane, uint64_t epoch,
    struct hsm_job *job, uint64_t deadline, enum hf_err *err)
{
	const struct job_row *row = job_row(job->op);
	unsigned patience = job_patience(p, row, deadline);
	unsigned budget = patience / 4 * 3;
	uint64_t limit = clock_ms() + patience;
	enum job_outcome outcome = JOB_LOST;

	if (job->wait_ms != 0 && job->wait_ms < budget)
		budget = job->wait_ms;
	if (job_send(lane->fd, job, budget, limit))
		outcome = job_result(lane->fd, job, limit, err);
	if (outcome == JOB_LATE)
		worker_kill(p, epoch,
		    "the HSM's library did not come back from %s within %u ms",
		    row->name, patience);
	else if (outcome == JOB_LOST) /* unless that is why */
		worker_kill(
		    p, epoch, "the process of the HSM's library broke off");
	return outcome;
}

/* What would have to wait is for a worker. */
static enum hf_err
do_awaited(struct hsm_process *p, struct hsm_job *job, struct hsm_await *await)
{
	const struct job_row *row = job_row(job->op);
	unsigned patience = job_patience(p, row, clock_ms() + p->deadline_ms);
	uint64_t epoch;
	bool good, wait;

	if (p->ring == NULL)
		return HF_ERR_DEFER;
	(void)pthread_mutex_lock(&p->lock);
	good = state_gate(p, &wait) == HF_OK && p->serving && !p->killing &&
	    !row->once && !row->slow;
	epoch = p->epoch;
	(void)pthread_mutex_unlock(&p->lock);
	return hsm_await_do(await, p->ring, job, epoch, patience, good);
}

enum hf_err
hsm_process_do(struct hsm_process *p, struct hsm_job *job)
{
	const struct job_row *row = job_row(job->op);
	uint64_t now = clock_ms(), deadline = now + p->deadline_ms;
	uint64_t turn = job->wait_ms != 0 && job->wait_ms < p->deadline_ms
	    ? now + job->wait_ms
	    : deadline;

	if (hsm_await_now() != NULL)
		return do_awaited(p, job, hsm_await_now());
	for (unsigned try = hsm_await_lost() ? 2 : 1;; try++) {
		enum job_outcome outcome;
		struct lane *lane;
		uint64_t epoch;
		enum hf_err err = lane_take(p, turn, row, &lane, &epoch);

		if (err != HF_OK)
			return err;
		outcome = lane_talk(p, lane, epoch, job, deadline, &err);
		lane_give(p, lane);
		if (outcome == JOB_DONE)
			return err;
		if (outcome == JOB_LATE)
			return HF_ERR_HSM_STUCK;
		if (row->once || try == TRIES)
			return HF_ERR_HSM_UNAVAILABLE;
	}
}

/* -- Opening and closing -- */

static void
process_init(struct hsm_process *p, const struct hsm_settings *settings,
    struct secret *pin)
{
	pthread_condattr_t monotonic;

	p->program = settings->program;
	p->sessions = settings->sessions;
	p->lane_count = hsm_sessions_wanted(settings->sessions);
	p->deadline_ms = settings->deadline_ms;
	p->keepalive_ms = settings->keepalive_ms;
	p->host.fd = p->control = -1;
	p->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	p->info.state = HSM_RECOVERING;
	p->info.since = (uint64_t)time(NULL);
	for (unsigned i = 0; i < HSM_LANES_MAX; i++)
		p->lanes[i].fd = -1;
	secret_move(&p->pin, pin);
	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&p->changed, &monotonic);
	(void)pthread_cond_init(&p->freed, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
	(void)pthread_mutex_init(&p->lock, NULL);
}

static void
process_free(struct hsm_process *p)
{
	hsm_host_end(&p->host);
	hsm_ring_close(p->ring);
	descriptor_close(&p->wake);
	secret_free(&p->pin);
	free(p->uri);
	(void)pthread_mutex_destroy(&p->lock);
	(void)pthread_cond_destroy(&p->freed);
	(void)pthread_cond_destroy(&p->changed);
	free(p);
}

/* The worker can say of the settings what is wrong with them. */
static enum hf_err
first_news(struct hsm_process *p, struct hf_why *why)
{
	struct timespec until = clock_at(clock_ms() + p->deadline_ms);
	bool late = false;
	enum hf_err err;

	(void)pthread_mutex_lock(&p->lock);
	while (!p->heard && !late)
		late =
		    pthread_cond_timedwait(&p->changed, &p->lock, &until) != 0;
	err = p->open_err;
	if (err != HF_OK)
		*why = p->why;
	(void)pthread_mutex_unlock(&p->lock);
	return err;
}

enum hf_err
hsm_process_open(const struct hsm_settings *settings, struct secret *pin,
    hsm_watch_fn *watch, void *ctx, struct hsm_process **out,
    struct hf_why *why)
{
	struct hsm_process *p = calloc(1, sizeof(*p));
	enum hf_err err;

	if (p == NULL)
		return HF_ERR_NO_MEMORY;
	process_init(p, settings, pin);
	p->watch = watch;
	p->watch_ctx = ctx;
	if (hsm_ring_open(ring_late, p, &p->ring) != HF_OK)
		log_info("HSM: no memory can be shared with its process: "
			 "slower");
	p->uri = strdup(settings->uri);
	if (p->uri == NULL || p->wake < 0 ||
	    hsm_host_start(p->program, &p->host) != HF_OK ||
	    pthread_create(&p->thread, NULL, process_main, p) != 0) {
		process_free(p);
		return hf_fail(why, HF_ERR_SYSTEM,
		    "the process for the HSM's library cannot be started");
	}
	err = first_news(p, why);
	if (err != HF_OK)
		hsm_process_close(p);
	else
		*out = p;
	return err;
}

void
hsm_process_close(struct hsm_process *p)
{
	uint64_t one = 1;

	if (p == NULL)
		return;
	(void)pthread_mutex_lock(&p->lock);
	p->closing = true;
	(void)pthread_cond_broadcast(&p->changed);
	(void)pthread_cond_broadcast(&p->freed);
	(void)pthread_mutex_unlock(&p->lock);
	if (write(p->wake, &one, sizeof(one)) < 0)
		log_debug("HSM: the thread will look anyway");
	(void)pthread_join(p->thread, NULL);
	process_free(p);
}

enum hf_err
hsm_process_wait_ready(struct hsm_process *p, unsigned ms)
{
	struct timespec until = clock_at(clock_ms() + ms);
	bool late = false, wait;
	enum hf_err err;

	(void)pthread_mutex_lock(&p->lock);
	while (
	    (p->info.state == HSM_ABSENT || p->info.state == HSM_RECOVERING) &&
	    !p->closing && !late)
		late =
		    pthread_cond_timedwait(&p->changed, &p->lock, &until) != 0;
	err = state_gate(p, &wait);
	(void)pthread_mutex_unlock(&p->lock);
	return err;
}

unsigned
hsm_process_can(struct hsm_process *p)
{
	return atomic_load(&p->can);
}

struct hsm_ring *
hsm_process_ring(const struct hsm_process *p)
{
	return p->ring;
}

void
hsm_process_info(struct hsm_process *p, struct hsm_info *out)
{
	(void)pthread_mutex_lock(&p->lock);
	*out = p->info;
	(void)pthread_mutex_unlock(&p->lock);
}
