/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a request while memory and OpenSSL fail, as libfido2 tests
 * itself: each call that scarce.h lists fails by a chance that the first bytes
 * decide. There is a reply or none could be made, and the service is well
 * afterwards: what it encrypted before it still decrypts.
 */
#include <stdlib.h>
#include <string.h>

#include "../../lib/bytes.h"
#include "../../lib/envelope.h"
#include "../fake/must.h"
#include "../fake/service.h"
#include "scarce.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD = 3 };

static struct service service;
static uint8_t sealed[128];
static size_t sealed_len;

static void
make_key(const char *name, const char *type)
{
	struct hf_key_create_in in = { .name = text_of(name),
		.type = text_of(type) };
	struct hf_key_info out;

	must(service_call(&service, "key.create", &in, &out, NULL) == HF_OK);
}

static void
start(void)
{
	static const char rules[] = "path \"transit/*\" { capabilities = "
				    "[\"create\", \"read\", \"update\", "
				    "\"list\"] denied_parameters = "
				    "{ \"type\" = [\"rsa-*\"] "
				    "\"level\" = [\"hsm\"] } }";
	struct hf_encrypt_in in = { .name = TEXT("aead"),
		.item = { .plaintext = bytes_of("what it was", 11) } };
	struct hf_encrypt_out out;

	must(service_start(&service, true));
	service_policy(&service, rules);
	make_key("aead", "aes256-gcm96");
	make_key("ec", "ecdsa-p256");
	make_key("ed", "ed25519");
	make_key("mac", "hmac");
	must(service_call(&service, "transit.encrypt", &in, &out, NULL) ==
	    HF_OK);
	sealed_len = out.result.ciphertext.len;
	must(sealed_len <= sizeof(sealed));
	memcpy(sealed, out.result.ciphertext.ptr, sealed_len);
}

static void
stop(void)
{
	service_stop(&service);
}

static void
must_be_well(void)
{
	struct hf_decrypt_in in = { .name = TEXT("aead"),
		.item = { .ciphertext = bytes_of(sealed, sealed_len) } };
	struct hf_decrypt_out out;

	must(service_call(&service, "transit.decrypt", &in, &out, NULL) ==
	    HF_OK);
	must(bytes_equal(out.result.plaintext, bytes_of("what it was", 11)));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static _Alignas(16) uint8_t out[4096];
	static bool started;
	const struct schema *schema;
	enum hf_err err;

	if (size < HEAD || size > 4096)
		return 0;
	if (!started) {
		start();
		started = true;
		(void)atexit(stop);
	}
	service_reset(&service);
	scarce_from((unsigned)data[0] << 8 | data[1], 2U + data[2] % 64U);
	err = service_run(&service, bytes_of(data + HEAD, size - HEAD));
	scarce_end();
	if (err == HF_OK) {
		schema =
		    service.rq.op != NULL ? service.rq.op->out : ops[0].out;
		must(schema->size <= sizeof(out));
		must(envelope_open_reply(service.rq.reply, schema,
			 service.worker, out, NULL) != HF_ERR_BAD_REPLY);
	} else {
		must(err == HF_ERR_NO_MEMORY || err == HF_ERR_AUDIT ||
		    err == HF_ERR_CRYPTO);
	}
	must_be_well();
	return 0;
}
