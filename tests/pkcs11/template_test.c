/* SPDX-License-Identifier: Apache-2.0 */
/* Templates of new objects, and keys that hosts bring in pieces. */
#include "../../pkcs11/template.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <holdfast/ops.h>

#include "../../lib/bytes.h"
#include "../../pkcs11/encode.h"
#include "keys.h"

static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
static CK_BYTE p256[] = { 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01,
	0x07 };

static void
reads_what_it_knows(void **state)
{
	CK_KEY_TYPE aes = CKK_AES;
	CK_ULONG len = 32;
	CK_ATTRIBUTE t[] = { { CKA_KEY_TYPE, &aes, sizeof(aes) },
		{ CKA_VALUE_LEN, &len, sizeof(len) },
		{ CKA_TOKEN, &yes, sizeof(yes) },
		{ CKA_ENCRYPT, &yes, sizeof(yes) },
		{ CKA_DECRYPT, &no, sizeof(no) },
		{ CKA_LABEL, (void *)(uintptr_t) "web", 3 } };
	struct wishes w;

	(void)state;
	assert_true(template_read(t, 6, &w) == CKR_OK);
	assert_true(w.key_type == CKK_AES);
	assert_int_equal(w.value_len, 32);
	assert_true(w.token);
	assert_int_equal(w.uses, HF_P11_ENCRYPT);
	assert_true(w.uses_said);
	assert_int_equal(w.label.len, 3);
	assert_true((w.said & SAID_SENSITIVE) == 0);
}

static void
refuses_what_makes_no_sense(void **state)
{
	CK_ULONG number = 1;
	CK_ATTRIBUTE twice[] = { { CKA_TOKEN, &yes, 1 },
		{ CKA_TOKEN, &no, 1 } };
	CK_ATTRIBUTE size[] = { { CKA_TOKEN, &number, sizeof(number) } };
	CK_ATTRIBUTE shorter[] = { { CKA_VALUE_LEN, &yes, 1 } };
	CK_ATTRIBUTE unknown[] = { { 0x7fffffffUL, &yes, 1 } };
	CK_ATTRIBUTE local[] = { { CKA_LOCAL, &yes, 1 } };
	CK_ATTRIBUTE nowhere[] = { { CKA_LABEL, NULL, 5 } };
	CK_ATTRIBUTE endless[] = { { CKA_LABEL, &yes, (CK_ULONG)-1 } };
	struct wishes w;

	(void)state;
	assert_true(template_read(twice, 2, &w) == CKR_TEMPLATE_INCONSISTENT);
	assert_true(template_read(size, 1, &w) == CKR_ATTRIBUTE_VALUE_INVALID);
	assert_true(
	    template_read(shorter, 1, &w) == CKR_ATTRIBUTE_VALUE_INVALID);
	assert_true(
	    template_read(unknown, 1, &w) == CKR_ATTRIBUTE_TYPE_INVALID);
	assert_true(template_read(local, 1, &w) == CKR_ATTRIBUTE_READ_ONLY);
	assert_true(
	    template_read(nowhere, 1, &w) == CKR_ATTRIBUTE_VALUE_INVALID);
	assert_true(
	    template_read(endless, 1, &w) == CKR_ATTRIBUTE_VALUE_INVALID);
	assert_true(template_read(NULL, 1, &w) == CKR_ARGUMENTS_BAD);
	assert_true(template_read(NULL, 0, &w) == CKR_OK);
}

static void
knows_the_types_of_the_daemon(void **state)
{
	struct hf_bytes none = { NULL, 0 };

	(void)state;
	assert_string_equal(type_of_key(CKK_RSA, 2048, none), "rsa-2048");
	assert_null(type_of_key(CKK_RSA, 1024, none));
	assert_string_equal(type_of_key(CKK_AES, 16, none), "aes128-gcm96");
	assert_string_equal(type_of_key(CKK_AES, 24, none), "aes192-gcm96");
	assert_null(type_of_key(CKK_AES, 20, none));
	assert_string_equal(type_of_key(CKK_GENERIC_SECRET, 7, none), "hmac");
	assert_string_equal(
	    type_of_key(CKK_EC, 0, bytes_of(p256, sizeof(p256))), "ecdsa-p256");
	assert_null(type_of_key(CKK_EC, 0, bytes_of(p256, 5)));
}

/* An AES key for MACs alone is the key that "holdfast cmac" uses, too. */
static void
makes_cmac_keys_of_aes_keys_for_macs(void **state)
{
	uint64_t mac = HF_P11_SIGN | HF_P11_VERIFY;

	(void)state;
	assert_string_equal(type_for_uses("aes192-gcm96", mac), "aes192-cmac");
	assert_string_equal(
	    type_for_uses("aes256-gcm96", HF_P11_SIGN), "aes256-cmac");
	assert_string_equal(type_for_uses("aes256-gcm96", 0), "aes256-gcm96");
	assert_string_equal(type_for_uses("aes256-gcm96", mac | HF_P11_ENCRYPT),
	    "aes256-gcm96");
	assert_string_equal(type_for_uses("hmac", mac), "hmac");
	assert_true(uses_of_type("aes128-cmac") == mac);
}

/* From the attributes of a public key the very same DER comes back. */
static void
puts_public_keys_together(void **state)
{
	AUTO_BUFFER out = { 0 };
	struct wishes w = { .key_type = CKK_EC,
		.ec_params = bytes_of(p256, sizeof(p256)),
		.ec_point = bytes_of(ec_spki + sizeof(ec_spki) - 65, 65) };

	(void)state;
	assert_true(encode_public(&w, &out) == CKR_OK);
	assert_int_equal(out.len, sizeof(ec_spki));
	assert_memory_equal(out.ptr, ec_spki, out.len);
	w.ec_point = (struct hf_bytes){ 0 };
	assert_true(encode_public(&w, &out) == CKR_TEMPLATE_INCOMPLETE);
}

static void
misses_the_parts_of_private_keys(void **state)
{
	static const uint8_t seven[] = { 7 };
	AUTO_BUFFER out = { 0 };
	struct wishes w = { .key_type = CKK_RSA,
		.modulus = bytes_of(seven, 1),
		.private_exponent = bytes_of(seven, 1) };

	(void)state;
	assert_true(encode_private(&w, &out) == CKR_TEMPLATE_INCOMPLETE);
	w = (struct wishes){ .key_type = CKK_EC,
		.ec_params = bytes_of(p256, sizeof(p256)) };
	assert_true(encode_private(&w, &out) == CKR_TEMPLATE_INCOMPLETE);
	w.value = bytes_of(ec_spki, 40); /* longer than the curve's numbers */
	assert_true(encode_private(&w, &out) == CKR_ATTRIBUTE_VALUE_INVALID);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_it_knows),
		cmocka_unit_test(refuses_what_makes_no_sense),
		cmocka_unit_test(knows_the_types_of_the_daemon),
		cmocka_unit_test(makes_cmac_keys_of_aes_keys_for_macs),
		cmocka_unit_test(puts_public_keys_together),
		cmocka_unit_test(misses_the_parts_of_private_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
