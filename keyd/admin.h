/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_ADMIN_H
#define KEYD_ADMIN_H

#include "ceremony.h"
#include "settings.h"

/*
 * What the daemon's program does besides being the daemon: things that need
 * the HSM or the store themselves, for the command line to start. Output for
 * people goes to standard output. Each returns what went wrong in `why`.
 */

/* Makes master, wrapping and audit key and the default keyring; a second time
 * it finds what is there. With a plan, in shares too. */
enum hf_err admin_init(const struct settings *settings,
    const struct ceremony_plan *plan, struct hf_why *why);

/* Puts a master key back into an HSM from its shares; `device` is its place
 * among settings->hsms. */
enum hf_err admin_restore_master(const struct settings *settings, size_t device,
    const char *const *files, size_t count, struct hf_why *why);

/* Prints the matrix of mechanisms and the quirks of one HSM. */
enum hf_err admin_probe(
    const struct hsm_settings *settings, struct hf_why *why);

/* A consistent copy of the store, also of one in use; and back. */
enum hf_err admin_backup(
    const struct settings *settings, const char *file, struct hf_why *why);
enum hf_err admin_restore(
    const struct settings *settings, const char *file, struct hf_why *why);

/* Loads a folder of policies and says what is in it. */
enum hf_err admin_check_policy(const char *folder, struct hf_why *why);

#endif
