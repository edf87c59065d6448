/* SPDX-License-Identifier: Apache-2.0 */
#include "memory_search.h"

#include <pthread.h>
#include <stdatomic.h>

#include <openssl/err.h>

#include "../../keyd/heap.h"

static const char *const aead_names[] = { "aes256-gcm96", "aes192-gcm96",
	"aes128-gcm96", "chacha20-poly1305" };
enum { AEAD_NAMES = sizeof(aead_names) / sizeof(aead_names[0]) };

struct aead_vector {
	const char *type;
	const char *key;
	const char *nonce;
	const char *aad;
	const char *plaintext;
	const char *sealed;
};

static const struct aead_vector aead_vectors[] = {
	/* "The Galois/Counter Mode of Operation", test cases 13, 16 and 4. */
	{ "aes256-gcm96",
	    "0000000000000000000000000000000000000000000000000000000000000000",
	    "000000000000000000000000", "", "",
	    "530f8afbc74536b9a963b4f1c4cb738b" },
	{ "aes256-gcm96",
	    "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
	    "cafebabefacedbaddecaf888",
	    "feedfacedeadbeeffeedfacedeadbeefabaddad2",
	    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
	    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
	    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
	    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
	    "76fc6ece0f4e1768cddf8853bb2d551b" },
	/* Test case 10. */
	{ "aes192-gcm96", "feffe9928665731c6d6a8f9467308308feffe9928665731c",
	    "cafebabefacedbaddecaf888",
	    "feedfacedeadbeeffeedfacedeadbeefabaddad2",
	    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
	    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
	    "3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c"
	    "7d773d00c144c525ac619d18c84a3f4718e2448b2fe324d9ccda2710"
	    "2519498e80f1478f37ba55bd6d27618c" },
	{ "aes128-gcm96", "feffe9928665731c6d6a8f9467308308",
	    "cafebabefacedbaddecaf888",
	    "feedfacedeadbeeffeedfacedeadbeefabaddad2",
	    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
	    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
	    "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
	    "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091"
	    "5bc94fbc3221a5db94fae95ae7121a47" },
	/* RFC 8439, section 2.8.2. */
	{ "chacha20-poly1305",
	    "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
	    "070000004041424344454647", "50515253c0c1c2c3c4c5c6c7",
	    "4c616469657320616e642047656e746c656d656e206f662074686520636c6173"
	    "73206f66202739393a204966204920636f756c64206f6666657220796f75206f"
	    "6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73"
	    "637265656e20776f756c642062652069742e",
	    "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
	    "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
	    "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
	    "3ff4def08e4b7a9de576d26586cec64b6116"
	    "1ae10b594f09e26a7e902ecbd0600691" },
};

static void
seals_and_opens_the_published_examples(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(aead_vectors) / sizeof(aead_vectors[0]);
	     i++) {
		const struct aead_vector *v = &aead_vectors[i];
		struct blob key = hex(v->key), nonce = hex(v->nonce);
		struct blob aad = hex(v->aad), plain = hex(v->plaintext);
		struct blob sealed = hex(v->sealed);
		uint8_t out[256];

		assert_ok(crypto_seal(type_of(v->type), view(&key),
		    view(&nonce), view(&aad), view(&plain), out));
		assert_memory_equal(out, sealed.bytes, sealed.len);
		assert_ok(crypto_open(type_of(v->type), view(&key),
		    view(&nonce), view(&aad), view(&sealed), out));
		assert_memory_equal(out, plain.bytes, plain.len);
	}
}

/* A sealed message to spoil. */
struct letter {
	const struct key_type *type;
	uint8_t key[32], nonce[12], aad[5], sealed[9 + 16];
	uint8_t out[9];
};

static struct letter
letter_seal(const char *type)
{
	struct letter l = { .type = type_of(type), .aad = "aaaa" };

	assert_ok(crypto_random(l.key, sizeof(l.key)));
	assert_ok(crypto_random(l.nonce, sizeof(l.nonce)));
	assert_ok(crypto_seal(l.type, bytes_of(l.key, l.type->size),
	    bytes_of(l.nonce, sizeof(l.nonce)), bytes_of(l.aad, sizeof(l.aad)),
	    ascii("plaintext"), l.sealed));
	return l;
}

static enum hf_err
letter_open(struct letter *l)
{
	memset(l->out, 0x55, sizeof(l->out));
	return crypto_open(l->type, bytes_of(l->key, l->type->size),
	    bytes_of(l->nonce, sizeof(l->nonce)),
	    bytes_of(l->aad, sizeof(l->aad)),
	    bytes_of(l->sealed, sizeof(l->sealed)), l->out);
}

/* Each bit of `part`, flipped, spoils it, and nothing is given away. */
static void
assert_spoilt_by_each_bit(struct letter *l, uint8_t *part, size_t len)
{
	static const uint8_t nothing[sizeof(l->out)];

	for (size_t bit = 0; bit < 8 * len; bit++) {
		part[bit / 8] ^= (uint8_t)(1U << bit % 8);
		assert_err(letter_open(l), HF_ERR_AUTH_FAILED);
		assert_memory_equal(l->out, nothing, sizeof(nothing));
		part[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	assert_ok(letter_open(l));
	assert_memory_equal(l->out, "plaintext", 9);
}

static void
open_refuses_a_change_of_any_bit(void **state)
{
	(void)state;
	for (size_t i = 0; i < AEAD_NAMES; i++) {
		struct letter l = letter_seal(aead_names[i]);

		assert_spoilt_by_each_bit(&l, l.sealed, sizeof(l.sealed));
		assert_spoilt_by_each_bit(&l, l.nonce, sizeof(l.nonce));
		assert_spoilt_by_each_bit(&l, l.aad, sizeof(l.aad));
		assert_spoilt_by_each_bit(&l, l.key, l.type->size);
	}
}

static void
open_refuses_each_shorter_length(void **state)
{
	(void)state;
	for (size_t i = 0; i < AEAD_NAMES; i++) {
		struct letter l = letter_seal(aead_names[i]);

		for (size_t len = 0; len < sizeof(l.sealed); len++)
			assert_err(
			    crypto_open(l.type, bytes_of(l.key, l.type->size),
				bytes_of(l.nonce, sizeof(l.nonce)),
				bytes_of(l.aad, sizeof(l.aad)),
				bytes_of(l.sealed, len), l.out),
			    len < 16 ? HF_ERR_BAD_CIPHERTEXT
				     : HF_ERR_AUTH_FAILED);
	}
}

static void
seals_nothing_with_nothing(void **state)
{
	struct hf_bytes none = { NULL, 0 };
	uint8_t key[32] = { 1 }, nonce[12] = { 2 }, out[16];

	(void)state;
	for (size_t i = 0; i < AEAD_NAMES; i++) {
		const struct key_type *type = type_of(aead_names[i]);
		struct hf_bytes k = bytes_of(key, type->size);
		struct hf_bytes n = bytes_of(nonce, sizeof(nonce));

		assert_ok(crypto_seal(type, k, n, none, none, out));
		assert_ok(
		    crypto_open(type, k, n, none, bytes_of(out, 16), NULL));
		out[0] ^= 1;
		assert_err(
		    crypto_open(type, k, n, none, bytes_of(out, 16), NULL),
		    HF_ERR_AUTH_FAILED);
	}
}

static void
seals_large_messages(void **state)
{
	enum { LARGE = (1 << 20) + 3 };
	uint8_t *plain = malloc(LARGE), *sealed = malloc(LARGE + 16);
	uint8_t *out = malloc(LARGE);
	struct hf_bytes key = ascii("0123456789abcdef0123456789abcdef");
	struct hf_bytes nonce = ascii("0123456789ab"), aad = ascii("x");

	(void)state;
	assert_true(plain != NULL && sealed != NULL && out != NULL);
	memset(plain, 'p', LARGE);
	assert_ok(crypto_seal(type_of("aes256-gcm96"), key, nonce, aad,
	    bytes_of(plain, LARGE), sealed));
	assert_ok(crypto_open(type_of("aes256-gcm96"), key, nonce, aad,
	    bytes_of(sealed, LARGE + 16), out));
	assert_memory_equal(plain, out, LARGE);
	free(plain);
	free(sealed);
	free(out);
}

static void
aead_refuses_wrong_sizes(void **state)
{
	static const uint8_t b[64];
	const struct key_type *type = type_of("aes256-gcm96");
	struct hf_bytes none = { NULL, 0 };
	uint8_t out[64];

	(void)state;
	assert_err(crypto_seal(
		       type, bytes_of(b, 31), bytes_of(b, 12), none, none, out),
	    HF_ERR_BAD_INPUT);
	assert_err(crypto_seal(
		       type, bytes_of(b, 33), bytes_of(b, 12), none, none, out),
	    HF_ERR_BAD_INPUT);
	assert_err(crypto_seal(
		       type, bytes_of(b, 32), bytes_of(b, 11), none, none, out),
	    HF_ERR_BAD_INPUT);
	assert_err(crypto_open(
		       type, bytes_of(b, 32), none, none, bytes_of(b, 16), out),
	    HF_ERR_BAD_INPUT);
	assert_err(crypto_seal(type, bytes_of(b, 32), bytes_of(b, 12), none,
		       bytes_of(b, (size_t)1 << 31), out),
	    HF_ERR_OUT_OF_BOUNDS);
	assert_err(crypto_open(type, bytes_of(b, 32), bytes_of(b, 12),
		       bytes_of(b, (size_t)1 << 32), bytes_of(b, 16), out),
	    HF_ERR_OUT_OF_BOUNDS);
}

static void
aead_refuses_types_that_are_none(void **state)
{
	static const uint8_t b[512];
	uint8_t out[528];

	(void)state;
	for (size_t i = 0; i < key_types_count; i++) {
		const struct key_type *type = &key_types[i];
		struct hf_bytes key = bytes_of(b, type->size);

		if (type->family == FAMILY_AEAD)
			continue;
		assert_err(
		    crypto_seal(type, key, bytes_of(b, 12), key, key, out),
		    HF_ERR_KEY_TYPE);
		assert_err(
		    crypto_open(type, key, bytes_of(b, 12), key, key, out),
		    HF_ERR_KEY_TYPE);
	}
}

static void
failures_leave_the_error_queue_empty(void **state)
{
	struct letter l = letter_seal("aes256-gcm96");

	(void)state;
	l.sealed[0] ^= 1;
	assert_err(letter_open(&l), HF_ERR_AUTH_FAILED);
	assert_int_equal(ERR_peek_error(), 0);
}

static void *
open_often(void *arg)
{
	struct letter *l = arg;

	for (int i = 0; i < 2000; i++)
		if (letter_open(l) != HF_OK)
			return arg;
	return NULL;
}

static void
threads_do_not_disturb_each_other(void **state)
{
	struct letter letters[6];
	pthread_t threads[6];
	void *failed;

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		letters[i] = letter_seal(aead_names[i % AEAD_NAMES]);
		assert_int_equal(
		    pthread_create(&threads[i], NULL, open_often, &letters[i]),
		    0);
	}
	for (size_t i = 0; i < 6; i++) {
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
}

/* -- Kept keys -- */

/* Owners are addresses, nothing else. */
static const char owners[64];

static enum hf_err
kept_seal(
    const void *owner, struct hf_bytes key, uint8_t number, uint8_t out[8 + 16])
{
	uint8_t nonce[12] = { number };

	return crypto_seal_kept(owner, type_of("aes256-gcm96"), key,
	    bytes_of(nonce, sizeof(nonce)), bytes_of(NULL, 0),
	    ascii("12345678"), out);
}

/* What crypto_seal() says, which keeps nothing. */
static void
assert_sealed(struct hf_bytes key, uint8_t number, const uint8_t *sealed)
{
	uint8_t nonce[12] = { number }, expected[8 + 16];

	assert_ok(crypto_seal(type_of("aes256-gcm96"), key,
	    bytes_of(nonce, sizeof(nonce)), bytes_of(NULL, 0),
	    ascii("12345678"), expected));
	assert_memory_equal(sealed, expected, sizeof(expected));
}

/* All of them in one place and each in its own; sealing and opening in turn. */
static void
kept_keys_seal_and_open_the_published_examples(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 4; round++)
		for (size_t i = 0;
		     i < sizeof(aead_vectors) / sizeof(aead_vectors[0]); i++) {
			const struct aead_vector *v = &aead_vectors[i];
			const void *owner = &owners[round < 2 ? 0 : i];
			struct blob key = hex(v->key), nonce = hex(v->nonce);
			struct blob aad = hex(v->aad);
			struct blob plain = hex(v->plaintext);
			struct blob sealed = hex(v->sealed);
			uint8_t out[256];

			assert_ok(crypto_seal_kept(owner, type_of(v->type),
			    view(&key), view(&nonce), view(&aad), view(&plain),
			    out));
			assert_memory_equal(out, sealed.bytes, sealed.len);
			assert_ok(crypto_open_kept(owner, type_of(v->type),
			    view(&key), view(&nonce), view(&aad), view(&sealed),
			    out));
			assert_memory_equal(out, plain.bytes, plain.len);
		}
}

/* More owners than there are places, in an order without a pattern. */
static void
many_kept_keys_are_not_confused(void **state)
{
	enum { OWNERS = sizeof(owners) };
	uint8_t keys[OWNERS][32], sealed[8 + 16];
	uint8_t pick[2];

	(void)state;
	assert_ok(crypto_random(keys[0], 32));
	for (size_t i = 1; i < OWNERS; i++)
		assert_ok(crypto_random(keys[i], 32));
	for (unsigned i = 0; i < 2000; i++) {
		assert_ok(crypto_random(pick, sizeof(pick)));

		size_t n = pick[0] % OWNERS;
		struct hf_bytes key = bytes_of(keys[n], 32);

		assert_ok(kept_seal(&owners[n], key, (uint8_t)i, sealed));
		assert_sealed(key, (uint8_t)i, sealed);
		if (pick[1] < 16)
			crypto_forget(&owners[n]);
	}
	for (size_t i = 0; i < OWNERS; i++)
		crypto_forget(&owners[i]);
}

/* The same owner may have another key by now: memory is used again. */
static void
a_kept_key_is_known_by_its_bytes(void **state)
{
	uint8_t key[32] = { 1 }, sealed[8 + 16];

	(void)state;
	for (uint8_t i = 1; i < 10; i++) {
		key[31] = i / 2;
		assert_ok(
		    kept_seal(owners, bytes_of(key, sizeof(key)), i, sealed));
		assert_sealed(bytes_of(key, sizeof(key)), i, sealed);
	}
	crypto_forget(owners);
}

/* After what is not authentic, too. */
static void
a_kept_key_opens_nothing_of_another(void **state)
{
	uint8_t nonce[12] = { 0 }, sealed[8 + 16], out[8];
	static const uint8_t nothing[8];
	uint8_t keys[2][32] = { { 1 }, { 2 } };
	const struct key_type *type = type_of("aes256-gcm96");

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		struct hf_bytes key = bytes_of(keys[i % 2], 32);
		struct hf_bytes other = bytes_of(keys[1 - i % 2], 32);
		struct hf_bytes n = bytes_of(nonce, sizeof(nonce));

		nonce[0] = (uint8_t)i;
		assert_ok(kept_seal(owners, key, nonce[0], sealed));
		if (i % 3 == 0) {
			assert_err(crypto_open_kept(owners, type, other, n,
				       bytes_of(NULL, 0),
				       bytes_of(sealed, sizeof(sealed)), out),
			    HF_ERR_AUTH_FAILED);
			assert_memory_equal(out, nothing, sizeof(nothing));
		}
		assert_ok(crypto_open_kept(owners, type, key, n,
		    bytes_of(NULL, 0), bytes_of(sealed, sizeof(sealed)), out));
		assert_memory_equal(out, "12345678", 8);
	}
	crypto_forget(owners);
}

/* Another thread that keeps the key, too. */
struct keeper {
	pthread_t thread;
	pthread_barrier_t step;
	struct hf_bytes key;
	enum hf_err err;
};

static void *
keep(void *arg)
{
	struct keeper *k = arg;
	uint8_t sealed[8 + 16];

	k->err = kept_seal(owners, k->key, 1, sealed);
	(void)pthread_barrier_wait(&k->step);
	(void)pthread_barrier_wait(&k->step);
	return NULL;
}

static void
a_key_that_is_forgotten_is_gone_from_all_threads(void **state)
{
	struct keeper other = { .err = HF_ERR_SYSTEM };
	AUTO_SECRET key = { 0 };
	uint8_t inverted[NEEDLE], sealed[8 + 16];

	(void)state;
	assert_ok(crypto_generate(type_of("aes256-gcm96"), 0, &key));
	needle_make(key.ptr, inverted);
	other.key = secret_view(&key);
	assert_int_equal(pthread_barrier_init(&other.step, NULL, 2), 0);
	assert_int_equal(pthread_create(&other.thread, NULL, keep, &other), 0);
	(void)pthread_barrier_wait(&other.step);
	assert_ok(other.err);
	assert_ok(kept_seal(owners, secret_view(&key), 1, sealed));
	secret_free(&key);
	/* Or the search would prove nothing. */
	assert_true(process_holds(inverted, ANYWHERE));
	if (heap_use().limit > 0) /* not under AddressSanitizer */
		assert_false(process_holds(inverted, NOT_LOCKED));
	crypto_forget(owners);
	assert_false(process_holds(inverted, ANYWHERE));
	(void)pthread_barrier_wait(&other.step);
	assert_int_equal(pthread_join(other.thread, NULL), 0);
	(void)pthread_barrier_destroy(&other.step);
}

/* One forgets what others use all the time: they only lose time by it. */
struct sealer {
	pthread_t thread;
	_Atomic bool *stop;
	uint8_t key[32];
	unsigned wrong;
};

static void *
seal_often(void *arg)
{
	struct sealer *s = arg;
	struct hf_bytes key = bytes_of(s->key, sizeof(s->key));
	uint8_t first[8 + 16], again[8 + 16];

	s->wrong = kept_seal(owners, key, 7, first) != HF_OK;
	while (!atomic_load(s->stop))
		s->wrong += kept_seal(owners, key, 7, again) != HF_OK ||
		    memcmp(first, again, sizeof(first)) != 0;
	return NULL;
}

static void
forgetting_disturbs_nobody(void **state)
{
	static struct sealer sealers[3];
	_Atomic bool stop = false;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		sealers[i].stop = &stop;
		sealers[i].key[0] = (uint8_t)i;
		assert_int_equal(pthread_create(&sealers[i].thread, NULL,
				     seal_often, &sealers[i]),
		    0);
	}
	for (int i = 0; i < 20000; i++)
		crypto_forget(owners);
	atomic_store(&stop, true);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(pthread_join(sealers[i].thread, NULL), 0);
		assert_int_equal(sealers[i].wrong, 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(seals_and_opens_the_published_examples),
		cmocka_unit_test(open_refuses_a_change_of_any_bit),
		cmocka_unit_test(open_refuses_each_shorter_length),
		cmocka_unit_test(seals_nothing_with_nothing),
		cmocka_unit_test(seals_large_messages),
		cmocka_unit_test(aead_refuses_wrong_sizes),
		cmocka_unit_test(aead_refuses_types_that_are_none),
		cmocka_unit_test(failures_leave_the_error_queue_empty),
		cmocka_unit_test(threads_do_not_disturb_each_other),
		cmocka_unit_test(
		    kept_keys_seal_and_open_the_published_examples),
		cmocka_unit_test(many_kept_keys_are_not_confused),
		cmocka_unit_test(a_kept_key_is_known_by_its_bytes),
		cmocka_unit_test(a_kept_key_opens_nothing_of_another),
		cmocka_unit_test(
		    a_key_that_is_forgotten_is_gone_from_all_threads),
		cmocka_unit_test(forgetting_disturbs_nobody),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
