/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nng's own REP server doing the same cryptography, as its examples have it:
 * contexts, each with a callback. It does not look into the request: what is
 * encrypted are its last bytes, as many as are in there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>

#include "limit.h"
#include "role.h"

enum { CONTEXTS = 16 };

struct context {
	nng_ctx ctx;
	nng_aio *aio;
	struct limit_gcm *gcm;
	enum { RECEIVING, SENDING } state;
	uint8_t out[PAYLOAD + GCM_OVERHEAD];
};

static void
receive(struct context *c)
{
	c->state = RECEIVING;
	nng_ctx_recv(c->ctx, c->aio);
}

static void
answer(struct context *c)
{
	nng_msg *msg = nng_aio_get_msg(c->aio);
	size_t len = nng_msg_len(msg);

	if (len < PAYLOAD ||
	    !limit_gcm_run(c->gcm,
		(const uint8_t *)nng_msg_body(msg) + len - PAYLOAD, c->out))
		abort();
	nng_msg_clear(msg);
	if (nng_msg_append(msg, c->out, sizeof(c->out)) != 0)
		abort();
	nng_aio_set_msg(c->aio, msg);
	c->state = SENDING;
	nng_ctx_send(c->ctx, c->aio);
}

static void
step(void *arg)
{
	struct context *c = arg;

	if (nng_aio_result(c->aio) != 0)
		receive(c);
	else if (c->state == RECEIVING)
		answer(c);
	else
		receive(c);
}

int
role_nng(int argc, char **argv)
{
	static struct context contexts[CONTEXTS];
	char url[160];
	nng_socket socket;

	if (argc != 1 ||
	    snprintf(url, sizeof(url), "ipc://%s", argv[0]) >=
		(int)sizeof(url) ||
	    nng_rep0_open(&socket) != 0)
		return 1;
	for (size_t i = 0; i < CONTEXTS; i++) {
		struct context *c = &contexts[i];

		c->gcm = limit_gcm_new();
		if (c->gcm == NULL || nng_ctx_open(&c->ctx, socket) != 0 ||
		    nng_aio_alloc(&c->aio, step, c) != 0)
			return 1;
		receive(c);
	}
	if (nng_listen(socket, url, NULL, 0) != 0)
		return 1;
	for (;;)
		(void)pause();
}
