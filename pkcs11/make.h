/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PKCS11_MAKE_H
#define PKCS11_MAKE_H

#include "../lib/name.h"
#include "cryptoki.h"
#include "session.h"
#include "slot.h"
#include "template.h"

/*
 * Objects that come and go: generated, created, changed, destroyed. What stays
 * is made by the daemon under a name: the label where that is a name and free,
 * else one that is made of it, and the label is kept beside it. What lasts as
 * long as the session is a session object here.
 */

/* C_GenerateKey (PKCS#11 3.0, section 5.18.1). */
CK_RV make_key(struct session *session, const CK_MECHANISM *mechanism,
    const CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *out);

/* C_GenerateKeyPair (PKCS#11 3.0, section 5.18.2), a half each. */
struct half {
	const CK_ATTRIBUTE *template;
	CK_ULONG count;
	CK_OBJECT_HANDLE *out;
};
CK_RV make_pair(struct session *session, const CK_MECHANISM *mechanism,
    const struct half *public, const struct half *private);

/* C_CreateObject (section 5.7.1): keys, public halves and certificates. */
CK_RV make_object(struct session *session, const CK_ATTRIBUTE *template,
    CK_ULONG count, CK_OBJECT_HANDLE *out);

/* C_SetAttributeValue and C_DestroyObject (sections 5.7.6 and 5.7.3). */
CK_RV change_object(struct session *session, CK_OBJECT_HANDLE handle,
    const CK_ATTRIBUTE *template, CK_ULONG count);
CK_RV destroy_object(struct session *session, CK_OBJECT_HANDLE handle);

/* -- For wrap.c -- */

/* What the daemon is to make of a template, and how long it stays. The views
 * point into the template. `type` is the daemon's. */
struct plan {
	struct wishes w;
	const char *type;
	struct hf_p11_make make;
	struct hf_p11_stay stay;
};
CK_RV plan_secret(struct session *session, const CK_ATTRIBUTE *template,
    CK_ULONG count, CK_KEY_TYPE key_type, struct plan *out);
CK_RV plan_uses(struct plan *plan);

/* A name for a new object with that label: the nth try. */
CK_RV plan_name(struct session *session, const struct plan *plan, int try,
    char out[NAME_SIZE]);

/* A request for an object that stays: its struct, where the name goes in it,
 * and the name. */
struct naming {
	enum op_id op;
	void *in;
	struct hf_text *name;
	char room[NAME_SIZE];
};

/* Asks with one name after the other until it is free. */
CK_RV plan_ask(struct session *session, const struct plan *plan,
    struct naming *naming, struct hf_p11_made *made, struct call *call);

/* The session object of what the daemon made. */
CK_RV plan_session_object(struct session *session, const struct plan *plan,
    CK_OBJECT_CLASS class, const struct hf_p11_made *made,
    CK_MECHANISM_TYPE generated, struct hf_bytes value, CK_OBJECT_HANDLE *out);

#endif
