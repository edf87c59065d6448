/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_NAME_LIST_H
#define KEYD_NAME_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include <holdfast/bytes.h>
#include <holdfast/err.h>

#include "../lib/arena.h"

/* Names for a reply, copied into the arena of its request. */
struct name_list {
	struct arena *arena;
	struct hf_text *items; /* `count` of them; NULL: none */
	size_t count, room;
	enum hf_err err; /* HF_ERR_NO_MEMORY: it is not whole */
};

/* A keys_name_fn; `list` is a struct name_list. False when it is full. */
bool name_list_add(void *list, struct hf_text name);

#endif
