/* SPDX-License-Identifier: Apache-2.0 */
#include "hsm_remote.h"

#include <stdlib.h>
#include <string.h>

#include "../lib/bytes.h"
#include "crypto.h"
#include "hsm_internal.h"

/* What a probe (hsm_probe.h) does not exceed. */
enum {
	PROBE_ROWS = 256,
	PROBE_QUIRKS = 64,
};

static struct hsm_job
job_of(enum job_op op, const uint8_t id[HSM_ID])
{
	struct hsm_job job = { .op = op };

	memcpy(job.key.id, id, HSM_ID);
	return job;
}

static void
job_out(struct hsm_job *job, size_t i, uint8_t *out, size_t room)
{
	job->out[i] = out;
	job->room[i] = room;
}

/* Over there; or beside this thread, which does not wait (hsm_await.h). */
static enum hf_err
job_do(struct hsm *hsm, struct hsm_job *job)
{
	return hsm->process != NULL ? hsm_process_do(hsm->process, job)
				    : hsm_inside_do(hsm, job);
}

/* All that is asked for must come. */
static enum hf_err
job_fill(struct hsm *hsm, struct hsm_job *job)
{
	enum hf_err err = job_do(hsm, job);

	if (err == HF_OK && job->len[0] != job->room[0])
		return HF_ERR_HSM_REFUSED;
	return err;
}

/* The label goes with its NUL. */
static struct hf_bytes
label_bytes(const char *label)
{
	return bytes_of(label, strlen(label) + 1);
}

enum hf_err
remote_random(struct hsm *hsm, uint8_t *out, size_t len, unsigned wait_ms)
{
	struct hsm_job job = { .op = JOB_RANDOM, .wait_ms = wait_ms };

	job_out(&job, 0, out, len);
	return job_fill(hsm, &job);
}

enum hf_err
remote_object_make(struct hsm *hsm, enum hsm_role role,
    const uint8_t id[HSM_ID], const char *label, struct hf_bytes value)
{
	struct hsm_job job =
	    job_of(value.len == 0 ? JOB_OBJECT_MAKE : JOB_OBJECT_IMPORT, id);

	job.role = role;
	job.in[0] = label_bytes(label);
	job.in[1] = value;
	return job_do(hsm, &job);
}

enum hf_err
remote_object_find(
    struct hsm *hsm, enum hsm_role role, const uint8_t id[HSM_ID], bool *found)
{
	struct hsm_job job = job_of(JOB_OBJECT_FIND, id);
	enum hf_err err;

	job.role = role;
	err = job_do(hsm, &job);
	if (err == HF_OK)
		*found = job.found;
	return err;
}

enum hf_err
remote_object_destroy(
    struct hsm *hsm, enum hsm_role role, const uint8_t id[HSM_ID])
{
	struct hsm_job job = job_of(JOB_OBJECT_DESTROY, id);

	job.role = role;
	return job_do(hsm, &job);
}

enum hf_err
remote_audit_public(
    struct hsm *hsm, const uint8_t id[HSM_ID], uint8_t *out, size_t *len)
{
	struct hsm_job job = job_of(JOB_AUDIT_PUBLIC, id);
	enum hf_err err;

	job_out(&job, 0, out, SPKI_MAX);
	err = job_do(hsm, &job);
	if (err == HF_OK)
		*len = job.len[0];
	return err;
}

enum hf_err
remote_audit_sign(struct hsm *hsm, const uint8_t id[HSM_ID],
    const uint8_t digest[32], uint8_t out[64])
{
	struct hsm_job job = job_of(JOB_AUDIT_SIGN, id);

	job.in[0] = bytes_of(digest, 32);
	job_out(&job, 0, out, 64);
	return job_fill(hsm, &job);
}

enum hf_err
remote_seal(struct hsm *hsm, const uint8_t id[HSM_ID], struct hf_bytes aad,
    struct hf_bytes in, uint8_t *out)
{
	struct hsm_job job = job_of(JOB_SEAL, id);

	job.in[0] = aad;
	job.in[1] = in;
	job_out(&job, 0, out, in.len + HSM_SEAL_EXTRA);
	return job_fill(hsm, &job);
}

enum hf_err
remote_open_sealed(struct hsm *hsm, const uint8_t id[HSM_ID],
    struct hf_bytes aad, struct hf_bytes in, struct secret *out)
{
	struct hsm_job job = job_of(JOB_OPEN_SEALED, id);
	AUTO_SECRET plain = { 0 };
	enum hf_err err;

	if (in.len <= HSM_SEAL_EXTRA)
		return HF_ERR_BAD_CIPHERTEXT;
	err = secret_alloc(&plain, in.len - HSM_SEAL_EXTRA);
	if (err != HF_OK)
		return err;
	job.in[0] = aad;
	job.in[1] = in;
	job_out(&job, 0, plain.ptr, plain.len);
	err = job_fill(hsm, &job);
	if (err == HF_OK)
		secret_move(out, &plain);
	return err;
}

enum hf_err
remote_key_make(struct hsm *hsm, const struct key_type *type, size_t hmac_size,
    const uint8_t wrap_id[HSM_ID], const uint8_t id[HSM_ID], uint8_t *wrapped,
    size_t *wrapped_len, uint8_t *spki, size_t *spki_len)
{
	struct hsm_job job = job_of(JOB_KEY_MAKE, id);
	enum hf_err err;

	job.key.type = type;
	job.number = hmac_size;
	memcpy(job.key.wrap_id, wrap_id, HSM_ID);
	job_out(&job, 0, wrapped, HSM_WRAPPED_MAX);
	job_out(&job, 1, spki, SPKI_MAX);
	err = job_do(hsm, &job);
	if (err != HF_OK)
		return err;
	*wrapped_len = job.len[0];
	*spki_len = job.len[1];
	return HF_OK;
}

enum hf_err
remote_key_import(struct hsm *hsm, const struct key_type *type,
    struct hf_bytes material, struct hf_bytes public_half,
    const uint8_t wrap_id[HSM_ID], const uint8_t id[HSM_ID], uint8_t *wrapped,
    size_t *wrapped_len)
{
	struct hsm_job job = job_of(JOB_KEY_IMPORT, id);
	enum hf_err err;

	job.key.type = type;
	memcpy(job.key.wrap_id, wrap_id, HSM_ID);
	job.in[0] = material;
	job.in[1] = public_half;
	job_out(&job, 0, wrapped, HSM_WRAPPED_MAX);
	err = job_do(hsm, &job);
	if (err == HF_OK)
		*wrapped_len = job.len[0];
	return err;
}

enum hf_err
remote_key_drop(struct hsm *hsm, const struct hsm_key *key)
{
	struct hsm_job job = { .op = JOB_KEY_DROP, .key = *key };

	return job_do(hsm, &job);
}

enum hf_err
remote_aead(struct hsm *hsm, enum job_op op, const struct hsm_key *key,
    struct hf_bytes nonce, struct hf_bytes aad, struct hf_bytes in,
    uint8_t *out, size_t room)
{
	struct hsm_job job = {
		.op = op, .key = *key, .in = { nonce, aad, in }
	};

	job_out(&job, 0, out, room);
	return job_fill(hsm, &job);
}

enum hf_err
remote_key_use(struct hsm *hsm, enum job_op op, const struct hsm_key *key,
    const struct hash_type *hash, struct hf_bytes in, uint8_t *out, size_t room,
    size_t *len)
{
	struct hsm_job job = {
		.op = op, .key = *key, .hash = hash, .in = { in }
	};
	enum hf_err err;

	job_out(&job, 0, out, room);
	err = len == NULL ? job_fill(hsm, &job) : job_do(hsm, &job);
	if (err == HF_OK && len != NULL)
		*len = job.len[0];
	return err;
}

enum hf_err
remote_sign(struct hsm *hsm, const struct hsm_key *key,
    const struct sign_how *how, struct hf_bytes in, uint8_t *out, size_t *len)
{
	uint8_t digest[CRYPTO_HASH_MAX];
	struct hsm_job job = {
		.op = JOB_SIGN, .key = *key, .how = *how, .in = { in }
	};
	enum hf_err err;

	if (how->hash != NULL && !how->prehashed && how->scheme != SIGN_EDDSA) {
		err = crypto_hash(how->hash, in, digest);
		if (err != HF_OK)
			return err;
		job.how.prehashed = true;
		job.in[0] = bytes_of(digest, how->hash->size);
	}
	job_out(&job, 0, out, CRYPTO_SIGNATURE_MAX);
	err = job_do(hsm, &job);
	if (err == HF_OK)
		*len = job.len[0];
	return err;
}

enum hf_err
remote_aes(struct hsm *hsm, const struct hsm_key *key,
    const struct aes_how *how, struct hf_bytes in, uint8_t *out, size_t *len)
{
	struct hsm_job job = {
		.op = JOB_AES, .key = *key, .aes = *how, .in = { how->iv, in }
	};
	enum hf_err err;

	job_out(&job, 0, out, in.len + AES_EXTRA);
	err = job_do(hsm, &job);
	if (err == HF_OK)
		*len = job.len[0];
	return err;
}

static void
probe_tame(struct hsm_probe *probe)
{
	for (size_t i = 0; i < probe->count; i++) {
		struct hsm_probe_row *row = &probe->rows[i];

		job_text(row->name, sizeof(row->name));
		job_text(row->use, sizeof(row->use));
		job_text(row->result, sizeof(row->result));
		job_text(row->note, sizeof(row->note));
	}
	for (size_t i = 0; i < probe->quirk_count; i++)
		job_text(probe->quirks[i], sizeof(probe->quirks[i]));
}

enum hf_err
remote_probe(struct hsm *hsm, struct hsm_probe *out)
{
	struct hsm_job job = { .op = JOB_PROBE };
	struct hsm_probe probe = { .rows =
				       calloc(PROBE_ROWS, sizeof(*probe.rows)),
		.quirks = calloc(PROBE_QUIRKS, sizeof(*probe.quirks)) };
	struct hsm_info info;
	enum hf_err err = HF_ERR_NO_MEMORY;

	job_out(
	    &job, 0, (uint8_t *)probe.rows, PROBE_ROWS * sizeof(*probe.rows));
	job_out(&job, 1, (uint8_t *)probe.quirks,
	    PROBE_QUIRKS * sizeof(*probe.quirks));
	if (probe.rows != NULL && probe.quirks != NULL)
		err = job_do(hsm, &job);
	if (err != HF_OK) {
		hsm_probe_free(&probe);
		return err;
	}
	probe.count = job.len[0] / sizeof(*probe.rows);
	probe.quirk_count = job.len[1] / sizeof(*probe.quirks);
	probe_tame(&probe);
	hsm_info(hsm, &info);
	memcpy(probe.token, info.token, sizeof(probe.token));
	*out = probe;
	return HF_OK;
}
