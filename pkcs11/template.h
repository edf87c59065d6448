/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PKCS11_TEMPLATE_H
#define PKCS11_TEMPLATE_H

#include <stdbool.h>
#include <stdint.h>

#include <holdfast/bytes.h>

#include "cryptoki.h"

/*
 * Templates of objects that are to be made: each attribute is read by one row
 * of a table, into one member. Views point into the host's memory.
 */
struct wishes {
	CK_ULONG said; /* bits: which of those below were given */
	CK_OBJECT_CLASS class;
	CK_KEY_TYPE key_type;
	CK_CERTIFICATE_TYPE certificate_type;
	CK_ULONG value_len, modulus_bits;
	bool token, private, sensitive, extractable, always_authenticate;
	bool trusted;
	uint64_t uses;  /* enum hf_p11_use: those that were set ... */
	bool uses_said; /* ... or any of them was spoken of */
	struct hf_bytes label, id, value, certificate;
	struct hf_bytes modulus, exponent, private_exponent;
	struct hf_bytes primes[2], exponents[2], coefficient;
	struct hf_bytes ec_params, ec_point;
};

enum said {
	SAID_CLASS = 1,
	SAID_KEY_TYPE = 2,
	SAID_TOKEN = 4,
	SAID_SENSITIVE = 8,
	SAID_EXTRACTABLE = 16,
	SAID_VALUE_LEN = 32,
	SAID_MODULUS_BITS = 64,
	SAID_PRIVATE = 128,
	SAID_OTHER = 256,
};

/*
 * CKR_ATTRIBUTE_TYPE_INVALID for what no object here has,
 * CKR_ATTRIBUTE_READ_ONLY for what a host cannot set,
 * CKR_ATTRIBUTE_VALUE_INVALID for a value of the wrong size, and
 * CKR_TEMPLATE_INCONSISTENT for an attribute given twice.
 */
CK_RV template_read(
    const CK_ATTRIBUTE *template, CK_ULONG count, struct wishes *out);

/* The daemon's name of a curve's parameters (CKA_EC_PARAMS); NULL: none. */
const char *curve_by_params(struct hf_bytes params);

/*
 * The daemon's type of a key: by key type and size, or curve. `size` is in
 * bits for RSA and bytes for secrets. NULL when it has none.
 */
const char *type_of_key(
    CK_KEY_TYPE key_type, CK_ULONG size, struct hf_bytes ec_params);

/*
 * The type that an AES key has when it is to do nothing but these uses: one for
 * MACs alone is a key of transit's CMAC. `type` itself for all others.
 */
const char *type_for_uses(const char *type, uint64_t uses);

/* Bits of a pair of that type, and what keys of it do by default. */
CK_ULONG bits_of_type(const char *type);
uint64_t uses_of_type(const char *type);

#endif
