/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast, the command line of a Holdfast service. The verbs, what they take
 * and what they show come from the tables in lib/ops.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "option.h"
#include "tool.h"

enum { DEFAULT_TIMEOUT = 60, LONGEST_TIMEOUT = 86400 };

static int
set_output(struct tool *tool, const char *s)
{
	tool->json = s != NULL && strcmp(s, "json") == 0;
	if (tool->json || (s != NULL && strcmp(s, "table") == 0))
		return STATUS_OK;
	return fail_usage("-o takes json or table");
}

static int
set_timeout(struct tool *tool, const char *s)
{
	char *end;
	long v = s == NULL ? 0 : strtol(s, &end, 10);

	if (v < 1 || v > LONGEST_TIMEOUT || *end != '\0')
		return fail_usage(
		    "--timeout takes seconds, 1 to %d", LONGEST_TIMEOUT);
	tool->timeout_ms = (int)v * 1000;
	return STATUS_OK;
}

static int
set_path(const char **path, const struct options *o, const char *s)
{
	*path = s;
	return s != NULL && *s != '\0'
	    ? STATUS_OK
	    : fail_usage("--%s takes a path", o->name);
}

/*
 * Options of TLS are what the library takes from the environment: one way in,
 * and what is not given here may still stand there. Names of files, no secret.
 */
static int
take_tls(struct options *o, bool *taken)
{
	static const struct {
		const char *option, *variable;
	} settings[] = {
		{ "tls-ca", "HOLDFAST_TLS_CA" },
		{ "tls-certificate", "HOLDFAST_TLS_CERTIFICATE" },
		{ "tls-key", "HOLDFAST_TLS_KEY" },
		{ "tls-server-name", "HOLDFAST_TLS_SERVER_NAME" },
		{ "tls-version", "HOLDFAST_TLS_VERSION" },
	};

	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		const char *value;

		if (!option_is(o, settings[i].option))
			continue;
		*taken = true;
		value = options_value(o);
		if (value == NULL || *value == '\0' ||
		    setenv(settings[i].variable, value, 1) != 0)
			return fail_usage("--%s takes a value", o->name);
	}
	return STATUS_OK;
}

/* Takes the options that every verb has; *taken tells whether it was one. */
static int
take_common(struct tool *tool, struct options *o, bool *taken)
{
	*taken = true;
	if (option_is(o, "o") || option_is(o, "output"))
		return set_output(tool, options_value(o));
	if (option_is(o, "a") || option_is(o, "address") ||
	    option_is(o, "socket"))
		return set_path(&tool->address, o, options_value(o));
	if (option_is(o, "config"))
		return set_path(&tool->config, o, options_value(o));
	if (option_is(o, "timeout"))
		return set_timeout(tool, options_value(o));
	*taken = false;
	return take_tls(o, taken);
}

/*
 * Moves the common options out of argv; what is left keeps its order. An
 * option of a verb keeps its value, even one that looks like a common option.
 */
static int
parse_common(struct tool *tool, int *argc, char **argv)
{
	struct options o = { .argc = *argc, .argv = argv };
	int kept = 0;
	int start = 0;

	while (start = o.at, options_next(&o)) {
		bool taken;
		int status = take_common(tool, &o, &taken);

		if (status != STATUS_OK)
			return status;
		for (int i = start; !taken && i < o.at; i++)
			argv[kept++] = argv[i];
	}
	*argc = kept;
	return STATUS_OK;
}

static bool
wants_help(int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		if (strcmp(argv[i], "--help") == 0 ||
		    strcmp(argv[i], "-h") == 0)
			return true;
	return false;
}

static int
unknown_verb(int argc, char **argv)
{
	char words[64];
	const struct verb *nearest;

	(void)snprintf(words, sizeof(words), "%s%s%s", argv[0],
	    argc > 1 ? " " : "", argc > 1 ? argv[1] : "");
	nearest = verb_nearest(words);
	if (verb_is_group(argv[0])) {
		if (argc == 1 || nearest == NULL)
			return fail_usage("'%s' needs another word; "
					  "'holdfast help %s' shows which",
			    argv[0], argv[0]);
	} else if (verb_ending(argv[0]) != NULL) {
		nearest = verb_ending(argv[0]);
	} else if (nearest == NULL) {
		nearest = verb_nearest(argv[0]);
	}
	if (nearest == NULL)
		return fail_usage("there is no verb '%s'; 'holdfast help' "
				  "shows all",
		    words);
	return fail_usage(
	    "there is no verb '%s'; did you mean '%s'?", words, nearest->words);
}

static int
run(struct tool *tool, int argc, char **argv)
{
	const struct verb *verb;
	int used;

	if (argc > 0 && strcmp(argv[0], "--version") == 0)
		return printf("holdfast %s\n", HOLDFAST_VERSION) < 0
		    ? STATUS_USAGE
		    : STATUS_OK;
	if (argc == 0 || argv[0][0] == '-') {
		if (wants_help(argc, argv)) {
			help_print_all();
			return STATUS_OK;
		}
		return argc == 0
		    ? fail_usage("which verb? 'holdfast help' shows all")
		    : fail_usage("there is no option '%s'; 'holdfast help' "
				 "shows those that every verb takes",
			  argv[0]);
	}
	verb = verb_find(argc, argv, &used);
	if (verb == NULL && argc == 2 && wants_help(1, argv + 1))
		return help_run(tool, 1, argv);
	if (verb == NULL)
		return unknown_verb(argc, argv);
	argc -= used;
	argv += used;
	if (verb->op != NULL)
		return verb_run_op(tool, verb->op, argc, argv);
	if (wants_help(argc, argv)) {
		help_print_verb(verb);
		return STATUS_OK;
	}
	return verb->run(tool, argc, argv);
}

int
main(int argc, char **argv)
{
	struct tool tool = { .timeout_ms = DEFAULT_TIMEOUT * 1000,
		.config = getenv("HOLDFAST_CONFIG") };
	int left = argc - 1;
	int status;

	/* Plaintexts pass through here: no core dumps. */
	(void)setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	if (tool.config != NULL && *tool.config == '\0')
		tool.config = NULL;
	status = argc < 1 ? STATUS_USAGE : parse_common(&tool, &left, argv + 1);
	if (status == STATUS_OK)
		status = run(&tool, left, argv + 1);
	if (fflush(stdout) != 0 && status == STATUS_OK)
		status = fail_usage("cannot write to the standard output");
	return status;
}
