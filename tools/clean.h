/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_CLEAN_H
#define TOOLS_CLEAN_H

#include <stdbool.h>
#include <stdio.h>

#include <holdfast/bytes.h>

/*
 * Text from elsewhere must not speak to the terminal: names, messages, events.
 * A terminal obeys C0, DEL, and C1 (U+0080 to U+009F: CSI is one of them),
 * which in UTF-8 is 0xc2 and a byte below 0xa0.
 */

/* How many bytes at t.ptr[at] are such a character; 0: none. */
size_t clean_control(struct hf_text t, size_t at);

/*
 * Writes the text with a question mark for each of them; with `lines` a new
 * line is one. Of text that is no UTF-8, for every byte that is not ASCII.
 */
void clean_print(FILE *out, struct hf_text t, bool lines);

#endif
