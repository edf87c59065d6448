/* SPDX-License-Identifier: Apache-2.0 */
#include "request_audit.h"

#include "../lib/bytes.h"
#include "audit.h"
#include "server.h"

enum {
	LINE_BUFFER = 16384, /* names, paths, hashes and a context fit; nothing
				else is in a line */
};

static void
audit_pairs(struct audit_line *line, struct audit *audit, const struct field *f,
    const void *base)
{
	const uint8_t *at = base;
	const struct hf_pair *pairs =
	    *(const struct hf_pair *const *)(const void *)(at + f->offset);
	size_t count = *(const size_t *)(const void *)(at + f->count_offset);

	if (pairs != NULL)
		audit_line_pairs(line, audit, f->name, pairs, count);
}

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
	case FIELD_PAIRS:
		audit_pairs(line, audit, f, base);
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
	if (rq->options.dry_run)
		audit_line_bool(line, "dry_run", true);
	if (rq->options.idempotency_key.ptr != NULL)
		audit_line_hashed(line, rq->server->audit, "idempotency_key",
		    bytes_of_text(rq->options.idempotency_key));
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

enum hf_err
request_audit_intent(struct request *rq)
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

enum hf_err
request_audit_outcome(struct request *rq, enum hf_err result)
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
	if (rq->replayed)
		audit_line_bool(&line, "replayed", true);
	if (result == HF_OK && rq->key_version != 0)
		audit_line_uint(&line, "used_version", rq->key_version);
	return audit_write(rq, &line);
}
