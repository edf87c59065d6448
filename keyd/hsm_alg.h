/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_HSM_ALG_H
#define KEYD_HSM_ALG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <p11-kit/pkcs11.h>

#include "hsm.h"

/* Key types, roles and templates in the words of PKCS#11. */

/* OASIS PKCS#11 3.0 has it; the header of 2.40 does not. */
#define CKM_AES_KEY_WRAP_KWP 0x210bUL

/* What a key may do; nothing else is ever switched on. */
enum key_use {
	USE_ENCRYPT = 1,
	USE_DECRYPT = 2,
	USE_SIGN = 4,
	USE_WRAP = 8,
	USE_UNWRAP = 16,
	USE_DERIVE = 32,
};

struct hsm_alg {
	enum key_type_id id;
	CK_KEY_TYPE ckk;
	CK_OBJECT_CLASS class; /* secret, or private with a public half */
	CK_MECHANISM_TYPE generate;
	unsigned use;
	struct hf_bytes params; /* CKA_EC_PARAMS: the curve's OID, DER */
	unsigned besides;       /* more uses, where the HSM ... */
	unsigned needs;         /* ... can (enum hsm_can) */
};

/* NULL when there is no such key in an HSM. */
const struct hsm_alg *hsm_alg_of(const struct key_type *type);

struct hsm_role_alg {
	enum hsm_role role;
	enum key_type_id type;
	unsigned use;
	enum hf_err absent; /* what it means when there is none */
};
const struct hsm_role_alg *hsm_role_alg(enum hsm_role role);

/*
 * A template under construction. Numbers and yes/no values are kept inside;
 * byte strings stay with their owner. Adding beyond the room is a bug.
 */
enum { TEMPLATE_MAX = 24 };
struct key_template {
	CK_ATTRIBUTE a[TEMPLATE_MAX];
	CK_ULONG count;
	CK_ULONG numbers[TEMPLATE_MAX];
	CK_BBOOL bools[TEMPLATE_MAX];
};
void template_bool(struct key_template *t, CK_ATTRIBUTE_TYPE type, bool value);
void template_number(
    struct key_template *t, CK_ATTRIBUTE_TYPE type, CK_ULONG value);
void template_bytes(
    struct key_template *t, CK_ATTRIBUTE_TYPE type, struct hf_bytes value);

/* Token object or session object, extractable or not; always sensitive and
 * private, and no use but these. */
enum { KEY_ON_TOKEN = 1, KEY_EXTRACTABLE = 2 };
void template_key(struct key_template *t, CK_OBJECT_CLASS class, unsigned use,
    unsigned flags);
/* The public half. */
void template_public(struct key_template *t, const struct hsm_alg *alg,
    size_t bits, bool on_token);

/* PKCS#11 has no const; the module only reads what we pass. */
static inline uint8_t *
unconst(const void *p)
{
	return (uint8_t *)(uintptr_t)p;
}

static inline CK_MECHANISM
mechanism(CK_MECHANISM_TYPE type)
{
	return (CK_MECHANISM){ type, NULL, 0 };
}

#endif
