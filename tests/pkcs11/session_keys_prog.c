/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Session keys, derivation, wrapping and what is refused of it, by a program
 * that says more than pkcs11-tool can.
 *	session_keys_prog MODULE
 * The token must hold nothing that is called "sk-...". Status 0: all is right;
 * else the line that was not is on stderr.
 */
#include <dlfcn.h>
#include <err.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

static CK_FUNCTION_LIST *p11;
static CK_SESSION_HANDLE h;
static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define TEXT_ATTRIBUTE(type, text)                                \
	{                                                         \
		type, (void *)(uintptr_t)(text), sizeof(text) - 1 \
	}

static CK_OBJECT_CLASS secret = CKO_SECRET_KEY;
static CK_KEY_TYPE generic = CKK_GENERIC_SECRET, aes = CKK_AES;
static CK_ULONG n16 = 16, n32 = 32;

static CK_RV
value_of(CK_OBJECT_HANDLE key, CK_BYTE *out, CK_ULONG *len)
{
	CK_ATTRIBUTE a = { CKA_VALUE, out, *len };
	CK_RV rv = p11->C_GetAttributeValue(h, key, &a, 1);

	*len = a.ulValueLen;
	return rv;
}

static bool
flag_of(CK_OBJECT_HANDLE key, CK_ATTRIBUTE_TYPE type)
{
	CK_BBOOL flag = 2;
	CK_ATTRIBUTE a = { type, &flag, sizeof(flag) };

	OK(p11->C_GetAttributeValue(h, key, &a, 1));
	return flag == CK_TRUE;
}

static CK_ULONG
found(CK_ATTRIBUTE *template, CK_ULONG count)
{
	CK_OBJECT_HANDLE some[16];
	CK_ULONG n = 0;

	OK(p11->C_FindObjectsInit(h, template, count));
	OK(p11->C_FindObjects(h, some, COUNT(some), &n));
	OK(p11->C_FindObjectsFinal(h));
	return n;
}

static CK_RV
generate(CK_MECHANISM_TYPE type, CK_ATTRIBUTE *t, CK_ULONG count,
    CK_OBJECT_HANDLE *out)
{
	CK_MECHANISM m = { type, NULL, 0 };

	return p11->C_GenerateKey(h, &m, t, count, out);
}

static void
mac_twice(CK_MECHANISM_TYPE type, CK_OBJECT_HANDLE key)
{
	CK_MECHANISM m = { type, NULL, 0 };
	CK_BYTE data[] = "data", out[64];
	CK_ULONG len = sizeof(out), asked = 0;

	OK(p11->C_SignInit(h, &m, key));
	OK(p11->C_Sign(h, data, 4, NULL, &asked));
	OK(p11->C_Sign(h, data, 4, out, &len));
	TRUE_(asked == len);
	OK(p11->C_VerifyInit(h, &m, key));
	OK(p11->C_VerifyUpdate(h, data, 2));
	OK(p11->C_VerifyUpdate(h, data + 2, 2));
	OK(p11->C_VerifyFinal(h, out, len));
	out[0] ^= 1;
	OK(p11->C_VerifyInit(h, &m, key));
	IS(p11->C_Verify(h, data, 4, out, len), CKR_SIGNATURE_INVALID);
}

/* A buffer that is too short, or none, ends nothing. */
static void
short_buffers(void)
{
	CK_ATTRIBUTE t[] = { { CKA_VALUE_LEN, &n16, sizeof(n16) },
		{ CKA_ENCRYPT, &yes, 1 }, { CKA_DECRYPT, &yes, 1 },
		{ CKA_SIGN, &yes, 1 } };
	CK_BYTE iv[16] = { 1 }, text[20] = "twenty bytes of text";
	CK_BYTE sealed[64], out[64];
	CK_MECHANISM cbc = { CKM_AES_CBC_PAD, iv, sizeof(iv) };
	CK_MECHANISM cmac = { CKM_AES_CMAC, NULL, 0 };
	CK_MECHANISM sha = { CKM_SHA256, NULL, 0 };
	CK_ULONG len = 7, sealed_len = sizeof(sealed);
	CK_OBJECT_HANDLE key;

	OK(generate(CKM_AES_KEY_GEN, t, COUNT(t), &key));
	OK(p11->C_SignInit(h, &cmac, key));
	IS(p11->C_Sign(h, text, 20, out, &len), CKR_BUFFER_TOO_SMALL);
	TRUE_(len == 16);
	OK(p11->C_Sign(h, text, 20, out, &len));
	IS(p11->C_Sign(h, text, 20, out, &len), CKR_OPERATION_NOT_INITIALIZED);
	OK(p11->C_DigestInit(h, &sha));
	OK(p11->C_DigestUpdate(h, text, 20));
	len = 31;
	IS(p11->C_DigestFinal(h, out, &len), CKR_BUFFER_TOO_SMALL);
	TRUE_(len == 32);
	OK(p11->C_DigestFinal(h, out, &len));
	OK(p11->C_EncryptInit(h, &cbc, key));
	len = 20;
	IS(p11->C_Encrypt(h, text, 20, sealed, &len), CKR_BUFFER_TOO_SMALL);
	TRUE_(len == 32);
	OK(p11->C_Encrypt(h, text, 20, sealed, &sealed_len));
	/* What padding leaves is known only afterwards, and then kept. */
	OK(p11->C_DecryptInit(h, &cbc, key));
	OK(p11->C_Decrypt(h, sealed, sealed_len, NULL, &len));
	TRUE_(len >= 20);
	len = 19;
	IS(p11->C_Decrypt(h, sealed, sealed_len, out, &len),
	    CKR_BUFFER_TOO_SMALL);
	TRUE_(len == 20);
	OK(p11->C_Decrypt(h, sealed, sealed_len, out, &len));
	TRUE_(len == 20 && memcmp(out, text, 20) == 0);
	IS(p11->C_Decrypt(h, sealed, sealed_len, out, &len),
	    CKR_OPERATION_NOT_INITIALIZED);
	/* No place for the length does end it. */
	OK(p11->C_SignInit(h, &cmac, key));
	IS(p11->C_Sign(h, text, 20, out, NULL), CKR_ARGUMENTS_BAD);
	OK(p11->C_SignInit(h, &cmac, key));
	OK(p11->C_SignUpdate(h, text, 20));
	IS(p11->C_Sign(h, text, 20, out, &len), CKR_OPERATION_ACTIVE);
	OK(p11->C_SignFinal(h, out, &len));
	OK(p11->C_DestroyObject(h, key));
}

/* A key that lasts as long as the session, is sensitive, and works. */
static void
session_secrets(void)
{
	CK_ATTRIBUTE t[] = { { CKA_VALUE_LEN, &n32, sizeof(n32) },
		{ CKA_SENSITIVE, &no, 1 }, { CKA_EXTRACTABLE, &yes, 1 },
		{ CKA_SIGN, &yes, 1 }, { CKA_VERIFY, &yes, 1 } };
	CK_ATTRIBUTE here[] = { { CKA_TOKEN, &no, 1 } };
	CK_BYTE value[64];
	CK_ULONG len = sizeof(value);
	CK_OBJECT_HANDLE key;

	OK(generate(CKM_GENERIC_SECRET_KEY_GEN, t, COUNT(t), &key));
	mac_twice(CKM_SHA256_HMAC, key);
	mac_twice(CKM_SHA3_512_HMAC, key);
	/* Nobody is told what the service drew. */
	IS(value_of(key, value, &len), CKR_ATTRIBUTE_SENSITIVE);
	TRUE_(flag_of(key, CKA_SENSITIVE));
	TRUE_(found(here, 1) == 1);
	OK(p11->C_DestroyObject(h, key));
	TRUE_(found(here, 1) == 0);
	OK(generate(CKM_AES_KEY_GEN, t, COUNT(t), &key));
	mac_twice(CKM_AES_CMAC, key);
	OK(p11->C_DestroyObject(h, key));
}

/* Sensitive to plain, and the other changes that a template might ask for. */
static void
changes_that_are_refused(void)
{
	CK_ATTRIBUTE t[] = { TEXT_ATTRIBUTE(CKA_LABEL, "sk-fixed"),
		{ CKA_TOKEN, &yes, 1 }, { CKA_VALUE_LEN, &n32, sizeof(n32) } };
	CK_ATTRIBUTE bad[] = { { CKA_SENSITIVE, &no, 1 },
		{ CKA_EXTRACTABLE, &yes, 1 }, { CKA_WRAP, &yes, 1 },
		{ CKA_UNWRAP, &yes, 1 }, { CKA_ALWAYS_SENSITIVE, &no, 1 } };
	CK_ATTRIBUTE label[] = { TEXT_ATTRIBUTE(CKA_LABEL, "sk-renamed"),
		TEXT_ATTRIBUTE(CKA_ID, "\x42"), { CKA_SENSITIVE, &yes, 1 } };
	CK_ATTRIBUTE by_label[] = { TEXT_ATTRIBUTE(CKA_LABEL, "sk-renamed") };
	CK_BYTE value[64];
	CK_ULONG len = sizeof(value);
	CK_OBJECT_HANDLE key, copy;

	OK(generate(CKM_AES_KEY_GEN, t, COUNT(t), &key));
	for (size_t i = 0; i < COUNT(bad); i++)
		IS(p11->C_SetAttributeValue(h, key, &bad[i], 1),
		    CKR_ATTRIBUTE_READ_ONLY);
	IS(p11->C_CopyObject(h, key, bad, 1, &copy), CKR_ACTION_PROHIBITED);
	IS(value_of(key, value, &len), CKR_ATTRIBUTE_SENSITIVE);
	OK(p11->C_SetAttributeValue(h, key, label, COUNT(label)));
	TRUE_(found(by_label, 1) == 1);
	OK(p11->C_DestroyObject(h, key));
	IS(p11->C_DestroyObject(h, key), CKR_OBJECT_HANDLE_INVALID);
}

static CK_RV
text_of(CK_OBJECT_HANDLE key, CK_ATTRIBUTE_TYPE type, const char *want)
{
	char have[64];
	CK_ATTRIBUTE a = { type, have, sizeof(have) };
	CK_RV rv = p11->C_GetAttributeValue(h, key, &a, 1);

	TRUE_(rv != CKR_OK ||
	    (a.ulValueLen == strlen(want) &&
		memcmp(have, want, a.ulValueLen) == 0));
	return rv;
}

/* Names may change, what a key may do and how it is kept may not. */
static void
changes_of_session_keys(void)
{
	CK_BYTE known[16] = { 7 }, value[64];
	CK_ATTRIBUTE t[] = { { CKA_CLASS, &secret, sizeof(secret) },
		{ CKA_KEY_TYPE, &aes, sizeof(aes) },
		{ CKA_VALUE, known, sizeof(known) }, { CKA_SENSITIVE, &no, 1 },
		{ CKA_EXTRACTABLE, &yes, 1 }, { CKA_SIGN, &yes, 1 },
		{ CKA_VERIFY, &yes, 1 } };
	CK_ATTRIBUTE bad[] = { { CKA_ENCRYPT, &yes, 1 },
		{ CKA_DECRYPT, &yes, 1 }, { CKA_WRAP, &yes, 1 },
		{ CKA_SIGN, &no, 1 }, { CKA_EXTRACTABLE, &no, 1 },
		{ CKA_TOKEN, &yes, 1 }, { CKA_PRIVATE, &yes, 1 },
		{ CKA_VALUE, known, 3 }, { CKA_ALWAYS_SENSITIVE, &yes, 1 },
		{ CKA_LOCAL, &yes, 1 }, { CKA_KEY_TYPE, &generic, 8 },
		{ CKA_MODULUS, known, 3 } };
	CK_ATTRIBUTE names[] = { TEXT_ATTRIBUTE(CKA_LABEL, "a name"),
		TEXT_ATTRIBUTE(CKA_ID, "id"), { CKA_SENSITIVE, &no, 1 } };
	CK_ATTRIBUTE half[] = { TEXT_ATTRIBUTE(CKA_LABEL, "not that"),
		{ CKA_WRAP, &yes, 1 } };
	CK_ATTRIBUTE long_name = { CKA_LABEL, calloc(1, 300), 300 };
	CK_ATTRIBUTE hide = { CKA_SENSITIVE, &yes, 1 };
	CK_ATTRIBUTE show = { CKA_SENSITIVE, &no, 1 };
	CK_ULONG len = sizeof(value);
	CK_OBJECT_HANDLE key;

	OK(p11->C_CreateObject(h, t, COUNT(t), &key));
	for (size_t i = 0; i < COUNT(bad); i++)
		IS(p11->C_SetAttributeValue(h, key, &bad[i], 1),
		    CKR_ATTRIBUTE_READ_ONLY);
	OK(p11->C_SetAttributeValue(h, key, names, COUNT(names)));
	OK(text_of(key, CKA_LABEL, "a name"));
	OK(text_of(key, CKA_ID, "id"));
	TRUE_(found(names, 2) == 1);
	/* All of it or nothing. */
	IS(p11->C_SetAttributeValue(h, key, half, 2), CKR_ATTRIBUTE_READ_ONLY);
	IS(p11->C_SetAttributeValue(h, key, &long_name, 1),
	    CKR_ATTRIBUTE_VALUE_INVALID);
	OK(text_of(key, CKA_LABEL, "a name"));
	free(long_name.pValue);
	OK(value_of(key, value, &len));
	TRUE_(len == 16 && memcmp(value, known, 16) == 0);
	mac_twice(CKM_AES_CMAC, key);
	/* Plain to sensitive, and never back. */
	OK(p11->C_SetAttributeValue(h, key, &hide, 1));
	TRUE_(flag_of(key, CKA_SENSITIVE));
	TRUE_(!flag_of(key, CKA_ALWAYS_SENSITIVE));
	len = sizeof(value);
	IS(value_of(key, value, &len), CKR_ATTRIBUTE_SENSITIVE);
	IS(p11->C_SetAttributeValue(h, key, &show, 1), CKR_ATTRIBUTE_READ_ONLY);
	IS(value_of(key, value, &len), CKR_ATTRIBUTE_SENSITIVE);
	mac_twice(CKM_AES_CMAC, key);
	OK(text_of(key, CKA_LABEL, "a name"));
	OK(p11->C_DestroyObject(h, key));
	IS(p11->C_SetAttributeValue(h, key, names, 2),
	    CKR_OBJECT_HANDLE_INVALID);
}

static CK_OBJECT_HANDLE
wrapping_key(void)
{
	CK_ATTRIBUTE t[] = { TEXT_ATTRIBUTE(CKA_LABEL, "sk-kek"),
		{ CKA_TOKEN, &yes, 1 }, { CKA_VALUE_LEN, &n32, sizeof(n32) },
		{ CKA_WRAP, &yes, 1 }, { CKA_UNWRAP, &yes, 1 } };
	CK_OBJECT_HANDLE key;

	OK(generate(CKM_AES_KEY_GEN, t, COUNT(t), &key));
	return key;
}

static void
wrapping(void)
{
	CK_MECHANISM kwp = { CKM_AES_KEY_WRAP_KWP, NULL, 0 };
	CK_ATTRIBUTE leaves[] = { { CKA_VALUE_LEN, &n16, sizeof(n16) },
		{ CKA_EXTRACTABLE, &yes, 1 }, { CKA_SIGN, &yes, 1 },
		{ CKA_VERIFY, &yes, 1 } };
	CK_ATTRIBUTE stays[] = { { CKA_VALUE_LEN, &n16, sizeof(n16) },
		{ CKA_SIGN, &yes, 1 } };
	CK_ATTRIBUTE plain[] = { { CKA_CLASS, &secret, sizeof(secret) },
		{ CKA_KEY_TYPE, &aes, sizeof(aes) }, { CKA_SENSITIVE, &no, 1 },
		{ CKA_EXTRACTABLE, &yes, 1 }, { CKA_SIGN, &yes, 1 },
		{ CKA_VERIFY, &yes, 1 } };
	CK_ATTRIBUTE wraps[] = { { CKA_CLASS, &secret, sizeof(secret) },
		{ CKA_KEY_TYPE, &aes, sizeof(aes) }, { CKA_WRAP, &yes, 1 } };
	CK_BYTE blob[256], value[64], known[16] = { 1 };
	CK_ULONG len = sizeof(blob), value_len = sizeof(value), asked = 0;
	CK_ATTRIBUTE trojan[] = { { CKA_CLASS, &secret, sizeof(secret) },
		{ CKA_KEY_TYPE, &aes, sizeof(aes) },
		{ CKA_VALUE, known, sizeof(known) }, { CKA_WRAP, &yes, 1 } };
	CK_OBJECT_HANDLE kek = wrapping_key(), key, other, back;

	OK(generate(CKM_AES_KEY_GEN, leaves, COUNT(leaves), &key));
	OK(generate(CKM_AES_KEY_GEN, stays, COUNT(stays), &other));
	OK(p11->C_WrapKey(h, &kwp, kek, key, NULL, &asked));
	OK(p11->C_WrapKey(h, &kwp, kek, key, blob, &len));
	TRUE_(asked == len && len == 24);
	IS(p11->C_WrapKey(h, &kwp, kek, other, blob, &len),
	    CKR_KEY_UNEXTRACTABLE);
	len = 24;
	OK(p11->C_UnwrapKey(
	    h, &kwp, kek, blob, len, plain, COUNT(plain), &back));
	/* Whatever the template says: what was sensitive stays so. */
	IS(value_of(back, value, &value_len), CKR_ATTRIBUTE_SENSITIVE);
	TRUE_(flag_of(back, CKA_SENSITIVE));
	mac_twice(CKM_AES_CMAC, back);
	/* A copy with another purpose; a key of the host's as wrapping key. */
	IS(p11->C_UnwrapKey(
	       h, &kwp, kek, blob, len, wraps, COUNT(wraps), &back),
	    CKR_TEMPLATE_INCONSISTENT);
	IS(p11->C_CreateObject(h, trojan, COUNT(trojan), &back),
	    CKR_TEMPLATE_INCONSISTENT);
	blob[5] ^= 1;
	IS(p11->C_UnwrapKey(
	       h, &kwp, kek, blob, len, plain, COUNT(plain), &back),
	    CKR_WRAPPED_KEY_INVALID);
	IS(p11->C_EncryptInit(h, &kwp, kek), CKR_MECHANISM_INVALID);
	OK(p11->C_DestroyObject(h, kek));
}

/* RFC 5869, A.1, with a key that the host brings. */
static void
derivation(void)
{
	static const CK_BYTE okm[] = { 0x3c, 0xb2, 0x5f, 0x25, 0xfa, 0xac, 0xd5,
		0x7a };
	CK_BYTE ikm[22], salt[13], info[10], value[64];
	CK_ULONG len = sizeof(value), n42 = 42;
	CK_ATTRIBUTE base[] = { { CKA_CLASS, &secret, sizeof(secret) },
		{ CKA_KEY_TYPE, &generic, sizeof(generic) },
		{ CKA_VALUE, ikm, sizeof(ikm) }, { CKA_DERIVE, &yes, 1 } };
	CK_ATTRIBUTE out[] = { { CKA_CLASS, &secret, sizeof(secret) },
		{ CKA_KEY_TYPE, &generic, sizeof(generic) },
		{ CKA_VALUE_LEN, &n42, sizeof(n42) }, { CKA_SENSITIVE, &no, 1 },
		{ CKA_EXTRACTABLE, &yes, 1 } };
	CK_HKDF_PARAMS p = { .bExtract = CK_TRUE,
		.bExpand = CK_TRUE,
		.prfHashMechanism = CKM_SHA256,
		.ulSaltType = CKF_HKDF_SALT_DATA,
		.pSalt = salt,
		.ulSaltLen = sizeof(salt),
		.pInfo = info,
		.ulInfoLen = sizeof(info) };
	CK_MECHANISM hkdf = { CKM_HKDF_DERIVE, &p, sizeof(p) };
	CK_OBJECT_HANDLE key, derived;

	memset(ikm, 0x0b, sizeof(ikm));
	for (CK_BYTE i = 0; i < sizeof(salt); i++)
		salt[i] = i;
	for (CK_BYTE i = 0; i < sizeof(info); i++)
		info[i] = (CK_BYTE)(0xf0 + i);
	OK(p11->C_CreateObject(h, base, COUNT(base), &key));
	OK(p11->C_DeriveKey(h, &hkdf, key, out, COUNT(out), &derived));
	OK(value_of(derived, value, &len));
	TRUE_(len == 42 && memcmp(value, okm, sizeof(okm)) == 0);
	mac_twice(CKM_SHA256_HMAC, derived);
	out[3].pValue = &yes; /* sensitive */
	OK(p11->C_DeriveKey(h, &hkdf, key, out, COUNT(out), &derived));
	len = sizeof(value);
	IS(value_of(derived, value, &len), CKR_ATTRIBUTE_SENSITIVE);
	mac_twice(CKM_SHA256_HMAC, derived);
}

static void
session_pairs(void)
{
	static CK_BYTE p256[] = { 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
		0x03, 0x01, 0x07 };
	CK_ATTRIBUTE pub[] = { { CKA_EC_PARAMS, p256, sizeof(p256) } };
	CK_ATTRIBUTE priv[] = { { CKA_SIGN, &yes, 1 } };
	CK_MECHANISM gen = { CKM_EC_KEY_PAIR_GEN, NULL, 0 };
	CK_MECHANISM ecdsa = { CKM_ECDSA_SHA256, NULL, 0 };
	CK_OBJECT_HANDLE a, b;
	CK_BYTE data[] = "data", sig[128];
	CK_ULONG len = sizeof(sig);

	OK(p11->C_GenerateKeyPair(h, &gen, pub, 1, priv, 1, &a, &b));
	OK(p11->C_SignInit(h, &ecdsa, b));
	OK(p11->C_Sign(h, data, 4, sig, &len));
	OK(p11->C_VerifyInit(h, &ecdsa, a));
	OK(p11->C_Verify(h, data, 4, sig, len));
	IS(p11->C_SignInit(h, &ecdsa, a), CKR_KEY_FUNCTION_NOT_PERMITTED);
}

int
main(int argc, char **argv)
{
	CK_ATTRIBUTE here[] = { { CKA_TOKEN, &no, 1 } };
	CK_C_GetFunctionList get;
	void *module;

	if (argc != 2)
		errx(2, "usage: session_keys_prog MODULE");
	module = dlopen(argv[1], RTLD_NOW);
	if (module == NULL)
		errx(1, "%s", dlerror());
	*(void **)&get = dlsym(module, "C_GetFunctionList");
	if (get == NULL || get(&p11) != CKR_OK)
		errx(1, "C_GetFunctionList");
	OK(p11->C_Initialize(NULL));
	OK(p11->C_OpenSession(
	    0, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &h));
	session_secrets();
	short_buffers();
	changes_that_are_refused();
	changes_of_session_keys();
	wrapping();
	derivation();
	session_pairs();
	TRUE_(found(here, 1) > 0);
	OK(p11->C_CloseSession(h));
	OK(p11->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &h));
	TRUE_(found(here, 1) == 0); /* gone with their session */
	OK(p11->C_Finalize(NULL));
	(void)printf("%u checks\n", checks);
	return 0;
}
