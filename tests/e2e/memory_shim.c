/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For LD_PRELOAD: memory that runs out. The file MEMORY_FAULTS holds a number,
 * 32 bits in the order of the machine, and may be changed at any time: each
 * allocation of that number fails, none when it is 0. C++ gets all that it asks
 * for: SoftHSM lets its exception end the process, and is not what is tested.
 * OpenSSL is given memory that the program takes from elsewhere: its functions
 * for that are stood before, too.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static const _Atomic uint32_t *every;
static atomic_uint_fast32_t count;

__attribute__((constructor)) static void
look(void)
{
	const char *path = getenv("MEMORY_FAULTS");
	int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	void *p;

	if (fd < 0)
		return;
	p = mmap(NULL, sizeof(*every), PROT_READ, MAP_SHARED, fd, 0);
	(void)close(fd);
	if (p != MAP_FAILED)
		every = p;
}

static bool
runs_out(const void *caller)
{
	uint32_t n = every == NULL ? 0 : atomic_load(every);
	Dl_info info;

	if (n == 0 || atomic_fetch_add(&count, 1) % n != n - 1)
		return false;
	if (dladdr(caller, &info) != 0 && info.dli_fname != NULL &&
	    (strstr(info.dli_fname, "libstdc++") != NULL ||
		strstr(info.dli_fname, "softhsm") != NULL))
		return false;
	errno = ENOMEM;
	return true;
}

#define EXPORT __attribute__((visibility("default")))

EXPORT void *
malloc(size_t size)
{
	return runs_out(__builtin_return_address(0)) ? NULL
						     : __libc_malloc(size);
}

EXPORT void *
calloc(size_t n, size_t size)
{
	return runs_out(__builtin_return_address(0)) ? NULL
						     : __libc_calloc(n, size);
}

EXPORT void *
realloc(void *p, size_t size)
{
	return runs_out(__builtin_return_address(0)) ? NULL
						     : __libc_realloc(p, size);
}

/* What the program wants OpenSSL to use (CRYPTO_set_mem_functions(3)). */
typedef void *malloc_fn(size_t size, const char *file, int line);
typedef void *realloc_fn(void *p, size_t size, const char *file, int line);
typedef void free_fn(void *p, const char *file, int line);
static malloc_fn *openssl_malloc;
static realloc_fn *openssl_realloc;

static void *
scarce_malloc(size_t size, const char *file, int line)
{
	return runs_out(__builtin_return_address(0))
	    ? NULL
	    : openssl_malloc(size, file, line);
}

static void *
scarce_realloc(void *p, size_t size, const char *file, int line)
{
	return runs_out(__builtin_return_address(0))
	    ? NULL
	    : openssl_realloc(p, size, file, line);
}

EXPORT int CRYPTO_set_mem_functions(
    malloc_fn *malloc_of, realloc_fn *realloc_of, free_fn *free_of);

EXPORT int
CRYPTO_set_mem_functions(
    malloc_fn *malloc_of, realloc_fn *realloc_of, free_fn *free_of)
{
	int (*set)(malloc_fn *, realloc_fn *, free_fn *);

	*(void **)&set = dlsym(RTLD_NEXT, "CRYPTO_set_mem_functions");
	openssl_malloc = malloc_of;
	openssl_realloc = realloc_of;
	return set != NULL && set(scarce_malloc, scarce_realloc, free_of);
}

EXPORT void *
aligned_alloc(size_t alignment, size_t size)
{
	return runs_out(__builtin_return_address(0))
	    ? NULL
	    : __libc_memalign(alignment, size);
}
