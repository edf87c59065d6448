/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_PROC_H
#define TOOLS_BENCH_PROC_H

#include <stdbool.h>
#include <sys/types.h>

/* What /proc says about a process. */

/* Resident memory, in bytes; 0 when it cannot be told. */
double proc_resident(pid_t pid);

/* That of it which nobody shares; 0 when only root may know. */
double proc_private(pid_t pid);

/* How often its threads went to sleep, so far. */
double proc_sleeps(pid_t pid);

/* Something of a process, and the sum of it with that of its children, and of
 * theirs: the HSM's library lives in one. */
typedef double proc_fn(pid_t pid);
double proc_family(pid_t pid, proc_fn *of);

#endif
