/* SPDX-License-Identifier: Apache-2.0 */
#include "policy_set.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "../lib/bytes.h"
#include "../lib/name.h"

/* -- Sets -- */

void
policy_set_unref(struct policy_set *set)
{
	if (set == NULL || atomic_fetch_sub(&set->refs, 1) != 1)
		return;
	for (size_t i = 0; i < set->cached; i++)
		policy_table_free(set->cache[i].table);
	for (size_t i = 0; i < set->count; i++)
		policy_clear(&set->policies[i]);
	free(set->policies);
	(void)pthread_mutex_destroy(&set->lock);
	free(set);
}

static enum hf_err
set_new(struct policy_set **out)
{
	struct policy_set *set = calloc(1, sizeof(*set));

	if (set == NULL)
		return HF_ERR_NO_MEMORY;
	if (pthread_mutex_init(&set->lock, NULL) != 0) {
		free(set);
		return HF_ERR_NO_MEMORY;
	}
	atomic_init(&set->refs, 1);
	set->policies = calloc(POLICIES_MAX, sizeof(*set->policies));
	if (set->policies != NULL)
		set->policies[POLICY_ROOT].name = strdup("root");
	set->count = 1;
	if (set->policies == NULL || set->policies[POLICY_ROOT].name == NULL) {
		set->count = set->policies == NULL ? 0 : 1;
		policy_set_unref(set);
		return HF_ERR_NO_MEMORY;
	}
	*out = set;
	return HF_OK;
}

/* -- Loading -- */

/* The length of the name without ".hcl" or ".json"; 0 for other files. */
static size_t
stem_length(const char *file)
{
	static const char *const ends[] = { ".hcl", ".json" };
	size_t len = strlen(file);

	for (size_t i = 0; i < 2; i++) {
		size_t end = strlen(ends[i]);

		if (file[0] != '.' && len > end &&
		    strcmp(file + len - end, ends[i]) == 0)
			return len - end;
	}
	return 0;
}

static int
is_policy_file(const struct dirent *entry)
{
	return stem_length(entry->d_name) > 0;
}

/* Byte order, whatever the locale says. */
static int
by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static enum hf_err
check_name(const struct policy_set *set, const char *path, const char *name,
    struct hf_why *why)
{
	if (!name_valid(text_of(name)))
		return hf_fail(why, HF_ERR_BAD_POLICY,
		    "%s: the name of a policy is 1 to 128 of a-z A-Z 0-9 . _ - "
		    "and starts with a letter or a digit",
		    path);
	for (size_t i = 0; i < set->count; i++) {
		if (strcasecmp(set->policies[i].name, name) != 0)
			continue;
		if (i == POLICY_ROOT)
			return hf_fail(why, HF_ERR_BAD_POLICY,
			    "%s: the policy \"root\" is built in", path);
		return hf_fail(why, HF_ERR_BAD_POLICY,
		    "%s: there is a policy \"%s\" already", path,
		    set->policies[i].name);
	}
	if (set->count == POLICIES_MAX)
		return hf_fail(why, HF_ERR_BAD_POLICY,
		    "%s: more than %d policies", path, POLICIES_MAX - 1);
	return HF_OK;
}

static enum hf_err
load_file(struct policy_set *set, const char *path, const char *name,
    struct hf_why *why)
{
	struct hcl_file *file = NULL;
	enum hf_err err;

	if ((err = check_name(set, path, name, why)) != HF_OK ||
	    (err = hcl_load(path, HF_ERR_BAD_POLICY, &file, why)) != HF_OK)
		return err;
	return policy_parse(name, file, &set->policies[set->count++], why);
}

static enum hf_err
load_entry(struct policy_set *set, const char *folder, const char *entry,
    struct hf_why *why)
{
	char *path = NULL, *name = NULL;
	enum hf_err err = HF_ERR_NO_MEMORY;

	if (asprintf(&path, "%s/%s", folder, entry) < 0)
		path = NULL;
	name = strndup(entry, stem_length(entry));
	if (path != NULL && name != NULL)
		err = load_file(set, path, name, why);
	free(path);
	free(name);
	return err;
}

/* Whoever may add a file to the folder decides who may do what. */
static enum hf_err
check_folder(const char *folder, struct hf_why *why)
{
	struct stat st;

	if (stat(folder, &st) != 0)
		return hf_fail(
		    why, HF_ERR_BAD_POLICY, "%s: %s", folder, strerror(errno));
	if (st.st_mode & S_IWOTH)
		return hf_fail(why, HF_ERR_BAD_POLICY,
		    "%s: anybody may write to this folder; take that away with "
		    "chmod o-w",
		    folder);
	return HF_OK;
}

static enum hf_err
load_folder(struct policy_set *set, const char *folder, struct hf_why *why)
{
	struct dirent **entries;
	enum hf_err err;
	int count;

	if ((err = check_folder(folder, why)) != HF_OK)
		return err;
	count = scandir(folder, &entries, is_policy_file, by_name);
	if (count < 0)
		return hf_fail(
		    why, HF_ERR_BAD_POLICY, "%s: %s", folder, strerror(errno));
	for (int i = 0; i < count; i++) {
		if (err == HF_OK)
			err = load_entry(set, folder, entries[i]->d_name, why);
		free(entries[i]);
	}
	free(entries);
	return err;
}

/* -- Binds -- */

static bool
find_policy(const struct policy_set *set, struct hf_text name, size_t *out)
{
	for (size_t i = 0; i < set->count; i++)
		if (text_is(name, set->policies[i].name)) {
			*out = i;
			return true;
		}
	return false;
}

/* Which policies a bind block of policy `own` speaks of. */
static enum hf_err
resolve_bind(const struct policy_set *set, size_t own, struct policy_bind *bind,
    struct hf_why *why)
{
	size_t i;

	if (bind->policies == NULL) {
		mask_add(&bind->mask, own);
		return HF_OK;
	}
	for (const struct hcl_node *n = bind->policies->first; n != NULL;
	     n = n->next) {
		if (!find_policy(set, n->text, &i))
			return hcl_fail(set->policies[own].file, n, why,
			    "there is no policy \"%.60s\"", n->text.ptr);
		mask_add(&bind->mask, i);
	}
	return HF_OK;
}

/* Notes the subjects of a bind, as written, in the policies it speaks of. */
static enum hf_err
note_subjects(struct policy_set *set, const struct policy_bind *bind)
{
	const struct hcl_node *list = hcl_get(bind->node, "subjects");

	for (size_t i = 0; i < set->count; i++) {
		struct policy *policy = &set->policies[i];
		const char **grown;

		if (!mask_has(&bind->mask, i))
			continue;
		grown = reallocarray(policy->subjects,
		    policy->subject_count + list->count, sizeof(grown[0]));
		if (grown == NULL)
			return HF_ERR_NO_MEMORY;
		policy->subjects = grown;
		for (const struct hcl_node *n = list->first; n != NULL;
		     n = n->next)
			grown[policy->subject_count++] = n->text.ptr;
	}
	return HF_OK;
}

static enum hf_err
resolve_binds(struct policy_set *set, struct hf_why *why)
{
	enum hf_err err;

	for (size_t i = 0; i < set->count; i++)
		for (size_t j = 0; j < set->policies[i].bind_count; j++) {
			struct policy_bind *bind = &set->policies[i].binds[j];

			if ((err = resolve_bind(set, i, bind, why)) != HF_OK ||
			    (err = note_subjects(set, bind)) != HF_OK)
				return err;
		}
	return HF_OK;
}

enum hf_err
policy_set_load(const char *folder, struct policy_set **out, struct hf_why *why)
{
	struct policy_set *set;
	enum hf_err err;

	if ((err = set_new(&set)) != HF_OK)
		return err;
	if ((err = load_folder(set, folder, why)) != HF_OK ||
	    (err = resolve_binds(set, why)) != HF_OK) {
		policy_set_unref(set);
		return err;
	}
	*out = set;
	return HF_OK;
}
