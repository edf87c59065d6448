/* SPDX-License-Identifier: Apache-2.0 */
/* Cells about many keys and many connections. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../../lib/fd.h"
#include "bench.h"
#include "crew.h"
#include "message.h"
#include "place.h"
#include "proc.h"
#include "wire.h"

enum {
	FEW = 10,
	QUICK_KEYS = 300,
	USUAL_KEYS = 100000,
	FULL_KEYS = 1000000,
	IN_FLIGHT = 128,
	QUICK_CONNECTIONS = 100,
	USUAL_CONNECTIONS = 10000,
	SPARE_FDS = 200,
	CLIENTS = 8,
	LINE = 350, /* bytes of the audit log */
};

static const char lines[] = "limits {\n  connections = 30000\n"
			    "  connections_uid = 30000\n  in_flight = 256\n}\n";

static unsigned
many(const struct bench *b)
{
	return b->quick ? QUICK_KEYS : b->full ? FULL_KEYS : USUAL_KEYS;
}

/* -- Services with so many keys -- */

static bool
create_send(struct service *s, unsigned number, uint32_t *ticket)
{
	char name[32];
	struct hf_key_create_in in = { .type = hf_text_of("aes256-gcm96") };
	struct hf_why why;

	(void)snprintf(name, sizeof(name), "bench-many-%u", number);
	in.name = hf_text_of(name);
	return hf_key_create_send(s->client, &in, ticket, &why) == HF_OK;
}

/* As many as are allowed to be in flight. */
static bool
create_keys(struct service *s, unsigned count)
{
	uint32_t tickets[IN_FLIGHT];
	struct hf_key_info out;
	struct hf_why why;

	for (unsigned sent = 0, received = 0; received < count;) {
		if (sent < count && sent < received + IN_FLIGHT) {
			if (!create_send(s, sent, &tickets[sent % IN_FLIGHT]))
				return false;
			sent++;
			continue;
		}
		if (hf_key_create_receive(s->client,
			tickets[received % IN_FLIGHT], &out, &why) != HF_OK) {
			(void)fprintf(stderr, "holdfast-bench: %s\n", why.text);
			return false;
		}
		received++;
	}
	return true;
}

static bool
restart(struct service *s)
{
	service_stop(s);
	return service_run(s);
}

/* Restarted, so that its memory is that of a start and not of the making. */
static struct service *
service_with(struct bench *b, struct service *s, bool *tried, const char *name,
    unsigned keys)
{
	if (!*tried) {
		*tried = true;
		if (!service_start(b->place,
			&(struct service_settings){
			    .name = name, .lines = lines },
			s) ||
		    !service_key(s, "bench-aes", "aes256-gcm96", "wrapped") ||
		    !create_keys(s, keys) || !restart(s))
			service_stop(s);
	}
	return s->child.pid > 0 ? s : NULL;
}

static struct service *
service_of(struct bench *b, const char *what)
{
	struct place *p = b->place;

	if (strcmp(what, "many") == 0)
		return service_with(
		    b, &p->many, &p->many_tried, "many", many(b));
	return service_with(b, &p->few, &p->few_tried, "few", FEW);
}

/* -- Rates and start -- */

static enum cell_state
encrypt(struct bench *b, const struct service *s, struct sample *out)
{
	struct wire wire = { .socket = s->socket,
		.threads = CLIENTS,
		.checked = true,
		.server = s->child.pid };
	uint8_t *message = message_encrypt("bench-aes", 0, &wire.len);
	struct crew_result r;
	bool ok;

	wire.message = message;
	ok = message != NULL && wire_run(&wire, b->seconds, &r);
	free(message);
	if (!ok)
		return CELL_FAILED;
	*out = crew_sample(&r, 1);
	return CELL_MEASURED;
}

enum cell_state
scale_encrypt(struct bench *b, const struct work *work, struct sample *out)
{
	const struct service *s = service_of(b, work->what);

	return s == NULL ? CELL_FAILED : encrypt(b, s, out);
}

/* CPU time from exec to the first request that is answered. */
enum cell_state
scale_start(struct bench *b, const struct work *work, struct sample *out)
{
	struct service *s = service_of(b, work->what);

	if (s == NULL || !restart(s))
		return CELL_FAILED;
	out->value = (double)clock_cpu_ns(s->child.pid) / 1e9;
	return CELL_MEASURED;
}

/* -- Memory -- */

enum cell_state
scale_key_memory(struct bench *b, const struct work *work, struct sample *out)
{
	struct service *few = service_of(b, "few"),
		       *full = service_of(b, "many");

	(void)work;
	if (few == NULL || full == NULL || !restart(few) || !restart(full))
		return CELL_FAILED;
	out->value =
	    (proc_resident(full->child.pid) - proc_resident(few->child.pid)) /
	    many(b);
	if (out->value < 0)
		out->value = 0; /* pages differ by more than the keys do */
	return CELL_MEASURED;
}

/* -- Connections -- */

struct crowd {
	int *fds;
	unsigned count;
};

static void
crowd_close(struct crowd *c)
{
	for (unsigned i = 0; i < c->count; i++)
		(void)close(c->fds[i]);
	free(c->fds);
	*c = (struct crowd){ 0 };
}

/* As many as this process may have, up to `count`; the daemon, which has the
 * same limit, needs as many. */
static bool
crowd_open(struct crowd *c, const char *socket, unsigned count)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		rlim_t most = limit.rlim_max;

		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
		if (most < count + SPARE_FDS)
			count = most > 2U * SPARE_FDS
			    ? (unsigned)most - SPARE_FDS
			    : SPARE_FDS;
	}
	*c = (struct crowd){ .fds = calloc(count, sizeof(int)) };
	while (c->fds != NULL && c->count < count) {
		int fd = wire_connect(socket, false);

		if (fd < 0) {
			crowd_close(c);
			return false;
		}
		c->fds[c->count++] = fd;
	}
	return c->fds != NULL;
}

static unsigned
crowd_size(const struct bench *b)
{
	return b->quick ? QUICK_CONNECTIONS : USUAL_CONNECTIONS;
}

enum cell_state
scale_beside(struct bench *b, const struct work *work, struct sample *out)
{
	const struct service *s = service_of(b, "few");
	struct crowd crowd = { 0 };
	enum cell_state state;

	if (s == NULL ||
	    (work->threads > 1 &&
		!crowd_open(&crowd, s->socket, crowd_size(b))))
		return CELL_FAILED;
	state = encrypt(b, s, out);
	(void)snprintf(
	    b->note, sizeof(b->note), "%u idle connections", crowd.count);
	crowd_close(&crowd);
	return state;
}

/* A daemon that has just started gives back what only the start needed. */
static double
resident_settled(const struct service *s)
{
	double now = proc_resident(s->child.pid), before;
	unsigned tries = 10;

	do {
		before = now;
		clock_wait(0.3);
		now = proc_resident(s->child.pid);
	} while (now != before && --tries > 0);
	return now;
}

enum cell_state
scale_connection_memory(
    struct bench *b, const struct work *work, struct sample *out)
{
	struct service *s = service_of(b, "few");
	struct crowd crowd;
	double before;

	(void)work;
	if (s == NULL || !restart(s))
		return CELL_FAILED;
	before = resident_settled(s);
	if (!crowd_open(&crowd, s->socket, crowd_size(b)))
		return CELL_FAILED;
	out->value = (proc_resident(s->child.pid) - before) / crowd.count;
	crowd_close(&crowd);
	return CELL_MEASURED;
}

/* -- Making keys -- */

struct making {
	struct place *place;
	unsigned round;
};

static void
create_member(struct crew_member *m)
{
	const struct making *making = m->job;
	struct hf_client *client = NULL;
	struct hf_key_info out;
	struct hf_why why;
	char name[48];

	m->failed = hf_connect(making->place->busy.socket, 60000, &client,
			&why) != HF_OK;
	crew_begin(m);
	while (!m->failed && clock_ns() < m->deadline) {
		struct hf_key_create_in in = { .type =
						   hf_text_of("aes256-gcm96") };
		uint64_t began = clock_ns();

		(void)snprintf(name, sizeof(name), "bench-%u-%u-%llu",
		    making->round, m->number, (unsigned long long)m->done);
		in.name = hf_text_of(name);
		m->failed = hf_key_create(client, &in, &out, &why) != HF_OK;
		histogram_add(m->latency, clock_ns() - began);
		m->done++;
	}
	m->ended = clock_ns();
	hf_close(client);
}

/* What a sync of this disk takes, with nothing else on the way. */
static void
append_member(struct crew_member *m)
{
	static const char line[LINE];
	const struct making *making = m->job;
	char path[PATH_ROOM + 16];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/appended", making->place->dir);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	m->failed = fd < 0;
	crew_begin(m);
	while (!m->failed && clock_ns() < m->deadline) {
		uint64_t began = clock_ns();

		m->failed = write(fd, line, LINE) != LINE || fdatasync(fd) != 0;
		histogram_add(m->latency, clock_ns() - began);
		m->done++;
	}
	m->ended = clock_ns();
	fd_close(fd);
}

enum cell_state
scale_disk(struct bench *b, const struct work *work, struct sample *out)
{
	struct making making = { b->place, 0 };
	struct crew_result r;

	(void)work;
	if (!crew_run(append_member, &making, 1, b->seconds, 0, &r))
		return CELL_FAILED;
	*out = crew_sample(&r, 1);
	return CELL_MEASURED;
}

enum cell_state
scale_create(struct bench *b, const struct work *work, struct sample *out)
{
	struct place *p = b->place;
	struct service *s =
	    service_with(b, &p->busy, &p->busy_tried, "busy", 0);
	struct making making = { p, 0 };
	struct crew_result r;

	if (s == NULL)
		return CELL_FAILED;
	making.round = ++p->made;
	if (!crew_run(create_member, &making, work->threads, b->seconds,
		s->child.pid, &r))
		return CELL_FAILED;
	*out = crew_sample(&r, 1);
	return CELL_MEASURED;
}
