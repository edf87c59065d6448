/* SPDX-License-Identifier: Apache-2.0 */
#include "events.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../lib/bytes.h"
#include "../lib/fd.h"
#include "../lib/frame.h"
#include "listener.h"

enum {
	SEATS = 256,       /* subscribers in all */
	SEATS_EACH = 16,   /* of one user */
	EVENT_MAX = 512,   /* of an event */
	PAUSE_MS = 100,    /* when no connection can be accepted */
	FROM_STOP = SEATS, /* what epoll tells, beside the number of a seat */
	FROM_LISTENER,
};

struct subscriber {
	int fd; /* -1: nobody sits there */
	uid_t uid;
	uint64_t judged; /* the generation of the policies that let it in */
	size_t
	    heard; /* bytes of its hello; all of them: it is told of events */
	uint8_t hello[FRAME_HELLO];
};

struct events {
	struct policy_store *policy;
	struct listener listener;
	int epoll, stop, reserve;
	pthread_t thread; /* takes in and sees off */
	bool started;
	_Atomic unsigned listening; /* who is told of events */
	pthread_mutex_t lock; /* for the seats; only the thread changes them */
	struct subscriber seat[SEATS];
};

/* -- Who comes -- */

/* Whether the process of that uid may listen. */
static bool
may_listen(struct policy_store *policy, uid_t uid)
{
	struct policy_verdict verdict;
	struct policy_grant *grant;
	struct identity *id;
	struct hf_text subject;
	char text[32];
	bool may = false;

	(void)snprintf(text, sizeof(text), "uid:%u", uid);
	subject = text_of(text);
	if (identity_of_subjects(&subject, 1, &id, NULL) != HF_OK)
		return false;
	if (policy_grant_for(policy, id, &grant) == HF_OK) {
		may = policy_check(
		    grant, TEXT("sys/events"), HF_CAP_READ, NULL, 0, &verdict);
		policy_grant_free(grant);
	}
	identity_free(id);
	return may;
}

/* NULL: all are taken, or that user has as many as one may have. */
static struct subscriber *
free_seat(struct events *e, uid_t uid)
{
	struct subscriber *s = NULL;
	unsigned same = 0;

	for (size_t i = SEATS; i-- > 0;)
		if (e->seat[i].fd < 0)
			s = &e->seat[i];
		else if (e->seat[i].uid == uid)
			same++;
	return same < SEATS_EACH ? s : NULL;
}

/* False: it is not taken in, and the caller closes `fd`. */
static bool
admit(struct events *e, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN };
	uint8_t hello[FRAME_HELLO];
	struct ucred cred;
	socklen_t len = sizeof(cred);
	struct subscriber *s;
	uint64_t judged;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0)
		return false;
	s = free_seat(e, cred.uid);
	judged = policy_generation(e->policy);
	if (s == NULL || !may_listen(e->policy, cred.uid))
		return false;
	frame_hello(FRAME_PUB, hello);
	ev.data.u32 = (uint32_t)(s - e->seat);
	if (send(fd, hello, sizeof(hello), MSG_DONTWAIT | MSG_NOSIGNAL) !=
		FRAME_HELLO ||
	    epoll_ctl(e->epoll, EPOLL_CTL_ADD, fd, &ev) != 0)
		return false;
	(void)pthread_mutex_lock(&e->lock);
	*s = (struct subscriber){ .fd = fd, .uid = cred.uid, .judged = judged };
	(void)pthread_mutex_unlock(&e->lock);
	return true;
}

static void
welcome(struct events *e)
{
	struct pollfd stop = { .fd = e->stop, .events = POLLIN };
	int fd = listener_accept(&e->listener, &e->reserve);

	if (fd >= 0) {
		if (!admit(e, fd))
			(void)close(fd);
	} else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED &&
	    errno != EMFILE)
		(void)poll(&stop, 1, PAUSE_MS);
}

/* -- Who is there -- */

static void
see_off(struct events *e, struct subscriber *s)
{
	(void)pthread_mutex_lock(&e->lock);
	if (s->heard == FRAME_HELLO)
		(void)atomic_fetch_sub(&e->listening, 1);
	(void)close(s->fd);
	s->fd = -1;
	(void)pthread_mutex_unlock(&e->lock);
}

/* After its hello a subscriber says nothing any more. */
static void
hear(struct events *e, struct subscriber *s)
{
	uint8_t in[FRAME_HELLO];
	size_t room = FRAME_HELLO - s->heard;
	ssize_t n = recv(s->fd, in, room > 0 ? room : 1, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || room == 0) {
		see_off(e, s);
		return;
	}
	memcpy(s->hello + s->heard, in, (size_t)n);
	if ((size_t)n == room && !frame_hello_ok(FRAME_SUB, s->hello)) {
		see_off(e, s);
		return;
	}
	(void)pthread_mutex_lock(&e->lock);
	s->heard += (size_t)n;
	if (s->heard == FRAME_HELLO)
		(void)atomic_fetch_add(&e->listening, 1);
	(void)pthread_mutex_unlock(&e->lock);
}

static void *
feed_main(void *arg)
{
	struct events *e = arg;
	struct epoll_event ev;

	for (;;) {
		if (epoll_wait(e->epoll, &ev, 1, -1) != 1)
			continue;
		if (ev.data.u32 == FROM_STOP)
			return NULL;
		if (ev.data.u32 == FROM_LISTENER)
			welcome(e);
		else
			hear(e, &e->seat[ev.data.u32]);
	}
}

/* -- Beginning and end -- */

static bool
watch(struct events *e, int fd, uint32_t what)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = what };

	return epoll_ctl(e->epoll, EPOLL_CTL_ADD, fd, &ev) == 0;
}

static enum hf_err
start(struct events *e)
{
	sigset_t all, before;
	int rc;

	e->epoll = epoll_create1(EPOLL_CLOEXEC);
	e->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	e->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (e->epoll < 0 || e->stop < 0 || !watch(e, e->stop, FROM_STOP) ||
	    !watch(e, e->listener.fd, FROM_LISTENER))
		return HF_ERR_SYSTEM;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&e->thread, NULL, feed_main, e);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0)
		return HF_ERR_SYSTEM;
	e->started = true;
	(void)pthread_setname_np(e->thread, "events");
	return HF_OK;
}

enum hf_err
events_open(const char *url, struct policy_store *policy, struct events **out,
    struct hf_why *why)
{
	static const char prefix[] = "ipc://";
	struct hf_why reason = { "" };
	struct events *e;
	enum hf_err err;

	if (strncmp(url, prefix, sizeof(prefix) - 1) != 0)
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "events: %s is not an ipc:// address; only there does the "
		    "kernel tell who listens",
		    url);
	e = calloc(1, sizeof(*e));
	if (e == NULL)
		return HF_ERR_NO_MEMORY;
	e->policy = policy;
	e->listener.fd = e->epoll = e->stop = e->reserve = -1;
	for (size_t i = 0; i < SEATS; i++)
		e->seat[i].fd = -1;
	(void)pthread_mutex_init(&e->lock, NULL);
	err = listener_open_unix(
	    url + sizeof(prefix) - 1, 0666, &e->listener, &reason);
	if (err == HF_OK)
		err = start(e);
	if (err != HF_OK) {
		events_close(e);
		return hf_fail(why, err, "events: %s: %s", url,
		    reason.text[0] != '\0' ? reason.text
					   : hf_err_sentence(err));
	}
	*out = e;
	return HF_OK;
}

void
events_close(struct events *e)
{
	const uint64_t one = 1;

	if (e == NULL)
		return;
	if (e->started) {
		while (write(e->stop, &one, sizeof(one)) < 0 && errno == EINTR)
			;
		(void)pthread_join(e->thread, NULL);
	}
	listener_close(&e->listener);
	for (size_t i = 0; i < SEATS; i++)
		fd_close(e->seat[i].fd);
	fd_close(e->epoll);
	fd_close(e->stop);
	fd_close(e->reserve);
	(void)pthread_mutex_destroy(&e->lock);
	free(e);
}

/* -- What they are told -- */

/* Asked again of policies that came after it. Lock is held. */
static bool
still_may_listen(struct events *e, struct subscriber *s)
{
	uint64_t now = policy_generation(e->policy);

	if (s->judged != now && may_listen(e->policy, s->uid))
		s->judged = now;
	return s->judged == now;
}

/* Who does not read loses the event; and whoever has half of one can make
 * nothing of what follows. */
static void
tell(const struct subscriber *s, const uint8_t *frame, size_t len)
{
	ssize_t n = send(s->fd, frame, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n >= 0 && (size_t)n < len)
		(void)shutdown(s->fd, SHUT_RDWR);
}

void
events_publish(struct events *e, const char *event, const char *subject)
{
	uint8_t frame[FRAME_HEADER_MAX + EVENT_MAX];
	size_t head = frame_header_size(FRAME_IPC);
	char when[32];
	time_t now = time(NULL);
	struct tm tm;
	int n;

	if (e == NULL || subject == NULL || atomic_load(&e->listening) == 0)
		return;
	(void)gmtime_r(&now, &tm);
	(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	/* Names are of [A-Za-z0-9._-]: nothing in them needs escaping. */
	n = snprintf((char *)frame + head, EVENT_MAX,
	    "%s {\"event\":\"%s\",\"subject\":\"%s\",\"time\":\"%s\"}", event,
	    event, subject, when);
	if (n < 0 || n >= EVENT_MAX)
		return;
	frame_header(FRAME_IPC, (uint64_t)n, frame);
	(void)pthread_mutex_lock(&e->lock);
	for (size_t i = 0; i < SEATS; i++) {
		struct subscriber *s = &e->seat[i];

		if (s->fd < 0 || s->heard != FRAME_HELLO)
			continue;
		if (still_may_listen(e, s))
			tell(s, frame, head + (size_t)n);
		else /* the thread sees it off */
			(void)shutdown(s->fd, SHUT_RDWR);
	}
	(void)pthread_mutex_unlock(&e->lock);
}
