/* SPDX-License-Identifier: Apache-2.0 */
#include "hsm_host.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hsm_worker.h"
#include "leave.h"
#include "log.h"

/* Where the host has its end of the socket. */
enum { HOST_FD = 3 };

/* To the host. A start comes with descriptors. */
enum host_order { HOST_START = 's', HOST_KILL = 'k' };

/* From it, when a worker has ended. */
struct host_report {
	int status; /* as of waitpid(2) */
};

/* -- The daemon's side -- */

/* Signals are blocked in the daemon's threads, but not over there. */
static int
host_exec(const char *program, int end, pid_t *pid)
{
	char name[] = "holdfast-keyd", mode[] = "--hsm-host";
	char *argv[] = { name, mode, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;
	int rc;

	(void)sigemptyset(&none);
	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawnattr_init(&attr);
	(void)posix_spawn_file_actions_adddup2(&actions, end, HOST_FD);
	(void)posix_spawnattr_setsigmask(&attr, &none);
	(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	rc = posix_spawn(pid, program, &actions, &attr, argv, environ);
	(void)posix_spawnattr_destroy(&attr);
	(void)posix_spawn_file_actions_destroy(&actions);
	return rc;
}

/* Started before they were needed (hsm_host_prepare). */
static struct {
	struct hsm_host host[HSM_HOSTS_MAX];
	size_t count;
	bool used; /* no other may be started any more */
} early;

static enum hf_err
host_spawn(const char *program, struct hsm_host *out)
{
	int ends[2], rc;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		return HF_ERR_SYSTEM;
	/* dup2 onto itself would leave it to be closed. */
	if (ends[1] == HOST_FD) {
		int other = fcntl(ends[1], F_DUPFD_CLOEXEC, HOST_FD + 1);

		(void)close(ends[1]);
		ends[1] = other;
	}
	rc = host_exec(program, ends[1], &pid);
	(void)close(ends[1]);
	if (rc != 0) {
		log_error(
		    "HSM: %s cannot be started: %s", program, strerror(rc));
		(void)close(ends[0]);
		return HF_ERR_SYSTEM;
	}
	*out = (struct hsm_host){ ends[0], pid };
	return HF_OK;
}

enum hf_err
hsm_host_prepare(size_t count, struct hf_why *why)
{
	early.used = true;
	for (; early.count < count; early.count++) {
		if (early.count == HSM_HOSTS_MAX ||
		    host_spawn("/proc/self/exe", &early.host[early.count]) !=
			HF_OK)
			return hf_fail(why, HF_ERR_SYSTEM,
			    "the process for the HSM's library cannot be "
			    "started");
	}
	return HF_OK;
}

enum hf_err
hsm_host_start(const char *program, struct hsm_host *out)
{
	enum hf_err err;

	if (early.count > 0) {
		*out = early.host[--early.count];
		return HF_OK;
	}
	err = host_spawn(program, out);
	if (err != HF_OK && early.used) {
		log_error("HSM: this process ends, to be started anew");
		(void)kill(getpid(), SIGTERM);
	}
	return err;
}

bool
hsm_host_launch(const struct hsm_host *host, const int *fds, size_t count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(HOST_FDS_MAX * sizeof(int))];
	} control;
	char order = HOST_START;
	struct iovec v = { &order, 1 };
	struct msghdr m = { .msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *c;

	memset(&control, 0, sizeof(control));
	c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	m.msg_controllen = CMSG_SPACE(count * sizeof(int));
	return sendmsg(host->fd, &m, MSG_NOSIGNAL) == 1;
}

void
hsm_host_kill(const struct hsm_host *host)
{
	char order = HOST_KILL;

	(void)send(host->fd, &order, 1, MSG_NOSIGNAL);
}

bool
hsm_host_worker_end(const struct hsm_host *host, int *status)
{
	struct host_report report;

	if (recv(host->fd, &report, sizeof(report), 0) !=
	    (ssize_t)sizeof(report))
		return false;
	*status = report.status;
	return true;
}

/* It would end by itself when its socket is closed, but nothing shall keep the
 * daemon from ending; a worker that is left dies with it. */
void
hsm_host_end(struct hsm_host *host)
{
	if (host->fd >= 0)
		(void)close(host->fd);
	if (host->pid > 0) {
		(void)kill(host->pid, SIGKILL);
		while (waitpid(host->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	*host = (struct hsm_host){ .fd = -1 };
}

/* -- The process itself: descriptor HOST_FD is the daemon -- */

struct host {
	int signals;
	pid_t child; /* 0: none */
};

static void
worker_start(struct host *h, int *fds, size_t count)
{
	pid_t host = getpid();
	sigset_t none;

	h->child = fork();
	if (h->child == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)prctl(PR_SET_NAME, "hsm-worker");
		(void)sigemptyset(&none);
		(void)sigprocmask(SIG_SETMASK, &none, NULL);
		(void)close(h->signals);
		(void)close(HOST_FD);
		if (getppid() == host)
			worker_run(fds[0], fds + 1, count - 1);
		leave(0);
	}
	if (h->child < 0)
		h->child = 0;
	for (size_t i = 0; i < count; i++)
		(void)close(fds[i]);
}

/* The order and the descriptors that came with it. */
static ssize_t
order_take(char *order, int *fds, size_t *count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(HOST_FDS_MAX * sizeof(int))];
	} control;
	struct iovec v = { order, 1 };
	struct msghdr m = { .msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };
	ssize_t n = recvmsg(HOST_FD, &m, MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;

	*count = 0;
	if (c != NULL && c->cmsg_type == SCM_RIGHTS) {
		*count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(c), *count * sizeof(int));
	}
	return n;
}

/* False when the daemon is gone. */
static bool
host_obey(struct host *h)
{
	int fds[HOST_FDS_MAX];
	size_t count;
	char order;
	ssize_t n = order_take(&order, fds, &count);

	if (n < 0)
		return errno == EINTR;
	if (n == 0)
		return false;
	if (order == HOST_START && h->child == 0 && count > 1)
		worker_start(h, fds, count);
	else if (order == HOST_KILL && h->child != 0)
		(void)kill(h->child, SIGKILL);
	return true;
}

static void
host_reap(struct host *h)
{
	struct host_report report;
	struct signalfd_siginfo info;

	if (read(h->signals, &info, sizeof(info)) < 0)
		return;
	while (h->child != 0 &&
	    waitpid(h->child, &report.status, WNOHANG) == h->child) {
		h->child = 0;
		(void)send(HOST_FD, &report, sizeof(report), MSG_NOSIGNAL);
	}
}

/* A stop of the service reaches all of its processes; this one ends when the
 * daemon has no use for it any more. */
static bool
host_signals(struct host *h)
{
	static const int ignored[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT,
		SIGPIPE, SIGUSR1, SIGUSR2 };
	sigset_t set;

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		(void)signal(ignored[i], SIG_IGN);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_SETMASK, &set, NULL) != 0)
		return false;
	h->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return h->signals >= 0;
}

/* Who starts it by hand waits in vain, and the signals to end it are blocked.
 */
static bool
started_by_daemon(void)
{
	int type = 0;
	socklen_t len = sizeof(type);

	return getsockopt(HOST_FD, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
	    type == SOCK_SEQPACKET;
}

int
hsm_host_run(void)
{
	struct host h = { .child = 0 };
	struct pollfd fds[] = { { .fd = HOST_FD, .events = POLLIN },
		{ .events = POLLIN } };

	if (!started_by_daemon())
		return 1;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)prctl(PR_SET_NAME, "hsm-host");
	/* Sockets that systemd handed to the daemon are not for a library. */
	(void)close_range(HOST_FD + 1, ~0U, 0);
	if (!host_signals(&h))
		return 1;
	fds[1].fd = h.signals;
	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return 1;
		if (fds[1].revents != 0)
			host_reap(&h);
		if (fds[0].revents != 0 && !host_obey(&h))
			return 0;
	}
}
