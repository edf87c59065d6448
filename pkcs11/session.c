/* SPDX-License-Identifier: Apache-2.0 */
#include "session.h"

#include <stdlib.h>
#include <string.h>

#include "../lib/bytes.h"
#include "error.h"
#include "module.h"
#include "session_object.h"

/*
 * A handle is the place in the table and a number that grows each time a place
 * is used anew, so that an old handle does not name somebody else's session.
 * It fits 31 bits: some hosts keep handles in an int.
 */
enum {
	PLACE_BITS = 18,
	PLACE_MASK = (1 << PLACE_BITS) - 1,
	GENERATION_MASK = (1 << (31 - PLACE_BITS)) - 1,
};

/* -- The table; all under the module's lock -- */

void
session_table_init(struct session_table *table)
{
	*table = (struct session_table){ .next_object = 1 };
}

static bool
table_grow(struct session_table *table)
{
	size_t cap = table->cap == 0 ? 16 : 2 * table->cap;
	struct session **slots;

	if (cap > PLACE_MASK)
		return false;
	slots = realloc(table->slots, cap * sizeof(struct session *));
	if (slots == NULL)
		return false;
	memset(slots + table->cap, 0,
	    (cap - table->cap) * sizeof(struct session *));
	table->slots = slots;
	table->cap = cap;
	return true;
}

static CK_RV
table_add(struct session_table *table, struct session *session)
{
	size_t place = 0;

	if (table->count == table->cap && !table_grow(table))
		return CKR_HOST_MEMORY;
	while (table->slots[place] != NULL)
		place++;
	table->generation = (table->generation + 1) & GENERATION_MASK;
	session->handle = table->generation << PLACE_BITS | (place + 1);
	table->slots[place] = session;
	table->count++;
	return CKR_OK;
}

static struct session *
table_find(const struct session_table *table, CK_SESSION_HANDLE handle)
{
	size_t place = (handle & PLACE_MASK) - 1;
	struct session *session;

	if ((handle & PLACE_MASK) == 0 || place >= table->cap)
		return NULL;
	session = table->slots[place];
	if (session == NULL || session->handle != handle || session->closing)
		return NULL;
	return session;
}

static void
session_free(struct session *session)
{
	for (size_t i = 0; i < KINDS; i++)
		operation_end(&session->ops[i]);
	free(session->found);
	free(session);
}

void
session_table_free(struct session_table *table)
{
	for (size_t i = 0; i < table->cap; i++)
		if (table->slots[i] != NULL)
			session_free(table->slots[i]);
	session_objects_free(table);
	free(table->slots);
	*table = (struct session_table){ 0 };
}

void
session_table_after_fork(struct session_table *table)
{
	for (size_t i = 0; i < table->cap; i++) {
		struct session *session = table->slots[i];

		if (session == NULL || !session->busy)
			continue;
		/* Another thread was in the middle of it. What it had made may
		 * be half done: forgotten, not freed. */
		memset(session->ops, 0, sizeof(session->ops));
		session->finding = false;
		session->found = NULL;
		session->busy = false;
		session->closing = false;
	}
}

/* -- Open and close -- */

CK_RV
session_open(struct module *module, CK_SLOT_ID slot_id, CK_FLAGS flags,
    CK_SESSION_HANDLE *out)
{
	struct slot *slot = module_slot(module, slot_id);
	struct session *session;
	CK_RV rv;

	if (slot == NULL)
		return CKR_SLOT_ID_INVALID;
	if (out == NULL)
		return CKR_ARGUMENTS_BAD;
	if ((flags & CKF_SERIAL_SESSION) == 0)
		return CKR_SESSION_PARALLEL_NOT_SUPPORTED;
	session = calloc(1, sizeof(*session));
	if (session == NULL)
		return CKR_HOST_MEMORY;
	session->slot = slot;
	session->table = &module->sessions;
	session->rw = (flags & CKF_RW_SESSION) != 0;
	module_lock();
	rv = table_add(&module->sessions, session);
	if (rv == CKR_OK) {
		slot->sessions++;
		slot->rw_sessions += session->rw;
		*out = session->handle;
	}
	module_unlock();
	if (rv != CKR_OK)
		free(session);
	return rv;
}

static void
forget_login(struct slot *slot)
{
	slot->logged_in = false;
	slot->login_len = 0;
	bytes_wipe(slot->login, sizeof(slot->login));
}

/* Waits for the call that is using it; others find it gone at once. */
static void
close_locked(struct module *module, struct session *session)
{
	struct slot *slot = session->slot;

	session->closing = true;
	while (session->busy)
		module_sleep();
	module->sessions.slots[(session->handle & PLACE_MASK) - 1] = NULL;
	module->sessions.count--;
	slot->sessions--;
	slot->rw_sessions -= session->rw;
	if (slot->sessions == 0)
		forget_login(slot);
	session_objects_drop(&module->sessions, session->handle);
	session_free(session);
}

CK_RV
session_close(struct module *module, CK_SESSION_HANDLE handle)
{
	struct session *session;
	CK_RV rv = CKR_SESSION_HANDLE_INVALID;

	module_lock();
	session = table_find(&module->sessions, handle);
	if (session != NULL) {
		close_locked(module, session);
		rv = CKR_OK;
	}
	module_unlock();
	return rv;
}

CK_RV
session_close_all(struct module *module, CK_SLOT_ID slot_id)
{
	struct slot *slot = module_slot(module, slot_id);

	if (slot == NULL)
		return CKR_SLOT_ID_INVALID;
	module_lock();
	/* The table may grow while close_locked() sleeps. */
	for (size_t i = 0; i < module->sessions.cap; i++) {
		struct session *session = module->sessions.slots[i];

		if (session != NULL && session->slot == slot &&
		    !session->closing)
			close_locked(module, session);
	}
	forget_login(slot);
	module_unlock();
	return CKR_OK;
}

/* -- Enter and leave -- */

static bool
logged_in(const struct slot *slot)
{
	return slot->config.login == LOGIN_NONE || slot->logged_in;
}

CK_RV
session_enter(struct module *module, CK_SESSION_HANDLE handle, bool login,
    struct session **out)
{
	struct session *session;
	CK_RV rv = CKR_OK;

	module_lock();
	session = table_find(&module->sessions, handle);
	while (session != NULL && session->busy) {
		if (module_ending()) {
			module_unlock();
			return CKR_CRYPTOKI_NOT_INITIALIZED;
		}
		module_sleep();
		session = table_find(&module->sessions, handle);
	}
	if (session == NULL)
		rv = CKR_SESSION_HANDLE_INVALID;
	else if (login && !logged_in(session->slot))
		rv = CKR_USER_NOT_LOGGED_IN;
	if (rv == CKR_OK) {
		session->busy = true;
		session->why.text[0] = '\0';
		*out = session;
	}
	module_unlock();
	return rv;
}

void
session_leave(struct session *session)
{
	module_lock();
	session->busy = false;
	module_wake();
	module_unlock();
}

/* -- State and login -- */

void
session_info(const struct session *session, CK_SESSION_INFO *out)
{
	bool in = logged_in(session->slot);

	*out = (CK_SESSION_INFO){
		.slotID = session->slot->id,
		.flags =
		    CKF_SERIAL_SESSION | (session->rw ? CKF_RW_SESSION : 0),
	};
	if (session->rw)
		out->state = in ? CKS_RW_USER_FUNCTIONS : CKS_RW_PUBLIC_SESSION;
	else
		out->state = in ? CKS_RO_USER_FUNCTIONS : CKS_RO_PUBLIC_SESSION;
}

bool
session_sees_private(const struct session *session)
{
	return logged_in(session->slot);
}

/* Has the daemon judge the PIN; it counts the attempts. */
static CK_RV
pin_login(struct session *session, const CK_UTF8CHAR *pin, CK_ULONG pin_len)
{
	struct slot *slot = session->slot;
	struct hf_p11_login_in in = { .pin = { pin, pin_len } };
	struct hf_p11_login_out result;
	struct call call;
	enum hf_err err;

	if (pin == NULL && pin_len > 0)
		return CKR_ARGUMENTS_BAD;
	if (pin == NULL || pin_len > 255)
		return CKR_PIN_INCORRECT;
	err = slot_call(&call, slot, OP_p11_login, &in, &result, &session->why);
	if (err == HF_OK && result.login.len > LOGIN_MAX)
		err = HF_ERR_BAD_REPLY;
	if (err == HF_OK) {
		module_lock();
		if (result.login.len > 0)
			memcpy(slot->login, result.login.ptr, result.login.len);
		slot->login_len = result.login.len;
		module_unlock();
	}
	slot_done(&call);
	return rv_of(err);
}

/*
 * The kernel has told the daemon who we are, and that decides in every mode.
 * In the modes without a PIN a login changes what the host believes of its
 * session, so any PIN will do: scripts pass one.
 */
CK_RV
session_login(struct session *session, CK_USER_TYPE user,
    const CK_UTF8CHAR *pin, CK_ULONG pin_len)
{
	struct slot *slot = session->slot;
	CK_RV rv = CKR_OK;

	if (user == CKU_CONTEXT_SPECIFIC)
		return CKR_OK; /* no key of ours asks for it */
	if (user != CKU_USER)
		return CKR_USER_TYPE_INVALID;
	if (slot->config.login == LOGIN_PIN && !session_sees_private(session))
		rv = pin_login(session, pin, pin_len);
	if (rv != CKR_OK)
		return rv;
	module_lock();
	if (slot->logged_in)
		rv = CKR_USER_ALREADY_LOGGED_IN;
	slot->logged_in = true;
	module_unlock();
	return rv;
}

CK_RV
session_logout(struct session *session)
{
	struct slot *slot = session->slot;
	CK_RV rv = CKR_OK;

	module_lock();
	if (!slot->logged_in)
		rv = CKR_USER_NOT_LOGGED_IN;
	forget_login(slot);
	module_unlock();
	return rv;
}
