/* SPDX-License-Identifier: Apache-2.0 */
#include "key_type.h"

#include "../lib/bytes.h"

/*
 * `slow` is what takes a tenth of a millisecond or more with OpenSSL 3.0: RSA,
 * and the curves that have no code of their own there. For less, the way to a
 * worker and back would cost more than the operation. `brief` of them is what
 * takes less than three: an I/O thread may do it that has nothing else to do.
 */
/* clang-format off */
const struct key_type key_types[] = {
	{ .id = KEY_AES256_GCM96,       .name = "aes256-gcm96",       .short_name = "aes256-gcm96",       .family = FAMILY_AEAD,  .size = 32,  .bits = 256,  .nonce = 12, .tag = 16, .encrypts = true,                .derives = true,               .hsm = true },
	{ .id = KEY_AES192_GCM96,       .name = "aes192-gcm96",       .short_name = "aes192-gcm96",       .family = FAMILY_AEAD,  .size = 24,  .bits = 192,  .nonce = 12, .tag = 16, .encrypts = true,                .derives = true,               .hsm = true },
	{ .id = KEY_AES128_GCM96,       .name = "aes128-gcm96",       .short_name = "aes128-gcm96",       .family = FAMILY_AEAD,  .size = 16,  .bits = 128,  .nonce = 12, .tag = 16, .encrypts = true,                .derives = true,               .hsm = true },
	{ .id = KEY_CHACHA20_POLY1305,  .name = "chacha20-poly1305",  .short_name = "chacha20-poly1305",  .family = FAMILY_AEAD,  .size = 32,  .bits = 256,  .nonce = 12, .tag = 16, .encrypts = true,                .derives = true },
	{ .id = KEY_XCHACHA20_POLY1305, .name = "xchacha20-poly1305", .short_name = "xchacha20-poly1305", .family = FAMILY_AEAD,  .size = 32,  .bits = 256,  .nonce = 24, .tag = 16, .encrypts = true,                .derives = true },
	{ .id = KEY_ECDSA_P256,         .name = "ecdsa-p256",         .short_name = "P-256",              .family = FAMILY_EC,    .size = 32,  .bits = 256,                                            .signs = true,                                .hsm = true },
	{ .id = KEY_ECDSA_P384,         .name = "ecdsa-p384",         .short_name = "P-384",              .family = FAMILY_EC,    .size = 48,  .bits = 384,                                            .signs = true,                  .slow = true, .hsm = true },
	{ .id = KEY_ECDSA_P521,         .name = "ecdsa-p521",         .short_name = "P-521",              .family = FAMILY_EC,    .size = 66,  .bits = 521,                                            .signs = true,                  .slow = true, .hsm = true },
	{ .id = KEY_ED25519,            .name = "ed25519",            .short_name = "ed25519",            .family = FAMILY_EDDSA, .size = 32,  .bits = 256,                                            .signs = true, .derives = true,               .hsm = true },
	{ .id = KEY_RSA_2048,           .name = "rsa-2048",           .short_name = "rsa-2048",           .family = FAMILY_RSA,   .size = 256, .bits = 2048,                         .encrypts = true, .signs = true,                  .slow = true, .hsm = true, .brief = true },
	{ .id = KEY_RSA_3072,           .name = "rsa-3072",           .short_name = "rsa-3072",           .family = FAMILY_RSA,   .size = 384, .bits = 3072,                         .encrypts = true, .signs = true,                  .slow = true, .hsm = true },
	{ .id = KEY_RSA_4096,           .name = "rsa-4096",           .short_name = "rsa-4096",           .family = FAMILY_RSA,   .size = 512, .bits = 4096,                         .encrypts = true, .signs = true,                  .slow = true, .hsm = true },
	{ .id = KEY_HMAC,               .name = "hmac",               .short_name = "hmac",               .family = FAMILY_HMAC,                                                                                                                     .hsm = true },
	{ .id = KEY_AES128_CMAC,        .name = "aes128-cmac",        .short_name = "aes128-cmac",        .family = FAMILY_CMAC,  .size = 16,  .bits = 128,                                                                                          .hsm = true },
	{ .id = KEY_AES192_CMAC,        .name = "aes192-cmac",        .short_name = "aes192-cmac",        .family = FAMILY_CMAC,  .size = 24,  .bits = 192,                                                                                          .hsm = true },
	{ .id = KEY_AES256_CMAC,        .name = "aes256-cmac",        .short_name = "aes256-cmac",        .family = FAMILY_CMAC,  .size = 32,  .bits = 256,                                                                                          .hsm = true },
};
const size_t key_types_count = sizeof(key_types) / sizeof(key_types[0]);

/*
 * PKCS#11 2.40, header file pkcs11t.h: CKM_SHA_1, CKG_MGF1_SHA1,
 * CKM_SHA_1_HMAC and so on. SHA-3 came with 3.0.
 */
const struct hash_type hash_types[] = {
	{ .name = "sha1",     .openssl = "SHA1",     .size = 20, .ckm = 0x220, .mgf = 1, .ckm_hmac = 0x221 },
	{ .name = "sha2-224", .openssl = "SHA2-224", .size = 28, .ckm = 0x255, .mgf = 5, .ckm_hmac = 0x256 },
	{ .name = "sha2-256", .openssl = "SHA2-256", .size = 32, .ckm = 0x250, .mgf = 2, .ckm_hmac = 0x251 },
	{ .name = "sha2-384", .openssl = "SHA2-384", .size = 48, .ckm = 0x260, .mgf = 3, .ckm_hmac = 0x261 },
	{ .name = "sha2-512", .openssl = "SHA2-512", .size = 64, .ckm = 0x270, .mgf = 4, .ckm_hmac = 0x271 },
	{ .name = "sha3-224", .openssl = "SHA3-224", .size = 28 },
	{ .name = "sha3-256", .openssl = "SHA3-256", .size = 32 },
	{ .name = "sha3-384", .openssl = "SHA3-384", .size = 48 },
	{ .name = "sha3-512", .openssl = "SHA3-512", .size = 64 },
};
const size_t hash_types_count = sizeof(hash_types) / sizeof(hash_types[0]);

static const char *const level_names[] = {
	[LEVEL_WRAPPED] = "wrapped",
	[LEVEL_HSM]     = "hsm",
};
/* clang-format on */

const struct key_type *
key_type_by_name(struct hf_text name)
{
	for (size_t i = 0; i < key_types_count; i++)
		if (text_is(name, key_types[i].name))
			return &key_types[i];
	return NULL;
}

const struct key_type *
key_type_by_id(unsigned id)
{
	for (size_t i = 0; i < key_types_count; i++)
		if ((unsigned)key_types[i].id == id)
			return &key_types[i];
	return NULL;
}

const char *
key_level_name(enum key_level level)
{
	return level_names[level];
}

bool
key_level_by_name(struct hf_text name, enum key_level *out)
{
	for (unsigned i = 0; i < sizeof(level_names) / sizeof(level_names[0]);
	     i++)
		if (text_is(name, level_names[i])) {
			*out = (enum key_level)i;
			return true;
		}
	return false;
}

const struct hash_type *
hash_type_by_name(struct hf_text name)
{
	for (size_t i = 0; i < hash_types_count; i++)
		if (text_is(name, hash_types[i].name))
			return &hash_types[i];
	return NULL;
}

const struct hash_type *
hash_sha256(void)
{
	return hash_type_by_name(TEXT("sha2-256"));
}
