/* SPDX-License-Identifier: Apache-2.0 */
#include "admin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/bytes.h"
#include "audit_backing.h"
#include "crypto.h"
#include "daemon.h"

enum { WAIT_MS = 10000 }; /* somebody sits before it */

/* The HSM must answer now: somebody is waiting for it. */
static enum hf_err
wait_ready(struct hsm *hsm, struct hf_why *why)
{
	enum hf_err err = hsm_wait_ready(hsm, WAIT_MS);
	struct hsm_info info;

	if (err == HF_OK)
		return HF_OK;
	hsm_info(hsm, &info);
	return hf_fail(why, err, "%s%s%s", hf_err_sentence(err),
	    info.reason[0] == '\0' ? "" : ": ", info.reason);
}

static enum hf_err
publish_audit_key(
    struct server *s, const struct settings *settings, struct hf_why *why)
{
	enum hf_err err = audit_backing_publish(s, settings->audit.public_key);

	if (err != HF_OK)
		return hf_fail(why, err, "%s cannot be written: %s",
		    settings->audit.public_key, strerror(errno));
	(void)printf("Audit key: %s (keep a copy elsewhere: "
		     "'holdfast audit verify' needs it)\n",
	    settings->audit.public_key);
	return HF_OK;
}

static void
print_shares(const struct ceremony_plan *plan)
{
	if (plan->count > 0)
		(void)printf("Shares: %u were given out, and any %u of them "
			     "bring the master key back\n",
		    plan->count, plan->threshold);
}

static enum hf_err
init_run(struct server *s, const struct settings *settings,
    const struct ceremony_plan *plan, struct hf_why *why)
{
	struct hsm_info info;
	bool before;
	enum hf_err err;

	if ((err = daemon_state_dir(settings, why)) != HF_OK ||
	    (err = daemon_open_keys(s, settings, why)) != HF_OK ||
	    (err = wait_ready(s->hsm, why)) != HF_OK)
		return err;
	before = hierarchy_initialized(s->hierarchy);
	err = plan->count > 0 ? ceremony_init(s->hierarchy, plan, why)
			      : hierarchy_init(s->hierarchy, why);
	if (err != HF_OK)
		return err;
	hsm_info(s->hsm, &info);
	(void)printf("Token: %s (%s, serial %s)\n", info.token,
	    info.manufacturer, info.serial);
	(void)printf("Master key: version %llu%s\n",
	    (unsigned long long)hierarchy_master_version(s->hierarchy),
	    before ? ", was there already" : ", made now");
	print_shares(plan);
	return publish_audit_key(s, settings, why);
}

enum hf_err
admin_init(const struct settings *settings, const struct ceremony_plan *plan,
    struct hf_why *why)
{
	struct server *s;
	enum hf_err err;

	if (plan->count > 0 && (err = ceremony_check(plan, why)) != HF_OK)
		return err;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return HF_ERR_NO_MEMORY;
	err = init_run(s, settings, plan, why);
	daemon_close_keys(s);
	free(s);
	return err;
}

/* -- A master key from its shares -- */

static enum hf_err
restore_run(struct server *s, const struct settings *settings, size_t device,
    const struct share_facts *facts, struct hf_bytes keys, struct hf_why *why)
{
	const char *name = settings->hsms[device].name;
	enum hf_err err;

	if ((err = daemon_open_keys(s, settings, why)) != HF_OK ||
	    (err = wait_ready(s->hsms[device], why)) != HF_OK ||
	    (err = hierarchy_restore_shared(
		 s->hierarchy, name, facts, keys, why)) != HF_OK ||
	    (err = hierarchy_unlock(s->hierarchy, why)) != HF_OK)
		return err;
	(void)printf("Master key: version %llu is in HSM %s, and opens all "
		     "keyrings\n",
	    (unsigned long long)hierarchy_master_version(s->hierarchy), name);
	return publish_audit_key(s, settings, why);
}

enum hf_err
admin_restore_master(const struct settings *settings, size_t device,
    const char *const *files, size_t count, struct hf_why *why)
{
	AUTO_SECRET keys = { 0 };
	struct share_facts facts;
	struct server *s;
	enum hf_err err;

	/* First of all: nobody types shares for nothing. */
	if ((err = daemon_state_dir(settings, why)) != HF_OK)
		return err;
	if ((err = ceremony_collect(files, count, &keys, &facts, why)) != HF_OK)
		return err;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return HF_ERR_NO_MEMORY;
	err = restore_run(s, settings, device, &facts, secret_view(&keys), why);
	daemon_close_keys(s);
	free(s);
	return err;
}

static void
print_probe(const struct hsm_probe *p)
{
	(void)printf("Token: %s\n", p->token);
	for (size_t i = 0; i < p->count; i++)
		(void)printf("%-26s %-7s %-46s %s\n", p->rows[i].name,
		    p->rows[i].result, p->rows[i].use, p->rows[i].note);
	for (size_t i = 0; i < p->quirk_count; i++)
		(void)printf("quirk: %s\n", p->quirks[i]);
}

enum hf_err
admin_probe(const struct hsm_settings *settings, struct hf_why *why)
{
	struct hsm_probe probe;
	struct hsm *hsm = NULL;
	enum hf_err err;

	if ((err = hsm_open(settings, NULL, NULL, &hsm, why)) != HF_OK)
		return err;
	if ((err = wait_ready(hsm, why)) == HF_OK &&
	    (err = hsm_probe_run(hsm, &probe)) == HF_OK) {
		print_probe(&probe);
		hsm_probe_free(&probe);
	}
	hsm_close(hsm);
	return err;
}

enum hf_err
admin_backup(
    const struct settings *settings, const char *file, struct hf_why *why)
{
	char path[DAEMON_PATH];
	enum hf_err err;

	if ((err = daemon_store_path(settings, path)) != HF_OK ||
	    (err = store_backup(path, file, why)) != HF_OK)
		return err;
	(void)printf("%s: a copy of %s; it can be opened only with the HSM "
		     "that holds the master key\n",
	    file, path);
	return HF_OK;
}

enum hf_err
admin_restore(
    const struct settings *settings, const char *file, struct hf_why *why)
{
	char path[DAEMON_PATH];
	enum hf_err err;

	if ((err = daemon_state_dir(settings, why)) != HF_OK ||
	    (err = daemon_store_path(settings, path)) != HF_OK ||
	    (err = store_restore(file, path, why)) != HF_OK)
		return err;
	(void)printf("%s: restored from %s; the old store is %s"
		     ".before-restore\n",
	    path, file, path);
	return HF_OK;
}

static void
print_policy(void *ctx, const struct policy_info *info)
{
	(void)ctx;
	if (strcmp(info->name, "root") == 0) /* no file can be called so */
		(void)printf("root: everything (built in), for");
	else
		(void)printf("%s: %zu rules, for", info->name, info->rules);
	for (size_t i = 0; i < info->subject_count; i++)
		(void)printf(" %s", info->subjects[i]);
	(void)printf("%s\n", info->subject_count == 0 ? " nobody" : "");
}

enum hf_err
admin_check_policy(const char *folder, struct hf_why *why)
{
	struct policy_store *ps;
	enum hf_err err = policy_open(folder, &ps, why);

	if (err != HF_OK)
		return err;
	policy_each(ps, print_policy, NULL);
	policy_close(ps);
	return HF_OK;
}
