/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../lib/bytes.h"
#include "hsm_internal.h"
#include "hsm_remote.h"

/*
 * AES beyond GCM with keys at level hsm. Padding is put on and taken off here,
 * so that all that is asked of the HSM is whole blocks.
 *
 * Key wrap (RFC 3394, RFC 5649) is made here of AES-ECB in the HSM. What is
 * wrapped and unwrapped are values that the daemon holds; C_WrapKey takes only
 * keys that are inside, and few HSMs let a value in and out again as it would
 * need. SoftHSM, which does, wraps 100 bytes as if they were 104.
 */

enum { BLOCK = 16, HALF = 8, CMAC = 16, WRAP_MAX = 16384 };

static const struct mode {
	CK_MECHANISM_TYPE type;
	unsigned needs; /* enum hsm_can */
} modes[AES_MODES] = {
	[AES_ECB] = { CKM_AES_ECB, HSM_CAN_ECB },
	[AES_CBC] = { CKM_AES_CBC, HSM_CAN_CBC },
	[AES_CBC_PAD] = { CKM_AES_CBC, HSM_CAN_CBC },
	[AES_CTR] = { CKM_AES_CTR, HSM_CAN_CTR },
	[AES_KW] = { CKM_AES_ECB, HSM_CAN_ECB },
	[AES_KWP] = { CKM_AES_ECB, HSM_CAN_ECB },
};

enum hf_err
aes_blocks(struct hsm_call *call, CK_OBJECT_HANDLE key,
    const struct aes_how *how, struct hf_bytes in, uint8_t *out)
{
	CK_MECHANISM m = { modes[how->mode].type, unconst(how->iv.ptr),
		how->iv.len };
	CK_AES_CTR_PARAMS ctr = { .ulCounterBits = how->ctr_bits };
	size_t len = in.len;
	enum hf_err err;

	if (in.len == 0)
		return HF_OK;
	if (how->mode == AES_CTR) {
		memcpy(ctr.cb, how->iv.ptr, sizeof(ctr.cb));
		m.pParameter = &ctr;
		m.ulParameterLen = sizeof(ctr);
	}
	err = call_crypt(call, how->encrypt ? CRYPT_ENCRYPT : CRYPT_DECRYPT, &m,
	    key, in, out, &len);
	if (err == HF_OK && len != in.len)
		return HF_ERR_HSM_REFUSED;
	return err;
}

/* -- PKCS#7 -- */

static enum hf_err
padded_encrypt(struct hsm_call *call, CK_OBJECT_HANDLE key,
    const struct aes_how *how, struct hf_bytes in, uint8_t *out, size_t *len)
{
	size_t pad = BLOCK - in.len % BLOCK;
	AUTO_SECRET padded = { 0 };
	enum hf_err err = secret_alloc(&padded, in.len + pad);

	if (err != HF_OK)
		return err;
	if (in.len > 0)
		memcpy(padded.ptr, in.ptr, in.len);
	memset(padded.ptr + in.len, (int)pad, pad);
	*len = padded.len;
	return aes_blocks(call, key, how, secret_view(&padded), out);
}

/* Of the last block; 0 when it is none. The same steps whatever is in there. */
static size_t
padding_of(const uint8_t *block)
{
	uint32_t pad = block[BLOCK - 1];
	uint32_t wrong = (pad - 1) >> 31 | (BLOCK - pad) >> 31;

	for (uint32_t i = 0; i < BLOCK; i++) {
		uint32_t inside = (i - pad) >> 31; /* i < pad */
		uint32_t other = block[BLOCK - 1 - i] ^ pad;

		wrong |= inside & (0 - other) >> 31;
	}
	return pad & (wrong - 1);
}

static enum hf_err
padded_decrypt(struct hsm_call *call, CK_OBJECT_HANDLE key,
    const struct aes_how *how, struct hf_bytes in, uint8_t *out, size_t *len)
{
	enum hf_err err = aes_blocks(call, key, how, in, out);
	size_t pad;

	if (err != HF_OK)
		return err;
	pad = padding_of(out + in.len - BLOCK);
	if (pad == 0) {
		bytes_wipe(out, in.len);
		return HF_ERR_BAD_CIPHERTEXT;
	}
	*len = in.len - pad;
	return HF_OK;
}

/* -- Key wrap -- */

/* Half a block that is checked, and the halves of what is wrapped. */
struct wrap_state {
	struct hsm_call *call;
	CK_OBJECT_HANDLE key;
	struct secret buf; /* the check first */
	size_t n;          /* halves behind it */
};

static enum hf_err
one_block(struct wrap_state *w, bool encrypt, uint8_t block[BLOCK])
{
	const struct aes_how how = { .mode = AES_ECB, .encrypt = encrypt };
	uint8_t in[BLOCK];
	enum hf_err err;

	memcpy(in, block, sizeof(in));
	err =
	    aes_blocks(w->call, w->key, &how, bytes_of(in, sizeof(in)), block);
	bytes_wipe(in, sizeof(in));
	return err;
}

/* Step t, on half number i (RFC 3394, 2.2.1 and 2.2.2). */
static enum hf_err
step(struct wrap_state *w, bool encrypt, uint64_t t, size_t i)
{
	uint8_t *check = w->buf.ptr, *half = w->buf.ptr + HALF * i;
	uint8_t block[BLOCK];
	enum hf_err err;

	memcpy(block, check, HALF);
	if (!encrypt)
		put_u64(block, get_u64(block) ^ t);
	memcpy(block + HALF, half, HALF);
	if ((err = one_block(w, encrypt, block)) == HF_OK) {
		memcpy(check, block, HALF);
		if (encrypt)
			put_u64(check, get_u64(check) ^ t);
		memcpy(half, block + HALF, HALF);
	}
	bytes_wipe(block, sizeof(block));
	return err;
}

static enum hf_err
steps(struct wrap_state *w, bool encrypt)
{
	enum { ROUNDS = 6 };
	uint64_t last = (uint64_t)ROUNDS * w->n;

	if (w->n == 1) /* RFC 5649, section 4.1: one block, as it is */
		return one_block(w, encrypt, w->buf.ptr);
	for (uint64_t s = 1; s <= last; s++) {
		uint64_t t = encrypt ? s : last + 1 - s;
		enum hf_err err = step(w, encrypt, t, 1 + (t - 1) % w->n);

		if (err != HF_OK)
			return err;
	}
	return HF_OK;
}

/* RFC 3394, 2.2.3.1; RFC 5649, section 3: a number, then how many bytes. */
static const uint32_t KW_HALF = 0xa6a6a6a6, KWP_HALF = 0xa65959a6;

static enum hf_err
wrap(struct wrap_state *w, enum aes_mode mode, struct hf_bytes in, uint8_t *out,
    size_t *len)
{
	enum hf_err err;

	w->n = (in.len + HALF - 1) / HALF;
	if ((err = secret_alloc(&w->buf, HALF * (w->n + 1))) != HF_OK)
		return err;
	put_u32(w->buf.ptr, mode == AES_KWP ? KWP_HALF : KW_HALF);
	put_u32(w->buf.ptr + 4, mode == AES_KWP ? (uint32_t)in.len : KW_HALF);
	memcpy(w->buf.ptr + HALF, in.ptr, in.len); /* the rest is zero */
	if ((err = steps(w, true)) != HF_OK)
		return err;
	memcpy(out, w->buf.ptr, w->buf.len);
	*len = w->buf.len;
	return HF_OK;
}

/* All that may be wrong with the padding of RFC 5649, and how much is left. */
static bool
kwp_length(const struct wrap_state *w, size_t *len)
{
	uint32_t said = get_u32(w->buf.ptr + 4);
	size_t room = HALF * w->n;
	uint8_t rest = 0;

	if (get_u32(w->buf.ptr) != KWP_HALF || said > room ||
	    said + HALF <= room)
		return false;
	for (size_t i = said; i < room; i++)
		rest |= w->buf.ptr[HALF + i];
	*len = said;
	return rest == 0;
}

static enum hf_err
unwrap(struct wrap_state *w, enum aes_mode mode, struct hf_bytes in,
    uint8_t *out, size_t *len)
{
	size_t n;
	enum hf_err err = secret_copy(&w->buf, in);

	if (err != HF_OK)
		return err;
	n = w->buf.len - HALF;
	w->n = n / HALF;
	if (mode == AES_KW && w->n < 2)
		return HF_ERR_AUTH_FAILED;
	if ((err = steps(w, false)) != HF_OK)
		return err;
	if (mode == AES_KW ? get_u32(w->buf.ptr) != KW_HALF ||
		    get_u32(w->buf.ptr + 4) != KW_HALF
			   : !kwp_length(w, &n))
		return HF_ERR_AUTH_FAILED;
	memcpy(out, w->buf.ptr + HALF, n);
	*len = n;
	return HF_OK;
}

static enum hf_err
wrap_or_unwrap(struct hsm_call *call, CK_OBJECT_HANDLE key,
    const struct aes_how *how, struct hf_bytes in, uint8_t *out, size_t *len)
{
	struct wrap_state w = { .call = call, .key = key };
	enum hf_err err = how->encrypt ? wrap(&w, how->mode, in, out, len)
				       : unwrap(&w, how->mode, in, out, len);

	secret_free(&w.buf);
	return err;
}

/* -- All of them -- */

struct aes_work {
	const struct hsm_key *key;
	const struct aes_how *how;
	struct hf_bytes in;
	uint8_t *out;
	size_t len;
};

static enum hf_err
aes_work(struct hsm_call *call, void *arg)
{
	struct aes_work *w = arg;
	const struct aes_how *how = w->how;
	CK_OBJECT_HANDLE key;
	enum hf_err err;

	if ((hsm_can(call->hsm) & modes[how->mode].needs) == 0)
		return HF_ERR_HSM_MECHANISM;
	if ((err = handle_of_key(call, w->key, &key)) != HF_OK)
		return err;
	w->len = w->in.len;
	if (aes_mode_authentic(how->mode))
		return wrap_or_unwrap(call, key, how, w->in, w->out, &w->len);
	if (how->mode != AES_CBC_PAD)
		return aes_blocks(call, key, how, w->in, w->out);
	return how->encrypt
	    ? padded_encrypt(call, key, how, w->in, w->out, &w->len)
	    : padded_decrypt(call, key, how, w->in, w->out, &w->len);
}

enum hf_err
hsm_key_aes(struct hsm *hsm, const struct hsm_key *key,
    const struct aes_how *how, struct hf_bytes in, uint8_t *out, size_t *len)
{
	struct aes_work w = { .key = key, .how = how, .in = in, .out = out };
	enum hf_err err = crypto_aes_check(how, in.len);

	if (key->type->family != FAMILY_AEAD)
		return HF_ERR_KEY_TYPE;
	if (err != HF_OK)
		return err;
	if (aes_mode_authentic(how->mode) && in.len > WRAP_MAX)
		return HF_ERR_BAD_INPUT;
	if (hsm_is_remote(hsm))
		return remote_aes(hsm, key, how, in, out, len);
	err = hsm_run(hsm, RUN_SAFE, aes_work, &w);
	if (err == HF_OK)
		*len = w.len;
	return err;
}

/* -- CMAC -- */

struct cmac_work {
	const struct hsm_key *key;
	struct hf_bytes in;
	uint8_t *out;
};

enum hf_err
aes_cmac(struct hsm_call *call, CK_OBJECT_HANDLE key, struct hf_bytes in,
    uint8_t out[CMAC])
{
	CK_MECHANISM m = mechanism(CKM_AES_CMAC);
	size_t len = CMAC;
	enum hf_err err = call_crypt(call, CRYPT_SIGN, &m, key, in, out, &len);

	return err == HF_OK && len != CMAC ? HF_ERR_HSM_REFUSED : err;
}

static enum hf_err
cmac_work(struct hsm_call *call, void *arg)
{
	struct cmac_work *w = arg;
	CK_OBJECT_HANDLE key;
	enum hf_err err = handle_of_key(call, w->key, &key);

	return err == HF_OK ? aes_cmac(call, key, w->in, w->out) : err;
}

enum hf_err
hsm_key_cmac(struct hsm *hsm, const struct hsm_key *key, struct hf_bytes in,
    uint8_t out[16])
{
	struct cmac_work w = { key, in, out };
	bool besides = key->type->family == FAMILY_AEAD;

	if (key->type->family != FAMILY_CMAC && !besides)
		return HF_ERR_KEY_TYPE;
	/* A key of its own for CMAC was tried when it was made. */
	if (besides && (hsm_can(hsm) & HSM_CAN_CMAC) == 0)
		return HF_ERR_HSM_MECHANISM;
	if (hsm_is_remote(hsm))
		return remote_key_use(
		    hsm, JOB_CMAC, key, NULL, in, out, CMAC, NULL);
	return hsm_run(hsm, RUN_SAFE, cmac_work, &w);
}
