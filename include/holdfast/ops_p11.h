/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOLDFAST_OPS_P11_H
#define HOLDFAST_OPS_P11_H

#include <stddef.h>
#include <stdint.h>

#include <holdfast/bytes.h>

/*
 * What the operations behind the PKCS#11 module take and give. The rows are in
 * lib/ops_p11.c.
 */

/*
 * What a key is for, and what a caller may do with an object, by its kind and
 * by policy; bits.
 */
enum hf_p11_use {
	HF_P11_SIGN = 1,
	HF_P11_VERIFY = 2,
	HF_P11_ENCRYPT = 4,
	HF_P11_DECRYPT = 8,
	HF_P11_DERIVE = 16,
	HF_P11_WRAP = 32,
	HF_P11_UNWRAP = 64,
	HF_P11_RAW = 128,     /* modes and paddings without integrity */
	HF_P11_EXTRACT = 256, /* may be wrapped by another key */
	HF_P11_MODIFY = 512,
	HF_P11_DESTROY = 1024,
};

/*
 * One key version, or one certificate that stands alone. The module makes the
 * PKCS#11 objects of it.
 */
struct hf_p11_object {
	struct hf_bytes uid; /* 16 bytes, for ever the same */
	struct hf_text kind; /* key, public (its other half is not here),
			       certificate */
	struct hf_text name; /* of the key */
	uint64_t key_version;
	struct hf_text type; /* of the key, as in key.create */
	struct hf_text level;
	uint64_t bits;
	struct hf_bytes id;          /* CKA_ID */
	struct hf_text label;        /* CKA_LABEL */
	struct hf_bytes public_key;  /* SubjectPublicKeyInfo (RFC 5280), DER */
	struct hf_bytes certificate; /* DER */
	uint64_t uses;               /* enum hf_p11_use */
	_Bool imported;
	uint64_t creation_time;
};

struct hf_p11_find_in {
	struct hf_bytes if_version; /* as got last time */
};

struct hf_p11_find_out {
	struct hf_bytes version; /* of the whole list, as this caller sees it */
	_Bool unchanged;         /* it is that of if_version: no list */
	struct hf_p11_object *objects;
	size_t objects_count;
};

/* A mechanism and its parameters; what it does not use is absent. */
struct hf_p11_how {
	struct hf_text mechanism;
	struct hf_text hash; /* of PSS, OAEP, HMAC, or a KDF */
	struct hf_uint salt_length;
	struct hf_bytes iv;              /* nonce, initial counter block */
	struct hf_bytes associated_data; /* GCM; OAEP: label; KDF: info */
	uint64_t tag_bits;               /* GCM; CTR: of the counter */
	uint64_t output_bytes;           /* length of a MAC */
	struct hf_bytes peer;            /* ECDH: the other side's point */
	struct hf_bytes salt;            /* HKDF */
	struct hf_text steps; /* HKDF: extract, expand; absent: both */
};

struct hf_p11_use_in {
	struct hf_text name;
	uint64_t key_version;
	struct hf_p11_how how;
	struct hf_bytes data;
	struct hf_bytes login; /* what p11.login gave */
};

struct hf_p11_use_out {
	struct hf_bytes data;
};

struct hf_p11_verify_in {
	struct hf_text name;
	uint64_t key_version;
	struct hf_p11_how how;
	struct hf_bytes data;
	struct hf_bytes signature;
	struct hf_bytes login;
};

struct hf_p11_verify_out {
	_Bool valid;
};

/* -- Keys that are made -- */

/* What a key is to be, made here or brought. */
struct hf_p11_make {
	struct hf_text type;
	uint64_t key_size; /* hmac keys: bytes */
	uint64_t uses;     /* enum hf_p11_use; 0: what the type can do */
};

/* And besides, when it stays. */
struct hf_p11_stay {
	struct hf_text label;
	struct hf_bytes id;
	struct hf_text level;
	_Bool deletion_allowed;
};

/*
 * A key that stays has uid, name and key_version. One that lasts as long as a
 * PKCS#11 session is handed out sealed, and nowhere else: session_key.
 */
struct hf_p11_made {
	struct hf_bytes uid;
	struct hf_text name;
	uint64_t key_version;
	struct hf_bytes session_key; /* opens for this caller only */
	struct hf_bytes public_key;  /* SubjectPublicKeyInfo, DER */
	struct hf_bytes value;       /* where asked for: p11.derive */
	uint64_t key_size;           /* of secret keys: bytes */
};

struct hf_p11_generate_in {
	struct hf_text name;
	struct hf_p11_make make;
	struct hf_p11_stay stay;
	struct hf_bytes login;
};

struct hf_p11_import_in {
	struct hf_text name;
	struct hf_p11_make make;
	struct hf_p11_stay stay;
	struct hf_bytes material;   /* secret keys raw, others as PKCS#8 */
	struct hf_bytes public_key; /* instead: a public key alone */
	struct hf_bytes login;
};

/* A session key: new, or of the material. */
struct hf_p11_session_in {
	struct hf_p11_make make;
	struct hf_bytes material;
	struct hf_bytes login;
};

/* What p11.sign, p11.verify, ... do, with a session key or a public one. */
struct hf_p11_session_use_in {
	struct hf_text operation;
	struct hf_bytes session_key;
	struct hf_text type;        /* instead: a public key of that type, */
	struct hf_bytes public_key; /* to verify or to encrypt */
	struct hf_p11_how how;
	struct hf_bytes data;
	struct hf_bytes signature;
	struct hf_bytes login;
};

struct hf_p11_session_use_out {
	struct hf_bytes data;
	_Bool valid;
};

struct hf_p11_session_derive_in {
	struct hf_bytes session_key;
	struct hf_p11_how how;
	struct hf_p11_make make;
	_Bool give_value;
	struct hf_bytes login;
};

struct hf_p11_derive_in {
	struct hf_text name;
	uint64_t key_version;
	struct hf_p11_how how;
	struct hf_p11_make make;
	_Bool give_value; /* what is derived, in clear, besides */
	struct hf_bytes login;
};

/* The key that is wrapped: one that stays, or a session key. */
struct hf_p11_wrap_in {
	struct hf_text name;
	uint64_t key_version;
	struct hf_p11_how how;
	struct hf_text target;
	uint64_t target_version;
	struct hf_bytes session_key;
	struct hf_bytes login;
};

/* Without `target` the result is a session key. */
struct hf_p11_unwrap_in {
	struct hf_text name;
	uint64_t key_version;
	struct hf_p11_how how;
	struct hf_bytes data;
	struct hf_text target; /* name of the new key */
	struct hf_p11_make make;
	struct hf_p11_stay stay;
	struct hf_bytes login;
};

/* -- Keys and certificates that change -- */

struct hf_p11_set_in {
	struct hf_text name;
	struct hf_text label; /* absent: stays */
	struct hf_bytes id;
	struct hf_bytes login;
};

/* Without a certificate: none any more. */
struct hf_p11_set_certificate_in {
	struct hf_text name;
	uint64_t key_version;
	struct hf_bytes certificate; /* DER */
	struct hf_bytes login;
};

struct hf_p11_destroy_in {
	struct hf_text name;
	uint64_t key_version;
	struct hf_bytes login;
};

/* One that belongs to no key here: of an authority, say. */
struct hf_p11_certificate_in {
	struct hf_text name;
	struct hf_bytes certificate; /* DER */
	struct hf_text label;
	struct hf_bytes id;
	struct hf_bytes login;
};

struct hf_p11_certificate_delete_in {
	struct hf_text name;
	struct hf_bytes login;
};

/* -- Login -- */

struct hf_p11_login_in {
	struct hf_bytes pin;
};

struct hf_p11_login_out {
	struct hf_bytes login; /* for every request from now on */
};

/* The name is a uid, or the SHA-256 of a client certificate. */
struct hf_pin_in {
	struct hf_text name;
	struct hf_bytes pin;
};

#endif
