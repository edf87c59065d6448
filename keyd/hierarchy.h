/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_HIERARCHY_H
#define KEYD_HIERARCHY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast/bytes.h>
#include <holdfast/err.h>

#include "../lib/name.h"
#include "../lib/secret.h"
#include "hsm.h"
#include "store.h"

/*
 * The upper half of the key hierarchy: the master key in the HSM and the
 * keyring keys below it. A keyring key is 32 bytes from the HSM, stored sealed
 * by the master key (AES-256-GCM inside the HSM) and opened once into locked
 * memory. It seals everything else that is stored (keys, versions, aliases).
 *
 * There may be several HSMs. Each has a master key of its own, and each keyring
 * key is stored under all of them, so that any one is enough. What an HSM
 * missed while it was away is made up for when it is back. One of them works
 * at a time: the first in the order of preference that is there.
 *
 * In the store:
 *	hsm/root            the HSMs: object ids of master, wrapping and audit
 *	                    key, and how far a change has come
 *	keyring/<name>      the keyring key, sealed by each
 *
 * Functions that may reach an HSM block; call them from workers. Thread-safe.
 */
struct hierarchy;

enum { KEYRING_NAME = NAME_SIZE, HSM_DEVICES = 4, HSM_NAME = 33 };

/* An HSM as the configuration calls it. */
struct hierarchy_link {
	const char *name; /* 1 to 32, as other names */
	struct hsm *hsm;  /* stays with the caller */
};

/*
 * Reads hsm/root; does not touch the HSMs. `links` are 1 to HSM_DEVICES.
 * hierarchy_open is the same for a single HSM, called "hsm".
 */
enum hf_err hierarchy_open_links(struct store *store,
    const struct hierarchy_link *links, size_t count, struct hierarchy **out,
    struct hf_why *why);
enum hf_err hierarchy_open(struct store *store, struct hsm *hsm,
    struct hierarchy **out, struct hf_why *why);
void hierarchy_close(struct hierarchy *h);

/* How long an HSM that is preferred must have been back before it works
 * again; 30 s until it is called. */
void hierarchy_set_return(struct hierarchy *h, unsigned seconds);

/* Whether there is a master key (as far as the store knows). */
bool hierarchy_initialized(struct hierarchy *h);

/*
 * Makes master, wrapping and audit key in the HSM and the keyring "default".
 * Every step is written down before it is done, so a second call goes on where
 * a killed one stopped; on a finished hierarchy it does nothing.
 */
enum hf_err hierarchy_init(struct hierarchy *h, struct hf_why *why);

/*
 * Opens all keyring keys through an HSM and finishes what was cut short or had
 * to wait for an HSM: an initialisation, a rotation, HSMs that were to be
 * added, removed or migrated, keyrings that one of them missed. For the start,
 * after a recovery of an HSM, and when hierarchy_has_work(). One that cannot be
 * opened does not keep the others closed. Does not wait for a change that
 * somebody else is at: HF_ERR_IN_PROGRESS.
 */
enum hf_err hierarchy_unlock(struct hierarchy *h, struct hf_why *why);

/* Whether hierarchy_unlock could get further now than last time. */
bool hierarchy_has_work(struct hierarchy *h);

/* -- Sealing values of the store -- */

/*
 * A sealed value: format (1) || mechanism (1) || keyring key id (16) || its
 * version (4) || nonce (12) || ciphertext || tag (16). Everything before the
 * nonce, and `identity` (the store key it stands under), is bound as AAD.
 */
enum { SEAL_HEADER = 22, SEAL_EXTRA = 50, SEAL_IDENTITY_MAX = STORE_KEY_MAX };

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

/* Counts up from 1; 0: there is none yet. */
uint64_t hierarchy_master_version(struct hierarchy *h);
/* Keyrings whose key still is under an older master than it is to be. */
uint64_t hierarchy_rotation_pending(struct hierarchy *h);

/* -- Which HSM -- */

/* Seconds until the preferred one may work again instead of another; 0: it
 * works, or is not there. */
unsigned hierarchy_returns_in(struct hierarchy *h);

/* The one that works now. Its keys are all zero before initialisation. */
struct hierarchy_device {
	const char *name; /* lives as long as the hierarchy */
	struct hsm *hsm;
	uint8_t master_id[HSM_ID], wrap_id[HSM_ID], audit_id[HSM_ID];
};
void hierarchy_active(struct hierarchy *h, struct hierarchy_device *out);
struct hsm *hierarchy_hsm(struct hierarchy *h);
/* hsm_random by the one that works, and when it goes meanwhile, by the next. */
enum hf_err hierarchy_random(struct hierarchy *h, uint8_t *out, size_t len);

/*
 * The one to ask for a key at level hsm: it holds the wrapping key, and works
 * if one of those does. A resident key is in its `home` only (the audit_id of
 * the HSM where it was born; zeros: not known).
 */
struct hsm *hierarchy_hsm_of_key(
    struct hierarchy *h, const struct hsm_key *key, const uint8_t home[HSM_ID]);
/* Names of those that hold it, also of HSMs that are not configured now. */
size_t hierarchy_holders(struct hierarchy *h, const struct hsm_key *key,
    const uint8_t home[HSM_ID], char out[HSM_DEVICES][HSM_NAME]);

/* hsm_open_sealed by whichever HSM holds that master key. */
enum hf_err hierarchy_open_sealed(struct hierarchy *h,
    const uint8_t master_id[HSM_ID], struct hf_bytes aad, struct hf_bytes in,
    struct secret *out);

/* Shares of a master key that were given out when it was made. */
struct share_facts {
	uint8_t set[8]; /* names them */
	uint8_t check[8];
	unsigned threshold, count; /* 0: there are none */
};

struct hierarchy_facts {
	char name[HSM_NAME];
	struct hsm *hsm; /* NULL: not in the configuration */
	bool in_hierarchy;
	bool active;    /* works now */
	bool usable;    /* could */
	char phase[16]; /* "": nothing is under way */
	uint8_t master_id[HSM_ID], audit_id[HSM_ID];
	uint64_t master_version;
	size_t keyrings, missing; /* that it can open, and that it cannot */
	struct share_facts shares;
};
/* In order of preference, then those of the configuration that are not in the
 * hierarchy. The number of rows. */
size_t hierarchy_devices(
    struct hierarchy *h, struct hierarchy_facts out[2 * HSM_DEVICES]);

/* Whether some HSM lacks a keyring; `out` gets a sentence about it. */
bool hierarchy_degraded(struct hierarchy *h, char *out, size_t cap);

/*
 * While a key is made in an HSM, and until it is written down, that HSM must
 * not be taken out: who makes one holds the HSMs in place meanwhile, together
 * with others; who looks for what would be lost, and takes one out, holds them
 * alone. By one thread, and not twice.
 */
void hierarchy_hold(struct hierarchy *h);
void hierarchy_hold_alone(struct hierarchy *h);
void hierarchy_release(struct hierarchy *h);

/* -- HSMs that come and go; each goes on where it was cut short -- */

/* Makes master, wrapping and audit key in a configured HSM and wraps all
 * keyring keys with its master. An HSM that shares the master or wrapping key
 * of another one (a copy of its token) goes on sharing it. */
enum hf_err hierarchy_add(struct hierarchy *h, struct hf_text name,
    uint64_t *keyrings, struct hf_why *why);
/*
 * Takes an HSM out; refused where no other one that works holds all keyrings.
 * What lives in it alone is lost: the caller has asked. `destroy` destroys its
 * master key too.
 */
enum hf_err hierarchy_remove(
    struct hierarchy *h, struct hf_text name, bool destroy, struct hf_why *why);
/* Adds `to`, compares every keyring key that it opens with the one in memory,
 * makes it the preferred one, and removes `from`. */
enum hf_err hierarchy_migrate(struct hierarchy *h, struct hf_text from,
    struct hf_text to, bool destroy, uint64_t *keyrings, struct hf_why *why);

/* -- A master key in shares (share.h) -- */

/* Gives the shares to their holders; HF_OK when all have theirs. */
typedef enum hf_err hand_out_fn(void *ctx, struct hf_why *why);

/*
 * hierarchy_init with a master and a wrapping key that were made outside
 * (SHARE_KEYS bytes) and of which there are shares. They are handed out when
 * the HSM has the keys and before anything is under them; cut short, it begins
 * anew, with other keys.
 */
enum hf_err hierarchy_init_shared(struct hierarchy *h, struct hf_bytes keys,
    const struct share_facts *shares, hand_out_fn *hand_out, void *ctx,
    struct hf_why *why);
/*
 * Brings them back into an HSM of the configuration: a new token in the place
 * of the lost one, or one more that shares its keys. Nothing is changed unless
 * they open the keyrings of the store. A second time it finds them there.
 */
enum hf_err hierarchy_restore_shared(struct hierarchy *h, const char *device,
    const struct share_facts *shares, struct hf_bytes keys, struct hf_why *why);

/* As hierarchy_active has them. */
void hierarchy_wrap_id(struct hierarchy *h, uint8_t out[HSM_ID]);
void hierarchy_audit_id(struct hierarchy *h, uint8_t out[HSM_ID]);

#endif
