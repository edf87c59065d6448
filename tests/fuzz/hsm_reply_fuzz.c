/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the process of the HSM's library, which is not to be trusted, may
 * answer to the daemon: any bytes as the reply to each function of
 * hsm_remote.h, through a socket or in memory that both have, and as news of
 * its state. The first byte says which, the second how much is asked for.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../keyd/crypto.h"
#include "../../keyd/hsm_internal.h"
#include "../../keyd/hsm_remote.h"
#include "../../lib/bytes.h"
#include "../fake/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* In the place of those of hsm_process.c (-Wl,--wrap). */
enum hf_err __wrap_hsm_process_do(struct hsm_process *p, struct hsm_job *job);
void __wrap_hsm_process_info(struct hsm_process *p, struct hsm_info *out);

enum {
	REPLY_MAX = 1 << 16,
	REPLY_HEAD = 16, /* as hsm_job.c has it */
	IN_MEMORY = 128, /* of the first byte */
	WRAPPED = 4096,
	SPKI = 1024,
};

/* What answers; no process. */
struct hsm_process {
	bool in_memory;
	struct hf_bytes reply;
};

static void
must_end(const char *text, size_t size)
{
	must(memchr(text, '\0', size) != NULL);
	must(strchr(text, '\x1b') == NULL && strchr(text, '\n') == NULL);
}

static bool
by_socket(const struct hsm_process *p, struct hsm_job *job, enum hf_err *err)
{
	enum job_outcome outcome;
	int ends[2];

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	must(write(ends[1], p->reply.ptr, p->reply.len) ==
	    (ssize_t)p->reply.len);
	(void)shutdown(ends[1], SHUT_WR);
	outcome = job_result(ends[0], job, 0, err);
	(void)close(ends[0]);
	(void)close(ends[1]);
	return outcome == JOB_DONE;
}

/* The rest of the reply lies where the results do, and goes on from the start,
 * over what the daemon wrote. */
static bool
in_memory(const struct hsm_process *p, struct hsm_job *job, enum hf_err *err)
{
	size_t size = job_size(job), room = 0, len = p->reply.len;
	uint8_t *cell = malloc(size);
	bool good;

	must(cell != NULL);
	job_write(cell, job, 1);
	must(job_is(cell, job));
	for (size_t i = 0; i < JOB_OUTS; i++)
		room += job->room[i];
	for (size_t i = 0; i < len; i++)
		if (i < REPLY_HEAD)
			cell[i] = p->reply.ptr[i];
		else
			cell[(size - room + i - REPLY_HEAD) % size] =
			    p->reply.ptr[i];
	(void)job_is(cell, job);
	good = len >= REPLY_HEAD && job_read(cell, job, err);
	free(cell);
	return good;
}

enum hf_err
__wrap_hsm_process_do(struct hsm_process *p, struct hsm_job *job)
{
	enum hf_err err = HF_OK;

	if (!(p->in_memory ? in_memory : by_socket)(p, job, &err))
		return HF_ERR_HSM_UNAVAILABLE;
	for (size_t i = 0; i < JOB_OUTS; i++)
		must(job->len[i] <= job->room[i]);
	must(job_error(err) == err);
	return err;
}

void
__wrap_hsm_process_info(struct hsm_process *p, struct hsm_info *out)
{
	(void)p;
	memset(out, 0, sizeof(*out));
}

/* -- Each function, with room for just as much as it may write -- */

static const uint8_t id[HSM_ID] = "an id of an HSM";
static const struct hf_bytes none = { NULL, 0 };

static uint8_t *
room_of(size_t size)
{
	uint8_t *room = malloc(size == 0 ? 1 : size);

	must(room != NULL);
	return room;
}

static struct hsm_key
key_of(enum key_type_id type)
{
	struct hsm_key key = { .type = key_type_by_id(type) };

	memcpy(key.id, id, HSM_ID);
	return key;
}

static void
ask_random(struct hsm *hsm, size_t size)
{
	uint8_t *out = room_of(size);

	(void)!remote_random(hsm, out, size, 0);
	free(out);
}

static void
ask_find(struct hsm *hsm, size_t size)
{
	bool found = false;

	(void)size;
	(void)!remote_object_find(hsm, ROLE_MASTER, id, &found);
}

static void
ask_audit(struct hsm *hsm, size_t size)
{
	uint8_t *spki = room_of(SPKI), *signature = room_of(64);
	size_t len = 0;

	(void)size;
	if (remote_audit_public(hsm, id, spki, &len) == HF_OK)
		must(len <= SPKI);
	(void)!remote_audit_sign(hsm, id, spki, signature);
	free(spki);
	free(signature);
}

static void
ask_seal(struct hsm *hsm, size_t size)
{
	uint8_t *in = room_of(size), *out = room_of(size + HSM_SEAL_EXTRA);

	memset(in, 0, size);
	(void)!remote_seal(hsm, id, none, bytes_of(in, size), out);
	free(in);
	free(out);
}

static void
ask_open_sealed(struct hsm *hsm, size_t size)
{
	uint8_t *in = room_of(size);
	AUTO_SECRET out = { 0 };

	memset(in, 0, size);
	if (remote_open_sealed(hsm, id, none, bytes_of(in, size), &out) ==
	    HF_OK)
		must(out.len == size - HSM_SEAL_EXTRA);
	free(in);
}

static void
ask_make(struct hsm *hsm, size_t size)
{
	uint8_t *wrapped = room_of(WRAPPED), *spki = room_of(SPKI);
	const struct key_type *type = key_type_by_id(KEY_ECDSA_P256);
	size_t wrapped_len = 0, spki_len = 0;

	if (remote_key_make(hsm, type, size, id, id, wrapped, &wrapped_len,
		spki, &spki_len) == HF_OK)
		must(wrapped_len <= WRAPPED && spki_len <= SPKI);
	if (remote_key_import(
		hsm, type, none, none, id, id, wrapped, &wrapped_len) == HF_OK)
		must(wrapped_len <= WRAPPED);
	free(wrapped);
	free(spki);
}

static void
ask_aead(struct hsm *hsm, size_t size)
{
	struct hsm_key key = key_of(KEY_AES256_GCM96);
	uint8_t *out = room_of(size);

	(void)!remote_aead(hsm, JOB_DECRYPT, &key, none, none, none, out, size);
	free(out);
}

static void
ask_use(struct hsm *hsm, size_t size)
{
	struct hsm_key key = key_of(KEY_RSA_2048);
	uint8_t *out = room_of(size);
	size_t len = 0;

	if (remote_key_use(hsm, JOB_DECRYPT_OAEP, &key, &hash_types[0], none,
		out, size, &len) == HF_OK)
		must(len <= size);
	free(out);
}

static void
ask_sign(struct hsm *hsm, size_t size)
{
	struct hsm_key key = key_of(KEY_ECDSA_P256);
	const struct sign_how how = { .prehashed = true };
	uint8_t *out = room_of(CRYPTO_SIGNATURE_MAX);
	size_t len = 0;

	(void)size;
	if (remote_sign(hsm, &key, &how, none, out, &len) == HF_OK)
		must(len <= CRYPTO_SIGNATURE_MAX);
	free(out);
}

static void
ask_aes(struct hsm *hsm, size_t size)
{
	struct hsm_key key = key_of(KEY_AES256_GCM96);
	const struct aes_how how = { .encrypt = true };
	uint8_t *in = room_of(size), *out = room_of(size + AES_EXTRA);
	size_t len = 0;

	memset(in, 0, size);
	if (remote_aes(hsm, &key, &how, bytes_of(in, size), out, &len) == HF_OK)
		must(len <= size + AES_EXTRA);
	free(in);
	free(out);
}

static void
ask_probe(struct hsm *hsm, size_t size)
{
	struct hsm_probe probe = { 0 };

	(void)size;
	if (remote_probe(hsm, &probe) != HF_OK)
		return;
	for (size_t i = 0; i < probe.count; i++) {
		const struct hsm_probe_row *row = &probe.rows[i];

		must_end(row->name, sizeof(row->name));
		must_end(row->use, sizeof(row->use));
		must_end(row->result, sizeof(row->result));
		must_end(row->note, sizeof(row->note));
	}
	for (size_t i = 0; i < probe.quirk_count; i++)
		must_end(probe.quirks[i], sizeof(probe.quirks[i]));
	hsm_probe_free(&probe);
}

static void
hear_news(struct hsm *hsm, size_t size)
{
	struct worker_news news = { 0 };
	const struct hsm_info *info = &news.info;

	(void)size;
	memcpy(&news, hsm->process->reply.ptr,
	    hsm->process->reply.len < sizeof(news) ? hsm->process->reply.len
						   : sizeof(news));
	worker_news_tame(&news);
	must((size_t)info->state <= HSM_STATE_LAST);
	must(job_error(news.err) == (enum hf_err)news.err);
	must_end(news.why.text, sizeof(news.why.text));
	must_end(info->reason, sizeof(info->reason));
	must_end(info->module, sizeof(info->module));
	must_end(info->token, sizeof(info->token));
	must_end(info->serial, sizeof(info->serial));
	must_end(info->manufacturer, sizeof(info->manufacturer));
	must_end(info->model, sizeof(info->model));
}

/* Functions, because each asks for something else. */
static void (*const asks[])(struct hsm *hsm, size_t size) = { ask_random,
	ask_find, ask_audit, ask_seal, ask_open_sealed, ask_make, ask_aead,
	ask_use, ask_sign, ask_aes, ask_probe, hear_news };

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hsm_process process = { 0 };
	struct hsm hsm = { .process = &process };

	if (size < 2 || size > REPLY_MAX)
		return 0;
	process.in_memory = (data[0] & IN_MEMORY) != 0;
	process.reply = bytes_of(data + 2, size - 2);
	asks[data[0] % IN_MEMORY % (sizeof(asks) / sizeof(asks[0]))](
	    &hsm, data[1]);
	return 0;
}
