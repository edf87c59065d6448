/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../keyd/hcl.h"
#include "../../lib/bytes.h"

static void
dump(const struct hcl_node *node, char *out, size_t size)
{
	static const char open[] = { [HCL_LIST] = '[', [HCL_OBJECT] = '{' };
	static const char shut[] = { [HCL_LIST] = ']', [HCL_OBJECT] = '}' };
	size_t n = strlen(out);

	if (node->key.ptr != NULL)
		n += (size_t)snprintf(out + n, size - n, "%s:", node->key.ptr);
	if (node->kind == HCL_STRING)
		(void)snprintf(out + n, size - n, "'%s' ", node->text.ptr);
	else if (node->kind == HCL_NUMBER && node->integer)
		(void)snprintf(
		    out + n, size - n, "%lld ", (long long)node->number);
	else if (node->kind == HCL_BOOL || node->kind == HCL_NUMBER)
		(void)snprintf(out + n, size - n, "%s ", node->text.ptr);
	if (node->kind != HCL_LIST && node->kind != HCL_OBJECT)
		return;
	(void)snprintf(out + n, size - n, "%c ", open[node->kind]);
	for (const struct hcl_node *c = node->first; c != NULL; c = c->next)
		dump(c, out, size);
	n = strlen(out);
	(void)snprintf(out + n, size - n, "%c ", shut[node->kind]);
}

static void
expect_tree(const char *source, const char *tree)
{
	struct hcl_file *file = NULL;
	struct hf_why why = { "" };
	char out[4096] = "";

	if (hcl_parse("f", text_of(source), HF_ERR_BAD_POLICY, &file, &why) !=
	    HF_OK)
		fail_msg("%s\nin: %s", why.text, source);
	dump(hcl_root(file), out, sizeof(out));
	assert_string_equal(out, tree);
	hcl_free(file);
}

static void
expect_refused(const char *source, const char *message)
{
	struct hcl_file *file = NULL;
	struct hf_why why = { "" };

	assert_int_equal(
	    hcl_parse("f", text_of(source), HF_ERR_BAD_POLICY, &file, &why),
	    HF_ERR_BAD_POLICY);
	assert_null(file);
	if (strstr(why.text, message) == NULL)
		fail_msg("\"%s\" does not contain \"%s\"", why.text, message);
}

static void
reads_an_empty_file_as_an_empty_object(void **state)
{
	(void)state;
	expect_tree("", "{ } ");
	expect_tree(" \n\t\r\n# nothing\n", "{ } ");
	expect_tree("{}", "{ } ");
}

static void
skips_comments_of_all_three_kinds(void **state)
{
	(void)state;
	expect_tree(
	    "# a\na = 1 // b\n/* c\n * d */ b = /* e */ 2 # f", "{ a:1 b:2 } ");
	expect_refused("a = 1\n/* open\n\n", "f:2: the comment");
	expect_refused("a = 1 / 2", "f:1:");
}

static void
reads_every_escape_of_a_string(void **state)
{
	(void)state;
	expect_tree("a = \"\\\"\\\\\\t\\n\"", "{ a:'\"\\\t\n' } ");
	expect_tree("a = \"\\x41\\101\\u00e9\\U0001F600\"",
	    "{ a:'AA\xc3\xa9\xf0\x9f\x98\x80' } ");
	expect_refused("a = \"\\q\"", "unknown escape");
	expect_refused("a = \"\\u12\"", "4 hexadecimal digits");
	expect_refused("a = \"\\x00\"", "NUL");
	expect_refused("a = \"\\ud800\"", "U+D800 is not a character");
}

static void
reads_every_escape_of_json(void **state)
{
	(void)state;
	expect_tree("{\"a\": \"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}",
	    "{ a:'\"\\/\b\f\n\r\t' } ");
	expect_tree("{\"a\": \"\\u0041\\u00E9\\u20ac\"}",
	    "{ a:'A\xc3\xa9\xe2\x82\xac' } ");
	expect_tree("{\"\\ud83d\\uDE00\": 1}", "{ \xf0\x9f\x98\x80:1 } ");
	expect_refused("{\"a\": \"\\u0000\"}", "NUL");
	expect_refused("{\"a\": \"\\u12\"}", "4 hexadecimal digits");
	expect_refused("{\"a\": \"\\", "the string has no end");
}

/* One syntax's escapes mean nothing in the other. */
static void
keeps_the_escapes_of_the_syntaxes_apart(void **state)
{
	static const char *const of_hcl[] = { "\\a", "\\v", "\\x41", "\\101",
		"\\U0001F600", "\\q" };
	char text[40];

	(void)state;
	for (size_t i = 0; i < sizeof(of_hcl) / sizeof(of_hcl[0]); i++) {
		(void)snprintf(
		    text, sizeof(text), "{\"a\": \"%s\"}", of_hcl[i]);
		expect_refused(text, "unknown escape in a string; one of");
	}
	expect_refused("a = \"\\/\"", "unknown escape");
	expect_refused("a = \"\\ud83d\\ude00\"", "U+D83D is not a character");
}

static void
refuses_half_a_surrogate_pair(void **state)
{
	static const char *const halves[] = { "", "x", "\\n", "\\u0041",
		"\\ud83d", "\\ue000" };
	char text[40];

	(void)state;
	for (size_t i = 0; i < sizeof(halves) / sizeof(halves[0]); i++) {
		(void)snprintf(
		    text, sizeof(text), "{\"a\": \"\\ud83d%s\"}", halves[i]);
		expect_refused(text, "the second half of a surrogate pair");
	}
	expect_refused("{\"a\": \"\\ud83d\\u12\"}", "4 hexadecimal digits");
	expect_refused("{\"a\": \"\\ude00\"}", "U+DE00 is not a character");
}

static void
refuses_control_characters_in_json_only(void **state)
{
	(void)state;
	expect_refused("{\"a\": \"\t\"}", "the byte 0x09 must be escaped");
	expect_refused("{\"a\": \"\x01\"}", "the byte 0x01 must be escaped");
	expect_refused("{\"\n\": 1}", "the string has no end");
	expect_tree("{\"a\": \"\x7f\"}", "{ a:'\x7f' } ");
	expect_tree("a = \"\t\"", "{ a:'\t' } ");
}

static void
refuses_interpolation_but_not_templates(void **state)
{
	(void)state;
	expect_refused("\na = \"x${y}\"", "f:2: interpolation");
	expect_refused("{\"a\": \"${y}\"}", "f:1: interpolation");
	expect_tree("a = \"$${y} $5 $$ $\"", "{ a:'${y} $5 $$ $' } ");
	expect_tree("{\"a\": \"$${y} $5\"}", "{ a:'${y} $5' } ");
	expect_tree("a = \"{{identity.entity.id}}\"",
	    "{ a:'{{identity.entity.id}}' } ");
}

static void
refuses_a_string_without_end(void **state)
{
	(void)state;
	expect_refused("a = \"x\nb = \"y\"", "f:1: the string has no end");
	expect_refused("a = \"x", "f:1: the string has no end");
	expect_refused("a = \"x\\", "the string has no end");
}

static void
reads_heredocs(void **state)
{
	(void)state;
	expect_tree(
	    "a = <<EOF\none\n  two\nEOF\nb = 1", "{ a:'one\n  two\n' b:1 } ");
	expect_tree("a = <<-EOF\n    one\n      two\n    EOF\n",
	    "{ a:'one\n  two\n' } ");
	expect_tree(
	    "a = <<-EOF\n  one\nless\n  EOF\n", "{ a:'  one\nless\n' } ");
	expect_tree("a = <<EOF\r\none\r\nEOF\r\n", "{ a:'one\n' } ");
	expect_tree("a = <<EOF\nEOF", "{ a:'' } ");
	expect_refused("a = <<EOF\none\n", "a line \"EOF\" expected");
	expect_refused("a = <<\none\n", "a heredoc begins with");
	expect_refused("a = <<EOF\nx ${y}\nEOF\n", "f:2: interpolation");
}

static void
counts_lines_behind_a_heredoc(void **state)
{
	(void)state;
	expect_refused("a = <<EOF\n1\n2\nEOF\nb = ?", "f:5:");
}

static void
gives_a_block_the_line_of_its_last_name(void **state)
{
	struct hcl_file *file = NULL;
	struct hf_why why;
	const struct hcl_node *n;

	(void)state;
	assert_int_equal(hcl_parse("f", TEXT("\npath\n\"x\"\n\n{\na\n=\n1 }"),
			     HF_ERR_BAD_POLICY, &file, &why),
	    HF_OK);
	n = hcl_get(hcl_root(file), "path");
	assert_int_equal(n->line, 2);
	n = hcl_get(n, "x");
	assert_int_equal(n->line, 3);
	assert_int_equal(hcl_get(n, "a")->line, 6);
	hcl_free(file);
}

static void
reads_numbers(void **state)
{
	(void)state;
	expect_tree("a = [0, -7, 0x1f, 0660, 1.5, 1e3]",
	    "{ a:[ 0 -7 31 432 1.5 1e3 ] } ");
	expect_tree("{\"a\": [0, -7, 1.5, 1e3]}", "{ a:[ 0 -7 1.5 1e3 ] } ");
	expect_refused("a = 9223372036854775808", "too large");
	expect_refused("a = 12monkeys", "not a number");
	expect_refused("a = 1.2.3", "not a number");
	expect_refused("a = 08", "not a number");
	expect_refused("{\"a\": 0660}", "may not begin with 0");
	expect_refused("{\"a\": -07}", "may not begin with 0");
	expect_refused("{\"a\": -}", "\"-\" is not a number");
	expect_refused("{\"a\": 1-2}", "\"1-2\" is not a number");
	expect_refused("{\"a\": 1.5.2}", "\"1.5.2\" is not a number");
	expect_refused("{\"a\": .5}", "a value expected");
	expect_refused("{\"a\": 1.}", "a digit expected behind '.'");
	expect_refused("{\"a\": 1.e5}", "a digit expected behind '.'");
	expect_refused("{\"a\": 1e}", "\"1e\" is not a number");
	expect_refused("{\"a\": 0x1f}", "',' or '}' expected, got 'x'");
}

static void
reads_lists_with_a_trailing_comma(void **state)
{
	(void)state;
	expect_tree("a = [\"x\", 1, true,\n]", "{ a:[ 'x' 1 true ] } ");
	expect_tree("a = []", "{ a:[ ] } ");
	expect_refused("a = [1 2]", "',' or ']' expected");
	expect_refused("a = [1,,2]", "a value expected, got ','");
	expect_refused("a = [1", "got the end of the file");
	expect_refused("{\"a\": [1,]}", "a value expected");
}

static void
reads_members_with_and_without_commas(void **state)
{
	(void)state;
	expect_tree("a { b = 1, c = 2\n d = 3 }", "{ a:{ b:1 c:2 d:3 } } ");
	expect_tree("a = 1 b = 2", "{ a:1 b:2 } ");
}

static void
gives_one_tree_for_all_forms_of_a_block(void **state)
{
	static const char *const forms[] = {
		"path \"x\" { c = [\"r\"] }\npath \"y\" { c = 1 }",
		"path = { \"x\" = { c = [\"r\"] }, \"y\" = { c = 1 } }",
		"path { x { c = [\"r\"] } y { c = 1 } }",
		"path \"x\" { c = [\"r\"] } path = { y = { c = 1 } }",
		"{\"path\": {\"x\": {\"c\": [\"r\"]}, \"y\": {\"c\": 1}}}",
		"{\"path\": [{\"x\": {\"c\": [\"r\"]}}, {\"y\": {\"c\": 1}}]}",
		"{\"path\": [{\"x\": [{\"c\": [\"r\"]}], \"y\": {\"c\": 1}}]}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		expect_tree(
		    forms[i], "{ path:{ x:{ c:[ 'r' ] } y:{ c:1 } } } ");
}

static void
keeps_repeated_blocks_apart_and_in_order(void **state)
{
	(void)state;
	expect_tree("p \"x\" { a = 1 } p \"x\" { a = 2 }",
	    "{ p:{ x:{ a:1 } x:{ a:2 } } } ");
	expect_tree("b { s = 1 } p \"x\" { a = 1 } b { s = 2 }",
	    "{ b:{ s:1 } p:{ x:{ a:1 } } b:{ s:2 } } ");
	expect_tree(
	    "{\"b\": [{\"s\": 1}, {\"s\": 2}]}", "{ b:{ s:1 } b:{ s:2 } } ");
}

static void
reads_several_labels(void **state)
{
	(void)state;
	expect_tree("a \"b\" c { d = 1 }", "{ a:{ b:{ c:{ d:1 } } } } ");
}

static void
refuses_a_plain_member_given_twice(void **state)
{
	(void)state;
	expect_refused(
	    "a = 1\n\na = 2", "f:3: \"a\" is given twice, first on line 1");
	expect_refused("a = 1\na { }", "given twice");
	expect_refused("{\"a\": {}, \"a\": {}}", "given twice");
}

static void
says_what_was_expected(void **state)
{
	(void)state;
	expect_refused("a", "'=', '{' or a label expected after \"a\"");
	expect_refused("a b = 1", "'=', '{' or a label expected after \"b\"");
	expect_refused("= 1", "a name expected, got '='");
	expect_refused("a = b", "\"b\" needs quotes");
	expect_refused("a {\n b = 1\n", "'}' expected for the block of line 1");
	expect_refused("}", "'}' closes nothing");
	expect_refused("{\"a\" 1}", "':' expected");
	expect_refused("{} x", "something follows");
	expect_refused("{\"a\": null}", "a value expected");
	expect_refused("{\"a\": 1 // c\n}", "',' or '}' expected");
}

static void
reads_every_kind_of_json_value(void **state)
{
	(void)state;
	expect_tree("{ \"a\" : [ true , false , [ ] , { } , \"\" ] }",
	    "{ a:[ true false [ ] { } '' ] } ");
}

static void
says_what_json_lacks_and_where(void **state)
{
	(void)state;
	expect_refused("{", "a name in quotes expected, got the end");
	expect_refused("{a: 1}", "a name in quotes expected, got 'a'");
	expect_refused("{\"a\": 1,\n}", "f:2: a name in quotes expected");
	expect_refused("{\"a", "f:1: the string has no end");
	expect_refused("{\"a\":", "a value expected, got the end");
	expect_refused("{\"a\": tru}", "a value expected");
	expect_refused("{\"a\": truex}", "',' or '}' expected, got 'x'");
	expect_refused("{\"a\": [1 2]}", "',' or ']' expected, got '2'");
	expect_refused("{\"a\": [1", "',' or ']' expected, got the end");
	expect_refused("{\"a\": [1, \"", "the string has no end");
	expect_refused("{\"a\": 1, \"b\": 2,\n \"a\": 3}",
	    "f:2: \"a\" is given twice, first on line 1");
	expect_refused("{\"a\": {\"b\": 1, \"b\": 2}}", "given twice");
	expect_refused("\n\n{}\n{}", "f:4: something follows");
}

static void
counts_values_of_all_lists_together(void **state)
{
	static char big[4 * HCL_NODES_MAX];
	size_t n = 0;

	(void)state;
	for (int list = 0; list < 9; list++) {
		n += (size_t)snprintf(
		    big + n, sizeof(big) - n, "%c\"%d\":[0", ",{"[!list], list);
		for (int i = 1; i < HCL_MEMBERS_MAX; i++)
			n += (size_t)snprintf(big + n, sizeof(big) - n, ",0");
		n += (size_t)snprintf(big + n, sizeof(big) - n, "]");
	}
	expect_refused(big, "more than 65536 values");
}

static void
refuses_what_is_not_text(void **state)
{
	struct hcl_file *file = NULL;
	struct hf_why why;

	(void)state;
	expect_refused("a = \"\xff\"", "not valid UTF-8");
	assert_int_equal(hcl_parse("f", (struct hf_text){ "a = \"\0\"", 7 },
			     HF_ERR_BAD_SETTINGS, &file, &why),
	    HF_ERR_BAD_SETTINGS);
	assert_non_null(strstr(why.text, "NUL"));
}

/* CVE-2025-6203, CVE-2025-59043. */
static void
refuses_nesting_beyond_the_limit(void **state)
{
	char deep[400] = "a = ", labels[200] = "a ";

	(void)state;
	for (int i = 0; i < 40; i++) {
		strcat(deep, "[");
		strcat(labels, "a ");
	}
	expect_refused(deep, "deeper than 32");
	strcat(labels, "{}");
	expect_refused(labels, "deeper than 32");
	(void)snprintf(deep, sizeof(deep), "{\"a\": ");
	for (int i = 0; i < 40; i++)
		strcat(deep, "[");
	expect_refused(deep, "deeper than 32");
}

static void
refuses_too_many_members_and_too_large_a_file(void **state)
{
	static char big[HCL_FILE_MAX + 2];
	size_t n = (size_t)snprintf(big, sizeof(big), "a = [");

	(void)state;
	for (int i = 0; i < HCL_MEMBERS_MAX + 1; i++)
		n += (size_t)snprintf(big + n, sizeof(big) - n, "1,");
	expect_refused(big, "more than 8192 members");
	memset(big, ' ', sizeof(big) - 1);
	expect_refused(big, "larger than");
}

static void
loads_only_regular_files(void **state)
{
	char dir[] = "/tmp/hcl_test.XXXXXX", path[64];
	struct hcl_file *file = NULL;
	struct hf_why why;
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(
	    hcl_load(dir, HF_ERR_BAD_POLICY, &file, &why), HF_ERR_BAD_POLICY);
	assert_non_null(strstr(why.text, "not a regular file"));
	(void)snprintf(path, sizeof(path), "%s/x.hcl", dir);
	assert_int_equal(
	    hcl_load(path, HF_ERR_BAD_POLICY, &file, &why), HF_ERR_BAD_POLICY);
	assert_non_null(strstr(why.text, "cannot be opened"));
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(
	    hcl_load(path, HF_ERR_BAD_POLICY, &file, &why), HF_ERR_BAD_POLICY);
	assert_int_equal(unlink(path), 0);
	assert_non_null(f = fopen(path, "w"));
	assert_true(fputs("\na = 1\n", f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(
	    hcl_load(path, HF_ERR_BAD_POLICY, &file, &why), HF_ERR_BAD_POLICY);
	assert_non_null(strstr(why.text, "anybody may write"));
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(hcl_load(path, HF_ERR_BAD_POLICY, &file, &why), HF_OK);
	assert_string_equal(hcl_name(file), path);
	assert_int_equal(hcl_get(hcl_root(file), "a")->line, 2);
	assert_null(hcl_get(hcl_root(file), "b"));
	hcl_free(file);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_an_empty_file_as_an_empty_object),
		cmocka_unit_test(skips_comments_of_all_three_kinds),
		cmocka_unit_test(reads_every_escape_of_a_string),
		cmocka_unit_test(reads_every_escape_of_json),
		cmocka_unit_test(keeps_the_escapes_of_the_syntaxes_apart),
		cmocka_unit_test(refuses_half_a_surrogate_pair),
		cmocka_unit_test(refuses_control_characters_in_json_only),
		cmocka_unit_test(refuses_interpolation_but_not_templates),
		cmocka_unit_test(refuses_a_string_without_end),
		cmocka_unit_test(reads_heredocs),
		cmocka_unit_test(counts_lines_behind_a_heredoc),
		cmocka_unit_test(gives_a_block_the_line_of_its_last_name),
		cmocka_unit_test(reads_numbers),
		cmocka_unit_test(reads_lists_with_a_trailing_comma),
		cmocka_unit_test(reads_members_with_and_without_commas),
		cmocka_unit_test(gives_one_tree_for_all_forms_of_a_block),
		cmocka_unit_test(keeps_repeated_blocks_apart_and_in_order),
		cmocka_unit_test(reads_several_labels),
		cmocka_unit_test(refuses_a_plain_member_given_twice),
		cmocka_unit_test(says_what_was_expected),
		cmocka_unit_test(reads_every_kind_of_json_value),
		cmocka_unit_test(says_what_json_lacks_and_where),
		cmocka_unit_test(counts_values_of_all_lists_together),
		cmocka_unit_test(refuses_what_is_not_text),
		cmocka_unit_test(refuses_nesting_beyond_the_limit),
		cmocka_unit_test(refuses_too_many_members_and_too_large_a_file),
		cmocka_unit_test(loads_only_regular_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
