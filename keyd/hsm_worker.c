/* SPDX-License-Identifier: Apache-2.0 */
#include "hsm_worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../lib/bytes.h"
#include "hsm_internal.h"
#include "hsm_process.h"
#include "log.h"

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

void
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
