/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SCARCE_H
#define TESTS_SCARCE_H

#include <stdint.h>

/*
 * Calls of ours that fail by chance: the linker puts those of scarce.c in place
 * of malloc, of OpenSSL's functions and so on (--wrap). What the libraries call
 * among themselves is not touched, but OpenSSL gets its memory from us.
 *
 * From now on one in `rate` fails; the same seed, the same ones.
 */
void scarce_from(unsigned seed, unsigned rate);

/* All is well again. */
void scarce_end(void);

#endif
