/* SPDX-License-Identifier: Apache-2.0 */
#include "key_derive.h"

#include <string.h>

#include "../lib/bytes.h"
#include "crypto_derive.h"
#include "crypto_pkcs8.h"

enum { SEED = 32, NONCE_KEY = 32 };

/* `out` is allocated. */
static enum hf_err
derive(struct hf_bytes from, struct hf_bytes context, struct secret *out)
{
	const struct hkdf how = { .hash = hash_sha256(),
		.extract = true,
		.expand = true,
		.info = context };

	if (context.len == 0)
		return HF_ERR_MISSING_CONTEXT;
	return crypto_hkdf(&how, from, out);
}

void
derived_free(struct derived *d)
{
	secret_free(&d->both);
}

enum hf_err
derived_aead(const struct key *key, const struct key_version *v,
    struct hf_bytes context, struct derived *out)
{
	size_t size = key->type->size, more = key->convergent ? NONCE_KEY : 0;
	enum hf_err err;

	if (v->material.ptr == NULL)
		return HF_ERR_KEY_LEVEL;
	if ((err = secret_alloc(&out->both, size + more)) != HF_OK ||
	    (err = derive(secret_view(&v->material), context, &out->both)) !=
		HF_OK)
		return err;
	out->key = bytes_of(out->both.ptr, size);
	out->nonce_key = bytes_of(out->both.ptr + size, more);
	return HF_OK;
}

enum hf_err
derived_nonce(const struct derived *d, struct hf_bytes plaintext, uint8_t *out,
    size_t len)
{
	uint8_t mac[32];
	enum hf_err err;

	if ((err = crypto_hmac(hash_sha256(), d->nonce_key, plaintext, mac)) !=
	    HF_OK)
		return err;
	memcpy(out, mac, len);
	return HF_OK;
}

/* PKCS#8 of an Ed25519 key (RFC 8410, section 7) is this and the seed. */
static enum hf_err
pair_of_seed(
    const struct key_type *type, struct hf_bytes seed, struct crypto_key **out)
{
	static const uint8_t head[16] = { 0x30, 0x2e, 0x02, 0x01, 0x00, 0x30,
		0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20 };
	AUTO_SECRET pkcs8 = { 0 };
	enum hf_err err;

	if ((err = secret_alloc(&pkcs8, sizeof(head) + SEED)) != HF_OK)
		return err;
	memcpy(pkcs8.ptr, head, sizeof(head));
	memcpy(pkcs8.ptr + sizeof(head), seed.ptr, SEED);
	return crypto_key_private(type, secret_view(&pkcs8), out);
}

enum hf_err
derived_pair(const struct key_version *v, struct hf_bytes context,
    struct crypto_key **out)
{
	const struct key_type *type = key_type_by_id(KEY_ED25519);
	AUTO_SECRET seed = { 0 };
	AUTO_SECRET from = { 0 };
	AUTO_SECRET derived = { 0 };
	enum hf_err err;

	if (v->pair == NULL)
		return HF_ERR_KEY_TYPE;
	if ((err = crypto_ed25519_seed(v->pair, &seed)) != HF_OK ||
	    (err = secret_alloc(&from, 2 * SEED)) != HF_OK ||
	    (err = crypto_ed25519_public(v->pair, from.ptr + SEED)) != HF_OK)
		return err;
	memcpy(from.ptr, seed.ptr, SEED);
	if ((err = secret_alloc(&derived, SEED)) != HF_OK ||
	    (err = derive(secret_view(&from), context, &derived)) != HF_OK)
		return err;
	return pair_of_seed(type, secret_view(&derived), out);
}
