/* SPDX-License-Identifier: Apache-2.0 */
#include "hsm_internal.h"

/*
 * C_Initialize and C_Finalize concern the whole process: when two tokens are
 * reached through one module, neither may pull it from under the other. The
 * first to enter initializes, the last to leave finalizes; one that comes back
 * while the other works closes and opens its own sessions only.
 */

enum { MODULES_MAX = 8 };

static struct {
	CK_FUNCTION_LIST_PTR fn;
	unsigned users;
} modules[MODULES_MAX];
static pthread_mutex_t modules_lock = PTHREAD_MUTEX_INITIALIZER;

/* The row of a module, or a free one; -1 when there is none. Lock is held. */
static int
module_row(CK_FUNCTION_LIST_PTR fn)
{
	int free_row = -1;

	for (int i = 0; i < MODULES_MAX; i++) {
		if (modules[i].fn == fn && modules[i].users > 0)
			return i;
		if (modules[i].users == 0 && free_row < 0)
			free_row = i;
	}
	return free_row;
}

CK_RV
module_enter(CK_FUNCTION_LIST_PTR fn)
{
	CK_C_INITIALIZE_ARGS args = { .flags = CKF_OS_LOCKING_OK };
	CK_RV rv = CKR_OK;
	int i;

	(void)pthread_mutex_lock(&modules_lock);
	i = module_row(fn);
	if (i < 0)
		rv = CKR_HOST_MEMORY;
	else if (modules[i].users == 0)
		rv = fn->C_Initialize(&args);
	/* What is left of a finalization that failed. */
	if (rv == CKR_CRYPTOKI_ALREADY_INITIALIZED)
		rv = CKR_OK;
	if (rv == CKR_OK) {
		modules[i].fn = fn;
		modules[i].users++;
	}
	(void)pthread_mutex_unlock(&modules_lock);
	return rv;
}

CK_RV
module_leave(CK_FUNCTION_LIST_PTR fn)
{
	CK_RV rv = CKR_OK;
	int i;

	(void)pthread_mutex_lock(&modules_lock);
	i = module_row(fn);
	if (i >= 0 && modules[i].users > 0 && --modules[i].users == 0)
		rv = fn->C_Finalize(NULL);
	(void)pthread_mutex_unlock(&modules_lock);
	return rv;
}
