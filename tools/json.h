/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_JSON_H
#define TOOLS_JSON_H

#include "../lib/buffer.h"
#include "../lib/schema.h"

/*
 * A struct as one JSON object (RFC 8259) on one line: the fields under their
 * names on the wire, absent ones left out, numbers exact, bytes in base64.
 * Ciphertexts, signatures and MACs in text form stand as they are.
 */
enum hf_err json_write(
    const struct schema *schema, const void *value, struct buffer *out);

#endif
