/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/bytes.h"
#include "hsm_probe.h"
#include "hsm_remote.h"

/*
 * The matrix for people: each mechanism that the daemon or the PKCS#11 module
 * has a use for, really tried, against software where there is a way. Keys
 * are session objects of the call's session; each row runs in a session of its
 * own, so that a row that goes wrong leaves nothing for the next.
 */

enum { EXTRA_QUIRKS = 4, TEXT_LEN = 32 };

/* -- The matrix -- */

/* clang-format off */
#define ROW(ckm, use, run, arg) { CKM_##ckm, "CKM_" #ckm, use, run, arg }

static const struct check checks[] = {
	ROW(AES_KEY_GEN,              "master and wrapping keys",          try_generate_secret, NULL),
	ROW(GENERIC_SECRET_KEY_GEN,   "HMAC keys",                         try_generate_secret, NULL),
	ROW(RSA_PKCS_KEY_PAIR_GEN,    "RSA keys",                          try_generate_pair,   "rsa-2048"),
	ROW(EC_KEY_PAIR_GEN,          "audit key, ECDSA keys",             try_generate_pair,   "ecdsa-p256"),
	ROW(EC_EDWARDS_KEY_PAIR_GEN,  "Ed25519 keys",                      try_generate_pair,   "ed25519"),
	ROW(AES_GCM,                  "sealing keyring keys, aes-gcm96",   try_gcm,             NULL),
	ROW(AES_CBC,                  "module, padded or not",             try_aes_iv,          NULL),
	ROW(AES_CBC_PAD,              "not needed: padded here",           try_aes_iv,          NULL),
	ROW(AES_CTR,                  "module",                            try_aes_ctr,         NULL),
	ROW(AES_ECB,                  "module, also for wrapping of keys", try_aes,             NULL),
	ROW(AES_CMAC,                 "aes-cmac, module",                  try_cmac,            NULL),
	ROW(AES_KEY_WRAP,             "not needed: made of AES-ECB",       try_wrap,            NULL),
	ROW(AES_KEY_WRAP_KWP,         "keys at level hsm, kept outside",   try_wrap,            NULL),
	ROW(AES_KEY_WRAP_PAD,         "the same, where it is RFC 5649",    try_wrap,            NULL),
	ROW(RSA_AES_KEY_WRAP,         "import in one step",                try_rsa_aes_wrap,    NULL),
	ROW(RSA_PKCS,                 "pkcs1v15 signatures",               try_rsa_sign,        NULL),
	ROW(RSA_PKCS,                 "module: PKCS#1 v1.5 decryption",    try_rsa_decrypt,     NULL),
	ROW(RSA_PKCS_PSS,             "pss signatures",                    try_rsa_sign,        NULL),
	ROW(RSA_X_509,                "OAEP with padding in software",     try_rsa_raw,         NULL),
	ROW(RSA_PKCS_OAEP,            "decryption with SHA-256",           try_oaep,            "sha2-256"),
	ROW(RSA_PKCS_OAEP,            "module: decryption with SHA-1",     try_oaep,            "sha1"),
	ROW(SHA1_RSA_PKCS,            "module",                            try_rsa_hashed,      "sha1"),
	ROW(SHA256_RSA_PKCS,          "module",                            try_rsa_hashed,      "sha2-256"),
	ROW(SHA384_RSA_PKCS,          "module",                            try_rsa_hashed,      "sha2-384"),
	ROW(SHA512_RSA_PKCS,          "module",                            try_rsa_hashed,      "sha2-512"),
	ROW(SHA256_RSA_PKCS_PSS,      "module",                            try_pss_hashed,      "sha2-256"),
	ROW(SHA384_RSA_PKCS_PSS,      "module",                            try_pss_hashed,      "sha2-384"),
	ROW(SHA512_RSA_PKCS_PSS,      "module",                            try_pss_hashed,      "sha2-512"),
	ROW(ECDSA,                    "audit checkpoints, P-256",          try_ecdsa,           "ecdsa-p256"),
	ROW(ECDSA,                    "P-384",                             try_ecdsa,           "ecdsa-p384"),
	ROW(ECDSA,                    "P-521",                             try_ecdsa,           "ecdsa-p521"),
	ROW(ECDSA_SHA256,             "module",                            try_ecdsa_hashed,    "sha2-256"),
	ROW(ECDSA_SHA384,             "module",                            try_ecdsa_hashed,    "sha2-384"),
	ROW(ECDSA_SHA512,             "module",                            try_ecdsa_hashed,    "sha2-512"),
	ROW(EDDSA,                    "Ed25519",                           try_ecdsa,           "ed25519"),
	ROW(ECDH1_DERIVE,             "key agreement",                     try_ecdh,            NULL),
	ROW(ECDH1_DERIVE,             "not needed: the KDF is done here",  try_ecdh,            "sha2-256"),
	ROW(HKDF_DERIVE,              "not used: extraction, for others",  try_hkdf,            NULL),
	ROW(SHA_1_HMAC,               "hmac",                              try_hmac,            "sha1"),
	ROW(SHA224_HMAC,              "hmac",                              try_hmac,            "sha2-224"),
	ROW(SHA256_HMAC,              "hmac",                              try_hmac,            "sha2-256"),
	ROW(SHA384_HMAC,              "hmac",                              try_hmac,            "sha2-384"),
	ROW(SHA512_HMAC,              "hmac",                              try_hmac,            "sha2-512"),
	ROW(SHA_1,                    "module",                            try_digest,          "sha1"),
	ROW(SHA256,                   "module",                            try_digest,          "sha2-256"),
	ROW(SHA384,                   "module",                            try_digest,          "sha2-384"),
	ROW(SHA512,                   "module",                            try_digest,          "sha2-512"),
	ROW(SHA3_256,                 "module",                            try_digest,          "sha3-256"),
	ROW(SHA3_512,                 "module",                            try_digest,          "sha3-512"),
};

/* Not a mechanism of their own: what may be wrapped with the one found. */
static const struct check wraps[] = {
	{ 0, "wrapping", "aes256-gcm96 at level hsm", try_wrap_type, "aes256-gcm96" },
	{ 0, "wrapping", "hmac at level hsm",         try_wrap_type, "hmac" },
	{ 0, "wrapping", "rsa-2048 at level hsm",     try_wrap_type, "rsa-2048" },
	{ 0, "wrapping", "ecdsa-p256 at level hsm",   try_wrap_type, "ecdsa-p256" },
	{ 0, "wrapping", "ecdsa-p521 at level hsm",   try_wrap_type, "ecdsa-p521" },
	{ 0, "wrapping", "ed25519 at level hsm",      try_wrap_type, "ed25519" },
};
/* clang-format on */

enum {
	CHECKS = sizeof(checks) / sizeof(checks[0]),
	WRAPS = sizeof(wraps) / sizeof(wraps[0])
};

static bool
offered(struct probe *p, const struct check *check)
{
	CK_MECHANISM_INFO info;

	return check->type == 0 ||
	    p->call.fn->C_GetMechanismInfo(p->hsm->slot, check->type, &info) ==
	    CKR_OK;
}

/* The row goes on, unless it is the HSM that is lost. */
static bool
hsm_lost(const struct hsm_call *call)
{
	return call->class == CLASS_DEVICE || call->class == CLASS_LOGIN;
}

static enum hf_err
row_run(struct probe *p, const struct check *check, struct hsm_probe_row *row)
{
	const char *result = "absent";
	enum hf_err err;

	p->note[0] = '\0';
	call_forgive(&p->call);
	(void)snprintf(row->name, sizeof(row->name), "%s", check->name);
	(void)snprintf(row->use, sizeof(row->use), "%s", check->use);
	if (offered(p, check)) {
		err = call_renew(&p->call);
		if (err == HF_OK)
			err = check->run(p, check);
		if (err != HF_OK && hsm_lost(&p->call))
			return err;
		result = err == HF_OK ? "works" : "fails";
		if (err != HF_OK && p->note[0] == '\0')
			(void)snprintf(p->note, sizeof(p->note), "%s",
			    p->call.rv != CKR_OK ? ckr_row(p->call.rv)->name
						 : hf_err_sentence(err));
	}
	(void)snprintf(row->result, sizeof(row->result), "%s", result);
	(void)snprintf(row->note, sizeof(row->note), "%s", p->note);
	return HF_OK;
}

/* -- Quirks -- */

static void __attribute__((format(printf, 2, 3)))
quirk(struct hsm_probe *out, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(
	    out->quirks[out->quirk_count++], sizeof(*out->quirks), fmt, ap);
	va_end(ap);
}

/* What we never do, and what the HSM should not let us do. */
static bool
gcm_takes(struct probe *p, CK_GCM_PARAMS params)
{
	static const uint8_t text[TEXT_LEN];
	CK_MECHANISM m = { CKM_AES_GCM, &params, sizeof(params) };
	uint8_t out[TEXT_LEN + 64];
	size_t len = sizeof(out);

	return call_renew(&p->call) == HF_OK &&
	    call_crypt(&p->call, CRYPT_ENCRYPT, &m, p->aes,
		bytes_of(text, sizeof(text)), out, &len) == HF_OK;
}

static void
quirks_find(struct probe *p)
{
	static uint8_t nonce[GCM_NONCE] = { 7 };
	const struct hsm_traits *traits = &p->hsm->traits;

	for (size_t i = 0; i < traits->quirk_count; i++)
		quirk(p->out, "%s", traits->quirks[i]);
	if (gcm_takes(p, (CK_GCM_PARAMS){ .ulTagBits = 128 }))
		quirk(p->out,
		    "AES-GCM without a nonce is taken, under one "
		    "that never changes; Holdfast always gives one");
	if (gcm_takes(p,
		(CK_GCM_PARAMS){
		    .pIv = nonce, .ulIvLen = sizeof(nonce), .ulIvBits = 96 }))
		quirk(p->out,
		    "AES-GCM without a tag is taken; Holdfast "
		    "always asks for 128 bits");
	call_forgive(&p->call);
}

/* -- Running it -- */

static enum hf_err
keys_make(struct probe *p)
{
	enum hf_err err = secret_make(p->keeper, CKM_AES_KEY_GEN, 32, &p->aes);

	if (err != HF_OK)
		return err;
	/* Without RSA its rows fail, each with a bad handle. */
	err = pair_make(
	    p->keeper, key_type_by_name(TEXT("rsa-2048")), 0, &p->rsa);
	if (err != HF_OK && !hsm_lost(p->keeper)) {
		p->rsa.public = p->rsa.private = CK_INVALID_HANDLE;
		call_forgive(p->keeper);
		return HF_OK;
	}
	return err;
}

static enum hf_err
rows_run(struct probe *p)
{
	struct hsm_probe *out = p->out;
	enum hf_err err = HF_OK;

	out->count = out->quirk_count = 0;
	for (size_t i = 0; err == HF_OK && i < CHECKS + WRAPS; i++)
		err = row_run(p, i < CHECKS ? &checks[i] : &wraps[i - CHECKS],
		    &out->rows[out->count++]);
	if (err == HF_OK)
		quirks_find(p);
	return err;
}

static enum hf_err
probe_work(struct hsm_call *call, void *arg)
{
	struct probe p = { .hsm = call->hsm,
		.keeper = call,
		.out = arg,
		.call = { .hsm = call->hsm,
		    .fn = call->fn,
		    .deadline = call->deadline } };
	enum hf_err err = keys_make(&p);

	p.call.slot = &p.slot;
	if (err == HF_OK) {
		err = rows_run(&p);
		call->rv = p.call.rv;
		call->class = p.call.class;
	}
	if (p.slot.open)
		(void)call->fn->C_CloseSession(p.slot.handle);
	/* The keys go with their session. */
	if (err == HF_OK)
		err = call_renew(call);
	return err;
}

enum hf_err
hsm_probe_run(struct hsm *hsm, struct hsm_probe *out)
{
	struct hsm_probe probe = { 0 };
	struct hsm_info info;
	enum hf_err err;

	if (hsm_is_remote(hsm))
		return remote_probe(hsm, out);
	probe.rows = calloc(CHECKS + WRAPS, sizeof(*probe.rows));
	probe.quirks = calloc(QUIRKS_MAX + EXTRA_QUIRKS, sizeof(*probe.quirks));
	err = probe.rows == NULL || probe.quirks == NULL
	    ? HF_ERR_NO_MEMORY
	    : hsm_run(hsm, RUN_SAFE, probe_work, &probe);
	if (err != HF_OK) {
		hsm_probe_free(&probe);
		return err;
	}
	hsm_info(hsm, &info);
	memcpy(probe.token, info.token, sizeof(probe.token));
	*out = probe;
	return HF_OK;
}

void
hsm_probe_free(struct hsm_probe *probe)
{
	free(probe->rows);
	free(probe->quirks);
	*probe = (struct hsm_probe){ 0 };
}
