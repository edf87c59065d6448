/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_ROLE_H
#define TOOLS_BENCH_ROLE_H

/*
 * What this program is when the bench starts it as another process. Each gets
 * its arguments without its name and returns the exit status; servers serve
 * until they are killed.
 */
typedef int role_fn(int argc, char **argv);

role_fn role_echo;   /* SOCKET: our own loop, every request sent back */
role_fn role_raw;    /* SOCKET: a thread for each connection, no frames */
role_fn role_nng;    /* SOCKET: nng's REP server, which encrypts */
role_fn role_token;  /* MODULE: initialises its token */
role_fn role_module; /* MODULE: does what its input asks for */
role_fn role_cost;   /* SETTINGS: a daemon's parts; as its input says */

/* The role of that name, run; 2 when there is none. */
int role_run(const char *name, int argc, char **argv);

#endif
