/* SPDX-License-Identifier: Apache-2.0 */
#include "arena.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bytes.h"
#include "secret.h"

enum {
	ALIGN = 16,
	/* Blocks double from the first on, up to this: a large request takes
	 * few of them. */
	USUAL_LARGEST = 256 * 1024,
};

struct block {
	struct block *next;
	size_t size; /* of the whole mapping */
	size_t used; /* this header included */
};

struct arena {
	struct block *first; /* kept */
	struct block *current;
	size_t limit;
	size_t taken; /* size of all blocks beyond the first */
	struct arena_cache *cache;
};

struct arena_cache {
	pthread_mutex_t lock;
	struct block *free;
	size_t bytes, limit;
};

static size_t
round_up(size_t n, size_t to)
{
	return (n + to - 1) / to * to;
}

static struct block *
block_new(size_t payload)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t size =
	    round_up(payload + round_up(sizeof(struct block), ALIGN), page);
	struct block *b = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (b == MAP_FAILED)
		return NULL;
	(void)madvise(b, size, MADV_DONTDUMP);
	/* As far as RLIMIT_MEMLOCK goes: what passes here lives microseconds.
	 */
	(void)secret_lock_pages(b, size);
	b->size = size;
	b->used = round_up(sizeof(*b), ALIGN);
	return b;
}

static void
block_free(struct block *b)
{
	size_t size = b->size; /* is wiped, too */

	bytes_wipe(b, b->used);
	(void)munmap(b, size);
}

/* -- The cache -- */

enum hf_err
arena_cache_new(size_t limit, struct arena_cache **out)
{
	struct arena_cache *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return HF_ERR_NO_MEMORY;
	if (pthread_mutex_init(&c->lock, NULL) != 0) {
		free(c);
		return HF_ERR_NO_MEMORY;
	}
	c->limit = limit;
	*out = c;
	return HF_OK;
}

void
arena_cache_free(struct arena_cache *cache)
{
	if (cache == NULL)
		return;
	while (cache->free != NULL) {
		struct block *next = cache->free->next;

		block_free(cache->free);
		cache->free = next;
	}
	(void)pthread_mutex_destroy(&cache->lock);
	free(cache);
}

/* The first that is large enough; NULL when there is none. */
static struct block *
cache_take(struct arena_cache *cache, size_t payload)
{
	struct block **at = &cache->free, *b;

	(void)pthread_mutex_lock(&cache->lock);
	while ((b = *at) != NULL && b->size - b->used < payload)
		at = &b->next;
	if (b != NULL) {
		*at = b->next;
		cache->bytes -= b->size;
		b->next = NULL;
	}
	(void)pthread_mutex_unlock(&cache->lock);
	return b;
}

static bool
cache_give(struct arena_cache *cache, struct block *b)
{
	bool room;

	(void)pthread_mutex_lock(&cache->lock);
	room = b->size <= cache->limit - cache->bytes;
	if (room) {
		b->next = cache->free;
		cache->free = b;
		cache->bytes += b->size;
	}
	(void)pthread_mutex_unlock(&cache->lock);
	return room;
}

/* -- The arena -- */

enum hf_err
arena_new(size_t first, size_t limit, struct arena **out)
{
	return arena_new_cached(first, limit, NULL, out);
}

enum hf_err
arena_new_cached(
    size_t first, size_t limit, struct arena_cache *cache, struct arena **out)
{
	struct arena *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return HF_ERR_NO_MEMORY;
	a->first = block_new(first);
	if (a->first == NULL) {
		free(a);
		return HF_ERR_NO_MEMORY;
	}
	a->current = a->first;
	a->limit = limit;
	a->cache = cache;
	*out = a;
	return HF_OK;
}

void
arena_free(struct arena *a)
{
	if (a == NULL)
		return;
	arena_reset(a);
	block_free(a->first);
	free(a);
}

/* A new block in front: what is left of the current one is given up. */
static struct block *
arena_grow(struct arena *a, size_t len)
{
	size_t left = a->taken < a->limit ? a->limit - a->taken : 0;
	size_t first = a->first->size - round_up(sizeof(*a->first), ALIGN);
	size_t doubled = a->taken < USUAL_LARGEST ? a->taken : USUAL_LARGEST;
	size_t usual = first > doubled ? first : doubled;
	size_t payload = len > usual ? len : usual < left ? usual : left;
	struct block *b = NULL;

	if (len > left)
		return NULL;
	if (a->cache != NULL)
		b = cache_take(a->cache, len);
	if (b == NULL)
		b = block_new(payload);
	if (b == NULL)
		return NULL;
	a->taken += b->size;
	b->next = a->current == a->first ? NULL : a->current;
	a->current = b;
	return b;
}

void *
arena_alloc(struct arena *a, size_t len)
{
	struct block *b = a->current;
	size_t need;
	void *p;

	if (len > a->limit)
		return NULL;
	need = round_up(len == 0 ? 1 : len, ALIGN);
	if (need > b->size - b->used) {
		b = arena_grow(a, need);
		if (b == NULL)
			return NULL;
	}
	p = (uint8_t *)b + b->used;
	b->used += need;
	return p; /* zero: fresh from the kernel, or wiped by arena_reset */
}

void *
arena_rest(struct arena *a, size_t *cap)
{
	struct block *b = a->current;

	*cap = b->size - b->used;
	return (uint8_t *)b + b->used;
}

void
arena_keep(struct arena *a, size_t len)
{
	struct block *b = a->current;
	size_t room = b->size - b->used, need = round_up(len, ALIGN);

	b->used += need < room ? need : room;
}

void *
arena_array(struct arena *a, size_t count, size_t size)
{
	size_t len;

	if (__builtin_mul_overflow(count, size, &len))
		return NULL;
	return arena_alloc(a, len);
}

char *
arena_text(struct arena *a, struct hf_text t)
{
	char *p = arena_alloc(a, t.len + 1);

	if (p != NULL && t.len > 0)
		memcpy(p, t.ptr, t.len);
	return p;
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return NULL;
	p = arena_alloc(a, (size_t)n + 1);
	if (p == NULL)
		return NULL;
	va_start(ap, fmt);
	(void)vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}

static void
block_wipe(struct block *b)
{
	size_t head = round_up(sizeof(*b), ALIGN);

	bytes_wipe((uint8_t *)b + head, b->used - head);
	b->used = head;
}

void
arena_reset(struct arena *a)
{
	while (a->current != a->first) {
		struct block *b = a->current;

		a->current = b->next == NULL ? a->first : b->next;
		block_wipe(b);
		if (a->cache == NULL || !cache_give(a->cache, b))
			block_free(b);
	}
	block_wipe(a->first);
	a->taken = 0;
}
