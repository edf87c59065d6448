/* SPDX-License-Identifier: Apache-2.0 */
/* holdfast policy test: the operation policy.test, asked in words. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../lib/arena.h"
#include "../lib/bytes.h"
#include "json.h"
#include "option.h"
#include "table.h"
#include "tool.h"

enum { SUBJECTS = 64 };

static const char *const kinds[] = { "uid", "user", "gid", "group", "unit",
	"exe", "cert" };

struct question {
	struct hf_policy_test_in in;
	struct hf_text subjects[SUBJECTS];
	struct hf_pair context[CONTEXT_PAIRS];
	struct arena *arena;
	const char *operation, *name;
};

static int
add_subject(struct question *q, const char *kind, const char *value)
{
	char *text;

	if (value == NULL)
		return fail_usage("--%s takes a value", kind);
	if (q->in.subjects_count == SUBJECTS)
		return fail_usage("more than %d subjects", SUBJECTS);
	if (strcmp(kind, "subject") == 0)
		text = arena_printf(q->arena, "%s", value);
	else
		text = arena_printf(q->arena, "%s:%s", kind, value);
	if (text == NULL)
		return fail_usage("out of memory");
	q->subjects[q->in.subjects_count++] = text_of(text);
	return STATUS_OK;
}

static int
add_context(struct question *q, const char *s)
{
	size_t *count = &q->in.encryption_context_count;

	if (*count == CONTEXT_PAIRS)
		return fail_usage(
		    "more than %d pairs of context", CONTEXT_PAIRS);
	if (!option_pair(s, &q->context[*count]))
		return fail_usage("--context takes NAME=VALUE");
	q->in.encryption_context = q->context;
	(*count)++;
	return STATUS_OK;
}

static bool
is_kind(const char *name)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i], name) == 0)
			return true;
	return strcmp(name, "subject") == 0;
}

static int
take(struct question *q, struct options *o)
{
	if (o->name == NULL && q->operation == NULL)
		q->operation = o->value;
	else if (o->name == NULL && q->name == NULL)
		q->name = o->value;
	else if (option_is(o, "path"))
		q->in.path = text_of(options_value(o));
	else if (option_is(o, "capability"))
		q->in.capability = text_of(options_value(o));
	else if (option_is(o, "context"))
		return add_context(q, options_value(o));
	else if (o->name != NULL && is_kind(o->name))
		return add_subject(q, o->name, options_value(o));
	else
		return fail_usage("'%s' does not belong here; 'holdfast policy "
				  "test --help' shows what does",
		    o->value != NULL && o->name == NULL ? o->value : o->name);
	return STATUS_OK;
}

/* "transit.sign", or the verb of an operation as a person knows it. */
static const char *
operation_name(const char *given)
{
	for (size_t i = 0; i < ops_count; i++)
		if (strcmp(ops[i].verb, given) == 0)
			return ops[i].name;
	return given;
}

static int
parse(struct question *q, int argc, char **argv)
{
	struct options o = { .argc = argc, .argv = argv };
	int status;

	while (options_next(&o))
		if ((status = take(q, &o)) != STATUS_OK)
			return status;
	if (q->in.subjects_count == 0)
		return fail_usage("who? --uid 1001, --unit nginx.service, ...");
	if ((q->operation == NULL) == (q->in.path.ptr == NULL))
		return fail_usage("give either an operation (and a name), or "
				  "--path and --capability");
	q->in.subjects = q->subjects;
	if (q->operation != NULL)
		q->in.operation = text_of(operation_name(q->operation));
	q->in.name = text_of(q->name);
	return STATUS_OK;
}

static int
show(const struct tool *tool, const struct hf_policy_test_out *out)
{
	AUTO_BUFFER json = { 0 };

	if (!tool->json)
		table_print(stdout, &schema_policy_test_out, out);
	else if (json_write(&schema_policy_test_out, out, &json) == HF_OK)
		(void)fwrite(json.ptr, 1, json.len, stdout);
	if (fflush(stdout) != 0 || ferror(stdout))
		return fail_usage("standard output: %s", strerror(errno));
	return out->allowed ? STATUS_OK : STATUS_REFUSED;
}

/* Whatever it is, it does not mean "denied", which is what status 2 says. */
static int
no_answer(const struct question *q, enum hf_err err, const struct hf_why *why)
{
	int status;

	if (err == HF_ERR_UNKNOWN_OP)
		return fail_usage("there is no operation '%s'; 'holdfast help' "
				  "shows the verbs, docs/operations.md the "
				  "operations (transit.sign)",
		    q->operation);
	status = fail_service(err, why);
	return status == STATUS_REFUSED ? STATUS_USAGE : status;
}

static int
ask(const struct tool *tool, const struct question *q)
{
	struct hf_policy_test_out out;
	struct hf_why why = { "" };
	struct hf_client *client;
	enum hf_err err;
	int status = tool_connect(tool, &client);

	if (status != STATUS_OK)
		return status;
	err = hf_policy_test(client, &q->in, &out, &why);
	status = err == HF_OK ? show(tool, &out) : no_answer(q, err, &why);
	hf_close(client);
	return status;
}

int
policy_test_run(const struct tool *tool, int argc, char **argv)
{
	struct question q = { .operation = NULL };
	int status;

	if (arena_new(4096, 1 << 20, &q.arena) != HF_OK)
		return fail_usage("out of memory");
	status = parse(&q, argc, argv);
	if (status == STATUS_OK)
		status = ask(tool, &q);
	arena_free(q.arena);
	return status;
}
