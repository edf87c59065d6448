/* SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include "bytes.h"
#include "ops_rows.h"

/*
 * How the structs of holdfast/ops.h stand on the wire: the only place that
 * knows names, bounds and what is secret.
 */
/* clang-format off */

/* -- encrypt -- */

#define ENCRYPT_ITEM(s, at, need) \
	F(s, "plaintext",       at plaintext,       0, DATA_MAX, SECRET | DATA | (need), NULL, "data to encrypt; may be empty"), \
	F(s, "associated_data", at associated_data, 0, AAD_MAX, 0, NULL, "authenticated with the data, and needed again to decrypt it"), \
	BOUND_FIELD(s, at, "names and values that the ciphertext is bound to; needed again to decrypt it"), \
	CONTEXT_FIELD(s, at), \
	F(s, "key_version",     at key_version,     0, VERSION_MAX, PLAIN, NULL, "version to use; the primary one when absent or 0")
#define ENCRYPT_RESULT(s, at) \
	F(s, "ciphertext",  at ciphertext,  0, DATA_MAX, DATA | SEALED, NULL, "the encrypted data"), \
	F(s, "key_version", at key_version, 0, VERSION_MAX, PLAIN, NULL, "version that was used")

SCHEMA(schema_encrypt_item, hf_encrypt_item,
	ENCRYPT_ITEM(hf_encrypt_item, , REQUIRED), REFERENCE_FIELD(hf_encrypt_item));
SCHEMA(schema_encrypt_result, hf_encrypt_result,
	ENCRYPT_RESULT(hf_encrypt_result, ), STATUS_FIELDS(hf_encrypt_result, ));
SCHEMA_PUBLIC(schema_encrypt_in, hf_encrypt_in,
	KEY_FIELD(hf_encrypt_in), ENCRYPT_ITEM(hf_encrypt_in, item., 0),
	F(hf_encrypt_in, "type", type, 1, 64, PLAIN, TYPES, "type of the key, where the service may make it (upsert)"),
	FORMAT_FIELD(hf_encrypt_in),
	LIST(hf_encrypt_in, "batch_input", batch_input, BATCH_MAX, &schema_encrypt_item, 0, "items to encrypt, instead of one"));
SCHEMA_PUBLIC(schema_encrypt_out, hf_encrypt_out,
	ENCRYPT_RESULT(hf_encrypt_out, result.),
	LIST(hf_encrypt_out, "batch_results", batch_results, BATCH_MAX, &schema_encrypt_result, 0, "a result for each item, in order"));

/* -- decrypt -- */

#define DECRYPT_ITEM(s, at, need) \
	F(s, "ciphertext",      at ciphertext,      0, DATA_MAX, DATA | SEALED | (need), NULL, "what encrypt gave, in either form"), \
	F(s, "associated_data", at associated_data, 0, AAD_MAX, 0, NULL, "as given to encrypt"), \
	BOUND_FIELD(s, at, "as given to encrypt"), \
	CONTEXT_FIELD(s, at)
#define DECRYPT_RESULT(s, at) \
	F(s, "plaintext",   at plaintext,   0, DATA_MAX, SECRET | DATA, NULL, "the decrypted data"), \
	F(s, "key_version", at key_version, 0, VERSION_MAX, PLAIN, NULL, "version that was used")

SCHEMA(schema_decrypt_item, hf_decrypt_item,
	DECRYPT_ITEM(hf_decrypt_item, , REQUIRED), REFERENCE_FIELD(hf_decrypt_item));
SCHEMA(schema_decrypt_result, hf_decrypt_result,
	DECRYPT_RESULT(hf_decrypt_result, ), STATUS_FIELDS(hf_decrypt_result, ));
SCHEMA_PUBLIC(schema_decrypt_in, hf_decrypt_in,
	KEY_FIELD(hf_decrypt_in), DECRYPT_ITEM(hf_decrypt_in, item., 0),
	LIST(hf_decrypt_in, "batch_input", batch_input, BATCH_MAX, &schema_decrypt_item, 0, "items to decrypt, instead of one"));
SCHEMA_PUBLIC(schema_decrypt_out, hf_decrypt_out,
	DECRYPT_RESULT(hf_decrypt_out, result.),
	LIST(hf_decrypt_out, "batch_results", batch_results, BATCH_MAX, &schema_decrypt_result, 0, "a result for each item, in order"));

/* -- rewrap -- */

#define REWRAP_ITEM(s, at, need) \
	F(s, "ciphertext",      at ciphertext,      0, DATA_MAX, DATA | SEALED | (need), NULL, "what encrypt gave, in either form"), \
	F(s, "associated_data", at associated_data, 0, AAD_MAX, 0, NULL, "as given to encrypt; kept"), \
	BOUND_FIELD(s, at, "as given to encrypt; kept"), \
	CONTEXT_FIELD(s, at), \
	F(s, "key_version",     at key_version,     0, VERSION_MAX, PLAIN, NULL, "version to encrypt under; the primary one when absent or 0")

SCHEMA(schema_rewrap_item, hf_rewrap_item,
	REWRAP_ITEM(hf_rewrap_item, , REQUIRED), REFERENCE_FIELD(hf_rewrap_item));
SCHEMA_PUBLIC(schema_rewrap_in, hf_rewrap_in,
	KEY_FIELD(hf_rewrap_in), REWRAP_ITEM(hf_rewrap_in, item., 0), FORMAT_FIELD(hf_rewrap_in),
	LIST(hf_rewrap_in, "batch_input", batch_input, BATCH_MAX, &schema_rewrap_item, 0, "items to rewrap, instead of one"));
SCHEMA_PUBLIC(schema_rewrap_out, hf_rewrap_out,
	ENCRYPT_RESULT(hf_rewrap_out, result.),
	LIST(hf_rewrap_out, "batch_results", batch_results, BATCH_MAX, &schema_encrypt_result, 0, "a result for each item, in order"));

/* -- datakey -- */

#define DATAKEY_ITEM(s, at) \
	F(s, "bits",            at bits,            0, 512, PLAIN, NULL, "size of the data key: 128, 256 or 512; 256 when absent"), \
	F(s, "associated_data", at associated_data, 0, AAD_MAX, 0, NULL, "authenticated with the data key, and needed again to decrypt it"), \
	BOUND_FIELD(s, at, "names and values that the ciphertext is bound to; needed again to decrypt it"), \
	CONTEXT_FIELD(s, at), \
	F(s, "key_version",     at key_version,     0, VERSION_MAX, PLAIN, NULL, "version to use; the primary one when absent or 0")
#define DATAKEY_RESULT(s, at) \
	F(s, "plaintext",   at plaintext,   0, 64, SECRET | DATA, NULL, "the data key"), \
	F(s, "ciphertext",  at ciphertext,  0, DATA_MAX, DATA | SEALED, NULL, "the data key, encrypted; decrypt opens it"), \
	F(s, "key_version", at key_version, 0, VERSION_MAX, PLAIN, NULL, "version that was used")

SCHEMA(schema_datakey_item, hf_datakey_item,
	DATAKEY_ITEM(hf_datakey_item, ), REFERENCE_FIELD(hf_datakey_item));
SCHEMA(schema_datakey_result, hf_datakey_result,
	DATAKEY_RESULT(hf_datakey_result, ), STATUS_FIELDS(hf_datakey_result, ));
SCHEMA_PUBLIC(schema_datakey_in, hf_datakey_in,
	KEY_FIELD(hf_datakey_in), DATAKEY_ITEM(hf_datakey_in, item.), FORMAT_FIELD(hf_datakey_in),
	LIST(hf_datakey_in, "batch_input", batch_input, 1024, &schema_datakey_item, 0, "data keys to make, instead of one"));
SCHEMA_PUBLIC(schema_datakey_out, hf_datakey_out,
	DATAKEY_RESULT(hf_datakey_out, result.),
	LIST(hf_datakey_out, "batch_results", batch_results, 1024, &schema_datakey_result, 0, "a result for each item, in order"));

/* -- hmac, sign, verify, hash: one input -- */

#define INPUT_ITEM(s, at, need) \
	F(s, "input", at input, 0, DATA_MAX, SECRET | DATA | (need), NULL, "data; may be empty")

SCHEMA(schema_input_item, hf_input_item,
	INPUT_ITEM(hf_input_item, , REQUIRED), REFERENCE_FIELD(hf_input_item));

#define HMAC_RESULT(s, at) \
	F(s, "hmac",        at hmac,        0, 512, DATA | SEALED, NULL, "the MAC"), \
	F(s, "key_version", at key_version, 0, VERSION_MAX, PLAIN, NULL, "version that was used")

SCHEMA(schema_hmac_result, hf_hmac_result,
	HMAC_RESULT(hf_hmac_result, ), STATUS_FIELDS(hf_hmac_result, ));
SCHEMA_PUBLIC(schema_hmac_in, hf_hmac_in,
	KEY_FIELD(hf_hmac_in), INPUT_ITEM(hf_hmac_in, item., 0),
	F(hf_hmac_in, "algorithm", algorithm, 1, 16, PLAIN, HASHES, "hash; sha2-256 when absent"),
	F(hf_hmac_in, "key_version", key_version, 0, VERSION_MAX, PLAIN, NULL, "version to use; the primary one when absent or 0"),
	FORMAT_FIELD(hf_hmac_in),
	LIST(hf_hmac_in, "batch_input", batch_input, BATCH_MAX, &schema_input_item, 0, "inputs, instead of one"));
SCHEMA_PUBLIC(schema_hmac_out, hf_hmac_out,
	HMAC_RESULT(hf_hmac_out, result.),
	LIST(hf_hmac_out, "batch_results", batch_results, BATCH_MAX, &schema_hmac_result, 0, "a result for each item, in order"));

#define SIGN_FIELDS(s) \
	F(s, "hash_algorithm",       hash_algorithm,       1, 16, PLAIN, HASHES "|none", "hash; sha2-256 when absent; none: PKCS#1 v1.5 without DigestInfo"), \
	F(s, "prehashed",            prehashed,            0, 1, PLAIN, NULL, "the input is the hash of the data"), \
	F(s, "signature_algorithm",  signature_algorithm,  1, 16, PLAIN, "pss|pkcs1v15", "RSA padding; pss when absent"), \
	F(s, "marshaling_algorithm", marshaling_algorithm, 1, 8, PLAIN, "asn1|jws", "ECDSA: DER or r and s side by side; asn1 when absent"), \
	F(s, "salt_length",          salt_length,          1, 8, PLAIN, NULL, "PSS: auto, hash, or bytes; auto when absent")
#define SIGN_RESULT(s, at) \
	F(s, "signature",   at signature,   0, 2048, DATA | SEALED, NULL, "the signature"), \
	F(s, "key_version", at key_version, 0, VERSION_MAX, PLAIN, NULL, "version that was used"), \
	F(s, "public_key",  at public_key,  0, 32, 0, NULL, "of a derived key: the public half that verifies this")

SCHEMA(schema_sign_item, hf_sign_item,
	INPUT_ITEM(hf_sign_item, , REQUIRED), CONTEXT_FIELD(hf_sign_item, ), REFERENCE_FIELD(hf_sign_item));
SCHEMA(schema_sign_result, hf_sign_result,
	SIGN_RESULT(hf_sign_result, ), STATUS_FIELDS(hf_sign_result, ));
SCHEMA_PUBLIC(schema_sign_in, hf_sign_in,
	KEY_FIELD(hf_sign_in), INPUT_ITEM(hf_sign_in, item., 0), CONTEXT_FIELD(hf_sign_in, item.), SIGN_FIELDS(hf_sign_in),
	F(hf_sign_in, "key_version", key_version, 0, VERSION_MAX, PLAIN, NULL, "version to use; the primary one when absent or 0"),
	FORMAT_FIELD(hf_sign_in),
	LIST(hf_sign_in, "batch_input", batch_input, BATCH_MAX, &schema_sign_item, 0, "inputs, instead of one"));
SCHEMA_PUBLIC(schema_sign_out, hf_sign_out,
	SIGN_RESULT(hf_sign_out, result.),
	LIST(hf_sign_out, "batch_results", batch_results, BATCH_MAX, &schema_sign_result, 0, "a result for each item, in order"));

#define VERIFY_ITEM(s, at, need) \
	INPUT_ITEM(s, at, need), \
	F(s, "signature", at signature, 0, 4096, SEALED, NULL, "what sign gave, in either form"), \
	F(s, "hmac",      at hmac,      0, 4096, SEALED, NULL, "what hmac gave, in either form"), \
	F(s, "cmac",      at cmac,      0, 4096, SEALED, NULL, "what cmac gave, in either form"), \
	CONTEXT_FIELD(s, at)

SCHEMA(schema_verify_item, hf_verify_item,
	VERIFY_ITEM(hf_verify_item, , REQUIRED), REFERENCE_FIELD(hf_verify_item));
SCHEMA(schema_verify_result, hf_verify_result,
	F(hf_verify_result, "valid", valid, 0, 1, PLAIN, NULL, "whether it matches"),
	STATUS_FIELDS(hf_verify_result, ));
SCHEMA_PUBLIC(schema_verify_in, hf_verify_in,
	KEY_FIELD(hf_verify_in), VERIFY_ITEM(hf_verify_in, item., 0), SIGN_FIELDS(hf_verify_in),
	F(hf_verify_in, "mac_length", mac_length, 0, 16, PLAIN, NULL, "bytes of a CMAC; 16 when absent"),
	LIST(hf_verify_in, "batch_input", batch_input, BATCH_MAX, &schema_verify_item, 0, "items to verify, instead of one"));
SCHEMA_PUBLIC(schema_verify_out, hf_verify_out,
	F(hf_verify_out, "valid", result.valid, 0, 1, PLAIN, NULL, "whether it matches"),
	LIST(hf_verify_out, "batch_results", batch_results, BATCH_MAX, &schema_verify_result, 0, "a result for each item, in order"));

SCHEMA(schema_hash_result, hf_hash_result,
	F(hf_hash_result, "sum", sum, 0, 64, DATA, NULL, "the hash"),
	STATUS_FIELDS(hf_hash_result, ));
SCHEMA_PUBLIC(schema_hash_in, hf_hash_in,
	INPUT_ITEM(hf_hash_in, item., 0),
	F(hf_hash_in, "algorithm", algorithm, 1, 16, PLAIN, HASHES, "hash; sha2-256 when absent"),
	LIST(hf_hash_in, "batch_input", batch_input, BATCH_MAX, &schema_input_item, 0, "inputs, instead of one"));
SCHEMA_PUBLIC(schema_hash_out, hf_hash_out,
	F(hf_hash_out, "sum", result.sum, 0, 64, DATA, NULL, "the hash"),
	LIST(hf_hash_out, "batch_results", batch_results, BATCH_MAX, &schema_hash_result, 0, "a result for each item, in order"));

/* -- random -- */

SCHEMA(schema_random_item, hf_random_item,
	F(hf_random_item, "bytes", bytes, 0, 131072, PLAIN, NULL, "how many bytes; 32 when absent or 0"),
	REFERENCE_FIELD(hf_random_item));
SCHEMA(schema_random_result, hf_random_result,
	F(hf_random_result, "random_bytes", random_bytes, 0, 131072, SECRET | DATA, NULL, "random bytes"),
	STATUS_FIELDS(hf_random_result, ));
SCHEMA_PUBLIC(schema_random_in, hf_random_in,
	F(hf_random_in, "bytes", item.bytes, 0, 131072, PLAIN, NULL, "how many bytes; 32 when absent or 0"),
	F(hf_random_in, "source", source, 1, 16, PLAIN, "hsm|platform|all", "the HSM, the operating system, or both combined; hsm when absent"),
	LIST(hf_random_in, "batch_input", batch_input, 1024, &schema_random_item, 0, "several draws, instead of one"));
SCHEMA_PUBLIC(schema_random_out, hf_random_out,
	F(hf_random_out, "random_bytes", result.random_bytes, 0, 131072, SECRET | DATA, NULL, "random bytes"),
	LIST(hf_random_out, "batch_results", batch_results, 1024, &schema_random_result, 0, "a result for each item, in order"));

/* -- keys -- */

SCHEMA(schema_key_version, hf_key_version,
	F(hf_key_version, "version",       version,       0, VERSION_MAX, PLAIN, NULL, "number"),
	F(hf_key_version, "state",         state,         0, 32, PLAIN, "enabled|disabled|destroy-scheduled|destroyed", "state"),
	F(hf_key_version, "level",         level,         0, 16, PLAIN, "wrapped|hsm", "protection level"),
	F(hf_key_version, "creation_time", creation_time, 0, INT64_MAX, PLAIN | TIME, NULL, "seconds since 1970"),
	F(hf_key_version, "destroy_time",  destroy_time,  0, INT64_MAX, PLAIN | TIME, NULL, "when it will be or was destroyed"),
	F(hf_key_version, "public_key",    public_key,    0, 4096, 0, NULL, "PEM"),
	F(hf_key_version, "certificate_chain", certificate_chain, 0, CHAIN_PEM_MAX, 0, NULL, "PEM, its own certificate first"),
	F(hf_key_version, "hsm",           hsm,           0, 256, PLAIN, NULL, "the HSMs that can use it, at level hsm"),
	F(hf_key_version, "made",          made,          0, INT64_MAX, PLAIN, NULL, "ciphertexts, signatures and MACs made; after a crash too many rather than too few"));
SCHEMA(schema_key_use, hf_key_use,
	F(hf_key_use, "version",   version,   0, VERSION_MAX, PLAIN, NULL, "version"),
	F(hf_key_use, "operation", operation, 0, 16, PLAIN, USES, "what it was used for; rewrap: opened to be encrypted anew"),
	F(hf_key_use, "count",     count,     0, INT64_MAX, PLAIN, NULL, "how often"),
	F(hf_key_use, "first_use", first_use, 0, INT64_MAX, PLAIN | TIME, NULL, "when first"),
	F(hf_key_use, "last_use",  last_use,  0, INT64_MAX, PLAIN | TIME, NULL, "when last"),
	F(hf_key_use, "callers",   callers,   0, INT64_MAX, PLAIN, NULL, "by how many callers; above 8 an estimate"));
SCHEMA_PUBLIC(schema_key_info, hf_key_info,
	F(hf_key_info, "name",                   name,                   0, NAME_MAX_BYTES, PLAIN, NULL, "name"),
	F(hf_key_info, "type",                   type,                   0, 64, PLAIN, TYPES, "type"),
	F(hf_key_info, "level",                  level,                  0, 16, PLAIN, "wrapped|hsm", "protection level of new versions"),
	F(hf_key_info, "keyring",                keyring,                0, NAME_MAX_BYTES, PLAIN, NULL, "keyring that seals it"),
	F(hf_key_info, "prefix",                 prefix,                 0, 32, PLAIN, NULL, "what its text ciphertexts start with"),
	F(hf_key_info, "latest_version",         latest_version,         0, VERSION_MAX, PLAIN | ALWAYS, NULL, "newest version"),
	F(hf_key_info, "primary_version",        primary_version,        0, VERSION_MAX, PLAIN | ALWAYS, NULL, "version used unless asked otherwise; 0: the latest"),
	F(hf_key_info, "min_available_version",  min_available_version,  0, VERSION_MAX, PLAIN | ALWAYS, NULL, "older versions are gone for good; 0: none is"),
	F(hf_key_info, "min_decryption_version", min_decryption_version, 0, VERSION_MAX, PLAIN | ALWAYS, NULL, "older versions neither decrypt nor verify"),
	F(hf_key_info, "min_encryption_version", min_encryption_version, 0, VERSION_MAX, PLAIN | ALWAYS, NULL, "older versions neither encrypt nor sign; 0: no limit"),
	F(hf_key_info, "deletion_allowed",       deletion_allowed,       0, 1, PLAIN | ALWAYS, NULL, "whether the key may be deleted"),
	F(hf_key_info, "exportable",             exportable,             0, 1, PLAIN | ALWAYS, NULL, "whether key material may leave"),
	F(hf_key_info, "allow_plaintext_backup", allow_plaintext_backup, 0, 1, PLAIN | ALWAYS, NULL, "whether the key may be backed up"),
	F(hf_key_info, "supports_encryption",    supports_encryption,    0, 1, PLAIN | ALWAYS, NULL, "can encrypt"),
	F(hf_key_info, "supports_decryption",    supports_decryption,    0, 1, PLAIN | ALWAYS, NULL, "can decrypt"),
	F(hf_key_info, "supports_signing",       supports_signing,       0, 1, PLAIN | ALWAYS, NULL, "can sign"),
	F(hf_key_info, "supports_derivation",    supports_derivation,    0, 1, PLAIN | ALWAYS, NULL, "can derive"),
	F(hf_key_info, "soft_deleted",           soft_deleted,           0, 1, PLAIN | ALWAYS, NULL, "all use is refused until it is restored"),
	F(hf_key_info, "imported_key",           imported_key,           0, 1, PLAIN | ALWAYS, NULL, "came from outside"),
	F(hf_key_info, "imported_key_allow_rotation", imported_key_allow_rotation, 0, 1, PLAIN, NULL, "the service may add versions to it"),
	F(hf_key_info, "derived",                derived,                0, 1, PLAIN | ALWAYS, NULL, "every use gives a context, which leads to a key of its own"),
	F(hf_key_info, "convergent_encryption",  convergent_encryption,  0, 1, PLAIN, NULL, "the same plaintext and context give the same ciphertext"),
	F(hf_key_info, "convergent_encryption_version", convergent_encryption_version, 0, 255, PLAIN, NULL, "how, as Vault numbers it"),
	F(hf_key_info, "key_size",               key_size,               0, 512, PLAIN, NULL, "hmac keys: bytes"),
	F(hf_key_info, "creation_time",          creation_time,          0, INT64_MAX, PLAIN | TIME | ALWAYS, NULL, "seconds since 1970"),
	F(hf_key_info, "committing",             committing,             0, 1, PLAIN, NULL, "ciphertexts open under one key only, and are not Vault's"),
	TEXTS(hf_key_info, "required_context", required_context, CONTEXT_PAIRS, PLAIN, "names that every encryption_context must have"),
	TEXTS(hf_key_info, "audit_context", audit_context, CONTEXT_PAIRS, PLAIN, "names of encryption_context that the audit log has in clear; *: all"),
	F(hf_key_info, "warning",                warning,                0, 256, 0, NULL, "something to know"),
	TEXTS(hf_key_info, "aliases", aliases, LIST_MAX, PLAIN, "names that point here"),
	F(hf_key_info, "use_limit",              use_limit,              0, INT64_MAX, PLAIN, NULL, "ciphertexts, signatures and MACs that a version may make"),
	F(hf_key_info, "auto_rotate_period",     auto_rotate_period,     0, PERIOD_MAX, PLAIN | SECONDS, NULL, "a new version is made when the latest is so old"),
	F(hf_key_info, "auto_retire_age",        auto_retire_age,        0, PERIOD_MAX, PLAIN | SECONDS, NULL, "min_decryption_version passes versions that were superseded so long ago"),
	F(hf_key_info, "auto_retire_behind",     auto_retire_behind,     0, VERSION_MAX, PLAIN, NULL, "min_decryption_version passes versions that are more than so many behind the latest"),
	F(hf_key_info, "next_due",               next_due,               0, INT64_MAX, PLAIN | TIME, NULL, "when the next of that is due"),
	LIST(hf_key_info, "keys", keys, VERSION_MAX, &schema_key_version, 0, "its versions, oldest first"),
	LIST(hf_key_info, "uses", uses, USES_MAX, &schema_key_use, 0, "what its versions were used for"));
SCHEMA_PUBLIC(schema_key_create_in, hf_key_create_in,
	KEY_FIELD(hf_key_create_in),
	F(hf_key_create_in, "type",                   type,                   1, 64, PLAIN, TYPES, "type; aes256-gcm96 when absent"),
	F(hf_key_create_in, "level",                  level,                  1, 16, PLAIN, "wrapped|hsm", "protection level; the service's default when absent"),
	F(hf_key_create_in, "keyring",                keyring,                1, NAME_MAX_BYTES, PLAIN | NAME, NULL, "keyring; default when absent"),
	F(hf_key_create_in, "prefix",                 prefix,                 1, 32, PLAIN | NAME, NULL, "what its text ciphertexts start with; vault when absent"),
	F(hf_key_create_in, "key_size",               key_size,               0, 512, PLAIN, NULL, "hmac keys: 32 to 512 bytes; 32 when absent"),
	F(hf_key_create_in, "derived",                derived,                0, 1, PLAIN, NULL, "every use gives a context, which leads to a key of its own"),
	F(hf_key_create_in, "convergent_encryption",  convergent_encryption,  0, 1, PLAIN, NULL, "the same plaintext and context give the same ciphertext; with derived"),
	F(hf_key_create_in, "committing",             committing,             0, 1, PLAIN, NULL, "ciphertexts open under one key only, and are not Vault's"),
	F(hf_key_create_in, "exportable",             exportable,             0, 1, PLAIN, NULL, "key material may leave; cannot be taken back"),
	F(hf_key_create_in, "allow_plaintext_backup", allow_plaintext_backup, 0, 1, PLAIN, NULL, "the key may be backed up; cannot be taken back"),
	F(hf_key_create_in, "deletion_allowed",       deletion_allowed,       0, 1, PLAIN, NULL, "the key may be deleted"),
	TEXTS(hf_key_create_in, "required_context", required_context, CONTEXT_PAIRS, PLAIN, "names that every encryption_context must have"),
	F(hf_key_create_in, "auto_rotate_period",     auto_rotate_period,     0, PERIOD_MAX, PLAIN | SECONDS, NULL, "make a new version when the latest is so old: at least an hour; 0: never"),
	TEXTS(hf_key_create_in, "audit_context", audit_context, CONTEXT_PAIRS, PLAIN, "names of encryption_context that the audit log has in clear; *: all"));
SCHEMA_PUBLIC(schema_name_in, hf_name_in, KEY_FIELD(hf_name_in));
SCHEMA_PUBLIC(schema_key_read_in, hf_key_read_in,
	KEY_FIELD(hf_key_read_in),
	F_AS(hf_key_read_in, "context", context, 0, CONTEXT_MAX, 0, NULL, "of a derived key that signs: shows the public keys that it leads to", "derivation-context"));
SCHEMA_PUBLIC(schema_list_in, hf_list_in,
	F(hf_list_in, "after", after, 0, NAME_MAX_BYTES, PLAIN, NULL, "start after this name"),
	F(hf_list_in, "limit", limit, 0, LIST_MAX, PLAIN, NULL, "how many at most; 1000 when absent"));
SCHEMA_PUBLIC(schema_names_out, hf_names_out,
	TEXTS(hf_names_out, "keys", keys, LIST_MAX, PLAIN | ALWAYS, "names, in order"));
SCHEMA_PUBLIC(schema_key_config_in, hf_key_config_in,
	KEY_FIELD(hf_key_config_in),
	F(hf_key_config_in, "min_decryption_version", min_decryption_version, 0, VERSION_MAX, PLAIN, NULL, "older versions neither decrypt nor verify"),
	F(hf_key_config_in, "min_encryption_version", min_encryption_version, 0, VERSION_MAX, PLAIN, NULL, "older versions neither encrypt nor sign; 0: no limit"),
	F(hf_key_config_in, "primary_version",        primary_version,        0, VERSION_MAX, PLAIN, NULL, "version used unless asked otherwise; 0: the latest"),
	F(hf_key_config_in, "auto_rotate_period",     auto_rotate_period,     0, PERIOD_MAX, PLAIN | SECONDS, NULL, "make a new version when the latest is so old: at least an hour; 0: never"),
	F(hf_key_config_in, "use_limit",              use_limit,              0, INT64_MAX, PLAIN, NULL, "ciphertexts, signatures and MACs that a version may make before the key is rotated; 0: as its type demands"),
	F(hf_key_config_in, "auto_retire_age",        auto_retire_age,        0, PERIOD_MAX, PLAIN | SECONDS, NULL, "raise min_decryption_version over versions that were superseded so long ago and not used lately; 0: never"),
	F(hf_key_config_in, "auto_retire_behind",     auto_retire_behind,     0, VERSION_MAX, PLAIN, NULL, "raise it over versions that are more than so many behind the latest and not used lately; 0: never"),
	F(hf_key_config_in, "deletion_allowed",       deletion_allowed,       0, 1, PLAIN, NULL, "the key may be deleted"),
	F(hf_key_config_in, "exportable",             exportable,             0, 1, PLAIN, NULL, "key material may leave; cannot be taken back"),
	F(hf_key_config_in, "allow_plaintext_backup", allow_plaintext_backup, 0, 1, PLAIN, NULL, "the key may be backed up; cannot be taken back"),
	TEXTS(hf_key_config_in, "required_context", required_context, CONTEXT_PAIRS, PLAIN, "names that every encryption_context must have; one empty name: none"),
	TEXTS(hf_key_config_in, "audit_context", audit_context, CONTEXT_PAIRS, PLAIN, "names of encryption_context that the audit log has in clear; *: all; one empty name: none"));
#define UNUSED_FIELDS(s) \
	F(s, "unused_for", unused_for, 0, PERIOD_MAX, PLAIN | SECONDS, NULL, "refuse versions that were used in the last so many seconds; the service's setting when absent"), \
	F(s, "force",      force,      0, 1, PLAIN, NULL, "also those")

SCHEMA_PUBLIC(schema_key_trim_in, hf_key_trim_in,
	KEY_FIELD(hf_key_trim_in),
	F(hf_key_trim_in, "min_available_version", min_available_version, 1, VERSION_MAX, PLAIN | REQUIRED, NULL, "destroy all versions below this one"),
	UNUSED_FIELDS(hf_key_trim_in));
SCHEMA_PUBLIC(schema_version_in, hf_version_in,
	KEY_FIELD(hf_version_in),
	F(hf_version_in, "version", version, 1, VERSION_MAX, PLAIN | REQUIRED, NULL, "which version"));
SCHEMA_PUBLIC(schema_version_destroy_in, hf_version_destroy_in,
	KEY_FIELD(hf_version_destroy_in),
	F(hf_version_destroy_in, "version", version, 1, VERSION_MAX, PLAIN | REQUIRED, NULL, "which version"),
	F(hf_version_destroy_in, "delay",   delay,   0, 31536000, PLAIN | SECONDS, NULL, "seconds until it is destroyed; 30 days when absent"),
	UNUSED_FIELDS(hf_version_destroy_in));

/* -- over time -- */

SCHEMA_PUBLIC(schema_retire_report_in, hf_retire_report_in,
	KEY_FIELD(hf_retire_report_in),
	F(hf_retire_report_in, "older_than", older_than, 0, PERIOD_MAX, PLAIN | SECONDS, NULL, "seconds: what was used since is in use; the service's setting when absent"));
SCHEMA(schema_retire_version, hf_retire_version,
	F(hf_retire_version, "version",   version,   0, VERSION_MAX, PLAIN, NULL, "version"),
	F(hf_retire_version, "state",     state,     0, 32, PLAIN, "enabled|disabled|destroy-scheduled|destroyed", "state"),
	F(hf_retire_version, "retire",    retire,    0, 8, PLAIN, "yes|check|no|gone", "whether it can be retired; check: where the counters do not know"),
	F(hf_retire_version, "because",   because,   0, 256, PLAIN, NULL, "why"),
	F(hf_retire_version, "last_use",  last_use,  0, INT64_MAX, PLAIN | TIME, NULL, "the last use that says that it is needed"),
	F(hf_retire_version, "operation", operation, 0, 16, PLAIN, USES, "what that was"),
	F(hf_retire_version, "callers",   callers,   0, INT64_MAX, PLAIN | ALWAYS, NULL, "how many callers did that"),
	F(hf_retire_version, "encrypted", encrypted, 0, INT64_MAX, PLAIN | ALWAYS, NULL, "ciphertexts that were made under it"),
	F(hf_retire_version, "left",      left,      0, INT64_MAX, PLAIN | ALWAYS, NULL, "at most so many of them were not rewrapped"),
	F(hf_retire_version, "breaks",    breaks,    0, 256, PLAIN, NULL, "what would not work any more"));
SCHEMA_PUBLIC(schema_retire_report_out, hf_retire_report_out,
	F(hf_retire_report_out, "name",                   name,                   0, NAME_MAX_BYTES, PLAIN, NULL, "name of the key"),
	F(hf_retire_report_out, "type",                   type,                   0, 64, PLAIN, TYPES, "type of the key"),
	F(hf_retire_report_out, "latest_version",         latest_version,         0, VERSION_MAX, PLAIN | ALWAYS, NULL, "newest version"),
	F(hf_retire_report_out, "min_decryption_version", min_decryption_version, 0, VERSION_MAX, PLAIN | ALWAYS, NULL, "older versions neither decrypt nor verify"),
	F(hf_retire_report_out, "retire_below",           retire_below,           0, VERSION_MAX, PLAIN | ALWAYS, NULL, "all versions below can be retired"),
	LIST(hf_retire_report_out, "versions", versions, VERSION_MAX, &schema_retire_version, 0, "its versions, oldest first"));

SCHEMA_PUBLIC(schema_schedule_out, hf_schedule_out,
	F(hf_schedule_out, "time",     time,     0, INT64_MAX, PLAIN | TIME | ALWAYS, NULL, "what the clock says"),
	F(hf_schedule_out, "next_due", next_due, 0, INT64_MAX, PLAIN | TIME | ALWAYS, NULL, "when something is due next; 0: nothing is"),
	F(hf_schedule_out, "lag",      lag,      0, INT64_MAX, PLAIN | SECONDS | ALWAYS, NULL, "the clock leapt: what cannot be undone comes so much later"),
	F(hf_schedule_out, "lag_left", lag_left, 0, INT64_MAX, PLAIN | SECONDS, NULL, "until the clock is believed all the same"));

/* -- aliases, keyrings -- */

SCHEMA_PUBLIC(schema_alias, hf_alias,
	F(hf_alias, "name",   name,   1, NAME_MAX_BYTES, REQUIRED | PLAIN | KEYNAME, NULL, "the alias"),
	F(hf_alias, "target", target, 1, NAME_MAX_BYTES, REQUIRED | PLAIN | NAME, NULL, "name of the key it points to"));
SCHEMA_PUBLIC(schema_alias_list_out, hf_alias_list_out,
	LIST(hf_alias_list_out, "aliases", aliases, LIST_MAX, &schema_alias, ALWAYS, "aliases, in order"));
SCHEMA_PUBLIC(schema_keyring_info, hf_keyring_info,
	F(hf_keyring_info, "name",           name,           1, NAME_MAX_BYTES, PLAIN, NULL, "name"),
	F(hf_keyring_info, "master_version", master_version, 0, VERSION_MAX, PLAIN, NULL, "version of the master key that wraps it"),
	F(hf_keyring_info, "creation_time",  creation_time,  0, INT64_MAX, PLAIN | TIME, NULL, "seconds since 1970"),
	F(hf_keyring_info, "destroyed",      destroyed,      0, 1, PLAIN, NULL, "its key is gone, and with it all below"));
SCHEMA_PUBLIC(schema_keyring_list_out, hf_keyring_list_out,
	LIST(hf_keyring_list_out, "keyrings", keyrings, LIST_MAX, &schema_keyring_info, ALWAYS, "keyrings, in order"));
SCHEMA_PUBLIC(schema_keyring_destroy_in, hf_keyring_destroy_in,
	KEY_FIELD(hf_keyring_destroy_in),
	F(hf_keyring_destroy_in, "with_keys", with_keys, 0, 1, PLAIN, NULL, "even when it still holds keys"));

/* -- the service -- */

/* -- the reply to a dry run of any -- */

SCHEMA(schema_change, hf_change,
	F(hf_change, "action", action, 0, 16, PLAIN, "create|update|delete", "what would be done"),
	F(hf_change, "kind",   kind,   0, 32, PLAIN, NULL, "to a key, version, alias, keyring, ..."),
	F(hf_change, "name",   name,   0, 512, PLAIN, NULL, "of that name; of a version its number"));
SCHEMA_PUBLIC(schema_dry_run, hf_dry_run,
	LIST(hf_dry_run, "changes", changes, 256, &schema_change, ALWAYS, "what would be changed"),
	F(hf_dry_run, "more", more, 0, INT64_MAX, PLAIN, NULL, "changes besides those listed"));

const struct schema schema_empty = { "hf_empty", sizeof(struct hf_empty), NULL, 0 };

SCHEMA_PUBLIC(schema_status_out, hf_status_out,
	F(hf_status_out, "version",           version,           0, 64, PLAIN, NULL, "version of the service"),
	F(hf_status_out, "state",             state,             0, 32, PLAIN, "ready|degraded|uninitialized|stopping", "state"),
	F(hf_status_out, "reason",            reason,            0, 256, 0, NULL, "what is wrong, when not ready"),
	F(hf_status_out, "pid",               pid,               0, INT64_MAX, PLAIN, NULL, "process of the daemon"),
	F(hf_status_out, "uptime",            uptime,            0, INT64_MAX, PLAIN | SECONDS | ALWAYS, NULL, "seconds"),
	F(hf_status_out, "hsm_state",         hsm_state,         0, 32, PLAIN, NULL, "state of the HSM"),
	F(hf_status_out, "master_version",    master_version,    0, VERSION_MAX, PLAIN, NULL, "version of the master key"),
	F(hf_status_out, "keys_cached",       keys_cached,              0, INT64_MAX, PLAIN | ALWAYS, NULL, "keys in the daemon's cache"),
	F(hf_status_out, "connections",       connections,       0, INT64_MAX, PLAIN | ALWAYS, NULL, "open connections"),
	F(hf_status_out, "requests",          requests,          0, INT64_MAX, PLAIN | ALWAYS, NULL, "requests so far"),
	F(hf_status_out, "policy_generation", policy_generation, 0, INT64_MAX, PLAIN | ALWAYS, NULL, "how often policies were loaded"),
	F(hf_status_out, "audit_sequence",    audit_sequence,    0, INT64_MAX, PLAIN | ALWAYS, NULL, "lines in the audit chain"));
SCHEMA_PUBLIC(schema_whoami_out, hf_whoami_out,
	F(hf_whoami_out, "uid",         uid,         0, UINT32_MAX, PLAIN, NULL, "user id; none over TLS"),
	F(hf_whoami_out, "gid",         gid,         0, UINT32_MAX, PLAIN, NULL, "group id; none over TLS"),
	F(hf_whoami_out, "pid",         pid,         0, UINT32_MAX, PLAIN, NULL, "process id"),
	F(hf_whoami_out, "user",        user,        0, 256, PLAIN, NULL, "user name"),
	F(hf_whoami_out, "exe",         exe,         0, 4096, PLAIN, NULL, "executable"),
	F(hf_whoami_out, "unit",        unit,        0, 256, PLAIN, NULL, "systemd unit"),
	F(hf_whoami_out, "certificate", certificate, 0, 1024, PLAIN, NULL, "name in the client certificate"),
	TEXTS(hf_whoami_out, "subjects", subjects, 512, PLAIN, "what policies may call the caller"),
	TEXTS(hf_whoami_out, "policies", policies, 512, PLAIN, "policies bound to the caller"));
SCHEMA_PUBLIC(schema_metrics_out, hf_metrics_out,
	F(hf_metrics_out, "text", text, 0, 1 << 20, DATA, NULL, "Prometheus text format 0.0.4"));
SCHEMA(schema_hsm_device, hf_hsm_device,
	F(hf_hsm_device, "name",           name,           0, 64, PLAIN, NULL, "name in the configuration"),
	F(hf_hsm_device, "role",           role,           0, 64, PLAIN, NULL, "active, standby, away, or what is under way"),
	F(hf_hsm_device, "state",          state,          0, 32, PLAIN, NULL, "state of the HSM"),
	F(hf_hsm_device, "reason",         reason,         0, 256, 0, NULL, "what is wrong, when not ready"),
	F(hf_hsm_device, "since",          since,          0, INT64_MAX, PLAIN | TIME, NULL, "when the state began"),
	F(hf_hsm_device, "token",          token,          0, 64, PLAIN, NULL, "label of the token"),
	F(hf_hsm_device, "serial",         serial,         0, 64, PLAIN, NULL, "serial number of the token"),
	F(hf_hsm_device, "master_id",      master_id,      0, 16, PLAIN, NULL, "CKA_ID of its master key"),
	F(hf_hsm_device, "master_version", master_version, 0, VERSION_MAX, PLAIN, NULL, "version of its master key"),
	F(hf_hsm_device, "keyrings",       keyrings,       0, INT64_MAX, PLAIN | ALWAYS, NULL, "keyrings that it can open"),
	F(hf_hsm_device, "missing",        missing,        0, INT64_MAX, PLAIN | ALWAYS, NULL, "keyrings that it cannot open yet"),
	F(hf_hsm_device, "shares",         shares,         0, 64, PLAIN, NULL, "shares of its master key: their set, how many are needed"));
SCHEMA_PUBLIC(schema_hsm_add_in, hf_hsm_add_in,
	KEY_FIELD(hf_hsm_add_in));
SCHEMA_PUBLIC(schema_hsm_add_out, hf_hsm_add_out,
	F(hf_hsm_add_out, "name",     name,     0, 64, PLAIN, NULL, "the HSM"),
	F(hf_hsm_add_out, "keyrings", keyrings, 0, INT64_MAX, PLAIN | ALWAYS, NULL, "keyring keys wrapped for it"));
SCHEMA_PUBLIC(schema_hsm_remove_in, hf_hsm_remove_in,
	KEY_FIELD(hf_hsm_remove_in),
	F(hf_hsm_remove_in, "destroy", destroy, 0, 1, PLAIN, NULL, "destroy its master, wrapping and audit key too"),
	F(hf_hsm_remove_in, "confirm", confirm, 1, 32, PLAIN | NAME, NULL, "its name again: also when keys at level hsm are lost with it"));
SCHEMA_PUBLIC(schema_hsm_remove_out, hf_hsm_remove_out,
	F(hf_hsm_remove_out, "lost", lost, 0, INT64_MAX, PLAIN | ALWAYS, NULL, "keys at level hsm that can no longer be used"));
SCHEMA_PUBLIC(schema_hsm_migrate_in, hf_hsm_migrate_in,
	KEY_FIELD(hf_hsm_migrate_in),
	F(hf_hsm_migrate_in, "to",      to,      1, 32, PLAIN | REQUIRED | NAME, NULL, "the HSM that takes its place"),
	F(hf_hsm_migrate_in, "destroy", destroy, 0, 1, PLAIN, NULL, "destroy the keys in the old one"),
	F(hf_hsm_migrate_in, "confirm", confirm, 1, 32, PLAIN | NAME, NULL, "its name again: also when keys at level hsm are lost with it"));
SCHEMA_PUBLIC(schema_hsm_migrate_out, hf_hsm_migrate_out,
	F(hf_hsm_migrate_out, "keyrings", keyrings, 0, INT64_MAX, PLAIN | ALWAYS, NULL, "keyring keys wrapped for the new one"),
	F(hf_hsm_migrate_out, "lost",     lost,     0, INT64_MAX, PLAIN | ALWAYS, NULL, "keys at level hsm that can no longer be used"));
SCHEMA_PUBLIC(schema_hsm_status_out, hf_hsm_status_out,
	F(hf_hsm_status_out, "state",            state,            0, 32, PLAIN, NULL, "state of the HSM"),
	F(hf_hsm_status_out, "reason",           reason,           0, 256, 0, NULL, "what is wrong, when not ready"),
	F(hf_hsm_status_out, "since",            since,            0, INT64_MAX, PLAIN | TIME, NULL, "when the state began"),
	F(hf_hsm_status_out, "generation",       generation,       0, INT64_MAX, PLAIN | ALWAYS, NULL, "grows at each recovery"),
	F(hf_hsm_status_out, "module",           module,           0, 256, PLAIN, NULL, "PKCS#11 module"),
	F(hf_hsm_status_out, "token",            token,            0, 64, PLAIN, NULL, "label of the token"),
	F(hf_hsm_status_out, "serial",           serial,           0, 64, PLAIN, NULL, "serial number of the token"),
	F(hf_hsm_status_out, "manufacturer",     manufacturer,     0, 64, PLAIN, NULL, "manufacturer"),
	F(hf_hsm_status_out, "model",            model,            0, 64, PLAIN, NULL, "model"),
	F(hf_hsm_status_out, "sessions",         sessions,         0, INT64_MAX, PLAIN | ALWAYS, NULL, "sessions in the pool"),
	F(hf_hsm_status_out, "master_version",   master_version,   0, VERSION_MAX, PLAIN | ALWAYS, NULL, "version of the master key"),
	F(hf_hsm_status_out, "rotation_pending", rotation_pending, 0, INT64_MAX, PLAIN | ALWAYS, NULL, "keyrings still under an older master key"),
	LIST(hf_hsm_status_out, "devices", devices, 8, &schema_hsm_device, ALWAYS, "the HSMs, in order of preference"));
SCHEMA(schema_mechanism, hf_mechanism,
	F(hf_mechanism, "name",   name,   0, 64, PLAIN, NULL, "PKCS#11 name"),
	F(hf_mechanism, "use",    use,    0, 128, PLAIN, NULL, "what it is needed for"),
	F(hf_mechanism, "result", result, 0, 16, PLAIN, "works|absent|fails", "result of trying it"),
	F(hf_mechanism, "note",   note,   0, 256, PLAIN, NULL, "what follows"));
SCHEMA_PUBLIC(schema_hsm_probe_out, hf_hsm_probe_out,
	F(hf_hsm_probe_out, "token", token, 0, 64, PLAIN, NULL, "label of the token"),
	LIST(hf_hsm_probe_out, "mechanisms", mechanisms, 512, &schema_mechanism, ALWAYS, "mechanisms"),
	TEXTS(hf_hsm_probe_out, "quirks", quirks, 64, ALWAYS, "what is odd about this HSM, and what is done about it"));
SCHEMA_PUBLIC(schema_rotate_master_in, hf_rotate_master_in,
	F(hf_rotate_master_in, "destroy_old", destroy_old, 0, 1, PLAIN, NULL, "destroy the old master key in the HSM; older backups of the store can then not be opened"),
	F(hf_rotate_master_in, "drop_shares", drop_shares, 0, 1, PLAIN, NULL, "even when there are shares of the master key, which are of no use then"));
SCHEMA_PUBLIC(schema_rotate_master_out, hf_rotate_master_out,
	F(hf_rotate_master_out, "master_version", master_version, 0, VERSION_MAX, PLAIN, NULL, "version now in force"),
	F(hf_rotate_master_out, "keyrings",       keyrings,       0, INT64_MAX, PLAIN | ALWAYS, NULL, "keyring keys wrapped anew"));
SCHEMA_PUBLIC(schema_policy_reload_out, hf_policy_reload_out,
	F(hf_policy_reload_out, "generation", generation, 0, INT64_MAX, PLAIN, NULL, "how often policies were loaded"),
	F(hf_policy_reload_out, "policies",   policies,   0, INT64_MAX, PLAIN | ALWAYS, NULL, "policies now in force"));
SCHEMA(schema_policy_info, hf_policy_info,
	F(hf_policy_info, "name",  name,  0, 256, PLAIN, NULL, "name"),
	F(hf_policy_info, "file",  file,  0, 4096, PLAIN, NULL, "file it came from"),
	F(hf_policy_info, "rules", rules, 0, INT64_MAX, PLAIN | ALWAYS, NULL, "number of path rules"),
	TEXTS(hf_policy_info, "subjects", subjects, 4096, PLAIN, "whom it is bound to"));
SCHEMA_PUBLIC(schema_policy_list_out, hf_policy_list_out,
	F(hf_policy_list_out, "generation", generation, 0, INT64_MAX, PLAIN, NULL, "how often policies were loaded"),
	LIST(hf_policy_list_out, "policies", policies, 4096, &schema_policy_info, ALWAYS, "policies in force"));
SCHEMA_PUBLIC(schema_policy_test_in, hf_policy_test_in,
	F(hf_policy_test_in, "operation",  operation,  1, 64, PLAIN, NULL, "operation, as transit.sign"),
	F(hf_policy_test_in, "name",       name,       1, NAME_MAX_BYTES, PLAIN | NAME, NULL, "name of the key it is about"),
	F(hf_policy_test_in, "path",       path,       1, 512, PLAIN, NULL, "path, instead of operation and name"),
	F(hf_policy_test_in, "capability", capability, 1, 16, PLAIN, "create|read|update|patch|delete|list|sudo", "capability, with path"),
	TEXTS(hf_policy_test_in, "subjects", subjects, 64, PLAIN | REQUIRED, "who, as uid:1001 or unit:nginx.service"),
	PAIRS(hf_policy_test_in, "encryption_context", encryption_context, 0, "context that the request would have", "context"));
SCHEMA_PUBLIC(schema_policy_test_out, hf_policy_test_out,
	F(hf_policy_test_out, "allowed",    allowed,    0, 1, PLAIN | ALWAYS, NULL, "whether it is allowed"),
	F(hf_policy_test_out, "path",       path,       0, 512, PLAIN, NULL, "path that was asked about"),
	F(hf_policy_test_out, "capability", capability, 0, 64, PLAIN, NULL, "capability that was asked for"),
	F(hf_policy_test_out, "rule",       rule,       0, 512, PLAIN, NULL, "pattern that decided"),
	F(hf_policy_test_out, "policy",     policy,     0, 4096, PLAIN, NULL, "policy, file and line of that pattern"),
	F(hf_policy_test_out, "reason",     reason,     0, 256, PLAIN, NULL, "why"));
SCHEMA_PUBLIC(schema_audit_status_out, hf_audit_status_out,
	F(hf_audit_status_out, "file",                file,                0, 4096, PLAIN, NULL, "audit log"),
	F(hf_audit_status_out, "sequence",            sequence,            0, INT64_MAX, PLAIN | ALWAYS, NULL, "number of the last line"),
	F(hf_audit_status_out, "head",                head,                0, 32, PLAIN, NULL, "SHA-256 of the last line"),
	F(hf_audit_status_out, "checkpoint",          checkpoint,          0, INT64_MAX, PLAIN | ALWAYS, NULL, "number of the last checkpoint"),
	F(hf_audit_status_out, "checkpoint_sequence", checkpoint_sequence, 0, INT64_MAX, PLAIN | ALWAYS, NULL, "number of the line that holds it"),
	F(hf_audit_status_out, "public_key",          public_key,          0, 4096, PLAIN, NULL, "PEM of the key that signs checkpoints"));

const struct op ops[] = {
#define OP(id_, symbol, in_, out_, wire, path_, cap_, flags_, verb_, sentence_) \
	{ (id_), (wire), (path_), HF_CAP_##cap_, (flags_), &schema_##in_, &schema_##out_, (verb_), (sentence_) },
#include <holdfast/ops.def>
#undef OP
};
/* clang-format on */

const size_t ops_count = sizeof(ops) / sizeof(ops[0]);

const struct op *
op_by_name(struct hf_text name)
{
	for (size_t i = 0; i < ops_count; i++)
		if (text_is(name, ops[i].name))
			return &ops[i];
	return NULL;
}

const struct field *
op_key_field(const struct op *op)
{
	for (size_t i = 0; i < op->in->count; i++)
		if ((op->in->fields[i].flags & KEYNAME) != 0)
			return &op->in->fields[i];
	return NULL;
}

bool
op_names_key(const struct op *op)
{
	struct hf_text path = text_of(op->path);

	return op_key_field(op) != NULL &&
	    text_starts(path, TEXT("transit/")) &&
	    !text_starts(path, TEXT("transit/aliases/"));
}

const char *
op_path(const struct op *op, struct hf_text name, struct arena *arena)
{
	static const char mark[] = "{name}";
	const char *at = strstr(op->path, mark);
	size_t before = at == NULL ? strlen(op->path) : (size_t)(at - op->path);
	const char *after = at == NULL ? "" : at + sizeof(mark) - 1;
	size_t middle = at == NULL ? 0 : name.len;
	char *p = arena_alloc(arena, before + middle + strlen(after) + 1);

	if (p == NULL)
		return NULL;
	memcpy(p, op->path, before);
	if (middle > 0)
		memcpy(p + before, name.ptr, middle);
	memcpy(p + before + middle, after, strlen(after));
	return p;
}

bool
op_may_be_dry(const struct op *op)
{
	return (op->flags & (OP_CHANGES | OP_NOT_DRY)) == OP_CHANGES;
}

static const struct {
	enum hf_cap cap;
	const char *name;
} caps[] = {
	{ HF_CAP_CREATE, "create" },
	{ HF_CAP_READ, "read" },
	{ HF_CAP_UPDATE, "update" },
	{ HF_CAP_PATCH, "patch" },
	{ HF_CAP_DELETE, "delete" },
	{ HF_CAP_LIST, "list" },
	{ HF_CAP_SUDO, "sudo" },
	{ HF_CAP_DENY, "deny" },
};

enum hf_cap
cap_by_name(struct hf_text name)
{
	for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++)
		if (text_is(name, caps[i].name))
			return caps[i].cap;
	return (enum hf_cap)0;
}

const char *
cap_name(enum hf_cap cap)
{
	for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++)
		if (caps[i].cap == cap)
			return caps[i].name;
	return "unknown";
}
