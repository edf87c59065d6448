/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_FILE_H
#define TOOLS_FILE_H

#include <stdbool.h>

#include <holdfast/bytes.h>

#include "../lib/buffer.h"

/*
 * Files as the verbs read and write them. Each function says on stderr what
 * went wrong and returns an exit status, STATUS_OK when nothing did.
 */

/* Reads all of `path`, "-" for the standard input, into an empty buffer. What
 * is longer than `max` bytes is refused. */
int file_read(const char *path, size_t max, struct buffer *out);

/*
 * Writes to `path`, or to the standard output when it is NULL or "-". A regular
 * file appears with all its contents or not at all; one with a secret in it is
 * for its owner only.
 */
int file_write(const char *path, struct hf_bytes data, bool secret);

#endif
