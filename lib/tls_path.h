/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_TLS_PATH_H
#define LIB_TLS_PATH_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Where holdfast-tls.so may be: in the folders that are built into the object
 * this code is part of (DT_RPATH or DT_RUNPATH, which cmake sets for the build
 * and again for the installation), and in the folder of the installation. Only
 * absolute ones. dlopen() would look there by itself, but after what
 * LD_LIBRARY_PATH says, and not at all where somebody stands between us and
 * it: a sanitizer's run time, a profiler.
 *
 * Writes candidate `i`; false after the last.
 */
bool tls_path(size_t i, char *out, size_t cap);

#endif
