/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_ALLOCATIONS_H
#define TOOLS_BENCH_ALLOCATIONS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Every call of malloc, calloc, realloc and their kin of this thread, in
 * whichever library: this program's own definitions come before those of the
 * C library, and count before they call them.
 */
uint64_t allocations(void);

/* False where a sanitizer has its own. */
bool allocations_counted(void);

#endif
