/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOLDFAST_DRY_RUN_H
#define HOLDFAST_DRY_RUN_H

#include <stddef.h>
#include <stdint.h>

#include <holdfast/bytes.h>

/*
 * What the reply to a dry run tells: what would have been changed. An empty
 * list means that the operation would have succeeded and changed nothing.
 */
struct hf_change {
	struct hf_text action; /* create, update, delete */
	struct hf_text kind;   /* key, version, alias, keyring, ... */
	struct hf_text name;   /* of a version its number */
};

struct hf_dry_run {
	struct hf_change *changes;
	size_t changes_count;
	uint64_t more; /* changes that are not listed */
};

#endif
