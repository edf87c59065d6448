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

/*
 * For a daemon with the library of an HSM inside: a thread that hangs in it
 * cannot be called back, and whoever joins that thread waits with it. Ends the
 * process in so many seconds if it is still there. What callers were told is on
 * the disk, as before a crash; what is lost is what was counted of uses in the
 * last seconds.
 */
void leave_within(unsigned seconds);

/* The same from when on a signal to stop is there that nobody takes, because
 * the main thread hangs itself. The signals are blocked already. */
void leave_unheard(unsigned seconds);

#endif
