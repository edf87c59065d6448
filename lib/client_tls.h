/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_CLIENT_TLS_H
#define LIB_CLIENT_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast/err.h>

#include "tls.h"

struct hf_tls;

/*
 * TLS for a client: its settings, and the session of the present connection.
 * The library that does it (tls.h) is loaded when the first connection is
 * made. The files are read for each connection, so that a certificate that was
 * renewed is taken without a restart.
 */
struct client_tls;

/* What is answered where there are no settings: HF_ERR_BAD_SETTINGS. */
enum hf_err client_tls_missing(struct hf_why *why);

/*
 * Copies the settings; `host` is whose certificate is expected unless they say
 * otherwise. HF_ERR_BAD_SETTINGS when one is missing or the key is a URI.
 */
enum hf_err client_tls_new(const struct hf_tls *settings, const char *host,
    struct client_tls **out, struct hf_why *why);
void client_tls_free(struct client_tls *tls); /* NULL is fine */

/*
 * Loads the TLS library, which takes some milliseconds the first time in a
 * process and nothing later.
 */
enum hf_err client_tls_load(
    const struct tls_provider **out, struct hf_why *why);

/* Begins a session over the connected socket, which stays with the caller. */
enum hf_err client_tls_begin(
    struct client_tls *tls, int fd, struct hf_why *why);

/*
 * Ends it; without a word unless `goodbye`, which a child must not say over
 * its parent's connection. Nothing when there is none.
 */
void client_tls_end(struct client_tls *tls, bool goodbye);

/* Steps of the session; see tls.h. */
enum tls_state client_tls_handshake(struct client_tls *tls);
enum tls_state client_tls_read(
    struct client_tls *tls, uint8_t *buf, size_t cap, size_t *done);
enum tls_state client_tls_write(
    struct client_tls *tls, const uint8_t *buf, size_t len, size_t *done);
bool client_tls_holds(const struct client_tls *tls);
bool client_tls_pending(const struct client_tls *tls);
enum hf_err client_tls_explain(
    const struct client_tls *tls, const char *who, struct hf_why *why);

#endif
