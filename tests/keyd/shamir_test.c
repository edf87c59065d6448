/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/shamir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../keyd/crypto.h"
#include "../../keyd/share.h"
#include "../../lib/bytes.h"

static struct hf_why why;

/* -- The field, by another way: logarithms to the base of 0x03 -- */

static uint8_t power_of[255], log_of[256];

static void
tables_make(void)
{
	unsigned x = 1;

	for (unsigned i = 0; i < 255; i++) {
		power_of[i] = (uint8_t)x;
		log_of[x] = (uint8_t)i;
		x ^= x << 1; /* times 0x03 */
		if (x > 255)
			x ^= 0x11b;
	}
}

static uint8_t
multiply_by_tables(uint8_t a, uint8_t b)
{
	if (a == 0 || b == 0)
		return 0;
	return power_of[(log_of[a] + log_of[b]) % 255];
}

static void
multiplies_as_tables_do(void **state)
{
	(void)state;
	/* FIPS 197, sections 4.2 and 4.2.1. */
	assert_int_equal(shamir_multiply(0x57, 0x83), 0xc1);
	assert_int_equal(shamir_multiply(0x57, 0x13), 0xfe);
	for (unsigned a = 0; a < 256; a++)
		for (unsigned b = 0; b < 256; b++)
			assert_int_equal(
			    shamir_multiply((uint8_t)a, (uint8_t)b),
			    multiply_by_tables((uint8_t)a, (uint8_t)b));
}

static void
inverts_everything_but_zero(void **state)
{
	(void)state;
	assert_int_equal(shamir_invert(0), 0);
	for (unsigned a = 1; a < 256; a++)
		assert_int_equal(
		    shamir_multiply((uint8_t)a, shamir_invert((uint8_t)a)), 1);
}

/* -- Sharing -- */

/* draft-mcgrew-tss-03, section 9. */
static void
combines_published_shares(void **state)
{
	static const uint8_t one[] = { 0xb9, 0xfa, 0x07, 0xe1, 0x85 };
	static const uint8_t two[] = { 0xf5, 0x40, 0x9b, 0x45, 0x11 };
	static const uint8_t secret[] = { 0x74, 0x65, 0x73, 0x74, 0x00 };
	const uint8_t *shares[] = { one, two };
	uint8_t out[5];

	(void)state;
	assert_int_equal(
	    shamir_combine((const uint8_t[]){ 1, 2 }, shares, 2, 5, out),
	    HF_OK);
	assert_memory_equal(out, secret, 5);
}

/* The secret from points, by tables and division. */
static void
combine_by_tables(const uint8_t *numbers, const uint8_t *const *shares,
    size_t count, size_t len, uint8_t *out)
{
	for (size_t b = 0; b < len; b++) {
		uint8_t sum = 0;

		for (size_t i = 0; i < count; i++) {
			int log = log_of[shares[i][b]];

			for (size_t j = 0; j < count; j++)
				if (j != i)
					log += log_of[numbers[j]] + 255 -
					    log_of[numbers[j] ^ numbers[i]];
			if (shares[i][b] != 0)
				sum ^= power_of[log % 255];
		}
		out[b] = sum;
	}
}

enum { LEN = 5 };

/* Every subset of n shares: those with enough give the secret. */
static void
try_subsets(unsigned k, unsigned n)
{
	uint8_t secret[LEN], shares[8 * LEN], ours[LEN], theirs[LEN];

	assert_int_equal(crypto_random(secret, LEN), HF_OK);
	assert_int_equal(
	    shamir_split(bytes_of(secret, LEN), k, n, shares), HF_OK);
	for (unsigned set = 1; set < 1U << n; set++) {
		const uint8_t *some[8];
		uint8_t numbers[8];
		size_t count = 0;

		for (unsigned i = 0; i < n; i++)
			if ((set >> i & 1) != 0) {
				numbers[count] = (uint8_t)(i + 1);
				some[count++] = shares + (size_t)i * LEN;
			}
		assert_int_equal(
		    shamir_combine(numbers, some, count, LEN, ours), HF_OK);
		combine_by_tables(numbers, some, count, LEN, theirs);
		assert_memory_equal(ours, theirs, LEN);
		if (count >= k)
			assert_memory_equal(ours, secret, LEN);
		else
			assert_memory_not_equal(ours, secret, LEN);
	}
}

static void
any_k_of_n_give_the_secret_and_fewer_do_not(void **state)
{
	(void)state;
	for (unsigned n = 2; n <= 7; n++)
		for (unsigned k = 2; k <= n; k++)
			try_subsets(k, n);
}

static void
refuses_what_makes_no_sense(void **state)
{
	uint8_t out[256] = { 0 };
	const uint8_t *shares[] = { out, out + 1 };

	(void)state;
	assert_int_equal(
	    shamir_split(bytes_of("x", 1), 1, 3, out), HF_ERR_OUT_OF_BOUNDS);
	assert_int_equal(
	    shamir_split(bytes_of("x", 1), 4, 3, out), HF_ERR_OUT_OF_BOUNDS);
	assert_int_equal(
	    shamir_split(bytes_of("x", 1), 2, 256, out), HF_ERR_OUT_OF_BOUNDS);
	assert_int_equal(
	    shamir_split(bytes_of("x", 0), 2, 3, out), HF_ERR_OUT_OF_BOUNDS);
	assert_int_equal(
	    shamir_combine((const uint8_t[]){ 3, 3 }, shares, 2, 1, out),
	    HF_ERR_BAD_INPUT);
	assert_int_equal(
	    shamir_combine((const uint8_t[]){ 0, 3 }, shares, 2, 1, out),
	    HF_ERR_BAD_INPUT);
}

/* Chi-squared of the bytes of one share over many splits: 255 degrees of
 * freedom, so 255 on average with a standard deviation of 23. Eight of those
 * on either side happen by chance about once in 10^14 runs. */
static double
chi_squared(uint8_t secret, unsigned which)
{
	enum { DRAWS = 51200 };
	unsigned seen[256] = { 0 };
	double sum = 0, expect = DRAWS / 256.0;

	for (unsigned i = 0; i < DRAWS; i++) {
		uint8_t shares[3];

		assert_int_equal(
		    shamir_split(bytes_of(&secret, 1), 3, 3, shares), HF_OK);
		seen[shares[which]]++;
	}
	for (unsigned i = 0; i < 256; i++)
		sum += (seen[i] - expect) * (seen[i] - expect) / expect;
	return sum;
}

static void
a_share_alone_looks_like_chance(void **state)
{
	static const uint8_t secrets[] = { 0x00, 0x01, 0xff };

	(void)state;
	for (size_t i = 0; i < sizeof(secrets); i++) {
		double x = chi_squared(secrets[i], (unsigned)i);

		assert_true(x > 71 && x < 439);
	}
}

/* -- As text -- */

static struct share *
make(unsigned k, unsigned n, uint8_t keys[SHARE_KEYS], struct secret *out)
{
	assert_int_equal(crypto_random(keys, SHARE_KEYS), HF_OK);
	assert_int_equal(
	    shares_make(bytes_of(keys, SHARE_KEYS), k, n, out, &why), HF_OK);
	return (void *)out->ptr;
}

static enum hf_err
combine(const struct share *shares, size_t count, const uint8_t *expect)
{
	AUTO_SECRET keys = { 0 };
	enum hf_err err;

	why.text[0] = '\0';
	err = shares_combine(shares, count, &keys, &why);
	if (err == HF_OK)
		assert_memory_equal(keys.ptr, expect, SHARE_KEYS);
	return err;
}

/* Not by memory: what is between members is nobody's. */
static void
assert_same(const struct share *a, const struct share *b)
{
	assert_memory_equal(a->facts.set, b->facts.set, sizeof(a->facts.set));
	assert_memory_equal(
	    a->facts.check, b->facts.check, sizeof(a->facts.check));
	assert_int_equal(a->facts.threshold, b->facts.threshold);
	assert_int_equal(a->facts.count, b->facts.count);
	assert_int_equal(a->number, b->number);
	assert_memory_equal(a->y, b->y, sizeof(a->y));
}

static void
text_gives_the_share_back_however_it_is_typed(void **state)
{
	AUTO_SECRET made = { 0 };
	AUTO_SECRET text = { 0 };
	uint8_t keys[SHARE_KEYS];
	struct share *shares = make(2, 3, keys, &made), back;
	char typed[600] = "share 2 of 3, for Alice:\n\n", *p;

	(void)state;
	assert_int_equal(share_encode(&shares[1], &text), HF_OK);
	assert_int_equal(strlen((char *)text.ptr), 5 + 148);
	assert_int_equal(
	    share_decode(bytes_of_text(text_of((char *)text.ptr)), &back, &why),
	    HF_OK);
	assert_same(&back, &shares[1]);
	p = typed + strlen(typed);
	for (size_t i = 0; text.ptr[i] != '\0'; i++) {
		*p++ = (char)(text.ptr[i] >= 'A' ? text.ptr[i] | 0x20
						 : text.ptr[i]);
		if (i % 5 == 4)
			p += sprintf(p, i % 20 == 19 ? "\r\n" : " - ");
	}
	memset(&back, 0, sizeof(back));
	assert_int_equal(
	    share_decode(bytes_of_text(text_of(typed)), &back, &why), HF_OK);
	assert_same(&back, &shares[1]);
}

static void
every_typo_is_found(void **state)
{
	AUTO_SECRET made = { 0 };
	AUTO_SECRET text = { 0 };
	uint8_t keys[SHARE_KEYS];
	struct share *shares = make(2, 3, keys, &made), back;
	struct hf_bytes view;

	(void)state;
	assert_int_equal(share_encode(&shares[0], &text), HF_OK);
	view = bytes_of_text(text_of((char *)text.ptr));
	for (size_t i = 5; i < view.len; i++) {
		uint8_t right = text.ptr[i];

		text.ptr[i] = right == 'A' ? 'B' : 'A';
		/* The last character has two bits that are not used. */
		if (i < view.len - 1)
			assert_int_equal(
			    share_decode(view, &back, &why), HF_ERR_BAD_VALUE);
		text.ptr[i] = '1';
		assert_int_equal(
		    share_decode(view, &back, &why), HF_ERR_BAD_VALUE);
		text.ptr[i] = right;
	}
	for (size_t len = 0; len < view.len; len++)
		assert_int_equal(
		    share_decode(bytes_of(view.ptr, len), &back, &why),
		    HF_ERR_BAD_VALUE);
	assert_int_equal(share_decode(view, &back, &why), HF_OK);
	assert_null(strstr(why.text, (char *)text.ptr + 20));
}

static void
says_what_is_wrong_with_shares(void **state)
{
	AUTO_SECRET made = { 0 };
	AUTO_SECRET others = { 0 };
	uint8_t keys[SHARE_KEYS], other_keys[SHARE_KEYS];
	struct share *s = make(3, 5, keys, &made);
	struct share *o = make(3, 5, other_keys, &others);
	struct share some[3];

	(void)state;
	assert_int_equal(combine(s, 3, keys), HF_OK);
	assert_int_equal(combine(s + 2, 3, keys), HF_OK);
	assert_int_equal(combine(s, 5, keys), HF_OK);
	assert_int_equal(combine(s, 2, keys), HF_ERR_BAD_VALUE);
	assert_non_null(strstr(why.text, "1 more"));
	memcpy(some, s, sizeof(some));
	some[2] = s[0];
	assert_int_equal(combine(some, 3, keys), HF_ERR_BAD_VALUE);
	assert_non_null(strstr(why.text, "share 1 is given twice"));
	some[2] = o[2];
	assert_int_equal(combine(some, 3, keys), HF_ERR_BAD_VALUE);
	assert_non_null(strstr(why.text, "several sets"));
	some[2] = s[2];
	some[2].y[63] ^= 1;
	assert_int_equal(combine(some, 3, keys), HF_ERR_BAD_VALUE);
	assert_non_null(strstr(why.text, "one of them is wrong"));
	/* One that is too many, and wrong, is noticed as well. */
	memcpy(o, s, 5 * sizeof(*s));
	o[4].y[0] ^= 0x80;
	assert_int_equal(combine(o, 5, keys), HF_ERR_BAD_VALUE);
	assert_int_equal(combine(s, 0, keys), HF_ERR_BAD_VALUE);
}

static int
group_setup(void **state)
{
	(void)state;
	tables_make();
	return crypto_init(&why) == HF_OK ? 0 : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(multiplies_as_tables_do),
		cmocka_unit_test(inverts_everything_but_zero),
		cmocka_unit_test(combines_published_shares),
		cmocka_unit_test(any_k_of_n_give_the_secret_and_fewer_do_not),
		cmocka_unit_test(refuses_what_makes_no_sense),
		cmocka_unit_test(a_share_alone_looks_like_chance),
		cmocka_unit_test(text_gives_the_share_back_however_it_is_typed),
		cmocka_unit_test(every_typo_is_found),
		cmocka_unit_test(says_what_is_wrong_with_shares),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
