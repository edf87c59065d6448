/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FAKE_MUST_H
#define FAKE_MUST_H

#include <stdbool.h>
#include <stdlib.h>

/* Where cmocka's assertions cannot be: in fuzz targets, and on other threads
 * than the test's, because they jump. */
static inline void
must(bool held)
{
	if (!held)
		abort();
}

#endif
