/* SPDX-License-Identifier: Apache-2.0 */
#include "sealed.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/bytes.h"

/* Large enough to hide system calls, small enough for a core's cache. */
enum { BLOCK = 256 << 10 };

/* Blocks that are worth another thread. */
enum { LEAST = 4 };

/* -- Options -- */

static int
add_context(struct job *job, const char *s)
{
	struct hf_pair pair;

	if (!option_pair(s, &pair))
		return fail_usage("--context takes NAME=VALUE");
	if (job->context_count == HF_STREAM_CONTEXT_MAX)
		return fail_usage(
		    "more than %d pairs of context", HF_STREAM_CONTEXT_MAX);
	job->context[job->context_count++] = pair;
	return STATUS_OK;
}

int
job_take(struct job *job, struct options *o, bool *taken)
{
	*taken = true;
	if (option_is(o, "context"))
		return add_context(job, options_value(o));
	if (option_is(o, "out")) {
		job->out_path = options_value(o);
		return job->out_path != NULL && *job->out_path != '\0'
		    ? STATUS_OK
		    : fail_usage("--out takes a path");
	}
	if (option_is(o, "force"))
		job->force = true;
	else if (option_is(o, "quiet"))
		job->quiet = true;
	else
		*taken = false;
	return STATUS_OK;
}

static bool
parse_number(const char *s, uint64_t *out)
{
	static const char letters[] = "KMGT";
	const char *letter;
	unsigned long long v;
	unsigned shift = 0;
	char *end;

	if (s == NULL || !isdigit((unsigned char)*s))
		return false;
	errno = 0;
	v = strtoull(s, &end, 10);
	if (errno != 0)
		return false;
	if (*end != '\0' && (letter = strchr(letters, *end)) != NULL) {
		shift = 10 * (unsigned)(letter - letters + 1);
		end++;
	}
	*out = v << shift;
	return *end == '\0' && *out >> shift == v;
}

int
job_number(struct options *o, uint64_t *out)
{
	const char *s = options_value(o);

	return parse_number(s, out)
	    ? STATUS_OK
	    : fail_usage(
		  "--%s takes a number; K, M, G and T may follow it", o->name);
}

int
job_stranger(const char *verb, const struct options *o)
{
	return fail_usage(
	    "'%s%s' does not belong here; 'holdfast %s --help' shows what does",
	    o->name != NULL ? "--" : "", o->name != NULL ? o->name : o->value,
	    verb);
}

/* -- Input -- */

int
job_open_input(struct job *job)
{
	struct stat st;

	job->in = STDIN_FILENO;
	if (job->in_path != NULL && strcmp(job->in_path, "-") != 0)
		job->in = open(job->in_path,
		    (job->update ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	else
		job->in_path = NULL;
	if (job->in < 0 || fstat(job->in, &st) != 0)
		return fail_usage("%s: %s", job->in_path, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return fail_usage("%s: %s",
		    job->in_path != NULL ? job->in_path : "standard input",
		    strerror(EISDIR));
	if (S_ISREG(st.st_mode))
		job->size = (uint64_t)st.st_size;
	if (job->in_path == NULL && isatty(job->in))
		(void)fputs("holdfast: reading from the terminal; Ctrl-D ends "
			    "it\n",
		    stderr);
	return STATUS_OK;
}

void
job_close_input(struct job *job)
{
	if (job->in_path != NULL && job->in >= 0)
		(void)close(job->in);
	job->in = -1;
}

/* -- Output -- */

size_t
job_units(size_t unit)
{
	return unit < BLOCK ? BLOCK / unit : 1;
}

/* How many blocks surely have something behind them, from `at` on. */
static uint64_t
blocks_before_end(const struct job *job, uint64_t at, size_t block)
{
	uint64_t n;

	if (job->out.in_place || job->size <= at)
		return 0;
	n = (job->size - at - 1) / block;
	return n < LEAST ? 0 : n;
}

static void
show(void *watcher, uint64_t bytes)
{
	bar_move(watcher, bytes);
}

/* Puts both ends behind the blocks that it did, *done bytes of input. */
static enum hf_err
run_lanes(const struct job *job, struct lanes *lanes, uint64_t *done,
    struct hf_why *why)
{
	off_t in_at, out_at;
	enum hf_err err;

	*done = 0;
	/* What cannot be sought in says so here. */
	if ((in_at = lseek(job->in, 0, SEEK_CUR)) < 0 ||
	    (out_at = lseek(job->out.fd, 0, SEEK_CUR)) < 0)
		return HF_OK;
	lanes->blocks = blocks_before_end(job, (uint64_t)in_at, lanes->block);
	if (lanes->blocks == 0)
		return HF_OK;
	lanes->in_at = (uint64_t)in_at;
	lanes->out_at = (uint64_t)out_at;
	if ((err = lanes_run(lanes, why)) != HF_OK)
		return err;
	*done = lanes->blocks * lanes->block;
	out_at += (off_t)(lanes->blocks * lanes->result);
	if (lseek(job->in, in_at + (off_t)*done, SEEK_SET) < 0 ||
	    lseek(job->out.fd, out_at, SEEK_SET) < 0)
		return hf_fail(
		    why, HF_ERR_SYSTEM, "seeking: %s", strerror(errno));
	return HF_OK;
}

enum hf_err
job_run(
    struct job *job, struct lanes *lanes, struct pump *pump, struct hf_why *why)
{
	enum hf_err err;

	lanes->in = pump->in = job->in;
	lanes->out = pump->out = job->out.fd;
	lanes->progress = pump->progress = show;
	lanes->watcher = pump->watcher = &job->bar;
	pump->block = lanes->block;
	pump->result = lanes->result;
	err = run_lanes(job, lanes, &pump->before, why);
	return err == HF_OK ? pump_run(pump, why) : err;
}

int
job_end(struct job *job, enum hf_err err, const struct hf_why *why)
{
	bar_stop(&job->bar);
	if (err == HF_OK)
		return outfile_commit(&job->out);
	outfile_discard(&job->out);
	return fail_service(err, why);
}
