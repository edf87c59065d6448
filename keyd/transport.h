/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_TRANSPORT_H
#define KEYD_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast/err.h>

#include "pipeline.h"

/*
 * The sockets: a few I/O threads, each with an epoll loop and its share of the
 * connections, speaking SP frames (lib/frame.h) over the Unix socket and over
 * TLS. A request runs where its bytes arrived; what pipeline_run() defers goes
 * to worker threads and comes back to the thread that owns the connection.
 * Requests of one connection are answered independently, in whatever order
 * they finish.
 *
 * Nobody waits for anybody: a connection that does not read its replies is no
 * longer read from once its output passes a limit, and is closed when it makes
 * no progress within the send deadline.
 */
struct transport;

struct transport_limits {
	size_t message;            /* bytes of a CBOR message; 16 MiB */
	unsigned connections;      /* in all */
	unsigned connections_uid;  /* of one uid (or one certificate) */
	unsigned in_flight;        /* deferred requests of one connection */
	unsigned queue;            /* deferred requests in all; beyond: busy */
	unsigned handshake_ms;     /* for the SP hello, and for TLS */
	unsigned frame_ms;         /* from the first byte of a frame to its last */
	unsigned send_ms;          /* without progress on a full socket */
	unsigned idle_s;           /* 0: for ever */
};

struct transport_tls {
	const char *address; /* "127.0.0.1:7655", "[::1]:7655" */
	const char *certificate, *key, *client_ca; /* PEM files */
	bool allow_tls12; /* for peers without TLS 1.3, as Debian's libnng */
};

struct transport_settings {
	const char *socket; /* path of the Unix socket; NULL: none */
	unsigned socket_mode; /* 0666: policy decides, not the file */
	const struct transport_tls *tls;
	size_t tls_count;
	unsigned io_threads; /* 0: as many as cores, at most 4 */
	unsigned workers;    /* 0: cores + 2 */
	struct transport_limits limits;
};

struct transport_stats {
	uint64_t connections, accepted, refused, requests, deferred, busy;
	uint64_t bytes_in, bytes_out, bad_frames, timeouts;
};

/*
 * Binds and listens; a socket file that nobody serves is replaced, one that
 * somebody serves is an error. Raises RLIMIT_NOFILE as far as needed. A
 * listening Unix socket passed by systemd (LISTEN_FDS) is taken instead.
 */
enum hf_err transport_open(const struct transport_settings *settings,
    struct server *server, struct transport **out, struct hf_why *why);

/* Starts the threads. */
enum hf_err transport_start(struct transport *t);

/*
 * Stops accepting and reading, finishes what is in flight for at most `ms`,
 * sends its replies, joins the threads.
 */
void transport_stop(struct transport *t, unsigned ms);
void transport_close(struct transport *t);

void transport_stats(const struct transport *t, struct transport_stats *out);

#endif
