/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_CRYPTO_SHA256_H
#define KEYD_CRYPTO_SHA256_H

#include <holdfast/bytes.h>
#include <holdfast/err.h>

/*
 * SHA-256 without what OpenSSL's EVP layer puts around it: three allocations
 * and half the time of a short message. Two lines of the audit log are hashed
 * for each request, and each value in them that is not in clear.
 */
enum hf_err crypto_sha256(struct hf_bytes in, uint8_t out[32]);

/* HMAC with it (RFC 2104). A key of any length. */
enum hf_err crypto_hmac_sha256(
    struct hf_bytes key, struct hf_bytes in, uint8_t out[32]);

#endif
