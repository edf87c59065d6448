/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/hsm_alg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../../keyd/hsm_internal.h"

/* The tables of the HSM's side. */

static void
every_type_that_may_be_in_an_hsm_has_a_row(void **state)
{
	(void)state;
	for (size_t i = 0; i < key_types_count; i++) {
		const struct key_type *type = &key_types[i];
		const struct hsm_alg *alg = hsm_alg_of(type);

		assert_int_equal(type->hsm, alg != NULL);
		if (alg == NULL)
			continue;
		assert_int_equal((alg->use & USE_SIGN) != 0,
		    type->signs || type->family == FAMILY_HMAC ||
			type->family == FAMILY_CMAC);
		assert_int_equal((alg->use & USE_DECRYPT) != 0, type->encrypts);
		assert_int_equal(alg->params.ptr != NULL,
		    type->family == FAMILY_EC || type->family == FAMILY_EDDSA);
	}
}

/* Clulow's attack: wrap a key, then decrypt what comes out. */
static void
no_key_both_wraps_and_decrypts(void **state)
{
	(void)state;
	for (size_t i = 0; i < key_types_count; i++) {
		const struct hsm_alg *alg = hsm_alg_of(&key_types[i]);

		if (alg != NULL)
			assert_int_equal(alg->use & (USE_WRAP | USE_UNWRAP), 0);
	}
	for (unsigned role = ROLE_MASTER; role <= ROLE_AUDIT; role++) {
		unsigned use = hsm_role_alg(role)->use;

		assert_false((use & (USE_WRAP | USE_UNWRAP)) != 0 &&
		    (use & (USE_ENCRYPT | USE_DECRYPT)) != 0);
	}
}

static bool
template_has(const struct key_template *t, CK_ATTRIBUTE_TYPE type)
{
	for (CK_ULONG i = 0; i < t->count; i++)
		if (t->a[i].type == type)
			return *(CK_BBOOL *)t->a[i].pValue == CK_TRUE;
	return false;
}

static void
a_template_allows_what_it_is_asked_for_only(void **state)
{
	static const CK_ATTRIBUTE_TYPE others[] = { CKA_ENCRYPT, CKA_SIGN,
		CKA_VERIFY, CKA_WRAP, CKA_UNWRAP, CKA_DERIVE, CKA_TOKEN,
		CKA_EXTRACTABLE, CKA_SIGN_RECOVER };
	struct key_template t = { 0 };

	(void)state;
	template_key(&t, CKO_SECRET_KEY, USE_DECRYPT, 0);
	assert_true(template_has(&t, CKA_DECRYPT));
	assert_true(template_has(&t, CKA_SENSITIVE));
	assert_true(template_has(&t, CKA_PRIVATE));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_false(template_has(&t, others[i]));
	/* Said, not left to the HSM's taste. */
	assert_in_range(t.count, 11, TEMPLATE_MAX - 5);
}

static void
every_code_has_a_class_that_fits_its_error(void **state)
{
	(void)state;
	for (CK_RV rv = 0; rv <= CKR_FUNCTION_REJECTED; rv++) {
		const struct ckr_row *row = ckr_row(rv);

		assert_non_null(row->name);
		assert_int_equal(row->class == CLASS_OK, row->err == HF_OK);
		assert_int_equal(row->class == CLASS_OK, rv == CKR_OK);
		assert_int_equal(
		    row->class == CLASS_PIN, row->err == HF_ERR_HSM_PIN);
		if (row->class == CLASS_DEVICE || row->class == CLASS_SESSION)
			assert_int_equal(row->err, HF_ERR_HSM_UNAVAILABLE);
	}
	assert_int_equal(ckr_row(0x80001234UL)->class, CLASS_AMBIGUOUS);
	assert_int_equal(ckr_row(CKR_GENERAL_ERROR)->class, CLASS_AMBIGUOUS);
	assert_int_equal(ckr_row(CKR_DEVICE_REMOVED)->class, CLASS_DEVICE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_that_may_be_in_an_hsm_has_a_row),
		cmocka_unit_test(no_key_both_wraps_and_decrypts),
		cmocka_unit_test(a_template_allows_what_it_is_asked_for_only),
		cmocka_unit_test(every_code_has_a_class_that_fits_its_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
