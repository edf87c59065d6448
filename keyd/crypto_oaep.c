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
	HASH = 32, /* SHA-256, which this service chooses where it chooses */
	BLOCK_MAX = CRYPTO_SIGNATURE_MAX,
	OVERHEAD = 2 * HASH + 2,
};

/* -- With OpenSSL -- */

static bool
oaep_set(EVP_PKEY_CTX *ctx)
{
	const EVP_MD *md = crypto_md(hash_sha256());

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

/*
 * A function that looks at secrets stands for itself, so that a check of the
 * machine code (tests/timing) can tell its branches from those of its caller.
 */
#define SECRET_FLOW __attribute__((noinline))

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

/* MGF1 (appendix B.2.1), XORed into `out`. */
SECRET_FLOW static enum hf_err
mgf1_xor(const struct hash_type *hash, struct hf_bytes seed, uint8_t *out,
    size_t len)
{
	uint8_t in[BLOCK_MAX + 4];
	uint8_t mask[CRYPTO_HASH_MAX];
	size_t step = hash->size;
	enum hf_err err = HF_OK;

	memcpy(in, seed.ptr, seed.len);
	for (size_t done = 0; done < len && err == HF_OK; done += step) {
		size_t part = len - done < step ? len - done : step;

		put_u32(in + seed.len, (uint32_t)(done / step));
		err = crypto_hash(hash, bytes_of(in, seed.len + 4), mask);
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
SECRET_FLOW static size_t
message_find(
    struct hf_bytes lhash, uint8_t first, const uint8_t *db, size_t len)
{
	uint32_t wrong = first;
	uint32_t searching = ~UINT32_C(0);
	uint32_t start = 0;

	for (size_t i = 0; i < lhash.len; i++)
		wrong |= (uint32_t)(db[i] ^ lhash.ptr[i]);
	for (size_t i = lhash.len; i < len; i++) {
		uint32_t one = mask_zero(db[i] ^ 1U);

		start |= searching & one & (uint32_t)(i + 1);
		searching &= mask_zero(db[i]);
	}
	return start & mask_zero(opaque(wrong));
}

enum hf_err
crypto_oaep_unpad_as(const struct hash_type *hash, struct hf_bytes label,
    struct hf_bytes block, uint8_t *out, size_t *len)
{
	uint8_t lhash[CRYPTO_HASH_MAX];
	uint8_t em[BLOCK_MAX];
	size_t n = hash->size;
	uint8_t *seed = em + 1, *db = em + 1 + n;
	enum hf_err err;

	if (block.len < 2 * n + 2 || block.len > BLOCK_MAX)
		return HF_ERR_AUTH_FAILED;

	size_t db_len = block.len - 1 - n;

	memcpy(em, block.ptr, block.len);
	if ((err = crypto_hash(hash, label, lhash)) == HF_OK &&
	    (err = mgf1_xor(hash, bytes_of(db, db_len), seed, n)) == HF_OK &&
	    (err = mgf1_xor(hash, bytes_of(seed, n), db, db_len)) == HF_OK) {
		size_t start =
		    message_find(bytes_of(lhash, n), em[0], db, db_len);

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

enum hf_err
crypto_oaep_unpad(struct hf_bytes block, uint8_t *out, size_t *len)
{
	return crypto_oaep_unpad_as(
	    hash_sha256(), (struct hf_bytes){ 0 }, block, out, len);
}

/* -- PKCS#1 v1.5 (section 7.2.2), for those who still need it -- */

/*
 * EM = 0 || 2 || at least eight bytes that are not 0 || 0 || M. As above:
 * where M begins, or 0, whatever the block is.
 */
SECRET_FLOW static size_t
pkcs1_find(const uint8_t *em, size_t len)
{
	uint32_t wrong = (uint32_t)em[0] | (em[1] ^ 2U);
	uint32_t searching = ~UINT32_C(0);
	uint32_t start = 0;

	for (size_t i = 2; i < len; i++) {
		uint32_t zero = mask_zero(em[i]);

		start |= searching & zero & (uint32_t)(i + 1);
		searching &= ~zero;
	}
	/* The zero must not come before 2 + 8: start is at least 11. */
	wrong |= opaque((start - 11) >> 31);
	return start & mask_zero(opaque(wrong));
}

enum hf_err
crypto_pkcs1_unpad(struct hf_bytes block, uint8_t *out, size_t *len)
{
	size_t start;

	if (block.len < 11 || block.len > BLOCK_MAX)
		return HF_ERR_AUTH_FAILED;
	start = pkcs1_find(block.ptr, block.len);
	if (start == 0)
		return HF_ERR_AUTH_FAILED;
	*len = block.len - start;
	memcpy(out, block.ptr + start, *len);
	return HF_OK;
}

/* -- RSA without padding, and with any -- */

static enum hf_err
rsa_raw(const struct crypto_key *key, bool private, struct hf_bytes in,
    uint8_t *out)
{
	size_t size = key->type->size, n = size;
	bool ok;

	if (key->type->family != FAMILY_RSA)
		return HF_ERR_KEY_TYPE;
	if (private && !key->private)
		return HF_ERR_NO_PRIVATE_PART;
	if (in.len != size)
		return HF_ERR_BAD_INPUT;

	AUTO_PKEY_CTX ctx =
	    EVP_PKEY_CTX_new_from_pkey(crypto_lib(), key->pkey, NULL);

	if (ctx == NULL ||
	    (private ? EVP_PKEY_decrypt_init(ctx)
		     : EVP_PKEY_encrypt_init(ctx)) != 1 ||
	    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) != 1)
		return crypto_fail(HF_ERR_CRYPTO);
	ok = (private ? EVP_PKEY_decrypt(ctx, out, &n, in.ptr, in.len)
		      : EVP_PKEY_encrypt(ctx, out, &n, in.ptr, in.len)) == 1;
	/* A number as large as the modulus is the only thing to refuse. */
	if (!ok || n != size)
		return crypto_fail(HF_ERR_BAD_INPUT);
	return HF_OK;
}

enum hf_err
crypto_rsa_private(
    const struct crypto_key *key, struct hf_bytes in, uint8_t *out)
{
	return rsa_raw(key, true, in, out);
}

enum hf_err
crypto_rsa_public(
    const struct crypto_key *key, struct hf_bytes in, uint8_t *out)
{
	return rsa_raw(key, false, in, out);
}

/* `label` is copied: OpenSSL frees what it is given. */
static bool
oaep_set_as(
    EVP_PKEY_CTX *ctx, const struct hash_type *hash, struct hf_bytes label)
{
	const EVP_MD *md = crypto_md(hash);
	void *copy;

	if (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) != 1 ||
	    EVP_PKEY_CTX_set_rsa_oaep_md(ctx, md) != 1 ||
	    EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, md) != 1)
		return false;
	if (label.len == 0)
		return true;
	copy = OPENSSL_memdup(label.ptr, label.len);
	if (copy == NULL)
		return false;
	if (EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, copy, (int)label.len) == 1)
		return true;
	OPENSSL_free(copy);
	return false;
}

enum hf_err
crypto_rsa_encrypt(const struct crypto_key *key, const struct hash_type *oaep,
    struct hf_bytes label, struct hf_bytes in, uint8_t *out)
{
	size_t n = key->type->size;
	size_t overhead = oaep == NULL ? 11 : 2 * oaep->size + 2;

	if (key->type->family != FAMILY_RSA)
		return HF_ERR_KEY_TYPE;
	if (overhead > n || in.len > n - overhead)
		return HF_ERR_BAD_INPUT;

	AUTO_PKEY_CTX ctx =
	    EVP_PKEY_CTX_new_from_pkey(crypto_lib(), key->pkey, NULL);

	if (ctx == NULL || EVP_PKEY_encrypt_init(ctx) != 1 ||
	    !(oaep != NULL ? oaep_set_as(ctx, oaep, label)
			   : EVP_PKEY_CTX_set_rsa_padding(
				 ctx, RSA_PKCS1_PADDING) == 1) ||
	    EVP_PKEY_encrypt(ctx, out, &n, crypto_ptr(in), in.len) != 1)
		return crypto_fail(HF_ERR_CRYPTO);
	return HF_OK;
}

/* -- PSS -- */

enum { ZEROS = 8, TRAILER = 0xbc, SALT_MAX = 512 };

enum hf_err
crypto_pss_pad(const struct hash_type *hash, struct hf_bytes digest,
    size_t salt_len, uint8_t *out, size_t size)
{
	uint8_t whole[ZEROS + CRYPTO_HASH_MAX + SALT_MAX] = { 0 };
	size_t n = hash->size, db_len;
	uint8_t *salt = whole + ZEROS + n, *h;
	enum hf_err err;

	if (digest.len != n || salt_len > SALT_MAX || size < n + salt_len + 2)
		return HF_ERR_BAD_INPUT;
	db_len = size - n - 1;
	h = out + db_len;
	memcpy(whole + ZEROS, digest.ptr, n);
	if ((err = crypto_random(salt, salt_len)) != HF_OK ||
	    (err = crypto_hash(
		 hash, bytes_of(whole, ZEROS + n + salt_len), h)) != HF_OK)
		return err;
	memset(out, 0, db_len - salt_len - 1);
	out[db_len - salt_len - 1] = 1;
	memcpy(out + db_len - salt_len, salt, salt_len);
	if ((err = mgf1_xor(hash, bytes_of(h, n), out, db_len)) != HF_OK)
		return err;
	out[0] &= 0x7f; /* a number below the modulus, whose first bit is set */
	out[size - 1] = TRAILER;
	return HF_OK;
}
