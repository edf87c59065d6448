/* SPDX-License-Identifier: Apache-2.0 */
/* AES modes, key wrap, CMAC and key derivation against published vectors. */
#include "../../keyd/crypto_mode.h"
#include "../../keyd/crypto_derive.h"

#include "crypto_support.h"

static enum hf_err
aes(enum aes_mode mode, bool encrypt, struct hf_bytes key, struct hf_bytes iv,
    unsigned counter_bits, struct hf_bytes in, uint8_t *out, size_t *len)
{
	const struct aes_how how = { mode, encrypt, iv, counter_bits };

	return crypto_aes(&how, key, in, out, len);
}

enum { ROOM = 512 };

static void
check_both_ways(enum aes_mode mode, const char *key, const char *iv,
    const char *plain, const char *sealed)
{
	struct blob k = hex(key), i = hex(iv), p = hex(plain), c = hex(sealed);
	uint8_t out[ROOM];
	size_t len;

	assert_ok(
	    aes(mode, true, view(&k), view(&i), 128, view(&p), out, &len));
	assert_int_equal(len, c.len);
	assert_memory_equal(out, c.bytes, len);
	assert_ok(
	    aes(mode, false, view(&k), view(&i), 128, view(&c), out, &len));
	assert_int_equal(len, p.len);
	assert_memory_equal(out, p.bytes, len);
}

static const char key128[] = "2b7e151628aed2a6abf7158809cf4f3c";
static const char block[] = "6bc1bee22e409f96e93d7e117393172a";
static const char iv_hex[] = "000102030405060708090a0b0c0d0e0f";

/* NIST SP 800-38A, appendix F; RFC 3394, 4.1; RFC 5649, section 6. */
static void
modes_give_what_is_published(void **state)
{
	(void)state;
	check_both_ways(
	    AES_ECB, key128, "", block, "3ad77bb40d7a3660a89ecaf32466ef97");
	check_both_ways(
	    AES_CBC, key128, iv_hex, block, "7649abac8119b246cee98e9b12e9197d");
	check_both_ways(AES_CTR, key128, "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
	    block, "874d6191b620e3261bef6864990db6ce");
	check_both_ways(AES_KW, "000102030405060708090a0b0c0d0e0f", "",
	    "00112233445566778899aabbccddeeff",
	    "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5");
	check_both_ways(AES_KWP,
	    "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8", "",
	    "c37b7e6492584340bed12207808941155068f738",
	    "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a");
}

static void
padding_adds_and_removes_itself(void **state)
{
	struct blob key = hex(key128), iv = hex(iv_hex);
	uint8_t in[40], sealed[ROOM], out[ROOM];
	size_t len, n;

	(void)state;
	memset(in, 7, sizeof(in));
	for (size_t i = 0; i <= sizeof(in); i++) {
		assert_ok(aes(AES_CBC_PAD, true, view(&key), view(&iv), 0,
		    bytes_of(in, i), sealed, &len));
		assert_int_equal(len, (i / 16 + 1) * 16);
		assert_ok(aes(AES_CBC_PAD, false, view(&key), view(&iv), 0,
		    bytes_of(sealed, len), out, &n));
		assert_int_equal(n, i);
		assert_memory_equal(out, in, n);
	}
	sealed[len - 17] ^= 1;
	assert_err(aes(AES_CBC_PAD, false, view(&key), view(&iv), 0,
		       bytes_of(sealed, len), out, &n),
	    HF_ERR_BAD_CIPHERTEXT);
}

static void
lengths_that_do_not_fit_are_refused(void **state)
{
	struct blob key = hex(key128), iv = hex(iv_hex), none = { .len = 0 };
	uint8_t in[32] = { 0 }, out[ROOM];
	size_t len;

	(void)state;
	assert_err(aes(AES_ECB, true, view(&key), view(&none), 0,
		       bytes_of(in, 17), out, &len),
	    HF_ERR_BAD_INPUT);
	assert_err(aes(AES_CBC, false, view(&key), view(&iv), 0,
		       bytes_of(in, 15), out, &len),
	    HF_ERR_BAD_CIPHERTEXT);
	assert_err(aes(AES_CBC, true, view(&key), view(&none), 0,
		       bytes_of(in, 16), out, &len),
	    HF_ERR_BAD_INPUT);
	assert_err(aes(AES_ECB, true, bytes_of(in, 17), view(&none), 0,
		       bytes_of(in, 16), out, &len),
	    HF_ERR_BAD_INPUT);
	assert_err(aes(AES_KW, true, view(&key), view(&none), 0,
		       bytes_of(in, 20), out, &len),
	    HF_ERR_BAD_INPUT);
	assert_err(aes(AES_KWP, true, view(&key), view(&none), 0,
		       bytes_of(in, 0), out, &len),
	    HF_ERR_BAD_INPUT);
}

static void
a_changed_wrapped_key_is_not_authentic(void **state)
{
	struct blob key = hex(key128), none = { .len = 0 };
	uint8_t in[24] = { 0 }, sealed[ROOM], out[ROOM];
	size_t len, n;

	(void)state;
	for (unsigned mode = AES_KW; mode <= AES_KWP; mode++) {
		assert_ok(aes((enum aes_mode)mode, true, view(&key),
		    view(&none), 0, bytes_of(in, sizeof(in)), sealed, &len));
		sealed[3] ^= 1;
		assert_err(aes((enum aes_mode)mode, false, view(&key),
			       view(&none), 0, bytes_of(sealed, len), out, &n),
		    HF_ERR_AUTH_FAILED);
	}
}

/* The key stream would begin anew. */
static void
a_counter_that_would_run_over_is_refused(void **state)
{
	struct blob key = hex(key128);
	struct blob iv = hex("000000000000000000000000000000ff");
	uint8_t in[32] = { 0 }, out[ROOM];
	size_t len;

	(void)state;
	assert_ok(aes(AES_CTR, true, view(&key), view(&iv), 8, bytes_of(in, 16),
	    out, &len));
	assert_err(aes(AES_CTR, true, view(&key), view(&iv), 8,
		       bytes_of(in, 17), out, &len),
	    HF_ERR_BAD_INPUT);
	assert_ok(aes(AES_CTR, true, view(&key), view(&iv), 9, bytes_of(in, 17),
	    out, &len));
	assert_err(aes(AES_CTR, true, view(&key), view(&iv), 0,
		       bytes_of(in, 16), out, &len),
	    HF_ERR_BAD_INPUT);
}

/* RFC 4493, section 4. */
static void
cmac_gives_what_is_published(void **state)
{
	struct blob key = hex(key128), in = hex(block), want;
	uint8_t out[16];

	(void)state;
	want = hex("bb1d6929e95937287fa37d129b756746");
	assert_ok(crypto_cmac(view(&key), bytes_of(NULL, 0), out));
	assert_memory_equal(out, want.bytes, 16);
	want = hex("070a16b46b4d4144f79bdd9dd04a287c");
	assert_ok(crypto_cmac(view(&key), view(&in), out));
	assert_memory_equal(out, want.bytes, 16);
	assert_err(
	    crypto_cmac(bytes_of(out, 5), view(&in), out), HF_ERR_BAD_INPUT);
}

/* RFC 5869, A.1. */
static void
hkdf_gives_what_is_published(void **state)
{
	struct blob ikm = hex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b");
	struct blob salt = hex("000102030405060708090a0b0c");
	struct blob info = hex("f0f1f2f3f4f5f6f7f8f9");
	struct blob prk = hex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c31"
			      "22ec844ad7c2b3e5");
	struct blob okm = hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c"
			      "5db02d56ecc4c5bf34007208d5b887185865");
	struct hkdf how = { hash_type_by_name(TEXT("sha2-256")), true, true,
		view(&salt), view(&info) };
	AUTO_SECRET out = { 0 };
	AUTO_SECRET half = { 0 };

	(void)state;
	assert_ok(secret_alloc(&out, 42));
	assert_ok(crypto_hkdf(&how, view(&ikm), &out));
	assert_memory_equal(out.ptr, okm.bytes, 42);
	how.expand = false;
	assert_err(crypto_hkdf(&how, view(&ikm), &out), HF_ERR_BAD_INPUT);
	assert_ok(secret_alloc(&half, 32));
	assert_ok(crypto_hkdf(&how, view(&ikm), &half));
	assert_memory_equal(half.ptr, prk.bytes, 32);
	how.extract = false;
	how.expand = true;
	assert_ok(crypto_hkdf(&how, view(&prk), &out));
	assert_memory_equal(out.ptr, okm.bytes, 42);
}

/* NIST CAVP, component test of ANSI X9.63, SHA-256. */
static void
x963_gives_what_is_published(void **state)
{
	struct blob z = hex("96c05619d56c328ab95fe84b18264b08725b85e33fd34f08");
	struct blob want = hex("443024c3dae66b95e6f5670601558f71");
	AUTO_SECRET out = { 0 };

	(void)state;
	assert_ok(secret_alloc(&out, 16));
	assert_ok(crypto_x963(hash_type_by_name(TEXT("sha2-256")), view(&z),
	    bytes_of(NULL, 0), &out));
	assert_memory_equal(out.ptr, want.bytes, 16);
}

static struct crypto_key *
curve_key(const struct key_type *type, uint8_t *point)
{
	AUTO_SECRET material = { 0 };
	struct crypto_key *key = NULL;
	uint8_t spki[1024];
	size_t len, point_len = 1 + 2 * type->size;

	assert_ok(crypto_generate(type, 0, &material));
	assert_ok(crypto_key_private(type, secret_view(&material), &key));
	assert_ok(crypto_key_spki(key, spki, sizeof(spki), &len));
	memcpy(point, spki + len - point_len, point_len);
	return key;
}

static void
both_sides_agree_on_a_secret(void **state)
{
	static const unsigned types[] = { KEY_ECDSA_P256, KEY_ECDSA_P384,
		KEY_ECDSA_P521 };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		const struct key_type *type = key_type_by_id(types[i]);
		uint8_t a_point[133], b_point[133];
		struct crypto_key *a = curve_key(type, a_point);
		struct crypto_key *b = curve_key(type, b_point);
		size_t len = 1 + 2 * type->size;
		AUTO_SECRET one = { 0 };
		AUTO_SECRET two = { 0 };
		AUTO_SECRET none = { 0 };

		assert_ok(crypto_ecdh(a, bytes_of(b_point, len), &one));
		assert_ok(crypto_ecdh(b, bytes_of(a_point, len), &two));
		assert_int_equal(one.len, type->size);
		assert_memory_equal(one.ptr, two.ptr, one.len);
		b_point[len - 1] ^= 1; /* off the curve */
		assert_err(crypto_ecdh(a, bytes_of(b_point, len), &none),
		    HF_ERR_BAD_INPUT);
		crypto_key_free(a);
		crypto_key_free(b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(modes_give_what_is_published),
		cmocka_unit_test(padding_adds_and_removes_itself),
		cmocka_unit_test(lengths_that_do_not_fit_are_refused),
		cmocka_unit_test(a_changed_wrapped_key_is_not_authentic),
		cmocka_unit_test(a_counter_that_would_run_over_is_refused),
		cmocka_unit_test(cmac_gives_what_is_published),
		cmocka_unit_test(hkdf_gives_what_is_published),
		cmocka_unit_test(x963_gives_what_is_published),
		cmocka_unit_test(both_sides_agree_on_a_secret),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
