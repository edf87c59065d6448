/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_POLICY_TEMPLATE_H
#define KEYD_POLICY_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

#include <holdfast/bytes.h>
#include <holdfast/err.h>

#include "identity.h"

/*
 * Values in rules about contexts. A "*" at either end stands for anything,
 * and {{caller.unit}} for what is known of the caller:
 *
 *	uid, gid, user    of the local socket; the user's name is looked up
 *	unit, exe         as in subjects; exe only where root alone can write it
 *	cert, cert_sha256 of a TLS listener
 *
 * What a template stands for is text and nothing else: a "*" in the name of a
 * unit is an asterisk. Where a fact is not known, or empty, the value can not
 * be filled, and whoever asks must take that for the worse.
 */
enum caller_fact {
	CALLER_UID,
	CALLER_GID,
	CALLER_USER,
	CALLER_UNIT,
	CALLER_EXE,
	CALLER_CERT,
	CALLER_CERT_SHA256,
	CALLER_FACTS,
};

struct caller {
	char *facts[CALLER_FACTS]; /* NULL: not known */
};

/*
 * The facts whose bits are set in `wanted`; the others stay unknown. Owned by
 * `out`, which must be empty. HF_ERR_NO_MEMORY, HF_ERR_SYSTEM when the name of
 * a user cannot be looked up now.
 */
enum hf_err caller_of(
    const struct identity *id, unsigned wanted, struct caller *out);
void caller_free(struct caller *caller);

/* Whether what is known goes for as long as the process runs one program. */
bool caller_is_of_process(unsigned facts);

/*
 * Whether `t` is a value as above; adds to *facts those that it takes. False
 * for an unknown or unfinished template.
 */
bool template_valid(struct hf_text t, unsigned *facts);

/* Whether there is a template of the caller's facts in `t`, valid or not. */
bool template_speaks_of_caller(struct hf_text t);

/* `t` is valid. A value longer than a context may hold matches nothing. */
enum template_match { TEMPLATE_NO, TEMPLATE_YES, TEMPLATE_UNKNOWN };
enum template_match template_matches(
    struct hf_text t, const struct caller *caller, struct hf_text value);

#endif
