/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Templates as a host may give them: each attribute is a type (8 bytes), a
 * length (1 byte) and as many bytes. What is read is put together as a key and
 * taken apart again.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/bytes.h"
#include "../../pkcs11/der.h"
#include "../../pkcs11/encode.h"
#include "../../pkcs11/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ATTRIBUTES = 64 };

static void
try_public(const struct wishes *w)
{
	AUTO_BUFFER out = { 0 };
	struct spki spki;

	if (encode_public(w, &out) != CKR_OK)
		return;
	if (!spki_parse(buffer_view(&out), &spki) || spki.key.len == 0)
		abort();
}

static void
try_private(const struct wishes *w)
{
	AUTO_BUFFER out = { 0 };
	struct hf_bytes rest;
	struct der all;

	if (encode_private(w, &out) != CKR_OK)
		return;
	rest = buffer_view(&out);
	if (!der_take(&rest, DER_SEQUENCE, &all) || rest.len != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CK_ATTRIBUTE a[ATTRIBUTES] = { { 0 } };
	/* Hosts point to memory of their own; so that reading beyond a value
	 * is seen, each gets a block of its own. */
	void *values[ATTRIBUTES];
	struct wishes w;
	CK_ULONG n = 0;

	while (n < ATTRIBUTES && size >= 9) {
		size_t len = data[8] < size - 9 ? data[8] : size - 9;

		values[n] = malloc(len + (len == 0));
		if (values[n] == NULL)
			break;
		memcpy(values[n], data + 9, len);
		a[n] = (CK_ATTRIBUTE){ get_u64(data), values[n], len };
		n++;
		data += 9 + len;
		size -= 9 + len;
	}
	if (template_read(a, n, &w) == CKR_OK) {
		try_public(&w);
		try_private(&w);
	}
	while (n > 0)
		free(values[--n]);
	return 0;
}
