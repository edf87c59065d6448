/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_KEYD_MEMORY_SEARCH_H
#define TESTS_KEYD_MEMORY_SEARCH_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto_support.h"

/* Whether a secret still stands somewhere in the memory of this process. */

enum { NEEDLE = 24 };

/* What is looked for, inverted so as not to be found itself. */
static inline void
needle_make(const uint8_t *secret, uint8_t inverted[NEEDLE])
{
	for (size_t i = 0; i < NEEDLE; i++)
		inverted[i] = (uint8_t)~secret[i];
}

/* Whether the bytes stand in a chunk, the needle being stored inverted. */
static inline bool
chunk_holds(const uint8_t *chunk, size_t len, const uint8_t *inverted)
{
	const uint8_t *end = chunk + len, *p = chunk;

	while ((p = memchr(p, inverted[0] ^ 0xff, (size_t)(end - p))) != NULL) {
		size_t n = 0;

		while (
		    n < NEEDLE && p + n < end && (p[n] ^ inverted[n]) == 0xff)
			n++;
		if (n == NEEDLE)
			return true;
		p++;
	}
	return false;
}

static inline bool
range_holds(
    int mem, unsigned long from, unsigned long to, const uint8_t *inverted)
{
	uint8_t *chunk = malloc(to - from);
	ssize_t got =
	    chunk == NULL ? -1 : pread(mem, chunk, to - from, (off_t)from);
	bool found = got > 0 && chunk_holds(chunk, (size_t)got, inverted);

	if (chunk != NULL)
		explicit_bzero(chunk, to - from);
	free(chunk);
	return found;
}

enum where { ANYWHERE, NOT_LOCKED };

/* Looks through what this process can write; huge maps are a sanitizer's. */
static inline bool
process_holds(const uint8_t *inverted, enum where where)
{
	FILE *maps = fopen("/proc/self/smaps", "r");
	int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	unsigned long from = 0, to = 0;
	char line[512], mode[5] = "";
	bool found = false;

	assert_true(maps != NULL && mem >= 0);
	while (!found && fgets(line, sizeof(line), maps) != NULL) {
		unsigned long lo, hi;
		char is[5];

		if (sscanf(line, "%lx-%lx %4s", &lo, &hi, is) == 3) {
			from = lo;
			to = hi;
			memcpy(mode, is, sizeof(is));
		}
		if (strncmp(line, "VmFlags:", 8) == 0 &&
		    strcmp(mode, "rw-p") == 0 && to - from <= 64UL << 20 &&
		    (where == ANYWHERE || strstr(line, " lo") == NULL))
			found = range_holds(mem, from, to, inverted);
	}
	(void)fclose(maps);
	(void)close(mem);
	return found;
}

#endif
