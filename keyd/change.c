/* SPDX-License-Identifier: Apache-2.0 */
#include "change.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/bytes.h"
#include "key_plan.h"
#include "sealed_record.h"

struct change_write {
	char name[KEY_STORE_NAME];
	uint8_t *value; /* NULL: delete */
	size_t len;
};

void
change_free(struct change *c)
{
	for (size_t i = 0; i < c->count; i++)
		free(c->writes[i].value);
	free(c->writes);
}

void
change_require(struct change *c, const char *name, uint64_t revision)
{
	char *copy = c->cond_names[c->cond_count];

	assert(c->cond_count < CHANGE_CONDS);
	(void)snprintf(copy, KEY_STORE_NAME, "%s", name);
	c->conds[c->cond_count++] =
	    (struct store_cond){ text_of(copy), revision };
}

enum hf_err
change_put(struct change *c, const char *name, uint8_t *value, size_t len)
{
	struct change_write *w;

	if (c->count == c->room) {
		size_t room = c->room == 0 ? 8 : 2 * c->room;
		void *p = realloc(c->writes, room * sizeof(*c->writes));

		if (p == NULL) {
			free(value);
			return HF_ERR_NO_MEMORY;
		}
		c->writes = p;
		c->room = room;
	}
	w = &c->writes[c->count++];
	(void)snprintf(w->name, sizeof(w->name), "%s", name);
	w->value = value;
	w->len = len;
	return HF_OK;
}

enum hf_err
change_delete(struct change *c, const char *name)
{
	return change_put(c, name, NULL, 0);
}

enum hf_err
change_mark(struct change *c, const char *name)
{
	uint8_t *mark = malloc(1);

	if (mark == NULL)
		return HF_ERR_NO_MEMORY;
	mark[0] = 1;
	return change_put(c, name, mark, 1);
}

enum hf_err
change_seal(struct change *c, const char *keyring, const char *name,
    const struct schema *schema, const void *record)
{
	uint8_t *sealed;
	size_t len;
	enum hf_err err = sealed_record_make(c->keys->hierarchy,
	    text_of(keyring), text_of(name), schema, record, &sealed, &len);

	return err == HF_OK ? change_put(c, name, sealed, len) : err;
}

enum hf_err
change_commit(struct change *c)
{
	struct store_write *writes = calloc(c->count, sizeof(*writes));
	enum hf_err err;

	if (writes == NULL)
		return HF_ERR_NO_MEMORY;
	for (size_t i = 0; i < c->count; i++)
		writes[i] = (struct store_write){ text_of(c->writes[i].name),
			bytes_of(c->writes[i].value, c->writes[i].len) };
	err = store_commit_change(c->keys->store, c->conds, c->cond_count,
	    writes, c->count, &c->revision);
	free(writes);
	return err;
}

/* -- Records -- */

struct key_record
key_record_of(const struct key *key)
{
	return (struct key_record){
		.id = bytes_of(key->id, HSM_ID),
		.type = key->type->id,
		.level = key->level,
		.keyring = text_of(key->keyring),
		.prefix = text_of(key->prefix),
		.latest_version = key->latest,
		.primary_version = key->primary,
		.min_available_version = key->min_available,
		.min_decryption_version = key->min_decryption,
		.min_encryption_version = key->min_encryption,
		.deletion_allowed = key->deletion_allowed,
		.exportable = key->exportable,
		.allow_plaintext_backup = key->allow_plaintext_backup,
		.soft_deleted = key->soft_deleted,
		.imported = key->imported,
		.allow_rotation = key->allow_rotation,
		.derived = key->derived,
		.convergent = key->convergent ? CONVERGENT_VERSION : 0,
		.committing = key->committing,
		.label = text_of(key->label),
		.cka_id = bytes_of(key->cka_id, key->cka_id_len),
		.uses = key->uses,
		.required_context =
		    bytes_of(key->required_context, key->required_context_len),
		.audit_context =
		    bytes_of(key->audit_context, key->audit_context_len),
		.key_size = key->key_size,
		.creation_time = key->creation_time,
		.use_limit = key->own_limit,
		.auto_rotate_period = key->auto_rotate_period,
		.auto_retire_age = key->auto_retire_age,
		.auto_retire_behind = key->auto_retire_behind,
		.retire_not_before = key->retire_not_before,
		.next_due = key->next_due,
	};
}

enum hf_err
change_plan(struct change *c, struct hf_text name, uint64_t old, uint64_t new)
{
	char mark[KEY_STORE_NAME];
	enum hf_err err = HF_OK;

	if (old == new)
		return HF_OK;
	if (old != 0) {
		plan_store_name(old, name, mark);
		err = change_delete(c, mark);
	}
	if (err == HF_OK && new != 0) {
		plan_store_name(new, name, mark);
		err = change_mark(c, mark);
	}
	return err;
}

enum hf_err
change_key_record(
    struct change *c, const struct key *key, const struct key_record *rec)
{
	struct key_record planned = *rec;
	char name[KEY_STORE_NAME];
	enum hf_err err;

	planned.next_due = plan_due(rec, key, (uint64_t)time(NULL));
	key_store_name(text_of(key->name), name);
	change_require(c, name, key->revision);
	if ((err = change_plan(c, text_of(key->name), key->next_due,
		 planned.next_due)) != HF_OK)
		return err;
	return change_seal(c, key->keyring, name, &key_schema, &planned);
}
