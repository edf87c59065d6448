/* SPDX-License-Identifier: Apache-2.0 */
#include "name_list.h"

#include <string.h>

/* Grows by doubling within the arena; what is left behind is small. */
bool
name_list_add(void *list, struct hf_text name)
{
	struct name_list *l = list;
	struct hf_text *more;
	char *copy = arena_text(l->arena, name);

	if (l->count == l->room) {
		l->room = l->room == 0 ? 8 : 2 * l->room;
		more = arena_array(l->arena, l->room, sizeof(*more));
		if (more != NULL && l->count > 0)
			memcpy(more, l->items, l->count * sizeof(*more));
		l->items = more;
	}
	if (copy == NULL || l->items == NULL) {
		l->err = HF_ERR_NO_MEMORY;
		return false;
	}
	l->items[l->count++] = (struct hf_text){ copy, name.len };
	return true;
}
