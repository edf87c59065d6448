/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_USAGE_H
#define KEYD_USAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast/bytes.h>
#include <holdfast/err.h>

#include "hierarchy.h"
#include "store.h"

/*
 * What key versions were used for: by class of operation how often, when first
 * and last, and by how many callers. Whoever opens a key gets the counters of
 * its versions, which live as long as somebody has the key open or they are
 * not written down yet. Counting takes no lock and, after the first time, no
 * memory; what was counted is written behind, in groups, sealed, to
 * use/<key id>/<version>. A crash loses what was counted since the last time.
 *
 * That must not happen to the number that limits a key (NIST SP 800-38D, 8.3:
 * 2^32 encryptions under random nonces): usage_take() counts only up to a
 * number that stands in the store already, and puts a higher one there first.
 * A crash makes the count too high by less than USAGE_BLOCK, never too low.
 *
 * Callers are told apart by identity->caller: exactly up to USAGE_KNOWN, above
 * that by linear counting (Whang et al., 1990) with 512 bits: the standard
 * error is 6 % or less up to 1,500 callers, and 3,000 are the most it tells.
 */
enum usage_class {
	USAGE_ENCRYPT, /* wrapping and data keys too */
	USAGE_DECRYPT, /* and unwrapping */
	USAGE_REWRAP,  /* opened only to be encrypted anew */
	USAGE_SIGN,
	USAGE_VERIFY, /* signatures, HMACs and CMACs that were right */
	USAGE_MAC,    /* made */
	USAGE_DERIVE,
	USAGE_CLASSES,
};

enum { USAGE_KNOWN = 8, USAGE_BLOCK = 65536 };

/* "encrypt", "decrypt", ... */
const char *usage_class_name(enum usage_class class);

/* The counters of all keys. */
struct usages;
/* Those of one key, and of one of its versions. */
struct usage_key;
struct usage;

/* Reads nothing yet. Store and hierarchy stay the caller's. */
enum hf_err usages_new(
    struct store *store, struct hierarchy *h, struct usages **out);

/*
 * Writes what is not written yet. Nobody has a key open any more. Where
 * nothing was counted since, store and hierarchy are not touched. NULL is fine.
 */
void usages_free(struct usages *all);

/*
 * `wake` is called, from any thread, when there is something to write and was
 * nothing before; it must be short. NULL: nobody cares.
 */
void usages_on_dirty(struct usages *all, void (*wake)(void *ctx), void *ctx);

/* Writes it. After an error it is still there to be written. */
enum hf_err usages_flush(struct usages *all);

/*
 * A reference to the counters of a key, read from the store if nobody has them
 * yet and it was not made just now. Blocks on the store. `id`: 16 bytes.
 */
enum hf_err usage_open(struct usages *all, const uint8_t *id,
    const char *keyring, bool made_now, struct usage_key **out);

/* The counters of a version; NULL when there is no memory. */
struct usage *usage_version(struct usage_key *key, uint32_t number);

/* Names these counters for as long as the daemon runs: others get another
 * number, also where they take the place of these. 0 for NULL. */
uint64_t usage_serial(const struct usage *u);

/* NULL is fine. */
void usage_close(struct usage_key *key);

/* Name of the record in the store; `out` takes KEY_STORE_NAME bytes. */
void usage_store_name(const uint8_t *id, uint32_t number, char *out);

/* The version and its record are gone: nothing more is written of it. */
void usage_forget(struct usage_key *key, uint32_t number);

/* -- Counting; `u` may be NULL: nobody counts -- */

/*
 * About to encrypt, sign or make a MAC: counts towards `limit` (0: none).
 * HF_ERR_KEY_EXHAUSTED when that many were made; HF_ERR_DEFER when more must
 * be reserved in the store first and may_block is false; the store's error
 * when that fails: then do not.
 */
enum hf_err usage_take(struct usage *u, uint64_t limit, bool may_block);

/* It was done, by `caller`. */
void usage_count(struct usage *u, enum usage_class class, uint64_t caller);

/* -- Looking -- */

struct usage_info {
	uint64_t count, first, last; /* times in seconds since 1970; 0: never */
	uint64_t callers;
};
void usage_read(
    const struct usage *u, enum usage_class class, struct usage_info *out);

/* What usage_take counted: never less than what was done. */
uint64_t usage_taken(const struct usage *u);

#endif
