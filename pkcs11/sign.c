/* SPDX-License-Identifier: Apache-2.0 */
#include "sign.h"

#include <string.h>

#include "../lib/bytes.h"
#include "ask.h"
#include "error.h"
#include "mechanism.h"
#include "object.h"
#include "slot.h"

/* Bytes of a signature or MAC. */
static size_t
output_size(const struct operation *op)
{
	const struct object *key = op->key;

	if ((op->mech->traits & MECH_MAC) != 0) {
		if (op->param.kind == PARAM_LENGTH)
			return op->param.number;
		return op->param.hash != NULL ? op->param.hash->size : 16;
	}
	if (key->key_type == CKK_RSA)
		return (key->bits + 7) / 8;
	if (key->key_type == CKK_EC_EDWARDS)
		return 64;
	return 2 * ((key->bits + 7) / 8); /* r and s */
}

/* What is signed: the data, its digest, or the DigestInfo around that. */
struct input {
	uint8_t buf[DIGEST_MAX + sizeof(((struct digest_type *)0)->info)];
	struct hf_bytes view;
};

static void
finish_input(struct operation *op, struct input *in)
{
	static const uint8_t nothing[1];
	const struct digest_type *type = op->digest.type;
	size_t head = 0;

	if (type == NULL) {
		in->view = op->data.len == 0 ? bytes_of(nothing, 0)
					     : buffer_view(&op->data);
		return;
	}
	if ((op->mech->traits & MECH_INFO) != 0) {
		head = type->info_len;
		memcpy(in->buf, type->info, head);
	}
	digest_final(&op->digest, in->buf + head);
	in->view = bytes_of(in->buf, head + type->size);
}

size_t
sign_size(const struct operation *op, enum kind kind, size_t len, bool *exact)
{
	(void)kind;
	(void)len;
	*exact = true;
	return output_size(op);
}

CK_RV
sign_make(struct session *session, struct operation *op, enum kind kind)
{
	enum ask what = (op->mech->traits & MECH_MAC) == 0 ? ASK_SIGN
	    : op->mech->key == CKK_AES                     ? ASK_CMAC
							   : ASK_HMAC;
	struct hf_p11_use_in in = { 0 };
	struct hf_p11_use_out result;
	struct input input;
	struct call call;
	enum hf_err err;

	(void)kind;
	finish_input(op, &input);
	param_fill(op->mech, &op->param, &in.how);
	in.data = input.view;
	err = ask_use(session, &call, what, op->key, &in, &result);
	if (err == HF_OK)
		err = buffer_add(&op->result, result.data);
	slot_done(&call);
	return rv_of(err);
}

static CK_RV
ask_to_verify(
    struct session *session, struct operation *op, struct hf_bytes signature)
{
	struct hf_p11_verify_in in = { .signature = signature };
	bool valid;
	struct input input;
	struct call call;
	enum hf_err err;

	finish_input(op, &input);
	param_fill(op->mech, &op->param, &in.how);
	in.data = input.view;
	err = ask_verify(session, &call, op->key, &in, &valid);
	slot_done(&call);
	/* Something that cannot be a signature is a wrong one. */
	if (err == HF_ERR_BAD_SIGNATURE)
		return CKR_SIGNATURE_INVALID;
	if (err != HF_OK)
		return rv_of(err);
	return valid ? CKR_OK : CKR_SIGNATURE_INVALID;
}

CK_RV
verify_final(
    struct session *session, const CK_BYTE *signature, CK_ULONG signature_len)
{
	struct operation *op;
	CK_RV rv = operation_get(session, KIND_VERIFY, &op);

	if (rv != CKR_OK)
		return rv;
	if (signature == NULL)
		rv = CKR_ARGUMENTS_BAD;
	else if (signature_len != output_size(op))
		rv = CKR_SIGNATURE_LEN_RANGE;
	else
		rv = ask_to_verify(
		    session, op, bytes_of(signature, signature_len));
	operation_end(op);
	return rv;
}

CK_RV
verify_whole(struct session *session, const CK_BYTE *in, CK_ULONG len,
    const CK_BYTE *signature, CK_ULONG signature_len)
{
	struct operation *op;
	CK_RV rv = operation_get(session, KIND_VERIFY, &op);

	if (rv != CKR_OK)
		return rv;
	if (op->fed)
		return CKR_OPERATION_ACTIVE;
	rv = operation_feed(op, in, len);
	if (rv != CKR_OK)
		return operation_finish(op, rv, false);
	return verify_final(session, signature, signature_len);
}
