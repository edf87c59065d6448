/* SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "bytes.h"
#include "secret.h"
#include "stream.h"

/* The NUL at its end is no part of it. */
static const char label[] = "holdfast sealed file v1";

/* What is derived, in this order: a commitment first, so that it is the first
 * block of HKDF as a whole. */
enum {
	AT_KEY = STREAM_COMMITMENT,
	AT_PREFIX = AT_KEY + STREAM_KEY,
	DERIVED = AT_PREFIX + STREAM_PREFIX,
};

/* Takes over what was derived, and makes the cipher of it. */
static enum hf_err
keys_take(struct stream_keys *keys, bool seal, struct secret *derived)
{
	struct stream_cipher *cipher;
	enum hf_err err =
	    stream_cipher_new(seal, derived->ptr + AT_KEY, &cipher);

	if (err != HF_OK)
		return err;
	keys->cipher = cipher;
	keys->pid = getpid();
	memcpy(keys->prefix, derived->ptr + AT_PREFIX, STREAM_PREFIX);
	secret_move(&keys->derived, derived);
	return HF_OK;
}

enum hf_err
stream_keys_derive(struct hf_bytes data_key, struct hf_bytes bound,
    struct hf_bytes salt, bool seal, struct stream_keys *keys,
    uint8_t commitment[STREAM_COMMITMENT])
{
	AUTO_SECRET derived = { 0 };
	enum hf_err err = secret_alloc(&derived, DERIVED);

	if (err != HF_OK)
		return err;
	err = stream_derive(
	    data_key, salt, label, bound, derived.ptr, derived.len);
	if (err == HF_OK)
		err = keys_take(keys, seal, &derived);
	if (err != HF_OK)
		return err;
	memcpy(commitment, keys->derived.ptr, STREAM_COMMITMENT);
	return HF_OK;
}

enum hf_err
stream_keys_copy(
    const struct stream_keys *from, bool seal, struct stream_keys *to)
{
	AUTO_SECRET derived = { 0 };
	enum hf_err err;

	/* Locked memory is wiped in a child: the key would be all zero. */
	if (from->cipher == NULL || from->pid != getpid())
		return HF_ERR_BAD_INPUT;
	err = secret_copy(&derived, secret_view(&from->derived));
	return err == HF_OK ? keys_take(to, seal, &derived) : err;
}

void
stream_keys_free(struct stream_keys *keys)
{
	stream_cipher_free(keys->cipher);
	secret_free(&keys->derived);
	*keys = (struct stream_keys){ 0 };
}

/* STREAM: a prefix of the file, the index of the chunk, whether it ends. */
static void
nonce_of(const struct stream_keys *keys, uint32_t index, bool last,
    uint8_t nonce[STREAM_NONCE])
{
	memcpy(nonce, keys->prefix, STREAM_PREFIX);
	put_u32(nonce + STREAM_PREFIX, index);
	nonce[STREAM_NONCE - 1] = last;
}

enum hf_err
stream_keys_seal(const struct stream_keys *keys, uint32_t index, bool last,
    struct hf_bytes in, uint8_t *out)
{
	uint8_t nonce[STREAM_NONCE];

	nonce_of(keys, index, last, nonce);
	return stream_cipher_seal(keys->cipher, nonce, in, out);
}

enum hf_err
stream_keys_open(const struct stream_keys *keys, uint32_t index, bool last,
    struct hf_bytes in, uint8_t *out)
{
	uint8_t nonce[STREAM_NONCE];

	nonce_of(keys, index, last, nonce);
	return stream_cipher_open(keys->cipher, nonce, in, out);
}
