/* SPDX-License-Identifier: Apache-2.0 */
/* The completion script of bash, printed from the tables. */
#include <stdio.h>
#include <string.h>

#include "request.h"

static const char letters[] = "abcdefghijklmnopqrstuvwxyz-";

static const char head[] =
    "# SPDX-License-Identifier: Apache-2.0\n"
    "# bash completion of holdfast; printed by 'holdfast completion bash'.\n"
    "\n"
    "_holdfast_options() {\n"
    "\tcase \"$1\" in\n";

static const char middle[] = "\tesac\n"
			     "}\n"
			     "\n"
			     "_holdfast_values() {\n"
			     "\tcase \"$1\" in\n";

static const char verbs_head[] = "\t'-o') echo 'json table' ;;\n"
				 "\tesac\n"
				 "}\n"
				 "\n"
				 "_holdfast_takes_name() {\n"
				 "\tcase \"$1\" in\n"
				 "\t";

static const char tail_head[] = ") return 0 ;;\n"
				"\tesac\n"
				"\treturn 1\n"
				"}\n"
				"\n"
				"_holdfast_verbs='";

static const char tail[] =
    "'\n"
    "\n"
    "_holdfast() {\n"
    "\tlocal cur=${COMP_WORDS[COMP_CWORD]}\n"
    "\tlocal prev=${COMP_WORDS[COMP_CWORD-1]}\n"
    "\tlocal before=\"${COMP_WORDS[*]:1:COMP_CWORD-1}\" verb='' words='' v\n"
    "\n"
    "\twords=$(_holdfast_values \"$prev\")\n"
    "\tif [ -n \"$words\" ]; then\n"
    "\t\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
    "\t\treturn\n"
    "\tfi\n"
    "\twhile IFS= read -r v; do\n"
    "\t\tcase \"$before \" in\n"
    "\t\t\"$v \"*) [ ${#v} -gt ${#verb} ] && verb=$v ;;\n"
    "\t\t\"${v% *}\" | \"${v% *} \") [ \"$v\" != \"${v% *}\" ] && words+=\" ${v##* }\" ;;\n"
    "\t\tesac\n"
    "\t\t[ -z \"$before\" ] && words+=\" ${v%% *}\"\n"
    "\tdone <<<\"$_holdfast_verbs\"\n"
    "\tif [ -n \"$verb\" ] && [[ $cur == -* ]]; then\n"
    "\t\twords=\"$(_holdfast_options \"$verb\") --address --socket -o --timeout --help\"\n"
    "\telif [ -n \"$verb\" ] && [ \"$before\" = \"$verb\" ] &&\n"
    "\t    _holdfast_takes_name \"$verb\"; then\n"
    "\t\twords+=\" $(holdfast --timeout 1 key list 2>/dev/null)\"\n"
    "\telif [ -n \"$verb\" ] && [ -z \"$words\" ]; then\n"
    "\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
    "\t\treturn\n"
    "\tfi\n"
    "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
    "}\n"
    "\n"
    "complete -F _holdfast holdfast\n";

/* Those of a special verb: what begins with -- in the lines of its help that
 * begin with blanks. */
static void
print_special(const struct verb *verb)
{
	const char *line = verb->help, *space = "";

	(void)printf("\t'%s') echo '", verb->words);
	while (*line != '\0') {
		const char *end = line + strcspn(line, "\n");
		const char *p = strncmp(line, "  --", 4) == 0 ? line : end;

		while ((p = strstr(p, "--")) != NULL && p < end) {
			size_t len = 2 + strspn(p + 2, letters);

			(void)printf("%s%.*s", space, (int)len, p);
			space = " ";
			p += len;
		}
		line = *end == '\0' ? end : end + 1;
	}
	(void)fputs("' ;;\n", stdout);
}

static void
print_options(const struct verb *verb)
{
	const char *space = "";
	char name[64];

	(void)printf("\t'%s') echo '", verb->words);
	for (size_t i = 0; i < verb->op->in->count; i++) {
		const struct field *f = &verb->op->in->fields[i];

		if (!field_is_option(verb->op, f) ||
		    field_is_positional(verb->op, f))
			continue;
		field_option_name(f, name);
		(void)printf("%s--%s", space, name);
		space = " ";
	}
	if (op_has_format(verb->op))
		(void)fputs(" --binary", stdout);
	if (field_data(verb->op->out) != NULL)
		(void)fputs(" --out --encoding", stdout);
	if (op_may_be_dry(verb->op))
		(void)fputs(" --dry-run", stdout);
	if ((verb->op->flags & OP_ONCE) != 0)
		(void)fputs(" --idempotency-key", stdout);
	(void)fputs("' ;;\n", stdout);
}

/* Fields of one name have the same words wherever they are given; if that
 * ever changes, the union of them would be needed here. */
static bool
came_before(size_t op, size_t field)
{
	const char *name = ops[op].in->fields[field].name;

	for (size_t i = 0; i < op; i++)
		for (size_t k = 0; k < ops[i].in->count; k++) {
			const struct field *f = &ops[i].in->fields[k];

			if (f->values != NULL && strcmp(f->name, name) == 0)
				return true;
		}
	return false;
}

static void
print_values(size_t op)
{
	char name[64];

	for (size_t i = 0; i < ops[op].in->count; i++) {
		const struct field *f = &ops[op].in->fields[i];

		if (f->values == NULL || !field_is_option(&ops[op], f) ||
		    came_before(op, i))
			continue;
		field_option_name(f, name);
		(void)printf("\t'--%s') echo '", name);
		for (const char *p = f->values; *p != '\0'; p++)
			(void)putchar(*p == '|' ? ' ' : *p);
		(void)fputs("' ;;\n", stdout);
	}
}

static bool
takes_key_name(const struct verb *verb)
{
	return verb->op != NULL && op_key_field(verb->op) != NULL &&
	    strncmp(verb->op->path, "transit/", 8) == 0 &&
	    strncmp(verb->op->path, "transit/aliases/", 16) != 0;
}

int
completion_run(const struct tool *tool, int argc, char **argv)
{
	const struct verb *verb;
	const char *between = "";

	(void)tool;
	if (argc != 1 || strcmp(argv[0], "bash") != 0)
		return fail_usage("'holdfast completion' takes: bash");
	(void)fputs(head, stdout);
	for (size_t i = 0; (verb = verb_at(i)) != NULL; i++)
		if (verb->op != NULL)
			print_options(verb);
		else
			print_special(verb);
	(void)fputs(middle, stdout);
	for (size_t i = 0; i < ops_count; i++)
		print_values(i);
	(void)fputs(verbs_head, stdout);
	for (size_t i = 0; (verb = verb_at(i)) != NULL; i++)
		if (takes_key_name(verb)) {
			(void)printf("%s'%s'", between, verb->words);
			between = " | ";
		}
	(void)fputs(tail_head, stdout);
	for (size_t i = 0; (verb = verb_at(i)) != NULL; i++)
		(void)printf("%s%s", i == 0 ? "" : "\n", verb->words);
	(void)fputs(tail, stdout);
	return STATUS_OK;
}
