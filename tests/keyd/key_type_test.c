/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/key_type.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <p11-kit/pkcs11.h>

#include "../../lib/bytes.h"

static void
finds_each_type_by_its_name_and_by_its_id(void **state)
{
	(void)state;
	for (size_t i = 0; i < key_types_count; i++) {
		const struct key_type *type = &key_types[i];

		assert_ptr_equal(key_type_by_name(text_of(type->name)), type);
		assert_ptr_equal(key_type_by_id(type->id), type);
	}
}

static void
keeps_the_stored_ids(void **state)
{
	static const char *const names[] = { "aes256-gcm96", "aes128-gcm96",
		"chacha20-poly1305", "ecdsa-p256", "ecdsa-p384", "ecdsa-p521",
		"ed25519", "rsa-2048", "rsa-3072", "rsa-4096", "hmac",
		"xchacha20-poly1305", "aes128-cmac", "aes192-cmac",
		"aes256-cmac", "aes192-gcm96" };

	(void)state;
	assert_int_equal(key_types_count, sizeof(names) / sizeof(names[0]));
	for (unsigned i = 0; i < key_types_count; i++)
		assert_string_equal(key_type_by_id(i + 1)->name, names[i]);
}

static void
knows_no_other_type(void **state)
{
	(void)state;
	assert_null(key_type_by_id(0));
	assert_null(key_type_by_id(17));
	assert_null(key_type_by_name(TEXT("")));
	assert_null(key_type_by_name(TEXT("aes256-gcm9")));
	assert_null(key_type_by_name(TEXT("aes256-gcm96 ")));
	assert_null(key_type_by_name(TEXT("AES256-GCM96")));
	assert_null(key_type_by_name((struct hf_text){ NULL, 0 }));
}

static void
sizes_fit_the_family(void **state)
{
	(void)state;
	for (size_t i = 0; i < key_types_count; i++) {
		const struct key_type *type = &key_types[i];
		bool aead = type->family == FAMILY_AEAD;

		bool long_nonce = type->id == KEY_XCHACHA20_POLY1305;

		assert_int_equal(type->nonce, long_nonce ? 24 : aead ? 12 : 0);
		assert_int_equal(type->tag, aead ? 16 : 0);
		assert_int_equal(type->size, (type->bits + 7) / 8);
		assert_int_equal(type->size == 0, type->family == FAMILY_HMAC);
	}
}

static void
abilities_fit_the_family(void **state)
{
	(void)state;
	for (size_t i = 0; i < key_types_count; i++) {
		const struct key_type *type = &key_types[i];
		enum key_family family = type->family;

		assert_int_equal(type->encrypts,
		    family == FAMILY_AEAD || family == FAMILY_RSA);
		assert_int_equal(type->derives,
		    family == FAMILY_AEAD || family == FAMILY_EDDSA);
		assert_int_equal(key_type_symmetric(type), !type->signs);
		assert_int_equal(type->signs,
		    family == FAMILY_RSA || family == FAMILY_EC ||
			family == FAMILY_EDDSA);
	}
}

static void
only_chacha20_is_kept_out_of_the_hsm(void **state)
{
	(void)state;
	for (size_t i = 0; i < key_types_count; i++)
		assert_int_equal(key_types[i].hsm,
		    key_types[i].id != KEY_CHACHA20_POLY1305 &&
			key_types[i].id != KEY_XCHACHA20_POLY1305);
}

static void
rows_of_types_are_unique(void **state)
{
	(void)state;
	for (size_t i = 0; i < key_types_count; i++)
		for (size_t j = 0; j < i; j++) {
			const struct key_type *a = &key_types[i];
			const struct key_type *b = &key_types[j];

			assert_string_not_equal(a->name, b->name);
			assert_string_not_equal(a->short_name, b->short_name);
			assert_int_not_equal(a->id, b->id);
		}
}

static void
levels_have_names(void **state)
{
	enum key_level level = LEVEL_HSM;

	(void)state;
	assert_true(key_level_by_name(TEXT("wrapped"), &level));
	assert_int_equal(level, LEVEL_WRAPPED);
	assert_true(key_level_by_name(TEXT("hsm"), &level));
	assert_int_equal(level, LEVEL_HSM);
	assert_string_equal(key_level_name(LEVEL_WRAPPED), "wrapped");
	assert_string_equal(key_level_name(LEVEL_HSM), "hsm");
}

static void
knows_no_other_level(void **state)
{
	enum key_level level = LEVEL_HSM;

	(void)state;
	assert_false(key_level_by_name(TEXT("software"), &level));
	assert_false(key_level_by_name(TEXT(""), &level));
	assert_false(key_level_by_name(TEXT("HSM"), &level));
	assert_int_equal(level, LEVEL_HSM);
}

static void
finds_each_hash_by_its_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < hash_types_count; i++) {
		const struct hash_type *hash = &hash_types[i];

		assert_ptr_equal(hash_type_by_name(text_of(hash->name)), hash);
	}
	assert_null(hash_type_by_name(TEXT("none")));
	assert_null(hash_type_by_name(TEXT("sha2-512-256")));
	assert_null(hash_type_by_name(TEXT("")));
}

/* Unique, where there is one at all. */
static void
assert_number_differs(unsigned long a, unsigned long b)
{
	assert_true(a == 0 || a != b);
}

static void
rows_of_hashes_are_unique(void **state)
{
	(void)state;
	for (size_t i = 0; i < hash_types_count; i++)
		for (size_t j = 0; j < i; j++) {
			const struct hash_type *a = &hash_types[i];
			const struct hash_type *b = &hash_types[j];

			assert_string_not_equal(a->name, b->name);
			assert_string_not_equal(a->openssl, b->openssl);
			assert_number_differs(a->ckm, b->ckm);
			assert_number_differs(a->mgf, b->mgf);
			assert_number_differs(a->ckm_hmac, b->ckm_hmac);
		}
}

/* Against the header of a third party, so that no constant is mistyped. */
static void
numbers_are_those_of_pkcs11(void **state)
{
	/* clang-format off */
	static const struct hash_type expected[] = {
		{ "sha1",     NULL, 20, CKM_SHA_1,  CKG_MGF1_SHA1,   CKM_SHA_1_HMAC },
		{ "sha2-224", NULL, 28, CKM_SHA224, CKG_MGF1_SHA224, CKM_SHA224_HMAC },
		{ "sha2-256", NULL, 32, CKM_SHA256, CKG_MGF1_SHA256, CKM_SHA256_HMAC },
		{ "sha2-384", NULL, 48, CKM_SHA384, CKG_MGF1_SHA384, CKM_SHA384_HMAC },
		{ "sha2-512", NULL, 64, CKM_SHA512, CKG_MGF1_SHA512, CKM_SHA512_HMAC },
		{ "sha3-224", NULL, 28, 0, 0, 0 },
		{ "sha3-256", NULL, 32, 0, 0, 0 },
		{ "sha3-384", NULL, 48, 0, 0, 0 },
		{ "sha3-512", NULL, 64, 0, 0, 0 },
	};
	/* clang-format on */

	(void)state;
	assert_int_equal(
	    hash_types_count, sizeof(expected) / sizeof(expected[0]));
	for (size_t i = 0; i < hash_types_count; i++) {
		assert_string_equal(hash_types[i].name, expected[i].name);
		assert_int_equal(hash_types[i].size, expected[i].size);
		assert_int_equal(hash_types[i].ckm, expected[i].ckm);
		assert_int_equal(hash_types[i].mgf, expected[i].mgf);
		assert_int_equal(hash_types[i].ckm_hmac, expected[i].ckm_hmac);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_each_type_by_its_name_and_by_its_id),
		cmocka_unit_test(keeps_the_stored_ids),
		cmocka_unit_test(knows_no_other_type),
		cmocka_unit_test(sizes_fit_the_family),
		cmocka_unit_test(abilities_fit_the_family),
		cmocka_unit_test(only_chacha20_is_kept_out_of_the_hsm),
		cmocka_unit_test(rows_of_types_are_unique),
		cmocka_unit_test(levels_have_names),
		cmocka_unit_test(knows_no_other_level),
		cmocka_unit_test(finds_each_hash_by_its_name),
		cmocka_unit_test(rows_of_hashes_are_unique),
		cmocka_unit_test(numbers_are_those_of_pkcs11),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
