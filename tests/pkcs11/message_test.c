/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The module with a daemon that a test plays: messages of AES-GCM, random bytes
 * of the HSM, and what becomes of answers that are not what was asked for.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "../../pkcs11/cryptoki.h"
#include "../fake/server.h"

enum { NONCE = 12, TAG = 16, DRAWN = 0x77, MASK = 0x5a, SAME = 0xee };

#define IS(call, want)                                              \
	do {                                                        \
		CK_RV rv_ = (call);                                 \
		if (rv_ != (want))                                  \
			fail_msg("0x%lx instead of 0x%lx: %s", rv_, \
			    (CK_ULONG)(want), #call);               \
	} while (0)
#define OK(call) IS(call, CKR_OK)

/* -- The daemon -- */

/* How it behaves, and what it was asked. */
struct daemon {
	struct server *server;
	int longer;         /* bytes that its answers have too many */
	enum hf_err refuse; /* what it says to everything */
	bool gone;          /* it hangs up instead of answering */
	uint64_t asked[4];  /* bytes of random, by request */
	unsigned randoms, uses;
};

static struct daemon d;
static CK_SESSION_HANDLE h;
static CK_OBJECT_HANDLE key;

/* A tag that depends on nonce, associated data and every byte. */
static void
tag_of(const struct hf_p11_how *how, const uint8_t *nonce, size_t nonce_len,
    const uint8_t *text, size_t len, uint8_t *tag)
{
	uint32_t sum = 1;

	for (size_t i = 0; i < nonce_len; i++)
		sum = sum * 31 + nonce[i];
	for (size_t i = 0; i < how->associated_data.len; i++)
		sum = sum * 31 + how->associated_data.ptr[i];
	for (size_t i = 0; i < len; i++)
		sum = sum * 31 + text[i];
	for (size_t i = 0; i < how->tag_bits / 8; i++)
		tag[i] = (uint8_t)(sum >> i % 24);
}

static size_t
encrypt(const struct hf_p11_session_use_in *in, uint8_t *out)
{
	static const uint8_t drawn[NONCE] = { DRAWN, DRAWN };
	bool draw = in->how.iv.ptr == NULL;
	struct hf_bytes nonce = draw ? bytes_of(drawn, NONCE) : in->how.iv;
	size_t at = 0;

	if (draw) {
		memcpy(out, drawn, NONCE);
		at = NONCE;
	}
	tag_of(&in->how, nonce.ptr, nonce.len, in->data.ptr, in->data.len,
	    out + at + in->data.len);
	for (size_t i = 0; i < in->data.len; i++)
		out[at + i] = in->data.ptr[i] ^ MASK;
	return at + in->data.len + in->how.tag_bits / 8;
}

static bool
decrypt(const struct hf_p11_session_use_in *in, uint8_t *out, size_t *len)
{
	size_t tag_len = in->how.tag_bits / 8;
	uint8_t tag[TAG];

	*len = in->data.len - tag_len;
	for (size_t i = 0; i < *len; i++)
		out[i] = in->data.ptr[i] ^ MASK;
	tag_of(&in->how, in->how.iv.ptr, in->how.iv.len, out, *len, tag);
	return bytes_equal(
	    bytes_of(tag, tag_len), bytes_of(in->data.ptr + *len, tag_len));
}

static void
answer_use(struct server_request *r)
{
	static uint8_t out[1 << 17];
	const struct hf_p11_session_use_in *in = r->in;
	struct hf_p11_session_use_out reply = { 0 };
	size_t len;

	d.uses++;
	if (text_is(in->operation, "encrypt"))
		len = encrypt(in, out);
	else if (!decrypt(in, out, &len)) {
		server_refuse(r, HF_ERR_AUTH_FAILED, "no");
		return;
	}
	reply.data = bytes_of(out, (size_t)((int)len + d.longer));
	server_answer(r, &reply);
}

static void
answer_random(struct server_request *r)
{
	static uint8_t out[1 << 17];
	const struct hf_random_in *in = r->in;
	struct hf_random_out reply = { 0 };
	size_t len = (size_t)((int)in->item.bytes + d.longer);

	if (d.randoms < 4)
		d.asked[d.randoms] = in->item.bytes;
	d.randoms++;
	memset(out, (int)d.randoms, len);
	reply.result.random_bytes = bytes_of(out, len);
	server_answer(r, &reply);
}

static enum server_act
answer(struct server *s, struct server_request *r)
{
	static const uint8_t blob[] = "a sealed session key";
	const struct hf_p11_made made = {
		.session_key = bytes_of(blob, sizeof(blob)), .key_size = 32
	};
	const struct hf_p11_find_out none = { .version = bytes_of(blob, 8) };

	(void)s;
	assert_non_null(r->in);
	if (d.gone)
		return ACT_HANG_UP;
	if (d.refuse != HF_OK)
		server_refuse(r, d.refuse, "not you");
	else if (r->op->id == OP_p11_session)
		server_answer(r, &made);
	else if (r->op->id == OP_p11_session_use)
		answer_use(r);
	else if (r->op->id == OP_transit_random)
		answer_random(r);
	else if (r->op->id == OP_p11_find)
		server_answer(r, &none);
	else
		fail_msg("asked for %s", r->op->name);
	return ACT_REPLY;
}

/* -- Around each test -- */

static void
configure(const char *more)
{
	char path[sizeof(d.server->folder) + 16], text[256];
	int fd, len;

	(void)snprintf(path, sizeof(path), "%s/p11.conf", d.server->folder);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	len = snprintf(text, sizeof(text),
	    "socket = %s\npatience = 0\ntimeout = 5\n%s", d.server->path, more);
	assert_int_equal(write(fd, text, (size_t)len), len);
	(void)close(fd);
	(void)setenv("HOLDFAST_PKCS11_CONFIG", path, 1);
}

static void
make_key(void)
{
	CK_MECHANISM gen = { CKM_AES_KEY_GEN, NULL, 0 };
	CK_ULONG len = 32;
	CK_ATTRIBUTE t[] = { { CKA_VALUE_LEN, &len, sizeof(len) } };

	OK(C_GenerateKey(h, &gen, t, 1, &key));
}

static int
begin_with(const char *more)
{
	CK_C_INITIALIZE_ARGS args = { .flags = CKF_OS_LOCKING_OK };

	d = (struct daemon){ .server = server_start(answer, NULL) };
	configure(more);
	OK(C_Initialize(&args));
	OK(C_OpenSession(
	    0, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &h));
	make_key();
	return 0;
}

static int
begin(void **state)
{
	(void)state;
	return begin_with("");
}

static int
begin_hsm(void **state)
{
	(void)state;
	return begin_with("random = hsm\n");
}

static int
end(void **state)
{
	char path[sizeof(d.server->folder) + 16];

	(void)state;
	OK(C_Finalize(NULL));
	(void)snprintf(path, sizeof(path), "%s/p11.conf", d.server->folder);
	(void)unlink(path);
	server_free(d.server);
	return 0;
}

/* -- Messages -- */

static CK_MECHANISM gcm = { CKM_AES_GCM, NULL, 0 };
static CK_BYTE text[] = "a message of some length", aad[] = "about it";
enum { LEN = sizeof(text) };

struct message {
	CK_BYTE nonce[NONCE], tag[TAG], data[LEN + 8];
	CK_ULONG len;
	CK_GCM_MESSAGE_PARAMS p;
};

static void
message_init(struct message *m, CK_GENERATOR_FUNCTION generator)
{
	*m = (struct message){ .nonce = { 1, 2, 3 },
		.len = LEN,
		.p = { .pIv = m->nonce,
		    .ulIvLen = NONCE,
		    .ivGenerator = generator,
		    .pTag = m->tag,
		    .ulTagBits = 8 * TAG } };
	memset(m->data, SAME, sizeof(m->data));
}

static CK_RV
seal(struct message *m)
{
	return C_EncryptMessage(h, &m->p, sizeof(m->p), aad, sizeof(aad), text,
	    LEN, m->data, &m->len);
}

static CK_RV
unseal(struct message *m, CK_BYTE *out, CK_ULONG *len)
{
	return C_DecryptMessage(h, &m->p, sizeof(m->p), aad, sizeof(aad),
	    m->data, m->len, out, len);
}

static void
a_message_comes_back(void **state)
{
	struct message m;
	CK_BYTE out[LEN];
	CK_ULONG n = LEN;

	(void)state;
	OK(C_MessageEncryptInit(h, &gcm, key));
	IS(C_MessageEncryptInit(h, &gcm, key), CKR_OPERATION_ACTIVE);
	OK(C_MessageDecryptInit(h, &gcm, key));
	for (int i = 0; i < 2; i++) {
		message_init(
		    &m, i == 0 ? CKG_NO_GENERATE : CKG_GENERATE_RANDOM);
		OK(seal(&m));
		assert_int_equal(m.len, LEN);
		assert_int_equal(m.nonce[0], i == 0 ? 1 : DRAWN);
		assert_int_equal(m.data[0], text[0] ^ MASK);
		assert_int_equal(m.data[LEN], SAME);
		n = LEN;
		OK(unseal(&m, out, &n));
		assert_memory_equal(out, text, LEN);
	}
	OK(C_MessageEncryptFinal(h));
	IS(seal(&m), CKR_OPERATION_NOT_INITIALIZED);
	OK(unseal(&m, out, &n));
	OK(C_MessageDecryptFinal(h));
	IS(unseal(&m, out, &n), CKR_OPERATION_NOT_INITIALIZED);
}

static void
a_message_in_parts_is_the_same(void **state)
{
	struct message whole, parts;
	CK_BYTE out[LEN], nothing[1];
	CK_ULONG n;

	(void)state;
	OK(C_MessageEncryptInit(h, &gcm, key));
	OK(C_MessageDecryptInit(h, &gcm, key));
	message_init(&whole, CKG_NO_GENERATE);
	OK(seal(&whole));
	message_init(&parts, CKG_NO_GENERATE);
	OK(C_EncryptMessageBegin(
	    h, &parts.p, sizeof(parts.p), aad, sizeof(aad)));
	for (CK_ULONG i = 0; i < 10; i++) {
		n = 0;
		OK(C_EncryptMessageNext(
		    h, &parts.p, sizeof(parts.p), text + i, 1, nothing, &n, 0));
		assert_int_equal(n, 0);
	}
	/* How long it will be, and too little room, cost nothing. */
	OK(C_EncryptMessageNext(h, &parts.p, sizeof(parts.p), text + 10,
	    LEN - 10, NULL, &n, CKF_END_OF_MESSAGE));
	assert_int_equal(n, LEN);
	n = LEN - 1;
	IS(C_EncryptMessageNext(h, &parts.p, sizeof(parts.p), text + 10,
	       LEN - 10, parts.data, &n, CKF_END_OF_MESSAGE),
	    CKR_BUFFER_TOO_SMALL);
	assert_int_equal(n, LEN);
	OK(C_EncryptMessageNext(h, &parts.p, sizeof(parts.p), text + 10,
	    LEN - 10, parts.data, &n, CKF_END_OF_MESSAGE));
	assert_memory_equal(parts.data, whole.data, LEN);
	assert_memory_equal(parts.tag, whole.tag, TAG);

	OK(C_DecryptMessageBegin(
	    h, &parts.p, sizeof(parts.p), aad, sizeof(aad)));
	n = LEN;
	OK(C_DecryptMessageNext(
	    h, &parts.p, sizeof(parts.p), parts.data, 3, out, &n, 0));
	n = LEN;
	OK(C_DecryptMessageNext(h, &parts.p, sizeof(parts.p), parts.data + 3,
	    LEN - 3, out, &n, CKF_END_OF_MESSAGE));
	assert_int_equal(n, LEN);
	assert_memory_equal(out, text, LEN);
}

static void
messages_have_an_order(void **state)
{
	struct message m;
	CK_BYTE out[LEN];
	CK_ULONG n = LEN;

	(void)state;
	message_init(&m, CKG_NO_GENERATE);
	OK(C_MessageEncryptInit(h, &gcm, key));
	IS(C_EncryptMessageNext(
	       h, &m.p, sizeof(m.p), text, LEN, out, &n, CKF_END_OF_MESSAGE),
	    CKR_OPERATION_NOT_INITIALIZED);
	OK(C_EncryptMessageBegin(h, &m.p, sizeof(m.p), aad, sizeof(aad)));
	IS(C_EncryptMessageBegin(h, &m.p, sizeof(m.p), aad, sizeof(aad)),
	    CKR_OPERATION_ACTIVE);
	IS(seal(&m), CKR_OPERATION_ACTIVE);
	IS(C_EncryptMessageNext(
	       h, &m.p, sizeof(m.p), text, LEN, out, NULL, CKF_END_OF_MESSAGE),
	    CKR_ARGUMENTS_BAD);
	IS(C_EncryptMessageNext(h, &m.p, sizeof(m.p), NULL, 5, out, &n, 0),
	    CKR_ARGUMENTS_BAD);
	/* That was the end of this message, not of messages. */
	OK(seal(&m));
	IS(C_GetOperationState(h, NULL, &n), CKR_STATE_UNSAVEABLE);
	OK(C_SessionCancel(h, CKF_MESSAGE_ENCRYPT));
	IS(seal(&m), CKR_OPERATION_NOT_INITIALIZED);
	assert_int_equal(d.uses, 1);
}

static void
a_message_needs_room(void **state)
{
	struct message m;
	CK_BYTE out[LEN];

	(void)state;
	message_init(&m, CKG_NO_GENERATE);
	OK(C_MessageEncryptInit(h, &gcm, key));
	IS(C_EncryptMessage(
	       h, &m.p, sizeof(m.p), NULL, 0, text, LEN, out, NULL),
	    CKR_ARGUMENTS_BAD);
	m.len = 0;
	OK(C_EncryptMessage(
	    h, &m.p, sizeof(m.p), NULL, 0, text, LEN, NULL, &m.len));
	assert_int_equal(m.len, LEN);
	m.len = LEN - 1;
	IS(seal(&m), CKR_BUFFER_TOO_SMALL);
	assert_int_equal(m.len, LEN);
	assert_int_equal(d.uses, 0);
	OK(seal(&m));
}

static void
what_cannot_be_sealed_is_not_sent(void **state)
{
	static CK_BYTE long_aad[65537];
	struct message m;
	CK_ULONG n = LEN;

	(void)state;
	message_init(&m, CKG_NO_GENERATE);
	OK(C_MessageEncryptInit(h, &gcm, key));
	IS(C_EncryptMessage(
	       h, &m.p, sizeof(m.p), NULL, 1, text, LEN, m.data, &n),
	    CKR_ARGUMENTS_BAD);
	IS(C_EncryptMessage(h, &m.p, sizeof(m.p), long_aad, sizeof(long_aad),
	       text, LEN, m.data, &n),
	    CKR_ARGUMENTS_BAD);
	IS(C_EncryptMessage(
	       h, &m.p, sizeof(m.p), NULL, 0, NULL, LEN, m.data, &n),
	    CKR_ARGUMENTS_BAD);
	OK(C_EncryptMessageBegin(h, &m.p, sizeof(m.p), NULL, 0));
	n = LEN;
	OK(C_EncryptMessageNext(
	    h, &m.p, sizeof(m.p), text, LEN, m.data, &n, 0));
	/* A length whose sum with what is there is a small number. */
	n = LEN;
	IS(C_EncryptMessageNext(h, &m.p, sizeof(m.p), text, (CK_ULONG)-LEN + 1,
	       m.data, &n, CKF_END_OF_MESSAGE),
	    CKR_DATA_LEN_RANGE);
	assert_int_equal(m.data[0], SAME);
	assert_int_equal(d.uses, 0);
}

static void
a_message_has_parameters_of_its_kind(void **state)
{
	const struct {
		CK_ULONG iv_len, tag_bits, fixed;
		CK_GENERATOR_FUNCTION generator;
	} bad[] = {
		{ 0, 128, 0, CKG_NO_GENERATE },
		{ 257, 128, 0, CKG_NO_GENERATE },
		{ 12, 88, 0, CKG_NO_GENERATE },
		{ 12, 100, 0, CKG_NO_GENERATE },
		{ 12, 136, 0, CKG_NO_GENERATE },
		{ 16, 128, 0, CKG_GENERATE },
		{ 12, 128, 32, CKG_GENERATE },
		{ 12, 128, 0, CKG_GENERATE_COUNTER },
	};
	struct message m;

	(void)state;
	OK(C_MessageEncryptInit(h, &gcm, key));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		message_init(&m, bad[i].generator);
		m.p.ulIvLen = bad[i].iv_len;
		m.p.ulTagBits = bad[i].tag_bits;
		m.p.ulIvFixedBits = bad[i].fixed;
		IS(seal(&m), CKR_MECHANISM_PARAM_INVALID);
	}
	message_init(&m, CKG_NO_GENERATE);
	m.p.pIv = NULL;
	IS(seal(&m), CKR_MECHANISM_PARAM_INVALID);
	message_init(&m, CKG_NO_GENERATE);
	m.p.pTag = NULL;
	IS(seal(&m), CKR_MECHANISM_PARAM_INVALID);
	message_init(&m, CKG_NO_GENERATE);
	IS(C_EncryptMessage(
	       h, NULL, sizeof(m.p), NULL, 0, text, LEN, m.data, &m.len),
	    CKR_MECHANISM_PARAM_INVALID);
	IS(C_EncryptMessage(
	       h, &m.p, sizeof(m.p) - 1, NULL, 0, text, LEN, m.data, &m.len),
	    CKR_MECHANISM_PARAM_INVALID);
	assert_int_equal(d.uses, 0);
	/* Nobody draws a nonce to decrypt with: the host's is used. */
	OK(seal(&m));
	OK(C_MessageDecryptInit(h, &gcm, key));
	m.p.ivGenerator = CKG_GENERATE;
	OK(unseal(&m, m.data, &m.len));
	assert_memory_equal(m.data, text, LEN);
}

static void
a_changed_message_does_not_open(void **state)
{
	struct message m;
	CK_BYTE out[LEN];
	CK_ULONG n = LEN;

	(void)state;
	message_init(&m, CKG_NO_GENERATE);
	OK(C_MessageEncryptInit(h, &gcm, key));
	OK(C_MessageDecryptInit(h, &gcm, key));
	OK(seal(&m));
	memset(out, SAME, sizeof(out));
	m.tag[3] ^= 1;
	IS(unseal(&m, out, &n), CKR_AEAD_DECRYPT_FAILED);
	m.tag[3] ^= 1;
	m.nonce[0] ^= 1;
	IS(unseal(&m, out, &n), CKR_AEAD_DECRYPT_FAILED);
	m.nonce[0] ^= 1;
	IS(C_DecryptMessage(h, &m.p, sizeof(m.p), aad, sizeof(aad) - 1, m.data,
	       LEN, out, &n),
	    CKR_AEAD_DECRYPT_FAILED);
	for (size_t i = 0; i < LEN; i++)
		assert_int_equal(out[i], SAME);
	/* The next message is another matter. */
	OK(unseal(&m, out, &n));
	assert_memory_equal(out, text, LEN);
}

/* -- Answers that are none -- */

static void
an_answer_of_another_length_is_no_answer(void **state)
{
	struct message m, before;

	(void)state;
	OK(C_MessageEncryptInit(h, &gcm, key));
	for (d.longer = -5; d.longer <= 5; d.longer += 10) {
		message_init(&m, CKG_GENERATE);
		before = m;
		IS(seal(&m), CKR_DEVICE_ERROR);
		assert_memory_equal(m.nonce, before.nonce, NONCE);
		assert_memory_equal(m.tag, before.tag, TAG);
		assert_memory_equal(m.data, before.data, sizeof(m.data));
	}
	/* More plaintext than there was ciphertext: not past the buffer. */
	d.longer = 0;
	message_init(&m, CKG_NO_GENERATE);
	OK(seal(&m));
	OK(C_MessageDecryptInit(h, &gcm, key));
	d.longer = 4;
	before = m;
	IS(unseal(&m, m.data, &(CK_ULONG){ LEN }), CKR_BUFFER_TOO_SMALL);
	assert_memory_equal(m.data, before.data, sizeof(m.data));
}

static void
a_refusal_and_an_end_are_told(void **state)
{
	struct message m;

	(void)state;
	message_init(&m, CKG_NO_GENERATE);
	OK(C_MessageEncryptInit(h, &gcm, key));
	d.refuse = HF_ERR_PERMISSION_DENIED;
	IS(seal(&m), hf_err_ckr(HF_ERR_PERMISSION_DENIED));
	d.refuse = HF_OK;
	d.gone = true;
	IS(seal(&m), CKR_DEVICE_ERROR);
	d.gone = false;
	OK(seal(&m));
}

/* -- Random bytes -- */

static void
random_bytes_come_from_the_hsm_in_portions(void **state)
{
	static CK_BYTE out[140001];

	(void)state;
	out[140000] = SAME;
	OK(C_GenerateRandom(h, out, 0));
	assert_int_equal(d.randoms, 0);
	OK(C_GenerateRandom(h, out, 140000));
	assert_int_equal(d.randoms, 3);
	assert_int_equal(d.asked[0], 65536);
	assert_int_equal(d.asked[1], 65536);
	assert_int_equal(d.asked[2], 140000 - 2 * 65536);
	assert_int_equal(out[0], 1);
	assert_int_equal(out[65535], 1);
	assert_int_equal(out[65536], 2);
	assert_int_equal(out[139999], 3);
	assert_int_equal(out[140000], SAME);
	IS(C_GenerateRandom(h, NULL, 1), CKR_ARGUMENTS_BAD);
	IS(C_SeedRandom(h, out, 5), CKR_RANDOM_SEED_NOT_SUPPORTED);
	assert_int_equal(d.randoms, 3);
}

/* Never fewer bytes than asked for, and never the kernel's in their place. */
static void
random_bytes_are_all_or_none(void **state)
{
	CK_BYTE out[32], same[32];

	(void)state;
	memset(out, SAME, sizeof(out));
	memset(same, SAME, sizeof(same));
	d.longer = -1;
	IS(C_GenerateRandom(h, out, sizeof(out)), hf_err_ckr(HF_ERR_BAD_REPLY));
	d.longer = 1;
	IS(C_GenerateRandom(h, out, sizeof(out)), hf_err_ckr(HF_ERR_BAD_REPLY));
	d.longer = 0;
	d.refuse = HF_ERR_PERMISSION_DENIED;
	IS(C_GenerateRandom(h, out, sizeof(out)),
	    hf_err_ckr(HF_ERR_PERMISSION_DENIED));
	d.refuse = HF_OK;
	d.gone = true;
	IS(C_GenerateRandom(h, out, sizeof(out)), CKR_DEVICE_ERROR);
	assert_memory_equal(out, same, sizeof(out));
	d.gone = false;
	OK(C_GenerateRandom(h, out, sizeof(out)));
	assert_memory_not_equal(out, same, sizeof(out));
}

/* -- Objects -- */

static void
a_profile_is_an_object_but_no_key(void **state)
{
	CK_OBJECT_CLASS class = CKO_PROFILE;
	CK_ATTRIBUTE wanted = { CKA_CLASS, &class, sizeof(class) };
	CK_OBJECT_HANDLE profile = 0, other;
	CK_BYTE data[8], out[64];
	CK_BYTE iv[12] = { 0 };
	CK_GCM_PARAMS p = { .pIv = iv, .ulIvLen = 12, .ulTagBits = 128 };
	CK_MECHANISM m = { CKM_AES_GCM, &p, sizeof(p) };
	CK_ATTRIBUTE label = { CKA_LABEL, data, 3 };
	CK_ULONG n = 1;

	(void)state;
	OK(C_FindObjectsInit(h, &wanted, 1));
	OK(C_FindObjects(h, &profile, 1, &n));
	OK(C_FindObjectsFinal(h));
	assert_int_equal(n, 1);
	IS(C_GetObjectSize(h, profile, NULL), CKR_ARGUMENTS_BAD);
	IS(C_GetObjectSize(h, profile, &n), CKR_OK);
	assert_true(n == CK_UNAVAILABLE_INFORMATION);
	IS(C_GetAttributeValue(h, profile, NULL, 1), CKR_ARGUMENTS_BAD);
	IS(C_SetAttributeValue(h, profile, &label, 1), CKR_ACTION_PROHIBITED);
	IS(C_DestroyObject(h, profile), CKR_ACTION_PROHIBITED);
	IS(C_EncryptInit(h, &m, profile), CKR_KEY_HANDLE_INVALID);
	IS(C_WrapKey(h, &m, profile, profile, out, &n), CKR_MECHANISM_INVALID);
	IS(C_DeriveKey(h, &m, profile, NULL, 0, &other), CKR_MECHANISM_INVALID);
}

#define WITH_DAEMON(test) cmocka_unit_test_setup_teardown(test, begin, end)
#define WITH_HSM(test) cmocka_unit_test_setup_teardown(test, begin_hsm, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_DAEMON(a_message_comes_back),
		WITH_DAEMON(a_message_in_parts_is_the_same),
		WITH_DAEMON(messages_have_an_order),
		WITH_DAEMON(a_message_needs_room),
		WITH_DAEMON(what_cannot_be_sealed_is_not_sent),
		WITH_DAEMON(a_message_has_parameters_of_its_kind),
		WITH_DAEMON(a_changed_message_does_not_open),
		WITH_DAEMON(an_answer_of_another_length_is_no_answer),
		WITH_DAEMON(a_refusal_and_an_end_are_told),
		WITH_DAEMON(a_profile_is_an_object_but_no_key),
		WITH_HSM(random_bytes_come_from_the_hsm_in_portions),
		WITH_HSM(random_bytes_are_all_or_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
