/* SPDX-License-Identifier: Apache-2.0 */
#include "events.h"

#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/bytes.h"
#include "log.h"

struct events {
	nng_socket socket;
	nng_listener listener;
	struct policy_store *policy;
	_Atomic unsigned pipes; /* to subscribers, or who wants to be one */
};

/* Whether the process of that uid may listen. */
static bool
may_listen(struct policy_store *policy, uint64_t uid)
{
	struct policy_verdict verdict;
	struct policy_grant *grant;
	struct identity *id;
	struct hf_text subject;
	char text[32];
	bool may = false;

	(void)snprintf(text, sizeof(text), "uid:%llu", (unsigned long long)uid);
	subject = text_of(text);
	if (identity_of_subjects(&subject, 1, &id, NULL) != HF_OK)
		return false;
	if (policy_grant_for(policy, id, &grant) == HF_OK) {
		may = policy_check(
		    grant, TEXT("sys/events"), HF_CAP_READ, NULL, 0, &verdict);
		policy_grant_free(grant);
	}
	identity_free(id);
	return may;
}

/* nng calls this for each subscriber before it becomes one, ... */
static void
on_subscriber(nng_pipe pipe, nng_pipe_ev event, void *ctx)
{
	struct events *e = ctx;
	uint64_t uid;

	(void)event;
	(void)atomic_fetch_add(&e->pipes, 1);
	if (nng_pipe_get_uint64(pipe, NNG_OPT_IPC_PEER_UID, &uid) != 0 ||
	    !may_listen(e->policy, uid))
		(void)nng_pipe_close(pipe);
}

/* ... and this for each of them when it has gone, also when it became none. */
static void
on_gone(nng_pipe pipe, nng_pipe_ev event, void *ctx)
{
	struct events *e = ctx;

	(void)pipe;
	(void)event;
	(void)atomic_fetch_sub(&e->pipes, 1);
}

enum hf_err
events_open(const char *url, struct policy_store *policy, struct events **out,
    struct hf_why *why)
{
	struct events *e = calloc(1, sizeof(*e));
	int rc;

	if (e == NULL)
		return HF_ERR_NO_MEMORY;
	e->policy = policy;
	if (strncmp(url, "ipc://", 6) != 0) {
		free(e);
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "events: %s is not an ipc:// address; only there does the "
		    "kernel tell who listens",
		    url);
	}
	if ((rc = nng_pub0_open(&e->socket)) != 0) {
		free(e);
		return hf_fail(
		    why, HF_ERR_SYSTEM, "events: %s", nng_strerror(rc));
	}
	if ((rc = nng_pipe_notify(
		 e->socket, NNG_PIPE_EV_ADD_PRE, on_subscriber, e)) != 0 ||
	    (rc = nng_pipe_notify(
		 e->socket, NNG_PIPE_EV_REM_POST, on_gone, e)) != 0 ||
	    (rc = nng_listener_create(&e->listener, e->socket, url)) != 0 ||
	    (rc = nng_listener_set_int(
		 e->listener, NNG_OPT_IPC_PERMISSIONS, 0666)) != 0 ||
	    (rc = nng_listener_start(e->listener, 0)) != 0) {
		(void)nng_close(e->socket);
		free(e);
		return hf_fail(why, HF_ERR_SYSTEM, "events: %s: %s", url,
		    nng_strerror(rc));
	}
	*out = e;
	return HF_OK;
}

void
events_close(struct events *e)
{
	if (e == NULL)
		return;
	(void)nng_close(e->socket);
	free(e);
}

void
events_publish(struct events *e, const char *event, const char *subject)
{
	char line[512], when[32];
	time_t now = time(NULL);
	struct tm tm;
	int n;

	/* Where nobody listens, nng would make and free a task to find out. */
	if (e == NULL || subject == NULL || atomic_load(&e->pipes) == 0)
		return;
	(void)gmtime_r(&now, &tm);
	(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	/* Names are of [A-Za-z0-9._-]: nothing in them needs escaping. */
	n = snprintf(line, sizeof(line),
	    "%s {\"event\":\"%s\",\"subject\":\"%s\",\"time\":\"%s\"}", event,
	    event, subject, when);
	if (n < 0 || (size_t)n >= sizeof(line))
		return;
	if (nng_send(e->socket, line, (size_t)n, NNG_FLAG_NONBLOCK) != 0)
		log_debug("event %s was not sent", event);
}
