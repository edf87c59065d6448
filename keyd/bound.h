/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_BOUND_H
#define KEYD_BOUND_H

#include <stddef.h>

#include <holdfast/bytes.h>
#include <holdfast/err.h>

#include "../lib/arena.h"

/*
 * What a ciphertext is bound to: its encryption context and the associated
 * data, as the one string that an AEAD authenticates (docs/transit.md):
 *
 *	without a context	associated data, as it is
 *	with one		"holdfast-context-v1" 00 | size (4) | context |
 *				associated data
 *
 * where context is canonical CBOR (lib/context.h), `size` bytes of it,
 * big-endian. Associated data that begins with those 20 bytes is refused:
 * else whoever may give associated data alone could speak for any context,
 * past policy and the audit.
 */

/*
 * The views of `out` are into the arena or into `aad`. HF_ERR_BAD_VALUE for
 * associated data as above; errors of context_encode.
 */
enum hf_err bound_aad(struct arena *arena, const struct hf_pair *context,
    size_t count, struct hf_bytes aad, struct hf_bytes *out,
    struct hf_why *why);

#endif
