/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/bytes.h"
#include "clean.h"
#include "value.h"

static void
pad(FILE *out, int n)
{
	for (; n > 0; n--)
		(void)fputc(' ', out);
}

static void
print_time(FILE *out, uint64_t v)
{
	time_t t = (time_t)v;
	struct tm tm;
	char text[40];

	if (gmtime_r(&t, &tm) != NULL &&
	    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm) > 0)
		(void)fputs(text, out);
	else
		(void)fprintf(out, "%" PRIu64, v);
}

static void
print_seconds(FILE *out, uint64_t v)
{
	if (v >= 86400)
		(void)fprintf(out, "%" PRIu64 "d ", v / 86400);
	if (v >= 3600)
		(void)fprintf(out, "%" PRIu64 "h ", v / 3600 % 24);
	if (v >= 60)
		(void)fprintf(out, "%" PRIu64 "m ", v / 60 % 60);
	(void)fprintf(out, "%" PRIu64 "s", v % 60);
}

static void
print_number(FILE *out, const struct field *f, uint64_t v)
{
	if ((f->flags & TIME) != 0 && v != 0)
		print_time(out, v);
	else if ((f->flags & TIME) != 0)
		(void)fputc('-', out);
	else if ((f->flags & SECONDS) != 0)
		print_seconds(out, v);
	else
		(void)fprintf(out, "%" PRIu64, v);
}

/* Sealed text as it is, a data key as base64 would be pasted, others in hex. */
static void
print_bytes(FILE *out, const struct field *f, struct hf_bytes b)
{
	bool base64 = (f->flags & DATA) != 0;
	size_t len = base64 ? base64_length(BASE64_STD, b.len) : 2 * b.len;
	char *text;

	if ((f->flags & SEALED) != 0 && sealed_is_text(b)) {
		clean_print(
		    out, (struct hf_text){ (const char *)b.ptr, b.len }, false);
		return;
	}
	text = malloc(len + 1);
	if (text == NULL)
		return;
	if (base64)
		base64_encode(BASE64_STD, b, text);
	else
		hex_encode(b.ptr, b.len, text);
	(void)fwrite(text, 1, len, out);
	bytes_wipe(text, len);
	free(text);
}

static void
print_texts(
    FILE *out, const struct field *f, const void *base, const char *between)
{
	const struct hf_text *items = (const void *)value_items(f, base);
	size_t count = field_count(f, base);

	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			(void)fputs(between, out);
		clean_print(out, items[i], false);
	}
}

static void
print_pairs(FILE *out, const struct field *f, const void *base)
{
	const struct hf_pair *pairs = (const void *)value_items(f, base);
	size_t count = field_count(f, base);

	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			(void)fputs(", ", out);
		clean_print(out, pairs[i].name, false);
		(void)fputc('=', out);
		clean_print(out, pairs[i].value, false);
	}
}

/* A line each, below each other. */
static void
print_lines(FILE *out, const struct field *f, const void *base, int indent)
{
	const struct hf_text *items = (const void *)value_items(f, base);
	size_t count = field_count(f, base);

	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			pad(out, indent);
		clean_print(out, items[i], false);
		(void)fputc('\n', out);
	}
	if (count == 0)
		(void)fputc('\n', out);
}

static void
print_value(FILE *out, const struct field *f, const void *base)
{
	const void *at = field_at(f, base);

	switch (f->kind) {
	case FIELD_BYTES:
		print_bytes(out, f, *(const struct hf_bytes *)at);
		break;
	case FIELD_TEXT:
		clean_print(out, *(const struct hf_text *)at, false);
		break;
	case FIELD_UINT:
		print_number(out, f, *(const uint64_t *)at);
		break;
	case FIELD_OPT:
		print_number(out, f, ((const struct hf_uint *)at)->value);
		break;
	case FIELD_BOOL:
		(void)fputs(*(const bool *)at ? "yes" : "no", out);
		break;
	case FIELD_TRI:
		(void)fputs(
		    *(const enum hf_tri *)at == HF_TRUE ? "yes" : "no", out);
		break;
	case FIELD_TEXTS:
		print_texts(out, f, base, ", ");
		break;
	case FIELD_PAIRS:
		print_pairs(out, f, base);
		break;
	case FIELD_LIST:
		(void)fprintf(out, "%zu", field_count(f, base));
		break;
	}
}

/* A value as text of its own, to know how wide it is. NULL: out of memory. */
static char *
cell_text(const struct field *f, const void *base)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (out == NULL)
		return NULL;
	if (field_present(f, base))
		print_value(out, f, base);
	else
		(void)fputc('-', out);
	(void)fclose(out);
	return text;
}

/* Characters, for columns: continuation bytes of UTF-8 take no room. */
static int
text_width(const char *s)
{
	int n = 0;

	for (; *s != '\0'; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void
print_label(FILE *out, const char *name, bool upper)
{
	for (; *name != '\0'; name++) {
		char c = *name == '_' ? ' ' : *name;

		(void)fputc(
		    upper && c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c, out);
	}
}

/* A text of several lines, as a PEM, goes below the table. */
static bool
is_block(const struct field *f, const void *base)
{
	const struct hf_text *t = field_at(f, base);

	return f->kind == FIELD_TEXT && t->len > 0 &&
	    memchr(t->ptr, '\n', t->len) != NULL;
}

/* How wide a column is: -1 where no row has anything to show in it. */
static int
column_width(
    const struct field *f, const uint8_t *items, size_t size, size_t count)
{
	int width = -1;

	for (size_t i = 0; i < count; i++) {
		const uint8_t *row = items + i * size;
		char *text;

		if (!field_present(f, row) || is_block(f, row))
			continue;
		text = cell_text(f, row);
		if (text != NULL && text_width(text) > width)
			width = text_width(text);
		free(text);
	}
	return width < 0 || width > text_width(f->name) ? width
							: text_width(f->name);
}

static void
print_row(
    FILE *out, const struct schema *item, const uint8_t *row, const int *widths)
{
	int gap = 0;

	for (size_t i = 0; i < item->count; i++) {
		const struct field *f = &item->fields[i];
		char *text;

		if (widths[i] < 0)
			continue;
		pad(out, gap);
		if (row == NULL) {
			print_label(out, f->name, true);
			gap = widths[i] - text_width(f->name) + 2;
			continue;
		}
		text = cell_text(f, row);
		if (text == NULL)
			continue;
		(void)fputs(text, out);
		gap = widths[i] - text_width(text) + 2;
		free(text);
	}
	(void)fputc('\n', out);
}

static void
print_blocks(FILE *out, const struct schema *item, const uint8_t *row)
{
	for (size_t i = 0; i < item->count; i++) {
		const struct field *f = &item->fields[i];
		const struct hf_text *t = field_at(f, row);
		char *first;

		if (!is_block(f, row))
			continue;
		first = cell_text(&item->fields[0], row);
		(void)fputc('\n', out);
		print_label(out, f->name, false);
		(void)fprintf(out, " of %s %s:\n", item->fields[0].name,
		    first == NULL ? "?" : first);
		free(first);
		clean_print(out, *t, true);
		if (t->ptr[t->len - 1] != '\n')
			(void)fputc('\n', out);
	}
}

static void
print_list(FILE *out, const struct field *f, const void *base)
{
	const uint8_t *items = value_items(f, base);
	size_t count = field_count(f, base);
	int widths[64];

	for (size_t i = 0; i < f->item->count; i++)
		widths[i] = column_width(
		    &f->item->fields[i], items, f->item->size, count);
	if (count > 0)
		print_row(out, f->item, NULL, widths);
	for (size_t i = 0; i < count; i++)
		print_row(out, f->item, items + i * f->item->size, widths);
	for (size_t i = 0; i < count; i++)
		print_blocks(out, f->item, items + i * f->item->size);
}

static int
label_width(const struct schema *schema, const void *value)
{
	int width = 0;

	for (size_t i = 0; i < schema->count; i++) {
		const struct field *f = &schema->fields[i];

		if (field_present(f, value) && f->kind != FIELD_LIST &&
		    text_width(f->name) > width)
			width = text_width(f->name);
	}
	return width;
}

void
table_print(FILE *out, const struct schema *schema, const void *value)
{
	int width = label_width(schema, value);
	bool alone = schema->count == 1;

	for (size_t i = 0; i < schema->count; i++) {
		const struct field *f = &schema->fields[i];

		if (f->kind == FIELD_LIST || !field_present(f, value))
			continue;
		if (alone && f->kind == FIELD_TEXTS) {
			print_texts(out, f, value, "\n");
			if (field_count(f, value) > 0)
				(void)fputc('\n', out);
			continue;
		}
		print_label(out, f->name, false);
		pad(out, width - text_width(f->name) + 2);
		if (f->kind == FIELD_TEXTS) {
			print_lines(out, f, value, width + 2);
			continue;
		}
		if (is_block(f, value)) {
			(void)fputc('\n', out);
			clean_print(out,
			    *(const struct hf_text *)field_at(f, value), true);
		} else {
			print_value(out, f, value);
			(void)fputc('\n', out);
		}
	}
	for (size_t i = 0; i < schema->count; i++) {
		const struct field *f = &schema->fields[i];

		if (f->kind != FIELD_LIST || !field_present(f, value))
			continue;
		if (!alone && field_count(f, value) > 0)
			(void)fputc('\n', out);
		print_list(out, f, value);
	}
}
