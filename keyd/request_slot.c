/* SPDX-License-Identifier: Apache-2.0 */
#include "request_slot.h"

#include <stdlib.h>
#include <string.h>

struct request_memo *
request_memo_find(
    const struct request_slot *slot, const struct op *op, struct hf_text name)
{
	struct request_memo *m = slot->memo;

	if (m == NULL || m->op != op || m->name_len != name.len ||
	    (name.len > 0 && memcmp(m->name, name.ptr, name.len) != 0))
		return NULL;
	return m;
}

struct request_memo *
request_memo_keep(struct request_slot *slot, const struct op *op,
    struct hf_text name, const char *path, const struct policy_look *look)
{
	struct request_memo *m = slot->memo;
	size_t len = strlen(path);

	if (name.len > MEMO_NAME || len >= MEMO_PATH)
		return NULL;
	if (m == NULL)
		m = slot->memo = malloc(sizeof(*m));
	if (m == NULL)
		return NULL;
	m->op = op;
	m->name_len = name.len;
	if (name.len > 0)
		memcpy(m->name, name.ptr, name.len);
	memcpy(m->path, path, len + 1);
	m->look = *look;
	m->told_len = 0;
	return m;
}

void
request_slot_clear(struct request_slot *slot)
{
	free(slot->memo);
	policy_grant_free(slot->grant);
	*slot = (struct request_slot){ 0 };
}
