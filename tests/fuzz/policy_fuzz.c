/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "../../keyd/policy_rule.h"
#include "../../lib/bytes.h"

/* The first line is the path that is asked about, the rest is the policy. */

static void
ask(const struct policy_table *table, struct hf_text path)
{
	const struct policy_param params[] = {
		{ .name = "key_version", .value = TEXT("3") },
		{ .name = "hash_algorithm", .value = TEXT("sha2-256") },
		{ .pair = { TEXT("tenant"), TEXT("acme.service") } },
	};
	char unit[] = "acme.service";
	const struct caller caller = { .facts = { [CALLER_UNIT] = unit } };
	struct policy_verdict verdict;

	for (unsigned caps = 0; caps < 256; caps++) {
		const struct policy_entry *e =
		    policy_table_find(table, path, (caps & HF_CAP_LIST) != 0);

		policy_decide(e, caps, params, 3, &caller, &verdict);
		assert(verdict.reason != NULL);
		if (verdict.allowed)
			assert(caps != 0 && e != NULL &&
			    (caps & ~policy_entry_caps(e)) == 0 &&
			    (caps & HF_CAP_DENY) == 0);
	}
}

static void
check(struct hcl_file *file, struct hf_text path)
{
	struct policy policy;
	struct policy_table *table;
	const struct policy_mask mask = { { 1 } };
	struct hf_why why = { "" };

	if (policy_parse("p", file, &policy, &why) != HF_OK) {
		assert(strncmp(why.text, "fuzz:", 5) == 0);
	} else if (policy_table_new(&policy, 1, &mask, &table) == HF_OK) {
		ask(table, path);
		policy_table_free(table);
	}
	policy_clear(&policy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nl = size == 0 ? NULL : memchr(data, '\n', size);
	struct hf_text path, source;
	struct hcl_file *file;
	struct hf_why why;

	if (nl == NULL)
		return 0;
	path = (struct hf_text){ (const char *)data, (size_t)(nl - data) };
	source = (struct hf_text){ (const char *)nl + 1, size - path.len - 1 };
	if (!policy_path_valid(path) ||
	    hcl_parse("fuzz", source, HF_ERR_BAD_POLICY, &file, &why) != HF_OK)
		return 0;
	check(file, path);
	return 0;
}
