/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_HIERARCHY_H
#define KEYD_HIERARCHY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast/bytes.h>
#include <holdfast/err.h>

#include "../lib/secret.h"
#include "hsm.h"
#include "store.h"

/*
 * The upper half of the key hierarchy: the master key in the HSM and the
 * keyring keys below it. A keyring key is 32 bytes from the HSM, stored sealed
 * by the master key (AES-256-GCM inside the HSM) and opened once into locked
 * memory. It seals everything else that is stored (keys, versions, aliases).
 *
 * In the store:
 *	hsm/root            object ids of master, wrapping and audit key, and
 *	                    how far a rotation of the master has come
 *	keyring/<name>      the sealed keyring key
 *
 * Functions that may reach the HSM block; call them from workers. Thread-safe.
 */
struct hierarchy;

enum { KEYRING_NAME = 129 };

/* Reads hsm/root; does not touch the HSM. */
enum hf_err hierarchy_open(struct store *store, struct hsm *hsm,
    struct hierarchy **out, struct hf_why *why);
void hierarchy_close(struct hierarchy *h);

/* Whether there is a master key (as far as the store knows). */
bool hierarchy_initialized(struct hierarchy *h);

/*
 * Makes master, wrapping and audit key in the HSM and the keyring "default".
 * Every step is written down before it is done, so a second call goes on where
 * a killed one stopped; on a finished hierarchy it does nothing.
 */
enum hf_err hierarchy_init(struct hierarchy *h, struct hf_why *why);

/*
 * Opens all keyring keys through the HSM and finishes an initialisation or a
 * rotation that was cut short. For the start and after a recovery of the HSM.
 * One that cannot be opened does not keep the others closed. Does not wait for
 * a rotation that somebody else is at: HF_ERR_IN_PROGRESS.
 */
enum hf_err hierarchy_unlock(struct hierarchy *h, struct hf_why *why);

/* -- Sealing values of the store -- */

/*
 * A sealed value: format (1) || mechanism (1) || keyring key id (16) || its
 * version (4) || nonce (12) || ciphertext || tag (16). Everything before the
 * nonce, and `identity` (the store key it stands under), is bound as AAD.
 */
enum { SEAL_HEADER = 22, SEAL_EXTRA = 50 };

/* `out` takes in.len + SEAL_EXTRA bytes. */
enum hf_err hierarchy_seal(struct hierarchy *h, struct hf_text keyring,
    struct hf_text identity, struct hf_bytes in, uint8_t *out);

/* HF_ERR_STORE_DAMAGED when it is not what was sealed under that identity. */
enum hf_err hierarchy_unseal(struct hierarchy *h, struct hf_text identity,
    struct hf_bytes sealed, struct secret *out);

/* -- Keyrings -- */

struct keyring_info {
	char name[KEYRING_NAME];
	uint64_t master_version;
	uint64_t creation_time;
	bool destroyed;
	uint64_t revision; /* of its record: changes when it is destroyed */
};

/* Name of its record in the store, for conditions; `out` takes it and a NUL. */
enum { KEYRING_STORE_NAME = KEYRING_NAME + 8 };
void keyring_store_name(struct hf_text name, char out[KEYRING_STORE_NAME]);

/* HF_ERR_NAME_TAKEN, also for the name of a destroyed one. */
enum hf_err keyring_create(
    struct hierarchy *h, struct hf_text name, struct keyring_info *out);
enum hf_err keyring_info(
    struct hierarchy *h, struct hf_text name, struct keyring_info *out);
/* The names in order, starting after `after`; *count in: room, out: given. */
enum hf_err keyring_list(struct hierarchy *h, struct hf_text after,
    struct keyring_info *out, size_t *count);
/* Whether `sealed` was sealed by that keyring. */
bool keyring_sealed(
    struct hierarchy *h, struct hf_text name, struct hf_bytes sealed);
/* Forgets the keyring key for good. What it sealed cannot be opened again. */
enum hf_err keyring_destroy(struct hierarchy *h, struct hf_text name);

/* -- The master key -- */

/*
 * A new master key; every keyring key is sealed anew under it. Written down
 * step by step: killed anywhere, the next call (or start) goes on from there.
 * With `destroy_old` (of either call) the old master is then destroyed in the
 * HSM; without, it stays there so that older backups of the store can be
 * opened.
 */
enum hf_err hierarchy_rotate_master(struct hierarchy *h, bool destroy_old,
    uint64_t *version, uint64_t *keyrings, struct hf_why *why);

uint64_t hierarchy_master_version(struct hierarchy *h);
/* Keyrings whose key still is under an older master than it is to be. */
uint64_t hierarchy_rotation_pending(struct hierarchy *h);

/* The HSM's wrapping key for keys at level hsm. */
void hierarchy_wrap_id(struct hierarchy *h, uint8_t out[HSM_ID]);
/* The master key in force. */
void hierarchy_master_id(struct hierarchy *h, uint8_t out[HSM_ID]);
/* The HSM's key for audit checkpoints. */
void hierarchy_audit_id(struct hierarchy *h, uint8_t out[HSM_ID]);

#endif
