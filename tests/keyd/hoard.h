/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_KEYD_HOARD_H
#define TESTS_KEYD_HOARD_H

#include <stdbool.h>
#include <stddef.h>

#include <openssl/crypto.h>

#include "../../keyd/crypto_memory.h"
#include "../../keyd/heap.h"

/* What others hold of OpenSSL's memory, so that no key has a place any more. */
struct hoard {
	void *pieces[4096];
	size_t count;
};

/* As near to the bound as it goes. False where there is none: under
 * AddressSanitizer. */
static inline bool
hoard_fill(struct hoard *h)
{
	size_t room = sizeof(h->pieces) / sizeof(h->pieces[0]);
	size_t size = 32 << 20;

	if (heap_use().limit == 0)
		return false;
	while (!crypto_memory_is_tight() && h->count < room) {
		void *p = OPENSSL_malloc(size);

		if (p == NULL || (size > 1024 && crypto_memory_is_tight())) {
			OPENSSL_free(p);
			size /= 2;
		} else {
			h->pieces[h->count++] = p;
		}
	}
	return crypto_memory_is_tight();
}

static inline void
hoard_free(struct hoard *h)
{
	while (h->count > 0)
		OPENSSL_free(h->pieces[--h->count]);
}

#endif
