/* SPDX-License-Identifier: Apache-2.0 */
#include "digest_call.h"

#include "../lib/bytes.h"
#include "digest.h"
#include "mechanism.h"

size_t
digest_call_size(
    const struct operation *op, enum kind kind, size_t len, bool *exact)
{
	(void)kind;
	(void)len;
	*exact = true;
	return op->digest.type->size;
}

CK_RV
digest_call_make(struct session *session, struct operation *op, enum kind kind)
{
	uint8_t digest[DIGEST_MAX];
	size_t size = op->digest.type->size;

	(void)session;
	(void)kind;
	digest_final(&op->digest, digest);
	return buffer_add(&op->result, bytes_of(digest, size)) == HF_OK
	    ? CKR_OK
	    : CKR_HOST_MEMORY;
}

CK_RV
digest_call_save(struct session *session, CK_BYTE *out, CK_ULONG *out_len)
{
	struct operation *op = &session->ops[KIND_DIGEST];
	CK_ULONG room;

	for (size_t i = 0; i < KINDS; i++)
		if (i != KIND_DIGEST && session->ops[i].active)
			return CKR_STATE_UNSAVEABLE;
	if (!op->active)
		return CKR_OPERATION_NOT_INITIALIZED;
	if (out_len == NULL)
		return CKR_ARGUMENTS_BAD;
	room = *out_len;
	*out_len = DIGEST_SAVED;
	if (out == NULL)
		return CKR_OK;
	if (room < DIGEST_SAVED)
		return CKR_BUFFER_TOO_SMALL;
	return digest_save(&op->digest, out) ? CKR_OK : CKR_STATE_UNSAVEABLE;
}

CK_RV
digest_call_restore(struct session *session, const CK_BYTE *in, CK_ULONG len)
{
	struct operation *op = &session->ops[KIND_DIGEST];
	struct digest digest;

	if (in == NULL)
		return CKR_ARGUMENTS_BAD;
	if (len != DIGEST_SAVED || !digest_load(&digest, in))
		return CKR_SAVED_STATE_INVALID;
	operation_end(op);
	op->mech = mech_find(digest.type->mech);
	op->digest = digest;
	op->active = true;
	return CKR_OK;
}
