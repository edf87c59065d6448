/* SPDX-License-Identifier: Apache-2.0 */
#include "digest.h"

#include <nettle/hmac.h>
#include <nettle/nettle-meta.h>
#include <nettle/sha3.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "../lib/bytes.h"

/*
 * The hash algorithms' object identifiers are 1.3.14.3.2.26 (SHA-1) and
 * 2.16.840.1.101.3.4.2.n; the DigestInfo around them differs in n and length.
 */
/* clang-format off */
#define NIST(n, len)                                                           \
	{ 0x30, 0x11 + (len), 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,  \
	  0x65, 0x03, 0x04, 0x02, (n), 0x05, 0x00, 0x04, (len) }, 19
#define SHA1_INFO                                                              \
	{ 0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a,    \
	  0x05, 0x00, 0x04, 0x14 }, 15

const struct digest_type digest_types[] = {
	{ CKM_SHA_1,      CKG_MGF1_SHA1,     CKD_SHA1_KDF,   "sha1",     &nettle_sha1,       20, SHA1_INFO },
	{ CKM_SHA224,     CKG_MGF1_SHA224,   CKD_SHA224_KDF, "sha2-224", &nettle_sha224,     28, NIST(4, 28) },
	{ CKM_SHA256,     CKG_MGF1_SHA256,   CKD_SHA256_KDF, "sha2-256", &nettle_sha256,     32, NIST(1, 32) },
	{ CKM_SHA384,     CKG_MGF1_SHA384,   CKD_SHA384_KDF, "sha2-384", &nettle_sha384,     48, NIST(2, 48) },
	{ CKM_SHA512,     CKG_MGF1_SHA512,   CKD_SHA512_KDF, "sha2-512", &nettle_sha512,     64, NIST(3, 64) },
	{ CKM_SHA512_224, 0,                 0,              NULL,       &nettle_sha512_224, 28, NIST(5, 28) },
	{ CKM_SHA512_256, 0,                 0,              NULL,       &nettle_sha512_256, 32, NIST(6, 32) },
	{ CKM_SHA3_224,   CKG_MGF1_SHA3_224, 0,              "sha3-224", &nettle_sha3_224,   28, NIST(7, 28) },
	{ CKM_SHA3_256,   CKG_MGF1_SHA3_256, 0,              "sha3-256", &nettle_sha3_256,   32, NIST(8, 32) },
	{ CKM_SHA3_384,   CKG_MGF1_SHA3_384, 0,              "sha3-384", &nettle_sha3_384,   48, NIST(9, 48) },
	{ CKM_SHA3_512,   CKG_MGF1_SHA3_512, 0,              "sha3-512", &nettle_sha3_512,   64, NIST(10, 64) },
};
/* clang-format on */

const size_t digest_types_count =
    sizeof(digest_types) / sizeof(digest_types[0]);

/* The largest states; the longest digest. */
_Static_assert(DIGEST_STATE >= sizeof(struct sha3_224_ctx), "no room");
_Static_assert(DIGEST_STATE >= sizeof(struct sha512_ctx), "no room");
_Static_assert(DIGEST_MAX >= SHA512_DIGEST_SIZE, "no room");

const struct digest_type *
digest_by_mech(CK_MECHANISM_TYPE mech)
{
	for (size_t i = 0; i < digest_types_count; i++)
		if (digest_types[i].mech == mech)
			return &digest_types[i];
	return NULL;
}

const struct digest_type *
digest_by_mgf(CK_ULONG mgf)
{
	for (size_t i = 0; i < digest_types_count; i++)
		if (mgf != 0 && digest_types[i].mgf == mgf)
			return &digest_types[i];
	return NULL;
}

const struct digest_type *
digest_by_kdf(CK_ULONG kdf)
{
	for (size_t i = 0; i < digest_types_count; i++)
		if (kdf != 0 && digest_types[i].kdf == kdf)
			return &digest_types[i];
	return NULL;
}

void
digest_init(struct digest *d, const struct digest_type *type)
{
	*d = (struct digest){ .type = type };
	type->nettle->init(d->state);
}

void
digest_update(struct digest *d, const void *in, size_t len)
{
	d->type->nettle->update(d->state, len, in);
}

void
digest_final(struct digest *d, uint8_t *out)
{
	d->type->nettle->digest(d->state, d->type->size, out);
	bytes_wipe(d, sizeof(*d));
}

void
digest_once(const struct digest_type *type, struct hf_bytes in, uint8_t *out)
{
	struct digest d;

	digest_init(&d, type);
	digest_update(&d, in.ptr, in.len);
	digest_final(&d, out);
}

/* -- Saved states -- */

enum { SEAL_KEY = 32 };

/* Drawn once in a process; a forked child has its parent's. */
static struct {
	pthread_once_t once;
	bool drawn;
	uint8_t key[SEAL_KEY];
} seal = { .once = PTHREAD_ONCE_INIT };

static void
draw_key(void)
{
	seal.drawn = getrandom(seal.key, sizeof(seal.key), 0) == SEAL_KEY;
}

static bool
seal_bytes(const uint8_t *in, size_t len, uint8_t out[32])
{
	struct hmac_sha256_ctx ctx;

	if (pthread_once(&seal.once, draw_key) != 0 || !seal.drawn)
		return false;
	hmac_sha256_set_key(&ctx, sizeof(seal.key), seal.key);
	hmac_sha256_update(&ctx, len, in);
	hmac_sha256_digest(&ctx, 32, out);
	bytes_wipe(&ctx, sizeof(ctx));
	return true;
}

bool
digest_save(const struct digest *d, uint8_t out[DIGEST_SAVED])
{
	put_u64(out, d->type->mech);
	memcpy(out + 8, d->state, DIGEST_STATE);
	return seal_bytes(out, 8 + DIGEST_STATE, out + 8 + DIGEST_STATE);
}

bool
digest_load(struct digest *d, const uint8_t in[DIGEST_SAVED])
{
	const struct digest_type *type = digest_by_mech(get_u64(in));
	uint8_t expected[32];

	if (type == NULL || !seal_bytes(in, 8 + DIGEST_STATE, expected) ||
	    !bytes_equal_ct(
		bytes_of(expected, 32), bytes_of(in + 8 + DIGEST_STATE, 32)))
		return false;
	d->type = type;
	memcpy(d->state, in + 8, DIGEST_STATE);
	return true;
}
