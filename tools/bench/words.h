/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_WORDS_H
#define BENCH_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/*
 * The lines that the programs of a run say to each other: words and numbers
 * with spaces between. Each call takes one from *rest; false when there is
 * none, or not of that kind.
 */
static inline bool
word_text(char **rest, char *out, size_t cap)
{
	size_t len;

	*rest += strspn(*rest, " \n");
	len = strcspn(*rest, " \n");
	if (len == 0 || len >= cap)
		return false;
	memcpy(out, *rest, len);
	out[len] = '\0';
	*rest += len;
	return true;
}

static inline bool
word_number(char **rest, double *out)
{
	char *end;

	*out = strtod(*rest, &end);
	if (end == *rest)
		return false;
	*rest = end;
	return true;
}

/* At most a million: of threads, or of repetitions. */
static inline bool
word_count(char **rest, unsigned *out)
{
	double number;

	if (!word_number(rest, &number) || number < 0 || number > 1e6)
		return false;
	*out = (unsigned)number;
	return true;
}

#endif
