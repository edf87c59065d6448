/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "../../keyd/hcl.h"

/* Walks a whole tree, so that every byte of it is read. */
static size_t
weigh(const struct hcl_node *node)
{
	size_t sum = node->key.len + node->text.len, count = 0;

	if (node->text.ptr != NULL)
		assert(node->text.ptr[node->text.len] == '\0');
	for (const struct hcl_node *n = node->first; n != NULL; n = n->next) {
		sum += weigh(n);
		count++;
	}
	assert(count == node->count);
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hf_text source = { (const char *)data, size };
	struct hcl_file *file = NULL;
	struct hf_why why = { "" };
	enum hf_err err;

	err = hcl_parse("fuzz", source, HF_ERR_BAD_POLICY, &file, &why);
	if (err != HF_OK) {
		assert(err == HF_ERR_BAD_POLICY);
		assert(strncmp(why.text, "fuzz:", 5) == 0);
		return 0;
	}
	assert(weigh(hcl_root(file)) <= 2 * size);
	hcl_free(file);
	return 0;
}
