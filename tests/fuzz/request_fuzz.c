/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a request, through the whole pipeline, by a caller who may do
 * nearly everything: there is always a reply, and it can be read. Keys of each
 * cheap type are there; what makes the HSM work long is denied.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../lib/bytes.h"
#include "../../lib/envelope.h"
#include "../fake/service.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct service service;

static const char rules[] =
    "path \"*\" { " ALL_CAPABILITIES " "
    "denied_parameters = { \"type\" = [\"rsa-*\"] \"level\" = [\"hsm\"] } }\n"
    "path \"sys/hsm/probe\" { capabilities = [\"deny\"] }\n"
    "path \"sys/hsm/rotate-master\" { capabilities = [\"deny\"] }\n"
    "path \"sys/policies/reload\" { capabilities = [\"deny\"] }\n";

static void
make_key(const char *name, const char *type)
{
	struct hf_key_create_in in = { .name = text_of(name),
		.type = text_of(type) };
	struct hf_key_info out;

	if (service_call(&service, "key.create", &in, &out, NULL) != HF_OK)
		abort();
}

static void
start(void)
{
	if (!service_start(&service, true))
		abort();
	service_policy(&service, rules);
	make_key("aead", "aes256-gcm96");
	make_key("ec", "ecdsa-p256");
	make_key("ed", "ed25519");
	make_key("mac", "hmac");
}

static void
stop(void)
{
	service_stop(&service);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static _Alignas(16) uint8_t out[4096];
	static bool started;
	const struct schema *schema;

	if (size > 65536)
		return 0;
	if (!started) {
		start();
		started = true;
		(void)atexit(stop);
	}
	service_reset(&service);
	if (service_run(&service, bytes_of(data, size)) != HF_OK)
		abort();
	/* What has no operation gets an error, which any schema reads. */
	schema = service.rq.op != NULL ? service.rq.op->out : ops[0].out;
	if (schema->size > sizeof(out) ||
	    envelope_open_reply(service.rq.reply, schema, service.worker, out,
		NULL) == HF_ERR_BAD_REPLY)
		abort();
	return 0;
}
