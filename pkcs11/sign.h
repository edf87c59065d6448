/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PKCS11_SIGN_H
#define PKCS11_SIGN_H

#include "cryptoki.h"
#include "session.h"

/*
 * Signatures and MACs. Hashing is done here, the rest in one request when the
 * data is complete. Verification is the daemon's too: it has the public keys,
 * the mathematics and the audit trail already.
 */

/* C_Sign for outcome.h. */
size_t sign_size(
    const struct operation *op, enum kind kind, size_t len, bool *exact);
CK_RV sign_make(struct session *session, struct operation *op, enum kind kind);

CK_RV verify_whole(struct session *session, const CK_BYTE *in, CK_ULONG len,
    const CK_BYTE *signature, CK_ULONG signature_len);
CK_RV verify_final(
    struct session *session, const CK_BYTE *signature, CK_ULONG signature_len);

#endif
