/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_WIRE_H
#define TOOLS_BENCH_WIRE_H

#include "child.h"
#include "crew.h"

/*
 * Clients that send the same message over and over: blocking sockets, a
 * connection and a thread each, no more work than the wire asks for.
 */
struct wire {
	const char *socket;
	const uint8_t *message;
	size_t len;
	unsigned threads, depth; /* requests in flight of each */
	bool raw;                /* no hello, no frames: the same bytes back */
	bool checked;            /* replies are Holdfast's, and none an error */
	pid_t server;            /* whose CPU time counts */
};

bool wire_run(const struct wire *wire, double seconds, struct crew_result *out);

/*
 * Waits until the child serves its socket; `raw` without the hello. False
 * after 20 seconds, or when it ends. (nng 1.5 serves nobody any more once a
 * client has left before its hello.)
 */
bool wire_listens(const struct child *c, const char *path, bool raw);

/* A connection that has said hello; -1 without one. */
int wire_connect(const char *path, bool raw);

#endif
