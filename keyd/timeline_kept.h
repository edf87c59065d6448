/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_TIMELINE_KEPT_H
#define KEYD_TIMELINE_KEPT_H

#include <holdfast/err.h>

#include "store.h"
#include "timeline.h"

/*
 * What timeline.h wants kept, in the store under "clock". It is not sealed:
 * whoever writes to the disk may set the clock of the machine just as well.
 */

/* HF_ERR_NOT_FOUND at the first start. */
enum hf_err timeline_load(struct store *store, struct timeline_kept *out);
enum hf_err timeline_save(
    struct store *store, const struct timeline_kept *kept);

#endif
