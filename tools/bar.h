/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BAR_H
#define TOOLS_BAR_H

#include <stdbool.h>
#include <stdint.h>

/* A line on the terminal that tells how far a long work is. */
struct bar {
	const char *what;
	uint64_t total;         /* 0: not known */
	int64_t started, drawn; /* milliseconds */
	bool on, visible;
};

/* `quiet`, or a standard error that is no terminal: nothing is ever drawn. */
void bar_start(struct bar *b, const char *what, uint64_t total, bool quiet);

/* Draws now and then; not in the first moments, which are all of most works. */
void bar_move(struct bar *b, uint64_t done);

/* Removes the line. */
void bar_stop(struct bar *b);

#endif
