/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_CLIENT_SOCKET_H
#define LIB_CLIENT_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <holdfast/err.h>

#include "address.h"
#include "frame.h"

struct client_tls;
struct hf_tls;

/*
 * The client's end of the connection, a Unix socket or TLS over TCP, made for
 * life in somebody else's process: no threads, no signals, close-on-exec,
 * every wait with a deadline, and errors instead of surprises after a fork or
 * when the host has closed our descriptor and uses its number for something
 * else.
 */
struct client_socket {
	struct address address;
	struct client_tls *tls; /* owned; NULL: a Unix socket, or no settings */
	int fd;                 /* -1: not connected */
	pid_t pid;              /* the process that connected */
	dev_t dev;              /* what the descriptor was when we made it */
	ino_t ino;
};

/* Deadlines are moments of this clock, in milliseconds. */
#define DEADLINE_NEVER INT64_MAX
int64_t deadline_now(void);

/* A negative `timeout` means never. */
int64_t deadline_in(int timeout_ms);

/* What poll() takes: -1 for ever, 0 when the deadline has passed. */
int deadline_left_ms(int64_t deadline);

/* Waits, but not beyond the deadline. */
void nap_until(int64_t deadline, int64_t at_most_ms);

/*
 * Sets where to connect to (address.h). HF_ERR_BAD_SETTINGS when it is no
 * address.
 */
enum hf_err client_socket_init(
    struct client_socket *s, const char *address, struct hf_why *why);

/* Settings for a tls+tcp:// address, which cannot be connected to without;
 * HF_ERR_BAD_SETTINGS for another one. */
enum hf_err client_socket_set_tls(
    struct client_socket *s, const struct hf_tls *settings, struct hf_why *why);

/* Drops the connection and frees what init and set_tls made. */
void client_socket_free(struct client_socket *s);

/* How frames look there. */
enum frame_kind client_socket_wire(const struct client_socket *s);

/*
 * Connects and says hello. HF_ERR_UNREACHABLE with the reason in `why` at
 * once when nobody listens, HF_ERR_TIMEOUT when nobody answers. With TLS also
 * HF_ERR_UNTRUSTED, HF_ERR_CLIENT_REFUSED and HF_ERR_BAD_SETTINGS.
 */
enum hf_err client_socket_connect(
    struct client_socket *s, int64_t deadline, struct hf_why *why);

/*
 * Whether the descriptor still is the connection that this process made. After
 * a fork it is the parent's, and is to be dropped.
 */
bool client_socket_ours(const struct client_socket *s);

/*
 * Closes the descriptor if it still is the one that was opened; forgets it
 * otherwise. Nothing goes over the wire but TLS's goodbye, and that only in
 * the process that connected.
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
 * the other side is gone. When a write moved nothing, the next one must begin
 * with the same bytes, or the connection be dropped, if client_socket_holds():
 * TLS has them in a record already.
 */
bool client_socket_holds(const struct client_socket *s);
enum hf_err client_socket_write(const struct client_socket *s,
    const uint8_t *buf, size_t len, size_t *done);
enum hf_err client_socket_read(
    const struct client_socket *s, uint8_t *buf, size_t cap, size_t *done);

#endif
