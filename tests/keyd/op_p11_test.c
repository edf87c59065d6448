/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "../../lib/bytes.h"
#include "service_fixture.h"

#undef tag_bits /* p11-kit's header has a macro of that name */

/* What the operations of PKCS#11 promise, asked without the module: it is the
 * daemon that must refuse. */

static const uint8_t key16[16] = { 1, 2, 3 }, key32[32] = { 4, 5, 6 };

#define BYTES(a) bytes_of(a, sizeof(a))

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
	    "path \"*\" { " ALL_CAPABILITIES
	    " }\nbind { subjects = [\"cert:far\"] }");
	assert_int_equal(bring("far", "aes128-gcm96", 0, BYTES(key16)),
	    HF_ERR_PERMISSION_DENIED);
	assert_non_null(strstr(why.text, "local socket"));
	assert_int_equal(bring_session(BYTES(key16)), HF_ERR_PERMISSION_DENIED);
	assert_int_equal(bring_session(none), HF_OK); /* a new one is fine */
	service.who = near;
	service_policy(&service, EVERYTHING);
	assert_int_equal(bring_session(BYTES(key16)), HF_OK);
	assert_int_equal(bring("near", "aes128-gcm96", 0, BYTES(key16)), HF_OK);
	identity_free(far);
}

static void
material_must_be_a_key_of_its_type(void **state)
{
	static const uint8_t rubbish[64] = { 0x30, 0x3e };

	(void)state;
	service_policy(&service, EVERYTHING);
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

/* -- Rules about parameters and contexts -- */

static enum hf_err
use(const char *op, const char *key, const char *mechanism, struct hf_bytes iv,
    struct hf_bytes data)
{
	struct hf_p11_use_in in = { .name = text_of(key),
		.key_version = 1,
		.how = { .mechanism = text_of(mechanism),
		    .iv = iv,
		    .tag_bits = 128 },
		.data = data };
	struct hf_p11_use_out out;

	return service_call(&service, op, &in, &out, &why);
}

/*
 * A block cipher without integrity, or under a chosen nonce, opens what a rule
 * about the context of a ciphertext closes: with it goes the permission to
 * decrypt, and PKCS#11 brings no context.
 */
static void
what_decrypts_goes_by_the_rules_for_that(void **state)
{
	static const uint8_t nonce[12] = { 9 };

	(void)state;
	service_policy(&service, EVERYTHING);
	assert_int_equal(
	    bring("tenants", "aes128-gcm96", 0, BYTES(key16)), HF_OK);
	assert_int_equal(use("p11.encrypt", "tenants", "aes-ctr", BYTES(key16),
			     BYTES(key32)),
	    HF_OK);
	assert_int_equal(use("p11.encrypt", "tenants", "aes-gcm", BYTES(nonce),
			     BYTES(key32)),
	    HF_OK);
	service_policy(&service,
	    "path \"transit/encrypt/tenants\" { " ALL_CAPABILITIES " }\n"
	    "path \"transit/decrypt/tenants\" { " ALL_CAPABILITIES
	    " allowed_context = { \"tenant\" = [\"a\"] } }");
	assert_int_equal(use("p11.encrypt", "tenants", "aes-ctr", BYTES(key16),
			     BYTES(key32)),
	    HF_ERR_PERMISSION_DENIED);
	assert_int_equal(use("p11.encrypt", "tenants", "aes-gcm", BYTES(nonce),
			     BYTES(key32)),
	    HF_ERR_PERMISSION_DENIED);
	assert_int_equal(use("p11.encrypt", "tenants", "aes-gcm",
			     (struct hf_bytes){ NULL, 0 }, BYTES(key32)),
	    HF_OK);
	/* Rules about parameters: a mechanism that the other path allows. */
	service_policy(&service,
	    "path \"transit/encrypt/tenants\" { " ALL_CAPABILITIES " }\n"
	    "path \"transit/decrypt/tenants\" { " ALL_CAPABILITIES
	    " denied_parameters = { \"mechanism\" = [\"aes-ctr\"] } }");
	assert_int_equal(use("p11.encrypt", "tenants", "aes-ctr", BYTES(key16),
			     BYTES(key32)),
	    HF_ERR_PERMISSION_DENIED);
	assert_int_equal(use("p11.encrypt", "tenants", "aes-gcm", BYTES(nonce),
			     BYTES(key32)),
	    HF_OK);
	service_policy(&service, EVERYTHING);
}

static enum hf_err
generate(const char *name, const char *type, uint64_t uses)
{
	struct hf_p11_generate_in in = { .name = text_of(name),
		.make = { .type = text_of(type), .uses = uses } };
	struct hf_p11_made out;

	return service_call(&service, "p11.generate", &in, &out, &why);
}

static enum hf_err
wrap(const char *with, const char *target)
{
	struct hf_p11_wrap_in in = { .name = text_of(with),
		.key_version = 1,
		.how.mechanism = TEXT("aes-kwp"),
		.target = text_of(target) };
	struct hf_p11_use_out out;

	return service_call(&service, "p11.wrap", &in, &out, &why);
}

static void
what_is_extracted_goes_by_the_rules_for_that(void **state)
{
	(void)state;
	service_policy(&service, EVERYTHING);
	assert_int_equal(
	    generate("wrapper", "aes256-gcm96", HF_P11_WRAP | HF_P11_UNWRAP),
	    HF_OK);
	assert_int_equal(
	    generate("leaver", "aes256-gcm96", HF_P11_ENCRYPT | HF_P11_EXTRACT),
	    HF_OK);
	assert_int_equal(wrap("wrapper", "leaver"), HF_OK);
	service_policy(&service,
	    "path \"transit/wrap/*\" { " ALL_CAPABILITIES " }\n"
	    "path \"transit/extract/leaver\" { " ALL_CAPABILITIES
	    " denied_parameters = { \"mechanism\" = [\"aes-kwp\"] } }");
	assert_int_equal(wrap("wrapper", "leaver"), HF_ERR_KEY_UNEXTRACTABLE);
	/* Nothing is wrapped for a response here, whatever a rule asks. */
	service_policy(&service,
	    "path \"transit/wrap/*\" { " ALL_CAPABILITIES " }\n"
	    "path \"transit/extract/leaver\" { " ALL_CAPABILITIES
	    " min_wrapping_ttl = \"1h\" }");
	assert_int_equal(wrap("wrapper", "leaver"), HF_ERR_KEY_UNEXTRACTABLE);
	service_policy(&service,
	    "path \"transit/wrap/*\" { " ALL_CAPABILITIES " }\n"
	    "path \"transit/extract/leaver\" { " ALL_CAPABILITIES " }");
	assert_int_equal(wrap("wrapper", "leaver"), HF_OK);
	service_policy(&service, EVERYTHING);
}

/* -- MACs -- */

static void
each_kind_of_mac_has_its_operation(void **state)
{
	uint64_t sign = HF_P11_SIGN | HF_P11_VERIFY;

	(void)state;
	service_policy(&service, EVERYTHING);
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

static enum hf_err
verify_mac(const char *key, const char *mechanism, const char *hash,
    uint64_t length, struct hf_bytes code, bool *valid)
{
	struct hf_p11_verify_in in = { .name = text_of(key),
		.key_version = 1,
		.how = { .mechanism = text_of(mechanism),
		    .hash = text_of(hash),
		    .output_bytes = length },
		.data = BYTES(key16),
		.signature = code };
	struct hf_p11_verify_out out = { false };
	enum hf_err err = service_call(&service, "p11.verify", &in, &out, &why);

	*valid = out.valid;
	return err;
}

/* Else who may only verify had the MAC of anything, byte by byte. */
static void
a_mac_is_never_verified_in_pieces(void **state)
{
	static const struct {
		const char *key, *type, *mechanism, *hash;
		size_t size;
	} rows[] = {
		{ "pieces-c", "aes256-cmac", "aes-cmac", NULL, 16 },
		{ "pieces-h", "hmac", "hmac", "sha2-256", 32 },
	};

	(void)state;
	service_policy(&service, EVERYTHING);
	for (size_t i = 0; i < 2; i++) {
		struct hf_p11_use_in in = { .name = text_of(rows[i].key),
			.key_version = 1,
			.how = { .mechanism = text_of(rows[i].mechanism),
			    .hash = text_of(rows[i].hash) },
			.data = BYTES(key16) };
		struct hf_p11_use_out out;
		uint8_t code[32];
		bool valid;

		assert_int_equal(bring(rows[i].key, rows[i].type,
				     HF_P11_SIGN | HF_P11_VERIFY, BYTES(key32)),
		    HF_OK);
		assert_int_equal(
		    service_call(&service, i == 0 ? "p11.cmac" : "p11.mac", &in,
			&out, &why),
		    HF_OK);
		assert_int_equal(out.data.len, rows[i].size);
		memcpy(code, out.data.ptr, rows[i].size);
		for (size_t n = 1; n <= rows[i].size; n++) {
			enum hf_err err =
			    verify_mac(rows[i].key, rows[i].mechanism,
				rows[i].hash, n, bytes_of(code, n), &valid);

			assert_int_equal(
			    err, n < 8 ? HF_ERR_BAD_ALGORITHM : HF_OK);
			assert_int_equal(valid, n >= 8);
		}
		/* What is not said to be short is whole. */
		assert_int_equal(
		    verify_mac(rows[i].key, rows[i].mechanism, rows[i].hash, 0,
			bytes_of(code, rows[i].size - 1), &valid),
		    HF_OK);
		assert_false(valid);
		assert_int_equal(
		    verify_mac(rows[i].key, rows[i].mechanism, rows[i].hash, 9,
			bytes_of(code, 8), &valid),
		    HF_OK);
		assert_false(valid);
		code[0] ^= 1;
		assert_int_equal(
		    verify_mac(rows[i].key, rows[i].mechanism, rows[i].hash, 8,
			bytes_of(code, 8), &valid),
		    HF_OK);
		assert_false(valid);
	}
}

/* -- Session keys -- */

static struct hf_bytes
session_key(const char *type, uint64_t uses, uint8_t *spki, size_t *spki_len)
{
	static uint8_t sealed[8][4096];
	static size_t turn;
	uint8_t *out = sealed[turn++ % 8];
	struct hf_p11_session_in in = {
		.make = { .type = text_of(type),
		    .key_size = strcmp(type, "hmac") == 0 ? 32 : 0,
		    .uses = uses }
	};
	struct hf_p11_made made;

	assert_int_equal(
	    service_call(&service, "p11.session", &in, &made, &why), HF_OK);
	assert_true(made.session_key.len <= sizeof(sealed[0]));
	memcpy(out, made.session_key.ptr, made.session_key.len);
	if (spki != NULL) {
		memcpy(spki, made.public_key.ptr, made.public_key.len);
		*spki_len = made.public_key.len;
	}
	return bytes_of(out, made.session_key.len);
}

static enum hf_err
use_session(struct hf_bytes key, const char *operation,
    const struct hf_p11_how *how, struct hf_bytes data,
    struct hf_bytes signature, struct hf_p11_session_use_out *out)
{
	struct hf_p11_session_use_in in = { .operation = text_of(operation),
		.session_key = key,
		.how = *how,
		.data = data,
		.signature = signature };

	return service_call(&service, "p11.session_use", &in, out, &why);
}

static enum hf_err
use_public(const char *type, struct hf_bytes key, const char *operation,
    const struct hf_p11_how *how, struct hf_bytes data,
    struct hf_bytes signature, struct hf_p11_session_use_out *out)
{
	struct hf_p11_session_use_in in = { .operation = text_of(operation),
		.type = text_of(type),
		.public_key = key,
		.how = *how,
		.data = data,
		.signature = signature };

	return service_call(&service, "p11.session_use", &in, out, &why);
}

static const struct hf_bytes none = { NULL, 0 };
static const struct hf_p11_how ecdsa = { .mechanism = { "ecdsa", 5 } },
			       gcm = { .mechanism = { "aes-gcm", 7 },
				       .tag_bits = 128 },
			       hmac = { .mechanism = { "hmac", 4 },
				       .hash = { "sha2-256", 8 } };

static void
session_keys_do_what_they_were_made_for(void **state)
{
	struct hf_p11_session_use_out out;
	struct hf_p11_how open = gcm;
	uint8_t spki[1024], made[256], other[256];
	size_t spki_len, n;
	struct hf_bytes key;

	(void)state;
	service_policy(&service, EVERYTHING);
	key = session_key("ecdsa-p256", 0, spki, &spki_len);
	assert_int_equal(
	    use_session(key, "sign", &ecdsa, BYTES(key32), none, &out), HF_OK);
	assert_int_equal(n = out.data.len, 64);
	memcpy(made, out.data.ptr, n);
	assert_int_equal(use_session(key, "verify", &ecdsa, BYTES(key32),
			     bytes_of(made, n), &out),
	    HF_OK);
	assert_true(out.valid);
	assert_int_equal(use_session(key, "verify", &ecdsa, BYTES(key16),
			     bytes_of(made, n), &out),
	    HF_OK);
	assert_false(out.valid);
	assert_int_equal(
	    use_public("ecdsa-p256", bytes_of(spki, spki_len), "verify", &ecdsa,
		BYTES(key32), bytes_of(made, n), &out),
	    HF_OK);
	assert_true(out.valid);

	key = session_key("aes256-gcm96", 0, NULL, NULL);
	assert_int_equal(
	    use_session(key, "encrypt", &gcm, BYTES(key32), none, &out), HF_OK);
	memcpy(made, out.data.ptr, n = out.data.len);
	open.iv = bytes_of(made, 12);
	assert_int_equal(use_session(key, "decrypt", &open,
			     bytes_of(made + 12, n - 12), none, &out),
	    HF_OK);
	assert_int_equal(out.data.len, sizeof(key32));
	assert_memory_equal(out.data.ptr, key32, sizeof(key32));

	key = session_key("hmac", 0, NULL, NULL);
	assert_int_equal(
	    use_session(key, "mac", &hmac, BYTES(key32), none, &out), HF_OK);
	memcpy(other, out.data.ptr, n = out.data.len);
	assert_int_equal(use_session(key, "verify", &hmac, BYTES(key32),
			     bytes_of(other, n), &out),
	    HF_OK);
	assert_true(out.valid);
}

static void
session_keys_do_nothing_else(void **state)
{
	struct hf_p11_session_use_out out;
	struct hf_bytes sign, check;

	(void)state;
	service_policy(&service, EVERYTHING);
	sign = session_key("hmac", HF_P11_SIGN, NULL, NULL);
	check = session_key("hmac", HF_P11_VERIFY, NULL, NULL);
	assert_int_equal(
	    use_session(sign, "mac", &hmac, BYTES(key32), none, &out), HF_OK);
	assert_int_equal(use_session(sign, "verify", &hmac, BYTES(key32),
			     BYTES(key32), &out),
	    HF_ERR_KEY_PURPOSE);
	assert_int_equal(
	    use_session(check, "mac", &hmac, BYTES(key32), none, &out),
	    HF_ERR_KEY_PURPOSE);
	assert_int_equal(
	    use_session(sign, "encrypt", &gcm, BYTES(key32), none, &out),
	    HF_ERR_KEY_PURPOSE);
	assert_int_equal(
	    use_session(sign, "sign", &ecdsa, BYTES(key32), none, &out),
	    HF_ERR_KEY_TYPE);
	assert_int_equal(
	    use_session(sign, "export", &hmac, BYTES(key32), none, &out),
	    HF_ERR_BAD_VALUE);
}

static void
session_keys_open_for_their_caller_unchanged(void **state)
{
	struct identity *mine = service.who, yours = *service.who;
	struct hf_p11_session_use_out out;
	uint8_t changed[4096];
	struct hf_bytes key;

	(void)state;
	service_policy(&service,
	    "path \"*\" { " ALL_CAPABILITIES
	    " }\nbind { subjects = [\"uid:4712\"] }");
	key = session_key("hmac", 0, NULL, NULL);
	for (size_t i = 0; i < key.len; i++) {
		memcpy(changed, key.ptr, key.len);
		changed[i] ^= 1;
		assert_int_equal(use_session(bytes_of(changed, key.len), "mac",
				     &hmac, BYTES(key32), none, &out),
		    HF_ERR_SESSION_KEY);
	}
	assert_int_equal(use_session(bytes_of(key.ptr, key.len - 1), "mac",
			     &hmac, BYTES(key32), none, &out),
	    HF_ERR_SESSION_KEY);
	yours.uid = 4712;
	service.who = &yours;
	assert_int_not_equal(
	    use_session(key, "mac", &hmac, BYTES(key32), none, &out), HF_OK);
	service.who = mine;
	assert_int_equal(
	    use_session(key, "mac", &hmac, BYTES(key32), none, &out), HF_OK);
}

static void
public_keys_verify_and_encrypt_only(void **state)
{
	struct hf_p11_session_use_in in = { .operation = TEXT("verify"),
		.how = ecdsa,
		.data = BYTES(key32),
		.signature = BYTES(key32) };
	struct hf_p11_session_use_out out;
	uint8_t spki[1024];
	size_t len;
	struct hf_bytes key, public;

	(void)state;
	service_policy(&service, EVERYTHING);
	key = session_key("ecdsa-p256", 0, spki, &len);
	public = bytes_of(spki, len);
	assert_int_equal(use_public("ecdsa-p256", public, "sign", &ecdsa,
			     BYTES(key32), none, &out),
	    HF_ERR_KEY_PURPOSE);
	assert_int_equal(use_public("ecdsa-p384", public, "verify", &ecdsa,
			     BYTES(key32), BYTES(key32), &out),
	    HF_ERR_KEY_TYPE);
	assert_int_equal(use_public("aes256-gcm96", BYTES(key32), "encrypt",
			     &gcm, BYTES(key32), none, &out),
	    HF_ERR_BAD_VALUE);
	assert_int_equal(use_public("nonsense", public, "verify", &ecdsa,
			     BYTES(key32), BYTES(key32), &out),
	    HF_ERR_BAD_VALUE);
	assert_int_equal(
	    service_call(&service, "p11.session_use", &in, &out, &why),
	    HF_ERR_MISSING_FIELD);
	in.session_key = key;
	in.public_key = public;
	in.type = TEXT("ecdsa-p256");
	assert_int_equal(
	    service_call(&service, "p11.session_use", &in, &out, &why),
	    HF_ERR_MISSING_FIELD);
}

static void
policy_that_demands_the_hsm_gives_no_session_keys(void **state)
{
	struct hf_p11_session_in in = { .make = { .type = TEXT("ed25519") } };
	struct hf_p11_made made;

	(void)state;
	service_policy(&service,
	    "path \"transit/session-keys\" { capabilities = [\"update\"]\n"
	    "  min_level = \"hsm\" }");
	assert_int_equal(
	    service_call(&service, "p11.session", &in, &made, &why),
	    HF_ERR_KEY_LEVEL);
}

static void
a_session_key_is_of_a_type_and_size_that_there_is(void **state)
{
	static const struct {
		const char *type;
		uint64_t size;
		enum hf_err err;
	} rows[] = {
		{ "hmac", 0, HF_ERR_BAD_INPUT },
		{ "hmac", 1, HF_OK },
		{ "hmac", 512, HF_OK },
		{ "aes256-gcm96", 32, HF_ERR_BAD_VALUE },
		{ "rot13", 0, HF_ERR_BAD_VALUE },
	};

	(void)state;
	service_policy(&service, EVERYTHING);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct hf_p11_session_in in = {
			.make = { .type = text_of(rows[i].type),
			    .key_size = rows[i].size }
		};
		struct hf_p11_made made;

		assert_int_equal(
		    service_call(&service, "p11.session", &in, &made, &why),
		    rows[i].err);
	}
}

/* -- What changes -- */

static enum hf_err
destroy(const char *name, uint64_t version)
{
	struct hf_p11_destroy_in in = { .name = text_of(name),
		.key_version = version };
	struct hf_empty out;

	return service_call(&service, "p11.destroy", &in, &out, &why);
}

static void
rotate(const char *name)
{
	struct hf_name_in in = { .name = text_of(name) };
	struct hf_key_info out;

	assert_int_equal(
	    service_call(&service, "key.rotate", &in, &out, &why), HF_OK);
}

static void
destruction_takes_what_is_not_in_use(void **state)
{
	struct hf_key_create_in in = { .name = TEXT("gone"),
		.type = TEXT("ed25519"),
		.deletion_allowed = true };
	struct hf_alias alias = { .name = TEXT("by-alias"),
		.target = TEXT("gone") };
	struct hf_key_info info;
	struct hf_alias set;

	(void)state;
	service_policy(&service, EVERYTHING);
	assert_int_equal(
	    service_call(&service, "key.create", &in, &info, &why), HF_OK);
	rotate("gone");
	assert_int_equal(destroy("gone", 3), HF_ERR_VERSION_NOT_FOUND);
	assert_int_equal(destroy("nothing", 1), HF_ERR_KEY_NOT_FOUND);
	assert_int_equal(destroy("gone", 2), HF_ERR_DELETE_REFUSED);
	assert_non_null(strstr(why.text, "is in use and there are others"));
	assert_int_equal(
	    service_call(&service, "alias.set", &alias, &set, &why), HF_OK);
	assert_int_equal(destroy("by-alias", 1), HF_ERR_BAD_NAME);
	assert_int_equal(destroy("gone", 1), HF_OK);
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
	service_policy(&service, EVERYTHING);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char name[64];

		(void)snprintf(name, sizeof(name), "in-%s", rows[i].type);
		make_key(name, rows[i].type, "hsm");
		assert_int_equal(uses_of(name) & ~manage, rows[i].uses);
	}
}

/* -- What an I/O thread may take its time for -- */

static enum hf_err
sign(const char *name, const char *mechanism, struct hf_p11_use_out *out)
{
	struct hf_p11_use_in in = { .name = text_of(name),
		.key_version = 1,
		.how = { .mechanism = text_of(mechanism) },
		.data = BYTES(key32) };

	return service_call(&service, "p11.sign", &in, out, &why);
}

/* A signature of it was made just now: somebody will want to verify that. */
static void
destruction_leaves_a_version_that_was_used_lately(void **state)
{
	struct hf_key_create_in in = { .name = TEXT("lately"),
		.type = TEXT("ecdsa-p256"),
		.deletion_allowed = true };
	struct hf_key_info info;
	struct hf_p11_use_out signature;

	(void)state;
	service_policy(&service, EVERYTHING);
	assert_int_equal(
	    service_call(&service, "key.create", &in, &info, &why), HF_OK);
	assert_int_equal(sign("lately", "ecdsa", &signature), HF_OK);
	rotate("lately");
	rotate("lately");
	service.server.lately = 3600;
	assert_int_equal(destroy("lately", 1), HF_ERR_VERSION_IN_USE);
	assert_non_null(strstr(why.text, "last sign at"));
	assert_int_equal(destroy("lately", 2), HF_OK);
	service.server.lately = 0;
	assert_int_equal(destroy("lately", 1), HF_OK);
	/* A key as a whole goes by its own leave, as by key.delete. */
	in.name = TEXT("whole");
	assert_int_equal(
	    service_call(&service, "key.create", &in, &info, &why), HF_OK);
	assert_int_equal(sign("whole", "ecdsa", &signature), HF_OK);
	service.server.lately = 3600;
	assert_int_equal(destroy("whole", 1), HF_OK);
	service.server.lately = 0;
}

static void
assert_verifies(
    const char *name, const char *mechanism, struct hf_bytes signature)
{
	struct hf_p11_verify_in in = { .name = text_of(name),
		.key_version = 1,
		.how = { .mechanism = text_of(mechanism) },
		.data = BYTES(key32),
		.signature = signature };
	struct hf_p11_verify_out out;

	assert_int_equal(
	    service_call(&service, "p11.verify", &in, &out, &why), HF_OK);
	assert_true(out.valid);
}

static void
only_what_is_brief_lingers(void **state)
{
	static const struct {
		const char *name, *type, *level, *mechanism;
		enum lingering end;
	} rows[] = {
		{ "l2", "rsa-2048", "wrapped", "rsa-pkcs", LINGER_NOW },
		{ "l3", "rsa-3072", "wrapped", "rsa-pkcs", LINGER_OFFERED },
		{ "lh", "rsa-2048", "hsm", "rsa-pkcs", LINGER_OFFERED },
		{ "l384", "ecdsa-p384", "wrapped", "ecdsa", LINGER_OFFERED },
		{ "l256", "ecdsa-p256", "wrapped", "ecdsa", LINGER_OFFERED },
	};

	(void)state;
	service_policy(&service, EVERYTHING);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t signature[512];
		struct hf_p11_use_out out;
		size_t len;

		make_key(rows[i].name, rows[i].type, rows[i].level);
		/* The first use reads the store, which only a worker may. */
		assert_int_equal(
		    sign(rows[i].name, rows[i].mechanism, &out), HF_OK);
		assert_int_equal(
		    sign(rows[i].name, rows[i].mechanism, &out), HF_OK);
		assert_int_equal(service.lingering, rows[i].end);
		len = out.data.len;
		memcpy(signature, out.data.ptr, len);
		assert_verifies(
		    rows[i].name, rows[i].mechanism, bytes_of(signature, len));
	}
}

/* Raw numbers and decryption are the same work. */
static void
any_private_operation_of_rsa_2048_lingers(void **state)
{
	static const uint8_t number[256] = { 0, 1 };
	struct hf_p11_use_in in = { .name = TEXT("l2"),
		.key_version = 1,
		.how = { .mechanism = TEXT("rsa-raw") },
		.data = BYTES(number) };
	struct hf_p11_use_out out;

	(void)state;
	assert_int_equal(
	    service_call(&service, "p11.sign", &in, &out, &why), HF_OK);
	assert_int_equal(service.lingering, LINGER_NOW);
	assert_int_equal(
	    service_call(&service, "p11.decrypt", &in, &out, &why), HF_OK);
	assert_int_equal(service.lingering, LINGER_NOW);
	in.how.mechanism = TEXT("rsa-pkcs");
	assert_int_equal(service_call(&service, "p11.decrypt", &in, &out, &why),
	    HF_ERR_AUTH_FAILED);
	assert_int_equal(service.lingering, LINGER_NOW);
}

/* It may be one of many in a request. */
static void
items_of_transit_do_not_linger(void **state)
{
	struct hf_sign_in in = { .name = TEXT("l2"),
		.item.input = BYTES(key32) };
	struct hf_sign_out out;

	(void)state;
	assert_int_equal(
	    service_call(&service, "transit.sign", &in, &out, &why), HF_OK);
	assert_int_equal(service.lingering, LINGER_OFFERED);
}

/* -- Certificates -- */

static enum hf_err
set_certificate(const char *name, uint64_t version, struct hf_bytes der)
{
	struct hf_p11_set_certificate_in in = { .name = text_of(name),
		.key_version = version,
		.certificate = der };
	struct hf_empty out;

	return service_call(&service, "p11.set_certificate", &in, &out, &why);
}

/* The first certificate of the fuzzer's corpus, as DER. */
static size_t
foreign_certificate(uint8_t out[2048])
{
	FILE *f =
	    fopen(TEST_SOURCE_DIR "/tests/fuzz/corpus/x509_fuzz/two.pem", "r");
	X509 *cert;
	int len;

	assert_non_null(f);
	cert = PEM_read_X509(f, NULL, NULL, NULL);
	(void)fclose(f);
	assert_non_null(cert);
	len = i2d_X509(cert, NULL);
	assert_in_range(len, 1, 2048);
	(void)i2d_X509(cert, &out);
	X509_free(cert);
	return (size_t)len;
}

static void
a_key_takes_certificates_of_its_own_alone(void **state)
{
	static const uint8_t rubbish[] = { 0x30, 0x03, 0x02, 0x01, 0x01 };
	static uint8_t der[2048];
	size_t len = foreign_certificate(der);

	(void)state;
	service_policy(&service, EVERYTHING);
	make_key("leaf", "ecdsa-p256", "wrapped");
	assert_int_equal(
	    set_certificate("leaf", 1, BYTES(rubbish)), HF_ERR_BAD_INPUT);
	assert_int_equal(
	    set_certificate("leaf", 1, bytes_of(der, len)), HF_ERR_BAD_CONFIG);
	assert_non_null(strstr(why.text, "it is of another key"));
	assert_int_equal(set_certificate("leaf", 2, bytes_of(der, len)),
	    HF_ERR_VERSION_NOT_FOUND);
	assert_int_equal(set_certificate("tree", 1, bytes_of(der, len)),
	    HF_ERR_KEY_NOT_FOUND);
	assert_int_equal(set_certificate("leaf", 1, none), HF_OK);
}

static void
certificates_of_no_key_are_certificates(void **state)
{
	static const uint8_t rubbish[] = { 0x30, 0x03, 0x02, 0x01, 0x01 };
	static uint8_t der[2048];
	struct hf_p11_certificate_in in = { .name = TEXT("root"),
		.certificate = BYTES(rubbish) };
	struct hf_p11_certificate_delete_in drop = { .name = TEXT("root") };
	struct hf_p11_made made;
	struct hf_empty out;

	(void)state;
	service_policy(&service, EVERYTHING);
	assert_int_equal(
	    service_call(&service, "p11.certificate_set", &in, &made, &why),
	    HF_ERR_BAD_INPUT);
	in.certificate = bytes_of(der, foreign_certificate(der));
	assert_int_equal(
	    service_call(&service, "p11.certificate_set", &in, &made, &why),
	    HF_OK);
	assert_int_equal(made.uid.len, 16);
	assert_int_equal(
	    service_call(&service, "p11.certificate_delete", &drop, &out, &why),
	    HF_OK);
	assert_int_not_equal(
	    service_call(&service, "p11.certificate_delete", &drop, &out, &why),
	    HF_OK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    material_in_clear_comes_over_the_local_socket_alone),
		cmocka_unit_test(material_must_be_a_key_of_its_type),
		cmocka_unit_test(what_decrypts_goes_by_the_rules_for_that),
		cmocka_unit_test(what_is_extracted_goes_by_the_rules_for_that),
		cmocka_unit_test(each_kind_of_mac_has_its_operation),
		cmocka_unit_test(a_mac_is_never_verified_in_pieces),
		cmocka_unit_test(session_keys_do_what_they_were_made_for),
		cmocka_unit_test(session_keys_do_nothing_else),
		cmocka_unit_test(session_keys_open_for_their_caller_unchanged),
		cmocka_unit_test(public_keys_verify_and_encrypt_only),
		cmocka_unit_test(
		    policy_that_demands_the_hsm_gives_no_session_keys),
		cmocka_unit_test(
		    a_session_key_is_of_a_type_and_size_that_there_is),
		cmocka_unit_test(destruction_takes_what_is_not_in_use),
		cmocka_unit_test(
		    destruction_leaves_a_version_that_was_used_lately),
		cmocka_unit_test(keys_in_the_hsm_are_listed_with_what_it_can),
		cmocka_unit_test(only_what_is_brief_lingers),
		cmocka_unit_test(any_private_operation_of_rsa_2048_lingers),
		cmocka_unit_test(items_of_transit_do_not_linger),
		cmocka_unit_test(a_key_takes_certificates_of_its_own_alone),
		cmocka_unit_test(certificates_of_no_key_are_certificates),
	};

	return cmocka_run_group_tests(tests, service_setup, service_teardown);
}
