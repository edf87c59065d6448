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

/* Shows what a dry run found out. */
int result_show_dry_run(
    const struct tool *tool, const struct hf_dry_run *dry_run);

#endif
