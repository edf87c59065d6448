/* SPDX-License-Identifier: Apache-2.0 */
#include "sealed_record.h"

#include <stdlib.h>

#include "../lib/bytes.h"

enum hf_err
sealed_record_open(struct hierarchy *h, struct hf_text name,
    struct hf_bytes sealed, const struct schema *schema, struct secret *plain,
    void *record)
{
	enum hf_err err = hierarchy_unseal(h, name, sealed, plain);

	return err == HF_OK ? record_decode(schema, secret_view(plain), record)
			    : err;
}

enum hf_err
sealed_record_load(struct store *store, struct hierarchy *h,
    struct hf_text name, const struct schema *schema, struct secret *plain,
    void *record, uint64_t *revision)
{
	struct store_value v = { 0 };
	enum hf_err err = store_get(store, name, &v);

	if (err != HF_OK)
		return err;
	*revision = v.revision;
	err = sealed_record_open(
	    h, name, bytes_of(v.ptr, v.len), schema, plain, record);
	store_value_free(&v);
	return err;
}

enum hf_err
sealed_record_make(struct hierarchy *h, struct hf_text keyring,
    struct hf_text name, const struct schema *schema, const void *record,
    uint8_t **sealed, size_t *len)
{
	AUTO_SECRET plain = { 0 };
	size_t size;
	uint8_t *out;
	enum hf_err err;

	/* Counted first: as much as any record may have would be a mapping of
	 * its own, made and locked and unmade for each. */
	if (schema_encode(schema, record, NULL, 0, &size) !=
	    HF_ERR_BUFFER_TOO_SMALL)
		return HF_ERR_SYSTEM;
	if (size > RECORD_MAX)
		return HF_ERR_NO_MEMORY;
	if ((err = secret_alloc(&plain, size)) != HF_OK ||
	    (err = record_encode(
		 schema, record, plain.ptr, plain.len, &size)) != HF_OK)
		return err;
	out = malloc(size + SEAL_EXTRA);
	if (out == NULL)
		return HF_ERR_NO_MEMORY;
	err = hierarchy_seal(h, keyring, name, bytes_of(plain.ptr, size), out);
	if (err != HF_OK) {
		free(out);
		return err;
	}
	*sealed = out;
	*len = size + SEAL_EXTRA;
	return HF_OK;
}
