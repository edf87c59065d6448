/* SPDX-License-Identifier: Apache-2.0 */
#include "bytes.h"

#include <string.h>

bool
bytes_equal_ct(struct hf_bytes a, struct hf_bytes b)
{
	volatile uint8_t diff = 0;

	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		diff = (uint8_t)(diff | (a.ptr[i] ^ b.ptr[i]));
	return diff == 0;
}

void
bytes_wipe(void *ptr, size_t len)
{
	if (ptr != NULL && len > 0)
		explicit_bzero(ptr, len);
}

/* The eight digits of four bytes: a nibble in each byte, all at once. */
static uint64_t
hex_of_four(uint32_t v)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	uint64_t x = v, above_nine;

	x = (x << 16 | x) & UINT64_C(0x0000ffff0000ffff);
	x = (x << 8 | x) & UINT64_C(0x00ff00ff00ff00ff);
	x = (x << 4 | x) & UINT64_C(0x0f0f0f0f0f0f0f0f);
	above_nine = (x + 6 * ones) >> 4 & ones;
	return x + '0' * ones + ('a' - '9' - 1) * above_nine;
}

void
hex_encode(const uint8_t *in, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";
	size_t i = 0;

	for (; i + 4 <= len; i += 4)
		put_u64((uint8_t *)out + 2 * i, hex_of_four(get_u32(in + i)));
	for (; i < len; i++) {
		out[2 * i] = digits[in[i] >> 4];
		out[2 * i + 1] = digits[in[i] & 15];
	}
	out[2 * len] = '\0';
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool
hex_decode(struct hf_text in, uint8_t *out, size_t len)
{
	if (in.len != 2 * len)
		return false;
	for (size_t i = 0; i < len; i++) {
		int hi = hex_value(in.ptr[2 * i]);
		int lo = hex_value(in.ptr[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		out[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

size_t
base64_length(enum base64_kind kind, size_t len)
{
	size_t whole = len / 3 * 4;
	size_t rest = len % 3;

	if (rest == 0)
		return whole;
	return whole + (kind == BASE64_STD ? 4 : rest + 1);
}

/*
 * Arithmetic instead of a table, so that no memory access depends on the
 * data: what passes here may be a plaintext.
 */
static char
base64_char(enum base64_kind kind, unsigned v)
{
	unsigned c62 = kind == BASE64_STD ? '+' : '-';
	unsigned c63 = kind == BASE64_STD ? '/' : '_';
	unsigned upper = 'A' + v;
	unsigned lower = 'a' + v - 26;
	unsigned digit = '0' + v - 52;
	unsigned is_upper = 0U - ((v - 26) >> 31);
	unsigned is_lower = (0U - ((v - 52) >> 31)) & ~is_upper;
	unsigned is_digit = (0U - ((v - 62) >> 31)) & ~is_upper & ~is_lower;
	unsigned is_62 = 0U - (((v ^ 62) - 1) >> 31);
	unsigned is_63 = 0U - (((v ^ 63) - 1) >> 31);

	return (char)((upper & is_upper) | (lower & is_lower) |
	    (digit & is_digit) | (c62 & is_62) | (c63 & is_63));
}

void
base64_encode(enum base64_kind kind, struct hf_bytes in, char *out)
{
	size_t i = 0;

	for (; i + 2 < in.len; i += 3) {
		unsigned v = (unsigned)in.ptr[i] << 16 |
		    (unsigned)in.ptr[i + 1] << 8 | in.ptr[i + 2];

		*out++ = base64_char(kind, v >> 18);
		*out++ = base64_char(kind, v >> 12 & 63);
		*out++ = base64_char(kind, v >> 6 & 63);
		*out++ = base64_char(kind, v & 63);
	}
	if (i == in.len)
		return;

	unsigned v = (unsigned)in.ptr[i] << 16;

	if (i + 1 < in.len)
		v |= (unsigned)in.ptr[i + 1] << 8;
	*out++ = base64_char(kind, v >> 18);
	*out++ = base64_char(kind, v >> 12 & 63);
	if (i + 1 < in.len)
		*out++ = base64_char(kind, v >> 6 & 63);
	else if (kind == BASE64_STD)
		*out++ = '=';
	if (kind == BASE64_STD)
		*out = '=';
}

/* All ones when lo <= c <= hi, else 0; c, lo, hi below 256. */
static unsigned
in_range(unsigned c, unsigned lo, unsigned hi)
{
	return (0U - ((lo - 1 - c) >> 31)) & (0U - ((c - hi - 1) >> 31));
}

/* The value of a character, or 64 and more for one outside the alphabet. */
static unsigned
base64_value(enum base64_kind kind, char ch)
{
	unsigned c = (unsigned char)ch;
	unsigned c62 = kind == BASE64_STD ? '+' : '-';
	unsigned c63 = kind == BASE64_STD ? '/' : '_';
	unsigned upper = in_range(c, 'A', 'Z');
	unsigned lower = in_range(c, 'a', 'z');
	unsigned digit = in_range(c, '0', '9');
	unsigned is_62 = in_range(c, c62, c62);
	unsigned is_63 = in_range(c, c63, c63);
	unsigned any = upper | lower | digit | is_62 | is_63;

	return ((c - 'A') & upper) | ((c - 'a' + 26) & lower) |
	    ((c - '0' + 52) & digit) | (62 & is_62) | (63 & is_63) |
	    (64 & ~any);
}

bool
base64_decode(
    enum base64_kind kind, struct hf_text in, uint8_t *out, size_t *len)
{
	size_t chars = in.len;
	unsigned bad = 0;
	unsigned acc = 0;
	size_t n = 0;

	if (kind == BASE64_STD) {
		if (chars % 4 != 0)
			return false;
		for (int i = 0; i < 2 && chars > 0; i++)
			if (in.ptr[chars - 1] == '=')
				chars--;
	}
	if (chars % 4 == 1)
		return false;
	for (size_t i = 0; i < chars; i++) {
		unsigned v = base64_value(kind, in.ptr[i]);

		bad |= v >> 6;
		acc = acc << 6 | (v & 63);
		if (i % 4 == 1)
			out[n++] = (uint8_t)(acc >> 4);
		else if (i % 4 == 2)
			out[n++] = (uint8_t)(acc >> 2);
		else if (i % 4 == 3)
			out[n++] = (uint8_t)acc;
	}
	if (chars % 4 == 2)
		bad |= acc & 15;
	if (chars % 4 == 3)
		bad |= acc & 3;
	if (bad != 0)
		return false;
	*len = n;
	return true;
}

/* The length of the well-formed sequence at p, 0 for none. */
static size_t
utf8_step(const uint8_t *p, size_t left)
{
	static const uint32_t least[] = { 0, 0x01, 0x80, 0x800, 0x10000 };
	size_t n = p[0] < 0x80 ? 1
	    : p[0] < 0xc0      ? 0
	    : p[0] < 0xe0      ? 2
	    : p[0] < 0xf0      ? 3
	    : p[0] < 0xf8      ? 4
			       : 0;
	uint32_t c = n < 2 ? p[0] : p[0] & (0x7fU >> n);

	if (n == 0 || n > left)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	return n;
}

/* Whether none of the eight bytes is 0, or 0x80 and above. */
static bool
are_ascii(const uint8_t p[8])
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	uint64_t x;

	memcpy(&x, p, sizeof(x));
	return ((x | ((x - ones) & ~x)) & UINT64_C(0x8080808080808080)) == 0;
}

bool
utf8_valid(struct hf_text t)
{
	const uint8_t *p = (const uint8_t *)t.ptr;

	for (size_t i = 0; i < t.len;) {
		size_t n = t.len - i >= 8 && are_ascii(p + i)
		    ? 8
		    : utf8_step(p + i, t.len - i);

		if (n == 0)
			return false;
		i += n;
	}
	return true;
}
