/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_CRYPTO_XCHACHA_H
#define KEYD_CRYPTO_XCHACHA_H

#include "crypto.h"

/*
 * XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03), which OpenSSL has not: a
 * key made of the first 16 bytes of the nonce, and ChaCha20-Poly1305 with the
 * last 8. Part of the door to OpenSSL; for crypto_seal and crypto_open.
 */

/* HChaCha20 (section 2.2). `out` takes 32 bytes. */
enum hf_err crypto_hchacha20(
    const uint8_t key[32], const uint8_t nonce[16], uint8_t *out);

/* The ChaCha20-Poly1305 key and nonce that stand for key and nonce. */
enum hf_err crypto_xchacha_key(struct hf_bytes key, struct hf_bytes nonce,
    struct secret *sub_key, uint8_t sub_nonce[12]);

#endif
