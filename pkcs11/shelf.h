/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PKCS11_SHELF_H
#define PKCS11_SHELF_H

#include <stddef.h>

#include <holdfast/err.h>
#include <holdfast/ops.h>

#include "cryptoki.h"
#include "object.h"

/*
 * Objects as the daemon told of them, filled once and never changed, with the
 * memory that their views point into. It lasts as long as somebody has a
 * reference; who has one of its objects has one, too.
 */
struct hf_reply;
struct slot_config;

/*
 * The objects that a slot shows of these rows, and the token's profiles. The
 * reply (may be NULL) belongs to the shelf then. HF_ERR_NO_MEMORY.
 */
enum hf_err shelf_make(const struct slot_config *config,
    const struct hf_p11_find_out *rows, struct hf_reply *reply,
    struct shelf **out);

/*
 * A session object, on a shelf of its own: a copy of `from`, with all that
 * follows from its public key or certificate. *out has the only reference.
 */
enum hf_err shelf_make_one(const struct object *from, struct object **out);

/* Another reference, and one less. NULL is fine. */
struct shelf *shelf_ref(struct shelf *shelf);
void shelf_put(struct shelf *shelf);

/* By place, from 0 to shelf_count() - 1. No reference of its own. */
size_t shelf_count(const struct shelf *shelf);
struct object *shelf_at(const struct shelf *shelf, size_t i);

/* By handle; NULL when it is not there. No reference of its own. */
struct object *shelf_find(const struct shelf *shelf, CK_OBJECT_HANDLE handle);

#endif
