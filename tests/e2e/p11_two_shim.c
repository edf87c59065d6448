/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PKCS#11 module that forwards to SoftHSM and takes single tokens away: the
 * file P11_AWAY holds their labels, a line each, and is read in each call. A
 * token that is away has no slot, and what is done in a session with it gives
 * CKR_DEVICE_REMOVED. Sessions stay, as they do when a cable is pulled.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "p11_real.h"

static CK_FUNCTION_LIST list;     /* what we give out */
static CK_FUNCTION_LIST_PTR real; /* what we forward to */

static bool
is_listed(const char *label)
{
	const char *path = getenv("P11_AWAY");
	char text[256], *save = NULL;
	ssize_t n;
	int fd;

	if (path == NULL || (fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	if (n < 0)
		return false;
	text[n] = '\0';
	for (char *line = strtok_r(text, "\n", &save); line != NULL;
	     line = strtok_r(NULL, "\n", &save))
		if (strcmp(line, label) == 0)
			return true;
	return false;
}

static bool
slot_away(CK_SLOT_ID slot)
{
	CK_TOKEN_INFO info;
	char label[sizeof(info.label) + 1];
	size_t len = sizeof(info.label);

	if (real->C_GetTokenInfo(slot, &info) != CKR_OK)
		return false;
	memcpy(label, info.label, len);
	while (len > 0 && label[len - 1] == ' ')
		len--;
	label[len] = '\0';
	return is_listed(label);
}

static bool
away(CK_SESSION_HANDLE session)
{
	CK_SESSION_INFO info;

	return real->C_GetSessionInfo(session, &info) == CKR_OK &&
	    slot_away(info.slotID);
}

static CK_RV
get_slot_list(CK_BBOOL present, CK_SLOT_ID_PTR slots, CK_ULONG_PTR count)
{
	CK_RV rv = real->C_GetSlotList(present, slots, count);
	CK_ULONG kept = 0;

	if (rv != CKR_OK || slots == NULL)
		return rv;
	for (CK_ULONG i = 0; i < *count; i++)
		if (!slot_away(slots[i]))
			slots[kept++] = slots[i];
	*count = kept;
	return CKR_OK;
}

/* SESSION_CALL(name, its parameters, what is passed on) */
#define SESSION_CALL(name, parameters, arguments)                \
	static CK_RV name parameters                             \
	{                                                        \
		return away(session) ? CKR_DEVICE_REMOVED        \
				     : real->C_##name arguments; \
	}

SESSION_CALL(GenerateRandom,
    (CK_SESSION_HANDLE session, CK_BYTE_PTR out, CK_ULONG len),
    (session, out, len))
SESSION_CALL(FindObjectsInit,
    (CK_SESSION_HANDLE session, CK_ATTRIBUTE_PTR t, CK_ULONG n),
    (session, t, n))
SESSION_CALL(EncryptInit,
    (CK_SESSION_HANDLE session, CK_MECHANISM_PTR m, CK_OBJECT_HANDLE key),
    (session, m, key))
SESSION_CALL(DecryptInit,
    (CK_SESSION_HANDLE session, CK_MECHANISM_PTR m, CK_OBJECT_HANDLE key),
    (session, m, key))
SESSION_CALL(SignInit,
    (CK_SESSION_HANDLE session, CK_MECHANISM_PTR m, CK_OBJECT_HANDLE key),
    (session, m, key))
SESSION_CALL(GenerateKey,
    (CK_SESSION_HANDLE session, CK_MECHANISM_PTR m, CK_ATTRIBUTE_PTR t,
	CK_ULONG n, CK_OBJECT_HANDLE_PTR key),
    (session, m, t, n, key))
SESSION_CALL(UnwrapKey,
    (CK_SESSION_HANDLE session, CK_MECHANISM_PTR m, CK_OBJECT_HANDLE key,
	CK_BYTE_PTR in, CK_ULONG len, CK_ATTRIBUTE_PTR t, CK_ULONG n,
	CK_OBJECT_HANDLE_PTR out),
    (session, m, key, in, len, t, n, out))

__attribute__((visibility("default"))) CK_RV
C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR out)
{
	CK_RV rv = real != NULL ? CKR_OK : p11_real(NULL, &real);

	if (rv != CKR_OK)
		return rv;
	list = *real;
	list.C_GetFunctionList = C_GetFunctionList;
	list.C_GetSlotList = get_slot_list;
	list.C_GenerateRandom = GenerateRandom;
	list.C_FindObjectsInit = FindObjectsInit;
	list.C_EncryptInit = EncryptInit;
	list.C_DecryptInit = DecryptInit;
	list.C_SignInit = SignInit;
	list.C_GenerateKey = GenerateKey;
	list.C_UnwrapKey = UnwrapKey;
	*out = &list;
	return CKR_OK;
}
