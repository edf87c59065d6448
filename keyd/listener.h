/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_LISTENER_H
#define KEYD_LISTENER_H

#include <stdbool.h>
#include <sys/types.h>

#include <holdfast/err.h>

#include "io_source.h"
#include "transport.h"

/* A listening socket. */
struct listener {
	struct io_source source;
	int fd;
	struct tls_context *tls; /* NULL: the Unix socket */
	bool inherited;          /* from systemd, which goes on serving it */
	char *path;              /* of a socket file that we made */
	dev_t dev;               /* ... and which file that was */
	ino_t ino;
};

/*
 * Makes the Unix socket. A file of a daemon that is gone is replaced; one that
 * somebody serves, that is no socket, or that is not ours is an error. Nobody
 * can connect before the mode is in force.
 */
enum hf_err listener_open_unix(
    const char *path, unsigned mode, struct listener *out, struct hf_why *why);

/*
 * Takes the one listening Unix socket that systemd passed (sd_listen_fds(3)).
 * HF_ERR_NOT_FOUND: it passed none.
 */
enum hf_err listener_open_systemd(struct listener *out, struct hf_why *why);

/* Reads certificates and key, and listens. HF_ERR_BAD_SETTINGS,
 * HF_ERR_SYSTEM. */
enum hf_err listener_open_tls(const struct transport_tls *settings,
    struct listener *out, struct hf_why *why);

/*
 * A connected, non-blocking socket, or -1 with errno. `reserve` is a
 * descriptor kept for this: when there are none left, it is given up for a
 * moment to take a connection and to refuse it (errno is EMFILE then), so
 * that the queue of the kernel drains and nobody waits in vain.
 */
int listener_accept(const struct listener *l, int *reserve);

/* Refuses new connections; those that are served go on. */
void listener_stop(struct listener *l);

/* Removes the socket file, if it still is the one that we made. */
void listener_close(struct listener *l);

#endif
