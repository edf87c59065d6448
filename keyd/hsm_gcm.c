/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../lib/bytes.h"
#include "hsm_internal.h"

/*
 * AES-GCM (PKCS#11 3.0, section 2.13.3). Length of the nonce and of the tag
 * are always said: SoftHSM 2.6.1 takes a missing nonce as a fixed one and a
 * tag of no bits as no authentication, without a word.
 */

static CK_GCM_PARAMS
gcm_params(const uint8_t *nonce, struct hf_bytes aad)
{
	return (CK_GCM_PARAMS){
		.pIv = unconst(nonce),
		.ulIvLen = GCM_NONCE,
		.ulIvBits = 8 * GCM_NONCE,
		.pAAD = aad.len > 0 ? unconst(aad.ptr) : NULL,
		.ulAADLen = aad.len,
		.ulTagBits = 8 * GCM_TAG,
	};
}

enum hf_err
gcm_try(struct hsm_call *call, CK_OBJECT_HANDLE key, uint8_t nonce[GCM_NONCE],
    struct hf_bytes aad, struct hf_bytes in, uint8_t *out, size_t *len)
{
	CK_GCM_PARAMS params = gcm_params(nonce, aad);
	CK_MECHANISM m = { CKM_AES_GCM, &params, sizeof(params) };

	return call_crypt(call, CRYPT_ENCRYPT, &m, key, in, out, len);
}

static enum hf_err
encrypt_into(struct hsm_call *call, CK_OBJECT_HANDLE key, uint8_t *nonce,
    struct hf_bytes aad, struct hf_bytes in, uint8_t *out, size_t want)
{
	size_t len = want;
	enum hf_err err = gcm_try(call, key, nonce, aad, in, out, &len);

	if (err == HF_OK && len != want)
		return HF_ERR_HSM_REFUSED;
	return err;
}

/* The nonce follows the tag: through a buffer, since `out` has no room. */
static enum hf_err
encrypt_appended(struct hsm_call *call, CK_OBJECT_HANDLE key, uint8_t *nonce,
    struct hf_bytes aad, struct hf_bytes in, uint8_t *out)
{
	AUTO_SECRET whole = { 0 };
	size_t sealed = in.len + GCM_TAG;
	enum hf_err err = secret_alloc(&whole, sealed + GCM_NONCE);

	if (err != HF_OK)
		return err;
	err = encrypt_into(call, key, nonce, aad, in, whole.ptr, whole.len);
	if (err != HF_OK)
		return err;
	memcpy(out, whole.ptr, sealed);
	memcpy(nonce, whole.ptr + sealed, GCM_NONCE);
	return HF_OK;
}

enum hf_err
gcm_encrypt(struct hsm_call *call, enum nonce_mode mode, CK_OBJECT_HANDLE key,
    uint8_t nonce[GCM_NONCE], struct hf_bytes aad, struct hf_bytes in,
    uint8_t *out)
{
	static const uint8_t zeros[GCM_NONCE];
	uint8_t used[GCM_NONCE] = { 0 };
	enum hf_err err;

	if (mode == NONCE_CALLER)
		memcpy(used, nonce, sizeof(used));
	if (mode == NONCE_APPENDED)
		err = encrypt_appended(call, key, used, aad, in, out);
	else
		err = encrypt_into(
		    call, key, used, aad, in, out, in.len + GCM_TAG);
	if (err != HF_OK)
		return err;
	/* The HSM did what it did not do when it was tried. */
	if ((mode == NONCE_CALLER && memcmp(used, nonce, sizeof(used)) != 0) ||
	    (mode != NONCE_CALLER && memcmp(used, zeros, sizeof(used)) == 0))
		return HF_ERR_HSM_REFUSED;
	memcpy(nonce, used, sizeof(used));
	return HF_OK;
}

enum hf_err
gcm_decrypt(struct hsm_call *call, CK_OBJECT_HANDLE key,
    const uint8_t nonce[GCM_NONCE], struct hf_bytes aad, struct hf_bytes in,
    uint8_t *out)
{
	CK_GCM_PARAMS params = gcm_params(nonce, aad);
	CK_MECHANISM m = { CKM_AES_GCM, &params, sizeof(params) };
	AUTO_SECRET plain = { 0 };
	size_t len = in.len;
	enum hf_err err;

	if (in.len < GCM_TAG)
		return HF_ERR_BAD_CIPHERTEXT;
	/* SoftHSM wants room for the tag too, which `out` does not have; and
	 * an HSM may write before it finds the tag wrong. */
	err = secret_alloc(&plain, in.len);
	if (err != HF_OK)
		return err;
	err = call_crypt(call, CRYPT_DECRYPT, &m, key, in, plain.ptr, &len);
	if (err != HF_OK)
		return err;
	if (len != in.len - GCM_TAG)
		return HF_ERR_HSM_REFUSED;
	memcpy(out, plain.ptr, len);
	return HF_OK;
}
