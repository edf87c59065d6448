/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_KEY_SHOW_H
#define KEYD_KEY_SHOW_H

#include <holdfast/ops.h>

#include "hierarchy.h"
#include "key.h"
#include "request.h"

/*
 * What keys and keyrings look like from outside. All of it is copied into the
 * request's arena (HF_ERR_NO_MEMORY): a key may go before the reply does.
 */

/* Reads the key's aliases in the store, so it blocks. */
enum hf_err key_show(
    struct request *rq, const struct key *key, struct hf_key_info *out);

/* The same for one that was made just now: it has no aliases. */
enum hf_err key_show_new(
    struct request *rq, const struct key *key, struct hf_key_info *out);

enum hf_err keyring_show(struct request *rq, const struct keyring_info *info,
    struct hf_keyring_info *out);

/* "enabled", "destroy-scheduled", ...; a constant. */
struct hf_text key_state_text(enum version_state state);

enum hf_err show_text(struct request *rq, const char *s, struct hf_text *out);

#endif
