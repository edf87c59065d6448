/* SPDX-License-Identifier: Apache-2.0 */
#include "result.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/bytes.h"
#include "clean.h"
#include "file.h"
#include "json.h"
#include "table.h"
#include "value.h"

/* The one DATA field that came back; NULL when it is none or several. */
static const struct field *
only_data(const struct schema *schema, const void *out)
{
	const struct field *only = NULL;

	for (size_t i = 0; i < schema->count; i++) {
		const struct field *f = &schema->fields[i];

		if ((f->flags & DATA) == 0 || !field_present(f, out))
			continue;
		if (only != NULL)
			return NULL;
		only = f;
	}
	return only;
}

/* Whether a terminal would show it as the text that it is. */
static bool
is_printable(struct hf_bytes b)
{
	struct hf_text t = { (const char *)b.ptr, b.len };

	for (size_t i = 0; i < t.len; i++)
		if (t.ptr[i] != '\n' && t.ptr[i] != '\t' &&
		    clean_control(t, i) > 0)
			return false;
	return utf8_valid(t);
}

static enum hf_err
encode(enum encoding encoding, struct hf_bytes data, struct buffer *out)
{
	size_t base64 = base64_length(BASE64_STD, data.len);
	bool hex = encoding == ENCODING_HEX;
	size_t len = hex ? 2 * data.len : base64;
	enum hf_err err = buffer_reserve(out, len + 2);

	if (err != HF_OK)
		return err;
	if (hex)
		hex_encode(data.ptr, data.len, (char *)out->ptr);
	else
		base64_encode(BASE64_STD, data, (char *)out->ptr);
	out->ptr[len] = '\n';
	out->len = len + 1;
	return HF_OK;
}

static int
show_data(const struct request *r, const struct field *f, struct hf_bytes data)
{
	bool screen = (r->out == NULL || strcmp(r->out, "-") == 0) &&
	    isatty(STDOUT_FILENO);
	bool text = (f->flags & SEALED) != 0 && sealed_is_text(data);
	bool secret = (f->flags & SECRET) != 0;
	enum encoding encoding = r->encoding;
	AUTO_BUFFER copy = { 0 };
	enum hf_err err;

	if (encoding == ENCODING_AUTO && screen && !is_printable(data)) {
		(void)fputs("holdfast: not text, so shown in hexadecimal; "
			    "--out FILE or a pipe gets the bytes\n",
		    stderr);
		encoding = ENCODING_HEX;
	}
	if (encoding == ENCODING_HEX || encoding == ENCODING_BASE64)
		err = encode(encoding, data, &copy);
	else if (text && encoding == ENCODING_AUTO)
		err = (err = buffer_add(&copy, data)) != HF_OK
		    ? err
		    : buffer_add(&copy, bytes_of("\n", 1));
	else
		return file_write(r->out, data, secret);
	if (err != HF_OK)
		return fail_usage("out of memory");
	return file_write(r->out, buffer_view(&copy), secret);
}

static int
show_json(const struct request *r, const void *out)
{
	AUTO_BUFFER text = { 0 };
	enum hf_err err = json_write(r->op->out, out, &text);

	if (err != HF_OK)
		return fail_usage("out of memory");
	return file_write(r->out, buffer_view(&text), false);
}

static int
show_table(const struct request *r, const void *out)
{
	table_print(stdout, r->op->out, out);
	if (fflush(stdout) != 0 || ferror(stdout))
		return fail_usage("standard output: %s", strerror(errno));
	return STATUS_OK;
}

/* A list that is as long as was asked for may go on. */
static void
note_more(const struct request *r, const void *out)
{
	const struct hf_list_in *in = r->in;
	const struct field *f = r->op->out->fields;

	if (r->op->in != &schema_list_in || r->op->out->count != 1 ||
	    field_count(f, out) < in->limit)
		return;
	(void)fprintf(stderr,
	    "holdfast: there may be more; --after LAST "
	    "shows what follows\n");
}

static int
show_verdict(const struct tool *tool, const struct request *r, const void *out)
{
	const struct hf_verify_out *verdict = out;
	bool valid = verdict->result.valid == HF_TRUE;
	int status;

	if (tool->json)
		status = show_json(r, out);
	else
		status =
		    puts(valid ? "valid" : "invalid") < 0 || fflush(stdout) != 0
		    ? fail_usage("standard output: %s", strerror(errno))
		    : STATUS_OK;
	return status != STATUS_OK ? status
	    : valid                ? STATUS_OK
				   : STATUS_REFUSED;
}

int
result_show_dry_run(const struct tool *tool, const struct hf_dry_run *dry)
{
	AUTO_BUFFER text = { 0 };

	if (tool->json) {
		if (json_write(&schema_dry_run, dry, &text) != HF_OK)
			return fail_usage("out of memory");
		return file_write(NULL, buffer_view(&text), false);
	}
	if (dry->changes_count == 0)
		(void)puts("nothing would be changed");
	else
		table_print(stdout, &schema_dry_run, dry);
	(void)fputs("holdfast: a dry run: nothing was changed\n", stderr);
	if (fflush(stdout) != 0 || ferror(stdout))
		return fail_usage("standard output: %s", strerror(errno));
	return STATUS_OK;
}

int
result_show(const struct tool *tool, const struct request *r, const void *out)
{
	const struct schema *schema = r->op->out;
	const struct field *data = only_data(schema, out);

	if (r->op->id == OP_transit_verify)
		return show_verdict(tool, r, out);
	note_more(r, out);
	if (tool->json)
		return show_json(r, out);
	if (data != NULL)
		return show_data(r, data, value_bytes(data, out));
	return schema->count == 0 ? STATUS_OK : show_table(r, out);
}
