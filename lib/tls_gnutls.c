/* SPDX-License-Identifier: Apache-2.0 */
#include "tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

/*
 * The door to GnuTLS. Everything is given to it as memory: where it takes
 * names of files it takes pkcs11: URIs too, and would load the modules of
 * p11-kit, of which we may be one.
 */

enum { RECORD = 16384 };

/*
 * GnuTLS makes a random generator for each thread and puts it on a list under
 * a lock that no fork handler of its own looks after: a fork in that moment
 * leaves a child that hangs at its first handshake. So this happens under a
 * lock that forks wait for. The one state outside of sessions.
 */
static pthread_mutex_t generators = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool started;

struct tls_session {
	gnutls_session_t session;
	gnutls_certificate_credentials_t credentials;
	int fd;
	size_t held;     /* bytes of a record that is not fully sent */
	bool up;         /* the handshake is done */
	int error;       /* of GnuTLS, negative; what ended it */
	char *name;      /* the service's */
	char *own, *cas; /* names of files, for errors */
	/* What its certificate must be; GnuTLS keeps a pointer to it. */
	gnutls_typed_vdata_st expected[2];
};

/* -- Fork -- */

static void
generators_lock(void)
{
	(void)pthread_mutex_lock(&generators);
}

static void
generators_unlock(void)
{
	(void)pthread_mutex_unlock(&generators);
}

/*
 * GnuTLS is up when it is loaded, but for hosts that forbid it; and one more
 * reference keeps it so beyond its destructor, which may run before a host's
 * C_Finalize.
 */
static void
start(void)
{
	started = gnutls_global_init() >= 0 &&
	    pthread_atfork(
		generators_lock, generators_unlock, generators_unlock) == 0;
}

/* Makes the generator of this thread. */
static bool
generator_ready(void)
{
	static _Thread_local bool ready;
	uint8_t byte;

	if (ready)
		return true;
	(void)pthread_once(&once, start);
	generators_lock();
	ready =
	    started && gnutls_rnd(GNUTLS_RND_NONCE, &byte, sizeof(byte)) == 0;
	generators_unlock();
	return ready;
}

/* -- The socket -- */

/* In place of GnuTLS's own, which writes the keys of the session to the file
 * that $SSLKEYLOGFILE names. */
static int
keep_keys(
    gnutls_session_t session, const char *label, const gnutls_datum_t *secret)
{
	(void)session;
	(void)label;
	(void)secret;
	return 0;
}

/*
 * A connection that is closed swallows what we write: what the service said
 * before it closed it is still to be read, and GnuTLS reads nothing after a
 * failed write. Then reading fails as well.
 */
static ssize_t
push(gnutls_transport_ptr_t ptr, const void *buf, size_t len)
{
	struct tls_session *s = ptr;
	ssize_t n = send(s->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return (ssize_t)len;
	if (n < 0)
		gnutls_transport_set_errno(s->session, errno);
	return n;
}

static ssize_t
pull(gnutls_transport_ptr_t ptr, void *buf, size_t cap)
{
	struct tls_session *s = ptr;
	ssize_t n = recv(s->fd, buf, cap, MSG_DONTWAIT);

	if (n < 0)
		gnutls_transport_set_errno(s->session, errno);
	return n;
}

/* GnuTLS wants it beside a pull function; nothing of ours waits in it. */
static int
pull_ready(gnutls_transport_ptr_t ptr, unsigned ms)
{
	const struct tls_session *s = ptr;
	struct pollfd p = { .fd = s->fd, .events = POLLIN };

	(void)ms;
	return poll(&p, 1, 0);
}

/* What is no end is passed over: warnings, wishes to negotiate again. */
static enum tls_state
state_of(struct tls_session *s, int rc)
{
	if (!gnutls_error_is_fatal(rc))
		return gnutls_record_get_direction(s->session) == 1 ? TLS_WRITE
								    : TLS_READ;
	if (s->error == 0) /* later ones say only that it has ended */
		s->error = rc;
	return TLS_FAILED;
}

/* -- Credentials -- */

static gnutls_datum_t
datum_of(const struct tls_file *file)
{
	/* GnuTLS takes what it only reads without const. */
	union {
		const unsigned char *in;
		unsigned char *out;
	} ptr = { .in = file->pem.ptr };

	return (gnutls_datum_t){ ptr.out, (unsigned)file->pem.len };
}

static enum hf_err
load(gnutls_certificate_credentials_t to, const struct tls_settings *settings,
    struct hf_why *why)
{
	gnutls_datum_t ca = datum_of(&settings->ca);
	gnutls_datum_t certificate = datum_of(&settings->certificate);
	gnutls_datum_t key = datum_of(&settings->key);
	int rc;

	rc =
	    gnutls_certificate_set_x509_trust_mem(to, &ca, GNUTLS_X509_FMT_PEM);
	if (rc <= 0)
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "%s: no CA certificates: %s", settings->ca.name,
		    rc == 0 ? "none in it" : gnutls_strerror(rc));
	rc = gnutls_certificate_set_x509_key_mem2(
	    to, &certificate, &key, GNUTLS_X509_FMT_PEM, NULL, 0);
	if (rc == GNUTLS_E_CERTIFICATE_KEY_MISMATCH)
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "%s: not the key of the certificate in %s",
		    settings->key.name, settings->certificate.name);
	if (rc < 0)
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "%s and %s: not a certificate and its key, in PEM and not "
		    "encrypted: %s",
		    settings->certificate.name, settings->key.name,
		    gnutls_strerror(rc));
	return HF_OK;
}

/* -- Begin and end -- */

static void
tls_close(struct tls_session *s, bool goodbye)
{
	if (goodbye && s->up && s->error == 0)
		(void)gnutls_bye(s->session, GNUTLS_SHUT_WR);
	if (s->session != NULL)
		gnutls_deinit(s->session);
	if (s->credentials != NULL)
		gnutls_certificate_free_credentials(s->credentials);
	free(s->name);
	free(s->own);
	free(s->cas);
	free(s);
}

static bool
is_ip(const char *name)
{
	uint8_t bytes[16];

	return inet_pton(AF_INET, name, bytes) == 1 ||
	    inet_pton(AF_INET6, name, bytes) == 1;
}

/* The protocol: forward secrecy and AEAD only, as the service has it. */
static int
set_protocol(gnutls_session_t session, bool allow_tls12)
{
	static const char tls13[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:"
				    "%PROFILE_MEDIUM";
	static const char tls12[] =
	    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:"
	    "-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:-MAC-ALL:+AEAD:"
	    "-CIPHER-ALL:+AES-256-GCM:+CHACHA20-POLY1305:+AES-128-GCM:"
	    "%PROFILE_MEDIUM";

	return gnutls_priority_set_direct(
	    session, allow_tls12 ? tls12 : tls13, NULL);
}

static int
set_up(struct tls_session *s, bool allow_tls12)
{
	union {
		const char *in;
		unsigned char *out;
	} purpose = { .in = GNUTLS_KP_TLS_WWW_SERVER };
	int rc;

	if ((rc = set_protocol(s->session, allow_tls12)) < 0 ||
	    (rc = gnutls_credentials_set(
		 s->session, GNUTLS_CRD_CERTIFICATE, s->credentials)) < 0)
		return rc;
	if (!is_ip(s->name) &&
	    (rc = gnutls_server_name_set(
		 s->session, GNUTLS_NAME_DNS, s->name, strlen(s->name))) < 0)
		return rc;
	s->expected[0] = (gnutls_typed_vdata_st){
		.type = GNUTLS_DT_DNS_HOSTNAME, /* or an IP address */
		.data = (unsigned char *)s->name,
	};
	s->expected[1] = (gnutls_typed_vdata_st){
		.type = GNUTLS_DT_KEY_PURPOSE_OID,
		.data = purpose.out,
	};
	gnutls_session_set_verify_cert2(s->session, s->expected, 2, 0);
	gnutls_session_set_keylog_function(s->session, keep_keys);
	gnutls_handshake_set_timeout(s->session, 0); /* the caller waits */
	gnutls_transport_set_ptr(s->session, s);
	gnutls_transport_set_push_function(s->session, push);
	gnutls_transport_set_pull_function(s->session, pull);
	gnutls_transport_set_pull_timeout_function(s->session, pull_ready);
	return 0;
}

static enum hf_err
tls_open(const struct tls_settings *settings, int fd, struct tls_session **out,
    struct hf_why *why)
{
	struct tls_session *s = calloc(1, sizeof(*s));
	enum hf_err err = HF_ERR_NO_MEMORY;
	int rc;

	if (s == NULL)
		return err;
	if (!generator_ready()) {
		free(s);
		return hf_fail(
		    why, HF_ERR_CRYPTO, "TLS: GnuTLS does not start");
	}
	s->fd = fd;
	s->name = strdup(settings->server_name);
	s->own = strdup(settings->certificate.name);
	s->cas = strdup(settings->ca.name);
	if (s->name == NULL || s->own == NULL || s->cas == NULL ||
	    gnutls_certificate_allocate_credentials(&s->credentials) < 0)
		goto out;
	if ((err = load(s->credentials, settings, why)) != HF_OK)
		goto out;
	/*
	 * Our certificate goes out whatever authorities the service names:
	 * then it can say what is wrong with it.
	 */
	rc = gnutls_init(&s->session,
	    GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_TICKETS |
		GNUTLS_FORCE_CLIENT_CERT);
	if (rc == 0)
		rc = set_up(s, settings->allow_tls12);
	if (rc < 0)
		err =
		    hf_fail(why, HF_ERR_CRYPTO, "TLS: %s", gnutls_strerror(rc));
out:
	if (err != HF_OK) {
		tls_close(s, false);
		return err;
	}
	*out = s;
	return HF_OK;
}

/* -- Steps -- */

static enum tls_state
tls_handshake(struct tls_session *s)
{
	int rc = gnutls_handshake(s->session);

	if (rc == 0) {
		s->up = true;
		return TLS_DONE;
	}
	if (gnutls_error_is_fatal(rc) && rc != GNUTLS_E_FATAL_ALERT_RECEIVED)
		(void)gnutls_alert_send_appropriate(s->session, rc);
	return state_of(s, rc);
}

static enum tls_state
tls_read(struct tls_session *s, uint8_t *buf, size_t cap, size_t *done)
{
	ssize_t n =
	    gnutls_record_recv(s->session, buf, cap > INT_MAX ? INT_MAX : cap);

	*done = n > 0 ? (size_t)n : 0;
	if (n == 0)
		return TLS_END;
	return n > 0 ? TLS_DONE : state_of(s, (int)n);
}

/* After AGAIN GnuTLS has the bytes, and is to be asked without them. */
static enum tls_state
tls_write(struct tls_session *s, const uint8_t *buf, size_t len, size_t *done)
{
	size_t part = len > RECORD ? RECORD : len;
	ssize_t n = s->held > 0 ? gnutls_record_send(s->session, NULL, 0)
				: gnutls_record_send(s->session, buf, part);

	*done = 0;
	if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED) {
		if (s->held == 0)
			s->held = part;
		return TLS_WRITE;
	}
	if (n < 0)
		return state_of(s, (int)n);
	*done = s->held > 0 ? s->held : (size_t)n;
	s->held = 0;
	return TLS_DONE;
}

static bool
tls_holds(const struct tls_session *s)
{
	return s->held > 0;
}

static bool
tls_pending(const struct tls_session *s)
{
	return gnutls_record_check_pending(s->session) > 0;
}

/* -- What went wrong -- */

/* What GnuTLS finds wrong with a certificate; the first that holds is told. */
static const struct {
	unsigned status;
	const char *text;
} faults[] = {
	{ GNUTLS_CERT_REVOKED, "it is revoked" },
	{ GNUTLS_CERT_EXPIRED, "it has expired" },
	{ GNUTLS_CERT_NOT_ACTIVATED, "it is not valid yet" },
	{ GNUTLS_CERT_SIGNER_NOT_FOUND, "it is not from a CA in" },
	{ GNUTLS_CERT_SIGNER_NOT_CA, "it is not from a CA in" },
	{ GNUTLS_CERT_SIGNATURE_FAILURE, "its signature is wrong" },
	{ GNUTLS_CERT_UNEXPECTED_OWNER, "it is not for the name" },
	{ GNUTLS_CERT_PURPOSE_MISMATCH, "it is not for a server" },
	{ GNUTLS_CERT_INSECURE_ALGORITHM, "its algorithm or key is too weak" },
	{ GNUTLS_CERT_INVALID, "it is not valid" },
};

/* Alerts that speak of the client's certificate. */
static bool
is_refusal(gnutls_alert_description_t alert)
{
	return alert == GNUTLS_A_CERTIFICATE_REQUIRED ||
	    alert == GNUTLS_A_UNKNOWN_CA || alert == GNUTLS_A_BAD_CERTIFICATE ||
	    alert == GNUTLS_A_UNSUPPORTED_CERTIFICATE ||
	    alert == GNUTLS_A_CERTIFICATE_REVOKED ||
	    alert == GNUTLS_A_CERTIFICATE_EXPIRED ||
	    alert == GNUTLS_A_CERTIFICATE_UNKNOWN ||
	    alert == GNUTLS_A_ACCESS_DENIED;
}

static enum hf_err
explain_certificate(
    const struct tls_session *s, const char *who, struct hf_why *why)
{
	unsigned status = gnutls_session_get_verify_cert_status(s->session);
	const char *name = "";
	size_t i = 0;

	while (i < sizeof(faults) / sizeof(faults[0]) - 1 &&
	    (status & faults[i].status) == 0)
		i++;
	if (faults[i].status == GNUTLS_CERT_UNEXPECTED_OWNER)
		name = s->name;
	if (faults[i].status == GNUTLS_CERT_SIGNER_NOT_FOUND ||
	    faults[i].status == GNUTLS_CERT_SIGNER_NOT_CA)
		name = s->cas;
	return hf_fail(why, HF_ERR_UNTRUSTED,
	    "the certificate of %s is refused: %s%s%s", who, faults[i].text,
	    *name == '\0' ? "" : " ", name);
}

static enum hf_err
explain_alert(const struct tls_session *s, const char *who, struct hf_why *why)
{
	gnutls_alert_description_t alert = gnutls_alert_get(s->session);
	const char *name = gnutls_alert_get_name(alert);

	if (name == NULL)
		name = "an unknown alert";
	if (is_refusal(alert))
		return hf_fail(why, HF_ERR_CLIENT_REFUSED,
		    "%s does not accept the client certificate in %s: %s", who,
		    s->own, name);
	return hf_fail(why, HF_ERR_UNTRUSTED, "%s ended TLS: %s", who, name);
}

static enum hf_err
tls_explain(const struct tls_session *s, const char *who, struct hf_why *why)
{
	if (s->error == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR)
		return explain_certificate(s, who, why);
	if (s->error == GNUTLS_E_FATAL_ALERT_RECEIVED)
		return explain_alert(s, who, why);
	if (s->error == 0 || s->error == GNUTLS_E_PREMATURE_TERMINATION ||
	    s->error == GNUTLS_E_PULL_ERROR || s->error == GNUTLS_E_PUSH_ERROR)
		return hf_fail(why, HF_ERR_UNREACHABLE,
		    "%s closed the connection before TLS was up", who);
	return hf_fail(why, HF_ERR_UNTRUSTED, "no TLS with %s: %s", who,
	    gnutls_strerror(s->error));
}

const struct tls_provider holdfast_tls = {
	.version = TLS_VERSION,
	.open = tls_open,
	.handshake = tls_handshake,
	.read = tls_read,
	.write = tls_write,
	.holds = tls_holds,
	.pending = tls_pending,
	.explain = tls_explain,
	.close = tls_close,
};
