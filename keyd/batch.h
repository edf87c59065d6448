/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_BATCH_H
#define KEYD_BATCH_H

#include "request.h"

/*
 * One item or many: every transit operation takes either. Results start with
 * struct hf_item_status. An item that fails has its error in its result and
 * leaves the others alone; a single item fails the request.
 */
typedef enum hf_err batch_fn(struct request *rq, const void *ctx,
    const void *item, void *result, struct hf_why *why);

struct batch {
	batch_fn *each;
	const void *ctx;
	const void *one; /* the item outside of a batch ... */
	void *one_result;
	bool one_given;      /* ... and whether it was given */
	const char *missing; /* what to say when neither was */
	const void *items;   /* NULL: not a batch */
	size_t count;
	size_t item_size;
	size_t reference; /* offset of the item's reference */
	size_t result_size;
	void **results; /* out */
	size_t *results_count;
};

/*
 * The items one by one, or the one outside of a batch. HF_ERR_MISSING_FIELD
 * with `missing` when there is neither, HF_ERR_BATCH_AND_SINGLE for both,
 * HF_ERR_EMPTY_BATCH, and HF_ERR_DEFER for a batch that is a worker's.
 */
enum hf_err batch_run(struct request *rq, const struct batch *b);

/*
 * Fills what is the same in every batch from structs with the usual members
 * (item, batch_input; result, batch_results).
 */
#define BATCH(fn, context, in, out, given, absent)                      \
	(&(struct batch){                                               \
	    .each = (fn),                                               \
	    .ctx = (context),                                           \
	    .one = &(in)->item,                                         \
	    .one_result = &(out)->result,                               \
	    .one_given = (given),                                       \
	    .missing = (absent),                                        \
	    .items = (in)->batch_input,                                 \
	    .count = (in)->batch_input_count,                           \
	    .item_size = sizeof((in)->item),                            \
	    .reference = (size_t)((const char *)&(in)->item.reference - \
		(const char *)&(in)->item),                             \
	    .result_size = sizeof((out)->result),                       \
	    .results = (void **)(void *)&(out)->batch_results,          \
	    .results_count = &(out)->batch_results_count,               \
	})

#endif
