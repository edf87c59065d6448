/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PKCS11_DIGEST_H
#define PKCS11_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast/bytes.h>

#include "cryptoki.h"

/*
 * Hashing in the host's process, with nettle (the only file that includes
 * it). The state is plain memory: it may be copied, saved and thrown away.
 */
enum { DIGEST_MAX = 64, DIGEST_STATE = 416 };

struct nettle_hash;

/* One row a hash. */
struct digest_type {
	CK_MECHANISM_TYPE mech; /* CKM_SHA256 */
	CK_ULONG mgf;           /* CKG_MGF1_SHA256; 0: none */
	CK_ULONG kdf;           /* CKD_SHA256_KDF; 0: none */
	const char *wire;       /* "sha2-256"; NULL: the daemon has none */
	const struct nettle_hash *nettle;
	size_t size;
	/* DigestInfo up to the digest (RFC 8017, section 9.2). */
	uint8_t info[19];
	size_t info_len;
};

/* NULL when there is none. */
const struct digest_type *digest_by_mech(CK_MECHANISM_TYPE mech);
const struct digest_type *digest_by_mgf(CK_ULONG mgf);
const struct digest_type *digest_by_kdf(CK_ULONG kdf);
extern const struct digest_type digest_types[];
extern const size_t digest_types_count;

struct digest {
	const struct digest_type *type; /* NULL: none is under way */
	_Alignas(16) uint8_t state[DIGEST_STATE];
};

/* Begins anew, whatever was under way. */
void digest_init(struct digest *d, const struct digest_type *type);
void digest_update(struct digest *d, const void *in, size_t len);
/* `out` takes type->size bytes; the digest is over then. */
void digest_final(struct digest *d, uint8_t *out);

/* All of it in one call. */
void digest_once(
    const struct digest_type *type, struct hf_bytes in, uint8_t *out);

/*
 * A state as bytes, for C_GetOperationState. What digest_load takes must come
 * from digest_save of this process or of one that it was forked from: it is
 * tied to a random key, because nettle trusts its states.
 */
enum { DIGEST_SAVED = 8 + DIGEST_STATE + 32 };
bool digest_save(const struct digest *d, uint8_t out[DIGEST_SAVED]);
bool digest_load(struct digest *d, const uint8_t in[DIGEST_SAVED]);

#endif
