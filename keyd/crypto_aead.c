/* SPDX-License-Identifier: Apache-2.0 */
/* AEAD, and the contexts that keys leave ready for their next use. */
#include "crypto.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "../lib/bytes.h"
#include "crypto_state.h"
#include "crypto_xchacha.h"

enum {
	AEAD_MAX = 1 << 30, /* EVP_CipherUpdate counts in int */
	KEPT = 16,          /* contexts of a thread; a power of two */
	KEPT_BITS = 4,
	KEPT_KEY = 32, /* bytes of the longest key */
};

struct aead {
	enum key_type_id id;
	const char *openssl;
	bool kept; /* others do not take a nonce without a key */
};

/* clang-format off */
static const struct aead aeads[] = {
	{ KEY_AES256_GCM96,      "AES-256-GCM",       true },
	{ KEY_AES192_GCM96,      "AES-192-GCM",       true },
	{ KEY_AES128_GCM96,      "AES-128-GCM",       true },
	{ KEY_CHACHA20_POLY1305, "ChaCha20-Poly1305", false },
};
/* clang-format on */
enum { AEADS = sizeof(aeads) / sizeof(aeads[0]) };

/* Of the rows above; read-only once crypto_init is done. */
static EVP_CIPHER *ciphers[AEADS];

/*
 * A context that has its key. `owner` is the address that it is kept for, or
 * one of the two below. Whoever changes it to BUSY has the rest for himself,
 * until he sets it to something else: the thread that it belongs to, or one
 * that forgets.
 */
enum { NOBODY = 0, BUSY = 1 };
struct kept {
	_Atomic uintptr_t owner;
	EVP_CIPHER_CTX *ctx;
	const EVP_CIPHER *cipher;
};

struct aead_thread {
	LIST_ENTRY(aead_thread) link;
	EVP_CIPHER_CTX *ctx; /* for keys that are not kept; empty */
	struct secret keys;  /* KEPT_KEY bytes for each of `kept` */
	struct kept kept[KEPT];
};

/* Those that crypto_forget() goes through. */
static struct {
	pthread_mutex_t lock;
	LIST_HEAD(aead_threads, aead_thread) all;
} threads = { .lock = PTHREAD_MUTEX_INITIALIZER };

enum hf_err
crypto_aead_init(struct hf_why *why)
{
	for (size_t i = 0; i < AEADS; i++) {
		const char *name = aeads[i].openssl;

		ciphers[i] = EVP_CIPHER_fetch(crypto_lib(), name, NULL);
		if (ciphers[i] == NULL)
			return hf_fail(
			    why, HF_ERR_CRYPTO, "OpenSSL has no %s", name);
	}
	return HF_OK;
}

/* -- What a thread keeps -- */

struct aead_thread *
aead_thread_new(void)
{
	struct aead_thread *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->ctx = EVP_CIPHER_CTX_new();
	if (t->ctx == NULL) {
		free(t);
		return NULL;
	}
	(void)pthread_mutex_lock(&threads.lock);
	LIST_INSERT_HEAD(&threads.all, t, link);
	(void)pthread_mutex_unlock(&threads.lock);
	return t;
}

void
aead_thread_free(struct aead_thread *t)
{
	if (t == NULL)
		return;
	(void)pthread_mutex_lock(&threads.lock);
	LIST_REMOVE(t, link);
	(void)pthread_mutex_unlock(&threads.lock);
	for (size_t i = 0; i < KEPT; i++)
		EVP_CIPHER_CTX_free(t->kept[i].ctx);
	EVP_CIPHER_CTX_free(t->ctx);
	secret_free(&t->keys);
	free(t);
}

/* Fibonacci hashing: what is allocated lies at round addresses. */
static size_t
place_of(const void *owner)
{
	uint64_t hash = (uint64_t)(uintptr_t)owner * 0x9e3779b97f4a7c15;

	return (size_t)(hash >> (64 - KEPT_BITS));
}

static uint8_t *
key_of(const struct aead_thread *t, const struct kept *k)
{
	return t->keys.ptr + (size_t)(k - t->kept) * KEPT_KEY;
}

/* Nothing of the key or the last message stays. The caller made it BUSY. */
static void
kept_clear(struct aead_thread *t, struct kept *k)
{
	(void)EVP_CIPHER_CTX_reset(k->ctx);
	k->cipher = NULL;
	bytes_wipe(key_of(t, k), KEPT_KEY);
	atomic_store_explicit(&k->owner, NOBODY, memory_order_release);
}

static bool
kept_lock(struct kept *k, uintptr_t was)
{
	return was != BUSY &&
	    atomic_compare_exchange_strong_explicit(&k->owner, &was, BUSY,
		memory_order_acquire, memory_order_relaxed);
}

/*
 * The place of this owner's key, BUSY; NULL when there is none to be had.
 * Somebody else's key may still be in there.
 */
static struct kept *
kept_take(struct aead_thread *t, const void *owner)
{
	struct kept *k = &t->kept[place_of(owner)];

	if (t->keys.ptr == NULL &&
	    secret_alloc(&t->keys, (size_t)KEPT * KEPT_KEY) != HF_OK)
		return NULL;
	if (!kept_lock(
		k, atomic_load_explicit(&k->owner, memory_order_relaxed)))
		return NULL;
	if (k->ctx == NULL && (k->ctx = EVP_CIPHER_CTX_new()) == NULL) {
		atomic_store(&k->owner, NOBODY);
		return NULL;
	}
	return k;
}

void
crypto_forget(const void *owner)
{
	uintptr_t id = (uintptr_t)owner;
	struct aead_thread *t;

	(void)pthread_mutex_lock(&threads.lock);
	for (t = LIST_FIRST(&threads.all); t != NULL; t = LIST_NEXT(t, link)) {
		struct kept *k = &t->kept[place_of(owner)];

		if (atomic_load_explicit(&k->owner, memory_order_relaxed) ==
			id &&
		    kept_lock(k, id))
			kept_clear(t, k);
	}
	(void)pthread_mutex_unlock(&threads.lock);
}

/* -- One operation -- */

/* What it is given, its lengths checked. */
struct aead_job {
	const struct aead *aead;
	const EVP_CIPHER *cipher;
	const void *owner; /* of the key; NULL: not to be kept */
	struct hf_bytes key;
	const uint8_t *nonce;
	struct hf_bytes aad;
	struct hf_bytes in; /* without the tag */
	size_t tag;
};

static enum hf_err
job_prepare(const struct key_type *type, struct hf_bytes key,
    struct hf_bytes nonce, struct hf_bytes aad, struct hf_bytes in,
    struct aead_job *job)
{
	if (type->family != FAMILY_AEAD)
		return HF_ERR_KEY_TYPE;
	if (key.len != type->size || nonce.len != type->nonce)
		return HF_ERR_BAD_INPUT;
	if (aad.len > AEAD_MAX || in.len > AEAD_MAX)
		return HF_ERR_OUT_OF_BOUNDS;
	*job = (struct aead_job){ .key = key,
		.nonce = nonce.ptr,
		.aad = aad,
		.in = in,
		.tag = type->tag };
	for (size_t i = 0; i < AEADS; i++)
		if (aeads[i].id == type->id) {
			job->aead = &aeads[i];
			job->cipher = ciphers[i];
		}
	return job->cipher == NULL ? HF_ERR_CRYPTO : HF_OK;
}

/* Where a job is done: `kept`, or the thread's own context. */
struct desk {
	struct aead_thread *thread;
	struct kept *kept;
	EVP_CIPHER_CTX *ctx;
	bool has_key;
};

/*
 * The key itself is compared, because there may be another one at its owner's
 * address by now.
 */
static bool
has_key(const struct desk *d, const struct aead_job *job)
{
	return d->kept->cipher == job->cipher &&
	    bytes_equal_ct(
		bytes_of(key_of(d->thread, d->kept), job->key.len), job->key);
}

static void
desk_take(struct aead_thread *t, const struct aead_job *job, struct desk *d)
{
	*d = (struct desk){ .thread = t, .ctx = t->ctx };
	if (job->owner == NULL || !job->aead->kept ||
	    (d->kept = kept_take(t, job->owner)) == NULL)
		return;
	d->ctx = d->kept->ctx;
	d->has_key = has_key(d, job);
}

static void
desk_leave(const struct desk *d, const struct aead_job *job, bool ok)
{
	struct kept *k = d->kept;

	if (k == NULL) {
		(void)EVP_CIPHER_CTX_reset(d->ctx);
		return;
	}
	if (!ok) {
		kept_clear(d->thread, k);
		return;
	}
	if (!d->has_key) {
		k->cipher = job->cipher;
		memcpy(key_of(d->thread, k), job->key.ptr, job->key.len);
	}
	atomic_store_explicit(
	    &k->owner, (uintptr_t)job->owner, memory_order_release);
}

/* Update takes an empty input for an end, so there is none. */
static bool
update(EVP_CIPHER_CTX *ctx, uint8_t *out, struct hf_bytes in)
{
	int n;

	return in.len == 0 ||
	    EVP_CipherUpdate(ctx, out, &n, in.ptr, (int)in.len) == 1;
}

static enum hf_err
encrypt(const struct desk *d, const struct aead_job *job, uint8_t *out)
{
	uint8_t rest[EVP_MAX_BLOCK_LENGTH];
	int n;

	if (EVP_EncryptInit_ex2(d->ctx, d->has_key ? NULL : job->cipher,
		d->has_key ? NULL : job->key.ptr, job->nonce, NULL) != 1 ||
	    !update(d->ctx, NULL, job->aad) || !update(d->ctx, out, job->in) ||
	    EVP_EncryptFinal_ex(d->ctx, rest, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(d->ctx, EVP_CTRL_AEAD_GET_TAG, (int)job->tag,
		out + job->in.len) != 1)
		return HF_ERR_CRYPTO;
	return HF_OK;
}

/* HF_ERR_CRYPTO when OpenSSL fails before the tag is compared. */
static enum hf_err
decrypt(const struct desk *d, const struct aead_job *job, uint8_t *out)
{
	uint8_t tag[EVP_MAX_BLOCK_LENGTH];
	uint8_t rest[EVP_MAX_BLOCK_LENGTH];
	int n;

	memcpy(tag, job->in.ptr + job->in.len, job->tag);
	if (EVP_DecryptInit_ex2(d->ctx, d->has_key ? NULL : job->cipher,
		d->has_key ? NULL : job->key.ptr, job->nonce, NULL) != 1 ||
	    !update(d->ctx, NULL, job->aad) || !update(d->ctx, out, job->in) ||
	    EVP_CIPHER_CTX_ctrl(
		d->ctx, EVP_CTRL_AEAD_SET_TAG, (int)job->tag, tag) != 1)
		return HF_ERR_CRYPTO;
	return EVP_DecryptFinal_ex(d->ctx, rest, &n) == 1 ? HF_OK
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

/* What `todo` does with a job, of which nothing is left in `out` if it fails:
 * `len` is how much it may write. */
static enum hf_err
job_run(const struct aead_job *job,
    enum hf_err (*todo)(
	const struct desk *, const struct aead_job *, uint8_t *out),
    uint8_t *out, size_t len)
{
	struct aead_thread *t = crypto_aead_thread();
	struct desk desk;
	enum hf_err err;

	if (t == NULL)
		return crypto_thread_missing();
	desk_take(t, job, &desk);
	err = todo(&desk, job, out);
	desk_leave(&desk, job, err == HF_OK);
	if (err == HF_OK)
		return HF_OK;
	bytes_wipe(out, len);
	return crypto_fail(err);
}

enum hf_err
crypto_seal_kept(const void *owner, const struct key_type *type,
    struct hf_bytes key, struct hf_bytes nonce, struct hf_bytes aad,
    struct hf_bytes in, uint8_t *out)
{
	struct aead_job job;
	enum hf_err err;

	if (type->id == KEY_XCHACHA20_POLY1305)
		return xchacha(true, key, nonce, aad, in, out);
	if ((err = job_prepare(type, key, nonce, aad, in, &job)) != HF_OK)
		return err;
	job.owner = owner;
	return job_run(&job, encrypt, out, in.len + type->tag);
}

enum hf_err
crypto_open_kept(const void *owner, const struct key_type *type,
    struct hf_bytes key, struct hf_bytes nonce, struct hf_bytes aad,
    struct hf_bytes in, uint8_t *out)
{
	struct aead_job job;
	enum hf_err err;

	if (type->id == KEY_XCHACHA20_POLY1305)
		return xchacha(false, key, nonce, aad, in, out);
	if (in.len < type->tag)
		return HF_ERR_BAD_CIPHERTEXT;
	in.len -= type->tag;
	if ((err = job_prepare(type, key, nonce, aad, in, &job)) != HF_OK)
		return err;
	job.owner = owner;
	return job_run(&job, decrypt, out, in.len);
}

enum hf_err
crypto_seal(const struct key_type *type, struct hf_bytes key,
    struct hf_bytes nonce, struct hf_bytes aad, struct hf_bytes in,
    uint8_t *out)
{
	return crypto_seal_kept(NULL, type, key, nonce, aad, in, out);
}

enum hf_err
crypto_open(const struct key_type *type, struct hf_bytes key,
    struct hf_bytes nonce, struct hf_bytes aad, struct hf_bytes in,
    uint8_t *out)
{
	return crypto_open_kept(NULL, type, key, nonce, aad, in, out);
}
