/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_IDENTITY_KNOWN_H
#define KEYD_IDENTITY_KNOWN_H

#include "identity.h"

/*
 * The local processes that are connected, so that the connections of one share
 * an identity: each would hold a pidfd, a descriptor, of its own. A connection
 * is looked into as if it were the only one; an identity is shared when all of
 * it is equal, and both pidfds show that the process is the same. Safe from
 * any thread.
 */
struct identities;

/* HF_ERR_NO_MEMORY. */
enum hf_err identities_new(struct identities **out);
/* When all identities are gone. NULL is fine. */
void identities_free(struct identities *known);

/* -- For identity.c -- */

/* `id`, noted for others, or one that is equal instead: then `id` is freed. */
struct identity *identities_share(
    struct identities *known, struct identity *id);

/* Whether nobody else has it, so that it may be freed. */
bool identities_leave(struct identity *id);

#endif
