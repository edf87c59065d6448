/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_SESSION_KEY_H
#define KEYD_SESSION_KEY_H

#include "key.h"
#include "request.h"

/*
 * Keys that last as long as a PKCS#11 session. The daemon keeps nothing of
 * them: the caller holds the key, sealed by the hierarchy under the caller's
 * identity, and sends it along. Nobody else's requests open it, and it goes on
 * working over a restart.
 */

/* "uid:1001" or "cert:<SHA-256>" behind `purpose` and a slash: what values
 * that a caller holds are bound to. */
enum { CALLER_IDENTITY = 128 };
void caller_identity(
    const struct identity *who, const char *purpose, char out[CALLER_IDENTITY]);

/* Material as in struct version_record; its spki for pairs. In the arena. */
enum hf_err session_key_seal(struct request *rq, const struct key_type *type,
    uint64_t uses, struct hf_bytes material, struct hf_bytes spki,
    struct hf_bytes *out);

/* HF_ERR_SESSION_KEY when it does not open. A reference for the caller. */
enum hf_err session_key_open(
    struct request *rq, struct hf_bytes sealed, struct key **out);

#endif
