/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_ARENA_H
#define LIB_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include <holdfast/bytes.h>
#include <holdfast/err.h>

/*
 * Memory for one request: taken piece by piece, given back all at once, and
 * wiped then, because plaintexts live in it. The first block is kept, so a
 * request that fits into it costs no allocation. Left out of core dumps;
 * locked as far as the process may. One thread at a time.
 */
struct arena;

/* `first` bytes are kept between resets; `limit` bounds what one request may
 * take in all (HF_ERR_NO_MEMORY beyond it, seen as NULL from arena_alloc). */
enum hf_err arena_new(size_t first, size_t limit, struct arena **out);

/*
 * Blocks that arenas gave back, wiped, for the next one that grows: mapping,
 * locking and clearing memory takes longer than what a large request does in
 * it. `limit` bounds the bytes that are kept. Any thread.
 */
struct arena_cache;
enum hf_err arena_cache_new(size_t limit, struct arena_cache **out);

/* When its arenas are gone. NULL is fine. */
void arena_cache_free(struct arena_cache *cache);

/* As arena_new, with a cache (or NULL), which outlives the arena. */
enum hf_err arena_new_cached(
    size_t first, size_t limit, struct arena_cache *cache, struct arena **out);

/* NULL is fine. Wipes. */
void arena_free(struct arena *a);

/* Zeroed, aligned to 16. NULL when the limit or the memory is exhausted. */
void *arena_alloc(struct arena *a, size_t len);

/* `count` things of `size` bytes, checked against overflow. */
void *arena_array(struct arena *a, size_t count, size_t size);

/* A NUL-terminated copy; NULL when there is no room. */
/*
 * For what is written before its length is known: the memory that is left
 * without taking more from the system, *cap bytes of it, and how many of them
 * were written. Nothing else is taken from the arena in between.
 */
void *arena_rest(struct arena *a, size_t *cap);
void arena_keep(struct arena *a, size_t len);

char *arena_text(struct arena *a, struct hf_text t);

/* A printf into the arena; NULL when there is no room. */
char *arena_printf(struct arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Wipes what was taken and gives back all but the first block. */
void arena_reset(struct arena *a);

#endif
