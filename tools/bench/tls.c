/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cells that make TLS handshakes with nginx: with its key in a file, and with
 * its key behind our module. Both ends run on this machine.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "../../lib/fd.h"
#include "bench.h"
#include "crew.h"
#include "module.h"
#include "place.h"
#include "tls.h"

enum { TIMEOUT_S = 10, START_MS = 10000, STEP_MS = 20, DAYS = 86400 };

enum web_kind { WEB_EC_FILE, WEB_EC, WEB_RSA_FILE, WEB_RSA, WEBS };

struct web {
	struct child nginx[WEBS];
	bool tried[WEBS];
	uint16_t port[WEBS];
	SSL_CTX *ctx;
};

static const char *const names[WEBS] = { "ecdsa-file", "ecdsa", "rsa-file",
	"rsa" };

/* -- Keys and certificates -- */

static X509 *
self_signed(EVP_PKEY *key)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);

	if (X509_set_version(x, 2) == 1 &&
	    ASN1_INTEGER_set(X509_get_serialNumber(x), 1) == 1 &&
	    X509_gmtime_adj(X509_getm_notBefore(x), 0) != NULL &&
	    X509_gmtime_adj(X509_getm_notAfter(x), DAYS) != NULL &&
	    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
		(const unsigned char *)"bench", -1, -1, 0) == 1 &&
	    X509_set_issuer_name(x, name) == 1 &&
	    X509_set_pubkey(x, key) == 1 && X509_sign(x, key, EVP_sha256()) > 0)
		return x;
	X509_free(x);
	return NULL;
}

static bool
write_pem(const char *path, EVP_PKEY *key, X509 *x)
{
	FILE *f = fopen(path, "w");
	bool ok = f != NULL &&
	    (key == NULL ||
		PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1) &&
	    (x == NULL || PEM_write_X509(f, x) == 1);

	return f != NULL && fclose(f) == 0 && ok;
}

static bool
make_files(const char *dir, bool rsa)
{
	char key_path[PATH_ROOM * 3], cert_path[PATH_ROOM * 3];
	EVP_PKEY *key = rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
	X509 *x = key == NULL ? NULL : self_signed(key);
	bool ok;

	(void)snprintf(key_path, sizeof(key_path), "%s/key.pem", dir);
	(void)snprintf(cert_path, sizeof(cert_path), "%s/cert.pem", dir);
	ok = x != NULL && write_pem(key_path, key, NULL) &&
	    write_pem(cert_path, NULL, x);
	X509_free(x);
	EVP_PKEY_free(key);
	return ok;
}

/* The service signs the certificate of its own key. */
static bool
certify(struct service *s, const char *dir, const char *key)
{
	struct hf_key_self_sign_in in = { .name = hf_text_of(key),
		.subject = hf_text_of("CN=bench") };
	struct hf_key_info out;
	struct hf_why why;
	struct hf_text pem;
	char path[PATH_ROOM * 3];
	FILE *f;

	if (hf_key_self_sign(s->client, &in, &out, &why) != HF_OK ||
	    out.keys_count == 0) {
		(void)fprintf(stderr, "holdfast-bench: %s\n", why.text);
		return false;
	}
	pem = out.keys[out.keys_count - 1].certificate_chain;
	(void)snprintf(path, sizeof(path), "%s/cert.pem", dir);
	f = fopen(path, "w");
	if (f == NULL)
		return false;

	bool ok = fwrite(pem.ptr, 1, pem.len, f) == pem.len;

	return fclose(f) == 0 && ok;
}

/* -- nginx -- */

static bool
has_engine(void)
{
	static const char *const paths[] = {
		"/usr/lib/x86_64-linux-gnu/engines-3/pkcs11.so",
		"/usr/lib/aarch64-linux-gnu/engines-3/pkcs11.so",
		"/usr/lib64/engines-3/pkcs11.so",
	};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (access(paths[i], R_OK) == 0)
			return true;
	return false;
}

static uint16_t
free_port(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return 0;
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &len) != 0)
		at.sin_port = 0;
	(void)close(fd);
	return ntohs(at.sin_port);
}

static bool
write_config(const char *dir, const char *key, bool engine, uint16_t port,
    unsigned workers)
{
	char path[PATH_ROOM * 3];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/nginx.conf", dir);
	f = fopen(path, "w");
	if (f == NULL)
		return false;
	/* Only root can, and need, say who the workers are. */
	if (getuid() == 0)
		(void)fputs("user root;\n", f);
	(void)fprintf(f,
	    "daemon off;\nworker_processes %u;\npid nginx.pid;\n"
	    "error_log error.log;\n%s"
	    "env PKCS11_MODULE_PATH;\nenv HOLDFAST_SOCKET;\n"
	    "env HOLDFAST_PKCS11_CONFIG;\n"
	    "events { worker_connections 1024; }\n"
	    "http {\n  access_log off;\n"
	    "  client_body_temp_path b; proxy_temp_path p;\n"
	    "  fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;\n"
	    "  server {\n    listen 127.0.0.1:%u ssl backlog=1024;\n"
	    "    ssl_protocols TLSv1.3;\n"
	    "    ssl_session_tickets off;\n    ssl_session_cache off;\n"
	    "    ssl_certificate cert.pem;\n"
	    "    ssl_certificate_key \"%s\";\n"
	    "    location / { return 204; }\n  }\n}\n",
	    workers, engine ? "ssl_engine pkcs11;\n" : "", port, key);
	return fclose(f) == 0;
}

static int
dial(uint16_t port)
{
	const struct timeval limit = { .tv_sec = TIMEOUT_S };
	/* Resets the connection at the end: the ports of thousands of closed
	 * ones would have to be waited for. */
	const struct linger reset = { .l_onoff = 1 };
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	(void)close(fd);
	return -1;
}

static bool
wait_for_port(const struct child *c, uint16_t port)
{
	for (int ms = 0; ms < START_MS && child_runs(c); ms += STEP_MS) {
		int fd = dial(port);

		if (fd >= 0) {
			(void)close(fd);
			return true;
		}
		(void)usleep(STEP_MS * 1000);
	}
	return false;
}

static bool
start(struct bench *b, struct web *web, enum web_kind kind)
{
	struct place *p = b->place;
	bool file = kind == WEB_EC_FILE || kind == WEB_RSA_FILE;
	bool rsa = kind == WEB_RSA_FILE || kind == WEB_RSA;
	const char *object = rsa ? "bench-rsa" : "bench-p256";
	char dir[PATH_ROOM * 2], uri[128], program[PATH_ROOM];
	char module[PATH_ROOM * 2];
	const char *const argv[] = { program, "-p", dir, "-c", "nginx.conf",
		NULL };
	const char *const environment[] = { "PKCS11_MODULE_PATH", module,
		"HOLDFAST_SOCKET", p->main.socket, "HOLDFAST_PKCS11_CONFIG",
		"/dev/null", NULL };

	(void)snprintf(dir, sizeof(dir), "%s/%s", p->dir, names[kind]);
	(void)snprintf(uri, sizeof(uri),
	    "engine:pkcs11:pkcs11:token=%s;object=%s;type=private", BENCH_LABEL,
	    object);
	web->port[kind] = free_port();
	if (!module_ours(module, sizeof(module)) ||
	    !program_find_other("nginx", program, sizeof(program)) ||
	    mkdir(dir, 0700) != 0 ||
	    !(file ? make_files(dir, rsa) : certify(&p->main, dir, object)) ||
	    !write_config(dir, file ? "key.pem" : uri, !file, web->port[kind],
		b->cores) ||
	    !child_start(&web->nginx[kind], argv,
		&(struct child_options){ .environment = environment }))
		return false;
	if (wait_for_port(&web->nginx[kind], web->port[kind]))
		return true;
	child_stop(&web->nginx[kind]);
	return false;
}

/* -- The load -- */

struct load {
	SSL_CTX *ctx;
	uint16_t port;
};

/* Complete when the server has proved that it has the key. */
static bool
handshake(const struct load *load)
{
	int fd = dial(load->port);
	SSL *ssl = fd < 0 ? NULL : SSL_new(load->ctx);
	bool done =
	    ssl != NULL && SSL_set_fd(ssl, fd) == 1 && SSL_connect(ssl) == 1;

	SSL_free(ssl);
	fd_close(fd);
	return done;
}

static void
handshake_member(struct crew_member *m)
{
	crew_begin(m);
	while (!m->failed && clock_ns() < m->deadline) {
		uint64_t began = clock_ns();

		m->failed = !handshake(m->job);
		histogram_add(m->latency, clock_ns() - began);
		m->done++;
	}
	m->ended = clock_ns();
}

static struct web *
web_of(struct place *p)
{
	if (p->web == NULL) {
		p->web = calloc(1, sizeof(*p->web));
		if (p->web != NULL)
			p->web->ctx = SSL_CTX_new(TLS_client_method());
	}
	return p->web;
}

enum cell_state
tls_handshakes(struct bench *b, const struct work *work, struct sample *out)
{
	struct web *web = web_of(b->place);
	char program[PATH_ROOM];
	struct crew_result r;
	enum web_kind kind = WEB_EC_FILE;

	while (kind < WEBS && strcmp(names[kind], work->what) != 0)
		kind++;
	if (!program_find_other("nginx", program, sizeof(program)) ||
	    !has_engine())
		return CELL_NOT_INSTALLED;
	if (web == NULL || kind == WEBS)
		return CELL_FAILED;
	if (!web->tried[kind]) {
		web->tried[kind] = true;
		if (!start(b, web, kind))
			return CELL_FAILED;
	}

	struct load load = { web->ctx, web->port[kind] };

	if (!crew_run(
		handshake_member, &load, work->threads, b->seconds, 0, &r))
		return CELL_FAILED;
	*out = crew_sample(&r, 1);
	out->cpu = 0; /* ours is the client's */
	return CELL_MEASURED;
}

void
tls_stop(struct place *p)
{
	for (size_t i = 0; p->web != NULL && i < WEBS; i++)
		child_stop(&p->web->nginx[i]);
	if (p->web != NULL)
		SSL_CTX_free(p->web->ctx);
	free(p->web);
	p->web = NULL;
}
