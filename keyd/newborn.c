/* SPDX-License-Identifier: Apache-2.0 */
#include "newborn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/bytes.h"
#include "change.h"
#include "log.h"

enum {
	NAME_ROOM = sizeof("newborn/") + 2 * HSM_ID,
	VALUE = 1 + HSM_ID, /* type, home */
	LISTED = 1024,      /* the rest at the next start */
};

static const char prefix[] = "newborn/";

struct newborns {
	size_t count;
	struct newborn {
		char name[NAME_ROOM];
		uint8_t value[VALUE];
	} at[LISTED];
};

static void
mark_name(const uint8_t id[HSM_ID], char out[NAME_ROOM])
{
	memcpy(out, prefix, sizeof(prefix));
	hex_encode(id, HSM_ID, out + sizeof(prefix) - 1);
}

/* Both marks of a version at once; `values` NULL: they go. */
static enum hf_err
marks_commit(struct keys *keys, const struct fresh *f, uint8_t (*values)[VALUE])
{
	char names[2][NAME_ROOM];
	struct store_write writes[2];

	mark_name(f->id, names[0]);
	mark_name(f->hmac_id, names[1]);
	for (size_t i = 0; i < 2; i++)
		writes[i] = (struct store_write){ text_of(names[i]),
			values != NULL ? bytes_of(values[i], VALUE)
				       : (struct hf_bytes){ NULL, 0 } };
	return store_commit(keys->store, NULL, 0, writes, 2, NULL);
}

enum hf_err
newborn_note(
    struct keys *keys, const struct key_type *type, const struct fresh *f)
{
	uint8_t values[2][VALUE] = { { (uint8_t)type->id },
		{ (uint8_t)KEY_HMAC } };

	for (size_t i = 0; i < 2; i++)
		memcpy(values[i] + 1, f->home, HSM_ID);
	return marks_commit(keys, f, values);
}

enum hf_err
newborn_named(struct change *c, const struct fresh *f)
{
	char name[NAME_ROOM];
	enum hf_err err;

	if (f->rec.level != LEVEL_HSM)
		return HF_OK;
	mark_name(f->id, name);
	if ((err = change_delete(c, name)) != HF_OK)
		return err;
	mark_name(f->hmac_id, name);
	return change_delete(c, name);
}

void
newborn_gone(struct keys *keys, const struct fresh *f)
{
	enum hf_err err = marks_commit(keys, f, NULL);

	if (err != HF_OK)
		log_warning("keys that are not in the HSM are still noted: %s",
		    hf_err_sentence(err));
}

/* -- What an earlier process left -- */

static bool
list_one(
    void *ctx, struct hf_text key, struct hf_bytes value, uint64_t revision)
{
	struct newborns *list = ctx;
	struct newborn *one = &list->at[list->count];

	(void)revision;
	if (key.len >= sizeof(one->name) || value.len != VALUE)
		return true;
	memcpy(one->name, key.ptr, key.len);
	one->name[key.len] = '\0';
	memcpy(one->value, value.ptr, VALUE);
	return ++list->count < LISTED;
}

enum hf_err
newborns_list(struct keys *keys, struct newborns **out)
{
	struct newborns *list = calloc(1, sizeof(*list));
	enum hf_err err;

	if (list == NULL)
		return HF_ERR_NO_MEMORY;
	err = store_list(keys->store, TEXT("newborn/"),
	    (struct hf_text){ NULL, 0 }, LISTED, list_one, list);
	if (err != HF_OK) {
		free(list);
		return err;
	}
	*out = list;
	return HF_OK;
}

static enum hf_err
destroy_one(struct keys *keys, const struct newborn *one)
{
	struct hsm_key key = { .type = key_type_by_id(one->value[0]) };
	struct store_write write = { text_of(one->name), { NULL, 0 } };
	enum hf_err err = HF_OK;

	if (key.type != NULL &&
	    hex_decode(text_of(one->name + sizeof(prefix) - 1), key.id, HSM_ID))
		err = hsm_key_drop(
		    hierarchy_hsm_of_key(keys->hierarchy, &key, one->value + 1),
		    &key);
	return err == HF_OK
	    ? store_commit(keys->store, NULL, 0, &write, 1, NULL)
	    : err;
}

void
newborns_destroy(struct keys *keys, struct newborns *list)
{
	size_t left = 0, count = list->count;

	for (size_t i = 0; i < count; i++)
		if (destroy_one(keys, &list->at[i]) != HF_OK)
			list->at[left++] = list->at[i];
	list->count = left;
	if (count > left)
		log_info("%zu keys that a process was making when it ended "
			 "were looked for in the HSM and destroyed",
		    count - left);
}

void
newborns_free(struct newborns *list)
{
	free(list);
}
