/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_HSM_HOST_H
#define KEYD_HSM_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <holdfast/err.h>

/*
 * The process that starts workers for an HSM, and kills them (hsm_process.h):
 * one worker at a time. It is this program (`holdfast-keyd --hsm-host`), knows
 * nothing, and ends when the daemon does, with its worker. Made before there
 * are threads or secrets, so that the daemon needs neither fork nor exec later.
 */
struct hsm_host {
	int fd; /* a socket; -1: there is none */
	pid_t pid;
};

enum {
	HSM_HOSTS_MAX = 16,
	HOST_FDS_MAX = 96, /* descriptors of a worker */
};

/*
 * Starts that many hosts (HSM_HOSTS_MAX at most) before they are needed: before
 * there are threads, and before a sandbox forbids it. When a host ends later
 * and no other can be started, the process ends too, to be started anew.
 */
enum hf_err hsm_host_prepare(size_t count, struct hf_why *why);

/* One that was prepared, or a new one. For one thread at a time. */
enum hf_err hsm_host_start(const char *program, struct hsm_host *out);

/*
 * Starts a worker that gets these descriptors, the first of them as `control`
 * of worker_run(); they stay open here.
 */
bool hsm_host_launch(const struct hsm_host *host, const int *fds, size_t count);

/* The worker is to end at once. */
void hsm_host_kill(const struct hsm_host *host);

/*
 * Waits for the end of a worker: its status, as of waitpid(2). False: the host
 * is gone, and its worker with it.
 */
bool hsm_host_worker_end(const struct hsm_host *host, int *status);

/* Ends it; one that is not there is fine. */
void hsm_host_end(struct hsm_host *host);

/* -- The other side: the process itself -- */

/* Until the daemon is gone. Returns the exit status. */
int hsm_host_run(void);

#endif
