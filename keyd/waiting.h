/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_WAITING_H
#define KEYD_WAITING_H

/*
 * That a thread waits for the disk. It needs no processor meanwhile, so where
 * threads are few (workers.h) another may have its place: then the next
 * request gets as far, and one sync of the disk does for both. The doors say
 * it (store_sqlite.c, audit.c), many calls below who runs the thread; as with
 * dry runs (effects.h), an argument through all of them would hold only where
 * nobody forgot it.
 */
struct waiting {
	void (*begin)(void *ctx);
	void (*end)(void *ctx);
	void *ctx;
};

/* For the calling thread: who wants to know. NULL: nobody; so it begins. */
void waiting_tell(const struct waiting *who);

/* Around what waits. They do not nest. */
void waiting_begin(void);
void waiting_end(void);

#endif
