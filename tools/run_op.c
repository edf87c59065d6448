/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "request.h"

static int
call_and_show(const struct tool *tool, const struct request *r)
{
	struct hf_client *client;
	void *out = arena_alloc(r->arena, r->op->out->size);
	int status;

	if (out == NULL)
		return fail_usage("out of memory");
	if ((status = tool_connect(tool, &client)) != STATUS_OK)
		return status;
	status = request_call(tool, client, r, out);
	hf_close(client);
	return status;
}

int
verb_run_op(const struct tool *tool, const struct op *op, int argc, char **argv)
{
	struct request r;
	int status = request_parse(&r, op, argc, argv);

	if (status == STATUS_OK && r.help)
		help_print_verb(&(const struct verb){
		    .words = op->verb, .sentence = op->sentence, .op = op });
	else if (status == STATUS_OK)
		status = call_and_show(tool, &r);
	request_free(&r);
	return status;
}
