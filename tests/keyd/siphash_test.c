/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/siphash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../lib/bytes.h"

/* Appendix A of the paper: the seed 00..0f, the inputs 00, 00 01, ... */
static void
gives_the_values_of_the_paper(void **state)
{
	uint8_t seed[16], in[15];

	(void)state;
	for (uint8_t i = 0; i < 16; i++)
		seed[i] = i;
	for (uint8_t i = 0; i < 15; i++)
		in[i] = i;
	assert_true(
	    siphash(seed, bytes_of(in, 15)) == UINT64_C(0xa129ca6149be45e5));
	assert_true(
	    siphash(seed, bytes_of(in, 0)) == UINT64_C(0x726fdb47dd0e0e31));
	assert_true(
	    siphash(seed, bytes_of(in, 8)) == UINT64_C(0x93f5f5799a932462));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_the_values_of_the_paper),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
