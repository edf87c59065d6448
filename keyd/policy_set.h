/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_POLICY_SET_H
#define KEYD_POLICY_SET_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "policy_rule.h"

/* The policies of a folder, for policy.c. */

enum { POLICY_ROOT = 0, TABLES_CACHED = 256 };

/* The rules of one combination of policies; many identities share one. */
struct cached_table {
	struct policy_mask mask;
	struct policy_table *table;
};

/* All policies as of one load. Immutable but for the cache of tables. */
struct policy_set {
	atomic_uint refs;
	uint64_t generation;
	struct policy *policies; /* [POLICY_ROOT] is built in */
	size_t count;
	pthread_mutex_t lock; /* of the cache; tables in it stay */
	struct cached_table cache[TABLES_CACHED];
	size_t cached;
};

/*
 * Loads all files of the folder, and resolves which policies their bind blocks
 * speak of. A set with one reference; HF_ERR_BAD_POLICY with file, line and
 * reason in `why`.
 */
enum hf_err policy_set_load(
    const char *folder, struct policy_set **out, struct hf_why *why);

/* Drops one reference. NULL is fine. */
void policy_set_unref(struct policy_set *set);

#endif
