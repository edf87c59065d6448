/* SPDX-License-Identifier: Apache-2.0 */
#include "record.h"

#include "../lib/bytes.h"
#include "context_names.h"
#include "hsm.h"

/* clang-format off */
enum { VERSION_MAX = 0xffffff };

SCHEMA(member_schema, member_record,
	F(member_record, "name",            name,            1, 32, REQUIRED | NAME, NULL, ""),
	F(member_record, "master_id",       master_id,       16, 16, REQUIRED, NULL, ""),
	F(member_record, "master_version",  master_version,  0, VERSION_MAX, 0, NULL, ""),
	F(member_record, "wrap_id",         wrap_id,         16, 16, REQUIRED, NULL, ""),
	F(member_record, "audit_id",        audit_id,        16, 16, REQUIRED, NULL, ""),
	F(member_record, "phase",           phase,           0, 16, 0, "|init|ceremony|joining|making|rewrapping|retiring|leaving", ""),
	F(member_record, "next_id",         next_id,         16, 16, 0, NULL, ""),
	F(member_record, "next_version",    next_version,    0, VERSION_MAX, 0, NULL, ""),
	F(member_record, "destroy_old",     destroy_old,     0, 1, 0, NULL, ""),
	F(member_record, "share_set",       share_set,       8, 8, 0, NULL, ""),
	F(member_record, "share_check",     share_check,     8, 8, 0, NULL, ""),
	F(member_record, "share_threshold", share_threshold, 0, 255, 0, NULL, ""),
	F(member_record, "share_count",     share_count,     0, 255, 0, NULL, ""));
SCHEMA_PUBLIC(root_schema, root_record,
	F(root_record, "master_id",       master_id,       16, 16, 0, NULL, ""),
	F(root_record, "master_version",  master_version,  0, VERSION_MAX, 0, NULL, ""),
	F(root_record, "wrap_id",         wrap_id,         16, 16, 0, NULL, ""),
	F(root_record, "audit_id",        audit_id,        16, 16, 0, NULL, ""),
	F(root_record, "phase",           phase,           0, 16, 0, "|init|making|rewrapping|retiring", ""),
	F(root_record, "next_id",         next_id,         16, 16, 0, NULL, ""),
	F(root_record, "next_version",    next_version,    0, VERSION_MAX, 0, NULL, ""),
	F(root_record, "destroy_old",     destroy_old,     0, 1, 0, NULL, ""),
	F(root_record, "migrate_from",    migrate_from,    0, 32, 0, NULL, ""),
	F(root_record, "migrate_to",      migrate_to,      0, 32, 0, NULL, ""),
	F(root_record, "migrate_destroy", migrate_destroy, 0, 1, 0, NULL, ""),
	LIST(root_record, "members", members, 4, &member_schema, 0, ""));

SCHEMA(wrap_schema, wrap_record,
	F(wrap_record, "master_id",      master_id,      16, 16, REQUIRED, NULL, ""),
	F(wrap_record, "master_version", master_version, 0, VERSION_MAX, 0, NULL, ""),
	F(wrap_record, "sealed",         sealed,         1, 256, REQUIRED, NULL, ""));
SCHEMA_PUBLIC(keyring_schema, keyring_record,
	F(keyring_record, "id",             id,             16, 16, REQUIRED, NULL, ""),
	F(keyring_record, "creation_time",  creation_time,  0, INT64_MAX, REQUIRED, NULL, ""),
	F(keyring_record, "master_id",      master_id,      16, 16, 0, NULL, ""),
	F(keyring_record, "master_version", master_version, 0, VERSION_MAX, 0, NULL, ""),
	F(keyring_record, "sealed",         sealed,         1, 256, 0, NULL, ""),
	F(keyring_record, "destroyed",      destroyed,      0, 1, 0, NULL, ""),
	LIST(keyring_record, "wraps", wraps, 8, &wrap_schema, 0, ""));

SCHEMA_PUBLIC(key_schema, key_record,
	F(key_record, "id",                     id,                     16, 16, REQUIRED, NULL, ""),
	F(key_record, "type",                   type,                   1, 1000, REQUIRED, NULL, ""),
	F(key_record, "level",                  level,                  0, 1, REQUIRED, NULL, ""),
	F(key_record, "keyring",                keyring,                1, 128, REQUIRED | NAME, NULL, ""),
	F(key_record, "prefix",                 prefix,                 1, 32, REQUIRED | NAME, NULL, ""),
	F(key_record, "latest_version",         latest_version,         1, VERSION_MAX, REQUIRED, NULL, ""),
	F(key_record, "primary_version",        primary_version,        0, VERSION_MAX, 0, NULL, ""),
	F(key_record, "min_available_version",  min_available_version,  0, VERSION_MAX, 0, NULL, ""),
	F(key_record, "min_decryption_version", min_decryption_version, 0, VERSION_MAX, 0, NULL, ""),
	F(key_record, "min_encryption_version", min_encryption_version, 0, VERSION_MAX, 0, NULL, ""),
	F(key_record, "deletion_allowed",       deletion_allowed,       0, 1, 0, NULL, ""),
	F(key_record, "exportable",             exportable,             0, 1, 0, NULL, ""),
	F(key_record, "allow_plaintext_backup", allow_plaintext_backup, 0, 1, 0, NULL, ""),
	F(key_record, "soft_deleted",           soft_deleted,           0, 1, 0, NULL, ""),
	F(key_record, "imported",               imported,               0, 1, 0, NULL, ""),
	F(key_record, "key_size",               key_size,               0, 512, 0, NULL, ""),
	F(key_record, "creation_time",          creation_time,          0, INT64_MAX, REQUIRED, NULL, ""),
	F(key_record, "allow_rotation",         allow_rotation,         0, 1, 0, NULL, ""),
	F(key_record, "derived",                derived,                0, 1, 0, NULL, ""),
	F(key_record, "convergent",             convergent,             0, 3, 0, NULL, ""),
	F(key_record, "label",                  label,                  0, 256, 0, NULL, ""),
	F(key_record, "cka_id",                 cka_id,                 0, 256, 0, NULL, ""),
	F(key_record, "uses",                   uses,                   0, UINT32_MAX, 0, NULL, ""),
	F(key_record, "required_context",       required_context,       0, CONTEXT_NAMES_BYTES, 0, NULL, ""),
	F(key_record, "audit_context",          audit_context,          0, CONTEXT_NAMES_BYTES, 0, NULL, ""),
	F(key_record, "committing",             committing,             0, 1, 0, NULL, ""),
	F(key_record, "use_limit",              use_limit,              0, INT64_MAX, 0, NULL, ""),
	F(key_record, "auto_rotate_period",     auto_rotate_period,     0, INT64_MAX, 0, NULL, ""),
	F(key_record, "auto_retire_age",        auto_retire_age,        0, INT64_MAX, 0, NULL, ""),
	F(key_record, "auto_retire_behind",     auto_retire_behind,     0, VERSION_MAX, 0, NULL, ""),
	F(key_record, "retire_not_before",      retire_not_before,      0, INT64_MAX, 0, NULL, ""),
	F(key_record, "next_due",               next_due,               0, INT64_MAX, 0, NULL, ""));

SCHEMA_PUBLIC(version_schema, version_record,
	F(version_record, "version",          version,          1, VERSION_MAX, REQUIRED, NULL, ""),
	F(version_record, "state",            state,            1, 4, REQUIRED, NULL, ""),
	F(version_record, "level",            level,            0, 1, REQUIRED, NULL, ""),
	F(version_record, "creation_time",    creation_time,    0, INT64_MAX, REQUIRED, NULL, ""),
	F(version_record, "destroy_time",     destroy_time,     0, INT64_MAX, 0, NULL, ""),
	F(version_record, "material",         material,         0, 8192, SECRET, NULL, ""),
	F(version_record, "hmac",             hmac,             0, 64, SECRET, NULL, ""),
	F(version_record, "hsm_id",           hsm_id,           16, 16, 0, NULL, ""),
	F(version_record, "hsm_wrapped",      hsm_wrapped,      0, HSM_WRAPPED_MAX, 0, NULL, ""),
	F(version_record, "hsm_hmac_id",      hsm_hmac_id,      16, 16, 0, NULL, ""),
	F(version_record, "hsm_hmac_wrapped", hsm_hmac_wrapped, 0, HSM_WRAPPED_MAX, 0, NULL, ""),
	F(version_record, "wrap_id",          wrap_id,          16, 16, 0, NULL, ""),
	F(version_record, "hsm_home",         hsm_home,         16, 16, 0, NULL, ""),
	F(version_record, "spki",             spki,             0, SPKI_MAX, 0, NULL, ""),
	F(version_record, "certificates",     certificates,     0, 16384, 0, NULL, ""));

SCHEMA_PUBLIC(alias_schema, alias_record,
	F(alias_record, "target", target, 1, 128, REQUIRED | NAME, NULL, ""));

SCHEMA_PUBLIC(usage_schema, usage_record,
	F(usage_record, "reserved", reserved, 0, UINT64_MAX, 0, NULL, ""),
	F(usage_record, "counters", counters, 0, 4096, REQUIRED, NULL, ""));

SCHEMA_PUBLIC(clock_schema, clock_record,
	F(clock_record, "wall",    wall,    0, INT64_MAX, REQUIRED, NULL, ""),
	F(clock_record, "boot",    boot,    0, INT64_MAX, REQUIRED, NULL, ""),
	F(clock_record, "boot_id", boot_id, 0, 36, 0, NULL, ""),
	F(clock_record, "lag",     lag,     0, INT64_MAX, 0, NULL, ""),
	F(clock_record, "left",    left,    0, INT64_MAX, 0, NULL, ""));

SCHEMA_PUBLIC(certificate_schema, certificate_record,
	F(certificate_record, "uid",           uid,           16, 16, REQUIRED, NULL, ""),
	F(certificate_record, "certificate",   certificate,   1, 8192, REQUIRED, NULL, ""),
	F(certificate_record, "label",         label,         0, 256, 0, NULL, ""),
	F(certificate_record, "cka_id",        cka_id,        0, 256, 0, NULL, ""),
	F(certificate_record, "creation_time", creation_time, 0, INT64_MAX, REQUIRED, NULL, ""));

SCHEMA_PUBLIC(session_schema, session_record,
	F(session_record, "type",     type,     1, 1000, REQUIRED, NULL, ""),
	F(session_record, "uses",     uses,     0, UINT32_MAX, REQUIRED, NULL, ""),
	F(session_record, "material", material, 1, 8192, SECRET | REQUIRED, NULL, ""),
	F(session_record, "spki",     spki,     0, SPKI_MAX, 0, NULL, ""));

SCHEMA_PUBLIC(pin_schema, pin_record,
	F(pin_record, "salt",     salt,     16, 16, REQUIRED, NULL, ""),
	F(pin_record, "hash",     hash,     32, 32, SECRET | REQUIRED, NULL, ""),
	F(pin_record, "failures", failures, 0, UINT32_MAX, 0, NULL, ""));
SCHEMA_PUBLIC(login_schema, login_record,
	F(login_record, "salt", salt, 16, 16, REQUIRED, NULL, ""));
/* clang-format on */

enum hf_err
record_encode(const struct schema *schema, const void *record, uint8_t *buf,
    size_t cap, size_t *len)
{
	enum hf_err err = schema_encode(schema, record, buf, cap, len);

	return err == HF_ERR_BUFFER_TOO_SMALL ? HF_ERR_NO_MEMORY : err;
}

enum hf_err
record_decode(const struct schema *schema, struct hf_bytes in, void *record)
{
	return record_decode_list(schema, in, NULL, record);
}

enum hf_err
record_decode_list(const struct schema *schema, struct hf_bytes in,
    struct arena *arena, void *record)
{
	if (schema_decode(schema, in, arena, record, NULL) != HF_OK)
		return HF_ERR_STORE_DAMAGED;
	return HF_OK;
}
