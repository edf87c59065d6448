/* SPDX-License-Identifier: Apache-2.0 */
#include "io_loop.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "../lib/arena.h"
#include "../lib/fd.h"
#include "../lib/secret.h"
#include "connection.h"
#include "hsm_await.h"
#include "inbox.h"
#include "io.h"
#include "log.h"
#include "server.h"

enum {
	EVENTS = 128,            /* of one turn */
	ACCEPTS = 8,             /* of one turn: each is a look at /proc */
	ACCEPT_PAUSE = 100,      /* ms, when there is no room for a socket */
	REFUSED_SILENCE = 10000, /* ms between lines about it */
	POOL_FIRST = 16 * 1024,
	POOL_KEEP = 32,
	CURRENT_FIRST = 128 * 1024,
	CURRENT_KEEP = 2,
	CACHE_PART = 32,       /* of RLIMIT_MEMLOCK */
	CACHE_BYTES = 2 << 20, /* a batch of 256 KiB needs half of it */
	ARENA_FACTOR =
	    8, /* an arena's limit, in messages of the largest size */
	ARENA_EXTRA = 1 << 20,
};

struct io_loop {
	struct io io; /* first: found again from there */
	struct io_group *group;
	struct inbox inbox;
	struct io_source answers;
	struct arena *buffers;     /* of io.read and io.turn.buf */
	struct arena_cache *cache; /* of the pools */
	int reserve;               /* a descriptor, see listener_accept */
	bool listening;
	uint64_t listen_again; /* when paused */
	uint64_t silent_until; /* about refused connections */
	uint64_t stop_at;
	_Atomic unsigned load; /* connections that it owns or will */
	bool started;
	pthread_t thread;
};

static uint64_t
now_ms(void)
{
	struct timespec t;

	/* Coarse: a few ms do not matter, and it costs no system call. */
	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* -- Making one -- */

/* On a worker's thread: the connection lives as long as this is in flight. */
static void
post_finished(struct exchange *ex)
{
	struct io_loop *loop = (struct io_loop *)(void *)ex->conn->io;

	inbox_add_finished(&loop->inbox, ex);
}

static void
init_io(struct io_loop *loop)
{
	const struct transport_limits *limits = &loop->group->limits;
	const uint64_t ms[DEADLINES] = {
		[DEADLINE_HANDSHAKE] = limits->handshake_ms,
		[DEADLINE_FRAME] = limits->frame_ms,
		[DEADLINE_SEND] = limits->send_ms,
		[DEADLINE_IDLE] = (uint64_t)limits->idle_s * 1000,
	};
	struct io *io = &loop->io;

	io->server = loop->group->server;
	io->limits = limits;
	io->peers = loop->group->peers;
	io->done = post_finished;
	io->lingering_last = &io->lingering;
	io->shared = &loop->group->shared;
	TAILQ_INIT(&io->open);
	TAILQ_INIT(&io->ready);
	TAILQ_INIT(&io->unread);
	TAILQ_INIT(&io->dead);
	for (size_t i = 0; i < DEADLINES; i++)
		deadline_queue_init(&io->deadlines[i], ms[i]);
}

/*
 * What is kept stays locked, and counts towards RLIMIT_MEMLOCK: keys must not
 * run out of it, so each thread keeps a small part at most.
 */
static size_t
cache_bytes(void)
{
	size_t part = secret_lockable() / CACHE_PART;

	return part < CACHE_BYTES ? part : CACHE_BYTES;
}

static enum hf_err
take_memory(struct io_loop *loop)
{
	struct io *io = &loop->io;
	size_t size = IO_READ + TURN_BYTES;
	size_t arena = ARENA_FACTOR * io->limits->message + ARENA_EXTRA;
	enum hf_err err;

	if ((err = arena_new(size, size, &loop->buffers)) != HF_OK ||
	    (err = arena_cache_new(cache_bytes(), &loop->cache)) != HF_OK)
		return err;
	exchange_pool_init(
	    &io->pool, POOL_KEEP, POOL_FIRST, arena, loop->cache, io->peers);
	exchange_pool_init(&io->currents, CURRENT_KEEP, CURRENT_FIRST, arena,
	    loop->cache, io->peers);
	io->read = arena_alloc(loop->buffers, IO_READ);
	io->turn.buf = arena_alloc(loop->buffers, TURN_BYTES);
	io->turn.lines.cap = AUDIT_BATCH;
	io->turn.lines.buf = malloc(AUDIT_BATCH);
	io->current = exchange_take(&io->currents, NULL);
	if (io->read == NULL || io->turn.buf == NULL ||
	    io->turn.lines.buf == NULL || io->current == NULL)
		return HF_ERR_NO_MEMORY;
	return HF_OK;
}

static enum hf_err
take_descriptors(struct io_loop *loop)
{
	struct epoll_event ev = { .events = EPOLLIN,
		.data.ptr = &loop->inbox.source };

	loop->io.epoll = epoll_create1(EPOLL_CLOEXEC);
	loop->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (loop->io.epoll < 0 || loop->reserve < 0)
		return HF_ERR_SYSTEM;
	if (epoll_ctl(loop->io.epoll, EPOLL_CTL_ADD, loop->inbox.fd, &ev) != 0)
		return HF_ERR_SYSTEM;
	return HF_OK;
}

enum hf_err
io_loop_new(struct io_group *group, struct io_loop **out)
{
	struct io_loop *loop = calloc(1, sizeof(*loop));
	enum hf_err err;

	if (loop == NULL)
		return HF_ERR_NO_MEMORY;
	loop->group = group;
	loop->io.epoll = -1;
	loop->reserve = -1;
	init_io(loop);
	err = inbox_open(&loop->inbox);
	if (err == HF_OK)
		err = take_memory(loop);
	if (err == HF_OK)
		err = take_descriptors(loop);
	if (err != HF_OK) {
		io_loop_free(loop);
		return err;
	}
	*out = loop;
	return HF_OK;
}

/* -- The inbox -- */

static void
complete_all(struct exchange *ex)
{
	while (ex != NULL) {
		struct exchange *next = ex->next;

		connection_complete(ex->conn, ex);
		ex = next;
	}
}

static void
begin_stop(struct io_loop *loop, uint64_t stop_at)
{
	struct connection *c, *next;

	loop->io.stopping = true;
	loop->stop_at = stop_at;
	for (c = TAILQ_FIRST(&loop->io.open); c != NULL; c = next) {
		next = TAILQ_NEXT(c, link);
		connection_stop(c);
	}
}

static void
attach_all(struct io_loop *loop, struct connection_list *arrivals)
{
	struct connection *c;

	while ((c = TAILQ_FIRST(arrivals)) != NULL) {
		TAILQ_REMOVE(arrivals, c, link);
		connection_attach(c, &loop->io);
	}
}

static void
empty_inbox(struct io_loop *loop)
{
	struct inbox_contents news;

	inbox_take(&loop->inbox, &news);
	attach_all(loop, &news.arrivals);
	complete_all(news.finished);
	if (news.stop && !loop->io.stopping)
		begin_stop(loop, news.stop_at);
}

/* -- Accepting -- */

static void
listen_on_all(struct io_loop *loop, bool on)
{
	if (loop->listening == on)
		return;
	for (size_t i = 0; i < loop->group->listener_count; i++) {
		struct listener *l = &loop->group->listeners[i];
		struct epoll_event ev = { .events = EPOLLIN | EPOLLEXCLUSIVE,
			.data.ptr = &l->source };

		if (epoll_ctl(loop->io.epoll,
			on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, l->fd, &ev) != 0)
			log_error("epoll: %s", strerror(errno));
	}
	loop->listening = on;
}

/*
 * The thread with the fewest connections gets the next one; when in doubt,
 * the one that has it already. Two threads that choose at the same moment may
 * be off by one.
 */
static struct io_loop *
choose_loop(struct io_loop *self)
{
	struct io_loop *best = self;

	for (size_t i = 0; i < self->group->loop_count; i++)
		if (atomic_load(&self->group->loops[i]->load) <
		    atomic_load(&best->load))
			best = self->group->loops[i];
	atomic_fetch_add(&best->load, 1);
	return best;
}

/* A flood of connections must not become a flood of lines. */
static void
refused(struct io_loop *loop, enum hf_err err)
{
	io_count(&loop->io.counters.refused, 1);
	if (loop->io.now < loop->silent_until)
		return;
	loop->silent_until = loop->io.now + REFUSED_SILENCE;
	log_warning("refused a connection: %s",
	    err == HF_ERR_BUSY ? "there are too many" : hf_err_sentence(err));
}

static void
welcome(struct io_loop *loop, const struct listener *l, int fd)
{
	struct connection *c = NULL;
	enum hf_err err =
	    connection_new(l, fd, loop->io.peers, loop->group->identities, &c);
	struct io_loop *owner;

	if (err != HF_OK) {
		refused(loop, err);
		return;
	}
	owner = choose_loop(loop);
	if (owner == loop)
		connection_attach(c, &loop->io);
	else
		inbox_add_arrival(&owner->inbox, c);
}

static void
accept_failed(struct io_loop *loop, int error)
{
	if (error == EAGAIN || error == EINTR || error == ECONNABORTED)
		return;
	if (error == EINVAL)
		return; /* shut down: we are about to be told to stop */
	io_count(&loop->io.counters.refused, 1);
	if (error == EMFILE && loop->reserve >= 0)
		return; /* it was refused in an orderly way */
	log_error("accept: %s", strerror(error));
	listen_on_all(loop, false);
	loop->listen_again = loop->io.now + ACCEPT_PAUSE;
}

static void
accept_some(struct io_loop *loop, const struct listener *l)
{
	for (int i = 0; i < ACCEPTS; i++) {
		int fd = listener_accept(l, &loop->reserve);

		if (fd < 0) {
			accept_failed(loop, errno);
			return;
		}
		welcome(loop, l, fd);
	}
}

/* -- The loop -- */

static void
take_event(struct io_loop *loop, const struct epoll_event *ev)
{
	struct io_source *source = ev->data.ptr;

	if (source->kind == SOURCE_CONNECTION)
		connection_event(
		    (struct connection *)(void *)source, ev->events);
	else if (source->kind == SOURCE_WAKE)
		empty_inbox(loop);
	else if (source->kind == SOURCE_ANSWER)
		return; /* they are looked for in each turn */
	else if (loop->listening)
		accept_some(loop, (struct listener *)(void *)source);
}

/* Those that become ready meanwhile have their turn in the next one. */
static void
run_ready(struct io *io)
{
	for (unsigned n = io->ready_count; n > 0; n--) {
		struct connection *c = TAILQ_FIRST(&io->ready);

		if (c == NULL)
			return; /* others were closed meanwhile */
		connection_unready(c);
		connection_event(c, 0);
	}
}

static void
expire(struct io *io)
{
	for (unsigned i = 0; i < DEADLINES; i++) {
		struct deadline *d;

		while (
		    (d = deadline_expire(&io->deadlines[i], io->now)) != NULL)
			connection_expired(d->owner, (enum io_deadline)i);
	}
}

static void
bury(struct io_loop *loop)
{
	struct connection *c, *next;

	for (c = TAILQ_FIRST(&loop->io.dead); c != NULL; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->in_flight > 0)
			continue; /* workers still ask who it was */
		TAILQ_REMOVE(&loop->io.dead, c, link);
		atomic_fetch_sub(&loop->load, 1);
		connection_free(c, loop->io.peers);
	}
}

static int
timeout(const struct io_loop *loop)
{
	const struct io *io = &loop->io;
	uint64_t first = io->stopping ? loop->stop_at : UINT64_MAX;
	uint64_t now;

	if (!TAILQ_EMPTY(&io->ready) || io->lingering != NULL)
		return 0;
	if (!loop->listening && !io->stopping && loop->listen_again < first)
		first = loop->listen_again;
	for (size_t i = 0; i < DEADLINES; i++)
		if (deadline_first(&io->deadlines[i]) < first)
			first = deadline_first(&io->deadlines[i]);
	if (io->awaiting != NULL && io->look_again < first)
		first = io->look_again;
	if (first == UINT64_MAX)
		return -1;
	now = now_ms();
	if (first <= now)
		return 0;
	return first - now > 60000 ? 60000 : (int)(first - now);
}

static void
answers_awake(struct io_loop *loop)
{
	const struct server *s = loop->io.server;

	if (loop->io.awaiting == NULL)
		return;
	for (size_t i = 0; i < s->hsm_count; i++)
		hsm_await_wake(s->hsms[i], loop->io.port);
}

/* How long the thread may sleep: not at all when an answer came before it said
 * that it would. */
static int
rest(struct io_loop *loop)
{
	const struct server *s = loop->io.server;
	int ms = timeout(loop);

	if (loop->io.awaiting == NULL || ms == 0)
		return ms;
	for (size_t i = 0; i < s->hsm_count; i++)
		hsm_await_sleep(s->hsms[i], loop->io.port);
	return connection_has_answer(&loop->io) ? 0 : ms;
}

static bool
is_over(const struct io_loop *loop)
{
	const struct io *io = &loop->io;

	if (!io->stopping)
		return false;
	return (TAILQ_EMPTY(&io->open) && io->in_flight == 0) ||
	    now_ms() >= loop->stop_at;
}

static void
take_turn(struct io_loop *loop)
{
	struct epoll_event events[EVENTS];
	struct io *io = &loop->io;
	int n = epoll_wait(io->epoll, events, EVENTS, rest(loop));

	answers_awake(loop);
	io->now = now_ms();
	if (io->stopping || io->now < loop->listen_again)
		listen_on_all(loop, false);
	else
		listen_on_all(loop, true);
	io->busy = n > 1;
	for (int i = 0; i < n; i++)
		take_event(loop, &events[i]);
	run_ready(io);
	connection_resume_all(io);
	connection_settle_turn(io);
	connection_discard_all(io);
	connection_linger_once(io);
	expire(io);
	bury(loop);
}

static void *
loop_main(void *arg)
{
	struct io_loop *loop = arg;

	loop->io.now = now_ms();
	listen_on_all(loop, true);
	while (!is_over(loop))
		take_turn(loop);
	listen_on_all(loop, false);
	while (!TAILQ_EMPTY(&loop->io.open))
		connection_close(TAILQ_FIRST(&loop->io.open));
	connection_abandon_all(&loop->io);
	bury(loop);
	return NULL;
}

/* For the HSMs whose answers can be had without waiting for them. */
static void
listen_for_answers(struct io_loop *loop, unsigned number)
{
	const struct server *s = loop->io.server;
	/* By edges: then nobody has to read what woke us. */
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET,
		.data.ptr = &loop->answers };

	loop->answers.kind = SOURCE_ANSWER;
	loop->io.port = number;
	for (size_t i = 0; s != NULL && i < s->hsm_count; i++) {
		int fd = hsm_await_fd(s->hsms[i], number);

		if (fd >= 0 &&
		    epoll_ctl(loop->io.epoll, EPOLL_CTL_ADD, fd, &ev) == 0)
			loop->io.awaits = true;
	}
}

enum hf_err
io_loop_start(struct io_loop *loop, unsigned number)
{
	char name[16];
	sigset_t all, before;
	int rc;

	loop->io.workers = loop->group->workers;
	loop->io.lane = number + 1 < SERVER_LANES ? number + 1 : 0;
	listen_for_answers(loop, number);
	(void)sigfillset(&all); /* signals are the main thread's business */
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&loop->thread, NULL, loop_main, loop);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0)
		return HF_ERR_SYSTEM;
	loop->started = true;
	(void)snprintf(name, sizeof(name), "io-%u", number);
	(void)pthread_setname_np(loop->thread, name);
	return HF_OK;
}

void
io_loop_stop(struct io_loop *loop, unsigned ms)
{
	inbox_add_stop(&loop->inbox, now_ms() + ms);
}

void
io_loop_join(struct io_loop *loop)
{
	if (loop->started)
		(void)pthread_join(loop->thread, NULL);
	loop->started = false;
}

/* What came in after the thread had gone. */
static void
clear_inbox(struct io_loop *loop)
{
	struct inbox_contents late;
	struct connection *c;

	inbox_take(&loop->inbox, &late);
	while ((c = TAILQ_FIRST(&late.arrivals)) != NULL) {
		TAILQ_REMOVE(&late.arrivals, c, link);
		connection_free(c, loop->io.peers);
	}
	complete_all(late.finished);
	bury(loop);
}

void
io_loop_free(struct io_loop *loop)
{
	if (loop == NULL)
		return;
	clear_inbox(loop);
	if (loop->io.current != NULL)
		exchange_give(loop->io.current);
	exchange_pool_clear(&loop->io.currents);
	exchange_pool_clear(&loop->io.pool);
	arena_cache_free(loop->cache);
	arena_free(loop->buffers);
	free(loop->io.turn.lines.buf);
	fd_close(loop->io.epoll);
	fd_close(loop->reserve);
	inbox_close(&loop->inbox);
	free(loop);
}

void
io_loop_stats(const struct io_loop *loop, struct transport_stats *out)
{
	const struct io_counters *n = &loop->io.counters;

	out->accepted += atomic_load(&n->accepted);
	out->refused += atomic_load(&n->refused);
	out->requests += atomic_load(&n->requests);
	out->deferred += atomic_load(&n->deferred);
	out->busy += atomic_load(&n->busy);
	out->bytes_in += atomic_load(&n->bytes_in);
	out->bytes_out += atomic_load(&n->bytes_out);
	out->bad_frames += atomic_load(&n->bad_frames);
	out->timeouts += atomic_load(&n->timeouts);
}
