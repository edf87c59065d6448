/* SPDX-License-Identifier: Apache-2.0 */
#include "module.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "config.h"
#include "error.h"

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	_Atomic pid_t pid;  /* whom the lock works for */
	bool fork_handlers; /* registered; they stay for ever */
	bool initialized;
	bool finalizing;
	bool inherited; /* by a child that has not said C_Initialize */
	unsigned calls; /* under way */
	struct module module;
} state = { .lock = PTHREAD_MUTEX_INITIALIZER,
	.changed = PTHREAD_COND_INITIALIZER };

/* -- Fork -- */

static void
before_fork(void)
{
	(void)pthread_mutex_lock(&state.lock);
}

static void
after_fork_in_parent(void)
{
	(void)pthread_mutex_unlock(&state.lock);
}

/* Only the thread that forked exists here, and it is in no call of ours. */
static void
forget_other_threads(void)
{
	state.calls = 0;
	state.inherited = state.initialized && !state.finalizing;
	/* A parent in the middle of C_Finalize: the child has nothing. */
	if (state.finalizing) {
		state.initialized = false;
		state.finalizing = false;
	}
	session_table_after_fork(&state.module.sessions);
	(void)pthread_cond_init(&state.changed, NULL);
}

static void
after_fork_in_child(void)
{
	forget_other_threads();
	(void)pthread_mutex_unlock(&state.lock);
	atomic_store(&state.pid, getpid());
}

/*
 * A child made by clone() or _Fork(), which run no handlers: the first call
 * notices. The lock may have been left taken; nobody who took it is here.
 */
static void
notice_fork(void)
{
	enum { SETTLING = -1 };
	pid_t self = getpid();
	pid_t seen = atomic_load(&state.pid);

	while (seen != self) {
		if (seen == SETTLING) {
			seen = atomic_load(&state.pid);
			continue;
		}
		if (!atomic_compare_exchange_strong(
			&state.pid, &seen, SETTLING))
			continue;
		(void)pthread_mutex_init(&state.lock, NULL);
		if (seen != 0)
			forget_other_threads();
		atomic_store(&state.pid, self);
		return;
	}
}

/* -- The lock -- */

void
module_lock(void)
{
	(void)pthread_mutex_lock(&state.lock);
}

void
module_unlock(void)
{
	(void)pthread_mutex_unlock(&state.lock);
}

void
module_sleep(void)
{
	(void)pthread_cond_wait(&state.changed, &state.lock);
}

bool
module_ending(void)
{
	return state.finalizing;
}

bool
module_is_alone(void)
{
	return state.calls == 1;
}

void
module_wake(void)
{
	(void)pthread_cond_broadcast(&state.changed);
}

/* -- In and out -- */

CK_RV
module_enter(struct module **out)
{
	CK_RV rv = CKR_OK;

	notice_fork();
	module_lock();
	if (!state.initialized || state.finalizing)
		rv = CKR_CRYPTOKI_NOT_INITIALIZED;
	else
		state.calls++;
	module_unlock();
	*out = &state.module;
	return rv;
}

void
module_leave(void)
{
	module_lock();
	state.calls--;
	if (state.finalizing && state.calls == 0)
		module_wake();
	module_unlock();
}

CK_RV
module_wait_for_end(void)
{
	module_lock();
	while (!module_ending())
		module_sleep();
	module_unlock();
	return CKR_CRYPTOKI_NOT_INITIALIZED;
}

struct slot *
module_slot(struct module *module, CK_SLOT_ID id)
{
	return id < module->slot_count ? &module->slots[id] : NULL;
}

/* -- Begin and end -- */

/*
 * Locking by callbacks alone is the one thing that a module with pthreads
 * inside cannot do; hosts that ask for it (libp11 0.4.12 after a fork gives no
 * OS_LOCKING_OK) are served all the same, as pthread mutexes harm nobody.
 */
static bool
arguments_valid(const CK_C_INITIALIZE_ARGS *args)
{
	bool all = args->CreateMutex != NULL && args->DestroyMutex != NULL &&
	    args->LockMutex != NULL && args->UnlockMutex != NULL;
	bool none = args->CreateMutex == NULL && args->DestroyMutex == NULL &&
	    args->LockMutex == NULL && args->UnlockMutex == NULL;

	return all || none;
}

static CK_RV
start(const char *reserved, struct hf_why *why)
{
	struct config config;
	enum hf_err err = config_load(reserved, &config, why);

	if (err != HF_OK)
		return reserved != NULL ? CKR_ARGUMENTS_BAD : CKR_GENERAL_ERROR;
	err = slots_make(
	    &config, &state.module.slots, &state.module.slot_count, why);
	config_free(&config);
	if (err != HF_OK)
		return rv_of(err);
	session_table_init(&state.module.sessions);
	return CKR_OK;
}

CK_RV
module_initialize(const CK_C_INITIALIZE_ARGS *args, struct hf_why *why)
{
	CK_RV rv;

	if (args != NULL && !arguments_valid(args))
		return CKR_ARGUMENTS_BAD;
	notice_fork();
	module_lock();
	trace_open(secure_getenv("HOLDFAST_PKCS11_DEBUG"));
	if (state.inherited) {
		state.inherited = false;
		rv = CKR_OK;
	} else if (state.initialized) {
		rv = CKR_CRYPTOKI_ALREADY_INITIALIZED;
	} else {
		rv = start(args == NULL ? NULL : args->pReserved, why);
		state.initialized = rv == CKR_OK;
	}
	/* Only once there is something to protect: a host that loads us and
	 * never uses us has no handler of ours in its forks. */
	if (rv == CKR_OK && !state.fork_handlers)
		state.fork_handlers =
		    pthread_atfork(before_fork, after_fork_in_parent,
			after_fork_in_child) == 0;
	module_unlock();
	return rv;
}

CK_RV
module_finalize(void)
{
	notice_fork();
	module_lock();
	if (!state.initialized || state.finalizing) {
		module_unlock();
		return CKR_CRYPTOKI_NOT_INITIALIZED;
	}
	state.finalizing = true;
	module_wake();
	while (state.calls > 0)
		(void)pthread_cond_wait(&state.changed, &state.lock);
	session_table_free(&state.module.sessions);
	slots_free(state.module.slots, state.module.slot_count);
	state.module = (struct module){ 0 };
	state.initialized = false;
	state.finalizing = false;
	state.inherited = false;
	module_unlock();
	return CKR_OK;
}
