/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the module's functions refuse before a daemon is asked: pointers that
 * are missing, sessions and tokens that are none, things done out of turn, and
 * what this module does not do at all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../pkcs11/cryptoki.h"

#define IS(call, want)                                              \
	do {                                                        \
		CK_RV rv_ = (call);                                 \
		if (rv_ != (want))                                  \
			fail_msg("0x%lx instead of 0x%lx: %s", rv_, \
			    (CK_ULONG)(want), #call);               \
	} while (0)

static char no_socket[] = "socket=/nonexistent/keyd.sock";
static CK_SESSION_HANDLE h;
static CK_BYTE data[64], out[256];
static CK_BBOOL yes = CK_TRUE;

static int
begin(void **state)
{
	CK_C_INITIALIZE_ARGS args = { .flags = CKF_OS_LOCKING_OK,
		.pReserved = no_socket };

	(void)state;
	(void)setenv("HOLDFAST_PKCS11_CONFIG", "/dev/null", 1);
	return C_Initialize(&args) == CKR_OK &&
		C_OpenSession(0, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL,
		    NULL, &h) == CKR_OK
	    ? 0
	    : -1;
}

static int
end(void **state)
{
	(void)state;
	return C_Finalize(NULL) == CKR_OK ? 0 : -1;
}

/* -- What is not done here -- */

static void
what_it_does_not_do_it_says_to_everybody(void **state)
{
	CK_ULONG n = sizeof(out);

	(void)state;
	IS(C_InitToken(0, data, 4, data), CKR_FUNCTION_NOT_SUPPORTED);
	IS(C_InitPIN(h, data, 4), CKR_FUNCTION_NOT_SUPPORTED);
	IS(C_SetPIN(h, data, 4, data, 4), CKR_FUNCTION_NOT_SUPPORTED);
	IS(C_SignRecoverInit(h, NULL, 0), CKR_FUNCTION_NOT_SUPPORTED);
	IS(C_SignRecover(h, data, 1, out, &n), CKR_FUNCTION_NOT_SUPPORTED);
	IS(C_VerifyRecoverInit(h, NULL, 0), CKR_FUNCTION_NOT_SUPPORTED);
	IS(C_VerifyRecover(h, data, 1, out, &n), CKR_FUNCTION_NOT_SUPPORTED);
	IS(C_DigestEncryptUpdate(h, data, 1, out, &n),
	    CKR_FUNCTION_NOT_SUPPORTED);
	IS(C_DecryptDigestUpdate(h, data, 1, out, &n),
	    CKR_FUNCTION_NOT_SUPPORTED);
	IS(C_SignEncryptUpdate(h, data, 1, out, &n),
	    CKR_FUNCTION_NOT_SUPPORTED);
	IS(C_DecryptVerifyUpdate(h, data, 1, out, &n),
	    CKR_FUNCTION_NOT_SUPPORTED);
	IS(C_GetFunctionStatus(h), CKR_FUNCTION_NOT_PARALLEL);
	IS(C_CancelFunction(h), CKR_FUNCTION_NOT_PARALLEL);
	IS(C_SeedRandom(h, data, 4), CKR_RANDOM_SEED_NOT_SUPPORTED);
	IS(C_CopyObject(h, 1, NULL, 0, &n), CKR_ACTION_PROHIBITED);
	IS(C_DigestKey(h, 1), CKR_KEY_INDIGESTIBLE);
	assert_int_equal(n, sizeof(out));
}

static void
messages_are_not_signed(void **state)
{
	CK_MECHANISM m = { CKM_ECDSA, NULL, 0 };
	CK_ULONG n = sizeof(out);

	(void)state;
	IS(C_MessageSignInit(h, &m, 1), CKR_MECHANISM_INVALID);
	IS(C_SignMessage(h, NULL, 0, data, 1, out, &n),
	    CKR_OPERATION_NOT_INITIALIZED);
	IS(C_SignMessageBegin(h, NULL, 0), CKR_OPERATION_NOT_INITIALIZED);
	IS(C_SignMessageNext(h, NULL, 0, data, 1, out, &n),
	    CKR_OPERATION_NOT_INITIALIZED);
	IS(C_MessageSignFinal(h), CKR_OPERATION_NOT_INITIALIZED);
	IS(C_MessageVerifyInit(h, &m, 1), CKR_MECHANISM_INVALID);
	IS(C_VerifyMessage(h, NULL, 0, data, 1, out, n),
	    CKR_OPERATION_NOT_INITIALIZED);
	IS(C_VerifyMessageBegin(h, NULL, 0), CKR_OPERATION_NOT_INITIALIZED);
	IS(C_VerifyMessageNext(h, NULL, 0, data, 1, out, n),
	    CKR_OPERATION_NOT_INITIALIZED);
	IS(C_MessageVerifyFinal(h), CKR_OPERATION_NOT_INITIALIZED);
}

/* -- Nobody there -- */

/* Every function that works on a session, with one that is none. */
static void
ask_all(CK_SESSION_HANDLE s, CK_RV want)
{
	CK_MECHANISM m = { CKM_SHA256, NULL, 0 };
	CK_ATTRIBUTE a = { CKA_TOKEN, &yes, sizeof(yes) };
	CK_SESSION_INFO info;
	CK_OBJECT_HANDLE found, other;
	CK_ULONG n = sizeof(out);

	IS(C_CloseSession(s), want);
	IS(C_GetSessionInfo(s, &info), want);
	IS(C_GetOperationState(s, out, &n), want);
	IS(C_SetOperationState(s, data, 1, 0, 0), want);
	IS(C_Login(s, CKU_USER, data, 4), want);
	IS(C_LoginUser(s, CKU_USER, data, 4, data, 4), want);
	IS(C_Logout(s), want);
	IS(C_SessionCancel(s, CKF_DIGEST), want);
	IS(C_CreateObject(s, &a, 1, &found), want);
	IS(C_CopyObject(s, 1, &a, 1, &found), want);
	IS(C_DestroyObject(s, 1), want);
	IS(C_GetObjectSize(s, 1, &n), want);
	IS(C_GetAttributeValue(s, 1, &a, 1), want);
	IS(C_SetAttributeValue(s, 1, &a, 1), want);
	IS(C_FindObjectsInit(s, NULL, 0), want);
	IS(C_FindObjects(s, &found, 1, &n), want);
	IS(C_FindObjectsFinal(s), want);
	IS(C_EncryptInit(s, &m, 1), want);
	IS(C_Encrypt(s, data, 1, out, &n), want);
	IS(C_EncryptUpdate(s, data, 1, out, &n), want);
	IS(C_EncryptFinal(s, out, &n), want);
	IS(C_DecryptInit(s, &m, 1), want);
	IS(C_Decrypt(s, data, 1, out, &n), want);
	IS(C_DecryptUpdate(s, data, 1, out, &n), want);
	IS(C_DecryptFinal(s, out, &n), want);
	IS(C_DigestInit(s, &m), want);
	IS(C_Digest(s, data, 1, out, &n), want);
	IS(C_DigestUpdate(s, data, 1), want);
	IS(C_DigestKey(s, 1), want);
	IS(C_DigestFinal(s, out, &n), want);
	IS(C_SignInit(s, &m, 1), want);
	IS(C_Sign(s, data, 1, out, &n), want);
	IS(C_SignUpdate(s, data, 1), want);
	IS(C_SignFinal(s, out, &n), want);
	IS(C_VerifyInit(s, &m, 1), want);
	IS(C_Verify(s, data, 1, out, 1), want);
	IS(C_VerifyUpdate(s, data, 1), want);
	IS(C_VerifyFinal(s, out, 1), want);
	IS(C_GenerateKey(s, &m, &a, 1, &found), want);
	IS(C_GenerateKeyPair(s, &m, &a, 1, &a, 1, &found, &other), want);
	IS(C_WrapKey(s, &m, 1, 2, out, &n), want);
	IS(C_UnwrapKey(s, &m, 1, data, 1, &a, 1, &found), want);
	IS(C_DeriveKey(s, &m, 1, &a, 1, &found), want);
	IS(C_SeedRandom(s, data, 1), want);
	IS(C_GenerateRandom(s, out, 1), want);
	IS(C_MessageEncryptInit(s, &m, 1), want);
	IS(C_EncryptMessage(s, NULL, 0, NULL, 0, data, 1, out, &n), want);
	IS(C_EncryptMessageBegin(s, NULL, 0, NULL, 0), want);
	IS(C_EncryptMessageNext(s, NULL, 0, data, 1, out, &n, 0), want);
	IS(C_MessageEncryptFinal(s), want);
	IS(C_MessageDecryptInit(s, &m, 1), want);
	IS(C_DecryptMessage(s, NULL, 0, NULL, 0, data, 1, out, &n), want);
	IS(C_DecryptMessageBegin(s, NULL, 0, NULL, 0), want);
	IS(C_DecryptMessageNext(s, NULL, 0, data, 1, out, &n, 0), want);
	IS(C_MessageDecryptFinal(s), want);
	IS(C_MessageSignInit(s, &m, 1), want);
	IS(C_SignMessage(s, NULL, 0, data, 1, out, &n), want);
	IS(C_SignMessageBegin(s, NULL, 0), want);
	IS(C_SignMessageNext(s, NULL, 0, data, 1, out, &n), want);
	IS(C_MessageSignFinal(s), want);
	IS(C_MessageVerifyInit(s, &m, 1), want);
	IS(C_VerifyMessage(s, NULL, 0, data, 1, out, 1), want);
	IS(C_VerifyMessageBegin(s, NULL, 0), want);
	IS(C_VerifyMessageNext(s, NULL, 0, data, 1, out, 1), want);
	IS(C_MessageVerifyFinal(s), want);
	assert_int_equal(n, sizeof(out));
}

static void
no_function_takes_a_session_that_is_none(void **state)
{
	(void)state;
	ask_all(0, CKR_SESSION_HANDLE_INVALID);
	ask_all(h + 1, CKR_SESSION_HANDLE_INVALID);
	ask_all((CK_SESSION_HANDLE)-1, CKR_SESSION_HANDLE_INVALID);
	IS(C_CloseSession(h), CKR_OK);
	ask_all(h, CKR_SESSION_HANDLE_INVALID);
}

static void
no_function_works_before_the_beginning(void **state)
{
	CK_ULONG n = 0;
	CK_SLOT_ID slot;
	CK_SLOT_INFO info;
	CK_TOKEN_INFO token;
	CK_MECHANISM_INFO mech;

	(void)state;
	ask_all(1, CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(C_GetSlotInfo(0, &info), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(C_GetTokenInfo(0, &token), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(C_GetMechanismList(0, NULL, &n), CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(C_GetMechanismInfo(0, CKM_SHA256, &mech),
	    CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, NULL),
	    CKR_CRYPTOKI_NOT_INITIALIZED);
	IS(C_CloseAllSessions(0), CKR_CRYPTOKI_NOT_INITIALIZED);
}

static void
no_function_takes_a_slot_that_is_none(void **state)
{
	CK_SLOT_INFO info;
	CK_TOKEN_INFO token;
	CK_MECHANISM_INFO mech;
	CK_SESSION_HANDLE s;
	CK_ULONG n = 0;

	(void)state;
	IS(C_GetSlotInfo(1, &info), CKR_SLOT_ID_INVALID);
	IS(C_GetTokenInfo(1, &token), CKR_SLOT_ID_INVALID);
	IS(C_GetMechanismList(1, NULL, &n), CKR_SLOT_ID_INVALID);
	IS(C_GetMechanismInfo(1, CKM_SHA256, &mech), CKR_SLOT_ID_INVALID);
	IS(C_OpenSession(1, CKF_SERIAL_SESSION, NULL, NULL, &s),
	    CKR_SLOT_ID_INVALID);
	IS(C_CloseAllSessions(1), CKR_SLOT_ID_INVALID);
}

/* -- Places for results -- */

static void
a_result_needs_a_place(void **state)
{
	CK_SLOT_ID slot;
	CK_SESSION_HANDLE s;

	(void)state;
	IS(C_GetInfo(NULL), CKR_ARGUMENTS_BAD);
	IS(C_GetSlotList(CK_TRUE, NULL, NULL), CKR_ARGUMENTS_BAD);
	IS(C_GetSlotInfo(0, NULL), CKR_ARGUMENTS_BAD);
	IS(C_GetTokenInfo(0, NULL), CKR_ARGUMENTS_BAD);
	IS(C_GetMechanismList(0, NULL, NULL), CKR_ARGUMENTS_BAD);
	IS(C_GetMechanismInfo(0, CKM_SHA256, NULL), CKR_ARGUMENTS_BAD);
	IS(C_GetSessionInfo(h, NULL), CKR_ARGUMENTS_BAD);
	IS(C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, NULL),
	    CKR_ARGUMENTS_BAD);
	IS(C_CreateObject(h, NULL, 0, NULL), CKR_ARGUMENTS_BAD);
	IS(C_FindObjects(h, NULL, 1, NULL), CKR_OPERATION_NOT_INITIALIZED);
	IS(C_GetFunctionList(NULL), CKR_ARGUMENTS_BAD);
	IS(C_GetInterfaceList(NULL, NULL), CKR_ARGUMENTS_BAD);
	IS(C_GetInterface(NULL, NULL, NULL, 0), CKR_ARGUMENTS_BAD);
	/* And nothing may stand where the standard says NULL. */
	IS(C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, &s), CKR_ARGUMENTS_BAD);
	IS(C_Finalize(&s), CKR_ARGUMENTS_BAD);
	IS(C_GetSlotList(CK_TRUE, &slot, &(CK_ULONG){ 1 }), CKR_OK);
}

static void
a_list_tells_its_length_and_needs_room(void **state)
{
	static CK_MECHANISM_TYPE list[500];
	CK_ULONG n = 0, all;
	CK_SLOT_ID slots[2] = { 99, 99 };

	(void)state;
	IS(C_GetMechanismList(0, NULL, &n), CKR_OK);
	assert_true(n > 10 && n < 500);
	all = n;
	n--;
	IS(C_GetMechanismList(0, list, &n), CKR_BUFFER_TOO_SMALL);
	assert_int_equal(n, all);
	assert_int_equal(list[0], 0);
	IS(C_GetMechanismList(0, list, &n), CKR_OK);
	for (CK_ULONG i = 0; i < n; i++) {
		CK_MECHANISM_INFO info;

		IS(C_GetMechanismInfo(0, list[i], &info), CKR_OK);
		assert_true(info.flags != 0);
	}
	IS(C_GetMechanismInfo(0, 0x7fffffffUL, &(CK_MECHANISM_INFO){ 0 }),
	    CKR_MECHANISM_INVALID);
	n = 0;
	IS(C_GetSlotList(CK_FALSE, slots, &n), CKR_BUFFER_TOO_SMALL);
	assert_int_equal(n, 1);
	assert_int_equal(slots[0], 99);
	n = 2;
	IS(C_GetSlotList(CK_FALSE, slots, &n), CKR_OK);
	assert_int_equal(n, 1);
	assert_int_equal(slots[0], 0);
}

/* -- Out of turn -- */

static void
nothing_goes_on_that_was_not_begun(void **state)
{
	CK_ULONG n = sizeof(out);

	(void)state;
	IS(C_Encrypt(h, data, 1, out, &n), CKR_OPERATION_NOT_INITIALIZED);
	IS(C_EncryptUpdate(h, data, 1, out, &n), CKR_OPERATION_NOT_INITIALIZED);
	IS(C_EncryptFinal(h, out, &n), CKR_OPERATION_NOT_INITIALIZED);
	IS(C_Decrypt(h, data, 1, out, &n), CKR_OPERATION_NOT_INITIALIZED);
	IS(C_DecryptUpdate(h, data, 1, out, &n), CKR_OPERATION_NOT_INITIALIZED);
	IS(C_DecryptFinal(h, out, &n), CKR_OPERATION_NOT_INITIALIZED);
	IS(C_DigestUpdate(h, data, 1), CKR_OPERATION_NOT_INITIALIZED);
	IS(C_DigestFinal(h, out, &n), CKR_OPERATION_NOT_INITIALIZED);
	IS(C_SignUpdate(h, data, 1), CKR_OPERATION_NOT_INITIALIZED);
	IS(C_SignFinal(h, out, &n), CKR_OPERATION_NOT_INITIALIZED);
	IS(C_Verify(h, data, 1, out, 1), CKR_OPERATION_NOT_INITIALIZED);
	IS(C_VerifyUpdate(h, data, 1), CKR_OPERATION_NOT_INITIALIZED);
	IS(C_VerifyFinal(h, out, 1), CKR_OPERATION_NOT_INITIALIZED);
	IS(C_EncryptMessage(h, NULL, 0, NULL, 0, data, 1, out, &n),
	    CKR_OPERATION_NOT_INITIALIZED);
	IS(C_EncryptMessageBegin(h, NULL, 0, NULL, 0),
	    CKR_OPERATION_NOT_INITIALIZED);
	IS(C_EncryptMessageNext(h, NULL, 0, data, 1, out, &n, 0),
	    CKR_OPERATION_NOT_INITIALIZED);
	IS(C_MessageEncryptFinal(h), CKR_OPERATION_NOT_INITIALIZED);
	IS(C_MessageDecryptFinal(h), CKR_OPERATION_NOT_INITIALIZED);
	IS(C_FindObjects(h, &n, 1, &n), CKR_OPERATION_NOT_INITIALIZED);
	IS(C_FindObjectsFinal(h), CKR_OPERATION_NOT_INITIALIZED);
}

static void
a_key_that_is_none_begins_nothing(void **state)
{
	CK_BYTE iv[12] = { 0 };
	CK_GCM_PARAMS p = { .pIv = iv, .ulIvLen = 12, .ulTagBits = 128 };
	CK_MECHANISM gcm = { CKM_AES_GCM, &p, sizeof(p) };
	CK_MECHANISM unknown = { 0x7fffffffUL, NULL, 0 };
	CK_MECHANISM sha = { CKM_SHA256, NULL, 0 };
	CK_ULONG n = sizeof(out);

	(void)state;
	IS(C_EncryptInit(h, &gcm, 0), CKR_KEY_HANDLE_INVALID);
	IS(C_MessageEncryptInit(h, &gcm, 0), CKR_KEY_HANDLE_INVALID);
	IS(C_EncryptInit(h, &unknown, 0), CKR_MECHANISM_INVALID);
	IS(C_SignInit(h, &sha, 0), CKR_MECHANISM_INVALID);
	IS(C_MessageDecryptInit(h, &sha, 0), CKR_MECHANISM_INVALID);
	IS(C_DigestInit(h, &gcm), CKR_MECHANISM_INVALID);
	gcm.ulParameterLen--;
	IS(C_DecryptInit(h, &gcm, 0), CKR_MECHANISM_PARAM_INVALID);
	IS(C_Encrypt(h, data, 1, out, &n), CKR_OPERATION_NOT_INITIALIZED);
}

static void
the_state_of_a_digest_is_checked(void **state)
{
	CK_MECHANISM sha = { CKM_SHA256, NULL, 0 };
	CK_ULONG n = 0, size;
	CK_BYTE saved[1024];

	(void)state;
	IS(C_GetOperationState(h, NULL, &n), CKR_OPERATION_NOT_INITIALIZED);
	IS(C_DigestInit(h, &sha), CKR_OK);
	IS(C_GetOperationState(h, saved, NULL), CKR_ARGUMENTS_BAD);
	IS(C_GetOperationState(h, NULL, &n), CKR_OK);
	assert_true(n > 0 && n < sizeof(saved));
	size = n;
	n--;
	IS(C_GetOperationState(h, saved, &n), CKR_BUFFER_TOO_SMALL);
	assert_int_equal(n, size);
	IS(C_GetOperationState(h, saved, &n), CKR_OK);
	IS(C_SetOperationState(h, NULL, n, 0, 0), CKR_ARGUMENTS_BAD);
	IS(C_SetOperationState(h, saved, n - 1, 0, 0), CKR_SAVED_STATE_INVALID);
	IS(C_SetOperationState(h, saved, n, 1, 0), CKR_KEY_NOT_NEEDED);
	IS(C_SetOperationState(h, saved, n, 0, 1), CKR_KEY_NOT_NEEDED);
	/* What was refused changed nothing: the digest goes on. */
	n = sizeof(out);
	IS(C_DigestFinal(h, out, &n), CKR_OK);
	assert_int_equal(n, 32);
	IS(C_SetOperationState(h, saved, size, 0, 0), CKR_OK);
	IS(C_DigestUpdate(h, NULL, 1), CKR_ARGUMENTS_BAD);
}

/* -- Objects that are there without a daemon -- */

static CK_OBJECT_HANDLE
find_profile(void)
{
	CK_OBJECT_CLASS profile = CKO_PROFILE;
	CK_ATTRIBUTE a = { CKA_CLASS, &profile, sizeof(profile) };
	CK_OBJECT_HANDLE found = 0;
	CK_ULONG n = 0;

	IS(C_FindObjectsInit(h, &a, 1), CKR_OK);
	IS(C_FindObjects(h, &found, 1, &n), CKR_OK);
	assert_int_equal(n, 1);
	return found;
}

static void
a_search_is_one_at_a_time_and_can_be_cancelled(void **state)
{
	CK_OBJECT_HANDLE found = find_profile();
	CK_ULONG n = 99;

	(void)state;
	IS(C_FindObjectsInit(h, NULL, 0), CKR_OPERATION_ACTIVE);
	IS(C_SessionCancel(h, CKF_SIGN), CKR_OK);
	IS(C_FindObjects(h, NULL, 1, &n), CKR_ARGUMENTS_BAD);
	IS(C_FindObjects(h, &found, 1, NULL), CKR_ARGUMENTS_BAD);
	IS(C_SessionCancel(h, CKF_FIND_OBJECTS), CKR_OK);
	IS(C_FindObjects(h, &found, 1, &n), CKR_OPERATION_NOT_INITIALIZED);
	IS(C_SessionCancel(h, CKF_FIND_OBJECTS), CKR_OK);
	assert_int_equal(n, 99);
}

/* -- Templates that make nothing, whoever would be asked -- */

static CK_OBJECT_CLASS secret = CKO_SECRET_KEY, public = CKO_PUBLIC_KEY;
static CK_OBJECT_CLASS private = CKO_PRIVATE_KEY, data_class = CKO_DATA;
static CK_OBJECT_CLASS certificate = CKO_CERTIFICATE;
static CK_KEY_TYPE aes = CKK_AES, rsa = CKK_RSA, des = CKK_DES3;
static CK_KEY_TYPE generic = CKK_GENERIC_SECRET;
static CK_BBOOL no = CK_FALSE;

#define NUMBER(type, value)                     \
	{                                       \
		(type), &(value), sizeof(value) \
	}

/* C_CreateObject with those attributes, ended by one of type -1. */
static CK_RV
create(const CK_ATTRIBUTE *t)
{
	CK_OBJECT_HANDLE made = 0;
	CK_ULONG n = 0;
	CK_RV rv;

	while (t[n].type != (CK_ULONG)-1)
		n++;
	rv = C_CreateObject(h, (CK_ATTRIBUTE *)(uintptr_t)t, n, &made);
	assert_int_equal(made, 0);
	return rv;
}

#define CREATE(...) \
	create((const CK_ATTRIBUTE[]){ __VA_ARGS__, { (CK_ULONG)-1, NULL, 0 } })

static void
an_object_is_described_in_full(void **state)
{
	CK_ULONG bits = 2048;
	static CK_BYTE long_label[257];

	(void)state;
	IS(CREATE(NUMBER(CKA_KEY_TYPE, aes)), CKR_TEMPLATE_INCOMPLETE);
	IS(CREATE(NUMBER(CKA_CLASS, secret)), CKR_TEMPLATE_INCOMPLETE);
	IS(CREATE(NUMBER(CKA_CLASS, secret), NUMBER(CKA_KEY_TYPE, aes)),
	    CKR_TEMPLATE_INCOMPLETE);
	IS(CREATE(NUMBER(CKA_CLASS, secret), { CKA_VALUE, data, 16 }),
	    CKR_TEMPLATE_INCOMPLETE);
	IS(CREATE(NUMBER(CKA_CLASS, private)), CKR_TEMPLATE_INCOMPLETE);
	IS(CREATE(NUMBER(CKA_CLASS, public)), CKR_TEMPLATE_INCOMPLETE);
	IS(CREATE(NUMBER(CKA_CLASS, certificate)), CKR_TEMPLATE_INCOMPLETE);
	/* 17 bytes are no AES key, and there is no 3DES. */
	IS(CREATE(NUMBER(CKA_CLASS, secret), NUMBER(CKA_KEY_TYPE, aes),
	       { CKA_VALUE, data, 17 }),
	    CKR_ATTRIBUTE_VALUE_INVALID);
	IS(CREATE(NUMBER(CKA_CLASS, secret), NUMBER(CKA_KEY_TYPE, des),
	       { CKA_VALUE, data, 24 }),
	    CKR_ATTRIBUTE_VALUE_INVALID);
	IS(CREATE(NUMBER(CKA_CLASS, private), NUMBER(CKA_KEY_TYPE, rsa),
	       NUMBER(CKA_MODULUS_BITS, bits)),
	    CKR_ATTRIBUTE_VALUE_INVALID);
	IS(CREATE(NUMBER(CKA_CLASS, data_class), NUMBER(CKA_KEY_TYPE, aes)),
	    CKR_ATTRIBUTE_VALUE_INVALID);
	IS(CREATE(NUMBER(CKA_CLASS, certificate), { CKA_VALUE, data, 5 }),
	    CKR_ATTRIBUTE_VALUE_INVALID);
	IS(CREATE(NUMBER(CKA_CLASS, secret),
	       { CKA_LABEL, long_label, sizeof(long_label) }),
	    CKR_ATTRIBUTE_VALUE_INVALID);
	IS(CREATE(NUMBER(CKA_CLASS, secret),
	       { CKA_ID, long_label, sizeof(long_label) }),
	    CKR_ATTRIBUTE_VALUE_INVALID);
	/* A key for nothing; a key that is more than keys are here. */
	IS(CREATE(NUMBER(CKA_CLASS, secret), NUMBER(CKA_ENCRYPT, no)),
	    CKR_TEMPLATE_INCONSISTENT);
	IS(CREATE(NUMBER(CKA_CLASS, secret), NUMBER(CKA_TRUSTED, yes)),
	    CKR_TEMPLATE_INCONSISTENT);
	IS(CREATE(
	       NUMBER(CKA_CLASS, secret), NUMBER(CKA_ALWAYS_AUTHENTICATE, yes)),
	    CKR_TEMPLATE_INCONSISTENT);
	IS(CREATE({ CKA_LABEL, NULL, 3 }), CKR_ATTRIBUTE_VALUE_INVALID);
}

static void
a_session_that_only_reads_makes_nothing_that_stays(void **state)
{
	CK_ATTRIBUTE t[] = { NUMBER(CKA_CLASS, secret), NUMBER(CKA_TOKEN, yes),
		NUMBER(CKA_KEY_TYPE, aes), { CKA_VALUE, data, 16 } };
	CK_SESSION_HANDLE reader;
	CK_OBJECT_HANDLE made;

	(void)state;
	IS(C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &reader), CKR_OK);
	IS(C_CreateObject(reader, t, 4, &made), CKR_SESSION_READ_ONLY);
	/* Where it may, there is a daemon to ask. */
	IS(C_CreateObject(h, t, 4, &made), CKR_DEVICE_ERROR);
}

static void
a_new_key_is_described_in_full(void **state)
{
	CK_MECHANISM gen = { CKM_AES_KEY_GEN, NULL, 0 };
	CK_MECHANISM sha = { CKM_SHA256, NULL, 0 };
	CK_MECHANISM any = { CKM_GENERIC_SECRET_KEY_GEN, NULL, 0 };
	CK_ULONG len = 32, odd = 17, less = 31;
	CK_ATTRIBUTE size = NUMBER(CKA_VALUE_LEN, len);
	CK_ATTRIBUTE wrong_size = NUMBER(CKA_VALUE_LEN, odd);
	CK_ATTRIBUTE wrong_class = NUMBER(CKA_CLASS, public);
	CK_ATTRIBUTE wrong_type[] = { NUMBER(CKA_KEY_TYPE, generic),
		NUMBER(CKA_VALUE_LEN, len) };
	CK_ATTRIBUTE small[] = { NUMBER(CKA_VALUE_LEN, less),
		NUMBER(CKA_TOKEN, yes) };
	CK_OBJECT_HANDLE made = 0;

	(void)state;
	IS(C_GenerateKey(h, NULL, &size, 1, &made), CKR_ARGUMENTS_BAD);
	IS(C_GenerateKey(h, &gen, &size, 1, NULL), CKR_ARGUMENTS_BAD);
	IS(C_GenerateKey(h, &gen, NULL, 1, &made), CKR_ARGUMENTS_BAD);
	IS(C_GenerateKey(h, &sha, &size, 1, &made), CKR_MECHANISM_INVALID);
	IS(C_GenerateKey(h, &gen, &wrong_class, 1, &made),
	    CKR_TEMPLATE_INCONSISTENT);
	IS(C_GenerateKey(h, &gen, &wrong_size, 1, &made), CKR_KEY_SIZE_RANGE);
	IS(C_GenerateKey(h, &gen, wrong_type, 2, &made),
	    CKR_TEMPLATE_INCONSISTENT);
	IS(C_GenerateKey(h, &any, small, 2, &made), CKR_KEY_SIZE_RANGE);
	assert_int_equal(made, 0);
}

static void
a_new_pair_is_described_in_full(void **state)
{
	CK_MECHANISM gen = { CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0 };
	CK_MECHANISM ec = { CKM_EC_KEY_PAIR_GEN, NULL, 0 };
	CK_MECHANISM sha = { CKM_SHA256, NULL, 0 };
	CK_ULONG bits = 2047;
	CK_ATTRIBUTE size = NUMBER(CKA_MODULUS_BITS, bits);
	CK_ATTRIBUTE curve = { CKA_EC_PARAMS, data, 10 };
	CK_ATTRIBUTE class = NUMBER(CKA_CLASS, secret);
	CK_OBJECT_HANDLE a = 0, b = 0;

	(void)state;
	IS(C_GenerateKeyPair(h, NULL, &size, 1, NULL, 0, &a, &b),
	    CKR_ARGUMENTS_BAD);
	IS(C_GenerateKeyPair(h, &gen, &size, 1, NULL, 0, NULL, &b),
	    CKR_ARGUMENTS_BAD);
	IS(C_GenerateKeyPair(h, &gen, &size, 1, NULL, 0, &a, NULL),
	    CKR_ARGUMENTS_BAD);
	IS(C_GenerateKeyPair(h, &sha, &size, 1, NULL, 0, &a, &b),
	    CKR_MECHANISM_INVALID);
	IS(C_GenerateKeyPair(h, &gen, NULL, 0, NULL, 0, &a, &b),
	    CKR_TEMPLATE_INCOMPLETE);
	IS(C_GenerateKeyPair(h, &ec, NULL, 0, NULL, 0, &a, &b),
	    CKR_TEMPLATE_INCOMPLETE);
	IS(C_GenerateKeyPair(h, &gen, &size, 1, NULL, 0, &a, &b),
	    CKR_KEY_SIZE_RANGE);
	IS(C_GenerateKeyPair(h, &ec, &curve, 1, NULL, 0, &a, &b),
	    CKR_CURVE_NOT_SUPPORTED);
	IS(C_GenerateKeyPair(h, &gen, &class, 1, NULL, 0, &a, &b),
	    CKR_TEMPLATE_INCONSISTENT);
	IS(C_GenerateKeyPair(h, &gen, &size, 1, &class, 1, &a, &b),
	    CKR_TEMPLATE_INCONSISTENT);
	assert_int_equal(a + b, 0);
}

static void
a_key_is_wrapped_by_what_wraps(void **state)
{
	CK_MECHANISM kwp = { CKM_AES_KEY_WRAP_KWP, NULL, 0 };
	CK_MECHANISM sha = { CKM_SHA256, NULL, 0 };
	CK_ATTRIBUTE t[] = { NUMBER(CKA_CLASS, secret),
		NUMBER(CKA_KEY_TYPE, aes) };
	CK_OBJECT_HANDLE made = 0;
	CK_ULONG n = sizeof(out);

	(void)state;
	IS(C_WrapKey(h, NULL, 1, 1, out, &n), CKR_ARGUMENTS_BAD);
	IS(C_WrapKey(h, &kwp, 1, 1, out, NULL), CKR_ARGUMENTS_BAD);
	IS(C_WrapKey(h, &sha, 1, 1, out, &n), CKR_MECHANISM_INVALID);
	IS(C_WrapKey(h, &kwp, 0, 1, out, &n), CKR_WRAPPING_KEY_HANDLE_INVALID);
	IS(C_UnwrapKey(h, NULL, 1, data, 24, t, 2, &made), CKR_ARGUMENTS_BAD);
	IS(C_UnwrapKey(h, &kwp, 1, data, 24, t, 2, NULL), CKR_ARGUMENTS_BAD);
	IS(C_UnwrapKey(h, &kwp, 1, NULL, 24, t, 2, &made), CKR_ARGUMENTS_BAD);
	IS(C_UnwrapKey(h, &sha, 1, data, 24, t, 2, &made),
	    CKR_MECHANISM_INVALID);
	IS(C_UnwrapKey(h, &kwp, 0, data, 24, t, 2, &made),
	    CKR_UNWRAPPING_KEY_HANDLE_INVALID);
	IS(C_DeriveKey(h, NULL, 1, t, 2, &made), CKR_ARGUMENTS_BAD);
	IS(C_DeriveKey(h, &sha, 1, t, 2, &made), CKR_MECHANISM_INVALID);
	assert_int_equal(made, 0);
	assert_int_equal(n, sizeof(out));
}

#define INITIALIZED(test) cmocka_unit_test_setup_teardown(test, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_function_works_before_the_beginning),
		INITIALIZED(what_it_does_not_do_it_says_to_everybody),
		INITIALIZED(messages_are_not_signed),
		INITIALIZED(no_function_takes_a_session_that_is_none),
		INITIALIZED(no_function_takes_a_slot_that_is_none),
		INITIALIZED(a_result_needs_a_place),
		INITIALIZED(a_list_tells_its_length_and_needs_room),
		INITIALIZED(nothing_goes_on_that_was_not_begun),
		INITIALIZED(a_key_that_is_none_begins_nothing),
		INITIALIZED(the_state_of_a_digest_is_checked),
		INITIALIZED(a_search_is_one_at_a_time_and_can_be_cancelled),
		INITIALIZED(an_object_is_described_in_full),
		INITIALIZED(a_session_that_only_reads_makes_nothing_that_stays),
		INITIALIZED(a_new_key_is_described_in_full),
		INITIALIZED(a_new_pair_is_described_in_full),
		INITIALIZED(a_key_is_wrapped_by_what_wraps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
