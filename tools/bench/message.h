/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_MESSAGE_H
#define TOOLS_BENCH_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast/bytes.h>

#include "../../lib/arena.h"

/*
 * Requests as bytes (the CBOR of docs/protocol.md), made once and sent many
 * times, so that clients cost as little as they can. malloc'ed; NULL without
 * memory.
 */

/* transit.encrypt of PAYLOAD bytes, or of a batch of `items` times that. */
uint8_t *message_encrypt(const char *key, unsigned items, size_t *len);

/* transit.sign of a SHA-256 digest. */
uint8_t *message_sign(const char *key, bool rsa, size_t *len);

/* transit.hmac of PAYLOAD bytes. */
uint8_t *message_hmac(const char *key, size_t *len);

/* key.create */
uint8_t *message_create(const char *key, const char *type, size_t *len);

/* transit.decrypt of what the reply to message_encrypt() has. The arena is for
 * reading it. */
uint8_t *message_decrypt(
    const char *key, struct hf_bytes reply, struct arena *arena, size_t *len);

#endif
