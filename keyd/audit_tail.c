/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the chain of an existing file ends. From the line that the store
 * remembers on, every line is looked at; what came before it is left to
 * audit_verify, so that a large file costs nothing at start.
 */
#include "audit_log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/bytes.h"
#include "crypto.h"

/* The offset after the last newline; 0 when there is none. */
static enum hf_err
last_newline(int fd, off_t size, off_t *out)
{
	char buf[4096];
	off_t end = size;

	while (end > 0) {
		size_t len =
		    end < (off_t)sizeof(buf) ? (size_t)end : sizeof(buf);
		ssize_t n = pread(fd, buf, len, end - (off_t)len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n != (ssize_t)len)
			return HF_ERR_SYSTEM;

		const char *newline = memrchr(buf, '\n', len);

		if (newline != NULL) {
			*out = end - (off_t)len + (newline - buf) + 1;
			return HF_OK;
		}
		end -= (off_t)len;
	}
	*out = 0;
	return HF_OK;
}

/* The next whole line; false at the end, and for what is not ours. */
static bool
next_entry(
    struct audit_reader *r, struct hf_text *line, struct audit_entry *entry)
{
	if (audit_reader_next(r, line) != HF_OK || line->len == 0 ||
	    line->ptr[line->len - 1] != '\n')
		return false;
	return audit_entry_parse(
		   (struct hf_text){ line->ptr, line->len - 1 }, entry) == NULL;
}

/*
 * An offset, at the start of a line, from which the line numbered `sequence`
 * is not far. It halves the file; a file that is not in order ends that early
 * or misleads it, and is then found to be different.
 */
static off_t
near_line(struct audit_reader *r, int fd, off_t size, uint64_t sequence)
{
	off_t low = 0, high = size;
	struct hf_text line = { 0 };
	struct audit_entry entry;

	while (high - low > 4 * AUDIT_LONGEST) {
		off_t middle = low + (high - low) / 2;
		off_t start;

		audit_reader_start(r, fd, middle);
		if (audit_reader_next(r, &line) != HF_OK)
			break;
		start = r->offset;
		if (start >= high || !next_entry(r, &line, &entry))
			break;
		if (entry.seq <= sequence)
			low = start;
		else
			high = start;
	}
	return low;
}

/* A new file starts with a line that says why. */
static bool
may_start_file(const struct audit_entry *entry)
{
	return text_is(entry->type, "reopen") || text_is(entry->type, "damage");
}

/*
 * Walks from the remembered line, or from the start of a file that was begun
 * after it, to the end, or to the first line that is not what was written:
 * when the power goes, any part of what was not synced yet may be there.
 */
static enum hf_err
walk(struct audit_reader *r, const struct audit_head *remembered,
    bool from_start, struct audit_tail *out)
{
	struct audit_head head = { .checkpoint = remembered->checkpoint };
	struct audit_entry entry;
	struct hf_text line = { 0 };
	bool reached = false;
	off_t start;

	while ((start = r->offset) < out->size) {
		if (!next_entry(r, &line, &entry)) {
			out->found = AUDIT_DIFFERENT;
			break;
		}
		if (!reached && entry.seq < remembered->sequence) {
			from_start = false;
			continue;
		}
		if (reached ? entry.seq != head.sequence + 1 ||
			    memcmp(entry.prev, head.hash, 32) != 0
			    : entry.seq > remembered->sequence &&
			    remembered->sequence != 0 &&
			    !(from_start && may_start_file(&entry))) {
			out->found = AUDIT_DIFFERENT;
			break;
		}
		if (crypto_sha256(bytes_of_text(line), head.hash) != HF_OK)
			return HF_ERR_CRYPTO;
		if (entry.seq == remembered->sequence &&
		    memcmp(head.hash, remembered->hash, 32) != 0) {
			out->found = AUDIT_DIFFERENT;
			break;
		}
		reached = true;
		head.sequence = entry.seq;
		if (entry.is_checkpoint && entry.number > head.checkpoint)
			head.checkpoint = entry.number;
	}
	if (reached || remembered->sequence == 0) {
		out->found = reached ? AUDIT_CONTINUED : AUDIT_NEW;
		out->head = head;
		out->half = out->half && start == out->size;
		out->torn += (size_t)(out->size - start);
		out->size = start;
	}
	return HF_OK;
}

enum hf_err
audit_tail_find(
    int fd, const struct audit_head *remembered, struct audit_tail *out)
{
	struct stat st;
	enum hf_err err;

	*out = (struct audit_tail){ .head = *remembered };
	if (fstat(fd, &st) != 0)
		return HF_ERR_SYSTEM;
	err = last_newline(fd, st.st_size, &out->size);
	if (err != HF_OK)
		return err;
	out->torn = (size_t)(st.st_size - out->size);
	out->half = out->torn <= AUDIT_LONGEST;
	if (out->size == 0) {
		out->found =
		    remembered->sequence == 0 ? AUDIT_NEW : AUDIT_MISSING;
		return HF_OK;
	}

	struct audit_reader *r = malloc(sizeof(*r));

	if (r == NULL)
		return HF_ERR_NO_MEMORY;

	off_t near = near_line(r, fd, out->size, remembered->sequence);

	audit_reader_start(r, fd, near);
	out->found = AUDIT_SHORTER;
	err = walk(r, remembered, near == 0, out);
	free(r);
	return err;
}
