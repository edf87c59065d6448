/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "hsm_internal.h"

/*
 * A connection that is idle for long is closed by an HSM, a firewall or the
 * vendor's daemon; what is in files stays. Which of the two a module is shows
 * in the descriptors that it holds: a network, a daemon or a card is reached
 * through a socket, a pipe or a device.
 */

enum { MEMORY_DEVICES = 1 }; /* major number: /dev/null, /dev/urandom */

static bool
is_connection(const struct stat *st)
{
	return !S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode) &&
	    !(S_ISCHR(st->st_mode) && major(st->st_rdev) == MEMORY_DEVICES);
}

size_t
held_count(void)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;
	size_t count = 0;

	if (dir == NULL)
		return HELD_UNKNOWN;
	while ((entry = readdir(dir)) != NULL) {
		struct stat st;

		if (entry->d_name[0] != '.' &&
		    fstatat(dirfd(dir), entry->d_name, &st, 0) == 0 &&
		    is_connection(&st))
			count++;
	}
	(void)closedir(dir);
	return count;
}

void
held_compare(struct hsm *hsm, size_t before)
{
	size_t now = held_count();

	if (before == HELD_UNKNOWN || now == HELD_UNKNOWN || now > before)
		hsm->connected = true;
}
