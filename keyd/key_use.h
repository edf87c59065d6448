/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_KEY_USE_H
#define KEYD_KEY_USE_H

#include "key.h"

/*
 * Whether somebody still needs a key version, as far as its counters tell:
 * what was opened, checked, signed, derived or MACed with it lately, or
 * encrypted, unless as much as was encrypted has been encrypted anew since.
 */
struct key_use {
	enum usage_class class; /* of the latest use */
	uint64_t last;          /* seconds since 1970; 0: never */
	uint64_t callers;       /* of that class */
	uint64_t left;          /* encrypted, and not anew since: at most */
};

/* The latest use that says that the version is needed. */
void key_use_latest(const struct key_version *v, struct key_use *out);

/* Since when a use counts when so many seconds do; 0: none does. */
uint64_t key_use_since(uint64_t seconds);

/* Whether that was since then; `out` is filled in any case. */
bool key_use_lately(
    const struct key_version *v, uint64_t since, struct key_use *out);

/*
 * HF_ERR_VERSION_IN_USE when one of the versions from `first` up to, but not
 * with, `end` was used since then: "why" names it. Since 0: nobody asks.
 */
enum hf_err key_use_check(const struct key *key, uint64_t first, uint64_t end,
    uint64_t since, struct hf_why *why);

#endif
