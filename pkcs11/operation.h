/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PKCS11_OPERATION_H
#define PKCS11_OPERATION_H

#include <stdbool.h>
#include <stddef.h>

#include <holdfast/bytes.h>
#include <holdfast/ops.h>

#include "../lib/buffer.h"
#include "cryptoki.h"
#include "digest.h"
#include "param.h"

/*
 * What an Init function began and Update and Final go on with. A session has
 * at most one of each kind. All of it is here; the daemon hears of it once,
 * when everything is there.
 */
struct mech;
struct object;
struct session;

enum kind {
	KIND_ENCRYPT,
	KIND_DECRYPT,
	KIND_SIGN,
	KIND_VERIFY,
	KIND_DIGEST,
	KIND_MESSAGE_ENCRYPT,
	KIND_MESSAGE_DECRYPT,
	KINDS,
};

/* An operation that an Init function began. */
struct operation {
	bool active;
	bool fed; /* by an Update: the one-call form is over */
	const struct mech *mech;
	struct param param;
	struct object *key;   /* a reference */
	struct digest digest; /* where mech->hash says so */
	struct buffer data;   /* what came so far, where the whole is needed */
	struct buffer result; /* computed, and did not fit the host's buffer */
	bool done;            /* `result` is there */
};

/*
 * All that Init functions check: the mechanism exists and is for this, its
 * parameter is right, the key exists, fits the mechanism and may be used so.
 * `mechanism` NULL ends the operation of that kind (PKCS#11 3.0, 5.2).
 */
CK_RV operation_begin(struct session *session, enum kind kind,
    const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key);

/* The one that is active, or CKR_OPERATION_NOT_INITIALIZED. */
CK_RV operation_get(
    struct session *session, enum kind kind, struct operation **out);

/* The part of it that is about the key. */
CK_RV operation_check_key(
    const struct mech *mech, enum hf_p11_use use, const struct object *key);

/* Takes in data: into the digest, or into the buffer. */
CK_RV operation_feed(struct operation *op, const CK_BYTE *in, CK_ULONG len);

/* Wipes it; an inactive one is fine. */
void operation_end(struct operation *op);

/* For every function that ends an operation unless the buffer was too small
 * or only the length was asked for. */
CK_RV operation_finish(struct operation *op, CK_RV rv, bool asked_length);

/*
 * Cryptoki's way to give bytes back: with `out` NULL only the length is told;
 * when it is too short, CKR_BUFFER_TOO_SMALL and the length.
 */
CK_RV give(struct hf_bytes from, CK_BYTE *out, CK_ULONG *out_len);

#endif
