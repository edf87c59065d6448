/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PKCS11_DIGEST_CALL_H
#define PKCS11_DIGEST_CALL_H

#include "cryptoki.h"
#include "session.h"

/* C_Digest and its like, and the saved states of digests. */
CK_RV digest_call_update(
    struct session *session, const CK_BYTE *in, CK_ULONG len);
CK_RV digest_call_final(
    struct session *session, CK_BYTE *out, CK_ULONG *out_len);
CK_RV digest_call_whole(struct session *session, const CK_BYTE *in,
    CK_ULONG len, CK_BYTE *out, CK_ULONG *out_len);

/* CKR_STATE_UNSAVEABLE while anything but a digest is under way. */
CK_RV digest_call_save(
    struct session *session, CK_BYTE *out, CK_ULONG *out_len);
CK_RV digest_call_restore(
    struct session *session, const CK_BYTE *in, CK_ULONG len);

#endif
