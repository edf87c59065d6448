/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto_support.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/crypto.h>

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
	};
	int failed = cmocka_run_group_tests(before, NULL, NULL);

	return failed + cmocka_run_group_tests(tests, set_up, NULL);
}
