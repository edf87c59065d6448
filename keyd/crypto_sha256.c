/* SPDX-License-Identifier: Apache-2.0 */
/* The functions below EVP are deprecated in favour of it, and stay. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "crypto_sha256.h"

#include <openssl/sha.h>

#include "../lib/bytes.h"
#include "crypto_state.h"

/* OpenSSL wipes what it holds of the message when it ends. */
static enum hf_err
hash_both(struct hf_bytes first, struct hf_bytes second, uint8_t out[32])
{
	SHA256_CTX ctx;
	bool ok = SHA256_Init(&ctx) == 1 &&
	    SHA256_Update(&ctx, crypto_ptr(first), first.len) == 1 &&
	    SHA256_Update(&ctx, crypto_ptr(second), second.len) == 1 &&
	    SHA256_Final(out, &ctx) == 1;

	bytes_wipe(&ctx, sizeof(ctx));
	return ok ? HF_OK : HF_ERR_CRYPTO;
}

enum hf_err
crypto_sha256(struct hf_bytes in, uint8_t out[32])
{
	return hash_both(in, bytes_of(NULL, 0), out);
}

enum hf_err
crypto_hmac_sha256(struct hf_bytes key, struct hf_bytes in, uint8_t out[32])
{
	uint8_t pad[SHA256_CBLOCK] = { 0 }, inner[SHA256_DIGEST_LENGTH];
	enum hf_err err = HF_OK;

	if (key.len > sizeof(pad))
		err = crypto_sha256(key, pad);
	else if (key.len > 0)
		memcpy(pad, key.ptr, key.len);
	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] ^= 0x36;
	if (err == HF_OK)
		err = hash_both(bytes_of(pad, sizeof(pad)), in, inner);
	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] ^= 0x36 ^ 0x5c;
	if (err == HF_OK)
		err = hash_both(bytes_of(pad, sizeof(pad)),
		    bytes_of(inner, sizeof(inner)), out);
	bytes_wipe(pad, sizeof(pad));
	bytes_wipe(inner, sizeof(inner));
	return err;
}
