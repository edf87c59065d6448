/* SPDX-License-Identifier: Apache-2.0 */
#include "program.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_ROOM = 4096 };

bool
program_self(char *out, size_t cap)
{
	ssize_t n = readlink("/proc/self/exe", out, cap - 1);

	if (n <= 0 || (size_t)n == cap - 1)
		return false;
	out[n] = '\0';
	return true;
}

/* The folder that this program is in, without its last slash. */
static bool
own_folder(char *out, size_t cap)
{
	char *slash = program_self(out, cap) ? strrchr(out, '/') : NULL;

	if (slash == NULL)
		return false;
	*slash = '\0';
	return true;
}

bool
program_near(const char *folder, const char *name, char *out, size_t cap)
{
	char own[PATH_ROOM];
	int n;

	if (!own_folder(own, sizeof(own)))
		return false;
	n = snprintf(out, cap, "%s/%s/%s", own, folder, name);
	return n > 0 && (size_t)n < cap && access(out, R_OK) == 0;
}

bool
program_find(const char *name, char *out, size_t cap)
{
	static const char *const beside[] = { ".", "../bin", "../sbin" };
	static const char *const installed[] = { HOLDFAST_BINDIR,
		HOLDFAST_SBINDIR };

	for (size_t i = 0; i < sizeof(beside) / sizeof(beside[0]); i++)
		if (program_near(beside[i], name, out, cap) &&
		    access(out, X_OK) == 0)
			return true;
	for (size_t i = 0; i < sizeof(installed) / sizeof(installed[0]); i++) {
		int n = snprintf(out, cap, "%s/%s", installed[i], name);

		if (n > 0 && (size_t)n < cap && access(out, X_OK) == 0)
			return true;
	}
	return false;
}
