/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_ONCE_H
#define KEYD_ONCE_H

#include "effects.h"
#include "hierarchy.h"
#include "identity.h"
#include "store.h"

/*
 * What was done under an idempotency key, so that it is done once: a record
 * in the store for each key of each caller,
 *
 *	once/<caller>/<hash of the key>    time (8 bytes, big-endian) || sealed
 *
 * written in the same commit as the change, and completed with the reply when
 * that is known. Killed between the two, the daemon still knows that it was
 * done. The time in front says when the record may go; what is decided by is
 * the one inside. The caller is a uid or a client certificate, not a
 * connection: a program that connects again is the same caller.
 */
enum {
	ONCE_NAME = 128,
	ONCE_REPLY_MAX = 65536, /* longer replies are not kept */
	ONCE_KEYS_MAX = 1000,   /* of one caller, within the window */
};

struct once {
	char name[ONCE_NAME]; /* of its record; "": no idempotency key */
	uint64_t op;
	uint8_t input[32];     /* SHA-256 of what was asked */
	uint64_t revision;     /* of the record that is there, be it too old */
	bool found;            /* one that counts is there */
	bool same;             /* ... and it is for this very request */
	struct hf_bytes reply; /* ... as it was; absent when it is not known */
	uint64_t time;         /* now, or when it was done */
};

/*
 * Looks for the record; `window` in seconds. Memory from the arena. The caller
 * of the request and the key are as the pipeline knows them.
 */
enum hf_err once_find(struct store *store, struct hierarchy *h,
    const struct identity *who, struct hf_text key, uint64_t op,
    struct hf_bytes input, uint64_t window, struct arena *arena,
    struct once *out);

/*
 * The condition and the write that record it, `reply` absent at first. Where
 * the caller has ONCE_KEYS_MAX records, those older than the window go first;
 * HF_ERR_IDEMPOTENCY_FULL when that makes no room.
 */
enum hf_err once_write(struct store *store, struct hierarchy *h,
    const struct once *once, uint64_t window, struct hf_bytes reply,
    struct arena *arena, struct store_cond *cond, struct store_write *write);

/* Removes the records of everybody that are older than the window, some at a
 * time; *more: there are others. */
enum hf_err once_sweep(
    struct store *store, uint64_t now, uint64_t window, bool *more);

#endif
