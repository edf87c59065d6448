/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PKCS11_RANDOM_H
#define PKCS11_RANDOM_H

#include "cryptoki.h"
#include "session.h"

/*
 * Random bytes: from the kernel, which costs no request, never runs dry and
 * never repeats itself after a fork; or, where the slot says random = hsm,
 * from the HSM through the daemon, and then an error when that fails.
 */
CK_RV random_fill(struct session *session, CK_BYTE *out, CK_ULONG len);

#endif
