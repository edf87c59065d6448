/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ciphertexts, signatures and MACs as callers bring them back, in text or in
 * binary form: what is read must be written and read again as the same. The
 * first byte picks the kind of base64 and the prefix.
 */
#include <stdlib.h>
#include <string.h>

#include "../../keyd/text_form.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must_come_back(struct arena *arena, enum form form, const char *prefix,
    enum base64_kind kind, const struct versioned *v)
{
	uint8_t *buf = arena_alloc(arena, FORM_HEADER + v->body.len + 1);
	struct versioned again;
	struct hf_bytes out;

	if (buf == NULL)
		abort();
	if (v->body.len > 0)
		memcpy(buf + FORM_HEADER, v->body.ptr, v->body.len);
	if (form_write(arena, form, prefix, v->version, kind, buf, v->body.len,
		&out) != HF_OK ||
	    form_read(arena, out, prefix, kind, "ciphertext",
		HF_ERR_BAD_CIPHERTEXT, &again, NULL) != HF_OK ||
	    again.version != v->version || !bytes_equal(again.body, v->body))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const prefixes[] = { "vault", "holdfast", "a-b" };
	static struct arena *arena;
	struct versioned v;
	struct hf_why why;
	enum base64_kind kind;
	const char *prefix;

	if (size < 1 || size > 65536)
		return 0;
	if (arena == NULL && arena_new(1 << 16, 16 << 20, &arena) != HF_OK)
		abort();
	arena_reset(arena);
	prefix = prefixes[data[0] / 2 % 3];
	kind = data[0] % 2 == 0 ? BASE64_STD : BASE64_URL;
	if (form_read(arena, bytes_of(data + 1, size - 1), prefix, kind,
		"ciphertext", HF_ERR_BAD_CIPHERTEXT, &v, &why) != HF_OK)
		return 0;
	if (v.version == 0)
		abort();
	must_come_back(arena, FORM_TEXT, prefix, kind, &v);
	if (v.version < 1 << 24) /* no key has more */
		must_come_back(arena, FORM_BINARY, prefix, kind, &v);
	return 0;
}
