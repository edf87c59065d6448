/* SPDX-License-Identifier: Apache-2.0 */
#include "transport.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../lib/frame.h"
#include "crypto_memory.h"
#include "identity_known.h"
#include "io_loop.h"
#include "listener.h"
#include "log.h"
#include "peers.h"
#include "tls_channel.h"
#include "workers.h"

enum {
	DESCRIPTORS_ELSE = 128, /* for all that is not a connection */
	DESCRIPTORS_EACH =
	    2,       /* at most: a socket, and a pidfd for each process */
	RESERVE = 8, /* connections, see struct peers_limits */
	MEMORY_FACTOR = 32,
	THREADS_MOST = 64,
	WORKERS_MORE = 128, /* requests that wait for the disk at a time */
};

struct transport {
	struct io_group group;
	unsigned worker_threads;
};

/* What a setting of 0 stands for; transport.h says the same. */
static const struct transport_limits default_limits = {
	.message = 16 << 20,
	.connections = 4096,
	.connections_uid = 1024,
	.in_flight = 64,
	.queue = 1024,
	.handshake_ms = 10000,
	.frame_ms = 30000,
	.send_ms = 30000,
};

static void
set_default(unsigned *value, unsigned fallback)
{
	if (*value == 0)
		*value = fallback;
}

static struct transport_limits
with_defaults(const struct transport_limits *given)
{
	const struct transport_limits *d = &default_limits;
	struct transport_limits l = *given;

	if (l.message == 0)
		l.message = d->message;
	if (l.memory == 0)
		l.memory = MEMORY_FACTOR * l.message;
	set_default(&l.connections, d->connections);
	set_default(&l.connections_uid, d->connections_uid);
	set_default(&l.in_flight, d->in_flight);
	set_default(&l.queue, d->queue);
	set_default(&l.handshake_ms, d->handshake_ms);
	set_default(&l.frame_ms, d->frame_ms);
	set_default(&l.send_ms, d->send_ms);
	return l;
}

static unsigned
cores(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : n > THREADS_MOST ? THREADS_MOST : (unsigned)n;
}

/*
 * A descriptor that is missing later is a refused connection; better to say
 * so now, and to an admin.
 */
static void
raise_descriptors(const struct transport_limits *limits)
{
	rlim_t want =
	    (rlim_t)limits->connections * DESCRIPTORS_EACH + DESCRIPTORS_ELSE;
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur >= want)
		return;
	r.rlim_cur = want;
	if (r.rlim_max < want)
		r.rlim_max = want; /* for those who may */
	if (setrlimit(RLIMIT_NOFILE, &r) == 0)
		return;
	(void)getrlimit(RLIMIT_NOFILE, &r);
	r.rlim_cur = r.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &r);
	log_warning("%u connections, each of another process, need %llu file "
		    "descriptors, but RLIMIT_NOFILE allows %llu",
	    limits->connections, (unsigned long long)want,
	    (unsigned long long)r.rlim_max);
}

static enum hf_err
check_limits(const struct transport_limits *l, struct hf_why *why)
{
	if (l->message > FRAME_LONGEST - FRAME_ID)
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "the largest message can't be larger than 1 GiB");
	return HF_OK;
}

static enum hf_err
open_unix(const struct transport_settings *settings, struct io_group *group,
    struct hf_why *why)
{
	struct listener *l = &group->listeners[group->listener_count];
	enum hf_err err = listener_open_systemd(l, why);

	if (err == HF_ERR_NOT_FOUND) {
		if (settings->socket == NULL)
			return HF_OK;
		err = listener_open_unix(
		    settings->socket, settings->socket_mode, l, why);
	}
	if (err == HF_OK)
		group->listener_count++;
	return err;
}

static enum hf_err
open_listeners(const struct transport_settings *settings,
    struct io_group *group, struct hf_why *why)
{
	enum hf_err err;

	group->listeners =
	    calloc(settings->tls_count + 1, sizeof(*group->listeners));
	if (group->listeners == NULL)
		return HF_ERR_NO_MEMORY;
	err = open_unix(settings, group, why);
	for (size_t i = 0; i < settings->tls_count && err == HF_OK; i++) {
		err = listener_open_tls(&settings->tls[i],
		    &group->listeners[group->listener_count], why);
		if (err == HF_OK)
			group->listener_count++;
	}
	if (err == HF_OK && group->listener_count == 0)
		err = hf_fail(
		    why, HF_ERR_BAD_SETTINGS, "there is nothing to listen on");
	return err;
}

/* However many come: of OpenSSL's memory half is for those who are known. */
static unsigned
strangers_most(const struct transport_limits *l)
{
	size_t room = crypto_memory_limit() / 2 / TLS_CHANNEL_STRANGER;

	return room < l->connections_uid ? (unsigned)room : l->connections_uid;
}

static enum hf_err
make_peers(struct io_group *group)
{
	const struct transport_limits *l = &group->limits;
	const struct peers_limits limits = {
		.connections = l->connections,
		.reserve =
		    l->connections > 4 * RESERVE ? RESERVE : l->connections / 4,
		.each = l->connections_uid,
		.strangers = strangers_most(l),
		.memory = l->memory,
	};

	return peers_new(&limits, &group->peers);
}

static enum hf_err
make_loops(struct io_group *group, unsigned count)
{
	group->loops = calloc(count, sizeof(struct io_loop *));
	if (group->loops == NULL)
		return HF_ERR_NO_MEMORY;
	for (unsigned i = 0; i < count; i++) {
		enum hf_err err = io_loop_new(group, &group->loops[i]);

		if (err != HF_OK)
			return err;
		group->loop_count++;
	}
	return HF_OK;
}

static unsigned
io_threads(const struct transport_settings *settings)
{
	unsigned n = settings->io_threads;

	if (n == 0)
		n = cores() < 4 ? cores() : 4;
	return n > THREADS_MOST ? THREADS_MOST : n;
}

enum hf_err
transport_open(const struct transport_settings *settings, struct server *server,
    struct transport **out, struct hf_why *why)
{
	struct transport *t = calloc(1, sizeof(*t));
	enum hf_err err;

	if (t == NULL)
		return HF_ERR_NO_MEMORY;
	t->group.server = server;
	t->group.limits = with_defaults(&settings->limits);
	t->group.shared.cores = cores();
	t->worker_threads =
	    settings->workers == 0 ? cores() + 2 : settings->workers;
	err = check_limits(&t->group.limits, why);
	if (err == HF_OK) {
		raise_descriptors(&t->group.limits);
		err = make_peers(&t->group);
	}
	if (err == HF_OK)
		err = identities_new(&t->group.identities);
	if (err == HF_OK)
		err = make_loops(&t->group, io_threads(settings));
	if (err == HF_OK)
		err = open_listeners(settings, &t->group, why);
	if (err != HF_OK) {
		transport_close(t);
		return err;
	}
	*out = t;
	return HF_OK;
}

enum hf_err
transport_start(struct transport *t)
{
	enum hf_err err = workers_new(t->worker_threads, WORKERS_MORE,
	    t->group.limits.queue, &t->group.workers);

	for (unsigned i = 0; i < t->group.loop_count && err == HF_OK; i++)
		err = io_loop_start(t->group.loops[i], i);
	if (err != HF_OK)
		transport_stop(t, 0);
	return err;
}

void
transport_stop(struct transport *t, unsigned ms)
{
	struct io_group *group = &t->group;

	for (size_t i = 0; i < group->listener_count; i++)
		listener_stop(&group->listeners[i]);
	for (size_t i = 0; i < group->loop_count; i++)
		io_loop_stop(group->loops[i], ms);
	for (size_t i = 0; i < group->loop_count; i++)
		io_loop_join(group->loops[i]);
	/* What is not done by now has nobody left to be told. */
	workers_free(group->workers);
	group->workers = NULL;
}

void
transport_close(struct transport *t)
{
	struct io_group *group;

	if (t == NULL)
		return;
	transport_stop(t, 0);
	group = &t->group;
	for (size_t i = 0; i < group->loop_count; i++)
		io_loop_free(group->loops[i]);
	free(group->loops);
	for (size_t i = 0; i < group->listener_count; i++)
		listener_close(&group->listeners[i]);
	free(group->listeners);
	identities_free(group->identities);
	peers_free(group->peers);
	free(t);
}

void
transport_stats(const struct transport *t, struct transport_stats *out)
{
	struct transport_stats sum = {
		.connections = peers_connections(t->group.peers),
	};

	for (size_t i = 0; i < t->group.loop_count; i++)
		io_loop_stats(t->group.loops[i], &sum);
	*out = sum;
}
