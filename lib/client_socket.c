/* SPDX-License-Identifier: Apache-2.0 */
#include "client_socket.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "client_tcp.h"
#include "client_tls.h"

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

int
deadline_left_ms(int64_t deadline)
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
	int left = deadline_left_ms(deadline);
	int64_t ms = left < 0 || left > at_most_ms ? at_most_ms : left;
	struct timespec t = { .tv_sec = (time_t)(ms / 1000),
		.tv_nsec = (long)(ms % 1000) * 1000000 };

	(void)nanosleep(&t, NULL);
}

/* -- Settings -- */

enum hf_err
client_socket_init(
    struct client_socket *s, const char *address, struct hf_why *why)
{
	*s = (struct client_socket){ .fd = -1 };
	return address_parse(address, &s->address, why);
}

enum hf_err
client_socket_set_tls(
    struct client_socket *s, const struct hf_tls *settings, struct hf_why *why)
{
	struct client_tls *tls;
	enum hf_err err;

	if (s->address.kind != ADDRESS_TLS)
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "%s is no address of TLS", s->address.text);
	err = client_tls_new(settings, s->address.host, &tls, why);
	if (err != HF_OK)
		return err;
	client_socket_drop(s);
	client_tls_free(s->tls);
	s->tls = tls;
	return HF_OK;
}

void
client_socket_free(struct client_socket *s)
{
	client_socket_drop(s);
	client_tls_free(s->tls);
	s->tls = NULL;
}

enum frame_kind
client_socket_wire(const struct client_socket *s)
{
	return s->address.kind == ADDRESS_UNIX ? FRAME_IPC : FRAME_STREAM;
}

/* -- Connecting -- */

/*
 * A blocking connect with a send timeout: a non-blocking one answers EAGAIN
 * when the listener's backlog is full, and then poll() has nothing to wait on.
 */
static enum hf_err
connect_by(const char *path, int fd, int64_t deadline, struct hf_why *why)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	memcpy(address.sun_path, path, strlen(path) + 1);
	for (;;) {
		int left = deadline_left_ms(deadline);
		struct timeval t = { .tv_sec = left / 1000,
			.tv_usec = left % 1000 * 1000 };

		if (left == 0)
			t.tv_usec = 1; /* all zero would be for ever */
		if (left >= 0)
			(void)setsockopt(
			    fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
		if (connect(fd, (const struct sockaddr *)&address,
			sizeof(address)) == 0 ||
		    errno == EISCONN)
			return HF_OK;
		if (errno != EINTR && errno != EAGAIN)
			break;
		if (deadline_left_ms(deadline) == 0)
			return hf_fail(why, HF_ERR_TIMEOUT,
			    "the service at %s accepts no connection", path);
	}
	if (errno == ENOENT || errno == ECONNREFUSED)
		return hf_fail(
		    why, HF_ERR_UNREACHABLE, "no service listens at %s", path);
	if (errno == EACCES)
		return hf_fail(why, HF_ERR_UNREACHABLE,
		    "the permissions of %s, or of a folder above it, keep this "
		    "user out",
		    path);
	return hf_fail(why, HF_ERR_UNREACHABLE, "cannot connect to %s: %s",
	    path, strerrordesc_np(errno));
}

static enum hf_err
open_unix(const char *path, int64_t deadline, int *out, struct hf_why *why)
{
	enum hf_err err;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return hf_fail(why, HF_ERR_SYSTEM, "cannot make a socket: %s",
		    strerrordesc_np(errno));
	if ((err = connect_by(path, fd, deadline, why)) != HF_OK) {
		(void)close(fd);
		return err;
	}
	*out = fd;
	return HF_OK;
}

/* Notes what it is that we have opened. */
static enum hf_err
adopt(struct client_socket *s, int fd, struct hf_why *why)
{
	struct stat st;

	if (fstat(fd, &st) != 0) {
		int reason = errno;

		(void)close(fd);
		return hf_fail(why, HF_ERR_SYSTEM, "cannot make a socket: %s",
		    strerrordesc_np(reason));
	}
	s->fd = fd;
	s->pid = getpid();
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	return HF_OK;
}

static enum hf_err
no_answer(const struct client_socket *s, struct hf_why *why)
{
	return hf_fail(why, HF_ERR_TIMEOUT, "the service at %s does not answer",
	    s->address.text);
}

/* Waits for any of `events`; what is there in *found. */
static enum hf_err
wait_for(int fd, short events, int64_t deadline, short *found)
{
	struct pollfd p = { .fd = fd, .events = events };
	int n;

	do
		n = poll(&p, 1, deadline_left_ms(deadline));
	while ((n < 0 && errno == EINTR) ||
	    (n == 0 && deadline_left_ms(deadline) != 0));
	if (n < 0)
		return HF_ERR_SYSTEM;
	*found = p.revents;
	return n == 0 ? HF_ERR_TIMEOUT : HF_OK;
}

static enum hf_err
shake_hands(struct client_socket *s, int64_t deadline, struct hf_why *why)
{
	enum hf_err err = client_tls_begin(s->tls, s->fd, why);
	enum tls_state state;
	short found;

	if (err != HF_OK)
		return err;
	while ((state = client_tls_handshake(s->tls)) != TLS_DONE) {
		if (state == TLS_FAILED || state == TLS_END)
			return client_tls_explain(s->tls, s->address.text, why);
		err = wait_for(s->fd, state == TLS_WRITE ? POLLOUT : POLLIN,
		    deadline, &found);
		if (err == HF_ERR_TIMEOUT)
			return no_answer(s, why);
		if (err != HF_OK)
			return err;
	}
	return HF_OK;
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

/*
 * Why the service closed the connection instead of a hello. With TLS 1.3 it
 * looks at our certificate only after our side of the handshake, and its
 * verdict is what there is to read.
 */
static enum hf_err
explain_end(const struct client_socket *s, struct hf_why *why)
{
	const char *who = s->address.text;
	uint8_t rest[FRAME_HELLO];
	size_t n;
	enum hf_err err;

	if (s->tls != NULL &&
	    client_socket_read(s, rest, sizeof(rest), &n) ==
		HF_ERR_DISCONNECTED) {
		err = client_tls_explain(s->tls, who, why);
		if (err != HF_ERR_UNREACHABLE)
			return err;
	}
	return hf_fail(why, HF_ERR_UNREACHABLE,
	    "the service at %s closed the connection at once; it may have too "
	    "many",
	    who);
}

static enum hf_err
greet(const struct client_socket *s, int64_t deadline, struct hf_why *why)
{
	uint8_t hello[FRAME_HELLO];
	enum hf_err err;

	frame_hello(FRAME_REQ, hello);
	err = exchange(s, true, hello, sizeof(hello), deadline);
	if (err == HF_OK)
		err = exchange(s, false, hello, sizeof(hello), deadline);
	if (err == HF_ERR_TIMEOUT)
		return no_answer(s, why);
	if (err != HF_OK)
		return explain_end(s, why);
	if (!frame_hello_ok(FRAME_REP, hello))
		return hf_fail(why, HF_ERR_UNREACHABLE,
		    "what listens at %s is not a holdfast service",
		    s->address.text);
	return HF_OK;
}

enum hf_err
client_socket_connect(
    struct client_socket *s, int64_t deadline, struct hf_why *why)
{
	bool remote = s->address.kind == ADDRESS_TLS;
	enum hf_err err;
	int fd;

	if (remote && s->tls == NULL)
		return client_tls_missing(why);
	err = remote ? client_tcp_open(&s->address, deadline, &fd, why)
		     : open_unix(s->address.path, deadline, &fd, why);
	if (err == HF_OK)
		err = adopt(s, fd, why);
	if (err != HF_OK)
		return err;
	if (remote)
		err = shake_hands(s, deadline, why);
	if (err == HF_OK)
		err = greet(s, deadline, why);
	if (err != HF_OK)
		client_socket_drop(s);
	return err;
}

/* -- The connection, and whose it is -- */

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
	if (s->tls != NULL)
		client_tls_end(s->tls, client_socket_ours(s));
	if (same_file(s))
		(void)close(s->fd);
	s->fd = -1;
}

/* -- Bytes -- */

enum hf_err
client_socket_wait(const struct client_socket *s, bool want_write,
    int64_t deadline, bool *readable, bool *writable)
{
	bool pending = s->tls != NULL && client_tls_pending(s->tls);
	short found = 0;
	enum hf_err err =
	    wait_for(s->fd, (short)(want_write ? POLLIN | POLLOUT : POLLIN),
		pending ? 0 : deadline, &found);

	if (err != HF_OK && !(pending && err == HF_ERR_TIMEOUT))
		return err;
	/* An error or a hang-up shows when it is read from. */
	*readable = pending || (found & ~POLLOUT) != 0;
	*writable = (found & POLLOUT) != 0;
	return HF_OK;
}

/* What a step of TLS means for those who know only sockets. */
static enum hf_err
err_of(enum tls_state state)
{
	return state == TLS_END || state == TLS_FAILED ? HF_ERR_DISCONNECTED
						       : HF_OK;
}

bool
client_socket_holds(const struct client_socket *s)
{
	return s->tls != NULL && client_tls_holds(s->tls);
}

enum hf_err
client_socket_write(
    const struct client_socket *s, const uint8_t *buf, size_t len, size_t *done)
{
	ssize_t n;

	*done = 0;
	if (s->tls != NULL)
		return err_of(client_tls_write(s->tls, buf, len, done));
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
	if (s->tls != NULL)
		return err_of(client_tls_read(s->tls, buf, cap, done));
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
