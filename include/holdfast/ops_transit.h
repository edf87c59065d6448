/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOLDFAST_OPS_TRANSIT_H
#define HOLDFAST_OPS_TRANSIT_H

#include <stddef.h>
#include <stdint.h>

#include <holdfast/bytes.h>
#include <holdfast/item.h>

/*
 * What the operations beyond everyday encryption and signatures take and give:
 * keys that come from outside, certificates, export and backup. The rows are in
 * lib/ops_transit.c.
 *
 * Key material travels wrapped, in the form that Vault and PKCS#11's
 * CKM_RSA_AES_KEY_WRAP have: an AES-256 key, encrypted with RSA-OAEP under the
 * wrapping key (512 bytes for RSA-4096), then the material wrapped by that AES
 * key (AES-KWP, RFC 5649). The material is the key itself for symmetric types,
 * PKCS#8 DER (RFC 5208) for the others.
 */

struct hf_wrapping_key_out {
	struct hf_text public_key; /* PEM, RSA-4096 */
};

/* Either `ciphertext` or `public_key`. */
struct hf_key_import_in {
	struct hf_text name;
	struct hf_text type;
	struct hf_bytes ciphertext;
	struct hf_bytes
	    hmac_ciphertext; /* the key for hmac, where it has one */
	struct hf_text
	    public_key; /* PEM: a key that only verifies or encrypts */
	struct hf_text hash_function;
	struct hf_text level;
	struct hf_text keyring;
	struct hf_text prefix;
	_Bool allow_rotation;
	uint64_t auto_rotate_period; /* seconds; 0: never */
	_Bool derived;
	_Bool committing;
	_Bool exportable;
	_Bool allow_plaintext_backup;
	_Bool deletion_allowed;
};

struct hf_key_import_version_in {
	struct hf_text name;
	uint64_t version; /* 0: a new one; else the one to complete */
	struct hf_bytes ciphertext;
	struct hf_bytes hmac_ciphertext;
	struct hf_text public_key;
	struct hf_text hash_function;
};

/*
 * Certificates. A subject is written as "CN=web.example, O=Example"; absent, it
 * is the name of the key. `alt_names` are DNS names and IP addresses.
 */
struct hf_key_csr_in {
	struct hf_text name;
	struct hf_uint version;
	struct hf_bytes
	    csr; /* PEM or DER: its subject and attributes are taken */
	struct hf_text subject;
	struct hf_text *alt_names;
	size_t alt_names_count;
};

struct hf_key_csr_out {
	struct hf_text name;
	struct hf_text type;
	uint64_t key_version;
	struct hf_text csr; /* PEM */
};

struct hf_key_set_certificate_in {
	struct hf_text name;
	struct hf_uint version;
	struct hf_text certificate_chain; /* PEM, leaf first */
};

struct hf_key_self_sign_in {
	struct hf_text name;
	struct hf_uint version;
	struct hf_text subject;
	struct hf_text *alt_names;
	size_t alt_names_count;
	uint64_t days; /* 0 means 365 */
};

/* One version, or with `all` every one that may still be used. */
struct hf_key_export_in {
	struct hf_text name;
	struct hf_uint version;
	_Bool all;
	struct hf_text format;
};

struct hf_exported_key {
	uint64_t version;
	struct hf_bytes key;
};

struct hf_key_export_out {
	struct hf_text name;
	struct hf_text type;
	uint64_t key_version;
	struct hf_bytes key;
	struct hf_exported_key *keys;
	size_t keys_count;
};

struct hf_byok_export_in {
	struct hf_text name;
	struct hf_text destination; /* an RSA key of this service */
	struct hf_uint version;
};

struct hf_byok_export_out {
	struct hf_text name;
	struct hf_text type;
	uint64_t key_version;
	struct hf_bytes ciphertext; /* as key.import takes them */
	struct hf_bytes hmac_ciphertext;
};

struct hf_key_backup_in {
	struct hf_text name;
	struct hf_text recipient; /* PEM: the wrapping key of another service */
};

struct hf_key_backup_out {
	struct hf_bytes backup;
};

struct hf_key_restore_in {
	struct hf_text name;
	struct hf_bytes backup;
	_Bool force;
};

/*
 * From one key to another, without the plaintext leaving. What the new
 * ciphertext is bound to is what the old one was, unless it is said.
 */
struct hf_reencrypt_item {
	struct hf_bytes ciphertext;
	struct hf_bytes associated_data;
	const struct hf_pair *encryption_context;
	size_t encryption_context_count;
	struct hf_bytes context;
	struct hf_bytes new_associated_data;
	const struct hf_pair *new_encryption_context;
	size_t new_encryption_context_count;
	struct hf_bytes new_context;
	struct hf_uint key_version; /* of the destination */
	struct hf_text reference;
};

struct hf_reencrypt_result {
	struct hf_item_status status;
	struct hf_bytes ciphertext;
	uint64_t key_version;
};

struct hf_reencrypt_in {
	struct hf_text name;
	struct hf_text destination;
	struct hf_reencrypt_item item;
	struct hf_text format;
	struct hf_reencrypt_item *batch_input;
	size_t batch_input_count;
};

struct hf_reencrypt_out {
	struct hf_reencrypt_result result;
	struct hf_reencrypt_result *batch_results;
	size_t batch_results_count;
};

struct hf_cmac_item {
	struct hf_bytes input;
	struct hf_text reference;
};

struct hf_cmac_result {
	struct hf_item_status status;
	struct hf_bytes cmac;
	uint64_t key_version;
};

struct hf_cmac_in {
	struct hf_text name;
	struct hf_cmac_item item;
	uint64_t mac_length; /* bytes, 8 to 16; 0 means 16 */
	struct hf_uint key_version;
	struct hf_text format;
	struct hf_cmac_item *batch_input;
	size_t batch_input_count;
};

struct hf_cmac_out {
	struct hf_cmac_result result;
	struct hf_cmac_result *batch_results;
	size_t batch_results_count;
};

/*
 * A new key from an agreement of two: ECDH of a key of this service with a
 * public key of another party, then HKDF-SHA256 without salt and info. The
 * other party gets the same key with its private key and our public one.
 */
struct hf_derive_key_in {
	struct hf_text name; /* of the new key */
	struct hf_text base_key_name;
	struct hf_uint base_key_version;
	struct hf_bytes peer_public_key; /* PEM */
	struct hf_text derived_key_type;
	struct hf_text level;
	struct hf_text keyring;
	struct hf_text prefix;
	_Bool exportable;
	_Bool allow_plaintext_backup;
	_Bool deletion_allowed;
};

/* Key pairs for applications, their private halves encrypted like data keys. */
struct hf_datakey_pair {
	struct hf_bytes private_key; /* PKCS#8 DER; absent when only wrapped */
	struct hf_bytes ciphertext;
	struct hf_text public_key; /* PEM */
	uint64_t key_version;
};

struct hf_datakey_pairs_in {
	struct hf_text name;
	struct hf_text type;
	uint64_t count; /* 0 means 1 */
	struct hf_bytes associated_data;
	const struct hf_pair *encryption_context;
	size_t encryption_context_count;
	struct hf_bytes context;
	struct hf_uint key_version;
	struct hf_text format;
};

struct hf_datakey_pairs_out {
	struct hf_datakey_pair *key_pairs;
	size_t key_pairs_count;
};

/*
 * Keys that follow from a key of type hmac: HKDF-SHA256 of a version, with
 * `salt`, and as info "holdfast-derived-keys-v1", a zero byte, the index as
 * four bytes, big-endian, and `info`. They need not be kept, encrypted or not:
 * asked for again with the same version they are the same.
 */
struct hf_derived_key {
	uint64_t index;
	struct hf_bytes key;
};

struct hf_derived_keys_in {
	struct hf_text name;
	struct hf_bytes salt;
	struct hf_bytes info;
	uint64_t key_index_from;
	struct hf_uint key_index_to; /* absent: that one only */
	uint64_t bits;               /* 128, 256 or 512; 0 means 256 */
	struct hf_uint key_version;
};

struct hf_derived_keys_out {
	uint64_t key_version;
	struct hf_derived_key *derived_keys;
	size_t derived_keys_count;
};

#endif
