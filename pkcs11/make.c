/* SPDX-License-Identifier: Apache-2.0 */
#include "make.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "../lib/bytes.h"
#include "../lib/schema.h"
#include "attribute.h"
#include "der.h"
#include "encode.h"
#include "error.h"
#include "mechanism.h"
#include "object.h"
#include "session_object.h"
#include "slot.h"

enum { NAME_TRIES = 4 };

static CK_RV
say(struct session *session, CK_RV rv, const char *what)
{
	(void)hf_fail(&session->why, HF_ERR_BAD_VALUE, "template: %s", what);
	return rv;
}

/* -- What is to be made -- */

static bool
said(const struct plan *p, enum said what)
{
	return (p->w.said & (CK_ULONG)what) != 0;
}

/* A secret that may be read: asked for, and only where nothing stays. */
static bool
is_readable(const struct plan *p)
{
	return !p->w.token && said(p, SAID_SENSITIVE) && !p->w.sensitive &&
	    (p->w.extractable || !said(p, SAID_EXTRACTABLE));
}

CK_RV
plan_uses(struct plan *p)
{
	/* Flags that were spoken of and all denied leave a key for nothing. */
	if (p->w.uses_said && p->w.uses == 0)
		return CKR_TEMPLATE_INCONSISTENT;
	if (p->type != NULL)
		p->type = type_for_uses(p->type, p->w.uses);
	p->make.type = text_of(p->type);
	p->make.uses = p->w.uses;
	/* pkcs11-tool says of every secret that it encrypts, and of what it
	 * derives that it wraps, too: these cannot. */
	if (p->type != NULL && strcmp(p->type, "hmac") == 0)
		p->make.uses &= HF_P11_SIGN | HF_P11_VERIFY | HF_P11_DERIVE;
	if (p->w.extractable)
		p->make.uses |= HF_P11_EXTRACT;
	p->stay.label =
	    (struct hf_text){ (const char *)p->w.label.ptr, p->w.label.len };
	if (p->w.label.len == 0)
		p->stay.label = (struct hf_text){ 0 };
	if (p->w.id.len > 0)
		p->stay.id = p->w.id;
	p->stay.deletion_allowed = true;
	return CKR_OK;
}

static CK_RV
check_session(const struct session *session, const struct plan *p)
{
	if (p->w.token && !session->rw)
		return CKR_SESSION_READ_ONLY;
	if (p->w.always_authenticate || p->w.trusted)
		return CKR_TEMPLATE_INCONSISTENT;
	if (p->w.label.len > 256 || p->w.id.len > 256)
		return CKR_ATTRIBUTE_VALUE_INVALID;
	return CKR_OK;
}

CK_RV
plan_secret(struct session *session, const CK_ATTRIBUTE *template,
    CK_ULONG count, CK_KEY_TYPE key_type, struct plan *out)
{
	CK_RV rv;

	*out = (struct plan){ 0 };
	if ((rv = template_read(template, count, &out->w)) != CKR_OK ||
	    (rv = check_session(session, out)) != CKR_OK)
		return rv;
	if (said(out, SAID_CLASS) && out->w.class != CKO_SECRET_KEY)
		return say(session, CKR_TEMPLATE_INCONSISTENT, "class");
	if (!said(out, SAID_KEY_TYPE))
		out->w.key_type = key_type;
	out->type = type_of_key(
	    out->w.key_type, out->w.value_len, (struct hf_bytes){ 0 });
	if (out->type == NULL)
		return say(session, CKR_KEY_SIZE_RANGE, "no such secret key");
	if (strcmp(out->type, "hmac") == 0)
		out->make.key_size = out->w.value_len;
	return plan_uses(out);
}

/* -- Names -- */

static void
slug(struct hf_text label, char *out, size_t room)
{
	size_t n = 0;

	for (size_t i = 0; i < label.len && n < room - 1; i++) {
		char c = label.ptr[i];
		bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9');

		if (good || (n > 0 && (c == '.' || c == '_' || c == '-')))
			out[n++] = c;
		else if (n > 0 && out[n - 1] != '-')
			out[n++] = '-';
	}
	out[n] = '\0';
}

CK_RV
plan_name(struct session *session, const struct plan *plan, int try,
    char out[NAME_SIZE])
{
	char base[100];
	uint8_t random[6];
	char digits[2 * sizeof(random) + 1];

	if (try == 0 && name_valid(plan->stay.label)) {
		(void)snprintf(out, NAME_SIZE, "%.*s",
		    (int)plan->stay.label.len, plan->stay.label.ptr);
	} else {
		if (getrandom(random, sizeof(random), 0) !=
		    (ssize_t)sizeof(random))
			return CKR_FUNCTION_FAILED;
		hex_encode(random, sizeof(random), digits);
		slug(plan->stay.label, base, sizeof(base));
		(void)snprintf(out, NAME_SIZE, "%s-%s",
		    base[0] == '\0' ? "key" : base, digits);
	}
	if (config_shows(&session->slot->config, text_of(out)))
		return CKR_OK;
	return say(session, CKR_TEMPLATE_INCONSISTENT,
	    "this slot is not configured to show a key of that label");
}

/* -- Session objects -- */

CK_RV
plan_session_object(struct session *session, const struct plan *plan,
    CK_OBJECT_CLASS class, const struct hf_p11_made *made,
    CK_MECHANISM_TYPE generated, struct hf_bytes value, CK_OBJECT_HANDLE *out)
{
	bool public = class == CKO_PUBLIC_KEY;
	bool readable = value.ptr != NULL && is_readable(plan);
	uint64_t uses = plan->make.uses & ~(uint64_t)HF_P11_EXTRACT;
	uint64_t theirs = HF_P11_VERIFY | HF_P11_ENCRYPT | HF_P11_WRAP;
	struct object o = {
		.class = class,
		.key_type = plan->w.key_type,
		.private = !public && plan->w.private,
		.local = generated != CK_UNAVAILABLE_INFORMATION,
		.gen_mechanism = generated,
		.sensitive = !public && !readable,
		.always_sensitive = !public && !readable,
		.extractable =
		    public || (plan->make.uses & HF_P11_EXTRACT) != 0,
		.value_len = made->key_size,
		.id = plan->w.id,
		.label = plan->w.label,
		.public_key_info = made->public_key,
		.session_key = made->session_key,
		.type = text_of(plan->type),
	};

	o.never_extractable = !o.extractable;
	o.bits = 8 * o.value_len;
	if (class != CKO_SECRET_KEY)
		o.bits = bits_of_type(plan->type);
	if (readable)
		o.value = value;
	if (uses == 0)
		uses = uses_of_type(plan->type);
	/* As the daemon does: who has the private half has the public one. */
	if (class != CKO_SECRET_KEY && (uses & HF_P11_SIGN) != 0)
		uses |= HF_P11_VERIFY;
	if (class != CKO_SECRET_KEY && (uses & HF_P11_DECRYPT) != 0)
		uses |= HF_P11_ENCRYPT;
	o.uses = class == CKO_SECRET_KEY ? uses
	    : public                     ? uses & theirs
					 : uses & ~theirs;
	if (!public && strncmp(plan->type, "aes", 3) == 0)
		o.uses |= HF_P11_RAW;
	if (strncmp(plan->type, "rsa", 3) == 0)
		o.uses |= HF_P11_RAW;
	if (public)
		o.session_key = (struct hf_bytes){ 0 };
	return session_object_add(session, &o, out);
}

/* -- Keys that stay -- */

CK_RV
plan_ask(struct session *session, const struct plan *plan,
    struct naming *naming, struct hf_p11_made *made, struct call *call)
{
	enum hf_err err = HF_ERR_KEY_EXISTS;
	CK_RV rv;

	for (int try = 0; try < NAME_TRIES; try++) {
		if ((rv = plan_name(session, plan, try, naming->room)) !=
		    CKR_OK)
			return rv;
		*naming->name = text_of(naming->room);
		err = slot_call(call, session->slot, naming->op, naming->in,
		    made, &session->why);
		if (err != HF_ERR_KEY_EXISTS && err != HF_ERR_NAME_TAKEN)
			break;
		slot_done(call);
	}
	return rv_of(err);
}

static CK_RV
generate_stay(struct session *session, const struct plan *plan,
    struct hf_p11_made *made, struct call *call)
{
	struct hf_p11_generate_in in = { .make = plan->make,
		.stay = plan->stay };
	struct naming naming = { OP_p11_generate, &in, &in.name, "" };

	return plan_ask(session, plan, &naming, made, call);
}

static CK_RV
import_stay(struct session *session, const struct plan *plan,
    struct hf_bytes material, struct hf_bytes public_key,
    struct hf_p11_made *made, struct call *call)
{
	struct hf_p11_import_in in = { .make = plan->make,
		.stay = plan->stay,
		.material = material,
		.public_key = public_key };
	struct naming naming = { OP_p11_import, &in, &in.name, "" };

	return plan_ask(session, plan, &naming, made, call);
}

static CK_RV
session_make(struct session *session, const struct plan *plan,
    struct hf_bytes material, struct hf_p11_made *made, struct call *call)
{
	struct hf_p11_session_in in = { .make = plan->make,
		.material = material };

	return rv_of(slot_call(
	    call, session->slot, OP_p11_session, &in, made, &session->why));
}

/* As the service has it for the keys that it keeps. */
static bool
size_may_stay(const struct plan *plan)
{
	enum { LEAST = 32, MOST = 512 };

	return strcmp(plan->type, "hmac") != 0 ||
	    (plan->make.key_size >= LEAST && plan->make.key_size <= MOST);
}

static CK_RV
make_secret(struct session *session, const struct plan *plan,
    CK_MECHANISM_TYPE generated, struct hf_bytes material,
    CK_OBJECT_HANDLE *out)
{
	struct call call = { .slot = session->slot };
	struct hf_p11_made made = { 0 };
	CK_RV rv;

	if (plan->w.token && !size_may_stay(plan))
		return say(session, CKR_KEY_SIZE_RANGE,
		    "a generic secret that stays has 32 to 512 bytes");
	if (!plan->w.token)
		rv = session_make(session, plan, material, &made, &call);
	else if (material.ptr != NULL)
		rv = import_stay(session, plan, material,
		    (struct hf_bytes){ 0 }, &made, &call);
	else
		rv = generate_stay(session, plan, &made, &call);
	if (rv == CKR_OK && plan->w.token) {
		*out = object_handle(made.uid, CKO_SECRET_KEY);
		catalogue_forget(session->slot);
	} else if (rv == CKR_OK) {
		rv = plan_session_object(session, plan, CKO_SECRET_KEY, &made,
		    generated, material, out);
	}
	slot_done(&call);
	return rv;
}

CK_RV
make_key(struct session *session, const CK_MECHANISM *mechanism,
    const CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *out)
{
	const struct mech *mech;
	struct plan plan;
	CK_RV rv;

	if (mechanism == NULL || out == NULL)
		return CKR_ARGUMENTS_BAD;
	mech = mech_find(mechanism->mechanism);
	if (mech == NULL || (mech->info.flags & CKF_GENERATE) == 0)
		return CKR_MECHANISM_INVALID;
	rv = plan_secret(session, template, count, mech->key, &plan);
	if (rv != CKR_OK)
		return rv;
	if (mech->key == CKK_AES && plan.w.key_type != CKK_AES)
		return CKR_TEMPLATE_INCONSISTENT;
	if (!said(&plan, SAID_VALUE_LEN))
		return CKR_TEMPLATE_INCOMPLETE;
	/* A new key is told to nobody, whatever the template would like. */
	return make_secret(
	    session, &plan, mech->type, (struct hf_bytes){ 0 }, out);
}

/* -- Pairs -- */

/* One of both templates: what one says of the pair, the other need not. */
static CK_RV
plan_pair(struct session *session, const struct mech *mech,
    const struct half *public, const struct half *private, struct plan *out)
{
	struct wishes pub;
	CK_RV rv;

	*out = (struct plan){ 0 };
	if ((rv = template_read(public->template, public->count, &pub)) !=
		CKR_OK ||
	    (rv = template_read(private->template, private->count, &out->w)) !=
		CKR_OK ||
	    (rv = check_session(session, out)) != CKR_OK)
		return rv;
	if (((pub.said & SAID_CLASS) != 0 && pub.class != CKO_PUBLIC_KEY) ||
	    (said(out, SAID_CLASS) && out->w.class != CKO_PRIVATE_KEY))
		return say(session, CKR_TEMPLATE_INCONSISTENT, "class");
	out->w.key_type = mech->key;
	if (out->w.label.len == 0)
		out->w.label = pub.label;
	if (out->w.id.len == 0)
		out->w.id = pub.id;
	out->w.uses |= pub.uses;
	out->w.uses_said = out->w.uses_said || pub.uses_said;
	out->w.ec_params = pub.ec_params;
	if (mech->key == CKK_RSA && (pub.said & SAID_MODULUS_BITS) == 0)
		return CKR_TEMPLATE_INCOMPLETE;
	if (mech->key != CKK_RSA && pub.ec_params.len == 0)
		return CKR_TEMPLATE_INCOMPLETE;
	out->type = type_of_key(mech->key, pub.modulus_bits, pub.ec_params);
	if (out->type == NULL)
		return mech->key == CKK_RSA ? CKR_KEY_SIZE_RANGE
					    : CKR_CURVE_NOT_SUPPORTED;
	if (strcmp(out->type, "ed25519") == 0)
		out->w.key_type = CKK_EC_EDWARDS;
	return plan_uses(out);
}

CK_RV
make_pair(struct session *session, const CK_MECHANISM *mechanism,
    const struct half *public, const struct half *private)
{
	struct call call = { .slot = session->slot };
	struct hf_p11_made made = { 0 };
	const struct mech *mech;
	struct plan plan;
	CK_RV rv;

	if (mechanism == NULL || public->out == NULL || private->out == NULL)
		return CKR_ARGUMENTS_BAD;
	mech = mech_find(mechanism->mechanism);
	if (mech == NULL || (mech->info.flags & CKF_GENERATE_KEY_PAIR) == 0)
		return CKR_MECHANISM_INVALID;
	if ((rv = plan_pair(session, mech, public, private, &plan)) != CKR_OK)
		return rv;
	rv = plan.w.token ? generate_stay(session, &plan, &made, &call)
			  : session_make(session, &plan, (struct hf_bytes){ 0 },
				&made, &call);
	if (rv == CKR_OK && plan.w.token) {
		*public->out = object_handle(made.uid, CKO_PUBLIC_KEY);
		*private->out = object_handle(made.uid, CKO_PRIVATE_KEY);
		catalogue_forget(session->slot);
	} else if (rv == CKR_OK) {
		rv = plan_session_object(session, &plan, CKO_PUBLIC_KEY, &made,
		    mech->type, (struct hf_bytes){ 0 }, public->out);
		if (rv == CKR_OK)
			rv = plan_session_object(session, &plan,
			    CKO_PRIVATE_KEY, &made, mech->type,
			    (struct hf_bytes){ 0 }, private->out);
	}
	slot_done(&call);
	return rv;
}

/* -- Objects that hosts bring -- */

/* The service would refuse it, but then the key would have been out. */
static CK_RV
may_bring_key(struct session *session)
{
	if (!config_is_remote(&session->slot->config))
		return CKR_OK;
	(void)hf_fail(&session->why, HF_ERR_PERMISSION_DENIED,
	    "a key in clear leaves this host for no service; 'holdfast key "
	    "import' wraps it");
	return CKR_TOKEN_WRITE_PROTECTED;
}

static CK_RV
create_secret(struct session *session, struct plan *plan, CK_OBJECT_HANDLE *out)
{
	struct hf_bytes value = plan->w.value;
	CK_RV rv;

	if ((rv = may_bring_key(session)) != CKR_OK)
		return rv;
	if (value.len == 0 || !said(plan, SAID_KEY_TYPE))
		return CKR_TEMPLATE_INCOMPLETE;
	plan->type =
	    type_of_key(plan->w.key_type, value.len, (struct hf_bytes){ 0 });
	if (plan->type == NULL)
		return CKR_ATTRIBUTE_VALUE_INVALID;
	if (strcmp(plan->type, "hmac") == 0)
		plan->make.key_size = value.len;
	if ((rv = plan_uses(plan)) != CKR_OK)
		return rv;
	return make_secret(
	    session, plan, CK_UNAVAILABLE_INFORMATION, value, out);
}

static CK_RV
create_private(
    struct session *session, struct plan *plan, CK_OBJECT_HANDLE *out)
{
	struct call call = { .slot = session->slot };
	struct hf_p11_made made = { 0 };
	AUTO_BUFFER material = { 0 };
	struct hf_bytes n = plan->w.modulus;
	CK_RV rv = may_bring_key(session);

	if (rv != CKR_OK)
		return rv;
	while (n.len > 0 && n.ptr[0] == 0) {
		n.ptr++;
		n.len--;
	}
	plan->type =
	    type_of_key(plan->w.key_type, 8 * n.len, plan->w.ec_params);
	if (plan->type == NULL)
		return CKR_ATTRIBUTE_VALUE_INVALID;
	if (strcmp(plan->type, "ed25519") == 0)
		plan->w.key_type = CKK_EC_EDWARDS;
	if ((rv = plan_uses(plan)) != CKR_OK)
		return rv;
	if ((rv = encode_private(&plan->w, &material)) != CKR_OK)
		return rv;
	rv = plan->w.token
	    ? import_stay(session, plan, buffer_view(&material),
		  (struct hf_bytes){ 0 }, &made, &call)
	    : session_make(session, plan, buffer_view(&material), &made, &call);
	if (rv == CKR_OK && plan->w.token) {
		*out = object_handle(made.uid, CKO_PRIVATE_KEY);
		catalogue_forget(session->slot);
	} else if (rv == CKR_OK) {
		rv = plan_session_object(session, plan, CKO_PRIVATE_KEY, &made,
		    CK_UNAVAILABLE_INFORMATION, (struct hf_bytes){ 0 }, out);
	}
	slot_done(&call);
	return rv;
}

/*
 * The public half of a key that is here already, as hosts bring it after the
 * private one, is no second object.
 */
static CK_RV
create_public(struct session *session, struct plan *plan, CK_OBJECT_HANDLE *out)
{
	struct call call = { .slot = session->slot };
	struct hf_p11_made made = { 0 };
	AUTO_BUFFER spki = { 0 };
	struct object *same = NULL;
	struct spki parsed;
	struct hf_bytes n = { 0 }, e;
	CK_RV rv = encode_public(&plan->w, &spki);

	if (rv != CKR_OK)
		return rv;
	if (plan->w.key_type == CKK_RSA &&
	    (!spki_parse(buffer_view(&spki), &parsed) ||
		!rsa_parse(parsed.key, &n, &e)))
		return CKR_ATTRIBUTE_VALUE_INVALID;
	plan->type =
	    type_of_key(plan->w.key_type, 8 * n.len, plan->w.ec_params);
	if (plan->type == NULL)
		return CKR_ATTRIBUTE_VALUE_INVALID;
	if (strcmp(plan->type, "ed25519") == 0)
		plan->w.key_type = CKK_EC_EDWARDS;
	if ((rv = plan_uses(plan)) != CKR_OK)
		return rv;
	made.public_key = buffer_view(&spki);
	if (!plan->w.token)
		return plan_session_object(session, plan, CKO_PUBLIC_KEY, &made,
		    CK_UNAVAILABLE_INFORMATION, (struct hf_bytes){ 0 }, out);
	rv = object_by_public_key(
	    session, CKO_PUBLIC_KEY, buffer_view(&spki), &same);
	if (rv != CKR_OK)
		return rv;
	if (same != NULL) {
		*out = same->handle;
		object_put(same);
		return CKR_OK;
	}
	rv = import_stay(session, plan, (struct hf_bytes){ 0 },
	    buffer_view(&spki), &made, &call);
	if (rv == CKR_OK) {
		*out = object_handle(made.uid, CKO_PUBLIC_KEY);
		catalogue_forget(session->slot);
	}
	slot_done(&call);
	return rv;
}

/* -- Certificates -- */

static CK_RV
certificate_of_key(struct session *session, const struct object *key,
    struct hf_bytes der, CK_OBJECT_HANDLE *out)
{
	struct hf_p11_set_certificate_in in = { .name = key->name,
		.key_version = key->key_version,
		.certificate = der };
	struct hf_empty nothing;
	struct call call;
	enum hf_err err = slot_call(&call, session->slot,
	    OP_p11_set_certificate, &in, &nothing, &session->why);

	slot_done(&call);
	if (err == HF_OK && out != NULL)
		*out = object_handle(key->uid, CKO_CERTIFICATE);
	if (err == HF_OK)
		catalogue_forget(session->slot);
	return rv_of(err);
}

static CK_RV
certificate_alone(struct session *session, const struct plan *plan, int try,
    CK_OBJECT_HANDLE *out)
{
	struct hf_p11_certificate_in in = { .certificate = plan->w.value,
		.label = plan->stay.label,
		.id = plan->stay.id };
	struct hf_p11_made made;
	char name[NAME_SIZE];
	struct call call;
	enum hf_err err;
	CK_RV rv = plan_name(session, plan, try, name);

	if (rv != CKR_OK)
		return rv;
	in.name = text_of(name);
	err = slot_call(&call, session->slot, OP_p11_certificate_set, &in,
	    &made, &session->why);
	if (err == HF_OK) {
		*out = object_handle(made.uid, CKO_CERTIFICATE);
		catalogue_forget(session->slot);
	}
	slot_done(&call);
	return rv_of(err);
}

/* By its public key: a CKA_ID that hosts make up need not be the key's. */
static CK_RV
create_certificate(
    struct session *session, struct plan *plan, CK_OBJECT_HANDLE *out)
{
	struct certificate c;
	struct object *key = NULL;
	CK_RV rv;

	if (plan->w.value.len == 0)
		return CKR_TEMPLATE_INCOMPLETE;
	if (plan->w.certificate_type != CKC_X_509 ||
	    !certificate_parse(plan->w.value, &c))
		return CKR_ATTRIBUTE_VALUE_INVALID;
	if (!plan->w.token) {
		struct object o = { .class = CKO_CERTIFICATE,
			.certificate_type = CKC_X_509,
			.certificate = plan->w.value,
			.id = plan->w.id,
			.label = plan->w.label };

		return session_object_add(session, &o, out);
	}
	rv = object_by_public_key(session, CKO_PUBLIC_KEY, c.spki, &key);
	if (rv != CKR_OK)
		return rv;
	if (key == NULL)
		return certificate_alone(session, plan, 1, out);
	rv = certificate_of_key(session, key, plan->w.value, out);
	object_put(key);
	return rv;
}

CK_RV
make_object(struct session *session, const CK_ATTRIBUTE *template,
    CK_ULONG count, CK_OBJECT_HANDLE *out)
{
	struct plan plan = { 0 };
	CK_RV rv;

	if (out == NULL)
		return CKR_ARGUMENTS_BAD;
	if ((rv = template_read(template, count, &plan.w)) != CKR_OK ||
	    (rv = check_session(session, &plan)) != CKR_OK ||
	    (rv = plan_uses(&plan)) != CKR_OK)
		return rv;
	if (!said(&plan, SAID_CLASS))
		return CKR_TEMPLATE_INCOMPLETE;
	if (plan.w.class == CKO_CERTIFICATE)
		return create_certificate(session, &plan, out);
	if (plan.w.class == CKO_SECRET_KEY)
		return create_secret(session, &plan, out);
	if (!said(&plan, SAID_KEY_TYPE))
		return CKR_TEMPLATE_INCOMPLETE;
	if (plan.w.class == CKO_PRIVATE_KEY)
		return create_private(session, &plan, out);
	if (plan.w.class == CKO_PUBLIC_KEY)
		return create_public(session, &plan, out);
	return say(session, CKR_ATTRIBUTE_VALUE_INVALID,
	    "this token keeps no objects of that class");
}

/* -- Change and destroy -- */

static CK_RV
call_empty(struct session *session, enum op_id op, void *in)
{
	struct hf_empty nothing;
	struct call call;
	enum hf_err err =
	    slot_call(&call, session->slot, op, in, &nothing, &session->why);

	slot_done(&call);
	if (err == HF_OK)
		catalogue_forget(session->slot);
	/* What another process destroyed meanwhile. */
	if (err == HF_ERR_KEY_NOT_FOUND || err == HF_ERR_VERSION_NOT_FOUND) {
		catalogue_forget(session->slot);
		return CKR_OBJECT_HANDLE_INVALID;
	}
	return rv_of(err);
}

static CK_RV
change_certificate(
    struct session *session, const struct object *o, const struct wishes *w)
{
	struct hf_p11_certificate_in in = { .name = o->name,
		.certificate = o->certificate,
		.label = { (const char *)o->label.ptr, o->label.len },
		.id = o->id.len > 0 ? o->id : (struct hf_bytes){ 0 } };
	struct hf_p11_made made;
	struct call call;
	enum hf_err err;

	if (w->label.ptr != NULL)
		in.label = (struct hf_text){ (const char *)w->label.ptr,
			w->label.len };
	if (w->id.ptr != NULL)
		in.id = w->id;
	err = slot_call(&call, session->slot, OP_p11_certificate_set, &in,
	    &made, &session->why);
	slot_done(&call);
	if (err == HF_OK)
		catalogue_forget(session->slot);
	return rv_of(err);
}

/* A secret that could be read shall be so no more. */
static bool
hides_value(const struct object *o, const CK_ATTRIBUTE *a)
{
	const CK_BBOOL yes = CK_TRUE;

	return !o->token && o->value.ptr != NULL && a->type == CKA_SENSITIVE &&
	    bytes_equal(bytes_of(a->pValue, a->ulValueLen),
		bytes_of(&yes, sizeof(yes)));
}

/*
 * Label and id. What else a template says must be so already: nothing of what
 * a key may do, and how it is protected, ever changes.
 */
static CK_RV
change_check(
    const struct object *o, const CK_ATTRIBUTE *template, CK_ULONG count)
{
	for (CK_ULONG i = 0; i < count; i++)
		if (template[i].type != CKA_LABEL &&
		    template[i].type != CKA_ID &&
		    !hides_value(o, &template[i]) &&
		    !attribute_match(o, &template[i], 1))
			return CKR_ATTRIBUTE_READ_ONLY;
	return CKR_OK;
}

/* Nobody else knows of it, and the daemon's part does not change. */
static CK_RV
change_session(
    struct session *session, const struct object *o, const struct wishes *w)
{
	struct object to = *o;

	if (w->label.ptr != NULL)
		to.label = w->label;
	if (w->id.ptr != NULL)
		to.id = w->id;
	if (w->sensitive) {
		to.sensitive = true;
		to.value = (struct hf_bytes){ 0 };
	}
	return session_object_change(session, &to);
}

static struct wishes
changes(const struct object *o, const CK_ATTRIBUTE *template, CK_ULONG count)
{
	static const uint8_t nothing[1];
	struct wishes w = { 0 };

	for (CK_ULONG i = 0; i < count; i++) {
		struct hf_bytes v = template[i].ulValueLen == 0
		    ? bytes_of(nothing, 0)
		    : bytes_of(template[i].pValue, template[i].ulValueLen);

		if (template[i].type == CKA_LABEL)
			w.label = v;
		if (template[i].type == CKA_ID)
			w.id = v;
		if (hides_value(o, &template[i]))
			w.sensitive = true;
	}
	return w;
}

static CK_RV
change(struct session *session, const struct object *o,
    const CK_ATTRIBUTE *template, CK_ULONG count)
{
	struct hf_p11_set_in in = { .name = o->name };
	struct wishes w;
	CK_RV rv = template_check(template, count);

	if (rv == CKR_OK)
		rv = change_check(o, template, count);
	if (rv != CKR_OK)
		return rv;
	if (o->class == CKO_PROFILE || (o->uses & HF_P11_MODIFY) == 0)
		return CKR_ACTION_PROHIBITED;
	w = changes(o, template, count);
	if (w.label.len > 256 || w.id.len > 256)
		return CKR_ATTRIBUTE_VALUE_INVALID;
	if (!o->token)
		return change_session(session, o, &w);
	if (w.label.ptr == NULL && w.id.ptr == NULL)
		return CKR_OK;
	if (o->class == CKO_CERTIFICATE && o->alone)
		return change_certificate(session, o, &w);
	in.label = (struct hf_text){ (const char *)w.label.ptr, w.label.len };
	in.id = w.id;
	return call_empty(session, OP_p11_set, &in);
}

CK_RV
change_object(struct session *session, CK_OBJECT_HANDLE handle,
    const CK_ATTRIBUTE *template, CK_ULONG count)
{
	struct object *o;
	CK_RV rv = object_get(session, handle, CKR_OBJECT_HANDLE_INVALID, &o);

	if (rv != CKR_OK)
		return rv;
	rv = o->token && !session->rw ? CKR_SESSION_READ_ONLY
				      : change(session, o, template, count);
	object_put(o);
	return rv;
}

static CK_RV
destroy(struct session *session, const struct object *o)
{
	struct hf_p11_destroy_in key = { .name = o->name,
		.key_version = o->key_version };
	struct hf_p11_certificate_delete_in certificate = { .name = o->name };

	if ((o->uses & HF_P11_DESTROY) == 0)
		return CKR_ACTION_PROHIBITED;
	if (o->class != CKO_CERTIFICATE)
		return call_empty(session, OP_p11_destroy, &key);
	if (o->alone)
		return call_empty(
		    session, OP_p11_certificate_delete, &certificate);
	return certificate_of_key(session, o, (struct hf_bytes){ 0 }, NULL);
}

CK_RV
destroy_object(struct session *session, CK_OBJECT_HANDLE handle)
{
	struct object *o;
	CK_RV rv = object_get(session, handle, CKR_OBJECT_HANDLE_INVALID, &o);

	if (rv != CKR_OK)
		return rv;
	if (!o->token)
		rv = session_object_remove(session, handle)
		    ? CKR_OK
		    : CKR_OBJECT_HANDLE_INVALID;
	else
		rv = session->rw ? destroy(session, o) : CKR_SESSION_READ_ONLY;
	object_put(o);
	return rv;
}
