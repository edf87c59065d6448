/* SPDX-License-Identifier: Apache-2.0 */
#include "chores.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "../lib/bytes.h"
#include "../lib/fd.h"
#include "audit_backing.h"
#include "log.h"
#include "once.h"
#include "server.h"
#include "settings.h"
#include "timeline_kept.h"
#include "upkeep.h"
#include "usage.h"

enum {
	SOON = 1000,           /* milliseconds: audit lines wait this long, */
	AGAIN = 10000,         /* and what failed is tried again after this */
	KEEP_CLOCK = 3600000,  /* the clock is written down this often */
	TEN_YEARS = 315360000, /* seconds */
};

enum {
	JOB_UNLOCK,
	JOB_HSM,
	JOB_AUDIT,
	JOB_USAGE,
	JOB_SCRUB,
	JOB_SWEEP,
	JOB_WATCHDOG,
	JOBS
};

struct chores {
	const struct settings *settings;
	struct server *server;
	int signals, wake, timer, watch;
	_Atomic unsigned wakes; /* bits of enum chore */
	struct moment now;
	uint64_t at[JOBS]; /* milliseconds since boot; 0: not */
	bool unlocked;     /* all keyring keys are in memory */
	bool hsm_ready;    /* as the event feed was told */
	const char *hsm_name;
	uint64_t watchdog; /* milliseconds between signs of life; 0: none */
	/* Seconds since 1970; 0: nothing is due. */
	uint64_t due; /* the next destruction */
	bool due_changed;
	uint64_t plan; /* the next that a key wants by itself */
	bool plan_changed;
	struct upkeep upkeep;
	uint64_t last_once; /* milliseconds since boot; 0: none */
	uint64_t kept;      /* when the clock was written down; ms since boot */
	pthread_mutex_t lock; /* of what chores_info reads */
	struct timeline timeline;
};

void
chores_wake(struct chores *c, enum chore what)
{
	uint64_t one = 1;

	if (c == NULL || (atomic_fetch_or(&c->wakes, what) & what) != 0)
		return;
	if (write(c->wake, &one, sizeof(one)) < 0)
		return; /* full: it will look anyway */
}

static void
wake_audit(void *ctx)
{
	chores_wake(ctx, CHORE_AUDIT);
}

static void
wake_usage(void *ctx)
{
	chores_wake(ctx, CHORE_USAGE);
}

static void
wake_scrub(void *ctx)
{
	chores_wake(ctx, CHORE_SCRUB);
}

/* Whoever wrote it, the next thing due may be another one now. */
static void
wake_due(void *ctx, struct hf_text key, uint64_t revision)
{
	(void)revision;
	if (text_starts(key, TEXT("due/")))
		chores_wake(ctx, CHORE_DUE);
	if (text_starts(key, TEXT("plan/")))
		chores_wake(ctx, CHORE_PLAN);
	if (text_starts(key, TEXT("once/")))
		chores_wake(ctx, CHORE_ONCE);
}

/* In `ms` at the latest. */
static void
arm(struct chores *c, unsigned job, uint64_t ms)
{
	uint64_t at = c->now.boot + ms;

	if (c->at[job] == 0 || c->at[job] > at)
		c->at[job] = at;
}

/* -- The clock -- */

/* Another thread may confirm the clock. */
static struct timeline
timeline_of(struct chores *c)
{
	struct timeline t;

	(void)pthread_mutex_lock(&c->lock);
	t = c->timeline;
	(void)pthread_mutex_unlock(&c->lock);
	return t;
}

static uint64_t
settled_of(struct chores *c)
{
	struct timeline t = timeline_of(c);

	return timeline_settled(&t, &c->now);
}

static void
keep_clock(struct chores *c)
{
	struct timeline t = timeline_of(c);
	struct timeline_kept kept = { 0 };
	enum hf_err err;

	c->kept = c->now.boot;
	timeline_keep(&t, &c->now, &kept);
	err = timeline_save(c->server->store, &kept);
	if (err != HF_OK)
		log_warning(
		    "the clock was not noted: %s", hf_err_sentence(err));
}

static void
on_leap(struct chores *c, int64_t by)
{
	if (by > 0)
		log_warning("the clock is %lld seconds ahead of what it should "
			    "be: what cannot be undone waits; 'holdfast "
			    "schedule confirm' says that the clock is right",
		    (long long)by / 1000);
	else
		log_warning("the clock was set back by %lld seconds",
		    (long long)-by / 1000);
	server_event(c->server, "clock.set", "");
	keep_clock(c);
	c->due_changed = c->plan_changed = true;
}

static void
look_at_clock(struct chores *c)
{
	int64_t by;

	(void)pthread_mutex_lock(&c->lock);
	c->now = moment_now();
	by = timeline_look(&c->timeline, &c->now);
	(void)pthread_mutex_unlock(&c->lock);
	if (by != 0)
		on_leap(c, by);
}

static void
begin_clock(struct chores *c)
{
	struct timeline_kept kept;
	int64_t by;
	enum hf_err err = timeline_load(c->server->store, &kept);

	if (err != HF_OK && err != HF_ERR_NOT_FOUND)
		log_warning(
		    "what time it was is not known: %s", hf_err_sentence(err));
	(void)pthread_mutex_lock(&c->lock);
	c->now = moment_now();
	by = timeline_start(&c->timeline, &c->now,
	    c->settings->clock_hold * 1000, err == HF_OK ? &kept : NULL);
	(void)pthread_mutex_unlock(&c->lock);
	if (by != 0)
		on_leap(c, by);
}

void
chores_confirm(struct chores *c)
{
	if (c == NULL)
		return;
	(void)pthread_mutex_lock(&c->lock);
	timeline_confirm(&c->timeline);
	(void)pthread_mutex_unlock(&c->lock);
	chores_wake(c, CHORE_CONFIRM);
}

void
chores_info(struct chores *c, struct chores_info *out)
{
	struct moment now = moment_now();

	*out = (struct chores_info){ 0 };
	if (c == NULL)
		return;
	(void)pthread_mutex_lock(&c->lock);
	if (c->timeline.lag > 0 && c->timeline.until > now.boot) {
		out->lag = c->timeline.lag / 1000;
		out->left = (c->timeline.until - now.boot) / 1000;
	}
	out->next = c->due != 0 && (c->plan == 0 || c->due < c->plan) ? c->due
								      : c->plan;
	(void)pthread_mutex_unlock(&c->lock);
}

/* -- Keyrings, and the HSM -- */

static bool
is_ready(struct chores *c)
{
	struct hsm_info info;

	hsm_info(hierarchy_hsm(c->server->hierarchy), &info);
	return info.state == HSM_READY;
}

/* One that nobody has looked at yet is not known to be usable. */
static bool
any_ready(struct chores *c)
{
	struct hsm_info info;

	for (size_t i = 0; i < c->server->hsm_count; i++) {
		hsm_info(c->server->hsms[i], &info);
		if (info.state == HSM_READY)
			return true;
	}
	return false;
}

/* Opens the keyrings, and finishes what was cut short; else tries again. */
static void
unlock(struct chores *c)
{
	struct server *s = c->server;
	struct hf_why why = { "" };
	enum hf_err err;

	if (!any_ready(c))
		return; /* it will be heard of */
	if (!hierarchy_initialized(s->hierarchy)) {
		log_warning("%s", hf_err_sentence(HF_ERR_HSM_UNINITIALIZED));
		return;
	}
	if ((err = hierarchy_unlock(s->hierarchy, &why)) == HF_OK)
		err = audit_backing_unlocked(s);
	if (err != HF_OK) {
		arm(c, JOB_UNLOCK, AGAIN);
		log_error("%s",
		    why.text[0] != '\0' ? why.text : hf_err_sentence(err));
		return;
	}
	c->unlocked = true;
	keys_discard_newborns(s->keys);
	c->due_changed = c->plan_changed = true;
	arm(c, JOB_AUDIT, SOON); /* a key for checkpoints */
	if (hierarchy_has_work(s->hierarchy))
		arm(c, JOB_UNLOCK, AGAIN);
	log_info("master key version %llu: keyrings are open",
	    (unsigned long long)hierarchy_master_version(s->hierarchy));
}

/* Another HSM works now, or the one that does came or went. */
static void
tend_hsms(struct chores *c)
{
	bool ready = is_ready(c);
	struct hierarchy_device now;
	unsigned seconds;

	hierarchy_active(c->server->hierarchy, &now);
	if (c->hsm_name != NULL && strcmp(c->hsm_name, now.name) != 0)
		server_event(c->server, "hsm.failover", now.name);
	c->hsm_name = now.name;
	if (ready != c->hsm_ready)
		server_event(c->server, ready ? "hsm.ready" : "hsm.lost", "");
	c->hsm_ready = ready;
	/* Back to the one that is preferred. */
	seconds = hierarchy_returns_in(c->server->hierarchy);
	if (seconds > 0)
		arm(c, JOB_HSM, seconds * 1000);
}

/* An HSM came or went. */
static void
on_hsm(struct chores *c)
{
	tend_hsms(c);
	if (!c->unlocked || hierarchy_has_work(c->server->hierarchy)) {
		unlock(c);
		tend_hsms(c);
	}
}

/* -- The audit log -- */

/* A file that is renamed or removed tells. */
static void
watch_audit(struct chores *c)
{
	struct audit_info info;

	audit_info(c->server->audit, &info);
	if (c->watch >= 0)
		(void)inotify_add_watch(
		    c->watch, info.file, IN_ATTRIB | IN_MOVE_SELF);
}

static void
on_watch(struct chores *c)
{
	_Alignas(struct inotify_event) char buf[4096];

	while (read(c->watch, buf, sizeof(buf)) > 0)
		arm(c, JOB_AUDIT, SOON);
}

static void
tend_audit(struct chores *c)
{
	unsigned seconds = audit_tick(c->server->audit);

	if (seconds > 0)
		arm(c, JOB_AUDIT, seconds * 1000);
	watch_audit(c);
}

/* -- Counters -- */

static void
write_usage(struct chores *c)
{
	enum hf_err err = usages_flush(keys_usages(c->server->keys));

	if (err == HF_OK)
		return;
	log_warning(
	    "counters of uses were not written: %s", hf_err_sentence(err));
	arm(c, JOB_USAGE, AGAIN);
}

static void
scrub(struct chores *c)
{
	if (keys_scrub(c->server->keys) != HF_OK)
		arm(c, JOB_SCRUB, SOON);
}

/* Idempotency keys that nobody can use again; some at a time. */
static void
sweep(struct chores *c)
{
	struct server *s = c->server;
	uint64_t window = s->idempotency_seconds * 1000;
	bool more = false;
	enum hf_err err = once_sweep(
	    s->store, c->now.wall / 1000, s->idempotency_seconds, &more);

	if (err != HF_OK)
		log_warning(
		    "old idempotency keys stay: %s", hf_err_sentence(err));
	if (err != HF_OK || more)
		arm(c, JOB_SWEEP, more ? SOON : AGAIN);
	else if (c->last_once != 0 && c->last_once + window > c->now.boot)
		arm(c, JOB_SWEEP, c->last_once + window - c->now.boot + SOON);
}

static void
sign_of_life(struct chores *c)
{
	(void)sd_notify(0, "WATCHDOG=1");
	arm(c, JOB_WATCHDOG, c->watchdog);
}

/* -- What is due -- */

/* No trace, no work. */
static enum hf_err
before_destruction(void *ctx, const char *name, uint64_t version)
{
	return upkeep_note(ctx,
	    &(struct upkeep_note){ .op = "key.version_destroyed",
		.name = name,
		.version = version });
}

static void
after_destruction(
    void *ctx, const char *name, uint64_t version, enum hf_err err)
{
	struct server *s = ctx;
	const struct upkeep_note note = { .op = "key.version_destroyed",
		.name = name,
		.version = version,
		.result = hf_err_name(err) };

	if (upkeep_note(s, &note) != HF_OK)
		log_error("the destruction of version %llu of key %s has no "
			  "outcome in the audit log",
		    (unsigned long long)version, name);
	if (err != HF_OK)
		return;
	log_info("key %s: version %llu was destroyed as scheduled", name,
	    (unsigned long long)version);
	server_event(s, "key.version_destroyed", name);
}

static void
set_next(struct chores *c, uint64_t *which, uint64_t when)
{
	(void)pthread_mutex_lock(&c->lock);
	*which = when;
	(void)pthread_mutex_unlock(&c->lock);
}

static void
destroy_due(struct chores *c)
{
	uint64_t settled = settled_of(c), next = 0;
	enum hf_err err;

	err = keys_destroy_due(c->server->keys, settled,
	    &(struct due_watch){
		c->server, before_destruction, after_destruction },
	    &next);
	if (err != HF_OK) {
		log_warning("scheduled destruction: %s", hf_err_sentence(err));
		next = settled + AGAIN / 1000;
	}
	set_next(c, &c->due, next);
	scrub(c);
}

static bool
is_due(uint64_t when, uint64_t settled)
{
	return when != 0 && when <= settled;
}

/*
 * Destructions a few at a time, and what keys want one at a time: many that
 * are due at once do not keep the loop from the rest.
 */
static void
do_due(struct chores *c)
{
	uint64_t settled = settled_of(c), next = 0;
	bool destroy = c->due_changed || is_due(c->due, settled);
	bool plan = c->plan_changed || is_due(c->plan, settled);
	struct audit_info info;

	if ((!destroy && !plan) || !c->unlocked)
		return; /* an unlocking will be heard of */
	audit_info(c->server->audit, &info);
	if (info.broken) { /* no trace, no work: later */
		if (destroy)
			set_next(c, &c->due, settled + 1);
		if (plan)
			set_next(c, &c->plan, settled + 1);
		return;
	}
	if (destroy) {
		c->due_changed = false;
		destroy_due(c);
	}
	if (plan) {
		c->plan_changed = false;
		upkeep_step(c->server, &c->upkeep, settled, &next);
		set_next(c, &c->plan, next);
	}
	if (c->now.boot - c->kept >= KEEP_CLOCK)
		keep_clock(c);
}

/* -- Signals -- */

static void
on_hangup(struct server *s)
{
	struct hf_why why = { "" };
	enum hf_err err;

	(void)sd_notify(0, "RELOADING=1");
	if ((err = policy_reload(s->policy, &why)) != HF_OK)
		log_error("policies: %s; the old ones stay in force", why.text);
	else {
		log_info("policies loaded");
		server_event(s, "policy.reloaded", "");
	}
	if ((err = audit_reopen(s->audit)) != HF_OK)
		log_error("audit log: %s", hf_err_sentence(err));
	(void)sd_notify(0, "READY=1");
}

/* False: stop. */
static bool
on_signal(struct chores *c)
{
	struct signalfd_siginfo info;

	if (read(c->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return true;
	if (info.ssi_signo != SIGHUP)
		return false;
	on_hangup(c->server);
	return true;
}

static enum hf_err
block_signals(int *fd)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0 ||
	    signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return HF_ERR_SYSTEM;
	*fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return *fd < 0 ? HF_ERR_SYSTEM : HF_OK;
}

/* -- The loop -- */

/* Functions, because the jobs have nothing in common but their times. */
static void (*const jobs[JOBS])(struct chores *) = {
	[JOB_UNLOCK] = unlock,
	[JOB_HSM] = tend_hsms,
	[JOB_AUDIT] = tend_audit,
	[JOB_USAGE] = write_usage,
	[JOB_SCRUB] = scrub,
	[JOB_SWEEP] = sweep,
	[JOB_WATCHDOG] = sign_of_life,
};

/* When what is due by the wall clock comes, in milliseconds since boot. */
static uint64_t
due_at(struct chores *c, uint64_t due)
{
	struct timeline t = timeline_of(c);
	uint64_t settled = timeline_settled(&t, &c->now);
	uint64_t at = c->now.boot + (due > settled ? due - settled : 0) * 1000;

	return t.lag > 0 && at > t.until ? t.until : at;
}

/* The timer counts by the wall clock, so that setting it wakes us. */
static void
set_timer(struct chores *c)
{
	uint64_t first = UINT64_MAX, at;
	struct itimerspec when = { 0 };

	for (size_t i = 0; i < JOBS; i++)
		if (c->at[i] != 0 && c->at[i] < first)
			first = c->at[i];
	if (c->due != 0 && c->unlocked && due_at(c, c->due) < first)
		first = due_at(c, c->due);
	if (c->plan != 0 && c->unlocked && due_at(c, c->plan) < first)
		first = due_at(c, c->plan);
	if (first != UINT64_MAX) {
		at = c->now.wall +
		    (first > c->now.boot ? first - c->now.boot : 0) + 1;
		when.it_value.tv_sec = (time_t)(at / 1000);
		when.it_value.tv_nsec = (long)(at % 1000) * 1000000;
	} else {
		/* Only for a clock that is set. */
		when.it_value.tv_sec = (time_t)(c->now.wall / 1000 + TEN_YEARS);
	}
	if (timerfd_settime(c->timer,
		TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &when,
		NULL) != 0 &&
	    errno != ECANCELED)
		log_error("the timer cannot be set: %s", strerror(errno));
}

static void
on_wake(struct chores *c)
{
	uint64_t count;
	unsigned what;

	if (read(c->wake, &count, sizeof(count)) < 0)
		return;
	what = atomic_exchange(&c->wakes, 0);
	if ((what & CHORE_HSM) != 0)
		on_hsm(c);
	if ((what & CHORE_AUDIT) != 0)
		arm(c, JOB_AUDIT, SOON);
	if ((what & CHORE_USAGE) != 0)
		arm(c, JOB_USAGE, c->settings->usage_flush * 1000);
	if ((what & CHORE_SCRUB) != 0)
		arm(c, JOB_SCRUB, SOON);
	if ((what & CHORE_ONCE) != 0) {
		c->last_once = c->now.boot;
		arm(c, JOB_SWEEP, c->server->idempotency_seconds * 1000 + SOON);
	}
	if ((what & CHORE_DUE) != 0)
		c->due_changed = true;
	if ((what & CHORE_PLAN) != 0)
		c->plan_changed = true;
	if ((what & CHORE_CONFIRM) != 0) {
		keep_clock(c);
		c->due_changed = c->plan_changed = true;
	}
}

/* What a timer says is no more than that it is time to look. */
static void
on_timer(struct chores *c)
{
	uint64_t count;

	if (read(c->timer, &count, sizeof(count)) < 0 && errno != ECANCELED)
		return;
}

static void
run_jobs(struct chores *c)
{
	for (size_t i = 0; i < JOBS; i++) {
		if (c->at[i] == 0 || c->at[i] > c->now.boot)
			continue;
		c->at[i] = 0;
		jobs[i](c);
	}
	do_due(c);
}

void
chores_run(struct chores *c)
{
	struct pollfd fds[] = {
		{ .fd = c->signals, .events = POLLIN },
		{ .fd = c->wake, .events = POLLIN },
		{ .fd = c->timer, .events = POLLIN },
		{ .fd = c->watch, .events = POLLIN },
	};

	for (;;) {
		look_at_clock(c);
		run_jobs(c);
		set_timer(c);
		if (poll(fds, 4, -1) < 0 && errno != EINTR)
			return;
		c->now = moment_now();
		if ((fds[0].revents & POLLIN) != 0 && !on_signal(c))
			break;
		if ((fds[1].revents & POLLIN) != 0)
			on_wake(c);
		if ((fds[2].revents & POLLIN) != 0)
			on_timer(c);
		if ((fds[3].revents & POLLIN) != 0)
			on_watch(c);
	}
	keep_clock(c);
}

/* -- Beginning and end -- */

void
chores_begin(struct chores *c, struct server *server)
{
	uint64_t usec = 0;

	c->server = server;
	begin_clock(c);
	/* What came due while nobody ran. */
	c->due_changed = c->plan_changed = true;
	store_watch(server->store, wake_due, c);
	audit_on_lines(server->audit, wake_audit, c);
	usages_on_dirty(keys_usages(server->keys), wake_usage, c);
	keys_on_destroy(server->keys, wake_scrub, c);
	arm(c, JOB_AUDIT, SOON);
	arm(c, JOB_SWEEP, SOON);
	arm(c, JOB_SCRUB, SOON); /* who knows how the last process ended */
	if (sd_watchdog_enabled(0, &usec) > 0 && usec >= 2000) {
		c->watchdog = usec / 2000;
		arm(c, JOB_WATCHDOG, 0);
	}
	atomic_fetch_and(&c->wakes, ~(unsigned)CHORE_HSM);
	on_hsm(c);
}

enum hf_err
chores_open(
    const struct settings *settings, struct chores **out, struct hf_why *why)
{
	struct chores *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return HF_ERR_NO_MEMORY;
	c->settings = settings;
	(void)pthread_mutex_init(&c->lock, NULL);
	c->signals = -1;
	c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	c->timer = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	/* Without it a renamed log is noticed at its next line. */
	c->watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (c->wake < 0 || c->timer < 0 ||
	    block_signals(&c->signals) != HF_OK) {
		enum hf_err err =
		    hf_fail(why, HF_ERR_SYSTEM, "%s", strerror(errno));

		chores_close(c);
		return err;
	}
	*out = c;
	return HF_OK;
}

void
chores_close(struct chores *c)
{
	int fds[4];

	if (c == NULL)
		return;
	fds[0] = c->signals;
	fds[1] = c->wake;
	fds[2] = c->timer;
	fds[3] = c->watch;
	for (size_t i = 0; i < 4; i++)
		fd_close(fds[i]);
	(void)pthread_mutex_destroy(&c->lock);
	free(c);
}
