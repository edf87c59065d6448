/* SPDX-License-Identifier: Apache-2.0 */
#include "request_audit.h"

#include "../lib/bytes.h"
#include "audit.h"
#include "context_names.h"
#include "key.h"
#include "request_slot.h"
#include "server.h"

enum {
	LINE_BUFFER = 8192,   /* names, paths and hashes fit; nothing else is in
				 a line but long contexts */
	USUAL_CONTEXT = 2048, /* of that */
	/* Of the contexts of a batch: what an escaped line has room for. */
	BATCH_PLAIN = 64,
	BATCH_PLAIN_BYTES = 8192,
	BATCH_HASHED = 32,
};

/* -- Contexts -- */

static const struct hf_pair *
pairs_of(const struct field *f, const void *base, size_t *count)
{
	*count = field_count(f, base);
	return *(void *const *)field_at(f, base);
}

/* What the key that the request is about wants in clear. Other contexts, such
 * as the one for another key, are hashed. */
static bool
is_plain(const struct request *rq, const struct field *f, struct hf_text name)
{
	return (f->flags & CONTEXT) != 0 && rq->key != NULL &&
	    context_names_have(
		bytes_of(rq->key->audit_context, rq->key->audit_context_len),
		name);
}

static void
audit_pairs(struct audit_line *line, const struct request *rq,
    const struct field *f, const void *base)
{
	struct audit_pair out[CONTEXT_PAIRS];
	size_t count;
	const struct hf_pair *pairs = pairs_of(f, base, &count);

	for (size_t i = 0; i < count; i++)
		out[i] = (struct audit_pair){ pairs[i],
			is_plain(rq, f, pairs[i].name) };
	audit_line_pairs(line, rq->server->audit, f->name, out, count, false);
}

/* The different pairs of all items of a batch. */
struct batch_pairs {
	struct audit_pair plain[BATCH_PLAIN + BATCH_HASHED];
	struct audit_pair hashed[BATCH_HASHED];
	size_t plain_count, hashed_count, plain_bytes;
	bool cut;      /* more were hashed than are told */
	bool too_much; /* more are wanted in clear than have room */
};

static bool
told(const struct audit_pair *list, size_t count, const struct hf_pair *pair)
{
	for (size_t i = 0; i < count; i++)
		if (text_equal(list[i].pair.name, pair->name) &&
		    text_equal(list[i].pair.value, pair->value))
			return true;
	return false;
}

static void
add_plain(struct batch_pairs *b, const struct hf_pair *pair)
{
	if (told(b->plain, b->plain_count, pair))
		return;
	b->plain_bytes += pair->name.len + pair->value.len;
	b->too_much = b->too_much || b->plain_count == BATCH_PLAIN ||
	    b->plain_bytes > BATCH_PLAIN_BYTES;
	if (!b->too_much)
		b->plain[b->plain_count++] = (struct audit_pair){ *pair, true };
}

static void
add_hashed(struct batch_pairs *b, const struct hf_pair *pair)
{
	if (b->cut || told(b->hashed, b->hashed_count, pair))
		return;
	b->cut = b->hashed_count == BATCH_HASHED;
	if (!b->cut)
		b->hashed[b->hashed_count++] =
		    (struct audit_pair){ *pair, false };
}

static void
collect_item(const struct request *rq, const struct schema *s, const void *item,
    struct batch_pairs *out)
{
	for (size_t i = 0; i < s->count; i++) {
		const struct field *f = &s->fields[i];
		const struct hf_pair *pairs;
		size_t n;

		if (f->kind != FIELD_PAIRS)
			continue;
		pairs = pairs_of(f, item, &n);
		for (size_t k = 0; pairs != NULL && k < n; k++)
			if (is_plain(rq, f, pairs[k].name))
				add_plain(out, &pairs[k]);
			else
				add_hashed(out, &pairs[k]);
	}
}

static const uint8_t *
items_of(const struct field *list, const void *base, size_t *count)
{
	*count = field_count(list, base);
	return *(void *const *)field_at(list, base);
}

static bool
item_has_context(const struct schema *s, const void *item)
{
	size_t n;

	for (size_t i = 0; i < s->count; i++)
		if (s->fields[i].kind == FIELD_PAIRS &&
		    pairs_of(&s->fields[i], item, &n) != NULL)
			return true;
	return false;
}

static bool
list_has_context(const struct field *list, const void *base)
{
	size_t count;
	const uint8_t *items = items_of(list, base, &count);

	for (size_t i = 0; items != NULL && i < count; i++)
		if (item_has_context(list->item, items + i * list->item->size))
			return true;
	return false;
}

/* Characters of a line that these may take, hashed or escaped. */
static size_t
pairs_room(const struct hf_pair *pairs, size_t count)
{
	enum { HASHED = 160, ESCAPED = 6 };
	size_t room = 0;

	for (size_t i = 0; pairs != NULL && i < count; i++)
		room +=
		    HASHED + ESCAPED * (pairs[i].name.len + pairs[i].value.len);
	return room;
}

static bool
contexts_fit(const struct request *rq)
{
	const struct schema *s = rq->op->in;
	size_t room = 0, count;

	for (size_t i = 0; rq->decoded && i < s->count; i++) {
		const struct field *f = &s->fields[i];

		if (f->kind == FIELD_LIST && list_has_context(f, rq->in))
			return false;
		if (f->kind != FIELD_PAIRS)
			continue;
		const struct hf_pair *pairs = pairs_of(f, rq->in, &count);

		room += pairs_room(pairs, count);
	}
	return room <= USUAL_CONTEXT;
}

/*
 * A batch tells its items' number and their different pairs of context: of
 * those that the key wants in clear every one, or it is false; of the others
 * the first ones.
 */
static bool
audit_batch(struct request *rq, struct audit_line *line, const struct field *f)
{
	struct batch_pairs all = { .plain_count = 0 };
	size_t count;
	const uint8_t *items = items_of(f, rq->in, &count);

	for (size_t i = 0; i < count && !all.too_much; i++)
		collect_item(rq, f->item, items + i * f->item->size, &all);
	memcpy(all.plain + all.plain_count, all.hashed,
	    all.hashed_count * sizeof(all.hashed[0]));
	if (all.plain_count + all.hashed_count > 0)
		audit_line_pairs(line, rq->server->audit, "batch_context",
		    all.plain, all.plain_count + all.hashed_count, true);
	if (all.cut || all.too_much)
		audit_line_bool(line, "batch_context_cut", true);
	return !all.too_much;
}

/* Starts a line in `usual`, or where contexts have room. */
static void
line_start(struct request *rq, char usual[LINE_BUFFER], const char *type,
    struct audit_line *line)
{
	char *more =
	    contexts_fit(rq) ? NULL : request_alloc(rq, AUDIT_MEMBERS_MAX);

	if (more != NULL)
		audit_line_start(line, more, AUDIT_MEMBERS_MAX, type);
	else
		audit_line_start(line, usual, LINE_BUFFER, type);
}

/* -- Fields -- */

static void
audit_field(struct audit_line *line, const struct request *rq,
    const struct field *f, const void *base)
{
	struct audit *audit = rq->server->audit;
	const void *at = field_at(f, base);
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
			audit_line_uint(line, f->name, field_count(f, base));
		break;
	case FIELD_PAIRS:
		if (*(void *const *)at != NULL)
			audit_pairs(line, rq, f, base);
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

/* Operation, path and caller: from request to request the same, mostly. */
static void
audit_who_does_what(struct request *rq, struct audit_line *line)
{
	struct request_memo *memo = rq->memo;
	struct hf_text told;
	size_t start;

	if (memo != NULL && memo->told_len > 0) {
		told = (struct hf_text){ memo->told, memo->told_len };
		audit_line_members(line, told);
		return;
	}
	start = line->len + 1; /* behind the comma */
	audit_line_word(line, "op", text_of(rq->op->name));
	if (rq->path != NULL)
		audit_line_text(line, "path", text_of(rq->path));
	audit_caller(line, rq->who);
	if (memo == NULL || line->full || line->len - start > MEMO_TOLD)
		return;
	memo->told_len = line->len - start;
	memcpy(memo->told, line->buf + start, memo->told_len);
}

/* Operation, path, caller and parameters: the same in intents and denials.
 * False when there is more to tell than a line has room for. */
static bool
audit_describe(struct request *rq, struct audit_line *line)
{
	const struct schema *s = rq->op->in;
	bool whole = true;

	audit_line_uint(line, "id", rq->audit_id);
	audit_who_does_what(rq, line);
	if (rq->options.dry_run)
		audit_line_bool(line, "dry_run", true);
	if (rq->options.idempotency_key.ptr != NULL)
		audit_line_hashed(line, rq->server->audit, "idempotency_key",
		    bytes_of_text(rq->options.idempotency_key));
	if (!rq->decoded)
		return true; /* nobody checked what is in there */
	/* In an object of their own: no field can pass for a member of ours. */
	audit_line_begin(line, "in");
	for (size_t i = 0; i < s->count; i++)
		audit_field(line, rq, &s->fields[i], rq->in);
	for (size_t i = 0; i < s->count; i++)
		if (s->fields[i].kind == FIELD_LIST &&
		    list_has_context(&s->fields[i], rq->in))
			whole &= audit_batch(rq, line, &s->fields[i]);
	audit_line_end(line);
	return whole;
}

static enum hf_err
audit_write(struct request *rq, const struct audit_line *line)
{
	/* A refusal may be told in part; what is done is told in full. */
	if (line->full && rq->allowed)
		return HF_ERR_AUDIT;
	if (rq->lines != NULL)
		return audit_collect(rq->server->audit, rq->lines, line);
	return audit_append(rq->server->audit, line, &rq->audit_ticket);
}

enum hf_err
request_audit_intent(struct request *rq)
{
	struct audit_line line;
	UNSET char buf[LINE_BUFFER];
	enum hf_err err;

	if (rq->intent_written)
		return HF_OK;
	rq->audit_id = server_audit_id(rq->server, rq->lane);
	line_start(rq, buf, "request", &line);
	if (!audit_describe(rq, &line))
		return hf_fail(&rq->why, HF_ERR_TOO_LARGE,
		    "batch_input: more different contexts than a line of the "
		    "audit log, where the key wants them, has room for; send "
		    "fewer items");
	if ((err = audit_write(rq, &line)) != HF_OK)
		return err;
	rq->intent_written = true;
	/* What cannot be undone is on the disk before it is done. */
	if ((rq->op->flags & OP_CHANGES) != 0 && !rq->options.dry_run) {
		rq->audit_sync = true;
		return audit_flush(rq->server->audit, rq->audit_ticket, true);
	}
	return HF_OK;
}

enum hf_err
request_audit_outcome(struct request *rq, enum hf_err result)
{
	struct audit_line line;
	UNSET char buf[LINE_BUFFER];

	if (rq->intent_written) {
		audit_line_start(&line, buf, sizeof(buf), "response");
		audit_line_uint(&line, "id", rq->audit_id);
		audit_line_word(&line, "op", text_of(rq->op->name));
	} else {
		rq->audit_id = server_audit_id(rq->server, rq->lane);
		line_start(rq, buf, "refused", &line);
		(void)audit_describe(rq, &line);
	}
	audit_line_word(&line, "result", text_of(hf_err_name(result)));
	if (rq->replayed)
		audit_line_bool(&line, "replayed", true);
	if (result == HF_OK && rq->key_version != 0)
		audit_line_uint(&line, "used_version", rq->key_version);
	return audit_write(rq, &line);
}
