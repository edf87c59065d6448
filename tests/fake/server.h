/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FAKE_SERVER_H
#define FAKE_SERVER_H

/*
 * A service for tests of what talks to one: it speaks the wire, and a test's
 * function says what becomes of each request. A thread per connection. In a
 * header, because the tests of lib/ link nothing of the daemon.
 */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../lib/arena.h"
#include "../../lib/bytes.h"
#include "../../lib/envelope.h"
#include "../../lib/frame.h"
#include "../../lib/ops.h"

enum server_act {
	ACT_REPLY,   /* what was put into `reply` */
	ACT_SILENT,  /* no reply, ever */
	ACT_HANG_UP, /* close the connection */
	ACT_RUBBISH, /* bytes that are no frame */
};

struct server_request {
	const struct op *op; /* NULL: unknown */
	const void *in;      /* decoded; NULL when that failed */
	enum hf_err err;
	struct hf_why why;
	unsigned number; /* 1 for the first that this server got */
	struct envelope_options options;
	struct arena *arena;
	uint8_t *reply;
	size_t cap, len;
};

struct server;
typedef enum server_act server_fn(struct server *, struct server_request *);

enum { SERVER_CONNECTIONS = 512, SERVER_ROOM = 24 << 20 };

struct server {
	char folder[64], path[80];
	int listener;
	server_fn *fn;
	void *ctx;
	_Atomic size_t max; /* longest message taken */
	_Atomic unsigned requests, accepted;
	_Atomic bool stopping;
	pthread_t thread;
	pthread_mutex_t lock; /* of fds, and around fn */
	int fds[SERVER_CONNECTIONS];
	pthread_t threads[SERVER_CONNECTIONS];
};

struct server_connection {
	struct server *server;
	int fd;
};

static inline void
server_answer(struct server_request *r, const void *out)
{
	assert(envelope_reply(r->op->out, out, r->reply, r->cap, &r->len) ==
	    HF_OK);
}

static inline void
server_refuse(struct server_request *r, enum hf_err err, const char *message)
{
	assert(
	    envelope_error(err, message, r->reply, r->cap, &r->len) == HF_OK);
}

static inline bool
server_read_all(int fd, uint8_t *buf, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = read(fd, buf + at, len - at);

		if (n <= 0)
			return false;
		at += (size_t)n;
	}
	return true;
}

static inline bool
server_write_all(int fd, const uint8_t *buf, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = send(fd, buf + at, len - at, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		at += (size_t)n;
	}
	return true;
}

static inline bool
server_one(
    struct server *s, int fd, struct arena *arena, uint8_t *buf, uint8_t *reply)
{
	static const uint8_t rubbish[16] = { 0xff, 0xff, 0xff };
	size_t head = frame_header_size(FRAME_IPC);
	struct server_request r = { .arena = arena,
		.cap = SERVER_ROOM - 64,
		.reply = reply + head + FRAME_ID };
	struct envelope e;
	enum server_act act;
	size_t need;

	if (!server_read_all(fd, buf, head) ||
	    frame_measure(FRAME_IPC, buf, head, s->max, &need) != HF_OK ||
	    !server_read_all(fd, buf + head, need - head))
		return false;
	arena_reset(arena);
	r.err = envelope_open(
	    bytes_of(buf + head + FRAME_ID, need - head - FRAME_ID), &e,
	    &r.why);
	if (r.err == HF_OK && (r.op = op_by_name(e.op)) != NULL) {
		void *in = arena_alloc(arena, r.op->in->size);

		r.options = e.options;
		r.err = schema_decode(r.op->in, e.in, arena, in, &r.why);
		if (r.err == HF_OK)
			r.in = in;
	}
	(void)pthread_mutex_lock(&s->lock);
	r.number = atomic_fetch_add(&s->requests, 1) + 1;
	act = s->fn(s, &r);
	(void)pthread_mutex_unlock(&s->lock);
	if (act == ACT_SILENT)
		return true;
	if (act == ACT_RUBBISH)
		return server_write_all(fd, rubbish, sizeof(rubbish));
	if (act == ACT_HANG_UP)
		return false;
	frame_header(FRAME_IPC, FRAME_ID + r.len, reply);
	memcpy(reply + head, buf + head, FRAME_ID);
	return server_write_all(fd, reply, head + FRAME_ID + r.len);
}

static inline void *
server_connection_run(void *arg)
{
	struct server_connection *c = arg;
	struct server *s = c->server;
	uint8_t hello[FRAME_HELLO];
	uint8_t *buf = malloc(SERVER_ROOM);
	uint8_t *reply = malloc(SERVER_ROOM);
	struct arena *arena = NULL;

	assert(buf != NULL && reply != NULL);
	assert(arena_new(4096, 64 << 20, &arena) == HF_OK);
	frame_hello(FRAME_REP, hello);
	if (server_write_all(c->fd, hello, sizeof(hello)) &&
	    server_read_all(c->fd, hello, sizeof(hello)) &&
	    frame_hello_ok(FRAME_REQ, hello))
		while (server_one(s, c->fd, arena, buf, reply))
			;
	(void)pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < SERVER_CONNECTIONS; i++)
		if (s->fds[i] == c->fd)
			s->fds[i] = -1;
	(void)close(c->fd);
	(void)pthread_mutex_unlock(&s->lock);
	arena_free(arena);
	free(buf);
	free(reply);
	free(c);
	return NULL;
}

static inline void *
server_run(void *arg)
{
	struct server *s = arg;
	int fd;

	while ((fd = accept(s->listener, NULL, NULL)) >= 0) {
		struct server_connection *c = malloc(sizeof(*c));
		unsigned i = atomic_fetch_add(&s->accepted, 1);

		assert(c != NULL && i < SERVER_CONNECTIONS);
		*c = (struct server_connection){ s, fd };
		(void)pthread_mutex_lock(&s->lock);
		s->fds[i] = fd;
		assert(pthread_create(&s->threads[i], NULL,
			   server_connection_run, c) == 0);
		(void)pthread_mutex_unlock(&s->lock);
	}
	return NULL;
}

/* Listens again at the same path, after server_stop. */
static inline void
server_restart(struct server *s)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	atomic_store(&s->accepted, 0);
	memcpy(sa.sun_path, s->path, sizeof(s->path));
	s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)unlink(s->path);
	if (bind(s->listener, (struct sockaddr *)&sa, sizeof(sa)) != 0 ||
	    listen(s->listener, 64) != 0)
		abort();
	assert(pthread_create(&s->thread, NULL, server_run, s) == 0);
}

/* Makes a private folder with a socket in it. */
static inline struct server *
server_start(server_fn *fn, void *ctx)
{
	struct server *s = calloc(1, sizeof(*s));

	assert(s != NULL);
	s->fn = fn;
	s->ctx = ctx;
	s->max = 16 << 20;
	(void)pthread_mutex_init(&s->lock, NULL);
	(void)snprintf(s->folder, sizeof(s->folder), "/tmp/hf-test-XXXXXX");
	if (mkdtemp(s->folder) == NULL)
		abort();
	(void)snprintf(s->path, sizeof(s->path), "%s/keyd.sock", s->folder);
	server_restart(s);
	return s;
}

/* Hangs up on everybody and stops listening. A second time does nothing. */
static inline void
server_stop(struct server *s)
{
	if (s->listener < 0)
		return;
	(void)shutdown(s->listener, SHUT_RDWR);
	(void)pthread_join(s->thread, NULL);
	(void)close(s->listener);
	s->listener = -1;
	(void)pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < atomic_load(&s->accepted); i++)
		if (s->fds[i] >= 0)
			(void)shutdown(s->fds[i], SHUT_RDWR);
	(void)pthread_mutex_unlock(&s->lock);
	for (unsigned i = 0; i < atomic_load(&s->accepted); i++)
		(void)pthread_join(s->threads[i], NULL);
	(void)unlink(s->path);
}

/* Stops it and removes its folder. */
static inline void
server_free(struct server *s)
{
	server_stop(s);
	(void)rmdir(s->folder);
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}

#endif
