/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_OP_KEY_H
#define KEYD_OP_KEY_H

#include <holdfast/ops.h>

#include "key_show.h"
#include "keys.h"
#include "request.h"

/* What the operations that make and change keys share. */

enum { LIST_USUAL = 1000 /* names in a list, unless `limit` says how many */ };

/*
 * The key that policy was asked about, whatever an alias points to by now.
 * Where there was none, what was asked for will not be found.
 */
struct hf_text key_own_name(const struct request *rq, struct hf_text asked);

/*
 * Ends a change: shows the key, tells the feed, and drops the reference. An
 * error of the change is passed on.
 */
enum hf_err key_changed(struct request *rq, enum hf_err err, const char *event,
    struct key *key, struct hf_key_info *out);

/*
 * What was destroyed leaves the store's files too; the daemon tries again where
 * that does not go now.
 */
void key_scrub(struct request *rq);

/*
 * Since when nobody may have used what is destroyed or retired (seconds since
 * 1970), as key_use_check() takes it; 0: it does not matter. `asked`: seconds,
 * instead of what the service is set to.
 */
uint64_t key_unused_since(
    const struct request *rq, struct hf_uint asked, bool force);

/* What the caller asked for, with the service's defaults and policy's demand
 * for a level. */
enum hf_err key_create_how(struct request *rq,
    const struct hf_key_create_in *in, struct key_create *how);

#endif
