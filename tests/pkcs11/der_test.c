/* SPDX-License-Identifier: Apache-2.0 */
#include "../../pkcs11/der.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../lib/bytes.h"
#include "keys.h"

#define VIEW(array) bytes_of((array), sizeof(array))

static void
reads_an_element_and_leaves_the_rest(void **state)
{
	static const uint8_t in[] = { 0x04, 0x02, 0xaa, 0xbb, 0x05, 0x00 };
	struct hf_bytes rest = VIEW(in);
	struct der e;

	(void)state;
	assert_true(der_next(&rest, &e));
	assert_int_equal(e.tag, DER_OCTET_STRING);
	assert_ptr_equal(e.inner.ptr, in + 2);
	assert_int_equal(e.inner.len, 2);
	assert_int_equal(e.whole.len, 4);
	assert_true(der_take(&rest, DER_NULL, &e));
	assert_int_equal(rest.len, 0);
	assert_false(der_next(&rest, &e));
}

static void
refuses(const uint8_t *in, size_t len)
{
	/* On the heap, so that a sanitizer sees a read beyond the end. */
	uint8_t *copy = malloc(len == 0 ? 1 : len);
	struct hf_bytes rest = { copy, len };
	struct der e;

	assert_non_null(copy);
	memcpy(copy, in, len);
	assert_false(der_next(&rest, &e));
	free(copy);
}

static void
refuses_lengths_that_are_not_der(void **state)
{
	static const uint8_t beyond[] = { 0x04, 0x02, 0xaa };
	static const uint8_t indefinite[] = { 0x30, 0x80, 0x00, 0x00 };
	static const uint8_t longer_form[] = { 0x04, 0x81, 0x01, 0xaa };
	static const uint8_t leading_zero[] = { 0x04, 0x82, 0x00, 0x80 };
	static const uint8_t huge[] = { 0x04, 0x84, 0xff, 0xff, 0xff, 0xff };
	static const uint8_t no_length[] = { 0x04 };
	static const uint8_t cut_length[] = { 0x04, 0x82, 0x01 };
	static const uint8_t long_tag[] = { 0x1f, 0x81, 0x01, 0x00 };

	(void)state;
	refuses(beyond, sizeof(beyond));
	refuses(indefinite, sizeof(indefinite));
	refuses(longer_form, sizeof(longer_form));
	refuses(leading_zero, sizeof(leading_zero));
	refuses(huge, sizeof(huge));
	refuses(no_length, sizeof(no_length));
	refuses(cut_length, sizeof(cut_length));
	refuses(long_tag, sizeof(long_tag));
	refuses(no_length, 0);
}

static void
writes_heads_that_it_reads_again(void **state)
{
	static const size_t lengths[] = { 0, 1, 127, 128, 255, 256, 65535,
		65536 };

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		uint8_t *buf = calloc(1, 6 + lengths[i]);
		size_t head;
		struct hf_bytes rest;
		struct der e;

		assert_non_null(buf);
		head = der_head(DER_OCTET_STRING, lengths[i], buf);
		rest = bytes_of(buf, head + lengths[i]);
		assert_true(der_take(&rest, DER_OCTET_STRING, &e));
		assert_int_equal(e.inner.len, lengths[i]);
		free(buf);
	}
}

static void
takes_public_keys_apart(void **state)
{
	struct hf_bytes modulus, exponent;
	struct spki spki;

	(void)state;
	assert_true(spki_parse(VIEW(ec_spki), &spki));
	assert_int_equal(spki.key.len, 65);
	assert_int_equal(spki.key.ptr[0], 0x04);
	assert_int_equal(spki.parameters.ptr[0], DER_OID);
	assert_true(spki_parse(VIEW(ed_spki), &spki));
	assert_int_equal(spki.key.len, 32);
	assert_null(spki.parameters.ptr);
	assert_true(spki_parse(VIEW(rsa_spki), &spki));
	assert_true(rsa_parse(spki.key, &modulus, &exponent));
	assert_int_equal(modulus.len, 256);
	assert_true((modulus.ptr[0] & 0x80) != 0);
	assert_int_equal(exponent.len, 3);
}

static void
takes_certificates_apart(void **state)
{
	static const uint8_t serial[] = { 0x02, 0x02, 0x12, 0x34 };
	struct certificate c;

	(void)state;
	assert_true(certificate_parse(VIEW(certificate_der), &c));
	assert_true(bytes_equal(c.serial, VIEW(serial)));
	assert_true(bytes_equal(c.spki, VIEW(ec_spki)));
	assert_true(bytes_equal(c.issuer, c.subject));
	assert_int_equal(c.subject.ptr[0], DER_SEQUENCE);
}

static void
refuses_whatever_is_cut(void **state)
{
	struct certificate c;
	struct spki spki;

	(void)state;
	for (size_t i = 0; i < sizeof(certificate_der); i++)
		assert_false(
		    certificate_parse(bytes_of(certificate_der, i), &c));
	for (size_t i = 0; i < sizeof(ec_spki); i++)
		assert_false(spki_parse(bytes_of(ec_spki, i), &spki));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_an_element_and_leaves_the_rest),
		cmocka_unit_test(refuses_lengths_that_are_not_der),
		cmocka_unit_test(writes_heads_that_it_reads_again),
		cmocka_unit_test(takes_public_keys_apart),
		cmocka_unit_test(takes_certificates_apart),
		cmocka_unit_test(refuses_whatever_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
