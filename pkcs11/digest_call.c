/* SPDX-License-Identifier: Apache-2.0 */
#include "digest_call.h"

#include "../lib/bytes.h"
#include "digest.h"
#include "mechanism.h"

CK_RV
digest_call_update(struct session *session, const CK_BYTE *in, CK_ULONG len)
{
	struct operation *op;
	CK_RV rv = operation_get(session, KIND_DIGEST, &op);

	if (rv != CKR_OK)
		return rv;
	op->fed = true;
	rv = operation_feed(op, in, len);
	if (rv != CKR_OK)
		operation_end(op);
	return rv;
}

CK_RV
digest_call_final(struct session *session, CK_BYTE *out, CK_ULONG *out_len)
{
	struct operation *op;
	CK_RV rv = operation_get(session, KIND_DIGEST, &op);
	size_t size;

	if (rv != CKR_OK)
		return rv;
	if (out_len == NULL)
		return operation_finish(op, CKR_ARGUMENTS_BAD, false);
	size = op->digest.type->size;
	if (out == NULL || *out_len < size) {
		*out_len = size;
		return out == NULL ? CKR_OK : CKR_BUFFER_TOO_SMALL;
	}
	digest_final(&op->digest, out);
	*out_len = size;
	operation_end(op);
	return CKR_OK;
}

CK_RV
digest_call_whole(struct session *session, const CK_BYTE *in, CK_ULONG len,
    CK_BYTE *out, CK_ULONG *out_len)
{
	struct operation *op;
	CK_RV rv = operation_get(session, KIND_DIGEST, &op);

	if (rv != CKR_OK)
		return rv;
	if (op->fed)
		return CKR_OPERATION_ACTIVE;
	if (out_len == NULL)
		return operation_finish(op, CKR_ARGUMENTS_BAD, false);
	if (out != NULL && *out_len >= op->digest.type->size) {
		rv = operation_feed(op, in, len);
		if (rv != CKR_OK)
			return operation_finish(op, rv, false);
	}
	return digest_call_final(session, out, out_len);
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
