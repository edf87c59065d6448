/* SPDX-License-Identifier: Apache-2.0 */
#include "hsm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../lib/bytes.h"
#include "hsm_await.h"
#include "hsm_internal.h"
#include "hsm_remote.h"
#include "hsm_ring.h"
#include "log.h"

enum {
	RANDOM_CHUNK = 4096, /* some HSMs have a limit near this */
	CLOSE_GRACE_MS = 5000,
	DEADLINE_DEFAULT_MS = 10000,
	EPOCH_INSIDE = 1, /* there is no other one */
};

const char *
hsm_state_name(enum hsm_state state)
{
	static const char *const names[] = {
		[HSM_ABSENT] = "absent",
		[HSM_RECOVERING] = "recovering",
		[HSM_READY] = "ready",
		[HSM_PIN_REFUSED] = "pin_refused",
		[HSM_UNSUITABLE] = "unsuitable",
		[HSM_INCOMPLETE] = "incomplete",
	};

	return (size_t)state < sizeof(names) / sizeof(names[0]) ? names[state]
								: "unknown";
}

bool
hsm_is_remote(const struct hsm *hsm)
{
	return hsm->process != NULL ||
	    (hsm->ring != NULL && hsm_await_now() != NULL);
}

/* What would have to wait is for a worker. */
enum hf_err
hsm_inside_do(struct hsm *hsm, struct hsm_job *job)
{
	bool good;

	(void)pthread_mutex_lock(&hsm->lock);
	good = state_serves(hsm->state) && !hsm->closing;
	(void)pthread_mutex_unlock(&hsm->lock);
	return hsm_await_do(hsm_await_now(), hsm->ring, job, EPOCH_INSIDE,
	    hsm->deadline_ms, good);
}

unsigned
hsm_sessions_wanted(unsigned setting)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned count = setting;

	if (count == 0)
		count = cores < 1 ? 2 : (unsigned)cores + 1;
	return count > SESSIONS_MAX ? SESSIONS_MAX : count;
}

static void
hsm_init(struct hsm *hsm, const struct hsm_settings *settings)
{
	pthread_condattr_t monotonic;

	hsm->want_sessions = hsm_sessions_wanted(settings->sessions);
	hsm->keepalive_ms = settings->keepalive_ms;
	hsm->cautious = settings->cautious;
	hsm->effort = settings->effort;
	if (settings->serial != NULL)
		(void)snprintf(hsm->info.serial, sizeof(hsm->info.serial), "%s",
		    settings->serial);
	hsm->deadline_ms = settings->deadline_ms != 0 ? settings->deadline_ms
						      : DEADLINE_DEFAULT_MS;
	hsm->state = hsm->info.state = HSM_RECOVERING;
	hsm->info.since = (uint64_t)time(NULL);
	hsm->lost_at = clock_ms();
	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&hsm->changed, &monotonic);
	(void)pthread_cond_init(&hsm->freed, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
	(void)pthread_mutex_init(&hsm->lock, NULL);
	(void)pthread_mutex_init(&hsm->handles.lock, NULL);
	(void)pthread_mutex_init(&hsm->make_lock, NULL);
}

static void
hsm_free(struct hsm *hsm)
{
	hsm_ring_serve_end(hsm->server);
	hsm_ring_close(hsm->ring);
	secret_free(&hsm->pin);
	token_unload(hsm);
	(void)pthread_mutex_destroy(&hsm->make_lock);
	(void)pthread_mutex_destroy(&hsm->handles.lock);
	(void)pthread_mutex_destroy(&hsm->lock);
	(void)pthread_cond_destroy(&hsm->freed);
	(void)pthread_cond_destroy(&hsm->changed);
	free(hsm);
}

/* The URI is read here, the module is loaded there. */
static enum hf_err
open_worker(
    struct hsm *hsm, const struct hsm_settings *settings, struct hf_why *why)
{
	struct hsm_settings whole = *settings;

	whole.deadline_ms = hsm->deadline_ms;
	if (whole.program == NULL)
		whole.program = "/proc/self/exe";
	return hsm_process_open(
	    &whole, &hsm->pin, hsm->watch, hsm->watch_ctx, &hsm->process, why);
}

/* A thread that hangs in the module cannot be helped here. */
static void
ring_late(void *ctx, uint64_t epoch, const char *name, unsigned ms)
{
	(void)ctx;
	(void)epoch;
	log_error("HSM: the library did not come back from %s within %u ms",
	    name, ms);
}

/* Without it, whoever wants something of the HSM waits for it. */
static void
ring_open_inside(struct hsm *hsm)
{
	int fds[RING_FDS];

	if (hsm_ring_open(ring_late, hsm, &hsm->ring) != HF_OK)
		return;
	hsm_ring_begin(hsm->ring, EPOCH_INSIDE);
	if (hsm_ring_fds(hsm->ring, fds))
		hsm->server = hsm_ring_serve(fds, hsm, hsm->want_sessions);
	if (hsm->server != NULL)
		return;
	hsm_ring_close(hsm->ring);
	hsm->ring = NULL;
}

static enum hf_err
open_inside(
    struct hsm *hsm, const struct hsm_settings *settings, struct hf_why *why)
{
	enum hf_err err = token_load(hsm, why);

	if (err == HF_OK && settings->process != NULL)
		ring_open_inside(hsm);
	if (err == HF_OK &&
	    pthread_create(&hsm->thread, NULL, recover_main, hsm) != 0)
		return hf_fail(why, HF_ERR_SYSTEM,
		    "the HSM's thread could not be started");
	return err;
}

enum hf_err
hsm_open(const struct hsm_settings *settings, hsm_watch_fn *watch, void *ctx,
    struct hsm **out, struct hf_why *why)
{
	struct hsm *hsm;
	enum hf_err err;

	if (settings->uri == NULL || settings->pin_source == NULL)
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "the HSM needs a URI and the source of its PIN");
	hsm = calloc(1, sizeof(*hsm));
	if (hsm == NULL)
		return HF_ERR_NO_MEMORY;
	hsm_init(hsm, settings);
	hsm->watch = watch;
	hsm->watch_ctx = ctx;
	err = token_uri(hsm, settings->uri, why);
	if (err == HF_OK)
		err = pin_read(settings->pin_source, &hsm->pin, why);
	if (err == HF_OK)
		err = settings->process != NULL &&
			strcmp(settings->process, "worker") == 0
		    ? open_worker(hsm, settings, why)
		    : open_inside(hsm, settings, why);
	if (err != HF_OK) {
		hsm_free(hsm);
		return err;
	}
	*out = hsm;
	return HF_OK;
}

/* Lock is held. */
static bool
calls_ended(const struct hsm *hsm)
{
	return hsm->ended && hsm->in_flight == 0 && hsm->waiters == 0;
}

/* Everybody out, as far as the module lets them. */
static bool
calls_end(struct hsm *hsm)
{
	struct timespec until =
	    clock_at(clock_ms() + hsm->deadline_ms + CLOSE_GRACE_MS);
	bool late = false, ended;

	(void)pthread_mutex_lock(&hsm->lock);
	hsm->closing = true;
	(void)pthread_cond_broadcast(&hsm->changed);
	(void)pthread_cond_broadcast(&hsm->freed);
	while (!calls_ended(hsm) && !late)
		late = pthread_cond_timedwait(
			   &hsm->changed, &hsm->lock, &until) != 0;
	ended = calls_ended(hsm);
	(void)pthread_mutex_unlock(&hsm->lock);
	return ended;
}

void
hsm_close(struct hsm *hsm)
{
	if (hsm == NULL)
		return;
	if (hsm->process != NULL) {
		hsm_process_close(hsm->process);
		hsm_free(hsm);
		return;
	}
	if (!calls_end(hsm)) {
		/* Pulling the module from under a thread that hangs in it
		 * would crash; the process is about to end anyway. */
		log_error("HSM: a call does not return; left as it is");
		return;
	}
	(void)pthread_join(hsm->thread, NULL);
	/* None of them is in the module, nor can get there any more. */
	hsm_ring_serve_end(hsm->server);
	hsm->server = NULL;
	token_disconnect(hsm);
	hsm_free(hsm);
}

enum hf_err
hsm_wait_ready(struct hsm *hsm, unsigned ms)
{
	struct timespec until = clock_at(clock_ms() + ms);
	enum hsm_state state;
	bool late = false;

	if (hsm->process != NULL)
		return hsm_process_wait_ready(hsm->process, ms);
	(void)pthread_mutex_lock(&hsm->lock);
	while ((hsm->state == HSM_ABSENT || hsm->state == HSM_RECOVERING) &&
	    !hsm->closing && !late)
		late = pthread_cond_timedwait(
			   &hsm->changed, &hsm->lock, &until) != 0;
	state = hsm->state;
	(void)pthread_mutex_unlock(&hsm->lock);
	if (state == HSM_PIN_REFUSED)
		return HF_ERR_HSM_PIN;
	if (state == HSM_UNSUITABLE)
		return HF_ERR_HSM_UNSUITABLE;
	return state == HSM_READY || state == HSM_INCOMPLETE
	    ? HF_OK
	    : HF_ERR_HSM_UNAVAILABLE;
}

void
hsm_info(struct hsm *hsm, struct hsm_info *out)
{
	if (hsm->process != NULL) {
		hsm_process_info(hsm->process, out);
		return;
	}
	(void)pthread_mutex_lock(&hsm->lock);
	*out = hsm->info;
	(void)pthread_mutex_unlock(&hsm->lock);
}

struct random_work {
	uint8_t *out;
	size_t len;
};

static enum hf_err
random_work(struct hsm_call *call, void *arg)
{
	const struct random_work *w = arg;

	for (size_t done = 0; done < w->len;) {
		size_t n = w->len - done;
		enum hf_err err;

		if (n > RANDOM_CHUNK)
			n = RANDOM_CHUNK;
		err = call_check(call,
		    call->fn->C_GenerateRandom(
			call->session, w->out + done, n));
		if (err != HF_OK)
			return err;
		done += n;
	}
	return HF_OK;
}

enum hf_err
hsm_random(struct hsm *hsm, uint8_t *out, size_t len)
{
	struct random_work w = { out, len };

	if (hsm_is_remote(hsm))
		return remote_random(hsm, out, len, 0);
	return hsm_run(hsm, RUN_SAFE, random_work, &w);
}

enum hf_err
hsm_random_within(struct hsm *hsm, uint8_t *out, size_t len, unsigned ms)
{
	struct random_work w = { out, len };
	enum hf_err err;

	if (hsm_is_remote(hsm))
		return remote_random(hsm, out, len, ms);
	hsm_deadline_set(clock_ms() + ms);
	err = hsm_run(hsm, RUN_SAFE, random_work, &w);
	hsm_deadline_set(0);
	return err;
}
