/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "../lib/bytes.h"
#include "hierarchy_internal.h"
#include "record.h"

enum { ROOT_BYTES = 4096, ROOT_ARENA = 8192 };

struct hf_bytes
id_view(const uint8_t id[HSM_ID])
{
	return bytes_of(id, HSM_ID);
}

void
id_set(uint8_t to[HSM_ID], struct hf_bytes from)
{
	memset(to, 0, HSM_ID);
	if (from.ptr != NULL && from.len == HSM_ID)
		memcpy(to, from.ptr, HSM_ID);
}

bool
phase_is(const struct member *m, const char *phase)
{
	return strcmp(m->phase, phase) == 0;
}

void
phase_set(struct member *m, const char *phase)
{
	(void)snprintf(m->phase, sizeof(m->phase), "%s", phase);
}

enum hf_err
member_new(struct member *m, const char *name, const char *phase)
{
	enum hf_err err;

	*m = (struct member){ .master_version = 0 };
	if ((err = crypto_random(m->master_id, HSM_ID)) != HF_OK ||
	    (err = crypto_random(m->wrap_id, HSM_ID)) != HF_OK ||
	    (err = crypto_random(m->audit_id, HSM_ID)) != HF_OK)
		return err;
	(void)snprintf(m->name, sizeof(m->name), "%s", name);
	phase_set(m, phase);
	return HF_OK;
}

struct member *
root_member(struct root *r, const char *name)
{
	for (size_t i = 0; i < r->count; i++)
		if (strcmp(r->members[i].name, name) == 0)
			return &r->members[i];
	return NULL;
}

bool
member_joined(const struct member *m)
{
	return m->master_version > 0 && !phase_is(m, "leaving");
}

uint64_t
root_version(const struct root *r)
{
	uint64_t version = 0;

	for (size_t i = 0; i < r->count; i++)
		if (member_joined(&r->members[i]) &&
		    r->members[i].master_version > version)
			version = r->members[i].master_version;
	return version;
}

/* -- From and to the store -- */

static void
text_set(char *to, size_t cap, struct hf_text from)
{
	(void)snprintf(
	    to, cap, "%.*s", (int)from.len, from.ptr == NULL ? "" : from.ptr);
}

static void
shares_set(struct share_facts *to, const struct member_record *rec)
{
	*to = (struct share_facts){ .threshold = (unsigned)rec->share_threshold,
		.count = (unsigned)rec->share_count };
	if (rec->share_set.len == sizeof(to->set))
		memcpy(to->set, rec->share_set.ptr, sizeof(to->set));
	if (rec->share_check.len == sizeof(to->check))
		memcpy(to->check, rec->share_check.ptr, sizeof(to->check));
}

static void
member_set(struct member *m, const struct member_record *rec)
{
	text_set(m->name, sizeof(m->name), rec->name);
	id_set(m->master_id, rec->master_id);
	id_set(m->wrap_id, rec->wrap_id);
	id_set(m->audit_id, rec->audit_id);
	id_set(m->next_id, rec->next_id);
	m->master_version = rec->master_version;
	m->next_version = rec->next_version;
	m->destroy_old = rec->destroy_old;
	text_set(m->phase, sizeof(m->phase), rec->phase);
	shares_set(&m->shares, rec);
}

/* The first format knew one HSM, without a name: it is the first configured
 * one. */
static void
root_set_first_format(
    struct root *r, const struct root_record *rec, const char *name)
{
	struct member_record only = {
		.name = text_of(name),
		.master_id = rec->master_id,
		.master_version = rec->master_version,
		.wrap_id = rec->wrap_id,
		.audit_id = rec->audit_id,
		.phase = rec->phase,
		.next_id = rec->next_id,
		.next_version = rec->next_version,
		.destroy_old = rec->destroy_old,
	};

	member_set(&r->members[r->count++], &only);
}

static enum hf_err
root_decode(struct hierarchy *h, struct hf_bytes value, struct root *r)
{
	struct root_record rec;
	struct arena *arena;
	enum hf_err err = arena_new(ROOT_ARENA, ROOT_ARENA, &arena);

	if (err != HF_OK)
		return err;
	err = record_decode_list(&root_schema, value, arena, &rec);
	if (err == HF_OK && rec.members_count == 0 && rec.wrap_id.ptr == NULL)
		err = HF_ERR_STORE_DAMAGED;
	if (err == HF_OK && rec.members_count == 0) {
		root_set_first_format(r, &rec, h->links[0].name);
	} else if (err == HF_OK) {
		for (size_t i = 0; i < rec.members_count; i++)
			member_set(&r->members[r->count++], &rec.members[i]);
		text_set(
		    r->migrate_from, sizeof(r->migrate_from), rec.migrate_from);
		text_set(r->migrate_to, sizeof(r->migrate_to), rec.migrate_to);
		r->migrate_destroy = rec.migrate_destroy;
	}
	arena_free(arena);
	return err;
}

enum hf_err
root_load(struct hierarchy *h)
{
	struct store_value v = { 0 };
	struct root r = { 0 };
	enum hf_err err = store_get(h->store, TEXT("hsm/root"), &v);

	if (err == HF_ERR_NOT_FOUND)
		return HF_OK;
	if (err != HF_OK)
		return err;
	err = root_decode(h, bytes_of(v.ptr, v.len), &r);
	r.revision = v.revision;
	store_value_free(&v);
	/* One here and one there: whatever it was called before. */
	if (r.count == 1 && h->link_count == 1)
		memcpy(r.members[0].name, h->links[0].name, HSM_NAME);
	if (err == HF_OK) {
		(void)pthread_rwlock_wrlock(&h->lock);
		h->root = r;
		(void)pthread_rwlock_unlock(&h->lock);
	}
	return err;
}

static struct member_record
member_record_of(const struct member *m)
{
	struct member_record rec = {
		.name = text_of(m->name),
		.master_id = id_view(m->master_id),
		.master_version = m->master_version,
		.wrap_id = id_view(m->wrap_id),
		.audit_id = id_view(m->audit_id),
		.phase = text_of(m->phase),
		.next_id = id_view(m->next_id),
		.next_version = m->next_version,
		.destroy_old = m->destroy_old,
	};

	if (m->shares.count > 0) {
		rec.share_set = bytes_of(m->shares.set, sizeof(m->shares.set));
		rec.share_check =
		    bytes_of(m->shares.check, sizeof(m->shares.check));
		rec.share_threshold = m->shares.threshold;
		rec.share_count = m->shares.count;
	}
	return rec;
}

enum hf_err
root_save(struct hierarchy *h, struct root *next)
{
	struct member_record members[HSM_DEVICES];
	struct root_record rec = { .members = members,
		.members_count = next->count,
		.migrate_from = text_of(next->migrate_from),
		.migrate_to = text_of(next->migrate_to),
		.migrate_destroy = next->migrate_destroy };
	struct store_cond cond = { TEXT("hsm/root"), h->root.revision };
	uint8_t buf[ROOT_BYTES];
	size_t len;
	enum hf_err err;

	for (size_t i = 0; i < next->count; i++)
		members[i] = member_record_of(&next->members[i]);
	if ((err = record_encode(&root_schema, &rec, buf, sizeof(buf), &len)) !=
	    HF_OK)
		return err;
	err = store_commit(h->store, &cond, 1,
	    &(struct store_write){ TEXT("hsm/root"), bytes_of(buf, len) }, 1,
	    &next->revision);
	if (err != HF_OK) {
		/* It may have been made all the same: memory follows. */
		(void)root_load(h);
		return err;
	}
	(void)pthread_rwlock_wrlock(&h->lock);
	h->root = *next;
	(void)pthread_rwlock_unlock(&h->lock);
	return HF_OK;
}
