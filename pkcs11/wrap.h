/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PKCS11_WRAP_H
#define PKCS11_WRAP_H

#include "cryptoki.h"
#include "session.h"

/*
 * Keys that leave and enter wrapped, and keys from keys. What is unwrapped
 * stays or lasts as long as the session, as its template says; what is derived
 * is a session object, always.
 */
CK_RV wrap_key(struct session *session, const CK_MECHANISM *mechanism,
    CK_OBJECT_HANDLE wrapping, CK_OBJECT_HANDLE key, CK_BYTE *out,
    CK_ULONG *out_len);
CK_RV unwrap_key(struct session *session, const CK_MECHANISM *mechanism,
    CK_OBJECT_HANDLE unwrapping, struct hf_bytes in,
    const CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *out);
CK_RV derive_key(struct session *session, const CK_MECHANISM *mechanism,
    CK_OBJECT_HANDLE base, const CK_ATTRIBUTE *template, CK_ULONG count,
    CK_OBJECT_HANDLE *out);

#endif
