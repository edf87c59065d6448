/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_channel.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "../lib/bytes.h"
#include "channel.h"
#include "crypto_memory.h"
#include "identity.h"
#include "transport.h"

enum {
	CERT_NAME_LONGEST = 255,
	SUBJECT_LONGEST = 1024,
	/* OpenSSL would take a hello of 128 KiB of anybody. This is a chain of
	 * certificates of 36 KiB, and the powers of an RSA key of 8192 bits. */
	HANDSHAKE_BLOCK = 48 << 10,
};

struct tls_context {
	SSL_CTX *ssl;
};

struct tls_channel {
	SSL *ssl;
	bool wants_out; /* to go on reading, or shaking hands, it must write */
	bool broken;    /* no goodbye after a fatal error */
};

/* The first reason of the error queue, which is emptied. */
static const char *
openssl_reason(void)
{
	unsigned long error = ERR_peek_error();
	const char *reason = ERR_SYSTEM_ERROR(error)
	    ? strerror(ERR_GET_REASON(error))
	    : ERR_reason_error_string(error);

	ERR_clear_error();
	return reason == NULL ? "unknown error" : reason;
}

static enum hf_err
set_protocol(SSL_CTX *ctx, const struct transport_tls *settings)
{
	int lowest = settings->allow_tls12 ? TLS1_2_VERSION : TLS1_3_VERSION;

	(void)SSL_CTX_set_options(ctx,
	    SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
		SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_CLEANSE_PLAINTEXT);
	(void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	(void)SSL_CTX_set_mode(ctx,
	    SSL_MODE_ENABLE_PARTIAL_WRITE |
		SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	if (SSL_CTX_set_min_proto_version(ctx, lowest) != 1 ||
	    SSL_CTX_set_max_early_data(ctx, 0) != 1 ||
	    SSL_CTX_set_num_tickets(ctx, 0) != 1 ||
	    SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1)
		return HF_ERR_CRYPTO;
	return HF_OK;
}

/* Half of the daemon's identity is in this file: fail closed. */
static enum hf_err
check_key_file(const char *path, struct hf_why *why)
{
	struct stat st;

	if (stat(path, &st) != 0 || access(path, R_OK) != 0)
		return hf_fail(
		    why, HF_ERR_BAD_SETTINGS, "%s: %s", path, strerror(errno));
	if ((st.st_mode & S_IRWXO) != 0)
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "%s: others may use this private key; chmod o= it", path);
	return HF_OK;
}

static enum hf_err
load_files(
    SSL_CTX *ctx, const struct transport_tls *settings, struct hf_why *why)
{
	STACK_OF(X509_NAME) * names;
	enum hf_err err = check_key_file(settings->key, why);

	if (err != HF_OK)
		return err;
	if (SSL_CTX_use_certificate_chain_file(ctx, settings->certificate) != 1)
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "%s: no certificate that serves: %s", settings->certificate,
		    openssl_reason());
	if (SSL_CTX_use_PrivateKey_file(ctx, settings->key, SSL_FILETYPE_PEM) !=
		1 ||
	    SSL_CTX_check_private_key(ctx) != 1)
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "%s: no key that fits the certificate: %s", settings->key,
		    openssl_reason());
	names = SSL_load_client_CA_file(settings->client_ca);
	if (names == NULL ||
	    SSL_CTX_load_verify_file(ctx, settings->client_ca) != 1) {
		sk_X509_NAME_pop_free(names, X509_NAME_free);
		return hf_fail(why, HF_ERR_BAD_SETTINGS,
		    "%s: no CA certificates: %s", settings->client_ca,
		    openssl_reason());
	}
	SSL_CTX_set_client_CA_list(ctx, names); /* takes them */
	return HF_OK;
}

enum hf_err
tls_context_new(const struct transport_tls *settings, struct tls_context **out,
    struct hf_why *why)
{
	struct tls_context *ctx = calloc(1, sizeof(*ctx));
	enum hf_err err;

	if (ctx == NULL)
		return HF_ERR_NO_MEMORY;
	ERR_clear_error();
	ctx->ssl = SSL_CTX_new(TLS_server_method());
	err =
	    ctx->ssl == NULL ? HF_ERR_CRYPTO : set_protocol(ctx->ssl, settings);
	if (err == HF_ERR_CRYPTO)
		(void)hf_fail(why, err, "TLS: %s", openssl_reason());
	if (err == HF_OK)
		err = load_files(ctx->ssl, settings, why);
	if (err != HF_OK) {
		tls_context_free(ctx);
		return err;
	}
	SSL_CTX_set_verify(
	    ctx->ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	*out = ctx;
	return HF_OK;
}

void
tls_context_free(struct tls_context *ctx)
{
	if (ctx == NULL)
		return;
	SSL_CTX_free(ctx->ssl);
	free(ctx);
}

enum hf_err
tls_channel_new(struct tls_context *ctx, int fd, struct tls_channel **out)
{
	struct tls_channel *ch = calloc(1, sizeof(*ch));

	if (ch == NULL)
		return HF_ERR_NO_MEMORY;
	ERR_clear_error();
	ch->ssl = SSL_new(ctx->ssl);
	if (ch->ssl == NULL || SSL_set_fd(ch->ssl, fd) != 1) {
		SSL_free(ch->ssl);
		free(ch);
		ERR_clear_error();
		return HF_ERR_CRYPTO;
	}
	SSL_set_accept_state(ch->ssl);
	*out = ch;
	return HF_OK;
}

void
tls_channel_free(struct tls_channel *ch)
{
	if (ch == NULL)
		return;
	ERR_clear_error();
	if (!ch->broken && SSL_is_init_finished(ch->ssl))
		(void)SSL_shutdown(ch->ssl); /* one alert, not its answer */
	SSL_free(ch->ssl);
	ERR_clear_error();
	free(ch);
}

/* Sorts what libssl says into the results of a channel. */
static ssize_t
sort_result(struct tls_channel *ch, int rc)
{
	int error = SSL_get_error(ch->ssl, rc);

	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
		return CHANNEL_AGAIN;
	if (error == SSL_ERROR_ZERO_RETURN)
		return 0;
	ch->broken = true;
	return CHANNEL_FAILED;
}

enum hf_err
tls_channel_handshake(struct tls_channel *ch, struct hf_why *why)
{
	int rc;

	ERR_clear_error();
	crypto_memory_bound(HANDSHAKE_BLOCK);
	rc = SSL_do_handshake(ch->ssl);
	crypto_memory_bound(0);
	ch->wants_out = SSL_want_write(ch->ssl);
	if (rc == 1)
		return HF_OK;
	if (sort_result(ch, rc) == CHANNEL_AGAIN)
		return HF_ERR_DEFER;
	ch->broken = true;
	return hf_fail(why, HF_ERR_NOT_IDENTIFIED, "%s", openssl_reason());
}

ssize_t
tls_channel_read(struct tls_channel *ch, uint8_t *buf, size_t cap)
{
	int rc;

	ERR_clear_error();
	rc = SSL_read(ch->ssl, buf, cap > INT_MAX ? INT_MAX : (int)cap);
	ch->wants_out = SSL_want_write(ch->ssl);
	return rc > 0 ? rc : sort_result(ch, rc);
}

ssize_t
tls_channel_write(struct tls_channel *ch, const void *buf, size_t len)
{
	int rc;

	ERR_clear_error();
	rc = SSL_write(ch->ssl, buf, len > INT_MAX ? INT_MAX : (int)len);
	if (rc > 0)
		return rc;
	/* 0 would be the peer's goodbye: there is nobody to write to. */
	return sort_result(ch, rc) == CHANNEL_AGAIN ? CHANNEL_AGAIN
						    : CHANNEL_FAILED;
}

bool
tls_channel_pending(const struct tls_channel *ch)
{
	return SSL_pending(ch->ssl) > 0;
}

bool
tls_channel_wants_out(const struct tls_channel *ch)
{
	return ch->wants_out;
}

/* A name from a certificate, if policies and logs can speak of it. */
static bool
copy_name(const ASN1_STRING *from, char out[CERT_NAME_LONGEST + 1])
{
	unsigned char *utf8 = NULL;
	int len = ASN1_STRING_to_UTF8(&utf8, from);
	bool ok = len > 0 && len <= CERT_NAME_LONGEST &&
	    utf8_valid((struct hf_text){ (const char *)utf8, (size_t)len });

	for (int i = 0; ok && i < len; i++)
		ok = utf8[i] >= 0x20 && utf8[i] != 0x7f;
	if (ok) {
		memcpy(out, utf8, (size_t)len);
		out[len] = '\0';
	}
	OPENSSL_free(utf8);
	return ok;
}

static bool
common_name(X509 *cert, char out[CERT_NAME_LONGEST + 1])
{
	X509_NAME *subject = X509_get_subject_name(cert);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

	if (at < 0)
		return false;
	return copy_name(
	    X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)), out);
}

static bool
alternative_name(X509 *cert, char out[CERT_NAME_LONGEST + 1])
{
	GENERAL_NAMES *names =
	    X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	bool found = false;

	for (int i = 0; !found && i < sk_GENERAL_NAME_num(names); i++) {
		int type;
		const ASN1_STRING *value = GENERAL_NAME_get0_value(
		    sk_GENERAL_NAME_value(names, i), &type);

		if (type == GEN_DNS || type == GEN_URI)
			found = copy_name(value, out);
	}
	GENERAL_NAMES_free(names);
	return found;
}

static bool
subject_text(X509 *cert, char out[SUBJECT_LONGEST])
{
	BIO *bio = BIO_new(BIO_s_mem());
	int len;

	if (bio == NULL)
		return false;
	if (X509_NAME_print_ex(
		bio, X509_get_subject_name(cert), 0, XN_FLAG_RFC2253) < 0) {
		(void)BIO_free(bio);
		return false;
	}
	len = BIO_read(bio, out, SUBJECT_LONGEST - 1);
	out[len > 0 ? len : 0] = '\0'; /* an empty subject is one */
	(void)BIO_free(bio);
	return true;
}

static enum hf_err
identity_of_x509(X509 *cert, const char *address, struct identity **out)
{
	char name[CERT_NAME_LONGEST + 1];
	char subject[SUBJECT_LONGEST];
	uint8_t digest[32];
	unsigned len = sizeof(digest);
	char hex[65];

	if (!common_name(cert, name) && !alternative_name(cert, name))
		return HF_ERR_NOT_IDENTIFIED;
	if (!subject_text(cert, subject) ||
	    X509_digest(cert, EVP_sha256(), digest, &len) != 1)
		return HF_ERR_CRYPTO;
	hex_encode(digest, sizeof(digest), hex);
	return identity_of_cert(name, subject, hex, address, out);
}

enum hf_err
tls_channel_identity(
    const struct tls_channel *ch, const char *address, struct identity **out)
{
	X509 *cert = SSL_get1_peer_certificate(ch->ssl);
	enum hf_err err;

	/* Both were enforced by the handshake; fail closed if it was not. */
	if (cert == NULL || SSL_get_verify_result(ch->ssl) != X509_V_OK) {
		X509_free(cert);
		return HF_ERR_NOT_IDENTIFIED;
	}
	err = identity_of_x509(cert, address, out);
	X509_free(cert);
	ERR_clear_error();
	return err;
}
