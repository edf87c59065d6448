/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/bytes.h"
#include "crypto.h"
#include "hierarchy_internal.h"
#include "log.h"
#include "record.h"

enum {
	KEYRING_BYTES = 2048,
	KEYRING_ARENA = 4096,
	KEYRING_AAD = 256, /* a label, a name, an id, a number */
};

void
keyring_store_name(struct hf_text name, char out[KEYRING_STORE_NAME])
{
	(void)snprintf(
	    out, KEYRING_STORE_NAME, "keyring/%.*s", (int)name.len, name.ptr);
}

struct keyring *
keyring_find(struct hierarchy *h, struct hf_text name)
{
	for (struct keyring *k = h->keyrings; k != NULL; k = k->next)
		if (text_is(name, k->info.name))
			return k;
	return NULL;
}

struct keyring *
keyring_by_id(struct hierarchy *h, const uint8_t id[HSM_ID])
{
	for (struct keyring *k = h->keyrings; k != NULL; k = k->next)
		if (memcmp(k->id, id, HSM_ID) == 0)
			return k;
	return NULL;
}

/* Keeps the list in the order of names. */
static void
keyring_insert(struct hierarchy *h, struct keyring *new)
{
	struct keyring **link = &h->keyrings;

	while (*link != NULL && strcmp((*link)->info.name, new->info.name) < 0)
		link = &(*link)->next;
	new->next = *link;
	*link = new;
}

void
keyring_free(struct keyring *k)
{
	secret_free(&k->key);
	free(k);
}

static struct wrap *
wrap_find(struct wrap *wraps, size_t count, const uint8_t master_id[HSM_ID])
{
	for (size_t i = 0; i < count; i++)
		if (memcmp(wraps[i].master_id, master_id, HSM_ID) == 0)
			return &wraps[i];
	return NULL;
}

bool
keyring_wrapped_by(const struct keyring *k, const uint8_t id[HSM_ID])
{
	for (size_t i = 0; i < k->wrap_count; i++)
		if (memcmp(k->wraps[i].master_id, id, HSM_ID) == 0)
			return true;
	return false;
}

/* What a keyring is under, as a whole, is its oldest master. */
static uint64_t
oldest_version(const struct wrap *wraps, size_t count)
{
	uint64_t version = count == 0 ? 0 : wraps[0].version;

	for (size_t i = 1; i < count; i++)
		if (wraps[i].version < version)
			version = wraps[i].version;
	return version;
}

/* -- Reading -- */

static void
wrap_add(struct keyring *k, struct hf_bytes master_id, uint64_t version,
    struct hf_bytes sealed)
{
	struct wrap *w = &k->wraps[k->wrap_count];

	/* What cannot be one of ours opens nothing. */
	if (sealed.len != sizeof(w->sealed) || k->wrap_count == WRAPS_MAX)
		return;
	id_set(w->master_id, master_id);
	w->version = version;
	memcpy(w->sealed, sealed.ptr, sizeof(w->sealed));
	k->wrap_count++;
}

static void
keyring_set(struct keyring *k, const struct keyring_record *rec)
{
	id_set(k->id, rec->id);
	k->info.creation_time = rec->creation_time;
	k->info.destroyed = rec->destroyed;
	k->info.master_version = rec->master_version;
	if (rec->sealed.ptr != NULL) /* the first format */
		wrap_add(k, rec->master_id, rec->master_version, rec->sealed);
	for (size_t i = 0; i < rec->wraps_count; i++)
		wrap_add(k, rec->wraps[i].master_id,
		    rec->wraps[i].master_version, rec->wraps[i].sealed);
	if (k->wrap_count > 0)
		k->info.master_version =
		    oldest_version(k->wraps, k->wrap_count);
}

struct load_ctx {
	struct hierarchy *h;
	struct arena *arena;
	enum hf_err err;
};

static bool
keyring_load_each(
    void *ctx, struct hf_text key, struct hf_bytes value, uint64_t revision)
{
	struct load_ctx *lc = ctx;
	struct hf_text prefix = TEXT("keyring/");
	struct keyring_record rec;
	struct keyring *k = calloc(1, sizeof(*k));
	struct hf_text name = { key.ptr + prefix.len, key.len - prefix.len };

	arena_reset(lc->arena);
	lc->err = k == NULL
	    ? HF_ERR_NO_MEMORY
	    : record_decode_list(&keyring_schema, value, lc->arena, &rec);
	if (lc->err == HF_OK && !name_valid(name))
		lc->err = HF_ERR_STORE_DAMAGED;
	if (lc->err != HF_OK) {
		free(k);
		return false;
	}
	memcpy(k->info.name, name.ptr, name.len);
	keyring_set(k, &rec);
	k->info.revision = revision;
	keyring_insert(lc->h, k);
	return true;
}

enum hf_err
keyrings_load(struct hierarchy *h)
{
	struct load_ctx lc = { .h = h };
	enum hf_err err = arena_new(KEYRING_ARENA, KEYRING_ARENA, &lc.arena);

	if (err != HF_OK)
		return err;
	err = store_list(h->store, TEXT("keyring/"), (struct hf_text){ 0 }, 0,
	    keyring_load_each, &lc);
	arena_free(lc.arena);
	return err == HF_OK ? lc.err : err;
}

static enum hf_err
keyring_read(struct hierarchy *h, struct hf_text name, struct keyring *out)
{
	char stored[KEYRING_STORE_NAME];
	struct keyring_record rec;
	struct store_value v = { 0 };
	struct arena *arena = NULL;
	enum hf_err err;

	keyring_store_name(name, stored);
	if ((err = store_get(h->store, text_of(stored), &v)) == HF_OK &&
	    (err = arena_new(KEYRING_ARENA, KEYRING_ARENA, &arena)) == HF_OK)
		err = record_decode_list(
		    &keyring_schema, bytes_of(v.ptr, v.len), arena, &rec);
	if (err == HF_OK) {
		keyring_set(out, &rec);
		out->info.revision = v.revision;
	}
	arena_free(arena);
	store_value_free(&v);
	return err;
}

/*
 * After a commit that failed: it may have been made all the same. What is in
 * memory then is what stands in the store, as after the next start; else each
 * later change would fail with a conflict until then.
 */
static void
keyring_follow(struct hierarchy *h, struct keyring *k)
{
	struct keyring now = { 0 };

	if (keyring_read(h, text_of(k->info.name), &now) != HF_OK ||
	    memcmp(now.id, k->id, HSM_ID) != 0)
		return;
	memcpy(now.info.name, k->info.name, sizeof(now.info.name));
	(void)pthread_rwlock_wrlock(&h->lock);
	k->info = now.info;
	memcpy(k->wraps, now.wraps, sizeof(k->wraps));
	k->wrap_count = now.wrap_count;
	if (now.info.destroyed)
		secret_free(&k->key);
	(void)pthread_rwlock_unlock(&h->lock);
}

/* -- Writing -- */

/* Writes the record of a keyring; `info` gets its revision. */
static enum hf_err
keyring_store(struct hierarchy *h, const uint8_t id[HSM_ID],
    const struct wrap *wraps, size_t count, struct keyring_info *info)
{
	struct wrap_record recs[WRAPS_MAX];
	struct keyring_record rec = {
		.id = id_view(id),
		.creation_time = info->creation_time,
		/* A destroyed one still tells under which master it was. */
		.master_version = count == 0 ? info->master_version : 0,
		.destroyed = info->destroyed,
		.wraps = recs,
		.wraps_count = count,
	};
	char name[KEYRING_STORE_NAME];
	uint8_t buf[KEYRING_BYTES];
	size_t len;
	enum hf_err err;

	for (size_t i = 0; i < count; i++)
		recs[i] = (struct wrap_record){ id_view(wraps[i].master_id),
			wraps[i].version,
			bytes_of(wraps[i].sealed, sizeof(wraps[i].sealed)) };
	keyring_store_name(text_of(info->name), name);
	if ((err = record_encode(
		 &keyring_schema, &rec, buf, sizeof(buf), &len)) != HF_OK)
		return err;
	return store_commit_change(h->store,
	    &(struct store_cond){ text_of(name), info->revision }, 1,
	    &(struct store_write){ text_of(name), bytes_of(buf, len) }, 1,
	    &info->revision);
}

/* Writes these down, and then they are in force. */
static enum hf_err
keyring_set_wraps(struct hierarchy *h, struct keyring *k,
    const struct wrap *wraps, size_t count)
{
	struct keyring_info info = k->info;
	enum hf_err err;

	if (count > 0)
		info.master_version = oldest_version(wraps, count);
	if ((err = keyring_store(h, k->id, wraps, count, &info)) != HF_OK) {
		keyring_follow(h, k);
		return err;
	}
	(void)pthread_rwlock_wrlock(&h->lock);
	memset(k->wraps, 0, sizeof(k->wraps));
	memcpy(k->wraps, wraps, count * sizeof(*wraps));
	k->wrap_count = count;
	k->info = info;
	(void)pthread_rwlock_unlock(&h->lock);
	return HF_OK;
}

/* -- Under master keys -- */

/* What the master key binds to a sealed keyring key. */
static size_t
keyring_aad(
    const struct keyring *k, uint64_t master_version, char out[KEYRING_AAD])
{
	char id[2 * HSM_ID + 1];
	int n;

	hex_encode(k->id, HSM_ID, id);
	n = snprintf(out, KEYRING_AAD, "holdfast-keyring-v1|%s|%s|%llu",
	    k->info.name, id, (unsigned long long)master_version);
	return n < 0 ? 0 : (size_t)n;
}

enum hf_err
seal_and_try(struct hsm *hsm, const uint8_t master_id[HSM_ID],
    struct hf_bytes aad, const struct secret *key, uint8_t *sealed)
{
	struct hf_bytes view = { sealed, key->len + HSM_SEAL_EXTRA };
	AUTO_SECRET opened = { 0 };
	enum hf_err err;

	if ((err = hsm_seal(hsm, master_id, aad, secret_view(key), sealed)) !=
		HF_OK ||
	    (err = hsm_open_sealed(hsm, master_id, aad, view, &opened)) !=
		HF_OK)
		return err;
	return bytes_equal_ct(secret_view(&opened), secret_view(key))
	    ? HF_OK
	    : HF_ERR_HSM_UNSUITABLE;
}

static enum hf_err
wrap_make(const struct keyring *k, const struct secret *key, struct hsm *hsm,
    const uint8_t master_id[HSM_ID], uint64_t version, struct wrap *out)
{
	char aad[KEYRING_AAD];
	size_t aad_len = keyring_aad(k, version, aad);

	memcpy(out->master_id, master_id, HSM_ID);
	out->version = version;
	return seal_and_try(
	    hsm, master_id, bytes_of(aad, aad_len), key, out->sealed);
}

/* Takes one out of `wraps`, when it is there. */
static void
wraps_without(
    struct wrap *wraps, size_t *count, const uint8_t master_id[HSM_ID])
{
	struct wrap *old = wrap_find(wraps, *count, master_id);

	if (old == NULL)
		return;
	(*count)--;
	memmove(old, old + 1, (size_t)(wraps + *count - old) * sizeof(*old));
}

enum hf_err
keyring_wrap(struct hierarchy *h, struct keyring *k, struct link *l,
    const uint8_t master_id[HSM_ID], uint64_t version,
    const uint8_t instead[HSM_ID])
{
	struct wrap wraps[WRAPS_MAX], new;
	size_t count = k->wrap_count;
	enum hf_err err =
	    wrap_make(k, &k->key, l->hsm, master_id, version, &new);

	if (err != HF_OK)
		return err;
	memcpy(wraps, k->wraps, sizeof(wraps));
	if (instead != NULL)
		wraps_without(wraps, &count, instead);
	wraps_without(wraps, &count, master_id);
	if (count == WRAPS_MAX)
		return HF_ERR_OUT_OF_BOUNDS;
	wraps[count++] = new;
	return keyring_set_wraps(h, k, wraps, count);
}

enum hf_err
keyring_drop_wrap(
    struct hierarchy *h, struct keyring *k, const uint8_t master_id[HSM_ID])
{
	struct wrap wraps[WRAPS_MAX];
	size_t count = k->wrap_count;

	if (!keyring_wrapped_by(k, master_id))
		return HF_OK;
	memcpy(wraps, k->wraps, sizeof(wraps));
	wraps_without(wraps, &count, master_id);
	return count == 0 ? HF_ERR_STORE_DAMAGED
			  : keyring_set_wraps(h, k, wraps, count);
}

/* -- Opening -- */

static enum hf_err
wrap_open(const struct keyring *k, const struct wrap *w, struct hsm *hsm,
    struct secret *out)
{
	char aad[KEYRING_AAD];
	size_t aad_len = keyring_aad(k, w->version, aad);
	enum hf_err err =
	    hsm_open_sealed(hsm, w->master_id, bytes_of(aad, aad_len),
		bytes_of(w->sealed, sizeof(w->sealed)), out);

	if (err == HF_OK && out->len != KEYRING_KEY) {
		secret_free(out);
		err = HF_ERR_STORE_DAMAGED;
	}
	if (err == HF_ERR_AUTH_FAILED || err == HF_ERR_BAD_CIPHERTEXT)
		err = HF_ERR_STORE_DAMAGED;
	return err;
}

/* Whether that HSM is to hold the master key of it. */
static bool
link_opens(struct hierarchy *h, const struct link *l, const struct wrap *w)
{
	struct member m;

	if (h->link_count == 1)
		return true;
	return link_member(h, l, &m) &&
	    (memcmp(m.master_id, w->master_id, HSM_ID) == 0 ||
		memcmp(m.next_id, w->master_id, HSM_ID) == 0);
}

/*
 * By any HSM that works and any master key of it. The error is the first one:
 * that of the HSM that is preferred.
 */
static enum hf_err
keyring_unwrap(struct hierarchy *h, struct keyring *k, struct secret *out)
{
	struct link *links[HSM_DEVICES];
	struct wrap wraps[WRAPS_MAX];
	size_t count, n = links_working(h, links);
	bool destroyed, tried = false;
	enum hf_err first = HF_ERR_STORE_DAMAGED, err;

	(void)pthread_rwlock_rdlock(&h->lock);
	memcpy(wraps, k->wraps, sizeof(wraps));
	count = k->wrap_count;
	destroyed = k->info.destroyed;
	(void)pthread_rwlock_unlock(&h->lock);
	if (destroyed)
		return HF_ERR_KEYRING_NOT_FOUND;
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < count; j++) {
			if (!link_opens(h, links[i], &wraps[j]))
				continue;
			err = wrap_open(k, &wraps[j], links[i]->hsm, out);
			if (err == HF_OK)
				return HF_OK;
			if (!tried)
				first = err;
			tried = true;
		}
	/* Others may have it, when they come back. */
	return tried || count == 0 ? first : HF_ERR_HSM_UNAVAILABLE;
}

/* Whether there is nothing to open: it is in memory, or gone for good. */
static bool
keyring_is_settled(struct hierarchy *h, const struct keyring *k)
{
	bool settled;

	(void)pthread_rwlock_rdlock(&h->lock);
	settled = k->key.ptr != NULL || k->info.destroyed;
	(void)pthread_rwlock_unlock(&h->lock);
	return settled;
}

enum hf_err
keyring_unlock(struct hierarchy *h, struct keyring *k)
{
	AUTO_SECRET key = { 0 };
	enum hf_err err;

	if (keyring_is_settled(h, k))
		return HF_OK;
	/* A rotation may retire the master of what was just read; it has the
	 * key in memory then. */
	if ((err = keyring_unwrap(h, k, &key)) != HF_OK)
		return keyring_is_settled(h, k) ? HF_OK : err;
	(void)pthread_rwlock_wrlock(&h->lock);
	if (k->key.ptr == NULL && !k->info.destroyed)
		secret_move(&k->key, &key);
	(void)pthread_rwlock_unlock(&h->lock);
	return HF_OK;
}

enum hf_err
keyring_verify(struct hierarchy *h, struct keyring *k, struct link *l,
    const uint8_t master_id[HSM_ID])
{
	const struct wrap *w = wrap_find(k->wraps, k->wrap_count, master_id);
	AUTO_SECRET opened = { 0 };
	enum hf_err err;

	if (w == NULL)
		return HF_ERR_STORE_DAMAGED;
	if ((err = keyring_unlock(h, k)) != HF_OK ||
	    (err = wrap_open(k, w, l->hsm, &opened)) != HF_OK)
		return err;
	return bytes_equal_ct(secret_view(&opened), secret_view(&k->key))
	    ? HF_OK
	    : HF_ERR_STORE_DAMAGED;
}

enum hf_err
keyring_open_outside(const struct keyring *k, const uint8_t master_id[HSM_ID],
    struct hf_bytes master)
{
	const struct key_type *aes = key_type_by_id(KEY_AES256_GCM96);
	char aad[KEYRING_AAD];
	AUTO_SECRET out = { 0 };
	enum hf_err err = secret_alloc(&out, KEYRING_KEY);

	for (size_t i = 0; err == HF_OK && i < k->wrap_count; i++) {
		const struct wrap *w = &k->wraps[i];
		size_t aad_len = keyring_aad(k, w->version, aad);

		if (memcmp(w->master_id, master_id, HSM_ID) != 0)
			continue;
		/* As hsm_seal puts it: nonce, ciphertext, tag. */
		return crypto_open(aes, master, bytes_of(w->sealed, 12),
		    bytes_of(aad, aad_len),
		    bytes_of(w->sealed + 12, sizeof(w->sealed) - 12), out.ptr);
	}
	return err == HF_OK ? HF_ERR_NOT_FOUND : err;
}

/* -- Making -- */

/* By the first of them at least; what others miss is made up for later. */
static enum hf_err
wraps_make(struct hierarchy *h, const struct keyring *k,
    const struct secret *key, struct wrap wraps[WRAPS_MAX], size_t *count)
{
	struct link *links[HSM_DEVICES];
	size_t n = links_working(h, links);

	*count = 0;
	for (size_t i = 0; i < n; i++) {
		struct member m;
		enum hf_err err = HF_ERR_HSM_UNINITIALIZED;

		if (link_member(h, links[i], &m) &&
		    wrap_find(wraps, *count, m.master_id) == NULL)
			err = wrap_make(k, key, links[i]->hsm, m.master_id,
			    m.master_version, &wraps[*count]);
		else if (i > 0)
			continue; /* it shares the master key of another */
		if (err != HF_OK && i == 0)
			return err;
		if (err == HF_OK)
			(*count)++;
		else
			log_warning("keyring %s is not on device %s: %s",
			    k->info.name, links[i]->name, hf_err_sentence(err));
	}
	return HF_OK;
}

enum hf_err
keyring_make(struct hierarchy *h, struct hf_text name, struct keyring **out)
{
	struct wrap wraps[WRAPS_MAX];
	AUTO_SECRET key = { 0 };
	struct keyring *k;
	size_t count;
	enum hf_err err;

	if ((err = secret_alloc(&key, KEYRING_KEY)) != HF_OK ||
	    (err = hierarchy_random(h, key.ptr, key.len)) != HF_OK)
		return err;
	k = calloc(1, sizeof(*k));
	if (k == NULL)
		return HF_ERR_NO_MEMORY;
	memcpy(k->info.name, name.ptr, name.len);
	k->info.creation_time = (uint64_t)time(NULL);
	if ((err = crypto_random(k->id, sizeof(k->id))) == HF_OK &&
	    (err = wraps_make(h, k, &key, wraps, &count)) == HF_OK)
		err = keyring_set_wraps(h, k, wraps, count);
	if (err != HF_OK && k->info.revision == 0) {
		free(k);
		return err;
	}
	/* Also one that is in the store though its commit failed. */
	secret_move(&k->key, &key);
	(void)pthread_rwlock_wrlock(&h->lock);
	keyring_insert(h, k);
	(void)pthread_rwlock_unlock(&h->lock);
	if (err == HF_OK)
		*out = k;
	return err;
}

/* -- From outside -- */

enum hf_err
keyring_create(
    struct hierarchy *h, struct hf_text name, struct keyring_info *out)
{
	struct keyring *k = NULL;
	enum hf_err err;

	if (!hierarchy_initialized(h))
		return HF_ERR_HSM_UNINITIALIZED;
	if (!name_valid(name))
		return HF_ERR_BAD_NAME;
	(void)pthread_mutex_lock(&h->changing);
	err = keyring_find(h, name) != NULL ? HF_ERR_NAME_TAKEN
					    : keyring_make(h, name, &k);
	if (err == HF_OK)
		*out = k->info;
	(void)pthread_mutex_unlock(&h->changing);
	return err;
}

enum hf_err
keyring_info(struct hierarchy *h, struct hf_text name, struct keyring_info *out)
{
	struct keyring *k;
	enum hf_err err = HF_ERR_KEYRING_NOT_FOUND;

	(void)pthread_rwlock_rdlock(&h->lock);
	k = keyring_find(h, name);
	if (k != NULL) {
		*out = k->info;
		err = HF_OK;
	}
	(void)pthread_rwlock_unlock(&h->lock);
	return err;
}

enum hf_err
keyring_list(struct hierarchy *h, struct hf_text after,
    struct keyring_info *out, size_t *count)
{
	size_t n = 0;

	(void)pthread_rwlock_rdlock(&h->lock);
	for (struct keyring *k = h->keyrings; k != NULL && n < *count;
	     k = k->next)
		if (after.ptr == NULL ||
		    strncmp(k->info.name, after.ptr, after.len) > 0 ||
		    (strncmp(k->info.name, after.ptr, after.len) == 0 &&
			k->info.name[after.len] != '\0'))
			out[n++] = k->info;
	(void)pthread_rwlock_unlock(&h->lock);
	*count = n;
	return HF_OK;
}

bool
keyring_sealed(struct hierarchy *h, struct hf_text name, struct hf_bytes sealed)
{
	struct keyring *k;
	bool same;

	(void)pthread_rwlock_rdlock(&h->lock);
	k = keyring_find(h, name);
	same = k != NULL && sealed.len >= SEAL_EXTRA &&
	    memcmp(k->id, sealed.ptr + 2, HSM_ID) == 0;
	(void)pthread_rwlock_unlock(&h->lock);
	return same;
}

/* `changing` is held. */
static enum hf_err
destroy_now(struct hierarchy *h, struct keyring *k)
{
	struct keyring_info info;
	enum hf_err err;

	if (k == NULL || k->info.destroyed)
		return HF_ERR_KEYRING_NOT_FOUND;
	info = k->info;
	info.destroyed = true;
	if ((err = keyring_store(h, k->id, NULL, 0, &info)) != HF_OK) {
		keyring_follow(h, k);
		return err;
	}
	(void)pthread_rwlock_wrlock(&h->lock);
	k->info = info;
	k->wrap_count = 0;
	memset(k->wraps, 0, sizeof(k->wraps));
	secret_free(&k->key);
	(void)pthread_rwlock_unlock(&h->lock);
	return HF_OK;
}

enum hf_err
keyring_destroy(struct hierarchy *h, struct hf_text name)
{
	enum hf_err err;

	(void)pthread_mutex_lock(&h->changing);
	err = destroy_now(h, keyring_find(h, name));
	(void)pthread_mutex_unlock(&h->changing);
	return err;
}
