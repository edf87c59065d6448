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
#include "crypto_xchacha.h"

enum {
	/* Some 340 nonces; one page of locked memory. */
	HELD_KEY = 32,
	POOL_BYTES = 4096 - sizeof(size_t) - HELD_KEY,
	POOL_LARGEST = 64,
	AEAD_MAX = 1 << 30, /* EVP_CipherUpdate counts in int */
	HASHES = 16,
};

struct aead {
	enum key_type_id id;
	const char *openssl;
};

/* clang-format off */
static const struct aead aeads[] = {
	{ KEY_AES256_GCM96,      "AES-256-GCM" },
	{ KEY_AES192_GCM96,      "AES-192-GCM" },
	{ KEY_AES128_GCM96,      "AES-128-GCM" },
	{ KEY_CHACHA20_POLY1305, "ChaCha20-Poly1305" },
};
/* clang-format on */
enum { AEADS = sizeof(aeads) / sizeof(aeads[0]) };

/*
 * Made once by crypto_init and read-only from then on: what is fetched from
 * OpenSSL's providers by name would otherwise be looked up under a lock for
 * each operation.
 */
static struct {
	bool ready;
	OSSL_LIB_CTX *lib;
	EVP_CIPHER *cipher[AEADS];
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
	uint8_t held[HELD_KEY]; /* see crypto_hold_begin() */
	uint8_t bytes[POOL_BYTES];
};

struct thread {
	EVP_CIPHER_CTX *cipher;
	EVP_MD_CTX *md;
	struct secret pool;      /* struct pool; see pool_of() */
	unsigned holding;        /* crypto_hold_begin() without its end */
	const EVP_CIPHER *holds; /* `cipher` is ready with pool.held; or NULL */
	bool holds_to_seal;
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
	for (size_t i = 0; i < AEADS; i++) {
		const char *name = aeads[i].openssl;

		state.cipher[i] = EVP_CIPHER_fetch(state.lib, name, NULL);
		if (state.cipher[i] == NULL)
			return hf_fail(
			    why, HF_ERR_CRYPTO, "OpenSSL has no %s", name);
	}
	assert(hash_types_count <= HASHES);
	for (size_t i = 0; i < hash_types_count; i++) {
		const char *name = hash_types[i].openssl;

		state.md[i] = EVP_MD_fetch(state.lib, name, NULL);
		if (state.md[i] == NULL)
			return hf_fail(
			    why, HF_ERR_CRYPTO, "OpenSSL has no %s", name);
	}
	state.sha256 = hash_type_by_name(TEXT("sha2-256"));
	state.hmac = EVP_MAC_fetch(state.lib, "HMAC", NULL);
	if (state.hmac == NULL)
		return hf_fail(why, HF_ERR_CRYPTO, "OpenSSL has no HMAC");
	return HF_OK;
}

static void
thread_free(void *ptr)
{
	struct thread *t = ptr;

	EVP_CIPHER_CTX_free(t->cipher);
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
	if ((err = fetch_all(why)) != HF_OK)
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
	t->cipher = EVP_CIPHER_CTX_new();
	t->md = EVP_MD_CTX_new();
	if (t->cipher == NULL || t->md == NULL ||
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

static enum hf_err
thread_missing(void)
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
		return thread_missing();
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
		return thread_missing();
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

/* -- AEAD -- */

/* What an AEAD operation is given, its lengths checked. */
struct aead_job {
	const EVP_CIPHER *cipher;
	struct hf_bytes key;
	const uint8_t *nonce;
	struct hf_bytes aad;
	struct hf_bytes in; /* without the tag */
	size_t tag;
};

static enum hf_err
aead_prepare(const struct key_type *type, struct hf_bytes key,
    struct hf_bytes nonce, struct hf_bytes aad, struct hf_bytes in,
    struct aead_job *job)
{
	const EVP_CIPHER *cipher = NULL;

	for (size_t i = 0; i < AEADS; i++)
		if (aeads[i].id == type->id)
			cipher = state.cipher[i];
	if (type->family != FAMILY_AEAD)
		return HF_ERR_KEY_TYPE;
	if (key.len != type->size || nonce.len != type->nonce)
		return HF_ERR_BAD_INPUT;
	if (aad.len > AEAD_MAX || in.len > AEAD_MAX)
		return HF_ERR_OUT_OF_BOUNDS;
	*job = (struct aead_job){ .cipher = cipher,
		.key = key,
		.nonce = nonce.ptr,
		.aad = aad,
		.in = in,
		.tag = type->tag };
	return HF_OK;
}

/* Update takes an empty input for an end, so there is none. */
static bool
aead_update(EVP_CIPHER_CTX *ctx, uint8_t *out, struct hf_bytes in)
{
	int n;

	return in.len == 0 ||
	    EVP_CipherUpdate(ctx, out, &n, in.ptr, (int)in.len) == 1;
}

/*
 * Whether the thread's context has the key of this job already. The key itself
 * is compared, because a pointer to it may be to another one by now.
 */
static bool
is_held(const struct thread *t, const struct aead_job *job, bool seal)
{
	const struct pool *pool = (const void *)t->pool.ptr;

	return t->holding > 0 && t->holds == job->cipher &&
	    t->holds_to_seal == seal && job->key.len <= HELD_KEY &&
	    bytes_equal_ct(bytes_of(pool->held, job->key.len), job->key);
}

/* Nothing of the key or the message stays in the context. */
static void
cipher_forget(struct thread *t)
{
	struct pool *pool = (void *)t->pool.ptr;

	(void)EVP_CIPHER_CTX_reset(t->cipher);
	if (t->holds != NULL)
		bytes_wipe(pool->held, sizeof(pool->held));
	t->holds = NULL;
}

/* After a job that went well, or not. Other ciphers than AES-GCM do not take
 * a nonce without a key. */
static void
cipher_settle(struct thread *t, const struct aead_job *job, bool seal, bool ok)
{
	struct pool *pool;

	if (!ok || t->holding == 0 || job->key.len > HELD_KEY ||
	    (pool = pool_of(t)) == NULL ||
	    EVP_CIPHER_get_mode(job->cipher) != EVP_CIPH_GCM_MODE) {
		cipher_forget(t);
		return;
	}
	memcpy(pool->held, job->key.ptr, job->key.len);
	t->holds = job->cipher;
	t->holds_to_seal = seal;
}

void
crypto_hold_begin(void)
{
	struct thread *t = thread_self();

	if (t != NULL)
		t->holding++;
}

void
crypto_hold_end(void)
{
	struct thread *t = thread_self();

	if (t != NULL && t->holding > 0 && --t->holding == 0)
		cipher_forget(t);
}

static bool
aead_encrypt(struct thread *t, const struct aead_job *job, uint8_t *out)
{
	EVP_CIPHER_CTX *ctx = t->cipher;
	uint8_t rest[EVP_MAX_BLOCK_LENGTH];
	bool held = is_held(t, job, true);
	int n;

	return EVP_EncryptInit_ex2(ctx, held ? NULL : job->cipher,
		   held ? NULL : job->key.ptr, job->nonce, NULL) == 1 &&
	    aead_update(ctx, NULL, job->aad) &&
	    aead_update(ctx, out, job->in) &&
	    EVP_EncryptFinal_ex(ctx, rest, &n) == 1 &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, (int)job->tag,
		out + job->in.len) == 1;
}

/* HF_ERR_CRYPTO when OpenSSL fails before the tag is compared. */
static enum hf_err
aead_decrypt(struct thread *t, const struct aead_job *job, uint8_t *out)
{
	EVP_CIPHER_CTX *ctx = t->cipher;
	bool held = is_held(t, job, false);
	uint8_t tag[EVP_MAX_BLOCK_LENGTH];
	uint8_t rest[EVP_MAX_BLOCK_LENGTH];
	int n;

	memcpy(tag, job->in.ptr + job->in.len, job->tag);
	if (EVP_DecryptInit_ex2(ctx, held ? NULL : job->cipher,
		held ? NULL : job->key.ptr, job->nonce, NULL) != 1 ||
	    !aead_update(ctx, NULL, job->aad) ||
	    !aead_update(ctx, out, job->in) ||
	    EVP_CIPHER_CTX_ctrl(
		ctx, EVP_CTRL_AEAD_SET_TAG, (int)job->tag, tag) != 1)
		return HF_ERR_CRYPTO;
	return EVP_DecryptFinal_ex(ctx, rest, &n) == 1 ? HF_OK
						       : HF_ERR_AUTH_FAILED;
}

/* The long nonce leads to a key and a short one. */
static enum hf_err
xchacha(bool seal, struct hf_bytes key, struct hf_bytes nonce,
    struct hf_bytes aad, struct hf_bytes in, uint8_t *out)
{
	const struct key_type *type = key_type_by_id(KEY_CHACHA20_POLY1305);
	AUTO_SECRET sub = { 0 };
	uint8_t short_nonce[12];
	enum hf_err err = crypto_xchacha_key(key, nonce, &sub, short_nonce);

	if (err != HF_OK)
		return err;
	return (seal ? crypto_seal : crypto_open)(type, secret_view(&sub),
	    bytes_of(short_nonce, sizeof(short_nonce)), aad, in, out);
}

enum hf_err
crypto_seal(const struct key_type *type, struct hf_bytes key,
    struct hf_bytes nonce, struct hf_bytes aad, struct hf_bytes in,
    uint8_t *out)
{
	struct thread *t = thread_self();
	struct aead_job job;
	enum hf_err err;
	bool ok;

	if (t == NULL)
		return thread_missing();
	if (type->id == KEY_XCHACHA20_POLY1305)
		return xchacha(true, key, nonce, aad, in, out);
	if ((err = aead_prepare(type, key, nonce, aad, in, &job)) != HF_OK)
		return err;
	ok = aead_encrypt(t, &job, out);
	cipher_settle(t, &job, true, ok);
	if (ok)
		return HF_OK;
	bytes_wipe(out, in.len + type->tag);
	return crypto_fail(HF_ERR_CRYPTO);
}

enum hf_err
crypto_open(const struct key_type *type, struct hf_bytes key,
    struct hf_bytes nonce, struct hf_bytes aad, struct hf_bytes in,
    uint8_t *out)
{
	struct thread *t = thread_self();
	struct aead_job job;
	enum hf_err err;

	if (t == NULL)
		return thread_missing();
	if (type->id == KEY_XCHACHA20_POLY1305)
		return xchacha(false, key, nonce, aad, in, out);
	if (in.len < type->tag)
		return HF_ERR_BAD_CIPHERTEXT;
	in.len -= type->tag;
	if ((err = aead_prepare(type, key, nonce, aad, in, &job)) != HF_OK)
		return err;
	err = aead_decrypt(t, &job, out);
	cipher_settle(t, &job, false, err == HF_OK);
	if (err == HF_OK)
		return HF_OK;
	bytes_wipe(out, in.len);
	return crypto_fail(err);
}
