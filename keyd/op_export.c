/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What leaves: public halves and certificates always; private material of keys
 * that were made exportable, at level wrapped; and whole keys, sealed.
 */
#include "backup_seal.h"
#include "crypto_pkcs8.h"
#include "crypto_wrap.h"
#include "crypto_x509.h"
#include "handlers.h"
#include "op_key.h"

#include "../lib/bytes.h"

enum format { RAW, DER, PEM, DEFAULT };

static enum format
format_of(struct hf_text word)
{
	static const char *const words[] = { "raw", "der", "pem" };

	for (unsigned i = 0; word.ptr != NULL && i < 3; i++)
		if (text_is(word, words[i]))
			return (enum format)i;
	return DEFAULT;
}

static enum hf_err
copy_out(struct request *rq, struct hf_bytes from, struct hf_bytes *out)
{
	uint8_t *p = request_alloc(rq, from.len);

	if (p == NULL)
		return HF_ERR_NO_MEMORY;
	memcpy(p, from.ptr, from.len);
	*out = bytes_of(p, from.len);
	return HF_OK;
}

/* -- What may leave -- */

/*
 * One way to export a version. Function pointers, because each gives another
 * thing in forms of its own.
 */
typedef enum hf_err export_fn(struct request *rq, const struct key_version *v,
    enum format format, struct hf_bytes *out);

struct export
{
	export_fn *give;
	bool private;
};

static enum hf_err
bad_format(struct request *rq, const char *takes)
{
	return hf_fail(&rq->why, HF_ERR_BAD_VALUE,
	    "format: keys of type %s are exported as %s", rq->key->type->name,
	    takes);
}

static enum hf_err
give_public(struct request *rq, const struct key_version *v, enum format format,
    struct hf_bytes *out)
{
	struct hf_bytes spki = bytes_of(v->spki, v->spki_len);
	uint8_t raw[32];
	char *pem;
	enum hf_err err;

	if (v->spki_len == 0)
		return hf_fail(&rq->why, HF_ERR_KEY_TYPE,
		    "keys of type %s have no public half", rq->key->type->name);
	if (format == DER)
		return copy_out(rq, spki, out);
	if (format == RAW) {
		err = crypto_ed25519_public(v->pair, raw);
		return err == HF_ERR_KEY_TYPE
		    ? bad_format(rq, "der or pem")
		    : copy_out(rq, bytes_of(raw, sizeof(raw)), out);
	}
	pem = request_alloc(rq, SPKI_PEM_MAX);
	if (pem == NULL)
		return HF_ERR_NO_MEMORY;
	if ((err = crypto_spki_pem(spki, pem, SPKI_PEM_MAX)) != HF_OK)
		return err;
	*out = bytes_of_text(text_of(pem));
	return HF_OK;
}

static enum hf_err
give_chain(struct request *rq, const struct key_version *v, enum format format,
    struct hf_bytes *out)
{
	struct hf_bytes chain = bytes_of(v->chain, v->chain_len);
	char *pem;
	enum hf_err err;

	if (chain.len == 0)
		return hf_fail(&rq->why, HF_ERR_NOT_FOUND,
		    "version %u of key %s has no certificate", v->number,
		    rq->key->name);
	if (format == RAW)
		return bad_format(rq, "pem, or der one after the other");
	if (format == DER)
		return copy_out(rq, chain, out);
	pem = request_alloc(rq, CERT_PEM_MAX);
	if (pem == NULL)
		return HF_ERR_NO_MEMORY;
	if ((err = cert_chain_pem(chain, pem, CERT_PEM_MAX)) != HF_OK)
		return err;
	*out = bytes_of_text(text_of(pem));
	return HF_OK;
}

static enum hf_err
give_secret(struct request *rq, const struct secret *key, enum format format,
    struct hf_bytes *out)
{
	if (key->ptr == NULL)
		return HF_ERR_NO_PRIVATE_PART;
	if (format != RAW && format != DEFAULT)
		return bad_format(rq, "raw");
	return copy_out(rq, secret_view(key), out);
}

static enum hf_err
give_private(struct request *rq, const struct key_version *v,
    enum format format, struct hf_bytes *out)
{
	AUTO_SECRET key = { 0 };
	AUTO_SECRET pem = { 0 };
	enum hf_err err;

	if (v->pair == NULL)
		return give_secret(rq, &v->material, format, out);
	if (format == RAW) {
		err = crypto_ed25519_seed(v->pair, &key);
		if (err == HF_ERR_KEY_TYPE)
			return bad_format(rq, "der or pem");
	} else {
		err = crypto_key_pkcs8(v->pair, &key);
	}
	if (err != HF_OK)
		return err;
	if (format == RAW || format == DER)
		return copy_out(rq, secret_view(&key), out);
	if ((err = crypto_private_pem(secret_view(&key), &pem)) != HF_OK)
		return err;
	return copy_out(rq, bytes_of(pem.ptr, pem.len - 1), out);
}

static enum hf_err
give_encryption(struct request *rq, const struct key_version *v,
    enum format format, struct hf_bytes *out)
{
	if (!rq->key->type->encrypts)
		return hf_fail(&rq->why, HF_ERR_KEY_TYPE,
		    "keys of type %s do not encrypt", rq->key->type->name);
	return give_private(rq, v, format, out);
}

static enum hf_err
give_signing(struct request *rq, const struct key_version *v,
    enum format format, struct hf_bytes *out)
{
	if (!rq->key->type->signs)
		return hf_fail(&rq->why, HF_ERR_KEY_TYPE,
		    "keys of type %s do not sign", rq->key->type->name);
	return give_private(rq, v, format, out);
}

static enum hf_err
give_hmac(struct request *rq, const struct key_version *v, enum format format,
    struct hf_bytes *out)
{
	return give_secret(rq,
	    rq->key->type->family == FAMILY_HMAC ? &v->material : &v->hmac,
	    format, out);
}

/* -- Which versions -- */

static enum hf_err
private_check(struct request *rq, const struct key_version *v)
{
	if (!rq->key->exportable)
		return hf_fail(&rq->why, HF_ERR_NOT_EXPORTABLE,
		    "private key material is not exportable");
	if (v->level == LEVEL_HSM)
		return hf_fail(&rq->why, HF_ERR_NOT_EXPORTABLE,
		    "version %u of key %s is of level hsm and never leaves the "
		    "HSM",
		    v->number, rq->key->name);
	if (v->state != VERSION_ENABLED)
		return hf_fail(&rq->why, HF_ERR_VERSION_STATE,
		    "version %u of key %s is not enabled", v->number,
		    rq->key->name);
	if (rq->demand_hsm)
		return hf_fail(&rq->why, HF_ERR_KEY_LEVEL,
		    "policy demands protection level hsm, and such keys do "
		    "not leave");
	return HF_OK;
}

static enum hf_err
version_check(struct request *rq, const struct key_version *v, bool private)
{
	const struct key *key = rq->key;

	if (v->number < key->min_decryption || v->number < key->min_available)
		return hf_fail(&rq->why, HF_ERR_VERSION_TOO_OLD,
		    "version for export is below minimum decryption version");
	if (v->state == VERSION_DESTROYED)
		return hf_fail(&rq->why, HF_ERR_VERSION_STATE,
		    "version %u of key %s is destroyed", v->number, key->name);
	return private ? private_check(rq, v) : HF_OK;
}

static enum hf_err
version_pick(struct request *rq, struct hf_uint asked, bool private,
    const struct key_version **out)
{
	const struct key *key = rq->key;
	uint64_t number = asked.value;

	if (number == 0)
		number = key->primary != 0 ? key->primary : key->latest;
	*out = key_version_find(key, number);
	if (*out == NULL)
		return hf_fail(&rq->why, HF_ERR_VERSION_NOT_FOUND,
		    "key %s has no version %llu", key->name,
		    (unsigned long long)number);
	rq->key_version = number;
	return version_check(rq, *out, private);
}

/* Those that a caller could still use; one that cannot leave fails all. */
static enum hf_err
export_all(struct request *rq, const struct export *e, enum format format,
    struct hf_key_export_out *out)
{
	const struct key *key = rq->key;
	enum hf_err err;

	out->keys = arena_array(rq->arena, key->count, sizeof(*out->keys));
	if (out->keys == NULL)
		return HF_ERR_NO_MEMORY;
	for (size_t i = 0; i < key->count; i++) {
		const struct key_version *v = &key->versions[i];

		if (v->number < key->min_decryption ||
		    v->state != VERSION_ENABLED)
			continue;
		out->keys[out->keys_count].version = v->number;
		if ((err = version_check(rq, v, e->private)) != HF_OK ||
		    (err = e->give(rq, v, format,
			 &out->keys[out->keys_count++].key)) != HF_OK)
			return err;
	}
	return HF_OK;
}

static enum hf_err
export_run(struct request *rq, const struct export *e,
    const struct hf_key_export_in *in, struct hf_key_export_out *out)
{
	enum format format = format_of(in->format);
	const struct key_version *v;
	enum hf_err err;

	if (rq->key == NULL)
		return HF_ERR_KEY_NOT_FOUND;
	if (rq->key->soft_deleted)
		return HF_ERR_KEY_DELETED;
	if (in->all && in->version.value != 0)
		return hf_fail(
		    &rq->why, HF_ERR_BAD_VALUE, "give either version or all");
	out->name = text_of(arena_text(rq->arena, text_of(rq->key->name)));
	out->type = text_of(rq->key->type->name);
	if (in->all)
		return export_all(rq, e, format, out);
	if ((err = version_pick(rq, in->version, e->private, &v)) != HF_OK ||
	    (err = e->give(rq, v, format, &out->key)) != HF_OK)
		return err;
	out->key_version = v->number;
	return HF_OK;
}

enum hf_err
op_key_export_public(struct request *rq, const struct hf_key_export_in *in,
    struct hf_key_export_out *out)
{
	static const struct export e = { give_public, false };

	return export_run(rq, &e, in, out);
}

enum hf_err
op_key_export_chain(struct request *rq, const struct hf_key_export_in *in,
    struct hf_key_export_out *out)
{
	static const struct export e = { give_chain, false };

	return export_run(rq, &e, in, out);
}

enum hf_err
op_key_export_encryption(struct request *rq, const struct hf_key_export_in *in,
    struct hf_key_export_out *out)
{
	static const struct export e = { give_encryption, true };

	return export_run(rq, &e, in, out);
}

enum hf_err
op_key_export_signing(struct request *rq, const struct hf_key_export_in *in,
    struct hf_key_export_out *out)
{
	static const struct export e = { give_signing, true };

	return export_run(rq, &e, in, out);
}

enum hf_err
op_key_export_hmac(struct request *rq, const struct hf_key_export_in *in,
    struct hf_key_export_out *out)
{
	static const struct export e = { give_hmac, true };

	return export_run(rq, &e, in, out);
}

/* -- Wrapped for another key -- */

static enum hf_err
wrap_for(struct request *rq, const struct crypto_key *wrapping,
    struct hf_bytes target, struct hf_bytes *out)
{
	size_t len = CRYPTO_SIGNATURE_MAX + target.len + CRYPTO_KWP_EXTRA;
	uint8_t *buf = request_alloc(rq, len);
	enum hf_err err;

	if (buf == NULL)
		return HF_ERR_NO_MEMORY;
	if ((err = crypto_rsa_wrap(wrapping, target, buf, &len)) != HF_OK)
		return err;
	*out = bytes_of(buf, len);
	return HF_OK;
}

static enum hf_err
wrap_version(struct request *rq, const struct key_version *v,
    const struct crypto_key *wrapping, struct hf_byok_export_out *out)
{
	AUTO_SECRET pkcs8 = { 0 };
	struct hf_bytes target = secret_view(&v->material);
	enum hf_err err;

	if (v->pair != NULL) {
		if ((err = crypto_key_pkcs8(v->pair, &pkcs8)) != HF_OK)
			return err;
		target = secret_view(&pkcs8);
	}
	if ((err = wrap_for(rq, wrapping, target, &out->ciphertext)) != HF_OK ||
	    v->hmac.ptr == NULL)
		return err;
	return wrap_for(
	    rq, wrapping, secret_view(&v->hmac), &out->hmac_ciphertext);
}

/* The version in use of the key that it is wrapped for. */
static enum hf_err
destination_find(struct request *rq, struct hf_text name, struct key **key,
    const struct key_version **out)
{
	enum hf_err err = keys_get(rq->server->keys, name, true, key);
	const struct key_version *v;

	if (err == HF_ERR_KEY_NOT_FOUND)
		return hf_fail(&rq->why, err,
		    "there is no destination key %.*s", (int)name.len,
		    name.ptr);
	if (err != HF_OK)
		return err;
	v = key_version_find(
	    *key, (*key)->primary != 0 ? (*key)->primary : (*key)->latest);
	if ((*key)->type->family != FAMILY_RSA || v == NULL ||
	    v->state != VERSION_ENABLED || (*key)->soft_deleted)
		return hf_fail(&rq->why, HF_ERR_KEY_TYPE,
		    "destination: it must be an RSA key that is in use");
	*out = v;
	return HF_OK;
}

enum hf_err
op_byok_export(struct request *rq, const struct hf_byok_export_in *in,
    struct hf_byok_export_out *out)
{
	const struct key_version *v, *to;
	struct key *destination = NULL;
	enum hf_err err;

	if (rq->key == NULL)
		return HF_ERR_KEY_NOT_FOUND;
	if (rq->key->soft_deleted)
		return HF_ERR_KEY_DELETED;
	if ((err = version_pick(rq, in->version, true, &v)) != HF_OK)
		return err;
	err = destination_find(rq, in->destination, &destination, &to);
	if (err == HF_OK)
		err = wrap_version(rq, v, to->pair, out);
	key_unref(destination);
	if (err != HF_OK)
		return err;
	out->name = text_of(arena_text(rq->arena, text_of(rq->key->name)));
	out->type = text_of(rq->key->type->name);
	out->key_version = v->number;
	return HF_OK;
}

/* -- Whole keys, sealed -- */

static enum hf_err
backup_check(struct request *rq, bool other)
{
	const struct key *key = rq->key;

	if (key->level == LEVEL_HSM && !other)
		return HF_OK; /* no more than what the store has already */
	if (!key->allow_plaintext_backup)
		return hf_fail(&rq->why, HF_ERR_NOT_EXPORTABLE,
		    "the key does not allow a backup: set "
		    "allow_plaintext_backup");
	if (other && !key->exportable)
		return hf_fail(&rq->why, HF_ERR_NOT_EXPORTABLE,
		    "the key is not exportable, and this backup is for "
		    "another HSM");
	if (other && rq->demand_hsm)
		return hf_fail(&rq->why, HF_ERR_KEY_LEVEL,
		    "policy demands protection level hsm, and such keys do "
		    "not leave");
	return HF_OK;
}

enum hf_err
op_key_backup(struct request *rq, const struct hf_key_backup_in *in,
    struct hf_key_backup_out *out)
{
	bool other = in->recipient.ptr != NULL;
	struct hf_bytes recipient = { NULL, 0 };
	AUTO_SECRET payload = { 0 };
	uint8_t spki[SPKI_MAX], *blob;
	size_t len;
	enum hf_err err;

	if (rq->key == NULL)
		return HF_ERR_KEY_NOT_FOUND;
	if ((err = backup_check(rq, other)) != HF_OK)
		return err;
	if (other) {
		if (crypto_pem_spki(in->recipient, spki, sizeof(spki), &len) !=
		    HF_OK)
			return hf_fail(&rq->why, HF_ERR_BAD_VALUE,
			    "recipient: it is not the PEM of a public key");
		recipient = bytes_of(spki, len);
	}
	if ((err = keys_backup(rq->server->keys, text_of(rq->key->name), other,
		 &payload, &rq->why)) != HF_OK)
		return err;
	blob = request_alloc(rq, payload.len + BACKUP_EXTRA);
	if (blob == NULL)
		return HF_ERR_NO_MEMORY;
	if ((err = backup_seal(rq->server, recipient, secret_view(&payload),
		 blob, &len, &rq->why)) != HF_OK)
		return err;
	out->backup = bytes_of(blob, len);
	return HF_OK;
}

enum hf_err
op_key_restore(struct request *rq, const struct hf_key_restore_in *in,
    struct hf_key_info *out)
{
	AUTO_SECRET payload = { 0 };
	struct key *key = NULL;
	bool foreign;
	enum hf_err err;

	if (in->backup.len == 0)
		return hf_fail(&rq->why, HF_ERR_MISSING_FIELD,
		    "backup: missing backup to restore");
	if ((err = backup_open(rq->server, in->backup, &payload, &foreign,
		 &rq->why)) == HF_OK)
		err = keys_restore(rq->server->keys, in->name,
		    secret_view(&payload), foreign, in->force, rq->demand_hsm,
		    &key, &rq->why);
	return key_changed(rq, err, "key.restored", key, out);
}
