/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_HSM_H
#define KEYD_HSM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast/bytes.h>
#include <holdfast/err.h>

#include "../lib/secret.h"
#include "crypto_derive.h"
#include "crypto_mode.h"
#include "key_type.h"

/*
 * The door to the HSM: hsm.c and the hsm_*.c beside it are the only files that
 * know PKCS#11 on this side. One process opens the token and logs in once; an
 * anchor session stays, the others form a pool. Calls block, up to the
 * deadline in the settings, and belong on worker threads. Errors are sorted
 * into classes here (data, ambiguous, session, handle, login, device); device
 * errors start one recovery (finalize, initialize, find the slot by the
 * token's serial, log in, known-answer test) and everybody else waits for it
 * up to the deadline or gets HF_ERR_HSM_UNAVAILABLE. A PIN that was refused is
 * never tried again.
 *
 * Besides their own errors all calls may give HF_ERR_HSM_UNAVAILABLE,
 * HF_ERR_HSM_PIN, HF_ERR_HSM_UNSUITABLE (the state), HF_ERR_HSM_STUCK (the
 * module did not come back), HF_ERR_BUSY (too many wait), HF_ERR_TIMEOUT (no
 * session within the deadline), HF_ERR_HSM_MECHANISM (it cannot do this),
 * HF_ERR_HSM_REFUSED (it would not), and HF_ERR_SHUTTING_DOWN. What would make
 * or destroy a key or an object gives HF_ERR_DRY_RUN in a dry run (effects.h).
 *
 * Several HSMs may be open in a process, also tokens of one module: then that
 * is finalized only when none of them is connected, so that the recovery of
 * one does not end the sessions of another.
 */
struct hsm;

/*
 * Called, with the watcher's `ctx`, when the thread that recovers goes into
 * the module and when it came out: nobody waits for these calls, so somebody
 * should look whether they come back.
 */
typedef void hsm_effort_fn(void *ctx, bool begun);

/* Where a PIN comes from: "file:PATH", "env:NAME", "fd:N", "cred:NAME"
 * (systemd, $CREDENTIALS_DIRECTORY/NAME). Never a literal. */
struct hsm_settings {
	const char *uri; /* RFC 7512: token (or serial), module-path */
	const char *pin_source;
	unsigned sessions;     /* 0: number of cores + 1 */
	unsigned deadline_ms;  /* for a call; 0: 10 s */
	unsigned keepalive_ms; /* between signs of life; 0: 5 s where the module
				  holds a connection, else none */
	/* "worker": the module lives in a process of its own, which is killed
	 * when it hangs and replaced when it ends (hsm_process.h). "inside":
	 * in this one, and deadlines hold for waiting only. NULL: the same, and
	 * without the threads for calls that nobody waits for (hsm_await.h). */
	const char *process;
	const char *program; /* that has it; NULL: this one */
	const char *serial;  /* of the token; NULL, empty: as the URI says */
	bool cautious; /* a login before may have been refused unheard: not
			  again while the token counts a wrong PIN */
	hsm_effort_fn *effort; /* NULL: nobody wants to know */
};

enum hsm_state {
	HSM_ABSENT,     /* not reached, for longer than a deadline; calls fail
			   at once, recovery goes on */
	HSM_RECOVERING, /* being reached, at first or again; calls wait */
	HSM_READY,
	HSM_PIN_REFUSED, /* final until restart */
	HSM_UNSUITABLE,  /* a known answer was wrong; final until restart */
	HSM_INCOMPLETE,  /* connected, but a master, wrapping or audit key that
			    was there is not; calls go through, and it is looked
			    for */
	HSM_STATE_LAST = HSM_INCOMPLETE,
};

/* For status and logs; texts are NUL-terminated copies. */
struct hsm_info {
	enum hsm_state state;
	char reason[200]; /* empty when ready */
	uint64_t since;   /* seconds since 1970 */
	uint64_t generation;
	unsigned sessions;
	unsigned can; /* enum hsm_can */
	char module[256], token[33], serial[17], manufacturer[33], model[17];
};

/*
 * Called on each change of state, in order, from the thread that recovers: it
 * must not wait for a call to the HSM.
 */
typedef void hsm_watch_fn(void *ctx, const struct hsm_info *info);

/*
 * Reads the PIN, loads the module and starts the first connection. Returns
 * HF_OK also when the HSM is absent: the state tells, and recovery goes on in
 * a thread with back-off and jitter. Errors: a bad URI or PIN source.
 */
enum hf_err hsm_open(const struct hsm_settings *settings, hsm_watch_fn *watch,
    void *ctx, struct hsm **out, struct hf_why *why);

/* Waits for calls in flight, closes, finalizes. NULL is fine. */
void hsm_close(struct hsm *hsm);

/* Waits until ready, final, or `ms` have passed. */
enum hf_err hsm_wait_ready(struct hsm *hsm, unsigned ms);

void hsm_info(struct hsm *hsm, struct hsm_info *out);
const char *hsm_state_name(enum hsm_state state);
/* What the setting `sessions` comes to. */
unsigned hsm_sessions_wanted(unsigned setting);

/* Any number of bytes from the HSM's generator. */
enum hf_err hsm_random(struct hsm *hsm, uint8_t *out, size_t len);
/* For those who have another HSM: waits for its turn, or for an HSM that was
 * lost, no longer than `ms` milliseconds. */
enum hf_err hsm_random_within(
    struct hsm *hsm, uint8_t *out, size_t len, unsigned ms);

/* -- Objects of the token, found by CKA_ID and CKA_CLASS -- */

enum { HSM_ID = 16 };

enum hsm_role {
	ROLE_MASTER, /* AES-256: C_Encrypt and C_Decrypt (GCM) only */
	ROLE_WRAP,   /* AES-256: C_WrapKey and C_UnwrapKey only */
	ROLE_AUDIT,  /* EC P-256: C_Sign only */
};

/*
 * Makes a token object of a role under an id that the caller chose and has
 * already written down, so that an unknown outcome can be looked up: when the
 * object exists already, that is success. Sensitive, never extractable.
 */
enum hf_err hsm_object_make(struct hsm *hsm, enum hsm_role role,
    const uint8_t id[HSM_ID], const char *label);
/*
 * The same with a value that was made outside (a master or wrapping key, 32
 * bytes): by C_UnwrapKey under a passing AES key, or by C_CreateObject where
 * the HSM can unwrap no such key. Sensitive and not extractable from then on.
 * An object that exists already is success only when it has that value, by a
 * known answer; else HF_ERR_NAME_TAKEN.
 */
enum hf_err hsm_object_import(struct hsm *hsm, enum hsm_role role,
    const uint8_t id[HSM_ID], const char *label, struct hf_bytes value);
/* HF_OK with *found set; never from a token that lost our login. */
enum hf_err hsm_object_find(
    struct hsm *hsm, enum hsm_role role, const uint8_t id[HSM_ID], bool *found);
/* Absent is success. */
enum hf_err hsm_object_destroy(
    struct hsm *hsm, enum hsm_role role, const uint8_t id[HSM_ID]);
/* SubjectPublicKeyInfo of the audit key; `out` takes SPKI_MAX bytes.
 * HF_ERR_NOT_FOUND when there is none; hsm_audit_sign too. */
enum hf_err hsm_audit_public(
    struct hsm *hsm, const uint8_t id[HSM_ID], uint8_t *out, size_t *len);
/* ECDSA over a SHA-256 digest; r || s, 64 bytes. */
enum hf_err hsm_audit_sign(struct hsm *hsm, const uint8_t id[HSM_ID],
    const uint8_t digest[32], uint8_t out[64]);

/*
 * AES-256-GCM with a master key. The nonce (12 bytes) is drawn by the callee
 * and comes first: nonce || ciphertext || tag, in.len + 28 bytes. An HSM that
 * makes its own nonce gets its way (probed at start). `in` is not empty.
 * HF_ERR_HSM_UNINITIALIZED when there is no such key, HF_ERR_AUTH_FAILED when
 * what is opened is not what was sealed, HF_ERR_BAD_CIPHERTEXT when it is too
 * short to be.
 */
enum { HSM_SEAL_EXTRA = 28 };
enum hf_err hsm_seal(struct hsm *hsm, const uint8_t id[HSM_ID],
    struct hf_bytes aad, struct hf_bytes in, uint8_t *out);
enum hf_err hsm_open_sealed(struct hsm *hsm, const uint8_t id[HSM_ID],
    struct hf_bytes aad, struct hf_bytes in, struct secret *out);

/* -- Keys at level hsm: born inside, kept wrapped outside -- */

/*
 * `id` names the key version for the cache of unwrapped session objects
 * (random, chosen by the caller). `wrapped` empty: the key is a token object
 * with CKA_ID `id` (what cannot be wrapped on this HSM stays resident).
 */
struct hsm_key {
	const struct key_type *type;
	uint8_t id[HSM_ID];
	uint8_t wrap_id[HSM_ID]; /* the wrapping key */
	struct hf_bytes wrapped; /* AES-KWP (RFC 5649) under it */
};

/* Bytes of a private key of any type, wrapped (AES-KWP). */
enum { HSM_WRAPPED_MAX = 4096 };

/*
 * Makes a key inside the HSM and wraps it out. `wrapped` takes HSM_WRAPPED_MAX;
 * *wrapped_len 0 means it is resident. `spki` (SPKI_MAX bytes) gets the public
 * key of asymmetric types. Tried before it is given out. Not repeated on an
 * unknown outcome: hsm_key_drop() then removes what may have become resident.
 * HF_ERR_HSM_UNINITIALIZED when there is no such wrapping key. hmac_size is 32
 * to 512.
 */
enum hf_err hsm_key_make(struct hsm *hsm, const struct key_type *type,
    size_t hmac_size, const uint8_t wrap_id[HSM_ID], const uint8_t id[HSM_ID],
    uint8_t *wrapped, size_t *wrapped_len, uint8_t *spki, size_t *spki_len);
/*
 * The same with material from outside (a symmetric key, or PKCS#8 with its
 * public half in `public_half`): it enters by C_UnwrapKey under a passing AES
 * key, or by C_CreateObject where the HSM can unwrap no such key, and is never
 * extractable from then on but wrapped.
 */
enum hf_err hsm_key_import(struct hsm *hsm, const struct key_type *type,
    struct hf_bytes material, struct hf_bytes public_half,
    const uint8_t wrap_id[HSM_ID], const uint8_t id[HSM_ID], uint8_t *wrapped,
    size_t *wrapped_len);
/* Forgets the session object, destroys the resident one; absent is success. */
enum hf_err hsm_key_drop(struct hsm *hsm, const struct hsm_key *key);

/*
 * The operations, inside the HSM. AEAD: nonce (12 bytes) from the caller, in
 * an HSM that takes one; encrypt writes ciphertext || tag, in.len + 16 bytes;
 * decrypt in.len - 16, and only when they are authentic (HF_ERR_AUTH_FAILED,
 * HF_ERR_BAD_CIPHERTEXT). decrypt_rsa is OAEP with SHA-256 and an empty label,
 * `out` takes the modulus size; where the HSM lacks that, raw RSA and
 * constant-time unpadding; one error, HF_ERR_AUTH_FAILED. sign and its
 * encodings as in crypto_sign. hmac as in crypto_hmac; some HSMs want a key as
 * long as the hash (HF_ERR_HSM_MECHANISM). For all of them a wrapped key that
 * was changed is HF_ERR_AUTH_FAILED, a resident one that is gone
 * HF_ERR_NOT_FOUND, and a type that cannot do it HF_ERR_KEY_TYPE or, for
 * signatures, HF_ERR_BAD_ALGORITHM.
 */
enum hf_err hsm_key_encrypt(struct hsm *hsm, const struct hsm_key *key,
    struct hf_bytes nonce, struct hf_bytes aad, struct hf_bytes in,
    uint8_t *out);
enum hf_err hsm_key_decrypt(struct hsm *hsm, const struct hsm_key *key,
    struct hf_bytes nonce, struct hf_bytes aad, struct hf_bytes in,
    uint8_t *out);
enum hf_err hsm_key_decrypt_rsa(struct hsm *hsm, const struct hsm_key *key,
    struct hf_bytes in, uint8_t *out, size_t *len);
/* RSA without padding: in and out have the size of the modulus. */
enum hf_err hsm_key_rsa_raw(struct hsm *hsm, const struct hsm_key *key,
    struct hf_bytes in, uint8_t *out);
/* decrypt_rsa with another hash for label and MGF1, by raw RSA and unpadding;
 * NULL is decrypt_rsa. */
enum hf_err hsm_key_decrypt_oaep(struct hsm *hsm, const struct hsm_key *key,
    const struct hash_type *hash, struct hf_bytes in, uint8_t *out,
    size_t *len);
enum hf_err hsm_key_sign(struct hsm *hsm, const struct hsm_key *key,
    const struct sign_how *how, struct hf_bytes in, uint8_t *out, size_t *len);
enum hf_err hsm_key_hmac(struct hsm *hsm, const struct hsm_key *key,
    const struct hash_type *hash, struct hf_bytes in, uint8_t *out);
enum hf_err hsm_key_cmac(struct hsm *hsm, const struct hsm_key *key,
    struct hf_bytes in, uint8_t out[16]);

/*
 * What such keys do besides, where this HSM was seen to do it: 0 until it was
 * reached for the first time; it stays what it was while the HSM is away.
 * HF_ERR_HSM_MECHANISM from those below where it is not set.
 */
enum hsm_can {
	HSM_CAN_ECB = 1, /* and key wrap, which is made of it */
	HSM_CAN_CBC = 2,
	HSM_CAN_CTR = 4,
	HSM_CAN_CMAC = 8, /* with keys that encrypt; others always do */
	HSM_CAN_ECDH = 16,
	HSM_CAN_MODES = HSM_CAN_ECB | HSM_CAN_CBC | HSM_CAN_CTR,
};
unsigned hsm_can(struct hsm *hsm);

/*
 * As crypto_aes, crypto_ecdh and crypto_hkdf. What is wrapped and what comes
 * out belongs to the daemon; the key stays inside. HKDF is expansion alone, by
 * HMACs: to extract, the key itself would have to be hashed.
 */
enum hf_err hsm_key_aes(struct hsm *hsm, const struct hsm_key *key,
    const struct aes_how *how, struct hf_bytes in, uint8_t *out, size_t *len);
enum hf_err hsm_key_ecdh(struct hsm *hsm, const struct hsm_key *key,
    struct hf_bytes point, struct secret *out);
enum hf_err hsm_key_hkdf(struct hsm *hsm, const struct hsm_key *key,
    const struct hkdf *how, struct secret *out);

/* -- The probe -- */

struct hsm_probe_row {
	char name[40];  /* "CKM_AES_GCM" */
	char use[60];   /* what Holdfast needs it for */
	char result[8]; /* "works", "absent", "fails" */
	char note[120];
};

enum { HSM_QUIRK = 160 /* a sentence, with a NUL */ };

struct hsm_probe {
	char token[33];
	struct hsm_probe_row *rows; /* owned: hsm_probe_free */
	size_t count;
	char (*quirks)[HSM_QUIRK]; /* owned, as above */
	size_t quirk_count;
};

/* Takes a second or so, and one session more than the pool has. */
enum hf_err hsm_probe_run(struct hsm *hsm, struct hsm_probe *out);
void hsm_probe_free(struct hsm_probe *probe);

#endif
