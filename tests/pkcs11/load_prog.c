/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Uses the module as a server does: loads it, looks one key up, and signs with
 * the old handle for ever.
 *	load_prog MODULE LABEL MODE [SECONDS]
 *	  threads SECONDS  signs in 4 threads, until SIGTERM or so long; prints
 *	                   "begun PID" when they do, and at the end signatures,
 *	                   failures, and the longest stretch of failures in ms
 *	  children         forks 100 children that sign, each in one of the ways
 *	                   in which hosts begin in a child
 *	  busy             forks while 4 threads sign; the children sign
 *	  unload           loads and unloads again and again
 *	  exit             ends without C_Finalize
 *	  fds              shows what descriptors an exec'd program inherits
 *	  early SECONDS    begins while there is no daemon; goes on with one
 *	  finalize         C_Finalize, and all over again, while 4 threads sign
 * Status 0: all that should work worked.
 */
#include <dlfcn.h>
#include <err.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../pkcs11/cryptoki.h"

enum { THREADS = 4, CHILDREN = 100 };

static const char *module_path, *label;
static CK_FUNCTION_LIST *p11;
static CK_OBJECT_HANDLE key;
static _Atomic bool stop;
static _Atomic unsigned long good, bad;
static _Atomic long gap_ms;
static _Atomic int signing; /* threads that have signed once */

static long
now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void *
load(void)
{
	void *handle = dlopen(module_path, RTLD_NOW | RTLD_LOCAL);
	CK_C_GetFunctionList get;

	if (handle == NULL)
		errx(1, "%s", dlerror());
	*(void **)&get = dlsym(handle, "C_GetFunctionList");
	if (get == NULL || get(&p11) != CKR_OK)
		errx(1, "C_GetFunctionList");
	return handle;
}

static CK_SESSION_HANDLE
open_session(void)
{
	CK_SESSION_HANDLE h;

	if (p11->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &h) != CKR_OK)
		errx(1, "C_OpenSession");
	return h;
}

/* 0: there is none. */
static CK_OBJECT_HANDLE
look_for(CK_SESSION_HANDLE h)
{
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	char name[128];
	CK_ATTRIBUTE a[] = { { CKA_CLASS, &class, sizeof(class) },
		{ CKA_LABEL, name, strlen(label) } };
	CK_OBJECT_HANDLE found = 0;
	CK_ULONG n = 0;

	(void)snprintf(name, sizeof(name), "%s", label);
	if (p11->C_FindObjectsInit(h, a, 2) != CKR_OK ||
	    p11->C_FindObjects(h, &found, 1, &n) != CKR_OK)
		errx(1, "no key %s: the search fails", label);
	(void)p11->C_FindObjectsFinal(h);
	return n == 1 ? found : 0;
}

static CK_OBJECT_HANDLE
find(CK_SESSION_HANDLE h)
{
	CK_OBJECT_HANDLE found = look_for(h);

	if (found == 0)
		errx(1, "no key %s", label);
	return found;
}

static CK_RV
sign(CK_SESSION_HANDLE h)
{
	CK_MECHANISM m = { CKM_ECDSA, NULL, 0 };
	CK_BYTE hash[32] = "a hash of thirty-two bytes, all", out[256];
	CK_ULONG len = sizeof(out);
	CK_RV rv = p11->C_SignInit(h, &m, key);

	if (rv == CKR_OK)
		rv = p11->C_Sign(h, hash, sizeof(hash), out, &len);
	if (rv == CKR_OK && len != 64)
		return CKR_GENERAL_ERROR;
	return rv;
}

static void *
signing_thread(void *arg)
{
	CK_SESSION_HANDLE h = open_session();
	long since = 0;

	(void)arg;
	while (!stop) {
		CK_RV rv = sign(h);

		if (rv == CKR_OK) {
			good++;
			since = 0;
			continue;
		}
		bad++;
		if (rv != CKR_DEVICE_ERROR)
			errx(1, "C_Sign: 0x%lx", rv);
		if (since == 0)
			since = now_ms();
		if (now_ms() - since > gap_ms)
			gap_ms = now_ms() - since;
		(void)usleep(1000);
	}
	return NULL;
}

static void
start_threads(pthread_t threads[THREADS])
{
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, signing_thread, NULL) !=
		    0)
			errx(1, "pthread_create");
}

static void
join_threads(pthread_t threads[THREADS])
{
	stop = true;
	for (int i = 0; i < THREADS; i++)
		(void)pthread_join(threads[i], NULL);
}

static void
on_term(int sig)
{
	(void)sig;
	stop = true;
}

static int
run_threads(unsigned seconds)
{
	long end = now_ms() + 1000L * seconds;
	pthread_t threads[THREADS];

	(void)signal(SIGTERM, on_term);
	start_threads(threads);
	while (good < THREADS && now_ms() < end)
		(void)usleep(1000);
	(void)printf("begun %d\n", getpid());
	(void)fflush(stdout);
	while (!stop && now_ms() < end)
		(void)usleep(20000);
	join_threads(threads);
	(void)printf("good %lu bad %lu gap %ld\n", good, bad, gap_ms);
	return good > 0 ? 0 : 1;
}

/* The ways of hosts: nothing, C_Initialize, C_Finalize and C_Initialize. */
static int
in_child(int i, CK_SESSION_HANDLE h)
{
	if (i % 3 == 1 && p11->C_Initialize(NULL) != CKR_OK)
		return 2;
	if (i % 3 == 2) {
		if (p11->C_Finalize(NULL) != CKR_OK ||
		    p11->C_Initialize(NULL) != CKR_OK)
			return 3;
		h = open_session();
	}
	for (int n = 0; n < 3; n++)
		if (sign(h) != CKR_OK)
			return 4;
	return p11->C_Finalize(NULL) == CKR_OK ? 0 : 5;
}

static int
run_children(CK_SESSION_HANDLE h)
{
	int failed = 0, status;

	for (int i = 0; i < CHILDREN; i++) {
		pid_t pid = fork();

		if (pid < 0)
			err(1, "fork");
		if (pid == 0)
			_exit(in_child(i, h));
	}
	for (int i = 0; i < CHILDREN; i++)
		if (wait(&status) < 0 || !WIFEXITED(status) ||
		    WEXITSTATUS(status) != 0) {
			warnx("a child ended with 0x%x", (unsigned)status);
			failed++;
		}
	return failed == 0 && sign(h) == CKR_OK ? 0 : 1;
}

static int
run_busy(CK_SESSION_HANDLE h)
{
	pthread_t threads[THREADS];
	int result = 0, status;

	start_threads(threads);
	for (int i = 0; i < CHILDREN && result == 0; i++) {
		pid_t pid = fork();

		if (pid < 0)
			err(1, "fork");
		if (pid == 0) {
			(void)alarm(20); /* instead of a hang */
			_exit(in_child(i, h));
		}
		if (waitpid(pid, &status, 0) < 0 || status != 0) {
			warnx("child %d ended with 0x%x", i, (unsigned)status);
			result = 1;
		}
	}
	join_threads(threads);
	return result == 0 && bad == 0 ? 0 : 1;
}

static int
run_unload(void)
{
	for (int i = 0; i < 50; i++) {
		void *handle = load();
		CK_SESSION_HANDLE h;

		CK_RV rv = p11->C_Initialize(NULL);

		/* Every other time it is unloaded without an end. */
		if (rv !=
		    (i % 2 == 0 ? CKR_OK : CKR_CRYPTOKI_ALREADY_INITIALIZED))
			return 1;
		h = open_session();
		key = find(h);
		if (sign(h) != CKR_OK)
			return 1;
		if (i % 2 != 0 && p11->C_Finalize(NULL) != CKR_OK)
			return 1;
		(void)dlclose(handle);
	}
	return 0;
}

/* What must work without the daemon, must not take time, or must not look
 * like a token without keys. */
static CK_SESSION_HANDLE
begin_early(void)
{
	long start = now_ms();
	CK_SESSION_HANDLE h;
	CK_SLOT_ID slots[8];
	CK_ULONG n = 8;
	CK_RV rv;

	(void)load();
	if (p11->C_Initialize(NULL) != CKR_OK)
		errx(1, "C_Initialize");
	if (now_ms() - start > 100)
		errx(1, "C_Initialize took %ld ms", now_ms() - start);
	if (p11->C_GetSlotList(CK_TRUE, slots, &n) != CKR_OK || n != 1)
		errx(1, "no slot with a token");
	h = open_session();
	rv = p11->C_FindObjectsInit(h, NULL, 0);
	if (rv != CKR_DEVICE_ERROR)
		errx(1, "a search without a daemon: 0x%lx", rv);
	return h;
}

/* Tells that it has begun; then a daemon may come. */
static int
run_early(unsigned seconds)
{
	CK_SESSION_HANDLE h = begin_early();
	long end = now_ms() + 1000L * seconds;
	CK_RV rv;

	(void)printf("begun\n");
	(void)fflush(stdout);
	while ((rv = p11->C_FindObjectsInit(h, NULL, 0)) == CKR_DEVICE_ERROR &&
	    now_ms() < end)
		(void)usleep(20000);
	if (rv != CKR_OK)
		errx(1, "a search with a daemon: 0x%lx", rv);
	(void)p11->C_FindObjectsFinal(h);
	/* The daemon is there before the key is. */
	while ((key = look_for(h)) == 0 && now_ms() < end)
		(void)usleep(20000);
	if (key == 0)
		errx(1, "no key %s", label);
	return sign(h) == CKR_OK ? 0 : 1;
}

/* Signs until the module is finalized under it; every error but that is one. */
static void *
signing_until_the_end(void *arg)
{
	CK_SESSION_HANDLE h = open_session();
	CK_RV rv;

	(void)arg;
	for (bool first = true; (rv = sign(h)) == CKR_OK; first = false) {
		good++;
		signing += first;
	}
	if (rv != CKR_CRYPTOKI_NOT_INITIALIZED &&
	    rv != CKR_SESSION_HANDLE_INVALID && rv != CKR_FUNCTION_CANCELED)
		errx(1, "while it ends: 0x%lx", rv);
	return NULL;
}

static int
run_finalize(void)
{
	for (int i = 0; i < 30; i++) {
		pthread_t threads[THREADS];

		for (int k = 0; k < THREADS; k++)
			if (pthread_create(&threads[k], NULL,
				signing_until_the_end, NULL) != 0)
				errx(1, "pthread_create");
		/* On a busy machine some are not there yet. */
		do
			(void)usleep(20000);
		while (signing < THREADS);
		signing = 0;
		if (p11->C_Finalize(NULL) != CKR_OK)
			errx(1, "C_Finalize");
		for (int k = 0; k < THREADS; k++)
			(void)pthread_join(threads[k], NULL);
		if (p11->C_Initialize(NULL) != CKR_OK)
			errx(1, "C_Initialize");
	}
	(void)printf("good %lu\n", good);
	return good > 100 && sign(open_session()) == CKR_OK ? 0 : 1;
}

int
main(int argc, char **argv)
{
	CK_SESSION_HANDLE h;

	if (argc < 4)
		errx(1, "usage: load_prog MODULE LABEL MODE [SECONDS]");
	module_path = argv[1];
	label = argv[2];
	if (strcmp(argv[3], "unload") == 0)
		return run_unload();
	if (strcmp(argv[3], "early") == 0)
		return run_early(argc > 4 ? (unsigned)atoi(argv[4]) : 20);
	(void)load();
	if (p11->C_Initialize(NULL) != CKR_OK)
		errx(1, "C_Initialize");
	h = open_session();
	key = find(h);
	if (sign(h) != CKR_OK)
		errx(1, "the first signature failed");
	if (strcmp(argv[3], "threads") == 0)
		return run_threads(argc > 4 ? (unsigned)atoi(argv[4]) : 5);
	if (strcmp(argv[3], "children") == 0)
		return run_children(h);
	if (strcmp(argv[3], "busy") == 0)
		return run_busy(h);
	if (strcmp(argv[3], "finalize") == 0)
		return run_finalize();
	if (strcmp(argv[3], "fds") == 0) {
		(void)execl("/bin/ls", "ls", "-l", "/proc/self/fd", NULL);
		return 1;
	}
	return strcmp(argv[3], "exit") == 0 ? 0 : 1;
}
