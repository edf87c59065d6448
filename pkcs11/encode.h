/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PKCS11_ENCODE_H
#define PKCS11_ENCODE_H

#include "../lib/buffer.h"
#include "cryptoki.h"
#include "template.h"

/*
 * Keys that a host brings in pieces, as the daemon takes them: private keys in
 * PKCS#8 (RFC 5208, 5915, 8410), public ones as SubjectPublicKeyInfo. Whether
 * the pieces fit each other the daemon finds out. CKR_TEMPLATE_INCOMPLETE when
 * one is missing; CKR_HOST_MEMORY.
 */
CK_RV encode_private(const struct wishes *w, struct buffer *out);
CK_RV encode_public(const struct wishes *w, struct buffer *out);

#endif
