/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_CEREMONY_H
#define KEYD_CEREMONY_H

#include "server.h"
#include "share.h"

/*
 * Where people and their shares meet (share.h): a master key is made, given to
 * the HSM and split, each share goes to its holder, and back. Nothing secret
 * goes through arguments, environment or logs, and what was shown on a terminal
 * is cleared from it.
 */
struct ceremony_plan {
	unsigned count, threshold; /* 0: no ceremony */
	/* A file for each in this folder; NULL: one at a time on the terminal
	 */
	const char *dir;
	/* RSA public keys in PEM, one for each share, which is encrypted to it
	 * (OAEP, SHA-256); needs a folder. */
	const char *to[SHARE_COUNT_MAX];
	unsigned to_count;
};

/* Refuses a plan that makes no sense, and keys that cannot be used, before
 * anything is done. */
enum hf_err ceremony_check(
    const struct ceremony_plan *plan, struct hf_why *why);

/* hierarchy_init with shares. */
enum hf_err ceremony_init(
    struct hierarchy *h, const struct ceremony_plan *plan, struct hf_why *why);

/* The shares from files; without files they are typed, one at a time and not
 * shown, at a terminal. */
enum hf_err ceremony_collect(const char *const *files, size_t count,
    struct secret *keys, struct share_facts *facts, struct hf_why *why);

#endif
