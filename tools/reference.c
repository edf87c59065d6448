/* SPDX-License-Identifier: Apache-2.0 */
/* docs/operations.md, printed from the tables; a test compares. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "request.h"

static const char head[] =
    "# Operations\n"
    "\n"
    "Printed by `holdfast reference` from `ops.def` and `lib/ops.c`; do not\n"
    "edit. `protocol.md` says how requests and replies look on the wire;\n"
    "policies speak about the paths. An operation that changes state answers\n"
    "when the change is on the disk.\n";

static void
print_kind(const struct field *f)
{
	static const char *const names[] = {
		[FIELD_BYTES] = "bytes",
		[FIELD_TEXT] = "text",
		[FIELD_UINT] = "number",
		[FIELD_OPT] = "number",
		[FIELD_BOOL] = "bool",
		[FIELD_TRI] = "bool",
		[FIELD_LIST] = "list",
		[FIELD_TEXTS] = "list of text",
		[FIELD_PAIRS] = "map of text",
	};

	(void)fputs(names[f->kind], stdout);
	if (f->values != NULL) {
		(void)fputs(": ", stdout);
		for (const char *p = f->values; *p != '\0'; p++)
			(void)fputs(
			    *p == '|' ? ", " : (char[]){ *p, '\0' }, stdout);
	}
}

/* Bounds that say something: not those of a bool or of a list of words. */
static void
print_bounds(const struct field *f)
{
	const char *unit = f->kind == FIELD_BYTES || f->kind == FIELD_TEXT
	    ? " bytes"
	    : f->kind == FIELD_PAIRS                          ? " pairs"
	    : f->kind == FIELD_LIST || f->kind == FIELD_TEXTS ? " items"
							      : "";

	if (f->kind == FIELD_BOOL || f->kind == FIELD_TRI || f->values != NULL)
		return;
	if (f->max == INT64_MAX)
		return;
	(void)printf("%" PRIu64 "..%" PRIu64 "%s", f->min, f->max, unit);
}

static void
print_notes(const struct field *f)
{
	if ((f->flags & REQUIRED) != 0)
		(void)fputs("**required**; ", stdout);
	if ((f->flags & (KEYNAME | NAME)) != 0)
		(void)fputs("a name; ", stdout);
	if ((f->flags & SECRET) != 0)
		(void)fputs("secret; ", stdout);
	(void)fputs(f->doc, stdout);
	if (f->kind == FIELD_LIST)
		(void)printf(" (each: see below)");
}

static void
print_fields(const char *title, const struct schema *schema)
{
	(void)printf("\n%s:\n\n| field | type | bounds | |\n"
		     "|---|---|---|---|\n",
	    title);
	for (size_t i = 0; i < schema->count; i++) {
		const struct field *f = &schema->fields[i];

		(void)printf("| `%s` | ", f->name);
		print_kind(f);
		(void)fputs(" | ", stdout);
		print_bounds(f);
		(void)fputs(" | ", stdout);
		print_notes(f);
		(void)fputs(" |\n", stdout);
	}
	for (size_t i = 0; i < schema->count; i++) {
		const struct field *f = &schema->fields[i];
		char each[64];

		if (f->kind != FIELD_LIST)
			continue;
		(void)snprintf(each, sizeof(each), "Each of `%s`", f->name);
		print_fields(each, f->item);
	}
}

static void
print_op(const struct op *op)
{
	(void)printf("\n## %s\n\n%s.\n\n", op->name, op->sentence);
	(void)printf(
	    "- path `%s`, capability `%s`", op->path, cap_name(op->cap));
	if ((op->flags & OP_UPSERT) != 0)
		(void)fputs(" (`create` where the key does not exist)", stdout);
	if ((op->flags & OP_SUDO) != 0)
		(void)fputs(" and `sudo`", stdout);
	(void)printf("\n- %s\n",
	    (op->flags & OP_CHANGES) != 0 ? "changes state"
		: (op->flags & OP_UPSERT) != 0
		? "changes nothing that lasts, unless it makes the key"
		: "changes nothing that lasts");
	if ((op->flags & OP_NOT_DRY) != 0)
		(void)fputs("- there is no dry run of it\n", stdout);
	if ((op->flags & OP_ONCE) != 0)
		(void)fputs("- takes an idempotency key\n", stdout);
	if (op->verb[0] != '\0')
		(void)printf("- `holdfast %s`\n", op->verb);
	if (op->in->count > 0)
		print_fields("Takes", op->in);
	if (op->out->count > 0)
		print_fields("Gives", op->out);
}

int
reference_run(const struct tool *tool, int argc, char **argv)
{
	(void)tool;
	(void)argv;
	if (argc != 0)
		return fail_usage("'holdfast reference' takes nothing");
	(void)fputs(head, stdout);
	for (size_t i = 0; i < ops_count; i++)
		print_op(&ops[i]);
	return STATUS_OK;
}
