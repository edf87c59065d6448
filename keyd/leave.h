/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_LEAVE_H
#define KEYD_LEAVE_H

#include <unistd.h>

#ifdef HOLDFAST_COVERAGE
void __gcov_dump(void); /* of GCC: what an exit would write */
#endif

/*
 * Ends the process at once: libraries of HSMs and OpenSSL disagree about who
 * tears down what at exit (SoftHSM issue 780). Everything of ours is closed.
 */
_Noreturn static inline void
leave(int status)
{
#ifdef HOLDFAST_COVERAGE
	__gcov_dump();
#endif
	_exit(status);
}

#endif
