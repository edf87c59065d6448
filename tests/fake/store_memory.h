/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FAKE_STORE_MEMORY_H
#define FAKE_STORE_MEMORY_H

#include "../../keyd/store.h"

/*
 * An engine of the store that keeps everything in memory, as the disk would:
 * the memory outlives the stores opened over it, so that a test can close one
 * (or abandon it at some step) and open another as a restarted daemon does.
 */
struct store_memory;

enum store_memory_when { STORE_MEMORY_BEFORE, STORE_MEMORY_AFTER };

/*
 * Called around each commit whose conditions hold. An error given BEFORE means
 * that nothing is written, AFTER that it is written but the caller is told
 * otherwise, as when the machine dies between the two. Must not call the store.
 */
typedef enum hf_err store_memory_hook_fn(void *ctx, enum store_memory_when when,
    const struct store_write *writes, size_t count);

struct store_memory *store_memory_new(void);

/* When no store is open over it. NULL is fine. */
void store_memory_free(struct store_memory *memory);

/* NULL: no hook. */
void store_memory_hook(
    struct store_memory *memory, store_memory_hook_fn *hook, void *ctx);

/* A hook: the process dies at a commit, so that neither that one nor any after
 * it happens; `when` is AFTER: it happens, unheard. */
struct store_death {
	unsigned at; /* 1: the first commit */
	enum store_memory_when when;
	unsigned seen;
	bool happened;
};
enum hf_err store_death(void *death, enum store_memory_when when,
    const struct store_write *writes, size_t count);

enum hf_err store_memory_open(struct store_memory *memory, struct store **out);

#endif
