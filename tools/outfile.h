/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_OUTFILE_H
#define TOOLS_OUTFILE_H

#include <stdbool.h>

/*
 * Output that is written piece by piece. A regular file appears under its name
 * with all its contents and safe on the disk, or not at all: until then it has
 * no name (O_TMPFILE), or a temporary one where the file system lacks that.
 * Devices, pipes and the standard output take what comes as it comes.
 */
struct outfile {
	int fd;
	const char *path;      /* NULL: the standard output */
	const char *temporary; /* its name until it is done; NULL: none */
	bool in_place, force;
	char folder[4096], room[4096];
};

/*
 * NULL or "-" is the standard output. Refuses, with a word on stderr, to
 * replace a file unless `force`. One with a secret in it is for its owner only.
 * An exit status.
 */
int outfile_open(struct outfile *o, const char *path, bool force, bool secret);

/* Gives it its name; an exit status. Nothing is left behind on failure. */
int outfile_commit(struct outfile *o);

/* Forgets what was written, as far as it can be forgotten. */
void outfile_discard(struct outfile *o);

#endif
