/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_TLS_CHANNEL_H
#define KEYD_TLS_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <holdfast/err.h>

struct identity;
struct transport_tls;

/*
 * TLS for tls+tcp:// with both sides authenticated: TLS 1.3, and 1.2 with
 * forward secrecy and AEAD where a listener allows it. No resumption, no
 * renegotiation, no early data, no compression: each connection proves anew
 * who it is. The one door to libssl.
 */
enum {
	TLS_CHANNEL_STRANGER = 128 << 10
}; /* bytes of memory before the end of
      its handshake, at most */

struct tls_context; /* of a listener, shared by its connections */
struct tls_channel; /* of a connection */

/*
 * Reads certificate, key and client CA. HF_ERR_BAD_SETTINGS with the file's
 * name when one does not serve, or when others may read the key.
 */
enum hf_err tls_context_new(const struct transport_tls *settings,
    struct tls_context **out, struct hf_why *why);
void tls_context_free(struct tls_context *ctx); /* NULL is fine */

/* Over a non-blocking socket, which stays with the caller. */
enum hf_err tls_channel_new(
    struct tls_context *ctx, int fd, struct tls_channel **out);
void tls_channel_free(struct tls_channel *ch); /* says goodbye; NULL is fine */

/* One step. HF_ERR_DEFER: call again when the socket is ready. */
enum hf_err tls_channel_handshake(struct tls_channel *ch, struct hf_why *why);

/* After the handshake: who the certificate says it is. */
enum hf_err tls_channel_identity(
    const struct tls_channel *ch, const char *address, struct identity **out);

/* As channel_read and channel_write (channel.h). */
ssize_t tls_channel_read(struct tls_channel *ch, uint8_t *buf, size_t cap);
ssize_t tls_channel_write(struct tls_channel *ch, const void *buf, size_t len);
bool tls_channel_pending(const struct tls_channel *ch);
bool tls_channel_wants_out(const struct tls_channel *ch);

#endif
