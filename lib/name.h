/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_NAME_H
#define LIB_NAME_H

#include <stdbool.h>

#include <holdfast/bytes.h>

/*
 * Names of keys, aliases, keyrings, and of what else stands in a path: the
 * rule of Vault's transit engine, and a bound.
 */
enum {
	NAME_LONGEST = 128,           /* bytes */
	NAME_SIZE = NAME_LONGEST + 1, /* of a C string that holds one */
};

/* 1 to NAME_LONGEST of a-z A-Z 0-9 . _ -, starting with a letter or digit. */
bool name_valid(struct hf_text name);

#endif
