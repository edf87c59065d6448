/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_KEY_PLAN_H
#define KEYD_KEY_PLAN_H

#include "key.h"

/*
 * What a key wants done over time: a new version each auto_rotate_period, and
 * min_decryption_version raised when versions are superseded long enough
 * (auto_retire_age) or are too many behind the latest (auto_retire_behind).
 * The record has the time when the next of it is due, and the store a mark
 *
 *	plan/<16 hex digits of the time>/<name>
 *
 * written with the record, so that upkeep.c finds what is due without looking
 * at every key. All times in seconds since 1970.
 */
enum {
	PLAN_PERIOD_MIN = 3600, /* as in Vault */
	PLAN_AGAIN = 86400,     /* what could not be done is tried again then */
};

/* HF_ERR_BAD_VALUE, HF_ERR_BAD_CONFIG: the settings of a record make no
 * sense. */
enum hf_err plan_check(const struct key_type *type,
    const struct key_record *rec, struct hf_why *why);

/*
 * When the next is due for a key with that record, at `now`; 0: nothing ever.
 * `key` is the key before the change, NULL when it is made; a version of the
 * record that it does not have is made now.
 */
uint64_t plan_due(
    const struct key_record *rec, const struct key *key, uint64_t now);

/* Whether a new version is due. */
bool plan_rotates(const struct key *key, uint64_t now);

/* What min_decryption_version should be; the present one when it is well. */
uint32_t plan_retires(const struct key *key, uint64_t now);

/* `out` takes KEY_STORE_NAME bytes. */
void plan_store_name(uint64_t when, struct hf_text name, char *out);

#endif
