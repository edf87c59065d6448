/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../lib/bytes.h"
#include "crypto.h"
#include "hsm_internal.h"

/*
 * What an HSM does is found out, not guessed from its maker's name. A wrong
 * answer is final: better no service than keys under a nonce that repeats.
 */

static const uint8_t known_text[KNOWN_TEXT] = "holdfast known answer, 32 bytes";
static const uint8_t known_aad[] = "holdfast";
static const uint8_t known_value[32] = { 0x48, 0x6f, 0x6c, 0x64, 0x66, 0x61,
	0x73, 0x74 };

/* RFC 5649, section 6, the first example. */
static const uint8_t kwp_kek[24] = { 0x58, 0x40, 0xdf, 0x6e, 0x29, 0xb0, 0x2a,
	0xf1, 0xab, 0x49, 0x3b, 0x70, 0x5b, 0xf1, 0x6e, 0xa1, 0xae, 0x83, 0x38,
	0xf4, 0xdc, 0xc1, 0x76, 0xa8 };
static const uint8_t kwp_key[20] = { 0xc3, 0x7b, 0x7e, 0x64, 0x92, 0x58, 0x43,
	0x40, 0xbe, 0xd1, 0x22, 0x07, 0x80, 0x89, 0x41, 0x15, 0x50, 0x68, 0xf7,
	0x38 };
static const uint8_t kwp_wrapped[32] = { 0x13, 0x8b, 0xde, 0xaa, 0x9b, 0x8f,
	0xa7, 0xfc, 0x61, 0xf9, 0x77, 0x42, 0xe7, 0x22, 0x48, 0xee, 0x5a, 0xe6,
	0xae, 0x53, 0x60, 0xd1, 0xae, 0x6a, 0x5f, 0x54, 0xf3, 0x73, 0xfa, 0x54,
	0x3b, 0x6a };

struct known {
	struct hsm *hsm;
	struct hsm_call call; /* a session of its own, not the anchor */
	struct hf_why *why;
};

void
quirk_add(struct hsm *hsm, const char *fmt, ...)
{
	struct hsm_traits *traits = &hsm->traits;
	va_list ap;

	if (traits->quirk_count == QUIRKS_MAX)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(traits->quirks[traits->quirk_count++],
	    sizeof(traits->quirks[0]), fmt, ap);
	va_end(ap);
}

static enum hf_err
unsuitable(struct known *k, const char *reason)
{
	return hf_fail(k->why, HF_ERR_HSM_UNSUITABLE, "%s", reason);
}

/* -- Random -- */

static enum hf_err
random_test(struct known *k)
{
	uint8_t a[32], b[32];
	struct hsm_call *call = &k->call;
	enum hf_err err = call_check(
	    call, call->fn->C_GenerateRandom(call->session, a, sizeof(a)));

	if (err == HF_OK)
		err = call_check(call,
		    call->fn->C_GenerateRandom(call->session, b, sizeof(b)));
	if (err == HF_OK && memcmp(a, b, sizeof(a)) == 0)
		return unsuitable(k, "two random draws were equal");
	return err;
}

/* -- A key whose value nobody may see -- */

static enum hf_err
key_test(struct known *k)
{
	struct hsm *hsm = k->hsm;
	CK_MECHANISM m = mechanism(CKM_AES_KEY_GEN);
	struct key_template t = { 0 };
	uint8_t value[32];
	CK_ATTRIBUTE look = { CKA_VALUE, value, sizeof(value) };
	enum hf_err err;

	template_key(&t, CKO_SECRET_KEY, USE_ENCRYPT | USE_DECRYPT, 0);
	template_number(&t, CKA_VALUE_LEN, sizeof(value));
	err = call_check(&k->call,
	    hsm->fn->C_GenerateKey(
		hsm->anchor, &m, t.a, t.count, &hsm->known_key));
	if (err != HF_OK)
		return err;
	if (hsm->fn->C_GetAttributeValue(
		k->call.session, hsm->known_key, &look, 1) == CKR_OK)
		return unsuitable(
		    k, "the HSM gives out the value of a sensitive key");
	return HF_OK;
}

/* -- AES-GCM -- */

static enum hf_err
nonce_draw(struct known *k, uint8_t nonce[GCM_NONCE])
{
	return call_check(&k->call,
	    k->call.fn->C_GenerateRandom(k->call.session, nonce, GCM_NONCE));
}

static enum hf_err
nonce_mode_sort(struct known *k, size_t extra, bool changed)
{
	if (extra == GCM_TAG + 16)
		return unsuitable(
		    k, "the HSM makes AES-GCM nonces of 16 bytes; only 12 fit");
	if (extra != GCM_TAG && extra != GCM_TAG + GCM_NONCE)
		return unsuitable(
		    k, "an AES-GCM ciphertext does not have a tag of 16 bytes");
	if (extra == GCM_TAG && !changed)
		k->hsm->traits.nonce = NONCE_CALLER;
	else
		k->hsm->traits.nonce =
		    extra == GCM_TAG ? NONCE_WRITTEN : NONCE_APPENDED;
	return HF_OK;
}

/* Does the HSM use our nonce, or one of its own? */
static enum hf_err
nonce_mode_find(struct known *k)
{
	uint8_t drawn[GCM_NONCE], nonce[GCM_NONCE];
	uint8_t out[KNOWN_TEXT + 64];
	size_t len = sizeof(out);
	enum hf_err err = nonce_draw(k, drawn);

	if (err != HF_OK)
		return err;
	memcpy(nonce, drawn, sizeof(nonce));
	err = gcm_try(&k->call, k->hsm->known_key, nonce,
	    bytes_of(known_aad, sizeof(known_aad)),
	    bytes_of(known_text, sizeof(known_text)), out, &len);
	if (err != HF_OK && k->call.class == CLASS_DATA) {
		/* nShield in FIPS mode refuses any nonce but zeros. */
		memset(drawn, 0, sizeof(drawn));
		memset(nonce, 0, sizeof(nonce));
		len = sizeof(out);
		err = gcm_try(&k->call, k->hsm->known_key, nonce,
		    bytes_of(known_aad, sizeof(known_aad)),
		    bytes_of(known_text, sizeof(known_text)), out, &len);
		if (err == HF_OK && len == KNOWN_TEXT + GCM_TAG &&
		    memcmp(nonce, drawn, sizeof(nonce)) == 0)
			return unsuitable(
			    k, "the HSM takes no AES-GCM nonce but zeros");
	}
	if (err != HF_OK)
		return err;
	return nonce_mode_sort(
	    k, len - KNOWN_TEXT, memcmp(nonce, drawn, sizeof(nonce)) != 0);
}

struct gcm_sample {
	uint8_t nonce[GCM_NONCE];
	uint8_t sealed[KNOWN_TEXT + GCM_TAG];
};

static enum hf_err
sample_make(struct known *k, CK_OBJECT_HANDLE key, struct gcm_sample *s)
{
	return gcm_encrypt(&k->call, k->hsm->traits.nonce, key, s->nonce,
	    bytes_of(known_aad, sizeof(known_aad)),
	    bytes_of(known_text, sizeof(known_text)), s->sealed);
}

/* HF_OK with *good, unless the HSM failed for another reason. */
static enum hf_err
sample_open(
    struct known *k, const struct gcm_sample *s, size_t aad_len, bool *good)
{
	uint8_t text[KNOWN_TEXT];
	enum hf_err err = gcm_decrypt(&k->call, k->hsm->known_key, s->nonce,
	    bytes_of(known_aad, aad_len),
	    bytes_of(s->sealed, sizeof(s->sealed)), text);

	*good = err == HF_OK && memcmp(text, known_text, sizeof(text)) == 0;
	if (err == HF_OK || k->call.class == CLASS_DATA ||
	    k->call.class == CLASS_AMBIGUOUS)
		return HF_OK;
	return err;
}

/* A nonce drawn twice differs, and what is made with it differs. */
static enum hf_err
gcm_repeat_test(struct known *k, struct gcm_sample *first)
{
	struct gcm_sample again, other;
	enum hf_err err = nonce_draw(k, first->nonce);

	if (err == HF_OK)
		err = nonce_draw(k, other.nonce);
	if (err == HF_OK)
		err = sample_make(k, k->hsm->known_key, first);
	if (err == HF_OK)
		err = sample_make(k, k->hsm->known_key, &other);
	memcpy(again.nonce, first->nonce, sizeof(again.nonce));
	if (err == HF_OK)
		err = sample_make(k, k->hsm->known_key, &again);
	if (err != HF_OK)
		return err;
	if (memcmp(first->nonce, other.nonce, GCM_NONCE) == 0 ||
	    memcmp(first->sealed, other.sealed, sizeof(first->sealed)) == 0)
		return unsuitable(k,
		    "AES-GCM repeats itself: two nonces gave one ciphertext");
	if (k->hsm->traits.nonce == NONCE_CALLER &&
	    memcmp(first->sealed, again.sealed, sizeof(first->sealed)) != 0)
		return unsuitable(
		    k, "AES-GCM does not use the nonce that it is given");
	return HF_OK;
}

static enum hf_err
gcm_open_test(struct known *k, const struct gcm_sample *sample)
{
	struct gcm_sample bad = *sample;
	bool good;
	enum hf_err err = sample_open(k, sample, sizeof(known_aad), &good);

	if (err != HF_OK)
		return err;
	/* A sick token says what it would say of a wrong tag: try again. */
	if (!good && k->call.class == CLASS_AMBIGUOUS)
		return HF_ERR_HSM_REFUSED;
	if (!good)
		return unsuitable(k, "AES-GCM does not give back the text");
	err = sample_open(k, sample, sizeof(known_aad) - 1, &good);
	if (err == HF_OK && good)
		return unsuitable(k, "AES-GCM ignores associated data");
	if (err != HF_OK || (err = call_renew(&k->call)) != HF_OK)
		return err;
	bad.sealed[sizeof(bad.sealed) - 1] ^= 1;
	call_forgive(&k->call);
	err = sample_open(k, &bad, sizeof(known_aad), &good);
	if (err == HF_OK && good)
		return unsuitable(k, "AES-GCM takes a wrong tag");
	if (err == HF_OK && k->call.class == CLASS_AMBIGUOUS)
		quirk_add(k->hsm,
		    "a wrong AES-GCM tag is answered with %s, as a failing "
		    "device would",
		    ckr_row(k->call.rv)->name);
	return err == HF_OK ? call_renew(&k->call) : err;
}

static enum hf_err
gcm_test(struct known *k)
{
	static const char *const modes[] = {
		[NONCE_CALLER] = NULL,
		[NONCE_WRITTEN] = "the HSM makes the nonce of AES-GCM and "
				  "writes it back",
		[NONCE_APPENDED] = "the HSM makes the nonce of AES-GCM and "
				   "appends it",
	};
	struct gcm_sample sample;
	enum hf_err err = nonce_mode_find(k);

	if (err == HF_OK)
		err = gcm_repeat_test(k, &sample);
	if (err == HF_OK)
		err = gcm_open_test(k, &sample);
	if (err != HF_OK)
		return err;
	if (modes[k->hsm->traits.nonce] != NULL)
		quirk_add(k->hsm, "%s; keys at level hsm cannot encrypt",
		    modes[k->hsm->traits.nonce]);
	memcpy(k->hsm->known_nonce, sample.nonce, GCM_NONCE);
	memcpy(k->hsm->known_sealed, sample.sealed, sizeof(sample.sealed));
	return HF_OK;
}

/* -- Against software, with keys that we bring -- */

static enum hf_err
key_bring(
    struct known *k, struct hf_bytes value, unsigned use, CK_OBJECT_HANDLE *out)
{
	struct key_template t = { 0 };

	template_number(&t, CKA_CLASS, CKO_SECRET_KEY);
	template_number(&t, CKA_KEY_TYPE, CKK_AES);
	template_key(&t, CKO_SECRET_KEY, use, 0);
	template_bytes(&t, CKA_VALUE, value);
	return call_check(&k->call,
	    k->call.fn->C_CreateObject(k->call.session, t.a, t.count, out));
}

static enum hf_err
gcm_software_test(struct known *k)
{
	struct hf_bytes value = bytes_of(known_value, sizeof(known_value));
	struct gcm_sample sample;
	uint8_t text[KNOWN_TEXT];
	CK_OBJECT_HANDLE key;
	enum hf_err err = key_bring(k, value, USE_ENCRYPT, &key);

	if (err != HF_OK && k->call.class == CLASS_DATA) {
		quirk_add(k->hsm,
		    "keys cannot be brought in, so AES-GCM and "
		    "key wrapping were not compared with software");
		return HF_OK;
	}
	if (err == HF_OK)
		err = nonce_draw(k, sample.nonce);
	if (err == HF_OK)
		err = sample_make(k, key, &sample);
	if (err != HF_OK)
		return err;
	(void)k->call.fn->C_DestroyObject(k->call.session, key);
	if (crypto_open(key_type_by_id(KEY_AES256_GCM96), value,
		bytes_of(sample.nonce, GCM_NONCE),
		bytes_of(known_aad, sizeof(known_aad)),
		bytes_of(sample.sealed, sizeof(sample.sealed)),
		text) != HF_OK ||
	    memcmp(text, known_text, sizeof(text)) != 0)
		return unsuitable(
		    k, "AES-GCM does not give what software gives");
	return HF_OK;
}

static bool
wrap_offered(struct known *k, CK_MECHANISM_TYPE type)
{
	CK_MECHANISM_INFO info;
	const CK_FLAGS both = CKF_WRAP | CKF_UNWRAP;

	return k->call.fn->C_GetMechanismInfo(k->hsm->slot, type, &info) ==
	    CKR_OK &&
	    (info.flags & both) == both;
}

/* Unwraps RFC 5649's example to something that may be read. */
static enum hf_err
wrap_vector(struct known *k, CK_MECHANISM_TYPE type, bool *right)
{
	struct hsm_call *call = &k->call;
	CK_MECHANISM m = mechanism(type);
	struct key_template t = { 0 };
	uint8_t value[64];
	size_t len = sizeof(value);
	CK_OBJECT_HANDLE kek, key;
	enum hf_err err =
	    key_bring(k, bytes_of(kwp_kek, sizeof(kwp_kek)), USE_UNWRAP, &kek);

	*right = false;
	if (err != HF_OK)
		return err;
	template_number(&t, CKA_CLASS, CKO_SECRET_KEY);
	template_number(&t, CKA_KEY_TYPE, CKK_GENERIC_SECRET);
	template_bool(&t, CKA_TOKEN, false);
	template_bool(&t, CKA_SENSITIVE, false);
	template_bool(&t, CKA_EXTRACTABLE, true);
	err = call_check(call,
	    call->fn->C_UnwrapKey(call->session, &m, kek, unconst(kwp_wrapped),
		sizeof(kwp_wrapped), t.a, t.count, &key));
	if (err == HF_OK)
		err = object_attribute(call, key, CKA_VALUE, value, &len);
	if (err != HF_OK)
		return err;
	*right = len == sizeof(kwp_key) && memcmp(value, kwp_key, len) == 0;
	return HF_OK;
}

/* What is ambiguous is the HSM's answer when it says so twice. */
static enum hf_err
wrap_vector_sure(struct known *k, CK_MECHANISM_TYPE type, bool *right)
{
	enum hf_err err = wrap_vector(k, type, right);

	if (err == HF_OK || k->call.class != CLASS_AMBIGUOUS)
		return err;
	call_forgive(&k->call);
	err = call_renew(&k->call);
	return err == HF_OK ? wrap_vector(k, type, right) : err;
}

/*
 * RFC 5649 has the number 0x210b since PKCS#11 3.0. Before that 0x210a was
 * used, for this (SoftHSM) or for another padding, so that one must give the
 * example's answer.
 */
static enum hf_err
wrap_test(struct known *k)
{
	static const CK_MECHANISM_TYPE candidates[] = { CKM_AES_KEY_WRAP_KWP,
		CKM_AES_KEY_WRAP_PAD };

	for (size_t i = 0; i < 2 && k->hsm->traits.wrap == 0; i++) {
		CK_MECHANISM_TYPE type = candidates[i];
		enum hf_err err;
		bool right;

		if (!wrap_offered(k, type))
			continue;
		err = wrap_vector_sure(k, type, &right);
		if (err != HF_OK && k->call.class != CLASS_DATA &&
		    k->call.class != CLASS_AMBIGUOUS)
			return err;
		if (right || (err != HF_OK && type == CKM_AES_KEY_WRAP_KWP))
			k->hsm->traits.wrap = type;
	}
	if (k->hsm->traits.wrap == CKM_AES_KEY_WRAP_PAD)
		quirk_add(k->hsm,
		    "key wrapping of RFC 5649 goes by the number "
		    "of CKM_AES_KEY_WRAP_PAD (0x210a)");
	if (k->hsm->traits.wrap == 0)
		quirk_add(k->hsm,
		    "there is no key wrapping of RFC 5649: keys "
		    "at level hsm stay resident in the HSM");
	return HF_OK;
}

/* -- What is not needed, but used where it is there -- */

static enum hf_err
can_test(struct known *k)
{
	can_find(&k->call);
	return HF_OK;
}

/* -- All of them -- */

static const struct {
	const char *what;
	enum hf_err (*test)(struct known *k);
} tests[] = {
	{ "random", random_test },
	{ "making an AES key", key_test },
	{ "AES-GCM", gcm_test },
	{ "AES-GCM with a known key", gcm_software_test },
	{ "key wrapping", wrap_test },
	{ "what keys can do", can_test },
};

/* What the HSM cannot do is final, that it fails now is not. */
static enum hf_err
test_failed(struct known *k, const char *what, enum hf_err err)
{
	bool cannot = k->call.class == CLASS_DATA && err != HF_ERR_BUSY;

	if (err == HF_ERR_HSM_UNSUITABLE)
		return err;
	if (k->call.class == CLASS_OK) /* ours: no memory, say */
		return hf_fail(k->why, HF_ERR_HSM_UNAVAILABLE, "%s: %s", what,
		    hf_err_sentence(err));
	return hf_fail(k->why,
	    cannot ? HF_ERR_HSM_UNSUITABLE : HF_ERR_HSM_UNAVAILABLE,
	    "%s: %s (0x%lx)", what, ckr_row(k->call.rv)->name, k->call.rv);
}

enum hf_err
known_answers(struct hsm *hsm, struct hf_why *why)
{
	struct hsm_session slot = { 0 };
	struct known k = { .hsm = hsm,
		.why = why,
		.call = { .hsm = hsm, .fn = hsm->fn, .slot = &slot } };
	const char *what = "C_OpenSession";
	enum hf_err err;

	memset(&hsm->traits, 0, sizeof(hsm->traits));
	err = call_renew(&k.call);
	for (size_t i = 0; err == HF_OK && i < sizeof(tests) / sizeof(tests[0]);
	     i++) {
		what = tests[i].what;
		call_forgive(&k.call);
		err = tests[i].test(&k);
	}
	if (slot.open)
		(void)hsm->fn->C_CloseSession(slot.handle);
	return err == HF_OK ? HF_OK : test_failed(&k, what, err);
}

/* -- Is it the data or the token? -- */

/* A master key works on the token, where the known key is not. */
static bool
master_healthy(struct hsm_call *call)
{
	struct hsm *hsm = call->hsm;
	uint8_t nonce[GCM_NONCE], sealed[KNOWN_TEXT + GCM_TAG];
	uint8_t text[KNOWN_TEXT];
	CK_OBJECT_HANDLE key;

	if (!handle_any_master(call, &key))
		return true;
	if (call->fn->C_GenerateRandom(call->session, nonce, sizeof(nonce)) !=
	    CKR_OK)
		return false;
	return gcm_encrypt(call, hsm->traits.nonce, key, nonce,
		   bytes_of(known_aad, sizeof(known_aad)),
		   bytes_of(known_text, sizeof(known_text)), sealed) == HF_OK &&
	    gcm_decrypt(call, key, nonce,
		bytes_of(known_aad, sizeof(known_aad)),
		bytes_of(sealed, sizeof(sealed)), text) == HF_OK &&
	    memcmp(text, known_text, sizeof(text)) == 0;
}

bool
known_healthy(struct hsm_call *call)
{
	struct hsm *hsm = call->hsm;
	uint8_t text[KNOWN_TEXT];

	return gcm_decrypt(call, hsm->known_key, hsm->known_nonce,
		   bytes_of(known_aad, sizeof(known_aad)),
		   bytes_of(hsm->known_sealed, sizeof(hsm->known_sealed)),
		   text) == HF_OK &&
	    memcmp(text, known_text, sizeof(text)) == 0 && master_healthy(call);
}
