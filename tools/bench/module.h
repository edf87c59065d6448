/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_MODULE_H
#define TOOLS_BENCH_MODULE_H

#include <stdbool.h>
#include <stddef.h>

/* The path of our PKCS#11 module: of this build, or installed. */
bool module_ours(char *out, size_t cap);

#endif
