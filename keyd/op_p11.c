/* SPDX-License-Identifier: Apache-2.0 */
/* The catalogue of the PKCS#11 module: what a caller sees of all keys. */
#include "op_p11.h"

#include <stdio.h>
#include <time.h>

#include "../lib/bytes.h"
#include "certificates.h"
#include "crypto_x509.h"
#include "handlers.h"
#include "key_purpose.h"
#include "keys.h"
#include "request_policy.h"
#include "server.h"

/* -- What may be done with a key -- */

/*
 * Which operation stands behind a use, and when a version serves for it: to
 * make something new the rules are those of select_new(), to open or check
 * something old those of select_old().
 */
enum {
	PAIRS = 1 << FAMILY_RSA | 1 << FAMILY_EC | 1 << FAMILY_EDDSA,
	BLOCKS = 1 << FAMILY_AEAD | 1 << FAMILY_CMAC, /* with the AES */
	SECRETS = 1 << FAMILY_HMAC | BLOCKS,
	CIPHERS = 1 << FAMILY_RSA | 1 << FAMILY_AEAD,
	DERIVERS = 1 << FAMILY_EC | 1 << FAMILY_HMAC,
};

static const struct {
	enum hf_p11_use use;
	const char *path;  /* the key's name follows */
	unsigned families; /* 1 << enum key_family */
	bool private_half; /* of a pair */
	bool makes_new;
} uses[] = {
	{ HF_P11_SIGN, "transit/sign/", PAIRS, true, true },
	{ HF_P11_SIGN, "transit/hmac/", 1 << FAMILY_HMAC, true, true },
	{ HF_P11_SIGN, "transit/cmac/", BLOCKS, true, true },
	{ HF_P11_VERIFY, "transit/verify/", PAIRS | SECRETS, false, false },
	{ HF_P11_ENCRYPT, "transit/encrypt/", CIPHERS, false, true },
	{ HF_P11_DECRYPT, "transit/decrypt/", CIPHERS, true, false },
	{ HF_P11_DERIVE, "transit/derive/", DERIVERS, true, true },
	{ HF_P11_WRAP, "transit/wrap/", CIPHERS, false, true },
	{ HF_P11_UNWRAP, "transit/unwrap/", CIPHERS, true, false },
	{ HF_P11_EXTRACT, "transit/extract/", PAIRS | SECRETS, true, false },
};

static bool
version_serves(
    const struct key *key, const struct key_version *v, bool makes_new)
{
	if (v->state != VERSION_ENABLED || key->soft_deleted ||
	    v->number < key->min_available || v->number < key->min_decryption)
		return false;
	return !makes_new || v->number >= key->min_encryption;
}

bool
p11_may(struct request *rq, const char *prefix, const char *suffix,
    const struct key *key, const struct key_version *v, unsigned cap)
{
	char path[192];
	int n =
	    snprintf(path, sizeof(path), "%s%s%s", prefix, key->name, suffix);
	struct hf_text text = { path, (size_t)n };

	if ((policy_caps(rq->grant, text) & cap) == 0)
		return false;
	return v->level == LEVEL_HSM || !policy_demands_hsm(rq->grant, text);
}

static bool
has_private_half(const struct key_version *v)
{
	return v->level == LEVEL_HSM || v->pair == NULL ||
	    crypto_key_is_private(v->pair);
}

/*
 * At level hsm the HSM has to be able to do it, and nothing leaves. (With keys
 * for HMAC "derive" is the expansion of HKDF, which is HMACs.)
 */
static const struct {
	enum key_family family;
	uint64_t uses;
	unsigned needs; /* enum hsm_can */
} in_hsm[] = {
	{ FAMILY_AEAD, HF_P11_SIGN | HF_P11_VERIFY, HSM_CAN_CMAC },
	{ FAMILY_AEAD, HF_P11_WRAP | HF_P11_UNWRAP, HSM_CAN_ECB },
	{ FAMILY_AEAD, HF_P11_RAW, HSM_CAN_MODES },
	{ FAMILY_EC, HF_P11_DERIVE, HSM_CAN_ECDH },
};

static uint64_t
of_level(struct request *rq, const struct key *key, const struct key_version *v,
    uint64_t bits)
{
	unsigned can;

	if (v->level == LEVEL_WRAPPED)
		return bits;
	can = hsm_can(hierarchy_hsm(rq->server->hierarchy));
	for (size_t i = 0; i < sizeof(in_hsm) / sizeof(in_hsm[0]); i++)
		if (in_hsm[i].family == key->type->family &&
		    (can & in_hsm[i].needs) != in_hsm[i].needs)
			bits &= ~in_hsm[i].uses;
	return bits & ~(uint64_t)HF_P11_EXTRACT;
}

/* Raw RSA is signature and decryption in one; AES without integrity makes
 * and opens whatever it likes. 0: there is nothing of the kind. */
static uint64_t
raw_is(const struct key *key)
{
	if (key->type->family == FAMILY_RSA)
		return HF_P11_SIGN | HF_P11_DECRYPT;
	if (key->type->family == FAMILY_AEAD)
		return HF_P11_ENCRYPT | HF_P11_DECRYPT;
	return 0;
}

static uint64_t
with_raw(const struct key *key, uint64_t bits)
{
	uint64_t raw = raw_is(key);

	return raw != 0 && (bits & raw) == raw ? bits | HF_P11_RAW : bits;
}

static uint64_t
may_manage(
    struct request *rq, const struct key *key, const struct key_version *v)
{
	uint64_t bits = 0;

	if (p11_may(rq, "transit/keys/", "/config", key, v, HF_CAP_UPDATE))
		bits |= HF_P11_MODIFY;
	if ((key->deletion_allowed || key->count > 1) &&
	    p11_may(rq, "transit/keys/", "", key, v, HF_CAP_DELETE))
		bits |= HF_P11_DESTROY;
	return bits;
}

uint64_t
p11_uses(struct request *rq, const struct key *key, const struct key_version *v)
{
	/* No mechanism brings a context of either kind, or commits. */
	bool beyond =
	    key->derived || key->required_context_len > 0 || key->committing;
	unsigned family = beyond ? 0 : 1U << key->type->family;
	uint64_t purpose = key_purpose(key), bits = 0;
	bool private_half = has_private_half(v);

	/* Whoever holds a session key may do with it what it was made for. */
	if (key->passing)
		return with_raw(key, purpose);
	for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++)
		if ((purpose & uses[i].use) != 0 &&
		    (uses[i].families & family) != 0 &&
		    (private_half || !uses[i].private_half) &&
		    version_serves(key, v, uses[i].makes_new) &&
		    p11_may(rq, uses[i].path, "", key, v, HF_CAP_UPDATE))
			bits |= uses[i].use;
	return of_level(rq, key, v, with_raw(key, bits)) |
	    may_manage(rq, key, v);
}

bool
p11_allows(struct request *rq, enum hf_p11_use use, const struct key *key,
    const struct key_version *v)
{
	uint64_t each = use == HF_P11_RAW ? raw_is(key) : (uint64_t)use;
	unsigned family = 1U << key->type->family;
	char path[192];

	if ((p11_uses(rq, key, v) & (uint64_t)use) == 0)
		return false;
	for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
		if (key->passing || (each & uses[i].use) == 0 ||
		    (uses[i].families & family) == 0)
			continue;
		(void)snprintf(
		    path, sizeof(path), "%s%s", uses[i].path, key->name);
		if (!request_may(
			rq, text_of(path), HF_CAP_UPDATE, rq->op->in, rq->in))
			return false;
	}
	return true;
}

/* -- The list -- */

struct name_list {
	struct request *rq;
	struct hf_text *names;
	size_t count, room;
	bool full; /* of memory */
};

/* The store must not be called from here, so the names come first. */
static bool
name_add(void *ctx, struct hf_text name)
{
	struct name_list *nl = ctx;
	char *copy = arena_text(nl->rq->arena, name);

	if (nl->count == nl->room) {
		size_t room = nl->room == 0 ? 64 : 2 * nl->room;
		struct hf_text *more =
		    arena_array(nl->rq->arena, room, sizeof(*more));

		if (more != NULL && nl->count > 0)
			memcpy(more, nl->names, nl->count * sizeof(*more));
		nl->names = more;
		nl->room = room;
	}
	nl->full = copy == NULL || nl->names == NULL;
	if (!nl->full)
		nl->names[nl->count++] = (struct hf_text){ copy, name.len };
	return !nl->full;
}

/* One object a link, as the number is known at the end only. */
struct object_link {
	struct object_link *next;
	struct hf_p11_object object;
};

struct object_list {
	struct request *rq;
	struct object_link *first, **last;
	size_t count;
};

static struct hf_bytes
copy_bytes(struct request *rq, const uint8_t *p, size_t len)
{
	uint8_t *copy = len == 0 ? NULL : request_alloc(rq, len);

	if (copy != NULL)
		memcpy(copy, p, len);
	return (struct hf_bytes){ copy, copy == NULL ? 0 : len };
}

/*
 * Ids that never change and tell nothing: a hash of the key's random id and
 * the version. The first half names the object, the second is CKA_ID.
 */
enum hf_err
p11_object_ids(struct request *rq, const struct key *key,
    const struct key_version *v, uint8_t **out)
{
	uint8_t seed[HSM_ID + 4];

	*out = request_alloc(rq, 32);
	if (*out == NULL)
		return HF_ERR_NO_MEMORY;
	memcpy(seed, key->id, HSM_ID);
	put_u32(seed + HSM_ID, v->number);
	return crypto_sha256(bytes_of(seed, sizeof(seed)), *out);
}

static size_t
key_bits(const struct key *key)
{
	return key->type->family == FAMILY_HMAC ? 8 * key->key_size
						: key->type->bits;
}

/*
 * Some hosts know a key by its label alone: the version in use has the label
 * that a PKCS#11 program gave it, else the key's name; older ones the number
 * behind it. No key's name has a colon.
 */
static const char *
label_of(struct request *rq, const struct key *key, const struct key_version *v,
    bool current)
{
	const char *label = key->label != NULL ? key->label : key->name;

	return current ? arena_text(rq->arena, text_of(label))
		       : arena_printf(rq->arena, "%s:%u", label, v->number);
}

static enum hf_err
describe(struct request *rq, const struct key *key, const struct key_version *v,
    bool current, struct hf_p11_object *out)
{
	struct hf_bytes chain = bytes_of(v->chain, v->chain_len), cert;
	uint8_t *ids;
	enum hf_err err;

	out->kind = has_private_half(v) ? TEXT("key") : TEXT("public");
	out->name = text_of(arena_text(rq->arena, text_of(key->name)));
	out->label = text_of(label_of(rq, key, v, current));
	if (out->name.ptr == NULL || out->label.ptr == NULL)
		return HF_ERR_NO_MEMORY;
	out->key_version = v->number;
	out->type = text_of(key->type->name);
	out->level = text_of(key_level_name(v->level));
	out->bits = key_bits(key);
	out->public_key = copy_bytes(rq, v->spki, v->spki_len);
	if (cert_chain_next(&chain, &cert))
		out->certificate = copy_bytes(rq, cert.ptr, cert.len);
	out->imported = key->imported;
	out->creation_time = v->creation_time;
	if ((err = p11_object_ids(rq, key, v, &ids)) != HF_OK)
		return err;
	out->uid = bytes_of(ids, 16);
	out->id = current && key->cka_id != NULL
	    ? copy_bytes(rq, key->cka_id, key->cka_id_len)
	    : bytes_of(ids + 16, 16);
	return HF_OK;
}

static enum hf_err
add_object(struct object_list *list, const struct hf_p11_object *object)
{
	struct object_link *link = request_alloc(list->rq, sizeof(*link));

	if (link == NULL)
		return HF_ERR_NO_MEMORY;
	link->object = *object;
	*list->last = link;
	list->last = &link->next;
	list->count++;
	return HF_OK;
}

static enum hf_err
add_version(struct object_list *list, const struct key *key,
    const struct key_version *v, bool current)
{
	struct hf_p11_object object = { 0 };
	uint64_t manage = HF_P11_MODIFY | HF_P11_DESTROY;
	enum hf_err err;

	if (!version_serves(key, v, false))
		return HF_OK;
	object.uses = p11_uses(list->rq, key, v);
	if ((object.uses & ~manage) == 0 &&
	    !p11_may(list->rq, "transit/keys/", "", key, v, HF_CAP_READ))
		return HF_OK;
	err = describe(list->rq, key, v, current, &object);
	return err != HF_OK ? err : add_object(list, &object);
}

/* The version in use first, then the others, newest first. */
static enum hf_err
add_key(struct object_list *list, const struct key *key)
{
	uint32_t current = key->primary != 0 ? key->primary : key->latest;
	const struct key_version *v = key_version_find(key, current);
	enum hf_err err;

	if (v != NULL && (err = add_version(list, key, v, true)) != HF_OK)
		return err;
	for (size_t i = key->count; i-- > 0;) {
		v = &key->versions[i];
		if (v->number != current &&
		    (err = add_version(list, key, v, false)) != HF_OK)
			return err;
	}
	return HF_OK;
}

/* A key that is gone meanwhile, or damaged, does not hide the others. */
static enum hf_err
add_name(struct object_list *list, struct hf_text name)
{
	struct key *key;
	enum hf_err err = keys_get(list->rq->server->keys, name, true, &key);

	if (err == HF_ERR_KEY_NOT_FOUND || err == HF_ERR_STORE_DAMAGED)
		return HF_OK;
	if (err != HF_OK)
		return err;
	err = add_key(list, key);
	key_unref(key);
	return err;
}

/* -- Certificates of no key here -- */

static enum hf_err
add_certificate(struct object_list *list, struct hf_text name)
{
	struct request *rq = list->rq;
	const struct certificates cs = { rq->server->store,
		rq->server->hierarchy };
	struct hf_p11_object object = { .kind = TEXT("certificate"),
		.name = name };
	struct certificate c = { 0 };
	char *path = arena_printf(
	    rq->arena, "certificates/%.*s", (int)name.len, name.ptr);
	unsigned caps;
	enum hf_err err;

	if (path == NULL)
		return HF_ERR_NO_MEMORY;
	caps = policy_caps(rq->grant, text_of(path));
	if ((caps & HF_CAP_READ) == 0)
		return HF_OK;
	err = certificate_get(&cs, name, &c);
	if (err == HF_ERR_NOT_FOUND || err == HF_ERR_STORE_DAMAGED)
		return HF_OK;
	if (err != HF_OK)
		return err;
	object.uid = copy_bytes(rq, c.uid.ptr, c.uid.len);
	object.id = copy_bytes(rq, c.id.ptr, c.id.len);
	object.certificate = copy_bytes(rq, c.der.ptr, c.der.len);
	object.label = c.label.ptr == NULL ? name : (struct hf_text){ 0 };
	if (c.label.ptr != NULL) {
		object.label.ptr = arena_text(rq->arena, c.label);
		object.label.len = object.label.ptr == NULL ? 0 : c.label.len;
	}
	object.creation_time = c.creation_time;
	object.uses = ((caps & HF_CAP_UPDATE) != 0 ? HF_P11_MODIFY : 0) |
	    ((caps & HF_CAP_DELETE) != 0 ? HF_P11_DESTROY : 0);
	certificate_free(&c);
	return add_object(list, &object);
}

static enum hf_err
add_certificates(struct object_list *list)
{
	struct name_list names = { .rq = list->rq };
	const struct certificates cs = { list->rq->server->store,
		list->rq->server->hierarchy };
	enum hf_err err = certificate_list(&cs, name_add, &names);

	if (err == HF_OK && names.full)
		err = HF_ERR_NO_MEMORY;
	for (size_t i = 0; i < names.count && err == HF_OK; i++)
		err = add_certificate(list, names.names[i]);
	return err;
}

static enum hf_err
list_flatten(const struct object_list *list, struct hf_p11_find_out *out)
{
	struct hf_p11_object *objects =
	    arena_array(list->rq->arena, list->count, sizeof(*objects));
	size_t n = 0;

	if (objects == NULL)
		return HF_ERR_NO_MEMORY;
	for (const struct object_link *l = list->first; l != NULL; l = l->next)
		objects[n++] = l->object;
	out->objects = objects;
	out->objects_count = n;
	return HF_OK;
}

/*
 * The version of a list has two halves. The first is a hash of the list: it
 * changes with a key, with a policy and with who asks, and stays the same over
 * a restart. The second is a hash of what the list was made from; while that
 * is the same the list needs not be made to know that it is, too.
 */
enum { LIST_HASH = 32, STAMP = 16, VERSION = LIST_HASH + STAMP };

static void
seed_text(uint8_t *seed, size_t cap, size_t *len, const char *text)
{
	size_t n = text == NULL ? 0 : strlen(text) + 1;

	if (n > cap - *len)
		n = cap - *len;
	if (n > 0)
		memcpy(seed + *len, text, n);
	*len += n;
}

/*
 * Keys, policy, who asks. The minute stands for the rules of a policy that
 * end at a time of their own.
 */
static enum hf_err
list_stamp(struct request *rq, uint8_t out[STAMP])
{
	enum { MINUTE = 60, FIXED = 64, SEED = 16384 };
	const struct identity *who = rq->who;
	uint8_t *seed = request_alloc(rq, SEED), hash[32];
	size_t groups = who->group_count * sizeof(gid_t), len = FIXED;
	enum hf_err err;

	if (seed == NULL)
		return HF_ERR_NO_MEMORY;
	put_u64(seed, keys_generation(rq->server->keys));
	put_u64(seed + 8, policy_grant_generation(rq->grant));
	put_u64(seed + 16, (uint64_t)time(NULL) / MINUTE);
	put_u32(seed + 24, who->local ? who->uid : UINT32_MAX);
	put_u32(seed + 28, who->local ? who->gid : UINT32_MAX);
	put_u64(seed + 32, (uint64_t)who->exe_dev);
	put_u64(seed + 40, (uint64_t)who->exe_ino);
	put_u64(seed + 48, groups);
	put_u32(seed + 56, hsm_can(hierarchy_hsm(rq->server->hierarchy)));
	if (groups > 0)
		memcpy(seed + len, who->groups, groups);
	len += groups;
	seed_text(seed, SEED, &len, who->exe);
	seed_text(seed, SEED, &len, who->unit);
	seed_text(seed, SEED, &len, who->cert_sha256);
	if ((err = crypto_sha256(bytes_of(seed, len), hash)) == HF_OK)
		memcpy(out, hash, STAMP);
	return err;
}

static bool
same_part(struct hf_bytes version, size_t at, const uint8_t *part, size_t len)
{
	return version.len == VERSION &&
	    bytes_equal(bytes_of(version.ptr + at, len), bytes_of(part, len));
}

static enum hf_err
list_hash(struct request *rq, const struct hf_p11_find_out *out, uint8_t *hash)
{
	uint8_t *buf;
	size_t len = 0;
	enum hf_err err;

	if (schema_encode(&schema_p11_find_out, out, NULL, 0, &len) !=
	    HF_ERR_BUFFER_TOO_SMALL)
		return HF_ERR_SYSTEM;
	buf = request_alloc(rq, len);
	if (buf == NULL)
		return HF_ERR_TOO_LARGE;
	err = schema_encode(&schema_p11_find_out, out, buf, len, &len);
	return err != HF_OK ? err : crypto_sha256(bytes_of(buf, len), hash);
}

static enum hf_err
list_make(struct request *rq, struct hf_p11_find_out *out)
{
	struct name_list names = { .rq = rq };
	struct object_list list = { .rq = rq };
	enum hf_err err;

	list.last = &list.first;
	if ((err = keys_list(rq->server->keys, (struct hf_text){ 0 }, 0,
		 name_add, &names)) != HF_OK)
		return err;
	if (names.full)
		return HF_ERR_NO_MEMORY;
	for (size_t i = 0; i < names.count; i++)
		if ((err = add_name(&list, names.names[i])) != HF_OK)
			return err;
	err = add_certificates(&list);
	return err != HF_OK ? err : list_flatten(&list, out);
}

enum hf_err
op_p11_find(struct request *rq, const struct hf_p11_find_in *in,
    struct hf_p11_find_out *out)
{
	uint8_t *version = request_alloc(rq, VERSION);
	enum hf_err err;

	if (version == NULL)
		return HF_ERR_NO_MEMORY;
	if ((err = list_stamp(rq, version + LIST_HASH)) != HF_OK)
		return err;
	if (same_part(in->if_version, LIST_HASH, version + LIST_HASH, STAMP)) {
		out->version = in->if_version;
		out->unchanged = true;
		return HF_OK;
	}
	if (!rq->may_block)
		return HF_ERR_DEFER;
	if ((err = list_make(rq, out)) != HF_OK ||
	    (err = list_hash(rq, out, version)) != HF_OK)
		return err;
	out->version = bytes_of(version, VERSION);
	if (!same_part(in->if_version, 0, version, LIST_HASH))
		return HF_OK;
	out->unchanged = true;
	out->objects = NULL;
	out->objects_count = 0;
	return HF_OK;
}
