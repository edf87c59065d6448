/* SPDX-License-Identifier: Apache-2.0 */
#include "../../keyd/usage.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "../../keyd/hsm_await.h"
#include "../../keyd/key.h"
#include "../../keyd/keys.h"
#include "../../keyd/keyuse.h"
#include "../../lib/bytes.h"
#include "service_fixture.h"

/* CK25: the promises of usage.h, over a real hierarchy and the store in memory;
 * a crash is that nothing more reaches the store. */

static struct usages *all;
static const uint8_t id[HSM_ID] = "usage test key.";

static void
start(void)
{
	assert_int_equal(
	    usages_new(service.server.store, service.server.hierarchy, &all),
	    HF_OK);
}

static enum hf_err
no_disk(void *ctx, enum store_memory_when when,
    const struct store_write *writes, size_t count)
{
	(void)ctx;
	(void)when;
	(void)writes;
	(void)count;
	return HF_ERR_STORE;
}

static void
crash(void)
{
	store_memory_hook(service.memory, no_disk, NULL);
	usages_free(all);
	store_memory_hook(service.memory, NULL, NULL);
	start();
}

static void
restart(void)
{
	usages_free(all);
	start();
}

/* Each test has a version of its own; what is there of it is kept. */
static struct usage_key *
open_key(uint32_t version, struct usage **u)
{
	struct usage_key *key;

	assert_int_equal(usage_open(all, id, "default", false, &key), HF_OK);
	*u = usage_version(key, version);
	assert_non_null(*u);
	return key;
}

static struct usage_info
info_of(const struct usage *u, enum usage_class class)
{
	struct usage_info info;

	usage_read(u, class, &info);
	return info;
}

static int
setup_usages(void **state)
{
	(void)state;
	start();
	return 0;
}

static int
teardown_usages(void **state)
{
	(void)state;
	usages_free(all);
	return 0;
}

static void
counts_by_class_with_times(void **state)
{
	uint64_t before = (uint64_t)time(NULL) - 1;
	struct usage_key *key;
	struct usage *u;
	struct usage_info info;

	(void)state;
	key = open_key(1, &u);
	for (unsigned i = 0; i < 3; i++)
		usage_count(u, USAGE_DECRYPT, 7);
	usage_count(u, USAGE_SIGN, 8);
	info = info_of(u, USAGE_DECRYPT);
	assert_int_equal(info.count, 3);
	assert_int_equal(info.callers, 1);
	assert_true(info.first >= before && info.last >= info.first);
	assert_true(info.last <= (uint64_t)time(NULL));
	assert_int_equal(info_of(u, USAGE_SIGN).count, 1);
	assert_int_equal(info_of(u, USAGE_ENCRYPT).count, 0);
	assert_int_equal(info_of(u, USAGE_ENCRYPT).first, 0);
	usage_close(key);
}

/* Numbers that look as hashes do. */
static uint64_t
caller(uint64_t n)
{
	n += UINT64_C(0x9e3779b97f4a7c15);
	n = (n ^ n >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	n = (n ^ n >> 27) * UINT64_C(0x94d049bb133111eb);
	return n ^ n >> 31;
}

static void
tells_few_callers_exactly_and_many_nearly(void **state)
{
	struct usage_key *key;
	struct usage *u;
	uint64_t n = 0;

	(void)state;
	key = open_key(2, &u);
	for (; n < USAGE_KNOWN - 1; n++) {
		usage_count(u, USAGE_VERIFY, caller(n));
		usage_count(u, USAGE_VERIFY, caller(n));
		assert_int_equal(info_of(u, USAGE_VERIFY).callers, n + 1);
	}
	for (; n < USAGE_KNOWN; n++)
		usage_count(u, USAGE_VERIFY, caller(n));
	assert_int_equal(info_of(u, USAGE_VERIFY).callers, USAGE_KNOWN);
	for (; n < 100; n++)
		usage_count(u, USAGE_VERIFY, caller(n));
	assert_in_range(info_of(u, USAGE_VERIFY).callers, 88, 112);
	for (; n < 1000; n++)
		usage_count(u, USAGE_VERIFY, caller(n));
	assert_in_range(info_of(u, USAGE_VERIFY).callers, 850, 1150);
	for (; n < 100000; n++)
		usage_count(u, USAGE_VERIFY, caller(n));
	assert_in_range(info_of(u, USAGE_VERIFY).callers, 3000, 4000);
	usage_close(key);
}

static void
is_exact_after_an_orderly_stop(void **state)
{
	struct usage_key *key;
	struct usage *u;

	(void)state;
	key = open_key(3, &u);
	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(
		    usage_take(u, UINT64_C(4000000000), true), HF_OK);
		usage_count(u, USAGE_ENCRYPT, i % 3);
	}
	usage_close(key);
	restart();
	key = open_key(3, &u);
	assert_int_equal(usage_taken(u), 1000);
	assert_int_equal(info_of(u, USAGE_ENCRYPT).count, 1000);
	assert_int_equal(info_of(u, USAGE_ENCRYPT).callers, 2); /* 0 | 1 is 1 */
	usage_close(key);
}

static void
a_crash_never_makes_the_limit_forget(void **state)
{
	const uint64_t limit = UINT64_C(4000000000);
	uint64_t done = 0, crashes = 0;
	struct usage_key *key;
	struct usage *u;

	(void)state;
	srandom(4711);
	for (unsigned round = 0; round < 200; round++) {
		key = open_key(4, &u);
		assert_true(usage_taken(u) >= done);
		assert_true(
		    usage_taken(u) <= done + crashes * (USAGE_BLOCK + 1));
		for (long n = random() % 700; n > 0; n--, done++)
			assert_int_equal(usage_take(u, limit, true), HF_OK);
		usage_count(u, USAGE_ENCRYPT, 1);
		if (random() % 3 == 0)
			assert_int_equal(usages_flush(all), HF_OK);
		if (random() % 3 == 0)
			usage_close(key); /* else it dies with it open */
		if (random() % 4 == 0)
			assert_int_equal(usages_flush(all), HF_OK);
		if (random() % 2 == 0) {
			crash();
			crashes++;
		}
	}
	assert_true(crashes > 50);
}

/* The machine dies before, or right after, a reservation is on the disk. */
static enum hf_err
dies_after(void *ctx, enum store_memory_when when,
    const struct store_write *writes, size_t count)
{
	(void)ctx;
	(void)writes;
	(void)count;
	return when == STORE_MEMORY_AFTER ? HF_ERR_STORE : HF_OK;
}

static void
what_cannot_be_reserved_is_not_done(void **state)
{
	struct usage_key *key;
	struct usage *u;

	(void)state;
	key = open_key(5, &u);
	assert_int_equal(usage_take(u, 1000, false), HF_ERR_DEFER);
	store_memory_hook(service.memory, no_disk, NULL);
	assert_int_equal(usage_take(u, 1000, true), HF_ERR_STORE);
	store_memory_hook(service.memory, dies_after, NULL);
	assert_int_equal(usage_take(u, 1000, true), HF_ERR_STORE);
	store_memory_hook(service.memory, NULL, NULL);
	assert_int_equal(usage_taken(u), 0);
	assert_int_equal(usage_take(u, 1000, true), HF_OK);
	assert_int_equal(usage_taken(u), 1);
	usage_close(key);
}

enum { THREADS = 4, LIMIT = 5000 };

static void *
take_many(void *arg)
{
	struct usage *u = arg;
	enum hf_err err;
	uintptr_t n = 0;

	while ((err = usage_take(u, LIMIT, true)) == HF_OK) {
		usage_count(u, USAGE_ENCRYPT, n & 1);
		n++;
	}
	assert_int_equal(err, HF_ERR_KEY_EXHAUSTED);
	return (void *)n;
}

static void
the_limit_holds_with_many_threads(void **state)
{
	pthread_t threads[THREADS];
	struct usage_key *key;
	struct usage *u;
	uintptr_t sum = 0;

	(void)state;
	key = open_key(6, &u);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, take_many, u), 0);
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(usages_flush(all), HF_OK);
	for (size_t i = 0; i < THREADS; i++) {
		void *n;

		assert_int_equal(pthread_join(threads[i], &n), 0);
		sum += (uintptr_t)n;
	}
	/* Two at the same time may both see the last one taken. */
	assert_in_range(sum, LIMIT - THREADS, LIMIT);
	assert_int_equal(info_of(u, USAGE_ENCRYPT).count, sum);
	assert_int_equal(info_of(u, USAGE_ENCRYPT).callers, 1);
	usage_close(key);
}

static void *
open_and_close(void *arg)
{
	for (unsigned i = 0; i < 200; i++) {
		struct usage *u;
		struct usage_key *key = open_key(7, &u);

		assert_int_equal(usage_take(u, 1000000, true), HF_OK);
		usage_count(u, USAGE_DECRYPT, 1);
		usage_close(key);
	}
	return arg;
}

/* Between a key's leaving the cache and its coming back nothing is lost. */
static void
counts_on_while_keys_come_and_go(void **state)
{
	pthread_t threads[THREADS];
	struct usage_key *key;
	struct usage *u;

	(void)state;
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, open_and_close, NULL), 0);
	for (unsigned i = 0; i < 300; i++)
		assert_int_equal(usages_flush(all), HF_OK);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	key = open_key(7, &u);
	assert_int_equal(info_of(u, USAGE_DECRYPT).count, THREADS * 200);
	assert_int_equal(usage_taken(u), THREADS * 200);
	usage_close(key);
}

static void
on_dirty(void *ctx)
{
	++*(unsigned *)ctx;
}

static void
wakes_once_until_it_is_written(void **state)
{
	unsigned woken = 0;
	struct usage_key *key;
	struct usage *u;

	(void)state;
	usages_on_dirty(all, on_dirty, &woken);
	key = open_key(8, &u);
	assert_int_equal(woken, 0);
	for (unsigned i = 0; i < 10; i++)
		usage_count(u, USAGE_MAC, 1);
	assert_int_equal(woken, 1);
	assert_int_equal(usages_flush(all), HF_OK);
	usage_count(u, USAGE_MAC, 1);
	assert_int_equal(woken, 2);
	assert_int_equal(usages_flush(all), HF_OK);
	usage_close(key);
	assert_int_equal(woken, 2); /* nothing left to write */
}

static void
what_is_forgotten_is_not_written(void **state)
{
	char name[KEY_STORE_NAME];
	struct store_value v;
	struct usage_key *key;
	struct usage *u;

	(void)state;
	key = open_key(9, &u);
	usage_count(u, USAGE_MAC, 1);
	usage_forget(key, 9);
	assert_int_equal(usage_take(u, 10, true), HF_ERR_VERSION_NOT_FOUND);
	usage_close(key);
	assert_int_equal(usages_flush(all), HF_OK);
	usage_store_name(id, 9, name);
	assert_int_equal(store_get(service.server.store, text_of(name), &v),
	    HF_ERR_NOT_FOUND);
}

/* They may lie where others lay. */
static void
counters_are_told_apart(void **state)
{
	struct usage_key *key, *same;
	struct usage *u, *other, *again;
	uint64_t serial;

	(void)state;
	key = open_key(60, &u);
	other = usage_version(key, 61);
	serial = usage_serial(u);
	assert_true(serial != 0);
	assert_true(usage_serial(other) != serial);
	same = open_key(60, &again);
	assert_true(usage_serial(again) == serial);
	usage_close(same);
	usage_close(key);
	key = open_key(60, &again);
	assert_true(usage_serial(again) != serial);
	usage_close(key);
	assert_true(usage_serial(NULL) == 0);
}

static void
a_changed_record_is_refused(void **state)
{
	char name[KEY_STORE_NAME];
	struct store_value v;
	struct usage_key *key;
	struct usage *u;

	(void)state;
	key = open_key(10, &u);
	usage_count(u, USAGE_MAC, 1);
	usage_close(key);
	restart();
	usage_store_name(id, 10, name);
	assert_int_equal(
	    store_get(service.server.store, text_of(name), &v), HF_OK);
	v.ptr[v.len - 1] ^= 1;
	assert_int_equal(
	    store_commit(service.server.store, NULL, 0,
		&(struct store_write){ text_of(name), bytes_of(v.ptr, v.len) },
		1, NULL),
	    HF_OK);
	store_value_free(&v);
	assert_int_equal(
	    usage_open(all, id, "default", false, &key), HF_ERR_STORE_DAMAGED);
}

/* -- Through the operations -- */

#define CALL(op, in, out) \
	assert_int_equal( \
	    service_call(&service, (op), &(in), &(out), &why), HF_OK)

static const struct hf_key_use *
use_in(const struct hf_key_info *info, uint64_t version, const char *operation)
{
	for (size_t i = 0; i < info->uses_count; i++)
		if (info->uses[i].version == version &&
		    text_is(info->uses[i].operation, operation))
			return &info->uses[i];
	return NULL;
}

static uint64_t
shown(const char *name, uint64_t version, const char *operation)
{
	struct hf_key_read_in in = { .name = text_of(name) };
	struct hf_key_info out;
	const struct hf_key_use *use;

	CALL("key.read", in, out);
	use = use_in(&out, version, operation);
	return use == NULL ? 0 : use->count;
}

/* The arena of the reply is used again by the next call. */
static struct hf_bytes
copy_of(struct hf_bytes b, uint8_t out[4096])
{
	assert_true(b.len <= 4096);
	memcpy(out, b.ptr, b.len);
	return bytes_of(out, b.len);
}

static struct hf_bytes
encrypt(const char *name, uint8_t out[4096])
{
	struct hf_encrypt_in in = { .name = text_of(name),
		.item = { .plaintext = bytes_of("secret", 6) } };
	struct hf_encrypt_out res;

	CALL("transit.encrypt", in, res);
	return copy_of(res.result.ciphertext, out);
}

static void
uses_of_a_key_are_counted(const char *name, const char *level)
{
	uint8_t room[4096];
	struct hf_decrypt_in open = { .name = text_of(name) };
	struct hf_decrypt_out opened;
	struct hf_rewrap_in rewrap = { .name = text_of(name) };
	struct hf_rewrap_out rewrapped;
	struct hf_encrypt_item items[5];
	struct hf_encrypt_in batch = { .name = text_of(name),
		.batch_input = items,
		.batch_input_count = 5 };
	struct hf_encrypt_out sealed;
	struct hf_hmac_in mac = { .name = text_of(name),
		.item = { .input = bytes_of("x", 1) } };
	struct hf_hmac_out maced;
	struct hf_verify_in verify = { .name = text_of(name) };
	struct hf_verify_out verified;
	struct hf_datakey_in datakey = { .name = text_of(name) };
	struct hf_datakey_out made;

	make_key(name, "aes256-gcm96", level);
	open.item.ciphertext = encrypt(name, room);
	CALL("transit.decrypt", open, opened);
	CALL("transit.decrypt", open, opened);
	rewrap.item.ciphertext = open.item.ciphertext;
	CALL("transit.rewrap", rewrap, rewrapped);
	for (size_t i = 0; i < 5; i++)
		items[i] = (struct hf_encrypt_item){ .plaintext = bytes_of(
							 "secret", 6) };
	CALL("transit.encrypt", batch, sealed);
	assert_int_equal(sealed.batch_results_count, 5);
	CALL("transit.datakey_wrapped", datakey, made);
	CALL("transit.hmac", mac, maced);
	verify.item.input = mac.item.input;
	verify.item.hmac = copy_of(maced.result.hmac, room);
	CALL("transit.verify", verify, verified);
	assert_int_equal(verified.result.valid, HF_TRUE);
	assert_int_equal(shown(name, 1, "encrypt"), 1 + 1 + 5 + 1);
	assert_int_equal(shown(name, 1, "decrypt"), 2);
	assert_int_equal(shown(name, 1, "rewrap"), 1);
	assert_int_equal(shown(name, 1, "mac"), 1);
	assert_int_equal(shown(name, 1, "verify"), 1);
	assert_int_equal(shown(name, 1, "sign"), 0);

	/* What was not done is not counted. */
	room[verify.item.hmac.len - 1] ^= 1;
	CALL("transit.verify", verify, verified);
	assert_int_equal(verified.result.valid, HF_FALSE);
	open.item.ciphertext = bytes_of("vault:v1:AAAAAAAAAAAAAAAAAAAAAAAAAAAA"
					"AAAAAAAAAAAAAAAA",
	    53);
	assert_int_not_equal(
	    service_call(&service, "transit.decrypt", &open, &opened, &why),
	    HF_OK);
	assert_int_equal(shown(name, 1, "verify"), 1);
	assert_int_equal(shown(name, 1, "decrypt"), 2);
}

static void
operations_count_at_both_levels(void **state)
{
	(void)state;
	uses_of_a_key_are_counted("counted-wrapped", "wrapped");
	uses_of_a_key_are_counted("counted-hsm", "hsm");
}

static void
pkcs11_counts(void **state)
{
	struct hf_p11_use_in sign = { .name = TEXT("counted-p11"),
		.how = { .mechanism = TEXT("ecdsa") },
		.data = bytes_of("01234567890123456789012345678901", 32),
		.key_version = 1 };
	struct hf_p11_use_out signature;

	(void)state;
	make_key("counted-p11", "ecdsa-p256", "wrapped");
	CALL("p11.sign", sign, signature);
	CALL("p11.sign", sign, signature);
	assert_int_equal(shown("counted-p11", 1, "sign"), 2);
}

static void
a_rotated_key_goes_on_counting(void **state)
{
	struct hf_name_in in = { TEXT("turned") };
	struct hf_key_info out;
	uint8_t room[4096];

	(void)state;
	make_key("turned", "aes256-gcm96", "wrapped");
	(void)encrypt("turned", room);
	CALL("key.rotate", in, out);
	(void)encrypt("turned", room);
	(void)encrypt("turned", room);
	assert_int_equal(shown("turned", 1, "encrypt"), 1);
	assert_int_equal(shown("turned", 2, "encrypt"), 2);
}

/* A key that comes in the place of another one, between two runs of a request,
 * has nothing counted yet. */
static void
a_request_that_is_run_again_counts_once_for_each_key(void **state)
{
	struct hsm_await await = { 0 };
	const struct keyuse use = {
		.server = &service.server, .may_block = true, .await = &await
	};
	struct hf_name_in name = { TEXT("again") };
	struct hf_key_config_in config = { .name = TEXT("again"),
		.deletion_allowed = HF_TRUE };
	struct hf_key_info info;
	struct hf_empty nothing;
	uint8_t out[64];
	size_t len;

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		struct key *key;

		make_key("again", "aes256-gcm96", "wrapped");
		CALL("key.config", config, info);
		assert_int_equal(
		    keys_get(service.server.keys, TEXT("again"), true, &key),
		    HF_OK);
		for (unsigned run = 0; run < 2; run++)
			assert_int_equal(
			    keyuse_encrypt(&use, key, &key->versions[0],
				bytes_of(NULL, 0), bytes_of("x", 1), out, &len),
			    HF_OK);
		assert_int_equal(usage_taken(key->versions[0].usage), 1);
		key_unref(key);
		CALL("key.delete", name, nothing);
		assert_int_equal(
		    usages_flush(keys_usages(service.server.keys)), HF_OK);
	}
}

int
main(void)
{
#define ALONE(test) \
	cmocka_unit_test_setup_teardown(test, setup_usages, teardown_usages)
	const struct CMUnitTest tests[] = {
		ALONE(counts_by_class_with_times),
		ALONE(tells_few_callers_exactly_and_many_nearly),
		ALONE(is_exact_after_an_orderly_stop),
		ALONE(a_crash_never_makes_the_limit_forget),
		ALONE(what_cannot_be_reserved_is_not_done),
		ALONE(the_limit_holds_with_many_threads),
		ALONE(counts_on_while_keys_come_and_go),
		ALONE(wakes_once_until_it_is_written),
		ALONE(what_is_forgotten_is_not_written),
		ALONE(counters_are_told_apart),
		ALONE(a_changed_record_is_refused),
		cmocka_unit_test(operations_count_at_both_levels),
		cmocka_unit_test(pkcs11_counts),
		cmocka_unit_test(a_rotated_key_goes_on_counting),
		cmocka_unit_test(
		    a_request_that_is_run_again_counts_once_for_each_key),
	};

	return cmocka_run_group_tests(tests, service_setup, service_teardown);
}
