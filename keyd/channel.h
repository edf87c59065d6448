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
};

/* What reading and writing return besides a number of bytes. */
enum { CHANNEL_AGAIN = -1, CHANNEL_FAILED = -2 };

/* 0: the peer sends no more. */
ssize_t channel_read(struct channel *ch, uint8_t *buf, size_t cap);

/*
 * Writes as much as goes. After CHANNEL_AGAIN the next call must begin with
 * the same bytes: TLS has them in a record already.
 */
ssize_t channel_write(struct channel *ch, struct iovec *iov, size_t n);

/* Whether bytes were read from the socket that channel_read did not return. */
bool channel_pending(const struct channel *ch);

/* Whether TLS must write before it can go on, whatever we want to do. */
bool channel_wants_out(const struct channel *ch);

void channel_close(struct channel *ch);

#endif
