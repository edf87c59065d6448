/* SPDX-License-Identifier: Apache-2.0 */
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "bytes.h"
#include "context.h"
#include "name.h"
#include "secret.h"
#include "stream.h"

enum { REUSE_SECONDS = 60 };

/* A data key, and how much it may still be used. */
struct data_key {
	struct secret key; /* empty: none */
	uint8_t wrapped[STREAM_WRAPPED_MAX];
	size_t wrapped_len;
	pid_t pid; /* locked memory is wiped in a child */
	uint32_t files_left;
	int64_t until; /* of monotonic_now() */
};

struct hf_sealer {
	struct hf_client *client;
	char name[NAME_LONGEST];
	size_t name_len;
	struct hf_uint key_version;
	uint8_t context[CONTEXT_BYTES];
	size_t context_len;
	uint32_t chunk_size, reuse_files, reuse_seconds;
	struct data_key data_key;
	/* The present file. */
	struct stream_keys keys;
	_Atomic uint64_t index; /* of the chunk that comes next */
	uint8_t header[HF_STREAM_HEADER_MAX];
};

/* Seconds that go on while the machine sleeps. */
static int64_t
monotonic_now(void)
{
	struct timespec t = { 0 };

	(void)clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec;
}

static struct hf_text
name_of(const struct hf_sealer *s)
{
	return (struct hf_text){ s->name, s->name_len };
}

/* -- Sealers -- */

static enum hf_err
take_how(struct hf_sealer *s, const struct hf_seal_how *how, struct hf_why *why)
{
	if (!name_valid(how->key))
		return hf_fail(why, HF_ERR_BAD_NAME, "the name of a key: %s",
		    hf_err_sentence(HF_ERR_BAD_NAME));
	if (how->chunk_size != 0 && !stream_chunk_size_ok(how->chunk_size))
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "the size of a chunk is a power of two from %d to %d",
		    HF_STREAM_CHUNK_MIN, HF_STREAM_CHUNK_MAX);
	memcpy(s->name, how->key.ptr, how->key.len);
	s->name_len = how->key.len;
	s->key_version = how->key_version;
	s->chunk_size =
	    how->chunk_size != 0 ? how->chunk_size : HF_STREAM_CHUNK;
	s->reuse_files = how->reuse_files != 0 ? how->reuse_files : 1;
	s->reuse_seconds =
	    how->reuse_seconds != 0 ? how->reuse_seconds : REUSE_SECONDS;
	return context_encode(
	    how->context, how->context_count, s->context, &s->context_len, why);
}

enum hf_err
hf_sealer_new(struct hf_client *client, const struct hf_seal_how *how,
    struct hf_sealer **out, struct hf_why *why)
{
	struct hf_sealer *s = calloc(1, sizeof(*s));
	enum hf_err err;

	if (s == NULL)
		return hf_fail(why, HF_ERR_NO_MEMORY, "%s",
		    hf_err_sentence(HF_ERR_NO_MEMORY));
	s->client = client;
	if ((err = take_how(s, how, why)) != HF_OK) {
		hf_sealer_free(s);
		return err;
	}
	*out = s;
	return HF_OK;
}

void
hf_sealer_free(struct hf_sealer *s)
{
	if (s == NULL)
		return;
	stream_keys_free(&s->keys);
	secret_free(&s->data_key.key);
	free(s);
}

size_t
hf_sealer_chunk_size(const struct hf_sealer *s)
{
	return s->chunk_size;
}

/* -- Data keys -- */

/* Keeps what the service gave; the limits of its use start here. */
static enum hf_err
keep_data_key(struct hf_sealer *s, struct hf_bytes key, struct hf_bytes wrapped)
{
	struct data_key *d = &s->data_key;
	enum hf_err err;

	if (key.len != STREAM_KEY || wrapped.len == 0 ||
	    wrapped.len > sizeof(d->wrapped))
		return HF_ERR_BAD_REPLY;
	secret_free(&d->key);
	if ((err = secret_copy(&d->key, key)) != HF_OK)
		return err;
	memcpy(d->wrapped, wrapped.ptr, wrapped.len);
	d->wrapped_len = wrapped.len;
	d->pid = getpid();
	d->files_left = s->reuse_files;
	d->until = monotonic_now() + s->reuse_seconds;
	return HF_OK;
}

static enum hf_err
ask_data_key(struct hf_sealer *s, struct hf_why *why)
{
	struct hf_datakey_in in = { .name = name_of(s),
		.item.bits = 8 * STREAM_KEY,
		.item.key_version = s->key_version };
	struct hf_pair context[CONTEXT_PAIRS];
	struct hf_datakey_out out;
	enum hf_err err = context_decode(bytes_of(s->context, s->context_len),
	    context, &in.item.encryption_context_count, why);

	if (err != HF_OK)
		return err;
	if (in.item.encryption_context_count > 0)
		in.item.encryption_context = context;
	err = hf_transit_datakey_plaintext(s->client, &in, &out, why);
	if (err != HF_OK)
		return err;
	err = keep_data_key(s, out.result.plaintext, out.result.ciphertext);
	hf_forget(s->client);
	return err == HF_OK
	    ? HF_OK
	    : hf_fail(why, err, "the data key: %s", hf_err_sentence(err));
}

static bool
reusable(const struct data_key *d)
{
	return d->key.ptr != NULL && d->pid == getpid() && d->files_left > 0 &&
	    monotonic_now() < d->until;
}

/* -- Files -- */

static enum hf_err
begin(struct hf_sealer *s, const uint8_t salt[STREAM_SALT],
    struct hf_bytes *header, struct hf_why *why)
{
	struct data_key *d = &s->data_key;
	struct hf_bytes bound;
	uint8_t *commitment;
	size_t len;
	enum hf_err err;

	err = stream_header_write(s->chunk_size,
	    bytes_of(s->context, s->context_len), salt, name_of(s),
	    bytes_of(d->wrapped, d->wrapped_len), s->header, &len, &commitment);
	if (err != HF_OK)
		return hf_fail(
		    why, err, "the wrapped data key is too long for a header");
	bound = bytes_of(s->header, (size_t)(commitment - s->header));
	err = stream_keys_derive(secret_view(&d->key), bound,
	    bytes_of(salt, STREAM_SALT), true, &s->keys, commitment);
	if (err != HF_OK)
		return hf_fail(why, err, "%s", hf_err_sentence(err));
	atomic_store(&s->index, 0);
	d->files_left--;
	if (d->files_left == 0)
		secret_free(&d->key);
	*header = bytes_of(s->header, len);
	return HF_OK;
}

enum hf_err
hf_seal_begin(struct hf_sealer *s, struct hf_bytes *header, struct hf_why *why)
{
	uint8_t salt[STREAM_SALT];
	enum hf_err err;

	stream_keys_free(&s->keys);
	if (!reusable(&s->data_key) && (err = ask_data_key(s, why)) != HF_OK)
		return err;
	if ((err = stream_random(salt, sizeof(salt))) != HF_OK)
		return hf_fail(why, err, "%s", hf_err_sentence(err));
	return begin(s, salt, header, why);
}

enum hf_err
stream_seal_begin_with(struct hf_sealer *s, struct hf_bytes data_key,
    struct hf_bytes wrapped, const uint8_t salt[STREAM_SALT],
    struct hf_bytes *header, struct hf_why *why)
{
	enum hf_err err;

	stream_keys_free(&s->keys);
	if ((err = keep_data_key(s, data_key, wrapped)) != HF_OK)
		return err;
	return begin(s, salt, header, why);
}

/* What stands against going on with the present file; NULL: nothing. */
static const char *
file_objection(const struct hf_sealer *s)
{
	if (s->keys.cipher == NULL)
		return "no file was begun, or it is finished";
	if (s->keys.pid != getpid())
		return "the file was begun by the parent of this process";
	return NULL;
}

static const char too_many[] =
    "the file has as many chunks as there can be; larger chunks make longer "
    "files";

/* The same for sealing this as the chunk of that index. */
static const char *
objection(const struct hf_sealer *s, uint64_t index, size_t len, bool last)
{
	const char *wrong = file_objection(s);

	if (wrong != NULL)
		return wrong;
	if (index >= STREAM_CHUNKS)
		return too_many;
	if (len > s->chunk_size || (len < s->chunk_size && !last))
		return "only the last chunk may have another size";
	if (len == 0 && index > 0)
		return "only the one chunk of an empty file may be empty";
	return NULL;
}

enum hf_err
hf_seal_chunk(struct hf_sealer *s, struct hf_bytes in, bool last, uint8_t *out,
    struct hf_why *why)
{
	uint64_t index = atomic_load(&s->index);
	const char *wrong = objection(s, index, in.len, last);
	enum hf_err err;

	if (wrong != NULL)
		return hf_fail(why, HF_ERR_BAD_INPUT, "%s", wrong);
	atomic_store(&s->index, index + 1);
	err = stream_keys_seal(&s->keys, (uint32_t)index, last, in, out);
	/* After an error too: a nonce is never used a second time. */
	if (err != HF_OK || last)
		stream_keys_free(&s->keys);
	if (err != HF_OK)
		return hf_fail(why, err, "%s", hf_err_sentence(err));
	return HF_OK;
}

/* -- Several threads at one file -- */

const struct stream_keys *
stream_seal_keys(const struct hf_sealer *s)
{
	return &s->keys;
}

enum hf_err
stream_seal_take(
    struct hf_sealer *s, uint64_t count, uint64_t *first, struct hf_why *why)
{
	const char *wrong = file_objection(s);
	uint64_t index = atomic_load(&s->index);

	if (wrong != NULL)
		return hf_fail(why, HF_ERR_BAD_INPUT, "%s", wrong);
	do {
		/* One must be left, to be the last. */
		if (count >= STREAM_CHUNKS - index)
			return hf_fail(why, HF_ERR_BAD_INPUT, "%s", too_many);
	} while (
	    !atomic_compare_exchange_weak(&s->index, &index, index + count));
	*first = index;
	return HF_OK;
}
