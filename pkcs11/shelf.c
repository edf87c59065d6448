/* SPDX-License-Identifier: Apache-2.0 */
#include "shelf.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <holdfast/holdfast.h>

#include "../lib/arena.h"
#include "../lib/bytes.h"
#include "config.h"
#include "der.h"
#include "digest.h"

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

struct shelf *
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

struct object *
shelf_at(const struct shelf *shelf, size_t i)
{
	return &shelf->objects[i];
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

static enum hf_err
shelf_new(struct shelf **out)
{
	struct shelf *shelf = calloc(1, sizeof(*shelf));
	enum hf_err err;

	if (shelf == NULL)
		return HF_ERR_NO_MEMORY;
	atomic_init(&shelf->refs, 1);
	err = arena_new(SHELF_FIRST, SHELF_LIMIT, &shelf->arena);
	if (err != HF_OK) {
		shelf_put(shelf);
		return err;
	}
	*out = shelf;
	return HF_OK;
}

enum hf_err
shelf_make(const struct slot_config *config, const struct hf_p11_find_out *rows,
    struct hf_reply *reply, struct shelf **out)
{
	struct shelf *shelf;
	enum hf_err err = shelf_new(&shelf);

	if (err != HF_OK)
		return err;
	if ((err = fill(shelf, config, rows)) != HF_OK) {
		shelf_put(shelf);
		return err;
	}
	shelf->reply = reply;
	*out = shelf;
	return HF_OK;
}

/* -- One object -- */

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
one_fill(struct maker *m, const struct object *from)
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

enum hf_err
shelf_make_one(const struct object *from, struct object **out)
{
	struct maker m = { 0 };
	enum hf_err err = shelf_new(&m.shelf);

	if (err != HF_OK)
		return err;
	m.shelf->objects =
	    arena_array(m.shelf->arena, 1, sizeof(struct object));
	if (m.shelf->objects != NULL)
		one_fill(&m, from);
	if (m.shelf->objects == NULL || m.full) {
		shelf_put(m.shelf);
		return HF_ERR_NO_MEMORY;
	}
	*out = m.shelf->objects;
	return HF_OK;
}

/* -- Looking -- */

struct object *
shelf_find(const struct shelf *shelf, CK_OBJECT_HANDLE handle)
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
