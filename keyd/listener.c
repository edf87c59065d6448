/* SPDX-License-Identifier: Apache-2.0 */
#include "listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "../lib/fd.h"
#include "tls_channel.h"

enum {
	BACKLOG = 1024, /* the kernel cuts it to net.core.somaxconn */
	SOCKET_FLAGS = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
};

static enum hf_err
fail_errno(struct hf_why *why, const char *what, const char *name)
{
	return hf_fail(
	    why, HF_ERR_SYSTEM, "%s %s: %s", what, name, strerror(errno));
}

static enum hf_err
unix_address(const char *path, struct sockaddr_un *out, struct hf_why *why)
{
	size_t len = strlen(path);

	*out = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (len == 0 || len >= sizeof(out->sun_path))
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "%s: the path of a socket has 1 to %zu bytes", path,
		    sizeof(out->sun_path) - 1);
	memcpy(out->sun_path, path, len + 1);
	return HF_OK;
}

/* Whether somebody listens there. In doubt (a full backlog, say): yes. */
static bool
is_served(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCKET_FLAGS, 0);
	int rc;
	bool refused;

	if (fd < 0)
		return true;
	rc = connect(fd, (const struct sockaddr *)address, sizeof(*address));
	refused = rc != 0 && (errno == ECONNREFUSED || errno == ENOENT);
	(void)close(fd);
	return !refused;
}

static enum hf_err
remove_stale(const struct sockaddr_un *address, struct hf_why *why)
{
	const char *path = address->sun_path;
	struct stat st;

	if (lstat(path, &st) != 0)
		return errno == ENOENT ? HF_OK : fail_errno(why, "stat", path);
	if (!S_ISSOCK(st.st_mode))
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "%s is there already and is not a socket", path);
	if (st.st_uid != geteuid())
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "%s is there already and belongs to somebody else", path);
	if (is_served(address))
		return hf_fail(why, HF_ERR_NAME_TAKEN,
		    "%s is served by another process", path);
	if (unlink(path) != 0)
		return fail_errno(why, "unlink", path);
	return HF_OK;
}

/*
 * Until listen() every connect() is refused, so the mode may be set in between.
 * Not by umask(): that belongs to all threads of the process.
 */
static enum hf_err
bind_with_mode(int fd, const struct sockaddr_un *address, unsigned mode,
    struct listener *l, struct hf_why *why)
{
	const char *path = address->sun_path;
	struct stat st;

	if (fchmod(fd, 0600) != 0 ||
	    bind(fd, (const struct sockaddr *)address, sizeof(*address)) != 0)
		return fail_errno(why, "bind", path);
	if (lstat(path, &st) != 0)
		return fail_errno(why, "stat", path);
	l->path = strdup(path);
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	if (l->path == NULL)
		return HF_ERR_NO_MEMORY;
	if (fchmodat(AT_FDCWD, path, mode, AT_SYMLINK_NOFOLLOW) != 0)
		return fail_errno(why, "chmod", path);
	if (listen(fd, BACKLOG) != 0)
		return fail_errno(why, "listen", path);
	return HF_OK;
}

enum hf_err
listener_open_unix(
    const char *path, unsigned mode, struct listener *out, struct hf_why *why)
{
	struct listener l = { .source.kind = SOURCE_LISTENER, .fd = -1 };
	struct sockaddr_un address;
	enum hf_err err = unix_address(path, &address, why);

	if (err == HF_OK)
		err = remove_stale(&address, why);
	if (err != HF_OK)
		return err;
	l.fd = socket(AF_UNIX, SOCKET_FLAGS, 0);
	if (l.fd < 0)
		return fail_errno(why, "socket", path);
	err = bind_with_mode(l.fd, &address, mode, &l, why);
	if (err != HF_OK) {
		listener_close(&l);
		return err;
	}
	*out = l;
	return HF_OK;
}

enum hf_err
listener_open_systemd(struct listener *out, struct hf_why *why)
{
	int count = sd_listen_fds(1);
	int fd = SD_LISTEN_FDS_START;

	if (count == 0)
		return HF_ERR_NOT_FOUND;
	if (count != 1 || sd_is_socket(fd, AF_UNIX, SOCK_STREAM, 1) <= 0)
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "systemd must pass one listening Unix stream socket");
	if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
		return fail_errno(why, "fcntl", "socket of systemd");
	*out = (struct listener){
		.source.kind = SOURCE_LISTENER, .fd = fd, .inherited = true
	};
	return HF_OK;
}

/* "127.0.0.1:7655" and "[::1]:7655" into their two halves. */
static enum hf_err
split_address(
    const char *address, char host[64], char port[8], struct hf_why *why)
{
	const char *colon = strrchr(address, ':');
	size_t len = colon == NULL ? 0 : (size_t)(colon - address);

	if (len > 2 && address[0] == '[' && address[len - 1] == ']') {
		address++;
		len -= 2;
	} else if (memchr(address, ':', len) != NULL) {
		len = 0; /* IPv6 without brackets: which colon is it? */
	}
	if (len == 0 || len >= 64 || strlen(colon + 1) >= 8 || colon[1] == '\0')
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "a listener's address looks like 127.0.0.1:7655 or "
		    "[::1]:7655");
	memcpy(host, address, len);
	host[len] = '\0';
	memcpy(port, colon + 1, strlen(colon + 1) + 1);
	return HF_OK;
}

static int
tcp_socket(const struct addrinfo *address)
{
	const int on = 1;
	int fd = socket(address->ai_family, SOCKET_FLAGS, 0);

	if (fd < 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (address->ai_family == AF_INET6)
		(void)setsockopt(
		    fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, address->ai_addr, address->ai_addrlen) != 0 ||
	    listen(fd, BACKLOG) != 0) {
		int saved = errno;

		(void)close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

static enum hf_err
listen_tcp(const char *address, int *fd, struct hf_why *why)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE };
	struct addrinfo *found = NULL;
	char host[64], port[8];
	enum hf_err err = split_address(address, host, port, why);
	int rc;

	if (err != HF_OK)
		return err;
	rc = getaddrinfo(host, port, &hints, &found);
	if (rc != 0)
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "%s: %s; a listener's address is in numbers, as in "
		    "127.0.0.1:7655 or [::1]:7655",
		    address, gai_strerror(rc));
	*fd = tcp_socket(found);
	freeaddrinfo(found);
	return *fd < 0 ? fail_errno(why, "listen", address) : HF_OK;
}

enum hf_err
listener_open_tls(const struct transport_tls *settings, struct listener *out,
    struct hf_why *why)
{
	struct listener l = { .source.kind = SOURCE_LISTENER, .fd = -1 };
	enum hf_err err = tls_context_new(settings, &l.tls, why);

	if (err == HF_OK)
		err = listen_tcp(settings->address, &l.fd, why);
	if (err != HF_OK) {
		listener_close(&l);
		return err;
	}
	*out = l;
	return HF_OK;
}

static int
try_accept(const struct listener *l)
{
	return accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

static int
refuse_for_want_of_descriptors(const struct listener *l, int *reserve)
{
	int error = EMFILE;
	int fd;

	fd_close(*reserve);
	fd = try_accept(l);
	if (fd >= 0)
		(void)close(fd);
	else
		error = errno; /* EAGAIN: another thread was quicker */
	*reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
	errno = error;
	return -1;
}

int
listener_accept(const struct listener *l, int *reserve)
{
	const int on = 1;
	int fd = try_accept(l);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE))
		return refuse_for_want_of_descriptors(l, reserve);
	if (fd >= 0 && l->tls != NULL) {
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	}
	return fd;
}

static void
remove_own_file(struct listener *l)
{
	struct stat st;

	if (l->path == NULL)
		return;
	if (lstat(l->path, &st) == 0 && st.st_dev == l->dev &&
	    st.st_ino == l->ino)
		(void)unlink(l->path);
	free(l->path);
	l->path = NULL;
}

void
listener_stop(struct listener *l)
{
	remove_own_file(l);
	if (!l->inherited && l->fd >= 0)
		(void)shutdown(l->fd, SHUT_RD);
}

void
listener_close(struct listener *l)
{
	remove_own_file(l);
	fd_close(l->fd);
	l->fd = -1;
	tls_context_free(l->tls);
	l->tls = NULL;
}
