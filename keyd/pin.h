/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_PIN_H
#define KEYD_PIN_H

#include <stdbool.h>

#include <holdfast/bytes.h>
#include <holdfast/err.h>

#include "hierarchy.h"
#include "identity.h"
#include "store.h"

/*
 * PINs: one more thing that a user must know to use keys, besides being who
 * the kernel or the certificate says. An administrator sets them, under the
 * uid or the certificate's SHA-256. Who has one uses keys only by PKCS#11,
 * after a login; who has none needs none.
 *
 * In the store: pin/<subject>, sealed: a salt, scrypt of the PIN, and how often
 * a wrong one was given. An attempt is counted before it is judged, so that
 * neither a crash nor a restart gives one back; after PIN_ATTEMPTS the PIN is
 * locked until it is set anew.
 */
struct pins;

enum { PIN_ATTEMPTS = 10 };

/* Learns from the store who has one. Store and hierarchy stay the caller's. */
enum hf_err pins_open(
    struct store *store, struct hierarchy *h, struct pins **out);
/* NULL is fine. */
void pins_close(struct pins *pins);

/* HF_ERR_BAD_NAME for what is neither a uid nor a SHA-256 in hexadecimal.
 * These two block. */
enum hf_err pin_set(struct pins *pins, struct hf_text subject,
    struct hf_bytes pin, struct hf_why *why);
/* HF_ERR_NOT_FOUND when there is none. */
enum hf_err pin_remove(struct pins *pins, struct hf_text subject);

/* Whether the caller has a PIN. Takes no lock where nobody has one. */
bool pin_needed(struct pins *pins, const struct identity *who);

/*
 * HF_ERR_PIN_WRONG, HF_ERR_PIN_LOCKED; for a caller without a PIN any is right.
 * `login` (PIN_LOGIN_MAX bytes) then proves it: to this caller, and until the
 * PIN is set anew. Blocks.
 */
enum { PIN_LOGIN_MAX = 256 };
enum hf_err pin_login(struct pins *pins, const struct identity *who,
    struct hf_bytes pin, uint8_t *login, size_t *len);

/* HF_OK, also for a caller who needs none; HF_ERR_LOGIN_REQUIRED; HF_ERR_DEFER
 * when it may not block and must. */
enum hf_err pin_check_login(struct pins *pins, const struct identity *who,
    bool may_block, struct hf_bytes login);

#endif
