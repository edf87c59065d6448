/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_LIMIT_H
#define TOOLS_BENCH_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "bench.h"

/*
 * One AES-256-GCM encryption as a service has to do it, and nothing else: a
 * fresh nonce from the random generator, nonce and tag written beside the
 * text. The key is in place; one thread at a time.
 */
struct limit_gcm;

enum { GCM_OVERHEAD = 12 + 16 };

struct limit_gcm *limit_gcm_new(void);
void limit_gcm_free(struct limit_gcm *gcm);

/* `out` takes PAYLOAD + GCM_OVERHEAD bytes. */
bool limit_gcm_run(
    struct limit_gcm *gcm, const uint8_t in[PAYLOAD], uint8_t *out);

#endif
