/* SPDX-License-Identifier: Apache-2.0 */
#include "service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../keyd/pin.h"
#include "../../keyd/audit_backing.h"
#include "../../keyd/crypto.h"
#include "../../keyd/pipeline.h"
#include "../../lib/bytes.h"
#include "disk.h"

enum { ARENA_FIRST = 128 << 10, ARENA_LIMIT = (8 * 16 + 1) << 20 };

static bool
write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	bool ok = f != NULL && fputs(text, f) >= 0;

	return f != NULL && fclose(f) == 0 && ok;
}

void
service_policy(struct service *s, const char *rules)
{
	char path[128], text[4096];
	struct hf_why why;

	(void)snprintf(path, sizeof(path), "%s/test.hcl", s->policies);
	(void)snprintf(text, sizeof(text),
	    "%s\nbind { subjects = [\"uid:4711\"] }\n",
	    rules == NULL ? "" : rules);
	if (rules == NULL)
		(void)unlink(path);
	else if (!write_text(path, text))
		abort();
	if (s->server.policy != NULL &&
	    policy_reload(s->server.policy, &why) != HF_OK) {
		(void)fprintf(stderr, "%s\n", why.text);
		abort();
	}
}

static enum hf_err
open_hsm(struct service *s, struct hf_why *why)
{
	/* Nothing there: every call fails at once. */
	struct hsm_settings settings = { .uri = s->soft.uri,
		.pin_source = s->soft.pin_source,
		.deadline_ms = s->with_hsm ? 5000 : 1 };
	enum hf_err err = hsm_open(&settings, NULL, NULL, &s->server.hsm, why);

	s->server.hsms[0] = s->server.hsm;
	s->server.hsm_count = err == HF_OK;
	return err;
}

static enum hf_err
open_parts(struct service *s, struct hf_why *why)
{
	struct server *v = &s->server;
	char socket[96], key[96];
	struct audit_settings audit = { .file = s->audit_file,
		.public_key = key,
		.checkpoint_lines = 1000000,
		.checkpoint_seconds = 1000000 };
	struct transport_settings sockets = { .socket = socket,
		.socket_mode = 0600 };
	enum hf_err err;

	(void)snprintf(socket, sizeof(socket), "%s/sock", s->dir);
	(void)snprintf(key, sizeof(key), "%s/audit.pub", s->dir);
	v->default_prefix = "vault";
	(void)pthread_mutex_init(&v->renewing, NULL);
	v->idempotency_seconds = 86400;
	if ((err = store_memory_open(s->memory, &v->store)) != HF_OK ||
	    (err = open_hsm(s, why)) != HF_OK ||
	    (err = hierarchy_open(v->store, v->hsm, &v->hierarchy, why)) !=
		HF_OK ||
	    (err = keys_open(v->store, v->hierarchy, 1000, &v->keys)) !=
		HF_OK ||
	    (err = pins_open(v->store, v->hierarchy, &v->pins)) != HF_OK ||
	    (err = policy_open(s->policies, &v->policy, why)) != HF_OK ||
	    (err = audit_backing_open(v, &audit, &v->audit, why)) != HF_OK ||
	    (err = transport_open(&sockets, v, &v->transport, why)) != HF_OK)
		return err;
	if (!s->with_hsm)
		return HF_OK;
	if ((err = hsm_wait_ready(v->hsm, 10000)) != HF_OK ||
	    (err = hierarchy_init(v->hierarchy, why)) != HF_OK ||
	    (err = hierarchy_unlock(v->hierarchy, why)) != HF_OK)
		return err;
	return audit_backing_unlocked(v);
}

bool
service_start(struct service *s, bool with_hsm)
{
	struct hf_text who[] = { TEXT("uid:4711") };
	struct hf_why why = { "" };
	enum hf_err err;

	*s = (struct service){ .with_hsm = with_hsm };
	(void)snprintf(s->dir, sizeof(s->dir), "/tmp/holdfast-service-XXXXXX");
	if (mkdtemp(s->dir) == NULL || crypto_init(&why) != HF_OK)
		return false;
	(void)snprintf(s->policies, sizeof(s->policies), "%s/p", s->dir);
	(void)snprintf(
	    s->audit_file, sizeof(s->audit_file), "%s/audit.log", s->dir);
	if (mkdir(s->policies, 0700) != 0 || !softhsm_start(&s->soft))
		return false;
	if (!with_hsm && !softhsm_hide(&s->soft))
		return false;
	s->memory = store_memory_new();
	if ((err = open_parts(s, &why)) != HF_OK ||
	    (err = identity_of_subjects(who, 1, &s->who, &why)) != HF_OK ||
	    (err = arena_new(ARENA_FIRST, ARENA_LIMIT, &s->arena)) != HF_OK ||
	    (err = arena_new(ARENA_FIRST, ARENA_LIMIT, &s->worker)) != HF_OK) {
		(void)fprintf(
		    stderr, "service: %s: %s\n", hf_err_name(err), why.text);
		return false;
	}
	s->who->local = true;
	s->who->uid = 4711;
	s->who->gid = 4711;
	return true;
}

void
service_stop(struct service *s)
{
	struct server *v = &s->server;

	service_reset(s);
	pipeline_connection_closed(&s->slot);
	transport_close(v->transport);
	audit_close(v->audit);
	pins_close(v->pins);
	keys_close(v->keys);
	policy_close(v->policy);
	hierarchy_close(v->hierarchy);
	hsm_close(v->hsm);
	store_close(v->store);
	store_memory_free(s->memory);
	identity_free(s->who);
	arena_free(s->arena);
	arena_free(s->worker);
	softhsm_stop(&s->soft);
	disk_remove(s->dir);
}

void
service_reset(struct service *s)
{
	if (s->arena != NULL)
		arena_reset(s->arena);
	if (s->worker != NULL)
		arena_reset(s->worker);
}

/* What a deferred request takes along: as exchange_set_request has it. */
static void
to_worker(struct service *s)
{
	struct request first = s->rq;

	s->rq = (struct request){
		.server = first.server,
		.who = first.who,
		.arena = s->worker,
		.message = first.message,
		.may_block = true,
		.slot = s->worker_only ? &s->slot : NULL,
		.audit_ticket = first.audit_ticket,
		.audit_sync = first.audit_sync,
		.grant = first.grant,
		.op = first.op,
		.intended = first.intended,
		.audit_id = first.audit_id,
		.intent_written = first.intent_written,
	};
}

enum hf_err
service_run(struct service *s, struct hf_bytes message)
{
	enum hf_err err;

	s->rq = (struct request){ .server = &s->server,
		.who = s->who,
		.slot = &s->slot,
		.arena = s->arena,
		.message = message };
	s->lingering = LINGER_OFFERED;
	s->rq.linger = &s->lingering;
	err = s->worker_only ? HF_ERR_DEFER : pipeline_run(&s->rq);
	if (err == HF_ERR_DEFER && s->lingering == LINGER_WANTED) {
		to_worker(s);
		s->lingering = LINGER_NOW;
		s->rq.linger = &s->lingering;
		s->rq.may_block = false;
		err = pipeline_run(&s->rq);
	}
	if (err == HF_ERR_DEFER) {
		to_worker(s);
		err = pipeline_run(&s->rq);
	}
	if (err == HF_OK && s->rq.audit_ticket != 0)
		(void)pipeline_flush(
		    &s->server, s->rq.audit_ticket, s->rq.audit_sync);
	return err;
}

enum hf_err
service_call(struct service *s, const char *op, const void *in, void *out,
    struct hf_why *why)
{
	const struct op *o = op_by_name(text_of(op));
	struct hf_why unheard;
	uint8_t *message;
	size_t len = 0;
	enum hf_err err;

	if (why != NULL)
		why->text[0] = '\0';
	service_reset(s);
	(void)envelope_request_with(
	    text_of(op), &s->options, o->in, in, NULL, 0, &len);
	message = arena_alloc(s->arena, len);
	if (message == NULL ||
	    envelope_request_with(text_of(op), &s->options, o->in, in, message,
		len, &len) != HF_OK)
		abort();
	err = service_run(s, bytes_of(message, len));
	if (err != HF_OK)
		return err;
	return envelope_open_reply(
	    s->rq.reply, o->out, s->worker, out, why == NULL ? &unheard : why);
}

char *
service_audit(struct service *s, size_t *len)
{
	FILE *f = fopen(s->audit_file, "r");
	char *text = NULL;
	size_t room = 0;
	ssize_t n;

	if (f == NULL)
		abort();
	n = getdelim(&text, &room, '\0', f);
	(void)fclose(f);
	*len = n < 0 ? 0 : (size_t)n;
	if (text == NULL)
		text = calloc(1, 1);
	if (n <= 0 && text != NULL)
		text[0] = '\0';
	return text;
}
