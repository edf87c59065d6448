/* SPDX-License-Identifier: Apache-2.0 */
#include "backup_seal.h"

#include <string.h>

#include "../lib/bytes.h"
#include "crypto.h"
#include "wrapping_key.h"

enum {
	START = 6,
	FORMAT = 1,
	KIND_SAME = 1,
	KIND_OTHER = 2,
	KEY = 32,
	SEALED_KEY = KEY + HSM_SEAL_EXTRA,
	HEAD_SAME = HSM_ID + SEALED_KEY,
	HEAD_OTHER = WRAPPING_KEY_BYTES,
	TAG = 16,
};

static const uint8_t magic[] = { 'H', 'F', 'B', 'K', FORMAT };
static const uint8_t zero_nonce[12];

static const struct key_type *
payload_type(void)
{
	return key_type_by_id(KEY_AES256_GCM96);
}

/* -- The head -- */

static enum hf_err
head_same(struct server *s, struct hf_bytes key, uint8_t *out)
{
	struct hierarchy_device device;
	uint8_t *id = out + START;

	hierarchy_active(s->hierarchy, &device);
	memcpy(id, device.master_id, HSM_ID);
	return hsm_seal(
	    device.hsm, id, bytes_of(out, START + HSM_ID), key, id + HSM_ID);
}

static enum hf_err
head_other(struct hf_bytes recipient, struct hf_bytes key, uint8_t *out,
    struct hf_why *why)
{
	struct crypto_key *public;
	size_t len;
	enum hf_err err =
	    crypto_key_public(key_type_by_id(KEY_RSA_4096), recipient, &public);

	if (err == HF_ERR_BAD_INPUT || err == HF_ERR_KEY_TYPE)
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "recipient: it is not the wrapping key of a service "
		    "(RSA-4096)");
	if (err != HF_OK)
		return err;
	err = crypto_oaep_encrypt(public, key, out + START, &len);
	crypto_key_free(public);
	return err;
}

enum hf_err
backup_seal(struct server *server, struct hf_bytes recipient,
    struct hf_bytes payload, uint8_t *out, size_t *len, struct hf_why *why)
{
	bool other = recipient.ptr != NULL;
	size_t aad = START + (other ? HEAD_OTHER : HEAD_SAME);
	AUTO_SECRET key = { 0 };
	enum hf_err err;

	memcpy(out, magic, sizeof(magic));
	out[5] = other ? KIND_OTHER : KIND_SAME;
	if ((err = secret_alloc(&key, KEY)) != HF_OK ||
	    (err = crypto_random(key.ptr, KEY)) != HF_OK)
		return err;
	err = other ? head_other(recipient, secret_view(&key), out, why)
		    : head_same(server, secret_view(&key), out);
	if (err == HF_OK)
		err = crypto_seal(payload_type(), secret_view(&key),
		    bytes_of(zero_nonce, sizeof(zero_nonce)),
		    bytes_of(out, aad), payload, out + aad);
	if (err == HF_OK)
		*len = aad + payload.len + TAG;
	return err;
}

/* -- Opening -- */

static enum hf_err
open_same(struct server *s, struct hf_bytes blob, struct secret *key,
    struct hf_why *why)
{
	const uint8_t *id = blob.ptr + START;
	enum hf_err err = hierarchy_open_sealed(s->hierarchy, id,
	    bytes_of(blob.ptr, START + HSM_ID),
	    bytes_of(id + HSM_ID, SEALED_KEY), key);

	if (err == HF_ERR_HSM_UNINITIALIZED)
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "backup: it was sealed by a master key that this HSM does "
		    "not have");
	return err;
}

static enum hf_err
open_key(struct server *s, struct hf_bytes blob, bool other, struct secret *key,
    struct hf_why *why)
{
	enum hf_err err;

	if (!other)
		return open_same(s, blob, key, why);
	err = wrapping_key_decrypt(
	    s, bytes_of(blob.ptr + START, HEAD_OTHER), key);
	if (err == HF_ERR_AUTH_FAILED)
		return hf_fail(why, err,
		    "backup: it was not sealed for this service's wrapping "
		    "key");
	return err;
}

enum hf_err
backup_open(struct server *server, struct hf_bytes blob, struct secret *payload,
    bool *foreign, struct hf_why *why)
{
	bool other = blob.len > START && blob.ptr[5] == KIND_OTHER;
	size_t aad = START + (other ? HEAD_OTHER : HEAD_SAME);
	AUTO_SECRET key = { 0 };
	AUTO_SECRET plain = { 0 };
	struct hf_bytes sealed;
	enum hf_err err;

	if (blob.len <= aad + TAG ||
	    memcmp(blob.ptr, magic, sizeof(magic)) != 0 ||
	    (!other && blob.ptr[5] != KIND_SAME))
		return hf_fail(why, HF_ERR_BAD_VALUE,
		    "backup: it is not the backup of a key");
	sealed = bytes_of(blob.ptr + aad, blob.len - aad);
	if ((err = open_key(server, blob, other, &key, why)) != HF_OK)
		return err;
	if (key.len != KEY)
		return HF_ERR_AUTH_FAILED;
	if ((err = secret_alloc(&plain, sealed.len - TAG)) != HF_OK ||
	    (err = crypto_open(payload_type(), secret_view(&key),
		 bytes_of(zero_nonce, sizeof(zero_nonce)),
		 bytes_of(blob.ptr, aad), sealed, plain.ptr)) != HF_OK)
		return err;
	secret_move(payload, &plain);
	*foreign = other;
	return HF_OK;
}
