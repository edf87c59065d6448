/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of a daemon in this process, without its sockets, and requests
 * that go straight into the pipeline: what one of them costs, and where. The
 * settings are those of a daemon that does not run. Lines on the input:
 *	stages OP COUNT		ns of each stage of the pipeline, as a median
 *	allocations OP COUNT	calls of malloc for one request, once warm, and
 *				how often OpenSSL's heap took pages for it
 *	run OP COUNT		nothing to tell; for callgrind
 * OP is encrypt, decrypt, sign or hmac.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../keyd/audit_backing.h"
#include "../../keyd/daemon.h"
#include "../../keyd/handlers.h"
#include "../../keyd/heap.h"
#include "../../keyd/request.h"
#include "../../keyd/request_audit.h"
#include "../../keyd/request_policy.h"
#include "../../keyd/request_slot.h"
#include "../../keyd/server.h"
#include "../../keyd/settings.h"
#include "../../lib/bytes.h"
#include "../../lib/envelope.h"
#include "allocations.h"
#include "cost.h"
#include "crew.h"
#include "histogram.h"
#include "message.h"
#include "role.h"
#include "words.h"

enum {
	WARM = 200,
	ARENA_FIRST = 128 << 10,
	ARENA_LIMIT = 64 << 20,
};

struct parts {
	struct settings settings;
	struct server server;
	struct identity *who;
	struct request_slot slot;
	struct audit_batch lines;
	struct arena *arena;
};

/* -- Putting together -- */

static enum hf_err
open_parts(struct parts *p, const char *config, struct hf_why *why)
{
	struct server *s = &p->server;
	char self[32];
	struct hf_text subject = { self, 0 };
	enum hf_err err;

	(void)snprintf(self, sizeof(self), "uid:%u", (unsigned)getuid());
	subject.len = strlen(self);
	if ((err = settings_load(config, &p->settings, why)) != HF_OK ||
	    (err = daemon_harden(why)) != HF_OK ||
	    (err = daemon_open(s, &p->settings, why)) != HF_OK ||
	    (err = hsm_wait_ready(s->hsm, 20000)) != HF_OK ||
	    (err = hierarchy_unlock(s->hierarchy, why)) != HF_OK ||
	    (err = audit_backing_unlocked(s)) != HF_OK ||
	    (err = arena_new(ARENA_FIRST, ARENA_LIMIT, &p->arena)) != HF_OK)
		return err;
	p->lines.cap = AUDIT_BATCH;
	p->lines.buf = malloc(AUDIT_BATCH);
	if (p->lines.buf == NULL)
		return HF_ERR_NO_MEMORY;
	return identity_of_subjects(&subject, 1, &p->who, why);
}

/* -- One request -- */

static struct request
request_of(struct parts *p, struct hf_bytes message, bool may_block)
{
	return (struct request){
		.server = &p->server,
		.who = p->who,
		.slot = &p->slot,
		.arena = p->arena,
		.message = message,
		.may_block = may_block,
	};
}

static bool
is_result(struct hf_bytes reply)
{
	return reply.len > 5 && memcmp(reply.ptr, "\xa1\x63out", 5) == 0;
}

/* Whole, as the transport runs it, without the flush. */
static bool
run_once(struct parts *p, struct hf_bytes message, bool may_block)
{
	struct request rq = request_of(p, message, may_block);
	enum hf_err err = pipeline_run(&rq);
	bool ok = err == HF_OK && is_result(rq.reply);

	if (err == HF_ERR_DEFER && !may_block) {
		/* The first use of a key reads the store. */
		policy_grant_free(rq.grant);
		arena_reset(p->arena);
		return run_once(p, message, true);
	}
	if (!ok)
		(void)fprintf(stderr, "%s: %.*s\n", hf_err_name(err),
		    (int)rq.reply.len, (const char *)rq.reply.ptr);
	if (ok && rq.audit_ticket != 0)
		ok = pipeline_flush(
			 &p->server, rq.audit_ticket, rq.audit_sync) == HF_OK;
	arena_reset(p->arena);
	return ok;
}

/* In the table of dynamic symbols, so that it has a name when the program is
 * stripped. */
__attribute__((noinline, visibility("default"))) bool cost_measured(
    struct parts *p, struct hf_bytes message);

/* callgrind collects below this (--toggle-collect). */
bool
cost_measured(struct parts *p, struct hf_bytes message)
{
	struct request rq = request_of(p, message, false);
	enum hf_err err;

	rq.lines = &p->lines;
	err = pipeline_run(&rq);
	if (err == HF_OK)
		err = pipeline_commit(&p->server, rq.lines, &rq.audit_ticket);
	arena_reset(p->arena);
	return err == HF_OK;
}

/* -- Stage by stage -- */

/* The same calls as pipeline_run() makes, with a look at the clock between
 * them. What stands between two of its stages and is not here costs nothing
 * that could be measured. */
static bool
stages_once(struct parts *p, struct hf_bytes message, uint64_t at[COST_CLOCKS])
{
	struct request rq = request_of(p, message, false);
	struct envelope e;
	size_t i = 0;
	enum hf_err err;

	rq.lines = &p->lines;
	at[i++] = clock_ns();
	if ((err = envelope_open(rq.message, &e, &rq.why)) != HF_OK)
		return false;
	rq.op = op_by_name(e.op);
	rq.in = request_alloc(&rq, rq.op->in->size);
	rq.out = request_alloc(&rq, rq.op->out->size);
	if ((err = schema_decode(rq.op->in, e.in, rq.arena, rq.in, &rq.why)) !=
	    HF_OK)
		return false;
	rq.decoded = true;
	at[i++] = clock_ns();
	if (request_identify(&rq) != HF_OK || request_find_key(&rq) != HF_OK)
		return false;
	at[i++] = clock_ns();
	if (request_allow(&rq) != HF_OK)
		return false;
	at[i++] = clock_ns();
	if (request_audit_intent(&rq) != HF_OK)
		return false;
	at[i++] = clock_ns();
	if (cost_handler(&rq) != HF_OK)
		return false;
	at[i++] = clock_ns();
	if (request_reply(&rq) != HF_OK)
		return false;
	at[i++] = clock_ns();
	if (request_audit_outcome(&rq, HF_OK) != HF_OK ||
	    pipeline_commit(&p->server, rq.lines, &rq.audit_ticket) != HF_OK)
		return false;
	at[i++] = clock_ns();
	if (pipeline_flush(&p->server, rq.audit_ticket, false) != HF_OK)
		return false;
	at[i++] = clock_ns();
	key_unref(rq.key);
	policy_grant_free(rq.grant);
	arena_reset(p->arena);
	at[i++] = clock_ns();
	at[i++] = clock_ns(); /* what looking at the clock takes */
	return true;
}

static bool
tell_stages(struct parts *p, struct hf_bytes message, unsigned count)
{
	static struct histogram stages[COST_CLOCKS - 1];
	uint64_t at[COST_CLOCKS];
	double clock;

	memset(stages, 0, sizeof(stages));
	for (unsigned i = 0; i < count; i++) {
		if (!stages_once(p, message, at))
			return false;
		for (size_t k = 0; k + 1 < COST_CLOCKS; k++)
			histogram_add(&stages[k], at[k + 1] - at[k]);
	}
	clock = histogram_at(&stages[COST_CLOCKS - 2], 0.5);
	(void)printf("ok");
	for (size_t k = 0; k + 2 < COST_CLOCKS; k++)
		(void)printf(" %.1f", histogram_at(&stages[k], 0.5) - clock);
	(void)printf("\n");
	return true;
}

static bool
tell_allocations(struct parts *p, struct hf_bytes message, unsigned count)
{
	uint64_t before = allocations() + heap_use().grown;

	if (!allocations_counted()) {
		(void)printf("refused not counted under a sanitizer\n");
		return true;
	}
	for (unsigned i = 0; i < count; i++)
		if (!run_once(p, message, false))
			return false;
	(void)printf("ok %.3f\n",
	    (double)(allocations() + heap_use().grown - before) /
		(double)count);
	return true;
}

/* -- The conversation -- */

static bool
make_key(struct parts *p, const char *name, const char *type)
{
	struct hf_bytes message;
	bool ok;

	message.ptr = message_create(name, type, &message.len);
	ok = message.ptr != NULL && run_once(p, message, true);
	free((void *)(uintptr_t)message.ptr);
	return ok;
}

/* A decryption needs a ciphertext. */
static bool
message_for(struct parts *p, const char *op, struct hf_bytes *out)
{
	struct hf_bytes first = { 0 };
	struct request rq;

	out->ptr = NULL;
	if (strcmp(op, "encrypt") == 0)
		out->ptr = message_encrypt("bench-aes", 0, &out->len);
	else if (strcmp(op, "sign") == 0)
		out->ptr = message_sign("bench-p256", false, &out->len);
	else if (strcmp(op, "hmac") == 0)
		out->ptr = message_hmac("bench-aes", &out->len);
	if (out->ptr != NULL || strcmp(op, "decrypt") != 0)
		return out->ptr != NULL;
	first.ptr = message_encrypt("bench-aes", 0, &first.len);
	rq = request_of(p, first, true);
	if (first.ptr != NULL && pipeline_run(&rq) == HF_OK)
		out->ptr =
		    message_decrypt("bench-aes", rq.reply, p->arena, &out->len);
	arena_reset(p->arena);
	free((void *)(uintptr_t)first.ptr);
	return out->ptr != NULL;
}

static bool
serve(struct parts *p, const char *what, const char *op, unsigned count)
{
	struct hf_bytes message;
	bool ok = message_for(p, op, &message);

	for (unsigned i = 0; ok && i < WARM; i++)
		ok = run_once(p, message, false);
	if (ok && strcmp(what, "stages") == 0)
		ok = tell_stages(p, message, count);
	else if (ok && strcmp(what, "allocations") == 0)
		ok = tell_allocations(p, message, count);
	else if (ok) {
		for (unsigned i = 0; ok && i < count; i++)
			ok = cost_measured(p, message);
		(void)printf("ok\n");
	}
	if (!ok)
		(void)printf("failed\n");
	free((void *)(uintptr_t)message.ptr);
	return fflush(stdout) == 0;
}

int
role_cost(int argc, char **argv)
{
	static struct parts p;
	struct hf_why why = { "" };
	char line[128], what[16], op[16], *at;
	unsigned count;
	enum hf_err err;

	if (argc != 1)
		return 2;
	if ((err = open_parts(&p, argv[0], &why)) != HF_OK ||
	    !make_key(&p, "bench-aes", "aes256-gcm96") ||
	    !make_key(&p, "bench-p256", "ecdsa-p256")) {
		(void)fprintf(
		    stderr, "cost: %s: %s\n", hf_err_name(err), why.text);
		return 1;
	}
	while ((at = fgets(line, sizeof(line), stdin)) != NULL &&
	    word_text(&at, what, sizeof(what)) &&
	    word_text(&at, op, sizeof(op)) && word_count(&at, &count) &&
	    serve(&p, what, op, count))
		;
	daemon_close(&p.server);
	_exit(0); /* as main.c of the daemon does */
}
