/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_IO_LOOP_H
#define KEYD_IO_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast/err.h>

#include "io.h"
#include "listener.h"
#include "peers.h"
#include "transport.h"
#include "workers.h"

/*
 * One I/O thread: an epoll loop over the listening sockets, which all threads
 * share, and over its own connections. Whichever thread accepts a connection
 * hands it to the one that has the fewest.
 *
 * A turn of the loop: take what arrived, run what is whole, flush the audit
 * log once, send. Without a deadline that is armed it sleeps until the kernel
 * has something.
 */
struct io_loop;

/* What the threads share; outlives them. */
struct io_group {
	struct server *server;
	struct transport_limits limits;
	struct peers *peers;
	struct identities *identities;
	struct workers *workers;
	struct listener *listeners;
	size_t listener_count;
	struct io_loop **loops;
	size_t loop_count;
	struct io_shared shared;
};

/* Descriptors and buffers; no thread yet. HF_ERR_SYSTEM, HF_ERR_NO_MEMORY. */
enum hf_err io_loop_new(struct io_group *group, struct io_loop **out);

/* Starts its thread. */
enum hf_err io_loop_start(struct io_loop *loop, unsigned number);

/*
 * Takes no more connections and requests, and ends when all is answered, or
 * `ms` from now. Any thread.
 */
void io_loop_stop(struct io_loop *loop, unsigned ms);

/* Waits for the thread's end. */
void io_loop_join(struct io_loop *loop);

/*
 * Frees what is left. Its thread is joined, or was never started, and the
 * workers have nothing of its any more. NULL is fine.
 */
void io_loop_free(struct io_loop *loop);

/* Adds its counters. Any thread. */
void io_loop_stats(const struct io_loop *loop, struct transport_stats *out);

#endif
