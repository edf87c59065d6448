/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates, requests and private keys as people send them: whatever the
 * bytes are, an answer; what is taken for a chain can be shown.
 */
#include <stdlib.h>

#include "../../keyd/crypto_pkcs8.h"
#include "../../keyd/crypto_x509.h"
#include "../../lib/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum hf_err
no_signature(void *ctx, const struct sign_how *how, struct hf_bytes tbs,
    uint8_t *out, size_t *len)
{
	(void)ctx;
	(void)how;
	(void)tbs;
	memset(out, 0, 64);
	*len = 64;
	return HF_OK;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* SubjectPublicKeyInfo of Ed25519 (RFC 8410), the key all zeros. */
	static uint8_t spki[44] = { 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b,
		0x65, 0x70, 0x03, 0x21, 0x00 };
	static uint8_t chain[CERT_CHAIN_MAX];
	static char pem[CERT_PEM_MAX];
	const struct cert_key key = { key_type_by_id(KEY_ED25519),
		{ spki, sizeof(spki) }, no_signature, NULL };
	const struct cert_subject who = { { (const char *)data, size }, NULL,
		0 };
	const struct hf_text text = { (const char *)data, size };
	AUTO_SECRET private = { 0 };
	struct hf_why why;
	size_t len;

	if (crypto_init(&why) != HF_OK)
		abort();
	if (size == 0 || size > CERT_PEM_MAX)
		return 0;
	if (cert_chain_read(text, chain, &len, &why) == HF_OK) {
		(void)cert_chain_check(
		    key.type, bytes_of(chain, len), key.spki, &why);
		if (cert_chain_pem(bytes_of(chain, len), pem, sizeof(pem)) !=
		    HF_OK)
			abort();
	}
	(void)cert_request(
	    &key, bytes_of(data, size), &who, pem, sizeof(pem), &why);
	(void)cert_request(
	    &key, (struct hf_bytes){ 0 }, &who, pem, sizeof(pem), &why);
	(void)crypto_private_read(bytes_of(data, size), &private);
	return 0;
}
