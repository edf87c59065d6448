/* SPDX-License-Identifier: Apache-2.0 */
#include "hsm_job.h"

#include <string.h>

#include "../lib/bytes.h"
#include "hsm_internal.h"

enum { LABEL_MAX = 64 };

/* -- What a worker does -- */

static enum hf_err
run_random(struct hsm *hsm, struct hsm_job *job)
{
	job->len[0] = job->room[0];
	return hsm_random(hsm, job->out[0], job->room[0]);
}

/* The label has its NUL in the message. */
static const char *
label_of(const struct hsm_job *job)
{
	const struct hf_bytes *in = &job->in[0];

	return in->len > 0 && in->len <= LABEL_MAX &&
		in->ptr[in->len - 1] == '\0'
	    ? (const char *)in->ptr
	    : "";
}

static enum hf_err
run_object_make(struct hsm *hsm, struct hsm_job *job)
{
	return hsm_object_make(hsm, job->role, job->key.id, label_of(job));
}

static enum hf_err
run_object_import(struct hsm *hsm, struct hsm_job *job)
{
	return hsm_object_import(
	    hsm, job->role, job->key.id, label_of(job), job->in[1]);
}

static enum hf_err
run_object_find(struct hsm *hsm, struct hsm_job *job)
{
	return hsm_object_find(hsm, job->role, job->key.id, &job->found);
}

static enum hf_err
run_object_destroy(struct hsm *hsm, struct hsm_job *job)
{
	return hsm_object_destroy(hsm, job->role, job->key.id);
}

static enum hf_err
run_audit_public(struct hsm *hsm, struct hsm_job *job)
{
	return hsm_audit_public(hsm, job->key.id, job->out[0], &job->len[0]);
}

static enum hf_err
run_audit_sign(struct hsm *hsm, struct hsm_job *job)
{
	job->len[0] = job->room[0];
	return hsm_audit_sign(hsm, job->key.id, job->in[0].ptr, job->out[0]);
}

static enum hf_err
run_seal(struct hsm *hsm, struct hsm_job *job)
{
	job->len[0] = job->room[0];
	return hsm_seal(hsm, job->key.id, job->in[0], job->in[1], job->out[0]);
}

static enum hf_err
run_open_sealed(struct hsm *hsm, struct hsm_job *job)
{
	AUTO_SECRET plain = { 0 };
	enum hf_err err =
	    hsm_open_sealed(hsm, job->key.id, job->in[0], job->in[1], &plain);

	if (err != HF_OK)
		return err;
	memcpy(job->out[0], plain.ptr, plain.len);
	job->len[0] = plain.len;
	return HF_OK;
}

static enum hf_err
run_key_make(struct hsm *hsm, struct hsm_job *job)
{
	return hsm_key_make(hsm, job->key.type, job->number, job->key.wrap_id,
	    job->key.id, job->out[0], &job->len[0], job->out[1], &job->len[1]);
}

static enum hf_err
run_key_import(struct hsm *hsm, struct hsm_job *job)
{
	return hsm_key_import(hsm, job->key.type, job->in[0], job->in[1],
	    job->key.wrap_id, job->key.id, job->out[0], &job->len[0]);
}

static enum hf_err
run_key_drop(struct hsm *hsm, struct hsm_job *job)
{
	return hsm_key_drop(hsm, &job->key);
}

static enum hf_err
run_encrypt(struct hsm *hsm, struct hsm_job *job)
{
	job->len[0] = job->room[0];
	return hsm_key_encrypt(
	    hsm, &job->key, job->in[0], job->in[1], job->in[2], job->out[0]);
}

static enum hf_err
run_decrypt(struct hsm *hsm, struct hsm_job *job)
{
	job->len[0] = job->room[0];
	return hsm_key_decrypt(
	    hsm, &job->key, job->in[0], job->in[1], job->in[2], job->out[0]);
}

static enum hf_err
run_decrypt_oaep(struct hsm *hsm, struct hsm_job *job)
{
	return hsm_key_decrypt_oaep(
	    hsm, &job->key, job->hash, job->in[0], job->out[0], &job->len[0]);
}

static enum hf_err
run_rsa_raw(struct hsm *hsm, struct hsm_job *job)
{
	job->len[0] = job->room[0];
	return hsm_key_rsa_raw(hsm, &job->key, job->in[0], job->out[0]);
}

static enum hf_err
run_sign(struct hsm *hsm, struct hsm_job *job)
{
	return hsm_key_sign(
	    hsm, &job->key, &job->how, job->in[0], job->out[0], &job->len[0]);
}

static enum hf_err
run_hmac(struct hsm *hsm, struct hsm_job *job)
{
	if (job->hash == NULL)
		return HF_ERR_BAD_ALGORITHM;
	job->len[0] = job->hash->size;
	return hsm_key_hmac(hsm, &job->key, job->hash, job->in[0], job->out[0]);
}

static enum hf_err
run_cmac(struct hsm *hsm, struct hsm_job *job)
{
	job->len[0] = job->room[0];
	return hsm_key_cmac(hsm, &job->key, job->in[0], job->out[0]);
}

static enum hf_err
run_aes(struct hsm *hsm, struct hsm_job *job)
{
	job->aes.iv = job->in[0];
	return hsm_key_aes(
	    hsm, &job->key, &job->aes, job->in[1], job->out[0], &job->len[0]);
}

static enum hf_err
run_ecdh(struct hsm *hsm, struct hsm_job *job)
{
	AUTO_SECRET shared = { 0 };
	enum hf_err err = hsm_key_ecdh(hsm, &job->key, job->in[0], &shared);

	if (err != HF_OK)
		return err;
	if (shared.len > job->room[0])
		return HF_ERR_HSM_REFUSED;
	memcpy(job->out[0], shared.ptr, shared.len);
	job->len[0] = shared.len;
	return HF_OK;
}

static enum hf_err
run_probe(struct hsm *hsm, struct hsm_job *job)
{
	struct hsm_probe probe;
	enum hf_err err = hsm_probe_run(hsm, &probe);
	size_t rows, quirks;

	if (err != HF_OK)
		return err;
	rows = probe.count * sizeof(*probe.rows);
	quirks = probe.quirk_count * sizeof(*probe.quirks);
	if (rows > job->room[0] || quirks > job->room[1])
		err = HF_ERR_OUT_OF_BOUNDS;
	if (err == HF_OK) {
		memcpy(job->out[0], probe.rows, rows);
		memcpy(job->out[1], probe.quirks, quirks);
		job->len[0] = rows;
		job->len[1] = quirks;
	}
	hsm_probe_free(&probe);
	return err;
}

/* clang-format off */
static const struct job_row rows[] = {
	[JOB_RANDOM]         = { "hsm_random",                          .run = run_random },
	[JOB_OBJECT_MAKE]    = { "hsm_object_make",                     .run = run_object_make,   .once = true, .slow = true },
	[JOB_OBJECT_IMPORT]  = { "hsm_object_import",                   .run = run_object_import, .once = true, .slow = true },
	[JOB_OBJECT_FIND]    = { "hsm_object_find",                     .run = run_object_find },
	[JOB_OBJECT_DESTROY] = { "hsm_object_destroy",                  .run = run_object_destroy },
	[JOB_AUDIT_PUBLIC]   = { "hsm_audit_public",                    .run = run_audit_public },
	[JOB_AUDIT_SIGN]     = { "hsm_audit_sign",                      .run = run_audit_sign },
	[JOB_SEAL]           = { "hsm_seal",                            .run = run_seal },
	[JOB_OPEN_SEALED]    = { "hsm_open_sealed",                     .run = run_open_sealed },
	[JOB_KEY_MAKE]       = { "hsm_key_make",         .keyed = true, .run = run_key_make,      .once = true, .slow = true },
	[JOB_KEY_IMPORT]     = { "hsm_key_import",       .keyed = true, .run = run_key_import,    .once = true, .slow = true },
	[JOB_KEY_DROP]       = { "hsm_key_drop",         .keyed = true, .run = run_key_drop },
	[JOB_ENCRYPT]        = { "hsm_key_encrypt",      .keyed = true, .run = run_encrypt },
	[JOB_DECRYPT]        = { "hsm_key_decrypt",      .keyed = true, .run = run_decrypt },
	[JOB_DECRYPT_OAEP]   = { "hsm_key_decrypt_oaep", .keyed = true, .run = run_decrypt_oaep },
	[JOB_RSA_RAW]        = { "hsm_key_rsa_raw",      .keyed = true, .run = run_rsa_raw },
	[JOB_SIGN]           = { "hsm_key_sign",         .keyed = true, .run = run_sign },
	[JOB_HMAC]           = { "hsm_key_hmac",         .keyed = true, .run = run_hmac },
	[JOB_CMAC]           = { "hsm_key_cmac",         .keyed = true, .run = run_cmac },
	[JOB_AES]            = { "hsm_key_aes",          .keyed = true, .run = run_aes },
	[JOB_ECDH]           = { "hsm_key_ecdh",         .keyed = true, .run = run_ecdh },
	[JOB_PROBE]          = { "hsm_probe_run",                       .run = run_probe,         .once = true, .slow = true },
};
/* clang-format on */

const struct job_row *
job_row(enum job_op op)
{
	return &rows[op];
}

/* Numbers that are none of their enum are not from a sane daemon. */
enum hf_err
job_perform(struct hsm *hsm, struct hsm_job *job, unsigned budget_ms)
{
	const struct job_row *row = &rows[job->op];

	if ((row->keyed && job->key.type == NULL) || job->role > ROLE_AUDIT ||
	    job->how.scheme > SIGN_EDDSA || job->how.encoding > SIGN_JWS ||
	    job->aes.mode >= AES_MODES)
		return HF_ERR_BAD_INPUT;
	hsm_deadline_set(clock_ms() + budget_ms);
	return row->run(hsm, job);
}

/* -- What a worker may say -- */

/*
 * What hsm.h gives. Others are words of the daemon to itself: that a request
 * is to be run again, was tried only, or leaves no line in the audit log.
 */
static const enum hf_err worker_errors[] = {
	HF_OK,
	HF_ERR_AUTH_FAILED,
	HF_ERR_BAD_ALGORITHM,
	HF_ERR_BAD_CIPHERTEXT,
	HF_ERR_BAD_INPUT,
	HF_ERR_BAD_SETTINGS,
	HF_ERR_BUSY,
	HF_ERR_CRYPTO,
	HF_ERR_HSM_MECHANISM,
	HF_ERR_HSM_PIN,
	HF_ERR_HSM_REFUSED,
	HF_ERR_HSM_STUCK,
	HF_ERR_HSM_UNAVAILABLE,
	HF_ERR_HSM_UNINITIALIZED,
	HF_ERR_HSM_UNSUITABLE,
	HF_ERR_KEY_TYPE,
	HF_ERR_MEMORY_LOCK,
	HF_ERR_NAME_TAKEN,
	HF_ERR_NOT_FOUND,
	HF_ERR_NO_MEMORY,
	HF_ERR_OUT_OF_BOUNDS,
	HF_ERR_SHUTTING_DOWN,
	HF_ERR_SIGNATURE_WRONG,
	HF_ERR_SYSTEM,
	HF_ERR_TIMEOUT,
};

enum hf_err
job_error(uint32_t err)
{
	for (size_t i = 0; i < sizeof(worker_errors) / sizeof(*worker_errors);
	     i++)
		if ((uint32_t)worker_errors[i] == err)
			return worker_errors[i];
	return HF_ERR_HSM_REFUSED;
}

void
job_text(char *text, size_t size)
{
	text[size - 1] = '\0';
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}
