/* SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "../lib/bytes.h"
#include "hsm_internal.h"
#include "log.h"

enum { SLOTS_MAX = 256 };

/* PKCS#11 texts are padded with blanks and have no NUL. */
static void
text_copy(char *out, size_t cap, const unsigned char *in, size_t len)
{
	while (len > 0 && (in[len - 1] == ' ' || in[len - 1] == '\0'))
		len--;
	if (len > cap - 1)
		len = cap - 1;
	for (size_t i = 0; i < len; i++)
		out[i] = in[i] < 0x20 || in[i] == 0x7f ? '?' : (char)in[i];
	out[len] = '\0';
}

static bool
text_given(const unsigned char *in, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (in[i] != 0)
			return true;
	return false;
}

/* p11-kit leaves what the URI does not say as zeros. */
static enum hf_err
uri_check(P11KitUri *uri, struct hf_why *why)
{
	const char *path = p11_kit_uri_get_module_path(uri);
	const CK_TOKEN_INFO *token = p11_kit_uri_get_token_info(uri);

	if (p11_kit_uri_get_pin_value(uri) != NULL ||
	    p11_kit_uri_get_pin_source(uri) != NULL)
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "the HSM's URI must not say where the PIN is; that is a "
		    "setting of its own");
	if (path == NULL || *path != '/')
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "the HSM's URI needs module-path=/..., the full path of "
		    "its PKCS#11 module");
	if (!text_given(token->label, sizeof(token->label)) &&
	    !text_given(token->serialNumber, sizeof(token->serialNumber)))
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "the HSM's URI needs token=... or serial=...");
	if (p11_kit_uri_any_unrecognized(uri))
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "the HSM's URI has a part that is not of RFC 7512");
	return HF_OK;
}

/* The module stays mapped for ever: some crash when they are unloaded. */
static enum hf_err
module_load(struct hsm *hsm, const char *path, struct hf_why *why)
{
	size_t held = held_count();
	void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	CK_C_GetFunctionList get = NULL;
	void *symbol;

	if (module == NULL)
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "the HSM's module cannot be loaded: %s", dlerror());
	symbol = dlsym(module, "C_GetFunctionList");
	memcpy(&get, &symbol, sizeof(get)); /* ISO C has no such cast */
	if (get == NULL || get(&hsm->fn) != CKR_OK || hsm->fn == NULL)
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "%s is not a PKCS#11 module", path);
	if (hsm->fn->version.major != 2 && hsm->fn->version.major != 3)
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "%s speaks PKCS#11 %u, not 2 or 3", path,
		    (unsigned)hsm->fn->version.major);
	(void)snprintf(hsm->info.module, sizeof(hsm->info.module), "%s", path);
	held_compare(hsm, held);
	return HF_OK;
}

enum hf_err
token_uri(struct hsm *hsm, const char *text, struct hf_why *why)
{
	int bad;

	hsm->uri = p11_kit_uri_new();
	if (hsm->uri == NULL)
		return HF_ERR_NO_MEMORY;
	bad = p11_kit_uri_parse(text, P11_KIT_URI_FOR_ANY, hsm->uri);
	if (bad != P11_KIT_URI_OK)
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "the HSM's URI is not of RFC 7512: %s",
		    p11_kit_uri_message(bad));
	return uri_check(hsm->uri, why);
}

enum hf_err
token_load(struct hsm *hsm, struct hf_why *why)
{
	return module_load(hsm, p11_kit_uri_get_module_path(hsm->uri), why);
}

void
token_unload(struct hsm *hsm)
{
	p11_kit_uri_free(hsm->uri);
	hsm->uri = NULL;
}

/* Sorts what a failed step of connecting means; never DATA: try again. */
static enum hf_err
step_failed(CK_RV rv, const char *step, struct hf_why *why)
{
	const struct ckr_row *row = ckr_row(rv);

	return hf_fail(why,
	    row->class == CLASS_PIN ? HF_ERR_HSM_PIN : HF_ERR_HSM_UNAVAILABLE,
	    "%s: %s (0x%lx)", step, row->name, rv);
}

static enum hf_err
module_initialize(struct hsm *hsm, struct hf_why *why)
{
	CK_RV rv = module_enter(hsm->fn);

	if (rv == CKR_CANT_LOCK)
		return hf_fail(why, HF_ERR_HSM_UNSUITABLE,
		    "the module is not safe for threads");
	if (rv != CKR_OK)
		return step_failed(rv, "C_Initialize", why);
	hsm->initialized = true;
	return HF_OK;
}

/*
 * A slot number means nothing from one C_Initialize to the next: the token is
 * found by what the URI says, and after the first time by its serial too.
 */
static bool
token_matches(struct hsm *hsm, const CK_TOKEN_INFO *token)
{
	char serial[sizeof(hsm->info.serial)];

	if ((token->flags & CKF_TOKEN_INITIALIZED) == 0 ||
	    p11_kit_uri_match_token_info(hsm->uri, token) != 1)
		return false;
	text_copy(serial, sizeof(serial), token->serialNumber,
	    sizeof(token->serialNumber));
	return hsm->info.serial[0] == '\0' ||
	    strcmp(serial, hsm->info.serial) == 0;
}

static enum hf_err
slot_find(struct hsm *hsm, CK_TOKEN_INFO *token, struct hf_why *why)
{
	CK_SLOT_ID slots[SLOTS_MAX];
	CK_ULONG count = SLOTS_MAX;
	unsigned found = 0;
	CK_RV rv = hsm->fn->C_GetSlotList(CK_TRUE, slots, &count);

	if (rv != CKR_OK)
		return step_failed(rv, "C_GetSlotList", why);
	for (CK_ULONG i = 0; i < count; i++) {
		CK_TOKEN_INFO info;

		if (hsm->fn->C_GetTokenInfo(slots[i], &info) != CKR_OK ||
		    !token_matches(hsm, &info))
			continue;
		*token = info;
		hsm->slot = slots[i];
		found++;
	}
	if (found == 0 && hsm->info.serial[0] != '\0')
		return hf_fail(why, HF_ERR_HSM_UNAVAILABLE,
		    "the token with serial %s is not there", hsm->info.serial);
	if (found == 0)
		return hf_fail(why, HF_ERR_HSM_UNAVAILABLE,
		    "there is no token as the URI describes it");
	if (found > 1)
		return hf_fail(why, HF_ERR_HSM_UNAVAILABLE,
		    "%u tokens are as the URI describes it; add serial=",
		    found);
	return HF_OK;
}

/* One session is the anchor, the others are the pool. */
static enum hf_err
pool_measure(struct hsm *hsm, const CK_TOKEN_INFO *token, struct hf_why *why)
{
	const CK_ULONG limits[] = { token->ulMaxSessionCount,
		token->ulMaxRwSessionCount };
	CK_ULONG count = hsm->want_sessions;

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		if (limits[i] == CK_EFFECTIVELY_INFINITE ||
		    limits[i] == CK_UNAVAILABLE_INFORMATION)
			continue;
		if (limits[i] < 2)
			return hf_fail(why, HF_ERR_HSM_UNSUITABLE,
			    "the token allows one session; two are needed");
		if (count > limits[i] - 1)
			count = limits[i] - 1;
	}
	hsm->session_count = (unsigned)count;
	return HF_OK;
}

static void
info_fill(struct hsm *hsm, const CK_TOKEN_INFO *token)
{
	struct hsm_info *info = &hsm->info;

	(void)pthread_mutex_lock(&hsm->lock);
	text_copy(info->token, sizeof(info->token), token->label,
	    sizeof(token->label));
	text_copy(info->serial, sizeof(info->serial), token->serialNumber,
	    sizeof(token->serialNumber));
	text_copy(info->manufacturer, sizeof(info->manufacturer),
	    token->manufacturerID, sizeof(token->manufacturerID));
	text_copy(info->model, sizeof(info->model), token->model,
	    sizeof(token->model));
	info->sessions = hsm->session_count;
	(void)pthread_mutex_unlock(&hsm->lock);
}

/*
 * A refused PIN is final, so that the token does not lock itself. The last try
 * is not ours to take either: a service manager that restarts the daemon would
 * use up the tries one by one.
 */
static enum hf_err
token_login(struct hsm *hsm, bool *already, struct hf_why *why)
{
	CK_TOKEN_INFO token;
	CK_RV rv = hsm->fn->C_GetTokenInfo(hsm->slot, &token);

	if (rv != CKR_OK)
		return step_failed(rv, "C_GetTokenInfo", why);
	if ((token.flags & CKF_USER_PIN_LOCKED) != 0)
		return hf_fail(
		    why, HF_ERR_HSM_PIN, "the token has locked the user PIN");
	if (hsm->cautious && (token.flags & CKF_USER_PIN_COUNT_LOW) != 0)
		return hf_fail(why, HF_ERR_HSM_PIN,
		    "the login before did not come to its end, and the token "
		    "counts a wrong PIN; log in once with its own tool");
	if ((token.flags & CKF_USER_PIN_FINAL_TRY) != 0)
		return hf_fail(why, HF_ERR_HSM_PIN,
		    "one wrong PIN more locks the token; log in once with its "
		    "own tool");
	rv =
	    hsm->fn->C_Login(hsm->anchor, CKU_USER, hsm->pin.ptr, hsm->pin.len);
	*already = rv == CKR_USER_ALREADY_LOGGED_IN;
	if (rv != CKR_OK && !*already)
		return step_failed(rv, "C_Login", why);
	return HF_OK;
}

/* The pool is idle; the known answers need room for a session. */
static void
pool_close(struct hsm *hsm)
{
	for (unsigned i = 0; i < SESSIONS_MAX; i++) {
		if (hsm->sessions[i].open)
			(void)hsm->fn->C_CloseSession(hsm->sessions[i].handle);
		hsm->sessions[i].open = false;
		hsm->sessions[i].barred = 0;
	}
}

void
token_disconnect(struct hsm *hsm)
{
	CK_RV rv;

	if (!hsm->initialized)
		return;
	pool_close(hsm);
	(void)hsm->fn->C_CloseAllSessions(hsm->slot);
	rv = module_leave(hsm->fn);
	if (rv != CKR_OK)
		log_warning(
		    "HSM: C_Finalize: %s (0x%lx)", ckr_row(rv)->name, rv);
	hsm->initialized = false;
}

static enum hf_err
connect_anew(struct hsm *hsm, struct hf_why *why)
{
	CK_TOKEN_INFO token;
	enum hf_err err;
	bool already;
	CK_RV rv;

	err = module_initialize(hsm, why);
	if (err != HF_OK)
		return err;
	err = slot_find(hsm, &token, why);
	if (err != HF_OK)
		return err;
	err = pool_measure(hsm, &token, why);
	if (err != HF_OK)
		return err;
	rv = hsm->fn->C_OpenSession(hsm->slot,
	    CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &hsm->anchor);
	if (rv != CKR_OK)
		return step_failed(rv, "C_OpenSession", why);
	err = token_login(hsm, &already, why);
	if (err == HF_OK)
		info_fill(hsm, &token);
	return err;
}

enum hf_err
token_connect(struct hsm *hsm, bool login_only, struct hf_why *why)
{
	enum hf_err err;
	bool already;

	if (login_only && hsm->initialized) {
		pool_close(hsm);
		err = token_login(hsm, &already, why);
		/* Logged in all the time? Then something else is wrong. */
		if ((err == HF_OK && !already) || err == HF_ERR_HSM_PIN)
			return err;
	}
	token_disconnect(hsm);
	err = connect_anew(hsm, why);
	/* Whoever is not connected does not keep the module from being
	 * initialized anew, which some need to see a token again. */
	if (err != HF_OK)
		token_disconnect(hsm);
	return err;
}
