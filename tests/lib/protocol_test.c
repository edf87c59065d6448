/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The documents say what the tables say. With an argument it prints what they
 * should say instead: --cddl is docs/holdfast.cddl, --errors and --operations
 * are the tables in docs/protocol.md.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/ops.h"

/* -- The grammar (CDDL, RFC 8610) -- */

enum { SCHEMAS_MAX = 256 };

struct printed {
	const struct schema *schemas[SCHEMAS_MAX];
	size_t count;
};

static bool
first_time(struct printed *p, const struct schema *s)
{
	for (size_t i = 0; i < p->count; i++)
		if (p->schemas[i] == s)
			return false;
	assert_true(p->count < SCHEMAS_MAX);
	p->schemas[p->count++] = s;
	return true;
}

/* "hf_encrypt_in" without its prefix. */
static const char *
rule_name(const struct schema *s)
{
	return strncmp(s->name, "hf_", 3) == 0 ? s->name + 3 : s->name;
}

static void
print_values(FILE *out, const char *values)
{
	for (const char *v = values; *v != '\0';) {
		size_t len = strcspn(v, "|");

		(void)fprintf(
		    out, "%s\"%.*s\"", v == values ? "" : " / ", (int)len, v);
		v += len + (v[len] == '|');
	}
}

static void
print_text(FILE *out, const struct field *f)
{
	if ((f->flags & (KEYNAME | NAME)) != 0)
		(void)fputs("name", out);
	else if (f->values != NULL)
		print_values(out, f->values);
	else
		(void)fprintf(out, "tstr .size (%" PRIu64 "..%" PRIu64 ")",
		    f->min, f->max);
}

static void
print_type(FILE *out, const struct field *f)
{
	switch (f->kind) {
	case FIELD_BYTES:
		(void)fprintf(out, "bstr .size (%" PRIu64 "..%" PRIu64 ")",
		    f->min, f->max);
		break;
	case FIELD_TEXT:
		print_text(out, f);
		break;
	case FIELD_UINT:
	case FIELD_OPT:
		(void)fprintf(out, "%" PRIu64 "..%" PRIu64, f->min, f->max);
		break;
	case FIELD_BOOL:
	case FIELD_TRI:
		(void)fputs("bool", out);
		break;
	case FIELD_LIST:
		(void)fprintf(
		    out, "[0*%" PRIu64 " %s]", f->max, rule_name(f->item));
		break;
	case FIELD_TEXTS:
		(void)fprintf(
		    out, "[0*%" PRIu64 " tstr .size (1..1024)]", f->max);
		break;
	case FIELD_PAIRS:
		(void)fprintf(out,
		    "{0*%" PRIu64 " tstr .size (1..%d) => tstr .size (0..%d)}",
		    f->max, CONTEXT_NAME_MAX, CONTEXT_VALUE_MAX);
		break;
	}
}

/* The rule of a schema, after those of the items in it. */
static void
print_schema(FILE *out, struct printed *printed, const struct schema *s)
{
	if (!first_time(printed, s))
		return;
	for (size_t i = 0; i < s->count; i++)
		if (s->fields[i].kind == FIELD_LIST)
			print_schema(out, printed, s->fields[i].item);
	(void)fprintf(out, "\n%s = {\n", rule_name(s));
	for (size_t i = 0; i < s->count; i++) {
		const struct field *f = &s->fields[i];

		(void)fprintf(out,
		    "\t%s\"%s\": ", (f->flags & REQUIRED) != 0 ? "" : "? ",
		    f->name);
		print_type(out, f);
		(void)fprintf(out, ", ; %s\n", f->doc);
	}
	(void)fputs("}\n", out);
}

static bool
may_be_empty(const struct schema *s)
{
	for (size_t i = 0; i < s->count; i++)
		if ((s->fields[i].flags & REQUIRED) != 0)
			return false;
	return true;
}

static void
print_operation(FILE *out, const struct op *op)
{
	bool dry = op_may_be_dry(op);

	(void)fprintf(out,
	    "\n; %s\n%s = { \"op\": \"%s\", %s\"in\": %s%s%s }\n", op->sentence,
	    op->name, op->name, may_be_empty(op->in) ? "? " : "",
	    rule_name(op->in), dry ? ", dry" : "",
	    (op->flags & OP_ONCE) != 0 ? ", once" : "");
	(void)fprintf(out, "%s-reply = { \"out\": %s } / error%s\n", op->name,
	    rule_name(op->out), dry ? " / dry-reply" : "");
}

static void
print_cddl(FILE *out)
{
	struct printed printed = { .count = 0 };

	(void)fputs(
	    "; SPDX-License-Identifier: Apache-2.0\n"
	    "; The messages of Holdfast (CDDL, RFC 8610), printed from the\n"
	    "; tables in lib/ops.c. docs/protocol.md tells what they travel "
	    "in.\n"
	    "; Every map refuses fields that are not in it.\n\nrequest =",
	    out);
	for (size_t i = 0; i < ops_count; i++)
		(void)fprintf(out, "%s\n\t%s", i == 0 ? "" : " /", ops[i].name);
	(void)fputs(
	    "\n\nerror = { \"err\": {\n"
	    "\t\"code\": 100..599, ; as in HTTP\n"
	    "\t\"name\": tstr .size (1..64),\n"
	    "\t\"message\": tstr .size (0..1024), ; for a person\n"
	    "} }\n\n"
	    "dry = ( ? \"dry_run\": bool )\n"
	    "once = ( ? \"idempotency_key\": "
	    "tstr .regexp \"[ -~]{1,64}\" )\n"
	    "dry-reply = { \"dry_run\": dry_run }\n\n"
	    "name = tstr .regexp \"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\"\n",
	    out);
	for (size_t i = 0; i < ops_count; i++)
		print_operation(out, &ops[i]);
	for (size_t i = 0; i < ops_count; i++) {
		print_schema(out, &printed, ops[i].in);
		print_schema(out, &printed, ops[i].out);
	}
	print_schema(out, &printed, &schema_dry_run);
}

/* -- The tables of docs/protocol.md -- */

static void
print_errors(FILE *out)
{
	(void)fputs("| name | code | when nothing more precise is known |\n"
		    "|---|---|---|\n",
	    out);
#define HF_ERR(symbol, number, status, ckr, name, sentence) \
	if (HF_ERR_##symbol != HF_ERR_DEFER)                \
		(void)fprintf(                              \
		    out, "| `%s` | %d | %s |\n", name, status, sentence);
#include <holdfast/err.def>
#undef HF_ERR
}

static void
print_operations(FILE *out)
{
	(void)fputs("| operation | path | capability |\n|---|---|---|\n", out);
	for (size_t i = 0; i < ops_count; i++)
		(void)fprintf(out, "| `%s` | `%s` | %s%s%s |\n", ops[i].name,
		    ops[i].path,
		    (ops[i].flags & OP_UPSERT) != 0 ? "create or " : "",
		    cap_name(ops[i].cap),
		    (ops[i].flags & OP_SUDO) != 0 ? " and sudo" : "");
}

/* -- Comparing -- */

typedef void print_fn(FILE *out);

static char *
printed_text(print_fn *print)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	print(out);
	assert_int_equal(fclose(out), 0);
	return text;
}

static char *
file_text(const char *path)
{
	char *text = NULL;
	size_t len = 0;
	FILE *in = fopen(path, "re"), *out;

	if (in == NULL)
		fail_msg("%s cannot be read", path);
	out = open_memstream(&text, &len);
	assert_non_null(out);
	for (int c; (c = getc(in)) != EOF;)
		assert_int_not_equal(putc(c, out), EOF);
	assert_int_equal(fclose(in), 0);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void
the_grammar_is_that_of_the_field_tables(void **state)
{
	char *want = printed_text(print_cddl);
	char *have = file_text(TEST_SOURCE_DIR "/docs/holdfast.cddl");

	(void)state;
	if (strcmp(have, want) != 0)
		fail_msg("docs/holdfast.cddl is not what "
			 "'lib_protocol_test --cddl' prints");
	free(have);
	free(want);
}

static void
assert_protocol_has(print_fn *print, const char *what)
{
	char *want = printed_text(print);
	char *have = file_text(TEST_SOURCE_DIR "/docs/protocol.md");

	if (strstr(have, want) == NULL)
		fail_msg("docs/protocol.md lacks the table that "
			 "'lib_protocol_test --%s' prints",
		    what);
	free(have);
	free(want);
}

static void
the_document_lists_the_errors(void **state)
{
	(void)state;
	assert_protocol_has(print_errors, "errors");
}

static void
the_document_lists_the_operations(void **state)
{
	(void)state;
	assert_protocol_has(print_operations, "operations");
}

static int
print_table(const char *which)
{
	static const struct {
		const char *option;
		print_fn *print;
	} tables[] = {
		{ "--cddl", print_cddl },
		{ "--errors", print_errors },
		{ "--operations", print_operations },
	};

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		if (strcmp(which, tables[i].option) == 0) {
			tables[i].print(stdout);
			return 0;
		}
	return 1;
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_grammar_is_that_of_the_field_tables),
		cmocka_unit_test(the_document_lists_the_errors),
		cmocka_unit_test(the_document_lists_the_operations),
	};

	if (argc == 2)
		return print_table(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
