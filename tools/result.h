/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_RESULT_H
#define TOOLS_RESULT_H

#include "request.h"

/*
 * Shows what an operation gave: JSON where asked for; data alone as it is, to
 * a file or the standard output; everything else as a table. Returns the exit
 * status.
 */
int result_show(
    const struct tool *tool, const struct request *r, const void *out);

#endif
