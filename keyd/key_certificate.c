/* SPDX-License-Identifier: Apache-2.0 */
/* The certificates of key versions. */
#include "keys.h"

#include "../lib/bytes.h"
#include "change.h"
#include "crypto_x509.h"

struct certificate_ctx {
	uint64_t version;
	struct hf_bytes chain;
	bool any; /* as it is: keys_put_certificate() */
};

/* The key may have been changed since the caller looked, so it is checked as
 * it is now. */
static enum hf_err
certificate_check(const struct key *key, const struct certificate_ctx *cc,
    const struct version_record *rec, struct hf_why *why)
{
	if (key->soft_deleted)
		return HF_ERR_KEY_DELETED;
	if (rec->state == VERSION_DESTROYED)
		return hf_fail(why, HF_ERR_VERSION_STATE,
		    "version %llu of key %s is destroyed",
		    (unsigned long long)rec->version, key->name);
	if (rec->spki.len == 0 || key->derived)
		return hf_fail(why, HF_ERR_KEY_TYPE,
		    "%skeys of type %s have no certificates",
		    key->derived ? "derived " : "", key->type->name);
	return cert_chain_check(key->type, cc->chain, rec->spki, why);
}

static enum hf_err
certificate_commit(
    struct keys *keys, const struct key *key, const struct version_record *rec)
{
	struct key_record krec = key_record_of(key);
	struct change c = { .keys = keys };
	char ver[KEY_STORE_NAME];
	enum hf_err err;

	version_store_name(key->id, (uint32_t)rec->version, ver);
	if ((err = change_key_record(&c, key, &krec)) == HF_OK &&
	    (err = change_seal(&c, key->keyring, ver, &version_schema, rec)) ==
		HF_OK)
		err = change_commit(&c);
	change_free(&c);
	return err;
}

static enum hf_err
once_certificate(
    struct keys *keys, const struct key *key, void *ctx, struct hf_why *why)
{
	const struct certificate_ctx *cc = ctx;
	AUTO_SECRET plain = { 0 };
	struct version_record rec;
	enum hf_err err;

	if ((err = keys_version_read(
		 keys, key, cc->version, &plain, &rec, why)) != HF_OK)
		return err;
	if (!cc->any && (err = certificate_check(key, cc, &rec, why)) != HF_OK)
		return err;
	rec.certificates = cc->chain;
	return certificate_commit(keys, key, &rec);
}

enum hf_err
keys_set_certificate(struct keys *keys, struct hf_text name, uint64_t version,
    struct hf_bytes chain, struct key **out, struct hf_why *why)
{
	struct certificate_ctx cc = { version, chain, false };

	return keys_until_done(keys, name, once_certificate, &cc, out, why);
}

enum hf_err
keys_put_certificate(struct keys *keys, struct hf_text name, uint64_t version,
    struct hf_bytes chain, struct hf_why *why)
{
	struct certificate_ctx cc = { version, chain, true };

	return keys_until_done(keys, name, once_certificate, &cc, NULL, why);
}
