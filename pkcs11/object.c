/* SPDX-License-Identifier: Apache-2.0 */
#include "object.h"

#include <stdlib.h>
#include <string.h>

#include "../lib/bytes.h"
#include "../lib/client_socket.h"
#include "attribute.h"
#include "digest.h"
#include "error.h"
#include "module.h"
#include "session_object.h"
#include "shelf.h"

/*
 * How long the daemon's word on a catalogue is good for. A program that lists
 * a token makes dozens of searches within this time.
 */
enum { FRESH_MS = 250 };

/* -- Handles and references -- */

/* Handles of token objects have the top bit of these. */
enum { HANDLE_BITS = sizeof(CK_ULONG) >= 8 ? 48 : 32 };

CK_OBJECT_HANDLE
object_handle(struct hf_bytes uid, CK_OBJECT_CLASS class)
{
	uint8_t seed[64 + 8], hash[DIGEST_MAX];
	size_t len = uid.len < 64 ? uid.len : 64;
	uint64_t h;

	if (len > 0)
		memcpy(seed, uid.ptr, len);
	put_u64(seed + len, class);
	digest_once(digest_by_mech(CKM_SHA256), bytes_of(seed, len + 8), hash);
	h = get_u64(hash) >> (64 - HANDLE_BITS);
	return (CK_OBJECT_HANDLE)(h | UINT64_C(1) << (HANDLE_BITS - 1));
}

static bool
is_token_handle(CK_OBJECT_HANDLE handle)
{
	return handle >> (HANDLE_BITS - 1) == 1;
}

void
object_put(struct object *object)
{
	if (object != NULL)
		shelf_put(object->shelf);
}

/* -- The catalogue of a slot -- */

/* A catalogue, and the version by which the daemon knows it. */
struct seen {
	struct shelf *shelf;
	uint8_t version[CATALOGUE_VERSION];
	size_t version_len;
};

static void
seen_version(struct seen *seen, struct hf_bytes version)
{
	seen->version_len = version.len > CATALOGUE_VERSION ? 0 : version.len;
	if (seen->version_len > 0)
		memcpy(seen->version, version.ptr, version.len);
}

static struct seen
catalogue_get(struct slot *slot, bool *fresh)
{
	struct seen seen = { 0 };
	struct shelf *shelf;

	module_lock();
	shelf = shelf_ref(slot->catalogue);
	seen.shelf = shelf;
	seen_version(&seen,
	    bytes_of(slot->catalogue_version, slot->catalogue_version_len));
	*fresh =
	    shelf != NULL && slot->catalogue_at > deadline_now() - FRESH_MS;
	module_unlock();
	return seen;
}

static void
catalogue_set(struct slot *slot, const struct seen *seen)
{
	struct shelf *old;

	module_lock();
	old = slot->catalogue;
	slot->catalogue = shelf_ref(seen->shelf);
	memcpy(slot->catalogue_version, seen->version, seen->version_len);
	slot->catalogue_version_len = seen->version_len;
	slot->catalogue_at = deadline_now();
	module_unlock();
	shelf_put(old);
}

/* Takes the new list out of a reply, or keeps the old one. */
static enum hf_err
catalogue_from(struct call *call, const struct hf_p11_find_out *rows,
    struct shelf *old, struct shelf **out)
{
	struct hf_reply *reply;
	enum hf_err err;

	if (rows->unchanged && old != NULL) {
		*out = shelf_ref(old);
		return HF_OK;
	}
	reply = slot_keep(call);
	err = shelf_make(&call->slot->config, rows, reply, out);
	if (err != HF_OK)
		hf_reply_free(reply);
	return err;
}

/* The catalogue as the daemon has it now; the caller's reference. */
static enum hf_err
catalogue_refresh(struct slot *slot, const struct seen *old, struct shelf **out,
    struct hf_why *why)
{
	struct hf_p11_find_in in = { 0 };
	struct hf_p11_find_out rows;
	struct seen new = { 0 };
	struct call call;
	enum hf_err err;

	if (old->shelf != NULL && old->version_len > 0)
		in.if_version = bytes_of(old->version, old->version_len);
	err = slot_call(&call, slot, OP_p11_find, &in, &rows, why);
	/* Whom no policy names sees nothing: that is an answer. */
	if (err == HF_ERR_PERMISSION_DENIED) {
		rows = (struct hf_p11_find_out){ 0 };
		err = HF_OK;
	}
	if (err == HF_OK) {
		seen_version(&new, rows.version);
		err = catalogue_from(&call, &rows, old->shelf, &new.shelf);
	}
	slot_done(&call);
	if (err == HF_OK) {
		catalogue_set(slot, &new);
		*out = new.shelf;
	}
	return err;
}

/* The daemon must have vouched for it just now. */
static enum hf_err
catalogue(struct slot *slot, struct shelf **out, struct hf_why *why)
{
	bool fresh;
	struct seen old = catalogue_get(slot, &fresh);
	enum hf_err err;

	if (fresh) {
		*out = old.shelf;
		return HF_OK;
	}
	err = catalogue_refresh(slot, &old, out, why);
	shelf_put(old.shelf);
	return err;
}

void
catalogue_forget(struct slot *slot)
{
	module_lock();
	slot->catalogue_at = INT64_MIN;
	module_unlock();
}

/* What needs no daemon, and is a part of each catalogue: profiles. */
static enum hf_err
catalogue_of_nothing(struct slot *slot, struct shelf **out)
{
	static const struct hf_p11_find_out nothing;

	return shelf_make(&slot->config, &nothing, NULL, out);
}

/* Of any age, without asking. */
static enum hf_err
catalogue_known(struct slot *slot, struct shelf **out)
{
	bool fresh;
	struct seen seen = catalogue_get(slot, &fresh);

	if (seen.shelf == NULL)
		return catalogue_of_nothing(slot, out);
	*out = seen.shelf;
	return HF_OK;
}

/* -- By handle -- */

static CK_RV
token_object(struct session *session, CK_OBJECT_HANDLE handle, CK_RV invalid,
    struct object **out)
{
	/* First what is there; then, for a handle that another process made
	 * known or that is newer, what the daemon has. */
	for (int ask = 0; ask <= 1; ask++) {
		struct shelf *shelf;
		struct object *object;
		enum hf_err err = ask == 0
		    ? catalogue_known(session->slot, &shelf)
		    : catalogue(session->slot, &shelf, &session->why);

		if (err != HF_OK)
			return rv_of(err);
		object = shelf_find(shelf, handle);
		if (object != NULL) {
			*out = object; /* with the shelf's reference */
			return CKR_OK;
		}
		shelf_put(shelf);
	}
	return invalid;
}

/* -- By handle, of either kind -- */

CK_RV
object_get(struct session *session, CK_OBJECT_HANDLE handle, CK_RV invalid,
    struct object **out)
{
	CK_RV rv;

	if (is_token_handle(handle)) {
		rv = token_object(session, handle, invalid, out);
	} else {
		*out = session_object_get(session, handle);
		rv = *out != NULL ? CKR_OK : invalid;
	}
	if (rv == CKR_OK && (*out)->private && !session_sees_private(session)) {
		object_put(*out);
		return invalid;
	}
	return rv;
}

CK_RV
object_by_public_key(struct session *session, CK_OBJECT_CLASS class,
    struct hf_bytes public_key_info, struct object **out)
{
	struct shelf *shelf;
	enum hf_err err = catalogue(session->slot, &shelf, &session->why);

	*out = NULL;
	if (err != HF_OK)
		return rv_of(err);
	for (size_t i = 0; i < shelf_count(shelf); i++) {
		struct object *o = shelf_at(shelf, i);

		if (o->class == class && o->public_key_info.len > 0 &&
		    bytes_equal(o->public_key_info, public_key_info)) {
			*out = o; /* with the shelf's reference */
			return CKR_OK;
		}
	}
	shelf_put(shelf);
	return CKR_OK;
}

/* -- Search -- */

/*
 * Classes of which this token can never have an object are answered at once
 * (NSS asks for trust objects all the time), and profiles need no daemon.
 */
static bool
needs_daemon(const CK_ATTRIBUTE *template, CK_ULONG count)
{
	CK_OBJECT_CLASS class;
	CK_BBOOL token = CK_FALSE;

	for (CK_ULONG i = 0; i < count; i++)
		if (template[i].type == CKA_TOKEN &&
		    template[i].ulValueLen == sizeof(token) &&
		    memcmp(template[i].pValue, &token, sizeof(token)) == 0)
			return false; /* session objects */

	for (CK_ULONG i = 0; i < count; i++) {
		if (template[i].type != CKA_CLASS ||
		    template[i].ulValueLen != sizeof(class))
			continue;
		memcpy(&class, template[i].pValue, sizeof(class));
		return class == CKO_CERTIFICATE || class == CKO_PUBLIC_KEY ||
		    class == CKO_PRIVATE_KEY || class == CKO_SECRET_KEY;
	}
	return true;
}

/*
 * libp11 0.4.12, which is OpenSSL's engine in Debian 12, asks for all private
 * keys and gives up on the whole token when one of them is an Ed25519 key. So
 * those do not show in a search for nothing but the class of private keys;
 * they do in all others: by label, by id, by key type, or for everything.
 */
static bool
hides_ed25519(
    const struct session *session, const CK_ATTRIBUTE *template, CK_ULONG count)
{
	return !session->slot->config.lists_ed25519 && count == 1 &&
	    template[0].type == CKA_CLASS;
}

/* Profiles are for those who ask: to p11tool they are unknown objects. */
static bool
names_class(const CK_ATTRIBUTE *template, CK_ULONG count)
{
	for (CK_ULONG i = 0; i < count; i++)
		if (template[i].type == CKA_CLASS)
			return true;
	return false;
}

static CK_RV
collect(struct session *session, const struct shelf *shelf,
    const CK_ATTRIBUTE *template, CK_ULONG count)
{
	bool private = session_sees_private(session);
	bool hide = hides_ed25519(session, template, count);
	bool profiles = names_class(template, count);
	size_t room = shelf_count(shelf) + session_objects_count(session) + 1;

	session->found = calloc(room, sizeof(CK_OBJECT_HANDLE));
	if (session->found == NULL)
		return CKR_HOST_MEMORY;
	session->found_count = 0;
	session->found_at = 0;
	for (size_t i = 0; i < shelf_count(shelf); i++) {
		const struct object *o = shelf_at(shelf, i);

		if (o->private &&
		    (!private || (hide && o->key_type == CKK_EC_EDWARDS)))
			continue;
		if (o->class == CKO_PROFILE && !profiles)
			continue;
		if (attribute_match(o, template, count))
			session->found[session->found_count++] = o->handle;
	}
	session_objects_collect(session, room, template, count);
	session->finding = true;
	return CKR_OK;
}

CK_RV
object_find_start(
    struct session *session, const CK_ATTRIBUTE *template, CK_ULONG count)
{
	struct shelf *shelf;
	enum hf_err err;
	CK_RV rv;

	if (session->finding)
		return CKR_OPERATION_ACTIVE;
	if ((rv = template_check(template, count)) != CKR_OK)
		return rv;
	if (needs_daemon(template, count))
		err = catalogue(session->slot, &shelf, &session->why);
	else
		err = catalogue_of_nothing(session->slot, &shelf);
	if (err != HF_OK)
		return rv_of(err);
	rv = collect(session, shelf, template, count);
	shelf_put(shelf);
	return rv;
}

CK_RV
object_find(struct session *session, CK_OBJECT_HANDLE *out, CK_ULONG max,
    CK_ULONG *count)
{
	CK_ULONG n = 0;

	if (!session->finding)
		return CKR_OPERATION_NOT_INITIALIZED;
	if (count == NULL || (out == NULL && max > 0))
		return CKR_ARGUMENTS_BAD;
	while (n < max && session->found_at < session->found_count)
		out[n++] = session->found[session->found_at++];
	*count = n;
	return CKR_OK;
}

CK_RV
object_find_end(struct session *session)
{
	if (!session->finding)
		return CKR_OPERATION_NOT_INITIALIZED;
	free(session->found);
	session->found = NULL;
	session->finding = false;
	return CKR_OK;
}
