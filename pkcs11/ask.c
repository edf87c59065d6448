/* SPDX-License-Identifier: Apache-2.0 */
#include "ask.h"

#include "../lib/bytes.h"

static const struct {
	enum op_id op;
	const char *operation; /* of p11.session_use */
} asks[] = {
	[ASK_SIGN] = { OP_p11_sign, "sign" },
	[ASK_HMAC] = { OP_p11_mac, "mac" },
	[ASK_CMAC] = { OP_p11_cmac, "mac" },
	[ASK_ENCRYPT] = { OP_p11_encrypt, "encrypt" },
	[ASK_DECRYPT] = { OP_p11_decrypt, "decrypt" },
};

static struct hf_p11_session_use_in
session_use(const struct object *key, const char *operation)
{
	struct hf_p11_session_use_in in = { .operation = text_of(operation) };

	if (key->session_key.len > 0) {
		in.session_key = key->session_key;
		return in;
	}
	in.type = key->type;
	in.public_key = key->public_key_info;
	return in;
}

enum hf_err
ask_use(struct session *session, struct call *call, enum ask what,
    const struct object *key, struct hf_p11_use_in *in,
    struct hf_p11_use_out *out)
{
	struct hf_p11_session_use_in own;
	struct hf_p11_session_use_out result;
	enum hf_err err;

	if (key->token) {
		in->name = key->name;
		in->key_version = key->key_version;
		return slot_call(
		    call, session->slot, asks[what].op, in, out, &session->why);
	}
	own = session_use(key, asks[what].operation);
	own.how = in->how;
	own.data = in->data;
	err = slot_call(call, session->slot, OP_p11_session_use, &own, &result,
	    &session->why);
	if (err == HF_OK)
		out->data = result.data;
	return err;
}

enum hf_err
ask_verify(struct session *session, struct call *call, const struct object *key,
    struct hf_p11_verify_in *in, bool *valid)
{
	struct hf_p11_session_use_in own;
	struct hf_p11_session_use_out result;
	struct hf_p11_verify_out out;
	enum hf_err err;

	if (key->token) {
		in->name = key->name;
		in->key_version = key->key_version;
		err = slot_call(call, session->slot, OP_p11_verify, in, &out,
		    &session->why);
		*valid = err == HF_OK && out.valid;
		return err;
	}
	own = session_use(key, "verify");
	own.how = in->how;
	own.data = in->data;
	own.signature = in->signature;
	err = slot_call(call, session->slot, OP_p11_session_use, &own, &result,
	    &session->why);
	*valid = err == HF_OK && result.valid;
	return err;
}
