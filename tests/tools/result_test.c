/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How answers are shown: on a terminal, which must not obey them, and to files
 * and pipes, which get the bytes as they are.
 */
#include "../../tools/result.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../lib/bytes.h"
#include "../../tools/clean.h"
#include "../../tools/json.h"

/* -- Standard output and error, taken away for a moment -- */

static struct {
	int kept[2], from[2];
	char text[2][4096];
} streams;

/* The standard output becomes a terminal, a file, or what `path` names. */
static void
take(bool terminal, const char *path)
{
	int to = -1, pty;

	(void)fflush(stdout);
	if (terminal) {
		assert_int_equal(openpty(&pty, &to, NULL, NULL, NULL), 0);
		streams.from[0] = pty;
	} else {
		to = path != NULL ? open(path, O_WRONLY | O_CLOEXEC)
				  : memfd_create("out", MFD_CLOEXEC);
		streams.from[0] = dup(to);
	}
	assert_true(to >= 0);
	streams.from[1] = memfd_create("err", MFD_CLOEXEC);
	for (int i = 0; i < 2; i++)
		streams.kept[i] = dup(1 + i);
	assert_true(dup2(to, STDOUT_FILENO) >= 0);
	assert_true(dup2(streams.from[1], STDERR_FILENO) >= 0);
	(void)close(to);
}

static void
give_back(void)
{
	(void)fflush(stdout);
	(void)fflush(stderr);
	clearerr(stdout);
	for (int i = 0; i < 2; i++) {
		struct pollfd p = { streams.from[i], POLLIN, 0 };
		char *text = streams.text[i];
		ssize_t n;

		(void)lseek(p.fd, 0, SEEK_SET); /* not on a terminal */
		memset(text, 0, sizeof(streams.text[i]));
		if (poll(&p, 1, 0) == 1 && (p.revents & POLLIN) != 0 &&
		    (n = read(p.fd, text, sizeof(streams.text[i]) - 1)) >= 0)
			text[n] = '\0';
		assert_true(dup2(streams.kept[i], 1 + i) >= 0);
		(void)close(streams.kept[i]);
		(void)close(streams.from[i]);
	}
}

static const struct tool plain_tool = { 0 }, json_tool = { .json = true };

/* -- Data -- */

static int
show_plaintext(bool terminal, struct request *r, const char *p, size_t len)
{
	struct hf_decrypt_out out = { .result.plaintext = bytes_of(p, len) };
	int status;

	r->op = op_by_name(text_of("transit.decrypt"));
	take(terminal, NULL);
	status = result_show(&plain_tool, r, &out);
	give_back();
	return status;
}

static void
a_terminal_gets_text_as_text(void **state)
{
	struct request r = { 0 };

	(void)state;
	assert_int_equal(
	    show_plaintext(true, &r, "gr\xc3\xbc\xc3\x9f\te\n", 9), STATUS_OK);
	assert_string_equal(streams.text[0], "gr\xc3\xbc\xc3\x9f\te\r\n");
	assert_string_equal(streams.text[1], "");
}

/* Whoever made the plaintext must not speak to the terminal of its reader. */
static void
a_terminal_gets_nothing_that_it_would_obey(void **state)
{
	static const struct {
		const char *bytes, *hex;
	} rows[] = {
		{ "a\x1b[2J", "611b5b324a" },
		{ "a\x7f", "617f" },
		{ "a\r\n", "610d0a" },
		{ "\xc2\x9b"
		  "2J",
		    "c29b324a" }, /* CSI as one character */
		{ "\x9b"
		  "2J",
		    "9b324a" }, /* no UTF-8 */
		{ "\xff\xfe", "fffe" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct request r = { 0 };
		char line[40];

		assert_int_equal(show_plaintext(true, &r, rows[i].bytes,
				     strlen(rows[i].bytes)),
		    STATUS_OK);
		(void)snprintf(line, sizeof(line), "%s\r\n", rows[i].hex);
		assert_string_equal(streams.text[0], line);
		assert_non_null(strstr(streams.text[1],
		    "not text, so shown in hexadecimal; --out FILE or a pipe "
		    "gets the bytes"));
	}
}

static void
a_pipe_gets_the_bytes(void **state)
{
	struct request r = { 0 };

	(void)state;
	assert_int_equal(show_plaintext(false, &r, "a\x1b[2J", 5), STATUS_OK);
	assert_string_equal(streams.text[0], "a\x1b[2J");
	assert_string_equal(streams.text[1], "");
}

static void
who_names_an_encoding_gets_it(void **state)
{
	struct request hex = { .encoding = ENCODING_HEX };
	struct request base64 = { .encoding = ENCODING_BASE64 };
	struct request raw = { .encoding = ENCODING_RAW };

	(void)state;
	(void)show_plaintext(false, &hex, "abc\xff", 4);
	assert_string_equal(streams.text[0], "616263ff\n");
	(void)show_plaintext(true, &base64, "abc\xff", 4);
	assert_string_equal(streams.text[0], "YWJj/w==\r\n");
	(void)show_plaintext(true, &raw,
	    "a\x1b"
	    "c",
	    3);
	assert_string_equal(streams.text[0],
	    "a\x1b"
	    "c");
}

static void
a_plaintext_in_a_file_is_its_owners_alone(void **state)
{
	char path[] = "/tmp/hf-result-XXXXXX";
	struct request r = { .out = path };
	struct stat st;
	int fd = mkstemp(path);

	(void)state;
	assert_int_equal(fchmod(fd, 0644), 0);
	(void)close(fd);
	assert_int_equal(show_plaintext(true, &r,
			     "a\x1b"
			     "c",
			     3),
	    STATUS_OK);
	assert_string_equal(streams.text[0], "");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(st.st_size, 3);
	(void)unlink(path);
}

/* -- Verdicts: scripts look at the status -- */

static void
a_verdict_is_a_word_and_a_status(void **state)
{
	static const struct {
		const struct tool *tool;
		enum hf_tri valid;
		int status;
		const char *text;
	} rows[] = {
		{ &plain_tool, HF_TRUE, STATUS_OK, "valid\n" },
		{ &plain_tool, HF_FALSE, STATUS_REFUSED, "invalid\n" },
		{ &plain_tool, HF_UNSET, STATUS_REFUSED, "invalid\n" },
		{ &json_tool, HF_TRUE, STATUS_OK, "{\"valid\":true}\n" },
		{ &json_tool, HF_FALSE, STATUS_REFUSED, "{\"valid\":false}\n" },
	};
	const struct request r = { .op =
				       op_by_name(text_of("transit.verify")) };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct hf_verify_out out = { .result.valid = rows[i].valid };
		int status;

		take(false, NULL);
		status = result_show(rows[i].tool, &r, &out);
		give_back();
		assert_int_equal(status, rows[i].status);
		assert_string_equal(streams.text[0], rows[i].text);
	}
}

/* -- A standard output that takes nothing -- */

static void
what_could_not_be_shown_is_a_failure(void **state)
{
	const struct request verify = { .op = op_by_name(
					    text_of("transit.verify")) };
	const struct request list = { .op = op_by_name(text_of("key.list")),
		.in = &(struct hf_list_in){ .limit = 5 } };
	struct hf_text names[] = { { "a", 1 } };
	struct hf_verify_out valid = { .result.valid = HF_TRUE };
	struct hf_names_out one = { .keys = names, .keys_count = 1 };
	struct hf_dry_run dry = { 0 };
	int status;

	(void)state;
	for (int i = 0; i < 4; i++) {
		take(false, "/dev/full");
		status = i == 0 ? result_show(&plain_tool, &verify, &valid)
		    : i == 1    ? result_show(&plain_tool, &list, &one)
		    : i == 2    ? result_show(&json_tool, &list, &one)
				: result_show_dry_run(&plain_tool, &dry);
		give_back();
		assert_int_equal(status, STATUS_USAGE);
		assert_non_null(strstr(streams.text[1],
		    "standard output: No space left on device"));
	}
}

static void
a_list_that_is_full_may_go_on(void **state)
{
	struct hf_list_in in = { .limit = 2 };
	const struct request r = { .op = op_by_name(text_of("key.list")),
		.in = &in };
	struct hf_text names[] = { { "a", 1 }, { "b", 1 } };
	struct hf_names_out two = { .keys = names, .keys_count = 2 };

	(void)state;
	take(false, NULL);
	assert_int_equal(result_show(&plain_tool, &r, &two), STATUS_OK);
	give_back();
	assert_string_equal(streams.text[0], "a\nb\n");
	assert_non_null(strstr(streams.text[1],
	    "there may be more; --after LAST shows what follows"));
	in.limit = 3;
	take(false, NULL);
	assert_int_equal(result_show(&plain_tool, &r, &two), STATUS_OK);
	give_back();
	assert_string_equal(streams.text[1], "");
}

static void
a_dry_run_says_that_nothing_was_done(void **state)
{
	struct hf_dry_run dry = { 0 };

	(void)state;
	take(false, NULL);
	assert_int_equal(result_show_dry_run(&plain_tool, &dry), STATUS_OK);
	give_back();
	assert_string_equal(streams.text[0], "nothing would be changed\n");
	assert_string_equal(
	    streams.text[1], "holdfast: a dry run: nothing was changed\n");
	take(false, NULL);
	assert_int_equal(result_show_dry_run(&json_tool, &dry), STATUS_OK);
	give_back();
	assert_int_equal(streams.text[0][0], '{');
}

/* -- Text from elsewhere -- */

static const char evil[] = "a\x1b[31m\xc2\x9b"
			   "2J\x7f\n\xc3\xa9";

static void
text_from_elsewhere_is_cleaned(void **state)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	clean_print(out, text_of(evil), false);
	(void)fputc('|', out);
	clean_print(out, text_of("a\nb\r"), true);
	(void)fputc('|', out);
	/* Not UTF-8: a terminal may take it for another set of characters. */
	clean_print(out,
	    text_of("x\x9b"
		    "2J\xc3"),
	    false);
	(void)fputc('|', out);
	clean_print(out, (struct hf_text){ "\xc2\x9b", 1 }, false);
	(void)fclose(out);
	assert_string_equal(text, "a?[31m?2J??\xc3\xa9|a\nb?|x?2J?|?");
	free(text);
}

static void
json_has_escapes_for_it(void **state)
{
	AUTO_BUFFER b = { 0 };
	struct hf_text names[] = { { evil, sizeof(evil) - 1 }, { "\"\\", 2 } };
	struct hf_names_out out = { .keys = names, .keys_count = 2 };

	(void)state;
	assert_int_equal(
	    json_write(op_by_name(text_of("key.list"))->out, &out, &b), HF_OK);
	assert_int_equal(buffer_add(&b, bytes_of("", 1)), HF_OK);
	assert_string_equal((char *)b.ptr,
	    "{\"keys\":[\"a\\u001b[31m\\u009b2J\\u007f\\n\xc3\xa9\","
	    "\"\\\"\\\\\"]}\n");
}

static void
a_message_of_the_service_is_cleaned(void **state)
{
	struct hf_why why = { "" };
	int status;

	(void)state;
	(void)snprintf(why.text, sizeof(why.text), "%s", evil);
	take(false, NULL);
	status = fail_service(HF_ERR_KEY_NOT_FOUND, &why);
	give_back();
	assert_int_equal(status, STATUS_REFUSED);
	assert_string_equal(streams.text[1],
	    "holdfast: a?[31m?2J??\xc3\xa9 (key_not_found)\n"
	    "holdfast: 'holdfast key list' shows the keys\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_terminal_gets_text_as_text),
		cmocka_unit_test(a_terminal_gets_nothing_that_it_would_obey),
		cmocka_unit_test(a_pipe_gets_the_bytes),
		cmocka_unit_test(who_names_an_encoding_gets_it),
		cmocka_unit_test(a_plaintext_in_a_file_is_its_owners_alone),
		cmocka_unit_test(a_verdict_is_a_word_and_a_status),
		cmocka_unit_test(what_could_not_be_shown_is_a_failure),
		cmocka_unit_test(a_list_that_is_full_may_go_on),
		cmocka_unit_test(a_dry_run_says_that_nothing_was_done),
		cmocka_unit_test(text_from_elsewhere_is_cleaned),
		cmocka_unit_test(json_has_escapes_for_it),
		cmocka_unit_test(a_message_of_the_service_is_cleaned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
