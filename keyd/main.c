/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin.h"
#include "crypto_memory.h"
#include "daemon.h"
#include "hsm_host.h"
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
	MODE_HSM_HOST, /* for hsm_host.c alone */
};

struct arguments {
	enum mode mode;
	const char *config;
	const char *operand; /* of --backup, --restore, --check-policy */
	const char *uri;     /* --hsm-uri: instead of the configured one */
	const char *pin_source;
	struct ceremony_plan plan; /* of --init */
	const char *device;        /* of --restore-master, --probe */
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
    "Options of --restore-master and --probe\n"
    "  --device NAME         the HSM; the first of the configuration without "
    "it\n"
    "Options\n"
    "  --config FILE         default /etc/holdfast/keyd.conf\n"
    "  --hsm-uri URI         PKCS#11 URI of that HSM, instead of hsm.uri\n"
    "  --pin-source SOURCE   its PIN: file:PATH, env:NAME, fd:N or cred:NAME,\n"
    "                        instead of hsm.pin\n";

/* The end of every complaint about the command line. */
static const char see_help[] =
    "usage: holdfast-keyd [--config FILE] [MODE]; --help shows the modes\n";

static enum hf_err
parse_count(
    const char *option, const char *text, unsigned *out, struct hf_why *why)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	*out = (unsigned)n;
	if (*text >= '0' && *text <= '9' && *end == '\0' && n <= 255)
		return HF_OK;
	return hf_fail(why, HF_ERR_BAD_VALUE,
	    "--%s: '%s' is not a number up to 255", option, text);
}

/* Options that belong to another mode, or to none. */
static enum hf_err
arguments_fit(const struct arguments *a, struct hf_why *why)
{
	bool plan = a->plan.count > 0 || a->plan.threshold > 0 ||
	    a->plan.dir != NULL || a->plan.to_count > 0;

	if (a->file_count > 0 && a->mode != MODE_RESTORE_MASTER)
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "'%s' is one argument too many", a->files[0]);
	if (a->device != NULL && a->mode != MODE_RESTORE_MASTER &&
	    a->mode != MODE_PROBE)
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "--device goes with --restore-master and --probe only");
	if (plan && a->mode != MODE_INIT)
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "--shares, --threshold, --share-dir and --share-to go with "
		    "--init only");
	if (plan && a->plan.count == 0)
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "--shares N is missing: how many shares are there to be?");
	return HF_OK;
}

enum option_code {
	CONFIG = 1000,
	URI,
	PIN,
	SHARES,
	THRESHOLD,
	DIR,
	TO,
	DEVICE
};

static enum hf_err
add_holder(struct arguments *a, const char *file, struct hf_why *why)
{
	if (a->plan.to_count == SHARE_COUNT_MAX)
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "--share-to: more than %d shares", SHARE_COUNT_MAX);
	a->plan.to[a->plan.to_count++] = file;
	return HF_OK;
}

static enum hf_err
take_mode(struct arguments *a, enum mode mode, struct hf_why *why)
{
	if (a->mode != MODE_RUN)
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "two modes are given; it does one thing at a time");
	a->mode = mode;
	a->operand = optarg;
	return HF_OK;
}

static enum hf_err
take(struct arguments *a, int code, struct hf_why *why)
{
	switch ((enum option_code)code) {
	case CONFIG:
		a->config = optarg;
		break;
	case URI:
		a->uri = optarg;
		break;
	case PIN:
		a->pin_source = optarg;
		break;
	case SHARES:
		return parse_count("shares", optarg, &a->plan.count, why);
	case THRESHOLD:
		return parse_count(
		    "threshold", optarg, &a->plan.threshold, why);
	case DIR:
		a->plan.dir = optarg;
		break;
	case TO:
		return add_holder(a, optarg, why);
	case DEVICE:
		a->device = optarg;
		break;
	}
	return HF_OK;
}

/* HF_OK, or what is wrong with the command line; getopt has said itself what it
 * found, and `why` is empty then. */
static enum hf_err
parse(int argc, char **argv, struct arguments *a, struct hf_why *why)
{
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
	enum hf_err err = HF_OK;
	int c;

	*a = (struct arguments){ .config = "/etc/holdfast/keyd.conf" };
	while (err == HF_OK &&
	    (c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?')
			return HF_ERR_BAD_VALUE;
		err = c >= CONFIG ? take(a, c, why)
				  : take_mode(a, (enum mode)c, why);
	}
	if (err != HF_OK)
		return err;
	a->files = (const char *const *)argv + optind;
	a->file_count = (size_t)(argc - optind);
	return arguments_fit(a, why);
}

/* The HSM that --device names, the first one without it; --hsm-uri and
 * --pin-source are about that one. */
static enum hf_err
choose_hsm(const struct arguments *a, struct settings *settings,
    struct settings_hsm **out, struct hf_why *why)
{
	size_t i = 0;

	while (a->device != NULL && i < settings->hsm_count &&
	    strcmp(settings->hsms[i].name, a->device) != 0)
		i++;
	if (i == settings->hsm_count)
		return hf_fail(why, HF_ERR_NOT_FOUND,
		    "there is no HSM %s in %s", a->device, settings->file);
	*out = &settings->hsms[i];
	if (a->uri != NULL)
		(*out)->hsm.uri = a->uri;
	if (a->pin_source != NULL)
		(*out)->hsm.pin_source = a->pin_source;
	settings->hsm = settings->hsms[0].hsm;
	return HF_OK;
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
    const struct settings_hsm *chosen, struct hf_why *why)
{
	switch (a->mode) {
	case MODE_RUN:
		return daemon_run(settings, why);
	case MODE_CHECK_CONFIG:
		return check_config(settings, why);
	case MODE_INIT:
		return admin_init(settings, &a->plan, why);
	case MODE_PROBE:
		return admin_probe(&chosen->hsm, why);
	case MODE_BACKUP:
		return admin_backup(settings, a->operand, why);
	case MODE_RESTORE_MASTER:
		return admin_restore_master(settings,
		    (size_t)(chosen - settings->hsms), a->files, a->file_count,
		    why);
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
	struct settings_hsm *chosen;
	enum hf_err err;

	if ((err = settings_load(a->config, &settings, why)) != HF_OK)
		return err;
	log_set_level(settings.log_level);
	if ((err = choose_hsm(a, &settings, &chosen, why)) == HF_OK &&
	    (err = daemon_harden(why)) == HF_OK)
		err = run_mode(a, &settings, chosen, why);
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

	if (parse(argc, argv, &a, &why) != HF_OK) {
		if (why.text[0] != '\0')
			(void)fprintf(stderr, "holdfast-keyd: %s\n", why.text);
		(void)fputs(see_help, stderr);
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
