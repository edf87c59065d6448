/* SPDX-License-Identifier: Apache-2.0 */
/* Messages, which came with PKCS#11 3.0: of AES-GCM; none are signed. */
#include "crypt.h"
#include "cryptoki.h"
#include "entry.h"
#include "operation.h"

CK_RV
C_MessageEncryptInit(
    CK_SESSION_HANDLE h, CK_MECHANISM_PTR mech, CK_OBJECT_HANDLE key)
{
	WITH_SESSION(
	    h, operation_begin(session, KIND_MESSAGE_ENCRYPT, mech, key));
}

CK_RV
C_EncryptMessage(CK_SESSION_HANDLE h, CK_VOID_PTR param, CK_ULONG param_len,
    CK_BYTE_PTR aad, CK_ULONG aad_len, CK_BYTE_PTR in, CK_ULONG len,
    CK_BYTE_PTR out, CK_ULONG_PTR out_len)
{
	struct message m = { param, param_len, aad, aad_len };

	WITH_SESSION(h,
	    crypt_message(
		session, KIND_MESSAGE_ENCRYPT, &m, in, len, out, out_len));
}

CK_RV
C_EncryptMessageBegin(CK_SESSION_HANDLE h, CK_VOID_PTR param,
    CK_ULONG param_len, CK_BYTE_PTR aad, CK_ULONG aad_len)
{
	struct message m = { param, param_len, aad, aad_len };

	WITH_SESSION(h, crypt_message_begin(session, KIND_MESSAGE_ENCRYPT, &m));
}

CK_RV
C_EncryptMessageNext(CK_SESSION_HANDLE h, CK_VOID_PTR param, CK_ULONG param_len,
    CK_BYTE_PTR in, CK_ULONG len, CK_BYTE_PTR out, CK_ULONG_PTR out_len,
    CK_FLAGS flags)
{
	struct message m = { param, param_len, NULL, 0 };

	WITH_SESSION(h,
	    crypt_message_next(session, KIND_MESSAGE_ENCRYPT, &m, in, len, out,
		out_len, flags));
}

static CK_RV
message_final(struct session *session, enum kind kind)
{
	struct operation *op;
	CK_RV rv = operation_get(session, kind, &op);

	if (rv == CKR_OK)
		operation_end(op);
	return rv;
}

CK_RV
C_MessageEncryptFinal(CK_SESSION_HANDLE h)
{
	WITH_SESSION(h, message_final(session, KIND_MESSAGE_ENCRYPT));
}

CK_RV
C_MessageDecryptInit(
    CK_SESSION_HANDLE h, CK_MECHANISM_PTR mech, CK_OBJECT_HANDLE key)
{
	WITH_SESSION(
	    h, operation_begin(session, KIND_MESSAGE_DECRYPT, mech, key));
}

CK_RV
C_DecryptMessage(CK_SESSION_HANDLE h, CK_VOID_PTR param, CK_ULONG param_len,
    CK_BYTE_PTR aad, CK_ULONG aad_len, CK_BYTE_PTR in, CK_ULONG len,
    CK_BYTE_PTR out, CK_ULONG_PTR out_len)
{
	struct message m = { param, param_len, aad, aad_len };

	WITH_SESSION(h,
	    crypt_message(
		session, KIND_MESSAGE_DECRYPT, &m, in, len, out, out_len));
}

CK_RV
C_DecryptMessageBegin(CK_SESSION_HANDLE h, CK_VOID_PTR param,
    CK_ULONG param_len, CK_BYTE_PTR aad, CK_ULONG aad_len)
{
	struct message m = { param, param_len, aad, aad_len };

	WITH_SESSION(h, crypt_message_begin(session, KIND_MESSAGE_DECRYPT, &m));
}

CK_RV
C_DecryptMessageNext(CK_SESSION_HANDLE h, CK_VOID_PTR param, CK_ULONG param_len,
    CK_BYTE_PTR in, CK_ULONG len, CK_BYTE_PTR out, CK_ULONG_PTR out_len,
    CK_FLAGS flags)
{
	struct message m = { param, param_len, NULL, 0 };

	WITH_SESSION(h,
	    crypt_message_next(session, KIND_MESSAGE_DECRYPT, &m, in, len, out,
		out_len, flags));
}

CK_RV
C_MessageDecryptFinal(CK_SESSION_HANDLE h)
{
	WITH_SESSION(h, message_final(session, KIND_MESSAGE_DECRYPT));
}

/* Signing messages one by one: no mechanism here has CKF_MESSAGE_SIGN. */
CK_RV
C_MessageSignInit(
    CK_SESSION_HANDLE h, CK_MECHANISM_PTR mech, CK_OBJECT_HANDLE key)
{
	(void)mech;
	(void)key;
	WITH_SESSION(h, ((void)session, CKR_MECHANISM_INVALID));
}

CK_RV
C_SignMessage(CK_SESSION_HANDLE h, CK_VOID_PTR param, CK_ULONG param_len,
    CK_BYTE_PTR in, CK_ULONG len, CK_BYTE_PTR out, CK_ULONG_PTR out_len)
{
	(void)param;
	(void)param_len;
	(void)in;
	(void)len;
	(void)out;
	(void)out_len;
	WITH_SESSION(h, ((void)session, CKR_OPERATION_NOT_INITIALIZED));
}

CK_RV
C_SignMessageBegin(CK_SESSION_HANDLE h, CK_VOID_PTR param, CK_ULONG param_len)
{
	(void)param;
	(void)param_len;
	WITH_SESSION(h, ((void)session, CKR_OPERATION_NOT_INITIALIZED));
}

CK_RV
C_SignMessageNext(CK_SESSION_HANDLE h, CK_VOID_PTR param, CK_ULONG param_len,
    CK_BYTE_PTR in, CK_ULONG len, CK_BYTE_PTR out, CK_ULONG_PTR out_len)
{
	(void)param;
	(void)param_len;
	(void)in;
	(void)len;
	(void)out;
	(void)out_len;
	WITH_SESSION(h, ((void)session, CKR_OPERATION_NOT_INITIALIZED));
}

CK_RV
C_MessageSignFinal(CK_SESSION_HANDLE h)
{
	WITH_SESSION(h, ((void)session, CKR_OPERATION_NOT_INITIALIZED));
}

CK_RV
C_MessageVerifyInit(
    CK_SESSION_HANDLE h, CK_MECHANISM_PTR mech, CK_OBJECT_HANDLE key)
{
	(void)mech;
	(void)key;
	WITH_SESSION(h, ((void)session, CKR_MECHANISM_INVALID));
}

CK_RV
C_VerifyMessage(CK_SESSION_HANDLE h, CK_VOID_PTR param, CK_ULONG param_len,
    CK_BYTE_PTR in, CK_ULONG len, CK_BYTE_PTR sig, CK_ULONG sig_len)
{
	(void)param;
	(void)param_len;
	(void)in;
	(void)len;
	(void)sig;
	(void)sig_len;
	WITH_SESSION(h, ((void)session, CKR_OPERATION_NOT_INITIALIZED));
}

CK_RV
C_VerifyMessageBegin(CK_SESSION_HANDLE h, CK_VOID_PTR param, CK_ULONG param_len)
{
	(void)param;
	(void)param_len;
	WITH_SESSION(h, ((void)session, CKR_OPERATION_NOT_INITIALIZED));
}

CK_RV
C_VerifyMessageNext(CK_SESSION_HANDLE h, CK_VOID_PTR param, CK_ULONG param_len,
    CK_BYTE_PTR in, CK_ULONG len, CK_BYTE_PTR sig, CK_ULONG sig_len)
{
	(void)param;
	(void)param_len;
	(void)in;
	(void)len;
	(void)sig;
	(void)sig_len;
	WITH_SESSION(h, ((void)session, CKR_OPERATION_NOT_INITIALIZED));
}

CK_RV
C_MessageVerifyFinal(CK_SESSION_HANDLE h)
{
	WITH_SESSION(h, ((void)session, CKR_OPERATION_NOT_INITIALIZED));
}
