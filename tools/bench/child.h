/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_CHILD_H
#define TOOLS_BENCH_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * A process that we started. It is killed when we end, however we end.
 */
struct child {
	pid_t pid;    /* 0: none */
	int to, from; /* pipes to its input and from its output; -1: none */
};

struct child_options {
	const char *log; /* file for what it says; NULL: nowhere */
	bool talks;      /* its input and output are pipes to us; what it
			    says as an error goes to the log */
	/* Names and values in turn, ending with NULL: of its environment. */
	const char *const *environment;
};

/* Starts argv[0], which is a path. False when there is no process. */
bool child_start(struct child *c, const char *const *argv,
    const struct child_options *options);

/* The same for a role of this program: bench_role() in main.c. */
bool child_start_role(struct child *c, const char *const *argv,
    const struct child_options *options);

/* Whether it still runs. */
bool child_runs(const struct child *c);

/* Waits for its end; its exit status, or -1 when a signal killed it. */
int child_wait(struct child *c);

/* The same, and what it took. */
struct child_usage {
	double peak; /* bytes of resident memory, at most */
	double user; /* seconds of CPU, outside of the kernel */
};
int child_wait_usage(struct child *c, struct child_usage *out);

/* Asks it to end, and waits; then with force. Nothing where there is none. */
void child_stop(struct child *c);

/* Writes a line to a child that talks, and reads one. */
bool child_ask(struct child *c, const char *line, char *answer, size_t cap);

/* Keeps it, and what it starts, on the first `cores` of ours; 0: all. */
void child_pin(pid_t pid, unsigned cores);

/* How many cores this process may use. */
unsigned child_cores(void);

#endif
