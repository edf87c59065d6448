/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verbs that the daemon's program does, because they need the HSM or the
 * store: they become holdfast-keyd.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "option.h"
#include "program.h"
#include "request.h"
#include "tool.h"

enum { PATH_ROOM = 4096, ARGUMENTS = 64 };

/* The daemon has other things with a URI; here it can only be the HSM's. */
static char *
daemon_argument(char *arg, char *room, size_t cap)
{
	static const char uri[] = "--uri";
	size_t len = sizeof(uri) - 1;
	int n;

	if (strncmp(arg, uri, len) != 0 ||
	    (arg[len] != '\0' && arg[len] != '='))
		return arg;
	n = snprintf(room, cap, "--hsm-uri%s", arg + len);
	return n > 0 && (size_t)n < cap ? room : NULL;
}

/* Becomes holdfast-keyd WHAT [rest...] [--config FILE]; returns on failure. */
static int
become(const struct tool *tool, const char *what, int argc, char **argv)
{
	char path[PATH_ROOM * 2];
	char *args[ARGUMENTS + 6];
	char name[] = "holdfast-keyd", config[] = "--config";
	char what_room[32], config_room[PATH_ROOM], uri_room[PATH_ROOM];
	int n = 0;

	if (argc > ARGUMENTS)
		return fail_usage("too many arguments");
	if (!program_find("holdfast-keyd", path, sizeof(path)))
		return fail_usage("there is no holdfast-keyd beside this "
				  "program, nor at %s",
		    path);
	(void)snprintf(what_room, sizeof(what_room), "%s", what);
	args[n++] = name;
	args[n++] = what_room;
	for (int i = 0; i < argc; i++) {
		args[n] = daemon_argument(argv[i], uri_room, sizeof(uri_room));
		if (args[n++] == NULL)
			return fail_usage("--uri: the URI is too long");
	}
	if (tool->config != NULL) {
		if (snprintf(config_room, sizeof(config_room), "%s",
			tool->config) >= (int)sizeof(config_room))
			return fail_usage("--config: the path is too long");
		args[n++] = config;
		args[n++] = config_room;
	}
	args[n] = NULL;
	(void)fflush(NULL);
	(void)execv(path, args);
	return fail_usage("%s: %s", path, strerror(errno));
}

int
keyd_hsm_init_run(const struct tool *tool, int argc, char **argv)
{
	return become(tool, "--init", argc, argv);
}

int
keyd_hsm_restore_master_run(const struct tool *tool, int argc, char **argv)
{
	return become(tool, "--restore-master", argc, argv);
}

/* The running service knows best; without one the program can look itself. */
int
keyd_hsm_probe_run(const struct tool *tool, int argc, char **argv)
{
	struct hf_client *client;

	if (argc > 0 ||
	    hf_connect(tool->address, tool->timeout_ms, &client, NULL) != HF_OK)
		return become(tool, "--probe", argc, argv);
	hf_close(client);
	for (size_t i = 0; i < ops_count; i++)
		if (ops[i].id == OP_hsm_probe)
			return verb_run_op(tool, &ops[i], 0, argv);
	return STATUS_USAGE;
}

static int
become_with_path(const struct tool *tool, const char *what, const char *needs,
    int argc, char **argv)
{
	if (argc != 1 || argv[0][0] == '-')
		return fail_usage("this takes %s", needs);
	return become(tool, what, argc, argv);
}

int
keyd_backup_run(const struct tool *tool, int argc, char **argv)
{
	return become_with_path(
	    tool, "--backup", "the file to write", argc, argv);
}

int
keyd_restore_run(const struct tool *tool, int argc, char **argv)
{
	return become_with_path(
	    tool, "--restore", "the file to read", argc, argv);
}

int
keyd_policy_check_run(const struct tool *tool, int argc, char **argv)
{
	return become_with_path(
	    tool, "--check-policy", "the folder to check", argc, argv);
}
