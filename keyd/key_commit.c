/* SPDX-License-Identifier: Apache-2.0 */
#include "key_commit.h"

#include <string.h>

#include "../lib/bytes.h"
#include "crypto.h"
#include "crypto_derive.h"

/* With the NUL at its end, which is part of it. */
static const char label[] = "holdfast-committing-v1";

enum { HASH = 32, TYPE_NAME_MAX = 32 };

/* Commitment, key and nonce: views into `all`. */
struct commit_keys {
	struct secret all;
	struct hf_bytes commitment, key, nonce;
};

static void
keys_free(struct commit_keys *k)
{
	secret_free(&k->all);
}

#define AUTO_KEYS __attribute__((__cleanup__(keys_free))) struct commit_keys

/* label 00 | name of the type 00 | SHA-256 of what is authenticated */
static enum hf_err
write_info(const struct key_type *type, struct hf_bytes aad,
    uint8_t info[sizeof(label) + TYPE_NAME_MAX + HASH], size_t *len)
{
	size_t name = strlen(type->name) + 1;

	if (name > TYPE_NAME_MAX)
		return HF_ERR_KEY_TYPE;
	memcpy(info, label, sizeof(label));
	memcpy(info + sizeof(label), type->name, name);
	*len = sizeof(label) + name + HASH;
	return crypto_hash(hash_sha256(), aad, info + sizeof(label) + name);
}

static enum hf_err
derive(const struct key_type *type, struct hf_bytes key, struct hf_bytes salt,
    struct hf_bytes aad, struct commit_keys *out)
{
	uint8_t info[sizeof(label) + TYPE_NAME_MAX + HASH];
	struct hkdf how = { .hash = hash_sha256(),
		.extract = true,
		.expand = true,
		.salt = salt };
	size_t len;
	enum hf_err err;

	if ((err = write_info(type, aad, info, &len)) != HF_OK ||
	    (err = secret_alloc(
		 &out->all, COMMIT_SIZE + type->size + type->nonce)) != HF_OK)
		return err;
	how.info = bytes_of(info, len);
	if ((err = crypto_hkdf(&how, key, &out->all)) != HF_OK)
		return err;
	out->commitment = bytes_of(out->all.ptr, COMMIT_SIZE);
	out->key = bytes_of(out->all.ptr + COMMIT_SIZE, type->size);
	out->nonce =
	    bytes_of(out->all.ptr + COMMIT_SIZE + type->size, type->nonce);
	return HF_OK;
}

enum hf_err
commit_seal_with(const struct key_type *type, struct hf_bytes key,
    const uint8_t salt[COMMIT_SALT], struct hf_bytes aad, struct hf_bytes in,
    uint8_t *out)
{
	AUTO_KEYS k = { 0 };
	enum hf_err err =
	    derive(type, key, bytes_of(salt, COMMIT_SALT), aad, &k);

	if (err != HF_OK)
		return err;
	memmove(out, salt, COMMIT_SALT);
	memcpy(out + COMMIT_SALT, k.commitment.ptr, COMMIT_SIZE);
	/* What is authenticated has made the key, and need not come again. */
	return crypto_seal(type, k.key, k.nonce, bytes_of(NULL, 0), in,
	    out + COMMIT_SALT + COMMIT_SIZE);
}

enum hf_err
commit_seal(const struct key_type *type, struct hf_bytes key,
    struct hf_bytes aad, struct hf_bytes in, uint8_t *out)
{
	uint8_t salt[COMMIT_SALT];
	enum hf_err err = crypto_random(salt, sizeof(salt));

	return err != HF_OK ? err
			    : commit_seal_with(type, key, salt, aad, in, out);
}

enum hf_err
commit_open(const struct key_type *type, struct hf_bytes key,
    struct hf_bytes aad, struct hf_bytes in, uint8_t *out, size_t *len)
{
	size_t head = COMMIT_SALT + COMMIT_SIZE;
	AUTO_KEYS k = { 0 };
	enum hf_err err;

	if (in.len < head + type->tag)
		return HF_ERR_BAD_CIPHERTEXT;
	if ((err = derive(type, key, bytes_of(in.ptr, COMMIT_SALT), aad, &k)) !=
	    HF_OK)
		return err;
	if (!bytes_equal_ct(
		k.commitment, bytes_of(in.ptr + COMMIT_SALT, COMMIT_SIZE)))
		return HF_ERR_AUTH_FAILED;
	*len = in.len - head - type->tag;
	return crypto_open(type, k.key, k.nonce, bytes_of(NULL, 0),
	    bytes_of(in.ptr + head, in.len - head), out);
}

enum hf_err
commit_unpad(uint8_t *plain, size_t *len)
{
	static const uint8_t zeros[COMMIT_PAD];
	size_t rest;

	if (*len < COMMIT_PAD ||
	    !bytes_equal_ct(
		bytes_of(plain, COMMIT_PAD), bytes_of(zeros, COMMIT_PAD))) {
		bytes_wipe(plain, *len);
		return HF_ERR_AUTH_FAILED;
	}
	rest = *len - COMMIT_PAD;
	memmove(plain, plain + COMMIT_PAD, rest);
	bytes_wipe(plain + rest, COMMIT_PAD);
	*len = rest;
	return HF_OK;
}
