/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_SECRET_H
#define LIB_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast/bytes.h>
#include <holdfast/err.h>

/*
 * An owner of secret bytes. The memory is page-locked (mlock), left out of
 * core dumps (MADV_DONTDUMP), wiped in children (MADV_WIPEONFORK), between
 * guard pages, and wiped when it is freed. Declare it
 *
 *	AUTO_SECRET key = { 0 };
 *
 * and leaving the scope wipes and frees it on every path. Thread-safe.
 */
struct secret {
	uint8_t *ptr;
	size_t len; /* bytes asked for; the room may be larger */
};

#define AUTO_SECRET __attribute__((__cleanup__(secret_free))) struct secret

/*
 * Whether memory that cannot be locked is an error (HF_ERR_MEMORY_LOCK) or
 * taken unlocked. The daemon requires it; a library in somebody else's
 * process, with somebody else's RLIMIT_MEMLOCK, does not. Default: not.
 */
void secret_require_lock(bool required);
bool secret_lock_required(void);

/* How many bytes this process may lock in all; SIZE_MAX: no limit. */
size_t secret_lockable(void);

/*
 * mlock(2) for whole pages, but pages that nobody used yet are locked when
 * somebody does (MLOCK_ONFAULT), where the kernel can: they would be resident
 * at once otherwise. False when the limit does not allow it.
 */
bool secret_lock_pages(void *p, size_t len);

/* Zeroed memory of `len` bytes, 1 to 64 MiB. `s` must be empty. */
enum hf_err secret_alloc(struct secret *s, size_t len);

/* A copy of `from`, which stays with its owner. `s` must be empty. */
enum hf_err secret_copy(struct secret *s, struct hf_bytes from);

/* Wipes, frees, and empties `s`. An empty one is fine. */
void secret_free(struct secret *s);

/* Hands the contents of `from` to `to`, which must be empty. */
void secret_move(struct secret *to, struct secret *from);

static inline struct hf_bytes
secret_view(const struct secret *s)
{
	return (struct hf_bytes){ s->ptr, s->len };
}

#endif
