/* SPDX-License-Identifier: Apache-2.0 */
/* The catalogue of the PKCS#11 module: what a caller sees of all keys. */
#include "op_p11.h"

#include <stdio.h>
#include <time.h>

#include "../lib/bytes.h"
#include "crypto_x509.h"
#include "handlers.h"
#include "keys.h"
#include "server.h"

/* -- What may be done with a key -- */

/*
 * Which operation stands behind a use, and when a version serves for it: to
 * make something new the rules are those of select_new(), to open or check
 * something old those of select_old().
 */
static const struct {
	enum hf_p11_use use;
	const char *path;  /* the key's name follows */
	unsigned families; /* 1 << enum key_family */
	bool makes_new;
} uses[] = {
	{ HF_P11_SIGN, "transit/sign/",
	    1 << FAMILY_RSA | 1 << FAMILY_EC | 1 << FAMILY_EDDSA, true },
	{ HF_P11_SIGN, "transit/hmac/", 1 << FAMILY_HMAC, true },
	{ HF_P11_VERIFY, "transit/verify/",
	    1 << FAMILY_RSA | 1 << FAMILY_EC | 1 << FAMILY_EDDSA |
		1 << FAMILY_HMAC,
	    false },
	{ HF_P11_ENCRYPT, "transit/encrypt/",
	    1 << FAMILY_RSA | 1 << FAMILY_AEAD, true },
	{ HF_P11_DECRYPT, "transit/decrypt/",
	    1 << FAMILY_RSA | 1 << FAMILY_AEAD, false },
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

static bool
may(struct request *rq, const char *prefix, const struct key *key,
    const struct key_version *v, unsigned cap)
{
	char path[160];
	int n = snprintf(path, sizeof(path), "%s%s", prefix, key->name);
	struct hf_text text = { path, (size_t)n };

	if ((policy_caps(rq->grant, text) & cap) == 0)
		return false;
	return v->level == LEVEL_HSM || !policy_demands_hsm(rq->grant, text);
}

uint64_t
p11_uses(struct request *rq, const struct key *key, const struct key_version *v)
{
	/* No mechanism brings a context. */
	unsigned family = key->derived ? 0 : 1U << key->type->family;
	uint64_t bits = 0;

	for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++)
		if ((uses[i].families & family) != 0 &&
		    version_serves(key, v, uses[i].makes_new) &&
		    may(rq, uses[i].path, key, v, HF_CAP_UPDATE))
			bits |= uses[i].use;
	/* Raw RSA is signature and decryption in one. */
	if (key->type->family == FAMILY_RSA && (bits & HF_P11_SIGN) != 0 &&
	    (bits & HF_P11_DECRYPT) != 0)
		bits |= HF_P11_RAW;
	return bits;
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
static enum hf_err
object_ids(struct request *rq, const struct key *key,
    const struct key_version *v, struct hf_p11_object *out)
{
	uint8_t seed[HSM_ID + 4];
	uint8_t *hash = request_alloc(rq, 32);

	if (hash == NULL)
		return HF_ERR_NO_MEMORY;
	memcpy(seed, key->id, HSM_ID);
	put_u32(seed + HSM_ID, v->number);
	out->uid = bytes_of(hash, 16);
	out->id = bytes_of(hash + 16, 16);
	return crypto_sha256(bytes_of(seed, sizeof(seed)), hash);
}

static size_t
key_bits(const struct key *key)
{
	return key->type->family == FAMILY_HMAC ? 8 * key->key_size
						: key->type->bits;
}

/*
 * Labels are unique, because some hosts know a key by nothing else: the version
 * in use has the key's name, older ones the number behind it. No key's name
 * has a colon.
 */
static enum hf_err
describe(struct request *rq, const struct key *key, const struct key_version *v,
    bool current, struct hf_p11_object *out)
{
	struct hf_bytes chain = bytes_of(v->chain, v->chain_len), cert;
	const char *label;

	out->kind = TEXT("key");
	out->name = text_of(arena_text(rq->arena, text_of(key->name)));
	label = current
	    ? out->name.ptr
	    : arena_printf(rq->arena, "%s:%u", key->name, v->number);
	if (out->name.ptr == NULL || label == NULL)
		return HF_ERR_NO_MEMORY;
	out->label = text_of(label);
	out->key_version = v->number;
	out->type = text_of(key->type->name);
	out->level = text_of(key_level_name(v->level));
	out->bits = key_bits(key);
	out->public_key = copy_bytes(rq, v->spki, v->spki_len);
	if (cert_chain_next(&chain, &cert))
		out->certificate = copy_bytes(rq, cert.ptr, cert.len);
	out->imported = key->imported;
	out->creation_time = v->creation_time;
	return object_ids(rq, key, v, out);
}

static enum hf_err
add_version(struct object_list *list, const struct key *key,
    const struct key_version *v, bool current)
{
	struct request *rq = list->rq;
	struct object_link *link;
	uint64_t bits;
	enum hf_err err;

	if (!version_serves(key, v, false))
		return HF_OK;
	bits = p11_uses(rq, key, v);
	if (bits == 0 && !may(rq, "transit/keys/", key, v, HF_CAP_READ))
		return HF_OK;
	link = request_alloc(rq, sizeof(*link));
	if (link == NULL)
		return HF_ERR_NO_MEMORY;
	link->object.uses = bits;
	if ((err = describe(rq, key, v, current, &link->object)) != HF_OK)
		return err;
	*list->last = link;
	list->last = &link->next;
	list->count++;
	return HF_OK;
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
	return list_flatten(&list, out);
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
