/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_AUDIT_H
#define KEYD_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <holdfast/bytes.h>
#include <holdfast/err.h>

/*
 * The audit log: one JSON object a line (RFC 8259), chained.
 *
 *	{"seq":12,"time":"2026-01-02T03:04:05.123456Z","type":"...",
 *	 <members>,"prev":"<64 hex digits>"}
 *
 * in this order and without white space between. "seq" goes up by one a line;
 * "prev" is the SHA-256 of the line before, newline included (64 zeros in the
 * first line of all). Every N lines or T seconds a checkpoint line carries a
 * signature by a key in the HSM over the chain so far, and a counter that the
 * store keeps too, so that a cut tail shows. A line is on its way to the disk
 * before the reply leaves (audit_flush), and on the disk where `sync` is asked
 * for. What cannot be written is not done: the callers refuse the operation.
 *
 * Threads append to one buffer, I/O threads once a turn; whoever flushes first
 * writes for all.
 *
 * Types that the log itself writes:
 *	start       the daemon opened the log; "file": "new" or "continued"
 *	reopen      goes on in a new file; "reason": "asked" or "renamed"
 *	damage      what was found is not what was written; "found":
 *	            "missing", "shorter", "different", "torn", "removed",
 *	            "resized" or "error"
 *	recovered   lines "from" to "to" were written late: their callers
 *	            were told that the log failed, though the lines are here
 *	checkpoint  "checkpoint": its number, "covers": sequence number of
 *	            the last line signed, "hash": SHA-256 of that line,
 *	            "key": SHA-256 of the SubjectPublicKeyInfo, "signature":
 *	            r || s of ECDSA P-256 with SHA-256 (FIPS 186-5) over
 *	            "holdfast-audit-checkpoint-v1", a zero byte, number and
 *	            sequence number (8 bytes each, big-endian), and the 32
 *	            bytes of the hash
 *	stop        the daemon closed the log
 */
struct audit;

enum {
	AUDIT_LONGEST = 64 << 10,                /* bytes with the newline */
	AUDIT_MEMBERS_MAX = AUDIT_LONGEST - 512, /* what a caller may fill */
	AUDIT_BUFFER = 1 << 20, /* waiting for the disk; beyond: HF_ERR_AUDIT */
};

struct audit_settings {
	const char *file;
	const char *public_key; /* written at start, PEM, for verification */
	bool sync_every;        /* every flush waits for the disk */
	unsigned checkpoint_lines;
	unsigned checkpoint_seconds;
};

/*
 * How a checkpoint is signed and how the head is remembered; the daemon puts
 * HSM and store here. `sign` may fail while the HSM is away: the checkpoint is
 * then made later. load gives all zero when there is nothing yet.
 */
struct audit_head {
	uint64_t sequence;   /* of the last line known */
	uint8_t hash[32];    /* of that line */
	uint64_t checkpoint; /* number of the last checkpoint */
};
struct audit_backing {
	void *ctx;
	enum hf_err (*sign)(
	    void *ctx, const uint8_t digest[32], uint8_t out[64]);
	enum hf_err (*load)(void *ctx, struct audit_head *out);
	enum hf_err (*save)(void *ctx, const struct audit_head *head);
	/* SubjectPublicKeyInfo DER of the signing key; 0 length: not yet. */
	enum hf_err (*public_key)(
	    void *ctx, uint8_t *out, size_t cap, size_t *len);
	/* Notes the keys of HSMs that have signed nothing yet, as far as those
	 * are there. May be NULL. */
	void (*learn_keys)(void *ctx);
	/*
	 * All keys that ever signed this log, the one that does now too, and
	 * those that learn_keys noted: each
	 * a length (4 bytes, big-endian) and that many bytes of
	 * SubjectPublicKeyInfo. NULL: there was never another. Called when
	 * public_key gives one that it did not give last time.
	 */
	enum hf_err (*known_keys)(
	    void *ctx, uint8_t *out, size_t cap, size_t *len);
	/* For audit_line_hashed, until audit_set_hash_key. Copied. */
	uint8_t hash_key[32];
};

/*
 * Opens the file (0600, made when missing), finds the end of its chain, and
 * compares it with the head in the store. A torn last line (crash) is cut off
 * and noted in the chain; a file that is missing, shorter than the last
 * checkpoint, or different from it is noted as such in a line and in the log,
 * and the chain goes on from the remembered head: evidence, not refusal.
 * HF_ERR_AUDIT when the file cannot be had, or another process has it.
 */
enum hf_err audit_open(const struct audit_settings *settings,
    const struct audit_backing *backing, struct audit **out,
    struct hf_why *why);

/*
 * The key that audit_line_hashed uses from now on: the one that the hierarchy
 * keeps, once it is open, so that equal values are found again after a restart.
 * May be called while lines are made. Copied.
 */
enum hf_err audit_set_hash_key(struct audit *audit, const uint8_t key[32]);

/*
 * Writes the keys that prove the log, as PEM, readable by all, in place of what
 * was there; at most AUDIT_KEYS. HF_ERR_SYSTEM: errno tells.
 */
enum { AUDIT_KEYS = 16, AUDIT_KNOWN = 4096 };
enum hf_err audit_publish_keys(
    const char *path, const struct hf_bytes *spkis, size_t count);

/* An HSM came that may sign one day: its key is noted, and published. */
void audit_keys_changed(struct audit *audit);

/* A last checkpoint, then close. NULL is fine. */
void audit_close(struct audit *audit);

/*
 * A line under construction, in a caller's buffer. A member that does not fit
 * is left out as a whole, and `full` is set: the line is still JSON, and gets
 * "cut":true. Who asked for something allowed then refuses it.
 */
struct audit_line {
	char *buf;
	size_t cap, len;
	bool full;
	bool nested, skipped; /* between audit_line_begin and _end */
};

/*
 * Starts with the type; the caller adds members, audit_append the rest. Names
 * and types are plain ASCII constants; "seq", "time", "type", "prev" and "cut"
 * are taken. Values may hold anything: control characters are escaped, and
 * where a text is not UTF-8, its bytes from 0x80 up are escaped as \u00XX.
 */
void audit_line_start(
    struct audit_line *line, char *buf, size_t cap, const char *type);
/* A constant of ours, in which there is nothing to escape. */
void audit_line_word(
    struct audit_line *line, const char *name, struct hf_text value);
/* Members as these functions made them, without the commas around. */
void audit_line_members(struct audit_line *line, struct hf_text members);
void audit_line_text(
    struct audit_line *line, const char *name, struct hf_text value);
void audit_line_uint(struct audit_line *line, const char *name, uint64_t v);
void audit_line_bool(struct audit_line *line, const char *name, bool v);
/* "hmac-sha256:<hex>" with the key of this log. */
void audit_line_hashed(struct audit_line *line, struct audit *audit,
    const char *name, struct hf_bytes value);
/*
 * Names and values, both hashed or, where `plain` says so, in clear:
 * "name":{"tenant":"acme","hmac-sha256:<hex>":"hmac-sha256:<hex>"}, or with
 * `each` "name":[{"tenant":"acme"},{"tenant":"beta"}].
 */
struct audit_pair {
	struct hf_pair pair;
	bool plain;
};
void audit_line_pairs(struct audit_line *line, struct audit *audit,
    const char *name, const struct audit_pair *pairs, size_t count, bool each);
/*
 * "name":{ ... }: what is added until audit_line_end stands inside, where no
 * name is taken. One level; for the parameters of a request, whose names the
 * operations choose.
 */
void audit_line_begin(struct audit_line *line, const char *name);
void audit_line_end(struct audit_line *line);
/* {"len": n} */
void audit_line_length(struct audit_line *line, const char *name, size_t len);

/*
 * Puts a line (time, sequence and chain are added) into the buffer. *ticket
 * grows with each line. HF_ERR_AUDIT when the log is broken or the buffer is
 * full: then refuse; no sequence number is used up. Never blocks on the disk.
 */
enum hf_err audit_append(
    struct audit *audit, const struct audit_line *line, uint64_t *ticket);

/*
 * The lines of one turn of an I/O thread, which become part of the chain
 * together: threads that append line by line take the log, and the cache lines
 * that it is in, out of each other's hands twice a request. The time in a line
 * is that of audit_collect; so lines of different threads may stand in the log
 * a turn apart from the order of their times. `buf` and `cap` are set by the
 * owner, who uses it in one thread only.
 */
struct audit_stamp {
	time_t second;
	char text[20]; /* of that second: 2026-01-02T03:04:05 */
};
struct audit_batch {
	char *buf;
	size_t cap, len;
	uint64_t ticket; /* of the last line that is in the chain */
	bool failed; /* lines were lost; until the owner has refused all that
			they were about */
	struct audit_stamp stamp;
};
enum { AUDIT_BATCH = 128 << 10 }; /* bytes that are enough for most turns */

/*
 * As audit_append; the line is on its way with the next audit_commit. Where
 * there is no room left, what was collected is committed first.
 */
enum hf_err audit_collect(struct audit *audit, struct audit_batch *batch,
    const struct audit_line *line);

/*
 * Appends what was collected, and empties the batch; *ticket grows if there
 * was something, and is to be flushed. A log that broke meanwhile takes the
 * lines still. HF_ERR_AUDIT: the buffer had no room for all of them, now or
 * earlier (`failed`); then no answer to any of these requests may leave.
 */
enum hf_err audit_commit(
    struct audit *audit, struct audit_batch *batch, uint64_t *ticket);

/*
 * Everything up to `ticket` is written when this returns HF_OK, and synced
 * when `sync` (or the setting) says so. One caller writes for all waiting.
 *
 * HF_ERR_AUDIT: it could not be written, now. The log is broken then, every
 * append fails, and a new attempt is made at most once a second (here and in
 * audit_tick). The line is kept, and written when the disk takes it again,
 * followed by a "recovered" line.
 */
enum hf_err audit_flush(struct audit *audit, uint64_t ticket, bool sync);

/*
 * The file was renamed: go on in a new one, with a line that carries the chain
 * over. Nothing happens when it was not.
 */
enum hf_err audit_reopen(struct audit *audit);

/*
 * `wake` is called when there are lines that are not synced yet and were none
 * before, and when the log breaks: audit_tick then has something to do, in a
 * second. With the log's lock held: it must be short and not call the log.
 */
void audit_on_lines(struct audit *audit, void (*wake)(void *ctx), void *ctx);

/*
 * For the daemon's timer: syncs, due checkpoints, and whether the file still
 * is where it should be (else a new one is made, and noted). Returns after how
 * many seconds there is more to do, should nothing happen until then; 0: never.
 */
unsigned audit_tick(struct audit *audit);

struct audit_info {
	const char *file;
	uint64_t sequence;
	uint8_t head[32];
	uint64_t checkpoint, checkpoint_sequence;
	uint64_t syncs; /* of the disk */
	bool broken;
	char reason[200];
};
void audit_info(struct audit *audit, struct audit_info *out);

/* -- audit_verify.c: offline, needs only the public key -- */

struct audit_report {
	uint64_t lines, first, last; /* sequence numbers */
	uint8_t first_prev[32]; /* what the first line says came before it */
	uint64_t checkpoints, last_checkpoint;
	uint64_t
	    unsigned_lines; /* that no checkpoint covers; not counting it */
	uint64_t notes;     /* lines in which the daemon notes damage */
	char last_time[40];
	uint8_t head[32];
};

/*
 * Walks the files (oldest first) as one chain. HF_ERR_AUDIT_BROKEN with file,
 * line number and reason in `why` at the first thing that does not fit; the
 * report then tells of the lines before it. The first line's "prev" is taken
 * as given. A checkpoint may be by any of the keys, of which there are at most
 * AUDIT_KEYS. `expect` (may be NULL): the files must reach at least this head.
 */
enum hf_err audit_verify(const char *const *files, size_t count,
    const struct hf_bytes *spkis, size_t keys, const struct audit_head *expect,
    struct audit_report *out, struct hf_why *why);

#endif
