/* SPDX-License-Identifier: Apache-2.0 */
#include "bytes.h"
#include "context.h"
#include "name.h"
#include "stream.h"

/*
 * Not text in any encoding (the first byte), changed by whoever converts line
 * ends (the last four), as in PNG.
 */
static const uint8_t magic[8] = { 0x89, 'H', 'F', 'S', '\r', '\n', 0x1a, '\n' };

enum {
	AT_VERSION = 8,
	AT_SUITE = 10,
	AT_SIZE = 12,
	AT_CHUNK = 16,
	AT_CONTEXT_LEN = 20,
	AT_SALT = 24,
	AT_CONTEXT = AT_SALT + STREAM_SALT,
	/* A header is as long as whole sectors are, so that a rewrap replaces
	 * it in one write that does not tear, and has some room to grow. */
	SECTOR = 512,
};

static uint16_t
get_u16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void
put_u16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

bool
stream_chunk_size_ok(uint64_t size)
{
	return size >= HF_STREAM_CHUNK_MIN && size <= HF_STREAM_CHUNK_MAX &&
	    (size & (size - 1)) == 0;
}

/* -- Writing -- */

static size_t
slot_size(struct hf_text key, struct hf_bytes wrapped)
{
	return 2 + key.len + 2 + wrapped.len;
}

static void
slot_write(uint8_t *p, struct hf_text key, struct hf_bytes wrapped)
{
	put_u16(p, key.len);
	memcpy(p + 2, key.ptr, key.len);
	p += 2 + key.len;
	put_u16(p, wrapped.len);
	memcpy(p + 2, wrapped.ptr, wrapped.len);
}

enum hf_err
stream_header_write(uint32_t chunk_size, struct hf_bytes context,
    const uint8_t salt[STREAM_SALT], struct hf_text key,
    struct hf_bytes wrapped, uint8_t out[HF_STREAM_HEADER_MAX], size_t *len,
    uint8_t **commitment)
{
	size_t at_slot = AT_CONTEXT + context.len + STREAM_COMMITMENT;
	size_t used = at_slot + slot_size(key, wrapped);
	size_t size = (used + SECTOR - 1) / SECTOR * SECTOR;

	if (wrapped.len > STREAM_WRAPPED_MAX || size > HF_STREAM_HEADER_MAX)
		return HF_ERR_OUT_OF_BOUNDS;
	memset(out, 0, size);
	memcpy(out, magic, sizeof(magic));
	put_u16(out + AT_VERSION,
	    context.len > 0 ? STREAM_VERSION_CONTEXT : STREAM_VERSION);
	put_u16(out + AT_SUITE, STREAM_SUITE);
	put_u32(out + AT_SIZE, (uint32_t)size);
	put_u32(out + AT_CHUNK, chunk_size);
	put_u32(out + AT_CONTEXT_LEN, (uint32_t)context.len);
	memcpy(out + AT_SALT, salt, STREAM_SALT);
	if (context.len > 0)
		memcpy(out + AT_CONTEXT, context.ptr, context.len);
	slot_write(out + at_slot, key, wrapped);
	*commitment = out + AT_CONTEXT + context.len;
	*len = size;
	return HF_OK;
}

enum hf_err
stream_header_replace(const struct stream_header *old, struct hf_bytes wrapped,
    uint8_t out[HF_STREAM_HEADER_MAX])
{
	size_t size = old->info.header_size;
	size_t at_slot = old->bound.len + STREAM_COMMITMENT;

	if (wrapped.len > STREAM_WRAPPED_MAX ||
	    slot_size(old->info.key, wrapped) > size - at_slot)
		return HF_ERR_OUT_OF_BOUNDS;
	memset(out, 0, size);
	memcpy(out, old->bound.ptr, old->bound.len);
	memcpy(out + old->bound.len, old->commitment.ptr, STREAM_COMMITMENT);
	slot_write(out + at_slot, old->info.key, wrapped);
	return HF_OK;
}

/* -- Reading -- */

static enum hf_err
damaged(struct hf_why *why, const char *what)
{
	return hf_fail(why, HF_ERR_BAD_CIPHERTEXT,
	    "the header of the sealed file is damaged: %s", what);
}

static enum hf_err
cut_off(struct hf_why *why)
{
	return hf_fail(why, HF_ERR_TRUNCATED,
	    "the sealed file was cut off within its header");
}

enum hf_err
hf_stream_measure(
    struct hf_bytes start, size_t *header_size, struct hf_why *why)
{
	size_t compare = start.len < sizeof(magic) ? start.len : sizeof(magic);
	uint32_t size;

	if (start.len == 0 || memcmp(start.ptr, magic, compare) != 0)
		return hf_fail(
		    why, HF_ERR_BAD_CIPHERTEXT, "this is not a sealed file");
	if (start.len < STREAM_START)
		return cut_off(why);
	if ((get_u16(start.ptr + AT_VERSION) != STREAM_VERSION &&
		get_u16(start.ptr + AT_VERSION) != STREAM_VERSION_CONTEXT) ||
	    get_u16(start.ptr + AT_SUITE) != STREAM_SUITE)
		return hf_fail(why, HF_ERR_BAD_CIPHERTEXT,
		    "the sealed file is of format %u, suite %u, which this "
		    "program does not know",
		    get_u16(start.ptr + AT_VERSION),
		    get_u16(start.ptr + AT_SUITE));
	size = get_u32(start.ptr + AT_SIZE);
	if (size == 0 || size > HF_STREAM_HEADER_MAX || size % SECTOR != 0)
		return damaged(why, "its length");
	*header_size = size;
	return HF_OK;
}

/* Takes `len` bytes from the front of what is left. */
static bool
take(struct hf_bytes *left, size_t len, struct hf_bytes *out)
{
	if (left->len < len)
		return false;
	*out = bytes_of(left->ptr, len);
	*left = bytes_of(left->ptr + len, left->len - len);
	return true;
}

/* Takes two bytes of length, and as many bytes as they say. */
static bool
take_counted(struct hf_bytes *left, struct hf_bytes *out)
{
	struct hf_bytes len;

	return take(left, 2, &len) && take(left, get_u16(len.ptr), out);
}

static bool
all_zero(struct hf_bytes in)
{
	for (size_t i = 0; i < in.len; i++)
		if (in.ptr[i] != 0)
			return false;
	return true;
}

/* The part that keys are derived with. */
static enum hf_err
read_bound(struct hf_bytes *left, struct stream_header *h, struct hf_why *why)
{
	const uint8_t *start = left->ptr;
	uint32_t chunk_size = get_u32(start + AT_CHUNK);
	struct hf_bytes fixed;

	if (!stream_chunk_size_ok(chunk_size))
		return damaged(why, "its chunk size");
	if (!take(left, AT_CONTEXT, &fixed) ||
	    !take(left, get_u32(start + AT_CONTEXT_LEN), &h->context))
		return damaged(why, "the length of its context");
	h->salt = bytes_of(start + AT_SALT, STREAM_SALT);
	h->bound = bytes_of(start, AT_CONTEXT + h->context.len);
	h->info.chunk_size = chunk_size;
	if (context_decode(h->context, h->info.context, &h->info.context_count,
		NULL) != HF_OK)
		return damaged(why, "its context");
	h->binds_context =
	    get_u16(start + AT_VERSION) == STREAM_VERSION_CONTEXT;
	if (h->binds_context && h->context.len == 0)
		return damaged(why, "it lacks its context");
	return HF_OK;
}

/* The part that leads to the data key. */
static enum hf_err
read_slot(struct hf_bytes left, struct stream_header *h, struct hf_why *why)
{
	struct hf_stream_info *info = &h->info;
	struct hf_bytes name;

	if (!take(&left, STREAM_COMMITMENT, &h->commitment) ||
	    !take_counted(&left, &name) || !take_counted(&left, &info->wrapped))
		return damaged(why, "a length in it");
	info->key = (struct hf_text){ (const char *)name.ptr, name.len };
	if (!name_valid(info->key))
		return damaged(why, "the name of the key");
	/* The binary form of a ciphertext starts with its key version. */
	if (info->wrapped.len <= 4 || info->wrapped.len > STREAM_WRAPPED_MAX ||
	    (info->key_version = get_u32(info->wrapped.ptr)) == 0)
		return damaged(why, "the wrapped data key");
	if (!all_zero(left))
		return damaged(why, "there is something after its end");
	return HF_OK;
}

enum hf_err
stream_header_read(
    struct hf_bytes in, struct stream_header *out, struct hf_why *why)
{
	struct stream_header h = { 0 };
	struct hf_bytes left;
	enum hf_err err = hf_stream_measure(in, &h.info.header_size, why);

	if (err != HF_OK)
		return err;
	if (in.len < h.info.header_size)
		return cut_off(why);
	left = bytes_of(in.ptr, h.info.header_size);
	if ((err = read_bound(&left, &h, why)) != HF_OK ||
	    (err = read_slot(left, &h, why)) != HF_OK)
		return err;
	*out = h;
	return HF_OK;
}

enum hf_err
hf_stream_read(
    struct hf_bytes header, struct hf_stream_info *out, struct hf_why *why)
{
	struct stream_header h;
	enum hf_err err = stream_header_read(header, &h, why);

	if (err == HF_OK)
		*out = h.info;
	return err;
}

enum hf_err
hf_stream_locate(const struct hf_stream_info *info, uint64_t sealed_size,
    uint64_t *chunks, uint64_t *plain_size, struct hf_why *why)
{
	uint64_t sealed_chunk = info->chunk_size + HF_STREAM_TAG;
	uint64_t body, rest, whole;

	if (sealed_size < info->header_size)
		return cut_off(why);
	body = sealed_size - info->header_size;
	whole = body / sealed_chunk;
	rest = body % sealed_chunk;
	/* There is a chunk, and an empty one only where it is the only one. */
	if ((rest == 0 && whole == 0) || (rest > 0 && rest < HF_STREAM_TAG) ||
	    (rest == HF_STREAM_TAG && whole > 0))
		return hf_fail(why, HF_ERR_TRUNCATED,
		    "the sealed file was cut off: no sealed file has this "
		    "length");
	if (whole > STREAM_CHUNKS - (rest > 0))
		return hf_fail(why, HF_ERR_BAD_CIPHERTEXT,
		    "the sealed file has more chunks than there can be");
	*chunks = whole + (rest > 0);
	*plain_size = body - *chunks * HF_STREAM_TAG;
	return HF_OK;
}
