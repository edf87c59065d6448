/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PKCS11_ASK_H
#define PKCS11_ASK_H

#include <holdfast/ops.h>

#include "object.h"
#include "session.h"
#include "slot.h"

/*
 * Uses of a key, wherever it is: a key of the service is named, a session key
 * or a public key of the host's is sent along. slot_done(call) must follow.
 */
enum ask { ASK_SIGN, ASK_HMAC, ASK_CMAC, ASK_ENCRYPT, ASK_DECRYPT };

/* `in` without the name of the key. */
enum hf_err ask_use(struct session *session, struct call *call, enum ask what,
    const struct object *key, struct hf_p11_use_in *in,
    struct hf_p11_use_out *out);
enum hf_err ask_verify(struct session *session, struct call *call,
    const struct object *key, struct hf_p11_verify_in *in, bool *valid);

#endif
