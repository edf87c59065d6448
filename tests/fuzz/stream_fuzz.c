/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealed files. The first byte picks what the rest is: a header, whatever it
 * says; or what is done to a true sealed file, which must not open then.
 */
#include <stdlib.h>

#include "../../lib/buffer.h"
#include "../../lib/bytes.h"
#include "../../lib/context.h"
#include "../../lib/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	CHUNK = HF_STREAM_CHUNK_MIN,
	UNIT = CHUNK + HF_STREAM_TAG,
	PLAIN = 2 * CHUNK + 100,
	HEADER = 512,
	SEALED = HEADER + PLAIN + 3 * HF_STREAM_TAG,
	ROOM = 2 * SEALED,
};

static const uint8_t key[STREAM_KEY] = "the key of the sealed fuzz file";
static const uint8_t wrapped[40] = { 0, 0, 0, 1, 'w' };
static const uint8_t salt[STREAM_SALT] = "salt";

static void
must(bool ok)
{
	if (!ok)
		abort();
}

/* -- A header -- */

/* What is accepted is what we would write, and does not open unless it is. */
static void
any_header(struct hf_bytes in)
{
	uint8_t again[HF_STREAM_HEADER_MAX], context[CONTEXT_BYTES];
	struct stream_header h;
	struct hf_opener *opener;
	struct hf_why why;
	uint8_t *commitment;
	uint64_t chunks, plain;
	size_t len;

	if (stream_header_read(in, &h, &why) != HF_OK)
		return;
	must(context_encode(h.info.context, h.info.context_count, context, &len,
		 NULL) == HF_OK);
	must(bytes_equal(bytes_of(context, len), h.context));
	must(stream_header_write((uint32_t)h.info.chunk_size, h.context,
		 h.salt.ptr, h.info.key, h.info.wrapped, again, &len,
		 &commitment) == HF_OK);
	memcpy(commitment, h.commitment.ptr, h.commitment.len);
	/* With a context version 1 is read, but not written any more. */
	if (!h.binds_context)
		again[9] = 1;
	/* A rewrap may leave more room than is needed. */
	must(len <= h.info.header_size);
	must(len != h.info.header_size || memcmp(again, in.ptr, len) == 0);
	must(stream_header_replace(&h, h.info.wrapped, again) == HF_OK);
	must(memcmp(again, in.ptr, h.info.header_size) == 0);
	if (hf_stream_locate(&h.info, in.len, &chunks, &plain, &why) == HF_OK)
		must(chunks > 0 && plain < in.len);
	must(stream_opener_with(
		 bytes_of(key, sizeof(key)), in, NULL, &opener, &why) != HF_OK);
}

/* -- A true file, and what may be done to it -- */

static size_t
make_file(uint8_t *out)
{
	static const struct hf_pair pair = { { "a", 1 }, { "b", 1 } };
	const struct hf_seal_how how = { .key = { "k", 1 },
		.context = &pair,
		.context_count = 1,
		.chunk_size = CHUNK };
	static uint8_t plain[PLAIN];
	struct hf_sealer *sealer;
	struct hf_bytes header;
	size_t at = HEADER;

	must(hf_sealer_new(NULL, &how, &sealer, NULL) == HF_OK);
	must(stream_seal_begin_with(sealer, bytes_of(key, sizeof(key)),
		 bytes_of(wrapped, sizeof(wrapped)), salt, &header,
		 NULL) == HF_OK);
	must(header.len == HEADER);
	memcpy(out, header.ptr, header.len);
	for (size_t i = 0; i < 3; i++) {
		struct hf_bytes in = bytes_of(
		    plain + i * CHUNK, i < 2 ? CHUNK : PLAIN - 2 * CHUNK);

		must(
		    hf_seal_chunk(sealer, in, i == 2, out + at, NULL) == HF_OK);
		at += in.len + HF_STREAM_TAG;
	}
	hf_sealer_free(sealer);
	return at;
}

static bool
opens(struct hf_bytes file)
{
	struct hf_opener *opener;
	static uint8_t out[CHUNK];
	uint64_t chunks = 0, plain;
	enum hf_err err = stream_opener_with(
	    bytes_of(key, sizeof(key)), file, NULL, &opener, NULL);

	if (err != HF_OK)
		return false;
	err = hf_stream_locate(
	    hf_opener_info(opener), file.len, &chunks, &plain, NULL);
	for (uint64_t i = 0; err == HF_OK && i < chunks; i++) {
		size_t at = HEADER + i * UNIT;
		size_t n = file.len - at < UNIT ? file.len - at : UNIT;

		err = hf_open_chunk(opener, i, i == chunks - 1,
		    bytes_of(file.ptr + at, n), out, NULL);
	}
	hf_opener_free(opener);
	return err == HF_OK;
}

/* Five bytes a change: what, where (two), and how much or what (two). */
static size_t
change(uint8_t *file, size_t len, const uint8_t *how)
{
	size_t at = (size_t)(how[1] << 8 | how[2]) % (len + 1);
	size_t n = (size_t)(how[3] << 8 | how[4]);

	switch (how[0] % 5) {
	case 0: /* a byte */
		if (at < len)
			file[at] = how[3];
		return len;
	case 1: /* the end */
		return at;
	case 2: /* more of it */
		n %= ROOM - len + 1;
		memset(file + len, how[3], n);
		return len + n;
	case 3: /* a part moved */
		n %= len - at + 1;
		memmove(file + HEADER % (len - n + 1), file + at, n);
		return len;
	default: /* a part left out */
		n %= len - at + 1;
		memmove(file + at, file + at + n, len - at - n);
		return len - n;
	}
}

/* The key's name and its wrapped form are the service's to judge. */
static void
leave_slot(uint8_t *file, const uint8_t *original, size_t len)
{
	enum { SLOT = 56 + 5 + STREAM_COMMITMENT };

	if (len >= HEADER)
		memcpy(file + SLOT, original + SLOT, HEADER - SLOT);
}

static void
changed_file(const uint8_t *how, size_t size)
{
	static uint8_t original[ROOM], file[ROOM];
	static size_t original_len;
	size_t len;

	if (original_len == 0) {
		original_len = make_file(original);
		must(opens(bytes_of(original, original_len)));
	}
	memcpy(file, original, original_len);
	len = original_len;
	for (size_t at = 0; at + 5 <= size; at += 5)
		len = change(file, len, how + at);
	leave_slot(file, original, len);
	must(opens(bytes_of(file, len)) ==
	    bytes_equal(bytes_of(file, len), bytes_of(original, original_len)));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > 65536)
		return 0;
	if (data[0] % 2 == 0)
		any_header(bytes_of(data + 1, size - 1));
	else
		changed_file(data + 1, size - 1 < 50 ? size - 1 : 50);
	return 0;
}
