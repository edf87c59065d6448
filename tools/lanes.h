/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_LANES_H
#define TOOLS_LANES_H

#include <stddef.h>
#include <stdint.h>

#include <holdfast/bytes.h>
#include <holdfast/err.h>

/*
 * Works on whole blocks of a file that can be sought in, and writes what
 * becomes of them to another: a thread for each core, up to LANES_MAX, and each
 * reads, works and writes blocks of its own at their places. Nothing is handed
 * from one to the other, so none waits for another, and a block stays in its
 * core's cache. What is written is complete only at the end: before that, and
 * after an error, the output may have gaps. For anything else there is pump.h.
 *
 * Two threads, because writing a file is for one at a time in the kernel: it
 * holds the file's lock. While one copies, the other computes.
 */
enum { LANES_MAX = 2 };

struct lanes {
	int in, out;
	uint64_t in_at, out_at; /* where the first block is, and is to be */
	size_t block, result;   /* bytes of each block; what is made of it */
	uint64_t blocks;
	/* What a thread works with. Of one thread at a time, as are `next` and
	 * `progress`; `close` takes NULL too. */
	enum hf_err (*open)(void *ctx, void **lane, struct hf_why *why);
	void (*close)(void *lane);
	/* The number of the block that the lane is to do: each from 0 to
	 * blocks - 1 once, in this order. */
	enum hf_err (*next)(
	    void *ctx, void *lane, uint64_t *block, struct hf_why *why);
	/* Turns the whole of `in` into `result` bytes of `out`. */
	enum hf_err (*work)(void *lane, uint64_t block, struct hf_bytes in,
	    uint8_t *out, struct hf_why *why);
	/* Told after each block how many bytes were read so far. */
	void (*progress)(void *watcher, uint64_t bytes);
	void *watcher;
	void *ctx;
};

/*
 * The error is that of the first block, by its place, that had one.
 * HF_ERR_TRUNCATED when the input has fewer blocks than it was said to.
 */
enum hf_err lanes_run(const struct lanes *lanes, struct hf_why *why);

#endif
