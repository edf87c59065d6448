/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_KEY_PURPOSE_H
#define KEYD_KEY_PURPOSE_H

#include "key.h"

/*
 * What a key was made for, as bits of enum hf_p11_use. It is fixed when the
 * key is made and holds for every operation, whatever policy grants.
 *
 * A key that wraps or unwraps other keys does nothing else, is born inside,
 * and never leaves: else what it wrapped could be decrypted like data, a known
 * value could be encrypted and unwrapped as a key, or a copy of it could be
 * unwrapped for another purpose (Clulow 2003; Bortolozzo and others 2010).
 */

/* Of an existing key: what it was made for, or what its type can do. */
uint64_t key_purpose(const struct key *key);

/*
 * What a new key gets for the bits that were asked for: its type's when none
 * was, and the public half's where the private half's is there. `inside`: it
 * is generated here, not brought, unwrapped or derived. HF_ERR_BAD_CONFIG for
 * what its type cannot do and for what must not be together.
 */
enum hf_err key_purpose_new(const struct key_type *type, uint64_t asked,
    bool inside, uint64_t *out, struct hf_why *why);

/*
 * Whether an operation may be done with the key, by its path in ops.def. What
 * is not known here is refused to keys that wrap.
 */
bool key_purpose_allows(const struct key *key, const char *path);

#endif
