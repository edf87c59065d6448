/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_SEALED_H
#define TOOLS_SEALED_H

#include <holdfast/stream.h>

#include "bar.h"
#include "lanes.h"
#include "option.h"
#include "outfile.h"
#include "pump.h"
#include "tool.h"

/*
 * What `holdfast seal` and `holdfast open` have in common: a file goes in, a
 * file comes out, and a context is named. Functions that return int return an
 * exit status and have said on stderr what was wrong.
 */
struct job {
	const char *in_path, *out_path; /* NULL or "-": standard streams */
	bool force, quiet;
	bool update; /* the input is to be written, too */
	struct hf_pair context[HF_STREAM_CONTEXT_MAX];
	size_t context_count;
	int in;
	uint64_t size; /* of what goes in; 0: not known */
	struct outfile out;
	struct bar bar;
};

/* Takes --context, --out, --force and --quiet; *taken: it was one of them. */
int job_take(struct job *job, struct options *o, bool *taken);

/* The value of an option as a number, with K, M, G or T for powers of 1024. */
int job_number(struct options *o, uint64_t *out);

/* "'x' does not belong here" */
int job_stranger(const char *verb, const struct options *o);

int job_open_input(struct job *job);
void job_close_input(struct job *job);

/* So many units of `unit` bytes that a block of the pump is worth it. */
size_t job_units(size_t unit);

/*
 * Works on what is left of the input. Of `lanes` the caller sets sizes,
 * functions and ctx, of `pump` the function and ctx. Blocks at the front go
 * through the lanes when both ends are files, the output one that nobody sees
 * yet, and there is something to gain; at least a byte is left for the pump,
 * which knows where the file ends.
 */
enum hf_err job_run(struct job *job, struct lanes *lanes, struct pump *pump,
    struct hf_why *why);

/* Gives the output its name if all went well; else says what did not. */
int job_end(struct job *job, enum hf_err err, const struct hf_why *why);

#endif
