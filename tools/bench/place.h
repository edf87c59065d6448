/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_PLACE_H
#define TOOLS_BENCH_PLACE_H

#include <stdbool.h>
#include <stddef.h>

#include <holdfast/holdfast.h>

#include "child.h"
#include "cost.h"

/*
 * Where all of it happens: a private folder with tokens of SoftHSM, a daemon
 * with its store, policies and audit log, and the other servers. Each is
 * started when the first cell asks for it, and idles until the next does.
 */
enum { PATH_ROOM = 256 };

/* A token of SoftHSM, initialised, for one process at a time. */
struct token {
	char conf[PATH_ROOM]; /* for SOFTHSM2_CONF; empty: not made yet */
};

struct service_settings {
	const char *name;  /* of its folder */
	const char *lines; /* more lines for keyd.conf; NULL: none */
	unsigned rules;    /* of policy, besides those that it needs */
	bool inside;       /* the HSM's library is in the same process */
};

/* A daemon of ours. */
struct service {
	char dir[PATH_ROOM], socket[PATH_ROOM], config[PATH_ROOM];
	struct token token;
	struct child child;
	struct hf_client *client;
};

enum server {
	SERVER_ECHO,    /* our loop, which sends back what comes */
	SERVER_RAW,     /* a thread for each connection, no frames */
	SERVER_NNG,     /* nng's REP, which encrypts */
	SERVER_P11_KIT, /* p11-kit's, before SoftHSM */
	SERVERS,
};

/* Processes that have loaded a module (module.c). */
enum agent { AGENT_HOLDFAST, AGENT_SOFTHSM, AGENT_P11_KIT, AGENTS };

struct place {
	char dir[PATH_ROOM];
	const char *softhsm; /* the path of its library; NULL: none */
	struct service main;
	struct child servers[SERVERS];
	bool tried[SERVERS];
	char sockets[SERVERS][PATH_ROOM];
	struct token tokens[SERVERS];
	struct child agents[AGENTS];
	bool agent_tried[AGENTS];
	struct token agent_token;

	/* cost.c: a service that is made and never runs, and what one run of
	 * its requests took. */
	struct service cost;
	bool cost_tried, cost_ready;
	double stages[STAGES];
	bool staged; /* they are those of a run that went well */

	struct service idle; /* idle.c */
	bool idle_tried;
	double seal_peak; /* seal.c: bytes, of the last that was sealed */

	struct web *web; /* tls.c; NULL: not made yet */

	struct service
	    inside; /* request.c: the HSM's library is in the daemon */
	bool inside_tried;

	struct service few, many, busy; /* scale.c; pid 0: not made yet */
	bool few_tried, many_tried, busy_tried;
	unsigned made; /* keys of `busy`, so that each has another name */
};

/* PIN and label of all tokens: they last for the run, in a folder of our own,
 * and guard keys of no worth. */
#define BENCH_PIN "1234"
#define BENCH_LABEL "holdfast"

/* Makes the folder below $TMPDIR or `base`, and starts the daemon, with a key
 * for each row. False with a line on stderr. */
bool place_open(struct place *p, const char *base);
void place_close(struct place *p);

/* The socket of a server, which is started if need be; NULL when this machine
 * lacks it, or it does not start. */
const char *place_server(struct place *p, enum server which);

bool token_make(const struct place *p, const char *name, struct token *token);

/* All that a daemon needs, with its master key made, but no daemon. */
bool service_prepare(struct place *p, const struct service_settings *settings,
    struct service *out);

/* A daemon that is initialised, started and connected to. */
bool service_start(struct place *p, const struct service_settings *settings,
    struct service *out);
void service_stop(struct service *s);

/* Starts the daemon of one that was prepared, or stopped. */
bool service_run(struct service *s);

/* Whether the service has the key now; it may have been there before. */
bool service_key(
    struct service *s, const char *name, const char *type, const char *level);

/* The path of a program that is not ours, where distributions install them. */
bool program_find_other(const char *name, char *out, size_t cap);

#endif
