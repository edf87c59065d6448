/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client on plain libnng (REQ), which knows nothing of Holdfast: each line of
 * the input, in diagnostic notation, is a request; each reply is a line of the
 * output. With --together all are sent before any reply is waited for, and
 * replies are printed as they come, with the number of their request before.
 *
 * usage: nng_client [--together] [--tls CA [CERT KEY]] URL
 */
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <nng/supplemental/tls/tls.h>
#include <nng/supplemental/util/platform.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diag.h"

enum { REQUESTS_MAX = 1000, FILE_MAX = 16384, TIMEOUT_MS = 30000 };

struct exchange {
	nng_ctx ctx;
	nng_aio *aio;
	struct client *client;
	unsigned number;
	bool sent;
};

struct client {
	const char *url, *ca, *cert, *key;
	bool together;
	nng_socket socket;
	nng_mtx *lock; /* of the output and what follows */
	nng_cv *change;
	unsigned running;
	bool failed;
	unsigned count;
	struct exchange all[REQUESTS_MAX];
};

static void
check(int rc, const char *what)
{
	if (rc == 0)
		return;
	(void)fprintf(stderr, "nng_client: %s: %s\n", what, nng_strerror(rc));
	exit(1);
}

static nng_msg *
request_of(const char *line)
{
	nng_msg *msg;
	size_t len;
	uint8_t *bytes = diag_encode(line, &len);

	if (bytes == NULL)
		exit(1);
	check(nng_msg_alloc(&msg, 0), "message");
	check(nng_msg_append(msg, bytes, len), "message");
	free(bytes);
	return msg;
}

/* False when the reply is no CBOR. */
static bool
print_reply(nng_msg *msg, const char *before)
{
	char *text = diag_decode(nng_msg_body(msg), nng_msg_len(msg));

	(void)printf("%s%s\n", before, text == NULL ? "?" : text);
	(void)fflush(stdout);
	free(text);
	return text != NULL;
}

/* -- One after the other -- */

static void
ask(struct client *c, const char *line)
{
	nng_msg *msg = request_of(line);

	check(nng_sendmsg(c->socket, msg, 0), "send");
	check(nng_recvmsg(c->socket, &msg, 0), "receive");
	if (!print_reply(msg, ""))
		c->failed = true;
	nng_msg_free(msg);
}

/* -- All together -- */

static void
finish(struct exchange *e, bool ok)
{
	struct client *c = e->client;

	nng_mtx_lock(c->lock);
	c->failed = c->failed || !ok;
	c->running--;
	nng_cv_wake(c->change);
	nng_mtx_unlock(c->lock);
}

/* nng calls this when the request was sent, and when the reply is there. */
static void
on_done(void *arg)
{
	struct exchange *e = arg;
	char before[16];
	nng_msg *msg;
	bool ok;

	if (nng_aio_result(e->aio) != 0) {
		(void)fprintf(stderr, "nng_client: %u: %s\n", e->number,
		    nng_strerror(nng_aio_result(e->aio)));
		finish(e, false);
		return;
	}
	if (!e->sent) {
		e->sent = true;
		nng_ctx_recv(e->ctx, e->aio);
		return;
	}
	msg = nng_aio_get_msg(e->aio);
	(void)snprintf(before, sizeof(before), "%u ", e->number);
	nng_mtx_lock(e->client->lock);
	ok = print_reply(msg, before);
	nng_mtx_unlock(e->client->lock);
	nng_msg_free(msg);
	finish(e, ok);
}

static void
start(struct client *c, const char *line)
{
	struct exchange *e = &c->all[c->count++];

	e->client = c;
	e->number = c->count;
	check(nng_ctx_open(&e->ctx, c->socket), "context");
	check(nng_aio_alloc(&e->aio, on_done, e), "aio");
	nng_aio_set_timeout(e->aio, TIMEOUT_MS);
	nng_aio_set_msg(e->aio, request_of(line));
	nng_mtx_lock(c->lock);
	c->running++;
	nng_mtx_unlock(c->lock);
	nng_ctx_send(e->ctx, e->aio);
}

static void
wait_for_all(struct client *c)
{
	nng_mtx_lock(c->lock);
	while (c->running > 0)
		nng_cv_wait(c->change);
	nng_mtx_unlock(c->lock);
	for (unsigned i = 0; i < c->count; i++) {
		nng_aio_free(c->all[i].aio);
		(void)nng_ctx_close(c->all[i].ctx);
	}
}

/* -- Connecting -- */

static char *
read_file(const char *path)
{
	char *buf = calloc(1, FILE_MAX);
	FILE *f = fopen(path, "re");

	if (buf == NULL || f == NULL || fread(buf, 1, FILE_MAX - 1, f) == 0) {
		perror(path);
		exit(1);
	}
	(void)fclose(f);
	return buf;
}

static void
set_tls(struct client *c, nng_dialer dialer)
{
	nng_tls_config *config;

	if (c->ca == NULL)
		return;
	check(nng_tls_config_alloc(&config, NNG_TLS_MODE_CLIENT), "TLS");
	check(nng_tls_config_auth_mode(config, NNG_TLS_AUTH_MODE_REQUIRED),
	    "TLS");
	check(nng_tls_config_server_name(config, "localhost"), "TLS");

	char *ca = read_file(c->ca);

	check(nng_tls_config_ca_chain(config, ca, NULL), c->ca);
	free(ca);
	if (c->cert != NULL) {
		char *cert = read_file(c->cert), *key = read_file(c->key);

		check(
		    nng_tls_config_own_cert(config, cert, key, NULL), c->cert);
		free(cert);
		free(key);
	}
	check(nng_dialer_set_ptr(dialer, NNG_OPT_TLS_CONFIG, config), "TLS");
	nng_tls_config_free(config);
}

static void
connect_to(struct client *c)
{
	nng_dialer dialer;

	check(nng_req0_open(&c->socket), "socket");
	/* Else nng would ask again by itself when nobody answers. */
	check(nng_socket_set_ms(
		  c->socket, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE),
	    "socket");
	check(nng_socket_set_ms(c->socket, NNG_OPT_RECVTIMEO, TIMEOUT_MS),
	    "socket");
	check(nng_socket_set_size(c->socket, NNG_OPT_RECVMAXSZ, 0), "socket");
	check(nng_dialer_create(&dialer, c->socket, c->url), c->url);
	set_tls(c, dialer);
	check(nng_dialer_start(dialer, 0), c->url);
}

static bool
parse(struct client *c, int argc, char **argv)
{
	int i = 1;

	if (i < argc && strcmp(argv[i], "--together") == 0) {
		c->together = true;
		i++;
	}
	if (i < argc && strcmp(argv[i], "--tls") == 0) {
		c->ca = argv[i + 1];
		i += 2;
		if (argc - i == 3) {
			c->cert = argv[i];
			c->key = argv[i + 1];
			i += 2;
		}
	}
	if (argc - i != 1)
		return false;
	c->url = argv[i];
	return true;
}

int
main(int argc, char **argv)
{
	static struct client client;
	struct client *c = &client;
	char *line = NULL;
	size_t cap = 0;

	if (!parse(c, argc, argv)) {
		(void)fputs("usage: nng_client [--together] "
			    "[--tls CA [CERT KEY]] URL\n",
		    stderr);
		return 1;
	}
	check(nng_mtx_alloc(&c->lock), "mutex");
	check(nng_cv_alloc(&c->change, c->lock), "condition");
	connect_to(c);
	while (getline(&line, &cap, stdin) > 0 && c->count < REQUESTS_MAX) {
		if (c->together)
			start(c, line);
		else
			ask(c, line);
	}
	free(line);
	wait_for_all(c);
	(void)nng_close(c->socket);
	return c->failed ? 1 : 0;
}
