/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/hsm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../keyd/crypto.h"
#include "../../keyd/crypto_derive.h"
#include "../../lib/bytes.h"
#include "../fake/softhsm.h"
#include "hsm_fixture.h"

/*
 * The probe believes no HSM: what it says is what the HSM did. Functions of the
 * test stand before SoftHSM's, for what SoftHSM does not have, and for answers
 * that are wrong. hsm_test.c has the probe of SoftHSM as it is.
 */

#define HKDF_DERIVE 0x402aUL /* of PKCS#11 3.0 */

static int
setup(void **state)
{
	struct fixture *f = *state;

	if (fixture_setup(state) != 0)
		return -1;
	fixture_open(f);
	return hsm_wait_ready(f->hsm, 10000) == HF_OK ? 0 : -1;
}

/* Each row of that name and use is so, and there is one. */
static void
expect_row(const struct hsm_probe *probe, const char *name, const char *use,
    const char *result, const char *note)
{
	bool found = false;

	for (size_t i = 0; i < probe->count; i++) {
		const struct hsm_probe_row *row = &probe->rows[i];

		if (strcmp(row->name, name) != 0 ||
		    strstr(row->use, use) == NULL)
			continue;
		found = true;
		if (strcmp(row->result, result) != 0 ||
		    strstr(row->note, note) == NULL)
			fail_msg("%s (%s): %s, %s", row->name, row->use,
			    row->result, row->note);
	}
	assert_true(found);
}

/* -- An HSM that can more -- */

/* One thread runs the probe. */
static const struct hash_type *hashing; /* of the signature under way */
static uint8_t brought[64];             /* the value that came last */
static size_t brought_len;
static bool hkdf_wrong;

static const struct hash_type *
hash_of_ecdsa(CK_MECHANISM_TYPE type)
{
	const char *name = type == CKM_ECDSA_SHA256 ? "sha2-256"
	    : type == CKM_ECDSA_SHA384              ? "sha2-384"
	    : type == CKM_ECDSA_SHA512              ? "sha2-512"
						    : "";

	return hash_type_by_name(text_of(name));
}

static CK_RV
more_info(CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info)
{
	if (hash_of_ecdsa(type) != NULL || type == CKM_RSA_AES_KEY_WRAP ||
	    type == HKDF_DERIVE)
		return CKR_OK;
	return softhsm_original()->C_GetMechanismInfo(slot, type, info);
}

static CK_RV
hashing_sign_init(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE key)
{
	CK_MECHANISM plain = { CKM_ECDSA, NULL, 0 };

	hashing = hash_of_ecdsa(m->mechanism);
	return softhsm_original()->C_SignInit(
	    s, hashing != NULL ? &plain : m, key);
}

static CK_RV
hashing_sign(CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG len, CK_BYTE *out,
    CK_ULONG *out_len)
{
	uint8_t digest[64];

	if (hashing == NULL)
		return softhsm_original()->C_Sign(s, in, len, out, out_len);
	if (crypto_hash(hashing, bytes_of(in, len), digest) != HF_OK)
		return CKR_FUNCTION_FAILED;
	return softhsm_original()->C_Sign(
	    s, digest, hashing->size, out, out_len);
}

static CK_RV
keeping_create(
    CK_SESSION_HANDLE s, CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *out)
{
	for (CK_ULONG i = 0; i < n; i++)
		if (t[i].type == CKA_VALUE &&
		    t[i].ulValueLen <= sizeof(brought)) {
			brought_len = t[i].ulValueLen;
			memcpy(brought, t[i].pValue, brought_len);
		}
	return softhsm_original()->C_CreateObject(s, t, n, out);
}

/* By OpenSSL's HKDF, which the probe does not use. */
static CK_RV
hkdf_derive(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE base,
    CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *key)
{
	const struct hkdf how = { .hash = hash_type_by_name(TEXT("sha2-256")),
		.extract = true,
		.expand = true };
	AUTO_SECRET value = { 0 };
	CK_ATTRIBUTE all[10];
	CK_ULONG count = 0;

	if (m->mechanism != HKDF_DERIVE)
		return softhsm_original()->C_DeriveKey(s, m, base, t, n, key);
	if (secret_alloc(&value, 32) != HF_OK ||
	    crypto_hkdf(&how, bytes_of(brought, brought_len), &value) != HF_OK)
		return CKR_FUNCTION_FAILED;
	if (hkdf_wrong)
		value.ptr[31] ^= 1;
	for (CK_ULONG i = 0; i < n && count < 9; i++)
		if (t[i].type != CKA_VALUE_LEN)
			all[count++] = t[i];
	all[count++] = (CK_ATTRIBUTE){ CKA_VALUE, value.ptr, 32 };
	return softhsm_original()->C_CreateObject(s, all, count, key);
}

/* PKCS#11 2.40, 2.1.21: a fresh AES key by OAEP, and behind it what it wraps by
 * KWP. SoftHSM's OAEP knows SHA-1 alone. */
struct both {
	CK_ULONG aes_bits;
	CK_RSA_PKCS_OAEP_PARAMS *oaep;
};
static CK_RSA_PKCS_OAEP_PARAMS sha1 = { CKM_SHA_1, CKG_MGF1_SHA1,
	CKZ_DATA_SPECIFIED, NULL, 0 };
enum { OAEP_LEN = 256 };

static CK_RV
rsa_aes_wrap(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE by,
    CK_OBJECT_HANDLE key, CK_BYTE *out, CK_ULONG *len)
{
	const CK_FUNCTION_LIST *fn = softhsm_original();
	const struct both *both = m->pParameter;
	CK_MECHANISM make = { CKM_AES_KEY_GEN, NULL, 0 },
		     oaep = { CKM_RSA_PKCS_OAEP, &sha1, sizeof(sha1) },
		     kwp = { CKM_AES_KEY_WRAP_PAD, NULL, 0 };
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	CK_ULONG size = 32, first = OAEP_LEN, second = *len - OAEP_LEN;
	CK_ATTRIBUTE t[] = { { CKA_VALUE_LEN, &size, sizeof(size) },
		{ CKA_TOKEN, &no, sizeof(no) },
		{ CKA_EXTRACTABLE, &yes, sizeof(yes) },
		{ CKA_WRAP, &yes, sizeof(yes) } };
	CK_OBJECT_HANDLE fresh;
	CK_RV rv;

	if (m->mechanism != CKM_RSA_AES_KEY_WRAP)
		return fn->C_WrapKey(s, m, by, key, out, len);
	if (m->ulParameterLen != sizeof(*both) || both->aes_bits != 256 ||
	    both->oaep->hashAlg != CKM_SHA256)
		return CKR_MECHANISM_PARAM_INVALID;
	if ((rv = fn->C_GenerateKey(s, &make, t, 4, &fresh)) != CKR_OK ||
	    (rv = fn->C_WrapKey(s, &oaep, by, fresh, out, &first)) != CKR_OK ||
	    (rv = fn->C_WrapKey(
		 s, &kwp, fresh, key, out + OAEP_LEN, &second)) != CKR_OK)
		return rv;
	*len = first + second;
	return CKR_OK;
}

static CK_RV
rsa_aes_unwrap(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE by,
    CK_BYTE *in, CK_ULONG len, CK_ATTRIBUTE *t, CK_ULONG n,
    CK_OBJECT_HANDLE *key)
{
	const CK_FUNCTION_LIST *fn = softhsm_original();
	CK_MECHANISM oaep = { CKM_RSA_PKCS_OAEP, &sha1, sizeof(sha1) },
		     kwp = { CKM_AES_KEY_WRAP_PAD, NULL, 0 };
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_KEY_TYPE aes = CKK_AES;
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	CK_ATTRIBUTE own[] = { { CKA_CLASS, &class, sizeof(class) },
		{ CKA_KEY_TYPE, &aes, sizeof(aes) },
		{ CKA_TOKEN, &no, sizeof(no) },
		{ CKA_UNWRAP, &yes, sizeof(yes) } };
	CK_OBJECT_HANDLE fresh;
	CK_RV rv;

	if (m->mechanism != CKM_RSA_AES_KEY_WRAP)
		return fn->C_UnwrapKey(s, m, by, in, len, t, n, key);
	rv = fn->C_UnwrapKey(s, &oaep, by, in, OAEP_LEN, own, 4, &fresh);
	return rv != CKR_OK ? rv
			    : fn->C_UnwrapKey(s, &kwp, fresh, in + OAEP_LEN,
				  len - OAEP_LEN, t, n, key);
}

static void
can_more(void)
{
	CK_FUNCTION_LIST_PTR fn = softhsm_functions();

	hkdf_wrong = false;
	fn->C_GetMechanismInfo = more_info;
	fn->C_SignInit = hashing_sign_init;
	fn->C_Sign = hashing_sign;
	fn->C_CreateObject = keeping_create;
	fn->C_DeriveKey = hkdf_derive;
	fn->C_WrapKey = rsa_aes_wrap;
	fn->C_UnwrapKey = rsa_aes_unwrap;
}

static void
finds_what_other_hsms_have(void **state)
{
	struct fixture *f = *state;
	struct hsm_probe probe = { 0 };

	can_more();
	assert_int_equal(hsm_probe_run(f->hsm, &probe), HF_OK);
	expect_row(&probe, "CKM_ECDSA_SHA256", "", "works", "");
	expect_row(&probe, "CKM_ECDSA_SHA384", "", "works", "");
	expect_row(&probe, "CKM_ECDSA_SHA512", "", "works", "");
	expect_row(&probe, "CKM_HKDF_DERIVE", "", "works", "");
	expect_row(&probe, "CKM_RSA_AES_KEY_WRAP", "", "works", "");
	expect_row(&probe, "CKM_AES_GCM", "", "works", "");
	hsm_probe_free(&probe);
}

/* -- An HSM whose answers are wrong -- */

static unsigned times;

/* Another byte each time. */
static CK_RV
spoil(CK_RV rv, CK_BYTE *out, const CK_ULONG *len)
{
	if (rv == CKR_OK && out != NULL && *len > 0)
		out[0] ^= (CK_BYTE)(1 + times++ % 255);
	return rv;
}

static CK_RV
spoilt_decrypt(CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG len, CK_BYTE *out,
    CK_ULONG *out_len)
{
	return spoil(softhsm_original()->C_Decrypt(s, in, len, out, out_len),
	    out, out_len);
}

static CK_RV
spoilt_sign(CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG len, CK_BYTE *out,
    CK_ULONG *out_len)
{
	return spoil(hashing_sign(s, in, len, out, out_len), out, out_len);
}

static CK_RV
spoilt_digest(CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG len, CK_BYTE *out,
    CK_ULONG *out_len)
{
	return spoil(softhsm_original()->C_Digest(s, in, len, out, out_len),
	    out, out_len);
}

static CK_RV
spoilt_values(
    CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o, CK_ATTRIBUTE *t, CK_ULONG n)
{
	CK_RV rv = softhsm_original()->C_GetAttributeValue(s, o, t, n);

	return n == 1 && t->type == CKA_VALUE
	    ? spoil(rv, t->pValue, &t->ulValueLen)
	    : rv;
}

static void
calls_nothing_working_whose_answers_are_wrong(void **state)
{
	static const char undone[] = "decryption does not give back the text",
			  unsigned_[] = "the signature does not verify",
			  other[] = "not what software gives";
	struct fixture *f = *state;
	struct hsm_probe probe = { 0 };

	can_more();
	softhsm_functions()->C_Decrypt = spoilt_decrypt;
	softhsm_functions()->C_Sign = spoilt_sign;
	softhsm_functions()->C_Digest = spoilt_digest;
	softhsm_functions()->C_GetAttributeValue = spoilt_values;
	assert_int_equal(hsm_probe_run(f->hsm, &probe), HF_OK);
	for (size_t i = 0; i < probe.count; i++) {
		const struct hsm_probe_row *row = &probe.rows[i];

		if (strcmp(row->result, "works") == 0 &&
		    strstr(row->name, "_GEN") == NULL)
			fail_msg("%s (%s) works", row->name, row->use);
	}
	expect_row(&probe, "CKM_AES_GCM", "", "fails", undone);
	expect_row(&probe, "CKM_AES_CTR", "", "fails", undone);
	expect_row(&probe, "CKM_AES_KEY_WRAP_PAD", "", "fails", undone);
	expect_row(&probe, "CKM_RSA_X_509", "", "fails", undone);
	expect_row(&probe, "CKM_RSA_PKCS_OAEP", "SHA-1", "fails", undone);
	expect_row(&probe, "CKM_RSA_AES_KEY_WRAP", "", "fails", undone);
	expect_row(&probe, "CKM_RSA_PKCS_PSS", "", "fails", unsigned_);
	expect_row(&probe, "CKM_SHA256_RSA_PKCS", "", "fails", unsigned_);
	expect_row(&probe, "CKM_ECDSA", "", "fails", unsigned_);
	expect_row(&probe, "CKM_ECDSA_SHA384", "", "fails", unsigned_);
	expect_row(&probe, "CKM_EDDSA", "", "fails", unsigned_);
	expect_row(&probe, "CKM_AES_CMAC", "", "fails",
	    "the code is not the same each time");
	expect_row(&probe, "CKM_ECDH1_DERIVE", "agreement", "fails",
	    "the two sides do not agree");
	expect_row(&probe, "CKM_SHA256_HMAC", "", "fails", other);
	expect_row(&probe, "CKM_SHA512", "", "fails", other);
	expect_row(&probe, "CKM_HKDF_DERIVE", "", "fails", other);
	hsm_probe_free(&probe);
}

static CK_RV
no_encryption(CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG len, CK_BYTE *out,
    CK_ULONG *out_len)
{
	CK_RV rv = softhsm_original()->C_Encrypt(s, in, len, out, out_len);

	if (rv == CKR_OK && len <= *out_len)
		memcpy(out, in, len);
	return rv;
}

/* A round trip would not show it. */
static CK_RV
no_decryption(CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG len, CK_BYTE *out,
    CK_ULONG *out_len)
{
	CK_ULONG n = len < 32 ? len : 32;
	CK_RV rv = softhsm_original()->C_Decrypt(s, in, len, out, out_len);

	if (rv != CKR_OK || n > *out_len)
		return rv;
	memcpy(out, in, n);
	return CKR_OK;
}

static CK_RV
takes_no_keys(
    CK_SESSION_HANDLE s, CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *out)
{
	(void)s;
	(void)t;
	(void)n;
	(void)out;
	return CKR_TEMPLATE_INCONSISTENT;
}

static CK_RV
overruns(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE by,
    CK_OBJECT_HANDLE key, CK_BYTE *out, CK_ULONG *len)
{
	CK_RV rv = softhsm_original()->C_WrapKey(s, m, by, key, out, len);

	if (rv == CKR_OK)
		*len = 1 << 20;
	return rv;
}

static void
sees_through_an_hsm_that_does_not_encrypt(void **state)
{
	struct fixture *f = *state;
	struct hsm_probe probe = { 0 };

	softhsm_functions()->C_Encrypt = no_encryption;
	softhsm_functions()->C_Decrypt = no_decryption;
	softhsm_functions()->C_CreateObject = takes_no_keys;
	softhsm_functions()->C_WrapKey = overruns;
	assert_int_equal(hsm_probe_run(f->hsm, &probe), HF_OK);
	expect_row(&probe, "CKM_AES_CTR", "", "fails",
	    "the ciphertext is the plaintext");
	expect_row(&probe, "CKM_AES_CBC", "", "fails",
	    "the ciphertext is the plaintext");
	/* With a key of its own then, against itself. */
	expect_row(&probe, "CKM_SHA256_HMAC", "", "works", "");
	/* Its wrapped keys would lie behind the end of the memory for them. */
	expect_row(&probe, "CKM_AES_KEY_WRAP_PAD", "", "fails",
	    "the wrapped key is longer");
	hsm_probe_free(&probe);
}

/* A wrapped key's length comes from the HSM's library. */
static void
a_wrapped_key_that_claims_to_overrun_is_refused(void **state)
{
	struct fixture *f = *state;
	uint8_t wrapped[4096], spki[1024], id[HSM_ID] = { 1 };
	size_t len = 0, spki_len = 0;
	const struct key_type *type = key_type_by_id(KEY_AES256_GCM96);

	assert_int_equal(
	    hsm_object_make(f->hsm, ROLE_WRAP, wrap_id, "wrap"), HF_OK);
	softhsm_functions()->C_WrapKey = overruns;
	assert_int_equal(hsm_key_make(f->hsm, type, 0, wrap_id, id, wrapped,
			     &len, spki, &spki_len),
	    HF_ERR_HSM_REFUSED);
	softhsm_functions_restore();
	assert_int_equal(hsm_key_make(f->hsm, type, 0, wrap_id, id, wrapped,
			     &len, spki, &spki_len),
	    HF_OK);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(finds_what_other_hsms_have),
		TEST(calls_nothing_working_whose_answers_are_wrong),
		TEST(sees_through_an_hsm_that_does_not_encrypt),
		TEST(a_wrapped_key_that_claims_to_overrun_is_refused),
	};

	return cmocka_run_group_tests(tests, fixture_group, NULL);
}
