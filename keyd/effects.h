/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_EFFECTS_H
#define KEYD_EFFECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast/bytes.h>
#include <holdfast/dry_run.h>
#include <holdfast/err.h>

#include "../lib/arena.h"

/*
 * What becomes of the changes that a request makes. A dry run makes none:
 * between effects_enter and effects_leave every commit of the store, every
 * object that would be made or destroyed in the HSM, and whatever else asks
 * here, is written down instead and refused with HF_ERR_DRY_RUN. And a change
 * that is to be made once only takes a record of that along in its commit.
 *
 * This is the one thing that a thread has besides what is passed to it. The
 * doors (store.c, hsm_*.c) lie many calls below the pipeline, which alone knows
 * whether a request is a dry run; an argument through all of them would hold
 * only where nobody forgot it, and nobody may. A handler runs from start to
 * end on one thread, and what other threads do meanwhile is not concerned.
 */
struct store_cond;
struct store_write;

enum { EFFECTS_LISTED = 256 };

struct effects {
	bool dry;
	struct arena *arena; /* holds what is written down */
	struct hf_change changes[EFFECTS_LISTED];
	size_t count;
	uint64_t more; /* that were not listed */

	/* Goes with the first change of keys or keyrings; NULL: nothing. */
	const struct store_cond *rider_cond;
	const struct store_write *rider;
	bool rode;
};

/* For the calling thread, until effects_leave. They do not nest. */
void effects_enter(struct effects *effects);
void effects_leave(void);

/* Whether nothing may be changed by this thread now. */
bool effects_dry(void);

/* Those in force when they have something to take along; else NULL. */
struct effects *effects_with_rider(void);

/*
 * Writes down what would happen: "create", "update" or "delete", and to what.
 * `name` is copied. Nothing outside of a dry run.
 */
void effects_note(const char *action, const char *kind, struct hf_text name);

/* The same for a key of the store, by its prefix; marks and the like, which
 * only the service knows, are passed over. */
void effects_note_store(const char *action, struct hf_text stored);

#endif
