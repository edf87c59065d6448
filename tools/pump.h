/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_PUMP_H
#define TOOLS_PUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast/bytes.h>
#include <holdfast/err.h>

/*
 * Moves a stream from one descriptor to another through a function, with two
 * threads: while one waits for a disk or copies, the other computes. Reading,
 * working and writing are each done by one thread at a time and in order, so
 * the function needs no locks. Memory is bounded by a few blocks.
 */
struct pump {
	int in, out;
	size_t block;  /* bytes handed to `work` at once; less at the end */
	size_t result; /* the most that it makes of a block */
	/*
	 * Turns a block into *len bytes of `out`. `last`: the stream ends with
	 * it; a stream of nothing is one empty block. After an error what it
	 * says it made is still written, but nothing after that.
	 */
	enum hf_err (*work)(void *ctx, struct hf_bytes in, bool last,
	    uint8_t *out, size_t *len, struct hf_why *why);
	/* Told after each block how many bytes came in so far, with those
	 * that came before the pump. */
	void (*progress)(void *watcher, uint64_t bytes);
	void *watcher;
	uint64_t before;
	void *ctx;
};

enum hf_err pump_run(const struct pump *p, struct hf_why *why);

#endif
