/* SPDX-License-Identifier: Apache-2.0 */
/* holdfast key retire-report: of one key, or of all. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/buffer.h"
#include "../lib/bytes.h"
#include "../lib/name.h"
#include "json.h"
#include "option.h"
#include "table.h"
#include "tool.h"

enum { PAGE = 500 };

struct report {
	const struct tool *tool;
	struct hf_client *client;
	struct hf_retire_report_in in;
	bool all;
	unsigned shown;
	struct buffer json;
};

/* "30d", "12h", "90m", or seconds. */
static int
take_time(struct report *r, const char *s)
{
	static const struct {
		char unit;
		uint64_t seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
	char *end = NULL;
	unsigned long long n = 0;
	uint64_t factor = 1;

	if (s != NULL && *s >= '0' && *s <= '9')
		n = strtoull(s, &end, 10);
	for (size_t i = 0; end != NULL && i < 4; i++)
		if (*end == units[i].unit && end[1] == '\0') {
			factor = units[i].seconds;
			end++;
			break;
		}
	if (end == NULL || *end != '\0' || n > 100000000)
		return fail_usage("--older-than takes seconds, or a number "
				  "with s, m, h or d behind");
	r->in.older_than = (struct hf_uint){ n * factor, true };
	return STATUS_OK;
}

static int
parse(struct report *r, int argc, char **argv)
{
	struct options o = { .argc = argc, .argv = argv };
	int status = STATUS_OK;

	while (status == STATUS_OK && options_next(&o))
		if (option_is(&o, "all"))
			r->all = true;
		else if (option_is(&o, "older-than"))
			status = take_time(r, options_value(&o));
		else if (o.name == NULL && r->in.name.ptr == NULL)
			r->in.name = text_of(o.value);
		else
			status = fail_usage("'%s' does not belong here; "
					    "'holdfast key retire-report "
					    "--help' shows what does",
			    o.name == NULL ? o.value : o.name);
	if (status == STATUS_OK && (r->in.name.ptr == NULL) == !r->all)
		status = fail_usage("which key? NAME, or --all");
	return status;
}

static int
out_of_memory(void)
{
	return fail_usage("out of memory");
}

/* A list of all in JSON has commas between; one line an object without. */
static int
add_json(struct report *r, const struct hf_retire_report_out *out)
{
	AUTO_BUFFER one = { 0 };
	struct hf_bytes text;

	if (json_write(&schema_retire_report_out, out, &one) != HF_OK)
		return out_of_memory();
	text = buffer_view(&one);
	if (text.len > 0 && text.ptr[text.len - 1] == '\n')
		text.len--;
	if ((r->shown > 0 && buffer_add(&r->json, bytes_of(",", 1)) != HF_OK) ||
	    buffer_add(&r->json, text) != HF_OK)
		return out_of_memory();
	return STATUS_OK;
}

/* A key that went since it was listed is not there, and nothing else. */
static int
report_one(struct report *r, struct hf_text name)
{
	struct hf_retire_report_out out;
	struct hf_why why = { "" };
	int status = STATUS_OK;
	enum hf_err err;

	r->in.name = name;
	err = hf_key_retire_report(r->client, &r->in, &out, &why);
	if (err == HF_ERR_KEY_NOT_FOUND && r->all)
		return STATUS_OK;
	if (err != HF_OK)
		return fail_service(err, &why);
	if (r->tool->json) {
		status = add_json(r, &out);
	} else {
		if (r->shown > 0)
			(void)putchar('\n');
		table_print(stdout, &schema_retire_report_out, &out);
	}
	r->shown++;
	return status;
}

/* The names of a page, which the next call to the service forgets. */
struct page {
	char names[PAGE][NAME_SIZE];
	size_t count;
};

static int
read_page(struct report *r, const char *after, struct page *page)
{
	struct hf_list_in in = { .limit = PAGE };
	struct hf_names_out out;
	struct hf_why why = { "" };
	enum hf_err err;

	if (*after != '\0')
		in.after = text_of(after);
	if ((err = hf_key_list(r->client, &in, &out, &why)) != HF_OK)
		return fail_service(err, &why);
	page->count = out.keys_count < PAGE ? out.keys_count : PAGE;
	for (size_t i = 0; i < page->count; i++)
		(void)snprintf(page->names[i], NAME_SIZE, "%.*s",
		    (int)out.keys[i].len, out.keys[i].ptr);
	return STATUS_OK;
}

static int
report_all(struct report *r)
{
	struct page *page = calloc(1, sizeof(*page));
	char after[NAME_SIZE] = "";
	int status = STATUS_OK;

	if (page == NULL)
		return out_of_memory();
	do {
		status = read_page(r, after, page);
		for (size_t i = 0; i < page->count && status == STATUS_OK; i++)
			status = report_one(r, text_of(page->names[i]));
		if (page->count > 0)
			memcpy(
			    after, page->names[page->count - 1], sizeof(after));
	} while (status == STATUS_OK && page->count == PAGE);
	free(page);
	return status;
}

static int
finish(const struct report *r)
{
	if (r->tool->json) {
		(void)fputs(r->all ? "{\"keys\":[" : "", stdout);
		(void)fwrite(r->json.ptr, 1, r->json.len, stdout);
		(void)puts(r->all ? "]}" : "");
	}
	if (fflush(stdout) != 0 || ferror(stdout))
		return fail_usage("standard output: %s", strerror(errno));
	return STATUS_OK;
}

int
retire_report_run(const struct tool *tool, int argc, char **argv)
{
	struct report r = { .tool = tool };
	int status = parse(&r, argc, argv);

	if (status != STATUS_OK ||
	    (status = tool_connect(tool, &r.client)) != STATUS_OK)
		return status;
	status = r.all ? report_all(&r) : report_one(&r, r.in.name);
	if (status == STATUS_OK)
		status = finish(&r);
	buffer_free(&r.json);
	hf_close(r.client);
	return status;
}
