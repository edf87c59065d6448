/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto_memory.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "../lib/bytes.h"
#include "../lib/secret.h"
#include "heap.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(WITH_ASAN)
static bool with_malloc = true;
#else
static bool with_malloc;
#endif

enum {
	RESERVED = 2 << 20, /* four times what OpenSSL takes at its start */
	REST = 512 << 10,   /* for others than keys, at least */
};

/* An allocation of this thread failed since crypto_memory_failed() asked. */
static _Thread_local bool failed;

static _Thread_local size_t bound; /* 0: none */

static bool
is_beyond(size_t len)
{
	return bound != 0 && len > bound;
}

static void *
noted(void *p)
{
	failed |= p == NULL;
	return p;
}

/* -- The heap -- */

static void *
locked_malloc(size_t len, const char *file, int line)
{
	(void)file;
	(void)line;
	return len == 0 || is_beyond(len) ? NULL : noted(heap_alloc(len));
}

static void
locked_free(void *ptr, const char *file, int line)
{
	(void)file;
	(void)line;
	heap_free(ptr);
}

static void *
locked_realloc(void *ptr, size_t len, const char *file, int line)
{
	(void)file;
	(void)line;
	if (is_beyond(len))
		return NULL;
	if (len > 0)
		return noted(heap_realloc(ptr, len));
	heap_free(ptr);
	return NULL;
}

/* -- malloc -- */

static void *
plain_malloc(size_t len, const char *file, int line)
{
	(void)file;
	(void)line;
	return len == 0 || is_beyond(len) ? NULL : noted(malloc(len));
}

static void
wiping_free(void *ptr, const char *file, int line)
{
	(void)file;
	(void)line;
	if (ptr == NULL)
		return;
	bytes_wipe(ptr, malloc_usable_size(ptr));
	free(ptr);
}

static void *
wiping_realloc(void *ptr, size_t len, const char *file, int line)
{
	size_t old = ptr == NULL ? 0 : malloc_usable_size(ptr);
	void *moved = plain_malloc(len, file, line);

	if (moved != NULL && old > 0)
		memcpy(moved, ptr, old < len ? old : len);
	if (moved != NULL || len == 0)
		wiping_free(ptr, file, line);
	return moved;
}

/* -- Set-up -- */

void
crypto_memory_use_malloc(void)
{
	with_malloc = true;
}

enum hf_err
crypto_memory_init(struct hf_why *why)
{
	int ok = with_malloc ? CRYPTO_set_mem_functions(
				   plain_malloc, wiping_realloc, wiping_free)
			     : CRYPTO_set_mem_functions(
				   locked_malloc, locked_realloc, locked_free);
	size_t limit;

	if (ok != 1)
		return hf_fail(why, HF_ERR_CRYPTO,
		    "OpenSSL was in use before its memory could be set up");
	if (with_malloc)
		return HF_OK;
	/* The rest is for keys that OpenSSL does not know, and for messages. */
	limit = secret_lock_required() ? secret_lockable() / 2 : SIZE_MAX;
	return heap_open(limit > RESERVED ? limit : RESERVED, RESERVED, why);
}

bool
crypto_memory_is_tight(void)
{
	struct heap_use use = { 0 };
	size_t rest;

	if (with_malloc)
		return false;
	use = heap_use();
	rest = use.limit / 8 > REST ? use.limit / 8 : REST;
	return use.out + rest > use.limit;
}

size_t
crypto_memory_limit(void)
{
	size_t limit = with_malloc ? 0 : heap_use().limit;

	return limit == 0 ? SIZE_MAX : limit; /* 0: there is no such heap */
}

void
crypto_memory_bound(size_t largest)
{
	bound = largest;
}

bool
crypto_memory_failed(void)
{
	bool was = failed;

	failed = false;
	return was;
}
