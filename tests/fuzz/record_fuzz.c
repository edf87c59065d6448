/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of the store, and blobs that callers bring back, as somebody may have
 * changed them: what is read at all must be written again as it was read. The
 * first byte picks the kind.
 */
#include <stdlib.h>
#include <string.h>

#include "../../keyd/record.h"
#include "../../lib/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct schema *const kinds[] = {
	&root_schema,
	&keyring_schema,
	&key_schema,
	&version_schema,
	&alias_schema,
	&certificate_schema,
	&session_schema,
	&pin_schema,
	&login_schema,
};

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static _Alignas(16) uint8_t record[4096], again[4096];
	static uint8_t first[RECORD_MAX], second[RECORD_MAX];
	static struct arena *arena; /* of lists in records */
	const struct schema *schema;
	size_t len, len_again;

	if (size < 1 || size > RECORD_MAX)
		return 0;
	schema = kinds[data[0] % (sizeof(kinds) / sizeof(kinds[0]))];
	if (schema->size > sizeof(record))
		abort();
	if (arena == NULL && arena_new(65536, 65536, &arena) != HF_OK)
		abort();
	arena_reset(arena);
	if (record_decode_list(
		schema, bytes_of(data + 1, size - 1), arena, record) != HF_OK)
		return 0;
	if (record_encode(schema, record, first, sizeof(first), &len) !=
		HF_OK ||
	    record_decode_list(schema, bytes_of(first, len), arena, again) !=
		HF_OK ||
	    record_encode(schema, again, second, sizeof(second), &len_again) !=
		HF_OK ||
	    !bytes_equal(bytes_of(first, len), bytes_of(second, len_again)))
		abort();
	return 0;
}
