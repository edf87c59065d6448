/* SPDX-License-Identifier: Apache-2.0 */
/* Random bytes and hashes: no key involved. */
#include "handlers.h"

#include "../lib/bytes.h"
#include "batch.h"
#include "crypto.h"
#include "server.h"

static enum hf_err
random_one(struct request *rq, const void *ctx, const void *item, void *result,
    struct hf_why *why)
{
	const struct hf_random_in *in = ctx;
	const struct hf_random_item *it = item;
	struct hf_random_result *res = result;
	size_t len = it->bytes == 0 ? 32 : (size_t)it->bytes;
	uint8_t *buf = request_alloc(rq, len), *more;
	bool platform =
	    in->source.ptr != NULL && text_is(in->source, "platform");
	enum hf_err err;

	(void)why;
	if (buf == NULL)
		return HF_ERR_NO_MEMORY;
	err = platform ? crypto_random(buf, len)
		       : hierarchy_random(rq->server->hierarchy, buf, len);
	if (err != HF_OK)
		return err;
	if (in->source.ptr != NULL && text_is(in->source, "all")) {
		more = request_alloc(rq, len);
		if (more == NULL)
			return HF_ERR_NO_MEMORY;
		if ((err = crypto_random(more, len)) != HF_OK)
			return err;
		for (size_t i = 0; i < len; i++)
			buf[i] ^= more[i];
	}
	res->random_bytes = bytes_of(buf, len);
	return HF_OK;
}

enum hf_err
op_transit_random(struct request *rq, const struct hf_random_in *in,
    struct hf_random_out *out)
{
	bool given = in->batch_input == NULL || in->item.bytes != 0;

	return batch_run(rq, BATCH(random_one, in, in, out, given, ""));
}

static enum hf_err
hash_one(struct request *rq, const void *ctx, const void *item, void *result,
    struct hf_why *why)
{
	const struct hash_type *hash = ctx;
	const struct hf_input_item *it = item;
	struct hf_hash_result *res = result;
	uint8_t *buf = request_alloc(rq, CRYPTO_HASH_MAX);
	enum hf_err err;

	(void)why;
	if (buf == NULL)
		return HF_ERR_NO_MEMORY;
	if ((err = crypto_hash(hash, it->input, buf)) != HF_OK)
		return err;
	res->sum = bytes_of(buf, hash->size);
	return HF_OK;
}

enum hf_err
op_transit_hash(
    struct request *rq, const struct hf_hash_in *in, struct hf_hash_out *out)
{
	const struct hash_type *hash = hash_type_by_name(
	    in->algorithm.ptr == NULL ? TEXT("sha2-256") : in->algorithm);

	if (hash == NULL)
		return HF_ERR_BAD_ALGORITHM;
	return batch_run(rq,
	    BATCH(hash_one, hash, in, out, in->item.input.ptr != NULL,
		"input: missing input to hash"));
}
