/* SPDX-License-Identifier: Apache-2.0 */
#include "outcome.h"

#include "crypt.h"
#include "digest_call.h"
#include "sign.h"

/*
 * `size` is how long the result will be of `len` bytes of data, `exact` or at
 * most; `make` computes it into op->result. Functions, because each kind is
 * another piece of work.
 */
static const struct {
	size_t (*size)(const struct operation *op, enum kind kind, size_t len,
	    bool *exact);
	CK_RV(*make)
	(struct session *session, struct operation *op, enum kind kind);
} kinds[KINDS] = {
	[KIND_ENCRYPT] = { crypt_size, crypt_make },
	[KIND_DECRYPT] = { crypt_size, crypt_make },
	[KIND_SIGN] = { sign_size, sign_make },
	[KIND_DIGEST] = { digest_call_size, digest_call_make },
};

CK_RV
outcome_update(
    struct session *session, enum kind kind, const CK_BYTE *in, CK_ULONG len)
{
	struct operation *op;
	CK_RV rv = operation_get(session, kind, &op);

	if (rv != CKR_OK)
		return rv;
	op->fed = true;
	rv = operation_feed(op, in, len);
	if (rv != CKR_OK)
		operation_end(op);
	return rv;
}

/* Answers what needs no result: how long it will be. */
static bool
only_length(const struct operation *op, enum kind kind, size_t len,
    const CK_BYTE *out, CK_ULONG *out_len, CK_RV *rv)
{
	bool exact = true;
	size_t size;

	if (op->done)
		return false;
	size = kinds[kind].size(op, kind, len, &exact);
	*rv = out == NULL ? CKR_OK : CKR_BUFFER_TOO_SMALL;
	if (out != NULL && (!exact || *out_len >= size))
		return false;
	*out_len = size;
	return true;
}

static CK_RV
give_result(struct session *session, struct operation *op, enum kind kind,
    CK_BYTE *out, CK_ULONG *out_len)
{
	CK_RV rv = op->done ? CKR_OK : kinds[kind].make(session, op, kind);

	if (rv != CKR_OK)
		return operation_finish(op, rv, false);
	op->done = true;
	rv = give(buffer_view(&op->result), out, out_len);
	return operation_finish(op, rv, out == NULL);
}

CK_RV
outcome_whole(struct session *session, enum kind kind, const CK_BYTE *in,
    CK_ULONG len, CK_BYTE *out, CK_ULONG *out_len)
{
	struct operation *op;
	CK_RV rv = operation_get(session, kind, &op);

	if (rv != CKR_OK)
		return rv;
	if (op->fed)
		return CKR_OPERATION_ACTIVE;
	if (out_len == NULL)
		return operation_finish(op, CKR_ARGUMENTS_BAD, false);
	if (only_length(op, kind, len, out, out_len, &rv))
		return rv;
	/* With a result that did not fit the host gives the data again. */
	if (!op->done && (rv = operation_feed(op, in, len)) != CKR_OK)
		return operation_finish(op, rv, false);
	return give_result(session, op, kind, out, out_len);
}

CK_RV
outcome_final(
    struct session *session, enum kind kind, CK_BYTE *out, CK_ULONG *out_len)
{
	struct operation *op;
	CK_RV rv = operation_get(session, kind, &op);

	if (rv != CKR_OK)
		return rv;
	if (out_len == NULL)
		return operation_finish(op, CKR_ARGUMENTS_BAD, false);
	if (only_length(op, kind, op->data.len, out, out_len, &rv))
		return rv;
	return give_result(session, op, kind, out, out_len);
}
