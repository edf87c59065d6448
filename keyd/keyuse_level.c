/* SPDX-License-Identifier: Apache-2.0 */
#include "keyuse_level.h"

#include "crypto_mode.h"
#include "hsm_await.h"

/* -- Level wrapped: in this process -- */

static enum hf_err
wrapped_seal(const struct keyuse *use, const struct key *key,
    const struct key_version *v, struct hf_bytes nonce, struct hf_bytes aad,
    struct hf_bytes in, uint8_t *out)
{
	(void)use;
	return crypto_seal_kept(
	    v, key->type, secret_view(&v->material), nonce, aad, in, out);
}

static enum hf_err
wrapped_open(const struct keyuse *use, const struct key *key,
    const struct key_version *v, struct hf_bytes nonce, struct hf_bytes aad,
    struct hf_bytes in, uint8_t *out)
{
	(void)use;
	return crypto_open_kept(
	    v, key->type, secret_view(&v->material), nonce, aad, in, out);
}

static enum hf_err
wrapped_decrypt_rsa(const struct keyuse *use, const struct key_version *v,
    struct hf_bytes in, uint8_t *out, size_t *len)
{
	(void)use;
	return crypto_oaep_decrypt(v->pair, in, out, len);
}

static enum hf_err
wrapped_rsa_raw(const struct keyuse *use, const struct key_version *v,
    struct hf_bytes in, uint8_t *out)
{
	(void)use;
	return crypto_rsa_private(v->pair, in, out);
}

static enum hf_err
wrapped_sign(const struct keyuse *use, const struct key_version *v,
    const struct sign_how *how, struct hf_bytes in, uint8_t *out, size_t *len)
{
	(void)use;
	return crypto_sign(v->pair, how, in, out, len);
}

static enum hf_err
wrapped_hmac(const struct keyuse *use, const struct key *key,
    const struct key_version *v, const struct hash_type *hash,
    struct hf_bytes in, uint8_t *out)
{
	const struct secret *k =
	    key->type->family == FAMILY_HMAC ? &v->material : &v->hmac;

	(void)use;
	if (k->ptr == NULL)
		return HF_ERR_NO_PRIVATE_PART;
	return crypto_hmac(hash, secret_view(k), in, out);
}

static enum hf_err
wrapped_cmac(const struct keyuse *use, const struct key_version *v,
    struct hf_bytes in, uint8_t *out)
{
	(void)use;
	return crypto_cmac(secret_view(&v->material), in, out);
}

static enum hf_err
wrapped_aes(const struct keyuse *use, const struct key_version *v,
    const struct aes_how *how, struct hf_bytes in, uint8_t *out, size_t *len)
{
	(void)use;
	return crypto_aes(how, secret_view(&v->material), in, out, len);
}

static enum hf_err
wrapped_ecdh(const struct keyuse *use, const struct key_version *v,
    struct hf_bytes point, struct secret *out)
{
	(void)use;
	return crypto_ecdh(v->pair, point, out);
}

static enum hf_err
wrapped_hkdf(const struct keyuse *use, const struct key_version *v,
    const struct hkdf *how, struct secret *out)
{
	(void)use;
	return crypto_hkdf(how, secret_view(&v->material), out);
}

/* -- Level hsm: in the HSM -- */

struct hsm *
keyuse_hsm(const struct keyuse *use, const struct key_version *v,
    const struct hsm_key *k)
{
	return hierarchy_hsm_of_key(use->server->hierarchy, k, v->hsm_home);
}

/*
 * The same for a function of hsm.h, which is to be left by leave(). On an I/O
 * thread it is not waited for: keyuse.c let nothing else through.
 */
static struct hsm *
enter(const struct keyuse *use, const struct key_version *v,
    const struct hsm_key *k)
{
	if (!use->may_block || (use->await != NULL && use->await->lost))
		hsm_await_begin(use->await);
	return keyuse_hsm(use, v, k);
}

static enum hf_err
leave(enum hf_err err)
{
	hsm_await_end();
	return err;
}

static enum hf_err
hsm_seal_with(const struct keyuse *use, const struct key *key,
    const struct key_version *v, struct hf_bytes nonce, struct hf_bytes aad,
    struct hf_bytes in, uint8_t *out)
{
	(void)key;
	return leave(hsm_key_encrypt(
	    enter(use, v, &v->hsm), &v->hsm, nonce, aad, in, out));
}

static enum hf_err
hsm_open_with(const struct keyuse *use, const struct key *key,
    const struct key_version *v, struct hf_bytes nonce, struct hf_bytes aad,
    struct hf_bytes in, uint8_t *out)
{
	(void)key;
	return leave(hsm_key_decrypt(
	    enter(use, v, &v->hsm), &v->hsm, nonce, aad, in, out));
}

static enum hf_err
hsm_decrypt_rsa_with(const struct keyuse *use, const struct key_version *v,
    struct hf_bytes in, uint8_t *out, size_t *len)
{
	return leave(
	    hsm_key_decrypt_rsa(enter(use, v, &v->hsm), &v->hsm, in, out, len));
}

static enum hf_err
hsm_rsa_raw_with(const struct keyuse *use, const struct key_version *v,
    struct hf_bytes in, uint8_t *out)
{
	return leave(hsm_key_rsa_raw(enter(use, v, &v->hsm), &v->hsm, in, out));
}

static enum hf_err
hsm_sign_with(const struct keyuse *use, const struct key_version *v,
    const struct sign_how *how, struct hf_bytes in, uint8_t *out, size_t *len)
{
	return leave(
	    hsm_key_sign(enter(use, v, &v->hsm), &v->hsm, how, in, out, len));
}

static enum hf_err
hsm_hmac_with(const struct keyuse *use, const struct key *key,
    const struct key_version *v, const struct hash_type *hash,
    struct hf_bytes in, uint8_t *out)
{
	const struct hsm_key *k =
	    key->type->family == FAMILY_HMAC ? &v->hsm : &v->hsm_hmac;

	if (k->type == NULL)
		return HF_ERR_NO_PRIVATE_PART;
	return leave(hsm_key_hmac(enter(use, v, k), k, hash, in, out));
}

static enum hf_err
hsm_cmac_with(const struct keyuse *use, const struct key_version *v,
    struct hf_bytes in, uint8_t *out)
{
	return leave(hsm_key_cmac(enter(use, v, &v->hsm), &v->hsm, in, out));
}

static enum hf_err
hsm_aes_with(const struct keyuse *use, const struct key_version *v,
    const struct aes_how *how, struct hf_bytes in, uint8_t *out, size_t *len)
{
	return leave(
	    hsm_key_aes(enter(use, v, &v->hsm), &v->hsm, how, in, out, len));
}

static enum hf_err
hsm_ecdh_with(const struct keyuse *use, const struct key_version *v,
    struct hf_bytes point, struct secret *out)
{
	return leave(hsm_key_ecdh(enter(use, v, &v->hsm), &v->hsm, point, out));
}

static enum hf_err
hsm_hkdf_with(const struct keyuse *use, const struct key_version *v,
    const struct hkdf *how, struct secret *out)
{
	return hsm_key_hkdf(keyuse_hsm(use, v, &v->hsm), &v->hsm, how, out);
}

static const struct keyuse_level levels[] = {
	[LEVEL_WRAPPED] = {
		.blocks = false,
		.seal = wrapped_seal,
		.open = wrapped_open,
		.decrypt_rsa = wrapped_decrypt_rsa,
		.rsa_raw = wrapped_rsa_raw,
		.sign = wrapped_sign,
		.hmac = wrapped_hmac,
		.cmac = wrapped_cmac,
		.aes = wrapped_aes,
		.ecdh = wrapped_ecdh,
		.hkdf = wrapped_hkdf,
	},
	[LEVEL_HSM] = {
		.blocks = true,
		.seal = hsm_seal_with,
		.open = hsm_open_with,
		.decrypt_rsa = hsm_decrypt_rsa_with,
		.rsa_raw = hsm_rsa_raw_with,
		.sign = hsm_sign_with,
		.hmac = hsm_hmac_with,
		.cmac = hsm_cmac_with,
		.aes = hsm_aes_with,
		.ecdh = hsm_ecdh_with,
		.hkdf = hsm_hkdf_with,
	},
};

const struct keyuse_level *
keyuse_level(enum key_level level)
{
	return &levels[level];
}
