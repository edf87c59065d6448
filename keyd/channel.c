/* SPDX-License-Identifier: Apache-2.0 */
#include "channel.h"

#include <errno.h>
#include <sys/socket.h>

#include "../lib/bytes.h"
#include "../lib/fd.h"
#include "tls_channel.h"

static ssize_t
plain_result(ssize_t n)
{
	if (n >= 0)
		return n;
	return errno == EAGAIN || errno == EINTR ? CHANNEL_AGAIN
						 : CHANNEL_FAILED;
}

bool
channel_discard(struct channel *ch, uint8_t *scratch, size_t cap)
{
	while (ch->left > 0) {
		ssize_t n = recv(ch->fd, scratch,
		    ch->left < cap ? ch->left : cap, MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		bytes_wipe(scratch, (size_t)n);
		ch->left -= (size_t)n;
	}
	return true;
}

ssize_t
channel_peek(struct channel *ch, uint8_t *buf, size_t cap)
{
	ssize_t n;

	if (ch->tls != NULL)
		return channel_read(ch, buf, cap);
	if (!channel_discard(ch, buf, cap))
		return CHANNEL_FAILED;
	n = plain_result(recv(ch->fd, buf, cap, MSG_DONTWAIT | MSG_PEEK));
	if (n > 0)
		ch->left = (size_t)n;
	return n;
}

ssize_t
channel_read(struct channel *ch, uint8_t *buf, size_t cap)
{
	if (!channel_discard(ch, buf, cap))
		return CHANNEL_FAILED;
	if (ch->tls != NULL)
		return tls_channel_read(ch->tls, buf, cap);
	return plain_result(recv(ch->fd, buf, cap, MSG_DONTWAIT));
}

static ssize_t
tls_write(struct channel *ch, const struct iovec *iov, size_t n)
{
	size_t done = 0;

	for (size_t i = 0; i < n; i++) {
		ssize_t m =
		    tls_channel_write(ch->tls, iov[i].iov_base, iov[i].iov_len);

		if (m < 0)
			return done > 0 && m == CHANNEL_AGAIN ? (ssize_t)done
							      : m;
		done += (size_t)m;
		if ((size_t)m < iov[i].iov_len)
			break;
	}
	return (ssize_t)done;
}

ssize_t
channel_write(struct channel *ch, struct iovec *iov, size_t n)
{
	struct msghdr msg = { 0 };

	if (ch->tls != NULL)
		return tls_write(ch, iov, n);
	if (n == 1)
		return plain_result(send(ch->fd, iov[0].iov_base,
		    iov[0].iov_len, MSG_DONTWAIT | MSG_NOSIGNAL));
	msg.msg_iov = iov;
	msg.msg_iovlen = n;
	return plain_result(sendmsg(ch->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL));
}

bool
channel_pending(const struct channel *ch)
{
	return ch->tls != NULL && tls_channel_pending(ch->tls);
}

bool
channel_wants_out(const struct channel *ch)
{
	return ch->tls != NULL && tls_channel_wants_out(ch->tls);
}

void
channel_close(struct channel *ch)
{
	uint8_t scratch[1024];

	(void)channel_discard(ch, scratch, sizeof(scratch));
	tls_channel_free(ch->tls);
	ch->tls = NULL;
	fd_close(ch->fd);
	ch->fd = -1;
}
