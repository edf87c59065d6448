/* SPDX-License-Identifier: Apache-2.0 */
/* Keys, their versions, aliases and keyrings. */
#include "op_key.h"

#include <stdio.h>

#include "crypto_x509.h"
#include "handlers.h"

#include "../lib/bytes.h"
#include "context_names.h"
#include "key.h"
#include "key_plan.h"
#include "key_use.h"
#include "keys.h"
#include "keyuse.h"
#include "log.h"
#include "op_transit.h"
#include "server.h"

/* -- What a key looks like from outside -- */

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

/* A copy in the request's arena; the key may go before the reply does. */
static enum hf_err
copy_text(struct request *rq, const char *s, struct hf_text *out)
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
		return copy_text(rq, "none: it is lost", out);
	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s",
		    i == 0 ? "" : " ", holders[i]);
	return copy_text(rq, text, out);
}

static enum hf_err
show_version(
    struct request *rq, const struct key_version *v, struct hf_key_version *out)
{
	enum { PEM_MAX = 2048 };
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
	pem = request_alloc(rq, PEM_MAX);
	if (pem == NULL)
		return HF_ERR_NO_MEMORY;
	if ((err = crypto_spki_pem(
		 bytes_of(v->spki, v->spki_len), pem, PEM_MAX)) != HF_OK)
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

struct alias_list {
	struct request *rq;
	struct hf_text *items;
	size_t count, room;
	enum hf_err err;
};

/* Grows by doubling within the arena; what is left behind is small. */
static bool
alias_add(void *ctx, struct hf_text name)
{
	struct alias_list *al = ctx;
	struct hf_text *more;
	char *copy = arena_text(al->rq->arena, name);

	if (al->count == al->room) {
		al->room = al->room == 0 ? 8 : 2 * al->room;
		more = arena_array(al->rq->arena, al->room, sizeof(*more));
		if (more != NULL && al->count > 0)
			memcpy(more, al->items, al->count * sizeof(*more));
		al->items = more;
	}
	if (copy == NULL || al->items == NULL) {
		al->err = HF_ERR_NO_MEMORY;
		return false;
	}
	al->items[al->count++] = (struct hf_text){ copy, name.len };
	return true;
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
	struct alias_list al = { .rq = rq };
	enum hf_err err = keys_aliases_of(
	    rq->server->keys, text_of(key->name), alias_add, &al);

	out->aliases = al.items;
	out->aliases_count = al.count;
	return err == HF_OK ? al.err : err;
}

/* All but its aliases, which stand in the store. */
static enum hf_err
show_key(struct request *rq, const struct key *key, struct hf_key_info *out)
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
	    (err = copy_text(rq, key->name, &out->name)) != HF_OK ||
	    (err = copy_text(rq, key->keyring, &out->keyring)) != HF_OK ||
	    (err = copy_text(rq, key->prefix, &out->prefix)) != HF_OK ||
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
	enum hf_err err = show_key(rq, key, out);

	return err != HF_OK ? err : show_aliases(rq, key, out);
}

/* One that was made just now has no aliases: those of a key go with it. */
static enum hf_err
key_created(struct request *rq, struct key *key, struct hf_key_info *out)
{
	enum hf_err err;

	server_event(rq->server, "key.created", key->name);
	err = show_key(rq, key, out);
	key_unref(key);
	return err;
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

/*
 * The key that policy was asked about, whatever an alias points to by now.
 * Where there was none, what was asked for will not be found.
 */
static struct hf_text
own_name(const struct request *rq, struct hf_text asked)
{
	return rq->key != NULL ? text_of(rq->key->name) : asked;
}

/* What was destroyed leaves the files too; the daemon tries again where that
 * does not go now. */
static void
scrub(struct request *rq)
{
	enum hf_err err = keys_scrub(rq->server->keys);

	if (err != HF_OK)
		log_info("the store is cleared of what was destroyed later: %s",
		    hf_err_sentence(err));
}

/* -- Keys -- */

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
		    "key %s exists "
		    "already, with type %s and level %s",
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
	struct alias_list al = { .rq = rq };
	enum hf_err err = keys_list(rq->server->keys, in->after,
	    in->limit == 0 ? 1000 : (size_t)in->limit, alias_add, &al);

	out->keys = al.items;
	out->keys_count = al.count;
	return err == HF_OK ? al.err : err;
}

/* -- Settings of a key -- */

static void
set_if(bool *setting, enum hf_tri asked)
{
	if (asked != HF_UNSET)
		*setting = asked == HF_TRUE;
}

static enum hf_err
one_way(bool *setting, enum hf_tri asked, const char *name, struct hf_why *why)
{
	if (asked == HF_FALSE && *setting)
		return hf_fail(why, HF_ERR_BAD_CONFIG,
		    "%s cannot be taken back once it is set", name);
	set_if(setting, asked);
	return HF_OK;
}

static enum hf_err
check_minima(const struct key_record *rec, struct hf_why *why)
{
	if (rec->min_decryption_version > rec->latest_version)
		return hf_fail(why, HF_ERR_BAD_CONFIG,
		    "cannot set min "
		    "decryption version of %llu, latest key version is %llu",
		    (unsigned long long)rec->min_decryption_version,
		    (unsigned long long)rec->latest_version);
	if (rec->min_encryption_version > rec->latest_version)
		return hf_fail(why, HF_ERR_BAD_CONFIG,
		    "cannot set min "
		    "encryption version of %llu, latest key version is %llu",
		    (unsigned long long)rec->min_encryption_version,
		    (unsigned long long)rec->latest_version);
	if (rec->min_encryption_version != 0 &&
	    rec->min_encryption_version < rec->min_decryption_version)
		return hf_fail(why, HF_ERR_BAD_CONFIG,
		    "cannot set min "
		    "encryption version to a value less than min decryption "
		    "version");
	if (rec->min_decryption_version < rec->min_available_version)
		return hf_fail(why, HF_ERR_BAD_CONFIG,
		    "versions below %llu "
		    "were trimmed and cannot become usable again",
		    (unsigned long long)rec->min_available_version);
	if (rec->min_encryption_version != 0 &&
	    rec->min_encryption_version < rec->min_available_version)
		return hf_fail(why, HF_ERR_BAD_CONFIG,
		    "versions below %llu "
		    "were trimmed and cannot become usable again",
		    (unsigned long long)rec->min_available_version);
	return HF_OK;
}

static enum hf_err
check_primary(
    const struct key *key, const struct key_record *rec, struct hf_why *why)
{
	const struct key_version *v;

	if (rec->primary_version == 0)
		return HF_OK;
	v = key_version_find(key, rec->primary_version);
	if (v == NULL || v->state != VERSION_ENABLED ||
	    rec->primary_version < rec->min_encryption_version ||
	    rec->primary_version < rec->min_decryption_version)
		return hf_fail(why, HF_ERR_BAD_CONFIG,
		    "version %llu cannot "
		    "be primary: it must exist, be enabled, and not be below "
		    "the minimum versions",
		    (unsigned long long)rec->primary_version);
	return HF_OK;
}

/* What the record gets; in the arena, which stays until the reply. */
struct config_ctx {
	struct request *rq;
	const struct hf_key_config_in *in;
};

static enum hf_err
config_context(const struct config_ctx *cc, const struct key *key,
    struct key_record *rec, struct hf_why *why)
{
	const struct hf_key_config_in *in = cc->in;
	enum hf_err err = HF_OK;

	if (in->required_context != NULL)
		err = context_names_pack(cc->rq->arena, "required_context",
		    in->required_context, in->required_context_count,
		    &rec->required_context, why);
	if (err == HF_OK && in->audit_context != NULL)
		err = context_names_pack(cc->rq->arena, "audit_context",
		    in->audit_context, in->audit_context_count,
		    &rec->audit_context, why);
	if (err == HF_OK && rec->required_context.len > 0)
		err = key_context_check(key->type, key->convergent, why);
	return err;
}

static void
set_number(uint64_t *setting, struct hf_uint asked)
{
	if (asked.present)
		*setting = asked.value;
}

/* Whoever changes when versions retire wants to see it done. */
static enum hf_err
config_plan(const struct hf_key_config_in *in, const struct key *key,
    struct key_record *rec, struct hf_why *why)
{
	set_number(&rec->auto_rotate_period, in->auto_rotate_period);
	set_number(&rec->use_limit, in->use_limit);
	set_number(&rec->auto_retire_age, in->auto_retire_age);
	set_number(&rec->auto_retire_behind, in->auto_retire_behind);
	if (in->auto_retire_age.present || in->auto_retire_behind.present)
		rec->retire_not_before = 0;
	return plan_check(key->type, rec, why);
}

static enum hf_err
config_change(void *ctx, const struct key *key, struct key_record *rec,
    struct hf_why *why)
{
	const struct config_ctx *cc = ctx;
	const struct hf_key_config_in *in = cc->in;
	enum hf_err err;

	if ((err = config_context(cc, key, rec, why)) != HF_OK ||
	    (err = config_plan(in, key, rec, why)) != HF_OK)
		return err;
	if (in->min_decryption_version.present)
		rec->min_decryption_version =
		    in->min_decryption_version.value == 0
		    ? 1
		    : in->min_decryption_version.value;
	if (in->min_encryption_version.present)
		rec->min_encryption_version = in->min_encryption_version.value;
	if (in->primary_version.present)
		rec->primary_version = in->primary_version.value;
	set_if(&rec->deletion_allowed, in->deletion_allowed);
	if (key->level == LEVEL_HSM &&
	    (in->exportable == HF_TRUE ||
		in->allow_plaintext_backup == HF_TRUE))
		return hf_fail(why, HF_ERR_BAD_CONFIG,
		    "a key of level hsm never leaves the HSM");
	if ((err = one_way(&rec->exportable, in->exportable, "exportable",
		 why)) != HF_OK ||
	    (err = one_way(&rec->allow_plaintext_backup,
		 in->allow_plaintext_backup, "allow_plaintext_backup", why)) !=
		HF_OK ||
	    (err = check_minima(rec, why)) != HF_OK)
		return err;
	return check_primary(key, rec, why);
}

/* Since when nobody may have used what is destroyed; 0: it does not matter. */
static uint64_t
unused_since(const struct request *rq, struct hf_uint asked, bool force)
{
	if (force)
		return 0;
	return key_use_since(asked.present ? asked.value : rq->server->lately);
}

/* Whoever ends the use of versions by hand may; they are told what it ends. */
static enum hf_err
warn_of_use(struct request *rq, const struct hf_key_config_in *in,
    struct hf_key_info *out)
{
	struct hf_why why = { "" };
	char *text;

	if (rq->key == NULL || !in->min_decryption_version.present ||
	    key_use_check(rq->key, rq->key->min_decryption,
		in->min_decryption_version.value,
		unused_since(rq, (struct hf_uint){ 0 }, false), &why) == HF_OK)
		return HF_OK;
	/* Up to the advice, which is for those who were refused. */
	text = arena_printf(
	    rq->arena, "%.*s", (int)strcspn(why.text, ";"), why.text);
	if (text == NULL)
		return HF_ERR_NO_MEMORY;
	out->warning = text_of(text);
	return HF_OK;
}

enum hf_err
op_key_config(struct request *rq, const struct hf_key_config_in *in,
    struct hf_key_info *out)
{
	struct config_ctx cc = { rq, in };
	struct key *key = NULL;
	enum hf_err err = keys_change(rq->server->keys, own_name(rq, in->name),
	    config_change, &cc, &key, &rq->why);

	err = key_changed(rq, err, "key.configured", key, out);
	if (err == HF_OK && in->min_decryption_version.present &&
	    in->min_decryption_version.value == 0)
		out->warning = TEXT("since Vault 0.3, transit key numbering "
				    "starts at 1; forcing minimum to 1");
	return err == HF_OK ? warn_of_use(rq, in, out) : err;
}

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
	    rq->server->keys, own_name(rq, in->name), &key, &rq->why);

	if (err == HF_OK)
		rq->key_version = key->latest;
	return key_changed(rq, err, "key.rotated", key, out);
}

enum hf_err
op_key_trim(struct request *rq, const struct hf_key_trim_in *in,
    struct hf_key_info *out)
{
	struct key *key = NULL;
	enum hf_err err = keys_trim(rq->server->keys, own_name(rq, in->name),
	    in->min_available_version,
	    unused_since(rq, in->unused_for, in->force), &key, &rq->why);

	if (err == HF_OK)
		scrub(rq);
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
		    "%.*s is an alias of "
		    "key %s; delete the key by its own name, or the alias with "
		    "'alias delete'",
		    (int)in->name.len, in->name.ptr, rq->key->name);
	name = arena_text(rq->arena, in->name);
	if (name == NULL)
		return HF_ERR_NO_MEMORY;
	if ((err = keys_delete(rq->server->keys, in->name, &rq->why)) != HF_OK)
		return err;
	server_event(rq->server, "key.deleted", name);
	scrub(rq);
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
	enum hf_err err = keys_change(rq->server->keys, own_name(rq, in->name),
	    soft_delete_change, &deleted, &key, &rq->why);

	return key_changed(rq, err, "key.soft_deleted", key, out);
}

enum hf_err
op_key_soft_delete_restore(
    struct request *rq, const struct hf_name_in *in, struct hf_key_info *out)
{
	bool deleted = false;
	struct key *key = NULL;
	enum hf_err err = keys_change(rq->server->keys, own_name(rq, in->name),
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
	    own_name(rq, in->name), in->version, &key, &rq->why);

	return key_changed(rq, err, "key.version_enabled", key, out);
}

enum hf_err
op_key_version_disable(
    struct request *rq, const struct hf_version_in *in, struct hf_key_info *out)
{
	struct key *key = NULL;
	enum hf_err err = keys_version_disable(rq->server->keys,
	    own_name(rq, in->name), in->version, &key, &rq->why);

	return key_changed(rq, err, "key.version_disabled", key, out);
}

enum hf_err
op_key_version_destroy(struct request *rq,
    const struct hf_version_destroy_in *in, struct hf_key_info *out)
{
	uint64_t delay = in->delay.present ? in->delay.value : 30 * 86400;
	struct key *key = NULL;
	enum hf_err err = keys_version_destroy(rq->server->keys,
	    own_name(rq, in->name), in->version, delay,
	    unused_since(rq, in->unused_for, in->force), &key, &rq->why);

	return key_changed(rq, err, "key.version_destroy_scheduled", key, out);
}

enum hf_err
op_key_version_restore(
    struct request *rq, const struct hf_version_in *in, struct hf_key_info *out)
{
	struct key *key = NULL;
	enum hf_err err = keys_version_restore(rq->server->keys,
	    own_name(rq, in->name), in->version, &key, &rq->why);

	return key_changed(rq, err, "key.version_restored", key, out);
}

/* -- Aliases -- */

enum hf_err
op_alias_set(
    struct request *rq, const struct hf_alias *in, struct hf_alias *out)
{
	enum hf_err err =
	    keys_alias_set(rq->server->keys, in->name, in->target, &rq->why);

	if (err != HF_OK)
		return err;
	*out = *in;
	server_event(rq->server, "alias.set", arena_text(rq->arena, in->name));
	return HF_OK;
}

enum hf_err
op_alias_delete(
    struct request *rq, const struct hf_name_in *in, struct hf_empty *out)
{
	enum hf_err err = keys_alias_delete(rq->server->keys, in->name);

	(void)out;
	if (err == HF_OK)
		server_event(rq->server, "alias.deleted",
		    arena_text(rq->arena, in->name));
	return err;
}

enum hf_err
op_alias_list(struct request *rq, const struct hf_list_in *in,
    struct hf_alias_list_out *out)
{
	struct alias_list al = { .rq = rq };
	enum hf_err err = keys_alias_list(rq->server->keys, in->after,
	    in->limit == 0 ? 1000 : (size_t)in->limit, alias_add, &al);

	if (err != HF_OK || (err = al.err) != HF_OK)
		return err;
	out->aliases = arena_array(rq->arena, al.count, sizeof(*out->aliases));
	if (out->aliases == NULL)
		return HF_ERR_NO_MEMORY;
	for (size_t i = 0; i < al.count; i++) {
		char target[NAME_SIZE];

		err = keys_alias_target(rq->server->keys, al.items[i], target);
		if (err == HF_ERR_NOT_FOUND || err == HF_ERR_KEYRING_NOT_FOUND)
			continue; /* removed since, or shredded */
		if (err != HF_OK)
			return err;
		out->aliases[out->aliases_count].name = al.items[i];
		if ((err = copy_text(rq, target,
			 &out->aliases[out->aliases_count].target)) != HF_OK)
			return err;
		out->aliases_count++;
	}
	return HF_OK;
}

/* -- Keyrings -- */

enum hf_err
keyring_show(struct request *rq, const struct keyring_info *info,
    struct hf_keyring_info *out)
{
	*out = (struct hf_keyring_info){
		.master_version = info->master_version,
		.creation_time = info->creation_time,
		.destroyed = info->destroyed,
	};
	return copy_text(rq, info->name, &out->name);
}

enum hf_err
op_keyring_create(struct request *rq, const struct hf_name_in *in,
    struct hf_keyring_info *out)
{
	struct keyring_info info;
	enum hf_err err =
	    keyring_create(rq->server->hierarchy, in->name, &info);

	if (err != HF_OK)
		return err;
	server_event(rq->server, "keyring.created", info.name);
	return keyring_show(rq, &info, out);
}

enum hf_err
op_keyring_list(struct request *rq, const struct hf_list_in *in,
    struct hf_keyring_list_out *out)
{
	size_t count = in->limit == 0 ? 1000 : (size_t)in->limit;
	struct keyring_info *infos =
	    arena_array(rq->arena, count, sizeof(*infos));
	enum hf_err err;

	if (infos == NULL)
		return HF_ERR_NO_MEMORY;
	if ((err = keyring_list(
		 rq->server->hierarchy, in->after, infos, &count)) != HF_OK)
		return err;
	out->keyrings = arena_array(rq->arena, count, sizeof(*out->keyrings));
	if (out->keyrings == NULL)
		return HF_ERR_NO_MEMORY;
	for (size_t i = 0; i < count; i++)
		if ((err = keyring_show(rq, &infos[i], &out->keyrings[i])) !=
		    HF_OK)
			return err;
	out->keyrings_count = count;
	return HF_OK;
}

/* Whether it may be destroyed, or has been and left keys behind. */
static enum hf_err
may_destroy(struct request *rq, const struct hf_keyring_destroy_in *in,
    struct keyring_info *ring)
{
	struct server *s = rq->server;
	uint64_t count;
	enum hf_err err;

	if (text_is(in->name, "default"))
		return hf_fail(&rq->why, HF_ERR_KEYRING_IN_USE,
		    "the keyring default cannot be destroyed");
	if ((err = keyring_info(s->hierarchy, in->name, ring)) != HF_OK ||
	    (err = keys_drop_keyring(s->keys, in->name, true, &count)) != HF_OK)
		return err;
	if (ring->destroyed)
		return count > 0 ? HF_OK : HF_ERR_KEYRING_NOT_FOUND;
	if (count > 0 && !in->with_keys)
		return hf_fail(&rq->why, HF_ERR_KEYRING_IN_USE,
		    "keyring %.*s still holds %llu keys; with_keys destroys "
		    "them too",
		    (int)in->name.len, in->name.ptr, (unsigned long long)count);
	return HF_OK;
}

enum hf_err
op_keyring_destroy(struct request *rq, const struct hf_keyring_destroy_in *in,
    struct hf_empty *out)
{
	struct server *s = rq->server;
	struct keyring_info ring;
	uint64_t count;
	enum hf_err err;

	(void)out;
	if ((err = may_destroy(rq, in, &ring)) != HF_OK)
		return err;
	/* First the key that opens everything, then what it leaves behind. Cut
	 * short between the two, the next call does the rest. */
	if (!ring.destroyed) {
		if ((err = keyring_destroy(s->hierarchy, in->name)) != HF_OK)
			return err;
		keys_forget(s->keys);
		server_event(
		    s, "keyring.destroyed", arena_text(rq->arena, in->name));
	}
	err = keys_drop_keyring(s->keys, in->name, false, &count);
	scrub(rq);
	return err;
}
