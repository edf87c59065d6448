/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_CLIENT_SOCKET_H
#define LIB_CLIENT_SOCKET_H

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
struct client_socket {
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
enum hf_err client_socket_init(
    struct client_socket *s, const char *address, struct hf_why *why);

/*
 * Connects and says hello. HF_ERR_UNREACHABLE with the reason in `why` at
 * once when nobody listens, HF_ERR_TIMEOUT when nobody answers.
 */
enum hf_err client_socket_connect(
    struct client_socket *s, int64_t deadline, struct hf_why *why);

/*
 * Whether the descriptor still is the connection that this process made. After
 * a fork it is the parent's, and is to be dropped.
 */
bool client_socket_ours(const struct client_socket *s);

/*
 * Closes the descriptor, without a word on the wire, if it still is the one
 * that was opened; forgets it otherwise.
 */
void client_socket_drop(struct client_socket *s);

/*
 * Waits for something to read, or also for room to write. HF_ERR_TIMEOUT when
 * the deadline passes; one look is taken even after it. HF_OK leaves in
 * *readable and *writable what will not block.
 */
enum hf_err client_socket_wait(const struct client_socket *s, bool want_write,
    int64_t deadline, bool *readable, bool *writable);

/*
 * Moves what goes without waiting; *done may be 0. HF_ERR_DISCONNECTED when
 * the other side is gone.
 */
enum hf_err client_socket_write(const struct client_socket *s,
    const uint8_t *buf, size_t len, size_t *done);
enum hf_err client_socket_read(
    const struct client_socket *s, uint8_t *buf, size_t cap, size_t *done);

#endif
