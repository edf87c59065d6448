/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves a log, or finds the first thing that does not fit. Nothing in the
 * files is trusted but what hashes and signatures say.
 */
#include "audit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/bytes.h"
#include "audit_log.h"
#include "crypto.h"

/*
 * A checkpoint covers a line a little before itself: while the HSM signs,
 * other lines are written. So many hashes are remembered.
 */
enum { REMEMBERED = 1 << 20 };

struct walk {
	const struct hf_bytes *spkis;
	size_t keys;
	uint8_t key_ids[AUDIT_KEYS][32];
	const struct audit_head *expect;
	struct audit_report *report;
	struct hf_why *why;
	const char *file;
	uint64_t line;         /* in the file, from 1 */
	uint8_t (*hashes)[32]; /* of line n at n % REMEMBERED */
	bool met_expected;
};

static enum hf_err __attribute__((format(printf, 2, 3)))
broken(const struct walk *w, const char *fmt, ...)
{
	char reason[160];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	return hf_fail(w->why, HF_ERR_AUDIT_BROKEN, "%s:%" PRIu64 ": %s",
	    w->file, w->line, reason);
}

static enum hf_err
check_first(struct walk *w, const struct audit_entry *entry)
{
	static const uint8_t zeros[32];

	if (entry->seq == 1 && memcmp(entry->prev, zeros, 32) != 0)
		return broken(w, "the first line of all has a line before it");
	if (entry->seq == 0)
		return broken(w, "sequence numbers start at 1");
	w->report->first = entry->seq;
	memcpy(w->report->first_prev, entry->prev, 32);
	return HF_OK;
}

static enum hf_err
check_chain(struct walk *w, const struct audit_entry *entry)
{
	const struct audit_report *r = w->report;

	if (r->lines == 0)
		return check_first(w, entry);
	if (entry->seq <= r->last)
		return broken(w,
		    "sequence number %" PRIu64 " comes after %" PRIu64
		    ": a line is there twice or in the wrong place",
		    entry->seq, r->last);
	if (entry->seq != r->last + 1)
		return broken(w,
		    "sequence number %" PRIu64 " comes after %" PRIu64
		    ": lines are missing",
		    entry->seq, r->last);
	if (memcmp(entry->prev, r->head, 32) != 0)
		return broken(
		    w, "the line before it is not the one that was written");
	return HF_OK;
}

/* The hash that the chain has for a line, or NULL when it is not here. */
static const uint8_t *
chain_hash(const struct walk *w, uint64_t seq)
{
	const struct audit_report *r = w->report;

	if (seq + 1 == r->first)
		return r->first_prev;
	if (seq < r->first || seq > r->last || r->last - seq >= REMEMBERED)
		return NULL;
	return w->hashes[seq % REMEMBERED];
}

static enum hf_err
check_signature(struct walk *w, const struct audit_entry *entry)
{
	uint8_t bytes[AUDIT_SIGNED];
	size_t i = 0;
	enum hf_err err;

	while (i < w->keys && memcmp(entry->key, w->key_ids[i], 32) != 0)
		i++;
	if (i == w->keys)
		return broken(w, "the checkpoint was signed with another key");
	audit_signed_bytes(entry->number, entry->covers, entry->hash, bytes);
	err = crypto_verify_p256(w->spkis[i], bytes_of(bytes, sizeof(bytes)),
	    bytes_of(entry->signature, sizeof(entry->signature)));
	if (err == HF_ERR_SIGNATURE_WRONG || err == HF_ERR_BAD_SIGNATURE)
		return broken(w, "the checkpoint's signature is wrong");
	return err == HF_OK
	    ? HF_OK
	    : hf_fail(w->why, err, "the public key: %s", hf_err_sentence(err));
}

/* Before the line is counted. */
static enum hf_err
check_checkpoint(struct walk *w, const struct audit_entry *entry)
{
	struct audit_report *r = w->report;
	const uint8_t *hash;
	enum hf_err err = check_signature(w, entry);

	if (err != HF_OK)
		return err;
	if (entry->covers >= entry->seq)
		return broken(w, "the checkpoint covers what comes after it");
	if (r->checkpoints > 0 && entry->number <= r->last_checkpoint)
		return broken(w, "checkpoint %" PRIu64 " comes after %" PRIu64,
		    entry->number, r->last_checkpoint);
	hash = chain_hash(w, entry->covers);
	/*
	 * It may cover a line of an older file that is not given. Then its
	 * signature says nothing about the lines here.
	 */
	if (hash == NULL && entry->covers >= r->first)
		return broken(w, "the checkpoint covers a line too far back");
	if (hash != NULL && memcmp(entry->hash, hash, 32) != 0)
		return broken(w,
		    "the checkpoint was made over another line %" PRIu64,
		    entry->covers);
	if (hash != NULL)
		r->unsigned_lines = entry->seq - 1 - entry->covers;
	r->checkpoints++;
	r->last_checkpoint = entry->number;
	return HF_OK;
}

static enum hf_err
check_expected(struct walk *w, const struct audit_entry *entry)
{
	const struct audit_head *expect = w->expect;

	if (expect == NULL || entry->seq != expect->sequence)
		return HF_OK;
	if (memcmp(w->report->head, expect->hash, 32) != 0)
		return broken(w, "the line is not the one that is remembered");
	w->met_expected = true;
	return HF_OK;
}

static void
copy_time(struct audit_report *r, struct hf_text time)
{
	size_t len = time.len < sizeof(r->last_time) - 1
	    ? time.len
	    : sizeof(r->last_time) - 1;

	memcpy(r->last_time, time.ptr, len);
	r->last_time[len] = '\0';
}

/* `line` has its newline. */
static enum hf_err
check_line(struct walk *w, struct hf_text line)
{
	struct audit_report *r = w->report;
	struct audit_entry entry;
	const char *wrong;
	enum hf_err err;

	if (line.ptr[line.len - 1] != '\n')
		return broken(w, "the line is not complete");
	wrong = audit_entry_parse(
	    (struct hf_text){ line.ptr, line.len - 1 }, &entry);
	if (wrong != NULL)
		return broken(w, "%s", wrong);
	err = check_chain(w, &entry);
	if (err == HF_OK && entry.is_checkpoint)
		err = check_checkpoint(w, &entry);
	if (err == HF_OK)
		err = crypto_sha256(bytes_of_text(line), r->head);
	if (err != HF_OK)
		return err;
	memcpy(w->hashes[entry.seq % REMEMBERED], r->head, 32);
	r->lines++;
	r->last = entry.seq;
	copy_time(r, entry.time);
	if (!entry.is_checkpoint)
		r->unsigned_lines++;
	if (text_is(entry.type, "damage"))
		r->notes++;
	return check_expected(w, &entry);
}

static enum hf_err
check_lines(struct walk *w, int fd)
{
	struct audit_reader *reader = malloc(sizeof(*reader));
	struct hf_text line = { 0 };
	enum hf_err err;

	if (reader == NULL)
		return HF_ERR_NO_MEMORY;
	audit_reader_start(reader, fd, 0);
	for (w->line = 1;; w->line++) {
		err = audit_reader_next(reader, &line);
		if (err == HF_ERR_TOO_LARGE)
			err = broken(w, "the line is too long");
		else if (err != HF_OK)
			err = hf_fail(
			    w->why, err, "%s: %s", w->file, strerror(errno));
		if (err != HF_OK || line.len == 0)
			break;
		err = check_line(w, line);
		if (err != HF_OK)
			break;
	}
	free(reader);
	return err;
}

static enum hf_err
check_file(struct walk *w, const char *file)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	enum hf_err err;

	w->file = file;
	if (fd < 0)
		return hf_fail(
		    w->why, HF_ERR_SYSTEM, "%s: %s", file, strerror(errno));
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		err = hf_fail(
		    w->why, HF_ERR_SYSTEM, "%s is not a regular file", file);
	else
		err = check_lines(w, fd);
	(void)close(fd);
	return err;
}

/* The chain is whole as far as it goes; does it go far enough? */
static enum hf_err
check_end(struct walk *w)
{
	const struct audit_head *expect = w->expect;
	const struct audit_report *r = w->report;
	const uint8_t *hash;

	if (expect == NULL || expect->sequence == 0 || w->met_expected)
		return HF_OK;
	hash = r->lines == 0 ? NULL : chain_hash(w, expect->sequence);
	if (hash != NULL && memcmp(hash, expect->hash, 32) == 0)
		return HF_OK;
	if (r->lines > 0 && r->first > expect->sequence && hash == NULL)
		return HF_OK; /* that line is in an older file */
	return broken(w,
	    "the log ends with line %" PRIu64 ", but %" PRIu64
	    " is remembered: its end was cut off",
	    r->last, expect->sequence);
}

enum hf_err
audit_verify(const char *const *files, size_t count,
    const struct hf_bytes *spkis, size_t keys, const struct audit_head *expect,
    struct audit_report *out, struct hf_why *why)
{
	struct walk w = { .spkis = spkis,
		.keys = keys,
		.expect = expect,
		.report = out,
		.why = why,
		.file = count > 0 ? files[0] : "" };
	enum hf_err err = HF_OK;

	*out = (struct audit_report){ 0 };
	if (keys > AUDIT_KEYS)
		return HF_ERR_OUT_OF_BOUNDS;
	for (size_t i = 0; err == HF_OK && i < keys; i++)
		err = crypto_sha256(spkis[i], w.key_ids[i]);
	if (err != HF_OK)
		return err;
	w.hashes = calloc(REMEMBERED, sizeof(*w.hashes));
	if (w.hashes == NULL)
		return HF_ERR_NO_MEMORY;
	for (size_t i = 0; err == HF_OK && i < count; i++)
		err = check_file(&w, files[i]);
	if (err == HF_OK)
		err = check_end(&w);
	free(w.hashes);
	return err;
}
