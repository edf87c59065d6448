/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_IDENTITY_PROC_H
#define KEYD_IDENTITY_PROC_H

#include "identity.h"

/* What /proc and a pidfd tell about a process; for identity*.c and their tests.
 */

/* No: it has ended, reaped or not. */
bool process_lives(int pidfd);

/*
 * Fills exe and unit of a process with a pidfd, as far as they can be read.
 * HF_ERR_NOT_IDENTIFIED: its uid is not the one that connected.
 */
enum hf_err proc_read(struct identity *id);

/* Device and inode of what the process runs. */
bool proc_exe_file(pid_t pid, dev_t *dev, ino_t *ino);

/*
 * Whether `path` is that very file and root alone can change it, or put
 * another in its place.
 */
bool proc_exe_trusted(const char *path, dev_t dev, ino_t ino);

/*
 * The system unit named by the contents of /proc/PID/cgroup; false when there
 * is none. See identity.h for what counts.
 */
bool proc_unit(struct hf_text cgroup, char *out, size_t size);

#endif
