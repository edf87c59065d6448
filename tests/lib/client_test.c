/* SPDX-License-Identifier: Apache-2.0 */
#include <holdfast/holdfast.h>

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "../../lib/client.h"
#include "../../lib/envelope.h"
#include "../fake/server.h"

/* Upper case is decryption: enough to see that the right bytes came back. */
static enum server_act
answer(struct server *s, struct server_request *r)
{
	(void)s;
	if (r->in == NULL) {
		server_refuse(r, r->err, r->why.text);
	} else if (r->op->id == OP_transit_encrypt) {
		const struct hf_encrypt_in *in = r->in;
		struct hf_encrypt_out out = {
			.result = { .ciphertext = in->item.plaintext,
			    .key_version = 7 }
		};

		server_answer(r, &out);
	} else if (r->op->id == OP_key_rotate) {
		const struct hf_name_in *in = r->in;
		struct hf_text aliases[] = { TEXT("one"), TEXT("two") };
		struct hf_key_info out = { .name = in->name,
			.aliases = aliases,
			.aliases_count = 2,
			.latest_version = r->number };

		server_answer(r, &out);
	} else {
		server_refuse(r, HF_ERR_PERMISSION_DENIED, "not you");
	}
	return ACT_REPLY;
}

/* What to do with the request of each number; then answer(). */
struct script {
	enum server_act acts[8];
};

static enum server_act
scripted(struct server *s, struct server_request *r)
{
	const struct script *script = s->ctx;

	if (r->number <= 8 && script->acts[r->number - 1] != ACT_REPLY)
		return script->acts[r->number - 1];
	return answer(s, r);
}

static struct hf_client *
connected(const struct server *s, int timeout_ms)
{
	struct hf_client *c = NULL;
	struct hf_why why = { "" };

	if (hf_connect(s->path, timeout_ms, &c, &why) != HF_OK)
		fail_msg("%s", why.text);
	return c;
}

static enum hf_err
encrypt(struct hf_client *c, const char *text, struct hf_encrypt_out *out,
    struct hf_why *why)
{
	struct hf_encrypt_in in = { .name = hf_text_of("k"),
		.item.plaintext = hf_bytes_of(text, strlen(text)) };

	return hf_transit_encrypt(c, &in, out, why);
}

static enum hf_err
rotate(struct hf_client *c, struct hf_key_info *out, struct hf_why *why)
{
	struct hf_name_in in = { .name = hf_text_of("k") };

	return hf_key_rotate(c, &in, out, why);
}

static void
assert_works(struct hf_client *c)
{
	struct hf_encrypt_out out;
	struct hf_why why = { "" };

	if (encrypt(c, "it works", &out, &why) != HF_OK)
		fail_msg("%s", why.text);
	assert_int_equal(out.result.ciphertext.len, 8);
	assert_memory_equal(out.result.ciphertext.ptr, "it works", 8);
}

static int64_t
now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void
calls_and_gives_the_reply(void **state)
{
	struct server *s = server_start(answer, NULL);
	struct hf_client *c = connected(s, 5000);
	struct hf_key_info info;

	(void)state;
	assert_works(c);
	assert_int_equal(rotate(c, &info, NULL), HF_OK);
	assert_int_equal(info.latest_version, 2);
	assert_int_equal(info.aliases_count, 2);
	assert_memory_equal(info.aliases[1].ptr, "two", 3);
	assert_int_equal(atomic_load(&s->accepted), 1);
	hf_close(c);
	server_free(s);
}

static void
gives_the_error_of_the_service_with_its_message(void **state)
{
	struct server *s = server_start(answer, NULL);
	struct hf_client *c = connected(s, 5000);
	struct hf_status_out out = { .pid = 1 };
	struct hf_why why;

	(void)state;
	assert_int_equal(hf_sys_status(c, &(struct hf_empty){ 0 }, &out, &why),
	    HF_ERR_PERMISSION_DENIED);
	assert_string_equal(why.text, "not you");
	assert_int_equal(out.pid, 0);
	assert_works(c);
	hf_close(c);
	server_free(s);
}

static void
says_at_once_that_nobody_listens(void **state)
{
	struct hf_client *c = NULL;
	struct hf_why why = { "" };
	int64_t start = now_ms();

	(void)state;
	assert_int_equal(hf_connect("/nonexistent/keyd.sock", 5000, &c, &why),
	    HF_ERR_UNREACHABLE);
	assert_null(c);
	assert_non_null(strstr(why.text, "/nonexistent/keyd.sock"));
	assert_true(now_ms() - start < 1000);
}

static void
refuses_a_path_that_does_not_fit_a_socket_address(void **state)
{
	struct hf_client *c = NULL;
	char path[200];

	(void)state;
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(hf_prepare(path, 0, &c, NULL), HF_ERR_BAD_SETTINGS);
	assert_null(c);
}

static void
takes_its_address_with_a_scheme_or_from_the_environment(void **state)
{
	struct server *s = server_start(answer, NULL);
	struct hf_client *c;
	char address[100];

	(void)state;
	(void)snprintf(address, sizeof(address), "ipc://%s", s->path);
	assert_int_equal(hf_connect(address, 5000, &c, NULL), HF_OK);
	assert_works(c);
	hf_close(c);
	assert_int_equal(setenv("HOLDFAST_SOCKET", s->path, 1), 0);
	assert_int_equal(hf_connect(NULL, 5000, &c, NULL), HF_OK);
	assert_int_equal(unsetenv("HOLDFAST_SOCKET"), 0);
	assert_works(c);
	hf_close(c);
	server_free(s);
}

/* A handle for `address` with these settings of TLS. */
static enum hf_err
set_tls(const char *address, const struct hf_tls *tls, struct hf_why *why)
{
	struct hf_client *c = NULL;
	enum hf_err err;

	assert_int_equal(hf_prepare(address, 5000, &c, NULL), HF_OK);
	err = hf_set_tls(c, tls, why);
	hf_close(c);
	return err;
}

static void
takes_settings_of_tls_only_whole_and_for_tls(void **state)
{
	static const char remote[] = "tls+tcp://127.0.0.1:7655";
	const struct hf_tls whole = { "/ca", "/certificate", "/key", NULL,
		false };
	struct hf_tls part;
	struct hf_why why = { "" };

	(void)state;
	assert_int_equal(set_tls(remote, &whole, &why), HF_OK);
	assert_int_equal(
	    set_tls("/run/keyd.sock", &whole, &why), HF_ERR_BAD_SETTINGS);
	part = whole;
	part.ca = NULL;
	assert_int_equal(set_tls(remote, &part, &why), HF_ERR_BAD_SETTINGS);
	part = whole;
	part.certificate = "";
	assert_int_equal(set_tls(remote, &part, &why), HF_ERR_BAD_SETTINGS);
	part = whole;
	part.key = NULL;
	assert_int_equal(set_tls(remote, &part, &why), HF_ERR_BAD_SETTINGS);
	assert_non_null(strstr(why.text, "HOLDFAST_TLS_CA"));
	part.key = "pkcs11:object=key";
	assert_int_equal(set_tls(remote, &part, &why), HF_ERR_BAD_SETTINGS);
	assert_non_null(strstr(why.text, "are files"));
}

static void
does_not_connect_to_another_host_without_settings(void **state)
{
	struct hf_client *c = NULL;
	struct hf_why why = { "" };

	(void)state;
	assert_int_equal(hf_connect("tls+tcp://127.0.0.1:7655", 5000, &c, &why),
	    HF_ERR_BAD_SETTINGS);
	assert_null(c);
	assert_non_null(strstr(why.text, "HOLDFAST_TLS_CA"));
	assert_int_equal(setenv("HOLDFAST_TLS_VERSION", "1.1", 1), 0);
	assert_int_equal(hf_prepare("tls+tcp://127.0.0.1:7655", 5000, &c, &why),
	    HF_ERR_BAD_SETTINGS);
	assert_int_equal(unsetenv("HOLDFAST_TLS_VERSION"), 0);
}

static void
a_prepared_handle_connects_when_it_is_used(void **state)
{
	struct server *s = server_start(answer, NULL);
	struct hf_client *c;

	(void)state;
	assert_int_equal(hf_prepare(s->path, 5000, &c, NULL), HF_OK);
	assert_int_equal(atomic_load(&s->accepted), 0);
	assert_works(c);
	hf_close(c);
	server_free(s);
}

static void
connects_anew_to_a_restarted_service(void **state)
{
	struct server *s = server_start(answer, NULL);
	struct hf_client *c = connected(s, 5000);
	struct hf_key_info info;

	(void)state;
	assert_works(c);
	server_stop(s);
	server_restart(s);
	/* Changing state is no obstacle: nothing had been sent. */
	assert_int_equal(rotate(c, &info, NULL), HF_OK);
	hf_close(c);
	server_free(s);
}

/* What the service hung up on while nothing was asked was no attempt. */
static void
a_restart_while_idle_takes_no_attempt_away(void **state)
{
	struct script script = { { ACT_REPLY, ACT_HANG_UP } };
	struct server *s = server_start(scripted, &script);
	struct hf_client *c = connected(s, 5000);

	(void)state;
	assert_works(c);
	server_stop(s);
	server_restart(s);
	assert_works(c); /* refused once by the new service, then done */
	assert_int_equal(atomic_load(&s->requests), 3);
	hf_close(c);
	server_free(s);
}

/* However it waits for replies, it gets them, and notices what goes wrong. */
static void
a_client_that_may_spin_is_no_other(void **state)
{
	struct script script = { { ACT_REPLY, ACT_HANG_UP, ACT_REPLY,
	    ACT_RUBBISH } };
	struct server *s = server_start(scripted, &script);
	struct hf_client *c = connected(s, 5000);
	struct hf_encrypt_out out;

	(void)state;
	client_may_spin(c, true);
	assert_works(c);
	assert_works(c); /* at the second attempt */
	assert_int_equal(encrypt(c, "x", &out, NULL), HF_ERR_BAD_REPLY);
	for (int i = 0; i < 500; i++)
		assert_works(c);
	server_stop(s);
	server_restart(s);
	assert_works(c);
	client_may_spin(c, false);
	assert_works(c);
	hf_close(c);
	server_free(s);
}

static void *
restart_soon(void *arg)
{
	struct timespec t = { .tv_nsec = 200000000 };

	(void)nanosleep(&t, NULL);
	server_restart(arg);
	return NULL;
}

static void
waits_for_a_service_that_is_being_restarted(void **state)
{
	struct server *s = server_start(answer, NULL);
	struct hf_client *c = connected(s, 5000);
	pthread_t thread;

	(void)state;
	server_stop(s);
	assert_int_equal(pthread_create(&thread, NULL, restart_soon, s), 0);
	assert_works(c);
	assert_int_equal(pthread_join(thread, NULL), 0);
	hf_close(c);
	server_free(s);
}

static void
waits_no_longer_than_its_patience(void **state)
{
	struct server *s = server_start(answer, NULL);
	struct hf_client *c = connected(s, 60000);
	struct hf_encrypt_out out;
	int64_t start;

	(void)state;
	server_stop(s);
	hf_set_patience(c, 100);
	start = now_ms();
	assert_int_equal(encrypt(c, "x", &out, NULL), HF_ERR_UNREACHABLE);
	assert_in_range(now_ms() - start, 80, 3000);
	hf_set_patience(c, 0);
	start = now_ms();
	assert_int_equal(encrypt(c, "x", &out, NULL), HF_ERR_UNREACHABLE);
	assert_true(now_ms() - start < 500);
	hf_close(c);
	server_free(s);
}

static void
repeats_a_harmless_request_whose_reply_was_lost(void **state)
{
	struct script script = { { ACT_HANG_UP } };
	struct server *s = server_start(scripted, &script);
	struct hf_client *c = connected(s, 5000);

	(void)state;
	assert_works(c);
	assert_int_equal(atomic_load(&s->requests), 2);
	hf_close(c);
	server_free(s);
}

static void
does_not_repeat_a_request_that_changes_state(void **state)
{
	struct script script = { { ACT_HANG_UP } };
	struct server *s = server_start(scripted, &script);
	struct hf_client *c = connected(s, 5000);
	struct hf_key_info info = { .latest_version = 9 };
	struct hf_why why = { "" };

	(void)state;
	assert_int_equal(rotate(c, &info, &why), HF_ERR_DISCONNECTED);
	assert_int_equal(atomic_load(&s->requests), 1);
	assert_int_equal(info.latest_version, 0);
	assert_non_null(strstr(why.text, "key.rotate"));
	assert_works(c);
	hf_close(c);
	server_free(s);
}

/* -- Idempotency keys and dry runs -- */

struct heard {
	struct script script;
	char keys[8][IDEMPOTENCY_KEY_MAX + 1];
	bool dry[8];
};

static enum server_act
listening(struct server *s, struct server_request *r)
{
	struct heard *h = s->ctx;
	struct hf_change changes[] = { { TEXT("create"), TEXT("version"),
	    TEXT("2") } };
	struct hf_dry_run dry = { changes, 1, 3 };
	struct hf_text key = r->options.idempotency_key;

	if (r->number > 8)
		return answer(s, r);
	if (key.ptr != NULL)
		memcpy(h->keys[r->number - 1], key.ptr, key.len);
	h->dry[r->number - 1] = r->options.dry_run;
	if (h->script.acts[r->number - 1] != ACT_REPLY)
		return h->script.acts[r->number - 1];
	if (!r->options.dry_run || r->op->id != OP_key_rotate)
		return answer(s, r);
	assert_int_equal(envelope_part(TEXT("dry_run"), &schema_dry_run, &dry,
			     r->reply, r->cap, &r->len),
	    HF_OK);
	return ACT_REPLY;
}

static void
repeats_what_has_an_idempotency_key(void **state)
{
	struct heard h = { .script = { { ACT_HANG_UP } } };
	struct server *s = server_start(listening, &h);
	struct hf_client *c = connected(s, 5000);
	struct hf_key_info info;
	struct hf_why why = { "" };

	(void)state;
	assert_int_equal(hf_set_idempotency_key(c, hf_text_of("mine")), HF_OK);
	assert_int_equal(rotate(c, &info, &why), HF_OK);
	assert_string_equal(h.keys[0], "mine");
	assert_string_equal(h.keys[1], "mine");
	/* It was for that request only. */
	assert_int_equal(rotate(c, &info, &why), HF_OK);
	assert_string_equal(h.keys[2], "");
	hf_close(c);
	server_free(s);
}

static void
gives_each_request_a_key_of_its_own(void **state)
{
	struct heard h = { .script = { { ACT_HANG_UP } } };
	struct server *s = server_start(listening, &h);
	struct hf_client *c = connected(s, 5000);
	struct hf_key_info info;
	struct hf_why why = { "" };

	(void)state;
	hf_set_each_once(c, true);
	assert_int_equal(rotate(c, &info, &why), HF_OK);
	assert_int_equal(rotate(c, &info, &why), HF_OK);
	assert_int_equal(strlen(h.keys[0]), 32);
	assert_string_equal(h.keys[0], h.keys[1]);
	assert_int_equal(strlen(h.keys[2]), 32);
	assert_string_not_equal(h.keys[1], h.keys[2]);
	assert_works(c); /* which takes no key */
	assert_string_equal(h.keys[3], "");
	hf_close(c);
	server_free(s);
}

static void
a_dry_run_is_never_taken_for_the_real_thing(void **state)
{
	struct heard h = { .script = { { ACT_REPLY } } };
	struct server *s = server_start(listening, &h);
	struct hf_client *c = connected(s, 5000);
	struct hf_key_info info;
	struct hf_encrypt_out out;
	struct hf_why why = { "" };
	const struct hf_dry_run *dry;

	(void)state;
	hf_set_dry_run(c, true);
	assert_int_equal(rotate(c, &info, &why), HF_ERR_DRY_RUN);
	assert_true(h.dry[0]);
	dry = hf_would_change(c);
	assert_int_equal(dry->changes_count, 1);
	assert_true(text_is(dry->changes[0].kind, "version"));
	assert_int_equal(dry->more, 3);
	/* One that carries it out all the same does not get away with it. */
	assert_int_equal(encrypt(c, "x", &out, &why), HF_ERR_BAD_REPLY);
	assert_null(out.result.ciphertext.ptr);
	assert_int_equal(hf_would_change(c)->changes_count, 0);
	hf_set_dry_run(c, false);
	assert_int_equal(rotate(c, &info, &why), HF_OK);
	assert_false(h.dry[2]);
	hf_close(c);
	server_free(s);
}

static void
gives_up_on_a_request_that_the_service_does_not_survive(void **state)
{
	struct script script = { { ACT_HANG_UP, ACT_HANG_UP } };
	struct server *s = server_start(scripted, &script);
	struct hf_client *c = connected(s, 5000);
	struct hf_encrypt_out out;

	(void)state;
	assert_int_equal(encrypt(c, "x", &out, NULL), HF_ERR_DISCONNECTED);
	assert_int_equal(atomic_load(&s->requests), 2);
	assert_works(c);
	hf_close(c);
	server_free(s);
}

static void
says_that_a_message_may_be_too_large(void **state)
{
	struct server *s = server_start(answer, NULL);
	struct hf_client *c = connected(s, 5000);
	uint8_t *data = calloc(1, 4 << 20);
	struct hf_encrypt_in in = { .name = hf_text_of("k"),
		.item.plaintext = hf_bytes_of(data, 4 << 20) };
	struct hf_encrypt_out out;
	struct hf_why why = { "" };

	(void)state;
	s->max = 1 << 20;
	assert_int_equal(
	    hf_transit_encrypt(c, &in, &out, &why), HF_ERR_TOO_LARGE);
	assert_non_null(strstr(why.text, "larger"));
	assert_works(c);
	free(data);
	hf_close(c);
	server_free(s);
}

static void
keeps_its_deadline_and_drops_the_late_reply(void **state)
{
	struct script script = { { ACT_SILENT } };
	struct server *s = server_start(scripted, &script);
	struct hf_client *c = connected(s, 150);
	struct hf_encrypt_out out;
	int64_t start = now_ms();

	(void)state;
	assert_int_equal(encrypt(c, "x", &out, NULL), HF_ERR_TIMEOUT);
	assert_in_range(now_ms() - start, 140, 3000);
	hf_set_timeout(c, 5000);
	assert_works(c);
	assert_int_equal(atomic_load(&s->accepted), 1);
	hf_close(c);
	server_free(s);
}

static void
refuses_rubbish_and_starts_afresh(void **state)
{
	struct script script = { { ACT_RUBBISH } };
	struct server *s = server_start(scripted, &script);
	struct hf_client *c = connected(s, 5000);
	struct hf_encrypt_out out;

	(void)state;
	assert_int_equal(encrypt(c, "x", &out, NULL), HF_ERR_BAD_REPLY);
	assert_works(c);
	assert_int_equal(atomic_load(&s->accepted), 2);
	hf_close(c);
	server_free(s);
}

static enum server_act
nonsense(struct server *s, struct server_request *r)
{
	(void)s;
	r->reply[0] = 0x80;
	r->len = 1;
	return ACT_REPLY;
}

static void
refuses_a_reply_that_is_no_reply(void **state)
{
	struct server *s = server_start(nonsense, NULL);
	struct hf_client *c = connected(s, 5000);
	struct hf_encrypt_out out;

	(void)state;
	assert_int_equal(encrypt(c, "x", &out, NULL), HF_ERR_BAD_REPLY);
	assert_null(out.result.ciphertext.ptr);
	hf_close(c);
	server_free(s);
}

static void
takes_replies_in_any_order(void **state)
{
	struct server *s = server_start(answer, NULL);
	struct hf_client *c = connected(s, 5000);
	uint32_t tickets[10];
	struct hf_encrypt_out out;
	char text[10];

	(void)state;
	for (size_t i = 0; i < 10; i++) {
		struct hf_encrypt_in in = { .name = hf_text_of("k"),
			.item.plaintext = hf_bytes_of(text, 1) };

		text[0] = (char)('0' + i);
		assert_int_equal(
		    hf_transit_encrypt_send(c, &in, &tickets[i], NULL), HF_OK);
	}
	for (size_t i = 10; i-- > 0;) {
		assert_int_equal(
		    hf_transit_encrypt_receive(c, tickets[i], &out, NULL),
		    HF_OK);
		assert_int_equal(out.result.ciphertext.ptr[0], '0' + i);
	}
	hf_close(c);
	server_free(s);
}

static void
a_ticket_is_good_once_and_for_its_operation(void **state)
{
	struct server *s = server_start(answer, NULL);
	struct hf_client *c = connected(s, 5000);
	struct hf_name_in in = { .name = hf_text_of("k") };
	struct hf_key_info info;
	uint32_t ticket;

	(void)state;
	assert_int_equal(hf_key_rotate_send(c, &in, &ticket, NULL), HF_OK);
	assert_int_equal(
	    hf_key_read_receive(c, ticket, &info, NULL), HF_ERR_NOT_FOUND);
	assert_int_equal(hf_key_rotate_receive(c, ticket, &info, NULL), HF_OK);
	assert_int_equal(
	    hf_key_rotate_receive(c, ticket, &info, NULL), HF_ERR_NOT_FOUND);
	hf_close(c);
	server_free(s);
}

/* The server answers before it reads on: somebody has to read meanwhile. */
static void
many_large_requests_under_way_do_not_block_each_other(void **state)
{
	enum { COUNT = 40, SIZE = 1 << 20 };
	struct server *s = server_start(answer, NULL);
	struct hf_client *c = connected(s, 20000);
	uint8_t *data = malloc(SIZE);
	struct hf_encrypt_in in = { .name = hf_text_of("k"),
		.item.plaintext = hf_bytes_of(data, SIZE) };
	struct hf_encrypt_out out;
	uint32_t tickets[COUNT];

	(void)state;
	for (size_t i = 0; i < COUNT; i++) {
		memset(data, (int)i, SIZE);
		assert_int_equal(
		    hf_transit_encrypt_send(c, &in, &tickets[i], NULL), HF_OK);
	}
	for (size_t i = 0; i < COUNT; i++) {
		assert_int_equal(
		    hf_transit_encrypt_receive(c, tickets[i], &out, NULL),
		    HF_OK);
		assert_int_equal(out.result.ciphertext.len, SIZE);
		assert_int_equal(out.result.ciphertext.ptr[SIZE - 1], i);
	}
	free(data);
	hf_close(c);
	server_free(s);
}

static void
a_reply_can_be_kept_and_used_for_the_next_request(void **state)
{
	struct server *s = server_start(answer, NULL);
	struct hf_client *c = connected(s, 5000);
	struct hf_encrypt_in in = { .name = hf_text_of("k") };
	struct hf_encrypt_out first, second;
	struct hf_reply *kept;

	(void)state;
	assert_int_equal(encrypt(c, "first", &first, NULL), HF_OK);
	in.item.plaintext = first.result.ciphertext;
	assert_int_equal(hf_transit_encrypt(c, &in, &second, NULL), HF_OK);
	assert_memory_equal(second.result.ciphertext.ptr, "first", 5);
	kept = hf_keep(c);
	assert_non_null(kept);
	assert_null(hf_keep(c));
	assert_works(c);
	hf_close(c);
	assert_memory_equal(second.result.ciphertext.ptr, "first", 5);
	hf_reply_free(kept);
	server_free(s);
}

static void
parent_and_child_both_go_on_after_a_fork(void **state)
{
	struct server *s = server_start(answer, NULL);
	struct hf_client *c = connected(s, 5000);
	struct hf_encrypt_in in = { .name = hf_text_of("k"),
		.item.plaintext = hf_bytes_of("mine", 4) };
	struct hf_encrypt_out out;
	uint32_t ticket;
	int status;
	pid_t pid;

	(void)state;
	assert_works(c);
	assert_int_equal(hf_transit_encrypt_send(c, &in, &ticket, NULL), HF_OK);
	pid = fork();
	if (pid == 0) {
		/* No cmocka here: its jumps belong to the parent. */
		bool ok = hf_transit_encrypt_receive(c, ticket, &out, NULL) ==
		    HF_ERR_DISCONNECTED;

		ok = ok && encrypt(c, "child", &out, NULL) == HF_OK &&
		    memcmp(out.result.ciphertext.ptr, "child", 5) == 0;
		hf_close(c);
		_exit(ok ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(
	    hf_transit_encrypt_receive(c, ticket, &out, NULL), HF_OK);
	assert_memory_equal(out.result.ciphertext.ptr, "mine", 4);
	assert_works(c);
	assert_int_equal(atomic_load(&s->accepted), 2);
	hf_close(c);
	server_free(s);
}

/* As a daemon does that closes "all" descriptors and opens its own. */
static void
leaves_alone_what_took_the_number_of_its_descriptor(void **state)
{
	struct server *s = server_start(answer, NULL);
	int low = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct hf_client *c;
	int file;

	(void)state;
	assert_int_equal(close(low), 0);
	/* The client's socket takes the lowest free number, which is `low`. */
	c = connected(s, 5000);
	file = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_not_equal(file, low);
	assert_int_equal(dup3(file, low, O_CLOEXEC), low);
	assert_works(c);
	assert_int_not_equal(fcntl(low, F_GETFD), -1);
	assert_int_equal(close(low), 0);
	assert_int_equal(close(file), 0);
	hf_close(c);
	server_free(s);
}

static void
raises_no_signal_when_the_service_goes(void **state)
{
	struct server *s = server_start(answer, NULL);
	struct hf_client *c = connected(s, 1000);
	struct hf_encrypt_out out;

	(void)state;
	assert_true(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
	hf_set_patience(c, 0);
	server_stop(s);
	assert_int_equal(encrypt(c, "x", &out, NULL), HF_ERR_UNREACHABLE);
	hf_close(c);
	server_free(s);
}

static void
closing_nothing_does_nothing(void **state)
{
	(void)state;
	hf_close(NULL);
	hf_reply_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_and_gives_the_reply),
		cmocka_unit_test(
		    gives_the_error_of_the_service_with_its_message),
		cmocka_unit_test(says_at_once_that_nobody_listens),
		cmocka_unit_test(
		    refuses_a_path_that_does_not_fit_a_socket_address),
		cmocka_unit_test(
		    takes_its_address_with_a_scheme_or_from_the_environment),
		cmocka_unit_test(takes_settings_of_tls_only_whole_and_for_tls),
		cmocka_unit_test(
		    does_not_connect_to_another_host_without_settings),
		cmocka_unit_test(a_prepared_handle_connects_when_it_is_used),
		cmocka_unit_test(connects_anew_to_a_restarted_service),
		cmocka_unit_test(a_restart_while_idle_takes_no_attempt_away),
		cmocka_unit_test(a_client_that_may_spin_is_no_other),
		cmocka_unit_test(waits_for_a_service_that_is_being_restarted),
		cmocka_unit_test(waits_no_longer_than_its_patience),
		cmocka_unit_test(
		    repeats_a_harmless_request_whose_reply_was_lost),
		cmocka_unit_test(repeats_what_has_an_idempotency_key),
		cmocka_unit_test(gives_each_request_a_key_of_its_own),
		cmocka_unit_test(a_dry_run_is_never_taken_for_the_real_thing),
		cmocka_unit_test(does_not_repeat_a_request_that_changes_state),
		cmocka_unit_test(
		    gives_up_on_a_request_that_the_service_does_not_survive),
		cmocka_unit_test(says_that_a_message_may_be_too_large),
		cmocka_unit_test(keeps_its_deadline_and_drops_the_late_reply),
		cmocka_unit_test(refuses_rubbish_and_starts_afresh),
		cmocka_unit_test(refuses_a_reply_that_is_no_reply),
		cmocka_unit_test(takes_replies_in_any_order),
		cmocka_unit_test(a_ticket_is_good_once_and_for_its_operation),
		cmocka_unit_test(
		    many_large_requests_under_way_do_not_block_each_other),
		cmocka_unit_test(
		    a_reply_can_be_kept_and_used_for_the_next_request),
		cmocka_unit_test(parent_and_child_both_go_on_after_a_fork),
		cmocka_unit_test(
		    leaves_alone_what_took_the_number_of_its_descriptor),
		cmocka_unit_test(raises_no_signal_when_the_service_goes),
		cmocka_unit_test(closing_nothing_does_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
