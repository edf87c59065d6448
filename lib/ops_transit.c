/* SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include "ops_rows.h"

/* How the structs of holdfast/ops_transit.h stand on the wire. */

/* clang-format off */

/* -- import -- */

enum { WRAPPED_KEY_MAX = 16384, PEM_MAX = 16384 };

/* As Vault writes them here. */
#define OAEP_HASHES "SHA1|SHA224|SHA256|SHA384|SHA512"

SCHEMA_PUBLIC(schema_wrapping_key_out, hf_wrapping_key_out,
	F(hf_wrapping_key_out, "public_key", public_key, 0, 4096, DATA, NULL, "PEM of the key to wrap imported keys with"));

#define MATERIAL_FIELDS(s) \
	F(s, "ciphertext",      ciphertext,      0, WRAPPED_KEY_MAX, 0, NULL, "the key, wrapped: RSA-OAEP(AES key), then AES-KWP(key)"), \
	F(s, "hmac_ciphertext", hmac_ciphertext, 0, WRAPPED_KEY_MAX, 0, NULL, "the key for hmac of other types, wrapped alike; a new one when absent"), \
	F(s, "public_key",      public_key,      1, PEM_MAX, 0, NULL, "PEM of a public key alone, instead of ciphertext"), \
	F(s, "hash_function",   hash_function,   1, 8, PLAIN, OAEP_HASHES, "hash of OAEP; SHA256 when absent")

SCHEMA_PUBLIC(schema_key_import_in, hf_key_import_in,
	KEY_FIELD(hf_key_import_in),
	F(hf_key_import_in, "type", type, 1, 64, PLAIN, TYPES, "type; aes256-gcm96 when absent"),
	MATERIAL_FIELDS(hf_key_import_in),
	F(hf_key_import_in, "level",                  level,                  1, 16, PLAIN, "wrapped|hsm", "protection level; the service's default when absent"),
	F(hf_key_import_in, "keyring",                keyring,                1, NAME_MAX_BYTES, PLAIN | NAME, NULL, "keyring; default when absent"),
	F(hf_key_import_in, "prefix",                 prefix,                 1, 32, PLAIN | NAME, NULL, "what its text ciphertexts start with; vault when absent"),
	F(hf_key_import_in, "allow_rotation",         allow_rotation,         0, 1, PLAIN, NULL, "the service may make further versions itself"),
	F(hf_key_import_in, "auto_rotate_period",     auto_rotate_period,     0, PERIOD_MAX, PLAIN | SECONDS, NULL, "make a new version when the latest is so old: at least an hour, with allow_rotation; 0: never"),
	F(hf_key_import_in, "derived",                derived,                0, 1, PLAIN, NULL, "every use gives a context, which leads to a key of its own"),
	F(hf_key_import_in, "committing",             committing,             0, 1, PLAIN, NULL, "ciphertexts open under one key only, and are not Vault's"),
	F(hf_key_import_in, "exportable",             exportable,             0, 1, PLAIN, NULL, "key material may leave; cannot be taken back"),
	F(hf_key_import_in, "allow_plaintext_backup", allow_plaintext_backup, 0, 1, PLAIN, NULL, "the key may be backed up; cannot be taken back"),
	F(hf_key_import_in, "deletion_allowed",       deletion_allowed,       0, 1, PLAIN, NULL, "the key may be deleted"));
SCHEMA_PUBLIC(schema_key_import_version_in, hf_key_import_version_in,
	KEY_FIELD(hf_key_import_version_in),
	F(hf_key_import_version_in, "version", version, 0, VERSION_MAX, PLAIN, NULL, "version whose private half this is; a new version when absent"),
	MATERIAL_FIELDS(hf_key_import_version_in));

/* -- certificates -- */

enum { SUBJECT_MAX = 1024, ALT_NAMES_MAX = 100, DAYS_MAX = 36500 };

#define VERSION_FIELD(s) \
	F(s, "version", version, 0, VERSION_MAX, PLAIN, NULL, "version of the key; the primary one when absent or 0")
#define SUBJECT_FIELDS(s) \
	F(s, "subject", subject, 1, SUBJECT_MAX, PLAIN, NULL, "as in 'CN=web.example, O=Example'; CN=<name of the key> when absent"), \
	TEXTS(s, "alt_names", alt_names, ALT_NAMES_MAX, PLAIN, "DNS names and IP addresses")

SCHEMA_PUBLIC(schema_key_csr_in, hf_key_csr_in,
	KEY_FIELD(hf_key_csr_in), VERSION_FIELD(hf_key_csr_in),
	F(hf_key_csr_in, "csr", csr, 1, CHAIN_PEM_MAX, 0, NULL, "a request (PEM or DER) whose subject and attributes to take"),
	SUBJECT_FIELDS(hf_key_csr_in));
SCHEMA_PUBLIC(schema_key_csr_out, hf_key_csr_out,
	F(hf_key_csr_out, "name",        name,        0, NAME_MAX_BYTES, PLAIN, NULL, "name of the key"),
	F(hf_key_csr_out, "type",        type,        0, 64, PLAIN, NULL, "type of the key"),
	F(hf_key_csr_out, "key_version", key_version, 0, VERSION_MAX, PLAIN, NULL, "version that signed"),
	F(hf_key_csr_out, "csr",         csr,         0, CHAIN_PEM_MAX, DATA, NULL, "certificate request (PKCS#10), PEM"));
SCHEMA_PUBLIC(schema_key_set_certificate_in, hf_key_set_certificate_in,
	KEY_FIELD(hf_key_set_certificate_in), VERSION_FIELD(hf_key_set_certificate_in),
	F(hf_key_set_certificate_in, "certificate_chain", certificate_chain, 0, CHAIN_PEM_MAX, DATA, NULL, "PEM: the certificate of the key, then its CAs, each followed by its issuer"));
SCHEMA_PUBLIC(schema_key_self_sign_in, hf_key_self_sign_in,
	KEY_FIELD(hf_key_self_sign_in), VERSION_FIELD(hf_key_self_sign_in),
	SUBJECT_FIELDS(hf_key_self_sign_in),
	F(hf_key_self_sign_in, "days", days, 0, DAYS_MAX, PLAIN, NULL, "how long it is valid; 365 when absent"));

/* -- export and backup -- */

enum { EXPORTED_MAX = 32768, BACKUP_MAX = 33 << 20 };

SCHEMA_PUBLIC(schema_key_export_in, hf_key_export_in,
	KEY_FIELD(hf_key_export_in), VERSION_FIELD(hf_key_export_in),
	F(hf_key_export_in, "all",    all,    0, 1, PLAIN, NULL, "all versions that still open or verify"),
	F(hf_key_export_in, "format", format, 1, 8, PLAIN, "raw|der|pem", "raw when absent for symmetric keys, pem for others"));
SCHEMA(schema_exported_key, hf_exported_key,
	F(hf_exported_key, "version", version, 0, VERSION_MAX, PLAIN, NULL, "version"),
	F(hf_exported_key, "key",     key,     0, EXPORTED_MAX, SECRET, NULL, "what was asked for"));
SCHEMA_PUBLIC(schema_key_export_out, hf_key_export_out,
	F(hf_key_export_out, "name",        name,        0, NAME_MAX_BYTES, PLAIN, NULL, "name of the key"),
	F(hf_key_export_out, "type",        type,        0, 64, PLAIN, NULL, "type of the key"),
	F(hf_key_export_out, "key_version", key_version, 0, VERSION_MAX, PLAIN, NULL, "version"),
	F(hf_key_export_out, "key",         key,         0, EXPORTED_MAX, SECRET | DATA, NULL, "what was asked for"),
	LIST(hf_key_export_out, "keys", keys, 1000, &schema_exported_key, 0, "the same for all versions, oldest first"));

SCHEMA_PUBLIC(schema_byok_export_in, hf_byok_export_in,
	KEY_FIELD(hf_byok_export_in),
	F(hf_byok_export_in, "destination", destination, 1, NAME_MAX_BYTES, REQUIRED | PLAIN | NAME, NULL, "RSA key of this service to wrap it for"),
	VERSION_FIELD(hf_byok_export_in));
SCHEMA_PUBLIC(schema_byok_export_out, hf_byok_export_out,
	F(hf_byok_export_out, "name",            name,            0, NAME_MAX_BYTES, PLAIN, NULL, "name of the key"),
	F(hf_byok_export_out, "type",            type,            0, 64, PLAIN, NULL, "type of the key"),
	F(hf_byok_export_out, "key_version",     key_version,     0, VERSION_MAX, PLAIN, NULL, "version"),
	F(hf_byok_export_out, "ciphertext",      ciphertext,      0, WRAPPED_KEY_MAX, DATA, NULL, "the key, wrapped: RSA-OAEP(AES key), then AES-KWP(key)"),
	F(hf_byok_export_out, "hmac_ciphertext", hmac_ciphertext, 0, WRAPPED_KEY_MAX, 0, NULL, "its key for hmac, wrapped alike"));

SCHEMA_PUBLIC(schema_key_backup_in, hf_key_backup_in,
	KEY_FIELD(hf_key_backup_in),
	F(hf_key_backup_in, "recipient", recipient, 1, PEM_MAX, 0, NULL, "PEM of another service's wrapping key; this HSM when absent"));
SCHEMA_PUBLIC(schema_key_backup_out, hf_key_backup_out,
	F(hf_key_backup_out, "backup", backup, 0, BACKUP_MAX, DATA, NULL, "the key with all its versions, sealed"));
SCHEMA_PUBLIC(schema_key_restore_in, hf_key_restore_in,
	KEY_FIELD(hf_key_restore_in),
	F(hf_key_restore_in, "backup", backup, 0, BACKUP_MAX, DATA, NULL, "what backup gave"),
	F(hf_key_restore_in, "force",  force,  0, 1, PLAIN, NULL, "also in place of a key that is there"));

/* -- from key to key -- */

#define REENCRYPT_ITEM(s, at, need) \
	F(s, "ciphertext",          at ciphertext,          0, DATA_MAX, DATA | SEALED | (need), NULL, "what encrypt gave, in either form"), \
	F(s, "associated_data",     at associated_data,     0, AAD_MAX, 0, NULL, "as given to encrypt"), \
	BOUND_FIELD(s, at, "as given to encrypt"), \
	CONTEXT_FIELD(s, at), \
	F(s, "new_associated_data", at new_associated_data, 0, AAD_MAX, 0, NULL, "for the new ciphertext; the old one's when absent"), \
	F_AS(s, "new_context",      at new_context,         0, CONTEXT_MAX, 0, NULL, "for a destination that is derived; the old one's when absent", "new-derivation-context"), \
	PAIRS(s, "new_encryption_context", at new_encryption_context, 0, "for the new ciphertext; the old one's when absent, none when empty", "new-context"), \
	F(s, "key_version",         at key_version,         0, VERSION_MAX, PLAIN, NULL, "version of the destination; the primary one when absent or 0")
#define REENCRYPT_RESULT(s, at) \
	F(s, "ciphertext",  at ciphertext,  0, DATA_MAX, DATA | SEALED, NULL, "the data under the destination"), \
	F(s, "key_version", at key_version, 0, VERSION_MAX, PLAIN, NULL, "version of the destination that was used")

SCHEMA(schema_reencrypt_item, hf_reencrypt_item,
	REENCRYPT_ITEM(hf_reencrypt_item, , REQUIRED), REFERENCE_FIELD(hf_reencrypt_item));
SCHEMA(schema_reencrypt_result, hf_reencrypt_result,
	REENCRYPT_RESULT(hf_reencrypt_result, ), STATUS_FIELDS(hf_reencrypt_result, ));
SCHEMA_PUBLIC(schema_reencrypt_in, hf_reencrypt_in,
	KEY_FIELD(hf_reencrypt_in),
	F(hf_reencrypt_in, "destination", destination, 1, NAME_MAX_BYTES, REQUIRED | PLAIN | NAME, NULL, "key to encrypt with"),
	REENCRYPT_ITEM(hf_reencrypt_in, item., 0), FORMAT_FIELD(hf_reencrypt_in),
	LIST(hf_reencrypt_in, "batch_input", batch_input, BATCH_MAX, &schema_reencrypt_item, 0, "items to re-encrypt, instead of one"));
SCHEMA_PUBLIC(schema_reencrypt_out, hf_reencrypt_out,
	REENCRYPT_RESULT(hf_reencrypt_out, result.),
	LIST(hf_reencrypt_out, "batch_results", batch_results, BATCH_MAX, &schema_reencrypt_result, 0, "a result for each item, in order"));

/* -- cmac -- */

#define CMAC_INPUT(s, at, need) \
	F(s, "input", at input, 0, DATA_MAX, SECRET | DATA | (need), NULL, "data; may be empty")
#define CMAC_RESULT(s, at) \
	F(s, "cmac",        at cmac,        0, 512, DATA | SEALED, NULL, "the MAC"), \
	F(s, "key_version", at key_version, 0, VERSION_MAX, PLAIN, NULL, "version that was used")

SCHEMA(schema_cmac_item, hf_cmac_item,
	CMAC_INPUT(hf_cmac_item, , REQUIRED), REFERENCE_FIELD(hf_cmac_item));
SCHEMA(schema_cmac_result, hf_cmac_result,
	CMAC_RESULT(hf_cmac_result, ), STATUS_FIELDS(hf_cmac_result, ));
SCHEMA_PUBLIC(schema_cmac_in, hf_cmac_in,
	KEY_FIELD(hf_cmac_in), CMAC_INPUT(hf_cmac_in, item., 0),
	F(hf_cmac_in, "mac_length",  mac_length,  0, 16, PLAIN, NULL, "bytes of the MAC, 8 to 16; 16 when absent"),
	F(hf_cmac_in, "key_version", key_version, 0, VERSION_MAX, PLAIN, NULL, "version to use; the primary one when absent or 0"),
	FORMAT_FIELD(hf_cmac_in),
	LIST(hf_cmac_in, "batch_input", batch_input, BATCH_MAX, &schema_cmac_item, 0, "inputs, instead of one"));
SCHEMA_PUBLIC(schema_cmac_out, hf_cmac_out,
	CMAC_RESULT(hf_cmac_out, result.),
	LIST(hf_cmac_out, "batch_results", batch_results, BATCH_MAX, &schema_cmac_result, 0, "a result for each item, in order"));

/* -- keys that lead to keys, and pairs -- */

#define PAIR_TYPES "ecdsa-p256|ecdsa-p384|ecdsa-p521|ed25519|rsa-2048|rsa-3072|rsa-4096"

SCHEMA_PUBLIC(schema_derive_key_in, hf_derive_key_in,
	F(hf_derive_key_in, "name",                   name,                   1, NAME_MAX_BYTES, REQUIRED | PLAIN | KEYNAME, NULL, "name of the new key"),
	F(hf_derive_key_in, "base_key_name",          base_key_name,          1, NAME_MAX_BYTES, REQUIRED | PLAIN | NAME, NULL, "ECDSA key of this service to agree with"),
	F(hf_derive_key_in, "base_key_version",       base_key_version,       0, VERSION_MAX, PLAIN, NULL, "its version; the primary one when absent or 0"),
	F(hf_derive_key_in, "peer_public_key",        peer_public_key,        1, PEM_MAX, REQUIRED, NULL, "PEM of the other party's public key, on the same curve"),
	F(hf_derive_key_in, "derived_key_type",       derived_key_type,       1, 64, PLAIN, TYPES, "type of the new key; aes256-gcm96 when absent"),
	F(hf_derive_key_in, "level",                  level,                  1, 16, PLAIN, "wrapped|hsm", "protection level of the new key; the service's default when absent"),
	F(hf_derive_key_in, "keyring",                keyring,                1, NAME_MAX_BYTES, PLAIN | NAME, NULL, "keyring; default when absent"),
	F(hf_derive_key_in, "prefix",                 prefix,                 1, 32, PLAIN | NAME, NULL, "what its text ciphertexts start with; vault when absent"),
	F(hf_derive_key_in, "exportable",             exportable,             0, 1, PLAIN, NULL, "key material may leave; cannot be taken back"),
	F(hf_derive_key_in, "allow_plaintext_backup", allow_plaintext_backup, 0, 1, PLAIN, NULL, "the key may be backed up; cannot be taken back"),
	F(hf_derive_key_in, "deletion_allowed",       deletion_allowed,       0, 1, PLAIN, NULL, "the key may be deleted"));

SCHEMA(schema_datakey_pair, hf_datakey_pair,
	F(hf_datakey_pair, "private_key", private_key, 0, 8192, SECRET, NULL, "private key, PKCS#8 DER"),
	F(hf_datakey_pair, "ciphertext",  ciphertext,  0, WRAPPED_KEY_MAX, SEALED, NULL, "private key, encrypted; decrypt opens it"),
	F(hf_datakey_pair, "public_key",  public_key,  0, 4096, 0, NULL, "PEM"),
	F(hf_datakey_pair, "key_version", key_version, 0, VERSION_MAX, PLAIN, NULL, "version that was used"));
SCHEMA_PUBLIC(schema_datakey_pairs_in, hf_datakey_pairs_in,
	KEY_FIELD(hf_datakey_pairs_in),
	F(hf_datakey_pairs_in, "type",            type,            1, 64, PLAIN | REQUIRED, PAIR_TYPES, "type of the pairs"),
	F(hf_datakey_pairs_in, "count",           count,           0, 32, PLAIN, NULL, "how many; 1 when absent"),
	F(hf_datakey_pairs_in, "associated_data", associated_data, 0, AAD_MAX, 0, NULL, "authenticated with each private key, and needed again to decrypt it"),
	BOUND_FIELD(hf_datakey_pairs_in, , "names and values that each private key is bound to; needed again to decrypt it"),
	CONTEXT_FIELD(hf_datakey_pairs_in, ),
	F(hf_datakey_pairs_in, "key_version",     key_version,     0, VERSION_MAX, PLAIN, NULL, "version to use; the primary one when absent or 0"),
	FORMAT_FIELD(hf_datakey_pairs_in));
SCHEMA_PUBLIC(schema_datakey_pairs_out, hf_datakey_pairs_out,
	LIST(hf_datakey_pairs_out, "key_pairs", key_pairs, 32, &schema_datakey_pair, ALWAYS, "the pairs"));

/* -- keys for parts of a whole -- */

enum { DERIVED_MAX = 256, DERIVE_INPUT_MAX = 1024 };

SCHEMA(schema_derived_key, hf_derived_key,
	F(hf_derived_key, "index", index, 0, UINT32_MAX, PLAIN | ALWAYS, NULL, "its number"),
	F(hf_derived_key, "key",   key,   0, 64, SECRET, NULL, "the key"));
SCHEMA_PUBLIC(schema_derived_keys_in, hf_derived_keys_in,
	KEY_FIELD(hf_derived_keys_in),
	F(hf_derived_keys_in, "salt",           salt,           0, DERIVE_INPUT_MAX, 0, NULL, "salt of HKDF"),
	F(hf_derived_keys_in, "info",           info,           0, DERIVE_INPUT_MAX, 0, NULL, "what the keys are for"),
	F(hf_derived_keys_in, "key_index_from", key_index_from, 0, UINT32_MAX, PLAIN, NULL, "number of the first key; 0 when absent"),
	F(hf_derived_keys_in, "key_index_to",   key_index_to,   0, UINT32_MAX, PLAIN, NULL, "number of the last key; the first when absent. At most 256 at a time"),
	F(hf_derived_keys_in, "bits",           bits,           0, 512, PLAIN, NULL, "size of a key: 128, 256 or 512; 256 when absent"),
	F(hf_derived_keys_in, "key_version",    key_version,    0, VERSION_MAX, PLAIN, NULL, "version to use; the primary one when absent or 0"));
SCHEMA_PUBLIC(schema_derived_keys_out, hf_derived_keys_out,
	F(hf_derived_keys_out, "key_version", key_version, 0, VERSION_MAX, PLAIN, NULL, "version that was used: ask for it to get the same again"),
	LIST(hf_derived_keys_out, "derived_keys", derived_keys, DERIVED_MAX, &schema_derived_key, ALWAYS, "the keys"));

/* clang-format on */
