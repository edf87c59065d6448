/* SPDX-License-Identifier: Apache-2.0 */
/* What PKCS#11 programs change: labels, ids, certificates; and destruction. */
#include "op_p11.h"

#include <time.h>

#include "../lib/bytes.h"
#include "certificates.h"
#include "crypto_x509.h"
#include "handlers.h"
#include "key_use.h"

static struct certificates
certificates_of(struct request *rq)
{
	return (
	    struct certificates){ rq->server->store, rq->server->hierarchy };
}

static enum hf_err
set_change(void *ctx, const struct key *key, struct key_record *rec,
    struct hf_why *why)
{
	const struct hf_p11_set_in *in = ctx;

	(void)why;
	/* The name of the key needs no label beside it. */
	if (in->label.ptr != NULL)
		rec->label = in->label;
	if (text_is(rec->label, key->name))
		rec->label = (struct hf_text){ 0 };
	if (in->id.ptr != NULL)
		rec->cka_id = in->id;
	return HF_OK;
}

enum hf_err
op_p11_set(
    struct request *rq, const struct hf_p11_set_in *in, struct hf_empty *out)
{
	struct hf_p11_set_in copy = *in;
	enum hf_err err;

	(void)out;
	if (rq->key == NULL)
		return HF_ERR_KEY_NOT_FOUND;
	err = keys_change(rq->server->keys, text_of(rq->key->name), set_change,
	    &copy, NULL, &rq->why);
	if (err == HF_OK)
		server_event(rq->server, "key.configured", rq->key->name);
	return err;
}

enum hf_err
op_p11_set_certificate(struct request *rq,
    const struct hf_p11_set_certificate_in *in, struct hf_empty *out)
{
	const struct key_version *v;
	bool matches = false;
	enum hf_err err;

	(void)out;
	if (rq->key == NULL)
		return HF_ERR_KEY_NOT_FOUND;
	v = key_version_find(rq->key, in->key_version);
	if (v == NULL)
		return HF_ERR_VERSION_NOT_FOUND;
	if (in->certificate.ptr != NULL) {
		err = cert_matches(
		    in->certificate, bytes_of(v->spki, v->spki_len), &matches);
		if (err != HF_OK)
			return hf_fail(&rq->why, err,
			    "certificate: it is not the DER of a certificate");
		if (!matches)
			return hf_fail(&rq->why, HF_ERR_BAD_CONFIG,
			    "certificate: it is of another key");
	}
	err = keys_put_certificate(rq->server->keys, text_of(rq->key->name),
	    in->key_version, in->certificate, &rq->why);
	if (err == HF_OK)
		server_event(rq->server, "key.certificate_set", rq->key->name);
	return err;
}

/* -- Destruction -- */

/* As key.delete: only where deletion_allowed says so. */
static enum hf_err
destroy_key(struct request *rq)
{
	enum hf_err err =
	    keys_delete(rq->server->keys, text_of(rq->key->name), &rq->why);

	if (err == HF_OK)
		server_event(rq->server, "key.deleted", rq->key->name);
	return err;
}

/*
 * A version that is not in use goes at once: who destroys an object does not
 * come back in 30 days to look. So it must not have been used lately, as for
 * key.version_destroy; here nobody can say that it shall go all the same.
 */
static enum hf_err
destroy_version(struct request *rq, uint64_t version)
{
	enum hf_err err =
	    keys_version_destroy(rq->server->keys, text_of(rq->key->name),
		version, 0, key_use_since(rq->server->lately), NULL, &rq->why);

	if (err == HF_OK)
		server_event(
		    rq->server, "key.version_destroy_scheduled", rq->key->name);
	return err;
}

enum hf_err
op_p11_destroy(struct request *rq, const struct hf_p11_destroy_in *in,
    struct hf_empty *out)
{
	const struct key *key = rq->key;
	uint64_t current;

	(void)out;
	if (key == NULL)
		return HF_ERR_KEY_NOT_FOUND;
	if (!text_is(in->name, key->name))
		return hf_fail(&rq->why, HF_ERR_BAD_NAME,
		    "%.*s is an alias of key %s", (int)in->name.len,
		    in->name.ptr, key->name);
	if (key_version_find(key, in->key_version) == NULL)
		return HF_ERR_VERSION_NOT_FOUND;
	if (key->count == 1)
		return destroy_key(rq);
	current = key->primary != 0 ? key->primary : key->latest;
	if (in->key_version == current)
		return hf_fail(&rq->why, HF_ERR_DELETE_REFUSED,
		    "version %llu of key %s is in use and there are others; "
		    "delete the key with 'holdfast key delete'",
		    (unsigned long long)current, key->name);
	return destroy_version(rq, in->key_version);
}

/* -- Certificates of no key here -- */

enum hf_err
op_p11_certificate_set(struct request *rq,
    const struct hf_p11_certificate_in *in, struct hf_p11_made *out)
{
	const struct certificates cs = certificates_of(rq);
	const struct certificate c = { .der = in->certificate,
		.label = in->label,
		.id = in->id,
		.creation_time = (uint64_t)time(NULL) };
	uint8_t *uid = request_alloc(rq, CERTIFICATE_UID);
	bool matches; /* there is no key that it could be of */
	enum hf_err err;

	if (uid == NULL)
		return HF_ERR_NO_MEMORY;
	if (cert_matches(in->certificate, (struct hf_bytes){ 0 }, &matches) !=
	    HF_OK)
		return hf_fail(&rq->why, HF_ERR_BAD_INPUT,
		    "certificate: it is not the DER of a certificate");
	err = certificate_put(&cs, in->name, &c, uid);
	out->uid = bytes_of(uid, CERTIFICATE_UID);
	out->name = in->name;
	return err;
}

enum hf_err
op_p11_certificate_delete(struct request *rq,
    const struct hf_p11_certificate_delete_in *in, struct hf_empty *out)
{
	const struct certificates cs = certificates_of(rq);

	(void)out;
	return certificate_delete(&cs, in->name);
}
