/* SPDX-License-Identifier: Apache-2.0 */
#include "inbox.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "../lib/fd.h"
#include "connection.h"

static void
empty(struct inbox *inbox)
{
	TAILQ_INIT(&inbox->contents.arrivals);
	inbox->contents.finished = NULL;
	inbox->last = &inbox->contents.finished;
	inbox->awake = false;
}

enum hf_err
inbox_open(struct inbox *inbox)
{
	inbox->source.kind = SOURCE_WAKE;
	(void)pthread_mutex_init(&inbox->lock, NULL);
	empty(inbox);
	inbox->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return inbox->fd < 0 ? HF_ERR_SYSTEM : HF_OK;
}

void
inbox_close(struct inbox *inbox)
{
	fd_close(inbox->fd);
	inbox->fd = -1;
	(void)pthread_mutex_destroy(&inbox->lock);
}

/* With the lock held, which this gives up. */
static void
unlock_and_wake(struct inbox *inbox)
{
	const uint64_t one = 1;
	bool wake = !inbox->awake;

	inbox->awake = true;
	(void)pthread_mutex_unlock(&inbox->lock);
	if (wake && write(inbox->fd, &one, sizeof(one)) < 0)
		return; /* only when it is readable 2^64 - 2 times over */
}

void
inbox_add_arrival(struct inbox *inbox, struct connection *c)
{
	(void)pthread_mutex_lock(&inbox->lock);
	TAILQ_INSERT_TAIL(&inbox->contents.arrivals, c, link);
	unlock_and_wake(inbox);
}

void
inbox_add_finished(struct inbox *inbox, struct exchange *ex)
{
	ex->next = NULL;
	(void)pthread_mutex_lock(&inbox->lock);
	*inbox->last = ex;
	inbox->last = &ex->next;
	unlock_and_wake(inbox);
}

void
inbox_add_stop(struct inbox *inbox, uint64_t stop_at)
{
	(void)pthread_mutex_lock(&inbox->lock);
	inbox->contents.stop = true;
	inbox->contents.stop_at = stop_at;
	unlock_and_wake(inbox);
}

void
inbox_take(struct inbox *inbox, struct inbox_contents *out)
{
	uint64_t count;

	/* Before the lock: whoever comes after it wakes us again. */
	if (read(inbox->fd, &count, sizeof(count)) < 0)
		count = 0; /* nobody had to */
	(void)pthread_mutex_lock(&inbox->lock);
	TAILQ_INIT(&out->arrivals);
	TAILQ_CONCAT(&out->arrivals, &inbox->contents.arrivals, link);
	out->finished = inbox->contents.finished;
	out->stop = inbox->contents.stop;
	out->stop_at = inbox->contents.stop_at;
	empty(inbox);
	(void)pthread_mutex_unlock(&inbox->lock);
}
