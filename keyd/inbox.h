/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_INBOX_H
#define KEYD_INBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <holdfast/err.h>

#include "io.h"
#include "io_source.h"

/*
 * How other threads reach an I/O thread: connections for it to own, requests
 * that a worker is done with, and the word to stop. One wake-up, however much
 * came together.
 */
struct inbox_contents {
	struct connection_list arrivals;
	struct exchange *finished; /* a list, oldest first */
	bool stop;
	uint64_t stop_at;
};

struct inbox {
	struct io_source source; /* epoll reports it */
	int fd;                  /* an eventfd, readable when there is news */
	pthread_mutex_t lock;
	struct inbox_contents contents;
	struct exchange **last; /* of contents.finished */
	bool awake;             /* the thread knows, or will in a moment */
};

/* HF_ERR_SYSTEM without a descriptor. The caller adds it to epoll. */
enum hf_err inbox_open(struct inbox *inbox);
void inbox_close(struct inbox *inbox);

/* Any thread. */
void inbox_add_arrival(struct inbox *inbox, struct connection *c);
void inbox_add_finished(struct inbox *inbox, struct exchange *ex);
void inbox_add_stop(struct inbox *inbox, uint64_t stop_at);

/* Moves everything out. The I/O thread, or after its end. */
void inbox_take(struct inbox *inbox, struct inbox_contents *out);

#endif
