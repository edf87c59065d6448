/* SPDX-License-Identifier: Apache-2.0 */
/* holdfast open: what holdfast seal sealed, or a part of it. */
#include <string.h>

#include "../lib/buffer.h"
#include "../lib/bytes.h"
#include "../lib/fd.h"
#include "../lib/stream.h"
#include "progress.h"
#include "sealed.h"

struct opening {
	struct job job;
	struct hf_open_how how;
	bool part; /* --offset or --length */
	uint64_t offset, length;
	struct hf_opener *opener;
	uint64_t index;   /* of the next chunk */
	uint64_t written; /* bytes, all of them authentic */
};

/* -- Arguments -- */

static int
take_part(struct opening *p, struct options *o)
{
	p->part = true;
	return job_number(o, option_is(o, "offset") ? &p->offset : &p->length);
}

static int
take(struct opening *p, struct options *o)
{
	bool taken;
	int status = job_take(&p->job, o, &taken);

	if (status != STATUS_OK || taken)
		return status;
	if (option_is(o, "offset") || option_is(o, "length"))
		return take_part(p, o);
	if (option_is(o, "key")) {
		p->how.key = text_of(options_value(o));
		return p->how.key.len > 0 ? STATUS_OK
					  : fail_usage("--key takes a name");
	}
	if (o->name != NULL || p->job.in_path != NULL)
		return job_stranger("open", o);
	p->job.in_path = o->value;
	return STATUS_OK;
}

static int
parse(struct opening *p, int argc, char **argv)
{
	struct options o = { .argc = argc, .argv = argv };
	int status;

	while (options_next(&o))
		if ((status = take(p, &o)) != STATUS_OK)
			return status;
	p->how.context = p->job.context;
	p->how.context_count = p->job.context_count;
	return STATUS_OK;
}

/* -- Block by block -- */

/* Opens the chunks in a row of which the first has that index. */
static enum hf_err
open_chunks(struct hf_opener *opener, uint64_t index, struct hf_bytes in,
    bool last, uint8_t *out, size_t *len, struct hf_why *why)
{
	size_t unit = hf_opener_info(opener)->chunk_size + HF_STREAM_TAG;
	size_t at = 0;
	enum hf_err err;

	do {
		size_t n = in.len - at < unit ? in.len - at : unit;

		err = hf_open_chunk(opener, index++, last && at + n == in.len,
		    bytes_of(in.ptr + at, n), out + *len, why);
		if (err != HF_OK)
			return err;
		at += n;
		*len += n - HF_STREAM_TAG;
	} while (at < in.len);
	return HF_OK;
}

static enum hf_err
work(void *ctx, struct hf_bytes in, bool last, uint8_t *out, size_t *len,
    struct hf_why *why)
{
	struct opening *p = ctx;
	enum hf_err err =
	    open_chunks(p->opener, p->index, in, last, out, len, why);

	p->index += job_units(hf_opener_info(p->opener)->chunk_size);
	p->written += *len;
	return err;
}

/* -- The same from several threads -- */

static enum hf_err
lane_open(void *ctx, void **lane, struct hf_why *why)
{
	const struct opening *p = ctx;
	struct hf_opener *own;
	enum hf_err err = stream_opener_copy(p->opener, &own, why);

	if (err == HF_OK)
		*lane = own;
	return err;
}

static void
lane_close(void *lane)
{
	hf_opener_free(lane);
}

static enum hf_err
lane_next(void *ctx, void *lane, uint64_t *block, struct hf_why *why)
{
	struct opening *p = ctx;
	size_t units = job_units(hf_opener_info(p->opener)->chunk_size);

	(void)lane;
	(void)why;
	*block = p->index / units;
	p->index += units;
	return HF_OK;
}

static enum hf_err
lane_work(void *lane, uint64_t block, struct hf_bytes in, uint8_t *out,
    struct hf_why *why)
{
	uint64_t index = block * job_units(hf_opener_info(lane)->chunk_size);
	size_t len = 0;

	/* The last chunk is not among them: something comes after. */
	return open_chunks(lane, index, in, false, out, &len, why);
}

/* -- All of it -- */

static enum hf_err
open_data(struct opening *p, struct hf_why *why)
{
	size_t chunk = hf_opener_info(p->opener)->chunk_size;
	size_t units = job_units(chunk);
	struct lanes lanes = { .block = units * (chunk + HF_STREAM_TAG),
		.result = units * chunk,
		.open = lane_open,
		.close = lane_close,
		.next = lane_next,
		.work = lane_work,
		.ctx = p };
	struct pump pump = { .work = work, .ctx = p };

	return job_run(&p->job, &lanes, &pump, why);
}

static enum hf_err
ask(struct opening *p, struct hf_client *client, struct hf_bytes header,
    struct hf_why *why)
{
	enum hf_err err;

	progress_start("waiting for the service");
	err = hf_opener_new(client, header, &p->how, &p->opener, why);
	progress_stop();
	return err;
}

static enum hf_err
open_all(struct opening *p, struct hf_client *client, struct hf_why *why)
{
	uint8_t header[HF_STREAM_HEADER_MAX];
	size_t len;
	enum hf_err err = stream_header_load(p->job.in, header, &len, why);

	if (err != HF_OK ||
	    (err = ask(p, client, bytes_of(header, len), why)) != HF_OK)
		return err;
	bar_start(&p->job.bar, "opening", p->job.size, p->job.quiet);
	return open_data(p, why);
}

/* -- A part of it -- */

static enum hf_err
copy_part(struct opening *p, struct hf_sealed *file, struct hf_why *why)
{
	AUTO_BUFFER part = { 0 };
	size_t done;
	enum hf_err err = buffer_reserve(&part, HF_STREAM_CHUNK_MAX);

	if (err != HF_OK)
		return hf_fail(why, err, "%s", hf_err_sentence(err));
	part.len = part.cap; /* what is to be wiped */
	do {
		size_t most =
		    p->length < part.cap ? (size_t)p->length : part.cap;

		err =
		    hf_sealed_read(file, p->offset, part.ptr, most, &done, why);
		if (err == HF_OK)
			err = fd_write(
			    p->job.out.fd, bytes_of(part.ptr, done), why);
		if (err != HF_OK)
			return err;
		p->offset += done;
		p->length -= done;
		p->written += done;
	} while (done > 0);
	return HF_OK;
}

static enum hf_err
open_part(struct opening *p, struct hf_client *client, struct hf_why *why)
{
	struct hf_sealed *file;
	enum hf_err err;

	progress_start("waiting for the service");
	err = hf_sealed_open(client, &p->how, p->job.in, &file, why);
	progress_stop();
	if (err != HF_OK)
		return err;
	err = copy_part(p, file, why);
	hf_sealed_close(file);
	return err;
}

/* -- The verb -- */

static int
open_with(struct opening *p, struct hf_client *client)
{
	struct hf_why why = { "" };
	enum hf_err err;
	int status =
	    outfile_open(&p->job.out, p->job.out_path, p->job.force, true);

	if (status != STATUS_OK)
		return status;
	err = p->part ? open_part(p, client, &why) : open_all(p, client, &why);
	hf_opener_free(p->opener);
	status = job_end(&p->job, err, &why);
	if (err != HF_OK && p->job.out.in_place && p->written > 0)
		(void)fail_usage("what was written before is authentic, but "
				 "not all of the file: do not use it as such");
	return status;
}

int
open_run(const struct tool *tool, int argc, char **argv)
{
	struct opening p = { .job.in = -1, .length = UINT64_MAX };
	struct hf_client *client;
	int status = parse(&p, argc, argv);

	if (status != STATUS_OK)
		return status;
	status = job_open_input(&p.job);
	if (status == STATUS_OK)
		status = tool_connect(tool, &client);
	if (status == STATUS_OK) {
		status = open_with(&p, client);
		hf_close(client);
	}
	job_close_input(&p.job);
	return status;
}
