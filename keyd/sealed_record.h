/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_SEALED_RECORD_H
#define KEYD_SEALED_RECORD_H

#include "../lib/secret.h"
#include "hierarchy.h"
#include "record.h"

/*
 * Records (record.h) as they stand in the store where they are secret: sealed
 * by a keyring, under the name that they have there.
 */

/* The record points into `plain`, which the caller frees. */
enum hf_err sealed_record_open(struct hierarchy *h, struct hf_text name,
    struct hf_bytes sealed, const struct schema *schema, struct secret *plain,
    void *record);

/* The same of what the store has under that name, or HF_ERR_NOT_FOUND. */
enum hf_err sealed_record_load(struct store *store, struct hierarchy *h,
    struct hf_text name, const struct schema *schema, struct secret *plain,
    void *record, uint64_t *revision);

/* The sealed form, malloc'ed. */
enum hf_err sealed_record_make(struct hierarchy *h, struct hf_text keyring,
    struct hf_text name, const struct schema *schema, const void *record,
    uint8_t **sealed, size_t *len);

#endif
