/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FAKE_MAPPING_H
#define FAKE_MAPPING_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Whether the mapping that `p` points into has the flag in smaps: " lo". */
static inline bool
mapping_has(const void *p, const char *flag)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	char line[512];
	bool mine = false, found = false;

	if (f == NULL)
		return false;
	while (fgets(line, sizeof(line), f) != NULL) {
		unsigned long lo, hi;

		if (sscanf(line, "%lx-%lx ", &lo, &hi) == 2)
			mine = (uintptr_t)p >= lo && (uintptr_t)p < hi;
		else if (mine && strncmp(line, "VmFlags:", 8) == 0)
			found = strstr(line + 8, flag) != NULL;
	}
	(void)fclose(f);
	return found;
}

#endif
