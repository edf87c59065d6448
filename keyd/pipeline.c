/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request bytes -> envelope -> schema -> identity -> policy -> audit intent ->
 * operation -> audit outcome -> reply. Each stage is a function, here or in
 * request_policy.c, request_once.c and request_audit.c; pipeline_run() at the
 * end is the sentence.
 */
#include "pipeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/bytes.h"
#include "../lib/envelope.h"
#include "audit.h"
#include "effects.h"
#include "handlers.h"
#include "hsm_await.h"
#include "key.h"
#include "key_purpose.h"
#include "log.h"
#include "pin.h"
#include "request_audit.h"
#include "request_once.h"
#include "request_policy.h"
#include "request_slot.h"
#include "server.h"
#include "upkeep.h"

enum {
	/* What is longer takes longer than the way to a worker and back. */
	LONG_MESSAGE = 64 << 10,
	WARNINGS = 10,     /* of failed requests, in a second */
	REPLY_EXTRA = 512, /* bytes that most replies have over their request */
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

/* What an operation cannot do so is refused, never done otherwise. */
static enum hf_err
check_options(struct request *rq)
{
	bool keyed = rq->options.idempotency_key.ptr != NULL;

	if (rq->options.dry_run && !op_may_be_dry(rq->op))
		return hf_fail(&rq->why, HF_ERR_NOT_OFFERED,
		    (rq->op->flags & OP_CHANGES) != 0
			? "there is no dry run of %s: it was not carried out"
			: "%s changes nothing, so there is no dry run of it; "
			  "it was not carried out",
		    rq->op->name);
	if (keyed && (rq->op->flags & OP_ONCE) == 0)
		return hf_fail(&rq->why, HF_ERR_NOT_OFFERED,
		    "%s takes no idempotency key; it was not carried out",
		    rq->op->name);
	return HF_OK;
}

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
	rq->input = e.in;
	rq->options = e.options;
	if ((err = check_options(rq)) != HF_OK)
		return err;
	rq->in = request_alloc(rq, rq->op->in->size);
	rq->out = request_alloc(rq, rq->op->out->size);
	if (rq->in == NULL || rq->out == NULL)
		return HF_ERR_NO_MEMORY;
	if ((err = schema_decode(
		 rq->op->in, e.in, rq->arena, rq->in, &rq->why)) == HF_OK)
		rq->decoded = true;
	return err;
}

/* -- PIN and purpose: what policy does not speak about -- */

static const struct hf_bytes *
request_login_field(const struct request *rq)
{
	const struct schema *s = rq->op->in;

	for (size_t i = 0; i < s->count; i++)
		if (strcmp(s->fields[i].name, "login") == 0 &&
		    s->fields[i].kind == FIELD_BYTES)
			return (const void *)((const uint8_t *)rq->in +
			    s->fields[i].offset);
	return NULL;
}

/*
 * Who has a PIN does more than look at keys only where the request proves it.
 * An operation that has no field for that is refused: export, for one.
 */
static enum hf_err
request_login(struct request *rq)
{
	struct pins *pins = rq->server->pins;
	const struct hf_bytes *login;
	struct hf_text path;
	bool looks;

	if (pins == NULL || !pin_needed(pins, rq->who))
		return HF_OK;
	path = text_of(rq->op->path);
	looks = (rq->op->cap == HF_CAP_READ || rq->op->cap == HF_CAP_LIST) &&
	    text_starts(path, TEXT("transit/keys/"));
	if (looks || text_starts(path, TEXT("sys/")))
		return HF_OK;
	login = request_login_field(rq);
	if (login == NULL)
		return HF_ERR_LOGIN_REQUIRED;
	return pin_check_login(pins, rq->who, rq->may_block, *login);
}

static enum hf_err
request_purpose(struct request *rq)
{
	if (rq->key == NULL || key_purpose_allows(rq->key, rq->op->path))
		return HF_OK;
	return hf_fail(&rq->why, HF_ERR_KEY_PURPOSE,
	    "key %s was not made for this", rq->key->name);
}

/*
 * With several HSMs "the HSM does not answer" does not say enough: which one
 * holds the key?
 */
static void
request_name_hsm(struct request *rq)
{
	char holders[HSM_DEVICES][HSM_NAME];
	const struct key_version *v = NULL;

	for (size_t i = 0; rq->key != NULL && i < rq->key->count; i++)
		if (rq->key->versions[i].level == LEVEL_HSM &&
		    (rq->key_version == 0 ||
			rq->key->versions[i].number == rq->key_version))
			v = &rq->key->versions[i];
	if (v == NULL || rq->server->hsm_count < 2 || rq->why.text[0] != '\0')
		return;
	if (hierarchy_holders(
		rq->server->hierarchy, &v->hsm, v->hsm_home, holders) == 0)
		(void)snprintf(rq->why.text, sizeof(rq->why.text),
		    "version %u of key %s is in an HSM that is no longer in "
		    "the hierarchy",
		    v->number, rq->key->name);
	else
		(void)snprintf(rq->why.text, sizeof(rq->why.text),
		    "version %u of key %s is in HSM %s, which does not answer",
		    v->number, rq->key->name, holders[0]);
}

/* -- Reply -- */

static enum hf_err
reply_error(struct request *rq, enum hf_err result)
{
	uint8_t *buf = request_alloc(rq, ENVELOPE_ERROR_MAX);
	size_t len;
	enum hf_err err;

	if (buf == NULL)
		return HF_ERR_NO_MEMORY;
	err = envelope_error(result,
	    rq->why.text[0] == '\0' ? NULL : rq->why.text, buf,
	    ENVELOPE_ERROR_MAX, &len);
	rq->reply = bytes_of(buf, len);
	return err == HF_OK ? HF_OK : HF_ERR_NO_MEMORY;
}

/* Most replies fit what the arena has left: no need to measure them first. */
static bool
reply_at_once(struct request *rq)
{
	size_t cap, len;
	uint8_t *buf = arena_rest(rq->arena, &cap);
	bool fits;

	/* A reply is seldom much longer than its request. */
	if (cap < rq->message.len + REPLY_EXTRA)
		return false;
	fits = envelope_reply(rq->op->out, rq->out, buf, cap, &len) == HF_OK;
	/* What did not fit is to be wiped, too. */
	arena_keep(rq->arena, fits ? len : cap);
	if (fits)
		rq->reply = bytes_of(buf, len);
	return fits;
}

enum hf_err
request_reply(struct request *rq)
{
	const struct schema *s = rq->op->out;
	uint8_t *buf;
	size_t len = 0;

	if (reply_at_once(rq))
		return HF_OK;
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

/* What a dry run found out; HF_ERR_DRY_RUN when that can be told. */
static enum hf_err
reply_dry_run(struct request *rq, struct effects *effects)
{
	struct hf_dry_run dry = { effects->changes, effects->count,
		effects->more };
	uint8_t *buf;
	size_t len = 0;
	enum hf_err err;

	if (envelope_part(TEXT("dry_run"), &schema_dry_run, &dry, NULL, 0,
		&len) != HF_ERR_BUFFER_TOO_SMALL)
		return HF_ERR_SYSTEM;
	buf = request_alloc(rq, len);
	if (buf == NULL)
		return HF_ERR_TOO_LARGE;
	rq->reply = bytes_of(buf, len);
	err = envelope_part(
	    TEXT("dry_run"), &schema_dry_run, &dry, buf, len, &len);
	return err == HF_OK ? HF_ERR_DRY_RUN : err;
}

/* -- The operation itself -- */

static enum hf_err
run_handler(struct request *rq, struct effects *effects)
{
	enum hf_err err;

	effects_enter(effects);
	err = handlers[op_index(rq)](rq);
	effects_leave();
	return err;
}

/* Everything but the change; what would not change anything is fine too. */
static enum hf_err
perform_dry(struct request *rq)
{
	struct effects effects = { .dry = true, .arena = rq->arena };
	bool again;
	enum hf_err err = request_once_replay(rq, &again);

	if (err == HF_OK && !again)
		err = run_handler(rq, &effects);
	if (err == HF_OK || err == HF_ERR_DRY_RUN)
		err = reply_dry_run(rq, &effects);
	return err;
}

/* Not again what was done already under this idempotency key. */
static enum hf_err
perform_once(struct request *rq)
{
	struct effects effects = { .arena = rq->arena };
	bool again;
	enum hf_err err = request_once_replay(rq, &again);

	if (err != HF_OK || again)
		return err;
	if ((err = request_once_ride(rq, &effects)) != HF_OK)
		return err;
	err = request_once_settle(
	    rq, &effects, run_handler(rq, &effects), &again);
	if (err != HF_OK || again)
		return err;
	if ((err = request_reply(rq)) == HF_OK)
		request_once_keep(rq);
	return err;
}

static enum hf_err
perform(struct request *rq)
{
	enum hf_err err;

	if (rq->options.dry_run)
		return perform_dry(rq);
	if (rq->once != NULL)
		return perform_once(rq);
	err = handlers[op_index(rq)](rq);
	return err == HF_OK ? request_reply(rq) : err;
}

/* By its own name: an alias may point elsewhere by now, and policy was asked
 * about this key. */
static enum hf_err
find_anew(struct request *rq)
{
	struct key *old = rq->key;
	enum hf_err err;

	if (old == NULL)
		return HF_ERR_KEY_NOT_FOUND;
	rq->key = NULL;
	err = keys_get(
	    rq->server->keys, text_of(old->name), rq->may_block, &rq->key);
	key_unref(old);
	return err;
}

/* A key that reached its limit is rotated, on a worker; then once more. */
static enum hf_err
perform_renewed(struct request *rq)
{
	const struct key *spent = rq->spent != NULL ? rq->spent : rq->key;
	enum hf_err err;

	if (spent == NULL || rq->options.dry_run)
		return HF_ERR_KEY_EXHAUSTED;
	if (!rq->may_block)
		return HF_ERR_DEFER;
	if ((err = upkeep_renew(rq->server, spent, &rq->why)) != HF_OK)
		return err;
	if ((err = find_anew(rq)) != HF_OK)
		return err;
	memset(rq->out, 0, rq->op->out->size);
	rq->why.text[0] = '\0';
	return perform(rq);
}

static enum hf_err
request_perform(struct request *rq)
{
	enum hf_err err = perform(rq);

	return err == HF_ERR_KEY_EXHAUSTED ? perform_renewed(rq) : err;
}

/* -- Around a run -- */

/* A flood of failures must not become a flood of lines; all are counted. */
static bool
may_warn(struct server *s)
{
	uint64_t now = (uint64_t)time(NULL);

	if (atomic_exchange(&s->warned_at, now) != now)
		atomic_store(&s->warnings, 0);
	return atomic_fetch_add(&s->warnings, 1) < WARNINGS;
}

static void
count(struct request *rq, enum hf_err result)
{
	struct server *s = rq->server;
	bool ok = result == HF_OK || result == HF_ERR_DRY_RUN;

	server_count(s, rq->lane, op_index(rq),
	    ok                                ? OUTCOME_OK
		: hf_err_status(result) < 500 ? OUTCOME_REFUSED
					      : OUTCOME_FAILED);
	/* What the service could not do is its operator's business. */
	if (result != HF_OK && hf_err_status(result) >= 500 && may_warn(s))
		log_warning("%s for %s: %s%s%s", rq->op->name, rq->who->label,
		    hf_err_name(result), rq->why.text[0] == '\0' ? "" : ": ",
		    rq->why.text);
}

static void
request_release(struct request *rq)
{
	key_unref(rq->key);
	rq->key = NULL;
	key_unref(rq->intended);
	rq->intended = NULL;
	key_unref(rq->spent);
	rq->spent = NULL;
	policy_grant_free(rq->grant);
	rq->grant = NULL;
}

/* The key is looked up anew by the worker; the grant travels, and which key the
 * intent is about. The worker's flush is to cover that. */
static enum hf_err
request_defer(struct request *rq)
{
	if (rq->lines != NULL && rq->intent_written &&
	    audit_commit(rq->server->audit, rq->lines, &rq->audit_ticket) !=
		HF_OK)
		return HF_ERR_AUDIT;
	if (rq->intent_written && rq->intended == NULL &&
	    op_names_key(rq->op) && rq->key != NULL)
		rq->intended = key_ref(rq->key);
	key_unref(rq->key);
	rq->key = NULL;
	key_unref(rq->spent);
	rq->spent = NULL;
	rq->why.text[0] = '\0';
	rq->key_version = 0;
	return HF_ERR_DEFER;
}

/* What always blocks goes to a worker before anything is written down. */
static enum hf_err
request_place(const struct request *rq)
{
	bool blocks = (rq->op->flags & (OP_CHANGES | OP_WORKER)) != 0 ||
	    rq->message.len > LONG_MESSAGE;

	return blocks && !rq->may_block ? HF_ERR_DEFER : HF_OK;
}

/* Only the answer of the HSM is missing: all else stays as it is. */
static bool
is_awaiting(const struct request *rq)
{
	return rq->await != NULL && rq->await->state == AWAIT_SENT;
}

/* What stands in the slot of the connection may be another request's soon. */
static bool
request_stay(struct request *rq)
{
	struct request_memo *memo;

	rq->slot = NULL;
	if (rq->memo == NULL)
		return true;
	memo = request_alloc(rq, sizeof(*memo));
	if (memo == NULL)
		return false;
	*memo = *rq->memo;
	rq->memo = memo;
	rq->path = memo->path;
	return true;
}

/* From what came of the operation to the reply. */
static enum hf_err
request_settle(struct request *rq, enum hf_err result)
{
	enum hf_err err;

	if (result == HF_ERR_DEFER) {
		if (is_awaiting(rq)) {
			if (request_stay(rq))
				return HF_ERR_DEFER;
			hsm_await_drop(rq->await);
		}
		if ((result = request_defer(rq)) == HF_ERR_DEFER)
			return result;
	}
	if (result == HF_ERR_HSM_UNAVAILABLE || result == HF_ERR_HSM_PIN ||
	    result == HF_ERR_HSM_STUCK || result == HF_ERR_HSM_UNINITIALIZED)
		request_name_hsm(rq);
	if (rq->op != NULL) {
		/* What is not in the log did not happen, for the caller. */
		if (result != HF_ERR_AUDIT &&
		    (err = request_audit_outcome(rq, result)) != HF_OK)
			result = err;
		count(rq, result);
	}
	if (result == HF_ERR_DRY_RUN) {
		result = HF_OK; /* its reply is there */
	} else if (result != HF_OK) {
		if (result == HF_ERR_AUDIT)
			rq->why.text[0] = '\0';
		result = reply_error(rq, result);
	}
	request_release(rq);
	return result;
}

enum hf_err
pipeline_run(struct request *rq)
{
	enum hf_err result;

	if ((result = request_decode(rq)) == HF_OK &&
	    (result = request_identify(rq)) == HF_OK &&
	    (result = request_find_key(rq)) == HF_OK &&
	    (result = request_once_find(rq)) == HF_OK &&
	    (result = request_allow(rq)) == HF_OK &&
	    (result = request_login(rq)) == HF_OK &&
	    (result = request_purpose(rq)) == HF_OK &&
	    (result = request_place(rq)) == HF_OK &&
	    (result = request_audit_intent(rq)) == HF_OK)
		result = request_perform(rq);
	return request_settle(rq, result);
}

/* The handler once more: this time its call to the HSM has a result. */
enum hf_err
pipeline_resume(struct request *rq)
{
	memset(rq->out, 0, rq->op->out->size);
	rq->why.text[0] = '\0';
	return request_settle(rq, request_perform(rq));
}

void
pipeline_abandon(struct request *rq, enum hf_err result)
{
	if (rq->intent_written && request_audit_outcome(rq, result) != HF_OK)
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

enum hf_err
pipeline_commit(
    struct server *server, struct audit_batch *lines, uint64_t *ticket)
{
	return audit_commit(server->audit, lines, ticket);
}

void
pipeline_connection_closed(struct request_slot *slot)
{
	request_slot_clear(slot);
}
