/* SPDX-License-Identifier: Apache-2.0 */
#include "hcl_parse.h"

#include <string.h>

#include "../lib/bytes.h"

/* The JSON form (RFC 8259), strictly: no comments, no trailing commas. */

static enum hf_err parse_value(struct hcl_parser *p, struct hcl_node **out);

static void
skip_space(struct hcl_parser *p)
{
	for (; p->at < p->end && memchr(" \t\r\n", *p->at, 4) != NULL; p->at++)
		if (*p->at == '\n')
			p->line++;
}

static const struct hcl_quoting quoting = {
	.letters = "\"\\/bfnrt",
	.means = "\"\\/\b\f\n\r\t",
	.pairs = true,
	.known = "\\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uHHHH",
};

static enum hf_err
parse_list(struct hcl_parser *p, struct hcl_node *list)
{
	struct hcl_node *item;
	char buf[24];
	enum hf_err err;

	p->at++; /* [ */
	skip_space(p);
	if (hcl_take(p, ']'))
		return HF_OK;
	for (;;) {
		if ((err = parse_value(p, &item)) != HF_OK ||
		    (err = hcl_node_add(p, list, item)) != HF_OK)
			return err;
		skip_space(p);
		if (hcl_take(p, ']'))
			return HF_OK;
		if (!hcl_take(p, ','))
			return hcl_refuse(p, "',' or ']' expected, got %s",
			    hcl_next_words(p, buf));
	}
}

static enum hf_err
parse_member(struct hcl_parser *p, struct hcl_node *object)
{
	struct hcl_node *value;
	struct hf_text key;
	unsigned line;
	char buf[24];
	enum hf_err err;

	skip_space(p);
	line = p->line;
	if (!hcl_at(p, '"'))
		return hcl_refuse(p, "a name in quotes expected, got %s",
		    hcl_next_words(p, buf));
	if ((err = hcl_string(p, &quoting, &key)) != HF_OK)
		return err;
	skip_space(p);
	if (!hcl_take(p, ':'))
		return hcl_refuse(p, "':' expected after \"%.60s\", got %s",
		    key.ptr, hcl_next_words(p, buf));
	for (struct hcl_node *n = object->first; n != NULL; n = n->next)
		if (text_equal(n->key, key))
			return hcl_refuse(p,
			    "\"%.60s\" is given twice, first "
			    "on line %u",
			    key.ptr, n->line);
	if ((err = parse_value(p, &value)) != HF_OK)
		return err;
	value->key = key;
	value->line = line;
	return hcl_node_add(p, object, value);
}

static enum hf_err
parse_object(struct hcl_parser *p, struct hcl_node *object)
{
	char buf[24];
	enum hf_err err;

	p->at++; /* { */
	skip_space(p);
	if (hcl_take(p, '}'))
		return HF_OK;
	for (;;) {
		if ((err = parse_member(p, object)) != HF_OK)
			return err;
		skip_space(p);
		if (hcl_take(p, '}'))
			return HF_OK;
		if (!hcl_take(p, ','))
			return hcl_refuse(p, "',' or '}' expected, got %s",
			    hcl_next_words(p, buf));
	}
}

/* number = [ "-" ] int [ "." digits ] [ "e" [ sign ] digits ]   (section 6) */
static enum hf_err
parse_number(struct hcl_parser *p, struct hcl_node *node)
{
	struct hf_text all = { p->at, 0 };
	const char *digits = p->at + (*p->at == '-'), *point;

	while (p->at < p->end &&
	    (hcl_digit(*p->at) || memchr("-+.eE", *p->at, 5) != NULL))
		p->at++;
	all.len = (size_t)(p->at - all.ptr);
	if (p->at - digits > 1 && digits[0] == '0' && hcl_digit(digits[1]))
		return hcl_refuse(p, "a number may not begin with 0");
	point = memchr(all.ptr, '.', all.len);
	if (point != NULL && (point + 1 == p->at || !hcl_digit(point[1])))
		return hcl_refuse(p, "a digit expected behind '.'");
	return hcl_number(p, node, all, 10);
}

static enum hf_err
parse_bool(struct hcl_parser *p, struct hcl_node *node)
{
	static const char *const words[] = { "false", "true" };

	for (size_t i = 0; i < 2; i++) {
		size_t len = strlen(words[i]);

		if ((size_t)(p->end - p->at) < len ||
		    memcmp(p->at, words[i], len) != 0)
			continue;
		p->at += len;
		node->truth = i == 1;
		node->text = text_of(words[i]);
		return HF_OK;
	}
	return hcl_refuse(p,
	    "a value expected: a string, number, true, "
	    "false, list or object");
}

static enum hf_err
parse_text(struct hcl_parser *p, struct hcl_node *node)
{
	return hcl_string(p, &quoting, &node->text);
}

static enum hcl_kind
kind_ahead(const struct hcl_parser *p)
{
	char c = *p->at;

	if (c == '"')
		return HCL_STRING;
	if (c == '{')
		return HCL_OBJECT;
	if (c == '[')
		return HCL_LIST;
	if (hcl_digit(c) || c == '-')
		return HCL_NUMBER;
	return HCL_BOOL;
}

static enum hf_err
parse_value(struct hcl_parser *p, struct hcl_node **out)
{
	/* A function each: the kinds differ in how they are read. */
	static enum hf_err (*const readers[])(
	    struct hcl_parser *, struct hcl_node *) = {
		[HCL_STRING] = parse_text,
		[HCL_NUMBER] = parse_number,
		[HCL_BOOL] = parse_bool,
		[HCL_LIST] = parse_list,
		[HCL_OBJECT] = parse_object,
	};
	enum hf_err err;

	skip_space(p);
	if (p->at == p->end)
		return hcl_refuse(p,
		    "a value expected, got the end of the "
		    "file");
	if ((err = hcl_enter(p)) != HF_OK ||
	    (err = hcl_node_new(p, kind_ahead(p), out)) != HF_OK)
		return err;
	err = readers[(*out)->kind](p, *out);
	hcl_leave(p);
	return err;
}

enum hf_err
hcl_parse_json(struct hcl_parser *p, struct hcl_node *root)
{
	enum hf_err err;

	skip_space(p);
	if ((err = parse_object(p, root)) != HF_OK)
		return err;
	skip_space(p);
	if (p->at != p->end)
		return hcl_refuse(p, "something follows the closing '}'");
	return HF_OK;
}
