/* SPDX-License-Identifier: Apache-2.0 */
#include "key_show.h"

#include <stdio.h>
#include <string.h>

#include "../lib/bytes.h"
#include "context_names.h"
#include "crypto_x509.h"
#include "keys.h"
#include "name_list.h"
#include "server.h"

static const char *const state_names[] = {
	[VERSION_ENABLED] = "enabled",
	[VERSION_DISABLED] = "disabled",
	[VERSION_DESTROY_SCHEDULED] = "destroy-scheduled",
	[VERSION_DESTROYED] = "destroyed",
};

struct hf_text
key_state_text(enum version_state state)
{
	return text_of(state_names[state]);
}

enum hf_err
show_text(struct request *rq, const char *s, struct hf_text *out)
{
	char *p = arena_text(rq->arena, text_of(s));

	if (p == NULL)
		return HF_ERR_NO_MEMORY;
	*out = (struct hf_text){ p, strlen(s) };
	return HF_OK;
}

/* Where a version at level hsm can be used, where there is a choice. */
static enum hf_err
show_hsms(struct request *rq, const struct key_version *v, struct hf_text *out)
{
	char holders[HSM_DEVICES][HSM_NAME], text[HSM_DEVICES * HSM_NAME + 8];
	size_t n, len = 0;

	if (v->level != LEVEL_HSM || v->state == VERSION_DESTROYED ||
	    rq->server->hsm_count == 1)
		return HF_OK;
	n = hierarchy_holders(
	    rq->server->hierarchy, &v->hsm, v->hsm_home, holders);
	if (n == 0)
		return show_text(rq, "none: it is lost", out);
	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s",
		    i == 0 ? "" : " ", holders[i]);
	return show_text(rq, text, out);
}

static enum hf_err
show_version(
    struct request *rq, const struct key_version *v, struct hf_key_version *out)
{
	char *pem, *chain;
	enum hf_err err;

	*out = (struct hf_key_version){
		.version = v->number,
		.state = text_of(state_names[v->state]),
		.level = text_of(key_level_name(v->level)),
		.creation_time = v->creation_time,
		.destroy_time = v->destroy_time,
		.made = usage_taken(v->usage),
	};
	if ((err = show_hsms(rq, v, &out->hsm)) != HF_OK || v->spki_len == 0)
		return err;
	pem = request_alloc(rq, SPKI_PEM_MAX);
	if (pem == NULL)
		return HF_ERR_NO_MEMORY;
	if ((err = crypto_spki_pem(
		 bytes_of(v->spki, v->spki_len), pem, SPKI_PEM_MAX)) != HF_OK)
		return err;
	out->public_key = text_of(pem);
	if (v->chain_len == 0)
		return HF_OK;
	chain = request_alloc(rq, CERT_PEM_MAX);
	if (chain == NULL)
		return HF_ERR_NO_MEMORY;
	if ((err = cert_chain_pem(bytes_of(v->chain, v->chain_len), chain,
		 CERT_PEM_MAX)) != HF_OK)
		return err;
	out->certificate_chain = text_of(chain);
	return HF_OK;
}

/* Copies, as of all else: the key may go before the reply does. */
static enum hf_err
show_names(struct request *rq, const uint8_t *packed, size_t len,
    struct hf_text **out, size_t *count)
{
	uint8_t *copy = request_alloc(rq, len);

	if (len == 0)
		return HF_OK;
	if (copy == NULL)
		return HF_ERR_NO_MEMORY;
	memcpy(copy, packed, len);
	*out = context_names_list(rq->arena, bytes_of(copy, len), count);
	return *out == NULL ? HF_ERR_NO_MEMORY : HF_OK;
}

static enum hf_err
show_context(struct request *rq, const struct key *key, struct hf_key_info *out)
{
	enum hf_err err =
	    show_names(rq, key->required_context, key->required_context_len,
		&out->required_context, &out->required_context_count);

	return err != HF_OK
	    ? err
	    : show_names(rq, key->audit_context, key->audit_context_len,
		  &out->audit_context, &out->audit_context_count);
}

static enum hf_err
show_uses(struct request *rq, const struct key *key, struct hf_key_info *out)
{
	struct hf_key_use *row =
	    arena_array(rq->arena, key->count * USAGE_CLASSES, sizeof(*row));

	if (row == NULL)
		return HF_ERR_NO_MEMORY;
	out->uses = row;
	for (size_t i = 0; i < key->count; i++)
		for (unsigned c = 0; c < USAGE_CLASSES; c++) {
			struct usage_info info;

			usage_read(
			    key->versions[i].usage, (enum usage_class)c, &info);
			if (info.count == 0)
				continue;
			*row++ = (struct hf_key_use){
				.version = key->versions[i].number,
				.operation = text_of(
				    usage_class_name((enum usage_class)c)),
				.count = info.count,
				.first_use = info.first,
				.last_use = info.last,
				.callers = info.callers,
			};
		}
	out->uses_count = (size_t)(row - out->uses);
	return HF_OK;
}

static enum hf_err
show_aliases(struct request *rq, const struct key *key, struct hf_key_info *out)
{
	struct name_list names = { .arena = rq->arena };
	enum hf_err err = keys_aliases_of(
	    rq->server->keys, text_of(key->name), name_list_add, &names);

	out->aliases = names.items;
	out->aliases_count = names.count;
	return err == HF_OK ? names.err : err;
}

enum hf_err
key_show_new(struct request *rq, const struct key *key, struct hf_key_info *out)
{
	enum key_family family = key->type->family;
	struct hf_key_version *versions;
	enum hf_err err;

	*out = (struct hf_key_info){
		.type = text_of(key->type->name),
		.level = text_of(key_level_name(key->level)),
		.latest_version = key->latest,
		.primary_version = key->primary,
		.min_available_version = key->min_available,
		.min_decryption_version = key->min_decryption,
		.min_encryption_version = key->min_encryption,
		.deletion_allowed = key->deletion_allowed,
		.exportable = key->exportable,
		.allow_plaintext_backup = key->allow_plaintext_backup,
		.supports_encryption = key->type->encrypts,
		.supports_decryption = key->type->encrypts,
		.supports_signing = key->type->signs,
		.supports_derivation = key->type->derives,
		.derived = key->derived,
		.convergent_encryption = key->convergent,
		.committing = key->committing,
		.convergent_encryption_version =
		    key->convergent ? CONVERGENT_VERSION : 0,
		.soft_deleted = key->soft_deleted,
		.imported_key = key->imported,
		.imported_key_allow_rotation =
		    key->imported && key->allow_rotation,
		.key_size = family == FAMILY_HMAC ? key->key_size : 0,
		.creation_time = key->creation_time,
		.use_limit = key->use_limit,
		.auto_rotate_period = key->auto_rotate_period,
		.auto_retire_age = key->auto_retire_age,
		.auto_retire_behind = key->auto_retire_behind,
		.next_due = key->next_due,
	};
	if ((err = show_uses(rq, key, out)) != HF_OK ||
	    (err = show_text(rq, key->name, &out->name)) != HF_OK ||
	    (err = show_text(rq, key->keyring, &out->keyring)) != HF_OK ||
	    (err = show_text(rq, key->prefix, &out->prefix)) != HF_OK ||
	    (err = show_context(rq, key, out)) != HF_OK)
		return err;
	versions = arena_array(rq->arena, key->count, sizeof(*versions));
	if (versions == NULL)
		return HF_ERR_NO_MEMORY;
	for (size_t i = 0; i < key->count; i++)
		if ((err = show_version(rq, &key->versions[i], &versions[i])) !=
		    HF_OK)
			return err;
	out->keys = versions;
	out->keys_count = key->count;
	return HF_OK;
}

enum hf_err
key_show(struct request *rq, const struct key *key, struct hf_key_info *out)
{
	enum hf_err err = key_show_new(rq, key, out);

	return err != HF_OK ? err : show_aliases(rq, key, out);
}

enum hf_err
keyring_show(struct request *rq, const struct keyring_info *info,
    struct hf_keyring_info *out)
{
	*out = (struct hf_keyring_info){
		.master_version = info->master_version,
		.creation_time = info->creation_time,
		.destroyed = info->destroyed,
	};
	return show_text(rq, info->name, &out->name);
}
