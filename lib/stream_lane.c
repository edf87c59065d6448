/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "bytes.h"
#include "stream.h"

struct stream_lane {
	struct hf_sealer *sealer;
	struct stream_keys keys;
	uint64_t next, end; /* indices of what it took */
};

enum hf_err
stream_lane_new(
    struct hf_sealer *sealer, struct stream_lane **out, struct hf_why *why)
{
	struct stream_lane *lane = calloc(1, sizeof(*lane));
	enum hf_err err;

	if (lane == NULL)
		return hf_fail(why, HF_ERR_NO_MEMORY, "%s",
		    hf_err_sentence(HF_ERR_NO_MEMORY));
	lane->sealer = sealer;
	err = stream_keys_copy(stream_seal_keys(sealer), true, &lane->keys);
	if (err != HF_OK) {
		stream_lane_free(lane);
		return hf_fail(why, err, "%s", hf_err_sentence(err));
	}
	*out = lane;
	return HF_OK;
}

void
stream_lane_free(struct stream_lane *lane)
{
	if (lane == NULL)
		return;
	stream_keys_free(&lane->keys);
	free(lane);
}

size_t
stream_lane_chunk_size(const struct stream_lane *lane)
{
	return hf_sealer_chunk_size(lane->sealer);
}

enum hf_err
stream_lane_take(struct stream_lane *lane, uint64_t count, uint64_t *first,
    struct hf_why *why)
{
	enum hf_err err = stream_seal_take(lane->sealer, count, first, why);

	if (err != HF_OK)
		return err;
	lane->next = *first;
	lane->end = *first + count;
	return HF_OK;
}

enum hf_err
stream_lane_seal(struct stream_lane *lane, struct hf_bytes in, uint8_t *out,
    struct hf_why *why)
{
	enum hf_err err;

	if (lane->next == lane->end ||
	    in.len != hf_sealer_chunk_size(lane->sealer))
		return hf_fail(why, HF_ERR_BAD_INPUT,
		    "a lane seals whole chunks, as many as it took");
	err =
	    stream_keys_seal(&lane->keys, (uint32_t)lane->next, false, in, out);
	lane->next++;
	if (err != HF_OK)
		return hf_fail(why, err, "%s", hf_err_sentence(err));
	return HF_OK;
}
