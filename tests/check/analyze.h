/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHECK_ANALYZE_H
#define CHECK_ANALYZE_H

#include <holdfast/err.h>

/*
 * Included before each source that gcc -fanalyzer reads: it does not know that
 * hf_fail() returns the error it is given, and takes it for a success then.
 */
#define hf_fail(why, err, ...) (hf_fail(why, err, __VA_ARGS__), (err))

#endif
