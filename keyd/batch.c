/* SPDX-License-Identifier: Apache-2.0 */
#include "batch.h"

#include "../lib/bytes.h"
#include "key.h"

enum {
	QUICK_ITEMS = 256, /* a batch of more is not for an I/O thread, */
	SLOW_ITEMS = 8,    /* nor is one of more with an asymmetric key */
};

/* Errors that are about the request or the service (unavailable, timeout, no
 * memory), not about one item: the next item would fare no better. */
static bool
stops_all(enum hf_err err)
{
	return err == HF_ERR_DEFER || err == HF_ERR_MEMORY_LOCK ||
	    err == HF_ERR_KEY_EXHAUSTED || /* until it is rotated */
	    hf_err_status(err) >= 503;
}

static bool
must_defer(const struct request *rq, size_t count)
{
	bool quick = rq->key == NULL || key_type_symmetric(rq->key->type);

	return !rq->may_block && count > (quick ? QUICK_ITEMS : SLOW_ITEMS);
}

static enum hf_err
run_item(struct request *rq, const struct batch *b, size_t i, uint8_t *results)
{
	const uint8_t *item = (const uint8_t *)b->items + i * b->item_size;
	uint8_t *result = results + i * b->result_size;
	struct hf_item_status *status = (void *)result;
	struct hf_why why = { "" };
	enum hf_err err = b->each(rq, b->ctx, item, result, &why);
	const char *sentence;

	if (stops_all(err))
		return err;
	if (err != HF_OK) {
		/* Nothing half done may leave with an error. */
		memset(result, 0, b->result_size);
		sentence = why.text[0] != '\0'
		    ? arena_text(rq->arena, text_of(why.text))
		    : hf_err_sentence(err);
		if (sentence == NULL)
			return HF_ERR_NO_MEMORY;
		status->error = text_of(sentence);
		status->error_name = text_of(hf_err_name(err));
	}
	status->reference =
	    *(const struct hf_text *)(const void *)(item + b->reference);
	return HF_OK;
}

enum hf_err
batch_run(struct request *rq, const struct batch *b)
{
	uint8_t *results;
	enum hf_err err = HF_OK;

	if (b->items == NULL) {
		if (!b->one_given)
			return hf_fail(
			    &rq->why, HF_ERR_MISSING_FIELD, "%s", b->missing);
		return b->each(rq, b->ctx, b->one, b->one_result, &rq->why);
	}
	if (b->count == 0)
		return HF_ERR_EMPTY_BATCH;
	if (b->one_given)
		return HF_ERR_BATCH_AND_SINGLE;
	if (must_defer(rq, b->count))
		return HF_ERR_DEFER;
	results = arena_array(rq->arena, b->count, b->result_size);
	if (results == NULL)
		return HF_ERR_NO_MEMORY;
	for (size_t i = 0; i < b->count && err == HF_OK; i++)
		err = run_item(rq, b, i, results);
	if (err != HF_OK)
		return err;
	*b->results = results;
	*b->results_count = b->count;
	return HF_OK;
}
