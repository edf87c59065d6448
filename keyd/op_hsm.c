/* SPDX-License-Identifier: Apache-2.0 */
/* The HSMs: status, the probe, master keys, HSMs that come and go. */
#include <stdio.h>
#include <string.h>

#include "../lib/bytes.h"
#include "handlers.h"
#include "keys.h"
#include "op_sys.h"
#include "server.h"
#include "wrapping_key.h"

/* -- Status -- */

/* What an HSM does, in a word. */
static const char *
device_role(const struct hierarchy_facts *f)
{
	if (!f->in_hierarchy)
		return "not in the hierarchy";
	if (f->phase[0] != '\0')
		return f->phase;
	return f->active ? "active" : f->usable ? "standby" : "away";
}

static enum hf_err
show_shares(
    struct request *rq, const struct share_facts *shares, struct hf_text *out)
{
	char hex[2 * sizeof(shares->set) + 1], text[64];

	if (shares->count == 0)
		return HF_OK;
	hex_encode(shares->set, sizeof(shares->set), hex);
	(void)snprintf(text, sizeof(text), "%s, %u of %u", hex,
	    shares->threshold, shares->count);
	return sys_text(rq, text, out);
}

static enum hf_err
show_device(struct request *rq, const struct hierarchy_facts *f,
    struct hf_hsm_device *out)
{
	struct hsm_info info = { .reason = "not in the configuration" };
	uint8_t *id = request_alloc(rq, HSM_ID);
	enum hf_err err;

	if (id == NULL)
		return HF_ERR_NO_MEMORY;
	memcpy(id, f->master_id, HSM_ID);
	if (f->hsm != NULL)
		hsm_info(f->hsm, &info);
	*out = (struct hf_hsm_device){
		.state = f->hsm == NULL ? TEXT("absent")
					: text_of(hsm_state_name(info.state)),
		.since = info.since,
		.master_version = f->master_version,
		.keyrings = f->keyrings,
		.missing = f->missing,
	};
	if (f->in_hierarchy)
		out->master_id = bytes_of(id, HSM_ID);
	if ((err = sys_text(rq, f->name, &out->name)) != HF_OK ||
	    (err = sys_text(rq, device_role(f), &out->role)) != HF_OK ||
	    (err = sys_text(rq, info.reason, &out->reason)) != HF_OK ||
	    (err = sys_text(rq, info.token, &out->token)) != HF_OK ||
	    (err = sys_text(rq, info.serial, &out->serial)) != HF_OK)
		return err;
	return show_shares(rq, &f->shares, &out->shares);
}

static enum hf_err
show_devices(struct request *rq, struct hf_hsm_status_out *out)
{
	struct hierarchy_facts rows[2 * HSM_DEVICES];
	size_t n = hierarchy_devices(rq->server->hierarchy, rows);
	enum hf_err err;

	out->devices = arena_array(rq->arena, n, sizeof(*out->devices));
	if (out->devices == NULL)
		return HF_ERR_NO_MEMORY;
	for (size_t i = 0; i < n; i++)
		if ((err = show_device(rq, &rows[i], &out->devices[i])) !=
		    HF_OK)
			return err;
	out->devices_count = n;
	return HF_OK;
}

enum hf_err
op_hsm_status(struct request *rq, const struct hf_empty *in,
    struct hf_hsm_status_out *out)
{
	struct server *s = rq->server;
	struct hsm_info info;
	enum hf_err err;

	(void)in;
	hsm_info(hierarchy_hsm(s->hierarchy), &info);
	*out = (struct hf_hsm_status_out){
		.state = text_of(hsm_state_name(info.state)),
		.since = info.since,
		.generation = info.generation,
		.sessions = info.sessions,
		.master_version = hierarchy_master_version(s->hierarchy),
		.rotation_pending = hierarchy_rotation_pending(s->hierarchy),
	};
	if ((err = sys_text(rq, info.reason, &out->reason)) != HF_OK ||
	    (err = sys_text(rq, info.module, &out->module)) != HF_OK ||
	    (err = sys_text(rq, info.token, &out->token)) != HF_OK ||
	    (err = sys_text(rq, info.serial, &out->serial)) != HF_OK ||
	    (err = sys_text(rq, info.manufacturer, &out->manufacturer)) !=
		HF_OK)
		return err;
	if ((err = sys_text(rq, info.model, &out->model)) != HF_OK)
		return err;
	return show_devices(rq, out);
}

static enum hf_err
show_probe(struct request *rq, const struct hsm_probe *probe,
    struct hf_hsm_probe_out *out)
{
	enum hf_err err;

	out->mechanisms =
	    arena_array(rq->arena, probe->count, sizeof(*out->mechanisms));
	out->quirks =
	    arena_array(rq->arena, probe->quirk_count, sizeof(*out->quirks));
	if (out->mechanisms == NULL || out->quirks == NULL)
		return HF_ERR_NO_MEMORY;
	for (size_t i = 0; i < probe->count; i++) {
		const struct hsm_probe_row *row = &probe->rows[i];
		struct hf_mechanism *m = &out->mechanisms[i];

		if ((err = sys_text(rq, row->name, &m->name)) != HF_OK ||
		    (err = sys_text(rq, row->use, &m->use)) != HF_OK ||
		    (err = sys_text(rq, row->result, &m->result)) != HF_OK ||
		    (err = sys_text(rq, row->note, &m->note)) != HF_OK)
			return err;
	}
	out->mechanisms_count = probe->count;
	for (size_t i = 0; i < probe->quirk_count; i++)
		if ((err = sys_text(rq, probe->quirks[i], &out->quirks[i])) !=
		    HF_OK)
			return err;
	out->quirks_count = probe->quirk_count;
	return sys_text(rq, probe->token, &out->token);
}

enum hf_err
op_hsm_probe(
    struct request *rq, const struct hf_empty *in, struct hf_hsm_probe_out *out)
{
	struct hsm_probe probe;
	enum hf_err err;

	(void)in;
	if ((err = hsm_probe_run(
		 hierarchy_hsm(rq->server->hierarchy), &probe)) != HF_OK)
		return err;
	err = show_probe(rq, &probe, out);
	hsm_probe_free(&probe);
	return err;
}

/* A new master key is born in the HSM: nobody has shares of it. */
static enum hf_err
shares_check(struct request *rq, bool drop)
{
	struct hierarchy_facts rows[2 * HSM_DEVICES];
	size_t n = hierarchy_devices(rq->server->hierarchy, rows);

	for (size_t i = 0; i < n && !drop; i++)
		if (rows[i].shares.count > 0)
			return hf_fail(&rq->why, HF_ERR_SHARES,
			    "there are shares of the master key of HSM %s, "
			    "which cannot bring back a new one; to go on "
			    "without them, say drop_shares",
			    rows[i].name);
	return HF_OK;
}

enum hf_err
op_hsm_rotate_master(struct request *rq, const struct hf_rotate_master_in *in,
    struct hf_rotate_master_out *out)
{
	enum hf_err err = shares_check(rq, in->drop_shares);

	if (err == HF_OK)
		err = hierarchy_rotate_master(rq->server->hierarchy,
		    in->destroy_old, &out->master_version, &out->keyrings,
		    &rq->why);
	if (err == HF_OK)
		server_event(rq->server, "master.rotated", "");
	return err;
}

/* -- What would be lost with an HSM -- */

enum { PAGE = 256, NAMED = 3 };

struct loss {
	struct request *rq;
	const char *device;
	uint64_t keys;
	char names[200]; /* of the first few */
};

static bool
only_there(
    struct loss *loss, const struct hsm_key *key, const uint8_t home[HSM_ID])
{
	char holders[HSM_DEVICES][HSM_NAME];

	return key->type != NULL &&
	    hierarchy_holders(
		loss->rq->server->hierarchy, key, home, holders) == 1 &&
	    strcmp(holders[0], loss->device) == 0;
}

static bool
key_is_lost(struct loss *loss, const struct key *key)
{
	for (size_t i = 0; i < key->count; i++) {
		const struct key_version *v = &key->versions[i];

		if (v->level == LEVEL_HSM && v->state != VERSION_DESTROYED &&
		    (only_there(loss, &v->hsm, v->hsm_home) ||
			only_there(loss, &v->hsm_hmac, v->hsm_home)))
			return true;
	}
	return false;
}

static void
note_loss(struct loss *loss, const char *name)
{
	size_t len = strlen(loss->names);

	loss->keys++;
	if (loss->keys <= NAMED)
		(void)snprintf(loss->names + len, sizeof(loss->names) - len,
		    "%s%s", len == 0 ? "" : ", ", name);
	else if (loss->keys == NAMED + 1)
		(void)snprintf(
		    loss->names + len, sizeof(loss->names) - len, " and more");
}

struct key_page {
	char names[PAGE][NAME_SIZE];
	size_t count;
};

static bool
add_name(void *ctx, struct hf_text name)
{
	struct key_page *page = ctx;

	(void)snprintf(page->names[page->count], sizeof(page->names[0]), "%.*s",
	    (int)name.len, name.ptr);
	page->count++;
	return page->count < PAGE;
}

static enum hf_err
page_check(struct loss *loss, const struct key_page *page)
{
	for (size_t i = 0; i < page->count; i++) {
		struct key *key;
		enum hf_err err = keys_get(loss->rq->server->keys,
		    text_of(page->names[i]), true, &key);

		if (err == HF_ERR_KEY_NOT_FOUND)
			continue; /* it went meanwhile */
		/* Its keyring is destroyed: there is nothing to lose. */
		if (err == HF_ERR_KEYRING_NOT_FOUND)
			continue;
		if (err != HF_OK)
			return err;
		if (key_is_lost(loss, key))
			note_loss(loss, key->name);
		key_unref(key);
	}
	return HF_OK;
}

/* All keys, a page at a time. */
static enum hf_err
loss_find(struct loss *loss)
{
	struct key_page *page = request_alloc(loss->rq, sizeof(*page));
	struct hf_text after = { 0 };
	char last[NAME_SIZE];
	enum hf_err err;

	if (page == NULL)
		return HF_ERR_NO_MEMORY;
	do {
		page->count = 0;
		err = keys_list(
		    loss->rq->server->keys, after, PAGE, add_name, page);
		if (err == HF_OK)
			err = page_check(loss, page);
		if (err != HF_OK)
			return err;
		if (page->count > 0) {
			memcpy(
			    last, page->names[page->count - 1], sizeof(last));
			after = text_of(last);
		}
	} while (page->count == PAGE);
	return HF_OK;
}

static bool
confirmed(struct hf_text confirm, const char *device)
{
	return confirm.ptr != NULL && text_is(confirm, device);
}

/*
 * Refuses where keys at level hsm would be lost that nobody has confirmed. The
 * key for imports is made anew, so it is no loss but for what was wrapped for
 * it and not brought yet.
 */
static enum hf_err
loss_check(struct loss *loss, struct hf_text confirm)
{
	enum hf_err err = loss_find(loss);

	if (err != HF_OK)
		return err;
	if (loss->keys == 0 || confirmed(confirm, loss->device))
		return HF_OK;
	return hf_fail(&loss->rq->why, HF_ERR_HSM_LAST,
	    "%llu keys at level hsm live only on HSM %s: %s; to go on without "
	    "them, confirm with its name",
	    (unsigned long long)loss->keys, loss->device, loss->names);
}

static enum hf_err
forget_wrapping_key(struct loss *loss)
{
	struct server *s = loss->rq->server;
	char holders[HSM_DEVICES][HSM_NAME];
	size_t n;
	enum hf_err err = wrapping_key_holders(s, holders, &n);

	if (err == HF_ERR_NOT_FOUND)
		return HF_OK;
	if (err != HF_OK || n > 1 ||
	    (n == 1 && strcmp(holders[0], loss->device) != 0))
		return err;
	return wrapping_key_forget(s);
}

/* -- HSMs that come and go -- */

enum hf_err
op_hsm_add(struct request *rq, const struct hf_hsm_add_in *in,
    struct hf_hsm_add_out *out)
{
	enum hf_err err = hierarchy_add(
	    rq->server->hierarchy, in->name, &out->keyrings, &rq->why);

	if (err != HF_OK)
		return err;
	out->name = in->name;
	audit_keys_changed(rq->server->audit);
	server_event(rq->server, "hsm.added", arena_text(rq->arena, in->name));
	return HF_OK;
}

/* The HSMs are held. */
static enum hf_err
remove_checked(struct loss *loss, const struct hf_hsm_remove_in *in)
{
	enum hf_err err;

	if ((err = loss_check(loss, in->confirm)) != HF_OK ||
	    (err = forget_wrapping_key(loss)) != HF_OK)
		return err;
	return hierarchy_remove(
	    loss->rq->server->hierarchy, in->name, in->destroy, &loss->rq->why);
}

enum hf_err
op_hsm_remove(struct request *rq, const struct hf_hsm_remove_in *in,
    struct hf_hsm_remove_out *out)
{
	struct hierarchy *h = rq->server->hierarchy;
	struct loss loss = { .rq = rq,
		.device = arena_text(rq->arena, in->name) };
	enum hf_err err;

	if (loss.device == NULL)
		return HF_ERR_NO_MEMORY;
	hierarchy_hold_alone(h);
	err = remove_checked(&loss, in);
	hierarchy_release(h);
	if (err != HF_OK)
		return err;
	out->lost = loss.keys;
	server_event(rq->server, "hsm.removed", loss.device);
	return HF_OK;
}

/* The HSMs are held. */
static enum hf_err
migrate_checked(
    struct loss *loss, const struct hf_hsm_migrate_in *in, uint64_t *keyrings)
{
	struct request *rq = loss->rq;
	struct hierarchy *h = rq->server->hierarchy;
	uint64_t more = 0;
	enum hf_err err;

	/* First, so that it is known which keys the two share. */
	if ((err = hierarchy_add(h, in->to, keyrings, &rq->why)) != HF_OK ||
	    (err = loss_check(loss, in->confirm)) != HF_OK ||
	    (err = forget_wrapping_key(loss)) != HF_OK ||
	    (err = hierarchy_migrate(
		 h, in->name, in->to, in->destroy, &more, &rq->why)) != HF_OK)
		return err;
	*keyrings += more;
	return HF_OK;
}

enum hf_err
op_hsm_migrate(struct request *rq, const struct hf_hsm_migrate_in *in,
    struct hf_hsm_migrate_out *out)
{
	struct hierarchy *h = rq->server->hierarchy;
	struct loss loss = { .rq = rq,
		.device = arena_text(rq->arena, in->name) };
	enum hf_err err;

	if (loss.device == NULL)
		return HF_ERR_NO_MEMORY;
	hierarchy_hold_alone(h);
	err = migrate_checked(&loss, in, &out->keyrings);
	hierarchy_release(h);
	if (err != HF_OK)
		return err;
	out->lost = loss.keys;
	audit_keys_changed(rq->server->audit);
	server_event(rq->server, "hsm.migrated", arena_text(rq->arena, in->to));
	return HF_OK;
}
