/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "../lib/bytes.h"
#include "crypto.h"
#include "hierarchy_internal.h"
#include "log.h"

/*
 * HSMs that join the hierarchy and leave it. What is to happen is written down
 * before it is done, so that whoever comes next goes on with it.
 */

/* -- Joining -- */

/* Whether two HSMs have one and the same wrapping key: a key made in one works
 * in the other. */
static bool
wrap_is_shared(struct link *a, struct link *b, const uint8_t wrap_id[HSM_ID])
{
	const struct key_type *mac = key_type_by_id(KEY_HMAC);
	const struct hash_type *sha256 = hash_sha256();
	struct hsm_key key = { .type = mac };
	uint8_t wrapped[HSM_WRAPPED_MAX], spki[SPKI_MAX], one[64], other[64];
	size_t len = 0, spki_len = 0;
	bool found = false, same;

	if (hsm_object_find(b->hsm, ROLE_WRAP, wrap_id, &found) != HF_OK ||
	    !found || crypto_random(key.id, HSM_ID) != HF_OK)
		return false;
	memcpy(key.wrap_id, wrap_id, HSM_ID);
	if (hsm_key_make(a->hsm, mac, 32, wrap_id, key.id, wrapped, &len, spki,
		&spki_len) != HF_OK)
		return false;
	key.wrapped = bytes_of(wrapped, len);
	same = len > 0 &&
	    hsm_key_hmac(a->hsm, &key, sha256, bytes_of("x", 1), one) ==
		HF_OK &&
	    hsm_key_hmac(b->hsm, &key, sha256, bytes_of("x", 1), other) ==
		HF_OK &&
	    memcmp(one, other, sha256->size) == 0;
	if (hsm_key_drop(a->hsm, &key) != HF_OK ||
	    hsm_key_drop(b->hsm, &key) != HF_OK)
		log_debug("a key of a test stays in the cache of an HSM");
	return same;
}

/* Whether the HSM opens what another one's master key sealed. */
static bool
master_is_shared(
    struct hierarchy *h, struct link *l, const uint8_t master_id[HSM_ID])
{
	struct keyring *k = keyring_find(h, TEXT("default"));
	bool found = false;

	return k != NULL &&
	    hsm_object_find(l->hsm, ROLE_MASTER, master_id, &found) == HF_OK &&
	    found && keyring_verify(h, k, l, master_id) == HF_OK;
}

/* A copy of another HSM's token goes on sharing its keys. */
static void
share_keys(struct hierarchy *h, struct link *l, struct member *m)
{
	for (size_t i = 0; i < h->root.count; i++) {
		const struct member *other = &h->root.members[i];
		struct link *theirs = link_of(h, other->name);

		if (!member_joined(other) || theirs == NULL ||
		    !link_usable(h, theirs))
			continue;
		if (master_is_shared(h, l, other->master_id)) {
			memcpy(m->master_id, other->master_id, HSM_ID);
			m->shares = other->shares;
		}
		if (wrap_is_shared(theirs, l, other->wrap_id))
			memcpy(m->wrap_id, other->wrap_id, HSM_ID);
	}
}

/* Ids are written down before anything bears them. */
static enum hf_err
join_begin(struct hierarchy *h, struct link *l)
{
	struct root r = h->root;
	struct member *m = &r.members[r.count];
	enum hf_err err;

	if ((err = member_new(m, l->name, "joining")) != HF_OK)
		return err;
	m->next_version = root_version(&r);
	share_keys(h, l, m);
	r.count++;
	return root_save(h, &r);
}

static enum hf_err
join_finish(struct hierarchy *h, struct root *r, struct member *m)
{
	struct link *l = link_of(h, m->name);
	struct hsm_info info;
	char label[64];
	enum hf_err err;

	(void)snprintf(label, sizeof(label), "holdfast-master-v%llu",
	    (unsigned long long)m->next_version);
	if ((err = hsm_object_make(l->hsm, ROLE_MASTER, m->master_id, label)) !=
		HF_OK ||
	    (err = hsm_object_make(
		 l->hsm, ROLE_WRAP, m->wrap_id, "holdfast-wrap")) != HF_OK ||
	    (err = hsm_object_make(
		 l->hsm, ROLE_AUDIT, m->audit_id, "holdfast-audit")) != HF_OK ||
	    (err = master_check(l->hsm, m->master_id)) != HF_OK)
		return err;
	m->master_version = m->next_version;
	memset(m->next_id, 0, HSM_ID);
	phase_set(m, "");
	if ((err = root_save(h, r)) != HF_OK)
		return err;
	hsm_info(l->hsm, &info);
	atomic_store(&l->looked, info.generation);
	atomic_store(&l->seen, info.generation);
	return HF_OK;
}

enum hf_err
member_cover(struct hierarchy *h, const char *name, uint64_t *done)
{
	const struct member m = *root_member(&h->root, name);
	struct link *l = link_of(h, name);
	enum hf_err err;

	if (!member_joined(&m) || !link_usable(h, l))
		return HF_OK;
	for (struct keyring *k = h->keyrings; k != NULL; k = k->next) {
		if (k->info.destroyed || keyring_wrapped_by(k, m.master_id))
			continue;
		if ((err = keyring_unlock(h, k)) != HF_OK ||
		    (err = keyring_wrap(h, k, l, m.master_id, m.master_version,
			 NULL)) != HF_OK)
			return err;
		(*done)++;
	}
	return HF_OK;
}

static enum hf_err
add_check(struct hierarchy *h, const char *name, struct hf_why *why)
{
	struct link *l = link_of(h, name);
	const struct member *m = root_member(&h->root, name);
	struct hsm_info info;

	if (l == NULL)
		return hf_fail(why, HF_ERR_NOT_FOUND,
		    "there is no HSM %s in the configuration; give it a block "
		    "hsm \"%s\" in keyd.conf, and restart",
		    name, name);
	if (m != NULL && phase_is(m, "leaving"))
		return hf_fail(
		    why, HF_ERR_IN_PROGRESS, "HSM %s is being removed", name);
	hsm_info(l->hsm, &info);
	if (info.state != HSM_READY)
		return hf_fail(why, HF_ERR_HSM_UNAVAILABLE, "HSM %s is %s%s%s",
		    name, hsm_state_name(info.state),
		    info.reason[0] == '\0' ? "" : ": ", info.reason);
	if (m == NULL && h->root.count == HSM_DEVICES)
		return hf_fail(why, HF_ERR_OUT_OF_BOUNDS,
		    "there are %d HSMs already", HSM_DEVICES);
	return HF_OK;
}

/* `changing` is held. */
static enum hf_err
add_now(struct hierarchy *h, const char *name, uint64_t *keyrings,
    struct hf_why *why)
{
	enum hf_err err = add_check(h, name, why);

	if (err != HF_OK)
		return err;
	if (root_member(&h->root, name) == NULL &&
	    (err = join_begin(h, link_of(h, name))) != HF_OK)
		return err;
	if ((err = member_finish(h, name)) != HF_OK)
		return err;
	return member_cover(h, name, keyrings);
}

/* -- Leaving -- */

/* Whether another HSM has that master key, or is about to. */
static bool
is_anothers(
    const struct root *r, const struct member *m, const uint8_t id[HSM_ID])
{
	for (size_t i = 0; i < r->count; i++) {
		const struct member *other = &r->members[i];

		if (other != m &&
		    (memcmp(other->master_id, id, HSM_ID) == 0 ||
			memcmp(other->next_id, id, HSM_ID) == 0))
			return true;
	}
	return false;
}

/* Forgets what is sealed under a master key that only this one had. */
static enum hf_err
leave_unwrap(struct hierarchy *h, const struct root *r, const struct member *m,
    const uint8_t master_id[HSM_ID])
{
	enum hf_err err;

	if (is_anothers(r, m, master_id))
		return HF_OK;
	for (struct keyring *k = h->keyrings; k != NULL; k = k->next)
		if (!k->info.destroyed &&
		    (err = keyring_drop_wrap(h, k, master_id)) != HF_OK)
			return err;
	return HF_OK;
}

/* Its objects, where that was asked for and its HSM is there. */
static enum hf_err
leave_destroy(struct hierarchy *h, const struct member *m)
{
	struct link *l = link_of(h, m->name);
	enum hf_err err;

	if (!m->destroy_old)
		return HF_OK;
	if (l == NULL)
		return HF_ERR_HSM_UNAVAILABLE;
	if ((err = hsm_object_destroy(l->hsm, ROLE_MASTER, m->master_id)) !=
		HF_OK ||
	    (err = hsm_object_destroy(l->hsm, ROLE_MASTER, m->next_id)) !=
		HF_OK ||
	    (err = hsm_object_destroy(l->hsm, ROLE_WRAP, m->wrap_id)) != HF_OK)
		return err;
	return hsm_object_destroy(l->hsm, ROLE_AUDIT, m->audit_id);
}

static enum hf_err
leave_finish(struct hierarchy *h, struct root *r, struct member *m)
{
	struct link *l = link_of(h, m->name);
	enum hf_err err;

	if ((err = leave_destroy(h, m)) != HF_OK)
		return err;
	if ((err = leave_unwrap(h, r, m, m->master_id)) != HF_OK ||
	    (err = leave_unwrap(h, r, m, m->next_id)) != HF_OK)
		return err;
	r->count--;
	memmove(m, m + 1, (size_t)(r->members + r->count - m) * sizeof(*m));
	if ((err = root_save(h, r)) == HF_OK && l != NULL)
		atomic_store(&l->seen, 0);
	return err;
}

/* Another one that works and has all keyrings. */
static bool
others_suffice(struct hierarchy *h, const char *name, char *lacks, size_t cap)
{
	for (size_t i = 0; i < h->root.count; i++) {
		const struct member *m = &h->root.members[i];
		struct link *l = link_of(h, m->name);
		const struct keyring *k = h->keyrings;

		if (strcmp(m->name, name) == 0 || !member_joined(m) ||
		    l == NULL || !link_usable(h, l))
			continue;
		while (k != NULL &&
		    (k->info.destroyed || keyring_wrapped_by(k, m->master_id)))
			k = k->next;
		if (k == NULL)
			return true;
		(void)snprintf(lacks, cap, "keyring %s is not on HSM %s",
		    k->info.name, m->name);
	}
	return false;
}

static enum hf_err
remove_check(
    struct hierarchy *h, const char *name, bool destroy, struct hf_why *why)
{
	const struct member *m = root_member(&h->root, name);
	struct link *l = link_of(h, name);
	char lacks[200] = "there is no other HSM that works";

	if (m == NULL)
		return hf_fail(why, HF_ERR_NOT_FOUND,
		    "HSM %s is not in the hierarchy", name);
	if (phase_is(m, "leaving"))
		return HF_OK;
	if (h->root.migrate_to[0] != '\0')
		return hf_fail(why, HF_ERR_IN_PROGRESS,
		    "the migration from HSM %s to HSM %s is not finished",
		    h->root.migrate_from, h->root.migrate_to);
	if (!others_suffice(h, name, lacks, sizeof(lacks)))
		return hf_fail(
		    why, HF_ERR_HSM_LAST, "HSM %s cannot go: %s", name, lacks);
	if (destroy && (l == NULL || !link_ready(l)))
		return hf_fail(why, HF_ERR_HSM_UNAVAILABLE,
		    "HSM %s is not there, so its master key cannot be "
		    "destroyed; without destroying it, it can be removed",
		    name);
	return HF_OK;
}

/* `changing` is held. */
static enum hf_err
remove_now(
    struct hierarchy *h, const char *name, bool destroy, struct hf_why *why)
{
	struct root r = h->root;
	struct member *m = root_member(&r, name);
	enum hf_err err = remove_check(h, name, destroy, why);

	if (err != HF_OK)
		return err;
	if (!phase_is(m, "leaving")) {
		phase_set(m, "leaving");
		m->destroy_old = destroy;
		if ((err = root_save(h, &r)) != HF_OK)
			return err;
	}
	return member_finish(h, name);
}

enum hf_err
member_finish(struct hierarchy *h, const char *name)
{
	struct root r = h->root;
	struct member *m = root_member(&r, name);
	struct link *l = link_of(h, name);

	if (m != NULL && phase_is(m, "joining") && l != NULL && link_ready(l))
		return join_finish(h, &r, m);
	if (m != NULL && phase_is(m, "leaving"))
		return leave_finish(h, &r, m);
	return HF_OK;
}

/* -- From one to another -- */

static enum hf_err
verify_all(struct hierarchy *h, const char *name)
{
	const struct member m = *root_member(&h->root, name);
	struct link *l = link_of(h, name);
	enum hf_err err;

	for (struct keyring *k = h->keyrings; k != NULL; k = k->next)
		if (!k->info.destroyed &&
		    (err = keyring_verify(h, k, l, m.master_id)) != HF_OK)
			return err;
	return HF_OK;
}

/* `to` first, `from` on its way out, and nothing left to migrate: one step. */
static enum hf_err
switch_over(struct hierarchy *h)
{
	struct root r = h->root;
	struct member to = *root_member(&r, r.migrate_to);
	struct member *from = root_member(&r, r.migrate_from);
	struct member *at = root_member(&r, r.migrate_to);

	if (from != NULL) {
		phase_set(from, "leaving");
		from->destroy_old = r.migrate_destroy;
	}
	memmove(
	    r.members + 1, r.members, (size_t)(at - r.members) * sizeof(to));
	r.members[0] = to;
	memset(r.migrate_from, 0, sizeof(r.migrate_from));
	memset(r.migrate_to, 0, sizeof(r.migrate_to));
	r.migrate_destroy = false;
	return root_save(h, &r);
}

static enum hf_err
migrate_steps(struct hierarchy *h, uint64_t *done, struct hf_why *why)
{
	char from[HSM_NAME], to[HSM_NAME];
	enum hf_err err;

	memcpy(from, h->root.migrate_from, sizeof(from));
	memcpy(to, h->root.migrate_to, sizeof(to));
	if (to[0] == '\0')
		return HF_OK;
	if ((err = add_now(h, to, done, why)) != HF_OK ||
	    (err = rotate_finish(h, to, done)) != HF_OK ||
	    (err = verify_all(h, to)) != HF_OK ||
	    (err = switch_over(h)) != HF_OK)
		return err;
	log_info("HSM %s is in the place of HSM %s", to, from);
	return member_finish(h, from);
}

enum hf_err
migration_finish(struct hierarchy *h)
{
	struct hf_why why = { "" };
	uint64_t done = 0;
	struct link *to = link_of(h, h->root.migrate_to);

	if (to == NULL || !link_ready(to))
		return HF_OK; /* later */
	return migrate_steps(h, &done, &why);
}

static enum hf_err
migrate_check(struct hierarchy *h, const char *from, const char *to,
    bool destroy, struct hf_why *why)
{
	const struct member *m = root_member(&h->root, from);
	struct link *l = link_of(h, from);

	if (h->root.migrate_to[0] != '\0')
		return strcmp(h->root.migrate_from, from) == 0 &&
			strcmp(h->root.migrate_to, to) == 0
		    ? HF_OK
		    : hf_fail(why, HF_ERR_IN_PROGRESS,
			  "the migration from HSM %s to HSM %s is not finished",
			  h->root.migrate_from, h->root.migrate_to);
	if (strcmp(from, to) == 0)
		return hf_fail(
		    why, HF_ERR_BAD_VALUE, "from and to are the same HSM");
	if (m == NULL)
		return hf_fail(why, HF_ERR_NOT_FOUND,
		    "HSM %s is not in the hierarchy", from);
	if (destroy && (l == NULL || !link_ready(l)))
		return hf_fail(why, HF_ERR_HSM_UNAVAILABLE,
		    "HSM %s is not there, so its master key cannot be "
		    "destroyed",
		    from);
	return add_check(h, to, why);
}

/* `changing` is held. */
static enum hf_err
migrate_now(struct hierarchy *h, const char *from, const char *to, bool destroy,
    uint64_t *keyrings, struct hf_why *why)
{
	const struct member *m = root_member(&h->root, from);
	struct root r = h->root;
	enum hf_err err;

	/* Cut short after the switch: only the leaving is left to do. */
	if (m != NULL && phase_is(m, "leaving"))
		return member_finish(h, from);
	if ((err = migrate_check(h, from, to, destroy, why)) != HF_OK)
		return err;
	if (r.migrate_to[0] == '\0') {
		(void)snprintf(
		    r.migrate_from, sizeof(r.migrate_from), "%s", from);
		(void)snprintf(r.migrate_to, sizeof(r.migrate_to), "%s", to);
		r.migrate_destroy = destroy;
		if ((err = root_save(h, &r)) != HF_OK)
			return err;
	}
	return migrate_steps(h, keyrings, why);
}

/* -- From outside -- */

static enum hf_err
begin(struct hierarchy *h)
{
	if (!hierarchy_initialized(h))
		return HF_ERR_HSM_UNINITIALIZED;
	if (pthread_mutex_trylock(&h->changing) != 0)
		return HF_ERR_IN_PROGRESS;
	links_look(h);
	return HF_OK;
}

static enum hf_err
end(struct hierarchy *h, enum hf_err err, const char *what, struct hf_why *why)
{
	(void)pthread_mutex_unlock(&h->changing);
	if (err == HF_OK || why->text[0] != '\0')
		return err;
	return hf_fail(why, err,
	    "%s stopped (%s); it goes on at the next call or start", what,
	    hf_err_sentence(err));
}

static bool
name_set(char out[HSM_NAME], struct hf_text name)
{
	(void)snprintf(out, HSM_NAME, "%.*s", (int)name.len, name.ptr);
	return name.len < HSM_NAME;
}

enum hf_err
hierarchy_add(struct hierarchy *h, struct hf_text name, uint64_t *keyrings,
    struct hf_why *why)
{
	char device[HSM_NAME];
	enum hf_err err;

	*keyrings = 0;
	if (!name_set(device, name))
		return HF_ERR_BAD_NAME;
	if ((err = begin(h)) != HF_OK)
		return err;
	err = add_now(h, device, keyrings, why);
	return end(h, err, "adding the HSM", why);
}

enum hf_err
hierarchy_remove(
    struct hierarchy *h, struct hf_text name, bool destroy, struct hf_why *why)
{
	char device[HSM_NAME];
	enum hf_err err;

	if (!name_set(device, name))
		return HF_ERR_BAD_NAME;
	if ((err = begin(h)) != HF_OK)
		return err;
	err = remove_now(h, device, destroy, why);
	return end(h, err, "removing the HSM", why);
}

enum hf_err
hierarchy_migrate(struct hierarchy *h, struct hf_text from, struct hf_text to,
    bool destroy, uint64_t *keyrings, struct hf_why *why)
{
	char source[HSM_NAME], target[HSM_NAME];
	enum hf_err err;

	*keyrings = 0;
	if (!name_set(source, from) || !name_set(target, to))
		return HF_ERR_BAD_NAME;
	if ((err = begin(h)) != HF_OK)
		return err;
	err = migrate_now(h, source, target, destroy, keyrings, why);
	return end(h, err, "the migration", why);
}
