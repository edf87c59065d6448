/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_CHANNEL_H
#define KEYD_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct tls_channel;

/* The bytes of one connection, plain or through TLS. Nothing here waits. */
struct channel {
	int fd;                  /* owned; -1 once closed */
	struct tls_channel *tls; /* owned; NULL: plain */
	size_t left;             /* bytes that channel_peek() left there */
};

/* What reading and writing return besides a number of bytes. */
enum { CHANNEL_AGAIN = -1, CHANNEL_FAILED = -2 };

/* 0: the peer sends no more. */
ssize_t channel_read(struct channel *ch, uint8_t *buf, size_t cap);

/*
 * As channel_read, but may leave the bytes in the socket as well, where nobody
 * sees them again. To take bytes out of a Unix socket wakes up a sender that
 * sleeps in recv(2): there is room again, which it did not ask for, and no
 * reply yet, so that it goes back to sleep. Where there is other work than
 * this request, it is cheaper to answer first and take them out then, by
 * channel_discard() or whatever is next.
 */
ssize_t channel_peek(struct channel *ch, uint8_t *buf, size_t cap);

/* Takes out what was left; false when that does not work, and then nothing is
 * read any more: no request is seen twice. `scratch` is overwritten. */
bool channel_discard(struct channel *ch, uint8_t *scratch, size_t cap);

/*
 * Writes as much as goes. After CHANNEL_AGAIN the next call must begin with
 * the same bytes: TLS has them in a record already.
 */
ssize_t channel_write(struct channel *ch, struct iovec *iov, size_t n);

/* Whether bytes were read from the socket that channel_read did not return. */
bool channel_pending(const struct channel *ch);

/* Whether TLS must write before it can go on, whatever we want to do. */
bool channel_wants_out(const struct channel *ch);

/* Leaves nothing unread: the peer would see an error instead of the end. */
void channel_close(struct channel *ch);

#endif
