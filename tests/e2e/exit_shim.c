/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For LD_PRELOAD: a process that stands still (SIGSTOP) when all of its work is
 * done and nothing but the end is left, so that somebody can look at what is in
 * its memory then. Its children end as usual.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

__attribute__((constructor)) static void
begin(void)
{
	(void)unsetenv("LD_PRELOAD");
}

__attribute__((visibility("default"))) void
_exit(int status)
{
	(void)raise(SIGSTOP);
	for (;;)
		(void)syscall(SYS_exit_group, status);
}
