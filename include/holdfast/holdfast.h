/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOLDFAST_HOLDFAST_H
#define HOLDFAST_HOLDFAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <holdfast/bytes.h>
#include <holdfast/dry_run.h>
#include <holdfast/err.h>
#include <holdfast/ops.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The client of a Holdfast service, for C.
 *
 *	struct hf_client *client;
 *	struct hf_encrypt_in in = { .name = hf_text_of("payments"),
 *		.item.plaintext = hf_bytes_of("hello", 5) };
 *	struct hf_encrypt_out out;
 *	struct hf_why why;
 *
 *	if (hf_connect(NULL, 5000, &client, &why) != HF_OK ||
 *	    hf_transit_encrypt(client, &in, &out, &why) != HF_OK)
 *		errx(1, "%s", why.text);
 *	fwrite(out.result.ciphertext.ptr, 1, out.result.ciphertext.len, stdout);
 *	hf_close(client);
 *
 * Every operation of the service is a function of its own; ops.h says what it
 * takes and gives, docs/operations.md what that means.
 *
 * Threads. A handle serves one thread at a time; several threads take several
 * handles. The library makes no threads, installs no signal handlers, changes
 * no signal masks, raises no SIGPIPE, and keeps no state outside of handles.
 *
 * Fork. A handle works in the child too: it connects anew there and leaves the
 * connection of the parent alone. A request that the parent has sent is the
 * parent's to receive; in the child it gives HF_ERR_DISCONNECTED.
 *
 * Lost connections. The handle connects again by itself when the service was
 * restarted, and waits a while for it (hf_set_patience). A request whose reply
 * was lost is sent once more if repeating it is harmless. If it changes state
 * (creating, rotating, deleting, ...) it may have been carried out or not, and
 * the answer is HF_ERR_DISCONNECTED: look before trying again, or give it an
 * idempotency key (hf_set_each_once).
 */
struct hf_client;

/*
 * Connects to the service. `address` is the path of its socket, with or
 * without ipc:// before it, or tls+tcp://HOST:PORT for one on another host;
 * NULL means $HOLDFAST_SOCKET (ignored in setuid programs), else
 * /run/holdfast/keyd.sock. `timeout_ms` bounds this call and each later one
 * (hf_set_timeout); negative: no bound. Only the lookup of a HOST that is a
 * name may take longer: as long as resolv.conf(5) allows.
 *
 * HF_ERR_UNREACHABLE when nobody listens there, HF_ERR_TIMEOUT when nobody
 * answers. With TLS also HF_ERR_UNTRUSTED when the service's certificate is
 * not good, HF_ERR_CLIENT_REFUSED when ours is not, to the service, and
 * HF_ERR_BAD_SETTINGS when a file is not. `why` (may be NULL, here and
 * everywhere) gets a sentence for a person whenever the result is not HF_OK.
 */
enum hf_err hf_connect(const char *address, int timeout_ms,
    struct hf_client **out, struct hf_why *why);

/* The same, but connects when the first request is sent. */
enum hf_err hf_prepare(const char *address, int timeout_ms,
    struct hf_client **out, struct hf_why *why);

/*
 * Who is who over TLS; all of it names of PEM files but the last two. A handle
 * takes it from $HOLDFAST_TLS_CA, _CERTIFICATE, _KEY, _SERVER_NAME and
 * _VERSION=1.2 (ignored in setuid programs) unless it is set here, between
 * hf_prepare and the first request. The files are read whenever the handle
 * connects, so that it takes renewed ones.
 *
 * TLS is done by an object of its own (holdfast-tls.so, with GnuTLS), loaded
 * when the first such connection is made. What the handle holds is wiped as
 * ever; what GnuTLS holds of a message in its buffers is not.
 *
 * hf_set_tls for a handle of a Unix socket gives HF_ERR_BAD_SETTINGS.
 */
struct hf_tls {
	const char *ca;          /* that the service's certificate is from */
	const char *certificate; /* ours, followed by its chain */
	const char *key;         /* its private key; not for others to read */
	const char *server_name; /* whose certificate; NULL: HOST's */
	bool allow_tls12;        /* TLS 1.2 is enough; otherwise 1.3 */
};

enum hf_err hf_set_tls(
    struct hf_client *client, const struct hf_tls *tls, struct hf_why *why);

/* Wipes and frees everything of the handle; NULL is fine. */
void hf_close(struct hf_client *client);

/* How long a request may take, from sending it to its reply; negative: for
 * ever. For requests sent from now on. */
void hf_set_timeout(struct hf_client *client, int timeout_ms);

/* How long a request waits for a service that this handle did reach before
 * and that is gone: a restart. 3000 at first; 0: not at all. The timeout of
 * the request holds as well. */
void hf_set_patience(struct hf_client *client, int patience_ms);

/*
 * Dry runs. While this is set, an operation that changes state goes through
 * everything but the change: the answer is the error that it would have got,
 * or HF_ERR_DRY_RUN (never HF_OK), and hf_would_change tells what it would have
 * changed, until the next reply. Operations that change nothing are refused
 * meanwhile (HF_ERR_NOT_OFFERED), as are the few that cannot be tried.
 */
void hf_set_dry_run(struct hf_client *client, bool dry_run);
const struct hf_dry_run *hf_would_change(const struct hf_client *client);

/*
 * Idempotency keys, for operations that make something (create, rotate, import,
 * restore, ...; docs/protocol.md lists them). Under one key (1 to 64 printable
 * ASCII characters, as random as a UUID) a request of this caller is carried
 * out once within a time that the service sets, 24 hours by default: repeated,
 * it gives the first result again. The key is for the next request only. With
 * hf_set_each_once, each such request without a key gets one from the library.
 * A request that has a key is sent once more when its reply is lost.
 * HF_ERR_OUT_OF_BOUNDS for a key that is too long.
 */
enum hf_err hf_set_idempotency_key(
    struct hf_client *client, struct hf_text key);
void hf_set_each_once(struct hf_client *client, bool each_once);

/*
 * One function per operation of ops.def, named after it:
 *
 *	enum hf_err hf_transit_encrypt(struct hf_client *client,
 *	    const struct hf_encrypt_in *in, struct hf_encrypt_out *out,
 *	    struct hf_why *why);
 *
 * sends the request and waits for its reply. What `out` points to belongs to
 * the handle and stays as it is until the next reply is received on it, or
 * hf_forget or hf_close; it is wiped then. hf_keep takes it out of the handle.
 * `in` may point to what an earlier call gave. On an error `out` is all zero.
 *
 * In a batch (batch_input instead of the fields of one item) HF_OK means that
 * the batch was worked through: each result has a status of its own.
 *
 * Several requests can be under way at once:
 *
 *	enum hf_err hf_transit_encrypt_send(struct hf_client *client,
 *	    const struct hf_encrypt_in *in, uint32_t *ticket,
 *	    struct hf_why *why);
 *	enum hf_err hf_transit_encrypt_receive(struct hf_client *client,
 *	    uint32_t ticket, struct hf_encrypt_out *out, struct hf_why *why);
 *
 * send returns when the request is on its way (`in` is not needed any more),
 * receive when its reply is there, in whatever order tickets are asked for.
 * receive uses the ticket up, whatever it returns; HF_ERR_NOT_FOUND for one
 * that was used up or is of another operation.
 */
/* clang-format off */
#define OP(id, symbol, in_, out_, wire, path, cap, flags, verb, sentence)      \
	enum hf_err hf_##symbol(struct hf_client *client,                      \
	    const struct hf_##in_ *in, struct hf_##out_ *out,                  \
	    struct hf_why *why);                                               \
	enum hf_err hf_##symbol##_send(struct hf_client *client,               \
	    const struct hf_##in_ *in, uint32_t *ticket, struct hf_why *why);  \
	enum hf_err hf_##symbol##_receive(struct hf_client *client,            \
	    uint32_t ticket, struct hf_##out_ *out, struct hf_why *why);
#include <holdfast/ops.def>
#undef OP
/* clang-format on */

/*
 * Takes the memory behind the last reply out of the handle, so that the next
 * reply does not touch it. NULL when there is none. It is the caller's then,
 * outlives the handle, and hf_reply_free (NULL is fine) wipes and frees it.
 */
struct hf_reply;
struct hf_reply *hf_keep(struct hf_client *client);
void hf_reply_free(struct hf_reply *reply);

/* Wipes the last reply now. */
void hf_forget(struct hf_client *client);

/* Views of what the caller owns. */
static inline struct hf_text
hf_text_of(const char *s)
{
	struct hf_text t = { s, s == NULL ? 0 : strlen(s) };

	return t;
}

static inline struct hf_bytes
hf_bytes_of(const void *ptr, size_t len)
{
	struct hf_bytes b = { (const uint8_t *)ptr, len };

	return b;
}

#ifdef __cplusplus
}
#endif

#endif
