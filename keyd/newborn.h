/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_NEWBORN_H
#define KEYD_NEWBORN_H

#include "fresh.h"

/*
 * Keys in the HSM that no record names yet. A key that cannot be wrapped stays
 * in the token from the moment it is made; when the process dies before its
 * record is committed, nobody would ever destroy it. So its id is written down
 * first ("newborn/ID": type and HSM), and that is taken away by the commit that
 * names the key, or when it was destroyed. What an earlier process left is
 * destroyed at the start. Only ids that were written down are touched: a token
 * may hold keys of others, and of this service after its store was set back.
 */
struct change;
struct newborns;

/* Writes down both ids of a version that is about to be made. */
enum hf_err newborn_note(
    struct keys *keys, const struct key_type *type, const struct fresh *f);

/* Adds to the commit of the version that its ids are named now. */
enum hf_err newborn_named(struct change *c, const struct fresh *f);

/* They are not in the HSM. What fails here is made up for at the next start. */
void newborn_gone(struct keys *keys, const struct fresh *f);

/* Those that are written down now. Before anything is made. */
enum hf_err newborns_list(struct keys *keys, struct newborns **out);

/* Destroys them in their HSMs, as far as those answer; the others stay for the
 * next call. One call at a time. */
void newborns_destroy(struct keys *keys, struct newborns *list);

/* NULL is fine. What is written down stays so. */
void newborns_free(struct newborns *list);

#endif
