/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOLDFAST_ERR_H
#define HOLDFAST_ERR_H

#include <stdint.h>

/*
 * Everything that can fail returns enum hf_err; 0 is success. The list is
 * err.def. Clang warns where a result is ignored.
 */
#ifdef __clang__
#define HF_MUST_USE __attribute__((warn_unused_result))
#else
#define HF_MUST_USE
#endif

enum HF_MUST_USE hf_err {
	HF_OK = 0,
#define HF_ERR(symbol, number, status, ckr, name, sentence) \
	HF_ERR_##symbol = (number),
#include <holdfast/err.def>
#undef HF_ERR
};

/*
 * What exactly was wrong, for a person. Filled by whoever finds the error,
 * with the name of the thing and what to do about it; never with data, key
 * material or what the asker may not know. Empty: hf_err_sentence() serves.
 */
struct hf_why {
	char text[256]; /* NUL-terminated UTF-8 */
};

/* The stable name on the wire, "ok" for HF_OK, "unknown" for a wrong number. */
const char *hf_err_name(enum hf_err err);

/* A sentence for a person. Never NULL. */
const char *hf_err_sentence(enum hf_err err);

/* The HTTP-like status of an error reply, 200 for HF_OK. */
unsigned hf_err_status(enum hf_err err);

/* The CKR_ code that the PKCS#11 module returns for it. */
unsigned long hf_err_ckr(enum hf_err err);

/* The first error of that name; HF_ERR_REMOTE when there is none. */
enum hf_err hf_err_by_name(const char *name, unsigned long len);

/*
 * Writes a printf-style message into `why` (which may be NULL), cutting what
 * is too long, and returns `err`: `return hf_fail(why, HF_ERR_X, "...")`.
 */
enum hf_err hf_fail(struct hf_why *why, enum hf_err err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
