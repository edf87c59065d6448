/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_ARENA_FIXTURE_H
#define TESTS_LIB_ARENA_FIXTURE_H

#include "../../lib/arena.h"
#include "../../lib/bytes.h"

/* The arena of a test, for what is decoded in it; and bytes as they are sent.
 */
static struct arena *arena;

static inline int
make_arena(void **state)
{
	(void)state;
	return arena_new(4096, 1 << 20, &arena) == HF_OK ? 0 : -1;
}

static inline int
drop_arena(void **state)
{
	(void)state;
	arena_free(arena);
	return 0;
}

#define CBOR(literal) bytes_of(literal, sizeof(literal) - 1)

#endif
