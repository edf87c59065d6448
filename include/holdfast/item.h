/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOLDFAST_ITEM_H
#define HOLDFAST_ITEM_H

#include <holdfast/bytes.h>

/*
 * The head of every result of a batch: `error` is absent when the item went
 * well; the other members of that result are then valid. `reference` is the
 * one of the item. Outside of a batch all three are absent.
 */
struct hf_item_status {
	struct hf_text error;      /* a sentence */
	struct hf_text error_name; /* as in err.def */
	struct hf_text reference;
};

#endif
