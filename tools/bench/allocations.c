/* SPDX-License-Identifier: Apache-2.0 */
#include "allocations.h"

#include <errno.h>
#include <malloc.h>
#include <stddef.h>
#include <stdlib.h>

static _Thread_local uint64_t count;

uint64_t
allocations(void)
{
	return count;
}

#ifdef HOLDFAST_COUNT_ALLOCATIONS

/* glibc's own names of them; free() needs no counting. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *ptr, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

bool
allocations_counted(void)
{
	return true;
}

__attribute__((visibility("default"))) void *
malloc(size_t size)
{
	count++;
	return __libc_malloc(size);
}

__attribute__((visibility("default"))) void *
calloc(size_t n, size_t size)
{
	count++;
	return __libc_calloc(n, size);
}

__attribute__((visibility("default"))) void *
realloc(void *ptr, size_t size)
{
	count++;
	return __libc_realloc(ptr, size);
}

__attribute__((visibility("default"))) void *
memalign(size_t alignment, size_t size)
{
	count++;
	return __libc_memalign(alignment, size);
}

__attribute__((visibility("default"))) void *
aligned_alloc(size_t alignment, size_t size)
{
	count++;
	return __libc_memalign(alignment, size);
}

__attribute__((visibility("default"))) int
posix_memalign(void **out, size_t alignment, size_t size)
{
	count++;
	*out = __libc_memalign(alignment, size);
	return *out == NULL ? ENOMEM : 0;
}

#else

bool
allocations_counted(void)
{
	return false;
}

#endif
