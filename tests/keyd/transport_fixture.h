/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_KEYD_TRANSPORT_FIXTURE_H
#define TESTS_KEYD_TRANSPORT_FIXTURE_H

/*
 * For the tests of the transport: doubles of pipeline.h and identity.h, a
 * daemon's worth of transport in a private folder, and a client that speaks
 * raw frames. The double of the pipeline answers what it is sent, but for
 *
 *	defer             the same, from a worker
 *	sleep:MS          the same, from a worker, MS later
 *	linger linger:MS  the id of the thread that took its time for it
 *	large:N  dlarge:N a reply of N bytes; d: from a worker
 *	audit daudit      a reply with an audit line; d: from a worker
 *	thread            the id of the thread that runs it
 *	who               what the identity says
 *	nomem             no reply at all
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../keyd/audit.h"
#include "../../keyd/pipeline.h"
#include "../../keyd/request_slot.h"
#include "../../keyd/transport.h"
#include "../../lib/bytes.h"
#include "../../lib/frame.h"
#include "../fake/must.h"

static struct {
	_Atomic unsigned runs, commits, flushes, syncs, drops;
	_Atomic bool commit_fails, flush_fails;
} seen;

static const char audit_failed[] = "the audit failed";
enum { TICKET = 7 };

static inline void
sleep_ms(unsigned ms)
{
	struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };

	(void)nanosleep(&t, NULL);
}

/* -- Doubles -- */

static inline unsigned
number_after(struct hf_text message, const char *word)
{
	char digits[16] = "";
	size_t skip = strlen(word);

	if (message.len - skip < sizeof(digits))
		memcpy(digits, message.ptr + skip, message.len - skip);
	return (unsigned)strtoul(digits, NULL, 10);
}

static inline enum hf_err
answer(struct request *rq, const void *ptr, size_t len)
{
	uint8_t *copy = arena_alloc(rq->arena, len);

	if (copy == NULL)
		return HF_ERR_NO_MEMORY;
	if (len > 0)
		memcpy(copy, ptr, len);
	rq->reply = bytes_of(copy, len);
	return HF_OK;
}

static inline enum hf_err
answer_large(struct request *rq, size_t len)
{
	uint8_t *reply = arena_alloc(rq->arena, len);

	if (reply == NULL)
		return HF_ERR_NO_MEMORY;
	memset(reply, 'x', len);
	rq->reply = bytes_of(reply, len);
	return HF_OK;
}

static inline bool
is_deferred(struct hf_text m)
{
	return text_starts(m, TEXT("defer")) ||
	    text_starts(m, TEXT("sleep:")) || text_starts(m, TEXT("dlarge:")) ||
	    text_starts(m, TEXT("daudit"));
}

/* Whether it has to wait for its place. */
static inline bool
is_put_off(struct request *rq, struct hf_text m)
{
	if (rq->may_block || !text_starts(m, TEXT("linger")))
		return is_deferred(m) && !rq->may_block;
	if (rq->linger == NULL)
		return true;
	if (*rq->linger == LINGER_OFFERED)
		*rq->linger = LINGER_WANTED;
	return *rq->linger != LINGER_NOW;
}

enum hf_err
pipeline_run(struct request *rq)
{
	struct hf_text m = { (const char *)rq->message.ptr, rq->message.len };
	char text[256];

	atomic_fetch_add(&seen.runs, 1);
	if (rq->slot != NULL && rq->slot->grant == NULL)
		rq->slot->grant = (struct policy_grant *)(void *)&seen;
	if (is_put_off(rq, m)) {
		rq->grant = (struct policy_grant *)(void *)&seen;
		return HF_ERR_DEFER;
	}
	if (rq->may_block && (rq->grant == NULL || rq->slot != NULL))
		return HF_ERR_SYSTEM; /* what the first run left is lost */
	if (text_is(m, "nomem"))
		return HF_ERR_NO_MEMORY;
	if (text_starts(m, TEXT("sleep:")))
		sleep_ms(number_after(m, "sleep:"));
	if (text_starts(m, TEXT("large:")))
		return answer_large(rq, number_after(m, "large:"));
	if (text_starts(m, TEXT("dlarge:")))
		return answer_large(rq, number_after(m, "dlarge:"));
	if (text_starts(m, TEXT("audit")) || text_starts(m, TEXT("daudit"))) {
		if (rq->lines != NULL && !text_starts(m, TEXT("audit-sync")))
			rq->lines->buf[rq->lines->len++] = '.';
		else
			rq->audit_ticket = TICKET;
		rq->audit_sync = text_starts(m, TEXT("audit-sync"));
	}
	if (text_starts(m, TEXT("linger:")))
		sleep_ms(number_after(m, "linger:"));
	if (text_starts(m, TEXT("linger-audit")))
		rq->audit_ticket = TICKET;
	if (text_is(m, "thread") || text_starts(m, TEXT("linger"))) {
		(void)snprintf(text, sizeof(text), "%d", gettid());
		return answer(rq, text, strlen(text));
	}
	if (text_is(m, "who"))
		return answer(rq, rq->who->label, strlen(rq->who->label));
	return answer(rq, m.ptr, m.len);
}

/* Nothing here waits for an HSM. */
enum hf_err
pipeline_resume(struct request *rq)
{
	(void)rq;
	abort();
}

size_t
pipeline_audit_failed(uint8_t *buf, size_t cap)
{
	must(cap >= 512);
	memcpy(buf, audit_failed, strlen(audit_failed));
	return strlen(audit_failed);
}

enum hf_err
pipeline_flush(struct server *server, uint64_t ticket, bool sync)
{
	(void)server;
	must(ticket == TICKET);
	atomic_fetch_add(&seen.flushes, 1);
	if (sync)
		atomic_fetch_add(&seen.syncs, 1);
	return atomic_load(&seen.flush_fails) ? HF_ERR_AUDIT : HF_OK;
}

enum hf_err
pipeline_commit(
    struct server *server, struct audit_batch *lines, uint64_t *ticket)
{
	(void)server;
	must(lines->len > 0);
	lines->len = 0;
	*ticket = TICKET;
	atomic_fetch_add(&seen.commits, 1);
	return atomic_load(&seen.commit_fails) ? HF_ERR_AUDIT : HF_OK;
}

void
pipeline_connection_closed(struct request_slot *slot)
{
	must(slot->grant != NULL);
	slot->grant = NULL;
	atomic_fetch_add(&seen.drops, 1);
}

void
pipeline_abandon(struct request *rq, enum hf_err result)
{
	must(result != HF_OK);
	if (rq->grant != NULL)
		atomic_fetch_add(&seen.drops, 1);
	rq->grant = NULL;
}

enum hf_err
identity_of_socket(struct identities *known, int fd, struct identity **out)
{
	struct identity *id = calloc(1, sizeof(*id));
	struct ucred cred;
	socklen_t len = sizeof(cred);

	must(id != NULL && known != NULL);
	must(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0);
	id->local = true;
	id->uid = cred.uid;
	(void)snprintf(id->label, sizeof(id->label), "uid=%u", cred.uid);
	*out = id;
	return HF_OK;
}

enum hf_err
identity_of_cert(const char *name, const char *subject, const char sha256[65],
    const char *address, struct identity **out)
{
	struct identity *id = calloc(1, sizeof(*id));

	must(id != NULL);
	must(strlen(sha256) == 64);
	memcpy(id->cert_sha256, sha256, 65);
	(void)snprintf(id->label, sizeof(id->label),
	    "cert=%.40s %.40s at %.20s", name, subject, address);
	*out = id;
	return HF_OK;
}

void
identity_free(struct identity *id)
{
	free(id);
}

/* -- A transport in a folder of its own -- */

struct fixture {
	char folder[64];
	char socket[80];
	struct transport_settings settings;
	struct transport *transport;
};

static inline int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	memset(&seen, 0, sizeof(seen));
	(void)strcpy(f->folder, "/tmp/transport-test-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	(void)snprintf(f->socket, sizeof(f->socket), "%s/keyd.sock", f->folder);
	f->settings.socket = f->socket;
	f->settings.socket_mode = 0600;
	f->settings.io_threads = 2;
	f->settings.workers = 2;
	*state = f;
	return 0;
}

static inline void
remove_file(const struct fixture *f, const char *name)
{
	char path[200];

	(void)snprintf(path, sizeof(path), "%s/%s", f->folder, name);
	(void)unlink(path);
}

static inline int
tear_down(void **state)
{
	static const char *const files[] = { "keyd.sock", "ca.pem", "ca.key",
		"server.pem", "server.key", "client.pem", "client.key",
		"other.pem", "other.key", "san.pem", "san.key", "stranger.pem",
		"stranger.key", "stranger-ca.pem", "stranger-ca.key" };
	struct fixture *f = *state;

	transport_close(f->transport);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		remove_file(f, files[i]);
	assert_int_equal(rmdir(f->folder), 0);
	free(f);
	return 0;
}

static inline enum hf_err
try_open(const struct fixture *f, struct transport **t)
{
	struct hf_why why = { "" };
	enum hf_err err = transport_open(&f->settings, NULL, t, &why);

	assert_true(err == HF_OK || why.text[0] != '\0');
	return err;
}

static inline void
start(struct fixture *f)
{
	struct hf_why why = { "" };
	enum hf_err err =
	    transport_open(&f->settings, NULL, &f->transport, &why);

	if (err != HF_OK)
		fail_msg("%s: %s", hf_err_name(err), why.text);
	assert_int_equal(transport_start(f->transport), HF_OK);
}

static inline struct transport_stats
stats(const struct fixture *f)
{
	struct transport_stats s;

	transport_stats(f->transport, &s);
	return s;
}

/* Waits for what another thread does: 5 s at most. */
#define wait_until(condition)                                    \
	do {                                                     \
		for (int i_ = 0; i_ < 500 && !(condition); i_++) \
			sleep_ms(10);                            \
		assert_true(condition);                          \
	} while (0)

/* -- A client of raw frames -- */

static inline void
dial_with(const struct fixture *f, int fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const struct timeval patience = { .tv_sec = 10 };

	assert_true(fd >= 0);
	(void)strcpy(address.sun_path, f->socket);
	assert_int_equal(
	    connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	(void)setsockopt(
	    fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	(void)setsockopt(
	    fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
}

static inline int
dial(const struct fixture *f)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	dial_with(f, fd);
	return fd;
}

static inline void
send_all(int fd, const void *ptr, size_t len)
{
	const uint8_t *p = ptr;

	while (len > 0) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		assert_true(n > 0);
		p += n;
		len -= (size_t)n;
	}
}

static inline void
recv_all(int fd, void *ptr, size_t len)
{
	uint8_t *p = ptr;

	while (len > 0) {
		ssize_t n = recv(fd, p, len, 0);

		assert_true(n > 0);
		p += n;
		len -= (size_t)n;
	}
}

static inline void
greet(int fd)
{
	uint8_t hello[FRAME_HELLO];

	frame_hello(FRAME_REQ, hello);
	send_all(fd, hello, sizeof(hello));
	recv_all(fd, hello, sizeof(hello));
	assert_true(frame_hello_ok(FRAME_REP, hello));
}

static inline int
connected(const struct fixture *f)
{
	int fd = dial(f);

	greet(fd);
	return fd;
}

/* Header, id with its top bit, and body, into `out`; returns their size. */
static inline size_t
put_frame(uint8_t *out, uint32_t id, const void *body, size_t len)
{
	frame_header(FRAME_IPC, FRAME_ID + len, out);
	put_u32(out + 9, id | 0x80000000U);
	memcpy(out + 13, body, len);
	return 13 + len;
}

static inline void
ask_bytes(int fd, uint32_t id, const void *body, size_t len)
{
	uint8_t *frame = malloc(13 + len);

	assert_non_null(frame);
	send_all(fd, frame, put_frame(frame, id, body, len));
	free(frame);
}

static inline void
ask(int fd, uint32_t id, const char *text)
{
	ask_bytes(fd, id, text, strlen(text));
}

struct reply {
	uint32_t id;
	size_t len;
	uint8_t *body; /* with a NUL behind it */
};

static inline struct reply
hear(int fd)
{
	uint8_t head[13];
	struct reply r;

	recv_all(fd, head, sizeof(head));
	assert_int_equal(head[0], 1);
	assert_true(get_u64(head + 1) >= FRAME_ID);
	r.len = (size_t)get_u64(head + 1) - FRAME_ID;
	r.id = get_u32(head + 9) & 0x7fffffffU;
	r.body = malloc(r.len + 1);
	assert_non_null(r.body);
	recv_all(fd, r.body, r.len);
	r.body[r.len] = '\0';
	return r;
}

static inline void
hear_text(int fd, uint32_t id, const char *text)
{
	struct reply r = hear(fd);

	assert_int_equal(r.id, id);
	assert_string_equal((const char *)r.body, text);
	free(r.body);
}

/* An error reply carries the error's name as text. */
static inline void
hear_error(int fd, uint32_t id, enum hf_err err)
{
	struct reply r = hear(fd);

	assert_int_equal(r.id, id);
	assert_non_null(
	    memmem(r.body, r.len, hf_err_name(err), strlen(hf_err_name(err))));
	free(r.body);
}

/* The daemon hung up; what it sent before is read over. */
static inline bool
is_hung_up(int fd)
{
	uint8_t buf[4096];
	ssize_t n;

	do
		n = recv(fd, buf, sizeof(buf), 0);
	while (n > 0);
	return n == 0 || errno == ECONNRESET;
}

#endif
