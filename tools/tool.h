/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_TOOL_H
#define TOOLS_TOOL_H

#include <stdbool.h>

#include <holdfast/holdfast.h>

#include "../lib/ops.h"

/* What the parts of the command line tool share. */

/* Exit statuses, which scripts rely on. */
enum {
	STATUS_OK = 0,
	STATUS_USAGE = 1,       /* the command line, or a file of ours */
	STATUS_REFUSED = 2,     /* the service said no */
	STATUS_UNREACHABLE = 3, /* the service said nothing */
	STATUS_DAMAGE = 4,      /* the audit log is whole, and notes damage */
};

/* The options that every verb takes. */
struct tool {
	const char *address; /* NULL: as hf_connect() finds it */
	const char *config;  /* NULL: as holdfast-keyd finds it */
	int timeout_ms;
	bool json;
};

/*
 * One verb of the command line. Those of operations run by verb_run_op; the
 * others have a function, because they do what no operation does.
 */
struct verb {
	const char *words; /* "key create" */
	const char *sentence;
	const struct op *op;  /* NULL: special */
	const char *synopsis; /* of a special verb: what follows the words */
	const char *help;     /* of a special verb: the rest of its help */
	int (*run)(const struct tool *tool, int argc, char **argv);
};

/* All verbs, those of ops.def first; NULL after the last. */
const struct verb *verb_at(size_t i);

/* The verb that argv starts with, the longest that fits; *used words of argv
 * are its name. NULL when there is none. */
const struct verb *verb_find(int argc, char **argv, int *used);

/* Whether verbs of two words begin with this one ("key"). */
bool verb_is_group(const char *word);

/* The verb of two words whose last is this one ("rotate"), if there is one
 * only; else NULL. */
const struct verb *verb_ending(const char *word);

/* The verb that looks most like what was given; NULL when nothing does. */
const struct verb *verb_nearest(const char *words);

/* Runs the verb of an operation with the arguments that follow its words. */
int verb_run_op(
    const struct tool *tool, const struct op *op, int argc, char **argv);

/* -- Help, from the tables -- */

void help_print_all(void);
void help_print_verb(const struct verb *verb);
/* What operations that change state take besides their fields. */
void help_print_request_options(const struct op *op);
int help_run(const struct tool *tool, int argc, char **argv);
int reference_run(const struct tool *tool, int argc, char **argv);
int completion_run(const struct tool *tool, int argc, char **argv);

/* -- What went wrong: one line on stderr, and what to do about it -- */

/* "holdfast: message (name)"; the exit status that goes with the error. `why`
 * may be NULL or empty: then the error's sentence is the message. */
int fail_service(enum hf_err err, const struct hf_why *why);

/* "holdfast: ..."; STATUS_USAGE. */
int fail_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Connects as the options say; the exit status, STATUS_OK when connected. */
int tool_connect(const struct tool *tool, struct hf_client **out);

/* -- Verbs with a file of their own -- */

int bench_run(const struct tool *tool, int argc, char **argv);
int events_run(const struct tool *tool, int argc, char **argv);
int policy_test_run(const struct tool *tool, int argc, char **argv);
int seal_run(const struct tool *tool, int argc, char **argv);
int open_run(const struct tool *tool, int argc, char **argv);
int audit_verify_run(const struct tool *tool, int argc, char **argv);
int retire_report_run(const struct tool *tool, int argc, char **argv);
int rewrap_file_run(const struct tool *tool, int argc, char **argv);
int key_import_run(const struct tool *tool, int argc, char **argv);
int key_import_version_run(const struct tool *tool, int argc, char **argv);
int keyd_hsm_init_run(const struct tool *tool, int argc, char **argv);
int keyd_hsm_restore_master_run(const struct tool *tool, int argc, char **argv);
int keyd_hsm_probe_run(const struct tool *tool, int argc, char **argv);
int keyd_backup_run(const struct tool *tool, int argc, char **argv);
int keyd_restore_run(const struct tool *tool, int argc, char **argv);
int keyd_policy_check_run(const struct tool *tool, int argc, char **argv);

#endif
