/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "request.h"

static const char options_of_all[] =
    "Every verb takes\n"
    "  --socket PATH      the service's socket; else $HOLDFAST_SOCKET, else\n"
    "                     /run/holdfast/keyd.sock\n"
    "  -a, --address tls+tcp://HOST:PORT\n"
    "                     a service on another host, with\n"
    "  --tls-ca FILE, --tls-certificate FILE, --tls-key FILE\n"
    "                     its authority, our certificate and its key, PEM;\n"
    "                     else $HOLDFAST_TLS_CA, ...; also\n"
    "  --tls-server-name NAME, --tls-version 1.2\n"
    "  -o json|table      form of the output; table unless said otherwise\n"
    "  --timeout SECONDS  how long to wait for the service (60)\n"
    "  --config FILE      configuration for the verbs that run holdfast-keyd;\n"
    "                     else $HOLDFAST_CONFIG\n"
    "  --help             what the verb takes\n"
    "\n"
    "Exit status: 0 done, 1 wrong use or a file of ours, 2 refused by the\n"
    "service, 3 the service cannot be reached, 4 damage noted in an audit log.\n";

static void
print_upper(const char *s)
{
	for (; *s != '\0'; s++)
		(void)putchar(*s == '_' ? '-' : toupper((unsigned char)*s));
}

static void
print_synopsis(const struct verb *verb)
{
	const struct schema *in;

	(void)printf("usage: holdfast %s", verb->words);
	if (verb->op == NULL) {
		(void)printf("%s%s\n", verb->synopsis[0] == '\0' ? "" : " ",
		    verb->synopsis);
		return;
	}
	in = verb->op->in;
	for (size_t i = 0; i < in->count; i++)
		if (field_is_positional(verb->op, &in->fields[i])) {
			(void)putchar(' ');
			print_upper(in->fields[i].name);
		}
	(void)fputs(" [OPTION...]", stdout);
	if (field_data(in) != NULL)
		(void)fputs(" [FILE]", stdout);
	(void)putchar('\n');
}

static void
print_option(const struct field *f)
{
	char name[64], left[96];
	const char *value = f->kind == FIELD_BOOL           ? ""
	    : f->kind == FIELD_TRI                          ? "=yes|no"
	    : f->kind == FIELD_UINT || f->kind == FIELD_OPT ? " N"
	    : f->kind == FIELD_PAIRS                        ? " NAME=VALUE"
	    : (f->flags & SEALED) != 0                      ? " VALUE|FILE"
	    : f->kind == FIELD_BYTES                        ? " TEXT|@FILE"
							    : " TEXT";

	field_option_name(f, name);
	(void)snprintf(left, sizeof(left), "--%s%s", name, value);
	(void)printf("  %-29s %s\n", left, f->doc);
	if (f->values != NULL)
		(void)printf("  %-29s %s\n", "", f->values);
}

void
help_print_request_options(const struct op *op)
{
	if (op_may_be_dry(op))
		(void)printf("  %-29s %s\n", "--dry-run",
		    "change nothing; tell what would be changed");
	if ((op->flags & OP_ONCE) != 0)
		(void)printf("  %-29s %s\n", "--idempotency-key TEXT",
		    "do it once only, however often it is asked with this key");
}

static void
print_options(const struct op *op)
{
	const struct field *out = field_data(op->out);

	for (size_t i = 0; i < op->in->count; i++)
		if (field_is_positional(op, &op->in->fields[i])) {
			(void)fputs("  ", stdout);
			print_upper(op->in->fields[i].name);
			(void)printf("%*s %s\n",
			    29 - (int)strlen(op->in->fields[i].name), "",
			    op->in->fields[i].doc);
		}
	if (field_data(op->in) != NULL)
		(void)printf("  %-29s %s; the standard input without it or "
			     "with -\n",
		    "FILE", field_data(op->in)->doc);
	for (size_t i = 0; i < op->in->count; i++)
		if (field_is_option(op, &op->in->fields[i]) &&
		    !field_is_positional(op, &op->in->fields[i]))
			print_option(&op->in->fields[i]);
	if (op_has_format(op))
		(void)printf("  %-29s %s\n", "--binary",
		    "the binary form instead of text");
	help_print_request_options(op);
	if (out == NULL)
		return;
	(void)printf("  %-29s %s\n", "--out FILE",
	    "write there, all at once, instead of the standard output");
	(void)printf("  %-29s %s\n", "--encoding raw|hex|base64",
	    "how to write bytes; raw, but hex on a terminal if not text");
}

void
help_print_verb(const struct verb *verb)
{
	print_synopsis(verb);
	(void)printf("\n%s.\n", verb->sentence);
	if (verb->op == NULL) {
		if (verb->help[0] != '\0')
			(void)printf("\n%s", verb->help);
		return;
	}
	(void)putchar('\n');
	print_options(verb->op);
}

/* Those whose first word is `group`; all for NULL. */
static void
print_verbs(const char *group)
{
	size_t len = group == NULL ? 0 : strlen(group);
	const struct verb *verb;

	for (size_t i = 0; (verb = verb_at(i)) != NULL; i++)
		if (group == NULL ||
		    (strncmp(verb->words, group, len) == 0 &&
			verb->words[len] == ' '))
			(void)printf(
			    "  %-21s %s\n", verb->words, verb->sentence);
}

void
help_print_all(void)
{
	(void)fputs("usage: holdfast VERB [ARGUMENT...]\n\n", stdout);
	print_verbs(NULL);
	(void)printf("\n%s", options_of_all);
}

static void
help_print_group(const char *group)
{
	(void)printf("usage: holdfast %s VERB [ARGUMENT...]\n\n", group);
	print_verbs(group);
	(void)printf("\n'holdfast help %s VERB' shows what it takes.\n", group);
}

int
help_run(const struct tool *tool, int argc, char **argv)
{
	const struct verb *verb;
	int used;

	(void)tool;
	if (argc == 0) {
		help_print_all();
		return STATUS_OK;
	}
	if (argc == 1 && verb_is_group(argv[0])) {
		help_print_group(argv[0]);
		return STATUS_OK;
	}
	verb = verb_find(argc, argv, &used);
	if (verb == NULL || used != argc)
		return fail_usage("there is no such verb; 'holdfast help' "
				  "shows all");
	help_print_verb(verb);
	return STATUS_OK;
}
