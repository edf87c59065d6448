/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What OpenSSL does in this process with nothing around it: as fast as this
 * machine gets. The door to OpenSSL of this program.
 */
#include "limit.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#include "crew.h"

enum {
	IV = 12,
	TAG = 16,
	DIGEST = 32,
	SIGNATURE_MAX = 512,
	RSA_BITS = 2048,
	BLOCK = 16384
};

/* -- Encryption -- */

struct limit_gcm {
	EVP_CIPHER_CTX *ctx;
};

struct limit_gcm *
limit_gcm_new(void)
{
	struct limit_gcm *gcm = calloc(1, sizeof(*gcm));
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	uint8_t key[32];
	bool ok = gcm != NULL && cipher != NULL &&
	    (gcm->ctx = EVP_CIPHER_CTX_new()) != NULL &&
	    RAND_bytes(key, sizeof(key)) == 1 &&
	    EVP_EncryptInit_ex2(gcm->ctx, cipher, key, NULL, NULL) == 1;

	EVP_CIPHER_free(cipher);
	if (ok)
		return gcm;
	limit_gcm_free(gcm);
	return NULL;
}

void
limit_gcm_free(struct limit_gcm *gcm)
{
	if (gcm != NULL)
		EVP_CIPHER_CTX_free(gcm->ctx);
	free(gcm);
}

bool
limit_gcm_run(struct limit_gcm *gcm, const uint8_t in[PAYLOAD], uint8_t *out)
{
	int len, end;

	return RAND_bytes(out, IV) == 1 &&
	    EVP_EncryptInit_ex2(gcm->ctx, NULL, NULL, out, NULL) == 1 &&
	    EVP_EncryptUpdate(gcm->ctx, out + IV, &len, in, PAYLOAD) == 1 &&
	    EVP_EncryptFinal_ex(gcm->ctx, out + IV + len, &end) == 1 &&
	    EVP_CIPHER_CTX_ctrl(
		gcm->ctx, EVP_CTRL_GCM_GET_TAG, TAG, out + IV + PAYLOAD) == 1;
}

static void
gcm_member(struct crew_member *m)
{
	struct limit_gcm *gcm = limit_gcm_new();
	uint8_t in[PAYLOAD] = { 0 }, out[PAYLOAD + GCM_OVERHEAD];

	m->failed = gcm == NULL;
	crew_begin(m);
	while (gcm != NULL && !m->failed && clock_ns() < m->deadline) {
		/* The clock costs as much as a tenth of an operation. */
		for (int i = 0; i < 32 && !m->failed; i++) {
			m->failed = !limit_gcm_run(gcm, in, out);
			m->done++;
		}
	}
	m->ended = clock_ns();
	limit_gcm_free(gcm);
}

/* -- A long stream -- */

/* As `openssl speed -evp aes-256-gcm -bytes 16384` does it. */
static void
stream_member(struct crew_member *m)
{
	struct limit_gcm *gcm = limit_gcm_new();
	uint8_t *block = calloc(1, BLOCK), iv[IV] = { 0 };
	EVP_CIPHER_CTX *ctx = gcm == NULL ? NULL : gcm->ctx;
	int len;

	m->failed = ctx == NULL || block == NULL ||
	    EVP_EncryptInit_ex2(ctx, NULL, NULL, iv, NULL) != 1;
	crew_begin(m);
	while (!m->failed && clock_ns() < m->deadline) {
		m->failed =
		    EVP_EncryptUpdate(ctx, block, &len, block, BLOCK) != 1;
		m->done++;
	}
	m->ended = clock_ns();
	free(block);
	limit_gcm_free(gcm);
}

/* -- Signatures -- */

static void
sign_member(struct crew_member *m)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(m->job, NULL);
	uint8_t digest[DIGEST] = { 1 }, out[SIGNATURE_MAX];

	m->failed = ctx == NULL || EVP_PKEY_sign_init(ctx) != 1;
	crew_begin(m);
	while (!m->failed && clock_ns() < m->deadline) {
		uint64_t began = clock_ns();
		size_t len = sizeof(out);

		m->failed =
		    EVP_PKEY_sign(ctx, out, &len, digest, sizeof(digest)) != 1;
		histogram_add(m->latency, clock_ns() - began);
		m->done++;
	}
	m->ended = clock_ns();
	EVP_PKEY_CTX_free(ctx);
}

/* -- Cells -- */

static enum cell_state
run(struct bench *b, const struct work *work, crew_fn *member, void *job,
    struct sample *out)
{
	struct crew_result r;

	if (!crew_run(member, job, work->threads, b->seconds, 0, &r))
		return CELL_FAILED;
	*out = crew_sample(&r, 1);
	return CELL_MEASURED;
}

enum cell_state
limit_gcm(struct bench *b, const struct work *work, struct sample *out)
{
	return run(b, work, gcm_member, NULL, out);
}

/* MB/s */
enum cell_state
limit_stream(struct bench *b, const struct work *work, struct sample *out)
{
	struct crew_result r;

	if (!crew_run(stream_member, NULL, work->threads, b->seconds, 0, &r))
		return CELL_FAILED;
	*out = crew_sample(&r, BLOCK / 1e6);
	return CELL_MEASURED;
}

static enum cell_state
sign(
    struct bench *b, const struct work *work, EVP_PKEY *key, struct sample *out)
{
	enum cell_state state =
	    key == NULL ? CELL_FAILED : run(b, work, sign_member, key, out);

	EVP_PKEY_free(key);
	return state;
}

enum cell_state
limit_p256(struct bench *b, const struct work *work, struct sample *out)
{
	return sign(b, work, EVP_EC_gen("P-256"), out);
}

enum cell_state
limit_rsa(struct bench *b, const struct work *work, struct sample *out)
{
	return sign(b, work, EVP_RSA_gen(RSA_BITS), out);
}
