/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PKCS11_OUTCOME_H
#define PKCS11_OUTCOME_H

#include "cryptoki.h"
#include "session.h"

/*
 * The course of all operations that give bytes: C_Sign, C_Digest, C_Encrypt,
 * C_Decrypt and what belongs to them. Data is taken in until it is complete; a
 * host that asks for the length, or whose buffer is too short, is told and
 * may come again; what was computed and did not fit is kept until it does; all
 * else ends the operation. What each kind computes is a row of a table.
 */
CK_RV outcome_update(
    struct session *session, enum kind kind, const CK_BYTE *in, CK_ULONG len);
CK_RV outcome_whole(struct session *session, enum kind kind, const CK_BYTE *in,
    CK_ULONG len, CK_BYTE *out, CK_ULONG *out_len);
CK_RV outcome_final(
    struct session *session, enum kind kind, CK_BYTE *out, CK_ULONG *out_len);

#endif
