/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto_support.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

static const char *const aead_names[] = { "aes256-gcm96", "aes192-gcm96",
	"aes128-gcm96", "chacha20-poly1305" };
enum { AEAD_NAMES = sizeof(aead_names) / sizeof(aead_names[0]) };

/* -- Set-up -- */

static void
may_be_set_up_twice(void **state)
{
	(void)state;
	assert_ok(crypto_init(NULL));
}

/* Runs `body` in a child that ends with its result. */
static int
in_child(int (*body)(void))
{
	pid_t pid = fork();
	int status = 0;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(body());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

enum { CHILD_FAILED = 255, CHILD_NO_REASON = 254, CHILD_CANNOT_TRY = 253 };

/*
 * Root may lock whatever the limit says, so it becomes somebody else. Under a
 * sanitizer mlock() does nothing and says that it went well.
 */
static int
init_without_lockable_memory(bool required)
{
	static uint8_t page[4096];
	struct rlimit none = { 0, 0 };
	struct hf_why why = { "" };
	enum hf_err err;

	if (setrlimit(RLIMIT_MEMLOCK, &none) != 0 ||
	    (geteuid() == 0 && setuid(65534) != 0))
		return CHILD_FAILED;
	if (mlock(page, sizeof(page)) == 0)
		return CHILD_CANNOT_TRY;
	secret_require_lock(required);
	err = crypto_init(&why);
	if (err != HF_OK && why.text[0] == '\0')
		return CHILD_NO_REASON;
	return (int)err;
}

static int
init_requiring_lock(void)
{
	return init_without_lockable_memory(true);
}

static int
init_taking_what_there_is(void)
{
	return init_without_lockable_memory(false);
}

static int
init_after_others_used_openssl(void)
{
	OPENSSL_free(OPENSSL_malloc(1));
	return (int)crypto_init(NULL);
}

static int
use_before_init(void)
{
	uint8_t out[64];
	const struct hash_type *hash = hash_type_by_name(TEXT("sha2-256"));
	struct hf_bytes key = bytes_of("0123456789abcdef", 16);

	return crypto_random(out, 12) != HF_ERR_CRYPTO ||
	    crypto_hash(hash, key, out) != HF_ERR_CRYPTO ||
	    crypto_hmac(hash, key, key, out) != HF_ERR_CRYPTO ||
	    crypto_seal(key_type_by_id(KEY_AES128_GCM96), key,
		bytes_of(key.ptr, 12), key, bytes_of("", 0),
		out) != HF_ERR_CRYPTO;
}

/* These need a process in which crypto_init has not been called. */
static void
refuses_unlocked_memory_where_locked_is_required(void **state)
{
	int result = in_child(init_requiring_lock);

	(void)state;
	if (result == CHILD_CANNOT_TRY)
		skip();
	assert_int_equal(result, HF_ERR_MEMORY_LOCK);
}

static void
takes_unlocked_memory_where_locked_is_not_required(void **state)
{
	int result = in_child(init_taking_what_there_is);

	(void)state;
	if (result == CHILD_CANNOT_TRY)
		skip();
	assert_int_equal(result, HF_OK);
}

static void
refuses_an_openssl_whose_memory_it_cannot_wipe(void **state)
{
	(void)state;
	assert_int_equal(
	    in_child(init_after_others_used_openssl), HF_ERR_CRYPTO);
}

static void
fails_before_it_is_set_up(void **state)
{
	(void)state;
	assert_int_equal(in_child(use_before_init), 0);
}

/* -- Random -- */

static void
random_fills_any_length(void **state)
{
	static const size_t lengths[] = { 12, 16, 63, 64, 65, 4096, 100000 };
	static uint8_t out[100001];

	(void)state;
	assert_ok(crypto_random(out, 0));
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		size_t len = lengths[i];
		unsigned last = 0;

		memset(out, 0, sizeof(out));
		for (int tries = 0; tries < 8; tries++) {
			assert_ok(crypto_random(out, len));
			last |= out[len - 1];
		}
		assert_int_not_equal(last, 0);
		assert_int_equal(out[len], 0);
	}
}

static int
compare_nonces(const void *a, const void *b)
{
	return memcmp(a, b, 12);
}

static void
assert_all_differ(uint8_t (*nonces)[12], size_t count)
{
	qsort(nonces, count, 12, compare_nonces);
	for (size_t i = 1; i < count; i++)
		assert_memory_not_equal(nonces[i - 1], nonces[i], 12);
}

/* More than the pool of a thread holds at once. */
enum { NONCES = 2000 };

static void *
draw_nonces(void *arg)
{
	uint8_t(*nonces)[12] = arg;

	for (size_t i = 0; i < NONCES; i++)
		if (crypto_random(nonces[i], 12) != HF_OK)
			return nonces;
	return NULL;
}

static void
random_never_repeats_over_threads(void **state)
{
	static uint8_t nonces[4 * NONCES][12];
	pthread_t threads[4];
	void *failed;

	(void)state;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, draw_nonces,
				     nonces[i * NONCES]),
		    0);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	assert_all_differ(nonces, 4 * NONCES);
}

/* The pool of this thread is half full at the time of the fork. */
static void
random_differs_between_parent_and_child(void **state)
{
	struct {
		uint8_t ours[20][12], theirs[20][12];
	} nonces;
	int ends[2], status;
	pid_t pid;

	(void)state;
	assert_ok(crypto_random(nonces.ours[0], 12));
	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		for (size_t i = 0; i < 20; i++)
			if (crypto_random(nonces.theirs[i], 12) != HF_OK)
				_exit(1);
		_exit(write(ends[1], nonces.theirs, 240) != 240);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(read(ends[0], nonces.theirs, 240), 240);
	(void)close(ends[0]);
	(void)close(ends[1]);
	for (size_t i = 0; i < 20; i++)
		assert_ok(crypto_random(nonces.ours[i], 12));
	assert_all_differ((uint8_t(*)[12])(void *)&nonces, 40);
}

/* -- Hashes -- */

struct hash_vector {
	const char *name;
	const char *digest;
};

/* FIPS 180-4 and FIPS 202, example "abc". */
static const struct hash_vector abc[] = {
	{ "sha1", "a9993e364706816aba3e25717850c26c9cd0d89d" },
	{ "sha2-224",
	    "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7" },
	{ "sha2-256",
	    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
	{ "sha2-384",
	    "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
	    "8086072ba1e7cc2358baeca134c825a7" },
	{ "sha2-512",
	    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
	    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f" },
	{ "sha3-224",
	    "e642824c3f8cf24ad09234ee7d3c766fc9a3a5168d0c94ad73b46fdf" },
	{ "sha3-256",
	    "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532" },
	{ "sha3-384",
	    "ec01498288516fc926459f58e2c6ad8df9b473cb0fc08c2596da7cf0e49be4b2"
	    "98d88cea927ac7f539f1edf228376d25" },
	{ "sha3-512",
	    "b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e"
	    "10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274eec53f0" },
};

static void
hashes_the_published_example(void **state)
{
	(void)state;
	assert_int_equal(sizeof(abc) / sizeof(abc[0]), hash_types_count);
	for (size_t i = 0; i < hash_types_count; i++) {
		const struct hash_type *hash = hash_of(abc[i].name);
		struct blob digest = hex(abc[i].digest);
		uint8_t out[CRYPTO_HASH_MAX + 1] = { 0 };

		assert_int_equal(digest.len, hash->size);
		assert_ok(crypto_hash(hash, ascii("abc"), out));
		assert_memory_equal(out, digest.bytes, hash->size);
		assert_int_equal(out[hash->size], 0);
	}
}

static void
hashes_nothing(void **state)
{
	struct blob digest = hex(
	    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	uint8_t out[32];

	(void)state;
	assert_ok(crypto_sha256((struct hf_bytes){ NULL, 0 }, out));
	assert_memory_equal(out, digest.bytes, 32);
}

/* -- HMAC -- */

struct hmac_vector {
	const char *hash;
	const char *key; /* hexadecimal */
	const char *data;
	const char *mac;
};

/* RFC 2202 (SHA-1), RFC 4231 (SHA-2), test cases 1 and 2. */
static const struct hmac_vector hmacs[] = {
	{ "sha1", "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "Hi There",
	    "b617318655057264e28bc0b6fb378c8ef146be00" },
	{ "sha2-224", "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "Hi There",
	    "896fb1128abbdf196832107cd49df33f47b4b1169912ba4f53684b22" },
	{ "sha2-256", "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "Hi There",
	    "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
	{ "sha2-384", "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "Hi There",
	    "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59c"
	    "faea9ea9076ede7f4af152e8b2fa9cb6" },
	{ "sha2-512", "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "Hi There",
	    "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
	    "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854" },
	{ "sha2-256", "4a656665", "what do ya want for nothing?",
	    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
};

static void
macs_the_published_examples(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(hmacs) / sizeof(hmacs[0]); i++) {
		struct blob key = hex(hmacs[i].key), mac = hex(hmacs[i].mac);
		uint8_t out[CRYPTO_HASH_MAX];

		assert_ok(crypto_hmac(hash_of(hmacs[i].hash), view(&key),
		    ascii(hmacs[i].data), out));
		assert_memory_equal(out, mac.bytes, mac.len);
	}
}

/* RFC 4231, test case 6. */
static void
macs_with_a_key_longer_than_a_block(void **state)
{
	struct blob mac = hex(
	    "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
	uint8_t key[131], out[32];

	(void)state;
	memset(key, 0xaa, sizeof(key));
	assert_ok(crypto_hmac(hash_of("sha2-256"), bytes_of(key, sizeof(key)),
	    ascii("Test Using Larger Than Block-Size Key - Hash Key First"),
	    out));
	assert_memory_equal(out, mac.bytes, 32);
}

static void
macs_with_every_hash(void **state)
{
	uint8_t one[CRYPTO_HASH_MAX], two[CRYPTO_HASH_MAX];

	(void)state;
	for (size_t i = 0; i < hash_types_count; i++) {
		const struct hash_type *hash = &hash_types[i];

		assert_ok(crypto_hmac(hash, ascii("key"), ascii("a"), one));
		assert_ok(crypto_hmac(hash, ascii("key"), ascii("b"), two));
		assert_memory_not_equal(one, two, hash->size);
		assert_ok(crypto_hmac(hash, ascii("yek"), ascii("a"), two));
		assert_memory_not_equal(one, two, hash->size);
	}
}

static void
macs_refuse_an_empty_key(void **state)
{
	uint8_t out[CRYPTO_HASH_MAX];

	(void)state;
	assert_err(
	    crypto_hmac(hash_of("sha2-256"), bytes_of("", 0), ascii("a"), out),
	    HF_ERR_BAD_INPUT);
}

/* -- AEAD -- */

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

/* Each twice in a row, so that the second one finds its key in place; then
 * all of them again, each after another key. */
static void
a_held_key_seals_and_opens_the_same(void **state)
{
	crypto_hold_begin();
	for (unsigned round = 0; round < 3; round++) {
		seals_and_opens_the_published_examples(state);
		crypto_hold_begin(); /* they nest */
		seals_and_opens_the_published_examples(state);
		crypto_hold_end();
	}
	crypto_hold_end();
	seals_and_opens_the_published_examples(state);
}

/* Many messages under two keys in turn, some of them forged. */
static void
a_held_key_opens_nothing_of_another(void **state)
{
	const struct key_type *type = type_of("aes256-gcm96");
	uint8_t keys[2][32] = { { 1 }, { 2 } }, nonce[12] = { 0 };
	uint8_t in[40] = "forty bytes", sealed[56], out[40];
	struct hf_bytes none = { NULL, 0 }, n = bytes_of(nonce, sizeof(nonce));
	struct hf_bytes all = bytes_of(sealed, sizeof(sealed));

	(void)state;
	crypto_hold_begin();
	for (unsigned i = 0; i < 100; i++) {
		struct hf_bytes key = bytes_of(keys[i % 2], 32);
		struct hf_bytes other = bytes_of(keys[1 - i % 2], 32);

		nonce[0] = (uint8_t)i;
		assert_ok(crypto_seal(
		    type, key, n, none, bytes_of(in, sizeof(in)), sealed));
		if (i % 5 == 0)
			assert_err(crypto_open(type, other, n, none, all, out),
			    HF_ERR_AUTH_FAILED);
		if (i % 7 == 0) {
			sealed[i % sizeof(sealed)] ^= 1;
			assert_err(crypto_open(type, key, n, none, all, out),
			    HF_ERR_AUTH_FAILED);
			sealed[i % sizeof(sealed)] ^= 1;
		}
		assert_ok(crypto_open(type, key, n, none, all, out));
		assert_memory_equal(out, in, sizeof(in));
	}
	crypto_hold_end();
}

/* The same bytes at the same place may be another key by now. */
static void
a_held_key_is_known_by_its_bytes(void **state)
{
	const struct key_type *type = type_of("aes256-gcm96");
	uint8_t key[32] = { 1 }, nonce[12] = { 0 }, first[24], second[24];
	struct hf_bytes none = { NULL, 0 };

	(void)state;
	crypto_hold_begin();
	assert_ok(crypto_seal(type, bytes_of(key, 32), bytes_of(nonce, 12),
	    none, bytes_of("12345678", 8), first));
	key[0] = 2;
	assert_ok(crypto_seal(type, bytes_of(key, 32), bytes_of(nonce, 12),
	    none, bytes_of("12345678", 8), second));
	crypto_hold_end();
	assert_memory_not_equal(first, second, sizeof(first));
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

int
main(void)
{
	const struct CMUnitTest before[] = {
		cmocka_unit_test(
		    refuses_unlocked_memory_where_locked_is_required),
		cmocka_unit_test(
		    takes_unlocked_memory_where_locked_is_not_required),
		cmocka_unit_test(
		    refuses_an_openssl_whose_memory_it_cannot_wipe),
		cmocka_unit_test(fails_before_it_is_set_up),
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(may_be_set_up_twice),
		cmocka_unit_test(random_fills_any_length),
		cmocka_unit_test(random_never_repeats_over_threads),
		cmocka_unit_test(random_differs_between_parent_and_child),
		cmocka_unit_test(hashes_the_published_example),
		cmocka_unit_test(hashes_nothing),
		cmocka_unit_test(macs_the_published_examples),
		cmocka_unit_test(macs_with_a_key_longer_than_a_block),
		cmocka_unit_test(macs_with_every_hash),
		cmocka_unit_test(macs_refuse_an_empty_key),
		cmocka_unit_test(seals_and_opens_the_published_examples),
		cmocka_unit_test(a_held_key_seals_and_opens_the_same),
		cmocka_unit_test(a_held_key_opens_nothing_of_another),
		cmocka_unit_test(a_held_key_is_known_by_its_bytes),
		cmocka_unit_test(open_refuses_a_change_of_any_bit),
		cmocka_unit_test(open_refuses_each_shorter_length),
		cmocka_unit_test(seals_nothing_with_nothing),
		cmocka_unit_test(seals_large_messages),
		cmocka_unit_test(aead_refuses_wrong_sizes),
		cmocka_unit_test(aead_refuses_types_that_are_none),
		cmocka_unit_test(failures_leave_the_error_queue_empty),
		cmocka_unit_test(threads_do_not_disturb_each_other),
	};
	int failed = cmocka_run_group_tests(before, NULL, NULL);

	return failed + cmocka_run_group_tests(tests, set_up, NULL);
}
