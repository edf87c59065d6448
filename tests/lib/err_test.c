/* SPDX-License-Identifier: Apache-2.0 */
#include <holdfast/err.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct row {
	int number;
	unsigned status;
	const char *symbol, *name, *sentence;
} rows[] = {
#define HF_ERR(symbol, number, status, ckr, name, sentence) \
	{ number, status, #symbol, name, sentence },
#include <holdfast/err.def>
#undef HF_ERR
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static void
numbers_are_unique_and_never_zero(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		assert_int_not_equal(rows[i].number, 0);
		for (size_t k = i + 1; k < ROWS; k++)
			assert_int_not_equal(rows[i].number, rows[k].number);
	}
}

static void
every_row_has_a_name_a_status_and_a_sentence(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		enum hf_err err = (enum hf_err)rows[i].number;

		assert_string_equal(hf_err_name(err), rows[i].name);
		assert_string_equal(hf_err_sentence(err), rows[i].sentence);
		assert_int_equal(hf_err_status(err), rows[i].status);
		assert_in_range(hf_err_status(err), 400, 599);
		assert_true(hf_err_ckr(err) != 0);
		for (const char *p = rows[i].name; *p != '\0'; p++)
			assert_true((*p >= 'a' && *p <= 'z') || *p == '_');
		assert_in_range(strlen(rows[i].name), 1, 64);
		assert_in_range(strlen(rows[i].sentence), 1, 200);
	}
}

static void
a_name_leads_back_to_an_error_of_that_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		enum hf_err err =
		    hf_err_by_name(rows[i].name, strlen(rows[i].name));

		assert_string_equal(hf_err_name(err), rows[i].name);
	}
	assert_int_equal(hf_err_by_name("no_such_error", 13), HF_ERR_REMOTE);
	assert_int_equal(hf_err_by_name("bus", 3), HF_ERR_REMOTE);
	assert_int_equal(hf_err_by_name("ok", 2), HF_ERR_REMOTE);
	assert_int_equal(hf_err_by_name("", 0), HF_ERR_REMOTE);
}

static void
success_and_unknown_numbers_have_words_too(void **state)
{
	const enum hf_err odd = (enum hf_err)9999;

	(void)state;
	assert_string_equal(hf_err_name(HF_OK), "ok");
	assert_int_equal(hf_err_status(HF_OK), 200);
	assert_true(hf_err_ckr(HF_OK) == 0);
	assert_string_equal(hf_err_name(odd), "unknown");
	assert_non_null(hf_err_sentence(odd));
	assert_true(hf_err_ckr(odd) != 0);
}

static void
failing_writes_a_message_that_always_ends(void **state)
{
	struct hf_why why;
	char text[400];

	(void)state;
	assert_int_equal(
	    hf_fail(&why, HF_ERR_BUSY, "%d of %d", 7, 8), HF_ERR_BUSY);
	assert_string_equal(why.text, "7 of 8");
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(hf_fail(&why, HF_ERR_BUSY, "%s", text), HF_ERR_BUSY);
	assert_int_equal(strlen(why.text), sizeof(why.text) - 1);
	assert_int_equal(hf_fail(NULL, HF_ERR_BUSY, "x"), HF_ERR_BUSY);
}

/* A cut in the middle of a character would make the reply invalid UTF-8. */
static void
a_message_is_cut_between_characters(void **state)
{
	struct hf_why why;
	char text[400];

	(void)state;
	for (size_t lead = 0; lead < 3; lead++) {
		memset(text, 'x', lead);
		for (size_t i = lead; i + 3 < sizeof(text); i += 3)
			memcpy(text + i, "\xe2\x82\xac", 4);
		assert_int_equal(
		    hf_fail(&why, HF_ERR_BUSY, "%s", text), HF_ERR_BUSY);
		assert_int_equal((strlen(why.text) - lead) % 3, 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_unique_and_never_zero),
		cmocka_unit_test(every_row_has_a_name_a_status_and_a_sentence),
		cmocka_unit_test(a_name_leads_back_to_an_error_of_that_name),
		cmocka_unit_test(success_and_unknown_numbers_have_words_too),
		cmocka_unit_test(failing_writes_a_message_that_always_ends),
		cmocka_unit_test(a_message_is_cut_between_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
