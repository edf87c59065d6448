/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that has loaded a PKCS#11 module and uses it as its input says:
 *	WHAT THREADS SECONDS
 * where WHAT is p256, rsa or gcm. Each line is answered by one:
 *	ok VALUE P50 P99 CPU DONE
 *	refused NUMBER		the module has no such mechanism
 *	failed WHY
 * A process of its own for each module: none disturbs another, and their
 * settings are in the environment.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../pkcs11/cryptoki.h"
#include "crew.h"
#include "place.h"
#include "role.h"
#include "words.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum { DIGEST = 32, OUT_ROOM = PAYLOAD + 64, IV = 12, TAG_BITS = 128 };

enum what { WHAT_P256, WHAT_RSA, WHAT_GCM, WHATS };

struct module {
	CK_FUNCTION_LIST *p11;
	CK_SLOT_ID slot;
	CK_SESSION_HANDLE session; /* keeps session keys */
	CK_OBJECT_HANDLE keys[WHATS];
};

struct use {
	struct module *module;
	enum what what;
	_Atomic CK_RV failed;
};

/* clang-format off */
static const struct {
	const char *name, *label; /* of the key, where the token has one */
	CK_MECHANISM_TYPE mechanism, generate;
	CK_OBJECT_CLASS class;
} whats[WHATS] = {
	[WHAT_P256] = { "p256", "bench-p256", CKM_ECDSA,    CKM_EC_KEY_PAIR_GEN,       CKO_PRIVATE_KEY },
	[WHAT_RSA]  = { "rsa",  "bench-rsa",  CKM_RSA_PKCS, CKM_RSA_PKCS_KEY_PAIR_GEN, CKO_PRIVATE_KEY },
	[WHAT_GCM]  = { "gcm",  "bench-aes",  CKM_AES_GCM,  CKM_AES_KEY_GEN,           CKO_SECRET_KEY },
};
/* clang-format on */

/* -- The module, its token and its keys -- */

static CK_FUNCTION_LIST *
load(const char *path)
{
	CK_C_INITIALIZE_ARGS arguments = { .flags = CKF_OS_LOCKING_OK };
	void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	CK_C_GetFunctionList get = NULL;
	CK_FUNCTION_LIST *list = NULL;
	void *symbol;

	if (module == NULL) {
		(void)fprintf(stderr, "%s: %s\n", path, dlerror());
		return NULL;
	}
	symbol = dlsym(module, "C_GetFunctionList");
	memcpy(&get, &symbol, sizeof(get)); /* ISO C has no such cast */
	if (get == NULL || get(&list) != CKR_OK || list == NULL ||
	    list->C_Initialize(&arguments) != CKR_OK)
		return NULL;
	return list;
}

static bool
find_slot(struct module *m, CK_TOKEN_INFO *info)
{
	CK_SLOT_ID slots[8];
	CK_ULONG count = COUNT(slots);

	if (m->p11->C_GetSlotList(CK_TRUE, slots, &count) != CKR_OK)
		return false;
	for (CK_ULONG i = 0; i < count; i++)
		if (m->p11->C_GetTokenInfo(slots[i], info) == CKR_OK &&
		    memcmp(info->label, BENCH_LABEL, strlen(BENCH_LABEL)) ==
			0) {
			m->slot = slots[i];
			return true;
		}
	return false;
}

static bool
open_module(struct module *m, const char *path)
{
	static CK_UTF8CHAR pin[] = BENCH_PIN;
	CK_TOKEN_INFO info;
	CK_RV rv;

	m->p11 = load(path);
	if (m->p11 == NULL || !find_slot(m, &info) ||
	    m->p11->C_OpenSession(m->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION,
		NULL, NULL, &m->session) != CKR_OK)
		return false;
	if ((info.flags & CKF_LOGIN_REQUIRED) == 0)
		return true;
	rv = m->p11->C_Login(m->session, CKU_USER, pin, sizeof(pin) - 1);
	return rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN;
}

static CK_OBJECT_HANDLE
find_key(const struct module *m, enum what what)
{
	CK_OBJECT_CLASS class = whats[what].class;
	CK_ATTRIBUTE template[] = {
		{ CKA_CLASS, &class, sizeof(class) },
		{ CKA_LABEL, (void *)(uintptr_t)whats[what].label,
		    strlen(whats[what].label) },
	};
	CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
	CK_ULONG found = 0;

	if (m->p11->C_FindObjectsInit(m->session, template, COUNT(template)) !=
	    CKR_OK)
		return CK_INVALID_HANDLE;
	if (m->p11->C_FindObjects(m->session, &key, 1, &found) != CKR_OK ||
	    found == 0)
		key = CK_INVALID_HANDLE;
	(void)m->p11->C_FindObjectsFinal(m->session);
	return key;
}

/* A session key: those are the faster ones of SoftHSM. */
static CK_RV
generate(const struct module *m, enum what what, CK_OBJECT_HANDLE *out)
{
	static CK_BYTE p256[] = { 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
		0x03, 0x01, 0x07 };
	static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	static CK_ULONG bits = 2048, bytes = 32;
	CK_MECHANISM mechanism = { whats[what].generate, NULL, 0 };
	CK_ATTRIBUTE secret[] = { { CKA_TOKEN, &no, sizeof(no) },
		{ CKA_VALUE_LEN, &bytes, sizeof(bytes) },
		{ CKA_ENCRYPT, &yes, sizeof(yes) } };
	CK_ATTRIBUTE private_half[] = { { CKA_TOKEN, &no, sizeof(no) },
		{ CKA_SIGN, &yes, sizeof(yes) } };
	CK_ATTRIBUTE public_half[] = { { CKA_TOKEN, &no, sizeof(no) },
		{ CKA_EC_PARAMS, p256, sizeof(p256) } };
	CK_OBJECT_HANDLE unused;

	if (what == WHAT_GCM)
		return m->p11->C_GenerateKey(
		    m->session, &mechanism, secret, COUNT(secret), out);
	if (what == WHAT_RSA)
		public_half[1] =
		    (CK_ATTRIBUTE){ CKA_MODULUS_BITS, &bits, sizeof(bits) };
	return m->p11->C_GenerateKeyPair(m->session, &mechanism, public_half,
	    COUNT(public_half), private_half, COUNT(private_half), &unused,
	    out);
}

static CK_RV
key_for(struct module *m, enum what what)
{
	CK_MECHANISM_INFO info;
	CK_RV rv;

	if (m->keys[what] != CK_INVALID_HANDLE)
		return CKR_OK;
	rv = m->p11->C_GetMechanismInfo(m->slot, whats[what].mechanism, &info);
	if (rv != CKR_OK)
		return rv;
	m->keys[what] = find_key(m, what);
	if (m->keys[what] != CK_INVALID_HANDLE)
		return CKR_OK;
	return generate(m, what, &m->keys[what]);
}

/* -- Using a key -- */

static CK_RV
sign_once(const struct use *u, CK_SESSION_HANDLE session)
{
	CK_FUNCTION_LIST *p11 = u->module->p11;
	CK_MECHANISM mechanism = { whats[u->what].mechanism, NULL, 0 };
	CK_BYTE digest[DIGEST] = { 1 }, out[OUT_ROOM];
	CK_ULONG len = sizeof(out);
	CK_RV rv =
	    p11->C_SignInit(session, &mechanism, u->module->keys[u->what]);

	if (rv != CKR_OK)
		return rv;
	return p11->C_Sign(session, digest, sizeof(digest), out, &len);
}

/* The nonce is the caller's in this interface, and drawing it is part of the
 * work: from the kernel, as a caller without OpenSSL would. */
static CK_RV
encrypt_once(const struct use *u, CK_SESSION_HANDLE session)
{
	static const CK_BYTE in[PAYLOAD];
	CK_FUNCTION_LIST *p11 = u->module->p11;
	CK_BYTE iv[IV], out[OUT_ROOM];
	CK_GCM_PARAMS gcm = { .pIv = iv,
		.ulIvLen = IV,
		.ulIvBits = IV * 8,
		.ulTagBits = TAG_BITS };
	CK_MECHANISM mechanism = { CKM_AES_GCM, &gcm, sizeof(gcm) };
	CK_ULONG len = sizeof(out);
	CK_RV rv;

	if (getentropy(iv, sizeof(iv)) != 0)
		return CKR_GENERAL_ERROR;
	rv = p11->C_EncryptInit(session, &mechanism, u->module->keys[u->what]);
	if (rv != CKR_OK)
		return rv;
	return p11->C_Encrypt(
	    session, (CK_BYTE *)(uintptr_t)in, PAYLOAD, out, &len);
}

static void
use_member(struct crew_member *member)
{
	struct use *u = member->job;
	CK_FUNCTION_LIST *p11 = u->module->p11;
	CK_SESSION_HANDLE session;
	CK_RV rv = p11->C_OpenSession(u->module->slot,
	    CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session);
	bool opened = rv == CKR_OK;

	crew_begin(member);
	while (rv == CKR_OK && clock_ns() < member->deadline) {
		uint64_t began = clock_ns();

		rv = u->what == WHAT_GCM ? encrypt_once(u, session)
					 : sign_once(u, session);
		histogram_add(member->latency, clock_ns() - began);
		member->done++;
	}
	member->ended = clock_ns();
	if (opened)
		(void)p11->C_CloseSession(session);
	member->failed = rv != CKR_OK;
	if (rv != CKR_OK)
		u->failed = rv;
}

/* -- The conversation -- */

static bool
is_refusal(CK_RV rv)
{
	return rv == CKR_MECHANISM_INVALID || rv == CKR_FUNCTION_NOT_SUPPORTED;
}

static void
tell(CK_RV rv)
{
	(void)printf("%s 0x%lx\n", is_refusal(rv) ? "refused" : "failed", rv);
}

static void
serve(struct module *m, const char *name, unsigned threads, double seconds)
{
	struct use u = { .module = m, .what = WHATS };
	struct crew_result r;
	struct sample s;
	CK_RV rv;

	for (size_t i = 0; i < WHATS; i++)
		if (strcmp(name, whats[i].name) == 0)
			u.what = (enum what)i;
	if (u.what == WHATS) {
		(void)printf("failed no such work\n");
		return;
	}
	if ((rv = key_for(m, u.what)) != CKR_OK) {
		tell(rv);
		return;
	}
	if (!crew_run(use_member, &u, threads, seconds, 0, &r)) {
		tell(u.failed);
		return;
	}
	s = crew_sample(&r, 1);
	(void)printf("ok %.1f %.1f %.1f %.1f %llu\n", s.value, s.p50, s.p99,
	    s.cpu, (unsigned long long)r.done);
}

int
role_module(int argc, char **argv)
{
	struct module m = { 0 };
	char line[128], name[16], *at;
	unsigned threads;
	double seconds;

	if (argc != 1 || !open_module(&m, argv[0]))
		return 1;
	while ((at = fgets(line, sizeof(line), stdin)) != NULL) {
		if (!word_text(&at, name, sizeof(name)) ||
		    !word_count(&at, &threads) || !word_number(&at, &seconds))
			break;
		serve(&m, name, threads, seconds);
		if (fflush(stdout) != 0)
			break;
	}
	/* SoftHSM's library and OpenSSL disagree about the end of a process
	 * (SoftHSM issue 780). */
	_exit(0);
}

/* -- A new token -- */

int
role_token(int argc, char **argv)
{
	static CK_UTF8CHAR pin[] = BENCH_PIN;
	CK_FUNCTION_LIST *p11 = argc == 1 ? load(argv[0]) : NULL;
	CK_UTF8CHAR label[32];
	CK_SLOT_ID slot;
	CK_ULONG count = 1, len = sizeof(pin) - 1;
	CK_SESSION_HANDLE session;
	CK_RV rv;

	memset(label, ' ', sizeof(label));
	memcpy(label, BENCH_LABEL, strlen(BENCH_LABEL));
	if (p11 == NULL)
		return 1;
	if ((rv = p11->C_GetSlotList(CK_TRUE, &slot, &count)) != CKR_OK ||
	    (rv = p11->C_InitToken(slot, pin, len, label)) != CKR_OK ||
	    (rv = p11->C_GetSlotList(CK_TRUE, &slot, &count)) != CKR_OK ||
	    (rv = p11->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION,
		 NULL, NULL, &session)) != CKR_OK ||
	    (rv = p11->C_Login(session, CKU_SO, pin, len)) != CKR_OK ||
	    (rv = p11->C_InitPIN(session, pin, len)) != CKR_OK)
		(void)fprintf(stderr, "the token was not made: 0x%lx\n", rv);
	(void)p11->C_Finalize(NULL);
	_exit(rv == CKR_OK ? 0 : 1);
}
