/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_KEY_TYPE_H
#define KEYD_KEY_TYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast/bytes.h>

/*
 * What kinds of key there are: the types of Vault's transit, and which
 * protection levels may hold them. One row a type; whoever asks "can it"
 * reads a column.
 */
enum key_family {
	FAMILY_AEAD, /* symmetric, authenticated */
	FAMILY_RSA,
	FAMILY_EC,    /* ECDSA over a prime curve of FIPS 186-5 */
	FAMILY_EDDSA, /* RFC 8032 */
	FAMILY_HMAC,
	FAMILY_CMAC, /* NIST SP 800-38B */
	FAMILY_COUNT,
};

enum key_level { LEVEL_WRAPPED, LEVEL_HSM };

enum key_type_id {
	KEY_AES256_GCM96 = 1, /* stored: never renumber */
	KEY_AES128_GCM96 = 2,
	KEY_CHACHA20_POLY1305 = 3,
	KEY_ECDSA_P256 = 4,
	KEY_ECDSA_P384 = 5,
	KEY_ECDSA_P521 = 6,
	KEY_ED25519 = 7,
	KEY_RSA_2048 = 8,
	KEY_RSA_3072 = 9,
	KEY_RSA_4096 = 10,
	KEY_HMAC = 11,
	KEY_XCHACHA20_POLY1305 = 12,
	KEY_AES128_CMAC = 13,
	KEY_AES192_CMAC = 14,
	KEY_AES256_CMAC = 15,
	KEY_AES192_GCM96 = 16, /* ours: Vault has none */
};

struct key_type {
	enum key_type_id id;
	const char *name;       /* as Vault has it: "aes256-gcm96" */
	const char *short_name; /* as Vault shows a version: "P-256" */
	enum key_family family;
	/* Symmetric: bytes of the key; RSA: of the modulus; EC: of a
	 * coordinate; EdDSA: 32; HMAC: 0, the key has a setting for it. */
	size_t size;
	size_t bits;  /* RSA: modulus; EC: field; else 8 * size */
	size_t nonce; /* AEAD: bytes of the nonce */
	size_t tag;   /* AEAD: bytes of the tag */
	bool encrypts;
	bool signs;
	bool derives; /* may be used through a context (key_derive.h) */
	bool slow;    /* an operation takes long enough to be a worker's */
	bool brief;   /* ... but not so long that nobody may wait for it */
	bool hsm;     /* may live at level hsm */
};

/* One secret, and no public half. */
static inline bool
key_type_symmetric(const struct key_type *type)
{
	return type->family == FAMILY_AEAD || type->family == FAMILY_HMAC ||
	    type->family == FAMILY_CMAC;
}

/*
 * How often a version may encrypt when nothing else is set: below 2^32 under
 * random nonces of 96 bits (NIST SP 800-38D, 8.3); 0: no limit.
 */
static inline uint64_t
key_type_limit(const struct key_type *type)
{
	return type->family == FAMILY_AEAD && type->nonce == 12
	    ? UINT64_C(4000000000)
	    : 0;
}

/* Of the public half of a key of any type: a SubjectPublicKeyInfo (RFC 5280,
 * section 4.1.2.7). That of RSA-4096 has 550 bytes. */
enum {
	SPKI_MAX = 1024,     /* bytes of DER */
	SPKI_PEM_MAX = 2048, /* as PEM, with a NUL */
};

extern const struct key_type key_types[];
extern const size_t key_types_count;

/* NULL when there is none. */
const struct key_type *key_type_by_name(struct hf_text name);
const struct key_type *key_type_by_id(unsigned id);

/* "wrapped", "hsm". */
const char *key_level_name(enum key_level level);
bool key_level_by_name(struct hf_text name, enum key_level *out);

/*
 * Hash algorithms, under the names of Vault's transit. `size` in bytes;
 * `openssl` is the name for EVP_MD_fetch, `ckm`, `mgf` and `ckm_hmac` are the
 * numbers of PKCS#11 (CKM_x, CKG_MGF1_x, CKM_x_HMAC), 0 where PKCS#11 2.40
 * has none.
 */
struct hash_type {
	const char *name; /* "sha2-256" */
	const char *openssl;
	size_t size;
	unsigned long ckm;
	unsigned long mgf;
	unsigned long ckm_hmac;
};

/* NULL when there is none; "none" is none. */
const struct hash_type *hash_type_by_name(struct hf_text name);
const struct hash_type *hash_sha256(void);
extern const struct hash_type hash_types[];
extern const size_t hash_types_count;

/* How to sign: everything a caller can choose. */
enum sign_scheme { SIGN_PSS, SIGN_PKCS1V15, SIGN_ECDSA, SIGN_EDDSA };
enum sign_encoding { SIGN_ASN1, SIGN_JWS }; /* ECDSA: DER, or r and s */
enum { SALT_AUTO = -1, SALT_HASH = -2 };    /* PSS, else bytes */

struct sign_how {
	enum sign_scheme scheme;
	enum sign_encoding encoding;
	const struct hash_type
	    *hash;      /* NULL: "none" (PKCS#1 without DigestInfo) */
	bool prehashed; /* the input is the digest */
	int salt;
};

#endif
