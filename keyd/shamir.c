/* SPDX-License-Identifier: Apache-2.0 */
#include "shamir.h"

#include <string.h>

#include "../lib/secret.h"
#include "crypto.h"

enum { POLYNOMIAL = 0x1b }; /* without x^8 */

uint8_t
shamir_multiply(uint8_t a, uint8_t b)
{
	unsigned product = 0, x = a, y = b;

	/* Masks instead of branches: both may be secret. */
	for (int bit = 0; bit < 8; bit++) {
		product ^= x & (0U - (y & 1));
		x = (x << 1 & 0xff) ^ (POLYNOMIAL & (0U - (x >> 7)));
		y >>= 1;
	}
	return (uint8_t)product;
}

/* a^254 */
uint8_t
shamir_invert(uint8_t a)
{
	uint8_t power = a;

	for (int i = 0; i < 6; i++)
		power = shamir_multiply(shamir_multiply(power, power), a);
	return shamir_multiply(power, power);
}

/* The coefficients stand from the constant, which is the secret, upwards. */
static uint8_t
evaluate(const uint8_t *coefficients, unsigned count, uint8_t x)
{
	uint8_t y = 0;

	for (unsigned i = count; i > 0; i--)
		y = shamir_multiply(y, x) ^ coefficients[i - 1];
	return y;
}

enum hf_err
shamir_split(
    struct hf_bytes secret, unsigned threshold, unsigned count, uint8_t *out)
{
	AUTO_SECRET coefficients = { 0 };
	enum hf_err err;

	if (secret.len == 0 || threshold < 2 || threshold > count ||
	    count > SHAMIR_MAX)
		return HF_ERR_OUT_OF_BOUNDS;
	if ((err = secret_alloc(&coefficients, threshold)) != HF_OK)
		return err;
	for (size_t i = 0; i < secret.len; i++) {
		coefficients.ptr[0] = secret.ptr[i];
		err = crypto_random(coefficients.ptr + 1, threshold - 1);
		if (err != HF_OK)
			return err;
		for (unsigned n = 0; n < count; n++)
			out[n * secret.len + i] = evaluate(
			    coefficients.ptr, threshold, (uint8_t)(n + 1));
	}
	return HF_OK;
}

/* Lagrange's weight of one share at 0: numbers are public. */
static uint8_t
weight(const uint8_t *numbers, size_t count, size_t which)
{
	uint8_t above = 1, below = 1;

	for (size_t i = 0; i < count; i++) {
		if (i == which)
			continue;
		above = shamir_multiply(above, numbers[i]);
		below = shamir_multiply(
		    below, (uint8_t)(numbers[i] ^ numbers[which]));
	}
	return shamir_multiply(above, shamir_invert(below));
}

enum hf_err
shamir_combine(const uint8_t *numbers, const uint8_t *const *shares,
    size_t count, size_t len, uint8_t *out)
{
	if (count == 0 || count > SHAMIR_MAX)
		return HF_ERR_BAD_INPUT;
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < count; j++)
			if (numbers[i] == 0 ||
			    (i != j && numbers[i] == numbers[j]))
				return HF_ERR_BAD_INPUT;
	memset(out, 0, len);
	for (size_t i = 0; i < count; i++) {
		uint8_t w = weight(numbers, count, i);

		for (size_t b = 0; b < len; b++)
			out[b] ^= shamir_multiply(w, shares[i][b]);
	}
	return HF_OK;
}
