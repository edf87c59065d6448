/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as what the daemon asks of the process of the HSM's library. Its
 * HSM is away, so that every job is refused there and none makes objects. Once
 * through a socket, as one job after the other, and once as what lies in memory
 * that both have.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../keyd/crypto.h"
#include "../../keyd/hsm_internal.h"
#include "../../keyd/hsm_job.h"
#include "../../keyd/hsm_ring.h"
#include "../../lib/bytes.h"
#include "../fake/must.h"
#include "../fake/softhsm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	ASK_MAX = 1 << 16,
	REPLY_HEAD = 16, /* as hsm_job.c has it */
	DEADLINE_MS = 10,
};

static struct softhsm token;
static struct hsm *hsm;

static void
stop(void)
{
	hsm_close(hsm);
	softhsm_stop(&token);
}

static void
start(void)
{
	struct hsm_settings settings = { .uri = SOFTHSM_URI("nowhere"),
		.pin_source = token.pin_source,
		.deadline_ms = DEADLINE_MS };
	struct hf_why why = { "" };

	must(crypto_init(&why) == HF_OK);
	must(softhsm_start(&token));
	must(hsm_open(&settings, NULL, NULL, &hsm, &why) == HF_OK);
	must(hsm_wait_ready(hsm, 100) != HF_OK);
	(void)atexit(stop);
}

/* Behind the room for the reply. */
static void
run_in_memory(const uint8_t *data, size_t size)
{
	uint8_t *cell = calloc(1, RING_ROOM);

	must(cell != NULL);
	if (size > RING_ROOM - REPLY_HEAD)
		size = RING_ROOM - REPLY_HEAD;
	memcpy(cell + REPLY_HEAD, data, size);
	job_run(cell, RING_ROOM, hsm);
	free(cell);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t replies[4096];
	int ends[2];

	if (hsm == NULL)
		start();
	if (size > ASK_MAX)
		return 0;
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	must(write(ends[0], data, size) == (ssize_t)size);
	(void)shutdown(ends[0], SHUT_WR);
	job_serve(ends[1], hsm);
	while (recv(ends[0], replies, sizeof(replies), 0) > 0)
		;
	(void)close(ends[0]);
	(void)close(ends[1]);
	run_in_memory(data, size);
	return 0;
}
