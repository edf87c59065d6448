/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and their versions. */
#include "op_key.h"

#include <string.h>

#include "../lib/bytes.h"
#include "context_names.h"
#include "crypto_x509.h"
#include "handlers.h"
#include "key_use.h"
#include "keyuse.h"
#include "log.h"
#include "name_list.h"
#include "op_transit.h"
#include "server.h"

enum { DESTROY_DELAY = 30 * 86400 /* seconds, unless it is given */ };

/* -- What others share -- */

struct hf_text
key_own_name(const struct request *rq, struct hf_text asked)
{
	return rq->key != NULL ? text_of(rq->key->name) : asked;
}

void
key_scrub(struct request *rq)
{
	enum hf_err err = keys_scrub(rq->server->keys);

	if (err != HF_OK)
		log_info("the store is cleared of what was destroyed later: %s",
		    hf_err_sentence(err));
}

uint64_t
key_unused_since(const struct request *rq, struct hf_uint asked, bool force)
{
	if (force)
		return 0;
	return key_use_since(asked.present ? asked.value : rq->server->lately);
}

enum hf_err
key_changed(struct request *rq, enum hf_err err, const char *event,
    struct key *key, struct hf_key_info *out)
{
	if (err != HF_OK)
		return err;
	server_event(rq->server, event, key->name);
	err = key_show(rq, key, out);
	key_unref(key);
	return err;
}

/* -- Making and reading -- */

static enum hf_err
create_context(struct request *rq, const struct hf_key_create_in *in,
    struct key_create *how)
{
	enum hf_err err = HF_OK;

	if (in->required_context != NULL)
		err = context_names_pack(rq->arena, "required_context",
		    in->required_context, in->required_context_count,
		    &how->required_context, &rq->why);
	if (err == HF_OK && in->audit_context != NULL)
		err = context_names_pack(rq->arena, "audit_context",
		    in->audit_context, in->audit_context_count,
		    &how->audit_context, &rq->why);
	return err;
}

enum hf_err
key_create_how(struct request *rq, const struct hf_key_create_in *in,
    struct key_create *how)
{
	enum hf_err err;

	*how = (struct key_create){
		.name = in->name,
		.type = in->type.ptr == NULL ? key_type_by_id(KEY_AES256_GCM96)
					     : key_type_by_name(in->type),
		.level = rq->server->default_level,
		.keyring =
		    in->keyring.ptr == NULL ? TEXT("default") : in->keyring,
		.prefix = in->prefix.ptr == NULL
		    ? text_of(rq->server->default_prefix)
		    : in->prefix,
		.key_size = (size_t)in->key_size,
		.exportable = in->exportable,
		.allow_plaintext_backup = in->allow_plaintext_backup,
		.deletion_allowed = in->deletion_allowed,
		.auto_rotate_period = in->auto_rotate_period,
	};
	if (how->type == NULL)
		return hf_fail(&rq->why, HF_ERR_BAD_VALUE, "unknown key type");
	if ((err = create_context(rq, in, how)) != HF_OK)
		return err;
	how->derived = in->derived;
	how->convergent = in->convergent_encryption;
	how->committing = in->committing;
	if (how->type->family == FAMILY_HMAC && how->key_size == 0)
		how->key_size = 32;
	if (in->level.ptr != NULL && !key_level_by_name(in->level, &how->level))
		return HF_ERR_BAD_VALUE;
	if (rq->demand_hsm && in->level.ptr == NULL)
		how->level = LEVEL_HSM;
	if (rq->demand_hsm && how->level != LEVEL_HSM)
		return hf_fail(&rq->why, HF_ERR_KEY_LEVEL,
		    "policy demands protection level hsm");
	if (how->level == LEVEL_HSM &&
	    (how->exportable || how->allow_plaintext_backup))
		return hf_fail(&rq->why, HF_ERR_BAD_CONFIG,
		    "a key of level hsm never leaves the HSM: exportable and "
		    "allow_plaintext_backup are for level wrapped");
	return HF_OK;
}

/* As in Vault: making a key that is there already changes nothing. */
static enum hf_err
create_again(struct request *rq, const struct key_create *how,
    const struct key *key, struct hf_key_info *out)
{
	enum hf_err err;
	char *warning;

	if (key->derived != how->derived || key->convergent != how->convergent)
		return hf_fail(&rq->why, HF_ERR_KEY_EXISTS,
		    "key %s exists already, and is%s derived, with%s "
		    "convergent encryption",
		    key->name, key->derived ? "" : " not",
		    key->convergent ? "" : "out");
	if (key->committing != how->committing)
		return hf_fail(&rq->why, HF_ERR_KEY_EXISTS,
		    "key %s exists already, and does%s commit", key->name,
		    key->committing ? "" : " not");
	if (key->type != how->type || key->level != how->level)
		return hf_fail(&rq->why, HF_ERR_KEY_EXISTS,
		    "key %s exists already, with type %s and level %s",
		    key->name, key->type->name, key_level_name(key->level));
	if (how->required_context.len > 0 &&
	    !bytes_equal(how->required_context,
		bytes_of(key->required_context, key->required_context_len)))
		return hf_fail(&rq->why, HF_ERR_KEY_EXISTS,
		    "key %s exists already, with another required_context",
		    key->name);
	if ((err = key_show(rq, key, out)) != HF_OK)
		return err;
	warning = arena_printf(rq->arena, "key %s already existed", key->name);
	if (warning == NULL)
		return HF_ERR_NO_MEMORY;
	out->warning = text_of(warning);
	return HF_OK;
}

static enum hf_err
key_created(struct request *rq, struct key *key, struct hf_key_info *out)
{
	enum hf_err err;

	server_event(rq->server, "key.created", key->name);
	err = key_show_new(rq, key, out);
	key_unref(key);
	return err;
}

enum hf_err
op_key_create(struct request *rq, const struct hf_key_create_in *in,
    struct hf_key_info *out)
{
	struct key_create how;
	struct key *key = NULL;
	enum hf_err err;

	if ((err = key_create_how(rq, in, &how)) != HF_OK)
		return err;
	how.name_free = rq->lookup == HF_ERR_KEY_NOT_FOUND;
	err = keys_create(rq->server->keys, &how, &key, &rq->why);
	if (err == HF_ERR_KEY_EXISTS && key != NULL) {
		/* One made since policy was asked is not for everybody. */
		err = rq->may_use ? create_again(rq, &how, key, out)
				  : HF_ERR_STORE_CONFLICT;
		key_unref(key);
		return err;
	}
	return err == HF_OK ? key_created(rq, key, out) : err;
}

/* The public half of what a version and a context give, as PEM. */
static enum hf_err
show_derived(struct request *rq, const struct keyuse *use,
    const struct key_version *v, struct hf_text *out)
{
	/* SubjectPublicKeyInfo of Ed25519 (RFC 8410, section 4). */
	enum { HEAD = 12, PUBLIC = 32, PEM_MAX = 256 };
	uint8_t spki[HEAD + PUBLIC] = { 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
		0x2b, 0x65, 0x70, 0x03, 0x21, 0x00 };
	char *pem = request_alloc(rq, PEM_MAX);
	enum hf_err err;

	if (pem == NULL)
		return HF_ERR_NO_MEMORY;
	if ((err = keyuse_derived_public(use, v, spki + HEAD)) != HF_OK ||
	    (err = crypto_spki_pem(
		 bytes_of(spki, sizeof(spki)), pem, PEM_MAX)) != HF_OK)
		return err;
	*out = text_of(pem);
	return HF_OK;
}

/* Instead of the public halves of the key those that a context leads to. */
static enum hf_err
show_all_derived(
    struct request *rq, struct hf_bytes context, struct hf_key_info *out)
{
	const struct key *key = rq->key;
	struct keyuse use = keyuse_of(rq, context);
	enum hf_err err;

	if ((err = check_context(rq, context, &rq->why)) != HF_OK)
		return err;
	if (key->type->family != FAMILY_EDDSA)
		return hf_fail(&rq->why, HF_ERR_KEY_TYPE,
		    "context: keys of type %s have no public half",
		    key->type->name);
	for (size_t i = 0; i < key->count; i++) {
		out->keys[i].public_key = (struct hf_text){ 0 };
		if (key->versions[i].state != VERSION_DESTROYED &&
		    (err = show_derived(rq, &use, &key->versions[i],
			 &out->keys[i].public_key)) != HF_OK)
			return err;
	}
	return HF_OK;
}

enum hf_err
op_key_read(struct request *rq, const struct hf_key_read_in *in,
    struct hf_key_info *out)
{
	enum hf_err err;

	if (rq->key == NULL)
		return HF_ERR_KEY_NOT_FOUND;
	if (!rq->may_block)
		return HF_ERR_DEFER; /* its aliases stand in the store */
	err = key_show(rq, rq->key, out);
	if (err != HF_OK || in->context.ptr == NULL)
		return err;
	return show_all_derived(rq, in->context, out);
}

enum hf_err
op_key_list(
    struct request *rq, const struct hf_list_in *in, struct hf_names_out *out)
{
	struct name_list names = { .arena = rq->arena };
	enum hf_err err = keys_list(rq->server->keys, in->after,
	    in->limit == 0 ? LIST_USUAL : (size_t)in->limit, name_list_add,
	    &names);

	out->keys = names.items;
	out->keys_count = names.count;
	return err == HF_OK ? names.err : err;
}

/* -- Changing and destroying -- */

enum hf_err
op_key_rotate(
    struct request *rq, const struct hf_name_in *in, struct hf_key_info *out)
{
	struct key *key = NULL;
	enum hf_err err;

	if (rq->demand_hsm && rq->key != NULL && rq->key->level != LEVEL_HSM)
		return hf_fail(&rq->why, HF_ERR_KEY_LEVEL,
		    "policy demands protection level hsm; new versions of key "
		    "%s are of level %s",
		    rq->key->name, key_level_name(rq->key->level));
	err = keys_rotate(
	    rq->server->keys, key_own_name(rq, in->name), &key, &rq->why);

	if (err == HF_OK)
		rq->key_version = key->latest;
	return key_changed(rq, err, "key.rotated", key, out);
}

enum hf_err
op_key_trim(struct request *rq, const struct hf_key_trim_in *in,
    struct hf_key_info *out)
{
	struct key *key = NULL;
	enum hf_err err = keys_trim(rq->server->keys,
	    key_own_name(rq, in->name), in->min_available_version,
	    key_unused_since(rq, in->unused_for, in->force), &key, &rq->why);

	if (err == HF_OK)
		key_scrub(rq);
	return key_changed(rq, err, "key.trimmed", key, out);
}

enum hf_err
op_key_delete(
    struct request *rq, const struct hf_name_in *in, struct hf_empty *out)
{
	char *name;
	enum hf_err err;

	(void)out;
	if (rq->key == NULL)
		return hf_fail(&rq->why, HF_ERR_KEY_NOT_FOUND,
		    "could not delete key; not found");
	/* An alias is a way to use a key, not to do away with it. */
	if (!text_is(in->name, rq->key->name))
		return hf_fail(&rq->why, HF_ERR_BAD_NAME,
		    "%.*s is an alias of key %s; delete the key by its own "
		    "name, or the alias with 'alias delete'",
		    (int)in->name.len, in->name.ptr, rq->key->name);
	name = arena_text(rq->arena, in->name);
	if (name == NULL)
		return HF_ERR_NO_MEMORY;
	if ((err = keys_delete(rq->server->keys, in->name, &rq->why)) != HF_OK)
		return err;
	server_event(rq->server, "key.deleted", name);
	key_scrub(rq);
	return HF_OK;
}

static enum hf_err
soft_delete_change(void *ctx, const struct key *key, struct key_record *rec,
    struct hf_why *why)
{
	(void)key;
	(void)why;
	rec->soft_deleted = *(const bool *)ctx;
	return HF_OK;
}

enum hf_err
op_key_soft_delete(
    struct request *rq, const struct hf_name_in *in, struct hf_key_info *out)
{
	bool deleted = true;
	struct key *key = NULL;
	enum hf_err err =
	    keys_change(rq->server->keys, key_own_name(rq, in->name),
		soft_delete_change, &deleted, &key, &rq->why);

	return key_changed(rq, err, "key.soft_deleted", key, out);
}

enum hf_err
op_key_soft_delete_restore(
    struct request *rq, const struct hf_name_in *in, struct hf_key_info *out)
{
	bool deleted = false;
	struct key *key = NULL;
	enum hf_err err =
	    keys_change(rq->server->keys, key_own_name(rq, in->name),
		soft_delete_change, &deleted, &key, &rq->why);

	return key_changed(rq, err, "key.undeleted", key, out);
}

/* -- Versions -- */

enum hf_err
op_key_version_enable(
    struct request *rq, const struct hf_version_in *in, struct hf_key_info *out)
{
	struct key *key = NULL;
	enum hf_err err = keys_version_enable(rq->server->keys,
	    key_own_name(rq, in->name), in->version, &key, &rq->why);

	return key_changed(rq, err, "key.version_enabled", key, out);
}

enum hf_err
op_key_version_disable(
    struct request *rq, const struct hf_version_in *in, struct hf_key_info *out)
{
	struct key *key = NULL;
	enum hf_err err = keys_version_disable(rq->server->keys,
	    key_own_name(rq, in->name), in->version, &key, &rq->why);

	return key_changed(rq, err, "key.version_disabled", key, out);
}

enum hf_err
op_key_version_destroy(struct request *rq,
    const struct hf_version_destroy_in *in, struct hf_key_info *out)
{
	uint64_t delay = in->delay.present ? in->delay.value : DESTROY_DELAY;
	struct key *key = NULL;
	enum hf_err err = keys_version_destroy(rq->server->keys,
	    key_own_name(rq, in->name), in->version, delay,
	    key_unused_since(rq, in->unused_for, in->force), &key, &rq->why);

	return key_changed(rq, err, "key.version_destroy_scheduled", key, out);
}

enum hf_err
op_key_version_restore(
    struct request *rq, const struct hf_version_in *in, struct hf_key_info *out)
{
	struct key *key = NULL;
	enum hf_err err = keys_version_restore(rq->server->keys,
	    key_own_name(rq, in->name), in->version, &key, &rq->why);

	return key_changed(rq, err, "key.version_restored", key, out);
}
