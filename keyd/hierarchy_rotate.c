/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "../lib/bytes.h"
#include "crypto.h"
#include "hierarchy_internal.h"
#include "log.h"

/*
 * Each HSM gets a new master key of its own, when it is there: one that is away
 * is left in phase "making" and follows when it is back.
 */

static bool
is_shared(const struct root *r, const struct member *of)
{
	for (size_t i = 0; i < r->count; i++)
		if (&r->members[i] != of &&
		    memcmp(r->members[i].master_id, of->master_id, HSM_ID) == 0)
			return true;
	return false;
}

static enum hf_err
rotate_make(struct hierarchy *h, struct root *r, struct member *m)
{
	struct hsm *hsm = link_of(h, m->name)->hsm;
	char label[64];
	enum hf_err err;

	(void)snprintf(label, sizeof(label), "holdfast-master-v%llu",
	    (unsigned long long)m->next_version);
	if ((err = hsm_object_make(hsm, ROLE_MASTER, m->next_id, label)) !=
		HF_OK ||
	    (err = master_check(hsm, m->next_id)) != HF_OK)
		return err;
	phase_set(m, "rewrapping");
	return root_save(h, r);
}

static enum hf_err
rotate_rewrap(
    struct hierarchy *h, struct root *r, struct member *m, uint64_t *done)
{
	struct link *l = link_of(h, m->name);
	const uint8_t *instead = is_shared(r, m) ? NULL : m->master_id;
	uint8_t old[HSM_ID];
	enum hf_err err;

	for (struct keyring *k = h->keyrings; k != NULL; k = k->next) {
		if (k->info.destroyed || keyring_wrapped_by(k, m->next_id))
			continue;
		if ((err = keyring_unlock(h, k)) != HF_OK ||
		    (err = keyring_wrap(h, k, l, m->next_id, m->next_version,
			 instead)) != HF_OK)
			return err;
		(*done)++;
	}
	memcpy(old, m->master_id, HSM_ID);
	memcpy(m->master_id, m->next_id, HSM_ID);
	m->master_version = m->next_version;
	memcpy(m->next_id, old, HSM_ID); /* what is to be retired */
	/* Shares are of the master key that was. */
	m->shares = (struct share_facts){ .count = 0 };
	phase_set(m, m->destroy_old ? "retiring" : "");
	return root_save(h, r);
}

static enum hf_err
rotate_retire(struct hierarchy *h, struct root *r, struct member *m)
{
	enum hf_err err = hsm_object_destroy(
	    link_of(h, m->name)->hsm, ROLE_MASTER, m->next_id);

	if (err != HF_OK)
		return err;
	phase_set(m, "");
	return root_save(h, r);
}

enum hf_err
rotate_finish(struct hierarchy *h, const char *name, uint64_t *done)
{
	struct root r = h->root;
	struct member *m = root_member(&r, name);
	enum hf_err err;

	if (phase_is(m, "making") && (err = rotate_make(h, &r, m)) != HF_OK)
		return err;
	if (phase_is(m, "rewrapping") &&
	    (err = rotate_rewrap(h, &r, m, done)) != HF_OK)
		return err;
	if (phase_is(m, "retiring") && (err = rotate_retire(h, &r, m)) != HF_OK)
		return err;
	return HF_OK;
}

static bool
is_rotating(const struct member *m)
{
	return phase_is(m, "making") || phase_is(m, "rewrapping") ||
	    phase_is(m, "retiring");
}

/* A rotation that was cut short goes on; where none was, one begins. */
static enum hf_err
rotate_start(struct hierarchy *h, bool destroy_old)
{
	struct root r = h->root;
	uint64_t version = root_version(&r) + 1;
	bool begins = false, changed = false;
	enum hf_err err;

	for (size_t i = 0; i < r.count; i++) {
		struct member *m = &r.members[i];

		if (!member_joined(m) || !phase_is(m, ""))
			continue;
		if ((err = crypto_random(m->next_id, HSM_ID)) != HF_OK)
			return err;
		m->next_version = version;
		m->destroy_old = destroy_old;
		phase_set(m, "making");
		begins = changed = true;
	}
	for (size_t i = 0; i < r.count; i++) {
		struct member *m = &r.members[i];

		/* Who asks for the old master to be destroyed must get that. */
		if (is_rotating(m) && destroy_old && !m->destroy_old)
			m->destroy_old = changed = true;
		/* One that is behind goes all the way at once. */
		if (phase_is(m, "making") && begins)
			m->next_version = version;
	}
	return changed ? root_save(h, &r) : HF_OK;
}

static enum hf_err
rotate_all(struct hierarchy *h, bool destroy_old, uint64_t *keyrings)
{
	enum hf_err err = rotate_start(h, destroy_old), first = HF_OK;

	if (err != HF_OK)
		return err;
	for (size_t i = 0; i < h->root.count; i++) {
		struct link *l = link_of(h, h->root.members[i].name);

		if (!is_rotating(&h->root.members[i]))
			continue;
		/* The only one is waited for. */
		if (l == NULL || (h->link_count > 1 && !link_usable(h, l)))
			continue;
		err = rotate_finish(h, l->name, keyrings);
		if (err != HF_OK && h->link_count > 1)
			log_warning("the new master key of HSM %s waits: %s",
			    l->name, hf_err_sentence(err));
		/* One that goes away meanwhile does not speak for all. */
		if (first == HF_OK && l == link_active(h))
			first = err;
	}
	return first;
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
	links_look(h);
	err = rotate_all(h, destroy_old, keyrings);
	*version = root_version(&h->root);
	(void)pthread_mutex_unlock(&h->changing);
	if (err != HF_OK)
		return hf_fail(why, err,
		    "the rotation of the master key "
		    "stopped (%s); it goes on at the next call or start",
		    hf_err_sentence(err));
	return HF_OK;
}

/* The master key that it is to have. */
static const uint8_t *
target(const struct member *m)
{
	return phase_is(m, "making") || phase_is(m, "rewrapping")
	    ? m->next_id
	    : m->master_id;
}

uint64_t
hierarchy_rotation_pending(struct hierarchy *h)
{
	uint64_t n = 0;

	(void)pthread_rwlock_rdlock(&h->lock);
	for (struct keyring *k = h->keyrings; k != NULL; k = k->next) {
		bool old = false;

		for (size_t i = 0; i < h->root.count; i++) {
			const struct member *m = &h->root.members[i];

			old = old ||
			    (is_rotating(m) &&
				!keyring_wrapped_by(k, target(m)));
		}
		n += !k->info.destroyed && old;
	}
	(void)pthread_rwlock_unlock(&h->lock);
	return n;
}
