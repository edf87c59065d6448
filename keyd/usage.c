/* SPDX-License-Identifier: Apache-2.0 */
#include "usage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/bytes.h"
#include "effects.h"
#include "usage_internal.h"

enum { BITS = 64 * USAGE_WORDS };

static const char *const class_names[USAGE_CLASSES] = {
	[USAGE_ENCRYPT] = "encrypt",
	[USAGE_DECRYPT] = "decrypt",
	[USAGE_REWRAP] = "rewrap",
	[USAGE_SIGN] = "sign",
	[USAGE_VERIFY] = "verify",
	[USAGE_MAC] = "mac",
	[USAGE_DERIVE] = "derive",
};

const char *usage_class_name(enum usage_class class)
{
	return class_names[class];
}

/* -- Counting -- */

void
usage_mark(struct usage *u)
{
	struct usages *all = u->key->all;
	struct usage *head;

	if (atomic_load_explicit(&u->dirty, memory_order_relaxed) ||
	    atomic_exchange(&u->dirty, true))
		return;
	head = atomic_load(&all->dirty);
	do
		u->next_dirty = head;
	while (!atomic_compare_exchange_weak(&all->dirty, &head, u));
	if (head == NULL && all->wake != NULL)
		all->wake(all->ctx);
}

struct use_counter *
usage_counter(struct usage *u, enum usage_class class)
{
	struct use_counter *c = atomic_load_explicit(
			       &u->counters[class], memory_order_acquire),
			   *fresh;

	if (c != NULL)
		return c;
	fresh = calloc(1, sizeof(*fresh));
	if (fresh == NULL)
		return NULL;
	if (atomic_compare_exchange_strong(&u->counters[class], &c, fresh))
		return fresh;
	free(fresh); /* another thread was quicker */
	return c;
}

/* Every caller has a bit; the first few are known besides. */
static void
count_caller(struct use_counter *c, uint64_t caller)
{
	uint32_t mark = (uint32_t)caller | 1;
	_Atomic uint64_t *word = &c->bits[caller >> 32 & (USAGE_WORDS - 1)];
	uint64_t bit = UINT64_C(1) << (caller >> 48 & 63);

	if ((atomic_load_explicit(word, memory_order_relaxed) & bit) == 0)
		(void)atomic_fetch_or_explicit(word, bit, memory_order_relaxed);
	for (size_t i = 0; i < USAGE_KNOWN; i++) {
		uint32_t is =
		    atomic_load_explicit(&c->known[i], memory_order_relaxed);

		if (is == mark ||
		    (is == 0 &&
			(atomic_compare_exchange_strong(
			     &c->known[i], &is, mark) ||
			    is == mark)))
			return;
	}
}

/* The clock may be set back: "last" then stays what it was. */
static void
count_time(struct use_counter *c)
{
	struct timespec t;
	uint64_t now, last, never = 0;

	(void)clock_gettime(CLOCK_REALTIME_COARSE, &t);
	now = (uint64_t)t.tv_sec;
	last = atomic_load_explicit(&c->last, memory_order_relaxed);
	if (last >= now)
		return;
	atomic_store_explicit(&c->last, now, memory_order_relaxed);
	if (last == 0)
		(void)atomic_compare_exchange_strong(&c->first, &never, now);
}

void
usage_count(struct usage *u, enum usage_class class, uint64_t caller)
{
	struct use_counter *c = u == NULL ? NULL : usage_counter(u, class);

	if (c == NULL)
		return;
	(void)atomic_fetch_add_explicit(&c->count, 1, memory_order_relaxed);
	count_time(c);
	count_caller(c, caller);
	usage_mark(u);
}

enum hf_err
usage_take(struct usage *u, uint64_t limit, bool may_block)
{
	enum hf_err err;

	while (u != NULL) {
		uint64_t n = atomic_fetch_add(&u->taken, 1) + 1;

		if (limit == 0 ||
		    (n <= limit && n <= atomic_load(&u->reserved)))
			break;
		(void)atomic_fetch_sub(&u->taken, 1);
		if (n > limit)
			return HF_ERR_KEY_EXHAUSTED;
		if (!may_block)
			return HF_ERR_DEFER;
		if (effects_dry())
			return HF_OK; /* nothing of it leaves */
		if ((err = usage_reserve(u, limit)) != HF_OK)
			return err;
	}
	return HF_OK;
}

/* -- Looking -- */

static uint64_t
callers_of(struct use_counter *c)
{
	unsigned known = 0, zeros = 0;
	double sum = 0;

	while (known < USAGE_KNOWN && atomic_load(&c->known[known]) != 0)
		known++;
	if (known < USAGE_KNOWN)
		return known;
	for (size_t i = 0; i < USAGE_WORDS; i++)
		zeros += 64 -
		    (unsigned)__builtin_popcountll(atomic_load(&c->bits[i]));
	/* So many callers, on average, leave so many bits: -m ln(zeros / m). */
	for (unsigned i = zeros + 1; i <= BITS; i++)
		sum += (double)BITS / i;
	return sum < USAGE_KNOWN ? USAGE_KNOWN : (uint64_t)(sum + 0.5);
}

void
usage_read(
    const struct usage *u, enum usage_class class, struct usage_info *out)
{
	struct use_counter *c =
	    u == NULL ? NULL : atomic_load(&u->counters[class]);

	*out = (struct usage_info){ 0 };
	if (c == NULL)
		return;
	out->count = atomic_load(&c->count);
	out->first = atomic_load(&c->first);
	out->last = atomic_load(&c->last);
	out->callers = callers_of(c);
}

uint64_t
usage_taken(const struct usage *u)
{
	return u == NULL ? 0 : atomic_load(&u->taken);
}

/* -- Keys -- */

static struct usage_key **
slot_of(struct usages *all, const uint8_t *id)
{
	struct usage_key **link = &all->table[get_u32(id) % USAGE_BUCKETS];

	while (*link != NULL && memcmp((*link)->id, id, HSM_ID) != 0)
		link = &(*link)->next;
	return link;
}

static void
usage_free(struct usage *u)
{
	for (size_t i = 0; i < USAGE_CLASSES; i++)
		free(atomic_load(&u->counters[i]));
	free(u);
}

static void
key_free(struct usage_key *key)
{
	for (size_t i = 0; i < key->count; i++)
		usage_free(key->versions[i]);
	free(key->versions);
	free(key);
}

static void
set_keyring(struct usage_key *key, const char *keyring)
{
	(void)snprintf(key->keyring, sizeof(key->keyring), "%s", keyring);
}

static struct usage_key *
key_new(struct usages *all, const uint8_t *id, const char *keyring)
{
	struct usage_key *key = calloc(1, sizeof(*key));

	if (key == NULL)
		return NULL;
	key->all = all;
	key->refs = 1;
	memcpy(key->id, id, HSM_ID);
	set_keyring(key, keyring);
	return key;
}

/* Takes a reference to one that is there; `frees` as it stood. */
static struct usage_key *
key_find(
    struct usages *all, const uint8_t *id, const char *keyring, uint64_t *frees)
{
	struct usage_key *key;

	(void)pthread_mutex_lock(&all->lock);
	key = *slot_of(all, id);
	if (key != NULL) {
		key->refs++;
		set_keyring(key, keyring); /* a restored key may move */
	}
	*frees = all->frees;
	(void)pthread_mutex_unlock(&all->lock);
	return key;
}

/* NULL: what was read meanwhile is old, or somebody else was quicker. */
static struct usage_key *
key_put(struct usages *all, struct usage_key *fresh, uint64_t frees)
{
	struct usage_key **link, *key = NULL;

	(void)pthread_mutex_lock(&all->lock);
	link = slot_of(all, fresh->id);
	if (*link == NULL && all->frees == frees)
		*link = key = fresh;
	(void)pthread_mutex_unlock(&all->lock);
	return key;
}

enum hf_err
usage_open(struct usages *all, const uint8_t *id, const char *keyring,
    bool made_now, struct usage_key **out)
{
	uint64_t frees;
	enum hf_err err;

	while ((*out = key_find(all, id, keyring, &frees)) == NULL) {
		struct usage_key *fresh = key_new(all, id, keyring);

		if (fresh == NULL)
			return HF_ERR_NO_MEMORY;
		if (!made_now && (err = usage_load(all, fresh)) != HF_OK) {
			key_free(fresh);
			return err;
		}
		*out = key_put(all, fresh, frees);
		if (*out != NULL)
			break;
		key_free(fresh);
	}
	return HF_OK;
}

struct usage *
usage_version_locked(struct usage_key *key, uint32_t number)
{
	size_t at = key->count;
	struct usage *u;

	while (at > 0 && key->versions[at - 1]->number > number)
		at--;
	if (at > 0 && key->versions[at - 1]->number == number)
		return key->versions[at - 1];
	if (key->count == key->room) {
		size_t room = key->room == 0 ? 4 : 2 * key->room;
		void *p =
		    reallocarray(key->versions, room, sizeof(struct usage *));

		if (p == NULL)
			return NULL;
		key->versions = p;
		key->room = room;
	}
	u = calloc(1, sizeof(*u));
	if (u == NULL)
		return NULL;
	u->key = key;
	u->serial = atomic_fetch_add(&key->all->serials, 1) + 1;
	u->number = number;
	memmove(&key->versions[at + 1], &key->versions[at],
	    (key->count - at) * sizeof(struct usage *));
	key->versions[at] = u;
	key->count++;
	return u;
}

struct usage *
usage_version(struct usage_key *key, uint32_t number)
{
	struct usage *u;

	(void)pthread_mutex_lock(&key->all->lock);
	u = usage_version_locked(key, number);
	if (u != NULL)
		u->gone = false; /* restored, maybe */
	(void)pthread_mutex_unlock(&key->all->lock);
	return u;
}

uint64_t
usage_serial(const struct usage *u)
{
	return u == NULL ? 0 : u->serial;
}

void
usage_forget(struct usage_key *key, uint32_t number)
{
	struct usage *u;

	if (key == NULL)
		return;
	(void)pthread_mutex_lock(&key->all->lock);
	u = usage_version_locked(key, number);
	if (u != NULL)
		u->gone = true;
	(void)pthread_mutex_unlock(&key->all->lock);
}

/* Whether there is more in it than the store has. */
static bool
is_loose(const struct usage *u)
{
	return !u->gone &&
	    (atomic_load(&u->dirty) ||
		atomic_load(&u->reserved) > atomic_load(&u->taken));
}

void
usage_key_settle(struct usage_key *key)
{
	struct usages *all = key->all;
	bool listed = key->held > 0;

	if (key->refs > 0)
		return;
	for (size_t i = 0; i < key->count; i++) {
		struct usage *u = key->versions[i];

		if (is_loose(u))
			usage_mark(u);
		listed = listed || atomic_load(&u->dirty);
	}
	if (listed)
		return;
	*slot_of(all, key->id) = key->next;
	all->frees++;
	key_free(key);
}

void
usage_close(struct usage_key *key)
{
	struct usages *all;

	if (key == NULL)
		return;
	all = key->all;
	(void)pthread_mutex_lock(&all->lock);
	key->refs--;
	usage_key_settle(key);
	(void)pthread_mutex_unlock(&all->lock);
}

/* -- All -- */

enum hf_err
usages_new(struct store *store, struct hierarchy *h, struct usages **out)
{
	struct usages *all = calloc(1, sizeof(*all));

	if (all == NULL)
		return HF_ERR_NO_MEMORY;
	all->store = store;
	all->hierarchy = h;
	(void)pthread_mutex_init(&all->lock, NULL);
	(void)pthread_mutex_init(&all->writing, NULL);
	*out = all;
	return HF_OK;
}

void
usages_on_dirty(struct usages *all, void (*wake)(void *ctx), void *ctx)
{
	all->ctx = ctx;
	all->wake = wake;
}

void
usages_free(struct usages *all)
{
	if (all == NULL)
		return;
	all->wake = NULL;
	(void)usages_flush(all);
	for (size_t i = 0; i < USAGE_BUCKETS; i++)
		while (all->table[i] != NULL) {
			struct usage_key *key = all->table[i];

			all->table[i] = key->next;
			key_free(key);
		}
	(void)pthread_mutex_destroy(&all->lock);
	(void)pthread_mutex_destroy(&all->writing);
	free(all);
}
