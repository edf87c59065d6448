/* SPDX-License-Identifier: Apache-2.0 */
/* What keys are made for: the attacks that this keeps out, one by one. */
#include "../../keyd/key_purpose.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <holdfast/ops.h>

#include "../../lib/bytes.h"

static const struct key_type *
type(const char *name)
{
	return key_type_by_name(text_of(name));
}

static enum hf_err
ask(const char *name, uint64_t asked, bool inside, uint64_t *uses)
{
	struct hf_why why;

	return key_purpose_new(type(name), asked, inside, uses, &why);
}

static struct key
key_for(const char *name, uint64_t uses)
{
	return (struct key){ .type = type(name), .uses = uses };
}

static void
gives_what_the_type_can_do_when_nothing_is_asked(void **state)
{
	uint64_t uses;

	(void)state;
	assert_int_equal(ask("ecdsa-p256", 0, true, &uses), HF_OK);
	assert_int_equal(uses, HF_P11_SIGN | HF_P11_VERIFY | HF_P11_DERIVE);
	assert_int_equal(ask("aes256-gcm96", 0, true, &uses), HF_OK);
	assert_int_equal(uses & (HF_P11_WRAP | HF_P11_UNWRAP), 0);
	assert_int_equal(ask("rsa-2048", HF_P11_EXTRACT, true, &uses), HF_OK);
	assert_true((uses & HF_P11_SIGN) != 0);
	assert_true((uses & HF_P11_EXTRACT) != 0);
}

static void
adds_the_public_half_of_a_use(void **state)
{
	uint64_t uses;

	(void)state;
	assert_int_equal(ask("rsa-2048", HF_P11_SIGN, true, &uses), HF_OK);
	assert_int_equal(uses, HF_P11_SIGN | HF_P11_VERIFY);
	assert_int_equal(ask("rsa-2048", HF_P11_UNWRAP, true, &uses), HF_OK);
	assert_int_equal(uses, HF_P11_UNWRAP | HF_P11_WRAP);
	assert_int_equal(ask("hmac", HF_P11_SIGN, true, &uses), HF_OK);
	assert_int_equal(uses, HF_P11_SIGN);
}

/* Clulow 2003: unwrap nothing, decrypt what was wrapped. */
static void
refuses_wrap_with_any_other_use(void **state)
{
	static const uint64_t others[] = { HF_P11_DECRYPT, HF_P11_ENCRYPT,
		HF_P11_SIGN, HF_P11_VERIFY };
	static const uint64_t wraps[] = { HF_P11_WRAP, HF_P11_UNWRAP };
	uint64_t uses;

	(void)state;
	for (size_t i = 0; i < 4; i++)
		for (size_t k = 0; k < 2; k++) {
			assert_int_equal(ask("aes256-gcm96",
					     wraps[k] | others[i], true, &uses),
			    HF_ERR_BAD_CONFIG);
			assert_int_equal(
			    ask("rsa-2048", wraps[k] | others[i], true, &uses),
			    HF_ERR_BAD_CONFIG);
		}
}

/* A wrapping key that leaves comes back as a key that decrypts. */
static void
refuses_a_wrapping_key_that_may_leave(void **state)
{
	uint64_t uses;

	(void)state;
	assert_int_equal(
	    ask("aes256-gcm96", HF_P11_WRAP | HF_P11_EXTRACT, true, &uses),
	    HF_ERR_BAD_CONFIG);
}

/* The attacker's own key as a wrapping key: it would open what it wraps. */
static void
refuses_a_wrapping_key_from_outside(void **state)
{
	uint64_t uses;

	(void)state;
	assert_int_equal(ask("aes256-gcm96", HF_P11_WRAP, true, &uses), HF_OK);
	assert_int_equal(
	    ask("aes256-gcm96", HF_P11_WRAP, false, &uses), HF_ERR_BAD_CONFIG);
	assert_int_equal(
	    ask("rsa-2048", HF_P11_WRAP, false, &uses), HF_ERR_BAD_CONFIG);
	assert_int_equal(
	    ask("rsa-2048", HF_P11_UNWRAP, false, &uses), HF_ERR_BAD_CONFIG);
}

static void
refuses_what_the_type_cannot_do(void **state)
{
	uint64_t uses;

	(void)state;
	assert_int_equal(
	    ask("ed25519", HF_P11_DECRYPT, true, &uses), HF_ERR_BAD_CONFIG);
	assert_int_equal(
	    ask("hmac", HF_P11_WRAP, true, &uses), HF_ERR_BAD_CONFIG);
	assert_int_equal(ask("chacha20-poly1305", HF_P11_WRAP, true, &uses),
	    HF_ERR_BAD_CONFIG);
	assert_int_equal(
	    ask("ecdsa-p256", HF_P11_RAW, true, &uses), HF_ERR_BAD_CONFIG);
}

/* Every operation with a key: also those that PKCS#11 knows nothing of. */
static void
a_wrapping_key_does_nothing_but_wrap(void **state)
{
	static const char *const refused[] = { "transit/encrypt/{name}",
		"transit/decrypt/{name}", "transit/rewrap/{name}",
		"transit/datakey/plaintext/{name}", "transit/hmac/{name}",
		"transit/sign/{name}", "transit/verify/{name}",
		"transit/derive/{name}", "transit/export/encryption-key/{name}",
		"transit/byok-export/{name}", "transit/backup/{name}",
		"transit/something-new/{name}" };
	struct key key = key_for("aes256-gcm96", HF_P11_WRAP | HF_P11_UNWRAP);

	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		assert_false(key_purpose_allows(&key, refused[i]));
	assert_true(key_purpose_allows(&key, "transit/wrap/{name}"));
	assert_true(key_purpose_allows(&key, "transit/unwrap/{name}"));
	assert_true(key_purpose_allows(&key, "transit/keys/{name}"));
}

static void
a_data_key_never_wraps(void **state)
{
	struct key old = key_for("aes256-gcm96", 0);
	struct key data =
	    key_for("aes256-gcm96", HF_P11_ENCRYPT | HF_P11_DECRYPT);

	(void)state;
	assert_false(key_purpose_allows(&old, "transit/wrap/{name}"));
	assert_false(key_purpose_allows(&old, "transit/unwrap/{name}"));
	assert_false(key_purpose_allows(&data, "transit/unwrap/{name}"));
	assert_true(key_purpose_allows(&old, "transit/decrypt/{name}"));
	assert_true(key_purpose_allows(&data, "transit/decrypt/{name}"));
	assert_false(key_purpose_allows(&data, "transit/sign/{name}"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    gives_what_the_type_can_do_when_nothing_is_asked),
		cmocka_unit_test(adds_the_public_half_of_a_use),
		cmocka_unit_test(refuses_wrap_with_any_other_use),
		cmocka_unit_test(refuses_a_wrapping_key_that_may_leave),
		cmocka_unit_test(refuses_a_wrapping_key_from_outside),
		cmocka_unit_test(refuses_what_the_type_cannot_do),
		cmocka_unit_test(a_wrapping_key_does_nothing_but_wrap),
		cmocka_unit_test(a_data_key_never_wraps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
