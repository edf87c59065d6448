/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floor of the transport: what a request costs when it is only sent back.
 * role_echo is the daemon's transport as it is. The linker puts
 * __wrap_pipeline_run between it and the pipeline (CMakeLists.txt), so that
 * no branch in the daemon is there for the bench.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../keyd/pipeline.h"
#include "../../keyd/server.h"
#include "../../keyd/transport.h"
#include "bench.h"
#include "message.h"
#include "role.h"

/* -- Our loop -- */

/* Named by the linker's option --wrap. */
enum hf_err __wrap_pipeline_run(struct request *rq);
enum hf_err __real_pipeline_run(struct request *rq);

static bool echoes;

enum hf_err
__wrap_pipeline_run(struct request *rq)
{
	uint8_t *copy;

	if (!echoes)
		return __real_pipeline_run(rq);
	copy = request_alloc(rq, rq->message.len);
	if (copy == NULL)
		return HF_ERR_NO_MEMORY;
	memcpy(copy, rq->message.ptr, rq->message.len);
	rq->reply = (struct hf_bytes){ copy, rq->message.len };
	return HF_OK;
}

int
role_echo(int argc, char **argv)
{
	static struct server server;
	struct transport_settings settings = { .socket = argv[0],
		.socket_mode = 0600 };
	struct hf_why why = { "" };

	if (argc != 1)
		return 2;
	echoes = true;
	if (transport_open(&settings, &server, &server.transport, &why) !=
		HF_OK ||
	    transport_start(server.transport) != HF_OK) {
		(void)fprintf(stderr, "echo: %s\n", why.text);
		return 1;
	}
	for (;;)
		(void)pause();
}

/* -- Nothing but a socket -- */

/* Both sides know how long a message is. */
static size_t
message_size(void)
{
	size_t len = 0;

	free(message_encrypt("bench-aes", 0, &len));
	return len;
}

static void *
serve_raw(void *arg)
{
	int fd = (int)(intptr_t)arg;
	size_t len = message_size();
	uint8_t *buf = malloc(len);

	while (buf != NULL && recv(fd, buf, len, MSG_WAITALL) == (ssize_t)len &&
	    send(fd, buf, len, MSG_NOSIGNAL) == (ssize_t)len)
		;
	free(buf);
	(void)close(fd);
	return NULL;
}

static int
listen_at(const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(at.sun_path))
		return -1;
	memcpy(at.sun_path, path, strlen(path) + 1);
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 ||
	    listen(fd, SOMAXCONN) != 0)
		return -1;
	return fd;
}

int
role_raw(int argc, char **argv)
{
	int listener = argc == 1 ? listen_at(argv[0]) : -1;
	pthread_attr_t detached;

	if (listener < 0)
		return 1;
	(void)pthread_attr_init(&detached);
	(void)pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		pthread_t thread;

		if (fd < 0 ||
		    pthread_create(&thread, &detached, serve_raw,
			(void *)(intptr_t)fd) != 0)
			return 1;
	}
}
