/* SPDX-License-Identifier: Apache-2.0 */
#include <stdatomic.h>
#include <string.h>

#include "../lib/bytes.h"
#include "hsm_internal.h"
#include "hsm_process.h"
#include "log.h"

/*
 * What keys at level hsm can do on this HSM beside what each of them was tried
 * with: found out at each connection with keys that are made as theirs are.
 * Nothing has to be brought in for it. The modes of AES follow from each other:
 * GCM was compared with software (hsm_known.c), its key stream is ECB of a
 * counter, and the others are that ECB and some XOR.
 */

enum { BLOCK = 16, TEXT = 2 * BLOCK };

static const uint8_t text[TEXT] = "holdfast asks what an HSM can..";

struct trial {
	struct hsm_call *call;
	CK_OBJECT_HANDLE aes;
	bool right; /* out: it gave the known answer */
};

static enum hf_err
ecb(struct trial *t, const uint8_t in[BLOCK], uint8_t out[BLOCK])
{
	const struct aes_how how = { .mode = AES_ECB, .encrypt = true };

	return aes_blocks(t->call, t->aes, &how, bytes_of(in, BLOCK), out);
}

static void
xor_block(uint8_t out[BLOCK], const uint8_t *a, const uint8_t *b)
{
	for (size_t i = 0; i < BLOCK; i++)
		out[i] = a[i] ^ b[i];
}

/* Both ways; and encrypted it is what it should be. */
static enum hf_err
both_ways(struct trial *t, struct aes_how how, const uint8_t want[TEXT])
{
	uint8_t sealed[TEXT] = { 0 }, plain[TEXT] = { 0 };
	enum hf_err err;

	how.encrypt = true;
	err = aes_blocks(
	    t->call, t->aes, &how, bytes_of(text, sizeof(text)), sealed);
	how.encrypt = false;
	if (err == HF_OK)
		err = aes_blocks(t->call, t->aes, &how,
		    bytes_of(sealed, sizeof(sealed)), plain);
	t->right = err == HF_OK && memcmp(sealed, want, TEXT) == 0 &&
	    memcmp(plain, text, TEXT) == 0;
	return err;
}

/* NIST SP 800-38D, 7.1: with a nonce of 96 bits the first block of text is
 * under the counter 2. */
static enum hf_err
ecb_trial(struct trial *t)
{
	uint8_t counter[BLOCK] = { 1 }, sealed[BLOCK + GCM_TAG] = { 0 };
	uint8_t stream[BLOCK] = { 0 };
	uint8_t want[TEXT] = { 0 };
	enum hf_err err =
	    gcm_encrypt(t->call, t->call->hsm->traits.nonce, t->aes, counter,
		(struct hf_bytes){ 0 }, bytes_of(text, BLOCK), sealed);

	put_u32(counter + GCM_NONCE, 2);
	if (err == HF_OK)
		err = ecb(t, counter, stream);
	xor_block(stream, stream, text);
	if (err == HF_OK && memcmp(stream, sealed, BLOCK) != 0)
		return HF_OK; /* and not right */
	for (size_t i = 0; err == HF_OK && i < TEXT; i += BLOCK)
		err = ecb(t, text + i, want + i);
	if (err != HF_OK)
		return err;
	return both_ways(t, (struct aes_how){ .mode = AES_ECB }, want);
}

static enum hf_err
cbc_trial(struct trial *t)
{
	static const uint8_t iv[BLOCK] = "an initial value";
	struct aes_how how = { .mode = AES_CBC, .iv = bytes_of(iv, BLOCK) };
	const uint8_t *before = iv;
	uint8_t want[TEXT], block[BLOCK];

	for (size_t i = 0; i < TEXT; i += BLOCK) {
		enum hf_err err;

		xor_block(block, text + i, before);
		if ((err = ecb(t, block, want + i)) != HF_OK)
			return err;
		before = want + i;
	}
	return both_ways(t, how, want);
}

/* The carry leaves the last byte, so that one that counts less shows. */
static enum hf_err
ctr_trial(struct trial *t)
{
	uint8_t counter[BLOCK] = "nonce and count";
	uint8_t first[BLOCK] = { 0 }, want[TEXT];
	struct aes_how how = {
		.mode = AES_CTR, .iv = bytes_of(first, BLOCK), .ctr_bits = 32
	};

	put_u32(counter + 12, 0x1ff);
	memcpy(first, counter, BLOCK);
	for (size_t i = 0; i < TEXT; i += BLOCK) {
		enum hf_err err = ecb(t, counter, want + i);

		if (err != HF_OK)
			return err;
		xor_block(want + i, want + i, text + i);
		put_u32(counter + 12, 0x200);
	}
	return both_ways(t, how, want);
}

/* NIST SP 800-38B, 6.1 and 6.2: of one whole block it is the block, with the
 * first subkey, under ECB. */
static enum hf_err
cmac_trial(struct trial *t)
{
	uint8_t zero[BLOCK] = { 0 }, subkey[BLOCK] = { 0 };
	uint8_t have[BLOCK] = { 0 }, want[BLOCK] = { 0 };
	unsigned carry = 0;
	enum hf_err err = ecb(t, zero, subkey);

	for (size_t i = BLOCK; i-- > 0;) {
		unsigned doubled = subkey[i] * 2U + carry;

		subkey[i] = (uint8_t)doubled;
		carry = doubled >> 8;
	}
	subkey[BLOCK - 1] ^= (uint8_t)(0x87 * carry);
	xor_block(subkey, subkey, text);
	if (err == HF_OK)
		err = ecb(t, subkey, want);
	if (err == HF_OK)
		err = aes_cmac(t->call, t->aes, bytes_of(text, BLOCK), have);
	t->right = err == HF_OK && memcmp(have, want, BLOCK) == 0;
	return err;
}

/* -- ECDH, with a key of software on the other side -- */

/* The bare point at the end of a SubjectPublicKeyInfo. */
static struct hf_bytes
point_of(const struct key_type *type, const uint8_t *spki, size_t len)
{
	size_t size = 1 + 2 * type->size;

	return bytes_of(spki + len - size, size);
}

static enum hf_err
ecdh_compare(struct trial *t, const struct key_type *type,
    CK_OBJECT_HANDLE private, struct hf_bytes public)
{
	AUTO_SECRET material = { 0 };
	AUTO_SECRET ours = { 0 };
	AUTO_SECRET theirs = { 0 };
	uint8_t spki[SPKI_MAX];
	struct crypto_key *pair;
	size_t len;
	enum hf_err err;

	if ((err = crypto_generate(type, 0, &material)) != HF_OK ||
	    (err = crypto_key_private(type, secret_view(&material), &pair)) !=
		HF_OK)
		return err;
	if ((err = crypto_key_spki(pair, spki, sizeof(spki), &len)) == HF_OK)
		err = crypto_ecdh(pair, public, &ours);
	crypto_key_free(pair);
	if (err == HF_OK)
		err = secret_alloc(&theirs, type->size);
	if (err == HF_OK)
		err = ecdh_derive(
		    t->call, private, point_of(type, spki, len), &theirs);
	t->right = err == HF_OK &&
	    bytes_equal_ct(secret_view(&ours), secret_view(&theirs));
	return err;
}

static enum hf_err
ecdh_trial(struct trial *t)
{
	const struct key_type *type = key_type_by_id(KEY_ECDSA_P256);
	const struct hsm_alg *alg = hsm_alg_of(type);
	struct hsm_call *call = t->call;
	CK_MECHANISM m = mechanism(alg->generate);
	struct key_template public = { 0 }, private = { 0 };
	CK_OBJECT_HANDLE a, b;
	uint8_t spki[SPKI_MAX];
	size_t len;
	enum hf_err err;

	template_public(&public, alg, type->bits, false);
	template_key(&private, alg->class, alg->use | alg->besides, 0);
	err = call_check(call,
	    call->fn->C_GenerateKeyPair(call->session, &m, public.a,
		public.count, private.a, private.count, &a, &b));
	if (err == HF_OK)
		err = object_spki(call, a, type, spki, &len);
	return err != HF_OK
	    ? err
	    : ecdh_compare(t, type, b, point_of(type, spki, len));
}

/* -- All of them -- */

/* In this order: those after the first need it. */
static const struct {
	enum hsm_can can;
	const char *what;
	enum hf_err (*run)(struct trial *t);
} trials[] = {
	{ HSM_CAN_ECB, "AES-ECB and key wrap", ecb_trial },
	{ HSM_CAN_CBC, "AES-CBC", cbc_trial },
	{ HSM_CAN_CTR, "AES-CTR", ctr_trial },
	{ HSM_CAN_CMAC, "CMAC with keys that encrypt", cmac_trial },
	{ HSM_CAN_ECDH, "ECDH", ecdh_trial },
};

/* As the keys that it stands for; some HSMs may not let one do all that. */
static enum hf_err
aes_make(struct trial *t, bool besides)
{
	const struct hsm_alg *alg =
	    hsm_alg_of(key_type_by_id(KEY_AES256_GCM96));
	CK_MECHANISM m = mechanism(alg->generate);
	struct key_template k = { 0 };

	template_key(
	    &k, alg->class, alg->use | (besides ? alg->besides : 0), 0);
	template_number(&k, CKA_VALUE_LEN, 32);
	return call_check(t->call,
	    t->call->fn->C_GenerateKey(
		t->call->session, &m, k.a, k.count, &t->aes));
}

static enum hf_err
trial_in_session(struct trial *t, size_t i)
{
	enum hf_err err = call_renew(t->call);

	call_forgive(t->call);
	t->right = false;
	if (err == HF_OK && trials[i].can != HSM_CAN_ECDH)
		err = aes_make(t, trials[i].can == HSM_CAN_CMAC);
	return err == HF_OK ? trials[i].run(t) : err;
}

/* It says that it cannot, or does it wrong. */
static bool
is_answer(const struct hsm_call *call)
{
	return call->class == CLASS_OK || call->class == CLASS_DATA;
}

static void
quirks_of_lack(struct hsm *hsm, unsigned can)
{
	for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++)
		if ((can & (unsigned)trials[i].can) == 0)
			quirk_add(hsm,
			    "%s: not as it should be, so that keys at level "
			    "hsm do without",
			    trials[i].what);
}

/*
 * A token that is sick or gone has not answered: it is asked at the next
 * connection, and whoever needs the HSM for more will find out. What was
 * answered holds as long as we run: it is always the same token.
 */
void
can_find(struct hsm_call *call)
{
	struct hsm *hsm = call->hsm;
	unsigned can = atomic_load(&hsm->can);
	struct trial t = { .call = call };

	for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++) {
		unsigned bit = trials[i].can;
		enum hf_err err;

		if ((hsm->asked & bit) != 0)
			continue;
		err = trial_in_session(&t, i);
		if (err != HF_OK && !is_answer(call))
			continue;
		hsm->asked |= bit;
		if (err == HF_OK && t.right)
			can |= bit;
	}
	call_forgive(call);
	atomic_store(&hsm->can, can);
	quirks_of_lack(hsm, can);
}

unsigned
hsm_can(struct hsm *hsm)
{
	return hsm->process != NULL ? hsm_process_can(hsm->process)
				    : atomic_load(&hsm->can);
}

unsigned
key_uses(struct hsm *hsm, const struct hsm_alg *alg)
{
	bool besides = (hsm_can(hsm) & alg->needs) != 0;

	return alg->use | (besides ? alg->besides : 0);
}
