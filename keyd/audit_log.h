/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_AUDIT_LOG_H
#define KEYD_AUDIT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <pthread.h>
#include <semaphore.h>
#include <time.h>

#include "../lib/secret.h"
#include "audit.h"
#include "key_type.h"

/*
 * What the files of the audit log share: the log itself, how a line is taken
 * apart, how a file is read line by line, and where its chain ends. Nobody
 * else needs it.
 */

/* -- audit.c: lines, and the log as a whole -- */

struct audit_buffer {
	char *ptr; /* AUDIT_BUFFER bytes */
	size_t len;
	size_t done;   /* written; of the buffer on its way out only */
	uint64_t last; /* sequence number of its last line */
};

/* Who waits for what others are doing; lives on its thread's stack. */
struct audit_waiter {
	struct audit_waiter *next;
	uint64_t ticket;
	bool to_disk;
	bool done; /* there is no need to look again */
	sem_t called;
};

struct audit {
	/* Set once. */
	char *path, *public_key;
	struct audit_settings settings;
	struct audit_backing backing;
	const struct hash_type *sha256;

	pthread_rwlock_t hash_lock;
	struct secret hash_key;

	/* One at a time: tick, reopen, close. Taken before `lock`. */
	pthread_mutex_t keeping;
	dev_t device;
	ino_t inode;
	bool sign_failed, save_failed; /* said so already */
	bool have_key;
	uint8_t key_id[32];

	pthread_mutex_t lock;
	bool awaited; /* who waits for lines has been told */
	void (*wake)(void *ctx);
	void *wake_ctx;
	pthread_cond_t change; /* of `writing` and `syncing` */
	struct audit_waiter *waiters, **last_waiter;
	uint64_t sequence; /* of the last line appended */
	uint8_t head[32];  /* its hash */
	struct audit_buffer in, out;
	uint64_t written, synced; /* sequence numbers */
	uint64_t syncs;           /* calls of fdatasync(2) that went well */
	_Atomic bool broken;      /* written with `lock` held */
	bool path_lost;           /* no file can be made where it should be */
	bool sync_lost; /* what was written since synced_size may be gone */
	uint64_t failures;
	uint64_t late_from;
	char reason[200];
	time_t tried; /* monotonic */
	uint64_t checkpoint, checkpoint_line;
	time_t checkpoint_time; /* monotonic */
	struct audit_stamp stamp;

	/*
	 * The two ways to use the file: while `writing` is set its setter has
	 * `out`; writing and syncing may overlap, and who sets both may put
	 * another file in place.
	 */
	bool writing, syncing;
	int fd;
	off_t size, synced_size;
};

/* Writes up to 20 digits, no NUL. */
size_t audit_put_uint(char *out, uint64_t v);

/* HMAC-SHA-256 with the key of the log. */
enum hf_err audit_hash_value(
    struct audit *audit, struct hf_bytes value, uint8_t out[32]);

/* Seconds of a clock that nobody sets. */
time_t audit_monotonic(void);

/* With `lock` held: appends also while the log is broken. */
enum hf_err audit_append_locked(struct audit *a, const struct audit_line *line);

/* With `lock` held: whoever waits for lines is told, if it was not. */
void audit_wake(struct audit *a);

/* -- audit_flush.c: from the buffer to the disk -- */

/*
 * With `lock` held: nothing is appended until audit_mend succeeds. `cause` is
 * an errno, or 0 when `what` says all.
 */
void audit_break(struct audit *a, const char *what, int cause);

/*
 * With `lock` held, given up meanwhile: the file is free again, or more of it
 * is written or synced. Calls those who waited for that, and one of the others
 * to see to the rest.
 */
void audit_changed(struct audit *a);

/* With `lock` held, given up meanwhile: writes what waits. */
enum hf_err audit_write(struct audit *a);

/* With `lock` held, given up meanwhile: tries to be whole again. */
enum hf_err audit_mend(struct audit *a);

/*
 * With both ways to the file taken, without `lock`: writes `out` and counts in
 * its `done`. *size goes along. On an error a torn line is cut off again.
 */
enum hf_err audit_write_out(struct audit *a, off_t *size, int *cause);

/* Likewise: all that was written is on the disk; false with errno. */
bool audit_sync_out(const struct audit *a);

/* -- audit_keep.c: the file in its place, checkpoints -- */

/* Opens or makes the file for us alone. */
enum hf_err audit_file_open(const char *path, int *fd, struct hf_why *why);

/* Tells the store; `head` is on the disk. */
void audit_save(struct audit *a, const struct audit_head *head);

/* With `keeping` held: signs what there is, if there is something new. */
void audit_checkpoint(struct audit *a);

/* -- audit_entry.c -- */

/* A line taken apart; texts are views into it. */
struct audit_entry {
	uint64_t seq;
	struct hf_text time, type;
	uint8_t prev[32];

	/* Of checkpoints only. */
	bool is_checkpoint;
	uint64_t number, covers;
	uint8_t hash[32], key[32], signature[64];
};

/*
 * `line` without its newline must be one JSON object as this log writes it:
 * "seq", "time" and "type" first, "prev" last, no white space, none of the
 * members that count twice, nested values at most 8 deep. Returns NULL, or
 * what is wrong with it.
 */
const char *audit_entry_parse(struct hf_text line, struct audit_entry *out);

/* What a checkpoint signs. */
enum { AUDIT_SIGNED = 29 + 8 + 8 + 32 };
void audit_signed_bytes(uint64_t number, uint64_t covers,
    const uint8_t hash[32], uint8_t out[AUDIT_SIGNED]);

/* -- audit_reader.c -- */

/* A file, line by line. It is several times AUDIT_LONGEST large. */
struct audit_reader {
	int fd;
	off_t offset; /* in the file, of buf[start] */
	size_t start, end;
	char buf[2 * AUDIT_LONGEST];
};

/* Begins at `offset`; the descriptor stays the caller's. */
void audit_reader_start(struct audit_reader *r, int fd, off_t offset);

/*
 * The next line with its newline, a view until the next call. At the end of
 * the file `line` is absent; bytes after the last newline are a line without
 * one. HF_ERR_TOO_LARGE for a line too long, HF_ERR_SYSTEM with errno.
 */
enum hf_err audit_reader_next(struct audit_reader *r, struct hf_text *line);

/* Copies `len` bytes of the log to PATH.torn-SEQUENCE, on the disk. */
enum hf_err audit_put_aside(const char *path, int fd, off_t from, size_t len,
    uint64_t sequence, struct hf_why *why);

/* -- audit_tail.c -- */

enum audit_found {
	AUDIT_NEW,       /* nothing is there and nothing is remembered */
	AUDIT_CONTINUED, /* the remembered line and what follows are there */
	AUDIT_MISSING,   /* nothing is there, though something should */
	AUDIT_SHORTER,   /* the remembered line is not there any more */
	AUDIT_DIFFERENT, /* a line is not what was written */
};

struct audit_tail {
	enum audit_found found;
	struct audit_head head; /* where the chain goes on */
	off_t size;             /* up to the last line that is right */
	size_t torn;            /* bytes after it */
	bool half;              /* they may be half a line, and no more */
};

/* Compares what is in the file with what is remembered. */
enum hf_err audit_tail_find(
    int fd, const struct audit_head *remembered, struct audit_tail *out);

#endif
