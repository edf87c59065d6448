/* SPDX-License-Identifier: Apache-2.0 */
#include "hsm_job.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../lib/bytes.h"
#include "hsm_internal.h"

/*
 * A message is a head and the byte strings one after the other. Nothing is
 * copied on the daemon's side: they go from and to the caller's buffers.
 */

enum {
	BUFFER = 32768, /* bytes that most jobs fit in */
	TICK_MS = 1000,
};
static const uint32_t nothing = UINT32_MAX;

struct ask_head {
	uint32_t op;
	uint32_t budget_ms;
	uint32_t type; /* key_type's id; 0: none */
	uint32_t role;
	uint32_t hash; /* index; UINT32_MAX: none */
	uint32_t how_scheme, how_encoding, how_hash, how_prehashed;
	int32_t how_salt;
	uint32_t aes_mode, aes_encrypt, aes_bits;
	uint32_t reserved; /* where there would be a gap */
	uint64_t number;
	uint8_t id[HSM_ID], wrap_id[HSM_ID];
	uint32_t wrapped;
	uint32_t in[JOB_INS];
	uint32_t room[JOB_OUTS];
};

struct reply_head {
	uint32_t err;
	uint32_t found;
	uint32_t len[JOB_OUTS];
};

static uint32_t
hash_index(const struct hash_type *hash)
{
	return hash == NULL ? nothing : (uint32_t)(hash - hash_types);
}

static const struct hash_type *
hash_at(uint32_t index)
{
	return index < hash_types_count ? &hash_types[index] : NULL;
}

/* -- The daemon's side -- */

static struct iovec
piece(const void *ptr, size_t len)
{
	return (struct iovec){ (void *)(uintptr_t)ptr, len };
}

/* Waits for room; what is wrong shows when it is written to. */
static bool
room_wait(int fd, uint64_t limit)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	uint64_t now = clock_ms();

	if (now >= limit)
		return false;
	(void)poll(&p, 1, limit - now < TICK_MS ? (int)(limit - now) : TICK_MS);
	return true;
}

/* Some bytes of it are sent: what is left. */
static void
pieces_advance(struct msghdr *m, size_t sent)
{
	while (m->msg_iovlen > 0 && sent >= m->msg_iov->iov_len) {
		sent -= m->msg_iov->iov_len;
		m->msg_iov++;
		m->msg_iovlen--;
	}
	if (m->msg_iovlen > 0) {
		m->msg_iov->iov_base = (uint8_t *)m->msg_iov->iov_base + sent;
		m->msg_iov->iov_len -= sent;
	}
}

/*
 * All of it, until `limit`: the time-out of a blocking socket begins anew with
 * every bit that the other side takes. A peer that is gone is no signal.
 */
static bool
pieces_send(int fd, struct iovec *v, size_t count, uint64_t limit)
{
	struct msghdr m = { .msg_iov = v, .msg_iovlen = count };

	while (m.msg_iovlen > 0) {
		ssize_t n = sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n >= 0)
			pieces_advance(&m, (size_t)n);
		else if (errno == EAGAIN && !room_wait(fd, limit))
			return false;
		else if (errno != EAGAIN && errno != EINTR)
			return false;
	}
	return true;
}

static struct ask_head
head_of(const struct hsm_job *job, unsigned budget_ms)
{
	struct ask_head head = { .op = job->op,
		.budget_ms = budget_ms,
		.type = job->key.type == NULL ? 0 : job->key.type->id,
		.role = job->role,
		.hash = hash_index(job->hash),
		.how_scheme = job->how.scheme,
		.how_encoding = job->how.encoding,
		.how_hash = hash_index(job->how.hash),
		.how_prehashed = job->how.prehashed,
		.how_salt = job->how.salt,
		.aes_mode = job->aes.mode,
		.aes_encrypt = job->aes.encrypt,
		.aes_bits = job->aes.ctr_bits,
		.number = job->number,
		.wrapped = (uint32_t)job->key.wrapped.len };

	memcpy(head.id, job->key.id, HSM_ID);
	memcpy(head.wrap_id, job->key.wrap_id, HSM_ID);
	for (size_t i = 0; i < JOB_INS; i++)
		head.in[i] = (uint32_t)job->in[i].len;
	for (size_t i = 0; i < JOB_OUTS; i++)
		head.room[i] = (uint32_t)job->room[i];
	return head;
}

bool
job_send(int fd, const struct hsm_job *job, unsigned budget_ms, uint64_t limit)
{
	struct ask_head head = head_of(job, budget_ms);
	struct iovec v[2 + JOB_INS] = { piece(&head, sizeof(head)),
		piece(job->key.wrapped.ptr, job->key.wrapped.len) };

	for (size_t i = 0; i < JOB_INS; i++)
		v[2 + i] = piece(job->in[i].ptr, job->in[i].len);
	return pieces_send(fd, v, sizeof(v) / sizeof(v[0]), limit);
}

/*
 * The first bytes of a reply, or more of it. The socket has a short time-out,
 * so that a wait costs one system call and no clock is asked in the usual
 * case.
 */
static enum job_outcome
some_receive(int fd, struct iovec *v, size_t count, uint64_t limit, size_t *got)
{
	struct msghdr m = { .msg_iov = v, .msg_iovlen = count };

	for (;;) {
		ssize_t n = recvmsg(fd, &m, 0);

		if (n > 0) {
			*got = (size_t)n;
			return JOB_DONE;
		}
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			return JOB_LOST;
		if (clock_ms() >= limit)
			return JOB_LATE;
	}
}

static enum job_outcome
all_receive(int fd, uint8_t *out, size_t len, uint64_t limit)
{
	while (len > 0) {
		struct iovec v = { out, len };
		size_t n;
		enum job_outcome outcome = some_receive(fd, &v, 1, limit, &n);

		if (outcome != JOB_DONE)
			return outcome;
		out += n;
		len -= n;
		/* The socket's time-out is for nothing at all. */
		if (len > 0 && clock_ms() >= limit)
			return JOB_LATE;
	}
	return JOB_DONE;
}

/* What does not fit is not from a sane worker. */
static bool
reply_fits(struct reply_head *head, const struct hsm_job *job)
{
	for (size_t i = 0; i < JOB_OUTS; i++)
		if (head->len[i] > job->room[i])
			return false;
	if (head->found > 1 ||
	    (head->err != HF_OK &&
		strcmp(hf_err_name((enum hf_err)head->err), "unknown") == 0))
		return false;
	head->err = job_error(head->err);
	return true;
}

enum job_outcome
job_result(int fd, struct hsm_job *job, uint64_t limit, enum hf_err *err)
{
	struct reply_head head;
	struct iovec v[] = { { &head, sizeof(head) },
		{ job->out[0], job->room[0] } };
	size_t got;
	/* With one result its bytes come along with the head. */
	enum job_outcome outcome = some_receive(fd, v,
	    job->out[0] != NULL && job->out[1] == NULL ? 2 : 1, limit, &got);

	if (outcome == JOB_DONE && got < sizeof(head)) {
		outcome = all_receive(
		    fd, (uint8_t *)&head + got, sizeof(head) - got, limit);
		got = sizeof(head);
	}
	if (outcome != JOB_DONE)
		return outcome;
	got -= sizeof(head);
	if (!reply_fits(&head, job) || got > head.len[0])
		return JOB_LOST;
	if (head.len[0] > 0)
		outcome = all_receive(
		    fd, job->out[0] + got, head.len[0] - got, limit);
	if (outcome == JOB_DONE && head.len[1] > 0)
		outcome = all_receive(fd, job->out[1], head.len[1], limit);
	if (outcome != JOB_DONE)
		return outcome;
	job->len[0] = head.len[0];
	job->len[1] = head.len[1];
	job->found = head.found != 0;
	*err = (enum hf_err)head.err;
	return JOB_DONE;
}

/* -- The daemon's side, in memory that both have -- */

/* What lies there: the reply's head, the question's head, the inputs, the
 * outputs. */
enum { CELL_HEADS = sizeof(struct reply_head) + sizeof(struct ask_head) };

static size_t
job_bytes_in(const struct hsm_job *job)
{
	size_t sum = job->key.wrapped.len;

	for (size_t i = 0; i < JOB_INS; i++)
		sum += job->in[i].len;
	return sum;
}

size_t
job_size(const struct hsm_job *job)
{
	size_t sum = CELL_HEADS + job_bytes_in(job);

	for (size_t i = 0; i < JOB_OUTS; i++)
		sum += job->room[i];
	return sum;
}

static uint8_t *
put(uint8_t *to, struct hf_bytes from)
{
	if (from.len > 0)
		memcpy(to, from.ptr, from.len);
	return to + from.len;
}

void
job_write(uint8_t *cell, const struct hsm_job *job, unsigned budget_ms)
{
	struct ask_head head = head_of(job, budget_ms);
	uint8_t *p = put(cell + sizeof(struct reply_head),
	    bytes_of((const uint8_t *)&head, sizeof(head)));

	p = put(p, job->key.wrapped);
	for (size_t i = 0; i < JOB_INS; i++)
		p = put(p, job->in[i]);
}

bool
job_is(const uint8_t *cell, const struct hsm_job *job)
{
	const uint8_t *p = cell + CELL_HEADS + job->key.wrapped.len;
	struct ask_head was, head;

	memcpy(&was, cell + sizeof(struct reply_head), sizeof(was));
	head = head_of(job, was.budget_ms);
	if (memcmp(&was, &head, sizeof(head)) != 0)
		return false;
	for (size_t i = 0; i < JOB_INS; i++) {
		if (!bytes_equal(bytes_of(p, job->in[i].len), job->in[i]))
			return false;
		p += job->in[i].len;
	}
	return true;
}

bool
job_read(const uint8_t *cell, struct hsm_job *job, enum hf_err *err)
{
	const uint8_t *p = cell + CELL_HEADS + job_bytes_in(job);
	struct reply_head head;

	memcpy(&head, cell, sizeof(head)); /* once: it may change meanwhile */
	if (!reply_fits(&head, job))
		return false;
	for (size_t i = 0; i < JOB_OUTS; i++) {
		if (head.len[i] > 0)
			memcpy(job->out[i], p, head.len[i]);
		job->len[i] = head.len[i];
		p += job->room[i];
	}
	job->found = head.found != 0;
	*err = (enum hf_err)head.err;
	return true;
}

/* -- The worker's side -- */

/* A job and the memory it stands in. */
struct received {
	struct hsm_job job;
	struct secret large; /* what does not fit the buffer */
	size_t used;         /* of the buffer */
	unsigned budget_ms;
	enum hf_err err; /* it cannot be done */
};

static size_t
bytes_in(const struct ask_head *h)
{
	size_t sum = h->wrapped;

	for (size_t i = 0; i < JOB_INS; i++)
		sum += h->in[i];
	return sum;
}

static size_t
bytes_out(const struct ask_head *h)
{
	size_t sum = 0;

	for (size_t i = 0; i < JOB_OUTS; i++)
		sum += h->room[i];
	return sum;
}

/* Views into `data`: the inputs, then room for the outputs. */
static void
job_lay_out(struct hsm_job *job, const struct ask_head *h, uint8_t *data)
{
	*job = (struct hsm_job){ .op = (enum job_op)h->op,
		.key = { .type = key_type_by_id(h->type),
		    .wrapped = bytes_of(data, h->wrapped) },
		.role = (enum hsm_role)h->role,
		.hash = hash_at(h->hash),
		.how = { .scheme = (enum sign_scheme)h->how_scheme,
		    .encoding = (enum sign_encoding)h->how_encoding,
		    .hash = hash_at(h->how_hash),
		    .prehashed = h->how_prehashed != 0,
		    .salt = h->how_salt },
		.aes = { .mode = (enum aes_mode)h->aes_mode,
		    .encrypt = h->aes_encrypt != 0,
		    .ctr_bits = h->aes_bits },
		.number = h->number };
	memcpy(job->key.id, h->id, HSM_ID);
	memcpy(job->key.wrap_id, h->wrap_id, HSM_ID);
	data += h->wrapped;
	for (size_t i = 0; i < JOB_INS; i++) {
		job->in[i] = bytes_of(data, h->in[i]);
		data += h->in[i];
	}
	for (size_t i = 0; i < JOB_OUTS; i++) {
		job->out[i] = data;
		job->room[i] = h->room[i];
		data += h->room[i];
	}
}

static bool
worker_read(int fd, uint8_t *out, size_t len)
{
	while (len > 0) {
		ssize_t n = read(fd, out, len);

		if (n == 0 || (n < 0 && errno != EINTR))
			return false;
		out += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return true;
}

/* The connection stays in step. */
static bool
worker_skip(int fd, struct secret *buffer, size_t len)
{
	while (len > 0) {
		size_t n = len < buffer->len ? len : buffer->len;

		if (!worker_read(fd, buffer->ptr, n))
			return false;
		len -= n;
	}
	return true;
}

/* The next job, by way of a buffer that most fit in. */
static bool
worker_receive(int fd, struct secret *buffer, struct received *r)
{
	struct ask_head h;
	uint8_t *data = buffer->ptr + sizeof(h);
	size_t have = 0, in;

	while (have < sizeof(h)) {
		ssize_t n = read(fd, buffer->ptr + have, buffer->len - have);

		if (n == 0 || (n < 0 && errno != EINTR))
			return false;
		have += n > 0 ? (size_t)n : 0;
	}
	memcpy(&h, buffer->ptr, sizeof(h));
	in = bytes_in(&h);
	have -= sizeof(h);
	if (h.op >= JOB_OPS || have > in)
		return false;
	r->used = sizeof(h) + in + bytes_out(&h);
	if (r->used > buffer->len) {
		r->used = buffer->len;
		r->err = secret_alloc(&r->large, in + bytes_out(&h));
		if (r->err != HF_OK)
			return worker_skip(fd, buffer, in - have);
		memcpy(r->large.ptr, data, have);
		data = r->large.ptr;
	}
	if (!worker_read(fd, data + have, in - have))
		return false;
	job_lay_out(&r->job, &h, data);
	r->budget_ms = h.budget_ms;
	return true;
}

static bool
worker_answer(int fd, const struct hsm_job *job, enum hf_err err)
{
	struct reply_head head = { .err = err, .found = job->found };
	struct iovec v[1 + JOB_OUTS] = { piece(&head, sizeof(head)) };

	for (size_t i = 0; i < JOB_OUTS; i++) {
		head.len[i] = err == HF_OK ? (uint32_t)job->len[i] : 0;
		v[1 + i] = piece(job->out[i], head.len[i]);
	}
	return pieces_send(fd, v, sizeof(v) / sizeof(v[0]), UINT64_MAX);
}

void
job_serve(int fd, struct hsm *hsm)
{
	AUTO_SECRET buffer = { 0 };
	bool good = secret_alloc(&buffer, BUFFER) == HF_OK;

	while (good) {
		struct received r = { .err = HF_OK };

		good = worker_receive(fd, &buffer, &r);
		if (good && r.err == HF_OK) {
			r.err = job_perform(hsm, &r.job, r.budget_ms);
		}
		if (good)
			good = worker_answer(fd, &r.job, r.err);
		/* What a job left there: keys and plaintext. */
		bytes_wipe(buffer.ptr, r.used);
		secret_free(&r.large);
	}
	(void)shutdown(fd, SHUT_RDWR);
}

/* Sums of 32-bit lengths do not overflow. */
void
job_run(uint8_t *cell, size_t room, struct hsm *hsm)
{
	struct reply_head reply = { .err = HF_ERR_OUT_OF_BOUNDS };
	struct ask_head h;
	struct hsm_job job;

	memcpy(&h, cell + sizeof(reply), sizeof(h));
	if (h.op < JOB_OPS &&
	    CELL_HEADS + bytes_in(&h) + bytes_out(&h) <= room) {
		job_lay_out(&job, &h, cell + CELL_HEADS);
		reply.err = job_perform(hsm, &job, h.budget_ms);
		reply.found = job.found;
		for (size_t i = 0; i < JOB_OUTS && reply.err == HF_OK; i++)
			reply.len[i] = (uint32_t)job.len[i];
	}
	memcpy(cell, &reply, sizeof(reply));
}
