/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <time.h>

#include "hsm_await.h"
#include "hsm_internal.h"
#include "log.h"

/*
 * The pool and the one loop through which everything uses the HSM. The pool is
 * small and of fixed size: an HSM has a useful concurrency, and past it only
 * the tail of the latencies grows. A session is opened when it is first
 * needed, and again after it was closed because of a doubt.
 */

enum { BARRED_MS = 10000 };

uint64_t
clock_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

struct timespec
clock_at(uint64_t ms)
{
	return (struct timespec){ .tv_sec = (time_t)(ms / 1000),
		.tv_nsec = (long)(ms % 1000) * 1000000 };
}

/* One that is open, or else one that may be opened. */
static struct hsm_session *
session_unused(struct hsm *hsm)
{
	struct hsm_session *closed = NULL;

	for (unsigned i = 0; i < hsm->session_count; i++) {
		struct hsm_session *s = &hsm->sessions[i];

		if (!s->taken && s->open)
			return s;
		if (!s->taken && closed == NULL &&
		    (s->barred == 0 || s->barred <= clock_ms()))
			closed = s;
	}
	return closed;
}

/* Whether the state lets a call in; *wait when it soon may. Lock is held. */
static enum hf_err
state_gate(const struct hsm *hsm, bool *wait)
{
	*wait = hsm->state == HSM_RECOVERING && !hsm->closing;
	return hsm->closing ? HF_ERR_SHUTTING_DOWN : state_error(hsm->state);
}

/*
 * Waits for readiness and a session until the deadline. The queue is bounded:
 * whoever would stand far back is told at once.
 */
static enum hf_err
session_take(struct hsm_call *call)
{
	struct hsm *hsm = call->hsm;
	struct timespec until = clock_at(call->deadline);
	bool counted = false, late = false;
	enum hf_err err;

	(void)pthread_mutex_lock(&hsm->lock);
	for (;;) {
		bool wait;

		err = state_gate(hsm, &wait);
		if (err != HF_OK && (late || !wait))
			break;
		/* Not before those that wait: who gives one back would often
		 * be the next to take it. */
		if (err == HF_OK && (counted || hsm->waiters == 0))
			call->slot = session_unused(hsm);
		if (call->slot != NULL)
			break;
		if (err == HF_OK && late)
			err = HF_ERR_TIMEOUT;
		else if (!counted &&
		    hsm->waiters >= WAITERS_PER_SESSION * hsm->want_sessions)
			err = HF_ERR_BUSY;
		if (late || err == HF_ERR_BUSY)
			break;
		hsm->waiters += counted ? 0 : 1;
		counted = true;
		late = pthread_cond_timedwait(
			   &hsm->freed, &hsm->lock, &until) != 0;
	}
	hsm->waiters -= counted ? 1 : 0;
	if (hsm->closing)
		(void)pthread_cond_broadcast(&hsm->changed);
	if (call->slot != NULL) {
		call->slot->taken = true;
		call->generation = hsm->info.generation;
		hsm->in_flight++;
		if (hsm->waiters > 0) /* there may be another one free */
			(void)pthread_cond_broadcast(&hsm->freed);
	}
	(void)pthread_mutex_unlock(&hsm->lock);
	return err;
}

static void
session_give(struct hsm_call *call)
{
	struct hsm *hsm = call->hsm;

	(void)pthread_mutex_lock(&hsm->lock);
	call->slot->taken = false;
	call->slot = NULL;
	hsm->in_flight--;
	/* For a recovery or an end that waits, and not after each call. */
	if (hsm->in_flight == 0 && (hsm->closing || !state_serves(hsm->state)))
		(void)pthread_cond_broadcast(&hsm->changed);
	/* All, since one who waits for the anchor might be the one. */
	if (hsm->waiters > 0)
		(void)pthread_cond_broadcast(&hsm->freed);
	(void)pthread_mutex_unlock(&hsm->lock);
}

static void
session_close(struct hsm_call *call)
{
	if (call->slot->open)
		(void)call->fn->C_CloseSession(call->slot->handle);
	call->slot->open = false;
	call->active = false;
}

/*
 * The token has no room for another session, but some are open already: those
 * must do for a while. A token may have a limit that it does not tell, or
 * other users.
 */
static bool
session_bar(struct hsm_call *call)
{
	struct hsm *hsm = call->hsm;
	bool others = false;

	(void)pthread_mutex_lock(&hsm->lock);
	for (unsigned i = 0; i < hsm->session_count; i++)
		others = others || hsm->sessions[i].open;
	if (others)
		call->slot->barred = clock_ms() + BARRED_MS;
	(void)pthread_mutex_unlock(&hsm->lock);
	return others;
}

/* The session of the slot that was taken; read-write, because some HSMs have
 * no other kind and role objects are made in one. */
static enum hf_err
session_open(struct hsm_call *call)
{
	struct hsm_session *slot = call->slot;

	if (!slot->open) {
		enum hf_err err = call_check(call,
		    call->fn->C_OpenSession(call->hsm->slot,
			CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
			&slot->handle));

		if (err != HF_OK)
			return err;
		slot->open = true;
	}
	call->session = slot->handle;
	return HF_OK;
}

enum hf_err
call_renew(struct hsm_call *call)
{
	session_close(call);
	return session_open(call);
}

enum hf_err
call_check(struct hsm_call *call, CK_RV rv)
{
	const struct ckr_row *row = ckr_row(rv);

	if (rv == CKR_OK)
		return HF_OK;
	call->rv = rv;
	call->class = row->class;
	call->authentic = false;
	return row->err;
}

enum hf_err
call_check_genuine(struct hsm_call *call, CK_RV rv)
{
	enum hf_err err = call_check(call, rv);

	call->authentic = err != HF_OK;
	return err;
}

enum hf_err
call_check_anchor(struct hsm_call *call, CK_RV rv)
{
	enum hf_err err = call_check_genuine(call, rv);

	if (err != HF_OK && call->class == CLASS_SESSION)
		call->class = CLASS_DEVICE;
	return err;
}

void
call_forgive(struct hsm_call *call)
{
	call->rv = CKR_OK;
	call->class = CLASS_OK;
	call->authentic = false;
}

static CK_RV
crypt_init(struct hsm_call *call, enum crypt what, CK_MECHANISM *mechanism,
    CK_OBJECT_HANDLE key)
{
	CK_FUNCTION_LIST_PTR fn = call->fn;

	switch (what) {
	case CRYPT_ENCRYPT:
		return fn->C_EncryptInit(call->session, mechanism, key);
	case CRYPT_DECRYPT:
		return fn->C_DecryptInit(call->session, mechanism, key);
	case CRYPT_SIGN:
		break;
	}
	return fn->C_SignInit(call->session, mechanism, key);
}

static CK_RV
crypt_do(struct hsm_call *call, enum crypt what, struct hf_bytes in,
    uint8_t *out, CK_ULONG *len)
{
	static const uint8_t nothing[1]; /* some refuse NULL with length 0 */
	uint8_t *data = unconst(in.ptr != NULL ? in.ptr : nothing);
	CK_FUNCTION_LIST_PTR fn = call->fn;

	switch (what) {
	case CRYPT_ENCRYPT:
		return fn->C_Encrypt(call->session, data, in.len, out, len);
	case CRYPT_DECRYPT:
		return fn->C_Decrypt(call->session, data, in.len, out, len);
	case CRYPT_SIGN:
		break;
	}
	return fn->C_Sign(call->session, data, in.len, out, len);
}

enum hf_err
call_crypt(struct hsm_call *call, enum crypt what, CK_MECHANISM *mechanism,
    CK_OBJECT_HANDLE key, struct hf_bytes in, uint8_t *out, size_t *len)
{
	CK_ULONG n = *len;
	enum hf_err err =
	    call_check(call, crypt_init(call, what, mechanism, key));
	CK_RV rv;

	if (err != HF_OK)
		return err;
	call->active = true;
	rv = crypt_do(call, what, in, out, &n);
	err = what == CRYPT_DECRYPT ? call_check_genuine(call, rv)
				    : call_check(call, rv);
	if (err != HF_OK)
		return err;
	call->active = false;
	if (n > *len)
		return HF_ERR_HSM_REFUSED; /* it claims to have overrun */
	*len = n;
	return HF_OK;
}

enum hf_err
call_anchor_take(struct hsm_call *call)
{
	struct hsm *hsm = call->hsm;
	struct timespec until = clock_at(call->deadline);
	bool late = false, taken = false;

	(void)pthread_mutex_lock(&hsm->lock);
	while (hsm->anchor_taken && !late)
		late = pthread_cond_timedwait(
			   &hsm->freed, &hsm->lock, &until) != 0;
	if (!hsm->anchor_taken)
		taken = hsm->anchor_taken = true;
	(void)pthread_mutex_unlock(&hsm->lock);
	return taken ? HF_OK : HF_ERR_TIMEOUT;
}

void
call_anchor_give(struct hsm_call *call)
{
	struct hsm *hsm = call->hsm;

	(void)pthread_mutex_lock(&hsm->lock);
	hsm->anchor_taken = false;
	(void)pthread_cond_broadcast(&hsm->freed);
	(void)pthread_mutex_unlock(&hsm->lock);
}

/* The HSM is lost; the work may be done again after the recovery if it is
 * known to do no harm. */
static bool
settle_lost(struct hsm_call *call, enum run_kind kind, enum hf_err *err)
{
	hsm_lose(call->hsm, call->generation, call->rv);
	*err = HF_ERR_HSM_UNAVAILABLE;
	return kind == RUN_SAFE;
}

/*
 * Bad data or a sick token answer with the same code (SoftHSM, nShield): a
 * known answer, in a fresh session, tells which.
 */
static bool
settle_ambiguous(struct hsm_call *call, enum run_kind kind, enum hf_err *err)
{
	bool authentic = call->authentic;
	CK_RV rv = call->rv;
	bool healthy = call_renew(call) == HF_OK && known_healthy(call);

	handles_release(call, false);
	if (call->active)
		session_close(call);
	if (healthy) {
		*err = authentic ? HF_ERR_AUTH_FAILED : HF_ERR_HSM_REFUSED;
		if (!authentic)
			log_warning("HSM: %s (0x%lx) from a healthy token",
			    ckr_row(rv)->name, rv);
		return false;
	}
	call->rv = rv;
	return settle_lost(call, kind, err);
}

/*
 * Deals with the error of a work by its class. True: worth doing once more.
 * What a session or handle error answers was not done, so even work that must
 * run once may run again then.
 */
static bool
call_settle(
    struct hsm_call *call, enum run_kind kind, bool again, enum hf_err *err)
{
	enum hsm_class class = *err == HF_OK ? CLASS_OK : call->class;

	handles_release(call, class == CLASS_HANDLE);
	if (call->active)
		session_close(call);
	switch (class) {
	case CLASS_SESSION:
		session_close(call);
		if (again) /* a fresh one is no better */
			return settle_lost(call, kind, err);
		return true;
	case CLASS_HANDLE:
		return true;
	case CLASS_LOGIN:
		(void)settle_lost(call, kind, err);
		return true;
	case CLASS_AMBIGUOUS:
		return settle_ambiguous(call, kind, err);
	case CLASS_DEVICE:
		return settle_lost(call, kind, err);
	case CLASS_OK:
	case CLASS_DATA:
	case CLASS_PIN:
		break;
	}
	return false;
}

/* Of the thread: whoever serves a request there has no other way to say so
 * through the functions of hsm.h. 0: none. */
static _Thread_local uint64_t thread_deadline;

void
hsm_deadline_set(uint64_t at_ms)
{
	thread_deadline = at_ms;
}

static uint64_t
run_deadline(const struct hsm *hsm, enum run_kind kind)
{
	uint64_t now = clock_ms(), deadline = now + hsm->deadline_ms;

	if (kind == RUN_NOW)
		return now;
	return thread_deadline != 0 && thread_deadline < deadline
	    ? thread_deadline
	    : deadline;
}

enum hf_err
hsm_run(struct hsm *hsm, enum run_kind kind, hsm_work_fn *work, void *arg)
{
	struct hsm_call call = {
		.hsm = hsm, .fn = hsm->fn, .deadline = run_deadline(hsm, kind)
	};
	/* A lost session, stale handles, a lost login, say: an HSM that closes
	 * idle sessions does all of that at once. */
	enum { TRIES = 4 };

	if (hsm_await_now() != NULL)
		return HF_ERR_DEFER; /* this thread is not to wait */
	for (unsigned try = 1;; try++) {
		enum hf_err err = session_take(&call);
		bool again;

		if (err != HF_OK)
			return err;
		call_forgive(&call);
		err = session_open(&call);
		if (err != HF_OK && call.rv == CKR_SESSION_COUNT &&
		    session_bar(&call)) {
			session_give(&call);
			try--; /* until the deadline */
			continue;
		}
		if (err == HF_OK)
			err = work(&call, arg);
		again = call_settle(&call, kind, try > 1, &err);
		session_give(&call);
		if (!again || kind == RUN_NOW || try == TRIES)
			return err;
	}
}
