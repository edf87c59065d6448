/* SPDX-License-Identifier: Apache-2.0 */
#include "identity_known.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "identity_proc.h"

enum { BUCKETS = 1024 };

struct identities {
	pthread_mutex_t lock; /* and for known, next and users of each */
	struct identity *bucket[BUCKETS];
};

enum hf_err
identities_new(struct identities **out)
{
	struct identities *known = calloc(1, sizeof(*known));

	if (known == NULL)
		return HF_ERR_NO_MEMORY;
	(void)pthread_mutex_init(&known->lock, NULL);
	*out = known;
	return HF_OK;
}

void
identities_free(struct identities *known)
{
	if (known == NULL)
		return;
	(void)pthread_mutex_destroy(&known->lock);
	free(known);
}

/* Whoever makes pids collide keeps as many processes alive. */
static struct identity **
bucket_of(struct identities *known, pid_t pid)
{
	return &known->bucket[(unsigned)pid % BUCKETS];
}

static bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* All that anybody may ask about them; the label follows from it. */
static bool
says_the_same(const struct identity *a, const struct identity *b)
{
	return a->pid == b->pid && a->uid == b->uid && a->gid == b->gid &&
	    a->group_count == b->group_count &&
	    (a->group_count == 0 ||
		memcmp(a->groups, b->groups,
		    a->group_count * sizeof(*a->groups)) == 0) &&
	    same_text(a->exe, b->exe) && a->exe_dev == b->exe_dev &&
	    a->exe_ino == b->exe_ino && a->exe_trusted == b->exe_trusted &&
	    same_text(a->unit, b->unit);
}

/*
 * A pid belongs to one process until that is dead and reaped. Both pidfds were
 * opened before this, so if the process behind `id` lives now and the one
 * behind `other` lives a moment later, both lived now, with the same pid: they
 * are one. The order of the two questions matters.
 */
static bool
is_same_process(const struct identity *id, const struct identity *other)
{
	return id->pid == other->pid && process_lives(id->pidfd) &&
	    process_lives(other->pidfd);
}

struct identity *
identities_share(struct identities *known, struct identity *id)
{
	struct identity **bucket, *other;

	if (known == NULL || id->pidfd < 0 || id->pid <= 0)
		return id;
	bucket = bucket_of(known, id->pid);
	(void)pthread_mutex_lock(&known->lock);
	for (other = *bucket; other != NULL; other = other->next)
		if (says_the_same(id, other) && is_same_process(id, other))
			break;
	if (other != NULL) {
		other->users++;
	} else {
		id->known = known;
		id->users = 1;
		id->next = *bucket;
		*bucket = id;
	}
	(void)pthread_mutex_unlock(&known->lock);
	if (other == NULL)
		return id;
	identity_free(id);
	return other;
}

bool
identities_leave(struct identity *id)
{
	struct identities *known = id->known;
	struct identity **link;
	bool last;

	if (known == NULL)
		return true;
	(void)pthread_mutex_lock(&known->lock);
	last = --id->users == 0;
	if (last) {
		link = bucket_of(known, id->pid);
		while (*link != id)
			link = &(*link)->next;
		*link = id->next;
	}
	(void)pthread_mutex_unlock(&known->lock);
	return last;
}
