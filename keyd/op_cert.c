/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates of keys: requests, chains, and those that a key signs itself. */
#include "handlers.h"

#include <time.h>

#include "../lib/bytes.h"
#include "crypto_x509.h"
#include "key_select.h"
#include "keyuse.h"
#include "op_key.h"

enum {
	DAY = 86400, /* seconds */
	DAYS = 365,  /* that a self-signed certificate holds, as a rule */
};

struct signer {
	struct request *rq;
	const struct key_version *version;
};

static enum hf_err
sign_with(void *ctx, const struct sign_how *how, struct hf_bytes tbs,
    uint8_t *out, size_t *len)
{
	const struct signer *s = ctx;
	struct keyuse use = keyuse_of(s->rq, (struct hf_bytes){ 0 });

	return keyuse_sign(&use, s->rq->key, s->version, how, tbs, out, len);
}

/* The version that signs, ready for crypto_x509.c. */
static enum hf_err
signer_find(struct request *rq, struct hf_uint asked, struct signer *s,
    struct cert_key *key)
{
	enum hf_err err;

	if (rq->key == NULL)
		return HF_ERR_KEY_NOT_FOUND;
	if (!rq->key->type->signs)
		return hf_fail(&rq->why, HF_ERR_KEY_TYPE,
		    "keys of type %s have no certificates",
		    rq->key->type->name);
	if (rq->key->derived)
		return hf_fail(&rq->why, HF_ERR_KEY_TYPE,
		    "derived keys have no certificates: each context leads to "
		    "another key");
	s->rq = rq;
	if ((err = select_new(rq, asked, "signing", &s->version, &rq->why)) !=
	    HF_OK)
		return err;
	*key = (struct cert_key){ rq->key->type,
		bytes_of(s->version->spki, s->version->spki_len), sign_with,
		s };
	return HF_OK;
}

/* Without a subject it is the name of the key, which needs no escape. */
static enum hf_err
subject_of(struct request *rq, struct hf_text subject,
    const struct hf_text *alt_names, size_t alt_count, struct cert_subject *out)
{
	char *name = arena_printf(rq->arena, "CN=%s", rq->key->name);

	if (name == NULL)
		return HF_ERR_NO_MEMORY;
	*out = (struct cert_subject){ subject.ptr != NULL ? subject
							  : text_of(name),
		alt_names, alt_count };
	return HF_OK;
}

enum hf_err
op_key_csr(struct request *rq, const struct hf_key_csr_in *in,
    struct hf_key_csr_out *out)
{
	char *pem = request_alloc(rq, CERT_PEM_MAX);
	struct cert_subject who;
	struct cert_key key;
	struct signer signer;
	enum hf_err err;

	if (pem == NULL)
		return HF_ERR_NO_MEMORY;
	if (in->csr.ptr != NULL &&
	    (in->subject.ptr != NULL || in->alt_names_count > 0))
		return hf_fail(&rq->why, HF_ERR_BAD_VALUE,
		    "csr: with a request to start from, subject and alt_names "
		    "are those in it");
	if ((err = signer_find(rq, in->version, &signer, &key)) != HF_OK ||
	    (err = subject_of(rq, in->subject, in->alt_names,
		 in->alt_names_count, &who)) != HF_OK ||
	    (err = cert_request(
		 &key, in->csr, &who, pem, CERT_PEM_MAX, &rq->why)) != HF_OK)
		return err;
	out->name = text_of(arena_text(rq->arena, text_of(rq->key->name)));
	out->type = text_of(rq->key->type->name);
	out->key_version = signer.version->number;
	out->csr = text_of(pem);
	return HF_OK;
}

/* -- Giving a version its certificates -- */

static enum hf_err
set_chain(struct request *rq, struct hf_text name, uint64_t version,
    struct hf_bytes chain, struct hf_key_info *out)
{
	struct key *key = NULL;
	enum hf_err err = keys_set_certificate(
	    rq->server->keys, name, version, chain, &key, &rq->why);

	rq->key_version = version;
	return key_changed(rq, err, "key.certificate_set", key, out);
}

enum hf_err
op_key_set_certificate(struct request *rq,
    const struct hf_key_set_certificate_in *in, struct hf_key_info *out)
{
	uint8_t *chain = request_alloc(rq, CERT_CHAIN_MAX);
	uint64_t version = in->version.value;
	size_t len;
	enum hf_err err;

	if (rq->key == NULL)
		return HF_ERR_KEY_NOT_FOUND;
	if (chain == NULL)
		return HF_ERR_NO_MEMORY;
	if (in->certificate_chain.len == 0)
		return hf_fail(&rq->why, HF_ERR_MISSING_FIELD,
		    "certificate_chain: missing certificates");
	if (version == 0)
		version =
		    rq->key->primary != 0 ? rq->key->primary : rq->key->latest;
	err = cert_chain_read(in->certificate_chain, chain, &len, &rq->why);
	if (err != HF_OK)
		return err;
	return set_chain(rq, in->name, version, bytes_of(chain, len), out);
}

enum hf_err
op_key_self_sign(struct request *rq, const struct hf_key_self_sign_in *in,
    struct hf_key_info *out)
{
	uint8_t *cert = request_alloc(rq, CERT_CHAIN_MAX);
	uint64_t now = (uint64_t)time(NULL);
	uint64_t days = in->days != 0 ? in->days : DAYS;
	struct cert_subject who;
	struct cert_key key;
	struct signer signer;
	size_t len;
	enum hf_err err;

	if (cert == NULL)
		return HF_ERR_NO_MEMORY;
	if ((err = signer_find(rq, in->version, &signer, &key)) != HF_OK ||
	    (err = subject_of(rq, in->subject, in->alt_names,
		 in->alt_names_count, &who)) != HF_OK ||
	    (err = cert_self_sign(&key, &who, now, now + days * DAY, cert, &len,
		 &rq->why)) != HF_OK)
		return err;
	return set_chain(
	    rq, in->name, signer.version->number, bytes_of(cert, len), out);
}
