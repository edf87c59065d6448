/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_REQUEST_POLICY_H
#define KEYD_REQUEST_POLICY_H

#include "request.h"

/* Who asks, about which key, and may they: three stages of the pipeline. */

/*
 * The caller's grant under the policies in force: kept by the connection, made
 * anew after a reload. HF_ERR_NOT_IDENTIFIED when rules speak of the program
 * that connected and it is another one now.
 */
enum hf_err request_identify(struct request *rq);

/*
 * The key that the request names, through an alias or not. What goes wrong
 * with it is told by request_allow, to those who may know. HF_ERR_DEFER.
 */
enum hf_err request_find_key(struct request *rq);

/*
 * Whether the caller may do that with `path`, and with the parameters that
 * stand in `in`, a struct of `schema`: in a batch, with those of each item.
 */
bool request_may(struct request *rq, struct hf_text path, unsigned caps,
    const struct schema *schema, const void *in);

/* Somebody whom no policy names learns nothing, not even by waiting. */
bool request_is_stranger(const struct request *rq);

/* Asks policy. HF_ERR_PERMISSION_DENIED, or what was wrong with the key. */
enum hf_err request_allow(struct request *rq);

#endif
