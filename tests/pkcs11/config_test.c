/* SPDX-License-Identifier: Apache-2.0 */
#include "../../pkcs11/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../lib/bytes.h"

static struct hf_why why;

static enum hf_err
parse(const char *text, struct config *out)
{
	return config_parse(text_of(text), "test.conf", out, &why);
}

static void
has_one_slot_when_the_file_is_empty(void **state)
{
	struct config c;

	(void)state;
	assert_int_equal(parse("# nothing\n\n", &c), HF_OK);
	assert_int_equal(c.count, 1);
	assert_string_equal(c.slots[0].label, "holdfast");
	assert_string_equal(c.slots[0].address, "");
	assert_int_equal(c.slots[0].login, LOGIN_NONE);
	assert_int_equal(c.slots[0].show, SHOW_ALL);
	config_free(&c);
}

static void
gives_what_stands_before_the_sections_to_all_slots(void **state)
{
	struct config c;

	(void)state;
	assert_int_equal(
	    parse("socket = /run/a.sock\nlogin=protected\n"
		  "[web]\nkeys = web-*, tls\n[ssh]\nsocket = /run/b.sock\n"
		  "types = ed25519, ec\nobjects=public\nlogin = none\n",
		&c),
	    HF_OK);
	assert_int_equal(c.count, 2);
	assert_string_equal(c.slots[0].label, "web");
	assert_string_equal(c.slots[0].address, "/run/a.sock");
	assert_int_equal(c.slots[0].login, LOGIN_PROTECTED);
	assert_int_equal(c.slots[0].pattern_count, 2);
	assert_string_equal(c.slots[1].address, "/run/b.sock");
	assert_int_equal(c.slots[1].login, LOGIN_NONE);
	assert_int_equal(c.slots[1].types, TYPES_ED25519 | TYPES_EC);
	assert_int_equal(c.slots[1].show, SHOW_PUBLIC);
	config_free(&c);
}

static void
refuses_with_file_and_line(const char *text, const char *expected)
{
	struct config c;

	assert_int_equal(parse(text, &c), HF_ERR_BAD_SETTINGS);
	if (strstr(why.text, expected) == NULL)
		fail_msg("'%s' lacks '%s'", why.text, expected);
}

static void
refuses_what_it_does_not_understand(void **state)
{
	(void)state;
	refuses_with_file_and_line("\nlogn = pin\n", "test.conf:2: ");
	refuses_with_file_and_line("login = pni\n", "login = pni");
	refuses_with_file_and_line("[web\n", "needs a ]");
	refuses_with_file_and_line("[]\n", "label");
	refuses_with_file_and_line("[a]\n[a]\n", "two slots");
	refuses_with_file_and_line(
	    "[123456789012345678901234567890123]\n", "label");
	refuses_with_file_and_line("socket\n", "neither");
	refuses_with_file_and_line("timeout = 0\n", "timeout");
	refuses_with_file_and_line("timeout = -1\n", "timeout");
	refuses_with_file_and_line("types = dsa\n", "types");
	refuses_with_file_and_line("objects =\n", "objects");
	refuses_with_file_and_line("spin = always\n", "spin");
}

static void
spins_unless_it_is_told_not_to(void **state)
{
	struct config c;

	(void)state;
	assert_int_equal(parse("[a]\n[b]\nspin = never\n", &c), HF_OK);
	assert_true(c.slots[0].spin);
	assert_false(c.slots[1].spin);
	config_free(&c);
}

static void
takes_an_address_of_each_slot(void **state)
{
	struct config c;

	(void)state;
	assert_int_equal(parse("tls-ca = /ca\ntls-certificate = /c\n"
			       "tls-key = /k\n[here]\n"
			       "[there]\naddress = tls+tcp://[::1]:7655\n"
			       "tls-server-name = keys.example\n"
			       "tls-version = 1.2\n",
			     &c),
	    HF_OK);
	assert_int_equal(config_check(&c, &why), HF_OK);
	assert_false(config_is_remote(&c.slots[0]));
	assert_true(config_is_remote(&c.slots[1]));
	assert_string_equal(c.slots[1].address, "tls+tcp://[::1]:7655");
	assert_string_equal(c.slots[1].tls.ca, "/ca");
	assert_string_equal(c.slots[1].tls.certificate, "/c");
	assert_string_equal(c.slots[1].tls.key, "/k");
	assert_string_equal(c.slots[1].tls.server_name, "keys.example");
	assert_true(c.slots[1].tls.allow_tls12);
	assert_false(c.slots[0].tls.allow_tls12);
	config_free(&c);
	refuses_with_file_and_line("tls-version = 1.1\n", "tls-version");
	refuses_with_file_and_line("tls-kye = /k\n", "no such setting");
	refuses_with_file_and_line("address = tls+tcp://host\n", "address");
	refuses_with_file_and_line("address = http://host\n", "address");
}

static void
refuses_tls_without_its_files(void **state)
{
	static const char *const lacking[] = {
		"tls-certificate = /c\ntls-key = /k\n",
		"tls-ca = /ca\ntls-key = /k\n",
		"tls-ca = /ca\ntls-certificate = /c\n",
	};
	struct config c;

	(void)state;
	for (size_t i = 0; i < sizeof(lacking) / sizeof(lacking[0]); i++) {
		char text[128];

		(void)snprintf(text, sizeof(text),
		    "[here]\n[there]\naddress = tls+tcp://host:1\n%s",
		    lacking[i]);
		assert_int_equal(parse(text, &c), HF_OK);
		assert_int_equal(config_check(&c, &why), HF_ERR_BAD_SETTINGS);
		assert_non_null(strstr(why.text, "[there]"));
		config_free(&c);
	}
}

static void
takes_no_more_slots_than_there_is_room_for(void **state)
{
	char text[16 * (SLOTS_MAX + 1)], *p = text;
	struct config c;

	(void)state;
	for (int i = 0; i < SLOTS_MAX; i++)
		p += sprintf(p, "[s%d]\n", i);
	assert_int_equal(parse(text, &c), HF_OK);
	assert_int_equal(c.count, SLOTS_MAX);
	config_free(&c);
	(void)sprintf(p, "[more]\n");
	assert_int_equal(parse(text, &c), HF_ERR_BAD_SETTINGS);
}

static void
lets_the_hosts_string_speak_of_the_first_slot(void **state)
{
	struct config c;

	(void)state;
	assert_int_equal(parse("[a]\n[b]\n", &c), HF_OK);
	assert_int_equal(
	    config_override(&c,
		" token='my keys'  socket=\"/x y\" login=protected config=/c ",
		&why),
	    HF_OK);
	assert_string_equal(c.slots[0].label, "my keys");
	assert_string_equal(c.slots[0].address, "/x y");
	assert_int_equal(c.slots[0].login, LOGIN_PROTECTED);
	assert_string_equal(c.slots[1].label, "b");
	assert_int_equal(config_override(&c, "", &why), HF_OK);
	assert_int_equal(
	    config_override(&c, "lgoin=pin", &why), HF_ERR_BAD_SETTINGS);
	assert_int_equal(
	    config_override(&c, "login=pni", &why), HF_ERR_BAD_SETTINGS);
	assert_int_equal(
	    config_override(&c, "token='x", &why), HF_ERR_BAD_SETTINGS);
	config_free(&c);
}

static void
lets_the_environment_come_before_the_file(void **state)
{
	char path[] = "/tmp/pkcs11_config_test.XXXXXX";
	int fd = mkstemp(path);
	static const char text[] = "[file]\nsocket = /file\n";
	struct config c;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	(void)close(fd);
	assert_int_equal(setenv("HOLDFAST_PKCS11_CONFIG", path, 1), 0);
	assert_int_equal(config_load(NULL, &c, &why), HF_OK);
	assert_string_equal(c.slots[0].label, "file");
	assert_string_equal(c.slots[0].address, "/file");
	config_free(&c);

	assert_int_equal(setenv("HOLDFAST_SOCKET", "/env", 1), 0);
	assert_int_equal(setenv("HOLDFAST_TOKEN", "env", 1), 0);
	assert_int_equal(config_load("socket=/host", &c, &why), HF_OK);
	assert_string_equal(c.slots[0].label, "env");
	assert_string_equal(c.slots[0].address, "/host");
	config_free(&c);

	(void)unlink(path);
	assert_int_equal(config_load(NULL, &c, &why), HF_ERR_BAD_SETTINGS);
	(void)unsetenv("HOLDFAST_PKCS11_CONFIG");
	(void)unsetenv("HOLDFAST_SOCKET");
	(void)unsetenv("HOLDFAST_TOKEN");
}

/* Not the defaults instead of what somebody wrote. */
static void
refuses_a_file_that_it_cannot_read(void **state)
{
	struct config c;

	(void)state;
	assert_int_equal(
	    setenv("HOLDFAST_PKCS11_CONFIG", TEST_SOURCE_DIR, 1), 0);
	assert_int_equal(config_load(NULL, &c, &why), HF_ERR_BAD_SETTINGS);
	assert_non_null(strstr(why.text, "Is a directory"));
	(void)unsetenv("HOLDFAST_PKCS11_CONFIG");
}

static void
shows_the_keys_that_its_patterns_name(void **state)
{
	struct config c;
	const struct slot_config *s;

	(void)state;
	assert_int_equal(parse("keys = web-*, a?c, *end, *\n[x]\n", &c), HF_OK);
	c.slots[0].pattern_count = 3; /* without the last */
	s = &c.slots[0];
	assert_true(config_shows(s, TEXT("web-1")));
	assert_true(config_shows(s, TEXT("web-")));
	assert_false(config_shows(s, TEXT("web")));
	assert_true(config_shows(s, TEXT("abc")));
	assert_false(config_shows(s, TEXT("ac")));
	assert_true(config_shows(s, TEXT("endend")));
	assert_false(config_shows(s, TEXT("ends")));
	c.slots[0].pattern_count = 4;
	assert_true(config_shows(s, TEXT("ends")));
	c.slots[0].pattern_count = 0;
	assert_true(config_shows(s, TEXT("anything")));
	config_free(&c);
}

/* conf/pkcs11.conf with its settings in force: no longer comments. */
static struct hf_text
shipped_file(char *buf, size_t cap)
{
	FILE *f = fopen(TEST_SOURCE_DIR "/conf/pkcs11.conf", "r");
	char line[128];
	size_t len = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		bool setting = line[0] == '#' && line[1] != ' ';
		const char *text = setting ? line + 1 : line;

		assert_true(len + strlen(text) < cap);
		memcpy(buf + len, text, strlen(text));
		len += strlen(text);
	}
	(void)fclose(f);
	return (struct hf_text){ buf, len };
}

static void
the_shipped_file_names_every_setting_with_its_default(void **state)
{
	static const char *const keys[] = { "address", "tls-version", "login",
		"keys", "types", "objects", "ed25519", "random", "timeout",
		"patience", "spin" };
	char buf[8192], key[32];
	struct hf_text text = shipped_file(buf, sizeof(buf) - 1);
	struct config shipped, empty;
	const struct slot_config *a, *b;

	(void)state;
	buf[text.len] = '\0';
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		(void)snprintf(key, sizeof(key), "\n%s = ", keys[i]);
		assert_non_null(strstr(buf, key));
	}
	assert_int_equal(config_parse(text, "conf", &shipped, &why), HF_OK);
	assert_int_equal(parse("", &empty), HF_OK);
	assert_int_equal(shipped.count, 1);
	a = &shipped.slots[0];
	b = &empty.slots[0];
	assert_string_equal(a->label, b->label);
	assert_true(config_shows(a, TEXT("anything")));
	assert_int_equal(a->login, b->login);
	assert_int_equal(a->show, b->show);
	assert_int_equal(a->types, b->types);
	assert_int_equal(a->lists_ed25519, b->lists_ed25519);
	assert_int_equal(a->random_hsm, b->random_hsm);
	assert_int_equal(a->timeout_ms, b->timeout_ms);
	assert_int_equal(a->patience_ms, b->patience_ms);
	assert_int_equal(a->spin, b->spin);
	config_free(&shipped);
	config_free(&empty);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(has_one_slot_when_the_file_is_empty),
		cmocka_unit_test(
		    gives_what_stands_before_the_sections_to_all_slots),
		cmocka_unit_test(refuses_what_it_does_not_understand),
		cmocka_unit_test(spins_unless_it_is_told_not_to),
		cmocka_unit_test(takes_an_address_of_each_slot),
		cmocka_unit_test(refuses_tls_without_its_files),
		cmocka_unit_test(takes_no_more_slots_than_there_is_room_for),
		cmocka_unit_test(lets_the_hosts_string_speak_of_the_first_slot),
		cmocka_unit_test(lets_the_environment_come_before_the_file),
		cmocka_unit_test(refuses_a_file_that_it_cannot_read),
		cmocka_unit_test(shows_the_keys_that_its_patterns_name),
		cmocka_unit_test(
		    the_shipped_file_names_every_setting_with_its_default),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
