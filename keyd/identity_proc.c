/* SPDX-License-Identifier: Apache-2.0 */
#include "identity_proc.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/bytes.h"
#include "../lib/fd.h"

enum { UNIT_MAX = 256 };

bool
process_lives(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, 0) == 0;
}

static bool
ends_with(struct hf_text t, const char *end)
{
	size_t len = strlen(end);

	return t.len > len && memcmp(t.ptr + t.len - len, end, len) == 0;
}

/* Splits `rest` at `sep`; the part before it is returned. */
static struct hf_text
cut(struct hf_text *rest, char sep)
{
	const char *at = memchr(rest->ptr, sep, rest->len);
	struct hf_text part = { rest->ptr,
		at == NULL ? rest->len : (size_t)(at - rest->ptr) };
	size_t taken = part.len + (at != NULL);

	rest->ptr += taken;
	rest->len -= taken;
	return part;
}

/* The first part of a cgroup path that is no slice must be the unit. */
static bool
unit_of_path(struct hf_text path, char *out, size_t size)
{
	struct hf_text part;

	while (path.len > 0) {
		part = cut(&path, '/');
		if (part.len == 0)
			continue;
		if (text_is(part, "user.slice") || text_is(part, ".."))
			return false;
		if (ends_with(part, ".slice"))
			continue;
		if (!ends_with(part, ".service") && !ends_with(part, ".scope"))
			return false;
		/* systemd puts "_" before names that the kernel reserves. */
		if (part.ptr[0] == '_') {
			part.ptr++;
			part.len--;
		}
		if (part.len >= size)
			return false;
		memcpy(out, part.ptr, part.len);
		out[part.len] = '\0';
		return true;
	}
	return false;
}

bool
proc_unit(struct hf_text cgroup, char *out, size_t size)
{
	struct hf_text v2 = { NULL, 0 };

	while (cgroup.len > 0) {
		struct hf_text line = cut(&cgroup, '\n');
		struct hf_text hierarchy = cut(&line, ':');
		struct hf_text controllers = cut(&line, ':');

		/* cgroup v1: systemd's own hierarchy. */
		if (text_is(controllers, "name=systemd"))
			return unit_of_path(line, out, size);
		if (text_is(hierarchy, "0") && controllers.len == 0)
			v2 = line;
	}
	return v2.ptr != NULL && unit_of_path(v2, out, size);
}

static bool
only_root_writes(const struct stat *st)
{
	return st->st_uid == 0 && (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* The folders above `path`, which is cut short on the way. */
static bool
folders_trusted(char *path)
{
	struct stat st;
	char *slash;

	while ((slash = strrchr(path, '/')) != NULL) {
		slash[slash == path] = '\0'; /* "/" stays */
		if (lstat(path, &st) != 0 || !S_ISDIR(st.st_mode) ||
		    !only_root_writes(&st))
			return false;
		if (slash == path)
			return true;
	}
	return false;
}

bool
proc_exe_trusted(const char *path, dev_t dev, ino_t ino)
{
	char copy[PATH_MAX];
	struct stat st;
	size_t len = strlen(path);

	if (path[0] != '/' || len >= sizeof(copy))
		return false;
	if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode) || st.st_dev != dev ||
	    st.st_ino != ino || !only_root_writes(&st))
		return false;
	memcpy(copy, path, len + 1);
	return folders_trusted(copy);
}

bool
proc_exe_file(pid_t pid, dev_t *dev, ino_t *ino)
{
	char path[40];
	struct stat st;

	(void)snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	if (stat(path, &st) != 0)
		return false;
	*dev = st.st_dev;
	*ino = st.st_ino;
	return true;
}

/* The start of a file below /proc/PID; false when it cannot be read. */
static bool
read_start(int proc, const char *name, char *buf, size_t size, size_t *len)
{
	int fd = openat(proc, name, O_RDONLY | O_CLOEXEC);

	*len = 0;
	if (fd < 0)
		return false;
	(void)fd_read(fd, buf, size, len, NULL);
	(void)close(fd);
	return *len > 0;
}

/* The effective uid now ("Uid:" real effective ...); false: not readable. */
static bool
read_uid(int proc, uid_t *uid)
{
	char buf[1024];
	const char *at;
	size_t len;

	if (!read_start(proc, "status", buf, sizeof(buf) - 1, &len))
		return false;
	buf[len] = '\0';
	at = strstr(buf, "\nUid:\t");
	if (at == NULL || (at = strchr(at + 6, '\t')) == NULL)
		return false;
	*uid = (uid_t)strtoul(at, NULL, 10);
	return true;
}

static enum hf_err
read_unit(int proc, struct identity *id)
{
	char buf[8192], unit[UNIT_MAX];
	size_t len;

	/* A file that fills the buffer may be cut: then nothing is known. */
	if (!read_start(proc, "cgroup", buf, sizeof(buf), &len) ||
	    len == sizeof(buf) ||
	    !proc_unit((struct hf_text){ buf, len }, unit, sizeof(unit)))
		return HF_OK;
	id->unit = strdup(unit);
	return id->unit == NULL ? HF_ERR_NO_MEMORY : HF_OK;
}

static enum hf_err
read_exe(int proc, struct identity *id)
{
	static const char gone[] = " (deleted)";
	char path[PATH_MAX];
	ssize_t len = readlinkat(proc, "exe", path, sizeof(path));
	struct stat st;

	if (len <= 0 || (size_t)len == sizeof(path) || path[0] != '/' ||
	    fstatat(proc, "exe", &st, 0) != 0)
		return HF_OK;
	path[len] = '\0';
	id->exe_trusted = proc_exe_trusted(path, st.st_dev, st.st_ino);
	/* What was removed or replaced is named, but never trusted. */
	if (!id->exe_trusted &&
	    ends_with((struct hf_text){ path, (size_t)len }, gone))
		path[(size_t)len - (sizeof(gone) - 1)] = '\0';
	id->exe = strdup(path);
	id->exe_dev = st.st_dev;
	id->exe_ino = st.st_ino;
	return id->exe == NULL ? HF_ERR_NO_MEMORY : HF_OK;
}

enum hf_err
proc_read(struct identity *id)
{
	char path[32];
	enum hf_err err;
	uid_t uid;
	int proc;

	/* This descriptor stays with the process, whoever gets its pid next. */
	(void)snprintf(path, sizeof(path), "/proc/%d", (int)id->pid);
	proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0)
		return HF_OK; /* hidepid: the uid must do */
	if (!read_uid(proc, &uid))
		err = HF_OK;
	else if (uid != id->uid)
		err = HF_ERR_NOT_IDENTIFIED;
	else if ((err = read_unit(proc, id)) == HF_OK)
		err = read_exe(proc, id);
	(void)close(proc);
	return err;
}
