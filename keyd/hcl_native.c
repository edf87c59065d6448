/* SPDX-License-Identifier: Apache-2.0 */
#include "hcl_parse.h"

#include <string.h>

#include "../lib/bytes.h"

/*
 * HCL's own syntax:
 *
 *	file    = { member [ "," ] }
 *	member  = key "=" value | key { label } "{" file "}"
 *	value   = string | heredoc | number | "true" | "false" | list | object
 *	list    = "[" [ value { "," value } [ "," ] ] "]"
 *
 * White space, line ends included, only separates.
 */
static enum hf_err parse_value(struct hcl_parser *p, struct hcl_node **out);
static enum hf_err parse_members(struct hcl_parser *p, struct hcl_node *object);

static enum hf_err
skip_block_comment(struct hcl_parser *p)
{
	unsigned begin = p->line;

	for (p->at += 2; p->end - p->at >= 2; p->at++) {
		if (p->at[0] == '*' && p->at[1] == '/') {
			p->at += 2;
			return HF_OK;
		}
		if (*p->at == '\n')
			p->line++;
	}
	p->line = begin;
	return hcl_refuse(p,
	    "the comment that begins here has no end; */ "
	    "expected");
}

static void
skip_line(struct hcl_parser *p)
{
	while (p->at < p->end && *p->at != '\n')
		p->at++;
}

static enum hf_err
skip_space(struct hcl_parser *p)
{
	enum hf_err err;

	for (;;) {
		if (p->at == p->end)
			return HF_OK;
		if (*p->at == '\n') {
			p->line++;
			p->at++;
		} else if (*p->at == ' ' || *p->at == '\t' || *p->at == '\r') {
			p->at++;
		} else if (*p->at == '#') {
			skip_line(p);
		} else if (p->end - p->at >= 2 && memcmp(p->at, "//", 2) == 0) {
			skip_line(p);
		} else if (p->end - p->at >= 2 && memcmp(p->at, "/*", 2) == 0) {
			if ((err = skip_block_comment(p)) != HF_OK)
				return err;
		} else {
			return HF_OK;
		}
	}
}

static const struct hcl_quoting quoting = {
	.letters = "abfnrtv\\\"",
	.means = "\a\b\f\n\r\t\v\\\"",
	.numbers = true,
	.controls = true,
	.known = "\\n \\t \\\\ \\\" \\xHH \\uHHHH \\UHHHHHHHH",
};

static bool
is_word_start(char c)
{
	char low = (char)(c | 0x20);

	return (low >= 'a' && low <= 'z') || c == '_';
}

static struct hf_text
take_word(struct hcl_parser *p)
{
	const char *start = p->at;

	while (p->at < p->end &&
	    (is_word_start(*p->at) || hcl_digit(*p->at) || *p->at == '-' ||
		*p->at == '.'))
		p->at++;
	return (struct hf_text){ start, (size_t)(p->at - start) };
}

/* The line at p->at without its end, and where the next one begins. */
static struct hf_text
peek_line(const struct hcl_parser *p, const char **next)
{
	const char *nl = memchr(p->at, '\n', (size_t)(p->end - p->at));
	const char *stop = nl == NULL ? p->end : nl;

	*next = nl == NULL ? p->end : nl + 1;
	if (stop > p->at && stop[-1] == '\r')
		stop--;
	return (struct hf_text){ p->at, (size_t)(stop - p->at) };
}

static size_t
indent_of(struct hf_text line)
{
	size_t n = 0;

	while (n < line.len && (line.ptr[n] == ' ' || line.ptr[n] == '\t'))
		n++;
	return n;
}

static bool
is_heredoc_end(struct hf_text line, struct hf_text marker)
{
	size_t n = indent_of(line);

	return text_equal(
	    (struct hf_text){ line.ptr + n, line.len - n }, marker);
}

/* The first line of a heredoc's body is at p->at; finds the closing line. */
static bool
find_heredoc_end(
    const struct hcl_parser *p, struct hf_text marker, struct hf_text *closing)
{
	struct hcl_parser q = *p;
	const char *next;

	for (; q.at < q.end; q.at = next) {
		*closing = peek_line(&q, &next);
		if (is_heredoc_end(*closing, marker))
			return true;
	}
	return false;
}

/*
 * With <<-, the white space before the closing marker is taken off every
 * line, if every line begins with it.
 */
static size_t
common_indent(const struct hcl_parser *p, struct hf_text closing)
{
	struct hf_text indent = { closing.ptr, indent_of(closing) };
	struct hcl_parser q = *p;
	const char *next;

	for (; q.at < closing.ptr; q.at = next) {
		struct hf_text line = peek_line(&q, &next);

		if (line.len > 0 && !text_starts(line, indent))
			return 0;
	}
	return indent.len;
}

static enum hf_err
put_heredoc_line(struct hcl_parser *p, size_t strip)
{
	enum hf_err err;
	const char *next;
	struct hf_text line = peek_line(p, &next);
	const char *stop = line.ptr + line.len;

	p->at += strip < line.len ? strip : line.len;
	while (p->at < stop)
		if ((err = hcl_put_plain(p)) != HF_OK)
			return err;
	hcl_text_put(p, "\n", 1);
	p->at = next;
	p->line++;
	return HF_OK;
}

static enum hf_err
parse_heredoc(struct hcl_parser *p, struct hf_text *out)
{
	struct hf_text marker, closing, rest;
	bool indented;
	const char *next;
	enum hf_err err;
	size_t strip;

	p->at += 2; /* << */
	indented = hcl_take(p, '-');
	marker = take_word(p);
	rest = peek_line(p, &next);
	if (marker.len == 0 || rest.len != 0 || next == p->end)
		return hcl_refuse(p,
		    "a heredoc begins with <<WORD or <<-WORD "
		    "and a line end");
	p->at = next;
	if (!find_heredoc_end(p, marker, &closing))
		return hcl_refuse(p,
		    "the heredoc has no end; a line \"%.*s\" "
		    "expected",
		    (int)(marker.len > 40 ? 40 : marker.len), marker.ptr);
	p->line++;
	strip = indented ? common_indent(p, closing) : 0;
	hcl_text_begin(p);
	while (p->at < closing.ptr)
		if ((err = put_heredoc_line(p, strip)) != HF_OK)
			return err;
	*out = hcl_text_end(p);
	p->at = closing.ptr + closing.len;
	return HF_OK;
}

static enum hf_err
parse_number(struct hcl_parser *p, struct hcl_node *node)
{
	struct hf_text all = { p->at, 0 };

	while (p->at < p->end &&
	    (hcl_digit(*p->at) || is_word_start(*p->at) || *p->at == '.' ||
		*p->at == '-' || *p->at == '+'))
		p->at++;
	all.len = (size_t)(p->at - all.ptr);
	/* Base 0: 0x1f is hexadecimal and 0660 octal, as in HCL. */
	return hcl_number(p, node, all, 0);
}

static enum hf_err
parse_word_value(struct hcl_parser *p, struct hcl_node *node)
{
	struct hf_text word = take_word(p);

	if (!text_is(word, "true") && !text_is(word, "false"))
		return hcl_refuse(p,
		    "\"%.*s\" needs quotes: a value is a "
		    "string, number, true, false, list or block",
		    (int)(word.len > 40 ? 40 : word.len), word.ptr);
	node->truth = word.len == 4;
	hcl_text_begin(p);
	hcl_text_put(p, word.ptr, word.len);
	node->text = hcl_text_end(p);
	return HF_OK;
}

static enum hf_err
parse_list_items(struct hcl_parser *p, struct hcl_node *list)
{
	struct hcl_node *item;
	char buf[24];
	enum hf_err err;

	for (;;) {
		if ((err = skip_space(p)) != HF_OK)
			return err;
		if (hcl_take(p, ']'))
			return HF_OK;
		if ((err = parse_value(p, &item)) != HF_OK ||
		    (err = hcl_node_add(p, list, item)) != HF_OK ||
		    (err = skip_space(p)) != HF_OK)
			return err;
		if (!hcl_take(p, ',') && !hcl_at(p, ']'))
			return hcl_refuse(p,
			    "',' or ']' expected in a list, "
			    "got %s",
			    hcl_next_words(p, buf));
	}
}

static enum hf_err
parse_list(struct hcl_parser *p, struct hcl_node *list)
{
	enum hf_err err;

	p->at++; /* [ */
	if ((err = hcl_enter(p)) != HF_OK)
		return err;
	err = parse_list_items(p, list);
	hcl_leave(p);
	return err;
}

/* The "{" is next. */
static enum hf_err
parse_object(struct hcl_parser *p, struct hcl_node *object)
{
	unsigned begin = p->line;
	enum hf_err err;
	char buf[24];

	p->at++;
	if ((err = hcl_enter(p)) != HF_OK)
		return err;
	err = parse_members(p, object);
	hcl_leave(p);
	if (err != HF_OK)
		return err;
	if (!hcl_take(p, '}'))
		return hcl_refuse(p,
		    "'}' expected for the block of line %u, "
		    "got %s",
		    begin, hcl_next_words(p, buf));
	return HF_OK;
}

static enum hcl_kind
kind_ahead(const struct hcl_parser *p)
{
	char c = *p->at;

	if (c == '{')
		return HCL_OBJECT;
	if (c == '[')
		return HCL_LIST;
	if (hcl_digit(c) || c == '-')
		return HCL_NUMBER;
	if (is_word_start(c))
		return HCL_BOOL;
	return HCL_STRING;
}

static enum hf_err
parse_text(struct hcl_parser *p, struct hcl_node *node)
{
	char buf[24];

	if (*p->at == '"')
		return hcl_string(p, &quoting, &node->text);
	if (p->end - p->at >= 2 && memcmp(p->at, "<<", 2) == 0)
		return parse_heredoc(p, &node->text);
	return hcl_refuse(
	    p, "a value expected, got %s", hcl_next_words(p, buf));
}

static enum hf_err
parse_value(struct hcl_parser *p, struct hcl_node **out)
{
	/* A function each: the kinds differ in how they are read. */
	static enum hf_err (*const readers[])(
	    struct hcl_parser *, struct hcl_node *) = {
		[HCL_STRING] = parse_text,
		[HCL_NUMBER] = parse_number,
		[HCL_BOOL] = parse_word_value,
		[HCL_LIST] = parse_list,
		[HCL_OBJECT] = parse_object,
	};
	enum hf_err err;

	if (p->at == p->end)
		return hcl_refuse(p,
		    "a value expected, got the end of the "
		    "file");
	if ((err = hcl_node_new(p, kind_ahead(p), out)) != HF_OK)
		return err;
	return readers[(*out)->kind](p, *out);
}

static bool
at_key(const struct hcl_parser *p)
{
	return p->at < p->end && (*p->at == '"' || is_word_start(*p->at));
}

static enum hf_err
parse_key(struct hcl_parser *p, struct hf_text *out)
{
	struct hf_text word;

	if (*p->at == '"')
		return hcl_string(p, &quoting, out);
	word = take_word(p);
	hcl_text_begin(p);
	hcl_text_put(p, word.ptr, word.len);
	*out = hcl_text_end(p);
	return HF_OK;
}

/* The name of a member, and the line that messages about it give. */
struct name {
	struct hf_text key;
	unsigned line;
};

static enum hf_err
parse_assigned(struct hcl_parser *p, struct hcl_node *object, struct name name)
{
	struct hcl_node *value;
	enum hf_err err;

	p->at++; /* = */
	if ((err = skip_space(p)) != HF_OK ||
	    (err = parse_value(p, &value)) != HF_OK)
		return err;
	value->key = name.key;
	value->line = name.line;
	return hcl_node_add(p, object, value);
}

/* name label label { ... }, with the name read: each label nests one deeper. */
static enum hf_err
parse_block(struct hcl_parser *p, struct hcl_node *object, struct name name)
{
	struct hcl_node *block;
	struct name label;
	char buf[24];
	enum hf_err err;

	if ((err = hcl_node_new(p, HCL_OBJECT, &block)) != HF_OK)
		return err;
	block->key = name.key;
	block->line = name.line;
	if (hcl_at(p, '{')) {
		err = parse_object(p, block);
	} else if (at_key(p)) {
		label.line = p->line;
		if ((err = hcl_enter(p)) != HF_OK ||
		    (err = parse_key(p, &label.key)) != HF_OK ||
		    (err = skip_space(p)) != HF_OK)
			return err;
		err = parse_block(p, block, label);
		hcl_leave(p);
	} else {
		err = hcl_refuse(p,
		    "'=', '{' or a label expected after "
		    "\"%.60s\", got %s",
		    name.key.ptr, hcl_next_words(p, buf));
	}
	return err != HF_OK ? err : hcl_node_add(p, object, block);
}

static enum hf_err
parse_member(struct hcl_parser *p, struct hcl_node *object)
{
	struct name name = { .line = p->line };
	char buf[24];
	enum hf_err err;

	if (!at_key(p))
		return hcl_refuse(
		    p, "a name expected, got %s", hcl_next_words(p, buf));
	if ((err = parse_key(p, &name.key)) != HF_OK ||
	    (err = skip_space(p)) != HF_OK)
		return err;
	return hcl_at(p, '=') ? parse_assigned(p, object, name)
			      : parse_block(p, object, name);
}

/* Up to the end of the text or a "}", which is left to the caller. */
static enum hf_err
parse_members(struct hcl_parser *p, struct hcl_node *object)
{
	enum hf_err err;

	for (;;) {
		if ((err = skip_space(p)) != HF_OK)
			return err;
		if (p->at == p->end || *p->at == '}')
			return HF_OK;
		if ((err = parse_member(p, object)) != HF_OK ||
		    (err = skip_space(p)) != HF_OK)
			return err;
		(void)hcl_take(p, ',');
	}
}

enum hf_err
hcl_parse_native(struct hcl_parser *p, struct hcl_node *root)
{
	enum hf_err err = parse_members(p, root);

	if (err != HF_OK)
		return err;
	if (p->at != p->end)
		return hcl_refuse(p, "'}' closes nothing here");
	return HF_OK;
}
