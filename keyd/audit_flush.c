/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the buffer to the disk: whoever needs a flush writes and syncs for all
 * who wait, and mends a log that broke.
 */
#include "audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../lib/bytes.h"
#include "audit_log.h"
#include "log.h"
#include "waiting.h"

/* -- Breaking -- */

void
audit_break(struct audit *a, const char *what, int cause)
{
	if (!a->broken) {
		a->late_from = (a->sync_lost ? a->synced : a->written) + 1;
		(void)snprintf(a->reason, sizeof(a->reason), "%s%s%s", what,
		    cause == 0 ? "" : ": ", cause == 0 ? "" : strerror(cause));
		log_error("audit log %s: %s; operations are refused until it "
			  "can be written",
		    a->path, a->reason);
	}
	a->broken = true;
	audit_wake(a);
	a->failures++;
	a->tried = audit_monotonic();
}

/* -- Waiting for others -- */

static bool
is_flushed(const struct audit *a, uint64_t ticket, bool to_disk)
{
	return a->written >= ticket && (!to_disk || a->synced >= ticket);
}

/* Whether it would find something to do, or to report. */
static bool
can_go_on(const struct audit *a, const struct audit_waiter *w)
{
	if (a->broken)
		return true;
	return w->to_disk ? !a->syncing : !a->writing;
}

/*
 * Takes out those who have what they waited for and, first of all, one who can
 * go on: it does so for the rest. When the log breaks, all hear of it.
 */
static struct audit_waiter *
take_called(struct audit *a)
{
	struct audit_waiter **link = &a->waiters, *called = NULL, *lead = NULL;

	while (*link != NULL) {
		struct audit_waiter *w = *link;

		w->done = !a->broken && is_flushed(a, w->ticket, w->to_disk);
		if (!w->done && !a->broken &&
		    (lead != NULL || !can_go_on(a, w))) {
			link = &w->next;
			continue;
		}
		*link = w->next;
		if (!w->done && lead == NULL) {
			lead = w;
			continue;
		}
		w->next = called;
		called = w;
	}
	a->last_waiter = link;
	if (lead != NULL) {
		lead->next = called;
		called = lead;
	}
	return called;
}

void
audit_changed(struct audit *a)
{
	struct audit_waiter *called = take_called(a);

	(void)pthread_cond_broadcast(&a->change);
	if (called == NULL)
		return;
	/* They are many, and would only wait for the lock. */
	(void)pthread_mutex_unlock(&a->lock);
	while (called != NULL) {
		struct audit_waiter *w = called;

		called = w->next; /* it is gone once its owner runs */
		(void)sem_post(&w->called);
	}
	(void)pthread_mutex_lock(&a->lock);
}

/* With `lock` held, given up meanwhile. */
static void
wait_for_others(struct audit *a, struct audit_waiter *w)
{
	w->next = NULL;
	w->done = false;
	*a->last_waiter = w;
	a->last_waiter = &w->next;
	(void)pthread_mutex_unlock(&a->lock);
	while (sem_wait(&w->called) != 0 && errno == EINTR)
		;
	if (!w->done)
		(void)pthread_mutex_lock(&a->lock);
}

/* -- Writing and syncing -- */

/* Up to the last newline among the first `done` bytes of the buffer. */
static size_t
whole_lines(const struct audit_buffer *b, size_t done)
{
	const char *newline = done == 0 ? NULL : memrchr(b->ptr, '\n', done);

	return newline == NULL ? 0 : (size_t)(newline - b->ptr) + 1;
}

enum hf_err
audit_write_out(struct audit *a, off_t *size, int *cause)
{
	struct audit_buffer *out = &a->out;
	off_t base = *size - (off_t)out->done;

	while (out->done < out->len) {
		ssize_t n =
		    write(a->fd, out->ptr + out->done, out->len - out->done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			size_t whole = whole_lines(out, out->done);

			*cause = n == 0 ? ENOSPC : errno;
			if (ftruncate(a->fd, base + (off_t)whole) == 0)
				out->done = whole;
			*size = base + (off_t)out->done;
			return HF_ERR_AUDIT;
		}
		out->done += (size_t)n;
	}
	*size = base + (off_t)out->done;
	return HF_OK;
}

static void
swap_buffers(struct audit *a)
{
	struct audit_buffer empty = a->out;

	if (a->out.done < a->out.len)
		return; /* the rest of a failed write goes first */
	empty.len = empty.done = 0;
	a->out = a->in;
	a->in = empty;
}

enum hf_err
audit_write(struct audit *a)
{
	off_t size = a->size;
	int cause = 0;
	enum hf_err err;

	a->writing = true;
	swap_buffers(a);
	(void)pthread_mutex_unlock(&a->lock);
	err = audit_write_out(a, &size, &cause);
	(void)pthread_mutex_lock(&a->lock);
	a->writing = false;
	a->size = size;
	if (err == HF_OK && a->out.last > a->written)
		a->written = a->out.last;
	if (err != HF_OK)
		audit_break(a, "write", cause);
	audit_changed(a);
	return err;
}

/* As audit_write, for the disk. */
static enum hf_err
sync_written(struct audit *a)
{
	uint64_t upto = a->written;
	off_t size = a->size;
	int rc, cause;

	a->syncing = true;
	(void)pthread_mutex_unlock(&a->lock);
	rc = fdatasync(a->fd);
	cause = errno;
	(void)pthread_mutex_lock(&a->lock);
	a->syncing = false;
	if (rc == 0) {
		a->synced = upto;
		a->synced_size = size;
		a->syncs++;
	} else {
		a->sync_lost = true;
		audit_break(a, "fdatasync", cause);
	}
	audit_changed(a);
	return rc == 0 ? HF_OK : HF_ERR_AUDIT;
}

/*
 * After a failed fdatasync the kernel counts pages as clean that never reached
 * the disk. They are still in its memory, so they are read and written once
 * more, and the next fdatasync means what it says again.
 */
static bool
rewrite(int fd, off_t from, off_t to)
{
	char buf[16384];

	while (from < to) {
		size_t len = to - from < (off_t)sizeof(buf)
		    ? (size_t)(to - from)
		    : sizeof(buf);
		ssize_t n = pread(fd, buf, len, from);

		if (n <= 0 || pwrite(fd, buf, (size_t)n, from) != n)
			return false;
		from += n;
	}
	return true;
}

static bool
rewrite_unsynced(int fd, off_t from, off_t to)
{
	int flags = fcntl(fd, F_GETFL);
	bool ok;

	/* Linux appends with pwrite(2) too where O_APPEND is set. */
	if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_APPEND) != 0)
		return false;
	ok = rewrite(fd, from, to) && fdatasync(fd) == 0;
	return fcntl(fd, F_SETFL, flags) == 0 && ok;
}

bool
audit_sync_out(const struct audit *a)
{
	if (a->sync_lost)
		return rewrite_unsynced(a->fd, a->synced_size, a->size);
	return fdatasync(a->fd) == 0;
}

static enum hf_err
mend_sync(struct audit *a)
{
	bool ok;

	a->writing = a->syncing = true;
	(void)pthread_mutex_unlock(&a->lock);
	ok = audit_sync_out(a);
	(void)pthread_mutex_lock(&a->lock);
	a->writing = a->syncing = false;
	if (ok) {
		a->sync_lost = false;
		a->synced = a->written;
		a->synced_size = a->size;
	} else {
		audit_break(a, "fdatasync", EIO);
	}
	audit_changed(a);
	return ok ? HF_OK : HF_ERR_AUDIT;
}

/* -- Mending -- */

static void
note_recovery(struct audit *a, uint64_t late_to)
{
	char buf[512];
	struct audit_line line;

	audit_line_start(&line, buf, sizeof(buf), "recovered");
	audit_line_text(&line, "reason", text_of(a->reason));
	if (a->late_from <= late_to) {
		audit_line_uint(&line, "from", a->late_from);
		audit_line_uint(&line, "to", late_to);
	}
	if (audit_append_locked(a, &line) != HF_OK)
		log_error("audit log %s: no room for a note", a->path);
	log_info("audit log %s: it can be written again", a->path);
}

static void
wait_for_file(struct audit *a)
{
	while (a->writing || a->syncing)
		(void)pthread_cond_wait(&a->change, &a->lock);
}

enum hf_err
audit_mend(struct audit *a)
{
	enum hf_err err = HF_OK;

	wait_for_file(a);
	a->tried = audit_monotonic();
	if (!a->broken)
		return HF_OK; /* somebody else did it */
	if (a->path_lost)
		return HF_ERR_AUDIT;
	if (a->sync_lost)
		err = mend_sync(a);
	while (err == HF_OK && a->written < a->sequence) {
		wait_for_file(a);
		err = audit_write(a);
	}
	if (err != HF_OK || !a->broken)
		return err;
	/* The file was somebody else's meanwhile: it broke once more. */
	if (a->sync_lost || a->path_lost)
		return HF_ERR_AUDIT;
	a->broken = false;
	note_recovery(a, a->sequence);
	return HF_OK;
}

/* -- Flushing -- */

/*
 * One step towards being written, or synced; false to give up. While the disk
 * is at work, what is to be there is left for the next sync: one write and one
 * sync are for all who wait.
 */
static bool
flush_step(struct audit *a, struct audit_waiter *w)
{
	if (a->broken) {
		if (a->tried == audit_monotonic())
			return false;
		return audit_mend(a) == HF_OK;
	}
	if (a->written < w->ticket && !a->writing &&
	    !(w->to_disk && a->syncing))
		return audit_write(a) == HF_OK;
	if (a->written >= w->ticket && !a->syncing)
		return sync_written(a) == HF_OK;
	wait_for_others(a, w);
	return true;
}

/* With `lock` held, and on return only where the waiter is not `done`. */
static enum hf_err
flush(struct audit *a, struct audit_waiter *w)
{
	uint64_t failures = a->failures;

	if (w->ticket > a->sequence)
		w->ticket = a->sequence;
	while (!w->done && !is_flushed(a, w->ticket, w->to_disk))
		if (a->failures != failures || !flush_step(a, w))
			return HF_ERR_AUDIT;
	return HF_OK;
}

enum hf_err
audit_flush(struct audit *audit, uint64_t ticket, bool sync)
{
	struct audit_waiter w = { .ticket = ticket,
		.to_disk = sync || audit->settings.sync_every };
	enum hf_err err;

	if (sem_init(&w.called, 0, 0) != 0)
		return HF_ERR_AUDIT;
	if (w.to_disk)
		waiting_begin();
	(void)pthread_mutex_lock(&audit->lock);
	err = flush(audit, &w);
	if (!w.done)
		(void)pthread_mutex_unlock(&audit->lock);
	if (w.to_disk)
		waiting_end();
	(void)sem_destroy(&w.called);
	return err;
}
