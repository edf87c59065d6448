/* SPDX-License-Identifier: Apache-2.0 */
#include "bytes.h"
#include "stream.h"

enum hf_err
hf_stream_rewrap(struct hf_client *client, struct hf_bytes header,
    struct hf_uint key_version, uint8_t out[HF_STREAM_HEADER_MAX],
    struct hf_why *why)
{
	struct hf_rewrap_in in = { .item.key_version = key_version };
	struct hf_rewrap_out reply;
	struct stream_header old;
	enum hf_err err = stream_header_read(header, &old, why);

	if (err != HF_OK)
		return err;
	in.name = old.info.key;
	in.item.ciphertext = old.info.wrapped;
	if (old.binds_context) {
		in.item.encryption_context = old.info.context;
		in.item.encryption_context_count = old.info.context_count;
	} else if (old.context.len > 0) {
		in.item.associated_data = old.context;
	}
	err = hf_transit_rewrap(client, &in, &reply, why);
	if (err != HF_OK)
		return err;
	err = stream_header_replace(&old, reply.result.ciphertext, out);
	hf_forget(client);
	if (err != HF_OK)
		return hf_fail(why, err,
		    "the header has no room for the data key as it is wrapped "
		    "now; open the file and seal it again");
	return HF_OK;
}
