/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cells that use a PKCS#11 module, each in a process of its own
 * (module_role.c): ours, SoftHSM as it is, SoftHSM behind p11-kit.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../program.h"
#include "bench.h"
#include "crew.h"
#include "module.h"
#include "place.h"
#include "words.h"

static bool
find_client(char *out, size_t cap)
{
	static const char *const paths[] = {
		"/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so",
		"/usr/lib/aarch64-linux-gnu/pkcs11/p11-kit-client.so",
		"/usr/lib64/pkcs11/p11-kit-client.so",
		"/usr/lib/pkcs11/p11-kit-client.so",
	};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (access(paths[i], R_OK) == 0)
			return snprintf(out, cap, "%s", paths[i]) < (int)cap;
	return false;
}

bool
module_ours(char *out, size_t cap)
{
	static const char name[] = "holdfast-pkcs11.so";

	if (program_near("../pkcs11", name, out, cap))
		return true;
	return snprintf(out, cap, "%s/%s", HOLDFAST_MODULES, name) < (int)cap &&
	    access(out, R_OK) == 0;
}

/* -- The processes -- */

static bool
start(struct place *p, enum agent which, const char *module,
    const char *const *environment)
{
	const char *const argv[] = { "module", module, NULL };
	char log[PATH_ROOM + 16];

	(void)snprintf(log, sizeof(log), "%s/modules.log", p->dir);
	return child_start_role(&p->agents[which], argv,
	    &(struct child_options){
		.log = log, .talks = true, .environment = environment });
}

static bool
start_holdfast(struct place *p)
{
	char module[PATH_ROOM * 2];
	const char *const environment[] = { "HOLDFAST_SOCKET", p->main.socket,
		"HOLDFAST_PKCS11_CONFIG", "/dev/null", "HOLDFAST_TOKEN",
		BENCH_LABEL, NULL };

	return module_ours(module, sizeof(module)) &&
	    start(p, AGENT_HOLDFAST, module, environment);
}

static bool
start_softhsm(struct place *p)
{
	const char *const environment[] = { "SOFTHSM2_CONF",
		p->agent_token.conf, NULL };

	return token_make(p, "softhsm", &p->agent_token) &&
	    start(p, AGENT_SOFTHSM, p->softhsm, environment);
}

static bool
start_p11_kit(struct place *p)
{
	const char *socket = place_server(p, SERVER_P11_KIT);
	char module[PATH_ROOM], address[PATH_ROOM + 16];
	const char *const environment[] = { "P11_KIT_SERVER_ADDRESS", address,
		NULL };

	if (socket == NULL || !find_client(module, sizeof(module)))
		return false;
	(void)snprintf(address, sizeof(address), "unix:path=%s", socket);
	return start(p, AGENT_P11_KIT, module, environment);
}

static struct child *
agent(struct place *p, enum agent which)
{
	static bool (*const starts[AGENTS])(struct place *) = {
		[AGENT_HOLDFAST] = start_holdfast,
		[AGENT_SOFTHSM] = start_softhsm,
		[AGENT_P11_KIT] = start_p11_kit,
	};

	if (!p->agent_tried[which]) {
		p->agent_tried[which] = true;
		if (!starts[which](p))
			child_stop(&p->agents[which]);
	}
	return p->agents[which].pid > 0 ? &p->agents[which] : NULL;
}

/* -- The cells -- */

static enum cell_state
read_answer(struct bench *b, char *answer, struct sample *out, double *done)
{
	char *at = answer, word[16];

	if (word_text(&at, word, sizeof(word)) && strcmp(word, "ok") == 0 &&
	    word_number(&at, &out->value) && word_number(&at, &out->p50) &&
	    word_number(&at, &out->p99) && word_number(&at, &out->cpu) &&
	    word_number(&at, done))
		return CELL_MEASURED;
	(void)snprintf(b->note, sizeof(b->note), "%s",
	    answer[0] == '\0' ? "the module ended" : answer);
	return strncmp(answer, "refused", 7) == 0 ? CELL_REFUSED : CELL_FAILED;
}

static enum cell_state
use(struct bench *b, enum agent which, const struct work *work,
    struct sample *out, double *done)
{
	struct child *c = agent(b->place, which);
	char line[64], answer[128];

	if (c == NULL)
		return CELL_FAILED;
	(void)snprintf(line, sizeof(line), "%s %u %f", work->what,
	    work->threads, b->seconds);
	if (!child_ask(c, line, answer, sizeof(answer)))
		answer[0] = '\0';
	return read_answer(b, answer, out, done);
}

enum cell_state
module_holdfast(struct bench *b, const struct work *work, struct sample *out)
{
	pid_t daemon = b->place->main.child.pid;
	uint64_t cpu = clock_cpu_ns(daemon);
	double done = 0;
	enum cell_state state = use(b, AGENT_HOLDFAST, work, out, &done);

	if (state == CELL_MEASURED)
		out->cpu = (double)(clock_cpu_ns(daemon) - cpu) / done;
	return state;
}

enum cell_state
module_softhsm(struct bench *b, const struct work *work, struct sample *out)
{
	double done;

	return use(b, AGENT_SOFTHSM, work, out, &done);
}

/* Its server is a process for each connection: nobody's CPU time is told. */
enum cell_state
module_p11_kit(struct bench *b, const struct work *work, struct sample *out)
{
	char client[PATH_ROOM];
	double done;
	enum cell_state state;

	if (!program_find_other("p11-kit", client, sizeof(client)) ||
	    !program_find_other("p11-kit-server", client, sizeof(client)) ||
	    !find_client(client, sizeof(client)))
		return CELL_NOT_INSTALLED;
	state = use(b, AGENT_P11_KIT, work, out, &done);
	out->cpu = 0;
	return state;
}
