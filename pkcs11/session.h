/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PKCS11_SESSION_H
#define PKCS11_SESSION_H

#include <stdbool.h>
#include <stddef.h>

#include <holdfast/err.h>

#include "cryptoki.h"
#include "operation.h"

/*
 * Sessions live here alone; the daemon knows nothing of them. One call at a
 * time uses a session: session_enter() waits for the one before it. What is
 * not active is all zero.
 */
struct module;
struct slot;

struct session {
	CK_SESSION_HANDLE handle;
	struct slot *slot;
	struct session_table *table; /* that it is in */
	bool rw;
	bool busy;    /* a call is using it */
	bool closing; /* turns new calls away */
	struct operation ops[KINDS];
	bool finding;
	CK_OBJECT_HANDLE *found; /* owned */
	size_t found_count, found_at;
	struct hf_why why; /* of the call that is using it */
};

struct session_table {
	struct session **slots; /* by the low bits of the handle */
	size_t cap, count;
	unsigned long generation;
	struct object *objects; /* session objects, newest first: object.c */
	unsigned long next_object;
};

/* No sessions, and no objects of any. */
void session_table_init(struct session_table *table);
/* Under the lock. */
void session_table_free(struct session_table *table);
void session_table_after_fork(struct session_table *table);

CK_RV session_open(struct module *module, CK_SLOT_ID slot, CK_FLAGS flags,
    CK_SESSION_HANDLE *out);
CK_RV session_close(struct module *module, CK_SESSION_HANDLE handle);
CK_RV session_close_all(struct module *module, CK_SLOT_ID slot);

/*
 * The session behind a handle, for this call alone; session_leave() must
 * follow when it gave CKR_OK. `login`: not without one, where the slot asks for
 * it.
 */
CK_RV session_enter(struct module *module, CK_SESSION_HANDLE handle, bool login,
    struct session **out);
void session_leave(struct session *session);

void session_info(const struct session *session, CK_SESSION_INFO *out);
CK_RV session_login(struct session *session, CK_USER_TYPE user,
    const CK_UTF8CHAR *pin, CK_ULONG pin_len);
CK_RV session_logout(struct session *session);
/* Whether private objects may be seen. */
bool session_sees_private(const struct session *session);

#endif
