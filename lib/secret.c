/* SPDX-License-Identifier: Apache-2.0 */
#include "secret.h"

#include <errno.h>
#include <linux/capability.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bytes.h"

/*
 * Small secrets (up to half a page) share pages: a slab is one run of locked
 * pages between two guard pages, cut into slots of one size. What is used
 * stands in a bitmap on the ordinary heap, so that an overrun of a secret
 * cannot reach it. Larger secrets get a mapping of their own.
 */
enum {
	SLOT_SMALLEST = 32,
	SLOT_LARGEST = 2048,
	CLASSES = 7, /* 32, 64, ... 2048 */
	SLAB_BYTES = 65536,
	SLAB_WORDS = SLAB_BYTES / SLOT_SMALLEST / 64,
	SECRET_MAX = 64 << 20,
};

struct slab {
	struct slab *next;
	uint8_t *base;
	size_t used; /* slots */
	uint64_t taken[SLAB_WORDS];
};

/*
 * The one piece of state in this library that is not handed around: the pages
 * that a process may lock are a resource of the process.
 */
static struct {
	pthread_mutex_t lock;
	struct slab *slabs[CLASSES];
	_Atomic bool require_lock;
} heap = { .lock = PTHREAD_MUTEX_INITIALIZER };

void
secret_require_lock(bool required)
{
	atomic_store(&heap.require_lock, required);
}

bool
secret_lock_required(void)
{
	return atomic_load(&heap.require_lock);
}

static bool
may_lock_all(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	return syscall(SYS_capget, &head, data) == 0 &&
	    (data[0].effective & (1U << CAP_IPC_LOCK)) != 0;
}

size_t
secret_lockable(void)
{
	struct rlimit limit;

	if (may_lock_all())
		return SIZE_MAX;
	if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0)
		return 0;
	return limit.rlim_cur == RLIM_INFINITY ? SIZE_MAX
					       : (size_t)limit.rlim_cur;
}

bool
secret_lock_pages(void *p, size_t len)
{
	/* Not before Linux 4.4, and not in valgrind, which says so each time.
	 */
	static _Atomic bool unknown;

	if (!atomic_load(&unknown) && mlock2(p, len, MLOCK_ONFAULT) == 0)
		return true;
	/* The C library says EINVAL for a call that the kernel does not know.
	 */
	if (errno == EINVAL || errno == ENOSYS)
		atomic_store(&unknown, true);
	return atomic_load(&unknown) && mlock(p, len) == 0;
}

static size_t
page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* Locked pages with a guard page on either side; `len` in whole pages. */
static enum hf_err
pages_map(size_t len, uint8_t **out)
{
	size_t page = page_size();
	uint8_t *p = mmap(NULL, len + 2 * page, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return HF_ERR_NO_MEMORY;
	if (mprotect(p + page, len, PROT_READ | PROT_WRITE) != 0) {
		(void)munmap(p, len + 2 * page);
		return HF_ERR_NO_MEMORY;
	}
	if ((!secret_lock_pages(p + page, len) ||
		madvise(p + page, len, MADV_DONTDUMP) != 0 ||
		madvise(p + page, len, MADV_WIPEONFORK) != 0) &&
	    atomic_load(&heap.require_lock)) {
		(void)munmap(p, len + 2 * page);
		return HF_ERR_MEMORY_LOCK;
	}
	*out = p + page;
	return HF_OK;
}

static void
pages_unmap(uint8_t *p, size_t len)
{
	size_t page = page_size();

	(void)munlock(p, len);
	(void)munmap(p - page, len + 2 * page);
}

static size_t
pages_for(size_t len)
{
	size_t page = page_size();

	return (len + page - 1) / page * page;
}

static unsigned
class_of(size_t len)
{
	unsigned class = 0;

	while (((size_t)SLOT_SMALLEST << class) < len)
		class ++;
	return class;
}

static enum hf_err
slab_new(struct slab **out)
{
	struct slab *slab = calloc(1, sizeof(*slab));
	enum hf_err err;

	if (slab == NULL)
		return HF_ERR_NO_MEMORY;
	if ((err = pages_map(SLAB_BYTES, &slab->base)) != HF_OK) {
		free(slab);
		return err;
	}
	*out = slab;
	return HF_OK;
}

static uint8_t *
slab_take(struct slab *slab, size_t slot)
{
	size_t count = SLAB_BYTES / slot;

	for (size_t i = 0; i < count; i++) {
		uint64_t bit = UINT64_C(1) << (i % 64);

		if ((slab->taken[i / 64] & bit) == 0) {
			slab->taken[i / 64] |= bit;
			slab->used++;
			return slab->base + i * slot;
		}
	}
	abort(); /* its count said that there is room: only a bug can lie so */
}

static enum hf_err
small_alloc(size_t len, uint8_t **out)
{
	unsigned class = class_of(len);
	size_t slot = (size_t)SLOT_SMALLEST << class;
	struct slab *slab = heap.slabs[class];
	enum hf_err err;

	while (slab != NULL && slab->used == SLAB_BYTES / slot)
		slab = slab->next;
	if (slab == NULL) {
		if ((err = slab_new(&slab)) != HF_OK)
			return err;
		slab->next = heap.slabs[class];
		heap.slabs[class] = slab;
	}
	*out = slab_take(slab, slot);
	return HF_OK;
}

static void
small_free(uint8_t *p, size_t len)
{
	unsigned class = class_of(len);
	size_t slot = (size_t)SLOT_SMALLEST << class;
	struct slab **link = &heap.slabs[class];

	while (*link != NULL &&
	    (p < (*link)->base || p >= (*link)->base + SLAB_BYTES))
		link = &(*link)->next;
	if (*link == NULL)
		abort(); /* not ours, or freed twice: only a bug can do that */

	struct slab *slab = *link;
	size_t i = (size_t)(p - slab->base) / slot;

	slab->taken[i / 64] &= ~(UINT64_C(1) << (i % 64));
	slab->used--;
	/* One empty slab a size stays, so that a lone secret costs no mmap. */
	if (slab->used == 0 && heap.slabs[class]->next != NULL) {
		*link = slab->next;
		pages_unmap(slab->base, SLAB_BYTES);
		free(slab);
	}
}

enum hf_err
secret_alloc(struct secret *s, size_t len)
{
	enum hf_err err;
	uint8_t *p = NULL;

	if (len == 0 || len > SECRET_MAX)
		return HF_ERR_NO_MEMORY;
	if (len > SLOT_LARGEST) {
		err = pages_map(pages_for(len), &p);
	} else {
		(void)pthread_mutex_lock(&heap.lock);
		err = small_alloc(len, &p);
		(void)pthread_mutex_unlock(&heap.lock);
	}
	if (err != HF_OK)
		return err;
	memset(p, 0, len);
	s->ptr = p;
	s->len = len;
	return HF_OK;
}

enum hf_err
secret_copy(struct secret *s, struct hf_bytes from)
{
	enum hf_err err = secret_alloc(s, from.len);

	if (err != HF_OK)
		return err;
	memcpy(s->ptr, from.ptr, from.len);
	return HF_OK;
}

void
secret_free(struct secret *s)
{
	if (s == NULL || s->ptr == NULL)
		return;
	bytes_wipe(s->ptr, s->len);
	if (s->len > SLOT_LARGEST) {
		pages_unmap(s->ptr, pages_for(s->len));
	} else {
		(void)pthread_mutex_lock(&heap.lock);
		small_free(s->ptr, s->len);
		(void)pthread_mutex_unlock(&heap.lock);
	}
	*s = (struct secret){ 0 };
}

void
secret_move(struct secret *to, struct secret *from)
{
	*to = *from;
	*from = (struct secret){ 0 };
}
