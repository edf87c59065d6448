/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_CRYPTO_MEMORY_H
#define KEYD_CRYPTO_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#include <holdfast/err.h>

/*
 * Where OpenSSL's memory comes from. It copies keys into whatever it allocates
 * (primes and their Montgomery forms, key schedules, the DER that a decoder
 * read), and wipes some of it. So all that it allocates is locked, left out of
 * core dumps and wiped: it is the heap of heap.h, of up to half of what the
 * process may lock; the rest is for struct secret and messages.
 *
 * Under AddressSanitizer it is malloc, wiped when freed, so that OpenSSL's own
 * mistakes are seen.
 */

/*
 * Before crypto_init, in a process that belongs to somebody else's library: it
 * gets malloc, wiped when freed, because libraries are known that give
 * what OpenSSL allocated to free(3).
 */
void crypto_memory_use_malloc(void);

/*
 * Before anything in the process uses OpenSSL. HF_ERR_CRYPTO when it is too
 * late; HF_ERR_MEMORY_LOCK where secret_require_lock() decided so.
 */
enum hf_err crypto_memory_init(struct hf_why *why);

/*
 * Whether no more than an eighth of it is left, or half a MiB: then keys must
 * not be loaded, so that those that are there can be used.
 */
bool crypto_memory_is_tight(void);

/* Bytes that there may be, whether taken already or not. */
size_t crypto_memory_limit(void);

/*
 * From now on nothing larger than this is allocated on this thread; that is no
 * failure of memory. 0: anything. For what is done for somebody unknown.
 */
void crypto_memory_bound(size_t largest);

/*
 * Whether an allocation of this thread failed since the last call. OpenSSL does
 * not always say why something failed.
 */
bool crypto_memory_failed(void);

#endif
