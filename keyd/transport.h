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
 * A message beyond the limits is skipped and answered with too_large or busy;
 * what is no frame at all ends its connection.
 *
 * Nobody waits for anybody: a connection that does not read its replies is no
 * longer read from once its output passes a limit, and is closed when it makes
 * no progress within the send deadline.
 */
struct transport;

/* 0 takes the value in brackets. */
struct transport_limits {
	size_t message;           /* bytes of a CBOR message; [16 MiB] */
	size_t memory;            /* bytes of all messages that are half read,
				     deferred or unsent; one uid may take half
				     of it; [32 messages] */
	unsigned connections;     /* in all; a few of them are kept for uid 0
				     and the daemon's own; [4096] */
	unsigned connections_uid; /* of one uid (or one certificate); [1024] */
	unsigned in_flight;    /* deferred requests of one connection; [64] */
	unsigned queue;        /* deferred in all; beyond: busy; [1024] */
	unsigned handshake_ms; /* for the SP hello, and TLS; [10 s] */
	unsigned frame_ms;     /* from the first byte of a frame to its
				  last; [30 s] */
	unsigned send_ms;      /* without progress on a full socket; [30 s] */
	unsigned idle_s;       /* [for ever] */
};

struct transport_tls {
	const char *address; /* "127.0.0.1:7655", "[::1]:7655" */
	const char *certificate, *key, *client_ca; /* PEM files */
	bool allow_tls12; /* for peers without TLS 1.3, as Debian's libnng */
};

struct transport_settings {
	const char *socket;   /* path of the Unix socket; NULL: none */
	unsigned socket_mode; /* 0666: policy decides, not the file */
	const struct transport_tls *tls;
	size_t tls_count;
	unsigned io_threads; /* 0: as many as cores, at most 4 */
	unsigned workers;    /* 0: cores + 2 */
	struct transport_limits limits;
};

struct transport_stats {
	uint64_t connections; /* now */
	uint64_t accepted, refused;
	uint64_t requests, deferred;
	uint64_t busy; /* requests refused for want of room */
	uint64_t bytes_in, bytes_out, bad_frames, timeouts;
};

/*
 * Binds and listens; a socket file that nobody serves is replaced, one that
 * somebody serves is an error (HF_ERR_NAME_TAKEN). Raises RLIMIT_NOFILE as far
 * as needed. A listening Unix socket passed by systemd (LISTEN_FDS) is taken
 * instead. The settings are not needed afterwards.
 */
enum hf_err transport_open(const struct transport_settings *settings,
    struct server *server, struct transport **out, struct hf_why *why);

/* Starts the threads. */
enum hf_err transport_start(struct transport *t);

/*
 * Stops accepting and reading, finishes what is in flight for at most `ms`,
 * sends its replies, joins the threads. A request that a worker runs cannot be
 * interrupted and is waited for beyond that, without a reply. Once is enough,
 * again does nothing.
 */
void transport_stop(struct transport *t, unsigned ms);

/* Stops at once if need be. NULL is fine. */
void transport_close(struct transport *t);

/* Any thread, between open and close. */
void transport_stats(const struct transport *t, struct transport_stats *out);

#endif
