/* SPDX-License-Identifier: Apache-2.0 */
#include "arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bytes.h"

enum { ALIGN = 16 };

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
	(void)mlock(b, size);
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

enum hf_err
arena_new(size_t first, size_t limit, struct arena **out)
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
	size_t usual = a->first->size - round_up(sizeof(*a->first), ALIGN);
	size_t payload = len > usual ? len : usual < left ? usual : left;
	struct block *b;

	if (len > left)
		return NULL;
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

void
arena_reset(struct arena *a)
{
	size_t head = round_up(sizeof(struct block), ALIGN);

	while (a->current != a->first) {
		struct block *next = a->current->next;

		block_free(a->current);
		a->current = next == NULL ? a->first : next;
	}
	bytes_wipe((uint8_t *)a->first + head, a->first->used - head);
	a->first->used = head;
	a->taken = 0;
}
