/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_CRYPTO_STATE_H
#define KEYD_CRYPTO_STATE_H

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "crypto.h"

/*
 * What the files behind the door to OpenSSL share: crypto.c (set-up, random,
 * hashes), crypto_aead.c, crypto_key.c (asymmetric keys), crypto_sign.c,
 * crypto_oaep.c, crypto_wrap.c (keys that travel).
 * Nobody else includes this.
 */

/*
 * AUTO_PKEY pkey = ...; is freed on leaving the scope, as AUTO_SECRET is; and
 * so on for the other objects of OpenSSL.
 */
#define OSSL_CLEANUP(type, type_free)               \
	static inline void type##_cleanup(type **p) \
	{                                           \
		type_free(*p);                      \
	}
#define OSSL_AUTO(type) __attribute__((__cleanup__(type##_cleanup))) type *

/* clang-format off */
OSSL_CLEANUP(BIGNUM, BN_free)
OSSL_CLEANUP(BIO, BIO_free_all)
OSSL_CLEANUP(EVP_MAC_CTX, EVP_MAC_CTX_free)
OSSL_CLEANUP(EVP_PKEY, EVP_PKEY_free)
OSSL_CLEANUP(EVP_PKEY_CTX, EVP_PKEY_CTX_free)
OSSL_CLEANUP(OSSL_PARAM, OSSL_PARAM_free)
OSSL_CLEANUP(OSSL_PARAM_BLD, OSSL_PARAM_BLD_free)
OSSL_CLEANUP(PKCS8_PRIV_KEY_INFO, PKCS8_PRIV_KEY_INFO_free)
OSSL_CLEANUP(X509_SIG, X509_SIG_free)

#define AUTO_BN        OSSL_AUTO(BIGNUM)
#define AUTO_BIO       OSSL_AUTO(BIO)
#define AUTO_MAC_CTX   OSSL_AUTO(EVP_MAC_CTX)
#define AUTO_PKEY      OSSL_AUTO(EVP_PKEY)
#define AUTO_PKEY_CTX  OSSL_AUTO(EVP_PKEY_CTX)
#define AUTO_PARAM     OSSL_AUTO(OSSL_PARAM)
#define AUTO_PARAM_BLD OSSL_AUTO(OSSL_PARAM_BLD)
#define AUTO_PKCS8     OSSL_AUTO(PKCS8_PRIV_KEY_INFO)
#define AUTO_SIG       OSSL_AUTO(X509_SIG)
/* clang-format on */

/*
 * The library context: ours alone, so that neither openssl.cnf nor what the
 * library of an HSM does to the default one reaches our algorithms.
 */
OSSL_LIB_CTX *crypto_lib(void);

/* The fetched algorithm of a row of hash_types; NULL before crypto_init. */
const EVP_MD *crypto_md(const struct hash_type *hash);

/*
 * This thread's digest context, empty; the user resets it afterwards, because
 * what it holds of the message is no better protected than a free block. NULL
 * when out of memory or before crypto_init.
 */
EVP_MD_CTX *crypto_md_ctx(void);

/*
 * Contexts of a thread for AEAD (crypto_aead.c); NULL when out of memory or
 * before crypto_init, crypto_thread_missing() tells which.
 */
struct aead_thread;
struct aead_thread *crypto_aead_thread(void);
enum hf_err crypto_thread_missing(void);

enum hf_err crypto_aead_init(struct hf_why *why);
struct aead_thread *aead_thread_new(void);
void aead_thread_free(struct aead_thread *t); /* NULL is fine */

/*
 * Empties OpenSSL's error queue of this thread and returns `err`, or
 * HF_ERR_NO_MEMORY when the queue tells that (locked memory has an end).
 * Whatever fails here ends so: SSL_get_error() of the TLS listener reads that
 * queue.
 */
enum hf_err crypto_fail(enum hf_err err);

struct crypto_key {
	const struct key_type *type;
	EVP_PKEY *pkey;
	/*
	 * Ready for EVP_PKEY_sign, and copied for each signature: to make one
	 * anew takes a tenth of a P-256 signature, for looking algorithms up by
	 * name. It has a reference to `pkey` and no key of its own. NULL for
	 * public keys and for Ed25519, which is not signed with so.
	 */
	EVP_PKEY_CTX *signing;
	bool private;
};

/* PKCS#8 DER of a private key; leaves OpenSSL's error queue to the caller. */
enum hf_err crypto_pkcs8(const EVP_PKEY *pkey, struct secret *out);

/* `in` with a pointer that is never NULL: OpenSSL takes NULL for "none". */
static inline const uint8_t *
crypto_ptr(struct hf_bytes in)
{
	static const uint8_t nothing[1];

	return in.ptr == NULL ? nothing : in.ptr;
}

#endif
