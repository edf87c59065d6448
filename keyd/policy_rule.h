/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_POLICY_RULE_H
#define KEYD_POLICY_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hcl.h"
#include "policy.h"
#include "policy_template.h"

/*
 * What policy.c is made of: a policy as read from its file (policy_file.c),
 * the table that finds the deciding rules for a path (policy_match.c) and the
 * decision by them (policy_check.c). Only these and their tests include this.
 */
enum {
	POLICY_PATH_MAX = 1024, /* bytes of a path or pattern */
	POLICIES_MAX = 1024,    /* of a set, "root" included */
	POLICY_MASK_WORDS = POLICIES_MAX / 64,
};

/* A set of policies, by their index. */
struct policy_mask {
	uint64_t words[POLICY_MASK_WORDS];
};

static inline void
mask_add(struct policy_mask *mask, size_t i)
{
	mask->words[i / 64] |= UINT64_C(1) << (i % 64);
}

static inline bool
mask_has(const struct policy_mask *mask, size_t i)
{
	return (mask->words[i / 64] >> (i % 64) & 1) != 0;
}

/* One path block. The texts and nodes belong to the file's tree. */
struct policy_rule {
	struct hf_text pattern; /* without a leading "/"; NUL-terminated */
	const char *policy;
	const char *file;
	unsigned line;
	unsigned caps;   /* HF_CAP_DENY stands alone */
	bool wants_hsm;  /* min_level = "hsm" */
	bool wants_wrap; /* a wrapping TTL: never satisfied here */
	int64_t expires; /* seconds since 1970; 0: never */
	/* Checked at load: maps of lists of plain values, a list of strings.
	 * NULL: no such rule. */
	const struct hcl_node *allowed, *denied, *required;
	/* The same of contexts: values are templates (policy_template.h). */
	const struct hcl_node *context_allowed, *context_denied,
	    *context_required;
};

/* One bind block. */
struct policy_bind {
	const struct hcl_node *node;
	const struct hcl_node *policies; /* NULL: the policy of the file */
	struct subject *subjects, *require;
	size_t subject_count, require_count;
	struct policy_mask mask; /* filled by policy.c */
};

struct policy {
	char *name;
	struct hcl_file *file; /* NULL: built in */
	struct policy_rule *rules;
	size_t rule_count;
	struct policy_bind *binds;
	size_t bind_count;
	unsigned facts; /* bits of enum caller_fact that its rules take */
	const char **subjects; /* that it is bound to; filled by policy.c */
	size_t subject_count;
};

/* -- policy_file.c -- */

/*
 * Reads the rules and binds of `file`, which becomes the policy's also when
 * it is refused. policy_clear() in any case.
 */
enum hf_err policy_parse(const char *name, struct hcl_file *file,
    struct policy *out, struct hf_why *why);
void policy_clear(struct policy *policy);

/* -- policy_match.c -- */

/* All rules with one pattern. */
struct policy_entry {
	const struct policy_rule **rules;
	size_t rule_count;
	struct hf_text pattern;
	size_t head;   /* bytes before the first wildcard */
	unsigned plus; /* "+" segments */
	bool star;     /* ends in "*" */
};

struct policy_table;

/* The rules of the policies in `mask`, ready for lookups. */
enum hf_err policy_table_new(const struct policy *policies, size_t count,
    const struct policy_mask *mask, struct policy_table **out);
void policy_table_free(struct policy_table *table);

/*
 * The entry that decides for `path`; NULL when nothing matches. `list`: the
 * operation is a list, so the path without its last "/" counts too.
 */
const struct policy_entry *policy_table_find(
    const struct policy_table *table, struct hf_text path, bool list);

/* -- policy_check.c -- */

bool policy_path_valid(struct hf_text path);

/* The capabilities that the rules of an entry grant together, now. */
unsigned policy_entry_caps(const struct policy_entry *entry);

/* Fills all of `verdict`; `entry` may be NULL. */
void policy_decide(const struct policy_entry *entry, unsigned caps,
    const struct policy_param *params, size_t param_count,
    const struct caller *caller, struct policy_verdict *verdict);

#endif
