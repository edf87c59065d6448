/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/hsm.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../keyd/crypto.h"
#include "../../lib/bytes.h"
#include "../fake/softhsm.h"
#include "hsm_fixture.h"

/*
 * What happens when the HSM does not behave: it is not there, it is taken away
 * behind our back, or functions of the test's stand in its function list and
 * answer as other HSMs do. Each test opens the HSM for itself.
 */

static const uint8_t master_id[HSM_ID] = { 'm', 'a', 's', 't', 'e', 'r' };
static const uint8_t text[32] = "what is sealed in these tests..";
static const struct hf_bytes none = { NULL, 0 };

enum { DEADLINE_MS = 2000 };

/* What the stand-ins do; of the process, like the function list. */
static struct {
	_Atomic int calls;    /* of the function in question */
	_Atomic int failures; /* that many calls fail ... */
	_Atomic CK_RV rv;     /* ... with this */
	_Atomic bool block, blocked;
} stage;

static int
setup(void **state)
{
	struct fixture *f = *state;

	memset(&stage, 0, sizeof(stage));
	if (fixture_setup(state) != 0)
		return -1;
	f->settings.deadline_ms = DEADLINE_MS;
	return 0;
}

static void
hsm_start_ready(struct fixture *f)
{
	fixture_open_ready(f);
	assert_int_equal(
	    hsm_object_make(f->hsm, ROLE_MASTER, master_id, "m"), HF_OK);
}

static struct hsm_info
info_of(struct fixture *f)
{
	struct hsm_info info;

	hsm_info(f->hsm, &info);
	return info;
}

/* For ever: ctest has a limit. */
static void
wait_for_state(struct fixture *f, enum hsm_state state)
{
	while (info_of(f).state != state)
		(void)usleep(1000);
}

static enum hf_err
seal(struct fixture *f, uint8_t out[sizeof(text) + HSM_SEAL_EXTRA])
{
	return hsm_seal(
	    f->hsm, master_id, none, bytes_of(text, sizeof(text)), out);
}

static void
assert_seals_and_opens(struct fixture *f)
{
	uint8_t sealed[sizeof(text) + HSM_SEAL_EXTRA];
	AUTO_SECRET plain = { 0 };

	assert_int_equal(seal(f, sealed), HF_OK);
	assert_int_equal(hsm_open_sealed(f->hsm, master_id, none,
			     bytes_of(sealed, sizeof(sealed)), &plain),
	    HF_OK);
	assert_memory_equal(plain.ptr, text, sizeof(text));
}

/* The first `failures` calls fail; false then. */
static bool
stage_passes(void)
{
	atomic_fetch_add(&stage.calls, 1);
	return atomic_fetch_sub(&stage.failures, 1) <= 0;
}

static void
stage_fail(int failures, CK_RV rv)
{
	atomic_store(&stage.calls, 0);
	atomic_store(&stage.rv, rv);
	atomic_store(&stage.failures, failures);
}

/* -- The PIN -- */

static CK_RV
counting_login(
    CK_SESSION_HANDLE s, CK_USER_TYPE type, CK_BYTE *pin, CK_ULONG len)
{
	atomic_fetch_add(&stage.calls, 1);
	return softhsm_original()->C_Login(s, type, pin, len);
}

static void
pin_write(const struct fixture *f, const char *pin)
{
	FILE *file = fopen(f->soft.pin_file, "w");

	assert_non_null(file);
	assert_true(fputs(pin, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void
tries_a_wrong_pin_once(void **state)
{
	struct fixture *f = *state;
	uint8_t out[64];

	pin_write(f, "4321\n");
	softhsm_functions()->C_Login = counting_login;
	fixture_open(f);
	assert_int_equal(hsm_wait_ready(f->hsm, 5000), HF_ERR_HSM_PIN);
	assert_int_equal(hsm_random(f->hsm, out, sizeof(out)), HF_ERR_HSM_PIN);
	(void)usleep(300000); /* several back-offs */
	assert_int_equal(atomic_load(&stage.calls), 1);
	assert_int_equal(info_of(f).state, HSM_PIN_REFUSED);
	assert_non_null(strstr(info_of(f).reason, "CKR_PIN_INCORRECT"));
}

static CK_RV
final_try_info(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
	CK_RV rv = softhsm_original()->C_GetTokenInfo(slot, info);

	info->flags |= CKF_USER_PIN_FINAL_TRY;
	return rv;
}

static void
leaves_the_last_try_of_a_pin_alone(void **state)
{
	struct fixture *f = *state;

	softhsm_functions()->C_Login = counting_login;
	softhsm_functions()->C_GetTokenInfo = final_try_info;
	fixture_open(f);
	assert_int_equal(hsm_wait_ready(f->hsm, 5000), HF_ERR_HSM_PIN);
	assert_int_equal(atomic_load(&stage.calls), 0);
}

static void
opens_with(struct fixture *f, const char *source)
{
	f->settings.pin_source = source;
	fixture_open(f);
	assert_int_equal(hsm_wait_ready(f->hsm, 5000), HF_OK);
	hsm_close(f->hsm);
	f->hsm = NULL;
}

static void
takes_the_pin_from_each_source(void **state)
{
	struct fixture *f = *state;
	char source[32];
	int fd;

	assert_int_equal(setenv("HOLDFAST_TEST_PIN", SOFTHSM_PIN, 1), 0);
	opens_with(f, "env:HOLDFAST_TEST_PIN");
	assert_null(getenv("HOLDFAST_TEST_PIN"));

	fd = open(f->soft.pin_file, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	(void)snprintf(source, sizeof(source), "fd:%d", fd);
	opens_with(f, source);
	assert_int_equal(fcntl(fd, F_GETFD), -1);

	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", f->soft.dir, 1), 0);
	opens_with(f, "cred:pin");
	(void)unsetenv("CREDENTIALS_DIRECTORY");

	pin_write(f, SOFTHSM_PIN); /* without a newline */
	opens_with(f, f->soft.pin_source);
}

static void
strips_one_newline_only(void **state)
{
	struct fixture *f = *state;

	pin_write(f, SOFTHSM_PIN "\n\n");
	fixture_open(f);
	assert_int_equal(hsm_wait_ready(f->hsm, 5000), HF_ERR_HSM_PIN);
}

static void
refuses_a_pin_that_is_too_long(void **state)
{
	struct fixture *f = *state;
	char pin[300];
	struct hf_why why = { "" };

	memset(pin, '1', sizeof(pin));
	pin[256] = '\0';
	pin_write(f, pin);
	assert_int_equal(hsm_open(&f->settings, NULL, NULL, &f->hsm, &why),
	    HF_ERR_BAD_SETTINGS);
	assert_non_null(strstr(why.text, "255"));
}

/* -- The token comes and goes -- */

static void
opens_without_a_token_and_finds_it_later(void **state)
{
	struct fixture *f = *state;
	uint8_t out[8];

	assert_true(softhsm_hide(&f->soft));
	fixture_open(f);
	assert_int_equal(hsm_wait_ready(f->hsm, 200), HF_ERR_HSM_UNAVAILABLE);
	assert_int_equal(info_of(f).state, HSM_ABSENT);
	assert_string_not_equal(info_of(f).reason, "");
	assert_int_equal(
	    hsm_random(f->hsm, out, sizeof(out)), HF_ERR_HSM_UNAVAILABLE);
	assert_true(softhsm_show(&f->soft));
	assert_int_equal(hsm_wait_ready(f->hsm, 10000), HF_OK);
	assert_int_equal(hsm_random(f->hsm, out, sizeof(out)), HF_OK);
	assert_int_equal(info_of(f).generation, 1);
}

/* Calls during a short outage wait for its end. */
static void
recovers_when_the_module_was_finalized(void **state)
{
	struct fixture *f = *state;

	hsm_start_ready(f);
	assert_seals_and_opens(f);
	for (unsigned round = 2; round <= 4; round++) {
		assert_int_equal(softhsm_original()->C_Finalize(NULL), CKR_OK);
		assert_seals_and_opens(f);
		assert_int_equal(info_of(f).generation, round);
	}
	hsm_close(f->hsm);
	f->hsm = NULL;
	assert_int_equal(atomic_load(&f->states[HSM_READY]), 4);
	assert_int_equal(atomic_load(&f->states[HSM_RECOVERING]), 4);
}

static void
gives_up_waiting_when_the_token_stays_away(void **state)
{
	struct fixture *f = *state;
	uint8_t out[64];

	f->settings.deadline_ms = 300;
	hsm_start_ready(f);
	assert_true(softhsm_hide(&f->soft));
	assert_int_equal(softhsm_original()->C_Finalize(NULL), CKR_OK);
	assert_int_equal(
	    hsm_random(f->hsm, out, sizeof(out)), HF_ERR_HSM_UNAVAILABLE);
	wait_for_state(f, HSM_ABSENT);
	assert_non_null(strstr(info_of(f).reason, info_of(f).serial));
	assert_true(softhsm_show(&f->soft));
	assert_int_equal(hsm_wait_ready(f->hsm, 10000), HF_OK);
	assert_seals_and_opens(f);
}

static CK_SLOT_ID
slot_now(void)
{
	CK_SLOT_ID slots[4];
	CK_ULONG n = 4;

	assert_int_equal(
	    softhsm_original()->C_GetSlotList(CK_TRUE, slots, &n), CKR_OK);
	return slots[0];
}

static void
recovers_when_all_sessions_were_closed(void **state)
{
	struct fixture *f = *state;

	hsm_start_ready(f);
	assert_int_equal(
	    softhsm_original()->C_CloseAllSessions(slot_now()), CKR_OK);
	assert_seals_and_opens(f);
	assert_int_equal(info_of(f).generation, 2);
}

/* -- Error classes -- */

static CK_RV
failing_sign_init(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE key)
{
	return stage_passes() ? softhsm_original()->C_SignInit(s, m, key)
			      : atomic_load(&stage.rv);
}

static CK_RV
failing_encrypt(CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG in_len, CK_BYTE *out,
    CK_ULONG *out_len)
{
	return stage_passes()
	    ? softhsm_original()->C_Encrypt(s, in, in_len, out, out_len)
	    : atomic_load(&stage.rv);
}

static CK_RV
failing_decrypt(CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG in_len, CK_BYTE *out,
    CK_ULONG *out_len)
{
	return stage_passes()
	    ? softhsm_original()->C_Decrypt(s, in, in_len, out, out_len)
	    : atomic_load(&stage.rv);
}

static void
retries_once_on_a_fresh_session(void **state)
{
	struct fixture *f = *state;

	hsm_start_ready(f);
	softhsm_functions()->C_Encrypt = failing_encrypt;
	stage_fail(1, CKR_SESSION_HANDLE_INVALID);
	assert_seals_and_opens(f);
	assert_int_equal(atomic_load(&stage.calls), 2);
	stage_fail(1, CKR_KEY_HANDLE_INVALID);
	assert_seals_and_opens(f);
	assert_int_equal(atomic_load(&stage.calls), 2);
	assert_int_equal(info_of(f).generation, 1);
}

static void
logs_in_again_when_the_login_was_lost(void **state)
{
	struct fixture *f = *state;

	hsm_start_ready(f);
	softhsm_functions()->C_Encrypt = failing_encrypt;
	softhsm_functions()->C_Login = counting_login;
	stage_fail(1, CKR_USER_NOT_LOGGED_IN);
	assert_seals_and_opens(f);
	assert_int_equal(info_of(f).generation, 2);
	assert_int_equal(atomic_load(&f->states[HSM_UNSUITABLE]), 0);
}

static void
repeats_what_is_safe_after_a_device_error(void **state)
{
	struct fixture *f = *state;

	hsm_start_ready(f);
	softhsm_functions()->C_Encrypt = failing_encrypt;
	stage_fail(1, CKR_DEVICE_ERROR);
	assert_seals_and_opens(f);
	assert_int_equal(info_of(f).generation, 2);
}

static CK_RV
failing_generate(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_ATTRIBUTE *t,
    CK_ULONG n, CK_OBJECT_HANDLE *key)
{
	CK_RV rv = softhsm_original()->C_GenerateKey(s, m, t, n, key);

	/* It was done, and the answer was lost. */
	return stage_passes() ? rv : atomic_load(&stage.rv);
}

static size_t
masters_with(const uint8_t id[HSM_ID])
{
	const CK_FUNCTION_LIST *fn = softhsm_original();
	uint8_t copy[HSM_ID];
	CK_ATTRIBUTE t = { CKA_ID, copy, HSM_ID };
	CK_OBJECT_HANDLE found[8];
	CK_SESSION_HANDLE s;
	CK_ULONG n = 0;

	memcpy(copy, id, HSM_ID);
	assert_int_equal(
	    fn->C_OpenSession(slot_now(), CKF_SERIAL_SESSION | CKF_RW_SESSION,
		NULL, NULL, &s),
	    CKR_OK);
	assert_int_equal(fn->C_FindObjectsInit(s, &t, 1), CKR_OK);
	assert_int_equal(fn->C_FindObjects(s, found, 8, &n), CKR_OK);
	assert_int_equal(fn->C_FindObjectsFinal(s), CKR_OK);
	assert_int_equal(fn->C_CloseSession(s), CKR_OK);
	return n;
}

static void
looks_up_what_it_may_have_made(void **state)
{
	static const uint8_t id[HSM_ID] = { 'l', 'o', 's', 't' };
	struct fixture *f = *state;

	hsm_start_ready(f);
	softhsm_functions()->C_GenerateKey = failing_generate;
	stage_fail(1, CKR_DEVICE_ERROR);
	assert_int_equal(
	    hsm_object_make(f->hsm, ROLE_MASTER, id, "lost"), HF_OK);
	assert_int_equal(masters_with(id), 1);
	assert_int_equal(info_of(f).generation, 2);
}

static void
does_not_make_a_key_twice(void **state)
{
	struct fixture *f = *state;
	uint8_t wrapped[4096], spki[1024], id[HSM_ID] = { 1 };
	size_t wrapped_len, spki_len;

	hsm_start_ready(f);
	softhsm_functions()->C_GenerateKey = failing_generate;
	stage_fail(1, CKR_DEVICE_ERROR);
	assert_int_equal(
	    hsm_key_make(f->hsm, key_type_by_name(TEXT("aes256-gcm96")), 0,
		wrap_id, id, wrapped, &wrapped_len, spki, &spki_len),
	    HF_ERR_HSM_UNAVAILABLE);
	assert_int_equal(hsm_wait_ready(f->hsm, 5000), HF_OK);
	/* One for us, one for the known answers of the new connection. */
	assert_int_equal(atomic_load(&stage.calls), 2);
}

/* The code that SoftHSM gives for a wrong tag, from a token that is well. */
static void
believes_the_token_when_the_known_answer_is_right(void **state)
{
	struct fixture *f = *state;
	uint8_t sealed[sizeof(text) + HSM_SEAL_EXTRA];
	AUTO_SECRET plain = { 0 };

	hsm_start_ready(f);
	assert_int_equal(seal(f, sealed), HF_OK);
	softhsm_functions()->C_Decrypt = failing_decrypt;
	stage_fail(1, CKR_FUNCTION_FAILED);
	assert_int_equal(hsm_open_sealed(f->hsm, master_id, none,
			     bytes_of(sealed, sizeof(sealed)), &plain),
	    HF_ERR_AUTH_FAILED);
	stage_fail(1, CKR_VENDOR_DEFINED | 7);
	assert_int_equal(hsm_open_sealed(f->hsm, master_id, none,
			     bytes_of(sealed, sizeof(sealed)), &plain),
	    HF_ERR_AUTH_FAILED);
	softhsm_functions()->C_Encrypt = failing_encrypt;
	stage_fail(1, CKR_GENERAL_ERROR);
	assert_int_equal(seal(f, sealed), HF_ERR_HSM_REFUSED);
	assert_int_equal(info_of(f).state, HSM_READY);
	assert_int_equal(info_of(f).generation, 1);
}

/* The same code, and the known answer fails too: the token is sick. */
static void
recovers_when_the_known_answer_is_wrong(void **state)
{
	struct fixture *f = *state;
	uint8_t sealed[sizeof(text) + HSM_SEAL_EXTRA];
	AUTO_SECRET plain = { 0 };

	hsm_start_ready(f);
	assert_int_equal(seal(f, sealed), HF_OK);
	softhsm_functions()->C_Decrypt = failing_decrypt;
	stage_fail(2, CKR_GENERAL_ERROR);
	assert_int_equal(hsm_open_sealed(f->hsm, master_id, none,
			     bytes_of(sealed, sizeof(sealed)), &plain),
	    HF_OK);
	assert_memory_equal(plain.ptr, text, sizeof(text));
	assert_int_equal(info_of(f).generation, 2);
}

/* -- Known answers -- */

static CK_RV
nonceless_encrypt_init(
    CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE key)
{
	CK_GCM_PARAMS params;
	CK_MECHANISM without = *m;

	if (m->mechanism != CKM_AES_GCM)
		return softhsm_original()->C_EncryptInit(s, m, key);
	memcpy(&params, m->pParameter, sizeof(params));
	params.pIv = NULL;
	params.ulIvLen = params.ulIvBits = 0;
	without.pParameter = &params;
	return softhsm_original()->C_EncryptInit(s, &without, key);
}

static void
assert_unsuitable(struct fixture *f, const char *reason)
{
	uint8_t out[8];

	fixture_open(f);
	assert_int_equal(hsm_wait_ready(f->hsm, 5000), HF_ERR_HSM_UNSUITABLE);
	assert_non_null(strstr(info_of(f).reason, reason));
	assert_int_equal(
	    hsm_random(f->hsm, out, sizeof(out)), HF_ERR_HSM_UNSUITABLE);
	assert_int_equal(info_of(f).generation, 0);
}

static void
refuses_an_hsm_whose_gcm_repeats(void **state)
{
	softhsm_functions()->C_EncryptInit = nonceless_encrypt_init;
	assert_unsuitable(*state, "repeats itself");
}

static CK_RV
constant_random(CK_SESSION_HANDLE s, CK_BYTE *out, CK_ULONG len)
{
	(void)s;
	memset(out, 4, len); /* chosen by fair dice roll */
	return CKR_OK;
}

static void
refuses_an_hsm_whose_random_repeats(void **state)
{
	softhsm_functions()->C_GenerateRandom = constant_random;
	assert_unsuitable(*state, "random");
}

static CK_RV
tagless_decrypt_init(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE key)
{
	CK_MECHANISM counter = *m;
	CK_AES_CTR_PARAMS ctr = { .ulCounterBits = 32 };
	CK_GCM_PARAMS params;

	if (m->mechanism != CKM_AES_GCM)
		return softhsm_original()->C_DecryptInit(s, m, key);
	/* GCM without its tag is counter mode from 2. */
	memcpy(&params, m->pParameter, sizeof(params));
	memcpy(ctr.cb, params.pIv, 12);
	ctr.cb[15] = 2;
	counter.mechanism = CKM_AES_CTR;
	counter.pParameter = &ctr;
	counter.ulParameterLen = sizeof(ctr);
	return softhsm_original()->C_DecryptInit(s, &counter, key);
}

static CK_RV
tagless_decrypt(CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG in_len, CK_BYTE *out,
    CK_ULONG *out_len)
{
	return softhsm_original()->C_Decrypt(s, in, in_len - 16, out, out_len);
}

static void
refuses_an_hsm_that_does_not_check_tags(void **state)
{
	softhsm_functions()->C_DecryptInit = tagless_decrypt_init;
	softhsm_functions()->C_Decrypt = tagless_decrypt;
	assert_unsuitable(*state, "AES-GCM ignores associated data");
}

static CK_RV
absent_mechanism(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE key)
{
	return m->mechanism == CKM_AES_GCM
	    ? CKR_MECHANISM_INVALID
	    : softhsm_original()->C_EncryptInit(s, m, key);
}

static void
refuses_an_hsm_without_gcm(void **state)
{
	softhsm_functions()->C_EncryptInit = absent_mechanism;
	assert_unsuitable(*state, "CKR_MECHANISM_INVALID");
}

/* -- HSMs with ways of their own -- */

/* nShield: zeros go in, its own nonce comes back. */
static CK_RV
writing_encrypt_init(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE key)
{
	static const uint8_t zeros[12];
	CK_GCM_PARAMS params;

	if (m->mechanism != CKM_AES_GCM)
		return softhsm_original()->C_EncryptInit(s, m, key);
	memcpy(&params, m->pParameter, sizeof(params));
	if (memcmp(params.pIv, zeros, sizeof(zeros)) != 0)
		return CKR_MECHANISM_PARAM_INVALID;
	(void)softhsm_original()->C_GenerateRandom(s, params.pIv, 12);
	return softhsm_original()->C_EncryptInit(s, m, key);
}

static void
takes_the_nonce_that_the_hsm_makes(void **state)
{
	struct fixture *f = *state;
	uint8_t wrapped[4096], spki[1024], out[64];
	size_t wrapped_len, spki_len;
	struct hsm_key key = { .id = { 1 },
		.type = key_type_by_name(TEXT("aes256-gcm96")) };

	softhsm_functions()->C_EncryptInit = writing_encrypt_init;
	hsm_start_ready(f);
	assert_seals_and_opens(f);
	memcpy(key.wrap_id, wrap_id, HSM_ID);
	assert_int_equal(hsm_key_make(f->hsm, key.type, 0, wrap_id, key.id,
			     wrapped, &wrapped_len, spki, &spki_len),
	    HF_OK);
	key.wrapped = bytes_of(wrapped, wrapped_len);
	/* A caller's nonce cannot be had there. */
	assert_int_equal(hsm_key_encrypt(f->hsm, &key, bytes_of(text, 12), none,
			     bytes_of(text, 16), out),
	    HF_ERR_HSM_MECHANISM);
}

/* Luna: its own nonce follows the tag. */
static _Thread_local uint8_t appended[12];
static _Thread_local bool appending;

static CK_RV
appending_encrypt_init(
    CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE key)
{
	CK_GCM_PARAMS params;
	CK_MECHANISM own = *m;

	appending = m->mechanism == CKM_AES_GCM;
	if (!appending)
		return softhsm_original()->C_EncryptInit(s, m, key);
	(void)softhsm_original()->C_GenerateRandom(s, appended, 12);
	memcpy(&params, m->pParameter, sizeof(params));
	params.pIv = appended;
	own.pParameter = &params;
	return softhsm_original()->C_EncryptInit(s, &own, key);
}

static CK_RV
appending_encrypt(CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG in_len,
    CK_BYTE *out, CK_ULONG *out_len)
{
	CK_RV rv = softhsm_original()->C_Encrypt(s, in, in_len, out, out_len);

	if (rv == CKR_OK && appending) {
		memcpy(out + *out_len, appended, sizeof(appended));
		*out_len += sizeof(appended);
	}
	return rv;
}

static void
takes_the_nonce_that_the_hsm_appends(void **state)
{
	struct fixture *f = *state;

	softhsm_functions()->C_EncryptInit = appending_encrypt_init;
	softhsm_functions()->C_Encrypt = appending_encrypt;
	hsm_start_ready(f);
	assert_seals_and_opens(f);
}

static CK_RV
no_wrap_info(CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info)
{
	if (type == CKM_AES_KEY_WRAP_PAD || type == CKM_AES_KEY_WRAP)
		return CKR_MECHANISM_INVALID;
	return softhsm_original()->C_GetMechanismInfo(slot, type, info);
}

static void
keeps_keys_resident_where_nothing_can_be_wrapped(void **state)
{
	struct fixture *f = *state;
	struct sign_how how = { .scheme = SIGN_ECDSA,
		.hash = hash_type_by_name(TEXT("sha2-256")) };
	uint8_t wrapped[4096], spki[1024], out[512];
	size_t wrapped_len = 1, spki_len, len;
	struct crypto_key *public = NULL;
	struct hsm_key key = { .id = { 1 },
		.type = key_type_by_name(TEXT("ecdsa-p256")) };

	softhsm_functions()->C_GetMechanismInfo = no_wrap_info;
	hsm_start_ready(f);
	assert_int_equal(hsm_key_make(f->hsm, key.type, 0, wrap_id, key.id,
			     wrapped, &wrapped_len, spki, &spki_len),
	    HF_OK);
	assert_int_equal(wrapped_len, 0);
	assert_int_equal(
	    hsm_key_sign(f->hsm, &key, &how, bytes_of(text, 32), out, &len),
	    HF_OK);
	assert_int_equal(
	    crypto_key_public(key.type, bytes_of(spki, spki_len), &public),
	    HF_OK);
	assert_int_equal(
	    crypto_verify(public, &how, bytes_of(text, 32), bytes_of(out, len)),
	    HF_OK);
	crypto_key_free(public);
	assert_int_equal(masters_with(key.id), 1);
	assert_int_equal(hsm_key_drop(f->hsm, &key), HF_OK);
	assert_int_equal(masters_with(key.id), 0);
}

static CK_RV
two_session_info(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
	CK_RV rv = softhsm_original()->C_GetTokenInfo(slot, info);

	info->ulMaxSessionCount = info->ulMaxRwSessionCount = 2;
	return rv;
}

static void
lives_within_the_sessions_of_the_token(void **state)
{
	struct fixture *f = *state;

	f->settings.sessions = 8;
	softhsm_functions()->C_GetTokenInfo = two_session_info;
	hsm_start_ready(f);
	assert_int_equal(info_of(f).sessions, 1);
	assert_seals_and_opens(f);
}

/* -- Waiting -- */

static CK_RV
blocking_random(CK_SESSION_HANDLE s, CK_BYTE *out, CK_ULONG len)
{
	while (atomic_load(&stage.block)) {
		atomic_store(&stage.blocked, true);
		(void)usleep(1000);
	}
	return softhsm_original()->C_GenerateRandom(s, out, len);
}

static void *
random_main(void *arg)
{
	struct fixture *f = arg;
	uint8_t out[8];

	assert_int_equal(hsm_random(f->hsm, out, sizeof(out)), HF_OK);
	return NULL;
}

static void
waits_for_a_session_until_the_deadline(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;
	uint8_t out[8];

	f->settings.sessions = 1;
	f->settings.deadline_ms = 200;
	hsm_start_ready(f);
	softhsm_functions()->C_GenerateRandom = blocking_random;
	atomic_store(&stage.block, true);
	assert_int_equal(pthread_create(&thread, NULL, random_main, f), 0);
	while (!atomic_load(&stage.blocked))
		(void)usleep(1000);
	assert_int_equal(hsm_random(f->hsm, out, sizeof(out)), HF_ERR_TIMEOUT);
	atomic_store(&stage.block, false);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(hsm_random(f->hsm, out, sizeof(out)), HF_OK);
}

static void *
unblock_main(void *arg)
{
	(void)arg;
	(void)usleep(100000);
	atomic_store(&stage.block, false);
	return NULL;
}

static void
closes_after_the_calls_in_flight(void **state)
{
	struct fixture *f = *state;
	pthread_t call, unblock;

	hsm_start_ready(f);
	softhsm_functions()->C_GenerateRandom = blocking_random;
	atomic_store(&stage.block, true);
	assert_int_equal(pthread_create(&call, NULL, random_main, f), 0);
	while (!atomic_load(&stage.blocked))
		(void)usleep(1000);
	assert_int_equal(pthread_create(&unblock, NULL, unblock_main, NULL), 0);
	hsm_close(f->hsm);
	f->hsm = NULL;
	assert_false(atomic_load(&stage.block));
	assert_int_equal(pthread_join(call, NULL), 0);
	assert_int_equal(pthread_join(unblock, NULL), 0);
}

/* -- Many at once -- */

struct load {
	struct fixture *f;
	const struct hsm_key *key;
	struct hf_bytes spki;
	unsigned rounds;
	_Atomic int *wrong;
};

static bool
load_round(struct load *l)
{
	struct sign_how how = { .scheme = SIGN_ECDSA,
		.hash = hash_type_by_name(TEXT("sha2-256")) };
	uint8_t sealed[sizeof(text) + HSM_SEAL_EXTRA], signature[512];
	AUTO_SECRET plain = { 0 };
	struct crypto_key *public = NULL;
	size_t len;
	bool ok;

	if (seal(l->f, sealed) != HF_OK ||
	    hsm_open_sealed(l->f->hsm, master_id, none,
		bytes_of(sealed, sizeof(sealed)), &plain) != HF_OK ||
	    memcmp(plain.ptr, text, sizeof(text)) != 0 ||
	    hsm_key_sign(l->f->hsm, l->key, &how, bytes_of(text, 32), signature,
		&len) != HF_OK ||
	    crypto_key_public(l->key->type, l->spki, &public) != HF_OK)
		return false;
	ok = crypto_verify(public, &how, bytes_of(text, 32),
		 bytes_of(signature, len)) == HF_OK;
	crypto_key_free(public);
	/* Dropped while others use it. */
	return hsm_key_drop(l->f->hsm, l->key) == HF_OK && ok;
}

static void *
load_main(void *arg)
{
	struct load *l = arg;

	for (unsigned i = 0; i < l->rounds; i++)
		if (!load_round(l))
			atomic_fetch_add(l->wrong, 1);
	return NULL;
}

/* Also while the connection is lost in between. */
static void
serves_many_threads_across_a_recovery(void **state)
{
	struct fixture *f = *state;
	uint8_t wrapped[4096], spki[1024];
	size_t wrapped_len, spki_len;
	struct hsm_key key = { .id = { 1 },
		.type = key_type_by_name(TEXT("ecdsa-p256")) };
	_Atomic int wrong = 0;
	struct load load = {
		.f = f, .key = &key, .rounds = 40, .wrong = &wrong
	};
	pthread_t threads[8];

	f->settings.deadline_ms = 20000;
	hsm_start_ready(f);
	memcpy(key.wrap_id, wrap_id, HSM_ID);
	assert_int_equal(hsm_key_make(f->hsm, key.type, 0, wrap_id, key.id,
			     wrapped, &wrapped_len, spki, &spki_len),
	    HF_OK);
	key.wrapped = bytes_of(wrapped, wrapped_len);
	load.spki = bytes_of(spki, spki_len);
	softhsm_functions()->C_SignInit = failing_sign_init;
	stage_fail(0, CKR_OK);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, load_main, &load), 0);
	while (atomic_load(&stage.calls) < 40) /* of 320 at least */
		(void)usleep(100);
	stage_fail(1, CKR_DEVICE_REMOVED);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(atomic_load(&wrong), 0);
	assert_int_equal(info_of(f).state, HSM_READY);
	assert_int_equal(info_of(f).generation, 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tries_a_wrong_pin_once),
		TEST(leaves_the_last_try_of_a_pin_alone),
		TEST(takes_the_pin_from_each_source),
		TEST(strips_one_newline_only),
		TEST(refuses_a_pin_that_is_too_long),
		TEST(opens_without_a_token_and_finds_it_later),
		TEST(recovers_when_the_module_was_finalized),
		TEST(gives_up_waiting_when_the_token_stays_away),
		TEST(recovers_when_all_sessions_were_closed),
		TEST(retries_once_on_a_fresh_session),
		TEST(logs_in_again_when_the_login_was_lost),
		TEST(repeats_what_is_safe_after_a_device_error),
		TEST(looks_up_what_it_may_have_made),
		TEST(does_not_make_a_key_twice),
		TEST(believes_the_token_when_the_known_answer_is_right),
		TEST(recovers_when_the_known_answer_is_wrong),
		TEST(refuses_an_hsm_whose_gcm_repeats),
		TEST(refuses_an_hsm_whose_random_repeats),
		TEST(refuses_an_hsm_that_does_not_check_tags),
		TEST(refuses_an_hsm_without_gcm),
		TEST(takes_the_nonce_that_the_hsm_makes),
		TEST(takes_the_nonce_that_the_hsm_appends),
		TEST(keeps_keys_resident_where_nothing_can_be_wrapped),
		TEST(lives_within_the_sessions_of_the_token),
		TEST(waits_for_a_session_until_the_deadline),
		TEST(closes_after_the_calls_in_flight),
		TEST(serves_many_threads_across_a_recovery),
	};

	return cmocka_run_group_tests(tests, fixture_group, NULL);
}
