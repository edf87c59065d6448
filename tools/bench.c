/* SPDX-License-Identifier: Apache-2.0 */
/* The verb bench becomes holdfast-bench, which links what only it needs. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "program.h"
#include "tool.h"

enum { PATH_ROOM = 8192, ARGUMENTS = 64 };

int
bench_run(const struct tool *tool, int argc, char **argv)
{
	char path[PATH_ROOM], name[] = "holdfast-bench", json[] = "-ojson";
	char *args[ARGUMENTS + 3];
	int n = 0;

	if (argc > ARGUMENTS)
		return fail_usage("too many arguments");
	if (!program_find(name, path, sizeof(path)))
		return fail_usage("there is no holdfast-bench beside this "
				  "program, nor at %s",
		    path);
	args[n++] = name;
	if (tool->json)
		args[n++] = json;
	for (int i = 0; i < argc; i++)
		args[n++] = argv[i];
	args[n] = NULL;
	(void)fflush(NULL);
	(void)execv(path, args);
	return fail_usage("%s: %s", path, strerror(errno));
}
