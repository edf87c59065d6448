/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What keeps the log in order beside the requests: whether its file is where
 * it should be, a new file after a rename, checkpoints, the public key.
 */
#include "audit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/bytes.h"
#include "../lib/fd.h"
#include "audit_log.h"
#include "crypto.h"
#include "folder.h"
#include "log.h"

enum hf_err
audit_file_open(const char *path, int *fd, struct hf_why *why)
{
	/* O_NONBLOCK: a FIFO in its place must not make us wait. */
	int file = open(path,
	    O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY |
		O_NONBLOCK,
	    0600);
	struct stat st;

	if (file < 0)
		return hf_fail(why, HF_ERR_AUDIT, "audit log %s: %s", path,
		    strerror(errno));
	if (fstat(file, &st) != 0 || !S_ISREG(st.st_mode)) {
		(void)close(file);
		return hf_fail(why, HF_ERR_AUDIT,
		    "audit log %s is not a regular file", path);
	}
	if (flock(file, LOCK_EX | LOCK_NB) != 0) {
		(void)close(file);
		return hf_fail(why, HF_ERR_AUDIT,
		    "audit log %s: another process is writing it", path);
	}
	/* Its lines are synced as they come; that there is a file is not. */
	if (!folder_sync_name(path)) {
		int cause = errno;

		(void)close(file);
		return hf_fail(why, HF_ERR_AUDIT,
		    "the folder of audit log %s: %s", path, strerror(cause));
	}
	*fd = file;
	return HF_OK;
}

static bool
copy_range(int from, off_t at, size_t len, int to)
{
	char buf[8192];

	while (len > 0) {
		size_t part = len < sizeof(buf) ? len : sizeof(buf);
		ssize_t n = pread(from, buf, part, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || write(to, buf, (size_t)n) != n)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return fsync(to) == 0;
}

enum hf_err
audit_put_aside(const char *path, int fd, off_t from, size_t len,
    uint64_t sequence, struct hf_why *why)
{
	char aside[PATH_MAX];
	int n = snprintf(aside, sizeof(aside), "%s.torn-%llu", path,
	    (unsigned long long)sequence);
	int file, cause;
	bool ok;

	if (n < 0 || (size_t)n >= sizeof(aside))
		return HF_ERR_SYSTEM;
	errno = 0;
	file = open(
	    aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	ok = file >= 0 && copy_range(fd, from, len, file) &&
	    folder_sync_name(aside);
	cause = errno == 0 ? EIO : errno;
	fd_close(file);
	if (ok)
		return HF_OK;
	return hf_fail(why, HF_ERR_AUDIT,
	    "the torn end of the audit log cannot be kept in %s: %s", aside,
	    strerror(cause));
}

void
audit_save(struct audit *a, const struct audit_head *head)
{
	enum hf_err err = a->backing.save(a->backing.ctx, head);

	if (err != HF_OK && !a->save_failed)
		log_warning("audit log %s: its head could not be stored: %s",
		    a->path, hf_err_sentence(err));
	a->save_failed = err != HF_OK;
}

/* -- The file -- */

struct note {
	const char *type, *name, *value;
};

/*
 * The note is put behind what goes to the old file, so that it is the first
 * line of the new one. Both ways to the file are taken on return.
 */
static void
start_switch(struct audit *a, const struct note *note, struct audit_head *head)
{
	char buf[256];
	struct audit_line line;

	(void)pthread_mutex_lock(&a->lock);
	while (a->writing || a->syncing)
		(void)pthread_cond_wait(&a->change, &a->lock);
	a->writing = a->syncing = true;
	if (a->out.done == a->out.len) {
		struct audit_buffer empty = a->out;

		empty.len = empty.done = 0;
		a->out = a->in;
		a->in = empty;
	}
	audit_line_start(&line, buf, sizeof(buf), note->type);
	audit_line_text(&line, note->name, text_of(note->value));
	if (audit_append_locked(a, &line) != HF_OK)
		log_error("audit log %s: no room for a note", a->path);
	*head = (struct audit_head){ .sequence = a->sequence,
		.checkpoint = a->checkpoint };
	memcpy(head->hash, a->head, sizeof(head->hash));
	(void)pthread_mutex_unlock(&a->lock);
}

static bool
ends_whole(const struct audit_buffer *b)
{
	return b->done == 0 || b->ptr[b->done - 1] == '\n';
}

/*
 * The old file gets what was meant for it. If it takes no more, the rest goes
 * to the new one, unless half a line stands in the old one for ever.
 */
static enum hf_err
finish_old_file(struct audit *a)
{
	off_t size = a->size;
	int cause = 0;
	enum hf_err err = audit_write_out(a, &size, &cause);

	(void)pthread_mutex_lock(&a->lock);
	a->size = size;
	if (err == HF_OK && a->out.last > a->written)
		a->written = a->out.last;
	if (err != HF_OK)
		audit_break(a, "write", cause);
	(void)pthread_mutex_unlock(&a->lock);
	if (err != HF_OK && !ends_whole(&a->out))
		return err;
	if (audit_sync_out(a))
		return HF_OK;
	cause = errno;
	(void)pthread_mutex_lock(&a->lock);
	a->sync_lost = true;
	audit_break(a, "fdatasync", cause);
	(void)pthread_mutex_unlock(&a->lock);
	return HF_ERR_AUDIT;
}

/* Takes over `fd` when HF_OK. With `keeping` held. */
static enum hf_err
switch_file(
    struct audit *a, int fd, const struct stat *st, const struct note *note)
{
	struct audit_head head;
	enum hf_err err;

	start_switch(a, note, &head);
	err = finish_old_file(a);
	(void)pthread_mutex_lock(&a->lock);
	if (err == HF_OK) {
		(void)close(a->fd);
		a->fd = fd;
		a->size = a->synced_size = st->st_size;
		a->synced = a->written;
		a->sync_lost = a->path_lost = false;
		a->device = st->st_dev;
		a->inode = st->st_ino;
		/* What is left in `out` starts at the end of the new file. */
		memmove(a->out.ptr, a->out.ptr + a->out.done,
		    a->out.len - a->out.done);
		a->out.len -= a->out.done;
		a->out.done = 0;
	}
	a->writing = a->syncing = false;
	audit_changed(a);
	if (err == HF_OK && a->broken)
		err = audit_mend(a);
	(void)pthread_mutex_unlock(&a->lock);
	if (err == HF_OK)
		err = audit_flush(a, head.sequence, true);
	if (err == HF_OK)
		audit_save(a, &head);
	return err;
}

static enum hf_err
open_anew(struct audit *a, const struct note *note)
{
	struct hf_why why = { 0 };
	struct stat st;
	int fd = -1;
	enum hf_err err = audit_file_open(a->path, &fd, &why);

	if (err == HF_OK && fstat(fd, &st) != 0)
		err = HF_ERR_AUDIT;
	if (err == HF_OK)
		err = switch_file(a, fd, &st, note);
	if (err == HF_OK)
		return HF_OK;

	(void)pthread_mutex_lock(&a->lock);
	if (a->fd != fd) {
		fd_close(fd);
		a->path_lost = true;
		audit_break(a,
		    why.text[0] != '\0' ? why.text
					: "the file could not be replaced",
		    0);
	}
	(void)pthread_mutex_unlock(&a->lock);
	return err;
}

static bool
file_in_place(const struct audit *a)
{
	struct stat st;

	return stat(a->path, &st) == 0 && st.st_dev == a->device &&
	    st.st_ino == a->inode;
}

enum hf_err
audit_reopen(struct audit *audit)
{
	static const struct note asked = { "reopen", "reason", "asked" };
	enum hf_err err = HF_OK;

	(void)pthread_mutex_lock(&audit->keeping);
	if (!file_in_place(audit))
		err = open_anew(audit, &asked);
	(void)pthread_mutex_unlock(&audit->keeping);
	return err;
}

/* The file is in its place. Did somebody else write to it, or cut it? */
static void
check_size(struct audit *a)
{
	char buf[256];
	struct audit_line line;
	struct stat st;

	(void)pthread_mutex_lock(&a->lock);
	a->path_lost = false;
	if (!a->writing && !a->syncing && !a->broken &&
	    fstat(a->fd, &st) == 0 && st.st_size != a->size) {
		log_error("audit log %s was changed by somebody else", a->path);
		audit_line_start(&line, buf, sizeof(buf), "damage");
		audit_line_text(&line, "found", TEXT("resized"));
		audit_line_uint(&line, "expected", (uint64_t)a->size);
		audit_line_uint(&line, "bytes", (uint64_t)st.st_size);
		if (audit_append_locked(a, &line) == HF_OK)
			a->size = st.st_size;
		if (a->synced_size > a->size)
			a->synced_size = a->size;
	}
	(void)pthread_mutex_unlock(&a->lock);
}

static void
check_file(struct audit *a)
{
	static const struct note removed = { "damage", "found", "removed" };
	static const struct note renamed = { "reopen", "reason", "renamed" };
	struct stat st;

	if (file_in_place(a)) {
		check_size(a);
		return;
	}
	if (fstat(a->fd, &st) != 0 || st.st_nlink == 0) {
		log_error(
		    "audit log %s was removed; making a new one", a->path);
		(void)open_anew(a, &removed);
	} else {
		(void)open_anew(a, &renamed);
	}
}

/* -- Checkpoints -- */

/* For everybody to read, whatever the umask: it is there to be copied. */
static bool
write_file(const char *path, const char *text)
{
	size_t len = strlen(text);
	int fd = open(
	    path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	bool ok;

	if (fd < 0)
		return false;
	ok = write(fd, text, len) == (ssize_t)len && fchmod(fd, 0644) == 0 &&
	    fsync(fd) == 0;
	return close(fd) == 0 && ok;
}

enum hf_err
audit_publish_keys(const char *path, const struct hf_bytes *spkis, size_t count)
{
	enum { ONE = 2048 };
	char fresh[PATH_MAX], pem[AUDIT_KEYS * ONE];
	int n = snprintf(fresh, sizeof(fresh), "%s.new", path);
	size_t len = 0;
	enum hf_err err;

	if (n < 0 || (size_t)n >= sizeof(fresh) || count > AUDIT_KEYS)
		return HF_ERR_SYSTEM;
	for (size_t i = 0; i < count; i++) {
		if ((err = crypto_spki_pem(
			 spkis[i], pem + len, sizeof(pem) - len)) != HF_OK)
			return err;
		len += strlen(pem + len);
	}
	return write_file(fresh, pem) && rename(fresh, path) == 0 &&
		folder_sync_name(path)
	    ? HF_OK
	    : HF_ERR_SYSTEM;
}

/* The one that signs now first, then those that did before. */
static size_t
keys_to_publish(struct audit *a, struct hf_bytes now, uint8_t *known,
    size_t cap, struct hf_bytes out[AUDIT_KEYS])
{
	size_t count = 0, len = 0;

	out[count++] = now;
	if (a->backing.known_keys == NULL ||
	    a->backing.known_keys(a->backing.ctx, known, cap, &len) != HF_OK)
		return count;
	for (size_t at = 0; at + 4 <= len && count < AUDIT_KEYS;) {
		size_t n = get_u32(known + at);
		struct hf_bytes one = bytes_of(known + at + 4, n);

		if (n > len - at - 4)
			break;
		if (!bytes_equal(one, now))
			out[count++] = one;
		at += 4 + n;
	}
	return count;
}

static void
publish_key(struct audit *a, struct hf_bytes spki)
{
	uint8_t known[AUDIT_KNOWN];
	struct hf_bytes all[AUDIT_KEYS];
	size_t count = keys_to_publish(a, spki, known, sizeof(known), all);

	if (a->public_key != NULL &&
	    audit_publish_keys(a->public_key, all, count) != HF_OK)
		log_warning("the public key of the audit log could not be "
			    "written to %s",
		    a->public_key);
}

/* key_id is that of the key that signs now; false when there is none yet. */
static bool
know_key(struct audit *a)
{
	uint8_t spki[SPKI_MAX], id[32];
	size_t len = 0;

	if (a->backing.public_key(a->backing.ctx, spki, sizeof(spki), &len) !=
		HF_OK ||
	    len == 0 || len > sizeof(spki) ||
	    crypto_sha256(bytes_of(spki, len), id) != HF_OK)
		return false;
	if (a->have_key && memcmp(id, a->key_id, sizeof(id)) == 0)
		return true;
	publish_key(a, bytes_of(spki, len));
	memcpy(a->key_id, id, sizeof(id));
	a->have_key = true;
	return true;
}

void
audit_keys_changed(struct audit *audit)
{
	(void)pthread_mutex_lock(&audit->keeping);
	if (audit->backing.learn_keys != NULL)
		audit->backing.learn_keys(audit->backing.ctx);
	audit->have_key = false;
	(void)know_key(audit);
	(void)pthread_mutex_unlock(&audit->keeping);
}

static enum hf_err
sign(struct audit *a, const struct audit_head *covers, uint64_t number,
    uint8_t signature[64])
{
	uint8_t bytes[AUDIT_SIGNED], digest[32];
	enum hf_err err;

	audit_signed_bytes(number, covers->sequence, covers->hash, bytes);
	err = crypto_sha256(bytes_of(bytes, sizeof(bytes)), digest);
	if (err != HF_OK)
		return err;
	return a->backing.sign(a->backing.ctx, digest, signature);
}

static void
line_hex(
    struct audit_line *line, const char *name, const uint8_t *in, size_t len)
{
	char hex[2 * 64 + 1];

	hex_encode(in, len, hex);
	audit_line_text(line, name, (struct hf_text){ hex, 2 * len });
}

static enum hf_err
append_checkpoint(
    struct audit *a, const struct audit_line *line, struct audit_head *head)
{
	enum hf_err err = HF_ERR_AUDIT;

	(void)pthread_mutex_lock(&a->lock);
	if (!a->broken)
		err = audit_append_locked(a, line);
	if (err == HF_OK) {
		/* Its number is used up, whatever becomes of the line. */
		head->checkpoint = ++a->checkpoint;
		head->sequence = a->checkpoint_line = a->sequence;
		memcpy(head->hash, a->head, sizeof(head->hash));
		a->checkpoint_time = audit_monotonic();
	}
	(void)pthread_mutex_unlock(&a->lock);
	return err;
}

/* The chain as it is, or false when there is nothing new in it. */
static bool
to_cover(struct audit *a, struct audit_head *out)
{
	bool fresh;

	(void)pthread_mutex_lock(&a->lock);
	fresh = !a->broken && a->sequence > a->checkpoint_line;
	out->sequence = a->sequence;
	memcpy(out->hash, a->head, sizeof(out->hash));
	out->checkpoint = a->checkpoint;
	(void)pthread_mutex_unlock(&a->lock);
	return fresh;
}

void
audit_checkpoint(struct audit *a)
{
	struct audit_head covers, head;
	struct audit_line line;
	uint8_t signature[64];
	char buf[1024];
	enum hf_err err;

	if (!to_cover(a, &covers) || !know_key(a))
		return;
	err = sign(a, &covers, covers.checkpoint + 1, signature);
	if (err != HF_OK) {
		if (!a->sign_failed)
			log_warning("audit log %s: no checkpoint for now: %s",
			    a->path, hf_err_sentence(err));
		a->sign_failed = true;
		return;
	}
	a->sign_failed = false;
	audit_line_start(&line, buf, sizeof(buf), "checkpoint");
	audit_line_uint(&line, "checkpoint", covers.checkpoint + 1);
	audit_line_uint(&line, "covers", covers.sequence);
	line_hex(&line, "hash", covers.hash, sizeof(covers.hash));
	line_hex(&line, "key", a->key_id, sizeof(a->key_id));
	line_hex(&line, "signature", signature, sizeof(signature));
	if (append_checkpoint(a, &line, &head) == HF_OK &&
	    audit_flush(a, head.sequence, true) == HF_OK)
		audit_save(a, &head);
}

static bool
checkpoint_due(struct audit *a)
{
	const struct audit_settings *s = &a->settings;
	uint64_t lines;
	time_t age;

	(void)pthread_mutex_lock(&a->lock);
	lines = a->sequence - a->checkpoint_line;
	age = audit_monotonic() - a->checkpoint_time;
	(void)pthread_mutex_unlock(&a->lock);
	return (s->checkpoint_lines != 0 && lines >= s->checkpoint_lines) ||
	    (s->checkpoint_seconds != 0 && lines > 0 &&
		age >= (time_t)s->checkpoint_seconds);
}

/* With `keeping` held: when to look again. */
static unsigned
tick_again(struct audit *a)
{
	enum { RETRY = 1, RETRY_SIGN = 5 };
	const struct audit_settings *s = &a->settings;
	unsigned again = 0;
	time_t age;

	(void)pthread_mutex_lock(&a->lock);
	age = audit_monotonic() - a->checkpoint_time;
	if (a->broken)
		again = RETRY;
	else if (a->sequence > a->checkpoint_line && s->checkpoint_seconds != 0)
		again = age >= (time_t)s->checkpoint_seconds
		    ? RETRY_SIGN
		    : s->checkpoint_seconds - (unsigned)age;
	(void)pthread_mutex_unlock(&a->lock);
	return again;
}

unsigned
audit_tick(struct audit *audit)
{
	uint64_t last;
	unsigned again;

	(void)pthread_mutex_lock(&audit->keeping);
	check_file(audit);
	(void)pthread_mutex_lock(&audit->lock);
	audit->awaited = false;
	if (audit->broken)
		(void)audit_mend(audit); /* it says so itself */
	last = audit->sequence;
	(void)pthread_mutex_unlock(&audit->lock);
	/* So that a power cut costs a second of lines at most. */
	if (audit_flush(audit, last, true) == HF_OK) {
		if (!audit->have_key)
			(void)know_key(audit);
		if (checkpoint_due(audit))
			audit_checkpoint(audit);
	}
	again = tick_again(audit);
	(void)pthread_mutex_unlock(&audit->keeping);
	return again;
}
