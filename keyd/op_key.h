/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_OP_KEY_H
#define KEYD_OP_KEY_H

#include <holdfast/ops.h>

#include "hierarchy.h"
#include "keys.h"
#include "request.h"

/* What the operations that make and change keys share. */

/* "enabled", "destroy-scheduled", ... */
struct hf_text key_state_text(enum version_state state);

/* What a key looks like from outside; all of it in the request's arena. */
enum hf_err key_show(
    struct request *rq, const struct key *key, struct hf_key_info *out);

/* The same for a keyring. */
enum hf_err keyring_show(struct request *rq, const struct keyring_info *info,
    struct hf_keyring_info *out);

/*
 * Ends a change: shows the key, tells the feed, and drops the reference. An
 * error of the change is passed on.
 */
enum hf_err key_changed(struct request *rq, enum hf_err err, const char *event,
    struct key *key, struct hf_key_info *out);

/* What the caller asked for, with the service's defaults and policy's demand
 * for a level. */
enum hf_err key_create_how(struct request *rq,
    const struct hf_key_create_in *in, struct key_create *how);

#endif
