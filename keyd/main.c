/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin.h"
#include "crypto_memory.h"
#include "daemon.h"
#include "hsm_process.h"
#include "leave.h"
#include "log.h"
#include "settings.h"

enum mode {
	MODE_RUN,
	MODE_CHECK_CONFIG,
	MODE_PRINT_CONFIG,
	MODE_INIT,
	MODE_PROBE,
	MODE_BACKUP,
	MODE_RESTORE,
	MODE_RESTORE_MASTER,
	MODE_CHECK_POLICY,
	MODE_VERSION,
	MODE_HELP,
	MODE_HSM_HOST, /* for hsm_process.c alone */
};

struct arguments {
	enum mode mode;
	const char *config;
	const char *operand; /* of --backup, --restore, --check-policy */
	const char *uri;     /* --hsm-uri: instead of the configured one */
	const char *pin_source;
	struct ceremony_plan plan; /* of --init */
	const char *device;        /* of --restore-master */
	const char *const *files;
	size_t file_count;
};

static const char usage[] =
    "usage: holdfast-keyd [--config FILE] [MODE]\n"
    "\n"
    "Without a mode it runs as the daemon, in the foreground.\n"
    "  --check-config        read the configuration and the policies, and stop\n"
    "  --print-config        print a configuration file with all defaults\n"
    "  --init                make the master key in the HSM\n"
    "  --probe               try what the HSM can do\n"
    "  --backup FILE         copy the store, also while a daemon uses it\n"
    "  --restore-master [FILE...]\n"
    "                        put the master key into an HSM from its shares; "
    "without\n"
    "                        files they are typed\n"
    "  --restore FILE        put a copy of the store in its place\n"
    "  --check-policy DIR    check a folder of policies\n"
    "  --version, --help\n"
    "Options of --init\n"
    "  --shares N --threshold K\n"
    "                        make the master key outside, split it into N "
    "shares of which\n"
    "                        K bring it back, and then put it into the HSM\n"
    "  --share-dir DIR       a file for each share; else they are shown one "
    "by one\n"
    "  --share-to FILE       encrypt a share to this RSA public key; once for "
    "each\n"
    "Options of --restore-master\n"
    "  --device NAME         the HSM; the first of the configuration without "
    "it\n"
    "Options\n"
    "  --config FILE         default /etc/holdfast/keyd.conf\n"
    "  --hsm-uri URI         PKCS#11 URI, instead of hsm.uri\n"
    "  --pin-source SOURCE   file:PATH, env:NAME, fd:N or cred:NAME, instead\n"
    "                        of hsm.pin\n";

static bool
parse_count(const char *text, unsigned *out)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	*out = (unsigned)n;
	return *text >= '0' && *text <= '9' && *end == '\0' && n <= 255;
}

/* Options that belong to another mode, or to none. */
static bool
arguments_fit(const struct arguments *a)
{
	bool plan = a->plan.count > 0 || a->plan.threshold > 0 ||
	    a->plan.dir != NULL || a->plan.to_count > 0;

	if (a->file_count > 0 && a->mode != MODE_RESTORE_MASTER)
		return false;
	if (a->device != NULL && a->mode != MODE_RESTORE_MASTER)
		return false;
	if (plan && (a->mode != MODE_INIT || a->plan.count == 0))
		return false;
	return true;
}

static bool
parse(int argc, char **argv, struct arguments *a)
{
	enum { CONFIG = 1000, URI, PIN, SHARES, THRESHOLD, DIR, TO, DEVICE };
	static const struct option options[] = {
		{ "config", required_argument, NULL, CONFIG },
		{ "hsm-uri", required_argument, NULL, URI },
		{ "pin-source", required_argument, NULL, PIN },
		{ "check-config", no_argument, NULL, MODE_CHECK_CONFIG },
		{ "print-config", no_argument, NULL, MODE_PRINT_CONFIG },
		{ "init", no_argument, NULL, MODE_INIT },
		{ "probe", no_argument, NULL, MODE_PROBE },
		{ "backup", required_argument, NULL, MODE_BACKUP },
		{ "restore", required_argument, NULL, MODE_RESTORE },
		{ "restore-master", no_argument, NULL, MODE_RESTORE_MASTER },
		{ "shares", required_argument, NULL, SHARES },
		{ "threshold", required_argument, NULL, THRESHOLD },
		{ "share-dir", required_argument, NULL, DIR },
		{ "share-to", required_argument, NULL, TO },
		{ "device", required_argument, NULL, DEVICE },
		{ "check-policy", required_argument, NULL, MODE_CHECK_POLICY },
		{ "version", no_argument, NULL, MODE_VERSION },
		{ "help", no_argument, NULL, MODE_HELP },
		{ "hsm-host", no_argument, NULL, MODE_HSM_HOST },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	*a = (struct arguments){ .config = "/etc/holdfast/keyd.conf" };
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?' || (c < CONFIG && a->mode != MODE_RUN))
			return false;
		if (c == CONFIG)
			a->config = optarg;
		else if (c == URI)
			a->uri = optarg;
		else if (c == PIN)
			a->pin_source = optarg;
		else if (c == SHARES || c == THRESHOLD) {
			if (!parse_count(optarg,
				c == SHARES ? &a->plan.count
					    : &a->plan.threshold))
				return false;
		} else if (c == DIR)
			a->plan.dir = optarg;
		else if (c == TO) {
			if (a->plan.to_count == SHARE_COUNT_MAX)
				return false;
			a->plan.to[a->plan.to_count++] = optarg;
		} else if (c == DEVICE)
			a->device = optarg;
		else {
			a->mode = (enum mode)c;
			a->operand = optarg;
		}
	}
	a->files = (const char *const *)argv + optind;
	a->file_count = (size_t)(argc - optind);
	return arguments_fit(a);
}

/* The configuration is right when the policies are too. */
static enum hf_err
check_config(const struct settings *settings, struct hf_why *why)
{
	enum hf_err err = admin_check_policy(settings->policy_dir, why);

	if (err == HF_OK)
		(void)printf("%s is valid\n", settings->file);
	return err;
}

static enum hf_err
run_mode(const struct arguments *a, const struct settings *settings,
    struct hf_why *why)
{
	switch (a->mode) {
	case MODE_RUN:
		return daemon_run(settings, why);
	case MODE_CHECK_CONFIG:
		return check_config(settings, why);
	case MODE_INIT:
		return admin_init(settings, &a->plan, why);
	case MODE_PROBE:
		return admin_probe(settings, why);
	case MODE_BACKUP:
		return admin_backup(settings, a->operand, why);
	case MODE_RESTORE_MASTER:
		return admin_restore_master(
		    settings, a->device, a->files, a->file_count, why);
	case MODE_RESTORE:
		return admin_restore(settings, a->operand, why);
	case MODE_PRINT_CONFIG:
	case MODE_CHECK_POLICY:
	case MODE_VERSION:
	case MODE_HELP:
	case MODE_HSM_HOST:
		break;
	}
	return HF_ERR_SYSTEM;
}

static enum hf_err
run_configured(const struct arguments *a, struct hf_why *why)
{
	struct settings settings = { 0 };
	enum hf_err err;

	if ((err = settings_load(a->config, &settings, why)) != HF_OK)
		return err;
	if (a->uri != NULL)
		settings.hsm.uri = a->uri;
	if (a->pin_source != NULL)
		settings.hsm.pin_source = a->pin_source;
	settings.hsms[0].hsm = settings.hsm;
	log_set_level(settings.log_level);
	if ((err = daemon_harden(why)) == HF_OK)
		err = run_mode(a, &settings, why);
	settings_free(&settings);
	return err;
}

/* For the library of an HSM. */
static enum hf_err
run_host(struct hf_why *why)
{
	enum hf_err err;

	crypto_memory_use_malloc();
	if ((err = daemon_harden(why)) != HF_OK)
		return err;
	return hsm_host_run() == 0 ? HF_OK : HF_ERR_SYSTEM;
}

int
main(int argc, char **argv)
{
	struct arguments a;
	struct hf_why why = { "" };
	enum hf_err err = HF_OK;

	if (!parse(argc, argv, &a)) {
		(void)fputs(usage, stderr);
		return 1;
	}
	if (a.mode == MODE_HELP)
		(void)fputs(usage, stdout);
	else if (a.mode == MODE_VERSION)
		(void)puts("holdfast-keyd " HOLDFAST_VERSION);
	else if (a.mode == MODE_PRINT_CONFIG)
		settings_print_defaults(stdout);
	else if (a.mode == MODE_HSM_HOST)
		err = run_host(&why);
	else if (a.mode == MODE_CHECK_POLICY)
		err = admin_check_policy(a.operand, &why);
	else
		err = run_configured(&a, &why);
	if (err != HF_OK)
		log_error("%s",
		    why.text[0] != '\0' ? why.text : hf_err_sentence(err));
	(void)fflush(stdout);
	leave(err == HF_OK ? 0 : 1);
}
