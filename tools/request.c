/* SPDX-License-Identifier: Apache-2.0 */
#include "request.h"

#include <stdio.h>
#include <string.h>

#include "../lib/bytes.h"
#include "../lib/client.h"
#include "../lib/envelope.h"
#include "file.h"
#include "option.h"
#include "progress.h"
#include "result.h"
#include "value.h"

enum { LIST_LIMIT = 10000, TEXTS_MAX = 64 };

const struct field *
field_data(const struct schema *schema)
{
	for (size_t i = 0; i < schema->count; i++)
		if ((schema->fields[i].flags & DATA) != 0)
			return &schema->fields[i];
	return NULL;
}

bool
field_is_positional(const struct op *op, const struct field *f)
{
	if ((f->flags & KEYNAME) != 0)
		return true;
	return (f->flags & (REQUIRED | DATA | HIDDEN)) == REQUIRED &&
	    f->kind != FIELD_LIST && f->kind != FIELD_TEXTS &&
	    f->kind != FIELD_PAIRS && field_data(op->in) == NULL;
}

bool
field_is_option(const struct op *op, const struct field *f)
{
	(void)op;
	return (f->flags & (KEYNAME | DATA | HIDDEN | SECRET)) == 0 &&
	    f->kind != FIELD_LIST;
}

void
field_option_name(const struct field *f, char out[64])
{
	const char *name = f->option != NULL ? f->option : f->name;
	size_t i = 0;

	for (; i < 63 && name[i] != '\0'; i++)
		out[i] = name[i] == '_' ? '-' : name[i];
	out[i] = '\0';
}

static const struct field *
field_named(const struct schema *schema, const char *name)
{
	for (size_t i = 0; i < schema->count; i++)
		if (strcmp(schema->fields[i].name, name) == 0)
			return &schema->fields[i];
	return NULL;
}

/* Binary or text, which the command line decides; other formats are options. */
static const struct field *
format_field(const struct op *op)
{
	const struct field *f = field_named(op->in, "format");

	return f != NULL && (f->flags & HIDDEN) != 0 ? f : NULL;
}

bool
op_has_format(const struct op *op)
{
	return format_field(op) != NULL;
}

static void *
member(struct request *r, const struct field *f)
{
	return (uint8_t *)r->in + f->offset;
}

static bool
parse_uint(const char *s, uint64_t *out)
{
	uint64_t v = 0;

	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++) {
		if (*s < '0' || *s > '9' || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return false;
	}
	*out = v;
	return true;
}

static int
parse_yes(const char *s)
{
	if (strcmp(s, "yes") == 0 || strcmp(s, "true") == 0)
		return 1;
	if (strcmp(s, "no") == 0 || strcmp(s, "false") == 0)
		return 0;
	return -1;
}

/* Text forms are often kept with a newline at the end, which is not theirs. */
static struct hf_bytes
without_newline(struct hf_bytes b)
{
	if (!sealed_is_text(b))
		return b;
	if (b.len > 0 && b.ptr[b.len - 1] == '\n')
		b.len--;
	if (b.len > 0 && b.ptr[b.len - 1] == '\r')
		b.len--;
	return b;
}

/* "PREFIX:vN:..." */
static bool
looks_sealed(const char *s)
{
	const char *p = strstr(s, ":v");

	if (p == NULL || p == s)
		return false;
	p += 2;
	if (*p < '0' || *p > '9')
		return false;
	return p[strspn(p, "0123456789")] == ':';
}

/*
 * The value of a bytes option: @FILE, or the text itself. A signature is
 * itself when it looks like one, else a file.
 */
static int
set_bytes(struct request *r, const struct field *f, const char *s)
{
	bool sealed = (f->flags & SEALED) != 0;
	struct hf_bytes *at = member(r, f);
	struct buffer *file;
	int status;

	if (s[0] != '@' && (!sealed || looks_sealed(s))) {
		*at = bytes_of(s, strlen(s));
		return STATUS_OK;
	}
	if (r->files_count == sizeof(r->files) / sizeof(r->files[0]))
		return fail_usage("too many files");
	file = &r->files[r->files_count++];
	status = file_read(s[0] == '@' ? s + 1 : s, (size_t)f->max + 2, file);
	if (status != STATUS_OK)
		return status;
	/* An empty file has no memory, and NULL would mean absent. */
	*at = file->len == 0 ? bytes_of("", 0) : buffer_view(file);
	if (sealed)
		*at = without_newline(*at);
	return STATUS_OK;
}

static int
add_text(struct request *r, const struct field *f, const char *s)
{
	void **items = member(r, f);
	size_t *count = (size_t *)(void *)((uint8_t *)r->in + f->count_offset);

	if (*items == NULL)
		*items =
		    arena_array(r->arena, TEXTS_MAX, sizeof(struct hf_text));
	if (*items == NULL || *count == TEXTS_MAX)
		return fail_usage("too many values for %s", f->name);
	((struct hf_text *)*items)[(*count)++] = text_of(s);
	return STATUS_OK;
}

static int bad_value(const struct field *f, const char *s, const char *wanted);

/* Nothing at all is the empty context, which is not the same as none. */
static int
add_pair(struct request *r, const struct field *f, const char *s)
{
	void **items = member(r, f);
	size_t *count = (size_t *)(void *)((uint8_t *)r->in + f->count_offset);
	struct hf_pair pair;

	if (*items == NULL)
		*items = arena_array(
		    r->arena, CONTEXT_PAIRS, sizeof(struct hf_pair));
	if (*items == NULL || *count == CONTEXT_PAIRS)
		return fail_usage("too many values for %s", f->name);
	if (*s == '\0' && *count == 0)
		return STATUS_OK;
	if (!option_pair(s, &pair))
		return bad_value(f, s, "NAME=VALUE");
	((struct hf_pair *)*items)[(*count)++] = pair;
	return STATUS_OK;
}

static int
bad_value(const struct field *f, const char *s, const char *wanted)
{
	char name[64];

	field_option_name(f, name);
	return fail_usage("%s: '%s' is not %s", name, s, wanted);
}

static int
set_number(struct request *r, const struct field *f, const char *s)
{
	uint64_t v;

	if (!parse_uint(s, &v))
		return bad_value(f, s, "a number");
	if (f->kind == FIELD_UINT)
		*(uint64_t *)member(r, f) = v;
	else
		*(struct hf_uint *)member(r, f) = (struct hf_uint){ v, true };
	return STATUS_OK;
}

static int
set_yes(struct request *r, const struct field *f, const char *s)
{
	int yes = parse_yes(s);

	if (yes < 0)
		return bad_value(f, s, "yes or no");
	if (f->kind == FIELD_BOOL)
		*(bool *)member(r, f) = yes != 0;
	else
		*(enum hf_tri *)member(r, f) = yes != 0 ? HF_TRUE : HF_FALSE;
	return STATUS_OK;
}

/* Bounds, names and allowed words are the service's to check. */
static int
set_field(struct request *r, const struct field *f, const char *s)
{
	r->given |= UINT64_C(1) << (f - r->op->in->fields);
	switch (f->kind) {
	case FIELD_BYTES:
		return set_bytes(r, f, s);
	case FIELD_TEXT:
		*(struct hf_text *)member(r, f) = text_of(s);
		return STATUS_OK;
	case FIELD_UINT:
	case FIELD_OPT:
		return set_number(r, f, s);
	case FIELD_BOOL:
	case FIELD_TRI:
		return set_yes(r, f, s);
	case FIELD_TEXTS:
		return add_text(r, f, s);
	case FIELD_PAIRS:
		return add_pair(r, f, s);
	case FIELD_LIST:
		break;
	}
	return fail_usage("%s cannot be given here", f->name);
}

static const struct field *
option_field(const struct op *op, const char *name)
{
	char spelled[64];

	for (size_t i = 0; i < op->in->count; i++) {
		const struct field *f = &op->in->fields[i];

		field_option_name(f, spelled);
		if (field_is_option(op, f) && strcmp(spelled, name) == 0)
			return f;
	}
	return NULL;
}

static int
set_encoding(struct request *r, const char *s)
{
	static const char *const words[] = { [ENCODING_RAW] = "raw",
		[ENCODING_HEX] = "hex",
		[ENCODING_BASE64] = "base64" };

	for (size_t i = ENCODING_RAW; i <= ENCODING_BASE64; i++)
		if (s != NULL && strcmp(s, words[i]) == 0) {
			r->encoding = (enum encoding)i;
			return STATUS_OK;
		}
	return fail_usage("--encoding takes raw, hex or base64");
}

/* What operations that change state take besides their fields. */
static int
parse_request_option(struct request *r, struct options *o, bool *taken)
{
	*taken = true;
	if (option_is(o, "dry-run") && op_may_be_dry(r->op)) {
		r->dry_run = true;
		return o->value == NULL ? STATUS_OK
					: fail_usage("--dry-run takes nothing");
	}
	if (option_is(o, "idempotency-key") && (r->op->flags & OP_ONCE) != 0) {
		r->idempotency_key = options_value(o);
		if (r->idempotency_key == NULL || *r->idempotency_key == '\0' ||
		    strlen(r->idempotency_key) > IDEMPOTENCY_KEY_MAX)
			return fail_usage(
			    "--idempotency-key takes 1 to %d characters",
			    IDEMPOTENCY_KEY_MAX);
		return STATUS_OK;
	}
	*taken = false;
	return STATUS_OK;
}

static int
parse_option(struct request *r, struct options *o)
{
	const struct field *f = option_field(r->op, o->name);
	const char *value = o->value;
	bool gives_data = field_data(r->op->out) != NULL;
	bool taken;
	int status = parse_request_option(r, o, &taken);

	if (status != STATUS_OK || taken)
		return status;
	if (option_is(o, "help") || option_is(o, "h")) {
		r->help = true;
		return STATUS_OK;
	}
	if (option_is(o, "binary") && op_has_format(r->op) && value == NULL) {
		r->binary = true;
		return STATUS_OK;
	}
	if (option_is(o, "out") && gives_data) {
		r->out = options_value(o);
		return r->out != NULL ? STATUS_OK
				      : fail_usage("--out takes a file");
	}
	if (option_is(o, "encoding") && gives_data)
		return set_encoding(r, options_value(o));
	if (f == NULL)
		return fail_usage("'%s' has no option --%s; "
				  "'holdfast %s --help' shows them",
		    r->op->verb, o->name, r->op->verb);
	if (f->kind == FIELD_BOOL)
		return set_field(r, f, value == NULL ? "yes" : value);
	value = options_value(o);
	if (value == NULL)
		return fail_usage("--%s takes a value", o->name);
	return set_field(r, f, value);
}

/* The next positional field that was not given yet. */
static const struct field *
next_positional(const struct request *r)
{
	for (size_t i = 0; i < r->op->in->count; i++) {
		const struct field *f = &r->op->in->fields[i];

		if (field_is_positional(r->op, f) &&
		    (r->given & UINT64_C(1) << i) == 0)
			return f;
	}
	return NULL;
}

static int
parse_arguments(struct request *r, int argc, char **argv, const char **file)
{
	struct options o = { .argc = argc, .argv = argv };
	int status;

	while (options_next(&o)) {
		const struct field *f = next_positional(r);

		if (o.name != NULL)
			status = parse_option(r, &o);
		else if (f != NULL)
			status = set_field(r, f, o.value);
		else if (field_data(r->op->in) != NULL && *file == NULL) {
			*file = o.value;
			status = STATUS_OK;
		} else
			status = fail_usage(
			    "'%s' is one argument too many; "
			    "'holdfast %s --help' shows what it takes",
			    o.value, r->op->verb);
		if (status != STATUS_OK || r->help)
			return status;
	}
	return STATUS_OK;
}

static int
check_complete(const struct request *r)
{
	const struct field *f = next_positional(r);
	char name[64];

	if (f == NULL)
		return STATUS_OK;
	field_option_name(f, name);
	return fail_usage(
	    "'holdfast %s' needs the %s: %s", r->op->verb, name, f->doc);
}

static int
read_data(struct request *r, const char *file)
{
	const struct field *f = field_data(r->op->in);
	struct hf_bytes *at;
	int status;

	if (f == NULL)
		return STATUS_OK;
	status = file_read(file == NULL ? "-" : file, (size_t)f->max, &r->data);
	if (status != STATUS_OK)
		return status;
	at = member(r, f);
	*at = r->data.len == 0 ? bytes_of("", 0) : buffer_view(&r->data);
	if ((f->flags & SEALED) != 0)
		*at = without_newline(*at);
	return STATUS_OK;
}

/* What a command line wants where nothing was said. */
static void
set_defaults(struct request *r)
{
	const struct field *format = format_field(r->op);
	const struct field *limit = field_named(r->op->in, "limit");

	if (format != NULL && !r->binary)
		*(struct hf_text *)member(r, format) = TEXT("text");
	if (limit != NULL && limit->kind == FIELD_UINT &&
	    *(uint64_t *)member(r, limit) == 0)
		*(uint64_t *)member(r, limit) = LIST_LIMIT;
}

int
request_parse(struct request *r, const struct op *op, int argc, char **argv)
{
	const char *file = NULL;
	int status;

	*r = (struct request){ .op = op };
	if (arena_new(4096, 1 << 20, &r->arena) != HF_OK ||
	    (r->in = arena_alloc(r->arena, op->in->size)) == NULL)
		return fail_usage("out of memory");
	status = parse_arguments(r, argc, argv, &file);
	if (status != STATUS_OK || r->help)
		return status;
	if ((status = check_complete(r)) != STATUS_OK)
		return status;
	set_defaults(r);
	return read_data(r, file);
}

int
request_call(const struct tool *tool, struct hf_client *client,
    const struct request *r, void *out)
{
	struct hf_why why = { "" };
	enum hf_err err;

	hf_set_dry_run(client, r->dry_run);
	if (r->idempotency_key != NULL) {
		err =
		    hf_set_idempotency_key(client, text_of(r->idempotency_key));
		if (err != HF_OK)
			return fail_service(err, NULL);
	}
	progress_start("waiting for the service");
	err = client_call(client, r->op, r->in, out, &why);
	progress_stop();
	if (err == HF_ERR_DRY_RUN)
		return result_show_dry_run(tool, hf_would_change(client));
	return err == HF_OK ? result_show(tool, r, out)
			    : fail_service(err, &why);
}

void
request_free(struct request *r)
{
	buffer_free(&r->data);
	for (size_t i = 0; i < r->files_count; i++)
		buffer_free(&r->files[i]);
	arena_free(r->arena);
}
