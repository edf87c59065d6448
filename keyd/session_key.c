/* SPDX-License-Identifier: Apache-2.0 */
#include "session_key.h"

#include <stdio.h>

#include "../lib/bytes.h"
#include "sealed_record.h"
#include "server.h"

static const char purpose[] = "session";

void
caller_identity(
    const struct identity *who, const char *what, char out[CALLER_IDENTITY])
{
	if (who->local)
		(void)snprintf(out, CALLER_IDENTITY, "%s/uid:%u", what,
		    (unsigned)who->uid);
	else
		(void)snprintf(
		    out, CALLER_IDENTITY, "%s/cert:%s", what, who->cert_sha256);
}

enum hf_err
session_key_seal(struct request *rq, const struct key_type *type, uint64_t uses,
    struct hf_bytes material, struct hf_bytes spki, struct hf_bytes *out)
{
	struct session_record rec = { .type = type->id,
		.uses = uses,
		.material = material,
		.spki = spki };
	AUTO_SECRET plain = { 0 };
	char identity[CALLER_IDENTITY];
	uint8_t *sealed;
	size_t len;
	enum hf_err err;

	if ((err = secret_alloc(&plain, RECORD_MAX)) != HF_OK ||
	    (err = record_encode(
		 &session_schema, &rec, plain.ptr, plain.len, &len)) != HF_OK)
		return err;
	sealed = request_alloc(rq, len + SEAL_EXTRA);
	if (sealed == NULL)
		return HF_ERR_NO_MEMORY;
	caller_identity(rq->who, purpose, identity);
	err = hierarchy_seal(rq->server->hierarchy, TEXT("default"),
	    text_of(identity), bytes_of(plain.ptr, len), sealed);
	*out = bytes_of(sealed, len + SEAL_EXTRA);
	return err;
}

enum hf_err
session_key_open(struct request *rq, struct hf_bytes sealed, struct key **out)
{
	AUTO_SECRET plain = { 0 };
	struct session_record rec;
	struct version_record version = {
		.version = 1, .state = VERSION_ENABLED, .level = LEVEL_WRAPPED
	};
	char identity[CALLER_IDENTITY];
	const struct key_type *type;
	enum hf_err err;

	caller_identity(rq->who, purpose, identity);
	err = sealed_record_open(rq->server->hierarchy, text_of(identity),
	    sealed, &session_schema, &plain, &rec);
	if (err == HF_ERR_STORE_DAMAGED || err == HF_ERR_KEYRING_NOT_FOUND)
		return HF_ERR_SESSION_KEY;
	if (err != HF_OK)
		return err;
	type = key_type_by_id((unsigned)rec.type);
	if (type == NULL)
		return HF_ERR_SESSION_KEY;
	version.material = rec.material;
	version.spki = rec.spki;
	return key_passing(type, &version, rec.uses, out);
}
