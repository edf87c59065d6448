/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_RUN_H
#define TOOLS_BENCH_RUN_H

/* From now on a signal to end makes row_run() return, so that what was started
 * is stopped and the folder goes. */
void run_catch_signals(void);

#endif
