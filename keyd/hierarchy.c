/* SPDX-License-Identifier: Apache-2.0 */
#include "hierarchy.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/bytes.h"
#include "crypto.h"
#include "record.h"

enum {
	KEYRING_KEY = 32,
	SEAL_FORMAT = 1,
	SEAL_AES256_GCM = 1,
	NONCE = 12,
	RECORD_SMALL = 1024,
};

/* One keyring key. Entries are made once and stay; what changes is guarded by
 * the hierarchy's lock. */
struct keyring {
	struct keyring *next;
	struct keyring_info info;
	uint8_t id[HSM_ID];
	uint8_t master_id[HSM_ID];
	struct secret key; /* empty until opened, and once destroyed */
};

/* hsm/root as plain members. */
struct root {
	uint64_t revision; /* 0: there is none */
	uint8_t master_id[HSM_ID], wrap_id[HSM_ID], audit_id[HSM_ID];
	uint64_t master_version; /* 0: initialisation is not finished */
	char phase[16];
	uint8_t next_id[HSM_ID];
	uint64_t next_version;
	bool destroy_old;
};

struct hierarchy {
	struct store *store;
	struct hsm *hsm;
	pthread_rwlock_t lock;    /* root, keyrings */
	pthread_mutex_t changing; /* one change of root or keyrings at a time */
	struct root root;
	struct keyring *keyrings; /* by name */
};

static struct hf_bytes
id_view(const uint8_t id[HSM_ID])
{
	return bytes_of(id, HSM_ID);
}

static void
id_set(uint8_t to[HSM_ID], struct hf_bytes from)
{
	memset(to, 0, HSM_ID);
	if (from.ptr != NULL && from.len == HSM_ID)
		memcpy(to, from.ptr, HSM_ID);
}

/* -- The root record -- */

static enum hf_err
root_load(struct hierarchy *h)
{
	struct store_value v = { 0 };
	struct root_record rec;
	struct root r = { 0 };
	enum hf_err err = store_get(h->store, TEXT("hsm/root"), &v);

	if (err == HF_ERR_NOT_FOUND)
		return HF_OK;
	if (err != HF_OK)
		return err;
	err = record_decode(&root_schema, bytes_of(v.ptr, v.len), &rec);
	if (err == HF_OK) {
		r.revision = v.revision;
		id_set(r.master_id, rec.master_id);
		id_set(r.wrap_id, rec.wrap_id);
		id_set(r.audit_id, rec.audit_id);
		id_set(r.next_id, rec.next_id);
		r.master_version = rec.master_version;
		r.next_version = rec.next_version;
		r.destroy_old = rec.destroy_old;
		(void)snprintf(r.phase, sizeof(r.phase), "%.*s",
		    (int)rec.phase.len,
		    rec.phase.ptr == NULL ? "" : rec.phase.ptr);
		h->root = r;
	}
	store_value_free(&v);
	return err;
}

/* Writes `next` down and only then makes it the root in force. */
static enum hf_err
root_save(struct hierarchy *h, struct root *next)
{
	struct root_record rec = {
		.master_id = id_view(next->master_id),
		.master_version = next->master_version,
		.wrap_id = id_view(next->wrap_id),
		.audit_id = id_view(next->audit_id),
		.phase = text_of(next->phase),
		.next_id = id_view(next->next_id),
		.next_version = next->next_version,
		.destroy_old = next->destroy_old,
	};
	struct store_cond cond = { TEXT("hsm/root"), h->root.revision };
	uint8_t buf[RECORD_SMALL];
	size_t len;
	enum hf_err err;

	if ((err = record_encode(&root_schema, &rec, buf, sizeof(buf), &len)) !=
	    HF_OK)
		return err;
	err = store_commit(h->store, &cond, 1,
	    &(struct store_write){ TEXT("hsm/root"), bytes_of(buf, len) }, 1,
	    &next->revision);
	if (err != HF_OK)
		return err;
	(void)pthread_rwlock_wrlock(&h->lock);
	h->root = *next;
	(void)pthread_rwlock_unlock(&h->lock);
	return HF_OK;
}

static bool
phase_is(const struct root *r, const char *phase)
{
	return strcmp(r->phase, phase) == 0;
}

static void
phase_set(struct root *r, const char *phase)
{
	(void)snprintf(r->phase, sizeof(r->phase), "%s", phase);
}

/* -- Keyrings -- */

void
keyring_store_name(struct hf_text name, char out[KEYRING_STORE_NAME])
{
	(void)snprintf(
	    out, KEYRING_STORE_NAME, "keyring/%.*s", (int)name.len, name.ptr);
}

static struct keyring *
keyring_find(struct hierarchy *h, struct hf_text name)
{
	for (struct keyring *k = h->keyrings; k != NULL; k = k->next)
		if (text_is(name, k->info.name))
			return k;
	return NULL;
}

static struct keyring *
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

static void
keyring_free(struct keyring *k)
{
	secret_free(&k->key);
	free(k);
}

/* What the master key binds to a sealed keyring key. */
static size_t
keyring_aad(const struct keyring *k, uint64_t master_version, char out[256])
{
	char id[2 * HSM_ID + 1];
	int n;

	hex_encode(k->id, HSM_ID, id);
	n = snprintf(out, 256, "holdfast-keyring-v1|%s|%s|%llu", k->info.name,
	    id, (unsigned long long)master_version);
	return n < 0 ? 0 : (size_t)n;
}

/* Writes the record of a keyring; `info` gets its revision. */
static enum hf_err
keyring_store(struct hierarchy *h, const uint8_t id[HSM_ID],
    const uint8_t master_id[HSM_ID], struct hf_bytes sealed,
    struct keyring_info *info)
{
	struct keyring_record rec = {
		.id = id_view(id),
		.creation_time = info->creation_time,
		.master_id = id_view(master_id),
		.master_version = info->master_version,
		.sealed = sealed,
		.destroyed = info->destroyed,
	};
	char name[KEYRING_STORE_NAME];
	uint8_t buf[RECORD_SMALL];
	size_t len;
	enum hf_err err;

	keyring_store_name(text_of(info->name), name);
	if ((err = record_encode(
		 &keyring_schema, &rec, buf, sizeof(buf), &len)) != HF_OK)
		return err;
	return store_commit_change(h->store,
	    &(struct store_cond){ text_of(name), info->revision }, 1,
	    &(struct store_write){ text_of(name), bytes_of(buf, len) }, 1,
	    &info->revision);
}

/* What an HSM sealed is written down only when it also opens it again. */
static enum hf_err
seal_and_try(struct hierarchy *h, const uint8_t master_id[HSM_ID],
    struct hf_bytes aad, const struct secret *key, uint8_t *sealed)
{
	struct hf_bytes view = { sealed, key->len + HSM_SEAL_EXTRA };
	AUTO_SECRET opened = { 0 };
	enum hf_err err;

	if ((err = hsm_seal(
		 h->hsm, master_id, aad, secret_view(key), sealed)) != HF_OK ||
	    (err = hsm_open_sealed(h->hsm, master_id, aad, view, &opened)) !=
		HF_OK)
		return err;
	return bytes_equal_ct(secret_view(&opened), secret_view(key))
	    ? HF_OK
	    : HF_ERR_HSM_UNSUITABLE;
}

/* Seals `key` under a master key and writes that down; `changing` is held. */
static enum hf_err
keyring_wrap(struct hierarchy *h, struct keyring *k, const struct secret *key,
    const uint8_t master_id[HSM_ID], uint64_t master_version)
{
	uint8_t sealed[KEYRING_KEY + HSM_SEAL_EXTRA];
	struct keyring_info info = k->info;
	char aad[256];
	size_t aad_len = keyring_aad(k, master_version, aad);
	enum hf_err err;

	info.master_version = master_version;
	if ((err = seal_and_try(
		 h, master_id, bytes_of(aad, aad_len), key, sealed)) != HF_OK ||
	    (err = keyring_store(h, k->id, master_id,
		 bytes_of(sealed, sizeof(sealed)), &info)) != HF_OK)
		return err;
	(void)pthread_rwlock_wrlock(&h->lock);
	memcpy(k->master_id, master_id, HSM_ID);
	k->info = info;
	(void)pthread_rwlock_unlock(&h->lock);
	return HF_OK;
}

/* Reads the sealed keyring key from the store and has the HSM open it. */
static enum hf_err
keyring_unwrap(struct hierarchy *h, struct keyring *k, struct secret *out)
{
	char name[KEYRING_STORE_NAME];
	struct keyring_record rec;
	struct store_value v = { 0 };
	char aad[256];
	size_t aad_len;
	enum hf_err err;

	keyring_store_name(text_of(k->info.name), name);
	if ((err = store_get(h->store, text_of(name), &v)) != HF_OK)
		return err;
	err = record_decode(&keyring_schema, bytes_of(v.ptr, v.len), &rec);
	if (err == HF_OK &&
	    (rec.sealed.ptr == NULL || rec.master_id.ptr == NULL))
		err = rec.destroyed ? HF_ERR_KEYRING_NOT_FOUND
				    : HF_ERR_STORE_DAMAGED;
	if (err == HF_OK) {
		aad_len = keyring_aad(k, rec.master_version, aad);
		err = hsm_open_sealed(h->hsm, rec.master_id.ptr,
		    bytes_of(aad, aad_len), rec.sealed, out);
	}
	if (err == HF_OK && out->len != KEYRING_KEY) {
		secret_free(out);
		err = HF_ERR_STORE_DAMAGED;
	}
	if (err == HF_ERR_AUTH_FAILED || err == HF_ERR_BAD_CIPHERTEXT)
		err = HF_ERR_STORE_DAMAGED;
	store_value_free(&v);
	return err;
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

/* Opens a keyring key into memory unless it is there already. */
static enum hf_err
keyring_unlock(struct hierarchy *h, struct keyring *k)
{
	AUTO_SECRET key = { 0 };
	enum hf_err err;

	if (keyring_is_settled(h, k))
		return HF_OK;
	/* A rotation may retire the master of the record just read; it has the
	 * key in memory then. */
	if ((err = keyring_unwrap(h, k, &key)) != HF_OK)
		return keyring_is_settled(h, k) ? HF_OK : err;
	(void)pthread_rwlock_wrlock(&h->lock);
	if (k->key.ptr == NULL && !k->info.destroyed)
		secret_move(&k->key, &key);
	(void)pthread_rwlock_unlock(&h->lock);
	return HF_OK;
}

struct load_ctx {
	struct hierarchy *h;
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

	lc->err = k == NULL ? HF_ERR_NO_MEMORY
			    : record_decode(&keyring_schema, value, &rec);
	if (lc->err == HF_OK && !name_valid(name))
		lc->err = HF_ERR_STORE_DAMAGED;
	if (lc->err != HF_OK) {
		free(k);
		return false;
	}
	memcpy(k->info.name, name.ptr, name.len);
	k->info.master_version = rec.master_version;
	k->info.creation_time = rec.creation_time;
	k->info.destroyed = rec.destroyed;
	id_set(k->id, rec.id);
	id_set(k->master_id, rec.master_id);
	k->info.revision = revision;
	keyring_insert(lc->h, k);
	return true;
}

/* A rotation must not wait for ever while others read on and on. */
static void
lock_init(pthread_rwlock_t *lock)
{
	pthread_rwlockattr_t attr;

	(void)pthread_rwlockattr_init(&attr);
	(void)pthread_rwlockattr_setkind_np(
	    &attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	(void)pthread_rwlock_init(lock, &attr);
	(void)pthread_rwlockattr_destroy(&attr);
}

enum hf_err
hierarchy_open(struct store *store, struct hsm *hsm, struct hierarchy **out,
    struct hf_why *why)
{
	struct hierarchy *h = calloc(1, sizeof(*h));
	struct load_ctx lc = { h, HF_OK };
	enum hf_err err;

	if (h == NULL)
		return HF_ERR_NO_MEMORY;
	h->store = store;
	h->hsm = hsm;
	lock_init(&h->lock);
	(void)pthread_mutex_init(&h->changing, NULL);
	if ((err = root_load(h)) == HF_OK)
		err = store_list(store, TEXT("keyring/"), (struct hf_text){ 0 },
		    0, keyring_load_each, &lc);
	if (err == HF_OK)
		err = lc.err;
	if (err != HF_OK) {
		hierarchy_close(h);
		return hf_fail(why, err,
		    "the key hierarchy cannot be read "
		    "from the store: %s",
		    hf_err_sentence(err));
	}
	*out = h;
	return HF_OK;
}

void
hierarchy_close(struct hierarchy *h)
{
	if (h == NULL)
		return;
	while (h->keyrings != NULL) {
		struct keyring *next = h->keyrings->next;

		keyring_free(h->keyrings);
		h->keyrings = next;
	}
	(void)pthread_rwlock_destroy(&h->lock);
	(void)pthread_mutex_destroy(&h->changing);
	free(h);
}

bool
hierarchy_initialized(struct hierarchy *h)
{
	return hierarchy_master_version(h) > 0;
}

/* -- Initialisation -- */

/* Makes a keyring; `changing` is held. */
static enum hf_err
keyring_make(struct hierarchy *h, struct hf_text name, struct keyring **out)
{
	AUTO_SECRET key = { 0 };
	struct keyring *k;
	enum hf_err err;

	if ((err = secret_alloc(&key, KEYRING_KEY)) != HF_OK ||
	    (err = hsm_random(h->hsm, key.ptr, key.len)) != HF_OK)
		return err;
	k = calloc(1, sizeof(*k));
	if (k == NULL)
		return HF_ERR_NO_MEMORY;
	memcpy(k->info.name, name.ptr, name.len);
	k->info.creation_time = (uint64_t)time(NULL);
	if ((err = crypto_random(k->id, sizeof(k->id))) == HF_OK)
		err = keyring_wrap(
		    h, k, &key, h->root.master_id, h->root.master_version);
	if (err != HF_OK) {
		free(k);
		return err;
	}
	secret_move(&k->key, &key);
	(void)pthread_rwlock_wrlock(&h->lock);
	keyring_insert(h, k);
	(void)pthread_rwlock_unlock(&h->lock);
	*out = k;
	return HF_OK;
}

/* A sealed value must open again, and only with its own AAD. */
static enum hf_err
master_check(struct hierarchy *h, const uint8_t id[HSM_ID])
{
	uint8_t sealed[KEYRING_KEY + HSM_SEAL_EXTRA];
	AUTO_SECRET sample = { 0 };
	AUTO_SECRET opened = { 0 };
	enum hf_err err;

	if ((err = secret_alloc(&sample, KEYRING_KEY)) != HF_OK ||
	    (err = seal_and_try(
		 h, id, bytes_of("check", 5), &sample, sealed)) != HF_OK)
		return err;
	err = hsm_open_sealed(h->hsm, id, bytes_of("other", 5),
	    bytes_of(sealed, sizeof(sealed)), &opened);
	if (err == HF_OK)
		return HF_ERR_HSM_UNSUITABLE;
	return err == HF_ERR_AUTH_FAILED ? HF_OK : err;
}

static enum hf_err
init_root(struct hierarchy *h)
{
	struct root r = h->root;
	enum hf_err err;

	/* The ids are written down before anything bears them. */
	if (r.revision == 0) {
		if ((err = crypto_random(r.master_id, HSM_ID)) != HF_OK ||
		    (err = crypto_random(r.wrap_id, HSM_ID)) != HF_OK ||
		    (err = crypto_random(r.audit_id, HSM_ID)) != HF_OK)
			return err;
		phase_set(&r, "init");
		if ((err = root_save(h, &r)) != HF_OK)
			return err;
	}
	if (!phase_is(&r, "init"))
		return HF_OK;
	if ((err = hsm_object_make(h->hsm, ROLE_MASTER, r.master_id,
		 "holdfast-master-v1")) != HF_OK ||
	    (err = hsm_object_make(
		 h->hsm, ROLE_WRAP, r.wrap_id, "holdfast-wrap")) != HF_OK ||
	    (err = hsm_object_make(
		 h->hsm, ROLE_AUDIT, r.audit_id, "holdfast-audit")) != HF_OK ||
	    (err = master_check(h, r.master_id)) != HF_OK)
		return err;
	r.master_version = 1;
	phase_set(&r, "");
	return root_save(h, &r);
}

/* The last step of an initialisation. */
static enum hf_err
make_default(struct hierarchy *h)
{
	struct keyring *k;

	return keyring_find(h, TEXT("default")) != NULL
	    ? HF_OK
	    : keyring_make(h, TEXT("default"), &k);
}

enum hf_err
hierarchy_init(struct hierarchy *h, struct hf_why *why)
{
	bool before = hierarchy_initialized(h);
	enum hf_err err;

	(void)pthread_mutex_lock(&h->changing);
	err = before ? master_check(h, h->root.master_id) : init_root(h);
	if (err == HF_OK)
		err = make_default(h);
	(void)pthread_mutex_unlock(&h->changing);
	if (before && err == HF_ERR_HSM_UNINITIALIZED)
		return hf_fail(why, err,
		    "the store belongs to a master key that this token does not "
		    "hold: it is the wrong token, or the key was removed");
	if (err != HF_OK)
		return hf_fail(why, err, "the master key could not be made: %s",
		    hf_err_sentence(err));
	return HF_OK;
}

/* -- Rotation of the master key -- */

static enum hf_err
rotate_make(struct hierarchy *h, struct root *r)
{
	char label[64];
	enum hf_err err;

	(void)snprintf(label, sizeof(label), "holdfast-master-v%llu",
	    (unsigned long long)r->next_version);
	if ((err = hsm_object_make(h->hsm, ROLE_MASTER, r->next_id, label)) !=
		HF_OK ||
	    (err = master_check(h, r->next_id)) != HF_OK)
		return err;
	phase_set(r, "rewrapping");
	return root_save(h, r);
}

static enum hf_err
rotate_rewrap(struct hierarchy *h, struct root *r, uint64_t *done)
{
	uint8_t old[HSM_ID];
	enum hf_err err;

	for (struct keyring *k = h->keyrings; k != NULL; k = k->next) {
		if (k->info.destroyed ||
		    k->info.master_version == r->next_version)
			continue;
		if ((err = keyring_unlock(h, k)) != HF_OK ||
		    (err = keyring_wrap(
			 h, k, &k->key, r->next_id, r->next_version)) != HF_OK)
			return err;
		(*done)++;
	}
	memcpy(old, r->master_id, HSM_ID);
	memcpy(r->master_id, r->next_id, HSM_ID);
	r->master_version = r->next_version;
	memcpy(r->next_id, old, HSM_ID); /* what is to be retired */
	phase_set(r, r->destroy_old ? "retiring" : "");
	return root_save(h, r);
}

static enum hf_err
rotate_retire(struct hierarchy *h, struct root *r)
{
	enum hf_err err = hsm_object_destroy(h->hsm, ROLE_MASTER, r->next_id);

	if (err != HF_OK)
		return err;
	phase_set(r, "");
	return root_save(h, r);
}

/* Does what is left to do from whatever phase; `changing` is held. */
static enum hf_err
rotate_finish(struct hierarchy *h, uint64_t *done)
{
	struct root r = h->root;
	enum hf_err err;

	if (phase_is(&r, "making") && (err = rotate_make(h, &r)) != HF_OK)
		return err;
	if (phase_is(&r, "rewrapping") &&
	    (err = rotate_rewrap(h, &r, done)) != HF_OK)
		return err;
	if (phase_is(&r, "retiring") && (err = rotate_retire(h, &r)) != HF_OK)
		return err;
	return HF_OK;
}

static enum hf_err
rotate_start(struct hierarchy *h, bool destroy_old)
{
	struct root r = h->root;
	enum hf_err err;

	/* Cut short earlier: go on with that one. Who asks for the old master
	 * to be destroyed must get that. */
	if (!phase_is(&r, "") && (!destroy_old || r.destroy_old))
		return HF_OK;
	if (!phase_is(&r, "")) {
		r.destroy_old = true;
		return root_save(h, &r);
	}
	if ((err = crypto_random(r.next_id, HSM_ID)) != HF_OK)
		return err;
	r.next_version = r.master_version + 1;
	r.destroy_old = destroy_old;
	phase_set(&r, "making");
	return root_save(h, &r);
}

enum hf_err
hierarchy_rotate_master(struct hierarchy *h, bool destroy_old,
    uint64_t *version, uint64_t *keyrings, struct hf_why *why)
{
	enum hf_err err;

	if (!hierarchy_initialized(h))
		return HF_ERR_HSM_UNINITIALIZED;
	if (pthread_mutex_trylock(&h->changing) != 0)
		return HF_ERR_IN_PROGRESS;
	*keyrings = 0;
	err = rotate_start(h, destroy_old);
	if (err == HF_OK)
		err = rotate_finish(h, keyrings);
	*version = h->root.master_version;
	(void)pthread_mutex_unlock(&h->changing);
	if (err != HF_OK)
		return hf_fail(why, err,
		    "the rotation of the master key "
		    "stopped (%s); it goes on at the next call or start",
		    hf_err_sentence(err));
	return HF_OK;
}

/* All that can be opened; the first error of those that cannot. */
static enum hf_err
unlock_all(struct hierarchy *h, struct hf_why *why)
{
	enum hf_err first = HF_OK;

	for (struct keyring *k = h->keyrings; k != NULL; k = k->next) {
		enum hf_err err = keyring_unlock(h, k);

		if (err != HF_OK && first == HF_OK)
			first =
			    hf_fail(why, err, "keyring %s cannot be opened: %s",
				k->info.name, hf_err_sentence(err));
	}
	return first;
}

enum hf_err
hierarchy_unlock(struct hierarchy *h, struct hf_why *why)
{
	uint64_t done = 0;
	enum hf_err err;

	if (!hierarchy_initialized(h))
		return HF_ERR_HSM_UNINITIALIZED;
	if (pthread_mutex_trylock(&h->changing) != 0)
		return hf_fail(why, HF_ERR_IN_PROGRESS,
		    "the keyrings are being changed already");
	if ((err = make_default(h)) != HF_OK)
		(void)hf_fail(why, err, "keyring default cannot be made: %s",
		    hf_err_sentence(err));
	else if ((err = unlock_all(h, why)) == HF_OK &&
	    (err = rotate_finish(h, &done)) != HF_OK)
		(void)hf_fail(why, err,
		    "the rotation of the master key cannot be finished: %s",
		    hf_err_sentence(err));
	(void)pthread_mutex_unlock(&h->changing);
	return err;
}

/* -- Keyrings from outside -- */

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
	if ((err = keyring_store(h, k->id, k->master_id, (struct hf_bytes){ 0 },
		 &info)) != HF_OK)
		return err;
	(void)pthread_rwlock_wrlock(&h->lock);
	k->info = info;
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

/* -- Sealing -- */

static size_t
seal_aad(const uint8_t header[SEAL_HEADER], struct hf_text identity,
    uint8_t out[SEAL_HEADER + 512])
{
	memcpy(out, header, SEAL_HEADER);
	memcpy(out + SEAL_HEADER, identity.ptr, identity.len);
	return SEAL_HEADER + identity.len;
}

static const struct key_type *
seal_type(void)
{
	return key_type_by_id(KEY_AES256_GCM96);
}

enum hf_err
hierarchy_seal(struct hierarchy *h, struct hf_text keyring,
    struct hf_text identity, struct hf_bytes in, uint8_t *out)
{
	uint8_t aad[SEAL_HEADER + 512];
	struct keyring *k;
	size_t aad_len;
	enum hf_err err;

	if (identity.len > 512)
		return HF_ERR_BAD_NAME;
	(void)pthread_rwlock_rdlock(&h->lock);
	k = keyring_find(h, keyring);
	(void)pthread_rwlock_unlock(&h->lock);
	if (k == NULL)
		return HF_ERR_KEYRING_NOT_FOUND;
	if ((err = keyring_unlock(h, k)) != HF_OK)
		return err;
	out[0] = SEAL_FORMAT;
	out[1] = SEAL_AES256_GCM;
	memcpy(out + 2, k->id, HSM_ID);
	put_u32(out + 2 + HSM_ID, 1); /* keyring keys have one version so far */
	aad_len = seal_aad(out, identity, aad);
	if ((err = crypto_random(out + SEAL_HEADER, NONCE)) != HF_OK)
		return err;
	(void)pthread_rwlock_rdlock(&h->lock);
	err = k->key.ptr == NULL
	    ? HF_ERR_KEYRING_NOT_FOUND
	    : crypto_seal(seal_type(), secret_view(&k->key),
		  bytes_of(out + SEAL_HEADER, NONCE), bytes_of(aad, aad_len),
		  in, out + SEAL_HEADER + NONCE);
	(void)pthread_rwlock_unlock(&h->lock);
	return err;
}

enum hf_err
hierarchy_unseal(struct hierarchy *h, struct hf_text identity,
    struct hf_bytes sealed, struct secret *out)
{
	uint8_t aad[SEAL_HEADER + 512];
	AUTO_SECRET plain = { 0 };
	struct keyring *k;
	size_t aad_len;
	enum hf_err err;

	if (identity.len > 512 || sealed.len <= SEAL_EXTRA ||
	    sealed.ptr[0] != SEAL_FORMAT || sealed.ptr[1] != SEAL_AES256_GCM)
		return HF_ERR_STORE_DAMAGED;
	(void)pthread_rwlock_rdlock(&h->lock);
	k = keyring_by_id(h, sealed.ptr + 2);
	(void)pthread_rwlock_unlock(&h->lock);
	if (k == NULL)
		return HF_ERR_STORE_DAMAGED;
	if ((err = keyring_unlock(h, k)) != HF_OK)
		return err;
	if ((err = secret_alloc(&plain, sealed.len - SEAL_EXTRA)) != HF_OK)
		return err;
	aad_len = seal_aad(sealed.ptr, identity, aad);
	(void)pthread_rwlock_rdlock(&h->lock);
	err = k->key.ptr == NULL
	    ? HF_ERR_KEYRING_NOT_FOUND
	    : crypto_open(seal_type(), secret_view(&k->key),
		  bytes_of(sealed.ptr + SEAL_HEADER, NONCE),
		  bytes_of(aad, aad_len),
		  bytes_of(sealed.ptr + SEAL_HEADER + NONCE,
		      sealed.len - SEAL_HEADER - NONCE),
		  plain.ptr);
	(void)pthread_rwlock_unlock(&h->lock);
	if (err == HF_ERR_AUTH_FAILED || err == HF_ERR_BAD_CIPHERTEXT)
		return HF_ERR_STORE_DAMAGED;
	if (err == HF_OK)
		secret_move(out, &plain);
	return err;
}

/* -- Facts -- */

uint64_t
hierarchy_master_version(struct hierarchy *h)
{
	uint64_t v;

	(void)pthread_rwlock_rdlock(&h->lock);
	v = h->root.master_version;
	(void)pthread_rwlock_unlock(&h->lock);
	return v;
}

uint64_t
hierarchy_rotation_pending(struct hierarchy *h)
{
	uint64_t n = 0, target;

	(void)pthread_rwlock_rdlock(&h->lock);
	target =
	    phase_is(&h->root, "making") || phase_is(&h->root, "rewrapping")
	    ? h->root.next_version
	    : h->root.master_version;
	for (struct keyring *k = h->keyrings; k != NULL; k = k->next)
		n += !k->info.destroyed && k->info.master_version != target;
	(void)pthread_rwlock_unlock(&h->lock);
	return n;
}

void
hierarchy_wrap_id(struct hierarchy *h, uint8_t out[HSM_ID])
{
	(void)pthread_rwlock_rdlock(&h->lock);
	memcpy(out, h->root.wrap_id, HSM_ID);
	(void)pthread_rwlock_unlock(&h->lock);
}

void
hierarchy_master_id(struct hierarchy *h, uint8_t out[HSM_ID])
{
	(void)pthread_rwlock_rdlock(&h->lock);
	memcpy(out, h->root.master_id, HSM_ID);
	(void)pthread_rwlock_unlock(&h->lock);
}

void
hierarchy_audit_id(struct hierarchy *h, uint8_t out[HSM_ID])
{
	(void)pthread_rwlock_rdlock(&h->lock);
	memcpy(out, h->root.audit_id, HSM_ID);
	(void)pthread_rwlock_unlock(&h->lock);
}
