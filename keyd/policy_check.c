/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../lib/bytes.h"
#include "policy_rule.h"

bool
policy_path_valid(struct hf_text path)
{
	size_t start = 0;

	if (path.ptr == NULL || path.len == 0 || path.len > POLICY_PATH_MAX ||
	    memchr(path.ptr, '\0', path.len) != NULL)
		return false;
	for (size_t i = 0; i <= path.len; i++) {
		struct hf_text segment = { path.ptr + start, i - start };

		if (i < path.len && path.ptr[i] != '/')
			continue;
		if (segment.len == 0 && (i < path.len || i == 0))
			return false; /* but "a/b/" is fine */
		if (text_is(segment, ".") || text_is(segment, ".."))
			return false;
		start = i + 1;
	}
	return true;
}

static bool
is_expired(const struct policy_rule *rule)
{
	return rule->expires != 0 && (int64_t)time(NULL) >= rule->expires;
}

unsigned
policy_entry_caps(const struct policy_entry *entry)
{
	unsigned caps = 0;

	for (size_t i = 0; i < entry->rule_count; i++) {
		const struct policy_rule *rule = entry->rules[i];

		if (rule->caps & HF_CAP_DENY)
			return HF_CAP_DENY;
		if (!is_expired(rule))
			caps |= rule->caps;
	}
	return caps;
}

/* -- Parameters -- */

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static bool
same_name(struct hf_text a, const char *b)
{
	for (size_t i = 0; i < a.len; i++)
		if (b[i] == '\0' || lower(a.ptr[i]) != lower(b[i]))
			return false;
	return b[a.len] == '\0';
}

static const struct hcl_node *
find_name(const struct hcl_node *map, const char *name)
{
	for (const struct hcl_node *n = map->first; n != NULL; n = n->next)
		if (same_name(n->key, name))
			return n;
	return NULL;
}

static bool
contains(struct hf_text t, struct hf_text part)
{
	return part.len == 0 ||
	    memmem(t.ptr, t.len, part.ptr, part.len) != NULL;
}

static bool
ends(struct hf_text t, struct hf_text end)
{
	return t.len >= end.len &&
	    text_equal(
		(struct hf_text){ t.ptr + t.len - end.len, end.len }, end);
}

/* "*" at either end of a glob of two or more bytes stands for anything. */
static bool
glob_matches(struct hf_text glob, struct hf_text value)
{
	bool front = glob.len >= 2 && glob.ptr[0] == '*';
	bool back = glob.len >= 2 && glob.ptr[glob.len - 1] == '*';
	struct hf_text core = { glob.ptr + front,
		glob.len - (size_t)front - (size_t)back };

	if (front && back)
		return contains(value, core);
	if (front)
		return ends(value, core);
	if (back)
		return text_starts(value, core);
	return text_equal(glob, value);
}

static bool
value_matches(const struct hcl_node *node, struct hf_text value)
{
	char decimal[24];

	if (node->kind == HCL_STRING)
		return glob_matches(node->text, value);
	if (node->kind != HCL_NUMBER || !node->integer)
		return text_equal(node->text, value);
	/* However it is spelled in the file: 0x10 is 16. */
	(void)snprintf(
	    decimal, sizeof(decimal), "%lld", (long long)node->number);
	return text_is(value, decimal);
}

/* Whether the list names the value; an empty list names all. */
static bool
list_has(const struct hcl_node *list, struct hf_text value)
{
	if (list->count == 0)
		return true;
	for (const struct hcl_node *n = list->first; n != NULL; n = n->next)
		if (value_matches(n, value))
			return true;
	return false;
}

/*
 * In Vault a lone "*" in a list of values is an asterisk. Whoever writes it
 * into denied_parameters means anything, so there it is that too.
 */
static bool
denies_value(const struct hcl_node *list, struct hf_text value)
{
	if (list_has(list, value))
		return true;
	for (const struct hcl_node *n = list->first; n != NULL; n = n->next)
		if (n->kind == HCL_STRING && text_is(n->text, "*"))
			return true;
	return false;
}

static const struct policy_rule *
denying_rule(const struct policy_entry *e, const struct policy_param *param)
{
	for (size_t i = 0; i < e->rule_count; i++) {
		const struct hcl_node *map = e->rules[i]->denied, *list;

		if (map == NULL)
			continue;
		if (find_name(map, "*") != NULL)
			return e->rules[i];
		list = find_name(map, param->name);
		if (list != NULL && denies_value(list, param->value))
			return e->rules[i];
	}
	return NULL;
}

/*
 * As if the lists of all rules were one: a name that any of them gives values
 * for is bound to the values of all; "*" lets in names that none mentions.
 */
static bool
param_allowed(const struct policy_entry *e, const struct policy_param *param)
{
	bool restricted = false, named = false, all = false;

	for (size_t i = 0; i < e->rule_count; i++) {
		const struct hcl_node *map = e->rules[i]->allowed, *list;

		if (map == NULL)
			continue;
		restricted = true;
		list = find_name(map, param->name);
		named = named || list != NULL;
		if (is_expired(e->rules[i]))
			continue; /* it restricts, but lets nothing in */
		all = all || find_name(map, "*") != NULL;
		if (list != NULL && list_has(list, param->value))
			return true;
	}
	return !restricted || (!named && all);
}

static bool
has_param(const struct policy_param *params, size_t count, struct hf_text name)
{
	for (size_t i = 0; i < count; i++)
		if (params[i].name != NULL && same_name(name, params[i].name))
			return true;
	return false;
}

static const struct policy_rule *
unsatisfied_rule(const struct policy_entry *e,
    const struct policy_param *params, size_t count)
{
	for (size_t i = 0; i < e->rule_count; i++) {
		const struct hcl_node *list = e->rules[i]->required;

		if (list == NULL)
			continue;
		for (const struct hcl_node *n = list->first; n != NULL;
		     n = n->next)
			if (!has_param(params, count, n->text))
				return e->rules[i];
	}
	return NULL;
}

/* -- Contexts: names as they are, values with templates -- */

static const struct hcl_node *
find_exact(const struct hcl_node *map, struct hf_text name)
{
	for (const struct hcl_node *n = map->first; n != NULL; n = n->next)
		if (text_equal(n->key, name))
			return n;
	return NULL;
}

/* Whether one of the values matches; `doubt` is what an unknown one does. */
static bool
values_have(const struct hcl_node *list, const struct caller *caller,
    struct hf_text value, bool doubt)
{
	if (list->count == 0)
		return true;
	for (const struct hcl_node *n = list->first; n != NULL; n = n->next) {
		enum template_match match =
		    template_matches(n->text, caller, value);

		if (match == TEMPLATE_YES ||
		    (match == TEMPLATE_UNKNOWN && doubt))
			return true;
	}
	return false;
}

static const struct policy_rule *
pair_denying_rule(const struct policy_entry *e, const struct hf_pair *pair,
    const struct caller *caller)
{
	for (size_t i = 0; i < e->rule_count; i++) {
		const struct hcl_node *map = e->rules[i]->context_denied;
		const struct hcl_node *all, *list;

		if (map == NULL)
			continue;
		all = find_exact(map, TEXT("*"));
		list = find_exact(map, pair->name);
		if ((all != NULL &&
			values_have(all, caller, pair->value, true)) ||
		    (list != NULL &&
			values_have(list, caller, pair->value, true)))
			return e->rules[i];
	}
	return NULL;
}

/* As param_allowed: the lists of all rules are one. NULL: it is; else one of
 * the rules that are in the way. */
static const struct policy_rule *
pair_refusing_rule(const struct policy_entry *e, const struct hf_pair *pair,
    const struct caller *caller)
{
	const struct policy_rule *in_the_way = NULL;
	bool named = false, all = false;

	for (size_t i = 0; i < e->rule_count; i++) {
		const struct hcl_node *map = e->rules[i]->context_allowed;
		const struct hcl_node *list;

		if (map == NULL)
			continue;
		list = find_exact(map, pair->name);
		if (in_the_way == NULL || (list != NULL && !named))
			in_the_way = e->rules[i];
		named = named || list != NULL;
		if (is_expired(e->rules[i]))
			continue;
		all = all || find_exact(map, TEXT("*")) != NULL;
		if (list != NULL &&
		    values_have(list, caller, pair->value, false))
			return NULL;
	}
	return !named && all ? NULL : in_the_way;
}

static bool
has_pair(const struct policy_param *params, size_t count, struct hf_text name)
{
	for (size_t i = 0; i < count; i++)
		if (params[i].name == NULL &&
		    text_equal(params[i].pair.name, name))
			return true;
	return false;
}

/* Names that are required, and names that have values to choose from. */
static const struct policy_rule *
context_wanting_rule(const struct policy_entry *e,
    const struct policy_param *params, size_t count)
{
	for (size_t i = 0; i < e->rule_count; i++) {
		const struct hcl_node *list = e->rules[i]->context_required;
		const struct hcl_node *map = e->rules[i]->context_allowed;

		for (const struct hcl_node *n = list != NULL ? list->first
							     : NULL;
		     n != NULL; n = n->next)
			if (!has_pair(params, count, n->text))
				return e->rules[i];
		for (const struct hcl_node *n = map != NULL ? map->first : NULL;
		     n != NULL; n = n->next)
			if (n->count > 0 && !has_pair(params, count, n->key))
				return e->rules[i];
	}
	return NULL;
}

/* -- The decision -- */

static void
conclude(struct policy_verdict *v, const struct policy_rule *rule, bool allowed,
    const char *reason)
{
	*v = (struct policy_verdict){ .allowed = allowed, .reason = reason };
	if (rule == NULL)
		return;
	v->pattern = rule->pattern.ptr;
	v->policy = rule->policy;
	v->file = rule->file;
	v->line = rule->line;
}

enum {
	CHECKED = HF_CAP_CREATE | HF_CAP_READ | HF_CAP_UPDATE | HF_CAP_PATCH,
};

/* The same on the context. */
static bool
context_refused(const struct policy_entry *e, unsigned caps,
    const struct policy_param *params, size_t count,
    const struct caller *caller, struct policy_verdict *v)
{
	const struct policy_rule *rule;

	for (size_t i = 0; i < count; i++)
		if (params[i].name == NULL &&
		    (rule = pair_denying_rule(e, &params[i].pair, caller)) !=
			NULL) {
			conclude(
			    v, rule, false, "a value of the context is denied");
			return true;
		}
	if ((caps & CHECKED) == 0)
		return false;
	if ((rule = context_wanting_rule(e, params, count)) != NULL) {
		conclude(v, rule, false, "a name of the context is missing");
		return true;
	}
	for (size_t i = 0; i < count; i++)
		if (params[i].name == NULL &&
		    (rule = pair_refusing_rule(e, &params[i].pair, caller)) !=
			NULL) {
			conclude(v, rule, false,
			    "a name or value of the context is not allowed");
			return true;
		}
	return false;
}

/* Sets the verdict to no, and tells whether it did, on any parameter. */
static bool
params_refused(const struct policy_entry *e, unsigned caps,
    const struct policy_param *params, size_t count, struct policy_verdict *v)
{
	const struct policy_rule *rule;

	for (size_t i = 0; i < count; i++)
		if (params[i].name != NULL &&
		    (rule = denying_rule(e, &params[i])) != NULL) {
			conclude(v, rule, false, "a parameter is denied");
			return true;
		}
	if ((caps & CHECKED) == 0)
		return false;
	if ((rule = unsatisfied_rule(e, params, count)) != NULL) {
		conclude(v, rule, false, "a required parameter is missing");
		return true;
	}
	for (size_t i = 0; i < count; i++)
		if (params[i].name != NULL && !param_allowed(e, &params[i])) {
			conclude(v, e->rules[0], false,
			    "a parameter or its value is not allowed");
			return true;
		}
	return false;
}

/* The first rule that stands in the way whatever the parameters are. */
static const struct policy_rule *
blocking_rule(const struct policy_entry *e, const char **reason)
{
	for (size_t i = 0; i < e->rule_count; i++)
		if (e->rules[i]->caps & HF_CAP_DENY) {
			*reason = "the rule denies";
			return e->rules[i];
		}
	for (size_t i = 0; i < e->rule_count; i++)
		if (e->rules[i]->wants_wrap) {
			*reason = "the rule asks for response wrapping, which "
				  "this service does not do";
			return e->rules[i];
		}
	return NULL;
}

/* The rule to name for a yes: the first that grants any of it. */
static const struct policy_rule *
granting_rule(const struct policy_entry *e, unsigned caps)
{
	for (size_t i = 0; i < e->rule_count; i++)
		if ((e->rules[i]->caps & caps) && !is_expired(e->rules[i]))
			return e->rules[i];
	return e->rules[0];
}

static const char *
why_not_granted(const struct policy_entry *e, unsigned caps)
{
	for (size_t i = 0; i < e->rule_count; i++)
		if ((e->rules[i]->caps & caps) && is_expired(e->rules[i]))
			return "the rule has expired";
	return "the rule does not grant this capability";
}

void
policy_decide(const struct policy_entry *entry, unsigned caps,
    const struct policy_param *params, size_t param_count,
    const struct caller *caller, struct policy_verdict *verdict)
{
	const struct policy_rule *rule;
	const char *reason = NULL;

	if (entry == NULL) {
		conclude(verdict, NULL, false, "no rule matches the path");
		return;
	}
	if ((rule = blocking_rule(entry, &reason)) != NULL) {
		conclude(verdict, rule, false, reason);
		return;
	}
	if (caps == 0 || (caps & ~policy_entry_caps(entry)) != 0) {
		conclude(verdict, entry->rules[0], false,
		    why_not_granted(entry, caps));
		return;
	}
	if (params_refused(entry, caps, params, param_count, verdict) ||
	    context_refused(entry, caps, params, param_count, caller, verdict))
		return;
	conclude(
	    verdict, granting_rule(entry, caps), true, "the rule grants it");
}
