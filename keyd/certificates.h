/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_CERTIFICATES_H
#define KEYD_CERTIFICATES_H

#include <stdbool.h>

#include <holdfast/bytes.h>
#include <holdfast/err.h>

#include "hierarchy.h"
#include "store.h"

/*
 * Certificates that belong to no key here, as PKCS#11 programs keep them
 * beside their keys: cert/<name> in the store, sealed by the keyring
 * "default". Everything here blocks on the store.
 */
struct certificates {
	struct store *store;
	struct hierarchy *hierarchy;
};

enum { CERTIFICATE_UID = 16 };

struct certificate {
	struct secret memory; /* what the views point into */
	struct hf_bytes uid;  /* CERTIFICATE_UID bytes */
	struct hf_bytes der;
	struct hf_text label;
	struct hf_bytes id;
	uint64_t creation_time;
};

/* NULL-safe in the sense of an all-zero one. */
void certificate_free(struct certificate *c);

/* Makes it or replaces it; the uid of a new one is drawn and told. */
enum hf_err certificate_put(const struct certificates *cs, struct hf_text name,
    const struct certificate *c, uint8_t uid[CERTIFICATE_UID]);

/* HF_ERR_NOT_FOUND. `out` must be all zero. */
enum hf_err certificate_get(const struct certificates *cs, struct hf_text name,
    struct certificate *out);
enum hf_err certificate_delete(
    const struct certificates *cs, struct hf_text name);

/* Names in order. `each` must not call the store. */
typedef bool certificate_name_fn(void *ctx, struct hf_text name);
enum hf_err certificate_list(
    const struct certificates *cs, certificate_name_fn *each, void *ctx);

#endif
