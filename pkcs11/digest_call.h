/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PKCS11_DIGEST_CALL_H
#define PKCS11_DIGEST_CALL_H

#include "cryptoki.h"
#include "session.h"

/* C_Digest for outcome.h, and the saved states of digests. */
size_t digest_call_size(
    const struct operation *op, enum kind kind, size_t len, bool *exact);
CK_RV digest_call_make(
    struct session *session, struct operation *op, enum kind kind);

/* CKR_STATE_UNSAVEABLE while anything but a digest is under way. */
CK_RV digest_call_save(
    struct session *session, CK_BYTE *out, CK_ULONG *out_len);
CK_RV digest_call_restore(
    struct session *session, const CK_BYTE *in, CK_ULONG len);

#endif
