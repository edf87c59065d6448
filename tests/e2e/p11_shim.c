/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PKCS#11 module that forwards to another one (P11_MODULE, else SoftHSM) and
 * makes it misbehave: the file P11_FAULTS holds words, looked at in each call,
 * so that a fault can come and go.
 *
 *	same_iv        AES-GCM takes a nonce of its own, always the same
 *	device_error   signing and encrypting fail with CKR_DEVICE_ERROR
 *	no_slots       the token is not there
 *
 * Each login is a line in P11_LOG.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <p11-kit/pkcs11.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static CK_FUNCTION_LIST list;     /* what we give out */
static CK_FUNCTION_LIST_PTR real; /* what we forward to */

static bool
has_fault(const char *word)
{
	const char *path = getenv("P11_FAULTS");
	char text[256];
	ssize_t n;
	int fd;

	if (path == NULL || (fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	if (n < 0)
		return false;
	text[n] = '\0';
	return strstr(text, word) != NULL;
}

static void
log_line(const char *line)
{
	const char *path = getenv("P11_LOG");
	FILE *f = path == NULL ? NULL : fopen(path, "ae");

	if (f == NULL)
		return;
	(void)fprintf(f, "%s\n", line);
	(void)fclose(f);
}

/* -- The functions that differ -- */

static CK_RV
get_slot_list(CK_BBOOL present, CK_SLOT_ID_PTR slots, CK_ULONG_PTR count)
{
	if (!has_fault("no_slots"))
		return real->C_GetSlotList(present, slots, count);
	*count = 0;
	return CKR_OK;
}

static CK_RV
login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin,
    CK_ULONG len)
{
	log_line("login");
	return real->C_Login(session, user, pin, len);
}

static CK_RV
encrypt_init(
    CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key)
{
	static CK_BYTE same[12];
	CK_MECHANISM changed = *mechanism;
	CK_GCM_PARAMS params;

	if (has_fault("device_error"))
		return CKR_DEVICE_ERROR;
	if (mechanism->mechanism != CKM_AES_GCM || !has_fault("same_iv"))
		return real->C_EncryptInit(session, mechanism, key);
	memcpy(&params, mechanism->pParameter, sizeof(params));
	params.pIv = same;
	params.ulIvLen = sizeof(same);
	changed.pParameter = &params;
	return real->C_EncryptInit(session, &changed, key);
}

static CK_RV
sign_init(
    CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key)
{
	if (has_fault("device_error"))
		return CKR_DEVICE_ERROR;
	return real->C_SignInit(session, mechanism, key);
}

/* -- The module -- */

static CK_RV
load(void)
{
	const char *path = getenv("P11_MODULE");
	void *module =
	    dlopen(path == NULL ? "/usr/lib/softhsm/libsofthsm2.so" : path,
		RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	void *symbol =
	    module == NULL ? NULL : dlsym(module, "C_GetFunctionList");
	CK_C_GetFunctionList get;

	if (symbol == NULL)
		return CKR_GENERAL_ERROR;
	memcpy(&get, &symbol, sizeof(get));
	return get(&real);
}

__attribute__((visibility("default"))) CK_RV
C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR out)
{
	CK_RV rv = real != NULL ? CKR_OK : load();

	if (rv != CKR_OK)
		return rv;
	list = *real;
	list.C_GetFunctionList = C_GetFunctionList;
	list.C_GetSlotList = get_slot_list;
	list.C_Login = login;
	list.C_EncryptInit = encrypt_init;
	list.C_SignInit = sign_init;
	*out = &list;
	return CKR_OK;
}
