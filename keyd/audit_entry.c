/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes a line of the audit log apart. It checks the syntax of RFC 8259 to the
 * last byte, so that a name inside a string or a nested value is never taken
 * for a member of the line.
 */
#include "audit_log.h"

#include <string.h>

#include "../lib/bytes.h"

enum { DEPTH = 8 };

/* What is left of the line. */
struct scan {
	const char *at, *end;
};

static bool
take(struct scan *s, char c)
{
	if (s->at == s->end || *s->at != c)
		return false;
	s->at++;
	return true;
}

static bool
take_word(struct scan *s, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(s->end - s->at) < len || memcmp(s->at, word, len) != 0)
		return false;
	s->at += len;
	return true;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
take_digits(struct scan *s)
{
	const char *start = s->at;

	while (s->at < s->end && is_digit(*s->at))
		s->at++;
	return s->at > start;
}

static bool
take_escape(struct scan *s)
{
	uint8_t unit[2];

	if (s->at == s->end)
		return false;
	if (*s->at != 'u')
		return memchr("\"\\/bfnrt", *s->at++, 8) != NULL;
	s->at++;
	if (s->end - s->at < 4 ||
	    !hex_decode((struct hf_text){ s->at, 4 }, unit, sizeof(unit)))
		return false;
	s->at += 4;
	return true;
}

/* `out` is what stands between the quotes. The line is known to be UTF-8. */
static bool
take_string(struct scan *s, struct hf_text *out)
{
	if (!take(s, '"'))
		return false;

	const char *start = s->at;

	while (s->at < s->end && *s->at != '"') {
		unsigned char c = (unsigned char)*s->at++;

		if (c < 0x20 || (c == '\\' && !take_escape(s)))
			return false;
	}
	*out = (struct hf_text){ start, (size_t)(s->at - start) };
	return take(s, '"');
}

static bool
take_number(struct scan *s)
{
	(void)take(s, '-');
	if (!take(s, '0') && !take_digits(s))
		return false;
	if (take(s, '.') && !take_digits(s))
		return false;
	if (!take(s, 'e') && !take(s, 'E'))
		return true;
	if (!take(s, '+'))
		(void)take(s, '-');
	return take_digits(s);
}

static bool take_value(struct scan *s, unsigned depth);

static bool
take_object(struct scan *s, unsigned depth)
{
	struct hf_text name;

	if (take(s, '}'))
		return true;
	do {
		if (!take_string(s, &name) || !take(s, ':') ||
		    !take_value(s, depth))
			return false;
	} while (take(s, ','));
	return take(s, '}');
}

static bool
take_array(struct scan *s, unsigned depth)
{
	if (take(s, ']'))
		return true;
	do {
		if (!take_value(s, depth))
			return false;
	} while (take(s, ','));
	return take(s, ']');
}

static bool
take_value(struct scan *s, unsigned depth)
{
	struct hf_text text;

	if (s->at == s->end || depth == 0)
		return false;
	if (*s->at == '"')
		return take_string(s, &text);
	if (take(s, '{'))
		return take_object(s, depth - 1);
	if (take(s, '['))
		return take_array(s, depth - 1);
	if (take_word(s, "true") || take_word(s, "false") ||
	    take_word(s, "null"))
		return true;
	return take_number(s);
}

/* The members that count, with where they belong in struct audit_entry. */
enum kind { KIND_UINT, KIND_TEXT, KIND_HEX32, KIND_HEX64 };

struct member {
	const char *name;
	enum kind kind;
	size_t offset;
};

enum { SEQ, TIME, TYPE, PREV, NUMBER, COVERS, HASH, KEY, SIGNATURE, MEMBERS };

/* clang-format off */
static const struct member members[MEMBERS] = {
	[SEQ]       = { "seq",        KIND_UINT,  offsetof(struct audit_entry, seq) },
	[TIME]      = { "time",       KIND_TEXT,  offsetof(struct audit_entry, time) },
	[TYPE]      = { "type",       KIND_TEXT,  offsetof(struct audit_entry, type) },
	[PREV]      = { "prev",       KIND_HEX32, offsetof(struct audit_entry, prev) },
	[NUMBER]    = { "checkpoint", KIND_UINT,  offsetof(struct audit_entry, number) },
	[COVERS]    = { "covers",     KIND_UINT,  offsetof(struct audit_entry, covers) },
	[HASH]      = { "hash",       KIND_HEX32, offsetof(struct audit_entry, hash) },
	[KEY]       = { "key",        KIND_HEX32, offsetof(struct audit_entry, key) },
	[SIGNATURE] = { "signature",  KIND_HEX64, offsetof(struct audit_entry, signature) },
};
/* clang-format on */

static bool
parse_uint(struct hf_text text, uint64_t *out)
{
	uint64_t v = 0;

	if (text.len == 0 || text.len > 20 ||
	    (text.ptr[0] == '0' && text.len > 1))
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (!is_digit(text.ptr[i]) ||
		    __builtin_mul_overflow(v, 10U, &v) ||
		    __builtin_add_overflow(
			v, (unsigned)(text.ptr[i] - '0'), &v))
			return false;
	}
	*out = v;
	return true;
}

/* `raw` is the value as it stands in the line, quotes included. */
static bool
parse_member(
    const struct member *m, struct hf_text raw, struct audit_entry *out)
{
	void *to = (char *)out + m->offset;

	if (m->kind == KIND_UINT)
		return parse_uint(raw, to);
	if (raw.ptr[0] != '"')
		return false;

	struct hf_text text = { raw.ptr + 1, raw.len - 2 };

	if (m->kind == KIND_TEXT) {
		*(struct hf_text *)to = text;
		return memchr(text.ptr, '\\', text.len) == NULL;
	}
	return hex_decode(text, to, m->kind == KIND_HEX32 ? 32 : 64);
}

static size_t
member_by_name(struct hf_text name)
{
	size_t i = 0;

	while (i < MEMBERS && !text_is(name, members[i].name))
		i++;
	return i;
}

/*
 * One "name":value. `place` is its position in the line. Members that are of
 * a checkpoint only may mean something else in other lines; there they are
 * looked at but need not parse.
 */
static const char *
take_member(struct scan *s, size_t place, unsigned *seen, unsigned *good,
    struct audit_entry *out)
{
	struct hf_text name;

	if (!take_string(s, &name) || !take(s, ':'))
		return "it is not a JSON object of this log";

	const char *start = s->at;
	size_t which = member_by_name(name);

	if (!take_value(s, DEPTH))
		return "it is not a JSON object of this log";
	if (place <= TYPE && which != place)
		return "it does not start with seq, time and type";
	if (which == MEMBERS)
		return NULL;
	if ((*seen & 1U << which) != 0)
		return "a member stands in it twice";
	*seen |= 1U << which;
	if (parse_member(&members[which],
		(struct hf_text){ start, (size_t)(s->at - start) }, out))
		*good |= 1U << which;
	return NULL;
}

const char *
audit_entry_parse(struct hf_text line, struct audit_entry *out)
{
	const unsigned every = 1U << SEQ | 1U << TIME | 1U << TYPE | 1U << PREV;
	const unsigned all = (1U << MEMBERS) - 1;
	struct scan s = { line.ptr, line.ptr + line.len };
	unsigned seen = 0, before = 0, good = 0;
	const char *wrong;

	*out = (struct audit_entry){ 0 };
	if (!utf8_valid(line) || !take(&s, '{'))
		return "it is not a JSON object of this log";
	for (size_t place = 0; place == 0 || take(&s, ','); place++) {
		before = seen;
		wrong = take_member(&s, place, &seen, &good, out);
		if (wrong != NULL)
			return wrong;
	}
	if (!take(&s, '}') || s.at != s.end)
		return "it is not a JSON object of this log";
	if ((seen & ~before) != 1U << PREV)
		return "it does not end with prev";
	if ((good & every) != every)
		return "one of seq, time, type and prev is not what it must be";
	out->is_checkpoint = text_is(out->type, "checkpoint");
	if (out->is_checkpoint && good != all)
		return "it is a checkpoint without all its members";
	return NULL;
}

void
audit_signed_bytes(uint64_t number, uint64_t covers, const uint8_t hash[32],
    uint8_t out[AUDIT_SIGNED])
{
	/* The zero byte is the string's own. */
	static const char format[29] = "holdfast-audit-checkpoint-v1";

	memcpy(out, format, sizeof(format));
	put_u64(out + 29, number);
	put_u64(out + 37, covers);
	memcpy(out + 45, hash, 32);
}
