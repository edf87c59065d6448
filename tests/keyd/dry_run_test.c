/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/effects.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../keyd/crypto.h"
#include "../../keyd/crypto_wrap.h"
#include "../../keyd/crypto_x509.h"
#include "../../lib/buffer.h"
#include "../../lib/bytes.h"
#include "../../lib/envelope.h"
#include "../fake/message.h"
#include "service_fixture.h"

/*
 * CK19. Every operation that changes state, first as a dry run and then for
 * good: the first leaves the store, the HSM and the policies as they are and
 * says that it would change something, the second changes them.
 */

/* What earlier steps gave and later ones take. */
static struct {
	char other_public[2048], chain[8192];
	uint8_t blob[2048], backup[8192], session_key[4096], wrapped[512];
	uint8_t certificate[CERT_CHAIN_MAX];
	size_t blob_len, backup_len, session_key_len, wrapped_len,
	    certificate_len;
} kept;

/* -- What there is to change -- */

struct state {
	uint8_t store[32]; /* hash of names, values and revisions */
	size_t records;
	size_t objects; /* of the token */
	uint64_t policies;
	uint64_t master;
};

struct dump {
	struct buffer text;
	size_t records;
};

static bool
dump_each(
    void *ctx, struct hf_text key, struct hf_bytes value, uint64_t revision)
{
	struct dump *d = ctx;
	uint8_t number[8];

	put_u64(number, revision);
	assert_int_equal(buffer_add(&d->text, bytes_of_text(key)), HF_OK);
	assert_int_equal(buffer_add(&d->text, value), HF_OK);
	assert_int_equal(buffer_add(&d->text, bytes_of(number, 8)), HF_OK);
	d->records++;
	return true;
}

static struct state
look(void)
{
	struct dump d = { .text = { 0 } };
	struct state now = { .policies =
				 policy_generation(service.server.policy),
		.master = hierarchy_master_version(service.server.hierarchy) };

	assert_true(softhsm_count(true, &now.objects));
	assert_int_equal(store_list(service.server.store, TEXT(""),
			     (struct hf_text){ 0 }, 0, dump_each, &d),
	    HF_OK);
	assert_int_equal(crypto_sha256(buffer_view(&d.text), now.store), HF_OK);
	now.records = d.records;
	buffer_free(&d.text);
	return now;
}

static bool
same(const struct state *a, const struct state *b)
{
	return memcmp(a->store, b->store, sizeof(a->store)) == 0 &&
	    a->records == b->records && a->objects == b->objects &&
	    a->policies == b->policies && a->master == b->master;
}

/* -- Asking -- */

static enum hf_err
call(const char *op, const void *in, void *out, bool dry)
{
	enum hf_err err;

	service.options.dry_run = dry;
	err = service_call(&service, op, in, out, &why);
	service.options.dry_run = false;
	return err;
}

/* What the reply to the dry run says; in the worker's arena. */
static struct hf_dry_run
found_out(void)
{
	struct hf_dry_run dry;

	assert_int_equal(envelope_open_part(service.rq.reply, TEXT("dry_run"),
			     &schema_dry_run, service.worker, &dry),
	    HF_OK);
	return dry;
}

static void
keep_text(char *at, size_t room, struct hf_text t)
{
	assert_true(t.len > 0 && t.len < room);
	memcpy(at, t.ptr, t.len);
	at[t.len] = '\0';
}

static void
keep_bytes(uint8_t *at, size_t room, size_t *len, struct hf_bytes b)
{
	assert_true(b.len > 0 && b.len <= room);
	memcpy(at, b.ptr, b.len);
	*len = b.len;
}

/* -- The steps -- */

/* An operation's input, and what is kept of what it gave. */
typedef void fill_fn(void *in);
typedef void take_fn(const void *out);

#define FILL(fn, type, ...)                                        \
	static void fn(void *in)                                   \
	{                                                          \
		*(struct type *)in = (struct type){ __VA_ARGS__ }; \
	}

FILL(create_soft, hf_key_create_in, .name = TEXT("soft"),
    .deletion_allowed = true, .exportable = true,
    .allow_plaintext_backup = true)
FILL(create_hard, hf_key_create_in, .name = TEXT("hard"), .level = TEXT("hsm"),
    .type = TEXT("ed25519"), .deletion_allowed = true)
FILL(create_signer, hf_key_create_in, .name = TEXT("signer"),
    .type = TEXT("ecdsa-p256"), .deletion_allowed = true)
FILL(create_other, hf_key_create_in, .name = TEXT("other"),
    .type = TEXT("ecdsa-p256"), .deletion_allowed = true)
FILL(name_soft, hf_name_in, .name = TEXT("soft"))
FILL(name_hard, hf_name_in, .name = TEXT("hard"))
FILL(name_ring, hf_name_in, .name = TEXT("ring"))
FILL(name_alias, hf_name_in, .name = TEXT("nick"))
FILL(name_pin, hf_name_in, .name = TEXT("4712"))
FILL(config_soft, hf_key_config_in, .name = TEXT("soft"),
    .min_decryption_version = { 3, true },
    .min_encryption_version = { 3, true })
FILL(
    trim_soft, hf_key_trim_in, .name = TEXT("soft"), .min_available_version = 3)
FILL(second_soft, hf_version_in, .name = TEXT("soft"), .version = 2)
FILL(destroy_soft, hf_version_destroy_in, .name = TEXT("soft"), .version = 2)
FILL(point_alias, hf_alias, .name = TEXT("nick"), .target = TEXT("soft"))
FILL(destroy_ring, hf_keyring_destroy_in, .name = TEXT("ring"))
FILL(nothing, hf_empty, .unused = false)
FILL(rotate_master, hf_rotate_master_in, .destroy_old = true)
FILL(pin_4712, hf_pin_in, .name = TEXT("4712"), .pin = bytes_of("123456", 6))
FILL(self_sign, hf_key_self_sign_in, .name = TEXT("signer"))
FILL(set_certificate, hf_key_set_certificate_in, .name = TEXT("signer"),
    .certificate_chain = text_of(kept.chain))
FILL(import_key, hf_key_import_in, .name = TEXT("brought"),
    .type = TEXT("aes256-gcm96"), .hash_function = TEXT("SHA256"),
    .ciphertext = bytes_of(kept.blob, kept.blob_len))
FILL(import_hard, hf_key_import_in, .name = TEXT("brought-in"),
    .type = TEXT("aes256-gcm96"), .hash_function = TEXT("SHA256"),
    .level = TEXT("hsm"), .ciphertext = bytes_of(kept.blob, kept.blob_len))
FILL(import_version, hf_key_import_version_in, .name = TEXT("brought"),
    .hash_function = TEXT("SHA256"),
    .ciphertext = bytes_of(kept.blob, kept.blob_len))
FILL(restore_key, hf_key_restore_in, .name = TEXT("restored"),
    .backup = bytes_of(kept.backup, kept.backup_len))
FILL(derive_key, hf_derive_key_in, .name = TEXT("agreed"),
    .base_key_name = TEXT("signer"),
    .peer_public_key = bytes_of_text(text_of(kept.other_public)))
FILL(generate_wrapper, hf_p11_generate_in, .name = TEXT("wrapper"),
    .make = {
	.type = TEXT("aes256-gcm96"), .uses = HF_P11_WRAP | HF_P11_UNWRAP })
FILL(generate_hard, hf_p11_generate_in, .name = TEXT("inside"),
    .make = { .type = TEXT("ed25519") }, .stay = { .level = TEXT("hsm") })
FILL(import_p11, hf_p11_import_in, .name = TEXT("carried"),
    .make = { .type = TEXT("aes128-gcm96") },
    .stay = { .deletion_allowed = true },
    .material = bytes_of("0123456789abcdef", 16))
FILL(unwrap, hf_p11_unwrap_in, .name = TEXT("wrapper"), .key_version = 1,
    .how = { .mechanism = TEXT("aes-kwp") },
    .data = bytes_of(kept.wrapped, kept.wrapped_len),
    .target = TEXT("unwrapped"), .make = { .type = TEXT("aes256-gcm96") })
FILL(set_label, hf_p11_set_in, .name = TEXT("carried"),
    .label = TEXT("another name"))
FILL(set_p11_certificate, hf_p11_set_certificate_in, .name = TEXT("signer"),
    .key_version = 1)
FILL(destroy_p11, hf_p11_destroy_in, .name = TEXT("carried"), .key_version = 1)
FILL(certificate_set, hf_p11_certificate_in, .name = TEXT("root"),
    .certificate = bytes_of(kept.certificate, kept.certificate_len))
FILL(certificate_delete, hf_p11_certificate_delete_in, .name = TEXT("root"))
FILL(backup_soft, hf_key_backup_in, .name = TEXT("soft"))
FILL(make_session, hf_p11_session_in,
    .make = { .type = TEXT("aes256-gcm96"), .uses = HF_P11_EXTRACT })
FILL(wrap_session, hf_p11_wrap_in, .name = TEXT("wrapper"), .key_version = 1,
    .how = { .mechanism = TEXT("aes-kwp") },
    .session_key = bytes_of(kept.session_key, kept.session_key_len))

static void
take_other(const void *out)
{
	const struct hf_key_info *info = out;

	keep_text(kept.other_public, sizeof(kept.other_public),
	    info->keys[0].public_key);
}

static void
take_chain(const void *out)
{
	const struct hf_key_info *info = out;

	keep_text(
	    kept.chain, sizeof(kept.chain), info->keys[0].certificate_chain);
	assert_int_equal(cert_chain_read(text_of(kept.chain), kept.certificate,
			     &kept.certificate_len, &why),
	    HF_OK);
}

static void
take_backup(const void *out)
{
	const struct hf_key_backup_out *b = out;

	keep_bytes(
	    kept.backup, sizeof(kept.backup), &kept.backup_len, b->backup);
}

static void
take_session(const void *out)
{
	const struct hf_p11_made *made = out;

	keep_bytes(kept.session_key, sizeof(kept.session_key),
	    &kept.session_key_len, made->session_key);
}

static void
take_wrapped(const void *out)
{
	const struct hf_p11_use_out *w = out;

	keep_bytes(
	    kept.wrapped, sizeof(kept.wrapped), &kept.wrapped_len, w->data);
}

/* A key of zeros, wrapped for the service. */
static void
take_wrapping(const void *out)
{
	const struct hf_wrapping_key_out *w = out;
	static const uint8_t zeros[32];
	struct crypto_key *key;
	uint8_t spki[1024];
	size_t len;

	assert_int_equal(
	    crypto_pem_spki(w->public_key, spki, sizeof(spki), &len), HF_OK);
	assert_int_equal(crypto_key_public(key_type_by_id(KEY_RSA_4096),
			     bytes_of(spki, len), &key),
	    HF_OK);
	assert_int_equal(crypto_rsa_wrap(key, bytes_of(zeros, sizeof(zeros)),
			     kept.blob, &kept.blob_len),
	    HF_OK);
	crypto_key_free(key);
}

/* In an order in which each can be done. */
static const struct step {
	const char *op;
	fill_fn *fill;
	take_fn *take;
} steps[] = {
	{ "key.create", create_soft, NULL },
	{ "key.create", create_hard, NULL },
	{ "key.create", create_signer, NULL },
	{ "key.create", create_other, take_other },
	{ "keyring.create", name_ring, NULL },
	{ "key.rotate", name_soft, NULL },
	{ "key.rotate", name_hard, NULL },
	{ "key.rotate", name_soft, NULL },
	{ "key.version_disable", second_soft, NULL },
	{ "key.version_enable", second_soft, NULL },
	{ "key.version_destroy", destroy_soft, NULL },
	{ "key.version_restore", second_soft, NULL },
	{ "key.config", config_soft, NULL },
	{ "key.trim", trim_soft, NULL },
	{ "key.soft_delete", name_soft, NULL },
	{ "key.soft_delete_restore", name_soft, NULL },
	{ "alias.set", point_alias, NULL },
	{ "alias.delete", name_alias, NULL },
	{ "hsm.rotate_master", rotate_master, NULL },
	{ "policy.reload", nothing, NULL },
	{ "pin.set", pin_4712, NULL },
	{ "pin.remove", name_pin, NULL },
	{ "key.self_sign", self_sign, take_chain },
	{ "key.set_certificate", set_certificate, NULL },
	{ "transit.wrapping_key", nothing, take_wrapping },
	{ "key.import", import_key, NULL },
	{ "key.import", import_hard, NULL },
	{ "key.import_version", import_version, NULL },
	{ "key.backup", backup_soft, take_backup },
	{ "key.restore", restore_key, NULL },
	{ "transit.derive_key", derive_key, NULL },
	{ "p11.generate", generate_wrapper, NULL },
	{ "p11.generate", generate_hard, NULL },
	{ "p11.session", make_session, take_session },
	{ "p11.wrap", wrap_session, take_wrapped },
	{ "p11.unwrap", unwrap, NULL },
	{ "p11.import", import_p11, NULL },
	{ "p11.set", set_label, NULL },
	{ "p11.set_certificate", set_p11_certificate, NULL },
	{ "p11.destroy", destroy_p11, NULL },
	{ "p11.certificate_set", certificate_set, NULL },
	{ "p11.certificate_delete", certificate_delete, NULL },
	{ "keyring.destroy", destroy_ring, NULL },
	{ "key.delete", name_hard, NULL },
	{ "key.delete", name_soft, NULL },
};

enum { STEPS = sizeof(steps) / sizeof(steps[0]) };

static void
run_dry(const struct step *step, const void *in, void *out)
{
	struct state before = look(), after;
	enum hf_err err = call(step->op, in, out, true);
	struct hf_dry_run dry;

	if (err != HF_ERR_DRY_RUN)
		fail_msg("dry run of %s: %s %s", step->op, hf_err_name(err),
		    why.text);
	dry = found_out();
	if (dry.changes_count == 0)
		fail_msg("the dry run of %s finds no change", step->op);
	after = look();
	if (!same(&before, &after))
		fail_msg("the dry run of %s changed something", step->op);
	assert_false(effects_dry());
}

static void
run_step(const struct step *step)
{
	const struct op *op = op_by_name(text_of(step->op));
	uint8_t *in = calloc(1, op->in->size);
	uint8_t *out = calloc(1, op->out->size);
	struct state before, after;
	enum hf_err err;

	assert_non_null(in);
	assert_non_null(out);
	step->fill(in);
	if (op_may_be_dry(op))
		run_dry(step, in, out);
	before = look();
	err = call(step->op, in, out, false);
	if (err != HF_OK)
		fail_msg("%s: %s %s", step->op, hf_err_name(err), why.text);
	if (step->take != NULL)
		step->take(out);
	after = look();
	if (op_may_be_dry(op) && same(&before, &after))
		fail_msg("%s changed nothing", step->op);
	free(in);
	free(out);
}

static void
a_dry_run_changes_nothing_and_foretells_a_change(void **state)
{
	(void)state;
	for (size_t i = 0; i < STEPS; i++)
		run_step(&steps[i]);
}

static void
every_operation_that_changes_state_is_among_the_steps(void **state)
{
	(void)state;
	for (size_t i = 0; i < ops_count; i++) {
		bool found = !op_may_be_dry(&ops[i]);

		for (size_t k = 0; k < STEPS; k++)
			found = found || strcmp(steps[k].op, ops[i].name) == 0;
		if (!found)
			fail_msg("no step does %s", ops[i].name);
	}
}

/* -- Whatever is asked -- */

static enum hf_err
ask_anything(const struct op *op, const char *name, bool all, uint64_t *seed)
{
	struct arena *arena = NULL;
	const struct field *key = op_key_field(op);
	uint8_t *in;
	void *out;
	enum hf_err err;

	assert_int_equal(arena_new(8192, 1 << 20, &arena), HF_OK);
	in = message_room(arena, op->in->size);
	out = message_room(arena, op->out->size);
	message_fill(op->in, arena, all, seed, in);
	if (key != NULL)
		*(struct hf_text *)(void *)(in + key->offset) = text_of(name);
	err = call(op->name, in, out, true);
	arena_free(arena);
	return err;
}

/* Valid or not, and of every operation there is. */
static void
no_dry_run_changes_anything(void **state)
{
	struct state before = look(), after;
	uint64_t seed = 99;

	(void)state;
	for (size_t i = 0; i < ops_count; i++)
		for (unsigned turn = 0; turn < 4; turn++) {
			enum hf_err err = ask_anything(&ops[i],
			    turn < 2 ? "signer" : "new", turn % 2 == 0, &seed);

			if (err == HF_OK ||
			    (!op_may_be_dry(&ops[i]) &&
				err != HF_ERR_NOT_OFFERED))
				fail_msg(
				    "%s: %s", ops[i].name, hf_err_name(err));
			after = look();
			if (!same(&before, &after))
				fail_msg("the dry run of %s changed something",
				    ops[i].name);
		}
}

/* -- What it tells -- */

static bool
tells(const struct hf_dry_run *dry, const char *action, const char *kind,
    const char *name)
{
	for (size_t i = 0; i < dry->changes_count; i++)
		if (text_is(dry->changes[i].action, action) &&
		    text_is(dry->changes[i].kind, kind) &&
		    text_is(dry->changes[i].name, name))
			return true;
	return false;
}

static void
it_tells_what_would_be_changed(void **state)
{
	struct hf_key_create_in create = { .name = TEXT("told"),
		.type = TEXT("aes256-gcm96"),
		.level = TEXT("hsm"),
		.deletion_allowed = true };
	struct hf_name_in name = { .name = TEXT("told") };
	struct hf_key_info info;
	struct hf_empty empty;
	struct hf_dry_run dry;

	(void)state;
	assert_int_equal(
	    call("key.create", &create, &info, true), HF_ERR_DRY_RUN);
	dry = found_out();
	assert_true(tells(&dry, "create", "key", "told"));
	assert_true(tells(&dry, "create", "version", "1"));
	assert_true(tells(&dry, "create", "hsm_key", "aes256-gcm96"));
	assert_int_equal(call("key.create", &create, &info, false), HF_OK);
	/* Once it is there, there is nothing to do. */
	assert_int_equal(
	    call("key.create", &create, &info, true), HF_ERR_DRY_RUN);
	assert_int_equal(found_out().changes_count, 0);
	assert_int_equal(
	    call("key.rotate", &name, &info, true), HF_ERR_DRY_RUN);
	dry = found_out();
	assert_true(tells(&dry, "update", "key", "told"));
	assert_true(tells(&dry, "create", "version", "2"));
	assert_int_equal(
	    call("key.delete", &name, &empty, true), HF_ERR_DRY_RUN);
	dry = found_out();
	assert_true(tells(&dry, "delete", "key", "told"));
	assert_true(tells(&dry, "delete", "version", "1"));
	assert_int_equal(call("key.delete", &name, &empty, false), HF_OK);
}

static void
a_refusal_is_that_of_the_real_thing(void **state)
{
	struct hf_name_in none = { .name = TEXT("no-such-key") };
	struct hf_key_trim_in trim = { .name = TEXT("signer"),
		.min_available_version = 9 };
	struct hf_key_info info;

	(void)state;
	assert_int_equal(call("key.rotate", &none, &info, true),
	    call("key.rotate", &none, &info, false));
	assert_int_equal(
	    call("key.trim", &trim, &info, true), HF_ERR_BAD_CONFIG);
	assert_non_null(strstr(why.text, "latest version"));
}

static void
policy_is_asked_all_the_same(void **state)
{
	struct hf_name_in in = { .name = TEXT("signer") };
	struct hf_key_info info;

	(void)state;
	service_policy(&service,
	    "path \"transit/keys/signer\" { capabilities = [\"read\"] }");
	assert_int_equal(
	    call("key.rotate", &in, &info, true), HF_ERR_PERMISSION_DENIED);
	service_policy(&service, EVERYTHING);
}

static void
the_audit_log_says_that_it_was_a_dry_run(void **state)
{
	struct hf_name_in in = { .name = TEXT("signer") };
	struct hf_key_info info;
	size_t before, len;
	char *log;

	(void)state;
	free(service_audit(&service, &before));
	assert_int_equal(call("key.rotate", &in, &info, true), HF_ERR_DRY_RUN);
	log = service_audit(&service, &len);
	assert_non_null(strstr(log + before, "\"dry_run\":true"));
	assert_non_null(strstr(log + before, "\"result\":\"dry_run\""));
	free(log);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    every_operation_that_changes_state_is_among_the_steps),
		cmocka_unit_test(
		    a_dry_run_changes_nothing_and_foretells_a_change),
		cmocka_unit_test(no_dry_run_changes_anything),
		cmocka_unit_test(it_tells_what_would_be_changed),
		cmocka_unit_test(a_refusal_is_that_of_the_real_thing),
		cmocka_unit_test(policy_is_asked_all_the_same),
		cmocka_unit_test(the_audit_log_says_that_it_was_a_dry_run),
	};

	return cmocka_run_group_tests(tests, service_setup, service_teardown);
}
