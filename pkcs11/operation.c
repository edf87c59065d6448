/* SPDX-License-Identifier: Apache-2.0 */
#include "operation.h"

#include <string.h>

#include "../lib/bytes.h"
#include "mechanism.h"
#include "object.h"
#include "session.h"

/* As much as the daemon takes in one message. */
enum { DATA_MAX = 15 << 20 };

/* What a kind of operation asks of mechanism and key. */
static const struct {
	CK_FLAGS flag;
	enum hf_p11_use use;
} asks[KINDS] = {
	[KIND_ENCRYPT] = { CKF_ENCRYPT, HF_P11_ENCRYPT },
	[KIND_DECRYPT] = { CKF_DECRYPT, HF_P11_DECRYPT },
	[KIND_SIGN] = { CKF_SIGN, HF_P11_SIGN },
	[KIND_VERIFY] = { CKF_VERIFY, HF_P11_VERIFY },
	[KIND_DIGEST] = { CKF_DIGEST, 0 },
	[KIND_MESSAGE_ENCRYPT] = { CKF_MESSAGE_ENCRYPT, HF_P11_ENCRYPT },
	[KIND_MESSAGE_DECRYPT] = { CKF_MESSAGE_DECRYPT, HF_P11_DECRYPT },
};

/* The size of a key in the unit of the mechanism. */
static bool
size_fits(const struct mech *mech, const struct object *key)
{
	CK_ULONG size =
	    key->class == CKO_SECRET_KEY ? key->value_len : key->bits;

	return size >= mech->info.ulMinKeySize &&
	    size <= mech->info.ulMaxKeySize;
}

CK_RV
operation_check_key(
    const struct mech *mech, enum hf_p11_use use, const struct object *key)
{
	if (key->class == CKO_CERTIFICATE || key->class == CKO_PROFILE)
		return CKR_KEY_HANDLE_INVALID;
	if (!mech_takes_key(mech, key->key_type))
		return CKR_KEY_TYPE_INCONSISTENT;
	if ((key->uses & (uint64_t)use) == 0)
		return CKR_KEY_FUNCTION_NOT_PERMITTED;
	if ((mech->traits & MECH_RAW) != 0 && (key->uses & HF_P11_RAW) == 0)
		return CKR_KEY_FUNCTION_NOT_PERMITTED;
	if ((mech->traits & MECH_SOFT) != 0 && key->in_hsm)
		return CKR_KEY_FUNCTION_NOT_PERMITTED;
	return size_fits(mech, key) ? CKR_OK : CKR_KEY_SIZE_RANGE;
}

static CK_RV
fill(struct session *session, enum kind kind, const struct mech *mech,
    const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE handle,
    struct operation *op)
{
	bool messages =
	    kind == KIND_MESSAGE_ENCRYPT || kind == KIND_MESSAGE_DECRYPT;
	CK_RV rv;

	op->mech = mech;
	/* Messages bring their parameters along one by one. */
	if (!messages &&
	    (rv = param_load(mech, mechanism, &op->param, &session->why)) !=
		CKR_OK)
		return rv;
	if (mech->hash != 0 && (mech->traits & MECH_MAC) == 0)
		digest_init(&op->digest, digest_by_mech(mech->hash));
	if (kind == KIND_DIGEST)
		return CKR_OK;
	rv = object_get(session, handle, CKR_KEY_HANDLE_INVALID, &op->key);
	return rv == CKR_OK ? operation_check_key(mech, asks[kind].use, op->key)
			    : rv;
}

CK_RV
operation_begin(struct session *session, enum kind kind,
    const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
	struct operation *op = &session->ops[kind];
	const struct mech *mech;
	CK_RV rv;

	if (mechanism == NULL) {
		operation_end(op);
		return CKR_OK;
	}
	if (op->active)
		return CKR_OPERATION_ACTIVE;
	mech = mech_find(mechanism->mechanism);
	if (mech == NULL || (mech->info.flags & asks[kind].flag) == 0)
		return CKR_MECHANISM_INVALID;
	rv = fill(session, kind, mech, mechanism, key, op);
	if (rv != CKR_OK)
		operation_end(op);
	else
		op->active = true;
	return rv;
}

CK_RV
operation_get(struct session *session, enum kind kind, struct operation **out)
{
	struct operation *op = &session->ops[kind];

	if (!op->active)
		return CKR_OPERATION_NOT_INITIALIZED;
	*out = op;
	return CKR_OK;
}

CK_RV
operation_feed(struct operation *op, const CK_BYTE *in, CK_ULONG len)
{
	if (in == NULL && len > 0)
		return CKR_ARGUMENTS_BAD;
	if (len == 0)
		return CKR_OK;
	if (op->digest.type != NULL) {
		digest_update(&op->digest, in, len);
		return CKR_OK;
	}
	if (len > DATA_MAX - op->data.len)
		return CKR_DATA_LEN_RANGE;
	return buffer_add(&op->data, bytes_of(in, len)) == HF_OK
	    ? CKR_OK
	    : CKR_HOST_MEMORY;
}

void
operation_end(struct operation *op)
{
	object_put(op->key);
	param_free(&op->param);
	buffer_free(&op->data);
	buffer_free(&op->result);
	bytes_wipe(op, sizeof(*op));
}

CK_RV
operation_finish(struct operation *op, CK_RV rv, bool asked_length)
{
	if (rv != CKR_BUFFER_TOO_SMALL && !(rv == CKR_OK && asked_length))
		operation_end(op);
	return rv;
}

CK_RV
give(struct hf_bytes from, CK_BYTE *out, CK_ULONG *out_len)
{
	CK_ULONG room = *out_len;

	*out_len = from.len;
	if (out == NULL)
		return CKR_OK;
	if (room < from.len)
		return CKR_BUFFER_TOO_SMALL;
	if (from.len > 0)
		memcpy(out, from.ptr, from.len);
	return CKR_OK;
}
