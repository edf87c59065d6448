/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOLDFAST_OPS_H
#define HOLDFAST_OPS_H

#include <stddef.h>
#include <stdint.h>

#include <holdfast/bytes.h>
#include <holdfast/ops_p11.h>
#include <holdfast/ops_transit.h>

/*
 * What each operation takes and gives (ops.def lists them). The rows in
 * lib/ops.c say how the members stand on the wire, with bounds and sentences;
 * docs/operations.md prints them. Names are those of Vault's transit API;
 * numbers left at zero and views left at NULL are absent.
 *
 * Ciphertexts, signatures and MACs have two forms. Binary: the key version as
 * four bytes, big-endian, then the body. Text: "vault:v3:" and base64, where
 * "vault" is the key's prefix. What comes in may have either form; what goes
 * out has the one that `format` asks for, binary by default.
 */

/* What a capability in policy allows; bits of a set. */
enum hf_cap {
	HF_CAP_CREATE = 1,
	HF_CAP_READ = 2,
	HF_CAP_UPDATE = 4,
	HF_CAP_PATCH = 8,
	HF_CAP_DELETE = 16,
	HF_CAP_LIST = 32,
	HF_CAP_SUDO = 64,
	HF_CAP_DENY = 128,
};

/*
 * An operation takes `item`, or else a list of items in `batch_input`.
 *
 * `encryption_context` is bound to what is encrypted (authenticated with it,
 * like `associated_data`), named in policies and the audit, and needed again to
 * decrypt. `context` is another thing, Vault's: it leads from a derived key to
 * the key that is used.
 */

struct hf_encrypt_item {
	struct hf_bytes plaintext;
	struct hf_bytes associated_data;
	const struct hf_pair *encryption_context;
	size_t encryption_context_count;
	struct hf_bytes context;
	struct hf_uint key_version;
	struct hf_text reference;
};

struct hf_encrypt_result {
	struct hf_item_status status;
	struct hf_bytes ciphertext;
	uint64_t key_version;
};

struct hf_encrypt_in {
	struct hf_text name;
	struct hf_encrypt_item item;
	struct hf_text type; /* of the key that an upsert makes */
	struct hf_text format;
	struct hf_encrypt_item *batch_input;
	size_t batch_input_count;
};

struct hf_encrypt_out {
	struct hf_encrypt_result result;
	struct hf_encrypt_result *batch_results;
	size_t batch_results_count;
};

struct hf_decrypt_item {
	struct hf_bytes ciphertext;
	struct hf_bytes associated_data;
	const struct hf_pair *encryption_context;
	size_t encryption_context_count;
	struct hf_bytes context;
	struct hf_text reference;
};

struct hf_decrypt_result {
	struct hf_item_status status;
	struct hf_bytes plaintext;
	uint64_t key_version;
};

struct hf_decrypt_in {
	struct hf_text name;
	struct hf_decrypt_item item;
	struct hf_decrypt_item *batch_input;
	size_t batch_input_count;
};

struct hf_decrypt_out {
	struct hf_decrypt_result result;
	struct hf_decrypt_result *batch_results;
	size_t batch_results_count;
};

struct hf_rewrap_item {
	struct hf_bytes ciphertext;
	struct hf_bytes associated_data;
	const struct hf_pair *encryption_context;
	size_t encryption_context_count;
	struct hf_bytes context;
	struct hf_uint key_version;
	struct hf_text reference;
};

struct hf_rewrap_in {
	struct hf_text name;
	struct hf_rewrap_item item;
	struct hf_text format;
	struct hf_rewrap_item *batch_input;
	size_t batch_input_count;
};

struct hf_rewrap_out {
	struct hf_encrypt_result result;
	struct hf_encrypt_result *batch_results;
	size_t batch_results_count;
};

struct hf_datakey_item {
	uint64_t bits; /* 128, 256 or 512; 0 means 256 */
	struct hf_bytes associated_data;
	const struct hf_pair *encryption_context;
	size_t encryption_context_count;
	struct hf_bytes context;
	struct hf_uint key_version;
	struct hf_text reference;
};

struct hf_datakey_result {
	struct hf_item_status status;
	struct hf_bytes plaintext; /* absent in datakey_wrapped */
	struct hf_bytes ciphertext;
	uint64_t key_version;
};

struct hf_datakey_in {
	struct hf_text name;
	struct hf_datakey_item item;
	struct hf_text format;
	struct hf_datakey_item *batch_input;
	size_t batch_input_count;
};

struct hf_datakey_out {
	struct hf_datakey_result result;
	struct hf_datakey_result *batch_results;
	size_t batch_results_count;
};

struct hf_input_item {
	struct hf_bytes input;
	struct hf_text reference;
};

struct hf_hmac_result {
	struct hf_item_status status;
	struct hf_bytes hmac;
	uint64_t key_version;
};

struct hf_hmac_in {
	struct hf_text name;
	struct hf_input_item item;
	struct hf_text algorithm;
	struct hf_uint key_version;
	struct hf_text format;
	struct hf_input_item *batch_input;
	size_t batch_input_count;
};

struct hf_hmac_out {
	struct hf_hmac_result result;
	struct hf_hmac_result *batch_results;
	size_t batch_results_count;
};

struct hf_sign_item {
	struct hf_bytes input;
	struct hf_bytes context;
	struct hf_text reference;
};

struct hf_sign_result {
	struct hf_item_status status;
	struct hf_bytes signature;
	uint64_t key_version;
	struct hf_bytes public_key; /* of a derived key: 32 bytes */
};

struct hf_sign_in {
	struct hf_text name;
	struct hf_sign_item item;
	struct hf_text hash_algorithm;
	_Bool prehashed;
	struct hf_text signature_algorithm;
	struct hf_text marshaling_algorithm;
	struct hf_text salt_length;
	struct hf_uint key_version;
	struct hf_text format;
	struct hf_sign_item *batch_input;
	size_t batch_input_count;
};

struct hf_sign_out {
	struct hf_sign_result result;
	struct hf_sign_result *batch_results;
	size_t batch_results_count;
};

struct hf_verify_item {
	struct hf_bytes input;
	struct hf_bytes signature;
	struct hf_bytes hmac;
	struct hf_bytes cmac;
	struct hf_bytes context;
	struct hf_text reference;
};

struct hf_verify_result {
	struct hf_item_status status;
	enum hf_tri valid; /* HF_TRUE only when it matches */
};

struct hf_verify_in {
	struct hf_text name;
	struct hf_verify_item item;
	struct hf_text hash_algorithm;
	_Bool prehashed;
	struct hf_text signature_algorithm;
	struct hf_text marshaling_algorithm;
	struct hf_text salt_length;
	uint64_t mac_length; /* of a CMAC: bytes; 0 means 16 */
	struct hf_verify_item *batch_input;
	size_t batch_input_count;
};

struct hf_verify_out {
	struct hf_verify_result result;
	struct hf_verify_result *batch_results;
	size_t batch_results_count;
};

struct hf_random_item {
	uint64_t bytes; /* 1 to 131072; 0 means 32 */
	struct hf_text reference;
};

struct hf_random_result {
	struct hf_item_status status;
	struct hf_bytes random_bytes;
};

struct hf_random_in {
	struct hf_random_item item;
	struct hf_text source;
	struct hf_random_item *batch_input;
	size_t batch_input_count;
};

struct hf_random_out {
	struct hf_random_result result;
	struct hf_random_result *batch_results;
	size_t batch_results_count;
};

struct hf_hash_result {
	struct hf_item_status status;
	struct hf_bytes sum;
};

struct hf_hash_in {
	struct hf_input_item item;
	struct hf_text algorithm;
	struct hf_input_item *batch_input;
	size_t batch_input_count;
};

struct hf_hash_out {
	struct hf_hash_result result;
	struct hf_hash_result *batch_results;
	size_t batch_results_count;
};

/* One version of a key. Times are seconds since 1970-01-01 UTC. */
struct hf_key_version {
	uint64_t version;
	struct hf_text
	    state; /* enabled, disabled, destroy-scheduled, destroyed */
	struct hf_text level;
	uint64_t creation_time;
	uint64_t destroy_time;     /* 0 unless scheduled or destroyed */
	struct hf_text public_key; /* PEM (RFC 7468), asymmetric keys only */
	struct hf_text certificate_chain; /* PEM, leaf first */
	struct hf_text hsm; /* level hsm: the HSMs that can use it */
	uint64_t made; /* of what counts towards use_limit; never too low */
};

/* What a version of a key was used for: one class of operations. */
struct hf_key_use {
	uint64_t version;
	struct hf_text operation; /* encrypt, decrypt, rewrap, ... */
	uint64_t count;
	uint64_t first_use, last_use;
	uint64_t callers; /* distinct ones; exact up to 8 */
};

struct hf_key_info {
	struct hf_text name;
	struct hf_text type;
	struct hf_text level;
	struct hf_text keyring;
	struct hf_text prefix;
	uint64_t latest_version;
	uint64_t primary_version; /* 0: the latest */
	uint64_t min_available_version;
	uint64_t min_decryption_version;
	uint64_t min_encryption_version;
	_Bool deletion_allowed;
	_Bool exportable;
	_Bool allow_plaintext_backup;
	_Bool supports_encryption;
	_Bool supports_decryption;
	_Bool supports_signing;
	_Bool supports_derivation;
	_Bool soft_deleted;
	_Bool imported_key;
	_Bool imported_key_allow_rotation;
	_Bool derived;
	_Bool convergent_encryption;
	uint64_t convergent_encryption_version;
	uint64_t key_size; /* bytes, hmac keys only */
	uint64_t creation_time;
	_Bool committing;
	struct hf_text *required_context; /* names; see docs/transit.md */
	size_t required_context_count;
	struct hf_text *audit_context;
	size_t audit_context_count;
	struct hf_text warning;
	struct hf_text *aliases;
	size_t aliases_count;
	uint64_t use_limit;          /* of each version; 0: none */
	uint64_t auto_rotate_period; /* seconds; 0: never */
	uint64_t auto_retire_age;    /* seconds; 0: never */
	uint64_t auto_retire_behind; /* versions; 0: never */
	uint64_t next_due;           /* the next of it; 0: nothing */
	struct hf_key_version *keys;
	size_t keys_count;
	struct hf_key_use *uses;
	size_t uses_count;
};

struct hf_retire_report_in {
	struct hf_text name;
	struct hf_uint older_than; /* seconds; absent: the service's setting */
};

/* Whether a version of a key can be retired, as far as its uses tell. */
struct hf_retire_version {
	uint64_t version;
	struct hf_text state;
	struct hf_text retire; /* yes, check, no; gone: destroyed already */
	struct hf_text because;
	uint64_t last_use; /* of all that says that it is needed; 0: never */
	struct hf_text operation; /* of that */
	uint64_t callers;         /* of that operation */
	uint64_t encrypted;       /* ciphertexts made ... */
	uint64_t left;            /* ... and at most so many not rewrapped */
	struct hf_text breaks;    /* what would not work any more */
};

struct hf_retire_report_out {
	struct hf_text name;
	struct hf_text type;
	uint64_t latest_version;
	uint64_t min_decryption_version;
	uint64_t retire_below; /* what min_decryption_version can become */
	struct hf_retire_version *versions;
	size_t versions_count;
};

struct hf_schedule_out {
	uint64_t time;
	uint64_t next_due; /* 0: nothing is */
	uint64_t lag;      /* seconds; 0: the clock is believed */
	uint64_t lag_left; /* seconds until it is all the same */
};

struct hf_key_create_in {
	struct hf_text name;
	struct hf_text type;
	struct hf_text level;
	struct hf_text keyring;
	struct hf_text prefix;
	uint64_t key_size;
	_Bool derived;
	_Bool convergent_encryption;
	_Bool committing;
	_Bool exportable;
	_Bool allow_plaintext_backup;
	_Bool deletion_allowed;
	struct hf_text *required_context; /* names; see docs/transit.md */
	size_t required_context_count;
	struct hf_text *audit_context;
	size_t audit_context_count;
	uint64_t auto_rotate_period; /* seconds; 0: never */
};

struct hf_name_in {
	struct hf_text name;
};

struct hf_key_read_in {
	struct hf_text name;
	struct hf_bytes
	    context; /* of a derived key: public keys that it gives */
};

struct hf_empty {
	_Bool unused;
};

struct hf_list_in {
	struct hf_text after;
	uint64_t limit; /* 0 means 1000 */
};

struct hf_names_out {
	struct hf_text *keys;
	size_t keys_count;
};

struct hf_key_config_in {
	struct hf_text name;
	struct hf_uint min_decryption_version;
	struct hf_uint min_encryption_version;
	struct hf_uint primary_version;
	struct hf_uint auto_rotate_period;
	struct hf_uint use_limit;
	struct hf_uint auto_retire_age;
	struct hf_uint auto_retire_behind;
	enum hf_tri deletion_allowed;
	enum hf_tri exportable;
	enum hf_tri allow_plaintext_backup;
	struct hf_text *required_context; /* names; see docs/transit.md */
	size_t required_context_count;
	struct hf_text *audit_context;
	size_t audit_context_count;
};

struct hf_key_trim_in {
	struct hf_text name;
	uint64_t min_available_version;
	struct hf_uint unused_for; /* seconds; absent: the service's setting */
	_Bool force;               /* also what is in use */
};

struct hf_version_in {
	struct hf_text name;
	uint64_t version;
};

struct hf_version_destroy_in {
	struct hf_text name;
	uint64_t version;
	struct hf_uint delay;      /* seconds; absent means 30 days */
	struct hf_uint unused_for; /* as in struct hf_key_trim_in */
	_Bool force;
};

struct hf_alias {
	struct hf_text name;
	struct hf_text target;
};

struct hf_alias_list_out {
	struct hf_alias *aliases;
	size_t aliases_count;
};

struct hf_keyring_info {
	struct hf_text name;
	uint64_t master_version;
	uint64_t creation_time;
	_Bool destroyed;
};

struct hf_keyring_list_out {
	struct hf_keyring_info *keyrings;
	size_t keyrings_count;
};

struct hf_keyring_destroy_in {
	struct hf_text name;
	_Bool with_keys; /* also when it still holds keys */
};

struct hf_status_out {
	struct hf_text version;
	struct hf_text state;  /* ready, degraded, uninitialized, stopping */
	struct hf_text reason; /* what is wrong, when not ready */
	uint64_t pid;
	uint64_t uptime; /* seconds */
	struct hf_text hsm_state;
	uint64_t master_version;
	uint64_t keys_cached; /* opened, in the daemon's memory */
	uint64_t connections;
	uint64_t requests;
	uint64_t policy_generation;
	uint64_t audit_sequence;
};

struct hf_whoami_out {
	struct hf_uint uid; /* absent over TLS, as gid is */
	struct hf_uint gid;
	uint64_t pid;
	struct hf_text user;
	struct hf_text exe;
	struct hf_text unit;
	struct hf_text certificate;
	struct hf_text *subjects;
	size_t subjects_count;
	struct hf_text *policies;
	size_t policies_count;
};

struct hf_metrics_out {
	struct hf_text text;
};

struct hf_hsm_device {
	struct hf_text name; /* as the configuration calls it */
	struct hf_text role; /* active, standby, away, or what is under way */
	struct hf_text state;
	struct hf_text reason;
	uint64_t since; /* when the state began */
	struct hf_text token;
	struct hf_text serial;
	struct hf_bytes master_id; /* CKA_ID of its master key */
	uint64_t master_version;
	uint64_t keyrings;     /* that it can open */
	uint64_t missing;      /* and that it cannot */
	struct hf_text shares; /* of its master key, when it has a backup */
};

struct hf_hsm_add_in {
	struct hf_text name;
};

struct hf_hsm_add_out {
	struct hf_text name;
	uint64_t keyrings; /* wrapped for it */
};

struct hf_hsm_remove_in {
	struct hf_text name;
	_Bool destroy;          /* also destroy its keys */
	struct hf_text confirm; /* its name: although keys are lost with it */
};

struct hf_hsm_remove_out {
	uint64_t lost; /* keys at level hsm that no other HSM has */
};

struct hf_hsm_migrate_in {
	struct hf_text name;
	struct hf_text to;
	_Bool destroy;
	struct hf_text confirm;
};

struct hf_hsm_migrate_out {
	uint64_t keyrings;
	uint64_t lost;
};

struct hf_hsm_status_out {
	struct hf_text state; /* ready, recovering, absent, pin-refused, ... */
	struct hf_text reason;
	uint64_t since;      /* when the state began */
	uint64_t generation; /* grows at each recovery */
	struct hf_text module;
	struct hf_text token;
	struct hf_text serial;
	struct hf_text manufacturer;
	struct hf_text model;
	uint64_t sessions;
	uint64_t master_version;
	uint64_t rotation_pending; /* keyrings still under an older master */
	struct hf_hsm_device *devices;
	size_t devices_count;
};

struct hf_mechanism {
	struct hf_text name;
	struct hf_text use;
	struct hf_text result; /* works, absent, fails */
	struct hf_text note;
};

struct hf_hsm_probe_out {
	struct hf_text token;
	struct hf_mechanism *mechanisms;
	size_t mechanisms_count;
	struct hf_text *quirks;
	size_t quirks_count;
};

struct hf_rotate_master_in {
	_Bool destroy_old; /* also destroy the old master key in the HSM */
	_Bool drop_shares; /* although shares of it become useless */
};

struct hf_rotate_master_out {
	uint64_t master_version;
	uint64_t keyrings;
};

struct hf_policy_reload_out {
	uint64_t generation;
	uint64_t policies;
};

struct hf_policy_info {
	struct hf_text name;
	struct hf_text file;
	uint64_t rules;
	struct hf_text *subjects;
	size_t subjects_count;
};

struct hf_policy_list_out {
	uint64_t generation;
	struct hf_policy_info *policies;
	size_t policies_count;
};

struct hf_policy_test_in {
	struct hf_text operation;  /* a wire name, as transit.sign */
	struct hf_text name;       /* of the key */
	struct hf_text path;       /* instead of operation and name ... */
	struct hf_text capability; /* ... with this */
	struct hf_text *subjects;  /* "uid:1001", "unit:nginx.service", ... */
	size_t subjects_count;
	const struct hf_pair *encryption_context;
	size_t encryption_context_count;
};

struct hf_policy_test_out {
	_Bool allowed;
	struct hf_text path;
	struct hf_text capability;
	struct hf_text rule;   /* the pattern that decided; absent: none */
	struct hf_text policy; /* its policy, file and line */
	struct hf_text reason;
};

struct hf_audit_status_out {
	struct hf_text file;
	uint64_t sequence;
	struct hf_bytes head; /* SHA-256 of the last line */
	uint64_t checkpoint;  /* number of the last checkpoint */
	uint64_t checkpoint_sequence;
	struct hf_text public_key; /* PEM */
};

#endif
