/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_UPKEEP_H
#define KEYD_UPKEEP_H

#include "key.h"
#include "server.h"

/*
 * What the service does to keys by itself, because somebody set it so:
 * rotations that are due or forced by a limit, and versions that retire
 * (key_plan.h). Each is in the audit log before and after, as a change whose
 * subject is the service ("by":"service"), and on the event feed.
 */

/* Where the walk through what is due has come to. Zero at first. */
struct upkeep {
	char after[KEY_STORE_NAME];
	bool failed; /* something since the walk began */
};

/*
 * Does what is due for one key at `now`, which is a time that is believed
 * (timeline.h). *next is when to come again, `now` for at once, 0 when nothing
 * is due. What fails is tried again a minute later and keeps no other key.
 */
void upkeep_step(
    struct server *s, struct upkeep *u, uint64_t now, uint64_t *next);

/*
 * A version of `key` was used as often as it may be: rotates the key, if that
 * gives callers a version that they can go on with, and nobody has done it
 * meanwhile. HF_ERR_KEY_EXHAUSTED with the reason when it does not.
 */
enum hf_err upkeep_renew(
    struct server *s, const struct key *key, struct hf_why *why);

/*
 * A line of the audit log about something that the service does by itself, on
 * the disk when this is HF_OK. `result` NULL: it is about to be done.
 */
struct upkeep_note {
	const char *op, *name;
	uint64_t version;   /* 0: none */
	const char *reason; /* may be NULL */
	const char *result;
};
enum hf_err upkeep_note(struct server *s, const struct upkeep_note *note);

#endif
