/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_HIERARCHY_INTERNAL_H
#define KEYD_HIERARCHY_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "hierarchy.h"

/*
 * What the files of the hierarchy share; nobody else includes this.
 *
 *	hierarchy.c          open, initialise, unlock, seal
 *	hierarchy_root.c     the record hsm/root
 *	hierarchy_device.c   which HSM works now, and which holds what
 *	hierarchy_keyring.c  keyrings and their records
 *	hierarchy_rotate.c   new master keys
 *	hierarchy_member.c   HSMs that come and go
 *	hierarchy_shares.c   master keys with a backup in shares
 *
 * Locks: `changing` is held by whoever changes root or keyrings, across calls
 * to HSM and store; `lock` guards what is in memory and is held for moments;
 * `choosing` guards `active`. In this order.
 */

enum {
	KEYRING_KEY = 32,
	KEYRING_SEALED = KEYRING_KEY + HSM_SEAL_EXTRA,
	/* In a rotation that is cut short, an old and a new one of each. */
	WRAPS_MAX = 2 * HSM_DEVICES,
};

/* A keyring key under one master key. */
struct wrap {
	uint8_t master_id[HSM_ID];
	uint64_t version; /* of that master key; part of what it binds */
	uint8_t sealed[KEYRING_SEALED];
};

/* Entries are made once and stay; what changes is guarded by `lock`. */
struct keyring {
	struct keyring *next;
	struct keyring_info info;
	uint8_t id[HSM_ID];
	struct wrap wraps[WRAPS_MAX];
	size_t wrap_count;
	struct secret key; /* empty until opened, and once destroyed */
};

/* An HSM of the hierarchy, as hsm/root has it. */
struct member {
	char name[HSM_NAME];
	uint8_t master_id[HSM_ID], wrap_id[HSM_ID], audit_id[HSM_ID];
	uint64_t master_version; /* 0: its keys are not made yet */
	/* "", init, ceremony, joining, making, rewrapping, retiring, leaving */
	char phase[16];
	uint8_t next_id[HSM_ID];
	uint64_t next_version;
	bool destroy_old;
	struct share_facts shares; /* of its master and wrapping key */
};

/* hsm/root as plain members. The order of members is that of preference. */
struct root {
	uint64_t revision; /* 0: there is none */
	struct member members[HSM_DEVICES];
	size_t count;
	char migrate_from[HSM_NAME], migrate_to[HSM_NAME]; /* "": none */
	bool migrate_destroy;
};

/* An HSM of the configuration. */
struct link {
	char name[HSM_NAME];
	struct hsm *hsm;
	/* The connection (generation) in which somebody looked whether it holds
	 * its master key, and that in which it did; 0: none. */
	_Atomic uint64_t looked, seen;
};

struct hierarchy {
	struct store *store;
	struct link links[HSM_DEVICES];
	size_t link_count;
	unsigned return_seconds;
	pthread_rwlock_t lock;    /* root, keyrings */
	pthread_mutex_t changing; /* one change of root or keyrings at a time */
	pthread_mutex_t choosing; /* active */
	pthread_rwlock_t held;    /* hierarchy_hold; outside of all others */
	struct link *active;
	struct root root;
	struct keyring *keyrings; /* by name */
};

/* -- hierarchy_root.c -- */

enum hf_err root_load(struct hierarchy *h);
/* Writes `next` down and only then makes it the root in force; `changing` is
 * held. */
enum hf_err root_save(struct hierarchy *h, struct root *next);
bool phase_is(const struct member *m, const char *phase);
void phase_set(struct member *m, const char *phase);
/* Not there yet, of that HSM: fresh ids for its keys, and a phase. */
enum hf_err member_new(struct member *m, const char *name, const char *phase);
/* NULL when there is none of that name. */
struct member *root_member(struct root *r, const char *name);
/* Whether its keys are there and to be used. */
bool member_joined(const struct member *m);
/* The version of the master key in force; 0: there is none. */
uint64_t root_version(const struct root *r);
struct hf_bytes id_view(const uint8_t id[HSM_ID]);
void id_set(uint8_t to[HSM_ID], struct hf_bytes from);

/* -- hierarchy_device.c -- */

/* NULL when it is not configured. */
struct link *link_of(struct hierarchy *h, const char *name);
bool link_ready(struct link *l);
/* Ready, and known to hold the master key that is ours. */
bool link_usable(struct hierarchy *h, struct link *l);
/* The one that works now; never NULL. */
struct link *link_active(struct hierarchy *h);
/* Those that work now, the active one first; never none. */
size_t links_working(struct hierarchy *h, struct link *out[HSM_DEVICES]);
/* A copy of its member; false when it is not in the hierarchy. */
bool link_member(struct hierarchy *h, const struct link *l, struct member *out);
/* Looks whether HSMs that came (back) are those that they should be;
 * `changing` is held. */
void links_look(struct hierarchy *h);

/* -- hierarchy_keyring.c; `changing` is held for all that write -- */

struct keyring *keyring_find(struct hierarchy *h, struct hf_text name);
struct keyring *keyring_by_id(struct hierarchy *h, const uint8_t id[HSM_ID]);
void keyring_free(struct keyring *k);
enum hf_err keyrings_load(struct hierarchy *h);
enum hf_err keyring_make(
    struct hierarchy *h, struct hf_text name, struct keyring **out);
/* Opens a keyring key into memory unless it is there already. */
enum hf_err keyring_unlock(struct hierarchy *h, struct keyring *k);
bool keyring_wrapped_by(const struct keyring *k, const uint8_t id[HSM_ID]);
/* Seals the key, which is in memory, under a master key of that HSM too; the
 * one under `instead` (may be NULL) goes in the same step. */
enum hf_err keyring_wrap(struct hierarchy *h, struct keyring *k, struct link *l,
    const uint8_t master_id[HSM_ID], uint64_t version,
    const uint8_t instead[HSM_ID]);
/* Forgets what is sealed under that master key. */
enum hf_err keyring_drop_wrap(
    struct hierarchy *h, struct keyring *k, const uint8_t master_id[HSM_ID]);
/* That HSM opens what is sealed under the master key to what is in memory;
 * else HF_ERR_STORE_DAMAGED. */
enum hf_err keyring_verify(struct hierarchy *h, struct keyring *k,
    struct link *l, const uint8_t master_id[HSM_ID]);
/* What the HSM sealed is good only when it also opens it again. */
enum hf_err seal_and_try(struct hsm *hsm, const uint8_t master_id[HSM_ID],
    struct hf_bytes aad, const struct secret *key, uint8_t *sealed);

/* A master key in this process opens it; HF_ERR_AUTH_FAILED. */
enum hf_err keyring_open_outside(const struct keyring *k,
    const uint8_t master_id[HSM_ID], struct hf_bytes master);

/* -- hierarchy_shares.c -- */

/* Destroys what an initialisation that did not end has made. */
enum hf_err hierarchy_forget_attempt(struct hierarchy *h, struct root *r);

/* -- hierarchy.c -- */

/* A sealed value must open again, and only with its own AAD. */
enum hf_err master_check(struct hsm *hsm, const uint8_t id[HSM_ID]);

/* -- hierarchy_rotate.c, hierarchy_member.c; `changing` is held -- */

/* Does what is left to do for a member whose HSM is there. */
enum hf_err rotate_finish(
    struct hierarchy *h, const char *name, uint64_t *done);
enum hf_err member_finish(struct hierarchy *h, const char *name);
enum hf_err migration_finish(struct hierarchy *h);
/* Wraps what this member lacks. */
enum hf_err member_cover(struct hierarchy *h, const char *name, uint64_t *done);

#endif
