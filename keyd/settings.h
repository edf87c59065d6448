/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_SETTINGS_H
#define KEYD_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <holdfast/err.h>

#include "audit.h"
#include "hierarchy.h"
#include "hsm.h"
#include "log.h"
#include "sandbox.h"
#include "transport.h"

/*
 * keyd.conf: what can be set, read once at start. The file is HCL (hcl.h);
 * names, defaults, bounds and sentences stand in the tables of settings.c and
 * nowhere else. What is not in the file has its default; what is unknown, of
 * the wrong kind or out of bounds is refused with file and line. Relative
 * paths are relative to the folder of the file.
 */
struct settings_hsm {
	const char *name;
	struct hsm_settings hsm;
};
struct settings {
	const char *file;          /* that was read */
	const char *state_dir;     /* holds the store */
	const char *policy_dir;    /* *.hcl and *.json */
	const char *events;        /* "ipc:///..."; NULL: none */
	const char *default_level; /* "wrapped" or "hsm" */
	enum log_level log_level;
	bool upsert;        /* encrypt may create a key (Vault does) */
	uint64_t key_cache; /* opened keys that are kept */
	uint64_t idempotency_seconds; /* how long their keys are known */
	unsigned drain_seconds;       /* for what is in flight at the end */
	uint64_t usage_flush;  /* seconds until counters are written down */
	uint64_t usage_lately; /* seconds: a version used since is in use */
	uint64_t clock_hold;   /* seconds at most that a leap delays */
	struct transport_settings transport;
	struct hsm_settings hsm; /* the first of ... */
	struct settings_hsm hsms[HSM_DEVICES];
	size_t hsm_count;
	unsigned hsm_return_seconds;
	struct audit_settings audit;
	enum sandbox_mode sandbox_files, sandbox_calls;

	/* What the texts above point into. */
	char **owned;
	size_t owned_count;
	struct transport_tls *tls;
};

/*
 * `out` is written on success only; settings_free it. HF_ERR_BAD_SETTINGS with
 * "file:line: reason" in `why`.
 */
enum hf_err settings_load(
    const char *path, struct settings *out, struct hf_why *why);

/* An all-zero struct is fine. */
void settings_free(struct settings *s);

/*
 * A commented keyd.conf with every setting at its default; reading it gives
 * what reading an empty file gives. conf/keyd.conf is compared with it.
 */
void settings_print_defaults(FILE *out);

#endif
