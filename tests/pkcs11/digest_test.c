/* SPDX-License-Identifier: Apache-2.0 */
#include "../../pkcs11/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../../lib/bytes.h"

/* FIPS 180-4 and 202 examples: the digests of "abc". */
/* clang-format off */
static const struct {
	CK_MECHANISM_TYPE mech;
	const char *hex;
} known[] = {
	{ CKM_SHA_1,      "a9993e364706816aba3e25717850c26c9cd0d89d" },
	{ CKM_SHA224,     "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7" },
	{ CKM_SHA256,     "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
	{ CKM_SHA384,     "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7" },
	{ CKM_SHA512,     "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f" },
	{ CKM_SHA512_224, "4634270f707b6a54daae7530460842e20e37ed265ceee9a43e8924aa" },
	{ CKM_SHA512_256, "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23" },
	{ CKM_SHA3_224,   "e642824c3f8cf24ad09234ee7d3c766fc9a3a5168d0c94ad73b46fdf" },
	{ CKM_SHA3_256,   "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532" },
	{ CKM_SHA3_384,   "ec01498288516fc926459f58e2c6ad8df9b473cb0fc08c2596da7cf0e49be4b298d88cea927ac7f539f1edf228376d25" },
	{ CKM_SHA3_512,   "b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274eec53f0" },
};
/* clang-format on */

static void
assert_digest(
    const struct digest_type *type, const uint8_t *got, const char *expected)
{
	char hex[2 * DIGEST_MAX + 1];

	hex_encode(got, type->size, hex);
	assert_string_equal(hex, expected);
}

static void
gives_the_known_answers(void **state)
{
	uint8_t out[DIGEST_MAX];

	(void)state;
	assert_int_equal(sizeof(known) / sizeof(known[0]), digest_types_count);
	for (size_t i = 0; i < digest_types_count; i++) {
		const struct digest_type *type = digest_by_mech(known[i].mech);

		assert_non_null(type);
		digest_once(type, bytes_of("abc", 3), out);
		assert_digest(type, out, known[i].hex);
	}
}

static void
goes_on_from_a_saved_state(void **state)
{
	uint8_t saved[DIGEST_SAVED], out[DIGEST_MAX];

	(void)state;
	for (size_t i = 0; i < digest_types_count; i++) {
		const struct digest_type *type = digest_by_mech(known[i].mech);
		struct digest a, b = { 0 };

		digest_init(&a, type);
		digest_update(&a, "ab", 2);
		assert_true(digest_save(&a, saved));
		digest_update(&a, "x", 1);
		assert_true(digest_load(&b, saved));
		digest_update(&b, "c", 1);
		digest_final(&b, out);
		assert_digest(type, out, known[i].hex);
	}
}

/* nettle would write where a changed index points. */
static void
refuses_a_changed_state_at_every_byte(void **state)
{
	uint8_t saved[DIGEST_SAVED];
	struct digest d, loaded;

	(void)state;
	digest_init(&d, digest_by_mech(CKM_SHA256));
	assert_true(digest_save(&d, saved));
	for (size_t i = 0; i < DIGEST_SAVED; i++) {
		saved[i] ^= 0x40;
		assert_false(digest_load(&loaded, saved));
		saved[i] ^= 0x40;
	}
	assert_true(digest_load(&loaded, saved));
}

static void
names_each_hash_once_everywhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < digest_types_count; i++) {
		const struct digest_type *t = &digest_types[i];

		assert_ptr_equal(digest_by_mech(t->mech), t);
		if (t->mgf != 0)
			assert_ptr_equal(digest_by_mgf(t->mgf), t);
		if (t->kdf != 0)
			assert_ptr_equal(digest_by_kdf(t->kdf), t);
	}
	assert_null(digest_by_mgf(0));
	assert_null(digest_by_kdf(0));
}

/* A DigestInfo says how long it is, in three places. */
static void
has_digest_infos_of_the_right_length(void **state)
{
	(void)state;
	for (size_t i = 0; i < digest_types_count; i++) {
		const struct digest_type *t = &digest_types[i];

		assert_int_equal(t->info[1], t->info_len - 2 + t->size);
		assert_int_equal(t->info[3], t->info_len - 6);
		assert_int_equal(t->info[t->info_len - 2], 0x04);
		assert_int_equal(t->info[t->info_len - 1], t->size);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_the_known_answers),
		cmocka_unit_test(goes_on_from_a_saved_state),
		cmocka_unit_test(refuses_a_changed_state_at_every_byte),
		cmocka_unit_test(names_each_hash_once_everywhere),
		cmocka_unit_test(has_digest_infos_of_the_right_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
