/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_FRESH_H
#define KEYD_FRESH_H

#include "keys_internal.h"

/*
 * The material of a version that is about to be made: generated here or in the
 * HSM, or brought along, owned until its record is sealed. `rec` points into
 * it.
 */
/*
 * Material from outside, checked: symmetric keys as they are, others as PKCS#8
 * with the public half beside it. Without `key` it is a public half alone;
 * without `hmac` the version gets a new key for hmac.
 */
struct key_material {
	struct secret key, hmac;
	uint8_t spki[SPKI_MAX];
	size_t spki_len;
};

/* Wipes. */
void key_material_free(struct key_material *m);

struct fresh {
	struct secret material, hmac;
	uint8_t wrapped[HSM_WRAPPED_MAX], hmac_wrapped[HSM_WRAPPED_MAX];
	uint8_t spki[SPKI_MAX];
	uint8_t id[HSM_ID], hmac_id[HSM_ID], wrap_id[HSM_ID], home[HSM_ID];
	struct hsm *hsm;        /* level hsm: where it is made ... */
	struct hierarchy *held; /* ... and where it stays until fresh_free() */
	struct version_record rec;
};

/* `from` NULL: new material. A public half alone is of level wrapped. */
enum hf_err fresh_make(struct keys *keys, const struct key_type *type,
    enum key_level level, size_t key_size, const struct key_material *from,
    uint64_t number, struct fresh **out);

/* NULL is fine. Wipes. */
void fresh_free(struct fresh *f);

/*
 * What may have been made in the HSM for a version that did not come to be:
 * looked for under the ids that it would have, wrapped or resident.
 */
void fresh_discard(
    struct keys *keys, const struct key_type *type, const struct fresh *f);

#endif
