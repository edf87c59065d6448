/* SPDX-License-Identifier: Apache-2.0 */
#include "policy_fixture.h"

/* The promises of policy.h: which rule decides about a path. */

/* The pattern that decides. */
static const char *
winner(void **state, const char *path)
{
	struct fixture *f = *state;
	struct policy_verdict v;

	(void)policy_check(f->grant, text_of(path), R, NULL, 0, &v);
	return v.pattern == NULL ? "" : v.pattern;
}

/* -- Deny by default -- */

static void
denies_every_operation_with_an_empty_folder(void **state)
{
	struct fixture *f = *state;

	start(f);
	for (size_t i = 0; i < ops_count; i++) {
		char path[128];
		const char *brace = strchr(ops[i].path, '{');
		struct policy_verdict v;

		(void)snprintf(path, sizeof(path), "%.*s%s",
		    brace == NULL ? 100 : (int)(brace - ops[i].path),
		    ops[i].path, brace == NULL ? "" : "k");
		assert_false(policy_check(
		    f->grant, text_of(path), ops[i].cap, NULL, 0, &v));
		assert_null(v.pattern);
		assert_string_equal(
		    v.reason, "no policy is bound to this caller");
		assert_int_equal(policy_caps(f->grant, text_of(path)), 0);
	}
}

static void
denies_who_is_not_bound(void **state)
{
	struct fixture *f = *state;
	struct policy_grant *grant;

	use(state, BIND PATH("a", "\"read\""));
	assert_true(may(state, "a", R));
	assert_int_equal(policy_grant_for(f->ps, &bob, &grant), HF_OK);
	assert_false(policy_check(grant, TEXT("a"), R, NULL, 0, NULL));
	assert_int_equal(policy_grant_names(grant, NULL, 0), 0);
	assert_true(policy_grant_is_empty(grant));
	policy_grant_free(grant);
}

static void
denies_what_no_capability_grants(void **state)
{
	use(state, BIND PATH("a", "\"read\", \"update\"") PATH("b", ""));
	assert_true(may(state, "a", R));
	assert_true(may(state, "a", R | U));
	assert_false(may(state, "a", D));
	assert_false(may(state, "a", R | D));
	assert_false(may(state, "b", R));
	assert_false(may(state, "a", 0));
	assert_false(may(state, "a", HF_CAP_DENY));
	assert_false(may(state, "a", 1u << 20));
}

static void
asks_for_sudo_besides_the_capability(void **state)
{
	use(state,
	    BIND PATH("a", "\"update\"") PATH("b", "\"update\", \"sudo\""));
	assert_false(may(state, "a", U | S));
	assert_true(may(state, "b", U | S));
}

/* -- Patterns -- */

static void
matches_an_exact_path_only_as_a_whole(void **state)
{
	use(state, BIND PATH("a/b", "\"read\""));
	assert_true(may(state, "a/b", R));
	assert_false(may(state, "a/b/c", R));
	assert_false(may(state, "a/b/", R));
	assert_false(may(state, "a/", R));
	assert_false(may(state, "a/bc", R));
	assert_false(may(state, "A/b", R));
}

static void
takes_a_star_for_any_rest(void **state)
{
	use(state, BIND PATH("a/b*", "\"read\"") PATH("x/*", "\"read\""));
	assert_true(may(state, "a/b", R));
	assert_true(may(state, "a/bc", R));
	assert_true(may(state, "a/b/c/d", R));
	assert_false(may(state, "a/c", R));
	assert_true(may(state, "x/y", R));
	assert_true(may(state, "x/", R));
	assert_false(may(state, "x", R));
}

static void
takes_a_plus_for_one_whole_segment(void **state)
{
	use(state,
	    BIND PATH("a/+/c", "\"read\"") PATH("+", "\"read\"")
		PATH("z/+", "\"read\"") PATH("p/+/q*", "\"read\""));
	assert_true(may(state, "a/b/c", R));
	assert_false(may(state, "a/b/x/c", R));
	assert_false(may(state, "a/b/c/d", R));
	assert_true(may(state, "one", R));
	assert_false(may(state, "one/two", R));
	assert_true(may(state, "z/k", R));
	assert_false(may(state, "z/k/l", R));
	assert_true(may(state, "p/x/qqq/r", R));
	assert_false(may(state, "p/x/y/q", R));
}

static void
takes_a_plus_within_a_segment_for_itself(void **state)
{
	use(state, BIND PATH("a/b+", "\"read\"") PATH("c/+d/+", "\"read\""));
	assert_true(may(state, "a/b+", R));
	assert_false(may(state, "a/bc", R));
	assert_true(may(state, "c/+d/x", R));
	assert_false(may(state, "c/xd/x", R));
}

static void
passes_over_a_leading_slash_of_a_pattern(void **state)
{
	use(state, BIND PATH("/a/b", "\"read\""));
	assert_true(may(state, "a/b", R));
}

/* CVE-2026-3605. */
static void
refuses_paths_with_dots_and_empty_segments(void **state)
{
	static const char *const paths[] = { "", "/", "/a", "a//b", "a/../b",
		"..", "a/..", "./a", "a/.", "a/./b", "a//", "../a" };
	struct fixture *f = *state;
	static char longer[2000];

	use(state, BIND PATH("*", "\"read\", \"list\""));
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		assert_false(may(state, paths[i], R));
		assert_false(may(state, paths[i], L));
		assert_int_equal(
		    policy_caps(f->grant, text_of(paths[i])), HF_CAP_DENY);
	}
	assert_false(policy_check(
	    f->grant, (struct hf_text){ "a\0b", 3 }, R, NULL, 0, NULL));
	assert_false(policy_check(
	    f->grant, (struct hf_text){ NULL, 0 }, R, NULL, 0, NULL));
	memset(longer, 'a', sizeof(longer) - 1);
	assert_false(may(state, longer, R));
	assert_true(may(state, "a/...", R));
	assert_true(may(state, "a/.b", R));
	assert_true(may(state, "a/b/", L));
}

/* -- Priority: only the most specific pattern counts -- */

static void
prefers_an_exact_path_to_every_pattern(void **state)
{
	use(state,
	    BIND PATH("a/b", "\"read\"") PATH("a/+", "\"update\"")
		PATH("a/b*", "\"update\""));
	assert_string_equal(winner(state, "a/b"), "a/b");
	assert_false(may(state, "a/b", U));
}

static void
prefers_the_later_first_wildcard(void **state)
{
	use(state,
	    BIND PATH("a/*", "\"read\"") PATH("a/b/*", "\"read\"")
		PATH("a/+/c/d", "\"read\"") PATH("a/b/+/+", "\"read\"")
		    PATH("a/b/c*", "\"read\""));
	assert_string_equal(winner(state, "a/x"), "a/*");
	assert_string_equal(winner(state, "a/b/x"), "a/b/*");
	assert_string_equal(winner(state, "a/b/x/y"), "a/b/+/+");
	assert_string_equal(winner(state, "a/b/c/d"), "a/b/c*");
	assert_string_equal(winner(state, "a/x/c/d"), "a/+/c/d");
}

static void
prefers_what_does_not_end_in_a_star(void **state)
{
	use(state,
	    BIND PATH("a/*", "\"read\"") PATH("a/+", "\"read\"")
		PATH("b/+/c*", "\"read\"") PATH("b/+/+/+", "\"read\""));
	assert_string_equal(winner(state, "a/x"), "a/+");
	assert_string_equal(winner(state, "a/x/y"), "a/*");
	assert_string_equal(winner(state, "b/x/c/d"), "b/+/+/+");
}

static void
prefers_fewer_plus_segments(void **state)
{
	use(state,
	    BIND PATH("a/+/+/d", "\"read\"") PATH("a/+/c/d", "\"read\"")
		PATH("k/+/+/dddd*", "\"read\"") PATH("k/+/c*", "\"read\""));
	assert_string_equal(winner(state, "a/x/c/d"), "a/+/c/d");
	assert_string_equal(winner(state, "a/x/y/d"), "a/+/+/d");
	/* Although the other is longer. */
	assert_string_equal(winner(state, "k/x/c/dddd"), "k/+/c*");
}

static void
prefers_the_longer_pattern(void **state)
{
	use(state,
	    BIND PATH("a/+/b*", "\"read\"") PATH("a/+/bar/ba*", "\"read\"")
		PATH("a/+/bar*", "\"read\"") PATH("k/+/+/d", "\"read\"")
		    PATH("k/+/yyy/+", "\"read\""));
	assert_string_equal(winner(state, "a/x/bar/baz"), "a/+/bar/ba*");
	assert_string_equal(winner(state, "a/x/bart"), "a/+/bar*");
	assert_string_equal(winner(state, "a/x/bat"), "a/+/b*");
	assert_string_equal(winner(state, "k/x/yyy/d"), "k/+/yyy/+");
}

static void
prefers_the_lexicographically_larger_pattern(void **state)
{
	use(state,
	    BIND PATH("a/+/+/d", "\"read\"") PATH("a/+/c/+", "\"read\"")
		PATH("b/+/c/+/+", "\"read\"") PATH("b/+/+/d/+", "\"read\""));
	assert_string_equal(winner(state, "a/x/c/d"), "a/+/c/+");
	assert_string_equal(winner(state, "b/x/c/d/e"), "b/+/c/+/+");
}

static void
lets_a_narrow_allow_beat_a_broad_deny_and_the_reverse(void **state)
{
	use(state,
	    BIND PATH("a/*", "\"deny\"") PATH("a/b", "\"read\"")
		PATH("x/*", "\"read\"") PATH("x/y", "\"deny\""));
	assert_true(may(state, "a/b", R));
	assert_false(may(state, "a/c", R));
	assert_true(may(state, "x/z", R));
	assert_false(may(state, "x/y", R));
}

/*
 * The rules once more, word by word and slowly, to compare with.
 */
struct wild {
	size_t first, plus, len;
	bool star;
};

static struct wild
describe(const char *p)
{
	struct wild w = { .len = strlen(p) };

	w.star = p[w.len - 1] == '*';
	w.len -= w.star;
	w.first = w.len;
	for (size_t i = w.len; i-- > 0;)
		if (p[i] == '+' && (i == 0 || p[i - 1] == '/') &&
		    (p[i + 1] == '/' || p[i + 1] == '\0')) {
			w.first = i;
			w.plus++;
		}
	return w;
}

static bool
fits(const char *p, const char *path)
{
	if (*p == '\0')
		return *path == '\0';
	if (*p == '*')
		return true;
	if (*p == '+')
		return fits(p + 1, path + strcspn(path, "/"));
	return *p == *path && fits(p + 1, path + 1);
}

/* Whether `a` has priority over `b`. */
static bool
beats(const char *a, const char *b)
{
	struct wild x = describe(a), y = describe(b);

	if (x.first != y.first)
		return x.first > y.first;
	if (x.star != y.star)
		return y.star;
	if (x.plus != y.plus)
		return x.plus < y.plus;
	if (x.len != y.len)
		return x.len > y.len;
	return strcmp(a, b) > 0;
}

enum { PATTERNS = 12, PATTERN_SIZE = 16 };

static const char *
slow_winner(char patterns[PATTERNS][PATTERN_SIZE], const char *path, bool list)
{
	const char *best = "";
	char bare[PATTERN_SIZE];
	size_t len = strlen(path);

	(void)snprintf(bare, sizeof(bare), "%s", path);
	if (list && path[len - 1] == '/')
		bare[len - 1] = '\0';
	for (int i = 0; i < PATTERNS; i++)
		if (strcmp(patterns[i], path) == 0)
			return patterns[i];
	for (int i = 0; i < PATTERNS; i++)
		if (strcmp(patterns[i], bare) == 0)
			return patterns[i];
	for (int i = 0; i < PATTERNS; i++)
		if (strpbrk(patterns[i], "+*") != NULL &&
		    (fits(patterns[i], path) || fits(patterns[i], bare)) &&
		    (*best == '\0' || beats(patterns[i], best)))
			best = patterns[i];
	return best;
}

static unsigned
dice(uint32_t *seed, unsigned sides)
{
	*seed = *seed * 1664525u + 1013904223u;
	return (*seed >> 16) % sides;
}

/* Segments of "a", "b", "ab" and, in patterns, "+"; perhaps a "*". */
static void
random_path(uint32_t *seed, bool pattern, char out[PATTERN_SIZE])
{
	static const char *const segments[] = { "a", "b", "ab", "+", "+" };
	unsigned count = 1 + dice(seed, 4);

	out[0] = '\0';
	for (unsigned i = 0; i < count; i++) {
		if (i > 0)
			strcat(out, "/");
		strcat(out, segments[dice(seed, pattern ? 5 : 3)]);
	}
	if (pattern && dice(seed, 3) == 0)
		strcat(out, out[strlen(out) - 1] == '+' ? "/*" : "*");
	else if (dice(seed, 4) == 0)
		strcat(out, "/");
}

static void
agrees_with_the_rules_word_by_word(void **state)
{
	struct fixture *f = *state;
	uint32_t seed = 1;

	for (int round = 0; round < 200; round++) {
		char patterns[PATTERNS][PATTERN_SIZE];
		char path[PATTERN_SIZE], text[2048] = BIND;

		for (int i = 0; i < PATTERNS; i++) {
			size_t n = strlen(text);

			random_path(&seed, true, patterns[i]);
			(void)snprintf(text + n, sizeof(text) - n,
			    "path \"%s\" { }\n", patterns[i]);
		}
		use(state, text);
		for (int i = 0; i < 60; i++) {
			struct policy_verdict v;
			unsigned caps = i % 2 == 0 ? R : L;

			random_path(&seed, false, path);
			assert_false(policy_check(
			    f->grant, text_of(path), caps, NULL, 0, &v));
			assert_string_equal(v.pattern == NULL ? "" : v.pattern,
			    slow_winner(patterns, path, caps == L));
		}
	}
}

/* -- The same pattern in several policies -- */

static void
unites_the_same_pattern_of_several_policies(void **state)
{
	struct fixture *f = *state;
	const char *names[4];

	put(f, "a.hcl", BIND PATH("k/*", "\"read\""));
	put(f, "b.hcl", BIND PATH("k/*", "\"update\"") PATH("k/*", "\"list\""));
	start(f);
	assert_true(may(state, "k/x", R | U));
	assert_int_equal(policy_caps(f->grant, TEXT("k/x")), R | U | L);
	assert_int_equal(policy_grant_names(f->grant, names, 4), 2);
	assert_false(policy_grant_is_empty(f->grant));
	assert_string_equal(names[0], "a");
	assert_string_equal(names[1], "b");
}

static void
lets_deny_win_over_the_same_pattern_elsewhere(void **state)
{
	struct fixture *f = *state;
	struct policy_verdict v;

	put(f, "a.hcl", BIND PATH("k/*", "\"read\", \"update\""));
	put(f, "b.hcl", BIND "\n" PATH("k/*", "\"deny\", \"read\""));
	start(f);
	assert_false(policy_check(f->grant, TEXT("k/x"), R, NULL, 0, &v));
	assert_string_equal(v.policy, "b");
	assert_int_equal(v.line, 3);
	assert_string_equal(v.reason, "the rule denies");
	assert_int_equal(policy_caps(f->grant, TEXT("k/x")), HF_CAP_DENY);
}

static void
does_not_mix_patterns_of_policies_that_are_not_bound(void **state)
{
	struct fixture *f = *state;

	put(f, "a.hcl", BIND PATH("k/*", "\"read\""));
	put(f, "b.hcl", PATH("k/*", "\"update\""));
	start(f);
	assert_false(may(state, "k/x", U));
}

/* -- Lists -- */

static void
lists_a_folder_by_its_rule_with_or_without_the_slash(void **state)
{
	use(state,
	    BIND PATH("a/keys", "\"list\"") PATH("b/keys/", "\"list\"")
		PATH("c/+", "\"list\""));
	assert_true(may(state, "a/keys/", L));
	assert_true(may(state, "b/keys/", L));
	assert_false(may(state, "b/keys", L));
	assert_true(may(state, "c/keys/", L));
	assert_false(may(state, "a/keys/", R));
}

static void
denies_a_list_below_a_denied_folder(void **state)
{
	/* GHSA-xp3c-3jw3-4vcr: the broader list used to win. */
	use(state,
	    BIND PATH("m/restricted/*", "\"deny\"")
		PATH("m/*", "\"list\", \"read\"") PATH("n/*", "\"list\"")
		    PATH("n/x", "\"deny\"") PATH("o/*", "\"list\"")
			PATH("o/+", "\"deny\""));
	assert_false(may(state, "m/restricted/", L));
	assert_false(may(state, "m/restricted/k", R));
	assert_true(may(state, "m/other/", L));
	assert_false(may(state, "n/x/", L));
	assert_false(may(state, "o/x/", L));
}

/* GHSA-xp3c-3jw3-4vcr. */
static void
denies_every_verb_by_every_kind_of_deny_rule(void **state)
{
	static const char *const rules[] = { "t/keys/k", "t/keys/*", "t/keys/+",
		"t/+/k", "t/+/*", "+/keys/k", "t/k*", "*" };
	static const unsigned verbs[] = { C, R, U, HF_CAP_PATCH, D, L, S };
	char text[512];

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		(void)snprintf(text, sizeof(text),
		    BIND
		    "path \"%s\" { "
		    "capabilities = [\"deny\", \"create\", \"read\", "
		    "\"update\", \"patch\", \"delete\", \"list\", \"sudo\"] }",
		    rules[i]);
		use(state, text);
		for (size_t v = 0; v < sizeof(verbs) / sizeof(verbs[0]); v++) {
			assert_false(may(state, "t/keys/k", verbs[v]));
			assert_false(may(state, "t/keys/k/", verbs[v]));
		}
	}
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(denies_every_operation_with_an_empty_folder),
		T(denies_who_is_not_bound),
		T(denies_what_no_capability_grants),
		T(asks_for_sudo_besides_the_capability),
		T(matches_an_exact_path_only_as_a_whole),
		T(takes_a_star_for_any_rest),
		T(takes_a_plus_for_one_whole_segment),
		T(takes_a_plus_within_a_segment_for_itself),
		T(passes_over_a_leading_slash_of_a_pattern),
		T(refuses_paths_with_dots_and_empty_segments),
		T(prefers_an_exact_path_to_every_pattern),
		T(prefers_the_later_first_wildcard),
		T(prefers_what_does_not_end_in_a_star),
		T(prefers_fewer_plus_segments),
		T(prefers_the_longer_pattern),
		T(prefers_the_lexicographically_larger_pattern),
		T(agrees_with_the_rules_word_by_word),
		T(lets_a_narrow_allow_beat_a_broad_deny_and_the_reverse),
		T(unites_the_same_pattern_of_several_policies),
		T(lets_deny_win_over_the_same_pattern_elsewhere),
		T(does_not_mix_patterns_of_policies_that_are_not_bound),
		T(lists_a_folder_by_its_rule_with_or_without_the_slash),
		T(denies_a_list_below_a_denied_folder),
		T(denies_every_verb_by_every_kind_of_deny_rule),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
