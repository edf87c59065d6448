/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_CONTEXT_NAMES_H
#define KEYD_CONTEXT_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include <holdfast/bytes.h>
#include <holdfast/err.h>

#include "../lib/arena.h"
#include "../lib/context.h"

/*
 * Names of contexts in the settings of a key, as they stand in its record: one
 * after the other, each with a NUL at its end, which no name contains.
 */
enum { CONTEXT_NAMES_BYTES = CONTEXT_PAIRS * (CONTEXT_NAME_MAX + 1) };

/*
 * Packs what a caller gave for `field`; one empty name alone is none. In the
 * arena. HF_ERR_OUT_OF_BOUNDS, HF_ERR_DUPLICATE_FIELD, HF_ERR_NO_MEMORY.
 */
enum hf_err context_names_pack(struct arena *arena, const char *field,
    const struct hf_text *names, size_t count, struct hf_bytes *out,
    struct hf_why *why);

/* Takes the next name from the front; false at the end. */
bool context_names_next(struct hf_bytes *rest, struct hf_text *out);

/* The other way round: views into `packed`. NULL: no memory. */
struct hf_text *context_names_list(
    struct arena *arena, struct hf_bytes packed, size_t *count);

/* A "*" names all. */
bool context_names_have(struct hf_bytes packed, struct hf_text name);

#endif
