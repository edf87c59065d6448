/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cells that send requests over a Unix socket. The floor gets the very bytes
 * that Holdfast gets, and so does nng.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "message.h"
#include "place.h"
#include "wire.h"

static void
pin(pid_t server, unsigned cores)
{
	child_pin(server, cores);
	child_pin(getpid(), cores);
}

static enum cell_state
run(struct bench *b, const struct work *work, struct wire *wire,
    struct sample *out)
{
	struct crew_result r;
	bool ok;

	wire->threads = work->threads == 0 ? 1 : work->threads;
	wire->depth = work->depth;
	if (work->cores != 0)
		pin(wire->server, work->cores);
	ok = wire->message != NULL && wire_run(wire, b->seconds, &r);
	if (work->cores != 0)
		pin(wire->server, 0);
	if (!ok)
		return CELL_FAILED;
	*out = crew_sample(&r, work->items == 0 ? 1 : work->items);
	return CELL_MEASURED;
}

static enum cell_state
to_server(struct bench *b, enum server which, const struct work *work,
    struct sample *out)
{
	struct wire wire = { .socket = place_server(b->place, which),
		.raw = which == SERVER_RAW,
		.server = b->place->servers[which].pid };
	enum cell_state state;
	uint8_t *message;

	if (wire.socket == NULL)
		return CELL_FAILED;
	message = message_encrypt("bench-aes", work->items, &wire.len);
	wire.message = message;
	state = run(b, work, &wire, out);
	free(message);
	return state;
}

enum cell_state
request_echo(struct bench *b, const struct work *work, struct sample *out)
{
	return to_server(b, SERVER_ECHO, work, out);
}

enum cell_state
request_raw(struct bench *b, const struct work *work, struct sample *out)
{
	return to_server(b, SERVER_RAW, work, out);
}

enum cell_state
request_nng(struct bench *b, const struct work *work, struct sample *out)
{
	return to_server(b, SERVER_NNG, work, out);
}

static enum cell_state
to_service(struct bench *b, const struct service *s, const struct work *work,
    uint8_t *message, size_t len, struct sample *out)
{
	struct wire wire = { .socket = s->socket,
		.message = message,
		.len = len,
		.checked = true,
		.server = s->child.pid };
	enum cell_state state = run(b, work, &wire, out);

	free(message);
	return state;
}

/* By hsm.process = "inside". */
static const struct service *
inside(struct place *p)
{
	struct service *s = &p->inside;

	if (!p->inside_tried) {
		p->inside_tried = true;
		if (!service_start(p,
			&(struct service_settings){
			    .name = "inside", .inside = true },
			s) ||
		    !service_key(s, "bench-hsm-aes", "aes256-gcm96", "hsm") ||
		    !service_key(s, "bench-hsm-p256", "ecdsa-p256", "hsm") ||
		    !service_key(s, "bench-hsm-rsa", "rsa-2048", "hsm"))
			service_stop(s);
	}
	return s->child.pid > 0 ? s : NULL;
}

static enum cell_state
encrypt(struct bench *b, const struct service *s, const struct work *work,
    struct sample *out)
{
	size_t len;
	uint8_t *message;

	if (s == NULL)
		return CELL_FAILED;
	message = message_encrypt(work->what, work->items, &len);
	return to_service(b, s, work, message, len, out);
}

static enum cell_state
sign(struct bench *b, const struct service *s, const struct work *work,
    struct sample *out)
{
	size_t len;
	uint8_t *message;

	if (s == NULL)
		return CELL_FAILED;
	message =
	    message_sign(work->what, strstr(work->what, "rsa") != NULL, &len);
	return to_service(b, s, work, message, len, out);
}

enum cell_state
request_encrypt(struct bench *b, const struct work *work, struct sample *out)
{
	return encrypt(b, &b->place->main, work, out);
}

enum cell_state
request_encrypt_inside(
    struct bench *b, const struct work *work, struct sample *out)
{
	return encrypt(b, inside(b->place), work, out);
}

enum cell_state
request_sign(struct bench *b, const struct work *work, struct sample *out)
{
	return sign(b, &b->place->main, work, out);
}

enum cell_state
request_sign_inside(
    struct bench *b, const struct work *work, struct sample *out)
{
	return sign(b, inside(b->place), work, out);
}
