/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/text_form.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct state {
	struct arena *arena;
	struct hf_why why;
};

static int
setup(void **state)
{
	struct state *s = test_calloc(1, sizeof(*s));

	*state = s;
	return arena_new(4096, 1 << 20, &s->arena) == HF_OK ? 0 : -1;
}

static int
teardown(void **state)
{
	struct state *s = *state;

	arena_free(s->arena);
	test_free(s);
	return 0;
}

static void
writes_vaults_text_form(void **state)
{
	struct state *s = *state;
	uint8_t buf[FORM_HEADER + 3] = { 0, 0, 0, 0, 1, 2, 3 };
	struct hf_bytes out;

	assert_int_equal(form_write(s->arena, FORM_TEXT, "vault", 12,
			     BASE64_STD, buf, 3, &out),
	    HF_OK);
	assert_int_equal(out.len, strlen("vault:v12:AQID"));
	assert_memory_equal(out.ptr, "vault:v12:AQID", out.len);
}

static void
writes_the_version_before_a_binary_body(void **state)
{
	static const uint8_t expected[] = { 0, 0, 1, 2, 9 };
	struct state *s = *state;
	uint8_t buf[FORM_HEADER + 1] = { 0, 0, 0, 0, 9 };
	struct hf_bytes out;

	assert_int_equal(form_write(s->arena, FORM_BINARY, "vault", 258,
			     BASE64_STD, buf, 1, &out),
	    HF_OK);
	assert_int_equal(out.len, sizeof(expected));
	assert_memory_equal(out.ptr, expected, sizeof(expected));
}

static void
reads_back_both_forms(void **state)
{
	static const enum form forms[] = { FORM_BINARY, FORM_TEXT };
	struct state *s = *state;

	for (size_t i = 0; i < 2; i++) {
		uint8_t buf[FORM_HEADER + 4] = { 0, 0, 0, 0, 'b', 'o', 'd',
			'y' };
		struct versioned v;
		struct hf_bytes out;

		assert_int_equal(form_write(s->arena, forms[i], "p", 7,
				     BASE64_STD, buf, 4, &out),
		    HF_OK);
		assert_int_equal(
		    form_read(s->arena, out, "p", BASE64_STD, "ciphertext",
			HF_ERR_BAD_CIPHERTEXT, &v, &s->why),
		    HF_OK);
		assert_int_equal(v.version, 7);
		assert_int_equal(v.body.len, 4);
		assert_memory_equal(v.body.ptr, "body", 4);
	}
}

static void
takes_version_zero_for_one(void **state)
{
	struct state *s = *state;
	struct versioned v;

	assert_int_equal(
	    form_read(s->arena, bytes_of("vault:v0:AA==", 13), "vault",
		BASE64_STD, "ciphertext", HF_ERR_BAD_CIPHERTEXT, &v, &s->why),
	    HF_OK);
	assert_int_equal(v.version, 1);
}

static void
refuses(struct state *s, const char *text, const char *sentence)
{
	struct versioned v;

	assert_int_equal(
	    form_read(s->arena, bytes_of(text, strlen(text)), "vault",
		BASE64_STD, "ciphertext", HF_ERR_BAD_CIPHERTEXT, &v, &s->why),
	    HF_ERR_BAD_CIPHERTEXT);
	assert_string_equal(s->why.text, sentence);
}

static void
says_what_is_wrong_in_vaults_words(void **state)
{
	struct state *s = *state;

	refuses(s, "", "invalid ciphertext: no prefix");
	refuses(s, "AAAA", "invalid ciphertext: no prefix");
	refuses(s, "vault:", "invalid ciphertext: no prefix");
	refuses(s, "other:v1:AA==", "invalid ciphertext: no prefix");
	refuses(s, "vault:v1", "invalid ciphertext: wrong number of fields");
	refuses(s, "vault:v:AA==",
	    "invalid ciphertext: version number could not be decoded");
	refuses(s, "vault:v-1:AA==",
	    "invalid ciphertext: version number could not be decoded");
	refuses(s, "vault:v99999999999999999999:AA==",
	    "invalid ciphertext: version number could not be decoded");
	refuses(s, "vault:v1:A", "invalid ciphertext: could not decode base64");
	refuses(s, "vault:v1:AA==\n",
	    "invalid ciphertext: could not decode base64");
	refuses(
	    s, "vault:v1:AB==", "invalid ciphertext: could not decode base64");
}

static void
refuses_a_binary_form_without_its_version(void **state)
{
	static const uint8_t cut[] = { 0, 0, 0 };
	struct state *s = *state;
	struct versioned v;

	for (size_t len = 1; len <= sizeof(cut); len++)
		assert_int_equal(
		    form_read(s->arena, bytes_of(cut, len), "vault", BASE64_STD,
			"signature", HF_ERR_BAD_SIGNATURE, &v, &s->why),
		    HF_ERR_BAD_SIGNATURE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    writes_vaults_text_form, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    writes_the_version_before_a_binary_body, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    reads_back_both_forms, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    takes_version_zero_for_one, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    says_what_is_wrong_in_vaults_words, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    refuses_a_binary_form_without_its_version, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
