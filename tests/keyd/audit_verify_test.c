/* SPDX-License-Identifier: Apache-2.0 */
#include "audit_fixture.h"

/* What audit_verify.c finds. */

/* -- Verifying -- */

/* Six lines: start, a, b, stop, checkpoint; then start again, unsigned. */
static char *
make_evidence(struct fixture *f)
{
	assert_int_equal(log_one(f, "aaaa", false), HF_OK);
	assert_int_equal(log_one(f, "bbbb", false), HF_OK);
	close_log(f);
	assert_int_equal(verify(f), HF_OK);
	assert_int_equal(f->report.lines, 5);
	return contents(f->file);
}

static void
assert_broken(
    struct fixture *f, const char *text, size_t len, const char *where)
{
	replace_contents(f->file, text, len);
	assert_int_equal(
	    verify_both(f, f->file, NULL, &f->saved), HF_ERR_AUDIT_BROKEN);
	if (strstr(f->why.text, where) == NULL)
		fail_msg("%s", f->why.text);
}

static void
finds_every_changed_byte(void **state)
{
	struct fixture *f = *state;
	char *text = make_evidence(f);
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i += 7) {
		text[i] ^= 1;
		replace_contents(f->file, text, len);
		assert_int_equal(verify_both(f, f->file, NULL, &f->saved),
		    HF_ERR_AUDIT_BROKEN);
		text[i] ^= 1;
	}
	replace_contents(f->file, text, len);
	assert_int_equal(verify_both(f, f->file, NULL, &f->saved), HF_OK);
}

static void
finds_an_edited_value(void **state)
{
	struct fixture *f = *state;
	char *text = make_evidence(f);

	memcpy(strstr(text, "aaaa"), "xxxx", 4);
	assert_broken(f, text, strlen(text),
	    ":3: the line before it is not the one that was written");
}

static void
finds_a_deleted_line(void **state)
{
	struct fixture *f = *state;
	char *text = make_evidence(f);
	char *second = nth_line(text, 2), *third = nth_line(text, 3);

	memmove(second, third, strlen(third) + 1);
	assert_broken(f, text, strlen(text), ":2: sequence number 3 comes");
}

static void
finds_a_line_that_is_there_twice(void **state)
{
	struct fixture *f = *state;
	char *text = make_evidence(f);
	char *second = nth_line(text, 2), *third = nth_line(text, 3);
	static char copy[1 << 16];

	(void)snprintf(
	    copy, sizeof(copy), "%.*s%s", (int)(third - text), text, second);
	assert_broken(f, copy, strlen(copy), ":3: sequence number 2 comes");
}

static void
finds_lines_in_another_order(void **state)
{
	struct fixture *f = *state;
	char *text = make_evidence(f);
	char *second = nth_line(text, 2), *third = nth_line(text, 3);
	char *fourth = nth_line(text, 4);
	static char copy[1 << 16];

	(void)snprintf(copy, sizeof(copy), "%.*s%.*s%.*s%s",
	    (int)(second - text), text, (int)(fourth - third), third,
	    (int)(third - second), second, fourth);
	assert_broken(f, copy, strlen(copy), "lines are missing");
}

static void
finds_an_inserted_line(void **state)
{
	struct fixture *f = *state;
	char *text = make_evidence(f);
	char *second = nth_line(text, 2);
	static char copy[1 << 16];

	(void)snprintf(copy, sizeof(copy), "%.*s{\"hello\":1}\n%s",
	    (int)(second - text), text, second);
	assert_broken(f, copy, strlen(copy), ":2: it does not start with seq");
	(void)snprintf(copy, sizeof(copy), "%.*snot json\n%s",
	    (int)(second - text), text, second);
	assert_broken(f, copy, strlen(copy), ":2: it is not a JSON object");
	(void)snprintf(
	    copy, sizeof(copy), "%.*s\n%s", (int)(second - text), text, second);
	assert_broken(f, copy, strlen(copy), ":2: it is not a JSON object");
}

static void
finds_a_tail_that_was_cut_off(void **state)
{
	struct fixture *f = *state;
	char *text = make_evidence(f);

	assert_broken(
	    f, text, (size_t)(nth_line(text, 5) - text), "its end was cut off");
	assert_broken(f, "", 0, "its end was cut off");
	/* Without the remembered head the first four are a chain. */
	replace_contents(f->file, text, (size_t)(nth_line(text, 5) - text));
	assert_int_equal(verify(f), HF_OK);
}

static void
finds_a_line_that_is_not_complete(void **state)
{
	struct fixture *f = *state;
	char *text = make_evidence(f);

	assert_broken(
	    f, text, strlen(text) - 1, ":5: the line is not complete");
}

static void
finds_a_line_that_is_too_long(void **state)
{
	struct fixture *f = *state;
	static char line[3 * AUDIT_LONGEST];

	memset(line, 'x', sizeof(line));
	assert_broken(f, line, sizeof(line), ":1: the line is too long");
	line[AUDIT_LONGEST] = '\n';
	assert_broken(f, line, sizeof(line), ":1: the line is too long");
}

/* Somebody who can compute hashes, but not sign. */
static void
finds_a_chain_that_was_forged(void **state)
{
	struct fixture *f = *state;
	char *text = make_evidence(f);
	char *line = text;
	uint8_t hash[32] = { 0 };

	memcpy(strstr(text, "aaaa"), "xxxx", 4);
	for (char *next; *line != '\0'; line = next) {
		char hex[65];

		next = strchr(line, '\n') + 1;
		hex_encode(hash, 32, hex);
		memcpy(next - 3 - 64, hex, 64);
		assert_int_equal(
		    crypto_sha256(bytes_of(line, (size_t)(next - line)), hash),
		    HF_OK);
	}
	assert_broken(f, text, strlen(text),
	    ":5: the checkpoint was made over another line 4");
}

static void
finds_a_checkpoint_of_another_key(void **state)
{
	struct fixture *f = *state;

	(void)make_evidence(f);
	crypto_key_free(f->key);
	new_key(f);
	assert_int_equal(verify(f), HF_ERR_AUDIT_BROKEN);
	assert_non_null(strstr(f->why.text, "another key"));
}

static void
finds_a_wrong_signature(void **state)
{
	struct fixture *f = *state;
	char *text = make_evidence(f);
	char *digit = strstr(text, "\"signature\":\"") + 20;

	*digit = *digit == '0' ? '1' : '0';
	replace_contents(f->file, text, strlen(text));
	assert_int_equal(verify(f), HF_ERR_AUDIT_BROKEN);
	assert_non_null(
	    strstr(f->why.text, ":5: the checkpoint's signature is wrong"));
}

/* One line as a file of its own, with prev as it must be. */
static enum hf_err
verify_line(struct fixture *f, const char *start, const char *end)
{
	static char line[4096];

	(void)snprintf(
	    line, sizeof(line), "%s\"prev\":\"%064d\"%s\n", start, 0, end);
	replace_contents(f->file, line, strlen(line));
	return verify(f);
}

static void
takes_only_its_own_kind_of_json(void **state)
{
	struct fixture *f = *state;
	const char *good = "{\"seq\":1,\"time\":\"t\",\"type\":\"x\",";
	static const char *const bad[] = {
		"{\"seq\":01,\"time\":\"t\",\"type\":\"x\",",
		"{\"seq\":1.0,\"time\":\"t\",\"type\":\"x\",",
		"{\"seq\":\"1\",\"time\":\"t\",\"type\":\"x\",",
		"{\"seq\":-1,\"time\":\"t\",\"type\":\"x\",",
		"{\"seq\":18446744073709551616,\"time\":\"t\",\"type\":\"x\",",
		"{\"seq\": 1,\"time\":\"t\",\"type\":\"x\",",
		"{\"time\":\"t\",\"seq\":1,\"type\":\"x\",",
		"{\"seq\":1,\"seq\":1,\"time\":\"t\",\"type\":\"x\",",
		"{\"seq\":1,\"time\":\"t\",\"type\":\"x\",\"type\":\"x\",",
		"{\"seq\":1,\"time\":\"t\",\"type\":\"\\u0078\",",
		"{\"seq\":1,\"time\":\"t\",\"type\":\"checkpoint\",",
		"{\"seq\":1,\"time\":\"t\",\"type\":\"x\",,",
		"{\"seq\":1,\"time\":\"t\",\"type\":\"x\",\"a\":{\"b\":},",
		"{\"seq\":1,\"time\":\"t\",\"type\":\"x\",\"a\":\"\\q\",",
		"{\"seq\":1,\"time\":\"t\",\"type\":\"x\",\"a\":\"\xff\",",
		"{\"seq\":1,\"time\":\"t\",\"type\":\"x\",\"a\":tru,",
		"{\"seq\":1,\"time\":\"t\",\"type\":\"x\",\"a\":1.,",
		("{\"seq\":1,\"time\":\"t\",\"type\":\"x\","
		 "\"a\":[[[[[[[[[[1]]]]]]]]]],"),
		"[\"seq\":1,\"time\":\"t\",\"type\":\"x\",",
	};

	close_log(f);
	assert_int_equal(verify_line(f, good, "}"), HF_OK);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (verify_line(f, bad[i], "}") != HF_ERR_AUDIT_BROKEN)
			fail_msg("accepted: %s", bad[i]);
	assert_int_equal(verify_line(f, good, ""), HF_ERR_AUDIT_BROKEN);
	assert_int_equal(verify_line(f, good, "} "), HF_ERR_AUDIT_BROKEN);
	assert_int_equal(
	    verify_line(f, good, ",\"a\":1}"), HF_ERR_AUDIT_BROKEN);
	assert_int_equal(verify_line(f, good, "}{}"), HF_ERR_AUDIT_BROKEN);

	/* Names inside values are not members. */
	assert_int_equal(verify_line(f,
			     "{\"seq\":1,\"time\":\"t\",\"type\":\"x\","
			     "\"a\":{\"seq\":5,\"prev\":\"00\",\"type\":[{}]},"
			     "\"b\":\"\\\",\\\"seq\\\":9\",\"n\":-0.5e+3,"
			     "\"key\":\"payments\",\"hash\":null,",
			     "}"),
	    HF_OK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(finds_every_changed_byte),
		TEST(finds_an_edited_value),
		TEST(finds_a_deleted_line),
		TEST(finds_a_line_that_is_there_twice),
		TEST(finds_lines_in_another_order),
		TEST(finds_an_inserted_line),
		TEST(finds_a_tail_that_was_cut_off),
		TEST(finds_a_line_that_is_not_complete),
		TEST(finds_a_line_that_is_too_long),
		TEST(finds_a_chain_that_was_forged),
		TEST(finds_a_checkpoint_of_another_key),
		TEST(finds_a_wrong_signature),
		TEST(takes_only_its_own_kind_of_json),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
