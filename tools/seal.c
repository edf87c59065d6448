/* SPDX-License-Identifier: Apache-2.0 */
/* holdfast seal: a file of any size under a key of the service. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../lib/buffer.h"
#include "../lib/bytes.h"
#include "../lib/fd.h"
#include "../lib/stream.h"
#include "json.h"
#include "progress.h"
#include "sealed.h"
#include "table.h"

struct seal {
	struct job job;
	struct hf_seal_how how;
	const char *key;
	bool info, rewrap;
	struct hf_sealer *sealer;
};

/* -- Arguments -- */

static int
take_number(struct seal *s, struct options *o)
{
	bool chunk = option_is(o, "chunk-size");
	uint64_t v;
	int status = job_number(o, &v);

	if (status != STATUS_OK)
		return status;
	/* What is wrong with a chunk of 0 bytes, 1 byte shows as well. */
	if (chunk)
		s->how.chunk_size = v == 0 || v > UINT32_MAX ? 1 : (uint32_t)v;
	else
		s->how.key_version = (struct hf_uint){ v, true };
	return STATUS_OK;
}

static int
take(struct seal *s, struct options *o)
{
	bool taken;
	int status = job_take(&s->job, o, &taken);

	if (status != STATUS_OK || taken)
		return status;
	if (option_is(o, "chunk-size") || option_is(o, "key-version"))
		return take_number(s, o);
	if (option_is(o, "info"))
		s->info = true;
	else if (option_is(o, "rewrap"))
		s->rewrap = true;
	else if (o->name == NULL && s->key == NULL)
		s->key = o->value;
	else if (o->name == NULL && s->job.in_path == NULL)
		s->job.in_path = o->value;
	else
		return job_stranger("seal", o);
	return STATUS_OK;
}

static int
parse(struct seal *s, int argc, char **argv)
{
	struct options o = { .argc = argc, .argv = argv };
	int status;

	while (options_next(&o))
		if ((status = take(s, &o)) != STATUS_OK)
			return status;
	if (s->info || s->rewrap) {
		/* There is no key to name: the one word is the file. */
		if (s->key == NULL || s->job.in_path != NULL)
			return fail_usage(
			    "--%s takes one FILE", s->info ? "info" : "rewrap");
		s->job.in_path = s->key;
		return STATUS_OK;
	}
	if (s->key == NULL)
		return fail_usage("which key? 'holdfast seal KEY [FILE]'");
	s->how.key = text_of(s->key);
	s->how.context = s->job.context;
	s->how.context_count = s->job.context_count;
	return STATUS_OK;
}

/* -- Sealing -- */

static enum hf_err
work(void *ctx, struct hf_bytes in, bool last, uint8_t *out, size_t *len,
    struct hf_why *why)
{
	struct seal *s = ctx;
	size_t chunk = hf_sealer_chunk_size(s->sealer), at = 0;
	enum hf_err err;

	do {
		size_t n = in.len - at < chunk ? in.len - at : chunk;

		err = hf_seal_chunk(s->sealer, bytes_of(in.ptr + at, n),
		    last && at + n == in.len, out + *len, why);
		if (err != HF_OK)
			return err;
		at += n;
		*len += n + HF_STREAM_TAG;
	} while (at < in.len);
	return HF_OK;
}

/* -- The same from several threads -- */

static enum hf_err
lane_open(void *ctx, void **lane, struct hf_why *why)
{
	const struct seal *s = ctx;
	struct stream_lane *own;
	enum hf_err err = stream_lane_new(s->sealer, &own, why);

	if (err == HF_OK)
		*lane = own;
	return err;
}

static void
lane_close(void *lane)
{
	stream_lane_free(lane);
}

static enum hf_err
lane_next(void *ctx, void *lane, uint64_t *block, struct hf_why *why)
{
	const struct seal *s = ctx;
	size_t units = job_units(hf_sealer_chunk_size(s->sealer));
	uint64_t first;
	enum hf_err err = stream_lane_take(lane, units, &first, why);

	if (err == HF_OK)
		*block = first / units;
	return err;
}

static enum hf_err
lane_work(void *lane, uint64_t block, struct hf_bytes in, uint8_t *out,
    struct hf_why *why)
{
	size_t chunk = stream_lane_chunk_size(lane);
	enum hf_err err = HF_OK;

	(void)block; /* those that it took */
	for (size_t at = 0; at < in.len && err == HF_OK; at += chunk) {
		err = stream_lane_seal(
		    lane, bytes_of(in.ptr + at, chunk), out, why);
		out += chunk + HF_STREAM_TAG;
	}
	return err;
}

/* -- All of it -- */

static enum hf_err
seal_data(struct seal *s, struct hf_why *why)
{
	size_t chunk = hf_sealer_chunk_size(s->sealer);
	size_t units = job_units(chunk);
	struct lanes lanes = { .block = units * chunk,
		.result = units * (chunk + HF_STREAM_TAG),
		.open = lane_open,
		.close = lane_close,
		.next = lane_next,
		.work = lane_work,
		.ctx = s };
	struct pump pump = { .work = work, .ctx = s };

	return job_run(&s->job, &lanes, &pump, why);
}

static enum hf_err
seal_all(struct seal *s, struct hf_why *why)
{
	struct hf_bytes header;
	enum hf_err err;

	progress_start("waiting for the service");
	err = hf_seal_begin(s->sealer, &header, why);
	progress_stop();
	if (err != HF_OK ||
	    (err = fd_write(s->job.out.fd, header, why)) != HF_OK)
		return err;
	bar_start(&s->job.bar, "sealing", s->job.size, s->job.quiet);
	return seal_data(s, why);
}

static int
seal_with(struct seal *s, struct hf_client *client)
{
	struct hf_why why = { "" };
	enum hf_err err = hf_sealer_new(client, &s->how, &s->sealer, &why);
	int status;

	if (err != HF_OK)
		return fail_service(err, &why);
	status =
	    outfile_open(&s->job.out, s->job.out_path, s->job.force, false);
	if (status == STATUS_OK)
		status = job_end(&s->job, seal_all(s, &why), &why);
	hf_sealer_free(s->sealer);
	return status;
}

static int
seal(const struct tool *tool, struct seal *s)
{
	struct hf_client *client;
	int status;

	if ((s->job.out_path == NULL || strcmp(s->job.out_path, "-") == 0) &&
	    isatty(STDOUT_FILENO))
		return fail_usage("a sealed file is nothing for a terminal; "
				  "--out FILE says where it goes");
	status = tool_connect(tool, &client);
	if (status == STATUS_OK) {
		status = seal_with(s, client);
		hf_close(client);
	}
	return status;
}

/* -- What a file says about itself -- */

struct shown {
	struct hf_text key;
	uint64_t key_version, chunk_size, header_size, chunks, size;
	struct hf_pair *context;
	size_t context_count;
};

/* clang-format off */
SCHEMA(pair_schema, hf_pair,
	F(hf_pair, "name",  name,  0, 0, ALWAYS, NULL, "name"),
	F(hf_pair, "value", value, 0, 0, ALWAYS, NULL, "value"));

SCHEMA(shown_schema, shown,
	F(shown, "key",         key,         0, 0, ALWAYS, NULL, "name of the key"),
	F(shown, "key_version", key_version, 0, 0, ALWAYS, NULL, "its version"),
	F(shown, "header_size", header_size, 0, 0, ALWAYS, NULL, "bytes before the chunks"),
	F(shown, "chunk_size",  chunk_size,  0, 0, ALWAYS, NULL, "bytes of plaintext in a chunk"),
	F(shown, "chunks",      chunks,      0, 0, 0,      NULL, "how many"),
	F(shown, "size",        size,        0, 0, ALWAYS, NULL, "bytes of plaintext in all"),
	LIST(shown, "context", context, 0, &pair_schema, 0, "what it is bound to"));
/* clang-format on */

static int
show(const struct tool *tool, const struct shown *shown)
{
	AUTO_BUFFER json = { 0 };

	if (!tool->json)
		table_print(stdout, &shown_schema, shown);
	else if (json_write(&shown_schema, shown, &json) == HF_OK)
		(void)fwrite(json.ptr, 1, json.len, stdout);
	if (fflush(stdout) != 0 || ferror(stdout))
		return fail_usage("standard output: %s", strerror(errno));
	return STATUS_OK;
}

static int
info(const struct tool *tool, struct seal *s)
{
	uint8_t header[HF_STREAM_HEADER_MAX];
	struct hf_stream_info i;
	struct hf_why why = { "" };
	struct shown shown;
	size_t len;
	enum hf_err err = stream_header_load(s->job.in, header, &len, &why);

	if (err == HF_OK)
		err = hf_stream_read(bytes_of(header, len), &i, &why);
	if (err != HF_OK)
		return fail_service(err, &why);
	shown = (struct shown){ .key = i.key,
		.key_version = i.key_version,
		.chunk_size = i.chunk_size,
		.header_size = i.header_size,
		.context = i.context,
		.context_count = i.context_count };
	if (s->job.size > 0)
		err = hf_stream_locate(
		    &i, s->job.size, &shown.chunks, &shown.size, &why);
	if (err != HF_OK)
		return fail_service(err, &why);
	return show(tool, &shown);
}

/* -- Another wrapped key -- */

enum { SECTOR = 512 };

/*
 * Writes what differs, in one sector: that is what a disk writes without
 * tearing. Half a wrapped key would be the end of the file.
 */
static enum hf_err
replace(int fd, const uint8_t *old, const uint8_t *new, size_t len,
    struct hf_why *why)
{
	size_t at = 0, count = 0;

	for (size_t i = 0; i < len; i += SECTOR)
		if (memcmp(old + i, new + i, SECTOR) != 0) {
			at = i;
			count++;
		}
	if (count > 1)
		return hf_fail(why, HF_ERR_OUT_OF_BOUNDS,
		    "the wrapped key crosses a sector of the header, and so "
		    "cannot be replaced in one write; open the file and seal "
		    "it again");
	if (count == 1 &&
	    (pwrite(fd, new + at, SECTOR, (off_t)at) != SECTOR ||
		fsync(fd) != 0))
		return hf_fail(
		    why, HF_ERR_SYSTEM, "writing: %s", strerror(errno));
	return HF_OK;
}

static enum hf_err
rewrap_with(struct seal *s, struct hf_client *client, struct hf_why *why)
{
	uint8_t old[HF_STREAM_HEADER_MAX], new[HF_STREAM_HEADER_MAX];
	size_t len;
	enum hf_err err = stream_header_load(s->job.in, old, &len, why);

	if (err == HF_OK)
		err = hf_stream_rewrap(
		    client, bytes_of(old, len), s->how.key_version, new, why);
	return err == HF_OK ? replace(s->job.in, old, new, len, why) : err;
}

static int
rewrap(const struct tool *tool, struct seal *s)
{
	struct hf_client *client;
	struct hf_why why = { "" };
	enum hf_err err;
	int status = tool_connect(tool, &client);

	if (status != STATUS_OK)
		return status;
	err = rewrap_with(s, client, &why);
	hf_close(client);
	return err == HF_OK ? STATUS_OK : fail_service(err, &why);
}

int
seal_run(const struct tool *tool, int argc, char **argv)
{
	struct seal s = { .job.in = -1 };
	int status = parse(&s, argc, argv);

	if (status != STATUS_OK)
		return status;
	s.job.update = s.rewrap;
	status = job_open_input(&s.job);
	if (status == STATUS_OK)
		status = s.info ? info(tool, &s)
		    : s.rewrap  ? rewrap(tool, &s)
				: seal(tool, &s);
	job_close_input(&s.job);
	return status;
}
