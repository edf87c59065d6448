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
	RELAPSE_MS = 5000, /* a loss so soon after a connection is one */
	RELAPSES_MAX = 4,  /* 400 ms at most between connections that hold */
	LOOK_MS = 5000,    /* how often what is missing is looked for */
	ALIVE_MS = 5000,   /* a third of 15 s, the shortest time-out known */
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

enum hf_err
state_error(enum hsm_state state)
{
	static const enum hf_err errors[] = {
		[HSM_ABSENT] = HF_ERR_HSM_UNAVAILABLE,
		[HSM_RECOVERING] = HF_ERR_HSM_UNAVAILABLE,
		[HSM_READY] = HF_OK,
		[HSM_PIN_REFUSED] = HF_ERR_HSM_PIN,
		[HSM_UNSUITABLE] = HF_ERR_HSM_UNSUITABLE,
		[HSM_INCOMPLETE] = HF_OK,
	};

	return errors[state];
}

bool
state_serves(enum hsm_state state)
{
	return state_error(state) == HF_OK;
}

bool
state_final(enum hsm_state state)
{
	return state == HSM_PIN_REFUSED || state == HSM_UNSUITABLE;
}

void
hsm_lose(struct hsm *hsm, uint64_t generation, CK_RV rv)
{
	const struct ckr_row *row = ckr_row(rv);
	char reason[120];

	(void)snprintf(reason, sizeof(reason), "the HSM answered %s (0x%lx)",
	    row->name, rv);
	(void)pthread_mutex_lock(&hsm->lock);
	if (state_serves(hsm->state) && hsm->info.generation == generation) {
		hsm->lost_at = clock_ms();
		if (hsm->lost_at - hsm->ready_at >= RELAPSE_MS)
			hsm->relapses = 0;
		else if (hsm->relapses < RELAPSES_MAX)
			hsm->relapses++;
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
uint64_t
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

/* From here on somebody must watch this thread. */
static void
effort_begin(struct hsm *hsm)
{
	atomic_store(&hsm->attempt_at, clock_ms());
	if (hsm->effort != NULL)
		hsm->effort(hsm->watch_ctx, true);
}

static void
effort_end(struct hsm *hsm)
{
	atomic_store(&hsm->attempt_at, 0);
	if (hsm->effort != NULL)
		hsm->effort(hsm->watch_ctx, false);
}

unsigned
hsm_busy_ms(struct hsm *hsm)
{
	uint64_t since = atomic_load(&hsm->attempt_at), now = clock_ms();

	if (since == 0)
		return 0;
	return now <= since ? 1 : (unsigned)(now - since);
}

static enum hf_err
connect_once(struct hsm *hsm, bool login_only, struct hf_why *why)
{
	size_t held = held_count();
	enum hf_err err;

	effort_begin(hsm);
	err = token_connect(hsm, login_only, why);
	if (err == HF_OK)
		err = known_answers(hsm, why);
	if (err == HF_OK) {
		handles_clear(&hsm->handles);
		atomic_store(&hsm->oaep, OAEP_UNKNOWN);
	}
	effort_end(hsm);
	held_compare(hsm, held);
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

/* Lock is held, and given up while waiting. */
static void
pause(struct hsm *hsm, uint64_t until)
{
	while (!hsm->closing && change_wait(hsm, until))
		;
}

/* -- Objects that are not there -- */

/* Lock is held. */
static struct role_seen *
seen_find(struct hsm *hsm, enum hsm_role role, const uint8_t id[HSM_ID])
{
	for (unsigned i = 0; i < hsm->seen_count; i++)
		if (hsm->seen[i].role == role &&
		    memcmp(hsm->seen[i].id, id, HSM_ID) == 0)
			return &hsm->seen[i];
	return NULL;
}

/* There are a few of each role; beyond the room none is looked after. Lock is
 * held. */
static struct role_seen *
seen_add(struct hsm *hsm, enum hsm_role role, const uint8_t id[HSM_ID])
{
	struct role_seen *s = seen_find(hsm, role, id);

	if (s != NULL || hsm->seen_count == SEEN_MAX)
		return s;
	s = &hsm->seen[hsm->seen_count++];
	*s = (struct role_seen){ .role = role };
	memcpy(s->id, id, HSM_ID);
	return s;
}

/* Ready, or incomplete and what is missing. Lock is held. */
static void
completeness_set(struct hsm *hsm)
{
	static const char *const names[] = {
		[ROLE_MASTER] = "master key",
		[ROLE_WRAP] = "wrapping key",
		[ROLE_AUDIT] = "audit key",
	};
	char reason[160];

	for (unsigned i = 0; i < hsm->seen_count; i++) {
		const struct role_seen *s = &hsm->seen[i];

		if (!s->missing)
			continue;
		(void)snprintf(reason, sizeof(reason),
		    "the token does not hold the %s with the id "
		    "%02x%02x%02x%02x...; it is looked for",
		    names[s->role], s->id[0], s->id[1], s->id[2], s->id[3]);
		state_set(hsm, HSM_INCOMPLETE, reason);
		return;
	}
	state_set(hsm, HSM_READY, "");
}

void
role_seen(struct hsm *hsm, enum hsm_role role, const uint8_t id[HSM_ID])
{
	struct role_seen *s;

	(void)pthread_mutex_lock(&hsm->lock);
	s = seen_add(hsm, role, id);
	if (s != NULL && s->missing) {
		s->missing = false;
		if (hsm->state == HSM_INCOMPLETE)
			completeness_set(hsm);
	}
	(void)pthread_mutex_unlock(&hsm->lock);
}

void
role_missed(
    struct hsm *hsm, enum hsm_role role, const uint8_t id[HSM_ID], bool sealed)
{
	struct role_seen *s;

	(void)pthread_mutex_lock(&hsm->lock);
	s = sealed ? seen_add(hsm, role, id) : seen_find(hsm, role, id);
	if (s != NULL && !s->missing) {
		s->missing = hsm->look_again = true;
		if (state_serves(hsm->state))
			completeness_set(hsm);
	}
	(void)pthread_mutex_unlock(&hsm->lock);
}

void
role_gone(struct hsm *hsm, enum hsm_role role, const uint8_t id[HSM_ID])
{
	struct role_seen *s;

	(void)pthread_mutex_lock(&hsm->lock);
	s = seen_find(hsm, role, id);
	if (s != NULL)
		*s = hsm->seen[--hsm->seen_count];
	if (hsm->state == HSM_INCOMPLETE)
		completeness_set(hsm);
	(void)pthread_mutex_unlock(&hsm->lock);
}

/*
 * Looks for what is missing. Some HSMs show an object that was made elsewhere
 * only after C_Initialize (nShield), so the first look is a new connection.
 */
static void
missing_look(struct hsm *hsm)
{
	struct role_seen copy[SEEN_MAX];
	unsigned count;

	(void)pthread_mutex_lock(&hsm->lock);
	count = hsm->seen_count;
	memcpy(copy, hsm->seen, sizeof(copy));
	(void)pthread_mutex_unlock(&hsm->lock);
	for (unsigned i = 0; i < count; i++) {
		bool found = false;

		if (copy[i].missing &&
		    role_look(hsm, copy[i].role, copy[i].id, &found) == HF_OK &&
		    found)
			role_seen(hsm, copy[i].role, copy[i].id);
	}
}

/* -- Connecting -- */

/* Connects, however long it takes. Lock is held, and given up meanwhile. */
static void
recover(struct hsm *hsm)
{
	bool login_only = hsm->login_lost;

	calls_drain(hsm);
	/* The first loss after a while is worth an attempt at once; an HSM that
	 * connects well and fails at work shall not be run in circles. */
	if (hsm->relapses > 0)
		pause(hsm, clock_ms() + backoff(hsm->relapses));
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
			hsm->info.can = hsm_can(hsm);
			hsm->ready_at = clock_ms();
			completeness_set(hsm);
			return;
		}
		failure_note(hsm, err,
		    why.text[0] != '\0' ? why.text : hf_err_sentence(err));
		if (state_final(hsm->state))
			return;
		until = clock_ms() + backoff(++failures);
		state_announce(hsm);
		pause(hsm, until);
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

/* What there is to do while the HSM serves. */
static void
attend(struct hsm *hsm, bool incomplete)
{
	effort_begin(hsm);
	keepalive(hsm);
	if (incomplete)
		missing_look(hsm);
	effort_end(hsm);
}

/* Milliseconds until then; 0: there will be nothing to do. */
static unsigned
attend_in(const struct hsm *hsm)
{
	if (hsm->keepalive_ms != 0)
		return hsm->keepalive_ms;
	if (hsm->connected)
		return ALIVE_MS;
	return hsm->state == HSM_INCOMPLETE ? LOOK_MS : 0;
}

/* Whether nothing happened until it was time to attend to the HSM. Lock is
 * held, and given up while waiting. */
static bool
idle_wait(struct hsm *hsm)
{
	unsigned ms = attend_in(hsm);

	if (ms > 0)
		return !change_wait(hsm, clock_ms() + ms);
	(void)pthread_cond_wait(&hsm->changed, &hsm->lock);
	return false;
}

void *
recover_main(void *arg)
{
	struct hsm *hsm = arg;

	(void)pthread_mutex_lock(&hsm->lock);
	news_add(hsm);
	while (!hsm->closing) {
		bool idle, incomplete;

		state_announce(hsm);
		incomplete = hsm->state == HSM_INCOMPLETE;
		if ((!state_serves(hsm->state) && !state_final(hsm->state)) ||
		    (incomplete && hsm->look_again)) {
			/* Nobody may come in while it connects. */
			if (incomplete) {
				hsm->lost_at = clock_ms();
				state_set(hsm, HSM_RECOVERING,
				    "what is missing in the token is looked "
				    "for with a new connection");
			}
			hsm->look_again = false;
			recover(hsm);
			continue;
		}
		idle = hsm->news_count == 0 && !hsm->closing && idle_wait(hsm);
		if (!idle || hsm->closing || !state_serves(hsm->state))
			continue;
		(void)pthread_mutex_unlock(&hsm->lock);
		attend(hsm, incomplete);
		(void)pthread_mutex_lock(&hsm->lock);
	}
	state_announce(hsm);
	hsm->ended = true;
	(void)pthread_cond_broadcast(&hsm->changed);
	(void)pthread_mutex_unlock(&hsm->lock);
	return NULL;
}
