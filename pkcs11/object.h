/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PKCS11_OBJECT_H
#define PKCS11_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast/err.h>
#include <holdfast/ops.h>

#include "cryptoki.h"

/*
 * Objects. Those of the token come from one p11.find, all of them with all
 * that their attributes need: the catalogue of a slot, a shelf (shelf.h) that
 * is replaced as a whole. A search asks the
 * daemon whether the catalogue still holds, unless it said so a moment ago;
 * attributes and Init functions are answered from it without asking.
 *
 * The handle of a token object is a hash of its persistent id: the same in all
 * processes and after each restart.
 */
struct shelf;
struct session;
struct slot;

struct object {
	struct shelf *shelf; /* whose memory the views point into */
	CK_OBJECT_HANDLE handle;
	CK_OBJECT_CLASS class;
	CK_KEY_TYPE key_type;
	CK_ULONG bits, value_len, profile, certificate_type;
	CK_ULONG gen_mechanism;
	bool token, private, local, extractable, never_extractable;
	bool sensitive, always_sensitive;
	bool in_hsm; /* the key is of level hsm */
	bool alone;  /* certificate of no key; public key without its other half
		      */
	uint64_t uses; /* of this object: a public key does not sign */
	struct hf_text name;
	uint64_t key_version;
	struct hf_bytes uid; /* of the row */
	struct hf_bytes id, label, unique_id;
	struct hf_bytes public_key_info, modulus, exponent;
	struct hf_bytes ec_params, ec_point;
	struct hf_bytes certificate, subject, issuer, serial, check_value;
	struct hf_bytes value; /* of a secret that may be read */
	/* Session objects only. */
	struct object *next;
	CK_SESSION_HANDLE session;
	struct slot *slot;
	struct hf_bytes session_key; /* sealed by the daemon */
	struct hf_text type;         /* the daemon's, of public_key_info */
};

/*
 * The object behind a handle, with a reference for the caller. `invalid` is
 * what an unknown handle gives: CKR_KEY_HANDLE_INVALID, ...
 */
CK_RV object_get(struct session *session, CK_OBJECT_HANDLE handle,
    CK_RV invalid, struct object **out);
/* NULL is fine. */
void object_put(struct object *object);

/* The handle of a token object, by its persistent id. */
CK_OBJECT_HANDLE object_handle(struct hf_bytes uid, CK_OBJECT_CLASS class);

/* Changes were made: the next search asks the daemon. */
void catalogue_forget(struct slot *slot);

/*
 * The token object whose public key is that one, of a class; NULL in *out when
 * there is none. A reference.
 */
CK_RV object_by_public_key(struct session *session, CK_OBJECT_CLASS class,
    struct hf_bytes public_key_info, struct object **out);

CK_RV object_find_start(
    struct session *session, const CK_ATTRIBUTE *template, CK_ULONG count);
CK_RV object_find(struct session *session, CK_OBJECT_HANDLE *out, CK_ULONG max,
    CK_ULONG *count);
CK_RV object_find_end(struct session *session);

#endif
