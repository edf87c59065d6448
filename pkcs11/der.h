/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PKCS11_DER_H
#define PKCS11_DER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast/bytes.h>

/*
 * As much DER (X.690) as the attributes of keys and certificates need. All
 * results are views into the input; nothing recurses.
 */
enum {
	DER_INTEGER = 0x02,
	DER_BIT_STRING = 0x03,
	DER_OCTET_STRING = 0x04,
	DER_NULL = 0x05,
	DER_OID = 0x06,
	DER_SEQUENCE = 0x30,
	DER_VERSION = 0xa0, /* [0] of a certificate */
};

/* One element: its contents, and the whole with tag and length. */
struct der {
	uint8_t tag;
	struct hf_bytes inner, whole;
};

/*
 * Takes the next element off the front of `rest`. Definite lengths in their
 * shortest form only, tags of one byte; false otherwise.
 */
bool der_next(struct hf_bytes *rest, struct der *out);

/* The same, and it must have that tag. */
bool der_take(struct hf_bytes *rest, uint8_t tag, struct der *out);

/* Writes tag and length of an element; `out` takes 6 bytes. */
size_t der_head(uint8_t tag, size_t len, uint8_t *out);

/* A SubjectPublicKeyInfo (RFC 5280, section 4.1). */
struct spki {
	struct hf_bytes algorithm;  /* the OID, whole */
	struct hf_bytes parameters; /* whole; absent when there are none */
	struct hf_bytes key;        /* what the BIT STRING holds */
};
bool spki_parse(struct hf_bytes in, struct spki *out);

/* An RSAPublicKey (RFC 8017, A.1.1); numbers without leading zeros. */
bool rsa_parse(
    struct hf_bytes key, struct hf_bytes *modulus, struct hf_bytes *exponent);

/* A certificate (RFC 5280, section 4.1); everything whole. */
struct certificate {
	struct hf_bytes serial, issuer, subject, spki;
};
bool certificate_parse(struct hf_bytes in, struct certificate *out);

#endif
