/* SPDX-License-Identifier: Apache-2.0 */
/* Rules about the encryption context, and templates in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../keyd/policy.h"
#include "../../keyd/policy_template.h"
#include "../../lib/bytes.h"
#include "../../lib/ops.h"

#define UPDATE "capabilities = [\"update\"] "

static char folder[32], file[64];
static struct policy_store *store;
static struct policy_grant *grant;
static struct hf_why why;

static char unit[256], exe[128] = "/usr/bin/x";
static struct identity caller_id;

/* Somebody in a unit; what the tests change is put back. */
static int
setup(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/policy.XXXXXX");
	assert_non_null(mkdtemp(folder));
	(void)snprintf(file, sizeof(file), "%s/p.hcl", folder);
	(void)snprintf(unit, sizeof(unit), "acme.service");
	caller_id = (struct identity){ .local = true,
		.uid = 0,
		.gid = 7,
		.pidfd = -1,
		.unit = unit,
		.exe = exe,
		.exe_trusted = true };
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	policy_grant_free(grant);
	policy_close(store);
	grant = NULL;
	store = NULL;
	(void)unlink(file);
	return rmdir(folder);
}

static void
write_rules(const char *rules)
{
	FILE *out = fopen(file, "w");

	assert_non_null(out);
	(void)fprintf(out,
	    "%s\nbind { subjects = [\"any:local\", \"cert:web1\"] }\n", rules);
	assert_int_equal(fclose(out), 0);
}

static void
identify(void)
{
	policy_grant_free(grant);
	grant = NULL;
	assert_int_equal(policy_grant_for(store, &caller_id, &grant), HF_OK);
}

static void
use(const char *rules)
{
	policy_grant_free(grant);
	grant = NULL;
	policy_close(store);
	store = NULL;
	write_rules(rules);
	if (policy_open(folder, &store, &why) != HF_OK)
		fail_msg("%s", why.text);
	identify();
}

static void
refuses_to_load(const char *rules, const char *text)
{
	struct policy_store *none;

	write_rules(rules);
	assert_int_equal(policy_open(folder, &none, &why), HF_ERR_BAD_POLICY);
	if (strstr(why.text, text) == NULL)
		fail_msg("%s", why.text);
}

static const char *
reason_for(unsigned caps, const struct policy_param *params, size_t count)
{
	struct policy_verdict v;

	return policy_check(grant, TEXT("k"), caps, params, count, &v)
	    ? "yes"
	    : v.reason;
}

/* With up to two pairs; NULL ends them. */
static const char *
asked(const char *n1, const char *v1, const char *n2, const char *v2)
{
	const struct policy_param params[] = {
		{ .name = "encryption_context", .value = TEXT("") },
		{ .pair = { text_of(n1), text_of(v1) } },
		{ .pair = { text_of(n2), text_of(v2) } },
	};

	return reason_for(HF_CAP_UPDATE, params,
	    n1 == NULL       ? 0
		: n2 == NULL ? 2
			     : 3);
}

static bool
may(const char *name, const char *value)
{
	return strcmp(asked(name, value, NULL, NULL), "yes") == 0;
}

#define MISSING "a name of the context is missing"
#define NOT_ALLOWED "a name or value of the context is not allowed"
#define DENIED "a value of the context is denied"

static void
required_names_must_be_there(void **state)
{
	(void)state;
	use("path \"k\" { " UPDATE
	    "required_context = [\"tenant\", \"purpose\"] }");
	assert_string_equal(asked("tenant", "a", "purpose", ""), "yes");
	assert_string_equal(asked("tenant", "a", NULL, NULL), MISSING);
	assert_string_equal(asked(NULL, NULL, NULL, NULL), MISSING);
	/* Names are as they are: unlike those of parameters. */
	assert_string_equal(asked("Tenant", "a", "purpose", ""), MISSING);
	assert_true(policy_wants_params(grant, TEXT("k")));
}

static void
a_parameter_of_that_name_is_no_pair(void **state)
{
	const struct policy_param param = { .name = "tenant",
		.value = TEXT("a") };

	(void)state;
	use("path \"k\" { " UPDATE "required_context = [\"tenant\"] }");
	assert_string_equal(reason_for(HF_CAP_UPDATE, &param, 1), MISSING);
	use("path \"k\" { " UPDATE "required_parameters = [\"tenant\"] }");
	assert_string_equal(asked("tenant", "a", NULL, NULL),
	    "a required parameter is missing");
}

static void
allowed_values_are_globs_at_their_ends(void **state)
{
	(void)state;
	use("path \"k\" { " UPDATE
	    "allowed_context = { tenant = [\"acme\", \"a-*\", \"*-z\", "
	    "\"*mid*\", \"x*y\"] } }");
	assert_true(may("tenant", "acme"));
	assert_true(may("tenant", "a-"));
	assert_true(may("tenant", "a-b"));
	assert_true(may("tenant", "q-z"));
	assert_true(may("tenant", "amidst"));
	assert_true(may("tenant", "x*y"));
	assert_false(may("tenant", "xzy"));
	assert_false(may("tenant", "acmes"));
	assert_false(may("tenant", "ACME"));
	assert_false(may("tenant", ""));
}

static void
a_name_with_values_must_be_there(void **state)
{
	(void)state;
	use("path \"k\" { " UPDATE
	    "allowed_context = { tenant = [\"acme\"], note = [] } }");
	assert_string_equal(asked(NULL, NULL, NULL, NULL), MISSING);
	assert_string_equal(asked("note", "x", NULL, NULL), MISSING);
	assert_string_equal(asked("tenant", "acme", NULL, NULL), "yes");
	assert_string_equal(asked("tenant", "acme", "note", "x"), "yes");
	assert_string_equal(asked("tenant", "acme", "other", "x"), NOT_ALLOWED);
	assert_string_equal(asked("tenant", "beta", "note", "x"), NOT_ALLOWED);
}

static void
a_star_lets_in_other_names(void **state)
{
	(void)state;
	use("path \"k\" { " UPDATE
	    "allowed_context = { tenant = [\"acme\"], \"*\" = [] } }");
	assert_string_equal(asked("tenant", "acme", "x", "y"), "yes");
	assert_string_equal(asked("tenant", "beta", "x", "y"), NOT_ALLOWED);
	assert_string_equal(asked("x", "y", NULL, NULL), MISSING);
	use("path \"k\" { " UPDATE "allowed_context = {} }");
	assert_string_equal(asked(NULL, NULL, NULL, NULL), "yes");
	assert_string_equal(asked("x", "y", NULL, NULL), NOT_ALLOWED);
}

static void
denied_values_win(void **state)
{
	(void)state;
	use("path \"k\" { " UPDATE "allowed_context = { tenant = [\"*\"] }\n"
	    "denied_context = { tenant = [\"root*\"] } }");
	assert_true(may("tenant", "acme"));
	assert_string_equal(asked("tenant", "root-1", NULL, NULL), DENIED);
	use("path \"k\" { " UPDATE "denied_context = { \"*\" = [] } }");
	assert_string_equal(asked("x", "y", NULL, NULL), DENIED);
	assert_string_equal(asked(NULL, NULL, NULL, NULL), "yes");
	use("path \"k\" { " UPDATE "denied_context = { \"*\" = [\"bad\"] } }");
	assert_string_equal(asked("x", "bad", NULL, NULL), DENIED);
	assert_true(may("x", "good"));
}

static void
rules_of_one_pattern_share_them(void **state)
{
	(void)state;
	use("path \"k\" { " UPDATE "allowed_context = { tenant = [\"a\"] } }\n"
	    "path \"k\" { " UPDATE "allowed_context = { tenant = [\"b\"] } }\n"
	    "path \"k\" { " UPDATE "}");
	assert_true(may("tenant", "a"));
	assert_true(may("tenant", "b"));
	assert_false(may("tenant", "c"));
	assert_string_equal(asked(NULL, NULL, NULL, NULL), MISSING);
	/* What an expired rule allows is gone; what it demands is not. */
	use("path \"k\" { " UPDATE "allowed_context = { tenant = [\"a\"] } "
	    "expiration = \"2001-01-01T00:00:00Z\" }\n"
	    "path \"k\" { " UPDATE "allowed_context = { tenant = [\"b\"] } }");
	assert_false(may("tenant", "a"));
	assert_true(may("tenant", "b"));
}

static void
only_what_is_done_with_a_key_asks_for_names(void **state)
{
	(void)state;
	use("path \"k\" { capabilities = [\"update\", \"delete\"] "
	    "required_context = [\"tenant\"] "
	    "denied_context = { \"*\" = [\"x\"] } }");
	assert_string_equal(reason_for(HF_CAP_DELETE, NULL, 0), "yes");
	assert_string_equal(reason_for(HF_CAP_UPDATE, NULL, 0), MISSING);
}

static void
the_verdict_names_the_rule(void **state)
{
	const struct policy_param param = { .pair = {
						TEXT("tenant"), TEXT("b") } };
	struct policy_verdict v;

	(void)state;
	use("path \"k\" { " UPDATE "}\n\n"
	    "path \"k\" { " UPDATE "allowed_context = { tenant = [\"a\"] } }");
	assert_false(
	    policy_check(grant, TEXT("k"), HF_CAP_UPDATE, &param, 1, &v));
	assert_string_equal(v.reason, NOT_ALLOWED);
	assert_string_equal(v.pattern, "k");
	assert_int_equal(v.line, 3);
}

/* -- Templates -- */

static void
templates_are_the_caller(void **state)
{
	(void)state;
	use("path \"k\" { " UPDATE
	    "allowed_context = { unit = [\"{{caller.unit}}\"] } }");
	assert_true(may("unit", "acme.service"));
	assert_false(may("unit", "other.service"));
	assert_false(may("unit", "{{caller.unit}}"));
	assert_true(policy_grant_pins_process(grant));
	use("path \"k\" { " UPDATE
	    "allowed_context = { x = [\"u{{ caller.uid }}-{{caller.gid}}.\", "
	    "\"{{caller.user}}\", \"{{caller.exe}}\", \"{{caller.cert}}\"] } }");
	assert_true(may("x", "u0-7."));
	assert_true(may("x", "root"));
	assert_true(may("x", "/usr/bin/x"));
	assert_false(may("x", ""));
	use("path \"k\" { " UPDATE
	    "allowed_context = { x = [\"{{caller.uid}}\"] } }");
	assert_false(policy_grant_pins_process(grant));
}

static void
what_is_not_known_allows_nothing_and_denies_all(void **state)
{
	(void)state;
	caller_id.unit = NULL;
	use("path \"k\" { " UPDATE
	    "allowed_context = { unit = [\"{{caller.unit}}*\", "
	    "\"*{{caller.unit}}\"] } }");
	assert_false(may("unit", ""));
	assert_false(may("unit", "acme.service"));
	use("path \"k\" { " UPDATE
	    "denied_context = { unit = [\"{{caller.unit}}\"] } }");
	assert_string_equal(asked("unit", "acme.service", NULL, NULL), DENIED);
	assert_string_equal(asked("unit", "", NULL, NULL), DENIED);
	assert_true(may("other", "x"));
	/* A file that others can write says nothing about the caller. */
	caller_id.exe_trusted = false;
	use("path \"k\" { " UPDATE
	    "allowed_context = { x = [\"{{caller.exe}}\"] } }");
	assert_false(may("x", "/usr/bin/x"));
}

static void
over_tls_only_the_certificate_is_known(void **state)
{
	char cert[] = "web1";

	(void)state;
	caller_id = (struct identity){ .cert = cert, .pidfd = -1 };
	use("path \"k\" { " UPDATE
	    "allowed_context = { x = [\"{{caller.cert}}\", \"{{caller.uid}}\", "
	    "\"{{caller.user}}\"] } }");
	assert_true(may("x", "web1"));
	assert_false(may("x", "0"));
	assert_false(may("x", "root"));
}

/* GHSA-59w7-v8rr-pr4p: what a peer is called must not become a pattern. */
static void
names_of_callers_are_never_patterns(void **state)
{
	static const char *const evil[] = { "*", "a*", "*a*", "+", "a/+/b",
		"../x", "{{caller.uid}}", "a\"b", "[]", "a,b", "**" };
	static const char *const values[] = { "a", "ab", "x", "aab", "b", "0",
		"a/x/b", "acme", "", "anything at all" };
	char cert[64];

	(void)state;
	for (size_t i = 0; i < sizeof(evil) / sizeof(evil[0]); i++) {
		(void)snprintf(unit, sizeof(unit), "%s", evil[i]);
		(void)snprintf(cert, sizeof(cert), "%s", evil[i]);
		use("path \"k\" { " UPDATE
		    "allowed_context = { x = [\"{{caller.unit}}\"] } }");
		assert_true(may("x", evil[i]));
		for (size_t k = 0; k < sizeof(values) / sizeof(values[0]); k++)
			assert_false(may("x", values[k]));
		use("path \"k\" { " UPDATE
		    "allowed_context = { x = [\"p-{{caller.unit}}-*\"] } }");
		assert_false(may("x", "p-abc-"));
		assert_false(may("x", "p-"));
	}
}

static void
a_fact_longer_than_a_value_matches_nothing(void **state)
{
	static char long_exe[3000];

	(void)state;
	memset(long_exe, 'a', sizeof(long_exe) - 1);
	caller_id.exe = long_exe;
	use("path \"k\" { " UPDATE
	    "allowed_context = { x = [\"{{caller.exe}}\", "
	    "\"*{{caller.exe}}*\"] } }");
	long_exe[1024] = '\0';
	assert_false(may("x", long_exe));
	identify();
	assert_true(may("x", long_exe));
}

/* -- Loading -- */

static void
what_is_not_understood_is_refused(void **state)
{
	(void)state;
	refuses_to_load("path \"k\" { " UPDATE "required_context = [\"\"] }",
	    "a name in a context takes 1 to 128 bytes");
	refuses_to_load("path \"k\" { " UPDATE "required_context = [1] }",
	    "a list of strings expected");
	refuses_to_load("path \"k\" { " UPDATE "required_context = \"a\" }",
	    "a list expected");
	refuses_to_load("path \"k\" { " UPDATE "allowed_context = [\"a\"] }",
	    "a block expected");
	refuses_to_load("path \"k\" { " UPDATE
			"allowed_context = { a = \"b\" } }",
	    "a list expected");
	refuses_to_load("path \"k\" { " UPDATE
			"allowed_context = { a = [1] } }",
	    "a list of strings expected");
	refuses_to_load("path \"k\" { " UPDATE
			"allowed_context = { \"*\" = [\"x\"] } }",
	    "stands for the other names");
	refuses_to_load("path \"k\" { " UPDATE
			"required_context = [\"a\"] required_context = [] }",
	    "");
}

static void
unknown_templates_are_refused(void **state)
{
	static const char *const bad[] = { "{{caller.nobody}}", "{{caller}}",
		"{{caller.}}", "{{caller.unit}", "{{caller.unit", "{{}}", "{{",
		"{{identity.entity.name}}", "{{ unit }}", "x{{caller.Unit}}",
		"{{caller.uid}}{{" };
	char rules[256];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		(void)snprintf(rules, sizeof(rules),
		    "path \"k\" { " UPDATE
		    "allowed_context = { a = [\"%s\"] } }",
		    bad[i]);
		refuses_to_load(rules, "templates are");
		(void)snprintf(rules, sizeof(rules),
		    "path \"k\" { " UPDATE
		    "denied_context = { a = [\"%s\"] } }",
		    bad[i]);
		refuses_to_load(rules, "templates are");
	}
}

/* Where nothing fills them they would match nothing, or worse. */
static void
templates_stand_in_contexts_only(void **state)
{
	(void)state;
	refuses_to_load("path \"k/{{caller.unit}}\" { " UPDATE "}",
	    "are for allowed_context");
	refuses_to_load("path \"k/{{ caller.unit }}\" { " UPDATE "}",
	    "are for allowed_context");
	refuses_to_load(
	    "path \"k/{{caller.unit}}\" { capabilities = [\"deny\"] }",
	    "are for allowed_context");
	refuses_to_load("path \"k\" { " UPDATE
			"allowed_parameters = { a = [\"{{caller.unit}}\"] } }",
	    "are for allowed_context");
	refuses_to_load("path \"k\" { " UPDATE
			"denied_parameters = { a = [\"{{caller.unit}}\"] } }",
	    "are for allowed_context");
	/* Vault's are another matter. */
	use("path \"k/{{identity.entity.name}}\" { " UPDATE "}\n"
	    "path \"k\" { " UPDATE "}");
	assert_true(may("a", "b"));
}

#define ONE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ONE(required_names_must_be_there),
		ONE(a_parameter_of_that_name_is_no_pair),
		ONE(allowed_values_are_globs_at_their_ends),
		ONE(a_name_with_values_must_be_there),
		ONE(a_star_lets_in_other_names),
		ONE(denied_values_win),
		ONE(rules_of_one_pattern_share_them),
		ONE(only_what_is_done_with_a_key_asks_for_names),
		ONE(the_verdict_names_the_rule),
		ONE(templates_are_the_caller),
		ONE(what_is_not_known_allows_nothing_and_denies_all),
		ONE(over_tls_only_the_certificate_is_known),
		ONE(names_of_callers_are_never_patterns),
		ONE(a_fact_longer_than_a_value_matches_nothing),
		ONE(what_is_not_understood_is_refused),
		ONE(unknown_templates_are_refused),
		ONE(templates_stand_in_contexts_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
