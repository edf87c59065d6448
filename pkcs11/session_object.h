/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PKCS11_SESSION_OBJECT_H
#define PKCS11_SESSION_OBJECT_H

#include <stdbool.h>
#include <stddef.h>

#include "cryptoki.h"
#include "object.h"

/*
 * Objects that live as long as their session: keys as blobs that the daemon
 * sealed, public halves, and what programs store for themselves. Each is on a
 * shelf of its own (shelf.h); all of the process are in one list.
 */
struct session;
struct session_table;

/*
 * Makes a session object; what the views in `from` point to is copied. The
 * handle and all that follows from the public key or the certificate is filled
 * in here.
 */
CK_RV session_object_add(
    struct session *session, const struct object *from, CK_OBJECT_HANDLE *out);
/* Puts a changed copy in the place of the one with its handle; whoever holds
 * the old one keeps it. */
CK_RV session_object_change(struct session *session, const struct object *to);
/* C_DestroyObject; false when there is no such session object. */
bool session_object_remove(struct session *session, CK_OBJECT_HANDLE handle);

/* Objects that end with their session, or with the module. Under the lock. */
void session_objects_drop(
    struct session_table *table, CK_SESSION_HANDLE session);
void session_objects_free(struct session_table *table);

/* With a reference for the caller; NULL when there is no such session object.
 */
struct object *session_object_get(
    struct session *session, CK_OBJECT_HANDLE handle);

/* How many the slot of the session has. */
size_t session_objects_count(const struct session *session);

/* Adds those that match, and that the session may see, to session->found, up
 * to `room` handles in all: another thread may have made more meanwhile. */
void session_objects_collect(struct session *session, size_t room,
    const CK_ATTRIBUTE *template, CK_ULONG count);

#endif
