/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_USAGE_INTERNAL_H
#define KEYD_USAGE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "usage.h"

/* What usage.c (counting) and usage_store.c (the store) share. */

enum { USAGE_WORDS = 8, USAGE_BUCKETS = 4096 };

/* Of one class. Made when the class is used first, and kept. */
struct use_counter {
	_Atomic uint64_t count, first, last;
	_Atomic uint32_t known[USAGE_KNOWN]; /* marks of callers; 0: free */
	_Atomic uint64_t bits[USAGE_WORDS];
};

struct usage {
	struct usage_key *key;
	uint64_t serial;
	uint32_t number;
	bool gone; /* under usages.lock */
	_Atomic bool dirty;
	struct usage *next_dirty, *next_flush;
	/* What was taken, and up to where the store knows of it. */
	_Atomic uint64_t taken, reserved;
	_Atomic(struct use_counter *) counters[USAGE_CLASSES];
};

struct usage_key {
	struct usage_key *next; /* in its bucket */
	struct usages *all;
	uint8_t id[HSM_ID];
	char keyring[KEYRING_NAME];
	unsigned refs; /* who has it open; under usages.lock, as what follows */
	unsigned held; /* by a flush */
	struct usage **versions; /* by number */
	size_t count, room;
};

struct usages {
	struct store *store;
	struct hierarchy *hierarchy;
	pthread_mutex_t lock;
	struct usage_key *table[USAGE_BUCKETS];
	uint64_t frees; /* a record that was read before may be old */
	_Atomic uint64_t serials;
	_Atomic(struct usage *) dirty;
	void (*wake)(void *ctx);
	void *ctx;
	pthread_mutex_t writing; /* before `lock`: one commit at a time */
};

/* Puts it among those to be written. */
void usage_mark(struct usage *u);

/* The counter of a class, made when it is not there; NULL without memory. */
struct use_counter *usage_counter(struct usage *u, enum usage_class class);

/* With `lock` held: the counters of a version, made when not there. */
struct usage *usage_version_locked(struct usage_key *key, uint32_t number);

/* With `lock` held: frees a key that nobody has open; first what is left to
 * write is marked, and freed when it was written. */
void usage_key_settle(struct usage_key *key);

/* -- usage_store.c -- */

/* Fills a fresh key with what the store has. */
enum hf_err usage_load(struct usages *all, struct usage_key *key);

/* Puts a number above what was taken into the store, at most `limit`. */
enum hf_err usage_reserve(struct usage *u, uint64_t limit);

#endif
