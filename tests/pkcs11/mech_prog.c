/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One use of the module by mechanism, for what pkcs11-tool cannot say.
 *	mech_prog MODULE encrypt|decrypt|sign KEY MECHANISM [PARAMETER]
 *	mech_prog MODULE verify KEY MECHANISM SIGNATURE_FILE [PARAMETER]
 *	mech_prog MODULE wrap KEY MECHANISM TARGET [PARAMETER]
 *	mech_prog MODULE unwrap KEY MECHANISM NEW CLASS TYPE USES [PARAMETER]
 *	mech_prog MODULE derive KEY MECHANISM BYTES [PARAMETER]
 *	mech_prog MODULE generate NEW MECHANISM BYTES USES
 *	mech_prog MODULE bring NEW TYPE USES
 *	mech_prog MODULE allowed KEY
 * KEY, TARGET and NEW are labels, NEW of a key that stays. CLASS is "secret"
 * or "private", TYPE "aes", "generic", "rsa" or "ec", for bring also
 * "ed25519". USES are words like "sign,verify", of which "extractable" is one.
 * PARAMETER is one of
 *	iv=HEX, ctr=BITS:HEX, gcm=HEX, oaep=HASH[:LABEL], pss=HASH, bytes=N,
 *	rsa-aes=BITS:HASH, peer=HEX[:HASH], hkdf=STEPS:HASH:HEX (of the info)
 * Data is standard input, the result standard output. What is encrypted,
 * decrypted, signed or verified is so at once and in parts of 7 bytes, which
 * must give the same, unless something is drawn each time. Status 1: the
 * module refused, with the name of the function and the number on stderr.
 */
#include <dlfcn.h>
#include <err.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../../pkcs11/cryptoki.h"

enum { ROOM = 1 << 16, PART = 7 };

static CK_FUNCTION_LIST *p11;
static CK_SESSION_HANDLE h;
static CK_BYTE data[ROOM];
static CK_ULONG data_len;

static void
must(const char *what, CK_RV rv)
{
	if (rv != CKR_OK)
		errx(1, "%s: 0x%lx", what, rv);
}
#define MUST(function, ...) must(#function, p11->function(__VA_ARGS__))

/* -- Words -- */

struct word {
	const char *name;
	CK_ULONG value;
};

/* clang-format off */
static const struct word mechanisms[] = {
	{ "aes-ecb", CKM_AES_ECB }, { "aes-cbc", CKM_AES_CBC },
	{ "aes-cbc-pad", CKM_AES_CBC_PAD }, { "aes-ctr", CKM_AES_CTR },
	{ "aes-gcm", CKM_AES_GCM }, { "aes-cmac", CKM_AES_CMAC },
	{ "aes-cmac-general", CKM_AES_CMAC_GENERAL },
	{ "aes-kw", CKM_AES_KEY_WRAP }, { "aes-kwp", CKM_AES_KEY_WRAP_KWP },
	{ "aes-kw-pad", CKM_AES_KEY_WRAP_PAD }, { "aes-gen", CKM_AES_KEY_GEN },
	{ "generic-gen", CKM_GENERIC_SECRET_KEY_GEN },
	{ "rsa-gen", CKM_RSA_PKCS_KEY_PAIR_GEN },
	{ "ecdh", CKM_ECDH1_DERIVE }, { "hkdf", CKM_HKDF_DERIVE },
	{ "hmac-sha1", CKM_SHA_1_HMAC }, { "hmac-sha224", CKM_SHA224_HMAC },
	{ "hmac-sha384", CKM_SHA384_HMAC }, { "hmac-sha512", CKM_SHA512_HMAC },
	{ "hmac-sha3-256", CKM_SHA3_256_HMAC },
	{ "hmac-sha256-general", CKM_SHA256_HMAC_GENERAL },
	{ "rsa-raw", CKM_RSA_X_509 }, { "rsa-pkcs", CKM_RSA_PKCS },
	{ "sha3-256-rsa", CKM_SHA3_256_RSA_PKCS },
	{ "sha3-512-rsa-pss", CKM_SHA3_512_RSA_PKCS_PSS },
	{ "ecdsa-sha3-256", CKM_ECDSA_SHA3_256 },
	{ "ecdsa-sha3-512", CKM_ECDSA_SHA3_512 },
	{ "hmac-sha256", CKM_SHA256_HMAC }, { "oaep", CKM_RSA_PKCS_OAEP },
	{ "rsa-aes-kwp", CKM_RSA_AES_KEY_WRAP }, { "eddsa", CKM_EDDSA },
};

static const struct word use_words[] = {
	{ "sign", CKA_SIGN }, { "verify", CKA_VERIFY },
	{ "encrypt", CKA_ENCRYPT }, { "decrypt", CKA_DECRYPT },
	{ "wrap", CKA_WRAP }, { "unwrap", CKA_UNWRAP },
	{ "derive", CKA_DERIVE }, { "extractable", CKA_EXTRACTABLE },
};

static const struct word types[] = {
	{ "aes", CKK_AES }, { "generic", CKK_GENERIC_SECRET },
	{ "rsa", CKK_RSA }, { "ec", CKK_EC }, { "ed25519", CKK_EC_EDWARDS },
};

static const struct hash {
	const char *name;
	CK_ULONG mechanism, mgf, kdf;
} hashes[] = {
	{ "sha1", CKM_SHA_1, CKG_MGF1_SHA1, CKD_SHA1_KDF },
	{ "sha256", CKM_SHA256, CKG_MGF1_SHA256, CKD_SHA256_KDF },
	{ "sha512", CKM_SHA512, CKG_MGF1_SHA512, CKD_SHA512_KDF },
	{ "sha3-512", CKM_SHA3_512, CKG_MGF1_SHA3_512, CKD_NULL },
};
/* clang-format on */

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static CK_ULONG
word(const struct word *words, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(words[i].name, name) == 0)
			return words[i].value;
	errx(2, "unknown word %s", name);
}

static const struct hash *
hash(const char *name, size_t len)
{
	for (size_t i = 0; i < COUNT(hashes); i++)
		if (strlen(hashes[i].name) == len &&
		    strncmp(hashes[i].name, name, len) == 0)
			return &hashes[i];
	errx(2, "unknown hash %s", name);
}

static CK_ULONG
unhex(const char *text, CK_BYTE *out, size_t room)
{
	CK_ULONG n = 0;

	for (; text[0] != '\0' && text[0] != ':'; text += 2) {
		unsigned byte;

		if (n == room || sscanf(text, "%2x", &byte) != 1)
			errx(2, "not hexadecimal: %s", text);
		out[n++] = (CK_BYTE)byte;
	}
	return n;
}

/* -- Parameters -- */

static CK_BYTE bytes[1024];
static union {
	CK_AES_CTR_PARAMS ctr;
	CK_GCM_PARAMS gcm;
	CK_RSA_PKCS_OAEP_PARAMS oaep;
	CK_RSA_PKCS_PSS_PARAMS pss;
	CK_ECDH1_DERIVE_PARAMS ecdh;
	CK_HKDF_PARAMS hkdf;
	CK_ULONG number;
} param;
static CK_RSA_AES_KEY_WRAP_PARAMS rsa_aes;

static bool
starts(const char **text, const char *prefix)
{
	size_t len = strlen(prefix);

	if (strncmp(*text, prefix, len) != 0)
		return false;
	*text += len;
	return true;
}

static const char *
after_colon(const char *text)
{
	const char *colon = strchr(text, ':');

	return colon == NULL ? NULL : colon + 1;
}

static void
set_oaep(const char *name)
{
	const char *label = after_colon(name);
	size_t len = label == NULL ? strlen(name) : (size_t)(label - name) - 1;
	const struct hash *h_ = hash(name, len);

	param.oaep = (CK_RSA_PKCS_OAEP_PARAMS){ h_->mechanism, h_->mgf,
		CKZ_DATA_SPECIFIED, (void *)(uintptr_t)label,
		label == NULL ? 0 : strlen(label) };
}

static void
set_ecdh(const char *text)
{
	const char *kdf = after_colon(text);
	CK_ULONG len = unhex(text, bytes, sizeof(bytes));

	param.ecdh = (CK_ECDH1_DERIVE_PARAMS){
		.kdf = CKD_NULL, .pPublicData = bytes, .ulPublicDataLen = len
	};
	if (kdf != NULL)
		param.ecdh.kdf = hash(kdf, strlen(kdf))->kdf;
}

static void
set_hkdf(const char *text)
{
	const char *name = after_colon(text);
	const char *info = name == NULL ? NULL : after_colon(name);

	if (info == NULL)
		errx(2, "hkdf=STEPS:HASH:HEX");
	param.hkdf = (CK_HKDF_PARAMS){
		.bExtract = strncmp(text, "expand", 6) != 0,
		.bExpand = strncmp(text, "extract", 7) != 0,
		.prfHashMechanism =
		    hash(name, (size_t)(info - name) - 1)->mechanism,
		.ulSaltType = CKF_HKDF_SALT_NULL,
		.pInfo = bytes,
		.ulInfoLen = unhex(info, bytes, sizeof(bytes)),
	};
}

static CK_MECHANISM
mechanism(const char *name, const char *text)
{
	CK_MECHANISM m = { word(mechanisms, COUNT(mechanisms), name), &param,
		0 };

	if (text == NULL) {
		m.pParameter = NULL;
	} else if (starts(&text, "iv=")) {
		m.ulParameterLen = unhex(text, bytes, sizeof(bytes));
		m.pParameter = bytes;
	} else if (starts(&text, "ctr=")) {
		param.ctr.ulCounterBits = strtoul(text, NULL, 10);
		(void)unhex(after_colon(text), param.ctr.cb, 16);
		m.ulParameterLen = sizeof(param.ctr);
	} else if (starts(&text, "gcm=")) {
		param.gcm.pIv = bytes;
		param.gcm.ulIvLen = unhex(text, bytes, sizeof(bytes));
		param.gcm.ulIvBits = 8 * param.gcm.ulIvLen;
		param.gcm.ulTagBits = 128;
		m.ulParameterLen = sizeof(param.gcm);
	} else if (starts(&text, "oaep=")) {
		set_oaep(text);
		m.ulParameterLen = sizeof(param.oaep);
	} else if (starts(&text, "pss=")) {
		const struct hash *h_ = hash(text, strlen(text));

		param.pss.hashAlg = h_->mechanism;
		param.pss.mgf = h_->mgf;
		param.pss.sLen = 32;
		m.ulParameterLen = sizeof(param.pss);
	} else if (starts(&text, "rsa-aes=")) {
		set_oaep(after_colon(text));
		rsa_aes.ulAESKeyBits = strtoul(text, NULL, 10);
		rsa_aes.pOAEPParams = &param.oaep;
		m.pParameter = &rsa_aes;
		m.ulParameterLen = sizeof(rsa_aes);
	} else if (starts(&text, "bytes=")) {
		param.number = strtoul(text, NULL, 10);
		m.ulParameterLen = sizeof(param.number);
	} else if (starts(&text, "peer=")) {
		set_ecdh(text);
		m.ulParameterLen = sizeof(param.ecdh);
	} else if (starts(&text, "hkdf=")) {
		set_hkdf(text);
		m.ulParameterLen = sizeof(param.hkdf);
	} else {
		errx(2, "unknown parameter %s", text);
	}
	return m;
}

/* -- Objects -- */

/* The one of that label, of a class that is not the other half. */
static CK_OBJECT_HANDLE
find(const char *label, bool public)
{
	CK_ATTRIBUTE a = { CKA_LABEL, (void *)(uintptr_t)label, strlen(label) };
	CK_OBJECT_HANDLE found[8], key = CK_INVALID_HANDLE;
	CK_ULONG n = 0;

	MUST(C_FindObjectsInit, h, &a, 1);
	MUST(C_FindObjects, h, found, COUNT(found), &n);
	MUST(C_FindObjectsFinal, h);
	for (CK_ULONG i = 0; i < n; i++) {
		CK_OBJECT_CLASS class;
		CK_ATTRIBUTE c = { CKA_CLASS, &class, sizeof(class) };

		MUST(C_GetAttributeValue, h, found[i], &c, 1);
		if (class == CKO_SECRET_KEY ||
		    class == (public ? CKO_PUBLIC_KEY : CKO_PRIVATE_KEY))
			key = found[i];
	}
	if (key == CK_INVALID_HANDLE)
		errx(2, "no key %s", label);
	return key;
}

struct template
{
	CK_ATTRIBUTE a[24];
	CK_ULONG count;
};

static CK_BBOOL yes = CK_TRUE;
static CK_OBJECT_CLASS class;
static CK_KEY_TYPE key_type;
static CK_ULONG value_len;

static void
put(struct template *t, CK_ATTRIBUTE_TYPE type, const void *value, CK_ULONG len)
{
	t->a[t->count++] =
	    (CK_ATTRIBUTE){ type, (void *)(uintptr_t)value, len };
}

/* A key that stays, of that label, for these uses. */
static struct template staying(const char *label, const char *uses)
{
	struct template t = { .count = 0 };
	char words[128], *save = NULL;

	put(&t, CKA_TOKEN, &yes, sizeof(yes));
	put(&t, CKA_LABEL, label, strlen(label));
	(void)snprintf(words, sizeof(words), "%s", uses);
	for (char *w = strtok_r(words, ",", &save); w != NULL;
	     w = strtok_r(NULL, ",", &save))
		put(&t, word(use_words, COUNT(use_words), w), &yes,
		    sizeof(yes));
	return t;
}

/* -- Uses -- */

static CK_BYTE out[2 * ROOM], again[2 * ROOM];
static CK_ULONG out_len = sizeof(out);

typedef CK_RV init_fn(CK_SESSION_HANDLE, CK_MECHANISM *, CK_OBJECT_HANDLE);
typedef CK_RV whole_fn(
    CK_SESSION_HANDLE, CK_BYTE *, CK_ULONG, CK_BYTE *, CK_ULONG *);
typedef CK_RV final_fn(CK_SESSION_HANDLE, CK_BYTE *, CK_ULONG *);

static void
crypt_in_parts(whole_fn *update, final_fn *final)
{
	CK_ULONG n = 0;

	for (CK_ULONG at = 0; at < data_len; at += PART) {
		CK_ULONG left = data_len - at, len = sizeof(again) - n;

		must("Update",
		    update(h, data + at, left < PART ? left : PART, again + n,
			&len));
		n += len;
	}
	CK_ULONG last = sizeof(again) - n;

	must("Final", final(h, again + n, &last));
	if (n + last != out_len || memcmp(out, again, out_len) != 0)
		errx(3, "in parts the result is another");
}

static void
crypt_both(init_fn *init, whole_fn *whole, whole_fn *update, final_fn *final,
    CK_MECHANISM *m, CK_OBJECT_HANDLE key)
{
	must("Init", init(h, m, key));
	must("Whole", whole(h, data, data_len, out, &out_len));
	must("Init", init(h, m, key));
	crypt_in_parts(update, final);
}

/* Padding, salt or nonce is drawn each time: another result is as good. */
static bool
is_random(const CK_MECHANISM *m)
{
	static const CK_MECHANISM_TYPE random[] = { CKM_RSA_PKCS,
		CKM_RSA_PKCS_OAEP, CKM_SHA3_512_RSA_PKCS_PSS,
		CKM_ECDSA_SHA3_256, CKM_ECDSA_SHA3_512 };

	for (size_t i = 0; i < COUNT(random); i++)
		if (m->mechanism == random[i])
			return true;
	return false;
}

static void
sign_both(CK_MECHANISM *m, CK_OBJECT_HANDLE key)
{
	CK_ULONG len = sizeof(again);

	MUST(C_SignInit, h, m, key);
	MUST(C_Sign, h, data, data_len, out, &out_len);
	MUST(C_SignInit, h, m, key);
	for (CK_ULONG at = 0; at < data_len; at += PART)
		MUST(C_SignUpdate, h, data + at,
		    data_len - at < PART ? data_len - at : PART);
	MUST(C_SignFinal, h, again, &len);
	if (len != out_len || (!is_random(m) && memcmp(out, again, len) != 0))
		errx(3, "in parts the result is another");
}

static void
verify_both(CK_MECHANISM *m, CK_OBJECT_HANDLE key, const char *path)
{
	CK_BYTE sig[1024];
	FILE *f = fopen(path, "rb");
	CK_ULONG len;

	if (f == NULL)
		err(2, "%s", path);
	len = fread(sig, 1, sizeof(sig), f);
	(void)fclose(f);
	MUST(C_VerifyInit, h, m, key);
	MUST(C_Verify, h, data, data_len, sig, len);
	MUST(C_VerifyInit, h, m, key);
	for (CK_ULONG at = 0; at < data_len; at += PART)
		MUST(C_VerifyUpdate, h, data + at,
		    data_len - at < PART ? data_len - at : PART);
	MUST(C_VerifyFinal, h, sig, len);
	out_len = 0;
}

static void
generate(char **argv)
{
	CK_MECHANISM m = mechanism(argv[1], NULL);
	struct template t = staying(argv[0], argv[3]);
	CK_OBJECT_HANDLE key;

	value_len = strtoul(argv[2], NULL, 10);
	put(&t, CKA_VALUE_LEN, &value_len, sizeof(value_len));
	MUST(C_GenerateKey, h, &m, t.a, t.count, &key);
	out_len = 0;
}

static void
generate_rsa(char **argv)
{
	CK_MECHANISM m = mechanism(argv[1], NULL);
	struct template private = staying(argv[0], argv[3]);
	struct template public = { .count = 0 };
	CK_OBJECT_HANDLE a, b;

	value_len = strtoul(argv[2], NULL, 10);
	put(&public, CKA_MODULUS_BITS, &value_len, sizeof(value_len));
	MUST(C_GenerateKeyPair, h, &m, public.a, public.count, private.a,
	    private.count, &a, &b);
	out_len = 0;
}

static void
bring(char **argv)
{
	static const CK_BYTE oid[] = { 0x06, 0x03, 0x2b, 0x65, 0x70 };
	struct template t = staying(argv[0], argv[2]);
	CK_OBJECT_HANDLE key;

	class = CKO_SECRET_KEY;
	key_type = word(types, COUNT(types), argv[1]);
	if (key_type == CKK_EC_EDWARDS) {
		class = CKO_PRIVATE_KEY;
		put(&t, CKA_EC_PARAMS, oid, sizeof(oid));
	}
	put(&t, CKA_CLASS, &class, sizeof(class));
	put(&t, CKA_KEY_TYPE, &key_type, sizeof(key_type));
	put(&t, CKA_VALUE, data, data_len);
	MUST(C_CreateObject, h, t.a, t.count, &key);
	out_len = 0;
}

static void
unwrap(CK_MECHANISM *m, CK_OBJECT_HANDLE key, char **argv)
{
	struct template t = staying(argv[0], argv[3]);
	CK_OBJECT_HANDLE made;

	class =
	    strcmp(argv[1], "secret") == 0 ? CKO_SECRET_KEY : CKO_PRIVATE_KEY;
	key_type = word(types, COUNT(types), argv[2]);
	put(&t, CKA_CLASS, &class, sizeof(class));
	put(&t, CKA_KEY_TYPE, &key_type, sizeof(key_type));
	MUST(C_UnwrapKey, h, m, key, data, data_len, t.a, t.count, &made);
	out_len = 0;
}

/* A generic secret that may be read, so that it can be compared. */
static void
derive(CK_MECHANISM *m, CK_OBJECT_HANDLE key, const char *len)
{
	struct template t = { .count = 0 };
	CK_BBOOL no = CK_FALSE;
	CK_ATTRIBUTE value = { CKA_VALUE, out, sizeof(out) };
	CK_OBJECT_HANDLE made;

	class = CKO_SECRET_KEY;
	key_type = CKK_GENERIC_SECRET;
	value_len = strtoul(len, NULL, 10);
	put(&t, CKA_CLASS, &class, sizeof(class));
	put(&t, CKA_KEY_TYPE, &key_type, sizeof(key_type));
	put(&t, CKA_SENSITIVE, &no, sizeof(no));
	put(&t, CKA_EXTRACTABLE, &yes, sizeof(yes));
	put(&t, CKA_VALUE_LEN, &value_len, sizeof(value_len));
	MUST(C_DeriveKey, h, m, key, t.a, t.count, &made);
	MUST(C_GetAttributeValue, h, made, &value, 1);
	out_len = value.ulValueLen;
}

/* The names that are known here of what the key is allowed. */
static void
allowed(const char *label)
{
	CK_MECHANISM_TYPE list[128];
	CK_ATTRIBUTE a = { CKA_ALLOWED_MECHANISMS, list, sizeof(list) };

	MUST(C_GetAttributeValue, h, find(label, false), &a, 1);
	for (CK_ULONG i = 0; i < a.ulValueLen / sizeof(list[0]); i++)
		for (size_t k = 0; k < COUNT(mechanisms); k++)
			if (mechanisms[k].value == list[i])
				(void)printf("%s\n", mechanisms[k].name);
	out_len = 0;
}

static void
use(int argc, char **argv)
{
	const char *what = argv[0];
	bool verify = strcmp(what, "verify") == 0;
	bool public =
	    verify || strcmp(what, "encrypt") == 0 || strcmp(what, "wrap") == 0;
	/* How many words stand between mechanism and parameter. */
	int more = verify || strcmp(what, "wrap") == 0 ? 1
	    : strcmp(what, "derive") == 0              ? 1
	    : strcmp(what, "unwrap") == 0              ? 4
						       : 0;
	CK_OBJECT_HANDLE key = find(argv[1], public);
	CK_MECHANISM m =
	    mechanism(argv[2], argc > 3 + more ? argv[3 + more] : NULL);

	if (argc < 3 + more)
		errx(2, "too few words");
	if (strcmp(what, "encrypt") == 0 && is_random(&m)) {
		MUST(C_EncryptInit, h, &m, key);
		MUST(C_Encrypt, h, data, data_len, out, &out_len);
	} else if (strcmp(what, "encrypt") == 0)
		crypt_both(p11->C_EncryptInit, p11->C_Encrypt,
		    p11->C_EncryptUpdate, p11->C_EncryptFinal, &m, key);
	else if (strcmp(what, "decrypt") == 0)
		crypt_both(p11->C_DecryptInit, p11->C_Decrypt,
		    p11->C_DecryptUpdate, p11->C_DecryptFinal, &m, key);
	else if (strcmp(what, "sign") == 0)
		sign_both(&m, key);
	else if (verify)
		verify_both(&m, key, argv[3]);
	else if (strcmp(what, "wrap") == 0)
		MUST(
		    C_WrapKey, h, &m, key, find(argv[3], false), out, &out_len);
	else if (strcmp(what, "unwrap") == 0)
		unwrap(&m, key, argv + 3);
	else if (strcmp(what, "derive") == 0)
		derive(&m, key, argv[3]);
	else
		errx(2, "unknown use %s", what);
}

static void
load(const char *path)
{
	void *module = dlopen(path, RTLD_NOW);
	CK_C_GetFunctionList get;

	if (module == NULL)
		errx(2, "%s", dlerror());
	*(void **)&get = dlsym(module, "C_GetFunctionList");
	if (get == NULL || get(&p11) != CKR_OK)
		errx(2, "C_GetFunctionList");
	MUST(C_Initialize, NULL);
	MUST(C_OpenSession, 0, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
	    &h);
}

int
main(int argc, char **argv)
{
	if (argc < 4)
		errx(2, "usage: mech_prog MODULE USE KEY ...");
	load(argv[1]);
	argc -= 2;
	argv += 2;
	if (strcmp(argv[0], "allowed") == 0) {
		allowed(argv[1]);
	} else if (strcmp(argv[0], "generate") == 0 && argc == 5) {
		if (strcmp(argv[2], "rsa-gen") == 0)
			generate_rsa(argv + 1);
		else
			generate(argv + 1);
	} else {
		if (strcmp(argv[0], "wrap") != 0 &&
		    strcmp(argv[0], "derive") != 0)
			data_len = fread(data, 1, sizeof(data), stdin);
		if (strcmp(argv[0], "bring") == 0 && argc == 4)
			bring(argv + 1);
		else
			use(argc, argv);
	}
	if (out_len > 0 && fwrite(out, 1, out_len, stdout) != out_len)
		err(2, "standard output");
	MUST(C_Finalize, NULL);
	return 0;
}
