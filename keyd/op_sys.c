/* SPDX-License-Identifier: Apache-2.0 */
/* The service itself: status, policy, audit. */
#include "op_sys.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../lib/bytes.h"
#include "crypto.h"
#include "key.h"
#include "keys.h"
#include "metrics.h"
#include "handlers.h"
#include "server.h"

/* Names of files, and what devices call themselves, may be any bytes: a reply
 * is UTF-8. */
static void
make_utf8(char *s)
{
	if (utf8_valid(text_of(s)))
		return;
	for (; *s != '\0'; s++)
		if ((unsigned char)*s >= 0x80)
			*s = '?';
}

enum hf_err
sys_text(struct request *rq, const char *s, struct hf_text *out)
{
	char *p;

	if (s == NULL || *s == '\0')
		return HF_OK;
	p = arena_text(rq->arena, text_of(s));
	if (p == NULL)
		return HF_ERR_NO_MEMORY;
	make_utf8(p);
	*out = text_of(p);
	return HF_OK;
}

/* -- Status -- */

/* Of several HSMs, one that is in the hierarchy and cannot be used. */
static bool
absent_hsm(struct server *s, char *out, size_t cap)
{
	struct hierarchy_facts rows[2 * HSM_DEVICES];
	size_t n = hierarchy_devices(s->hierarchy, rows);

	for (size_t i = 0; i < n; i++) {
		struct hsm_info info = { .reason = "not in the configuration" };

		if (!rows[i].in_hierarchy || rows[i].usable || n == 1)
			continue;
		if (rows[i].hsm != NULL)
			hsm_info(rows[i].hsm, &info);
		(void)snprintf(out, cap, "HSM %s is not there: %s",
		    rows[i].name,
		    info.reason[0] != '\0' ? info.reason
					   : "it does not hold its master key");
		return true;
	}
	return false;
}

enum hf_err
op_sys_status(
    struct request *rq, const struct hf_empty *in, struct hf_status_out *out)
{
	struct server *s = rq->server;
	struct transport_stats stats;
	struct audit_info audit;
	struct hsm_info hsm;
	bool ready, degraded;
	char lacks[256];
	enum hf_err err;

	(void)in;
	hsm_info(hierarchy_hsm(s->hierarchy), &hsm);
	lacks[0] = '\0';
	degraded = hierarchy_degraded(s->hierarchy, lacks, sizeof(lacks)) ||
	    absent_hsm(s, lacks, sizeof(lacks));
	audit_info(s->audit, &audit);
	transport_stats(s->transport, &stats);
	ready = hsm.state == HSM_READY && !audit.broken && !degraded;
	*out = (struct hf_status_out){
		.version = TEXT(HOLDFAST_VERSION),
		.state = s->stopping ? TEXT("stopping")
		    : !hierarchy_initialized(s->hierarchy)
		    ? TEXT("uninitialized")
		    : ready ? TEXT("ready")
			    : TEXT("degraded"),
		.pid = (uint64_t)getpid(),
		.uptime = server_uptime(s),
		.hsm_state = text_of(hsm_state_name(hsm.state)),
		.master_version = hierarchy_master_version(s->hierarchy),
		.keys_cached = keys_cached(s->keys),
		.connections = stats.connections,
		.requests = stats.requests,
		.policy_generation = policy_generation(s->policy),
		.audit_sequence = audit.sequence,
	};
	if (!hierarchy_initialized(s->hierarchy))
		return sys_text(rq, hf_err_sentence(HF_ERR_HSM_UNINITIALIZED),
		    &out->reason);
	err = sys_text(
	    rq, hsm.reason[0] != '\0' ? hsm.reason : lacks, &out->reason);
	if (err == HF_OK && audit.broken)
		err = sys_text(rq, audit.reason, &out->reason);
	return err;
}

enum hf_err
op_sys_metrics(
    struct request *rq, const struct hf_empty *in, struct hf_metrics_out *out)
{
	(void)in;
	return metrics_text(rq->server, rq->arena, &out->text);
}

/* -- Who am I -- */

struct subjects {
	struct request *rq;
	struct hf_text items[16 + IDENTITY_GROUPS];
	size_t count;
};

static void
subject_add(struct subjects *s, const char *kind, const char *value)
{
	char *p;

	if (value == NULL || s->count == sizeof(s->items) / sizeof(s->items[0]))
		return;
	p = arena_printf(s->rq->arena, "%s:%s", kind, value);
	if (p == NULL)
		return;
	make_utf8(p);
	s->items[s->count++] = text_of(p);
}

static void
subject_add_number(struct subjects *s, const char *kind, uint64_t value)
{
	char number[24];

	(void)snprintf(
	    number, sizeof(number), "%llu", (unsigned long long)value);
	subject_add(s, kind, number);
}

static void
local_subjects(struct subjects *s, const struct identity *id)
{
	subject_add_number(s, "uid", id->uid);
	subject_add_number(s, "gid", id->gid);
	for (size_t i = 0; i < id->group_count; i++)
		if (id->groups[i] != id->gid)
			subject_add_number(s, "gid", id->groups[i]);
	subject_add(s, "unit", id->unit);
	if (id->exe_trusted)
		subject_add(s, "exe", id->exe);
}

static enum hf_err
list_texts(struct request *rq, const struct hf_text *from, size_t count,
    struct hf_text **out, size_t *out_count)
{
	*out = arena_array(rq->arena, count, sizeof(**out));
	if (*out == NULL)
		return HF_ERR_NO_MEMORY;
	if (count > 0)
		memcpy(*out, from, count * sizeof(*from));
	*out_count = count;
	return HF_OK;
}

static enum hf_err
my_policies(struct request *rq, struct hf_whoami_out *out)
{
	const char *names[256];
	size_t count = policy_grant_names(rq->grant, names, 256);

	if (count > 256)
		count = 256;
	out->policies = arena_array(rq->arena, count, sizeof(*out->policies));
	if (out->policies == NULL)
		return HF_ERR_NO_MEMORY;
	for (size_t i = 0; i < count; i++)
		out->policies[i] = text_of(names[i]);
	out->policies_count = count;
	return HF_OK;
}

static enum hf_err
my_user(struct request *rq, struct hf_whoami_out *out)
{
	struct passwd pw, *found = NULL;
	char buf[4096];

	if (getpwuid_r(rq->who->uid, &pw, buf, sizeof(buf), &found) != 0 ||
	    found == NULL)
		return HF_OK;
	return sys_text(rq, found->pw_name, &out->user);
}

enum hf_err
op_sys_whoami(
    struct request *rq, const struct hf_empty *in, struct hf_whoami_out *out)
{
	const struct identity *id = rq->who;
	struct subjects *s;
	enum hf_err err;

	(void)in;
	if (!rq->may_block)
		return HF_ERR_DEFER; /* the name service may take its time */
	s = request_alloc(rq, sizeof(*s));
	if (s == NULL)
		return HF_ERR_NO_MEMORY;
	s->rq = rq;
	if (id->local) {
		out->uid = (struct hf_uint){ id->uid, true };
		out->gid = (struct hf_uint){ id->gid, true };
		out->pid = (uint64_t)id->pid;
		local_subjects(s, id);
		if ((err = my_user(rq, out)) != HF_OK)
			return err;
	}
	subject_add(s, "cert", id->cert);
	if ((err = sys_text(rq, id->exe, &out->exe)) != HF_OK ||
	    (err = sys_text(rq, id->unit, &out->unit)) != HF_OK ||
	    (err = sys_text(rq, id->cert, &out->certificate)) != HF_OK ||
	    (err = list_texts(rq, s->items, s->count, &out->subjects,
		 &out->subjects_count)) != HF_OK)
		return err;
	return my_policies(rq, out);
}

/* -- Policy -- */

static void
count_policy(void *ctx, const struct policy_info *info)
{
	(void)info;
	(*(uint64_t *)ctx)++;
}

enum hf_err
op_policy_reload(struct request *rq, const struct hf_empty *in,
    struct hf_policy_reload_out *out)
{
	struct server *s = rq->server;
	enum hf_err err;

	(void)in;
	if ((err = policy_reload(s->policy, &rq->why)) != HF_OK)
		return err;
	out->generation = policy_generation(s->policy);
	policy_each(s->policy, count_policy, &out->policies);
	server_event(s, "policy.reloaded", "");
	return HF_OK;
}

struct policy_lister {
	struct request *rq;
	struct hf_policy_list_out *out;
	size_t room;
	enum hf_err err;
};

static void
list_policy(void *ctx, const struct policy_info *info)
{
	struct policy_lister *pl = ctx;
	struct hf_policy_info *row;

	if (pl->err != HF_OK || pl->out->policies_count == pl->room)
		return;
	row = &pl->out->policies[pl->out->policies_count++];
	row->rules = info->rules;
	row->subjects = arena_array(
	    pl->rq->arena, info->subject_count, sizeof(*row->subjects));
	if (row->subjects == NULL) {
		pl->err = HF_ERR_NO_MEMORY;
		return;
	}
	row->subjects_count = info->subject_count;
	for (size_t i = 0; i < info->subject_count && pl->err == HF_OK; i++)
		pl->err =
		    sys_text(pl->rq, info->subjects[i], &row->subjects[i]);
	if (pl->err == HF_OK)
		pl->err = sys_text(pl->rq, info->name, &row->name);
	if (pl->err == HF_OK)
		pl->err = sys_text(pl->rq, info->file, &row->file);
}

enum hf_err
op_policy_list(struct request *rq, const struct hf_empty *in,
    struct hf_policy_list_out *out)
{
	struct policy_lister pl = { rq, out, 0, HF_OK };
	uint64_t count = 0;

	(void)in;
	policy_each(rq->server->policy, count_policy, &count);
	out->generation = policy_generation(rq->server->policy);
	out->policies =
	    arena_array(rq->arena, (size_t)count, sizeof(*out->policies));
	if (out->policies == NULL)
		return HF_ERR_NO_MEMORY;
	pl.room = (size_t)count;
	policy_each(rq->server->policy, list_policy, &pl);
	return pl.err;
}

/* The question, as a path and the capabilities that it takes. */
static enum hf_err
question_of_path(struct request *rq, const struct hf_policy_test_in *in,
    const char **path, unsigned *caps)
{
	*caps = HF_CAP_UPDATE;
	if (in->capability.ptr != NULL)
		*caps = cap_by_name(in->capability);
	*path = arena_text(rq->arena, in->path);
	return *path == NULL ? HF_ERR_NO_MEMORY : HF_OK;
}

/* What the pipeline would ask if that operation were called: an alias stands
 * for its key, and who makes a key creates. */
static enum hf_err
question_of_op(struct request *rq, const struct op *op, struct hf_text name,
    const char **path, unsigned *caps)
{
	enum hf_err err = HF_OK;
	struct key *key = NULL;

	*caps = op->cap;
	if ((op->flags & OP_SUDO) != 0)
		*caps |= HF_CAP_SUDO;
	if (op_names_key(op))
		err = keys_get(rq->server->keys, name, true, &key);
	if (err == HF_ERR_KEY_NOT_FOUND && op->id == OP_key_create)
		*caps = HF_CAP_CREATE;
	else if (err != HF_OK && err != HF_ERR_KEY_NOT_FOUND)
		return err;
	*path = op_path(op, key != NULL ? text_of(key->name) : name, rq->arena);
	key_unref(key);
	return *path == NULL ? HF_ERR_NO_MEMORY : HF_OK;
}

static enum hf_err
test_question(struct request *rq, const struct hf_policy_test_in *in,
    const char **path, unsigned *caps)
{
	const struct op *op;

	if (in->path.ptr != NULL)
		return question_of_path(rq, in, path, caps);
	if (in->operation.ptr == NULL)
		return hf_fail(&rq->why, HF_ERR_MISSING_FIELD,
		    "give an operation, or a path");
	op = op_by_name(in->operation);
	if (op == NULL)
		return hf_fail(&rq->why, HF_ERR_UNKNOWN_OP,
		    "there is no operation %.*s", (int)in->operation.len,
		    in->operation.ptr);
	if (op_key_field(op) != NULL && in->name.ptr == NULL)
		return hf_fail(&rq->why, HF_ERR_MISSING_FIELD,
		    "%s is about a name: give one", op->name);
	return question_of_op(rq, op, in->name, path, caps);
}

static enum hf_err
test_answer(struct request *rq, const struct policy_verdict *v,
    struct hf_policy_test_out *out)
{
	char *where;
	enum hf_err err;

	out->allowed = v->allowed;
	if ((err = sys_text(rq, v->reason, &out->reason)) != HF_OK ||
	    (err = sys_text(rq, v->pattern, &out->rule)) != HF_OK)
		return err;
	if (v->policy == NULL)
		return HF_OK;
	where = arena_printf(rq->arena, "%s (%s:%u)", v->policy,
	    v->file == NULL ? "?" : v->file, v->line);
	if (where == NULL)
		return HF_ERR_NO_MEMORY;
	out->policy = text_of(where);
	return HF_OK;
}

static enum hf_err
caps_text(struct request *rq, unsigned caps, struct hf_text *out)
{
	char buf[80] = "";

	for (unsigned bit = 1; bit <= HF_CAP_DENY; bit <<= 1)
		if ((caps & bit) != 0) {
			if (buf[0] != '\0')
				(void)strncat(
				    buf, "+", sizeof(buf) - strlen(buf) - 1);
			(void)strncat(buf, cap_name((enum hf_cap)bit),
			    sizeof(buf) - strlen(buf) - 1);
		}
	return sys_text(rq, buf, out);
}

/* As a request with this context would have them. */
static size_t
test_params(const struct hf_policy_test_in *in,
    struct policy_param params[1 + CONTEXT_PAIRS])
{
	if (in->encryption_context == NULL)
		return 0;
	params[0] = (struct policy_param){ .name = "encryption_context",
		.value = TEXT("") };
	for (size_t i = 0; i < in->encryption_context_count; i++)
		params[1 + i] =
		    (struct policy_param){ .pair = in->encryption_context[i] };
	return 1 + in->encryption_context_count;
}

enum hf_err
op_policy_test(struct request *rq, const struct hf_policy_test_in *in,
    struct hf_policy_test_out *out)
{
	struct policy_param params[1 + CONTEXT_PAIRS];
	struct policy_verdict verdict;
	struct policy_grant *grant;
	struct identity *id;
	const char *path;
	unsigned caps;
	enum hf_err err;

	if ((err = test_question(rq, in, &path, &caps)) != HF_OK ||
	    (err = identity_of_subjects(
		 in->subjects, in->subjects_count, &id, &rq->why)) != HF_OK)
		return err;
	err = policy_grant_for(rq->server->policy, id, &grant);
	identity_free(id);
	if (err != HF_OK)
		return err;
	(void)policy_check(grant, text_of(path), caps, params,
	    test_params(in, params), &verdict);
	out->path = text_of(path);
	if ((err = caps_text(rq, caps, &out->capability)) == HF_OK)
		err = test_answer(rq, &verdict, out);
	policy_grant_free(grant);
	return err;
}

/* -- Audit -- */

enum hf_err
op_audit_status(struct request *rq, const struct hf_empty *in,
    struct hf_audit_status_out *out)
{
	struct server *s = rq->server;
	struct hierarchy_device device;
	uint8_t spki[SPKI_MAX], *head;
	struct audit_info info;
	size_t len;
	char *pem;
	enum hf_err err;

	(void)in;
	if (!rq->may_block)
		return HF_ERR_DEFER;
	audit_info(s->audit, &info);
	head = request_alloc(rq, sizeof(info.head));
	pem = request_alloc(rq, SPKI_PEM_MAX);
	if (head == NULL || pem == NULL)
		return HF_ERR_NO_MEMORY;
	memcpy(head, info.head, sizeof(info.head));
	*out = (struct hf_audit_status_out){
		.sequence = info.sequence,
		.head = bytes_of(head, sizeof(info.head)),
		.checkpoint = info.checkpoint,
		.checkpoint_sequence = info.checkpoint_sequence,
	};
	hierarchy_active(s->hierarchy, &device);
	if (hsm_audit_public(device.hsm, device.audit_id, spki, &len) ==
		HF_OK &&
	    (err = crypto_spki_pem(bytes_of(spki, len), pem, SPKI_PEM_MAX)) ==
		HF_OK)
		out->public_key = text_of(pem);
	return sys_text(rq, info.file, &out->file);
}
