/* SPDX-License-Identifier: Apache-2.0 */
#include "proc.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The number behind each line that begins so, added up. */
static double
sum_of(const char *path, const char *name)
{
	FILE *f = fopen(path, "r");
	char line[256];
	double sum = 0;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, name, strlen(name)) == 0)
			sum += strtod(line + strlen(name), NULL);
	if (f != NULL)
		(void)fclose(f);
	return sum;
}

double
proc_resident(pid_t pid)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	return sum_of(path, "VmRSS:") * 1024;
}

double
proc_private(pid_t pid)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	return (sum_of(path, "Private_Clean:") +
		   sum_of(path, "Private_Dirty:")) *
	    1024;
}

/* Of the processes whose numbers stand in that file. */
static double
listed(const char *path, proc_fn *of)
{
	FILE *f = fopen(path, "r");
	char pid[16];
	double sum = 0;

	while (f != NULL && fscanf(f, "%15s", pid) == 1)
		sum += proc_family((pid_t)strtol(pid, NULL, 10), of);
	if (f != NULL)
		(void)fclose(f);
	return sum;
}

/* Of each thread, the file of that name. */
static double
threads(pid_t pid, const char *name, proc_fn *of)
{
	char path[64], file[128];
	DIR *tasks;
	const struct dirent *entry;
	double sum = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	tasks = opendir(path);
	while (tasks != NULL && (entry = readdir(tasks)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(file, sizeof(file), "%s/%.20s/%s", path,
		    entry->d_name, name);
		sum += of != NULL ? listed(file, of)
				  : sum_of(file, "voluntary_ctxt_switches:");
	}
	if (tasks != NULL)
		(void)closedir(tasks);
	return sum;
}

double
proc_family(pid_t pid, proc_fn *of)
{
	return of(pid) + threads(pid, "children", of);
}

double
proc_sleeps(pid_t pid)
{
	return threads(pid, "status", NULL);
}
