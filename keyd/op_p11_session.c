/* SPDX-License-Identifier: Apache-2.0 */
/* Keys that callers hold themselves: sealed session keys, and public keys. */
#include "op_p11.h"

#include "../lib/bytes.h"
#include "handlers.h"
#include "key_purpose.h"
#include "session_key.h"

static enum hf_err
public_open(struct request *rq, const struct hf_p11_session_use_in *in,
    struct key **out)
{
	const struct key_type *type = key_type_by_name(in->type);
	struct version_record rec = { .version = 1,
		.state = VERSION_ENABLED,
		.level = LEVEL_WRAPPED,
		.spki = in->public_key };

	if (type == NULL || key_type_symmetric(type))
		return hf_fail(&rq->why, HF_ERR_BAD_VALUE,
		    "public_key needs the type of a pair");
	return key_passing(type, &rec, HF_P11_VERIFY | HF_P11_ENCRYPT, out);
}

/*
 * Functions, because each operation is another piece of code; the bit is what
 * the key must have been made for.
 */
typedef enum hf_err session_fn(struct request *rq,
    const struct hf_p11_use_in *in, const struct key_version *v,
    struct hf_p11_use_out *out);

static const struct {
	const char *name;
	enum hf_p11_use use;
	session_fn *run; /* NULL: verify, which has a signature */
} operations[] = {
	{ "sign", HF_P11_SIGN, p11_sign_with },
	{ "mac", HF_P11_SIGN, p11_mac_with },
	{ "encrypt", HF_P11_ENCRYPT, p11_encrypt_with },
	{ "decrypt", HF_P11_DECRYPT, p11_decrypt_with },
	{ "verify", HF_P11_VERIFY, NULL },
};

static enum hf_err
verify(struct request *rq, const struct hf_p11_session_use_in *in,
    const struct key_version *v, struct hf_p11_session_use_out *out)
{
	const struct hf_p11_verify_in verify = {
		.how = in->how, .data = in->data, .signature = in->signature
	};

	return p11_verify_with(rq, &verify, v, &out->valid);
}

static enum hf_err
run(struct request *rq, const struct hf_p11_session_use_in *in, size_t i,
    struct hf_p11_session_use_out *out)
{
	const struct key_version *v = &rq->key->versions[0];
	const struct hf_p11_use_in use = { .how = in->how, .data = in->data };
	struct hf_p11_use_out result = { 0 };
	enum hf_err err;

	if ((key_purpose(rq->key) & operations[i].use) == 0)
		return HF_ERR_KEY_PURPOSE;
	if (operations[i].run == NULL)
		return verify(rq, in, v, out);
	err = operations[i].run(rq, &use, v, &result);
	out->data = result.data;
	return err;
}

enum hf_err
op_p11_session_use(struct request *rq, const struct hf_p11_session_use_in *in,
    struct hf_p11_session_use_out *out)
{
	bool sealed = in->session_key.ptr != NULL;
	enum hf_err err;

	if (sealed == (in->public_key.ptr != NULL))
		return hf_fail(&rq->why, HF_ERR_MISSING_FIELD,
		    "give one of session_key and public_key");
	err = sealed ? session_key_open(rq, in->session_key, &rq->key)
		     : public_open(rq, in, &rq->key);
	if (err != HF_OK)
		return err;
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
		if (text_is(in->operation, operations[i].name))
			return run(rq, in, i, out);
	return HF_ERR_BAD_VALUE;
}
