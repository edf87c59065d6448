/* SPDX-License-Identifier: Apache-2.0 */
#include "scarce.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "../../keyd/heap.h"

/*
 * Of this thread: the service has others, which work for nobody meanwhile. The
 * numbers are those of a linear congruential generator (Knuth's MMIX).
 */
static _Thread_local uint64_t number;
static _Thread_local unsigned one_in;

void
scarce_from(unsigned seed, unsigned rate)
{
	number = seed;
	one_in = rate;
}

void
scarce_end(void)
{
	one_in = 0;
}

static bool
fails(void)
{
	if (one_in == 0)
		return false;
	number = number * UINT64_C(6364136223846793005) +
	    UINT64_C(1442695040888963407);
	return (number >> 33) % one_in == 0;
}

/* The type of each is that of the function that it stands for. */
#define WRAP(name) __typeof__(name) __real_##name, __wrap_##name

WRAP(malloc);
WRAP(calloc);
WRAP(realloc);
WRAP(heap_alloc);
WRAP(heap_realloc);
WRAP(EVP_CIPHER_CTX_new);
WRAP(EVP_CipherInit_ex2);
WRAP(EVP_CipherUpdate);
WRAP(EVP_CipherFinal_ex);
WRAP(EVP_MAC_init);
WRAP(EVP_MAC_update);
WRAP(EVP_MAC_final);
WRAP(EVP_PKEY_CTX_new_from_pkey);
WRAP(EVP_PKEY_sign);
WRAP(EVP_PKEY_generate);
WRAP(RAND_bytes_ex);
WRAP(RAND_priv_bytes_ex);

void *
__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *
__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *
__wrap_realloc(void *p, size_t size)
{
	return fails() ? NULL : __real_realloc(p, size);
}

/* OpenSSL's own calls. */
void *
__wrap_heap_alloc(size_t size)
{
	return fails() ? NULL : __real_heap_alloc(size);
}

void *
__wrap_heap_realloc(void *p, size_t size)
{
	return fails() ? NULL : __real_heap_realloc(p, size);
}

EVP_CIPHER_CTX *
__wrap_EVP_CIPHER_CTX_new(void)
{
	return fails() ? NULL : __real_EVP_CIPHER_CTX_new();
}

int
__wrap_EVP_CipherInit_ex2(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher,
    const unsigned char *key, const unsigned char *iv, int enc,
    const OSSL_PARAM params[])
{
	return fails()
	    ? 0
	    : __real_EVP_CipherInit_ex2(ctx, cipher, key, iv, enc, params);
}

int
__wrap_EVP_CipherUpdate(EVP_CIPHER_CTX *ctx, unsigned char *out, int *outl,
    const unsigned char *in, int inl)
{
	return fails() ? 0 : __real_EVP_CipherUpdate(ctx, out, outl, in, inl);
}

int
__wrap_EVP_CipherFinal_ex(EVP_CIPHER_CTX *ctx, unsigned char *out, int *outl)
{
	return fails() ? 0 : __real_EVP_CipherFinal_ex(ctx, out, outl);
}

int
__wrap_EVP_MAC_init(EVP_MAC_CTX *ctx, const unsigned char *key, size_t keylen,
    const OSSL_PARAM params[])
{
	return fails() ? 0 : __real_EVP_MAC_init(ctx, key, keylen, params);
}

int
__wrap_EVP_MAC_update(EVP_MAC_CTX *ctx, const unsigned char *data, size_t len)
{
	return fails() ? 0 : __real_EVP_MAC_update(ctx, data, len);
}

int
__wrap_EVP_MAC_final(
    EVP_MAC_CTX *ctx, unsigned char *out, size_t *outl, size_t outsize)
{
	return fails() ? 0 : __real_EVP_MAC_final(ctx, out, outl, outsize);
}

EVP_PKEY_CTX *
__wrap_EVP_PKEY_CTX_new_from_pkey(
    OSSL_LIB_CTX *libctx, EVP_PKEY *pkey, const char *propquery)
{
	return fails()
	    ? NULL
	    : __real_EVP_PKEY_CTX_new_from_pkey(libctx, pkey, propquery);
}

int
__wrap_EVP_PKEY_sign(EVP_PKEY_CTX *ctx, unsigned char *sig, size_t *siglen,
    const unsigned char *tbs, size_t tbslen)
{
	return fails() ? 0
		       : __real_EVP_PKEY_sign(ctx, sig, siglen, tbs, tbslen);
}

int
__wrap_EVP_PKEY_generate(EVP_PKEY_CTX *ctx, EVP_PKEY **pkey)
{
	return fails() ? 0 : __real_EVP_PKEY_generate(ctx, pkey);
}

int
__wrap_RAND_bytes_ex(
    OSSL_LIB_CTX *ctx, unsigned char *buf, size_t num, unsigned int strength)
{
	return fails() ? 0 : __real_RAND_bytes_ex(ctx, buf, num, strength);
}

int
__wrap_RAND_priv_bytes_ex(
    OSSL_LIB_CTX *ctx, unsigned char *buf, size_t num, unsigned int strength)
{
	return fails() ? 0 : __real_RAND_priv_bytes_ex(ctx, buf, num, strength);
}
