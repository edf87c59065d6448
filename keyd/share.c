/* SPDX-License-Identifier: Apache-2.0 */
#include "share.h"

#include <stdio.h>
#include <string.h>

#include "../lib/bytes.h"
#include "crypto.h"
#include "shamir.h"

enum {
	FORMAT = 1,
	SET = 8,
	CHECK = 8,
	SUM = 8,
	HEAD = 1 + SET + 3 + CHECK,
	BODY = HEAD + SHARE_KEYS,
	BYTES = BODY + SUM,               /* 92 */
	CHARACTERS = (BYTES * 8 + 4) / 5, /* 148 */
	MARK = 4,                         /* HFS1 */
};
static const char mark[MARK + 1] = "HFS1";

/* -- Sums -- */

static enum hf_err
check_of(struct hf_bytes keys, uint8_t out[CHECK])
{
	static const char purpose[] = "holdfast-share-check-v1";
	AUTO_SECRET text = { 0 };
	uint8_t digest[32];
	enum hf_err err = secret_alloc(&text, sizeof(purpose) - 1 + keys.len);

	if (err != HF_OK)
		return err;
	memcpy(text.ptr, purpose, sizeof(purpose) - 1);
	memcpy(text.ptr + sizeof(purpose) - 1, keys.ptr, keys.len);
	if ((err = crypto_sha256(secret_view(&text), digest)) == HF_OK)
		memcpy(out, digest, CHECK);
	return err;
}

static enum hf_err
sum_of(const uint8_t body[BODY], uint8_t out[SUM])
{
	uint8_t digest[32];
	enum hf_err err = crypto_sha256(bytes_of(body, BODY), digest);

	if (err == HF_OK)
		memcpy(out, digest, SUM);
	return err;
}

/* -- Base32, without tables and branches on what is secret -- */

static char
digit_of(unsigned value)
{
	/* 'A' to 'Z', then '2' to '7' */
	unsigned digit = 0U - ((25U - value) >> 31);

	return (char)(value + 'A' - (digit & ('A' - '2' + 26)));
}

/* All ones when low <= c <= high, else zero. */
static unsigned
between(unsigned c, unsigned low, unsigned high)
{
	return ~(0U - ((c - low) >> 31 | (high - c) >> 31));
}

/* 32 and more: none. */
static unsigned
value_of(unsigned c)
{
	unsigned upper = between(c, 'A', 'Z'), lower = between(c, 'a', 'z');
	unsigned digit = between(c, '2', '7');

	return (upper & (c - 'A')) | (lower & (c - 'a')) |
	    (digit & (c - '2' + 26)) | (~(upper | lower | digit) & 32);
}

static void
base32_encode(const uint8_t *in, size_t len, char *out)
{
	unsigned bits = 0, held = 0;

	for (size_t i = 0; i < len; i++) {
		held = (held << 8 | in[i]) & 0xfff;
		for (bits += 8; bits >= 5; bits -= 5)
			*out++ = digit_of(held >> (bits - 5) & 31);
	}
	if (bits > 0)
		*out++ = digit_of(held << (5 - bits) & 31);
	*out = '\0';
}

/* -- Making -- */

/* Shares that do not give the keys back would be found out years later. */
static enum hf_err
shares_try(const struct share *shares, unsigned threshold, unsigned count,
    struct hf_bytes keys, struct hf_why *why)
{
	for (unsigned from = 0; from + threshold <= count; from++) {
		AUTO_SECRET back = { 0 };
		enum hf_err err =
		    shares_combine(shares + from, threshold, &back, why);

		if (err != HF_OK)
			return err;
		if (!bytes_equal_ct(secret_view(&back), keys))
			return HF_ERR_CRYPTO;
	}
	return HF_OK;
}

enum hf_err
shares_make(struct hf_bytes keys, unsigned threshold, unsigned count,
    struct secret *out, struct hf_why *why)
{
	struct share_facts facts = { .threshold = threshold, .count = count };
	AUTO_SECRET ys = { 0 };
	AUTO_SECRET made = { 0 };
	struct share *shares;
	enum hf_err err;

	if (keys.len != SHARE_KEYS || count > SHARE_COUNT_MAX)
		return HF_ERR_OUT_OF_BOUNDS;
	if ((err = crypto_random(facts.set, SET)) != HF_OK ||
	    (err = check_of(keys, facts.check)) != HF_OK ||
	    (err = secret_alloc(&ys, (size_t)count * SHARE_KEYS)) != HF_OK ||
	    (err = secret_alloc(&made, count * sizeof(*shares))) != HF_OK ||
	    (err = shamir_split(keys, threshold, count, ys.ptr)) != HF_OK)
		return err;
	shares = (void *)made.ptr;
	for (unsigned i = 0; i < count; i++) {
		shares[i].facts = facts;
		shares[i].number = (uint8_t)(i + 1);
		memcpy(
		    shares[i].y, ys.ptr + (size_t)i * SHARE_KEYS, SHARE_KEYS);
	}
	if ((err = shares_try(shares, threshold, count, keys, why)) != HF_OK)
		return err;
	secret_move(out, &made);
	return HF_OK;
}

enum hf_err
share_encode(const struct share *share, struct secret *out)
{
	AUTO_SECRET bytes = { 0 };
	AUTO_SECRET text = { 0 };
	uint8_t *p;
	enum hf_err err;

	if ((err = secret_alloc(&bytes, BYTES)) != HF_OK ||
	    (err = secret_alloc(&text, SHARE_TEXT)) != HF_OK)
		return err;
	p = bytes.ptr;
	*p++ = FORMAT;
	memcpy(p, share->facts.set, SET);
	p += SET;
	*p++ = (uint8_t)share->facts.threshold;
	*p++ = (uint8_t)share->facts.count;
	*p++ = share->number;
	memcpy(p, share->facts.check, CHECK);
	memcpy(p + CHECK, share->y, SHARE_KEYS);
	if ((err = sum_of(bytes.ptr, bytes.ptr + BODY)) != HF_OK)
		return err;
	memcpy(text.ptr, "HFS1-", MARK + 1);
	base32_encode(bytes.ptr, BYTES, (char *)text.ptr + MARK + 1);
	secret_move(out, &text);
	return HF_OK;
}

/* -- Reading -- */

static bool
means_nothing(uint8_t c)
{
	return c == ' ' || c == '-' || c == '\n' || c == '\r' || c == '\t';
}

static struct hf_bytes
after_mark(struct hf_bytes text)
{
	for (size_t i = 0; i + MARK <= text.len; i++) {
		bool same = true;

		for (size_t j = 0; j < MARK; j++)
			same = same &&
			    (text.ptr[i + j] & ~0x20U) ==
				((uint8_t)mark[j] & ~0x20U);
		if (same)
			return bytes_of(
			    text.ptr + i + MARK, text.len - i - MARK);
	}
	return (struct hf_bytes){ NULL, 0 };
}

/* False: what follows is not that many characters, and nothing else. */
static bool
base32_read(struct hf_bytes text, uint8_t *out)
{
	unsigned bits = 0, held = 0, wrong = 0;
	size_t count = 0, written = 0;

	for (size_t i = 0; i < text.len; i++) {
		unsigned value = value_of(text.ptr[i]);

		if (means_nothing(text.ptr[i]))
			continue;
		if (count++ == CHARACTERS)
			return false;
		wrong |= value & 32;
		held = (held << 5 | (value & 31)) & 0xfff;
		bits += 5;
		if (bits >= 8 && written < BYTES) {
			bits -= 8;
			out[written++] = (uint8_t)(held >> bits);
		}
	}
	return count == CHARACTERS && written == BYTES && wrong == 0;
}

static enum hf_err
facts_read(const uint8_t bytes[BYTES], struct share *out, struct hf_why *why)
{
	struct share_facts *f = &out->facts;

	if (bytes[0] != FORMAT)
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "it is a share of a format that is not known here");
	memcpy(f->set, bytes + 1, SET);
	f->threshold = bytes[1 + SET];
	f->count = bytes[2 + SET];
	out->number = bytes[3 + SET];
	memcpy(f->check, bytes + 4 + SET, CHECK);
	memcpy(out->y, bytes + HEAD, SHARE_KEYS);
	if (f->threshold < 2 || f->threshold > f->count ||
	    f->count > SHARE_COUNT_MAX || out->number == 0 ||
	    out->number > f->count)
		return hf_fail(
		    why, HF_ERR_BAD_VALUE, "it is not a share of a master key");
	return HF_OK;
}

enum hf_err
share_decode(struct hf_bytes text, struct share *out, struct hf_why *why)
{
	struct hf_bytes rest = after_mark(text);
	AUTO_SECRET bytes = { 0 };
	uint8_t sum[SUM];
	enum hf_err err;

	if (rest.ptr == NULL || text.len > SHARE_FILE_MAX)
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "it is not a share: there is no %s in it", mark);
	if ((err = secret_alloc(&bytes, BYTES)) != HF_OK)
		return err;
	if (!base32_read(rest, bytes.ptr))
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "it is not complete, or has a character that cannot be in "
		    "it: %d of A-Z and 2-7 follow %s",
		    CHARACTERS, mark);
	if ((err = sum_of(bytes.ptr, sum)) != HF_OK)
		return err;
	if (!bytes_equal_ct(
		bytes_of(sum, SUM), bytes_of(bytes.ptr + BODY, SUM)))
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "it has a typo: its sum does not match");
	return facts_read(bytes.ptr, out, why);
}

/* -- Putting together -- */

static enum hf_err
shares_check(const struct share *shares, size_t count, struct hf_why *why)
{
	const struct share_facts *first = &shares[0].facts;

	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < i; j++) {
			if (shares[i].number == shares[j].number &&
			    memcmp(shares[i].facts.set, shares[j].facts.set,
				SET) == 0)
				return hf_fail(why, HF_ERR_BAD_VALUE,
				    "share %u is given twice",
				    shares[i].number);
		}
	for (size_t i = 1; i < count; i++) {
		const struct share_facts *f = &shares[i].facts;

		if (memcmp(f->set, first->set, SET) != 0 ||
		    memcmp(f->check, first->check, CHECK) != 0 ||
		    f->threshold != first->threshold ||
		    f->count != first->count)
			return hf_fail(why, HF_ERR_BAD_VALUE,
			    "the shares do not belong together: they are of "
			    "several sets");
	}
	if (count < first->threshold)
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "%zu of the %u shares that are needed: %u more", count,
		    first->threshold, first->threshold - (unsigned)count);
	return HF_OK;
}

enum hf_err
shares_combine(const struct share *shares, size_t count, struct secret *keys,
    struct hf_why *why)
{
	const uint8_t *ys[SHARE_COUNT_MAX];
	uint8_t numbers[SHARE_COUNT_MAX], check[CHECK];
	AUTO_SECRET out = { 0 };
	enum hf_err err;

	if (count == 0 || count > SHARE_COUNT_MAX)
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "give between 2 and %d shares", SHARE_COUNT_MAX);
	if ((err = shares_check(shares, count, why)) != HF_OK ||
	    (err = secret_alloc(&out, SHARE_KEYS)) != HF_OK)
		return err;
	for (size_t i = 0; i < count; i++) {
		numbers[i] = shares[i].number;
		ys[i] = shares[i].y;
	}
	if ((err = shamir_combine(numbers, ys, count, SHARE_KEYS, out.ptr)) !=
		HF_OK ||
	    (err = check_of(secret_view(&out), check)) != HF_OK)
		return err;
	if (memcmp(check, shares[0].facts.check, CHECK) != 0)
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "together the shares do not give the key that was shared: "
		    "one of them is wrong");
	secret_move(keys, &out);
	return HF_OK;
}
