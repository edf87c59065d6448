/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_CLIENT_H
#define LIB_CLIENT_H

#include <holdfast/holdfast.h>

#include "ops.h"

/*
 * The client for those who pick the operation at run time: `in` and `out` are
 * the structs of op->in and op->out. Everything that holdfast.h says about
 * the function of one operation holds.
 */
enum hf_err client_call(struct hf_client *client, const struct op *op,
    const void *in, void *out, struct hf_why *why);

/* Whether the calls to come may spend time of their core (client_spin.h); not
 * before this is called. */
void client_may_spin(struct hf_client *client, bool may);

enum hf_err client_send(struct hf_client *client, const struct op *op,
    const void *in, uint32_t *ticket, struct hf_why *why);

enum hf_err client_receive(struct hf_client *client, const struct op *op,
    uint32_t ticket, void *out, struct hf_why *why);

#endif
