/* SPDX-License-Identifier: Apache-2.0 */
#include "key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/bytes.h"
#include "crypto.h"
#include "sealed_record.h"

enum { READ_TRIES = 10 /* while others change the key between two reads */ };

void
key_store_name(struct hf_text name, char out[KEY_STORE_NAME])
{
	(void)snprintf(
	    out, KEY_STORE_NAME, "key/%.*s", (int)name.len, name.ptr);
}

void
version_store_name(
    const uint8_t id[HSM_ID], uint32_t number, char out[KEY_STORE_NAME])
{
	char hex[2 * HSM_ID + 1];

	hex_encode(id, HSM_ID, hex);
	(void)snprintf(out, KEY_STORE_NAME, "ver/%s/%06x", hex, number);
}

struct key *
key_ref(struct key *key)
{
	(void)atomic_fetch_add_explicit(&key->refs, 1, memory_order_relaxed);
	return key;
}

void
version_free(struct key_version *v)
{
	if (v->material.ptr != NULL)
		crypto_forget(v);
	secret_free(&v->material);
	secret_free(&v->hmac);
	crypto_key_free(v->pair);
	free(v->hsm_blob);
	free(v->spki);
	free(v->chain);
}

void
key_unref(struct key *key)
{
	if (key == NULL ||
	    atomic_fetch_sub_explicit(&key->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < key->count; i++)
		version_free(&key->versions[i]);
	usage_close(key->usage);
	free(key->label);
	free(key->cka_id);
	free(key->required_context);
	free(key->audit_context);
	free(key);
}

enum hf_err
key_count_uses(struct key *key, struct usages *all, bool fresh)
{
	enum hf_err err =
	    usage_open(all, key->id, key->keyring, fresh, &key->usage);

	for (size_t i = 0; i < key->count && err == HF_OK; i++) {
		struct key_version *v = &key->versions[i];

		v->usage = usage_version(key->usage, v->number);
		if (v->usage == NULL)
			err = HF_ERR_NO_MEMORY;
	}
	return err;
}

const struct key_version *
key_version_find(const struct key *key, uint64_t number)
{
	size_t low = 0, high = key->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (key->versions[mid].number == number)
			return &key->versions[mid];
		if (key->versions[mid].number < number)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

/* -- Reading -- */

/* Sealed version records as they come from the store, oldest first. */
struct sealed {
	struct sealed_one {
		char name[KEY_STORE_NAME];
		uint8_t *ptr;
		size_t len;
	} * items;
	size_t count, room;
	enum hf_err err;
};

static void
sealed_free(struct sealed *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->items[i].ptr);
	free(s->items);
}

static bool
sealed_add(
    void *ctx, struct hf_text key, struct hf_bytes value, uint64_t revision)
{
	struct sealed *s = ctx;
	struct sealed_one *one;

	(void)revision;
	if (s->count == s->room) {
		size_t room = s->room == 0 ? 4 : 2 * s->room;
		void *p = realloc(s->items, room * sizeof(*s->items));

		if (p == NULL) {
			s->err = HF_ERR_NO_MEMORY;
			return false;
		}
		s->items = p;
		s->room = room;
	}
	one = &s->items[s->count];
	one->ptr = malloc(value.len == 0 ? 1 : value.len);
	if (one->ptr == NULL || key.len >= sizeof(one->name)) {
		free(one->ptr);
		s->err = HF_ERR_NO_MEMORY;
		return false;
	}
	memcpy(one->ptr, value.ptr, value.len);
	one->len = value.len;
	memcpy(one->name, key.ptr, key.len);
	one->name[key.len] = '\0';
	s->count++;
	return true;
}

static enum hf_err
copy_out(struct hf_bytes from, uint8_t **to, size_t *len)
{
	*to = NULL;
	*len = from.len;
	if (from.len == 0)
		return HF_OK;
	*to = malloc(from.len);
	if (*to == NULL)
		return HF_ERR_NO_MEMORY;
	memcpy(*to, from.ptr, from.len);
	return HF_OK;
}

static void
hsm_key_set(struct hsm_key *k, const struct key_type *type, struct hf_bytes id,
    struct hf_bytes wrap_id, const uint8_t *blob, size_t blob_len)
{
	k->type = type;
	if (id.len == HSM_ID)
		memcpy(k->id, id.ptr, HSM_ID);
	if (wrap_id.len == HSM_ID)
		memcpy(k->wrap_id, wrap_id.ptr, HSM_ID);
	k->wrapped = bytes_of(blob, blob_len);
}

/* Level hsm: what the HSM needs to find the key, and the public half. */
static enum hf_err
version_open_hsm(struct key_version *v, const struct key_type *type,
    const struct version_record *rec)
{
	size_t main_len = rec->hsm_wrapped.len;
	size_t hmac_len = rec->hsm_hmac_wrapped.len;

	v->hsm_blob = malloc(main_len + hmac_len + 1);
	if (v->hsm_blob == NULL)
		return HF_ERR_NO_MEMORY;
	if (main_len > 0)
		memcpy(v->hsm_blob, rec->hsm_wrapped.ptr, main_len);
	if (hmac_len > 0)
		memcpy(v->hsm_blob + main_len, rec->hsm_hmac_wrapped.ptr,
		    hmac_len);
	hsm_key_set(
	    &v->hsm, type, rec->hsm_id, rec->wrap_id, v->hsm_blob, main_len);
	if (rec->hsm_hmac_id.len == HSM_ID)
		hsm_key_set(&v->hsm_hmac, key_type_by_id(KEY_HMAC),
		    rec->hsm_hmac_id, rec->wrap_id, v->hsm_blob + main_len,
		    hmac_len);
	if (rec->hsm_home.len == HSM_ID)
		memcpy(v->hsm_home, rec->hsm_home.ptr, HSM_ID);
	if (v->spki_len > 0)
		return crypto_key_public(
		    type, bytes_of(v->spki, v->spki_len), &v->pair);
	return HF_OK;
}

static enum hf_err
version_open_wrapped(struct key_version *v, const struct key_type *type,
    const struct version_record *rec)
{
	enum hf_err err;

	if (rec->hmac.len > 0 &&
	    (err = secret_copy(&v->hmac, rec->hmac)) != HF_OK)
		return err;
	if (rec->material.len == 0)
		return rec->spki.len == 0
		    ? HF_ERR_STORE_DAMAGED
		    : crypto_key_public(type, rec->spki, &v->pair);
	if (key_type_symmetric(type) && type->size != 0 &&
	    rec->material.len != type->size)
		return HF_ERR_STORE_DAMAGED;
	if (key_type_symmetric(type))
		return secret_copy(&v->material, rec->material);
	return crypto_key_private(type, rec->material, &v->pair);
}

enum hf_err
version_open(struct key_version *v, const struct key_type *type,
    const struct version_record *rec)
{
	enum hf_err err;

	v->number = (uint32_t)rec->version;
	v->state = (enum version_state)rec->state;
	v->level = (enum key_level)rec->level;
	v->creation_time = rec->creation_time;
	v->destroy_time = rec->destroy_time;
	if (v->state == VERSION_DESTROYED)
		return HF_OK;
	if ((err = copy_out(rec->spki, &v->spki, &v->spki_len)) != HF_OK ||
	    (err = copy_out(rec->certificates, &v->chain, &v->chain_len)) !=
		HF_OK)
		return err;
	return v->level == LEVEL_HSM ? version_open_hsm(v, type, rec)
				     : version_open_wrapped(v, type, rec);
}

static enum hf_err
version_unseal(struct hierarchy *h, const struct key *key,
    const struct sealed_one *one, struct key_version *v)
{
	AUTO_SECRET plain = { 0 };
	struct version_record rec;
	char expect[KEY_STORE_NAME];
	enum hf_err err;

	if ((err = sealed_record_open(h, text_of(one->name),
		 bytes_of(one->ptr, one->len), &version_schema, &plain,
		 &rec)) != HF_OK)
		return err;
	version_store_name(key->id, (uint32_t)rec.version, expect);
	if (strcmp(expect, one->name) != 0)
		return HF_ERR_STORE_DAMAGED;
	return version_open(v, key->type, &rec);
}

static enum hf_err
key_fill_p11(struct key *key, const struct key_record *rec)
{
	key->uses = rec->uses;
	if (rec->label.ptr != NULL) {
		key->label = strndup(rec->label.ptr, rec->label.len);
		if (key->label == NULL)
			return HF_ERR_NO_MEMORY;
	}
	return copy_out(rec->cka_id, &key->cka_id, &key->cka_id_len);
}

static enum hf_err
key_fill_context(struct key *key, const struct key_record *rec)
{
	enum hf_err err = copy_out(rec->required_context,
	    &key->required_context, &key->required_context_len);

	return err != HF_OK ? err
			    : copy_out(rec->audit_context, &key->audit_context,
				  &key->audit_context_len);
}

static enum hf_err
key_fill(struct key *key, const struct key_record *rec, struct hf_text name)
{
	enum hf_err err;

	memcpy(key->name, name.ptr, name.len);
	memcpy(key->id, rec->id.ptr, HSM_ID);
	key->type = key_type_by_id((unsigned)rec->type);
	if (key->type == NULL)
		return HF_ERR_STORE_DAMAGED;
	key->level = (enum key_level)rec->level;
	memcpy(key->keyring, rec->keyring.ptr, rec->keyring.len);
	memcpy(key->prefix, rec->prefix.ptr, rec->prefix.len);
	key->latest = (uint32_t)rec->latest_version;
	key->primary = (uint32_t)rec->primary_version;
	key->min_available = (uint32_t)rec->min_available_version;
	key->min_decryption = (uint32_t)rec->min_decryption_version;
	key->min_encryption = (uint32_t)rec->min_encryption_version;
	key->deletion_allowed = rec->deletion_allowed;
	key->exportable = rec->exportable;
	key->allow_plaintext_backup = rec->allow_plaintext_backup;
	key->soft_deleted = rec->soft_deleted;
	key->imported = rec->imported;
	key->allow_rotation = rec->allow_rotation;
	key->derived = rec->derived;
	key->convergent = rec->convergent != 0;
	key->committing = rec->committing != 0;
	key->key_size = (size_t)rec->key_size;
	key->creation_time = rec->creation_time;
	key->own_limit = rec->use_limit;
	key->use_limit =
	    rec->use_limit != 0 ? rec->use_limit : key_type_limit(key->type);
	key->auto_rotate_period = rec->auto_rotate_period;
	key->auto_retire_age = rec->auto_retire_age;
	key->auto_retire_behind = rec->auto_retire_behind;
	key->retire_not_before = rec->retire_not_before;
	key->next_due = rec->next_due;
	if ((err = key_fill_p11(key, rec)) != HF_OK)
		return err;
	return key_fill_context(key, rec);
}

static enum hf_err
key_open(struct hierarchy *h, const struct key_record *rec, struct hf_text name,
    const struct sealed *sealed, struct key **out)
{
	struct key *key =
	    calloc(1, sizeof(*key) + sealed->count * sizeof(key->versions[0]));
	enum hf_err err;

	if (key == NULL)
		return HF_ERR_NO_MEMORY;
	key->refs = 1;
	err = key_fill(key, rec, name);
	for (size_t i = 0; i < sealed->count && err == HF_OK; i++) {
		key->count++;
		err = version_unseal(
		    h, key, &sealed->items[i], &key->versions[i]);
	}
	/* A version that is missing at the end would be made a second time. */
	if (err == HF_OK && key_version_find(key, key->latest) == NULL)
		err = HF_ERR_STORE_DAMAGED;
	if (err != HF_OK) {
		key_unref(key);
		return err;
	}
	*out = key;
	return HF_OK;
}

enum hf_err
key_made(struct hf_text name, const struct key_record *rec,
    const struct version_record *version, struct key **out)
{
	struct key *key = calloc(1, sizeof(*key) + sizeof(key->versions[0]));
	enum hf_err err;

	if (key == NULL)
		return HF_ERR_NO_MEMORY;
	key->refs = 1;
	/* What comes out of the store was measured when it was decoded. */
	if (name.len >= sizeof(key->name) ||
	    rec->keyring.len >= sizeof(key->keyring) ||
	    rec->prefix.len >= sizeof(key->prefix) || rec->id.len != HSM_ID)
		err = HF_ERR_OUT_OF_BOUNDS;
	else
		err = key_fill(key, rec, name);
	if (err == HF_OK) {
		key->count = 1;
		err = version_open(&key->versions[0], key->type, version);
	}
	if (err != HF_OK) {
		key_unref(key);
		return err;
	}
	*out = key;
	return HF_OK;
}

enum hf_err
key_passing(const struct key_type *type, const struct version_record *rec,
    uint64_t uses, struct key **out)
{
	struct key *key = calloc(1, sizeof(*key) + sizeof(key->versions[0]));
	enum hf_err err;

	if (key == NULL)
		return HF_ERR_NO_MEMORY;
	key->refs = 1;
	key->type = type;
	key->passing = true;
	key->uses = uses;
	key->latest = 1;
	key->count = 1;
	key->key_size = rec->material.len;
	err = version_open(&key->versions[0], type, rec);
	if (err != HF_OK) {
		key_unref(key);
		return err;
	}
	*out = key;
	return HF_OK;
}

static enum hf_err
key_load_once(struct store *store, struct hierarchy *h, struct hf_text name,
    struct key **out, bool *again)
{
	AUTO_SECRET plain = { 0 };
	struct store_value check = { 0 };
	struct sealed sealed = { 0 };
	char stored[KEY_STORE_NAME], hex[2 * HSM_ID + 1], prefix[64];
	struct key_record rec;
	struct key *key = NULL;
	uint64_t revision;
	enum hf_err err;

	key_store_name(name, stored);
	if ((err = sealed_record_load(store, h, text_of(stored), &key_schema,
		 &plain, &rec, &revision)) != HF_OK)
		return err == HF_ERR_NOT_FOUND ? HF_ERR_KEY_NOT_FOUND : err;
	hex_encode(rec.id.ptr, HSM_ID, hex);
	(void)snprintf(prefix, sizeof(prefix), "ver/%s/", hex);
	err = store_list(store, text_of(prefix), (struct hf_text){ 0 }, 0,
	    sealed_add, &sealed);
	if (err == HF_OK)
		err = sealed.err;
	/* The two reads belong together only if nothing changed between. */
	if (err == HF_OK)
		err = store_get(store, text_of(stored), &check);
	*again = err == HF_ERR_NOT_FOUND ||
	    (err == HF_OK && check.revision != revision);
	if (err == HF_OK && !*again)
		err = key_open(h, &rec, name, &sealed, &key);
	if (err == HF_OK && !*again) {
		key->revision = revision;
		*out = key;
	}
	sealed_free(&sealed);
	store_value_free(&check);
	return err == HF_ERR_NOT_FOUND ? HF_ERR_KEY_NOT_FOUND : err;
}

enum hf_err
key_load(struct store *store, struct hierarchy *h, struct hf_text name,
    struct key **out)
{
	for (unsigned i = 0; i < READ_TRIES; i++) {
		bool again = false;
		enum hf_err err = key_load_once(store, h, name, out, &again);

		if (!again)
			return err;
	}
	return HF_ERR_BUSY;
}
