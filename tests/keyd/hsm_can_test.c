/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/hsm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../keyd/crypto.h"
#include "../../lib/bytes.h"
#include "../fake/softhsm.h"
#include "hsm_fixture.h"

/*
 * What keys at level hsm do besides, against software with the same keys; and
 * that it is offered only where the HSM gives the known answers: functions of
 * the test's answer as HSMs do that lack it, or do it wrong.
 */

static const struct hf_bytes none = { NULL, 0 };
enum { ALL = HSM_CAN_MODES | HSM_CAN_CMAC | HSM_CAN_ECDH };

/* A key in the HSM, and the same in software. */
struct twin {
	struct hsm_key key;
	struct secret material;
	struct crypto_key *pair;
	uint8_t wrapped[4096];
};

static void
twin_make(struct hsm *hsm, enum key_type_id id, size_t size, struct twin *t)
{
	const struct key_type *type = key_type_by_id(id);
	uint8_t spki[1024];
	size_t len = 0, spki_len = 0;

	memset(t, 0, sizeof(*t));
	t->key.type = type;
	assert_int_equal(crypto_generate(type, size, &t->material), HF_OK);
	if (type->signs) {
		assert_int_equal(crypto_key_private(
				     type, secret_view(&t->material), &t->pair),
		    HF_OK);
		assert_int_equal(
		    crypto_key_spki(t->pair, spki, sizeof(spki), &spki_len),
		    HF_OK);
	}
	assert_int_equal(crypto_random(t->key.id, HSM_ID), HF_OK);
	memcpy(t->key.wrap_id, wrap_id, HSM_ID);
	assert_int_equal(
	    hsm_key_import(hsm, type, secret_view(&t->material),
		bytes_of(spki, spki_len), wrap_id, t->key.id, t->wrapped, &len),
	    HF_OK);
	t->key.wrapped = bytes_of(t->wrapped, len);
}

static void
twin_free(struct twin *t)
{
	secret_free(&t->material);
	crypto_key_free(t->pair);
}

/* The same bytes, or the same error. */
static void
assert_same(struct hsm *hsm, struct twin *t, const struct aes_how *how,
    struct hf_bytes in)
{
	uint8_t theirs[1024 + AES_EXTRA], ours[1024 + AES_EXTRA];
	size_t their_len = 0, our_len = 0;
	enum hf_err want =
	    crypto_aes(how, secret_view(&t->material), in, ours, &our_len);

	assert_int_equal(
	    hsm_key_aes(hsm, &t->key, how, in, theirs, &their_len), want);
	if (want != HF_OK)
		return;
	assert_int_equal(their_len, our_len);
	assert_memory_equal(theirs, ours, our_len);
}

static void
modes_are_those_of_software(void **state)
{
	static const enum key_type_id types[] = { KEY_AES128_GCM96,
		KEY_AES192_GCM96, KEY_AES256_GCM96 };
	static const size_t lengths[] = { 0, 1, 7, 8, 15, 16, 17, 20, 24, 32,
		100, 160, 1000 };
	static uint8_t data[1024], sealed[1024 + AES_EXTRA];
	struct fixture *f = *state;
	uint8_t iv[16];

	fixture_open_ready(f);
	assert_int_equal(hsm_can(f->hsm), ALL);
	assert_int_equal(crypto_random(data, sizeof(data)), HF_OK);
	assert_int_equal(crypto_random(iv, sizeof(iv)), HF_OK);
	for (size_t k = 0; k < sizeof(types) / sizeof(types[0]); k++) {
		static struct twin t;

		twin_make(f->hsm, types[k], 0, &t);
		for (unsigned mode = 0; mode < AES_MODES; mode++) {
			bool has_iv = mode == AES_CBC || mode == AES_CBC_PAD ||
			    mode == AES_CTR;
			struct aes_how how = { .mode = (enum aes_mode)mode,
				.iv = has_iv ? bytes_of(iv, 16) : none,
				.ctr_bits = 128 };

			for (size_t i = 0; i < 13; i++) {
				size_t len = 0;

				how.encrypt = true;
				assert_same(f->hsm, &t, &how,
				    bytes_of(data, lengths[i]));
				if (crypto_aes(&how, secret_view(&t.material),
					bytes_of(data, lengths[i]), sealed,
					&len) != HF_OK)
					continue;
				how.encrypt = false;
				assert_same(
				    f->hsm, &t, &how, bytes_of(sealed, len));
			}
		}
		twin_free(&t);
	}
}

static void
a_changed_wrapped_key_is_refused(void **state)
{
	static const uint8_t data[20] = "twenty bytes of data";
	static const struct aes_how kwp = { .mode = AES_KWP };
	const struct aes_how wrap = { .mode = AES_KWP, .encrypt = true };
	static struct twin t;
	struct fixture *f = *state;
	uint8_t sealed[64], out[64];
	size_t len = 0, n;

	fixture_open_ready(f);
	twin_make(f->hsm, KEY_AES256_GCM96, 0, &t);
	assert_int_equal(hsm_key_aes(f->hsm, &t.key, &wrap,
			     bytes_of(data, sizeof(data)), sealed, &len),
	    HF_OK);
	for (size_t i = 0; i < len; i++) {
		sealed[i] ^= 1;
		assert_int_equal(hsm_key_aes(f->hsm, &t.key, &kwp,
				     bytes_of(sealed, len), out, &n),
		    HF_ERR_AUTH_FAILED);
		sealed[i] ^= 1;
	}
	assert_int_equal(hsm_key_aes(f->hsm, &t.key, &kwp,
			     bytes_of(sealed, len - 8), out, &n),
	    HF_ERR_AUTH_FAILED);
	twin_free(&t);
}

/* Whatever the last byte says: the padding that software would take. */
static void
padding_is_what_software_takes(void **state)
{
	static const uint8_t iv[16] = { 9 };
	const struct aes_how cbc = {
		.mode = AES_CBC, .encrypt = true, .iv = bytes_of(iv, 16)
	};
	const struct aes_how open = { .mode = AES_CBC_PAD,
		.iv = bytes_of(iv, 16) };
	static struct twin t;
	struct fixture *f = *state;

	fixture_open_ready(f);
	twin_make(f->hsm, KEY_AES128_GCM96, 0, &t);
	for (unsigned last = 0; last < 20; last++)
		for (unsigned wrong = 0; wrong < 2; wrong++) {
			uint8_t text[32] = { 0 }, sealed[32 + AES_EXTRA];
			size_t len;

			memset(text + 16, (int)last, 16);
			if (last > 0 && last <= 16)
				text[32 - last] ^= (uint8_t)wrong;
			assert_int_equal(
			    crypto_aes(&cbc, secret_view(&t.material),
				bytes_of(text, 32), sealed, &len),
			    HF_OK);
			assert_same(f->hsm, &t, &open, bytes_of(sealed, len));
		}
	twin_free(&t);
}

static void
cmac_is_that_of_software(void **state)
{
	static const enum key_type_id types[] = { KEY_AES192_GCM96,
		KEY_AES192_CMAC };
	static uint8_t data[100];
	struct fixture *f = *state;

	fixture_open_ready(f);
	for (size_t k = 0; k < 2; k++) {
		static struct twin t;

		twin_make(f->hsm, types[k], 0, &t);
		for (size_t len = 0; len <= sizeof(data); len += 20) {
			uint8_t theirs[16], ours[16];

			assert_int_equal(hsm_key_cmac(f->hsm, &t.key,
					     bytes_of(data, len), theirs),
			    HF_OK);
			assert_int_equal(crypto_cmac(secret_view(&t.material),
					     bytes_of(data, len), ours),
			    HF_OK);
			assert_memory_equal(theirs, ours, 16);
		}
		twin_free(&t);
	}
}

/* -- Agreement -- */

static struct hf_bytes
point_of(const struct crypto_key *pair, const struct key_type *type,
    uint8_t spki[1024])
{
	size_t len, size = 1 + 2 * type->size;

	assert_int_equal(crypto_key_spki(pair, spki, 1024, &len), HF_OK);
	return bytes_of(spki + len - size, size);
}

/* Often enough that some secrets begin with a zero. */
static void
ecdh_agrees_with_software(void **state)
{
	static const enum key_type_id types[] = { KEY_ECDSA_P256,
		KEY_ECDSA_P384, KEY_ECDSA_P521 };
	enum { TIMES = 300 };
	struct fixture *f = *state;
	unsigned zeros = 0;

	fixture_open_ready(f);
	for (size_t k = 0; k < 3; k++) {
		const struct key_type *type = key_type_by_id(types[k]);
		static struct twin t;

		twin_make(f->hsm, types[k], 0, &t);
		for (size_t i = 0; i < (k == 0 ? TIMES : 10); i++) {
			AUTO_SECRET peer = { 0 };
			AUTO_SECRET ours = { 0 };
			AUTO_SECRET theirs = { 0 };
			struct crypto_key *pair = NULL;
			uint8_t spki[1024];
			struct hf_bytes point;

			assert_int_equal(
			    crypto_generate(type, 0, &peer), HF_OK);
			assert_int_equal(
			    crypto_key_private(type, secret_view(&peer), &pair),
			    HF_OK);
			point = point_of(pair, type, spki);
			crypto_key_free(pair);
			assert_int_equal(
			    crypto_ecdh(t.pair, point, &ours), HF_OK);
			assert_int_equal(
			    hsm_key_ecdh(f->hsm, &t.key, point, &theirs),
			    HF_OK);
			assert_int_equal(theirs.len, type->size);
			assert_memory_equal(ours.ptr, theirs.ptr, ours.len);
			zeros += ours.ptr[0] == 0;
		}
		twin_free(&t);
	}
	assert_true(zeros > 0); /* of P-521 most do */
}

/* An HSM that does not look would tell its key by such points. */
static void
a_point_off_the_curve_never_reaches_the_hsm(void **state)
{
	static struct twin t;
	struct fixture *f = *state;
	AUTO_SECRET out = { 0 };
	uint8_t spki[1024], point[65];
	struct hf_bytes good;

	fixture_open_ready(f);
	twin_make(f->hsm, KEY_ECDSA_P256, 0, &t);
	good = point_of(t.pair, t.key.type, spki);
	memcpy(point, good.ptr, sizeof(point));
	point[64] ^= 1;
	softhsm_functions()->C_DeriveKey = NULL; /* a call would crash */
	assert_int_not_equal(
	    hsm_key_ecdh(f->hsm, &t.key, bytes_of(point, 65), &out), HF_OK);
	memset(point + 1, 0, 64);
	assert_int_not_equal(
	    hsm_key_ecdh(f->hsm, &t.key, bytes_of(point, 65), &out), HF_OK);
	assert_int_not_equal(
	    hsm_key_ecdh(f->hsm, &t.key, bytes_of(point, 64), &out), HF_OK);
	twin_free(&t);
}

static void
hkdf_expands_as_software_and_extracts_nothing(void **state)
{
	static const uint8_t info[] = "info";
	static struct twin t;
	struct fixture *f = *state;
	struct hkdf how = { .hash = hash_type_by_name(TEXT("sha2-256")),
		.expand = true,
		.info = bytes_of(info, 4) };

	fixture_open_ready(f);
	twin_make(f->hsm, KEY_HMAC, 32, &t);
	for (size_t len = 1; len <= 512; len = 2 * len + 15) {
		AUTO_SECRET ours = { 0 };
		AUTO_SECRET theirs = { 0 };

		assert_int_equal(secret_alloc(&ours, len), HF_OK);
		assert_int_equal(secret_alloc(&theirs, len), HF_OK);
		assert_int_equal(
		    crypto_hkdf(&how, secret_view(&t.material), &ours), HF_OK);
		assert_int_equal(
		    hsm_key_hkdf(f->hsm, &t.key, &how, &theirs), HF_OK);
		assert_memory_equal(ours.ptr, theirs.ptr, len);
		how.extract = true;
		assert_int_equal(hsm_key_hkdf(f->hsm, &t.key, &how, &theirs),
		    HF_ERR_HSM_MECHANISM);
		how.extract = false;
	}
	twin_free(&t);
}

/* -- HSMs that lack it -- */

static _Atomic(CK_MECHANISM_TYPE) lacking;
static _Atomic(CK_RV) answer;

static CK_RV
lacks_encrypt(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE key)
{
	return m->mechanism == lacking
	    ? answer
	    : softhsm_original()->C_EncryptInit(s, m, key);
}

static CK_RV
lacks_sign(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE key)
{
	return m->mechanism == lacking
	    ? answer
	    : softhsm_original()->C_SignInit(s, m, key);
}

static CK_RV
lacks_derive(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE base,
    CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *key)
{
	return m->mechanism == lacking
	    ? answer
	    : softhsm_original()->C_DeriveKey(s, m, base, t, n, key);
}

static void
hsm_start_lacking(struct fixture *f, CK_MECHANISM_TYPE type, CK_RV rv)
{
	atomic_store(&lacking, type);
	atomic_store(&answer, rv);
	softhsm_functions()->C_EncryptInit = lacks_encrypt;
	softhsm_functions()->C_SignInit = lacks_sign;
	softhsm_functions()->C_DeriveKey = lacks_derive;
	fixture_open_ready(f);
}

static void
what_the_hsm_lacks_is_not_offered_and_refused(void **state)
{
	static const struct {
		CK_MECHANISM_TYPE type;
		unsigned can;
	} rows[] = {
		{ CKM_AES_ECB, HSM_CAN_ECDH }, /* the others are judged by it */
		{ CKM_AES_CBC, ALL & ~HSM_CAN_CBC },
		{ CKM_AES_CTR, ALL & ~HSM_CAN_CTR },
		{ CKM_AES_CMAC, ALL & ~HSM_CAN_CMAC },
		{ CKM_ECDH1_DERIVE, ALL & ~HSM_CAN_ECDH },
	};
	static const uint8_t iv[16] = { 1 };
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct aes_how cbc = { .mode = AES_CBC_PAD,
			.encrypt = true,
			.iv = bytes_of(iv, 16) };
		AUTO_SECRET shared = { 0 };
		static struct twin aes, ec;
		uint8_t out[64], spki[1024];
		size_t len;

		hsm_start_lacking(f, rows[i].type, CKR_MECHANISM_INVALID);
		assert_int_equal(hsm_can(f->hsm), rows[i].can);
		/* Keys are made all the same, and do what there is. */
		twin_make(f->hsm, KEY_AES256_GCM96, 0, &aes);
		twin_make(f->hsm, KEY_ECDSA_P256, 0, &ec);
		assert_int_equal(
		    hsm_key_aes(f->hsm, &aes.key, &cbc, none, out, &len),
		    (rows[i].can & HSM_CAN_CBC) != 0 ? HF_OK
						     : HF_ERR_HSM_MECHANISM);
		assert_int_equal(hsm_key_cmac(f->hsm, &aes.key, none, out),
		    (rows[i].can & HSM_CAN_CMAC) != 0 ? HF_OK
						      : HF_ERR_HSM_MECHANISM);
		assert_int_equal(
		    hsm_key_ecdh(f->hsm, &ec.key,
			point_of(ec.pair, ec.key.type, spki), &shared),
		    (rows[i].can & HSM_CAN_ECDH) != 0 ? HF_OK
						      : HF_ERR_HSM_MECHANISM);
		twin_free(&aes);
		twin_free(&ec);
		hsm_close(f->hsm);
		f->hsm = NULL;
		softhsm_functions_restore();
	}
}

/* It forgets the IV; nobody would see that in a round trip. */
static CK_RV
forgets_iv(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE key)
{
	static uint8_t zeros[16];
	CK_MECHANISM copy = *m;

	if (m->mechanism == CKM_AES_CBC)
		copy.pParameter = zeros;
	return softhsm_original()->C_EncryptInit(s, &copy, key);
}

static CK_RV
forgets_iv_too(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE key)
{
	static uint8_t zeros[16];
	CK_MECHANISM copy = *m;

	if (m->mechanism == CKM_AES_CBC)
		copy.pParameter = zeros;
	return softhsm_original()->C_DecryptInit(s, &copy, key);
}

static void
what_the_hsm_does_wrong_is_not_offered(void **state)
{
	struct fixture *f = *state;

	softhsm_functions()->C_EncryptInit = forgets_iv;
	softhsm_functions()->C_DecryptInit = forgets_iv_too;
	fixture_open_ready(f);
	assert_int_equal(hsm_can(f->hsm), ALL & ~HSM_CAN_CBC);
}

/* A device that fails has said nothing: it is asked again when it is back. */
static void
a_failing_hsm_is_asked_again(void **state)
{
	struct fixture *f = *state;
	uint8_t out[16];

	hsm_start_lacking(f, CKM_AES_CMAC, CKR_FUNCTION_FAILED);
	assert_int_equal(hsm_can(f->hsm), ALL & ~HSM_CAN_CMAC);
	atomic_store(&lacking, CKM_ECDSA);
	atomic_store(&answer, CKR_DEVICE_REMOVED);
	/* The next failure is one of the device: it connects anew. */
	static struct twin t;
	struct sign_how how = { .scheme = SIGN_ECDSA,
		.hash = hash_type_by_name(TEXT("sha2-256")) };
	uint8_t signature[CRYPTO_SIGNATURE_MAX];
	size_t len;

	softhsm_functions_restore();
	twin_make(f->hsm, KEY_ECDSA_P256, 0, &t);
	softhsm_functions()->C_SignInit = lacks_sign;
	(void)hsm_key_sign(f->hsm, &t.key, &how, none, signature, &len);
	softhsm_functions_restore();
	assert_int_equal(hsm_wait_ready(f->hsm, 5000), HF_OK);
	assert_int_equal(hsm_random(f->hsm, out, sizeof(out)), HF_OK);
	assert_int_equal(hsm_can(f->hsm), ALL);
	twin_free(&t);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(modes_are_those_of_software),
		TEST(a_changed_wrapped_key_is_refused),
		TEST(padding_is_what_software_takes),
		TEST(cmac_is_that_of_software),
		TEST(ecdh_agrees_with_software),
		TEST(a_point_off_the_curve_never_reaches_the_hsm),
		TEST(hkdf_expands_as_software_and_extracts_nothing),
		TEST(what_the_hsm_lacks_is_not_offered_and_refused),
		TEST(what_the_hsm_does_wrong_is_not_offered),
		TEST(a_failing_hsm_is_asked_again),
	};

	return cmocka_run_group_tests(tests, fixture_group, NULL);
}
