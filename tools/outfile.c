/* SPDX-License-Identifier: Apache-2.0 */
#include "outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/fd.h"
#include "tool.h"

enum { TRIES = 100 };

static int
fail_path(const struct outfile *o, int reason)
{
	return fail_usage("%s: %s", o->path, strerror(reason));
}

static int
exists_already(const struct outfile *o)
{
	return fail_usage("%s exists already; --force replaces it", o->path);
}

/* -- Names -- */

static bool
set_folder(struct outfile *o)
{
	const char *slash = strrchr(o->path, '/');
	size_t len = slash == NULL ? 0 : (size_t)(slash - o->path);

	if (len >= sizeof(o->folder) - 1)
		return false;
	if (slash == NULL)
		(void)memcpy(o->folder, ".", 2);
	else if (len == 0)
		(void)memcpy(o->folder, "/", 2);
	else
		(void)snprintf(
		    o->folder, sizeof(o->folder), "%.*s", (int)len, o->path);
	return true;
}

/* A name beside the file that nobody has, as far as chance goes. */
static bool
next_temporary(struct outfile *o)
{
	unsigned chance;

	if (getrandom(&chance, sizeof(chance), 0) != sizeof(chance))
		return false;
	return snprintf(o->room, sizeof(o->room), "%s/.holdfast-%08x",
		   o->folder, chance) < (int)sizeof(o->room);
}

/* -- Opening -- */

static int
open_in_place(struct outfile *o)
{
	o->in_place = true;
	o->fd = open(o->path, O_WRONLY | O_CLOEXEC);
	return o->fd < 0 ? fail_path(o, errno) : STATUS_OK;
}

/* For file systems without O_TMPFILE. */
static int
open_temporary(struct outfile *o, mode_t mode)
{
	for (unsigned i = 0; i < TRIES && next_temporary(o); i++) {
		o->fd = open(
		    o->room, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
		if (o->fd >= 0) {
			o->temporary = o->room;
			return STATUS_OK;
		}
		if (errno != EEXIST)
			break;
	}
	return fail_path(o, errno);
}

int
outfile_open(struct outfile *o, const char *path, bool force, bool secret)
{
	mode_t mode = secret ? 0600 : 0666;
	struct stat st;

	*o = (struct outfile){ .fd = STDOUT_FILENO, .force = force };
	if (path == NULL || strcmp(path, "-") == 0) {
		o->in_place = true;
		return STATUS_OK;
	}
	o->path = path;
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode) &&
	    !S_ISDIR(st.st_mode))
		return open_in_place(o);
	if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return fail_path(o, EISDIR);
	if (lstat(path, &st) == 0 && !force)
		return exists_already(o);
	if (!set_folder(o))
		return fail_path(o, ENAMETOOLONG);
	o->fd = open(o->folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, mode);
	if (o->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR))
		return open_temporary(o, mode);
	return o->fd < 0 ? fail_path(o, errno) : STATUS_OK;
}

/* -- Its name -- */

/* Gives the file that has no name `name`; fails when that is taken. */
static bool
link_nameless(const struct outfile *o, const char *name)
{
	char self[64];

	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", o->fd);
	return linkat(AT_FDCWD, self, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0;
}

/* A name to rename from, which can replace a file as link cannot. */
static bool
link_temporary(struct outfile *o)
{
	for (unsigned i = 0; i < TRIES && next_temporary(o); i++) {
		if (link_nameless(o, o->room)) {
			o->temporary = o->room;
			return true;
		}
		if (errno != EEXIST)
			break;
	}
	return false;
}

static bool
give_name(struct outfile *o)
{
	if (o->temporary == NULL && !o->force)
		return link_nameless(o, o->path);
	if (o->temporary == NULL && !link_temporary(o))
		return false;
	if (renameat2(AT_FDCWD, o->temporary, AT_FDCWD, o->path,
		o->force ? 0 : RENAME_NOREPLACE) != 0)
		return false;
	o->temporary = NULL;
	return true;
}

/* The name is on the disk when its folder is. */
static bool
sync_folder(const struct outfile *o)
{
	int fd = open(o->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 && fsync(fd) == 0;

	fd_close(fd);
	return ok;
}

int
outfile_commit(struct outfile *o)
{
	int fd = o->fd;

	if (o->path == NULL)
		return STATUS_OK;
	if (o->in_place) {
		o->fd = -1;
		return close(fd) == 0 ? STATUS_OK : fail_path(o, errno);
	}
	if (fsync(o->fd) != 0 || !give_name(o)) {
		int reason = errno;

		outfile_discard(o);
		return reason == EEXIST ? exists_already(o)
					: fail_path(o, reason);
	}
	o->fd = -1;
	if (close(fd) != 0 || !sync_folder(o))
		return fail_path(o, errno);
	return STATUS_OK;
}

void
outfile_discard(struct outfile *o)
{
	if (o->temporary != NULL)
		(void)unlink(o->temporary);
	o->temporary = NULL;
	if (o->path != NULL && o->fd >= 0)
		(void)close(o->fd);
	o->fd = -1;
}
