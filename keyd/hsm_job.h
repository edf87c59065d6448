/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_HSM_JOB_H
#define KEYD_HSM_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hsm.h"

/*
 * An operation of hsm.h as data, so that it can be done in another process
 * (hsm_process.h): what it is, what goes in, where the results go. A struct is
 * filled by hsm_remote.c, sent, done there by job_perform() with the functions
 * of hsm.h, and the results come back. Both sides are the same program, but the
 * daemon does not trust what the worker says: a vendor's library lives there.
 */
enum job_op {
	JOB_RANDOM,
	JOB_OBJECT_MAKE,
	JOB_OBJECT_IMPORT,
	JOB_OBJECT_FIND,
	JOB_OBJECT_DESTROY,
	JOB_AUDIT_PUBLIC,
	JOB_AUDIT_SIGN,
	JOB_SEAL,
	JOB_OPEN_SEALED,
	JOB_KEY_MAKE,
	JOB_KEY_IMPORT,
	JOB_KEY_DROP,
	JOB_ENCRYPT,
	JOB_DECRYPT,
	JOB_DECRYPT_OAEP,
	JOB_RSA_RAW,
	JOB_SIGN,
	JOB_HMAC,
	JOB_CMAC,
	JOB_AES,
	JOB_ECDH,
	JOB_PROBE,
	JOB_OPS
};

enum { JOB_INS = 3, JOB_OUTS = 2 };

struct hsm_job {
	enum job_op op;
	struct hsm_key key; /* role objects: only its id */
	enum hsm_role role;
	const struct hash_type *hash;
	struct sign_how how;
	struct aes_how aes; /* its IV is in[0] */
	uint64_t number;    /* a size */
	unsigned wait_ms; /* for its turn, or for an HSM that was lost; 0: up to
			     the deadline. Stays on the daemon's side. */
	struct hf_bytes in[JOB_INS];
	uint8_t *out[JOB_OUTS];
	size_t room[JOB_OUTS]; /* what they take */
	size_t len[JOB_OUTS];  /* result: what was written */
	bool found;            /* result */
};

struct job_row {
	const char *name; /* of the function of hsm.h */
	bool keyed;       /* works with a key of a type, or makes one */
	bool once;        /* not to be repeated when its outcome is unknown */
	bool slow;        /* making keys takes many times longer */
	/* A function per row: each calls another one. */
	enum hf_err (*run)(struct hsm *hsm, struct hsm_job *job);
};

/* The row of a job; `op` is one of them. */
const struct job_row *job_row(enum job_op op);

/* Does a job, here; it waits for its turn no longer than `budget_ms`. */
enum hf_err job_perform(
    struct hsm *hsm, struct hsm_job *job, unsigned budget_ms);

/* What a worker may say went wrong; HF_ERR_HSM_REFUSED for all else. */
enum hf_err job_error(uint32_t err);

/* A text of a worker: it ends, and moves no cursor. */
void job_text(char *text, size_t size);

/*
 * -- hsm_job_wire.c: a job as bytes. The daemon's side; false: the connection
 * is of no use any more. --
 */

/* `budget_ms`: how long it may wait on the other side, which has taken all of
 * it until `limit` (clock_ms()). */
bool job_send(
    int fd, const struct hsm_job *job, unsigned budget_ms, uint64_t limit);

enum job_outcome { JOB_DONE, JOB_LATE, JOB_LOST };

/* Waits until `limit` (clock_ms()). JOB_DONE: *err and the job's results. */
enum job_outcome job_result(
    int fd, struct hsm_job *job, uint64_t limit, enum hf_err *err);

/* -- The same in memory that both sides have (hsm_ring.h) -- */

/* Bytes that a job takes there, with its results. */
size_t job_size(const struct hsm_job *job);

/* job_size() bytes of room are there. */
void job_write(uint8_t *cell, const struct hsm_job *job, unsigned budget_ms);

/* Whether what was written there is this job. */
bool job_is(const uint8_t *cell, const struct hsm_job *job);

/* What came of it. False: that is no result of this job. */
bool job_read(const uint8_t *cell, struct hsm_job *job, enum hf_err *err);

/* -- The worker's side -- */

/* Serves the jobs that come in, until the connection ends. */
void job_serve(int fd, struct hsm *hsm);

/* Does the job that lies in `room` bytes, and leaves its results there. */
void job_run(uint8_t *cell, size_t room, struct hsm *hsm);

#endif
