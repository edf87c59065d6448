/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_POLICY_H
#define KEYD_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast/bytes.h>
#include <holdfast/err.h>
#include <holdfast/ops.h>

#include "identity.h"

/*
 * What callers may do: Vault's policy files, and who they are for.
 *
 *	path "transit/encrypt/payments" { capabilities = ["update"] }
 *	bind { policies = ["payments"]  subjects = ["unit:shop.service"] }
 *
 * Each *.hcl and *.json file of the policy folder is a policy named after it;
 * other files are passed over. Names are as in name_valid(); two that differ
 * only in case are refused. "root" is built in, may do everything, and needs a
 * bind like any other.
 *
 * `bind` blocks stand in any file; without `policies` they speak of their own
 * file. One of the `subjects` must name the caller (identity.h), and every
 * one of `require`, where it is given:
 *
 *	bind { subjects = ["exe:/usr/sbin/nginx"]  require = ["user:www-data"] }
 *
 * Matching is Vault's: "*" only at the end, "+" is one whole segment; of the
 * patterns that match, the most specific alone decides (exact, then first
 * wildcard later, then not ending in "*", then fewer "+", then longer, then
 * lexicographically larger); the same pattern in several policies is the union
 * and deny wins; no pattern, no access. For a list of "a/b/" the patterns that
 * match "a/b" compete too, exact ones after those of "a/b/" itself, so that a
 * deny of either form holds (GHSA-xp3c-3jw3-4vcr).
 *
 * Parameter rules are Vault's: names without regard to case, values with "*"
 * at either end; allowed_ and required_parameters concern create, read, update
 * and patch, denied_parameters everything. Rules of the same pattern share
 * them. Beyond Vault: min_level = "hsm".
 *
 * Beyond Vault, too, rules about the encryption context of a request, with
 * names and values as they are and templates in values (policy_template.h):
 *
 *	required_context = ["purpose"]                   these names are there
 *	allowed_context  = { "tenant" = ["{{caller.unit}}"]    with such a value
 *	                     "note" = [] }               any value, or not there
 *	denied_context   = { "tenant" = ["root*"] }      not this one
 *
 * A name that allowed_context gives values for must be there. "*" as a name of
 * allowed_context lets in names that no rule mentions; as one of denied_context
 * it stands for every name. What cannot be filled matches no value that is
 * allowed and every one that is denied.
 *
 * Where Vault lets more pass than a reader of the policy expects, less passes:
 * what a rule past its `expiration` grants is gone but what it forbids stays;
 * a rule with min_ or max_wrapping_ttl refuses, for nothing is wrapped here;
 * mfa_methods, control_group, pagination_limit, templates ("{{") and a "*"
 * inside of a path are refused at load. So is whatever is not understood.
 *
 * A loaded set is immutable. Readers pin it through a grant.
 */
struct policy_store;

/* Loads the folder, as policy_reload(). HF_ERR_BAD_POLICY. */
enum hf_err policy_open(
    const char *folder, struct policy_store **out, struct hf_why *why);
void policy_close(struct policy_store *ps);

/*
 * Loads the folder anew and puts the set in force as a whole; on any error
 * the old one stays and `why` has file, line and reason. In a dry run
 * (effects.h) the files are checked: HF_ERR_DRY_RUN when they are fine.
 */
enum hf_err policy_reload(struct policy_store *ps, struct hf_why *why);

/* Counts up with each load. Any thread, without a lock. */
uint64_t policy_generation(const struct policy_store *ps);

/*
 * What one identity may do under one loaded set: the rules of all policies
 * bound to it, merged, ready for lookups. Refcounted, made once a connection
 * and generation; each I/O thread keeps its own pointers.
 */
struct policy_grant;
enum hf_err policy_grant_for(struct policy_store *ps, const struct identity *id,
    struct policy_grant **out);
struct policy_grant *policy_grant_ref(struct policy_grant *grant);
void policy_grant_free(struct policy_grant *grant); /* drops one reference */
/* The generation that it was made from: compare with policy_generation(). */
uint64_t policy_grant_generation(const struct policy_grant *grant);
/* Whether any bound rule speaks of exe: or unit: (see identity_still_valid). */
bool policy_grant_pins_process(const struct policy_grant *grant);

/* Why it was decided so. Texts live as long as the grant. */
struct policy_verdict {
	bool allowed;
	const char *pattern; /* NULL: no rule matched */
	const char *policy;
	const char *file;
	unsigned line;
	const char *reason; /* a constant half sentence */
};

/*
 * One parameter of a request, for parameter rules: a field that was given,
 * but not the one that stands in the path; or a pair of the context. A list is
 * given item by item, under the same name; every item must pass.
 */
struct policy_param {
	const char *name;     /* NULL: a pair of the context */
	struct hf_text value; /* numbers in decimal, bool as true/false */
	struct hf_pair pair;
};

/*
 * May it? `path` is checked again for "..", "." and empty segments, which are
 * refused ("a/b/" is a path, for lists). All bits of `caps` are needed.
 * `params` may be NULL when the grant has no parameter rules for the path
 * (policy_wants_params tells). `verdict` may be NULL. Allocates nothing.
 */
bool policy_check(const struct policy_grant *grant, struct hf_text path,
    unsigned caps, const struct policy_param *params, size_t param_count,
    struct policy_verdict *verdict);
bool policy_wants_params(const struct policy_grant *grant, struct hf_text path);
/* The set of capabilities on a path (Vault's sys/capabilities). */
unsigned policy_caps(const struct policy_grant *grant, struct hf_text path);
/* The protection level that the deciding pattern demands: true for hsm. */
bool policy_demands_hsm(const struct policy_grant *grant, struct hf_text path);

/*
 * The same questions when there are several about one path: its rules are
 * looked up once. A view of the grant, not a reference.
 */
struct policy_entry;
struct policy_look {
	const struct policy_grant *grant;
	bool valid;                       /* the path is one */
	const struct policy_entry *entry; /* NULL: no rule, or root */
	const struct policy_entry *list;  /* for the capability list */
};
struct policy_look policy_look(
    const struct policy_grant *grant, struct hf_text path);
bool policy_look_check(const struct policy_look *look, unsigned caps,
    const struct policy_param *params, size_t param_count,
    struct policy_verdict *verdict);
bool policy_look_wants_params(const struct policy_look *look);
bool policy_look_demands_hsm(const struct policy_look *look);

/* For listing; `each` gets every policy of the set in force. */
struct policy_info {
	const char *name;
	const char *file;
	size_t rules;
	const char *const *subjects; /* as written */
	size_t subject_count;
};
void policy_each(struct policy_store *ps,
    void (*each)(void *ctx, const struct policy_info *info), void *ctx);
/* Whether no policy at all is bound in a grant. */
bool policy_grant_is_empty(const struct policy_grant *grant);
/* Names of the policies bound in a grant. */
size_t policy_grant_names(
    const struct policy_grant *grant, const char **names, size_t cap);

#endif
