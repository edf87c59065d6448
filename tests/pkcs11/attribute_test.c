/* SPDX-License-Identifier: Apache-2.0 */
#include "../../pkcs11/attribute.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../../lib/bytes.h"
#include "../../pkcs11/config.h"
#include "../../pkcs11/shelf.h"
#include "keys.h"

#define VIEW(array)                                     \
	{                                               \
		(const uint8_t *)(array), sizeof(array) \
	}

static struct shelf *shelf;

static struct hf_p11_object rows[] = {
	{ .uid = VIEW("0123456789abcde"),
	    .kind = { "key", 3 },
	    .name = { "web", 3 },
	    .key_version = 2,
	    .type = { "ecdsa-p256", 10 },
	    .bits = 256,
	    .id = VIEW("ec-id"),
	    .label = { "web", 3 },
	    .public_key = VIEW(ec_spki),
	    .certificate = VIEW(certificate_der),
	    .uses = HF_P11_SIGN | HF_P11_VERIFY },
	{ .uid = VIEW("1123456789abcde"),
	    .kind = { "key", 3 },
	    .name = { "doc", 3 },
	    .key_version = 1,
	    .type = { "rsa-2048", 8 },
	    .bits = 2048,
	    .id = VIEW("rsa-id"),
	    .label = { "doc", 3 },
	    .public_key = VIEW(rsa_spki),
	    .uses = HF_P11_SIGN | HF_P11_DECRYPT },
	{ .uid = VIEW("2123456789abcde"),
	    .kind = { "key", 3 },
	    .name = { "aes", 3 },
	    .key_version = 1,
	    .type = { "aes256-gcm96", 12 },
	    .bits = 256,
	    .id = VIEW("aes-id"),
	    .label = { "aes", 3 },
	    .uses = HF_P11_ENCRYPT },
	{ .uid = VIEW("3123456789abcde"),
	    .kind = { "key", 3 },
	    .name = { "seen", 4 },
	    .key_version = 1,
	    .type = { "ed25519", 7 },
	    .bits = 256,
	    .id = VIEW("ed-id"),
	    .label = { "seen", 4 },
	    .public_key = VIEW(ed_spki) },
};

static struct slot_config config = { .show = SHOW_ALL, .types = TYPES_ALL };

static int
make_shelf(void **state)
{
	struct hf_p11_find_out out = { .objects = rows,
		.objects_count = sizeof(rows) / sizeof(rows[0]) };

	(void)state;
	return shelf_make(&config, &out, NULL, &shelf) == HF_OK ? 0 : -1;
}

static int
drop_shelf(void **state)
{
	(void)state;
	shelf_put(shelf);
	return 0;
}

static const struct object *
object(CK_OBJECT_CLASS class, const char *label)
{
	for (size_t i = 0; i < shelf_count(shelf); i++) {
		const struct object *o = shelf_at(shelf, i);

		if (o->class == class &&
		    bytes_equal(o->label, bytes_of(label, strlen(label))))
			return o;
	}
	return NULL;
}

static size_t
count(CK_OBJECT_CLASS class)
{
	size_t n = 0;

	for (size_t i = 0; i < shelf_count(shelf); i++)
		n += shelf_at(shelf, i)->class == class;
	return n;
}

static void
makes_objects_of_what_may_be_used_or_seen(void **state)
{
	(void)state;
	assert_int_equal(count(CKO_PRIVATE_KEY), 2); /* not of "seen" */
	assert_int_equal(count(CKO_PUBLIC_KEY), 3);
	assert_int_equal(count(CKO_CERTIFICATE), 1);
	assert_int_equal(count(CKO_SECRET_KEY), 1);
	assert_non_null(object(CKO_PUBLIC_KEY, "seen"));
	assert_null(object(CKO_PRIVATE_KEY, "seen"));
}

static void
shows_only_what_the_slot_is_narrowed_to(void **state)
{
	struct hf_p11_find_out out = { .objects = rows,
		.objects_count = sizeof(rows) / sizeof(rows[0]) };
	struct slot_config narrow = { .show = SHOW_PRIVATE | SHOW_SECRET,
		.types = TYPES_RSA | TYPES_EC,
		.pattern_count = 1,
		.patterns = { "w*" } };
	struct shelf *whole = shelf;

	(void)state;
	assert_int_equal(shelf_make(&narrow, &out, NULL, &shelf), HF_OK);
	assert_int_equal(count(CKO_PRIVATE_KEY), 1);
	assert_int_equal(count(CKO_PUBLIC_KEY), 0);
	assert_int_equal(count(CKO_CERTIFICATE), 0);
	assert_int_equal(count(CKO_SECRET_KEY), 0);
	shelf_put(shelf);
	shelf = whole;
}

static void
gives_the_same_handles_every_time(void **state)
{
	struct hf_p11_find_out out = { .objects = rows, .objects_count = 1 };
	struct shelf *whole = shelf;
	CK_OBJECT_HANDLE before = object(CKO_PRIVATE_KEY, "web")->handle;

	(void)state;
	assert_int_equal(shelf_make(&config, &out, NULL, &shelf), HF_OK);
	assert_true(object(CKO_PRIVATE_KEY, "web")->handle == before);
	assert_true(object(CKO_PUBLIC_KEY, "web")->handle != before);
	shelf_put(shelf);
	shelf = whole;
}

static void
keeps_the_halves_of_a_pair_and_its_certificate_together(void **state)
{
	const struct object *private = object(CKO_PRIVATE_KEY, "web");
	const struct object *public = object(CKO_PUBLIC_KEY, "web");
	const struct object *cert = object(CKO_CERTIFICATE, "web");

	(void)state;
	assert_true(bytes_equal(private->id, public->id));
	assert_true(bytes_equal(private->id, cert->id));
	assert_true(bytes_equal(private->subject, cert->subject));
	assert_false(bytes_equal(private->unique_id, public->unique_id));
	assert_false(bytes_equal(private->unique_id, cert->unique_id));
}

static void
has_numbers(const struct object *o, CK_ATTRIBUTE_TYPE type, CK_ULONG expected)
{
	CK_ULONG v = 0;
	CK_ATTRIBUTE a = { type, &v, sizeof(v) };

	assert_true(attribute_get(o, &a, 1) == CKR_OK);
	assert_true(v == expected);
}

static void
has_flag(const struct object *o, CK_ATTRIBUTE_TYPE type, CK_BBOOL expected)
{
	CK_BBOOL v = 2;
	CK_ATTRIBUTE a = { type, &v, sizeof(v) };

	assert_true(attribute_get(o, &a, 1) == CKR_OK);
	assert_int_equal(v, expected);
}

static void
tells_uses_by_class(void **state)
{
	const struct object *private = object(CKO_PRIVATE_KEY, "web");
	const struct object *public = object(CKO_PUBLIC_KEY, "web");

	(void)state;
	has_flag(private, CKA_SIGN, CK_TRUE);
	has_flag(private, CKA_DECRYPT, CK_FALSE);
	has_flag(public, CKA_VERIFY, CK_TRUE);
	has_flag(private, CKA_SENSITIVE, CK_TRUE);
	has_flag(private, CKA_EXTRACTABLE, CK_FALSE);
	has_flag(private, CKA_NEVER_EXTRACTABLE, CK_TRUE);
	has_flag(private, CKA_ALWAYS_AUTHENTICATE, CK_FALSE);
	has_flag(private, CKA_COPYABLE, CK_FALSE);
	has_numbers(private, CKA_KEY_TYPE, CKK_EC);
	has_numbers(object(CKO_PUBLIC_KEY, "doc"), CKA_MODULUS_BITS, 2048);
	has_numbers(object(CKO_SECRET_KEY, "aes"), CKA_VALUE_LEN, 32);
}

/* What OpenSSH and libp11 take apart. */
static void
wraps_points_in_octet_strings(void **state)
{
	uint8_t point[80], params[16];
	CK_ATTRIBUTE a[] = { { CKA_EC_POINT, point, sizeof(point) },
		{ CKA_EC_PARAMS, params, sizeof(params) } };

	(void)state;
	assert_true(
	    attribute_get(object(CKO_PUBLIC_KEY, "web"), a, 2) == CKR_OK);
	assert_int_equal(a[0].ulValueLen, 67);
	assert_int_equal(point[0], 0x04);
	assert_int_equal(point[1], 65);
	assert_int_equal(point[2], 0x04);
	assert_int_equal(a[1].ulValueLen, 10);
	assert_int_equal(params[0], 0x06);
	a[0].ulValueLen = sizeof(point);
	assert_true(
	    attribute_get(object(CKO_PUBLIC_KEY, "seen"), a, 1) == CKR_OK);
	assert_int_equal(a[0].ulValueLen, 34);
}

static void
fills_the_rest_when_one_is_unknown(void **state)
{
	CK_ULONG class = 0;
	uint8_t small[2], value[16], label[8];
	CK_ATTRIBUTE a[] = {
		{ CKA_CLASS, &class, sizeof(class) },
		{ 0x80001234UL, value, sizeof(value) },
		{ CKA_MODULUS, small, sizeof(small) },
		{ CKA_PRIVATE_EXPONENT, value, sizeof(value) },
		{ CKA_LABEL, label, sizeof(label) },
		{ CKA_ID, NULL, 0 },
		{ CKA_START_DATE, value, sizeof(value) },
	};

	(void)state;
	assert_true(
	    attribute_get(object(CKO_PRIVATE_KEY, "doc"), a, 7) != CKR_OK);
	assert_true(class == CKO_PRIVATE_KEY);
	assert_true(a[1].ulValueLen == CK_UNAVAILABLE_INFORMATION);
	assert_true(a[2].ulValueLen == CK_UNAVAILABLE_INFORMATION);
	assert_true(a[3].ulValueLen == CK_UNAVAILABLE_INFORMATION);
	assert_int_equal(a[4].ulValueLen, 3);
	assert_memory_equal(label, "doc", 3);
	assert_int_equal(a[5].ulValueLen, sizeof("rsa-id"));
	assert_int_equal(a[6].ulValueLen, 0);
}

static void
gives_no_secret_away(void **state)
{
	static const CK_ATTRIBUTE_TYPE secrets[] = { CKA_PRIVATE_EXPONENT,
		CKA_PRIME_1, CKA_PRIME_2, CKA_EXPONENT_1, CKA_EXPONENT_2,
		CKA_COEFFICIENT };
	uint8_t buf[512];

	(void)state;
	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
		CK_ATTRIBUTE a = { secrets[i], buf, sizeof(buf) };

		assert_true(attribute_get(object(CKO_PRIVATE_KEY, "doc"), &a,
				1) == CKR_ATTRIBUTE_SENSITIVE);
	}
	CK_ATTRIBUTE a = { CKA_VALUE, buf, sizeof(buf) };

	assert_true(attribute_get(object(CKO_SECRET_KEY, "aes"), &a, 1) ==
	    CKR_ATTRIBUTE_SENSITIVE);
	a.ulValueLen = sizeof(buf);
	assert_true(attribute_get(object(CKO_PRIVATE_KEY, "web"), &a, 1) ==
	    CKR_ATTRIBUTE_SENSITIVE);
}

static void
allows_the_mechanisms_that_go_with_the_uses(void **state)
{
	CK_MECHANISM_TYPE mechs[64];
	CK_ATTRIBUTE a = { CKA_ALLOWED_MECHANISMS, mechs, sizeof(mechs) };
	bool ecdsa = false;

	(void)state;
	assert_true(
	    attribute_get(object(CKO_PRIVATE_KEY, "web"), &a, 1) == CKR_OK);
	assert_true(a.ulValueLen > 0);
	for (size_t i = 0; i < a.ulValueLen / sizeof(mechs[0]); i++) {
		ecdsa |= mechs[i] == CKM_ECDSA;
		assert_true(mechs[i] != CKM_RSA_PKCS);
	}
	assert_true(ecdsa);
}

static bool
matches(const struct object *o, CK_ATTRIBUTE_TYPE type, const void *value,
    size_t len)
{
	uint8_t copy[64];
	CK_ATTRIBUTE a = { type, copy, len };

	memcpy(copy, value, len);
	return attribute_match(o, &a, 1);
}

static void
matches_templates(void **state)
{
	const struct object *o = object(CKO_PRIVATE_KEY, "web");
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE;

	(void)state;
	assert_true(attribute_match(o, NULL, 0));
	assert_true(matches(o, CKA_CLASS, &class, sizeof(class)));
	assert_true(matches(o, CKA_LABEL, "web", 3));
	assert_false(matches(o, CKA_LABEL, "we", 2));
	assert_true(matches(o, CKA_SIGN, &yes, 1));
	assert_false(matches(o, CKA_SIGN, &no, 1));
	assert_false(matches(o, CKA_PRIVATE_EXPONENT, "", 0));
	assert_false(matches(o, 0x80001234UL, "", 0));
}

static void
refuses_templates_that_cannot_be_read(void **state)
{
	CK_ATTRIBUTE bad_pointer = { CKA_LABEL, NULL, 3 };
	CK_ATTRIBUTE bad_length = { CKA_LABEL, &bad_pointer,
		CK_UNAVAILABLE_INFORMATION };

	(void)state;
	assert_true(template_check(NULL, 0) == CKR_OK);
	assert_true(template_check(NULL, 1) != CKR_OK);
	assert_true(template_check(&bad_pointer, 1) != CKR_OK);
	assert_true(template_check(&bad_length, 1) != CKR_OK);
	assert_true(
	    template_check(&bad_pointer, CK_UNAVAILABLE_INFORMATION) != CKR_OK);
}

/* Two rows of one type for one class: the second would never be found. */
static void
has_one_row_for_each_type_and_class(void **state)
{
	(void)state;
	for (size_t i = 0; i < attributes_count; i++) {
		assert_true(attributes[i].classes != 0);
		for (size_t k = 0; k < i; k++)
			if (attributes[i].type == attributes[k].type)
				assert_int_equal(attributes[i].classes &
					attributes[k].classes,
				    0);
	}
}

/* Asked for one by one, every attribute of the table has a size. */
static void
answers_for_every_row_of_the_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < shelf_count(shelf); i++)
		for (size_t k = 0; k < attributes_count; k++) {
			CK_ATTRIBUTE a = { attributes[k].type, NULL, 0 };
			CK_RV rv = attribute_get(shelf_at(shelf, i), &a, 1);

			assert_true(rv == CKR_OK ||
			    rv == CKR_ATTRIBUTE_SENSITIVE ||
			    rv == CKR_ATTRIBUTE_TYPE_INVALID);
			assert_int_equal(rv == CKR_OK,
			    a.ulValueLen != CK_UNAVAILABLE_INFORMATION);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(makes_objects_of_what_may_be_used_or_seen),
		cmocka_unit_test(shows_only_what_the_slot_is_narrowed_to),
		cmocka_unit_test(gives_the_same_handles_every_time),
		cmocka_unit_test(
		    keeps_the_halves_of_a_pair_and_its_certificate_together),
		cmocka_unit_test(tells_uses_by_class),
		cmocka_unit_test(wraps_points_in_octet_strings),
		cmocka_unit_test(fills_the_rest_when_one_is_unknown),
		cmocka_unit_test(gives_no_secret_away),
		cmocka_unit_test(allows_the_mechanisms_that_go_with_the_uses),
		cmocka_unit_test(matches_templates),
		cmocka_unit_test(refuses_templates_that_cannot_be_read),
		cmocka_unit_test(has_one_row_for_each_type_and_class),
		cmocka_unit_test(answers_for_every_row_of_the_table),
	};

	return cmocka_run_group_tests(tests, make_shelf, drop_shelf);
}
