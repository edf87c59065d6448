/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FAKE_DISK_H
#define FAKE_DISK_H

/* What tests do to their disk. */
#include <ftw.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/resource.h>

static inline int
disk_remove_one(
    const char *path, const struct stat *st, int type, struct FTW *walk)
{
	(void)st;
	(void)type;
	(void)walk;
	return remove(path);
}

/* Removes a folder with all that is in it. */
static inline void
disk_remove(const char *folder)
{
	(void)nftw(folder, disk_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Puts a limit on file sizes in place of a full disk; RLIM_INFINITY: none. */
static inline bool
disk_limit(rlim_t bytes)
{
	struct rlimit limit;

	(void)signal(SIGXFSZ, SIG_IGN);
	if (getrlimit(RLIMIT_FSIZE, &limit) != 0)
		return false;
	limit.rlim_cur = bytes;
	return setrlimit(RLIMIT_FSIZE, &limit) == 0;
}

#endif
