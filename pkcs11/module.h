/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PKCS11_MODULE_H
#define PKCS11_MODULE_H

#include <stdbool.h>

#include "cryptoki.h"
#include "session.h"
#include "slot.h"

/*
 * What the process holds between C_Initialize and C_Finalize. Cryptoki hands
 * no context around, so this is the one place with a variable of its own.
 *
 * One lock guards all tables (sessions, objects, connections). It is held for
 * memory only, never across I/O, so that a fork() handler can take it: a child
 * finds every table whole. Calls are counted in and out; C_Finalize turns new
 * ones away, wakes those that wait, and frees when the last one has left.
 *
 * Fork. The child goes on with what it inherited: slots, sessions, handles.
 * Connections are made anew by libholdfast. Sessions that another thread was
 * using in the moment of the fork lose the operation that was under way.
 * C_Initialize in a child is answered with CKR_OK, once; C_Finalize and
 * C_Initialize work as ever.
 */
struct module {
	struct slot *slots;
	size_t slot_count;
	struct session_table sessions;
};

/* Any combination of init arguments; see the rules in module.c. */
CK_RV module_initialize(const CK_C_INITIALIZE_ARGS *args, struct hf_why *why);
CK_RV module_finalize(void);

/* Counts a call in; module_leave() must follow when it gave CKR_OK. */
CK_RV module_enter(struct module **out);
void module_leave(void);

/* Blocks until C_Finalize, in which case CKR_CRYPTOKI_NOT_INITIALIZED. */
CK_RV module_wait_for_end(void);

/* NULL when there is none of that number. */
struct slot *module_slot(struct module *module, CK_SLOT_ID id);

/*
 * The lock. module_sleep() gives it up until somebody calls module_wake();
 * who sleeps asks again for what it waits for, and for module_ending().
 */
void module_lock(void);
void module_unlock(void);
void module_sleep(void);
void module_wake(void);
/* Whether one call is under way, and no other. Under the lock. */
bool module_is_alone(void);
/* Whether C_Finalize waits for the calls under way. Under the lock. */
bool module_ending(void);

#endif
