/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_TLS_H
#define LIB_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast/bytes.h>
#include <holdfast/err.h>

/*
 * What holdfast-tls.so offers to client_tls.c: the client's end of TLS over a
 * socket, as one table of functions. It is an object of its own so that only
 * programs with a service on another host load a TLS library.
 *
 * Nothing here waits, reads a file, makes a thread or raises SIGPIPE. The
 * service's certificate is always verified: by the CAs given, for the name
 * given, for its purpose and its time.
 */
enum { TLS_VERSION = 1 }; /* of this interface */

/* A PEM file that the caller has read, and the name that errors give it. */
struct tls_file {
	const char *name;
	struct hf_bytes pem;
};

struct tls_settings {
	struct tls_file ca;
	struct tls_file certificate; /* the client's, with its chain */
	struct tls_file key;
	const char *server_name; /* DNS name, or IP address as text */
	bool allow_tls12;
};

enum tls_state {
	TLS_DONE,
	TLS_READ,   /* again when the socket can be read */
	TLS_WRITE,  /* again when it can be written */
	TLS_END,    /* the service said goodbye */
	TLS_FAILED, /* for good; `explain` says why */
};

struct tls_session;

struct tls_provider {
	unsigned version; /* TLS_VERSION */

	/*
	 * A session over a connected socket, which stays with the caller. The
	 * settings are needed for this call only. HF_ERR_BAD_SETTINGS with the
	 * name of the file that does not serve.
	 */
	enum hf_err (*open)(const struct tls_settings *settings, int fd,
	    struct tls_session **out, struct hf_why *why);

	/* One step of the handshake. */
	enum tls_state (*handshake)(struct tls_session *s);

	/*
	 * Moves what goes without waiting; *done may be 0. After a write that
	 * moved nothing the session may hold its bytes: the next one must
	 * begin with the same bytes, or the session be closed (`holds`).
	 */
	enum tls_state (*read)(
	    struct tls_session *s, uint8_t *buf, size_t cap, size_t *done);
	enum tls_state (*write)(struct tls_session *s, const uint8_t *buf,
	    size_t len, size_t *done);
	bool (*holds)(const struct tls_session *s);

	/* Whether there is something to read that is not in the socket. */
	bool (*pending)(const struct tls_session *s);

	/*
	 * Why it failed, with `who` for the service. HF_ERR_UNTRUSTED: it is
	 * not whom we look for. HF_ERR_CLIENT_REFUSED: it does not accept our
	 * certificate. HF_ERR_UNREACHABLE: the connection broke.
	 */
	enum hf_err (*explain)(
	    const struct tls_session *s, const char *who, struct hf_why *why);

	/* Wipes and frees; says goodbye to the service if asked to. */
	void (*close)(struct tls_session *s, bool goodbye);
};

/* What holdfast-tls.so exports. */
extern const struct tls_provider holdfast_tls;

#endif
