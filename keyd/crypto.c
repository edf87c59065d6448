/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/rand.h>

#include "../lib/bytes.h"
#include "crypto_memory.h"
#include "crypto_sha256.h"
#include "crypto_state.h"

enum {
	/* Some 340 nonces; one page of locked memory. */
	POOL_BYTES = 4096 - sizeof(size_t),
	POOL_LARGEST = 64,
	HASHES = 16,
};

/*
 * Made once by crypto_init and read-only from then on: what is fetched from
 * OpenSSL's providers by name would otherwise be looked up under a lock for
 * each operation.
 */
static struct {
	bool ready;
	OSSL_LIB_CTX *lib;
	EVP_MD *md[HASHES];
	const struct hash_type *sha256;
	EVP_MAC *hmac;
	pthread_key_t thread;
} state;

/*
 * Random bytes in advance. It stands in a secret because that is wiped in a
 * child of fork(): there `left` is 0, so parent and child never draw the same
 * nonce.
 */
struct pool {
	size_t left;
	uint8_t bytes[POOL_BYTES];
};

struct thread {
	struct aead_thread *aead;
	EVP_MD_CTX *md;
	struct secret pool; /* struct pool; see pool_of() */
};

enum hf_err
crypto_fail(enum hf_err err)
{
	unsigned long code;

	while ((code = ERR_get_error()) != 0)
		if (ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE)
			err = HF_ERR_NO_MEMORY;
	return crypto_memory_failed() ? HF_ERR_NO_MEMORY : err;
}

/* -- Set-up -- */

static enum hf_err
fetch_all(struct hf_why *why)
{
	assert(hash_types_count <= HASHES);
	for (size_t i = 0; i < hash_types_count; i++) {
		const char *name = hash_types[i].openssl;

		state.md[i] = EVP_MD_fetch(state.lib, name, NULL);
		if (state.md[i] == NULL)
			return hf_fail(
			    why, HF_ERR_CRYPTO, "OpenSSL has no %s", name);
	}
	state.sha256 = hash_sha256();
	state.hmac = EVP_MAC_fetch(state.lib, "HMAC", NULL);
	if (state.hmac == NULL)
		return hf_fail(why, HF_ERR_CRYPTO, "OpenSSL has no HMAC");
	return HF_OK;
}

static void
thread_free(void *ptr)
{
	struct thread *t = ptr;

	aead_thread_free(t->aead);
	EVP_MD_CTX_free(t->md);
	secret_free(&t->pool);
	free(t);
}

/*
 * No atexit handler: the library of an HSM may call OpenSSL while the process
 * ends. No configuration file: it may name a PKCS#11 engine or provider, and
 * behind that could be this daemon's own module.
 */
static const uint64_t init_flags =
    OPENSSL_INIT_NO_ATEXIT | OPENSSL_INIT_NO_LOAD_CONFIG;

enum hf_err
crypto_init(struct hf_why *why)
{
	enum hf_err err;

	if (state.ready)
		return HF_OK;
	if ((err = crypto_memory_init(why)) != HF_OK)
		return err;
	if (OPENSSL_init_crypto(init_flags, NULL) != 1)
		return hf_fail(why, HF_ERR_CRYPTO, "OpenSSL does not start");
	state.lib = OSSL_LIB_CTX_new();
	if (state.lib == NULL ||
	    OSSL_PROVIDER_load(state.lib, "default") == NULL)
		return crypto_fail(hf_fail(why, HF_ERR_CRYPTO,
		    "OpenSSL's default provider does not load"));
	if ((err = crypto_aead_init(why)) != HF_OK ||
	    (err = fetch_all(why)) != HF_OK)
		return crypto_fail(err);
	if (pthread_key_create(&state.thread, thread_free) != 0)
		return hf_fail(why, HF_ERR_NO_MEMORY,
		    "no key for data of a thread is left");
	state.ready = true;
	return HF_OK;
}

OSSL_LIB_CTX *
crypto_lib(void)
{
	return state.lib;
}

const EVP_MD *
crypto_md(const struct hash_type *hash)
{
	return state.md[hash - hash_types];
}

/* -- What a thread keeps -- */

static struct thread *
thread_new(void)
{
	struct thread *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->aead = aead_thread_new();
	t->md = EVP_MD_CTX_new();
	if (t->aead == NULL || t->md == NULL ||
	    pthread_setspecific(state.thread, t) != 0) {
		thread_free(t);
		return NULL;
	}
	return t;
}

/* NULL when there is no memory for it, or before crypto_init. */
static struct thread *
thread_self(void)
{
	struct thread *t;

	if (!state.ready)
		return NULL;
	t = pthread_getspecific(state.thread);
	return t != NULL ? t : thread_new();
}

struct aead_thread *
crypto_aead_thread(void)
{
	struct thread *t = thread_self();

	return t == NULL ? NULL : t->aead;
}

enum hf_err
crypto_thread_missing(void)
{
	return state.ready ? HF_ERR_NO_MEMORY : HF_ERR_CRYPTO;
}

EVP_MD_CTX *
crypto_md_ctx(void)
{
	struct thread *t = thread_self();

	return t == NULL ? NULL : t->md;
}

/* -- Random -- */

static enum hf_err
random_draw(uint8_t *out, size_t len)
{
	if (RAND_bytes_ex(state.lib, out, len, 0) != 1)
		return crypto_fail(HF_ERR_CRYPTO);
	return HF_OK;
}

/* NULL when no more memory can be locked: then it goes on without. */
static struct pool *
pool_of(struct thread *t)
{
	if (t->pool.ptr == NULL &&
	    secret_alloc(&t->pool, sizeof(struct pool)) != HF_OK)
		return NULL;
	return (struct pool *)(void *)t->pool.ptr;
}

static enum hf_err
pool_take(struct pool *pool, uint8_t *out, size_t len)
{
	enum hf_err err;

	if (pool->left < len) {
		if ((err = random_draw(pool->bytes, POOL_BYTES)) != HF_OK)
			return err;
		pool->left = POOL_BYTES;
	}
	pool->left -= len;
	memcpy(out, pool->bytes + pool->left, len);
	bytes_wipe(pool->bytes + pool->left, len);
	return HF_OK;
}

enum hf_err
crypto_random(uint8_t *out, size_t len)
{
	struct thread *t = thread_self();
	struct pool *pool;

	if (t == NULL)
		return crypto_thread_missing();
	if (len > POOL_LARGEST || (pool = pool_of(t)) == NULL)
		return random_draw(out, len);
	return pool_take(pool, out, len);
}

/* -- Hashes -- */

enum hf_err
crypto_hash(const struct hash_type *hash, struct hf_bytes in, uint8_t *out)
{
	EVP_MD_CTX *ctx = crypto_md_ctx();
	bool ok;

	if (ctx == NULL)
		return crypto_thread_missing();
	ok = EVP_DigestInit_ex2(ctx, crypto_md(hash), NULL) == 1 &&
	    EVP_DigestUpdate(ctx, crypto_ptr(in), in.len) == 1 &&
	    EVP_DigestFinal_ex(ctx, out, NULL) == 1;
	(void)EVP_MD_CTX_reset(ctx);
	return ok ? HF_OK : crypto_fail(HF_ERR_CRYPTO);
}

enum hf_err
crypto_hmac(const struct hash_type *hash, struct hf_bytes key,
    struct hf_bytes in, uint8_t *out)
{
	char name[16];
	OSSL_PARAM params[2] = { OSSL_PARAM_construct_end() };
	size_t len;

	if (!state.ready)
		return HF_ERR_CRYPTO;
	if (key.len == 0)
		return HF_ERR_BAD_INPUT;
	if (hash == state.sha256)
		return crypto_hmac_sha256(key, in, out);
	/* The parameter takes the length that the name has by then. */
	(void)snprintf(name, sizeof(name), "%s", hash->openssl);
	params[0] =
	    OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0);
	params[1] = OSSL_PARAM_construct_end();

	AUTO_MAC_CTX ctx = EVP_MAC_CTX_new(state.hmac);

	if (ctx == NULL || EVP_MAC_init(ctx, key.ptr, key.len, params) != 1 ||
	    EVP_MAC_update(ctx, crypto_ptr(in), in.len) != 1 ||
	    EVP_MAC_final(ctx, out, &len, hash->size) != 1)
		return crypto_fail(HF_ERR_CRYPTO);
	return HF_OK;
}
