/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_CHANNEL_H
#define LIB_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/un.h>

#include <holdfast/err.h>

/*
 * The client's end of the Unix socket, made for life in somebody else's
 * process: no threads, no signals, close-on-exec, every wait with a deadline,
 * and errors instead of surprises after a fork or when the host has closed our
 * descriptor and uses its number for something else.
 */
struct channel {
	struct sockaddr_un address;
	int fd;    /* -1: not connected */
	pid_t pid; /* the process that connected */
	dev_t dev; /* what the descriptor was when we made it */
	ino_t ino;
};

/* Deadlines are moments of this clock, in milliseconds. */
#define DEADLINE_NEVER INT64_MAX
int64_t deadline_now(void);

/* A negative `timeout` means never. */
int64_t deadline_in(int timeout_ms);

/* Waits, but not beyond the deadline. */
void nap_until(int64_t deadline, int64_t at_most_ms);

/*
 * Sets where to connect to: a path or ipc://path. HF_ERR_BAD_SETTINGS when it
 * is too long for a socket address.
 */
enum hf_err channel_init(struct channel *ch, const char *address,
    struct hf_why *why);

/*
 * Connects and says hello. HF_ERR_UNREACHABLE with the reason in `why` at
 * once when nobody listens, HF_ERR_TIMEOUT when nobody answers.
 */
enum hf_err channel_connect(struct channel *ch, int64_t deadline,
    struct hf_why *why);

/*
 * Whether the descriptor still is the connection that this process made. After
 * a fork it is the parent's, and is to be dropped.
 */
bool channel_ours(const struct channel *ch);

/*
 * Closes the descriptor, without a word on the wire, if it still is the one
 * that was opened; forgets it otherwise.
 */
void channel_drop(struct channel *ch);

/*
 * Waits for something to read, or also for room to write. HF_ERR_TIMEOUT when
 * the deadline passes; one look is taken even after it. HF_OK leaves in
 * *readable and *writable what will not block.
 */
enum hf_err channel_wait(const struct channel *ch, bool want_write,
    int64_t deadline, bool *readable, bool *writable);

/*
 * Moves what goes without waiting; *done may be 0. HF_ERR_DISCONNECTED when
 * the other side is gone.
 */
enum hf_err channel_write(const struct channel *ch, const uint8_t *buf,
    size_t len, size_t *done);
enum hf_err channel_read(const struct channel *ch, uint8_t *buf, size_t cap,
    size_t *done);

#endif
