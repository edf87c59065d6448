/* SPDX-License-Identifier: Apache-2.0 */
#include "der.h"

static void
advance(struct hf_bytes *b, size_t n)
{
	b->ptr += n;
	b->len -= n;
}

/* The length after the tag; 0 bytes used: not one that DER allows. */
static size_t
read_length(struct hf_bytes in, size_t *len)
{
	size_t n, v = 0;

	if (in.len == 0)
		return 0;
	if (in.ptr[0] < 0x80) {
		*len = in.ptr[0];
		return 1;
	}
	n = in.ptr[0] & 0x7f;
	if (n < 1 || n > 3 || n >= in.len || in.ptr[1] == 0)
		return 0;
	for (size_t i = 1; i <= n; i++)
		v = v << 8 | in.ptr[i];
	if (v < 0x80)
		return 0;
	*len = v;
	return n + 1;
}

bool
der_next(struct hf_bytes *rest, struct der *out)
{
	struct hf_bytes in = *rest;
	size_t len = 0, used;

	if (in.len < 2 || (in.ptr[0] & 0x1f) == 0x1f)
		return false;
	out->tag = in.ptr[0];
	advance(&in, 1);
	used = read_length(in, &len);
	if (used == 0 || len > in.len - used)
		return false;
	advance(&in, used);
	out->inner = (struct hf_bytes){ in.ptr, len };
	advance(&in, len);
	out->whole = (struct hf_bytes){ rest->ptr, rest->len - in.len };
	*rest = in;
	return true;
}

bool
der_take(struct hf_bytes *rest, uint8_t tag, struct der *out)
{
	return der_next(rest, out) && out->tag == tag;
}

size_t
der_head(uint8_t tag, size_t len, uint8_t *out)
{
	size_t n = 0;

	out[n++] = tag;
	if (len >= 0x10000)
		out[n++] = 0x83;
	else if (len >= 0x100)
		out[n++] = 0x82;
	else if (len >= 0x80)
		out[n++] = 0x81;
	if (len >= 0x10000)
		out[n++] = (uint8_t)(len >> 16);
	if (len >= 0x100)
		out[n++] = (uint8_t)(len >> 8);
	out[n++] = (uint8_t)len;
	return n;
}

bool
spki_parse(struct hf_bytes in, struct spki *out)
{
	struct der all, algorithm, element, bits;

	if (!der_take(&in, DER_SEQUENCE, &all) || in.len != 0 ||
	    !der_take(&all.inner, DER_SEQUENCE, &algorithm) ||
	    !der_take(&all.inner, DER_BIT_STRING, &bits) ||
	    bits.inner.len < 1 || bits.inner.ptr[0] != 0)
		return false;
	if (!der_take(&algorithm.inner, DER_OID, &element))
		return false;
	*out = (struct spki){ .algorithm = element.whole };
	if (algorithm.inner.len > 0) {
		if (!der_next(&algorithm.inner, &element))
			return false;
		out->parameters = element.whole;
	}
	advance(&bits.inner, 1);
	out->key = bits.inner;
	return true;
}

static bool
take_number(struct hf_bytes *rest, struct hf_bytes *out)
{
	struct der number;

	if (!der_take(rest, DER_INTEGER, &number))
		return false;
	while (number.inner.len > 1 && number.inner.ptr[0] == 0)
		advance(&number.inner, 1);
	*out = number.inner;
	return out->len > 0;
}

bool
rsa_parse(
    struct hf_bytes key, struct hf_bytes *modulus, struct hf_bytes *exponent)
{
	struct der all;

	return der_take(&key, DER_SEQUENCE, &all) &&
	    take_number(&all.inner, modulus) &&
	    take_number(&all.inner, exponent);
}

static bool
skip(struct hf_bytes *rest, uint8_t tag)
{
	struct der passed;

	return der_take(rest, tag, &passed);
}

bool
certificate_parse(struct hf_bytes in, struct certificate *out)
{
	struct der all, tbs, e;
	struct hf_bytes rest;

	if (!der_take(&in, DER_SEQUENCE, &all) ||
	    !der_take(&all.inner, DER_SEQUENCE, &tbs))
		return false;
	rest = tbs.inner;
	if (!der_next(&rest, &e))
		return false;
	if (e.tag == DER_VERSION && !der_next(&rest, &e))
		return false;
	if (e.tag != DER_INTEGER)
		return false;
	out->serial = e.whole;
	if (!skip(&rest, DER_SEQUENCE) || /* signature algorithm */
	    !der_take(&rest, DER_SEQUENCE, &e))
		return false;
	out->issuer = e.whole;
	if (!skip(&rest, DER_SEQUENCE) || /* validity */
	    !der_take(&rest, DER_SEQUENCE, &e))
		return false;
	out->subject = e.whole;
	if (!der_take(&rest, DER_SEQUENCE, &e))
		return false;
	out->spki = e.whole;
	return true;
}
