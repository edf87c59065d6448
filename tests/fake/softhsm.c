/* SPDX-License-Identifier: Apache-2.0 */
#include "softhsm.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "disk.h"

#define MODULE "/usr/lib/softhsm/libsofthsm2.so"

/*
 * SoftHSM 2.6.1 leaks some bytes with each Ed25519 signature. The leak
 * checker needs true stacks to see whose it is; ten frames are enough, and
 * each costs time.
 */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(WITH_ASAN)
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(
    void);
__attribute__((visibility("default"))) const char *__asan_default_options(void);

const char *
__lsan_default_suppressions(void)
{
	return "leak:libsofthsm2.so\n";
}

const char *
__asan_default_options(void)
{
	return "fast_unwind_on_malloc=0:malloc_context_size=10";
}
#endif

static bool
write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	bool ok;

	if (f == NULL)
		return false;
	ok = fputs(text, f) >= 0;
	ok = fclose(f) == 0 && ok;
	return chmod(path, 0600) == 0 && ok;
}

/* Its own tool in a process of its own, so that this one has not touched the
 * module before the test does. */
bool
softhsm_add(const char *token)
{
	static char tool[] = "softhsm2-util", init[] = "--init-token",
		    free_slot[] = "--free", label[] = "--label",
		    so[] = "--so-pin", so_pin[] = "12345678", user[] = "--pin",
		    pin[] = SOFTHSM_PIN;
	char name[64];
	char *argv[] = { tool, init, free_slot, label, name, so, so_pin, user,
		pin, NULL };
	posix_spawn_file_actions_t quiet;
	pid_t pid;
	int status = -1, err;

	(void)snprintf(name, sizeof(name), "%s", token);
	(void)posix_spawn_file_actions_init(&quiet);
	(void)posix_spawn_file_actions_addopen(
	    &quiet, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	err = posix_spawnp(&pid, tool, &quiet, NULL, argv, environ);
	(void)posix_spawn_file_actions_destroy(&quiet);
	return err == 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

bool
softhsm_start(struct softhsm *s)
{
	char path[128], text[256];

	(void)snprintf(s->dir, sizeof(s->dir), "/tmp/holdfast-softhsm-XXXXXX");
	if (mkdtemp(s->dir) == NULL) {
		perror("mkdtemp");
		return false;
	}
	(void)snprintf(s->tokens, sizeof(s->tokens), "%s/tokens", s->dir);
	(void)snprintf(s->pin_file, sizeof(s->pin_file), "%s/pin", s->dir);
	(void)snprintf(
	    s->pin_source, sizeof(s->pin_source), "file:%s", s->pin_file);
	(void)snprintf(s->uri, sizeof(s->uri),
	    "pkcs11:token=" SOFTHSM_LABEL "?module-path=" MODULE);
	(void)snprintf(path, sizeof(path), "%s/softhsm2.conf", s->dir);
	(void)snprintf(text, sizeof(text),
	    "directories.tokendir = %s\nlog.level = ERROR\n", s->tokens);
	if (mkdir(s->tokens, 0700) != 0 || !write_file(path, text) ||
	    !write_file(s->pin_file, SOFTHSM_PIN "\n") ||
	    setenv("SOFTHSM2_CONF", path, 1) != 0 ||
	    !softhsm_add(SOFTHSM_LABEL)) {
		(void)fprintf(stderr, "the SoftHSM token was not made\n");
		softhsm_stop(s);
		return false;
	}
	return true;
}

void
softhsm_stop(struct softhsm *s)
{
	if (s->dir[0] != '\0')
		disk_remove(s->dir);
	s->dir[0] = '\0';
}

struct hsm *
softhsm_open_with(const struct hsm_settings *settings)
{
	struct hf_why why;
	struct hsm *hsm = NULL;

	if (hsm_open(settings, NULL, NULL, &hsm, &why) != HF_OK ||
	    hsm_wait_ready(hsm, 10000) != HF_OK)
		return NULL;
	return hsm;
}

struct hsm *
softhsm_open(const struct softhsm *s, const char *uri, unsigned deadline_ms)
{
	return softhsm_open_with(&(struct hsm_settings){ .uri = uri,
	    .pin_source = s->pin_source,
	    .deadline_ms = deadline_ms });
}

bool
softhsm_hide(struct softhsm *s)
{
	char hidden[128];

	(void)snprintf(hidden, sizeof(hidden), "%s.hidden", s->tokens);
	return rename(s->tokens, hidden) == 0 && mkdir(s->tokens, 0700) == 0;
}

bool
softhsm_show(struct softhsm *s)
{
	char hidden[128];

	(void)snprintf(hidden, sizeof(hidden), "%s.hidden", s->tokens);
	/* rename(2) replaces an empty folder at once. */
	return rename(hidden, s->tokens) == 0;
}

static CK_FUNCTION_LIST original;

CK_FUNCTION_LIST_PTR
softhsm_functions(void)
{
	static CK_FUNCTION_LIST_PTR list;
	CK_C_GetFunctionList get;
	void *module, *symbol;

	if (list != NULL)
		return list;
	module = dlopen(MODULE, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (module == NULL)
		return NULL;
	symbol = dlsym(module, "C_GetFunctionList");
	memcpy(&get, &symbol, sizeof(get)); /* ISO C has no such cast */
	if (get(&list) != CKR_OK)
		return NULL;
	original = *list;
	return list;
}

const CK_FUNCTION_LIST *
softhsm_original(void)
{
	return softhsm_functions() == NULL ? NULL : &original;
}

bool
softhsm_count(bool token, size_t *out)
{
	const CK_FUNCTION_LIST *fn = softhsm_original();
	CK_BBOOL wanted = token ? CK_TRUE : CK_FALSE;
	CK_ATTRIBUTE t = { CKA_TOKEN, &wanted, sizeof(wanted) };
	CK_OBJECT_HANDLE found[1000];
	CK_SLOT_ID slots[8];
	CK_ULONG n = 8;
	CK_SESSION_HANDLE s;
	CK_RV rv = fn->C_GetSlotList(CK_TRUE, slots, &n);

	if (rv != CKR_OK ||
	    fn->C_OpenSession(slots[0], CKF_SERIAL_SESSION, NULL, NULL, &s) !=
		CKR_OK)
		return false;
	if ((rv = fn->C_FindObjectsInit(s, &t, 1)) == CKR_OK &&
	    (rv = fn->C_FindObjects(s, found, 1000, &n)) == CKR_OK)
		rv = fn->C_FindObjectsFinal(s);
	*out = n;
	return fn->C_CloseSession(s) == CKR_OK && rv == CKR_OK;
}

void
softhsm_functions_restore(void)
{
	CK_FUNCTION_LIST_PTR list = softhsm_functions();

	if (list != NULL)
		*list = original;
}
