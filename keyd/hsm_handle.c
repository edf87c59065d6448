/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "../lib/bytes.h"
#include "hsm_internal.h"

/*
 * Handles, kept until the next connection. Looking one up in the HSM costs
 * time in proportion to the objects there; unwrapping a key some tens of
 * microseconds and more. The least recently used one makes room. An entry that
 * a call uses stays; what is dropped meanwhile goes with its last user.
 */

/* Lock is held. */
static struct handle *
entry_find(struct handles *h, unsigned kind, const uint8_t id[HSM_ID])
{
	for (size_t i = 0; i < HANDLES_MAX; i++) {
		struct handle *e = &h->entry[i];

		if (e->used != 0 && e->kind == kind && !e->doomed &&
		    memcmp(e->id, id, HSM_ID) == 0)
			return e;
	}
	return NULL;
}

/* Free, or the idle one that was not used for longest. Lock is held. */
static struct handle *
entry_spare(struct handles *h)
{
	struct handle *best = NULL;

	for (size_t i = 0; i < HANDLES_MAX; i++) {
		struct handle *e = &h->entry[i];

		if (e->users == 0 && (best == NULL || e->used < best->used))
			best = e;
	}
	return best;
}

/* The entry is free again; returns what is to be destroyed. Lock is held. */
static CK_OBJECT_HANDLE
entry_clear(struct handle *e)
{
	CK_OBJECT_HANDLE object =
	    e->used != 0 && e->transient ? e->object : CK_INVALID_HANDLE;

	*e = (struct handle){ 0 };
	return object;
}

static void
pin(struct hsm_call *call, struct handle *e)
{
	assert(call->pin_count < CALL_PINS);
	e->users++;
	e->used = ++call->hsm->handles.tick;
	call->pins[call->pin_count++] = e;
}

static bool
handle_get(struct hsm_call *call, unsigned kind, const uint8_t id[HSM_ID],
    CK_OBJECT_HANDLE *out)
{
	struct handles *h = &call->hsm->handles;
	struct handle *e;

	(void)pthread_mutex_lock(&h->lock);
	e = entry_find(h, kind, id);
	if (e != NULL) {
		pin(call, e);
		*out = e->object;
	}
	(void)pthread_mutex_unlock(&h->lock);
	return e != NULL;
}

/* `object` is the cache's from here on, also when there was no room. */
static enum hf_err
handle_put(struct hsm_call *call, unsigned kind, const uint8_t id[HSM_ID],
    CK_OBJECT_HANDLE object, bool transient)
{
	struct handles *h = &call->hsm->handles;
	CK_OBJECT_HANDLE old = transient ? object : CK_INVALID_HANDLE;
	struct handle *e;

	(void)pthread_mutex_lock(&h->lock);
	e = entry_spare(h);
	if (e != NULL) {
		old = entry_clear(e);
		e->kind = kind;
		e->object = object;
		e->transient = transient;
		memcpy(e->id, id, HSM_ID);
		pin(call, e);
	}
	(void)pthread_mutex_unlock(&h->lock);
	object_drop(call, old);
	return e != NULL ? HF_OK : HF_ERR_BUSY;
}

void
handles_release(struct hsm_call *call, bool doom)
{
	struct handles *h = &call->hsm->handles;
	CK_OBJECT_HANDLE gone[CALL_PINS];

	(void)pthread_mutex_lock(&h->lock);
	for (size_t i = 0; i < call->pin_count; i++) {
		struct handle *e = call->pins[i];

		e->users--;
		e->doomed = e->doomed || doom;
		gone[i] = e->doomed && e->users == 0 ? entry_clear(e)
						     : CK_INVALID_HANDLE;
	}
	(void)pthread_mutex_unlock(&h->lock);
	for (size_t i = 0; i < call->pin_count; i++)
		object_drop(call, gone[i]);
	call->pin_count = 0;
}

void
handle_forget(struct hsm_call *call, unsigned kind, const uint8_t id[HSM_ID])
{
	struct handles *h = &call->hsm->handles;
	CK_OBJECT_HANDLE gone = CK_INVALID_HANDLE;
	struct handle *e;

	(void)pthread_mutex_lock(&h->lock);
	e = entry_find(h, kind, id);
	if (e != NULL && e->users > 0)
		e->doomed = true;
	else if (e != NULL)
		gone = entry_clear(e);
	(void)pthread_mutex_unlock(&h->lock);
	object_drop(call, gone);
}

void
handles_shed(struct hsm_call *call)
{
	struct handles *h = &call->hsm->handles;

	for (size_t i = 0; i < HANDLES_MAX; i++) {
		CK_OBJECT_HANDLE gone = CK_INVALID_HANDLE;

		(void)pthread_mutex_lock(&h->lock);
		if (h->entry[i].transient && h->entry[i].users == 0)
			gone = entry_clear(&h->entry[i]);
		(void)pthread_mutex_unlock(&h->lock);
		object_drop(call, gone);
	}
}

/* No call is in flight, and the objects went with their session. */
void
handles_clear(struct handles *h)
{
	(void)pthread_mutex_lock(&h->lock);
	memset(h->entry, 0, sizeof(h->entry));
	(void)pthread_mutex_unlock(&h->lock);
}

enum hf_err
handle_of_role(struct hsm_call *call, enum hsm_role role,
    const uint8_t id[HSM_ID], CK_OBJECT_HANDLE *out)
{
	const struct hsm_role_alg *r = hsm_role_alg(role);
	const struct hsm_alg *alg = hsm_alg_of(key_type_by_id(r->type));
	CK_OBJECT_HANDLE object;
	enum hf_err err;

	if (handle_get(call, role, id, out))
		return HF_OK;
	err = object_find_key(call, alg->class, alg->ckk, id, &object);
	if (err == HF_ERR_NOT_FOUND) {
		role_missed(call->hsm, role, id, false);
		return r->absent;
	}
	if (err == HF_OK) {
		role_seen(call->hsm, role, id);
		err = handle_put(call, role, id, object, false);
	}
	if (err == HF_OK)
		*out = object;
	return err;
}

bool
handle_any_master(struct hsm_call *call, CK_OBJECT_HANDLE *out)
{
	struct handles *h = &call->hsm->handles;
	bool found = false;

	(void)pthread_mutex_lock(&h->lock);
	for (size_t i = 0; i < HANDLES_MAX && !found; i++) {
		struct handle *e = &h->entry[i];

		if (e->used == 0 || e->kind != ROLE_MASTER || e->doomed)
			continue;
		pin(call, e);
		*out = e->object;
		found = true;
	}
	(void)pthread_mutex_unlock(&h->lock);
	return found;
}

/* Owned by the anchor, which outlives every other session. */
static enum hf_err
anchor_unwrap(struct hsm_call *call, const struct hsm_key *key,
    CK_OBJECT_HANDLE wrap, CK_OBJECT_HANDLE *out)
{
	CK_SESSION_HANDLE anchor = call->hsm->anchor;
	enum hf_err err;
	CK_RV rv;

	if (handle_get(call, HANDLE_KEY, key->id, out))
		return HF_OK; /* another thread was faster */
	rv = key_unwrap(call, anchor, key->type, wrap, key->wrapped, out);
	if (rv == CKR_DEVICE_MEMORY) {
		handles_shed(call);
		rv = key_unwrap(
		    call, anchor, key->type, wrap, key->wrapped, out);
	}
	err = call_check_anchor(call, rv);
	if (err == HF_OK)
		err = handle_put(call, HANDLE_KEY, key->id, *out, true);
	return err;
}

enum hf_err
handle_of_key(
    struct hsm_call *call, const struct hsm_key *key, CK_OBJECT_HANDLE *out)
{
	const struct hsm_alg *alg = hsm_alg_of(key->type);
	CK_OBJECT_HANDLE wrap;
	enum hf_err err;

	if (alg == NULL)
		return HF_ERR_HSM_MECHANISM;
	if (handle_get(call, HANDLE_KEY, key->id, out))
		return HF_OK;
	if (key->wrapped.len == 0) {
		err = object_find_key(call, alg->class, alg->ckk, key->id, out);
		return err != HF_OK
		    ? err
		    : handle_put(call, HANDLE_KEY, key->id, *out, false);
	}
	err = handle_of_role(call, ROLE_WRAP, key->wrap_id, &wrap);
	if (err == HF_OK)
		err = call_anchor_take(call);
	if (err != HF_OK)
		return err;
	err = anchor_unwrap(call, key, wrap, out);
	call_anchor_give(call);
	return err;
}
