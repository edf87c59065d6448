/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "../../keyd/crypto.h"
#include "../../keyd/fresh.h"
#include "../../keyd/keys.h"
#include "../../lib/bytes.h"
#include "service_fixture.h"

/* Versions whose material comes from outside: what keys.h promises of them. */

/* Fresh material of a type, both halves of it. */
static void
bring(enum key_type_id id, size_t size, struct key_material *m)
{
	const struct key_type *type = key_type_by_id(id);
	struct crypto_key *pair;

	*m = (struct key_material){ .spki_len = 0 };
	assert_int_equal(crypto_generate(type, size, &m->key), HF_OK);
	if (!type->signs)
		return;
	assert_int_equal(
	    crypto_key_private(type, secret_view(&m->key), &pair), HF_OK);
	assert_int_equal(
	    crypto_key_spki(pair, m->spki, sizeof(m->spki), &m->spki_len),
	    HF_OK);
	crypto_key_free(pair);
}

/* A key of that material; `public`: of its public half alone. */
static void
import(const char *name, enum key_type_id id, const struct key_material *m,
    bool public)
{
	struct key_material half = { .spki_len = m->spki_len };
	struct key_create how = {
		.name = text_of(name),
		.type = key_type_by_id(id),
		.level = LEVEL_WRAPPED,
		.keyring = TEXT("default"),
		.prefix = TEXT("vault"),
		.key_size = id == KEY_HMAC ? m->key.len : 0,
		.deletion_allowed = true,
		.material = public ? &half : m,
	};
	struct key *key = NULL;

	memcpy(half.spki, m->spki, m->spki_len);
	assert_int_equal(
	    keys_create(service.server.keys, &how, &key, &why), HF_OK);
	key_unref(key);
}

static enum hf_err
add(const char *name, struct key_material *m, uint64_t version)
{
	struct key *key = NULL;
	enum hf_err err = keys_import_version(
	    service.server.keys, text_of(name), m, version, false, &key, &why);

	key_unref(key);
	return err;
}

static uint64_t
latest(const char *name)
{
	struct key *key = NULL;
	uint64_t number;

	assert_int_equal(
	    keys_get(service.server.keys, text_of(name), true, &key), HF_OK);
	number = key->latest;
	key_unref(key);
	return number;
}

static enum hf_err
sign(const char *name, uint64_t version)
{
	struct hf_sign_in in = { .name = text_of(name),
		.item = { .input = bytes_of("data", 4) },
		.key_version = { version, true } };
	struct hf_sign_out out;

	return service_call(&service, "transit.sign", &in, &out, &why);
}

static void
expect_why(const char *words)
{
	if (strstr(why.text, words) == NULL)
		fail_msg("\"%s\" has no \"%s\"", why.text, words);
}

static void
a_key_gets_versions_from_outside(void **state)
{
	struct key_material first, second;

	(void)state;
	bring(KEY_ED25519, 0, &first);
	bring(KEY_ED25519, 0, &second);
	import("two", KEY_ED25519, &first, false);
	assert_int_equal(add("two", &second, 0), HF_OK);
	assert_int_equal(latest("two"), 2);
	assert_int_equal(sign("two", 2), HF_OK);
	key_material_free(&first);
	key_material_free(&second);
}

static void
a_key_that_was_made_here_gets_none(void **state)
{
	struct hf_key_create_in in = { .name = TEXT("made"),
		.type = TEXT("ed25519") };
	struct hf_key_info info;
	struct key_material m;

	(void)state;
	assert_int_equal(
	    service_call(&service, "key.create", &in, &info, &why), HF_OK);
	bring(KEY_ED25519, 0, &m);
	assert_int_equal(add("made", &m, 0), HF_ERR_BAD_CONFIG);
	assert_int_equal(latest("made"), 1);
	key_material_free(&m);
}

static void
the_private_half_comes_later_and_once(void **state)
{
	struct key_material mine, other;

	(void)state;
	bring(KEY_ED25519, 0, &mine);
	bring(KEY_ED25519, 0, &other);
	import("half", KEY_ED25519, &mine, true);
	assert_int_not_equal(sign("half", 1), HF_OK);
	assert_int_equal(add("half", &other, 1), HF_ERR_BAD_INPUT);
	expect_why("does not belong to the public key of version 1");
	assert_int_not_equal(sign("half", 1), HF_OK);
	assert_int_equal(add("half", &mine, 2), HF_ERR_VERSION_NOT_FOUND);
	assert_int_equal(add("half", &mine, 1), HF_OK);
	assert_int_equal(sign("half", 1), HF_OK);
	assert_int_equal(add("half", &mine, 1), HF_ERR_BAD_CONFIG);
	expect_why("has its private half already");
	assert_int_equal(latest("half"), 1);
	key_material_free(&mine);
	key_material_free(&other);
}

static enum hf_err
let_go(void *ctx, const char *name, uint64_t version)
{
	(void)ctx;
	(void)name;
	(void)version;
	return HF_OK;
}

static void
gone(void *ctx, const char *name, uint64_t version, enum hf_err err)
{
	(void)name;
	(void)version;
	*(unsigned *)ctx += err == HF_OK;
}

static void
nothing_comes_back_into_a_destroyed_version(void **state)
{
	struct key_material mine, other;
	unsigned count = 0;
	const struct due_watch watch = { &count, let_go, gone };
	uint64_t next;

	(void)state;
	bring(KEY_ED25519, 0, &mine);
	bring(KEY_ED25519, 0, &other);
	import("shred", KEY_ED25519, &mine, true);
	assert_int_equal(add("shred", &other, 0), HF_OK);
	assert_int_equal(keys_version_destroy(service.server.keys,
			     TEXT("shred"), 1, 0, 0, NULL, &why),
	    HF_OK);
	assert_int_equal(keys_destroy_due(service.server.keys,
			     (uint64_t)time(NULL) + 1, &watch, &next),
	    HF_OK);
	assert_int_equal(count, 1);
	assert_int_equal(add("shred", &mine, 1), HF_ERR_VERSION_STATE);
	expect_why("version 1 of key shred is destroyed");
	assert_int_not_equal(sign("shred", 1), HF_OK);
	key_material_free(&mine);
	key_material_free(&other);
}

static void
policy_may_demand_the_hsm(void **state)
{
	struct key_material m;
	struct key *key = NULL;

	(void)state;
	bring(KEY_ED25519, 0, &m);
	import("soft", KEY_ED25519, &m, false);
	assert_int_equal(keys_import_version(service.server.keys, TEXT("soft"),
			     &m, 0, true, &key, &why),
	    HF_ERR_KEY_LEVEL);
	assert_null(key);
	assert_int_equal(latest("soft"), 1);
	key_material_free(&m);
}

static void
all_versions_of_an_hmac_key_are_as_long(void **state)
{
	struct key_material first, shorter, same;

	(void)state;
	bring(KEY_HMAC, 64, &first);
	bring(KEY_HMAC, 32, &shorter);
	bring(KEY_HMAC, 64, &same);
	import("mac", KEY_HMAC, &first, false);
	assert_int_equal(add("mac", &shorter, 0), HF_ERR_BAD_INPUT);
	expect_why("have 64 bytes, this one has 32");
	assert_int_equal(add("mac", &same, 0), HF_OK);
	assert_int_equal(latest("mac"), 2);
	key_material_free(&first);
	key_material_free(&shorter);
	key_material_free(&same);
}

static void
a_deleted_key_gets_no_versions(void **state)
{
	struct hf_name_in in = { .name = TEXT("bin") };
	struct hf_key_info info;
	struct key_material m;

	(void)state;
	bring(KEY_ED25519, 0, &m);
	import("bin", KEY_ED25519, &m, false);
	assert_int_equal(
	    service_call(&service, "key.soft_delete", &in, &info, &why), HF_OK);
	assert_int_equal(add("bin", &m, 0), HF_ERR_KEY_DELETED);
	key_material_free(&m);
}

static void
a_certificate_needs_a_version_that_is_there(void **state)
{
	struct key_material m;

	(void)state;
	bring(KEY_ED25519, 0, &m);
	import("bare", KEY_ED25519, &m, false);
	assert_int_equal(keys_put_certificate(service.server.keys, TEXT("bare"),
			     2, (struct hf_bytes){ 0 }, &why),
	    HF_ERR_VERSION_NOT_FOUND);
	expect_why("key bare has no version 2");
	assert_int_equal(keys_put_certificate(service.server.keys, TEXT("none"),
			     1, (struct hf_bytes){ 0 }, &why),
	    HF_ERR_KEY_NOT_FOUND);
	assert_int_equal(keys_put_certificate(service.server.keys, TEXT("bare"),
			     1, (struct hf_bytes){ 0 }, &why),
	    HF_OK);
	key_material_free(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_gets_versions_from_outside),
		cmocka_unit_test(a_key_that_was_made_here_gets_none),
		cmocka_unit_test(the_private_half_comes_later_and_once),
		cmocka_unit_test(nothing_comes_back_into_a_destroyed_version),
		cmocka_unit_test(policy_may_demand_the_hsm),
		cmocka_unit_test(all_versions_of_an_hmac_key_are_as_long),
		cmocka_unit_test(a_deleted_key_gets_no_versions),
		cmocka_unit_test(a_certificate_needs_a_version_that_is_there),
	};

	return cmocka_run_group_tests(tests, service_setup, service_teardown);
}
