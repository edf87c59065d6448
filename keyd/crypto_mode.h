/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_CRYPTO_MODE_H
#define KEYD_CRYPTO_MODE_H

#include "crypto.h"

/*
 * AES as PKCS#11 programs ask for it: modes without integrity, key wrap, and
 * CMAC; keys of 16, 24 or 32 bytes. Part of the door to OpenSSL.
 */
enum aes_mode {
	AES_ECB,
	AES_CBC,
	AES_CBC_PAD, /* PKCS#7 */
	AES_CTR,
	AES_KW,  /* RFC 3394 */
	AES_KWP, /* RFC 5649 */
	AES_MODES,
};

/* By the name on the wire, "aes-cbc"; false when there is none. */
bool aes_mode_by_name(struct hf_text name, enum aes_mode *out);

/* Whether only the whole of a ciphertext opens, or nothing does. */
bool aes_mode_authentic(enum aes_mode mode);

/* How to do it; `iv` and `ctr_bits` for the modes that have them. */
struct aes_how {
	enum aes_mode mode;
	bool encrypt;
	struct hf_bytes iv;
	unsigned ctr_bits;
};

/* The errors of crypto_aes that need no key: for whoever has it elsewhere. */
enum hf_err crypto_aes_check(const struct aes_how *how, size_t len);

/*
 * `out` takes in.len + AES_EXTRA bytes. HF_ERR_BAD_INPUT when the key, the IV
 * (16 bytes for CBC and CTR, else none) or the length of `in` does not fit the
 * mode; when decrypting HF_ERR_BAD_CIPHERTEXT for bad padding or length, and
 * HF_ERR_AUTH_FAILED for what that key did not wrap. CTR counts in the last
 * `ctr_bits` bits of the IV (1 to 128) and refuses to begin anew.
 */
enum { AES_EXTRA = 16 };
enum hf_err crypto_aes(const struct aes_how *how, struct hf_bytes key,
    struct hf_bytes in, uint8_t *out, size_t *len);

/* CMAC (NIST SP 800-38B). */
enum hf_err crypto_cmac(
    struct hf_bytes key, struct hf_bytes in, uint8_t out[16]);

#endif
