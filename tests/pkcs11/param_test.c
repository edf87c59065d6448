/* SPDX-License-Identifier: Apache-2.0 */
#include "../../pkcs11/param.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../../lib/bytes.h"
#include "../../pkcs11/mechanism.h"

static struct hf_why why;

static CK_RV
load(CK_MECHANISM_TYPE type, void *param, CK_ULONG len, struct param *out)
{
	CK_MECHANISM m = { type, param, len };

	*out = (struct param){ 0 };
	return param_load(mech_find(type), &m, out, &why);
}

static void
refuses(CK_MECHANISM_TYPE type, void *param, CK_ULONG len)
{
	struct param p;

	why.text[0] = '\0';
	assert_true(load(type, param, len, &p) == CKR_MECHANISM_PARAM_INVALID);
	assert_true(why.text[0] != '\0');
	assert_null(p.iv.ptr);
	assert_null(p.more.ptr);
}

static void
takes_no_parameter_where_there_is_none(void **state)
{
	uint8_t junk[4] = { 0 };
	struct param p;

	(void)state;
	assert_true(load(CKM_ECDSA, NULL, 0, &p) == CKR_OK);
	assert_true(load(CKM_ECDSA, junk, 0, &p) == CKR_OK);
	assert_true(load(CKM_ECDSA, NULL, 4, &p) == CKR_OK);
	refuses(CKM_ECDSA, junk, sizeof(junk));
}

static void
copies_the_nonce_and_data_of_gcm(void **state)
{
	uint8_t iv[12] = "nonce-nonce", aad[3] = "aad";
	CK_GCM_PARAMS gcm = { .pIv = iv,
		.ulIvLen = 12,
		.ulIvBits = 96,
		.pAAD = aad,
		.ulAADLen = 3,
		.ulTagBits = 128 };
	struct hf_p11_how how;
	struct param p;

	(void)state;
	assert_true(load(CKM_AES_GCM, &gcm, sizeof(gcm), &p) == CKR_OK);
	memset(iv, 0, sizeof(iv));
	memset(aad, 0, sizeof(aad));
	param_fill(mech_find(CKM_AES_GCM), &p, &how);
	assert_true(text_is(how.mechanism, "aes-gcm"));
	assert_int_equal(how.iv.len, 12);
	assert_memory_equal(how.iv.ptr, "nonce-nonce", 12);
	assert_memory_equal(how.associated_data.ptr, "aad", 3);
	assert_int_equal(how.tag_bits, 128);
	param_free(&p);
	assert_null(p.iv.ptr);
}

/* Some HSMs take an absent nonce for zeros: the same one each time. */
static void
refuses_gcm_without_a_nonce_or_with_a_short_tag(void **state)
{
	uint8_t iv[12] = "x";
	CK_GCM_PARAMS good = { .pIv = iv, .ulIvLen = 12, .ulTagBits = 128 };
	CK_GCM_PARAMS bad;

	(void)state;
	bad = good;
	bad.pIv = NULL;
	refuses(CKM_AES_GCM, &bad, sizeof(bad));
	bad = good;
	bad.ulIvLen = 0;
	refuses(CKM_AES_GCM, &bad, sizeof(bad));
	bad = good;
	bad.ulIvLen = CK_UNAVAILABLE_INFORMATION;
	refuses(CKM_AES_GCM, &bad, sizeof(bad));
	bad = good;
	bad.ulIvBits = 95;
	refuses(CKM_AES_GCM, &bad, sizeof(bad));
	for (CK_ULONG bits = 0; bits < 96; bits += 8) {
		bad = good;
		bad.ulTagBits = bits;
		refuses(CKM_AES_GCM, &bad, sizeof(bad));
	}
	bad = good;
	bad.ulTagBits = 256;
	refuses(CKM_AES_GCM, &bad, sizeof(bad));
	bad = good;
	bad.ulAADLen = 1;
	refuses(CKM_AES_GCM, &bad, sizeof(bad));
	bad = good;
	bad.pAAD = iv;
	bad.ulAADLen = CK_UNAVAILABLE_INFORMATION;
	refuses(CKM_AES_GCM, &bad, sizeof(bad));
	refuses(CKM_AES_GCM, NULL, 0);
	refuses(CKM_AES_GCM, NULL, sizeof(good));
	refuses(CKM_AES_GCM, &good, sizeof(good) - 1);
}

static void
ties_the_hashes_of_pss_together(void **state)
{
	CK_RSA_PKCS_PSS_PARAMS good = { CKM_SHA256, CKG_MGF1_SHA256, 32 };
	CK_RSA_PKCS_PSS_PARAMS bad;
	struct hf_p11_how how;
	struct param p;

	(void)state;
	assert_true(load(CKM_RSA_PKCS_PSS, &good, sizeof(good), &p) == CKR_OK);
	param_fill(mech_find(CKM_RSA_PKCS_PSS), &p, &how);
	assert_true(text_is(how.hash, "sha2-256"));
	assert_true(how.salt_length.present);
	assert_int_equal(how.salt_length.value, 32);
	param_free(&p);
	assert_true(
	    load(CKM_SHA256_RSA_PKCS_PSS, &good, sizeof(good), &p) == CKR_OK);
	param_free(&p);
	refuses(CKM_SHA384_RSA_PKCS_PSS, &good, sizeof(good));
	bad = good;
	bad.mgf = CKG_MGF1_SHA1;
	refuses(CKM_RSA_PKCS_PSS, &bad, sizeof(bad));
	bad = good;
	bad.hashAlg = CKM_MD5;
	refuses(CKM_RSA_PKCS_PSS, &bad, sizeof(bad));
	bad = good;
	bad.sLen = CK_UNAVAILABLE_INFORMATION;
	refuses(CKM_RSA_PKCS_PSS, &bad, sizeof(bad));
	refuses(CKM_RSA_PKCS_PSS, NULL, 0);
}

static void
takes_the_label_of_oaep(void **state)
{
	uint8_t label[] = "label";
	CK_RSA_PKCS_OAEP_PARAMS oaep = { CKM_SHA256, CKG_MGF1_SHA256,
		CKZ_DATA_SPECIFIED, label, 5 };
	struct hf_p11_how how;
	struct param p;

	(void)state;
	assert_true(load(CKM_RSA_PKCS_OAEP, &oaep, sizeof(oaep), &p) == CKR_OK);
	param_fill(mech_find(CKM_RSA_PKCS_OAEP), &p, &how);
	assert_int_equal(how.associated_data.len, 5);
	param_free(&p);
	oaep.source = 0;
	refuses(CKM_RSA_PKCS_OAEP, &oaep, sizeof(oaep));
	oaep.ulSourceDataLen = 0;
	assert_true(load(CKM_RSA_PKCS_OAEP, &oaep, sizeof(oaep), &p) == CKR_OK);
	param_free(&p);
}

static void
bounds_the_length_of_macs(void **state)
{
	CK_ULONG len = 16;
	struct param p;

	(void)state;
	assert_true(
	    load(CKM_SHA256_HMAC_GENERAL, &len, sizeof(len), &p) == CKR_OK);
	assert_int_equal(p.number, 16);
	param_free(&p);
	len = 0;
	refuses(CKM_SHA256_HMAC_GENERAL, &len, sizeof(len));
	len = 33;
	refuses(CKM_SHA256_HMAC_GENERAL, &len, sizeof(len));
	refuses(CKM_SHA256_HMAC_GENERAL, &len, 4);
}

static void
takes_plain_ed25519_only(void **state)
{
	CK_EDDSA_PARAMS eddsa = { CK_FALSE, 0, NULL };
	struct param p;

	(void)state;
	assert_true(load(CKM_EDDSA, NULL, 0, &p) == CKR_OK);
	assert_true(load(CKM_EDDSA, &eddsa, sizeof(eddsa), &p) == CKR_OK);
	eddsa.phFlag = CK_TRUE;
	refuses(CKM_EDDSA, &eddsa, sizeof(eddsa));
	eddsa.phFlag = CK_FALSE;
	eddsa.ulContextDataLen = 1;
	refuses(CKM_EDDSA, &eddsa, sizeof(eddsa));
}

/* The historic crash of remoting modules: a null parameter, for each row. */
static void
survives_absent_parameters_of_every_mechanism(void **state)
{
	(void)state;
	for (size_t i = 0; i < mechs_count; i++)
		for (CK_ULONG len = 0; len < 64; len += 8) {
			CK_MECHANISM m = { mechs[i].type, NULL, len };
			struct param p = { 0 };

			(void)param_load(&mechs[i], &m, &p, &why);
			param_free(&p);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_no_parameter_where_there_is_none),
		cmocka_unit_test(copies_the_nonce_and_data_of_gcm),
		cmocka_unit_test(
		    refuses_gcm_without_a_nonce_or_with_a_short_tag),
		cmocka_unit_test(ties_the_hashes_of_pss_together),
		cmocka_unit_test(takes_the_label_of_oaep),
		cmocka_unit_test(bounds_the_length_of_macs),
		cmocka_unit_test(takes_plain_ed25519_only),
		cmocka_unit_test(survives_absent_parameters_of_every_mechanism),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
