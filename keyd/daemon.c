/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon.h"

#include <errno.h>
#include <libgen.h>
#include <link.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "../lib/bytes.h"
#include "../lib/secret.h"
#include "audit_backing.h"
#include "chores.h"
#include "crypto.h"
#include "effects.h"
#include "events.h"
#include "folder.h"
#include "heap.h"
#include "hsm_host.h"
#include "identity.h"
#include "leave.h"
#include "log.h"
#include "pin.h"

enum { WAIT_FOR_HSM_MS = 5000 /* at start; then it goes on without */ };

enum hf_err
daemon_store_path(const struct settings *settings, char out[DAEMON_PATH])
{
	int n = snprintf(out, DAEMON_PATH, "%s/store.db", settings->state_dir);

	return n < 0 || n >= DAEMON_PATH ? HF_ERR_BAD_SETTINGS : HF_OK;
}

static void
on_heap_news(enum heap_news news, size_t held)
{
	if (news == HEAP_FULL)
		log_warning("OpenSSL gets no more than %zu KiB of memory, the "
			    "rest cannot be locked: raise RLIMIT_MEMLOCK",
		    held / 1024);
	else
		log_warning("OpenSSL's memory cannot be locked, and may be "
			    "swapped: raise RLIMIT_MEMLOCK");
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
	heap_watch(on_heap_news);
	return crypto_init(why);
}

/* -- Keys: store, HSM, hierarchy -- */

static void
on_hsm_change(void *ctx, const struct hsm_info *info)
{
	const struct server_hsm *one = ctx;

	/* hsm.c logs states without a name: of one HSM that says enough. */
	if (one->server->settings != NULL &&
	    one->server->settings->hsm_count > 1)
		log_info("HSM %s is %s%s%s", one->name,
		    hsm_state_name(info->state),
		    info->reason[0] == '\0' ? "" : ": ", info->reason);
	chores_wake(one->server->chores, CHORE_HSM);
}

/* Root may write into everybody's folder, and what it leaves there the service
 * cannot open afterwards. */
static enum hf_err
check_owner(const char *dir, struct hf_why *why)
{
	char name[SUBJECT_USER_MAX];
	struct stat st;

	if (geteuid() != 0 || stat(dir, &st) != 0 || st.st_uid == 0)
		return HF_OK;
	if (subject_user_name(st.st_uid, name) != HF_OK)
		(void)snprintf(name, sizeof(name), "%u", (unsigned)st.st_uid);
	return hf_fail(why, HF_ERR_BAD_SETTINGS,
	    "state_dir %s belongs to the user %s, who could not open what root "
	    "leaves there: run this as %s (runuser -u %s -- ...)",
	    dir, name, name, name);
}

enum hf_err
daemon_state_dir(const struct settings *settings, struct hf_why *why)
{
	const char *dir = settings->state_dir;

	if (mkdir(dir, 0700) != 0) {
		if (errno == EEXIST)
			return check_owner(dir, why);
		return hf_fail(why, HF_ERR_SYSTEM,
		    "state_dir %s cannot be made: %s", dir, strerror(errno));
	}
	/* What is synced in a folder is lost with the name of the folder. */
	if (!folder_sync_name(dir))
		log_warning("the name of state_dir %s is not on the disk: %s",
		    dir, strerror(errno));
	return HF_OK;
}

static enum hf_err
open_hsms(struct server *s, const struct settings *settings, struct hf_why *why)
{
	for (size_t i = 0; i < settings->hsm_count; i++) {
		const struct settings_hsm *one = &settings->hsms[i];
		struct hf_why reason = { "" };
		enum hf_err err;

		s->hsm_names[i] = (struct server_hsm){ s, one->name };
		err = hsm_open(&one->hsm, on_hsm_change, &s->hsm_names[i],
		    &s->hsms[i], &reason);

		if (err != HF_OK && settings->hsm_count == 1)
			*why = reason;
		else if (err != HF_OK)
			(void)hf_fail(why, err, "HSM %s: %s", one->name,
			    reason.text[0] != '\0' ? reason.text
						   : hf_err_sentence(err));
		if (err != HF_OK)
			return err;
		s->hsm_count++;
	}
	s->hsm = s->hsms[0];
	return HF_OK;
}

enum hf_err
daemon_open_keys(
    struct server *s, const struct settings *settings, struct hf_why *why)
{
	struct hierarchy_link links[HSM_DEVICES];
	char path[DAEMON_PATH];
	enum hf_err err;

	if ((err = daemon_store_path(settings, path)) != HF_OK ||
	    (err = store_open(path, &s->store, why)) != HF_OK ||
	    (err = open_hsms(s, settings, why)) != HF_OK)
		return err;
	for (size_t i = 0; i < s->hsm_count; i++)
		links[i] = (struct hierarchy_link){ settings->hsms[i].name,
			s->hsms[i] };
	err = hierarchy_open_links(
	    s->store, links, s->hsm_count, &s->hierarchy, why);
	if (err == HF_OK)
		hierarchy_set_return(
		    s->hierarchy, settings->hsm_return_seconds);
	return err;
}

void
daemon_close_keys(struct server *s)
{
	hierarchy_close(s->hierarchy);
	for (size_t i = 0; i < s->hsm_count; i++)
		hsm_close(s->hsms[i]);
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

/* Two more than can be held up by calls to HSMs that do not come back. */
static unsigned
workers_wanted(const struct settings *settings)
{
	unsigned count = 2;

	if (settings->transport.workers != 0)
		return settings->transport.workers;
	for (size_t i = 0; i < settings->hsm_count; i++)
		count += hsm_sessions_wanted(settings->hsms[i].hsm.sessions);
	return count;
}

enum hf_err
daemon_open(
    struct server *s, const struct settings *settings, struct hf_why *why)
{
	struct transport_settings transport = settings->transport;
	enum key_level level = LEVEL_WRAPPED;
	enum hf_err err;

	s->settings = settings;
	s->started = (uint64_t)time(NULL);
	s->upsert = settings->upsert;
	s->idempotency_seconds = settings->idempotency_seconds;
	s->lately = settings->usage_lately;
	s->message_limit = settings->transport.limits.message;
	s->default_prefix = "vault";
	if (!key_level_by_name(text_of(settings->default_level), &level))
		return HF_ERR_BAD_SETTINGS;
	s->default_level = level;
	if ((err = daemon_open_keys(s, settings, why)) != HF_OK ||
	    (err = keys_open(s->store, s->hierarchy, settings->key_cache,
		 &s->keys)) != HF_OK ||
	    (err = pins_open(s->store, s->hierarchy, &s->pins)) != HF_OK ||
	    (err = policy_open(settings->policy_dir, &s->policy, why)) !=
		HF_OK ||
	    (err = audit_backing_open(s, &settings->audit, &s->audit, why)) !=
		HF_OK)
		return err;
	transport.workers = workers_wanted(settings);
	return transport_open(&transport, s, &s->transport, why);
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

void
daemon_close(struct server *s)
{
	transport_close(s->transport);
	events_close(s->events);
	audit_close(s->audit);
	pins_close(s->pins);
	keys_close(s->keys);
	policy_close(s->policy);
	daemon_close_keys(s);
}

/* -- Running -- */

/* In the process of an HSM's library nothing can be forbidden. */
static bool
libraries_outside(const struct settings *settings)
{
	for (size_t i = 0; i < settings->hsm_count; i++)
		if (strcmp(settings->hsms[i].hsm.process, "worker") != 0)
			return false;
	return true;
}

static enum hf_err
sandbox_begin(const struct settings *settings, struct hf_why *why)
{
	enum hf_err err;

	if (!libraries_outside(settings)) {
		if (settings->sandbox_files != SANDBOX_ON &&
		    settings->sandbox_calls != SANDBOX_ON)
			return HF_OK;
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "the sandbox cannot be \"on\" while the library of an HSM "
		    "lives inside: process = \"worker\"");
	}
	err = hsm_host_prepare(settings->hsm_count, why);
	if (err != HF_OK)
		return err;
	return sandbox_files(settings, settings->sandbox_files, why);
}

static enum hf_err
sandbox_complete(const struct settings *settings, struct hf_why *why)
{
	if (!libraries_outside(settings))
		return HF_OK;
	return sandbox_calls(settings->sandbox_calls, why);
}

/*
 * An HSM that is slow or away does not keep the service from starting; one
 * that is unsuitable does, unless there is another one.
 */
static enum hf_err
wait_for_hsms(
    struct server *s, const struct settings *settings, struct hf_why *why)
{
	unsigned share = WAIT_FOR_HSM_MS / (unsigned)s->hsm_count;
	size_t unsuitable = 0;

	for (size_t i = 0; i < s->hsm_count; i++) {
		enum hf_err err = hsm_wait_ready(s->hsms[i], share);
		struct hsm_info info;

		if (err == HF_OK)
			continue;
		hsm_info(s->hsms[i], &info);
		log_warning("HSM %s: %s%s%s", settings->hsms[i].name,
		    hf_err_sentence(err), info.reason[0] == '\0' ? "" : ": ",
		    info.reason);
		unsuitable += err == HF_ERR_HSM_UNSUITABLE;
		if (unsuitable == s->hsm_count)
			return hf_fail(why, err, "%s", info.reason);
	}
	return HF_OK;
}

/* More than the HSMs' own grace, less than the unit's TimeoutStopSec. */
enum { LATE_SECONDS = 8 };

/* How long a stop may take; 0: it ends by itself. */
static unsigned
stop_seconds(const struct settings *settings)
{
	unsigned ms = 0;

	if (libraries_outside(settings))
		return 0;
	for (size_t i = 0; i < settings->hsm_count; i++)
		if (settings->hsms[i].hsm.deadline_ms > ms)
			ms = settings->hsms[i].hsm.deadline_ms;
	return settings->drain_seconds + ms / 1000 + LATE_SECONDS;
}

/* Whether the loader wrote into its code, which is private memory then. */
static bool
code_is_written(const struct dl_phdr_info *object)
{
	for (size_t i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &object->dlpi_phdr[i];
		const ElfW(Dyn) *d =
		    (void *)(object->dlpi_addr + part->p_vaddr);

		while (part->p_type == PT_DYNAMIC && d->d_tag != DT_NULL) {
			if (d->d_tag == DT_TEXTREL ||
			    (d->d_tag == DT_FLAGS &&
				(d->d_un.d_val & DF_TEXTREL) != 0))
				return true;
			d++;
		}
	}
	return false;
}

/* Code is there again, from its file, when it is used. */
static int
forget_code(struct dl_phdr_info *object, size_t size, void *unused)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	(void)size;
	(void)unused;
	if (code_is_written(object))
		return 0;
	for (size_t i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &object->dlpi_phdr[i];
		uintptr_t from = object->dlpi_addr + part->p_vaddr;
		uintptr_t to = from + part->p_memsz;

		from = from / page * page;
		if (part->p_type == PT_LOAD &&
		    (part->p_flags & (PF_X | PF_W)) == PF_X)
			(void)madvise((void *)from, to - from, MADV_DONTNEED);
	}
	return 0;
}

/* What was needed for the start only need not stay resident: the daemon runs
 * for months. */
static void
forget_start(void)
{
	(void)malloc_trim(0);
	(void)dl_iterate_phdr(forget_code, NULL);
}

/* A folder that is missing is named with its setting, not by the sandbox, which
 * stumbles over it first. */
static enum hf_err
check_folder(const char *setting, const char *path, struct hf_why *why)
{
	enum hf_err err = HF_OK;
	const char *folder;
	char *copy;

	if (path == NULL)
		return HF_OK;
	copy = strdup(path); /* dirname(3) writes into it */
	if (copy == NULL)
		return HF_ERR_NO_MEMORY;
	folder = dirname(copy);
	if (access(folder, X_OK) != 0)
		err = hf_fail(why, HF_ERR_BAD_SETTINGS, "%s: the folder %s: %s",
		    setting, folder, strerror(errno));
	free(copy);
	return err;
}

static enum hf_err
check_folders(const struct settings *settings, struct hf_why *why)
{
	const char *events = settings->events;
	enum hf_err err;

	if (events != NULL) /* settings.c lets nothing else pass */
		events += sizeof("ipc://") - 1;
	if ((err = check_folder("socket", settings->transport.socket, why)) !=
		HF_OK ||
	    (err = check_folder("events", events, why)) != HF_OK ||
	    (err = check_folder("audit.file", settings->audit.file, why)) !=
		HF_OK)
		return err;
	return check_folder(
	    "audit.public_key", settings->audit.public_key, why);
}

static void
look_for_subject(void *ctx, const struct policy_info *info)
{
	bool *found = ctx;

	*found = *found || info->subject_count > 0;
}

/* The most likely reason why nothing works on the first day. */
static void
warn_of_no_policy(const struct server *s, const char *folder)
{
	bool found = false;

	policy_each(s->policy, look_for_subject, &found);
	if (!found)
		log_warning("no policy in %s is bound to anybody: nobody may "
			    "do anything",
		    folder);
}

static enum hf_err
run_server(
    struct server *s, const struct settings *settings, struct hf_why *why)
{
	unsigned late = stop_seconds(settings);
	enum hf_err err;

	if ((err = daemon_state_dir(settings, why)) != HF_OK ||
	    (err = check_folders(settings, why)) != HF_OK ||
	    (err = sandbox_begin(settings, why)) != HF_OK ||
	    (err = daemon_open(s, settings, why)) != HF_OK)
		return err;
	if ((err = wait_for_hsms(s, settings, why)) != HF_OK)
		return err;
	if (late > 0)
		leave_unheard(late);
	chores_begin(s->chores, s);
	if ((err = start_parts(s, settings, why)) != HF_OK ||
	    (err = sandbox_complete(settings, why)) != HF_OK)
		return err;
	warn_of_no_policy(s, settings->policy_dir);
	forget_start();
	(void)sd_notify(0, "READY=1");
	log_info("ready on %s",
	    settings->transport.socket == NULL ? "TLS only"
					       : settings->transport.socket);
	chores_run(s->chores);
	(void)sd_notify(0, "STOPPING=1");
	log_info("stopping");
	atomic_store(&s->stopping, true);
	if (late > 0)
		leave_within(late);
	transport_stop(s->transport, settings->drain_seconds * 1000);
	return HF_OK;
}

enum hf_err
daemon_run(const struct settings *settings, struct hf_why *why)
{
	struct server *s = calloc(1, sizeof(*s));
	struct chores *chores;
	enum hf_err err;

	if (s == NULL)
		return HF_ERR_NO_MEMORY;
	(void)pthread_mutex_init(&s->renewing, NULL);
	if ((err = chores_open(settings, &chores, why)) == HF_OK) {
		s->chores = chores;
		err = run_server(s, settings, why);
		daemon_close(s);
		chores_close(chores);
	}
	free(s);
	return err;
}
