/* SPDX-License-Identifier: Apache-2.0 */
#include "object.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/arena.h"
#include "../lib/bytes.h"
#include "../lib/client_socket.h"
#include "attribute.h"
#include "der.h"
#include "digest.h"
#include "error.h"
#include "module.h"

/*
 * How long the daemon's word on a catalogue is good for. A program that lists
 * a token makes dozens of searches within this time.
 */
enum { FRESH_MS = 250 };

/* A host may have read 100,000 keys of 3 objects each. */
enum { SHELF_LIMIT = 512 << 20, SHELF_FIRST = 4096 };

struct shelf {
	_Atomic unsigned refs;
	struct arena *arena;    /* what is made here */
	struct hf_reply *reply; /* what the daemon sent */
	struct object *objects; /* in the order of the daemon */
	struct object **by_handle;
	size_t count;
};

void
shelf_put(struct shelf *shelf)
{
	if (shelf == NULL || atomic_fetch_sub(&shelf->refs, 1) != 1)
		return;
	arena_free(shelf->arena);
	hf_reply_free(shelf->reply);
	free(shelf);
}

static struct shelf *
shelf_ref(struct shelf *shelf)
{
	if (shelf != NULL)
		(void)atomic_fetch_add(&shelf->refs, 1);
	return shelf;
}

size_t
shelf_count(const struct shelf *shelf)
{
	return shelf->count;
}

const struct object *
shelf_at(const struct shelf *shelf, size_t i)
{
	return &shelf->objects[i];
}

void
object_put(struct object *object)
{
	if (object != NULL)
		shelf_put(object->shelf);
}

/* -- From a row to objects -- */

/* What a type of key is in Cryptoki. */
static const struct kind_of_key {
	const char *prefix; /* of the type's name */
	CK_KEY_TYPE key_type;
	bool pair;
	unsigned types; /* enum types of config.h */
	CK_MECHANISM_TYPE generated_by;
} kinds_of_key[] = {
	{ "rsa-", CKK_RSA, true, TYPES_RSA, CKM_RSA_PKCS_KEY_PAIR_GEN },
	{ "ecdsa-", CKK_EC, true, TYPES_EC, CKM_EC_KEY_PAIR_GEN },
	{ "ed25519", CKK_EC_EDWARDS, true, TYPES_ED25519,
	    CKM_EC_EDWARDS_KEY_PAIR_GEN },
	{ "aes", CKK_AES, false, TYPES_AES, CKM_AES_KEY_GEN },
	{ "hmac", CKK_GENERIC_SECRET, false, TYPES_HMAC,
	    CKM_GENERIC_SECRET_KEY_GEN },
};

static const struct kind_of_key *
kind_of(struct hf_text type)
{
	for (size_t i = 0; i < sizeof(kinds_of_key) / sizeof(kinds_of_key[0]);
	     i++)
		if (text_starts(type, text_of(kinds_of_key[i].prefix)))
			return &kinds_of_key[i];
	return NULL;
}

enum {
	USES_PRIVATE = HF_P11_SIGN | HF_P11_DECRYPT | HF_P11_DERIVE |
	    HF_P11_UNWRAP | HF_P11_EXTRACT,
	USES_PUBLIC = HF_P11_VERIFY | HF_P11_ENCRYPT | HF_P11_WRAP,
	USES_MANAGE = HF_P11_MODIFY | HF_P11_DESTROY,
};

struct maker {
	struct shelf *shelf;
	const struct slot_config *config;
	struct object *next; /* room for the next object */
	bool full;           /* of memory */
};

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

/* CKA_UNIQUE_ID: printable, and different for the objects of one row. */
static struct hf_bytes
unique_id(struct maker *m, struct hf_bytes uid, CK_OBJECT_CLASS class)
{
	char *out = arena_alloc(m->shelf->arena, 2 * uid.len + 4);

	if (out == NULL) {
		m->full = true;
		return (struct hf_bytes){ 0 };
	}
	hex_encode(uid.ptr, uid.len, out);
	out[2 * uid.len] = '-';
	out[2 * uid.len + 1] = (char)('0' + class % 10);
	return bytes_of(out, 2 * uid.len + 2);
}

/* Cryptoki wants the point as a DER OCTET STRING. */
static struct hf_bytes
octet_string(struct maker *m, struct hf_bytes point)
{
	uint8_t *out = arena_alloc(m->shelf->arena, point.len + 6);
	size_t head;

	if (out == NULL) {
		m->full = true;
		return (struct hf_bytes){ 0 };
	}
	head = der_head(DER_OCTET_STRING, point.len, out);
	memcpy(out + head, point.ptr, point.len);
	return bytes_of(out, head + point.len);
}

static void
set_certificate_names(struct object *o, struct hf_bytes der)
{
	struct certificate c;

	if (der.ptr == NULL || !certificate_parse(der, &c))
		return;
	o->subject = c.subject;
	o->issuer = c.issuer;
	o->serial = c.serial;
	if (o->public_key_info.ptr == NULL)
		o->public_key_info = c.spki;
}

static void
set_public_parts(struct maker *m, struct object *o)
{
	struct spki spki;

	if (o->public_key_info.ptr == NULL ||
	    !spki_parse(o->public_key_info, &spki))
		return;
	if (o->key_type == CKK_RSA) {
		(void)rsa_parse(spki.key, &o->modulus, &o->exponent);
		return;
	}
	/* Edwards curves are named by the algorithm itself. */
	o->ec_params = o->key_type == CKK_EC ? spki.parameters : spki.algorithm;
	o->ec_point = octet_string(m, spki.key);
}

static void
set_certificate(struct maker *m, struct object *o, struct hf_bytes der)
{
	uint8_t *check = arena_alloc(m->shelf->arena, DIGEST_MAX);

	o->certificate = der;
	set_certificate_names(o, der);
	if (check == NULL) {
		m->full = true;
		return;
	}
	/* PKCS#11 3.0, 4.6.2: the first three bytes of its SHA-1. */
	digest_once(digest_by_mech(CKM_SHA_1), der, check);
	o->check_value = bytes_of(check, 3);
}

static struct object *
add(struct maker *m, const struct hf_p11_object *row, CK_OBJECT_CLASS class)
{
	struct object *o = m->next++;

	*o = (struct object){
		.shelf = m->shelf,
		.handle = object_handle(row->uid, class),
		.class = class,
		.token = true,
		.name = row->name,
		.uid = row->uid,
		.key_version = row->key_version,
		.id = row->id,
		.label = bytes_of(row->label.ptr, row->label.len),
		.unique_id = unique_id(m, row->uid, class),
		.public_key_info = row->public_key,
		.bits = row->bits,
		.value_len = row->bits / 8,
		.local = !row->imported,
		.gen_mechanism = CK_UNAVAILABLE_INFORMATION,
		.uses = row->uses & USES_MANAGE,
		.certificate_type = CKC_X_509,
		.sensitive = true,
		.always_sensitive = !row->imported,
		.alone = text_is(row->kind, "public") ||
		    text_is(row->kind, "certificate"),
	};
	return o;
}

static void
add_key(struct maker *m, const struct hf_p11_object *row,
    const struct kind_of_key *kind, CK_OBJECT_CLASS class, unsigned uses)
{
	struct object *o = add(m, row, class);

	o->key_type = kind->key_type;
	o->in_hsm = text_is(row->level, "hsm");
	o->uses |= row->uses & (uses | HF_P11_RAW);
	/* The public half goes with the private one, and not before. */
	if (class == CKO_PUBLIC_KEY && !o->alone)
		o->uses &= ~(uint64_t)HF_P11_DESTROY;
	if (class == CKO_PUBLIC_KEY)
		o->sensitive = o->always_sensitive = false;
	o->private = class != CKO_PUBLIC_KEY;
	o->extractable =
	    class == CKO_PUBLIC_KEY || (row->uses & HF_P11_EXTRACT) != 0;
	o->never_extractable = o->local && !o->extractable;
	if (o->local)
		o->gen_mechanism = kind->generated_by;
	set_public_parts(m, o);
	set_certificate_names(o, row->certificate);
}

static void
add_certificate(struct maker *m, const struct hf_p11_object *row)
{
	struct object *o = add(m, row, CKO_CERTIFICATE);

	/* That of a key goes by a change of the key. */
	if (!o->alone && (o->uses & HF_P11_MODIFY) != 0)
		o->uses |= HF_P11_DESTROY;
	else if (!o->alone)
		o->uses &= ~(uint64_t)HF_P11_DESTROY;
	set_certificate(m, o, row->certificate);
}

/* At most three objects, and at least a use that policy allows for a key. */
static void
add_row(struct maker *m, const struct hf_p11_object *row)
{
	const struct kind_of_key *kind = kind_of(row->type);
	unsigned show = m->config->show;

	if (!config_shows(m->config, row->name))
		return;
	if (row->certificate.len > 0 && (show & SHOW_CERTIFICATE) != 0)
		add_certificate(m, row);
	if (kind == NULL || (m->config->types & kind->types) == 0)
		return;
	if (!kind->pair) {
		if ((show & SHOW_SECRET) != 0)
			add_key(m, row, kind, CKO_SECRET_KEY,
			    USES_PRIVATE | USES_PUBLIC);
		return;
	}
	if (!text_is(row->kind, "public") && (row->uses & USES_PRIVATE) != 0 &&
	    (show & SHOW_PRIVATE) != 0)
		add_key(m, row, kind, CKO_PRIVATE_KEY, USES_PRIVATE);
	if (row->public_key.len > 0 && (show & SHOW_PUBLIC) != 0)
		add_key(m, row, kind, CKO_PUBLIC_KEY, USES_PUBLIC);
}

/* Says to hosts that look for profiles what this token is. */
static void
add_profile(struct maker *m, CK_ULONG profile)
{
	static const uint8_t uid[] = "holdfast profile";
	struct hf_p11_object row = { .uid = { uid, sizeof(uid) - 1 } };
	struct object *o = add(m, &row, CKO_PROFILE + 0x1000 * profile);

	o->class = CKO_PROFILE;
	o->profile = profile;
}

static int
compare_handles(const void *a, const void *b)
{
	const struct object *const *x = a, *const *y = b;

	return ((*x)->handle > (*y)->handle) - ((*x)->handle < (*y)->handle);
}

/* Two objects of one hash are as good as impossible; the later one moves. */
static void
sort_handles(struct shelf *shelf)
{
	for (size_t i = 0; i < shelf->count; i++)
		shelf->by_handle[i] = &shelf->objects[i];
	qsort(shelf->by_handle, shelf->count, sizeof(struct object *),
	    compare_handles);
	for (size_t i = 1; i < shelf->count; i++)
		if (shelf->by_handle[i]->handle <=
		    shelf->by_handle[i - 1]->handle)
			shelf->by_handle[i]->handle =
			    shelf->by_handle[i - 1]->handle + 1;
}

static enum hf_err
fill(struct shelf *shelf, const struct slot_config *config,
    const struct hf_p11_find_out *rows)
{
	enum { PER_ROW = 3, PROFILES = 2 };
	struct maker m = { .shelf = shelf, .config = config };
	size_t room = rows->objects_count * PER_ROW + PROFILES;

	shelf->objects = arena_array(shelf->arena, room, sizeof(struct object));
	shelf->by_handle =
	    arena_array(shelf->arena, room, sizeof(struct object *));
	if (shelf->objects == NULL || shelf->by_handle == NULL)
		return HF_ERR_NO_MEMORY;
	m.next = shelf->objects;
	for (size_t i = 0; i < rows->objects_count; i++)
		add_row(&m, &rows->objects[i]);
	add_profile(&m, CKP_BASELINE_PROVIDER);
	add_profile(&m, CKP_PUBLIC_CERTIFICATES_TOKEN);
	if (m.full)
		return HF_ERR_NO_MEMORY;
	shelf->count = (size_t)(m.next - shelf->objects);
	sort_handles(shelf);
	return HF_OK;
}

enum hf_err
shelf_make(const struct slot_config *config, const struct hf_p11_find_out *rows,
    struct hf_reply *reply, struct shelf **out)
{
	struct shelf *shelf = calloc(1, sizeof(*shelf));
	enum hf_err err;

	if (shelf == NULL)
		return HF_ERR_NO_MEMORY;
	atomic_init(&shelf->refs, 1);
	err = arena_new(SHELF_FIRST, SHELF_LIMIT, &shelf->arena);
	if (err == HF_OK)
		err = fill(shelf, config, rows);
	if (err != HF_OK) {
		shelf_put(shelf);
		return err;
	}
	shelf->reply = reply;
	*out = shelf;
	return HF_OK;
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

static struct object *
look_up(struct shelf *shelf, CK_OBJECT_HANDLE handle)
{
	size_t lo = 0, hi = shelf->count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (shelf->by_handle[mid]->handle == handle)
			return shelf->by_handle[mid];
		if (shelf->by_handle[mid]->handle < handle)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
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
		object = look_up(shelf, handle);
		if (object != NULL) {
			*out = object; /* with the shelf's reference */
			return CKR_OK;
		}
		shelf_put(shelf);
	}
	return invalid;
}

/* -- Session objects: each on a shelf of its own -- */

static struct object *
session_object_find(const struct session *session, CK_OBJECT_HANDLE handle)
{
	struct object *o = session->table->objects;

	while (o != NULL && (o->handle != handle || o->slot != session->slot))
		o = o->next;
	return o;
}

CK_RV
object_get(struct session *session, CK_OBJECT_HANDLE handle, CK_RV invalid,
    struct object **out)
{
	CK_RV rv = invalid;

	if (is_token_handle(handle)) {
		rv = token_object(session, handle, invalid, out);
	} else {
		module_lock();
		*out = session_object_find(session, handle);
		if (*out != NULL) {
			(void)shelf_ref((*out)->shelf);
			rv = CKR_OK;
		}
		module_unlock();
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
	for (size_t i = 0; i < shelf->count; i++) {
		struct object *o = &shelf->objects[i];

		if (o->class == class && o->public_key_info.len > 0 &&
		    bytes_equal(o->public_key_info, public_key_info)) {
			*out = o; /* with the shelf's reference */
			return CKR_OK;
		}
	}
	shelf_put(shelf);
	return CKR_OK;
}

void
catalogue_forget(struct slot *slot)
{
	module_lock();
	slot->catalogue_at = INT64_MIN;
	module_unlock();
}

static void
keep(struct maker *m, struct hf_bytes *view)
{
	uint8_t *copy = arena_alloc(m->shelf->arena, view->len + 1);

	if (copy == NULL) {
		m->full = true;
		return;
	}
	if (view->len > 0)
		memcpy(copy, view->ptr, view->len);
	if (view->ptr != NULL)
		view->ptr = copy;
}

static void
session_object_fill(struct maker *m, const struct object *from)
{
	struct object *o = m->shelf->objects;
	struct hf_bytes type;

	*o = *from;
	o->shelf = m->shelf;
	o->token = false;
	o->uses |= HF_P11_DESTROY | HF_P11_MODIFY;
	keep(m, &o->id);
	keep(m, &o->label);
	keep(m, &o->public_key_info);
	keep(m, &o->value);
	keep(m, &o->session_key);
	keep(m, &o->certificate);
	type = bytes_of_text(from->type);
	keep(m, &type);
	o->type = (struct hf_text){ (const char *)type.ptr, type.len };
	if (m->full)
		return;
	set_public_parts(m, o);
	if (o->certificate.len > 0)
		set_certificate(m, o, o->certificate);
}

/* Its shelf's only reference is the caller's. */
static CK_RV
session_object_make(
    struct session *session, const struct object *from, struct object **out)
{
	static const struct hf_p11_find_out nothing;
	struct maker m = { 0 };
	enum hf_err err =
	    shelf_make(&session->slot->config, &nothing, NULL, &m.shelf);

	if (err != HF_OK)
		return rv_of(err);
	m.shelf->objects =
	    arena_array(m.shelf->arena, 1, sizeof(struct object));
	m.shelf->count = 0; /* it is in no catalogue */
	if (m.shelf->objects != NULL)
		session_object_fill(&m, from);
	if (m.shelf->objects == NULL || m.full) {
		shelf_put(m.shelf);
		return CKR_HOST_MEMORY;
	}
	*out = m.shelf->objects;
	return CKR_OK;
}

CK_RV
session_object_add(
    struct session *session, const struct object *from, CK_OBJECT_HANDLE *out)
{
	struct object *o;
	CK_RV rv = session_object_make(session, from, &o);

	if (rv != CKR_OK)
		return rv;
	o->slot = session->slot;
	o->session = session->handle;
	module_lock();
	o->handle = session->table->next_object++;
	o->next = session->table->objects;
	session->table->objects = o;
	*out = o->handle;
	module_unlock();
	return CKR_OK;
}

static void
unlink_object(struct object **link)
{
	struct object *o = *link;

	*link = o->next;
	shelf_put(o->shelf);
}

/* What points to it, or to the end. Under the lock. */
static struct object **
session_object_link(struct session *session, CK_OBJECT_HANDLE handle)
{
	struct object **link = &session->table->objects;

	while (*link != NULL &&
	    ((*link)->handle != handle || (*link)->slot != session->slot))
		link = &(*link)->next;
	return link;
}

bool
session_object_remove(struct session *session, CK_OBJECT_HANDLE handle)
{
	struct object **link;
	bool found;

	module_lock();
	link = session_object_link(session, handle);
	found = *link != NULL;
	if (found)
		unlink_object(link);
	module_unlock();
	return found;
}

CK_RV
session_object_change(struct session *session, const struct object *to)
{
	struct object **link, *o;
	bool found;
	CK_RV rv = session_object_make(session, to, &o);

	if (rv != CKR_OK)
		return rv;
	module_lock();
	link = session_object_link(session, to->handle);
	found = *link != NULL;
	if (found) {
		o->next = (*link)->next;
		shelf_put((*link)->shelf);
		*link = o;
	}
	module_unlock();
	if (!found) /* another thread destroyed it */
		shelf_put(o->shelf);
	return found ? CKR_OK : CKR_OBJECT_HANDLE_INVALID;
}

void
session_objects_drop(struct session_table *table, CK_SESSION_HANDLE session)
{
	struct object **link = &table->objects;

	while (*link != NULL)
		if ((*link)->session == session)
			unlink_object(link);
		else
			link = &(*link)->next;
}

void
session_objects_free(struct session_table *table)
{
	while (table->objects != NULL)
		unlink_object(&table->objects);
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

static size_t
session_objects_count(const struct session *session)
{
	size_t n = 0;

	module_lock();
	for (const struct object *o = session->table->objects; o != NULL;
	     o = o->next)
		n += o->slot == session->slot;
	module_unlock();
	return n;
}

/* Another thread may have made more since they were counted. */
static void
collect_session_objects(struct session *session, size_t room,
    const CK_ATTRIBUTE *template, CK_ULONG count)
{
	bool private = session_sees_private(session);

	module_lock();
	for (const struct object *o = session->table->objects; o != NULL;
	     o = o->next)
		if (o->slot == session->slot && (private || !o->private) &&
		    session->found_count < room &&
		    attribute_match(o, template, count))
			session->found[session->found_count++] = o->handle;
	module_unlock();
}

static CK_RV
collect(struct session *session, const struct shelf *shelf,
    const CK_ATTRIBUTE *template, CK_ULONG count)
{
	bool private = session_sees_private(session);
	bool hide = hides_ed25519(session, template, count);
	bool profiles = names_class(template, count);
	size_t room = shelf->count + session_objects_count(session) + 1;

	session->found = calloc(room, sizeof(CK_OBJECT_HANDLE));
	if (session->found == NULL)
		return CKR_HOST_MEMORY;
	session->found_count = 0;
	session->found_at = 0;
	for (size_t i = 0; i < shelf->count; i++) {
		const struct object *o = &shelf->objects[i];

		if (o->private &&
		    (!private || (hide && o->key_type == CKK_EC_EDWARDS)))
			continue;
		if (o->class == CKO_PROFILE && !profiles)
			continue;
		if (attribute_match(o, template, count))
			session->found[session->found_count++] = o->handle;
	}
	collect_session_objects(session, room, template, count);
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
