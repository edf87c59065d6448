/* SPDX-License-Identifier: Apache-2.0 */
/* Encrypt, decrypt, rewrap, data keys. */
#include "handlers.h"

#include "../lib/bytes.h"
#include "../lib/context.h"
#include "batch.h"
#include "bound.h"
#include "context_names.h"
#include "key_select.h"
#include "keyuse.h"
#include "op_transit.h"
#include "text_form.h"

/* What a ciphertext is bound to, and needed again to open it. */
struct bound {
	struct hf_bytes aad, context;
	const struct hf_pair *pairs; /* the encryption context */
	size_t pairs_count;
};

/* From an item, whichever it is: they have the same names. */
#define BOUND(it)                                                            \
	{                                                                    \
		(it)->associated_data, (it)->context,                        \
		    (it)->encryption_context, (it)->encryption_context_count \
	}
#define BOUND_GIVEN(it)                                                    \
	((it)->associated_data.ptr != NULL || (it)->context.ptr != NULL || \
	    (it)->encryption_context != NULL)

static struct keyuse
use_of(const struct request *rq, const struct bound *b)
{
	return keyuse_of(rq, b->context);
}

static enum hf_err
must_encrypt(struct request *rq, const char *verb)
{
	if (rq->key == NULL)
		return HF_ERR_ENC_KEY_NOT_FOUND;
	if (!rq->key->type->encrypts)
		return hf_fail(&rq->why, HF_ERR_KEY_TYPE,
		    "message %s not supported for key type %s", verb,
		    rq->key->type->name);
	return HF_OK;
}

/* The names that the key's settings ask for, whoever is asking. */
static enum hf_err
check_required(const struct key *key, const struct bound *b, struct hf_why *why)
{
	struct hf_bytes rest =
	    bytes_of(key->required_context, key->required_context_len);
	struct hf_text name;

	while (context_names_next(&rest, &name))
		if (context_value(b->pairs, b->pairs_count, name) == NULL)
			return hf_fail(why, HF_ERR_CONTEXT_REQUIRED,
			    "encryption_context: key %s asks for '%.*s'",
			    key->name, (int)name.len, name.ptr);
	return HF_OK;
}

static enum hf_err
check_bound(const struct request *rq, const struct bound *b, struct hf_why *why)
{
	const struct key *key = rq->key;
	enum hf_err err;

	if ((b->aad.len > 0 || b->pairs_count > 0) &&
	    key->type->family != FAMILY_AEAD)
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "%s: keys of type %s cannot authenticate data "
		    "that they do not encrypt",
		    b->aad.len > 0 ? "associated_data" : "encryption_context",
		    key->type->name);
	if ((err = check_required(key, b, why)) != HF_OK)
		return err;
	return check_context(rq, b->context, why);
}

/* Two ciphertexts of one plaintext have one nonce; with different associated
 * data they would give away the key that authenticates (SP 800-38D, 8). */
static enum hf_err
check_convergent(
    const struct request *rq, const struct bound *b, struct hf_why *why)
{
	if ((b->aad.len > 0 || b->pairs_count > 0) && rq->key->convergent)
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "%s: convergent encryption makes nonces of "
		    "plaintexts, which is not safe with it; put it into the "
		    "context",
		    b->aad.len > 0 ? "associated_data" : "encryption_context");
	return HF_OK;
}

/* -- One item -- */

/* Whether what is given out can be sent in again, with its associated data and
 * the names around it. */
static bool
text_fits(const struct request *rq, size_t body, const struct bound *b)
{
	enum { AROUND = 1024 };
	size_t limit = rq->server->message_limit;
	size_t bound = b->aad.len + (b->pairs_count > 0 ? CONTEXT_BYTES : 0);

	return limit == 0 ||
	    base64_length(BASE64_STD, body) + bound + AROUND <= limit;
}

static enum hf_err
seal_one(struct request *rq, enum form form, struct hf_uint asked,
    const struct bound *b, struct hf_bytes plaintext, struct hf_bytes *out,
    uint64_t *version, struct hf_why *why)
{
	struct keyuse use = use_of(rq, b);
	const struct key_version *v;
	struct hf_bytes aad;
	size_t len;
	uint8_t *buf;
	enum hf_err err;

	if ((err = check_bound(rq, b, why)) != HF_OK ||
	    (err = check_convergent(rq, b, why)) != HF_OK ||
	    (err = bound_aad(rq->arena, b->pairs, b->pairs_count, b->aad, &aad,
		 why)) != HF_OK ||
	    (err = select_new(rq, asked, "encryption", &v, why)) != HF_OK)
		return err;
	len = keyuse_sealed_size(rq->key, v, plaintext.len);
	if (form == FORM_TEXT && !text_fits(rq, len, b))
		return hf_fail(why, HF_ERR_TOO_LARGE,
		    "the text form would be longer than a request may be, and "
		    "could not be decrypted; ask for the binary form");
	buf = request_alloc(rq, FORM_HEADER + len);
	if (buf == NULL)
		return HF_ERR_NO_MEMORY;
	if ((err = keyuse_encrypt(&use, rq->key, v, aad, plaintext,
		 buf + FORM_HEADER, &len)) != HF_OK)
		return err;
	*version = v->number;
	return form_write(rq->arena, form, rq->key->prefix, v->number,
	    BASE64_STD, buf, len, out);
}

static enum hf_err
open_one(struct request *rq, struct hf_bytes ciphertext, const struct bound *b,
    struct hf_bytes *out, uint64_t *version, struct hf_why *why)
{
	struct keyuse use = use_of(rq, b);
	const struct key_version *v;
	struct versioned in;
	struct hf_bytes aad;
	uint8_t *buf;
	size_t len;
	enum hf_err err;

	if ((err = check_bound(rq, b, why)) != HF_OK ||
	    (err = bound_aad(rq->arena, b->pairs, b->pairs_count, b->aad, &aad,
		 why)) != HF_OK ||
	    (err = form_read(rq->arena, ciphertext, rq->key->prefix, BASE64_STD,
		 "ciphertext", HF_ERR_BAD_CIPHERTEXT, &in, why)) != HF_OK ||
	    (err = select_old(rq, in.version, "ciphertext",
		 HF_ERR_BAD_CIPHERTEXT, &v, why)) != HF_OK)
		return err;
	buf = request_alloc(rq, in.body.len);
	if (buf == NULL)
		return HF_ERR_NO_MEMORY;
	if ((err = keyuse_decrypt(&use, rq->key, v, aad, in.body, buf, &len)) !=
	    HF_OK)
		return err;
	*version = v->number;
	*out = bytes_of(buf, len);
	return HF_OK;
}

/* -- Encrypt -- */

static enum hf_err
encrypt_one(struct request *rq, const void *ctx, const void *item, void *result,
    struct hf_why *why)
{
	const struct hf_encrypt_in *in = ctx;
	const struct hf_encrypt_item *it = item;
	const struct bound b = BOUND(it);
	struct hf_encrypt_result *res = result;
	struct hf_uint asked =
	    it->key_version.present ? it->key_version : in->item.key_version;

	return seal_one(rq, form_of(in->format), asked, &b, it->plaintext,
	    &res->ciphertext, &res->key_version, why);
}

/* As in Vault, what comes with a context makes a derived key. */
static struct hf_bytes
upsert_context(const struct hf_encrypt_in *in)
{
	return in->batch_input_count > 0 ? in->batch_input[0].context
					 : in->item.context;
}

/* The caller may create keys, and the service lets encrypt do it. */
static enum hf_err
upsert_key(struct request *rq, const struct hf_encrypt_in *in)
{
	struct key_create how = {
		.name = in->name,
		.type = key_type_by_id(KEY_AES256_GCM96),
		.level = rq->demand_hsm ? LEVEL_HSM : rq->server->default_level,
		.keyring = TEXT("default"),
		.prefix = text_of(rq->server->default_prefix),
		.derived = upsert_context(in).len > 0,
	};
	enum hf_err err;

	if (!rq->may_block)
		return HF_ERR_DEFER;
	if (in->type.ptr != NULL)
		how.type = key_type_by_name(in->type);
	if (how.type == NULL)
		return HF_ERR_BAD_VALUE;
	/* As for any other change: first the trace, on the disk. */
	rq->audit_sync = true;
	if ((err = audit_flush(rq->server->audit, rq->audit_ticket, true)) !=
	    HF_OK)
		return err;
	err = keys_create(rq->server->keys, &how, &rq->key, &rq->why);
	if (err == HF_OK)
		server_event(rq->server, "key.created", rq->key->name);
	/* Somebody was quicker: then it is used, by those who may. */
	if (err == HF_ERR_KEY_EXISTS)
		return rq->may_use ? HF_OK : HF_ERR_STORE_CONFLICT;
	return err;
}

enum hf_err
op_transit_encrypt(struct request *rq, const struct hf_encrypt_in *in,
    struct hf_encrypt_out *out)
{
	/* In a batch, key_version beside it is for items without their own. */
	bool given = in->item.plaintext.ptr != NULL ||
	    (in->batch_input != NULL && BOUND_GIVEN(&in->item));
	enum hf_err err;

	if (rq->key == NULL && rq->upsert &&
	    (err = upsert_key(rq, in)) != HF_OK)
		return err;
	if ((err = must_encrypt(rq, "encryption")) != HF_OK)
		return err;
	rq->awaits = in->batch_input == NULL;
	return batch_run(rq,
	    BATCH(encrypt_one, in, in, out, given,
		"plaintext: missing plaintext to encrypt"));
}

/* -- Decrypt -- */

static enum hf_err
decrypt_one(struct request *rq, const void *ctx, const void *item, void *result,
    struct hf_why *why)
{
	const struct hf_decrypt_item *it = item;
	const struct bound b = BOUND(it);
	struct hf_decrypt_result *res = result;

	(void)ctx;
	return open_one(
	    rq, it->ciphertext, &b, &res->plaintext, &res->key_version, why);
}

enum hf_err
op_transit_decrypt(struct request *rq, const struct hf_decrypt_in *in,
    struct hf_decrypt_out *out)
{
	bool given = in->item.ciphertext.ptr != NULL ||
	    (in->batch_input != NULL && BOUND_GIVEN(&in->item));
	enum hf_err err;

	if ((err = must_encrypt(rq, "decryption")) != HF_OK)
		return err;
	rq->awaits = in->batch_input == NULL;
	return batch_run(rq,
	    BATCH(decrypt_one, in, in, out, given,
		"ciphertext: missing ciphertext to decrypt"));
}

/* -- Rewrap: what Vault cannot do with associated data -- */

static enum hf_err
rewrap_one(struct request *rq, const void *ctx, const void *item, void *result,
    struct hf_why *why)
{
	const struct hf_rewrap_in *in = ctx;
	const struct hf_rewrap_item *it = item;
	const struct bound b = BOUND(it);
	struct hf_encrypt_result *res = result;
	struct hf_uint asked =
	    it->key_version.present ? it->key_version : in->item.key_version;
	struct hf_bytes plaintext;
	uint64_t old;
	enum hf_err err;

	if ((err = open_one(rq, it->ciphertext, &b, &plaintext, &old, why)) !=
	    HF_OK)
		return err;
	return seal_one(rq, form_of(in->format), asked, &b, plaintext,
	    &res->ciphertext, &res->key_version, why);
}

enum hf_err
op_transit_rewrap(struct request *rq, const struct hf_rewrap_in *in,
    struct hf_rewrap_out *out)
{
	bool given = in->item.ciphertext.ptr != NULL ||
	    (in->batch_input != NULL && BOUND_GIVEN(&in->item));
	enum hf_err err;

	rq->moving = true;
	if ((err = must_encrypt(rq, "encryption")) != HF_OK)
		return err;
	return batch_run(rq,
	    BATCH(rewrap_one, in, in, out, given,
		"ciphertext: missing ciphertext to rewrap"));
}

/* -- From key to key -- */

struct reencrypt_ctx {
	const struct hf_reencrypt_in *in;
	struct key *destination;
	bool demand_hsm; /* of the destination */
};

/* As if the request were about the destination. */
static enum hf_err
seal_other(struct request *rq, const struct reencrypt_ctx *rc,
    struct hf_uint asked, const struct bound *b, struct hf_bytes plaintext,
    struct hf_reencrypt_result *res, struct hf_why *why)
{
	struct key *source = rq->key;
	bool source_hsm = rq->demand_hsm;
	enum hf_err err;

	rq->key = rc->destination;
	rq->demand_hsm = rc->demand_hsm;
	err = seal_one(rq, form_of(rc->in->format), asked, b, plaintext,
	    &res->ciphertext, &res->key_version, why);
	rq->key = source;
	rq->demand_hsm = source_hsm;
	if (err == HF_ERR_KEY_EXHAUSTED && rq->spent == NULL)
		rq->spent = key_ref(rc->destination);
	return err;
}

/* What the new ciphertext is bound to: as said, else as it was. */
static struct bound
bound_anew(const struct key *destination, const struct hf_reencrypt_item *it)
{
	struct bound b = BOUND(it);

	if (it->new_associated_data.ptr != NULL)
		b.aad = it->new_associated_data;
	if (it->new_encryption_context != NULL) {
		b.pairs = it->new_encryption_context;
		b.pairs_count = it->new_encryption_context_count;
	}
	if (it->new_context.ptr != NULL)
		b.context = it->new_context;
	else if (destination == NULL || !destination->derived)
		b.context = (struct hf_bytes){ 0 };
	return b;
}

/* The same as an item of encrypt, for policy: its plaintext is there. */
static void
encrypt_item(const struct key *destination, const struct hf_reencrypt_item *it,
    struct hf_encrypt_item *out)
{
	struct bound b = bound_anew(destination, it);

	*out = (struct hf_encrypt_item){
		.plaintext = bytes_of("", 0),
		.associated_data = b.aad,
		.encryption_context = b.pairs,
		.encryption_context_count = b.pairs_count,
		.context = b.context,
		.key_version = it->key_version,
		.reference = it->reference,
	};
}

/* To re-encrypt is to encrypt with the destination: under its rules. */
static const void *
as_encrypt(struct request *rq, const struct key *key, const void *ctx)
{
	const struct hf_reencrypt_in *in = ctx;
	struct hf_encrypt_in *out = request_alloc(rq, sizeof(*out));

	if (out == NULL)
		return NULL;
	*out = (struct hf_encrypt_in){ .name = in->destination,
		.format = in->format };
	if (in->batch_input == NULL) {
		encrypt_item(key, &in->item, &out->item);
		return out;
	}
	out->item.key_version = in->item.key_version;
	out->batch_input_count = in->batch_input_count;
	out->batch_input = arena_array(
	    rq->arena, in->batch_input_count, sizeof(*out->batch_input));
	if (out->batch_input == NULL)
		return NULL;
	for (size_t i = 0; i < in->batch_input_count; i++)
		encrypt_item(key, &in->batch_input[i], &out->batch_input[i]);
	return out;
}

static enum hf_err
reencrypt_one(struct request *rq, const void *ctx, const void *item,
    void *result, struct hf_why *why)
{
	const struct reencrypt_ctx *rc = ctx;
	const struct hf_reencrypt_item *it = item;
	const struct bound old = BOUND(it);
	const struct bound new = bound_anew(rc->destination, it);
	struct hf_uint asked = it->key_version.present
	    ? it->key_version
	    : rc->in->item.key_version;
	struct hf_bytes plaintext;
	uint64_t version;
	enum hf_err err;

	if ((err = open_one(
		 rq, it->ciphertext, &old, &plaintext, &version, why)) != HF_OK)
		return err;
	return seal_other(rq, rc, asked, &new, plaintext, result, why);
}

enum hf_err
op_transit_reencrypt(struct request *rq, const struct hf_reencrypt_in *in,
    struct hf_reencrypt_out *out)
{
	const struct other other = { .prefix = "transit/encrypt/",
		.name = in->destination,
		.schema = op_by_name(TEXT("transit.encrypt"))->in,
		.in = as_encrypt,
		.ctx = in };
	struct reencrypt_ctx rc = { .in = in };
	bool given = in->item.ciphertext.ptr != NULL ||
	    (in->batch_input != NULL && BOUND_GIVEN(&in->item));
	enum hf_err err;

	rq->moving = true;
	if ((err = must_encrypt(rq, "decryption")) != HF_OK ||
	    (err = other_key(rq, &other, &rc.destination, &rc.demand_hsm)) !=
		HF_OK)
		return err;
	if (!rc.destination->type->encrypts)
		err = hf_fail(&rq->why, HF_ERR_KEY_TYPE,
		    "message encryption not supported for key type %s",
		    rc.destination->type->name);
	else
		err = batch_run(rq,
		    BATCH(reencrypt_one, &rc, in, out, given,
			"ciphertext: missing ciphertext to re-encrypt"));
	key_unref(rc.destination);
	return err;
}

/* -- Data keys: random from the HSM -- */

static enum hf_err
datakey_make(struct request *rq, const struct hf_datakey_in *in,
    const struct hf_datakey_item *it, struct hf_bytes *plaintext,
    struct hf_datakey_result *res, struct hf_why *why)
{
	const struct bound b = BOUND(it);
	struct hf_uint asked =
	    it->key_version.present ? it->key_version : in->item.key_version;
	uint8_t *key;
	size_t len;
	enum hf_err err;

	if ((err = key_bytes(it->bits, &len, why)) != HF_OK)
		return err;
	key = request_alloc(rq, len);
	if (key == NULL)
		return HF_ERR_NO_MEMORY;
	if ((err = hierarchy_random(rq->server->hierarchy, key, len)) != HF_OK)
		return err;
	*plaintext = bytes_of(key, len);
	return seal_one(rq, form_of(in->format), asked, &b, *plaintext,
	    &res->ciphertext, &res->key_version, why);
}

static enum hf_err
datakey_plaintext_one(struct request *rq, const void *ctx, const void *item,
    void *result, struct hf_why *why)
{
	struct hf_datakey_result *res = result;

	return datakey_make(rq, ctx, item, &res->plaintext, res, why);
}

static enum hf_err
datakey_wrapped_one(struct request *rq, const void *ctx, const void *item,
    void *result, struct hf_why *why)
{
	struct hf_bytes unseen;

	return datakey_make(rq, ctx, item, &unseen, result, why);
}

static enum hf_err
datakey_run(struct request *rq, batch_fn *each, const struct hf_datakey_in *in,
    struct hf_datakey_out *out)
{
	bool given = in->batch_input == NULL || in->item.bits != 0 ||
	    BOUND_GIVEN(&in->item);
	enum hf_err err;

	if ((err = must_encrypt(rq, "encryption")) != HF_OK)
		return err;
	return batch_run(rq, BATCH(each, in, in, out, given, ""));
}

enum hf_err
op_transit_datakey_plaintext(struct request *rq, const struct hf_datakey_in *in,
    struct hf_datakey_out *out)
{
	return datakey_run(rq, datakey_plaintext_one, in, out);
}

enum hf_err
op_transit_datakey_wrapped(struct request *rq, const struct hf_datakey_in *in,
    struct hf_datakey_out *out)
{
	return datakey_run(rq, datakey_wrapped_one, in, out);
}

/* -- Data key pairs -- */

static enum hf_err
pair_public(struct request *rq, const struct key_type *type,
    struct hf_bytes pkcs8, struct hf_text *out)
{
	struct crypto_key *key;
	uint8_t spki[SPKI_MAX];
	char *pem = request_alloc(rq, SPKI_PEM_MAX);
	size_t len;
	enum hf_err err;

	if (pem == NULL)
		return HF_ERR_NO_MEMORY;
	if ((err = crypto_key_private(type, pkcs8, &key)) != HF_OK)
		return err;
	err = crypto_key_spki(key, spki, sizeof(spki), &len);
	crypto_key_free(key);
	if (err == HF_OK)
		err = crypto_spki_pem(bytes_of(spki, len), pem, SPKI_PEM_MAX);
	if (err == HF_OK)
		*out = text_of(pem);
	return err;
}

static enum hf_err
pair_make(struct request *rq, const struct hf_datakey_pairs_in *in,
    const struct key_type *type, bool show, struct hf_datakey_pair *out)
{
	const struct bound b = BOUND(in);
	AUTO_SECRET pkcs8 = { 0 };
	uint8_t *copy;
	enum hf_err err;

	if ((err = crypto_generate(type, 0, &pkcs8)) != HF_OK ||
	    (err = pair_public(
		 rq, type, secret_view(&pkcs8), &out->public_key)) != HF_OK ||
	    (err = seal_one(rq, form_of(in->format), in->key_version, &b,
		 secret_view(&pkcs8), &out->ciphertext, &out->key_version,
		 &rq->why)) != HF_OK)
		return err;
	if (!show)
		return HF_OK;
	copy = request_alloc(rq, pkcs8.len);
	if (copy == NULL)
		return HF_ERR_NO_MEMORY;
	memcpy(copy, pkcs8.ptr, pkcs8.len);
	out->private_key = bytes_of(copy, pkcs8.len);
	return HF_OK;
}

static enum hf_err
pairs_run(struct request *rq, const struct hf_datakey_pairs_in *in, bool show,
    struct hf_datakey_pairs_out *out)
{
	const struct key_type *type = key_type_by_name(in->type);
	size_t count = in->count == 0 ? 1 : (size_t)in->count;
	struct hf_datakey_pair *pairs;
	enum hf_err err;

	if ((err = must_encrypt(rq, "encryption")) != HF_OK)
		return err;
	if (rq->key->type->family == FAMILY_RSA)
		return hf_fail(&rq->why, HF_ERR_KEY_TYPE,
		    "a private key is too long to be encrypted with a key of "
		    "type %s",
		    rq->key->type->name);
	pairs = arena_array(rq->arena, count, sizeof(*pairs));
	if (pairs == NULL)
		return HF_ERR_NO_MEMORY;
	for (size_t i = 0; i < count; i++)
		if ((err = pair_make(rq, in, type, show, &pairs[i])) != HF_OK)
			return err;
	out->key_pairs = pairs;
	out->key_pairs_count = count;
	return HF_OK;
}

enum hf_err
op_transit_datakey_pairs_plaintext(struct request *rq,
    const struct hf_datakey_pairs_in *in, struct hf_datakey_pairs_out *out)
{
	return pairs_run(rq, in, true, out);
}

enum hf_err
op_transit_datakey_pairs_wrapped(struct request *rq,
    const struct hf_datakey_pairs_in *in, struct hf_datakey_pairs_out *out)
{
	return pairs_run(rq, in, false, out);
}
