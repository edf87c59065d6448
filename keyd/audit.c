/* SPDX-License-Identifier: Apache-2.0 */
#include "audit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../lib/bytes.h"
#include "../lib/fd.h"
#include "audit_log.h"
#include "crypto.h"
#include "lock.h"
#include "log.h"

enum {
	FRAME = 256, /* what a line has around its members, at most */
	STAMP = 27,  /* 2026-01-02T03:04:05.123456Z */
};

time_t
audit_monotonic(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

enum hf_err
audit_hash_value(struct audit *audit, struct hf_bytes value, uint8_t out[32])
{
	enum hf_err err;

	(void)pthread_rwlock_rdlock(&audit->hash_lock);
	err = crypto_hmac(
	    audit->sha256, secret_view(&audit->hash_key), value, out);
	(void)pthread_rwlock_unlock(&audit->hash_lock);
	return err;
}

enum hf_err
audit_set_hash_key(struct audit *audit, const uint8_t key[32])
{
	AUTO_SECRET before = { 0 };
	struct secret fresh = { 0 };
	enum hf_err err = secret_copy(&fresh, bytes_of(key, 32));

	if (err != HF_OK)
		return err;
	(void)pthread_rwlock_wrlock(&audit->hash_lock);
	secret_move(&before, &audit->hash_key);
	secret_move(&audit->hash_key, &fresh);
	(void)pthread_rwlock_unlock(&audit->hash_lock);
	return HF_OK;
}

/* -- Appending -- */

static char *
put_text(char *p, const char *text, size_t len)
{
	memcpy(p, text, len);
	return p + len;
}

static char *
put_digits(char *p, unsigned v, unsigned digits)
{
	for (unsigned i = digits; i > 0; i--) {
		p[i - 1] = (char)('0' + v % 10);
		v /= 10;
	}
	return p + digits;
}

/* The calendar is asked once a second. */
static void
stamp_second(struct audit_stamp *stamp, time_t second)
{
	struct tm tm = { 0 };
	char *p = stamp->text;

	(void)gmtime_r(&second, &tm);
	p = put_digits(p, (unsigned)tm.tm_year + 1900, 4);
	*p++ = '-';
	p = put_digits(p, (unsigned)tm.tm_mon + 1, 2);
	*p++ = '-';
	p = put_digits(p, (unsigned)tm.tm_mday, 2);
	*p++ = 'T';
	p = put_digits(p, (unsigned)tm.tm_hour, 2);
	*p++ = ':';
	p = put_digits(p, (unsigned)tm.tm_min, 2);
	*p++ = ':';
	(void)put_digits(p, (unsigned)tm.tm_sec, 2);
	stamp->second = second;
}

static void
stamp_now(struct audit_stamp *stamp, char out[STAMP])
{
	struct timespec now;
	char *p;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	if (now.tv_sec != stamp->second)
		stamp_second(stamp, now.tv_sec);
	p = put_text(out, stamp->text, 19);
	*p++ = '.';
	p = put_digits(p, (unsigned)(now.tv_nsec / 1000), 6);
	*p = 'Z';
}

void
audit_wake(struct audit *a)
{
	if (a->awaited)
		return;
	a->awaited = true;
	if (a->wake != NULL)
		a->wake(a->wake_ctx);
}

void
audit_on_lines(struct audit *audit, void (*wake)(void *ctx), void *ctx)
{
	(void)pthread_mutex_lock(&audit->lock);
	audit->wake = wake;
	audit->wake_ctx = ctx;
	(void)pthread_mutex_unlock(&audit->lock);
}

#define PUT(p, literal) put_text((p), (literal), sizeof(literal) - 1)

/* What a line is made of. */
struct parts {
	char time[STAMP];
	bool cut;
	size_t len; /* of the members */
};

static enum hf_err
append_parts(struct audit *a, const struct parts *parts, const char *members)
{
	struct audit_buffer *in = &a->in;
	char *start = in->ptr + in->len, *p = start;
	uint8_t hash[32];

	if (parts->len == 0 || parts->len > AUDIT_MEMBERS_MAX ||
	    parts->len + FRAME > AUDIT_BUFFER - in->len)
		return HF_ERR_AUDIT;
	p = PUT(p, "{\"seq\":");
	p += audit_put_uint(p, a->sequence + 1);
	p = PUT(p, ",\"time\":\"");
	p = put_text(p, parts->time, STAMP);
	p = PUT(p, "\",");
	p = put_text(p, members, parts->len);
	if (parts->cut)
		p = PUT(p, ",\"cut\":true");
	p = PUT(p, ",\"prev\":\"");
	hex_encode(a->head, sizeof(a->head), p);
	p = PUT(p + 2 * sizeof(a->head), "\"}\n");

	size_t len = (size_t)(p - start);

	if (crypto_sha256(bytes_of(start, len), hash) != HF_OK)
		return HF_ERR_AUDIT; /* nothing was counted yet */
	memcpy(a->head, hash, sizeof(hash));
	in->len += len;
	in->last = ++a->sequence;
	audit_wake(a);
	return HF_OK;
}

enum hf_err
audit_append_locked(struct audit *a, const struct audit_line *line)
{
	struct parts parts = { .cut = line->full, .len = line->len };

	stamp_now(&a->stamp, parts.time);
	return append_parts(a, &parts, line->buf);
}

enum hf_err
audit_append(
    struct audit *audit, const struct audit_line *line, uint64_t *ticket)
{
	enum hf_err err = HF_ERR_AUDIT;

	(void)pthread_mutex_lock(&audit->lock);
	if (!audit->broken)
		err = audit_append_locked(audit, line);
	if (err == HF_OK)
		*ticket = audit->sequence;
	(void)pthread_mutex_unlock(&audit->lock);
	return err;
}

/* -- Collecting -- */

/* In the batch: struct parts, then the members. */
static void
collect(struct audit_batch *b, const struct audit_line *line)
{
	struct parts parts = { .cut = line->full, .len = line->len };
	char *p = b->buf + b->len;

	stamp_now(&b->stamp, parts.time);
	memcpy(p, &parts, sizeof(parts));
	memcpy(p + sizeof(parts), line->buf, line->len);
	b->len += sizeof(parts) + line->len;
}

enum hf_err
audit_collect(struct audit *audit, struct audit_batch *batch,
    const struct audit_line *line)
{
	size_t size = sizeof(struct parts) + line->len;
	enum hf_err err;

	if (audit->broken || line->len == 0)
		return HF_ERR_AUDIT;
	if (size > batch->cap - batch->len &&
	    (err = audit_commit(audit, batch, &batch->ticket)) != HF_OK)
		return err;
	if (size > batch->cap)
		return audit_append(audit, line, &batch->ticket);
	collect(batch, line);
	return HF_OK;
}

/* Also while the log is broken: what they tell of is done. */
static enum hf_err
commit_locked(struct audit *a, const struct audit_batch *b)
{
	enum hf_err err = HF_OK;
	struct parts parts;

	for (size_t at = 0; at < b->len && err == HF_OK;
	     at += sizeof(parts) + parts.len) {
		memcpy(&parts, b->buf + at, sizeof(parts));
		err = append_parts(a, &parts, b->buf + at + sizeof(parts));
	}
	return err;
}

enum hf_err
audit_commit(struct audit *audit, struct audit_batch *batch, uint64_t *ticket)
{
	if (batch->len > 0) {
		(void)pthread_mutex_lock(&audit->lock);
		if (commit_locked(audit, batch) != HF_OK)
			batch->failed = true;
		batch->ticket = audit->sequence;
		(void)pthread_mutex_unlock(&audit->lock);
		batch->len = 0;
	}
	if (batch->ticket > *ticket)
		*ticket = batch->ticket;
	return batch->failed ? HF_ERR_AUDIT : HF_OK;
}

void
audit_info(struct audit *audit, struct audit_info *out)
{
	(void)pthread_mutex_lock(&audit->lock);
	*out = (struct audit_info){
		.file = audit->path,
		.sequence = audit->sequence,
		.checkpoint = audit->checkpoint,
		.checkpoint_sequence = audit->checkpoint_line,
		.syncs = audit->syncs,
		.broken = audit->broken,
	};
	memcpy(out->head, audit->head, sizeof(out->head));
	if (audit->broken)
		memcpy(out->reason, audit->reason, sizeof(out->reason));
	(void)pthread_mutex_unlock(&audit->lock);
}

/* -- Opening and closing -- */

static void
audit_free(struct audit *a)
{
	fd_close(a->fd);
	(void)pthread_mutex_destroy(&a->keeping);
	(void)pthread_mutex_destroy(&a->lock);
	(void)pthread_cond_destroy(&a->change);
	(void)pthread_rwlock_destroy(&a->hash_lock);
	secret_free(&a->hash_key);
	free(a->in.ptr);
	free(a->out.ptr);
	free(a->path);
	free(a->public_key);
	free(a);
}

static char *
copy_text(const char *text)
{
	return text == NULL ? NULL : strdup(text);
}

static struct audit *
audit_new(
    const struct audit_settings *settings, const struct audit_backing *backing)
{
	struct audit *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	a->fd = -1;
	a->last_waiter = &a->waiters;
	(void)pthread_mutex_init(&a->keeping, NULL);
	lock_init(&a->lock);
	(void)pthread_cond_init(&a->change, NULL);
	(void)pthread_rwlock_init(&a->hash_lock, NULL);
	a->settings = *settings;
	a->backing = *backing;
	a->path = copy_text(settings->file);
	a->public_key = copy_text(settings->public_key);
	a->in.ptr = malloc(AUDIT_BUFFER);
	a->out.ptr = malloc(AUDIT_BUFFER);
	a->sha256 = hash_sha256();
	bytes_wipe(a->backing.hash_key, sizeof(a->backing.hash_key));
	if (a->path == NULL || a->in.ptr == NULL || a->out.ptr == NULL ||
	    (settings->public_key != NULL && a->public_key == NULL) ||
	    secret_copy(&a->hash_key, bytes_of(backing->hash_key, 32)) !=
		HF_OK) {
		audit_free(a);
		return NULL;
	}
	return a;
}

static void
note_damage(
    struct audit *a, const char *found, const char *name, uint64_t number)
{
	char buf[512];
	struct audit_line line;

	log_error("audit log %s is damaged: %s", a->path, found);
	audit_line_start(&line, buf, sizeof(buf), "damage");
	audit_line_text(&line, "found", text_of(found));
	audit_line_uint(&line, name, number);
	if (audit_append_locked(a, &line) != HF_OK)
		log_error("audit log %s: no room for a note", a->path);
}

/*
 * The file ends with the last line that is right when this succeeds. Half a
 * line, of which nobody can have had an answer, is cut off; more is kept beside
 * the log: it may be what somebody did to it.
 */
static enum hf_err
close_off(struct audit *a, const struct audit_tail *tail, struct hf_why *why)
{
	enum hf_err err = HF_OK;

	a->size = tail->size;
	if (tail->torn == 0)
		return HF_OK;
	if (!tail->half)
		err = audit_put_aside(a->path, a->fd, tail->size, tail->torn,
		    tail->head.sequence, why);
	if (err == HF_OK && ftruncate(a->fd, tail->size) != 0)
		err = hf_fail(why, HF_ERR_AUDIT, "audit log %s: %s", a->path,
		    strerror(errno));
	return err;
}

static void
note_start(struct audit *a, const struct audit_tail *tail,
    const struct audit_head *remembered)
{
	static const char *const damage[] = {
		[AUDIT_NEW] = NULL,
		[AUDIT_CONTINUED] = NULL,
		[AUDIT_MISSING] = "missing",
		[AUDIT_SHORTER] = "shorter",
		[AUDIT_DIFFERENT] = "different",
	};
	char buf[512];
	struct audit_line line;

	if (tail->torn > 0)
		note_damage(a, "torn", "bytes", tail->torn);
	if (damage[tail->found] != NULL)
		note_damage(
		    a, damage[tail->found], "expected", remembered->sequence);
	audit_line_start(&line, buf, sizeof(buf), "start");
	audit_line_text(&line, "version", TEXT(HOLDFAST_VERSION));
	audit_line_text(
	    &line, "file", tail->size == 0 ? TEXT("new") : TEXT("continued"));
	if (audit_append_locked(a, &line) != HF_OK)
		log_error("audit log %s: no room for a note", a->path);
}

static enum hf_err
take_up_chain(struct audit *a, struct hf_why *why)
{
	struct audit_head remembered = { 0 };
	struct audit_tail tail;
	struct stat st;
	enum hf_err err = a->backing.load(a->backing.ctx, &remembered);

	if (err != HF_OK)
		return hf_fail(why, err,
		    "audit log %s: the store does not tell its head", a->path);
	err = audit_tail_find(a->fd, &remembered, &tail);
	if (err != HF_OK)
		return hf_fail(
		    why, HF_ERR_AUDIT, "audit log %s cannot be read", a->path);
	err = close_off(a, &tail, why);
	if (err != HF_OK)
		return err;
	if (fstat(a->fd, &st) != 0)
		return hf_fail(why, HF_ERR_AUDIT, "audit log %s: %s", a->path,
		    strerror(errno));
	a->synced_size = a->size;
	a->device = st.st_dev;
	a->inode = st.st_ino;
	a->sequence = a->written = a->synced = tail.head.sequence;
	memcpy(a->head, tail.head.hash, sizeof(a->head));
	a->checkpoint = tail.head.checkpoint;
	a->checkpoint_line = remembered.sequence;
	a->checkpoint_time = audit_monotonic();
	note_start(a, &tail, &remembered);
	return HF_OK;
}

enum hf_err
audit_open(const struct audit_settings *settings,
    const struct audit_backing *backing, struct audit **out, struct hf_why *why)
{
	struct audit *a = audit_new(settings, backing);
	struct audit_head head;
	enum hf_err err;

	if (a == NULL)
		return HF_ERR_NO_MEMORY;
	err = audit_file_open(a->path, &a->fd, why);
	if (err == HF_OK)
		err = take_up_chain(a, why);
	if (err == HF_OK && audit_flush(a, a->sequence, true) != HF_OK)
		err = hf_fail(
		    why, HF_ERR_AUDIT, "audit log %s: %s", a->path, a->reason);
	if (err != HF_OK) {
		audit_free(a);
		return err;
	}
	head = (struct audit_head){ .sequence = a->sequence,
		.checkpoint = a->checkpoint };
	memcpy(head.hash, a->head, sizeof(head.hash));
	audit_save(a, &head);
	*out = a;
	return HF_OK;
}

void
audit_close(struct audit *audit)
{
	char buf[64];
	struct audit_line line;
	uint64_t ticket = 0;

	if (audit == NULL)
		return;
	(void)pthread_mutex_lock(&audit->lock);
	if (audit->broken)
		(void)audit_mend(audit); /* a last attempt */
	(void)pthread_mutex_unlock(&audit->lock);
	audit_line_start(&line, buf, sizeof(buf), "stop");
	if (audit_append(audit, &line, &ticket) != HF_OK ||
	    audit_flush(audit, ticket, true) != HF_OK)
		log_error("audit log %s: %s", audit->path, audit->reason);
	(void)pthread_mutex_lock(&audit->keeping);
	audit_checkpoint(audit);
	(void)pthread_mutex_unlock(&audit->keeping);
	audit_free(audit);
}
