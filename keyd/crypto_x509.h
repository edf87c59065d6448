/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_CRYPTO_X509_H
#define KEYD_CRYPTO_X509_H

#include "crypto.h"

/*
 * Certificates and requests for them (RFC 5280, RFC 2986), for keys that sign
 * wherever they are. Part of the door to OpenSSL.
 *
 * A chain is kept as the DER of its certificates, one after the other, leaf
 * first.
 */
enum { CERT_CHAIN_MAX = 16384, CERT_PEM_MAX = 32768 };

/* Whom a certificate is for. */
struct cert_subject {
	struct hf_text name; /* "CN=web, O=Example", in that order */
	const struct hf_text *alt_names; /* DNS names and IP addresses */
	size_t alt_count;
};

/*
 * Signs the part to be signed, as `how` says; `out` takes
 * CRYPTO_SIGNATURE_MAX bytes.
 */
typedef enum hf_err cert_sign_fn(void *ctx, const struct sign_how *how,
    struct hf_bytes tbs, uint8_t *out, size_t *len);

/* The key that it is about. */
struct cert_key {
	const struct key_type *type;
	struct hf_bytes spki;
	cert_sign_fn *sign;
	void *ctx;
};

/*
 * A request (PKCS#10) as PEM with a NUL, CERT_PEM_MAX bytes at most. With a
 * `template_` (PEM or DER) its subject and attributes are taken, and `who` is
 * not looked at. HF_ERR_BAD_VALUE with a sentence in `why`.
 */
enum hf_err cert_request(const struct cert_key *key, struct hf_bytes template_,
    const struct cert_subject *who, char *out, size_t cap, struct hf_why *why);

/*
 * A certificate of the key by the key itself, for those who need no more than
 * a handle: not a CA, valid from `from` to `until` (seconds since 1970).
 * CERT_CHAIN_MAX bytes at most.
 */
enum hf_err cert_self_sign(const struct cert_key *key,
    const struct cert_subject *who, uint64_t from, uint64_t until, uint8_t *out,
    size_t *len, struct hf_why *why);

/* From PEM; HF_ERR_BAD_VALUE when there is anything else in it, or none. `out`
 * takes CERT_CHAIN_MAX bytes. */
enum hf_err cert_chain_read(
    struct hf_text pem, uint8_t *out, size_t *len, struct hf_why *why);

/*
 * The leaf comes first, is no CA, and is of this public key; all others are
 * CAs, and each one signed the one before it. Dates are not looked at.
 */
enum hf_err cert_chain_check(const struct key_type *type, struct hf_bytes chain,
    struct hf_bytes spki, struct hf_why *why);

/* As PEM with a NUL, CERT_PEM_MAX bytes at most. */
enum hf_err cert_chain_pem(struct hf_bytes chain, char *out, size_t cap);

/* Takes the first certificate off a chain; false at its end. */
bool cert_chain_next(struct hf_bytes *chain, struct hf_bytes *cert);

/*
 * Whether one X.509 certificate, DER, is of the key of that
 * SubjectPublicKeyInfo; HF_ERR_BAD_INPUT when `der` is no certificate, or more.
 */
enum hf_err cert_matches(
    struct hf_bytes der, struct hf_bytes spki, bool *matches);

#endif
