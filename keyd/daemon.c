/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "../lib/bytes.h"
#include "../lib/secret.h"
#include "audit_backing.h"
#include "crypto.h"
#include "effects.h"
#include "events.h"
#include "log.h"
#include "once.h"
#include "pin.h"

enum {
	TICK_MS = 1000,
	WAIT_FOR_HSM_MS = 5000, /* at start; then it goes on without */
	UNLOCK_AGAIN = 10,      /* seconds */
};

/* What the main thread waits for besides signals. */
struct loop {
	struct server *server;
	int signals;
	int hsm_changed;       /* eventfd, written by the HSM's watch */
	bool unlocked;         /* all keyring keys are in memory */
	uint64_t unlock_again; /* when they, or a rotation, did not get there */
	uint64_t next_sweep;
	uint64_t next_destroy;
	_Atomic bool due_changed; /* the store's list of destructions did */
};

enum hf_err
daemon_store_path(const struct settings *settings, char out[DAEMON_PATH])
{
	int n = snprintf(out, DAEMON_PATH, "%s/store.db", settings->state_dir);

	return n < 0 || n >= DAEMON_PATH ? HF_ERR_BAD_SETTINGS : HF_OK;
}

enum hf_err
daemon_harden(struct hf_why *why)
{
	struct rlimit none = { 0, 0 };

	if (prctl(PR_SET_DUMPABLE, 0) != 0 ||
	    setrlimit(RLIMIT_CORE, &none) != 0)
		return hf_fail(why, HF_ERR_SYSTEM,
		    "core dumps cannot be turned off: %s", strerror(errno));
	(void)umask(077);
	secret_require_lock(true);
	return crypto_init(why);
}

/* -- Keys: store, HSM, hierarchy -- */

static void
on_hsm_change(void *ctx, const struct hsm_info *info)
{
	struct server *s = ctx;
	uint64_t one = 1;

	(void)info; /* hsm.c logs its states; the loop asks for the latest */
	if (s->hsm_changed_fd >= 0 &&
	    write(s->hsm_changed_fd, &one, sizeof(one)) < 0)
		return; /* full: the loop will look anyway */
}

static enum hf_err
make_state_dir(const char *dir, struct hf_why *why)
{
	if (mkdir(dir, 0700) != 0 && errno != EEXIST)
		return hf_fail(why, HF_ERR_SYSTEM,
		    "state_dir %s cannot be made: %s", dir, strerror(errno));
	return HF_OK;
}

enum hf_err
daemon_open_keys(
    struct server *s, const struct settings *settings, struct hf_why *why)
{
	char path[DAEMON_PATH];
	enum hf_err err;

	if ((err = make_state_dir(settings->state_dir, why)) != HF_OK ||
	    (err = daemon_store_path(settings, path)) != HF_OK ||
	    (err = store_open(path, &s->store, why)) != HF_OK ||
	    (err = hsm_open(&settings->hsm, on_hsm_change, s, &s->hsm, why)) !=
		HF_OK)
		return err;
	return hierarchy_open(s->store, s->hsm, &s->hierarchy, why);
}

void
daemon_close_keys(struct server *s)
{
	hierarchy_close(s->hierarchy);
	hsm_close(s->hsm);
	store_close(s->store);
}

/* -- Events, and what else handlers ask of the server -- */

uint64_t
server_uptime(const struct server *server)
{
	uint64_t now = (uint64_t)time(NULL);

	return now > server->started ? now - server->started : 0;
}

void
server_event(struct server *server, const char *event, const char *subject)
{
	if (!effects_dry())
		events_publish(server->events, event, subject);
}

/* -- Putting together -- */

static enum hf_err
open_parts(
    struct server *s, const struct settings *settings, struct hf_why *why)
{
	enum key_level level = LEVEL_WRAPPED;
	enum hf_err err;

	s->settings = settings;
	s->started = (uint64_t)time(NULL);
	s->upsert = settings->upsert;
	s->idempotency_seconds = settings->idempotency_seconds;
	s->message_limit = settings->transport.limits.message;
	s->default_prefix = "vault";
	if (!key_level_by_name(text_of(settings->default_level), &level))
		return HF_ERR_BAD_SETTINGS;
	s->default_level = level;
	if ((err = daemon_open_keys(s, settings, why)) != HF_OK ||
	    (err = keys_open(s->store, s->hierarchy, s->hsm,
		 settings->key_cache, &s->keys)) != HF_OK ||
	    (err = pins_open(s->store, s->hierarchy, &s->pins)) != HF_OK ||
	    (err = policy_open(settings->policy_dir, &s->policy, why)) !=
		HF_OK ||
	    (err = audit_backing_open(s, &settings->audit, &s->audit, why)) !=
		HF_OK)
		return err;
	return transport_open(&settings->transport, s, &s->transport, why);
}

/* The feed last: its library starts threads. */
static enum hf_err
start_parts(
    struct server *s, const struct settings *settings, struct hf_why *why)
{
	enum hf_err err;

	if (settings->events != NULL &&
	    (err = events_open(settings->events, s->policy, &s->events, why)) !=
		HF_OK)
		return err;
	return transport_start(s->transport);
}

static void
close_parts(struct server *s)
{
	transport_close(s->transport);
	events_close(s->events);
	audit_close(s->audit);
	pins_close(s->pins);
	keys_close(s->keys);
	policy_close(s->policy);
	daemon_close_keys(s);
}

/* -- What happens over time -- */

/* The line is on the disk when this is HF_OK. */
static enum hf_err
note_destruction(struct server *s, const char *type, const char *name,
    uint64_t version, const char *result)
{
	struct audit_line line;
	char buf[1024];
	uint64_t ticket;
	enum hf_err err;

	audit_line_start(&line, buf, sizeof(buf), type);
	audit_line_text(&line, "op", TEXT("key.version_destroyed"));
	audit_line_text(&line, "name", text_of(name));
	audit_line_uint(&line, "version", version);
	if (result != NULL)
		audit_line_text(&line, "result", text_of(result));
	if ((err = audit_append(s->audit, &line, &ticket)) != HF_OK)
		return err;
	return audit_flush(s->audit, ticket, true);
}

/* No trace, no work. */
static enum hf_err
before_destruction(void *ctx, const char *name, uint64_t version)
{
	return note_destruction(ctx, "scheduled", name, version, NULL);
}

static void
after_destruction(
    void *ctx, const char *name, uint64_t version, enum hf_err err)
{
	struct server *s = ctx;

	if (note_destruction(s, "scheduled_response", name, version,
		hf_err_name(err)) != HF_OK)
		log_error("the destruction of version %llu of key %s has no "
			  "outcome in the audit log",
		    (unsigned long long)version, name);
	if (err != HF_OK)
		return;
	log_info("key %s: version %llu was destroyed as scheduled", name,
	    (unsigned long long)version);
	server_event(s, "key.version_destroyed", name);
}

/* Whoever wrote it, the next destruction may be another one now. */
static void
on_due_commit(void *ctx, struct hf_text key, uint64_t revision)
{
	struct loop *l = ctx;

	(void)revision;
	if (text_starts(key, TEXT("due/")))
		atomic_store(&l->due_changed, true);
}

static void
destroy_due(struct loop *l)
{
	uint64_t now = (uint64_t)time(NULL);
	struct audit_info info;
	enum hf_err err;

	audit_info(l->server->audit, &info);
	if (!l->unlocked || info.broken) { /* no trace, no work: later */
		l->next_destroy = now + 1;
		return;
	}
	err = keys_destroy_due(l->server->keys, now,
	    &(struct due_watch){
		l->server, before_destruction, after_destruction },
	    &l->next_destroy);
	if (err != HF_OK) {
		log_warning("scheduled destruction: %s", hf_err_sentence(err));
		l->next_destroy = now + 10;
	}
}

/* Opens the keyrings, and finishes what was cut short; else tries again. */
static void
unlock(struct loop *l)
{
	struct server *s = l->server;
	struct hf_why why = { "" };
	enum hf_err err;

	l->unlock_again = 0;
	if (!hierarchy_initialized(s->hierarchy)) {
		log_warning("%s", hf_err_sentence(HF_ERR_HSM_UNINITIALIZED));
		return;
	}
	if ((err = hierarchy_unlock(s->hierarchy, &why)) == HF_OK)
		err = audit_backing_unlocked(s);
	if (err != HF_OK) {
		l->unlock_again = (uint64_t)time(NULL) + UNLOCK_AGAIN;
		log_error("%s",
		    why.text[0] != '\0' ? why.text : hf_err_sentence(err));
		return;
	}
	l->unlocked = true;
	log_info("master key version %llu: keyrings are open",
	    (unsigned long long)hierarchy_master_version(s->hierarchy));
}

static bool
is_ready(struct loop *l)
{
	struct hsm_info info;

	hsm_info(l->server->hsm, &info);
	return info.state == HSM_READY;
}

/* The HSM came or went. */
static void
on_hsm(struct loop *l)
{
	bool ready = is_ready(l);

	server_event(l->server, ready ? "hsm.ready" : "hsm.lost", "");
	if (ready &&
	    (!l->unlocked ||
		hierarchy_rotation_pending(l->server->hierarchy) > 0))
		unlock(l);
}

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
on_signal(struct loop *l)
{
	struct signalfd_siginfo info;

	if (read(l->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return true;
	if (info.ssi_signo != SIGHUP)
		return false;
	on_hangup(l->server);
	return true;
}

/* Idempotency keys that nobody can use again; some at a time. */
static void
sweep(struct loop *l)
{
	enum { SWEEP_SECONDS = 600 };
	struct server *s = l->server;
	uint64_t now = (uint64_t)time(NULL);
	bool more = false;
	enum hf_err err;

	if (now < l->next_sweep && l->next_sweep - now <= SWEEP_SECONDS)
		return;
	err = once_sweep(s->store, now, s->idempotency_seconds, &more);
	if (err != HF_OK)
		log_warning(
		    "old idempotency keys stay: %s", hf_err_sentence(err));
	l->next_sweep = more ? now : now + SWEEP_SECONDS;
}

static void
loop_run(struct loop *l)
{
	struct pollfd fds[] = {
		{ .fd = l->signals, .events = POLLIN },
		{ .fd = l->hsm_changed, .events = POLLIN },
	};
	uint64_t count;

	for (;;) {
		if (poll(fds, 2, TICK_MS) < 0 && errno != EINTR)
			return;
		if ((fds[0].revents & POLLIN) != 0 && !on_signal(l))
			return;
		if ((fds[1].revents & POLLIN) != 0 &&
		    read(l->hsm_changed, &count, sizeof(count)) > 0)
			on_hsm(l);
		if (l->unlock_again != 0 &&
		    l->unlock_again <= (uint64_t)time(NULL) && is_ready(l))
			unlock(l);
		audit_tick(l->server->audit);
		if (atomic_exchange(&l->due_changed, false) ||
		    (l->next_destroy != 0 &&
			l->next_destroy <= (uint64_t)time(NULL)))
			destroy_due(l);
		sweep(l);
		(void)keys_scrub(l->server->keys); /* when busy, next time */
		(void)sd_notify(0, "WATCHDOG=1");
	}
}

/* -- Running -- */

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

static enum hf_err
run_server(struct server *s, const struct settings *settings, struct loop *l,
    struct hf_why *why)
{
	enum hf_err err;

	if ((err = open_parts(s, settings, why)) != HF_OK)
		return err;
	store_watch(s->store, on_due_commit, l);
	/* An HSM that is slow or away does not keep the service from starting;
	 * one that is unsuitable does. */
	err = hsm_wait_ready(s->hsm, WAIT_FOR_HSM_MS);
	if (err == HF_ERR_HSM_UNSUITABLE) {
		struct hsm_info info;

		hsm_info(s->hsm, &info);
		return hf_fail(why, err, "%s", info.reason);
	}
	if (err != HF_OK)
		log_warning("%s", hf_err_sentence(err));
	on_hsm(l);
	if ((err = start_parts(s, settings, why)) != HF_OK)
		return err;
	(void)sd_notify(0, "READY=1");
	log_info("ready on %s",
	    settings->transport.socket == NULL ? "TLS only"
					       : settings->transport.socket);
	loop_run(l);
	(void)sd_notify(0, "STOPPING=1");
	log_info("stopping");
	atomic_store(&s->stopping, true);
	transport_stop(s->transport, settings->drain_seconds * 1000);
	return HF_OK;
}

enum hf_err
daemon_run(const struct settings *settings, struct hf_why *why)
{
	struct server *s = calloc(1, sizeof(*s));
	/* What came due while nobody ran is looked for at once. */
	struct loop l = { .server = s, .signals = -1, .due_changed = true };
	enum hf_err err;

	if (s == NULL)
		return HF_ERR_NO_MEMORY;
	s->hsm_changed_fd = l.hsm_changed =
	    eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l.hsm_changed < 0 || block_signals(&l.signals) != HF_OK) {
		free(s);
		return hf_fail(why, HF_ERR_SYSTEM, "%s", strerror(errno));
	}
	err = run_server(s, settings, &l, why);
	close_parts(s);
	(void)close(l.signals);
	(void)close(l.hsm_changed);
	free(s);
	return err;
}
