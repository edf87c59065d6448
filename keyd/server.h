/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_SERVER_H
#define KEYD_SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "audit.h"
#include "hierarchy.h"
#include "hsm.h"
#include "keys.h"
#include "policy.h"
#include "store.h"
#include "transport.h"

struct chores;
struct events;
struct pins;
struct settings;

enum {
	SERVER_OPS = 0
/* One for each row. */
#define OP(id, symbol, in, out, wire, path, cap, flags, verb, sentence) +1
#include <holdfast/ops.def>
#undef OP
};

enum server_outcome { OUTCOME_OK, OUTCOME_REFUSED, OUTCOME_FAILED, OUTCOMES };

/*
 * What each request counts. Two cores that write to one cache line wait for
 * each other, so each I/O thread has a lane of its own; the first is for all
 * other threads, and for I/O threads beyond the last.
 */
enum { SERVER_LANES = 16 };

struct server_lane {
	char apart[128]; /* from the lines of the lane before, and the next */
	/* Of an I/O thread: the audit ids that it may give out. */
	uint64_t id, id_end;
	_Atomic uint64_t counts[SERVER_OPS][OUTCOMES];
};

/* The parts of a running daemon, for handlers to reach. Made in main.c. */
struct server {
	const struct settings *settings;
	struct hsm *hsm; /* the first of those of the configuration */
	struct hsm *hsms[HSM_DEVICES];
	struct server_hsm {
		struct server *server;
		const char *name;
	} hsm_names[HSM_DEVICES]; /* for those who watch one */
	size_t hsm_count;
	/* The HSM whose key signs the audit log now: audit_backing.c. */
	struct hsm *audit_hsm;
	uint8_t audit_key[HSM_ID];
	struct store *store;
	struct hierarchy *hierarchy;
	struct keys *keys;
	struct pins *pins;
	struct policy_store *policy;
	struct audit *audit;
	struct transport *transport;
	struct events *events; /* NULL: no feed */
	size_t message_limit;  /* bytes of a request; 0: none */
	bool upsert;           /* settings that handlers ask for */
	enum key_level default_level;
	const char *default_prefix;
	uint64_t idempotency_seconds;
	uint64_t started;         /* seconds since 1970 */
	pthread_mutex_t renewing; /* keys that reached their limit */
	struct chores *chores;    /* NULL: nobody does them */
	uint64_t lately;          /* seconds: a version used since is in use */
	_Atomic bool stopping;
	struct server_lane lanes[SERVER_LANES];
	_Atomic uint64_t audit_ids;
	_Atomic uint64_t warned_at; /* a second, and how many lines in it */
	_Atomic unsigned warnings;
};

/* The next number that joins the two lines of a request in the audit log. */
uint64_t server_audit_id(struct server *server, unsigned lane);

/* An operation (index in ops[]) came to its end. */
void server_count(struct server *server, unsigned lane, size_t op,
    enum server_outcome outcome);

/* How often that was, in all lanes. */
uint64_t server_counted(
    const struct server *server, size_t op, enum server_outcome outcome);

/* Seconds since the start; the clock may have been set back meanwhile. */
uint64_t server_uptime(const struct server *server);

/*
 * Tells the event feed that something changed: "key.rotated", "payments".
 * Never blocks, never fails the operation.
 */
void server_event(
    struct server *server, const char *event, const char *subject);

#endif
