/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_KEY_H
#define KEYD_KEY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast/bytes.h>
#include <holdfast/err.h>

#include "../lib/name.h"
#include "../lib/secret.h"
#include "crypto.h"
#include "hierarchy.h"
#include "hsm.h"
#include "key_type.h"
#include "record.h"
#include "usage.h"

/*
 * A named key with its versions, opened and ready for use. Immutable once it
 * is made: a change makes another one, and whoever still holds the old one
 * goes on with it until key_unref().
 */
struct key_version {
	uint32_t number;
	enum version_state state;
	enum key_level level;
	uint64_t creation_time;
	uint64_t destroy_time;
	struct secret material; /* wrapped: symmetric and hmac keys */
	struct crypto_key
	    *pair;          /* asymmetric: private, or public at level hsm */
	struct secret hmac; /* wrapped: the key for op hmac */
	struct hsm_key hsm; /* level hsm; blobs in hsm_blob */
	struct hsm_key hsm_hmac;
	uint8_t hsm_home[HSM_ID]; /* the HSM where it was born (audit_id) */
	uint8_t *hsm_blob;
	uint8_t *spki; /* SubjectPublicKeyInfo DER of asymmetric keys */
	size_t spki_len;
	uint8_t *chain; /* certificates: DER, leaf first (crypto_x509.h) */
	size_t chain_len;
	struct usage *usage; /* what it is used for; NULL: nobody counts */
};

enum { KEY_PREFIX = 33 /* of its ciphertexts, with a NUL */ };

struct key {
	_Atomic unsigned refs;
	/* Every request writes to refs, and reads what follows: not in one
	 * cache line. */
	char apart[64];
	char name[NAME_SIZE];
	uint8_t id[HSM_ID];
	const struct key_type *type;
	enum key_level level; /* of new versions */
	char keyring[KEYRING_NAME];
	char prefix[KEY_PREFIX];
	uint32_t latest, primary, min_available, min_decryption, min_encryption;
	bool deletion_allowed, exportable, allow_plaintext_backup;
	bool soft_deleted, imported;
	bool allow_rotation; /* of an imported key */
	bool derived;        /* used through a context only (key_derive.h) */
	bool convergent;
	bool committing; /* key_commit.h */
	size_t key_size; /* hmac keys: bytes */
	bool passing;    /* stands in no store: key_passing() */
	uint64_t uses;   /* what it was made for: key_purpose.h */
	char *label;     /* PKCS#11; NULL: its name */
	uint8_t *cka_id; /* PKCS#11; NULL: one of ours */
	size_t cka_id_len;
	/* Names of encryption contexts (context_names.h): those that must be
	 * given, and those that the audit log has in clear. */
	uint8_t *required_context, *audit_context;
	size_t required_context_len, audit_context_len;
	uint64_t creation_time;
	uint64_t use_limit; /* of each version, as usage_take has it */
	uint64_t own_limit; /* ... as it was set; 0: that of its type */
	/* As in struct key_record. */
	uint64_t auto_rotate_period, auto_retire_age, auto_retire_behind;
	uint64_t retire_not_before, next_due;
	uint64_t revision;       /* of its record in the store */
	struct usage_key *usage; /* of key_count_uses */
	size_t count;
	struct key_version versions[]; /* by number, not all need be there */
};

/* Names in the store. `out` takes KEY_STORE_NAME bytes, with a NUL. */
enum { KEY_STORE_NAME = 288 };
void key_store_name(struct hf_text name, char out[KEY_STORE_NAME]);
void version_store_name(
    const uint8_t id[HSM_ID], uint32_t number, char out[KEY_STORE_NAME]);

/*
 * Reads and opens a key. HF_ERR_KEY_NOT_FOUND; HF_ERR_BUSY when it changes all
 * the time; HF_ERR_STORE_DAMAGED when a record is not what was sealed. Blocks
 * on the store, and once on the HSM.
 */
enum hf_err key_load(struct store *store, struct hierarchy *h,
    struct hf_text name, struct key **out);

/*
 * The same key without reading, for who is about to write its record and its
 * only version, and sets its revision then.
 */
enum hf_err key_made(struct hf_text name, const struct key_record *rec,
    const struct version_record *version, struct key **out);

/* Has its versions counted from now on; the key is not shared yet. `fresh`: it
 * was made just now, and nobody can have counted any before. */
enum hf_err key_count_uses(struct key *key, struct usages *all, bool fresh);

/*
 * Opens one version as key_load does, to see whether it can be. `v` is all
 * zero; version_free is due whatever comes of it.
 */
enum hf_err version_open(struct key_version *v, const struct key_type *type,
    const struct version_record *rec);
void version_free(struct key_version *v);

/*
 * A key of one version that stands in no store, as somebody brought it:
 * wrapped material, or a public half alone. HF_ERR_BAD_INPUT, HF_ERR_KEY_TYPE.
 */
enum hf_err key_passing(const struct key_type *type,
    const struct version_record *rec, uint64_t uses, struct key **out);

struct key *key_ref(struct key *key);
/* Drops one reference; the last one wipes and frees. NULL is fine. */
void key_unref(struct key *key);

/* NULL when the key has no such version (any more). */
const struct key_version *key_version_find(
    const struct key *key, uint64_t number);

#endif
