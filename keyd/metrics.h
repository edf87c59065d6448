/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_METRICS_H
#define KEYD_METRICS_H

#include "../lib/arena.h"
#include "server.h"

/*
 * All counters in the Prometheus text format 0.0.4, into the arena. Names of
 * keys and callers are not labels: they would tell a scraper who uses what.
 * HF_ERR_NO_MEMORY; HF_ERR_TOO_LARGE when they do not all fit.
 */
enum hf_err metrics_text(
    struct server *server, struct arena *arena, struct hf_text *out);

#endif
