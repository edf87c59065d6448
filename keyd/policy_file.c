/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/bytes.h"
#include "../lib/context.h"
#include "../lib/ops.h"
#include "policy_rule.h"

/* From a file's tree to rules and binds; whatever is not known is refused. */

struct parse {
	const struct hcl_file *file;
	struct policy *policy;
	struct hf_why *why;
};

#define refuse(p, node, ...) hcl_fail((p)->file, (node), (p)->why, __VA_ARGS__)

static enum hf_err
want_kind(const struct parse *p, const struct hcl_node *n, enum hcl_kind kind)
{
	if (n->kind == kind)
		return HF_OK;
	return refuse(p, n, "%.60s: a %s expected, got a %s",
	    n->key.ptr == NULL ? "here" : n->key.ptr, hcl_kind_name(kind),
	    hcl_kind_name(n->kind));
}

/* A list whose members are all strings. */
static enum hf_err
want_strings(const struct parse *p, const struct hcl_node *list)
{
	enum hf_err err;

	if ((err = want_kind(p, list, HCL_LIST)) != HF_OK)
		return err;
	for (const struct hcl_node *n = list->first; n != NULL; n = n->next)
		if (n->kind != HCL_STRING)
			return refuse(p, n,
			    "%s: a list of strings expected, "
			    "with a %s in it",
			    list->key.ptr, hcl_kind_name(n->kind));
	return HF_OK;
}

/* -- The members of a path block -- */

/* Capabilities of Vault and OpenBao that no operation here asks for. */
static const char *const idle_caps[] = { "scan", "subscribe", "recover" };

static bool
is_idle_cap(struct hf_text word)
{
	for (size_t i = 0; i < sizeof(idle_caps) / sizeof(idle_caps[0]); i++)
		if (text_is(word, idle_caps[i]))
			return true;
	return false;
}

static enum hf_err
read_capabilities(const struct parse *p, const struct hcl_node *list,
    struct policy_rule *rule)
{
	enum hf_err err;

	if ((err = want_strings(p, list)) != HF_OK)
		return err;
	for (const struct hcl_node *n = list->first; n != NULL; n = n->next) {
		enum hf_cap cap = cap_by_name(n->text);

		if (cap == 0 && !is_idle_cap(n->text))
			return refuse(p, n,
			    "unknown capability \"%.40s\"; one "
			    "of create, read, update, patch, delete, list, "
			    "sudo, deny expected",
			    n->text.ptr);
		rule->caps |= cap;
	}
	return HF_OK;
}

/* The words from before Vault 0.5 had capabilities. */
static enum hf_err
read_old_policy(
    const struct parse *p, const struct hcl_node *n, struct policy_rule *rule)
{
	enum {
		READ = HF_CAP_READ | HF_CAP_LIST,
		WRITE = READ | HF_CAP_CREATE | HF_CAP_UPDATE | HF_CAP_DELETE,
	};
	static const struct {
		const char *word;
		unsigned caps;
	} words[] = {
		{ "deny", HF_CAP_DENY },
		{ "read", READ },
		{ "write", WRITE },
		{ "sudo", WRITE | HF_CAP_SUDO },
	};
	enum hf_err err;

	if ((err = want_kind(p, n, HCL_STRING)) != HF_OK)
		return err;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (text_is(n->text, words[i].word)) {
			rule->caps |= words[i].caps;
			return HF_OK;
		}
	return refuse(p, n,
	    "policy: one of deny, read, write, sudo expected, "
	    "got \"%.40s\"",
	    n->text.ptr);
}

/* { name = [ value, ... ] ... } with plain values; [] stands for any. */
static enum hf_err
want_parameters(const struct parse *p, const struct hcl_node *map)
{
	enum hf_err err;

	if ((err = want_kind(p, map, HCL_OBJECT)) != HF_OK)
		return err;
	for (const struct hcl_node *n = map->first; n != NULL; n = n->next) {
		if ((err = want_kind(p, n, HCL_LIST)) != HF_OK)
			return err;
		for (const struct hcl_node *v = n->first; v != NULL;
		     v = v->next)
			if (v->kind == HCL_LIST || v->kind == HCL_OBJECT)
				return refuse(p, v,
				    "%.60s: lists and blocks as values are not "
				    "supported",
				    n->key.ptr);
			else if (template_speaks_of_caller(v->text))
				return refuse(p, v,
				    "%.60s: templates of the caller are for "
				    "allowed_context and denied_context",
				    n->key.ptr);
	}
	return HF_OK;
}

static enum hf_err
read_allowed(
    const struct parse *p, const struct hcl_node *n, struct policy_rule *rule)
{
	rule->allowed = n->count > 0 ? n : NULL; /* {}: no rule, as in Vault */
	return want_parameters(p, n);
}

static enum hf_err
read_denied(
    const struct parse *p, const struct hcl_node *n, struct policy_rule *rule)
{
	rule->denied = n->count > 0 ? n : NULL;
	return want_parameters(p, n);
}

static enum hf_err
read_required(
    const struct parse *p, const struct hcl_node *n, struct policy_rule *rule)
{
	rule->required = n;
	return want_strings(p, n);
}

/* -- Rules about contexts -- */

static enum hf_err
want_context_name(
    const struct parse *p, const struct hcl_node *n, struct hf_text name)
{
	if (name.len >= 1 && name.len <= CONTEXT_NAME_MAX)
		return HF_OK;
	return refuse(
	    p, n, "a name in a context takes 1 to %d bytes", CONTEXT_NAME_MAX);
}

static enum hf_err
want_context_value(const struct parse *p, const struct hcl_node *n)
{
	if (template_valid(n->text, &p->policy->facts))
		return HF_OK;
	return refuse(p, n,
	    "\"%.80s\": templates are {{caller.uid}}, gid, user, unit, exe, "
	    "cert and cert_sha256",
	    n->text.ptr);
}

/* { name = [ "value", ... ] ... }; [] stands for any. */
static enum hf_err
want_context(const struct parse *p, const struct hcl_node *map)
{
	enum hf_err err;

	if ((err = want_kind(p, map, HCL_OBJECT)) != HF_OK)
		return err;
	for (const struct hcl_node *n = map->first; n != NULL; n = n->next) {
		if ((err = want_context_name(p, n, n->key)) != HF_OK ||
		    (err = want_strings(p, n)) != HF_OK)
			return err;
		for (const struct hcl_node *v = n->first; v != NULL;
		     v = v->next)
			if ((err = want_context_value(p, v)) != HF_OK)
				return err;
	}
	return HF_OK;
}

/* Unlike parameters, where {} is no rule: here it allows no context. */
static enum hf_err
read_context_allowed(
    const struct parse *p, const struct hcl_node *n, struct policy_rule *rule)
{
	const struct hcl_node *all =
	    n->kind == HCL_OBJECT ? hcl_get(n, "*") : NULL;

	if (all != NULL && all->count > 0)
		return refuse(p, all,
		    "allowed_context: \"*\" stands for the other names, with "
		    "any value: []");
	rule->context_allowed = n;
	return want_context(p, n);
}

static enum hf_err
read_context_denied(
    const struct parse *p, const struct hcl_node *n, struct policy_rule *rule)
{
	rule->context_denied = n;
	return want_context(p, n);
}

static enum hf_err
read_context_required(const struct parse *p, const struct hcl_node *list,
    struct policy_rule *rule)
{
	enum hf_err err;

	if ((err = want_strings(p, list)) != HF_OK)
		return err;
	rule->context_required = list;
	for (const struct hcl_node *n = list->first; n != NULL; n = n->next)
		if ((err = want_context_name(p, n, n->text)) != HF_OK)
			return err;
	return HF_OK;
}

/* Seconds, or text such as "300s"; only whether it is zero matters. */
static enum hf_err
read_wrapping(
    const struct parse *p, const struct hcl_node *n, struct policy_rule *rule)
{
	size_t digits;

	if (n->kind != HCL_STRING && !(n->integer && n->number >= 0))
		return refuse(p, n, "%s: a duration such as \"300s\" expected",
		    n->key.ptr);
	digits = strspn(n->text.ptr, "0123456789");
	if (n->kind == HCL_STRING &&
	    (digits == 0 ||
		strspn(n->text.ptr + digits, "0123456789hms") !=
		    n->text.len - digits))
		return refuse(p, n, "%s: a duration such as \"300s\" expected",
		    n->key.ptr);
	if (strpbrk(n->text.ptr, "123456789") != NULL)
		rule->wants_wrap = true;
	return HF_OK;
}

/* "Z" or an offset such as "-05:30", in seconds east of Greenwich. */
static bool
parse_zone(const char *text, int64_t *out)
{
	static const char digits[] = "0123456789";
	int hours, minutes;

	*out = 0;
	if (strcmp(text, "Z") == 0)
		return true;
	if ((text[0] != '+' && text[0] != '-') || strlen(text) != 6 ||
	    strspn(text + 1, digits) != 2 || text[3] != ':' ||
	    strspn(text + 4, digits) != 2)
		return false;
	hours = (text[1] - '0') * 10 + (text[2] - '0');
	minutes = (text[4] - '0') * 10 + (text[5] - '0');
	*out = (hours * 60 + minutes) * 60 * (text[0] == '-' ? -1 : 1);
	return hours <= 23 && minutes <= 59;
}

/* "2030-12-31T23:59:59Z" or with an offset (RFC 3339, section 5.6). */
static bool
parse_time(const char *text, int64_t *out)
{
	struct tm tm = { 0 };
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	int64_t offset;

	if (rest == NULL || strspn(text, "0123456789") != 4)
		return false;
	if (*rest == '.') {
		size_t digits = strspn(rest + 1, "0123456789");

		if (digits == 0)
			return false;
		rest += 1 + digits;
	}
	if (!parse_zone(rest, &offset))
		return false;
	*out = (int64_t)timegm(&tm) - offset;
	return true;
}

static enum hf_err
read_expiration(
    const struct parse *p, const struct hcl_node *n, struct policy_rule *rule)
{
	int64_t at = 0;

	if (n->integer)
		at = n->number;
	else if (n->kind != HCL_STRING || !parse_time(n->text.ptr, &at))
		return refuse(p, n,
		    "expiration: a time such as \"2030-12-31T23:59:59Z\" "
		    "expected");
	if (at <= 0)
		return refuse(p, n, "expiration: a time after 1970 expected");
	rule->expires = at;
	return HF_OK;
}

static enum hf_err
read_min_level(
    const struct parse *p, const struct hcl_node *n, struct policy_rule *rule)
{
	enum hf_err err;

	if ((err = want_kind(p, n, HCL_STRING)) != HF_OK)
		return err;
	rule->wants_hsm = text_is(n->text, "hsm");
	if (!rule->wants_hsm && !text_is(n->text, "wrapped"))
		return refuse(p, n,
		    "min_level: \"hsm\" or \"wrapped\" "
		    "expected, got \"%.40s\"",
		    n->text.ptr);
	return HF_OK;
}

static enum hf_err
read_comment(
    const struct parse *p, const struct hcl_node *n, struct policy_rule *rule)
{
	(void)rule;
	return want_kind(p, n, HCL_STRING);
}

/* Which events a "subscribe" sees; there is nothing to subscribe to. */
static enum hf_err
read_event_types(
    const struct parse *p, const struct hcl_node *n, struct policy_rule *rule)
{
	(void)rule;
	return want_strings(p, n);
}

/*
 * What a path block may hold. Without a function the key is known from Vault
 * and refused, because a rule without its effect would allow more.
 */
static const struct path_key {
	const char *name;
	enum hf_err (*read)(const struct parse *p, const struct hcl_node *n,
	    struct policy_rule *rule);
	const char *refusal;
} path_keys[] = {
	{ "capabilities", read_capabilities, NULL },
	{ "policy", read_old_policy, NULL },
	{ "allowed_parameters", read_allowed, NULL },
	{ "denied_parameters", read_denied, NULL },
	{ "required_parameters", read_required, NULL },
	{ "allowed_context", read_context_allowed, NULL },
	{ "denied_context", read_context_denied, NULL },
	{ "required_context", read_context_required, NULL },
	{ "min_level", read_min_level, NULL },
	{ "expiration", read_expiration, NULL },
	{ "min_wrapping_ttl", read_wrapping, NULL },
	{ "max_wrapping_ttl", read_wrapping, NULL },
	{ "comment", read_comment, NULL },
	{ "subscribe_event_types", read_event_types, NULL },
	{ "mfa_methods", NULL,
	    "second factors are not supported, and without "
	    "them the rule would allow more than it says" },
	{ "control_group", NULL,
	    "approval by others is not supported, and "
	    "without it the rule would allow more than it says" },
	{ "pagination_limit", NULL,
	    "limits on lists are not supported, and "
	    "without them the rule would allow more than it says" },
	{ "list_scan_response_keys_filter_path", NULL,
	    "filters on lists are not supported, and without them the rule "
	    "would show more than it says" },
};

enum { PATH_KEYS = sizeof(path_keys) / sizeof(path_keys[0]) };

static const struct path_key *
find_path_key(struct hf_text name)
{
	for (size_t i = 0; i < PATH_KEYS; i++)
		if (text_is(name, path_keys[i].name))
			return &path_keys[i];
	return NULL;
}

static enum hf_err
read_members(const struct parse *p, const struct hcl_node *block,
    struct policy_rule *rule)
{
	const struct path_key *key;
	enum hf_err err;

	for (const struct hcl_node *n = block->first; n != NULL; n = n->next) {
		key = find_path_key(n->key);
		if (key == NULL)
			return refuse(p, n,
			    "a path block has no member \"%.60s\"", n->key.ptr);
		if (key->read == NULL)
			return refuse(p, n, "%s: %s", key->name, key->refusal);
		if (hcl_get(block, key->name) != n)
			return refuse(p, n, "%s is given twice", key->name);
		if ((err = key->read(p, n, rule)) != HF_OK)
			return err;
	}
	return HF_OK;
}

static enum hf_err
read_pattern(
    const struct parse *p, const struct hcl_node *block, struct hf_text *out)
{
	struct hf_text t = block->key;
	const char *star;

	if (t.len > 0 && t.ptr[0] == '/') {
		t.ptr++;
		t.len--;
	}
	if (t.len == 0 || t.len > POLICY_PATH_MAX)
		return refuse(p, block, "a path of 1 to %d bytes expected",
		    POLICY_PATH_MAX);
	star = strchr(t.ptr, '*');
	if (star != NULL && star[1] != '\0')
		return refuse(p, block,
		    "path \"%.80s\": \"*\" stands only at "
		    "the end; \"+\" is for one segment",
		    t.ptr);
	if (strstr(t.ptr, "+*") != NULL)
		return refuse(
		    p, block, "path \"%.80s\": \"+*\" is not allowed", t.ptr);
	*out = t;
	return HF_OK;
}

static enum hf_err
read_path(const struct parse *p, const struct hcl_node *block)
{
	struct policy_rule rule = { .policy = p->policy->name,
		.file = hcl_name(p->file),
		.line = block->line };
	enum hf_err err;

	if ((err = want_kind(p, block, HCL_OBJECT)) != HF_OK ||
	    (err = read_pattern(p, block, &rule.pattern)) != HF_OK ||
	    (err = read_members(p, block, &rule)) != HF_OK)
		return err;
	if (rule.caps & HF_CAP_DENY)
		rule.caps = HF_CAP_DENY; /* nothing else counts then */
	if (template_speaks_of_caller(rule.pattern))
		return refuse(p, block,
		    "path \"%.80s\": templates of the caller are for "
		    "allowed_context and denied_context",
		    rule.pattern.ptr);
	/*
	 * A template names a path of the caller's Vault entity. Callers here
	 * have none, so it names no path, as for a token without an entity in
	 * Vault; Vault's own "default" policy has such rules. What forbids is
	 * not passed over.
	 */
	if (strstr(rule.pattern.ptr, "{{") != NULL) {
		if (rule.caps & HF_CAP_DENY)
			return refuse(p, block,
			    "path \"%.80s\": a template cannot deny: callers "
			    "have no Vault entity",
			    rule.pattern.ptr);
		return HF_OK;
	}
	p->policy->rules[p->policy->rule_count++] = rule;
	return HF_OK;
}

static enum hf_err
read_paths(const struct parse *p, const struct hcl_node *all)
{
	struct policy *policy = p->policy;
	struct policy_rule *grown;
	enum hf_err err;

	if ((err = want_kind(p, all, HCL_OBJECT)) != HF_OK)
		return err;
	if (all->count == 0)
		return HF_OK;
	grown = reallocarray(
	    policy->rules, policy->rule_count + all->count, sizeof(*grown));
	if (grown == NULL)
		return HF_ERR_NO_MEMORY;
	policy->rules = grown;
	for (const struct hcl_node *n = all->first; n != NULL; n = n->next)
		if ((err = read_path(p, n)) != HF_OK)
			return err;
	return HF_OK;
}

/* -- Binds -- */

static enum hf_err
read_subjects(const struct parse *p, const struct hcl_node *list,
    struct subject **out, size_t *count)
{
	struct hf_why why = { "" };
	enum hf_err err;

	if ((err = want_strings(p, list)) != HF_OK)
		return err;
	if (list->count == 0)
		return refuse(p, list, "%s is empty", list->key.ptr);
	*out = calloc(list->count, sizeof(**out));
	if (*out == NULL)
		return HF_ERR_NO_MEMORY;
	for (const struct hcl_node *n = list->first; n != NULL; n = n->next) {
		err = subject_parse(n->text, &(*out)[*count], &why);
		if (err == HF_ERR_NO_MEMORY)
			return err;
		if (err != HF_OK)
			return refuse(p, n, "%s", why.text);
		(*count)++;
	}
	return HF_OK;
}

static enum hf_err
read_bind_member(
    const struct parse *p, const struct hcl_node *n, struct policy_bind *bind)
{
	if (text_is(n->key, "subjects"))
		return read_subjects(
		    p, n, &bind->subjects, &bind->subject_count);
	if (text_is(n->key, "require"))
		return read_subjects(
		    p, n, &bind->require, &bind->require_count);
	if (text_is(n->key, "comment"))
		return want_kind(p, n, HCL_STRING);
	if (!text_is(n->key, "policies"))
		return refuse(
		    p, n, "a bind block has no member \"%.60s\"", n->key.ptr);
	bind->policies = n;
	if (n->count == 0)
		return refuse(p, n, "policies: a list of names expected");
	return want_strings(p, n);
}

static enum hf_err
read_bind(const struct parse *p, const struct hcl_node *block)
{
	struct policy *policy = p->policy;
	struct policy_bind *grown, *bind;
	enum hf_err err;

	if ((err = want_kind(p, block, HCL_OBJECT)) != HF_OK)
		return err;
	grown =
	    reallocarray(policy->binds, policy->bind_count + 1, sizeof(*grown));
	if (grown == NULL)
		return HF_ERR_NO_MEMORY;
	policy->binds = grown;
	bind = &grown[policy->bind_count++];
	*bind = (struct policy_bind){ .node = block };
	for (const struct hcl_node *n = block->first; n != NULL; n = n->next) {
		if (hcl_get(block, n->key.ptr) != n)
			return refuse(p, n, "%.60s is given twice", n->key.ptr);
		if ((err = read_bind_member(p, n, bind)) != HF_OK)
			return err;
	}
	if (bind->subject_count == 0)
		return refuse(p, block, "a bind block needs subjects = [...]");
	return HF_OK;
}

static enum hf_err
read_top(const struct parse *p, const struct hcl_node *n)
{
	if (text_is(n->key, "path"))
		return read_paths(p, n);
	if (text_is(n->key, "bind"))
		return read_bind(p, n);
	if (text_is(n->key, "name")) /* Vault ignores it too */
		return want_kind(p, n, HCL_STRING);
	return refuse(p, n,
	    "\"%.60s\" is not known here; path and bind blocks "
	    "expected",
	    n->key.ptr);
}

enum hf_err
policy_parse(const char *name, struct hcl_file *file, struct policy *out,
    struct hf_why *why)
{
	struct parse p = { .file = file, .policy = out, .why = why };
	const struct hcl_node *root = hcl_root(file);
	enum hf_err err;

	*out = (struct policy){ .name = strdup(name), .file = file };
	if (out->name == NULL)
		return HF_ERR_NO_MEMORY;
	for (const struct hcl_node *n = root->first; n != NULL; n = n->next)
		if ((err = read_top(&p, n)) != HF_OK)
			return err;
	return HF_OK;
}

static void
free_subjects(struct subject *subjects, size_t count)
{
	for (size_t i = 0; i < count; i++)
		subject_free(&subjects[i]);
	free(subjects);
}

void
policy_clear(struct policy *policy)
{
	for (size_t i = 0; i < policy->bind_count; i++) {
		struct policy_bind *bind = &policy->binds[i];

		free_subjects(bind->subjects, bind->subject_count);
		free_subjects(bind->require, bind->require_count);
	}
	free(policy->binds);
	free(policy->rules);
	free(policy->subjects);
	free(policy->name);
	hcl_free(policy->file);
	*policy = (struct policy){ 0 };
}
