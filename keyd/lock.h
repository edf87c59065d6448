/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_LOCK_H
#define KEYD_LOCK_H

#include <pthread.h>

/*
 * A mutex that is held for less than a microsecond: who finds it taken looks
 * a few more times before it goes to sleep, because to sleep and to be woken
 * takes ten times as long.
 */
static inline void
lock_init(pthread_mutex_t *lock)
{
	pthread_mutexattr_t how;

	(void)pthread_mutexattr_init(&how);
	(void)pthread_mutexattr_settype(&how, PTHREAD_MUTEX_ADAPTIVE_NP);
	(void)pthread_mutex_init(lock, &how);
	(void)pthread_mutexattr_destroy(&how);
}

#endif
