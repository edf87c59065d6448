/* SPDX-License-Identifier: Apache-2.0 */
#include "upkeep.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../lib/bytes.h"
#include "key_plan.h"
#include "key_use.h"
#include "keys.h"
#include "log.h"

enum { LATER = 60 /* seconds: after something failed */ };

enum hf_err
upkeep_note(struct server *s, const struct upkeep_note *note)
{
	struct audit_line line;
	char buf[1024];
	uint64_t ticket;
	enum hf_err err;

	audit_line_start(&line, buf, sizeof(buf),
	    note->result == NULL ? "scheduled" : "scheduled_response");
	audit_line_text(&line, "op", text_of(note->op));
	audit_line_text(&line, "by", TEXT("service"));
	audit_line_text(&line, "name", text_of(note->name));
	if (note->version != 0)
		audit_line_uint(&line, "version", note->version);
	if (note->reason != NULL)
		audit_line_text(&line, "reason", text_of(note->reason));
	if (note->result != NULL)
		audit_line_text(&line, "result", text_of(note->result));
	if ((err = audit_append(s->audit, &line, &ticket)) != HF_OK)
		return err;
	return audit_flush(s->audit, ticket, true);
}

static void
note_outcome(struct server *s, const struct upkeep_note *note, enum hf_err err)
{
	struct upkeep_note after = *note;

	after.result = hf_err_name(err);
	if (upkeep_note(s, &after) != HF_OK)
		log_error("what was done to key %s (%s) has no outcome in the "
			  "audit log",
		    note->name, note->op);
}

/* -- Rotation -- */

static enum hf_err
rotate(struct server *s, const struct key *key, const char *reason,
    struct hf_why *why)
{
	const struct upkeep_note note = { .op = "key.rotate",
		.name = key->name,
		.version = key->latest + 1,
		.reason = reason };
	enum hf_err err = upkeep_note(s, &note);

	if (err != HF_OK)
		return err; /* no trace, no work */
	err = keys_rotate_from(
	    s->keys, text_of(key->name), key->latest, NULL, why);
	note_outcome(s, &note, err);
	if (err != HF_OK)
		return err;
	log_info("key %s was rotated: %s", key->name, reason);
	server_event(s, "key.rotated", key->name);
	return HF_OK;
}

static enum hf_err
renew_now(struct server *s, struct hf_text name, struct hf_why *why)
{
	struct key *key;
	const struct key_version *v;
	enum hf_err err = keys_get(s->keys, name, true, &key);

	if (err != HF_OK)
		return err;
	v = key_version_find(key, key->latest);
	/* Somebody else may have done it. */
	if (v != NULL && usage_taken(v->usage) >= key->use_limit)
		err = rotate(s, key, "use_limit", why);
	key_unref(key);
	return err;
}

enum hf_err
upkeep_renew(struct server *s, const struct key *key, struct hf_why *why)
{
	const struct key_version *v = key_version_find(key, key->latest);
	enum hf_err err;

	if (v == NULL || key->passing ||
	    usage_taken(v->usage) < key->use_limit ||
	    (key->primary != 0 && key->primary != key->latest))
		return hf_fail(why, HF_ERR_KEY_EXHAUSTED,
		    "the version of key %s that is asked for was used %llu "
		    "times, as often as it may be; use a newer one",
		    key->name, (unsigned long long)key->use_limit);
	(void)pthread_mutex_lock(&s->renewing);
	err = renew_now(s, text_of(key->name), why);
	(void)pthread_mutex_unlock(&s->renewing);
	if (err == HF_ERR_BAD_CONFIG || err == HF_ERR_KEY_DELETED)
		return hf_fail(why, HF_ERR_KEY_EXHAUSTED,
		    "version %lu of key %s was used %llu times, as often as it "
		    "may be, and the key cannot be rotated",
		    (unsigned long)key->latest, key->name,
		    (unsigned long long)key->use_limit);
	return err;
}

/* -- Versions that retire -- */

struct retirement {
	uint32_t min;        /* min_decryption_version as it is to be */
	uint64_t not_before; /* the next attempt; 0: it is planned anew */
};

static enum hf_err
retire_change(void *ctx, const struct key *key, struct key_record *rec,
    struct hf_why *why)
{
	const struct retirement *r = ctx;

	(void)key;
	(void)why;
	if (r->min > rec->min_decryption_version)
		rec->min_decryption_version = r->min;
	if (rec->min_encryption_version != 0 &&
	    rec->min_encryption_version < rec->min_decryption_version)
		rec->min_encryption_version = rec->min_decryption_version;
	rec->retire_not_before = r->not_before;
	return HF_OK;
}

/* The first version below `target` that is in use; `target` if none is. */
static uint32_t
retire_up_to(const struct key *key, uint32_t target, uint64_t since)
{
	for (size_t i = 0; i < key->count; i++) {
		const struct key_version *v = &key->versions[i];
		struct key_use use;

		if (v->number < key->min_decryption || v->number >= target)
			continue;
		if (v->state == VERSION_ENABLED &&
		    key_use_lately(v, since, &use))
			return v->number;
	}
	return target;
}

static enum hf_err
retire(struct server *s, const struct key *key, uint32_t target, uint64_t now)
{
	uint64_t since = now > s->lately ? now - s->lately : 0;
	struct retirement r = { .min = s->lately == 0
		    ? target
		    : retire_up_to(key, target, since) };
	const struct upkeep_note note = { .op = "key.config",
		.name = key->name,
		.version = r.min,
		.reason = "auto_retire" };
	enum hf_err err;

	if (r.min < target)
		r.not_before = now + PLAN_AGAIN;
	if (r.min > key->min_decryption &&
	    (err = upkeep_note(s, &note)) != HF_OK)
		return err;
	err = keys_change(
	    s->keys, text_of(key->name), retire_change, &r, NULL, NULL);
	if (r.min > key->min_decryption) {
		note_outcome(s, &note, err);
		if (err == HF_OK)
			server_event(s, "key.retired", key->name);
	}
	if (err == HF_OK && r.min < target) {
		log_info("key %s: version %lu is due to retire, but in use",
		    key->name, (unsigned long)r.min);
		server_event(s, "key.retire_held", key->name);
	}
	return err;
}

/* -- What is due -- */

static enum hf_err
replan(void *ctx, const struct key *key, struct key_record *rec,
    struct hf_why *why)
{
	(void)ctx;
	(void)key;
	(void)rec;
	(void)why;
	return HF_OK; /* writing the record plans anew */
}

static enum hf_err
tend(struct server *s, const struct key *key, uint64_t now)
{
	struct hf_why why = { "" };
	uint32_t target = plan_retires(key, now);
	enum hf_err err;

	if (plan_rotates(key, now)) {
		err = rotate(s, key, "auto_rotate_period", &why);
		if (err != HF_OK)
			log_warning("key %s is due to be rotated: %s",
			    key->name,
			    why.text[0] != '\0' ? why.text
						: hf_err_sentence(err));
		return err;
	}
	if (target > key->min_decryption)
		return retire(s, key, target, now);
	return keys_change(
	    s->keys, text_of(key->name), replan, NULL, NULL, NULL);
}

/* plan/<16 hex digits>/<name> */
struct mark {
	char stored[KEY_STORE_NAME];
	uint64_t when;
	struct hf_text name; /* in `stored` */
	bool found;
};

static bool
mark_each(
    void *ctx, struct hf_text key, struct hf_bytes value, uint64_t revision)
{
	enum { AT_TIME = 5, AT_NAME = AT_TIME + 17 };
	struct mark *m = ctx;
	uint8_t when[8];

	(void)value;
	(void)revision;
	if (key.len <= AT_NAME || key.len >= sizeof(m->stored) ||
	    !hex_decode(
		(struct hf_text){ key.ptr + AT_TIME, 16 }, when, sizeof(when)))
		return true; /* nobody here wrote that */
	memcpy(m->stored, key.ptr, key.len);
	m->stored[key.len] = '\0';
	m->when = get_u64(when);
	m->name = (struct hf_text){ m->stored + AT_NAME, key.len - AT_NAME };
	m->found = true;
	return false;
}

/* The key of a mark, or a mark that is left over of one. */
static enum hf_err
mark_tend(struct server *s, const struct mark *m, uint64_t now)
{
	struct key *key = NULL;
	enum hf_err err = keys_get(s->keys, m->name, true, &key);

	if (err != HF_OK && err != HF_ERR_KEY_NOT_FOUND &&
	    err != HF_ERR_KEYRING_NOT_FOUND)
		return err;
	if (err == HF_OK && text_is(m->name, key->name) &&
	    key->next_due == m->when)
		err = tend(s, key, now);
	else
		err = store_commit(s->store, NULL, 0,
		    &(struct store_write){ text_of(m->stored), { NULL, 0 } }, 1,
		    NULL);
	key_unref(key);
	return err;
}

void
upkeep_step(struct server *s, struct upkeep *u, uint64_t now, uint64_t *next)
{
	struct mark m = { .found = false };
	struct hf_text from = { 0 };
	enum hf_err err;

	if (u->after[0] != '\0')
		from = text_of(u->after);
	err = store_list(s->store, TEXT("plan/"), from, 0, mark_each, &m);
	if (err == HF_OK && m.found && m.when <= now) {
		*next = now; /* there may be more */
		if (mark_tend(s, &m, now) == HF_OK)
			return;
		u->failed = true;
		memcpy(u->after, m.stored, sizeof(u->after));
		return;
	}
	*next = m.found ? m.when : 0;
	if (u->failed || err != HF_OK)
		*next = now + LATER;
	*u = (struct upkeep){ .failed = false };
}
