/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_BACKUP_SEAL_H
#define KEYD_BACKUP_SEAL_H

#include "../lib/secret.h"
#include "server.h"

/*
 * The envelope of a key's backup: a fresh AES-256 key seals the payload, and
 * that key is sealed by the HSM. Layout:
 *
 *	"HFBK" || format 1 || kind || head || AES-256-GCM(key, payload)
 *
 *	kind 1, for the same HSM	head = master key id (16) || the key
 *	    under that master key (nonce || ciphertext || tag, 60)
 *	kind 2, for another HSM	head = RSA-OAEP-SHA-256(key) (512) under
 *	    its wrapping key
 *
 * All before the last part is its AAD; its nonce is zero, as no key seals
 * twice. Kind 1 is proof that this HSM sealed it; kind 2 is none, and is to be
 * trusted as far as whoever may restore it.
 */
enum { BACKUP_EXTRA = 6 + 512 + 16 };

/* `recipient`: SubjectPublicKeyInfo of RSA-4096, or absent. `out` takes
 * payload.len + BACKUP_EXTRA. Blocks on the HSM. */
enum hf_err backup_seal(struct server *server, struct hf_bytes recipient,
    struct hf_bytes payload, uint8_t *out, size_t *len, struct hf_why *why);

/* *foreign: kind 2. HF_ERR_AUTH_FAILED, HF_ERR_BAD_VALUE with a sentence. */
enum hf_err backup_open(struct server *server, struct hf_bytes blob,
    struct secret *payload, bool *foreign, struct hf_why *why);

#endif
