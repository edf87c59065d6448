/* SPDX-License-Identifier: Apache-2.0 */
#include "place.h"

#include <errno.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../program.h"
#include "tls.h"
#include "wire.h"

enum { RULES = 1000, REPLY_MS = 60000 };

static bool __attribute__((format(printf, 3, 4)))
put(char *out, size_t cap, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(out, cap, fmt, args);
	va_end(args);
	return n >= 0 && (size_t)n < cap;
}

static bool __attribute__((format(printf, 1, 2))) fail(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)fputs("holdfast-bench: ", stderr);
	(void)vfprintf(stderr, fmt, args);
	(void)fputc('\n', stderr);
	va_end(args);
	return false;
}

static bool
write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	bool ok = f != NULL && fputs(text, f) >= 0;

	return f != NULL && fclose(f) == 0 && ok;
}

/* -- Programs -- */

static bool
is_program(const char *folder, const char *name, char *out, size_t cap)
{
	return put(out, cap, "%s/%s", folder, name) && access(out, X_OK) == 0;
}

bool
program_find_other(const char *name, char *out, size_t cap)
{
	static const char *const folders[] = { "/usr/bin", "/usr/sbin",
		"/usr/local/bin", "/usr/local/sbin", "/usr/libexec/p11-kit",
		"/usr/lib/p11-kit" };

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		if (is_program(folders[i], name, out, cap))
			return true;
	return false;
}

static const char *
find_softhsm(void)
{
	static const char *const paths[] = { "/usr/lib/softhsm/libsofthsm2.so",
		"/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
		"/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
		"/usr/lib64/softhsm/libsofthsm2.so",
		"/usr/lib64/pkcs11/libsofthsm2.so",
		"/usr/local/lib/softhsm/libsofthsm2.so" };

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (access(paths[i], R_OK) == 0)
			return paths[i];
	return NULL;
}

/* -- Tokens -- */

/* By a process of its own: this one never loads the module. */
bool
token_make(const struct place *p, const char *name, struct token *token)
{
	const char *const argv[] = { "token", p->softhsm, NULL };
	const char *const environment[] = { "SOFTHSM2_CONF", token->conf,
		NULL };
	char folder[PATH_ROOM], text[PATH_ROOM * 2], log[PATH_ROOM + 16];
	struct child child;

	if (!put(folder, sizeof(folder), "%s/%s.token", p->dir, name) ||
	    !put(
		token->conf, sizeof(token->conf), "%s/%s.conf", p->dir, name) ||
	    !put(log, sizeof(log), "%s/token.log", p->dir) ||
	    !put(text, sizeof(text),
		"directories.tokendir = %s\nobjectstore.backend = file\n"
		"log.level = ERROR\n",
		folder) ||
	    mkdir(folder, 0700) != 0 || !write_text(token->conf, text))
		return false;
	return child_start_role(&child, argv,
		   &(struct child_options){
		       .log = log, .environment = environment }) &&
	    child_wait(&child) == 0;
}

/* -- The daemon -- */

/* What the bench does is allowed by rules of its own; as many others as a
 * large installation has stand beside them. */
static bool
write_policy(const char *dir, unsigned rules)
{
	char path[PATH_ROOM * 2];
	FILE *f;
	bool ok;

	if (!put(path, sizeof(path), "%s/policy.d", dir) ||
	    mkdir(path, 0700) != 0 ||
	    !put(path, sizeof(path), "%s/policy.d/bench.hcl", dir))
		return false;
	f = fopen(path, "w");
	if (f == NULL)
		return false;
	for (unsigned i = 0; i < rules; i++)
		(void)fprintf(f,
		    "path \"transit/%s/app-%u%s\" { capabilities = "
		    "[\"update\"] }\n",
		    i % 2 == 0 ? "encrypt" : "sign", i, i % 3 == 0 ? "-*" : "");
	(void)fprintf(f,
	    "path \"transit/+/bench-*\" { capabilities = [\"update\"] }\n"
	    "path \"transit/keys/*\" { capabilities = [\"create\", \"read\", "
	    "\"update\", \"list\"] }\n"
	    "path \"transit/datakey/+/bench-*\" { capabilities = [\"update\"] }\n"
	    "path \"sys/*\" { capabilities = [\"read\", \"list\"] }\n"
	    "bind { subjects = [\"uid:%u\"] }\n",
	    (unsigned)getuid());
	ok = ferror(f) == 0;
	return fclose(f) == 0 && ok;
}

static bool
write_config(const struct place *p, const struct service *s,
    const struct service_settings *settings)
{
	char path[PATH_ROOM * 2], text[2048];

	return put(path, sizeof(path), "%s/pin", s->dir) &&
	    write_text(path, BENCH_PIN "\n") && chmod(path, 0600) == 0 &&
	    put(text, sizeof(text),
		"socket = \"keyd.sock\"\nstate_dir = \"state\"\n"
		"policy_dir = \"policy.d\"\nevents = \"ipc://events.sock\"\n"
		"log_level = \"warning\"\n%s\n"
		"hsm {\n  uri = \"pkcs11:token=" BENCH_LABEL
		"?module-path=%s\"\n  pin = \"file:pin\"\n  process = \"%s\"\n}\n"
		"audit {\n  file = \"audit.log\"\n"
		"  public_key = \"audit.pub\"\n}\n",
		settings->lines == NULL ? "" : settings->lines, p->softhsm,
		settings->inside ? "inside" : "worker") &&
	    write_text(s->config, text);
}

static bool
make_files(const struct place *p, const struct service_settings *settings,
    struct service *s)
{
	return put(s->dir, sizeof(s->dir), "%s/%s", p->dir, settings->name) &&
	    put(s->socket, sizeof(s->socket), "%s/keyd.sock", s->dir) &&
	    put(s->config, sizeof(s->config), "%s/keyd.conf", s->dir) &&
	    mkdir(s->dir, 0700) == 0 &&
	    token_make(p, settings->name, &s->token) &&
	    write_policy(s->dir, settings->rules) &&
	    write_config(p, s, settings);
}

/* Runs holdfast-keyd with its configuration, and `mode`. */
static bool
run_keyd(struct service *s, const char *mode)
{
	char keyd[PATH_ROOM * 2], log[PATH_ROOM + 16];
	const char *const argv[] = { keyd, "--config", s->config, mode, NULL };
	const char *const environment[] = { "SOFTHSM2_CONF", s->token.conf,
		NULL };

	(void)put(log, sizeof(log), "%s/keyd.log", s->dir);
	if (!program_find("holdfast-keyd", keyd, sizeof(keyd)))
		return fail("there is no holdfast-keyd beside this program");
	return child_start(&s->child, argv,
	    &(struct child_options){ .log = log, .environment = environment });
}

bool
service_prepare(struct place *p, const struct service_settings *settings,
    struct service *out)
{
	*out = (struct service){ .child = { .to = -1, .from = -1 } };
	if (!make_files(p, settings, out))
		return fail("a service cannot be made in %s: %s", p->dir,
		    strerror(errno));
	if (!run_keyd(out, "--init") || child_wait(&out->child) != 0)
		return fail("the token of %s cannot be initialised", out->dir);
	return true;
}

bool
service_run(struct service *s)
{
	struct hf_why why;

	if (!run_keyd(s, NULL) || !wire_listens(&s->child, s->socket, false))
		return fail("the daemon of %s does not start", s->dir);
	if (hf_connect(s->socket, REPLY_MS, &s->client, &why) != HF_OK)
		return fail("%s", why.text);
	return true;
}

bool
service_start(struct place *p, const struct service_settings *settings,
    struct service *out)
{
	return service_prepare(p, settings, out) && service_run(out);
}

void
service_stop(struct service *s)
{
	hf_close(s->client);
	s->client = NULL;
	child_stop(&s->child);
}

bool
service_key(
    struct service *s, const char *name, const char *type, const char *level)
{
	struct hf_key_create_in in = { .name = hf_text_of(name),
		.type = hf_text_of(type),
		.level = hf_text_of(level) };
	struct hf_key_info out;
	struct hf_why why;

	if (hf_key_create(s->client, &in, &out, &why) == HF_OK)
		return true;
	return fail("the key %s cannot be made: %s", name, why.text);
}

/* -- The other servers -- */

static bool
start_p11_kit(struct place *p, const char *socket)
{
	struct token *token = &p->tokens[SERVER_P11_KIT];
	static const char uri[] = "pkcs11:token=" BENCH_LABEL;
	char program[PATH_ROOM];
	const char *const argv[] = { program, "server", "-f", "-n", socket,
		"--provider", p->softhsm, uri, NULL };
	const char *const environment[] = { "SOFTHSM2_CONF", token->conf,
		NULL };

	return program_find_other("p11-kit", program, sizeof(program)) &&
	    token_make(p, "p11-kit", token) &&
	    child_start(&p->servers[SERVER_P11_KIT], argv,
		&(struct child_options){ .environment = environment }) &&
	    wire_listens(&p->servers[SERVER_P11_KIT], socket, true);
}

static bool
start_server(struct place *p, enum server which)
{
	static const char *const roles[SERVERS] = { [SERVER_ECHO] = "echo",
		[SERVER_RAW] = "raw",
		[SERVER_NNG] = "nng" };
	const char *const argv[] = { roles[which], p->sockets[which], NULL };
	struct child *c = &p->servers[which];
	char log[PATH_ROOM + 16];

	if (which == SERVER_P11_KIT)
		return start_p11_kit(p, p->sockets[which]);
	(void)put(log, sizeof(log), "%s/servers.log", p->dir);
	return child_start_role(
		   c, argv, &(struct child_options){ .log = log }) &&
	    wire_listens(c, p->sockets[which], which == SERVER_RAW);
}

const char *
place_server(struct place *p, enum server which)
{
	static const char *const names[SERVERS] = { "echo", "raw", "nng",
		"p11-kit" };

	if (!p->tried[which]) {
		p->tried[which] = true;
		if (!put(p->sockets[which], sizeof(p->sockets[which]),
			"%s/%s.sock", p->dir, names[which]) ||
		    !start_server(p, which))
			child_stop(&p->servers[which]);
	}
	return p->servers[which].pid > 0 ? p->sockets[which] : NULL;
}

/* -- All of it -- */

static bool
make_keys(struct service *s)
{
	return service_key(s, "bench-aes", "aes256-gcm96", "wrapped") &&
	    service_key(s, "bench-p256", "ecdsa-p256", "wrapped") &&
	    service_key(s, "bench-rsa", "rsa-2048", "wrapped") &&
	    service_key(s, "bench-hsm-aes", "aes256-gcm96", "hsm") &&
	    service_key(s, "bench-hsm-p256", "ecdsa-p256", "hsm") &&
	    service_key(s, "bench-hsm-rsa", "rsa-2048", "hsm");
}

bool
place_open(struct place *p, const char *base)
{
	const char *tmp = getenv("TMPDIR");

	*p = (struct place){ .softhsm = find_softhsm() };
	if (p->softhsm == NULL)
		return fail("SoftHSM 2 is needed, as the HSM of the daemon "
			    "(Debian: apt install softhsm2)");
	if (base == NULL)
		base = tmp == NULL || *tmp == '\0' ? "/tmp" : tmp;
	if (!put(p->dir, sizeof(p->dir), "%s/holdfast-bench-XXXXXX", base) ||
	    strlen(base) > 60 || mkdtemp(p->dir) == NULL) {
		(void)fail("no folder can be made in %s", base);
		p->dir[0] = '\0';
		return false;
	}
	return service_start(p,
		   &(struct service_settings){ .name = "main", .rules = RULES },
		   &p->main) &&
	    make_keys(&p->main);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void
place_close(struct place *p)
{
	for (size_t i = 0; i < AGENTS; i++)
		child_stop(&p->agents[i]);
	tls_stop(p);
	service_stop(&p->idle);
	service_stop(&p->inside);
	service_stop(&p->few);
	service_stop(&p->many);
	service_stop(&p->busy);
	service_stop(&p->main);
	for (size_t i = 0; i < SERVERS; i++)
		child_stop(&p->servers[i]);
	if (p->dir[0] != '\0')
		(void)nftw(p->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
