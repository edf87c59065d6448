/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_DAEMON_H
#define KEYD_DAEMON_H

#include "server.h"
#include "settings.h"

/*
 * The daemon as a whole: its parts put together in the order in which they
 * stand on each other, run until a signal, taken apart in reverse.
 */

/* The file of the store below settings->state_dir. */
enum { DAEMON_PATH = 4096 };
enum hf_err daemon_store_path(
    const struct settings *settings, char out[DAEMON_PATH]);

/* What the process owes to its keys: no core dumps, locked memory, no
 * inherited environment secrets. Before anything else. */
enum hf_err daemon_harden(struct hf_why *why);

/* Makes settings->state_dir where it is not there: before a sandbox, which can
 * allow only what exists. HF_ERR_BAD_SETTINGS for root in the folder of another
 * user. */
enum hf_err daemon_state_dir(
    const struct settings *settings, struct hf_why *why);

/* Opens store, HSM and hierarchy: what `hsm init` and the daemon share. The
 * folder of the store is there. */
enum hf_err daemon_open_keys(
    struct server *s, const struct settings *settings, struct hf_why *why);
void daemon_close_keys(struct server *s);

/*
 * Opens all parts; threads start with transport_start(). The settings are
 * needed as long as they are. After an error too, close what is there.
 */
enum hf_err daemon_open(
    struct server *s, const struct settings *settings, struct hf_why *why);
void daemon_close(struct server *s);

/*
 * Runs until SIGTERM or SIGINT. SIGHUP loads the policies anew and goes on in
 * a new audit file where the old one was renamed.
 */
enum hf_err daemon_run(const struct settings *settings, struct hf_why *why);

#endif
