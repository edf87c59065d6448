/* SPDX-License-Identifier: Apache-2.0 */
/* Cells that seal a large file in memory, or do less with it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "../program.h"
#include "bench.h"
#include "child.h"
#include "crew.h"
#include "place.h"

enum { MIB = 1 << 20, QUICK_MIB = 16, USUAL_MIB = 512, FULL_MIB = 4096 };

struct files {
	char dir[96], in[128], out[128];
	double bytes;
	struct child host; /* of a file system of huge pages; or none */
};

/* -- Where -- */

static const char shared[] = "/dev/shm";

/*
 * A file system in memory whose pages are as large as can be, which a child
 * has for itself: mounting takes a namespace of one's own. We reach it through
 * the child's root.
 */
static bool
mount_huge(struct files *f, char *root, size_t cap)
{
	static const char script[] =
	    "mount -t tmpfs -o huge=always none /dev/shm && read -r mount && "
	    "echo mounted && read -r end";
	char program[PATH_ROOM * 2], answer[16];
	/* Root needs no names of its own to mount, and in a chroot gets none.
	 */
	const char *const argv[] = { program, "--mount",
		geteuid() == 0 ? "--" : "--map-root-user", "/bin/sh", "-c",
		script, NULL };

	if (!program_find_other("unshare", program, sizeof(program)) ||
	    !child_start(
		&f->host, argv, &(struct child_options){ .talks = true }))
		return false;
	(void)snprintf(root, cap, "/proc/%d/root%s", (int)f->host.pid, shared);
	return child_ask(&f->host, "mount", answer, sizeof(answer)) &&
	    strncmp(answer, "mounted", 7) == 0;
}

/* Room for both files, with some to spare. */
static bool
has_room(const char *dir, double bytes)
{
	struct statvfs fs;

	return access(dir, W_OK) == 0 && statvfs(dir, &fs) == 0 &&
	    (double)fs.f_bavail * (double)fs.f_frsize > 2.5 * bytes;
}

static bool
fill(const char *path, double bytes)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	char *block = malloc(MIB);
	bool ok = fd >= 0 && block != NULL;

	if (block != NULL)
		memset(block, 'x', MIB);
	for (uint64_t done = 0; ok && (double)done < bytes; done += MIB)
		ok = write(fd, block, MIB) == MIB;
	free(block);
	return fd >= 0 && close(fd) == 0 && ok;
}

static void
files_remove(struct files *f)
{
	(void)unlink(f->in);
	(void)unlink(f->out);
	(void)rmdir(f->dir);
	child_stop(&f->host);
}

/*
 * Writes the input, and before it as much as both will take, which goes again:
 * a virtual machine asks its host for memory when a page is first used, and
 * that is not what is measured.
 */
static bool
fill_both(const struct files *f)
{
	bool ok = fill(f->out, f->bytes) && fill(f->in, f->bytes);

	return unlink(f->out) == 0 && ok;
}

static bool
files_make(const struct bench *b, bool huge, struct files *f)
{
	unsigned size = b->quick ? QUICK_MIB : b->full ? FULL_MIB : USUAL_MIB;
	char root[64];

	*f = (struct files){ .bytes = (double)size * MIB };
	(void)snprintf(root, sizeof(root), "%s", shared);
	if ((!huge || mount_huge(f, root, sizeof(root))) &&
	    has_room(root, f->bytes)) {
		(void)snprintf(
		    f->dir, sizeof(f->dir), "%s/holdfast-bench-XXXXXX", root);
		if (mkdtemp(f->dir) != NULL) {
			(void)snprintf(f->in, sizeof(f->in), "%s/in", f->dir);
			(void)snprintf(
			    f->out, sizeof(f->out), "%s/out", f->dir);
			if (fill_both(f))
				return true;
			files_remove(f);
			return false;
		}
	}
	child_stop(&f->host);
	return false;
}

/* -- Those who do it -- */

static enum cell_state
time_program(struct bench *b, const char *const *argv, const struct files *f,
    struct sample *out)
{
	const char *const environment[] = { "HOLDFAST_SOCKET",
		b->place->main.socket, NULL };
	struct child_usage usage;
	struct child child;
	uint64_t began = clock_ns();

	if (!child_start(&child, argv,
		&(struct child_options){ .environment = environment }) ||
	    child_wait_usage(&child, &usage) != 0)
		return CELL_FAILED;
	out->cpu = usage.user * 1e9 / (f->bytes / 1e6);
	out->value = f->bytes / 1e6 / ((double)(clock_ns() - began) / 1e9);
	b->place->seal_peak = usage.peak;
	return CELL_MEASURED;
}

/* The kernel's part of it: nothing is read, nothing computed. */
static enum cell_state
time_writing(const struct files *f, struct sample *out)
{
	enum { BLOCK = 256 << 10 }; /* as the command line writes */
	int fd = open(f->out, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	char *block = malloc(BLOCK);
	bool ok = fd >= 0 && block != NULL;
	uint64_t began;

	if (block != NULL)
		memset(block, 'x', BLOCK);
	began = clock_ns();
	for (uint64_t done = 0; ok && (double)done < f->bytes; done += BLOCK)
		ok = write(fd, block, BLOCK) == BLOCK;
	out->value = f->bytes / 1e6 / ((double)(clock_ns() - began) / 1e9);
	free(block);
	return fd >= 0 && close(fd) == 0 && ok ? CELL_MEASURED : CELL_FAILED;
}

enum doing { WRITE, COPY, SEAL };

static enum cell_state
with_files(struct bench *b, enum doing doing, const struct work *work,
    struct sample *out)
{
	char program[PATH_ROOM * 2];
	struct files f;
	const char *const cp[] = { program, "--reflink=never", f.in, f.out,
		NULL };
	const char *const seal[] = { program, "seal", "bench-aes", f.in,
		"--out", f.out, "--quiet", NULL };
	enum cell_state state;

	if (doing == COPY ? !program_find_other("cp", program, sizeof(program))
			  : !program_find("holdfast", program, sizeof(program)))
		return CELL_NOT_INSTALLED;
	if (!files_make(b, work->what != NULL, &f)) {
		(void)snprintf(b->note, sizeof(b->note),
		    work->what != NULL ? "no file system of huge pages"
				       : "no room in /dev/shm");
		return CELL_REFUSED;
	}
	state = doing == WRITE
	    ? time_writing(&f, out)
	    : time_program(b, doing == COPY ? cp : seal, &f, out);
	files_remove(&f);
	return state;
}

enum cell_state
seal_write(struct bench *b, const struct work *work, struct sample *out)
{
	return with_files(b, WRITE, work, out);
}

enum cell_state
seal_cp(struct bench *b, const struct work *work, struct sample *out)
{
	return with_files(b, COPY, work, out);
}

enum cell_state
seal_holdfast(struct bench *b, const struct work *work, struct sample *out)
{
	return with_files(b, SEAL, work, out);
}

/* A file of its own, so that the row stands alone. */
enum cell_state
seal_memory(struct bench *b, const struct work *work, struct sample *out)
{
	struct sample unused = { 0 };
	enum cell_state state = with_files(b, SEAL, work, &unused);

	out->value = b->place->seal_peak / 1024;
	return state;
}
