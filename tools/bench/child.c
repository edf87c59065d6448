/* SPDX-License-Identifier: Apache-2.0 */
#include "child.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../lib/fd.h"

enum { STOP_MS = 5000, STEP_MS = 5, ARGUMENTS = 24 };

static void
nap(void)
{
	struct timespec t = { .tv_nsec = STEP_MS * 1000000L };

	(void)nanosleep(&t, NULL);
}

/* -- In the child, between fork and exec -- */

static int
open_log(const char *path)
{
	return path == NULL ? open("/dev/null", O_RDWR)
			    : open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
}

static void
become(const char *const *argv, const struct child_options *o, int in, int out)
{
	int null = open("/dev/null", O_RDWR), log = open_log(o->log);
	char *copy[ARGUMENTS + 1] = { NULL };

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (size_t i = 0; i < ARGUMENTS && argv[i] != NULL; i++)
		copy[i] = (char *)(uintptr_t)argv[i];
	for (size_t i = 0; o->environment != NULL && o->environment[i] != NULL;
	     i += 2)
		(void)setenv(o->environment[i], o->environment[i + 1], 1);
	if (copy[0] == NULL || null < 0 || log < 0)
		_exit(127);
	if (dup2(o->talks ? in : null, STDIN_FILENO) < 0 ||
	    dup2(o->talks ? out : log, STDOUT_FILENO) < 0 ||
	    dup2(log, STDERR_FILENO) < 0)
		_exit(127);
	(void)execv(copy[0], copy);
	_exit(127);
}

/* -- Start and end -- */

static void
close_pipes(struct child *c)
{
	fd_close(c->to);
	fd_close(c->from);
	c->to = c->from = -1;
}

bool
child_start(struct child *c, const char *const *argv,
    const struct child_options *options)
{
	int to[2] = { -1, -1 }, from[2] = { -1, -1 };

	*c = (struct child){ .to = -1, .from = -1 };
	if (options->talks && pipe2(to, O_CLOEXEC) != 0)
		return false;
	if (options->talks && pipe2(from, O_CLOEXEC) != 0) {
		(void)close(to[0]);
		(void)close(to[1]);
		return false;
	}
	c->pid = fork();
	if (c->pid == 0)
		become(argv, options, to[0], from[1]);
	if (options->talks) {
		(void)close(to[0]);
		(void)close(from[1]);
	}
	c->to = to[1];
	c->from = from[0];
	if (c->pid > 0)
		return true;
	c->pid = 0;
	close_pipes(c);
	return false;
}

bool
child_start_role(struct child *c, const char *const *argv,
    const struct child_options *options)
{
	const char *all[ARGUMENTS + 1] = { "/proc/self/exe", "--role" };

	for (size_t i = 0; i + 2 < ARGUMENTS && argv[i] != NULL; i++)
		all[i + 2] = argv[i];
	return child_start(c, all, options);
}

bool
child_runs(const struct child *c)
{
	siginfo_t info = { 0 };

	return c->pid > 0 &&
	    waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) ==
	    0 &&
	    info.si_pid == 0;
}

int
child_wait_usage(struct child *c, struct child_usage *out)
{
	struct rusage usage = { 0 };
	int status = -1;

	close_pipes(c);
	if (c->pid <= 0 || wait4(c->pid, &status, 0, &usage) != c->pid)
		status = -1;
	c->pid = 0;
	*out = (struct child_usage){
		.peak = (double)usage.ru_maxrss * 1024,
		.user = (double)usage.ru_utime.tv_sec +
		    (double)usage.ru_utime.tv_usec / 1e6,
	};
	return status >= 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int
child_wait(struct child *c)
{
	struct child_usage unused;

	return child_wait_usage(c, &unused);
}

void
child_stop(struct child *c)
{
	if (c->pid <= 0)
		return;
	close_pipes(c);
	(void)kill(c->pid, SIGTERM);
	for (int ms = 0; ms < STOP_MS && child_runs(c); ms += STEP_MS)
		nap();
	(void)kill(c->pid, SIGKILL);
	(void)child_wait(c);
}

/* -- Talking to it -- */

bool
child_ask(struct child *c, const char *line, char *answer, size_t cap)
{
	size_t len = 0;

	if (dprintf(c->to, "%s\n", line) < 0)
		return false;
	while (len + 1 < cap && read(c->from, answer + len, 1) == 1) {
		if (answer[len] == '\n') {
			answer[len] = '\0';
			return true;
		}
		len++;
	}
	answer[0] = '\0';
	return false;
}

/* -- Cores -- */

/* What we were allowed when we started, whatever child_pin did since. */
static cpu_set_t
allowed(void)
{
	static cpu_set_t at_start;

	if (CPU_COUNT(&at_start) == 0 &&
	    sched_getaffinity(0, sizeof(at_start), &at_start) != 0)
		CPU_SET(0, &at_start);
	return at_start;
}

unsigned
child_cores(void)
{
	cpu_set_t set = allowed();

	return (unsigned)CPU_COUNT(&set);
}

static void
pin_threads(pid_t pid, const cpu_set_t *set)
{
	char path[64];
	DIR *tasks;
	const struct dirent *entry;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	tasks = opendir(path);
	while (tasks != NULL && (entry = readdir(tasks)) != NULL) {
		long tid = strtol(entry->d_name, NULL, 10);

		if (tid > 0)
			(void)sched_setaffinity((pid_t)tid, sizeof(*set), set);
	}
	if (tasks != NULL)
		(void)closedir(tasks);
}

void
child_pin(pid_t pid, unsigned cores)
{
	cpu_set_t all = allowed(), some;
	unsigned taken = 0;

	CPU_ZERO(&some);
	for (size_t i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &all) && (cores == 0 || taken < cores)) {
			CPU_SET(i, &some);
			taken++;
		}
	pin_threads(pid, &some);
}
