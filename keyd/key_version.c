/* SPDX-License-Identifier: Apache-2.0 */
/* The states of key versions, and their destruction when it is due. */
#include "keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/bytes.h"
#include "../lib/name.h"
#include "change.h"
#include "key_use.h"
#include "log.h"
#include "sealed_record.h"

/* -- States of versions -- */

enum hf_err
keys_version_read(struct keys *keys, const struct key *key, uint64_t number,
    struct secret *plain, struct version_record *rec, struct hf_why *why)
{
	char name[KEY_STORE_NAME];
	uint64_t revision;
	enum hf_err err;

	if (key_version_find(key, number) == NULL)
		return hf_fail(why, HF_ERR_VERSION_NOT_FOUND,
		    "key %s has no version %llu", key->name,
		    (unsigned long long)number);
	version_store_name(key->id, (uint32_t)number, name);
	err = sealed_record_load(keys->store, keys->hierarchy, text_of(name),
	    &version_schema, plain, rec, &revision);
	return err == HF_ERR_NOT_FOUND ? HF_ERR_VERSION_NOT_FOUND : err;
}

void
keys_due_name(
    uint64_t when, const char *key, uint64_t version, char out[KEY_STORE_NAME])
{
	(void)snprintf(out, KEY_STORE_NAME, "due/%016llx/%06llx/%s",
	    (unsigned long long)when, (unsigned long long)version, key);
}

/* One move between states: from which, to which. */
struct move {
	const char *name;
	unsigned from; /* bits of 1 << enum version_state */
	enum version_state to;
};

enum {
	FROM_ENABLED = 1 << VERSION_ENABLED,
	FROM_DISABLED = 1 << VERSION_DISABLED,
	FROM_SCHEDULED = 1 << VERSION_DESTROY_SCHEDULED,
};

static const struct move move_enable = { "enabled",
	FROM_ENABLED | FROM_DISABLED, VERSION_ENABLED };
static const struct move move_disable = { "disabled",
	FROM_ENABLED | FROM_DISABLED, VERSION_DISABLED };
static const struct move move_schedule = { "scheduled for destruction",
	FROM_ENABLED | FROM_DISABLED | FROM_SCHEDULED,
	VERSION_DESTROY_SCHEDULED };
static const struct move move_restore = { "restored", FROM_SCHEDULED,
	VERSION_DISABLED };
static const struct move move_destroy = { "destroyed", FROM_SCHEDULED,
	VERSION_DESTROYED };

static const char *const state_names[] = {
	[VERSION_ENABLED] = "enabled",
	[VERSION_DISABLED] = "disabled",
	[VERSION_DESTROY_SCHEDULED] = "scheduled for destruction",
	[VERSION_DESTROYED] = "destroyed",
};

struct move_ctx {
	const struct move *move;
	uint64_t version;
	uint64_t when;  /* schedule: the time; destroy: not before */
	uint64_t since; /* schedule: not when it was used since; 0: whenever */
};

void
keys_version_drop_hsm(struct keys *keys, const struct key_version *v)
{
	if (v == NULL || v->level != LEVEL_HSM || v->hsm_blob == NULL)
		return;
	if (hsm_key_drop(
		hierarchy_hsm_of_key(keys->hierarchy, &v->hsm, v->hsm_home),
		&v->hsm) != HF_OK ||
	    (v->hsm_hmac.type != NULL &&
		hsm_key_drop(hierarchy_hsm_of_key(
				 keys->hierarchy, &v->hsm_hmac, v->hsm_home),
		    &v->hsm_hmac) != HF_OK))
		log_warning("an HSM key of a version that is gone could not be "
			    "destroyed: nothing refers to it any more");
}

static enum hf_err
move_commit(struct keys *keys, const struct key *key,
    struct version_record *rec, const struct move_ctx *mc)
{
	struct change c = { .keys = keys };
	struct key_record krec = key_record_of(key);
	char ver[KEY_STORE_NAME], due[KEY_STORE_NAME];
	uint64_t old_due =
	    rec->state == VERSION_DESTROY_SCHEDULED ? rec->destroy_time : 0;
	enum hf_err err = HF_OK;

	rec->state = mc->move->to;
	if (mc->move->to == VERSION_DESTROYED) {
		keys_destroying(keys);
		rec->material = rec->hmac = rec->hsm_wrapped =
		    rec->hsm_hmac_wrapped = (struct hf_bytes){ 0 };
		rec->destroy_time = mc->when;
	} else {
		rec->destroy_time =
		    mc->move->to == VERSION_DESTROY_SCHEDULED ? mc->when : 0;
	}
	if (old_due != 0) {
		keys_due_name(old_due, key->name, mc->version, due);
		err = change_delete(&c, due);
	}
	if (err == HF_OK && mc->move->to == VERSION_DESTROY_SCHEDULED) {
		keys_due_name(mc->when, key->name, mc->version, due);
		err = change_mark(&c, due);
	}
	version_store_name(key->id, (uint32_t)mc->version, ver);
	if (err == HF_OK &&
	    (err = change_seal(&c, key->keyring, ver, &version_schema, rec)) ==
		HF_OK &&
	    (err = change_key_record(&c, key, &krec)) == HF_OK)
		err = change_commit(&c);
	change_free(&c);
	return err;
}

static enum hf_err
once_move(
    struct keys *keys, const struct key *key, void *ctx, struct hf_why *why)
{
	const struct move_ctx *mc = ctx;
	AUTO_SECRET plain = { 0 };
	struct version_record rec;
	enum hf_err err;

	if ((err = keys_version_read(
		 keys, key, mc->version, &plain, &rec, why)) != HF_OK)
		return err;
	if ((mc->move->from & 1U << rec.state) == 0)
		return hf_fail(why, HF_ERR_VERSION_STATE,
		    "version %llu of key %s is %s and cannot be %s",
		    (unsigned long long)mc->version, key->name,
		    state_names[rec.state], mc->move->name);
	if (mc->move->to == VERSION_DESTROYED && rec.destroy_time > mc->when)
		return HF_ERR_VERSION_STATE; /* restored and scheduled anew */
	if ((err = key_use_check(
		 key, mc->version, mc->version + 1, mc->since, why)) != HF_OK)
		return err;
	err = move_commit(keys, key, &rec, mc);
	if (err == HF_OK && mc->move->to == VERSION_DESTROYED)
		keys_version_drop_hsm(keys, key_version_find(key, mc->version));
	return err;
}

static enum hf_err
version_move(struct keys *keys, struct hf_text name, const struct move *move,
    uint64_t version, uint64_t when, struct key **out, struct hf_why *why)
{
	struct move_ctx mc = { move, version, when, 0 };

	return keys_until_done(keys, name, once_move, &mc, out, why);
}

enum hf_err
keys_version_enable(struct keys *keys, struct hf_text name, uint64_t version,
    struct key **out, struct hf_why *why)
{
	return version_move(keys, name, &move_enable, version, 0, out, why);
}

enum hf_err
keys_version_disable(struct keys *keys, struct hf_text name, uint64_t version,
    struct key **out, struct hf_why *why)
{
	return version_move(keys, name, &move_disable, version, 0, out, why);
}

enum hf_err
keys_version_destroy(struct keys *keys, struct hf_text name, uint64_t version,
    uint64_t delay, uint64_t since, struct key **out, struct hf_why *why)
{
	struct move_ctx mc = { &move_schedule, version,
		(uint64_t)time(NULL) + delay, since };

	return keys_until_done(keys, name, once_move, &mc, out, why);
}

enum hf_err
keys_version_restore(struct keys *keys, struct hf_text name, uint64_t version,
    struct key **out, struct hf_why *why)
{
	return version_move(keys, name, &move_restore, version, 0, out, why);
}

/* -- Destruction that is due -- */

/* What a mark says: due/<16 hex digits>/<6 hex digits>/<name of the key>. */
struct due_mark {
	char stored[KEY_STORE_NAME];
	uint64_t when, version;
	const char *name; /* in `stored` */
};

/* Lower-case hexadecimal digits and a slash; false for anything else. */
static bool
read_hex(const char *p, size_t digits, uint64_t *out)
{
	static const char alphabet[] = "0123456789abcdef";

	*out = 0;
	for (size_t i = 0; i < digits; i++) {
		const char *at = p[i] == '\0' ? NULL : strchr(alphabet, p[i]);

		if (at == NULL)
			return false;
		*out = *out << 4 | (uint64_t)(at - alphabet);
	}
	return p[digits] == '/';
}

/* False: nobody here wrote that. */
static bool
due_read(struct hf_text key, struct due_mark *out)
{
	enum {
		AT_TIME = 4,
		AT_VERSION = AT_TIME + 17,
		AT_NAME = AT_VERSION + 7
	};

	*out = (struct due_mark){ .name = out->stored + AT_NAME };
	if (key.len >= sizeof(out->stored))
		return false;
	memcpy(out->stored, key.ptr, key.len);
	return key.len > AT_NAME &&
	    read_hex(out->stored + AT_TIME, 16, &out->when) &&
	    read_hex(out->stored + AT_VERSION, 6, &out->version) &&
	    name_valid(text_of(out->name));
}

enum { DUE_AT_ONCE = 64 };

struct due {
	struct due_mark marks[DUE_AT_ONCE];
	size_t count;
	uint64_t now;
	uint64_t next; /* the first that is not due yet; 0: none */
};

static bool
due_each(
    void *ctx, struct hf_text key, struct hf_bytes value, uint64_t revision)
{
	struct due *d = ctx;
	struct due_mark mark;

	(void)value;
	(void)revision;
	if (!due_read(key, &mark)) {
		log_warning("the store has a mark of destruction that makes "
			    "no sense; it is passed over");
		return true;
	}
	if (mark.when > d->now) {
		d->next = mark.when;
		return false;
	}
	if (d->count == DUE_AT_ONCE) {
		d->next = d->now; /* come again at once */
		return false;
	}
	d->marks[d->count] = mark;
	d->marks[d->count].name =
	    d->marks[d->count].stored + (mark.name - mark.stored);
	d->count++;
	return true;
}

/* Destroys what one mark names; the mark goes even when there is nothing. */
static enum hf_err
due_destroy(struct keys *keys, const struct due_mark *mark, uint64_t now)
{
	enum hf_err err = version_move(keys, text_of(mark->name), &move_destroy,
	    mark->version, now, NULL, NULL);

	if (err != HF_ERR_VERSION_STATE && err != HF_ERR_VERSION_NOT_FOUND &&
	    err != HF_ERR_KEY_NOT_FOUND && err != HF_ERR_KEYRING_NOT_FOUND)
		return err;
	return store_commit(keys->store, NULL, 0,
	    &(struct store_write){ text_of(mark->stored), { NULL, 0 } }, 1,
	    NULL);
}

/* Whether there is something to destroy, or only a mark left over. */
static bool
due_is_real(struct keys *keys, const struct due_mark *mark)
{
	const struct key_version *v;
	struct key *key;
	bool real;

	if (keys_load(keys, text_of(mark->name), &key) != HF_OK)
		return false;
	v = key_version_find(key, mark->version);
	real = v != NULL && v->state == VERSION_DESTROY_SCHEDULED;
	key_unref(key);
	return real;
}

enum hf_err
keys_destroy_due(struct keys *keys, uint64_t now, const struct due_watch *watch,
    uint64_t *next)
{
	struct due *d = calloc(1, sizeof(*d));
	enum hf_err first, err;

	if (d == NULL)
		return HF_ERR_NO_MEMORY;
	d->now = now;
	first = store_list(
	    keys->store, TEXT("due/"), (struct hf_text){ 0 }, 0, due_each, d);
	/* One that cannot be destroyed now does not keep the others. */
	for (size_t i = 0; i < d->count; i++) {
		const struct due_mark *m = &d->marks[i];
		bool real = due_is_real(keys, m);

		err = real ? watch->before(watch->ctx, m->name, m->version)
			   : HF_OK;
		if (err == HF_OK) {
			err = due_destroy(keys, m, now);
			if (real)
				watch->after(
				    watch->ctx, m->name, m->version, err);
		}
		if (first == HF_OK)
			first = err;
	}
	*next = d->next;
	free(d);
	return first;
}
