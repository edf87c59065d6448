/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../keyd/settings.h"

/* Of docs/transit.md: T29 (upsert) and T30 (key_cache) are settings. */

struct fixture {
	char dir[32];
	char file[64];
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/settings.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->file, sizeof(f->file), "%s/keyd.conf", f->dir);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	(void)unlink(f->file);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

static void
put(const struct fixture *f, const char *text)
{
	FILE *out = fopen(f->file, "w");

	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
	assert_int_equal(fclose(out), 0);
}

static void
load(const struct fixture *f, const char *text, struct settings *s)
{
	struct hf_why why = { "" };

	put(f, text);
	if (settings_load(f->file, s, &why) != HF_OK)
		fail_msg("%s", why.text);
}

static void
expect_refused(void **state, const char *text, const char *message)
{
	const struct fixture *f = *state;
	struct settings s = { 0 };
	struct hf_why why = { "" };

	put(f, text);
	assert_int_equal(settings_load(f->file, &s, &why), HF_ERR_BAD_SETTINGS);
	assert_null(s.owned);
	assert_memory_equal(why.text, f->file, strlen(f->file));
	if (strstr(why.text, message) == NULL)
		fail_msg("\"%s\" does not contain \"%s\"", why.text, message);
}

static void
gives_the_defaults_for_an_empty_file(void **state)
{
	struct settings s;

	load(*state, "", &s);
	assert_string_equal(s.transport.socket, "/run/holdfast/keyd.sock");
	assert_int_equal(s.transport.socket_mode, 0666);
	assert_string_equal(s.state_dir, "/var/lib/holdfast");
	assert_string_equal(s.policy_dir, "/etc/holdfast/policy.d");
	assert_string_equal(s.events, "ipc:///run/holdfast/events.sock");
	assert_int_equal(s.log_level, LOG_LEVEL_INFO);
	assert_false(s.upsert);
	assert_int_equal(s.key_cache, 10000);
	assert_string_equal(s.default_level, "wrapped");
	assert_int_equal(s.transport.limits.message, 16777216);
	assert_int_equal(s.transport.tls_count, 0);
	assert_string_equal(s.hsm.uri,
	    "pkcs11:token=holdfast?module-path=/usr/lib/"
	    "softhsm/libsofthsm2.so");
	assert_string_equal(s.hsm.pin_source, "cred:hsm-pin");
	assert_string_equal(s.audit.file, "/var/log/holdfast/audit.log");
	assert_false(s.audit.sync_every);
	settings_free(&s);
}

static void
reads_every_kind_of_setting(void **state)
{
	struct settings s;

	load(*state,
	    "socket = \"/s\" socket_mode = \"0600\" upsert = true\n"
	    "log_level = \"debug\" io_threads = 3 default_level = \"hsm\"\n"
	    "limits { message = 1048576 idle_s = 60 }\n"
	    "hsm { uri = \"pkcs11:token=t\" pin = \"env:PIN\" }\n"
	    "audit { sync = \"every\" checkpoint_lines = 7 }\n",
	    &s);
	assert_string_equal(s.transport.socket, "/s");
	assert_int_equal(s.transport.socket_mode, 0600);
	assert_true(s.upsert);
	assert_int_equal(s.log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(s.transport.io_threads, 3);
	assert_string_equal(s.default_level, "hsm");
	assert_int_equal(s.transport.limits.message, 1048576);
	assert_int_equal(s.transport.limits.idle_s, 60);
	assert_string_equal(s.hsm.uri, "pkcs11:token=t");
	assert_string_equal(s.hsm.pin_source, "env:PIN");
	assert_true(s.audit.sync_every);
	assert_int_equal(s.audit.checkpoint_lines, 7);
	settings_free(&s);
}

static void
reads_the_json_form(void **state)
{
	struct settings s;

	load(*state, "{\"socket\": \"/s\", \"limits\": {\"queue\": 5}}", &s);
	assert_string_equal(s.transport.socket, "/s");
	assert_int_equal(s.transport.limits.queue, 5);
	settings_free(&s);
}

static void
takes_relative_paths_from_the_folder_of_the_file(void **state)
{
	const struct fixture *f = *state;
	struct settings s;
	char expected[128];

	load(f,
	    "socket = \"keyd.sock\" events = \"ipc://events.sock\"\n"
	    "policy_dir = \"policy.d\" hsm { pin = \"file:pin\" }",
	    &s);
	(void)snprintf(expected, sizeof(expected), "%s/keyd.sock", f->dir);
	assert_string_equal(s.transport.socket, expected);
	(void)snprintf(
	    expected, sizeof(expected), "ipc://%s/events.sock", f->dir);
	assert_string_equal(s.events, expected);
	(void)snprintf(expected, sizeof(expected), "%s/policy.d", f->dir);
	assert_string_equal(s.policy_dir, expected);
	(void)snprintf(expected, sizeof(expected), "file:%s/pin", f->dir);
	assert_string_equal(s.hsm.pin_source, expected);
	settings_free(&s);
}

static void
takes_empty_for_none_where_that_makes_sense(void **state)
{
	struct settings s;

	load(*state, "socket = \"\" events = \"\"", &s);
	assert_null(s.transport.socket);
	assert_null(s.events);
	settings_free(&s);
	expect_refused(state, "state_dir = \"\"", ":1: state_dir: may not be");
	expect_refused(state, "hsm { uri = \"\" }", "hsm.uri: may not be");
}

static void
reads_named_listeners_in_order(void **state)
{
	const struct fixture *f = *state;
	struct settings s;
	char expected[128];

	load(f,
	    "listener \"a\" { address = \"[::1]:1\" certificate = \"c\"\n"
	    "key = \"/k\" client_ca = \"/ca\" }\n"
	    "listener \"b\" { address = \"127.0.0.1:2\" certificate = \"/c\"\n"
	    "key = \"/k\" client_ca = \"/ca\" allow_tls12 = true }",
	    &s);
	assert_int_equal(s.transport.tls_count, 2);
	assert_string_equal(s.transport.tls[0].address, "[::1]:1");
	(void)snprintf(expected, sizeof(expected), "%s/c", f->dir);
	assert_string_equal(s.transport.tls[0].certificate, expected);
	assert_false(s.transport.tls[0].allow_tls12);
	assert_string_equal(s.transport.tls[1].address, "127.0.0.1:2");
	assert_true(s.transport.tls[1].allow_tls12);
	settings_free(&s);
}

static void
reads_several_hsms_in_order(void **state)
{
	struct settings s;

	load(*state, "", &s);
	assert_int_equal(s.hsm_count, 1);
	assert_string_equal(s.hsms[0].name, "hsm");
	assert_string_equal(s.hsms[0].hsm.uri, s.hsm.uri);
	assert_int_equal(s.hsm_return_seconds, 30);
	settings_free(&s);
	load(*state,
	    "hsm \"left\" { uri = \"pkcs11:token=a\" deadline_ms = 100 }\n"
	    "hsm_return_seconds = 5\n"
	    "hsm \"right\" { uri = \"pkcs11:token=b\" pin = \"env:B\" }\n",
	    &s);
	assert_int_equal(s.hsm_count, 2);
	assert_int_equal(s.hsm_return_seconds, 5);
	assert_string_equal(s.hsms[0].name, "left");
	assert_string_equal(s.hsms[0].hsm.uri, "pkcs11:token=a");
	assert_string_equal(s.hsms[0].hsm.pin_source, "cred:hsm-pin");
	assert_int_equal(s.hsms[0].hsm.deadline_ms, 100);
	assert_string_equal(s.hsm.uri, "pkcs11:token=a");
	/* What stands in one block is not the default of the next. */
	assert_string_equal(s.hsms[1].name, "right");
	assert_string_equal(s.hsms[1].hsm.pin_source, "env:B");
	assert_int_equal(s.hsms[1].hsm.deadline_ms, 5000);
	settings_free(&s);
}

static void
refuses_hsms_that_it_cannot_tell_apart(void **state)
{
	expect_refused(state, "hsm \"a\" { pin = \"env:X\" }", "needs \"uri\"");
	expect_refused(
	    state, "hsm \"a b\" { uri = \"pkcs11:token=a\" }", "has a name");
	expect_refused(state,
	    "hsm \"a23456789012345678901234567890123\" "
	    "{ uri = \"pkcs11:token=a\" }",
	    "has a name");
	expect_refused(state,
	    "hsm \"a\" { uri = \"pkcs11:token=a\" }\n"
	    "hsm \"a\" { uri = \"pkcs11:token=b\" }",
	    "there already");
	expect_refused(state,
	    "hsm { uri = \"pkcs11:token=a\" }\n"
	    "hsm \"b\" { uri = \"pkcs11:token=b\" }",
	    "hsm");
	expect_refused(state,
	    "hsm \"a\" { uri = \"pkcs11:token=1\" }\n"
	    "hsm \"b\" { uri = \"pkcs11:token=2\" }\n"
	    "hsm \"c\" { uri = \"pkcs11:token=3\" }\n"
	    "hsm \"d\" { uri = \"pkcs11:token=4\" }\n"
	    "hsm \"e\" { uri = \"pkcs11:token=5\" }\n",
	    "more than 4");
	expect_refused(state, "hsm \"a\" { uri = \"pkcs11:a\" colour = 1 }",
	    "unknown setting \"colour\"");
}

static void
refuses_half_a_listener(void **state)
{
	expect_refused(state, "\nlistener \"a\" { address = \"x:1\" }",
	    ":2: the listener \"a\" needs \"certificate\"");
	expect_refused(
	    state, "listener { address = \"x:1\" }", "a listener has a name");
	expect_refused(state,
	    "listener \"a\" { address = \"x\" "
	    "certificate = \"c\" key = \"k\" client_ca = \"a\" x = 1 }",
	    "unknown setting \"x\" in a listener");
	expect_refused(state,
	    "listener \"a\" { address = \"x\" "
	    "certificate = \"c\" key = \"k\" client_ca = \"a\" }\n"
	    "listener \"a\" { }",
	    ":2: the listener \"a\" is there already");
}

static void
refuses_what_it_does_not_know(void **state)
{
	expect_refused(
	    state, "\n\nsokcet = \"/s\"", ":3: unknown setting \"sokcet\"");
	expect_refused(state, "limits { x = 1 }",
	    "unknown setting \"x\" in the block limits");
	expect_refused(
	    state, "limit { message = 1 }", "unknown setting \"limit\"");
	expect_refused(state, "checkpoint_lines = 5",
	    "\"checkpoint_lines\" belongs into the block audit");
	expect_refused(state, "audit { workers = 5 }",
	    "\"workers\" belongs outside of all blocks");
}

static void
refuses_the_wrong_kind(void **state)
{
	expect_refused(
	    state, "socket = 1", "socket: a string expected, got a number");
	expect_refused(state, "upsert = \"yes\"",
	    "upsert: a true or false expected, got a string");
	expect_refused(state, "io_threads = \"1\"", "a number expected");
	expect_refused(state, "io_threads = 1.5", "a whole number expected");
	expect_refused(state, "limits = 1", "limits: a block expected");
	expect_refused(state, "audit { sync = true }",
	    ":1: audit.sync: a string expected, got a true or false");
	expect_refused(state, "socket { }", "a string expected, got a block");
}

static void
refuses_what_is_out_of_bounds(void **state)
{
	expect_refused(state, "limits {\n message = 1 }",
	    ":2: limits.message: 1 is not between 65536 and 268435456");
	expect_refused(state, "io_threads = -1", "not between 0 and 64");
	expect_refused(state, "socket_mode = \"0999\"", "permissions such as");
	expect_refused(state, "socket_mode = \"7777\"", "permissions such as");
	expect_refused(state, "log_level = \"loud\"",
	    "one of error|warning|info|debug expected, got \"loud\"");
	expect_refused(state, "default_level = \"software\"",
	    "one of wrapped|hsm expected");
	expect_refused(state, "hsm { process = \"elsewhere\" }",
	    ":1: hsm.process: one of worker|inside expected");
	expect_refused(state, "events = \"tcp://0.0.0.0:1\"", "ipc:// and a");
}

static void
refuses_a_socket_path_that_the_kernel_cannot_hold(void **state)
{
	char text[256];

	(void)snprintf(text, sizeof(text), "socket = \"/%0120d\"", 0);
	expect_refused(state, text, "at most 107 characters");
}

static void
refuses_a_path_that_is_too_long(void **state)
{
	char text[5000];

	(void)snprintf(text, sizeof(text), "state_dir = \"/%04200d\"", 0);
	expect_refused(
	    state, text, "state_dir: a path has at most 4095 characters");
	(void)snprintf(
	    text, sizeof(text), "hsm { pin = \"file:/%04200d\" }", 0);
	expect_refused(
	    state, text, "hsm.pin: a path has at most 4095 characters");
}

static void
refuses_a_pin_in_the_file_without_repeating_it(void **state)
{
	const struct fixture *f = *state;
	struct settings s;
	struct hf_why why;

	expect_refused(state, "hsm { pin = \"s3cr3t\" }", "file:PATH, env:");
	expect_refused(state,
	    "hsm { uri = \"pkcs11:token=t?pin-value=s3cr3t\" }",
	    "no place in the URI");
	expect_refused(state, "hsm { uri = \"token=t\" }", "pkcs11:token=");
	put(f, "hsm { pin = \"s3cr3t\" }");
	assert_int_equal(settings_load(f->file, &s, &why), HF_ERR_BAD_SETTINGS);
	assert_null(strstr(why.text, "s3cr3t"));
}

static void
refuses_a_block_given_twice(void **state)
{
	expect_refused(state, "hsm { sessions = 1 }\nhsm { sessions = 2 }",
	    ":2: the block hsm is there already, on line 1");
	expect_refused(state, "socket = \"/a\"\nsocket = \"/b\"",
	    ":2: \"socket\" is given twice");
}

static void
prints_a_file_that_says_what_an_empty_one_says(void **state)
{
	const struct fixture *f = *state;
	struct settings printed, empty;
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	settings_print_defaults(out);
	assert_int_equal(fclose(out), 0);
	load(f, text, &printed);
	load(f, "", &empty);
	assert_int_equal(printed.owned_count, 2 * empty.owned_count - 1);
	for (size_t i = 1; i < empty.owned_count; i++)
		assert_string_equal(
		    printed.owned[empty.owned_count + i - 1], empty.owned[i]);
	assert_memory_equal(&printed.transport.limits, &empty.transport.limits,
	    sizeof(empty.transport.limits));
	assert_int_equal(
	    printed.audit.checkpoint_seconds, empty.audit.checkpoint_seconds);
	for (const char *l = text; l != NULL; l = strchr(l + 1, '\n'))
		assert_true(strcspn(l + 1, "\n") <= 80);
	settings_free(&printed);
	settings_free(&empty);
	free(text);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(gives_the_defaults_for_an_empty_file),
		T(reads_every_kind_of_setting),
		T(reads_the_json_form),
		T(takes_relative_paths_from_the_folder_of_the_file),
		T(takes_empty_for_none_where_that_makes_sense),
		T(reads_named_listeners_in_order),
		T(reads_several_hsms_in_order),
		T(refuses_hsms_that_it_cannot_tell_apart),
		T(refuses_half_a_listener),
		T(refuses_what_it_does_not_know),
		T(refuses_the_wrong_kind),
		T(refuses_what_is_out_of_bounds),
		T(refuses_a_socket_path_that_the_kernel_cannot_hold),
		T(refuses_a_path_that_is_too_long),
		T(refuses_a_pin_in_the_file_without_repeating_it),
		T(refuses_a_block_given_twice),
		T(prints_a_file_that_says_what_an_empty_one_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
