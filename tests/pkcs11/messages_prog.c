/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What PKCS#11 3.0 adds: its interface, messages with AES-GCM, cancelling.
 *	messages_prog MODULE LABEL
 * LABEL is of an AES key that encrypts and decrypts. Status 0: all is right;
 * else the line that was not is on stderr.
 */
#include <dlfcn.h>
#include <err.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "check.h"

enum { NONCE = 12, TAG = 16 };

static CK_FUNCTION_LIST_3_0 *p11;
static CK_SESSION_HANDLE h;
static CK_OBJECT_HANDLE key;
static CK_BYTE text[] = "a message of some length", aad[] = "about it";

static CK_MECHANISM gcm = { CKM_AES_GCM, NULL, 0 };

struct message {
	CK_BYTE nonce[NONCE], tag[TAG], data[64];
	CK_ULONG len;
	CK_GCM_MESSAGE_PARAMS p;
};

static struct message
message(CK_GENERATOR_FUNCTION generator)
{
	return (struct message){ .nonce = { 1, 2, 3 },
		.len = 64,
		.p = { .ulIvLen = NONCE,
		    .ivGenerator = generator,
		    .ulTagBits = 8 * TAG } };
}

/* The pointers are into the message itself, which may have been copied. */
static CK_GCM_MESSAGE_PARAMS *
params(struct message *m)
{
	m->p.pIv = m->nonce;
	m->p.pTag = m->tag;
	return &m->p;
}

static CK_RV
seal(struct message *m)
{
	return p11->C_EncryptMessage(h, params(m), sizeof(m->p), aad,
	    sizeof(aad), text, sizeof(text), m->data, &m->len);
}

static CK_RV
open_message(struct message *m, CK_BYTE *out, CK_ULONG *len)
{
	return p11->C_DecryptMessage(h, params(m), sizeof(m->p), aad,
	    sizeof(aad), m->data, m->len, out, len);
}

/* The same as the old interface gives, tag apart. */
static void
one_message(void)
{
	struct message m = message(CKG_NO_GENERATE);
	CK_GCM_PARAMS old = { .pIv = m.nonce,
		.ulIvLen = NONCE,
		.ulIvBits = 8 * NONCE,
		.pAAD = aad,
		.ulAADLen = sizeof(aad),
		.ulTagBits = 8 * TAG };
	CK_MECHANISM whole = { CKM_AES_GCM, &old, sizeof(old) };
	CK_BYTE want[128];
	CK_ULONG want_len = sizeof(want), asked = 0;

	OK(p11->C_EncryptInit(h, &whole, key));
	OK(p11->C_Encrypt(h, text, sizeof(text), want, &want_len));
	OK(p11->C_MessageEncryptInit(h, &gcm, key));
	IS(p11->C_MessageEncryptInit(h, &gcm, key), CKR_OPERATION_ACTIVE);
	OK(p11->C_EncryptMessage(h, params(&m), sizeof(m.p), aad, sizeof(aad),
	    text, sizeof(text), NULL, &asked));
	TRUE_(asked == sizeof(text));
	OK(seal(&m));
	TRUE_(m.len == sizeof(text) && want_len == m.len + TAG);
	TRUE_(memcmp(m.data, want, m.len) == 0);
	TRUE_(memcmp(m.tag, want + m.len, TAG) == 0);
	OK(p11->C_MessageEncryptFinal(h));
	IS(p11->C_MessageEncryptFinal(h), CKR_OPERATION_NOT_INITIALIZED);
}

/* Nonces of the service's; several messages in one operation. */
static void
drawn_nonces(void)
{
	struct message a = message(CKG_GENERATE_RANDOM);
	struct message b = message(CKG_GENERATE);
	CK_BYTE out[64];
	CK_ULONG len = sizeof(out);

	OK(p11->C_MessageEncryptInit(h, &gcm, key));
	OK(seal(&a));
	OK(seal(&b));
	OK(p11->C_MessageEncryptFinal(h));
	TRUE_(memcmp(a.nonce, b.nonce, NONCE) != 0);
	TRUE_(memcmp(a.data, b.data, a.len) != 0);
	OK(p11->C_MessageDecryptInit(h, &gcm, key));
	OK(open_message(&a, out, &len));
	TRUE_(len == sizeof(text) && memcmp(out, text, len) == 0);
	b.tag[3] ^= 1;
	len = sizeof(out);
	IS(open_message(&b, out, &len), CKR_AEAD_DECRYPT_FAILED);
	b.tag[3] ^= 1; /* a wrong message ends itself, not the others */
	len = sizeof(out);
	OK(open_message(&b, out, &len));
	b.nonce[0] ^= 1;
	len = sizeof(out);
	IS(open_message(&b, out, &len), CKR_AEAD_DECRYPT_FAILED);
	OK(p11->C_MessageDecryptFinal(h));
}

static void
in_parts(void)
{
	struct message m = message(CKG_NO_GENERATE);
	struct message want = message(CKG_NO_GENERATE);
	CK_BYTE out[64];
	CK_ULONG none = sizeof(m.data), len = sizeof(out);

	OK(p11->C_MessageEncryptInit(h, &gcm, key));
	OK(seal(&want));
	OK(p11->C_EncryptMessageBegin(
	    h, params(&m), sizeof(m.p), aad, sizeof(aad)));
	IS(seal(&want), CKR_OPERATION_ACTIVE);
	OK(p11->C_EncryptMessageNext(
	    h, params(&m), sizeof(m.p), text, 5, m.data, &none, 0));
	m.len = sizeof(m.data) - none;
	OK(p11->C_EncryptMessageNext(h, params(&m), sizeof(m.p), text + 5,
	    sizeof(text) - 5, m.data + none, &m.len, CKF_END_OF_MESSAGE));
	m.len += none;
	OK(p11->C_MessageEncryptFinal(h));
	TRUE_(m.len == want.len && memcmp(m.data, want.data, m.len) == 0);
	TRUE_(memcmp(m.tag, want.tag, TAG) == 0);
	OK(p11->C_MessageDecryptInit(h, &gcm, key));
	OK(p11->C_DecryptMessageBegin(
	    h, params(&m), sizeof(m.p), aad, sizeof(aad)));
	OK(p11->C_DecryptMessageNext(h, params(&m), sizeof(m.p), m.data, m.len,
	    out, &len, CKF_END_OF_MESSAGE));
	TRUE_(len == sizeof(text) && memcmp(out, text, len) == 0);
	OK(p11->C_MessageDecryptFinal(h));
}

/* What nobody keeps state for, or is no parameter. */
static void
refused(void)
{
	static const CK_GENERATOR_FUNCTION others[] = { CKG_GENERATE_COUNTER,
		CKG_GENERATE_COUNTER_XOR, 17 };
	CK_MECHANISM sign = { CKM_SHA256_HMAC, NULL, 0 };
	struct message m;

	IS(p11->C_MessageSignInit(h, &sign, key), CKR_MECHANISM_INVALID);
	OK(p11->C_MessageEncryptInit(h, &gcm, key));
	for (unsigned i = 0; i < 3; i++) {
		m = message(others[i]);
		IS(seal(&m), CKR_MECHANISM_PARAM_INVALID);
	}
	m = message(CKG_GENERATE);
	m.p.ulIvFixedBits = 32;
	IS(seal(&m), CKR_MECHANISM_PARAM_INVALID);
	m = message(CKG_NO_GENERATE);
	m.p.ulTagBits = 0;
	IS(seal(&m), CKR_MECHANISM_PARAM_INVALID);
	m = message(CKG_NO_GENERATE);
	IS(p11->C_EncryptMessage(
	       h, params(&m), 7, aad, 0, text, 1, m.data, &m.len),
	    CKR_MECHANISM_PARAM_INVALID);
	IS(p11->C_EncryptMessage(h, NULL, 0, aad, 0, text, 1, m.data, &m.len),
	    CKR_MECHANISM_PARAM_INVALID);
	m = message(CKG_NO_GENERATE);
	OK(seal(&m)); /* none of it ended the operation */
	OK(p11->C_MessageEncryptFinal(h));
}

static void
cancelling(void)
{
	CK_MECHANISM digest = { CKM_SHA256, NULL, 0 };
	struct message m = message(CKG_NO_GENERATE);

	OK(p11->C_MessageEncryptInit(h, &gcm, key));
	OK(p11->C_DigestInit(h, &digest));
	IS(p11->C_DigestInit(h, &digest), CKR_OPERATION_ACTIVE);
	OK(p11->C_SessionCancel(h, CKF_MESSAGE_ENCRYPT | CKF_DIGEST));
	IS(seal(&m), CKR_OPERATION_NOT_INITIALIZED);
	OK(p11->C_DigestInit(h, &digest));
	OK(p11->C_DigestInit(h, NULL)); /* 3.0, 5.2: the same */
	OK(p11->C_DigestInit(h, &digest));
	OK(p11->C_SessionCancel(h, CKF_DIGEST));
	OK(p11->C_SessionCancel(h, CKF_DIGEST));
}

static void
load(const char *path)
{
	CK_VERSION three = { 3, 0 };
	CK_UTF8CHAR name[] = "PKCS 11";
	CK_INTERFACE *interface;
	CK_C_GetInterface get;
	void *module = dlopen(path, RTLD_NOW);

	if (module == NULL)
		errx(1, "%s", dlerror());
	*(void **)&get = dlsym(module, "C_GetInterface");
	if (get == NULL || get(name, &three, &interface, 0) != CKR_OK)
		errx(1, "C_GetInterface");
	p11 = interface->pFunctionList;
	TRUE_(p11->version.major == 3 && p11->version.minor == 0);
	TRUE_((interface->flags & CKF_INTERFACE_FORK_SAFE) != 0);
}

int
main(int argc, char **argv)
{
	CK_ATTRIBUTE a = { CKA_LABEL, NULL, 0 };
	CK_ULONG n = 0;

	if (argc != 3)
		errx(2, "usage: messages_prog MODULE LABEL");
	load(argv[1]);
	OK(p11->C_Initialize(NULL));
	OK(p11->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &h));
	OK(p11->C_LoginUser(h, CKU_USER, (CK_UTF8CHAR *)argv[2], 1,
	    (CK_UTF8CHAR *)argv[2], 1)); /* no login: any will do */
	a.pValue = argv[2];
	a.ulValueLen = strlen(argv[2]);
	OK(p11->C_FindObjectsInit(h, &a, 1));
	OK(p11->C_FindObjects(h, &key, 1, &n));
	OK(p11->C_FindObjectsFinal(h));
	TRUE_(n == 1);
	one_message();
	drawn_nonces();
	in_parts();
	refused();
	cancelling();
	OK(p11->C_Finalize(NULL));
	(void)printf("%u checks\n", checks);
	return 0;
}
