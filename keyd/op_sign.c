/* SPDX-License-Identifier: Apache-2.0 */
/* Sign, verify, HMAC. */
#include "handlers.h"

#include "../lib/bytes.h"
#include "batch.h"
#include "key_select.h"
#include "keyuse.h"
#include "op_transit.h"
#include "text_form.h"

static struct keyuse
use_of(const struct request *rq, struct hf_bytes context)
{
	return keyuse_of(rq, context);
}

/* -- How to sign: what the caller wrote, checked against the key -- */

struct sign_words {
	struct hf_text hash;
	struct hf_text scheme;
	struct hf_text marshaling;
	struct hf_text salt;
	bool prehashed;
};

static enum hf_err
read_salt(struct hf_text t, int *out, struct hf_why *why)
{
	int v = 0;

	if (t.ptr == NULL || text_is(t, "auto")) {
		*out = SALT_AUTO;
		return HF_OK;
	}
	if (text_is(t, "hash")) {
		*out = SALT_HASH;
		return HF_OK;
	}
	for (size_t i = 0; i < t.len; i++) {
		if (t.ptr[i] < '0' || t.ptr[i] > '9' || t.len > 3)
			return hf_fail(why, HF_ERR_BAD_VALUE,
			    "salt_length: must be auto, hash or a number of "
			    "bytes");
		v = v * 10 + (t.ptr[i] - '0');
	}
	*out = v;
	return HF_OK;
}

static enum hf_err
read_hash(const struct sign_words *w, const struct hash_type **out,
    struct hf_why *why)
{
	bool pkcs1 = w->scheme.ptr != NULL && text_is(w->scheme, "pkcs1v15");

	if (w->hash.ptr != NULL && text_is(w->hash, "none")) {
		if (!w->prehashed || !pkcs1)
			return hf_fail(why, HF_ERR_BAD_ALGORITHM,
			    "hash_algorithm=none requires both prehashed=true "
			    "and signature_algorithm=pkcs1v15");
		*out = NULL;
		return HF_OK;
	}
	*out =
	    hash_type_by_name(w->hash.ptr == NULL ? TEXT("sha2-256") : w->hash);
	return *out == NULL ? HF_ERR_BAD_ALGORITHM : HF_OK;
}

static enum hf_err
how_rsa(const struct sign_words *w, struct sign_how *how)
{
	how->scheme = w->scheme.ptr != NULL && text_is(w->scheme, "pkcs1v15")
	    ? SIGN_PKCS1V15
	    : SIGN_PSS;
	return HF_OK;
}

static enum hf_err
how_ec(const struct sign_words *w, struct sign_how *how, struct hf_why *why)
{
	how->scheme = SIGN_ECDSA;
	if (how->hash == NULL)
		return hf_fail(why, HF_ERR_BAD_ALGORITHM,
		    "hash_algorithm=none is for RSA keys");
	if (w->scheme.ptr != NULL)
		return hf_fail(why, HF_ERR_BAD_ALGORITHM,
		    "signature_algorithm is for RSA keys");
	return HF_OK;
}

static enum hf_err
how_ed(const struct sign_words *w, struct sign_how *how, struct hf_why *why)
{
	how->scheme = SIGN_EDDSA;
	if (w->prehashed)
		return hf_fail(why, HF_ERR_BAD_ALGORITHM,
		    "only Pure Ed25519 signatures supported, prehashed must "
		    "be set to false");
	return HF_OK;
}

static enum hf_err
read_how(const struct request *rq, const struct sign_words *w,
    struct sign_how *how, struct hf_why *why)
{
	enum hf_err err;

	*how = (struct sign_how){ .prehashed = w->prehashed };
	how->encoding =
	    w->marshaling.ptr != NULL && text_is(w->marshaling, "jws")
	    ? SIGN_JWS
	    : SIGN_ASN1;
	if ((err = read_salt(w->salt, &how->salt, why)) != HF_OK ||
	    (err = read_hash(w, &how->hash, why)) != HF_OK)
		return err;
	if (rq->key->type->family == FAMILY_RSA)
		return how_rsa(w, how);
	if (rq->key->type->family == FAMILY_EC)
		return how_ec(w, how, why);
	return how_ed(w, how, why);
}

static enum base64_kind
kind_of(const struct sign_how *how)
{
	return how->encoding == SIGN_JWS ? BASE64_URL : BASE64_STD;
}

static enum hf_err
must_sign(struct request *rq, const char *verb)
{
	if (rq->key == NULL)
		return hf_fail(&rq->why, HF_ERR_SIGN_KEY_NOT_FOUND,
		    "%s key not found", verb);
	if (!rq->key->type->signs)
		return hf_fail(&rq->why, HF_ERR_KEY_TYPE,
		    "message %s not supported for key type %s", verb,
		    rq->key->type->name);
	return HF_OK;
}

/* -- Sign -- */

struct sign_ctx {
	const struct hf_sign_in *in;
	struct sign_how how;
};

static enum hf_err
show_derived(struct request *rq, const struct keyuse *use,
    const struct key_version *v, struct hf_bytes *out)
{
	uint8_t *public = request_alloc(rq, 32);
	enum hf_err err;

	if (public == NULL)
		return HF_ERR_NO_MEMORY;
	if ((err = keyuse_derived_public(use, v, public)) != HF_OK)
		return err;
	*out = bytes_of(public, 32);
	return HF_OK;
}

static enum hf_err
sign_one(struct request *rq, const void *ctx, const void *item, void *result,
    struct hf_why *why)
{
	const struct sign_ctx *sc = ctx;
	const struct hf_sign_item *it = item;
	struct hf_sign_result *res = result;
	struct keyuse use = use_of(rq, it->context);
	const struct key_version *v;
	size_t len;
	uint8_t *buf;
	enum hf_err err;

	if ((err = check_context(rq, it->context, why)) != HF_OK)
		return err;
	if ((err = select_new(rq, sc->in->key_version, "signing", &v, why)) !=
	    HF_OK)
		return err;
	buf = request_alloc(rq, FORM_HEADER + CRYPTO_SIGNATURE_MAX);
	if (buf == NULL)
		return HF_ERR_NO_MEMORY;
	if ((err = keyuse_sign(&use, rq->key, v, &sc->how, it->input,
		 buf + FORM_HEADER, &len)) != HF_OK)
		return err;
	if (rq->key->derived &&
	    (err = show_derived(rq, &use, v, &res->public_key)) != HF_OK)
		return err;
	res->key_version = v->number;
	return form_write(rq->arena, form_of(sc->in->format), rq->key->prefix,
	    v->number, kind_of(&sc->how), buf, len, &res->signature);
}

enum hf_err
op_transit_sign(
    struct request *rq, const struct hf_sign_in *in, struct hf_sign_out *out)
{
	struct sign_words words = { in->hash_algorithm, in->signature_algorithm,
		in->marshaling_algorithm, in->salt_length, in->prehashed };
	struct sign_ctx sc = { .in = in };
	enum hf_err err;

	if ((err = must_sign(rq, "signing")) != HF_OK ||
	    (err = read_how(rq, &words, &sc.how, &rq->why)) != HF_OK)
		return err;
	rq->awaits = in->batch_input == NULL;
	return batch_run(rq,
	    BATCH(sign_one, &sc, in, out, in->item.input.ptr != NULL,
		"input: missing input to sign"));
}

/* -- HMAC -- */

static enum hf_err
hmac_select(struct request *rq, struct hf_uint asked,
    const struct key_version **v, struct hf_why *why)
{
	enum hf_err err = select_new(rq, asked, "HMAC", v, why);

	if (err == HF_ERR_VERSION_TOO_OLD)
		return hf_fail(why, err,
		    "cannot generate HMAC: version is too "
		    "old (disallowed by policy)");
	if (err == HF_ERR_VERSION_TOO_NEW)
		return hf_fail(
		    why, err, "cannot generate HMAC: version is too new");
	return err;
}

struct hmac_ctx {
	const struct hf_hmac_in *in;
	const struct hash_type *hash;
};

static enum hf_err
hmac_one(struct request *rq, const void *ctx, const void *item, void *result,
    struct hf_why *why)
{
	const struct hmac_ctx *hc = ctx;
	const struct hf_input_item *it = item;
	struct hf_hmac_result *res = result;
	struct keyuse use = use_of(rq, (struct hf_bytes){ 0 });
	const struct key_version *v;
	uint8_t *buf;
	enum hf_err err;

	if ((err = hmac_select(rq, hc->in->key_version, &v, why)) != HF_OK)
		return err;
	buf = request_alloc(rq, FORM_HEADER + CRYPTO_HASH_MAX);
	if (buf == NULL)
		return HF_ERR_NO_MEMORY;
	if ((err = keyuse_hmac(&use, rq->key, v, hc->hash, it->input,
		 buf + FORM_HEADER)) != HF_OK)
		return err;
	res->key_version = v->number;
	return form_write(rq->arena, form_of(hc->in->format), rq->key->prefix,
	    v->number, BASE64_STD, buf, hc->hash->size, &res->hmac);
}

enum hf_err
op_transit_hmac(
    struct request *rq, const struct hf_hmac_in *in, struct hf_hmac_out *out)
{
	struct hmac_ctx hc = { in,
		hash_type_by_name(in->algorithm.ptr == NULL ? TEXT("sha2-256")
							    : in->algorithm) };

	if (rq->key == NULL)
		return HF_ERR_ENC_KEY_NOT_FOUND;
	if (hc.hash == NULL)
		return HF_ERR_BAD_ALGORITHM;
	rq->awaits = in->batch_input == NULL;
	return batch_run(rq,
	    BATCH(hmac_one, &hc, in, out, in->item.input.ptr != NULL,
		"input: missing input"));
}

/* -- CMAC -- */

enum { CMAC = 16, CMAC_MIN = 8 };

/* Short MACs are for those who must; below 8 bytes they can be guessed (NIST
 * SP 800-38B, appendix A). */
static enum hf_err
cmac_length(uint64_t asked, size_t *out, struct hf_why *why)
{
	if (asked != 0 && asked < CMAC_MIN)
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "mac_length: must be %d to %d bytes", CMAC_MIN, CMAC);
	*out = asked == 0 ? CMAC : (size_t)asked;
	return HF_OK;
}

static enum hf_err
must_cmac(struct request *rq)
{
	if (rq->key == NULL)
		return HF_ERR_ENC_KEY_NOT_FOUND;
	if (rq->key->type->family != FAMILY_CMAC)
		return hf_fail(&rq->why, HF_ERR_KEY_TYPE,
		    "CMAC not supported for key type %s", rq->key->type->name);
	return HF_OK;
}

struct cmac_ctx {
	const struct hf_cmac_in *in;
	size_t length;
};

static enum hf_err
cmac_one(struct request *rq, const void *ctx, const void *item, void *result,
    struct hf_why *why)
{
	const struct cmac_ctx *cc = ctx;
	const struct hf_cmac_item *it = item;
	struct hf_cmac_result *res = result;
	struct keyuse use = use_of(rq, (struct hf_bytes){ 0 });
	const struct key_version *v;
	uint8_t *buf;
	enum hf_err err;

	if ((err = select_new(rq, cc->in->key_version, "CMAC", &v, why)) !=
	    HF_OK)
		return err;
	buf = request_alloc(rq, FORM_HEADER + CMAC);
	if (buf == NULL)
		return HF_ERR_NO_MEMORY;
	if ((err = keyuse_cmac(
		 &use, rq->key, v, it->input, buf + FORM_HEADER)) != HF_OK)
		return err;
	res->key_version = v->number;
	return form_write(rq->arena, form_of(cc->in->format), rq->key->prefix,
	    v->number, BASE64_STD, buf, cc->length, &res->cmac);
}

enum hf_err
op_transit_cmac(
    struct request *rq, const struct hf_cmac_in *in, struct hf_cmac_out *out)
{
	struct cmac_ctx cc = { .in = in };
	enum hf_err err;

	if ((err = must_cmac(rq)) != HF_OK ||
	    (err = cmac_length(in->mac_length, &cc.length, &rq->why)) != HF_OK)
		return err;
	rq->awaits = in->batch_input == NULL;
	return batch_run(rq,
	    BATCH(cmac_one, &cc, in, out, in->item.input.ptr != NULL,
		"input: missing input"));
}

/* -- Verify: a signature, an HMAC or a CMAC -- */

struct verify_ctx {
	const struct hf_verify_in *in;
	struct sign_how how;
	const struct hash_type *hash;
	size_t mac_length;
};

/* What a caller gives as a proof, and the version that it speaks of. */
static enum hf_err
proof_read(struct request *rq, struct hf_bytes text, enum base64_kind kind,
    const char *field, struct versioned *given, const struct key_version **v,
    struct hf_why *why)
{
	enum hf_err err = form_read(rq->arena, text, rq->key->prefix, kind,
	    field, HF_ERR_BAD_SIGNATURE, given, why);

	return err == HF_OK ? select_old(rq, given->version, field,
				  HF_ERR_BAD_SIGNATURE, v, why)
			    : err;
}

/* Compares, and wipes what was made: else a wrong guess would leave it. */
static bool
mac_is(const struct keyuse *use, const struct key_version *v,
    struct hf_bytes given, uint8_t mac[CRYPTO_HASH_MAX], size_t len)
{
	bool valid = bytes_equal_ct(given, bytes_of(mac, len));

	if (valid)
		keyuse_note(use, v, USAGE_VERIFY);
	bytes_wipe(mac, CRYPTO_HASH_MAX);
	return valid;
}

static enum hf_err
verify_hmac(struct request *rq, const struct verify_ctx *vc,
    const struct hf_verify_item *it, bool *valid, struct hf_why *why)
{
	struct keyuse use = use_of(rq, (struct hf_bytes){ 0 });
	const struct key_version *v;
	struct versioned given;
	uint8_t mac[CRYPTO_HASH_MAX];
	enum hf_err err;

	use.checking = true;
	if ((err = proof_read(
		 rq, it->hmac, BASE64_STD, "hmac", &given, &v, why)) != HF_OK ||
	    (err = keyuse_hmac(&use, rq->key, v, vc->hash, it->input, mac)) !=
		HF_OK)
		return err;
	*valid = mac_is(&use, v, given.body, mac, vc->hash->size);
	return HF_OK;
}

static enum hf_err
verify_signature(struct request *rq, const struct verify_ctx *vc,
    const struct hf_verify_item *it, bool *valid, struct hf_why *why)
{
	struct keyuse use = use_of(rq, it->context);
	const struct key_version *v;
	struct versioned given;
	enum hf_err err;

	if ((err = check_context(rq, it->context, why)) != HF_OK ||
	    (err = proof_read(rq, it->signature, kind_of(&vc->how), "signature",
		 &given, &v, why)) != HF_OK)
		return err;
	err = keyuse_verify(&use, rq->key, v, &vc->how, it->input, given.body);
	*valid = err == HF_OK;
	return err == HF_ERR_SIGNATURE_WRONG ? HF_OK : err;
}

static enum hf_err
verify_cmac(struct request *rq, const struct verify_ctx *vc,
    const struct hf_verify_item *it, bool *valid, struct hf_why *why)
{
	struct keyuse use = use_of(rq, (struct hf_bytes){ 0 });
	const struct key_version *v;
	struct versioned given;
	uint8_t mac[CRYPTO_HASH_MAX];
	enum hf_err err;

	use.checking = true;
	if ((err = proof_read(
		 rq, it->cmac, BASE64_STD, "cmac", &given, &v, why)) != HF_OK ||
	    (err = keyuse_cmac(&use, rq->key, v, it->input, mac)) != HF_OK)
		return err;
	*valid = mac_is(&use, v, given.body, mac, vc->mac_length);
	return HF_OK;
}

/* What an item gives to be verified, and who does it. */
static const struct proof {
	size_t offset; /* in the item */
	enum hf_err (*verify)(struct request *rq, const struct verify_ctx *vc,
	    const struct hf_verify_item *it, bool *valid, struct hf_why *why);
} proofs[] = {
	{ offsetof(struct hf_verify_item, signature), verify_signature },
	{ offsetof(struct hf_verify_item, hmac), verify_hmac },
	{ offsetof(struct hf_verify_item, cmac), verify_cmac },
};
enum { PROOF_SIGNATURE, PROOF_HMAC, PROOF_CMAC, PROOFS };

/* Which one it gives; PROOFS when it gives none. */
static enum hf_err
proof_of(const struct hf_verify_item *it, unsigned *out, struct hf_why *why)
{
	*out = PROOFS;
	for (unsigned i = 0; i < PROOFS; i++) {
		const struct hf_bytes *at =
		    (const void *)((const uint8_t *)it + proofs[i].offset);

		if (at->ptr == NULL)
			continue;
		if (*out != PROOFS)
			return hf_fail(why, HF_ERR_BAD_VALUE,
			    "provide one of 'signature', 'hmac' or 'cmac'");
		*out = i;
	}
	return HF_OK;
}

static enum hf_err
verify_one(struct request *rq, const void *ctx, const void *item, void *result,
    struct hf_why *why)
{
	const struct verify_ctx *vc = ctx;
	const struct hf_verify_item *it = item;
	struct hf_verify_result *res = result;
	bool valid = false;
	unsigned kind;
	enum hf_err err;

	if ((err = proof_of(it, &kind, why)) != HF_OK)
		return err;
	if (kind == PROOFS)
		return hf_fail(why, HF_ERR_MISSING_FIELD,
		    "neither a 'signature' nor an 'hmac' were given to verify");
	err = proofs[kind].verify(rq, vc, it, &valid, why);
	if (err == HF_OK)
		res->valid = valid ? HF_TRUE : HF_FALSE;
	return err;
}

/* An item with none counts as a signature, one with two as the MAC: each has
 * its error when its turn comes. */
static unsigned
kind_of_item(const struct hf_verify_item *it)
{
	if (it->hmac.ptr != NULL)
		return PROOF_HMAC;
	return it->cmac.ptr != NULL ? PROOF_CMAC : PROOF_SIGNATURE;
}

/* All items of a batch are of one kind, as in Vault. */
static enum hf_err
verify_kind(const struct hf_verify_in *in, unsigned *kind, struct hf_why *why)
{
	*kind = kind_of_item(
	    in->batch_input_count > 0 ? in->batch_input : &in->item);
	for (size_t i = 1; i < in->batch_input_count; i++)
		if (kind_of_item(&in->batch_input[i]) != *kind)
			return hf_fail(why, HF_ERR_BAD_VALUE,
			    "elements of batch_input must all provide either "
			    "'signature' or 'hmac'");
	return HF_OK;
}

static enum hf_err
verify_how(struct request *rq, const struct hf_verify_in *in, unsigned kind,
    struct verify_ctx *vc)
{
	struct sign_words words = { in->hash_algorithm, in->signature_algorithm,
		in->marshaling_algorithm, in->salt_length, in->prehashed };
	enum hf_err err;

	if (kind == PROOF_CMAC) {
		err = must_cmac(rq);
		return err != HF_OK
		    ? err
		    : cmac_length(in->mac_length, &vc->mac_length, &rq->why);
	}
	if (kind == PROOF_SIGNATURE) {
		err = must_sign(rq, "signature verification");
		return err != HF_OK ? err
				    : read_how(rq, &words, &vc->how, &rq->why);
	}
	if (rq->key == NULL)
		return HF_ERR_ENC_KEY_NOT_FOUND;
	vc->hash = hash_type_by_name(in->hash_algorithm.ptr == NULL
		? TEXT("sha2-256")
		: in->hash_algorithm);
	return vc->hash == NULL ? HF_ERR_BAD_ALGORITHM : HF_OK;
}

enum hf_err
op_transit_verify(struct request *rq, const struct hf_verify_in *in,
    struct hf_verify_out *out)
{
	struct verify_ctx vc = { .in = in };
	unsigned kind;
	bool given;
	enum hf_err err;

	if ((err = verify_kind(in, &kind, &rq->why)) != HF_OK ||
	    (err = verify_how(rq, in, kind, &vc)) != HF_OK)
		return err;
	given = in->item.input.ptr != NULL ||
	    (in->batch_input != NULL &&
		(in->item.signature.ptr != NULL || in->item.hmac.ptr != NULL ||
		    in->item.cmac.ptr != NULL));
	rq->awaits = in->batch_input == NULL;
	return batch_run(rq,
	    BATCH(verify_one, &vc, in, out, given,
		"input: missing input to verify"));
}
