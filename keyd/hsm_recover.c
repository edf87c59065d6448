/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "crypto.h"
#include "hsm_internal.h"
#include "log.h"

/*
 * One thread makes the connection, and makes it again when somebody reports
 * it lost. Being the only one, it needs no lock around the module's
 * C_Initialize and C_Finalize: it waits until no call is in flight.
 */

enum {
	BACKOFF_MIN_MS = 50,
	BACKOFF_MAX_MS = 5000,
	KEEPALIVE_MS = 10000, /* a third of YubiHSM's 30 s, the shortest */
};

/* Lock is held. */
static void
news_add(struct hsm *hsm)
{
	if (hsm->news_count < NEWS_MAX)
		hsm->news_count++;
	hsm->news[hsm->news_count - 1] = hsm->info;
}

/* Lock is held. */
static void
state_set(struct hsm *hsm, enum hsm_state state, const char *reason)
{
	bool news = hsm->state != state;

	if (news)
		hsm->info.since = (uint64_t)time(NULL);
	hsm->state = hsm->info.state = state;
	(void)snprintf(
	    hsm->info.reason, sizeof(hsm->info.reason), "%s", reason);
	if (news)
		news_add(hsm);
	(void)pthread_cond_broadcast(&hsm->changed);
	(void)pthread_cond_broadcast(&hsm->freed);
}

void
hsm_lose(struct hsm *hsm, uint64_t generation, CK_RV rv)
{
	const struct ckr_row *row = ckr_row(rv);
	char reason[120];

	(void)snprintf(reason, sizeof(reason), "the HSM answered %s (0x%lx)",
	    row->name, rv);
	(void)pthread_mutex_lock(&hsm->lock);
	if (hsm->state == HSM_READY && hsm->info.generation == generation) {
		hsm->lost_at = clock_ms();
		hsm->login_lost = row->class == CLASS_LOGIN;
		state_set(hsm, HSM_RECOVERING, reason);
	}
	(void)pthread_mutex_unlock(&hsm->lock);
}

/* Lock is held. */
static bool
news_take(struct hsm *hsm, struct hsm_info *out)
{
	if (hsm->news_count == 0)
		return false;
	*out = hsm->news[0];
	hsm->news_count--;
	memmove(&hsm->news[0], &hsm->news[1],
	    hsm->news_count * sizeof(hsm->news[0]));
	return true;
}

/*
 * Tells the watcher, from this thread alone, so that the order is right. Lock
 * is held, and given up meanwhile.
 */
static void
state_announce(struct hsm *hsm)
{
	struct hsm_info info;

	while (news_take(hsm, &info)) {
		(void)pthread_mutex_unlock(&hsm->lock);
		log_info("HSM: %s%s%s", hsm_state_name(info.state),
		    info.reason[0] != '\0' ? ": " : "", info.reason);
		if (hsm->watch != NULL)
			hsm->watch(hsm->watch_ctx, &info);
		(void)pthread_mutex_lock(&hsm->lock);
	}
}

/* With jitter, so that a fleet does not come back in step. */
static uint64_t
backoff(unsigned failures)
{
	uint64_t full = BACKOFF_MIN_MS;
	uint16_t random = 0;

	for (unsigned i = 1; i < failures && full < BACKOFF_MAX_MS; i++)
		full *= 2;
	if (full > BACKOFF_MAX_MS)
		full = BACKOFF_MAX_MS;
	if (crypto_random((uint8_t *)&random, sizeof(random)) != HF_OK)
		return full;
	return full / 2 + full / 2 * random / UINT16_MAX;
}

static enum hf_err
connect_once(struct hsm *hsm, bool login_only, struct hf_why *why)
{
	enum hf_err err = token_connect(hsm, login_only, why);

	if (err == HF_OK)
		err = known_answers(hsm, why);
	if (err == HF_OK) {
		handles_clear(&hsm->handles);
		atomic_store(&hsm->oaep, OAEP_UNKNOWN);
	}
	return err;
}

/*
 * A lost HSM is "recovering" for as long as a caller would wait anyway; then,
 * or when it was never there, it is "absent", and callers are told at once.
 * Lock is held.
 */
static void
failure_note(struct hsm *hsm, enum hf_err err, const char *reason)
{
	if (err == HF_ERR_HSM_PIN)
		state_set(hsm, HSM_PIN_REFUSED, reason);
	else if (err == HF_ERR_HSM_UNSUITABLE)
		state_set(hsm, HSM_UNSUITABLE, reason);
	else if (hsm->info.generation == 0 ||
	    clock_ms() >= hsm->lost_at + hsm->deadline_ms)
		state_set(hsm, HSM_ABSENT, reason);
	else
		state_set(hsm, hsm->state, reason);
}

/* Lock is held, and given up while waiting; false when the time is over. */
static bool
change_wait(struct hsm *hsm, uint64_t until_ms)
{
	struct timespec until = clock_at(until_ms);

	return pthread_cond_timedwait(&hsm->changed, &hsm->lock, &until) == 0;
}

/* Lock is held, and given up while waiting. */
static void
calls_drain(struct hsm *hsm)
{
	while (hsm->in_flight > 0 && !hsm->closing) {
		uint64_t until = hsm->lost_at + hsm->deadline_ms;

		if (change_wait(hsm,
			clock_ms() < until ? until
					   : clock_ms() + BACKOFF_MAX_MS))
			continue;
		/* PKCS#11 has no way to call a thread back from the module. */
		state_set(hsm, HSM_ABSENT,
		    "a call into the HSM's module does not return");
		state_announce(hsm);
	}
}

static bool
state_final(enum hsm_state state)
{
	return state == HSM_PIN_REFUSED || state == HSM_UNSUITABLE;
}

/* Connects, however long it takes. Lock is held, and given up meanwhile. */
static void
recover(struct hsm *hsm)
{
	bool login_only = hsm->login_lost;

	calls_drain(hsm);
	for (unsigned failures = 0; !hsm->closing;) {
		struct hf_why why = { "" };
		uint64_t until;
		enum hf_err err;

		state_announce(hsm);
		(void)pthread_mutex_unlock(&hsm->lock);
		err = connect_once(hsm, login_only, &why);
		login_only = false;
		(void)pthread_mutex_lock(&hsm->lock);
		hsm->login_lost = false;
		if (err == HF_OK) {
			hsm->info.generation++;
			state_set(hsm, HSM_READY, "");
			return;
		}
		failure_note(hsm, err,
		    why.text[0] != '\0' ? why.text : hf_err_sentence(err));
		if (state_final(hsm->state))
			return;
		until = clock_ms() + backoff(++failures);
		state_announce(hsm);
		while (!hsm->closing && change_wait(hsm, until))
			;
	}
}

/*
 * Keeps idle connections alive. Some client libraries answer
 * C_GetSessionInfo themselves, so a few random bytes go over the wire too. An
 * anchor that is in use is alive.
 */
static enum hf_err
keepalive_work(struct hsm_call *call, void *arg)
{
	CK_SESSION_INFO info;
	CK_BYTE random[8];
	enum hf_err err = call_anchor_take(call);

	(void)arg;
	if (err != HF_OK)
		return HF_OK;
	err = call_check_anchor(
	    call, call->fn->C_GetSessionInfo(call->hsm->anchor, &info));
	if (err == HF_OK)
		err = call_check_anchor(call,
		    call->fn->C_GenerateRandom(
			call->hsm->anchor, random, sizeof(random)));
	if (err == HF_OK && info.state != CKS_RW_USER_FUNCTIONS)
		err = call_check_anchor(call, CKR_USER_NOT_LOGGED_IN);
	call_anchor_give(call);
	return err;
}

static void
keepalive(struct hsm *hsm)
{
	/* Not waiting: this is the thread that others wait for. What is found
	 * shows in the state. */
	enum hf_err err = hsm_run(hsm, RUN_NOW, keepalive_work, NULL);

	if (err != HF_OK)
		log_debug("HSM: keepalive: %s", hf_err_sentence(err));
}

void *
recover_main(void *arg)
{
	struct hsm *hsm = arg;

	(void)pthread_mutex_lock(&hsm->lock);
	news_add(hsm);
	while (!hsm->closing) {
		bool idle;

		state_announce(hsm);
		if (hsm->state != HSM_READY && !state_final(hsm->state)) {
			recover(hsm);
			continue;
		}
		idle = hsm->news_count == 0 && !hsm->closing &&
		    !change_wait(hsm, clock_ms() + KEEPALIVE_MS);
		if (!idle || hsm->closing || hsm->state != HSM_READY)
			continue;
		(void)pthread_mutex_unlock(&hsm->lock);
		keepalive(hsm);
		(void)pthread_mutex_lock(&hsm->lock);
	}
	state_announce(hsm);
	hsm->ended = true;
	(void)pthread_cond_broadcast(&hsm->changed);
	(void)pthread_mutex_unlock(&hsm->lock);
	return NULL;
}
