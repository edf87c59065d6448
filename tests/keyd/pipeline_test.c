/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/pipeline.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../lib/bytes.h"
#include "../../lib/envelope.h"
#include "../fake/message.h"
#include "service_fixture.h"

/*
 * What holds for every row of the operations table, and the promises of
 * pipeline.h: over a real SoftHSM, with everything but the sockets.
 */

static int
setup(void **state)
{
	if (service_setup(state) != 0)
		return -1;
	make_key("there", "aes256-gcm96", NULL);
	make_key("signer", "ecdsa-p384", NULL);
	return 0;
}

/* A message as its connection brings it. */
static struct request
arrived(struct hf_bytes message)
{
	return (struct request){ .server = &service.server,
		.who = service.who,
		.slot = &service.slot,
		.arena = service.arena,
		.message = message };
}

/* The least that an operation takes: its required fields, about `name`. */
static struct hf_bytes
least_message(const struct op *op, const char *name)
{
	static uint8_t buf[4096];
	static uint64_t seed = 1;
	struct arena *arena = NULL;
	const struct field *key = op_key_field(op);
	uint8_t *in;
	size_t len;

	assert_int_equal(arena_new(8192, 1 << 20, &arena), HF_OK);
	in = message_room(arena, op->in->size);
	for (size_t i = 0; i < op->in->count; i++)
		if ((op->in->fields[i].flags & REQUIRED) != 0)
			message_fill_field(
			    &op->in->fields[i], arena, false, &seed, in);
	if (key != NULL)
		*(struct hf_text *)(void *)(in + key->offset) = text_of(name);
	assert_int_equal(envelope_request(text_of(op->name), op->in, in, buf,
			     sizeof(buf), &len),
	    HF_OK);
	arena_free(arena);
	return bytes_of(buf, len);
}

static enum hf_err
ask(const struct op *op, struct hf_bytes message)
{
	void *out = calloc(1, op->out->size);
	struct arena *arena = NULL;
	enum hf_err err;

	assert_non_null(out);
	assert_int_equal(arena_new(8192, 64 << 20, &arena), HF_OK);
	service_reset(&service);
	assert_int_equal(service_run(&service, message), HF_OK);
	err = envelope_open_reply(service.rq.reply, op->out, arena, out, &why);
	assert_int_not_equal(err, HF_ERR_BAD_REPLY);
	assert_int_not_equal(err, HF_ERR_DEFER);
	arena_free(arena);
	free(out);
	return err;
}

/* How often `what` stands in the audit log after byte `from`. */
static unsigned
audit_count(size_t from, const char *what)
{
	size_t len;
	char *log = service_audit(&service, &len);
	unsigned n = 0;

	for (const char *p = log + from; (p = strstr(p, what)) != NULL; p++)
		n++;
	free(log);
	return n;
}

static size_t
audit_length(void)
{
	size_t len;

	free(service_audit(&service, &len));
	return len;
}

/* -- For every operation -- */

/* CVE-2026-5807, CVE-2026-46405. */
static void
denies_every_operation_when_there_is_no_policy(void **state)
{
	(void)state;
	service_policy(&service, NULL);
	for (size_t i = 0; i < ops_count; i++) {
		size_t before = audit_length();

		assert_int_equal(ask(&ops[i], least_message(&ops[i], "there")),
		    HF_ERR_PERMISSION_DENIED);
		assert_int_equal(
		    audit_count(before, "\"type\":\"refused\""), 1);
		assert_int_equal(audit_count(before, "\n"), 1);
		assert_int_equal(
		    audit_count(before, "\"result\":\"permission_denied\""), 1);
	}
	service_policy(&service, EVERYTHING);
}

/* HF_CAP_... as a word in a policy on one path. */
static void
grant_only(const char *path, const char *caps)
{
	char rules[512];

	(void)snprintf(rules, sizeof(rules),
	    "path \"%s\" { capabilities = [%s] }", path, caps);
	service_policy(&service, rules);
}

static void
path_of(const struct op *op, const char *name, char out[256])
{
	const char *mark = strstr(op->path, "{name}");

	if (mark == NULL)
		(void)snprintf(out, 256, "%s", op->path);
	else
		(void)snprintf(out, 256, "%.*s%s%s", (int)(mark - op->path),
		    op->path, name, mark + 6);
}

static void
asks_for_the_capability_of_the_table_and_no_other(void **state)
{
	static const struct {
		unsigned cap;
		const char *word;
	} caps[] = { { HF_CAP_CREATE, "\"create\"" },
		{ HF_CAP_READ, "\"read\"" }, { HF_CAP_UPDATE, "\"update\"" },
		{ HF_CAP_PATCH, "\"patch\"" }, { HF_CAP_DELETE, "\"delete\"" },
		{ HF_CAP_LIST, "\"list\"" }, { HF_CAP_SUDO, "\"sudo\"" } };

	(void)state;
	for (size_t i = 0; i < ops_count; i++) {
		const struct op *op = &ops[i];
		char path[256];

		if (op->id == OP_policy_reload || op->id == OP_hsm_probe)
			continue; /* slow, and no different */
		if ((op->flags & OP_FILTERED) != 0)
			continue; /* asks about each thing that it shows */
		if ((op->flags & OP_SECOND) != 0)
			continue; /* asks about another key too */
		path_of(op, "there", path);
		for (size_t k = 0; k < sizeof(caps) / sizeof(caps[0]); k++) {
			bool enough = (unsigned)op->cap == caps[k].cap &&
			    (op->flags & OP_SUDO) == 0;
			enum hf_err err;

			if (enough && (op->flags & OP_CHANGES) != 0 &&
			    op->cap == HF_CAP_DELETE)
				continue; /* "there" is still needed */
			grant_only(path, caps[k].word);
			err = ask(op, least_message(op, "there"));
			if (enough)
				assert_int_not_equal(
				    err, HF_ERR_PERMISSION_DENIED);
			else
				assert_int_equal(err, HF_ERR_PERMISSION_DENIED);
		}
	}
	service_policy(&service, EVERYTHING);
}

static void
sudo_is_asked_for_besides(void **state)
{
	(void)state;
	for (size_t i = 0; i < ops_count; i++) {
		char path[256];

		if ((ops[i].flags & OP_SUDO) == 0)
			continue;
		path_of(&ops[i], "none", path);
		grant_only(path,
		    ops[i].cap == HF_CAP_DELETE ? "\"delete\"" : "\"update\"");
		assert_int_equal(ask(&ops[i], least_message(&ops[i], "none")),
		    HF_ERR_PERMISSION_DENIED);
		grant_only(path,
		    ops[i].cap == HF_CAP_DELETE ? "\"delete\", \"sudo\""
						: "\"update\", \"sudo\"");
		assert_int_not_equal(
		    ask(&ops[i], least_message(&ops[i], "none")),
		    HF_ERR_PERMISSION_DENIED);
	}
	service_policy(&service, EVERYTHING);
}

static void
answers_the_least_and_anything_within_bounds(void **state)
{
	uint64_t seed = 7;
	static uint8_t buf[1 << 16];

	(void)state;
	for (size_t i = 0; i < ops_count; i++) {
		const struct op *op = &ops[i];

		if (op->id == OP_hsm_probe)
			continue;
		(void)ask(op, least_message(op, "there"));
		(void)ask(op, least_message(op, "absent"));
		for (int turn = 0; turn < 4; turn++) {
			struct arena *arena = NULL;
			uint8_t *in;
			size_t len;

			assert_int_equal(
			    arena_new(8192, 1 << 20, &arena), HF_OK);
			in = message_room(arena, op->in->size);
			message_fill(op->in, arena, turn == 0, &seed, in);
			assert_int_equal(
			    envelope_request(text_of(op->name), op->in, in, buf,
				sizeof(buf), &len),
			    HF_OK);
			(void)ask(op, bytes_of(buf, len));
			arena_free(arena);
		}
	}
}

static void
changes_nothing_before_it_defers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ops_count; i++) {
		const struct op *op = &ops[i];
		struct hf_bytes message = least_message(op, "fresh-one");
		struct request rq = arrived(message);
		size_t before = audit_length();
		enum hf_err err;

		service_reset(&service);
		err = pipeline_run(&rq);
		if ((op->flags & (OP_CHANGES | OP_WORKER)) != 0) {
			assert_int_equal(err, HF_ERR_DEFER);
			assert_false(rq.intent_written);
		}
		if (err != HF_ERR_DEFER)
			continue;
		assert_null(rq.key);
		pipeline_abandon(&rq, HF_ERR_BUSY);
		assert_null(rq.grant);
		(void)audit_flush(service.server.audit, rq.audit_ticket, false);
		/* An intent that was written has its outcome. */
		assert_int_equal(audit_count(before, "\"type\":\"request\""),
		    audit_count(before, "\"type\":\"response\""));
	}
	service_reset(&service);
}

/* -- Upsert -- */

static enum hf_err
encrypt(const char *name)
{
	struct hf_encrypt_in in = { .name = text_of(name),
		.item.plaintext = bytes_of("x", 1) };
	struct hf_encrypt_out out;

	return service_call(&service, "transit.encrypt", &in, &out, &why);
}

/* A connection remembers what it found out about its last path. */
static void
what_is_known_of_one_path_is_not_said_of_another(void **state)
{
	struct hf_hmac_in mac = { .name = TEXT("there"),
		.item.input = bytes_of("x", 1) };
	struct hf_hmac_out out;
	size_t before;

	(void)state;
	make_key("their", "aes256-gcm96", NULL);
	grant_only("transit/encrypt/there", "\"update\"");
	before = audit_length();
	for (int i = 0; i < 2; i++) {
		assert_int_equal(encrypt("there"), HF_OK);
		assert_int_equal(encrypt("there"), HF_OK);
		assert_int_equal(encrypt("their"), HF_ERR_PERMISSION_DENIED);
		assert_int_equal(encrypt("the"), HF_ERR_PERMISSION_DENIED);
		assert_int_equal(
		    service_call(&service, "transit.hmac", &mac, &out, &why),
		    HF_ERR_PERMISSION_DENIED);
	}
	assert_int_equal(
	    audit_count(before,
		",\"op\":\"transit.encrypt\","
		"\"path\":\"transit/encrypt/there\",\"uid\":4711,"),
	    4);
	assert_int_equal(
	    audit_count(before, ",\"path\":\"transit/encrypt/their\","), 2);
	assert_int_equal(
	    audit_count(before, ",\"path\":\"transit/encrypt/the\","), 2);
	assert_int_equal(audit_count(before,
			     ",\"op\":\"transit.hmac\","
			     "\"path\":\"transit/hmac/there\","),
	    2);
	grant_only("transit/encrypt/their", "\"update\"");
	assert_int_equal(encrypt("there"), HF_ERR_PERMISSION_DENIED);
	assert_int_equal(encrypt("their"), HF_OK);
	service_policy(&service, EVERYTHING);
}

/* T29: Vault's disable_upsert. */
static void
encrypt_makes_a_key_only_where_that_is_set_and_allowed(void **state)
{
	(void)state;
	assert_int_equal(encrypt("unmade"), HF_ERR_KEY_NOT_FOUND);
	service.server.upsert = true;
	grant_only("transit/encrypt/unmade", "\"update\"");
	assert_int_equal(encrypt("unmade"), HF_ERR_KEY_NOT_FOUND);
	grant_only("transit/encrypt/unmade", "\"create\"");
	assert_int_equal(encrypt("unmade"), HF_OK);
	/* Now it is there, and to create is not to update. */
	assert_int_equal(encrypt("unmade"), HF_ERR_PERMISSION_DENIED);
	service.server.upsert = false;
	grant_only("transit/encrypt/unmade2", "\"create\"");
	assert_int_equal(encrypt("unmade2"), HF_ERR_PERMISSION_DENIED);
	service_policy(&service, EVERYTHING);
}

/* -- Parameter rules -- */

static enum hf_err
encrypt_batch(const char *key, uint64_t beside, uint64_t first, uint64_t second)
{
	struct hf_encrypt_item items[] = {
		{ .plaintext = bytes_of("a", 1),
		    .key_version = { first, first != 0 } },
		{ .plaintext = bytes_of("b", 1),
		    .key_version = { second, second != 0 } },
	};
	struct hf_encrypt_in in = { .name = text_of(key),
		.item.key_version = { beside, beside != 0 },
		.batch_input = items,
		.batch_input_count = 2 };
	struct hf_encrypt_out out;

	return service_call(&service, "transit.encrypt", &in, &out, &why);
}

static void
a_batch_does_not_get_around_parameter_rules(void **state)
{
	(void)state;
	make_key("ruled", "aes256-gcm96", NULL);
	service_policy(&service,
	    "path \"transit/encrypt/ruled\" { capabilities = [\"update\"] "
	    "denied_parameters = { \"key_version\" = [\"1\"] } }");
	assert_int_equal(encrypt_batch("ruled", 0, 0, 0), HF_OK);
	assert_int_equal(
	    encrypt_batch("ruled", 1, 0, 0), HF_ERR_PERMISSION_DENIED);
	assert_int_equal(
	    encrypt_batch("ruled", 0, 0, 1), HF_ERR_PERMISSION_DENIED);
	assert_int_equal(
	    encrypt_batch("ruled", 0, 1, 0), HF_ERR_PERMISSION_DENIED);
	service_policy(&service,
	    "path \"transit/encrypt/ruled\" { capabilities = [\"update\"] "
	    "required_parameters = [\"key_version\"] }");
	assert_int_equal(encrypt_batch("ruled", 0, 1, 1), HF_OK);
	assert_int_equal(encrypt_batch("ruled", 1, 0, 0), HF_OK);
	assert_int_equal(
	    encrypt_batch("ruled", 0, 1, 0), HF_ERR_PERMISSION_DENIED);
	service_policy(&service, EVERYTHING);
}

static void
rules_may_speak_of_the_associated_data(void **state)
{
	struct hf_encrypt_in in = { .name = TEXT("there"),
		.item = { .plaintext = bytes_of("x", 1),
		    .associated_data = bytes_of("tenant-a/1", 10) } };
	struct hf_encrypt_out out;

	(void)state;
	service_policy(&service,
	    "path \"transit/encrypt/there\" { capabilities = [\"update\"] "
	    "allowed_parameters = { \"plaintext\" = [] "
	    "\"associated_data\" = [\"tenant-a/*\"] } }");
	assert_int_equal(
	    service_call(&service, "transit.encrypt", &in, &out, &why), HF_OK);
	in.item.associated_data = bytes_of("tenant-b/1", 10);
	assert_int_equal(
	    service_call(&service, "transit.encrypt", &in, &out, &why),
	    HF_ERR_PERMISSION_DENIED);
	service_policy(&service, EVERYTHING);
}

/* -- Strangers, and others who may not know -- */

/* HCSEC-2025-15. */
static void
who_may_not_learns_not_whether_a_key_is_there(void **state)
{
	static const char *const names[] = { "there", "absent", "broken" };
	struct store_write rubbish = { TEXT("key/broken"),
		bytes_of(
		    "rubbish that nobody sealed, as long as it takes", 48) };

	(void)state;
	assert_int_equal(
	    store_commit(service.server.store, NULL, 0, &rubbish, 1, NULL),
	    HF_OK);
	for (int known = 0; known < 2; known++) {
		if (known)
			grant_only("transit/keys/other", "\"read\"");
		else
			service_policy(&service, NULL);
		for (size_t i = 0; i < 3; i++) {
			struct hf_key_read_in in = { .name =
							 text_of(names[i]) };
			struct hf_key_info out;

			assert_int_equal(
			    service_call(&service, "key.read", &in, &out, &why),
			    HF_ERR_PERMISSION_DENIED);
			assert_string_equal(why.text, "permission denied");
		}
	}
	service_policy(&service, EVERYTHING);
	/* Who may know is told. */
	assert_int_equal(
	    ask(op_by_name(TEXT("key.read")),
		least_message(op_by_name(TEXT("key.read")), "broken")),
	    HF_ERR_STORE_DAMAGED);
	rubbish.value.ptr = NULL;
	rubbish.value.len = 0;
	assert_int_equal(
	    store_commit(service.server.store, NULL, 0, &rubbish, 1, NULL),
	    HF_OK);
}

static void
a_stranger_never_waits_for_a_key(void **state)
{
	static const char *const names[] = { "there", "absent" };

	(void)state;
	service_policy(&service, NULL);
	for (size_t i = 0; i < 2; i++) {
		struct request rq = arrived(least_message(
		    op_by_name(TEXT("transit.decrypt")), names[i]));

		service_reset(&service);
		assert_int_equal(pipeline_run(&rq), HF_OK);
	}
	service_policy(&service, EVERYTHING);
}

/* -- Aliases and policy -- */

static void
policy_is_asked_about_the_key_and_not_its_alias(void **state)
{
	struct hf_alias alias = { TEXT("nick"), TEXT("there") };
	struct hf_key_read_in in = { .name = TEXT("nick") };
	struct hf_key_info info;
	struct hf_alias set;

	(void)state;
	assert_int_equal(
	    service_call(&service, "alias.set", &alias, &set, &why), HF_OK);
	grant_only("transit/keys/nick", "\"read\"");
	assert_int_equal(service_call(&service, "key.read", &in, &info, &why),
	    HF_ERR_PERMISSION_DENIED);
	grant_only("transit/keys/there", "\"read\"");
	assert_int_equal(
	    service_call(&service, "key.read", &in, &info, &why), HF_OK);
	service_policy(&service, EVERYTHING);
	/* A change through an alias changes the key. */
	assert_int_equal(
	    service_call(&service, "key.rotate", &in, &info, &why), HF_OK);
	assert_true(text_is(info.name, "there"));
	assert_int_equal(service_call(&service, "key.delete", &in, &info, &why),
	    HF_ERR_BAD_NAME);
}

static void
point(const char *alias, const char *key)
{
	struct hf_alias in = { text_of(alias), text_of(key) }, out;

	assert_int_equal(
	    service_call(&service, "alias.set", &in, &out, &why), HF_OK);
}

/* As exchange.c has it, with the reply decoded. */
static enum hf_err
run_again(struct request *rq, void *out)
{
	struct request first = *rq;

	*rq = (struct request){ .server = &service.server,
		.who = service.who,
		.arena = service.worker,
		.message = first.message,
		.may_block = true,
		.audit_ticket = first.audit_ticket,
		.grant = first.grant,
		.op = first.op,
		.intended = first.intended,
		.audit_id = first.audit_id,
		.intent_written = first.intent_written };
	service_reset(&service);
	assert_int_equal(pipeline_run(rq), HF_OK);
	assert_int_equal(
	    audit_flush(service.server.audit, rq->audit_ticket, false), HF_OK);
	return envelope_open_reply(
	    rq->reply, first.op->out, service.worker, out, &why);
}

/* Runs it as an I/O thread does, which leaves it to a worker. */
static struct request
run_and_defer(const char *op, const void *in, struct hf_bytes room)
{
	const struct op *o = op_by_name(text_of(op));
	struct request rq = { .server = &service.server,
		.who = service.who,
		.slot = &service.slot,
		.arena = service.arena };
	size_t len;

	service_reset(&service);
	assert_int_equal(envelope_request(text_of(op), o->in, in,
			     (uint8_t *)(uintptr_t)room.ptr, room.len, &len),
	    HF_OK);
	rq.message = bytes_of(room.ptr, len);
	assert_int_equal(pipeline_run(&rq), HF_ERR_DEFER);
	assert_true(rq.intent_written);
	return rq;
}

/*
 * The two lines in the log are about one key. Who may move aliases could else
 * have another key used in its name, while a request waits for a worker.
 */
static void
an_alias_is_followed_once_for_a_request(void **state)
{
	struct hf_sign_in sign = { .name = TEXT("pen"),
		.item.input = bytes_of("x", 1) };
	struct hf_verify_in check = { .name = TEXT("signer"),
		.item.input = bytes_of("x", 1) };
	uint8_t message[256], signature[256];
	struct hf_sign_out signed_by;
	struct hf_verify_out valid;
	struct request rq;
	size_t before;

	(void)state;
	make_key("signer2", "ecdsa-p384", NULL);
	point("pen", "signer");
	assert_int_equal(
	    service_call(&service, "transit.sign", &sign, &signed_by, &why),
	    HF_OK); /* now it is known without the store */
	before = audit_length();
	rq = run_and_defer(
	    "transit.sign", &sign, bytes_of(message, sizeof(message)));
	point("pen", "signer2");
	assert_int_equal(run_again(&rq, &signed_by), HF_OK);
	assert_int_equal(
	    audit_count(before, "\"path\":\"transit/sign/signer\""), 1);
	assert_int_equal(
	    audit_count(before, "\"path\":\"transit/sign/signer2\""), 0);
	assert_in_range(signed_by.result.signature.len, 1, sizeof(signature));
	memcpy(signature, signed_by.result.signature.ptr,
	    signed_by.result.signature.len);
	check.item.signature =
	    bytes_of(signature, signed_by.result.signature.len);
	assert_int_equal(
	    service_call(&service, "transit.verify", &check, &valid, &why),
	    HF_OK);
	assert_int_equal(valid.result.valid, HF_TRUE);
	/* Asked anew, it is the other one. */
	assert_int_equal(
	    service_call(&service, "transit.sign", &sign, &signed_by, &why),
	    HF_OK);
	assert_int_equal(
	    audit_count(before, "\"path\":\"transit/sign/signer2\""), 1);
}

/* Nor is it that of an alias that has taken the place of the key. */
static void
an_alias_in_the_place_of_a_key_is_not_that_key(void **state)
{
	struct hf_sign_in sign = { .name = TEXT("signer3"),
		.item.input = bytes_of("x", 1) };
	struct hf_name_in gone = { TEXT("signer3") };
	uint8_t message[256];
	struct hf_sign_out out;
	struct hf_empty nothing;
	struct request rq;

	(void)state;
	make_key("signer3", "ecdsa-p384", NULL);
	assert_int_equal(
	    service_call(&service, "transit.sign", &sign, &out, &why), HF_OK);
	rq = run_and_defer(
	    "transit.sign", &sign, bytes_of(message, sizeof(message)));
	assert_int_equal(
	    service_call(&service, "key.delete", &gone, &nothing, &why), HF_OK);
	point("signer3", "signer2");
	assert_int_equal(run_again(&rq, &out), HF_ERR_STORE_CONFLICT);
	assert_int_equal(
	    service_call(&service, "transit.sign", &sign, &out, &why), HF_OK);
}

/* -- Grants -- */

/* Deferred while policy allows it, and run again when nothing is allowed: with
 * the slot of its connection, or on a worker, which has none. */
static void
is_denied_once_it_runs_again(
    const struct op *op, struct hf_bytes message, struct request_slot *slot)
{
	struct request rq = arrived(message);
	struct hf_key_info info;

	service_reset(&service);
	assert_int_equal(pipeline_run(&rq), HF_ERR_DEFER);
	assert_non_null(rq.grant);
	assert_non_null(service.slot.memo);
	service_policy(&service, NULL);
	rq = (struct request){ .server = &service.server,
		.who = service.who,
		.slot = slot,
		.arena = service.worker,
		.message = message,
		.may_block = true,
		.grant = rq.grant,
		.op = slot == NULL ? rq.op : NULL };
	assert_int_equal(pipeline_run(&rq), HF_OK);
	assert_int_equal(
	    envelope_open_reply(rq.reply, op->out, service.worker, &info, &why),
	    HF_ERR_PERMISSION_DENIED);
}

static void
a_reload_reaches_open_connections_and_queued_requests(void **state)
{
	const struct op *op = op_by_name(TEXT("key.rotate"));

	(void)state;
	is_denied_once_it_runs_again(op, least_message(op, "there"), NULL);
	service_reset(&service);
	assert_int_equal(
	    ask(op, least_message(op, "there")), HF_ERR_PERMISSION_DENIED);
	service_policy(&service, EVERYTHING);
	assert_int_equal(ask(op, least_message(op, "there")), HF_OK);
}

/* One that is run once more, on the thread of its connection, whose slot knows
 * what the policies were. */
static void
a_grant_that_grew_old_takes_along_what_was_found_out_by_it(void **state)
{
	const struct op *op = op_by_name(TEXT("key.read"));
	struct hf_bytes message = least_message(op, "there");

	(void)state;
	is_denied_once_it_runs_again(op, message, &service.slot);
	service_policy(&service, EVERYTHING);
	assert_int_equal(ask(op, message), HF_OK);
}

static void
a_process_that_runs_another_program_is_refused(void **state)
{
	char rules[512];
	struct hf_key_read_in in = { .name = TEXT("there") };
	struct hf_key_info out;

	(void)state;
	/* Rules speak of a unit; the process of the caller has no pidfd and
	 * yet a unit: it cannot be checked any more. */
	(void)snprintf(rules, sizeof(rules),
	    "%s\nbind { subjects = [\"unit:shop.service\"] }", EVERYTHING);
	service.who->unit = strdup("shop.service");
	service.who->pidfd = -1;
	service_policy(&service, rules);
	assert_int_equal(service_call(&service, "key.read", &in, &out, &why),
	    HF_ERR_NOT_IDENTIFIED);
	free(service.who->unit);
	service.who->unit = NULL;
	service_policy(&service, EVERYTHING);
	assert_int_equal(
	    service_call(&service, "key.read", &in, &out, &why), HF_OK);
}

/* -- Messages that are none -- */

static void
answers_messages_that_are_none(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		enum hf_err err;
	} messages[] = {
		{ "", 0, HF_ERR_BAD_MESSAGE },
		{ "\xa0", 1, HF_ERR_BAD_MESSAGE },
		{ "\xff", 1, HF_ERR_BAD_MESSAGE },
		{ "\x80", 1, HF_ERR_BAD_MESSAGE },
		{ "\xa1\x62op\x63xyz", 8, HF_ERR_UNKNOWN_OP },
		{ "\xa1\x62op\x01", 5, HF_ERR_BAD_MESSAGE },
		{ "\xa1\x62op\x60", 5, HF_ERR_UNKNOWN_OP },
		{ "\xa2\x62op\x61x\x62op\x61x", 11, HF_ERR_BAD_MESSAGE },
		{ "\xbf\x62op\x61x\xff", 7, HF_ERR_BAD_MESSAGE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
		assert_int_equal(
		    ask(op_by_name(TEXT("sys.status")),
			bytes_of(messages[i].bytes, messages[i].len)),
		    messages[i].err);
}

static void
names_an_unknown_field_in_whole_characters(void **state)
{
	/* {"op": "sys.status", "in": {63 letters and an e with accent: 0}} */
	uint8_t message[128] = "\xa2\x62op\x6asys.status\x62in\xa1\x78\x41";
	size_t head = 4 + 11 + 3 + 3;

	(void)state;
	memset(message + head, 'n', 63);
	memcpy(message + head + 63, "\xc3\xa9", 2);
	message[head + 65] = 0;
	assert_int_equal(
	    ask(op_by_name(TEXT("sys.status")), bytes_of(message, head + 66)),
	    HF_ERR_UNKNOWN_FIELD);
}

/* -- Audit -- */

/* Until nothing can be appended any more. */
static void
fill_audit_buffer(void)
{
	struct audit_line line;
	char buf[256];
	uint64_t ticket;
	int n = 0;

	do
		audit_line_start(&line, buf, sizeof(buf), "filler");
	while (audit_append(service.server.audit, &line, &ticket) == HF_OK &&
	    ++n < 100000);
	assert_true(n < 100000);
}

static void
nothing_is_done_that_cannot_be_written_down(void **state)
{
	struct hf_key_read_in in = { .name = TEXT("there") };
	struct hf_key_info info;
	struct audit_info ai;
	uint64_t latest;

	(void)state;
	assert_int_equal(
	    service_call(&service, "key.read", &in, &info, &why), HF_OK);
	latest = info.latest_version;
	fill_audit_buffer();
	assert_int_equal(encrypt("there"), HF_ERR_AUDIT);
	assert_int_equal(service_call(&service, "key.rotate", &in, &info, &why),
	    HF_ERR_AUDIT);
	audit_info(service.server.audit, &ai);
	assert_int_equal(
	    audit_flush(service.server.audit, ai.sequence, false), HF_OK);
	assert_int_equal(
	    service_call(&service, "key.read", &in, &info, &why), HF_OK);
	assert_int_equal(info.latest_version, latest);
}

static bool
log_holds(struct hf_bytes what)
{
	size_t len;
	char *log = service_audit(&service, &len);
	bool holds = memmem(log, len, what.ptr, what.len) != NULL;

	free(log);
	return holds;
}

static bool
log_holds_any_form(struct hf_bytes what)
{
	char hex[257], base64[256];

	assert_true(what.len <= 128);
	hex_encode(what.ptr, what.len, hex);
	base64_encode(BASE64_STD, what, base64);
	return log_holds(what) || log_holds(bytes_of(hex, 2 * what.len)) ||
	    log_holds(bytes_of(base64, what.len / 3 * 4));
}

/* CVE-2025-62513, CVE-2025-62705. */
static void
no_secret_ever_stands_in_the_audit_log(void **state)
{
	static const char plain[] = "attack at dawn, says the general";
	struct hf_encrypt_in enc = { .name = TEXT("there"),
		.item = { .plaintext = bytes_of(plain, sizeof(plain) - 1),
		    .associated_data = bytes_of("a dossier's number", 18),
		    .reference = TEXT("") } };
	struct hf_encrypt_out eout;
	struct hf_decrypt_in dec = { .name = TEXT("there") };
	struct hf_decrypt_out dout;
	struct hf_datakey_in dk = { .name = TEXT("there") };
	struct hf_datakey_out dkout;
	struct hf_random_in rnd = { .item.bytes = 32 };
	struct hf_random_out rout;
	uint8_t copy[64];

	(void)state;
	enc.item.reference = (struct hf_text){ 0 };
	assert_int_equal(
	    service_call(&service, "transit.encrypt", &enc, &eout, &why),
	    HF_OK);
	assert_true(eout.result.ciphertext.len <= 128);
	dec.item.ciphertext =
	    bytes_of(memcpy(malloc(128), eout.result.ciphertext.ptr,
			 eout.result.ciphertext.len),
		eout.result.ciphertext.len);
	dec.item.associated_data = enc.item.associated_data;
	assert_int_equal(
	    service_call(&service, "transit.decrypt", &dec, &dout, &why),
	    HF_OK);
	assert_false(log_holds_any_form(dec.item.ciphertext));
	free((void *)(uintptr_t)dec.item.ciphertext.ptr);
	assert_int_equal(service_call(&service, "transit.datakey_plaintext",
			     &dk, &dkout, &why),
	    HF_OK);
	memcpy(copy, dkout.result.plaintext.ptr, 32);
	assert_int_equal(
	    service_call(&service, "transit.random", &rnd, &rout, &why), HF_OK);
	memcpy(copy + 32, rout.result.random_bytes.ptr, 32);
	assert_false(log_holds_any_form(bytes_of(copy, 32)));
	assert_false(log_holds_any_form(bytes_of(copy + 32, 32)));
	assert_false(log_holds_any_form(enc.item.plaintext));
	assert_false(log_holds_any_form(enc.item.associated_data));
	assert_true(log_holds(bytes_of("transit/encrypt/there", 21)));
}

/* -- Where things run -- */

static enum hf_err
first_run(const char *op, const void *in)
{
	const struct op *o = op_by_name(text_of(op));
	struct request rq = arrived((struct hf_bytes){ 0 });
	uint8_t *buf;
	size_t len;
	enum hf_err err;

	service_reset(&service);
	(void)envelope_request(text_of(op), o->in, in, NULL, 0, &len);
	buf = arena_alloc(service.arena, len);
	assert_int_equal(
	    envelope_request(text_of(op), o->in, in, buf, len, &len), HF_OK);
	rq.message = bytes_of(buf, len);
	err = pipeline_run(&rq);
	if (err == HF_ERR_DEFER)
		pipeline_abandon(&rq, HF_ERR_BUSY);
	return err;
}

static void
long_work_leaves_the_io_thread(void **state)
{
	static uint8_t large[80 << 10];
	static struct hf_input_item items[300];
	struct hf_hash_in hash = { .item.input = bytes_of("x", 1) };
	struct hf_sign_in sign = { .name = TEXT("signer"),
		.item.input = bytes_of("x", 1) };
	struct hf_sign_out out;
	struct hf_verify_in verify = { .name = TEXT("signer"),
		.item.input = bytes_of("x", 1) };
	uint8_t signature[160];

	(void)state;
	for (size_t i = 0; i < 300; i++)
		items[i].input = bytes_of("x", 1);
	assert_int_equal(first_run("transit.hash", &hash), HF_OK);
	hash.item.input = bytes_of(large, sizeof(large));
	assert_int_equal(first_run("transit.hash", &hash), HF_ERR_DEFER);
	hash = (struct hf_hash_in){ .batch_input = items,
		.batch_input_count = 300 };
	assert_int_equal(first_run("transit.hash", &hash), HF_ERR_DEFER);
	hash.batch_input_count = 10;
	assert_int_equal(first_run("transit.hash", &hash), HF_OK);
	assert_int_equal(
	    service_call(&service, "transit.sign", &sign, &out, &why), HF_OK);
	assert_true(out.result.signature.len <= sizeof(signature));
	memcpy(signature, out.result.signature.ptr, out.result.signature.len);
	verify.item.signature = bytes_of(signature, out.result.signature.len);
	assert_int_equal(first_run("transit.sign", &sign), HF_ERR_DEFER);
	assert_int_equal(first_run("transit.verify", &verify), HF_ERR_DEFER);
}

static void
the_largest_message_and_batch_fit_into_the_arena(void **state)
{
	enum { LARGE = 15 << 20, MANY = 65536 };
	uint8_t *plain = calloc(1, LARGE);
	struct hf_encrypt_item *items = calloc(MANY, sizeof(*items));
	struct hf_encrypt_in in = { .name = TEXT("there"),
		.format = TEXT("text"),
		.item.plaintext = bytes_of(plain, LARGE) };
	struct hf_decrypt_item *bad = calloc(MANY, sizeof(*bad));
	struct hf_decrypt_in din = { .name = TEXT("there"),
		.batch_input = bad,
		.batch_input_count = MANY };
	struct hf_encrypt_out out;
	struct hf_decrypt_out dout;
	struct hf_rewrap_in rin = { .name = TEXT("there"),
		.format = TEXT("text") };
	struct hf_rewrap_out rout;
	uint8_t *sealed;

	(void)state;
	assert_true(plain != NULL && items != NULL && bad != NULL);
	service.worker_only = true; /* where such messages are */
	assert_int_equal(
	    service_call(&service, "transit.encrypt", &in, &out, &why), HF_OK);
	sealed = malloc(out.result.ciphertext.len);
	assert_non_null(sealed);
	memcpy(sealed, out.result.ciphertext.ptr, out.result.ciphertext.len);
	rin.item.ciphertext = bytes_of(sealed,
	    out.result.ciphertext.len > (16 << 20) ? 4096
						   : out.result.ciphertext.len);
	(void)service_call(&service, "transit.rewrap", &rin, &rout, &why);
	for (size_t i = 0; i < MANY; i++) {
		items[i].plaintext = bytes_of(plain, 100);
		bad[i].ciphertext = bytes_of("rubbish", 7);
		items[i].reference = TEXT("the reference of an item");
		bad[i].reference = TEXT("the reference of an item");
	}
	in.item.plaintext.ptr = NULL;
	in.batch_input = items;
	in.batch_input_count = MANY;
	assert_int_equal(
	    service_call(&service, "transit.encrypt", &in, &out, &why), HF_OK);
	assert_int_equal(out.batch_results_count, MANY);
	assert_int_equal(
	    service_call(&service, "transit.decrypt", &din, &dout, &why),
	    HF_OK);
	assert_int_equal(dout.batch_results_count, MANY);
	assert_true(text_is(dout.batch_results[MANY - 1].status.error_name,
	    "invalid_ciphertext"));
	service.worker_only = false;
	service_reset(&service);
	free(sealed);
	free(items);
	free(bad);
	free(plain);
}

/* -- Status -- */

static void
a_clock_that_was_set_back_does_not_spoil_the_status(void **state)
{
	uint64_t started = service.server.started;
	struct hf_empty in = { 0 };
	struct hf_status_out out;
	struct hf_metrics_out metrics;

	(void)state;
	service.server.started = (uint64_t)time(NULL) + 1000;
	assert_int_equal(
	    service_call(&service, "sys.status", &in, &out, &why), HF_OK);
	assert_int_equal(out.uptime, 0);
	assert_int_equal(
	    service_call(&service, "sys.metrics", &in, &metrics, &why), HF_OK);
	service.server.started = started;
}

static void
a_name_of_a_file_that_is_no_text_does_not_spoil_whoami(void **state)
{
	struct hf_empty in = { 0 };
	struct hf_whoami_out out;

	(void)state;
	service.who->exe = strdup("/usr/bin/\xff\xfe odd");
	assert_int_equal(
	    service_call(&service, "sys.whoami", &in, &out, &why), HF_OK);
	assert_true(text_is(out.exe, "/usr/bin/?? odd"));
	free(service.who->exe);
	service.who->exe = NULL;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    denies_every_operation_when_there_is_no_policy),
		cmocka_unit_test(
		    asks_for_the_capability_of_the_table_and_no_other),
		cmocka_unit_test(sudo_is_asked_for_besides),
		cmocka_unit_test(changes_nothing_before_it_defers),
		cmocka_unit_test(
		    encrypt_makes_a_key_only_where_that_is_set_and_allowed),
		cmocka_unit_test(
		    what_is_known_of_one_path_is_not_said_of_another),
		cmocka_unit_test(a_batch_does_not_get_around_parameter_rules),
		cmocka_unit_test(rules_may_speak_of_the_associated_data),
		cmocka_unit_test(who_may_not_learns_not_whether_a_key_is_there),
		cmocka_unit_test(a_stranger_never_waits_for_a_key),
		cmocka_unit_test(
		    policy_is_asked_about_the_key_and_not_its_alias),
		cmocka_unit_test(an_alias_is_followed_once_for_a_request),
		cmocka_unit_test(
		    an_alias_in_the_place_of_a_key_is_not_that_key),
		cmocka_unit_test(
		    a_reload_reaches_open_connections_and_queued_requests),
		cmocka_unit_test(
		    a_grant_that_grew_old_takes_along_what_was_found_out_by_it),
		cmocka_unit_test(
		    a_process_that_runs_another_program_is_refused),
		cmocka_unit_test(answers_messages_that_are_none),
		cmocka_unit_test(names_an_unknown_field_in_whole_characters),
		cmocka_unit_test(nothing_is_done_that_cannot_be_written_down),
		cmocka_unit_test(no_secret_ever_stands_in_the_audit_log),
		cmocka_unit_test(long_work_leaves_the_io_thread),
		cmocka_unit_test(
		    the_largest_message_and_batch_fit_into_the_arena),
		cmocka_unit_test(
		    a_clock_that_was_set_back_does_not_spoil_the_status),
		cmocka_unit_test(
		    a_name_of_a_file_that_is_no_text_does_not_spoil_whoami),
		cmocka_unit_test(answers_the_least_and_anything_within_bounds),
	};

	return cmocka_run_group_tests(tests, setup, service_teardown);
}
