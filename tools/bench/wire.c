/* SPDX-License-Identifier: Apache-2.0 */
#include "wire.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "../../lib/fd.h"
#include "../../lib/frame.h"

enum {
	READ_ROOM = 1 << 20,
	REPLY_LONGEST = 1 << 28,
	TIMEOUT_S = 60,
	START_MS = 20000,
	STEP_MS = 5,
};

static bool
send_all(int fd, const uint8_t *buf, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, buf, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		buf += n;
		len -= (size_t)n;
	}
	return true;
}

static bool
say_hello(int fd)
{
	uint8_t hello[FRAME_HELLO];

	frame_hello(FRAME_REQ, hello);
	return send_all(fd, hello, sizeof(hello)) &&
	    recv(fd, hello, sizeof(hello), MSG_WAITALL) == FRAME_HELLO &&
	    frame_hello_ok(FRAME_REP, hello);
}

int
wire_connect(const char *path, bool raw)
{
	const struct timeval limit = { .tv_sec = TIMEOUT_S };
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (strlen(path) < sizeof(to.sun_path)) {
		memcpy(to.sun_path, path, strlen(path) + 1);
		if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 &&
		    (raw || say_hello(fd)))
			return fd;
	}
	(void)close(fd);
	return -1;
}

bool
wire_listens(const struct child *c, const char *path, bool raw)
{
	const struct timespec step = { .tv_nsec = STEP_MS * 1000000L };

	for (int ms = 0; ms < START_MS && child_runs(c); ms += STEP_MS) {
		int fd = wire_connect(path, raw);

		if (fd >= 0) {
			(void)close(fd);
			return true;
		}
		(void)nanosleep(&step, NULL);
	}
	return false;
}

/* -- One client -- */

struct client {
	const struct wire *wire;
	int fd;
	uint8_t *out; /* `depth` requests, one behind the other */
	size_t frame; /* bytes of each */
	uint8_t *in;
	size_t start, end; /* of what was read and is not looked at yet */
};

static bool
client_frames(struct client *c)
{
	const struct wire *w = c->wire;
	size_t head =
	    w->raw ? 0 : frame_header_size(FRAME_IPC) + (size_t)FRAME_ID;

	c->frame = head + w->len;
	c->out = malloc(c->frame * w->depth);
	c->in = malloc(READ_ROOM);
	if (c->out == NULL || c->in == NULL)
		return false;
	for (unsigned i = 0; i < w->depth; i++) {
		uint8_t *p = c->out + i * c->frame;

		if (!w->raw) {
			frame_header(FRAME_IPC, FRAME_ID + w->len, p);
			memcpy(p + head - FRAME_ID, "\x80\0\0", 3);
			p[head - 1] = (uint8_t)i;
		}
		memcpy(p + head, w->message, w->len);
	}
	return true;
}

/* {"out": ... */
static bool
reply_ok(const uint8_t *reply, size_t len)
{
	return len > 5 && memcmp(reply, "\xa1\x63out", 5) == 0;
}

/* How long the next reply is; 0: not all of it is there. Only replies that fit
 * the buffer are looked into; their beginning says enough. */
static bool
reply_size(const struct client *c, size_t *size)
{
	size_t have = c->end - c->start;
	const uint8_t *p = c->in + c->start;
	size_t head = frame_header_size(FRAME_IPC) + (size_t)FRAME_ID;

	if (c->wire->raw) {
		*size = c->wire->len;
		return true;
	}
	if (frame_measure(FRAME_IPC, p, have, REPLY_LONGEST, size) != HF_OK)
		return false;
	if (*size > 0 && have < head + 6)
		*size = 0;
	return *size == 0 || !c->wire->checked ||
	    reply_ok(p + head, *size - head);
}

static bool
client_read(struct client *c)
{
	ssize_t n;

	if (c->start == c->end)
		c->start = c->end = 0;
	else if (c->start > 0) {
		memmove(c->in, c->in + c->start, c->end - c->start);
		c->end -= c->start;
		c->start = 0;
	}
	n = recv(c->fd, c->in + c->end, READ_ROOM - c->end, 0);
	if (n <= 0)
		return false;
	c->end += (size_t)n;
	return true;
}

/* Reads until at least one reply is whole; *count of them were. */
static bool
client_receive(struct client *c, unsigned *count)
{
	*count = 0;
	while (*count == 0) {
		if (!client_read(c))
			return false;
		for (;;) {
			size_t size;

			if (!reply_size(c, &size))
				return false;
			if (size == 0 || size > c->end - c->start)
				break;
			c->start += size;
			++*count;
		}
		/* Longer than the buffer: nobody here makes such. */
		if (*count == 0 && c->end == READ_ROOM)
			return false;
	}
	return true;
}

static void
work(struct client *c, struct crew_member *m)
{
	unsigned waiting = c->wire->depth, got;
	uint64_t now = clock_ns(), began = now;

	m->failed = !send_all(c->fd, c->out, c->frame * waiting);
	while (!m->failed && waiting > 0) {
		m->failed = !client_receive(c, &got) || got > waiting;
		now = clock_ns();
		if (m->failed)
			break;
		if (c->wire->depth == 1)
			histogram_add(m->latency, now - began);
		waiting -= got;
		m->done += got;
		m->ended = now;
		began = now;
		if (now < m->deadline) {
			m->failed = !send_all(c->fd, c->out, c->frame * got);
			waiting += got;
		}
	}
}

static void
wire_member(struct crew_member *m)
{
	const struct wire *w = m->job;
	struct client c = { .wire = w, .fd = wire_connect(w->socket, w->raw) };

	m->failed = c.fd < 0 || !client_frames(&c);
	crew_begin(m);
	if (!m->failed)
		work(&c, m);
	fd_close(c.fd);
	free(c.out);
	free(c.in);
}

bool
wire_run(const struct wire *wire, double seconds, struct crew_result *out)
{
	struct wire copy = *wire;

	if (copy.depth == 0)
		copy.depth = 1;
	return crew_run(
	    wire_member, &copy, wire->threads, seconds, wire->server, out);
}
