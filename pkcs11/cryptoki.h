/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PKCS11_CRYPTOKI_H
#define PKCS11_CRYPTOKI_H

/*
 * Cryptoki as this module speaks it. p11-kit's header has version 2.40; what
 * version 3.0 added stands here (OASIS PKCS #11 Cryptographic Token Interface
 * Base Specification Version 3.0, and Current Mechanisms Version 3.0). Names
 * that a newer p11-kit knows as well are left to it.
 */
#define CRYPTOKI_COMPAT 1
#pragma GCC visibility push(default)
#include <p11-kit/pkcs11.h>
#pragma GCC visibility pop

/* Macros of its compatibility mode that it leaves behind. */
#undef s_len
#undef iv_len
#undef iv_ptr
#undef iv_bits
#undef string_data
#undef string_data_len
#undef data_params
#undef source_data
#undef source_data_len
#undef tag_bits
#undef public_data
#undef public_data_len
#undef counter_bits
#undef shared_data
#undef shared_data_len
#undef hash_alg
#undef aad_ptr
#undef aad_len

/* clang-format off */

#ifndef CKO_PROFILE
#define CKO_PROFILE                 0x00000009UL
#endif

#ifndef CKA_UNIQUE_ID
#define CKA_UNIQUE_ID               0x00000004UL
#endif
#ifndef CKA_PROFILE_ID
#define CKA_PROFILE_ID              0x00000601UL
#endif
#ifndef CKA_ALLOWED_MECHANISMS
#define CKA_ALLOWED_MECHANISMS      (CKF_ARRAY_ATTRIBUTE | 0x00000600UL)
#endif
#ifndef CKA_WRAP_TEMPLATE
#define CKA_WRAP_TEMPLATE           (CKF_ARRAY_ATTRIBUTE | 0x00000211UL)
#define CKA_UNWRAP_TEMPLATE         (CKF_ARRAY_ATTRIBUTE | 0x00000212UL)
#endif
#ifndef CKA_DERIVE_TEMPLATE
#define CKA_DERIVE_TEMPLATE         (CKF_ARRAY_ATTRIBUTE | 0x00000213UL)
#endif
#ifndef CKA_PARAMETER_SET
#define CKA_PARAMETER_SET           0x0000061dUL /* 3.2 asks for it */
#endif
#ifndef CKA_X_DISTRUSTED
#define CKA_X_DISTRUSTED            0xd8444764UL /* p11-kit's */
#endif

#define CKP_BASELINE_PROVIDER       0x00000001UL
#define CKP_EXTENDED_PROVIDER       0x00000002UL
#define CKP_AUTHENTICATION_TOKEN    0x00000003UL
#define CKP_PUBLIC_CERTIFICATES_TOKEN 0x00000004UL

#ifndef CKK_EC_MONTGOMERY
#define CKK_EC_MONTGOMERY           0x00000041UL
#endif
#ifndef CKK_HKDF
#define CKK_HKDF                    0x00000042UL
#endif

#ifndef CKM_SHA512_224
#define CKM_SHA512_224              0x00000048UL
#define CKM_SHA512_256              0x0000004cUL
#endif
#ifndef CKM_SHA3_256
#define CKM_SHA3_256_RSA_PKCS       0x00000060UL
#define CKM_SHA3_384_RSA_PKCS       0x00000061UL
#define CKM_SHA3_512_RSA_PKCS       0x00000062UL
#define CKM_SHA3_256_RSA_PKCS_PSS   0x00000063UL
#define CKM_SHA3_384_RSA_PKCS_PSS   0x00000064UL
#define CKM_SHA3_512_RSA_PKCS_PSS   0x00000065UL
#define CKM_SHA3_224_RSA_PKCS       0x00000066UL
#define CKM_SHA3_224_RSA_PKCS_PSS   0x00000067UL
#define CKM_SHA3_256                0x000002b0UL
#define CKM_SHA3_256_HMAC           0x000002b1UL
#define CKM_SHA3_256_HMAC_GENERAL   0x000002b2UL
#define CKM_SHA3_224                0x000002b5UL
#define CKM_SHA3_224_HMAC           0x000002b6UL
#define CKM_SHA3_224_HMAC_GENERAL   0x000002b7UL
#define CKM_SHA3_384                0x000002c0UL
#define CKM_SHA3_384_HMAC           0x000002c1UL
#define CKM_SHA3_384_HMAC_GENERAL   0x000002c2UL
#define CKM_SHA3_512                0x000002d0UL
#define CKM_SHA3_512_HMAC           0x000002d1UL
#define CKM_SHA3_512_HMAC_GENERAL   0x000002d2UL
#define CKM_ECDSA_SHA3_224          0x00001047UL
#define CKM_ECDSA_SHA3_256          0x00001048UL
#define CKM_ECDSA_SHA3_384          0x00001049UL
#define CKM_ECDSA_SHA3_512          0x0000104aUL
#define CKG_MGF1_SHA3_224           0x00000006UL
#define CKG_MGF1_SHA3_256           0x00000007UL
#define CKG_MGF1_SHA3_384           0x00000008UL
#define CKG_MGF1_SHA3_512           0x00000009UL
#endif
#ifndef CKM_AES_KEY_WRAP_KWP
#define CKM_AES_KEY_WRAP_KWP        0x0000210bUL
#endif
#ifndef CKM_HKDF_DERIVE
#define CKM_HKDF_DERIVE             0x0000402aUL
#define CKM_HKDF_DATA               0x0000402bUL
#define CKM_HKDF_KEY_GEN            0x0000402cUL
#endif

#define CKF_MESSAGE_ENCRYPT         (1UL << 1)
#define CKF_MESSAGE_DECRYPT         (1UL << 2)
#define CKF_MESSAGE_SIGN            (1UL << 3)
#define CKF_MESSAGE_VERIFY          (1UL << 4)
#define CKF_MULTI_MESSAGE           (1UL << 5)
#define CKF_FIND_OBJECTS            (1UL << 6)
#define CKF_END_OF_MESSAGE          (1UL << 0)
#define CKF_INTERFACE_FORK_SAFE     (1UL << 0)

#define CKG_NO_GENERATE             0x00000000UL
#define CKG_GENERATE                0x00000001UL
#define CKG_GENERATE_COUNTER        0x00000002UL
#define CKG_GENERATE_RANDOM         0x00000003UL
#define CKG_GENERATE_COUNTER_XOR    0x00000004UL

#define CKF_HKDF_SALT_NULL          0x00000001UL
#define CKF_HKDF_SALT_DATA          0x00000002UL
#define CKF_HKDF_SALT_KEY           0x00000004UL

#ifndef CKR_AEAD_DECRYPT_FAILED
#define CKR_AEAD_DECRYPT_FAILED     0x00000042UL
#endif
#ifndef CKR_OPERATION_CANCEL_FAILED
#define CKR_OPERATION_CANCEL_FAILED 0x00000202UL
#endif

/* clang-format on */

typedef CK_ULONG CK_GENERATOR_FUNCTION;

typedef struct CK_GCM_MESSAGE_PARAMS {
	CK_BYTE_PTR pIv;
	CK_ULONG ulIvLen;
	CK_ULONG ulIvFixedBits;
	CK_GENERATOR_FUNCTION ivGenerator;
	CK_BYTE_PTR pTag;
	CK_ULONG ulTagBits;
} CK_GCM_MESSAGE_PARAMS;

typedef struct CK_EDDSA_PARAMS {
	CK_BBOOL phFlag;
	CK_ULONG ulContextDataLen;
	CK_BYTE_PTR pContextData;
} CK_EDDSA_PARAMS;

typedef struct CK_HKDF_PARAMS {
	CK_BBOOL bExtract;
	CK_BBOOL bExpand;
	CK_MECHANISM_TYPE prfHashMechanism;
	CK_ULONG ulSaltType;
	CK_BYTE_PTR pSalt;
	CK_ULONG ulSaltLen;
	CK_OBJECT_HANDLE hSaltKey;
	CK_BYTE_PTR pInfo;
	CK_ULONG ulInfoLen;
} CK_HKDF_PARAMS;

typedef struct CK_RSA_AES_KEY_WRAP_PARAMS {
	CK_ULONG ulAESKeyBits;
	CK_RSA_PKCS_OAEP_PARAMS *pOAEPParams;
} CK_RSA_AES_KEY_WRAP_PARAMS;

typedef struct CK_INTERFACE {
	CK_UTF8CHAR *pInterfaceName;
	CK_VOID_PTR pFunctionList;
	CK_FLAGS flags;
} CK_INTERFACE;
typedef CK_INTERFACE *CK_INTERFACE_PTR;
typedef CK_INTERFACE_PTR *CK_INTERFACE_PTR_PTR;

/* clang-format off */

/*
 * The functions that 3.0 adds, in the order of its function list:
 * CK_FUNCTION_3_0(name, parameters).
 */
#define CK_FUNCTIONS_3_0(F)                                                    \
	F(C_GetInterfaceList, (CK_INTERFACE_PTR list, CK_ULONG_PTR count))     \
	F(C_GetInterface, (CK_UTF8CHAR_PTR name, CK_VERSION_PTR version,       \
	    CK_INTERFACE_PTR_PTR interface, CK_FLAGS flags))                   \
	F(C_LoginUser, (CK_SESSION_HANDLE h, CK_USER_TYPE user,                \
	    CK_UTF8CHAR_PTR pin, CK_ULONG pin_len, CK_UTF8CHAR_PTR name,       \
	    CK_ULONG name_len))                                                \
	F(C_SessionCancel, (CK_SESSION_HANDLE h, CK_FLAGS flags))              \
	F(C_MessageEncryptInit, (CK_SESSION_HANDLE h, CK_MECHANISM_PTR mech,   \
	    CK_OBJECT_HANDLE key))                                             \
	F(C_EncryptMessage, (CK_SESSION_HANDLE h, CK_VOID_PTR param,           \
	    CK_ULONG param_len, CK_BYTE_PTR aad, CK_ULONG aad_len,             \
	    CK_BYTE_PTR in, CK_ULONG in_len, CK_BYTE_PTR out,                  \
	    CK_ULONG_PTR out_len))                                             \
	F(C_EncryptMessageBegin, (CK_SESSION_HANDLE h, CK_VOID_PTR param,      \
	    CK_ULONG param_len, CK_BYTE_PTR aad, CK_ULONG aad_len))            \
	F(C_EncryptMessageNext, (CK_SESSION_HANDLE h, CK_VOID_PTR param,       \
	    CK_ULONG param_len, CK_BYTE_PTR in, CK_ULONG in_len,               \
	    CK_BYTE_PTR out, CK_ULONG_PTR out_len, CK_FLAGS flags))            \
	F(C_MessageEncryptFinal, (CK_SESSION_HANDLE h))                        \
	F(C_MessageDecryptInit, (CK_SESSION_HANDLE h, CK_MECHANISM_PTR mech,   \
	    CK_OBJECT_HANDLE key))                                             \
	F(C_DecryptMessage, (CK_SESSION_HANDLE h, CK_VOID_PTR param,           \
	    CK_ULONG param_len, CK_BYTE_PTR aad, CK_ULONG aad_len,             \
	    CK_BYTE_PTR in, CK_ULONG in_len, CK_BYTE_PTR out,                  \
	    CK_ULONG_PTR out_len))                                             \
	F(C_DecryptMessageBegin, (CK_SESSION_HANDLE h, CK_VOID_PTR param,      \
	    CK_ULONG param_len, CK_BYTE_PTR aad, CK_ULONG aad_len))            \
	F(C_DecryptMessageNext, (CK_SESSION_HANDLE h, CK_VOID_PTR param,       \
	    CK_ULONG param_len, CK_BYTE_PTR in, CK_ULONG in_len,               \
	    CK_BYTE_PTR out, CK_ULONG_PTR out_len, CK_FLAGS flags))            \
	F(C_MessageDecryptFinal, (CK_SESSION_HANDLE h))                        \
	F(C_MessageSignInit, (CK_SESSION_HANDLE h, CK_MECHANISM_PTR mech,      \
	    CK_OBJECT_HANDLE key))                                             \
	F(C_SignMessage, (CK_SESSION_HANDLE h, CK_VOID_PTR param,              \
	    CK_ULONG param_len, CK_BYTE_PTR in, CK_ULONG in_len,               \
	    CK_BYTE_PTR out, CK_ULONG_PTR out_len))                            \
	F(C_SignMessageBegin, (CK_SESSION_HANDLE h, CK_VOID_PTR param,         \
	    CK_ULONG param_len))                                               \
	F(C_SignMessageNext, (CK_SESSION_HANDLE h, CK_VOID_PTR param,          \
	    CK_ULONG param_len, CK_BYTE_PTR in, CK_ULONG in_len,               \
	    CK_BYTE_PTR out, CK_ULONG_PTR out_len))                            \
	F(C_MessageSignFinal, (CK_SESSION_HANDLE h))                           \
	F(C_MessageVerifyInit, (CK_SESSION_HANDLE h, CK_MECHANISM_PTR mech,    \
	    CK_OBJECT_HANDLE key))                                             \
	F(C_VerifyMessage, (CK_SESSION_HANDLE h, CK_VOID_PTR param,            \
	    CK_ULONG param_len, CK_BYTE_PTR in, CK_ULONG in_len,               \
	    CK_BYTE_PTR sig, CK_ULONG sig_len))                                \
	F(C_VerifyMessageBegin, (CK_SESSION_HANDLE h, CK_VOID_PTR param,       \
	    CK_ULONG param_len))                                               \
	F(C_VerifyMessageNext, (CK_SESSION_HANDLE h, CK_VOID_PTR param,        \
	    CK_ULONG param_len, CK_BYTE_PTR in, CK_ULONG in_len,               \
	    CK_BYTE_PTR sig, CK_ULONG sig_len))                                \
	F(C_MessageVerifyFinal, (CK_SESSION_HANDLE h))

#pragma GCC visibility push(default)
#define CK_DECLARE_3_0(name, args)                                             \
	typedef CK_RV(*CK_##name) args;                                        \
	CK_RV name args;
CK_FUNCTIONS_3_0(CK_DECLARE_3_0)
#undef CK_DECLARE_3_0
#pragma GCC visibility pop

/* The functions of 2.40, in the order of its function list. */
#define CK_FUNCTIONS_2_40(F)                                                   \
	F(C_Initialize) F(C_Finalize) F(C_GetInfo) F(C_GetFunctionList)        \
	F(C_GetSlotList) F(C_GetSlotInfo) F(C_GetTokenInfo)                    \
	F(C_GetMechanismList) F(C_GetMechanismInfo) F(C_InitToken)             \
	F(C_InitPIN) F(C_SetPIN) F(C_OpenSession) F(C_CloseSession)            \
	F(C_CloseAllSessions) F(C_GetSessionInfo) F(C_GetOperationState)       \
	F(C_SetOperationState) F(C_Login) F(C_Logout) F(C_CreateObject)        \
	F(C_CopyObject) F(C_DestroyObject) F(C_GetObjectSize)                  \
	F(C_GetAttributeValue) F(C_SetAttributeValue) F(C_FindObjectsInit)     \
	F(C_FindObjects) F(C_FindObjectsFinal) F(C_EncryptInit) F(C_Encrypt)   \
	F(C_EncryptUpdate) F(C_EncryptFinal) F(C_DecryptInit) F(C_Decrypt)     \
	F(C_DecryptUpdate) F(C_DecryptFinal) F(C_DigestInit) F(C_Digest)       \
	F(C_DigestUpdate) F(C_DigestKey) F(C_DigestFinal) F(C_SignInit)        \
	F(C_Sign) F(C_SignUpdate) F(C_SignFinal) F(C_SignRecoverInit)          \
	F(C_SignRecover) F(C_VerifyInit) F(C_Verify) F(C_VerifyUpdate)         \
	F(C_VerifyFinal) F(C_VerifyRecoverInit) F(C_VerifyRecover)             \
	F(C_DigestEncryptUpdate) F(C_DecryptDigestUpdate)                      \
	F(C_SignEncryptUpdate) F(C_DecryptVerifyUpdate) F(C_GenerateKey)       \
	F(C_GenerateKeyPair) F(C_WrapKey) F(C_UnwrapKey) F(C_DeriveKey)        \
	F(C_SeedRandom) F(C_GenerateRandom) F(C_GetFunctionStatus)             \
	F(C_CancelFunction) F(C_WaitForSlotEvent)

/* clang-format on */

/* Begins like CK_FUNCTION_LIST, so that one table serves both. */
typedef struct CK_FUNCTION_LIST_3_0 {
	CK_VERSION version;
#define CK_MEMBER_2_40(name) CK_##name name;
#define CK_MEMBER_3_0(name, args) CK_##name name;
	CK_FUNCTIONS_2_40(CK_MEMBER_2_40) CK_FUNCTIONS_3_0(CK_MEMBER_3_0)
#undef CK_MEMBER_2_40
#undef CK_MEMBER_3_0
} CK_FUNCTION_LIST_3_0;

#endif
