/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request bytes -> envelope -> schema -> identity -> policy -> audit intent ->
 * operation -> audit outcome -> reply. Each stage is a function below, in that
 * order; pipeline_run() at the end is the sentence.
 */
#include "pipeline.h"

#include <stdio.h>
#include <stdlib.h>

#include "../lib/bytes.h"
#include "audit.h"
#include "handlers.h"
#include "key.h"
#include "keys.h"
#include "log.h"
#include "server.h"

enum {
	PARAMS_MAX = 64,    /* a schema has at most as many fields */
	LINE_BUFFER = 8192, /* names, paths and hashes fit; nothing else is
				 in a line */
};

typedef enum hf_err handler_fn(struct request *rq);

#define OP(id, symbol, in_, out_, wire, path, cap, flags, verb, sentence) \
	static enum hf_err run_##symbol(struct request *rq)               \
	{                                                                 \
		return op_##symbol(rq, rq->in, rq->out);                  \
	}
#include <holdfast/ops.def>
#undef OP

/* In the order of ops[]. */
static handler_fn *const handlers[] = {
#define OP(id, symbol, in_, out_, wire, path, cap, flags, verb, sentence) \
	run_##symbol,
#include <holdfast/ops.def>
#undef OP
};

_Static_assert(sizeof(handlers) / sizeof(handlers[0]) <= SERVER_OPS,
    "server.h counts by operation");

static size_t
op_index(const struct request *rq)
{
	return (size_t)(rq->op - ops);
}

/* -- Envelope and schema: which operation, and what exactly -- */

static enum hf_err
request_decode(struct request *rq)
{
	struct envelope e;
	enum hf_err err;

	if ((err = envelope_open(rq->message, &e, &rq->why)) != HF_OK)
		return err;
	rq->op = op_by_name(e.op);
	if (rq->op == NULL)
		return hf_fail(&rq->why, HF_ERR_UNKNOWN_OP,
		    "there is no such operation; 'holdfast help' lists them");
	rq->in = request_alloc(rq, rq->op->in->size);
	rq->out = request_alloc(rq, rq->op->out->size);
	if (rq->in == NULL || rq->out == NULL)
		return HF_ERR_NO_MEMORY;
	if ((err = schema_decode(
		 rq->op->in, e.in, rq->arena, rq->in, &rq->why)) == HF_OK)
		rq->decoded = true;
	return err;
}

/* -- Identity: the rules for who asks, made once a connection -- */

static enum hf_err
request_identify(struct request *rq)
{
	struct policy_grant **slot = rq->grant_slot;
	struct policy_store *ps = rq->server->policy;
	enum hf_err err;

	/* The second run of a deferred request brings its grant along: a slot
	 * belongs to the thread of its connection. */
	if (rq->grant == NULL) {
		if (*slot == NULL ||
		    policy_grant_generation(*slot) != policy_generation(ps)) {
			policy_grant_free(*slot);
			*slot = NULL;
			if ((err = policy_grant_for(ps, rq->who, slot)) !=
			    HF_OK)
				return err;
		}
		rq->grant = policy_grant_ref(*slot);
	}
	if (policy_grant_pins_process(rq->grant) &&
	    !identity_still_valid(rq->who))
		return hf_fail(&rq->why, HF_ERR_NOT_IDENTIFIED,
		    "the process that connected has ended or runs another "
		    "program now; connect again");
	return HF_OK;
}

/* -- The key that it is about -- */

static struct hf_text
request_name(const struct request *rq)
{
	const struct field *f = op_key_field(rq->op);

	if (f == NULL)
		return (struct hf_text){ 0 };
	return *(const struct hf_text *)(const void *)((const uint8_t *)rq->in +
	    f->offset);
}

/* Somebody whom no policy names learns nothing, not even by waiting. */
static bool
is_stranger(const struct request *rq)
{
	const char *name[1];

	return policy_grant_names(rq->grant, name, 1) == 0;
}

static enum hf_err
request_find_key(struct request *rq)
{
	enum hf_err err;

	if (rq->key != NULL || !op_names_key(rq->op) || is_stranger(rq))
		return HF_OK;
	err = keys_get(
	    rq->server->keys, request_name(rq), rq->may_block, &rq->key);
	return err == HF_ERR_KEY_NOT_FOUND ? HF_OK : err;
}

/* -- Policy: may they -- */

/* The fields of the request as parameter rules see them: scalars by value,
 * data by its presence. */
static size_t
request_params(struct request *rq, struct policy_param params[PARAMS_MAX])
{
	const struct schema *s = rq->op->in;
	size_t n = 0;

	for (size_t i = 0; i < s->count && n < PARAMS_MAX; i++) {
		const struct field *f = &s->fields[i];
		const void *at = (const uint8_t *)rq->in + f->offset;
		struct hf_text value = { "", 0 };
		uint64_t number = 0;
		bool present = true, is_number = false;

		if (f->kind == FIELD_TEXT) {
			value = *(const struct hf_text *)at;
			present = value.ptr != NULL;
		} else if (f->kind == FIELD_BYTES) {
			present = ((const struct hf_bytes *)at)->ptr != NULL;
		} else if (f->kind == FIELD_UINT) {
			number = *(const uint64_t *)at;
			present = is_number = number != 0;
		} else if (f->kind == FIELD_OPT) {
			number = ((const struct hf_uint *)at)->value;
			present = is_number =
			    ((const struct hf_uint *)at)->present;
		} else if (f->kind == FIELD_BOOL) {
			present = *(const bool *)at;
			value = TEXT("true");
		} else if (f->kind == FIELD_TRI) {
			present = *(const enum hf_tri *)at != HF_UNSET;
			value = *(const enum hf_tri *)at == HF_TRUE
			    ? TEXT("true")
			    : TEXT("false");
		} else {
			present = *(void *const *)at != NULL;
		}
		if (!present || (f->flags & KEYNAME) != 0)
			continue;
		if (is_number) {
			char *p = arena_printf(
			    rq->arena, "%llu", (unsigned long long)number);

			value = p == NULL ? value : text_of(p);
		}
		params[n++] = (struct policy_param){ f->name, value };
	}
	return n;
}

static bool
allowed(struct request *rq, unsigned caps)
{
	struct policy_param params[PARAMS_MAX];
	struct hf_text path = text_of(rq->path);
	struct policy_verdict verdict;
	size_t count = 0;

	/* The handler asks policy itself, about each thing that it shows. */
	if ((rq->op->flags & OP_FILTERED) != 0)
		return !is_stranger(rq);
	if (policy_wants_params(rq->grant, path))
		count = request_params(rq, params);
	return policy_check(rq->grant, path, caps, params, count, &verdict);
}

static enum hf_err
request_allow(struct request *rq)
{
	struct hf_text name =
	    rq->key != NULL ? text_of(rq->key->name) : request_name(rq);
	unsigned caps = rq->op->cap;
	bool creates = (rq->op->flags & OP_UPSERT) != 0 && rq->key == NULL;

	rq->path = op_path(rq->op, name, rq->arena);
	if (rq->path == NULL)
		return HF_ERR_NO_MEMORY;
	if ((rq->op->flags & OP_SUDO) != 0)
		caps |= HF_CAP_SUDO;
	/* Where nothing is yet, to write it is to create it (Vault's rule).
	 * Encrypt may only be asked to where the service is set so. */
	if (creates && (rq->op->id == OP_key_create || rq->server->upsert) &&
	    allowed(rq, HF_CAP_CREATE))
		rq->upsert = true;
	else if (creates && rq->op->id == OP_key_create)
		return HF_ERR_PERMISSION_DENIED;
	else if (!allowed(rq, caps))
		return HF_ERR_PERMISSION_DENIED;
	rq->demand_hsm = policy_demands_hsm(rq->grant, text_of(rq->path));
	rq->allowed = true;
	return HF_OK;
}

/* -- Audit: no trace, no work -- */

static void
audit_field(struct audit_line *line, struct audit *audit, const struct field *f,
    const void *base)
{
	const void *at = (const uint8_t *)base + f->offset;
	bool plain = (f->flags & PLAIN) != 0;

	switch (f->kind) {
	case FIELD_BYTES: {
		struct hf_bytes v = *(const struct hf_bytes *)at;

		if (v.ptr == NULL)
			break;
		if ((f->flags & (SECRET | DATA)) != 0)
			audit_line_length(line, f->name, v.len);
		else
			audit_line_hashed(line, audit, f->name, v);
		break;
	}
	case FIELD_TEXT: {
		struct hf_text v = *(const struct hf_text *)at;

		if (v.ptr == NULL)
			break;
		if (plain)
			audit_line_text(line, f->name, v);
		else
			audit_line_hashed(
			    line, audit, f->name, bytes_of_text(v));
		break;
	}
	case FIELD_UINT:
		if (*(const uint64_t *)at != 0)
			audit_line_uint(line, f->name, *(const uint64_t *)at);
		break;
	case FIELD_OPT:
		if (((const struct hf_uint *)at)->present)
			audit_line_uint(
			    line, f->name, ((const struct hf_uint *)at)->value);
		break;
	case FIELD_BOOL:
		if (*(const bool *)at)
			audit_line_bool(line, f->name, true);
		break;
	case FIELD_TRI:
		if (*(const enum hf_tri *)at != HF_UNSET)
			audit_line_bool(
			    line, f->name, *(const enum hf_tri *)at == HF_TRUE);
		break;
	case FIELD_LIST:
	case FIELD_TEXTS:
		if (*(void *const *)at != NULL)
			audit_line_uint(line, f->name,
			    *(const size_t *)(const void *)((const uint8_t *)
								base +
				f->count_offset));
		break;
	}
}

static void
audit_caller(struct audit_line *line, const struct identity *who)
{
	if (who->local) {
		audit_line_uint(line, "uid", who->uid);
		audit_line_uint(line, "gid", who->gid);
		audit_line_uint(line, "pid", (uint64_t)who->pid);
		if (who->exe != NULL)
			audit_line_text(line, "exe", text_of(who->exe));
		if (who->unit != NULL)
			audit_line_text(line, "unit", text_of(who->unit));
		return;
	}
	if (who->cert != NULL)
		audit_line_text(line, "cert", text_of(who->cert));
	audit_line_text(line, "cert_sha256", text_of(who->cert_sha256));
}

/* Operation, path, caller and parameters: the same in intents and denials. */
static void
audit_describe(struct request *rq, struct audit_line *line)
{
	const struct schema *s = rq->op->in;

	audit_line_uint(line, "id", rq->audit_id);
	audit_line_text(line, "op", text_of(rq->op->name));
	if (rq->path != NULL)
		audit_line_text(line, "path", text_of(rq->path));
	audit_caller(line, rq->who);
	if (!rq->decoded)
		return; /* nobody checked what is in there */
	/* In an object of their own: no field can pass for a member of ours. */
	audit_line_begin(line, "in");
	for (size_t i = 0; i < s->count; i++)
		audit_field(line, rq->server->audit, &s->fields[i], rq->in);
	audit_line_end(line);
}

static enum hf_err
audit_write(struct request *rq, const struct audit_line *line)
{
	/* A refusal may be told in part; what is done is told in full. */
	if (line->full && rq->allowed)
		return HF_ERR_AUDIT;
	return audit_append(rq->server->audit, line, &rq->audit_ticket);
}

static enum hf_err
audit_intent(struct request *rq)
{
	struct audit_line line;
	char buf[LINE_BUFFER];
	enum hf_err err;

	if (rq->intent_written)
		return HF_OK;
	rq->audit_id = atomic_fetch_add(&rq->server->audit_ids, 1) + 1;
	audit_line_start(&line, buf, sizeof(buf), "request");
	audit_describe(rq, &line);
	if ((err = audit_write(rq, &line)) != HF_OK)
		return err;
	rq->intent_written = true;
	/* What cannot be undone is on the disk before it is done. */
	if ((rq->op->flags & OP_CHANGES) != 0) {
		rq->audit_sync = true;
		return audit_flush(rq->server->audit, rq->audit_ticket, true);
	}
	return HF_OK;
}

/* What came of it. Without an intent it is a line of its own: a refusal. */
static enum hf_err
audit_outcome(struct request *rq, enum hf_err result)
{
	struct audit_line line;
	char buf[LINE_BUFFER];

	if (rq->intent_written) {
		audit_line_start(&line, buf, sizeof(buf), "response");
		audit_line_uint(&line, "id", rq->audit_id);
		audit_line_text(&line, "op", text_of(rq->op->name));
	} else {
		rq->audit_id = atomic_fetch_add(&rq->server->audit_ids, 1) + 1;
		audit_line_start(&line, buf, sizeof(buf), "refused");
		audit_describe(rq, &line);
	}
	audit_line_text(&line, "result", text_of(hf_err_name(result)));
	if (result == HF_OK && rq->key_version != 0)
		audit_line_uint(&line, "used_version", rq->key_version);
	return audit_write(rq, &line);
}

/* -- Reply -- */

static enum hf_err
reply_error(struct request *rq, enum hf_err result)
{
	enum { ERROR_MAX = 512 };
	uint8_t *buf = request_alloc(rq, ERROR_MAX);
	size_t len;
	enum hf_err err;

	if (buf == NULL)
		return HF_ERR_NO_MEMORY;
	err = envelope_error(result,
	    rq->why.text[0] == '\0' ? NULL : rq->why.text, buf, ERROR_MAX,
	    &len);
	rq->reply = bytes_of(buf, len);
	return err == HF_OK ? HF_OK : HF_ERR_NO_MEMORY;
}

static enum hf_err
reply_result(struct request *rq)
{
	const struct schema *s = rq->op->out;
	uint8_t *buf;
	size_t len = 0;

	/* The first pass only counts, and says so by its error. */
	if (envelope_reply(s, rq->out, NULL, 0, &len) !=
	    HF_ERR_BUFFER_TOO_SMALL)
		return HF_ERR_SYSTEM;
	buf = request_alloc(rq, len);
	if (buf == NULL)
		return HF_ERR_TOO_LARGE;
	rq->reply = bytes_of(buf, len);
	return envelope_reply(s, rq->out, buf, len, &len);
}

/* -- Around a run -- */

static void
count(struct request *rq, enum hf_err result)
{
	struct server *s = rq->server;
	size_t i = op_index(rq);

	if (result == HF_OK)
		(void)atomic_fetch_add_explicit(
		    &s->op_ok[i], 1, memory_order_relaxed);
	else if (hf_err_status(result) < 500)
		(void)atomic_fetch_add_explicit(
		    &s->op_refused[i], 1, memory_order_relaxed);
	else
		(void)atomic_fetch_add_explicit(
		    &s->op_failed[i], 1, memory_order_relaxed);
	/* What the service could not do is its operator's business. */
	if (result != HF_OK && hf_err_status(result) >= 500)
		log_warning("%s for %s: %s%s%s", rq->op->name, rq->who->label,
		    hf_err_name(result), rq->why.text[0] == '\0' ? "" : ": ",
		    rq->why.text);
}

static void
request_release(struct request *rq)
{
	key_unref(rq->key);
	rq->key = NULL;
	policy_grant_free(rq->grant);
	rq->grant = NULL;
}

/* The key is looked up anew by the worker; the grant travels. */
static enum hf_err
request_defer(struct request *rq)
{
	key_unref(rq->key);
	rq->key = NULL;
	rq->why.text[0] = '\0';
	rq->key_version = 0;
	return HF_ERR_DEFER;
}

/* What always blocks goes to a worker before anything is written down. */
static enum hf_err
request_place(const struct request *rq)
{
	bool blocks = (rq->op->flags & (OP_CHANGES | OP_WORKER)) != 0;

	return blocks && !rq->may_block ? HF_ERR_DEFER : HF_OK;
}

enum hf_err
pipeline_run(struct request *rq)
{
	enum hf_err result, err;

	if ((result = request_decode(rq)) == HF_OK &&
	    (result = request_identify(rq)) == HF_OK &&
	    (result = request_find_key(rq)) == HF_OK &&
	    (result = request_allow(rq)) == HF_OK &&
	    (result = request_place(rq)) == HF_OK &&
	    (result = audit_intent(rq)) == HF_OK)
		result = handlers[op_index(rq)](rq);
	if (result == HF_ERR_DEFER)
		return request_defer(rq);
	if (result == HF_OK)
		result = reply_result(rq);
	if (rq->op != NULL) {
		/* What is not in the log did not happen, for the caller. */
		if (result != HF_ERR_AUDIT &&
		    (err = audit_outcome(rq, result)) != HF_OK)
			result = err;
		count(rq, result);
	}
	if (result != HF_OK) {
		if (result == HF_ERR_AUDIT)
			rq->why.text[0] = '\0';
		result = reply_error(rq, result);
	}
	request_release(rq);
	return result;
}

void
pipeline_abandon(struct request *rq, enum hf_err result)
{
	if (rq->intent_written && audit_outcome(rq, result) != HF_OK)
		log_warning("%s for %s: no outcome in the audit log",
		    rq->op->name, rq->who->label);
	if (rq->op != NULL)
		count(rq, result);
	request_release(rq);
}

size_t
pipeline_audit_failed(uint8_t *buf, size_t cap)
{
	size_t len = 0;

	if (envelope_error(HF_ERR_AUDIT, NULL, buf, cap, &len) != HF_OK)
		return 0;
	return len;
}

enum hf_err
pipeline_flush(struct server *server, uint64_t ticket, bool sync)
{
	return audit_flush(server->audit, ticket, sync);
}

void
pipeline_connection_closed(struct policy_grant **grant_slot)
{
	policy_grant_free(*grant_slot);
	*grant_slot = NULL;
}
