/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The members of an audit line as JSON. This runs twice a request, so it
 * writes by hand what printf would do.
 */
#include "audit.h"

#include <string.h>

#include "../lib/bytes.h"
#include "audit_log.h"

/* Small enough that to call them costs more than what they do. */
#define INLINE static inline __attribute__((always_inline))

/* What is left of a buffer that a member is written to. */
struct cursor {
	char *at;
	const char *end;
	bool full;
};

INLINE void
add(struct cursor *c, const char *text, size_t len)
{
	if (c->full || len > (size_t)(c->end - c->at)) {
		c->full = true;
		return;
	}
	memcpy(c->at, text, len);
	c->at += len;
}

static void
add_escape(struct cursor *c, uint8_t byte)
{
	static const char digits[] = "0123456789abcdef";
	char text[6] = { '\\', 'u', '0', '0', digits[byte >> 4],
		digits[byte & 15] };

	if (byte != '"' && byte != '\\') {
		add(c, text, 6);
		return;
	}
	text[1] = (char)byte;
	add(c, text, 2);
}

/* C1 controls are U+0080 to U+009F; a terminal may obey them. */
static bool
is_c1(const uint8_t *p, size_t left)
{
	return left >= 2 && p[0] == 0xc2 && p[1] < 0xa0;
}

static bool
is_plain(uint8_t byte)
{
	return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
}

/* Whether is_plain() holds for each of the eight bytes at `p`. */
static bool
are_plain(const uint8_t p[8])
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	const uint64_t tops = UINT64_C(0x8080808080808080);
	uint64_t x, quote, backslash, del;

	memcpy(&x, p, sizeof(x));
	quote = x ^ '"' * ones;
	backslash = x ^ '\\' * ones;
	del = x ^ 0x7f * ones;
	/* (v - ones) & ~v has a top bit set if and only if v has a zero byte;
	 * (x - 0x20 * ones) & ~x if x has one below 0x20. */
	return ((x | ((x - ' ' * ones) & ~x) | ((quote - ones) & ~quote) |
		    ((backslash - ones) & ~backslash) | ((del - ones) & ~del)) &
		   tops) == 0;
}

/* The bytes at `p` that can stand as they are. */
static size_t
plain_run(const uint8_t *p, size_t left, bool utf8)
{
	size_t n = 0;

	while (left - n >= 8 && are_plain(p + n))
		n += 8;
	while (n < left &&
	    (is_plain(p[n]) ||
		(utf8 && p[n] >= 0x80 && !is_c1(p + n, left - n))))
		n++;
	return n;
}

static void
add_escaped(struct cursor *c, struct hf_text text)
{
	const uint8_t *p = (const uint8_t *)text.ptr;
	size_t i = plain_run(p, text.len, false);

	add(c, text.ptr, i);
	if (i == text.len)
		return;

	bool utf8 = utf8_valid(text);

	while (i < text.len) {
		size_t run = plain_run(p + i, text.len - i, utf8);

		add(c, text.ptr + i, run);
		i += run;
		if (i == text.len)
			return;
		if (utf8 && is_c1(p + i, text.len - i))
			i++;
		add_escape(c, p[i++]);
	}
}

size_t
audit_put_uint(char *out, uint64_t v)
{
	UNSET char digits[20];
	char *p = digits + sizeof(digits);
	size_t n;

	do {
		*--p = (char)('0' + v % 10);
		v /= 10;
	} while (v != 0);
	n = (size_t)(digits + sizeof(digits) - p);
	memcpy(out, p, n);
	return n;
}

INLINE void
add_uint(struct cursor *c, uint64_t v)
{
	UNSET char digits[20];

	if (c->end - c->at >= (ptrdiff_t)sizeof(digits))
		c->at += c->full ? 0 : audit_put_uint(c->at, v);
	else
		add(c, digits, audit_put_uint(digits, v));
}

INLINE struct cursor
member_start(const struct audit_line *line, const char *name)
{
	struct cursor c = { line->buf + line->len, line->buf + line->cap,
		false };
	size_t len = strlen(name);

	if ((size_t)(c.end - c.at) < len + 4) {
		c.full = true;
		return c;
	}
	if (line->len > 0 && line->buf[line->len - 1] != '{')
		*c.at++ = ',';
	*c.at++ = '"';
	memcpy(c.at, name, len);
	c.at += len;
	*c.at++ = '"';
	*c.at++ = ':';
	return c;
}

/* Keeps the member only if all of it is there. */
INLINE void
member_end(struct audit_line *line, const struct cursor *c)
{
	if (c->full || line->skipped)
		line->full = true;
	else
		line->len = (size_t)(c->at - line->buf);
}

void
audit_line_start(
    struct audit_line *line, char *buf, size_t cap, const char *type)
{
	*line = (struct audit_line){
		.buf = buf,
		.cap = cap < AUDIT_MEMBERS_MAX ? cap : AUDIT_MEMBERS_MAX,
	};
	audit_line_word(line, "type", text_of(type));
}

void
audit_line_word(struct audit_line *line, const char *name, struct hf_text value)
{
	struct cursor c = member_start(line, name);

	if (value.len + 2 > (size_t)(c.end - c.at))
		c.full = true;
	if (!c.full) {
		*c.at++ = '"';
		memcpy(c.at, value.ptr, value.len);
		c.at += value.len;
		*c.at++ = '"';
	}
	member_end(line, &c);
}

/* What other members made is right as it is. */
void
audit_line_members(struct audit_line *line, struct hf_text members)
{
	struct cursor c = { line->buf + line->len, line->buf + line->cap,
		false };

	if (line->len > 0 && line->buf[line->len - 1] != '{')
		add(&c, ",", 1);
	add(&c, members.ptr, members.len);
	member_end(line, &c);
}

void
audit_line_text(struct audit_line *line, const char *name, struct hf_text value)
{
	struct cursor c = member_start(line, name);

	add(&c, "\"", 1);
	add_escaped(&c, value);
	add(&c, "\"", 1);
	member_end(line, &c);
}

void
audit_line_uint(struct audit_line *line, const char *name, uint64_t v)
{
	struct cursor c = member_start(line, name);

	add_uint(&c, v);
	member_end(line, &c);
}

void
audit_line_bool(struct audit_line *line, const char *name, bool v)
{
	struct cursor c = member_start(line, name);

	if (v)
		add(&c, "true", 4);
	else
		add(&c, "false", 5);
	member_end(line, &c);
}

static void
add_hashed(struct cursor *c, struct audit *audit, struct hf_bytes value)
{
	uint8_t mac[32];
	char hex[2 * sizeof(mac) + 1];

	if (audit_hash_value(audit, value, mac) != HF_OK) {
		c->full = true;
		return;
	}
	hex_encode(mac, sizeof(mac), hex);
	add(c, "\"hmac-sha256:", 13);
	add(c, hex, 2 * sizeof(mac));
	add(c, "\"", 1);
}

void
audit_line_hashed(struct audit_line *line, struct audit *audit,
    const char *name, struct hf_bytes value)
{
	struct cursor c = member_start(line, name);

	add_hashed(&c, audit, value);
	member_end(line, &c);
}

static void
add_text(struct cursor *c, struct audit *audit, struct hf_text text, bool plain)
{
	if (!plain) {
		add_hashed(c, audit, bytes_of_text(text));
		return;
	}
	add(c, "\"", 1);
	add_escaped(c, text);
	add(c, "\"", 1);
}

void
audit_line_pairs(struct audit_line *line, struct audit *audit, const char *name,
    const struct audit_pair *pairs, size_t count, bool each)
{
	struct cursor c = member_start(line, name);
	const char *between = each ? "},{" : ",";

	add(&c, each ? "[{" : "{", each ? 2 : 1);
	for (size_t i = 0; i < count; i++) {
		const struct audit_pair *p = &pairs[i];

		if (i > 0)
			add(&c, between, strlen(between));
		add_text(&c, audit, p->pair.name, p->plain);
		add(&c, ":", 1);
		add_text(&c, audit, p->pair.value, p->plain);
	}
	add(&c, each ? "}]" : "}", each ? 2 : 1);
	member_end(line, &c);
}

void
audit_line_length(struct audit_line *line, const char *name, size_t len)
{
	struct cursor c = member_start(line, name);

	add(&c, "{\"len\":", 7);
	add_uint(&c, len);
	add(&c, "}", 1);
	member_end(line, &c);
}

/* Room for the closing brace is set aside, so that it always fits. */
void
audit_line_begin(struct audit_line *line, const char *name)
{
	struct cursor c = member_start(line, name);

	add(&c, "{}", 2);
	member_end(line, &c);
	line->nested = !c.full;
	line->skipped = c.full; /* and all that should stand inside */
	if (!line->nested)
		return;
	line->len--;
	line->cap--;
}

void
audit_line_end(struct audit_line *line)
{
	line->skipped = false;
	if (!line->nested)
		return;
	line->nested = false;
	line->cap++;
	line->buf[line->len++] = '}';
}
