/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream of bytes, cut anywhere, as frames: what is measured must be stable
 * as more bytes arrive, and must lead through the stream to its end.
 */
#include <stdlib.h>

#include "../../lib/bytes.h"
#include "../../lib/frame.h"
#include "../fake/must.h"

enum { MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One byte more never changes a verdict, only makes one. */
static enum hf_err
measure_growing(
    enum frame_kind kind, const uint8_t *in, size_t len, size_t *need)
{
	size_t head = frame_header_size(kind);
	enum hf_err err = HF_OK;

	*need = 0;
	for (size_t n = 0; n <= len && n <= head + FRAME_ID; n++) {
		size_t now = 0;
		enum hf_err verdict = frame_measure(kind, in, n, MAX, &now);

		must(err == HF_OK || verdict == err);
		must(*need == 0 || now == *need);
		must(n >= head || now == 0);
		err = verdict;
		*need = now;
	}
	return err;
}

static void
check_header(enum frame_kind kind, const uint8_t *in, size_t need)
{
	size_t head = frame_header_size(kind);
	uint8_t again[FRAME_HEADER_MAX];

	must(need >= head + FRAME_ID);
	frame_header(kind, need - head, again);
	must(bytes_equal(bytes_of(again, head), bytes_of(in, head)));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum frame_kind kind;

	if (size < 1 + FRAME_HELLO)
		return 0;
	kind = data[0] & 1 ? FRAME_IPC : FRAME_STREAM;
	(void)frame_hello_ok(FRAME_REQ, data + 1);
	data += 1 + FRAME_HELLO;
	size -= 1 + FRAME_HELLO;
	while (size > 0) {
		size_t need;
		enum hf_err err = measure_growing(kind, data, size, &need);

		if (err == HF_ERR_BAD_MESSAGE || need == 0)
			return 0;
		check_header(kind, data, need);
		must((need - frame_header_size(kind) - FRAME_ID > MAX) ==
		    (err == HF_ERR_TOO_LARGE));
		if (need > size)
			return 0;
		(void)frame_id_ok(data + frame_header_size(kind));
		data += need;
		size -= need;
	}
	return 0;
}
