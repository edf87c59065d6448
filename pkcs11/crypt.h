/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PKCS11_CRYPT_H
#define PKCS11_CRYPT_H

#include "cryptoki.h"
#include "session.h"

/*
 * Encryption and decryption: data is gathered until it is complete and goes to
 * the daemon in one request. Update gives nothing back, Final everything,
 * which Cryptoki allows; for authenticated modes it is the only right way, as
 * plaintext must not be seen before its tag was checked.
 *
 * `kind` is KIND_ENCRYPT or KIND_DECRYPT.
 */
CK_RV crypt_update(struct session *session, enum kind kind, const CK_BYTE *in,
    CK_ULONG len, CK_BYTE *out, CK_ULONG *out_len);
/* The rest is outcome.h's, for which these are. */
size_t crypt_size(
    const struct operation *op, enum kind kind, size_t len, bool *exact);
CK_RV crypt_make(struct session *session, struct operation *op, enum kind kind);

/*
 * One message of PKCS#11 3.0 under AES-GCM. `kind` is KIND_MESSAGE_ENCRYPT or
 * KIND_MESSAGE_DECRYPT; the parameter is CK_GCM_MESSAGE_PARAMS. With a
 * generator the daemon draws the nonce and it is written to pIv.
 */
struct message {
	void *param;
	CK_ULONG param_len;
	const CK_BYTE *aad;
	CK_ULONG aad_len;
};
CK_RV crypt_message(struct session *session, enum kind kind,
    const struct message *message, const CK_BYTE *in, CK_ULONG len,
    CK_BYTE *out, CK_ULONG *out_len);

/* The same in parts: Begin keeps the associated data, Next the data. */
CK_RV crypt_message_begin(
    struct session *session, enum kind kind, const struct message *message);
CK_RV crypt_message_next(struct session *session, enum kind kind,
    const struct message *message, const CK_BYTE *in, CK_ULONG len,
    CK_BYTE *out, CK_ULONG *out_len, CK_FLAGS flags);

#endif
