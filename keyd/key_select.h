/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_KEY_SELECT_H
#define KEYD_KEY_SELECT_H

#include "key.h"
#include "request.h"

/*
 * Which version of its key a request may use, and why not. `what` names the
 * purpose in messages, in Vault's words: "encryption", "signing".
 */

/* To make something new: the version asked for, or the primary one. */
enum hf_err select_new(struct request *rq, struct hf_uint asked,
    const char *what, const struct key_version **out, struct hf_why *why);

/* To open or verify something: the version that it bears. `thing` is
 * "ciphertext" or "signature". */
enum hf_err select_old(struct request *rq, uint64_t version, const char *thing,
    enum hf_err too_new, const struct key_version **out, struct hf_why *why);

#endif
