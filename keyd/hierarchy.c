/* SPDX-License-Identifier: Apache-2.0 */
#include "hierarchy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/bytes.h"
#include "crypto.h"
#include "hierarchy_internal.h"
#include "log.h"

enum {
	SEAL_FORMAT = 1,
	SEAL_AES256_GCM = 1,
	NONCE = 12,
	RETURN_SECONDS = 30,
};

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

static struct hierarchy *
hierarchy_new(
    struct store *store, const struct hierarchy_link *links, size_t count)
{
	struct hierarchy *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	h->store = store;
	h->return_seconds = RETURN_SECONDS;
	for (size_t i = 0; i < count && i < HSM_DEVICES; i++) {
		struct link *l = &h->links[h->link_count++];

		(void)snprintf(l->name, sizeof(l->name), "%s", links[i].name);
		l->hsm = links[i].hsm;
	}
	lock_init(&h->lock);
	lock_init(&h->held);
	(void)pthread_mutex_init(&h->changing, NULL);
	(void)pthread_mutex_init(&h->choosing, NULL);
	return h;
}

enum hf_err
hierarchy_open_links(struct store *store, const struct hierarchy_link *links,
    size_t count, struct hierarchy **out, struct hf_why *why)
{
	struct hierarchy *h = hierarchy_new(store, links, count);
	enum hf_err err;

	if (h == NULL)
		return HF_ERR_NO_MEMORY;
	if ((err = root_load(h)) == HF_OK)
		err = keyrings_load(h);
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

enum hf_err
hierarchy_open(struct store *store, struct hsm *hsm, struct hierarchy **out,
    struct hf_why *why)
{
	return hierarchy_open_links(
	    store, &(struct hierarchy_link){ "hsm", hsm }, 1, out, why);
}

void
hierarchy_set_return(struct hierarchy *h, unsigned seconds)
{
	h->return_seconds = seconds;
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
	(void)pthread_rwlock_destroy(&h->held);
	(void)pthread_rwlock_destroy(&h->lock);
	(void)pthread_mutex_destroy(&h->changing);
	(void)pthread_mutex_destroy(&h->choosing);
	free(h);
}

bool
hierarchy_initialized(struct hierarchy *h)
{
	return hierarchy_master_version(h) > 0;
}

/* -- Initialisation -- */

enum hf_err
master_check(struct hsm *hsm, const uint8_t id[HSM_ID])
{
	uint8_t sealed[KEYRING_SEALED];
	AUTO_SECRET sample = { 0 };
	AUTO_SECRET opened = { 0 };
	enum hf_err err;

	if ((err = secret_alloc(&sample, KEYRING_KEY)) != HF_OK ||
	    (err = seal_and_try(
		 hsm, id, bytes_of("check", 5), &sample, sealed)) != HF_OK)
		return err;
	err = hsm_open_sealed(hsm, id, bytes_of("other", 5),
	    bytes_of(sealed, sizeof(sealed)), &opened);
	if (err == HF_OK)
		return HF_ERR_HSM_UNSUITABLE;
	return err == HF_ERR_AUTH_FAILED ? HF_OK : err;
}

/* Ids are written down before anything bears them. */
static enum hf_err
init_begin(struct hierarchy *h, struct root *r)
{
	struct member *m = &r->members[0];
	enum hf_err err;

	if ((err = member_new(m, h->links[0].name, "init")) != HF_OK)
		return err;
	r->count = 1;
	return root_save(h, r);
}

static enum hf_err
init_root(struct hierarchy *h)
{
	struct root r = h->root;
	struct member *m = &r.members[0];
	struct hsm *hsm = h->links[0].hsm;
	enum hf_err err;

	/* The keys of a ceremony that did not end are gone. */
	if (r.count > 0 && phase_is(m, "ceremony") &&
	    (err = hierarchy_forget_attempt(h, &r)) != HF_OK)
		return err;
	if (r.count == 0 && (err = init_begin(h, &r)) != HF_OK)
		return err;
	if (!phase_is(m, "init"))
		return HF_OK;
	if ((err = hsm_object_make(hsm, ROLE_MASTER, m->master_id,
		 "holdfast-master-v1")) != HF_OK ||
	    (err = hsm_object_make(
		 hsm, ROLE_WRAP, m->wrap_id, "holdfast-wrap")) != HF_OK ||
	    (err = hsm_object_make(
		 hsm, ROLE_AUDIT, m->audit_id, "holdfast-audit")) != HF_OK ||
	    (err = master_check(hsm, m->master_id)) != HF_OK)
		return err;
	m->master_version = 1;
	phase_set(m, "");
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

/* `changing` is held. */
static enum hf_err
check_again(struct hierarchy *h)
{
	struct hierarchy_device d;

	links_look(h);
	hierarchy_active(h, &d);
	return master_check(d.hsm, d.master_id);
}

enum hf_err
hierarchy_init(struct hierarchy *h, struct hf_why *why)
{
	bool before = hierarchy_initialized(h);
	enum hf_err err;

	(void)pthread_mutex_lock(&h->changing);
	err = before ? check_again(h) : init_root(h);
	if (err == HF_OK) {
		links_look(h);
		err = make_default(h);
	}
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

/* -- Unlocking -- */

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

/* What one HSM cannot do now does not keep the others from it: only the one
 * that works has a say in whether all is well. */
static enum hf_err
finish_member(struct hierarchy *h, const char *name, struct hf_why *why)
{
	struct link *l = link_of(h, name);
	uint64_t done = 0;
	enum hf_err err;

	if ((err = member_finish(h, name)) == HF_OK &&
	    root_member(&h->root, name) != NULL && l != NULL && link_ready(l) &&
	    (err = rotate_finish(h, name, &done)) == HF_OK)
		err = member_cover(h, name, &done);
	if (err == HF_OK)
		return HF_OK;
	(void)hf_fail(why, err,
	    "what is under way on HSM %s cannot be finished: %s", name,
	    hf_err_sentence(err));
	if (h->link_count == 1 || l == link_active(h))
		return err;
	log_warning("%s", why->text);
	why->text[0] = '\0';
	return HF_OK;
}

static enum hf_err
finish_all(struct hierarchy *h, struct hf_why *why)
{
	const struct root r = h->root; /* members may go meanwhile */
	enum hf_err err, first = HF_OK;

	for (size_t i = 0; i < r.count; i++) {
		err = finish_member(h, r.members[i].name, why);
		if (first == HF_OK)
			first = err;
	}
	if ((err = migration_finish(h)) != HF_OK)
		log_warning("the migration from HSM %s to HSM %s waits: %s",
		    h->root.migrate_from, h->root.migrate_to,
		    hf_err_sentence(err));
	return first;
}

enum hf_err
hierarchy_unlock(struct hierarchy *h, struct hf_why *why)
{
	enum hf_err err;

	if (!hierarchy_initialized(h))
		return HF_ERR_HSM_UNINITIALIZED;
	if (pthread_mutex_trylock(&h->changing) != 0)
		return hf_fail(why, HF_ERR_IN_PROGRESS,
		    "the keyrings are being changed already");
	links_look(h);
	if ((err = make_default(h)) != HF_OK)
		(void)hf_fail(why, err, "keyring default cannot be made: %s",
		    hf_err_sentence(err));
	else if ((err = unlock_all(h, why)) == HF_OK)
		err = finish_all(h, why);
	(void)pthread_mutex_unlock(&h->changing);
	return err;
}

/* -- Sealing -- */

static size_t
seal_aad(const uint8_t header[SEAL_HEADER], struct hf_text identity,
    uint8_t out[SEAL_HEADER + SEAL_IDENTITY_MAX])
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
	uint8_t aad[SEAL_HEADER + SEAL_IDENTITY_MAX];
	struct keyring *k;
	size_t aad_len;
	enum hf_err err;

	if (identity.len > SEAL_IDENTITY_MAX)
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
	uint8_t aad[SEAL_HEADER + SEAL_IDENTITY_MAX];
	AUTO_SECRET plain = { 0 };
	struct keyring *k;
	size_t aad_len;
	enum hf_err err;

	if (identity.len > SEAL_IDENTITY_MAX || sealed.len <= SEAL_EXTRA ||
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

/* -- Holding -- */

void
hierarchy_hold(struct hierarchy *h)
{
	(void)pthread_rwlock_rdlock(&h->held);
}

void
hierarchy_hold_alone(struct hierarchy *h)
{
	(void)pthread_rwlock_wrlock(&h->held);
}

void
hierarchy_release(struct hierarchy *h)
{
	(void)pthread_rwlock_unlock(&h->held);
}

/* -- Facts -- */

uint64_t
hierarchy_master_version(struct hierarchy *h)
{
	uint64_t v;

	(void)pthread_rwlock_rdlock(&h->lock);
	v = root_version(&h->root);
	(void)pthread_rwlock_unlock(&h->lock);
	return v;
}

void
hierarchy_wrap_id(struct hierarchy *h, uint8_t out[HSM_ID])
{
	struct hierarchy_device d;

	hierarchy_active(h, &d);
	memcpy(out, d.wrap_id, HSM_ID);
}

void
hierarchy_audit_id(struct hierarchy *h, uint8_t out[HSM_ID])
{
	struct hierarchy_device d;

	hierarchy_active(h, &d);
	memcpy(out, d.audit_id, HSM_ID);
}
