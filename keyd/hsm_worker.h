/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_HSM_WORKER_H
#define KEYD_HSM_WORKER_H

#include <stddef.h>

/*
 * A worker: the process that has the HSM's library inside. It opens the HSM by
 * hsm.h, serves jobs (hsm_job.h), and tells its state (hsm_process.h).
 */

/*
 * Until there is an order on `control` to stop, or nobody to give one. `fds`
 * are those of the ring, if there is one, and of the lanes.
 */
void worker_run(int control, const int *fds, size_t count);

#endif
