/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt.h"

#include <string.h>

#include "../lib/bytes.h"
#include "ask.h"
#include "error.h"
#include "mechanism.h"
#include "object.h"
#include "outcome.h"
#include "slot.h"

enum { BLOCK = 16, NONCE = 12 };

/*
 * How long the result will be. Where the padding decides (`exact` false) it is
 * the most that it can be.
 */
size_t
crypt_size(const struct operation *op, enum kind kind, size_t len, bool *exact)
{
	size_t tag = op->param.kind == PARAM_GCM ? op->param.number / 8 : 0;
	bool pads = (op->mech->traits & MECH_PAD) != 0;

	*exact = true;
	if (op->mech->key == CKK_RSA) {
		*exact =
		    kind == KIND_ENCRYPT || (op->mech->traits & MECH_RAW) != 0;
		return (op->key->bits + 7) / 8;
	}
	if (kind == KIND_ENCRYPT)
		return pads ? (len / BLOCK + 1) * BLOCK : len + tag;
	*exact = !pads;
	return len < tag ? 0 : len - tag;
}

static struct hf_bytes
present(struct hf_bytes b)
{
	static const uint8_t nothing[1];

	return b.len == 0 ? bytes_of(nothing, 0) : b;
}

/* What is no whole block in a mode of blocks needs no daemon to be wrong. */
static CK_RV
check_length(const struct operation *op, enum kind kind)
{
	unsigned whole =
	    kind == KIND_ENCRYPT ? MECH_BLOCKS : MECH_BLOCKS | MECH_PAD;

	if ((op->mech->traits & whole) == 0 || op->data.len % BLOCK == 0)
		return CKR_OK;
	return kind == KIND_ENCRYPT ? CKR_DATA_LEN_RANGE
				    : CKR_ENCRYPTED_DATA_LEN_RANGE;
}

CK_RV
crypt_make(struct session *session, struct operation *op, enum kind kind)
{
	enum ask what = kind == KIND_ENCRYPT ? ASK_ENCRYPT : ASK_DECRYPT;
	CK_RV rv = check_length(op, kind);
	struct hf_p11_use_in in = { 0 };
	struct hf_p11_use_out result;
	struct call call;
	enum hf_err err;

	if (rv != CKR_OK)
		return rv;
	param_fill(op->mech, &op->param, &in.how);
	in.data = present(buffer_view(&op->data));
	err = ask_use(session, &call, what, op->key, &in, &result);
	if (err == HF_OK)
		err = buffer_add(&op->result, result.data);
	slot_done(&call);
	return rv_of(err);
}

CK_RV
crypt_update(struct session *session, enum kind kind, const CK_BYTE *in,
    CK_ULONG len, CK_BYTE *out, CK_ULONG *out_len)
{
	struct operation *op;
	CK_RV rv = operation_get(session, kind, &op);

	if (rv != CKR_OK)
		return rv;
	if (out_len == NULL)
		return operation_finish(op, CKR_ARGUMENTS_BAD, false);
	*out_len = 0;
	if (out == NULL)
		return CKR_OK; /* the question how long it would be */
	return outcome_update(session, kind, in, len);
}

/* -- Messages -- */

/* The host's parameter: where nonce and tag are read and written. */
static CK_RV
message_params(
    const struct message *m, CK_GCM_MESSAGE_PARAMS *out, struct hf_why *why)
{
	if (m->param == NULL || m->param_len != sizeof(*out)) {
		(void)hf_fail(why, HF_ERR_BAD_ALGORITHM,
		    "a message needs CK_GCM_MESSAGE_PARAMS");
		return CKR_MECHANISM_PARAM_INVALID;
	}
	memcpy(out, m->param, sizeof(*out));
	if (out->pIv == NULL || out->ulIvLen == 0 || out->ulIvLen > 256 ||
	    out->pTag == NULL || out->ulTagBits < 96 || out->ulTagBits > 128 ||
	    out->ulTagBits % 8 != 0) {
		(void)hf_fail(why, HF_ERR_BAD_ALGORITHM,
		    "GCM: nonce and tag (96 to 128 bits) must have room");
		return CKR_MECHANISM_PARAM_INVALID;
	}
	return CKR_OK;
}

/*
 * The daemon draws whole nonces of 12 bytes. A counter, or a part of the nonce
 * that the host fixes, would need state that nobody keeps.
 */
static CK_RV
message_nonce(enum kind kind, const CK_GCM_MESSAGE_PARAMS *p,
    struct hf_bytes *out, struct hf_why *why)
{
	bool draw =
	    kind == KIND_MESSAGE_ENCRYPT && p->ivGenerator != CKG_NO_GENERATE;

	*out = bytes_of(p->pIv, p->ulIvLen);
	if (!draw)
		return CKR_OK;
	if ((p->ivGenerator != CKG_GENERATE &&
		p->ivGenerator != CKG_GENERATE_RANDOM) ||
	    p->ulIvLen != NONCE || p->ulIvFixedBits != 0) {
		(void)hf_fail(why, HF_ERR_BAD_ALGORITHM,
		    "GCM: a generated nonce is 12 random bytes");
		return CKR_MECHANISM_PARAM_INVALID;
	}
	*out = (struct hf_bytes){ 0 };
	return CKR_OK;
}

/* Nonce and tag go to the parameter, the ciphertext to the buffer. */
static CK_RV
give_sealed(const CK_GCM_MESSAGE_PARAMS *p, bool drawn, size_t len,
    struct hf_bytes from, CK_BYTE *out, CK_ULONG *out_len)
{
	size_t head = drawn ? NONCE : 0, tag = p->ulTagBits / 8;

	if (from.len != head + len + tag)
		return CKR_DEVICE_ERROR;
	memcpy(p->pIv, from.ptr, head);
	memcpy(p->pTag, from.ptr + head + len, tag);
	return give(bytes_of(from.ptr + head, len), out, out_len);
}

static CK_RV
message_ask(struct session *session, struct operation *op, enum kind kind,
    const struct message *m, CK_BYTE *out, CK_ULONG *out_len)
{
	bool seal = kind == KIND_MESSAGE_ENCRYPT;
	struct hf_p11_use_in in = { 0 };
	struct hf_p11_use_out result;
	CK_GCM_MESSAGE_PARAMS p;
	size_t len = op->data.len;
	struct call call;
	enum hf_err err;
	CK_RV rv;

	if ((rv = message_params(m, &p, &session->why)) != CKR_OK ||
	    (rv = message_nonce(kind, &p, &in.how.iv, &session->why)) != CKR_OK)
		return rv;
	if (!seal &&
	    buffer_add(&op->data, bytes_of(p.pTag, p.ulTagBits / 8)) != HF_OK)
		return CKR_HOST_MEMORY;
	in.how.mechanism = text_of(op->mech->wire);
	in.how.tag_bits = p.ulTagBits;
	in.how.associated_data = buffer_view(&op->param.more);
	in.data = present(buffer_view(&op->data));
	err = ask_use(session, &call, seal ? ASK_ENCRYPT : ASK_DECRYPT, op->key,
	    &in, &result);
	if (err == HF_ERR_AUTH_FAILED)
		rv = CKR_AEAD_DECRYPT_FAILED;
	else if (err != HF_OK)
		rv = rv_of(err);
	else if (seal)
		rv = give_sealed(
		    &p, in.how.iv.ptr == NULL, len, result.data, out, out_len);
	else
		rv = give(result.data, out, out_len);
	slot_done(&call);
	return rv;
}

/* A message is over; the next one may begin. */
static void
message_end(struct operation *op)
{
	buffer_free(&op->data);
	buffer_free(&op->param.more);
	op->fed = false;
}

static CK_RV
keep_aad(struct operation *op, const struct message *m)
{
	if (m->aad_len > AAD_MAX || (m->aad == NULL && m->aad_len > 0))
		return CKR_ARGUMENTS_BAD;
	if (m->aad_len == 0)
		return CKR_OK;
	return buffer_add(&op->param.more, bytes_of(m->aad, m->aad_len)) ==
		HF_OK
	    ? CKR_OK
	    : CKR_HOST_MEMORY;
}

CK_RV
crypt_message(struct session *session, enum kind kind,
    const struct message *message, const CK_BYTE *in, CK_ULONG len,
    CK_BYTE *out, CK_ULONG *out_len)
{
	struct operation *op;
	CK_RV rv = operation_get(session, kind, &op);

	if (rv != CKR_OK)
		return rv;
	if (op->fed)
		return CKR_OPERATION_ACTIVE;
	if (out_len == NULL)
		return CKR_ARGUMENTS_BAD;
	/* Plaintext and ciphertext are of one length: the tag is apart. */
	if (out == NULL || *out_len < len) {
		*out_len = len;
		return out == NULL ? CKR_OK : CKR_BUFFER_TOO_SMALL;
	}
	rv = keep_aad(op, message);
	if (rv == CKR_OK)
		rv = operation_feed(op, in, len);
	if (rv == CKR_OK)
		rv = message_ask(session, op, kind, message, out, out_len);
	message_end(op);
	return rv;
}

CK_RV
crypt_message_begin(
    struct session *session, enum kind kind, const struct message *message)
{
	struct operation *op;
	CK_RV rv = operation_get(session, kind, &op);

	if (rv != CKR_OK)
		return rv;
	if (op->fed)
		return CKR_OPERATION_ACTIVE;
	rv = keep_aad(op, message);
	op->fed = rv == CKR_OK;
	return rv;
}

CK_RV
crypt_message_next(struct session *session, enum kind kind,
    const struct message *message, const CK_BYTE *in, CK_ULONG len,
    CK_BYTE *out, CK_ULONG *out_len, CK_FLAGS flags)
{
	bool last = (flags & CKF_END_OF_MESSAGE) != 0;
	struct operation *op;
	CK_RV rv = operation_get(session, kind, &op);
	size_t size;

	if (rv != CKR_OK)
		return rv;
	if (!op->fed)
		return CKR_OPERATION_NOT_INITIALIZED;
	if (out_len == NULL)
		return CKR_ARGUMENTS_BAD;
	size = last ? op->data.len + len : 0;
	if (out == NULL || *out_len < size) {
		*out_len = size;
		return out == NULL && last ? CKR_OK
		    : size > 0             ? CKR_BUFFER_TOO_SMALL
					   : CKR_OK;
	}
	rv = operation_feed(op, in, len);
	if (rv == CKR_OK && !last) {
		*out_len = 0;
		return CKR_OK;
	}
	if (rv == CKR_OK)
		rv = message_ask(session, op, kind, message, out, out_len);
	message_end(op);
	return rv;
}
