/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../lib/bytes.h"
#include "service_fixture.h"

/*
 * What tests/e2e/transit_test.sh does not ask of the operations: batches,
 * choosing among versions, levels that policy demands, odd forms of input.
 */

#define TEXT_BYTES(s) ((struct hf_bytes){ (const uint8_t *)(s), sizeof(s) - 1 })

static int
setup(void **state)
{
	if (service_setup(state) != 0)
		return -1;
	make_key("aead", "aes256-gcm96", "wrapped");
	make_key("inside", "aes256-gcm96", "hsm");
	make_key("ec", "ecdsa-p256", "wrapped");
	return 0;
}

/* A copy that outlives the next call. */
static struct hf_bytes
keep(struct hf_bytes b)
{
	uint8_t *copy = test_malloc(b.len + 1);

	memcpy(copy, b.ptr, b.len);
	return bytes_of(copy, b.len);
}

static void
drop(struct hf_bytes b)
{
	test_free((void *)(uintptr_t)b.ptr);
}

static enum hf_err
encrypt(const char *key, uint64_t version, const char *format,
    struct hf_encrypt_out *out)
{
	struct hf_encrypt_in in = { .name = text_of(key),
		.format = text_of(format),
		.item = { .plaintext = TEXT_BYTES("hello"),
		    .key_version = { version, version != 0 } } };

	return service_call(&service, "transit.encrypt", &in, out, &why);
}

static enum hf_err
decrypt(const char *key, struct hf_bytes ciphertext)
{
	struct hf_decrypt_in in = { .name = text_of(key),
		.item.ciphertext = ciphertext };
	struct hf_decrypt_out out;
	enum hf_err err =
	    service_call(&service, "transit.decrypt", &in, &out, &why);

	if (err == HF_OK)
		assert_true(
		    bytes_equal(out.result.plaintext, TEXT_BYTES("hello")));
	return err;
}

/* -- Batches -- */

static void
a_batch_keeps_order_and_references_and_fails_item_by_item(void **state)
{
	struct hf_encrypt_out sealed;
	struct hf_decrypt_item items[4];
	struct hf_decrypt_in in = { .name = TEXT("aead"),
		.batch_input = items,
		.batch_input_count = 4 };
	struct hf_decrypt_out out;
	struct hf_bytes good;

	(void)state;
	assert_int_equal(encrypt("aead", 0, NULL, &sealed), HF_OK);
	good = keep(sealed.result.ciphertext);
	items[0] = (struct hf_decrypt_item){ .ciphertext = good,
		.reference = TEXT("first") };
	items[1] = (struct hf_decrypt_item){ .ciphertext = TEXT_BYTES("x"),
		.reference = TEXT("second") };
	items[2] = (struct hf_decrypt_item){ .ciphertext = good,
		.associated_data = TEXT_BYTES("other") };
	items[3] = (struct hf_decrypt_item){ .ciphertext = good };
	assert_int_equal(
	    service_call(&service, "transit.decrypt", &in, &out, &why), HF_OK);
	assert_int_equal(out.batch_results_count, 4);
	assert_true(text_is(out.batch_results[0].status.reference, "first"));
	assert_null(out.batch_results[0].status.error.ptr);
	assert_true(text_is(out.batch_results[1].status.reference, "second"));
	assert_true(text_is(
	    out.batch_results[1].status.error_name, "invalid_ciphertext"));
	assert_null(out.batch_results[1].plaintext.ptr);
	assert_int_equal(out.batch_results[1].key_version, 0);
	assert_true(text_is(
	    out.batch_results[2].status.error_name, "authentication_failed"));
	assert_null(out.batch_results[2].plaintext.ptr);
	assert_null(out.batch_results[2].status.reference.ptr);
	assert_true(
	    bytes_equal(out.batch_results[3].plaintext, TEXT_BYTES("hello")));
	drop(good);
}

static void
refuses_an_empty_batch_and_one_beside_an_item(void **state)
{
	struct hf_encrypt_item item = { .plaintext = TEXT_BYTES("x") };
	struct hf_encrypt_in in = { .name = TEXT("aead"),
		.batch_input = &item };
	struct hf_encrypt_out out;

	(void)state;
	assert_int_equal(
	    service_call(&service, "transit.encrypt", &in, &out, &why),
	    HF_ERR_EMPTY_BATCH);
	in.batch_input_count = 1;
	in.item.plaintext = TEXT_BYTES("y");
	assert_int_equal(
	    service_call(&service, "transit.encrypt", &in, &out, &why),
	    HF_ERR_BATCH_AND_SINGLE);
	in.batch_input = NULL;
	in.item.plaintext.ptr = NULL;
	assert_int_equal(
	    service_call(&service, "transit.encrypt", &in, &out, &why),
	    HF_ERR_MISSING_FIELD);
}

static unsigned calls;

static CK_RV
count_random(CK_SESSION_HANDLE session, CK_BYTE_PTR out, CK_ULONG len)
{
	(void)session;
	(void)out;
	(void)len;
	calls++;
	return CKR_DEVICE_REMOVED;
}

static void
an_hsm_that_is_gone_fails_a_batch_once(void **state)
{
	struct hf_random_item items[50] = { { .bytes = 8 } };
	struct hf_random_in in = { .batch_input = items,
		.batch_input_count = 50 };
	struct hf_random_out out;
	enum hf_err err;

	(void)state;
	assert_true(softhsm_hide(&service.soft));
	softhsm_functions()->C_GenerateRandom = count_random;
	err = service_call(&service, "transit.random", &in, &out, &why);
	softhsm_functions_restore();
	assert_true(softhsm_show(&service.soft));
	assert_true(hf_err_status(err) >= 500);
	assert_true(calls >= 1 && calls < 10);
	assert_int_equal(hsm_wait_ready(service.server.hsm, 20000), HF_OK);
}

/* -- Versions -- */

static void
rotate(const char *key)
{
	struct hf_name_in in = { text_of(key) };
	struct hf_key_info out;

	assert_int_equal(
	    service_call(&service, "key.rotate", &in, &out, &why), HF_OK);
}

static enum hf_err
config(const struct hf_key_config_in *in)
{
	struct hf_key_info out;

	return service_call(&service, "key.config", in, &out, &why);
}

static void
chooses_the_version_that_was_asked_for_or_the_primary(void **state)
{
	struct hf_key_config_in in = { .name = TEXT("turning") };
	struct hf_encrypt_out out;

	(void)state;
	make_key("turning", "aes256-gcm96", "wrapped");
	rotate("turning");
	rotate("turning");
	assert_int_equal(encrypt("turning", 0, NULL, &out), HF_OK);
	assert_int_equal(out.result.key_version, 3);
	in.primary_version = (struct hf_uint){ 2, true };
	assert_int_equal(config(&in), HF_OK);
	assert_int_equal(encrypt("turning", 0, NULL, &out), HF_OK);
	assert_int_equal(out.result.key_version, 2);
	assert_int_equal(encrypt("turning", 1, NULL, &out), HF_OK);
	assert_int_equal(out.result.key_version, 1);
	assert_int_equal(
	    encrypt("turning", 4, NULL, &out), HF_ERR_VERSION_TOO_NEW);
	/* The primary one stays where it is when the key is rotated. */
	rotate("turning");
	assert_int_equal(encrypt("turning", 0, NULL, &out), HF_OK);
	assert_int_equal(out.result.key_version, 2);
	/* No minimum may pass it by, */
	in = (struct hf_key_config_in){ .name = TEXT("turning"),
		.min_encryption_version = { 3, true } };
	assert_int_equal(config(&in), HF_ERR_BAD_CONFIG);
	/* but it may be given up at the same time. */
	in.primary_version = (struct hf_uint){ 0, true };
	assert_int_equal(config(&in), HF_OK);
	assert_int_equal(
	    encrypt("turning", 2, NULL, &out), HF_ERR_VERSION_TOO_OLD);
	in.primary_version = (struct hf_uint){ 9, true };
	assert_int_equal(config(&in), HF_ERR_BAD_CONFIG);
}

static void
the_version_of_an_item_is_its_own(void **state)
{
	struct hf_encrypt_item items[] = { { .plaintext = TEXT_BYTES("a") },
		{ .plaintext = TEXT_BYTES("b"), .key_version = { 1, true } } };
	struct hf_encrypt_in in = { .name = TEXT("items"),
		.item.key_version = { 2, true },
		.batch_input = items,
		.batch_input_count = 2 };
	struct hf_encrypt_out out;

	(void)state;
	make_key("items", "aes256-gcm96", "wrapped");
	rotate("items");
	rotate("items");
	assert_int_equal(
	    service_call(&service, "transit.encrypt", &in, &out, &why), HF_OK);
	assert_int_equal(out.batch_results[0].key_version, 2);
	assert_int_equal(out.batch_results[1].key_version, 1);
}

/* -- Levels -- */

static void
a_demanded_level_holds_for_every_operation(void **state)
{
	struct hf_encrypt_out out;
	struct hf_key_create_in make = { .name = TEXT("made") };
	struct hf_name_in name = { TEXT("aead") };
	struct hf_key_info info;
	struct hf_bytes sealed;

	(void)state;
	assert_int_equal(encrypt("aead", 0, NULL, &out), HF_OK);
	sealed = keep(out.result.ciphertext);
	service_policy(&service,
	    "path \"*\" { " ALL_CAPABILITIES " min_level = \"hsm\" }");
	assert_int_equal(encrypt("inside", 0, NULL, &out), HF_OK);
	assert_int_equal(encrypt("aead", 0, NULL, &out), HF_ERR_KEY_LEVEL);
	assert_int_equal(decrypt("aead", sealed), HF_ERR_KEY_LEVEL);
	assert_int_equal(
	    service_call(&service, "key.rotate", &name, &info, &why),
	    HF_ERR_KEY_LEVEL);
	assert_int_equal(
	    service_call(&service, "key.create", &make, &info, &why), HF_OK);
	assert_true(text_is(info.level, "hsm"));
	make.name = TEXT("made-weak");
	make.level = TEXT("wrapped");
	assert_int_equal(
	    service_call(&service, "key.create", &make, &info, &why),
	    HF_ERR_KEY_LEVEL);
	service_policy(&service, EVERYTHING);
	drop(sealed);
}

/* -- Forms -- */

static void
finds_out_the_form_of_what_comes_in(void **state)
{
	struct hf_encrypt_out out;
	struct hf_bytes binary, text;
	char odd[200];
	int n;

	(void)state;
	assert_int_equal(encrypt("aead", 0, "binary", &out), HF_OK);
	binary = keep(out.result.ciphertext);
	assert_int_equal(binary.ptr[0], 0);
	assert_int_equal(encrypt("aead", 0, "text", &out), HF_OK);
	text = keep(out.result.ciphertext);
	assert_memory_equal(text.ptr, "vault:v1:", 9);
	assert_int_equal(decrypt("aead", binary), HF_OK);
	assert_int_equal(decrypt("aead", text), HF_OK);
	/* White space is no base64, wherever it stands. */
	for (size_t at = 9; at <= text.len; at++) {
		n = snprintf(odd, sizeof(odd), "%.*s\n%.*s", (int)at,
		    (const char *)text.ptr, (int)(text.len - at),
		    (const char *)text.ptr + at);
		assert_int_equal(decrypt("aead", bytes_of(odd, (size_t)n)),
		    HF_ERR_BAD_CIPHERTEXT);
	}
	/* Cut anywhere, it is refused and nothing else. */
	for (size_t len = 0; len < binary.len; len++)
		assert_true(hf_err_status(decrypt(
				"aead", bytes_of(binary.ptr, len))) == 400);
	for (size_t len = 0; len < text.len; len++)
		assert_true(hf_err_status(decrypt(
				"aead", bytes_of(text.ptr, len))) == 400);
	drop(binary);
	drop(text);
}

static void
associated_data_is_for_ciphers_that_authenticate(void **state)
{
	struct hf_encrypt_in in = { .name = TEXT("rsa"),
		.item = { .plaintext = TEXT_BYTES("x"),
		    .associated_data = TEXT_BYTES("y") } };
	struct hf_encrypt_out out;

	(void)state;
	make_key("rsa", "rsa-2048", "wrapped");
	assert_int_equal(
	    service_call(&service, "transit.encrypt", &in, &out, &why),
	    HF_ERR_BAD_VALUE);
}

static void
a_batch_to_verify_is_of_one_kind(void **state)
{
	struct hf_verify_item items[] = {
		{ .input = TEXT_BYTES("a"), .hmac = TEXT_BYTES("b") },
		{ .input = TEXT_BYTES("a"), .signature = TEXT_BYTES("b") },
	};
	struct hf_verify_in in = {
		.name = TEXT("ec"), .batch_input = items, .batch_input_count = 2
	};
	struct hf_verify_out out;

	(void)state;
	assert_int_equal(
	    service_call(&service, "transit.verify", &in, &out, &why),
	    HF_ERR_BAD_VALUE);
	items[1].hmac = TEXT_BYTES("b");
	assert_int_equal(
	    service_call(&service, "transit.verify", &in, &out, &why), HF_OK);
	assert_true(text_is(
	    out.batch_results[0].status.error_name, "invalid_signature"));
	/* Both for one item: neither is looked at. */
	assert_true(
	    text_is(out.batch_results[1].status.error_name, "bad_value"));
	assert_int_equal(out.batch_results[1].valid, HF_UNSET);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_batch_keeps_order_and_references_and_fails_item_by_item),
		cmocka_unit_test(refuses_an_empty_batch_and_one_beside_an_item),
		cmocka_unit_test(
		    chooses_the_version_that_was_asked_for_or_the_primary),
		cmocka_unit_test(the_version_of_an_item_is_its_own),
		cmocka_unit_test(a_demanded_level_holds_for_every_operation),
		cmocka_unit_test(finds_out_the_form_of_what_comes_in),
		cmocka_unit_test(
		    associated_data_is_for_ciphers_that_authenticate),
		cmocka_unit_test(a_batch_to_verify_is_of_one_kind),
		cmocka_unit_test(an_hsm_that_is_gone_fails_a_batch_once),
	};

	return cmocka_run_group_tests(tests, setup, service_teardown);
}
