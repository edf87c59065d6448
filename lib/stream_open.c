/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <unistd.h>

#include "bytes.h"
#include "context.h"
#include "secret.h"
#include "stream.h"

struct hf_opener {
	struct stream_header header; /* points into `bytes` */
	struct stream_keys keys;
	uint8_t bytes[HF_STREAM_HEADER_MAX];
};

/* -- The header and its key -- */

static enum hf_err
check_context(const struct stream_header *h, const struct hf_open_how *how,
    struct hf_why *why)
{
	for (size_t i = 0; i < how->context_count; i++) {
		const struct hf_pair *want = &how->context[i];
		const struct hf_text *value = context_value(
		    h->info.context, h->info.context_count, want->name);

		if (value == NULL || !text_equal(*value, want->value))
			return hf_fail(why, HF_ERR_AUTH_FAILED,
			    "the sealed file is not of this context: %.*s",
			    (int)(want->name.len < CONTEXT_NAME_MAX
				    ? want->name.len
				    : CONTEXT_NAME_MAX),
			    want->name.ptr);
	}
	return HF_OK;
}

/* Reads a copy of the header, and sees that it is what is wanted. */
static enum hf_err
opener_prepare(struct hf_bytes header, const struct hf_open_how *how,
    struct hf_opener **out, struct hf_why *why)
{
	struct hf_opener *o = calloc(1, sizeof(*o));
	enum hf_err err;

	if (o == NULL)
		return hf_fail(why, HF_ERR_NO_MEMORY, "%s",
		    hf_err_sentence(HF_ERR_NO_MEMORY));
	if (header.len > sizeof(o->bytes))
		header.len = sizeof(o->bytes);
	memcpy(o->bytes, header.ptr, header.len);
	err =
	    stream_header_read(bytes_of(o->bytes, header.len), &o->header, why);
	if (err == HF_OK && how != NULL)
		err = check_context(&o->header, how, why);
	if (err != HF_OK) {
		hf_opener_free(o);
		return err;
	}
	*out = o;
	return HF_OK;
}

/* Proves that header and data key belong together. */
static enum hf_err
opener_commit(struct hf_opener *o, struct hf_bytes data_key, struct hf_why *why)
{
	uint8_t commitment[STREAM_COMMITMENT];
	enum hf_err err = HF_ERR_AUTH_FAILED;

	if (data_key.len == STREAM_KEY)
		err = stream_keys_derive(data_key, o->header.bound,
		    o->header.salt, false, &o->keys, commitment);
	if (err == HF_OK &&
	    !bytes_equal_ct(
		bytes_of(commitment, sizeof(commitment)), o->header.commitment))
		err = HF_ERR_AUTH_FAILED;
	if (err == HF_ERR_AUTH_FAILED)
		return hf_fail(why, err,
		    "the header of the sealed file was changed, or belongs to "
		    "another data key");
	if (err != HF_OK)
		return hf_fail(why, err, "%s", hf_err_sentence(err));
	return HF_OK;
}

static enum hf_err
ask_and_commit(struct hf_client *client, struct hf_opener *o,
    const struct hf_open_how *how, struct hf_why *why)
{
	struct hf_decrypt_in in = { .name = o->header.info.key,
		.item.ciphertext = o->header.info.wrapped };
	struct hf_decrypt_out out;
	enum hf_err err;

	if (how != NULL && how->key.ptr != NULL)
		in.name = how->key;
	if (o->header.binds_context) {
		in.item.encryption_context = o->header.info.context;
		in.item.encryption_context_count = o->header.info.context_count;
	} else if (o->header.context.len > 0) {
		in.item.associated_data = o->header.context;
	}
	err = hf_transit_decrypt(client, &in, &out, why);
	if (err != HF_OK)
		return err;
	err = opener_commit(o, out.result.plaintext, why);
	hf_forget(client);
	return err;
}

enum hf_err
hf_opener_new(struct hf_client *client, struct hf_bytes header,
    const struct hf_open_how *how, struct hf_opener **out, struct hf_why *why)
{
	struct hf_opener *o;
	enum hf_err err = opener_prepare(header, how, &o, why);

	if (err != HF_OK)
		return err;
	if ((err = ask_and_commit(client, o, how, why)) != HF_OK) {
		hf_opener_free(o);
		return err;
	}
	*out = o;
	return HF_OK;
}

enum hf_err
stream_opener_with(struct hf_bytes data_key, struct hf_bytes header,
    const struct hf_open_how *how, struct hf_opener **out, struct hf_why *why)
{
	struct hf_opener *o;
	enum hf_err err = opener_prepare(header, how, &o, why);

	if (err != HF_OK)
		return err;
	if ((err = opener_commit(o, data_key, why)) != HF_OK) {
		hf_opener_free(o);
		return err;
	}
	*out = o;
	return HF_OK;
}

enum hf_err
stream_opener_copy(
    const struct hf_opener *from, struct hf_opener **out, struct hf_why *why)
{
	struct hf_opener *o;
	enum hf_err err = opener_prepare(
	    bytes_of(from->bytes, sizeof(from->bytes)), NULL, &o, why);

	if (err != HF_OK)
		return err;
	/* That it belongs to its data key was proved of the other. */
	if ((err = stream_keys_copy(&from->keys, false, &o->keys)) != HF_OK) {
		hf_opener_free(o);
		return hf_fail(why, err, "%s", hf_err_sentence(err));
	}
	*out = o;
	return HF_OK;
}

void
hf_opener_free(struct hf_opener *o)
{
	if (o == NULL)
		return;
	stream_keys_free(&o->keys);
	free(o);
}

const struct hf_stream_info *
hf_opener_info(const struct hf_opener *o)
{
	return &o->header.info;
}

/* -- Chunks -- */

/* Why a chunk did not open: was it sealed as the last one, or as not? */
static enum hf_err
diagnose(struct hf_opener *o, uint64_t index, bool last, struct hf_bytes in,
    uint8_t *out, struct hf_why *why)
{
	bool other = stream_keys_open(
			 &o->keys, (uint32_t)index, !last, in, out) == HF_OK;

	bytes_wipe(out, in.len - STREAM_TAG);
	if (!other)
		return hf_fail(why, HF_ERR_AUTH_FAILED,
		    "chunk %llu of the sealed file is not authentic: the file "
		    "was changed, or cut off within it",
		    (unsigned long long)index);
	if (last)
		return hf_fail(why, HF_ERR_TRUNCATED,
		    "the sealed file was cut off after chunk %llu",
		    (unsigned long long)index);
	return hf_fail(why, HF_ERR_AUTH_FAILED,
	    "something was appended to the sealed file, which ends with chunk "
	    "%llu",
	    (unsigned long long)index);
}

enum hf_err
hf_open_chunk(struct hf_opener *o, uint64_t index, bool last,
    struct hf_bytes in, uint8_t *out, struct hf_why *why)
{
	size_t whole = o->header.info.chunk_size + STREAM_TAG;
	enum hf_err err;

	if (index >= STREAM_CHUNKS || in.len > whole ||
	    (in.len < whole && !last))
		return hf_fail(why, HF_ERR_BAD_INPUT,
		    "this is no chunk of the sealed file");
	/* Nothing, but as the one chunk of an empty file: sealing never ends
	 * a file so, and one plaintext has one length. */
	if (in.len < STREAM_TAG || (in.len == STREAM_TAG && index > 0))
		return hf_fail(why, HF_ERR_TRUNCATED,
		    "the sealed file was cut off within chunk %llu",
		    (unsigned long long)index);
	err = stream_keys_open(&o->keys, (uint32_t)index, last, in, out);
	if (err == HF_ERR_AUTH_FAILED)
		return diagnose(o, index, last, in, out, why);
	if (err != HF_OK)
		return hf_fail(why, err, "%s", hf_err_sentence(err));
	return HF_OK;
}
