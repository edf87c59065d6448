/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_HCL_PARSE_H
#define KEYD_HCL_PARSE_H

#include <stdarg.h>

#include "hcl.h"

/*
 * What the two syntaxes (hcl_native.c, hcl_json.c) share: a place in the
 * text, and the making of nodes. Only the hcl files include this.
 */
struct hcl_parser {
	struct hcl_file *file;
	const char *at, *end;
	unsigned line;
	unsigned depth;
	struct hf_why *why;
};

/* -- hcl.c -- */

/* "file:line: ..." for the line where the parser is. */
enum hf_err hcl_refuse(const struct hcl_parser *p, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* An empty one, of the line where the parser is; it lives as long as the file.
 * Refused when the file has HCL_NODES_MAX already. */
enum hf_err hcl_node_new(
    struct hcl_parser *p, enum hcl_kind kind, struct hcl_node **out);

/* Appends; refuses a plain value or list whose key is there already. */
enum hf_err hcl_node_add(const struct hcl_parser *p, struct hcl_node *parent,
    struct hcl_node *child);

/* One level deeper, or refused; hcl_leave on the way back. */
enum hf_err hcl_enter(struct hcl_parser *p);
void hcl_leave(struct hcl_parser *p);

/*
 * Texts are built in one buffer that is large enough for all of a file: begin,
 * put bytes, end. Nothing else may be built meanwhile.
 */
void hcl_text_begin(struct hcl_parser *p);
void hcl_text_put(struct hcl_parser *p, const char *bytes, size_t len);
struct hf_text hcl_text_end(struct hcl_parser *p);

/* A code point as UTF-8; refuses NUL, surrogates and what is no code point. */
enum hf_err hcl_text_put_rune(struct hcl_parser *p, uint32_t rune);

/* `digits` hexadecimal digits at p->at, which is moved behind them. */
enum hf_err hcl_hex(struct hcl_parser *p, unsigned digits, uint32_t *out);

/* Sets text, number and integer from the spelling of a number. */
enum hf_err hcl_number(struct hcl_parser *p, struct hcl_node *node,
    struct hf_text spelling, int base);

/* -- hcl_string.c -- */

/* What may stand between quotes. */
struct hcl_quoting {
	const char *letters, *means; /* of \n and the like */
	const char *known;           /* all escapes, for messages */
	bool numbers;                /* \101 \x41 \U0001F600 */
	bool pairs;    /* \ud83d\ude00 is one character (RFC 8259) */
	bool controls; /* control characters stand for themselves */
};

/* The string whose quote is next. */
enum hf_err hcl_string(
    struct hcl_parser *p, const struct hcl_quoting *q, struct hf_text *out);

/* One byte of a string or heredoc; "$${" is "${", and "${" is refused. */
enum hf_err hcl_put_plain(struct hcl_parser *p);

static inline bool
hcl_at(const struct hcl_parser *p, char c)
{
	return p->at < p->end && *p->at == c;
}

/* Takes `c` when it is next. */
static inline bool
hcl_take(struct hcl_parser *p, char c)
{
	if (!hcl_at(p, c))
		return false;
	p->at++;
	return true;
}

static inline bool
hcl_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* What is next, in words, for messages. `buf` takes 24 bytes. */
const char *hcl_next_words(const struct hcl_parser *p, char buf[24]);

/* -- the syntaxes: fill `root` from the whole text -- */

enum hf_err hcl_parse_native(struct hcl_parser *p, struct hcl_node *root);
enum hf_err hcl_parse_json(struct hcl_parser *p, struct hcl_node *root);

#endif
