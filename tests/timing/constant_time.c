/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether what must not tell secrets by its time does not: comparisons of MACs
 * and PINs, and the removal of RSA padding (GHSA-34fc-gh42-pj53,
 * HCSEC-2025-15). Compiled as a release is, -O2.
 *
 * constant_time flow [leaky]   for valgrind: secrets are marked as undefined
 *     (as Langley's ctgrind does), and it complains of each branch and each
 *     address that depends on one. With "leaky", of a comparison that it must
 *     complain of.
 * constant_time measure N      the statistics of dudect (Reparaz, Balasch,
 *     Verbauwhede 2017): N measurements in two classes of secrets, and Welch's
 * t of the two distributions, the slowest tenth left out. |t| above 10 would be
 * a leak; memcmp is there to show that one is seen.
 */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <valgrind/memcheck.h>

#include "../../keyd/crypto.h"
#include "../../lib/bytes.h"

enum { MAC = 32, BLOCK = 256 };

/* One input of each class; the results go where no compiler looks. */
struct subject {
	const char *name;
	size_t len;
	void (*make)(uint8_t *input, bool second);
	void (*run)(const uint8_t *input);
};

static volatile unsigned sink;

static uint8_t reference[MAC];

/* -- Comparison of MACs, and of the hashes of PINs -- */

/* Right to the last byte, and wrong from the first one on. */
static void
mac_make(uint8_t *input, bool second)
{
	memcpy(input, reference, MAC);
	input[second ? 0 : MAC - 1] ^= 1;
}

static void
mac_run(const uint8_t *input)
{
	bool same =
	    bytes_equal_ct(bytes_of(input, MAC), bytes_of(reference, MAC));

	(void)VALGRIND_MAKE_MEM_DEFINED(&same, sizeof(same));
	sink = same;
}

/* What must not be used; not memcmp(3), which compares 32 bytes at once. */
static void
leaky_run(const uint8_t *input)
{
	size_t i = 0;

	while (i < MAC && input[i] == reference[i])
		i++;
	sink = (unsigned)i;
}

/* -- Removal of padding: EM of RFC 8017 -- */

static void
draw(uint8_t *out, size_t len)
{
	if (crypto_random(out, len) != HF_OK)
		abort();
}

/* The second byte is not 2, or there is no zero after it. */
static void
pkcs1_make(uint8_t *input, bool second)
{
	draw(input, BLOCK);
	for (size_t i = 2; i < BLOCK; i++)
		input[i] |= 1;
	input[0] = 0;
	input[1] = second ? 2 : 3;
}

static void
pkcs1_run(const uint8_t *input)
{
	uint8_t out[BLOCK];
	size_t len = 0;

	sink = crypto_pkcs1_unpad(bytes_of(input, BLOCK), out, &len);
}

/* The first byte is wrong (Manger's question), or all of it is. */
static void
oaep_make(uint8_t *input, bool second)
{
	draw(input, BLOCK);
	input[0] = second ? 1 : 0;
}

static void
oaep_run(const uint8_t *input)
{
	uint8_t out[BLOCK];
	size_t len = 0;

	sink = crypto_oaep_unpad(bytes_of(input, BLOCK), out, &len);
}

static const struct subject subjects[] = {
	{ "comparison of a MAC or PIN", MAC, mac_make, mac_run },
	{ "PKCS#1 v1.5 unpadding", BLOCK, pkcs1_make, pkcs1_run },
	{ "OAEP unpadding", BLOCK, oaep_make, oaep_run },
	{ "a comparison that leaks", MAC, mac_make, leaky_run },
};

enum {
	SUBJECTS = sizeof(subjects) / sizeof(subjects[0]),
	LEAKY = SUBJECTS - 1
};

static void
flow(size_t from, size_t upto)
{
	uint8_t input[BLOCK];

	for (size_t i = from; i < upto; i++)
		for (int second = 0; second < 2; second++) {
			subjects[i].make(input, second != 0);
			(void)VALGRIND_MAKE_MEM_UNDEFINED(
			    input, subjects[i].len);
			subjects[i].run(input);
			(void)VALGRIND_MAKE_MEM_DEFINED(input, subjects[i].len);
		}
}

/* -- Statistics -- */

struct sample {
	uint64_t cycles;
	bool second;
};

static uint64_t
ticks(void)
{
#ifdef __x86_64__
	unsigned processor;

	return __builtin_ia32_rdtscp(&processor);
#else
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
#endif
}

static int
by_cycles(const void *a, const void *b)
{
	const struct sample *x = a, *y = b;

	return (x->cycles > y->cycles) - (x->cycles < y->cycles);
}

/* Welch's t of the first `n` samples. */
static double
welch(const struct sample *samples, size_t n)
{
	double mean[2] = { 0 }, m2[2] = { 0 }, count[2] = { 0 };

	for (size_t i = 0; i < n; i++) {
		int c = samples[i].second;
		double x = (double)samples[i].cycles, d = x - mean[c];

		count[c]++;
		mean[c] += d / count[c];
		m2[c] += d * (x - mean[c]);
	}
	return (mean[0] - mean[1]) /
	    sqrt(m2[0] / (count[0] - 1) / count[0] +
		m2[1] / (count[1] - 1) / count[1]);
}

static void
measure(const struct subject *s, struct sample *samples, size_t n)
{
	uint8_t input[BLOCK], coin;

	for (size_t i = 0; i < n; i++) {
		uint64_t start;

		draw(&coin, 1);
		samples[i].second = (coin & 1) != 0;
		s->make(input, samples[i].second);
		start = ticks();
		s->run(input);
		samples[i].cycles = ticks() - start;
	}
	qsort(samples, n, sizeof(*samples), by_cycles);
	(void)printf(
	    "%-28s |t| = %.1f\n", s->name, fabs(welch(samples, n - n / 10)));
}

int
main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	struct hf_why why = { "" };

	if (crypto_init(&why) != HF_OK) {
		(void)fprintf(stderr, "constant_time: %s\n", why.text);
		return 1;
	}
	draw(reference, sizeof(reference));
	if (strcmp(mode, "flow") == 0) {
		flow(argc > 2 ? LEAKY : 0, argc > 2 ? SUBJECTS : LEAKY);
		return 0;
	}

	size_t n = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	struct sample *samples = calloc(n, sizeof(*samples));

	if (strcmp(mode, "measure") != 0 || n < 100 || samples == NULL) {
		(void)fprintf(
		    stderr, "constant_time flow [leaky] | measure N\n");
		return 1;
	}
	for (size_t i = 0; i < SUBJECTS; i++)
		measure(&subjects[i], samples, n);
	free(samples);
	return 0;
}
