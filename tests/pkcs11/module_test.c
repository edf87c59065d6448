/* SPDX-License-Identifier: Apache-2.0 */
/* The module without a daemon: begin and end, sessions, fork, threads. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../pkcs11/cryptoki.h"

static char no_socket[] = "socket=/nonexistent/keyd.sock";
static CK_C_INITIALIZE_ARGS args = { .flags = CKF_OS_LOCKING_OK,
	.pReserved = no_socket };

static int
begin(void **state)
{
	(void)state;
	(void)setenv("HOLDFAST_PKCS11_CONFIG", "/dev/null", 1);
	return C_Initialize(&args) == CKR_OK ? 0 : -1;
}

static int
end(void **state)
{
	(void)state;
	return C_Finalize(NULL) == CKR_OK ? 0 : -1;
}

static CK_SESSION_HANDLE
open_session(CK_FLAGS flags)
{
	CK_SESSION_HANDLE h = 0;

	assert_true(C_OpenSession(0, CKF_SERIAL_SESSION | flags, NULL, NULL,
			&h) == CKR_OK);
	assert_true(h != 0);
	return h;
}

/* Runs `fn` in a child; its result is the child's exit status. */
static void
in_child(int (*fn)(CK_SESSION_HANDLE), CK_SESSION_HANDLE h)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fn(h));
	assert_true(waitpid(pid, &status, 0) == pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void
answers_nothing_before_it_is_initialized(void **state)
{
	CK_ULONG n = 0;
	CK_SESSION_HANDLE h;
	CK_INFO info;

	(void)state;
	assert_true(C_GetInfo(&info) == CKR_CRYPTOKI_NOT_INITIALIZED);
	assert_true(
	    C_GetSlotList(CK_TRUE, NULL, &n) == CKR_CRYPTOKI_NOT_INITIALIZED);
	assert_true(C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &h) ==
	    CKR_CRYPTOKI_NOT_INITIALIZED);
	assert_true(
	    C_Sign(1, NULL, 0, NULL, NULL) == CKR_CRYPTOKI_NOT_INITIALIZED);
	assert_true(C_Finalize(NULL) == CKR_CRYPTOKI_NOT_INITIALIZED);
}

static CK_RV
dummy_mutex(void *p)
{
	(void)p;
	return CKR_OK;
}

static CK_RV
dummy_create(void **p)
{
	(void)p;
	return CKR_OK;
}

static void
takes_every_kind_of_init_argument(void **state)
{
	CK_C_INITIALIZE_ARGS none = { 0 };
	CK_C_INITIALIZE_ARGS no_threads = {
		.flags = CKF_LIBRARY_CANT_CREATE_OS_THREADS
	};
	CK_C_INITIALIZE_ARGS callbacks = { .CreateMutex = dummy_create,
		.DestroyMutex = dummy_mutex,
		.LockMutex = dummy_mutex,
		.UnlockMutex = dummy_mutex };
	CK_C_INITIALIZE_ARGS half = { .LockMutex = dummy_mutex };
	static char wrong[] = "lgoin=pin";
	CK_C_INITIALIZE_ARGS typo = { .pReserved = wrong };
	CK_C_INITIALIZE_ARGS *good[] = { NULL, &none, &no_threads, &callbacks,
		&args };

	(void)state;
	(void)setenv("HOLDFAST_PKCS11_CONFIG", "/dev/null", 1);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(C_Initialize(good[i]) == CKR_OK);
		assert_true(
		    C_Initialize(good[i]) == CKR_CRYPTOKI_ALREADY_INITIALIZED);
		assert_true(C_Finalize(NULL) == CKR_OK);
	}
	assert_true(C_Initialize(&half) == CKR_ARGUMENTS_BAD);
	assert_true(C_Initialize(&typo) == CKR_ARGUMENTS_BAD);
	assert_true(C_Finalize(NULL) == CKR_CRYPTOKI_NOT_INITIALIZED);
}

static void
fills_every_place_in_its_function_lists(void **state)
{
	CK_FUNCTION_LIST *old = NULL;
	CK_INTERFACE *i = NULL;
	CK_INTERFACE list[2];
	CK_ULONG n = 0;
	CK_VERSION three = { 3, 0 }, unknown = { 9, 9 };
	CK_UTF8CHAR name[] = "PKCS 11", other[] = "Vendor";
	void *entry;

	(void)state;
	assert_true(C_GetFunctionList(&old) == CKR_OK);
	assert_int_equal(old->version.major, 2);
	assert_int_equal(old->version.minor, 40);
	assert_true(C_GetInterfaceList(NULL, &n) == CKR_OK);
	assert_int_equal(n, 2);
	n = 1;
	assert_true(C_GetInterfaceList(list, &n) == CKR_BUFFER_TOO_SMALL);
	assert_true(C_GetInterfaceList(list, &n) == CKR_OK);
	assert_true(C_GetInterface(NULL, NULL, &i, 0) == CKR_OK);
	assert_int_equal(*(CK_BYTE *)i->pFunctionList, 3);
	assert_true(C_GetInterface(name, &three, &i, 0) == CKR_OK);
	assert_true(C_GetInterface(other, NULL, &i, 0) != CKR_OK);
	assert_true(C_GetInterface(name, &unknown, &i, 0) != CKR_OK);
	for (size_t at = sizeof(void *); at < sizeof(CK_FUNCTION_LIST_3_0);
	     at += sizeof(void *)) {
		memcpy(&entry, (char *)i->pFunctionList + at, sizeof(entry));
		assert_non_null(entry);
	}
	for (size_t at = sizeof(void *); at < sizeof(CK_FUNCTION_LIST);
	     at += sizeof(void *)) {
		memcpy(&entry, (char *)old + at, sizeof(entry));
		assert_non_null(entry);
	}
}

/* pkcs11-provider drops for ever what is not there when it looks. */
static void
shows_its_token_while_the_daemon_is_away(void **state)
{
	CK_SLOT_INFO slot;
	CK_TOKEN_INFO token;
	CK_ULONG n = 0;

	(void)state;
	assert_true(C_GetSlotList(CK_TRUE, NULL, &n) == CKR_OK);
	assert_int_equal(n, 1);
	assert_true(C_GetSlotInfo(0, &slot) == CKR_OK);
	assert_true((slot.flags & CKF_TOKEN_PRESENT) != 0);
	assert_true((slot.flags & CKF_HW_SLOT) != 0);
	assert_true((slot.flags & CKF_REMOVABLE_DEVICE) == 0);
	assert_true(C_GetTokenInfo(0, &token) == CKR_OK);
	assert_memory_equal(token.label, "holdfast    ", 12);
	assert_true((token.flags & CKF_LOGIN_REQUIRED) == 0);
	assert_true(C_GetSlotInfo(1, &slot) == CKR_SLOT_ID_INVALID);
}

static int64_t
now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Which of the profiles it is, and no key. */
static void
is_a_profile(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE object)
{
	CK_OBJECT_CLASS class = 0;
	CK_ULONG id = 0;
	CK_ATTRIBUTE a[] = { { CKA_CLASS, &class, sizeof(class) },
		{ CKA_PROFILE_ID, &id, sizeof(id) } };
	CK_ULONG size = 0;

	assert_true(C_GetAttributeValue(h, object, a, 2) == CKR_OK);
	assert_true(class == CKO_PROFILE);
	assert_true(
	    id == CKP_BASELINE_PROVIDER || id == CKP_PUBLIC_CERTIFICATES_TOKEN);
	assert_true(C_GetObjectSize(h, object, &size) == CKR_OK);
	assert_true(C_DestroyObject(h, object) != CKR_OK);
}

/* An empty list would be read as "no such key". */
static void
fails_a_search_at_once_while_the_daemon_is_away(void **state)
{
	CK_SESSION_HANDLE h = open_session(0);
	CK_OBJECT_CLASS profile = CKO_PROFILE, trust = 0xce534353UL;
	CK_ATTRIBUTE a = { CKA_CLASS, &profile, sizeof(profile) };
	CK_OBJECT_HANDLE found[4];
	CK_ULONG n = 0;
	int64_t start = now_ms();

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_true(C_FindObjectsInit(h, NULL, 0) == CKR_DEVICE_ERROR);
	assert_true(now_ms() - start < 1000);
	/* What needs no daemon is answered. */
	assert_true(C_FindObjectsInit(h, &a, 1) == CKR_OK);
	assert_true(C_FindObjects(h, found, 4, &n) == CKR_OK);
	assert_int_equal(n, 2);
	assert_true(C_FindObjectsFinal(h) == CKR_OK);
	is_a_profile(h, found[0]);
	is_a_profile(h, found[1]);
	assert_true(
	    C_GetAttributeValue(h, found[0] + 1, &a, 1) == CKR_DEVICE_ERROR);
	a.pValue = &trust;
	assert_true(C_FindObjectsInit(h, &a, 1) == CKR_OK);
	assert_true(C_FindObjects(h, found, 4, &n) == CKR_OK);
	assert_int_equal(n, 0);
	assert_true(C_FindObjectsFinal(h) == CKR_OK);
}

static void
does_not_mix_up_sessions(void **state)
{
	CK_SESSION_HANDLE a = open_session(0), b = open_session(CKF_RW_SESSION);
	CK_SESSION_INFO info;
	CK_SESSION_HANDLE c;

	(void)state;
	assert_true(a != b);
	assert_true(C_GetSessionInfo(a, &info) == CKR_OK);
	assert_true(info.state == CKS_RO_USER_FUNCTIONS);
	assert_true(C_GetSessionInfo(b, &info) == CKR_OK);
	assert_true(info.state == CKS_RW_USER_FUNCTIONS);
	assert_true(C_CloseSession(a) == CKR_OK);
	assert_true(C_CloseSession(a) == CKR_SESSION_HANDLE_INVALID);
	c = open_session(0);
	assert_true(c != a); /* the place is used anew, the handle is not */
	assert_true(C_GetSessionInfo(a, &info) == CKR_SESSION_HANDLE_INVALID);
	assert_true(C_CloseAllSessions(0) == CKR_OK);
	assert_true(C_GetSessionInfo(b, &info) == CKR_SESSION_HANDLE_INVALID);
	assert_true(C_GetSessionInfo(0, &info) == CKR_SESSION_HANDLE_INVALID);
	assert_true(C_GetSessionInfo((CK_ULONG)-1, &info) ==
	    CKR_SESSION_HANDLE_INVALID);
	assert_true(C_OpenSession(0, 0, NULL, NULL, &c) ==
	    CKR_SESSION_PARALLEL_NOT_SUPPORTED);
}

static void
opens_many_sessions(void **state)
{
	enum { MANY = 5000 };
	static CK_SESSION_HANDLE h[MANY];
	CK_SESSION_INFO info;

	(void)state;
	for (int i = 0; i < MANY; i++)
		h[i] = open_session(0);
	for (int i = 0; i < MANY; i++)
		assert_true(C_GetSessionInfo(h[i], &info) == CKR_OK);
	assert_true(C_CloseAllSessions(0) == CKR_OK);
}

static void
hashes_without_a_daemon(void **state)
{
	static const uint8_t abc[] = { 0xba, 0x78, 0x16, 0xbf };
	CK_SESSION_HANDLE h = open_session(0), other = open_session(0);
	CK_MECHANISM m = { CKM_SHA256, NULL, 0 };
	CK_BYTE data[] = "abc", out[32], saved[1024];
	CK_ULONG n = 0, saved_len = sizeof(saved);

	(void)state;
	assert_true(
	    C_Digest(h, data, 3, out, &n) == CKR_OPERATION_NOT_INITIALIZED);
	assert_true(C_DigestInit(h, &m) == CKR_OK);
	assert_true(C_DigestInit(h, &m) == CKR_OPERATION_ACTIVE);
	assert_true(C_Digest(h, data, 3, NULL, &n) == CKR_OK);
	assert_int_equal(n, 32);
	n = 31;
	assert_true(C_Digest(h, data, 3, out, &n) == CKR_BUFFER_TOO_SMALL);
	assert_int_equal(n, 32);
	assert_true(C_Digest(h, data, 3, out, &n) == CKR_OK);
	assert_memory_equal(out, abc, sizeof(abc));

	assert_true(C_DigestInit(h, &m) == CKR_OK);
	assert_true(C_DigestUpdate(h, data, 1) == CKR_OK);
	assert_true(C_GetOperationState(h, saved, &saved_len) == CKR_OK);
	assert_true(
	    C_SetOperationState(other, saved, saved_len, 0, 0) == CKR_OK);
	assert_true(C_DigestUpdate(other, data + 1, 2) == CKR_OK);
	assert_true(C_DigestFinal(other, out, &n) == CKR_OK);
	assert_memory_equal(out, abc, sizeof(abc));
	saved[20] ^= 1;
	assert_true(C_SetOperationState(other, saved, saved_len, 0, 0) ==
	    CKR_SAVED_STATE_INVALID);
	assert_true(C_SessionCancel(h, CKF_DIGEST) == CKR_OK);
	assert_true(C_DigestInit(h, &m) == CKR_OK);
	assert_true(C_DigestInit(h, NULL) == CKR_OK); /* 3.0: cancels */
	assert_true(C_DigestInit(h, &m) == CKR_OK);
}

static void
draws_random_bytes_without_a_daemon(void **state)
{
	CK_SESSION_HANDLE h = open_session(0);
	CK_BYTE a[32] = { 0 }, b[32] = { 0 };

	(void)state;
	assert_true(C_GenerateRandom(h, a, sizeof(a)) == CKR_OK);
	assert_true(C_GenerateRandom(h, b, sizeof(b)) == CKR_OK);
	assert_memory_not_equal(a, b, sizeof(a));
	assert_true(C_GenerateRandom(h, NULL, 1) == CKR_ARGUMENTS_BAD);
	assert_true(C_GenerateRandom(h, NULL, 0) == CKR_OK);
}

static void
lets_anybody_log_in_where_no_login_is_needed(void **state)
{
	CK_SESSION_HANDLE h = open_session(0);
	CK_UTF8CHAR pin[] = "1234";

	(void)state;
	assert_true(C_Login(h, CKU_USER, pin, 4) == CKR_OK);
	assert_true(
	    C_Login(h, CKU_USER, NULL, 0) == CKR_USER_ALREADY_LOGGED_IN);
	assert_true(C_Logout(h) == CKR_OK);
	assert_true(C_Logout(h) == CKR_USER_NOT_LOGGED_IN);
	assert_true(C_Login(h, CKU_SO, pin, 4) == CKR_USER_TYPE_INVALID);
}

/* -- Fork -- */

static int
child_goes_on(CK_SESSION_HANDLE h)
{
	CK_BYTE out[32];
	CK_SESSION_INFO info;

	return C_GetSessionInfo(h, &info) == CKR_OK &&
		C_GenerateRandom(h, out, sizeof(out)) == CKR_OK &&
		C_CloseSession(h) == CKR_OK
	    ? 0
	    : 1;
}

static int
child_initializes(CK_SESSION_HANDLE h)
{
	CK_SESSION_INFO info;

	return C_Initialize(&args) == CKR_OK &&
		C_Initialize(&args) == CKR_CRYPTOKI_ALREADY_INITIALIZED &&
		C_GetSessionInfo(h, &info) == CKR_OK &&
		C_Finalize(NULL) == CKR_OK
	    ? 0
	    : 1;
}

static int
child_starts_anew(CK_SESSION_HANDLE h)
{
	CK_SESSION_INFO info;
	CK_SESSION_HANDLE new;

	return C_Finalize(NULL) == CKR_OK && C_Initialize(&args) == CKR_OK &&
		C_GetSessionInfo(h, &info) == CKR_SESSION_HANDLE_INVALID &&
		C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &new) == CKR_OK
	    ? 0
	    : 1;
}

static void
works_in_a_child_however_it_begins(void **state)
{
	CK_SESSION_HANDLE h = open_session(0);
	CK_SESSION_INFO info;

	(void)state;
	in_child(child_goes_on, h);
	in_child(child_initializes, h);
	in_child(child_starts_anew, h);
	assert_true(C_GetSessionInfo(h, &info) == CKR_OK);
}

static int
grandchild(CK_SESSION_HANDLE h)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(child_goes_on(h));
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
		WEXITSTATUS(status) == 0
	    ? child_goes_on(h)
	    : 1;
}

static void
works_in_the_child_of_a_child(void **state)
{
	(void)state;
	in_child(grandchild, open_session(0));
}

/* A child that no fork handler prepared. */
static void
works_in_a_child_made_without_handlers(void **state)
{
	CK_SESSION_HANDLE h = open_session(0);
	pid_t pid = _Fork();
	int status;

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(child_goes_on(h));
	assert_true(waitpid(pid, &status, 0) == pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static _Atomic bool stop;

static void *
busy_thread(void *arg)
{
	CK_SESSION_HANDLE h = *(CK_SESSION_HANDLE *)arg;
	CK_BYTE out[64];

	while (!stop)
		(void)C_GenerateRandom(h, out, sizeof(out));
	return NULL;
}

/* Whatever the other threads hold in the moment of the fork. */
static void
forks_while_other_threads_are_in_calls(void **state)
{
	enum { THREADS = 4, FORKS = 100 };
	CK_SESSION_HANDLE h = open_session(0);
	pthread_t threads[THREADS];

	(void)state;
	stop = false;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, busy_thread, &h), 0);
	for (int i = 0; i < FORKS; i++)
		in_child(child_goes_on, h);
	stop = true;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
}

/* -- End -- */

static void *
waiting_thread(void *arg)
{
	CK_SLOT_ID slot;

	*(CK_RV *)arg = C_WaitForSlotEvent(0, &slot, NULL);
	return NULL;
}

static void
wakes_who_waits_for_a_slot_event(void **state)
{
	pthread_t thread;
	CK_SLOT_ID slot;
	CK_RV rv = CKR_OK;

	(void)state;
	assert_true(C_Initialize(&args) == CKR_OK);
	assert_true(
	    C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, NULL) == CKR_NO_EVENT);
	assert_int_equal(pthread_create(&thread, NULL, waiting_thread, &rv), 0);
	(void)usleep(20000);
	assert_true(C_Finalize(NULL) == CKR_OK);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(rv == CKR_CRYPTOKI_NOT_INITIALIZED);
}

static void *
calling_thread(void *arg)
{
	CK_SESSION_HANDLE h;
	CK_BYTE out[64];

	(void)arg;
	while (!stop) {
		if (C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &h) !=
		    CKR_OK)
			continue;
		(void)C_GenerateRandom(h, out, sizeof(out));
		(void)C_FindObjectsInit(h, NULL, 0);
		(void)C_CloseSession(h);
	}
	return NULL;
}

static void
ends_while_other_threads_are_in_calls(void **state)
{
	enum { THREADS = 4, ROUNDS = 200 };
	pthread_t threads[THREADS];

	(void)state;
	stop = false;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, calling_thread, NULL), 0);
	for (int i = 0; i < ROUNDS; i++) {
		assert_true(C_Initialize(&args) == CKR_OK);
		(void)usleep(200);
		assert_true(C_Finalize(NULL) == CKR_OK);
	}
	stop = true;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
}

#define INITIALIZED(test) cmocka_unit_test_setup_teardown(test, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_nothing_before_it_is_initialized),
		cmocka_unit_test(takes_every_kind_of_init_argument),
		cmocka_unit_test(fills_every_place_in_its_function_lists),
		INITIALIZED(shows_its_token_while_the_daemon_is_away),
		INITIALIZED(fails_a_search_at_once_while_the_daemon_is_away),
		INITIALIZED(does_not_mix_up_sessions),
		INITIALIZED(opens_many_sessions),
		INITIALIZED(hashes_without_a_daemon),
		INITIALIZED(draws_random_bytes_without_a_daemon),
		INITIALIZED(lets_anybody_log_in_where_no_login_is_needed),
		INITIALIZED(works_in_a_child_however_it_begins),
		INITIALIZED(works_in_the_child_of_a_child),
		INITIALIZED(works_in_a_child_made_without_handlers),
		INITIALIZED(forks_while_other_threads_are_in_calls),
		cmocka_unit_test(wakes_who_waits_for_a_slot_event),
		cmocka_unit_test(ends_while_other_threads_are_in_calls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
