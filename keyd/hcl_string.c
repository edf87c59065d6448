/* SPDX-License-Identifier: Apache-2.0 */
#include "hcl_parse.h"

#include <string.h>

/* Quoted strings, by the rules of either syntax (struct hcl_quoting). */

/* Up to three octal digits, the first of which is next. */
static uint32_t
octal(struct hcl_parser *p)
{
	uint32_t v = 0;

	for (int i = 0;
	     i < 3 && p->at < p->end && *p->at >= '0' && *p->at <= '7'; i++)
		v = v << 3 | (uint32_t)(*p->at++ - '0');
	return v;
}

/* A surrogate needs its other half (RFC 8259, section 7). */
static enum hf_err
put_pair(struct hcl_parser *p, uint32_t high)
{
	uint32_t low = 0;
	enum hf_err err;

	if (hcl_take(p, '\\') && hcl_take(p, 'u') &&
	    (err = hcl_hex(p, 4, &low)) != HF_OK)
		return err;
	if (low < 0xdc00 || low > 0xdfff)
		return hcl_refuse(
		    p, "the second half of a surrogate pair expected");
	return hcl_text_put_rune(
	    p, 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
}

/* The backslash is taken. */
static enum hf_err
put_escape(struct hcl_parser *p, const struct hcl_quoting *q)
{
	const char *letter;
	enum hf_err err;
	uint32_t rune;
	char c;

	if (p->at == p->end)
		return hcl_refuse(p, "the string has no end");
	c = *p->at;
	letter = memchr(q->letters, c, strlen(q->letters));
	if (letter != NULL) {
		p->at++;
		hcl_text_put(p, &q->means[letter - q->letters], 1);
		return HF_OK;
	}
	if (q->numbers && c >= '0' && c <= '7')
		return hcl_text_put_rune(p, octal(p));
	if (c != 'u' && !(q->numbers && (c == 'x' || c == 'U')))
		return hcl_refuse(p,
		    "unknown escape in a string; one of %s expected", q->known);
	p->at++;
	err = hcl_hex(p, c == 'x' ? 2 : c == 'u' ? 4 : 8, &rune);
	if (err != HF_OK)
		return err;
	return q->pairs && rune >= 0xd800 && rune <= 0xdbff
	    ? put_pair(p, rune)
	    : hcl_text_put_rune(p, rune);
}

enum hf_err
hcl_put_plain(struct hcl_parser *p)
{
	size_t left = (size_t)(p->end - p->at);

	if (left >= 3 && memcmp(p->at, "$${", 3) == 0) {
		hcl_text_put(p, "${", 2);
		p->at += 3;
		return HF_OK;
	}
	if (left >= 2 && memcmp(p->at, "${", 2) == 0)
		return hcl_refuse(p,
		    "interpolation \"${...}\" is not "
		    "supported; write \"$${\" for a literal \"${\"");
	hcl_text_put(p, p->at, 1);
	p->at++;
	return HF_OK;
}

enum hf_err
hcl_string(
    struct hcl_parser *p, const struct hcl_quoting *q, struct hf_text *out)
{
	enum hf_err err = HF_OK;

	hcl_text_begin(p);
	p->at++; /* the quote */
	while (err == HF_OK) {
		if (p->at == p->end || *p->at == '\n')
			return hcl_refuse(p,
			    "the string has no end; '\"' "
			    "expected on the same line");
		if (hcl_take(p, '"'))
			break;
		if (!q->controls && (unsigned char)*p->at < 0x20)
			return hcl_refuse(p,
			    "the byte 0x%02x must be escaped in a string",
			    (unsigned)(unsigned char)*p->at);
		err = hcl_take(p, '\\') ? put_escape(p, q) : hcl_put_plain(p);
	}
	*out = hcl_text_end(p);
	return err;
}
