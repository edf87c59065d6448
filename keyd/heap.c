/* SPDX-License-Identifier: Apache-2.0 */
#include "heap.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../lib/bytes.h"
#include "../lib/secret.h"

/*
 * Address space is reserved once and cut into units. A slab is a run of units,
 * locked, and cut into blocks of one size, or one block that is too large for
 * that. So whose a block is follows from its address.
 */
enum {
	ALIGN = 16,
	UNIT_BITS = 14, /* 16 KiB, or a page where those are larger ... */
	UNIT_BITS_MOST = 16,
	UNITS = 65536, /* 1 GiB */

	/* Sizes: each 16 up to 128, then four for each doubling. */
	FINE = 128,
	FINE_BITS = 7,
	FINE_CLASSES = FINE / ALIGN,
	SMALL_LARGEST = 32768,
	CLASSES = FINE_CLASSES + 4 * (15 - FINE_BITS),

	/* What a thread keeps of each size. */
	KEEP_BLOCKS = 32,
	KEEP_BYTES = 8192,

	LOOKED_AT = 1024, /* bytes of a free block, whether they are zero */
	TELL_AGAIN = 60,  /* seconds between lines in the log */
};

enum { FREE, USED };

struct slab {
	struct slab *next, **link; /* in giving[]; link is NULL: not there */
	uint8_t *base;
	size_t units;
	uint32_t size;   /* of a block */
	uint32_t factor; /* dividing by size is multiplying by this, >> 32 */
	unsigned class;  /* CLASSES: the only block, of `len` bytes */
	size_t len;
	unsigned blocks, fresh; /* from `fresh` on they were never given */
	unsigned free;          /* of stack */
	uint16_t *stack;
	_Atomic uint8_t state[];
};

static struct {
	uint8_t *base; /* NULL before heap_open */
	unsigned unit_bits;
	_Atomic(struct slab *) slabs[UNITS];
	pthread_key_t at_end; /* of a thread */
	heap_watch_fn *watch;

	pthread_mutex_t lock; /* of all below */
	struct slab *giving[CLASSES];
	size_t limit, held; /* units, by count */
	size_t reserve;     /* the first are always there */
	size_t out;         /* bytes */
	uint64_t grown;
	bool unlocked; /* some of it; told */
	time_t told;   /* when, that it is full */
} heap = { .lock = PTHREAD_MUTEX_INITIALIZER };

/*
 * Free blocks of this thread, as numbers of 16 bytes from the heap's beginning.
 * Not in the blocks: there an overrun would reach them.
 */
struct kept {
	enum { KEPT_NEW, KEPT_READY, KEPT_OVER } phase;
	uint8_t count[CLASSES];
	uint32_t blocks[CLASSES][KEEP_BLOCKS];
};
static _Thread_local struct kept kept;

/* -- Sizes -- */

static unsigned
class_of(size_t len)
{
	unsigned bits;

	if (len <= FINE)
		return (unsigned)((len + ALIGN - 1) / ALIGN - 1);
	bits = 63 - (unsigned)__builtin_clzll(len - 1);
	return FINE_CLASSES + (bits - FINE_BITS) * 4 +
	    (unsigned)((len - 1) >> (bits - 2)) - 4;
}

static size_t
size_of(unsigned class)
{
	unsigned step = class - FINE_CLASSES;

	if (class < FINE_CLASSES)
		return (class + 1) * (size_t)ALIGN;
	return (size_t)(step % 4 + 5) << (step / 4 + FINE_BITS - 2);
}

static size_t
unit(void)
{
	return (size_t)1 << heap.unit_bits;
}

static size_t
units_for(size_t len)
{
	return (len + unit() - 1) >> heap.unit_bits;
}

/* So that a few fit, and offsets into a slab are below 2^16. */
static size_t
slab_units(unsigned class)
{
	size_t size = size_of(class);

	return units_for(size <= 4096 ? 16384 : size <= 8192 ? 32768 : 65536);
}

static unsigned
keep_of(unsigned class)
{
	size_t n = KEEP_BYTES / size_of(class);

	return n < 1 ? 1 : n > KEEP_BLOCKS ? KEEP_BLOCKS : (unsigned)n;
}

/* -- Blocks and their slabs -- */

/* Only a bug, or an attack through one, gets here. */
static _Noreturn void
damaged(const char *what)
{
	(void)dprintf(STDERR_FILENO, "locked heap: %s\n", what);
	abort();
}

static uint32_t
number_of(const uint8_t *p)
{
	return (uint32_t)((size_t)(p - heap.base) / ALIGN);
}

static uint8_t *
block_of(uint32_t number)
{
	return heap.base + (size_t)number * ALIGN;
}

/* The slab that a block lies in, and the block's place in it. */
static struct slab *
slab_of(const uint8_t *p, unsigned *at)
{
	size_t offset = (size_t)((uintptr_t)p - (uintptr_t)heap.base);
	size_t in = offset >> heap.unit_bits;
	struct slab *slab = in >= UNITS
	    ? NULL
	    : atomic_load_explicit(&heap.slabs[in], memory_order_acquire);

	if (slab == NULL)
		damaged("not a block is freed");
	offset = (size_t)(p - slab->base);
	*at = slab->class == CLASSES ? 0
				     : (unsigned)(offset * slab->factor >> 32);
	if (*at >= slab->blocks || offset != *at * (size_t)slab->size)
		damaged("what is freed is not the beginning of a block");
	return slab;
}

static void
take(struct slab *slab, unsigned at)
{
	if (atomic_load_explicit(&slab->state[at], memory_order_relaxed) !=
	    FREE)
		damaged("a free block is in use");
	atomic_store_explicit(&slab->state[at], USED, memory_order_relaxed);
}

static void
give(struct slab *slab, unsigned at)
{
	if (atomic_load_explicit(&slab->state[at], memory_order_relaxed) !=
	    USED)
		damaged("a block is freed twice");
	atomic_store_explicit(&slab->state[at], FREE, memory_order_relaxed);
}

static bool
is_zero(const uint8_t *p, size_t len)
{
	uint64_t first;

	memcpy(&first, p, sizeof(first));
	return first == 0 &&
	    memcmp(p, p + sizeof(first), len - sizeof(first)) == 0;
}

/* -- Pages; heap.lock is held -- */

static void
pages_return(uint8_t *p, size_t len)
{
	(void)munlock(p, len);
	(void)madvise(p, len, MADV_DONTNEED);
	(void)mprotect(p, len, PROT_NONE);
}

/* Stay locked, but empty. Before Linux 5.18 they keep their (wiped) content. */
static void
pages_empty(uint8_t *p, size_t len)
{
	(void)madvise(p, len, MADV_DONTNEED_LOCKED);
}

static void
tell(enum heap_news news)
{
	if (heap.watch != NULL)
		heap.watch(news, heap.held << heap.unit_bits);
}

static bool
pages_take(uint8_t *p, size_t len)
{
	if (mprotect(p, len, PROT_READ | PROT_WRITE) != 0)
		return false;
	if (secret_lock_pages(p, len))
		return true;
	if (secret_lock_required()) {
		pages_return(p, len);
		return false;
	}
	if (!heap.unlocked)
		tell(HEAP_UNLOCKED);
	heap.unlocked = true;
	return true;
}

/* -- Units; heap.lock is held -- */

/* How many of a slab's are in the reserve. */
static size_t
units_reserved(const struct slab *slab)
{
	size_t first = (size_t)(slab->base - heap.base) >> heap.unit_bits;
	size_t left = first < heap.reserve ? heap.reserve - first : 0;

	return left < slab->units ? left : slab->units;
}

static bool
units_take(const struct slab *slab)
{
	return units_reserved(slab) == slab->units ||
	    pages_take(slab->base, slab->units << heap.unit_bits);
}

static void
units_return(const struct slab *slab)
{
	size_t here = units_reserved(slab), there = slab->units - here;

	if (here > 0)
		pages_empty(slab->base, here << heap.unit_bits);
	if (there > 0)
		pages_return(slab->base + (here << heap.unit_bits),
		    there << heap.unit_bits);
}

/* Where so many units in a row are free. */
static bool
units_find(size_t count, size_t *out)
{
	size_t run = 0;

	for (size_t i = 0; i < UNITS && run < count; i++) {
		bool used = atomic_load_explicit(
				&heap.slabs[i], memory_order_relaxed) != NULL;

		run = used ? 0 : run + 1;
		*out = i + 1 - run;
	}
	return run == count;
}

static void
units_set(const struct slab *slab, struct slab *to)
{
	size_t first = (size_t)(slab->base - heap.base) >> heap.unit_bits;

	for (size_t i = 0; i < slab->units; i++)
		atomic_store_explicit(
		    &heap.slabs[first + i], to, memory_order_release);
}

static void
tell_full(void)
{
	struct timespec now = { 0 };

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if (heap.told != 0 && now.tv_sec - heap.told < TELL_AGAIN)
		return;
	heap.told = now.tv_sec;
	tell(HEAP_FULL);
}

/* -- Slabs; heap.lock is held -- */

static void
giving_add(struct slab *slab)
{
	struct slab **at = &heap.giving[slab->class];

	slab->next = *at;
	slab->link = at;
	if (slab->next != NULL)
		slab->next->link = &slab->next;
	*at = slab;
}

static void
giving_remove(struct slab *slab)
{
	if (slab->link == NULL)
		return;
	*slab->link = slab->next;
	if (slab->next != NULL)
		slab->next->link = slab->link;
	slab->next = NULL;
	slab->link = NULL;
}

static bool
slab_is_empty(const struct slab *slab)
{
	return slab->free == slab->fresh;
}

static void
slab_return(struct slab *slab)
{
	giving_remove(slab);
	units_set(slab, NULL);
	units_return(slab);
	heap.held -= slab->units;
	free(slab);
}

/* One empty slab of a size stays, for its next block, until here. */
static void
slabs_reclaim(void)
{
	for (unsigned c = 0; c < CLASSES; c++)
		for (struct slab *s = heap.giving[c], *next; s != NULL;
		     s = next) {
			next = s->next;
			if (slab_is_empty(s))
				slab_return(s);
		}
}

static bool
slab_map(struct slab *slab)
{
	size_t first;

	if (heap.held + slab->units > heap.limit)
		slabs_reclaim();
	if (heap.held + slab->units > heap.limit ||
	    !units_find(slab->units, &first))
		return false;
	slab->base = heap.base + (first << heap.unit_bits);
	if (!units_take(slab))
		return false;
	heap.held += slab->units;
	heap.grown++;
	units_set(slab, slab);
	return true;
}

/* `len` is that of the only block when class is CLASSES. */
static struct slab *
slab_new(unsigned class, size_t len)
{
	size_t units = class == CLASSES ? units_for(len) : slab_units(class);
	size_t size = class == CLASSES ? len : size_of(class);
	unsigned blocks = class == CLASSES
	    ? 1U
	    : (unsigned)((units << heap.unit_bits) / size);
	size_t head = (sizeof(struct slab) + blocks + 1) / 2 * 2;
	struct slab *slab = calloc(1, head + blocks * sizeof(uint16_t));

	if (slab == NULL)
		return NULL;
	slab->units = units;
	slab->size = (uint32_t)size;
	/* Rounded up: exact for all offsets in a slab, for they are below
	 * 2^16 and sizes 2^15 at most (Granlund and Montgomery, 1994). */
	slab->factor = (uint32_t)(((UINT64_C(1) << 32) + size - 1) / size);
	slab->class = class;
	slab->len = len;
	slab->blocks = blocks;
	slab->stack = (uint16_t *)(void *)((uint8_t *)slab + head);
	if (!slab_map(slab)) {
		tell_full();
		free(slab);
		return NULL;
	}
	return slab;
}

static unsigned
slab_pop(struct slab *slab)
{
	return slab->free > 0 ? slab->stack[--slab->free] : slab->fresh++;
}

/* -- Between a thread and all -- */

/* As many blocks of a size as a thread wants, at least one; returns how many.
 */
static unsigned
depot_take(unsigned class, uint32_t *out, unsigned want)
{
	struct slab *slab = heap.giving[class];
	unsigned n = 0;

	if (slab == NULL) {
		slab = slab_new(class, 0);
		if (slab == NULL)
			return 0;
		giving_add(slab);
	}
	while (n < want && (slab->free > 0 || slab->fresh < slab->blocks))
		out[n++] =
		    number_of(slab->base + (size_t)slab_pop(slab) * slab->size);
	if (slab->free == 0 && slab->fresh == slab->blocks)
		giving_remove(slab);
	heap.out += n * (size_t)slab->size;
	return n;
}

static void
depot_give(const uint32_t *numbers, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		unsigned at;
		struct slab *slab = slab_of(block_of(numbers[i]), &at);

		slab->stack[slab->free++] = (uint16_t)at;
		heap.out -= slab->size;
		if (slab->link == NULL)
			giving_add(slab);
		if (slab_is_empty(slab) &&
		    (slab->next != NULL || heap.giving[slab->class] != slab))
			slab_return(slab);
	}
}

static void
kept_end(void *arg)
{
	struct kept *k = arg;

	k->phase = KEPT_OVER;
	(void)pthread_mutex_lock(&heap.lock);
	for (unsigned c = 0; c < CLASSES; c++)
		depot_give(k->blocks[c], k->count[c]);
	(void)pthread_mutex_unlock(&heap.lock);
	memset(k->count, 0, sizeof(k->count));
}

/* Whether this thread may keep blocks: one that ends gives them back. */
static bool
kept_ready(struct kept *k)
{
	if (k->phase == KEPT_NEW)
		k->phase = pthread_setspecific(heap.at_end, k) == 0 ? KEPT_READY
								    : KEPT_OVER;
	return k->phase == KEPT_READY;
}

/* The slow way to one block. */
static uint8_t *
small_fetch(struct kept *k, unsigned class)
{
	unsigned want = kept_ready(k) ? (keep_of(class) + 1) / 2 : 1U;
	uint32_t fetched[KEEP_BLOCKS];
	unsigned n;

	(void)pthread_mutex_lock(&heap.lock);
	n = depot_take(class, fetched, want);
	(void)pthread_mutex_unlock(&heap.lock);
	if (n == 0)
		return NULL;
	n--;
	memcpy(k->blocks[class], fetched, n * sizeof(fetched[0]));
	k->count[class] = (uint8_t)n;
	return block_of(fetched[n]);
}

/* Half of what the thread keeps of a size goes back; what came last stays, for
 * it is in the processor's cache. */
static void
small_trim(struct kept *k, unsigned class)
{
	unsigned n = (k->count[class] + 1U) / 2;

	(void)pthread_mutex_lock(&heap.lock);
	depot_give(k->blocks[class], n);
	(void)pthread_mutex_unlock(&heap.lock);
	k->count[class] = (uint8_t)(k->count[class] - n);
	memmove(k->blocks[class], k->blocks[class] + n,
	    k->count[class] * sizeof(k->blocks[class][0]));
}

/* -- Large blocks -- */

static void *
large_alloc(size_t len)
{
	struct slab *slab;

	(void)pthread_mutex_lock(&heap.lock);
	slab = slab_new(CLASSES, len);
	if (slab != NULL) {
		heap.out += slab->units << heap.unit_bits;
		take(slab, 0);
	}
	(void)pthread_mutex_unlock(&heap.lock);
	return slab == NULL ? NULL : slab->base;
}

static void
large_free(struct slab *slab)
{
	bytes_wipe(slab->base, slab->len);
	(void)pthread_mutex_lock(&heap.lock);
	heap.out -= slab->units << heap.unit_bits;
	slab_return(slab);
	(void)pthread_mutex_unlock(&heap.lock);
}

/* -- What others call -- */

static void
fork_begin(void)
{
	(void)pthread_mutex_lock(&heap.lock);
}

static void
fork_end(void)
{
	(void)pthread_mutex_unlock(&heap.lock);
}

/* Reserved only: neither memory nor a right to it. Left out of dumps for good,
 * and with a unit at either end that is never used. */
static bool
address_space_take(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), len;
	uint8_t *p;

	heap.unit_bits = UNIT_BITS;
	while (unit() < page)
		heap.unit_bits++;
	len = (UNITS + 2) * unit();
	p = mmap(NULL, len, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return false;
	if (heap.unit_bits > UNIT_BITS_MOST ||
	    madvise(p, len, MADV_DONTDUMP) != 0 ||
	    pthread_key_create(&heap.at_end, kept_end) != 0 ||
	    pthread_atfork(fork_begin, fork_end, fork_end) != 0) {
		(void)munmap(p, len);
		return false;
	}
	heap.base = p + unit();
	return true;
}

void
heap_watch(heap_watch_fn *watch)
{
	heap.watch = watch;
}

enum hf_err
heap_open(size_t limit, size_t reserved, struct hf_why *why)
{
	bool ok;

	if (heap.base == NULL && !address_space_take())
		return hf_fail(why, HF_ERR_NO_MEMORY,
		    "address space for OpenSSL's memory cannot be had");
	limit >>= heap.unit_bits;
	heap.limit = limit < UNITS ? limit : UNITS;
	(void)pthread_mutex_lock(&heap.lock);
	heap.reserve = units_for(reserved);
	ok = heap.reserve <= heap.limit &&
	    pages_take(heap.base, heap.reserve << heap.unit_bits);
	(void)pthread_mutex_unlock(&heap.lock);
	if (ok)
		return HF_OK;
	return hf_fail(why, HF_ERR_MEMORY_LOCK,
	    "OpenSSL needs %zu KiB of memory, which could not be locked; raise "
	    "RLIMIT_MEMLOCK",
	    reserved / 1024);
}

void *
heap_alloc(size_t len)
{
	struct kept *k = &kept;
	struct slab *slab;
	unsigned class, at;
	uint8_t *p;

	if (len == 0 || len > HEAP_LARGEST)
		return NULL;
	if (len > SMALL_LARGEST)
		return large_alloc(len);
	class = class_of(len);
	if (k->count[class] > 0)
		p = block_of(k->blocks[class][--k->count[class]]);
	else if ((p = small_fetch(k, class)) == NULL)
		return NULL;
	slab = slab_of(p, &at);
	take(slab, at);
	if (!is_zero(p, slab->size < LOOKED_AT ? slab->size : LOOKED_AT))
		damaged("a free block was written to");
	return p;
}

void
heap_free(void *ptr)
{
	struct kept *k = &kept;
	uint8_t *p = ptr;
	struct slab *slab;
	unsigned at;
	uint32_t number;

	if (p == NULL)
		return;
	slab = slab_of(p, &at);
	give(slab, at);
	if (slab->class == CLASSES) {
		large_free(slab);
		return;
	}
	bytes_wipe(p, slab->size);
	number = number_of(p);
	if (!kept_ready(k)) {
		(void)pthread_mutex_lock(&heap.lock);
		depot_give(&number, 1);
		(void)pthread_mutex_unlock(&heap.lock);
		return;
	}
	if (k->count[slab->class] == keep_of(slab->class))
		small_trim(k, slab->class);
	k->blocks[slab->class][k->count[slab->class]++] = number;
}

void *
heap_realloc(void *ptr, size_t len)
{
	uint8_t *p = ptr;
	const struct slab *slab;
	size_t old;
	void *moved;
	unsigned at;

	if (p == NULL)
		return heap_alloc(len);
	slab = slab_of(p, &at);
	if (atomic_load_explicit(&slab->state[at], memory_order_relaxed) !=
	    USED)
		damaged("a free block is made longer or shorter");
	old = slab->class == CLASSES ? slab->len : slab->size;
	if (len > 0 && len <= SMALL_LARGEST && class_of(len) == slab->class) {
		bytes_wipe(p + len, old - len);
		return p;
	}
	moved = heap_alloc(len);
	if (moved == NULL)
		return NULL;
	memcpy(moved, p, old < len ? old : len);
	heap_free(p);
	return moved;
}

struct heap_use
heap_use(void)
{
	struct heap_use use;

	(void)pthread_mutex_lock(&heap.lock);
	use = (struct heap_use){ heap.limit << heap.unit_bits,
		heap.held << heap.unit_bits, heap.out, heap.grown };
	(void)pthread_mutex_unlock(&heap.lock);
	return use;
}
