/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/bytes.h"
#include "hsm_internal.h"
#include "hsm_process.h"
#include "leave.h"
#include "log.h"

/*
 * The host, which starts workers, and a worker. They end when the daemon does:
 * their sockets say so, and the kernel kills a child whose parent died.
 */

/* -- The worker -- */

struct lane_thread {
	int fd;
	struct hsm *hsm;
};

struct worker {
	int control;
	/* Of what is said: so that nothing old comes after what is newer. */
	pthread_mutex_t lock;
	struct hsm *hsm;
	const int *fds; /* of the ring if there is one, and of the lanes */
	size_t count;
	struct lane_thread lane[HSM_LANES_MAX];
};

/* A news that nobody takes says that the daemon is gone or stopped. */
static void
news_send(int control, const struct worker_news *news)
{
	while (send(control, news, sizeof(*news), MSG_NOSIGNAL) < 0 &&
	    errno == EINTR)
		;
}

static void
on_change(void *ctx, const struct hsm_info *info)
{
	struct worker *w = ctx;
	struct worker_news news = { .info = *info };

	(void)pthread_mutex_lock(&w->lock);
	news_send(w->control, &news);
	(void)pthread_mutex_unlock(&w->lock);
}

static void
on_effort(void *ctx, bool begun)
{
	struct worker *w = ctx;
	const struct worker_news news = { .busy_ms = begun, .no_info = 1 };

	(void)pthread_mutex_lock(&w->lock);
	news_send(w->control, &news);
	(void)pthread_mutex_unlock(&w->lock);
}

static void *
lane_main(void *arg)
{
	struct lane_thread *lane = arg;

	job_serve(lane->fd, lane->hsm);
	return NULL;
}

static bool
lanes_start(struct worker *w, const struct worker_order *order)
{
	size_t ring = order->ring != 0 ? RING_FDS : 0;

	if (w->count < ring ||
	    (ring > 0 &&
		hsm_ring_serve(w->fds, w->hsm,
		    hsm_sessions_wanted(order->sessions)) == NULL))
		return false;
	for (size_t i = 0; i < w->count - ring && i < HSM_LANES_MAX; i++) {
		pthread_t thread;

		w->lane[i].fd = w->fds[ring + i];
		w->lane[i].hsm = w->hsm;
		if (pthread_create(&thread, NULL, lane_main, &w->lane[i]) != 0)
			return false;
		(void)pthread_detach(thread);
	}
	return true;
}

/* The PIN goes to hsm_open() by a pipe, as any other would. */
static enum hf_err
worker_open(struct worker *w, const struct worker_order *order,
    const uint8_t *texts, struct hf_why *why)
{
	char uri[WORKER_ORDER_MAX], source[32];
	struct hsm_settings settings = { .uri = uri,
		.pin_source = source,
		.sessions = order->sessions,
		.deadline_ms = order->deadline_ms,
		.keepalive_ms = order->keepalive_ms,
		.serial = order->serial,
		.effort = on_effort,
		.cautious = order->cautious != 0 };
	int ends[2];
	bool written;

	memcpy(uri, texts, order->uri);
	uri[order->uri] = '\0';
	if (pipe(ends) != 0)
		return HF_ERR_SYSTEM;
	written = write(ends[1], texts + order->uri, order->pin) ==
	    (ssize_t)order->pin;
	(void)close(ends[1]);
	(void)snprintf(source, sizeof(source), "fd:%d", ends[0]);
	if (!written) {
		(void)close(ends[0]);
		return HF_ERR_SYSTEM;
	}
	return hsm_open(&settings, on_change, w, &w->hsm, why);
}

/* False when this is no order to begin. */
static bool
order_receive(
    struct worker *w, struct secret *buffer, struct worker_order *order)
{
	ssize_t n = recv(w->control, buffer->ptr, buffer->len, 0);

	if (n < (ssize_t)sizeof(*order))
		return false;
	memcpy(order, buffer->ptr, sizeof(*order));
	return order->what == WORKER_BEGIN && order->uri < WORKER_ORDER_MAX &&
	    sizeof(*order) + order->uri + order->pin == (size_t)n;
}

static bool
worker_begin(struct worker *w)
{
	AUTO_SECRET buffer = { 0 };
	struct worker_news news = { .err = HF_OK };
	struct worker_order order;
	enum hf_err err;

	if (secret_alloc(&buffer, WORKER_ORDER_MAX) != HF_OK ||
	    !order_receive(w, &buffer, &order))
		return false;
	log_set_level((enum log_level)order.log_level);
	err = worker_open(w, &order, buffer.ptr + sizeof(order), &news.why);
	if (err == HF_OK && !lanes_start(w, &order))
		err = HF_ERR_SYSTEM;
	news.err = err;
	if (err != HF_OK)
		news_send(w->control, &news);
	return err == HF_OK;
}

static void
beat(struct worker *w)
{
	struct worker_news news = { .err = HF_OK };

	(void)pthread_mutex_lock(&w->lock);
	news.busy_ms = hsm_busy_ms(w->hsm);
	hsm_info(w->hsm, &news.info);
	news_send(w->control, &news);
	(void)pthread_mutex_unlock(&w->lock);
}

/* False when there is an order to stop, or nobody to give one. */
static bool
asked_again(const struct worker *w)
{
	struct worker_order order;
	ssize_t n;

	do
		n = recv(w->control, &order, sizeof(order), 0);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(order) && order.what == WORKER_BEAT;
}

/* Until there is an order to stop, or nobody to give one. */
static void
worker_run(int control, const int *fds, size_t count)
{
	struct worker w = { .control = control,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.fds = fds,
		.count = count };

	if (!worker_begin(&w))
		return;
	do
		beat(&w);
	while (asked_again(&w));
	hsm_close(w.hsm);
}

/* -- The host -- */

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
		(void)close(HSM_HOST_FD);
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
		char bytes[CMSG_SPACE(HSM_FDS_MAX * sizeof(int))];
	} control;
	struct iovec v = { order, 1 };
	struct msghdr m = { .msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };
	ssize_t n = recvmsg(HSM_HOST_FD, &m, MSG_CMSG_CLOEXEC);
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
	int fds[HSM_FDS_MAX];
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
		(void)send(HSM_HOST_FD, &report, sizeof(report), MSG_NOSIGNAL);
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

	return getsockopt(HSM_HOST_FD, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
	    type == SOCK_SEQPACKET;
}

int
hsm_host_run(void)
{
	struct host h = { .child = 0 };
	struct pollfd fds[] = { { .fd = HSM_HOST_FD, .events = POLLIN },
		{ .events = POLLIN } };

	if (!started_by_daemon())
		return 1;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)prctl(PR_SET_NAME, "hsm-host");
	/* Sockets that systemd handed to the daemon are not for a library. */
	(void)close_range(HSM_HOST_FD + 1, ~0U, 0);
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
