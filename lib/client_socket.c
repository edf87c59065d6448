/* SPDX-License-Identifier: Apache-2.0 */
#include "client_socket.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "frame.h"

int64_t
deadline_now(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t
deadline_in(int timeout_ms)
{
	return timeout_ms < 0 ? DEADLINE_NEVER : deadline_now() + timeout_ms;
}

/* What poll() takes: -1 for ever, 0 when the deadline has passed. */
static int
remaining_ms(int64_t deadline)
{
	int64_t left;

	if (deadline == DEADLINE_NEVER)
		return -1;
	left = deadline - deadline_now();
	return left < 0 ? 0 : left > 1000000 ? 1000000 : (int)left;
}

void
nap_until(int64_t deadline, int64_t at_most_ms)
{
	int left = remaining_ms(deadline);
	int64_t ms = left < 0 || left > at_most_ms ? at_most_ms : left;
	struct timespec t = { .tv_sec = (time_t)(ms / 1000),
		.tv_nsec = (long)(ms % 1000) * 1000000 };

	(void)nanosleep(&t, NULL);
}

enum hf_err
client_socket_init(
    struct client_socket *s, const char *address, struct hf_why *why)
{
	static const char scheme[] = "ipc://";
	const char *path = address;

	if (strncmp(path, scheme, sizeof(scheme) - 1) == 0)
		path += sizeof(scheme) - 1;
	*s = (struct client_socket){ .fd = -1 };
	if (*path == '\0' || strlen(path) >= sizeof(s->address.sun_path))
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "the path of the socket must have 1 to %zu bytes",
		    sizeof(s->address.sun_path) - 1);
	s->address.sun_family = AF_UNIX;
	memcpy(s->address.sun_path, path, strlen(path) + 1);
	return HF_OK;
}

/*
 * A blocking connect with a send timeout: a non-blocking one answers EAGAIN
 * when the listener's backlog is full, and then poll() has nothing to wait on.
 */
static enum hf_err
connect_by(
    const struct client_socket *s, int fd, int64_t deadline, struct hf_why *why)
{
	const char *path = s->address.sun_path;

	for (;;) {
		int left = remaining_ms(deadline);
		struct timeval t = { .tv_sec = left / 1000,
			.tv_usec = left % 1000 * 1000 };

		if (left == 0)
			t.tv_usec = 1; /* all zero would be for ever */
		if (left >= 0)
			(void)setsockopt(
			    fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
		if (connect(fd, (const struct sockaddr *)&s->address,
			sizeof(s->address)) == 0 ||
		    errno == EISCONN)
			return HF_OK;
		if (errno != EINTR && errno != EAGAIN)
			break;
		if (remaining_ms(deadline) == 0)
			return hf_fail(why, HF_ERR_TIMEOUT,
			    "the service at %s accepts no connection", path);
	}
	if (errno == ENOENT || errno == ECONNREFUSED)
		return hf_fail(
		    why, HF_ERR_UNREACHABLE, "no service listens at %s", path);
	return hf_fail(why, HF_ERR_UNREACHABLE, "cannot connect to %s: %s",
	    path, strerrordesc_np(errno));
}

/* Writes or reads all of `len` bytes. */
static enum hf_err
exchange(const struct client_socket *s, bool write, uint8_t *buf, size_t len,
    int64_t deadline)
{
	size_t at = 0;

	while (at < len) {
		bool readable, writable;
		size_t n = 0;
		enum hf_err err = client_socket_wait(
		    s, write, deadline, &readable, &writable);

		if (err != HF_OK)
			return err;
		err = write ? client_socket_write(s, buf + at, len - at, &n)
			    : client_socket_read(s, buf + at, len - at, &n);
		if (err != HF_OK)
			return err;
		at += n;
	}
	return HF_OK;
}

static enum hf_err
greet(const struct client_socket *s, int64_t deadline, struct hf_why *why)
{
	uint8_t hello[FRAME_HELLO];
	const char *path = s->address.sun_path;
	enum hf_err err;

	frame_hello(FRAME_REQ, hello);
	err = exchange(s, true, hello, sizeof(hello), deadline);
	if (err == HF_OK)
		err = exchange(s, false, hello, sizeof(hello), deadline);
	if (err == HF_ERR_TIMEOUT)
		return hf_fail(
		    why, err, "the service at %s does not answer", path);
	if (err != HF_OK)
		return hf_fail(why, HF_ERR_UNREACHABLE,
		    "the service at %s closed the connection at once; it may "
		    "have too many",
		    path);
	if (!frame_hello_ok(FRAME_REP, hello))
		return hf_fail(why, HF_ERR_UNREACHABLE,
		    "what listens at %s is not a holdfast service", path);
	return HF_OK;
}

enum hf_err
client_socket_connect(
    struct client_socket *s, int64_t deadline, struct hf_why *why)
{
	struct stat st;
	enum hf_err err;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || fstat(fd, &st) != 0) {
		int reason = errno;

		if (fd >= 0)
			(void)close(fd);
		return hf_fail(why, HF_ERR_SYSTEM, "cannot make a socket: %s",
		    strerrordesc_np(reason));
	}
	if ((err = connect_by(s, fd, deadline, why)) != HF_OK) {
		(void)close(fd);
		return err;
	}
	s->fd = fd;
	s->pid = getpid();
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	if ((err = greet(s, deadline, why)) != HF_OK)
		client_socket_drop(s);
	return err;
}

/* Whether the number still stands for the socket that we opened. */
static bool
same_file(const struct client_socket *s)
{
	struct stat st;

	return s->fd >= 0 && fstat(s->fd, &st) == 0 && st.st_dev == s->dev &&
	    st.st_ino == s->ino;
}

bool
client_socket_ours(const struct client_socket *s)
{
	return s->pid == getpid() && same_file(s);
}

void
client_socket_drop(struct client_socket *s)
{
	if (same_file(s))
		(void)close(s->fd);
	s->fd = -1;
}

enum hf_err
client_socket_wait(const struct client_socket *s, bool want_write,
    int64_t deadline, bool *readable, bool *writable)
{
	struct pollfd p = { .fd = s->fd,
		.events = (short)(want_write ? POLLIN | POLLOUT : POLLIN) };
	int n;

	do
		n = poll(&p, 1, remaining_ms(deadline));
	while ((n < 0 && errno == EINTR) ||
	    (n == 0 && remaining_ms(deadline) != 0));
	if (n < 0)
		return HF_ERR_SYSTEM;
	if (n == 0)
		return HF_ERR_TIMEOUT;
	/* An error or a hang-up shows when it is read from. */
	*readable = (p.revents & ~POLLOUT) != 0;
	*writable = (p.revents & POLLOUT) != 0;
	return HF_OK;
}

enum hf_err
client_socket_write(
    const struct client_socket *s, const uint8_t *buf, size_t len, size_t *done)
{
	ssize_t n;

	*done = 0;
	do
		n = send(s->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? HF_OK : HF_ERR_DISCONNECTED;
	*done = (size_t)n;
	return HF_OK;
}

enum hf_err
client_socket_read(
    const struct client_socket *s, uint8_t *buf, size_t cap, size_t *done)
{
	ssize_t n;

	*done = 0;
	do
		n = recv(s->fd, buf, cap, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? HF_OK : HF_ERR_DISCONNECTED;
	if (n == 0)
		return HF_ERR_DISCONNECTED;
	*done = (size_t)n;
	return HF_OK;
}
