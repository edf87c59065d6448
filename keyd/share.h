/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_SHARE_H
#define KEYD_SHARE_H

#include "../lib/secret.h"
#include "hierarchy.h"

/*
 * Shares of a master key and of its wrapping key, as their holders keep them:
 * "HFS1-" and the base32 (RFC 4648, section 6, without padding) of
 *
 *	format (1) || set (8) || threshold (1) || count (1) || number (1) ||
 *	check (8) || share (64) || sum (8)
 *
 * The set is random and names what belongs together. The check is of the two
 * keys, the first 8 bytes of SHA-256("holdfast-share-check-v1" || keys); the
 * sum is of the share itself, the first 8 bytes of the SHA-256 of what is
 * before it, so that a typo is found at once. Blanks, line ends and dashes mean
 * nothing between the characters, nor does their case.
 */
enum {
	SHARE_KEYS = 64, /* master key (32) || wrapping key (32) */
	SHARE_COUNT_MAX = 16,
	SHARE_TEXT = 160, /* of one as text, with a NUL */
	SHARE_FILE_MAX = 4096,
};

/* Lives in locked memory. */
struct share {
	struct share_facts facts;
	uint8_t number;
	uint8_t y[SHARE_KEYS];
};

/* Makes shares of the keys: an array of `count` in `out`, tried by putting them
 * together again. */
enum hf_err shares_make(struct hf_bytes keys, unsigned threshold,
    unsigned count, struct secret *out, struct hf_why *why);

/* `out` gets SHARE_TEXT bytes. */
enum hf_err share_encode(const struct share *share, struct secret *out);

/* Finds it in a text of at most SHARE_FILE_MAX bytes; HF_ERR_BAD_VALUE with a
 * sentence in `why`, which tells nothing of it. */
enum hf_err share_decode(
    struct hf_bytes text, struct share *out, struct hf_why *why);

/*
 * The keys, SHARE_KEYS bytes. HF_ERR_BAD_VALUE with a sentence in `why` when
 * they do not belong together, when one is there twice, when there are too
 * few, or when what they give is not what was shared.
 */
enum hf_err shares_combine(const struct share *shares, size_t count,
    struct secret *keys, struct hf_why *why);

#endif
