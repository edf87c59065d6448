/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_HEAP_H
#define KEYD_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast/err.h>

/*
 * A heap for a library that keeps secrets in whatever it allocates: OpenSSL
 * (crypto_memory.c). All of it is locked memory, left out of core dumps; a
 * block is wiped when it is freed, moved or made shorter. Unlike a secret
 * (lib/secret.h) a block has no pages of its own and survives fork(), where it
 * is not locked.
 *
 * A thread keeps some free blocks of each size, so that most calls take no
 * lock; what is over comes back to all threads, and pages that nobody uses to
 * the system. Blocks may be freed by any thread, and after its end.
 *
 * What tells used from free blocks stands outside of the blocks. The process is
 * aborted when something is freed that is not a block in use, when a free block
 * was written to (seen when it is taken again, in its first kilobyte), and
 * when the state of a block contradicts the lists.
 *
 * There is one, as of the pages that a process may lock.
 */
enum { HEAP_LARGEST = 64 << 20 /* block, in bytes */ };

/*
 * Before all else, in one thread. `limit` bounds the bytes that are taken from
 * the system, 1 GiB at most; `reserved` of them are locked from the beginning,
 * so that nobody else takes them (but no page is touched before it is used).
 * Where memory cannot be locked, secret_require_lock() decides:
 * HF_ERR_MEMORY_LOCK, also from then on (an allocation fails), or ordinary
 * memory.
 */
enum hf_err heap_open(size_t limit, size_t reserved, struct hf_why *why);

/*
 * What an operator must hear, with the bytes taken from the system: once, that
 * memory is not locked from now on; at most each minute, that an allocation
 * failed. `watch` must not use the heap. Call this before heap_open().
 */
enum heap_news { HEAP_UNLOCKED, HEAP_FULL };
typedef void heap_watch_fn(enum heap_news news, size_t held);
void heap_watch(heap_watch_fn *watch);

/* Zeroed, aligned to 16. NULL for a length of 0 or above HEAP_LARGEST, and
 * without memory. */
void *heap_alloc(size_t len);

/* As realloc(3) with a length above 0; NULL leaves the block as it is. */
void *heap_realloc(void *p, size_t len);

/* NULL is fine. Wipes. */
void heap_free(void *p);

struct heap_use {
	size_t limit;
	size_t held;    /* bytes taken from the system */
	size_t out;     /* of them in use, or kept by threads */
	uint64_t grown; /* how often memory was taken from the system */
};
struct heap_use heap_use(void);

#endif
