/* SPDX-License-Identifier: Apache-2.0 */
#include "audit_fixture.h"

/* The promises of audit_line.c: what stands in a line. */

/* -- Lines -- */

static void
writes_members_as_json(void **state)
{
	struct fixture *f = *state;
	char buf[512];
	struct audit_line line;

	(void)f;
	audit_line_start(&line, buf, sizeof(buf), "request");
	audit_line_text(&line, "op", TEXT("transit.encrypt"));
	audit_line_uint(&line, "zero", 0);
	audit_line_uint(&line, "most", UINT64_MAX);
	audit_line_bool(&line, "yes", true);
	audit_line_bool(&line, "no", false);
	audit_line_length(&line, "plaintext", 1024);
	assert_false(line.full);
	buf[line.len] = '\0';
	assert_string_equal(buf,
	    "\"type\":\"request\",\"op\":\"transit.encrypt\",\"zero\":0,"
	    "\"most\":18446744073709551615,\"yes\":true,\"no\":false,"
	    "\"plaintext\":{\"len\":1024}");
}

static const char *
escaped(const char *text, size_t len)
{
	static char buf[512];
	struct audit_line line;

	audit_line_start(&line, buf, sizeof(buf) - 1, "t");
	audit_line_text(&line, "x", (struct hf_text){ text, len });
	buf[line.len - 1] = '\0';
	return buf + sizeof("\"type\":\"t\",\"x\":\"") - 1;
}

/* Every byte at every place among eight that are looked at together. */
static void
escapes_a_byte_wherever_it_stands(void **state)
{
	char text[20], expected[64];

	(void)state;
	for (unsigned byte = 0; byte < 0x80; byte++) {
		bool plain =
		    byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
		char form[8];

		if (plain)
			(void)snprintf(form, sizeof(form), "%c", (int)byte);
		else if (byte == '"' || byte == '\\')
			(void)snprintf(form, sizeof(form), "\\%c", (int)byte);
		else
			(void)snprintf(form, sizeof(form), "\\u%04x", byte);
		for (size_t at = 0; at < sizeof(text); at++) {
			memset(text, 'a', sizeof(text));
			text[at] = (char)byte;
			(void)snprintf(expected, sizeof(expected), "%.*s%s%.*s",
			    (int)at, "aaaaaaaaaaaaaaaaaaaaaaaa", form,
			    (int)(sizeof(text) - 1 - at),
			    "aaaaaaaaaaaaaaaaaaaaaaaa");
			assert_string_equal(
			    escaped(text, sizeof(text)), expected);
		}
	}
}

static void
takes_members_from_another_line(void **state)
{
	char buf[64], other[64];
	struct audit_line line, from;
	struct hf_text members;
	size_t len;

	(void)state;
	audit_line_start(&from, other, sizeof(other), "x");
	audit_line_word(&from, "op", TEXT("transit.sign"));
	audit_line_uint(&from, "uid", 7);
	members = (struct hf_text){ other + sizeof("\"type\":\"x\",") - 1,
		from.len - (sizeof("\"type\":\"x\",") - 1) };
	audit_line_start(&line, buf, sizeof(buf), "y");
	audit_line_members(&line, members);
	audit_line_word(&line, "result", TEXT("ok"));
	assert_false(line.full);
	buf[line.len] = '\0';
	assert_string_equal(buf,
	    "\"type\":\"y\",\"op\":\"transit.sign\",\"uid\":7,"
	    "\"result\":\"ok\"");
	len = line.len;
	audit_line_members(&line, members);
	assert_true(line.full);
	assert_int_equal(line.len, len);
	line.full = false;
	audit_line_word(&line, "result", TEXT("not_ok"));
	assert_true(line.full);
	assert_int_equal(line.len, len);
}

static void
escapes_what_json_or_a_terminal_trips_over(void **state)
{
	(void)state;
	assert_string_equal(escaped("plain", 5), "plain");
	assert_string_equal(escaped("", 0), "");
	assert_string_equal(escaped("a\"b\\c/", 6), "a\\\"b\\\\c/");
	assert_string_equal(
	    escaped("\n\t\x1b[0m\x7f", 7), "\\u000a\\u0009\\u001b[0m\\u007f");
	assert_string_equal(escaped("\0x", 2), "\\u0000x");
	assert_string_equal(escaped("gr\xc3\xbc\xc3\x9f\xf0\x9f\x94\x91", 10),
	    "gr\xc3\xbc\xc3\x9f\xf0\x9f\x94\x91");
	assert_string_equal(escaped("\xc2\x9b"
				    "1m",
				4),
	    "\\u009b1m");
	assert_string_equal(
	    escaped("\xc3\xbc\xff", 3), "\\u00c3\\u00bc\\u00ff");
	assert_string_equal(
	    escaped("\xed\xa0\x80", 3), "\\u00ed\\u00a0\\u0080");
	assert_string_equal(escaped("\xc3", 1), "\\u00c3");
}

static void
writes_a_valid_line_whatever_the_bytes(void **state)
{
	struct fixture *f = *state;
	char bytes[3];

	for (unsigned i = 0; i < 256; i++) {
		char buf[128];
		struct audit_line line;
		uint64_t ticket = 0;

		bytes[0] = (char)i;
		bytes[1] = (char)(255 - i);
		bytes[2] = (char)(i * 7);
		audit_line_start(&line, buf, sizeof(buf), "test");
		audit_line_text(&line, "bytes", (struct hf_text){ bytes, 3 });
		assert_int_equal(audit_append(f->audit, &line, &ticket), HF_OK);
		assert_int_equal(audit_flush(f->audit, ticket, false), HF_OK);
	}
	assert_int_equal(verify(f), HF_OK);
	assert_int_equal(f->report.lines, 257);
}

static void
leaves_out_a_member_that_does_not_fit(void **state)
{
	struct fixture *f = *state;
	char buf[48];
	struct audit_line line;
	uint64_t ticket = 0;

	audit_line_start(&line, buf, sizeof(buf), "test");
	audit_line_text(
	    &line, "long", TEXT("far too much for the room that is left here"));
	assert_true(line.full);
	audit_line_uint(&line, "n", 1);
	assert_int_equal(audit_append(f->audit, &line, &ticket), HF_OK);
	assert_int_equal(audit_flush(f->audit, ticket, false), HF_OK);
	assert_true(log_has(
	    f, "Z\",\"type\":\"test\",\"n\":1,\"cut\":true,\"prev\":\""));
	assert_int_equal(verify(f), HF_OK);
}

static void
nests_parameters_whatever_their_names(void **state)
{
	struct fixture *f = *state;
	char buf[256];
	struct audit_line line;
	uint64_t ticket = 0;

	audit_line_start(&line, buf, sizeof(buf), "request");
	audit_line_begin(&line, "in");
	audit_line_text(&line, "type", TEXT("aes256-gcm96"));
	audit_line_uint(&line, "seq", 5);
	audit_line_end(&line);
	audit_line_begin(&line, "none");
	audit_line_end(&line);
	audit_line_uint(&line, "n", 1);
	assert_false(line.full);
	buf[line.len] = '\0';
	assert_string_equal(buf,
	    "\"type\":\"request\",\"in\":{\"type\":\"aes256-gcm96\","
	    "\"seq\":5},\"none\":{},\"n\":1");
	assert_int_equal(audit_append(f->audit, &line, &ticket), HF_OK);
	assert_int_equal(audit_flush(f->audit, ticket, false), HF_OK);
	assert_int_equal(verify(f), HF_OK);
}

/* Wherever the room ends, inside or out, what is there is JSON. */
static void
closes_what_is_nested_though_it_does_not_fit(void **state)
{
	struct fixture *f = *state;
	char buf[80];
	const size_t all = strlen("\"type\":\"t\",\"in\":{"
				  "\"type\":\"some type\","
				  "\"seq\":\"some value\"}");

	for (size_t cap = 12; cap <= sizeof(buf); cap++) {
		struct audit_line line;
		uint64_t ticket = 0;

		audit_line_start(&line, buf, cap, "t");
		audit_line_begin(&line, "in");
		audit_line_text(&line, "type", TEXT("some type"));
		audit_line_text(&line, "seq", TEXT("some value"));
		audit_line_end(&line);
		assert_true(line.len <= cap);
		assert_true(line.full == (cap < all));
		assert_int_equal(audit_append(f->audit, &line, &ticket), HF_OK);
		assert_int_equal(audit_flush(f->audit, ticket, false), HF_OK);
		assert_int_equal(verify(f), HF_OK);
	}
}

static void
hashes_values_with_the_key_of_the_log(void **state)
{
	struct fixture *f = *state;
	char buf[512], again[512];
	struct audit_line line;

	audit_line_start(&line, buf, sizeof(buf), "t");
	audit_line_hashed(&line, f->audit, "v", bytes_of("value", 5));
	buf[line.len] = '\0';
	assert_non_null(strstr(buf, "\"v\":\"hmac-sha256:"));
	assert_null(strstr(buf, "value"));
	assert_int_equal(
	    line.len, strlen("\"type\":\"t\",\"v\":\"\"") + 12 + 64);

	close_log(f);
	open_log(f);
	audit_line_start(&line, again, sizeof(again), "t");
	audit_line_hashed(&line, f->audit, "v", bytes_of("value", 5));
	again[line.len] = '\0';
	assert_string_equal(buf, again);

	close_log(f);
	f->backing.hash_key[0] ^= 1;
	open_log(f);
	audit_line_start(&line, again, sizeof(again), "t");
	audit_line_hashed(&line, f->audit, "v", bytes_of("value", 5));
	again[line.len] = '\0';
	assert_string_not_equal(buf, again);

	/* And back to the first one while it runs. */
	f->backing.hash_key[0] ^= 1;
	assert_int_equal(
	    audit_set_hash_key(f->audit, f->backing.hash_key), HF_OK);
	audit_line_start(&line, again, sizeof(again), "t");
	audit_line_hashed(&line, f->audit, "v", bytes_of("value", 5));
	again[line.len] = '\0';
	assert_string_equal(buf, again);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(writes_members_as_json),
		TEST(escapes_what_json_or_a_terminal_trips_over),
		TEST(escapes_a_byte_wherever_it_stands),
		TEST(takes_members_from_another_line),
		TEST(writes_a_valid_line_whatever_the_bytes),
		TEST(leaves_out_a_member_that_does_not_fit),
		TEST(nests_parameters_whatever_their_names),
		TEST(closes_what_is_nested_though_it_does_not_fit),
		TEST(hashes_values_with_the_key_of_the_log),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
