/* SPDX-License-Identifier: Apache-2.0 */
#include "client_tcp.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client_socket.h"

/*
 * A host that is gone says nothing. What was sent and not received is given up
 * after this time, so that a request goes out anew within its own.
 */
enum { UNHEARD_MS = 5000, IDLE_S = 30, PROBE_S = 5, PROBES = 3 };

/*
 * A host that takes no connection in this time (the kernel asks three times in
 * it) is not there; a request may have much more time, for its work.
 */
enum { CONNECT_MS = 4000 };

/* A failure of these costs nothing but what they are for. */
static void
set_options(int fd)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, UNHEARD_MS },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, IDLE_S },
		{ IPPROTO_TCP, TCP_KEEPINTVL, PROBE_S },
		{ IPPROTO_TCP, TCP_KEEPCNT, PROBES },
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		(void)setsockopt(fd, options[i].level, options[i].name,
		    &options[i].value, sizeof(options[i].value));
}

/* 0, or the error of errno.h. */
static int
wait_connected(int fd, int64_t deadline)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	int error = 0;
	socklen_t len = sizeof(error);
	int n;

	do
		n = poll(&p, 1, deadline_left_ms(deadline));
	while ((n < 0 && errno == EINTR) ||
	    (n == 0 && deadline_left_ms(deadline) != 0));
	if (n < 0)
		return errno;
	if (n == 0)
		return ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		return errno;
	return error;
}

/* Tries one address; 0 and a socket, or the error of errno.h. */
static int
try_address(const struct addrinfo *to, int64_t deadline, int *out)
{
	int fd = socket(to->ai_family,
	    to->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, to->ai_protocol);
	int error = 0;

	if (fd < 0)
		return errno;
	set_options(fd);
	if (connect(fd, to->ai_addr, to->ai_addrlen) != 0)
		error = errno == EINPROGRESS || errno == EINTR
		    ? wait_connected(fd, deadline)
		    : errno;
	if (error != 0) {
		(void)close(fd);
		return error;
	}
	*out = fd;
	return 0;
}

/* The time that the first of `left` addresses may take. */
static int64_t
share_of(int64_t deadline, int left)
{
	int64_t now = deadline_now();

	if (deadline <= now)
		return deadline;
	return now + (deadline - now) / left;
}

/* An address costs no question to anybody; a name does. */
static int
look_up(const struct address *to, struct addrinfo **out)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV };

	if (getaddrinfo(to->host, to->port, &hints, out) == 0)
		return 0;
	hints.ai_flags = AI_NUMERICSERV;
	return getaddrinfo(to->host, to->port, &hints, out);
}

enum hf_err
client_tcp_open(
    const struct address *to, int64_t deadline, int *out, struct hf_why *why)
{
	struct addrinfo *list;
	int64_t patience;
	int left = 0;
	int error = look_up(to, &list);

	if (error != 0)
		return hf_fail(why, HF_ERR_UNREACHABLE,
		    "%s: no address of this name: %s", to->text,
		    gai_strerror(error));
	for (const struct addrinfo *a = list; a != NULL; a = a->ai_next)
		left++;
	patience = deadline_in(CONNECT_MS);
	if (patience > deadline)
		patience = deadline;
	error = EHOSTUNREACH;
	for (const struct addrinfo *a = list; a != NULL; a = a->ai_next)
		if ((error = try_address(a, share_of(patience, left--), out)) ==
		    0)
			break;
	freeaddrinfo(list);
	if (error == ECONNREFUSED)
		return hf_fail(why, HF_ERR_UNREACHABLE,
		    "no service listens at %s", to->text);
	if (error != 0)
		return hf_fail(why, HF_ERR_UNREACHABLE,
		    "cannot connect to %s: %s", to->text,
		    strerrordesc_np(error));
	return HF_OK;
}
