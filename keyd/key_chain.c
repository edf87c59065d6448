/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificate of a key version as PKCS#11 programs set it: any that is of
 * the key, also of an authority, and none again.
 */
#include "keys.h"

#include "change.h"

struct chain_ctx {
	uint64_t version;
	struct hf_bytes chain;
};

static enum hf_err
once_set_chain(
    struct keys *keys, const struct key *key, void *ctx, struct hf_why *why)
{
	const struct chain_ctx *cc = ctx;
	struct change c = { .keys = keys };
	struct key_record krec = key_record_of(key);
	AUTO_SECRET plain = { 0 };
	struct version_record rec;
	char name[KEY_STORE_NAME];
	enum hf_err err;

	if (key_version_find(key, cc->version) == NULL)
		return hf_fail(why, HF_ERR_VERSION_NOT_FOUND,
		    "key %s has no version %llu", key->name,
		    (unsigned long long)cc->version);
	if ((err = keys_version_read(
		 keys, key, (uint32_t)cc->version, &plain, &rec)) != HF_OK)
		return err;
	rec.certificates = cc->chain;
	version_store_name(key->id, (uint32_t)cc->version, name);
	if ((err = change_key_record(&c, key, &krec)) == HF_OK &&
	    (err = change_seal(
		 &c, key->keyring, name, &version_schema, &rec)) == HF_OK)
		err = change_commit(&c);
	change_free(&c);
	return err;
}

enum hf_err
keys_set_chain(struct keys *keys, struct hf_text name, uint64_t version,
    struct hf_bytes chain, struct key **out, struct hf_why *why)
{
	struct chain_ctx cc = { version, chain };

	return keys_until_done(keys, name, once_set_chain, &cc, out, why);
}
