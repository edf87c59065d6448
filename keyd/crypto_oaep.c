/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto.h"

#include <string.h>

#include <openssl/err.h>

#include "../lib/bytes.h"
#include "crypto_state.h"

/*
 * RSA-OAEP of RFC 8017, section 7.1. A decryption that tells one failure from
 * another, by its answer or by its time, lets a patient caller decrypt
 * anything (Manger 2001): so there is one answer, and the way to it is the same
 * for all.
 */
enum {
	HASH = 32, /* SHA-256 */
	BLOCK_MAX = CRYPTO_SIGNATURE_MAX,
	OVERHEAD = 2 * HASH + 2,
};

/* -- With OpenSSL -- */

static bool
oaep_set(EVP_PKEY_CTX *ctx)
{
	const EVP_MD *md = crypto_md(hash_type_by_name(TEXT("sha2-256")));

	return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
	    EVP_PKEY_CTX_set_rsa_oaep_md(ctx, md) == 1 &&
	    EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, md) == 1;
}

enum hf_err
crypto_oaep_encrypt(
    const struct crypto_key *key, struct hf_bytes in, uint8_t *out, size_t *len)
{
	size_t n = key->type->size;

	if (key->type->family != FAMILY_RSA)
		return HF_ERR_KEY_TYPE;
	if (in.len > n - OVERHEAD)
		return HF_ERR_BAD_INPUT;

	AUTO_PKEY_CTX ctx =
	    EVP_PKEY_CTX_new_from_pkey(crypto_lib(), key->pkey, NULL);

	if (ctx == NULL || EVP_PKEY_encrypt_init(ctx) != 1 || !oaep_set(ctx) ||
	    EVP_PKEY_encrypt(ctx, out, &n, crypto_ptr(in), in.len) != 1)
		return crypto_fail(HF_ERR_CRYPTO);
	*len = n;
	return HF_OK;
}

enum hf_err
crypto_oaep_decrypt(
    const struct crypto_key *key, struct hf_bytes in, uint8_t *out, size_t *len)
{
	size_t size = key->type->size, n = size;

	if (key->type->family != FAMILY_RSA)
		return HF_ERR_KEY_TYPE;
	if (!key->private)
		return HF_ERR_NO_PRIVATE_PART;
	if (in.len != size)
		return HF_ERR_AUTH_FAILED;

	AUTO_PKEY_CTX ctx =
	    EVP_PKEY_CTX_new_from_pkey(crypto_lib(), key->pkey, NULL);

	if (ctx == NULL || EVP_PKEY_decrypt_init(ctx) != 1 || !oaep_set(ctx))
		return crypto_fail(HF_ERR_CRYPTO);
	if (EVP_PKEY_decrypt(ctx, out, &n, in.ptr, in.len) != 1) {
		bytes_wipe(out, size);
		ERR_clear_error(); /* what it says must change nothing */
		return HF_ERR_AUTH_FAILED;
	}
	*len = n;
	return HF_OK;
}

/* -- By hand, for a block that an HSM decrypted -- */

/* Keeps the compiler from knowing that it is a mask, and branching on it. */
static uint32_t
opaque(uint32_t v)
{
	__asm__("" : "+r"(v));
	return v;
}

/* All ones when v is 0, else 0. */
static uint32_t
mask_zero(uint32_t v)
{
	return opaque(0U - ((~v & (v - 1)) >> 31));
}

/* MGF1 with SHA-256 (appendix B.2.1), XORed into `out`. */
static enum hf_err
mgf1_xor(struct hf_bytes seed, uint8_t *out, size_t len)
{
	uint8_t in[BLOCK_MAX + 4];
	uint8_t mask[HASH];
	enum hf_err err = HF_OK;

	memcpy(in, seed.ptr, seed.len);
	for (size_t done = 0; done < len && err == HF_OK; done += HASH) {
		size_t part = len - done < HASH ? len - done : HASH;

		put_u32(in + seed.len, (uint32_t)(done / HASH));
		err = crypto_sha256(bytes_of(in, seed.len + 4), mask);
		for (size_t i = 0; i < part; i++)
			out[done + i] ^= mask[i];
	}
	bytes_wipe(in, sizeof(in));
	bytes_wipe(mask, sizeof(mask));
	return err;
}

/*
 * Where M begins in DB = lHash || 0... || 1 || M (section 7.1.2, step 3g), or
 * 0 when the block is not of that form. All of it is looked at, whatever the
 * first byte says.
 */
static size_t
message_find(
    const uint8_t lhash[HASH], uint8_t first, const uint8_t *db, size_t len)
{
	uint32_t wrong = first;
	uint32_t searching = ~UINT32_C(0);
	uint32_t start = 0;

	for (size_t i = 0; i < HASH; i++)
		wrong |= (uint32_t)(db[i] ^ lhash[i]);
	for (size_t i = HASH; i < len; i++) {
		uint32_t one = mask_zero(db[i] ^ 1U);

		start |= searching & one & (uint32_t)(i + 1);
		searching &= mask_zero(db[i]);
	}
	return start & mask_zero(opaque(wrong));
}

enum hf_err
crypto_oaep_unpad(struct hf_bytes block, uint8_t *out, size_t *len)
{
	uint8_t lhash[HASH];
	uint8_t em[BLOCK_MAX];
	uint8_t *seed = em + 1, *db = em + 1 + HASH;
	enum hf_err err;

	if (block.len < OVERHEAD || block.len > BLOCK_MAX)
		return HF_ERR_AUTH_FAILED;

	size_t db_len = block.len - 1 - HASH;

	memcpy(em, block.ptr, block.len);
	if ((err = crypto_sha256(bytes_of("", 0), lhash)) == HF_OK &&
	    (err = mgf1_xor(bytes_of(db, db_len), seed, HASH)) == HF_OK &&
	    (err = mgf1_xor(bytes_of(seed, HASH), db, db_len)) == HF_OK) {
		size_t start = message_find(lhash, em[0], db, db_len);

		/* From here on nothing is hidden: the caller learns it. */
		if (start == 0) {
			err = HF_ERR_AUTH_FAILED;
		} else {
			*len = db_len - start;
			memcpy(out, db + start, *len);
		}
	}
	bytes_wipe(em, sizeof(em));
	return err;
}
