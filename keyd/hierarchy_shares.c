/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "../lib/bytes.h"
#include "crypto.h"
#include "hierarchy_internal.h"
#include "share.h"

/*
 * A master key with a backup in shares, and back. It is made outside, so this
 * is the only time that it is outside an HSM: at its birth, and when its shares
 * are put together.
 */

static struct hf_bytes
master_of(struct hf_bytes keys)
{
	return bytes_of(keys.ptr, SHARE_KEYS / 2);
}

static struct hf_bytes
wrap_of(struct hf_bytes keys)
{
	return bytes_of(keys.ptr + SHARE_KEYS / 2, SHARE_KEYS / 2);
}

static enum hf_err
bring_keys(struct hsm *hsm, const struct member *m, uint64_t version,
    struct hf_bytes keys)
{
	char label[64];
	enum hf_err err;

	(void)snprintf(label, sizeof(label), "holdfast-master-v%llu",
	    (unsigned long long)version);
	if ((err = hsm_object_import(hsm, ROLE_MASTER, m->master_id, label,
		 master_of(keys))) != HF_OK ||
	    (err = hsm_object_import(hsm, ROLE_WRAP, m->wrap_id,
		 "holdfast-wrap", wrap_of(keys))) != HF_OK)
		return err;
	return master_check(hsm, m->master_id);
}

/* -- Birth -- */

/* What an initialisation that was cut short has left; nothing is under it. */
static enum hf_err
forget_attempt(struct hsm *hsm, const struct member *m)
{
	enum hf_err err;

	if ((err = hsm_object_destroy(hsm, ROLE_MASTER, m->master_id)) !=
		HF_OK ||
	    (err = hsm_object_destroy(hsm, ROLE_WRAP, m->wrap_id)) != HF_OK)
		return err;
	return hsm_object_destroy(hsm, ROLE_AUDIT, m->audit_id);
}

enum hf_err
hierarchy_forget_attempt(struct hierarchy *h, struct root *r)
{
	enum hf_err err = HF_OK;

	if (r->count > 0)
		err = forget_attempt(h->links[0].hsm, &r->members[0]);
	if (err == HF_OK)
		r->count = 0;
	return err;
}

static enum hf_err
ceremony_begin(struct hierarchy *h, struct root *r)
{
	struct member *m = &r->members[0];
	enum hf_err err;

	/* Never gone on with: the keys are not there a second time. */
	if ((err = hierarchy_forget_attempt(h, r)) != HF_OK ||
	    (err = member_new(m, h->links[0].name, "ceremony")) != HF_OK)
		return err;
	r->count = 1;
	return root_save(h, r);
}

/* `changing` is held. The shares are given out before the key is used for
 * anything, and after it is known to work. */
static enum hf_err
ceremony(struct hierarchy *h, struct hf_bytes keys,
    const struct share_facts *shares, hand_out_fn *hand_out, void *ctx,
    struct hf_why *why)
{
	struct root r = h->root;
	struct member *m = &r.members[0];
	struct hsm *hsm = h->links[0].hsm;
	struct keyring *k;
	enum hf_err err;

	if ((err = ceremony_begin(h, &r)) != HF_OK ||
	    (err = bring_keys(hsm, m, 1, keys)) != HF_OK ||
	    (err = hsm_object_make(
		 hsm, ROLE_AUDIT, m->audit_id, "holdfast-audit")) != HF_OK ||
	    (err = hand_out(ctx, why)) != HF_OK)
		return err;
	m->shares = *shares;
	m->master_version = 1;
	phase_set(m, "");
	if ((err = root_save(h, &r)) != HF_OK)
		return err;
	links_look(h);
	return keyring_make(h, TEXT("default"), &k);
}

enum hf_err
hierarchy_init_shared(struct hierarchy *h, struct hf_bytes keys,
    const struct share_facts *shares, hand_out_fn *hand_out, void *ctx,
    struct hf_why *why)
{
	enum hf_err err;

	if (hierarchy_initialized(h))
		return hf_fail(why, HF_ERR_NAME_TAKEN,
		    "there is a master key already; shares can be made only "
		    "of one that is being made");
	(void)pthread_mutex_lock(&h->changing);
	err = ceremony(h, keys, shares, hand_out, ctx, why);
	(void)pthread_mutex_unlock(&h->changing);
	if (err != HF_OK && why->text[0] == '\0')
		return hf_fail(why, err, "the master key could not be made: %s",
		    hf_err_sentence(err));
	return err;
}

/* -- Return -- */

/* The member whose keys these are. */
static struct member *
member_of_shares(
    struct root *r, const struct share_facts *shares, struct hf_why *why)
{
	bool any = false;

	for (size_t i = 0; i < r->count; i++) {
		struct member *m = &r->members[i];

		if (m->shares.count == 0)
			continue;
		any = true;
		if (memcmp(m->shares.set, shares->set, sizeof(shares->set)) ==
			0 ||
		    memcmp(m->shares.check, shares->check,
			sizeof(shares->check)) == 0)
			return m;
	}
	(void)hf_fail(why, HF_ERR_BAD_VALUE,
	    any ? "the shares are not of the master key of this store"
		: "the master key of this store has no shares: it was born in "
		  "the HSM, or rotated since they were made (a backup of the "
		  "store from before the rotation goes with them)");
	return NULL;
}

/* The proof before anything is changed: they open what is in the store. */
static enum hf_err
keys_open_store(struct hierarchy *h, const struct member *m,
    struct hf_bytes keys, struct hf_why *why)
{
	size_t opened = 0;
	enum hf_err err;

	for (struct keyring *k = h->keyrings; k != NULL; k = k->next) {
		if (k->info.destroyed || !keyring_wrapped_by(k, m->master_id))
			continue;
		err = keyring_open_outside(k, m->master_id, master_of(keys));
		if (err == HF_ERR_AUTH_FAILED)
			return hf_fail(why, HF_ERR_BAD_VALUE,
			    "the shares do not open keyring %s of this store",
			    k->info.name);
		if (err != HF_OK)
			return err;
		opened++;
	}
	if (opened == 0)
		return hf_fail(why, HF_ERR_STORE_DAMAGED,
		    "the store has no keyring under that master key");
	return HF_OK;
}

/* An audit key cannot come back: there is a new one. */
static enum hf_err
audit_key_renew(struct hierarchy *h, struct link *l, const char *name)
{
	struct root r = h->root;
	struct member *m = root_member(&r, name);
	bool found = false;
	enum hf_err err =
	    hsm_object_find(l->hsm, ROLE_AUDIT, m->audit_id, &found);

	if (err != HF_OK || found)
		return err;
	if ((err = crypto_random(m->audit_id, HSM_ID)) != HF_OK ||
	    (err = root_save(h, &r)) != HF_OK)
		return err;
	return hsm_object_make(
	    l->hsm, ROLE_AUDIT, m->audit_id, "holdfast-audit");
}

/* Another HSM, which has the same keys from now on. */
static enum hf_err
join_with_keys(struct hierarchy *h, const struct member *of, struct link *l)
{
	struct root r = h->root;
	struct member *m = &r.members[r.count];
	enum hf_err err;

	if (r.count == HSM_DEVICES)
		return HF_ERR_OUT_OF_BOUNDS;
	*m = *of;
	(void)snprintf(m->name, sizeof(m->name), "%s", l->name);
	if ((err = crypto_random(m->audit_id, HSM_ID)) != HF_OK)
		return err;
	memset(m->next_id, 0, HSM_ID);
	m->next_version = of->master_version;
	m->master_version = 0;
	phase_set(m, "joining");
	r.count++;
	if ((err = root_save(h, &r)) != HF_OK)
		return err;
	return member_finish(h, l->name);
}

/* `changing` is held. */
static enum hf_err
restore(struct hierarchy *h, struct link *l, const struct share_facts *shares,
    struct hf_bytes keys, struct hf_why *why)
{
	struct root r = h->root;
	struct member *of = member_of_shares(&r, shares, why);
	const struct member *there = root_member(&r, l->name);
	enum hf_err err;

	if (of == NULL)
		return HF_ERR_BAD_VALUE;
	if (!phase_is(of, "") || of->master_version == 0)
		return hf_fail(why, HF_ERR_IN_PROGRESS,
		    "a change of HSM %s is under way", of->name);
	if (there != NULL && there != of &&
	    memcmp(there->master_id, of->master_id, HSM_ID) != 0)
		return hf_fail(why, HF_ERR_NAME_TAKEN,
		    "HSM %s has a master key of its own; remove it first",
		    l->name);
	if ((err = keys_open_store(h, of, keys, why)) != HF_OK)
		return err;
	err = bring_keys(l->hsm, of, of->master_version, keys);
	if (err == HF_ERR_NAME_TAKEN)
		return hf_fail(
		    why, err, "the token holds another key under that id");
	if (err != HF_OK)
		return err;
	return there == NULL ? join_with_keys(h, of, l)
			     : audit_key_renew(h, l, l->name);
}

enum hf_err
hierarchy_restore_shared(struct hierarchy *h, const char *device,
    const struct share_facts *shares, struct hf_bytes keys, struct hf_why *why)
{
	struct link *l = link_of(h, device);
	enum hf_err err;

	if (l == NULL)
		return hf_fail(why, HF_ERR_NOT_FOUND,
		    "there is no HSM %s in the configuration", device);
	if (keys.len != SHARE_KEYS)
		return HF_ERR_BAD_INPUT;
	(void)pthread_mutex_lock(&h->changing);
	err = restore(h, l, shares, keys, why);
	(void)pthread_mutex_unlock(&h->changing);
	if (err != HF_OK && why->text[0] == '\0')
		return hf_fail(why, err,
		    "the master key could not be restored: %s",
		    hf_err_sentence(err));
	return err;
}
