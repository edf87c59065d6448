/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../keyd/policy.h"
#include "../../lib/bytes.h"
#include "../../lib/ops.h"

#define BIND "bind { subjects = [\"uid:1000\"] }\n"
#define PATH(pattern, caps) \
	"path \"" pattern "\" { capabilities = [" caps "] }\n"

enum {
	C = HF_CAP_CREATE,
	R = HF_CAP_READ,
	U = HF_CAP_UPDATE,
	D = HF_CAP_DELETE,
	L = HF_CAP_LIST,
	S = HF_CAP_SUDO,
};

static const struct identity alice = {
	.local = true, .uid = 1000, .gid = 1000, .pidfd = -1
};
static const struct identity bob = {
	.local = true, .uid = 1001, .gid = 1001, .pidfd = -1
};

struct fixture {
	char dir[32];
	struct policy_store *ps;
	struct policy_grant *grant; /* of alice */
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/policy.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	*state = f;
	return 0;
}

static void
put(const struct fixture *f, const char *name, const char *text)
{
	char path[128];
	FILE *out;

	(void)snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	assert_non_null(out = fopen(path, "w"));
	assert_true(fputs(text, out) >= 0);
	assert_int_equal(fclose(out), 0);
}

static void
clear_folder(const struct fixture *f)
{
	char path[320];
	DIR *dir = opendir(f->dir);
	struct dirent *entry;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		(void)snprintf(
		    path, sizeof(path), "%s/%s", f->dir, entry->d_name);
		(void)unlink(path);
	}
	(void)closedir(dir);
}

static void
shut(struct fixture *f)
{
	policy_grant_free(f->grant);
	policy_close(f->ps);
	f->grant = NULL;
	f->ps = NULL;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	shut(f);
	clear_folder(f);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

static void
take_grant(struct fixture *f)
{
	policy_grant_free(f->grant);
	f->grant = NULL;
	assert_int_equal(policy_grant_for(f->ps, &alice, &f->grant), HF_OK);
}

/* Opens the folder as it is, with alice's grant. */
static void
start(struct fixture *f)
{
	struct hf_why why = { "" };

	shut(f);
	if (policy_open(f->dir, &f->ps, &why) != HF_OK)
		fail_msg("%s", why.text);
	take_grant(f);
}

/* One policy "p" with this text. */
static void
use(void **state, const char *text)
{
	struct fixture *f = *state;

	put(f, "p.hcl", text);
	start(f);
}

static bool
may(void **state, const char *path, unsigned caps)
{
	struct fixture *f = *state;

	return policy_check(f->grant, text_of(path), caps, NULL, 0, NULL);
}

static bool
may_with(void **state, const char *path, const char *name, const char *value)
{
	struct fixture *f = *state;
	const struct policy_param param = { .name = name,
		.value = text_of(value) };

	return policy_check(f->grant, text_of(path), U, &param, 1, NULL);
}

/* The pattern that decides. */
static const char *
winner(void **state, const char *path)
{
	struct fixture *f = *state;
	struct policy_verdict v;

	(void)policy_check(f->grant, text_of(path), R, NULL, 0, &v);
	return v.pattern == NULL ? "" : v.pattern;
}

static void
expect_refused(void **state, const char *text, const char *message)
{
	struct fixture *f = *state;
	struct policy_store *ps = NULL;
	struct hf_why why = { "" };

	put(f, "p.hcl", text);
	assert_int_equal(policy_open(f->dir, &ps, &why), HF_ERR_BAD_POLICY);
	assert_null(ps);
	if (strstr(why.text, message) == NULL)
		fail_msg("\"%s\" does not contain \"%s\"", why.text, message);
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
