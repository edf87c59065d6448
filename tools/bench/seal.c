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
#include "crew.h"
#include "place.h"

enum { MIB = 1 << 20, QUICK_MIB = 16, USUAL_MIB = 512, FULL_MIB = 4096 };

struct files {
	char dir[64], in[96], out[96];
	double bytes;
};

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
files_remove(const struct files *f)
{
	(void)unlink(f->in);
	(void)unlink(f->out);
	(void)rmdir(f->dir);
}

static bool
files_make(const struct bench *b, struct files *f)
{
	unsigned size = b->quick ? QUICK_MIB : b->full ? FULL_MIB : USUAL_MIB;

	f->bytes = (double)size * MIB;
	(void)snprintf(
	    f->dir, sizeof(f->dir), "/dev/shm/holdfast-bench-XXXXXX");
	if (!has_room("/dev/shm", f->bytes) || mkdtemp(f->dir) == NULL)
		return false;
	(void)snprintf(f->in, sizeof(f->in), "%s/in", f->dir);
	(void)snprintf(f->out, sizeof(f->out), "%s/out", f->dir);
	if (fill(f->in, f->bytes))
		return true;
	files_remove(f);
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

static enum cell_state
with_files(struct bench *b, bool copies, struct sample *out)
{
	char program[PATH_ROOM * 2];
	struct files f;
	const char *const cp[] = { program, "--reflink=never", f.in, f.out,
		NULL };
	const char *const seal[] = { program, "seal", "bench-aes", f.in,
		"--out", f.out, "--quiet", NULL };
	enum cell_state state = CELL_FAILED;

	if (copies ? !program_find_other("cp", program, sizeof(program))
		   : !program_find("holdfast", program, sizeof(program)))
		return CELL_NOT_INSTALLED;
	if (!files_make(b, &f)) {
		(void)snprintf(b->note, sizeof(b->note), "no room in /dev/shm");
		return CELL_REFUSED;
	}
	state = time_program(b, copies ? cp : seal, &f, out);
	files_remove(&f);
	return state;
}

enum cell_state
seal_cp(struct bench *b, const struct work *work, struct sample *out)
{
	(void)work;
	return with_files(b, true, out);
}

enum cell_state
seal_holdfast(struct bench *b, const struct work *work, struct sample *out)
{
	(void)work;
	return with_files(b, false, out);
}

/* A file of its own, so that the row stands alone. */
enum cell_state
seal_memory(struct bench *b, const struct work *work, struct sample *out)
{
	struct sample unused = { 0 };
	enum cell_state state = with_files(b, false, &unused);

	(void)work;
	out->value = b->place->seal_peak / 1024;
	return state;
}
