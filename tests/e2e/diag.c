/* SPDX-License-Identifier: Apache-2.0 */
#include "diag.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum major {
	UNSIGNED = 0,
	NEGATIVE = 1,
	BYTES = 2,
	TEXT = 3,
	ARRAY = 4,
	MAP = 5,
	SIMPLE = 7,
};

enum { DEPTH_MAX = 100 };

static const struct {
	const char *word;
	uint8_t value;
} simple_words[] = {
	{ "false", 20 },
	{ "true", 21 },
	{ "null", 22 },
	{ "undefined", 23 },
};

/* -- From text -- */

struct parser {
	const char *at;
	FILE *out;
	unsigned depth;
};

static bool parse_item(struct parser *p);

/* The head of an item, in its shortest form. */
static void
put_head(FILE *out, enum major major, uint64_t n)
{
	unsigned bytes = n < 24 ? 0
	    : n < 256           ? 1
	    : n < 65536         ? 2
	    : n >> 32           ? 8
				: 4;
	static const int info[] = { [1] = 24, [2] = 25, [4] = 26, [8] = 27 };

	(void)fputc((int)major << 5 | (bytes == 0 ? (int)n : info[bytes]), out);
	while (bytes-- > 0)
		(void)fputc((int)(n >> 8 * bytes & 0xff), out);
}

static void
skip_space(struct parser *p)
{
	while (isspace((unsigned char)*p->at))
		p->at++;
}

static bool
take(struct parser *p, char c)
{
	skip_space(p);
	if (*p->at != c)
		return false;
	p->at++;
	return true;
}

static int
hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *found = c == '\0' ? NULL : strchr(digits, tolower(c));

	return found == NULL ? -1 : (int)(found - digits);
}

/* Pairs of digits up to `end`. */
static bool
parse_hex(struct parser *p, char end, FILE *out)
{
	for (;;) {
		int high, low;

		if (take(p, end))
			return true;
		high = hex_digit(*p->at);
		low = high < 0 ? -1 : hex_digit(p->at[1]);
		if (low < 0)
			return false;
		(void)fputc(high << 4 | low, out);
		p->at += 2;
	}
}

/* Up to the quote; \ takes the next character as it is. */
static bool
parse_quoted(struct parser *p, char quote, FILE *out)
{
	for (; *p->at != quote; p->at++) {
		if (*p->at == '\\')
			p->at++;
		if (*p->at == '\0')
			return false;
		(void)fputc(*p->at, out);
	}
	p->at++;
	return true;
}

static unsigned long
parse_times(struct parser *p)
{
	char *end;
	unsigned long times;

	if (!take(p, '*'))
		return 1;
	times = strtoul(p->at, &end, 10);
	p->at = end;
	return times;
}

static bool
parse_string(struct parser *p, enum major major, bool hex, char quote)
{
	char *buf = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&buf, &len);
	bool ok = f != NULL &&
	    (hex ? parse_hex(p, quote, f) : parse_quoted(p, quote, f));

	if (f != NULL)
		(void)fclose(f);
	if (ok) {
		unsigned long times = parse_times(p);

		put_head(p->out, major, (uint64_t)len * times);
		while (times-- > 0)
			(void)fwrite(buf, 1, len, p->out);
	}
	free(buf);
	return ok;
}

/* The members first: the head says how many there are. */
static bool
parse_members(struct parser *p, enum major major, char end)
{
	char *buf = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&buf, &len);
	struct parser inner = { p->at, f, p->depth + 1 };
	uint64_t count = 0;
	bool ok = f != NULL && inner.depth < DEPTH_MAX;

	for (; ok && !take(&inner, end); count++)
		ok = (count == 0 || take(&inner, ',')) && parse_item(&inner) &&
		    (major != MAP || (take(&inner, ':') && parse_item(&inner)));
	if (f != NULL)
		(void)fclose(f);
	if (ok) {
		put_head(p->out, major, count);
		(void)fwrite(buf, 1, len, p->out);
		p->at = inner.at;
	}
	free(buf);
	return ok;
}

static bool
parse_number(struct parser *p)
{
	bool negative = take(p, '-');
	uint64_t n;
	char *end;

	if (!isdigit((unsigned char)*p->at))
		return false;
	n = strtoull(p->at, &end, 10);
	p->at = end;
	put_head(p->out, negative ? NEGATIVE : UNSIGNED, negative ? n - 1 : n);
	return true;
}

static bool
parse_word(struct parser *p)
{
	for (size_t i = 0; i < sizeof(simple_words) / sizeof(simple_words[0]);
	     i++) {
		size_t len = strlen(simple_words[i].word);

		if (strncmp(p->at, simple_words[i].word, len) != 0)
			continue;
		p->at += len;
		put_head(p->out, SIMPLE, simple_words[i].value);
		return true;
	}
	return parse_number(p);
}

static bool
parse_item(struct parser *p)
{
	if (take(p, '{'))
		return parse_members(p, MAP, '}');
	if (take(p, '['))
		return parse_members(p, ARRAY, ']');
	if (take(p, '"'))
		return parse_string(p, TEXT, false, '"');
	if (take(p, '\''))
		return parse_string(p, BYTES, false, '\'');
	if (p->at[0] == 'h' && p->at[1] == '\'') {
		p->at += 2;
		return parse_string(p, BYTES, true, '\'');
	}
	return parse_word(p);
}

uint8_t *
diag_encode(const char *text, size_t *len)
{
	char *buf = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&buf, &size);
	struct parser p = { text, f, 0 };
	bool ok;

	if (f == NULL)
		return NULL;
	ok = take(&p, '!') ? parse_hex(&p, '\0', f) : parse_item(&p);
	(void)fclose(f);
	if (!ok || (text[0] != '!' && (skip_space(&p), *p.at != '\0'))) {
		(void)fprintf(stderr, "no diagnostic notation: %.40s\n", p.at);
		free(buf);
		return NULL;
	}
	*len = size;
	return (uint8_t *)buf;
}

/* -- To text -- */

struct printer {
	const uint8_t *at, *end;
	FILE *out;
	unsigned depth;
};

static bool print_item(struct printer *p);

static bool
get_head(struct printer *p, enum major *major, uint64_t *n)
{
	unsigned info, bytes;

	if (p->at == p->end)
		return false;
	*major = (enum major)(*p->at >> 5);
	info = *p->at++ & 31;
	if (info < 24) {
		*n = info;
		return true;
	}
	bytes = 1U << (info - 24);
	if (info > 27 || (size_t)(p->end - p->at) < bytes)
		return false;
	for (*n = 0; bytes-- > 0;)
		*n = *n << 8 | *p->at++;
	return true;
}

static bool
print_string(struct printer *p, enum major major, uint64_t len)
{
	if (len > (uint64_t)(p->end - p->at))
		return false;
	(void)fputs(major == TEXT ? "\"" : "h'", p->out);
	for (; len-- > 0; p->at++) {
		if (major == BYTES)
			(void)fprintf(p->out, "%02x", *p->at);
		else
			(void)fprintf(p->out, "%s%c",
			    *p->at == '"' || *p->at == '\\' ? "\\" : "",
			    *p->at == '\n' ? ' ' : *p->at);
	}
	(void)fputc(major == TEXT ? '"' : '\'', p->out);
	return true;
}

static bool
print_members(struct printer *p, enum major major, uint64_t count)
{
	(void)fputc(major == MAP ? '{' : '[', p->out);
	for (uint64_t i = 0; i < count; i++) {
		if (i > 0)
			(void)fputs(", ", p->out);
		if (!print_item(p))
			return false;
		if (major != MAP)
			continue;
		(void)fputs(": ", p->out);
		if (!print_item(p))
			return false;
	}
	(void)fputc(major == MAP ? '}' : ']', p->out);
	return true;
}

static bool
print_simple(struct printer *p, uint64_t value)
{
	for (size_t i = 0; i < sizeof(simple_words) / sizeof(simple_words[0]);
	     i++)
		if (simple_words[i].value == value)
			return fputs(simple_words[i].word, p->out) >= 0;
	return false;
}

static bool
print_item(struct printer *p)
{
	enum major major;
	uint64_t n;
	bool ok;

	if (p->depth == DEPTH_MAX || !get_head(p, &major, &n))
		return false;
	p->depth++;
	if (major == BYTES || major == TEXT)
		ok = print_string(p, major, n);
	else if (major == ARRAY || major == MAP)
		ok = print_members(p, major, n);
	else if (major == SIMPLE)
		ok = print_simple(p, n);
	else
		ok = major == UNSIGNED &&
		    fprintf(p->out, "%llu", (unsigned long long)n) > 0;
	p->depth--;
	return ok;
}

char *
diag_decode(const uint8_t *bytes, size_t len)
{
	char *buf = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&buf, &size);
	struct printer p = { bytes, bytes + len, f, 0 };
	bool ok;

	if (f == NULL)
		return NULL;
	ok = print_item(&p) && p.at == p.end;
	(void)fclose(f);
	if (ok)
		return buf;
	free(buf);
	return NULL;
}
