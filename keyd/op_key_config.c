/* SPDX-License-Identifier: Apache-2.0 */
/* The settings of a key. */
#include "handlers.h"

#include <string.h>

#include "../lib/bytes.h"
#include "context_names.h"
#include "key.h"
#include "key_plan.h"
#include "key_use.h"
#include "op_key.h"
#include "server.h"

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
		    "cannot set min decryption version of %llu, latest key "
		    "version is %llu",
		    (unsigned long long)rec->min_decryption_version,
		    (unsigned long long)rec->latest_version);
	if (rec->min_encryption_version > rec->latest_version)
		return hf_fail(why, HF_ERR_BAD_CONFIG,
		    "cannot set min encryption version of %llu, latest key "
		    "version is %llu",
		    (unsigned long long)rec->min_encryption_version,
		    (unsigned long long)rec->latest_version);
	if (rec->min_encryption_version != 0 &&
	    rec->min_encryption_version < rec->min_decryption_version)
		return hf_fail(why, HF_ERR_BAD_CONFIG,
		    "cannot set min encryption version to a value less than "
		    "min decryption version");
	if (rec->min_decryption_version < rec->min_available_version)
		return hf_fail(why, HF_ERR_BAD_CONFIG,
		    "versions below %llu were trimmed and cannot become usable "
		    "again",
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
		    "version %llu cannot be primary: it must exist, be "
		    "enabled, and not be below the minimum versions",
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
		key_unused_since(rq, (struct hf_uint){ 0 }, false),
		&why) == HF_OK)
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
	enum hf_err err = keys_change(rq->server->keys,
	    key_own_name(rq, in->name), config_change, &cc, &key, &rq->why);

	err = key_changed(rq, err, "key.configured", key, out);
	if (err == HF_OK && in->min_decryption_version.present &&
	    in->min_decryption_version.value == 0)
		out->warning = TEXT("since Vault 0.3, transit key numbering "
				    "starts at 1; forcing minimum to 1");
	return err == HF_OK ? warn_of_use(rq, in, out) : err;
}
