/* SPDX-License-Identifier: Apache-2.0 */
#include "policy.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/bytes.h"
#include "effects.h"
#include "policy_set.h"

struct policy_store {
	char *folder;
	pthread_mutex_t reload; /* one load at a time */
	pthread_mutex_t lock;   /* of `set` */
	struct policy_set *set;
	atomic_uint_least64_t generation;
};

struct policy_grant {
	atomic_uint refs;
	struct policy_set *set;
	const struct policy_table *table;
	struct policy_table *own_table; /* when the cache was full */
	struct policy_mask mask;
	bool pins_process;
	struct caller caller; /* as far as its rules speak of the caller */
};

/* -- The store of the set in force -- */

static struct policy_set *
set_ref(struct policy_store *ps)
{
	struct policy_set *set;

	(void)pthread_mutex_lock(&ps->lock);
	set = ps->set;
	atomic_fetch_add(&set->refs, 1);
	(void)pthread_mutex_unlock(&ps->lock);
	return set;
}

enum hf_err
policy_reload(struct policy_store *ps, struct hf_why *why)
{
	struct policy_set *set = NULL, *old;
	enum hf_err err;

	(void)pthread_mutex_lock(&ps->reload);
	err = policy_set_load(ps->folder, &set, why);
	if (err == HF_OK && effects_dry()) {
		effects_note("update", "policies", text_of(ps->folder));
		policy_set_unref(set);
		err = HF_ERR_DRY_RUN;
	}
	if (err == HF_OK) {
		set->generation = atomic_load(&ps->generation) + 1;
		(void)pthread_mutex_lock(&ps->lock);
		old = ps->set;
		ps->set = set;
		atomic_store(&ps->generation, set->generation);
		(void)pthread_mutex_unlock(&ps->lock);
		policy_set_unref(old);
	}
	(void)pthread_mutex_unlock(&ps->reload);
	return err;
}

enum hf_err
policy_open(const char *folder, struct policy_store **out, struct hf_why *why)
{
	struct policy_store *ps = calloc(1, sizeof(*ps));
	enum hf_err err;

	if (ps == NULL)
		return HF_ERR_NO_MEMORY;
	if (pthread_mutex_init(&ps->reload, NULL) != 0) {
		free(ps);
		return HF_ERR_NO_MEMORY;
	}
	if (pthread_mutex_init(&ps->lock, NULL) != 0) {
		(void)pthread_mutex_destroy(&ps->reload);
		free(ps);
		return HF_ERR_NO_MEMORY;
	}
	atomic_init(&ps->generation, 0);
	ps->folder = strdup(folder);
	err = ps->folder == NULL ? HF_ERR_NO_MEMORY : policy_reload(ps, why);
	if (err != HF_OK) {
		policy_close(ps);
		return err;
	}
	*out = ps;
	return HF_OK;
}

void
policy_close(struct policy_store *ps)
{
	if (ps == NULL)
		return;
	policy_set_unref(ps->set);
	(void)pthread_mutex_destroy(&ps->lock);
	(void)pthread_mutex_destroy(&ps->reload);
	free(ps->folder);
	free(ps);
}

uint64_t
policy_generation(const struct policy_store *ps)
{
	return atomic_load(&ps->generation);
}

void
policy_each(struct policy_store *ps,
    void (*each)(void *ctx, const struct policy_info *info), void *ctx)
{
	struct policy_set *set = set_ref(ps);

	for (size_t i = 0; i < set->count; i++) {
		const struct policy *policy = &set->policies[i];
		const struct policy_info info = {
			.name = policy->name,
			.file = i == POLICY_ROOT ? "" : hcl_name(policy->file),
			.rules = policy->rule_count,
			.subjects = policy->subjects,
			.subject_count = policy->subject_count,
		};

		each(ctx, &info);
	}
	policy_set_unref(set);
}

/* -- Grants -- */

static bool
is_of_process(const struct subject *subject)
{
	return subject->kind == SUBJECT_EXE || subject->kind == SUBJECT_UNIT;
}

/*
 * Whether a bind is for this identity. *pins is set when it is so only while
 * the process runs the same program.
 */
static bool
bind_applies(
    const struct policy_bind *bind, const struct identity *id, bool *pins)
{
	bool named = false, of_process = false;

	for (size_t i = 0; i < bind->subject_count; i++) {
		if (!subject_names(&bind->subjects[i], id))
			continue;
		named = true;
		of_process |= is_of_process(&bind->subjects[i]);
	}
	for (size_t i = 0; i < bind->require_count; i++) {
		if (!subject_names(&bind->require[i], id))
			return false;
		of_process |= is_of_process(&bind->require[i]);
	}
	*pins |= named && of_process;
	return named;
}

static void
bound_policies(const struct policy_set *set, const struct identity *id,
    struct policy_mask *mask, bool *pins)
{
	for (size_t i = 0; i < set->count; i++)
		for (size_t j = 0; j < set->policies[i].bind_count; j++) {
			const struct policy_bind *bind =
			    &set->policies[i].binds[j];

			if (!bind_applies(bind, id, pins))
				continue;
			for (size_t w = 0; w < POLICY_MASK_WORDS; w++)
				mask->words[w] |= bind->mask.words[w];
		}
}

static unsigned
bound_facts(const struct policy_set *set, const struct policy_mask *mask)
{
	unsigned facts = 0;

	for (size_t i = 0; i < set->count; i++)
		if (mask_has(mask, i))
			facts |= set->policies[i].facts;
	return facts;
}

static const struct policy_table *
cached(const struct policy_set *set, const struct policy_mask *mask)
{
	for (size_t i = 0; i < set->cached; i++)
		if (memcmp(&set->cache[i].mask, mask, sizeof(*mask)) == 0)
			return set->cache[i].table;
	return NULL;
}

/* The table of the grant's policies, from the cache or into it. */
static enum hf_err
find_table(struct policy_grant *grant)
{
	struct policy_set *set = grant->set;
	struct policy_table *table;
	enum hf_err err = HF_OK;

	(void)pthread_mutex_lock(&set->lock);
	grant->table = cached(set, &grant->mask);
	if (grant->table == NULL &&
	    (err = policy_table_new(
		 set->policies, set->count, &grant->mask, &table)) == HF_OK) {
		grant->table = table;
		if (set->cached < TABLES_CACHED)
			set->cache[set->cached++] =
			    (struct cached_table){ grant->mask, table };
		else
			grant->own_table = table;
	}
	(void)pthread_mutex_unlock(&set->lock);
	return err;
}

enum hf_err
policy_grant_for(struct policy_store *ps, const struct identity *id,
    struct policy_grant **out)
{
	struct policy_grant *grant = calloc(1, sizeof(*grant));
	unsigned facts;
	enum hf_err err;

	if (grant == NULL)
		return HF_ERR_NO_MEMORY;
	atomic_init(&grant->refs, 1);
	grant->set = set_ref(ps);
	bound_policies(grant->set, id, &grant->mask, &grant->pins_process);
	facts = bound_facts(grant->set, &grant->mask);
	grant->pins_process |= caller_is_of_process(facts);
	if ((err = caller_of(id, facts, &grant->caller)) != HF_OK ||
	    (err = find_table(grant)) != HF_OK) {
		policy_grant_free(grant);
		return err;
	}
	*out = grant;
	return HF_OK;
}

struct policy_grant *
policy_grant_ref(struct policy_grant *grant)
{
	atomic_fetch_add(&grant->refs, 1);
	return grant;
}

void
policy_grant_free(struct policy_grant *grant)
{
	if (grant == NULL || atomic_fetch_sub(&grant->refs, 1) != 1)
		return;
	policy_table_free(grant->own_table);
	caller_free(&grant->caller);
	policy_set_unref(grant->set);
	free(grant);
}

uint64_t
policy_grant_generation(const struct policy_grant *grant)
{
	return grant->set->generation;
}

bool
policy_grant_pins_process(const struct policy_grant *grant)
{
	return grant->pins_process;
}

/* Asked for each request: however many policies there are. */
bool
policy_grant_is_empty(const struct policy_grant *grant)
{
	uint64_t any = 0;

	for (size_t i = 0; i < POLICY_MASK_WORDS; i++)
		any |= grant->mask.words[i];
	return any == 0;
}

size_t
policy_grant_names(
    const struct policy_grant *grant, const char **names, size_t cap)
{
	size_t n = 0;

	for (size_t i = 0; i < grant->set->count; i++) {
		if (!mask_has(&grant->mask, i))
			continue;
		if (n < cap)
			names[n] = grant->set->policies[i].name;
		n++;
	}
	return n;
}

/* -- Questions -- */

static const struct policy_verdict root_verdict = {
	.allowed = true,
	.pattern = "*",
	.policy = "root",
	.file = "",
	.reason = "root may do everything",
};

static bool
is_root(const struct policy_grant *grant)
{
	return mask_has(&grant->mask, POLICY_ROOT);
}

/* Only "a/b/" may be one thing as itself and another as a list. */
struct policy_look
policy_look(const struct policy_grant *grant, struct hf_text path)
{
	struct policy_look look = { .grant = grant,
		.valid = policy_path_valid(path) };

	if (!look.valid || is_root(grant))
		return look;
	look.entry = policy_table_find(grant->table, path, false);
	look.list = path.ptr[path.len - 1] != '/'
	    ? look.entry
	    : policy_table_find(grant->table, path, true);
	return look;
}

bool
policy_look_check(const struct policy_look *look, unsigned caps,
    const struct policy_param *params, size_t param_count,
    struct policy_verdict *verdict)
{
	const struct policy_grant *grant = look->grant;
	struct policy_verdict ignored;

	if (verdict == NULL)
		verdict = &ignored;
	if (!look->valid)
		*verdict = (struct policy_verdict){
			.reason = "the path is empty, too long, or has an "
				  "empty, \".\" or \"..\" segment",
		};
	else if (is_root(grant))
		*verdict = root_verdict;
	else
		policy_decide(
		    (caps & HF_CAP_LIST) != 0 ? look->list : look->entry, caps,
		    params, param_count, &grant->caller, verdict);
	/* Said to who asks policy.test; a refused caller learns nothing. */
	if (!verdict->allowed && verdict->pattern == NULL && look->valid &&
	    policy_grant_is_empty(grant))
		verdict->reason = "no policy is bound to this caller";
	return verdict->allowed;
}

bool
policy_check(const struct policy_grant *grant, struct hf_text path,
    unsigned caps, const struct policy_param *params, size_t param_count,
    struct policy_verdict *verdict)
{
	struct policy_look look = policy_look(grant, path);

	return policy_look_check(&look, caps, params, param_count, verdict);
}

static bool
asks_about_params(const struct policy_rule *rule)
{
	return rule->allowed != NULL || rule->denied != NULL ||
	    rule->required != NULL || rule->context_allowed != NULL ||
	    rule->context_denied != NULL || rule->context_required != NULL;
}

static bool
wants_hsm(const struct policy_rule *rule)
{
	return rule->wants_hsm;
}

/* Whether a rule of either entry is so. */
static bool
any_rule(
    const struct policy_look *look, bool (*is)(const struct policy_rule *rule))
{
	const struct policy_entry *found[] = { look->entry,
		look->list == look->entry ? NULL : look->list };

	for (size_t i = 0; i < 2; i++)
		for (size_t j = 0; found[i] != NULL && j < found[i]->rule_count;
		     j++)
			if (is(found[i]->rules[j]))
				return true;
	return false;
}

bool
policy_look_wants_params(const struct policy_look *look)
{
	return any_rule(look, asks_about_params);
}

bool
policy_wants_params(const struct policy_grant *grant, struct hf_text path)
{
	struct policy_look look = policy_look(grant, path);

	return policy_look_wants_params(&look);
}

bool
policy_look_demands_hsm(const struct policy_look *look)
{
	return any_rule(look, wants_hsm);
}

bool
policy_demands_hsm(const struct policy_grant *grant, struct hf_text path)
{
	struct policy_look look = policy_look(grant, path);

	return policy_look_demands_hsm(&look);
}

unsigned
policy_caps(const struct policy_grant *grant, struct hf_text path)
{
	enum {
		ALL = HF_CAP_CREATE | HF_CAP_READ | HF_CAP_UPDATE |
		    HF_CAP_PATCH | HF_CAP_DELETE | HF_CAP_LIST | HF_CAP_SUDO,
	};
	const struct policy_entry *entry;

	if (!policy_path_valid(path))
		return HF_CAP_DENY;
	if (is_root(grant))
		return ALL;
	entry = policy_table_find(grant->table, path, true);
	return entry == NULL ? 0 : policy_entry_caps(entry);
}
