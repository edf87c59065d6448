/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_SHAMIR_H
#define KEYD_SHAMIR_H

#include <stddef.h>
#include <stdint.h>

#include <holdfast/bytes.h>
#include <holdfast/err.h>

/*
 * Shamir's secret sharing, byte by byte over GF(2^8) with AES's polynomial
 * x^8 + x^4 + x^3 + x + 1, as draft-mcgrew-tss and others have it. Any
 * `threshold` shares give the secret, fewer tell nothing about it. Time and
 * memory access do not depend on secret bytes: no tables.
 *
 * The number of a share is the x of its points, 1 to 255; a share is as long
 * as the secret.
 */
enum { SHAMIR_MAX = 255 };

/* `out` takes count * secret.len bytes: share 1, share 2, ... Needs
 * 2 <= threshold <= count <= SHAMIR_MAX, else HF_ERR_OUT_OF_BOUNDS. */
enum hf_err shamir_split(
    struct hf_bytes secret, unsigned threshold, unsigned count, uint8_t *out);

/*
 * From `count` shares of `len` bytes with their numbers; too few or wrong ones
 * give another secret, which is the caller's to notice. HF_ERR_BAD_INPUT for a
 * number that is zero or there twice.
 */
enum hf_err shamir_combine(const uint8_t *numbers, const uint8_t *const *shares,
    size_t count, size_t len, uint8_t *out);

/* Arithmetic of the field; the inverse of 0 is 0. */
uint8_t shamir_multiply(uint8_t a, uint8_t b);
uint8_t shamir_invert(uint8_t a);

#endif
