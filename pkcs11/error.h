/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PKCS11_ERROR_H
#define PKCS11_ERROR_H

#include <stdint.h>

#include <holdfast/err.h>

#include "cryptoki.h"

/*
 * The border between our errors and Cryptoki's, and the debug log: each call
 * writes one line with its duration, its result and, when it failed, the
 * reason, but never data.
 */
CK_RV rv_of(enum hf_err err);

/* "CKR_DEVICE_ERROR"; NULL for a number that this module never returns. */
const char *rv_name(CK_RV rv);

/* Where to log: a path that starts with "/", else stderr; NULL: nowhere. The
 * first answer counts. Not for two threads at once. */
void trace_open(const char *to);

/*
 * One call of a C_ function. It also keeps errno as the host left it.
 *
 *	struct trace trace = trace_begin("C_Sign");
 *	return trace_end(&trace, rv, why);
 */
struct trace {
	const char *name;
	int64_t start; /* microseconds */
	int saved_errno;
};

/* `name` is a constant. */
struct trace trace_begin(const char *name);

/* Returns `rv`. `why` may be NULL. */
CK_RV trace_end(const struct trace *trace, CK_RV rv, const struct hf_why *why);

#endif
