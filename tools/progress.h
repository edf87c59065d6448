/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_PROGRESS_H
#define TOOLS_PROGRESS_H

/*
 * A sign of life on the standard error, if that is a terminal, for what takes
 * longer than a second. By a timer signal: nothing else has to know.
 */
void progress_start(const char *what);
void progress_stop(void);

#endif
