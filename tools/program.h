/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_PROGRAM_H
#define TOOLS_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The path of another program of ours: beside this one, as in a build, or where
 * both are installed. It is never looked for along $PATH, which somebody else
 * may have set. False when it is nowhere; `out` then has where it should be.
 */
bool program_find(const char *name, char *out, size_t cap);

/* The path of this program itself. */
bool program_self(char *out, size_t cap);

/* A file in `folder`, seen from the one that this program is in. */
bool program_near(const char *folder, const char *name, char *out, size_t cap);

#endif
