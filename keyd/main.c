/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin.h"
#include "daemon.h"
#include "hsm_process.h"
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
    "  --restore FILE        put a copy of the store in its place\n"
    "  --check-policy DIR    check a folder of policies\n"
    "  --version, --help\n"
    "Options\n"
    "  --config FILE         default /etc/holdfast/keyd.conf\n"
    "  --hsm-uri URI         PKCS#11 URI, instead of hsm.uri\n"
    "  --pin-source SOURCE   file:PATH, env:NAME, fd:N or cred:NAME, instead\n"
    "                        of hsm.pin\n";

static bool
parse(int argc, char **argv, struct arguments *a)
{
	enum { CONFIG = 1000, URI, PIN };
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
		else {
			a->mode = (enum mode)c;
			a->operand = optarg;
		}
	}
	return optind == argc;
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
		return admin_init(settings, why);
	case MODE_PROBE:
		return admin_probe(settings, why);
	case MODE_BACKUP:
		return admin_backup(settings, a->operand, why);
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
		err = daemon_harden(&why) == HF_OK && hsm_host_run() == 0
		    ? HF_OK
		    : HF_ERR_SYSTEM;
	else if (a.mode == MODE_CHECK_POLICY)
		err = admin_check_policy(a.operand, &why);
	else
		err = run_configured(&a, &why);
	if (err != HF_OK)
		log_error("%s",
		    why.text[0] != '\0' ? why.text : hf_err_sentence(err));
	(void)fflush(stdout);
	/* The HSM's library and OpenSSL disagree about who tears down what at
	 * exit (SoftHSM issue 780): everything is closed, so leave it at that.
	 */
	_exit(err == HF_OK ? 0 : 1);
}
