/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_REQUEST_SLOT_H
#define KEYD_REQUEST_SLOT_H

#include <stddef.h>

#include <holdfast/bytes.h>

#include "../lib/ops.h"
#include "policy.h"

/*
 * What stays with a connection from request to request. It belongs to the
 * thread of the connection; workers never see it.
 *
 * Most callers do one thing with one key. So what was found out about the path
 * of the last request is kept: the rules of policy that speak about it, and
 * how the audit log tells of it. None of it is a decision: policy is asked
 * about each request, and rules that expire do. It is as old as the grant, and
 * goes with it when the policies are loaded anew.
 */
struct request_slot {
	struct policy_grant *grant; /* a reference; NULL: none yet */
	struct request_memo *memo;  /* of that grant; NULL: none yet */
};

enum {
	MEMO_NAME = 128,
	MEMO_PATH = 256,
	MEMO_TOLD = 640, /* a long exe and unit do not fit; then as before */
};

struct request_memo {
	const struct op *op;
	size_t name_len;
	char name[MEMO_NAME]; /* of the key itself, not its alias */
	char path[MEMO_PATH];
	struct policy_look look;
	size_t told_len;      /* 0: not told yet */
	char told[MEMO_TOLD]; /* members of an audit line: operation, path and
				 caller */
};

/* What is known about this operation on the key of that name, or NULL. */
struct request_memo *request_memo_find(
    const struct request_slot *slot, const struct op *op, struct hf_text name);

/* Keeps it instead of what was known; NULL when it does not fit, or there is
 * no memory. `look` is of the grant of the slot. */
struct request_memo *request_memo_keep(struct request_slot *slot,
    const struct op *op, struct hf_text name, const char *path,
    const struct policy_look *look);

/* Drops the grant and what is known. */
void request_slot_clear(struct request_slot *slot);

#endif
