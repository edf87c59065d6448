/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/crypto_memory.h"
#include "transport_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <nng/supplemental/tls/tls.h>

/* -- Certificates -- */

struct issuer {
	X509 *cert;
	EVP_PKEY *key;
};

static void
add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *ext;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(ext);
	assert_int_equal(X509_add_ext(cert, ext, -1), 1);
	X509_EXTENSION_free(ext);
}

static FILE *
create(const struct fixture *f, const char *name, const char *end)
{
	char path[200];
	FILE *out;

	(void)snprintf(path, sizeof(path), "%s/%s.%s", f->folder, name, end);
	out = fopen(path, "w");
	assert_non_null(out);
	assert_int_equal(fchmod(fileno(out), 0600), 0);
	return out;
}

static void
save(const struct fixture *f, const char *name, X509 *cert, EVP_PKEY *key)
{
	FILE *out = create(f, name, "pem");

	assert_int_equal(PEM_write_X509(out, cert), 1);
	(void)fclose(out);
	out = create(f, name, "key");
	assert_int_equal(
	    PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL), 1);
	(void)fclose(out);
}

/* A P-256 certificate for a day; `by` NULL: a CA that signs itself. */
static struct issuer
issue(const struct fixture *f, const struct issuer *by, const char *file,
    const char *common_name, const char *san, const char *usage)
{
	static long serial = 1;
	struct issuer made = { X509_new(), EVP_EC_gen("P-256") };
	X509_NAME *name = X509_get_subject_name(made.cert);
	X509 *issuer = by == NULL ? made.cert : by->cert;

	assert_int_equal(X509_set_version(made.cert, 2), 1);
	(void)ASN1_INTEGER_set(X509_get_serialNumber(made.cert), serial++);
	(void)X509_gmtime_adj(X509_getm_notBefore(made.cert), -3600);
	(void)X509_gmtime_adj(X509_getm_notAfter(made.cert), 86400);
	(void)X509_NAME_add_entry_by_txt(
	    name, "O", MBSTRING_ASC, (const unsigned char *)"Tests", -1, -1, 0);
	if (common_name != NULL)
		(void)X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
		    (const unsigned char *)common_name, -1, -1, 0);
	(void)X509_set_issuer_name(made.cert, X509_get_subject_name(issuer));
	(void)X509_set_pubkey(made.cert, made.key);
	add_extension(made.cert, issuer, NID_basic_constraints,
	    by == NULL ? "critical,CA:TRUE" : "CA:FALSE");
	if (san != NULL)
		add_extension(made.cert, issuer, NID_subject_alt_name, san);
	if (usage != NULL)
		add_extension(made.cert, issuer, NID_ext_key_usage, usage);
	assert_true(X509_sign(made.cert, by == NULL ? made.key : by->key,
			EVP_sha256()) > 0);
	save(f, file, made.cert, made.key);
	return made;
}

static void
drop(struct issuer made)
{
	X509_free(made.cert);
	EVP_PKEY_free(made.key);
}

struct files {
	char certificate[100], key[100], ca[100], address[40];
	in_addr_t from; /* where clients come from; 0: wherever */
	struct transport_tls tls;
};

static void
make_certificates(const struct fixture *f)
{
	struct issuer ca = issue(f, NULL, "ca", "Test CA", NULL, NULL);
	struct issuer other =
	    issue(f, NULL, "stranger-ca", "Other CA", NULL, NULL);

	drop(issue(f, &ca, "server", "localhost", "DNS:localhost,IP:127.0.0.1",
	    "serverAuth"));
	drop(issue(f, &ca, "client", "web1", NULL, "clientAuth"));
	drop(issue(f, &ca, "san", NULL, "DNS:mail.example,URI:spiffe://x/y",
	    "clientAuth"));
	drop(issue(f, &ca, "other", "evil\nname", NULL, "clientAuth"));
	drop(issue(f, &other, "stranger", "web1", NULL, "clientAuth"));
	drop(ca);
	drop(other);
}

/* A port that was free a moment ago. */
static unsigned
free_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	(void)close(fd);
	return ntohs(a.sin_port);
}

static struct files *
tls_settings(struct fixture *f)
{
	static struct files files;
	const struct transport_tls *tls = &files.tls;

	make_certificates(f);
	(void)snprintf(files.certificate, sizeof(files.certificate),
	    "%s/server.pem", f->folder);
	(void)snprintf(
	    files.key, sizeof(files.key), "%s/server.key", f->folder);
	(void)snprintf(files.ca, sizeof(files.ca), "%s/ca.pem", f->folder);
	(void)snprintf(
	    files.address, sizeof(files.address), "127.0.0.1:%u", free_port());
	files.tls = (struct transport_tls){ .address = files.address,
		.certificate = files.certificate,
		.key = files.key,
		.client_ca = files.ca };
	f->settings.tls = tls;
	f->settings.tls_count = 1;
	return &files;
}

/* -- A client by OpenSSL -- */

struct client {
	SSL_CTX *ctx;
	SSL *ssl;
	int fd;
};

/* `name` NULL: without a certificate. */
static struct client
tls_dial(const struct fixture *f, const struct files *files, const char *name,
    int version)
{
	const struct timeval patience = { .tv_sec = 10 };
	struct sockaddr_in a = { .sin_family = AF_INET };
	struct client c = { .ctx = SSL_CTX_new(TLS_client_method()) };
	char path[200];

	assert_int_equal(SSL_CTX_load_verify_file(c.ctx, files->ca), 1);
	SSL_CTX_set_verify(c.ctx, SSL_VERIFY_PEER, NULL);
	(void)SSL_CTX_set_min_proto_version(c.ctx, version);
	(void)SSL_CTX_set_max_proto_version(c.ctx, version);
	if (name != NULL) {
		(void)snprintf(
		    path, sizeof(path), "%s/%s.pem", f->folder, name);
		assert_int_equal(
		    SSL_CTX_use_certificate_file(c.ctx, path, SSL_FILETYPE_PEM),
		    1);
		(void)snprintf(
		    path, sizeof(path), "%s/%s.key", f->folder, name);
		assert_int_equal(
		    SSL_CTX_use_PrivateKey_file(c.ctx, path, SSL_FILETYPE_PEM),
		    1);
	}
	a.sin_port = htons((uint16_t)atoi(strchr(files->address, ':') + 1));
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (files->from != 0) {
		const struct sockaddr_in from = { .sin_family = AF_INET,
			.sin_addr.s_addr = htonl(files->from) };

		assert_int_equal(
		    bind(c.fd, (const struct sockaddr *)&from, sizeof(from)),
		    0);
	}
	assert_int_equal(connect(c.fd, (struct sockaddr *)&a, sizeof(a)), 0);
	(void)setsockopt(
	    c.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	c.ssl = SSL_new(c.ctx);
	(void)SSL_set_fd(c.ssl, c.fd);
	(void)SSL_set1_host(c.ssl, "localhost");
	return c;
}

static void
tls_close(struct client c)
{
	SSL_free(c.ssl);
	SSL_CTX_free(c.ctx);
	(void)close(c.fd);
	ERR_clear_error();
}

/*
 * Whether the daemon lets it in. In TLS 1.3 a client is done before the server
 * has seen its certificate, so only the SP hello proves it.
 */
static bool
tls_greet(struct client *c)
{
	uint8_t hello[FRAME_HELLO];

	if (SSL_connect(c->ssl) != 1)
		return false;
	frame_hello(FRAME_REQ, hello);
	if (SSL_write(c->ssl, hello, FRAME_HELLO) != FRAME_HELLO ||
	    SSL_read(c->ssl, hello, FRAME_HELLO) != FRAME_HELLO)
		return false;
	return frame_hello_ok(FRAME_REP, hello);
}

static bool
is_let_in(const struct fixture *f, const struct files *files, const char *name,
    int version)
{
	struct client c = tls_dial(f, files, name, version);
	bool in = tls_greet(&c);

	tls_close(c);
	return in;
}

static void
tls_read_all(struct client *c, uint8_t *buf, size_t len)
{
	while (len > 0) {
		int n = SSL_read(c->ssl, buf, (int)len);

		assert_true(n > 0);
		buf += n;
		len -= (size_t)n;
	}
}

static void
tls_ask(struct client *c, const uint8_t *body, size_t len)
{
	uint8_t *frame = malloc(12 + len);

	assert_non_null(frame);
	frame_header(FRAME_STREAM, FRAME_ID + len, frame);
	put_u32(frame + 8, 0x80000005U);
	memcpy(frame + 12, body, len);
	assert_int_equal(SSL_write(c->ssl, frame, (int)len + 12), len + 12);
	free(frame);
}

static struct reply
tls_hear(struct client *c)
{
	uint8_t head[12];
	struct reply r;

	tls_read_all(c, head, sizeof(head));
	r.len = (size_t)get_u64(head) - FRAME_ID;
	r.id = get_u32(head + 8) & 0x7fffffffU;
	r.body = malloc(r.len + 1);
	assert_non_null(r.body);
	tls_read_all(c, r.body, r.len);
	r.body[r.len] = '\0';
	return r;
}

static void
assert_identity(const struct fixture *f, const struct files *files,
    const char *name, const char *label)
{
	struct client c = tls_dial(f, files, name, TLS1_3_VERSION);
	struct reply r;

	assert_true(tls_greet(&c));
	tls_ask(&c, (const uint8_t *)"who", 3);
	r = tls_hear(&c);
	assert_non_null(strstr((char *)r.body, label));
	free(r.body);
	tls_close(c);
}

/* -- The tests -- */

/* CVE-2026-39388. */
static void
identifies_a_client_by_its_certificate(void **state)
{
	struct fixture *f = *state;
	struct files *files = tls_settings(f);

	start(f);
	assert_identity(
	    f, files, "client", "cert=web1 CN=web1,O=Tests at 127.0.0.1:");
	assert_identity(f, files, "san", "cert=mail.example O=Tests at ");
}

static void
refuses_a_client_without_a_certificate(void **state)
{
	struct fixture *f = *state;
	struct files *files = tls_settings(f);

	files->tls.allow_tls12 = true;
	start(f);
	assert_false(is_let_in(f, files, NULL, TLS1_3_VERSION));
	assert_false(is_let_in(f, files, NULL, TLS1_2_VERSION));
	wait_until(stats(f).refused == 2);
}

static void
refuses_a_certificate_that_does_not_serve(void **state)
{
	struct fixture *f = *state;
	struct files *files = tls_settings(f);

	start(f);
	assert_false(is_let_in(f, files, "stranger", TLS1_3_VERSION));
	assert_false(is_let_in(f, files, "server", TLS1_3_VERSION));
	assert_false(is_let_in(f, files, "other", TLS1_3_VERSION));
	assert_true(is_let_in(f, files, "client", TLS1_3_VERSION));
	assert_int_equal(atomic_load(&seen.runs), 0);
}

static void
speaks_tls_12_only_where_it_is_allowed(void **state)
{
	struct fixture *f = *state;
	struct files *files = tls_settings(f);

	start(f);
	assert_false(is_let_in(f, files, "client", TLS1_2_VERSION));
	assert_true(is_let_in(f, files, "client", TLS1_3_VERSION));
	transport_close(f->transport);
	files->tls.allow_tls12 = true;
	start(f);
	assert_true(is_let_in(f, files, "client", TLS1_2_VERSION));
	assert_false(is_let_in(f, files, "client", TLS1_1_VERSION));
}

static void
carries_large_messages_and_deferred_ones(void **state)
{
	struct fixture *f = *state;
	struct files *files = tls_settings(f);
	static const size_t sizes[] = { 0, 1, 16384, 65536, 3000000 };
	uint8_t *body = calloc(1, 3000000);
	struct client c;

	assert_non_null(body);
	start(f);
	c = tls_dial(f, files, "client", TLS1_3_VERSION);
	assert_true(tls_greet(&c));
	for (int deferred = 0; deferred < 2; deferred++)
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			struct reply r;

			memcpy(body, deferred ? "defer" : "equal", 5);
			tls_ask(&c, body, sizes[i]);
			r = tls_hear(&c);
			assert_int_equal(r.id, 5);
			assert_int_equal(r.len, sizes[i]);
			assert_memory_equal(r.body, body, r.len);
			free(r.body);
		}
	tls_close(c);
	free(body);
	wait_until(stats(f).connections == 0);
}

static void
answers_all_of_a_pipeline(void **state)
{
	struct fixture *f = *state;
	struct files *files = tls_settings(f);
	uint8_t frames[300 * 20];
	size_t len = 0;
	struct client c;

	start(f);
	c = tls_dial(f, files, "client", TLS1_3_VERSION);
	assert_true(tls_greet(&c));
	for (uint32_t i = 0; i < 300; i++) {
		frame_header(FRAME_STREAM, FRAME_ID + 3, frames + len);
		put_u32(frames + len + 8, i | 0x80000000U);
		memcpy(frames + len + 12, "abc", 3);
		len += 15;
	}
	assert_int_equal(SSL_write(c.ssl, frames, (int)len), len);
	for (uint32_t i = 0; i < 300; i++) {
		struct reply r = tls_hear(&c);

		assert_string_equal((char *)r.body, "abc");
		free(r.body);
	}
	tls_close(c);
}

static void
a_client_that_never_reads_delays_nobody(void **state)
{
	struct fixture *f = *state;
	struct files *files = tls_settings(f);
	struct client deaf, c;

	f->settings.io_threads = 1;
	f->settings.limits.send_ms = 1000;
	start(f);
	deaf = tls_dial(f, files, "client", TLS1_3_VERSION);
	assert_true(tls_greet(&deaf));
	for (int i = 0; i < 200; i++)
		tls_ask(&deaf, (const uint8_t *)"large:100000", 12);
	c = tls_dial(f, files, "san", TLS1_3_VERSION);
	assert_true(tls_greet(&c));
	for (int i = 0; i < 50; i++) {
		struct reply r;

		tls_ask(&c, (const uint8_t *)"quick", 5);
		r = tls_hear(&c);
		assert_string_equal((char *)r.body, "quick");
		free(r.body);
	}
	wait_until(stats(f).connections == 1);
	assert_int_equal(stats(f).timeouts, 1);
	tls_close(c);
	tls_close(deaf);
}

static void
hangs_up_on_a_silent_handshake(void **state)
{
	struct fixture *f = *state;
	struct files *files = tls_settings(f);
	struct client c;
	char byte;

	f->settings.limits.handshake_ms = 200;
	start(f);
	c = tls_dial(f, files, "client", TLS1_3_VERSION);
	assert_int_equal(recv(c.fd, &byte, 1, 0), 0);
	assert_int_equal(stats(f).timeouts, 1);
	tls_close(c);
}

static void
counts_the_connections_of_a_certificate(void **state)
{
	struct fixture *f = *state;
	struct files *files = tls_settings(f);
	struct client c[2];

	f->settings.limits.connections_uid = 2;
	start(f);
	for (size_t i = 0; i < 2; i++) {
		c[i] = tls_dial(f, files, "client", TLS1_3_VERSION);
		assert_true(tls_greet(&c[i]));
	}
	assert_false(is_let_in(f, files, "client", TLS1_3_VERSION));
	assert_true(is_let_in(f, files, "san", TLS1_3_VERSION));
	tls_close(c[0]);
	tls_close(c[1]);
}

/* One machine without a certificate; another one comes in all the same. */
static void
strangers_do_not_shut_the_door(void **state)
{
	enum { PLACES = 40 };
	struct fixture *f = *state;
	struct files *files = tls_settings(f);
	struct client silent[PLACES];

	f->settings.limits.connections_uid = PLACES;
	start(f);
	for (size_t i = 0; i < PLACES; i++)
		silent[i] = tls_dial(f, files, NULL, TLS1_3_VERSION);
	wait_until(stats(f).accepted + stats(f).refused >= PLACES);
	assert_false(is_let_in(f, files, "client", TLS1_3_VERSION));
	files->from = INADDR_LOOPBACK + 1;
	assert_true(is_let_in(f, files, "client", TLS1_3_VERSION));
	for (size_t i = 0; i < PLACES; i++)
		tls_close(silent[i]);
}

/* Nobody knows yet who it is: what it says must not be kept without bound. The
 * first 100,000 bytes of a hello of 128 KiB, in records of 16. */
static void
keeps_no_long_hello_of_a_stranger(void **state)
{
	static const uint8_t record[] = { 22, 3, 1, 0x40, 0 };
	static const uint8_t hello[] = { 1, 2, 0, 0 };
	struct fixture *f = *state;
	struct files *files = tls_settings(f);
	uint8_t sent[5 + 16384] = { 0 };
	struct client c;
	ssize_t n;

	f->settings.limits.handshake_ms = 60000;
	start(f);
	c = tls_dial(f, files, NULL, TLS1_3_VERSION);
	memcpy(sent, record, sizeof(record));
	memcpy(sent + sizeof(record), hello, sizeof(hello));
	for (int i = 0; i < 6; i++) {
		if (send(c.fd, sent, sizeof(sent), MSG_NOSIGNAL) < 0)
			break; /* it hung up already */
		memset(sent + sizeof(record), 0, sizeof(hello));
	}
	/* An alert may come first. */
	while ((n = recv(c.fd, sent, sizeof(sent), 0)) > 0)
		;
	assert_true(n == 0 || errno == ECONNRESET);
	tls_close(c);
	assert_true(is_let_in(f, files, "client", TLS1_3_VERSION));
}

/* -- libnng, which Debian builds with mbed TLS and so with TLS 1.2 -- */

static char *
slurp(const struct fixture *f, const char *name)
{
	char path[200];
	char *text = calloc(1, 10000);
	FILE *in;

	(void)snprintf(path, sizeof(path), "%s/%s", f->folder, name);
	in = fopen(path, "r");
	assert_non_null(in);
	assert_non_null(text);
	assert_true(fread(text, 1, 9999, in) > 0);
	(void)fclose(in);
	return text;
}

static nng_tls_config *
nng_config(const struct fixture *f)
{
	char *ca = slurp(f, "ca.pem");
	char *cert = slurp(f, "client.pem");
	char *key = slurp(f, "client.key");
	nng_tls_config *config;

	assert_int_equal(nng_tls_config_alloc(&config, NNG_TLS_MODE_CLIENT), 0);
	assert_int_equal(nng_tls_config_ca_chain(config, ca, NULL), 0);
	assert_int_equal(nng_tls_config_own_cert(config, cert, key, NULL), 0);
	assert_int_equal(nng_tls_config_server_name(config, "localhost"), 0);
	assert_int_equal(
	    nng_tls_config_auth_mode(config, NNG_TLS_AUTH_MODE_REQUIRED), 0);
	free(ca);
	free(cert);
	free(key);
	return config;
}

/* What dialling came to; 0: connected, and a request was answered. */
static int
nng_talk(const struct fixture *f, const struct files *files)
{
	nng_tls_config *config = nng_config(f);
	char url[80], buf[16] = "";
	size_t len = sizeof(buf);
	nng_socket req;
	nng_dialer dialer;
	int rv;

	(void)snprintf(url, sizeof(url), "tls+tcp://%s", files->address);
	assert_int_equal(nng_req0_open(&req), 0);
	(void)nng_socket_set_ms(req, NNG_OPT_RECVTIMEO, 5000);
	assert_int_equal(nng_dialer_create(&dialer, req, url), 0);
	assert_int_equal(
	    nng_dialer_set_ptr(dialer, NNG_OPT_TLS_CONFIG, config), 0);
	rv = nng_dialer_start(dialer, 0);
	if (rv == 0)
		rv = nng_send(req, (void *)(uintptr_t) "defer nng", 9, 0);
	if (rv == 0)
		rv = nng_recv(req, buf, &len, 0);
	if (rv == 0)
		assert_memory_equal(buf, "defer nng", 9);
	(void)nng_close(req);
	nng_tls_config_free(config);
	return rv;
}

static void
serves_libnng_where_tls_12_is_allowed(void **state)
{
	struct fixture *f = *state;
	struct files *files = tls_settings(f);

	start(f);
	assert_int_not_equal(nng_talk(f, files), 0);
	transport_close(f->transport);
	files->tls.allow_tls12 = true;
	start(f);
	assert_int_equal(nng_talk(f, files), 0);
}

/* -- Settings -- */

static void
assert_refused_settings(struct fixture *f, const char *word)
{
	struct hf_why why = { "" };

	assert_int_equal(
	    transport_open(&f->settings, NULL, &f->transport, &why),
	    HF_ERR_BAD_SETTINGS);
	assert_non_null(strstr(why.text, word));
}

static void
refuses_files_that_do_not_serve(void **state)
{
	struct fixture *f = *state;
	struct files *files = tls_settings(f);
	const struct transport_tls good = files->tls;

	files->tls.certificate = files->key;
	assert_refused_settings(f, "server.key");
	files->tls = good;
	files->tls.key = "/nonexistent";
	assert_refused_settings(f, "/nonexistent");
	files->tls = good;
	files->tls.client_ca = files->key;
	assert_refused_settings(f, "server.key");
	files->tls = good;
	(void)snprintf(files->certificate, sizeof(files->certificate),
	    "%s/client.pem", f->folder); /* another key's */
	assert_refused_settings(f, "fits");
}

static void
refuses_a_key_that_others_may_read(void **state)
{
	struct fixture *f = *state;
	struct files *files = tls_settings(f);

	assert_int_equal(chmod(files->key, 0644), 0);
	assert_refused_settings(f, "chmod");
}

static void
refuses_addresses_that_are_none(void **state)
{
	static const char *const bad[] = { "", "7655", "127.0.0.1", "::1:7655",
		"[::1]", ":7655", "127.0.0.1:", "localhost:7655",
		"127.0.0.1:99999999", "[]:1" };
	struct fixture *f = *state;
	struct files *files = tls_settings(f);

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		files->tls.address = bad[i];
		assert_refused_settings(f, "");
	}
}

static void
listens_on_an_ipv6_address(void **state)
{
	struct fixture *f = *state;
	struct files *files = tls_settings(f);
	struct sockaddr_in6 a = { .sin6_family = AF_INET6,
		.sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unsigned port = free_port();

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0)
		skip(); /* a machine without IPv6 */
	(void)close(fd);
	(void)snprintf(
	    files->address, sizeof(files->address), "[::1]:%u", port);
	start(f);
	a.sin6_port = htons((uint16_t)port);
	fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	(void)close(fd);
	wait_until(stats(f).accepted == 1);
}

static void
refuses_a_port_that_is_taken(void **state)
{
	struct fixture *f = *state;
	struct transport *second = NULL;
	struct hf_why why = { "" };
	char socket[100];

	(void)tls_settings(f);
	start(f);
	(void)snprintf(socket, sizeof(socket), "%s.2", f->socket);
	f->settings.socket = socket;
	assert_int_equal(
	    transport_open(&f->settings, NULL, &second, &why), HF_ERR_SYSTEM);
	assert_non_null(strstr(why.text, f->settings.tls->address));
	assert_int_equal(access(socket, F_OK), -1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(identifies_a_client_by_its_certificate),
		TEST(refuses_a_client_without_a_certificate),
		TEST(refuses_a_certificate_that_does_not_serve),
		TEST(speaks_tls_12_only_where_it_is_allowed),
		TEST(carries_large_messages_and_deferred_ones),
		TEST(answers_all_of_a_pipeline),
		TEST(a_client_that_never_reads_delays_nobody),
		TEST(hangs_up_on_a_silent_handshake),
		TEST(counts_the_connections_of_a_certificate),
		TEST(strangers_do_not_shut_the_door),
		TEST(keeps_no_long_hello_of_a_stranger),
		TEST(serves_libnng_where_tls_12_is_allowed),
		TEST(refuses_files_that_do_not_serve),
		TEST(refuses_a_key_that_others_may_read),
		TEST(refuses_addresses_that_are_none),
		TEST(listens_on_an_ipv6_address),
		TEST(refuses_a_port_that_is_taken),
	};

	(void)signal(SIGPIPE, SIG_IGN); /* of the clients' own sockets */
	crypto_memory_use_malloc();
	if (crypto_memory_init(NULL) != HF_OK)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
