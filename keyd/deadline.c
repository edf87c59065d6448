/* SPDX-License-Identifier: Apache-2.0 */
#include "deadline.h"

void
deadline_queue_init(struct deadline_queue *q, uint64_t ms)
{
	q->head.prev = &q->head;
	q->head.next = &q->head;
	q->ms = ms;
}

void
deadline_arm(struct deadline_queue *q, struct deadline *d, uint64_t now)
{
	deadline_disarm(d);
	if (q->ms == 0)
		return;
	d->at = now + q->ms;
	d->prev = q->head.prev;
	d->next = &q->head;
	d->prev->next = d;
	q->head.prev = d;
}

void
deadline_disarm(struct deadline *d)
{
	if (d->next == NULL)
		return;
	d->prev->next = d->next;
	d->next->prev = d->prev;
	d->prev = NULL;
	d->next = NULL;
}

struct deadline *
deadline_expire(struct deadline_queue *q, uint64_t now)
{
	struct deadline *d = q->head.next;

	if (d == &q->head || d->at > now)
		return NULL;
	deadline_disarm(d);
	return d;
}

uint64_t
deadline_first(const struct deadline_queue *q)
{
	return q->head.next == &q->head ? UINT64_MAX : q->head.next->at;
}
