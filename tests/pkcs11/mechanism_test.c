/* SPDX-License-Identifier: Apache-2.0 */
#include "../../pkcs11/mechanism.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../../lib/ops.h"
#include "../../pkcs11/digest.h"

enum {
	USES = CKF_ENCRYPT | CKF_DECRYPT | CKF_DIGEST | CKF_SIGN | CKF_VERIFY |
	    CKF_GENERATE | CKF_GENERATE_KEY_PAIR | CKF_WRAP | CKF_UNWRAP |
	    CKF_DERIVE,
	MAKES = CKF_GENERATE | CKF_GENERATE_KEY_PAIR,
};

static void
lists_each_mechanism_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < mechs_count; i++) {
		assert_ptr_equal(mech_find(mechs[i].type), &mechs[i]);
		for (size_t k = 0; k < i; k++)
			assert_true(mechs[i].type != mechs[k].type);
	}
}

static void
gives_each_mechanism_a_use_and_sane_sizes(void **state)
{
	(void)state;
	for (size_t i = 0; i < mechs_count; i++) {
		const struct mech *m = &mechs[i];

		assert_true((m->info.flags & USES) != 0);
		assert_true(m->info.ulMinKeySize <= m->info.ulMaxKeySize);
		assert_true(m->param < PARAM_KINDS);
		if ((m->info.flags & CKF_DIGEST) != 0) {
			assert_null(m->wire);
			assert_true((m->info.flags & USES) == CKF_DIGEST);
			assert_true(m->hash == m->type);
		} else {
			/* What is generated is told by its type. */
			assert_true((m->wire != NULL) ==
			    ((m->info.flags & MAKES) == 0));
			assert_true(m->info.ulMinKeySize > 0);
		}
	}
}

/* Encrypting and not decrypting, or signing and not verifying, would be a
 * mechanism that nobody can use. */
static void
pairs_each_use_with_its_reverse(void **state)
{
	(void)state;
	for (size_t i = 0; i < mechs_count; i++) {
		CK_FLAGS f = mechs[i].info.flags;

		assert_int_equal(
		    (f & CKF_ENCRYPT) != 0, (f & CKF_DECRYPT) != 0);
		assert_int_equal((f & CKF_SIGN) != 0, (f & CKF_VERIFY) != 0);
		assert_int_equal((f & CKF_WRAP) != 0, (f & CKF_UNWRAP) != 0);
		assert_int_equal((f & CKF_MESSAGE_ENCRYPT) != 0,
		    (f & CKF_MESSAGE_DECRYPT) != 0);
	}
}

static void
knows_every_hash_that_it_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < mechs_count; i++)
		if (mechs[i].hash != 0)
			assert_non_null(digest_by_mech(mechs[i].hash));
}

static bool
among(const char *words, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = words; p != NULL; p = strchr(p, '|')) {
		p += *p == '|';
		if (strncmp(p, word, n) == 0 && (p[n] == '|' || p[n] == '\0'))
			return true;
	}
	return false;
}

/* The daemon's codec refuses a word that is not in its list. */
static void
asks_the_daemon_for_mechanisms_that_it_knows(void **state)
{
	const struct schema *s = &schema_p11_use_in;
	const char *words = NULL;

	(void)state;
	for (size_t i = 0; i < s->count; i++)
		if (strcmp(s->fields[i].name, "mechanism") == 0)
			words = s->fields[i].values;
	assert_non_null(words);
	for (size_t i = 0; i < mechs_count; i++)
		if (mechs[i].wire != NULL)
			assert_true(among(words, mechs[i].wire));
}

static void
knows_no_mechanism_that_is_not_listed(void **state)
{
	(void)state;
	assert_null(mech_find(CKM_DES3_CBC));
	assert_null(mech_find(CKM_VENDOR_DEFINED));
	assert_null(mech_find((CK_MECHANISM_TYPE)-1));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_each_mechanism_once),
		cmocka_unit_test(gives_each_mechanism_a_use_and_sane_sizes),
		cmocka_unit_test(pairs_each_use_with_its_reverse),
		cmocka_unit_test(knows_every_hash_that_it_names),
		cmocka_unit_test(asks_the_daemon_for_mechanisms_that_it_knows),
		cmocka_unit_test(knows_no_mechanism_that_is_not_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
