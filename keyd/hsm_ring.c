/* SPDX-License-Identifier: Apache-2.0 */
#include "hsm_ring.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../lib/bytes.h"
#include "../lib/fd.h"
#include "../lib/secret.h"
#include "hsm_job.h"
#include "hsm_ring_memory.h"

enum cell_state {
	CELL_FREE,
	CELL_TAKEN,
	CELL_BARRED, /* given up, and its job may still write to it */
};

struct hsm_ring {
	ring_late_fn *late;
	void *ctx;
	int memory, port[RING_PORTS];
	struct ring_memory *shared;

	_Atomic uint64_t epoch; /* 0: nobody serves */
	pthread_mutex_t lock;
	uint32_t tail;
	enum cell_state cell[RING_CELLS];
	size_t used[RING_CELLS]; /* bytes, for wiping */
	unsigned barred;         /* cells that are */
	unsigned last;           /* cell that was taken */
};

void
ring_wake(_Atomic uint32_t *word, int count)
{
	(void)syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
}

void
ring_wake_one(struct ring_memory *m)
{
	uint32_t n = atomic_load(&m->asleep);

	if (n == 0)
		return;
	/* Not the same again for the next job, before it even ran. */
	(void)atomic_compare_exchange_strong(&m->asleep, &n, n - 1);
	ring_wake(&m->tail, 1);
}

/* -- Opening -- */

/* Of a size that nobody can change: else a reader could be ended by it. */
static int
memory_make(size_t size)
{
	int fd = memfd_create("hsm-jobs", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && ftruncate(fd, (off_t)size) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) ==
		0)
		return fd;
	fd_close(fd);
	return -1;
}

struct ring_memory *
ring_map(int fd)
{
	void *p = mmap(NULL, sizeof(struct ring_memory), PROT_READ | PROT_WRITE,
	    MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return NULL;
	/* What is never used takes no memory. */
	if (madvise(p, sizeof(struct ring_memory), MADV_DONTDUMP) == 0 &&
	    (secret_lock_pages(p, sizeof(struct ring_memory)) ||
		!secret_lock_required()))
		return p;
	(void)munmap(p, sizeof(struct ring_memory));
	return NULL;
}

/* Keys come first where little may be locked: without a ring it is slower. */
enum { PART_OF_LOCKABLE = 8 };

static enum hf_err
ring_make(struct hsm_ring *r)
{
	if (secret_lock_required() &&
	    sizeof(*r->shared) > secret_lockable() / PART_OF_LOCKABLE)
		return HF_ERR_MEMORY_LOCK;
	r->memory = memory_make(sizeof(*r->shared));
	if (r->memory < 0)
		return HF_ERR_SYSTEM;
	r->shared = ring_map(r->memory);
	if (r->shared == NULL)
		return HF_ERR_MEMORY_LOCK;
	for (size_t i = 0; i < RING_PORTS; i++) {
		r->port[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (r->port[i] < 0)
			return HF_ERR_SYSTEM;
	}
	return HF_OK;
}

enum hf_err
hsm_ring_open(ring_late_fn *late, void *ctx, struct hsm_ring **out)
{
	struct hsm_ring *r = calloc(1, sizeof(*r));
	enum hf_err err;

	if (r == NULL)
		return HF_ERR_NO_MEMORY;
	r->late = late;
	r->ctx = ctx;
	r->memory = -1;
	for (size_t i = 0; i < RING_PORTS; i++)
		r->port[i] = -1;
	(void)pthread_mutex_init(&r->lock, NULL);
	err = ring_make(r);
	if (err == HF_OK)
		*out = r;
	else
		hsm_ring_close(r);
	return err;
}

void
hsm_ring_close(struct hsm_ring *r)
{
	if (r == NULL)
		return;
	if (r->shared != NULL) {
		bytes_wipe(r->shared, sizeof(*r->shared));
		(void)munmap(r->shared, sizeof(*r->shared));
	}
	fd_close(r->memory);
	for (size_t i = 0; i < RING_PORTS; i++)
		fd_close(r->port[i]);
	(void)pthread_mutex_destroy(&r->lock);
	free(r);
}

bool
hsm_ring_fds(const struct hsm_ring *r, int fds[RING_FDS])
{
	for (size_t i = 0; i < RING_FDS; i++) {
		fds[i] = fcntl(
		    i == 0 ? r->memory : r->port[i - 1], F_DUPFD_CLOEXEC, 0);
		if (fds[i] >= 0)
			continue;
		while (i > 0)
			(void)close(fds[--i]);
		return false;
	}
	return true;
}

/* -- Processes -- */

/*
 * What was left in them is nobody's: their process is gone, or they were
 * answered after all, and nobody writes to a cell after that. (What a library
 * gone mad writes, it may write anywhere.) Lock is held.
 */
static void
cells_unbar(struct hsm_ring *r, bool gone)
{
	for (unsigned i = 0; i < RING_CELLS && r->barred > 0; i++) {
		if (r->cell[i] != CELL_BARRED || !(gone || hsm_ring_done(r, i)))
			continue;
		bytes_wipe(r->shared->cell[i], RING_ROOM);
		r->cell[i] = CELL_FREE;
		r->barred--;
	}
}

/* What is still taken will be given back by who took it. */
void
hsm_ring_begin(struct hsm_ring *r, uint64_t epoch)
{
	struct ring_memory *m = r->shared;

	(void)pthread_mutex_lock(&r->lock);
	cells_unbar(r, true);
	for (size_t i = 0; i < RING_CELLS; i++)
		atomic_store(&m->done[i], 0);
	r->tail = 0;
	atomic_store(&m->tail, 0);
	atomic_store(&m->asleep, 0);
	atomic_store(&r->epoch, epoch);
	(void)pthread_mutex_unlock(&r->lock);
}

/*
 * Nobody is woken: to write to a port could block, for the process may have
 * filled it and made it such, for all who have it. Who waits looks before long.
 */
void
hsm_ring_end(struct hsm_ring *r)
{
	(void)pthread_mutex_lock(&r->lock);
	atomic_store(&r->epoch, 0);
	cells_unbar(r, true);
	(void)pthread_mutex_unlock(&r->lock);
}

bool
hsm_ring_lives(const struct hsm_ring *r, uint64_t epoch)
{
	return atomic_load(&r->epoch) == epoch;
}

/* -- Ports -- */

int
hsm_ring_port(const struct hsm_ring *r, unsigned port)
{
	return r->port[port];
}

void
hsm_ring_sleep(struct hsm_ring *r, unsigned port)
{
	atomic_store(&r->shared->waiting[port], 1);
}

void
hsm_ring_wake(struct hsm_ring *r, unsigned port)
{
	atomic_store_explicit(
	    &r->shared->waiting[port], 0, memory_order_relaxed);
}

/* -- Jobs -- */

static bool
cell_take(struct hsm_ring *r, uint64_t epoch, size_t size, unsigned *cell)
{
	bool found = false;

	(void)pthread_mutex_lock(&r->lock);
	cells_unbar(r, false);
	for (unsigned i = 1; i <= RING_CELLS && !found; i++) {
		unsigned at = (r->last + i) % RING_CELLS;

		if (r->cell[at] != CELL_FREE)
			continue;
		found = atomic_load(&r->epoch) == epoch;
		if (!found)
			break;
		r->cell[at] = CELL_TAKEN;
		r->used[at] = size;
		r->last = *cell = at;
	}
	(void)pthread_mutex_unlock(&r->lock);
	return found;
}

/* Behind the others, unless the process was replaced meanwhile. */
static bool
cell_push(struct hsm_ring *r, uint64_t epoch, unsigned cell)
{
	struct ring_memory *m = r->shared;
	bool good;

	(void)pthread_mutex_lock(&r->lock);
	good = atomic_load(&r->epoch) == epoch;
	if (good) {
		m->queue[r->tail % RING_CELLS] = cell;
		atomic_store(&m->tail, ++r->tail);
	}
	(void)pthread_mutex_unlock(&r->lock);
	return good;
}

bool
hsm_ring_send(struct hsm_ring *r, const struct hsm_job *job, uint64_t epoch,
    unsigned budget_ms, unsigned port, unsigned *cell)
{
	struct ring_memory *m = r->shared;
	size_t size = job_size(job);
	unsigned at;

	if (size > RING_ROOM || port >= RING_PORTS ||
	    !cell_take(r, epoch, size, &at))
		return false;
	job_write(m->cell[at], job, budget_ms);
	m->port[at] = port;
	atomic_store(&m->done[at], 0);
	if (!cell_push(r, epoch, at)) {
		hsm_ring_give(r, at, epoch, false);
		return false;
	}
	ring_wake_one(m);
	*cell = at;
	return true;
}

/* In one order with hsm_ring_sleep(): either the other side sees that somebody
 * sleeps, or what it did is seen before that. */
bool
hsm_ring_done(const struct hsm_ring *r, unsigned cell)
{
	return atomic_load(&r->shared->done[cell]) != 0;
}

bool
hsm_ring_result(const struct hsm_ring *r, unsigned cell, struct hsm_job *job,
    enum hf_err *err)
{
	const uint8_t *p = r->shared->cell[cell];

	return job_size(job) <= RING_ROOM && job_is(p, job) &&
	    job_read(p, job, err);
}

void
hsm_ring_give(struct hsm_ring *r, unsigned cell, uint64_t epoch, bool done)
{
	if (done)
		bytes_wipe(r->shared->cell[cell], r->used[cell]);
	(void)pthread_mutex_lock(&r->lock);
	/* Another process than the one that had it, or none: that is gone. */
	if (!done &&
	    (atomic_load(&r->epoch) != epoch || hsm_ring_done(r, cell))) {
		bytes_wipe(r->shared->cell[cell], r->used[cell]);
		done = true;
	}
	r->cell[cell] = done ? CELL_FREE : CELL_BARRED;
	r->barred += !done;
	(void)pthread_mutex_unlock(&r->lock);
}

void
hsm_ring_nudge(struct hsm_ring *r)
{
	(void)atomic_fetch_add(&r->shared->nudge, 1);
	ring_wake(&r->shared->nudge, 1);
}

void
hsm_ring_late(struct hsm_ring *r, uint64_t epoch, const char *name, unsigned ms)
{
	r->late(r->ctx, epoch, name, ms);
}
