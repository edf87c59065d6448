/* SPDX-License-Identifier: Apache-2.0 */
#include "wrap.h"

#include <string.h>

#include "../lib/bytes.h"
#include "error.h"
#include "make.h"
#include "mechanism.h"
#include "object.h"
#include "operation.h"
#include "slot.h"

/* A mechanism, its parameter, and a key that may be used so. */
struct job {
	const struct mech *mech;
	struct param param;
	struct object *key; /* a reference */
};

static void
job_end(struct job *job)
{
	object_put(job->key);
	param_free(&job->param);
}

/* job_end() must follow, whatever this gives. */
static CK_RV
job_begin(struct session *session, const CK_MECHANISM *mechanism, CK_FLAGS flag,
    enum hf_p11_use use, CK_OBJECT_HANDLE key, CK_RV invalid, struct job *job)
{
	CK_RV rv;

	*job = (struct job){ 0 };
	if (mechanism == NULL)
		return CKR_ARGUMENTS_BAD;
	job->mech = mech_find(mechanism->mechanism);
	if (job->mech == NULL || (job->mech->info.flags & flag) == 0)
		return CKR_MECHANISM_INVALID;
	if ((rv = param_load(
		 job->mech, mechanism, &job->param, &session->why)) != CKR_OK ||
	    (rv = object_get(session, key, invalid, &job->key)) != CKR_OK)
		return rv;
	return operation_check_key(job->mech, use, job->key);
}

/* -- Wrap -- */

static CK_RV
wrap(struct session *session, const struct job *job, const struct object *key,
    CK_BYTE *out, CK_ULONG *out_len)
{
	struct hf_p11_wrap_in in = { .name = job->key->name,
		.key_version = job->key->key_version };
	struct hf_p11_use_out result;
	struct call call;
	enum hf_err err;
	CK_RV rv;

	if (!key->extractable)
		return CKR_KEY_UNEXTRACTABLE;
	if (key->class != CKO_SECRET_KEY && key->class != CKO_PRIVATE_KEY)
		return CKR_KEY_NOT_WRAPPABLE;
	param_fill(job->mech, &job->param, &in.how);
	if (key->token) {
		in.target = key->name;
		in.target_version = key->key_version;
	} else {
		in.session_key = key->session_key;
	}
	err = slot_call(
	    &call, session->slot, OP_p11_wrap, &in, &result, &session->why);
	if (err == HF_ERR_BAD_INPUT || err == HF_ERR_KEY_TYPE)
		rv = CKR_KEY_NOT_WRAPPABLE;
	else
		rv =
		    err == HF_OK ? give(result.data, out, out_len) : rv_of(err);
	slot_done(&call);
	return rv;
}

CK_RV
wrap_key(struct session *session, const CK_MECHANISM *mechanism,
    CK_OBJECT_HANDLE wrapping, CK_OBJECT_HANDLE handle, CK_BYTE *out,
    CK_ULONG *out_len)
{
	struct object *key = NULL;
	struct job job;
	CK_RV rv;

	if (out_len == NULL)
		return CKR_ARGUMENTS_BAD;
	rv = job_begin(session, mechanism, CKF_WRAP, HF_P11_WRAP, wrapping,
	    CKR_WRAPPING_KEY_HANDLE_INVALID, &job);
	if (rv == CKR_OK && !job.key->token)
		rv = CKR_KEY_FUNCTION_NOT_PERMITTED;
	if (rv == CKR_OK)
		rv = object_get(session, handle, CKR_KEY_HANDLE_INVALID, &key);
	if (rv == CKR_OK)
		rv = wrap(session, &job, key, out, out_len);
	object_put(key);
	job_end(&job);
	return rv;
}

/* -- Unwrap -- */

/*
 * What type of key is in there the template must say, but for its size: of an
 * AES key that is known from what wraps it, of a pair it must be tried.
 */
static CK_RV
plan_unwrap(struct session *session, const CK_ATTRIBUTE *template,
    CK_ULONG count, struct plan *out)
{
	CK_RV rv;

	*out = (struct plan){ 0 };
	if ((rv = template_read(template, count, &out->w)) != CKR_OK)
		return rv;
	if ((out->w.said & SAID_CLASS) == 0 ||
	    (out->w.said & SAID_KEY_TYPE) == 0)
		return CKR_TEMPLATE_INCOMPLETE;
	if (out->w.class != CKO_SECRET_KEY && out->w.class != CKO_PRIVATE_KEY)
		return CKR_TEMPLATE_INCONSISTENT;
	if (out->w.token && !session->rw)
		return CKR_SESSION_READ_ONLY;
	return CKR_OK;
}

/* Types of that key type, to be tried one after the other. */
static size_t
candidates(const struct wishes *w, const char *out[4])
{
	static const char *const rsa[] = { "rsa-2048", "rsa-3072", "rsa-4096" };
	static const char *const ec[] = { "ecdsa-p256", "ecdsa-p384",
		"ecdsa-p521" };
	static const char *const aes[] = { "aes256-gcm96", "aes192-gcm96",
		"aes128-gcm96" };
	const char *said = type_of_key(w->key_type, w->value_len, w->ec_params);
	size_t n = 0;

	if (said != NULL)
		out[n++] = said;
	else if (w->key_type == CKK_EC_EDWARDS)
		out[n++] = "ed25519";
	else if (w->key_type == CKK_AES && w->value_len == 0)
		for (; n < 3; n++)
			out[n] = aes[n];
	else if (w->key_type == CKK_RSA || w->key_type == CKK_EC)
		for (; n < 3; n++)
			out[n] = w->key_type == CKK_RSA ? rsa[n] : ec[n];
	return n;
}

static CK_RV
unwrap_as(struct session *session, const struct job *job, struct hf_bytes data,
    struct plan *plan, struct call *call, struct hf_p11_made *made)
{
	struct hf_p11_unwrap_in in = { .name = job->key->name,
		.key_version = job->key->key_version,
		.data = data,
		.stay = plan->stay };
	struct naming naming = { OP_p11_unwrap, &in, &in.target, "" };
	CK_RV rv = plan_uses(plan);

	if (rv != CKR_OK)
		return rv;
	in.make = plan->make;
	param_fill(job->mech, &job->param, &in.how);
	if (plan->w.token)
		return plan_ask(session, plan, &naming, made, call);
	return rv_of(slot_call(
	    call, session->slot, OP_p11_unwrap, &in, made, &session->why));
}

static CK_RV
unwrapped(struct session *session, const struct plan *plan,
    const struct hf_p11_made *made, CK_OBJECT_HANDLE *out)
{
	if (!plan->w.token)
		return plan_session_object(session, plan, plan->w.class, made,
		    CK_UNAVAILABLE_INFORMATION, (struct hf_bytes){ 0 }, out);
	*out = object_handle(made->uid, plan->w.class);
	catalogue_forget(session->slot);
	return CKR_OK;
}

CK_RV
unwrap_key(struct session *session, const CK_MECHANISM *mechanism,
    CK_OBJECT_HANDLE unwrapping, struct hf_bytes in,
    const CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *out)
{
	const char *types[4];
	struct plan plan;
	struct job job;
	size_t n;
	CK_RV rv;

	if (out == NULL || in.ptr == NULL)
		return CKR_ARGUMENTS_BAD;
	rv = job_begin(session, mechanism, CKF_UNWRAP, HF_P11_UNWRAP,
	    unwrapping, CKR_UNWRAPPING_KEY_HANDLE_INVALID, &job);
	if (rv == CKR_OK && !job.key->token)
		rv = CKR_KEY_FUNCTION_NOT_PERMITTED;
	if (rv == CKR_OK)
		rv = plan_unwrap(session, template, count, &plan);
	n = rv == CKR_OK ? candidates(&plan.w, types) : 0;
	if (rv == CKR_OK)
		rv = CKR_TEMPLATE_INCONSISTENT;
	for (size_t i = 0; i < n; i++) {
		struct call call = { .slot = session->slot };
		struct hf_p11_made made = { 0 };

		plan.type = types[i];
		rv = unwrap_as(session, &job, in, &plan, &call, &made);
		if (rv == CKR_OK)
			rv = unwrapped(session, &plan, &made, out);
		slot_done(&call);
		if (rv != CKR_WRAPPED_KEY_INVALID)
			break;
	}
	job_end(&job);
	return rv;
}

/* -- Derive -- */

static enum hf_err
ask_to_derive(struct session *session, const struct job *job,
    const struct plan *plan, bool value, struct call *call,
    struct hf_p11_made *made)
{
	struct hf_p11_derive_in in = { .name = job->key->name,
		.key_version = job->key->key_version,
		.make = plan->make,
		.give_value = value };
	struct hf_p11_session_derive_in own = { .session_key =
						    job->key->session_key,
		.make = plan->make,
		.give_value = value };

	param_fill(job->mech, &job->param, &in.how);
	own.how = in.how;
	if (job->key->token)
		return slot_call(call, session->slot, OP_p11_derive, &in, made,
		    &session->why);
	return slot_call(call, session->slot, OP_p11_session_derive, &own, made,
	    &session->why);
}

CK_RV
derive_key(struct session *session, const CK_MECHANISM *mechanism,
    CK_OBJECT_HANDLE base, const CK_ATTRIBUTE *template, CK_ULONG count,
    CK_OBJECT_HANDLE *out)
{
	struct call call = { .slot = session->slot };
	struct hf_p11_made made = { 0 };
	struct plan plan;
	struct job job;
	bool value;
	CK_RV rv;

	if (out == NULL)
		return CKR_ARGUMENTS_BAD;
	rv = job_begin(session, mechanism, CKF_DERIVE, HF_P11_DERIVE, base,
	    CKR_KEY_HANDLE_INVALID, &job);
	if (rv == CKR_OK)
		rv = plan_secret(
		    session, template, count, CKK_GENERIC_SECRET, &plan);
	/* Nothing that is derived stays: it can be derived again. */
	if (rv == CKR_OK && plan.w.token)
		rv = CKR_TEMPLATE_INCONSISTENT;
	if (rv == CKR_OK) {
		value =
		    (plan.w.said & SAID_SENSITIVE) != 0 && !plan.w.sensitive;
		rv = rv_of(
		    ask_to_derive(session, &job, &plan, value, &call, &made));
	}
	if (rv == CKR_OK)
		rv = plan_session_object(session, &plan, CKO_SECRET_KEY, &made,
		    CK_UNAVAILABLE_INFORMATION, made.value, out);
	slot_done(&call);
	job_end(&job);
	return rv;
}
