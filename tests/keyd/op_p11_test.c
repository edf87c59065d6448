/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../lib/bytes.h"
#include "../fake/service.h"

/* What the operations of PKCS#11 promise, asked without the module: it is the
 * daemon that must refuse. */

static struct service service;
static struct hf_why why;
static const uint8_t key16[16] = { 1, 2, 3 }, key32[32] = { 4, 5, 6 };

#define ALL                                                  \
	"capabilities = [\"create\", \"read\", \"update\", " \
	"\"delete\", \"list\"]"
#define BYTES(a) bytes_of(a, sizeof(a))

static int
setup(void **state)
{
	(void)state;
	return service_start(&service, true) ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	service_stop(&service);
	return 0;
}

static enum hf_err
bring(const char *name, const char *type, uint64_t uses, struct hf_bytes value)
{
	struct hf_p11_import_in in = { .name = text_of(name),
		.make = { .type = text_of(type), .uses = uses },
		.material = value };
	struct hf_p11_made out;

	return service_call(&service, "p11.import", &in, &out, &why);
}

static enum hf_err
bring_session(struct hf_bytes value)
{
	struct hf_p11_session_in in = {
		.make = { .type = TEXT("aes128-gcm96") }, .material = value
	};
	struct hf_p11_made out;

	return service_call(&service, "p11.session", &in, &out, &why);
}

static enum hf_err
mac(const char *op, const char *key, const char *mechanism, const char *hash)
{
	struct hf_p11_use_in in = { .name = text_of(key),
		.key_version = 1,
		.how = { .mechanism = text_of(mechanism),
		    .hash = text_of(hash) },
		.data = BYTES(key16) };
	struct hf_p11_use_out out;

	return service_call(&service, op, &in, &out, &why);
}

/* -- Material -- */

static void
material_in_clear_comes_over_the_local_socket_alone(void **state)
{
	struct hf_text subject[] = { TEXT("cert:far") };
	struct hf_bytes none = { NULL, 0 };
	struct identity *near = service.who, *far;

	(void)state;
	assert_int_equal(identity_of_subjects(subject, 1, &far, &why), HF_OK);
	service.who = far;
	service_policy(&service,
	    "path \"*\" { " ALL " }\nbind { subjects = [\"cert:far\"] }");
	assert_int_equal(bring("far", "aes128-gcm96", 0, BYTES(key16)),
	    HF_ERR_PERMISSION_DENIED);
	assert_non_null(strstr(why.text, "local socket"));
	assert_int_equal(bring_session(BYTES(key16)), HF_ERR_PERMISSION_DENIED);
	assert_int_equal(bring_session(none), HF_OK); /* a new one is fine */
	service.who = near;
	service_policy(&service, "path \"*\" { " ALL " }");
	assert_int_equal(bring_session(BYTES(key16)), HF_OK);
	assert_int_equal(bring("near", "aes128-gcm96", 0, BYTES(key16)), HF_OK);
	identity_free(far);
}

static void
material_must_be_a_key_of_its_type(void **state)
{
	static const uint8_t rubbish[64] = { 0x30, 0x3e };

	(void)state;
	service_policy(&service, "path \"*\" { " ALL " }");
	assert_int_equal(
	    bring("bad", "aes256-gcm96", 0, BYTES(key16)), HF_ERR_BAD_INPUT);
	assert_int_equal(
	    bring("bad", "aes192-cmac", 0, BYTES(key16)), HF_ERR_BAD_INPUT);
	assert_int_equal(
	    bring("bad", "ecdsa-p256", 0, BYTES(rubbish)), HF_ERR_BAD_INPUT);
	assert_int_equal(
	    bring("bad", "ed25519", 0, BYTES(rubbish)), HF_ERR_BAD_INPUT);
	assert_int_equal(
	    bring("bad", "rsa-2048", 0, BYTES(rubbish)), HF_ERR_BAD_INPUT);
	/* What others may know wraps nothing. */
	assert_int_equal(
	    bring("bad", "aes128-gcm96", HF_P11_WRAP, BYTES(key16)),
	    HF_ERR_BAD_CONFIG);
}

/* -- MACs -- */

static void
each_kind_of_mac_has_its_operation(void **state)
{
	uint64_t sign = HF_P11_SIGN | HF_P11_VERIFY;

	(void)state;
	service_policy(&service, "path \"*\" { " ALL " }");
	assert_int_equal(
	    bring("block", "aes128-cmac", sign, BYTES(key16)), HF_OK);
	assert_int_equal(bring("hash", "hmac", sign, BYTES(key32)), HF_OK);
	assert_int_equal(mac("p11.cmac", "block", "aes-cmac", NULL), HF_OK);
	assert_int_equal(mac("p11.mac", "hash", "hmac", "sha2-256"), HF_OK);
	/* Policy was asked about another path than the one that this takes. */
	assert_int_equal(
	    mac("p11.mac", "block", "aes-cmac", NULL), HF_ERR_BAD_ALGORITHM);
	assert_int_equal(
	    mac("p11.cmac", "hash", "hmac", "sha2-256"), HF_ERR_BAD_ALGORITHM);
	assert_int_equal(
	    mac("p11.cmac", "hash", "aes-cmac", NULL), HF_ERR_KEY_TYPE);
	assert_int_equal(
	    mac("p11.mac", "block", "hmac", "sha2-256"), HF_ERR_KEY_TYPE);
	service_policy(&service,
	    "path \"transit/hmac/*\" { capabilities = [\"update\"] }");
	assert_int_equal(mac("p11.cmac", "block", "aes-cmac", NULL),
	    HF_ERR_PERMISSION_DENIED);
}

/* -- The catalogue -- */

static uint64_t
uses_of(const char *name)
{
	struct hf_p11_find_in in = { 0 };
	struct hf_p11_find_out out;

	assert_int_equal(
	    service_call(&service, "p11.find", &in, &out, &why), HF_OK);
	for (size_t i = 0; i < out.objects_count; i++)
		if (text_is(out.objects[i].name, name))
			return out.objects[i].uses;
	fail_msg("%s is not listed", name);
	return 0;
}

static void
make(const char *name, const char *type, const char *level)
{
	struct hf_key_create_in in = { .name = text_of(name),
		.type = text_of(type),
		.level = text_of(level) };
	struct hf_key_info out;

	assert_int_equal(
	    service_call(&service, "key.create", &in, &out, &why), HF_OK);
}

/* SoftHSM can all of it; hsm_can_test.c has HSMs that cannot. */
static void
keys_in_the_hsm_are_listed_with_what_it_can(void **state)
{
	static const struct {
		const char *type;
		uint64_t uses;
	} rows[] = {
		{ "aes256-gcm96",
		    HF_P11_ENCRYPT | HF_P11_DECRYPT | HF_P11_SIGN |
			HF_P11_VERIFY | HF_P11_RAW },
		{ "aes192-cmac", HF_P11_SIGN | HF_P11_VERIFY },
		{ "ecdsa-p256", HF_P11_SIGN | HF_P11_VERIFY | HF_P11_DERIVE },
		{ "ed25519", HF_P11_SIGN | HF_P11_VERIFY },
		{ "hmac", HF_P11_SIGN | HF_P11_VERIFY | HF_P11_DERIVE },
	};
	uint64_t manage = HF_P11_MODIFY | HF_P11_DESTROY;

	(void)state;
	service_policy(&service, "path \"*\" { " ALL " }");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char name[64];

		(void)snprintf(name, sizeof(name), "in-%s", rows[i].type);
		make(name, rows[i].type, "hsm");
		assert_int_equal(uses_of(name) & ~manage, rows[i].uses);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    material_in_clear_comes_over_the_local_socket_alone),
		cmocka_unit_test(material_must_be_a_key_of_its_type),
		cmocka_unit_test(each_kind_of_mac_has_its_operation),
		cmocka_unit_test(keys_in_the_hsm_are_listed_with_what_it_can),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
