/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../lib/bytes.h"
#include "hierarchy_internal.h"
#include "log.h"

/*
 * Several HSMs can do the same: the first in the order of preference that is
 * there does it. Away from one is at once, back to one that is preferred only
 * when it has been there for a while, so that an HSM that comes and goes does
 * not take the others along.
 */

enum {
	WAIT_BESIDE_MS = 250, /* for one HSM while another is there */
};

struct link *
link_of(struct hierarchy *h, const char *name)
{
	for (size_t i = 0; i < h->link_count; i++)
		if (strcmp(h->links[i].name, name) == 0)
			return &h->links[i];
	return NULL;
}

bool
link_ready(struct link *l)
{
	struct hsm_info info;

	hsm_info(l->hsm, &info);
	return info.state == HSM_READY;
}

bool
link_usable(struct hierarchy *h, struct link *l)
{
	struct hsm_info info;

	hsm_info(l->hsm, &info);
	/* The only one is used as it is: nobody else could be instead. */
	if (h->link_count == 1)
		return info.state == HSM_READY || info.state == HSM_INCOMPLETE;
	return info.state == HSM_READY &&
	    info.generation == atomic_load(&l->seen);
}

/* Members with a link, in order of preference; before there are any, the first
 * of the configuration. */
static size_t
candidates(struct hierarchy *h, struct link *out[HSM_DEVICES])
{
	size_t n = 0;

	(void)pthread_rwlock_rdlock(&h->lock);
	for (size_t i = 0; i < h->root.count; i++) {
		const struct member *m = &h->root.members[i];
		struct link *l = link_of(h, m->name);

		if (member_joined(m) && l != NULL)
			out[n++] = l;
	}
	(void)pthread_rwlock_unlock(&h->lock);
	if (n == 0)
		out[n++] = &h->links[0];
	return n;
}

static bool
is_steady(struct hierarchy *h, struct link *l)
{
	struct hsm_info info;

	hsm_info(l->hsm, &info);
	return link_usable(h, l) &&
	    info.since + h->return_seconds <= (uint64_t)time(NULL);
}

static struct link *
choose(struct hierarchy *h, struct link *now)
{
	struct link *c[HSM_DEVICES];
	size_t n = candidates(h, c);
	bool listed = false;

	for (size_t i = 0; i < n; i++)
		listed = listed || c[i] == now;
	if (!listed)
		now = NULL;
	if (now != NULL && link_usable(h, now))
		return now != c[0] && is_steady(h, c[0]) ? c[0] : now;
	for (size_t i = 0; i < n; i++)
		if (link_usable(h, c[i]))
			return c[i];
	return now != NULL ? now : c[0];
}

struct link *
link_active(struct hierarchy *h)
{
	struct link *before, *now;

	if (h->link_count == 1)
		return &h->links[0];
	(void)pthread_mutex_lock(&h->choosing);
	before = h->active;
	now = h->active = choose(h, before);
	(void)pthread_mutex_unlock(&h->choosing);
	if (before != NULL && now != before)
		log_warning(
		    "HSM %s works now instead of %s", now->name, before->name);
	return now;
}

unsigned
hierarchy_returns_in(struct hierarchy *h)
{
	struct link *c[HSM_DEVICES], *now = link_active(h);
	uint64_t clock = (uint64_t)time(NULL), at;
	struct hsm_info info;

	(void)candidates(h, c);
	if (c[0] == now || !link_usable(h, c[0]))
		return 0;
	hsm_info(c[0]->hsm, &info);
	at = info.since + h->return_seconds;
	return at > clock ? (unsigned)(at - clock) : 1;
}

size_t
links_working(struct hierarchy *h, struct link *out[HSM_DEVICES])
{
	struct link *c[HSM_DEVICES];
	size_t n = candidates(h, c), count = 0;

	out[count++] = link_active(h);
	for (size_t i = 0; i < n; i++)
		if (c[i] != out[0] && link_usable(h, c[i]))
			out[count++] = c[i];
	return count;
}

bool
link_member(struct hierarchy *h, const struct link *l, struct member *out)
{
	const struct member *m;

	(void)pthread_rwlock_rdlock(&h->lock);
	m = root_member(&h->root, l->name);
	if (m != NULL)
		*out = *m;
	(void)pthread_rwlock_unlock(&h->lock);
	return m != NULL;
}

/* -- Is it the one that it should be? -- */

/* The block in the configuration has another name now. */
static void
member_rename(struct hierarchy *h, const char *from, const char *to)
{
	struct root r = h->root;
	struct member *m = root_member(&r, from);

	log_info("HSM %s is called %s now", from, to);
	(void)snprintf(m->name, sizeof(m->name), "%s", to);
	if (root_save(h, &r) != HF_OK)
		log_warning("that could not be written down");
}

static bool
holds_master(struct link *l, const struct member *m)
{
	bool found = false;

	return hsm_object_find(l->hsm, ROLE_MASTER, m->master_id, &found) ==
	    HF_OK &&
	    found;
}

/* A member that no block of the configuration is about, and whose master key
 * this HSM holds. */
static const struct member *
member_lost(struct hierarchy *h, struct link *l)
{
	for (size_t i = 0; i < h->root.count; i++) {
		const struct member *m = &h->root.members[i];

		if (link_of(h, m->name) == NULL && m->master_version > 0 &&
		    holds_master(l, m))
			return m;
	}
	return NULL;
}

static void
link_look(struct hierarchy *h, struct link *l, uint64_t generation)
{
	const struct member *m = root_member(&h->root, l->name);

	if (m == NULL && (m = member_lost(h, l)) != NULL) {
		member_rename(h, m->name, l->name);
		m = root_member(&h->root, l->name);
	}
	atomic_store(&l->looked, generation);
	if (m == NULL || !member_joined(m))
		return; /* not in the hierarchy: not yet, or no more */
	if (holds_master(l, m))
		atomic_store(&l->seen, generation);
	else if (h->link_count > 1)
		log_error("HSM %s does not hold its master key: it is the "
			  "wrong token, or the key was removed; it is not used",
		    l->name);
}

void
links_look(struct hierarchy *h)
{
	for (size_t i = 0; i < h->link_count; i++) {
		struct link *l = &h->links[i];
		struct hsm_info info;

		hsm_info(l->hsm, &info);
		if (info.state == HSM_READY &&
		    atomic_load(&l->looked) != info.generation)
			link_look(h, l, info.generation);
	}
}

/* -- For those who use HSMs -- */

void
hierarchy_active(struct hierarchy *h, struct hierarchy_device *out)
{
	struct link *l = link_active(h);
	struct member m = { 0 };

	*out = (struct hierarchy_device){ .name = l->name, .hsm = l->hsm };
	(void)link_member(h, l, &m);
	memcpy(out->master_id, m.master_id, HSM_ID);
	memcpy(out->wrap_id, m.wrap_id, HSM_ID);
	memcpy(out->audit_id, m.audit_id, HSM_ID);
}

struct hsm *
hierarchy_hsm(struct hierarchy *h)
{
	return link_active(h)->hsm;
}

/* Another one would do as well. */
static bool
is_away(enum hf_err err)
{
	return err == HF_ERR_HSM_UNAVAILABLE || err == HF_ERR_TIMEOUT ||
	    err == HF_ERR_HSM_STUCK || err == HF_ERR_HSM_PIN ||
	    err == HF_ERR_HSM_UNSUITABLE;
}

/* Whoever notices that an HSM is gone does not wait for it to come back when
 * there is another. */
enum hf_err
hierarchy_random(struct hierarchy *h, uint8_t *out, size_t len)
{
	struct link *working[HSM_DEVICES];
	size_t n = links_working(h, working);
	enum hf_err err = HF_ERR_HSM_UNAVAILABLE;

	for (size_t i = 0; i + 1 < n && is_away(err); i++)
		err = hsm_random_within(
		    working[i]->hsm, out, len, WAIT_BESIDE_MS);
	return is_away(err) ? hsm_random(working[n - 1]->hsm, out, len) : err;
}

typedef bool holds_fn(const struct member *m, const uint8_t id[HSM_ID]);

/* One that works among those that hold it; else one that holds it. */
static struct link *
link_holding(struct hierarchy *h, const uint8_t id[HSM_ID], holds_fn *holds)
{
	struct link *active = link_active(h), *found = NULL;
	struct root r;

	(void)pthread_rwlock_rdlock(&h->lock);
	r = h->root;
	(void)pthread_rwlock_unlock(&h->lock);
	for (size_t i = 0; i < r.count; i++) {
		struct link *l = link_of(h, r.members[i].name);

		if (l == NULL || !holds(&r.members[i], id))
			continue;
		if (l == active)
			return l;
		if (found == NULL || link_usable(h, l))
			found = l;
	}
	return found;
}

static bool
holds_wrap(const struct member *m, const uint8_t id[HSM_ID])
{
	return memcmp(m->wrap_id, id, HSM_ID) == 0;
}

static bool
holds_audit(const struct member *m, const uint8_t id[HSM_ID])
{
	return memcmp(m->audit_id, id, HSM_ID) == 0;
}

static bool
is_master(const struct member *m, const uint8_t id[HSM_ID])
{
	return memcmp(m->master_id, id, HSM_ID) == 0 ||
	    memcmp(m->next_id, id, HSM_ID) == 0;
}

static struct link *
link_of_key(
    struct hierarchy *h, const struct hsm_key *key, const uint8_t home[HSM_ID])
{
	static const uint8_t unknown[HSM_ID];
	struct link *l = NULL;

	/* What is resident is where it was born, whoever else could unwrap. */
	if (key->wrapped.len == 0 && memcmp(home, unknown, HSM_ID) != 0)
		l = link_holding(h, home, holds_audit);
	return l != NULL ? l : link_holding(h, key->wrap_id, holds_wrap);
}

struct hsm *
hierarchy_hsm_of_key(
    struct hierarchy *h, const struct hsm_key *key, const uint8_t home[HSM_ID])
{
	struct link *l = link_of_key(h, key, home);

	return l != NULL ? l->hsm : hierarchy_hsm(h);
}

enum hf_err
hierarchy_open_sealed(struct hierarchy *h, const uint8_t master_id[HSM_ID],
    struct hf_bytes aad, struct hf_bytes in, struct secret *out)
{
	struct link *holder = link_holding(h, master_id, is_master);
	struct link *working[HSM_DEVICES];
	size_t n = links_working(h, working);
	enum hf_err err;

	if (holder != NULL)
		return hsm_open_sealed(holder->hsm, master_id, aad, in, out);
	/* A master of before: one of them may hold it still. */
	for (size_t i = 0; i < n; i++) {
		err = hsm_open_sealed(working[i]->hsm, master_id, aad, in, out);
		if (err != HF_ERR_HSM_UNINITIALIZED)
			return err;
	}
	return HF_ERR_HSM_UNINITIALIZED;
}

/* As members have it: also of one that is not configured now. */
size_t
hierarchy_holders(struct hierarchy *h, const struct hsm_key *key,
    const uint8_t home[HSM_ID], char out[HSM_DEVICES][HSM_NAME])
{
	static const uint8_t unknown[HSM_ID];
	bool resident =
	    key->wrapped.len == 0 && memcmp(home, unknown, HSM_ID) != 0;
	size_t n = 0;

	(void)pthread_rwlock_rdlock(&h->lock);
	for (size_t i = 0; i < h->root.count; i++) {
		const struct member *m = &h->root.members[i];

		if (m->master_version > 0 &&
		    (resident ? holds_audit(m, home)
			      : holds_wrap(m, key->wrap_id)))
			(void)snprintf(out[n++], HSM_NAME, "%s", m->name);
	}
	(void)pthread_rwlock_unlock(&h->lock);
	return n;
}

/* -- Facts -- */

static bool
member_has(const struct member *m, const struct keyring *k)
{
	return keyring_wrapped_by(k, m->master_id) ||
	    (phase_is(m, "rewrapping") && keyring_wrapped_by(k, m->next_id));
}

static size_t
keyrings_of(struct hierarchy *h, const struct member *m, size_t *missing)
{
	size_t has = 0;

	*missing = 0;
	for (const struct keyring *k = h->keyrings; k != NULL; k = k->next) {
		bool wrapped = member_has(m, k);

		if (k->info.destroyed)
			continue;
		has += wrapped;
		*missing += !wrapped;
	}
	return has;
}

static void
facts_of_member(
    struct hierarchy *h, const struct member *m, struct hierarchy_facts *out)
{
	out->in_hierarchy = true;
	(void)snprintf(out->phase, sizeof(out->phase), "%s", m->phase);
	memcpy(out->master_id, m->master_id, HSM_ID);
	memcpy(out->audit_id, m->audit_id, HSM_ID);
	out->master_version = m->master_version;
	out->shares = m->shares;
	out->keyrings = keyrings_of(h, m, &out->missing);
}

size_t
hierarchy_devices(
    struct hierarchy *h, struct hierarchy_facts out[2 * HSM_DEVICES])
{
	struct link *active = link_active(h);
	size_t n = 0;

	memset(out, 0, 2 * HSM_DEVICES * sizeof(out[0]));
	(void)pthread_rwlock_rdlock(&h->lock);
	for (size_t i = 0; i < h->root.count; i++, n++) {
		const struct member *m = &h->root.members[i];
		struct link *l = link_of(h, m->name);

		(void)snprintf(out[n].name, HSM_NAME, "%s", m->name);
		out[n].hsm = l == NULL ? NULL : l->hsm;
		out[n].active = l == active;
		facts_of_member(h, m, &out[n]);
	}
	for (size_t i = 0; i < h->link_count; i++) {
		struct link *l = &h->links[i];

		if (root_member(&h->root, l->name) != NULL)
			continue;
		(void)snprintf(out[n].name, HSM_NAME, "%s", l->name);
		out[n].active = l == active;
		out[n++].hsm = l->hsm;
	}
	(void)pthread_rwlock_unlock(&h->lock);
	for (size_t i = 0; i < n; i++) {
		struct link *l = link_of(h, out[i].name);

		out[i].usable = l != NULL && link_usable(h, l);
	}
	return n;
}

/* The first keyring that a member lacks; lock is held. */
static const struct keyring *
lacking(struct hierarchy *h, const struct member *m)
{
	for (const struct keyring *k = h->keyrings; k != NULL; k = k->next)
		if (!k->info.destroyed && !member_has(m, k))
			return k;
	return NULL;
}

bool
hierarchy_degraded(struct hierarchy *h, char *out, size_t cap)
{
	bool found = false;

	(void)pthread_rwlock_rdlock(&h->lock);
	for (size_t i = 0; i < h->root.count && !found; i++) {
		const struct member *m = &h->root.members[i];
		const struct keyring *k = lacking(h, m);

		if (k == NULL || !member_joined(m))
			continue;
		(void)snprintf(out, cap, "keyring %s is not on device %s",
		    k->info.name, m->name);
		found = true;
	}
	(void)pthread_rwlock_unlock(&h->lock);
	return found;
}

static bool
member_has_work(struct hierarchy *h, const struct member *m)
{
	struct link *l = link_of(h, m->name);
	bool ready = l != NULL && link_ready(l);

	if (phase_is(m, "init") || phase_is(m, "ceremony"))
		return false; /* somebody has to call for that */
	if (phase_is(m, "leaving"))
		return ready || !m->destroy_old;
	return ready && (!phase_is(m, "") || lacking(h, m) != NULL);
}

bool
hierarchy_has_work(struct hierarchy *h)
{
	struct link *to;
	bool work = false;

	for (size_t i = 0; i < h->link_count && h->link_count > 1; i++) {
		struct hsm_info info;

		hsm_info(h->links[i].hsm, &info);
		work = work ||
		    (info.state == HSM_READY &&
			info.generation != atomic_load(&h->links[i].looked));
	}
	(void)pthread_rwlock_rdlock(&h->lock);
	for (size_t i = 0; i < h->root.count; i++)
		work = work || member_has_work(h, &h->root.members[i]);
	to = link_of(h, h->root.migrate_to);
	work = work || (to != NULL && link_ready(to));
	(void)pthread_rwlock_unlock(&h->lock);
	return work;
}
