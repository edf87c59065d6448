/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_DIAG_H
#define TESTS_DIAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * CBOR as people write it: diagnostic notation (RFC 8949, section 8), as far as
 * requests and replies need it. Written anew here, so that the tests do not
 * believe the codec that they test.
 *
 *	{"op": "transit.hash", "in": {"input": h'00ff', "n": [1, -1, true]}}
 *
 * Beyond the RFC: 'abc' * 1000 repeats a byte string, and a text that starts
 * with "!" is hexadecimal and taken as it is, for messages that are no CBOR.
 */

/* Malloc'ed; NULL with a word on stderr when it is not what it should be. */
uint8_t *diag_encode(const char *text, size_t *len);

/* Malloc'ed text; NULL when the bytes are not one item of definite length. */
char *diag_decode(const uint8_t *bytes, size_t len);

#endif
