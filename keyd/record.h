/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_RECORD_H
#define KEYD_RECORD_H

#include "../lib/schema.h"
#include "store.h"

/*
 * What stands in the store, as CBOR by schema. Where a record is not sealed it
 * holds nothing secret, and a change to it shows because what it leads to then
 * fails to open.
 */

/*
 * hsm/root, not sealed: the HSMs of the hierarchy. The first format had the
 * fields of one HSM in the record itself, and no members.
 */
struct member_record {
	struct hf_text name;
	struct hf_bytes master_id;
	uint64_t master_version;
	struct hf_bytes wrap_id;
	struct hf_bytes audit_id;
	struct hf_text phase;
	struct hf_bytes next_id; /* making, rewrapping: new; retiring: old */
	uint64_t next_version;
	_Bool destroy_old;
	struct hf_bytes share_set; /* shares of master and wrapping key */
	struct hf_bytes share_check;
	uint64_t share_threshold;
	uint64_t share_count;
};
struct root_record {
	struct hf_bytes master_id; /* from here ... */
	uint64_t master_version;
	struct hf_bytes wrap_id;
	struct hf_bytes audit_id;
	struct hf_text phase;
	struct hf_bytes next_id;
	uint64_t next_version;
	_Bool destroy_old; /* ... to here: the first format */
	struct hf_text migrate_from;
	struct hf_text migrate_to;
	_Bool migrate_destroy;
	struct member_record *members;
	size_t members_count;
};
extern const struct schema root_schema;

/*
 * keyring/<name>, not sealed but for `sealed`, by a master key. The first
 * format had one, in the record itself.
 */
struct wrap_record {
	struct hf_bytes master_id;
	uint64_t master_version;
	struct hf_bytes sealed;
};
struct keyring_record {
	struct hf_bytes id;
	uint64_t creation_time;
	struct hf_bytes master_id; /* from here ... */
	uint64_t master_version;
	struct hf_bytes sealed; /* ... to here: the first format */
	_Bool destroyed;
	struct wrap_record *wraps;
	size_t wraps_count;
};
extern const struct schema keyring_schema;

/* key/<name>, sealed. */
struct key_record {
	struct hf_bytes id;
	uint64_t type;  /* enum key_type_id */
	uint64_t level; /* enum key_level, of new versions */
	struct hf_text keyring;
	struct hf_text prefix;
	uint64_t latest_version;
	uint64_t primary_version;
	uint64_t min_available_version;
	uint64_t min_decryption_version;
	uint64_t min_encryption_version;
	_Bool deletion_allowed;
	_Bool exportable;
	_Bool allow_plaintext_backup;
	_Bool soft_deleted;
	_Bool imported;
	uint64_t key_size;
	uint64_t creation_time;
	_Bool allow_rotation; /* of an imported key */
	_Bool derived;
	uint64_t convergent; /* version of convergent encryption; 0: none */
	/* As a PKCS#11 program gave them; absent: the service's own. */
	struct hf_text label;
	struct hf_bytes cka_id;
	uint64_t uses; /* enum hf_p11_use; 0: key_purpose.h decides */
	/* Names of encryption contexts (context_names.h). */
	struct hf_bytes required_context;
	struct hf_bytes audit_context;
	uint64_t committing; /* 1: the formats of key_commit.h; 0: none */
	uint64_t use_limit;  /* 0: as its type has it (key_type_limit) */
	/* key_plan.h: what is done over time. Seconds. */
	uint64_t auto_rotate_period;
	uint64_t auto_retire_age, auto_retire_behind;
	uint64_t retire_not_before;
	uint64_t next_due; /* the mark that stands in the store; 0: none */
};
extern const struct schema key_schema;

/* The one version that is made, and opened; as Vault numbers them. */
enum { CONVERGENT_VERSION = 3 };

enum version_state {
	VERSION_ENABLED = 1, /* stored: never renumber */
	VERSION_DISABLED = 2,
	VERSION_DESTROY_SCHEDULED = 3,
	VERSION_DESTROYED = 4,
};

/* ver/<key id>/<version>, sealed. */
struct version_record {
	uint64_t version;
	uint64_t state; /* enum version_state */
	uint64_t level; /* enum key_level */
	uint64_t creation_time;
	uint64_t destroy_time;
	struct hf_bytes
	    material;           /* level wrapped: as crypto_generate makes it */
	struct hf_bytes hmac;   /* level wrapped: 32 bytes */
	struct hf_bytes hsm_id; /* level hsm ... */
	struct hf_bytes hsm_wrapped;
	struct hf_bytes hsm_hmac_id;
	struct hf_bytes hsm_hmac_wrapped;
	struct hf_bytes wrap_id;
	struct hf_bytes hsm_home; /* the HSM where it was born: its audit_id */
	struct hf_bytes spki;
	struct hf_bytes certificates; /* DER, one after the other, leaf first */
};
extern const struct schema version_schema;

/* alias/<name>, sealed. */
struct alias_record {
	struct hf_text target;
};
extern const struct schema alias_schema;

/* use/<key id>/<version>, sealed: what a version was used for (usage.h). */
struct usage_record {
	uint64_t reserved;        /* so much may have been taken */
	struct hf_bytes counters; /* usage_store.c */
};
extern const struct schema usage_schema;

/* clock, not sealed: timeline_kept.h. Milliseconds. */
struct clock_record {
	uint64_t wall, boot;
	struct hf_text boot_id;
	uint64_t lag, left;
};
extern const struct schema clock_schema;

/* cert/<name>, sealed: a certificate that belongs to no key (certificates.h).
 */
struct certificate_record {
	struct hf_bytes uid;
	struct hf_bytes certificate;
	struct hf_text label;
	struct hf_bytes cka_id;
	uint64_t creation_time;
};
extern const struct schema certificate_schema;

/* Not in the store but with a caller, sealed: session_key.h. */
struct session_record {
	uint64_t type; /* enum key_type_id */
	uint64_t uses;
	struct hf_bytes material;
	struct hf_bytes spki;
};
extern const struct schema session_schema;

/* pin/<subject>, sealed: pin.h. */
struct pin_record {
	struct hf_bytes salt;
	struct hf_bytes hash;
	uint64_t failures; /* since the PIN was right, or set */
};
extern const struct schema pin_schema;

/* Not in the store but with a caller, sealed: a login. */
struct login_record {
	struct hf_bytes salt; /* of the PIN that was right */
};
extern const struct schema login_schema;

/*
 * Encodes a record into `buf`; `cap` is a constant that fits every record of
 * its kind, so a record that does not fit is HF_ERR_NO_MEMORY.
 */
enum hf_err record_encode(const struct schema *schema, const void *record,
    uint8_t *buf, size_t cap, size_t *len);

/* Views into `in`. HF_ERR_STORE_DAMAGED when it is not such a record. */
enum hf_err record_decode(
    const struct schema *schema, struct hf_bytes in, void *record);

/* The same for records with lists, which come from the arena. */
enum hf_err record_decode_list(const struct schema *schema, struct hf_bytes in,
    struct arena *arena, void *record);

enum { RECORD_MAX = 32768 };

#endif
