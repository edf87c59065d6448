/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_OPS_ROWS_H
#define LIB_OPS_ROWS_H

/*
 * Bounds, words and rows that the schemas of several files share (ops.c,
 * ops_transit.c). Nobody else includes this.
 */
enum {
	DATA_MAX =
	    64 << 20, /* the transport's message limit is the tighter one */
	AAD_MAX = 65536,
	CONTEXT_MAX = 4096,
	NAME_MAX_BYTES = 128,
	REFERENCE_MAX = 256,
	BATCH_MAX = 65536,
	VERSION_MAX = 0xffffff,
	LIST_MAX = 10000,
	CHAIN_PEM_MAX = 32768,
	USES_MAX = 16384,
	PERIOD_MAX = 315360000, /* ten years */
};

#define TYPES                                                                          \
	"aes256-gcm96|aes192-gcm96|aes128-gcm96|chacha20-poly1305|xchacha20-poly1305|" \
	"ecdsa-p256|ecdsa-p384|ecdsa-p521|ed25519|rsa-2048|rsa-3072|rsa-4096|hmac|"    \
	"aes128-cmac|aes192-cmac|aes256-cmac"
#define HASHES                                                        \
	"sha1|sha2-224|sha2-256|sha2-384|sha2-512|sha3-224|sha3-256|" \
	"sha3-384|sha3-512"
#define FORMATS "binary|text"
#define USES "encrypt|decrypt|rewrap|sign|verify|mac|derive"

/* clang-format off */

#define KEY_FIELD(s) \
	F(s, "name", name, 1, NAME_MAX_BYTES, REQUIRED | PLAIN | KEYNAME, NULL, "name of the key")
#define CONTEXT_FIELD(s, at) \
	F_AS(s, "context", at context, 0, CONTEXT_MAX, 0, NULL, "of a derived key: leads to the key that is used", "derivation-context")
#define BOUND_FIELD(s, at, doc) \
	PAIRS(s, "encryption_context", at encryption_context, CONTEXT, doc, "context")
#define FORMAT_FIELD(s) \
	F(s, "format", format, 1, 16, PLAIN | HIDDEN, FORMATS, "form of what comes out; binary when absent")
#define STATUS_FIELDS(s, at) \
	F(s, "error",      at status.error,      0, 1024, 0, NULL, "what was wrong with this item"), \
	F(s, "error_name", at status.error_name, 0, 64, PLAIN, NULL, "name of that error"), \
	F(s, "reference",  at status.reference,  0, REFERENCE_MAX, 0, NULL, "the item's reference")
#define REFERENCE_FIELD(s) \
	F(s, "reference", reference, 0, REFERENCE_MAX, 0, NULL, "comes back with the item's result")

/* clang-format on */

#endif
