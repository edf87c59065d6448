/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_TABLE_H
#define TOOLS_TABLE_H

#include <stdio.h>

#include "../lib/schema.h"

/*
 * A struct for a person: its fields a line each, its lists as tables below.
 * A struct that is one list and nothing else is that list. What came from
 * elsewhere cannot speak to the terminal.
 */
void table_print(FILE *out, const struct schema *schema, const void *value);

#endif
