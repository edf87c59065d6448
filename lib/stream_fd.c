/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "buffer.h"
#include "bytes.h"
#include "fd.h"
#include "stream.h"

static enum hf_err
out_of_memory(struct hf_why *why)
{
	return hf_fail(
	    why, HF_ERR_NO_MEMORY, "%s", hf_err_sentence(HF_ERR_NO_MEMORY));
}

/* -- Pieces of one size, and a last one -- */

/*
 * Whether a piece is the last is known when a byte more was asked for; that
 * byte is kept for the next.
 */
struct pieces {
	int fd;
	size_t unit;
	struct buffer buffer; /* a unit and one byte */
	size_t got;           /* bytes in it */
};

static enum hf_err
pieces_start(struct pieces *p, int fd, size_t unit)
{
	*p = (struct pieces){ .fd = fd, .unit = unit };
	return buffer_reserve(&p->buffer, unit + 1);
}

static enum hf_err
pieces_next(
    struct pieces *p, struct hf_bytes *piece, bool *last, struct hf_why *why)
{
	uint8_t *buf = p->buffer.ptr;
	size_t kept = p->got > p->unit, n;
	enum hf_err err;

	if (kept)
		buf[0] = buf[p->unit];
	p->buffer.len = p->unit + 1; /* what is to be wiped */
	err = fd_read(p->fd, buf + kept, p->unit + 1 - kept, &n, why);
	if (err != HF_OK)
		return err;
	p->got = kept + n;
	*last = p->got <= p->unit;
	*piece = bytes_of(buf, *last ? p->got : p->unit);
	return HF_OK;
}

/* -- Whole files -- */

static enum hf_err
seal_pieces(struct hf_sealer *sealer, struct pieces *in, int out,
    struct buffer *sealed, struct hf_why *why)
{
	struct hf_bytes piece;
	bool last = false;
	enum hf_err err;

	while (!last) {
		err = pieces_next(in, &piece, &last, why);
		if (err != HF_OK)
			return err;
		err = hf_seal_chunk(sealer, piece, last, sealed->ptr, why);
		if (err != HF_OK)
			return err;
		err = fd_write(
		    out, bytes_of(sealed->ptr, piece.len + STREAM_TAG), why);
		if (err != HF_OK)
			return err;
	}
	return HF_OK;
}

enum hf_err
hf_seal_fd(struct hf_sealer *sealer, int in, int out, struct hf_why *why)
{
	size_t chunk = hf_sealer_chunk_size(sealer);
	struct pieces pieces = { 0 };
	AUTO_BUFFER sealed = { 0 };
	struct hf_bytes header;
	enum hf_err err;

	if (pieces_start(&pieces, in, chunk) != HF_OK ||
	    buffer_reserve(&sealed, chunk + STREAM_TAG) != HF_OK)
		err = out_of_memory(why);
	else if ((err = hf_seal_begin(sealer, &header, why)) == HF_OK &&
	    (err = fd_write(out, header, why)) == HF_OK)
		err = seal_pieces(sealer, &pieces, out, &sealed, why);
	buffer_free(&pieces.buffer);
	return err;
}

static enum hf_err
open_pieces(struct hf_opener *opener, struct pieces *in, int out,
    struct buffer *plain, struct hf_why *why)
{
	struct hf_bytes piece;
	bool last = false;
	enum hf_err err;

	for (uint64_t index = 0; !last; index++) {
		err = pieces_next(in, &piece, &last, why);
		if (err != HF_OK)
			return err;
		plain->len = plain->cap; /* what is to be wiped */
		err =
		    hf_open_chunk(opener, index, last, piece, plain->ptr, why);
		if (err != HF_OK)
			return err;
		err = fd_write(
		    out, bytes_of(plain->ptr, piece.len - STREAM_TAG), why);
		if (err != HF_OK)
			return err;
	}
	return HF_OK;
}

enum hf_err
stream_header_load(int fd, uint8_t header[HF_STREAM_HEADER_MAX], size_t *len,
    struct hf_why *why)
{
	size_t got, size;
	enum hf_err err = fd_read(fd, header, STREAM_START, &got, why);

	if (err != HF_OK)
		return err;
	err = hf_stream_measure(bytes_of(header, got), &size, why);
	if (err != HF_OK)
		return err;
	err =
	    fd_read(fd, header + STREAM_START, size - STREAM_START, &got, why);
	if (err == HF_OK)
		*len = STREAM_START + got;
	return err;
}

enum hf_err
hf_open_fd(struct hf_client *client, const struct hf_open_how *how, int in,
    int out, struct hf_why *why)
{
	uint8_t header[HF_STREAM_HEADER_MAX];
	struct hf_opener *opener;
	struct pieces pieces = { 0 };
	AUTO_BUFFER plain = { 0 };
	size_t len, chunk;
	enum hf_err err = stream_header_load(in, header, &len, why);

	if (err != HF_OK)
		return err;
	err = hf_opener_new(client, bytes_of(header, len), how, &opener, why);
	if (err != HF_OK)
		return err;
	chunk = hf_opener_info(opener)->chunk_size;
	if (pieces_start(&pieces, in, chunk + STREAM_TAG) != HF_OK ||
	    buffer_reserve(&plain, chunk) != HF_OK)
		err = out_of_memory(why);
	else
		err = open_pieces(opener, &pieces, out, &plain, why);
	buffer_free(&pieces.buffer);
	hf_opener_free(opener);
	return err;
}

/* -- Random access -- */

struct hf_sealed {
	int fd;
	struct hf_opener *opener;
	uint64_t chunks, size;
	struct buffer sealed, plain; /* a chunk each */
	uint64_t kept;               /* index of the chunk in `plain` */
	bool any;                    /* whether there is one */
};

/* How many bytes of plaintext the chunk of that index has. */
static size_t
chunk_length(const struct hf_sealed *f, uint64_t index)
{
	uint64_t chunk = hf_opener_info(f->opener)->chunk_size;
	uint64_t rest = f->size - index * chunk;

	return (size_t)(rest < chunk ? rest : chunk);
}

/* Brings a chunk into `plain`. */
static enum hf_err
load(struct hf_sealed *f, uint64_t index, struct hf_why *why)
{
	const struct hf_stream_info *info = hf_opener_info(f->opener);
	uint64_t unit = info->chunk_size + STREAM_TAG;
	size_t want = chunk_length(f, index) + STREAM_TAG, got;
	enum hf_err err;

	if (f->any && f->kept == index)
		return HF_OK;
	f->any = false;
	err = fd_pread(f->fd, f->sealed.ptr, want,
	    info->header_size + index * unit, &got, why);
	if (err != HF_OK)
		return err;
	if (got < want)
		return hf_fail(why, HF_ERR_TRUNCATED,
		    "the sealed file became shorter while it was read");
	f->plain.len = f->plain.cap; /* what is to be wiped */
	err = hf_open_chunk(f->opener, index, index == f->chunks - 1,
	    bytes_of(f->sealed.ptr, got), f->plain.ptr, why);
	if (err != HF_OK)
		return err;
	f->kept = index;
	f->any = true;
	return HF_OK;
}

static enum hf_err
sealed_start(struct hf_sealed *f, struct hf_client *client,
    const struct hf_open_how *how, struct hf_why *why)
{
	uint8_t header[HF_STREAM_HEADER_MAX];
	const struct hf_stream_info *info;
	struct stat st;
	size_t got;
	enum hf_err err;

	if (fstat(f->fd, &st) != 0)
		return hf_fail(
		    why, HF_ERR_SYSTEM, "reading: %s", strerrordesc_np(errno));
	if (!S_ISREG(st.st_mode))
		return hf_fail(why, HF_ERR_BAD_INPUT,
		    "random access takes a regular file");
	err = fd_pread(f->fd, header, sizeof(header), 0, &got, why);
	if (err != HF_OK)
		return err;
	err =
	    hf_opener_new(client, bytes_of(header, got), how, &f->opener, why);
	if (err != HF_OK)
		return err;
	info = hf_opener_info(f->opener);
	err = hf_stream_locate(
	    info, (uint64_t)st.st_size, &f->chunks, &f->size, why);
	if (err != HF_OK)
		return err;
	if (buffer_reserve(&f->sealed, info->chunk_size + STREAM_TAG) !=
		HF_OK ||
	    buffer_reserve(&f->plain, info->chunk_size) != HF_OK)
		return out_of_memory(why);
	return load(f, f->chunks - 1, why);
}

enum hf_err
hf_sealed_open(struct hf_client *client, const struct hf_open_how *how, int fd,
    struct hf_sealed **out, struct hf_why *why)
{
	struct hf_sealed *f = calloc(1, sizeof(*f));
	enum hf_err err;

	if (f == NULL)
		return out_of_memory(why);
	f->fd = fd;
	if ((err = sealed_start(f, client, how, why)) != HF_OK) {
		hf_sealed_close(f);
		return err;
	}
	*out = f;
	return HF_OK;
}

void
hf_sealed_close(struct hf_sealed *f)
{
	if (f == NULL)
		return;
	hf_opener_free(f->opener);
	buffer_free(&f->sealed);
	buffer_free(&f->plain);
	free(f);
}

uint64_t
hf_sealed_size(const struct hf_sealed *f)
{
	return f->size;
}

enum hf_err
hf_sealed_read(struct hf_sealed *f, uint64_t offset, uint8_t *out, size_t len,
    size_t *done, struct hf_why *why)
{
	uint64_t chunk = hf_opener_info(f->opener)->chunk_size;
	size_t at = 0;
	enum hf_err err;

	while (at < len && offset < f->size) {
		size_t within = (size_t)(offset % chunk);
		size_t n = chunk_length(f, offset / chunk) - within;

		if ((err = load(f, offset / chunk, why)) != HF_OK)
			return err;
		if (n > len - at)
			n = len - at;
		memcpy(out + at, f->plain.ptr + within, n);
		at += n;
		offset += n;
	}
	*done = at;
	return HF_OK;
}
