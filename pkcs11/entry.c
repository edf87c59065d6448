/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions that hosts call. Each says what it needs of a session and who
 * does the work.
 */
#include "entry.h"

#include <stdint.h>
#include <string.h>

#include "attribute.h"
#include "crypt.h"
#include "cryptoki.h"
#include "digest_call.h"
#include "error.h"
#include "make.h"
#include "mechanism.h"
#include "module.h"
#include "object.h"
#include "operation.h"
#include "outcome.h"
#include "random.h"
#include "session.h"
#include "sign.h"
#include "slot.h"
#include "wrap.h"

static const CK_VERSION version_3_0 = { 3, 0 };
static const CK_VERSION library_version = { 0, 1 };

/* -- General -- */

CK_RV
C_Initialize(CK_VOID_PTR args)
{
	struct trace trace = trace_begin(__func__);
	struct hf_why why = { "" };
	CK_RV rv = module_initialize(args, &why);

	return trace_end(&trace, rv, &why);
}

CK_RV
C_Finalize(CK_VOID_PTR reserved)
{
	struct trace trace = trace_begin(__func__);

	if (reserved != NULL)
		return trace_end(&trace, CKR_ARGUMENTS_BAD, NULL);
	return trace_end(&trace, module_finalize(), NULL);
}

static void
pad(unsigned char *to, size_t cap, const char *from)
{
	memset(to, ' ', cap);
	memcpy(to, from, strlen(from));
}

static CK_RV
get_info(CK_INFO *out)
{
	if (out == NULL)
		return CKR_ARGUMENTS_BAD;
	*out = (CK_INFO){ .cryptokiVersion = version_3_0,
		.libraryVersion = library_version };
	pad(out->manufacturerID, sizeof(out->manufacturerID), "Holdfast");
	pad(out->libraryDescription, sizeof(out->libraryDescription),
	    "Holdfast key service");
	return CKR_OK;
}

CK_RV
C_GetInfo(CK_INFO_PTR out)
{
	WITH_MODULE(((void)module, get_info(out)));
}

/* -- Slots and tokens -- */

/* How Cryptoki gives lists back: how many there are, and *fill when the caller
 * has room for all. NULL asks for the number only. */
static CK_RV
count_list(const void *list, CK_ULONG *count, CK_ULONG have, bool *fill)
{
	CK_ULONG room;

	*fill = false;
	if (count == NULL)
		return CKR_ARGUMENTS_BAD;
	room = *count;
	*count = have;
	*fill = list != NULL && room >= have;
	return list == NULL || *fill ? CKR_OK : CKR_BUFFER_TOO_SMALL;
}

static CK_RV
get_slot_list(const struct module *module, CK_SLOT_ID *list, CK_ULONG *count)
{
	bool fill;
	CK_RV rv = count_list(list, count, module->slot_count, &fill);

	for (size_t i = 0; fill && i < module->slot_count; i++)
		list[i] = module->slots[i].id;
	return rv;
}

CK_RV
C_GetSlotList(CK_BBOOL present, CK_SLOT_ID_PTR list, CK_ULONG_PTR count)
{
	(void)present; /* all tokens are, always */
	WITH_MODULE(get_slot_list(module, list, count));
}

static CK_RV
get_slot_info(struct module *module, CK_SLOT_ID id, CK_SLOT_INFO *out)
{
	const struct slot *slot = module_slot(module, id);

	if (slot == NULL)
		return CKR_SLOT_ID_INVALID;
	if (out == NULL)
		return CKR_ARGUMENTS_BAD;
	slot_info(slot, out);
	return CKR_OK;
}

CK_RV
C_GetSlotInfo(CK_SLOT_ID id, CK_SLOT_INFO_PTR out)
{
	WITH_MODULE(get_slot_info(module, id, out));
}

static CK_RV
get_token_info(struct module *module, CK_SLOT_ID id, CK_TOKEN_INFO *out)
{
	const struct slot *slot = module_slot(module, id);

	if (slot == NULL)
		return CKR_SLOT_ID_INVALID;
	if (out == NULL)
		return CKR_ARGUMENTS_BAD;
	module_lock();
	slot_token_info(slot, out);
	module_unlock();
	return CKR_OK;
}

CK_RV
C_GetTokenInfo(CK_SLOT_ID id, CK_TOKEN_INFO_PTR out)
{
	WITH_MODULE(get_token_info(module, id, out));
}

/* Tokens do not come and go; who waits for that waits for C_Finalize. */
CK_RV
C_WaitForSlotEvent(CK_FLAGS flags, CK_SLOT_ID_PTR slot, CK_VOID_PTR reserved)
{
	(void)slot;
	WITH_MODULE(((void)module,
	    reserved != NULL                    ? CKR_ARGUMENTS_BAD
		: (flags & CKF_DONT_BLOCK) != 0 ? CKR_NO_EVENT
						: module_wait_for_end()));
}

static CK_RV
get_mechanism_list(struct module *module, CK_SLOT_ID id,
    CK_MECHANISM_TYPE *list, CK_ULONG *count)
{
	bool fill;
	CK_RV rv;

	if (module_slot(module, id) == NULL)
		return CKR_SLOT_ID_INVALID;
	rv = count_list(list, count, mechs_count, &fill);
	for (size_t i = 0; fill && i < mechs_count; i++)
		list[i] = mechs[i].type;
	return rv;
}

CK_RV
C_GetMechanismList(
    CK_SLOT_ID id, CK_MECHANISM_TYPE_PTR list, CK_ULONG_PTR count)
{
	WITH_MODULE(get_mechanism_list(module, id, list, count));
}

static CK_RV
get_mechanism_info(struct module *module, CK_SLOT_ID id, CK_MECHANISM_TYPE type,
    CK_MECHANISM_INFO *out)
{
	const struct mech *mech = mech_find(type);

	if (module_slot(module, id) == NULL)
		return CKR_SLOT_ID_INVALID;
	if (mech == NULL)
		return CKR_MECHANISM_INVALID;
	if (out == NULL)
		return CKR_ARGUMENTS_BAD;
	*out = mech->info;
	return CKR_OK;
}

CK_RV
C_GetMechanismInfo(
    CK_SLOT_ID id, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO_PTR out)
{
	WITH_MODULE(get_mechanism_info(module, id, type, out));
}

/* Tokens are made and PINs set with the service's own tools. */
CK_RV
C_InitToken(
    CK_SLOT_ID id, CK_UTF8CHAR_PTR pin, CK_ULONG pin_len, CK_UTF8CHAR_PTR label)
{
	(void)id;
	(void)pin;
	(void)pin_len;
	(void)label;
	REFUSE(CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV
C_InitPIN(CK_SESSION_HANDLE h, CK_UTF8CHAR_PTR pin, CK_ULONG pin_len)
{
	(void)h;
	(void)pin;
	(void)pin_len;
	REFUSE(CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV
C_SetPIN(CK_SESSION_HANDLE h, CK_UTF8CHAR_PTR old, CK_ULONG old_len,
    CK_UTF8CHAR_PTR new, CK_ULONG new_len)
{
	(void)h;
	(void)old;
	(void)old_len;
	(void)new;
	(void)new_len;
	REFUSE(CKR_FUNCTION_NOT_SUPPORTED);
}

/* -- Sessions -- */

CK_RV
C_OpenSession(CK_SLOT_ID id, CK_FLAGS flags, CK_VOID_PTR application,
    CK_NOTIFY notify, CK_SESSION_HANDLE_PTR out)
{
	(void)application;
	(void)notify;
	WITH_MODULE(session_open(module, id, flags, out));
}

CK_RV
C_CloseSession(CK_SESSION_HANDLE h)
{
	WITH_MODULE(session_close(module, h));
}

CK_RV
C_CloseAllSessions(CK_SLOT_ID id)
{
	WITH_MODULE(session_close_all(module, id));
}

static CK_RV
get_session_info(const struct session *session, CK_SESSION_INFO *out)
{
	if (out == NULL)
		return CKR_ARGUMENTS_BAD;
	session_info(session, out);
	return CKR_OK;
}

CK_RV
C_GetSessionInfo(CK_SESSION_HANDLE h, CK_SESSION_INFO_PTR out)
{
	WITH_SESSION(h, get_session_info(session, out));
}

CK_RV
C_GetOperationState(CK_SESSION_HANDLE h, CK_BYTE_PTR out, CK_ULONG_PTR out_len)
{
	WITH_SESSION(h, digest_call_save(session, out, out_len));
}

CK_RV
C_SetOperationState(CK_SESSION_HANDLE h, CK_BYTE_PTR in, CK_ULONG len,
    CK_OBJECT_HANDLE encryption_key, CK_OBJECT_HANDLE authentication_key)
{
	WITH_SESSION(h,
	    encryption_key != CK_INVALID_HANDLE ||
		    authentication_key != CK_INVALID_HANDLE
		? CKR_KEY_NOT_NEEDED
		: digest_call_restore(session, in, len));
}

CK_RV
C_Login(CK_SESSION_HANDLE h, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin,
    CK_ULONG pin_len)
{
	WITH_SESSION(h, session_login(session, user, pin, pin_len));
}

CK_RV
C_LoginUser(CK_SESSION_HANDLE h, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin,
    CK_ULONG pin_len, CK_UTF8CHAR_PTR name, CK_ULONG name_len)
{
	(void)name; /* the kernel says who it is */
	(void)name_len;
	WITH_SESSION(h, session_login(session, user, pin, pin_len));
}

CK_RV
C_Logout(CK_SESSION_HANDLE h)
{
	WITH_SESSION(h, session_logout(session));
}

static CK_RV
session_cancel(struct session *session, CK_FLAGS flags)
{
	static const CK_FLAGS of_kind[KINDS] = {
		[KIND_ENCRYPT] = CKF_ENCRYPT,
		[KIND_DECRYPT] = CKF_DECRYPT,
		[KIND_SIGN] = CKF_SIGN,
		[KIND_VERIFY] = CKF_VERIFY,
		[KIND_DIGEST] = CKF_DIGEST,
		[KIND_MESSAGE_ENCRYPT] = CKF_MESSAGE_ENCRYPT,
		[KIND_MESSAGE_DECRYPT] = CKF_MESSAGE_DECRYPT,
	};

	for (size_t i = 0; i < KINDS; i++)
		if ((flags & of_kind[i]) != 0)
			operation_end(&session->ops[i]);
	if ((flags & CKF_FIND_OBJECTS) != 0 && session->finding)
		(void)object_find_end(session);
	return CKR_OK;
}

CK_RV
C_SessionCancel(CK_SESSION_HANDLE h, CK_FLAGS flags)
{
	WITH_SESSION(h, session_cancel(session, flags));
}

/* -- Objects -- */

CK_RV
C_CreateObject(CK_SESSION_HANDLE h, CK_ATTRIBUTE_PTR template, CK_ULONG count,
    CK_OBJECT_HANDLE_PTR out)
{
	WITH_SESSION(h, make_object(session, template, count, out));
}

/* CKA_COPYABLE says so; hosts that cache keys in sessions ask all the same. */
CK_RV
C_CopyObject(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE object,
    CK_ATTRIBUTE_PTR template, CK_ULONG count, CK_OBJECT_HANDLE_PTR out)
{
	(void)object;
	(void)template;
	(void)count;
	(void)out;
	WITH_SESSION(h, ((void)session, CKR_ACTION_PROHIBITED));
}

CK_RV
C_DestroyObject(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE object)
{
	WITH_SESSION(h, destroy_object(session, object));
}

static CK_RV
get_object_size(
    struct session *session, CK_OBJECT_HANDLE handle, CK_ULONG *size)
{
	struct object *object;
	CK_RV rv =
	    object_get(session, handle, CKR_OBJECT_HANDLE_INVALID, &object);

	if (rv != CKR_OK)
		return rv;
	object_put(object);
	if (size == NULL)
		return CKR_ARGUMENTS_BAD;
	*size = CK_UNAVAILABLE_INFORMATION;
	return CKR_OK;
}

CK_RV
C_GetObjectSize(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE object, CK_ULONG_PTR size)
{
	WITH_SESSION(h, get_object_size(session, object, size));
}

static CK_RV
get_attributes(struct session *session, CK_OBJECT_HANDLE handle,
    CK_ATTRIBUTE *template, CK_ULONG count)
{
	struct object *object;
	CK_RV rv =
	    object_get(session, handle, CKR_OBJECT_HANDLE_INVALID, &object);

	if (rv != CKR_OK)
		return rv;
	rv = attribute_get(object, template, count);
	object_put(object);
	return rv;
}

CK_RV
C_GetAttributeValue(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE object,
    CK_ATTRIBUTE_PTR template, CK_ULONG count)
{
	WITH_SESSION(h, get_attributes(session, object, template, count));
}

CK_RV
C_SetAttributeValue(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE object,
    CK_ATTRIBUTE_PTR template, CK_ULONG count)
{
	WITH_SESSION(h, change_object(session, object, template, count));
}

CK_RV
C_FindObjectsInit(
    CK_SESSION_HANDLE h, CK_ATTRIBUTE_PTR template, CK_ULONG count)
{
	WITH_SESSION(h, object_find_start(session, template, count));
}

CK_RV
C_FindObjects(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE_PTR out, CK_ULONG max,
    CK_ULONG_PTR count)
{
	WITH_SESSION(h, object_find(session, out, max, count));
}

CK_RV
C_FindObjectsFinal(CK_SESSION_HANDLE h)
{
	WITH_SESSION(h, object_find_end(session));
}

/* -- Encryption -- */

CK_RV
C_EncryptInit(CK_SESSION_HANDLE h, CK_MECHANISM_PTR mech, CK_OBJECT_HANDLE key)
{
	WITH_SESSION(h, operation_begin(session, KIND_ENCRYPT, mech, key));
}

CK_RV
C_Encrypt(CK_SESSION_HANDLE h, CK_BYTE_PTR in, CK_ULONG len, CK_BYTE_PTR out,
    CK_ULONG_PTR out_len)
{
	WITH_SESSION(
	    h, outcome_whole(session, KIND_ENCRYPT, in, len, out, out_len));
}

CK_RV
C_EncryptUpdate(CK_SESSION_HANDLE h, CK_BYTE_PTR in, CK_ULONG len,
    CK_BYTE_PTR out, CK_ULONG_PTR out_len)
{
	WITH_SESSION(
	    h, crypt_update(session, KIND_ENCRYPT, in, len, out, out_len));
}

CK_RV
C_EncryptFinal(CK_SESSION_HANDLE h, CK_BYTE_PTR out, CK_ULONG_PTR out_len)
{
	WITH_SESSION(h, outcome_final(session, KIND_ENCRYPT, out, out_len));
}

CK_RV
C_DecryptInit(CK_SESSION_HANDLE h, CK_MECHANISM_PTR mech, CK_OBJECT_HANDLE key)
{
	WITH_SESSION(h, operation_begin(session, KIND_DECRYPT, mech, key));
}

CK_RV
C_Decrypt(CK_SESSION_HANDLE h, CK_BYTE_PTR in, CK_ULONG len, CK_BYTE_PTR out,
    CK_ULONG_PTR out_len)
{
	WITH_SESSION(
	    h, outcome_whole(session, KIND_DECRYPT, in, len, out, out_len));
}

CK_RV
C_DecryptUpdate(CK_SESSION_HANDLE h, CK_BYTE_PTR in, CK_ULONG len,
    CK_BYTE_PTR out, CK_ULONG_PTR out_len)
{
	WITH_SESSION(
	    h, crypt_update(session, KIND_DECRYPT, in, len, out, out_len));
}

CK_RV
C_DecryptFinal(CK_SESSION_HANDLE h, CK_BYTE_PTR out, CK_ULONG_PTR out_len)
{
	WITH_SESSION(h, outcome_final(session, KIND_DECRYPT, out, out_len));
}

/* -- Digests -- */

CK_RV
C_DigestInit(CK_SESSION_HANDLE h, CK_MECHANISM_PTR mech)
{
	WITH_SESSION(
	    h, operation_begin(session, KIND_DIGEST, mech, CK_INVALID_HANDLE));
}

CK_RV
C_Digest(CK_SESSION_HANDLE h, CK_BYTE_PTR in, CK_ULONG len, CK_BYTE_PTR out,
    CK_ULONG_PTR out_len)
{
	WITH_SESSION(
	    h, outcome_whole(session, KIND_DIGEST, in, len, out, out_len));
}

CK_RV
C_DigestUpdate(CK_SESSION_HANDLE h, CK_BYTE_PTR in, CK_ULONG len)
{
	WITH_SESSION(h, outcome_update(session, KIND_DIGEST, in, len));
}

/* The value of a key never comes here to be hashed. */
CK_RV
C_DigestKey(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE key)
{
	(void)key;
	WITH_SESSION(h, ((void)session, CKR_KEY_INDIGESTIBLE));
}

CK_RV
C_DigestFinal(CK_SESSION_HANDLE h, CK_BYTE_PTR out, CK_ULONG_PTR out_len)
{
	WITH_SESSION(h, outcome_final(session, KIND_DIGEST, out, out_len));
}

/* -- Signatures and MACs -- */

CK_RV
C_SignInit(CK_SESSION_HANDLE h, CK_MECHANISM_PTR mech, CK_OBJECT_HANDLE key)
{
	WITH_SESSION(h, operation_begin(session, KIND_SIGN, mech, key));
}

CK_RV
C_Sign(CK_SESSION_HANDLE h, CK_BYTE_PTR in, CK_ULONG len, CK_BYTE_PTR out,
    CK_ULONG_PTR out_len)
{
	WITH_SESSION(
	    h, outcome_whole(session, KIND_SIGN, in, len, out, out_len));
}

CK_RV
C_SignUpdate(CK_SESSION_HANDLE h, CK_BYTE_PTR in, CK_ULONG len)
{
	WITH_SESSION(h, outcome_update(session, KIND_SIGN, in, len));
}

CK_RV
C_SignFinal(CK_SESSION_HANDLE h, CK_BYTE_PTR out, CK_ULONG_PTR out_len)
{
	WITH_SESSION(h, outcome_final(session, KIND_SIGN, out, out_len));
}

CK_RV
C_VerifyInit(CK_SESSION_HANDLE h, CK_MECHANISM_PTR mech, CK_OBJECT_HANDLE key)
{
	WITH_SESSION(h, operation_begin(session, KIND_VERIFY, mech, key));
}

CK_RV
C_Verify(CK_SESSION_HANDLE h, CK_BYTE_PTR in, CK_ULONG len, CK_BYTE_PTR sig,
    CK_ULONG sig_len)
{
	WITH_SESSION(h, verify_whole(session, in, len, sig, sig_len));
}

CK_RV
C_VerifyUpdate(CK_SESSION_HANDLE h, CK_BYTE_PTR in, CK_ULONG len)
{
	WITH_SESSION(h, outcome_update(session, KIND_VERIFY, in, len));
}

CK_RV
C_VerifyFinal(CK_SESSION_HANDLE h, CK_BYTE_PTR sig, CK_ULONG sig_len)
{
	WITH_SESSION(h, verify_final(session, sig, sig_len));
}

/* Recovery of data from signatures, and two operations in one call: nobody
 * needs them any more. */
CK_RV
C_SignRecoverInit(
    CK_SESSION_HANDLE h, CK_MECHANISM_PTR mech, CK_OBJECT_HANDLE key)
{
	(void)h;
	(void)mech;
	(void)key;
	REFUSE(CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV
C_VerifyRecoverInit(
    CK_SESSION_HANDLE h, CK_MECHANISM_PTR mech, CK_OBJECT_HANDLE key)
{
	(void)h;
	(void)mech;
	(void)key;
	REFUSE(CKR_FUNCTION_NOT_SUPPORTED);
}

#define UNSUPPORTED(name)                                             \
	CK_RV name(CK_SESSION_HANDLE h, CK_BYTE_PTR in, CK_ULONG len, \
	    CK_BYTE_PTR out, CK_ULONG_PTR out_len)                    \
	{                                                             \
		(void)h;                                              \
		(void)in;                                             \
		(void)len;                                            \
		(void)out;                                            \
		(void)out_len;                                        \
		REFUSE(CKR_FUNCTION_NOT_SUPPORTED);                   \
	}
UNSUPPORTED(C_SignRecover)
UNSUPPORTED(C_VerifyRecover)
UNSUPPORTED(C_DigestEncryptUpdate)
UNSUPPORTED(C_DecryptDigestUpdate)
UNSUPPORTED(C_SignEncryptUpdate)
UNSUPPORTED(C_DecryptVerifyUpdate)

/* -- Keys -- */

CK_RV
C_GenerateKey(CK_SESSION_HANDLE h, CK_MECHANISM_PTR mech,
    CK_ATTRIBUTE_PTR template, CK_ULONG count, CK_OBJECT_HANDLE_PTR out)
{
	WITH_LOGIN(h, make_key(session, mech, template, count, out));
}

CK_RV
C_GenerateKeyPair(CK_SESSION_HANDLE h, CK_MECHANISM_PTR mech,
    CK_ATTRIBUTE_PTR public, CK_ULONG public_count, CK_ATTRIBUTE_PTR private,
    CK_ULONG private_count, CK_OBJECT_HANDLE_PTR public_out,
    CK_OBJECT_HANDLE_PTR private_out)
{
	struct half pub = { public, public_count, public_out };
	struct half priv = { private, private_count, private_out };

	WITH_LOGIN(h, make_pair(session, mech, &pub, &priv));
}

CK_RV
C_WrapKey(CK_SESSION_HANDLE h, CK_MECHANISM_PTR mech,
    CK_OBJECT_HANDLE wrapping_key, CK_OBJECT_HANDLE key, CK_BYTE_PTR out,
    CK_ULONG_PTR out_len)
{
	WITH_LOGIN(h, wrap_key(session, mech, wrapping_key, key, out, out_len));
}

CK_RV
C_UnwrapKey(CK_SESSION_HANDLE h, CK_MECHANISM_PTR mech,
    CK_OBJECT_HANDLE unwrapping_key, CK_BYTE_PTR in, CK_ULONG len,
    CK_ATTRIBUTE_PTR template, CK_ULONG count, CK_OBJECT_HANDLE_PTR out)
{
	struct hf_bytes wrapped = { in, len };

	WITH_LOGIN(h,
	    unwrap_key(
		session, mech, unwrapping_key, wrapped, template, count, out));
}

CK_RV
C_DeriveKey(CK_SESSION_HANDLE h, CK_MECHANISM_PTR mech, CK_OBJECT_HANDLE base,
    CK_ATTRIBUTE_PTR template, CK_ULONG count, CK_OBJECT_HANDLE_PTR out)
{
	WITH_LOGIN(h, derive_key(session, mech, base, template, count, out));
}

/* -- Random -- */

CK_RV
C_SeedRandom(CK_SESSION_HANDLE h, CK_BYTE_PTR seed, CK_ULONG len)
{
	(void)seed;
	(void)len;
	WITH_SESSION(h, ((void)session, CKR_RANDOM_SEED_NOT_SUPPORTED));
}

CK_RV
C_GenerateRandom(CK_SESSION_HANDLE h, CK_BYTE_PTR out, CK_ULONG len)
{
	WITH_SESSION(h, random_fill(session, out, len));
}

/* -- Leftovers of version 1 -- */

CK_RV
C_GetFunctionStatus(CK_SESSION_HANDLE h)
{
	(void)h;
	REFUSE(CKR_FUNCTION_NOT_PARALLEL);
}

CK_RV
C_CancelFunction(CK_SESSION_HANDLE h)
{
	(void)h;
	REFUSE(CKR_FUNCTION_NOT_PARALLEL);
}

/* -- The lists of functions -- */

#define ENTRY_2_40(name) .name = name,
#define ENTRY_3_0(name, args) .name = name,

static const CK_FUNCTION_LIST functions_2_40 = { .version = { 2, 40 },
	CK_FUNCTIONS_2_40(ENTRY_2_40) };

static const CK_FUNCTION_LIST_3_0 functions_3_0 = { .version = { 3, 0 },
	CK_FUNCTIONS_2_40(ENTRY_2_40) CK_FUNCTIONS_3_0(ENTRY_3_0) };

static const char interface_name[] = "PKCS 11";

/* Hosts get pointers that are not const to memory that is. */
#define EXPOSE(type, object) ((type)(uintptr_t)(const void *)(object))

static const CK_INTERFACE interfaces[] = {
	{ EXPOSE(CK_UTF8CHAR *, interface_name), EXPOSE(void *, &functions_3_0),
	    CKF_INTERFACE_FORK_SAFE },
	{ EXPOSE(CK_UTF8CHAR *, interface_name),
	    EXPOSE(void *, &functions_2_40), CKF_INTERFACE_FORK_SAFE },
};

enum { INTERFACES = sizeof(interfaces) / sizeof(interfaces[0]) };

CK_RV
C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list)
{
	if (list == NULL)
		return CKR_ARGUMENTS_BAD;
	*list = EXPOSE(CK_FUNCTION_LIST *, &functions_2_40);
	return CKR_OK;
}

CK_RV
C_GetInterfaceList(CK_INTERFACE_PTR list, CK_ULONG_PTR count)
{
	bool fill;
	CK_RV rv = count_list(list, count, INTERFACES, &fill);

	if (fill)
		memcpy(list, interfaces, sizeof(interfaces));
	return rv;
}

/* Both lists begin with their version. */
static bool
interface_is(const CK_INTERFACE *interface, const CK_UTF8CHAR *name,
    const CK_VERSION *version, CK_FLAGS flags)
{
	const CK_VERSION *own = interface->pFunctionList;

	if (name != NULL && strcmp((const char *)name, interface_name) != 0)
		return false;
	if (version != NULL &&
	    (version->major != own->major || version->minor != own->minor))
		return false;
	return (interface->flags & flags) == flags;
}

CK_RV
C_GetInterface(CK_UTF8CHAR_PTR name, CK_VERSION_PTR version,
    CK_INTERFACE_PTR_PTR out, CK_FLAGS flags)
{
	if (out == NULL)
		return CKR_ARGUMENTS_BAD;
	for (size_t i = 0; i < INTERFACES; i++)
		if (interface_is(&interfaces[i], name, version, flags)) {
			*out = EXPOSE(CK_INTERFACE *, &interfaces[i]);
			return CKR_OK;
		}
	return CKR_FUNCTION_FAILED;
}
