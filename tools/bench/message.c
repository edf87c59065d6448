/* SPDX-License-Identifier: Apache-2.0 */
#include "message.h"

#include <stdlib.h>

#include "../../lib/bytes.h"
#include "../../lib/envelope.h"
#include "../../lib/ops.h"
#include "bench.h"

static uint8_t *
message_of(const char *op, const void *in, size_t *len)
{
	const struct op *o = op_by_name(text_of(op));
	uint8_t *buf;

	*len = 0;
	/* The first pass only counts. */
	if (o == NULL ||
	    envelope_request(text_of(op), o->in, in, NULL, 0, len) !=
		HF_ERR_BUFFER_TOO_SMALL)
		return NULL;
	buf = malloc(*len);
	if (buf != NULL &&
	    envelope_request(text_of(op), o->in, in, buf, *len, len) == HF_OK)
		return buf;
	free(buf);
	return NULL;
}

uint8_t *
message_encrypt(const char *key, unsigned items, size_t *len)
{
	static const uint8_t plaintext[PAYLOAD];
	struct hf_encrypt_in in = { .name = text_of(key) };
	uint8_t *message;

	if (items == 0) {
		in.item.plaintext = bytes_of(plaintext, PAYLOAD);
		return message_of("transit.encrypt", &in, len);
	}
	in.batch_input = calloc(items, sizeof(*in.batch_input));
	if (in.batch_input == NULL)
		return NULL;
	in.batch_input_count = items;
	for (unsigned i = 0; i < items; i++)
		in.batch_input[i].plaintext = bytes_of(plaintext, PAYLOAD);
	message = message_of("transit.encrypt", &in, len);
	free(in.batch_input);
	return message;
}

uint8_t *
message_sign(const char *key, bool rsa, size_t *len)
{
	static const uint8_t digest[32] = { 1 };
	struct hf_sign_in in = { .name = text_of(key),
		.item.input = bytes_of(digest, sizeof(digest)),
		.prehashed = true,
		.hash_algorithm = text_of("sha2-256") };

	if (rsa)
		in.signature_algorithm = text_of("pkcs1v15");
	return message_of("transit.sign", &in, len);
}

uint8_t *
message_hmac(const char *key, size_t *len)
{
	static const uint8_t input[PAYLOAD];
	struct hf_hmac_in in = { .name = text_of(key),
		.item.input = bytes_of(input, PAYLOAD) };

	return message_of("transit.hmac", &in, len);
}

uint8_t *
message_create(const char *key, const char *type, size_t *len)
{
	struct hf_key_create_in in = { .name = text_of(key),
		.type = text_of(type) };

	return message_of("key.create", &in, len);
}

uint8_t *
message_decrypt(
    const char *key, struct hf_bytes reply, struct arena *arena, size_t *len)
{
	struct hf_encrypt_out out;
	struct hf_why why;
	struct hf_decrypt_in in = { .name = text_of(key) };

	if (envelope_open_reply(
		reply, &schema_encrypt_out, arena, &out, &why) != HF_OK)
		return NULL;
	in.item.ciphertext = out.result.ciphertext;
	return message_of("transit.decrypt", &in, len);
}
