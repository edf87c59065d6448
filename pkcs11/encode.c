/* SPDX-License-Identifier: Apache-2.0 */
#include "encode.h"

#include "../lib/bytes.h"
#include "der.h"

/* Whole AlgorithmIdentifiers, and the beginnings of those for curves. */
static const uint8_t rsa_algorithm[] = { 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86,
	0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00 };
static const uint8_t ed_algorithm[] = { 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65,
	0x70 };
static const uint8_t ec_oid[] = { 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d,
	0x02, 0x01 };
static const uint8_t version_0[] = { 0x02, 0x01, 0x00 };
static const uint8_t version_1[] = { 0x02, 0x01, 0x01 };

/* A memory error stays, whatever else is put. */
struct writer {
	struct buffer *to;
	enum hf_err err;
};

static void
put(struct writer *w, struct hf_bytes bytes)
{
	if (w->err == HF_OK && bytes.len > 0)
		w->err = buffer_add(w->to, bytes);
}

static void
put_element(struct writer *w, uint8_t tag, struct hf_bytes inner)
{
	uint8_t head[6];

	put(w, bytes_of(head, der_head(tag, inner.len, head)));
	put(w, inner);
}

/* A number that is not negative: without leading zeros, but for one where the
 * first bit is set. */
static void
put_number(struct writer *w, struct hf_bytes n)
{
	static const uint8_t zero[1];
	uint8_t head[6];
	size_t pad;

	while (n.len > 1 && n.ptr[0] == 0) {
		n.ptr++;
		n.len--;
	}
	if (n.len == 0)
		n = bytes_of(zero, 1);
	pad = n.ptr[0] >> 7;
	put(w, bytes_of(head, der_head(DER_INTEGER, n.len + pad, head)));
	put(w, bytes_of(zero, pad));
	put(w, n);
}

static CK_RV
result(const struct writer *w)
{
	return w->err == HF_OK ? CKR_OK : CKR_HOST_MEMORY;
}

/* SEQUENCE { version, algorithm, OCTET STRING { key } } */
static CK_RV
pkcs8(struct hf_bytes algorithm, struct hf_bytes key, struct buffer *out)
{
	AUTO_BUFFER inner = { 0 };
	struct writer w = { &inner, HF_OK }, outer = { out, HF_OK };

	put(&w, bytes_of(version_0, sizeof(version_0)));
	put(&w, algorithm);
	put_element(&w, DER_OCTET_STRING, key);
	put_element(&outer, DER_SEQUENCE, buffer_view(&inner));
	return w.err != HF_OK ? CKR_HOST_MEMORY : result(&outer);
}

static CK_RV
private_rsa(const struct wishes *k, struct buffer *out)
{
	const struct hf_bytes parts[] = { k->modulus, k->exponent,
		k->private_exponent, k->primes[0], k->primes[1],
		k->exponents[0], k->exponents[1], k->coefficient };
	AUTO_BUFFER numbers = { 0 };
	AUTO_BUFFER key = { 0 };
	struct writer w = { &numbers, HF_OK }, whole = { &key, HF_OK };

	put(&w, bytes_of(version_0, sizeof(version_0)));
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (parts[i].len == 0)
			return CKR_TEMPLATE_INCOMPLETE;
		put_number(&w, parts[i]);
	}
	put_element(&whole, DER_SEQUENCE, buffer_view(&numbers));
	if (w.err != HF_OK || whole.err != HF_OK)
		return CKR_HOST_MEMORY;
	return pkcs8(bytes_of(rsa_algorithm, sizeof(rsa_algorithm)),
	    buffer_view(&key), out);
}

static CK_RV
ec_algorithm(struct hf_bytes params, struct buffer *out)
{
	AUTO_BUFFER inner = { 0 };
	struct writer w = { &inner, HF_OK }, whole = { out, HF_OK };

	put(&w, bytes_of(ec_oid, sizeof(ec_oid)));
	put(&w, params);
	put_element(&whole, DER_SEQUENCE, buffer_view(&inner));
	return w.err != HF_OK ? CKR_HOST_MEMORY : result(&whole);
}

/* ECPrivateKey takes a number of the size of the curve; hosts leave zeros out.
 */
static size_t
scalar_size(const char *type)
{
	return strcmp(type, "ecdsa-p521") == 0 ? 66
	    : strcmp(type, "ecdsa-p384") == 0  ? 48
					       : 32;
}

static CK_RV
private_ec(const struct wishes *k, const char *type, struct buffer *out)
{
	static const uint8_t zeros[66];
	size_t size = scalar_size(type);
	AUTO_BUFFER algorithm = { 0 };
	AUTO_BUFFER scalar = { 0 };
	AUTO_BUFFER inner = { 0 };
	AUTO_BUFFER key = { 0 };
	struct writer s = { &scalar, HF_OK }, w = { &inner, HF_OK };
	struct writer whole = { &key, HF_OK };
	CK_RV rv;

	if (k->value.len > size)
		return CKR_ATTRIBUTE_VALUE_INVALID;
	put(&s, bytes_of(zeros, size - k->value.len));
	put(&s, k->value);
	put(&w, bytes_of(version_1, sizeof(version_1)));
	put_element(&w, DER_OCTET_STRING, buffer_view(&scalar));
	put_element(&whole, DER_SEQUENCE, buffer_view(&inner));
	if (s.err != HF_OK || w.err != HF_OK || whole.err != HF_OK)
		return CKR_HOST_MEMORY;
	rv = ec_algorithm(k->ec_params, &algorithm);
	return rv != CKR_OK
	    ? rv
	    : pkcs8(buffer_view(&algorithm), buffer_view(&key), out);
}

static CK_RV
private_ed(const struct wishes *k, struct buffer *out)
{
	AUTO_BUFFER seed = { 0 };
	struct writer w = { &seed, HF_OK };

	if (k->value.len != 32)
		return CKR_ATTRIBUTE_VALUE_INVALID;
	put_element(&w, DER_OCTET_STRING, k->value);
	if (w.err != HF_OK)
		return CKR_HOST_MEMORY;
	return pkcs8(bytes_of(ed_algorithm, sizeof(ed_algorithm)),
	    buffer_view(&seed), out);
}

CK_RV
encode_private(const struct wishes *w, struct buffer *out)
{
	const char *type = curve_by_params(w->ec_params);

	if (w->key_type == CKK_RSA)
		return private_rsa(w, out);
	if (w->value.len == 0 || w->ec_params.len == 0)
		return CKR_TEMPLATE_INCOMPLETE;
	if (type == NULL)
		return CKR_CURVE_NOT_SUPPORTED;
	return strcmp(type, "ed25519") == 0 ? private_ed(w, out)
					    : private_ec(w, type, out);
}

/* -- Public keys -- */

static CK_RV
spki(struct hf_bytes algorithm, struct hf_bytes key, struct buffer *out)
{
	static const uint8_t unused_bits[1];
	AUTO_BUFFER bits = { 0 };
	AUTO_BUFFER inner = { 0 };
	struct writer b = { &bits, HF_OK }, w = { &inner, HF_OK };
	struct writer whole = { out, HF_OK };

	put(&b, bytes_of(unused_bits, 1));
	put(&b, key);
	put(&w, algorithm);
	put_element(&w, DER_BIT_STRING, buffer_view(&bits));
	put_element(&whole, DER_SEQUENCE, buffer_view(&inner));
	return b.err != HF_OK || w.err != HF_OK ? CKR_HOST_MEMORY
						: result(&whole);
}

static CK_RV
public_rsa(const struct wishes *k, struct buffer *out)
{
	AUTO_BUFFER numbers = { 0 };
	AUTO_BUFFER key = { 0 };
	struct writer w = { &numbers, HF_OK }, whole = { &key, HF_OK };

	if (k->modulus.len == 0 || k->exponent.len == 0)
		return CKR_TEMPLATE_INCOMPLETE;
	put_number(&w, k->modulus);
	put_number(&w, k->exponent);
	put_element(&whole, DER_SEQUENCE, buffer_view(&numbers));
	if (w.err != HF_OK || whole.err != HF_OK)
		return CKR_HOST_MEMORY;
	return spki(bytes_of(rsa_algorithm, sizeof(rsa_algorithm)),
	    buffer_view(&key), out);
}

/* CKA_EC_POINT is a DER OCTET STRING; some hosts give the bare point. */
static struct hf_bytes
bare_point(struct hf_bytes point)
{
	struct hf_bytes rest = point;
	struct der e;

	if (der_take(&rest, DER_OCTET_STRING, &e) && rest.len == 0)
		return e.inner;
	return point;
}

CK_RV
encode_public(const struct wishes *w, struct buffer *out)
{
	const char *type = curve_by_params(w->ec_params);
	struct hf_bytes point = bare_point(w->ec_point);
	AUTO_BUFFER algorithm = { 0 };
	CK_RV rv;

	if (w->key_type == CKK_RSA)
		return public_rsa(w, out);
	if (w->ec_params.len == 0 || point.len == 0)
		return CKR_TEMPLATE_INCOMPLETE;
	if (type == NULL)
		return CKR_CURVE_NOT_SUPPORTED;
	if (strcmp(type, "ed25519") == 0)
		return spki(
		    bytes_of(ed_algorithm, sizeof(ed_algorithm)), point, out);
	rv = ec_algorithm(w->ec_params, &algorithm);
	return rv != CKR_OK ? rv : spki(buffer_view(&algorithm), point, out);
}
