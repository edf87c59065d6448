/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event feed: nng PUB/SUB. A message is the type of the event, a space,
 * and a flat JSON object; the type comes first so that nng can filter by it.
 */
#include <nng/nng.h>
#include <nng/protocol/pubsub0/sub.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clean.h"
#include "option.h"
#include "tool.h"

static const char default_url[] = "ipc:///run/holdfast/events.sock";

/* The text member of that name in a flat object; absent when there is none. */
static struct hf_text
member(const char *p, size_t len, const char *name)
{
	char key[40];
	int n = snprintf(key, sizeof(key), "\"%s\":\"", name);
	const char *at = memmem(p, len, key, (size_t)n);
	const char *end;

	if (at == NULL)
		return (struct hf_text){ 0 };
	at += n;
	end = memchr(at, '"', len - (size_t)(at - p));
	return (struct hf_text){ at, end == NULL ? 0 : (size_t)(end - at) };
}

static void
print_event(const struct tool *tool, const char *p, size_t len)
{
	const char *space = memchr(p, ' ', len);
	size_t type = space == NULL ? len : (size_t)(space - p);
	size_t rest = space == NULL ? len : type + 1;
	struct hf_text when = member(p + rest, len - rest, "time");
	struct hf_text subject = member(p + rest, len - rest, "subject");

	if (tool->json) {
		clean_print(
		    stdout, (struct hf_text){ p + rest, len - rest }, false);
		(void)putchar('\n');
		return;
	}
	clean_print(stdout, when, false);
	(void)fputs("  ", stdout);
	clean_print(stdout, (struct hf_text){ p, type }, false);
	(void)fputs("  ", stdout);
	clean_print(stdout, subject, false);
	(void)putchar('\n');
}

/* nng dials again by itself; without a word one would wait for ever for the
 * events of a service that lets us not listen. On a thread of nng's. */
static void
on_lost(nng_pipe pipe, nng_pipe_ev event, void *ctx)
{
	atomic_flag *told = ctx;

	(void)pipe;
	(void)event;
	if (!atomic_flag_test_and_set(told))
		(void)fputs(
		    "holdfast: the service closed the feed: it stopped, "
		    "or you may not read sys/events; trying again\n",
		    stderr);
}

static int
fail_feed(const char *url, int rv)
{
	struct hf_why why;
	enum hf_err err = hf_fail(&why, HF_ERR_UNREACHABLE,
	    "cannot follow the events at %s: %s", url, nng_strerror(rv));

	return fail_service(err, &why);
}

/* nng's words for a connection that ended before the other side said who it
 * is, as a feed does to whom it does not take in. */
static int
fail_dial(const char *url, int rv)
{
	struct hf_why why;
	enum hf_err err;

	if (rv != NNG_ECONNSHUT && rv != NNG_ECLOSED && rv != NNG_ECONNRESET)
		return fail_feed(url, rv);
	err = hf_fail(&why, HF_ERR_PERMISSION_DENIED,
	    "the feed at %s hung up at once: you may not read sys/events, or "
	    "follow it too often already",
	    url);
	return fail_service(err, &why);
}

static int
follow(const struct tool *tool, const char *url, const char *type)
{
	atomic_flag told = ATOMIC_FLAG_INIT;
	nng_socket sub;
	int rv = nng_sub0_open(&sub);

	if (rv != 0)
		return fail_feed(url, rv);
	rv = nng_socket_set(sub, NNG_OPT_SUB_SUBSCRIBE, type, strlen(type));
	if (rv == 0)
		rv = nng_pipe_notify(sub, NNG_PIPE_EV_REM_POST, on_lost, &told);
	if (rv == 0 && (rv = nng_dial(sub, url, NULL, 0)) != 0)
		return fail_dial(url, rv);
	while (rv == 0) {
		nng_msg *msg;

		if ((rv = nng_recvmsg(sub, &msg, 0)) != 0)
			break;
		atomic_flag_clear(&told);
		print_event(tool, nng_msg_body(msg), nng_msg_len(msg));
		nng_msg_free(msg);
		if (fflush(stdout) != 0)
			break; /* the reader of the pipe has gone */
	}
	/* The socket ends with the process: nng_close() (1.5.2) would tell
	 * on_lost() of it, and now and then waits for ever. */
	return rv == 0 ? STATUS_OK : fail_feed(url, rv);
}

int
events_run(const struct tool *tool, int argc, char **argv)
{
	struct options o = { .argc = argc, .argv = argv };
	const char *url = getenv("HOLDFAST_EVENTS");
	const char *type = NULL;

	while (options_next(&o)) {
		if (option_is(&o, "url"))
			url = options_value(&o);
		else if (o.name == NULL && type == NULL)
			type = o.value;
		else
			return fail_usage("'holdfast events' takes --url URL "
					  "and one TYPE");
	}
	if (url == NULL || *url == '\0')
		url = default_url;
	return follow(tool, url, type == NULL ? "" : type);
}
