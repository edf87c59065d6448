/* SPDX-License-Identifier: Apache-2.0 */
#include "../../lib/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct address a;
static struct hf_why why;

static void
takes_a_path_with_and_without_scheme(void **state)
{
	(void)state;
	assert_int_equal(address_parse("/run/keyd.sock", &a, &why), HF_OK);
	assert_int_equal(a.kind, ADDRESS_UNIX);
	assert_string_equal(a.path, "/run/keyd.sock");
	assert_string_equal(a.text, "/run/keyd.sock");
	assert_int_equal(
	    address_parse("ipc:///run/keyd.sock", &a, &why), HF_OK);
	assert_string_equal(a.path, "/run/keyd.sock");
	assert_int_equal(address_parse("run/x://y", &a, &why), HF_OK);
	assert_int_equal(a.kind, ADDRESS_UNIX);
}

static void
takes_paths_of_a_socket_address_only(void **state)
{
	char path[ADDRESS_PATH + 2];

	(void)state;
	memset(path, 'x', sizeof(path));
	path[ADDRESS_PATH] = '\0';
	assert_int_equal(address_parse(path, &a, &why), HF_OK);
	path[ADDRESS_PATH] = 'x';
	path[ADDRESS_PATH + 1] = '\0';
	assert_int_equal(address_parse(path, &a, &why), HF_ERR_BAD_SETTINGS);
	assert_int_equal(address_parse("", &a, NULL), HF_ERR_BAD_SETTINGS);
	assert_int_equal(
	    address_parse("ipc://", &a, NULL), HF_ERR_BAD_SETTINGS);
}

static void
takes_host_and_port(const char *text, const char *host, const char *port)
{
	if (address_parse(text, &a, &why) != HF_OK)
		fail_msg("%s", why.text);
	assert_int_equal(a.kind, ADDRESS_TLS);
	assert_string_equal(a.host, host);
	assert_string_equal(a.port, port);
	assert_string_equal(a.text, text);
}

static void
takes_names_and_addresses(void **state)
{
	char longest[64 + ADDRESS_HOST];

	(void)state;
	takes_host_and_port(
	    "tls+tcp://keys.example:7655", "keys.example", "7655");
	takes_host_and_port("tls+tcp://192.0.2.7:1", "192.0.2.7", "1");
	takes_host_and_port("tls+tcp://[::1]:65535", "::1", "65535");
	memset(longest, 'a', sizeof(longest));
	memcpy(longest, "tls+tcp://", 10);
	memcpy(longest + 10 + ADDRESS_HOST, ":65535", 7);
	assert_int_equal(address_parse(longest, &a, &why), HF_OK);
	assert_int_equal(strlen(a.host), ADDRESS_HOST);
	memcpy(longest + 10 + ADDRESS_HOST, "a:65535", 8);
	assert_int_equal(address_parse(longest, &a, &why), HF_ERR_BAD_SETTINGS);
}

static void
refuses_what_is_no_host_and_port(void **state)
{
	static const char *const bad[] = { "tls+tcp://", "tls+tcp://host",
		"tls+tcp://host:", "tls+tcp://host:0", "tls+tcp://host:65536",
		"tls+tcp://host:7655/", "tls+tcp://host:07655 ",
		"tls+tcp://host:+1", "tls+tcp://:7655", "tls+tcp://::1:7655",
		"tls+tcp://[::1]7655", "tls+tcp://[::1:7655",
		"tls+tcp://[]:7655", "tls+tcp://[host]:7655",
		"tls+tcp://a b:7655", "tls+tcp://a@b:7655", "tls+tcp://-f:7655",
		"tls+tcp://a\nb:7655", "tls+tcp://host:999999" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		a.kind = ADDRESS_UNIX;
		if (address_parse(bad[i], &a, &why) != HF_ERR_BAD_SETTINGS)
			fail_msg("takes '%s'", bad[i]);
		assert_int_equal(a.kind, ADDRESS_UNIX);
		assert_non_null(strstr(why.text, "HOST:PORT"));
	}
}

/* Or "tcp://..." would be a file in the present folder. */
static void
refuses_other_schemes(void **state)
{
	static const char *const bad[] = { "tcp://host:7655", "http://host",
		"tls://host:7655", "TLS+TCP://host:7655", "unix:///run/x" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (address_parse(bad[i], &a, &why) != HF_ERR_BAD_SETTINGS)
			fail_msg("takes '%s'", bad[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_a_path_with_and_without_scheme),
		cmocka_unit_test(takes_paths_of_a_socket_address_only),
		cmocka_unit_test(takes_names_and_addresses),
		cmocka_unit_test(refuses_what_is_no_host_and_port),
		cmocka_unit_test(refuses_other_schemes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
