/* SPDX-License-Identifier: Apache-2.0 */
#include "policy_fixture.h"

/* Policies as files: who is bound to them, what is refused, reloading. */

/* -- Binds -- */

static void
binds_other_policies_by_name(void **state)
{
	struct fixture *f = *state;

	put(f, "reader.hcl", PATH("a", "\"read\""));
	put(f, "zz.json",
	    "{\"bind\": [{\"policies\": [\"reader\"], "
	    "\"subjects\": [\"uid:77\", \"uid:1000\"]}]}");
	start(f);
	assert_true(may(state, "a", R));
}

static void
applies_a_bind_only_with_all_that_it_requires(void **state)
{
	char exe[] = "/usr/sbin/no-such-daemon";
	struct identity id = { .local = true,
		.uid = 1000,
		.exe = exe,
		.exe_trusted = true,
		.pidfd = -1 };
	struct fixture *f = *state;
	struct policy_grant *grant;

	use(state,
	    "bind { subjects = [\"exe:/usr/sbin/no-such-daemon\"]\n"
	    "require = [\"uid:1000\", \"any:local\"] }\n" PATH(
		"a", "\"read\""));
	assert_false(may(state, "a", R)); /* alice runs something else */
	assert_int_equal(policy_grant_for(f->ps, &id, &grant), HF_OK);
	assert_true(policy_check(grant, TEXT("a"), R, NULL, 0, NULL));
	assert_true(policy_grant_pins_process(grant));
	policy_grant_free(grant);
	id.uid = 1001;
	assert_int_equal(policy_grant_for(f->ps, &id, &grant), HF_OK);
	assert_false(policy_check(grant, TEXT("a"), R, NULL, 0, NULL));
	assert_false(policy_grant_pins_process(grant));
	policy_grant_free(grant);
}

static void
pins_the_process_only_where_exe_or_unit_count(void **state)
{
	struct fixture *f = *state;
	char unit[] = "shop.service";
	struct identity id = {
		.local = true, .uid = 5, .unit = unit, .pidfd = -1
	};
	struct policy_grant *grant;

	use(state, BIND "bind { subjects = [\"unit:shop.service\"] }");
	assert_false(policy_grant_pins_process(f->grant));
	assert_int_equal(policy_grant_for(f->ps, &id, &grant), HF_OK);
	assert_true(policy_grant_pins_process(grant));
	policy_grant_free(grant);
}

static void
refuses_binds_that_make_no_sense(void **state)
{
	expect_refused(state, "bind { }", "needs subjects");
	expect_refused(state, "bind { subjects = [] }", "subjects is empty");
	expect_refused(state,
	    "\nbind {\n subjects = [\"uid:1\",\n"
	    "  \"user:no-such-user\"] }",
	    "p.hcl:4: there is no user \"no-such-user\"");
	expect_refused(state, "bind { subjects = [\"group:no-such-group\"] }",
	    "p.hcl:1: there is no group \"no-such-group\"");
	expect_refused(
	    state, "bind { subjects = [\"who\"] }", "a subject begins with");
	expect_refused(state, "bind { subjects = [1] }", "a list of strings");
	expect_refused(state,
	    "bind { subjects = [\"uid:1\"]\n"
	    "policies = [\"q\"] }",
	    "p.hcl:2: there is no policy \"q\"");
	expect_refused(state, "bind { subjects = [\"uid:1\"] policies = [] }",
	    "a list of names expected");
	expect_refused(state, "bind { subjects = [\"uid:1\"] require = [] }",
	    "require is empty");
	expect_refused(state, "bind \"x\" { subjects = [\"uid:1\"] }",
	    "a bind block has no member \"x\"");
}

static void
lets_root_do_everything_once_bound(void **state)
{
	struct fixture *f = *state;
	struct policy_verdict v;

	use(state,
	    "bind { policies = [\"root\"] subjects = [\"uid:1000\"] }\n" BIND
		PATH("a", "\"deny\""));
	assert_true(policy_check(f->grant, TEXT("a"), U | S, NULL, 0, &v));
	assert_string_equal(v.policy, "root");
	assert_true(may(state, "b/c", L));
	assert_false(may(state, "b/../c", R));
	assert_false(policy_wants_params(f->grant, TEXT("a")));
}

/* -- Names and files -- */

/* CVE-2025-5999, CVE-2025-64761. */
static void
takes_names_as_they_are_and_refuses_look_alikes(void **state)
{
	struct fixture *f = *state;

	put(f, "q.hcl", PATH("a", "\"read\""));
	expect_refused(state,
	    "bind { subjects = [\"uid:1\"]\n"
	    "policies = [\"Q\"] }",
	    "there is no policy \"Q\"");
	put(f, "Q.json", "{}");
	expect_refused(state, "", "there is a policy \"Q\" already");
	clear_folder(f);
	put(f, "Root.hcl", "");
	expect_refused(state, "", "the policy \"root\" is built in");
	clear_folder(f);
	put(f, "p.json", "{}");
	expect_refused(state, "", "there is a policy \"p\" already");
	clear_folder(f);
	put(f, "a b.hcl", "");
	expect_refused(state, "", "the name of a policy is");
}

static void
passes_over_files_that_are_no_policies(void **state)
{
	struct fixture *f = *state;

	put(f, "README", "not HCL {{{");
	put(f, "p.hcl.bak", "not HCL {{{");
	put(f, ".hidden.hcl", "not HCL {{{");
	use(state, BIND PATH("a", "\"read\""));
	assert_true(may(state, "a", R));
}

static void
refuses_a_folder_that_is_missing_or_open_to_all(void **state)
{
	struct fixture *f = *state;
	struct policy_store *ps = NULL;
	struct hf_why why;

	assert_int_equal(
	    policy_open("/no/such/folder", &ps, &why), HF_ERR_BAD_POLICY);
	assert_int_equal(chmod(f->dir, 0777), 0);
	expect_refused(state, "", "anybody may write");
	assert_int_equal(chmod(f->dir, 0700), 0);
}

static void
reads_the_json_form_as_the_same_rules(void **state)
{
	static const char *const forms[] = {
		"path \"t/+/k\" { capabilities = [\"update\", \"list\"]\n"
		"denied_parameters = { v = [3] } }\n"
		"path \"t/*\" { capabilities = [\"read\"] }\n" BIND,
		"{\"path\": {\"t/+/k\": {\"capabilities\": [\"update\", "
		"\"list\"], \"denied_parameters\": {\"v\": [3]}}, \"t/*\": "
		"{\"capabilities\": [\"read\"]}},"
		"\"bind\": {\"subjects\": [\"uid:1000\"]}}",
		"{\"path\": [{\"t/+/k\": [{\"capabilities\": [\"update\", "
		"\"list\"], \"denied_parameters\": {\"v\": [3]}}]}, {\"t/*\": "
		"{\"capabilities\": [\"read\"]}}],"
		"\"bind\": [{\"subjects\": [\"uid:1000\"]}]}",
	};
	static const char *const paths[] = { "t/x/k", "t/x", "t/x/k/", "u" };
	static const unsigned caps[] = { U | L, R, U | L, 0 };
	struct fixture *f = *state;

	for (size_t i = 0; i < 3; i++) {
		use(state, forms[i]);
		for (size_t j = 0; j < 4; j++)
			assert_int_equal(
			    policy_caps(f->grant, text_of(paths[j])), caps[j]);
		assert_true(may_with(state, "t/x/k", "v", "2"));
		assert_false(may_with(state, "t/x/k", "v", "3"));
	}
}

/* In the manner of what people have in their Vault. */
static void
loads_policies_written_for_vault_unchanged(void **state)
{
	struct fixture *f = *state;

	put(f, "admin.hcl",
	    "# Health and mounts\n"
	    "path \"sys/health\"\n{\n"
	    "  capabilities = [\"read\", \"sudo\"]\n}\n\n"
	    "// Policies\n"
	    "path \"sys/policies/acl/*\"\n{\n"
	    "  capabilities = [\"create\", \"read\", \"update\", \"patch\", "
	    "\"delete\", \"list\", \"sudo\"]\n}\n"
	    "path \"auth/*\" { capabilities = [\"create\",\"read\",] }\n"
	    "path \"sys/auth\" { capabilities = [\"read\"] }\n");
	put(f, "app.hcl",
	    "name = \"app\"\n"
	    "path \"secret/data/app/+/config\" {\n"
	    "  comment = \"read by deploys\"\n"
	    "  capabilities = [\"read\", \"list\", \"subscribe\"]\n"
	    "  subscribe_event_types = [\"*\"]\n}\n"
	    "path \"transit/encrypt/orders\" {\n"
	    "  capabilities = [ \"update\" ]\n"
	    "  allowed_parameters = {\n"
	    "    \"plaintext\" = []\n    \"context\"   = []\n"
	    "    \"*\"         = []\n  }\n"
	    "  denied_parameters = { \"nonce\" = [] }\n}\n"
	    "path \"/transit/decrypt/orders\" { policy = \"write\" }\n"
	    "path \"secret/*\" { capabilities = [\"deny\"] }\n"
	    "path \"sys/tools/random/164\" { capabilities = [\"update\"]\n"
	    "  min_wrapping_ttl = \"1m30s\" }\n"
	    "path \"foo/bar\" { capabilities = [\"create\", \"sudo\"] }\n"
	    "path \"foo/bar\" { capabilities = [\"read\"] }\n");
	put(f, "bind.hcl",
	    "bind { policies = [\"admin\", \"app\"]\n"
	    "subjects = [\"uid:1000\"] }");
	start(f);
	assert_true(may(state, "sys/health", R | S));
	assert_true(may(state, "sys/policies/acl/x", HF_CAP_PATCH));
	assert_true(may(state, "secret/data/app/prod/config", R));
	assert_false(may(state, "secret/data/other", R));
	assert_true(
	    may_with(state, "transit/encrypt/orders", "plaintext", "x"));
	assert_false(may_with(state, "transit/encrypt/orders", "nonce", "x"));
	assert_true(may(state, "transit/decrypt/orders", U));
	assert_false(may(state, "sys/tools/random/164", U));
	assert_true(may(state, "foo/bar", C | R | S));
}

/* -- Reload -- */

static void
keeps_the_old_set_when_a_file_is_broken(void **state)
{
	struct fixture *f = *state;
	struct hf_why why = { "" };
	char expected[64];
	uint64_t generation;

	use(state, BIND PATH("a", "\"read\""));
	generation = policy_generation(f->ps);
	put(f, "p.hcl", BIND PATH("b", "\"read\""));
	put(f, "q.hcl", "# fine\n\npath \"c\" { capabilities = [\"reed\"] }");
	assert_int_equal(policy_reload(f->ps, &why), HF_ERR_BAD_POLICY);
	(void)snprintf(
	    expected, sizeof(expected), "%s/q.hcl:3: unknown", f->dir);
	assert_memory_equal(why.text, expected, strlen(expected));
	assert_int_equal(policy_generation(f->ps), generation);
	take_grant(f);
	assert_true(may(state, "a", R));
	assert_false(may(state, "b", R));
}

static void
leaves_a_grant_as_it_was_over_a_reload(void **state)
{
	struct fixture *f = *state;
	struct policy_grant *old;
	struct policy_verdict v;
	struct hf_why why;

	use(state, BIND PATH("a", "\"read\""));
	old = policy_grant_ref(f->grant);
	put(f, "p.hcl", BIND PATH("b", "\"read\""));
	assert_int_equal(policy_reload(f->ps, &why), HF_OK);
	assert_int_equal(
	    policy_generation(f->ps), policy_grant_generation(old) + 1);
	take_grant(f);
	assert_int_equal(
	    policy_grant_generation(f->grant), policy_generation(f->ps));
	assert_true(policy_check(old, TEXT("a"), R, NULL, 0, &v));
	assert_false(may(state, "a", R));
	assert_true(may(state, "b", R));
	policy_close(f->ps); /* grants outlive even the store */
	f->ps = NULL;
	assert_string_equal(v.pattern, "a");
	assert_true(policy_check(old, TEXT("a"), R, NULL, 0, NULL));
	policy_grant_free(old);
}

static void
names_the_rule_that_decided(void **state)
{
	struct fixture *f = *state;
	struct policy_verdict v;
	char file[64];

	use(state, BIND "\npath \"a/+\" { capabilities = [\"read\"] }");
	(void)snprintf(file, sizeof(file), "%s/p.hcl", f->dir);
	assert_true(policy_check(f->grant, TEXT("a/b"), R, NULL, 0, &v));
	assert_string_equal(v.pattern, "a/+");
	assert_string_equal(v.policy, "p");
	assert_string_equal(v.file, file);
	assert_int_equal(v.line, 3);
	assert_false(policy_check(f->grant, TEXT("a/b"), U, NULL, 0, &v));
	assert_string_equal(
	    v.reason, "the rule does not grant this capability");
}

static void
note_policy(void *ctx, const struct policy_info *info)
{
	char *out = ctx;
	size_t n = strlen(out);

	(void)snprintf(out + n, 256 - n, "%s:%zu:%zu:%s ", info->name,
	    info->rules, info->subject_count,
	    info->subject_count == 0 ? "-" : info->subjects[0]);
}

static void
lists_the_policies_in_force(void **state)
{
	struct fixture *f = *state;
	char out[256] = "";

	put(f, "a.hcl", PATH("x", "") PATH("y", ""));
	use(state,
	    BIND "bind { policies = [\"a\"]\n"
		 "subjects = [\"uid:1\", \"user:root\"] }");
	policy_each(f->ps, note_policy, out);
	assert_string_equal(out, "root:0:0:- a:2:2:uid:1 p:0:1:uid:1000 ");
}

/* -- Many at once -- */

static void
finds_the_winner_among_many_rules(void **state)
{
	static char text[200000];
	size_t n = (size_t)snprintf(text, sizeof(text), "%s", BIND);
	char path[64];

	for (int i = 0; i < 1000; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
		    "path \"e/%d\" { capabilities = [\"read\"] }\n"
		    "path \"g/%d/*\" { capabilities = [\"update\"] }\n"
		    "path \"s/+/%d\" { capabilities = [\"delete\"] }\n",
		    i, i, i);
	use(state, text);
	for (int i = 0; i < 1000; i++) {
		(void)snprintf(path, sizeof(path), "e/%d", i);
		assert_true(may(state, path, R));
		(void)snprintf(path, sizeof(path), "g/%d/k", i);
		assert_true(may(state, path, U));
		(void)snprintf(path, sizeof(path), "s/k/%d", i);
		assert_true(may(state, path, D));
	}
	assert_false(may(state, "e/1000", R));
	assert_false(may(state, "g/1000/k", U));
	assert_false(may(state, "s/k/1000", D));
}

static void
serves_more_combinations_than_it_keeps(void **state)
{
	struct fixture *f = *state;
	struct policy_grant *grants[300];
	char name[32], text[128];

	for (int i = 0; i < 300; i++) {
		(void)snprintf(name, sizeof(name), "p%d.hcl", i);
		(void)snprintf(text, sizeof(text),
		    "bind { subjects = "
		    "[\"uid:%d\"] } path \"k%d\" { policy = \"read\" }",
		    i, i);
		put(f, name, text);
	}
	start(f);
	for (unsigned i = 0; i < 300; i++) {
		const struct identity id = {
			.local = true, .uid = i, .gid = 9999, .pidfd = -1
		};

		assert_int_equal(
		    policy_grant_for(f->ps, &id, &grants[i]), HF_OK);
		(void)snprintf(name, sizeof(name), "k%u", i);
		assert_true(
		    policy_check(grants[i], text_of(name), R, NULL, 0, NULL));
		assert_false(
		    policy_check(grants[i], TEXT("k300"), R, NULL, 0, NULL));
	}
	for (int i = 0; i < 300; i++)
		policy_grant_free(grants[i]);
}

struct crowd {
	struct policy_store *ps;
	atomic_bool stop;
	atomic_uint wrong, asked;
};

/* Each set allows exactly one of "a" and "b"; a grant must too, always. */
static void *
ask_all_the_time(void *ctx)
{
	struct crowd *crowd = ctx;
	struct policy_grant *grant = NULL;

	while (!atomic_load(&crowd->stop)) {
		if (policy_grant_for(crowd->ps, &alice, &grant) != HF_OK) {
			atomic_fetch_add(&crowd->wrong, 1);
			break;
		}
		for (int i = 0; i < 50; i++)
			if (policy_check(grant, TEXT("a"), R, NULL, 0, NULL) ==
			    policy_check(grant, TEXT("b"), R, NULL, 0, NULL))
				atomic_fetch_add(&crowd->wrong, 1);
		policy_grant_free(policy_grant_ref(grant));
		policy_grant_free(grant);
		atomic_fetch_add(&crowd->asked, 1);
	}
	return NULL;
}

static void
answers_many_threads_while_it_reloads(void **state)
{
	struct fixture *f = *state;
	struct crowd crowd = { 0 };
	pthread_t threads[4];
	struct hf_why why;

	use(state, BIND PATH("a", "\"read\""));
	crowd.ps = f->ps;
	for (int i = 0; i < 4; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, ask_all_the_time, &crowd),
		    0);
	for (int i = 0; i < 50 || atomic_load(&crowd.asked) < 100; i++) {
		put(f, "p.hcl",
		    i % 2 == 0 ? BIND PATH("b", "\"read\"")
			       : BIND PATH("a", "\"read\""));
		assert_int_equal(policy_reload(f->ps, &why), HF_OK);
	}
	atomic_store(&crowd.stop, true);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(atomic_load(&crowd.wrong), 0);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(binds_other_policies_by_name),
		T(applies_a_bind_only_with_all_that_it_requires),
		T(pins_the_process_only_where_exe_or_unit_count),
		T(refuses_binds_that_make_no_sense),
		T(lets_root_do_everything_once_bound),
		T(takes_names_as_they_are_and_refuses_look_alikes),
		T(passes_over_files_that_are_no_policies),
		T(refuses_a_folder_that_is_missing_or_open_to_all),
		T(reads_the_json_form_as_the_same_rules),
		T(loads_policies_written_for_vault_unchanged),
		T(keeps_the_old_set_when_a_file_is_broken),
		T(leaves_a_grant_as_it_was_over_a_reload),
		T(names_the_rule_that_decided),
		T(lists_the_policies_in_force),
		T(finds_the_winner_among_many_rules),
		T(serves_more_combinations_than_it_keeps),
		T(answers_many_threads_while_it_reloads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
