/* SPDX-License-Identifier: Apache-2.0 */
#include "policy_fixture.h"

/* What a rule says besides its path and capabilities. */

/* -- Parameters -- */

static void
allows_only_the_parameters_and_values_of_the_list(void **state)
{
	use(state,
	    BIND "path \"a\" { capabilities = [\"update\"]\n"
		 "allowed_parameters = { key_version = [1, \"2\", true]\n"
		 "Hash = [\"sha2-*\", \"*-md5\", \"*x*\"] any = [] } }");
	assert_true(may_with(state, "a", "key_version", "1"));
	assert_true(may_with(state, "a", "key_version", "2"));
	assert_true(may_with(state, "a", "key_version", "true"));
	assert_false(may_with(state, "a", "key_version", "3"));
	assert_true(may_with(state, "a", "hash", "sha2-256"));
	assert_true(may_with(state, "a", "HASH", "hmac-md5"));
	assert_true(may_with(state, "a", "hash", "axb"));
	assert_false(may_with(state, "a", "hash", "sha1"));
	assert_true(may_with(state, "a", "any", "thing"));
	assert_false(may_with(state, "a", "other", "1"));
	assert_true(may(state, "a", U));
}

static void
allows_other_parameters_by_a_star(void **state)
{
	use(state,
	    BIND "path \"a\" { capabilities = [\"update\"]\n"
		 "allowed_parameters = { v = [\"1\"] \"*\" = [] } }\n"
		 "path \"b\" { capabilities = [\"update\"]\n"
		 "allowed_parameters = { } }");
	assert_true(may_with(state, "a", "other", "x"));
	assert_true(may_with(state, "a", "v", "1"));
	assert_false(may_with(state, "a", "v", "2"));
	assert_true(may_with(state, "b", "v", "2"));
}

static void
denies_parameters_and_values_even_when_allowed(void **state)
{
	use(state,
	    BIND "path \"a\" { capabilities = [\"update\"]\n"
		 "allowed_parameters = { \"*\" = [] }\n"
		 "denied_parameters = { p = [] v = [\"bad*\"] w = [\"*\"] } }\n"
		 "path \"b\" { capabilities = [\"update\"]\n"
		 "denied_parameters = { \"*\" = [] } }");
	assert_false(may_with(state, "a", "p", "x"));
	assert_false(may_with(state, "a", "v", "bad1"));
	assert_true(may_with(state, "a", "v", "good"));
	assert_false(may_with(state, "a", "W", "anything"));
	assert_false(may_with(state, "b", "x", "y"));
	assert_true(may(state, "b", U));
}

static void
checks_denied_parameters_for_deletes_too(void **state)
{
	struct fixture *f = *state;
	const struct policy_param with = { .name = "with_keys",
		.value = TEXT("true") };

	use(state,
	    BIND "path \"a\" { capabilities = [\"delete\"]\n"
		 "denied_parameters = { with_keys = [true] }\n"
		 "required_parameters = [\"reason\"] }");
	assert_false(policy_check(f->grant, TEXT("a"), D, &with, 1, NULL));
	assert_true(may(state, "a", D)); /* required_ not, as in Vault */
}

static void
requires_parameters(void **state)
{
	struct fixture *f = *state;
	struct policy_verdict v;
	const struct policy_param both[] = { { .name = "one",
						 .value = TEXT("1") },
		{ .name = "TWO", .value = TEXT("2") } };

	use(state,
	    BIND "path \"a\" { capabilities = [\"update\"]\n"
		 "required_parameters = [\"One\", \"two\"] }");
	assert_true(policy_check(f->grant, TEXT("a"), U, both, 2, &v));
	assert_false(policy_check(f->grant, TEXT("a"), U, both, 1, &v));
	assert_string_equal(v.reason, "a required parameter is missing");
	assert_false(may(state, "a", U));
}

static void
checks_every_item_of_a_repeated_parameter(void **state)
{
	struct fixture *f = *state;
	const struct policy_param items[] = { { .name = "v",
						  .value = TEXT("1") },
		{ .name = "v", .value = TEXT("2") } };

	use(state,
	    BIND "path \"a\" { capabilities = [\"update\"]\n"
		 "allowed_parameters = { v = [\"1\"] } }");
	assert_true(policy_check(f->grant, TEXT("a"), U, items, 1, NULL));
	assert_false(policy_check(f->grant, TEXT("a"), U, items, 2, NULL));
}

static void
merges_parameter_rules_of_the_same_pattern(void **state)
{
	struct fixture *f = *state;

	put(f, "a.hcl",
	    BIND "path \"k\" { capabilities = [\"update\"]\n"
		 "allowed_parameters = { v = [\"1\"] } }");
	put(f, "b.hcl",
	    BIND "path \"k\" { capabilities = [\"read\"]\n"
		 "allowed_parameters = { v = [\"2\"] }\n"
		 "denied_parameters = { v = [\"3\"] } }");
	start(f);
	assert_true(may_with(state, "k", "v", "1"));
	assert_true(may_with(state, "k", "v", "2"));
	assert_false(may_with(state, "k", "v", "3"));
	assert_false(may_with(state, "k", "w", "1"));
}

static void
tells_where_parameters_matter(void **state)
{
	struct fixture *f = *state;

	use(state,
	    BIND PATH("a",
		"\"update\"") "path \"b/*\" { capabilities = [\"update\"]\n"
			      "required_parameters = [\"x\"] }");
	assert_false(policy_wants_params(f->grant, TEXT("a")));
	assert_true(policy_wants_params(f->grant, TEXT("b/c")));
	assert_false(policy_wants_params(f->grant, TEXT("c")));
}

/* "a/" as a list is also "a"; each question sees the rules it should. */
static void
one_look_answers_several_questions(void **state)
{
	struct fixture *f = *state;
	struct policy_look look;

	use(state,
	    BIND PATH("a", "\"list\"") PATH("a/*", "\"update\"")
		PATH("b/c", "\"read\""));
	look = policy_look(f->grant, TEXT("a/"));
	assert_true(policy_look_check(&look, HF_CAP_LIST, NULL, 0, NULL));
	assert_true(policy_look_check(&look, U, NULL, 0, NULL));
	assert_false(policy_look_check(&look, R, NULL, 0, NULL));
	look = policy_look(f->grant, TEXT("b/c"));
	assert_true(policy_look_check(&look, R, NULL, 0, NULL));
	assert_false(policy_look_check(&look, HF_CAP_LIST, NULL, 0, NULL));
	assert_false(policy_look_wants_params(&look));
	assert_false(policy_look_demands_hsm(&look));
	look = policy_look(f->grant, TEXT("b/../b/c"));
	assert_false(policy_look_check(&look, R, NULL, 0, NULL));
}

/* -- The other keys of a path block -- */

static void
honours_the_words_of_old_policies(void **state)
{
	struct fixture *f = *state;

	use(state,
	    BIND "path \"r\" { policy = \"read\" }\n"
		 "path \"w\" { policy = \"write\" }\n"
		 "path \"s\" { policy = \"sudo\" }\n"
		 "path \"d\" { policy = \"deny\" capabilities = [\"read\"] }\n"
		 "path \"m\" { policy = \"read\" capabilities = [\"sudo\"] }");
	assert_int_equal(policy_caps(f->grant, TEXT("r")), R | L);
	assert_int_equal(policy_caps(f->grant, TEXT("w")), C | R | U | D | L);
	assert_int_equal(
	    policy_caps(f->grant, TEXT("s")), C | R | U | D | L | S);
	assert_int_equal(policy_caps(f->grant, TEXT("d")), HF_CAP_DENY);
	assert_int_equal(policy_caps(f->grant, TEXT("m")), R | L | S);
}

static void
grants_nothing_by_an_expired_rule_but_keeps_what_it_forbids(void **state)
{
	struct fixture *f = *state;
	struct policy_verdict v;

	/* clang-format off */
	use(state, BIND PATH("*", "\"read\", \"update\"")
	    "path \"old\" { capabilities = [\"read\"]\n"
	    "expiration = \"2001-01-01T00:00:00Z\" }\n"
	    "path \"num\" { capabilities = [\"read\"] expiration = 1 }\n"
	    "path \"new\" { capabilities = [\"read\"]\n"
	    "expiration = \"2999-01-01T00:00:00.5+02:00\" }\n"
	    "path \"west\" { capabilities = [\"read\"]\n"
	    "expiration = \"1970-01-01T00:00:00-23:59\" }\n"
	    "path \"deny\" { capabilities = [\"deny\"] expiration = 1 }\n"
	    "path \"mix\" { capabilities = [\"update\"] expiration = 1\n"
	    "allowed_parameters = { v = [\"1\"] } }\n"
	    "path \"mix\" { capabilities = [\"update\"]\n"
	    "allowed_parameters = { \"*\" = [] } }\n");
	/* clang-format on */
	assert_false(policy_check(f->grant, TEXT("old"), R, NULL, 0, &v));
	assert_string_equal(v.reason, "the rule has expired");
	assert_false(may(state, "num", R));
	assert_true(may(state, "new", R));
	assert_false(may(state, "west", R));
	assert_false(may(state, "deny", R));
	assert_false(may_with(state, "mix", "v", "1"));
	assert_false(may_with(state, "mix", "v", "2"));
	assert_true(may_with(state, "mix", "w", "2"));
}

static void
refuses_by_a_rule_that_asks_for_wrapping(void **state)
{
	struct fixture *f = *state;
	struct policy_verdict v;

	use(state,
	    BIND "path \"a\" { capabilities = [\"read\"]\n"
		 "min_wrapping_ttl = \"300s\" max_wrapping_ttl = 3600 }\n"
		 "path \"b\" { capabilities = [\"read\"] max_wrapping_ttl = 0\n"
		 "min_wrapping_ttl = \"0h\" }");
	assert_false(policy_check(f->grant, TEXT("a"), R, NULL, 0, &v));
	assert_non_null(strstr(v.reason, "wrapping"));
	assert_true(may(state, "b", R));
}

/* CK9: levels that policy demands. */
static void
demands_the_level_of_the_deciding_pattern(void **state)
{
	struct fixture *f = *state;

	use(state,
	    BIND "path \"a/*\" { capabilities = [\"update\"]\n"
		 "min_level = \"hsm\" }\n" PATH("a/b",
		     "\"update\"") "path \"c\" { capabilities = [\"update\"]\n"
				   "min_level = \"wrapped\" }\n");
	assert_true(policy_demands_hsm(f->grant, TEXT("a/x")));
	assert_false(policy_demands_hsm(f->grant, TEXT("a/b")));
	assert_false(policy_demands_hsm(f->grant, TEXT("c")));
	assert_false(policy_demands_hsm(f->grant, TEXT("d")));
}

static void
refuses_what_would_allow_more_when_ignored(void **state)
{
	expect_refused(state, "path \"a\" {\n mfa_methods = [\"x\"] }",
	    "p.hcl:2: mfa_methods: second factors");
	expect_refused(state, "path \"a\" { control_group = {} }",
	    "control_group: approval");
	expect_refused(
	    state, "path \"a\" { pagination_limit = 5 }", "pagination_limit: ");
	expect_refused(state,
	    "path \"a/{{identity.entity.id}}\" { capabilities = [\"deny\"] }",
	    "a template cannot deny");
}

/* GHSA-59w7-v8rr-pr4p. */
static void
templates_name_no_path_as_nobody_has_a_vault_entity(void **state)
{
	struct fixture *f = *state;

	use(state,
	    BIND "path \"a/{{identity.entity.id}}/*\" "
		 "{ capabilities = [\"read\"] }\n" PATH("b", "\"read\""));
	assert_false(policy_check(f->grant, TEXT("a/{{identity.entity.id}}/x"),
	    HF_CAP_READ, NULL, 0, NULL));
	assert_true(
	    policy_check(f->grant, TEXT("b"), HF_CAP_READ, NULL, 0, NULL));
}

static void
refuses_what_it_does_not_understand(void **state)
{
	expect_refused(state, "\n\npath \"a\" { capabilities = [\"raed\"] }",
	    "p.hcl:3: unknown capability \"raed\"");
	expect_refused(state, PATH("a", "\"READ\""), "unknown capability");
	expect_refused(state, "path \"a\" { capabilites = [] }",
	    "a path block has no member \"capabilites\"");
	expect_refused(state, "path \"a\" { capabilities = \"read\" }",
	    "capabilities: a list expected, got a string");
	expect_refused(state, "path \"a\" { policy = \"rw\" }",
	    "one of deny, read, write, sudo expected");
	expect_refused(state, PATH("a/*/b", ""), "\"*\" stands only at");
	expect_refused(state, PATH("a/+*", ""), "\"+*\" is not allowed");
	expect_refused(state, PATH("", ""), "a path of 1 to 1024 bytes");
	expect_refused(state, "path \"a\" { expiration = \"soon\" }",
	    "expiration: a time such as");
	expect_refused(state,
	    "path \"a\" { expiration = \"2999-01-01T00:00:00+24:00\" }",
	    "expiration: a time such as");
	expect_refused(state,
	    "path \"a\" { expiration = \"2999-01-01T00:00:00+1: 0\" }",
	    "expiration: a time such as");
	expect_refused(state,
	    "path \"a\" { expiration = \"2999-01-01T00:00:00\" }",
	    "expiration: a time such as");
	expect_refused(state, "path \"a\" { min_level = \"software\" }",
	    "\"hsm\" or \"wrapped\" expected");
	expect_refused(state, "path \"a\" { allowed_parameters = { x = 1 } }",
	    "x: a list expected");
	expect_refused(state, "path \"a\" { allowed_parameters { x = [[]] } }",
	    "not supported");
	expect_refused(state,
	    "path \"a\" { denied_parameters { } "
	    "denied_parameters { } }",
	    "denied_parameters is given twice");
	expect_refused(state, "path \"a\" { min_wrapping_ttl = \"x\" }",
	    "a duration such as");
	expect_refused(state, "paths \"a\" { }", "\"paths\" is not known");
	expect_refused(state, "path = 1", "a block expected");
	expect_refused(state, "path \"a\" {", "p.hcl:1: '}' expected");
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(allows_only_the_parameters_and_values_of_the_list),
		T(allows_other_parameters_by_a_star),
		T(denies_parameters_and_values_even_when_allowed),
		T(checks_denied_parameters_for_deletes_too),
		T(requires_parameters),
		T(checks_every_item_of_a_repeated_parameter),
		T(merges_parameter_rules_of_the_same_pattern),
		T(tells_where_parameters_matter),
		T(one_look_answers_several_questions),
		T(honours_the_words_of_old_policies),
		T(grants_nothing_by_an_expired_rule_but_keeps_what_it_forbids),
		T(refuses_by_a_rule_that_asks_for_wrapping),
		T(demands_the_level_of_the_deciding_pattern),
		T(refuses_what_would_allow_more_when_ignored),
		T(templates_name_no_path_as_nobody_has_a_vault_entity),
		T(refuses_what_it_does_not_understand),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
